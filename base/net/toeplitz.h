/* SPDX-License-Identifier: MIT */
/* The Toeplitz hash of receive side scaling, by tables (spec: netvsc, section 8.3). */
#ifndef HVBUS_BASE_NET_TOEPLITZ_H
#define HVBUS_BASE_NET_TOEPLITZ_H

#include "base/net/frame.h"

#define NET_RSS_KEY   40u
#define NET_RSS_INPUT 36u /* the longest input: two IPv6 addresses and two ports */

/* Hash types, as in RNDIS' hash information. */
#define NET_HASH_IP4  0x00000100u
#define NET_HASH_TCP4 0x00000200u
#define NET_HASH_IP6  0x00000400u
#define NET_HASH_TCP6 0x00001000u
#define NET_HASH_UDP4 0x00004000u
#define NET_HASH_UDP6 0x00008000u

struct net_toeplitz {
	uint32_t table[NET_RSS_INPUT][256];
};

/* The key that Linux uses by default and Microsoft's test vectors do. */
extern const uint8_t net_rss_default_key[NET_RSS_KEY];

void net_toeplitz_init(struct net_toeplitz *t, const uint8_t key[NET_RSS_KEY]);
/* @len <= NET_RSS_INPUT */
uint32_t net_toeplitz(const struct net_toeplitz *t, const uint8_t *input, uint32_t len);

/*
 * The hash of @f (parsed if it is not) by the first of @types (NET_HASH_*) that fits: ports
 * before addresses, fragments by addresses only. 0: none fits, *hash is 0; otherwise the type used.
 */
uint32_t net_toeplitz_frame(const struct net_toeplitz *t, struct net_frame *f, uint32_t types,
			    uint32_t *hash);

#endif
