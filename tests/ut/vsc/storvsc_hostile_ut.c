/* SPDX-License-Identifier: MIT */
/*
 * The client library against a root that lies, forgets, or dies. Names carry the ids of
 * the hostile cases (C). Whatever happens: no hang beyond the time limit, every request
 * returned exactly once, every page given back at the end.
 */
#include "base/clock.h"
#include "tests/ut/vsc/mini_vsp.h"

static struct mini_vsp vsp;
static struct storvsc *s;
static uint8_t *buf;

#define SHORT_NS 20000000ull /* where nobody will answer */

static const struct storvsc_config config = { .queues = 2, .depth = 16, .timeout_ms = 10000 };

static void setup(void)
{
	mini_init(&vsp, 2);
	vsp.subs = 1;
	ck_assert_int_eq(storvsc_open(&s, vsp.bus, 0, &config), 0);
	buf = storvsc_alloc(s, 64 * 4096);
}

static void teardown(void)
{
	s->timeout_ns = SHORT_NS;
	storvsc_free(s, buf, 64 * 4096);
	storvsc_close(s);
	mini_fini(&vsp);
}

static uint64_t ignored(void)
{
	struct storvsc_stats st;

	storvsc_stats(s, 0, &st);
	return st.ignored;
}

/* Requests that the hook holds back instead of answering. */
static struct held {
	uint64_t id;
	struct vstor_packet p;
} held[64];
static unsigned int n_held;

static bool hold(struct mini_vsp *v, struct vmbus_chan *c, const struct vmpkt *pkt,
		 const struct vstor_packet *p)
{
	(void)v;
	(void)c;
	ck_assert_uint_lt(n_held, ARRAY_SIZE(held));
	held[n_held].id = pkt->trans_id;
	held[n_held++].p = *p;
	return true;
}

/* Submits @n reads that the root holds back. */
static void hold_reads(struct storvsc_io *io, int n)
{
	static struct iovec iov;
	int i;

	n_held = 0;
	vsp.hook = hold;
	iov = (struct iovec){ buf, 4096 };
	for (i = 0; i < n; i++) {
		io[i] = (struct storvsc_io){ .len = 4096, .iov = &iov, .niov = 1 };
		ck_assert_int_eq(storvsc_submit(s, 0, &io[i]), 0);
	}
	storvsc_kick(s, 0);
	mini_work(&vsp);
	ck_assert_uint_eq(n_held, (unsigned int)n);
}

static struct vmbus_chan *host(void)
{
	return fake_client_host(vsp.bus, 0);
}

/* Answers request @i of those held; the rest of the packet is as a good root would. */
static void answer(unsigned int i, uint8_t srb, uint8_t scsi, uint32_t moved)
{
	struct vstor_packet r = mini_done(&held[i].p, srb, scsi, moved);

	mini_reply(host(), held[i].id, &r);
	vmbus_chan_flush(host());
}

static int reap_one(struct storvsc_io *want)
{
	struct storvsc_io *out[4];

	ck_assert_int_eq(storvsc_reap(s, 0, out, 4, 0, 0), 1);
	ck_assert_ptr_eq(out[0], want);
	return want->result;
}

static void reap_none(void)
{
	struct storvsc_io *out[4];

	ck_assert_int_eq(storvsc_reap(s, 0, out, 4, 0, 0), 0);
}

static void check_alive(void)
{
	vsp.hook = NULL;
	ck_assert_int_eq(storvsc_read(s, 0, 0, buf, 0, 4096), 0);
}

/* ---- completions ------------------------------------------------------------------- */

START_TEST(c08_ids_that_are_not_ours)
{
	struct storvsc_io io[2];
	struct vstor_packet r;
	uint64_t bad[12];
	unsigned int i;

	hold_reads(io, 2);
	bad[0] = 0;
	bad[1] = UINT64_MAX;
	bad[2] = (uintptr_t)&io[0];
	bad[3] = (uintptr_t)s->queue[0].slots;
	bad[4] = held[0].id + (1ull << 32);	     /* the slot's next life */
	bad[5] = held[0].id - (1ull << 32);	     /* its last one */
	bad[6] = (held[0].id & ~0xffffffffull) | 17; /* just past the table */
	bad[7] = (held[0].id & ~0xffffffffull) | 0xffffffff;
	bad[8] = held[0].id & 0xffffffff;		       /* no generation */
	bad[9] = (uint64_t)s->queue[0].slots[8].gen << 32 | 9; /* a slot that is free */
	bad[10] = 1;
	bad[11] = held[0].id & ~0xffffffffull;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		r = mini_done(&held[0].p, 1, 0, 4096);
		mini_reply(host(), bad[i], &r);
	}
	vmbus_chan_flush(host());
	reap_none();
	ck_assert_uint_eq(ignored(), ARRAY_SIZE(bad));
	answer(1, 1, 0, 4096);
	ck_assert_int_eq(reap_one(&io[1]), 0);
	answer(1, 1, 0, 4096); /* a second time */
	reap_none();
	answer(0, 1, 0, 4096);
	ck_assert_int_eq(reap_one(&io[0]), 0);
	ck_assert_uint_eq(ignored(), ARRAY_SIZE(bad) + 1);
	check_alive();
}
END_TEST

START_TEST(c09_unsolicited_packets)
{
	static const uint32_t ops[] = { VSTOR_OP_COMPLETE_IO, VSTOR_OP_FCHBA_DATA,
					VSTOR_OP_EXECUTE_SRB, 0,
					0xffffffff,	      VSTOR_OP_EVENT_NOTIFICATION };
	struct vstor_packet r = { 0 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		r.operation = ops[i];
		ck_assert_int_eq(vmbus_chan_send(host(), 0, 0, &r, 64), 0);
	}
	r.operation = VSTOR_OP_ENUMERATE_BUS;
	ck_assert_int_eq(vmbus_chan_send(host(), 0, 99, &r, 64), 0); /* not with an id */
	ck_assert_int_eq(vmbus_chan_send(host(), 0, 0, &r, 0), 0);   /* nor empty */
	vmbus_chan_flush(host());
	reap_none();
	ck_assert_uint_eq(ignored(), ARRAY_SIZE(ops) + 2);
	ck_assert(!storvsc_changed(s));
	ck_assert_int_eq(vmbus_chan_send(host(), 0, 0, &r, 8), 0); /* four bytes are enough */
	vmbus_chan_flush(host());
	reap_none();
	ck_assert(storvsc_changed(s));
	ck_assert(!storvsc_changed(s));
	check_alive();
}
END_TEST

START_TEST(c10_more_bytes_than_asked_for)
{
	struct storvsc_io io[1];
	uint8_t data[16], want[16];
	uint32_t moved;

	hold_reads(io, 1);
	answer(0, 1, 0, 0xffffffff);
	ck_assert_int_eq(reap_one(&io[0]), 0);
	memset(data, 0xaa, sizeof(data));
	memset(want, 0xaa, sizeof(want));
	memset(want, 0, 8); /* the bounce buffer was cleared, the rest is not touched */
	n_held = 0;
	s->timeout_ns = 0;
	ck_assert_int_eq(storvsc_scsi(s, 0, 0, (uint8_t[16]){ 0x12 }, 1, data, 8, &moved, NULL),
			 -ETIMEDOUT);
	ck_assert_uint_eq(data[0], 0xaa);
	mini_work(&vsp);
	answer(0, 1, 0, 0xffffffff);
	reap_none();
	s->timeout_ns = config.timeout_ms * 1000000ull;
	check_alive();
}
END_TEST

static bool lie_about_length(struct mini_vsp *v, struct vmbus_chan *c, const struct vmpkt *pkt,
			     const struct vstor_packet *p)
{
	struct vstor_packet r = mini_done(p, 1, 0, 0xffffffff);

	(void)v;
	mini_reply(c, pkt->trans_id, &r);
	return true;
}

START_TEST(c10_parameter_data_is_clamped)
{
	uint8_t data[16];
	uint32_t moved;

	memset(data, 0xaa, sizeof(data));
	vsp.hook = lie_about_length;
	ck_assert_int_eq(storvsc_scsi(s, 0, 0, (uint8_t[16]){ 0x12 }, 1, data, 8, &moved, NULL), 0);
	ck_assert_uint_eq(moved, 8);
	ck_assert_uint_eq(data[7], 0);
	ck_assert_uint_eq(data[8], 0xaa);
}
END_TEST

START_TEST(c10_raw_transfer_is_clamped)
{
	uint8_t data[16];
	struct storvsc_raw r = { .dir = 1, .cdb = { 0x12 }, .data = data, .len = 8 };

	memset(data, 0xaa, sizeof(data));
	vsp.hook = lie_about_length;
	ck_assert_int_eq(storvsc_raw(s, 0, &r), 0);
	ck_assert_uint_eq(r.transferred, 8);
	ck_assert_uint_eq(data[7], 0);
	ck_assert_uint_eq(data[8], 0xaa);
}
END_TEST

static uint8_t sense_len;
static uint8_t sense_fill[VSTOR_SENSE_ROOM];
static uint8_t sense_srb = 0x86;

static bool fail_with_sense(struct mini_vsp *v, struct vmbus_chan *c, const struct vmpkt *pkt,
			    const struct vstor_packet *p)
{
	struct vstor_packet r = mini_done(p, sense_srb, 2, 0);

	(void)v;
	memcpy(r.srb.sense, sense_fill, sizeof(r.srb.sense));
	r.srb.sense_info_length = sense_len;
	mini_reply(c, pkt->trans_id, &r);
	return true;
}

START_TEST(c11_sense_of_any_length)
{
	uint8_t sense[20], guard = 0x5c, n;
	int len;

	vsp.hook = fail_with_sense;
	memset(sense_fill, 0x77, sizeof(sense_fill));
	memcpy(sense_fill, "\x70\0\5\0\0\0\0\xa\0\0\0\0\x21", 13);
	for (len = 0; len < 256; len++) {
		sense_len = (uint8_t)len;
		memset(sense, guard, sizeof(sense));
		/* 21/77 of key 5 when all of it came */
		ck_assert_int_lt(storvsc_scsi(s, 0, 0, (uint8_t[16]){ 0 }, 2, NULL, 0, NULL, sense),
				 0);
		n = len < 18 ? (uint8_t)len : 18;
		ck_assert_mem_eq(sense, sense_fill, n);
		for (; n < 18; n++)
			ck_assert_uint_eq(sense[n], 0);
		ck_assert_uint_eq(sense[18], guard);
	}
}
END_TEST

START_TEST(c11_raw_sense_of_any_length)
{
	struct storvsc_raw r = { .dir = 2 };
	int len;

	vsp.hook = fail_with_sense;
	memset(sense_fill, 0x77, sizeof(sense_fill));
	for (len = 0; len < 256; len++) {
		sense_len = (uint8_t)len;
		r.transferred = 0xaaaaaaaa;
		ck_assert_int_eq(storvsc_raw(s, 0, &r), 0);
		ck_assert_uint_eq(r.sense_len, len < 18 ? len : 18);
		ck_assert_uint_eq(r.sense[17], len < 18 ? 0 : 0x77);
		ck_assert_uint_eq(r.transferred, 0);
	}
}
END_TEST

START_TEST(raw_timeout_of_its_own)
{
	struct storvsc_raw r = { .dir = 2, .timeout_ms = 20 };
	uint64_t start = clock_ns();

	s->timeout_ns = 60000000000ull; /* the controller's is not the one that counts */
	vsp.stall = 1;
	ck_assert_int_eq(storvsc_raw(s, 0, &r), -ETIMEDOUT);
	ck_assert_uint_lt(clock_ns() - start, 1000000000);
	vsp.stall = 0;
	mini_work(&vsp);
	reap_none();
	check_alive();
}
END_TEST

START_TEST(sense_formats)
{
	static const struct {
		const char *why;
		uint8_t bytes[16];
		uint8_t len, srb;
		int err;
	} t[] = {
		{ "fixed", { 0x70, 0, 7, [12] = 0x27, [13] = 7 }, 18, 0x84, -ENOSPC },
		{ "fixed, deferred, with information",
		  { 0xf1, 0, 3, [12] = 0x11 },
		  18,
		  0x84,
		  -EIO },
		{ "descriptor", { 0x72, 7, 0x27, 7 }, 8, 0x84, -ENOSPC },
		{ "no autosense bit", { 0x70, 0, 7, [12] = 0x27, [13] = 7 }, 18, 0x04, -EIO },
		{ "unknown format", { 0x00, 0, 7, [12] = 0x27, [13] = 7 }, 18, 0x84, -EIO },
		{ "cut before the code", { 0x70, 0, 5, [12] = 0x21 }, 12, 0x86, -EINVAL },
		{ "cut before the key", { 0x70, 0 }, 2, 0x86, -EIO },
		{ "no sense in it", { 0x70 }, 18, 0x84, -EIO },
		{ "recovered, but nothing moved", { 0x70, 0, 1, [12] = 0x17 }, 18, 0x84, -EIO },
	};
	unsigned int i;

	vsp.hook = fail_with_sense;
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		memset(sense_fill, 0, sizeof(sense_fill));
		memcpy(sense_fill, t[i].bytes, sizeof(t[i].bytes));
		sense_len = t[i].len;
		sense_srb = t[i].srb;
		ck_assert_msg(storvsc_read(s, 0, 0, buf, 0, 512) == t[i].err, "%s", t[i].why);
	}
}
END_TEST

START_TEST(c12_every_status)
{
	struct storvsc_io io[1], *out[1];
	unsigned int srb, scsi, tries;

	for (srb = 0; srb < 256; srb += 1)
		for (scsi = 0; scsi < 256; scsi += srb < 8 ? 1 : 37) {
			hold_reads(io, 1);
			for (tries = 0; tries < 5; tries++) { /* busy: the same request again */
				answer(n_held - 1, (uint8_t)srb, (uint8_t)scsi, 4096);
				if (storvsc_reap(s, 0, out, 1, 0, 0) == 1)
					break;
				mini_work(&vsp);
			}
			ck_assert_uint_le(tries, SC_RETRIES);
			if ((srb & VSTOR_SRB_CODE_MASK) == VSTOR_SRB_SUCCESS &&
			    (scsi == 0 || scsi == 4))
				ck_assert_int_eq(io[0].result, 0);
			else
				ck_assert_int_lt(io[0].result, 0);
		}
	check_alive();
}
END_TEST

START_TEST(success_that_moved_too_little)
{
	struct storvsc_io io[1];

	hold_reads(io, 1);
	answer(0, 1, 0, 4095);
	ck_assert_int_eq(reap_one(&io[0]), -EIO);
	hold_reads(io, 1);
	answer(0, 1, 0, 0);
	ck_assert_int_eq(reap_one(&io[0]), -EIO);
}
END_TEST

/* P16: what is too short to be an answer fails the request instead of hanging it. */
START_TEST(p16_short_or_foreign_completions)
{
	static const uint32_t lens[] = { 0, 8, 12, 48, 56 };
	struct vstor_packet r;
	struct storvsc_io io[1];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		hold_reads(io, 1);
		r = mini_done(&held[0].p, 1, 0, 4096);
		ck_assert_int_eq(vmbus_chan_send_completion(host(), held[0].id, &r, lens[i]), 0);
		vmbus_chan_flush(host());
		ck_assert_int_eq(reap_one(&io[0]), -EIO);
	}
	hold_reads(io, 1);
	r = mini_done(&held[0].p, 1, 0, 4096);
	r.operation = VSTOR_OP_EXECUTE_SRB;
	mini_reply(host(), held[0].id, &r);
	vmbus_chan_flush(host());
	ck_assert_int_eq(reap_one(&io[0]), -EIO);
	/* an in-band packet with a request's id is not its completion */
	hold_reads(io, 1);
	r.operation = VSTOR_OP_COMPLETE_IO;
	ck_assert_int_eq(vmbus_chan_send(host(), 0, held[0].id, &r, 64), 0);
	vmbus_chan_flush(host());
	reap_none();
	answer(0, 1, 0, 4096);
	ck_assert_int_eq(reap_one(&io[0]), 0);
	check_alive();
}
END_TEST

/* ---- retries ------------------------------------------------------------------------------ */

static int attentions;

static bool unit_attention(struct mini_vsp *v, struct vmbus_chan *c, const struct vmpkt *pkt,
			   const struct vstor_packet *p)
{
	struct vstor_packet r;

	(void)v;
	if (!attentions)
		return false;
	attentions--;
	r = mini_sense(p, 6, 0x2a, 0x09);
	mini_reply(c, pkt->trans_id, &r);
	return true;
}

START_TEST(unit_attentions_are_retried_a_few_times)
{
	struct storvsc_stats st;
	struct storvsc_disk d;

	vsp.hook = unit_attention;
	attentions = 1;
	ck_assert_int_eq(storvsc_read(s, 0, 0, buf, 0, 512), 0);
	ck_assert(storvsc_changed(s));
	attentions = 3;
	ck_assert_int_eq(storvsc_flush(s, 0, 0), 0);
	attentions = 4;
	ck_assert_int_eq(storvsc_read(s, 0, 0, buf, 0, 512), -EAGAIN);
	ck_assert_str_eq(storvsc_last_error(s, 0), "capacity has changed (sense 6/2a/09)");
	ck_assert_int_eq(attentions, 0);
	storvsc_stats(s, 0, &st);
	ck_assert_uint_eq(st.retried, 7);
	attentions = 3;
	ck_assert_int_eq(storvsc_disk_info(s, 0, &d), 0);
	attentions = 1000000;
	ck_assert_int_eq(storvsc_disk_info(s, 0, &d), -EAGAIN);
	attentions = 0;
	ck_assert_int_eq(storvsc_disk_info(s, 0, &d), 0);
}
END_TEST

START_TEST(answer_to_the_first_attempt_after_a_retry)
{
	struct storvsc_io io[1];
	struct vstor_packet r;

	hold_reads(io, 1);
	r = mini_sense(&held[0].p, 6, 0x29, 0);
	mini_reply(host(), held[0].id, &r);
	vmbus_chan_flush(host());
	reap_none();
	mini_work(&vsp);
	ck_assert_uint_eq(n_held, 2);
	ck_assert_uint_ne(held[0].id, held[1].id);
	answer(0, 1, 0, 4096);
	reap_none();
	ck_assert_uint_eq(ignored(), 1);
	answer(1, 1, 0, 4096);
	ck_assert_int_eq(reap_one(&io[0]), 0);
}
END_TEST

static uint64_t waits(void)
{
	struct storvsc_stats st;

	storvsc_stats(s, 0, &st);
	return st.sleeps + st.spins;
}

/* The disk is unusable by the time of the retry: the request ends without another answer. */
START_TEST(c14_retry_that_cannot_be_sent_comes_back_at_once)
{
	static const struct {
		int held, min;
		uint64_t timeout_ns;
	} t[] = { { 1, 0, 0 }, { 1, 1, 0 }, { 1, 1, SHORT_NS }, { 3, 0, 0 }, { 3, 1, SHORT_NS } };
	struct storvsc_io io[3], *out[4];
	struct vstor_packet r;
	struct storvsc_disk d;
	uint64_t before;

	hold_reads(io, t[_i].held);
	vsp.hook = NULL;
	vsp.block = 520;
	ck_assert_int_eq(storvsc_disk_info(s, 0, &d), -EPROTO);
	r = mini_sense(&held[0].p, 6, 0x2a, 0x09);
	mini_reply(host(), held[0].id, &r);
	vmbus_chan_flush(host());
	before = waits();
	ck_assert_int_eq(storvsc_reap(s, 0, out, 4, t[_i].min, t[_i].timeout_ns), 1);
	ck_assert_ptr_eq(out[0], &io[0]);
	ck_assert_int_eq(io[0].result, -ENXIO);
	ck_assert_str_eq(storvsc_last_error(s, 0), "No such device or address");
	ck_assert_uint_eq(waits(), before);
	reap_none();
	for (int i = 1; i < t[_i].held; i++) {
		answer((unsigned int)i, 1, 0, 4096);
		ck_assert_int_eq(reap_one(&io[i]), 0);
	}
}
END_TEST

/* One is answered, and the retry of another ends: nobody is left out. */
START_TEST(c14_retry_that_cannot_be_sent_beside_an_answer)
{
	struct storvsc_io io[2], *out[2];
	struct vstor_packet r;
	struct storvsc_disk d;

	hold_reads(io, 2);
	vsp.hook = NULL;
	vsp.block = 520;
	ck_assert_int_eq(storvsc_disk_info(s, 0, &d), -EPROTO);
	r = mini_sense(&held[0].p, 6, 0x2a, 0x09);
	mini_reply(host(), held[0].id, &r);
	answer(1, 1, 0, 4096);
	ck_assert_int_eq(storvsc_reap(s, 0, out, 2, 2, SHORT_NS), 2);
	ck_assert_ptr_eq(out[0], &io[1]);
	ck_assert_ptr_eq(out[1], &io[0]);
	ck_assert_int_eq(io[0].result, -ENXIO);
	ck_assert_int_eq(io[1].result, 0);
	reap_none();
}
END_TEST

/* ---- silence ----------------------------------------------------------------------------------
 */

/* The waiter gives up; what comes later hits neither it nor the next user of the buffer. */
START_TEST(synchronous_calls_end_in_time)
{
	uint8_t mine[512];
	uint32_t pages = fake_client_counts(vsp.bus)->pages_used, i;

	n_held = 0;
	vsp.hook = hold;
	s->timeout_ns = SHORT_NS;
	memset(mine, 0xaa, sizeof(mine));
	ck_assert_int_eq(storvsc_read(s, 0, 0, mine, 0, 512), -ETIMEDOUT);
	ck_assert_str_eq(storvsc_last_error(s, 0), "Connection timed out");
	ck_assert_int_eq(storvsc_read(s, 0, 0, mine, 0, 512), -ETIMEDOUT);
	ck_assert_int_eq(storvsc_flush(s, 0, 0), -ETIMEDOUT);
	ck_assert_int_eq(storvsc_scsi(s, 0, 0, (uint8_t[16]){ 0 }, 2, NULL, 0, NULL, NULL),
			 -ETIMEDOUT);
	ck_assert_uint_eq(n_held, 4);
	/* one bounce buffer each; the first was there before */
	ck_assert_uint_eq(fake_client_counts(vsp.bus)->pages_used, pages + 64);
	for (i = 0; i < 4; i++)
		answer(i, 1, 0, 512);
	reap_none();
	ck_assert_uint_eq(mine[0], 0xaa); /* a read that failed gives nothing */
	ck_assert_uint_eq(fake_client_counts(vsp.bus)->pages_used, pages - 64);
	s->timeout_ns = config.timeout_ms * 1000000ull;
	check_alive();
}
END_TEST

START_TEST(abandoned_requests_use_up_the_table_and_no_more)
{
	struct storvsc_stats st;
	int i, err = 0;

	s->timeout_ns = 100000;
	vsp.stall = 1;
	for (i = 0; i < 40; i++) {
		err = storvsc_flush(s, 0, 0);
		ck_assert_int_eq(err, -ETIMEDOUT);
	}
	storvsc_stats(s, 0, &st);
	ck_assert_uint_eq(st.submitted - st.completed, 16); /* all slots */
	vsp.stall = 0;
	s->timeout_ns = config.timeout_ms * 1000000ull;
	check_alive();
}
END_TEST

START_TEST(c06_handshake_without_answers)
{
	struct storvsc_config impatient = config;
	struct storvsc *other;

	storvsc_free(s, buf, 64 * 4096);
	storvsc_close(s);
	vsp.stall = 1;
	impatient.timeout_ms = 20;
	ck_assert_int_eq(storvsc_open(&other, vsp.bus, 0, &impatient), -ETIMEDOUT);
	vsp.stall = 0;
	ck_assert_int_eq(storvsc_open(&s, vsp.bus, 0, &config), 0);
	buf = storvsc_alloc(s, 64 * 4096);
}
END_TEST

START_TEST(close_does_not_wait_for_ever)
{
	struct storvsc_io io[3];

	hold_reads(io, 3);
	/* teardown closes with three requests that nobody will ever answer */
}
END_TEST

/* ---- the handshake's content
 * --------------------------------------------------------------------- */

static struct vstor_properties props;
static uint32_t fail_op, fail_status;

static bool odd_handshake(struct mini_vsp *v, struct vmbus_chan *c, const struct vmpkt *pkt,
			  const struct vstor_packet *p)
{
	struct vstor_packet r = { .operation = VSTOR_OP_COMPLETE_IO };

	(void)v;
	if (p->operation == fail_op)
		r.status = fail_status;
	else if (p->operation == VSTOR_OP_QUERY_PROPERTIES)
		r.properties = props;
	else
		return false;
	mini_reply(c, pkt->trans_id, &r);
	return true;
}

START_TEST(c14_c15_properties)
{
	static const struct {
		uint32_t transfer;
		uint16_t subs;
		int err;
		uint32_t max;
	} t[] = {
		{ 0, 0, -EPROTO, 0 },	    { 1, 0, -EPROTO, 0 },
		{ 4095, 0, -EPROTO, 0 },    { 4096, 0, 0, 4096 },
		{ 5000, 0, 0, 4096 },	    { 262144, 65535, 0, 262144 },
		{ 1 << 20, 0, 0, 1 << 20 }, { 0xffffffff, 1, 0, 1 << 20 },
	};
	unsigned int i;

	storvsc_free(s, buf, 64 * 4096);
	storvsc_close(s);
	vsp.hook = odd_handshake;
	fail_op = 0;
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		props = (struct vstor_properties){ .max_channel_count = t[i].subs,
						   .flags = 1,
						   .max_transfer_bytes = t[i].transfer };
		ck_assert_int_eq(storvsc_open(&s, vsp.bus, 0, &config), t[i].err);
		if (t[i].err)
			continue;
		ck_assert_uint_eq(storvsc_max_transfer(s), t[i].max);
		ck_assert_uint_eq(storvsc_queues(s), t[i].subs ? 2 : 1);
		storvsc_close(s);
	}
	mini_fini(&vsp);
	setup();
}
END_TEST

START_TEST(handshake_step_fails)
{
	static const struct {
		uint32_t op;
		int err;
	} t[] = { { VSTOR_OP_BEGIN_INITIALIZATION, -EPROTO },
		  { VSTOR_OP_QUERY_PROTOCOL_VERSION, -EPROTONOSUPPORT },
		  { VSTOR_OP_QUERY_PROPERTIES, -EPROTO },
		  { VSTOR_OP_END_INITIALIZATION, -EPROTO },
		  { VSTOR_OP_CREATE_SUB_CHANNELS, 0 } };

	storvsc_free(s, buf, 64 * 4096);
	storvsc_close(s);
	vsp.hook = odd_handshake;
	props = (struct vstor_properties){ .max_channel_count = 1,
					   .flags = 1,
					   .max_transfer_bytes = 262144 };
	fail_op = t[_i].op;
	fail_status = VSTOR_STATUS_INVALID_DEVICE_STATE;
	ck_assert_int_eq(storvsc_open(&s, vsp.bus, 0, &config), t[_i].err);
	if (!t[_i].err) {
		ck_assert_uint_eq(storvsc_queues(s), 1); /* lives with one queue */
		storvsc_close(s);
	}
	mini_fini(&vsp);
	setup();
}
END_TEST

START_TEST(c14_capacity_changes_under_us)
{
	static const struct {
		uint64_t last;
		uint32_t block;
		int err;
	} t[] = {
		{ 0, 512, 0 },
		{ 100, 4096, 0 },
		{ 7, 520, -EPROTO },
		{ 7, 0, -EPROTO },
		{ 7, 256, -EPROTO },
		{ 7, 8192, -EPROTO },
		{ 7, 0x80000000, -EPROTO },
		{ UINT64_MAX, 512, -EPROTO },
		{ UINT64_MAX / 2, 512, -EPROTO },
		{ UINT64_MAX / 1024, 512, -EPROTO },
	};
	struct storvsc_disk d;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		vsp.last = t[i].last;
		vsp.block = t[i].block;
		ck_assert_int_eq(storvsc_disk_info(s, 0, &d), t[i].err);
		if (t[i].err)
			ck_assert_int_eq(storvsc_read(s, 0, 0, buf, 0, 512), -ENXIO);
		else
			ck_assert_uint_eq(d.size, (t[i].last + 1) * t[i].block);
	}
	vsp.last = 7;
	vsp.block = 512;
	ck_assert_int_eq(storvsc_disk_info(s, 0, &d), 0);
	check_alive();
}
END_TEST

/* ---- death
 * -------------------------------------------------------------------------------------------- */

static void check_all_dead(struct storvsc_io *io, int n, int err)
{
	struct storvsc_io *out[16];
	int i;

	ck_assert_int_eq(storvsc_reap(s, 0, out, 3, 3, UINT64_MAX), 3);
	ck_assert_int_eq(storvsc_reap(s, 0, out + 3, 13, 13, UINT64_MAX), n - 3);
	for (i = 0; i < n; i++) {
		ck_assert_int_eq(io[i].result, err);
		ck_assert_ptr_eq(out[i], &io[i]);
	}
	ck_assert_int_eq(storvsc_reap(s, 0, out, 16, 1, UINT64_MAX), err);
	ck_assert_int_eq(storvsc_reap(s, 0, out, 16, 0, 0), err);
	ck_assert_int_eq(storvsc_submit(s, 0, &io[0]), err);
	ck_assert_int_eq(storvsc_flush(s, 0, 0), err);
	ck_assert_int_eq(storvsc_read(s, 0, 0, buf, 0, 512), err);
}

START_TEST(root_dies)
{
	struct storvsc_io io[10];
	struct storvsc_disk d;

	hold_reads(io, 10);
	fake_client_kill_root(vsp.bus);
	check_all_dead(io, 10, -ECONNRESET);
	ck_assert_int_eq(storvsc_disk_info(s, 0, &d), -ECONNRESET);
	ck_assert_int_eq(storvsc_read(s, 1, 0, buf, 0, 512), -ECONNRESET); /* the other queue */
}
END_TEST

/* Also noticed by a thread that only ever polls. */
START_TEST(root_dies_while_polled)
{
	struct storvsc_io io[10], *out[16];
	int i, n = 0;

	hold_reads(io, 10);
	fake_client_kill_root(vsp.bus);
	for (i = 0; i < 10000 && n >= 0; i++)
		n = storvsc_reap(s, 0, out, 16, 0, 0);
	ck_assert_int_eq(n, -ECONNRESET);
	ck_assert_int_eq(io[9].result, -ECONNRESET);
}
END_TEST

START_TEST(root_dies_while_spinning_for_ever)
{
	struct storvsc_io io[10];

	s->spin_max = UINT64_MAX;
	hold_reads(io, 10);
	fake_client_kill_root(vsp.bus);
	check_all_dead(io, 10, -ECONNRESET);
}
END_TEST

START_TEST(device_is_rescinded)
{
	struct storvsc_io io[10];

	hold_reads(io, 10);
	fake_client_rescind(vsp.bus);
	s->queue[0].alive_ns = 0;
	check_all_dead(io, 10, -EIO);
}
END_TEST

/* C07: any nonsense in the ring ends the queue, not the program. */
START_TEST(c07_corrupt_ring)
{
	const struct hv_gpa_view *v = fake_client_host_out(vsp.bus, 0);
	struct vmring_ctrl *ctrl = v->ctrl;
	struct storvsc_io io[10];
	uint32_t at = ctrl->write_index;

	hold_reads(io, 10);
	switch (_i) {
	case 0: /* index out of range */
		ctrl->write_index = v->size + 8;
		break;
	case 1: /* not a multiple of 8 */
		ctrl->write_index = at + 4;
		break;
	case 2: /* a packet that is longer than what was written */
		memcpy(v->data + at, "\x0b\0\2\0\xff\0\0\0", 8);
		ctrl->write_index = (at + 96) % v->size;
		break;
	default: /* longer than we accept */
		memset(v->data + at, 0, 1024);
		memcpy(v->data + at, "\x0b\0\2\0\x80\0\0\0", 8);
		ctrl->write_index = (at + 1024 + 8) % v->size;
	}
	check_all_dead(io, 10, -EIO);
	vsp.hook = NULL;
	ck_assert_int_eq(storvsc_read(s, 1, 0, buf, 0, 512), 0); /* other queues live */
}
END_TEST

/* The root rewrites what it sends while we look: everything is decided on the copy. */
START_TEST(random_answers)
{
	struct storvsc_io io[8], *out[8];
	uint32_t seed = (uint32_t)_i * 7919u + 1, i, k, done;
	uint8_t bytes[128];

	for (i = 0; i < 300; i++) {
		hold_reads(io, 8);
		for (k = 0; k < 24; k++) {
			uint32_t b;

			for (b = 0; b < sizeof(bytes); b++) {
				seed = seed * 1664525u + 1013904223u;
				bytes[b] = (uint8_t)(seed >> 24);
			}
			if (seed & 0x100)
				memset(bytes, 0, 14); /* a plausible header */
			bytes[0] = seed & 0x200 ? 1 : bytes[0];
			vmbus_chan_send_completion(host(), held[seed >> 29].id, bytes,
						   seed >> 20 & 0x7f);
		}
		vmbus_chan_flush(host());
		done = 0;
		for (k = 0; k < 50 && done < 8; k++) {
			int n = storvsc_reap(s, 0, out, 8, 0, 0);

			ck_assert_int_ge(n, 0);
			done += (uint32_t)n;
			mini_work(&vsp);
			while (n_held) { /* what is left gets a good answer */
				n_held--;
				answer(n_held, 1, 0, 4096);
			}
		}
		ck_assert_uint_eq(done, 8);
	}
	check_alive();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("storvsc hostile");
	TCase *tc = tcase_create("hostile root");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, c08_ids_that_are_not_ours);
	tcase_add_test(tc, c09_unsolicited_packets);
	tcase_add_test(tc, c10_more_bytes_than_asked_for);
	tcase_add_test(tc, c10_parameter_data_is_clamped);
	tcase_add_test(tc, c10_raw_transfer_is_clamped);
	tcase_add_test(tc, c11_sense_of_any_length);
	tcase_add_test(tc, c11_raw_sense_of_any_length);
	tcase_add_test(tc, raw_timeout_of_its_own);
	tcase_add_test(tc, sense_formats);
	tcase_add_test(tc, c12_every_status);
	tcase_add_test(tc, success_that_moved_too_little);
	tcase_add_test(tc, p16_short_or_foreign_completions);
	tcase_add_test(tc, unit_attentions_are_retried_a_few_times);
	tcase_add_test(tc, answer_to_the_first_attempt_after_a_retry);
	tcase_add_loop_test(tc, c14_retry_that_cannot_be_sent_comes_back_at_once, 0, 5);
	tcase_add_test(tc, c14_retry_that_cannot_be_sent_beside_an_answer);
	tcase_add_test(tc, synchronous_calls_end_in_time);
	tcase_add_test(tc, abandoned_requests_use_up_the_table_and_no_more);
	tcase_add_test(tc, c06_handshake_without_answers);
	tcase_add_test(tc, close_does_not_wait_for_ever);
	tcase_add_test(tc, c14_c15_properties);
	tcase_add_loop_test(tc, handshake_step_fails, 0, 5);
	tcase_add_test(tc, c14_capacity_changes_under_us);
	tcase_add_test(tc, root_dies);
	tcase_add_test(tc, root_dies_while_polled);
	tcase_add_test(tc, root_dies_while_spinning_for_ever);
	tcase_add_test(tc, device_is_rescinded);
	tcase_add_loop_test(tc, c07_corrupt_ring, 0, 4);
	tcase_add_loop_test(tc, random_answers, 0, 4);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
