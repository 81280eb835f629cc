#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Rows scale-*: what 1, 10, 100 and 300 partitions cost one `hvbus serve`, each with its disk
# open. One CSV line a row: row,peer,peer_value,our_value,ratio_median,ratio_min,ratio_max,must,
# goal,unit. There is no peer, so the ratio is the value itself; but for scale-fair, which is
# the fastest guest against the slowest.
#
# usage: scale_rows.sh     COUNTS="1 10 100 300" SECS=5 CONNECTS=100 BUSY=8 ROUNDS=8 DIR=.
set -eu
cd "$(dirname "$0")/.."
HVBUS=${HVBUS:-build/hvbus}
SCALE=${SCALE:-build/release/bench/scale}
COUNTS=${COUNTS:-1 10 100 300}
SECS=${SECS:-5} # an idle root is watched for so long
CONNECTS=${CONNECTS:-100}
BUSY=${BUSY:-8}
ROUNDS=${ROUNDS:-8}
T=$(mktemp -d "${DIR:-.}/hvbus-scale-XXXXXX")
ROOT='' HOLD=''

finish() {
	# shellcheck disable=SC2086  # those that are set
	[ -z "$HOLD$ROOT" ] || kill $HOLD $ROOT 2>/dev/null || true
	wait
	rm -rf "$T"
}
trap finish EXIT
die() {
	echo "scale_rows.sh: $*" >&2
	exit 1
}
say() { echo "  scale: $*" >&2; }
now() { awk '{ printf "%.0f\n", $1 * 1e9 }' /proc/uptime; }

# until MESSAGE COMMAND...: within ten seconds
until_ok() {
	local why=$1
	shift
	for _ in $(seq 200); do
		"$@" && return
		sleep 0.05
	done
	die "$why"
}

# ---- what the kernel says of the root -------------------------------------------------

# KiB it has in memory beside guest memory (rings lie in it), and its page tables.
root_kib() {
	awk '
		/^[0-9a-f]+-[0-9a-f]+ / { guest = /memfd:hvbus-ram/ }
		/^Rss:/ && !guest { sum += $2 }
		/^VmPTE:/ { sum += $2 }
		END { print sum }' "/proc/$ROOT/smaps" "/proc/$ROOT/status"
}
# ns its threads and the kernel's for it have run, and how often it went to sleep
root_ran() { cat "/proc/$ROOT"/task/*/schedstat | awk '{ s += $1 } END { printf "%.0f\n", s }'; }
root_sleeps() { awk '/^voluntary/ { s += $2 } END { print s + 0 }' "/proc/$ROOT"/task/*/status; }

# ---- partitions -----------------------------------------------------------------------

start_root() {
	head -c 64M /dev/urandom >"$T/img"
	"$HVBUS" serve --socket "$T/s" --disk "path=$T/img" 2> >(grep -Ev 'connected:|is gone: closed|serving' >&2) &
	ROOT=$!
	until_ok "the root did not start" [ -S "$T/s" ]
	# Allocators and caches have seen everything once.
	"$SCALE" connect "$T/s" 20 >/dev/null
}

is_ready() { grep -q ready "$T/out"; }

hold() { # COUNT
	mkfifo "$T/end"
	"$SCALE" hold "$T/s" "$1" <"$T/end" >"$T/out" &
	HOLD=$!
	exec 9>"$T/end"
	until_ok "$1 partitions did not come up" is_ready
}

let_go() {
	exec 9>&-
	wait "$HOLD"
	HOLD=
	rm "$T/end"
}

# ---- rows -----------------------------------------------------------------------------

# print ROW WHAT VALUE MIN MAX MUST GOAL UNIT
print() { printf '%s,none: %s,0,%.4g,%.4g,%.4g,%.4g,%s,%s,%s\n' "$1" "$2" "$3" "$3" "$4" "$5" "$6" "$7" "$8"; }

mem_row() { # COUNT KIB COUNT_BEFORE KIB_BEFORE: what one more costs
	local each
	each=$(awk "BEGIN { print ($2 - $4) / ($1 - $3) }")
	say "$1 partitions: $2 KiB beside guest memory, each of the last $(($1 - $3)) $each"
	print "scale-mem-$1" "root memory per idle partition" "$each" "$each" "$each" "<=512" "<=64" KiB
}

cpu_row() { # COUNT
	local from ran slept percent
	sleep 1 # what connecting has left behind is done
	ran=$(root_ran) slept=$(root_sleeps) from=$(now)
	sleep "$SECS"
	percent=$(awk "BEGIN { print ($(root_ran) - $ran) * 100 / ($(now) - $from) }")
	slept=$(($(root_sleeps) - slept))
	say "$1 partitions: idle root runs $percent % of a core, wakes up $slept times in $SECS s"
	print "scale-cpu-$1" "CPU of an idle root" "$percent" "$percent" "$percent" "<=0.5" "<=0.1" "% of a core"
}

connect_rows() { # COUNT
	local p50 p99 least most
	read -r p50 p99 least most < <("$SCALE" connect "$T/s" "$CONNECTS")
	say "$1 partitions: another one's first read after $p50 ms (99 % within $p99)"
	print "scale-connect-$1" "connect to first read" "$p50" "$least" "$most" "<=3" "<=1" ms
	print "scale-connect99-$1" "connect to first read p99" "$p99" "$p99" "$p99" "" "" ms
}

fair_row() {
	local least most
	for ((i = 1; i <= ROUNDS; i++)); do
		read -r least most < <("$SCALE" fair "$T/s" "$BUSY" 700)
		say "round $i/$ROUNDS: $BUSY busy guests read $least to $most times a second"
		echo "$least $most"
	done | awk -v busy="$BUSY" '
		function median(v, n,   i, j, t) {
			for (i = 2; i <= n; i++) for (j = i; j > 1 && v[j] < v[j-1]; j--) { t = v[j]; v[j] = v[j-1]; v[j-1] = t }
			return n % 2 ? v[(n+1)/2] : (v[n/2] + v[n/2+1]) / 2
		}
		{ p[NR] = $1; o[NR] = $2; r[NR] = $2 / $1 }
		END {
			m = median(r, NR)
			printf "scale-fair-%d,slowest of %d busy guests,%.6g,%.6g,%.4g,%.4g,%.4g,<=1.25,<=1.1,IOPS\n", busy, busy, median(p, NR), median(o, NR), m, r[1], r[NR]
		}'
}

for needed in "$HVBUS" "$SCALE"; do
	[ -x "$needed" ] || die "$needed is not built; type make all bench-bins"
done
start_root
before=0 kib_before=$(root_kib)
for count in $COUNTS; do
	hold "$count"
	kib=$(root_kib)
	mem_row "$count" "$kib" "$before" "$kib_before"
	before=$count kib_before=$kib
	cpu_row "$count"
	connect_rows "$count"
	let_go
done
fair_row
