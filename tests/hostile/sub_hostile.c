/* SPDX-License-Identifier: MIT */
/*
 * What a root takes back, and what it was in the middle of (hostile cases V14, V30, V34, V36,
 * V40 to V42, V46, H30, S07), whole stack. The only channel that a root rescinds while its guest
 * lives is a sub-channel, when the primary closes.
 */
#include <stdlib.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "tests/hostile/fixture.h"

#define HDR(type)  VMBUS_MSG_##type, 0
#define HALF_PAGES 40u /* of a GPADL that takes two messages .. */
#define FIRST	   26u /* .. and what is in the first */

static struct evil_guest g, sub;

static bool silent(void)
{
	union vmbus_msg m;

	return !evil_take(&g, &m, 20);
}

/* ---- GPADLs in two parts ------------------------------------------------------------------ */

static void gpadl_begin(uint32_t relid, uint32_t id)
{
	uint32_t w[7 + 2 * FIRST] = { HDR(GPADL_HEADER), relid, id, (8 + 8 * HALF_PAGES) | 1u << 16,
				      HALF_PAGES * 4096 };

	for (uint32_t i = 0; i < FIRST; i++)
		w[7 + 2 * i] = EVIL_BUF + i;
	evil_say(&g, w, ARRAY_SIZE(w));
}

static void gpadl_rest(uint32_t id)
{
	uint32_t w[4 + 2 * (HALF_PAGES - FIRST)] = { HDR(GPADL_BODY), 1, id };

	for (uint32_t i = 0; i < HALF_PAGES - FIRST; i++)
		w[4 + 2 * i] = EVIL_BUF + FIRST + i;
	evil_say(&g, w, ARRAY_SIZE(w));
}

static uint32_t created(uint32_t id)
{
	union vmbus_msg m = evil_expect(&g, VMBUS_MSG_GPADL_CREATED);

	ck_assert_uint_eq(m.gpadl_created.gpadl, id);
	return m.gpadl_created.status;
}

static uint32_t gpadl_of(uint32_t relid, uint32_t id)
{
	EVIL_SAY(&g, HDR(GPADL_HEADER), relid, id, 16u | 1u << 16, 4096, 0, EVIL_BUF, 0);
	return created(id);
}

static void teardown(uint32_t relid, uint32_t id)
{
	EVIL_SAY(&g, HDR(GPADL_TEARDOWN), relid, id);
	ck_assert_uint_eq(evil_expect(&g, VMBUS_MSG_GPADL_TORNDOWN).gpadl_torndown.gpadl, id);
}

/* The primary closes, so the root takes @relid back. */
static void taken_back(uint32_t relid)
{
	evil_close(&g);
	ck_assert_uint_eq(evil_expect(&g, VMBUS_MSG_RESCIND_CHANNELOFFER).relid.relid, relid);
}

/* ---- ids of two channels ------------------------------------------------------------------- */

START_TEST(v14_rings_that_are_not_there)
{
	uint32_t relid;

	hostile_begin(&g, EVIL_READY);
	relid = evil_sub_offered(&g);
	g.relid = relid;
	ck_assert_uint_eq(evil_gpadl(&g, 70, NULL, EVIL_RINGS, 2 * EVIL_RING_PAGES), 0);
	g.relid = EVIL_RELID;
	ck_assert_uint_eq(evil_gpadl(&g, 72, NULL, EVIL_RINGS, 2 * EVIL_RING_PAGES), 0);
	teardown(EVIL_RELID, 72);
	gpadl_begin(EVIL_RELID, 71);
	evil_close(&g);
	for (uint32_t id = 70; id <= 72; id++) /* another channel's, half, torn down */
		ck_assert_uint_ne(evil_open(&g, EVIL_RELID, id, 0, EVIL_RING_PAGES), 0);
	hostile_end(&g, &(struct proof){ .drop = "" });
}
END_TEST

/* V30: one id on two channels is two GPADLs, unless bodies could not tell them apart. */
START_TEST(v30_v34_one_id_on_two_channels)
{
	uint32_t relid;

	hostile_begin(&g, EVIL_READY);
	relid = evil_sub_offered(&g);
	ck_assert_uint_eq(gpadl_of(relid, EVIL_GPADL), 0); /* the primary's ring has this id */
	gpadl_begin(EVIL_RELID, 30);
	gpadl_begin(EVIL_RELID, 30);
	ck_assert_uint_ne(created(30), 0);
	gpadl_begin(relid, 30);
	ck_assert_uint_ne(created(30), 0);
	gpadl_rest(30); /* the first is intact */
	ck_assert_uint_eq(created(30), 0);
	EVIL_SAY(&g, HDR(GPADL_TEARDOWN), relid, 30); /* not its own */
	ck_assert(silent());
	teardown(EVIL_RELID, 30);
	teardown(relid, EVIL_GPADL);
	evil_verified_io(&g); /* and not the ring of that id */
	hostile_end(&g, &(struct proof){ .drop = "" });
}
END_TEST

START_TEST(v31_bodies_that_promise_nothing)
{
	hostile_begin(&g, EVIL_OFFERED);
	gpadl_begin(EVIL_RELID, 30);
	gpadl_rest(30);
	ck_assert_uint_eq(created(30), 0);
	gpadl_rest(30); /* it is whole */
	ck_assert(silent());
	gpadl_begin(EVIL_RELID, 31);
	EVIL_SAY(&g, HDR(GPADL_TEARDOWN), EVIL_RELID, 31); /* it never was */
	evil_restart(&g, EVIL_OFFERED);
	gpadl_rest(31); /* of the life before */
	ck_assert(silent());
	ck_assert_uint_eq(gpadl_of(EVIL_RELID, 31), 0);
	hostile_end(&g, &(struct proof){ .drop = "" });
}
END_TEST

/* ---- sub-channels come and go ---------------------------------------------------------------- */

START_TEST(v40_sub_channels_asked_for_again)
{
	static const uint16_t n[] = { 1, 0, 1, 2, 0xffff };
	struct vstor_packet p = { .operation = VSTOR_OP_CREATE_SUB_CHANNELS };
	uint32_t i, status;

	hostile_begin(&g, EVIL_READY);
	evil_sub_open(&sub, &g, evil_sub_offered(&g));
	for (i = 0; i < ARRAY_SIZE(n); i++) {
		p.sub_channel_count = n[i];
		status = evil_vstor_call(&g, &p).p.status;
		ck_assert_int_eq(status == 0, n[i] <= 1);
		ck_assert(silent()); /* none is offered twice */
	}
	status = evil_vstor_call(&sub, &p).p.status; /* not for a sub-channel to ask */
	ck_assert_uint_eq(status, VSTOR_STATUS_INVALID_DEVICE_STATE);
	evil_verified_io(&sub);
	evil_sub_end(&sub);
	hostile_end(&g, &(struct proof){ .rejected = true });
}
END_TEST

START_TEST(v36_gpadl_of_a_channel_taken_back)
{
	uint32_t relid;

	hostile_begin(&g, EVIL_READY);
	relid = evil_sub_offered(&g);
	gpadl_begin(relid, 90);
	taken_back(relid);
	gpadl_rest(90); /* begun before, .. */
	ck_assert_uint_eq(created(90), 0);
	ck_assert_uint_eq(gpadl_of(relid, 91), 0); /* .. and after: nobody is left waiting */
	teardown(relid, 90);
	EVIL_SAY(&g, HDR(RELID_RELEASED), relid);
	ck_assert_uint_ne(gpadl_of(relid, 92), 0);
	hostile_end(&g, &(struct proof){ .drop = "" });
}
END_TEST

/* The relid is the guest's until it lets go, however often it asks meanwhile. */
START_TEST(v41_release_that_never_comes)
{
	struct vstor_packet p = { .operation = VSTOR_OP_CREATE_SUB_CHANNELS,
				  .sub_channel_count = 1 };
	uint32_t relid;

	hostile_begin(&g, EVIL_READY);
	relid = evil_sub_offered(&g);
	taken_back(relid);
	ck_assert_uint_eq(evil_open(&g, EVIL_RELID, EVIL_GPADL, 0, EVIL_RING_PAGES), 0);
	for (int i = 0; i < 5; i++) {
		evil_reopen(&g);
		ck_assert_uint_eq(evil_vstor_call(&g, &p).p.status, 0);
		ck_assert(silent());
		evil_verified_io(&g);
	}
	EVIL_SAY(&g, HDR(RELID_RELEASED), relid);
	ck_assert_uint_eq(evil_expect(&g, VMBUS_MSG_OFFERCHANNEL).offer.sub_index, 1);
	hostile_end(&g, NULL);
}
END_TEST

/* The rescind is the answer to an open: a second one could not be told from the next open's. */
START_TEST(v42_open_of_a_channel_taken_back)
{
	uint32_t relid;

	hostile_begin(&g, EVIL_READY);
	relid = evil_sub_offered(&g);
	g.relid = relid;
	ck_assert_uint_eq(evil_gpadl(&g, 70, NULL, EVIL_SUB_RINGS, 4), 0);
	g.relid = EVIL_RELID;
	taken_back(relid);
	EVIL_SAY(&g, HDR(OPENCHANNEL), relid, 5, 70, 1, 2, [36] = 0);
	ck_assert(silent());
	EVIL_SAY(&g, HDR(CLOSECHANNEL), relid);
	teardown(relid, 70); /* nobody took it for a ring */
	ck_assert_uint_eq(evil_open(&g, EVIL_RELID, EVIL_GPADL, 0, EVIL_RING_PAGES), 0);
	hostile_end(&g, NULL);
}
END_TEST

/* Reads before, while and after the primary closes: each is answered once at most. */
static void read_while_closing(void)
{
	struct vstor_packet p = evil_rw(LUN_FILE, false, 0, 8);
	uint32_t id = 0, failed = 0;
	uint8_t seen[256] = { 0 };
	struct evil_packet a;
	union vmbus_msg m;

	for (; id < 64; id++)
		evil_srb_send(&sub, id, &p, EVIL_BUF, 4096, 0);
	evil_close(&g);
	do {
		if (id < ARRAY_SIZE(seen) && evil_out_free(&sub) >= 200)
			evil_srb_send(&sub, id++, &p, EVIL_BUF, 4096, 0);
	} while (!evil_take(&g, &m, 0) || m.hdr.type != VMBUS_MSG_RESCIND_CHANNELOFFER);
	while (evil_recv(&sub, &a, 2)) {
		ck_assert_uint_lt(a.desc.trans_id, id);
		ck_assert_uint_eq(seen[a.desc.trans_id]++, 0);
		failed += (a.p.srb.srb_status & VSTOR_SRB_CODE_MASK) != VSTOR_SRB_SUCCESS;
	}
	ck_assert_uint_le(failed, id);
}

START_TEST(s07_reads_while_the_primary_closes)
{
	hostile_begin(&g, EVIL_READY);
	for (int i = 0; i < 10; i++) {
		evil_sub_open(&sub, &g, evil_sub_offered(&g));
		read_while_closing();
		evil_sub_end(&sub);
		evil_restart(&g, EVIL_READY);
	}
	hostile_end(&g, NULL);
}
END_TEST

/* ---- in the middle of something (V46) ----------------------------------------------------------
 */

enum middle {
	OFFERS_UNREAD,
	HALF_A_GPADL,
	OPENING,
	CLOSING,
	OPEN_WHILE_CLOSING,
	TEARING_DOWN,
	UNLOADING,
	RESETTING,
	NOT_RELEASED,
	MIDDLES
};

static void say_open(struct evil_guest *e)
{
	EVIL_SAY(e, HDR(OPENCHANNEL), EVIL_RELID, 5, EVIL_GPADL, 0, EVIL_RING_PAGES, [36] = 0);
}

static void reads_in_flight(struct evil_guest *e)
{
	struct vstor_packet p = evil_rw(LUN_FILE, false, 0, 8);

	for (uint32_t i = 0; i < 64; i++)
		evil_srb_send(e, i, &p, EVIL_BUF + i % 16, 4096, 0);
}

static enum evil_stage stage_of(enum middle m)
{
	return m == OFFERS_UNREAD  ? EVIL_CONTACT
	       : m == HALF_A_GPADL ? EVIL_OFFERED
	       : m == OPENING	   ? EVIL_GPADLED
				   : EVIL_READY;
}

/* Into the middle of @m, and nothing that the root says about it is looked at. */
static void enter(struct evil_guest *e, enum middle m)
{
	struct vstor_packet reset = { .operation = VSTOR_OP_RESET_BUS, .flags = 1 };

	if (m == NOT_RELEASED)
		evil_sub_offered(e);
	if (stage_of(m) == EVIL_READY)
		reads_in_flight(e);
	if (m == OFFERS_UNREAD)
		EVIL_SAY(e, HDR(REQUESTOFFERS));
	if (m == HALF_A_GPADL)
		EVIL_SAY(e, HDR(GPADL_HEADER), EVIL_RELID, 9, (8 + 8 * 2) | 1u << 16, 8192, 0,
			 EVIL_BUF, 0);
	if (m == OPENING)
		say_open(e);
	if (m == CLOSING || m == OPEN_WHILE_CLOSING || m == NOT_RELEASED)
		evil_close(e);
	if (m == OPEN_WHILE_CLOSING)
		say_open(e);
	if (m == TEARING_DOWN)
		EVIL_SAY(e, HDR(GPADL_TEARDOWN), EVIL_RELID, EVIL_GPADL);
	if (m == UNLOADING)
		EVIL_SAY(e, HDR(UNLOAD));
	if (m == RESETTING)
		evil_vstor(e, 7, &reset);
}

START_TEST(v46_guest_leaves_in_the_middle)
{
	hostile_begin(&g, EVIL_ALONE);
	for (uint32_t m = 0; m < MIDDLES; m++) {
		evil_reach(&g, hostile_path(), stage_of(m));
		enter(&g, m);
		evil_end(&g);
	}
	hostile_end(&g, NULL);
}
END_TEST

START_TEST(v46_new_kernel_in_the_middle)
{
	hostile_begin(&g, EVIL_CONTACT);
	for (uint32_t m = 0; m < MIDDLES; m++) {
		evil_restart(&g, stage_of(m));
		enter(&g, m);
		free(hostile_inspect());
		evil_restart(&g, EVIL_READY);
		evil_verified_io(&g);
	}
	hostile_end(&g, NULL);
}
END_TEST

/* Everybody is in the middle of something else and answers nothing: the root ends all the same. */
START_TEST(v46_h30_root_ends_in_the_middle)
{
	static struct evil_guest e[MIDDLES];
	uint64_t start;

	hostile_start(); /* a root of its own */
	for (uint32_t m = 0; m < MIDDLES; m++)
		evil_reach(&e[m], hostile_path(), stage_of(m));
	for (uint32_t m = 0; m < MIDDLES; m++)
		enter(&e[m], m);
	start = clock_ns();
	hostile_stop(); /* in order, or the program ends here */
	ck_assert_uint_lt(clock_ns() - start, 5000000000ull * SLOWER);
	for (uint32_t m = 0; m < MIDDLES; m++) {
		ck_assert(evil_cut_off(&e[m], 0));
		evil_end(&e[m]);
	}
}
END_TEST

HOSTILE_MAIN("hostile guest: what a root takes back", v14_rings_that_are_not_there,
	     v30_v34_one_id_on_two_channels, v31_bodies_that_promise_nothing,
	     v40_sub_channels_asked_for_again, v36_gpadl_of_a_channel_taken_back,
	     v41_release_that_never_comes, v42_open_of_a_channel_taken_back,
	     s07_reads_while_the_primary_closes, v46_guest_leaves_in_the_middle,
	     v46_new_kernel_in_the_middle, v46_h30_root_ends_in_the_middle)
