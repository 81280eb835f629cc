/* SPDX-License-Identifier: MIT */
/* The network adapter of a guest without manners; see the header. */
#include "tests/hostile/evil_nic.h"

#include <check.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "tests/hostile/net_peer.h"

#define ANSWER	    0xa45ull
#define CONTROL	    0xc0de
#define COMPLETION  VMPKT_FLAG_COMPLETION_REQUESTED
#define ROOM	    512u /* of the ring, for one request and another at once */
#define DONE_BYTES  40u	 /* a completion of ours */
#define DONE_NS	    10000000ull
#define PING_LEN    200u
#define PACKET_HEAD ((uint32_t)sizeof(struct rndis_packet))

/* ---- NVSP ---------------------------------------------------------------------------- */

void evil_nvsp(struct evil_nic *n, uint32_t ch, uint64_t id, const uint32_t *words, uint32_t nr)
{
	uint32_t w[NVSP_SIZE / 4] = { 0 };

	memcpy(w, words, nr * 4);
	evil_send(&n->chan[ch], VMPKT_INBAND, 2, COMPLETION, id, w, sizeof(w));
}

bool evil_nic_recv(struct evil_nic *n, uint32_t ch, struct evil_nic_packet *p, int ms)
{
	uint64_t limit = clock_ns() + (uint64_t)ms * 1000000;
	struct evil_guest *c = &n->chan[ch];
	uint32_t next = c->in.next, off;
	struct vmpkt_xfer_pages x;

	while (load_acquire(&c->in.ctrl->write_index) == next) {
		if (clock_ns() > limit)
			return false;
		usleep(20);
	}
	memset(p, 0, sizeof(*p));
	evil_ring_get(&c->in, next, &p->desc, sizeof(p->desc));
	off = p->desc.offset8 * 8u;
	ck_assert_uint_ge(off, 16);
	ck_assert_uint_ge(p->desc.len8 * 8u, off);
	p->len = p->desc.len8 * 8u - off;
	evil_ring_get(&c->in, next + off, &p->m, p->len < sizeof(p->m) ? p->len : sizeof(p->m));
	if (p->desc.type == VMPKT_XFER_PAGES) {
		evil_ring_get(&c->in, next + 16, &x, sizeof(x));
		p->nr_ranges = x.range_count;
		evil_ring_get(&c->in, next + 24, &p->range, sizeof(p->range));
	}
	c->in.next = (next + p->desc.len8 * 8u + 8) % EVIL_RING_SIZE;
	store_release(&c->in.ctrl->read_index, c->in.next);
	full_fence();
	if (load_relaxed(&c->in.ctrl->pending_send_sz))
		evil_ring_bell(c);
	return true;
}

void evil_nic_done(struct evil_nic *n, uint32_t ch, uint64_t id)
{
	const uint32_t m[2] = { NVSP_SEND_RNDIS_PACKET_COMPLETE, NVSP_STATUS_SUCCESS };
	uint64_t limit = clock_ns() + DONE_NS;

	while (evil_out_free(&n->chan[ch]) < DONE_BYTES && clock_ns() < limit)
		usleep(20);
	if (evil_out_free(&n->chan[ch]) >= DONE_BYTES)
		evil_send(&n->chan[ch], VMPKT_COMPLETION, 2, 0, id, m, sizeof(m));
}

/* Frames are counted and given back; everything else is thrown away. */
static void take(struct evil_nic *n, uint32_t ch, const struct evil_nic_packet *p)
{
	if (p->desc.type != VMPKT_XFER_PAGES)
		return;
	n->frames += p->nr_ranges;
	evil_nic_done(n, ch, p->desc.trans_id);
}

void evil_nic_drain(struct evil_nic *n, uint32_t ch)
{
	struct evil_nic_packet p;

	while (evil_nic_recv(n, ch, &p, 0))
		take(n, ch, &p);
}

bool evil_nic_answer(struct evil_nic *n, uint32_t ch, uint64_t id, struct nvsp_message *m, int ms)
{
	struct evil_nic_packet p;

	while (evil_nic_recv(n, ch, &p, ms)) {
		if (p.desc.type == VMPKT_COMPLETION && p.desc.trans_id == id) {
			*m = p.m;
			return true;
		}
		take(n, ch, &p);
	}
	return false;
}

void evil_nic_room(struct evil_nic *n, uint32_t ch)
{
	uint64_t limit = clock_ns() + EVIL_PATIENCE_MS * 1000000ull;

	while (evil_out_free(&n->chan[ch]) < ROOM) {
		evil_nic_drain(n, ch);
		ck_assert_msg(clock_ns() < limit, "the root takes nothing from the ring");
		usleep(20);
	}
}

static struct nvsp_message call(struct evil_nic *n, const uint32_t *words, uint32_t nr)
{
	struct nvsp_message m;

	evil_nic_room(n, 0);
	evil_nvsp(n, 0, ANSWER, words, nr);
	ck_assert_msg(evil_nic_answer(n, 0, ANSWER, &m, EVIL_PATIENCE_MS), "NVSP %u: no answer",
		      words[0]);
	return m;
}
#define CALL(n, ...)                                                                               \
	call(n, (const uint32_t[]){ __VA_ARGS__ }, sizeof((const uint32_t[]){ __VA_ARGS__ }) / 4)

uint32_t evil_nic_gpadl(struct evil_nic *n, uint32_t id, uint32_t pfn, uint32_t pages)
{
	return evil_gpadl(&n->chan[0], id, NULL, pfn, pages);
}

uint32_t evil_nic_rx_buffer(struct evil_nic *n, uint32_t gpadl)
{
	struct nvsp_message m = CALL(n, NVSP_SEND_RECEIVE_BUFFER, gpadl, NVSP_RX_BUFFER_ID);

	n->rx_size = m.receive_buffer_complete.size;
	n->rx_count = m.receive_buffer_complete.count;
	return m.receive_buffer_complete.status;
}

uint32_t evil_nic_tx_buffer(struct evil_nic *n, uint32_t gpadl)
{
	return CALL(n, NVSP_SEND_SEND_BUFFER, gpadl, 0).send_buffer_complete.status;
}

/* ---- channels ------------------------------------------------------------------------------ */

static void open_channel(struct evil_nic *n, uint32_t ch, uint32_t relid)
{
	struct evil_guest *c = &n->chan[ch];

	*c = *n->g;
	c->bell = -1;
	c->rings = EVIL_NIC_RINGS + ch * 2 * EVIL_RING_PAGES;
	c->relid = relid;
	ck_assert_uint_eq(evil_gpadl(c, EVIL_NIC_GPADL + ch, NULL, c->rings, 2 * EVIL_RING_PAGES),
			  0);
	ck_assert_uint_eq(evil_open(c, relid, EVIL_NIC_GPADL + ch, ch % EVIL_VPS, EVIL_RING_PAGES),
			  0);
	evil_take_bell(c);
	n->channels = ch + 1;
}

uint32_t evil_nic_subs(struct evil_nic *n, uint32_t count)
{
	struct nvsp_message m = CALL(n, NVSP_SUBCHANNEL, NVSP_SUBCHANNEL_ALLOCATE, count);
	uint32_t relid[EVIL_NIC_QUEUES], i, granted = m.subchannel_complete.count;

	if (m.subchannel_complete.status != NVSP_STATUS_SUCCESS)
		return 0;
	ck_assert_uint_lt(granted, EVIL_NIC_QUEUES);
	for (i = 1; i <= granted; i++) {
		union vmbus_msg o = evil_expect(n->g, VMBUS_MSG_OFFERCHANNEL);

		ck_assert_uint_eq(o.offer.sub_index, i);
		relid[i] = o.offer.relid;
	}
	for (i = 1; i <= granted; i++)
		open_channel(n, i, relid[i]);
	return granted;
}

void evil_nic_end(struct evil_nic *n)
{
	for (uint32_t i = 0; i < n->channels; i++)
		close(n->chan[i].bell);
	n->channels = 0;
}

/* ---- RNDIS ------------------------------------------------------------------------------------
 */

void evil_rndis_send(struct evil_nic *n, uint64_t id, const void *msg, uint32_t len)
{
	const uint32_t m[NVSP_SIZE / 4] = { NVSP_SEND_RNDIS_PACKET, NVSP_CONTROL, NVSP_NO_SECTION };

	memcpy(evil_page(n->g, EVIL_NIC_CONTROL), msg, len);
	evil_direct(&n->chan[0], COMPLETION, id, m, sizeof(m), EVIL_NIC_CONTROL, len, 0);
}

static bool is_answer(struct evil_nic *n, const struct evil_nic_packet *p, void *answer,
		      uint32_t room, uint32_t *len)
{
	const uint8_t *at = (uint8_t *)evil_page(n->g, EVIL_NIC_RX) + p->range.byte_offset;
	struct rndis_header h;

	if (p->desc.type != VMPKT_XFER_PAGES || p->m.rndis.channel_type != NVSP_CONTROL ||
	    p->range.byte_offset > EVIL_NIC_RX_PAGES * 4096 - 4096)
		return false;
	memcpy(&h, at, sizeof(h));
	if (h.type == RNDIS_INDICATE_STATUS)
		return false;
	ck_assert_uint_le(h.length, 4096);
	*len = h.length;
	memcpy(answer, at, h.length < room ? h.length : room);
	return true;
}

uint32_t evil_rndis(struct evil_nic *n, const void *msg, uint32_t len, void *answer, uint32_t room,
		    int ms)
{
	struct evil_nic_packet p;
	uint32_t got = 0;
	bool found;

	evil_nic_room(n, 0);
	evil_rndis_send(n, CONTROL, msg, len);
	while (evil_nic_recv(n, 0, &p, ms)) {
		found = is_answer(n, &p, answer, room, &got);
		take(n, 0, &p);
		if (found)
			return got;
	}
	return 0;
}

uint32_t evil_rndis_set(struct evil_nic *n, uint32_t oid, uint32_t value)
{
	const uint32_t m[] = { RNDIS_SET, 32, 3, oid, 4, 20, 0, value };
	struct rndis_set_complete c = { .status = UINT32_MAX };

	ck_assert_uint_gt(evil_rndis(n, m, sizeof(m), &c, sizeof(c), EVIL_PATIENCE_MS), 0);
	return c.status;
}

static void learn_address(struct evil_nic *n)
{
	const uint32_t m[] = { RNDIS_QUERY, 28, 4, OID_802_3_CURRENT_ADDRESS, 0, 20, 0 };
	uint8_t answer[64] = { 0 };

	ck_assert_uint_eq(evil_rndis(n, m, sizeof(m), answer, sizeof(answer), EVIL_PATIENCE_MS),
			  24 + NET_MAC_LEN);
	memcpy(n->mac, answer + 24, NET_MAC_LEN);
}

/* ---- life --------------------------------------------------------------------------------------
 */

static void configure(struct evil_nic *n)
{
	struct nvsp_message m = { .type = NVSP_SEND_NDIS_CONFIG };

	m.ndis_config.mtu = 1514;
	m.ndis_config.capabilities = EVIL_NIC_CAPS;
	evil_send(&n->chan[0], VMPKT_INBAND, 2, 0, 0, &m, sizeof(m));
	EVIL_NVSP(n, 0, NVSP_SEND_NDIS_VERSION, 6, 30);
}

static void buffers(struct evil_nic *n)
{
	ck_assert_uint_eq(evil_nic_gpadl(n, EVIL_NIC_RX_GPADL, EVIL_NIC_RX, EVIL_NIC_RX_PAGES), 0);
	ck_assert_uint_eq(evil_nic_gpadl(n, EVIL_NIC_TX_GPADL, EVIL_NIC_TX, EVIL_NIC_TX_PAGES), 0);
	ck_assert_uint_eq(evil_nic_rx_buffer(n, EVIL_NIC_RX_GPADL), NVSP_STATUS_SUCCESS);
	ck_assert_uint_eq(evil_nic_tx_buffer(n, EVIL_NIC_TX_GPADL), NVSP_STATUS_SUCCESS);
}

static void initialise(struct evil_nic *n)
{
	const uint32_t m[] = { RNDIS_INITIALIZE, 24, 1, 1, 0, 0x4000 };
	struct rndis_initialize_complete c = { .status = UINT32_MAX };

	ck_assert_uint_eq(evil_rndis(n, m, sizeof(m), &c, sizeof(c), EVIL_PATIENCE_MS), sizeof(c));
	ck_assert_uint_eq(c.status, RNDIS_STATUS_SUCCESS);
}

void evil_nic_reach(struct evil_nic *n, struct evil_guest *g, enum evil_nic_stage stage)
{
	*n = (struct evil_nic){ .g = g };
	open_channel(n, 0, EVIL_NIC_RELID);
	if (stage >= EVIL_NIC_INIT)
		ck_assert_uint_eq(CALL(n, NVSP_INIT, NVSP_V6_1, NVSP_V6_1).init_complete.status,
				  NVSP_STATUS_SUCCESS);
	if (stage >= EVIL_NIC_CONFIG)
		configure(n);
	if (stage >= EVIL_NIC_BUFFERS)
		buffers(n);
	if (stage >= EVIL_NIC_RNDIS)
		initialise(n);
	if (stage < EVIL_NIC_UP)
		return;
	learn_address(n);
	ck_assert_uint_eq(evil_rndis_set(n, OID_GEN_CURRENT_PACKET_FILTER, 0x0d),
			  RNDIS_STATUS_SUCCESS);
}

void evil_nic_works(struct evil_guest *g)
{
	struct evil_nic n;

	evil_nic_reach(&n, g, EVIL_NIC_UP);
	evil_nic_ping(&n, 0);
	evil_nic_end(&n);
}

/* ---- frames ------------------------------------------------------------------------------------
 */

uint32_t evil_frame(const struct evil_nic *n, uint8_t *out, uint32_t to, uint16_t type,
		    uint32_t len)
{
	net_peer_mac(to, out);
	memcpy(out + NET_MAC_LEN, n->mac, NET_MAC_LEN);
	out[12] = (uint8_t)(type >> 8);
	out[13] = (uint8_t)type;
	for (uint32_t i = NET_ETH_LEN; i < len; i++)
		out[i] = (uint8_t)(i * 7);
	return len;
}

uint32_t evil_packet(uint8_t *out, uint32_t len, const void *info, uint32_t info_len)
{
	struct rndis_packet h = { .type = RNDIS_PACKET,
				  .length = PACKET_HEAD + info_len + len,
				  .data_offset = PACKET_HEAD - RNDIS_OFFSET_BASE + info_len,
				  .data_length = len,
				  .info_offset = info_len ? PACKET_HEAD - RNDIS_OFFSET_BASE : 0,
				  .info_length = info_len };

	memcpy(out, &h, sizeof(h));
	if (info_len)
		memcpy(out + sizeof(h), info, info_len);
	return h.length;
}

void evil_nic_data(struct evil_nic *n, uint32_t ch, uint16_t flags, uint64_t id, uint32_t len)
{
	const uint32_t m[NVSP_SIZE / 4] = { NVSP_SEND_RNDIS_PACKET, NVSP_DATA, NVSP_NO_SECTION };

	evil_direct(&n->chan[ch], flags, id, m, sizeof(m), EVIL_NIC_DATA, len, 0);
}

uint64_t evil_nic_flood(struct evil_nic *n, uint32_t ch, uint32_t len, int ms, bool give)
{
	uint64_t limit = clock_ns() + (uint64_t)ms * 1000000, sent = 0;
	const uint32_t room = ROOM + len / 4096 * 8;
	struct evil_nic_packet p;

	while (clock_ns() < limit) {
		while (evil_out_free(&n->chan[ch]) >= room) {
			evil_nic_data(n, ch, 0, 0, len);
			sent++;
		}
		while (evil_nic_recv(n, ch, &p, 0))
			if (give)
				take(n, ch, &p);
		usleep(50);
	}
	return sent;
}

static bool is_pong(struct evil_nic *n, const struct evil_nic_packet *p, const uint8_t *frame)
{
	const uint8_t *at = (uint8_t *)evil_page(n->g, EVIL_NIC_RX) + p->range.byte_offset;
	struct rndis_packet h;

	if (p->desc.type != VMPKT_XFER_PAGES || p->m.rndis.channel_type != NVSP_DATA)
		return false;
	memcpy(&h, at, sizeof(h));
	return h.data_length == PING_LEN &&
	       !memcmp(at + RNDIS_OFFSET_BASE + h.data_offset + 2 * NET_MAC_LEN,
		       frame + 2 * NET_MAC_LEN, PING_LEN - 2 * NET_MAC_LEN);
}

/* Once more when nothing came: a peer answers one of many. */
void evil_nic_ping(struct evil_nic *n, uint32_t to)
{
	uint8_t *data = evil_page(n->g, EVIL_NIC_DATA), *frame = data + PACKET_HEAD;
	uint64_t limit = clock_ns() + EVIL_PATIENCE_MS * 1000000ull;
	struct evil_nic_packet p;
	bool pong = false;

	while (!pong) {
		ck_assert_msg(clock_ns() < limit, "no frame came back from peer %u", to);
		evil_nic_room(n, 0);
		evil_frame(n, frame, to, NET_PING_ETHERTYPE, PING_LEN);
		evil_nic_data(n, 0, 0, 0, evil_packet(data, PING_LEN, NULL, 0));
		while (!pong && evil_nic_recv(n, 0, &p, 100)) {
			pong = is_pong(n, &p, frame);
			take(n, 0, &p);
		}
	}
}
