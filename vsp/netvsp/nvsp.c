/* SPDX-License-Identifier: MIT */
/*
 * NVSP negotiation, as a table of what a message means in each state (spec: netvsc, sections 3, 4,
 * 9 to 11; hostile cases N01 to N07, N33, N38).
 */
#include "vsp/netvsp/net_priv.h"

#include <errno.h>

#include "base/log.h"

#define MIN_FRAME 1514u /* no wish below this is heard: control messages have to fit, too */
#define RX_LONG	  4160u /* a 17th of the largest frame; an odd number of cache lines */
#define RX_PLENTY 2048u /* sub-allocations */

/* What a message means in a state. */
enum verdict {
	NO, /* nothing is done and nothing said */
	DO, /* do what the row says */
	RF, /* refuse it and go on */
	ER, /* refuse it; the guest broke the protocol */
};

struct row {
	uint32_t type;
	uint32_t since; /* version; 0 = before one is agreed */
	uint32_t min;	/* bytes that its fields take, with the type */
	/* False: it was out of order after all; nothing was done and nothing answered. */
	bool (*act)(struct net_chan *c, const struct vmpkt *pkt, const struct nvsp_message *m);
	uint8_t in[NET_FAILED + 1]; /* enum verdict by enum net_state */
	uint32_t answer;	    /* type of its completion; 0 = an empty one */
	uint32_t refusal;	    /* first field of that completion when it is refused */
	bool sub;		    /* may come on a sub-channel */
};

/* ---- answers ------------------------------------------------------------------------ */

static void complete(struct net_chan *c, const struct vmpkt *pkt, const struct nvsp_message *m)
{
	if (pkt->flags & VMPKT_FLAG_COMPLETION_REQUESTED)
		net_complete(c, pkt->trans_id, m, m ? c->n->size : 0);
}

static void refuse(struct net_chan *c, const struct vmpkt *pkt, const struct row *row)
{
	struct nvsp_message m = { .type = row->answer };

	c->n->count.ignored++;
	memcpy(m.room, &row->refusal, sizeof(row->refusal));
	if (row->answer == NVSP_INIT_COMPLETE)
		m.init_complete =
			(struct nvsp_init_complete){ UINT32_MAX, NVSP_MAX_MDL, NVSP_STATUS_NONE };
	complete(c, pkt, row->answer ? &m : NULL);
}

void nvsp_fail(struct netvsp *n, const char *why)
{
	if (n->state == NET_FAILED)
		return;
	n->state = NET_FAILED;
	n->failed = why;
	net_rndis_reset(n);
	log_ratelimited(LOG_WARN, "%s: %s; nothing of it is processed until it closes",
			vmbus_chan_name(n->chan[0].chan), why);
}

/* ---- negotiation ----------------------------------------------------------------------- */

/* No answer with another version: the guest tries the next one. */
static bool supported(const struct netvsp *n, const struct nvsp_init *i)
{
	switch (i->version) {
	case NVSP_V1:
	case NVSP_V2:
	case NVSP_V4:
	case NVSP_V5:
	case NVSP_V6:
	case NVSP_V6_1:
		return i->version <= n->cfg.max_version && i->version <= i->version2;
	}
	return false;
}

static bool do_init(struct net_chan *c, const struct vmpkt *pkt, const struct nvsp_message *m)
{
	struct nvsp_message a = { .type = NVSP_INIT_COMPLETE };
	struct netvsp *n = c->n;

	a.init_complete.deprecated = UINT32_MAX;
	a.init_complete.max_mdl = NVSP_MAX_MDL;
	a.init_complete.status = NVSP_STATUS_NONE;
	if (supported(n, &m->init)) {
		n->version = m->init.version;
		n->size = n->version >= NVSP_V6_1 ? NVSP_SIZE : NVSP_SIZE_OLD;
		n->state = NET_CONFIG;
		a.init_complete.status = NVSP_STATUS_SUCCESS;
		if (n->version == NVSP_V1)
			a.init_complete.deprecated = NVSP_V1;
	}
	complete(c, pkt, &a);
	return true;
}

/* All that RNDIS needs is there. */
static void maybe_ready(struct netvsp *n)
{
	if (n->rx.buf && n->got_version && (n->got_config || n->version < NVSP_V2))
		n->state = NET_READY;
}

static bool do_ndis_version(struct net_chan *c, const struct vmpkt *pkt,
			    const struct nvsp_message *m)
{
	struct netvsp *n = c->n;

	if (n->got_version)
		return false;
	n->got_version = true;
	n->ndis_major = m->ndis_version.major;
	n->ndis_minor = m->ndis_version.minor;
	complete(c, pkt, NULL);
	maybe_ready(n);
	return true;
}

static bool do_ndis_config(struct net_chan *c, const struct vmpkt *pkt,
			   const struct nvsp_message *m)
{
	uint32_t mtu = m->ndis_config.mtu;
	struct netvsp *n = c->n;

	if (n->got_config)
		return false;
	n->got_config = true;
	n->caps = m->ndis_config.capabilities;
	if (n->version < NVSP_V6_1)
		n->caps &= ~NVSP_CAP_RSC;
	if (mtu < MIN_FRAME)
		mtu = MIN_FRAME;
	n->mtu = mtu - NET_ETH_LEN < n->cfg.max_mtu ? mtu - NET_ETH_LEN : n->cfg.max_mtu;
	net_offload_caps(n);
	complete(c, pkt, NULL);
	return true;
}

/*
 * Bytes of a sub-allocation: frames of the MTU, and every control message, fit. Each piece of a
 * large frame costs both sides a header in cold memory, so our own guests, which take those whole,
 * get longer ones if the buffer has still plenty.
 */
static uint32_t rx_size(const struct netvsp *n, uint32_t buffer)
{
	uint32_t size = NVSP_RX_HEADROOM + n->longest + NVSP_RX_TAIL;

	if (n->caps & NVSP_CAP_RSC && n->caps & NVSP_CAP_PARTIAL_CSUM && size < RX_LONG &&
	    buffer / RX_LONG >= RX_PLENTY)
		return RX_LONG;
	return size;
}

static uint32_t map_rx(struct netvsp *n, const struct nvsp_send_buffer *b)
{
	struct vmbus_buffer *buf;

	if (vmbus_device_map(n->dev, b->gpadl, &buf))
		return NVSP_STATUS_FAIL;
	n->longest = n->mtu + NET_ETH_LEN;
	if (n->longest < MIN_FRAME)
		n->longest = MIN_FRAME;
	if (rxbuf_begin(&n->rx, buf, b->id, rx_size(n, buf->len), NVSP_RX_CONTROL)) {
		vmbus_device_unmap(n->dev, buf);
		return NVSP_STATUS_FAIL;
	}
	n->control_free = (1u << NVSP_RX_CONTROL) - 1;
	return NVSP_STATUS_SUCCESS;
}

static bool do_receive_buffer(struct net_chan *c, const struct vmpkt *pkt,
			      const struct nvsp_message *m)
{
	struct nvsp_message a = { .type = NVSP_SEND_RECEIVE_BUFFER_COMPLETE };
	struct netvsp *n = c->n;

	/* The size of its pieces follows from the MTU. */
	if (n->rx.buf || (n->version >= NVSP_V2 && !n->got_config))
		return false;
	a.receive_buffer_complete.status = map_rx(n, &m->send_buffer);
	if (a.receive_buffer_complete.status == NVSP_STATUS_SUCCESS) {
		a.receive_buffer_complete.sections = 1;
		a.receive_buffer_complete.size = n->rx.size;
		a.receive_buffer_complete.count = n->rx.count;
		a.receive_buffer_complete.end = n->rx.size * n->rx.count;
		maybe_ready(n);
	}
	complete(c, pkt, &a);
	return true;
}

static uint32_t map_tx(struct netvsp *n, const struct nvsp_send_buffer *b)
{
	struct vmbus_buffer *buf;

	if (vmbus_device_map(n->dev, b->gpadl, &buf))
		return NVSP_STATUS_FAIL;
	if (buf->len < NVSP_TX_SECTION) {
		vmbus_device_unmap(n->dev, buf);
		return NVSP_STATUS_FAIL;
	}
	n->tx = (struct net_tx_buffer){ buf, b->id, buf->len / NVSP_TX_SECTION };
	return NVSP_STATUS_SUCCESS;
}

static bool do_send_buffer(struct net_chan *c, const struct vmpkt *pkt,
			   const struct nvsp_message *m)
{
	struct nvsp_message a = { .type = NVSP_SEND_SEND_BUFFER_COMPLETE };
	struct netvsp *n = c->n;

	if (n->tx.buf)
		return false;
	a.send_buffer_complete.status = map_tx(n, &m->send_buffer);
	if (a.send_buffer_complete.status == NVSP_STATUS_SUCCESS)
		a.send_buffer_complete.section_size = NVSP_TX_SECTION;
	complete(c, pkt, &a);
	return true;
}

/* No answer exists, and the guest frees the memory when it sees the ring drained: at once. */
static bool do_revoke(struct net_chan *c, const struct vmpkt *pkt, const struct nvsp_message *m)
{
	(void)m;
	nvsp_revoke(c->n);
	net_rndis_reset(c->n);
	c->n->state = NET_REVOKED;
	complete(c, pkt, NULL);
	return true;
}

/* ---- beside the traffic ------------------------------------------------------------------- */

static bool do_rndis(struct net_chan *c, const struct vmpkt *pkt, const struct nvsp_message *m)
{
	net_tx_request(c, pkt, &m->rndis);
	return true;
}

/* There is no other path; the guest waits for the completion whatever it asked for. */
static bool do_data_path(struct net_chan *c, const struct vmpkt *pkt, const struct nvsp_message *m)
{
	complete(c, pkt, NULL);
	if (m->switch_data_path.path && c->n->state == NET_OPERATIONAL)
		c->n->path_due = true;
	nvsp_push(c->n);
	return true;
}

static bool do_oid_query_ex(struct net_chan *c, const struct vmpkt *pkt,
			    const struct nvsp_message *m)
{
	struct nvsp_message a = { .type = NVSP_OID_QUERY_EX_COMPLETE };

	(void)m;
	a.oid_query_ex_complete.status = NVSP_STATUS_NOT_SUPPORTED;
	complete(c, pkt, &a);
	return true;
}

static bool do_pd_api(struct net_chan *c, const struct vmpkt *pkt, const struct nvsp_message *m)
{
	struct nvsp_message a = { .type = NVSP_PD_API };

	memcpy(&a.pd_api_complete.operation, m->room, sizeof(a.pd_api_complete.operation));
	a.pd_api_complete.status = NVSP_STATUS_NOT_SUPPORTED;
	complete(c, pkt, &a);
	return true;
}

static bool do_uplink(struct net_chan *c, const struct vmpkt *pkt, const struct nvsp_message *m)
{
	(void)m;
	complete(c, pkt, NULL);
	return true;
}

static bool do_subchannel(struct net_chan *c, const struct vmpkt *pkt, const struct nvsp_message *m)
{
	struct nvsp_message a = { .type = NVSP_SUBCHANNEL };
	uint32_t wish = m->subchannel.count;
	struct netvsp *n = c->n;

	a.subchannel_complete.status = NVSP_STATUS_FAIL;
	/* Each queue needs something to receive with. */
	if (m->subchannel.operation == NVSP_SUBCHANNEL_ALLOCATE && !n->granted && wish &&
	    wish < n->cfg.max_queues && wish < n->rx.count - n->rx.reserved) {
		n->granted = (uint16_t)wish;
		n->offer_due = true;
		a.subchannel_complete.status = NVSP_STATUS_SUCCESS;
		a.subchannel_complete.count = wish;
	}
	complete(c, pkt, &a);
	nvsp_push(n);
	return true;
}

/* ---- the table --------------------------------------------------------------------------------
 */

#define ROW(name, version, field, act)                                                             \
	NVSP_##name, version, (uint32_t)(4 + sizeof(((struct nvsp_message *)0)->field)), act
#define V1   NVSP_V1
#define FAIL NVSP_STATUS_FAIL

/* clang-format off */
static const struct row rows[] = {
	/* closed, init, config, ready, operational, halted, revoked, failed */
	{ ROW(INIT, 0, init, do_init),
	  { NO, DO, ER, ER, ER, ER, RF, NO }, NVSP_INIT_COMPLETE, 0, false },
	{ ROW(SEND_NDIS_VERSION, V1, ndis_version, do_ndis_version),
	  { NO, ER, DO, ER, ER, ER, RF, NO }, 0, 0, false },
	{ ROW(SEND_NDIS_CONFIG, NVSP_V2, ndis_config, do_ndis_config),
	  { NO, ER, DO, ER, ER, ER, RF, NO }, 0, 0, false },
	{ ROW(SEND_RECEIVE_BUFFER, V1, send_buffer, do_receive_buffer),
	  { NO, ER, DO, ER, ER, ER, RF, NO }, NVSP_SEND_RECEIVE_BUFFER_COMPLETE, FAIL, false },
	{ ROW(SEND_SEND_BUFFER, V1, send_buffer, do_send_buffer),
	  { NO, ER, DO, DO, ER, ER, RF, NO }, NVSP_SEND_SEND_BUFFER_COMPLETE, FAIL, false },
	{ ROW(REVOKE_RECEIVE_BUFFER, V1, revoke_buffer, do_revoke),
	  { NO, ER, DO, DO, DO, DO, DO, NO }, 0, 0, false },
	{ ROW(REVOKE_SEND_BUFFER, V1, revoke_buffer, do_revoke),
	  { NO, ER, DO, DO, DO, DO, DO, NO }, 0, 0, false },
	{ ROW(SEND_RNDIS_PACKET, V1, rndis, do_rndis),
	  { NO, ER, ER, DO, DO, DO, RF, NO }, NVSP_SEND_RNDIS_PACKET_COMPLETE, FAIL, true },
	{ ROW(SWITCH_DATA_PATH, NVSP_V4, switch_data_path, do_data_path),
	  { NO, ER, DO, DO, DO, DO, DO, NO }, 0, 0, false },
	{ ROW(UPLINK_CONNECT_STATE, NVSP_V4, type, do_uplink),
	  { NO, ER, DO, DO, DO, DO, DO, NO }, 0, 0, false },
	{ ROW(OID_QUERY_EX, NVSP_V5, oid_query_ex, do_oid_query_ex),
	  { NO, ER, DO, DO, DO, DO, RF, NO },
	  NVSP_OID_QUERY_EX_COMPLETE, NVSP_STATUS_NOT_SUPPORTED, false },
	{ ROW(SUBCHANNEL, NVSP_V5, subchannel, do_subchannel),
	  { NO, ER, RF, RF, DO, RF, RF, NO }, NVSP_SUBCHANNEL, FAIL, false },
	{ ROW(PD_API, NVSP_V6_1, type, do_pd_api),
	  { NO, ER, DO, DO, DO, DO, RF, NO }, 0, 0, false },
};
/* clang-format on */

static const struct row *find(const struct netvsp *n, uint32_t type)
{
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].type == type)
			return rows[i].since <= n->version || n->state == NET_INIT ? &rows[i]
										   : NULL;
	return NULL;
}

/* Never heard of, or of a later version: a newer guest may mean well. */
static void unknown(struct net_chan *c, const struct vmpkt *pkt, uint32_t type)
{
	struct netvsp *n = c->n;

	if (n->state == NET_FAILED || n->state == NET_CLOSED)
		return;
	n->count.ignored++;
	if (n->state == NET_INIT) {
		nvsp_fail(n, "NVSP message before INIT");
		return;
	}
	log_ratelimited(LOG_INFO, "%s: NVSP message %u is not known in version %#x",
			vmbus_chan_name(c->chan), type, n->version);
	complete(c, pkt, NULL);
}

void nvsp_message(struct net_chan *c, const struct vmpkt *pkt)
{
	struct nvsp_message m = { 0 };
	uint32_t len = pkt->payload_len < sizeof(m) ? pkt->payload_len : sizeof(m);
	struct netvsp *n = c->n;
	const struct row *row;
	uint8_t verdict;

	memcpy(&m, pkt->payload, len);
	row = len < sizeof(m.type) ? NULL : find(n, m.type);
	if (!row) {
		unknown(c, pkt, m.type);
		return;
	}
	verdict = row->in[n->state];
	if (verdict == DO && (len < row->min || (c->sub && !row->sub)))
		verdict = RF;
	if (verdict == DO && !row->act(c, pkt, &m))
		verdict = ER;
	if (verdict == RF || verdict == ER)
		refuse(c, pkt, row);
	if (verdict == ER)
		nvsp_fail(n, n->state == NET_INIT ? "NVSP message before INIT"
						  : "NVSP message out of order");
}

/* ---- life
 * ---------------------------------------------------------------------------------------- */

static bool all_open(const struct netvsp *n)
{
	uint32_t i;

	for (i = 1; i <= n->granted; i++)
		if (!n->chan[i].open)
			return false;
	return true;
}

void nvsp_opened(struct net_chan *c)
{
	struct netvsp *n = c->n;

	if (c->sub) {
		n->table_due = !n->table_sent && all_open(n);
		if (n->table_due)
			vmbus_device_kick(n->dev, 0);
		return;
	}
	n->state = NET_INIT;
	n->failed = NULL;
	n->size = NVSP_SIZE_OLD; /* until a version is agreed */
	n->mtu = n->cfg.max_mtu < MIN_FRAME - NET_ETH_LEN ? n->cfg.max_mtu
							  : MIN_FRAME - NET_ETH_LEN;
	n->got_config = n->got_version = false;
	n->ndis_major = n->ndis_minor = 0;
	n->link = true; /* what a driver believes that has not asked */
	net_rndis_reset(n);
}

/*
 * The next driver begins with the address that is configured, unless the switch has given it to
 * somebody else meanwhile.
 */
static void restore_mac(struct netvsp *n)
{
	if (!memcmp(n->mac, n->cfg.mac, NET_MAC_LEN) || !n->port)
		return;
	if (!vsw_port_set_mac(n->port, n->cfg.mac))
		memcpy(n->mac, n->cfg.mac, NET_MAC_LEN);
}

void nvsp_closed(struct net_chan *c)
{
	struct netvsp *n = c->n;

	if (c->sub)
		return;
	nvsp_revoke(n);
	n->version = 0;
	n->caps = 0;
	n->granted = 0;
	net_rndis_reset(n);
	n->offer_due = n->table_due = n->path_due = n->table_sent = false;
	n->state = NET_CLOSED;
	restore_mac(n);
}

void nvsp_revoke(struct netvsp *n)
{
	struct vmbus_buffer *rx = n->rx.buf, *tx = n->tx.buf;
	uint32_t i;

	for (i = 0; i < NETVSP_MAX_QUEUES; i++)
		n->chan[i].nr_ranges = 0;
	n->control_free = 0;
	rxbuf_end(&n->rx);
	if (rx)
		vmbus_device_unmap(n->dev, rx);
	n->tx = (struct net_tx_buffer){ 0 };
	if (tx)
		vmbus_device_unmap(n->dev, tx);
}

/* ---- what waits
 * ------------------------------------------------------------------------------------ */

/* The short form: Linux up to version 6 misreads tables in messages of 104 bytes and more. */
static bool send_table(struct netvsp *n)
{
	struct {
		uint32_t type;
		struct nvsp_indirection_table head;
		uint32_t entry[NVSP_SEND_TABLE];
	} PACKED m = { NVSP_SEND_INDIRECTION_TABLE, { NVSP_SEND_TABLE, 12 }, { 0 } };
	uint32_t i;

	WIRE_SIZE(m, 76);
	for (i = 0; i < NVSP_SEND_TABLE; i++)
		m.entry[i] = i % (n->granted + 1u);
	return !vmbus_chan_send(n->chan[0].chan, 0, 0, &m, sizeof(m));
}

static bool send_path(struct netvsp *n)
{
	struct nvsp_message m = { .type = NVSP_SWITCH_DATA_PATH };

	return !vmbus_chan_send(n->chan[0].chan, 0, 0, &m, n->size);
}

bool nvsp_push(struct netvsp *n)
{
	bool did = false;

	/* Behind the answers that wait: the guest expects them first. */
	if (!nvsp_serving(n) || n->chan[0].owed.is)
		return false;
	if (n->offer_due) {
		n->offer_due = false;
		vmbus_device_offer_subchannels(n->dev, n->granted);
	}
	if (n->path_due && send_path(n)) {
		n->path_due = false;
		did = true;
	}
	if (n->table_due && send_table(n)) {
		n->table_due = false;
		n->table_sent = true;
		did = true;
	}
	return did;
}
