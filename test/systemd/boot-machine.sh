#!/bin/bash
# boot-machine.sh FOLDER BASE CGROUP NAME: boots the Debian in the folder BASE under its own systemd, in mount, process, network, cgroup, host
# name and IPC namespaces, until it is turned off: all that was started or mounted in it ends with it. What it writes goes to FOLDER/own, which
# may have files already; FOLDER/root and FOLDER/work are for the mount. CGROUP: an empty group of the v2 hierarchy. Needs root.
set -euo pipefail

boot() {
	. "$(dirname "$0")/../../setup/namespaces/mount-system.sh"
	local root=$MACHINE/root
	mount -t overlay -o "lowerdir=$MACHINE_BASE,upperdir=$MACHINE/own,workdir=$MACHINE/work" overlay "$root"
	mount_on "$root" null zero full random urandom tty net/tun
	: >"$root/dev/console"
	# systemd sets what it finds writable there, and both are this machine's.
	mount --bind "$root/proc/sys" "$root/proc/sys"
	mount -o remount,bind,ro "$root/proc/sys"
	mount -t sysfs -o ro sysfs "$root/sys"
	mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
	enter_root "$root"
	# Else units get empty folders for their credentials.
	mount --make-rshared /
	ip link set lo up
	hostname "$MACHINE_NAME"
	exec /usr/bin/env -i container=ferry-test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		/lib/systemd/systemd --system --show-status=false
}

if [ "${MACHINE_BOOTS:-}" ]; then boot; fi
export MACHINE=$1 MACHINE_BASE=$2 MACHINE_GROUP=$3 MACHINE_NAME=$4 MACHINE_BOOTS=1
# Only what is inside goes into the group: beside other processes systemd could not share controllers out among its units.
exec unshare --mount --pid --fork --kill-child --uts --ipc --net --propagation private \
	bash -c 'echo 0 >"$MACHINE_GROUP/cgroup.procs" && exec unshare --cgroup bash "$1"' enter "$0"
