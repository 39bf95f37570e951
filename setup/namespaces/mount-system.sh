# To be sourced in mount and process namespaces of one's own: the file systems that a Debian in a folder finds where it runs.

# mount_system FOLDER DEVICE...: makes it a mount, with the named devices of this machine's /dev and no others.
mount_system() {
	mount --bind "$1" "$1"
	mount_on "$@"
}

# mount_on FOLDER DEVICE...: the same, in what is a mount already.
mount_on() {
	local root=$1 device link
	shift
	mount -t proc proc "$root/proc"
	mount -t tmpfs -o mode=755 tmpfs "$root/dev"
	for device in "$@"; do
		mkdir -p "$(dirname "$root/dev/$device")"
		: >"$root/dev/$device"
		mount --bind "/dev/$device" "$root/dev/$device"
	done
	mkdir "$root/dev/pts" "$root/dev/shm"
	mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts "$root/dev/pts"
	ln -s pts/ptmx "$root/dev/ptmx"
	mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
	mount -t tmpfs -o mode=755 tmpfs "$root/run"
	for link in fd:fd stdin:fd/0 stdout:fd/1 stderr:fd/2; do ln -s "/proc/self/${link#*:}" "$root/dev/${link%%:*}"; done
}

# enter_root FOLDER: it is / from now on. Not chroot: there a user may not make a user namespace, and who enters the mount namespace
# later would enter it at this machine's root.
enter_root() {
	cd "$1"
	mkdir -p .old
	pivot_root . .old
	cd /
	umount -l /.old
	rmdir /.old
}
