# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# A guest that has been through a lot: random load on disks and a NIC that stay, while others come,
# grow, are slowed and go, the cable is pulled and the guest paused, all at random. The VMM is the
# build that watches its memory.
# What is done follows from KVM_SEED, what it meets in the guest is a matter of time.
# build: san-address-undefined
# limit: 1500
# takes: 160 cloud/2=300 cloud/4=420 standard/2=340
# check: cloud/1
# long: cloud/2 cloud/4 standard/2

slots=6 # for disks that come and go
mac_stays=00:15:5d:00:00:01
mac_comes=00:15:5d:00:00:02

host() {
	local deeds=100
	[ "$FLAVOUR/$CPUS" != cloud/1 ] || deeds=20
	root_copy "$DISKS/root.ext4"
	truncate -s 64M "$DISKS/raw.img"
	mkfs.ext4 -q "$DISKS/fs.img" 48M || give_up "mkfs.ext4 failed"
	for i in $(seq $slots); do
		truncate -s $((i + 7))M "$DISKS/plug$i.img"
		eval "at_$i='' size_$i=$((i + 7))"
	done
	head -c 300000 /dev/urandom >"$DISKS/there"
	vm a guest --append "root=LABEL=hvbus-root seed=$SEED there=$(sha256sum <"$DISKS/there" | cut -d' ' -f1)" \
		--disk "path=$DISKS/root.ext4" --disk "path=$DISKS/raw.img" --disk "path=$DISKS/fs.img,controller=1" \
		--switch name=lan,type=private,guest-mac=on --nic switch=lan,name=stays,mac=$mac_stays
	wait_for 30 control a net list || give_up "the machine does not answer"
	neighbour
	mark a ready 180
	live $deeds
	afterwards
	gone a 90
	check "power off ends the command with 0, with no word of the sanitizers" [ "$STATUS" = 0 ]
	check "no driver complains, but of what was taken away" drivers_content a
	check "e2fsck finds nothing" e2fsck -fn "$DISKS/fs.img"
	check "every disk has outside what the guest read last" same_disks
}

# A process on the same switch: says the sum of what it is sent at port 7000, and sends at 7001.
neighbour() {
	# shellcheck disable=SC2016
	echo '/bin/busybox nc -ll -p 7000 -e /bin/busybox sha256sum &
/bin/busybox nc -ll -p 7001 -e /bin/busybox cat "$1" &
wait' >"$DISKS/neighbour"
	"$HVBUS" attach --socket "$(socket a)" --netns new --nic switch=lan,name=process,addr=10.9.0.3/24,addr=10.9.1.3/24 -- \
		"${KVM_BUSYBOX:-/bin/busybox}" sh "$DISKS/neighbour" "$DISKS/there" >"$CASE_DIR/neighbour.log" 2>&1 &
}

# ---- life -------------------------------------------------------------------------------------

# live DEEDS: each kind at least once, the others at random
live() {
	local deed=0 refused=0 number
	while [ $deed -lt "$1" ]; do
		if dead a || said a failed; then
			last_words a
			give_up "the guest is no more after $deed deeds (KVM_SEED=$SEED)"
		fi
		deed=$((deed + 1))
		random 100
		number=$RANDOM_NUMBER
		random $slots
		case $deed in
		1) plug 1 ;;
		2) grow 1 ;;
		3) unplug 1 ;;
		4) other 99 ;;
		5 | 6) net 67 ;;
		7) net 50 ;;
		*) one_deed "$number" $((RANDOM_NUMBER + 1)) ;;
		esac || refused=$((refused + 1))
		say "deed $deed: $word"
		random 9
		sleep 0.$((RANDOM_NUMBER + 1))
	done
	check "$deed deeds are done: $added added, $removed removed, $grown grown, $nets on the net, $others other (KVM_SEED=$SEED)" \
		[ $refused = 0 ]
}

added=0 removed=0 grown=0 nets=0 others=0 nic_is=gone

# Of a slot: where its disk is, empty when it is nowhere; how large it is.
place() { eval "echo \$at_$1"; }
size() { eval "echo \$size_$1"; }

# one_deed NUMBER SLOT: which of a hundred; what it was is in $word
one_deed() {
	if [ "$1" -ge 70 ]; then
		other "$1"
	elif [ "$1" -ge 50 ]; then
		net "$1"
	elif [ -z "$(place "$2")" ]; then
		plug "$2"
	elif [ $(($1 % 3)) = 0 ]; then
		grow "$2"
	else
		unplug "$2"
	fi
}

other() {
	others=$((others + 1))
	case $1 in
	7?) word="slowed" && control a disk limit --disk 0:1 --iops $((50 + $1)) ;;
	8[0-4]) word="not slowed" && control a disk limit --disk 0:1 --none ;;
	8[5-9])
		word="delayed" && control a disk fault --disk 1:0 --clear all &&
			control a disk fault --disk 1:0 --set all:10%:delay=20ms --seed "$SEED"
		;;
	9[0-2]) word="not delayed" && control a disk fault --disk 1:0 --clear all ;;
	9[3-5]) word="inspected" && control a inspect --json >/dev/null ;;
	*) word="paused" && control a pause && sleep 0.5 && control a resume ;;
	esac
}

net() {
	nets=$((nets + 1))
	case $1 in
	5[0-4]) word="cable out and in" && control a net link down --port lan/stays && sleep 0.5 && control a net link up --port lan/stays ;;
	5[5-7]) word="NIC slowed" && control a net limit --port lan/stays --bps 20M ;;
	5[89] | 60) word="NIC not slowed" && control a net limit --port lan/stays --none ;;
	6[1-4]) word="mirrored" && control a net mirror --port lan/stays --file "$DISKS/mirror" && sleep 1 &&
		control a net mirror --port lan/stays --off ;;
	*) if [ $nic_is = gone ]; then nic_comes; else nic_goes; fi ;;
	esac
}
nic_comes() {
	word="NIC added" nic_is=there
	control a net add --nic switch=lan,name=comes,mac=$mac_comes
}
nic_goes() {
	word="NIC removed" nic_is=gone
	# Later also in the middle of its driver's beginning.
	wait_for 60 said a "through the NIC" || return 1
	control a net remove --port lan/comes --wait 60
}

plug() {
	local ctl lun
	random 2 && ctl=$RANDOM_NUMBER
	lun=$(($1 * 8 + added % 8)) # a number of its own: the one before may still be on its way out
	word="added plug$1 as $ctl:$lun" added=$((added + 1))
	eval "at_$1=$ctl:$lun"
	control a disk add --disk "path=$DISKS/plug$1.img,controller=$ctl,lun=$lun,serial=plug$1"
}

unplug() {
	local at
	at=$(place "$1")
	word="removed plug$1 from $at" removed=$((removed + 1))
	eval "at_$1=''"
	control a disk remove --disk "$at" --wait 60
}

grow() {
	eval "size_$1=\$((size_$1 + 2))"
	word="plug$1 has $(size "$1") MiB" grown=$((grown + 1))
	control a disk resize --disk "$(place "$1")" --size "$(size "$1")M"
}

# ---- and then ---------------------------------------------------------------------------------

afterwards() {
	local i
	control a disk limit --disk 0:1 --none
	control a disk fault --disk 1:0 --clear all
	control a net limit --port lan/stays --none
	check "the guest is told to come to rest" control a disk add --disk engine=memory,size=3M
	mark a resting 180
	for i in $(seq $slots); do
		[ -z "$(place "$i")" ] || mark a "here plug$i $(size "$i")\$" 60
	done
	check "the guest sees every disk as it is, and is told to look" control a disk add --disk engine=memory,size=5M
	mark a "looked" 120
}

same_disks() {
	local i
	for i in $(seq $slots); do
		if [ -z "$(place "$i")" ]; then
			! said a "plug$i " || return 1
		else
			said a "plug$i $(size "$i") $(sha256sum <"$DISKS/plug$i.img" | cut -d' ' -f1)" || return 1
		fi
	done
}

# ---- in the guest -----------------------------------------------------------------------------

all_there() { disk_of 64 && disk_of 48; }
over() { [ -e /tmp/over ]; }
bad() { echo "$*" >>/tmp/bad; }
counted() { echo . >>"/tmp/count.$1"; }
count() { wc -l <"/tmp/count.$1" || echo 0; }

guest() {
	local raw fs root load loads watcher
	check "the disks come" wait_for 60 all_there
	raw=$(disk_of 64) fs=$(disk_of 48) root=$(sed -nE 's,^/dev/([^ ]*) / .*,\1,p' /proc/mounts)
	stays=" $raw $fs $root "
	echo 30 >/proc/sys/kernel/hung_task_timeout_secs
	mkdir -p /tmp/fs /tmp/nodes
	mount -t ext4 "/dev/$fs" /tmp/fs || say "failed cannot mount"
	check "the NIC comes" wait_for 30 nics $mac_stays
	use_nic $mac_stays 10.9.0.1/24
	check "the neighbour answers" wait_for 60 answers 10.9.0.3
	say ready
	watch_for_hangs &
	watcher=$!
	loads=
	for load in "raw_load $raw" file_load plug_load net_load nic_load; do
		$load &
		loads="$loads $!"
	done
	until disk_of 3; do sleep 0.5; done
	touch /tmp/over
	# shellcheck disable=SC2086
	wait $loads
	kill $watcher
	say resting
	until disk_of 5; do
		here
		sleep 0.5
	done
	at_rest "$raw$fs$root"
}

raw_load() {
	local round=0
	until over; do
		round=$((round + 1))
		fio --name=raw "--filename=/dev/$1" --direct=1 --ioengine=libaio --iodepth=16 --bssplit=4k/50:16k/40:128k/10 \
			--rw=randrw --size=8M "--offset=$((round % 4 * 16))M" "--randseed=$(($(word seed) + round))" \
			--verify=crc32c --do_verify=1 --verify_fatal=1 || bad "fio, round $round"
		/usr/bin/blkdiscard --offset "$((round % 4 * 16 + 8))MiB" --length 4MiB "/dev/$1" || bad "blkdiscard, round $round"
		counted raw
	done
}

file_load() {
	local i=0 slot
	until over; do
		i=$((i + 1)) slot=$((i * 7 % 12))
		if [ -e "/tmp/fs/f$slot" ]; then
			[ "$(sha256sum <"/tmp/fs/f$slot")" = "$(cat "/tmp/fs/f$slot.sum")" ] || bad "file $slot, round $i"
		fi
		head -c $(((i * 7919 % 600 + 1) * 1111)) /dev/urandom >"/tmp/fs/f$slot" || bad "writing file $slot"
		sha256sum <"/tmp/fs/f$slot" >"/tmp/fs/f$slot.sum"
		[ $((i % 4)) != 0 ] || sync
		[ $((i % 6)) != 0 ] || echo 3 >/proc/sys/vm/drop_caches
		[ $((i % 20)) != 0 ] || fstrim /tmp/fs || bad "fstrim, round $i"
		counted files
	done
}

# What the checksums on the way cannot see, offloaded as they are, sums of the whole do.
net_load() {
	local round=0 sum
	until over; do
		round=$((round + 1))
		head -c $(((round * 7919 % 300 + 1) * 1009)) /dev/urandom >/tmp/sent
		sum=$(nc 10.9.0.3 7000 </tmp/sent | cut -d' ' -f1)
		[ "$sum" = "$(sha256sum </tmp/sent | cut -d' ' -f1)" ] || bad "sent, round $round: $sum"
		sum=$(nc 10.9.0.3 7001 </dev/null | sha256sum | cut -d' ' -f1)
		[ "$sum" = "$(word there)" ] || bad "received, round $round: $sum"
		counted net
	done
}

answers() { ping -c 1 -W 1 "$1"; }

# The NIC that comes and goes is used while it is there.
nic_load() {
	until over; do
		if nics $mac_comes; then
			use_nic $mac_comes 10.9.1.1/24
			while nics $mac_comes && ! over; do
				ping -c 1 -W 1 -s 1000 10.9.1.3 || continue
				[ -e /tmp/count.nics ] || say "through the NIC that came"
				counted nics
			done
		fi
		sleep 0.3
	done
}

# Each disk that comes gets a load of its own.
plug_load() {
	local d
	until over; do
		for d in /sys/block/sd*; do
			d=${d##*/}
			case $stays in *" $d "*) continue ;; esac
			if mkdir "/tmp/nodes/$d"; then one_disk "$d" & fi
		done
		sleep 0.3
	done
	wait
}

sequence() { cat "/sys/block/$1/diskseq"; }
same_disk() { [ "$(sequence "$1")" = "$2" ] && ! over; }

# A node of our own: what writes to a name in /dev that is gone makes a file there.
one_disk() {
	local d=$1 i=0 node=/tmp/nodes/$1/node seq
	seq=$(sequence "$d")
	# shellcheck disable=SC2046
	mknod "$node" b $(tr : ' ' <"/sys/block/$d/dev")
	head -c 65536 /dev/urandom >"/tmp/nodes/$d/data"
	while same_disk "$d" "$seq"; do
		i=$((i + 1))
		dd "if=/tmp/nodes/$d/data" "of=$node" bs=16k seek=$((i * 5 % 100)) conv=notrunc oflag=direct || break
		dd "if=$node" of="/tmp/nodes/$d/read" bs=16k skip=$((i * 5 % 100)) count=4 iflag=direct || break
		cmp "/tmp/nodes/$d/data" "/tmp/nodes/$d/read" || { same_disk "$d" "$seq" && bad "plugged $d, round $i"; }
		counted plugged
	done
	rm -r "/tmp/nodes/$d"
}

# The disks that come and go, a line for each: serial number, MiB, name.
plugged() {
	local d serial
	for d in /sys/block/sd*; do
		serial=$(sg_vpd --page=sn "/dev/${d##*/}" 2>/dev/null | sed -nE 's/.*(plug[0-9]).*/\1/p')
		[ -z "$serial" ] || echo "$serial $(($(cat "$d/size") / 2048)) ${d##*/}"
	done
}

# What is new of that.
here() {
	local serial size _
	plugged | while read -r serial size _; do
		grep -qx "$serial $size" /tmp/here && continue
		echo "$serial $size" >>/tmp/here
		say "here $serial $size"
	done
}

at_rest() {
	local serial size d
	plugged | while read -r serial size d; do
		say "$serial $size $(sha256sum <"/dev/$d" | cut -d' ' -f1)"
	done
	check "everybody worked: $(count raw) times the raw disk, $(count files) files, $(count plugged) times those that come" \
		[ $(($(count raw) * $(count files) * $(count plugged))) -gt 0 ]
	check "on the net, too: $(count net) times there and back, $(count nics) times through the NIC that came" \
		[ $(($(count net) * $(count nics))) -gt 0 ]
	[ ! -e /tmp/bad ] || say "$(head -n 3 /tmp/bad | tr '\n' ';')"
	check "nothing that was written is lost" test ! -e /tmp/bad
	check "the file system is unmounted" umount /tmp/fs
	check "nothing hangs" nothing_hangs
	expect "(dev |device |\\[|\\()sd[^$(echo "$1" | sed 's/sd//g')]|s(d|csi) [0-9]+:0:0:([89]|[1-5][0-9]): |srb 0x(20|84) |callbacks suppressed"
	# Removed while its driver began with it.
	expect "hv_netvsc .*unable to (open channel: -19|add netvsc device \\(ret -19\\))|probe failed for device [0-9a-f-]+ \\(-19\\)"
	say looked
}

# Who hangs never comes to rest: what the kernel knows of it is said at once.
watch_for_hangs() {
	while nothing_hangs; do sleep 5; done
	dmesg | grep -A 40 'blocked for more than' | head -n 200 >/dev/console
	say "failed tasks hang"
}

nothing_hangs() { ! dmesg | grep 'blocked for more than'; }
