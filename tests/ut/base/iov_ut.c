/* SPDX-License-Identifier: MIT */
/* Scatter lists, compared byte by byte with a flat model. */
#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/iov.h"

#define N     5
#define TOTAL 40

/* Five pieces with gaps between them; two are empty. */
static const size_t lens[N] = { 7, 0, 16, 17, 0 };
static uint8_t arena[N][32];
static struct iovec iov[N];

static void setup(void)
{
	memset(arena, 0xee, sizeof(arena));
	for (int i = 0; i < N; i++)
		iov[i] = (struct iovec){ arena[i], lens[i] };
}

/* Reads the list one byte at a time: the model. */
static void flatten(uint8_t *out)
{
	for (int i = 0; i < N; i++)
		for (size_t j = 0; j < lens[i]; j++)
			*out++ = arena[i][j];
}

/* Is the list @fill everywhere but @src in [off, off + n), and are the gaps as they were? */
static bool list_is(uint8_t fill, const uint8_t *src, size_t off, size_t n)
{
	uint8_t flat[TOTAL], want[TOTAL];

	memset(want, fill, sizeof(want));
	if (n)
		memcpy(want + off, src, n);
	flatten(flat);
	for (int i = 0; i < N; i++)
		for (size_t j = lens[i]; j < sizeof(arena[i]); j++)
			if (arena[i][j] != 0xee)
				return false;
	return !memcmp(flat, want, sizeof(flat));
}

static size_t expected(size_t offset, size_t len)
{
	if (offset >= TOTAL)
		return 0;
	return len < TOTAL - offset ? len : TOTAL - offset;
}

START_TEST(length_is_the_sum)
{
	ck_assert_uint_eq(iov_length(iov, N), TOTAL);
	ck_assert_uint_eq(iov_length(iov, 0), 0);
}
END_TEST

static bool copies_right(size_t off, size_t len)
{
	uint8_t src[64], back[64], untouched[64];
	size_t want = expected(off, len);

	for (size_t i = 0; i < sizeof(src); i++)
		src[i] = (uint8_t)(i + 1);
	memset(back, 0x11, sizeof(back));
	memset(untouched, 0x11, sizeof(untouched));
	setup();
	return iov_from_buf(iov, N, off, src, len) == want && list_is(0xee, src, off, want) &&
	       iov_to_buf(iov, N, off, back, len) == want && !memcmp(back, src, want) &&
	       !memcmp(back + want, untouched, sizeof(back) - want);
}

START_TEST(copies_at_every_offset_and_length)
{
	for (size_t off = 0; off <= TOTAL + 2; off++)
		for (size_t len = 0; len <= TOTAL + 2; len++)
			if (!copies_right(off, len))
				ck_abort_msg("offset %zu length %zu", off, len);
}
END_TEST

START_TEST(fills_only_its_range)
{
	uint8_t byte[TOTAL];

	memset(byte, 0x42, sizeof(byte));
	for (size_t off = 0; off <= TOTAL + 1; off++) {
		for (size_t len = 0; len <= TOTAL + 1; len++) {
			size_t want = expected(off, len);

			setup();
			if (iov_fill(iov, N, off, 0x42, len) != want ||
			    !list_is(0xee, byte, off, want))
				ck_abort_msg("offset %zu length %zu", off, len);
		}
	}
}
END_TEST

START_TEST(slices_cover_exactly_their_range)
{
	struct iovec out[N];
	uint8_t flat[TOTAL], got[TOTAL];

	for (size_t i = 0; i < TOTAL; i++)
		iov_fill(iov, N, i, (int)i, 1);
	flatten(flat);
	for (size_t off = 0; off <= TOTAL; off++) {
		for (size_t len = 0; off + len <= TOTAL; len++) {
			int n = iov_slice(out, N, iov, N, off, len);

			if (n < 0 || iov_length(out, n) != len ||
			    iov_to_buf(out, n, 0, got, TOTAL) != len ||
			    memcmp(got, flat + off, len))
				ck_abort_msg("offset %zu length %zu", off, len);
		}
		ck_assert_int_eq(iov_slice(out, N, iov, N, off, TOTAL - off + 1), -EINVAL);
	}
	ck_assert_int_eq(iov_slice(out, N, iov, N, TOTAL + 1, 1), -EINVAL);
	ck_assert_int_eq(iov_slice(out, N, iov, N, 0, SIZE_MAX), -EINVAL);
}
END_TEST

START_TEST(slice_stops_at_the_room_given)
{
	struct iovec out[3];

	ck_assert_int_eq(iov_slice(out, 2, iov, N, 0, 24), -EINVAL); /* needs three */
	ck_assert_int_eq(iov_slice(out, 3, iov, N, 0, 24), 3);
	ck_assert_int_eq(iov_slice(out, 0, iov, N, 3, 0), 0);
	ck_assert_int_eq(iov_slice(out, 1, iov, N, 7, 16), 1); /* skips the empty piece */
	ck_assert_ptr_eq(out[0].iov_base, arena[2]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base/iov");
	TCase *tc = tcase_create("iov");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, length_is_the_sum);
	tcase_add_test(tc, copies_at_every_offset_and_length);
	tcase_add_test(tc, fills_only_its_range);
	tcase_add_test(tc, slices_cover_exactly_their_range);
	tcase_add_test(tc, slice_stops_at_the_room_given);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
