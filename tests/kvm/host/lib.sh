# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# shellcheck disable=SC2034 # STATUS and RANDOM_NUMBER are for the cases
# For the host part of a case: machines, what they say, and what is checked. Runs in busybox's
# shell. Files in $CASE_DIR are kept when something fails; disks belong in $DISKS.
#
#   vm NAME PART ARGS...       starts `hvbus run`; the guest runs the function PART of the case
#   mark NAME TEXT SECONDS     waits until the guest says `@@ TEXT...`; fails the case when not
#   gone NAME SECONDS          waits for the end of the command; its status in $STATUS
#   control NAME VERB ARGS...  `hvbus VERB ... --control ...`
#   inspected NAME TEXT        `hvbus inspect` shows the text; inspected_json: its JSON, without spaces
#   process_guest NAME ADDR... a child partition beside it on its switch lan, with iperf3's server
#   random N                   a number below N in $RANDOM_NUMBER, from the seed of this run
#   faults_are_meant           a triple fault is what the guest is asked for
#   check WHAT COMMAND...      one result
#   root_copy FILE             a root file system of its own
failed=0
faults_meant=
SCALE=$(cat "$KVM_HARNESS/scale") # of all time limits

say() { echo "$*"; }
report() {
	echo "$*" >>"$KVM_REPORT"
	echo "$*"
}
pass() { report "ok $CASE_ID: $*"; }
fail() {
	report "FAILED $CASE_ID: $*"
	failed=1
}

# Nothing after this makes sense any more.
give_up() {
	fail "$@"
	finish
}

# check WHAT COMMAND...: passes when the command succeeds
check() {
	local what=$1
	shift
	if "$@"; then
		pass "$what"
	else
		say "this failed: $*"
		fail "$what"
	fi
}

finish() {
	end_all
	exit $failed
}

# wait_for SECONDS COMMAND...
wait_for() {
	local end=$(($(date +%s) + $1 * SCALE))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s)" -lt "$end" ] || return 1
		sleep 0.2
	done
}

# ---- machines ---------------------------------------------------------------------------------

machines=

console() { echo "$CASE_DIR/$1.console"; }
socket() { echo "/tmp/hvbus-$$-$1"; } # short: a socket's path has 108 bytes

# vm NAME PART ARGS...: words with --append and --memory of its own replace the usual ones
vm() {
	local name=$1 part=$2 words="" memory=256M
	shift 2
	while [ $# -gt 0 ]; do
		case $1 in
		--append) words=$2 && shift 2 ;;
		--memory) memory=$2 && shift 2 ;;
		*) break ;;
		esac
	done
	: >>"$(console "$name")"
	# cryptomgr.notests: a kernel's tests of its own ciphers are a quarter of its start here.
	# What all guests say is seen outside at once, whatever becomes of this machine.
	tail -n +1 -f "$(console "$name")" 2>/dev/null | sed "s,^,$CASE_ID $name: ," >>"$KVM_CONSOLES" &
	"$HVBUS" run --name "$name" --kernel "$KVM_HARNESS/kernels/$FLAVOUR/vmlinux" \
		--initrd "$KVM_HARNESS/kernels/$FLAVOUR/initrd" --memory "$memory" --cpus "$CPUS" \
		--console "file:$(console "$name")" --control "$(socket "$name")" \
		--append "console=ttyS0 quiet panic=-1 mitigations=off cryptomgr.notests case=$CASE part=$part cpus=$CPUS scale=$SCALE $words" \
		"$@" >"$CASE_DIR/$name.log" 2>&1 &
	eval "pid_$name=$!"
	machines="$machines $name"
	say "$name: process $!"
}

pid() { eval "echo \$pid_$1"; }
alive() { kill -0 "$(pid "$1")" 2>/dev/null; }
dead() { ! alive "$1"; }

# What went wrong, for the report.
last_words() {
	say "--- $1: what hvbus said"
	tail -n 10 "$CASE_DIR/$1.log"
	say "--- $1: the end of its console"
	tail -n 15 "$(console "$1")"
	dead "$1" && return
	say "--- $1: as hvbus sees it, twice in two seconds"
	control "$1" inspect
	sleep 2
	control "$1" inspect | grep -i "exits"
}

said() { tr -d '\r' <"$(console "$1")" | grep -q "^@@ $2"; }

mark() {
	local end=$(($(date +%s) + $3 * SCALE)) why=""
	until said "$1" "$2"; do
		if dead "$1"; then
			why="ended before it said '$2'"
		elif said "$1" failed; then
			why=$(tr -d '\r' <"$(console "$1")" | grep '^@@ failed' | head -n 1)
		elif [ "$(date +%s)" -ge "$end" ]; then
			why="did not say '$2' in $(($3 * SCALE)) s"
		fi
		# The last look was before it ended.
		if [ -n "$why" ] && ! said "$1" "$2"; then
			last_words "$1"
			give_up "$1 $why"
		fi
		sleep 0.2
	done
}

# Every check that the guest made is one of ours, in its words.
guest_results() {
	local line
	tr -d '\r' <"$(console "$1")" | grep -E '^@@ (ok|FAILED) ' | while read -r line; do
		report "$(echo "$line" | sed -E "s,^@@ (ok|FAILED) ,\1 $CASE_ID: $1: ,")"
	done
	said "$1" FAILED && failed=1
	return 0
}

gone() {
	if ! wait_for "$2" dead "$1"; then
		last_words "$1"
		give_up "$1 still runs after $(($2 * SCALE)) s"
	fi
	wait "$(pid "$1")"
	STATUS=$?
	# It starts again, as if somebody had asked for it.
	[ -n "$faults_meant" ] || ! grep 'triple fault' "$CASE_DIR/$1.log" ||
		fail "$1: a processor had a triple fault"
	machines=$(for n in $machines; do [ "$n" = "$1" ] || printf ' %s' "$n"; done)
	guest_results "$1"
}

# Unmodified drivers have nothing to complain about.
drivers_content() {
	! tr -d '\r' <"$(console "$1")" | grep -iE '^@@ complaint'
}

# control NAME VERB ARGS...
control() {
	local name=$1
	shift
	"$HVBUS" "$@" --control "$(socket "$name")"
}

faults_are_meant() { faults_meant=1; }

inspected() { "$HVBUS" inspect --socket "$(socket "$1")" | grep -qF -- "$2"; }
inspected_json() { "$HVBUS" inspect --socket "$(socket "$1")" --json | tr -d ' \n' | grep -qF -- "$2"; }

# It ends with the machine. A client that is gone without a word keeps the server busy for two
# seconds, or, when its send buffer is full by then, for ever: no server gets more than twenty.
process_guest() {
	local name=$1 keys=switch=lan,name=process,mtu=9000 a
	shift
	for a; do keys=$keys,addr=$a; done
	"$HVBUS" attach --socket "$(socket "$name")" --netns new --nic "$keys" -- "${KVM_BUSYBOX:-/bin/busybox}" sh -c \
		'while :; do timeout -s KILL 20 /usr/bin/iperf3 -s -1 --rcv-timeout 2000; done' \
		>"$CASE_DIR/process.log" 2>&1 &
}

# The number is in a variable because a subshell could not go on from where it stopped.
SEED=$(cat "$KVM_HARNESS/seed")
random_state=$SEED
random() {
	random_state=$(((random_state * 1103515245 + 12345) & 0x7fffffff))
	RANDOM_NUMBER=$(((random_state >> 16) % $1))
}

end_all() {
	local name
	for name in $machines; do
		kill "$(pid "$name")" 2>/dev/null
	done
	sleep 0.2
	for name in $machines; do
		kill -9 "$(pid "$name")" 2>/dev/null
	done
	machines=
}

root_copy() { cp "$KVM_HARNESS/kernels/$FLAVOUR/root.ext4" "$1"; }
