#!/bin/sh
# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# Level 2 with its drivers loaded: runs the part of the case that the command line names. The
# console gets only lines with @@ in front, because each costs; all else is in /run/log and is
# shown when something failed.
export PATH=/usr/bin:/bin:/usr/sbin:/sbin
mount -t tmpfs tmp /tmp
mkdir -p /dev/pts /dev/shm
mount -t tmpfs shm /dev/shm
[ -d /run/harness ] || exit 1

word() {
	sed -nE "s/^(.* )?$1=([^ ]*).*/\2/p" /proc/cmdline
}
exec 3>/dev/console

# say TEXT: a line for the host part
say() { echo "@@ $*" >&3; }

# check WHAT COMMAND...: one result, seen by the host part when the machine ends
check() {
	local what=$1
	shift
	echo "+ $*"
	if "$@"; then
		say "ok $what"
	else
		say "FAILED $what"
		failed=1
	fi
}

# wait_for SECONDS COMMAND...
wait_for() {
	local end=$(($(cut -d. -f1 /proc/uptime) + $1 * $(word scale)))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(cut -d. -f1 /proc/uptime)" -lt "$end" ] || return 1
		sleep 0.1
	done
}

# logged TEXT: the kernel said it
logged() { dmesg | grep -qF -- "$1"; }

# says TEXT COMMAND...: it succeeds and prints the text
says() {
	local text=$1 out
	shift
	out=$("$@" 2>&1) || { echo "$out" && return 1; }
	echo "$out" | grep -qiF -- "$text" && return
	echo "$out"
	return 1
}

# ---- synthetic disks ------------------------------------------------------------------------------

# disk_of MIB: the name of the disk of this size
disk_of() {
	local d
	for d in /sys/block/sd*; do
		[ "$(cat "$d/size")" = $(($1 * 2048)) ] && echo "${d##*/}" && return
	done
	return 1
}

# vmbus_of DISK: the folder of its controller on the bus
vmbus_of() { readlink -f "/sys/block/$1/device" | sed -E 's,/host[0-9].*,,'; }
storvsc_has() { [ "$(basename "$(readlink "$(vmbus_of "$1")/driver")")" = hv_storvsc ]; }
storvsc_hosts() { grep -lx storvsc_host /sys/class/scsi_host/*/proc_name 2>/dev/null | wc -l; }
storvsc_channels() { find "$(vmbus_of "$1")/channels" -mindepth 1 -maxdepth 1 | wc -l; }

# channels_used DISK: every channel of its controller has been interrupted
channels_used() {
	local c
	for c in "$(vmbus_of "$1")"/channels/*; do
		echo "$c: $(cat "$c/cpu") $(cat "$c/interrupts") $(cat "$c/events")"
		[ "$(cat "$c/interrupts")" -gt 0 ] || return 1
	done
}

# keep_busy DISK: writes to its last three quarters, in the background, until not_busy
keep_busy() {
	local size
	size=$(($(cat "/sys/block/${1##*/}/size") / 2048))
	while dd if=/dev/zero of="$1" bs=256k seek=$size count=$((size * 3)) oflag=direct; do :; done &
	busy=$!
	wait_for 20 in_flight "${1##*/}"
}
not_busy() { kill "$busy"; }
in_flight() { awk '{ exit $1 + $2 == 0 }' "/sys/block/$1/inflight"; }

# ---- synthetic NICs -------------------------------------------------------------------------------

# nic_of MAC: the name of its interface
nic_of() {
	local d
	for d in /sys/class/net/*; do
		[ "$(cat "$d/address")" = "$1" ] && echo "${d##*/}" && return
	done
	return 1
}

nics() {
	local mac
	for mac; do nic_of "$mac" || return 1; done
}

driven_by_netvsc() { [ "$(basename "$(readlink "/sys/class/net/$1/device/driver")")" = hv_netvsc ]; }

# vmbus_of_nic DEV: the folder of its device on the bus
vmbus_of_nic() { readlink -f "/sys/class/net/$1/device"; }
netvsc_channels() { find "$(vmbus_of_nic "$1")/channels" -mindepth 1 -maxdepth 1 | wc -l; }
netvsc_channels_used() {
	local c
	for c in "$(vmbus_of_nic "$1")"/channels/*; do
		echo "$c: $(cat "$c/cpu") $(cat "$c/interrupts") $(cat "$c/events")"
		[ "$(cat "$c/interrupts")" -gt 0 ] || return 1
	done
}

# use_nic MAC ADDRESS/PREFIX: its interface is up, and its name in $dev
use_nic() {
	dev=$(nic_of "$1")
	ip addr add "$2" dev "$dev"
	ip link set "$dev" up
}

# transfer ADDRESS ARGS...: through iperf3, which may still be at the one before, or not have begun
transfer() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		iperf3 --connect-timeout 5000 -n 2M -c "$@" && return
		sleep 1
	done
	return 1
}

# begin_load ADDRESS: something comes in and goes out at $dev until end_load
begin_load() {
	setsid sh -c "while :; do iperf3 --bidir -t 600 -c $1; sleep 1; done" >/dev/null 2>&1 &
	loader=$!
	check "it is used" wait_for 60 has_received "$dev" $(($(received "$dev") + 300000))
}
end_load() {
	kill -9 -"$loader"
	wait "$loader"
}
received() { cat "/sys/class/net/$1/statistics/rx_bytes"; }
has_received() { [ "$(received "$1")" -gt "$2" ]; }

# carrier DEV 0|1: what the interface, which is up, sees of its cable
carrier() { [ "$(cat "/sys/class/net/$1/carrier")" = "$2" ]; }

# dhcp DEV: has an address from whoever gives one
dhcp() {
	# shellcheck disable=SC2016
	echo '#!/bin/sh
[ "$1" != bound ] || exec /bin/busybox ip addr add "$ip/$mask" dev "$interface"' >/tmp/dhcp
	chmod +x /tmp/dhcp
	/bin/busybox ip link set "$1" up
	/bin/busybox udhcpc -i "$1" -n -q -f -t 10 -T 2 -s /tmp/dhcp
}

# Orderly: the kernel runs /sbin/poweroff or reboot, and that asks the first program, which this is.
asked=
restart=
trap 'asked=1' USR2
trap 'restart=1' TERM
shutdown_asked() { [ -n "$asked" ]; }
restart_asked() { [ -n "$restart" ]; }

# expect PATTERN: kernel lines that the case itself brings about are no complaints
expect() { expected="$expected|$1"; }

# Every line of the drivers at level warning or worse, but those that have nothing to do with us.
expected='XSAVE consistency|fpu/xstate|unhandled wrmsr'
complaints() {
	dmesg -r | grep -E '^<[0-4]>' |
		grep -iE 'hv_|hyperv|vmbus|storvsc|netvsc|scsi|sd [0-9]|sd[a-z]|blk_|I/O error|ext4|jbd2|rndis|blocked for|WARNING|BUG|Oops' |
		grep -viE "$expected" |
		while read -r line; do say "complaint $line"; done
}

# The kernel ends the machine: busybox would ask for an init.
off() {
	sync
	complaints
	if [ -n "$failed" ]; then
		echo "--- the guest's log" >&3
		tail -n 60 /run/log >&3
		dmesg | tail -n 30 >&3
	fi
	say "off"
	mount -o remount,ro / 2>/dev/null
	poweroff -f
	sleep 60
}

failed=
exec </dev/null >>/run/log 2>&1
say "up $(cut -d' ' -f1 /proc/uptime)"
# shellcheck disable=SC1090
. "/run/harness/cases/$(word case).sh"
"$(word part)"
off
