#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What is asked of an adapter and cannot be: one line that says why, a status, and nothing left
# behind, neither process nor namespace, port, interface or socket.
. "$(dirname "$0")/lib_net.sh"
as_owner
. "$(dirname "$0")/lib.sh"
requires ip jq nsenter unshare

# Everything that could be left behind.
remains() {
	pgrep -f -- "$S" | sort
	for pid in $(pgrep -f -- "$S"); do readlink "/proc/$pid/ns/net"; done | sort -u
	ip -br link | sed 's/ .*//'
	"$HVBUS" net list --socket "$S" --json | jq -r '.switches[].ports[].name'
	find "$T" ! -name 'remains*'
	find "/proc/$ROOT/fd" -type l | wc -l
}
as_before() { remains >"$T/remains.now" && cmp -s "$T/remains" "$T/remains.now"; }

# refused STATUS WORDS ARGS...: by attach, and nothing is left
UNDER=("${OWN[@]}") # who starts it
refused() {
	local want=$1 words=$2 got=0
	shift 2
	timeout 20 "${UNDER[@]}" "$HVBUS" attach --socket "$S" "$@" >"$T/out" 2>&1 </dev/null || got=$?
	[ "$got" = "$want" ] || { cat "$T/out"; fail "status $got instead of $want: $*"; }
	[ "$(wc -l <"$T/out")" = 1 ] || { cat "$T/out"; fail "not one line: $*"; }
	grep -q '^hvbus attach: ' "$T/out" || { cat "$T/out"; fail "it does not say who: $*"; }
	grep -qF -- "$words" "$T/out" || { cat "$T/out"; fail "no word of '$words': $*"; }
	as_before || wait_for 5 as_before
}

ip tuntap add mine mode tap
serve --switch name=lan,type=private,mtu=4000,guests=3,guest-mac=on --switch name=net,type=nat \
	--switch name=own,type=private,guest-name=off
guest there switch=lan,mac=00:15:5d:00:00:01
nat_runs() { "$HVBUS" net list --socket "$S" --json | jq -e 'all(.switches[] | select(.type == "nat").ports[0].device; .running)'; }
wait_for 5 nat_runs
: >"$T/out"
remains >"$T/remains"
x=(--netns new -- true)

echo "addresses and names that are taken, or none"
refused 1 "port lan/there has this address" --nic switch=lan,mac=00:15:5d:00:00:01 "${x[@]}"
refused 1 "port lan/nic0" --nic switch=lan,mac=00:15:5d:00:00:02,name=nic0 --nic switch=lan,mac=00:15:5d:00:00:02 "${x[@]}"
refused 2 "address of one adapter" --nic switch=lan,mac=01:00:5e:00:00:01 "${x[@]}"
refused 2 "address of one adapter" --nic switch=lan,mac=ff:ff:ff:ff:ff:ff "${x[@]}"
refused 2 "address of one adapter" --nic switch=lan,mac=00:00:00:00:00:00 "${x[@]}"
refused 1 "has a port there already" --nic switch=lan,name=there "${x[@]}"
refused 1 "has a port nat already" --nic switch=net,name=nat "${x[@]}"
refused 1 "no such switch" --nic switch=wan "${x[@]}"
refused 1 "3 (guests= of --switch)" --nic switch=lan --nic switch=lan --nic switch=lan "${x[@]}"

echo "out of range, or not for guests to choose"
refused 2 "out of range" --nic switch=lan,mtu=67 "${x[@]}"
refused 2 "out of range" --nic switch=lan,mtu=65522 "${x[@]}"
refused 1 "at most 4000" --nic switch=lan,mtu=4001 "${x[@]}"
refused 1 "guest-mac=on" --nic switch=net,mac=00:15:5d:00:00:03 "${x[@]}"
refused 1 "guest-name=on" --nic switch=own,name=me "${x[@]}"
refused 1 "guest-vlan=on" --nic switch=lan,vlan=7 "${x[@]}"
refused 1 "1 to 4094" --nic switch=lan,vlan=4095 "${x[@]}"
refused 1 "Cannot assign" --nic switch=lan,addr=::1/128 "${x[@]}"
refused 1 "File exists" --nic switch=lan,addr=10.0.0.9/24,addr=10.0.0.9/24 "${x[@]}"

echo "interfaces that are there"
UNDER=()
refused 1 "ip link delete mine" --nic switch=lan --tap mine -- true
UNDER=("${OWN[@]}")
refused 1 "ip link delete twice" --nic switch=lan --nic switch=lan --tap twice --tap twice "${x[@]}"
refused 1 "interface lo already" --nic switch=lan --tap lo "${x[@]}"

echo "no right to make interfaces or namespaces"
UNDER=(unshare -U --map-user=1000 --map-group=1000 --)
refused 1 "use --netns new" --nic switch=lan -- true
for what in max_user_namespaces max_net_namespaces; do
	# shellcheck disable=SC2016
	UNDER=(unshare -U --map-user=1000 --map-group=1000 --keep-caps -- bash -c 'echo 0 >/proc/sys/user/$0 && exec "$@"' "$what")
	refused 1 "sysctl -w user.$what=10000" --nic switch=lan "${x[@]}"
done
UNDER=("${OWN[@]}")

echo "commands that do not start, or fail"
refused 127 "No such file" --nic switch=lan --netns new -- "$T/nothing"
refused 126 "Permission denied" --nic switch=lan --netns new -- "$T/serve.log"

echo "the guest that was there has noticed nothing"
end_guest there
grep -qv 'is up in the namespace' "$T/there.log" && fail "it says: $(cat "$T/there.log")"
stop_root
[ ! -e "$S" ] || fail "its socket is left"
[ "$(pgrep -cf -- "$S")" = 0 ] || fail "processes are left: $(pgrep -af -- "$S")"

echo "switches that cannot be"
serve_refused() {
	expect 1 "$1" "${@:3}" "$HVBUS" serve --socket "$S" --switch "$2"
	[ ! -e "$S" ] || fail "a failed start left its socket"
	[ "$(pgrep -cf -- "$S")" = 0 ] || fail "processes are left: $(pgrep -af -- "$S")"
}
anybody=(unshare -U --map-user=1000 --map-group=1000 --)
serve_refused mine name=lan,type=internal,tap=mine
serve_refused none name=wan,type=external,tap=none
serve_refused none name=wan,type=external,iface=none
serve_refused CAP_NET_RAW name=wan,type=external,iface=lo "${anybody[@]}"
serve_refused CAP_NET_ADMIN name=lan,type=internal "${anybody[@]}"
