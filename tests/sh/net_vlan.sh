#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A trunk into a guest whose kernel has interfaces for its VLANs, access ports at the other end, and
# nothing between VLANs.
. "$(dirname "$0")/lib_net.sh"
as_user
. "$(dirname "$0")/lib.sh"
requires ip ss ping iperf3 python3 jq nstat nsenter unshare tcpdump

serve --switch name=lan,type=private,guest-vlan=on
begin_guest trunk switch=lan,trunk=100+200,native=300
begin_guest red switch=lan,vlan=100,addr=10.0.0.1/24,addr=fd00::1/64
begin_guest blue switch=lan,vlan=200,addr=10.0.0.2/24
begin_guest green switch=lan,vlan=300,addr=10.0.0.3/24
begin_guest grey switch=lan,addr=10.0.0.4/24
await_guest trunk red blue green grey

# The same subnet on each: a frame in the wrong VLAN would be answered.
vlan_links trunk eth0 100 200 400

# on ID: the trunk's address is there only
on() {
	local dev=eth0.$1
	[ "$1" != native ] || dev=eth0
	in_guest trunk sh -ec "
		for d in eth0 eth0.100 eth0.200 eth0.400; do ip addr flush dev \$d scope global; done
		ip addr add 10.0.0.100/24 dev $dev"
}
answers() { in_guest "$1" ping -c 2 -i 0.02 -W 2 10.0.0.100 >/dev/null || fail "$1 has no answer of VLAN $2"; }
silent() {
	local name pids=
	for name in "$@"; do
		in_guest "$name" ping -c 2 -i 0.02 -W 0.3 10.0.0.100 >/dev/null &
		pids="$pids $!"
	done
	for name in $pids; do ! wait "$name" || fail "an answer from another VLAN: one of $*"; done
}

echo "each VLAN has its interface"
on 100
answers red 100
silent blue green grey
on 200
answers blue 200
silent red green grey
on native
answers green native
silent red blue grey

echo "a VLAN that the port is not in"
on 400
silent red blue green grey
in_guest trunk ping -c 1 -W 0.2 10.0.0.1 >/dev/null && fail "an answer in VLAN 400"
port_is trunk '.dropped_in.vlan > 0' || fail "not counted: $(port trunk .)"

echo "access ports do not reach each other, and not with tags of their own"
in_guest red ping -c 1 -W 0.2 10.0.0.2 >/dev/null && fail "red reaches blue"
vlan_links red eth0 200
in_guest red ip addr add 10.0.1.1/24 dev eth0.200
in_guest blue ip addr add 10.0.1.2/24 dev eth0
in_guest red ping -c 1 -W 0.2 10.0.1.2 >/dev/null && fail "red reaches blue by a tag"
port_is red '.dropped_in.vlan > 0' || fail "not counted: $(port red .)"

echo "TCP through the tags, in large frames; the capture shows them"
on 100
in_guest trunk ip addr add fd00::64/64 dev eth0.100 nodad
"$HVBUS" net mirror --socket "$S" --port lan/trunk --file "$T/trunk.pcapng" >/dev/null
beside red iperf3 -s
wait_for 5 listens red 5201
for to in 10.0.0.1 fd00::1; do
	for way in "" -R; do
		for _ in 1 2 3 4 5; do
			# shellcheck disable=SC2086
			in_guest trunk timeout 20 iperf3 -c $to -n 4M $way >"$T/iperf.log" 2>&1 && continue 2
			sleep 0.1
		done
		cat "$T/iperf.log"
		fail "iperf3 -c $to $way"
	done
done
no_bad_sums trunk red
port_is red '.out.bytes / .out.frames > 4000' || fail "small frames: $(port red .)"
port_is red '.segmented == 0' || fail "segmented: $(port red .)"
"$HVBUS" net mirror --socket "$S" --port lan/trunk --off >/dev/null
tcpdump -envvr "$T/trunk.pcapng" tcp or vlan >"$T/trunk.txt" 2>>"$T/tcpdump.log"
[ "$(grep -c 'vlan 100, p 0, ethertype IPv4' "$T/trunk.txt")" -gt 20 ] || fail "no tagged IPv4"
[ "$(grep -c 'vlan 100, p 0, ethertype IPv6' "$T/trunk.txt")" -gt 20 ] || fail "no tagged IPv6"
! grep -E 'vlan (200|300|400),.*(proto|next-header) TCP' "$T/trunk.txt" | head -n 3 | grep . || fail "frames of other VLANs"
! grep incorrect "$T/trunk.txt" | head -n 3 | grep . || fail "wrong checksums in the capture"
stop_root
