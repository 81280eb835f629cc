#!/bin/sh
# SPDX-License-Identifier: MIT
# Level 1, from its disk: runs the cases of /harness/list one after the other. What the harness
# reads goes to ttyS1 (lines), what the guests say to ttyS2; all files of a case to /out.
export PATH=/usr/bin:/bin:/usr/sbin:/sbin
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mkdir -p /dev/shm /dev/pts
mount -t tmpfs shm /dev/shm
mount -t devpts pts /dev/pts
mount -t debugfs debug /sys/kernel/debug
echo advise >/sys/kernel/mm/transparent_hugepage/shmem_enabled
echo 1 >/proc/sys/kernel/panic_on_rcu_stall # as softlockup_panic, which the harness sets
ip link set lo up
stty raw -echo </dev/ttyS1
stty raw -echo </dev/ttyS2

export KVM_HARNESS=/harness KVM_OUT=/out KVM_DISKS=/disks KVM_REPORT=/dev/ttyS1 KVM_CONSOLES=/dev/ttyS2

if [ ! -s /harness/list ]; then
	setsid cttyhack sh
	/harness/tools/exit 16
fi

# Who waits outside sees that this machine lives.
while sleep 2; do echo tick >/dev/ttyS1; done &

echo "started $(cut -d' ' -f1 /proc/uptime)" >/dev/ttyS1
while read -r id limit build; do
	/harness/host/case.sh "$id" "$limit" "$build" </dev/null
	sync
done </harness/list
echo finished >/dev/ttyS1
# The port is drained before the machine is gone.
sleep 0.5
umount -a -r 2>/dev/null
sync
/harness/tools/exit 16
