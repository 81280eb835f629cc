#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs libFuzzer targets one after the other. usage: fuzz.sh BIN_DIR SECONDS TARGET...
#
# The seeds in fuzz/corpus/TARGET are only read; what is found goes to build/fuzz/work/TARGET
# (kept, so that the next run starts where this one ended), crashes to build/fuzz/artifacts.
# Status 1 when a target crashed, hung or leaked; the command that replays it is printed.
set -u
cd "$(dirname "$0")/.." || exit 2
[ $# -ge 3 ] || {
	echo "usage: scripts/fuzz.sh BIN_DIR SECONDS TARGET..." >&2
	exit 2
}
bins=$1
seconds=$2
shift 2
work=build/fuzz/work
artifacts=build/fuzz/artifacts
crashed=0
child=
trap '[ -z "$child" ] || kill "$child" 2>/dev/null; exit 130' INT TERM HUP

# last FIELD LOG: the newest value of e.g. "cov:" in libFuzzer's progress lines
last() {
	sed -nE "s/^#[0-9]+.* $1 ([0-9]+).*/\1/p" "$2" | tail -n 1
}

executions() {
	sed -nE 's/^#([0-9]+).*/\1/p; s/^stat::number_of_executed_units: ([0-9]+)/\1/p' "$1" | tail -n 1
}

progress() { # progress TARGET LOG START
	printf '  %-14s %3d s  %s executions, coverage %s' "$1" $((SECONDS - $3)) \
		"$(executions "$2")" "$(last cov: "$2")"
}

# Until the fuzzer ends: on a terminal one line that changes, else one line every 30 s.
watch() { # watch TARGET LOG START
	local next=30

	while kill -0 "$child" 2>/dev/null; do
		sleep 1
		if [ -t 1 ]; then
			printf '\r%s ' "$(progress "$@")"
		elif [ $((SECONDS - $3)) -ge $next ]; then
			echo "$(progress "$@") ..."
			next=$((next + 30))
		fi
	done
	[ ! -t 1 ] || printf '\r\033[K'
}

replay() { # replay TARGET ARTIFACT
	echo "      replay: $bins/$1 $2"
	echo "      or, with any compiler: make build/release/replay/$1 && build/release/replay/$1 $2"
}

fuzz() {
	local target=$1 log=$work/$1.log start=$SECONDS status=0 found seeds=() dict=()

	mkdir -p "$work/$target" "$artifacts"
	[ ! -d "fuzz/corpus/$target" ] || seeds=("fuzz/corpus/$target")
	[ ! -f "fuzz/$target.dict" ] || dict=("-dict=fuzz/$target.dict")
	"$bins/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
		-print_final_stats=1 -artifact_prefix="$artifacts/$target-" "${dict[@]}" \
		"$work/$target" "${seeds[@]}" >"$log" 2>&1 </dev/null &
	child=$!
	watch "$target" "$log" "$start"
	wait "$child" || status=$?
	child=
	if [ $status = 0 ]; then
		echo "$(progress "$target" "$log" "$start"), corpus $(find "$work/$target" -type f | wc -l), no crash"
		return
	fi
	crashed=$((crashed + 1))
	echo "$(progress "$target" "$log" "$start"), CRASHED"
	grep -m 3 -E 'ERROR: |SUMMARY: |runtime error: ' "$log" | sed 's/^/      /'
	found=$(sed -n 's/.*Test unit written to //p' "$log")
	if [ -z "$found" ]; then
		echo "      no input was left; the whole output is in $log"
		tail -n 5 "$log" | sed 's/^/      /'
	fi
	while read -r f; do
		[ -z "$f" ] || replay "$target" "$f"
	done <<<"$found"
}

for t in "$@"; do
	fuzz "$t"
done
echo "$(($# - crashed)) of $# targets without a crash"
[ $crashed = 0 ]
