#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Synthetic NICs as interfaces of network namespaces: what real programs make of them, how a
# session ends, and what is refused in which words.
. "$(dirname "$0")/lib.sh"
requires ip ping iperf3 curl python3 nstat jq unshare

# nic KEYS COMMAND...: runs it in a namespace of its own with an adapter
nic() {
	local keys=$1
	shift
	"$HVBUS" attach --socket "$S" --netns new --nic "$keys" -- "$@"
}

# peer KEYS COMMAND...: the same in the background; PEER is the pid
peer() {
	local keys=$1
	shift
	"$HVBUS" attach --socket "$S" --netns new --nic "$keys" -- "$@" >"$T/peer.log" 2>&1 &
	PEER=$!
	PIDS="$PIDS $PEER"
}
end_peer() {
	kill "$PEER" 2>/dev/null || true
	wait "$PEER" || true
}

ports() { "$HVBUS" net list --socket "$S" --json | jq -e "[.switches[].ports[]] | length == $1"; }

# refused STATUS WORDS ARGS...: attach ends with that status and one line that has these words
refused() {
	local want=$1 words=$2 got=0
	shift 2
	timeout 20 "$HVBUS" attach --socket "$S" "$@" >"$T/out" 2>&1 </dev/null || got=$?
	[ "$got" = "$want" ] || { cat "$T/out"; fail "status $got instead of $want: $*"; }
	[ "$(wc -l <"$T/out")" = 1 ] || { cat "$T/out"; fail "not one line: $*"; }
	grep -qF -- "$words" "$T/out" || { cat "$T/out"; fail "no word of '$words': $*"; }
}

truncate -s 16M "$T/disk.img"
serve --disk "path=$T/disk.img,serial=BESIDE" \
	--switch name=lan,type=private,guest-vlan=on,guest-mac=on --switch name=other,type=private
nic switch=lan true 2>"$T/out" || { cat "$T/out"; echo "no namespaces for us here"; exit 77; }

echo "ping, both families, frames of 9000 bytes"
peer switch=lan,addr=10.0.0.2/24,addr=fd00::2/64,mtu=9000 sleep 60
wait_for 10 nic switch=lan,addr=10.0.0.1/24 ping -c 1 -W 1 10.0.0.2
nic switch=lan,addr=10.0.0.1/24,addr=fd00::1/64,mtu=9000 sh -ec '
	ping -c 3 -i 0.1 -W 2 10.0.0.2
	ping -6 -c 3 -i 0.1 -W 2 fd00::2
	ping -M do -s 8972 -c 2 -i 0.1 -W 2 10.0.0.2
	ip -o link show eth0 | grep -q "mtu 9000"
	ip -o -4 addr show lo | grep -q 127.0.0.1' >"$T/ping.log" 2>&1 || fail "ping"
end_peer

echo "TCP both ways, UDP, four streams over two queues; no checksum is wrong"
peer switch=lan,queues=2,addr=10.0.0.2/24 iperf3 -s
wait_for 10 nic switch=lan,addr=10.0.0.1/24 ping -c 1 -W 1 10.0.0.2
# shellcheck disable=SC2016
nic switch=lan,queues=2,addr=10.0.0.1/24 sh -ec '
	for i in 1 2 3 4 5 6 7 8 9 10; do # it may not listen yet
		iperf3 -c 10.0.0.2 -n 32M && break
		sleep 0.2
	done
	for how in "-n 32M -R" "-n 32M -P 4" "-u -b 20M -t 1"; do
		sleep 0.3 # it may still be at the one before
		iperf3 -c 10.0.0.2 $how
	done
	nstat -asz TcpInCsumErrors UdpInCsumErrors | awk "/Csum/ && \$2 != 0 { bad = 1 } END { exit bad }"' \
	>"$T/iperf.log" 2>&1 || fail "iperf3"
end_peer

echo "a file over HTTP"
mkdir "$T/www"
head -c 24M /dev/urandom >"$T/www/file"
peer switch=lan,addr=10.0.0.2/24 python3 -m http.server -d "$T/www" 80
nic switch=lan,addr=10.0.0.1/24 curl -Ssf --retry 10 --retry-delay 1 --retry-all-errors -o "$T/copy" \
	http://10.0.0.2/file 2>"$T/curl.log" || fail "curl"
cmp "$T/www/file" "$T/copy" || fail "the copy is another file"
end_peer

echo "a trunk: tags in the frames of one side, none on the other"
tagged='import socket, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0))
mac = s.getsockname()[4]
for i in range(30):
	s.send(b"\xff" * 6 + mac + bytes.fromhex("8100601488b5") + b"tagged".ljust(60))
	time.sleep(0.05)'
# For tcpdump we would have to be somebody else, and there is nobody in the namespace. The kernel
# takes the tag out and tells it beside the frame.
seen='import socket, struct, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.setsockopt(263, 8, 1)
s.bind(("eth0", 0))
while True:
	frame, extra, *_ = s.recvmsg(2000, 100)
	status, tag = struct.unpack("I12xH2x", extra[0][2][:20])
	if frame[12:14].hex() == sys.argv[1] and (not status & 16 or tag & 4095 == 10):
		print("vlan", tag & 4095 if status & 16 else "none", frame[14:].hex(), flush=True)
		break'
peer switch=lan,trunk=10+20 python3 -c "$seen" 0806
for _ in 1 2 3 4 5 6 7 8 9 10; do
	nic switch=lan,vlan=20,addr=10.10.0.3/24 ping -c 1 -W 0.1 10.10.0.1 >/dev/null || true
	nic switch=lan,vlan=10,addr=10.10.0.2/24 ping -c 1 -W 0.1 10.10.0.1 >/dev/null || true
	kill -0 "$PEER" 2>/dev/null || break
done
wait "$PEER" || fail "no tagged frame"
# who-has 10.10.0.1 tell 10.10.0.2
grep -q '^vlan 10 0001080006040001.*0a0a00020000000000000a0a0001' "$T/peer.log" || { cat "$T/peer.log"; fail "which frame?"; }
peer switch=lan,vlan=20 python3 -c "$seen" 88b5
nic switch=lan,trunk=10+20 timeout 5 python3 -c "$tagged" || true
wait "$PEER" || fail "no frame from the trunk"
grep -q "^vlan none $(printf tagged | od -An -tx1 | tr -d ' ')" "$T/peer.log" || fail "another frame"

echo "the cable"
peer switch=lan,name=plug sleep 60
wait_for 10 sh -c "'$HVBUS' net list --socket '$S' --json | jq -e '[.switches[].ports[] | select(.name == \"plug\" and .link)] | length == 1'"
end_peer
nic switch=lan,name=plug sh -ec "
	'$HVBUS' net link down --socket '$S' --port lan/plug >/dev/null
	for i in 1 2 3 4 5 6 7 8 9 10; do ip -o link show eth0 | grep -q NO-CARRIER && break; sleep 0.1; done
	ip -o link show eth0 | grep -q NO-CARRIER
	'$HVBUS' net link up --socket '$S' --port lan/plug >/dev/null
	for i in 1 2 3 4 5 6 7 8 9 10; do ip -o link show eth0 | grep -q NO-CARRIER || break; sleep 0.1; done
	! ip -o link show eth0 | grep -q NO-CARRIER" || fail "the interface does not follow the cable"

echo "its speed, another network, a limit, who it is"
nic switch=lan,name=plug sh -ec "
	'$HVBUS' net link changed --socket '$S' --port lan/plug --speed 25G
	'$HVBUS' net limit --socket '$S' --port lan/plug --bps 100M --burst 256K" >"$T/out" 2>&1 || fail "the link: $(cat "$T/out")"
for words in "25.0Gbit/s" "at most 100Mbit/s (256 KiB at once)" "(plug)" "receive buffer 0% full"; do
	grep -qF "$words" "$T/out" || { cat "$T/out"; fail "no word of '$words'"; }
done
"$HVBUS" attach --socket "$S" --netns new --nic switch=lan --name me -- "$HVBUS" net list --socket "$S" >"$T/out"
grep -qF '(me)' "$T/out" || { cat "$T/out"; fail "not its name"; }
nic switch=lan "$HVBUS" net list --socket "$S" | grep -qF "($(basename "$HVBUS"))" || fail "not its command's name"

echo "what its sockets held when the command ended"
peer switch=lan,addr=10.0.0.2/24 timeout 20 python3 -c '
import socket
s = socket.create_server(("", 9))
while True: # until a connection has not only come about
	c, n = s.accept()[0], 0
	while got := c.recv(1 << 20): n += len(got)
	if n: break
print("end after", n)'
nic switch=lan,addr=10.0.0.1/24 python3 -c '
import socket, time
for _ in range(100):
	try:
		s = socket.create_connection(("10.0.0.2", 9), 1)
		break
	except OSError: time.sleep(0.05)
s.sendall(b"x" * 500000)'
wait "$PEER" || fail "no end of the connection"
grep -q "end after 500000" "$T/peer.log" || { cat "$T/peer.log"; fail "some of it is lost"; }

echo "in a namespace that has a name"
# Where we may make one: /run is not ours.
# shellcheck disable=SC2016
unshare -rmn sh -ec '
	mount -t tmpfs none /run && ip netns add named
	"$0" attach --socket "$1" --netns named --nic switch=lan,addr=10.0.0.7/24 -- ip -o addr show eth0
	! ip -n named link show eth0 2>/dev/null
	! ip link show eth0 2>/dev/null' "$HVBUS" "$S" >"$T/out" 2>&1 || { cat "$T/out"; fail "a named namespace"; }
grep -q "inet 10.0.0.7/24" "$T/out" || { cat "$T/out"; fail "no address there"; }

echo "several adapters, their counters, and a disk beside them"
"$HVBUS" attach --socket "$S" --netns new --nic switch=lan,queues=2 --nic switch=other --tap wan0 --tap lan0 --stats -- \
	sh -c 'ip -o link show wan0 && ip -o link show lan0' >"$T/out" 2>&1 || { cat "$T/out"; fail "two adapters"; }
grep -q '^wan0: sent [0-9]* frames' "$T/out" || { cat "$T/out"; fail "no counters"; }
if command -v sg_inq >/dev/null; then
	"$RELEASE_HVBUS" attach --socket "$S" --netns new --nic switch=lan --disk 0:0 --sg -- \
		sh -c "ip -o link show eth0 && exec sg_inq $SG" >"$T/out" 2>&1 || { cat "$T/out"; fail "NIC and disk"; }
	grep -q BESIDE "$T/out" || { cat "$T/out"; fail "not our disk"; }
fi
wait_for 5 ports 0

echo "how a session ends"
got=0
nic switch=lan sh -c 'exit 7' || got=$?
[ $got = 7 ] || fail "status $got instead of 7"
got=0
nic switch=lan sh -c 'kill -KILL $$' 2>/dev/null || got=$?
[ $got = 137 ] || fail "status $got instead of 137"
peer switch=lan sh -c "trap 'exit 5' TERM; echo >'$T/ready'; while :; do sleep 0.05; done"
wait_for 20 test -e "$T/ready"
kill -TERM "$PEER"
got=0
wait "$PEER" || got=$?
[ $got = 5 ] || fail "the signal has not come to the command: status $got"
"$HVBUS" attach --socket "$S" --netns new --nic switch=lan </dev/null >"$T/idle.log" 2>&1 &
PEER=$!
PIDS="$PIDS $PEER"
wait_for 5 grep -q 'is up in the namespace of process' "$T/idle.log"
kill -INT "$PEER"
wait "$PEER" || fail "SIGINT is no failure"

echo "what is refused"
refused 2 "switch=NAME is missing" --nic mtu=1500 --netns new -- true
refused 2 "unknown key" --nic switch=lan,colour=red --netns new -- true
refused 2 "out of range" --nic switch=lan,mtu=20 --netns new -- true
refused 2 "address of one adapter" --nic switch=lan,mac=01:00:5e:00:00:01 --netns new -- true
refused 2 "address of one adapter" --nic switch=lan,mac=00:00:00:00:00:00 --netns new -- true
refused 2 "1 to 16" --nic switch=lan,queues=99 --netns new -- true
refused 2 "with a prefix" --nic switch=lan,addr=10.0.0.300/24 --netns new -- true
refused 2 "1 to 31 letters" --nic switch=lan --name "$(printf %032d 0)" -- true
refused 2 "for --nic" --sg --stats -- true
refused 2 "more --tap than --nic" --nic switch=lan --tap a --tap b -- true
refused 2 "at most 15" --nic switch=lan --tap a-name-that-is-too-long -- true
refused 2 "one at a time" --nic switch=lan --nbd "$T/n"
refused 1 "no such switch" --nic switch=wan --netns new -- true
refused 1 "at most 9000" --nic switch=lan,mtu=20000 --netns new -- true
refused 1 "already" --nic switch=lan --tap lo --netns new -- true
refused 1 "ip netns add" --nic switch=lan --netns nobody-made-this -- true
refused 127 "No such file" --nic switch=lan --netns new -- "$T/nothing"
peer switch=lan,mac=00:15:5d:00:00:01 sleep 60
wait_for 5 ports 1
refused 1 "00:15:5d:00:00:01" --nic switch=lan,mac=00:15:5d:00:00:01 --netns new -- true
end_peer

echo "the root dies"
peer switch=lan sh -c 'trap "" TERM; echo ready; sleep 60'
wait_for 5 grep -q ready "$T/peer.log"
kill -KILL "$ROOT"
got=0
wait "$PEER" || got=$?
[ $got = 1 ] || fail "status $got instead of 1"
grep -q 'the root is gone' "$T/peer.log" || fail "no word of the root"
refused 1 "no root is serving there" --nic switch=lan --netns new -- true
