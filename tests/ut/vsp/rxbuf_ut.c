/* SPDX-License-Identifier: MIT */
/*
 * Sub-allocations of the receive buffer, against a model that is a plain list of who has what.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "vsp/netvsp/rxbuf.h"

#define SIZE	 1000u
#define COUNT	 200u
#define RESERVED 16u
#define CHANNELS 4u
#define PORTS	 5u

static uint8_t memory[SIZE * COUNT + 7];
static struct vmbus_buffer buf = { .data = memory, .len = sizeof(memory) };
static struct rxbuf r;

static void setup(void)
{
	memset(memory, 0x5a, sizeof(memory));
	ck_assert_int_eq(rxbuf_begin(&r, &buf, 0xcafe, SIZE, RESERVED), 0);
}

static void teardown(void)
{
	/* Nothing is kept where the guest can write. */
	ck_assert(memory[0] == 0x5a && !memcmp(memory, memory + 1, sizeof(memory) - 1));
	rxbuf_end(&r);
}

static uint16_t out(uint32_t from, uint8_t chan)
{
	uint16_t s = rxbuf_take(&r, from);

	ck_assert_uint_ne(s, RXBUF_NONE);
	rxbuf_chain(&r, s, s, s, chan);
	return s;
}

START_TEST(cut_into_pieces)
{
	ck_assert_uint_eq(r.count, COUNT);
	ck_assert_uint_eq(r.free, COUNT - RESERVED);
	ck_assert_ptr_eq(rxbuf_ptr(&r, 17), memory + 17 * SIZE);
}
END_TEST

START_TEST(too_small_for_one)
{
	struct vmbus_buffer b = { .data = memory, .len = SIZE * RESERVED };
	struct rxbuf x = { 0 };

	ck_assert_int_eq(rxbuf_begin(&x, &b, 1, SIZE, RESERVED), -EINVAL);
	ck_assert_int_eq(rxbuf_begin(&x, &b, 1, 0, RESERVED), -EINVAL);
	b.len += SIZE;
	ck_assert_int_eq(rxbuf_begin(&x, &b, 1, SIZE, RESERVED), 0);
	ck_assert_uint_eq(x.free, 1);
	rxbuf_end(&x);
	ck_assert_ptr_null(x.buf);
}
END_TEST

START_TEST(no_more_than_numbers_can_say)
{
	struct vmbus_buffer b = { .data = memory, .len = 31u << 20 };
	struct rxbuf x = { 0 };

	ck_assert_int_eq(rxbuf_begin(&x, &b, 1, 100, RESERVED), 0);
	ck_assert_uint_eq(x.count, RXBUF_MAX);
	rxbuf_end(&x);
}
END_TEST

START_TEST(reserved_ones_are_never_given_out)
{
	uint32_t i;

	for (i = 0; i < COUNT - RESERVED; i++)
		ck_assert_uint_ge(rxbuf_take(&r, 0), RESERVED);
	ck_assert_uint_eq(rxbuf_take(&r, 0), RXBUF_NONE);
	ck_assert_uint_eq(r.free, 0);
	for (i = 0; i < RESERVED; i++)
		ck_assert_uint_eq(rxbuf_complete(&r, i, 0), 0);
}
END_TEST

/* A few megabytes of them: here that is all. */
START_TEST(all_go_round)
{
	for (uint32_t i = 0; i < 3 * (COUNT - RESERVED); i++) {
		uint16_t s = out(0, 0);

		ck_assert_uint_eq(s, RESERVED + i % (COUNT - RESERVED));
		ck_assert_uint_eq(rxbuf_complete(&r, s, 0), 1);
	}
}
END_TEST

START_TEST(a_chain_comes_back_as_a_whole_in_its_order)
{
	uint16_t s[5], i, last;

	for (i = 0; i < 5; i++)
		s[i] = rxbuf_take(&r, 3);
	ck_assert_uint_eq(r.held[3], 5);
	last = s[0];
	for (i = 0; i < 5; i++) {
		rxbuf_chain(&r, s[0], last, s[i], 2);
		last = s[i];
	}
	for (i = 1; i < 5; i++)
		ck_assert_uint_eq(rxbuf_complete(&r, s[i], 2), 0);
	ck_assert_uint_eq(rxbuf_complete(&r, s[0], 2), 5);
	ck_assert_uint_eq(r.held[3], 0);
	while (r.held[3] + 5u < COUNT - RESERVED)
		rxbuf_take(&r, 3);
	for (i = 0; i < 5; i++)
		ck_assert_uint_eq(rxbuf_take(&r, 3), s[i]);
}
END_TEST

/* N36. */
START_TEST(n36_only_what_is_out_there_comes_back_and_once)
{
	uint16_t s = out(0, 1), taken = rxbuf_take(&r, 0);
	uint32_t before = r.free;

	ck_assert_uint_eq(rxbuf_complete(&r, s, 2), 0);
	ck_assert_uint_eq(rxbuf_complete(&r, taken, 1), 0);
	ck_assert_uint_eq(rxbuf_complete(&r, COUNT, 1), 0);
	ck_assert_uint_eq(rxbuf_complete(&r, UINT64_MAX, 1), 0);
	ck_assert_uint_eq(rxbuf_complete(&r, s + 0x100000000ull, 1), 0);
	ck_assert_uint_eq(rxbuf_complete(&r, s + 0x10000u, 1), 0);
	ck_assert_uint_eq(r.free, before);
	ck_assert_uint_eq(rxbuf_complete(&r, s, 1), 1);
	ck_assert_uint_eq(rxbuf_complete(&r, s, 1), 0);
	ck_assert_uint_eq(r.free, before + 1);
}
END_TEST

START_TEST(nothing_is_out_of_a_buffer_that_is_gone)
{
	uint16_t s = out(0, 1);
	uint32_t generation = r.generation;

	rxbuf_end(&r);
	ck_assert_uint_ne(r.generation, generation);
	ck_assert_uint_eq(rxbuf_complete(&r, s, 1), 0);
	rxbuf_closed(&r, 1);
	ck_assert_int_eq(rxbuf_begin(&r, &buf, 0xcafe, SIZE, RESERVED), 0);
	ck_assert_uint_eq(rxbuf_complete(&r, s, 1), 0);
	ck_assert_uint_eq(r.free, COUNT - RESERVED);
}
END_TEST

START_TEST(n39_a_sender_gets_all_while_half_is_free_then_its_share)
{
	uint32_t usable = COUNT - RESERVED, i;

	for (i = 0; rxbuf_may(&r, 1, 1); i++)
		out(1, 0);
	ck_assert_uint_eq(i, usable / 2);
	/* The next one still gets something, and so does a third. */
	for (i = 0; rxbuf_may(&r, 2, 1); i++)
		out(2, 0);
	ck_assert_uint_ge(i, usable / 4);
	ck_assert(rxbuf_may(&r, 3, 1));
	ck_assert(!rxbuf_may(&r, 1, 1));
	ck_assert(!rxbuf_may(&r, 3, r.free + 1));
}
END_TEST

/* ---- a model -------------------------------------------------------------------------------- */

/* check writes each ck_assert() down, which at ten thousands of them is most of the work. */
#define MUST(cond)                                                                                 \
	do {                                                                                       \
		if (!(cond))                                                                       \
			ck_abort_msg("not so: %s", #cond);                                         \
	} while (0)

struct model {
	uint8_t from[COUNT], chan[COUNT], is_out[COUNT], is_taken[COUNT];
	uint16_t chain_of[COUNT]; /* first of it */
	uint32_t held[PORTS], free;
};

static void check_model(const struct model *m)
{
	uint32_t wrong = 0, i;

	MUST(r.free == m->free);
	for (i = 0; i < PORTS; i++)
		wrong += r.held[i] != m->held[i];
	MUST(!wrong);
}

static void model_release(struct model *m, uint32_t first)
{
	uint32_t i;

	for (i = 0; i < COUNT; i++) {
		if (!m->is_out[i] || m->chain_of[i] != first)
			continue;
		m->is_out[i] = 0;
		m->held[m->from[i]]--;
		m->free++;
	}
}

static void model_send(struct model *m)
{
	uint32_t n = 1 + (uint32_t)random() % 9, from = (uint32_t)random() % PORTS, i;
	uint8_t chan = (uint8_t)((uint32_t)random() % CHANNELS);
	uint16_t first = RXBUF_NONE, last = RXBUF_NONE, s;

	for (i = 0; i < n && m->free; i++) {
		s = rxbuf_take(&r, from);
		MUST(s >= RESERVED);
		MUST(s < COUNT);
		MUST(!m->is_out[s]);
		if (first == RXBUF_NONE)
			first = last = s;
		rxbuf_chain(&r, first, last, s, chan);
		last = s;
		m->is_out[s] = 1;
		m->from[s] = (uint8_t)from;
		m->chan[s] = chan;
		m->chain_of[s] = first;
		m->held[from]++;
		m->free--;
	}
}

static void model_complete(struct model *m)
{
	uint64_t id = (uint64_t)random() % (COUNT + 4);
	uint8_t chan = (uint8_t)((uint32_t)random() % CHANNELS);
	uint32_t expect = 0, i;

	if (id < COUNT && random() % 4) /* mostly right */
		chan = m->chan[id];
	if (id < COUNT && m->is_out[id] && m->chain_of[id] == id && m->chan[id] == chan)
		for (i = 0; i < COUNT; i++)
			expect += m->is_out[i] && m->chain_of[i] == id;
	MUST(rxbuf_complete(&r, id, chan) == expect);
	if (expect)
		model_release(m, (uint32_t)id);
}

static void model_close(struct model *m)
{
	uint32_t chan = (uint32_t)random() % CHANNELS, i;

	rxbuf_closed(&r, (uint8_t)chan);
	for (i = 0; i < COUNT; i++)
		if (m->is_out[i] && m->chan[i] == chan)
			model_release(m, m->chain_of[i]);
}

START_TEST(random_steps_agree_with_a_model)
{
	static struct model m;
	int step;

	srandom(7 + (unsigned int)_i);
	memset(&m, 0, sizeof(m));
	m.free = COUNT - RESERVED;
	for (step = 0; step < 20000; step++) {
		if (random() % 3 == 0)
			model_send(&m);
		else if (random() % 400)
			model_complete(&m);
		else
			model_close(&m);
		check_model(&m);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("rxbuf");
	TCase *t = tcase_create("rxbuf");
	SRunner *run;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, cut_into_pieces);
	tcase_add_test(t, too_small_for_one);
	tcase_add_test(t, no_more_than_numbers_can_say);
	tcase_add_test(t, reserved_ones_are_never_given_out);
	tcase_add_test(t, all_go_round);
	tcase_add_test(t, a_chain_comes_back_as_a_whole_in_its_order);
	tcase_add_test(t, n36_only_what_is_out_there_comes_back_and_once);
	tcase_add_test(t, nothing_is_out_of_a_buffer_that_is_gone);
	tcase_add_test(t, n39_a_sender_gets_all_while_half_is_free_then_its_share);
	tcase_add_loop_test(t, random_steps_agree_with_a_model, 0, 4);
	suite_add_tcase(s, t);
	run = srunner_create(s);
	srunner_run_all(run, CK_ENV);
	failed = srunner_ntests_failed(run);
	srunner_free(run);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
