/* SPDX-License-Identifier: MIT */
/* GUIDs: the wire form, what is refused, stable names. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/guid.h"

static const struct guid storvsc =
	GUID_INIT(0xba6163d9, 0x04a1, 0x4d29, 0xb6, 0x05, 0x72, 0xe2, 0xff, 0xb1, 0xdc, 0x7f);

START_TEST(first_three_fields_are_little_endian)
{
	static const uint8_t wire[16] = { 0xd9, 0x63, 0x61, 0xba, 0xa1, 0x04, 0x29, 0x4d,
					  0xb6, 0x05, 0x72, 0xe2, 0xff, 0xb1, 0xdc, 0x7f };
	struct guid g;

	ck_assert_mem_eq(storvsc.b, wire, 16);
	ck_assert_int_eq(guid_parse(&g, "ba6163d9-04a1-4d29-b605-72e2ffb1dc7f"), 0);
	ck_assert_mem_eq(g.b, wire, 16);
	ck_assert_int_eq(guid_parse(&g, "BA6163D9-04A1-4D29-B605-72E2FFB1DC7F"), 0);
	ck_assert(guid_equal(&g, &storvsc));
}
END_TEST

START_TEST(formats_what_it_parses)
{
	static const char *const texts[] = {
		"00000000-0000-0000-0000-000000000000",
		"ffffffff-ffff-ffff-ffff-ffffffffffff",
		"01234567-89ab-cdef-0123-456789abcdef",
	};
	char buf[GUID_STR_LEN];

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct guid g;

		ck_assert_int_eq(guid_parse(&g, texts[i]), 0);
		ck_assert_ptr_eq(guid_format(&g, buf), buf);
		ck_assert_str_eq(buf, texts[i]);
	}
}
END_TEST

START_TEST(refuses_everything_else)
{
	static const char *const bad[] = {
		"",
		"ba6163d9-04a1-4d29-b605-72e2ffb1dc7",	  /* one short */
		"ba6163d9-04a1-4d29-b605-72e2ffb1dc7f0",  /* one long */
		"ba6163d9-04a1-4d29-b605-72e2ffb1dc7g",	  /* not hex */
		"ba6163d904a1-4d29-b605-72e2-ffb1dc7f",	  /* dash elsewhere */
		"ba6163d9004a1-4d29-b605-72e2ffb1dc7f",	  /* dash missing */
		"{ba6163d9-04a1-4d29-b605-72e2ffb1dc7f}", /* braces */
		" ba6163d9-04a1-4d29-b605-72e2ffb1dc7",	  /* leading space */
		"------------------------------------",
	};
	struct guid g, before;

	memset(&g, 0x5a, sizeof(g));
	before = g;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert_msg(guid_parse(&g, bad[i]) == -EINVAL, "took '%s'", bad[i]);
	ck_assert_mem_eq(&g, &before, sizeof(g));
}
END_TEST

START_TEST(order_is_that_of_the_wire_bytes)
{
	struct guid a = storvsc, b = storvsc;

	ck_assert_int_eq(guid_compare(&a, &b), 0);
	b.b[15]++;
	ck_assert_int_lt(guid_compare(&a, &b), 0);
	a.b[0]++;
	ck_assert_int_gt(guid_compare(&a, &b), 0);
	ck_assert(!guid_equal(&a, &b));
}
END_TEST

START_TEST(names_give_stable_distinct_ids)
{
	char text[GUID_STR_LEN];
	struct guid a, b, c;

	guid_from_name(&a, "disk0", 5);
	guid_from_name(&b, "disk0", 5);
	guid_from_name(&c, "disk1", 5);
	ck_assert(guid_equal(&a, &b));
	ck_assert(!guid_equal(&a, &c));
	guid_from_name(&b, "disk0\0", 6); /* the length counts */
	ck_assert(!guid_equal(&a, &b));
	guid_format(&a, text);
	ck_assert_int_eq(text[14], '8'); /* version */
	ck_assert_ptr_nonnull(strchr("89ab", text[19]));
	/* Saved configurations depend on it: this value may never change. */
	ck_assert_str_eq(text, "17a57fef-69e7-8e19-80b2-b047cd0c519d");
}
END_TEST

START_TEST(thousand_names_do_not_collide)
{
	static struct guid g[1000];

	for (int i = 0; i < 1000; i++) {
		guid_from_name(&g[i], &i, sizeof(i));
		for (int j = 0; j < i; j++)
			if (guid_equal(&g[i], &g[j]))
				ck_abort_msg("%d and %d", i, j);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base/guid");
	TCase *tc = tcase_create("guid");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, first_three_fields_are_little_endian);
	tcase_add_test(tc, formats_what_it_parses);
	tcase_add_test(tc, refuses_everything_else);
	tcase_add_test(tc, order_is_that_of_the_wire_bytes);
	tcase_add_test(tc, names_give_stable_distinct_ids);
	tcase_add_test(tc, thousand_names_do_not_collide);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
