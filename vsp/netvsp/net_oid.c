/* SPDX-License-Identifier: MIT */
/*
 * What a guest can query and set (spec: rndis, sections 3 and 4; hostile cases N25, N26, N28,
 * N29). Rows of a table; whatever is not in it is not supported.
 */
#include "vsp/netvsp/net_priv.h"

#include <errno.h>

#include "base/hex.h"

#define NDIS_6	      0x600u
#define NDIS_6_30     0x61eu
#define NEVER	      0xffffffffu /* not in the list of what is supported */
#define BUFFER_SPACE  262144u
#define MAC_OPTIONS   0x24du /* copy lookahead, no pending, no loopback, 802.1p, 802.1Q */
#define VENDOR	      0x155du
#define DRIVER	      0x0100u
#define MAX_MULTICAST 32u
#define FRIENDLY      256u /* characters, with the zero */
#define DESCRIPTION   "hvbus network adapter"

struct ask { /* a query or a set */
	const uint8_t *in;
	uint32_t in_len;
	uint8_t *out;
	uint32_t *len;
	uint32_t value; /* of the row */
};

typedef uint32_t (*oid_fn)(struct netvsp *n, const struct ask *a);

struct oid_row {
	uint32_t oid, since; /* NDIS version */
	oid_fn query, set;
	uint32_t value;
};

static uint32_t put(const struct ask *a, const void *bytes, uint32_t len)
{
	memcpy(a->out, bytes, len);
	*a->len = len;
	return RNDIS_STATUS_SUCCESS;
}

static uint32_t put_u32(const struct ask *a, uint32_t v)
{
	return put(a, &v, sizeof(v));
}

/* ---- numbers ---------------------------------------------------------------------------- */

static uint32_t q_value(struct netvsp *n, const struct ask *a)
{
	(void)n;
	return put_u32(a, a->value);
}

static uint32_t q_driver(struct netvsp *n, const struct ask *a)
{
	uint16_t v = DRIVER;

	(void)n;
	return put(a, &v, sizeof(v));
}

static uint32_t q_mtu(struct netvsp *n, const struct ask *a)
{
	return put_u32(a, n->mtu);
}

static uint32_t q_frame(struct netvsp *n, const struct ask *a)
{
	return put_u32(a, n->mtu + NET_ETH_LEN);
}

static uint32_t q_filter(struct netvsp *n, const struct ask *a)
{
	return put_u32(a, n->filter);
}

static uint32_t q_nothing(struct netvsp *n, const struct ask *a)
{
	(void)n;
	*a->len = 0;
	return RNDIS_STATUS_SUCCESS;
}

static uint32_t q_vendor(struct netvsp *n, const struct ask *a)
{
	(void)n;
	return put(a, DESCRIPTION, sizeof(DESCRIPTION) - 1);
}

/* ASCII to UTF-16LE, zeros behind. */
static uint32_t q_friendly(struct netvsp *n, const struct ask *a)
{
	uint16_t text[FRIENDLY] = { 0 };
	uint32_t i;

	for (i = 0; i + 1 < FRIENDLY && n->friendly[i]; i++)
		text[i] = (uint8_t)n->friendly[i] < 0x80 ? (uint8_t)n->friendly[i] : '?';
	return put(a, text, sizeof(text));
}

/* ---- link --------------------------------------------------------------------------------- */

static bool link_up(struct netvsp *n)
{
	n->link = n->port && vsw_port_link(n->port); /* now it knows */
	return n->link;
}

static uint32_t q_connected(struct netvsp *n, const struct ask *a)
{
	return put_u32(a, link_up(n) ? 0 : 1);
}

static uint32_t q_speed(struct netvsp *n, const struct ask *a)
{
	return put_u32(a, n->speed / 100 < UINT32_MAX ? (uint32_t)(n->speed / 100) : UINT32_MAX);
}

static uint32_t q_max_speed(struct netvsp *n, const struct ask *a)
{
	uint64_t v[2] = { n->speed, n->speed };

	return put(a, v, sizeof(v));
}

static uint32_t q_link_state(struct netvsp *n, const struct ask *a)
{
	struct ndis_link_state s = {
		.header = { NDIS_OBJECT_DEFAULT, 1, sizeof(s) },
		.connected = link_up(n) ? 1 : 2,
		.duplex = 2,
		.tx_speed = n->speed,
		.rx_speed = n->speed,
	};

	return put(a, &s, sizeof(s));
}

/* ---- counters, of the switch's port: what it takes in is what the guest sent ------------------
 */

/* Eight bytes, or four when the guest has announced room for no more. */
static uint32_t put_count(const struct ask *a, uint64_t v)
{
	return put(a, &v, a->in_len == 4 ? 4 : 8);
}

static uint32_t q_count(struct netvsp *n, const struct ask *a)
{
	struct vsw_port_stats s = { 0 };
	uint64_t bad = 0;
	uint32_t i;

	if (n->port)
		vsw_port_stats(n->port, &s);
	for (i = 0; i < VSW_DROP_COUNT; i++)
		bad += s.drop_in[i];
	switch (a->value) {
	case OID_GEN_XMIT_OK:
		return put_count(a, s.in.frames);
	case OID_GEN_RCV_OK:
		return put_count(a, s.out.frames);
	case OID_GEN_XMIT_ERROR:
		return put_count(a, bad);
	case OID_GEN_RCV_NO_BUFFER:
		return put_count(a, s.drop_out[VSW_DROP_NO_BUFFER] +
					    s.drop_out[VSW_DROP_RING_FULL] +
					    s.drop_out[VSW_DROP_SHARE]);
	case OID_GEN_BYTES_RCV:
		return put_count(a, s.out.bytes);
	case OID_GEN_BYTES_XMIT:
		return put_count(a, s.in.bytes);
	}
	return put_count(a, 0); /* a switch makes no receive errors */
}

/* ---- addresses and filters
 * ----------------------------------------------------------------------- */

static uint32_t q_permanent(struct netvsp *n, const struct ask *a)
{
	return put(a, n->cfg.mac, NET_MAC_LEN);
}

static uint32_t q_current(struct netvsp *n, const struct ask *a)
{
	return put(a, n->mac, NET_MAC_LEN);
}

/* The port's policy says whether it may. */
static uint32_t set_mac(struct netvsp *n, const uint8_t *mac)
{
	if (net_mac_multicast(mac) || net_mac_zero(mac))
		return RNDIS_STATUS_INVALID_DATA;
	if (memcmp(mac, n->mac, NET_MAC_LEN) && (!n->port || vsw_port_set_mac(n->port, mac)))
		return RNDIS_STATUS_INVALID_DATA;
	memcpy(n->mac, mac, NET_MAC_LEN);
	return RNDIS_STATUS_SUCCESS;
}

static uint32_t s_current(struct netvsp *n, const struct ask *a)
{
	return a->in_len < NET_MAC_LEN ? RNDIS_STATUS_INVALID_LENGTH : set_mac(n, a->in);
}

static uint32_t s_filter(struct netvsp *n, const struct ask *a)
{
	if (a->in_len < sizeof(n->filter))
		return RNDIS_STATUS_INVALID_LENGTH;
	memcpy(&n->filter, a->in, sizeof(n->filter));
	return RNDIS_STATUS_SUCCESS;
}

static uint32_t q_multicast(struct netvsp *n, const struct ask *a)
{
	return put(a, n->multicast_list, n->multicast * NET_MAC_LEN);
}

static uint32_t s_multicast(struct netvsp *n, const struct ask *a)
{
	if (a->in_len % NET_MAC_LEN)
		return RNDIS_STATUS_INVALID_LENGTH;
	if (a->in_len / NET_MAC_LEN > MAX_MULTICAST)
		return RNDIS_STATUS_MULTICAST_FULL;
	n->multicast = a->in_len / NET_MAC_LEN;
	if (n->multicast)
		memcpy(n->multicast_list, a->in, a->in_len);
	return RNDIS_STATUS_SUCCESS;
}

static uint32_t s_accept(struct netvsp *n, const struct ask *a)
{
	(void)n;
	(void)a;
	return RNDIS_STATUS_SUCCESS;
}

static uint32_t s_accept_u32(struct netvsp *n, const struct ask *a)
{
	(void)n;
	return a->in_len < 4 ? RNDIS_STATUS_INVALID_LENGTH : RNDIS_STATUS_SUCCESS;
}

/* ---- offloads and scaling -----------------------------------------------------------------------
 */

static uint32_t q_capabilities(struct netvsp *n, const struct ask *a)
{
	return net_offload_query(n, false, a->in, a->in_len, a->out, a->len);
}

static uint32_t q_config(struct netvsp *n, const struct ask *a)
{
	return net_offload_query(n, true, a->in, a->in_len, a->out, a->len);
}

static uint32_t s_offload(struct netvsp *n, const struct ask *a)
{
	return net_offload_set(n, a->in, a->in_len);
}

static uint32_t q_encapsulation(struct netvsp *n, const struct ask *a)
{
	struct ndis_encapsulation e = {
		.header = { NDIS_OBJECT_ENCAPSULATION, 1, sizeof(e) },
		.ip4_enabled = 1,
		.ip4_type = NDIS_ENCAPSULATION_8023,
		.ip4_header = NET_ETH_LEN,
		.ip6_enabled = 1,
		.ip6_type = NDIS_ENCAPSULATION_8023,
		.ip6_header = NET_ETH_LEN,
	};

	(void)n;
	return put(a, &e, sizeof(e));
}

static bool encapsulated(uint32_t enabled, uint32_t type, uint32_t header)
{
	return enabled != 1 || (type == NDIS_ENCAPSULATION_8023 && header == NET_ETH_LEN);
}

static uint32_t s_encapsulation(struct netvsp *n, const struct ask *a)
{
	struct ndis_encapsulation e;

	(void)n;
	if (a->in_len < sizeof(e))
		return RNDIS_STATUS_INVALID_LENGTH;
	memcpy(&e, a->in, sizeof(e));
	if (!encapsulated(e.ip4_enabled, e.ip4_type, e.ip4_header) ||
	    !encapsulated(e.ip6_enabled, e.ip6_type, e.ip6_header))
		return RNDIS_STATUS_NOT_SUPPORTED;
	return RNDIS_STATUS_SUCCESS;
}

static uint32_t q_rss(struct netvsp *n, const struct ask *a)
{
	struct ndis_rss_capabilities c = {
		.header = { NDIS_OBJECT_RSS_CAPABILITIES, 2, sizeof(c) },
		.flags = NDIS_RSS_CAPS,
		.interrupts = 1,
		.queues = n->cfg.max_queues,
		.table_entries = NDIS_RSS_TABLE,
	};

	if (!a->in_len || a->in_len >= sizeof(c))
		return put(a, &c, sizeof(c));
	if (a->in_len < offsetof(struct ndis_rss_capabilities, table_entries))
		return RNDIS_STATUS_BUFFER_TOO_SHORT;
	c.header.revision = 1;
	c.header.size = offsetof(struct ndis_rss_capabilities, table_entries);
	return put(a, &c, c.header.size);
}

static uint32_t s_rss(struct netvsp *n, const struct ask *a)
{
	return net_rss_set(n, a->in, a->in_len);
}

/* ---- configuration by name (section 4.4)
 * ------------------------------------------------------------ */

#define WORD 128u /* characters of a name or value, with the zero */

/* UTF-16LE at @offset to ASCII. False: it is not there, odd, empty, too long, or not ASCII. */
static bool word(const struct ask *a, uint32_t offset, uint32_t len, char out[WORD])
{
	uint32_t i;
	uint16_t c;

	if (!len || len > 255 || len % 2 || offset > a->in_len || len > a->in_len - offset)
		return false;
	for (i = 0; i < len / 2; i++) {
		memcpy(&c, a->in + offset + 2 * i, sizeof(c));
		if (!c || c > 0x7f)
			return false;
		out[i] = (char)c;
	}
	out[i] = 0;
	return true;
}

static uint32_t s_address(struct netvsp *n, const char *value)
{
	uint8_t mac[NET_MAC_LEN] = { 0 };
	uint32_t i;

	if (strlen(value) != 2 * NET_MAC_LEN)
		return RNDIS_STATUS_INVALID_DATA;
	for (i = 0; i < 2 * NET_MAC_LEN; i++) {
		if (hex_digit(value[i]) < 0)
			return RNDIS_STATUS_INVALID_DATA;
		mac[i / 2] = (uint8_t)(mac[i / 2] << 4 | hex_digit(value[i]));
	}
	return set_mac(n, mac);
}

static uint32_t s_config(struct netvsp *n, const struct ask *a)
{
	struct rndis_config_parameter p;
	char name[WORD], value[WORD];
	uint32_t status, digit;

	if (a->in_len < sizeof(p))
		return RNDIS_STATUS_INVALID_LENGTH;
	memcpy(&p, a->in, sizeof(p));
	if (p.name_offset < sizeof(p) || p.value_offset < sizeof(p) ||
	    !word(a, p.name_offset, p.name_length, name))
		return RNDIS_STATUS_INVALID_DATA;
	/* Not a name of ours: the value may be of any kind, as long as it is there. */
	if (!strcmp(name, "NetworkAddress"))
		return word(a, p.value_offset, p.value_length, value) ? s_address(n, value)
								      : RNDIS_STATUS_INVALID_DATA;
	if (p.value_length > 255 || p.value_offset > a->in_len ||
	    p.value_length > a->in_len - p.value_offset)
		return RNDIS_STATUS_INVALID_DATA;
	/* One digit or nothing: anything else is out of every range. */
	digit = word(a, p.value_offset, p.value_length, value) && !value[1] && value[0] >= '0' &&
				value[0] <= '9'
			? (uint32_t)(value[0] - '0')
			: UINT32_MAX;
	return net_offload_keyword(n, name, digit, &status) ? status : RNDIS_STATUS_SUCCESS;
}

/* ---- the table
 * ---------------------------------------------------------------------------------------- */

static uint32_t q_list(struct netvsp *n, const struct ask *a);

/* clang-format off */
static const struct oid_row rows[] = {
	{ OID_GEN_SUPPORTED_LIST,		0,	   q_list,	   NULL,	    0 },
	{ OID_GEN_HARDWARE_STATUS,		0,	   q_value,	   NULL,	    0 },
	{ OID_GEN_MEDIA_SUPPORTED,		0,	   q_value,	   NULL,	    0 },
	{ OID_GEN_MEDIA_IN_USE,			0,	   q_value,	   NULL,	    0 },
	{ OID_GEN_MAXIMUM_LOOKAHEAD,		0,	   q_mtu,	   NULL,	    0 },
	{ OID_GEN_MAXIMUM_FRAME_SIZE,		0,	   q_mtu,	   NULL,	    0 },
	{ OID_GEN_LINK_SPEED,			0,	   q_speed,	   NULL,	    0 },
	{ OID_GEN_TRANSMIT_BUFFER_SPACE,	0,	   q_value,	   NULL,	    BUFFER_SPACE },
	{ OID_GEN_RECEIVE_BUFFER_SPACE,		0,	   q_value,	   NULL,	    BUFFER_SPACE },
	{ OID_GEN_TRANSMIT_BLOCK_SIZE,		0,	   q_frame,	   NULL,	    0 },
	{ OID_GEN_RECEIVE_BLOCK_SIZE,		0,	   q_frame,	   NULL,	    0 },
	{ OID_GEN_VENDOR_ID,			0,	   q_value,	   NULL,	    VENDOR },
	{ OID_GEN_VENDOR_DESCRIPTION,		0,	   q_vendor,	   NULL,	    0 },
	{ OID_GEN_CURRENT_PACKET_FILTER,	0,	   q_filter,	   s_filter,	    0 },
	{ OID_GEN_CURRENT_LOOKAHEAD,		0,	   q_mtu,	   s_accept_u32,    0 },
	{ OID_GEN_DRIVER_VERSION,		0,	   q_driver,	   NULL,	    0 },
	{ OID_GEN_MAXIMUM_TOTAL_SIZE,		0,	   q_frame,	   NULL,	    0 },
	{ OID_GEN_PROTOCOL_OPTIONS,		0,	   NULL,	   s_accept_u32,    0 },
	{ OID_GEN_MAC_OPTIONS,			0,	   q_value,	   NULL,	    MAC_OPTIONS },
	{ OID_GEN_MEDIA_CONNECT_STATUS,		0,	   q_connected,	   NULL,	    0 },
	{ OID_GEN_MAXIMUM_SEND_PACKETS,		0,	   q_value,	   NULL,	    UINT32_MAX },
	{ OID_GEN_VENDOR_DRIVER_VERSION,	0,	   q_driver,	   NULL,	    0 },
	{ OID_GEN_NETWORK_LAYER_ADDRESSES,	0,	   NULL,	   s_accept,	    0 },
	{ OID_GEN_RECEIVE_SCALE_CAPABILITIES,	NDIS_6_30, q_rss,	   NULL,	    0 },
	{ OID_GEN_RECEIVE_SCALE_PARAMETERS,	NDIS_6_30, NULL,	   s_rss,	    0 },
	{ OID_GEN_MAX_LINK_SPEED,		NDIS_6,	   q_max_speed,	   NULL,	    0 },
	{ OID_GEN_LINK_STATE,			NDIS_6,	   q_link_state,   NULL,	    0 },
	{ OID_GEN_LINK_PARAMETERS,		NDIS_6,	   NULL,	   s_accept,	    0 },
	{ OID_GEN_MACHINE_NAME,			0,	   NULL,	   s_accept,	    0 },
	{ OID_GEN_RNDIS_CONFIG_PARAMETER,	0,	   NULL,	   s_config,	    0 },
	{ OID_GEN_XMIT_OK,			0,	   q_count,	   NULL,	    OID_GEN_XMIT_OK },
	{ OID_GEN_RCV_OK,			0,	   q_count,	   NULL,	    OID_GEN_RCV_OK },
	{ OID_GEN_XMIT_ERROR,			0,	   q_count,	   NULL,	    OID_GEN_XMIT_ERROR },
	{ OID_GEN_RCV_ERROR,			0,	   q_count,	   NULL,	    OID_GEN_RCV_ERROR },
	{ OID_GEN_RCV_NO_BUFFER,		0,	   q_count,	   NULL,	    OID_GEN_RCV_NO_BUFFER },
	{ OID_GEN_FRIENDLY_NAME,		0,	   q_friendly,	   NULL,	    0 },
	{ OID_GEN_BYTES_RCV,			NDIS_6,	   q_count,	   NULL,	    OID_GEN_BYTES_RCV },
	{ OID_GEN_BYTES_XMIT,			NDIS_6,	   q_count,	   NULL,	    OID_GEN_BYTES_XMIT },
	{ OID_802_3_PERMANENT_ADDRESS,		0,	   q_permanent,	   NULL,	    0 },
	{ OID_802_3_CURRENT_ADDRESS,		0,	   q_current,	   s_current,	    0 },
	{ OID_802_3_MULTICAST_LIST,		0,	   q_multicast,	   s_multicast,	    0 },
	{ OID_802_3_MAXIMUM_LIST_SIZE,		0,	   q_value,	   NULL,	    MAX_MULTICAST },
	{ OID_802_3_MAC_OPTIONS,		0,	   q_value,	   NULL,	    0 },
	{ OID_802_3_RCV_ERROR_ALIGNMENT,	0,	   q_value,	   NULL,	    0 },
	{ OID_802_3_XMIT_ONE_COLLISION,		0,	   q_value,	   NULL,	    0 },
	{ OID_802_3_XMIT_MORE_COLLISIONS,	0,	   q_value,	   NULL,	    0 },
	{ OID_OFFLOAD_ENCAPSULATION,		NDIS_6,	   q_encapsulation, s_encapsulation, 0 },
	{ OID_TCP_OFFLOAD_CURRENT_CONFIG,	NDIS_6,	   q_config,	   NULL,	    0 },
	{ OID_TCP_OFFLOAD_PARAMETERS,		NDIS_6,	   NULL,	   s_offload,	    0 },
	{ OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES, NDIS_6,   q_capabilities, NULL,	    0 },
	{ OID_PNP_SET_POWER,			NEVER,	   NULL,	   s_accept_u32,    0 },
	{ OID_PNP_QUERY_POWER,			NEVER,	   q_nothing,	   NULL,	    0 },
};
/* clang-format on */

/* What a driver of its NDIS version knows. */
static uint32_t q_list(struct netvsp *n, const struct ask *a)
{
	uint32_t ndis = n->ndis_major << 8 | (n->ndis_minor & 0xff), i;

	if (n->ndis_major != 5 && n->ndis_major != 6)
		return RNDIS_STATUS_BAD_VERSION;
	*a->len = 0;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].since > ndis)
			continue;
		memcpy(a->out + *a->len, &rows[i].oid, sizeof(rows[i].oid));
		*a->len += sizeof(rows[i].oid);
	}
	return RNDIS_STATUS_SUCCESS;
}

static uint32_t ask(struct netvsp *n, uint32_t oid, bool set, struct ask *a)
{
	uint32_t i;
	oid_fn fn;

	for (i = 0; i < ARRAY_SIZE(rows) && rows[i].oid != oid; i++)
		;
	if (i == ARRAY_SIZE(rows))
		n->count.oids_unknown++;
	fn = i == ARRAY_SIZE(rows) ? NULL : set ? rows[i].set : rows[i].query;
	if (!fn)
		return RNDIS_STATUS_NOT_SUPPORTED;
	a->value = rows[i].value;
	return fn(n, a);
}

uint32_t net_oid_query(struct netvsp *n, uint32_t oid, const uint8_t *in, uint32_t in_len,
		       uint8_t *out, uint32_t *len)
{
	struct ask a = { .in = in, .in_len = in_len, .out = out, .len = len };

	*len = 0;
	return ask(n, oid, false, &a);
}

uint32_t net_oid_set(struct netvsp *n, uint32_t oid, const uint8_t *in, uint32_t in_len)
{
	struct ask a = { .in = in, .in_len = in_len };

	return ask(n, oid, true, &a);
}
