#!/bin/bash
# enter-engine.sh FOLDER CGROUP: runs a Docker engine in the Debian in the folder, in mount, process, network, cgroup, host name and IPC
# namespaces of its own, until it is killed: all that was started or mounted in it ends with it. It reaches no network. CGROUP: an empty
# group of the v2 hierarchy. Needs root.
set -euo pipefail
export ENGINE_ROOT=$1
export MOUNT_SYSTEM=$(dirname "$0")/../namespaces/mount-system.sh
echo $$ >"$2/cgroup.procs"
exec unshare --mount --pid --fork --kill-child --cgroup --uts --ipc --net --propagation private bash -c '
set -e
. "$MOUNT_SYSTEM"
mount_system "$ENGINE_ROOT" null zero full random urandom tty net/tun
mount -t sysfs sysfs "$ENGINE_ROOT/sys"
mount -t cgroup2 cgroup2 "$ENGINE_ROOT/sys/fs/cgroup"
# Processes and controllers do not go together in one group.
mkdir "$ENGINE_ROOT/sys/fs/cgroup/engine"
echo 1 >"$ENGINE_ROOT/sys/fs/cgroup/engine/cgroup.procs"
mkdir "$ENGINE_ROOT/dev/mqueue"
mount -t mqueue mqueue "$ENGINE_ROOT/dev/mqueue"
enter_root "$ENGINE_ROOT"
mount --make-rshared /
exec /usr/bin/env -i HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin bash -c "
	ip link set lo up
	# Process 1 waits for those that nobody waits for.
	exec docker-init -- dockerd --storage-driver=overlay2 >/var/log/dockerd.log 2>&1"' enter
