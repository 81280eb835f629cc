#!/bin/sh
# SPDX-License-Identifier: MIT
# First program of level 1: finds its disk and goes on from there.
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
modprobe -a virtio_pci virtio_blk
until [ -b /dev/vda ]; do sleep 0.1; done
mount -t ext4 /dev/vda /mnt || exec sh
modprobe -a kvm-amd tun # the disk has no modules
for d in dev proc sys; do mount --move /$d /mnt/$d; done
exec switch_root /mnt /harness/l1/main.sh
