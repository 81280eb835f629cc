#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Stands in for `ip link add link DEV name DEV.ID type vlan id ID` where the kernel has no 802.1Q:

	vlan_link.py DEV ID...

A TAP per VLAN with the address of DEV; tags are put in and taken out on the way to a packet socket
on DEV. Offload requests go along in both directions, as they would in the kernel. Says "ready", and
moves frames until it is killed.
"""
import fcntl
import os
import select
import socket
import struct
import sys

TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x2, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6, TUN_F_TSO_ECN = 1, 2, 4, 8
SIOCSIFHWADDR = 0x8924
SOL_PACKET, PACKET_AUXDATA, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 8, 15, 23
PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC = 1, 1
TP_STATUS_VLAN_VALID = 0x10
VNET = struct.Struct("=BBHHHH")  # flags, gso_type, hdr_len, gso_size, csum_start, csum_offset
NEEDS_CSUM = 1


def open_tap(name, mac):
	fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
	fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
	fcntl.ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)
	with socket.socket() as s:
		fcntl.ioctl(s, SIOCSIFHWADDR, struct.pack("16sH6s16x", name.encode(), 1, mac))
	return fd


def open_device(dev):
	s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
	for option in PACKET_VNET_HDR, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING:
		s.setsockopt(SOL_PACKET, option, 1)
	s.bind((dev, 0))
	s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
	return s


def moved(header, by):
	"""The request for a frame that is longer in front by so much."""
	flags, gso, hdr_len, gso_size, start, offset = VNET.unpack(header)
	return VNET.pack(flags, gso, hdr_len + by if hdr_len else 0, gso_size,
			 start + by if flags & NEEDS_CSUM else start, offset)


def to_device(s, tap, vid):
	frame = os.read(tap, 70000)
	tag = struct.pack("!HH", 0x8100, vid)
	try:
		s.send(moved(frame[:10], 4) + frame[10:22] + tag + frame[22:])
	except OSError:
		pass  # as a full queue


def from_device(s, taps):
	try:
		frame, control, _, _ = s.recvmsg(70000, 64)
	except OSError:
		sys.exit("the device is gone, or down")
	for level, kind, data in control:
		if level != SOL_PACKET or kind != PACKET_AUXDATA:
			continue
		status, tci = struct.unpack_from("=I12xH", data)
		tap = taps.get(tci & 0xFFF) if status & TP_STATUS_VLAN_VALID else None
		if tap is not None:
			try:
				os.write(tap, frame)
			except OSError:
				pass  # it is down


def main():
	dev, ids = sys.argv[1], [int(a) for a in sys.argv[2:]]
	s = open_device(dev)
	mac = s.getsockname()[4]
	taps = {vid: open_tap(f"{dev}.{vid}", mac) for vid in ids}
	print("ready", flush=True)
	while True:
		for fd in select.select([s, *taps.values()], [], [])[0]:
			if fd is s:
				from_device(s, taps)
				continue
			to_device(s, fd, next(vid for vid, tap in taps.items() if tap == fd))


main()
