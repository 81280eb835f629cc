# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# Another kernel takes over in the middle of I/O, without a reset: the bus is left and joined again
# while we see nothing of it but messages.
# limit: 180
# takes: 32
# check: cloud/1
# long: cloud/2 standard/2

host() {
	mkdir "$DISKS/next"
	cp "$KVM_HARNESS/kernels/$FLAVOUR/vmlinuz" "$KVM_HARNESS/kernels/$FLAVOUR/initrd" "$DISKS/next/"
	mkfs.ext4 -q -d "$DISKS/next" "$DISKS/next.img" 96M || give_up "cannot make a disk for the next kernel"
	truncate -s 32M "$DISKS/data.img"
	vm a guest --memory 384M --disk "path=$DISKS/data.img" --disk "path=$DISKS/next.img,controller=1" \
		--switch name=lan,type=private --nic switch=lan
	mark a "first" 90
	check "the first kernel answers heartbeats" wait_for 30 inspected a "heartbeat ok"
	mark a "second" 120
	check "the next kernel answers heartbeats" wait_for 30 inspected a "heartbeat ok"
	check "nothing was reset" inspected_json a '"starts":1,'
	check "a shutdown is asked for" control a shutdown --timeout 120
	gone a 60
	check "shutdown ends the command with 0" [ "$STATUS" = 0 ]
	check "no driver complains" drivers_content a
}

guest() {
	local data why
	check "the disks come" wait_for 60 both_disks
	data=/dev/$(disk_of 32)
	check "there are two controllers" [ "$(storvsc_hosts)" = 2 ]
	check "VMBus 5.3 is agreed" logged "hv_vmbus: Vmbus version:5.3"
	check "every processor is there" [ "$(grep -c ^processor /proc/cpuinfo)" = "$(word cpus)" ]
	check "the NIC is there" [ -n "$(find /sys/bus/vmbus/drivers/hv_netvsc/ -name '*-*-*')" ]
	[ -z "$(word sum)" ] || next "$data"
	dd if=/dev/urandom of="$data" bs=1M count=1 conv=fsync
	modprobe ext4
	mount -t ext4 -o ro "/dev/$(disk_of 96)" /mnt
	why=$(/run/harness/tools/kexec load /mnt/vmlinuz /mnt/initrd "$(cat /proc/cmdline) sum=$(sum_of "$data")" 2>&1) ||
		say "failed the kernel cannot be loaded: $why"
	check "the disk is busy" keep_busy "$data"
	complaints
	say "first"
	sleep 3 # who asks for heartbeats sees one
	/run/harness/tools/kexec go
	say "failed it goes on"
}

both_disks() { disk_of 32 && disk_of 96; }
sum_of() { dd if="$1" bs=1M count=1 iflag=direct | sha256sum | cut -d' ' -f1; }

next() {
	check "what was flushed before is there" [ "$(sum_of "$1")" = "$(word sum)" ]
	check "the disk works" keep_busy "$1"
	say "second"
	wait_for 120 shutdown_asked || say "failed nobody asked for a shutdown"
	not_busy
	off
}
