/* SPDX-License-Identifier: MIT */
/*
 * A network adapter with a hostile guest on real rings, on a real switch with one more port:
 * NVSP and RNDIS well-formed and spoiled, frames both ways, completions right and wrong, revokes,
 * teardowns, opens and closes at any time. Invariants:
 *   - of each request at most one completion comes, on its channel; while the guest behaves,
 *     exactly one
 *   - the host writes into no sub-allocation that the guest has, and into no buffer at all after it
 *     was revoked; every range is in bounds and its message well-formed
 *   - sub-allocations are free, or with the guest: none is lost, none is there twice
 *   - a canary page stays as it was; closing always comes to an end
 */
#include <fcntl.h>
#include <string.h>

#include "base/log.h"
#include "base/loop.h"
#include "fuzz/input.h"
#include "fuzz/vtime.h"
#include "tests/fake/fake_bus.h"
#include "vmbus/wire/nvsp.h"
#include "vmbus/wire/rndis_data.h"
#include "vsp/netvsp/netvsp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMORY	   (1536u << 10)
#define RING_PAGES 4u
#define RX_PAGES   40u
#define TX_PAGES   6u
#define DATA_PAGES 20u
#define SUBS	   3u
#define MAX_IDS	   8192u
#define MAX_SLOTS  256u
#define WITH_GUEST 0xee
#define REVOKED	   0xdd

enum { RX_GPADL = 0x101, TX_GPADL };
enum request { FREE_ID, ASKED, ANSWERED };

struct world {
	struct loop *loop;
	struct vmbus_bus *bus;
	struct vsw *sw;
	struct vsw_port *peer;
	struct netvsp *nic;
	struct vmbus_chan *chan[SUBS];
	uint64_t rx, tx, data, canary;
	bool gone, odd;		/* odd: the guest did what may cost it answers */
	bool poked;		/* ... and what may have changed the ids that come back */
	bool limited;		/* in bandwidth */
	bool revoked;		/* the receive buffer was taken back */
	uint32_t size, count;	/* of sub-allocations, as the host said */
	uint8_t out[MAX_SLOTS]; /* 1 + channel of those that the guest has */
	uint16_t first[MAX_SLOTS];
	uint32_t ids;
};

static uint8_t asked[MAX_IDS], asked_on[MAX_IDS];

static void on_gone(void *ctx)
{
	((struct world *)ctx)->gone = true;
}

static uint64_t sw_now(void *ctx)
{
	(void)ctx;
	return vtime.now_ns;
}

/* Reads all of a frame, so that a sanitizer sees a bad one. */
static enum vsw_drop take_frame(void *ctx, const struct net_frame *f, const struct net_meta *m,
				uint32_t from)
{
	uint32_t len = f->head_len, sum = 0;
	int i;

	(void)ctx;
	(void)from;
	for (uint32_t j = 0; j < f->head_len; j++)
		sum += f->head[j];
	for (i = 0; i < f->iovcnt; i++) {
		len += (uint32_t)f->iov[i].iov_len;
		sum += *(volatile uint8_t *)f->iov[i].iov_base;
	}
	INVARIANT(len == f->len && len >= NET_ETH_LEN);
	INVARIANT(m->csum != NET_CSUM_PARTIAL ||
		  m->csum_start + m->csum_offset + 2u <= f->head_len);
	return sum == UINT32_MAX ? VSW_DROP_DEVICE : VSW_FORWARDED;
}

static void no_flush(void *ctx)
{
	(void)ctx;
}

static const struct vsw_port_ops peer_ops = { .deliver = take_frame, .flush = no_flush };

static void all_vlans(struct vsw_policy *p)
{
	p->vlan_mode = VSW_TRUNK;
	memset(p->allowed, 0xff, sizeof(p->allowed));
}

static void ports_up(struct world *w, uint8_t flags)
{
	struct vsw_config vc = { .name = "lan", .type = VSW_PRIVATE, .now = sw_now };
	struct vsw_port_config pc = { .name = "peer",
				      .role = VSW_GUEST,
				      .mac = { 2, 0, 0, 0, 0, 1 },
				      .caps = flags & 2 ? 0xf : 0,
				      .mtu = 9000,
				      .ops = &peer_ops,
				      .ctx = w };
	struct netvsp_config cfg = { .name = "nic0",
				     .mac = { 0, 0x15, 0x5d, 1, 2, 0xa0 },
				     .max_queues = SUBS,
				     .loop = w->loop };

	INVARIANT(!vsw_create(&w->sw, &vc));
	all_vlans(&pc.policy);
	INVARIANT(!vsw_port_add(&w->peer, w->sw, &pc, NULL, 0));
	if (flags & 4)
		all_vlans(&cfg.policy);
	w->limited = flags & 8;
	if (flags & 8) {
		cfg.policy.bps = 50000000;
		cfg.policy.burst = 2000;
	}
	INVARIANT(!netvsp_create(&w->nic, w->bus, w->sw, &cfg, NULL, 0));
}

static void world_up(struct world *w, uint8_t flags)
{
	struct loop_config lc = { .engine = LOOP_EPOLL, .name = "fuzz" };
	static int silence;

	if (!silence) { /* failures are what we ask for */
		silence = open("/dev/null", O_WRONLY | O_CLOEXEC);
		log_set_fd(silence);
	}
	INVARIANT(!loop_create(&w->loop, &lc));
	w->bus = fake_bus_create(w->loop, MEMORY);
	w->rx = fake_bus_alloc(w->bus, RX_PAGES);
	w->tx = fake_bus_alloc(w->bus, TX_PAGES);
	w->data = fake_bus_alloc(w->bus, DATA_PAGES);
	w->canary = fake_bus_alloc(w->bus, 1);
	memset(fake_bus_ptr(w->bus, w->canary), 0xa5, 4096);
	ports_up(w, flags);
}

/* ---- what the guest has ---------------------------------------------------------------------- */

static uint8_t *slot_at(struct world *w, uint32_t slot)
{
	return (uint8_t *)fake_bus_ptr(w->bus, w->rx) + (size_t)slot * w->size;
}

static void filled_with(const uint8_t *at, uint32_t len, uint8_t byte)
{
	INVARIANT(at[0] == byte && !memcmp(at, at + 1, len - 1));
}

static void slot_back(struct world *w, uint32_t slot)
{
	filled_with(slot_at(w, slot), w->size, WITH_GUEST);
	w->out[slot] = 0;
}

/* All that the guest has comes back to it whole: the channel, or the buffer, is gone. */
static void forget_slots(struct world *w, uint32_t chan)
{
	for (uint32_t i = 0; i < MAX_SLOTS; i++)
		if (w->out[i] && (chan == SUBS || w->out[i] == chan + 1))
			slot_back(w, i);
}

static void forget_ids(const struct world *w, uint16_t sub)
{
	for (uint32_t i = 0; i <= w->ids; i++)
		if (asked[i] == ASKED && asked_on[i] == sub)
			asked[i] = ANSWERED;
}

/* Nothing of the buffer is the host's any more. */
static void buffer_gone(struct world *w)
{
	if (w->count)
		forget_slots(w, SUBS);
	memset(fake_bus_ptr(w->bus, w->rx), REVOKED, RX_PAGES * 4096);
	w->revoked = true;
	w->count = 0;
}

static void check_message(const uint8_t *at, uint32_t len, bool control)
{
	struct rndis_header h;
	struct rndis_data d;

	memcpy(&h, at, sizeof(h));
	INVARIANT(h.length <= len);
	if (control) {
		INVARIANT(h.type & RNDIS_COMPLETION || h.type == RNDIS_INDICATE_STATUS);
		return;
	}
	INVARIANT(!rndis_data_parse(&d, at, len < RNDIS_DATA_HEAD ? len : RNDIS_DATA_HEAD, len));
	INVARIANT(d.data_length && d.data_offset + d.data_length <= len);
}

static void take_range(struct world *w, uint16_t sub, const struct vmpkt *p, uint32_t i,
		       bool control)
{
	struct vmpkt_xfer_range r;
	uint32_t slot;

	memcpy(&r, p->ranges + i * sizeof(r), sizeof(r));
	INVARIANT(w->size && r.byte_offset % w->size == 0 && r.byte_count <= w->size);
	slot = r.byte_offset / w->size;
	INVARIANT(slot < w->count && (w->poked || !w->out[slot]));
	INVARIANT(control ? slot < NVSP_RX_CONTROL && !sub : slot >= NVSP_RX_CONTROL);
	INVARIANT(i || slot == p->trans_id);
	check_message(slot_at(w, slot), r.byte_count, control);
	memset(slot_at(w, slot), WITH_GUEST, w->size);
	w->out[slot] = (uint8_t)(sub + 1);
	w->first[slot] = (uint16_t)p->trans_id;
}

static void take_answer(struct world *w, uint16_t sub, const struct vmpkt *p)
{
	struct nvsp_message m = { 0 };
	bool known = p->trans_id && p->trans_id < MAX_IDS && asked[p->trans_id] == ASKED &&
		     asked_on[p->trans_id] == sub;

	INVARIANT(p->payload_len <= sizeof(m));
	INVARIANT(known || w->poked);
	if (known)
		asked[p->trans_id] = ANSWERED;
	memcpy(&m, p->payload, p->payload_len);
	if (m.type == NVSP_SEND_RECEIVE_BUFFER_COMPLETE &&
	    m.receive_buffer_complete.status == NVSP_STATUS_SUCCESS) {
		w->size = m.receive_buffer_complete.size;
		w->count = m.receive_buffer_complete.count;
		w->revoked = false;
		INVARIANT((uint64_t)w->size * w->count <= RX_PAGES * 4096 && w->count <= MAX_SLOTS);
	}
}

/* The guest reads everything that the host has sent. */
static void take_all(struct world *w, uint16_t sub)
{
	struct nvsp_message m;
	struct vmpkt p;

	while (w->chan[sub] && vmbus_chan_recv(w->chan[sub], &p) > 0) {
		if (p.type == VMPKT_COMPLETION) {
			take_answer(w, sub, &p);
		} else if (p.type == VMPKT_XFER_PAGES) {
			memcpy(&m, p.payload, 16);
			for (uint32_t i = 0; w->count && i < p.range_count; i++)
				take_range(w, sub, &p, i, m.rndis.channel_type == NVSP_CONTROL);
		} else {
			INVARIANT(p.type == VMPKT_INBAND && !p.trans_id && !sub);
		}
	}
	if (w->chan[sub])
		vmbus_chan_recv_done(w->chan[sub]);
}

/* ---- requests ---------------------------------------------------------------------------------
 */

static uint64_t new_id(struct world *w, uint16_t sub)
{
	asked[++w->ids] = ASKED;
	asked_on[w->ids] = (uint8_t)sub;
	return w->ids;
}

static void took(struct world *w, uint64_t id, int err)
{
	if (err)
		asked[id] = ANSWERED;
	(void)w;
}

static void send_message(struct world *w, uint16_t sub, const struct nvsp_message *m)
{
	uint64_t id = new_id(w, sub);

	took(w, id,
	     vmbus_chan_send(w->chan[sub], VMPKT_FLAG_COMPLETION_REQUESTED, id, m, NVSP_SIZE));
}

static void run(struct world *w)
{
	for (uint16_t i = 0; i < SUBS; i++)
		if (w->chan[i])
			vmbus_chan_flush(w->chan[i]);
	fake_bus_settle(w->bus, 60);
}

static void send_control(struct world *w, uint16_t sub, const void *msg, uint32_t len)
{
	struct nvsp_message m = { .type = NVSP_SEND_RNDIS_PACKET };
	uint64_t id, pfn = w->data / 4096;

	m.rndis.channel_type = NVSP_CONTROL;
	m.rndis.section = NVSP_NO_SECTION;
	memcpy(fake_bus_ptr(w->bus, w->data), msg, len);
	id = new_id(w, sub);
	took(w, id,
	     vmbus_chan_send_gpa_direct(w->chan[sub], VMPKT_FLAG_COMPLETION_REQUESTED, id, len, 0,
					&pfn, 1, &m, NVSP_SIZE));
}

static void set_oid(struct world *w, uint32_t oid, const void *value, uint32_t len)
{
	uint8_t msg[128] = { 0 };
	struct rndis_query q = { RNDIS_SET, (uint32_t)sizeof(q) + len, 7, oid, len, 20, 0 };

	memcpy(msg, &q, sizeof(q));
	memcpy(msg + sizeof(q), value, len);
	send_control(w, 0, msg, q.length);
}

static void complete_one(struct world *w, uint32_t which, uint32_t status)
{
	uint32_t m[2] = { NVSP_SEND_RNDIS_PACKET_COMPLETE, status }, i, id;
	uint8_t chan;

	for (i = 0; i < MAX_SLOTS; i++) {
		id = (which + i) % MAX_SLOTS;
		chan = w->out[id];
		if (!chan || w->first[id] != id || !w->chan[chan - 1])
			continue;
		if (vmbus_chan_send_completion(w->chan[chan - 1], id, m, sizeof(m)))
			return;
		for (i = 0; i < MAX_SLOTS; i++)
			if (w->out[i] == chan && w->first[i] == id)
				slot_back(w, i);
		return;
	}
}

/* ---- steps ------------------------------------------------------------------------------------
 */

static void open_chan(struct world *w, uint16_t sub)
{
	if (!w->chan[sub] && fake_bus_open(w->bus, 0, sub, RING_PAGES, &w->chan[sub]))
		w->chan[sub] = NULL;
}

static void close_chan(struct world *w, uint16_t sub)
{
	if (!w->chan[sub])
		return;
	fake_bus_close(w->bus, 0, sub);
	for (int i = 0; i < 1000 && !fake_bus_closed(w->bus, 0, sub); i++) {
		vtime_pass(1000000);
		fake_bus_turn(w->bus);
	}
	INVARIANT(fake_bus_closed(w->bus, 0, sub));
	w->chan[sub] = NULL;
	forget_ids(w, sub);
	if (sub)
		forget_slots(w, sub);
	else
		buffer_gone(w);
}

static void close_all(struct world *w)
{
	for (uint16_t i = SUBS; i-- > 0;)
		close_chan(w, i);
}

static void add_gpadl(struct world *w, uint32_t gpadl, uint64_t gpa, uint32_t pages)
{
	if (!fake_bus_gpadl_exists(w->bus, 0, gpadl))
		fake_bus_gpadl_add(w->bus, 0, gpadl, gpa, pages);
}

static void send_buffers(struct world *w)
{
	struct nvsp_message m = { .type = NVSP_SEND_RECEIVE_BUFFER };

	add_gpadl(w, RX_GPADL, w->rx, RX_PAGES);
	m.send_buffer.gpadl = RX_GPADL;
	m.send_buffer.id = NVSP_RX_BUFFER_ID;
	send_message(w, 0, &m);
	add_gpadl(w, TX_GPADL, w->tx, TX_PAGES);
	m = (struct nvsp_message){ .type = NVSP_SEND_SEND_BUFFER };
	m.send_buffer.gpadl = TX_GPADL;
	send_message(w, 0, &m);
}

static void hello(struct world *w, uint8_t how)
{
	struct rndis_initialize init = { RNDIS_INITIALIZE, sizeof(init), 1, 1, 0, 0x4000 };
	struct nvsp_message m = { .type = NVSP_INIT };
	static const uint32_t versions[] = { NVSP_V6_1, NVSP_V5, NVSP_V2, NVSP_V1 };
	static const uint8_t offloads[28] = { 0x80, 3, 28, 0, 4, 4, 4, 4, 4, 0, 0, 2, 2, 0,
					      0,    0, 0,  0, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0 };
	uint32_t filter = 0xd;

	m.init.version = m.init.version2 = versions[how & 3];
	send_message(w, 0, &m);
	m = (struct nvsp_message){ .type = NVSP_SEND_NDIS_CONFIG };
	m.ndis_config.mtu = 1514;
	m.ndis_config.capabilities = how & 4 ? 0xac : how & 8 ? 1ull << 63 | 0x88 : 0;
	if (m.ndis_config.mtu && (how & 3) != 3)
		send_message(w, 0, &m);
	m = (struct nvsp_message){ .type = NVSP_SEND_NDIS_VERSION };
	m.ndis_version.major = 6;
	send_message(w, 0, &m);
	send_buffers(w);
	run(w);
	take_all(w, 0);
	send_control(w, 0, &init, sizeof(init));
	run(w);
	set_oid(w, OID_GEN_CURRENT_PACKET_FILTER, &filter, 4);
	run(w);
	if (how & 12)
		set_oid(w, OID_TCP_OFFLOAD_PARAMETERS, offloads, sizeof(offloads));
	run(w);
	take_all(w, 0);
	for (int i = 0; i < 4; i++)
		complete_one(w, 0, 1);
	m = (struct nvsp_message){ .type = NVSP_SUBCHANNEL };
	m.subchannel.operation = 1;
	m.subchannel.count = SUBS - 1;
	if (how & 16)
		send_message(w, 0, &m);
	run(w);
	take_all(w, 0);
}

/* Ethernet, and for some IPv4 with TCP or UDP whose fields may be lies. */
static uint32_t frame_bytes(uint8_t *f, struct input *in, bool to_guest)
{
	static const uint8_t guest[6] = { 0, 0x15, 0x5d, 1, 2, 0xa0 },
			     peer[6] = { 2, 0, 0, 0, 0, 1 };
	uint8_t how = input_u8(in);
	uint32_t len = how & 0x80 ? input_u16(in) % 9000 : input_u8(in);

	memset(f, how, len + 64);
	memset(f, 0, 80);
	memcpy(f, to_guest ? guest : peer, 6);
	memcpy(f + 6, to_guest ? peer : guest, 6);
	if (how & 1)
		memset(f, 0xff, 6);
	be16_put(f + 12, how & 2 ? 0x86dd : 0x0800);
	f[14] = how & 2 ? 0x60 : 0x45;
	be16_put(f + 16, (uint16_t)(len - 14));
	f[how & 2 ? 20 : 23] = how & 4 ? 17 : 6;
	f[46] = f[66] = 0x50;
	if (how & 8)
		input_spoil(in, f, 80);
	return len;
}

static uint32_t message_bytes(uint8_t *at, struct input *in)
{
	static const uint32_t types[] = { 0, 2, 6, 8, 9, 0x80000001u, 11, 2 };
	struct rndis_packet h = { .type = RNDIS_PACKET, .data_offset = 36, .info_offset = 36 };
	uint8_t how = input_u8(in), n = how & 3, i;
	uint32_t len;

	for (i = 0; i < n; i++) {
		struct rndis_info_u32 e = { { 16, types[input_u8(in) & 7], 12 }, 0 };

		e.value = input_u32(in);
		if (how & 4)
			input_spoil(in, &e, sizeof(e));
		memcpy(at + 44 + 16 * i, &e, sizeof(e));
	}
	h.info_length = 16u * n;
	h.data_offset += h.info_length;
	len = frame_bytes(at + 44 + h.info_length, in, false);
	h.data_length = len;
	h.length = 44 + h.info_length + len;
	if (how & 8)
		h.length = (h.length + 7) & ~7u;
	len = h.length;
	if (how & 16)
		input_spoil(in, &h, sizeof(h));
	memcpy(at, &h, sizeof(h));
	return len;
}

/* Several messages in one request, by section, by ranges, or by both. */
static void send_data(struct world *w, uint16_t sub, struct input *in)
{
	static uint8_t bytes[6 * 10000];
	struct nvsp_message m = { .type = NVSP_SEND_RNDIS_PACKET };
	uint8_t how = input_u8(in), n = how & 3, i;
	uint32_t len = 0, cut = 0, offset, pages;
	uint64_t id, pfn[DATA_PAGES + 1];

	for (i = 0; i <= n; i++)
		len += message_bytes(bytes + len, in);
	m.rndis.section = NVSP_NO_SECTION;
	if (how & 4) {
		cut = how & 8 ? input_u16(in) % (len + 1) : len;
		cut = cut < NVSP_TX_SECTION ? cut : NVSP_TX_SECTION;
		m.rndis.section = how >> 6;
		m.rndis.section_size = cut;
		memcpy((uint8_t *)fake_bus_ptr(w->bus, w->tx) + m.rndis.section * NVSP_TX_SECTION,
		       bytes, cut);
	}
	if (how & 16)
		input_spoil(in, &m.rndis, sizeof(m.rndis));
	id = new_id(w, sub);
	if (cut == len) {
		took(w, id,
		     vmbus_chan_send(w->chan[sub], VMPKT_FLAG_COMPLETION_REQUESTED, id, &m,
				     NVSP_SIZE));
		return;
	}
	len -= cut;
	offset = how & 32 ? 4000 : 8;
	pages = (offset + len + 4095) / 4096;
	memcpy((uint8_t *)fake_bus_ptr(w->bus, w->data) + offset, bytes + cut, len);
	for (i = 0; i < pages; i++)
		pfn[i] = w->data / 4096 + i;
	took(w, id,
	     vmbus_chan_send_gpa_direct(w->chan[sub], VMPKT_FLAG_COMPLETION_REQUESTED, id, len,
					offset, pfn, pages, &m, NVSP_SIZE));
}

/* A burst of frames for the guest, large ones among them. */
static void deliver(struct world *w, struct input *in)
{
	static uint8_t f[10000], head[NET_HEAD_MAX + NET_VLAN_LEN];
	uint8_t n = input_u8(in), i, times;
	struct iovec v = { f, 0 }, rest;
	struct net_frame frame;

	v.iov_len = frame_bytes(f, in, true);
	times = n & 63;
	for (i = 0; i <= times; i++) {
		if (net_frame_init(&frame, head, NET_HEAD_MAX, &v, 1, &rest))
			return;
		if (n & 64 && net_frame_make_gso(&frame, 1400, f[12] == 0x86))
			return;
		if (n & 128 && !(n & 64) && net_frame_make_partial(&frame, true, true))
			return;
		vsw_input(w->peer, &frame);
	}
	vsw_flush(w->sw);
}

static void send_spoiled(struct world *w, uint16_t sub, struct input *in)
{
	static const uint8_t types[] = { 1,   100, 101, 103, 104, 106, 107, 108,
					 125, 129, 131, 133, 134, 135, 136, 200 };
	struct nvsp_message m = { .type = types[input_u8(in) & 15] };

	input_take(in, m.room, 12);
	if (m.type == NVSP_SEND_RECEIVE_BUFFER || m.type == NVSP_SEND_SEND_BUFFER)
		m.send_buffer.gpadl = RX_GPADL + (m.room[0] & 1); /* maybe the other one's */
	if (m.type == NVSP_REVOKE_RECEIVE_BUFFER || m.type == NVSP_REVOKE_SEND_BUFFER) {
		run(w);
		take_all(w, 0);
		send_message(w, sub, &m);
		run(w);
		take_all(w, 0);
		return;
	}
	w->odd = true;
	send_message(w, sub, &m);
}

static void send_odd_completion(struct world *w, uint16_t sub, struct input *in)
{
	uint32_t m[2] = { NVSP_SEND_RNDIS_PACKET_COMPLETE, 1 };
	uint64_t id = input_u8(in) & 1 ? input_u64(in) : input_u8(in);

	if (id < MAX_SLOTS && w->out[id] == sub + 1)
		return; /* that would be a right one */
	/* What is still in the ring is not yet known to be out: such a guess would be right. */
	run(w);
	take_all(w, sub);
	if (id < MAX_SLOTS && w->out[id] == sub + 1)
		return;
	vmbus_chan_send_completion(w->chan[sub], id, m, sizeof(m));
	/* Left in the ring, it would be right by the time that the host has used the place. */
	run(w);
}

static void poke(struct world *w, uint16_t sub, struct input *in)
{
	const struct hv_gpa_view *v = fake_bus_guest_out(w->bus, 0, sub);
	uint32_t where = input_u16(in), value = input_u32(in);

	if (!v || !v->ctrl || !w->chan[sub])
		return;
	w->odd = w->poked = true;
	if (where & 1)
		memcpy((uint8_t *)v->ctrl + (where >> 1) % 64, &value, sizeof(value));
	else
		memcpy(v->data + (where >> 1) % (v->size - 4), &value, sizeof(value));
}

static void tear_down(struct world *w, uint8_t which)
{
	uint32_t gpadl = which & 1 ? TX_GPADL : RX_GPADL;

	if (!fake_bus_gpadl_exists(w->bus, 0, gpadl))
		return;
	run(w);
	for (uint16_t i = 0; i < SUBS; i++)
		take_all(w, i);
	INVARIANT(fake_bus_gpadl_teardown(w->bus, 0, gpadl));
}

static void host_event(struct world *w, struct input *in)
{
	uint8_t what = input_u8(in);

	if ((what & 3) == 0)
		vtime_pass(input_u8(in) * 100000ull);
	else if ((what & 3) == 1)
		netvsp_set_link(w->nic, what & 4);
	else if ((what & 3) == 2)
		netvsp_set_speed(w->nic, what * 1000000ull);
	else
		netvsp_network_change(w->nic);
}

/* Sub-allocations are free or the guest's, once nothing is on its way. */
static void check_books(struct world *w)
{
	struct netvsp_stats st;
	uint32_t have = 0;

	vtime_pass(1000000000);
	for (int i = 0; i < (w->limited ? 50 : 3); i++) {
		run(w);
		for (uint16_t s = 0; s < SUBS; s++)
			take_all(w, s);
		vtime_pass(100000000);
	}
	netvsp_stats(w->nic, &st);
	if (!st.rx_sections && !w->revoked && w->count)
		buffer_gone(w); /* a revoke or a teardown was heard */
	if (st.rx_sections && w->count && !w->odd) {
		for (uint32_t i = NVSP_RX_CONTROL; i < MAX_SLOTS; i++)
			have += w->out[i] != 0;
		INVARIANT(st.rx_free + have == st.rx_sections - NVSP_RX_CONTROL);
	}
	for (uint32_t i = 1; i <= w->ids; i++)
		INVARIANT(w->odd || asked[i] != ASKED || st.failed);
	if (w->revoked)
		filled_with(fake_bus_ptr(w->bus, w->rx), RX_PAGES * 4096, REVOKED);
}

static void world_down(struct world *w)
{
	check_books(w);
	close_all(w);
	filled_with(fake_bus_ptr(w->bus, w->canary), 4096, 0xa5);
	filled_with(fake_bus_ptr(w->bus, w->rx), RX_PAGES * 4096, REVOKED);
	netvsp_destroy(w->nic, on_gone, w);
	for (int i = 0; i < 1000 && !w->gone; i++)
		fake_bus_turn(w->bus);
	INVARIANT(w->gone);
	vsw_port_del(w->peer);
	vsw_destroy(w->sw);
	fake_bus_destroy(w->bus);
	loop_destroy(w->loop);
}

static void step(struct world *w, struct input *in)
{
	uint8_t op = input_u8(in);
	uint16_t sub = op >> 6 < SUBS ? op >> 6 : 0;

	switch (op & 15) {
	case 0:
		open_chan(w, sub);
		return;
	case 1:
		if (sub)
			close_chan(w, sub);
		else
			close_all(w);
		return;
	case 2:
		host_event(w, in);
		return;
	case 3:
		deliver(w, in);
		return;
	case 4:
		take_all(w, sub);
		return;
	case 5:
		complete_one(w, input_u8(in), op & 16 ? 2 : 1);
		return;
	case 6:
		tear_down(w, op >> 4);
		return;
	}
	if (!w->chan[sub])
		return;
	if ((op & 15) == 7)
		poke(w, sub, in);
	else if ((op & 15) == 8)
		send_spoiled(w, sub, in);
	else if ((op & 15) == 9)
		send_odd_completion(w, sub, in);
	else if ((op & 15) == 10 && !sub)
		hello(w, input_u8(in));
	else
		send_data(w, sub, in);
	if (op & 16)
		vmbus_chan_flush(w->chan[sub]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct world w = { 0 };
	uint8_t flags = input_u8(&in);

	memset(asked, FREE_ID, sizeof(asked));
	vtime_enter();
	world_up(&w, flags);
	buffer_gone(&w);
	open_chan(&w, 0);
	if (flags & 1)
		hello(&w, flags >> 4 | 16);
	for (uint16_t i = 1; flags & 1 && i < SUBS; i++)
		open_chan(&w, i);
	while (in.left && w.ids + 64 < MAX_IDS) {
		step(&w, &in);
		fake_bus_turn(w.bus);
	}
	world_down(&w);
	vtime_leave();
	return 0;
}
