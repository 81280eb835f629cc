/* SPDX-License-Identifier: MIT */
/*
 * Offloads: what is possible, what the guest wants of it, what the switch is told (spec: rndis,
 * sections 4.1, 4.2, 4.4; hostile case N30). A setting says what the guest expects; elements of
 * single frames are honoured whatever it says.
 */
#include "vsp/netvsp/net_priv.h"

static struct net_offload possible(const struct netvsp *n)
{
	bool all = !n->cfg.no_offloads, rsc = all && (n->caps & NVSP_CAP_RSC);

	return (struct net_offload){
		.rx_ip4 = all,
		.rx_tcp4 = all,
		.rx_udp4 = all,
		.rx_tcp6 = all,
		.rx_udp6 = all,
		.tx_ip4 = all,
		.tx_tcp4 = all,
		.tx_udp4 = all,
		.tx_tcp6 = all,
		.tx_udp6 = all,
		.lso4 = all,
		.lso6 = all,
		.rsc4 = rsc,
		.rsc6 = rsc,
	};
}

void net_offload_caps(struct netvsp *n)
{
	uint32_t caps = VSW_CAN_CSUM; /* deliver() completes while it copies, if need be */

	if (n->caps & NVSP_CAP_8021Q)
		caps |= VSW_CAN_VLAN;
	if (n->offload.rsc4)
		caps |= VSW_CAN_TSO4;
	if (n->offload.rsc6)
		caps |= VSW_CAN_TSO6;
	if (n->port)
		vsw_port_set_caps(n->port, caps, n->mtu);
}

/* A guest may receive coalesced frames when it has asked for them, not before. */
void net_offload_reset(struct netvsp *n)
{
	n->offload = possible(n);
	n->offload.rsc4 = n->offload.rsc6 = false;
	n->offload_changed = false;
}

/* ---- as an object --------------------------------------------------------------------- */

static uint32_t flags4(bool ip, bool tcp, bool udp)
{
	return (ip ? 0x101u : 0) | (tcp ? 0x14u : 0) | (udp ? 0x40u : 0);
}

static uint32_t flags6(bool tcp, bool udp)
{
	return (tcp ? 0x14u : 0) | (udp ? 0x40u : 0) | (tcp || udp ? 0x1u : 0);
}

static struct ndis_csum_offload csum(uint32_t tx, uint32_t rx)
{
	return (struct ndis_csum_offload){
		.tx_encapsulation = tx ? NDIS_ENCAPSULATION_8023 : 0,
		.tx_flags = tx,
		.rx_encapsulation = rx ? NDIS_ENCAPSULATION_8023 : 0,
		.rx_flags = rx,
	};
}

static struct ndis_lso lso(bool on)
{
	return on ? (struct ndis_lso){ NDIS_ENCAPSULATION_8023, NDIS_LSO_MAX, 2 }
		  : (struct ndis_lso){ 0 };
}

static struct ndis_offload object(const struct net_offload *o)
{
	return (struct ndis_offload){
		.header.type = NDIS_OBJECT_OFFLOAD,
		.csum4 = csum(flags4(o->tx_ip4, o->tx_tcp4, o->tx_udp4),
			      flags4(o->rx_ip4, o->rx_tcp4, o->rx_udp4)),
		.csum6 = csum(flags6(o->tx_tcp6, o->tx_udp6), flags6(o->rx_tcp6, o->rx_udp6)),
		.lso4 = lso(o->lso4),
		.lso6 = lso(o->lso6),
		.lso6_flags = o->lso6 ? NDIS_LSO6_ALL : 0,
		.rsc4 = o->rsc4,
		.rsc6 = o->rsc6,
	};
}

/* What a driver of that NVSP version knows, unless it says. */
static uint32_t usual_size(const struct netvsp *n)
{
	return n->version >= NVSP_V5   ? NDIS_OFFLOAD_SIZE_3
	       : n->version >= NVSP_V4 ? NDIS_OFFLOAD_SIZE_2
				       : NDIS_OFFLOAD_SIZE_1;
}

uint32_t net_offload_query(struct netvsp *n, bool current, const uint8_t *in, uint32_t in_len,
			   uint8_t *out, uint32_t *len)
{
	struct net_offload o = current ? n->offload : possible(n);
	struct ndis_offload obj = object(&o);
	uint32_t size = usual_size(n);
	struct ndis_object h;

	if (in_len >= sizeof(h)) {
		memcpy(&h, in, sizeof(h));
		size = h.size;
	}
	if (size < NDIS_OFFLOAD_SIZE_1)
		return RNDIS_STATUS_BUFFER_TOO_SHORT;
	obj.header.revision = size >= NDIS_OFFLOAD_SIZE_3 ? 3 : size >= NDIS_OFFLOAD_SIZE_2 ? 2 : 1;
	obj.header.size = obj.header.revision == 3   ? NDIS_OFFLOAD_SIZE_3
			  : obj.header.revision == 2 ? NDIS_OFFLOAD_SIZE_2
						     : NDIS_OFFLOAD_SIZE_1;
	memcpy(out, &obj, obj.header.size);
	*len = obj.header.size;
	return RNDIS_STATUS_SUCCESS;
}

/* ---- what the guest wants ----------------------------------------------------------------- */

enum { KEEP = 0, OFF = 1, TX = 2, RX = 3, BOTH = 4, ON = 2 };

static bool want_csum(uint8_t value, bool *tx, bool *rx)
{
	if (value > BOTH)
		return false;
	if (value != KEEP) {
		*tx = value == TX || value == BOTH;
		*rx = value == RX || value == BOTH;
	}
	return true;
}

static bool want(uint8_t value, bool *on)
{
	if (value > ON)
		return false;
	if (value != KEEP)
		*on = value == ON;
	return true;
}

static bool apply(struct net_offload *o, const struct ndis_offload_parameters *p)
{
	return want_csum(p->ip4, &o->tx_ip4, &o->rx_ip4) &&
	       want_csum(p->tcp4, &o->tx_tcp4, &o->rx_tcp4) &&
	       want_csum(p->udp4, &o->tx_udp4, &o->rx_udp4) &&
	       want_csum(p->tcp6, &o->tx_tcp6, &o->rx_tcp6) &&
	       want_csum(p->udp6, &o->tx_udp6, &o->rx_udp6) && want(p->lso4, &o->lso4) &&
	       want(p->lso6, &o->lso6) && want(p->rsc4, &o->rsc4) && want(p->rsc6, &o->rsc6);
}

/* Never more than was offered. */
static void put_in_force(struct netvsp *n, const struct net_offload *o)
{
	struct net_offload p = possible(n);

	n->offload = (struct net_offload){
		.rx_ip4 = o->rx_ip4 && p.rx_ip4,
		.rx_tcp4 = o->rx_tcp4 && p.rx_tcp4,
		.rx_udp4 = o->rx_udp4 && p.rx_udp4,
		.rx_tcp6 = o->rx_tcp6 && p.rx_tcp6,
		.rx_udp6 = o->rx_udp6 && p.rx_udp6,
		.tx_ip4 = o->tx_ip4 && p.tx_ip4,
		.tx_tcp4 = o->tx_tcp4 && p.tx_tcp4,
		.tx_udp4 = o->tx_udp4 && p.tx_udp4,
		.tx_tcp6 = o->tx_tcp6 && p.tx_tcp6,
		.tx_udp6 = o->tx_udp6 && p.tx_udp6,
		.lso4 = o->lso4 && p.lso4,
		.lso6 = o->lso6 && p.lso6,
		.rsc4 = o->rsc4 && p.rsc4,
		.rsc6 = o->rsc6 && p.rsc6,
	};
	n->offload_changed = true;
	net_offload_caps(n);
}

uint32_t net_offload_set(struct netvsp *n, const uint8_t *in, uint32_t in_len)
{
	struct ndis_offload_parameters p = { 0 };
	struct net_offload o = n->offload;
	uint32_t size;

	if (in_len < NDIS_OFFLOAD_PARAMETERS_MIN)
		return RNDIS_STATUS_INVALID_LENGTH;
	memcpy(&p, in, sizeof(p.header));
	size = p.header.size;
	if (p.header.type != NDIS_OBJECT_DEFAULT || !p.header.revision ||
	    size < NDIS_OFFLOAD_PARAMETERS_MIN || size > in_len)
		return RNDIS_STATUS_INVALID_DATA;
	/* Fields that it has no room for: no change. */
	memcpy(&p, in, size < sizeof(p) ? size : sizeof(p));
	if (p.lso1 == ON)
		return RNDIS_STATUS_NOT_SUPPORTED;
	if (!apply(&o, &p))
		return RNDIS_STATUS_INVALID_DATA;
	put_in_force(n, &o);
	return RNDIS_STATUS_SUCCESS;
}

/* ---- by name: bit 0 transmit, bit 1 receive ---------------------------------------------------
 */

bool net_offload_keyword(struct netvsp *n, const char *name, uint64_t value, uint32_t *status)
{
	struct net_offload o = n->offload;
	const struct {
		const char *name;
		bool *tx, *rx;
	} words[] = {
		{ "*IPChecksumOffloadIPv4", &o.tx_ip4, &o.rx_ip4 },
		{ "*TCPChecksumOffloadIPv4", &o.tx_tcp4, &o.rx_tcp4 },
		{ "*TCPChecksumOffloadIPv6", &o.tx_tcp6, &o.rx_tcp6 },
		{ "*UDPChecksumOffloadIPv4", &o.tx_udp4, &o.rx_udp4 },
		{ "*UDPChecksumOffloadIPv6", &o.tx_udp6, &o.rx_udp6 },
		{ "*LsoV2IPv4", &o.lso4, NULL },
		{ "*LsoV2IPv6", &o.lso6, NULL },
	};
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(words) && strcmp(words[i].name, name); i++)
		;
	if (i == ARRAY_SIZE(words))
		return false;
	*status = RNDIS_STATUS_INVALID_DATA;
	if (value > (words[i].rx ? 3 : 1))
		return true;
	*words[i].tx = value & 1;
	if (words[i].rx)
		*words[i].rx = value & 2;
	put_in_force(n, &o);
	*status = RNDIS_STATUS_SUCCESS;
	return true;
}
