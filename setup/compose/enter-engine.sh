#!/bin/bash
# enter-engine.sh FOLDER CGROUP: runs a Docker engine in the Debian in the folder, in mount, process, network, cgroup, host name and IPC
# namespaces of its own, until it is killed: all that was started or mounted in it ends with it. It reaches no network. CGROUP: an empty
# group of the v2 hierarchy. Needs root.
set -euo pipefail
export ENGINE_ROOT=$1
echo $$ >"$2/cgroup.procs"
exec unshare --mount --pid --fork --kill-child --cgroup --uts --ipc --net --propagation private bash -c '
set -e
mount --bind "$ENGINE_ROOT" "$ENGINE_ROOT"
mount -t proc proc "$ENGINE_ROOT/proc"
mount -t sysfs sysfs "$ENGINE_ROOT/sys"
mount -t cgroup2 cgroup2 "$ENGINE_ROOT/sys/fs/cgroup"
# Processes and controllers do not go together in one group.
mkdir "$ENGINE_ROOT/sys/fs/cgroup/engine"
echo 1 >"$ENGINE_ROOT/sys/fs/cgroup/engine/cgroup.procs"
mount -t tmpfs -o mode=755 tmpfs "$ENGINE_ROOT/dev"
for device in null zero full random urandom tty net/tun; do
	mkdir -p "$(dirname "$ENGINE_ROOT/dev/$device")"
	: >"$ENGINE_ROOT/dev/$device"
	mount --bind "/dev/$device" "$ENGINE_ROOT/dev/$device"
done
mkdir "$ENGINE_ROOT/dev/pts" "$ENGINE_ROOT/dev/shm" "$ENGINE_ROOT/dev/mqueue"
mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts "$ENGINE_ROOT/dev/pts"
ln -s pts/ptmx "$ENGINE_ROOT/dev/ptmx"
mount -t tmpfs -o mode=1777 tmpfs "$ENGINE_ROOT/dev/shm"
mount -t mqueue mqueue "$ENGINE_ROOT/dev/mqueue"
mount -t tmpfs -o mode=755 tmpfs "$ENGINE_ROOT/run"
for link in fd:fd stdin:fd/0 stdout:fd/1 stderr:fd/2; do ln -s "/proc/self/${link#*:}" "$ENGINE_ROOT/dev/${link%%:*}"; done
# Not chroot: `docker exec` and health checks enter a mount namespace at its root, which must be this one.
cd "$ENGINE_ROOT"
mkdir -p .old
pivot_root . .old
cd /
umount -l /.old
rmdir /.old
mount --make-rshared /
exec /usr/bin/env -i HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin bash -c "
	ip link set lo up
	# Process 1 waits for those that nobody waits for.
	exec docker-init -- dockerd --storage-driver=overlay2 >/var/log/dockerd.log 2>&1"' enter
