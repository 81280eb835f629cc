/* SPDX-License-Identifier: MIT */
/*
 * The storage client against a hostile root, on real rings: the input says what the program
 * asks for, and how the root answers while it waits: rightly, spoiled, late, twice, not at
 * all, with packets of any kind, with stores into the ring; it may rescind, or die. Time is
 * virtual. What must hold:
 *   - every call ends, and every request submitted is reaped once, before the queue says dead
 *   - a request's buffer lies in guest memory, and nobody else's pages are given to the root
 *   - byte counts and sense lengths handed out fit the buffers they describe
 *   - what a disk says about itself is either refused or makes sense
 *   - once closed, every page is back, but those that a dead root was never done with
 */
#include <errno.h>
#include <sys/param.h>

#include "base/log.h"
#include "fuzz/input.h"
#include "fuzz/vtime.h"
/* In place of the process backend and the bus client, so it is not in an archive. */
#include "tests/fake/fake_child.c"
#include "vmbus/wire/vmbus_msg.h"
#include "vsc/storvsc_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMORY	   (2u << 20)
#define RING	   8192u
#define DEPTH	   6u
#define QUEUES	   2u
#define ASKED	   64 /* remembered requests of the client */
#define IOS	   4
#define IO_BYTES   8192u
#define STEPS	   60
#define ROOT_STEPS 600
#define WAIT_NS	   10000000u

struct asked {
	uint64_t id;
	struct vstor_packet p;
	uint64_t gpa; /* of its data */
	uint32_t len;
};

static struct world {
	struct input in;
	struct vmbus_client *bus;
	struct storvsc *s;
	struct asked asked[QUEUES][ASKED];
	uint32_t nr_asked[QUEUES];
	uint32_t steps;
	bool fatal; /* the root did what ends a queue */
	struct storvsc_io io[IOS];
	struct iovec iov[IOS][2];
	bool busy[IOS];
	uint8_t *buffer;
} w;

/* ---- the root -------------------------------------------------------------------------------- */

static void note_request(uint32_t q, struct vmbus_chan *c, const struct vmpkt *pkt)
{
	struct asked *a = &w.asked[q][w.nr_asked[q] % ASKED];
	struct iovec iov[8];
	int n;

	INVARIANT(pkt->payload_len == VSTOR_PACKET && pkt->trans_id);
	w.nr_asked[q]++;
	memset(a, 0, sizeof(*a));
	a->id = pkt->trans_id;
	memcpy(&a->p, pkt->payload, VSTOR_PACKET);
	if (pkt->type != VMPKT_GPA_DIRECT)
		return;
	a->len = a->p.srb.data_transfer_length;
	n = vmbus_chan_iov(c, pkt, 0, a->len, iov, 8);
	INVARIANT(n > 0); /* all of it is RAM */
	a->gpa = (uint64_t)((uint8_t *)iov[0].iov_base -
			    (uint8_t *)hv_gpa_ptr(fake_client_gpa(w.bus), 0, 1));
	if (n > 1)
		a->len = (uint32_t)iov[0].iov_len;
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

/* Parameter data of a plain disk; bytes of it, or -1: a command without any. */
static int parameters(const uint8_t *cdb, uint8_t *out)
{
	memset(out, 0, 128);
	switch (cdb[0]) {
	case 0xa0:
		be32_put(out, 16);
		out[17] = 1;
		return 24;
	case 0x9e:
		be64_put(out, 2047);
		be32_put(out + 8, 512);
		out[14] = 0x80;
		return 32;
	case 0x25:
		be32_put(out, 2047);
		be32_put(out + 4, 512);
		return 8;
	case 0x1a:
		memcpy(out, "\27\0\20\0\10\22\4", 7);
		return 24;
	case 0x12:
		break;
	default:
		return -1;
	}
	out[1] = cdb[1] ? cdb[2] : 0;
	if (!cdb[1])
		memcpy(out, "\0\0\5\2\x5b\0\0\2Msft    Virtual Disk    1.0 ", 36);
	else if (cdb[2] == 0x80)
		memcpy(out + 3, "\10SERIAL07", 9);
	else if (cdb[2] == 0x83)
		memcpy(out + 3, "\24\1\3\0\20\x60", 6);
	else if (cdb[2] == 0xb2)
		memcpy(out + 3, "\4\1\xe4\2", 4);
	out[3] = cdb[1] && cdb[2] == 0xb0 ? 0x3c : out[3];
	be32_put(out + 20, cdb[2] == 0xb0 ? 4096 : be32_at(out + 20));
	be32_put(out + 24, cdb[2] == 0xb0 ? 16 : be32_at(out + 24));
	return 96;
}

/* The right answer; data written where it belongs. */
static struct vstor_packet right_answer(const struct asked *a)
{
	struct vstor_packet r = { .operation = VSTOR_OP_COMPLETE_IO };
	uint8_t *to = hv_gpa_ptr(fake_client_gpa(w.bus), a->gpa, a->len ? a->len : 1);
	uint8_t data[128];
	int n;

	switch (a->p.operation) {
	case VSTOR_OP_QUERY_PROPERTIES:
		r.properties.max_channel_count = QUEUES - 1;
		r.properties.flags = VSTOR_PROP_MULTI_CHANNEL;
		r.properties.max_transfer_bytes = 16384;
		break;
	case VSTOR_OP_EXECUTE_SRB:
		r.srb = a->p.srb;
		memset(r.srb.sense, 0, sizeof(r.srb.sense));
		r.srb.srb_status = VSTOR_SRB_SUCCESS;
		n = parameters(a->p.srb.cdb, data);
		if (n >= 0 && to) {
			r.srb.data_transfer_length = MIN((uint32_t)n, a->len);
			memcpy(to, data, r.srb.data_transfer_length);
		}
		break;
	}
	return r;
}

static void say(uint32_t q, uint64_t id, const void *p, uint32_t len)
{
	struct vmbus_chan *c = fake_client_host(w.bus, (uint16_t)q);

	if (c && !vmbus_chan_faulted(c))
		vmbus_chan_send_completion(c, id, p, len);
}

/* A failure that SCSI has words for. */
static void fail_with_sense(struct vstor_packet *r, uint8_t how)
{
	static const uint8_t codes[][3] = { { 6, 0x29, 0 },  { 5, 0x20, 0 },   { 5, 0x21, 0 },
					    { 7, 0x27, 0 },  { 7, 0x27, 7 },   { 2, 0x3a, 0 },
					    { 3, 0x11, 0 },  { 0xb, 0, 0 },    { 1, 0x17, 0 },
					    { 6, 0x3f, 14 }, { 0xe, 0x1d, 0 }, { 0, 0, 0 } };
	const uint8_t *code = codes[how % ARRAY_SIZE(codes)];

	if (how >= 0xe0) {
		r->srb.scsi_status = how & 1 ? 0x08 : how & 2 ? 0x18 : 0x28;
		r->srb.srb_status = VSTOR_SRB_ERROR;
		return;
	}
	r->srb.srb_status = VSTOR_SRB_ERROR | VSTOR_SRB_AUTOSENSE;
	r->srb.scsi_status = 2;
	r->srb.sense_info_length = how & 0x10 ? how : 18;
	r->srb.data_transfer_length = how & 0x20 ? r->srb.data_transfer_length : 0;
	r->srb.sense[0] = how & 0x40 ? 0x72 : 0x70;
	r->srb.sense[how & 0x40 ? 1 : 2] = code[0];
	r->srb.sense[how & 0x40 ? 2 : 12] = code[1];
	r->srb.sense[how & 0x40 ? 3 : 13] = code[2];
	r->srb.sense[7] = 10;
}

/* Answers the request that was asked @back before the last. */
static void answer(uint32_t q, uint8_t back, uint8_t how)
{
	struct input *in = &w.in;
	struct asked *a;
	struct vstor_packet r;
	uint64_t id;
	uint8_t *to;

	if (!w.nr_asked[q])
		return;
	a = &w.asked[q][(w.nr_asked[q] - 1 - back % w.nr_asked[q]) % ASKED];
	r = right_answer(a);
	id = a->id;
	to = hv_gpa_ptr(fake_client_gpa(w.bus), a->gpa, a->len ? a->len : 1);
	if (how & 1)
		input_spoil(in, &r, sizeof(r));
	if (how & 2)
		fail_with_sense(&r, input_u8(in));
	if (how & 4 && to && a->len) /* what a disk says about itself */
		for (int i = 0; i < 4; i++)
			input_spoil(in, to, MIN(a->len, 256u));
	if (how & 8)
		r.status = input_u32(in);
	if (how & 16)
		id ^= input_u64(in);
	say(q, id, &r, how & 32 ? input_u8(in) % (VSTOR_PACKET + 1) : VSTOR_PACKET);
}

/* The next one that was not answered, rightly. */
static void answer_all(uint32_t q, uint32_t first)
{
	for (; first < w.nr_asked[q]; first++) {
		const struct asked *a = &w.asked[q][first % ASKED];
		struct vstor_packet r = right_answer(a);

		say(q, a->id, &r, VSTOR_PACKET);
	}
}

static void say_anything(uint32_t q)
{
	static const uint32_t ops[] = { VSTOR_OP_ENUMERATE_BUS, VSTOR_OP_REMOVE_DEVICE,
					VSTOR_OP_COMPLETE_IO, VSTOR_OP_EVENT_NOTIFICATION };
	struct vmbus_chan *c = fake_client_host(w.bus, (uint16_t)q);
	struct input *in = &w.in;
	uint8_t how = input_u8(in), bytes[255] = { 0 }, len;
	uint32_t op = ops[how % 4];

	if (!c || vmbus_chan_faulted(c))
		return;
	memcpy(bytes, &op, sizeof(op));
	if (how & 0x10)
		input_take(in, bytes, 16);
	len = how & 0x20 ? input_u8(in) : VSTOR_PACKET;
	vmbus_chan_send(c, how >> 6 & 1, how & 0x80 ? input_u64(in) : 0, bytes, len);
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

/* Runs instead of every sleep of the client. */
static void root_works(void *ctx)
{
	uint8_t op = input_u8(&w.in), q = op >> 7, what;
	uint32_t before[QUEUES];

	(void)ctx;
	vtime_pass(WAIT_NS);
	for (uint32_t i = 0; i < QUEUES; i++) {
		before[i] = w.nr_asked[i];
		listen_to(i);
	}
	if (w.steps++ >= ROOT_STEPS || !w.in.left) {
		w.fatal = true;
		fake_client_kill_root(w.bus);
		return;
	}
	what = op % 16 < 8 ? 0 : input_u8(&w.in);
	switch (op % 16) {
	case 8:
	case 9:
	case 10:
		answer(q, what, input_u8(&w.in));
		break;
	case 11:
		say_anything(q);
		break;
	case 12:
		if (what >= 0xf8)
			w.fatal = true, poke_ring(q);
		break;
	case 13:
		if (what >= 0xfe)
			w.fatal = true, fake_client_rescind(w.bus);
		break;
	case 14:
		if (what == 0xff)
			w.fatal = true, fake_client_kill_root(w.bus);
		break;
	case 15: /* silence */
		return;
	default:
		for (uint32_t i = 0; i < QUEUES; i++)
			answer_all(i, before[i]);
	}
	for (uint32_t i = 0; i < QUEUES; i++)
		if (fake_client_host(w.bus, (uint16_t)i))
			vmbus_chan_flush(fake_client_host(w.bus, (uint16_t)i));
}

/* ---- the program -------------------------------------------------------------------------------
 */

static void check_disk(const struct storvsc_disk *d)
{
	INVARIANT(d->block_size >= 512 && d->block_size <= 4096 &&
		  !(d->block_size & (d->block_size - 1)));
	INVARIANT(d->size && d->size % d->block_size == 0 && d->size <= INT64_MAX);
	INVARIANT(d->physical_block >= d->block_size);
	INVARIANT(memchr(d->vendor, 0, sizeof(d->vendor)) &&
		  memchr(d->product, 0, sizeof(d->product)));
	INVARIANT(memchr(d->revision, 0, sizeof(d->revision)) &&
		  memchr(d->serial, 0, sizeof(d->serial)));
	INVARIANT(d->discard == (d->max_discard != 0));
}

static void ask_about_disks(uint8_t what)
{
	struct storvsc_disk d;
	uint8_t luns[8];
	int n;

	if (what & 1) {
		if (!storvsc_disk_info(w.s, what >> 6, &d))
			check_disk(&d);
		return;
	}
	n = storvsc_luns(w.s, luns, 8);
	INVARIANT(n <= 256);
	for (int i = 1; i < n && i < 8; i++)
		INVARIANT(luns[i - 1] < luns[i]);
	storvsc_changed(w.s);
}

static void raw(uint8_t what)
{
	uint8_t data[512 + 16];
	struct storvsc_raw r = { .lun = what & 1, .dir = what >> 1 & 3, .data = data };

	r.len = what & 8 ? 512 : input_u8(&w.in);
	r.cdb_len = what & 16 ? input_u8(&w.in) : 0;
	input_take(&w.in, r.cdb, what & 32 ? 16 : 1);
	memset(data, 0x77, sizeof(data));
	storvsc_raw(w.s, what >> 7, &r);
	INVARIANT(r.transferred <= r.len && r.sense_len <= sizeof(r.sense));
	for (size_t i = r.len; i < sizeof(data); i++)
		INVARIANT(data[i] == 0x77);
}

static void synchronous(uint8_t what)
{
	static uint8_t outside[20000];
	uint32_t q = what & 1, len = (1 + input_u8(&w.in) % 39) * 512u;
	uint64_t at = input_u8(&w.in) * 512ull;
	uint8_t *buf = what & 2 ? outside : w.buffer;

	len = MIN(len, what & 2 ? (uint32_t)sizeof(outside) : IO_BYTES);
	switch (what / 4 % 8) {
	case 0:
	case 1:
		storvsc_read(w.s, q, what >> 7, buf, at, len);
		break;
	case 2:
	case 3:
		storvsc_write(w.s, q, what >> 7, buf, at, len, what & 32 ? STORVSC_FUA : 0);
		break;
	case 4:
		storvsc_flush(w.s, q, what >> 7);
		break;
	case 5:
		storvsc_discard(w.s, q, what >> 7, at, len * 64ull);
		break;
	case 6:
		storvsc_zero(w.s, q, what >> 7, at, len);
		break;
	default:
		storvsc_reset(w.s, q, what & 32 ? -1 : what >> 7);
	}
}

static void submit(uint8_t what)
{
	uint32_t i = 0, q = what & 1, len;
	struct storvsc_io *io;

	while (i < IOS && w.busy[i])
		i++;
	if (i == IOS)
		return;
	io = &w.io[i];
	len = what & 2 ? IO_BYTES : 512u * (1 + input_u8(&w.in) % 17);
	*io = (struct storvsc_io){ .op = what >> 2 & 7,
				   .flags = what >> 5 & 1,
				   .lun = what >> 7,
				   .offset = input_u8(&w.in) * 512ull,
				   .len = len,
				   .iov = w.iov[i],
				   .niov = 1,
				   .cookie = &w.busy[i] };
	w.iov[i][0] = (struct iovec){ w.buffer + i * IO_BYTES, len };
	if (what & 0x40 && len > 4096) {
		w.iov[i][0].iov_len = 4096;
		w.iov[i][1] = (struct iovec){ w.buffer + i * IO_BYTES + 4096, len - 4096 };
		io->niov = 2;
	}
	w.busy[i] = !storvsc_submit(w.s, q, io);
}

static int reap(uint32_t q, int min)
{
	struct storvsc_io *out[IOS];
	int n = storvsc_reap(w.s, q, out, IOS, min, WAIT_NS * 4ull);

	for (int i = 0; i < n; i++) {
		bool *busy = out[i]->cookie;

		INVARIANT(out[i] >= w.io && out[i] < w.io + IOS && *busy);
		INVARIANT(out[i]->result <= 0 && out[i]->result > -4096);
		*busy = false;
	}
	if (q >= storvsc_queues(w.s))
		INVARIANT(n == -EINVAL);
	else /* whoever gets less than asked for has got all that is finished */
		INVARIANT((n > 0 && n >= min) || !w.s->queue[q].done_head);
	return n;
}

static void step(void)
{
	uint8_t op = input_u8(&w.in), what = input_u8(&w.in);

	switch (op % 8) {
	case 0:
		ask_about_disks(what);
		break;
	case 1:
		raw(what);
		break;
	case 2:
	case 3:
		synchronous(what);
		break;
	case 4:
	case 5:
		submit(what);
		break;
	case 6:
		reap(what & 1, what >> 1 & 3);
		break;
	default:
		storvsc_kick(w.s, what & 1 && storvsc_queues(w.s) > 1);
		if (what & 0x80)
			fake_client_fail_alloc(w.bus, what & 3);
	}
}

static bool more_to_reap(uint32_t q)
{
	return w.s->queue[q].ios || w.s->queue[q].done_head;
}

/* All that was submitted comes back, at the latest when the queue dies. */
static void reap_all(void)
{
	for (uint32_t q = 0; q < storvsc_queues(w.s); q++)
		for (int i = 0; i < 2 * ROOT_STEPS && reap(q, 1) >= 0 && more_to_reap(q); i++)
			;
	for (int i = 0; i < IOS; i++)
		INVARIANT(!w.busy[i]);
}

static void use(void)
{
	uint32_t most = DEPTH * storvsc_queues(w.s) * (storvsc_max_transfer(w.s) / 4096);

	w.buffer = storvsc_alloc(w.s, IOS * IO_BYTES);
	for (int i = 0; i < STEPS && w.in.left && w.buffer; i++)
		step();
	reap_all();
	if (w.buffer)
		storvsc_free(w.s, w.buffer, IOS * IO_BYTES);
	storvsc_close(w.s);
	/* A root that ended before it had answered late requests may still use their pages. */
	INVARIANT(fake_client_counts(w.bus)->pages_used <= (w.fatal ? most : 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct guid scsi = VMBUS_CLASS_SCSI;
	struct storvsc_config cfg = {
		.queues = QUEUES, .depth = DEPTH, .ring_bytes = RING, .timeout_ms = 50
	};
	int err;

	log_set_level(LOG_ERROR);
	memset(&w, 0, sizeof(w));
	w.in = (struct input){ data, size };
	vtime_enter();
	w.bus = fake_client_create(&scsi, QUEUES, MEMORY);
	fake_client_on_wait(w.bus, root_works, NULL);
	err = storvsc_open(&w.s, w.bus, 0, &cfg);
	if (!err)
		use();
	else
		INVARIANT(err < 0 &&
			  fake_client_counts(w.bus)->closes == fake_client_counts(w.bus)->opens);
	fake_client_destroy(w.bus);
	vtime_leave();
	return 0;
}
