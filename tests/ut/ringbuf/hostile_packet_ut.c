/* SPDX-License-Identifier: MIT */
/*
 * Packets a peer has no business sending: cases P01 to P09 of the hostile-peer list, and
 * what the encoders refuse to send.
 */
#include "tests/ut/ringbuf/ring_rig.h"

/*
 * A packet as it lies in a private copy, exactly as long as its descriptor says, on the
 * heap: one byte too far is one the address sanitizer sees.
 */
struct draft {
	uint8_t *copy;
	struct vmpkt_desc d;
};

static struct draft draft(uint16_t type, uint16_t offset8, uint16_t len8)
{
	struct draft t = { calloc(1, len8 * 8u), { type, offset8, len8, 1, 77 } };

	ck_assert_ptr_nonnull(t.copy);
	return t;
}

static void put32(struct draft *t, uint32_t at, uint32_t v)
{
	memcpy(t->copy + at, &v, sizeof(v));
}

/* Decodes and frees. */
static void rejected(struct draft t, enum vmring_fault want)
{
	enum vmring_fault why = VMRING_OK;
	struct vmpkt p;

	ck_assert_int_eq(vmpkt_decode(&p, t.copy, &t.d, &why), -EPROTO);
	ck_assert_str_eq(vmring_fault_name(why), vmring_fault_name(want));
	ck_assert_int_eq(vmpkt_decode(&p, t.copy, &t.d, NULL), -EPROTO);
	free(t.copy);
}

START_TEST(test_P01_gpa_direct_with_a_bare_descriptor)
{
	rejected(draft(VMPKT_GPA_DIRECT, 2, 2), VMRING_BAD_OFFSET);
	rejected(draft(VMPKT_GPA_DIRECT, 2, 9), VMRING_BAD_OFFSET);
}
END_TEST

START_TEST(test_P02_transfer_pages_with_a_bare_descriptor)
{
	rejected(draft(VMPKT_XFER_PAGES, 2, 2), VMRING_BAD_OFFSET);
	rejected(draft(VMPKT_XFER_PAGES, 2, 9), VMRING_BAD_OFFSET);
}
END_TEST

START_TEST(test_P03_no_ranges)
{
	struct draft t = draft(VMPKT_GPA_DIRECT, 5, 6);
	uint32_t cursor = 0, count, offset, n;
	const uint64_t *pfn;
	struct vmpkt p;

	/* Legal here; a device that needs data finds none and fails the request. */
	ck_assert_int_eq(vmpkt_decode(&p, t.copy, &t.d, NULL), 0);
	ck_assert_uint_eq(p.range_count, 0);
	ck_assert_uint_eq(p.payload_len, 8);
	ck_assert(!vmpkt_next_range(&p, &cursor, &count, &offset, &pfn, &n));
	free(t.copy);

	rejected(draft(VMPKT_XFER_PAGES, 3, 4), VMRING_BAD_RANGES);
	rejected(draft(VMPKT_XFER_PAGES, 5, 6), VMRING_BAD_RANGES);
}
END_TEST

static const uint16_t both[] = { VMPKT_GPA_DIRECT, VMPKT_XFER_PAGES };

START_TEST(test_P04_more_ranges_than_the_header_holds)
{
	static const uint32_t counts[] = { 4, 5, 1000, 8192, 0x10000 };

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		struct draft t = draft(both[_i], 6, 9); /* 24 bytes of ranges, then payload */

		put32(&t, 20, counts[i]);
		rejected(t, VMRING_BAD_RANGES);
	}
}
END_TEST

START_TEST(test_P05_range_count_that_overflows)
{
	static const uint32_t counts[] = { 0xffffffff, 0x80000000, 0x20000000,
					   0x20000001, 0x10000000, 0xfffffff8 };

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		struct draft t = draft(both[_i], 5, 6);

		put32(&t, 20, counts[i]);
		rejected(t, VMRING_BAD_RANGES);
	}
}
END_TEST

/* One GPA range, the header ending @pfns pages behind it. */
static struct draft one_range(uint32_t count, uint32_t offset, unsigned pfns)
{
	struct draft t = draft(VMPKT_GPA_DIRECT, (uint16_t)(4 + pfns), (uint16_t)(5 + pfns));

	put32(&t, 20, 1);
	put32(&t, 24, count);
	put32(&t, 28, offset);
	return t;
}

static void accepted(struct draft t, uint32_t pages)
{
	uint32_t cursor = 0, count, offset, n;
	const uint64_t *pfn;
	struct vmpkt p;

	ck_assert_int_eq(vmpkt_decode(&p, t.copy, &t.d, NULL), 0);
	ck_assert(vmpkt_next_range(&p, &cursor, &count, &offset, &pfn, &n));
	ck_assert_uint_eq(n, pages);
	ck_assert_ptr_eq(pfn, t.copy + 32);
	ck_assert(!vmpkt_next_range(&p, &cursor, &count, &offset, &pfn, &n));
	free(t.copy);
}

START_TEST(test_P06_empty_range)
{
	accepted(one_range(0, 0, 0), 0);
	accepted(one_range(0, 0, 1), 0); /* the page stays unused */
	accepted(one_range(0, 8, 1), 1);
	accepted(one_range(0, 8, 0), 0);
	accepted(one_range(0, 4095, 0), 0);
}
END_TEST

START_TEST(test_P07_byte_offset_outside_a_page)
{
	static const uint32_t bad[] = { 4096, 4097, 8192, 0x7fffffff, 0xffffffff };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		rejected(one_range(1, bad[i], 4), VMRING_BAD_RANGES);
		rejected(one_range(0, bad[i], 4), VMRING_BAD_RANGES);
	}
	accepted(one_range(1, 4095, 1), 1);
}
END_TEST

START_TEST(test_P08_count_and_offset_overflow)
{
	rejected(one_range(0xffffffff, 1, 1), VMRING_BAD_RANGES);
	rejected(one_range(0xffffffff, 4095, 1), VMRING_BAD_RANGES);
	rejected(one_range(0xfffff001, 4095, 0), VMRING_BAD_RANGES);
	rejected(one_range(0xffffffff, 0, 512), VMRING_BAD_RANGES);
}
END_TEST

START_TEST(test_P09_page_list_too_short)
{
	rejected(one_range(1, 0, 0), VMRING_BAD_RANGES);
	rejected(one_range(4096, 1, 1), VMRING_BAD_RANGES);
	rejected(one_range(8193, 0, 2), VMRING_BAD_RANGES);
	accepted(one_range(8192, 0, 2), 2);
	accepted(one_range(8192, 0, 7), 2); /* a gap before the payload is legal */
	rejected(one_range(3 * 4096, 4095, 3), VMRING_BAD_RANGES);
}
END_TEST

/* The second range lies where the first one's page list ends, complete or not. */
START_TEST(test_P09_second_range_cut_off)
{
	for (uint16_t offset8 = 5; offset8 < 9; offset8++) {
		struct draft t = draft(VMPKT_GPA_DIRECT, offset8, 9);
		struct vmpkt p;

		put32(&t, 20, 2);
		put32(&t, 24, 0x1000);
		put32(&t, 40, 0x1000);
		if (offset8 < 7) {
			rejected(t, VMRING_BAD_RANGES);
			continue;
		}
		ck_assert_int_eq(vmpkt_decode(&p, t.copy, &t.d, NULL), 0);
		ck_assert_uint_eq(p.ranges_len, 32);
		free(t.copy);
	}
}
END_TEST

static uint32_t rnd(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (uint32_t)(*state >> 16);
}

/* Whatever is decoded stays inside the copy: any bytes, any legal descriptor. */
START_TEST(decoding_noise_stays_inside)
{
	uint64_t seed = 88172645463325252ull + (uint64_t)_i;
	uint32_t good = 0;

	for (int round = 0; round < 20000; round++) {
		uint16_t len8 = (uint16_t)(2 + rnd(&seed) % 40);
		uint16_t offset8 = (uint16_t)(2 + rnd(&seed) % (len8 - 1u));
		struct draft t = draft(both[_i], offset8, len8);
		uint32_t cursor = 0, count, offset, n, ranges = 0;
		const uint64_t *pfn;
		struct vmpkt p;

		for (uint32_t i = 16; i < len8 * 8u; i += 4) /* small numbers reach further */
			put32(&t, i, rnd(&seed) >> (rnd(&seed) % 32));
		if (round % 2)
			put32(&t, 20 < len8 * 8u ? 20 : 8, rnd(&seed) % 4);
		if (!vmpkt_decode(&p, t.copy, &t.d, NULL)) {
			good++;
			ck_assert_ptr_eq(p.payload + p.payload_len, t.copy + len8 * 8u);
			while (vmpkt_next_range(&p, &cursor, &count, &offset, &pfn, &n)) {
				ranges++;
				must((const uint8_t *)(pfn + n) <= p.payload);
				must(offset <= 4095);
				must(count == 0 || n == ((uint64_t)offset + count + 4095) / 4096);
			}
			must(p.type != VMPKT_GPA_DIRECT || ranges == p.range_count);
			must(!p.ranges || p.ranges + p.ranges_len <= p.payload);
		}
		free(t.copy);
	}
	must(good > 100);
}
END_TEST

/* ---- encoders ------------------------------------------------------------------------ */

START_TEST(encoders_refuse_what_the_wire_cannot_say)
{
	uint64_t *blank;
	static const uint64_t pfn[4] = { 1, 2, 3, 4 };
	static const struct vmpkt_range_in empty = { 0, 0, pfn }, high = { 1, 4096, pfn };
	struct vmring_out before;
	struct rig r;

	rig_init(&r, SMALL, 0, ACCEPT_ALL);
	before = r.out;
	ck_assert_int_eq(vmpkt_put_gpa_direct(&r.out, 0, 1, 0x1000, 0, pfn, 2, NULL, 0), -EINVAL);
	ck_assert_int_eq(vmpkt_put_gpa_direct(&r.out, 0, 1, 0x1000, 1, pfn, 1, NULL, 0), -EINVAL);
	ck_assert_int_eq(vmpkt_put_gpa_direct(&r.out, 0, 1, 0, 0, pfn, 0, NULL, 0), -EINVAL);
	ck_assert_int_eq(vmpkt_put_gpa_direct(&r.out, 0, 1, 1, 4096, pfn, 2, NULL, 0), -EINVAL);
	ck_assert_int_eq(vmpkt_put_gpa_blank(&r.out, 0, 1, 0, 0, 8, &blank), -EINVAL);
	ck_assert_int_eq(vmpkt_put_gpa_blank(&r.out, 0, 1, 1, 4096, 8, &blank), -EINVAL);
	ck_assert_int_eq(vmpkt_put_gpa_direct_multi(&r.out, 0, 1, &empty, 1, NULL, 0), -EINVAL);
	ck_assert_int_eq(vmpkt_put_gpa_direct_multi(&r.out, 0, 1, &high, 1, NULL, 0), -EINVAL);
	ck_assert_int_eq(vmpkt_put_gpa_direct_multi(&r.out, 0, 1, NULL, 0, NULL, 0), -EINVAL);
	ck_assert_int_eq(vmpkt_put_xfer_pages(&r.out, 0, 1, 1, NULL, 0, NULL, 0), -EINVAL);
	ck_assert_mem_eq(&before, &r.out, sizeof(before)); /* and leave no trace */
	rig_fini(&r);
}
END_TEST

START_TEST(encoders_refuse_what_never_fits)
{
	static const uint8_t big[VMPKT_MAX_LEN];
	static const uint64_t pfn[1];
	struct vmpkt_range_in whole = { 0xffffffff, 0, pfn };
	uint64_t *blank;
	struct rig r;
	void *pkt;

	rig_init(&r, SMALL, 0, ACCEPT_ALL);
	ck_assert_int_eq(vmpkt_put_inband(&r.out, 0, 1, big, SMALL - 31), -EMSGSIZE);
	ck_assert_int_eq(vmpkt_put_inband(&r.out, 0, 1, big, 0xffffffff), -EMSGSIZE);
	ck_assert_int_eq(vmpkt_put_completion(&r.out, 1, big, 0xfffffff0), -EMSGSIZE);
	ck_assert_int_eq(vmpkt_put_inband(&r.out, 0, 1, big, SMALL - 32), 0);
	rig_fini(&r);

	rig_init(&r, 1 << 20, 0, ACCEPT_ALL); /* here the 16-bit length is the limit */
	ck_assert_int_eq(vmpkt_put_inband(&r.out, 0, 1, big, VMPKT_MAX_LEN - 15), -EMSGSIZE);
	ck_assert_int_eq(vmring_out_reserve(&r.out, VMPKT_MAX_LEN + 8, &pkt), -EMSGSIZE);
	ck_assert_int_eq(vmring_out_reserve(&r.out, 0xfffffff8, &pkt), -EMSGSIZE);
	ck_assert(!vmring_out_want_space(&r.out, 0xfffffff8));
	ck_assert_int_eq(vmpkt_put_gpa_direct_multi(&r.out, 0, 1, &whole, 1, NULL, 0), -EMSGSIZE);
	ck_assert_int_eq(vmpkt_put_gpa_blank(&r.out, 0, 1, 0xffffffff, 0, 0, &blank), -EMSGSIZE);
	ck_assert_int_eq(vmpkt_put_gpa_blank(&r.out, 0, 1, 1, 0, 0xffffffd8, &blank), -EMSGSIZE);
	ck_assert_int_eq(
		vmpkt_put_xfer_pages(&r.out, 0, 1, 1, (const void *)big, 0xffffffff, NULL, 0),
		-EMSGSIZE);
	ck_assert_int_eq(vmpkt_put_inband(&r.out, 0, 1, big, VMPKT_MAX_LEN - 16), 0);
	vmring_out_commit(&r.out);
	ck_assert_uint_eq(rig_take(&r, 1).len8, 0xffff);
	rig_fini(&r);
}
END_TEST

/* Our memory behind a payload never shows: every length, over a ring full of 0xee. */
START_TEST(padding_is_zero)
{
	uint8_t payload[600];
	struct vmpkt_desc d;
	const uint8_t *pkt;
	struct rig r;

	memset(payload, 0x5a, sizeof(payload));
	rig_map(&r, SMALL);
	memset(r.data, 0xee, r.size);
	rig_attach(&r, 0, 0, ACCEPT_ALL);
	for (uint32_t len = 0; len <= sizeof(payload); len++) {
		uint32_t i;

		rig_send(&r, len, payload, len);
		must(vmring_in_peek(&r.in, &d, &pkt) == 0);
		must(d.len8 == 2 + (len + 7) / 8);
		for (i = 0; i < len; i++)
			must(pkt[16 + i] == 0x5a);
		for (; i % 8; i++)
			must(pkt[16 + i] == 0);
		vmring_in_pop(&r.in, &d);
		vmring_in_commit(&r.in);
	}
	rig_fini(&r);
}
END_TEST

/* vmring_copy() moves exactly what it is told, for every length and every way it takes. */
/* The same of a packet that the caller fills in. */
START_TEST(padding_of_blanks_is_zero)
{
	uint64_t *pfn;
	struct rig r;

	for (uint32_t len = 0; len <= 16; len++) {
		rig_init(&r, SMALL, 0, ACCEPT_ALL);
		memset(r.out.data, 0xee, SMALL);
		ck_assert_int_eq(vmpkt_put_gpa_blank(&r.out, 0, 1, 2, 4095, len, &pfn), 0);
		ck_assert_ptr_eq(pfn, r.out.data + 32); /* two pages: the payload is at 48 */
		for (uint32_t i = 48; i < 48 + (len + 7) / 8 * 8; i++)
			must(i < 48 + len || !r.out.data[i]);
		rig_fini(&r);
	}
}
END_TEST

START_TEST(copy_is_exact)
{
	static uint64_t from[160], to[160];
	uint8_t *f = (uint8_t *)from, *t = (uint8_t *)to;

	for (size_t i = 0; i < sizeof(from); i++)
		f[i] = (uint8_t)(i * 7 + 1);
	for (uint32_t len = 0; len <= 1024; len += 8) {
		memset(to, 0xa5, sizeof(to));
		vmring_copy(t + 8, f + 16, len);
		ck_assert_msg(!memcmp(t + 8, f + 16, len), "length %u", len);
		must(t[7] == 0xa5);
		must(t[8 + len] == 0xa5);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ring: packets");
	TCase *tc = tcase_create("P cases");

	tcase_add_test(tc, test_P01_gpa_direct_with_a_bare_descriptor);
	tcase_add_test(tc, test_P02_transfer_pages_with_a_bare_descriptor);
	tcase_add_test(tc, test_P03_no_ranges);
	tcase_add_loop_test(tc, test_P04_more_ranges_than_the_header_holds, 0, 2);
	tcase_add_loop_test(tc, test_P05_range_count_that_overflows, 0, 2);
	tcase_add_test(tc, test_P06_empty_range);
	tcase_add_test(tc, test_P07_byte_offset_outside_a_page);
	tcase_add_test(tc, test_P08_count_and_offset_overflow);
	tcase_add_test(tc, test_P09_page_list_too_short);
	tcase_add_test(tc, test_P09_second_range_cut_off);
	tcase_add_loop_test(tc, decoding_noise_stays_inside, 0, 2);
	suite_add_tcase(s, tc);
	tc = tcase_create("encoders");
	tcase_add_test(tc, encoders_refuse_what_the_wire_cannot_say);
	tcase_add_test(tc, encoders_refuse_what_never_fits);
	tcase_add_test(tc, padding_is_zero);
	tcase_add_test(tc, padding_of_blanks_is_zero);
	tcase_add_test(tc, copy_is_exact);
	suite_add_tcase(s, tc);
	return rig_run(s);
}
