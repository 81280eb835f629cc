/* SPDX-License-Identifier: MIT */
/*
 * Load for synthetic NICs: one-way streams and round trips, between two adapters of this process
 * or with the root's test port (vsp/netvsp/port_test.h).
 *
 * Threads: one; it drives both ends in turn, so that on two CPUs the root has one to itself.
 */
#ifndef HVBUS_CLI_NET_LOAD_H
#define HVBUS_CLI_NET_LOAD_H

#include "cli/hist.h"
#include "vsc/netvsc.h"

/* Headers of the frames sent last: most are followed by another like them. */
struct net_load_head {
	uint32_t size, order_at;
	struct net_meta meta;
	uint8_t bytes[NET_HEAD_MAX];
};

/* One child partition with one adapter. */
struct net_end {
	struct hv_child *child;
	struct vmbus_client *bus;
	struct netvsc *nic;
	struct netvsc_info info;
	uint8_t peer[NET_MAC_LEN];
	struct net_load_head head;
};

/*
 * Connects to the root at @socket, asks for an adapter on @switch_name. The frames it sends go to
 * the test port until net_end_peer(). 0 or -errno with a sentence in @why.
 */
int net_end_open(struct net_end *e, const char *socket, const char *switch_name, uint32_t mtu,
		 char *why, size_t whylen);
void net_end_close(struct net_end *e);
void net_end_peer(struct net_end *a, struct net_end *b); /* each other's destination */

struct net_load {
	uint32_t size;	 /* bytes of a frame, 64..NET_FRAME_MAX */
	uint32_t batch;	 /* frames between two flushes */
	uint32_t window; /* frames under way at most; fewer when they are large */
	uint64_t ns;	 /* how long */
	bool sleep;	 /* round trips: wait asleep instead of polling */

	uint64_t frames, lost, elapsed_ns; /* results */
	struct hist *rtt;		   /* round trips, ns */
};

/* 0 or -errno; -ETIMEDOUT: nothing came through for two seconds. */
int net_load_pair(struct net_load *l, struct net_end *from, struct net_end *to);
int net_load_to_root(struct net_load *l, struct net_end *e);
int net_load_from_root(struct net_load *l, struct net_end *e);
int net_load_rtt(struct net_load *l, struct net_end *e); /* with the test port */
/* Through the switch to @echo and back. */
int net_load_rtt_pair(struct net_load *l, struct net_end *e, struct net_end *echo);

#endif
