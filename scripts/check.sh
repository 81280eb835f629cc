#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `make check`: every test in every build. One line per program; what a program printed only
# when it failed. Goes on after failures; the last line is "N passed, M failed".
#
#   CHECK_VARIANTS="release address thread kvm"   which builds, and after them stock kernels as
#                                                 guests, as make check-kvm (default: all)
#   CHECK_ONLY=loop                               only programs whose name contains this
set -u
cd "$(dirname "$0")/.." || exit 2

read -ra variants <<<"${CHECK_VARIANTS:-release address thread kvm}"
only=${CHECK_ONLY:-}
limit=300      # seconds for one program; the tests inside have limits of their own
kvm_limit=1500 # for all guests, level 1 being lost once or twice
passed=0
failed=0
skipped=0
bad=()
slots=$(($(nproc) + 1)) # some only wait, for timers or for each other
work=$(mktemp -d) || exit 2
started=$SECONDS

export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0
export UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1

trap 'rm -rf "$work"' EXIT
# Stopped from outside: what is under test must not stay behind.
trap 'trap - TERM; stop_jobs; exit 130' INT TERM HUP

# Where ThreadSanitizer cannot place its shadow among fully randomised addresses.
fixed_addresses=()
if [ "$(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null || echo 0)" -gt 28 ] && setarch -R true 2>/dev/null; then
	fixed_addresses=(setarch -R)
fi

# ---- jobs: one more side by side than there are processors, reported in the order they began ------

declare -A job_of=() # process id: number of the job
declare -a job_name job_command job_start job_end
begun=0
shown=0

stop_jobs() {
	local pid
	for pid in "${!job_of[@]}" $builder; do kill -- -"$pid" 2>/dev/null; done
}

# begin NAME COMMAND...: one program, one line
begin() {
	local n=$begun
	case $1 in *"$only"*) ;; *) return ;; esac
	while [ ${#job_of[@]} -ge "$slots" ]; do reap; done
	job_name[n]=$1
	job_start[n]=$(date +%s%N)
	shift
	job_command[n]="$*"
	setsid timeout -k 10 $limit "$@" >"$work/$n" 2>&1 </dev/null &
	job_of[$!]=$n
	begun=$((n + 1))
}

reap() {
	local pid status=0
	wait -n -p pid "${!job_of[@]}" || status=$?
	job_end[${job_of[$pid]}]="$status $(date +%s%N)"
	unset "job_of[$pid]"
	while [ -n "${job_end[shown]:-}" ]; do
		report "$shown"
		rm -f "$work/$shown"
		shown=$((shown + 1))
	done
}

settle() {
	while [ ${#job_of[@]} -gt 0 ]; do reap; done
}

# ---- what a program said --------------------------------------------------------------------

# sum KIND LOG: that count over all closing lines of check in the log
sum() {
	sed -nE "s/^[0-9]+%: Checks: ([0-9]+), Failures: ([0-9]+), Errors: ([0-9]+)$/\\$1/p" "$2" |
		awk '{ s += $1 } END { print s + 0 }'
}

# The counts of the program, in good and wrong; false when it did not say.
count() {
	local closing log=$1

	if grep -qE '^[0-9]+%: Checks: ' "$log"; then
		wrong=$(($(sum 2 "$log") + $(sum 3 "$log")))
		good=$(($(sum 1 "$log") - wrong))
		return 0
	fi
	closing=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1)
	[ -n "$closing" ] || return 1
	read -r good _ wrong _ <<<"$closing"
}

# The first report is worth as much as the last lines.
excerpt() {
	if [ "$(wc -l <"$1")" -le 160 ]; then
		cat "$1"
	else
		head -n 80 "$1"
		echo "[...]"
		tail -n 80 "$1"
	fi | sed 's/^/    | /'
}

report() {
	local n=$1 log=$work/$1 good=0 wrong=0 result=ok status end
	read -r status end <<<"${job_end[n]}"
	if [ "$status" = 77 ]; then
		result=skipped
		skipped=$((skipped + 1))
	elif ! count "$log" || { [ "$status" != 0 ] && [ "$wrong" = 0 ]; }; then
		wrong=$((wrong + 1)) # it crashed, hung or lost its closing line
	fi
	[ "$wrong" = 0 ] || result=FAILED
	passed=$((passed + good))
	failed=$((failed + wrong))
	skipped=$((skipped + $(grep -c '^SKIPPED ' "$log")))
	printf '  %-8s%-46s%5d tests%7.1f s\n' "$result" "${job_name[n]}" $((good + wrong)) \
		"$(((end - job_start[n]) / 100000000))e-1"
	grep '^SKIPPED ' "$log" | sed 's/^/            /'
	if [ $result = skipped ]; then
		tail -n 1 "$log" | sed 's/^/            /'
	elif [ $result = FAILED ]; then
		bad+=("${job_name[n]}: ${job_command[n]}")
		excerpt "$log"
		[ "$status" != 124 ] || echo "    | not done after $limit s"
	fi
}

# ---- builds: each beside the tests of the one before ------------------------------------------

builder= # process id

# variant NAME: sets what follows from it
variant() {
	prefix=()
	targets=(check-tests fuzz-replay)
	case $1 in
	release) dir=build/release san= ;;
	address) dir=build/san-address-undefined san=address,undefined ;;
	thread)
		dir=build/san-thread san=thread prefix=("${fixed_addresses[@]}")
		targets=(check-tests) # the fuzz targets have one thread
		;;
	*)
		echo "check.sh: unknown variant '$1' (release, address, thread)" >&2
		exit 2
		;;
	esac
}

build_begin() {
	variant "$1"
	build_command="make --no-print-directory -s -k -j$(nproc) ${targets[*]} SAN=$san"
	# shellcheck disable=SC2086
	setsid nice $build_command >"$work/build" 2>&1 </dev/null &
	builder=$!
}

# Counted, and said, when it fails.
build_end() {
	local status=0
	wait "$builder" || status=$?
	builder=
	[ $status != 0 ] || return
	printf '  %-8s%s\n' FAILED "build of $1"
	grep -vE '^  (CC|LD|AR) ' "$work/build" | tail -n 40 | sed 's/^/    | /'
	failed=$((failed + 1))
	bad+=("build of $1: $build_command")
}

# ---- what there is to run -----------------------------------------------------------------------

# programs FOLDER SOURCES...: what was built of them
programs() {
	local dir=$1 source bin
	shift
	for source in "$@"; do
		bin=$dir/${source#tests/}
		[ -f "$source" ] && echo "${bin%.c}"
	done
}

fuzz_targets() {
	local f
	for f in fuzz/fuzz_*.c; do
		[ -f "$f" ] || continue
		f=${f#fuzz/fuzz_}
		echo "${f%.c}"
	done
}

check_variant() {
	local name=$1 p
	variant "$name"
	for p in $(programs "$dir" tests/ut/*/*_ut.c tests/proc/*_test.c tests/hostile/*_hostile.c); do
		begin "$name ${p#"$dir"/}" "${prefix[@]}" "$p"
	done
	for p in tests/sh/*.sh; do
		case $p in */lib*.sh) continue ;; esac
		# The same code runs in nic.sh and net_nat.sh: these only run it longer.
		case $name:$p in thread:*/net_[ceov]*.sh | thread:*/bench_net.sh | thread:*/demo.sh | address:*/demo.sh) continue ;; esac
		begin "$name ${p#tests/}" "${prefix[@]}" "$dir/tests/run_sh" "$dir" "$p"
	done
	# The build that finds most in a few seconds; make soak and make net-soak are the release build's.
	[ "$name" != address ] || begin "$name soak/soak_test" "$dir/soak/soak_test"
	[ "$name" != address ] || begin "$name soak/net_soak" "$dir/soak/net_soak"
	[ "$name" != thread ] || return # has no replays
	for p in $(fuzz_targets); do
		begin "$name replay/$p" "$dir/replay/$p" "fuzz/corpus/$p"
	done
}

# Guests after all else, for their clocks go wrong where others want the processors; their lines as
# they come.
check_kvm() {
	local pid status=0 good=0 wrong=0 log=$work/kvm
	settle
	echo "== kvm"
	setsid timeout -k 30 $kvm_limit make --no-print-directory -s check-kvm >"$log" 2>&1 </dev/null &
	pid=$!
	job_of[$pid]=kvm
	tail -n +1 -s 0.5 -F --pid=$pid "$log" 2>/dev/null | grep --line-buffered -vE '^$|passed, [0-9]+ failed$' &
	wait $pid || status=$?
	wait $!
	unset "job_of[$pid]"
	if ! count "$log" || { [ $status != 0 ] && [ "$wrong" = 0 ]; }; then
		echo "  FAILED  stock kernels as guests: no closing line (status $status)"
		wrong=$((wrong + 1))
	fi
	passed=$((passed + good))
	failed=$((failed + wrong))
	[ "$wrong" = 0 ] || bad+=("stock kernels as guests: make check-kvm")
}

# What the guests need is built with the variants; kvm is none, and comes last.
guests=
builds=()
for v in "${variants[@]}"; do
	if [ "$v" != kvm ]; then
		builds+=("$v")
	elif [[ kvm == *$only* ]]; then
		guests=1
	fi
done
variants=("${builds[@]}")

for i in "${!variants[@]}"; do
	[ "$i" != 0 ] || build_begin "${variants[0]}"
	echo "== ${variants[i]}"
	build_end "${variants[i]}"
	[ "${variants[i + 1]:-}" = "" ] || build_begin "${variants[i + 1]}"
	check_variant "${variants[i]}"
	[ "$i" != 0 ] || begin "models (spin)" make --no-print-directory -s check-spin
done
settle
if [ -n "$guests" ]; then check_kvm; fi

echo
if [ ${#bad[@]} != 0 ]; then
	echo "failed, and how to run it again:"
	printf '  %s\n' "${bad[@]}"
fi
[ $skipped = 0 ] || echo "$skipped skipped"
echo "$((SECONDS - started)) seconds"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
