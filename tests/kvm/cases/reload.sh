# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# The storage driver of a data disk is unloaded and loaded ten times: each time both controllers
# come with all their channels, and the file system has what was written before.
# limit: 240
# takes: 35
# check: cloud/1
# long: cloud/2 cloud/4 standard/2

rounds=10

host() {
	local data=$DISKS/data.img
	mkfs.ext4 -q "$data" 48M || give_up "mkfs.ext4 failed"
	truncate -s 24M "$DISKS/second.img"
	vm a guest --disk "path=$data" --disk "path=$DISKS/second.img,controller=1"
	mark a "round 0" 120
	check "every channel is open" wait_for 60 all_open a
	bus_has >"$CASE_DIR/before"
	for i in $(seq $rounds); do
		mark a "round $i" 90
	done
	check "and again" wait_for 60 all_open a
	bus_has >"$CASE_DIR/after"
	check "the bus has channels" grep -q relid "$CASE_DIR/before"
	check "and what it had before" cmp "$CASE_DIR/before" "$CASE_DIR/after"
	check "the guest is told to end" control a disk add --disk engine=memory,size=2M
	gone a 60
	check "power off ends the command with 0" [ "$STATUS" = 0 ]
	check "no driver complains" drivers_content a
	check "e2fsck finds nothing" e2fsck -fn "$data"
	check "the file of every round is there" all_files "$data"
}

# What it looked at is kept: at the next look the guest may be at its first unloading.
all_open() {
	control "$1" inspect --json >"$CASE_DIR/inspected" && ! grep -q '"state": *"offered"' "$CASE_DIR/inspected"
}

# What would grow if something were left behind. Sorted: the controllers are opened in any order.
bus_has() {
	grep -oE '"(gpadls|gpadl_pages|dropped|channels_open|stuck_ever|device|sub_channel|relid|state)": ?[^,}]*' "$CASE_DIR/inspected" |
		sed 's/"waiting"/"ready"/' | sort # a heartbeat is under way, or not
}

all_files() {
	for i in $(seq 0 $rounds); do
		debugfs -R "cat /file$i" "$1" 2>/dev/null | sha256sum | cut -d' ' -f1 >"$DISKS/sum"
		said a "file$i $(cat "$DISKS/sum")" || return 1
	done
}

# ---- in the guest -----------------------------------------------------------------------------

both_disks() { disk_of 48 && disk_of 24; }
no_disks() { ! both_disks && [ "$(storvsc_hosts)" = 0 ]; }
all_channels() {
	[ "$(storvsc_channels "$(disk_of 48)")" = "$(word cpus)" ] && [ "$(storvsc_channels "$(disk_of 24)")" = "$(word cpus)" ]
}

guest() {
	check "the disks come" wait_for 60 both_disks
	modprobe ext4
	mkdir -p /tmp/fs
	check "they are used" used 0
	say "round 0"
	sleep 3 # while the bus is looked at
	for i in $(seq $rounds); do
		check "unloaded, loaded, used, time $i" reloaded "$i"
		say "round $i"
	done
	check "a disk is added to the driver of now" wait_for 60 disk_of 2
}

# reloaded ROUND: few results, because each costs; the step that failed is the last in the log
reloaded() {
	step rmmod hv_storvsc && step wait_for 20 no_disks && step modprobe hv_storvsc &&
		step wait_for 60 both_disks && used "$1"
}

step() {
	echo "+ $*"
	"$@"
}

# used ROUND: what was written before is read, and something written
used() {
	local data other
	step wait_for 30 all_channels || return 1
	data=/dev/$(disk_of 48) other=/dev/$(disk_of 24)
	step mount -t ext4 "$data" /tmp/fs && step earlier_files || return 1
	head -c $((($1 + 1) * 99991)) /dev/urandom >"/tmp/fs/file$1" || return 1
	(cd /tmp/fs && sha256sum file* >sums) || return 1
	say "file$1 $(sha256sum <"/tmp/fs/file$1" | cut -d' ' -f1)"
	step umount /tmp/fs && step written_and_read "$other" "$1"
}

earlier_files() { [ ! -e /tmp/fs/sums ] || (cd /tmp/fs && sha256sum -c sums); }
written_and_read() {
	head -c 262144 /dev/urandom >/tmp/some
	dd if=/tmp/some of="$1" bs=64k seek="$2" conv=notrunc,fsync || return 1
	echo 3 >/proc/sys/vm/drop_caches
	dd if="$1" bs=64k skip="$2" count=4 | cmp - /tmp/some
}
