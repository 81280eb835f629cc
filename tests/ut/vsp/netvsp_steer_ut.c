/* SPDX-License-Identifier: MIT */
/*
 * Receive side scaling end to end: what the guest sets, the channel that frames arrive on, and the
 * hash that comes with them (spec: netvsc, section 8.3; rndis, section 4.6).
 */
#include "tests/ut/vsp/net_rig.h"

#define TYPES 0x1701u /* what Linux sets: Toeplitz, IPv4, TCP/IPv4, IPv6, TCP/IPv6 */

/* The rows of the published verification suite: hash by addresses, and with ports. */
static const struct row {
	uint8_t src[4], dst[4];
	uint16_t sport, dport;
	uint32_t hash2, hash4;
	uint16_t channel; /* of hash4, table[i] = i mod 4 */
} rows[] = {
	{ { 66, 9, 149, 187 }, { 161, 142, 100, 80 }, 2794, 1766, 0x323e8fc2, 0x51ccc178, 0 },
	{ { 199, 92, 111, 2 }, { 65, 69, 140, 83 }, 14230, 4739, 0xd718262a, 0xc626b0ea, 2 },
	{ { 24, 19, 198, 95 }, { 12, 22, 207, 184 }, 12898, 38024, 0xd2d0a5de, 0x5c2b394a, 2 },
	{ { 38, 27, 205, 30 }, { 209, 142, 163, 6 }, 48228, 2217, 0x82989176, 0xafc7327f, 3 },
	{ { 153, 39, 163, 191 }, { 202, 188, 127, 2 }, 44251, 1303, 0x5d1809c5, 0x10e828a2, 2 },
};

static uint32_t ip4_frame(uint8_t *f, const struct row *r, uint8_t protocol, uint16_t fragment)
{
	uint8_t *ip = f + 14, *l4 = ip + 20;

	memset(f, 0, 80);
	memcpy(f, guest_mac, 6);
	memcpy(f + 6, peer_mac, 6);
	be16_put(f + 12, NET_ETHERTYPE_IP4);
	ip[0] = 0x45;
	be16_put(ip + 2, 66);
	be16_put(ip + 6, fragment);
	ip[8] = 64;
	ip[9] = protocol;
	memcpy(ip + 12, r->src, 4);
	memcpy(ip + 16, r->dst, 4);
	be16_put(l4, r->sport);
	be16_put(l4 + 2, r->dport);
	l4[12] = 0x50; /* TCP: 20 bytes of header */
	be16_put(l4 + 4, protocol == 17 ? 46 : 0);
	return 80;
}

/* The channel that the next data packet is on, with its hash; completed. */
static uint16_t arrived(bool *hashed, uint32_t *hash)
{
	struct mock_net_packet p;
	uint16_t i;

	for (i = 0; i < 4; i++) {
		if (!g.chan[i] || !mock_net_recv_data(&g, i, &p))
			continue;
		*hashed = mock_net_info_at(&g, &p, 0, RNDIS_INFO_HASH, hash);
		mock_net_complete(&g, i, p.id, NVSP_STATUS_SUCCESS);
		mock_net_run(&g);
		return i;
	}
	ck_abort_msg("nothing arrived");
	return 0;
}

static void assert_arrives(const uint8_t *frame, uint32_t len, uint16_t channel, uint32_t want)
{
	uint32_t hash = 0;
	bool hashed;

	ck_assert_int_eq(rig_deliver_bytes(frame, len), VSW_FORWARDED);
	ck_assert_uint_eq(arrived(&hashed, &hash), channel);
	ck_assert(hashed == !!want);
	ck_assert_uint_eq(hash, want);
}

struct set {
	uint16_t flags;
	uint32_t info;
	uint32_t entries, channels; /* table[i] = i mod channels */
	bool key_first, zero_key;
};

static uint32_t make(uint8_t *in, const struct set *s)
{
	struct ndis_rss_parameters p = {
		.header = { NDIS_OBJECT_RSS_PARAMETERS, 2, sizeof(p) },
		.flags = s->flags,
		.hash_info = s->info,
		.table_size = (uint16_t)(4 * s->entries),
		.table_offset = sizeof(p) + (s->key_first ? NET_RSS_KEY : 0),
		.key_size = NET_RSS_KEY,
		.key_offset = sizeof(p) + (s->key_first ? 0 : 4 * s->entries),
	};
	uint32_t i, v;

	memset(in, 0, 2048);
	memcpy(in, &p, sizeof(p));
	for (i = 0; i < s->entries; i++) {
		v = i % s->channels;
		memcpy(in + p.table_offset + 4 * i, &v, sizeof(v));
	}
	if (!s->zero_key)
		memcpy(in + p.key_offset, net_rss_default_key, NET_RSS_KEY);
	return (uint32_t)sizeof(p) + 4 * s->entries + NET_RSS_KEY;
}

static uint32_t set_rss(const struct set *s)
{
	uint8_t in[2048];
	uint32_t len = make(in, s);

	return mock_net_set(&g, OID_GEN_RECEIVE_SCALE_PARAMETERS, in, len);
}

static void setup_four(void)
{
	rig_setup_started();
	ck_assert_uint_eq(mock_net_subchannels(&g, 3), 3);
}

static void assert_published_rows(void)
{
	uint8_t frame[80];
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		assert_arrives(frame, ip4_frame(frame, &rows[i], 6, 0), rows[i].channel,
			       rows[i].hash4);
}

/* Linux' pair of messages, the second one byte for byte R10; then the published flows. */
START_TEST(golden_steering)
{
	struct set off = { 0x10, TYPES, 128, 4, false, false };
	struct set on = { 0, TYPES, 128, 4, false, false };
	uint8_t in[2048], golden[128], msg[2048], answer[RNDIS_CONTROL_MAX];
	uint32_t len = make(in, &on), answer_len, n;
	struct rndis_query q = { RNDIS_SET, 620, 9, OID_GEN_RECEIVE_SCALE_PARAMETERS, 592, 20, 0 };

	ck_assert_uint_eq(set_rss(&off), 0);
	ck_assert(!rig_stats().rss);
	memcpy(msg, &q, sizeof(q));
	memcpy(msg + sizeof(q), in, len);
	n = vector_bytes(R10_RSS, golden, sizeof(golden));
	ck_assert_mem_eq(msg, golden, n);
	n = vector_bytes(R10_RSS_END, golden, sizeof(golden));
	ck_assert_mem_eq(msg + 620 - n, golden, n);
	ck_assert_uint_eq(mock_net_control(&g, msg, 620, answer, &answer_len), NVSP_STATUS_SUCCESS);
	ck_assert(answer_len == 16 && !answer[12] && answer[8] == 9);
	ck_assert(rig_stats().rss);
	assert_published_rows();
}
END_TEST

/* As FreeBSD sends it. */
START_TEST(key_before_the_table)
{
	struct set s = { 0, TYPES, 128, 4, true, false };

	ck_assert_uint_eq(set_rss(&s), 0);
	assert_published_rows();
}
END_TEST

START_TEST(golden_disable)
{
	struct set s = { 0, TYPES, 128, 4, false, false };
	uint8_t golden[80], frame[80], msg[620] = { 0 }, answer[RNDIS_CONTROL_MAX];
	uint32_t len;

	ck_assert_uint_eq(set_rss(&s), 0);
	vector_bytes(R82_RSS_DISABLE, golden, sizeof(golden));
	memcpy(msg, golden, sizeof(golden));
	ck_assert_uint_eq(mock_net_control(&g, msg, sizeof(msg), answer, &len), 1);
	ck_assert(len == 16 && !answer[12]);
	assert_arrives(frame, ip4_frame(frame, &rows[3], 6, 0), 0, 0);
	ck_assert_uint_eq(set_rss(&s), 0);
	assert_arrives(frame, ip4_frame(frame, &rows[3], 6, 0), 3, rows[3].hash4);
	s.info = TYPES & ~0xffu; /* no hash function: off as well */
	ck_assert_uint_eq(set_rss(&s), 0);
	assert_arrives(frame, ip4_frame(frame, &rows[3], 6, 0), 0, 0);
}
END_TEST

/* Linux sends it after it had one channel for a while. */
START_TEST(key_of_zeros_spreads_all_the_same)
{
	struct set s = { 0, TYPES, 128, 4, false, true };

	ck_assert_uint_eq(set_rss(&s), 0);
	assert_published_rows();
}
END_TEST

START_TEST(what_is_hashed_by_what)
{
	struct set s = { 0, TYPES, 128, 4, false, false };
	const struct row *r = &rows[3];
	uint8_t frame[80] = { 0 };

	ck_assert_uint_eq(set_rss(&s), 0);
	assert_arrives(frame, ip4_frame(frame, r, 6, 0x2000), r->hash2 % 4, r->hash2);
	assert_arrives(frame, ip4_frame(frame, r, 6, 0x0010), r->hash2 % 4, r->hash2);
	assert_arrives(frame, ip4_frame(frame, r, 17, 0), r->hash2 % 4, r->hash2);
	assert_arrives(frame, ip4_frame(frame, r, 1, 0), r->hash2 % 4, r->hash2);
	be16_put(frame + 12, 0x88b5);
	assert_arrives(frame, 60, 0, 0);
	s.info = NET_HASH_TCP4 | 1; /* only these */
	ck_assert_uint_eq(set_rss(&s), 0);
	assert_arrives(frame, ip4_frame(frame, r, 6, 0), 3, r->hash4);
	assert_arrives(frame, ip4_frame(frame, r, 17, 0), 0, 0);
	s.info = NET_HASH_UDP4 | 1; /* as Windows may */
	ck_assert_uint_eq(set_rss(&s), 0);
	assert_arrives(frame, ip4_frame(frame, r, 17, 0), 3, r->hash4);
	assert_arrives(frame, ip4_frame(frame, r, 6, 0), 0, 0);
}
END_TEST

/* A table that is shorter than ours is repeated; entries of channels not open mean the primary. */
START_TEST(short_tables_and_closed_channels)
{
	struct set s = { 0, TYPES, 2, 2, false, false };
	uint8_t frame[80];

	ck_assert_uint_eq(set_rss(&s), 0);
	assert_arrives(frame, ip4_frame(frame, &rows[3], 6, 0), 1, rows[3].hash4);
	assert_arrives(frame, ip4_frame(frame, &rows[0], 6, 0), 0, rows[0].hash4);
	s.entries = 1;
	s.channels = 1;
	ck_assert_uint_eq(set_rss(&s), 0);
	assert_arrives(frame, ip4_frame(frame, &rows[3], 6, 0), 0, rows[3].hash4);
	s.entries = 128;
	s.channels = 4;
	ck_assert_uint_eq(set_rss(&s), 0);
	fake_bus_close(bus, 0, 3);
	g.chan[3] = NULL;
	assert_arrives(frame, ip4_frame(frame, &rows[3], 6, 0), 0, rows[3].hash4);
	assert_arrives(frame, ip4_frame(frame, &rows[1], 6, 0), 2, rows[1].hash4);
}
END_TEST

START_TEST(unchanged_parts_stay)
{
	struct set s = { 0, TYPES, 128, 4, false, false };
	uint8_t frame[80];

	ck_assert_uint_eq(set_rss(&s), 0);
	s.flags = NDIS_RSS_TABLE_UNCHANGED | NDIS_RSS_KEY_UNCHANGED;
	s.entries = 3; /* nonsense that is not looked at */
	s.zero_key = true;
	ck_assert_uint_eq(set_rss(&s), 0);
	assert_published_rows();
	s.flags |= NDIS_RSS_HASH_UNCHANGED;
	s.info = 0;
	ck_assert_uint_eq(set_rss(&s), 0);
	assert_arrives(frame, ip4_frame(frame, &rows[3], 6, 0), 3, rows[3].hash4);
	ck_assert_uint_eq(nic->rss.types, TYPES & ~0xffu);
}
END_TEST

START_TEST(n27_parameters_that_are_refused_change_nothing)
{
	struct set s = { 0, TYPES, 128, 4, false, false };
	struct ndis_rss_parameters p;
	uint8_t in[2048];
	uint32_t i, len, v, want;

	ck_assert_uint_eq(set_rss(&s), 0);
	for (i = 0; i < 17; i++) {
		s.channels = 1;
		len = make(in, &s);
		memcpy(&p, in, sizeof(p));
		v = 4; /* channels are 0 to 3 */
		want = RNDIS_STATUS_INVALID_DATA;
		switch (i) {
		case 0:
			p.key_size = 39;
			break;
		case 1:
			p.key_size = 41;
			break;
		case 2:
			p.key_size = 0;
			break;
		case 3:
			p.table_size = 0;
			break;
		case 4:
			p.table_size = 511;
			break;
		case 5:
			p.table_size = 12;
			break; /* three entries */
		case 6:
			p.table_size = 1024;
			break;
		case 7:
			p.table_offset = 0xffffffff;
			break;
		case 8:
			p.table_offset = len - 511;
			break;
		case 9:
			p.key_offset = len - 39;
			break;
		case 10:
			p.key_offset = 0xfffffff0;
			break;
		case 11:
			memcpy(in + 40 + 4 * 127, &v, 4);
			break;
		case 12:
			v = 0xffffffff;
			memcpy(in + 40, &v, 4);
			break;
		case 13:
			p.hash_info = TYPES + 1;
			break; /* a function nobody has */
		case 14:
			p.hash_info = TYPES | 0xff;
			break;
		case 15:
			p.table_size = 0xffff;
			break;
		case 16:
			len = 39;
			want = RNDIS_STATUS_INVALID_LENGTH;
			break;
		}
		memcpy(in, &p, sizeof(p));
		ck_assert_msg(mock_net_set(&g, OID_GEN_RECEIVE_SCALE_PARAMETERS, in, len) == want,
			      "%u", i);
	}
	assert_published_rows();
}
END_TEST

/* The first driver of a machine, its HALT, the next one: nothing of the old table is left. */
START_TEST(halt_forgets)
{
	struct set s = { 0, TYPES, 128, 4, false, false };
	uint32_t halt[3] = { RNDIS_HALT, 12, 1 }, len;
	uint8_t answer[RNDIS_CONTROL_MAX], frame[80];

	ck_assert_uint_eq(set_rss(&s), 0);
	mock_net_control(&g, halt, sizeof(halt), answer, &len);
	mock_net_initialize(&g);
	mock_net_filter(&g, 0x0d);
	assert_arrives(frame, ip4_frame(frame, &rows[3], 6, 0), 0, 0);
	ck_assert(!rig_stats().rss);
}
END_TEST

START_TEST(capabilities_by_revision)
{
	uint8_t in[20] = { 0x88, 1, 16 }, out[RNDIS_CONTROL_MAX];
	struct ndis_rss_capabilities c;
	uint32_t len;

	ck_assert(!mock_net_query(&g, OID_GEN_RECEIVE_SCALE_CAPABILITIES, in, 16, out, &len));
	ck_assert(len == 16 && out[1] == 1 && out[2] == 16);
	ck_assert(!mock_net_query(&g, OID_GEN_RECEIVE_SCALE_CAPABILITIES, in, 20, out, &len));
	memcpy(&c, out, sizeof(c));
	ck_assert(len == 18 && c.header.revision == 2 && c.queues == 4 && c.table_entries == 128);
	ck_assert(c.flags == 0x301 && c.interrupts == 1);
	ck_assert_uint_eq(mock_net_query(&g, OID_GEN_RECEIVE_SCALE_CAPABILITIES, in, 8, out, &len),
			  RNDIS_STATUS_BUFFER_TOO_SHORT);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("netvsp_steer");
	TCase *t = tcase_create("four channels");

	tcase_add_checked_fixture(t, setup_four, rig_teardown);
	tcase_add_test(t, golden_steering);
	tcase_add_test(t, key_before_the_table);
	tcase_add_test(t, golden_disable);
	tcase_add_test(t, key_of_zeros_spreads_all_the_same);
	tcase_add_test(t, what_is_hashed_by_what);
	tcase_add_test(t, short_tables_and_closed_channels);
	tcase_add_test(t, unchanged_parts_stay);
	tcase_add_test(t, n27_parameters_that_are_refused_change_nothing);
	tcase_add_test(t, halt_forgets);
	tcase_add_test(t, capabilities_by_revision);
	suite_add_tcase(s, t);
	return rig_run(s);
}
