# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# A kernel panics: what is reported of it, and what becomes of it. And what pause and resume do.
# limit: 300
# takes: 60
# check: cloud/1
# long: cloud/2 standard/2

host() {
	vm a dies --on-panic exit
	mark a up 90
	gone a 60
	check "exit: a panic ends the command with 3" [ "$STATUS" = 3 ]
	check "exit: the registers are reported" reported a
	check "exit: the text of the panic came out to its end" grep -q "Kernel Offset" "$(console a)"

	truncate -s 8M "$DISKS/notes.img"
	vm b dies_once --on-panic reboot --disk "path=$DISKS/notes.img"
	mark b "alive again" 180
	check "reboot: the registers are reported" reported b
	check "reboot: inspect shows the panic" inspected_json b '"panics":1,'
	check "reboot: and the second start" inspected_json b '"starts":2,'
	check "reboot: a shutdown is asked for" control b shutdown --timeout 120
	gone b 60
	check "reboot: the second start ends with 0" [ "$STATUS" = 0 ]
	check "reboot: no driver complains" drivers_content b

	vm c dies_once --on-panic pause --disk "path=$DISKS/notes.img"
	mark c up 90
	check "pause: it is held" wait_for 60 inspected_json c '"state":"paused"'
	check "pause: the registers are reported" wait_for 10 reported c
	check "pause: the fault is shown" inspected c "guest panic on VP"
	check "pause: the reset button lets it go on" control c reboot --force
	mark c "alive again" 120
	held c
	gone c 60
	check "pause: the second start ends with 0" [ "$STATUS" = 0 ]
}

# A stock kernel gives the registers of the program that it was called by, and its id, which begins
# with 0x81 for Linux. What it died of is on the console only.
reported() {
	grep -qE 'guest panic on VP [0-9]+: RIP 0x[0-9a-f]+ RSP 0x[0-9a-f]+: .*sysrq triggered crash' "$CASE_DIR/$1.log" &&
		grep -qE 'RAX 0x[0-9a-f]+ error 0 OS id 0x81[0-9a-f]{14}$' "$CASE_DIR/$1.log"
}

ticks() { grep -c "^@@ tick" "$(console "$1")"; }
more_than() { [ "$(ticks "$1")" -gt "$2" ]; }

held() {
	local before
	check "it runs" wait_for 30 more_than "$1" 2
	check "it answers heartbeats" wait_for 60 inspected "$1" "heartbeat ok"
	check "pause" control "$1" pause
	sleep 0.5 # what it had said is on its way
	before=$(ticks "$1")
	sleep 8 # more than three heartbeats' time
	check "what is paused does not move" [ "$(ticks "$1")" = "$before" ]
	check "inspect says so" inspected_json "$1" '"state":"paused"'
	check "that is no lost heartbeat" inspected "$1" "heartbeat ok"
	check "resume" control "$1" resume
	check "it goes on" wait_for 30 more_than "$1" "$before"
	check "a shutdown is asked for" control "$1" shutdown --timeout 120
}

dies() {
	echo c >/proc/sysrq-trigger
	sleep 60
}

dies_once() {
	local notes
	wait_for 60 disk_of 8 || say "failed no disk"
	notes=/dev/$(disk_of 8)
	if ! dd if="$notes" bs=512 count=1 | grep -q died; then
		echo died | dd of="$notes" bs=512 conv=sync,fsync
		dies
	fi
	dd if=/dev/zero of="$notes" bs=512 count=1 conv=fsync
	say "alive again"
	until shutdown_asked; do
		say tick
		sleep 0.5
	done
}
