/* SPDX-License-Identifier: MIT */
/* The kernel's offload header, byte for byte, and tags in and out of the frame. */
#include "base/net/csum.h"
#include "base/net/vnet.h"
#include "tests/ut/base/net_rig.h"

static struct rig_packet k, want;
static struct rig_frame r;

static void expect_header(const uint8_t *bytes)
{
	struct virtio_net_hdr h;

	memset(&h, 0xee, sizeof(h));
	net_vnet_put(&h, &r.f);
	ck_assert_mem_eq(&h, bytes, 10);
}

static void frame_of(const struct rig_spec *s, uint32_t copy)
{
	rig_build(&k, s, NULL);
	if (!s->ip6)
		rig_put_ip_check(&k);
	rig_put_pseudo(&k, s, true);
	rig_frame(&r, k.bytes, k.len, copy);
}

/* ---- out --------------------------------------------------------------------------------- */

START_TEST(worked_examples)
{
	static const uint8_t none[10], tcp[] = { 1, 0, 0, 0, 0, 0, 0x22, 0, 0x10, 0 };
	static const uint8_t udp[] = { 1, 0, 0, 0, 0, 0, 0x22, 0, 6, 0 };
	static const uint8_t lso4[] = { 1, 1, 0x36, 0, 0xb4, 0x05, 0x22, 0, 0x10, 0 };
	static const uint8_t lso6[] = { 1, 4, 0x4a, 0, 0xa0, 0x05, 0x36, 0, 0x10, 0 };
	static const uint8_t valid[] = { 2, 0, 0, 0, 0, 0, 0, 0, 0, 0 };

	frame_of(&(struct rig_spec){ .payload = 100 }, 128);
	expect_header(none);
	ck_assert_int_eq(net_frame_make_partial(&r.f, true, false), 0);
	expect_header(tcp);
	net_csum_complete(&r.f);
	expect_header(valid);
	frame_of(&(struct rig_spec){ .payload = 100, .udp = true }, 128);
	ck_assert_int_eq(net_frame_make_partial(&r.f, true, false), 0);
	expect_header(udp);
	frame_of(&(struct rig_spec){ .payload = 4380 }, 128);
	ck_assert_int_eq(net_frame_make_gso(&r.f, 1460, false), 0);
	expect_header(lso4);
	frame_of(&(struct rig_spec){ .payload = 4320, .ip6 = true }, 128);
	ck_assert_int_eq(net_frame_make_gso(&r.f, 1440, true), 0);
	expect_header(lso6);
}
END_TEST

START_TEST(congestion_bit)
{
	static const uint8_t ecn[] = { 1, 0x81, 0x36, 0, 0xb4, 0x05, 0x22, 0, 0x10, 0 };

	frame_of(&(struct rig_spec){ .payload = 4380, .flags = 0x90 }, 128);
	ck_assert_int_eq(net_frame_make_gso(&r.f, 1460, false), 0);
	expect_header(ecn);
}
END_TEST

/* ---- in ---------------------------------------------------------------------------------- */

static const struct rig_spec kinds[] = {
	{ .payload = 5000 },
	{ .payload = 5000, .flags = 0x80, .tcp_options = 12 },
	{ .payload = 5000, .ip6 = true },
	{ .payload = 5000, .tags = 1 },
};

START_TEST(comes_back_as_it_went_out)
{
	const struct rig_spec *s = &kinds[_i];
	struct virtio_net_hdr h;
	struct net_meta before;

	for (int gso = 0; gso < 2; gso++) {
		frame_of(s, 128);
		if (gso)
			ck_assert_int_eq(net_frame_make_gso(&r.f, 1400, s->ip6), 0);
		else
			ck_assert_int_eq(net_frame_make_partial(&r.f, true, false), 0);
		before = r.f.meta;
		net_vnet_put(&h, &r.f);
		rig_frame(&r, k.bytes, k.len, 128);
		ck_assert_int_eq(net_vnet_get(&r.f, &h), 0);
		ck_assert_mem_eq(&r.f.meta, &before, sizeof(before));
		ck_assert(rig_same(&r.f, &k));
	}
}
END_TEST

START_TEST(verified_or_unknown)
{
	struct virtio_net_hdr h = { .flags = VIRTIO_NET_HDR_F_DATA_VALID };
	uint8_t arp[42] = { [12] = 8, 6 };

	frame_of(&(struct rig_spec){ .payload = 50, .udp = true }, 128);
	ck_assert_int_eq(net_vnet_get(&r.f, &h), 0);
	ck_assert_uint_eq(r.f.meta.csum, NET_CSUM_GOOD);
	h.flags = 0;
	r.f.meta.csum = 0;
	ck_assert_int_eq(net_vnet_get(&r.f, &h), 0);
	ck_assert_uint_eq(r.f.meta.csum, NET_CSUM_UNKNOWN);
	h.flags = VIRTIO_NET_HDR_F_DATA_VALID; /* of what? */
	rig_frame(&r, arp, sizeof(arp), 128);
	ck_assert_int_eq(net_vnet_get(&r.f, &h), 0);
	ck_assert_uint_eq(r.f.meta.csum, NET_CSUM_UNKNOWN);
}
END_TEST

START_TEST(segmentation_without_a_checksum_is_with_one)
{
	struct virtio_net_hdr h = { .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 1400 };

	frame_of(&kinds[0], 128);
	ck_assert_int_eq(net_vnet_get(&r.f, &h), 0);
	ck_assert_uint_eq(r.f.meta.csum, NET_CSUM_PARTIAL);
	ck_assert_uint_eq(r.f.meta.gso, NET_GSO_TCP4);
	ck_assert_uint_eq(r.f.meta.header_len, 54);
	ck_assert(rig_same(&r.f, &k));
}
END_TEST

static int get(const struct virtio_net_hdr *h)
{
	rig_frame(&r, k.bytes, k.len, 128);
	return net_vnet_get(&r.f, h);
}

START_TEST(nonsense_is_refused)
{
	const struct virtio_net_hdr good = { 1, 1, 54, 1400, 34, 16 };
	struct virtio_net_hdr h = good;

	frame_of(&kinds[0], 128);
	ck_assert_int_eq(get(&h), 0);
	h.hdr_len = 4000; /* a hint: of what the kernel has at hand, payload too */
	ck_assert_int_eq(get(&h), 0);
	h.hdr_len = (uint16_t)(k.len + 1);
	ck_assert_int_eq(get(&h), -EINVAL);
	h = good;
	h.gso_size = 0;
	ck_assert_int_eq(get(&h), -EINVAL);
	h = good;
	h.csum_start = 35;
	ck_assert_int_eq(get(&h), -EINVAL);
	h = good;
	h.csum_offset = 6;
	ck_assert_int_eq(get(&h), -EINVAL);
	h = good;
	h.gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
	ck_assert_int_eq(get(&h), -EINVAL);
	for (int type = 2; type < 0x80; type++) {
		h.gso_type = (uint8_t)type;
		if (type != VIRTIO_NET_HDR_GSO_TCPV4 && type != VIRTIO_NET_HDR_GSO_TCPV6)
			ck_assert_int_eq(get(&h), -EOPNOTSUPP);
	}
}
END_TEST

START_TEST(sums_out_of_the_copy_are_refused)
{
	struct virtio_net_hdr h = { .flags = 1, .csum_start = 34, .csum_offset = 16 };

	frame_of(&kinds[0], 128);
	ck_assert_int_eq(get(&h), 0);
	for (uint32_t start = 0; start < 65536; start += 51) {
		h.csum_start = (uint16_t)start;
		h.csum_offset = 16;
		ck_assert_int_eq(get(&h), start < 14 || start + 18 > 128 ? -EINVAL : 0);
		h.csum_offset = 65535;
		ck_assert_int_eq(get(&h), -EINVAL);
	}
}
END_TEST

/* UDP in IP in UDP: the inner sum is to be computed. No receiver could be told so. */
START_TEST(sums_of_tunnels_are_completed_here)
{
	struct rig_spec outer = { .payload = 8 + 20 + 8 + 31, .udp = true };
	struct virtio_net_hdr h = { .flags = 1,
				    .csum_start = 14 + 20 + 8 + 8 + 20,
				    .csum_offset = 6 };
	uint8_t *inner = k.bytes + h.csum_start;
	uint16_t sum;

	rig_build(&k, &outer, NULL);
	be16_put(inner + 6, 0x1234); /* as if it were the pseudo header's */
	sum = (uint16_t)~rig_sum(0, inner, 39);
	want = k;
	be16_put(want.bytes + h.csum_start + 6, sum);
	ck_assert_int_eq(get(&h), 0);
	ck_assert_uint_eq(r.f.meta.csum, NET_CSUM_UNKNOWN);
	ck_assert(rig_same(&r.f, &want));
}
END_TEST

/* ---- tags -------------------------------------------------------------------------------- */

START_TEST(tag_of_the_worked_example)
{
	static const uint8_t before[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x15,
					  0x5d, 0x01, 0x02, 0xa0, 0x08, 0x06, 0x00, 0x01 };
	static const uint8_t after[] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x15, 0x5d, 0x01,
		0x02, 0xa0, 0x81, 0x00, 0x60, 0x64, 0x08, 0x06, 0x00, 0x01
	};

	rig_frame(&r, (void *)before, sizeof(before), 128);
	net_vlan_push(&r.f); /* it has none */
	ck_assert_uint_eq(r.f.len, sizeof(before));
	r.f.meta.tagged = true;
	r.f.meta.vlan_tci = 0x6064;
	net_vlan_push(&r.f);
	ck_assert_uint_eq(r.f.len, sizeof(after));
	ck_assert_uint_eq(r.f.head_len, sizeof(after));
	ck_assert_mem_eq(r.head, after, sizeof(after));
	ck_assert(!r.f.meta.tagged);
	net_vlan_pop(&r.f);
	ck_assert_uint_eq(r.f.len, sizeof(before));
	ck_assert_mem_eq(r.head, before, sizeof(before));
	ck_assert(r.f.meta.tagged);
	ck_assert_uint_eq(r.f.meta.vlan_tci, 0x6064);
	net_vlan_pop(&r.f); /* one at a time */
	ck_assert_uint_eq(r.f.len, sizeof(before));
}
END_TEST

/* The largest head there is has room for the tag, and offsets stay right. */
START_TEST(offsets_move_with_the_tag)
{
	struct rig_spec s = { .payload = 5000, .tags = 1 };
	struct rig_spec bare = { .payload = 5000 };
	static struct rig_packet tagged;
	struct virtio_net_hdr h;

	frame_of(&bare, NET_HEAD_MAX);
	ck_assert_int_eq(net_frame_make_gso(&r.f, 1400, false), 0);
	r.f.meta.tagged = true;
	r.f.meta.vlan_tci = 100;
	net_vlan_push(&r.f);
	ck_assert_uint_eq(r.f.head_len, NET_HEAD_MAX + NET_VLAN_LEN);
	ck_assert_uint_eq(r.f.proto.l3, 18);
	ck_assert_uint_eq(r.f.proto.l4, 38);
	net_vnet_put(&h, &r.f);
	ck_assert_uint_eq(h.csum_start, 38);
	ck_assert_uint_eq(h.hdr_len, 58);
	rig_build(&tagged, &s, k.bytes + k.header_len);
	rig_put_ip_check(&tagged);
	rig_put_pseudo(&tagged, &s, true);
	ck_assert(rig_same(&r.f, &tagged));

	rig_frame(&r, tagged.bytes, tagged.len, 128); /* as a TAP gives it */
	ck_assert_int_eq(net_vnet_get(&r.f, &h), 0);
	net_vlan_pop(&r.f);
	ck_assert_uint_eq(r.f.meta.csum_start, 34);
	ck_assert_uint_eq(r.f.meta.header_len, 54);
	ck_assert_uint_eq(r.f.proto.l3, 14);
	ck_assert_uint_eq(r.f.proto.l4, 34);
	ck_assert_uint_eq(r.f.meta.vlan_tci, 100);
	ck_assert(rig_same(&r.f, &k));
}
END_TEST

START_TEST(frames_without_a_tag_stay_as_they_are)
{
	uint8_t runt[17] = { [12] = 0x81, 0x00 };

	frame_of(&kinds[0], 128);
	net_vlan_pop(&r.f);
	ck_assert(!r.f.meta.tagged);
	ck_assert(rig_same(&r.f, &k));
	rig_frame(&r, runt, sizeof(runt), 128); /* the tag, but not all of what it is for */
	net_vlan_pop(&r.f);
	ck_assert(!r.f.meta.tagged);
	ck_assert_uint_eq(r.f.len, sizeof(runt));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base/net/vnet");
	TCase *tc = tcase_create("vnet");

	tcase_add_test(tc, worked_examples);
	tcase_add_test(tc, congestion_bit);
	tcase_add_loop_test(tc, comes_back_as_it_went_out, 0, (int)ARRAY_SIZE(kinds));
	tcase_add_test(tc, verified_or_unknown);
	tcase_add_test(tc, segmentation_without_a_checksum_is_with_one);
	tcase_add_test(tc, nonsense_is_refused);
	tcase_add_test(tc, sums_out_of_the_copy_are_refused);
	tcase_add_test(tc, sums_of_tunnels_are_completed_here);
	tcase_add_test(tc, tag_of_the_worked_example);
	tcase_add_test(tc, offsets_move_with_the_tag);
	tcase_add_test(tc, frames_without_a_tag_stay_as_they_are);
	suite_add_tcase(s, tc);
	return rig_run(s);
}
