# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# The guest begins anew with its devices intact, however it came to that: by itself in good order,
# on request, in the middle of its I/O by each way to reset a PC, or by our reset button.
# limit: 600
# takes: 80 cloud/2=190 cloud/4=200 standard/2=195
# check: cloud/1
# long: cloud/2 cloud/4 standard/2

ways() {
	case $FLAVOUR/$CPUS in
	cloud/1) echo asked,triple,button ;;
	*) echo self,asked,acpi,triple,kbd,pci,button ;;
	esac
}

host() {
	local n=0 way
	truncate -s 32M "$DISKS/data.img"
	truncate -s 8M "$DISKS/notes.img"
	vm a guest --append "ways=$(ways)" --disk "path=$DISKS/data.img" \
		--disk "path=$DISKS/notes.img,controller=1" \
		--switch name=lan,type=private,guest-mac=on --nic switch=lan,mac=02:00:00:00:00:77
	case $(ways) in *triple*) faults_are_meant ;; esac
	for way in $(ways | tr , ' '); do
		mark a "ready $n for $way" 120
		check "start $n: the guest answers heartbeats" wait_for 30 inspected a "heartbeat ok"
		case $way in
		asked) check "a restart is asked for" control a reboot --timeout 120 ;;
		button) check "the reset button is pushed" control a reboot --force ;;
		esac
		n=$((n + 1))
	done
	mark a "ready $n for nothing" 120
	check "it started $((n + 1)) times" inspected_json a "\"starts\":$((n + 1)),"
	check "a shutdown is asked for" control a shutdown --timeout 120
	gone a 60
	check "shutdown ends the command with 0" [ "$STATUS" = 0 ]
	check "no driver complains" drivers_content a
	check "every start found its devices" [ "$(grep -c "^@@ ok .* has its devices" "$(console a)")" = $((n + 1)) ]
}

guest() {
	local data notes step way
	check "the disks come" wait_for 60 both_disks
	data=/dev/$(disk_of 32)
	notes=/dev/$(disk_of 8)
	step=$(note "$notes" 1)
	step=${step:-0}
	way=$(word ways | cut -d, -f$((step + 1)))
	check "start $step has its devices" devices
	[ "$step" = 0 ] || check "start $step: what was flushed before is there" [ "$(sum_of "$data")" = "$(note "$notes" 2)" ]
	dd if=/dev/urandom of="$data" bs=1M count=1 conv=fsync
	echo "$((step + 1)) $(sum_of "$data")" | dd of="$notes" bs=512 conv=sync,fsync
	case $way in
	triple | acpi | kbd | pci | button) check "start $step: the disk is busy" keep_busy "$data" ;;
	esac
	complaints
	say "ready $step for ${way:-nothing}"
	leave "$way"
}

both_disks() { disk_of 32 && disk_of 8; }
sum_of() { dd if="$1" bs=1M count=1 iflag=direct | sha256sum | cut -d' ' -f1; }
# note DISK WORD: of what the start before left
note() { dd if="$1" bs=512 count=1 | tr -d '\0' | cut -d' ' -f"$2"; }

devices() {
	local d
	logged "hv_vmbus: Vmbus version:5.3" && [ "$(storvsc_hosts)" = 2 ] || return 1
	[ "$(find /sys/bus/vmbus/drivers/hv_utils/ -name '*-*-*' | wc -l)" -ge 2 ] || return 1
	for d in /sys/class/net/*; do
		[ "$(cat "$d/address")" = 02:00:00:00:00:77 ] && return
	done
	return 1
}

leave() {
	case $1 in
	self) reboot -f ;;
	asked)
		wait_for 120 restart_asked || say "failed nobody asked for a restart"
		reboot -f
		;;
	acpi | triple | kbd | pci)
		sleep 0.5
		echo "$1" >/sys/kernel/reboot/type
		echo b >/proc/sysrq-trigger
		;;
	button) ;;
	*) wait_for 120 shutdown_asked && return ;;
	esac
	sleep 120
	say "failed it goes on"
}
