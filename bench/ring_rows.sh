#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The ring rows of docs/performance.md: our ring against each peer, alternating, same core
# placement, same scheduling class, payload written fresh and checked on both sides.
#
# usage: ring_rows.sh [R1..R9 ...]      all rows without arguments
#   ROUNDS=8 SECS=0.2    how often, how long; LOG=FILE  every single run, with the load beside it
#
# stdout, one line a comparison:
#   row,peer,peer_value,our_value,ratio_median,ratio_min,ratio_max,must,goal,unit
# The ratio is ours / peer of the same round. A peer that is not there leaves its fields empty.
set -u
cd "$(dirname "$0")/.." || exit 1
rounds=${ROUNDS:-8}
secs=${SECS:-0.2}
hv=build/hvbus
peers=build/peers
log=${LOG:-build/ring_rows.log}
rows=" ${*:-R1 R2 R3 R4 R5 R6 R7 R8 R9} "

eal="-l 0,1 --no-pci --no-telemetry --no-huge -m 64 --file-prefix=hvbus-bench --log-level=1 --"
ours="$hv bench ring --seconds $secs --once"

# row | peer | must | goal | unit | class: r(eal time) or o(rdinary) | peer's command | our command
comparisons() {
	cat <<-END
		R1|reference ring 64 B batch 32|>=0.8|>=1.5|Mmsg/s|r|spsc 64 32 65536 $secs|ring --size 64 --batch 32
		R2|rte_ring by value 256 B bulk 32|>=1.0|>=1.5|Mmsg/s|r|dpdk_ring $eal 256 32 256 $secs|ring --size 256 --batch 32
		R2|reference ring 1500 B batch 32|>=0.9|>=1.0|Mmsg/s|r|spsc 1500 32 65536 $secs|ring --size 1500 --batch 32
		R3|rte_ring by value 64 B bulk 32|>=0.35|>=0.8|Mmsg/s|r|dpdk_ring $eal 64 32 1024 $secs|ring --size 64 --batch 32
		R4|ck_ring 64 B|>=0.5|>=1.0|Mmsg/s|r|ck_ring 64 1024 $secs|ring --size 64 --batch 1
		R4|boost spsc_queue 64 B single push|>=1.5|>=2.5|Mmsg/s|r|boost_spsc 64 1 $secs|ring --size 64 --batch 1
		R5|ringtest virtio_ring_0_9|>=3|>=5|M round trips/s|r|ringtest virtio_ring_0_9 2000000|roundtrip
		R5|ringtest virtio_ring_inorder|>=1.2|>=2|M round trips/s|r|ringtest virtio_ring_inorder 2000000|roundtrip
		R5|ringtest ring|>=0.3|>=0.5|M round trips/s|r|ringtest ring 5000000|roundtrip
		R6|unix seqpacket 64 B|>=20|>=50|Mmsg/s|r|sockmsg seqpacket 64 $secs|ring --size 64 --batch 1
		R6|ZeroMQ inproc 64 B|>=4|>=8|Mmsg/s|r|sockmsg zmq-inproc 64 $secs|ring --size 64 --batch 1
		R6|ZeroMQ ipc 64 B|>=8|>=20|Mmsg/s|r|sockmsg zmq-ipc 64 $secs|ring --size 64 --batch 1
		R7|bare cache line|<=4|<=3|ns one way|r|phys line 400000|ping
		R8|bare eventfd other core|<=1.10|<=1.03|us one way|o|phys wake eventfd cross 8000|wake --ordinary
		R8|bare eventfd same core|<=1.10|<=1.03|us one way|o|phys wake eventfd same 40000|wake --ordinary --cpus 0,0
		R9|none: signals per 1000 messages|<=5|<=1|per 1000|r||signals --size 64 --batch 1
	END
}

# One run of a peer on stdin's behalf: prints VALUE LOAD, nothing when it is not there.
peer_run() { # peer_run CLASS PROGRAM ARGS...
	local quiet=("$peers/quiet" -w 0) prog=$2
	[ "$1" = r ] && quiet+=(-r)
	shift 2
	case $prog in
	ringtest)
		[ -x "$peers/ringtest/$1" ] || return 0
		# shellcheck disable=SC2016
		"${quiet[@]}" bash -c 's=$(date +%s%N); "$0" --host-affinity 1 --guest-affinity 0 \
			--ring-size 256 --run-cycles "$1" >/dev/null && e=$(date +%s%N) &&
			awk "BEGIN { print $1 * 1000 / ($e - $s) }"' "$peers/ringtest/$1" "$2" |
			awk -F, '{ print $1, $2 }'
		;;
	*)
		[ -x "$peers/$prog" ] || return 0
		"${quiet[@]}" "$peers/$prog" "$@" 2>/dev/null | awk -F, '{ print $3, $NF }'
		;;
	esac
}

our_run() { # our_run CLASS ARGS...
	local quiet=("$peers/quiet" -w 0)
	[ "$1" = r ] && quiet+=(-r)
	shift
	# shellcheck disable=SC2086
	"${quiet[@]}" $ours "$@" | awk -F, '{ print $1, $2 }'
}

[ -x "$hv" ] || {
	echo "ring_rows.sh: $hv is not built; type make" >&2
	exit 1
}
[ -x "$peers/quiet" ] || make -s -C bench/peers "B=$PWD/$peers" >&2 || exit 1
[[ $rows != *" R5 "* ]] || bench/peers/ringtest.sh "$peers/ringtest" || true
mkdir -p "$(dirname "$log")"
echo "round,row,peer,peer_value,our_value,others_peer,others_ours" >"$log"

for ((round = 1; round <= rounds; round++)); do
	[ -t 2 ] && printf '\rring rows: round %d of %d ' "$round" "$rounds" >&2
	"$peers/quiet" -w 3 true >/dev/null # wait for a calm moment
	while IFS='|' read -r row peer must goal unit class theirs mine; do
		[[ $rows == *" $row "* ]] || continue
		# A disturbed pair is repeated once; both stay in the log, the last one counts.
		for _ in 1 2; do
			their_load=0
			their_value=0
			# shellcheck disable=SC2086
			[ -z "$theirs" ] || read -r their_value their_load < <(peer_run "$class" $theirs) ||
				their_value=
			# shellcheck disable=SC2086
			[ -z "$their_value" ] || read -r our_value our_load < <(our_run "$class" $mine) ||
				exit 1
			[ -n "$their_value" ] || break
			echo "$round,$row,$peer,$their_value,$our_value,$their_load,$our_load" >>"$log"
			awk "BEGIN { exit !($their_load > 0.3 || $our_load > 0.3) }" || break
		done
		echo "$row|$peer|$must|$goal|$unit|$their_value|${our_value:-}"
	done < <(comparisons)
done </dev/null | awk -F'|' '
	function median(v, n,   i, j, t) {
		for (i = 2; i <= n; i++)
			for (j = i; j > 1 && v[j - 1] > v[j]; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
		return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
	}
	{
		key = $1 "|" $2
		if (!(key in n)) { order[++rows] = key; n[key] = 0; tail[key] = $3 "," $4 "," $5 }
		if ($6 == "" || $7 == "") next
		k = ++n[key]
		p[key, k] = $6
		o[key, k] = $7
		r[key, k] = $6 > 0 ? $7 / $6 : $7
	}
	END {
		for (i = 1; i <= rows; i++) {
			key = order[i]
			split(key, part, "|")
			m = n[key]
			if (!m) { printf "%s,%s,,,,,,%s\n", part[1], part[2], tail[key]; continue }
			for (k = 1; k <= m; k++) { a[k] = p[key, k]; b[k] = o[key, k]; c[k] = r[key, k] }
			ma = median(a, m); mb = median(b, m); mc = median(c, m)
			printf "%s,%s,%.4g,%.4g,%.4g,%.4g,%.4g,%s\n", part[1], part[2], ma, mb, mc, c[1], c[m], tail[key]
		}
	}'
[ -t 2 ] && printf '\r\033[K' >&2
exit 0
