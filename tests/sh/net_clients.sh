#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Programs that know nothing of all this, in guests of a private switch, as an ordinary user: ping,
# iperf3, curl, ethtool; the cable, the limit, large frames.
. "$(dirname "$0")/lib_net.sh"
as_user
. "$(dirname "$0")/lib.sh"
requires ip ss ping iperf3 curl python3 jq nstat nsenter unshare ethtool sha256sum

# iperf NAME TO ARGS...: a short one from the guest; its report in $T/iperf.json
iperf() {
	local name=$1 to=$2
	shift 2
	# The server may still be at the one before.
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		in_guest "$name" timeout 20 iperf3 -J -c "$to" "$@" >"$T/iperf.json" 2>>"$T/iperf.log" && return
		grep -q 'server is busy' "$T/iperf.json" || break
		sleep 0.1
	done
	cat "$T/iperf.json"
	fail "iperf3 -c $to $*"
}
reported() { [ "$(jq -r "$1" "$T/iperf.json")" = true ] || { jq .end "$T/iperf.json"; fail "not true of the report: $1"; }; }

# mean_frame NAME in|out: bytes of a frame, from or to the port, since the last time it was asked
declare -A FRAMES=() BYTES=()
mean_frame() {
	local key=$1-$2 frames bytes
	read -r frames bytes <<<"$(port "$1" "\"\\(.$2.frames) \\(.$2.bytes)\"")"
	MEAN=$(((bytes - ${BYTES[$key]:-0}) / (frames - ${FRAMES[$key]:-0} + 1)))
	FRAMES[$key]=$frames BYTES[$key]=$bytes
}
# large NAME in|out: they were not cut into pieces of the wire
large() {
	mean_frame "$1" "$2"
	[ "$MEAN" -gt 6000 ] || fail "frames of $MEAN bytes $2 at $1"
}

serve --switch name=lan,type=private
[ "$(awk '$1 == "CapEff:" { print $2 }' "/proc/$ROOT/status")" = 0000000000000000 ] || fail "the root has privileges"
begin_guest a switch=lan,addr=10.0.0.1/24,addr=fd00::1/64,queues=2
begin_guest b switch=lan,addr=10.0.0.2/24,addr=fd00::2/64
begin_guest c switch=lan,addr=10.0.0.3/24,mtu=9000
begin_guest d switch=lan,addr=10.0.0.4/24,mtu=9000
await_guest a b c d

echo "ping"
in_guest a ping -c 5 -i 0.02 -W 2 10.0.0.2 >"$T/ping.log" || fail "IPv4"
in_guest a ping -6 -c 5 -i 0.02 -W 2 fd00::2 >>"$T/ping.log" || fail "IPv6"

echo "offloads are there"
in_guest a ethtool -k eth0 >"$T/features"
for f in tx-checksumming tcp-segmentation-offload tx-tcp-segmentation tx-tcp6-segmentation scatter-gather; do
	grep -q "^[[:space:]]*$f: on" "$T/features" || { cat "$T/features"; fail "$f is not on"; }
done

echo "TCP both ways, four streams, IPv6: in large frames that nobody cuts or sums; UDP"
beside b iperf3 -s
wait_for 5 listens b 5201
mean_frame a in; mean_frame a out
iperf a 10.0.0.2 -n "$(by_build 128M 32M)"
reported '.end.sum_received.bytes > 16000000'
large a in
iperf a 10.0.0.2 -n "$(by_build 128M 32M)" -R
large a out
mean_frame a in
iperf a fd00::2 -n 32M -P 4
reported '(.end.streams | length == 4) and all(.end.streams[]; .receiver.bytes > 0)'
large a in
port_is a '.segmented == 0 and .checksummed == 0' || fail "a large frame was cut: $(port a .)"
port_is b '.segmented == 0 and .checksummed == 0' || fail "a large frame was cut: $(port b .)"
lost() { port b '[.dropped_out[]] | add // 0'; }
before=$(lost)
iperf a 10.0.0.2 -u -b 20M -l 1400 -n 1M
# A server that does not come to read loses some in its socket; we lose none.
full=$(in_guest b nstat -asz UdpRcvbufErrors | awk '/UdpRcvbuf/ { print $2 }')
reported ".end.sum.packets > 500 and .end.sum.lost_packets <= $full"
[ "$(lost)" = "$before" ] || fail "lost at the port: $(port b .dropped_out)"

echo "a limit holds"
"$HVBUS" net limit --socket "$S" --port lan/a --bps 80M >/dev/null
iperf a 10.0.0.2 -t 1
reported '.end.sum_received.bits_per_second | . > 20e6 and . < 100e6'
"$HVBUS" net limit --socket "$S" --port lan/a --none >/dev/null
no_bad_sums a b

echo "a large file over HTTP"
mib=$(by_build 1024 64)
digest=$(by_build f0add2045c361a831c9298f69c09e65a79c0c83d38bc97bc84bfe9b909dc5d77 77c13b56bc34aa04567b503cb11c68fde418a933e2c02b02b3c912961f400cdb)
# Its blocks differ, and take no room on the disk. The digests are of this.
mkdir "$T/www"
python3 -c "
f = open('$T/www/file', 'wb')
f.truncate($mib << 20)
for i in range($mib):
	f.seek(i << 20)
	f.write(i.to_bytes(8, 'little'))"
beside b python3 -m http.server -d "$T/www" 80
wait_for 10 listens b 80
sum='import hashlib, sys
h = hashlib.sha256()
while block := sys.stdin.buffer.read(1 << 20):
	h.update(block)
print(h.hexdigest())'
got=$(in_guest a curl -Ssf http://10.0.0.2/file | python3 -c "$sum")
[ "$got" = "$digest" ] || fail "another file: $got"

echo "link-local addresses"
link_local() { in_guest "$1" ip -6 -o addr show dev eth0 scope link | sed -n '/tentative/!s,.*inet6 \([^/]*\)/.*,\1,p'; }
has_link_local() { [ -n "$(link_local "$1")" ]; }
wait_for 5 has_link_local a
wait_for 5 has_link_local b
in_guest a ping -6 -c 3 -i 0.02 -W 2 "$(link_local b)%eth0" >>"$T/ping.log" || fail "link-local"

echo "large frames, and two who do not agree about them"
in_guest c ping -M 'do' -s 8972 -c 3 -i 0.02 -W 2 10.0.0.4 >>"$T/ping.log" || fail "9000 bytes"
in_guest c ping -M 'do' -s 8973 -c 1 -W 1 10.0.0.4 >"$T/out" 2>&1 && fail "9001 bytes"
grep -qi 'message too long' "$T/out" || fail "9001 bytes: $(cat "$T/out")"
in_guest c ping -M 'do' -s 8972 -c 1 -W 0.3 10.0.0.1 >/dev/null && fail "9000 bytes to somebody with 1500"
port_is a '.dropped_out.mtu == 1' || fail "not counted: $(port a .)"
iperf c 10.0.0.2 -n 8M
iperf c 10.0.0.2 -n 8M -R
no_bad_sums a b c d

echo "the cable, under a ping"
no_carrier() { in_guest "$1" ip -o link show eth0 | grep -q NO-CARRIER; }
carrier() { ! no_carrier "$1"; }
beside a ping -i 0.05 -O 10.0.0.2
ping=$BESIDE
"$HVBUS" net link down --socket "$S" --port lan/b >/dev/null
wait_for 5 no_carrier b
carrier a || fail "the other one's cable"
wait_for 5 port_is b '.dropped_out["link-down"] > 0'
"$HVBUS" net link up --socket "$S" --port lan/b >/dev/null
wait_for 5 carrier b
in_guest a ping -c 1 -W 3 10.0.0.2 >/dev/null || fail "the cable is plugged in again"
kill "$ping"

echo "a guest is killed in the middle of it"
"${OWN[@]}" "$HVBUS" attach --socket "$S" --netns new --nic switch=lan,name=k,addr=10.0.0.5/24 -- iperf3 -s >"$T/k.log" 2>&1 &
killed=$!
PIDS="$PIDS $killed"
command_of() { pgrep -P "$1" -x iperf3; }
wait_for 10 command_of $killed
NS[k]=$(command_of $killed)
wait_for 5 listens k 5201
ns=$(namespace_of k)
beside a iperf3 -c 10.0.0.5 -t 30
client=$BESIDE
wait_for 5 port_is k '.out.bytes > 10000000'
kill -KILL $killed
in_guest c ping -c 3 -i 0.02 -W 1 10.0.0.4 >/dev/null || fail "the others"
wait_for 5 nr_ports 4
wait_for 5 namespace_gone "$ns"
kill "$client" 2>/dev/null || true

echo "the root is killed in the middle of it"
beside d iperf3 -s
wait_for 5 listens d 5201
beside c iperf3 -c 10.0.0.4 -t 30
wait_for 5 port_is c '.in.bytes > 1000000'
killed_at=$SECONDS
kill -KILL "$ROOT"
for name in a c d; do
	got=0
	wait "${ATTACHED[$name]}" || got=$?
	[ $got = 1 ] || fail "status $got of guest $name"
	[ "$(grep -c 'the root is gone' "$T/$name.log")" = 1 ] || fail "no word of the root at $name: $(cat "$T/$name.log")"
	wait_for 5 sh -c "! kill -0 ${NS[$name]}"
done
[ $((SECONDS - killed_at)) -lt 3 ] || fail "the guests took their time"

echo "and started again"
serve --switch name=lan,type=private
begin_guest e switch=lan,addr=10.0.0.1/24
begin_guest f switch=lan,addr=10.0.0.2/24
await_guest e f
in_guest e ping -c 1 -W 2 10.0.0.2 >/dev/null || fail "ping"
ns=$(namespace_of e)
end_guest e f
wait_for 5 namespace_gone "$ns"
wait_for 5 nr_ports 0
stop_root
[ ! -e "$S" ] || fail "its socket is left"
