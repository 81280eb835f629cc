#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Checksums and large sends, switched on and off at either end, seen on the wire behind an uplink
# that can do neither; and uplinks that vanish and return. Everything is in one network namespace
# and belongs to its owner.
. "$(dirname "$0")/lib_net.sh"
as_owner
. "$(dirname "$0")/lib.sh"
requires ip ss ping iperf3 python3 jq nstat nsenter unshare ethtool tcpdump

bad_sums_here() { nstat -asz TcpInCsumErrors UdpInCsumErrors Icmp6InCsumErrors IcmpInCsumErrors | awk '/Csum/ && $2 != 0 { bad = 1; print } END { exit !bad }'; }

# transfer NAME TO PORT ARGS...
transfer() {
	local name=$1 to=$2 port=$3
	shift 3
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		in_guest "$name" timeout 20 iperf3 -c "$to" -p "$port" "$@" >"$T/iperf-$port" 2>&1 && return
		grep -q 'server is busy' "$T/iperf-$port" || break
		sleep 0.1
	done
	cat "$T/iperf-$port"
	return 1
}

# offloads NAME tx tso: of the guest's interface; a large send needs a checksum
offloads() {
	in_guest "$1" ethtool -K eth0 tx "$2" tso "$3" gso "$3" sg "$2" >/dev/null 2>>"$T/ethtool.log" || fail "ethtool: $(cat "$T/ethtool.log")"
	in_guest "$1" ethtool -k eth0 | grep -q "^tcp-segmentation-offload: $3" || fail "TSO of $1 is not $3"
}

# With addresses of their own: neighbours are to find them again.
new_pair() {
	ip link add up0 type veth peer name far0 address 02:00:00:00:00:01
	ip link set up0 up
	ip link set far0 up
	ip addr add 10.1.0.1/24 dev far0
}
ip link set lo up
new_pair
ethtool -K up0 tx off tso off gso off sg off >/dev/null
ip -6 addr add fd01::1/64 dev far0 nodad

vlan_links "" far0 100
ip addr add 10.1.100.1/24 dev far0.100
ip -6 addr add fd64::1/64 dev far0.100 nodad
ethtool -K far0.100 gro off >/dev/null 2>&1 || true

serve --switch name=wan,type=external,iface=up0,guest-vlan=on --switch name=lan,type=internal
ip addr add 10.2.0.1/24 dev hv-lan
ip -6 addr add fd02::1/64 dev hv-lan nodad
begin_guest plain switch=wan,addr=10.1.0.2/24,addr=fd01::2/64
begin_guest tagged switch=wan,vlan=100,addr=10.1.100.2/24,addr=fd64::2/64
begin_guest a switch=lan,addr=10.2.0.2/24,addr=fd02::2/64
begin_guest b switch=lan,addr=10.2.0.3/24,addr=fd02::3/64
for port in 5201 5202; do
	iperf3 -s -p $port >"$T/server-$port" 2>&1 &
	PIDS="$PIDS $!"
done
await_guest plain tagged a b

echo "every combination, behind an uplink that can do neither"
tcpdump -U -i far0 -w "$T/wire.pcap" 2>"$T/tcpdump.log" &
dump=$!
PIDS="$PIDS $dump"
wait_for 5 grep -q 'listening on far0' "$T/tcpdump.log"
# TCP behind an extension header of IPv6, which iperf3 cannot ask for.
python3 -c '
import socket
s = socket.create_server(("fd01::1", 5203), family=socket.AF_INET6)
while True:
	c, n = s.accept()[0], 0
	while data := c.recv(1 << 16):
		n += len(data)
	c.send(str(n).encode())
	c.close()' 2>"$T/far.log" &
PIDS="$PIDS $!"
far_listens() { ss -Hltn 'sport = :5203' | grep -q LISTEN; }
wait_for 10 far_listens
extended='
import socket
s = socket.socket(socket.AF_INET6)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, bytes([0, 0, 1, 4, 0, 0, 0, 0]))
s.connect(("fd01::1", 5203))
s.sendall(bytes(range(250)) * 2000)
s.shutdown(socket.SHUT_WR)
assert s.recv(100) == b"500000"'
for how in "on on" "on off" "off off"; do
	# shellcheck disable=SC2086
	{
		offloads plain $how
		offloads tagged $how
	}
	for net in "10.1.0.1 10.1.100.1" "fd01::1 fd64::1"; do
		transfer plain "${net% *}" 5201 -n 1M --bidir &
		one=$!
		transfer tagged "${net#* }" 5202 -n 1M --bidir || fail "tagged, tx and tso $how, ${net#* }"
		wait $one || fail "plain, tx and tso $how, ${net% *}"
		in_guest plain ping -c 1 -s 1400 -W 2 "${net% *}" >/dev/null || fail "ping ${net% *}"
	done
	in_guest plain timeout 10 python3 -c "$extended" || fail "extension header, tx and tso $how"
done
kill $dump
wait $dump 2>/dev/null || true
no_bad_sums plain tagged
! bad_sums_here || fail "wrong checksums at the far end"
for name in plain tagged; do
	mac=$(port $name .mac)
	tcpdump -enr "$T/wire.pcap" -vv "ether src $mac" >"$T/$name.txt" 2>>"$T/tcpdump.log"
	for family in IPv4 IPv6; do
		n=$(grep -A 1 "ethertype $family" "$T/$name.txt" | grep -c 'correct)\|icmp6 sum ok\|ICMP echo')
		[ "$n" -gt 500 ] || fail "only $n $family frames of guest $name were seen"
	done
	[ $name = tagged ] || [ "$(grep -c 'DSTOPT.*correct)' "$T/$name.txt")" -gt 500 ] || fail "no extension headers"
	! grep -B 1 -E 'incorrect|bad cksum|bad icmp6' "$T/$name.txt" | head -n 6 | grep . || fail "wrong checksums of guest $name on the wire"
	long=$(sed -n 's/.* length \([0-9]*\): .*/\1/p' "$T/$name.txt" | sort -n | tail -n 1)
	case $long in 1514 | 1518) ;; *) fail "a frame of $long bytes on the wire" ;; esac
done
[ "$(grep -c 'vlan 100, ' "$T/tagged.txt")" -gt 1000 ] || fail "guest tagged is not"
! grep 'vlan 100, ' "$T/plain.txt" | head -n 3 | grep . || fail "guest plain is tagged"

echo "the host's interface and two guests, each with and without"
begin_server() {
	beside "$1" iperf3 -s
	wait_for 5 listens "$1" 5201
}
begin_server b
for how in "on on" "off off"; do
	# shellcheck disable=SC2086
	offloads a $how
	for host in on off; do
		ethtool -K hv-lan tx $host tso $host gso $host gro $host >/dev/null
		transfer a 10.2.0.1 5202 -n 2M --bidir || fail "the host has offloads $host, the guest $how"
	done
	transfer a fd02::1 5202 -n 2M --bidir || fail "IPv6: the host has offloads $host, the guest $how"
	transfer a 10.2.0.3 5201 -n 2M --bidir || fail "guests: one has $how"
	transfer a fd02::3 5201 -n 2M --bidir || fail "guests, IPv6: one has $how"
done
no_bad_sums a b
! bad_sums_here || fail "wrong checksums at the host"

echo "an interface of the host that vanishes and returns"
beside plain ping -i 0.02 10.1.0.1
wait_for 5 port_is up0 '.device.state == "up"'
ip link del up0
wait_for 5 port_is up0 '(.link | not) and .device.gone == 1'
new_pair
wait_for 10 port_is up0 '.link and .device.returned == 1'
in_guest plain ping -c 1 -W 3 10.1.0.1 >/dev/null || fail "the uplink is back"
stop_root

echo "a TAP in a bridge that vanishes and returns"
ip link add br0 address 02:00:00:00:00:02 type bridge
ip link set br0 up
ip addr add 10.3.0.1/24 dev br0
new_tap() {
	ip tuntap add up1 mode tap
	ip link set up1 up master br0
}
new_tap
serve --switch name=wan,type=external,tap=up1
begin_guest c switch=wan,addr=10.3.0.2/24
begin_guest d switch=wan,addr=10.3.0.3/24
await_guest c d
in_guest c ping -c 1 -W 5 10.3.0.1 >/dev/null || fail "the bridge"
beside c ping -i 0.02 10.3.0.1
ip link del up1
wait_for 5 port_is up1 '(.link | not) and .device.state == "gone"'
in_guest c ping -c 2 -i 0.02 -W 2 10.3.0.3 >/dev/null || fail "guests without the uplink"
new_tap
wait_for 10 port_is up1 '.link and .device.returned == 1'
in_guest d ping -c 1 -W 5 10.3.0.1 >/dev/null || fail "the TAP is back"
transfer c 10.3.0.1 5201 -n 2M --bidir || fail "TCP over the new TAP"
stop_root
