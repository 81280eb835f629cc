# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# `hvbus run` is killed while its guest writes, again and again on the same image, and started at
# once on what the one before left locked and half written. After each kill, outside: the journal
# brings the file system in order, and every file that the guest had fsynced is there as it was.
# Fifty kills in all variants together.
# limit: 900
# takes: 90 cloud/2=730 standard/1=370
# check: cloud/1
# long: cloud/2 standard/1

kills() {
	case $FLAVOUR/$CPUS in
	cloud/1) echo 2 ;;
	cloud/2) echo 32 ;;
	*) echo 16 ;;
	esac
}

host() {
	local n=0 disk=$DISKS/disk.ext4
	mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 "$disk" 64M || give_up "cannot make a file system"
	: >"$CASE_DIR/synced"
	while [ $n -lt "$(kills)" ]; do
		n=$((n + 1))
		boot "vm$n" "$disk" "$n"
		mark "vm$n" "writes" 120
		wait_for 60 synced "vm$n" $((n % 7 + 3)) || give_up "vm$n: the guest fsyncs no files"
		# Anywhere between two lines of the guest, and inside of what it does for one.
		sleep "0.$((n * 37 % 100))"
		kill -9 "$(pid "vm$n")"
		gone "vm$n" 30
		check "kill $n hit while it ran" [ "$STATUS" = 137 ]
		[ $n = 1 ] || check "kill $n: the guest's journal recovered from the one before" said "vm$n" recovered
		files "vm$n"
		cp "$disk" "$disk.copy"
		check "kill $n: the journal recovers outside" e2fsck -y -E journal_only "$disk.copy"
		check "kill $n: e2fsck finds nothing then" e2fsck -fn "$disk.copy"
		check "kill $n: all $(wc -l <"$CASE_DIR/synced") fsynced files are there" intact "$disk.copy"
	done
	boot last "$disk" 0
	gone last 120
	check "the last start ends with 0" [ "$STATUS" = 0 ]
	check "its journal recovered" said last recovered
	check "no driver complains" drivers_content last
	check "e2fsck finds nothing" e2fsck -fn "$disk"
	check "all fsynced files are there" intact "$disk"
}

# boot NAME DISK ROUND: the control socket is always the same, and was not cleared away
boot() {
	vm "$1" guest --append "round=$3 modules=hv_storvsc,sd_mod,ext4" --control "$(socket kill)" --disk "path=$2"
}

synced() { [ "$(tr -d '\r' <"$(console "$1")" | grep -c '^@@ synced .* \.$')" -ge "$2" ]; }

# files NAME: sum and name of each file, as the guest said when it was fsynced. The last line may
# have been cut before its end, which must not become the next machine's.
files() {
	{ tr -d '\r' <"$(console "$1")" && echo; } | sed -nE 's/^@@ synced ([0-9a-f]{64} [a-z0-9-]+) \.$/\1/p' >>"$CASE_DIR/synced"
}

# intact IMAGE: by a program that has nothing to do with us
intact() {
	local sum name bad=0
	rm -rf "$DISKS/files"
	mkdir "$DISKS/files"
	debugfs -R "rdump /data $DISKS/files" "$1" 2>/dev/null
	[ -s "$CASE_DIR/synced" ] || return 1
	while read -r sum name; do
		[ "$(sha256sum <"$DISKS/files/data/$name" | cut -d' ' -f1)" = "$sum" ] && continue
		say "$name is not what was fsynced"
		bad=1
	done <"$CASE_DIR/synced"
	[ $bad = 0 ]
}

guest() {
	local round n=0 sum
	round=$(word round)
	wait_for 60 disk_of 64 || say "failed no disk"
	mount -t ext4 /dev/sda /mnt || say "failed the file system cannot be mounted"
	! logged "EXT4-fs (sda): recovery complete" || say "recovered"
	if [ "$round" = 0 ]; then
		umount /mnt
		return
	fi
	mkdir -p /mnt/data /mnt/noise
	noise &
	say "writes"
	while n=$((n + 1)); do
		head -c $((n * 7919 % 20000 + 1)) /dev/urandom >/tmp/new
		sum=$(sha256sum </tmp/new | cut -d' ' -f1)
		dd if=/tmp/new of="/mnt/data/r$round-$n" bs=64k conv=fsync || say "failed writing"
		# Whole, or it does not count: the kill may hit in the middle of the line.
		say "synced $sum r$round-$n ."
	done
}

# Changes of files and names that are never fsynced, so that there is always something half done.
noise() {
	local i=0
	while i=$(((i + 1) % 20)); do
		dd if=/dev/zero of=/mnt/noise/new bs=4k count=$((i * 3))
		mv /mnt/noise/new "/mnt/noise/file$i"
		rm -f "/mnt/noise/file$(((i + 7) % 20))"
	done
}
