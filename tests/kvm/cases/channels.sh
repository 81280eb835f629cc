# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# shellcheck disable=SC2154 # dev: use_nic sets it
# A channel for every processor, fewer and again all of them, while the NIC is used.
# limit: 120
# takes: 22
# check: cloud/2
# long: cloud/4 standard/2

mac_lan=00:15:5d:00:00:01

host() {
	root_copy "$DISKS/root.ext4"
	vm a guest --append root=LABEL=hvbus-root --disk "path=$DISKS/root.ext4" \
		--switch name=lan,type=private,guest-mac=on --nic switch=lan,name=lan,mac=$mac_lan
	wait_for 20 control a net list || give_up "the machine does not answer"
	process_guest a 10.9.0.3/24
	mark a finished 120
	gone a 60
	check "power off ends the command with 0" [ "$STATUS" = 0 ]
	check "no driver complains" drivers_content a
}

# ---- in the guest -----------------------------------------------------------------------------

guest() {
	check "the NIC comes" wait_for 30 nics $mac_lan
	use_nic $mac_lan 10.9.0.1/24
	check "a channel for every processor" has_channels "$(word cpus)"
	check "a process answers" wait_for 60 ping -c 1 -W 1 10.9.0.3
	check "flows take all of them" all_are_used
	begin_load 10.9.0.3
	check "one channel, while it is used" ethtool -L "$dev" combined 1
	check "there is one" wait_for 20 has_channels 1
	end_load
	check "a process answers through it" wait_for 20 ping -c 1 -W 1 10.9.0.3
	check "a transfer through it" transfer 10.9.0.3
	check "all channels" ethtool -L "$dev" combined "$(word cpus)"
	check "they are there" wait_for 20 has_channels "$(word cpus)"
	check "flows take all of them again" all_are_used
	say finished
}

has_channels() { [ "$(netvsc_channels "$dev")" = "$1" ]; }

# Which channel a flow takes is a matter of its hash: eight of them miss one once in 128 times.
all_are_used() {
	for _ in 1 2 3 4 5; do
		transfer 10.9.0.3 -P 8 && netvsc_channels_used "$dev" && return
	done
	return 1
}
