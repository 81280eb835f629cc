/* SPDX-License-Identifier: MIT */
/*
 * Well-behaved guests, each a process with one NIC, all on one switch. Each sends each of the
 * others frames with numbers, and never more that are not acknowledged than fit into a receive
 * buffer together: so, whatever a stranger on the switch does, not one may be lost, changed or
 * overtaken.
 *
 * Threads: one of the test's.
 */
#ifndef HVBUS_TESTS_HOSTILE_NET_PEER_H
#define HVBUS_TESTS_HOSTILE_NET_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/net/frame.h"

#define NET_PEERS	   8u
#define NET_PEER_ETHERTYPE 0x88b5u
#define NET_PING_ETHERTYPE 0x88b6u	 /* comes back from a peer as it is, to whom it came from */
#define NET_PEER_MARK	   "NETPEER\xc3" /* in each frame between peers, many times */

struct net_peers_config {
	uint32_t n;	   /* of them, at most NET_PEERS */
	uint32_t window;   /* frames from one to another that are not acknowledged */
	uint32_t burst;	   /* frames to each before a pause .. */
	uint32_t gap_us;   /* .. of so long */
	uint32_t rx_bytes; /* as in struct netvsc_config */
};

struct net_peers;

/* Processes that end with the calling thread's process. NULL: the reason was printed. */
struct net_peers *net_peers_start(const char *path, const char *sw,
				  const struct net_peers_config *cfg);
/* They leave properly. False: one did not, or ended before. */
bool net_peers_stop(struct net_peers *p);

/* 02:00:00:00:50:INDEX */
void net_peer_mac(uint32_t index, uint8_t mac[NET_MAC_LEN]);
/*
 * What went wrong, a sentence that stays valid, or NULL: a frame lost, overtaken or changed, a
 * peer that ended or whose NIC failed.
 */
const char *net_peers_fault(const struct net_peers *p);
/* Frames that arrived, of all; of the pair that has fewest. */
uint64_t net_peers_frames(const struct net_peers *p);
uint64_t net_peers_fewest(const struct net_peers *p);
/* Longest time from a frame to its acknowledgement since the last call with @reset. */
uint64_t net_peers_worst_ns(struct net_peers *p, bool reset);
/* How long they were ready to run and had no processor, together, so far. */
uint64_t net_peers_waited_ns(const struct net_peers *p);
/* Nobody sends any more; returns when everything is acknowledged. False: not within @ns. */
bool net_peers_pause(struct net_peers *p, uint64_t ns);
void net_peers_resume(struct net_peers *p);

#endif
