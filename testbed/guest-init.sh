#!/bin/sh
# pid 1 of a storage node. The root file system is this machine's, read-only (hostfs), under a tmpfs overlay: so a
# node has every program and this checkout without an image to build, and nothing it does is seen outside.
# FERRY_GUEST, from the kernel's command line, names the file with the node's settings (written by guest.ts).
# The home is the node's own: that of root outside is closed to a user's hostfs.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/run LC_ALL=C
. "$FERRY_GUEST"

# Not /bin/mount: it is set-uid, and under a user's hostfs its owner is not the node's root.
mount() { busybox mount "$@"; }

if [ "$1" != in-overlay ]; then
	mount -t proc proc /proc
	# With it user-mode Linux 6.12 mixes up pages. Node and qemu-nbd do without.
	[ ! -e /proc/sys/kernel/io_uring_disabled ] || echo 2 >/proc/sys/kernel/io_uring_disabled
	mount -t tmpfs -o mode=755 tmpfs /mnt
	mkdir -p /mnt/upper /mnt/work /mnt/root
	insmod "$NODE_MODULES/$(uname -r)/kernel/fs/overlayfs/overlay.ko"
	mount -t overlay overlay -o nosuid,lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
	cd /mnt/root
	mount -t proc proc proc
	mount -t sysfs sysfs sys
	mount -t devtmpfs devtmpfs dev
	mkdir -p dev/pts dev/shm run lib/modules
	mount -t devpts devpts dev/pts
	mount -t tmpfs tmpfs dev/shm
	mount -t tmpfs -o mode=755 tmpfs run
	mkdir -p run/lock/lvm run/lvm
	mount --bind "$NODE_MODULES" lib/modules
	exec chroot . /bin/sh "$0" in-overlay
fi

ln -sf /proc/self/fd /dev/fd
hostname "$NODE_NAME"
printf '%b' "$NODE_HOSTS" >>/etc/hosts
ip link set lo up
ip link set vec0 up
ip addr add "$NODE_ADDRESS/24" dev vec0

# The same path as outside, and unlike the overlay always up to date on both sides.
mkdir -p "$NODE_SHARE"
mount -t hostfs none "$NODE_SHARE" -o "$NODE_SHARE_SOURCE"

for module in dm-mod dm-thin-pool dm-snapshot dm-flakey dm-delay; do modprobe "$module"; done
export LVM_SUPPRESS_FD_WARNINGS=1 DM_DISABLE_UDEV=1
# The signal frames of user-mode Linux hold no AVX-512 state: keep libc from using it.
export GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW
mkdir -p /etc/lvm
cat >/etc/lvm/lvm.conf <<CONFIGURATION
devices {
	use_devicesfile = 0
	obtain_device_list_from_udev = 0
	external_device_info_source = "none"
	types = [ "ubd", 16 ]
	filter = [ "a|^/dev/ubd|", "r|.*|" ]
}
activation { udev_sync = 0  udev_rules = 0  monitoring = 0 }
global { notify_dbus = 0  event_activation = 0  use_lvmpolld = 0 }
backup { backup = 0  archive = 0 }
CONFIGURATION

# NODE_VOLUME_GROUPS: "NAME:DEVICE NAME:DEVICE ..."
for group in $NODE_VOLUME_GROUPS; do
	name=${group%:*}
	if vgs "$name" >/dev/null 2>&1; then
		vgchange -qq -ay "$name"
	else
		vgcreate -qq -y "$name" "${group##*:}"
	fi
done

cd /
"$NODE_PROGRAM" "$NODE_AGENT" &
# pid 1 inherits every orphan, and a dead one must not look alive: `wait` reaps them all.
while kill -0 $! 2>/dev/null; do wait; done
