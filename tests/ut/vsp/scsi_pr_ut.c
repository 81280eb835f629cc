/* SPDX-License-Identifier: MIT */
/*
 * PERSISTENT RESERVE IN and OUT: every service action and type, who is told what, what
 * survives a restart, and lists and state files that are wrong (spec: scsi-target, sections
 * 13.3, 13.4 and 18; hostile-cases S22).
 */
#include <pthread.h>
#include <sched.h>
#include <zlib.h>

#include "tests/ut/vsp/scsi_pr_rig.h"

static struct pr_rig p;

static void setup(void)
{
	pr_rig_up(&p);
}

static void teardown(void)
{
	pr_rig_down(&p);
}

static const uint8_t types[] = { 1, 3, 5, 6, 7, 8 };

/* ---- golden vectors ------------------------------------------------------------------------ */

START_TEST(golden_register_read_reserve)
{
	static const uint8_t list[24] = { Z8, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88 };
	static const uint8_t keys[] = { 0,    0,    0,	  1,	0,    0,    0,	  8,
					0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88 };
	static const uint8_t mine[24] = { 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88 };
	static const uint8_t held[] = { 0,    0,    0,	  1,	0,    0,  0, 16, 0x11, 0x22, 0x33,
					0x44, 0x55, 0x66, 0x77, 0x88, Z4, 0, 5,	 0,    0 };
	static const uint8_t can[] = { 0, 8, 4, 0x80, 0xea, 1, 0, 0 };
	struct rig *r = as(&p, A);

	memcpy(r->data, list, 24);
	ck_assert_uint_eq(OUT(r, 24, 0x5f, 0, 0, 0, 0, 0, 0, 0, 0x18, 0), 0);
	ck_assert_uint_eq(IN(r, 255, 0x5e, 0, Z4, 0, 0, 255, 0), 0);
	rig_expect_data(r, keys, sizeof(keys));
	ck_assert_uint_eq(IN(r, 255, 0x5e, 1, Z4, 0, 0, 255, 0), 0);
	rig_expect_data(r, (const uint8_t[]){ 0, 0, 0, 1, Z4 }, 8);
	memcpy(r->data, mine, 24);
	ck_assert_uint_eq(OUT(r, 24, 0x5f, 1, 5, 0, 0, 0, 0, 0, 0x18, 0), 0);
	ck_assert_uint_eq(IN(r, 255, 0x5e, 1, Z4, 0, 0, 255, 0), 0);
	rig_expect_data(r, held, sizeof(held));
	ck_assert_uint_eq(IN(r, 255, 0x5e, 2, Z4, 0, 0, 255, 0), 0);
	rig_expect_data(r, can, sizeof(can));
}
END_TEST

START_TEST(golden_full_status)
{
	uint8_t want[8 + 2 * 48] = { 0, 0, 0, 2, 0, 0, 0, 96 }, *d = want + 8;

	for (int i = A; i <= B; i++, d += 48) {
		be64_put(d, KEY(i));
		d[19] = 1; /* relative port */
		d[23] = 24;
		d[24] = 6;
		d[28] = 0x30; /* NAA 3; equal halves of the id cancel out */
	}
	want[8 + 12] = 1;
	want[8 + 13] = 5;
	pr_register(&p, A);
	pr_register(&p, B);
	ck_assert_uint_eq(pr_out(&p, A, PR_RESERVE, 5, KEY(A), 0), 0);
	ck_assert_uint_eq(IN(as(&p, C), 255, 0x5e, 3, Z4, 0, 0, 255, 0), 0);
	rig_expect_data(p.r, want, sizeof(want));
	/* ALL_TG_PT is remembered. */
	ck_assert_uint_eq(pr_out_flags(&p, C, PR_REGISTER, 0, 0, KEY(C), 0x04), 0);
	ck_assert_uint_eq(IN(as(&p, C), 255, 0x5e, 3, Z4, 0, 0, 255, 0), 0);
	ck_assert_uint_eq(p.r->data[8 + 96 + 12], 2);
	ck_assert_uint_eq(be16_at(p.r->data + 8 + 96 + 18), 0);
}
END_TEST

START_TEST(every_allocation_length)
{
	static const uint16_t full[] = { 32, 24, 8, 152 };
	uint8_t whole[152];

	for (int i = A; i <= C; i++)
		pr_register(&p, i);
	ck_assert_uint_eq(pr_out(&p, A, PR_RESERVE, 1, KEY(A), 0), 0);
	for (uint8_t action = 0; action < 4; action++) {
		IN(as(&p, A), 512, 0x5e, action, Z4, 0, L16(512), 0);
		ck_assert_uint_eq(p.r->task.transferred, full[action]);
		memcpy(whole, p.r->data, full[action]);
		for (uint32_t len = 0; len <= 160; len++) {
			uint32_t n = len < full[action] ? len : full[action];

			ck_assert_uint_eq(IN(p.r, 512, 0x5e, action, Z4, 0, L16(len), 0), 0);
			rig_expect_data(p.r, whole, n);
			ck_assert_uint_eq(IN(p.r, len, 0x5e, action, Z4, 0, L16(512), 0), 0);
			rig_expect_data(p.r, whole, n);
		}
	}
}
END_TEST

START_TEST(service_actions_out_of_range)
{
	for (uint8_t action = 4; action < 32; action++)
		ck_assert_uint_eq(IN(as(&p, A), 8, 0x5e, action, Z4, 0, L16(8), 0),
				  SENSE_CDB_FIELD);
	for (uint8_t action = 7; action < 32; action++)
		ck_assert_uint_eq(pr_out(&p, A, action, 1, 0, 1), SENSE_CDB_FIELD);
}
END_TEST

/* ---- REGISTER ----------------------------------------------------------------------------------
 */

START_TEST(register_rules)
{
	/* Nothing to unregister: GOOD, and nothing happened. */
	ck_assert_uint_eq(pr_out(&p, A, PR_REGISTER, 0, 0, 0), 0);
	ck_assert_uint_eq(pr_out(&p, A, PR_REGISTER_AND_IGNORE, 0, 77, 0), 0);
	expect_state(&p, 0, 0, 0, 0, NULL);
	ck_assert_uint_eq(pr_out(&p, A, PR_REGISTER, 0, 5, KEY(A)), CONFLICT);
	ck_assert_uint_eq(pr_out(&p, A, PR_REGISTER, 0, 0, KEY(A)), 0);
	STATE(&p, 1, 0, 0, KEY(A));
	ck_assert_uint_eq(pr_out(&p, A, PR_REGISTER, 0, 0, KEY(A)), CONFLICT);
	ck_assert_uint_eq(pr_out(&p, A, PR_REGISTER, 0, KEY(B), KEY(A)), CONFLICT);
	STATE(&p, 1, 0, 0, KEY(A));
	ck_assert_uint_eq(pr_out(&p, A, PR_REGISTER, 0, KEY(A), KEY(C)), 0);
	STATE(&p, 2, 0, 0, KEY(C));
	ck_assert_uint_eq(pr_out(&p, A, PR_REGISTER_AND_IGNORE, 0, 99, KEY(A)), 0);
	STATE(&p, 3, 0, 0, KEY(A));
	ck_assert_uint_eq(pr_out(&p, B, PR_REGISTER_AND_IGNORE, 0, 99, KEY(A)), 0);
	STATE(&p, 4, 0, 0, KEY(A), KEY(A)); /* the same key twice is legal */
	ck_assert_uint_eq(pr_out(&p, A, PR_REGISTER_AND_IGNORE, 0, 99, 0), 0);
	STATE(&p, 5, 0, 0, KEY(A));
	ck_assert_uint_eq(pr_out(&p, B, PR_REGISTER, 0, KEY(A), 0), 0);
	expect_state(&p, 6, 0, 0, 0, NULL);
}
END_TEST

START_TEST(too_many_keys)
{
	struct scsi_pr_state s = { 0 };
	uint8_t id[SCSI_INITIATOR_LEN] = { 0 };
	struct scsi_pr_request r = { .action = PR_REGISTER, .sa_key = 1, .initiator = id };
	static struct scsi_pr_change c;

	for (int i = 0; i < SCSI_PR_MAX_KEYS; i++) {
		id[0] = (uint8_t)i;
		ck_assert_uint_eq(scsi_pr_apply(&c, &s, &r), 0);
		s = c.state;
	}
	id[0] = 0;
	id[1] = 1;
	ck_assert_uint_eq(scsi_pr_apply(&c, &s, &r), SENSE_REGISTRATIONS_FULL);
	id[1] = 0; /* who is in may still change its key, and leave */
	r.key = 1;
	r.sa_key = 2;
	ck_assert_uint_eq(scsi_pr_apply(&c, &s, &r), 0);
	r.sa_key = 0;
	ck_assert_uint_eq(scsi_pr_apply(&c, &s, &r), 0);
	ck_assert_uint_eq(c.state.n, SCSI_PR_MAX_KEYS - 1);
}
END_TEST

/* ---- RESERVE, RELEASE, and holders that leave
 * ---------------------------------------------------- */

START_TEST(reserve_rules)
{
	uint8_t type = types[_i];
	bool all = type >= 7;
	uint64_t holder = all ? 0 : KEY(A);

	ck_assert_uint_eq(pr_out(&p, A, PR_RESERVE, type, KEY(A), 0), CONFLICT);
	pr_register(&p, A);
	pr_register(&p, B);
	ck_assert_uint_eq(pr_out(&p, A, PR_RESERVE, type, KEY(B), 0), CONFLICT);
	ck_assert_uint_eq(pr_out(&p, A, PR_RESERVE, type, KEY(A), 0), 0);
	STATE(&p, 2, type, holder, KEY(A), KEY(B));
	ck_assert_uint_eq(pr_out(&p, A, PR_RESERVE, type, KEY(A), 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (types[i] != type)
			ck_assert_uint_eq(pr_out(&p, A, PR_RESERVE, types[i], KEY(A), 0), CONFLICT);
	ck_assert_uint_eq(pr_out(&p, B, PR_RESERVE, type, KEY(B), 0), all ? 0 : CONFLICT);
	STATE(&p, 2, type, holder, KEY(A), KEY(B));
	/* A holder with a new key is still the holder. */
	ck_assert_uint_eq(pr_out(&p, A, PR_REGISTER, 0, KEY(A), KEY(D)), 0);
	STATE(&p, 3, type, all ? 0 : KEY(D), KEY(D), KEY(B));
}
END_TEST

START_TEST(release_rules)
{
	uint8_t type = types[_i], other = types[(_i + 1) % ARRAY_SIZE(types)];
	bool all = type >= 7, told = type >= 5;

	for (int i = A; i <= C; i++)
		pr_register(&p, i);
	ck_assert_uint_eq(pr_out(&p, A, PR_RELEASE, type, KEY(A), 0), 0); /* none there */
	ck_assert_uint_eq(pr_out(&p, A, PR_RESERVE, type, KEY(A), 0), 0);
	ck_assert_uint_eq(pr_out(&p, A, PR_RELEASE, other, KEY(A), 0), SENSE_INVALID_RELEASE);
	ck_assert_uint_eq(pr_out(&p, A, PR_RELEASE, type, KEY(B), 0), CONFLICT);
	ck_assert_uint_eq(pr_out(&p, D, PR_RELEASE, type, 0, 0), CONFLICT);
	ck_assert_uint_eq(pr_out(&p, B, PR_RELEASE, type, KEY(B), 0), 0);
	if (all) { /* B was a holder, too */
		ck_assert_uint_eq(ready(&p, A), SENSE_RESERVATIONS_RELEASED);
		ck_assert_uint_eq(ready(&p, C), SENSE_RESERVATIONS_RELEASED);
		STATE(&p, 3, 0, 0, KEY(A), KEY(B), KEY(C));
		return;
	}
	STATE(&p, 3, type, KEY(A), KEY(A), KEY(B), KEY(C));
	ck_assert_uint_eq(pr_out(&p, A, PR_RELEASE, type, KEY(A), 0), 0);
	STATE(&p, 3, 0, 0, KEY(A), KEY(B), KEY(C));
	ck_assert_uint_eq(ready(&p, A), 0);
	ck_assert_uint_eq(ready(&p, B), told ? SENSE_RESERVATIONS_RELEASED : 0);
	ck_assert_uint_eq(ready(&p, C), told ? SENSE_RESERVATIONS_RELEASED : 0);
	ck_assert_uint_eq(ready(&p, B), 0);
	ck_assert_uint_eq(ready(&p, D), 0); /* not registered: not told */
}
END_TEST

START_TEST(holder_unregisters)
{
	uint8_t type = types[_i];
	bool all = type >= 7, told = type == 5 || type == 6;

	pr_register(&p, A);
	pr_register(&p, B);
	ck_assert_uint_eq(pr_out(&p, A, PR_RESERVE, type, KEY(A), 0), 0);
	ck_assert_uint_eq(pr_out(&p, A, PR_REGISTER, 0, KEY(A), 0), 0);
	ck_assert_uint_eq(ready(&p, B), told ? SENSE_RESERVATIONS_RELEASED : 0);
	STATE(&p, 3, all ? type : 0, 0, KEY(B));
	ck_assert_uint_eq(pr_out(&p, B, PR_REGISTER, 0, KEY(B), 0), 0); /* the last */
	expect_state(&p, 4, 0, 0, 0, NULL);
	ck_assert_uint_eq(ready(&p, A), 0);
}
END_TEST

/* A registrant that is none of the holders leaves: the holder is found again. */
START_TEST(holder_stays_when_one_before_it_leaves)
{
	pr_register(&p, A);
	pr_register(&p, B);
	pr_register(&p, C);
	ck_assert_uint_eq(pr_out(&p, C, PR_RESERVE, 3, KEY(C), 0), 0);
	ck_assert_uint_eq(pr_out(&p, A, PR_REGISTER, 0, KEY(A), 0), 0);
	STATE(&p, 4, 3, KEY(C), KEY(B), KEY(C));
	ck_assert_uint_eq(IN(as(&p, C), 512, READ10(0, 1)), 0);
	ck_assert_uint_eq(IN(as(&p, B), 512, READ10(0, 1)), CONFLICT);
}
END_TEST

/* ---- CLEAR, PREEMPT
 * -------------------------------------------------------------------------------- */

START_TEST(clear_rules)
{
	for (int i = A; i <= C; i++)
		pr_register(&p, i);
	ck_assert_uint_eq(pr_out(&p, A, PR_RESERVE, types[_i], KEY(A), 0), 0);
	ck_assert_uint_eq(pr_out(&p, B, PR_CLEAR, 0, KEY(A), 0), CONFLICT);
	ck_assert_uint_eq(pr_out(&p, D, PR_CLEAR, 0, 0, 0), CONFLICT);
	ck_assert_uint_eq(pr_out(&p, B, PR_CLEAR, 0xff, KEY(B), 0), 0); /* type: ignored */
	ck_assert_uint_eq(ready(&p, A), SENSE_RESERVATIONS_PREEMPTED);
	expect_state(&p, 4, 0, 0, 0, NULL);
	ck_assert_uint_eq(ready(&p, B), 0);
	ck_assert_uint_eq(ready(&p, C), SENSE_RESERVATIONS_PREEMPTED);
	ck_assert_uint_eq(ready(&p, D), 0);
}
END_TEST

START_TEST(preempt_the_holder)
{
	uint8_t type = types[_i];

	if (type >= 7)
		return;
	for (int i = A; i <= C; i++)
		pr_register(&p, i);
	ck_assert_uint_eq(pr_out(&p, A, PR_RESERVE, type, KEY(A), 0), 0);
	ck_assert_uint_eq(pr_out(&p, B, PR_PREEMPT, type, KEY(C), KEY(A)), CONFLICT);
	ck_assert_uint_eq(pr_out(&p, B, PR_PREEMPT, type, KEY(B), 0), SENSE_LIST_FIELD);
	ck_assert_uint_eq(pr_out(&p, B, PR_PREEMPT, type, KEY(B), 0x4711), CONFLICT);
	ck_assert_uint_eq(pr_out(&p, B, PR_PREEMPT, type, KEY(B), KEY(A)), 0);
	ck_assert_uint_eq(ready(&p, A), SENSE_REGISTRATIONS_PREEMPTED);
	ck_assert_uint_eq(ready(&p, A), 0);
	STATE(&p, 4, type, KEY(B), KEY(B), KEY(C));
	ck_assert_uint_eq(ready(&p, B), 0);
	ck_assert_uint_eq(ready(&p, C), 0);
	ck_assert_uint_eq(OUT(as(&p, A), 512, WRITE10(0, 1)), CONFLICT);
	ck_assert_uint_eq(OUT(as(&p, B), 512, WRITE10(0, 1)), 0);
	/* With another type, and by itself: it keeps its registration. */
	ck_assert_uint_eq(pr_out(&p, B, PR_PREEMPT, 8, KEY(B), KEY(B)), 0);
	STATE(&p, 5, 8, 0, KEY(B), KEY(C));
	ck_assert_uint_eq(ready(&p, C), SENSE_RESERVATIONS_RELEASED);
}
END_TEST

START_TEST(preempt_a_registrant)
{
	uint8_t type = types[_i];

	for (int i = A; i <= D; i++)
		pr_register(&p, i);
	ck_assert_uint_eq(pr_out(&p, A, PR_RESERVE, type, KEY(A), 0), 0);
	ck_assert_uint_eq(pr_out(&p, B, PR_PREEMPT, 1, KEY(B), KEY(C)), 0);
	ck_assert_uint_eq(ready(&p, C), SENSE_REGISTRATIONS_PREEMPTED);
	STATE(&p, 5, type, type >= 7 ? 0 : KEY(A), KEY(A), KEY(B), KEY(D));
	for (int i = A; i <= D; i++)
		ck_assert_uint_eq(ready(&p, i), 0);
}
END_TEST

START_TEST(preempt_all_registrants)
{
	for (int i = A; i <= C; i++)
		pr_register(&p, i);
	ck_assert_uint_eq(pr_out(&p, A, PR_RESERVE, 7 + _i, KEY(A), 0), 0);
	ck_assert_uint_eq(pr_out(&p, B, PR_PREEMPT, 3, KEY(B), 0), 0);
	ck_assert_uint_eq(ready(&p, A), SENSE_REGISTRATIONS_PREEMPTED);
	ck_assert_uint_eq(ready(&p, C), SENSE_REGISTRATIONS_PREEMPTED);
	STATE(&p, 4, 3, KEY(B), KEY(B));
}
END_TEST

START_TEST(preempt_without_a_reservation)
{
	pr_register(&p, A);
	pr_register(&p, B);
	ck_assert_uint_eq(pr_out(&p, C, PR_PREEMPT, 1, 0, KEY(A)), CONFLICT);
	ck_assert_uint_eq(pr_out(&p, A, PR_PREEMPT, 1, KEY(A), 0), SENSE_LIST_FIELD);
	ck_assert_uint_eq(pr_out(&p, A, PR_PREEMPT, 1, KEY(A), KEY(B)), 0);
	STATE(&p, 3, 0, 0, KEY(A)); /* takes none */
	ck_assert_uint_eq(pr_out(&p, A, PR_PREEMPT, 1, KEY(A), KEY(A)), 0);
	expect_state(&p, 4, 0, 0, 0, NULL); /* itself */
	ck_assert_uint_eq(ready(&p, A), 0);
}
END_TEST

START_TEST(preempt_and_abort)
{
	pr_register(&p, A);
	pr_register(&p, B);
	ck_assert_uint_eq(pr_out(&p, A, PR_RESERVE, 1, KEY(A), 0), 0);
	ck_assert_uint_eq(pr_out(&p, B, PR_PREEMPT_AND_ABORT, 3, KEY(B), KEY(A)), 0);
	/* In the order of section 14. */
	ck_assert_uint_eq(ready(&p, A), SENSE_REGISTRATIONS_PREEMPTED);
	ck_assert_uint_eq(ready(&p, A), SENSE_COMMANDS_CLEARED);
	ck_assert_uint_eq(ready(&p, A), 0);
	STATE(&p, 3, 3, KEY(B), KEY(B));
}
END_TEST

/* A transport with something in flight. */
static struct {
	struct scsi_fence *held;
	uint32_t calls;
	uint8_t number;
	bool at_once; /* nothing is in flight */
	bool kept_out;
} transport;

static void abort_in_flight(void *ctx, uint8_t number, struct scsi_fence *f)
{
	struct scsi_nexus *n = ctx;

	transport.calls++;
	transport.number = number;
	/* What gets through from here on is bound by the new reservation. */
	transport.kept_out = load_relaxed(&n->attentions) & SCSI_NEXUS_RESERVED;
	if (transport.at_once)
		return;
	scsi_fence_hold(f);
	transport.held = f;
}

static void hear_news(int i)
{
	while (ready(&p, i))
		;
}

static void with_transport(int i)
{
	memset(&transport, 0, sizeof(transport));
	scsi_target_set_abort(p.who[i], abort_in_flight, &p.who[i]->nexus[0]);
}

/* No GOOD before the last command of the removed initiator is over; B holds the medium then. */
START_TEST(preempt_and_abort_waits)
{
	pr_register(&p, A);
	pr_register(&p, B);
	with_transport(A);
	ck_assert_uint_eq(pr_out(&p, A, PR_RESERVE, 1, KEY(A), 0), 0);
	ck_assert_uint_eq(pr_out(&p, C, PR_PREEMPT_AND_ABORT, 3, KEY(C), KEY(A)), CONFLICT);
	ck_assert_uint_eq(transport.calls, 0);
	pr_out(&p, B, PR_PREEMPT_AND_ABORT, 1, KEY(B), KEY(A));
	ck_assert(p.r->pending);
	ck_assert_uint_eq(transport.calls, 1);
	ck_assert_uint_eq(transport.number, 0);
	ck_assert(transport.kept_out);
	fake_blk_run(p.r->q);
	ck_assert(p.r->pending);
	if (_i) /* stuck: it may still write, so this is no GOOD; but it is gone */
		scsi_fence_fail(transport.held);
	scsi_fence_pass(transport.held);
	ck_assert(p.r->pending); /* on its own loop, not in the middle of another's */
	fake_blk_run(p.r->q);
	ck_assert_uint_eq(p.r->finished, 1);
	ck_assert_uint_eq(rig_result(p.r), _i ? SENSE_TARGET_FAILURE : 0);
	ck_assert_uint_eq(ready(&p, A), SENSE_REGISTRATIONS_PREEMPTED);
	ck_assert_uint_eq(ready(&p, A), SENSE_COMMANDS_CLEARED);
	ck_assert_uint_eq(OUT(as(&p, A), 512, WRITE10(0, 1)), CONFLICT);
	STATE(&p, 3, 1, KEY(B), KEY(B));
}
END_TEST

START_TEST(preempt_and_abort_with_nothing_in_flight)
{
	pr_register(&p, A);
	pr_register(&p, B);
	with_transport(A);
	transport.at_once = true;
	ck_assert_uint_eq(pr_out(&p, B, PR_PREEMPT_AND_ABORT, 1, KEY(B), KEY(A)), 0);
	ck_assert_uint_eq(transport.calls, 1);
	hear_news(A);
	pr_register(&p, A);
	ck_assert_uint_eq(pr_out(&p, B, PR_PREEMPT, 1, KEY(B), KEY(A)), 0);
	ck_assert_uint_eq(transport.calls, 1); /* PREEMPT alone lets them go on */
	hear_news(A);
	pr_register(&p, A);
	scsi_target_set_abort(p.who[A], NULL, NULL);
	ck_assert_uint_eq(pr_out(&p, B, PR_PREEMPT_AND_ABORT, 1, KEY(B), KEY(A)), 0);
	ck_assert_uint_eq(transport.calls, 1);
}
END_TEST

/* ---- S22: lists and CDBs that are wrong
 * ------------------------------------------------------------------
 */

START_TEST(S22_wrong_lists_change_nothing)
{
	static const uint8_t actions[] = { 0, 1, 2, 3, 4, 5, 6 };
	struct rig *r;

	pr_register(&p, A);
	pr_register(&p, B);
	ck_assert_uint_eq(pr_out(&p, A, PR_RESERVE, 6, KEY(A), 0), 0);
	r = as(&p, A);
	for (size_t a = 0; a < ARRAY_SIZE(actions); a++) {
		for (uint32_t len = 0; len <= 64; len++) {
			if (len == 24)
				continue;
			memset(r->data, 0, 64);
			be64_put(r->data, KEY(A));
			ck_assert_uint_eq(OUT(r, 64, 0x5f, actions[a], 6, 0, 0, L32(len), 0),
					  SENSE_LIST_LENGTH);
		}
		/* The buffer is shorter than the list, or goes the other way. */
		ck_assert_uint_eq(OUT(r, 23, 0x5f, actions[a], 6, 0, 0, L32(24), 0),
				  SENSE_LIST_LENGTH);
		ck_assert_uint_eq(OUT(r, 24, 0x5f, actions[a], 6, 0, 0, L32(-1), 0),
				  SENSE_LIST_LENGTH);
		ck_assert_uint_eq(IN(r, 24, 0x5f, actions[a], 6, 0, 0, L32(24), 0),
				  SENSE_CDB_FIELD);
		/* SPEC_I_PT; APTPL where nobody keeps anything */
		ck_assert_uint_eq(pr_out_flags(&p, A, actions[a], 6, KEY(A), KEY(C), 0x08),
				  SENSE_LIST_FIELD);
		ck_assert_uint_eq(pr_out_flags(&p, A, actions[a], 6, KEY(A), KEY(C), 0x01),
				  SENSE_LIST_FIELD);
	}
	for (uint32_t type = 0; type < 256; type++) {
		if (scsi_pr_type_valid((uint8_t)type))
			continue;
		for (uint8_t a = PR_RESERVE; a <= PR_PREEMPT_AND_ABORT; a++)
			if (a != PR_CLEAR)
				ck_assert_uint_eq(pr_out(&p, A, a, (uint8_t)type, KEY(A), KEY(B)),
						  SENSE_CDB_FIELD);
	}
	STATE(&p, 2, 6, KEY(A), KEY(A), KEY(B));
	for (int i = A; i <= D; i++)
		ck_assert_uint_eq(ready(&p, i), 0);
}
END_TEST

/* Any CDB and list, by several: the state stays one that makes sense. */
START_TEST(S22_random_commands)
{
	unsigned seed = 1;
	struct scsi_pr_state *s = &p.r->lun->pr->state, back;
	uint8_t bytes[SCSI_PR_STATE_MAX];

	for (int i = 0; i < 20000; i++) {
		int who = rand_r(&seed) % INITIATORS;
		uint64_t key = KEY(rand_r(&seed) % 3), sa = KEY(rand_r(&seed) % 3);

		if (rand_r(&seed) % 4 == 0)
			key = sa = 0;
		pr_out(&p, who, (uint8_t)(rand_r(&seed) % 8), (uint8_t)(rand_r(&seed) % 9), key,
		       sa);
		ck_assert_uint_le(s->n, INITIATORS);
		ck_assert(!s->type || s->n);
		s->persist = true;
		ck_assert_ptr_null(scsi_pr_decode(&back, bytes, scsi_pr_encode(s, bytes)));
		s->persist = false;
	}
}
END_TEST

/* ---- what survives a restart
 * --------------------------------------------------------------------------------
 */

static struct {
	uint8_t bytes[SCSI_PR_STATE_MAX];
	uint32_t len, calls;
	bool later; /* answers when the test says so */
	int err;
	void (*saved)(void *arg, int err);
	void *arg;
} medium;

static void keep(void *ctx, const void *state, uint32_t len, void (*saved)(void *arg, int err),
		 void *arg)
{
	ck_assert_ptr_eq(ctx, &medium);
	medium.calls++;
	if (medium.later) {
		medium.saved = saved;
		medium.arg = arg;
	}
	if (!medium.err) {
		ck_assert_uint_le(len, sizeof(medium.bytes));
		memcpy(medium.bytes, state, len);
		medium.len = len;
	}
	if (!medium.later)
		saved(arg, medium.err);
}

/* As after a restart: a new LUN over the same disk, with what was kept, and all come again. */
static int restart(const void *bytes, uint32_t len)
{
	struct scsi_pr_keeper keeper = { keep, &medium };
	struct scsi_lun_config cfg = { .dev = p.r->dev, .keeper = &keeper };
	char why[64] = "";
	int err = 0;

	for (int i = 0; i < INITIATORS; i++)
		scsi_target_destroy(p.who[i]);
	ck_assert_uint_eq(p.r->lun->scratch, 0);
	scsi_lun_destroy(p.r->lun);
	ck_assert_int_eq(scsi_lun_create(&p.r->lun, &cfg), 0);
	if (bytes)
		err = scsi_lun_restore(p.r->lun, bytes, len, why, sizeof(why));
	ck_assert(!err || *why);
	for (int i = 0; i < INITIATORS; i++)
		p.who[i] = pr_rig_target(p.r->lun, INITIATORS - 1 - i); /* in another order */
	for (int i = 0; i < INITIATORS / 2; i++) {
		struct scsi_target *t = p.who[i];

		p.who[i] = p.who[INITIATORS - 1 - i];
		p.who[INITIATORS - 1 - i] = t;
	}
	p.r->target = p.who[A];
	return err;
}

static void setup_kept(void)
{
	pr_rig_up(&p);
	memset(&medium, 0, sizeof(medium));
	ck_assert_int_eq(restart(NULL, 0), 0);
}

START_TEST(persists_over_a_restart)
{
	uint8_t type = types[_i];

	IN(as(&p, A), 8, 0x5e, 2, Z4, 0, 0, 8, 0);
	ck_assert_uint_eq(p.r->data[2], 0x05);
	ck_assert_uint_eq(p.r->data[3], 0x80);
	pr_register(&p, B);
	ck_assert_uint_eq(medium.calls, 0); /* nobody asked for it yet */
	ck_assert_uint_eq(pr_out_flags(&p, A, PR_REGISTER, 0, 0, KEY(A), 1), 0);
	ck_assert_uint_eq(pr_out(&p, A, PR_RESERVE, type, KEY(A), 0), 0);
	ck_assert_uint_eq(medium.calls, 2);
	IN(as(&p, A), 8, 0x5e, 2, Z4, 0, 0, 8, 0);
	ck_assert_uint_eq(p.r->data[3], 0x81);
	ck_assert_int_eq(restart(medium.bytes, medium.len), 0);
	STATE(&p, 0, type, type >= 7 ? 0 : KEY(A), KEY(B), KEY(A));
	ck_assert_uint_eq(OUT(as(&p, A), 512, WRITE10(0, 1)), 0);
	ck_assert_uint_eq(OUT(as(&p, B), 512, WRITE10(0, 1)), type >= 5 ? 0 : CONFLICT);
	ck_assert_uint_eq(OUT(as(&p, C), 512, WRITE10(0, 1)), CONFLICT);
	ck_assert_uint_eq(pr_out(&p, B, PR_CLEAR, 0, KEY(B), 0), 0);
	ck_assert_int_eq(restart(medium.bytes, medium.len), 0);
	expect_state(&p, 0, 0, 0, 0, NULL);
}
END_TEST

/* The latest registration says whether to keep: also that nothing is to be kept any more. */
START_TEST(persisting_is_turned_off)
{
	ck_assert_uint_eq(pr_out_flags(&p, A, PR_REGISTER, 0, 0, KEY(A), 1), 0);
	ck_assert_uint_eq(pr_out_flags(&p, B, PR_REGISTER, 0, 0, KEY(B), 0), 0);
	ck_assert_uint_eq(medium.calls, 2);
	STATE(&p, 2, 0, 0, KEY(A), KEY(B));
	pr_register(&p, C);
	ck_assert_uint_eq(medium.calls, 2);
	ck_assert_int_eq(restart(medium.bytes, medium.len), 0);
	expect_state(&p, 0, 0, 0, 0, NULL);
}
END_TEST

START_TEST(failed_save_changes_nothing)
{
	ck_assert_uint_eq(pr_out_flags(&p, A, PR_REGISTER, 0, 0, KEY(A), 1), 0);
	pr_register(&p, B);
	ck_assert_uint_eq(pr_out_flags(&p, B, PR_REGISTER, 0, KEY(B), KEY(B), 1), 0);
	medium.err = -EIO;
	medium.later = _i;
	pr_out(&p, B, PR_PREEMPT, 1, KEY(B), KEY(A));
	if (_i)
		medium.saved(medium.arg, -EIO);
	ck_assert_uint_eq(rig_result(p.r), SENSE_TARGET_FAILURE);
	medium.err = -EAGAIN;
	medium.later = false;
	ck_assert_uint_eq(pr_out(&p, B, PR_PREEMPT, 1, KEY(B), KEY(A)), BUSY);
	STATE(&p, 3, 0, 0, KEY(A), KEY(B));
	ck_assert_uint_eq(ready(&p, A), 0);
}
END_TEST

/* First on the medium, then in effect, then nothing in flight, then GOOD. */
START_TEST(preempt_and_abort_waits_for_both)
{
	ck_assert_uint_eq(pr_out_flags(&p, A, PR_REGISTER, 0, 0, KEY(A), 1), 0);
	ck_assert_uint_eq(pr_out_flags(&p, B, PR_REGISTER, 0, 0, KEY(B), 1), 0);
	with_transport(A);
	medium.later = true;
	pr_out(&p, B, PR_PREEMPT_AND_ABORT, 3, KEY(B), KEY(A));
	ck_assert_uint_eq(transport.calls, 0);
	medium.saved(medium.arg, 0);
	ck_assert(p.r->pending);
	ck_assert_uint_eq(transport.calls, 1);
	scsi_fence_pass(transport.held);
	fake_blk_run(p.r->q);
	ck_assert_uint_eq(rig_result(p.r), 0);
}
END_TEST

START_TEST(command_waits_for_its_save)
{
	struct rig *r;

	medium.later = true;
	pr_out_flags(&p, A, PR_REGISTER, 0, 0, KEY(A), 1);
	ck_assert(p.r->pending);
	p.r->pending = false;
	/* Others go on, but do not change reservations, and see the old state. */
	r = calloc(1, sizeof(*r));
	*r = *p.r;
	r->target = p.who[B];
	ck_assert_uint_eq(IN(r, 8, 0x5e, 0, Z4, 0, 0, 8, 0), 0);
	ck_assert_uint_eq(be32_at(r->data + 4), 0);
	ck_assert_uint_eq(IN(r, 512, READ10(0, 1)), 0);
	memset(r->data, 0, 24);
	ck_assert_uint_eq(OUT(r, 24, 0x5f, 0, 0, 0, 0, L32(24), 0), BUSY);
	ck_assert_uint_eq(NODATA(r, 0x16, Z4, 0), CONFLICT);
	scsi_target_lost(p.who[A]);
	free(r);
	p.r->pending = true;
	ck_assert_uint_eq(p.r->finished, 0);
	medium.saved(medium.arg, 0);
	ck_assert_uint_eq(p.r->finished, 1);
	ck_assert_uint_eq(rig_result(p.r), 0);
	STATE(&p, 1, 0, 0, KEY(A));
}
END_TEST

/* ---- states that are not ours
 * ---------------------------------------------------------------------------------
 */

static uint32_t good_state(uint8_t *bytes)
{
	struct scsi_pr_state s = { .n = 3, .type = 5, .holder = 1, .persist = true };

	for (int i = 0; i < 3; i++) {
		s.reg[i].key = KEY(i);
		pr_rig_name(s.reg[i].initiator, i);
	}
	return scsi_pr_encode(&s, bytes);
}

/* Any bit: the checksum. Any length: a state says how long it is. */
START_TEST(corrupted_states_are_refused)
{
	uint8_t bytes[SCSI_PR_STATE_MAX + 1] = { 0 };
	uint32_t len = good_state(bytes);
	struct scsi_pr_state s;

	ck_assert_ptr_null(scsi_pr_decode(&s, bytes, len));
	for (uint32_t bit = 0; bit < 8 * len; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		ck_assert_ptr_nonnull(scsi_pr_decode(&s, bytes, len));
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (uint32_t n = 0; n <= sizeof(bytes); n++)
		ck_assert((scsi_pr_decode(&s, bytes, n) == NULL) == (n == len));
	ck_assert_int_eq(restart(bytes, len - 1), -EINVAL);
	expect_state(&p, 0, 0, 0, 0, NULL);
}
END_TEST

/* With a right checksum: written by somebody who knows how. */
static const struct {
	uint32_t at;
	uint8_t value;
	const char *why;
} forged[] = {
	{ 0, 'X', "no reservation state" },
	{ 9, 2, "another version" },
	{ 10, 2, "does not exist" },
	{ 10, 9, "does not exist" },
	{ 10, 7, "holder" }, /* all are, so none is named */
	{ 10, 0, "holder" },
	{ 11, 1, "reserved" },
	{ 12, 1, "more registrations" },
	{ 13, 2, "length" },
	{ 13, 4, "length" },
	{ 14, 1, "holder" },
	{ 15, 3, "holder" },
	{ 31, 1, "reserved" },
	{ 32 + 8, 2, "well-formed" },
	{ 32 + 15, 1, "well-formed" },
};

START_TEST(forged_states_are_refused_with_a_reason)
{
	uint8_t bytes[SCSI_PR_STATE_MAX];
	uint32_t len = good_state(bytes);
	struct scsi_pr_state s;
	const char *why;

	bytes[forged[_i].at] = forged[_i].value;
	be32_put(bytes + len - 4, (uint32_t)crc32(0, bytes, len - 4));
	why = scsi_pr_decode(&s, bytes, len);
	ck_assert_msg(why && strstr(why, forged[_i].why), "%d: %s", _i, why ? why : "accepted");
}
END_TEST

START_TEST(forged_registrations)
{
	uint8_t bytes[SCSI_PR_STATE_MAX];
	uint32_t len = good_state(bytes);
	struct scsi_pr_state s;

	memcpy(bytes + 32 + 32, bytes + 32, 32); /* twice the same */
	be32_put(bytes + len - 4, (uint32_t)crc32(0, bytes, len - 4));
	ck_assert_ptr_nonnull(strstr(scsi_pr_decode(&s, bytes, len), "twice"));
	good_state(bytes);
	memset(bytes + 32, 0, 8); /* no key */
	be32_put(bytes + len - 4, (uint32_t)crc32(0, bytes, len - 4));
	ck_assert_ptr_nonnull(strstr(scsi_pr_decode(&s, bytes, len), "well-formed"));
}
END_TEST

/* ---- two loops
 * -------------------------------------------------------------------------------------------------
 */

struct nexus_thread {
	pthread_t thread;
	struct scsi_target *target;
	struct blk_queue *q;
	int me;
	uint32_t wrong, wins;
};

static uint64_t owner; /* written only by whoever holds the reservation; relaxed */

/* Sends with a buffer of its own; result as rig_result(). */
static uint32_t send(struct nexus_thread *n, const uint8_t *cdb, uint32_t cdb_len, uint8_t dir,
		     uint8_t *data, uint32_t len)
{
	struct iovec iov = { data, len };
	struct scsi_task t;

	memset(&t, 0, sizeof(t));
	memcpy(t.cdb, cdb, cdb_len);
	t.cdb_len = (uint8_t)cdb_len;
	t.data_dir = dir;
	t.iov = &iov;
	t.niov = len != 0;
	t.data_len = len;
	t.queue = n->q;
	if (!scsi_execute(n->target, 0, &t))
		abort();
	if (t.status != SCSI_CHECK_CONDITION)
		return t.status ? ~(uint32_t)t.status : 0;
	return (uint32_t)t.sense[2] << 16 | (uint32_t)t.sense[12] << 8 | t.sense[13];
}

static uint32_t send_out(struct nexus_thread *n, uint8_t action, uint8_t type, uint64_t key,
			 uint64_t sa_key)
{
	uint8_t list[24] = { 0 };

	be64_put(list, key);
	be64_put(list + 8, sa_key);
	return send(n, CDB(0x5f, action, type, 0, 0, L32(24), 0), SCSI_DIR_OUT, list, 24);
}

#define THREAD_ROUNDS 3000

/* Takes the reservation by any means, writes, and gives it up, again and again. */
static void *compete(void *arg)
{
	struct nexus_thread *n = arg;
	uint8_t block[512];

	for (int i = 0; i < THREAD_ROUNDS; i++) {
		if (send_out(n, PR_RESERVE, PR_EXCLUSIVE_ACCESS, KEY(n->me), 0)) {
			sched_yield();
			continue;
		}
		n->wins++;
		store_relaxed(&owner, n->me);
		n->wrong += send(n, CDB(WRITE10(0, 1)), SCSI_DIR_OUT, block, 512) != 0;
		n->wrong += send(n, CDB(READ10(0, 1)), SCSI_DIR_IN, block, 512) != 0;
		n->wrong += load_relaxed(&owner) != (uint64_t)n->me;
		n->wrong += send_out(n, PR_RELEASE, PR_EXCLUSIVE_ACCESS, KEY(n->me), 0) != 0;
	}
	return NULL;
}

START_TEST(two_nexuses_on_two_loops)
{
	struct nexus_thread n[2] = { { .target = p.who[A], .me = A },
				     { .target = p.who[B], .me = B } };

	p.r->dev->no_log = true;
	pr_register(&p, A);
	pr_register(&p, B);
	for (int i = 0; i < 2; i++) {
		n[i].q = fake_blk_queue(p.r->dev);
		ck_assert_int_eq(pthread_create(&n[i].thread, NULL, compete, &n[i]), 0);
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(n[i].thread, NULL);
		blk_queue_destroy(n[i].q);
		ck_assert_uint_eq(n[i].wrong, 0);
	}
	ck_assert_uint_ne(n[0].wins + n[1].wins, 0);
	STATE(&p, 2, 0, 0, KEY(A), KEY(B));
}
END_TEST

/* Everything at once, also a third that comes and goes: for ThreadSanitizer. */
static void *meddle(void *arg)
{
	struct nexus_thread *n = arg;
	unsigned seed = (unsigned)n->me;
	uint8_t data[512];

	for (int i = 0; i < THREAD_ROUNDS; i++) {
		send_out(n, (uint8_t)(rand_r(&seed) % 7), (uint8_t)(rand_r(&seed) % 9),
			 KEY(rand_r(&seed) % 2), KEY(rand_r(&seed) % 2));
		send(n, CDB(0x5e, (uint8_t)(rand_r(&seed) % 4), Z4, 0, L16(512), 0), SCSI_DIR_IN,
		     data, 512);
		send(n, CDB(0x16 + (uint8_t)(rand_r(&seed) % 2), Z4, 0), SCSI_DIR_NONE, data, 0);
		send(n, CDB(READ10(0, 1)), SCSI_DIR_IN, data, 512);
		if (rand_r(&seed) % 16 == 0)
			scsi_target_reset(n->target, SCSI_ALL_LUNS);
		if (rand_r(&seed) % 16 == 0)
			scsi_target_lost(n->target);
	}
	return NULL;
}

START_TEST(two_loops_meddle)
{
	struct nexus_thread n[2] = { { .target = p.who[A], .me = A },
				     { .target = p.who[B], .me = B } };

	p.r->dev->no_log = true;
	for (int i = 0; i < 2; i++) {
		n[i].q = fake_blk_queue(p.r->dev);
		ck_assert_int_eq(pthread_create(&n[i].thread, NULL, meddle, &n[i]), 0);
	}
	for (int i = 0; i < 50; i++) {
		scsi_target_destroy(p.who[C]);
		sched_yield();
		p.who[C] = pr_rig_target(p.r->lun, C);
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(n[i].thread, NULL);
		blk_queue_destroy(n[i].q);
	}
}
END_TEST

static void add_rules(TCase *t)
{
	int n = ARRAY_SIZE(types);

	tcase_add_test(t, register_rules);
	tcase_add_test(t, too_many_keys);
	tcase_add_loop_test(t, reserve_rules, 0, n);
	tcase_add_loop_test(t, release_rules, 0, n);
	tcase_add_loop_test(t, holder_unregisters, 0, n);
	tcase_add_test(t, holder_stays_when_one_before_it_leaves);
	tcase_add_loop_test(t, clear_rules, 0, n);
	tcase_add_loop_test(t, preempt_the_holder, 0, n);
	tcase_add_loop_test(t, preempt_a_registrant, 0, n);
	tcase_add_loop_test(t, preempt_all_registrants, 0, 2);
	tcase_add_test(t, preempt_without_a_reservation);
	tcase_add_test(t, preempt_and_abort);
}

int main(void)
{
	Suite *s = suite_create("scsi_pr");
	TCase *t = tcase_create("commands"), *k = tcase_create("kept");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, golden_register_read_reserve);
	tcase_add_test(t, golden_full_status);
	tcase_add_test(t, every_allocation_length);
	tcase_add_test(t, service_actions_out_of_range);
	add_rules(t);
	tcase_add_loop_test(t, preempt_and_abort_waits, 0, 2);
	tcase_add_test(t, preempt_and_abort_with_nothing_in_flight);
	tcase_add_test(t, S22_wrong_lists_change_nothing);
	tcase_add_test(t, S22_random_commands);
	tcase_add_test(t, two_nexuses_on_two_loops);
	tcase_add_test(t, two_loops_meddle);
	suite_add_tcase(s, t);
	tcase_add_checked_fixture(k, setup_kept, teardown);
	tcase_add_loop_test(k, persists_over_a_restart, 0, ARRAY_SIZE(types));
	tcase_add_test(k, persisting_is_turned_off);
	tcase_add_loop_test(k, failed_save_changes_nothing, 0, 2);
	tcase_add_test(k, preempt_and_abort_waits_for_both);
	tcase_add_test(k, command_waits_for_its_save);
	tcase_add_test(k, corrupted_states_are_refused);
	tcase_add_loop_test(k, forged_states_are_refused_with_a_reason, 0, ARRAY_SIZE(forged));
	tcase_add_test(k, forged_registrations);
	suite_add_tcase(s, k);
	return rig_main(s);
}
