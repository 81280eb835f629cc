/* SPDX-License-Identifier: MIT */
/*
 * A root that lies to the client library (hostile cases C07 to C13), whole stack: the real child,
 * bus client and storvsc over a real socket against a root made by hand. What is asked: every
 * call ends, nothing outside the caller's buffer changes, and the next root is as good as new.
 */
#include "tests/fake/evil_root.h"
#include "tests/ut/vsc/mini_vsp.h"

#include "base/clock.h"
#include "base/log.h"
#include "vsc/storvsc.h"

#define GUARD 0x6b

static struct evil_root r;
static struct mini_vsp vsp;

/* A way to answer the next READ. True: that was the answer; false: the right one follows. */
struct lie {
	bool (*tell)(const struct lie *l, struct vmbus_chan *c, const struct vmpkt *pkt,
		     const struct vstor_packet *p);
	uint64_t a, b;
	bool works; /* the READ succeeds all the same */
};
static const struct lie *lie;

static bool on_request(struct mini_vsp *v, struct vmbus_chan *c, const struct vmpkt *pkt,
		       const struct vstor_packet *p)
{
	const struct lie *l = lie;

	(void)v;
	if (!l || p->operation != VSTOR_OP_EXECUTE_SRB || (p->srb.cdb[0] & 0x1f) != 0x08)
		return false;
	lie = NULL; /* retries are answered well */
	return l->tell(l, c, pkt, p);
}

static bool on_packet(struct evil_chan *c, const struct vmpkt *pkt)
{
	mini_packet(&vsp, c->chan, pkt);
	return true;
}

/* ---- lies ---------------------------------------------------------------------------- */

static bool foreign_id(const struct lie *l, struct vmbus_chan *c, const struct vmpkt *pkt,
		       const struct vstor_packet *p)
{
	struct vstor_packet done = mini_done(p, 1, 0, 4096);

	mini_reply(c, l->b ? pkt->trans_id ^ l->b : l->a, &done);
	return false;
}

static bool unsolicited(const struct lie *l, struct vmbus_chan *c, const struct vmpkt *pkt,
			const struct vstor_packet *p)
{
	struct vstor_packet done = mini_done(p, 1, 0, 4096);

	(void)pkt;
	done.operation = (uint32_t)l->a;
	ck_assert_int_eq(vmbus_chan_send(c, 0, VSTOR_ID_UNSOLICITED, &done, VSTOR_PACKET), 0);
	return false;
}

static bool moved(const struct lie *l, struct vmbus_chan *c, const struct vmpkt *pkt,
		  const struct vstor_packet *p)
{
	struct vstor_packet done = mini_done(p, 1, 0, (uint32_t)l->a);

	mini_reply(c, pkt->trans_id, &done);
	return true;
}

static bool sense_length(const struct lie *l, struct vmbus_chan *c, const struct vmpkt *pkt,
			 const struct vstor_packet *p)
{
	struct vstor_packet done = mini_sense(p, 3, 0x11, 0);

	done.srb.sense_info_length = (uint8_t)l->a;
	mini_reply(c, pkt->trans_id, &done);
	return true;
}

static bool status(const struct lie *l, struct vmbus_chan *c, const struct vmpkt *pkt,
		   const struct vstor_packet *p)
{
	struct vstor_packet done = mini_done(p, (uint8_t)l->a, (uint8_t)l->b, 4096);

	mini_reply(c, pkt->trans_id, &done);
	return true;
}

static bool short_answer(const struct lie *l, struct vmbus_chan *c, const struct vmpkt *pkt,
			 const struct vstor_packet *p)
{
	ck_assert_int_eq(vmbus_chan_send_completion(c, pkt->trans_id, p, (uint32_t)l->a), 0);
	return true;
}

/* The control page of the ring to the client: @a which word, @b what is stored there. */
static bool ring_word(const struct lie *l, struct vmbus_chan *c, const struct vmpkt *pkt,
		      const struct vstor_packet *p)
{
	struct evil_chan *ch = &r.chan[1];

	(void)c;
	(void)pkt;
	(void)p;
	store_release((uint32_t *)ch->out.ctrl + l->a, (uint32_t)l->b);
	evil_event(&r, ch->opened.target_vp, 1);
	return true;
}

#define LIES(X)                                                                                    \
	X(c07_write_index_past_the_end, ring_word, 0, 1u << 30, false)                             \
	X(c07_write_index_all_ones, ring_word, 0, UINT32_MAX, false)                               \
	X(c07_write_index_unaligned, ring_word, 0, 12, false)                                      \
	X(c08_id_all_ones, foreign_id, UINT64_MAX, 0, true)                                        \
	X(c08_id_like_a_pointer, foreign_id, 0x7fff12345678, 0, true)                              \
	X(c08_id_of_another_generation, foreign_id, 0, 1ull << 32, true)                           \
	X(c08_id_of_another_slot, foreign_id, 0, 1, true)                                          \
	X(c09_unsolicited_complete_io, unsolicited, VSTOR_OP_COMPLETE_IO, 0, true)                 \
	X(c09_unsolicited_fchba_data, unsolicited, VSTOR_OP_FCHBA_DATA, 0, true)                   \
	X(c09_unsolicited_nonsense, unsolicited, UINT32_MAX, 0, true)                              \
	X(c10_more_than_was_asked_for, moved, UINT32_MAX, 0, true)                                 \
	X(c10_a_byte_more, moved, 4097, 0, true)                                                   \
	X(c11_sense_of_255_bytes, sense_length, 255, 0, false)                                     \
	X(c11_sense_of_no_bytes, sense_length, 0, 0, false)                                        \
	X(c12_srb_status_without_meaning, status, 0x3f, 0, false)                                  \
	X(c12_scsi_status_without_meaning, status, 4, 0xee, false)                                 \
	X(p16_completion_of_no_bytes, short_answer, 0, 0, false)                                   \
	X(p16_completion_cut, short_answer, 16, 0, false)

/* ---- the case ------------------------------------------------------------------------------- */

static struct storvsc *attach(void)
{
	struct storvsc_config cfg = { .queues = 1, .depth = 8, .timeout_ms = 5000 };
	struct storvsc *s;
	char why[256] = "";

	ck_assert_msg(!storvsc_attach(&s, evil_root_path(&r), 0, 8u << 20, &cfg, why, sizeof(why)),
		      "%s", why);
	return s;
}

static void start(void)
{
	static const struct guid scsi = VMBUS_CLASS_SCSI;

	log_set_level(LOG_ERROR);
	memset(&vsp, 0, sizeof(vsp));
	vsp.version = VSTOR_V6_2;
	vsp.max_transfer = 256 << 10;
	vsp.block = MINI_BLOCK;
	vsp.last = MINI_SIZE / MINI_BLOCK - 1;
	vsp.disk = calloc(1, MINI_SIZE);
	vsp.hook = on_request;
	for (uint32_t i = 0; i < MINI_SIZE; i++)
		vsp.disk[i] = (uint8_t)(i * 7 + i / 512);
	memset(&r, 0, sizeof(r));
	r.on_packet = on_packet;
	evil_root_start(&r);
	evil_lock(&r);
	evil_add(&r, 1, 0, 0)->offer.type = scsi;
	evil_unlock(&r);
}

static void run(const struct lie *l)
{
	uint8_t buf[3 * 4096];
	struct storvsc *s;
	uint64_t from;
	int err;

	start();
	for (int again = 0; again < 2; again++) { /* U9: the second time nobody lies */
		s = attach();
		memset(buf, GUARD, sizeof(buf));
		evil_lock(&r);
		lie = again ? NULL : l;
		evil_unlock(&r);
		from = clock_ns();
		err = storvsc_read(s, 0, 0, buf + 4096, 8192, 4096);
		ck_assert_uint_lt(clock_ns() - from, 20000000000ull);
		if (again || l->works)
			ck_assert_int_eq(err, 0);
		if (again || (l->works && l->tell != moved))
			ck_assert_mem_eq(buf + 4096, vsp.disk + 8192, 4096);
		for (uint32_t i = 0; i < 4096; i++)
			ck_assert(buf[i] == GUARD && buf[8192 + i] == GUARD);
		storvsc_detach(s);
	}
	evil_root_stop(&r);
	free(vsp.disk);
}

#define LIE_TEST(name, ...)                                                                        \
	START_TEST(name)                                                                           \
	{                                                                                          \
		run(&(const struct lie){ __VA_ARGS__ });                                           \
	}                                                                                          \
	END_TEST
#define LIE_ADD(name, ...) tcase_add_test(tc, name);

LIES(LIE_TEST)

int main(void)
{
	Suite *s = suite_create("hostile root");
	TCase *tc = tcase_create("storage client");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	LIES(LIE_ADD)
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
