# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# Two machines and a process on one switch, and a NAT: DHCP, large transfers both ways, offloads,
# MTU, buffers, the cable. Channels have a case of their own.
# limit: 300
# takes: 50
# check: cloud/1
# long: cloud/2 cloud/4 standard/2

mac_net=00:15:5d:00:00:01
mac_lan=00:15:5d:00:00:02
mac_peer=00:15:5d:00:00:03

host() {
	root_copy "$DISKS/root.ext4"
	root_copy "$DISKS/peer.ext4"
	vm a guest --append root=LABEL=hvbus-root --disk "path=$DISKS/root.ext4" \
		--switch name=net,type=nat,guest-mac=on --switch name=lan,type=private,guest-mac=on \
		--nic switch=net,name=net,mac=$mac_net,mtu=9000 --nic switch=lan,name=lan,mac=$mac_lan,mtu=9000
	wait_for 20 control a net list || give_up "machine a does not answer"
	vm b peer --append root=LABEL=hvbus-root --disk "path=$DISKS/peer.ext4" \
		--switch "name=lan,type=joined,root=$(socket a),guest-mac=on" --nic switch=lan,mac=$mac_peer,mtu=9000
	process_guest a 10.9.0.3/24
	mark a flap 120
	check "the cable is pulled" control a net link down --port net/net
	mark a pulled 30
	check "the cable is back" control a net link up --port net/net
	mark a finished 240
	check "the other machine is asked to end" control b shutdown
	gone b 60
	check "it did" [ "$STATUS" = 0 ]
	gone a 60
	check "power off ends the command with 0" [ "$STATUS" = 0 ]
	check "no driver complains" drivers_content a
	check "nor does one in the other machine" drivers_content b
}

# ---- in the guests ----------------------------------------------------------------------------

guest() {
	check "both NICs come" wait_for 30 nics $mac_net $mac_lan
	nat
	use_nic $mac_lan 10.9.0.1/24
	check "a channel for every processor" [ "$(netvsc_channels "$dev")" = "$(word cpus)" ]
	talk 10.9.0.3 "a process"
	sent_begins
	check "large frames go to a process" transfer 10.9.0.3
	check "they are larger than the wire's" [ "$(mean_sent)" -gt 2000 ]
	talk 10.9.0.2 "the other machine"
	without_offloads
	with_large_frames
	with_other_rings
	say finished
}

peer() {
	check "the NIC comes" wait_for 30 nics $mac_peer
	use_nic $mac_peer 10.9.0.2/24
	ip link set "$dev" mtu 9000
	iperf3 -s &
	wait_for 400 shutdown_asked || say "failed nobody asked for a shutdown"
}

nat() {
	dev=$(nic_of $mac_net)
	check "hv_netvsc drives it" driven_by_netvsc "$dev"
	check "DHCP gives an address" dhcp "$dev"
	check "the host answers" ping -c 3 10.0.2.2
	say flap
	check "a pulled cable is seen" wait_for 20 carrier "$dev" 0
	say pulled
	check "so is its return" wait_for 20 carrier "$dev" 1
	check "the host answers again" wait_for 20 ping -c 1 -W 1 10.0.2.2
}

# talk ADDRESS WHO: a transfer each way
talk() {
	check "$2 answers" wait_for 60 ping -c 1 -W 1 "$1"
	check "a transfer to $2" transfer "$1"
	check "a transfer from $2" transfer "$1" -R
}

# mean_sent: bytes of a frame since sent_begins, as the driver hands them over
counter() { cat "/sys/class/net/$dev/statistics/$1"; }
sent_begins() { packets=$(counter tx_packets) bytes=$(counter tx_bytes); }
mean_sent() {
	local more=$(($(counter tx_packets) - packets))
	echo $((($(counter tx_bytes) - bytes) / (more > 0 ? more : 1)))
}

both() {
	talk 10.9.0.3 "a process, $1"
	talk 10.9.0.2 "the other machine, $1"
}

without_offloads() {
	offloads off
	sent_begins
	both "without offloads"
	check "no frame is larger than the wire's" [ "$(mean_sent)" -le 1514 ]
	offloads on
}

offloads() {
	check "offloads are turned $1" ethtool -K "$dev" tx "$1" rx "$1" sg "$1" tso "$1" gso "$1" gro "$1"
	for feature in rx-checksumming tx-checksumming scatter-gather tcp-segmentation-offload; do
		check "$feature is $1" says "$feature: $1" ethtool -k "$dev"
	done
}

fragments() { awk '/^Ip: [0-9]/ { print $19 }' /proc/net/snmp; }

with_large_frames() {
	local before
	check "MTU 9000" ip link set "$dev" mtu 9000
	before=$(fragments)
	check "a frame of 9000 bytes to a process" wait_for 20 ping -c 1 -W 1 -s 8972 10.9.0.3
	check "and to the other machine" wait_for 20 ping -c 1 -W 1 -s 8972 10.9.0.2
	check "in one piece" [ "$(fragments)" = "$before" ]
	both "with MTU 9000"
}

with_other_rings() {
	check "smaller buffers" ethtool -G "$dev" rx 1024 tx 64
	check "they are" rings 1024 64
	talk 10.9.0.3 "a process, with smaller buffers"
}

rings() { ethtool -g "$dev" | awk -v rx="$1" -v tx="$2" '/^RX:/ { r = $2 } /^TX:/ { t = $2 } END { exit r != rx || t != tx }'; }
