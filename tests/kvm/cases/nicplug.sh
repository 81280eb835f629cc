# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# shellcheck disable=SC2034 # dev: begin_load reads it
# NICs that come and go while the guest runs, idle and under load, and a driver that is unloaded
# and loaded again while its NIC is used.
# limit: 240
# takes: 60
# check: cloud/1
# long: cloud/2 standard/1 standard/2

mac_keep=00:15:5d:00:00:01
mac_new=00:15:5d:00:00:02
rounds=3
reloads=10

host() {
	local i
	root_copy "$DISKS/root.ext4"
	vm a guest --append root=LABEL=hvbus-root --disk "path=$DISKS/root.ext4" \
		--switch name=lan,type=private,guest-mac=on --nic switch=lan,name=keep,mac=$mac_keep
	wait_for 20 control a net list || give_up "the machine does not answer"
	process_guest a 10.9.0.3/24 10.9.1.3/24
	mark a ready 120
	for i in $(seq $rounds); do
		check "a NIC is added" control a net add --nic switch=lan,name=new,mac=$mac_new
		mark a "busy $i" 90
		check "it is removed under load" control a net remove --port lan/new --wait 60
		check "its port is gone" port_gone new
		mark a "without $i" 60
	done
	check "a NIC is added and left alone" control a net add --nic switch=lan,name=new,mac=$mac_new
	mark a idle 60
	check "it is removed" control a net remove --port lan/new --wait 60
	mark a reloaded 300
	gone a 60
	check "power off ends the command with 0" [ "$STATUS" = 0 ]
	check "no driver complains" drivers_content a
}

port_gone() {
	if control a net list | grep -q -- "- $1 "; then return 1; fi
}

# ---- in the guest -----------------------------------------------------------------------------

guest() {
	check "the first NIC comes" wait_for 30 nics $mac_keep
	use_nic $mac_keep 10.9.0.1/24
	check "a process answers" wait_for 60 ping -c 1 -W 1 10.9.0.3
	say ready
	for i in $(seq $rounds); do comes_and_goes "$i"; done
	check "a NIC that nobody uses comes" wait_for 30 nics $mac_new
	say idle
	check "and goes" wait_for 60 gone_nic $mac_new
	for i in $(seq $reloads); do reload "$i"; done
	say reloaded
}

gone_nic() { ! nic_of "$1"; }

comes_and_goes() {
	check "an added NIC comes" wait_for 30 nics $mac_new
	use_nic $mac_new 10.9.1.1/24
	check "a process answers through it" wait_for 30 ping -c 1 -W 1 10.9.1.3
	begin_load 10.9.1.3
	say "busy $1"
	check "a removed NIC is gone" wait_for 60 gone_nic $mac_new
	end_load
	check "the other one works" wait_for 30 ping -c 1 -W 1 10.9.0.3
	say "without $1"
}

reload() {
	dev=$(nic_of $mac_keep)
	begin_load 10.9.0.3
	check "hv_netvsc is unloaded while it is used, $1" rmmod hv_netvsc
	check "no NIC is left, $1" gone_nic $mac_keep
	end_load
	check "it is loaded again, $1" modprobe hv_netvsc
	check "its NIC comes again, $1" wait_for 30 nics $mac_keep
	use_nic $mac_keep 10.9.0.1/24
	check "a process answers again, $1" wait_for 30 ping -c 1 -W 1 10.9.0.3
}
