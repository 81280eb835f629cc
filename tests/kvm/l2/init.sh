#!/bin/sh
# SPDX-License-Identifier: MIT
# First program of level 2: loads the in-box drivers, mounts root= if there is one, and runs
# the part of the case that the command line names.
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys

# word NAME: NAME=... of the command line
word() {
	sed -nE "s/^(.* )?$1=([^ ]*).*/\2/p" /proc/cmdline
}

# Fewer modules, where a case starts often.
modules=$(word modules | tr , ' ')
# shellcheck disable=SC2086
modprobe -a hv_vmbus ${modules:-hv_storvsc hv_netvsc hv_utils sd_mod sg}
root=$(word root)
if [ -n "$root" ]; then
	modprobe ext4
	for _ in $(seq 300); do
		case $root in
		LABEL=*) dev=$(findfs "$root" 2>/dev/null) && root=$dev ;;
		esac
		[ -b "$root" ] && break
		sleep 0.1
	done
	if ! mount -t ext4 -o rw "$root" /mnt; then
		echo "@@ failed no root file system on $root"
		poweroff -f
	fi
	mount -t tmpfs run /mnt/run
	cp -r /harness /mnt/run/harness
	for d in dev proc sys; do mount --move /$d /mnt/$d; done
	exec switch_root /mnt /run/harness/l2/main.sh
fi
mkdir -p /run
ln -s /harness /run/harness
exec /harness/l2/main.sh
