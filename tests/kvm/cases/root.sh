# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# The root file system on a synthetic disk, a shutdown on request, and what is on the disk then.
# limit: 180
# takes: 18
# check: cloud/2
# long: cloud/1 cloud/4 standard/2

host() {
	local disk=$DISKS/root.ext4
	root_copy "$disk"
	vm a guest --append root=/dev/sda --disk "path=$disk"
	mark a ready 150
	check "a shutdown is asked for" control a shutdown
	gone a 60
	check "shutdown ends the command with 0" [ "$STATUS" = 0 ]
	check "no driver complains" drivers_content a
	check "e2fsck finds nothing" e2fsck -fn "$disk"
	check "every file has the bytes that the guest wrote" same_files "$disk"
}

same_files() {
	mkdir -p "$DISKS/files"
	debugfs -R "rdump /data $DISKS/files" "$1" || return 1
	[ "$(wc -l <"$DISKS/files/data/sums")" = 24 ] || return 1
	# The list came over the disk too: the console says what it has to be.
	said a "list $(sha256sum <"$DISKS/files/data/sums" | cut -d' ' -f1)" || return 1
	(cd "$DISKS/files/data" && sha256sum -c sums)
}

guest() {
	check "the disk is Hyper-V's" grep -q ^Msft /sys/block/sda/device/vendor
	check "hv_storvsc drives it" storvsc_has sda
	check "the root file system is on it" grep -qE '^/dev/sda / ext4 rw' /proc/mounts
	mkdir /data
	for i in $(seq 24); do
		head -c $((i * i * 911)) /dev/urandom >"/data/file$i"
	done
	(cd /data && sha256sum file* >sums)
	say "list $(sha256sum </data/sums | cut -d' ' -f1)"
	say ready
	wait_for 120 shutdown_asked || say "failed nobody asked for a shutdown"
}
