/* SPDX-License-Identifier: MIT */
/* Segments, each compared with one that was built from scratch. */
#include "base/net/gso.h"
#include "tests/ut/base/net_rig.h"

static struct rig_packet whole, want;
static struct net_gso g;

/* ---- worked examples -------------------------------------------------------------------- */

static const uint8_t eight[] = {
	0x00, 0x15, 0x5d, 0x01, 0x02, 0xa1, 0x00, 0x15, 0x5d, 0x01, 0x02, 0xa0, 0x08,
	0x00, 0x45, 0x00, 0x00, 0x00, 0x00, 0x07, 0x40, 0x00, 0x40, 0x06, 0x00, 0x00,
	0x0a, 0x00, 0x00, 0x01, 0x0a, 0x00, 0x00, 0x02, 0x04, 0xd2, 0x13, 0x89, 0x00,
	0x00, 0x03, 0xe8, 0x00, 0x00, 0x00, 0x01, 0x50, 0x18, 0xff, 0xff, 0x14, 0x09,
	0x00, 0x00, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,
};
static const uint8_t four[2][58] = {
	{
		0x00, 0x15, 0x5d, 0x01, 0x02, 0xa1, 0x00, 0x15, 0x5d, 0x01, 0x02, 0xa0,
		0x08, 0x00, 0x45, 0x00, 0x00, 0x2c, 0x00, 0x07, 0x40, 0x00, 0x40, 0x06,
		0x26, 0xc3, 0x0a, 0x00, 0x00, 0x01, 0x0a, 0x00, 0x00, 0x02, 0x04, 0xd2,
		0x13, 0x89, 0x00, 0x00, 0x03, 0xe8, 0x00, 0x00, 0x00, 0x01, 0x50, 0x10,
		0xff, 0xff, 0xfb, 0x03, 0x00, 0x00, 0x41, 0x42, 0x43, 0x44,
	},
	{
		0x00, 0x15, 0x5d, 0x01, 0x02, 0xa1, 0x00, 0x15, 0x5d, 0x01, 0x02, 0xa0,
		0x08, 0x00, 0x45, 0x00, 0x00, 0x2c, 0x00, 0x08, 0x40, 0x00, 0x40, 0x06,
		0x26, 0xc2, 0x0a, 0x00, 0x00, 0x01, 0x0a, 0x00, 0x00, 0x02, 0x04, 0xd2,
		0x13, 0x89, 0x00, 0x00, 0x03, 0xec, 0x00, 0x00, 0x00, 0x01, 0x50, 0x18,
		0xff, 0xff, 0xf2, 0xef, 0x00, 0x00, 0x45, 0x46, 0x47, 0x48,
	},
};

START_TEST(worked_example)
{
	static uint8_t flat[RIG_FRAME];

	for (uint32_t copy = 54; copy <= 62; copy++) {
		struct rig_frame r;
		uint32_t bytes;

		rig_frame(&r, (void *)eight, sizeof(eight), copy);
		ck_assert_int_eq(net_frame_make_gso(&r.f, 4, false), 0);
		ck_assert_uint_eq(net_gso_count(&r.f, &bytes), 2);
		ck_assert_uint_eq(bytes, 2 * sizeof(four[0]));
		net_gso_begin(&g, &r.f);
		for (int i = 0; i < 2; i++) {
			struct net_frame *seg = net_gso_next(&g);

			ck_assert_ptr_nonnull(seg);
			ck_assert_uint_eq(rig_flatten(seg, flat), sizeof(four[i]));
			ck_assert_mem_eq(flat, four[i], sizeof(four[i]));
		}
		ck_assert_ptr_null(net_gso_next(&g));
		ck_assert_ptr_null(net_gso_next(&g));
	}
}
END_TEST

START_TEST(bytes_on_the_wire)
{
	struct rig_spec s = { .payload = 4380 };
	struct rig_frame r;
	uint32_t bytes = 0;

	rig_build(&whole, &s, NULL);
	rig_frame(&r, whole.bytes, whole.len, 128);
	ck_assert_uint_eq(net_gso_count(&r.f, &bytes), 1); /* nothing was asked for yet */
	ck_assert_uint_eq(bytes, 4434);
	ck_assert_int_eq(net_frame_make_gso(&r.f, 1460, false), 0);
	ck_assert_uint_eq(net_gso_count(&r.f, &bytes), 3);
	ck_assert_uint_eq(bytes, 4542);
	ck_assert_uint_eq(net_gso_count(&r.f, NULL), 3);
}
END_TEST

START_TEST(no_segments_without_gso)
{
	struct rig_spec s = { .payload = 100 };
	struct rig_frame r;

	rig_build(&whole, &s, NULL);
	rig_frame(&r, whole.bytes, whole.len, 128);
	net_gso_begin(&g, &r.f);
	ck_assert_ptr_null(net_gso_next(&g));
}
END_TEST

/* ---- the property ------------------------------------------------------------------------ */

/* What segment @n of a frame as @s says must be. */
static void model(const struct rig_spec *s, uint32_t n, uint32_t mss)
{
	struct rig_spec one = *s;
	uint32_t done = n * mss;

	one.payload = s->payload - done < mss ? s->payload - done : mss;
	one.seq += done;
	one.id = (uint16_t)(one.id + n);
	if (n)
		one.flags &= 0x7f; /* CWR */
	if (done + one.payload < s->payload)
		one.flags &= 0xf6; /* PSH, FIN */
	rig_build(&want, &one, whole.bytes + whole.header_len + done);
	rig_put_checks(&want, &one);
}

static struct rig_spec random_spec(void)
{
	struct rig_spec s = {
		.ip6 = rig_random() & 1,
		.tags = rig_random() % 8 == 0,
		.tcp_options = rig_between(0, 10) * 4,
		.flags = (uint8_t)rig_random(),
		.id = (uint16_t)rig_random(),
		.seq = rig_random(),
		.payload = rig_between(2, rig_random() & 1 ? 65300 : 5000),
	};

	if (s.ip6)
		s.extensions = rig_between(0, 3);
	else
		s.ip_options = rig_between(0, 10) * 4;
	return s;
}

static uint32_t random_mss(uint32_t payload)
{
	uint32_t low = payload / NET_GSO_SEGMENTS + 1;

	return rig_between(low, rig_random() & 1 ? payload : low + 1500);
}

/* Pages, as a guest's large frame comes in, the first and the last not whole. */
static int cut(struct iovec *iov, uint8_t *bytes, uint32_t len)
{
	uint32_t first = rig_between(1, 4096);
	int n = 0;

	while (len) {
		uint32_t piece = first < len ? first : len;

		iov[n++] = (struct iovec){ bytes, piece };
		bytes += piece;
		len -= piece;
		first = 4096;
	}
	return n;
}

static void check_meta(const struct net_frame *f, const struct net_frame *seg)
{
	struct net_frame again = { .head = seg->head, .head_len = seg->head_len, .len = seg->len };

	ck_assert_uint_eq(seg->meta.csum, NET_CSUM_GOOD);
	ck_assert_uint_eq(seg->meta.gso, NET_GSO_NONE);
	ck_assert_uint_eq(seg->meta.vlan_tci, f->meta.vlan_tci);
	ck_assert_int_eq(seg->meta.tagged, f->meta.tagged);
	ck_assert_uint_eq(seg->meta.hash, f->meta.hash);
	ck_assert(seg->parsed);
	net_frame_parse(&again);
	ck_assert_uint_eq(again.proto.l3, seg->proto.l3);
	ck_assert_uint_eq(again.proto.l3_len, seg->proto.l3_len);
	ck_assert_uint_eq(again.proto.protocol, seg->proto.protocol);
}

START_TEST(segments_are_as_if_built_one_by_one)
{
	static struct iovec iov[32], rest[32];
	uint8_t head[NET_HEAD_MAX + NET_VLAN_LEN];

	for (int round = 0; round < 60; round++) {
		struct rig_spec s = random_spec();
		uint32_t mss = random_mss(s.payload), n = 0;
		struct net_frame f, *seg;

		rig_build(&whole, &s, NULL);
		if (round & 1)
			rig_make_ndis(&whole, &s);
		ck_assert_int_eq(net_frame_init(&f, head, rig_between(150, 256), iov,
						cut(iov, whole.bytes, whole.len), rest),
				 0);
		ck_assert_int_eq(net_frame_make_gso(&f, mss, s.ip6), 0);
		f.meta.tagged = true;
		f.meta.vlan_tci = 0x6064;
		f.meta.hash = 77;
		net_gso_begin(&g, &f);
		while (f.meta.gso != NET_GSO_NONE && (seg = net_gso_next(&g))) {
			model(&s, n++, mss);
			if (!rig_same(seg, &want))
				ck_abort_msg("round %d segment %u of MSS %u", round, n, mss);
			check_meta(&f, seg);
			memset(seg->head, 0xee, seg->head_len); /* it is the receiver's */
		}
		if (f.meta.gso != NET_GSO_NONE)
			ck_assert_uint_eq(n, net_gso_count(&f, NULL));
		else
			ck_assert_uint_le(s.payload, mss);
	}
}
END_TEST

/* One byte a piece: more pieces than a segment has room for. */
START_TEST(too_many_pieces_make_shorter_segments)
{
	static struct iovec iov[3000], rest[3000];
	static uint8_t flat[RIG_FRAME];
	uint8_t head[NET_HEAD_MAX + NET_VLAN_LEN];
	struct rig_spec s = { .payload = 2000, .flags = 0x99, .seq = 0xfffffff0 };
	struct net_frame f, *seg;
	uint32_t done = 0, n = 0;

	rig_build(&whole, &s, NULL);
	for (uint32_t i = 0; i < whole.len; i++)
		iov[i] = (struct iovec){ whole.bytes + i, 1 };
	ck_assert_int_eq(net_frame_init(&f, head, 128, iov, (int)whole.len, rest), 0);
	ck_assert_int_eq(net_frame_make_gso(&f, 1000, false), 0);
	net_gso_begin(&g, &f);
	while ((seg = net_gso_next(&g))) {
		struct rig_spec one = s;

		one.payload = rig_flatten(seg, flat) - whole.header_len;
		one.seq += done;
		one.id = (uint16_t)n;
		one.flags = (uint8_t)(n ? 0x10 : 0x90);
		if (done + one.payload == s.payload)
			one.flags |= 0x09;
		rig_build(&want, &one, whole.bytes + whole.header_len + done);
		rig_put_checks(&want, &one);
		ck_assert(rig_same(seg, &want));
		ck_assert_int_le(seg->iovcnt, NET_GSO_IOV);
		done += one.payload;
		n++;
	}
	ck_assert_uint_eq(done, s.payload);
	ck_assert_uint_gt(n, 2);
}
END_TEST

/* A list that is shorter than the frame says ends, rather than going on for ever. */
START_TEST(a_list_too_short_ends)
{
	struct rig_spec s = { .payload = 3000 };
	struct rig_frame r;

	rig_build(&whole, &s, NULL);
	rig_frame(&r, whole.bytes, whole.len, 128);
	ck_assert_int_eq(net_frame_make_gso(&r.f, 1000, false), 0);
	r.f.iovcnt = 0;
	net_gso_begin(&g, &r.f);
	ck_assert_ptr_nonnull(net_gso_next(&g));
	ck_assert_ptr_null(net_gso_next(&g));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base/net/gso");
	TCase *tc = tcase_create("gso");

	tcase_add_test(tc, worked_example);
	tcase_add_test(tc, bytes_on_the_wire);
	tcase_add_test(tc, no_segments_without_gso);
	tcase_add_test(tc, segments_are_as_if_built_one_by_one);
	tcase_add_test(tc, too_many_pieces_make_shorter_segments);
	tcase_add_test(tc, a_list_too_short_ends);
	suite_add_tcase(s, tc);
	return rig_run(s);
}
