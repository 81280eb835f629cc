#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Rows S1 to S9 and B1: a child partition's disk I/O beside its peer, in turn.
# One CSV line a row: row,peer,peer_value,our_value,ratio_median,ratio_min,ratio_max,must,goal,unit
#
# usage: disk_rows.sh [ROW...]     ROUNDS=8 PASSES=4 SECS=0.5 DIR=.
set -eu
cd "$(dirname "$0")/.."
HVBUS=${HVBUS:-build/hvbus}
PEERS=${PEERS:-build/peers}
ROUNDS=${ROUNDS:-8} # of a row, twice as many for those of the disk; a multiple of PASSES
PASSES=${PASSES:-4}
SECS=${SECS:-0.5}
MS=$(awk "BEGIN { print int($SECS * 1000) }")
T=$(mktemp -d "${DIR:-.}/hvbus-rows-XXXXXX")
SHM=$(mktemp -d /dev/shm/hvbus-rows-XXXXXX)
NBD=

finish() {
	[ -z "$NBD" ] || kill "$NBD" 2>/dev/null || true
	rm -rf "$T" "$SHM"
}
trap finish EXIT
want() { [ ${#ROWS[@]} = 0 ] || [[ " ${ROWS[*]} " == *" $1 "* ]]; }
ROWS=("$@")

# Pure spinners run in a real-time class where that is permitted, both sides alike, so that a
# passer-by does not stop one of them in the middle of a run.
RT=
chrt -f 1 true 2>/dev/null && RT="chrt -f 1"

# ---- what is measured: each prints one number (operations per second, or ns) ----------

# ours FIELD ARGS...
ours() {
	local field=$1
	shift
	timeout 20 "$HVBUS" bench disk --json --runtime "$SECS" "$@" 2>>"$T/log" | jq "$field"
}
iops() { ours .iops "$@"; }
# shellcheck disable=SC2086  # a command and its options, or nothing
iops_rt() { # the same under $RT
	timeout 20 $RT "$HVBUS" bench disk --json --runtime "$SECS" "$@" 2>>"$T/log" | jq .iops
}
cpu() { ours '.cpu_ns_per_io.child + .cpu_ns_per_io.root' "$@"; }

# fio_job FIELD ARGS...
fio_job() {
	local field=$1
	shift
	timeout 20 fio --name=j --bs=4k --invalidate=0 --time_based --runtime="${MS}ms" --norandommap --randrepeat=0 \
		--output-format=json "$@" 2>>"$T/log" | sed -n '/^{/,$p' | jq ".jobs[0] | $field"
}
FIO_IOPS='(.read.iops + .write.iops)'
FIO_CPU='((.usr_cpu + .sys_cpu) * 1e7 / (.read.iops + .write.iops))'
FIXED="--ioengine=io_uring --fixedbufs=1 --registerfiles=1"
BATCH="--iodepth_batch_submit=32 --iodepth_batch_complete_min=1 --iodepth_batch_complete_max=32"

# shellcheck disable=SC2086
anchor() { $RT "$PEERS/spsc" 64 32 65536 0.2 | awk -F, '{print $3 * 1e6}'; }
fio_null() { fio_job "$FIO_IOPS" --ioengine=null --size=1G --rw=randread --iodepth=32 --cpus_allowed=0; }

nbd_start() { # nbdkit|qemu
	rm -f "$T/nbd"
	if [ "$1" = nbdkit ]; then
		nbdkit -f -U "$T/nbd" null 1G 2>>"$T/log" &
	else
		qemu-nbd -t -k "$PWD/$T/nbd" --image-opts driver=null-co,size=1G,read-zeroes=on 2>>"$T/log" &
	fi
	NBD=$!
	for _ in $(seq 100); do
		[ -S "$T/nbd" ] && break
		sleep 0.05
	done
}
nbd_stop() {
	kill "$NBD"
	wait "$NBD" 2>/dev/null || true
	NBD=
}
nbd() { # kind depth
	nbd_start "$1"
	fio_job "$FIO_IOPS" --ioengine=nbd --uri="nbd+unix:///?socket=$PWD/$T/nbd" --rw=randread --iodepth="$2" --size=512M --cpus_allowed=0
	nbd_stop
}
best_nbd() {
	{ nbd nbdkit "$1"; nbd qemu "$1"; } | sort -g | tail -n 1
}

# Who goes first changes from round to round: a disk that grants bursts, or a cache that
# warms up, would favour the same side every time.
A='' B=''
pair() { # ROUND OUR_COMMAND...; the peer's is in peer_cmd
	if (($1 % 2)); then
		B=$("${@:2}")
		A=$("${peer_cmd[@]}")
	else
		A=$("${peer_cmd[@]}")
		B=$("${@:2}")
	fi
}

# ---- one row -----------------------------------------------------------------------------

PASS=0
IDS=()

# take ID HEAD TAIL KIND ROUNDS PEER_COMMAND -- OUR_COMMAND: a pass's share of a row's rounds
take() {
	local id=$1 head=$2 tail=$3 kind=$4 rounds=$5 i n peer_cmd=()
	shift 5
	while [ "$1" != -- ]; do
		peer_cmd+=("$1")
		shift
	done
	shift
	if [ $PASS = 0 ]; then
		IDS+=("$id")
		echo "$kind|$head|$tail" >"$T/$id.row"
	fi
	for ((i = 0; i < rounds / PASSES; i++)); do
		n=$((PASS * rounds / PASSES + i))
		pair $n "$@"
		echo "${A:-0} ${B:-0}" >>"$T/$id.pairs"
		echo "  $head: round $((n + 1))/$rounds  peer $A  ours $B" >&2
	done
}

# row ID PEER MUST GOAL UNIT ...: the ratio; at least MUST
row() { take "$1" "$1,$2" "$3,$4,$5" ratio "$ROUNDS" "${@:6}"; }
# disk_row ...: the same where the disk's mood of the minute weighs more than either side
disk_row() { take "$1" "$1,$2" "$3,$4,$5" ratio $((2 * ROUNDS)) "${@:6}"; }
# cpu_row ID PEER MUST GOAL ...: us of CPU per I/O, ours minus the peer's; at most MUST
cpu_row() { take "$1" "$1,$2" "<=$3,<=$4,us more CPU" less "$ROUNDS" "${@:5}"; }

print_row() { # ID: its CSV line
	local kind head tail
	IFS='|' read -r kind head tail <"$T/$1.row"
	awk -v kind="$kind" -v head="$head" -v tail="$tail" '
		function median(v, n,   i, j, t) {
			for (i = 2; i <= n; i++) for (j = i; j > 1 && v[j] < v[j-1]; j--) { t = v[j]; v[j] = v[j-1]; v[j-1] = t }
			return n % 2 ? v[(n+1)/2] : (v[n/2] + v[n/2+1]) / 2
		}
		kind == "less" { p[NR] = $1 / 1e3; o[NR] = $2 / 1e3; r[NR] = o[NR] - p[NR] }
		kind == "ratio" { p[NR] = $1; o[NR] = $2; r[NR] = $1 > 0 ? $2 / $1 : 0 }
		END { m = median(r, NR); printf "%s,%.6g,%.6g,%.4g,%.4g,%.4g,%s\n", head, median(p, NR), median(o, NR), m, r[1], r[NR], tail }' "$T/$1.pairs"
}

file() { # make the image once
	[ -f "$T/img" ] || { head -c 512M /dev/urandom >"$T/img" && sync "$T/img"; }
}

NULL_POLL="--engine null --size 1G --poll always --cpus 0,1"
# Store and buffers fit the core's cache: the row is the path and one 4 KiB copy, not main memory.
MEM_POLL="--engine memory --size 512K --poll always --cpus 0,1"

# shellcheck disable=SC2086  # option lists are split on purpose
measure() {
	want B1 && row B1 "fio null engine QD32" 2 4 IOPS fio_null -- iops_rt --engine noop --iodepth 32 --cpus 0,1
	want S1 && row S1 "anchor (QD1 null polled)" 0.016 0.025 IOPS anchor -- iops_rt $NULL_POLL --iodepth 1
	want S2 && row S2-32 "anchor (QD32 null polled)" 0.063 0.09 IOPS anchor -- iops_rt $NULL_POLL --iodepth 32
	want S2 && row S2-128 "anchor (QD128 null polled)" 0.074 0.106 IOPS anchor -- iops_rt $NULL_POLL --iodepth 128
	want S3 && row S3-read "anchor (QD32 memory polled)" 0.028 0.036 IOPS anchor -- iops_rt $MEM_POLL --rw randread
	want S3 && row S3-write "anchor (QD32 memory polled)" 0.038 0.05 IOPS anchor -- iops_rt $MEM_POLL --rw randwrite
	want S4 && row S4-1 "best nbd null QD1" 10 40 IOPS best_nbd 1 -- iops --engine null --size 1G --iodepth 1 --cpus 0,1
	want S4 && row S4-32 "best nbd null QD32" 8 20 IOPS best_nbd 32 -- iops --engine null --size 1G --iodepth 32 --cpus 0,1
	want S5 && row S5-1 "best nbd null QD1 (no spinning)" 1.0 1.2 IOPS best_nbd 1 -- iops --engine null --size 1G --iodepth 1 --poll never $SLEEP_CPUS
	want S5 && row S5-32 "best nbd null QD32 (no spinning)" 2 4 IOPS best_nbd 32 -- iops --engine null --size 1G --iodepth 32 --poll never $SLEEP_CPUS
	if want S6 || want S7; then
		file
		F="--filename=$T/img --size=512M --cpus_allowed=0"
		O="--filename $T/img --size 512M --direct 1"
	fi
	for d in 32 128; do
		want S6 && disk_row S6-$d "fio io_uring fixed O_DIRECT QD$d" 0.95 0.99 IOPS \
			fio_job "$FIO_IOPS" $F --direct=1 $FIXED --rw=randread --iodepth=$d -- iops $O --iodepth $d --cpus 0,1
		want S6 && cpu_row S6-cpu-$d "fio io_uring fixed O_DIRECT QD$d" 3 1.5 \
			fio_job "$FIO_CPU" $F --direct=1 $FIXED --rw=randread --iodepth=$d -- cpu $O --iodepth $d --poll never $SLEEP_CPUS
	done
	want S7 && disk_row S7-sleep "fio io_uring fixed O_DIRECT QD1" 0.95 1.0 IOPS \
		fio_job "$FIO_IOPS" $F --direct=1 $FIXED --rw=randread --iodepth=1 -- iops $O --iodepth 1 --cpus 0,1
	want S7 && disk_row S7-poll "fio io_uring fixed O_DIRECT QD1" 1.3 1.6 IOPS \
		fio_job "$FIO_IOPS" $F --direct=1 $FIXED --rw=randread --iodepth=1 -- iops $O --iodepth 1 --poll always --cpus 0,1
	# What polling can win at all: the same fio, which asks again instead of sleeping.
	want S7 && disk_row S7-bound "fio that polls io_uring fixed O_DIRECT QD1" "" "" IOPS \
		fio_job "$FIO_IOPS" $F --direct=1 $FIXED --iodepth_batch_complete_min=0 --rw=randread --iodepth=1 -- iops $O --iodepth 1 --poll always --cpus 0,1
	if want S8; then
		file
		cat "$T/img" >/dev/null
		row S8 "fio io_uring fixed+batch page cache QD32" 0.85 1.0 IOPS \
			fio_job "$FIO_IOPS" --filename="$T/img" --size=512M --direct=0 $FIXED $BATCH --rw=randread --iodepth=32 --cpus_allowed=0 -- \
			iops --filename "$T/img" --size 512M --direct 0 --iodepth 32 --poll always --cpus 0,1
	fi
	if want S9; then
		[ -f "$SHM/img" ] || head -c 256M /dev/urandom >"$SHM/img"
		row S9-uring "fio io_uring tmpfs QD1" 2 3 IOPS \
			fio_job "$FIO_IOPS" --filename="$SHM/img" --size=256M --ioengine=io_uring --rw=randread --iodepth=1 --cpus_allowed=0 -- \
			iops --filename "$SHM/img" --size 256M --direct 0 --iodepth 1 --poll always --cpus 0,1
		row S9-psync "fio psync tmpfs QD1" 0.6 0.8 IOPS \
			fio_job "$FIO_IOPS" --filename="$SHM/img" --size=256M --ioengine=psync --rw=randread --iodepth=1 --cpus_allowed=0 -- \
			iops --filename "$SHM/img" --size 256M --direct 0 --iodepth 1 --poll always --cpus 0,1
	fi
	return 0
}
# Both sides on one core: a wake-up is a context switch there, not an interrupt to a halted core.
SLEEP_CPUS="--cpus 0,0"

# A disk, and a machine with neighbours, change over minutes: each row gets its rounds from all of
# the run, a few in every pass.
for ((PASS = 0; PASS < PASSES; PASS++)); do
	measure
done
for id in "${IDS[@]}"; do
	print_row "$id"
done
