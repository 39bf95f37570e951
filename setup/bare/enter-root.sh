#!/bin/bash
# enter-root.sh FOLDER USER COMMAND...: runs the command as the user in the system in the folder, in mount and pid namespaces of its own: all
# that it started or mounted is gone when it ends. Its environment is that of a new login and FERRY_BARE_* (see below). Needs root.
set -euo pipefail
export BARE_ROOT=$1 BARE_USER=$2
shift 2
exec unshare --mount --pid --fork --kill-child --propagation private bash -c '
set -e
mount --bind "$BARE_ROOT" "$BARE_ROOT"
# So that which programs are used can be read from their times of access, also of those that a node runs over hostfs.
mount -o remount,bind,strictatime "$BARE_ROOT"
mount -t proc proc "$BARE_ROOT/proc"
mount --rbind /sys "$BARE_ROOT/sys"
mount -t tmpfs -o mode=755 tmpfs "$BARE_ROOT/dev"
for device in null zero full random urandom tty net/tun; do
	mkdir -p "$(dirname "$BARE_ROOT/dev/$device")"
	: >"$BARE_ROOT/dev/$device"
	mount --bind "/dev/$device" "$BARE_ROOT/dev/$device"
done
mkdir "$BARE_ROOT/dev/pts" "$BARE_ROOT/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts "$BARE_ROOT/dev/pts"
ln -s pts/ptmx "$BARE_ROOT/dev/ptmx"
mount -t tmpfs -o mode=1777 tmpfs "$BARE_ROOT/dev/shm"
mount -t tmpfs -o mode=755 tmpfs "$BARE_ROOT/run"
for link in fd:fd stdin:fd/0 stdout:fd/1 stderr:fd/2; do ln -s "/proc/self/${link#*:}" "$BARE_ROOT/dev/${link%%:*}"; done
home=/root
[ "$BARE_USER" = root ] || home=/home/$BARE_USER
# Not chroot: a process in one may not make a user namespace, which a user needs for nodes.
cd "$BARE_ROOT"
mkdir -p .old
pivot_root . .old
cd /
umount -l /.old
rmdir /.old
exec setpriv --reuid="$BARE_USER" --regid="$BARE_USER" --init-groups --inh-caps=-all -- /usr/bin/env -i HOME="$home" USER="$BARE_USER" TERM=dumb \
	LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin NODE_EXTRA_CA_CERTS=/etc/ssl/bare.pem \
	SSL_CERT_FILE=/etc/ssl/bare.pem bash -c "cd \"\$HOME\" && exec \"\$@\"" bare "$@"' enter "$@"
