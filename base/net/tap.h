/* SPDX-License-Identifier: MIT */
/* TAP devices with virtio headers and offloads (spec: virtual-switch, section 8.1). */
#ifndef HVBUS_BASE_NET_TAP_H
#define HVBUS_BASE_NET_TAP_H

#include "base/net/vnet.h"

#define NET_TAP_QUEUES 16u

struct net_tap_config {
	const char *name; /* at most 15 characters; "%d" is the kernel's to fill in; "" = "hv%d" */
	uint32_t queues;  /* 0 = 1; several: IFF_MULTI_QUEUE */
	uint32_t mtu;	  /* IP MTU; 0 = leave */
	const uint8_t *mac; /* NULL = leave */
	bool offloads;	    /* checksum, TSO4, TSO6 (with ECN) both ways */
	bool must_exist;    /* attach to a persistent one; otherwise an existing name is refused */
	bool up;
};

struct net_tap {
	int fd[NET_TAP_QUEUES]; /* non-blocking; the caller's */
	uint32_t queues;
	char name[16];
};

/*
 * In the network namespace of the caller. Frames are read and written behind a struct
 * virtio_net_hdr of 10 bytes, one frame a call; room for NET_FRAME_MAX + NET_VLAN_LEN bytes is
 * enough. On failure nothing is left behind and a sentence for people, which says what to do, is in
 * @why (may be NULL): -EEXIST, -ENODEV (must_exist), -EBUSY (must_exist, another program has it),
 * -EPERM, -ENOENT (no /dev/net/tun), -EINVAL, or what else the kernel says. The interface goes with
 * net_tap_close(), unless it is persistent.
 */
int net_tap_open(struct net_tap *t, const struct net_tap_config *cfg, char *why, size_t whylen);
void net_tap_close(struct net_tap *t);
/* 0 or -errno. */
int net_tap_set_carrier(const struct net_tap *t, bool up);

/* For the interface @name of this namespace: 0 or -errno. */
int net_if_set_mtu(const char *name, uint32_t mtu);
int net_if_set_mac(const char *name, const uint8_t mac[NET_MAC_LEN]);
int net_if_set_up(const char *name, bool up);
/*
 * "10.0.0.1/24" or "fd00::1/64", usable at once: whether somebody else has it is not asked.
 * -EINVAL: not an address with a prefix length; -EEXIST: it has it already.
 */
int net_if_add_address(const char *name, const char *address);

#endif
