#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Every row of docs/performance.md in one run: row, peer, ours, ratio, must, goal.
# usage: run.sh [ROW...]     (all without arguments; ring rows R1..R9, disk rows S1..S9, B1, scale,
#                            net rows N1..N4, net-*)
set -eu
cd "$(dirname "$0")/.."
out=build/bench.csv
ring=() disk=() net=() scale=
for r in "$@"; do
	case $r in
	R[1-9]) ring+=("$r") ;;
	S[1-9] | B1) disk+=("$r") ;;
	scale) scale=1 ;;
	N[1-4] | N[12]-memif | N[12]-bound | N3[abc] | net-tcp | net-ping | net-bound | net-idle | net-fair | net-fair-[248]) net+=("$r") ;;
	net) net+=(N1 N2 N3 N4 net-tcp net-ping net-bound net-fair net-idle) ;;
	*)
		echo "run.sh: there is no row '$r' (R1..R9, S1..S9, B1, scale; N1..N4, net-tcp," \
			"net-ping, net-bound, net-fair, net-idle, or net for all of these)" >&2
		exit 2
		;;
	esac
done

cpu=$(awk -F': ' '/model name/{print $2; exit}' /proc/cpuinfo)
echo "kernel $(uname -r)   CPU $cpu x $(nproc)   load $(cut -d' ' -f1-3 /proc/loadavg)   $(date -u +%F)"
: >"$out"
if [ $# = 0 ] || [ ${#ring[@]} -gt 0 ]; then
	bench/ring_rows.sh "${ring[@]}" >>"$out"
fi
if [ $# = 0 ] || [ ${#disk[@]} -gt 0 ]; then
	bench/disk_rows.sh "${disk[@]}" >>"$out"
fi
if [ $# = 0 ] || [ "$scale" ]; then
	bench/scale_rows.sh >>"$out"
fi
if [ $# = 0 ] || [ ${#net[@]} -gt 0 ]; then
	bench/net_rows.sh "${net[@]}" >>"$out"
fi

awk -F, '
	function num(s) { gsub(/[<>=]/, "", s); return s + 0 }
	BEGIN { printf "%-19s %-40s %12s %12s %8s %15s %7s %7s\n", "row", "peer", "peer value", "ours", "ratio", "min..max", "must", "goal" }
	{
		low = $8 ~ /^<=/
		ok = low ? $5 <= num($8) : $5 >= num($8)
		if ($3 == "") { printf "%-19s %-40s %s\n", $1, $2, "peer not available"; next }
		printf "%-19s %-40s %12.5g %12.5g %8.4g %15s %7s %7s  %s%s\n", $1, $2, $3, $4, $5, sprintf("%.3g..%.3g", $6, $7), $8, $9, $10, ok ? "" : "   MISSED"
		if (!ok) missed++
	}
	END { printf "\n%d rows, %d below their must\n", NR, missed + 0; exit missed > 0 }' "$out"
