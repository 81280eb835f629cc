/* SPDX-License-Identifier: MIT */
/*
 * An adapter's life at the child's end, what it is, and how it ends. Teardown order: HALT, revoke
 * of both buffers, sub-channels, GPADLs, primary channel, guest memory.
 */
#include <stdio.h>
#include <stdlib.h>

#include "vmbus/wire/vmbus_msg.h"
#include "vsc/netvsc_priv.h"

#define DEFAULT_RING	(256u << 10)
#define DEFAULT_RX	(8u << 20)
#define DEFAULT_RX_OLD	(15u << 20) /* most that old protocol versions take */
#define DEFAULT_TX	(1u << 20)
#define DEFAULT_TIMEOUT 10000u
#define DEFAULT_MTU	1500u
#define MOST_BUFFER	(31u << 20)
#define MOST_MTU	65521u /* of which a whole frame is NET_FRAME_MAX bytes at most */

/* ---- opening -------------------------------------------------------------------------- */

static uint32_t pick(uint32_t wanted, uint32_t otherwise, uint32_t most)
{
	return MIN(wanted ? wanted : otherwise, most);
}

static void configure(struct netvsc *n, const struct netvsc_config *cfg)
{
	struct netvsc_config *c = &n->cfg;

	if (cfg)
		*c = *cfg;
	c->queues = pick(c->queues, 1, NETVSC_MAX_QUEUES);
	c->mtu = pick(c->mtu, DEFAULT_MTU, MOST_MTU);
	c->ring_bytes = ((pick(c->ring_bytes, DEFAULT_RING, 64u << 20) + 4095u) & ~4095u) + 4096u;
	c->rx_bytes = pick(c->rx_bytes, DEFAULT_RX, MOST_BUFFER) & ~4095u;
	if (c->max_version && c->max_version <= NVSP_V2)
		c->rx_bytes = MIN(c->rx_bytes, DEFAULT_RX_OLD);
	c->tx_bytes = pick(c->tx_bytes, DEFAULT_TX, MOST_BUFFER) & ~4095u;
	n->timeout_ns = pick(c->timeout_ms, DEFAULT_TIMEOUT, UINT32_MAX) * 1000000ull;
}

/* Guest memory must be one piece from address 0, which makes translation a subtraction. */
static int map_memory(struct netvsc *n)
{
	uint64_t first, last, size = hv_child_memory(n->child);

	n->mem = hv_child_ptr(n->child, 0);
	if (!n->mem || !hv_child_gpa(n->child, n->mem, &first) || first ||
	    !hv_child_gpa(n->child, n->mem + size - 1, &last) || last != size - 1)
		return -EINVAL;
	return 0;
}

static int explain(struct netvsc *n, char *why, size_t whylen, const char *what, int err)
{
	if (nv_failed(n))
		what = n->why;
	if (why && whylen)
		snprintf(why, whylen, "%s%s%s%s", what, err == -ENODEV ? "" : " (",
			 err == -ENODEV ? "" : strerror(-err), err == -ENODEV ? "" : ")");
	return err;
}

int netvsc_open(struct netvsc **out, struct vmbus_client *bus, uint32_t index,
		const struct netvsc_config *cfg, char *why, size_t whylen)
{
	static const struct guid net = VMBUS_CLASS_NET;
	struct netvsc *n = aligned_alloc(CACHE_LINE, sizeof(*n));
	const char *what = "no such network adapter";
	int err;

	if (!n)
		return -ENOMEM;
	memset(n, 0, sizeof(*n));
	n->bus = bus;
	n->child = vmbus_client_child(bus);
	configure(n, cfg);
	err = vmbus_client_find(bus, &net, index, &n->offer);
	if (err == -ENOENT)
		err = -ENODEV;
	if (!err) {
		what = "guest memory is in pieces";
		err = map_memory(n);
	}
	if (!err)
		err = nv_init(n, &what);
	if (err) {
		explain(n, why, whylen, what, err);
		free(n);
		return err;
	}
	*out = n;
	return 0;
}

void netvsc_close(struct netvsc *n)
{
	if (!n)
		return;
	nv_fini(n);
	free(n);
}

/* ---- settings --------------------------------------------------------------------------- */

static int set(struct netvsc *n, uint32_t oid, const void *data, uint32_t len)
{
	uint32_t status;
	int err = nv_set(n, oid, data, len, &status);

	if (err)
		return err;
	switch (status) {
	case RNDIS_STATUS_SUCCESS:
		return 0;
	case RNDIS_STATUS_INVALID_DATA:
	case RNDIS_STATUS_NOT_SUPPORTED:
		return -EPERM;
	default:
		return -EIO;
	}
}

static int filter(struct netvsc *n, uint32_t bits)
{
	int err = set(n, OID_GEN_CURRENT_PACKET_FILTER, &bits, sizeof(bits));

	return err == -EPERM ? -EIO : err;
}

int netvsc_up(struct netvsc *n, bool up)
{
	return filter(n, up ? RNDIS_FILTER_DIRECTED | RNDIS_FILTER_ALL_MULTICAST |
					 RNDIS_FILTER_BROADCAST
			    : 0);
}

int netvsc_promiscuous(struct netvsc *n, bool on)
{
	return on ? filter(n, RNDIS_FILTER_PROMISCUOUS) : netvsc_up(n, true);
}

static uint32_t put_utf16(uint8_t *to, const char *text)
{
	uint32_t i;

	for (i = 0; text[i]; i++) {
		to[2 * i] = (uint8_t)text[i];
		to[2 * i + 1] = 0;
	}
	return 2 * i;
}

int netvsc_set_mac(struct netvsc *n, const uint8_t mac[NET_MAC_LEN])
{
	struct {
		struct rndis_config_parameter p;
		uint8_t text[2 * (14 + 12)];
	} PACKED m = { .p = { .type = 2 } };
	char digits[13];
	int err;

	if (net_mac_multicast(mac) || net_mac_zero(mac))
		return -EINVAL;
	snprintf(digits, sizeof(digits), "%02x%02x%02x%02x%02x%02x", mac[0], mac[1], mac[2], mac[3],
		 mac[4], mac[5]);
	m.p.name_offset = sizeof(m.p);
	m.p.name_length = put_utf16(m.text, "NetworkAddress");
	m.p.value_offset = m.p.name_offset + m.p.name_length;
	m.p.value_length = put_utf16(m.text + m.p.name_length, digits);
	err = set(n, OID_GEN_RNDIS_CONFIG_PARAMETER, &m, sizeof(m));
	if (!err)
		memcpy(n->info.mac, mac, NET_MAC_LEN);
	return err;
}

/* ---- what it is ---------------------------------------------------------------------------- */

void netvsc_info(const struct netvsc *n, struct netvsc_info *out)
{
	*out = n->info;
	out->speed = load_relaxed(&n->info.speed);
}

bool netvsc_link(const struct netvsc *n)
{
	return load_relaxed(&n->link) && !nv_failed(n);
}

uint32_t netvsc_tx_queue(const struct netvsc *n, uint32_t hash)
{
	return load_relaxed(&n->send_table[hash % NVSP_SEND_TABLE]) % n->nr_queues;
}

int nv_fail(struct netvsc *n, int err, const char *why)
{
	int none = 0;

	if (__atomic_compare_exchange_n(&n->failed, &none, err, false, __ATOMIC_RELAXED,
					__ATOMIC_RELAXED))
		store_relaxed(&n->why, why);
	return err;
}

int netvsc_failed(const struct netvsc *n)
{
	return nv_failed(n);
}

const char *netvsc_why(const struct netvsc *n)
{
	const char *why = load_relaxed(&n->why);

	return why ? why : "";
}

/* Counters are 64 bits each, one writer; a sum of several may be a little apart. */
void netvsc_stats(const struct netvsc *n, uint32_t qi, struct netvsc_stats *out)
{
	const uint64_t *from;
	uint64_t *to = (uint64_t *)(void *)out;
	struct vmbus_chan_stats cs;

	memset(out, 0, sizeof(*out));
	if (qi >= n->nr_queues)
		return;
	from = (const uint64_t *)(const void *)&n->queue[qi].stats;
	for (size_t i = 0; i < sizeof(*out) / sizeof(*to); i++)
		to[i] = load_relaxed(&from[i]);
	vmbus_chan_stats(n->queue[qi].chan, &cs);
	out->signals_sent = cs.signals_sent;
	out->signals_suppressed = cs.signals_suppressed;
}
