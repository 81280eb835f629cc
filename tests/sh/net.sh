#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Switches of a root without a guest: serve, inspect and net, what they show and what they refuse.
# What needs interfaces runs in a network namespace of its own.
. "$(dirname "$0")/lib.sh"
requires jq ip tcpdump unshare

# switches JQ: is it true of the list of switches?
switches() {
	"$HVBUS" net list --socket "$S" --json >"$T/j"
	jq -e ".switches | $1" "$T/j" >/dev/null
}
port_is() { switches "[.[].ports[] | select(.name == \"$1\")] | length == 1 and (.[0] | $2)"; }

there() { ip link show "$1" >/dev/null 2>&1; }
# As root tcpdump would become another user, and there is none in here.
capture() { unshare -U --map-user=1000 --map-group=1000 tcpdump -nr "$T/$1" 2>>"$T/tcpdump.log"; }
gone() { ! there "$1"; }

# ---- in a namespace ---------------------------------------------------------------------------

inside() {
	ip link set lo up

	echo "an internal switch and its TAP"
	serve --switch name=lan,type=internal,mtu=4000,vlan=7 --switch name=quiet,type=private \
		--mirror "switch=lan,port=hv-lan,file=$T/start.pcapng"
	ip -o link show hv-lan | grep -q 'mtu 4000' || fail "the TAP's MTU: $(ip -o link show hv-lan)"
	port_is hv-lan '.role == "host" and .link and .device.kind == "tap" and .vlan.native == 7' ||
		fail "the host's port: $(cat "$T/j")"
	mac=$(ip -o link show hv-lan | sed -n 's,.*link/ether \([0-9a-f:]*\).*,\1,p')
	port_is hv-lan ".mac == \"$mac\"" || fail "its address is not $mac: $(cat "$T/j")"
	case $mac in 00:15:5d:*) ;; *) fail "the TAP has $mac" ;; esac
	ip addr add 10.9.0.1/24 dev hv-lan
	ping -c 1 -W 1 10.9.0.2 >/dev/null && fail "somebody answers on an empty switch"
	wait_for 5 port_is hv-lan '.in.frames > 0 and .in.broadcast > 0 and .dropped_in["no-port"] > 0'

	echo "cable"
	"$HVBUS" net link down --socket "$S" --port lan/hv-lan | grep -q DOWN || fail "no word of the link"
	wait_for 5 sh -c "ip -o link show hv-lan | grep -q NO-CARRIER"
	port_is hv-lan '.link | not' || fail "the link is up: $(cat "$T/j")"
	"$HVBUS" net link --socket "$S" --port lan/hv-lan up >/dev/null
	wait_for 5 sh -c "! ip -o link show hv-lan | grep -q NO-CARRIER"

	echo "rules and limits"
	"$HVBUS" net limit --socket "$S" --port lan/hv-lan --bps 100M --burst 256K --json |
		jq -e '.port.policy | .bps == 100000000 and .burst == 262144' >/dev/null || fail "limit"
	"$HVBUS" net limit --socket "$S" --port lan/hv-lan --bps 1G >/dev/null
	port_is hv-lan '.policy | .bps == 1000000000 and .burst == 262144' || fail "the burst is gone"
	"$HVBUS" net limit --socket "$S" --port lan/hv-lan --none >/dev/null
	port_is hv-lan '.policy | .bps == 0 and .burst == 0' || fail "a limit is left: $(cat "$T/j")"
	"$HVBUS" net policy --socket "$S" --port lan/hv-lan --set trunk=10+20-22,native=10,storm=1 >/dev/null
	port_is hv-lan '.policy.storm == 1 and .vlan.allowed == "10+20-22" and .vlan.native == 10' ||
		fail "policy: $(cat "$T/j")"
	for i in 2 3 4 5 6; do ping -c 1 -W 0.1 10.9.0.$i >/dev/null || true; done
	wait_for 5 port_is hv-lan '.dropped_in.storm > 0'
	"$HVBUS" net policy --socket "$S" --port lan/hv-lan --set vlan=none,storm=0 >/dev/null
	port_is hv-lan '.vlan.mode == "untagged"' || fail "vlan=none: $(cat "$T/j")"
	"$HVBUS" net list --socket "$S" >"$T/page"
	grep -q '^switch lan  internal  1 port' "$T/page" || fail "the page: $(cat "$T/page")"
	grep -qE 'dropped from it:.* storm [0-9]+' "$T/page" || fail "no drops on the page: $(cat "$T/page")"

	echo "mirrors"
	expect 1 "is mirrored to $T/start.pcapng already" "$HVBUS" net mirror --socket "$S" --port lan/hv-lan --file "$T/no.pcapng"
	"$HVBUS" net mirror --socket "$S" --port lan/hv-lan --off >/dev/null
	capture start.pcapng | grep -q 'who-has 10.9.0.2' || fail "the capture lacks the request"
	echo 'longer than what comes, and not a capture' >"$T/later.pcapng"
	(cd "$T" && "$HVBUS" net mirror --socket "$S" --port lan/hv-lan --file later.pcapng) >/dev/null
	switches ".[0].mirrors[0] | .file == \"$T/later.pcapng\" and .port == \"hv-lan\" and (.waiting | not)" ||
		fail "the mirror: $(cat "$T/j")"
	ping -c 1 -W 1 10.9.0.9 >/dev/null || true
	"$HVBUS" net mirror --socket "$S" --port lan/hv-lan --off >/dev/null
	capture later.pcapng | grep -q 'who-has 10.9.0.9' || fail "the second capture"
	[ "$(stat -c %a "$T/start.pcapng")" = 600 ] || fail "others may read the capture"
	expect 1 "is not mirrored" "$HVBUS" net mirror --socket "$S" --port lan/hv-lan --off

	echo "the TAP is deleted"
	ip link del hv-lan
	wait_for 5 port_is hv-lan '(.link | not) and .device.state == "gone"'
	stop_root

	echo "the end of the root is the end of its TAP"
	serve --switch name=lan,type=internal
	there hv-lan || fail "no TAP"
	kill -9 "$ROOT"
	wait "$ROOT" 2>/dev/null || true
	wait_for 5 gone hv-lan
	rm "$S"

	echo "a TAP that is there"
	ip tuntap add hv-lan mode tap
	expect 1 "hv-lan" "$HVBUS" serve --socket "$S" --switch name=lan,type=internal
	expect 1 "none" "$HVBUS" serve --socket "$S" --switch name=lan,type=internal,tap=none,existing=on
	expect 1 "none" "$HVBUS" serve --socket "$S" --switch name=lan,type=external,tap=none
	[ ! -e "$S" ] || fail "a failed start left its socket"
	serve --switch name=lan,type=internal,existing=on
	port_is hv-lan '.role == "host"' || fail "existing=on: $(cat "$T/j")"
	stop_root
	ip link set hv-lan up
	serve --switch name=lan,type=external,tap=hv-lan
	port_is hv-lan '.role == "uplink" and .mac == null' || fail "external: $(cat "$T/j")"
	stop_root
	there hv-lan || fail "somebody's TAP was deleted"

	echo "an interface of the host"
	ip link add d0 type veth peer name d1
	ip link set d0 up
	ip link set d1 up
	expect 1 "none" "$HVBUS" serve --socket "$S" --switch name=wan,type=external,iface=none
	serve --switch name=wan,type=external,iface=d0
	port_is d0 '.role == "uplink" and .link and .device.kind == "interface"' || fail "iface: $(cat "$T/j")"
	ip link set d0 down
	wait_for 5 port_is d0 '.link | not'
	ip link set d0 up
	wait_for 5 port_is d0 '.link'
	ip link del d0
	wait_for 5 port_is d0 '.link | not'
	stop_root
}

if [ "${1:-}" = inside ]; then
	inside
	exit 0
fi

# ---- without ------------------------------------------------------------------------------------

echo "bad command lines"
serve_says() { expect "$1" "$2" "$HVBUS" serve --socket "$S" "${@:3}"; }
serve_says 2 "or --switch"
serve_says 2 "type= is missing" --switch name=lan
serve_says 2 "name= is missing" --switch type=nat
serve_says 2 "allowed are private internal external nat" --switch name=lan,type=open
serve_says 2 "there is a switch of that name already" --switch name=lan,type=nat --switch name=lan,type=private
serve_says 2 "needs tap=NAME" --switch name=wan,type=external
serve_says 2 "a number from 68 to 65535" --switch name=lan,type=private,mtu=66000
serve_says 2 "subnet=" --switch name=lan,type=nat,subnet=10.0.2.7/24
serve_says 2 "unknown key 'vlna'" --switch name=lan,type=private,vlna=7
serve_says 2 "there are lan wan" --switch name=lan,type=private --switch name=wan,type=nat --mirror "switch=wam,port=a,file=$T/f"
serve_says 2 "file= is missing" --switch name=lan,type=private --mirror switch=lan,port=a
serve_says 1 "$T/none/f" --switch name=lan,type=private --mirror "switch=lan,port=a,file=$T/none/f"
serve_says 1 "one file per port" --switch name=lan,type=private --mirror "switch=lan,port=a,file=$T/f" --mirror "switch=lan,port=a,file=$T/g"
[ ! -e "$S" ] || fail "a failed start left its socket"
expect 2 "unknown verb 'lst'" "$HVBUS" net lst
expect 2 "--socket is missing" "$HVBUS" net list
expect 2 "--port is missing" "$HVBUS" net link up --socket "$S"
expect 2 "SWITCH/PORT is needed" "$HVBUS" net link up --socket "$S" --port web1
expect 2 "up, down, changed or --speed is needed" "$HVBUS" net link --socket "$S" --port lan/a
expect 2 "up, down, changed or --speed is needed, not sideways" "$HVBUS" net link sideways --socket "$S" --port lan/a
expect 2 "bits per second" "$HVBUS" net limit --socket "$S" --port lan/a --bps fast
expect 2 "--none only alone" "$HVBUS" net limit --socket "$S" --port lan/a --bps 1M --none
expect 2 "is needed" "$HVBUS" net limit --socket "$S" --port lan/a
expect 2 "--set is missing" "$HVBUS" net policy --socket "$S" --port lan/a
expect 2 "storm=x: a number" "$HVBUS" net policy --socket "$S" --port lan/a --set storm=x
expect 2 "--file or --off" "$HVBUS" net mirror --socket "$S" --port lan/a
expect 2 "not both" "$HVBUS" net mirror --socket "$S" --port lan/a --off --file "$T/f"
expect 1 "no root is serving there" "$HVBUS" net list --socket "$S"
for verb in list link limit mirror policy; do
	"$HVBUS" net $verb --help | grep -q "^  hvbus net $verb --socket\|^  hvbus net $verb .* --socket" || fail "net $verb --help has no example"
done

echo "a private switch alone"
serve --switch name=lan,type=private,guests=3,vlan=9 --mirror "switch=lan,port=web1,file=$T/web1.pcapng"
switches 'length == 1 and (.[0] | .name == "lan" and .type == "private" and .ports == [] and .max_guests == 3 and
	.mirrors[0].waiting and .mirrors[0].port == "web1")' || fail "list: $(cat "$T/j")"
"$HVBUS" inspect --socket "$S" >"$T/page"
grep -q '^switch lan  private  0 ports' "$T/page" || fail "the page: $(cat "$T/page")"
grep -q 'mirror of web1: .*web1.pcapng (waits for the port)' "$T/page" || fail "the page: $(cat "$T/page")"
"$HVBUS" inspect --socket "$S" --json | jq -e '.disks == [] and (.switches | length) == 1' >/dev/null || fail "inspect --json"
expect 2 "--speed=99: bits per second" "$HVBUS" net link --socket "$S" --port lan/a --speed 99
expect 1 "lan/web1: there is no such port" "$HVBUS" net link down --socket "$S" --port lan/web1
expect 1 "there are lan" "$HVBUS" net link down --socket "$S" --port wan/web1
expect 1 "$T/none/f" "$HVBUS" net mirror --socket "$S" --port lan/web1 --file "$T/none/f"
stop_root
tcpdump -nr "$T/web1.pcapng" >/dev/null 2>&1 || fail "an empty capture is none"

echo "nat, as anybody"
serve --switch name=net,type=nat,subnet=10.7.0.0/24 --switch name=more,type=nat
port_is nat '.role == "nat" and .device.running' 2>/dev/null ||
	wait_for 5 switches 'all(.ports[0].role == "nat" and .ports[0].link and .ports[0].device.running)'
switches '.[0].subnet == "10.7.0.0/24" and .[1].subnet == "10.0.2.0/24"' || fail "subnets: $(cat "$T/j")"
expect 1 "there is no such port; there are nat" "$HVBUS" net link down --socket "$S" --port net/web1
nat=$(jq '.switches[0].ports[0].device.pid' "$T/j")
kill -9 "$nat"
wait_for 10 switches ".[0].ports[0].device | .running and .pid != $nat and .started == 2"
stop_root
wait_for 10 sh -c "! pgrep -P $ROOT >/dev/null"

echo "a switch that is not allowed"
if unshare -r true 2>/dev/null; then
	expect 1 "hv-lan" unshare -r "$HVBUS" serve --socket "$S" --switch name=lan,type=internal
	grep -qiE 'permi|CAP_NET_ADMIN|privilege' "$T/err" || fail "no word about rights: $(cat "$T/err")"
fi

unshare -rn true 2>/dev/null || { echo "SKIPPED interfaces: no user namespaces here (sysctl kernel.unprivileged_userns_clone)"; exit 0; }
unshare -rn bash "$0" inside
