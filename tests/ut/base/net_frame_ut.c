/* SPDX-License-Identifier: MIT */
/* Frames are taken apart: headers of every kind, short, broken, and lying. */
#include "tests/ut/base/net_rig.h"

/*
 * The copy is exactly as long as said, at the end of its block, so that the address sanitizer sees
 * each byte read too far.
 */
static struct net_proto parse(const void *bytes, uint32_t copied, uint32_t len)
{
	uint8_t *head = malloc(copied ? copied : 1);
	struct net_frame f = { .head = head, .head_len = copied, .len = len };

	memcpy(head, bytes, copied);
	net_frame_parse(&f);
	ck_assert(f.parsed);
	free(head);
	return f.proto;
}

static struct net_proto parse_all(const struct rig_packet *k)
{
	return parse(k->bytes, k->len < NET_HEAD_FIRST ? k->len : NET_HEAD_FIRST, k->len);
}

START_TEST(plain_packets)
{
	static const struct rig_spec kinds[] = {
		{ .payload = 10 },
		{ .payload = 10, .ip_options = 40 },
		{ .payload = 10, .tags = 1 },
		{ .payload = 10, .tags = 2 },
		{ .payload = 3000 },
		{ .payload = 10, .udp = true },
		{ .payload = 9, .ip6 = true },
		{ .payload = 9, .ip6 = true, .tags = 2 },
		{ .udp = true, .ip6 = true },
		{ .udp = true, .ip6 = true, .extensions = 4 },
	};
	static struct rig_packet k;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct net_proto p;

		rig_build(&k, &kinds[i], NULL);
		p = parse_all(&k);
		ck_assert_uint_eq(p.ethertype, kinds[i].ip6 ? 0x86dd : 0x0800);
		ck_assert_uint_eq(p.version, kinds[i].ip6 ? 6 : 4);
		ck_assert_uint_eq(p.protocol, kinds[i].udp ? 17 : 6);
		ck_assert_uint_eq(p.l3, k.l3);
		ck_assert_uint_eq(p.l4, k.l4);
		ck_assert_uint_eq(p.l3_len, k.len - k.l3);
		ck_assert(!p.fragment && !p.first && !p.routed);
	}
}
END_TEST

START_TEST(not_ip)
{
	uint8_t arp[42] = { [12] = 0x08, 0x06 };
	uint8_t three_tags[60] = { [12] = 0x81, 0, 0, 1, 0x81, 0, 0, 2, 0x81, 0, 0, 3, 8, 0, 0x45 };
	struct net_proto p = parse(arp, sizeof(arp), sizeof(arp));

	ck_assert_uint_eq(p.ethertype, NET_ETHERTYPE_ARP);
	ck_assert_uint_eq(p.l3 | p.l4 | p.version, 0);
	p = parse(three_tags, sizeof(three_tags), sizeof(three_tags));
	ck_assert_uint_eq(p.ethertype, NET_ETHERTYPE_VLAN);
	ck_assert_uint_eq(p.l3, 0);
}
END_TEST

/* Every prefix of a frame: what is said never points out of it. */
START_TEST(cut_at_every_byte)
{
	static const struct rig_spec kinds[] = {
		{ .payload = 5, .tags = 2, .ip_options = 40, .tcp_options = 40 },
		{ .payload = 5, .tags = 2, .ip6 = true, .extensions = 5, .tcp_options = 40 },
	};
	static struct rig_packet k;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		rig_build(&k, &kinds[i], NULL);
		for (uint32_t n = 0; n <= k.len; n++)
			for (int short_copy = 0; short_copy < 2; short_copy++) {
				struct net_proto p = parse(k.bytes, n, short_copy ? k.len : n);

				ck_assert(!p.l4 || p.l4 + 4u <= n);
				ck_assert(!p.l3 || p.l3 + 20u <= n);
				ck_assert(!p.l4 || p.l3);
				ck_assert_uint_eq(p.l4 != 0, n >= k.l4 + 4);
			}
	}
}
END_TEST

/* Any bytes at all behind the Ethernet header: bounded, and inside. */
START_TEST(noise)
{
	uint8_t b[NET_HEAD_MAX];

	for (int round = 0; round < 20000; round++) {
		uint32_t n = rig_between(14, sizeof(b));
		struct net_proto p;

		for (uint32_t i = 0; i < n; i++)
			b[i] = (uint8_t)(rig_random() & (rig_random() & 1 ? 0xff : 0x3c));
		be16_put(b + 12, round & 1 ? 0x86dd : 0x0800);
		b[14] = (uint8_t)(round & 1 ? 0x60 : 0x40 | (b[14] & 0xf));
		if (round & 2)
			b[20] = (uint8_t)(rig_random() & 1 ? 0 : 60); /* next header */
		p = parse(b, n, n);
		ck_assert(!p.l4 || p.l4 + 4u <= n);
		ck_assert_uint_le(p.l3 + p.l3_len, n);
	}
}
END_TEST

START_TEST(broken_headers)
{
	static struct rig_packet k;
	struct rig_spec s = { .payload = 20 };

	rig_build(&k, &s, NULL);
	k.bytes[k.l3] = 0x44; /* header of 16 bytes */
	ck_assert_uint_eq(parse_all(&k).l3, 0);
	k.bytes[k.l3] = 0x65; /* the wrong version */
	ck_assert_uint_eq(parse_all(&k).l3, 0);
	s.ip6 = true;
	rig_build(&k, &s, NULL);
	k.bytes[k.l3] = 0x45;
	ck_assert_uint_eq(parse_all(&k).l3, 0);
}
END_TEST

START_TEST(length_is_what_the_frame_has_when_it_lies)
{
	static const struct {
		uint16_t said;
		uint32_t want4, want6;
	} cases[] = {
		{ 0, 140, 140 },     /* large send as NDIS has it */
		{ 19, 140, 59 },     /* shorter than a header; for IPv6 it is without it */
		{ 60, 60, 100 },     /* padding behind it */
		{ 140, 140, 140 },   /* IPv6: too long */
		{ 141, 140, 140 },   /* too long */
		{ 65535, 140, 140 }, /* far too long */
	};
	struct rig_spec s4 = { .payload = 100 }, s6 = { .payload = 80, .ip6 = true };
	static struct rig_packet k;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		rig_build(&k, &s4, NULL);
		be16_put(k.bytes + k.l3 + 2, cases[i].said);
		ck_assert_uint_eq(parse_all(&k).l3_len, cases[i].want4);
		rig_build(&k, &s6, NULL);
		be16_put(k.bytes + k.l3 + 4, cases[i].said);
		ck_assert_uint_eq(parse_all(&k).l3_len, cases[i].want6);
	}
	rig_build(&k, &s4, NULL);
	be16_put(k.bytes + k.l3 + 2, 23); /* three bytes of TCP: those behind are padding */
	ck_assert_uint_eq(parse_all(&k).l4, 0);
}
END_TEST

START_TEST(fragments_of_ip4)
{
	static const struct {
		uint16_t field;
		bool fragment, first, l4;
	} cases[] = {
		{ 0x0000, false, false, true }, { 0x4000, false, false, true },
		{ 0x2000, true, true, true },	{ 0x2001, true, false, false },
		{ 0x0001, true, false, false }, { 0x1fff, true, false, false },
	};
	static struct rig_packet k;
	struct rig_spec s = { .payload = 64, .udp = true };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct net_proto p;

		rig_build(&k, &s, NULL);
		be16_put(k.bytes + k.l3 + 6, cases[i].field);
		p = parse_all(&k);
		ck_assert_int_eq(p.fragment, cases[i].fragment);
		ck_assert_int_eq(p.first, cases[i].first);
		ck_assert_int_eq(p.l4 != 0, cases[i].l4);
		ck_assert_uint_eq(p.protocol, 17);
	}
}
END_TEST

/* An IPv6 packet: the rows of extension headers as bytes, with 20 bytes of whatever behind them. */
static struct net_proto parse_ext(uint8_t first, const void *ext, uint32_t len)
{
	uint8_t b[NET_HEAD_MAX] = { [12] = 0x86, 0xdd, 0x60 };

	be16_put(b + 18, (uint16_t)(len + 20));
	b[20] = first;
	memcpy(b + 54, ext, len);
	return parse(b, 54 + len + 20, 54 + len + 20);
}

#define EXT(bytes) (bytes), sizeof(bytes) - 1

START_TEST(extension_headers)
{
	struct net_proto p;

	/* hop-by-hop of 16, routing, destination options, authentication of 12 + 12, then ICMPv6 */
	p = parse_ext(0, EXT("\x2b\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
			     "\x3c\0\x02\0\0\0\0\0"
			     "\x33\0\0\0\0\0\0\0"
			     "\x3a\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"));
	ck_assert_uint_eq(p.protocol, 58);
	ck_assert_uint_eq(p.l4, 54 + 16 + 8 + 8 + 24);
	ck_assert(!p.routed);
	p = parse_ext(43, EXT("\x06\0\x02\x01\0\0\0\0"));
	ck_assert(p.routed);
	ck_assert_uint_eq(p.l4, 62);
	/* no next header */
	p = parse_ext(59, EXT(""));
	ck_assert_uint_eq(p.protocol, 59);
	/* longer than the packet: what is there is not known */
	p = parse_ext(60, EXT("\x06\xff\0\0\0\0\0\0"));
	ck_assert_uint_eq(p.protocol, 6);
	ck_assert_uint_eq(p.l4, 0);
}
END_TEST

START_TEST(fragments_of_ip6)
{
	struct net_proto p = parse_ext(44, EXT("\x3a\0\0\x01\0\0\0\x07"));

	ck_assert(p.fragment && p.first);
	ck_assert_uint_eq(p.protocol, 58);
	ck_assert_uint_eq(p.l4, 62);
	p = parse_ext(44, EXT("\x3a\0\0\x09\0\0\0\x07"));
	ck_assert(p.fragment && !p.first);
	ck_assert_uint_eq(p.protocol, 58);
	ck_assert_uint_eq(p.l4, 0);
	/* neither offset nor more: whole */
	p = parse_ext(44, EXT("\x3a\0\0\0\0\0\0\x07"));
	ck_assert(!p.fragment && !p.first);
	ck_assert_uint_eq(p.l4, 62);
	/* a later fragment inside a first one is no first one */
	p = parse_ext(44, EXT("\x2c\0\0\x01\0\0\0\x07\x3a\0\0\x08\0\0\0\x07"));
	ck_assert(p.fragment && !p.first);
	ck_assert_uint_eq(p.l4, 0);
	/* options behind the fragment header, before the transport */
	p = parse_ext(44, EXT("\x3c\0\0\x01\0\0\0\x07\x3a\0\0\0\0\0\0\0"));
	ck_assert(p.first);
	ck_assert_uint_eq(p.l4, 70);
}
END_TEST

START_TEST(an_extension_out_of_reach_is_told)
{
	uint8_t b[54 + 7] = { [12] = 0x86, 0xdd, 0x60 };
	struct net_proto p;

	be16_put(b + 18, 7);
	b[20] = 60;
	p = parse(b, sizeof(b), sizeof(b));
	ck_assert_uint_eq(p.protocol, 60);
	ck_assert_uint_eq(p.l4, 0);
}
END_TEST

/* ---- taking the head ------------------------------------------------------------------- */

START_TEST(head_is_copied_and_the_rest_referred_to)
{
	static uint8_t bytes[3000], flat[RIG_FRAME];
	uint8_t head[NET_HEAD_MAX + NET_VLAN_LEN];
	struct iovec rest[4];
	struct net_frame f;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)rig_random();
	for (uint32_t round = 0; round < 500; round++) {
		uint32_t a = rig_between(0, 200), b = rig_between(0, 200), c = rig_between(14, 600);
		uint32_t total = a + b + c, copy = rig_between(0, 300), want = copy;
		struct iovec iov[4] = {
			{ bytes, a }, { bytes + a, b }, { NULL, 0 }, { bytes + a + b, c }
		};

		want = want < 14 ? 14 : want > NET_HEAD_MAX ? NET_HEAD_MAX : want;
		want = want > total ? total : want;
		ck_assert_int_eq(net_frame_init(&f, head, copy, iov, 4, rest), 0);
		ck_assert_uint_eq(f.head_len, want);
		ck_assert_uint_eq(f.len, total);
		ck_assert(f.head == head && !f.parsed && !f.meta.tagged);
		ck_assert_uint_eq(rig_flatten(&f, flat), total);
		ck_assert_mem_eq(flat, bytes, total);
		for (int i = 0; i < f.iovcnt; i++)
			ck_assert((uint8_t *)f.iov[i].iov_base >= bytes + f.head_len);
	}
}
END_TEST

START_TEST(runts_and_giants_are_refused)
{
	static uint8_t bytes[NET_FRAME_MAX + 1];
	uint8_t head[NET_HEAD_MAX + NET_VLAN_LEN];
	struct iovec iov = { bytes, 13 }, rest[1];
	struct net_frame f;

	ck_assert_int_eq(net_frame_init(&f, head, NET_HEAD_FIRST, &iov, 1, rest), -EINVAL);
	ck_assert_int_eq(net_frame_init(&f, head, NET_HEAD_FIRST, &iov, 0, rest), -EINVAL);
	iov.iov_len = 14;
	ck_assert_int_eq(net_frame_init(&f, head, NET_HEAD_FIRST, &iov, 1, rest), 0);
	ck_assert_int_eq(f.iovcnt, 0);
	iov.iov_len = NET_FRAME_MAX;
	ck_assert_int_eq(net_frame_init(&f, head, NET_HEAD_FIRST, &iov, 1, rest), 0);
	iov.iov_len = NET_FRAME_MAX + 1;
	ck_assert_int_eq(net_frame_init(&f, head, NET_HEAD_FIRST, &iov, 1, rest), -EINVAL);
}
END_TEST

START_TEST(tcp_header_is_all_there_or_none)
{
	struct rig_spec s = { .payload = 500, .tcp_options = 12 };
	static struct rig_packet k;
	struct rig_frame r;
	uint16_t header_len = 0;

	rig_build(&k, &s, NULL);
	rig_frame(&r, k.bytes, k.len, NET_HEAD_FIRST);
	ck_assert(!net_frame_tcp(&r.f, &header_len)); /* not parsed yet */
	net_frame_parse(&r.f);
	ck_assert(net_frame_tcp(&r.f, &header_len));
	ck_assert_uint_eq(header_len, k.header_len);
	r.head[k.l4 + 12] = 0x40; /* 16 bytes */
	ck_assert(!net_frame_tcp(&r.f, &header_len));
	rig_frame(&r, k.bytes, k.len, k.header_len - 1);
	net_frame_parse(&r.f);
	ck_assert(!net_frame_tcp(&r.f, &header_len));
	rig_frame(&r, k.bytes, k.len, k.header_len);
	net_frame_parse(&r.f);
	ck_assert(net_frame_tcp(&r.f, &header_len));
	r.f.proto.fragment = true;
	ck_assert(!net_frame_tcp(&r.f, &header_len));
	s.udp = true;
	rig_build(&k, &s, NULL);
	rig_frame(&r, k.bytes, k.len, NET_HEAD_FIRST);
	net_frame_parse(&r.f);
	ck_assert(!net_frame_tcp(&r.f, &header_len));
}
END_TEST

START_TEST(addresses_as_text)
{
	static const uint8_t want[] = { 0x00, 0x15, 0x5d, 0x01, 0x02, 0xa0 };
	static const char *const wrong[] = {
		"",
		"00:15:5d:01:02",
		"00:15:5d:01:02:a",
		"00:15:5d:01:02:a0:",
		"00:15:5d:01:02:a00",
		"00:15-5d:01:02:a0",
		"00.15.5d.01.02.a0",
		"0:15:5d:01:02:a0",
		"00:15:5d:01:02:g0",
		" 00:15:5d:01:02:a0",
		"00155d0102a0",
	};
	char text[NET_MAC_TEXT];
	uint8_t mac[6] = { 0 };

	ck_assert(net_mac_parse("00:15:5d:01:02:a0", mac));
	ck_assert_mem_eq(mac, want, 6);
	memset(mac, 0, 6);
	ck_assert(net_mac_parse("00-15-5D-01-02-A0", mac));
	ck_assert_mem_eq(mac, want, 6);
	net_mac_format(mac, text);
	ck_assert_str_eq(text, "00:15:5d:01:02:a0");
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		if (net_mac_parse(wrong[i], mac))
			ck_abort_msg("%s was taken", wrong[i]);
		ck_assert_mem_eq(mac, want, 6);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base/net/frame");
	TCase *tc = tcase_create("frame");

	tcase_add_test(tc, plain_packets);
	tcase_add_test(tc, not_ip);
	tcase_add_test(tc, cut_at_every_byte);
	tcase_add_test(tc, noise);
	tcase_add_test(tc, broken_headers);
	tcase_add_test(tc, length_is_what_the_frame_has_when_it_lies);
	tcase_add_test(tc, fragments_of_ip4);
	tcase_add_test(tc, extension_headers);
	tcase_add_test(tc, fragments_of_ip6);
	tcase_add_test(tc, an_extension_out_of_reach_is_told);
	tcase_add_test(tc, head_is_copied_and_the_rest_referred_to);
	tcase_add_test(tc, runts_and_giants_are_refused);
	tcase_add_test(tc, tcp_header_is_all_there_or_none);
	tcase_add_test(tc, addresses_as_text);
	suite_add_tcase(s, tc);
	return rig_run(s);
}
