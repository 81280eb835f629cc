# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# After a panic a second kernel saves what the first one knew, however long that takes; and a guest
# that only waits for its end gets it.
# limit: 240
# takes: 90
# long: cloud/1

host() {
	mkdir "$DISKS/next"
	cp "$KVM_HARNESS/kernels/$FLAVOUR/vmlinuz" "$KVM_HARNESS/kernels/$FLAVOUR/initrd" "$DISKS/next/"
	mkfs.ext4 -q -d "$DISKS/next" "$DISKS/next.img" 96M || give_up "cannot make a disk for the next kernel"
	truncate -s 32M "$DISKS/data.img"
	vm a guest --memory 512M --append crashkernel=192M --on-panic exit \
		--disk "path=$DISKS/data.img" --disk "path=$DISKS/next.img,controller=1"
	mark a "second" 180
	check "the panic was reported" grep -q "guest panic on VP" "$CASE_DIR/a.log"
	gone a 120
	check "its end is that of the panic" [ "$STATUS" = 3 ]
	check "the dump is on the disk" [ "$(head -c 4 "$DISKS/data.img" | tail -c 3)" = ELF ]

	vm b dies --append panic=0 --on-panic exit
	mark b up 90
	gone b 90
	check "a guest that waits for its end gets it" [ "$STATUS" = 3 ]
}

guest() {
	check "the disks come" wait_for 60 both_disks
	if [ -e /proc/vmcore ]; then
		say "second"
		sleep 15 # longer than a guest may be silent, which this one is not
		check "the first kernel's memory is saved" \
			dd if=/proc/vmcore of="/dev/$(disk_of 32)" bs=64k count=16 conv=fsync
		return
	fi
	mount -o ro "/dev/$(disk_of 96)" /mnt
	/run/harness/tools/kexec crash /mnt/vmlinuz /mnt/initrd "$(sed 's/crashkernel=[^ ]*//' /proc/cmdline)" ||
		say "failed the kernel cannot be loaded"
	dies
}

both_disks() { disk_of 32 && disk_of 96; }

dies() {
	echo c >/proc/sysrq-trigger
	sleep 60
}
