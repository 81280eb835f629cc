/* SPDX-License-Identifier: MIT */
/* A guest for netvsp's tests: life, NVSP and control messages; see the header. */
#include "tests/fake/mock_net_guest.h"

#include <stdio.h>
#include <stdlib.h>

#define REQUIRE(cond)                                                                              \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "mock_net_guest: %s:%d: %s\n", __FILE__, __LINE__, #cond); \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#define PATIENCE      400 /* turns */
#define COMPLETION    VMPKT_FLAG_COMPLETION_REQUESTED
#define CONTROL_PAGES 32u  /* one message in flight each */
#define CONTROL_RANGE 256u /* offset in the page */

/* ---- packets ---------------------------------------------------------------------------- */

void mock_net_send_raw(struct mock_net_guest *g, uint16_t sub, uint16_t flags, uint64_t id,
		       const void *bytes, uint32_t len)
{
	REQUIRE(!vmbus_chan_send(g->chan[sub], flags, id, bytes, len));
}

uint64_t mock_net_send(struct mock_net_guest *g, uint16_t sub, bool completion,
		       const struct nvsp_message *m)
{
	uint64_t id = completion ? g->next_id++ : MOCK_NET_NO_ID;

	mock_net_send_raw(g, sub, completion ? COMPLETION : 0, id, m, g->request_len);
	return id;
}

bool mock_net_poll(struct mock_net_guest *g, uint16_t sub, struct mock_net_packet *p)
{
	struct vmpkt pkt;
	int n;

	if (!g->chan[sub])
		return false;
	n = vmbus_chan_recv(g->chan[sub], &pkt);
	REQUIRE(n >= 0);
	if (!n)
		return false;
	*p = (struct mock_net_packet){
		.type = pkt.type,
		.flags = pkt.flags,
		.set = pkt.xfer_set_id,
		.id = pkt.trans_id,
		.len = pkt.payload_len,
		.nr_ranges = pkt.range_count,
	};
	REQUIRE(pkt.payload_len <= sizeof(p->payload));
	REQUIRE(pkt.range_count <= ARRAY_SIZE(p->range));
	memcpy(p->payload, pkt.payload, pkt.payload_len);
	if (pkt.range_count)
		memcpy(p->range, pkt.ranges, pkt.range_count * sizeof(p->range[0]));
	vmbus_chan_recv_done(g->chan[sub]);
	return true;
}

void mock_net_run(struct mock_net_guest *g)
{
	uint16_t i;

	for (i = 0; i < FAKE_BUS_SUBS; i++)
		if (g->chan[i])
			vmbus_chan_flush(g->chan[i]);
	fake_bus_settle(g->bus, PATIENCE);
}

static void stash(struct mock_net_guest *g, uint16_t sub, const struct mock_net_packet *p)
{
	REQUIRE(g->stashed < MOCK_NET_STASH);
	g->stash_sub[g->stashed] = sub;
	g->stash[g->stashed++] = *p;
}

static bool unstash(struct mock_net_guest *g, uint16_t sub, struct mock_net_packet *p)
{
	uint32_t i, rest;

	for (i = 0; i < g->stashed && g->stash_sub[i] != sub; i++)
		;
	if (i == g->stashed)
		return false;
	*p = g->stash[i];
	rest = --g->stashed - i;
	memmove(&g->stash[i], &g->stash[i + 1], rest * sizeof(*p));
	memmove(&g->stash_sub[i], &g->stash_sub[i + 1], rest * sizeof(g->stash_sub[0]));
	return true;
}

bool mock_net_recv(struct mock_net_guest *g, uint16_t sub, struct mock_net_packet *p)
{
	if (unstash(g, sub, p) || mock_net_poll(g, sub, p))
		return true;
	mock_net_run(g);
	return mock_net_poll(g, sub, p);
}

static bool is_control(const struct mock_net_packet *p)
{
	struct nvsp_message m;

	if (p->type != VMPKT_XFER_PAGES)
		return false;
	memcpy(&m, p->payload, sizeof(m.type) + sizeof(m.rndis));
	return m.rndis.channel_type == NVSP_CONTROL;
}

uint32_t mock_net_call(struct mock_net_guest *g, const struct nvsp_message *m,
		       struct nvsp_message *answer)
{
	uint64_t id = mock_net_send(g, 0, true, m);
	struct mock_net_packet p;

	*answer = (struct nvsp_message){ 0 };
	mock_net_run(g);
	while (mock_net_poll(g, 0, &p)) {
		if (p.type == VMPKT_COMPLETION && p.id == id) {
			memcpy(answer, p.payload,
			       p.len < sizeof(*answer) ? p.len : sizeof(*answer));
			return p.len;
		}
		stash(g, 0, &p);
	}
	REQUIRE(!"no completion");
	return 0;
}

uint32_t mock_net_bytes(const struct mock_net_packet *p, uint8_t *out, uint32_t max)
{
	uint32_t ranges = p->nr_ranges * (uint32_t)sizeof(p->range[0]);
	uint32_t head = VMPKT_HEADER + (p->type == VMPKT_XFER_PAGES ? 8 + ranges : 0);
	uint16_t desc[4] = { p->type, (uint16_t)(head / 8), (uint16_t)((head + p->len) / 8),
			     p->flags };

	REQUIRE(head + p->len <= max);
	memset(out, 0, head);
	memcpy(out, desc, sizeof(desc));
	memcpy(out + 8, &p->id, 8);
	if (p->type == VMPKT_XFER_PAGES) {
		memcpy(out + 16, &p->set, 2);
		memcpy(out + 20, &p->nr_ranges, 4);
		memcpy(out + 24, p->range, ranges);
	}
	memcpy(out + head, p->payload, p->len);
	return head + p->len;
}

/* ---- life ---------------------------------------------------------------------------- */

void mock_net_open(struct mock_net_guest *g, struct vmbus_bus *bus, uint32_t dev)
{
	*g = (struct mock_net_guest){
		.bus = bus,
		.dev = dev,
		.request_len = NVSP_SIZE,
		.control_gpa = fake_bus_alloc(bus, CONTROL_PAGES),
		.data_gpa = fake_bus_alloc(bus, MOCK_NET_DATA_SIZE / 4096),
		.stash = calloc(MOCK_NET_STASH, sizeof(*g->stash)),
	};
	REQUIRE(g->stash);
	mock_net_reopen(g);
}

void mock_net_reopen(struct mock_net_guest *g)
{
	memset(g->chan, 0, sizeof(g->chan));
	g->version = g->rx_size = g->rx_count = g->tx_size = 0;
	g->stashed = g->indications = 0;
	g->next_id = g->next_request = 1;
	REQUIRE(!fake_bus_open(g->bus, g->dev, 0, MOCK_NET_RING, &g->chan[0]));
}

void mock_net_free(struct mock_net_guest *g)
{
	free(g->stash);
	g->stash = NULL;
}

bool mock_net_init(struct mock_net_guest *g, uint32_t version)
{
	struct nvsp_message m = { .type = NVSP_INIT, .init = { version, version } }, a;

	mock_net_call(g, &m, &a);
	REQUIRE(a.type == NVSP_INIT_COMPLETE);
	if (a.init_complete.status == NVSP_STATUS_SUCCESS)
		g->version = version;
	return a.init_complete.status == NVSP_STATUS_SUCCESS;
}

void mock_net_config(struct mock_net_guest *g, uint32_t mtu, uint64_t caps)
{
	struct nvsp_message m = { .type = NVSP_SEND_NDIS_CONFIG };

	m.ndis_config.mtu = mtu + 14;
	m.ndis_config.capabilities = caps;
	if (g->version >= NVSP_V2)
		mock_net_send(g, 0, false, &m);
	m = (struct nvsp_message){ .type = NVSP_SEND_NDIS_VERSION };
	m.ndis_version.major = 6;
	m.ndis_version.minor = g->version >= NVSP_V5 ? 30 : 1;
	mock_net_send(g, 0, false, &m);
	mock_net_run(g);
}

static uint32_t make_buffer(struct mock_net_guest *g, uint32_t pages, uint64_t *gpa)
{
	static uint32_t gpadl = 0xe1e10;

	*gpa = fake_bus_alloc(g->bus, pages);
	fake_bus_gpadl_add(g->bus, g->dev, ++gpadl, *gpa, pages);
	return gpadl;
}

uint32_t mock_net_rx_buffer(struct mock_net_guest *g, uint32_t pages)
{
	struct nvsp_message m = { .type = NVSP_SEND_RECEIVE_BUFFER }, a;

	if (g->rx_pages != pages)
		g->rx_gpadl = 0;
	if (!g->rx_gpadl || !fake_bus_gpadl_exists(g->bus, g->dev, g->rx_gpadl))
		g->rx_gpadl = make_buffer(g, pages, &g->rx_gpa);
	g->rx_pages = pages;
	m.send_buffer.gpadl = g->rx_gpadl;
	m.send_buffer.id = NVSP_RX_BUFFER_ID;
	mock_net_call(g, &m, &a);
	REQUIRE(a.type == NVSP_SEND_RECEIVE_BUFFER_COMPLETE);
	if (a.receive_buffer_complete.status == NVSP_STATUS_SUCCESS) {
		REQUIRE(a.receive_buffer_complete.sections == 1);
		REQUIRE(!a.receive_buffer_complete.offset);
		g->rx_size = a.receive_buffer_complete.size;
		g->rx_count = a.receive_buffer_complete.count;
		REQUIRE(a.receive_buffer_complete.end == g->rx_size * g->rx_count);
		REQUIRE(g->rx_size >= 68 && g->rx_size * (uint64_t)g->rx_count <= pages * 4096ull);
	}
	return a.receive_buffer_complete.status;
}

uint32_t mock_net_tx_buffer(struct mock_net_guest *g, uint32_t pages)
{
	struct nvsp_message m = { .type = NVSP_SEND_SEND_BUFFER }, a;

	if (g->tx_pages != pages)
		g->tx_gpadl = 0;
	if (!g->tx_gpadl || !fake_bus_gpadl_exists(g->bus, g->dev, g->tx_gpadl))
		g->tx_gpadl = make_buffer(g, pages, &g->tx_gpa);
	g->tx_pages = pages;
	m.send_buffer.gpadl = g->tx_gpadl;
	mock_net_call(g, &m, &a);
	REQUIRE(a.type == NVSP_SEND_SEND_BUFFER_COMPLETE);
	if (a.send_buffer_complete.status == NVSP_STATUS_SUCCESS)
		g->tx_size = a.send_buffer_complete.section_size;
	return a.send_buffer_complete.status;
}

void mock_net_negotiate(struct mock_net_guest *g, uint32_t version, uint32_t mtu, uint64_t caps)
{
	REQUIRE(mock_net_init(g, version));
	mock_net_config(g, mtu, caps);
	REQUIRE(mock_net_rx_buffer(g, MOCK_NET_RX_PAGES) == NVSP_STATUS_SUCCESS);
	REQUIRE(mock_net_tx_buffer(g, MOCK_NET_TX_PAGES) == NVSP_STATUS_SUCCESS);
}

void mock_net_initialize(struct mock_net_guest *g)
{
	struct rndis_initialize m = {
		RNDIS_INITIALIZE, sizeof(m), g->next_request++, 1, 0, 0x4000
	};
	uint8_t answer[RNDIS_CONTROL_MAX];
	struct rndis_initialize_complete c;
	uint32_t len;

	REQUIRE(mock_net_control(g, &m, sizeof(m), answer, &len) == NVSP_STATUS_SUCCESS);
	REQUIRE(len == sizeof(c));
	memcpy(&c, answer, sizeof(c));
	REQUIRE(c.type == (RNDIS_INITIALIZE | RNDIS_COMPLETION) && c.request == m.request);
	REQUIRE(c.status == RNDIS_STATUS_SUCCESS);
}

void mock_net_start(struct mock_net_guest *g, struct vmbus_bus *bus)
{
	mock_net_open(g, bus, 0);
	mock_net_negotiate(g, NVSP_V6_1, 1500, MOCK_NET_CAPS);
	mock_net_initialize(g);
	REQUIRE(mock_net_filter(g, 0x0d) == RNDIS_STATUS_SUCCESS);
}

uint32_t mock_net_subchannels(struct mock_net_guest *g, uint32_t n)
{
	struct nvsp_message m = { .type = NVSP_SUBCHANNEL }, a;
	uint16_t i;

	m.subchannel.operation = NVSP_SUBCHANNEL_ALLOCATE;
	m.subchannel.count = n;
	mock_net_call(g, &m, &a);
	REQUIRE(a.type == NVSP_SUBCHANNEL);
	if (a.subchannel_complete.status != NVSP_STATUS_SUCCESS)
		return 0;
	REQUIRE(fake_bus_subchannels(g->bus, g->dev) == a.subchannel_complete.count);
	for (i = 1; i <= a.subchannel_complete.count; i++)
		REQUIRE(!fake_bus_open(g->bus, g->dev, i, MOCK_NET_RING, &g->chan[i]));
	mock_net_run(g);
	return a.subchannel_complete.count;
}

/* ---- RNDIS control --------------------------------------------------------------------- */

uint64_t mock_net_control_send(struct mock_net_guest *g, uint16_t sub, const void *msg,
			       uint32_t len)
{
	struct nvsp_message m = { .type = NVSP_SEND_RNDIS_PACKET };
	uint64_t id = g->next_id++, gpa, pfn[2];

	gpa = g->control_gpa + id % (CONTROL_PAGES / 2) * 8192 + CONTROL_RANGE;
	REQUIRE(len <= 8192 - CONTROL_RANGE);
	memcpy(fake_bus_ptr(g->bus, gpa), msg, len);
	pfn[0] = gpa / 4096;
	pfn[1] = pfn[0] + 1;
	m.rndis.channel_type = NVSP_CONTROL;
	m.rndis.section = NVSP_NO_SECTION;
	REQUIRE(!vmbus_chan_send_gpa_direct(g->chan[sub], COMPLETION, id, len, CONTROL_RANGE, pfn,
					    (CONTROL_RANGE + len + 4095) / 4096, &m,
					    g->request_len));
	return id;
}

/* A control message of the host: takes indications, returns whether it was an answer. */
static bool take_control(struct mock_net_guest *g, const struct mock_net_packet *p, void *answer,
			 uint32_t *len)
{
	const uint8_t *at = mock_net_range(g, p, 0);
	struct rndis_header h;
	struct rndis_indicate ind;

	REQUIRE(p->nr_ranges == 1 && p->id < NVSP_RX_CONTROL);
	memcpy(&h, at, sizeof(h));
	REQUIRE(h.length <= p->range[0].byte_count && h.length <= RNDIS_CONTROL_MAX);
	if (h.type == RNDIS_INDICATE_STATUS) {
		memcpy(&ind, at, sizeof(ind));
		REQUIRE(ind.length == sizeof(ind) + ind.info_length);
		REQUIRE(ind.info_length <= sizeof(g->info));
		REQUIRE(ind.info_offset == (ind.info_length ? sizeof(ind) - RNDIS_OFFSET_BASE : 0));
		memcpy(g->info, at + sizeof(ind), ind.info_length);
		g->indications++;
		g->status = ind.status;
		g->info_len = ind.info_length;
	} else {
		memcpy(answer, at, h.length);
		*len = h.length;
	}
	mock_net_complete(g, 0, p->id, NVSP_STATUS_SUCCESS);
	return h.type != RNDIS_INDICATE_STATUS;
}

uint32_t mock_net_control(struct mock_net_guest *g, const void *msg, uint32_t len, void *answer,
			  uint32_t *answer_len)
{
	uint64_t id = mock_net_control_send(g, 0, msg, len);
	uint32_t status = UINT32_MAX;
	struct mock_net_packet p;

	*answer_len = 0;
	mock_net_run(g);
	while (mock_net_poll(g, 0, &p)) {
		if (p.type == VMPKT_COMPLETION && p.id == id) {
			REQUIRE(status == UINT32_MAX);
			memcpy(&status, p.payload + 4, sizeof(status));
		} else if (is_control(&p)) {
			take_control(g, &p, answer, answer_len);
		} else {
			stash(g, 0, &p);
		}
	}
	mock_net_run(g); /* takes our completions */
	return status;
}

static uint32_t request(struct mock_net_guest *g, uint32_t type, uint32_t oid, const void *in,
			uint32_t in_len, uint8_t *answer, uint32_t *len)
{
	uint8_t msg[8192];
	struct rndis_query q = { type,
				 (uint32_t)sizeof(q) + in_len,
				 g->next_request++,
				 oid,
				 in_len,
				 sizeof(q) - RNDIS_OFFSET_BASE,
				 0 };
	struct rndis_set_complete c;

	REQUIRE(in_len <= sizeof(msg) - sizeof(q) - CONTROL_RANGE);
	memcpy(msg, &q, sizeof(q));
	if (in_len)
		memcpy(msg + sizeof(q), in, in_len);
	REQUIRE(mock_net_control(g, msg, q.length, answer, len) == NVSP_STATUS_SUCCESS);
	REQUIRE(*len >= sizeof(c));
	memcpy(&c, answer, sizeof(c));
	REQUIRE(c.type == (type | RNDIS_COMPLETION) && c.request == q.request && c.length == *len);
	return c.status;
}

uint32_t mock_net_query(struct mock_net_guest *g, uint32_t oid, const void *in, uint32_t in_len,
			void *out, uint32_t *out_len)
{
	uint8_t answer[RNDIS_CONTROL_MAX];
	struct rndis_query_complete c;
	uint32_t len, status = request(g, RNDIS_QUERY, oid, in, in_len, answer, &len);

	REQUIRE(len >= sizeof(c));
	memcpy(&c, answer, sizeof(c));
	REQUIRE(c.info_offset == sizeof(c) - RNDIS_OFFSET_BASE);
	REQUIRE(len == sizeof(c) + c.info_length);
	memcpy(out, answer + sizeof(c), c.info_length);
	*out_len = c.info_length;
	return status;
}

uint32_t mock_net_query_u32(struct mock_net_guest *g, uint32_t oid)
{
	uint8_t out[RNDIS_CONTROL_MAX];
	uint32_t len, value;

	REQUIRE(mock_net_query(g, oid, NULL, 0, out, &len) == RNDIS_STATUS_SUCCESS);
	REQUIRE(len == sizeof(value));
	memcpy(&value, out, sizeof(value));
	return value;
}

uint32_t mock_net_set(struct mock_net_guest *g, uint32_t oid, const void *in, uint32_t len)
{
	uint8_t answer[RNDIS_CONTROL_MAX];
	uint32_t answer_len, status = request(g, RNDIS_SET, oid, in, len, answer, &answer_len);

	REQUIRE(answer_len == sizeof(struct rndis_set_complete));
	return status;
}

uint32_t mock_net_filter(struct mock_net_guest *g, uint32_t filter)
{
	return mock_net_set(g, OID_GEN_CURRENT_PACKET_FILTER, &filter, sizeof(filter));
}

/* ---- frames ------------------------------------------------------------------------------ */

uint32_t mock_net_packet(uint8_t *out, const void *frame, uint32_t len, const void *ppi,
			 uint32_t ppi_len, bool pad)
{
	struct rndis_packet h = { .type = RNDIS_PACKET };
	uint32_t end = (uint32_t)sizeof(h) + ppi_len + len;

	h.length = pad ? (end + 7) & ~7u : end;
	h.data_offset = sizeof(h) - RNDIS_OFFSET_BASE + ppi_len;
	h.data_length = len;
	h.info_offset = sizeof(h) - RNDIS_OFFSET_BASE;
	h.info_length = ppi_len;
	memcpy(out, &h, sizeof(h));
	if (ppi_len)
		memcpy(out + sizeof(h), ppi, ppi_len);
	memcpy(out + sizeof(h) + ppi_len, frame, len);
	memset(out + end, 0, h.length - end);
	return h.length;
}

uint64_t mock_net_send_section(struct mock_net_guest *g, uint16_t sub, uint32_t section,
			       const void *msg, uint32_t len)
{
	struct nvsp_message m = { .type = NVSP_SEND_RNDIS_PACKET };
	uint64_t id = g->next_id++;
	int err;

	REQUIRE(g->tx_size && (section + 1ull) * g->tx_size <= g->tx_pages * 4096ull);
	REQUIRE(len <= g->tx_size);
	memcpy(fake_bus_ptr(g->bus, g->tx_gpa + (uint64_t)section * g->tx_size), msg, len);
	m.rndis.section = section;
	m.rndis.section_size = len;
	err = vmbus_chan_send(g->chan[sub], COMPLETION, id, &m, g->request_len);
	REQUIRE(!err || err == -EAGAIN);
	return err ? 0 : id;
}

uint64_t mock_net_send_direct(struct mock_net_guest *g, uint16_t sub, const void *msg, uint32_t len,
			      uint32_t pieces, uint32_t section, uint32_t section_size)
{
	struct nvsp_message m = { .type = NVSP_SEND_RNDIS_PACKET };
	struct vmpkt_range_in r[64];
	uint64_t id = g->next_id++, pfn[MOCK_NET_DATA_SIZE / 4096];
	uint32_t i, at = 0, step = len / pieces;
	int err;

	REQUIRE(pieces && pieces <= ARRAY_SIZE(r) && len <= MOCK_NET_DATA_SIZE);
	memcpy(fake_bus_ptr(g->bus, g->data_gpa), msg, len);
	for (i = 0; i < ARRAY_SIZE(pfn); i++)
		pfn[i] = g->data_gpa / 4096 + i;
	for (i = 0; i < pieces; i++, at += step) {
		r[i].byte_count = i + 1 < pieces ? step : len - at;
		r[i].byte_offset = at % 4096;
		r[i].pfn = pfn + at / 4096;
	}
	m.rndis.section = section;
	m.rndis.section_size = section_size;
	err = vmbus_chan_send_gpa_direct_multi(g->chan[sub], COMPLETION, id, r, pieces, &m,
					       g->request_len);
	REQUIRE(!err || err == -EAGAIN);
	return err ? 0 : id;
}

uint32_t mock_net_frame(struct mock_net_guest *g, uint16_t sub, const void *frame, uint32_t len)
{
	uint8_t msg[8192];
	uint32_t n, status;
	struct mock_net_packet p;
	uint64_t id;

	REQUIRE(len <= sizeof(msg) - sizeof(struct rndis_packet) - 8);
	n = mock_net_packet(msg, frame, len, NULL, 0, false);
	id = mock_net_send_section(g, sub, 0, msg, n);
	REQUIRE(id);
	mock_net_run(g);
	while (mock_net_poll(g, sub, &p)) {
		if (p.type == VMPKT_COMPLETION && p.id == id) {
			memcpy(&status, p.payload + 4, sizeof(status));
			return status;
		}
		stash(g, sub, &p);
	}
	REQUIRE(!"no completion");
	return 0;
}

uint8_t *mock_net_range(struct mock_net_guest *g, const struct mock_net_packet *p, uint32_t i)
{
	REQUIRE(i < p->nr_ranges && g->rx_size);
	REQUIRE(p->range[i].byte_offset + (uint64_t)p->range[i].byte_count <=
		g->rx_pages * 4096ull);
	return fake_bus_ptr(g->bus, g->rx_gpa + p->range[i].byte_offset);
}

void mock_net_complete(struct mock_net_guest *g, uint16_t sub, uint64_t id, uint32_t status)
{
	uint32_t m[2] = { NVSP_SEND_RNDIS_PACKET_COMPLETE, status };

	REQUIRE(!vmbus_chan_send_completion(g->chan[sub], id, m, sizeof(m)));
}

static void check_range(struct mock_net_guest *g, const struct mock_net_packet *p, uint32_t i)
{
	const uint8_t *at = mock_net_range(g, p, i);
	struct rndis_packet h;

	memcpy(&h, at, sizeof(h));
	REQUIRE(p->range[i].byte_count <= g->rx_size);
	REQUIRE(p->range[i].byte_offset % g->rx_size + p->range[i].byte_count <= g->rx_size);
	REQUIRE(p->range[i].byte_offset / g->rx_size >= NVSP_RX_CONTROL);
	REQUIRE(h.type == RNDIS_PACKET && h.length <= p->range[i].byte_count);
	REQUIRE(h.data_offset >= 36 && h.data_offset + 8 + h.data_length <= h.length);
	REQUIRE(h.length <= g->rx_size - NVSP_RX_TAIL);
	REQUIRE(!h.oob_offset && !h.oob_length && !h.oob_elements && !h.handle && !h.reserved);
	if (!h.info_length)
		return;
	REQUIRE(h.info_offset >= 36 && h.info_offset % 4 == 0);
	REQUIRE(h.info_offset + h.info_length <= h.data_offset);
}

bool mock_net_recv_data(struct mock_net_guest *g, uint16_t sub, struct mock_net_packet *p)
{
	struct mock_net_packet other[16];
	uint32_t i, n = 0;
	bool found = false;

	while (!found && mock_net_recv(g, sub, p)) {
		found = p->type == VMPKT_XFER_PAGES && !is_control(p);
		REQUIRE(found || n < ARRAY_SIZE(other));
		if (!found)
			other[n++] = *p;
	}
	for (i = 0; i < n; i++)
		stash(g, sub, &other[i]);
	if (!found)
		return false;
	REQUIRE(p->flags == COMPLETION && p->set == NVSP_RX_BUFFER_ID);
	REQUIRE(p->id == p->range[0].byte_offset / g->rx_size);
	for (i = 0; i < p->nr_ranges; i++)
		check_range(g, p, i);
	return true;
}

const uint8_t *mock_net_frame_at(struct mock_net_guest *g, const struct mock_net_packet *p,
				 uint32_t i, uint32_t *len)
{
	const uint8_t *at = mock_net_range(g, p, i);
	struct rndis_packet h;

	memcpy(&h, at, sizeof(h));
	*len = h.data_length;
	return at + RNDIS_OFFSET_BASE + h.data_offset;
}

bool mock_net_info_at(struct mock_net_guest *g, const struct mock_net_packet *p, uint32_t i,
		      uint32_t type, uint32_t *value)
{
	const uint8_t *at = mock_net_range(g, p, i);
	struct rndis_info_u32 e;
	struct rndis_packet h;
	uint32_t off;

	memcpy(&h, at, sizeof(h));
	for (off = 0; off < h.info_length; off += e.info.size) {
		memcpy(&e, at + RNDIS_OFFSET_BASE + h.info_offset + off, sizeof(e));
		REQUIRE(e.info.size == sizeof(e) && e.info.offset == sizeof(e.info));
		if (e.info.type == type) {
			*value = e.value;
			return true;
		}
	}
	return false;
}
