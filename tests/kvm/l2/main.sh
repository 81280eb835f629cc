#!/bin/sh
# SPDX-License-Identifier: MIT
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
	local end=$(($(cut -d. -f1 /proc/uptime) + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(cut -d. -f1 /proc/uptime)" -lt "$end" ] || return 1
		sleep 0.1
	done
}

# logged TEXT: the kernel said it
logged() { dmesg | grep -qF -- "$1"; }

# Every line of the drivers at level warning or worse, but those that have nothing to do with us.
complaints() {
	dmesg -r | grep -E '^<[0-4]>' |
		grep -iE 'hv_|hyperv|vmbus|storvsc|netvsc|scsi|sd [0-9]|sd[a-z]|blk_|I/O error|ext4|rndis|WARNING|BUG|Oops' |
		grep -viE 'XSAVE consistency|fpu/xstate|unhandled wrmsr' |
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
