# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# shellcheck disable=SC2153 # STATUS is gone()'s
# A guest without a kernel and without manners (tests/kvm/payload), while a child process of the
# same root does verified I/O. The ids are those of docs/hostile-cases.md.
# limit: 240
# takes: 65
# check: cloud/1

host() {
	root_of_two one 1 calls registers ports messages channels
	reason one
	ends_at_once one
	root_of_two two 2 second
	ends_at_once two
	storm
	ends
}

# evil NAME CPUS PARTS... [-- ARGS]: the payload in a machine with one disk, its parts in its own order
evil() {
	local name=$1 cpus=$2 words=""
	shift 2
	while [ $# -gt 0 ] && [ "$1" != -- ]; do
		words="$words part=$1"
		shift
	done
	[ $# = 0 ] || shift
	: >>"$(console "$name")"
	tail -n +1 -f "$(console "$name")" 2>/dev/null | sed "s,^,$CASE_ID $name: ," >>"$KVM_CONSOLES" &
	"$HVBUS" run --name "$name" --kernel "$KVM_HARNESS/tools/payload" --memory 32M --cpus "$cpus" \
		--console "file:$(console "$name")" --control "$(socket "$name")" --append "$words" \
		--disk engine=memory,size=16M "$@" >"$CASE_DIR/$name.log" 2>&1 &
	eval "pid_$name=$!"
	machines="$machines $name"
	say "$name: process $!, $words"
}

# A child process with verified I/O on a disk of the root's, $2 seconds.
neighbour() {
	"$HVBUS" bench disk --socket "$(socket "$1")" --rw randrw --bs 4k --iodepth 4 --size 8M --verify \
		--runtime "$2" >"$CASE_DIR/$1.neighbour" 2>&1
}

# As long as the machine has something to say.
neighbours() {
	until said "$1" stay || said "$1" failed || dead "$1"; do
		neighbour "$1" 2 || return 1
	done
	neighbour "$1" 1
}

descriptors() { find "/proc/$(pid "$1")/fd" | wc -l; }

# root_of_two NAME CPUS PARTS...
root_of_two() {
	local name=$1 parts=$* before
	evil "$@" stay
	wait_for 30 test -S "$(socket "$name")" || give_up "$name did not start"
	before=$(descriptors "$name")
	check "$parts: a child process of the same root notices nothing" neighbours "$name"
	mark "$name" stay 120
	check "$name: no descriptor more than a channel has" [ "$(descriptors "$name")" -le $((before + 4)) ]
	# U7: ten lines a second, of more than four thousand messages that were dropped.
	check "$name: what is logged stays bounded" [ "$(wc -l <"$CASE_DIR/$name.log")" -lt 500 ]
}

# U8: it is there to be read.
reason() {
	control "$1" inspect >"$CASE_DIR/$1.inspect" 2>&1
	check "the root says why it stopped a channel" grep -q "write index out of range" "$CASE_DIR/$1.inspect"
}

ends_at_once() {
	kill "$(pid "$1")"
	gone "$1" 5
	check "$1: ended from outside" [ "$STATUS" = 4 ]
}

# H30: the end while hypercalls, registers and ports keep both VPs busy.
storm() {
	evil storm 2 storm
	mark storm storm 30
	check "a child process gets its share of a busy root" neighbour storm 3
	check "inspect answers" control storm inspect >/dev/null
	ends_at_once storm
}

# dies NAME STATUS TEXT ARGS...: the part ends its machine, and the text says how
dies() {
	local name=$1 status=$2 text=$3
	shift 3
	evil "$name" 1 "$name" -- "$@"
	gone "$name" 60
	check "$name: status $status" [ "$STATUS" = "$status" ]
	check "$name: '$text'" grep -q "$text" "$CASE_DIR/$name.log"
	check "$name: in few lines" [ "$(wc -l <"$CASE_DIR/$name.log")" -lt 20 ]
}

ends() {
	faults_are_meant
	dies triple 1 "resets itself at once, time after time"
	dies reset 1 "resets itself at once, time after time"
	dies nowhere 1 "internal error.*RIP 0xe0000000"
	dies crash 3 "guest panic on VP 0: RIP 0xffffffffffffffff" --on-panic exit
}
