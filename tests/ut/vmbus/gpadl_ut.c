/* SPDX-License-Identifier: MIT */
/* Range buffers: collecting in any pieces, refusing what lies (spec: vmbus, section 5). */
#include "vmbus/gpadl.h"

#include <errno.h>

#include "tests/ut/vmbus/vmbus_main.h"
#include "tests/ut/vmbus/vmbus_vectors.h"

#define RANGE(count, offset) ((uint64_t)(offset) << 32 | (uint32_t)(count))

/* 0, or what init or check said, for @n qwords that claim @rangecount ranges. */
static int verdict(uint32_t rangecount, const uint64_t *q, uint32_t n)
{
	struct vmbus_gpadl g;
	int err = vmbus_gpadl_init(&g, n * 8, rangecount);

	if (err)
		return err;
	ck_assert(vmbus_gpadl_add(&g, q, n * 8));
	err = vmbus_gpadl_check(&g);
	vmbus_gpadl_fini(&g);
	return err;
}

START_TEST(ranges)
{
	static const struct {
		const char *why;
		uint32_t rangecount, n;
		uint64_t q[8];
		int want;
	} c[] = {
		{ "one page", 1, 2, { RANGE(4096, 0), 1 }, 0 },
		{ "one byte", 1, 2, { RANGE(1, 4095), 1 }, 0 },
		{ "two bytes over a page's end", 1, 3, { RANGE(2, 4095), 1, 2 }, 0 },
		{ "two ranges", 2, 5, { RANGE(4096, 0), 1, RANGE(4097, 0), 2, 3 }, 0 },
		{ "V27: no range", 0, 2, { RANGE(4096, 0), 1 }, -EINVAL },
		{ "V27: two ranges, data of one", 2, 4, { RANGE(3 * 4096, 0), 1, 2, 3 }, -EINVAL },
		{ "V27: one range, data of two",
		  1,
		  4,
		  { RANGE(1, 0), 1, RANGE(1, 0), 2 },
		  -EINVAL },
		{ "V27: 65535 ranges", 65535, 4, { RANGE(1, 0), 1, RANGE(1, 0), 2 }, -EINVAL },
		{ "V28: no bytes", 1, 2, { RANGE(0, 0), 1 }, -EINVAL },
		{ "V28: no bytes, no pages", 1, 1, { RANGE(0, 0) }, -EINVAL },
		{ "V28: one byte, two pages", 1, 3, { RANGE(1, 0), 1, 2 }, -EINVAL },
		{ "V28: 4 GiB, one page", 1, 2, { RANGE(0xffffffff, 0), 1 }, -EINVAL },
		{ "V28: wraps in 32 bits", 1, 2, { RANGE(0xffffffff, 4095), 1 }, -EINVAL },
		{ "V28: one page short", 1, 3, { RANGE(8193, 0), 1, 2 }, -EINVAL },
		{ "V29: offset of a page", 1, 3, { RANGE(4096, 4096), 1, 2 }, -EINVAL },
		{ "V29: offset ffffffff", 1, 2, { RANGE(4096, 0xffffffff), 1 }, -EINVAL },
		{ "last range empty", 2, 4, { RANGE(4096, 0), 1, RANGE(0, 0), 2 }, -EINVAL },
		{ "tail left over", 2, 5, { RANGE(1, 0), 1, RANGE(1, 0), 2, 3 }, -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(c); i++)
		ck_assert_msg(verdict(c[i].rangecount, c[i].q, c[i].n) == c[i].want, "%s",
			      c[i].why);
}
END_TEST

START_TEST(lengths)
{
	struct vmbus_gpadl g;

	for (uint32_t len = 0; len < 16; len++)
		ck_assert_int_eq(vmbus_gpadl_check_header(len, 1), -EINVAL);
	for (uint32_t len = 17; len < 24; len++)
		ck_assert_int_eq(vmbus_gpadl_check_header(len, 1), -EINVAL);
	ck_assert_int_eq(vmbus_gpadl_check_header(16, 1), 0);
	ck_assert_int_eq(vmbus_gpadl_check_header(65528, 1), 0); /* 8190 pages */
	ck_assert_int_eq(vmbus_gpadl_check_header(65535, 1), -EINVAL);
	ck_assert_int_eq(vmbus_gpadl_check_header(VMBUS_GPADL_MAX_QWORDS * 8, 1), 0);
	ck_assert_int_eq(vmbus_gpadl_check_header(VMBUS_GPADL_MAX_QWORDS * 8 + 8, 1), -EINVAL);
	ck_assert_int_eq(vmbus_gpadl_check_header(65528, 4095), 0);
	ck_assert_int_eq(vmbus_gpadl_check_header(65528, 4096), -EINVAL);
	ck_assert_int_eq(vmbus_gpadl_init(&g, 12, 1), -EINVAL);
}
END_TEST

/* V9's 33 qwords, in every pair of pieces, from unaligned memory. */
START_TEST(any_pieces)
{
	uint8_t all[264], piece[264 + 8];

	memcpy(all, v9a + 20, 216);
	memcpy(all + 216, v9b + 16, 48);
	for (uint32_t first = 0; first <= sizeof(all); first++) {
		uint32_t whole = first / 8 * 8, cursor = 0;
		struct vmbus_gpadl_range r;
		struct vmbus_gpadl g;

		ck_assert_int_eq(vmbus_gpadl_init(&g, sizeof(all), 1), 0);
		memcpy(piece + 1, all, first);
		ck_assert(vmbus_gpadl_add(&g, piece + 1, first) == (whole == sizeof(all)));
		ck_assert_uint_eq(g.have, whole / 8);
		if (whole < sizeof(all))
			ck_assert_int_eq(vmbus_gpadl_check(&g), -EINVAL);
		/* More than is missing: the rest is ignored (section 5.2). */
		memset(piece, 0xee, sizeof(piece));
		memcpy(piece + 3, all + whole, sizeof(all) - whole);
		ck_assert(vmbus_gpadl_add(&g, piece + 3, sizeof(piece) - 3));
		ck_assert_int_eq(vmbus_gpadl_check(&g), 0);
		ck_assert(vmbus_gpadl_next(&g, &cursor, &r));
		ck_assert_uint_eq(r.byte_count, 32 * 4096);
		ck_assert_uint_eq(r.npfn, 32);
		for (uint32_t i = 0; i < 32; i++)
			ck_assert_uint_eq(r.pfn[i], 0x2000 + i);
		ck_assert(!vmbus_gpadl_next(&g, &cursor, &r));
		vmbus_gpadl_fini(&g);
	}
}
END_TEST

/* A single range of @pages pages, complete; pages are 100, 101, .. */
static void ring_gpadl(struct vmbus_gpadl *g, uint32_t pages, uint64_t head)
{
	uint64_t q;

	ck_assert_int_eq(vmbus_gpadl_init(g, 8 + 8 * pages, 1), 0);
	vmbus_gpadl_add(g, &head, 8);
	for (uint32_t i = 0; i < pages; i++) {
		q = 100 + i;
		vmbus_gpadl_add(g, &q, 8);
	}
}

START_TEST(v15_v16_rings)
{
	static const struct {
		uint32_t pages, downstream;
		uint64_t head;
		int want;
	} c[] = {
		{ 4, 2, RANGE(4 * 4096, 0), 0 },
		{ 8, 2, RANGE(8 * 4096, 0), 0 },
		{ 8, 6, RANGE(8 * 4096, 0), 0 },
		{ 8, 0, RANGE(8 * 4096, 0), -EINVAL },
		{ 8, 1, RANGE(8 * 4096, 0), -EINVAL },
		{ 8, 7, RANGE(8 * 4096, 0), -EINVAL },
		{ 8, 8, RANGE(8 * 4096, 0), -EINVAL },
		{ 8, 9, RANGE(8 * 4096, 0), -EINVAL },
		{ 8, 0xfffffffe, RANGE(8 * 4096, 0), -EINVAL },
		{ 8, 0xffffffff, RANGE(8 * 4096, 0), -EINVAL },
		{ 1, 0, RANGE(4096, 0), -EINVAL },
		{ 2, 1, RANGE(2 * 4096, 0), -EINVAL },
		{ 3, 1, RANGE(3 * 4096, 0), -EINVAL },
		{ 3, 2, RANGE(3 * 4096, 0), -EINVAL },
		{ 8, 4, RANGE(8 * 4096 - 1, 0), -EINVAL },
		{ 8, 4, RANGE(7 * 4096, 1), -EINVAL },
		{ 8, 4, RANGE(8 * 4096 - 512, 512), -EINVAL },
	};
	struct vmbus_gpadl_rings r;
	struct vmbus_gpadl g;

	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		ring_gpadl(&g, c[i].pages, c[i].head);
		ck_assert_int_eq(vmbus_gpadl_check(&g), 0);
		ck_assert_msg(vmbus_gpadl_split(&g, c[i].downstream, &r) == c[i].want,
			      "%u pages, downstream %u", c[i].pages, c[i].downstream);
		if (!c[i].want) {
			ck_assert_uint_eq(r.in_pages, c[i].downstream);
			ck_assert_uint_eq(r.in_pages + r.out_pages, c[i].pages);
			ck_assert_uint_eq(r.in_pfn[0], 100);
			ck_assert_uint_eq(r.out_pfn[0], 100 + c[i].downstream);
		}
		vmbus_gpadl_fini(&g);
	}
}
END_TEST

START_TEST(v16_rings_of_two_ranges)
{
	static const uint64_t q[] = { RANGE(2 * 4096, 0), 1, 2, RANGE(2 * 4096, 0), 3, 4 };
	struct vmbus_gpadl_rings r;
	struct vmbus_gpadl g;

	ck_assert_int_eq(vmbus_gpadl_init(&g, sizeof(q), 2), 0);
	ck_assert(vmbus_gpadl_add(&g, q, sizeof(q)));
	ck_assert_int_eq(vmbus_gpadl_check(&g), 0);
	ck_assert_int_eq(vmbus_gpadl_split(&g, 2, &r), -EINVAL);
	vmbus_gpadl_fini(&g);
}
END_TEST

VMBUS_MAIN("vmbus/gpadl", ranges, lengths, any_pieces, v15_v16_rings, v16_rings_of_two_ranges)
