# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# Two controllers, and what people do to disks: verified writes, other people's SCSI tools,
# discard, flush.
# limit: 300
# takes: 40
# check: cloud/2
# long: cloud/1 cloud/4 standard/2

host() {
	local data=$DISKS/data.img left
	root_copy "$DISKS/root.ext4"
	truncate -s 96M "$data"
	truncate -s 48M "$DISKS/second.img"
	truncate -s 24M "$DISKS/fixed.img"
	vm a guest --append root=LABEL=hvbus-root \
		--disk "path=$DISKS/root.ext4" --disk "path=$data,serial=kvm-data" \
		--disk "path=$DISKS/second.img,controller=1" --disk "path=$DISKS/fixed.img,controller=1,readonly"
	mark a moved 180
	check "the root knows where each channel's interrupts go" same_targets
	mark a discarded 240
	left=$(blocks "$data")
	check "what is discarded is a hole in the file ($left blocks left)" \
		[ "$left" = $(((8 * CPUS - 4) * 2048)) ]
	gone a 60
	check "power off ends the command with 0" [ "$STATUS" = 0 ]
	check "no driver complains" drivers_content a
	check "the second controller's disk has what the guest wrote" said a "second $(first_sum "$DISKS/second.img")"
	check "the read-only disk is as it was" [ "$(blocks "$DISKS/fixed.img")" = 0 ]
}

# The guest says where each channel is, by its number.
same_targets() {
	control a inspect --json >"$CASE_DIR/inspect" || return 1
	tr -d '\r' <"$(console a)" | sed -n 's/^@@ channel //p' >"$CASE_DIR/channels"
	[ -s "$CASE_DIR/channels" ] || return 1
	while read -r relid cpu; do
		grep -qE "\"relid\": ?$relid, ?\"target_vp\": ?$cpu," "$CASE_DIR/inspect" || return 1
	done <"$CASE_DIR/channels"
}

blocks() { stat -c %b "$1"; }
first_sum() { head -c 2097152 "$1" | sha256sum | cut -d' ' -f1; }

verified() {
	fio --name=v "--filename=$1" --direct=1 --ioengine=libaio --iodepth=32 --bs=16k --rw=randwrite "--size=$2" \
		--numjobs="$3" --offset_increment="$2" --verify=crc32c --do_verify=1 --verify_fatal=1 --group_reporting
}

# Interrupts of every channel wander over the processors while it is used.
moved_under_load() {
	local i c n=0
	verified "/dev/$1" 4M 1 &
	for i in $(seq 6); do
		for c in "$(vmbus_of "$1")"/channels/*; do
			n=$((n + 1))
			echo $(((i + n) % $(word cpus))) >"$c/cpu" || return 1
		done
		sleep 0.2
	done
	wait $! || return 1
	for c in "$(vmbus_of "$1")"/channels/*; do say "channel ${c##*/} $(cat "$c/cpu")"; done
}

refused() { ! "$@"; }

scsi_tools() {
	check "sg_inq" says Msft sg_inq "$1"
	check "sg_vpd, serial number" says kvm-data sg_vpd --page=sn "$1"
	check "sg_vpd, block limits" says "unmap" sg_vpd --page=bl "$1"
	check "sg_vpd, provisioning" says "LBPU" sg_vpd --page=lbpv "$1"
	check "sg_readcap" says "Number of logical blocks=196608" sg_readcap --16 "$1"
	check "sg_opcodes" says "Synchronize cache" sg_opcodes "$1"
	check "sg_modes" says "Caching" sg_modes --all "$1"
	check "sg_luns" says "Lun list length" sg_luns "$1"
	check "sg_turs" sg_turs "$1"
}

guest() {
	local data second fixed
	check "every disk comes" wait_for 60 four_disks
	data=$(disk_of 96)
	second=$(disk_of 48)
	fixed=$(disk_of 24)
	check "there are two controllers" [ "$(storvsc_hosts)" = 2 ]
	check "a channel for every processor" [ "$(storvsc_channels "$data")" -ge "$(word cpus)" ]
	check "fio verifies what it wrote, 32 deep" verified "/dev/$data" 8M "$(word cpus)"
	check "both processors' channels worked" channels_used "$data"
	check "channels move from processor to processor under I/O" moved_under_load "$data"
	say moved
	scsi_tools "/dev/$data"
	# Of the 8 MiB for each processor that fio has written.
	check "blkdiscard" /usr/bin/blkdiscard --offset 2MiB --length 4MiB "/dev/$data"
	check "discarded blocks read as zeroes" zeroes "$data" 2 4
	say discarded
	check "mkfs and e2fsck agree on a file system" made_and_clean "/dev/$second"
	dd if=/dev/urandom of="/dev/$second" bs=1M count=2 conv=fsync || say "failed writing $second"
	check "hdparm flushes" /usr/bin/hdparm -f "/dev/$second"
	check "blockdev flushes" /usr/bin/blockdev --flushbufs "/dev/$second"
	check "sg_sync flushes" sg_sync "/dev/$second"
	say "second $(first_sum "/dev/$second")"
	check "the read-only disk is read-only" [ "$(cat "/sys/block/$fixed/ro")" = 1 ]
	check "writing to it is refused" refused dd if=/dev/zero of="/dev/$fixed" bs=4k count=1 conv=fsync
}

four_disks() { disk_of 96 && disk_of 48 && disk_of 24; }
zeroes() { dd if="/dev/$1" bs=1M skip="$2" count="$3" | cmp -n $(($3 * 1048576)) - /dev/zero; }
made_and_clean() { mkfs.ext4 -q -F "$1" && e2fsck -fn "$1"; }
