/* SPDX-License-Identifier: MIT */
/* Addresses: finding room, caps, ageing. The look-up is in the header. */
#include <errno.h>
#include <stdlib.h>

#include "vsp/netvsp/mac_table.h"

int mac_table_init(struct mac_table *t, uint64_t secret)
{
	uintptr_t p;

	*t = (struct mac_table){ .secret = secret | 1 };
	/* Pages of zeroes that are not touched until somebody is known there. */
	t->memory = calloc(MAC_BUCKETS + 1, sizeof(struct mac_bucket));
	if (!t->memory)
		return -ENOMEM;
	p = ((uintptr_t)t->memory + CACHE_LINE - 1) & ~(uintptr_t)(CACHE_LINE - 1);
	t->bucket = (struct mac_bucket *)p;
	return 0;
}

void mac_table_fini(struct mac_table *t)
{
	free(t->memory);
}

static bool is_learned(const struct mac_entry *e)
{
	return e->key && mac_entry_vlan(e) != MAC_ANY_VLAN;
}

static struct mac_entry *free_slot(struct mac_bucket *b)
{
	for (uint32_t s = 0; s < MAC_SLOTS; s++)
		if (!b->slot[s].key)
			return &b->slot[s];
	return NULL;
}

/* The buckets before the one where @key came to lie count it, so that look-ups go on there. */
static void count_passed(struct mac_table *t, uint64_t mac, uint32_t distance, int by)
{
	uint32_t home = mac_home(t, mac);

	for (uint32_t i = 0; i < distance; i++) {
		struct mac_entry *first = t->bucket[(home + i) % MAC_BUCKETS].slot;

		first->passed = (uint16_t)(first->passed + by);
	}
}

static struct mac_entry *put(struct mac_table *t, uint64_t mac, uint16_t vlan, uint16_t port)
{
	uint32_t home = mac_home(t, mac);

	for (uint32_t i = 0; i < MAC_PROBE; i++) {
		struct mac_entry *e = free_slot(&t->bucket[(home + i) % MAC_BUCKETS]);

		if (!e)
			continue;
		count_passed(t, mac, i, 1);
		e->key = mac | MAC_USED | (uint64_t)vlan << MAC_VLAN_AT;
		e->port = port;
		return e;
	}
	return NULL;
}

static void drop(struct mac_table *t, struct mac_entry *e)
{
	uint64_t mac = e->key & MAC_ADDR_MASK;
	uint32_t at =
		(uint32_t)((struct mac_bucket *)((uintptr_t)e & ~(uintptr_t)(CACHE_LINE - 1)) -
			   t->bucket);

	count_passed(t, mac, (at - mac_home(t, mac)) % MAC_BUCKETS, -1);
	e->key = 0; /* "passed" is the bucket's and stays */
}

void mac_table_forget(struct mac_table *t, struct mac_entry *e)
{
	t->learned--;
	t->per_port[e->port]--;
	drop(t, e);
}

/* The whole neighbourhood of @mac: what was learned for it, in whichever VLAN. */
static void forget_address(struct mac_table *t, uint64_t mac)
{
	uint32_t home = mac_home(t, mac);

	for (uint32_t i = 0; i < MAC_PROBE; i++) {
		struct mac_entry *e = t->bucket[(home + i) % MAC_BUCKETS].slot;

		for (uint32_t s = 0; s < MAC_SLOTS; s++)
			if (is_learned(&e[s]) && (e[s].key & MAC_ADDR_MASK) == mac)
				mac_table_forget(t, &e[s]);
	}
}

/* Fixed addresses lie at home if they can: theirs are the look-ups that must be quick. */
static void make_room(struct mac_table *t, uint64_t mac)
{
	struct mac_bucket *b = &t->bucket[mac_home(t, mac)];

	if (free_slot(b))
		return;
	for (uint32_t s = 0; s < MAC_SLOTS; s++) {
		if (is_learned(&b->slot[s])) {
			mac_table_forget(t, &b->slot[s]);
			return;
		}
	}
}

int mac_table_fix(struct mac_table *t, uint64_t mac, uint16_t port)
{
	if (mac_table_find(t, mac, 0).fixed)
		return -EADDRINUSE;
	forget_address(t, mac);
	make_room(t, mac);
	return put(t, mac, MAC_ANY_VLAN, port) ? 0 : -ENOSPC;
}

void mac_table_unfix(struct mac_table *t, uint64_t mac)
{
	struct mac_entry *e = mac_table_find(t, mac, 0).fixed;

	if (e)
		drop(t, e);
}

static bool may_have_more(const struct mac_table *t, uint16_t port)
{
	return t->per_port[port] < VSW_MACS_PER_PORT;
}

/* From one port to another. At the cap of the new one the old one must not keep it either. */
static bool move(struct mac_table *t, struct mac_entry *e, uint16_t port)
{
	if (!may_have_more(t, port)) {
		mac_table_forget(t, e);
		return false;
	}
	t->per_port[e->port]--;
	t->per_port[port]++;
	e->port = port;
	return true;
}

bool mac_table_learn(struct mac_table *t, uint64_t mac, uint16_t vlan, uint16_t port,
		     uint32_t now_s)
{
	struct mac_entry *e = mac_table_find(t, mac, vlan).learned;

	if (e) {
		if (e->port != port && !move(t, e, port))
			return false;
	} else {
		if (!may_have_more(t, port) || t->learned >= VSW_MACS)
			return false;
		e = put(t, mac, vlan, port);
		if (!e)
			return false;
		t->learned++;
		t->per_port[port]++;
	}
	if (e->seen_s != now_s) /* the line stays clean for the rest of the second */
		e->seen_s = now_s;
	return true;
}

void mac_table_forget_port(struct mac_table *t, uint32_t port)
{
	uint32_t left = port < VSW_MAX_PORTS ? t->per_port[port] : t->learned;

	for (uint32_t i = 0; left && i < MAC_BUCKETS; i++) {
		for (uint32_t s = 0; s < MAC_SLOTS; s++) {
			struct mac_entry *e = &t->bucket[i].slot[s];

			if (!is_learned(e) || (port < VSW_MAX_PORTS && e->port != port))
				continue;
			mac_table_forget(t, e);
			left--;
		}
	}
}

void mac_table_sweep(struct mac_table *t, uint32_t buckets, uint32_t now_s)
{
	for (uint32_t i = 0; i < buckets; i++) {
		struct mac_bucket *b = &t->bucket[t->swept];

		t->swept = (t->swept + 1) % MAC_BUCKETS;
		for (uint32_t s = 0; s < MAC_SLOTS; s++)
			if (is_learned(&b->slot[s]) && mac_entry_old(&b->slot[s], now_s))
				mac_table_forget(t, &b->slot[s]);
	}
}
