#!/bin/bash
# First process of a private libvirt's namespaces: libvirtd and every QEMU it starts are below it. It lives as long as its
# standard input is open, so whoever holds the other end, however that one ends, takes all of them along; then it removes
# their folder. bash, because it also reaps the QEMUs, which are daemons and no children of libvirtd.
# Orders on standard input, one a line: start, crash, look. Each is answered by a line: is a libvirtd "up" or "gone"?
folder=$1 mode=$2 host=$3

if [ -n "$host" ]; then echo "$host" >/proc/sys/kernel/hostname || exit 1; fi

add_account() {
	cp "/etc/$1" "$folder/$1"
	grep -q '^libvirt-qemu:' "$folder/$1" || echo "$2" >>"$folder/$1"
	mount --bind "$folder/$1" "/etc/$1" || exit 1
}

if [ "$mode" = system ]; then
	for place in etc run var/lib var/log var/cache; do
		# Where the machine has no such folder, its parent is covered: nothing is left on the machine afterwards.
		[ -d "/$place/libvirt" ] || { mount -t tmpfs -o mode=755 tmpfs "/$place" && mkdir "/$place/libvirt"; } || exit 1
		mkdir -p "$folder/$place"
		mount --bind "$folder/$place" "/$place/libvirt" || exit 1
	done
	# libvirtd wants these accounts to exist, whoever qemu.conf then names.
	add_account passwd 'libvirt-qemu:x:64055:64055::/:/bin/false'
	add_account group 'libvirt-qemu:x:64055:'
	config=/etc/libvirt/libvirtd.conf
else
	export HOME=$folder XDG_RUNTIME_DIR=$folder/run XDG_CONFIG_HOME=$folder/etc XDG_CACHE_HOME=$folder/cache
	export XDG_DATA_HOME=$folder/lib
	config=$folder/etc/libvirt/libvirtd.conf
fi

while read -r order; do
	case $order in
	start)
		libvirtd -f "$config" -p "$folder/libvirtd.pid" </dev/null >>"$folder/libvirtd.out" 2>&1 &
		daemon=$!
		;;
	crash)
		kill -KILL "$daemon"
		wait "$daemon" 2>/dev/null
		;;
	esac
	kill -0 "$daemon" 2>/dev/null && echo up || echo gone
done

trap '' TERM INT HUP
kill -KILL -1 2>/dev/null
# Killed ones may still hold a mount or write a last line.
for _ in 1 2 3 4 5 6 7 8 9 10; do
	rm -rf "$folder" 2>/dev/null && break
	sleep 0.1
done
