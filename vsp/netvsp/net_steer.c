/* SPDX-License-Identifier: MIT */
/*
 * Receive side scaling: what the guest asked for, and the channel of a frame (spec: netvsc,
 * section 8.3; rndis, section 4.6; hostile case N27).
 */
#include "vsp/netvsp/net_priv.h"

#include "base/nospec.h"

#define TYPES                                                                                      \
	(NET_HASH_IP4 | NET_HASH_TCP4 | NET_HASH_UDP4 | NET_HASH_IP6 | NET_HASH_TCP6 |             \
	 NET_HASH_UDP6)

void net_rss_reset(struct netvsp *n)
{
	n->rss.enabled = false;
	n->rss.types = 0;
	n->rss.entries = 1;
	n->rss.table[0] = 0;
	if (memcmp(n->rss.key, net_rss_default_key, NET_RSS_KEY)) {
		memcpy(n->rss.key, net_rss_default_key, NET_RSS_KEY);
		net_toeplitz_init(&n->rss.hash, n->rss.key);
	}
}

/* @size bytes at @offset of the object: NULL when they are not in it. */
static const uint8_t *part(const uint8_t *in, uint32_t len, uint32_t offset, uint32_t size)
{
	return offset <= len && size <= len - offset ? in + offset : NULL;
}

static bool read_table(const struct netvsp *n, const struct ndis_rss_parameters *p,
		       const uint8_t *in, uint32_t len, uint16_t *table)
{
	const uint8_t *at = part(in, len, p->table_offset, p->table_size);
	uint32_t entries = p->table_size / 4, i, v;

	if (!at || !entries || p->table_size % 4 || entries > NDIS_RSS_TABLE ||
	    (entries & (entries - 1)))
		return false;
	for (i = 0; i < entries; i++) {
		memcpy(&v, at + 4 * i, sizeof(v));
		if (v >= n->cfg.max_queues)
			return false;
		table[i] = (uint16_t)v;
	}
	return true;
}

/*
 * Linux sends a key of zeros after it had one channel for a while: everything would have the same
 * hash. It is taken for "any key".
 */
static bool read_key(const struct ndis_rss_parameters *p, const uint8_t *in, uint32_t len,
		     uint8_t *key)
{
	static const uint8_t zero[NET_RSS_KEY];
	const uint8_t *at = part(in, len, p->key_offset, p->key_size);

	if (!at || p->key_size != NET_RSS_KEY)
		return false;
	memcpy(key, memcmp(at, zero, NET_RSS_KEY) ? at : net_rss_default_key, NET_RSS_KEY);
	return true;
}

/* All or nothing: what is not valid leaves everything as it was. */
uint32_t net_rss_set(struct netvsp *n, const uint8_t *in, uint32_t len)
{
	struct ndis_rss_parameters p;
	uint16_t table[NDIS_RSS_TABLE];
	uint8_t key[NET_RSS_KEY];
	bool off;

	if (len < sizeof(p))
		return RNDIS_STATUS_INVALID_LENGTH;
	memcpy(&p, in, sizeof(p));
	if (p.flags & NDIS_RSS_HASH_UNCHANGED)
		p.hash_info = n->rss.types | NDIS_RSS_TOEPLITZ;
	off = p.flags & NDIS_RSS_DISABLE || !(p.hash_info & 0xff);
	if (off) { /* whatever else it says */
		n->rss.enabled = false;
		return RNDIS_STATUS_SUCCESS;
	}
	if ((p.hash_info & 0xff) != NDIS_RSS_TOEPLITZ ||
	    (!(p.flags & NDIS_RSS_TABLE_UNCHANGED) && !read_table(n, &p, in, len, table)) ||
	    (!(p.flags & NDIS_RSS_KEY_UNCHANGED) && !read_key(&p, in, len, key)))
		return RNDIS_STATUS_INVALID_DATA;
	if (!(p.flags & NDIS_RSS_TABLE_UNCHANGED)) {
		n->rss.entries = p.table_size / 4;
		memcpy(n->rss.table, table, n->rss.entries * sizeof(table[0]));
	}
	if (!(p.flags & NDIS_RSS_KEY_UNCHANGED) && memcmp(n->rss.key, key, NET_RSS_KEY)) {
		memcpy(n->rss.key, key, NET_RSS_KEY);
		net_toeplitz_init(&n->rss.hash, key);
	}
	n->rss.types = p.hash_info & TYPES;
	n->rss.enabled = true;
	return RNDIS_STATUS_SUCCESS;
}

struct net_chan *net_steer(struct netvsp *n, const struct net_frame *f, uint32_t *hash,
			   bool *hashed)
{
	struct net_frame own;
	uint32_t i;

	*hashed = false;
	if (!n->rss.enabled)
		return &n->chan[0];
	if (!f->parsed) { /* the sender's is not ours to change */
		own = *f;
		net_frame_parse(&own);
		f = &own;
	}
	*hashed = net_toeplitz_frame(&n->rss.hash, (struct net_frame *)f, n->rss.types, hash);
	if (!*hashed)
		return &n->chan[0];
	i = n->rss.table[*hash & (n->rss.entries - 1)];
	i = (uint32_t)index_nospec(i, NETVSP_MAX_QUEUES);
	/* A sub-channel of an opening before may still be closing. */
	return &n->chan[i <= n->granted && n->chan[i].open ? i : 0];
}
