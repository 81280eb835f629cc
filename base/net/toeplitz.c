/* SPDX-License-Identifier: MIT */
/* Toeplitz hashing: one table look-up and one exclusive or for each byte of input. */
#include "base/net/ip.h"
#include "base/net/toeplitz.h"

const uint8_t net_rss_default_key[NET_RSS_KEY] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

/* What bit @bit of byte @at of the input brings: the 32 bits of the key that start there. */
static uint32_t key_window(const uint8_t *key, uint32_t at, uint32_t bit)
{
	uint64_t five = (uint64_t)be32_at(key + at) << 8 | key[at + 4];

	return (uint32_t)(five >> (8 - bit));
}

void net_toeplitz_init(struct net_toeplitz *t, const uint8_t key[NET_RSS_KEY])
{
	_Static_assert(NET_RSS_INPUT + 4 <= NET_RSS_KEY, "the last window is in the key");

	for (uint32_t at = 0; at < NET_RSS_INPUT; at++) {
		t->table[at][0] = 0;
		for (uint32_t v = 1; v < 256; v++) {
			uint32_t lowest = (uint32_t)__builtin_ctz(v);

			t->table[at][v] = t->table[at][v & (v - 1)] ^
					  key_window(key, at, 7 - lowest);
		}
	}
}

/* Of @len bytes that are at @at of the input. */
static uint32_t hash_at(const struct net_toeplitz *t, uint32_t at, const uint8_t *p, uint32_t len)
{
	uint32_t hash = 0;

	for (uint32_t i = 0; i < len; i++)
		hash ^= t->table[at + i][p[i]];
	return hash;
}

uint32_t net_toeplitz(const struct net_toeplitz *t, const uint8_t *input, uint32_t len)
{
	return hash_at(t, 0, input, len < NET_RSS_INPUT ? len : NET_RSS_INPUT);
}

/* The type for the ports of @p; 0: it has none that are known. */
static uint32_t port_type(const struct net_proto *p)
{
	bool ip6 = p->version == 6;

	if (!p->l4 || p->fragment)
		return 0;
	if (p->protocol == NET_IP_TCP)
		return ip6 ? NET_HASH_TCP6 : NET_HASH_TCP4;
	if (p->protocol == NET_IP_UDP)
		return ip6 ? NET_HASH_UDP6 : NET_HASH_UDP4;
	return 0;
}

uint32_t net_toeplitz_frame(const struct net_toeplitz *t, struct net_frame *f, uint32_t types,
			    uint32_t *hash)
{
	const struct net_proto *p = &f->proto;
	uint32_t type, addresses, at;

	*hash = 0;
	net_frame_parse(f);
	if (!p->l3)
		return 0;
	type = port_type(p) & types;
	if (!type)
		type = types & (p->version == 6 ? NET_HASH_IP6 : NET_HASH_IP4);
	if (!type)
		return 0;
	at = p->version == 6 ? offsetof(struct net_ip6, source) : offsetof(struct net_ip4, source);
	addresses = p->version == 6 ? 32 : 8;
	*hash = hash_at(t, 0, f->head + p->l3 + at, addresses);
	if (type & ~(NET_HASH_IP4 | NET_HASH_IP6))
		*hash ^= hash_at(t, addresses, f->head + p->l4, 4);
	return type;
}
