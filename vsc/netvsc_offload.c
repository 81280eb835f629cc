/* SPDX-License-Identifier: MIT */
/*
 * What the root computes for us, and asking it to (spec: rndis, sections 4.1, 4.2). The tests on
 * its capabilities are those of stock guests.
 */
#include "vsc/netvsc_priv.h"

#define CSUM_TCP4 0x14u
#define CSUM_TCP6 0x15u
#define CSUM_UDP  0x40u

static uint32_t capabilities_size(const struct netvsc *n)
{
	return n->version >= NVSP_V5   ? NDIS_OFFLOAD_SIZE_3
	       : n->version >= NVSP_V4 ? NDIS_OFFLOAD_SIZE_2
				       : NDIS_OFFLOAD_SIZE_1;
}

static int capabilities(struct netvsc *n, struct ndis_offload *caps)
{
	uint32_t size = capabilities_size(n);
	struct ndis_offload ask = { .header = { NDIS_OBJECT_OFFLOAD,
						(uint8_t)(size == NDIS_OFFLOAD_SIZE_3	? 3
							  : size == NDIS_OFFLOAD_SIZE_2 ? 2
											: 1),
						(uint16_t)size } };
	int len;

	memset(caps, 0, sizeof(*caps));
	len = nv_query(n, OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES, &ask, size, caps, size);
	if (len < 0)
		return len;
	if (len < (int)NDIS_OFFLOAD_SIZE_1 || caps->header.type != NDIS_OBJECT_OFFLOAD ||
	    caps->header.size < NDIS_OFFLOAD_SIZE_1 || caps->header.size > len)
		return -EPROTO;
	memset((uint8_t *)caps + caps->header.size, 0, sizeof(*caps) - caps->header.size);
	return 0;
}

static bool csum_both(const struct ndis_offload *c)
{
	uint32_t v4 = CSUM_TCP4 | CSUM_UDP, v6 = CSUM_TCP6 | CSUM_UDP;

	return (c->csum4.tx_flags & v4) == v4 && (c->csum6.tx_flags & v6) == v6;
}

static bool lso_both(const struct ndis_offload *c)
{
	return c->lso4.encapsulation & NDIS_ENCAPSULATION_8023 &&
	       c->lso6.encapsulation & NDIS_ENCAPSULATION_8023 &&
	       (c->lso6_flags & NDIS_LSO6_ALL) == NDIS_LSO6_ALL;
}

/*
 * All or nothing of each kind: a TAP in front of us does not know IPv4 without IPv6, nor TCP
 * without UDP.
 */
static void choose(struct netvsc *n, const struct ndis_offload *caps)
{
	uint32_t most = MIN(caps->lso4.max_size, caps->lso6.max_size);

	if (n->cfg.no_offloads)
		return;
	n->info.csum = csum_both(caps);
	n->info.tso = n->info.csum && lso_both(caps) && most > n->info.mtu;
	if (n->info.tso)
		n->info.tso_max = MIN(most, NET_FRAME_MAX);
	n->info.rsc = caps->rsc4 && caps->rsc6 && n->version >= NVSP_V6_1 && !n->cfg.no_rsc;
}

int nv_offload_init(struct netvsc *n, const char **why)
{
	uint8_t csum, lso, rsc;
	struct ndis_offload_parameters p;
	struct ndis_offload caps;
	uint32_t status;
	int err;

	*why = "the root does not say what it can do for an adapter";
	err = capabilities(n, &caps);
	if (err)
		return err;
	choose(n, &caps);
	csum = n->info.csum ? 4 : 1;
	lso = n->info.tso ? 2 : 1;
	rsc = n->info.rsc ? 2 : 1;
	p = (struct ndis_offload_parameters){
		.header = { NDIS_OBJECT_DEFAULT, 3, n->version >= NVSP_V5 ? sizeof(p) : 22 },
		.ip4 = 1, /* the header's is computed by whoever makes it */
		.tcp4 = csum,
		.udp4 = n->version >= NVSP_V5 ? csum : 0,
		.tcp6 = csum,
		.udp6 = n->version >= NVSP_V5 ? csum : 0,
		.lso4 = lso,
		.lso6 = lso,
		.rsc4 = rsc,
		.rsc6 = rsc,
	};
	*why = "the root does not set the offloads that it has";
	err = nv_set(n, OID_TCP_OFFLOAD_PARAMETERS, &p, p.header.size, &status);
	if (!err && status) { /* so it goes without */
		n->info.csum = n->info.tso = n->info.rsc = false;
		n->info.tso_max = 0;
	}
	return err;
}
