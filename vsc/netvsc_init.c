/* SPDX-License-Identifier: MIT */
/*
 * The bring-up, in the order that a stock guest has (spec: netvsc, sections 4, 8; hostile cases
 * C16, C17, C22): version, MTU, buffers, RNDIS, what the adapter says about itself, sub-channels,
 * receive side scaling. What the root answers is used only where it makes sense.
 */
#include "base/net/toeplitz.h"
#include "vsc/netvsc_priv.h"

#define PAGES(bytes) (((bytes) + 4095u) / 4096u)

/* ---- version ------------------------------------------------------------------------- */

static int negotiate(struct netvsc *n, const char **why)
{
	static const uint32_t versions[] = {
		NVSP_V6_1, NVSP_V6, NVSP_V5, NVSP_V4, NVSP_V2, NVSP_V1
	};
	int err;

	*why = "the root does not negotiate";
	for (uint32_t i = 0; i < ARRAY_SIZE(versions); i++) {
		struct nvsp_message m = { .type = NVSP_INIT, .init = { versions[i], versions[i] } };

		if (n->cfg.max_version && versions[i] > n->cfg.max_version)
			continue;
		err = nv_ask(n, &m, NVSP_INIT_COMPLETE, 16);
		if (err)
			return err;
		if (m.init_complete.status == NVSP_STATUS_SUCCESS) {
			n->version = versions[i];
			return 0;
		}
	}
	*why = "no protocol version in common with the root";
	return -EPROTONOSUPPORT;
}

static int configure(struct netvsc *n, const char **why)
{
	struct nvsp_message v = { .type = NVSP_SEND_NDIS_VERSION,
				  .ndis_version = { 6, n->version >= NVSP_V5 ? 30 : 1 } };
	struct nvsp_message c = { .type = NVSP_SEND_NDIS_CONFIG };
	int err = 0;

	*why = "the root does not read what we send";
	c.ndis_config.mtu = n->cfg.mtu + NET_ETH_LEN;
	c.ndis_config.capabilities = NVSP_CAP_8021Q;
	if (n->version >= NVSP_V5)
		c.ndis_config.capabilities |= NVSP_CAP_TEAMING;
	if (n->version >= NVSP_V6_1 && !n->cfg.no_rsc && !n->cfg.no_offloads)
		c.ndis_config.capabilities |= NVSP_CAP_RSC;
	n->info.trusted_csum = n->version >= NVSP_V2 && !n->cfg.no_trusted_csum &&
			       !n->cfg.no_offloads;
	if (n->info.trusted_csum)
		c.ndis_config.capabilities |= NVSP_CAP_PARTIAL_CSUM;
	if (n->version >= NVSP_V2)
		err = nv_tell(n, &c);
	return err ? err : nv_tell(n, &v);
}

/* ---- buffers --------------------------------------------------------------------------- */

static int share(struct netvsc *n, uint32_t bytes, uint8_t **mem, uint64_t *gpa, uint32_t *gpadl)
{
	int err = hv_child_alloc_pages(n->child, PAGES(bytes), gpa);

	if (err)
		return err;
	*mem = n->mem + *gpa;
	err = vmbus_client_gpadl_create(n->bus, n->queue[0].chan, *gpa, PAGES(bytes), gpadl);
	if (err == -EIO || err == -EINVAL || hv_child_dead(n->child))
		hv_child_free_pages(n->child, *gpa,
				    PAGES(bytes)); /* the root knows nothing of it */
	if (err)
		*mem = NULL;
	return err;
}

/* Pages that the root has not let go of are left alone for good. */
static void unshare(struct netvsc *n, uint32_t bytes, uint64_t gpa, uint32_t gpadl)
{
	int err = vmbus_client_gpadl_teardown(n->bus, n->queue[0].chan, gpadl);

	if (!err || hv_child_dead(n->child))
		hv_child_free_pages(n->child, gpa, PAGES(bytes));
}

static int use_receive_buffer(struct netvsc *n, const struct nvsp_receive_buffer_complete *a,
			      const char **why)
{
	uint64_t all = (uint64_t)a->size * a->count;

	*why = "the root refuses the receive buffer";
	if (a->status != NVSP_STATUS_SUCCESS)
		return -EIO;
	*why = "the root divides the receive buffer in a way that makes no sense";
	if (a->sections != 1 || a->offset || a->size < NV_MIN_SUBALLOC || !a->count ||
	    all > n->cfg.rx_bytes)
		return -EPROTO;
	n->rx_size = a->size;
	n->rx_len = (uint32_t)all;
	return 0;
}

static int receive_buffer(struct netvsc *n, const char **why)
{
	struct nvsp_message m = { .type = NVSP_SEND_RECEIVE_BUFFER };
	int err = share(n, n->cfg.rx_bytes, &n->rx, &n->rx_gpa, &n->rx_gpadl);

	*why = "receive buffer";
	if (err)
		return err;
	m.send_buffer.gpadl = n->rx_gpadl;
	m.send_buffer.id = NVSP_RX_BUFFER_ID;
	err = nv_ask(n, &m, NVSP_SEND_RECEIVE_BUFFER_COMPLETE, 28);
	return err ? err : use_receive_buffer(n, &m.receive_buffer_complete, why);
}

static int send_buffer(struct netvsc *n, const char **why)
{
	struct nvsp_message m = { .type = NVSP_SEND_SEND_BUFFER };
	int err = share(n, n->cfg.tx_bytes, &n->tx, &n->tx_gpa, &n->tx_gpadl);
	uint32_t size;

	*why = "send buffer";
	if (err)
		return err;
	m.send_buffer.gpadl = n->tx_gpadl;
	err = nv_ask(n, &m, NVSP_SEND_SEND_BUFFER_COMPLETE, 12);
	if (err)
		return err;
	*why = "the root refuses the send buffer";
	if (m.send_buffer_complete.status != NVSP_STATUS_SUCCESS)
		return -EIO;
	*why = "the root divides the send buffer in a way that makes no sense";
	size = m.send_buffer_complete.section_size;
	if (size < NV_MIN_SECTION || size > n->cfg.tx_bytes || size % 4)
		return -EPROTO;
	n->section_size = size;
	n->nr_sections = n->cfg.tx_bytes / size;
	return 0;
}

/* ---- RNDIS --------------------------------------------------------------------------------- */

static int rndis_initialize(struct netvsc *n, const char **why)
{
	struct rndis_initialize m = {
		.type = RNDIS_INITIALIZE, .major = 1, .minor = 0, .max_transfer = 0x4000
	};
	struct rndis_initialize_complete a;
	int err = nv_rndis(n, &m, sizeof(m), 48);

	*why = "the root does not begin RNDIS";
	if (err)
		return err;
	n->halt = true;
	memset(&a, 0, sizeof(a));
	memcpy(&a, n->call.answer, MIN(n->call.answer_len, (uint32_t)sizeof(a)));
	if (a.status)
		return -EIO;
	n->max_frames = a.max_packets < 1 ? 1 : MIN(a.max_packets, RNDIS_MAX_PACKETS);
	n->align = 1u << RNDIS_ALIGNMENT;
	if (a.alignment > RNDIS_ALIGNMENT && a.alignment <= 12)
		n->align = 1u << a.alignment;
	if (a.alignment > 12)
		n->max_frames = 1;
	n->max_request = a.max_transfer;
	return 0;
}

/* Of @room bytes of UTF-16, what is printable ASCII. */
static void friendly_name(struct netvsc *n, const uint8_t *utf16, int bytes)
{
	size_t len = 0;

	for (int i = 0; i + 1 < bytes && len + 1 < sizeof(n->info.name); i += 2) {
		if (!utf16[i] && !utf16[i + 1])
			break;
		n->info.name[len++] =
			utf16[i + 1] || utf16[i] < 32 || utf16[i] > 126 ? '?' : (char)utf16[i];
	}
	n->info.name[len] = '\0';
}

static int what_it_is(struct netvsc *n, const char **why)
{
	uint32_t value = 0;
	uint8_t name[512];
	int len;

	*why = "the root does not say how long frames may be";
	len = nv_query(n, OID_GEN_MAXIMUM_FRAME_SIZE, NULL, 0, &value, sizeof(value));
	if (len != sizeof(value))
		return len < 0 ? len : -EPROTO;
	if (value < NET_MIN_MTU)
		return -EPROTO;
	n->info.mtu = MIN(value, n->cfg.mtu);
	*why = "the root does not say the adapter's address";
	len = nv_query(n, OID_802_3_PERMANENT_ADDRESS, NULL, 0, n->info.mac, NET_MAC_LEN);
	if (len != NET_MAC_LEN)
		return len < 0 ? len : -EPROTO;
	if (net_mac_multicast(n->info.mac) || net_mac_zero(n->info.mac))
		return -EPROTO;
	len = nv_query(n, OID_GEN_FRIENDLY_NAME, NULL, 0, name, sizeof(name));
	if (len > 0)
		friendly_name(n, name, len);
	return len == -EIO || len == -EPROTO ? nv_failed(n) : MIN(len, 0);
}

static int link_state(struct netvsc *n, const char **why)
{
	uint32_t value = 0;
	int len;

	*why = "the root does not say whether a cable is plugged in";
	len = nv_query(n, OID_GEN_MEDIA_CONNECT_STATUS, NULL, 0, &value, sizeof(value));
	if (len < 0)
		return len;
	store_relaxed(&n->link, len == sizeof(value) && value == 0);
	if (n->version < NVSP_V5)
		return 0;
	len = nv_query(n, OID_GEN_LINK_SPEED, NULL, 0, &value, sizeof(value));
	if (len == sizeof(value))
		store_relaxed(&n->info.speed, value * 100ull);
	return len < 0 && len != -EIO ? len : 0;
}

/* ---- queues -----------------------------------------------------------------------------------
 */

static int queue_open(struct netvsc *n, uint32_t i, const struct vmbus_offer *offer)
{
	struct nv_queue *q = &n->queue[i];
	int err;

	q->n = n;
	q->index = i;
	q->vp = i % hv_child_nr_vps(n->child);
	err = vmbus_client_open(n->bus, offer, n->cfg.ring_bytes, q->vp, NV_MAX_PACKET, NULL, NULL,
				&q->chan);
	if (err)
		return err;
	vmbus_chan_mask(q->chan); /* looked at by polling until somebody wants to sleep */
	n->nr_queues = i + 1;
	return 0;
}

/* How many queues and table entries the root has for us; none is fine. */
static int rss_capabilities(struct netvsc *n)
{
	struct ndis_rss_capabilities c = { .header = { NDIS_OBJECT_RSS_CAPABILITIES, 2,
						       sizeof(c) } };
	int len = nv_query(n, OID_GEN_RECEIVE_SCALE_CAPABILITIES, &c, sizeof(c), &c, sizeof(c));

	n->rss_queues = 1;
	n->rss_entries = NDIS_RSS_TABLE;
	if (len < 0)
		return len == -EIO ? nv_failed(n) : len;
	if (len < 16 || !(c.flags & 1))
		return 0;
	n->rss_queues = MIN(c.queues ? c.queues : 1, NETVSC_MAX_QUEUES);
	if (len >= (int)sizeof(c) && c.table_entries && c.table_entries < NDIS_RSS_TABLE)
		n->rss_entries = 1u << (31 - __builtin_clz(c.table_entries));
	return 0;
}

/* Opens what the root gives, fewer than wanted if need be; only the end of it is an error. */
static int sub_channels(struct netvsc *n)
{
	struct nvsp_message m = { .type = NVSP_SUBCHANNEL };
	uint32_t wanted = MIN(n->cfg.queues, n->rss_queues), granted;
	struct vmbus_offer offer;
	int err;

	if (wanted < 2)
		return 0;
	m.subchannel.operation = NVSP_SUBCHANNEL_ALLOCATE;
	m.subchannel.count = wanted - 1;
	err = nv_ask(n, &m, NVSP_SUBCHANNEL, 12);
	if (err)
		return err;
	granted = m.subchannel_complete.count;
	if (m.subchannel_complete.status != NVSP_STATUS_SUCCESS || granted > wanted - 1)
		return 0;
	for (uint32_t i = 1; i <= granted; i++) {
		err = vmbus_client_wait_sub(n->bus, &n->offer, (uint16_t)i, &offer);
		if (!err)
			err = queue_open(n, i, &offer);
		if (err)
			return err == -ECONNRESET ? err : 0;
	}
	return 0;
}

/* Spreads flows over the queues. A root that cannot sends everything to the first. */
static int rss_set(struct netvsc *n)
{
	struct {
		struct ndis_rss_parameters p;
		uint32_t table[NDIS_RSS_TABLE];
		uint8_t key[NET_RSS_KEY];
	} PACKED m = { .p = { .header = { NDIS_OBJECT_RSS_PARAMETERS, 2, sizeof(m.p) },
			      .hash_info = NDIS_RSS_TOEPLITZ | NET_HASH_IP4 | NET_HASH_TCP4 |
					   NET_HASH_IP6 | NET_HASH_TCP6 } };
	static const uint16_t steps[] = { NDIS_RSS_DISABLE, 0 };
	uint32_t bytes = n->rss_entries * 4, status;
	int err = 0;

	if (n->nr_queues < 2)
		return 0;
	m.p.table_size = (uint16_t)bytes;
	m.p.table_offset = sizeof(m.p);
	m.p.key_size = NET_RSS_KEY;
	m.p.key_offset = (uint32_t)sizeof(m.p) + bytes;
	for (uint32_t i = 0; i < n->rss_entries; i++)
		m.table[i] = i % n->nr_queues;
	memcpy((uint8_t *)&m + m.p.key_offset, net_rss_default_key, NET_RSS_KEY);
	for (uint32_t i = 0; i < ARRAY_SIZE(steps) && !err; i++) {
		m.p.flags = steps[i];
		err = nv_set(n, OID_GEN_RECEIVE_SCALE_PARAMETERS, &m, m.p.key_offset + NET_RSS_KEY,
			     &status);
	}
	return err == -EIO ? nv_failed(n) : err;
}

bool nv_send_table(struct netvsc *n, const uint8_t *msg, uint32_t len)
{
	struct nvsp_message m;
	uint32_t at, entry;

	if (len < 12)
		return false;
	memcpy(&m, msg, 12);
	at = m.indirection_table.offset;
	if (n->version <= NVSP_V6 && len >= 104)
		at = NVSP_SIZE; /* some hosts give another offset, and put it here */
	if (m.indirection_table.count != NVSP_SEND_TABLE || at < 12 || at > len ||
	    len - at < NVSP_SEND_TABLE * sizeof(entry))
		return false;
	for (uint32_t i = 0; i < NVSP_SEND_TABLE; i++) {
		memcpy(&entry, msg + at + i * sizeof(entry), sizeof(entry));
		store_relaxed(&n->send_table[i], (uint8_t)(entry % NETVSC_MAX_QUEUES));
	}
	return true;
}

/* ---- all of it --------------------------------------------------------------------------------
 */

static int steps(struct netvsc *n, const char **why)
{
	static int (*const step[])(struct netvsc *, const char **) = {
		negotiate,	  configure,  receive_buffer,  send_buffer,
		rndis_initialize, what_it_is, nv_offload_init, link_state,
	};
	int err;

	for (uint32_t i = 0; i < ARRAY_SIZE(step); i++) {
		err = step[i](n, why);
		if (err)
			return err;
	}
	*why = "the root ended while queues were set up";
	err = n->version >= NVSP_V5 ? rss_capabilities(n) : 0;
	if (!err && n->version >= NVSP_V5)
		err = sub_channels(n);
	for (uint32_t i = 0; i < NVSP_SEND_TABLE; i++)
		store_relaxed(&n->send_table[i], (uint8_t)(i % n->nr_queues));
	if (!err)
		err = rss_set(n);
	if (!err)
		*why = "out of guest memory for frames";
	return err ? err : nv_tx_init(n);
}

int nv_init(struct netvsc *n, const char **why)
{
	int err = queue_open(n, 0, &n->offer);

	*why = "its channel cannot be opened";
	if (err)
		return err;
	*why = "out of guest memory";
	err = hv_child_alloc_pages(n->child, 1, &n->ctl_gpa);
	if (!err) {
		n->ctl = n->mem + n->ctl_gpa;
		err = steps(n, why);
	}
	n->info.version = n->version;
	n->info.queues = n->nr_queues;
	if (err)
		nv_fini(n);
	return err;
}

/* ---- and back
 * ------------------------------------------------------------------------------------ */

/* Tells the root that it will hear no more; it is not asked what it thinks of that. */
static void halt(struct netvsc *n)
{
	struct rndis_request h = { .type = RNDIS_HALT };
	struct nvsp_message rx = { .type = NVSP_REVOKE_RECEIVE_BUFFER,
				   .revoke_buffer = { NVSP_RX_BUFFER_ID } };
	struct nvsp_message tx = { .type = NVSP_REVOKE_SEND_BUFFER };

	if (nv_failed(n))
		return;
	if (n->halt)
		nv_rndis(n, &h, sizeof(h), 0);
	if (n->rx && !nv_failed(n))
		nv_tell(n, &rx);
	if (n->tx && !nv_failed(n))
		nv_tell(n, &tx);
}

void nv_fini(struct netvsc *n)
{
	halt(n);
	while (n->nr_queues > 1)
		vmbus_client_close(n->bus, n->queue[--n->nr_queues].chan);
	if (n->rx)
		unshare(n, n->cfg.rx_bytes, n->rx_gpa, n->rx_gpadl);
	if (n->tx)
		unshare(n, n->cfg.tx_bytes, n->tx_gpa, n->tx_gpadl);
	vmbus_client_close(n->bus, n->queue[0].chan);
	if (n->ctl)
		hv_child_free_pages(n->child, n->ctl_gpa, 1);
	nv_tx_fini(n);
}
