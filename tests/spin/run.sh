#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Proves the ring's signalling protocol with spin, and proves that the proof notices mistakes:
# every mutant of a model must fail. One line per model; status 0 when all went as expected.
#
#   signal.pml    a ring both of whose sides sleep: data, room, what may be overwritten
#   pending.pml   the wish for room: readers that poll, shared doorbells, the feature bit
set -u
cd "$(dirname "$0")" || exit 1

for tool in spin gcc; do
	command -v $tool >/dev/null || {
		echo "tests/spin: '$tool' is not installed (apt-get install $tool)" >&2
		exit 77
	}
done

signal_mutants=(
	"" # counted from 1
	"writer publishes without fence W3"
	"reader unmasks without fence R3"
	"writer asks for room without fence B2"
	"reader gives room back without fence C2"
	"reader sleeps without publishing its index"
	"writer compares with the new index, not the old"
	"writer asks for room after its last look"
	"writer fills the ring to the last unit"
	"reader gives bytes back before it has read them"
	"writer publishes its index before the packet"
	"reader unmasks after its last look"
	"space edge misses free space equal to the wish"
	"writer publishes twice, looks once"
	"space signal only once all is drained"
	"look after unfenced publications judges the last one only"
)
pending_mutants=(
	""
	"writer asks for room without fence B2"
	"writer asks for room and does not look again"
	"writer woken for nothing withdraws its wish"
	"reader decides by the wish as it was before it gave room back"
	"reader signals on the wrong side of the edge"
	"polling reader forgets what it gave back without a look"
	"polling reader never looks at the wish"
	"interrupt mask holds back a signal for room"
	"reader counts room by the write index of its last batch"
	"reader takes no wish of a writer without the feature for none"
	"reader signals a writer without the feature only from a full ring"
)

dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cp ./*.pml "$dir" && cd "$dir" || exit 1
passed=0
failed=0

# build NAME MODEL DEFINES...: the verifier ./NAME
build() {
	local name=$1 model=$2
	shift 2
	spin "$@" -a "$model" >spin.log 2>&1 &&
		gcc -O2 -w -DSAFETY -o "$name" pan.c >gcc.log 2>&1 && return
	cat spin.log gcc.log >&2
	exit 1
}

# verify VERIFIER MUTANT: the whole search, or until the first error; output in pan.log
verify() {
	MUTANT=$2 timeout 60 "./$1" -m100000 -w22 >pan.log 2>&1
	grep -q 'errors: ' pan.log && ! grep -q 'max search depth too small' pan.log
}

report() { # report OK|no TEXT
	if [ "$1" = OK ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
	fi
	printf '%-6s %s\n' "$1" "$2"
}

# The protocol itself: no error, and the search did reach every sleep and every signal.
model() { # model VERIFIER TEXT
	if verify "$1" 0 && grep -q 'errors: 0' pan.log && ! grep -q '_bell' pan.log; then
		report OK "$2 ($(sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' pan.log) states)"
	else
		report no "$2: $(grep -m1 'pan:1' pan.log || echo 'search incomplete')"
	fi
}

# Every mutant of VERIFIER must fail.
find_all() { # find_all VERIFIER TEXTS, counted from 1
	local name=$1 m=0 text
	shift 2
	for text in "$@"; do
		m=$((m + 1))
		if verify "$name" $m && grep -q 'pan:1: \(invalid end state\|assertion violated\)' pan.log; then
			report OK "found: $text"
		else
			report no "not found: $text"
		fi
	done
}

build four signal.pml -DN=4 -DPACKETS=6
build five signal.pml -DN=5 -DPACKETS=5
build pending pending.pml
model four "ring of 4 units, 6 packets: no lost wake-up, no overwritten packet"
model five "ring of 5 units, 5 packets: no lost wake-up, no overwritten packet"
model pending "room in a ring of 6 units, 5 packets: no forgotten writer"
find_all four "${signal_mutants[@]}"
find_all pending "${pending_mutants[@]}"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
