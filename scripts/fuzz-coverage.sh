#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Which lines the fuzz targets reach, per component, beside what must be reached.
# usage: fuzz-coverage.sh BIN_DIR SECONDS TARGET...
#
# Runs each target, built with COVERAGE=1, on its corpus and on what earlier `make fuzz` runs
# found, after SECONDS of fuzzing (0: none). Status 1 when a component is below its must, or
# a file of one is in no target. Which lines are missing: build/fuzz-coverage/lines.txt
set -u
cd "$(dirname "$0")/.." || exit 2
[ $# -ge 3 ] || {
	echo "usage: scripts/fuzz-coverage.sh BIN_DIR SECONDS TARGET..." >&2
	exit 2
}
bins=$1
seconds=$2
shift 2
out=build/fuzz-coverage
targets=("$@")
child=
trap '[ -z "$child" ] || kill "$child" 2>/dev/null; exit 130' INT TERM HUP

# What counts as what; "-": no must.
components() {
	cat <<-'TABLE'
		ring buffer              90 ringbuf/ring*.[ch]
		packets                  90 ringbuf/packet.[ch]
		bus: state machine       90 vmbus/server_sm*.c vmbus/msg.c vmbus/version.c
		bus: GPADLs, guest RAM   -  vmbus/gpadl.c hv-core/gpa.c hv-core/gpa_view.c
		bus: client              -  vmbus/client*.c
		bus: channels            -  vmbus/chan.c
		hypercalls, SynIC        -  hv-core/hypercall.c hv-core/synic*.c hv-core/port.c hv-core/partition.c hv-core/guest.c
		handshake, both ends     -  hv-core/proc/*.c
		storvsp                  80 vsp/storvsp/*.c
		SCSI target              80 vsp/storvsp/scsi/*.c
		storvsc                  -  vsc/*.c
		control socket           -  vmwp/control*.c vmwp/listen.c vmwp/config.c vmwp/disk.c vmwp/medium.c vmwp/inspect.c
	TABLE
}

# An LLVM tool of the compiler's version: its names carry it where several are installed.
llvm() {
	local version
	version=$("${CLANG:-clang}" -dumpversion | cut -d. -f1)
	command -v "llvm-$1-$version" || command -v "llvm-$1" || {
		echo "fuzz-coverage: llvm-$1 is missing (apt-get install llvm)" >&2
		exit 2
	}
}

replay() { # replay TARGET
	local dirs=() work=$out/work/$1 limit=(-runs=0) dict=()

	mkdir -p "$work"
	[ ! -d "fuzz/corpus/$1" ] || dirs+=("fuzz/corpus/$1")
	[ ! -d "build/fuzz/work/$1" ] || dirs+=("build/fuzz/work/$1")
	[ ! -f "fuzz/$1.dict" ] || dict=("-dict=fuzz/$1.dict")
	[ "$seconds" = 0 ] || limit=("-max_total_time=$seconds")
	printf '  %-14s %5d inputs\n' "$1" "$(find "${dirs[@]}" "$work" -type f | wc -l)"
	LLVM_PROFILE_FILE=$out/$1.profraw "$bins/$1" "${limit[@]}" -timeout=60 "${dict[@]}" \
		"$work" "${dirs[@]}" >"$out/$1.log" 2>&1 </dev/null &
	child=$!
	wait "$child" && child= && return
	child=
	echo "fuzz-coverage: $1 failed; see $out/$1.log, and try \`make fuzz T=$1\`" >&2
	exit 1
}

# "FILE LINES REACHED" for every source file, its path from the top.
per_file() {
	sed -n -e "s,^SF:$PWD/,SF:," -e 's/^\(SF\|LF\|LH\):/\1 /p' |
		awk '$1 == "SF" { f = $2 } $1 == "LF" { n = $2 } $1 == "LH" { print f, n, $2 }'
}

row() { # row NAME MUST FILES...
	local name=$1 must=$2 lines=0 reached=0 f n hit percent=0 verdict=ok
	shift 2
	for f in "$@"; do
		read -r n hit < <(awk -v f="$f" '$1 == f { print $2, $3 }' "$out/files") || true
		# Headers and tables may be without code.
		[ -n "${n:-}" ] || { [[ $f == *.c && $f != *_table.c ]] && echo "  $f is in no target" && failed=1; }
		lines=$((lines + ${n:-0}))
		reached=$((reached + ${hit:-0}))
		n='' hit=''
	done
	[ $lines = 0 ] || percent=$((reached * 1000 / lines))
	if [ "$must" != - ] && [ $percent -lt $((must * 10)) ]; then
		verdict='BELOW'
		failed=1
	fi
	[ "$must" != - ] || verdict=
	printf '  %-24s %7d %7d  %3d.%d %%  %5s  %s\n' "$name" $lines $reached \
		$((percent / 10)) $((percent % 10)) "${must/#-/}" "$verdict"
}

profdata=$(llvm profdata) || exit 2
cov=$(llvm cov) || exit 2
failed=0
mkdir -p "$out"
rm -f "$out"/*.profraw
objects=()
for t in "${targets[@]}"; do
	replay "$t"
	objects+=(-object "$bins/$t")
done
"$profdata" merge -o "$out/all.profdata" "$out"/*.profraw || exit 1
"$cov" export -format=lcov -summary-only -instr-profile="$out/all.profdata" "${objects[@]:1}" |
	per_file >"$out/files"
"$cov" show -instr-profile="$out/all.profdata" "${objects[@]:1}" >"$out/lines.txt" 2>/dev/null

echo
printf '  %-24s %7s %7s  %7s  %5s\n' component lines reached '' must
while IFS= read -r line; do
	# Glob patterns of the table become files here.
	# shellcheck disable=SC2086
	set -- ${line:25}
	must=$1
	shift
	name=${line:0:25}
	row "${name%"${name##*[! ]}"}" "$must" "$@"
done < <(components)
exit $failed
