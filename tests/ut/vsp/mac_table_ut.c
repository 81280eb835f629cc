/* SPDX-License-Identifier: MIT */
/* The MAC table: against a plain model, at its caps, and with addresses that hash alike. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "vsp/netvsp/mac_table.h"

#define SECRET 0x9e3779b97f4a7c15ull

static struct mac_table t;
static uint32_t seed;

static void setup(void)
{
	ck_assert_int_eq(mac_table_init(&t, SECRET), 0);
	seed = 1;
}

static void teardown(void)
{
	mac_table_fini(&t);
}

static uint32_t rnd(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

/* Unicast, and different for each @n. */
static uint64_t mac_of(uint32_t n)
{
	return 0x02 | (uint64_t)(n + 1) << 8;
}

/* The @nth address whose home is bucket @home. */
static uint64_t mac_at(uint32_t home, uint32_t nth)
{
	for (uint32_t n = 0;; n++)
		if (mac_home(&t, mac_of(n)) == home && !nth--)
			return mac_of(n);
}

static struct mac_entry *learned(uint64_t mac, uint16_t vlan)
{
	return mac_table_find(&t, mac, vlan).learned;
}

START_TEST(a_vlan_is_part_of_what_is_learned)
{
	ck_assert(mac_table_learn(&t, mac_of(1), 10, 3, 100));
	ck_assert(mac_table_learn(&t, mac_of(1), 20, 4, 100));
	ck_assert_uint_eq(learned(mac_of(1), 10)->port, 3);
	ck_assert_uint_eq(learned(mac_of(1), 20)->port, 4);
	ck_assert_ptr_null(learned(mac_of(1), 30));
	ck_assert_ptr_null(learned(mac_of(2), 10));
	ck_assert_ptr_null(mac_table_find(&t, mac_of(1), 10).fixed);
}
END_TEST

START_TEST(nothing_has_no_address)
{
	ck_assert_ptr_null(learned(0, 0));
	ck_assert_ptr_null(mac_table_find(&t, 0, 0).fixed);
}
END_TEST

START_TEST(fixed_ones_count_in_every_vlan_and_replace_what_was_learned)
{
	ck_assert(mac_table_learn(&t, mac_of(1), 10, 3, 100));
	ck_assert(mac_table_learn(&t, mac_of(1), 11, 4, 100));
	ck_assert_int_eq(mac_table_fix(&t, mac_of(1), 7), 0);
	ck_assert_uint_eq(t.learned, 0);
	ck_assert_uint_eq(t.per_port[3] + t.per_port[4], 0);
	for (uint16_t vlan = 0; vlan < 4095; vlan += 13) {
		ck_assert_uint_eq(mac_table_find(&t, mac_of(1), vlan).fixed->port, 7);
		ck_assert_ptr_null(learned(mac_of(1), vlan));
	}
	ck_assert_int_eq(mac_table_fix(&t, mac_of(1), 8), -EADDRINUSE);
	mac_table_unfix(&t, mac_of(1));
	ck_assert_ptr_null(mac_table_find(&t, mac_of(1), 0).fixed);
}
END_TEST

START_TEST(moves_at_once)
{
	mac_table_learn(&t, mac_of(1), 0, 3, 100);
	mac_table_learn(&t, mac_of(1), 0, 4, 100);
	ck_assert_uint_eq(learned(mac_of(1), 0)->port, 4);
	ck_assert_uint_eq(t.learned, 1);
	ck_assert_uint_eq(t.per_port[3], 0);
	ck_assert_uint_eq(t.per_port[4], 1);
}
END_TEST

START_TEST(caps_hold_per_port_and_for_all)
{
	uint32_t n = 0;

	for (; n < VSW_MACS_PER_PORT; n++)
		ck_assert(mac_table_learn(&t, mac_of(n), 0, 0, 100));
	ck_assert(!mac_table_learn(&t, mac_of(n), 0, 0, 100));
	ck_assert_uint_eq(t.per_port[0], VSW_MACS_PER_PORT);
	/* Those who are known stay known. */
	ck_assert(mac_table_learn(&t, mac_of(0), 0, 0, 101));
	for (uint32_t tries = 0; tries < 2 * VSW_MACS; tries++, n++)
		mac_table_learn(&t, mac_of(n), 0, (uint16_t)(1 + n % 40), 100);
	ck_assert_uint_eq(t.learned, VSW_MACS);
}
END_TEST

START_TEST(who_moves_to_a_full_port_is_forgotten_by_the_old_one)
{
	mac_table_learn(&t, mac_of(5000), 0, 1, 100);
	for (uint32_t n = 0; n < VSW_MACS_PER_PORT; n++)
		mac_table_learn(&t, mac_of(n), 0, 0, 100);
	ck_assert(!mac_table_learn(&t, mac_of(5000), 0, 0, 100));
	ck_assert_ptr_null(learned(mac_of(5000), 0));
	ck_assert_uint_eq(t.per_port[1], 0);
}
END_TEST

START_TEST(a_bucket_that_runs_over_is_still_found)
{
	const uint32_t n = MAC_PROBE * MAC_SLOTS;
	uint64_t mac[MAC_PROBE * MAC_SLOTS + 1];

	/* The last bucket: the row goes on with the first. */
	for (uint32_t i = 0; i <= n; i++)
		mac[i] = mac_at(MAC_BUCKETS - 1, i);
	for (uint32_t i = 0; i < n; i++)
		ck_assert(mac_table_learn(&t, mac[i], 0, 1, 100));
	ck_assert(!mac_table_learn(&t, mac[n], 0, 1, 100));
	for (uint32_t i = 0; i < n; i++)
		ck_assert_ptr_nonnull(learned(mac[i], 0));
	/* A hole near home does not hide those behind it. */
	mac_table_forget(&t, learned(mac[0], 0));
	ck_assert_ptr_nonnull(learned(mac[n - 1], 0));
	ck_assert(mac_table_learn(&t, mac[n], 0, 1, 100));
	/* Fixed ones get a place at home whoever was there. */
	ck_assert_int_eq(mac_table_fix(&t, mac_at(MAC_BUCKETS - 1, n + 1), 2), 0);
	ck_assert_ptr_nonnull(mac_table_find(&t, mac_at(MAC_BUCKETS - 1, n + 1), 0).fixed);
	ck_assert_uint_eq(t.learned, n - 1);
	mac_table_forget_port(&t, VSW_MAX_PORTS);
	mac_table_unfix(&t, mac_at(MAC_BUCKETS - 1, n + 1));
	for (uint32_t i = 0; i < MAC_BUCKETS; i++)
		ck_assert_uint_eq(t.bucket[i].slot[0].passed, 0);
}
END_TEST

START_TEST(too_many_fixed_ones_alike_are_refused)
{
	for (uint32_t i = 0; i < MAC_PROBE * MAC_SLOTS; i++)
		ck_assert_int_eq(mac_table_fix(&t, mac_at(5, i), (uint16_t)i), 0);
	ck_assert_int_eq(mac_table_fix(&t, mac_at(5, MAC_PROBE * MAC_SLOTS), 77), -ENOSPC);
}
END_TEST

START_TEST(the_time_is_noted_once_a_second)
{
	struct mac_entry *e;

	mac_table_learn(&t, mac_of(1), 0, 3, 100);
	e = learned(mac_of(1), 0);
	ck_assert_uint_eq(e->seen_s, 100);
	mac_table_learn(&t, mac_of(1), 0, 3, 101);
	ck_assert_uint_eq(e->seen_s, 101);
	ck_assert(!mac_entry_old(e, 400));
	ck_assert(mac_entry_old(e, 401));
}
END_TEST

START_TEST(a_sweep_forgets_the_old_and_no_others)
{
	for (uint32_t n = 0; n < 500; n++)
		mac_table_learn(&t, mac_of(n), 0, 1, n % 2 ? 100 : 300);
	mac_table_fix(&t, mac_of(9999), 2);
	for (uint32_t i = 0; i < MAC_BUCKETS / 64; i++)
		mac_table_sweep(&t, 64, 450);
	ck_assert_uint_eq(t.learned, 250);
	for (uint32_t n = 0; n < 500; n++)
		ck_assert_int_eq(!learned(mac_of(n), 0), n % 2);
	ck_assert_ptr_nonnull(mac_table_find(&t, mac_of(9999), 0).fixed);
}
END_TEST

START_TEST(a_port_that_goes_takes_only_its_own_along)
{
	for (uint32_t n = 0; n < 400; n++)
		mac_table_learn(&t, mac_of(n), 0, (uint16_t)(n % 4), 100);
	mac_table_forget_port(&t, 2);
	ck_assert_uint_eq(t.learned, 300);
	for (uint32_t n = 0; n < 400; n++)
		ck_assert_int_eq(!learned(mac_of(n), 0), n % 4 == 2);
	mac_table_forget_port(&t, VSW_MAX_PORTS);
	ck_assert_uint_eq(t.learned, 0);
}
END_TEST

/* Few addresses and a narrow hash, so that everything collides; the model is an array. */
START_TEST(as_a_model)
{
	int port[200];

	for (uint32_t i = 0; i < 200; i++)
		port[i] = -1;
	t.secret = 1ull << 51 | 1; /* homes of mac_of() are few, and next to each other */
	for (uint32_t step = 0; step < 20000; step++) {
		uint32_t n = rnd(200), what = rnd(3);
		uint16_t p = (uint16_t)rnd(8);
		struct mac_entry *e = learned(mac_of(n), 5);

		ck_assert_int_eq(e ? e->port : -1, port[n]);
		if (what && mac_table_learn(&t, mac_of(n), 5, p, 1)) {
			port[n] = p;
		} else if (!what && e) {
			mac_table_forget(&t, e);
			port[n] = -1;
		}
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vsp/mac_table");
	TCase *tc = tcase_create("table");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_vlan_is_part_of_what_is_learned);
	tcase_add_test(tc, nothing_has_no_address);
	tcase_add_test(tc, fixed_ones_count_in_every_vlan_and_replace_what_was_learned);
	tcase_add_test(tc, moves_at_once);
	tcase_add_test(tc, caps_hold_per_port_and_for_all);
	tcase_add_test(tc, who_moves_to_a_full_port_is_forgotten_by_the_old_one);
	tcase_add_test(tc, a_bucket_that_runs_over_is_still_found);
	tcase_add_test(tc, too_many_fixed_ones_alike_are_refused);
	tcase_add_test(tc, the_time_is_noted_once_a_second);
	tcase_add_test(tc, a_sweep_forgets_the_old_and_no_others);
	tcase_add_test(tc, a_port_that_goes_takes_only_its_own_along);
	tcase_add_test(tc, as_a_model);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
