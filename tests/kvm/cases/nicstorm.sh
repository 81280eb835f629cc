# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# A NIC that comes and goes while another one's MTU changes several times a second, each change an
# end and a beginning with new sub-channels: now it goes in the middle of its load, now of its driver's
# beginning. Linux does all that under one lock, and most of it waits for us.
# limit: 400
# takes: 160
# long: cloud/4 standard/2

mac_keep=00:15:5d:00:00:01
mac_new=00:15:5d:00:00:02
rounds=12

host() {
	local i=0
	truncate -s 3M "$DISKS/over.img"
	vm a guest --switch name=lan,type=private,guest-mac=on --nic switch=lan,name=keep,mac=$mac_keep --disk engine=memory,size=8M
	wait_for 20 control a net list || give_up "the machine does not answer"
	process_guest a 10.9.0.3/24 10.9.1.3/24
	mark a ready 120
	while [ $i -lt $rounds ]; do
		i=$((i + 1))
		check "round $i: a NIC is added" control a net add --nic switch=lan,name=new,mac=$mac_new
		[ $((i % 3)) = 0 ] || mark a "busy $(used $i)\$" 60
		random 3
		sleep "0.$RANDOM_NUMBER"
		check "round $i: it is removed, nobody having to be forced" calmly_removed
	done
	check "the guest is told that it is over" control a disk add --disk "path=$DISKS/over.img"
	mark a "over" 120
	gone a 60
	check "power off ends the command with 0" [ "$STATUS" = 0 ]
}

# used ROUND: how often a NIC has been waited for until then
used() { echo $(($1 - $1 / 3)); }

calmly_removed() {
	control a net remove --port lan/new --wait 90 --json >"$CASE_DIR/removed" || return 1
	grep -qE '"busy": ?false' "$CASE_DIR/removed"
}

# ---- in the guest -----------------------------------------------------------------------------

guest() {
	n=0 was='' tries=0
	echo 20 >/proc/sys/kernel/hung_task_timeout_secs
	check "the first NIC comes" wait_for 30 nics $mac_keep
	use_nic $mac_keep 10.9.0.1/24
	check "a process answers" wait_for 60 ping -c 1 -W 1 10.9.0.3
	say ready
	change_mtu "$(nic_of $mac_keep)" &
	until over; do use_what_is_there; done
	wait
	check "the MTU was changed $(wc -l </tmp/changes) times" [ -s /tmp/changes ]
	check "nothing hangs" nothing_hangs
	check "the other one works" wait_for 30 ping -c 1 -W 1 10.9.0.3
	say over
}

# It may be another one than at the look before: then it has another number.
use_what_is_there() {
	local is
	dev=$(nic_of $mac_new)
	is=$(cat "/sys/class/net/$dev/ifindex")
	if [ -z "$is" ]; then
		sleep 0.1
		return
	fi
	[ "$is" = "$was" ] || use_nic $mac_new 10.9.1.1/24
	if ! ping -c 1 -W 1 10.9.1.3; then
		was=''
		tries=$((tries + 1))
		[ $((tries % 25)) != 0 ] || say "not reached: $(ip -o addr show dev "$dev" | tr '\n' ' ')"
		return
	fi
	if [ "$is" != "$was" ]; then
		was=$is n=$((n + 1)) tries=0
		say "busy $n"
	fi
	dd if=/dev/zero bs=1400 count=500 | timeout 1 nc -u -w 1 10.9.1.3 9
}

over() { disk_of 3; }
nothing_hangs() { ! dmesg | grep 'blocked for more than'; }

change_mtu() {
	local mtu=1500
	until over; do
		mtu=$((2900 - mtu))
		ip link set "$1" mtu $mtu && echo $mtu >>/tmp/changes
		# Without a pause nobody else gets the lock, and no NIC sees its cable pulled.
		sleep 0.2
	done
}
