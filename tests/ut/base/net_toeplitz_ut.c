/* SPDX-License-Identifier: MIT */
/* The published vectors, and which bytes of a frame are hashed. */
#include <arpa/inet.h>

#include "base/net/toeplitz.h"
#include "tests/ut/base/net_rig.h"

static const struct {
	const char *source, *destination;
	uint16_t sport, dport;
	uint32_t addresses, ports;
} vectors[] = {
	{ "66.9.149.187", "161.142.100.80", 2794, 1766, 0x323e8fc2, 0x51ccc178 },
	{ "199.92.111.2", "65.69.140.83", 14230, 4739, 0xd718262a, 0xc626b0ea },
	{ "24.19.198.95", "12.22.207.184", 12898, 38024, 0xd2d0a5de, 0x5c2b394a },
	{ "38.27.205.30", "209.142.163.6", 48228, 2217, 0x82989176, 0xafc7327f },
	{ "153.39.163.191", "202.188.127.2", 44251, 1303, 0x5d1809c5, 0x10e828a2 },
	{ "3ffe:2501:200:1fff::7", "3ffe:2501:200:3::1", 2794, 1766, 0x2cc18cd5, 0x40207d3d },
	{ "3ffe:501:8::260:97ff:fe40:efab", "ff02::1", 14230, 4739, 0x0f0c461c, 0xdde51bbf },
	{ "3ffe:1900:4545:3:200:f8ff:fe21:67cf", "fe80::200:f8ff:fe21:67cf", 44251, 38024,
	  0x4b61e985, 0x02d1feef },
};
#define ALL                                                                                        \
	(NET_HASH_IP4 | NET_HASH_TCP4 | NET_HASH_UDP4 | NET_HASH_IP6 | NET_HASH_TCP6 |             \
	 NET_HASH_UDP6)

static struct net_toeplitz t;
static struct rig_packet k;

static void setup(void)
{
	net_toeplitz_init(&t, net_rss_default_key);
}

static bool is_ip6(int i)
{
	return strchr(vectors[i].source, ':');
}

/* The input as the specification orders it; returns the length of the addresses. */
static uint32_t input(int i, uint8_t *out)
{
	int family = is_ip6(i) ? AF_INET6 : AF_INET;
	uint32_t len = is_ip6(i) ? 16 : 4;

	ck_assert_int_eq(inet_pton(family, vectors[i].source, out), 1);
	ck_assert_int_eq(inet_pton(family, vectors[i].destination, out + len), 1);
	be16_put(out + 2 * len, vectors[i].sport);
	be16_put(out + 2 * len + 2, vectors[i].dport);
	return 2 * len;
}

START_TEST(published_vectors)
{
	uint8_t in[NET_RSS_INPUT];
	uint32_t len = input(_i, in);

	ck_assert_uint_eq(net_toeplitz(&t, in, len), vectors[_i].addresses);
	ck_assert_uint_eq(net_toeplitz(&t, in, len + 4), vectors[_i].ports);
}
END_TEST

/* The definition: a window of the key for each bit that is set. */
static uint32_t by_definition(const uint8_t *key, const uint8_t *in, uint32_t len)
{
	uint32_t hash = 0;

	for (uint32_t bit = 0; bit < len * 8; bit++) {
		uint32_t window = 0;

		if (!(in[bit / 8] >> (7 - bit % 8) & 1))
			continue;
		for (uint32_t i = bit; i < bit + 32; i++)
			window = window << 1 | (key[i / 8] >> (7 - i % 8) & 1);
		hash ^= window;
	}
	return hash;
}

START_TEST(other_keys)
{
	uint8_t key[NET_RSS_KEY] = { 0 }, in[NET_RSS_INPUT];

	for (int round = 0; round < 50; round++) {
		for (uint32_t i = 0; i < sizeof(in); i++)
			in[i] = (uint8_t)rig_random();
		net_toeplitz_init(&t, key); /* all zero the first time */
		for (uint32_t len = 0; len <= sizeof(in); len += 4)
			ck_assert_uint_eq(net_toeplitz(&t, in, len), by_definition(key, in, len));
		for (uint32_t i = 0; i < sizeof(key); i++)
			key[i] = (uint8_t)rig_random();
	}
}
END_TEST

/* ---- frames ------------------------------------------------------------------------------ */

static void build(int i, bool udp)
{
	struct rig_spec s = { .payload = 20, .udp = udp, .ip6 = is_ip6(i) };
	uint8_t in[NET_RSS_INPUT];
	uint32_t len = input(i, in);

	rig_build(&k, &s, NULL);
	memcpy(k.bytes + k.l3 + (s.ip6 ? 8 : 12), in, len);
	memcpy(k.bytes + k.l4, in + len, 4);
}

static uint32_t hash_of(uint32_t types, uint32_t *hash)
{
	struct rig_frame r;

	rig_frame(&r, k.bytes, k.len, NET_HEAD_FIRST);
	*hash = 0xdead;
	return net_toeplitz_frame(&t, &r.f, types, hash);
}

static void expect(uint32_t types, uint32_t type, uint32_t want)
{
	uint32_t hash;

	ck_assert_uint_eq(hash_of(types, &hash), type);
	ck_assert_uint_eq(hash, want);
}

START_TEST(frames_by_the_first_type_that_fits)
{
	uint32_t tcp = is_ip6(_i) ? NET_HASH_TCP6 : NET_HASH_TCP4;
	uint32_t udp = is_ip6(_i) ? NET_HASH_UDP6 : NET_HASH_UDP4;
	uint32_t ip = is_ip6(_i) ? NET_HASH_IP6 : NET_HASH_IP4;

	build(_i, false);
	expect(ALL, tcp, vectors[_i].ports);
	expect(tcp, tcp, vectors[_i].ports);
	expect(ALL & ~tcp, ip, vectors[_i].addresses);
	expect(udp, 0, 0);
	expect(0, 0, 0);
	build(_i, true);
	expect(ALL, udp, vectors[_i].ports);
	expect(0x1700, ip, vectors[_i].addresses);  /* what Linux enables */
	k.bytes[k.l3 + (is_ip6(_i) ? 6 : 9)] = 132; /* SCTP */
	expect(ALL, ip, vectors[_i].addresses);
	expect(ALL & ~ip, 0, 0);
}
END_TEST

START_TEST(fragments_by_addresses_only)
{
	build(0, false);
	k.bytes[k.l3 + 6] = 0x20; /* the first: its ports would be there */
	expect(ALL, NET_HASH_IP4, vectors[0].addresses);
	k.bytes[k.l3 + 6] = 0;
	k.bytes[k.l3 + 7] = 9;
	expect(ALL, NET_HASH_IP4, vectors[0].addresses);
	expect(NET_HASH_TCP4, 0, 0);
}
END_TEST

START_TEST(not_ip)
{
	build(0, false);
	be16_put(k.bytes + 12, NET_ETHERTYPE_ARP);
	expect(ALL, 0, 0);
}
END_TEST

START_TEST(channels_of_the_published_vectors)
{
	static const uint32_t want[] = { 0, 2, 2, 3, 2 };

	for (int i = 0; i < 5; i++) {
		uint32_t hash;

		build(i, false);
		ck_assert_uint_eq(hash_of(NET_HASH_TCP4, &hash), NET_HASH_TCP4);
		ck_assert_uint_eq((hash & 127) % 4, want[i]);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base/net/toeplitz");
	TCase *tc = tcase_create("toeplitz");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_loop_test(tc, published_vectors, 0, (int)ARRAY_SIZE(vectors));
	tcase_add_test(tc, other_keys);
	tcase_add_loop_test(tc, frames_by_the_first_type_that_fits, 0, (int)ARRAY_SIZE(vectors));
	tcase_add_test(tc, fragments_by_addresses_only);
	tcase_add_test(tc, not_ip);
	tcase_add_test(tc, channels_of_the_published_vectors);
	suite_add_tcase(s, tc);
	return rig_run(s);
}
