# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# Disks that come, grow and go while the guest runs: it sees each without being told to look, and
# one that goes under I/O harms nobody else.
# limit: 240
# takes: 45
# check: cloud/1
# long: cloud/2 cloud/4 standard/2

place=0:5

host() {
	local new=$DISKS/new.img fixed=$DISKS/fixed.img
	root_copy "$DISKS/root.ext4"
	truncate -s 64M "$DISKS/keep.img"
	truncate -s 48M "$DISKS/second.img"
	head -c 41943040 /dev/urandom >"$new"
	head -c 25165824 /dev/urandom >"$fixed"
	vm a guest --append root=LABEL=hvbus-root --disk "path=$DISKS/root.ext4" \
		--disk "path=$DISKS/keep.img" --disk "path=$DISKS/second.img,controller=1"
	mark a ready 120
	comes_and_grows "$new"
	comes_write_protected "$fixed"
	goes_under_load "$new"
	goes_mounted
	gone a 60
	check "power off ends the command with 0" [ "$STATUS" = 0 ]
	check "no driver complains, but of what was taken away" drivers_content a
	check "the write-protected disk is as it was" [ "$(sum "$fixed")" = "$fixed_sum" ]
}

sum() { sha256sum "$1" | cut -d' ' -f1; }
piece() { dd if="$1" bs=1M skip="$2" count="$3" 2>/dev/null | sha256sum | cut -d' ' -f1; }

comes_and_grows() {
	check "a disk is added" control a disk add --disk "path=$1,lun=${place#*:},serial=kvm-new"
	mark a "new $(piece "$1" 0 40)" 90
	mark a "wrote" 60
	check "a disk grows" control a disk resize --disk $place --size 56M
	mark a "grown" 90
}

comes_write_protected() {
	fixed_sum=$(sum "$1")
	check "a write-protected disk is added" control a disk add --disk "path=$1,controller=1,lun=7,readonly"
	mark a "fixed $fixed_sum" 90
}

goes_under_load() {
	local tail
	tail=$(piece "$1" 55 1)
	mark a busy 120
	check "a disk is removed under I/O" control a disk remove --disk $place --wait 30
	mark a "harmless" 180
	check "its last bytes are in the file" [ "$(piece "$1" 55 1)" = "$tail" ]
	check "its file is free and comes again" control a disk add --disk "path=$1,lun=${place#*:}"
	mark a "again $tail" 90
	check "an idle disk is removed" control a disk remove --disk $place --wait 30
	mark a "idle" 60
}

goes_mounted() {
	mkfs.ext4 -q "$DISKS/fs.img" 32M || give_up "mkfs.ext4 failed"
	check "a file system is added" control a disk add --disk "path=$DISKS/fs.img,controller=1"
	mark a mounted 90
	check "it is removed while files are written" control a disk remove --disk 1:1 --wait 30
	mark a unmounted 120
}

# ---- in the guest -----------------------------------------------------------------------------

gone_from() { [ ! -e "/sys/block/$1" ]; }
written() { awk '{ print $7 }' "/sys/block/$1/stat"; }
wrote_some() { [ "$(written "$1")" -gt "$2" ]; }
address() { basename "$(readlink -f "/sys/block/$1/device")"; }
refused() { ! "$@"; }

# of DISK: what the kernel says about a disk that is taken away
of() { expect "dev $1,|dev $1\\>|\\[$1\\]|device $1|$1-[0-9]|\\($1\\)|s(d|csi) $(address "$1"): |srb 0x20 |callbacks suppressed"; }

other_errors() { dmesg | grep -E 'I/O error|device offline|critical .* error' | grep -vE "dev $1,|dev $1\\>"; }
nobody_else() {
	if other_errors "$1"; then return 1; fi
}
hung() { dmesg | grep 'blocked for more than' || grep -l '^State:.*D (disk sleep)' /proc/[0-9]*/status; }
nothing_hangs() { ! hung; }

guest() {
	check "the disks come" wait_for 60 both_disks
	keep=$(disk_of 64)
	echo 20 >/proc/sys/kernel/hung_task_timeout_secs
	say ready
	new_disk
	fixed_disk
	removal_under_load
	removal_of_mounted
}

both_disks() { disk_of 64 && disk_of 48; }

new_disk() {
	local new
	check "an added disk is seen" wait_for 60 disk_of 40
	new=$(disk_of 40)
	check "it is the one that was added" says kvm-new sg_vpd --page=sn "/dev/$new"
	say "new $(sha256sum <"/dev/$new" | cut -d' ' -f1)"
	check "it is written" dd if=/dev/urandom of="/dev/$new" bs=1M count=2 conv=fsync
	say wrote
	check "its new size is seen, although nobody uses it" wait_for 60 disk_of 56
	check "what is new of it is written" dd if=/dev/urandom of="/dev/$new" bs=1M seek=55 count=1 conv=fsync
	say grown
}

fixed_disk() {
	local fixed
	check "a disk is seen on the other controller" wait_for 60 disk_of 24
	fixed=$(disk_of 24)
	check "the disks are on two controllers" [ "$(vmbus_of "$fixed")" != "$(vmbus_of "$keep")" ]
	check "it is write-protected" [ "$(cat "/sys/block/$fixed/ro")" = 1 ]
	check "writing to it is refused" refused dd if=/dev/zero of="/dev/$fixed" bs=4k count=1 conv=fsync
	say "fixed $(sha256sum <"/dev/$fixed" | cut -d' ' -f1)"
}

verified_until_told() {
	until [ -e /tmp/enough ]; do
		fio --name=keep "--filename=/dev/$keep" --direct=1 --ioengine=libaio --iodepth=16 --bs=16k \
			--rw=randwrite --size=8M --verify=crc32c --do_verify=1 --verify_fatal=1 || return 1
	done
}

removal_under_load() {
	local victim load other
	victim=$(disk_of 56)
	of "$victim"
	verified_until_told &
	other=$!
	fio --name=victim "--filename=/dev/$victim" --direct=1 --ioengine=libaio --iodepth=16 --bs=8k --rw=randrw \
		--size=48M --time_based --runtime=600 &
	load=$!
	check "it is used" wait_for 60 wrote_some "$victim" 8192
	say busy
	check "a removed disk is gone" wait_for 60 gone_from "$victim"
	check "who used it is told" refused wait $load
	touch /tmp/enough
	check "who used another is not, and reads what was written" wait $other
	check "no other disk has errors" nobody_else "$victim"
	check "nothing hangs" wait_for 30 nothing_hangs
	say harmless
	check "it comes again" wait_for 60 disk_of 56
	victim=$(disk_of 56)
	of "$victim"
	say "again $(dd "if=/dev/$victim" bs=1M skip=55 count=1 | sha256sum | cut -d' ' -f1)"
	check "it goes unused" wait_for 60 gone_from "$victim"
	say idle
}

writing() {
	local i=0
	while dd if=/dev/zero "of=/tmp/fs/file$((i % 8))" bs=64k count=8 conv=fsync; do i=$((i + 1)); done
	touch /tmp/told
}

removal_of_mounted() {
	local victim
	wait_for 60 disk_of 32 || say "failed no disk with a file system came"
	victim=$(disk_of 32)
	of "$victim"
	mkdir -p /tmp/fs
	check "a file system is mounted" mount -t ext4 "/dev/$victim" /tmp/fs
	writing &
	check "it is written to" wait_for 60 test -s /tmp/fs/file3
	say mounted
	check "it is gone under its file system" wait_for 60 gone_from "$victim"
	check "who wrote is told" wait_for 60 test -e /tmp/told
	check "it is unmounted" umount /tmp/fs
	check "nothing hangs" wait_for 30 nothing_hangs
	check "the other disk works" dd if=/dev/zero "of=/dev/$keep" bs=1M count=4 conv=fsync
	say unmounted
}
