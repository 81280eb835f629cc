#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The switch of another root, and NICs that come and go while their guest runs, as an ordinary
# user.
. "$(dirname "$0")/lib_net.sh"
as_user
. "$(dirname "$0")/lib.sh"
requires ip ping jq nsenter unshare iperf3

A=$S
B_SOCKET=$T/b

# root_b ARGS...: a second root; ROOT_B is its pid
root_b() {
	"$HVBUS" serve --socket "$B_SOCKET" "$@" 2>>"$T/b.log" &
	ROOT_B=$!
	PIDS="$PIDS $ROOT_B"
	wait_for 10 "$HVBUS" inspect --socket "$B_SOCKET"
}
refused() {
	local text=$1
	shift
	if "$HVBUS" "$@" >"$T/out" 2>&1; then fail "not refused: $*"; fi
	grep -qF -- "$text" "$T/out" || fail "not '$text' but: $(cat "$T/out")"
}

echo "what cannot be joined"
refused "no root is serving there" serve --socket "$B_SOCKET" --switch "name=far,type=joined,root=$A"
serve --switch name=lan,type=private,mtu=4000 --switch name=tag,type=private,vlan=7
refused "there are lan tag" serve --socket "$B_SOCKET" --switch "name=far,type=joined,root=$A"
refused "takes 4000 at most" serve --socket "$B_SOCKET" --switch "name=lan,type=joined,root=$A,mtu=9000"
wait_for 5 nr_ports 0

echo "two roots, one switch"
root_b --switch "name=far,type=joined,root=$A,of=lan"
port_is "root-$ROOT_B" '.role == "joined" and .link' || fail "the port of who joined: $(cat "$T/j")"
guest near switch=lan,addr=10.9.0.1/24,mtu=4000
S=$B_SOCKET
port_is uplink '.role == "uplink" and .link and .device.kind == "root"' || fail "the uplink: $(cat "$T/j")"
guest far switch=far,addr=10.9.0.2/24,mtu=4000
in_guest far ping -c 2 -i 0.2 10.9.0.1 >/dev/null || fail "no answer from the other root's guest"
in_guest far ping -c 1 -M 'do' -s 3972 10.9.0.1 >/dev/null || fail "no answer to a large frame"
in_guest near iperf3 -s -1 >"$T/iperf.log" 2>&1 &
PIDS="$PIDS $!"
wait_for 5 listens near 5201
in_guest far timeout 30 iperf3 -n "$(by_build 64M 4M)" -c 10.9.0.1 >"$T/iperf-far.log" || fail "iperf3 to the other root"
no_bad_sums near far

echo "the guests' rules hold for who is behind the cable"
S=$A
"$HVBUS" net policy --socket "$A" --port "lan/root-$ROOT_B" --set vlan=9 >/dev/null
! in_guest far ping -c 1 -W 1 10.9.0.1 >/dev/null || fail "a port in another VLAN reaches it"
"$HVBUS" net policy --socket "$A" --port "lan/root-$ROOT_B" --set vlan=none >/dev/null
in_guest far ping -c 1 -W 2 10.9.0.1 >/dev/null || fail "back in its VLAN it does not"

echo "either root can end"
kill -9 "$ROOT_B"
wait_for 10 nr_ports 1
root_b --switch "name=lan,type=joined,root=$A"
wait_for 5 nr_ports 2
stop_root
S=$B_SOCKET
wait_for 10 port_is uplink '.link == false'
grep -q 'is gone, and what was on its switch' "$T/b.log" || fail "no word of the other root's end"
kill "$ROOT_B"
wait "$ROOT_B" || fail "who joined did not end with success"

echo "NICs come and go"
S=$A
serve --switch name=lan,type=private
refused "there is no guest" net add --socket "$S" --nic switch=lan
guest one switch=lan,addr=10.9.0.1/24
guest two switch=lan,addr=10.9.0.2/24
refused "there are several guests" net add --socket "$S" --nic switch=lan
refused "there is no such switch" net add --socket "$S" --nic switch=wan --guest 1
refused "there is no such port" net remove --socket "$S" --port lan/three
for i in 1 2 3; do
	"$HVBUS" net add --socket "$S" --nic "switch=lan,name=more$i" --guest 1 >/dev/null
	port_is "more$i" ".role == \"guest\" and .partition == 1 and .nic == $i" || fail "the new port: $(cat "$T/j")"
done
refused "more1" net add --socket "$S" --nic switch=lan,name=more1 --guest 1
"$HVBUS" net remove --socket "$S" --port lan/more2 >/dev/null
nr_ports 4 || fail "its port is still there"
"$HVBUS" net add --socket "$S" --nic switch=lan,name=again --guest 1 >/dev/null
port_is again '.nic == 2' || fail "its place was not free: $(cat "$T/j")"
for i in 1 2 3 4; do "$HVBUS" net add --socket "$S" --nic switch=lan --guest 1 >/dev/null; done
refused "8 NICs are the limit" net add --socket "$S" --nic switch=lan --guest 1
in_guest two ping -c 1 -W 1 10.9.0.1 >/dev/null || fail "the NIC that was there does not work any more"
"$HVBUS" net remove --socket "$S" --port lan/one >/dev/null
! in_guest two ping -c 1 -W 1 10.9.0.1 >/dev/null || fail "a removed NIC answers"
end_guest two
stop_root
