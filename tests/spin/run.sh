#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Proves the ring's signalling protocol with spin, and proves that the proof notices mistakes:
# every mutant of the model must fail. One line per model; status 0 when all went as expected.
set -u
cd "$(dirname "$0")" || exit 1

for tool in spin gcc; do
	command -v $tool >/dev/null || {
		echo "tests/spin: '$tool' is not installed (apt-get install $tool)" >&2
		exit 77
	}
done

mutants=(
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

dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
cp signal.pml "$dir" && cd "$dir" || exit 1
passed=0
failed=0

# build NAME DEFINES...: the verifier ./NAME
build() {
	local name=$1
	shift
	spin "$@" -a signal.pml >spin.log 2>&1 &&
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

build four -DN=4 -DPACKETS=6
build five -DN=5 -DPACKETS=5
model four "ring of 4 units, 6 packets: no lost wake-up, no overwritten packet"
model five "ring of 5 units, 5 packets: no lost wake-up, no overwritten packet"
for ((m = 1; m < ${#mutants[@]}; m++)); do
	if verify four $m && grep -q 'pan:1: \(invalid end state\|assertion violated\)' pan.log; then
		report OK "found: ${mutants[m]}"
	else
		report no "not found: ${mutants[m]}"
	fi
done

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
