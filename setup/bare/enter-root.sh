#!/bin/bash
# enter-root.sh FOLDER USER COMMAND...: runs the command as the user in the system in the folder, in mount and pid namespaces of its own: all
# that it started or mounted is gone when it ends. Its environment is that of a new login and FERRY_BARE_* (see below). Needs root.
set -euo pipefail
export BARE_ROOT=$1 BARE_USER=$2
shift 2
export MOUNT_SYSTEM=$(dirname "$0")/../namespaces/mount-system.sh
exec unshare --mount --pid --fork --kill-child --propagation private bash -c '
set -e
. "$MOUNT_SYSTEM"
mount_system "$BARE_ROOT" null zero full random urandom tty net/tun
# So that which programs are used can be read from their times of access, also of those that a node runs over hostfs.
mount -o remount,bind,strictatime "$BARE_ROOT"
mount --rbind /sys "$BARE_ROOT/sys"
home=/root
[ "$BARE_USER" = root ] || home=/home/$BARE_USER
enter_root "$BARE_ROOT"
exec setpriv --reuid="$BARE_USER" --regid="$BARE_USER" --init-groups --inh-caps=-all -- /usr/bin/env -i HOME="$home" USER="$BARE_USER" TERM=dumb \
	LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin NODE_EXTRA_CA_CERTS=/etc/ssl/bare.pem \
	SSL_CERT_FILE=/etc/ssl/bare.pem bash -c "cd \"\$HOME\" && exec \"\$@\"" bare "$@"' enter "$@"
