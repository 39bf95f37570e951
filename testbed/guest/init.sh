#!/bin/sh
# First process of the test guest: loads what disks need, then a record-writer for every disk there is or comes.
/bin/busybox mkdir -p /proc /sys /dev /tmp
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox --install -s /bin
while read -r module; do insmod "/modules/$module"; done </modules.order

rate=20 span=0
for word in $(cat /proc/cmdline); do
	case $word in
	writer.rate=*) rate=${word#*=} ;;
	writer.span=*) span=${word#*=} ;;
	esac
done

# The power button turns the guest off.
for event in /dev/input/event*; do
	(dd if="$event" bs=24 count=1 >/dev/null 2>&1 && { sync; poweroff -f; }) &
done
echo "guest up"

# Emulated, each program that is started costs as much as a record: a shell's own `read` waits for what never comes.
mkfifo /tmp/never
exec 9<>/tmp/never
while :; do
	for disk in /sys/block/vd*; do
		name=${disk##*/}
		[ -e "$disk" ] && [ ! -e "/tmp/$name" ] || continue
		: >"/tmp/$name"
		(/bin/record-writer "$name" "$rate" "$span"; rm "/tmp/$name") &
	done
	read -r -t 0.2 -u 9 _
done
