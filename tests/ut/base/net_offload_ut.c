/* SPDX-License-Identifier: MIT */
/* Requests of drivers, in all their forms, become one. */
#include "base/net/csum.h"
#include "tests/ut/base/net_rig.h"

static struct rig_packet sent, want;
static struct rig_frame r;

static const struct rig_spec large[] = {
	{ .payload = 4380 },
	{ .payload = 9000, .tcp_options = 12, .flags = 0x98 },
	{ .payload = 3000, .ip_options = 40, .tcp_options = 40 },
	{ .payload = 5000, .ip6 = true },
	{ .payload = 60000, .ip6 = true, .extensions = 2, .tcp_options = 20 },
	{ .payload = 4000, .tags = 1 },
	{ .payload = 65535 - 40 },
};

/* How @want comes out of it: lengths, IPv4 checksum, pseudo header, all right. */
static void build(const struct rig_spec *s)
{
	rig_build(&sent, s, NULL);
	want = sent;
	if (!s->ip6)
		rig_put_ip_check(&want);
	rig_put_pseudo(&want, s, true);
}

static int make_gso(const struct rig_spec *s, uint32_t mss)
{
	rig_frame(&r, sent.bytes, sent.len, NET_HEAD_MAX);
	return net_frame_make_gso(&r.f, mss, s->ip6);
}

static void check_gso(const struct rig_spec *s, uint32_t mss)
{
	const struct net_meta *m = &r.f.meta;

	ck_assert(rig_same(&r.f, &want));
	ck_assert_uint_eq(m->csum, NET_CSUM_PARTIAL);
	ck_assert_uint_eq(m->csum_start, want.l4);
	ck_assert_uint_eq(m->csum_offset, 16);
	ck_assert_uint_eq(m->gso, s->ip6 ? NET_GSO_TCP6 : NET_GSO_TCP4);
	ck_assert_uint_eq(m->gso_size, mss);
	ck_assert_uint_eq(m->header_len, want.header_len);
	ck_assert_int_eq(m->gso_ecn, (s->flags & 0x80) != 0);
	ck_assert_uint_eq(r.f.proto.l3_len, want.len - want.l3);
}

START_TEST(large_send_of_every_convention)
{
	const struct rig_spec *s = &large[_i];

	build(s); /* NDIS: no length anywhere */
	rig_make_ndis(&sent, s);
	ck_assert_int_eq(make_gso(s, 1000), 0);
	check_gso(s, 1000);

	sent = want; /* virtio: right already */
	ck_assert_int_eq(make_gso(s, 1460), 0);
	check_gso(s, 1460);

	for (int i = 0; i < 50; i++) { /* lies */
		be16_put(sent.bytes + sent.l3 + (s->ip6 ? 4 : 2), (uint16_t)rig_random());
		be16_put(sent.bytes + sent.l4 + 16, (uint16_t)rig_random());
		ck_assert_int_eq(make_gso(s, 1460), 0);
		check_gso(s, 1460);
	}
}
END_TEST

/* 4,380 bytes from 10.0.0.1 to 10.0.0.2, byte for byte. */
START_TEST(worked_example)
{
	static const uint8_t before[] = { 0x45, 0,    0x00, 0x00, 0, 1, 0x40, 0, 0x40, 6,
					  0x00, 0x00, 10,   0,	  0, 1, 10,   0, 0,    2 };
	static const uint8_t after[] = { 0x45, 0,    0x11, 0x44, 0, 1, 0x40, 0, 0x40, 6,
					 0x15, 0xb1, 10,   0,	 0, 1, 10,   0, 0,    2 };
	struct rig_spec s = { .payload = 4380, .id = 1 };

	rig_build(&sent, &s, NULL);
	rig_make_ndis(&sent, &s);
	ck_assert_mem_eq(sent.bytes + 14, before, 20);
	ck_assert_uint_eq(be16_at(sent.bytes + 50), 0x1409);
	ck_assert_int_eq(make_gso(&s, 1460), 0);
	ck_assert_mem_eq(r.head + 14, after, 20);
	ck_assert_uint_eq(be16_at(r.head + 50), 0x2539);
}
END_TEST

START_TEST(what_fits_into_one_segment_is_not_cut)
{
	struct rig_spec s = { .payload = 1460, .flags = 0x80 };

	build(&s);
	rig_make_ndis(&sent, &s);
	ck_assert_int_eq(make_gso(&s, 1460), 0);
	ck_assert(rig_same(&r.f, &want));
	ck_assert_uint_eq(r.f.meta.gso, NET_GSO_NONE);
	ck_assert_uint_eq(r.f.meta.gso_size | r.f.meta.header_len | r.f.meta.gso_ecn, 0);
	ck_assert_uint_eq(r.f.meta.csum, NET_CSUM_PARTIAL);
	rig_put_checks(&want, &s);
	net_csum_complete(&r.f);
	ck_assert(rig_same(&r.f, &want));
	ck_assert_int_eq(make_gso(&s, 1459), 0);
	ck_assert_uint_eq(r.f.meta.gso, NET_GSO_TCP4);
	ck_assert_int_eq(make_gso(&s, 65535), 0);
	ck_assert_uint_eq(r.f.meta.gso, NET_GSO_NONE);
}
END_TEST

static const struct rig_spec plain = { .payload = 3000 }, plain6 = { .payload = 3000, .ip6 = true };

static int after_change(const struct rig_spec *s, uint32_t at, uint8_t value)
{
	rig_build(&sent, s, NULL);
	sent.bytes[at] = value;
	return make_gso(s, 1000);
}

START_TEST(large_sends_that_cannot_be)
{
	struct rig_spec udp = { .payload = 3000, .udp = true }, none = { .payload = 0 };

	rig_build(&sent, &plain, NULL);
	ck_assert_int_eq(make_gso(&plain, 1000), 0);
	ck_assert_int_eq(make_gso(&plain, 0), -EINVAL);
	ck_assert_int_eq(make_gso(&plain, 65536), -EINVAL);
	ck_assert_int_eq(make_gso(&plain, 0xfffff), -EINVAL);
	ck_assert_int_eq(make_gso(&plain6, 1000), -EINVAL);	   /* the version is another one */
	ck_assert_int_eq(after_change(&plain, 14, 0x46), -EINVAL); /* TCP is elsewhere then */
	ck_assert_int_eq(after_change(&plain, 20, 0x20), -EINVAL); /* more fragments */
	ck_assert_int_eq(after_change(&plain, 21, 0x01), -EINVAL); /* a later fragment */
	ck_assert_int_eq(after_change(&plain, 23, 17), -EINVAL);
	ck_assert_int_eq(after_change(&plain, 46, 0x40), -EINVAL); /* data offset 4 */
	ck_assert_int_eq(after_change(&plain, 12, 0x09), -EINVAL);
	rig_build(&sent, &udp, NULL);
	ck_assert_int_eq(make_gso(&udp, 1000), -EINVAL);
	rig_build(&sent, &none, NULL);
	ck_assert_int_eq(make_gso(&none, 1000), -EINVAL);
}
END_TEST

/* An MSS of one byte would make 65,000 frames of one. */
START_TEST(segments_are_bounded)
{
	struct rig_spec s = { .payload = NET_GSO_SEGMENTS * 2 };

	rig_build(&sent, &s, NULL);
	ck_assert_int_eq(make_gso(&s, 2), 0);
	ck_assert_int_eq(make_gso(&s, 1), -EINVAL);
	s.payload++;
	rig_build(&sent, &s, NULL);
	ck_assert_int_eq(make_gso(&s, 2), -EINVAL);
}
END_TEST

START_TEST(headers_must_be_in_the_copy)
{
	struct rig_spec s = { .payload = 3000, .tcp_options = 40 };

	rig_build(&sent, &s, NULL);
	rig_frame(&r, sent.bytes, sent.len, sent.header_len - 1);
	ck_assert_int_eq(net_frame_make_gso(&r.f, 1000, false), -EINVAL);
	rig_frame(&r, sent.bytes, sent.len, sent.header_len);
	ck_assert_int_eq(net_frame_make_gso(&r.f, 1000, false), 0);
	s = (struct rig_spec){ .payload = 3000, .ip6 = true, .extensions = 30 };
	rig_build(&sent, &s, NULL);
	ck_assert_int_eq(make_gso(&s, 1000), -EINVAL);
}
END_TEST

/* Tags in front make a packet longer than IP can say. */
START_TEST(longest_packet)
{
	static uint8_t big[NET_FRAME_MAX];
	struct rig_spec s = { .payload = 60000 };

	rig_build(&sent, &s, NULL);
	memcpy(big, sent.bytes, sent.len);
	rig_frame(&r, big, sizeof(big), NET_HEAD_MAX);
	ck_assert_int_eq(net_frame_make_gso(&r.f, 1460, false), 0);
	ck_assert_uint_eq(be16_at(r.head + 16), 65535);
	r.f.len++;
	ck_assert_int_eq(net_frame_make_gso(&r.f, 1460, false), -EINVAL);
}
END_TEST

/* The pseudo header of a packet on a route has an address that is not in the IP header. */
START_TEST(routed_packets_are_refused)
{
	struct rig_spec s = { .payload = 3000, .ip6 = true, .extensions = 1 };

	rig_build(&sent, &s, NULL);
	sent.bytes[20] = 43;
	memcpy(sent.bytes + 54, "\x06\0\x02\0\0\0\0\0", 8);
	ck_assert_int_eq(make_gso(&s, 1000), 0);
	sent.bytes[57] = 1; /* segments left */
	ck_assert_int_eq(make_gso(&s, 1000), -EINVAL);
	rig_frame(&r, sent.bytes, sent.len, NET_HEAD_MAX);
	ck_assert_int_eq(net_frame_make_partial(&r.f, true, false), -EINVAL);
}
END_TEST

/* ---- partial checksums ----------------------------------------------------------------- */

static const struct rig_spec small[] = {
	{ .payload = 0 },
	{ .payload = 1 },
	{ .payload = 1400, .tcp_options = 12 },
	{ .payload = 100, .udp = true },
	{ .payload = 0, .udp = true, .ip_options = 4 },
	{ .payload = 1400, .ip6 = true },
	{ .payload = 3, .ip6 = true, .udp = true, .extensions = 3 },
	{ .payload = 100, .udp = true, .tags = 2 },
};

START_TEST(partial_sums_are_made_from_the_headers)
{
	const struct rig_spec *s = &small[_i];

	build(s);
	be16_put(rig_l4_check(&sent, s->udp), 0xdead); /* nobody trusts that */
	rig_frame(&r, sent.bytes, sent.len, NET_HEAD_FIRST);
	ck_assert_int_eq(net_frame_make_partial(&r.f, true, true), 0);
	ck_assert(rig_same(&r.f, &want));
	ck_assert_uint_eq(r.f.meta.csum, NET_CSUM_PARTIAL);
	ck_assert_uint_eq(r.f.meta.csum_start, sent.l4);
	ck_assert_uint_eq(r.f.meta.csum_offset, s->udp ? 6 : 16);
	rig_put_checks(&want, s);
	net_csum_complete(&r.f);
	ck_assert(rig_same(&r.f, &want));
}
END_TEST

START_TEST(only_what_is_asked_for)
{
	struct rig_spec s = { .payload = 100 };

	build(&s);
	memset(sent.bytes + 24, 0x77, 2);
	memset(sent.bytes + 50, 0x77, 2);
	want = sent;
	rig_put_ip_check(&want);
	rig_frame(&r, sent.bytes, sent.len, NET_HEAD_FIRST);
	ck_assert_int_eq(net_frame_make_partial(&r.f, false, true), 0);
	ck_assert(rig_same(&r.f, &want));
	ck_assert_uint_eq(r.f.meta.csum, NET_CSUM_UNKNOWN);
	want = sent;
	rig_put_pseudo(&want, &s, true);
	rig_frame(&r, sent.bytes, sent.len, NET_HEAD_FIRST);
	ck_assert_int_eq(net_frame_make_partial(&r.f, true, false), 0);
	ck_assert(rig_same(&r.f, &want));
}
END_TEST

START_TEST(padding_of_a_short_frame_is_cut_off)
{
	struct rig_spec s = { .payload = 1, .udp = true };

	build(&s);
	memset(sent.bytes + sent.len, 0x55, 17);
	rig_frame(&r, sent.bytes, 60, NET_HEAD_FIRST);
	ck_assert_int_eq(net_frame_make_partial(&r.f, true, true), 0);
	ck_assert(rig_same(&r.f, &want));
	/* That much is no padding. */
	memset(sent.bytes + sent.len, 0x55, 500);
	rig_frame(&r, sent.bytes, sent.len + 500, NET_HEAD_FIRST);
	ck_assert_int_eq(net_frame_make_partial(&r.f, true, true), -EINVAL);
}
END_TEST

static int partial_after_change(const struct rig_spec *s, uint32_t at, uint8_t value)
{
	rig_build(&sent, s, NULL);
	sent.bytes[at] = value;
	rig_frame(&r, sent.bytes, sent.len, NET_HEAD_FIRST);
	return net_frame_make_partial(&r.f, true, true);
}

START_TEST(partial_sums_that_cannot_be)
{
	static const struct rig_spec udp = { .udp = true, .payload = 30 };
	uint8_t arp[42] = { [12] = 0x08, 0x06 };

	ck_assert_int_eq(partial_after_change(&udp, 60, 0), 0);
	ck_assert_int_eq(partial_after_change(&udp, 23, 1), -EINVAL);	 /* ICMP */
	ck_assert_int_eq(partial_after_change(&udp, 20, 0x20), -EINVAL); /* a fragment */
	ck_assert_int_eq(partial_after_change(&udp, 16, 0x7f), -EINVAL); /* the length lies */
	ck_assert_int_eq(partial_after_change(&udp, 17, 26), -EINVAL);	 /* no room for the field */
	rig_build(&sent, &plain, NULL);
	rig_frame(&r, sent.bytes, sent.len, sent.l4 + 17);
	ck_assert_int_eq(net_frame_make_partial(&r.f, true, true), -EINVAL);
	rig_frame(&r, arp, sizeof(arp), NET_HEAD_FIRST);
	ck_assert_int_eq(net_frame_make_partial(&r.f, true, false), -EINVAL);
	ck_assert_int_eq(net_frame_make_partial(&r.f, false, true), -EINVAL);
	/* The header of a fragment has a checksum of its own. */
	rig_build(&sent, &udp, NULL);
	sent.bytes[20] = 0x20;
	rig_frame(&r, sent.bytes, sent.len, NET_HEAD_FIRST);
	ck_assert_int_eq(net_frame_make_partial(&r.f, false, true), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base/net/offload");
	TCase *tc = tcase_create("offload");

	tcase_add_loop_test(tc, large_send_of_every_convention, 0, (int)ARRAY_SIZE(large));
	tcase_add_test(tc, worked_example);
	tcase_add_test(tc, what_fits_into_one_segment_is_not_cut);
	tcase_add_test(tc, large_sends_that_cannot_be);
	tcase_add_test(tc, segments_are_bounded);
	tcase_add_test(tc, headers_must_be_in_the_copy);
	tcase_add_test(tc, longest_packet);
	tcase_add_test(tc, routed_packets_are_refused);
	tcase_add_loop_test(tc, partial_sums_are_made_from_the_headers, 0, (int)ARRAY_SIZE(small));
	tcase_add_test(tc, only_what_is_asked_for);
	tcase_add_test(tc, padding_of_a_short_frame_is_cut_off);
	tcase_add_test(tc, partial_sums_that_cannot_be);
	suite_add_tcase(s, tc);
	return rig_run(s);
}
