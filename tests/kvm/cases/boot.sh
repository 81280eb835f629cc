# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# A stock kernel with its initramfs only: finds Hyper-V, connects, powers off.
# limit: 120
# takes: 12
# check: standard/1
# long: cloud/1 cloud/2 cloud/4 standard/2 standard/4

host() {
	vm a guest
	mark a up 90
	gone a 30
	check "power off ends the command with 0" [ "$STATUS" = 0 ]
	check "no driver complains" drivers_content a
}

guest() {
	check "the kernel finds Hyper-V" logged "Hypervisor detected: Microsoft Hyper-V"
	check "VMBus 5.3 is agreed" logged "hv_vmbus: Vmbus version:5.3"
	check "every processor is there" [ "$(grep -c ^processor /proc/cpuinfo)" = "$(word cpus)" ]
	check "the reference TSC page is the clock" \
		grep -qx hyperv_clocksource_tsc_page /sys/devices/system/clocksource/clocksource0/current_clocksource
}
