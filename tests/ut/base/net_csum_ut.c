/* SPDX-License-Identifier: MIT */
/* Checksums, compared with the definition, word by word. */
#include "base/net/csum.h"
#include "tests/ut/base/net_rig.h"

#define ROOM 600

static uint8_t data[ROOM + 16];

static void setup(void)
{
	for (uint32_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)rig_random();
}

/* A sum as the module has it, as a number. */
static uint16_t folded(uint32_t sum)
{
	uint16_t v = net_csum_fold(sum);

	return be16_at(&v);
}

START_TEST(sums_every_length_at_every_alignment)
{
	for (uint32_t align = 0; align < 9; align++)
		for (uint32_t len = 0; len <= 200; len++)
			if (folded(net_csum_add(0, data + align, len)) !=
			    rig_sum(0, data + align, len))
				ck_abort_msg("alignment %u length %u", align, len);
}
END_TEST

START_TEST(copies_what_it_sums)
{
	uint8_t out[ROOM], want[ROOM];

	for (uint32_t align = 0; align < 9; align++)
		for (uint32_t len = 0; len <= 200; len++) {
			memset(out, 0xee, sizeof(out));
			memset(want, 0xee, sizeof(want));
			memcpy(want + align, data + 3, len);
			if (folded(net_csum_copy(0, out + align, data + 3, len)) !=
			    rig_sum(0, data + 3, len))
				ck_abort_msg("alignment %u length %u", align, len);
			ck_assert_mem_eq(out, want, sizeof(out));
		}
}
END_TEST

START_TEST(carries_are_not_lost)
{
	static uint8_t ones[65536];

	memset(ones, 0xff, sizeof(ones));
	ck_assert_uint_eq(folded(net_csum_add(0, ones, sizeof(ones))), 0xffff);
	ck_assert_uint_eq(folded(net_csum_add(0xffffffff, ones, 3)), 0xffff ^ 0xff);
	ck_assert_uint_eq(folded(net_csum_add(UINT32_MAX, "\0\1", 2)), 1);
	ck_assert_uint_eq(folded(net_csum_join(UINT32_MAX, 0x0100, 0)), 1);
	ck_assert_uint_eq(net_csum_fold(0x0001ffff), 1);
	ck_assert_uint_eq(net_csum_fold(0xffffffff), 0xffff);
	ck_assert_uint_eq(net_csum_fold(0), 0);
}
END_TEST

START_TEST(sum_goes_on_from_the_one_given)
{
	uint32_t first = net_csum_add(0, data, 30);

	ck_assert_uint_eq(folded(net_csum_add(first, data + 30, 41)), rig_sum(0, data, 71));
	first = net_csum_add(0, data, 31);
	ck_assert_uint_eq(folded(net_csum_join(first, net_csum_add(0, data + 31, 40), 31)),
			  rig_sum(0, data, 71));
}
END_TEST

/* Pieces of random length, some empty, with gaps between them. */
static int scatter(struct iovec *iov, uint8_t *arena, uint8_t *flat, uint32_t *total)
{
	int n = (int)rig_between(1, 8);

	*total = 0;
	for (int i = 0; i < n; i++) {
		uint32_t len = rig_between(0, 40), gap = rig_between(0, 3);

		iov[i] = (struct iovec){ arena + gap, len };
		memcpy(flat + *total, arena + gap, len);
		arena += gap + len;
		*total += len;
	}
	return n;
}

START_TEST(lists_with_odd_pieces_and_offsets)
{
	uint8_t flat[ROOM];
	struct iovec iov[8];
	uint32_t total;

	for (int round = 0; round < 3000; round++) {
		int n = scatter(iov, data, flat, &total);
		uint32_t off = rig_between(0, total), len = rig_between(0, total - off);

		if (folded(net_csum_iov(0, iov, n, off, len)) != rig_sum(0, flat + off, len))
			ck_abort_msg("round %d: %u bytes from %u", round, len, off);
		ck_assert_uint_eq(folded(net_csum_iov(0, iov, n, off, ROOM)), /* the list ends */
				  rig_sum(0, flat + off, total - off));
		ck_assert_uint_eq(folded(net_csum_iov(net_csum_add(0, data, 2), iov, n, off, len)),
				  rig_sum(rig_sum(0, data, 2), flat + off, len));
	}
}
END_TEST

START_TEST(ip4_header_ignores_its_field)
{
	uint8_t ip[20];
	uint16_t check;

	memcpy(ip,
	       "\x45\x00\x11\x44\x00\x01\x40\x00\x40\x06\xde\xad\x0a\x00\x00\x01\x0a\x00\x00\x02",
	       20);
	check = net_csum_ip4(ip, sizeof(ip));
	ck_assert_uint_eq(be16_at(&check), 0x15b1);
}
END_TEST

static const struct rig_spec kinds[] = {
	{ .payload = 1 },
	{ .payload = 999, .tcp_options = 12 },
	{ .payload = 1000, .ip_options = 8 },
	{ .payload = 0 },
	{ .payload = 777, .udp = true },
	{ .payload = 500, .ip6 = true },
	{ .payload = 501, .ip6 = true, .udp = true, .extensions = 2 },
	{ .payload = 333, .tags = 1 },
};

START_TEST(completes_partial_sums)
{
	const struct rig_spec *s = &kinds[_i];
	static struct rig_packet sent, want;

	for (uint32_t copy = 120; copy <= 256; copy += 17) {
		struct rig_frame r;

		rig_build(&sent, s, NULL);
		want = sent;
		rig_put_checks(&want, s);
		if (!s->ip6)
			rig_put_ip_check(&sent);
		rig_put_pseudo(&sent, s, true);
		rig_frame(&r, sent.bytes, sent.len, copy);
		r.f.meta = (struct net_meta){ .csum = NET_CSUM_PARTIAL,
					      .csum_start = (uint16_t)sent.l4,
					      .csum_offset = s->udp ? 6 : 16 };
		net_csum_complete(&r.f);
		ck_assert_uint_eq(r.f.meta.csum, NET_CSUM_GOOD);
		ck_assert(rig_same(&r.f, &want));
	}
}
END_TEST

START_TEST(udp_sum_of_zero_is_written_as_ones)
{
	struct rig_spec s = { .udp = true, .payload = 2 };
	static struct rig_packet k;
	struct rig_frame r;

	rig_build(&k, &s, (const uint8_t *)"\0\0");
	/* The payload that makes the sum of all else 0xffff. */
	be16_put(k.bytes + k.header_len,
		 (uint16_t)~rig_sum(rig_pseudo(k.bytes + k.l3, false, 17, 10), k.bytes + k.l4, 8));
	rig_put_pseudo(&k, &s, true);
	rig_frame(&r, k.bytes, k.len, 128);
	r.f.meta = (struct net_meta){ .csum = NET_CSUM_PARTIAL,
				      .csum_start = (uint16_t)k.l4,
				      .csum_offset = 6 };
	net_csum_complete(&r.f);
	ck_assert_uint_eq(be16_at(r.f.head + k.l4 + 6), 0xffff);
}
END_TEST

START_TEST(leaves_others_alone)
{
	static struct rig_packet k;
	struct rig_spec s = { .payload = 50 };
	struct rig_frame r;

	rig_build(&k, &s, NULL);
	rig_frame(&r, k.bytes, k.len, 128);
	net_csum_complete(&r.f);
	ck_assert_uint_eq(r.f.meta.csum, NET_CSUM_UNKNOWN);
	r.f.meta.csum = NET_CSUM_PARTIAL;
	r.f.meta.csum_start = (uint16_t)k.l4;
	r.f.meta.csum_offset = 16;
	r.f.meta.gso = NET_GSO_TCP4;
	net_csum_complete(&r.f);
	ck_assert_uint_eq(r.f.meta.csum, NET_CSUM_PARTIAL);
	r.f.meta.gso = NET_GSO_NONE;
	r.f.meta.csum_offset = 2000; /* out of the copy: nothing is written */
	net_csum_complete(&r.f);
	ck_assert(rig_same(&r.f, &k));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base/net/csum");
	TCase *tc = tcase_create("csum");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, sums_every_length_at_every_alignment);
	tcase_add_test(tc, copies_what_it_sums);
	tcase_add_test(tc, carries_are_not_lost);
	tcase_add_test(tc, sum_goes_on_from_the_one_given);
	tcase_add_test(tc, lists_with_odd_pieces_and_offsets);
	tcase_add_test(tc, ip4_header_ignores_its_field);
	tcase_add_loop_test(tc, completes_partial_sums, 0, (int)ARRAY_SIZE(kinds));
	tcase_add_test(tc, udp_sum_of_zero_is_written_as_ones);
	tcase_add_test(tc, leaves_others_alone);
	suite_add_tcase(s, tc);
	return rig_run(s);
}
