/* SPDX-License-Identifier: MIT */
/*
 * Which place is used next: in turn among so many, more of them only while those are all in use.
 */
#include <check.h>

#include "base/reuse.h"

#define FIRST 3u
#define END   103u
#define ALL   (END - FIRST)
#define ROUND 10u

static struct reuse r;

static void setup(void)
{
	ck_assert_int_eq(reuse_init(&r, FIRST, END, ROUND), 0);
}

static void teardown(void)
{
	reuse_fini(&r);
}

static void give(uint16_t place)
{
	reuse_give(&r, place, place, 1);
}

/* How many different places @takes ones are, each given back at once. */
static uint32_t footprint(uint32_t takes)
{
	uint8_t seen[END] = { 0 };
	uint32_t n = 0;

	while (takes--) {
		uint16_t place = reuse_take(&r);

		n += !seen[place];
		seen[place] = 1;
		give(place);
	}
	return n;
}

START_TEST(lowest_first_then_in_turn)
{
	for (uint32_t i = 0; i < 5 * ROUND; i++) {
		uint16_t place = reuse_take(&r);

		ck_assert_uint_eq(place, FIRST + i % ROUND);
		give(place);
	}
}
END_TEST

START_TEST(all_of_them_once_when_none_comes_back)
{
	for (uint32_t i = 0; i < ALL; i++)
		ck_assert_uint_eq(reuse_take(&r), FIRST + i);
	ck_assert_uint_eq(reuse_peek(&r), REUSE_NONE);
	ck_assert_uint_eq(reuse_take(&r), REUSE_NONE);
	give(FIRST + 7);
	ck_assert_uint_eq(reuse_take(&r), FIRST + 7);
	ck_assert_uint_eq(reuse_take(&r), REUSE_NONE);
}
END_TEST

/* The round does not stay as large as it once had to be. */
START_TEST(after_a_burst_as_few_as_before)
{
	uint16_t place[ALL];

	ck_assert_uint_eq(footprint(1000), ROUND);
	for (uint32_t i = 0; i < ALL; i++)
		place[i] = reuse_take(&r);
	for (uint32_t i = 0; i < ALL; i++)
		give(place[i]);
	ck_assert_uint_eq(footprint(1000), ROUND);
}
END_TEST

/* With half of the round in use all the time, the other half takes turns. */
START_TEST(what_is_out_counts)
{
	for (uint32_t i = 0; i < ROUND / 2; i++)
		reuse_take(&r);
	ck_assert_uint_eq(footprint(1000), ROUND / 2);
}
END_TEST

START_TEST(a_chain_keeps_its_order)
{
	uint16_t a = reuse_take(&r), b = reuse_take(&r), c = reuse_take(&r);

	r.next[c] = a;
	r.next[a] = b;
	reuse_give(&r, c, b, 3);
	for (uint32_t i = 3; i < ROUND; i++)
		give(reuse_take(&r));
	ck_assert_uint_eq(reuse_take(&r), c);
	ck_assert_uint_eq(reuse_take(&r), a);
	ck_assert_uint_eq(reuse_take(&r), b);
}
END_TEST

START_TEST(nobody_has_one_that_another_has)
{
	uint16_t mine[ALL];
	uint8_t out[END] = { 0 };
	uint32_t n = 0, wrong = 0;

	srandom(11 + (unsigned int)_i);
	for (uint32_t step = 0; step < 20000; step++) {
		uint16_t place = n < ALL && random() % (ALL + 1) >= n ? reuse_take(&r) : REUSE_NONE;

		if (place != REUSE_NONE) {
			wrong += place < FIRST || place >= END || out[place];
			out[place] = 1;
			mine[n++] = place;
		} else if (n) {
			uint32_t k = (uint32_t)random() % n;

			out[mine[k]] = 0;
			give(mine[k]);
			mine[k] = mine[--n];
		}
	}
	ck_assert_uint_eq(wrong, 0);
	ck_assert_uint_eq(r.out, n);
	while (reuse_take(&r) != REUSE_NONE)
		n++;
	ck_assert_uint_eq(n, ALL);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base/reuse");
	TCase *tc = tcase_create("places");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, lowest_first_then_in_turn);
	tcase_add_test(tc, all_of_them_once_when_none_comes_back);
	tcase_add_test(tc, after_a_burst_as_few_as_before);
	tcase_add_test(tc, what_is_out_counts);
	tcase_add_test(tc, a_chain_keeps_its_order);
	tcase_add_loop_test(tc, nobody_has_one_that_another_has, 0, 4);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
