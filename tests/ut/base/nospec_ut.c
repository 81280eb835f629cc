/* SPDX-License-Identifier: MIT */
/* Indices behind their bounds check: themselves inside, 0 outside, whatever is known of them. */
#include <check.h>
#include <stdlib.h>

#include "base/nospec.h"

static const uint64_t edge[] = {
	0,
	1,
	2,
	3,
	63,
	64,
	255,
	2047,
	2048,
	UINT32_MAX - 1,
	UINT32_MAX,
	1ull << 32,
	1ull << 62,
	INT64_MAX - 1,
	INT64_MAX,
	1ull << 63,
	UINT64_MAX - 1,
	UINT64_MAX,
};

START_TEST(x11_in_range_or_zero)
{
	for (uint32_t k = 0; k < ARRAY_SIZE(edge); k++)
		for (uint32_t j = 0; j < ARRAY_SIZE(edge) && edge[j] <= INT64_MAX; j++) {
			uint64_t i = edge[k], n = edge[j];

			ck_assert_uint_eq(index_nospec(i, n), i < n ? i : 0);
		}
}
END_TEST

/* Where the compiler has just seen the check pass, the masking must not be taken for useless. */
START_TEST(x11_masked_behind_its_check)
{
	static const char table[4] = { 'a', 'b', 'c', 'd' };

	for (uint32_t k = 0; k < ARRAY_SIZE(edge); k++) {
		uint64_t i = edge[k];
		char got = i < ARRAY_SIZE(table) ? table[index_nospec(i, ARRAY_SIZE(table))] : '-';

		ck_assert_int_eq(got, i < 4 ? "abcd"[i] : '-');
	}
	ck_assert_uint_eq(index_nospec(3, 4), 3); /* constants, too */
	ck_assert_uint_eq(index_nospec(4, 4), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base/nospec");
	TCase *tc = tcase_create("indices");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, x11_in_range_or_zero);
	tcase_add_test(tc, x11_masked_behind_its_check);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
