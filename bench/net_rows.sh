#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Rows N1 to N4 and net-*: synthetic NICs beside what else moves frames, in turn.
# One CSV line a row: row,peer,peer_value,our_value,ratio_median,ratio_min,ratio_max,must,goal,unit
#
# usage: net_rows.sh [ROW...]     ROUNDS=8 PASSES=8 SECS=0.3 TCP_SECS=1 IDLE_SECS=5 PORTS=100 DIR=.
#
# Interfaces are made in namespaces of our own, for which no rights are needed. Two processes keep
# those: HOST, where the roots run, and FAR, the other end of a veth pair.
set -eu
cd "$(dirname "$0")/.."
HVBUS=${HVBUS:-build/hvbus}
PEERS=${PEERS:-build/peers}
NET=${NET:-build/release/bench/net}
TESTPMD=${TESTPMD:-dpdk-testpmd}
ROUNDS=${ROUNDS:-8} # of a row; a multiple of PASSES
PASSES=${PASSES:-8}
SECS=${SECS:-0.3}
TCP_SECS=${TCP_SECS:-1}
IDLE_SECS=${IDLE_SECS:-5}
PORTS=${PORTS:-100} # of an idle switch
T=$(mktemp -d "${DIR:-.}/hvbus-net-XXXXXX")
T=$(realpath "$T")
ROWS=("$@")
PIDS=() # of all that runs in the background, the newest last
PMDS=() # of these, testpmd's
HOST='' FAR=''

finish() {
	local i
	# A testpmd whose peer is gone or stopped does not end by itself.
	[ ${#PMDS[@]} = 0 ] || kill -KILL "${PMDS[@]}" 2>/dev/null || true
	for ((i = ${#PIDS[@]} - 1; i >= 0; i--)); do
		kill "${PIDS[i]}" 2>/dev/null || true
	done
	for i in "${PIDS[@]}"; do
		wait "$i" 2>/dev/null || true
	done
	rm -rf "$T"
}
trap finish EXIT
trap 'exit 130' INT TERM
die() {
	echo "net_rows.sh: $*" >&2
	[ ! -s "$T/log" ] || tail -n 5 "$T/log" >&2
	exit 1
}
say() { echo "  net: $*" >&2; }
want() { [ ${#ROWS[@]} = 0 ] || [[ " ${ROWS[*]} " == *" $1 "* ]]; }

# until_ok MESSAGE COMMAND...: within ten seconds
until_ok() {
	local why=$1
	shift
	for _ in $(seq 200); do
		"$@" && return
		sleep 0.05
	done
	die "$why"
}

# ---- namespaces ---------------------------------------------------------------------------

# in_ns PID COMMAND...: becomes COMMAND in the namespaces of PID
in_ns() { exec nsenter -t "$1" -U -n --preserve-credentials "${@:2}"; }
# The same, and comes back.
at() { (in_ns "$@" </dev/null 2>>"$T/log"); }
# The same, in the background; its pid is $!.
start_at() {
	(in_ns "$@" </dev/null >>"$T/log" 2>&1) &
	PIDS+=($!)
}

other_ns() { [ -e "/proc/$2/ns/$1" ] && [ "$(readlink "/proc/$2/ns/$1")" != "$(readlink "/proc/$3/ns/$1")" ]; }

# veth NAME NET OFFLOADS: a pair, .1 here and .2 there
veth() {
	at "$HOST" ip link add "$1" type veth peer name "$1" netns "$FAR" || die "no veth pair: are iproute2 and user namespaces there?"
	for side in "$HOST 1" "$FAR 2"; do
		# shellcheck disable=SC2086  # two words
		set -- "$1" "$2" "$3" $side
		at "$4" ip addr add "$2.$5/24" dev "$1"
		at "$4" ip link set "$1" up
		at "$4" ethtool -K "$1" tso "$3" gso "$3" gro "$3" >>"$T/log"
	done
}

namespaces() {
	[ -z "$HOST" ] || return 0
	unshare --user --map-root-user --net sleep infinity &
	HOST=$!
	PIDS+=("$HOST")
	until_ok "no user namespace: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone" other_ns net "$HOST" $$
	start_at "$HOST" unshare --net sleep infinity
	FAR=$!
	until_ok "no second network namespace" other_ns net "$FAR" "$HOST"
	at "$HOST" ip link set lo up
	at "$FAR" ip link set lo up
	veth fast 10.99.0 on
	veth slow 10.98.0 off
	iperf_server "$FAR" 10.99.0.2
}

listens() { at "$1" ss -Hltn 'sport = 5201' | grep -q 5201; }
iperf_server() { # PID ADDRESS
	start_at "$1" iperf3 -s
	until_ok "iperf3 does not listen at $2" listens "$1"
}

# ---- roots and guests ------------------------------------------------------------------------

# root SOCKET ARGS...: its pid is $!
root() {
	start_at "$HOST" "$HVBUS" serve --socket "$@"
	until_ok "the root did not start" [ -S "$1" ]
}

# guest NAME SOCKET SWITCH ADDRESS: a child partition that has a network interface
guest() {
	start_at "$HOST" "$HVBUS" attach --socket "$2" --nic "switch=$3,name=$1,addr=$4/24" --netns new -- \
		sh -c "echo \$\$ >$T/$1.new && mv $T/$1.new $T/$1.pid && exec sleep infinity"
	until_ok "guest $1 did not come up" [ -f "$T/$1.pid" ]
}
pid_of() { cat "$T/$1.pid"; }

# Two guests on a private switch.
two_guests() {
	[ ! -f "$T/one.pid" ] || return 0
	namespaces
	root "$T/lan" --switch name=lan,type=private
	guest one "$T/lan" lan 10.97.0.1
	guest two "$T/lan" lan 10.97.0.2
	iperf_server "$(pid_of two)" 10.97.0.2
}

# A guest on a switch whose uplink is a TAP of the namespace that the root is in.
outside_guest() {
	[ ! -f "$T/out.pid" ] || return 0
	namespaces
	at "$HOST" ip tuntap add up0 mode tap vnet_hdr || die "no TAP"
	at "$HOST" ip addr add 10.96.0.1/24 dev up0
	at "$HOST" ip link set up0 up
	root "$T/ext" --switch name=ext,type=external,tap=up0
	guest out "$T/ext" ext 10.96.0.2
	iperf_server "$HOST" 10.96.0.1
}

# ---- what is measured: each prints one number ---------------------------------------------------

# ours SIZE: frames a second from child to child through the switch, polled
# (testpmd spins on both CPUs while we talk to it: neither side runs in a real-time class.)
ours() {
	timeout 20 "$HVBUS" bench net --path child-child --size "$1" --poll always --cpus 0,1 \
		--runtime "$SECS" --rounds 1 --json 2>>"$T/log" | jq '.[0].frames_per_second'
}

# again NAME COMMAND...: what COMMAND prints; once a round, for all rows of that name
again() {
	[ -s "$T/$1.$ROUND" ] || "${@:2}" >"$T/$1.$ROUND"
	cat "$T/$1.$ROUND"
}

# tcp PID ADDRESS: bits a second that arrive
tcp() {
	at "$1" timeout 20 iperf3 -c "$2" -t "$TCP_SECS" -J | jq '.end.sum_received.bits_per_second // 0'
}

# pings PID ADDRESS: median round trip, us
pings() {
	at "$1" timeout 20 ping -n -i 0.2 -c 6 "$2" | sed -n 's/.*time=\([0-9.]*\) ms/\1/p' | sort -g | awk '
		{ v[NR] = $1 * 1000 } END { print v[int((NR + 1) / 2)] + 0 }'
}

mega() { awk -F, '{ printf "%.0f\n", $3 * 1e6 }'; } # of a line of a peer program

tap_write() { at "$HOST" "$PEERS/tap_write" 64 "$SECS" | mega; }
relayed() { "$PEERS/frame_relay" "$1" "$SECS" | mega; }
udp() { at "$HOST" "$PEERS/udp_pair" "/proc/$FAR/ns/net" "$1" 18 "$SECS" | mega; }

# ---- testpmd -----------------------------------------------------------------------------------------

# Two processes of each kind, stopped while others are measured.
pmd() { # KIND SIDE MAIN_AND_LCORES... -- PORT_ARGS...: its pid is the last of PMDS
	local kind=$1 side=$2 eal=()
	shift 2
	while [ "$1" != -- ]; do
		eal+=("$1")
		shift
	done
	shift
	mkfifo "$T/$kind.$side"
	RUNTIME_DIRECTORY=$T stdbuf -oL "$TESTPMD" --no-pci --no-huge -m 256 --no-telemetry --file-prefix="hv$$$kind$side" "${eal[@]}" -- -i \
		--nb-cores=1 --total-num-mbufs=8192 --txd=1024 --rxd=1024 "$@" <"$T/$kind.$side" >"$T/$kind.$side.out" 2>>"$T/log" &
	PIDS+=($!)
	PMDS+=($!)
}
is_prompt() { tail -c 12 "$1" | grep -aq 'testpmd> $'; }
tell() { echo "${*:3}" >&"$(eval echo "\$${1}_$2")"; }

pmd_start() { # vhost|memif
	local rx tx
	case $1 in
	vhost)
		rx=(--vdev "net_vhost0,iface=$T/vhost.sock,queues=1")
		tx=(--single-file-segments --vdev "net_virtio_user0,path=$T/vhost.sock,queues=1,queue_size=1024,in_order=1")
		;;
	memif)
		rx=(--vdev "net_memif0,role=server,id=0,socket-abstract=no,socket=$T/memif.sock,rsize=10")
		tx=(--single-file-segments --vdev "net_memif0,role=client,id=0,socket-abstract=no,socket=$T/memif.sock,rsize=10")
		;;
	esac
	pmd "$1" rx --lcores '0@0,1@1' "${rx[@]}" -- --forward-mode=rxonly
	exec {PMD_FD}>"$T/$1.rx"
	eval "$1_rx=$PMD_FD"
	until_ok "testpmd ($1) does not start" is_prompt "$T/$1.rx.out"
	pmd "$1" tx --main-lcore=1 --lcores '1@1,0@0' "${tx[@]}" -- --forward-mode=txonly
	exec {PMD_FD}>"$T/$1.tx"
	eval "$1_tx=$PMD_FD"
	until_ok "testpmd ($1, sender) does not start" is_prompt "$T/$1.tx.out"
	eval "$1_pids='${PMDS[*]: -2}'"
	tell "$1" rx start
	sleep 0.1
	kill -STOP "${PMDS[@]: -2}"
}

rates() { grep -ac 'Rx-pps' "$1" || true; }
more_rates() { [ "$(rates "$1")" -gt "$2" ]; }
ask_rate() { # KIND: what has arrived since it was last asked
	local had
	had=$(rates "$T/$1.rx.out")
	tell "$1" rx show port stats 0
	until_ok "testpmd ($1) does not answer" more_rates "$T/$1.rx.out" "$had"
}

last_rate() { grep -a 'Rx-pps' "$T/$1.rx.out" | tail -n 1 | awk '{ print $2 }'; }
moves() {
	sleep 0.1
	ask_rate "$1"
	[ "$(last_rate "$1")" != 0 ]
}

testpmd() { # KIND SIZE
	local pids
	pids=$(eval "echo \$$1_pids")
	# shellcheck disable=SC2086
	kill -CONT $pids
	tell "$1" tx "set txpkts $2"
	tell "$1" tx start
	ask_rate "$1"
	until_ok "nothing arrives at testpmd ($1)" moves "$1"
	sleep "$SECS"
	ask_rate "$1"
	tell "$1" tx stop
	sleep 0.1
	# shellcheck disable=SC2086
	kill -STOP $pids
	last_rate "$1"
}

has_testpmd() {
	command -v "$TESTPMD" >/dev/null
}

# ---- vde -----------------------------------------------------------------------------------------------

has_vde() { command -v vde_switch vde_plug2tap >/dev/null; }
has_link() { at "$1" ip link show "$2" >/dev/null; }

vde_start() {
	local n=0 side
	mkfifo "$T/vde.in" # its console: it ends with that
	(in_ns "$HOST" vde_switch -s "$T/vde" <"$T/vde.in" >>"$T/log" 2>&1) &
	PIDS+=($!)
	exec 8>"$T/vde.in"
	until_ok "vde_switch does not start" [ -e "$T/vde/ctl" ]
	for side in "$HOST" "$FAR"; do
		n=$((n + 1))
		start_at "$side" vde_plug2tap -s "$T/vde" vde0
		until_ok "no TAP for vde" has_link "$side" vde0
		at "$side" ip addr add "10.95.0.$n/24" dev vde0
		at "$side" ip link set vde0 up
	done
	sleep 0.3
}

# ---- the least a switch in user space can do -------------------------------------------------------------

relay_start() {
	local n=0 side
	start_at "$HOST" "$PEERS/tap_relay" "/proc/$FAR/ns/net" relay0
	for side in "$HOST" "$FAR"; do
		n=$((n + 1))
		until_ok "no TAP for tap_relay" has_link "$side" relay0
		at "$side" ip addr add "10.94.0.$n/24" dev relay0
		at "$side" ip link set relay0 up
	done
	sleep 0.3
}

# ---- one row ------------------------------------------------------------------------------------------

PASS=0 ROUND=0
IDS=()

# Who goes first changes from round to round.
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

# row ID PEER MUST GOAL UNIT PEER_COMMAND -- OUR_COMMAND: a pass's share of a row's rounds
row() {
	local id=$1 i n peer_cmd=()
	if [ $PASS = 0 ]; then
		IDS+=("$id")
		echo "$1,$2|$3,$4,$5" >"$T/$id.row"
	fi
	shift 5
	while [ "$1" != -- ]; do
		peer_cmd+=("$1")
		shift
	done
	shift
	for ((i = 0; i < ROUNDS / PASSES; i++)); do
		n=$((PASS * ROUNDS / PASSES + i))
		ROUND=$n
		pair $n "$@"
		echo "${A:-0} ${B:-0}" >>"$T/$id.pairs"
		say "$id: round $((n + 1))/$ROUNDS  peer $A  ours $B  load $(cut -d' ' -f1 /proc/loadavg)"
	done
}

# A row whose peer is not there.
absent() { [ $PASS != 0 ] || echo "$1,$2,,,,,,,," >"$T/absent-$1"; }

print_row() { # ID: its CSV line
	local head tail
	IFS='|' read -r head tail <"$T/$1.row"
	awk -v head="$head" -v tail="$tail" '
		function median(v, n,   i, j, t) {
			for (i = 2; i <= n; i++) for (j = i; j > 1 && v[j] < v[j-1]; j--) { t = v[j]; v[j] = v[j-1]; v[j-1] = t }
			return n % 2 ? v[(n+1)/2] : (v[n/2] + v[n/2+1]) / 2
		}
		{ p[NR] = $1; o[NR] = $2; r[NR] = $1 > 0 ? $2 / $1 : 0 }
		END { m = median(r, NR); printf "%s,%.6g,%.6g,%.4g,%.4g,%.4g,%s\n", head, median(p, NR), median(o, NR), m, r[1], r[NR], tail }' "$T/$1.pairs"
}

# ---- an idle switch --------------------------------------------------------------------------------------

now() { awk '{ printf "%.0f\n", $1 * 1e9 }' /proc/uptime; }
ran() { cat "/proc/$1"/task/*/schedstat | awk '{ s += $1 } END { printf "%.0f\n", s }'; }
is_ready() { grep -q ready "$T/hold.out"; }

# The ns that the root's threads, and the kernel's for it, have run while nobody sent anything.
idle_row() {
	local pid percent from had
	[ $PASS = 0 ] || return 0
	namespaces
	root "$T/idle" --switch name=idle,type=private
	pid=${PIDS[-1]}
	mkfifo "$T/hold.end"
	(in_ns "$HOST" "$NET" hold "$T/idle" idle "$PORTS" <"$T/hold.end" >"$T/hold.out" 2>>"$T/log") &
	PIDS+=($!)
	exec {HOLD}>"$T/hold.end"
	until_ok "$PORTS partitions did not come up" is_ready
	sleep 1 # what connecting has left behind is done
	had=$(ran "$pid") from=$(now)
	sleep "$IDLE_SECS"
	percent=$(awk "BEGIN { print ($(ran "$pid") - $had) * 100 / ($(now) - $from) }")
	exec {HOLD}>&-
	wait "${PIDS[-1]}" || die "$PORTS partitions did not end well"
	kill "$pid"
	wait "$pid" 2>/dev/null || true
	unset 'PIDS[-1]' 'PIDS[-1]'
	say "net-idle: a root with $PORTS ports runs $percent % of a core"
	printf 'net-idle,none: root with %d ports nobody uses,0,%.4g,%.4g,%.4g,%.4g,<=0.5,<=0.1,%% of a core\n' \
		"$PORTS" "$percent" "$percent" "$percent" "$percent" >"$T/idle.csv"
}

# ---- senders to one receiver --------------------------------------------------------------------------------

fair_root() {
	[ ! -S "$T/fair" ] || return 0
	namespaces
	root "$T/fair" --switch name=lan,type=private
}
fair_round() { # COUNT: the slowest in A, the fastest in B
	local ms
	ms=$(awk "BEGIN { print int($SECS * 1000) }")
	read -r A B < <(at "$HOST" timeout 20 "$NET" fair "$T/fair" lan "$1" "$ms")
}
fair_row() { # COUNT
	local i n
	fair_root
	if [ $PASS = 0 ]; then
		IDS+=("net-fair-$1")
		echo "net-fair-$1,slowest of $1 senders to one receiver|<=1.25,<=1.1,frames/s" >"$T/net-fair-$1.row"
	fi
	for ((i = 0; i < ROUNDS / PASSES; i++)); do
		n=$((PASS * ROUNDS / PASSES + i))
		fair_round "$1"
		echo "$A $B" >>"$T/net-fair-$1.pairs"
		say "net-fair-$1: round $((n + 1))/$ROUNDS  $A to $B frames a second"
	done
}

# ---- all of them ---------------------------------------------------------------------------------------------

pmd_rows() { # KIND
	local must=(0.4 0.5) goal=(0.8 1.0) rows=(N1 N2) sizes=(64 1500) name i
	name="testpmd vhost-user/virtio-user"
	if [ "$1" = memif ]; then
		must=('' '') goal=('' '') rows=(N1-memif N2-memif) name="testpmd memif"
	fi
	for i in 0 1; do
		want "${rows[i]%-*}" || want "${rows[i]}" || continue
		if ! has_testpmd; then
			absent "${rows[i]}" "$name ${sizes[i]} B"
			continue
		fi
		[ -p "$T/$1.rx" ] || pmd_start "$1"
		row "${rows[i]}" "$name ${sizes[i]} B" "${must[i]}" "${goal[i]}" frames/s testpmd "$1" "${sizes[i]}" -- again "ours-${sizes[i]}" ours "${sizes[i]}"
	done
}

# What the memory of this machine lets anybody do.
bound_rows() {
	local i rows=(N1-bound N2-bound) sizes=(64 1500)
	for i in 0 1; do
		want "${rows[i]%-*}" || want "${rows[i]}" || continue
		row "${rows[i]}" "made and copied and read; no protocol ${sizes[i]} B" "" "" frames/s relayed "${sizes[i]}" -- again "ours-${sizes[i]}" ours "${sizes[i]}"
	done
}

kernel_rows() {
	if want N3 || want N3a; then
		namespaces
		row N3a "TAP write 64 B" 5 10 frames/s tap_write -- ours 64
	fi
	if want N3 || want N3b; then
		namespaces
		row N3b "veth UDP 18 B sendmmsg x32" 20 40 frames/s udp 10.99.0.2 -- ours 64
	fi
	if want N3 || want N3c; then
		if has_vde; then
			namespaces
			[ -e "$T/vde/ctl" ] || vde_start
			row N3c "vde_switch between TAPs UDP 18 B" 60 100 frames/s udp 10.95.0.2 -- ours 64
		else
			absent N3c "vde_switch between TAPs UDP 18 B"
		fi
	fi
}

tcp_rows() {
	if want N4; then
		outside_guest
		row N4-on "veth TCP TSO on" 0.5 0.9 bit/s tcp "$HOST" 10.99.0.2 -- again tcp tcp "$(pid_of out)" 10.96.0.1
		row N4-off "veth TCP TSO off" 1.0 2 bit/s tcp "$HOST" 10.98.0.2 -- again tcp tcp "$(pid_of out)" 10.96.0.1
	fi
	if want net-tcp; then
		two_guests
		row net-tcp "veth TCP TSO on" 0.5 1.0 bit/s tcp "$HOST" 10.99.0.2 -- again net-tcp tcp "$(pid_of one)" 10.97.0.2
	fi
	if want net-ping; then
		two_guests
		row net-ping "veth ping (median us)" "<=1.3" "<=1.0" us pings "$HOST" 10.99.0.2 -- again pings pings "$(pid_of one)" 10.97.0.2
	fi
	if want net-bound; then
		two_guests
		at "$HOST" ip link show relay0 >/dev/null || relay_start
		row net-tcp-bound "three processes that only hand over" "" "" bit/s tcp "$HOST" 10.94.0.2 -- again net-tcp tcp "$(pid_of one)" 10.97.0.2
		row net-ping-bound "three processes that only hand over" "" "" us pings "$HOST" 10.94.0.2 -- again pings pings "$(pid_of one)" 10.97.0.2
	fi
}

measure() {
	local n
	pmd_rows vhost
	pmd_rows memif
	bound_rows
	kernel_rows
	tcp_rows
	for n in 2 4 8; do
		if want net-fair || want "net-fair-$n"; then
			fair_row $n
		fi
	done
	if want net-idle; then
		idle_row
	fi
}

for needed in "$HVBUS" "$NET" "$PEERS/udp_pair"; do
	[ -x "$needed" ] || die "$needed is not built; type make all bench-bins peers"
done
for ((PASS = 0; PASS < PASSES; PASS++)); do
	measure
done
for id in "${IDS[@]}"; do
	print_row "$id"
done
cat "$T"/absent-* "$T/idle.csv" 2>/dev/null || true
