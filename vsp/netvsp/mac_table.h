/* SPDX-License-Identifier: MIT */
/*
 * Who has which address (spec: virtual-switch, sections 3.1 and 3.2): fixed ones, a port's own in
 * every VLAN, and learned ones per VLAN.
 *
 * Open addressing over buckets of one cache line. Only the address is hashed, so that what is
 * fixed and what was learned for it lie together: one line is looked at, unless a bucket ran
 * over. The multiplier is secret and odd; nobody can send addresses that all fall into one bucket.
 *
 * Threads: the switch's.
 */
#ifndef HVBUS_VSP_NETVSP_MAC_TABLE_H
#define HVBUS_VSP_NETVSP_MAC_TABLE_H

#include "vsp/netvsp/vswitch.h"

#define MAC_BUCKETS   8192u /* twice the room for VSW_MACS and the fixed ones */
#define MAC_SLOTS     4u
#define MAC_PROBE     8u /* buckets that an address may lie away from its own */
#define MAC_AGE_S     ((uint32_t)(VSW_AGE_NS / 1000000000u))
#define MAC_ANY_VLAN  0xfffu /* no VLAN has this id: of fixed ones */
#define MAC_USED      (1ull << 63)
#define MAC_VLAN_AT   48
#define MAC_ADDR_MASK ((1ull << MAC_VLAN_AT) - 1)

struct mac_entry {
	uint64_t key;	 /* MAC_USED, VLAN, address; 0 = free */
	uint32_t seen_s; /* of learned ones */
	uint16_t port;
	uint16_t passed; /* the bucket's, in its first slot: how many had to lie further on */
};

struct mac_bucket {
	struct mac_entry slot[MAC_SLOTS];
};
_Static_assert(sizeof(struct mac_bucket) == CACHE_LINE, "one line per look-up");

struct mac_table {
	struct mac_bucket *bucket;
	uint64_t secret;
	uint32_t learned;
	uint32_t swept; /* bucket the sweep goes on with */
	uint32_t per_port[VSW_MAX_PORTS];
	void *memory;
};

struct mac_hit {
	struct mac_entry *fixed, *learned; /* NULL: none */
};

/* @secret: random. -ENOMEM. */
int mac_table_init(struct mac_table *t, uint64_t secret);
void mac_table_fini(struct mac_table *t);

static inline uint32_t mac_home(const struct mac_table *t, uint64_t mac)
{
	return (uint32_t)(mac * t->secret >> 51);
}
_Static_assert(MAC_BUCKETS == 1u << (64 - 51), "the hash is an index");

static inline uint16_t mac_entry_vlan(const struct mac_entry *e)
{
	return e->key >> MAC_VLAN_AT & 0xfff;
}

/* @mac as net_mac_u64() makes it. Old entries are found as well. */
static inline struct mac_hit mac_table_find(const struct mac_table *t, uint64_t mac, uint16_t vlan)
{
	struct mac_hit hit = { NULL, NULL };
	uint64_t learned = mac | MAC_USED | (uint64_t)vlan << MAC_VLAN_AT;
	uint64_t fixed = mac | MAC_USED | (uint64_t)MAC_ANY_VLAN << MAC_VLAN_AT;
	uint32_t at = mac_home(t, mac);

	for (uint32_t i = 0; i < MAC_PROBE; i++) {
		struct mac_entry *e = t->bucket[at].slot;

		for (uint32_t s = 0; s < MAC_SLOTS; s++) {
			if (e[s].key == fixed)
				hit.fixed = &e[s];
			if (e[s].key == learned)
				hit.learned = &e[s];
		}
		if (likely(!e->passed))
			break;
		at = (at + 1) % MAC_BUCKETS;
	}
	return hit;
}

static inline bool mac_entry_old(const struct mac_entry *e, uint32_t now_s)
{
	return now_s - e->seen_s >= MAC_AGE_S;
}

/*
 * Makes @mac the address of @port. What was learned for it is forgotten, in all VLANs; a learned
 * neighbour makes room. -EADDRINUSE; -ENOSPC: too many fixed ones hash alike.
 */
int mac_table_fix(struct mac_table *t, uint64_t mac, uint16_t port);
void mac_table_unfix(struct mac_table *t, uint64_t mac);

/*
 * Notes that @mac was seen behind @port: refreshed, moved, or new. A fixed address is the
 * caller's to protect. false: one of the caps, or no room; then nobody is known to have it.
 */
bool mac_table_learn(struct mac_table *t, uint64_t mac, uint16_t vlan, uint16_t port,
		     uint32_t now_s);
/* @e: learned. */
void mac_table_forget(struct mac_table *t, struct mac_entry *e);
/* Everything that was learned behind @port; all of it, with VSW_MAX_PORTS. */
void mac_table_forget_port(struct mac_table *t, uint32_t port);
/* Forgets what is old in the next @buckets buckets. */
void mac_table_sweep(struct mac_table *t, uint32_t buckets, uint32_t now_s);

#endif
