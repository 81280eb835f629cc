/* SPDX-License-Identifier: MIT */
/*
 * The network client against a hostile root, on real rings: the input says what the program does,
 * and how the root answers while it waits: rightly, spoiled, late, twice, not at all, with packets
 * of any kind, with stores into the ring and into the receive buffer; it may rescind, or die. Time
 * is virtual. What must hold:
 *   - every call ends
 *   - a frame received lies in the receive buffer, its pieces are as long as it is
 *   - what is sent lies in sections of the send buffer and in guest memory
 *   - what the adapter says about itself makes sense
 *   - once closed, every page is back, but those of buffers that the root did not let go of
 */
#include <errno.h>
#include <sys/param.h>

#include "base/log.h"
#include "fuzz/input.h"
#include "fuzz/vtime.h"
/* In place of the process backend and the bus client, so it is not in an archive. */
#include "tests/fake/fake_child.c"
#include "vmbus/wire/vmbus_msg.h"
#include "vsc/netvsc_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMORY	   (6u << 20)
#define RING	   8192u
#define QUEUES	   2u
#define RX_BYTES   65536u
#define TX_BYTES   16384u
#define SECTION	   2048u
#define SUBALLOC   1806u
#define ASKED	   32 /* remembered requests of the client */
#define STEPS	   80
#define ROOT_STEPS 400
#define WAIT_NS	   10000000u

struct asked {
	uint64_t id;
	struct nvsp_message m;
	uint8_t control[64]; /* RNDIS control message, its beginning */
	bool answered;
};

static struct world {
	struct input in;
	struct vmbus_client *bus;
	struct netvsc *n;
	struct asked asked[QUEUES][ASKED];
	uint32_t nr_asked[QUEUES];
	uint64_t rx_gpa;
	uint32_t steps;
	bool keeps; /* the root may not have let go of the buffers */
	bool fatal;
} w;

static uint8_t *mem(uint64_t gpa, uint32_t len)
{
	return hv_gpa_ptr(fake_client_gpa(w.bus), gpa, len);
}

/* ---- the root: what it hears --------------------------------------------------------- */

static void note_request(uint32_t q, struct vmbus_chan *c, const struct vmpkt *pkt)
{
	struct asked *a = &w.asked[q][w.nr_asked[q]++ % ASKED];
	struct iovec iov[40];
	uint32_t bytes = 0;
	int n = 0;

	memset(a, 0, sizeof(*a));
	a->id = pkt->trans_id;
	memcpy(&a->m, pkt->payload, MIN(pkt->payload_len, (uint32_t)sizeof(a->m)));
	if (pkt->type == VMPKT_COMPLETION)
		a->answered = true;
	else if (a->m.type == NVSP_SEND_RECEIVE_BUFFER)
		w.rx_gpa = fake_client_gpadl(w.bus, a->m.send_buffer.gpadl);
	if (pkt->type == VMPKT_GPA_DIRECT) {
		n = vmbus_chan_iov_all(c, pkt, iov, 40, &bytes);
		INVARIANT(n > 0); /* all of it is RAM */
	}
	if (a->m.type != NVSP_SEND_RNDIS_PACKET || pkt->type == VMPKT_COMPLETION)
		return;
	if (a->m.rndis.channel_type == NVSP_CONTROL) {
		INVARIANT(n == 1 && bytes <= RNDIS_CONTROL_MAX);
		memcpy(a->control, iov[0].iov_base, MIN(bytes, (uint32_t)sizeof(a->control)));
	} else {
		INVARIANT(a->m.rndis.section < w.n->nr_sections &&
			  a->m.rndis.section_size <= w.n->section_size);
		INVARIANT(!bytes || a->m.rndis.section_size == w.n->section_size);
	}
}

static void listen_to(uint32_t q)
{
	struct vmbus_chan *c = fake_client_host(w.bus, (uint16_t)q);
	struct vmpkt pkt;

	while (c && vmbus_chan_recv(c, &pkt) > 0)
		note_request(q, c, &pkt);
	if (c)
		vmbus_chan_recv_done(c);
}

/* ---- the root: what it says -------------------------------------------------------------- */

static void complete(uint32_t q, uint64_t id, const void *p, uint32_t len)
{
	struct vmbus_chan *c = fake_client_host(w.bus, (uint16_t)q);

	if (c && !vmbus_chan_faulted(c))
		vmbus_chan_send_completion(c, id, p, len);
}

static void ranges(uint32_t q, uint64_t id, uint16_t set, const struct vmpkt_xfer_range *r,
		   uint32_t n)
{
	struct nvsp_message m = { .type = NVSP_SEND_RNDIS_PACKET,
				  .rndis = { NVSP_CONTROL, NVSP_NO_SECTION, 0 } };
	struct vmbus_chan *c = fake_client_host(w.bus, (uint16_t)q);

	if (c && !vmbus_chan_faulted(c))
		vmbus_chan_send_xfer_pages(c, VMPKT_FLAG_COMPLETION_REQUESTED, id, set, r, n, &m,
					   NVSP_SIZE);
}

/* Bytes of the right answer to a query. */
static uint32_t query_data(uint32_t oid, uint8_t *out)
{
	static const uint8_t mac[] = { 0, 0x15, 0x5d, 1, 2, 3 };
	struct ndis_rss_capabilities rss = { { 0x88, 2, sizeof(rss) }, 0x301, 1, QUEUES, 128 };
	struct ndis_offload o = { .header = { 0xa7, 3, sizeof(o) },
				  .csum4 = { 2, 0x155, 2, 0x155 },
				  .csum6 = { 2, 0x55, 2, 0x55 },
				  .lso4 = { 2, NDIS_LSO_MAX, 2 },
				  .lso6 = { 2, NDIS_LSO_MAX, 2 },
				  .lso6_flags = 5,
				  .rsc4 = 1,
				  .rsc6 = 1 };

	memset(out, 0, 200);
	switch (oid) {
	case OID_GEN_MAXIMUM_FRAME_SIZE:
		memcpy(out, "\xdc\5", 2);
		return 4;
	case OID_802_3_PERMANENT_ADDRESS:
		memcpy(out, mac, 6);
		return 6;
	case OID_GEN_RECEIVE_SCALE_CAPABILITIES:
		memcpy(out, &rss, sizeof(rss));
		return sizeof(rss);
	case OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES:
		memcpy(out, &o, sizeof(o));
		return sizeof(o);
	case OID_GEN_FRIENDLY_NAME:
		out[0] = 'x';
		return 200;
	default:
		return 4;
	}
}

/* Into sub-allocation 0. @spoil: some of its bytes are others. */
static void answer_rndis(const struct asked *a, uint8_t spoil)
{
	uint8_t out[52 + 200] = { 0 };
	struct rndis_query_complete h = { .info_offset = 16 };
	struct vmpkt_xfer_range r = { 0, 0 };
	struct rndis_query q;
	uint8_t *to = mem(w.rx_gpa, SUBALLOC);

	memcpy(&q, a->control, sizeof(q));
	h.type = q.type | RNDIS_COMPLETION;
	h.request = q.request;
	h.length = 16;
	if (q.type == RNDIS_QUERY) {
		h.info_length = query_data(q.oid, out + 24);
		h.length = 24 + h.info_length;
	} else if (q.type == RNDIS_INITIALIZE) {
		memcpy(out + 32, "\10\0\0\0\xff\xff\xff\xef\3", 9);
		h.length = 52;
		h.info_length = h.info_offset = 0;
	} else if (q.type == RNDIS_HALT) {
		return;
	}
	memcpy(out, &h, q.type == RNDIS_QUERY ? sizeof(h) : 16);
	for (; spoil; spoil--)
		input_spoil(&w.in, out, MIN(h.length, 60u));
	if (!w.rx_gpa)
		return;
	memcpy(to, out, h.length);
	r.byte_count = h.length;
	ranges(0, 0, NVSP_RX_BUFFER_ID, &r, 1);
}

static struct nvsp_message nvsp_answer(const struct asked *a)
{
	struct nvsp_message r = { .type = a->m.type + 1 };

	switch (a->m.type) {
	case NVSP_INIT:
		r.init_complete.status = 1;
		break;
	case NVSP_SEND_RECEIVE_BUFFER:
		r.receive_buffer_complete = (struct nvsp_receive_buffer_complete){
			1, 1, 0, SUBALLOC, RX_BYTES / SUBALLOC, RX_BYTES / SUBALLOC * SUBALLOC
		};
		break;
	case NVSP_SEND_SEND_BUFFER:
		r.send_buffer_complete = (struct nvsp_send_buffer_complete){ 1, SECTION };
		break;
	case NVSP_SUBCHANNEL:
		r.type = NVSP_SUBCHANNEL;
		r.subchannel_complete = (struct nvsp_subchannel_complete){ 1, QUEUES - 1 };
		break;
	case NVSP_SEND_RNDIS_PACKET:
		r.rndis_complete.status = NVSP_STATUS_SUCCESS;
	}
	return r;
}

static void answer(uint32_t q, struct asked *a, uint8_t how)
{
	struct nvsp_message r = nvsp_answer(a);
	uint64_t id = a->id;
	uint32_t len = NVSP_SIZE;

	if (a->answered && !how)
		return;
	a->answered = true;
	if (how & 1)
		input_spoil(&w.in, &r, 32);
	if (how & 2)
		id ^= input_u64(&w.in);
	if (how & 4)
		len = input_u8(&w.in) % (NVSP_SIZE + 1);
	if (!(how & 8))
		complete(q, id, &r, len);
	if (a->m.type == NVSP_SEND_RNDIS_PACKET && a->m.rndis.channel_type == NVSP_CONTROL &&
	    !(how & 16))
		answer_rndis(a, how & 32 ? 1 + how / 64 : 0);
}

static void answer_all(void)
{
	for (uint32_t q = 0; q < QUEUES; q++)
		for (uint32_t i = 0; i < ASKED; i++)
			if (w.asked[q][i].id)
				answer(q, &w.asked[q][i], 0);
}

static void answer_one(uint32_t q, uint8_t back)
{
	uint8_t how = input_u8(&w.in);

	if (w.nr_asked[q])
		answer(q,
		       &w.asked[q][(w.nr_asked[q] - 1 - back % MIN(w.nr_asked[q], ASKED)) % ASKED],
		       how);
}

/* A message with a frame, right but for what the input wants otherwise. */
static struct vmpkt_xfer_range put_frame(uint32_t i, uint8_t how)
{
	struct rndis_packet p = { .type = RNDIS_PACKET };
	struct rndis_info_u32 e[4];
	struct vmpkt_xfer_range r = { 0, i * SUBALLOC };
	uint8_t *to = mem(w.rx_gpa + r.byte_offset, SUBALLOC);
	uint32_t k = 0, len = how & 1 ? 1500 : input_u8(&w.in);

	if (how & 2)
		e[k++] = (struct rndis_info_u32){ { 16, RNDIS_INFO_CSUM, 12 }, input_u16(&w.in) };
	if (how & 4)
		e[k++] = (struct rndis_info_u32){ { 16, RNDIS_INFO_8021Q, 12 }, input_u16(&w.in) };
	if (how & 8)
		e[k++] = (struct rndis_info_u32){ { 16, (uint32_t)RNDIS_INFO_FRAGMENT, 12 },
						  1 | (input_u8(&w.in) & 7u) << 8 };
	p.info_offset = k ? 36 : 0;
	p.info_length = k * 16;
	p.data_offset = 248;
	p.data_length = len;
	p.length = r.byte_count = 256 + len;
	memcpy(to, &p, sizeof(p));
	memcpy(to + sizeof(p), e, k * 16);
	if (how & 16)
		input_spoil(&w.in, to, sizeof(p) + k * 16);
	if (how & 32)
		input_spoil(&w.in, &r, sizeof(r));
	return r;
}

static void deliver(uint32_t q, uint8_t n)
{
	struct vmpkt_xfer_range r[16];
	uint8_t how = 0;

	if (!w.rx_gpa)
		return;
	n = n % 16 + 1;
	for (uint8_t i = 0; i < n; i++) {
		how = input_u8(&w.in);
		r[i] = put_frame(16 + i, how);
	}
	ranges(q, 16, how == 0xff ? input_u16(&w.in) : NVSP_RX_BUFFER_ID, r, n);
}

static void say_anything(uint32_t q)
{
	static const uint32_t types[] = { NVSP_SEND_INDIRECTION_TABLE, NVSP_SEND_VF_ASSOCIATION,
					  NVSP_SWITCH_DATA_PATH, NVSP_SEND_RNDIS_PACKET };
	struct vmbus_chan *c = fake_client_host(w.bus, (uint16_t)q);
	uint8_t how = input_u8(&w.in), bytes[255] = { 0 }, len = 76;
	uint32_t words[3] = { types[how % 4], 16, 12 };

	if (!c || vmbus_chan_faulted(c))
		return;
	memcpy(bytes, words, sizeof(words));
	if (how & 0x10)
		input_spoil(&w.in, bytes, 80);
	if (how & 0x20)
		len = input_u8(&w.in);
	vmbus_chan_send(c, how >> 6 & 1, how & 0x80 ? input_u64(&w.in) : 0, bytes, len);
}

/* A control message that nobody asked for. */
static void indicate(void)
{
	uint8_t out[28] = "\7\0\0\0\x1c\0\0\0\x13\0\1\x40\4\0\0\0\x0c\0\0\0\1\0\0\0\0\0\0";
	struct vmpkt_xfer_range r = { sizeof(out), SUBALLOC };

	if (!w.rx_gpa)
		return;
	input_spoil(&w.in, out, sizeof(out));
	memcpy(mem(w.rx_gpa + SUBALLOC, sizeof(out)), out, sizeof(out));
	ranges(0, 1, NVSP_RX_BUFFER_ID, &r, 1);
}

static void poke_ring(uint32_t q)
{
	const struct hv_gpa_view *v = fake_client_host_out(w.bus, (uint16_t)q);
	uint16_t where = input_u16(&w.in);
	uint32_t value = input_u32(&w.in);

	if (!v->ctrl)
		return;
	if (where & 1)
		memcpy((uint8_t *)v->ctrl + (where >> 1) % 64, &value, sizeof(value));
	else
		memcpy(v->data + (where >> 1) % (v->size - 4), &value, sizeof(value));
}

static void act(uint8_t op, uint32_t q)
{
	uint8_t what = op % 16 < 7 || op % 16 == 15 ? 0 : input_u8(&w.in);

	switch (op % 16) {
	case 7:
	case 8:
		answer_one(q, what);
		break;
	case 9:
	case 10:
		deliver(q, what);
		break;
	case 11:
		say_anything(q);
		break;
	case 12:
		if (what >= 0xf8)
			w.fatal = true, poke_ring(q);
		else
			indicate();
		break;
	case 13:
		if (what >= 0xfe)
			w.fatal = true, fake_client_rescind(w.bus);
		else if (what >= 0xf8)
			w.keeps = true, fake_client_keep_gpadls(w.bus);
		break;
	case 14:
		if (what == 0xff)
			w.fatal = true, fake_client_kill_root(w.bus);
		break;
	case 15: /* silence */
		break;
	default:
		answer_all();
	}
}

/* Runs instead of every sleep of the client. */
static void root_works(void *ctx)
{
	uint8_t op = input_u8(&w.in);

	(void)ctx;
	vtime_pass(WAIT_NS);
	for (uint32_t i = 0; i < QUEUES; i++)
		listen_to(i);
	if (w.steps++ >= ROOT_STEPS || !w.in.left) {
		w.fatal = true;
		fake_client_kill_root(w.bus);
		return;
	}
	act(op, op >> 7);
	for (uint32_t i = 0; i < QUEUES; i++)
		if (fake_client_host(w.bus, (uint16_t)i))
			vmbus_chan_flush(fake_client_host(w.bus, (uint16_t)i));
}

/* ---- the program ----------------------------------------------------------------------------- */

static void check_info(void)
{
	struct netvsc_info i;

	netvsc_info(w.n, &i);
	INVARIANT(i.queues >= 1 && i.queues <= QUEUES && i.mtu >= NET_MIN_MTU && i.mtu <= 1500);
	INVARIANT(!(i.mac[0] & 1) && !net_mac_zero(i.mac));
	INVARIANT(memchr(i.name, 0, sizeof(i.name)) && (!i.tso || i.csum));
	for (uint32_t h = 0; h < 16; h++)
		INVARIANT(netvsc_tx_queue(w.n, h) < i.queues);
}

static void check_frame(const struct netvsc_rx *f)
{
	uint32_t len = 0;

	INVARIANT(f->iovcnt > 0 && f->iovcnt <= (int)NETVSC_RX_IOV);
	INVARIANT(f->len >= NET_ETH_LEN && f->len <= NET_FRAME_MAX);
	for (int i = 0; i < f->iovcnt; i++) {
		const uint8_t *at = f->iov[i].iov_base;

		INVARIANT(at >= w.n->rx && at + f->iov[i].iov_len <= w.n->rx + w.n->rx_len);
		len += (uint32_t)f->iov[i].iov_len;
	}
	INVARIANT(len == f->len && f->meta.csum <= NET_CSUM_PARTIAL);
}

static void receive(uint32_t q, uint8_t what)
{
	struct netvsc_rx rx[8];
	int n = netvsc_rx(w.n, q, rx, 1 + what % 8);

	INVARIANT(n <= 1 + what % 8);
	for (int i = 0; i < n; i++)
		check_frame(&rx[i]);
	if (n > 0 && what & 0x80)
		netvsc_rx_done(w.n, q);
}

static void transmit(uint32_t q, uint8_t what)
{
	struct net_meta m = { .csum = NET_CSUM_PARTIAL,
			      .csum_start = 34,
			      .csum_offset = what & 1 ? 16 : 6,
			      .tagged = what & 2,
			      .hash_valid = what & 4 };
	uint32_t len = what & 8 ? 20000 : 14 + input_u8(&w.in) * 6u;
	struct netvsc_tx tx;

	if (netvsc_tx_begin(w.n, q, &tx))
		return;
	INVARIANT(tx.iov[0].iov_len >= 320 &&
		  tx.iov[0].iov_len + tx.iov[1].iov_len >= NET_FRAME_MAX);
	memset(tx.iov[0].iov_base, 0x11, tx.iov[0].iov_len);
	memset(tx.iov[1].iov_base, 0x22, tx.iov[1].iov_len);
	be16_put((uint8_t *)tx.iov[0].iov_base + 12, NET_ETHERTYPE_IP4);
	if (what & 8) {
		m.gso = NET_GSO_TCP4;
		m.gso_size = 1448;
		m.csum_offset = 16;
	}
	netvsc_tx_commit(w.n, q, &tx, len, what & 16 ? NULL : &m);
	if (what & 32)
		netvsc_tx_flush(w.n, q);
}

static void step(void)
{
	static const uint8_t mac[] = { 2, 0, 0, 0, 0, 1 };
	uint8_t op = input_u8(&w.in), what = input_u8(&w.in);
	uint32_t q = op >> 7 && w.n->nr_queues > 1;

	switch (op % 8) {
	case 0:
		netvsc_up(w.n, what & 1);
		break;
	case 1:
		netvsc_set_mac(w.n, mac);
		break;
	case 2:
	case 3:
		transmit(q, what);
		break;
	case 4:
		netvsc_wait(w.n, q, WAIT_NS);
		break;
	case 5:
		netvsc_arm(w.n, q);
		root_works(NULL);
		netvsc_disarm(w.n, q);
		break;
	default:
		receive(q, what);
	}
	check_info();
}

static void use(void)
{
	uint32_t kept = (RX_BYTES + TX_BYTES) / 4096;

	check_info();
	for (int i = 0; i < STEPS && w.in.left; i++)
		step();
	netvsc_close(w.n);
	INVARIANT(fake_client_counts(w.bus)->pages_used <= (w.keeps ? kept : 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct guid net = VMBUS_CLASS_NET;
	struct netvsc_config cfg = { .queues = QUEUES,
				     .ring_bytes = RING,
				     .rx_bytes = RX_BYTES,
				     .tx_bytes = TX_BYTES,
				     .timeout_ms = 50 };
	int err;

	log_set_level(LOG_ERROR);
	memset(&w, 0, sizeof(w));
	w.in = (struct input){ data, size };
	vtime_enter();
	w.bus = fake_client_create(&net, QUEUES, MEMORY);
	fake_client_on_wait(w.bus, root_works, NULL);
	err = netvsc_open(&w.n, w.bus, 0, &cfg, NULL, 0);
	if (!err)
		use();
	else
		INVARIANT(err < 0 &&
			  fake_client_counts(w.bus)->closes == fake_client_counts(w.bus)->opens);
	fake_client_destroy(w.bus);
	vtime_leave();
	return 0;
}
