/* SPDX-License-Identifier: MIT */
/*
 * The golden bytes of NVSP and RNDIS against the structures: each example is taken apart, and the
 * message made again from its fields is the same (spec: netvsc, worked examples and section 14.3;
 * rndis, worked examples and section 8.2).
 */
#include <check.h>
#include <stdlib.h>

#include "ringbuf/packet.h"
#include "tests/fake/net_vectors.h"
#include "vmbus/wire/nvsp.h"
#include "vmbus/wire/rndis_data.h"

static uint8_t bytes[1024];
static uint32_t len;

static void load(const char *text)
{
	memset(bytes, 0, sizeof(bytes));
	len = vector_bytes(text, bytes, sizeof(bytes));
}

static void assert_same(const void *made, const char *text, uint32_t n)
{
	load(text);
	ck_assert_uint_le(len, n);
	ck_assert_mem_eq(made, bytes, len);
}

/* ---- NVSP ------------------------------------------------------------------------------ */

START_TEST(nvsp_messages)
{
	const struct {
		const char *text;
		struct nvsp_message m;
	} t[] = {
		{ E4_INIT_VERSION_1, { 2, { .init_complete = { 2, 34, 1 } } } },
		{ E5_NDIS_CONFIG, { 125, { .ndis_config = { 1514, 0, 0xac } } } },
		{ E6_NDIS_VERSION, { 100, { .ndis_version = { 6, 30 } } } },
		{ E7_RX_BUFFER, { 101, { .send_buffer = { 0xe1e12, 0xcafe, 0 } } } },
		{ E8_RX_BUFFER_COMPLETE,
		  { 102, { .receive_buffer_complete = { 1, 1, 0, 1806, 9289, 16775934 } } } },
		{ E9_TX_BUFFER, { 104, { .send_buffer = { 0xe1e13, 0, 0 } } } },
		{ E10_TX_BUFFER_COMPLETE, { 105, { .send_buffer_complete = { 1, 6144 } } } },
		{ E17_SUBCHANNEL, { 133, { .subchannel = { 1, 3 } } } },
		{ E17_GRANTED, { 133, { .subchannel_complete = { 1, 3 } } } },
		{ E17_REFUSED, { 133, { .subchannel_complete = { 2, 0 } } } },
		{ E20_VF_ASSOCIATION, { 128, { .vf_association = { 1, 2 } } } },
		{ E20_DATA_PATH, { 129, { .switch_data_path = { 1 } } } },
		{ E21_OID_QUERY_EX_COMPLETE,
		  { 132, { .oid_query_ex_complete = { 0xc00000bb, 0 } } } },
		{ E22_REVOKE_RX, { 103, { .revoke_buffer = { 0xcafe } } } },
		{ E22_REVOKE_TX, { 106, { .revoke_buffer = { 0 } } } },
	};
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(t); i++)
		assert_same(&t[i].m, t[i].text, sizeof(t[i].m));
}
END_TEST

/* E18 and E19: where Linux looks for the table, up to version 6 and from 6.1 on. */
START_TEST(send_tables)
{
	static const char *const text[] = { E18_SEND_TABLE, E19_SEND_TABLE_LONG };
	struct nvsp_message m;
	uint32_t i, j, v, at;

	for (i = 0; i < 2; i++) {
		load(text[i]);
		memcpy(&m, bytes, sizeof(m));
		ck_assert(m.type == 134 && m.indirection_table.count == NVSP_SEND_TABLE);
		at = m.indirection_table.offset;
		ck_assert_uint_eq(at + 4 * NVSP_SEND_TABLE, i ? 104 : 76);
		ck_assert(len < 104 ? at == 12 : at == 40);
		for (j = 0; j < NVSP_SEND_TABLE; j++) {
			memcpy(&v, bytes + at + 4 * j, sizeof(v));
			ck_assert_uint_eq(v, j % 4);
		}
	}
}
END_TEST

#define RING 8192u

/* Packets: decoded as the receiver does, encoded again as the sender does, in a ring. */
static void assert_packet(const char *text)
{
	static uint8_t data[2 * RING] __attribute__((aligned(8)));
	struct vmpkt_range_in in[8];
	struct vmring_ctrl ctrl = { 0 };
	struct vmpkt_desc desc;
	struct vmring_out out;
	uint32_t cursor = 0, n = 0, npfn;
	struct vmpkt p;
	int err;

	load(text);
	memcpy(&desc, bytes, sizeof(desc));
	ck_assert_uint_eq(desc.len8 * 8u, len);
	ck_assert_int_eq(vmpkt_decode(&p, bytes, &desc, NULL), 0);
	ck_assert_int_eq(vmring_out_init(&out, &ctrl, data, RING), 0);
	switch (p.type) {
	case VMPKT_INBAND:
		err = vmpkt_put_inband(&out, p.flags, p.trans_id, p.payload, p.payload_len);
		break;
	case VMPKT_COMPLETION:
		err = vmpkt_put_completion(&out, p.trans_id, p.payload, p.payload_len);
		break;
	case VMPKT_XFER_PAGES:
		err = vmpkt_put_xfer_pages(&out, p.flags, p.trans_id, p.xfer_set_id,
					   (const struct vmpkt_xfer_range *)p.ranges, p.range_count,
					   p.payload, p.payload_len);
		break;
	default:
		for (; vmpkt_next_range(&p, &cursor, &in[n].byte_count, &in[n].byte_offset,
					&in[n].pfn, &npfn);
		     n++)
			;
		ck_assert_uint_eq(n, p.range_count);
		err = vmpkt_put_gpa_direct_multi(&out, p.flags, p.trans_id, in, n, p.payload,
						 p.payload_len);
	}
	ck_assert_int_eq(err, 0);
	ck_assert_mem_eq(data, bytes, len);
}

START_TEST(packets)
{
	static const char *const text[] = {
		E1_INIT,
		E2_INIT_ACCEPTED,
		E3_INIT_REFUSED,
		E11_TRANSMIT,
		E12_TRANSMIT_DIRECT,
		E13_CONTROL,
		E14_TRANSMIT_COMPLETE,
		E15_RECEIVE,
		E16_RECEIVE_COMPLETE,
		E20_DATA_PATH_COMPLETE,
		O1_NDIS_CONFIG,
		O2_CONTROL,
		O2_COMPLETION,
		O2_RESPONSE,
		O2_RESPONSE_COMPLETION,
		O3_BUFFERED,
		O4_DIRECT,
		O5_DIRECT_SUB,
		O6_MIXED,
		O7_DELIVERY,
		O7_SEND_TABLE,
		O8_REVOKE_RX,
		O8_REVOKE_TX,
	};
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(text); i++)
		assert_packet(text[i]);
}
END_TEST

/* ---- RNDIS -------------------------------------------------------------------------------- */

START_TEST(control_messages)
{
	const struct rndis_initialize r1 = { 2, 24, 1, 1, 0, 0x4000 };
	const struct rndis_initialize_complete r1c = { 0x80000002, 52, 1,	   0, 1, 0, 1,
						       0,	   8,  0xefffffff, 3, 0, 0 };
	const struct rndis_query r2 = { 4, 28, 2, OID_GEN_MAXIMUM_FRAME_SIZE, 0, 20, 0 };
	const struct rndis_query r3 = { 4, 28, 3, OID_802_3_PERMANENT_ADDRESS, 0, 20, 0 };
	const struct rndis_query_complete r4 = { 0x80000004, 24, 9, RNDIS_STATUS_NOT_SUPPORTED,
						 0,	     16 };
	const struct rndis_set_complete r7 = { 0x80000005, 16, 6, 0 };
	const struct rndis_request r18[] = { { 8, 12, 11 }, { 3, 12, 12 }, { 6, 12, 0 } };
	const struct rndis_set_complete r18k = { 0x80000008, 16, 11, 0 };
	const struct rndis_reset_complete r18r = { 0x80000006, 16, 0, 1 };
	const struct rndis_indicate r16 = { 7, 20, RNDIS_STATUS_MEDIA_CONNECT, 0, 0 };

	assert_same(&r1, R1_INITIALIZE, sizeof(r1));
	assert_same(&r1c, R1_COMPLETE, sizeof(r1c));
	assert_same(&r2, R2_FRAME_SIZE, sizeof(r2));
	assert_same(&r3, R3_ADDRESS, sizeof(r3));
	assert_same(&r4, R4_UNSUPPORTED, sizeof(r4));
	assert_same(&r7, R7_COMPLETE, sizeof(r7));
	assert_same(&r18[0], R18_KEEPALIVE, 12);
	assert_same(&r18[1], R18_HALT, 12);
	assert_same(&r18[2], R18_RESET, 12);
	assert_same(&r18k, R18_KEEPALIVE_COMPLETE, sizeof(r18k));
	assert_same(&r18r, R18_RESET_COMPLETE, sizeof(r18r));
	assert_same(&r16, R16_CONNECT, sizeof(r16));
}
END_TEST

START_TEST(elements)
{
	const struct {
		const char *text;
		uint32_t type, value;
	} t[] = {
		{ R13_CSUM, RNDIS_INFO_CSUM, 34 << 16 | RNDIS_TX_CSUM_IP4 | RNDIS_TX_CSUM_TCP },
		{ R13_LSO, RNDIS_INFO_LSO, RNDIS_LSO_V2 | 34 << 20 | 1460 },
		{ R13_VLAN, RNDIS_INFO_8021Q, rndis_vlan_from_tci(3 << 13 | 100) },
		{ R13_HASH, RNDIS_INFO_HASH, 0x51ccc178 },
		{ R13_FIRST, (uint32_t)RNDIS_INFO_FRAGMENT,
		  7 << 16 | (RNDIS_FRAGMENT_MULTI | RNDIS_FRAGMENT_FIRST) << 8 | 1 },
		{ R13_MIDDLE, (uint32_t)RNDIS_INFO_FRAGMENT,
		  7 << 16 | RNDIS_FRAGMENT_MULTI << 8 | 1 },
		{ R13_LAST, (uint32_t)RNDIS_INFO_FRAGMENT,
		  7 << 16 | (RNDIS_FRAGMENT_MULTI | RNDIS_FRAGMENT_LAST) << 8 | 1 },
	};
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		struct rndis_info_u32 e = { { 16, t[i].type, 12 }, t[i].value };

		assert_same(&e, t[i].text, sizeof(e));
	}
	ck_assert_uint_eq(rndis_vlan_to_tci(0x643), 3 << 13 | 100);
}
END_TEST

/* Packet headers: length, where the frame is, and the elements, in any order. */
static const struct {
	const char *text;
	uint32_t length;
	struct rndis_data d;
} packet_header[] = {
	{ R11_ARP, 86, { .data_offset = 44, .data_length = 42 } },
	{ R12_TWO, 88, { .data_offset = 44, .data_length = 42 } },
	{ R14_LSO_VLAN,
	  4526,
	  { .data_offset = 92,
	    .data_length = 4434,
	    .has_hash = true,
	    .hash = 0x51ccc178,
	    .has_vlan = true,
	    .vlan = 0x643,
	    .has_lso = true,
	    .lso = 0x422005b4 } },
	{ R15_RECEIVE,
	  1806,
	  { .data_offset = 256,
	    .data_length = 60,
	    .has_csum = true,
	    .csum = RNDIS_RX_CSUM_TCP_GOOD | RNDIS_RX_CSUM_IP_GOOD } },
	{ R82_UDP_CSUM,
	  107,
	  { .data_offset = 60, .data_length = 47, .has_csum = true, .csum = 0x220009 } },
	{ R82_LSO,
	  3038,
	  { .data_offset = 76,
	    .data_length = 2962,
	    .has_hash = true,
	    .hash = 0x7b3dc739,
	    .has_lso = true,
	    .lso = 0x422005a8 } },
	{ R82_VLAN,
	  618,
	  { .data_offset = 76,
	    .data_length = 542,
	    .has_vlan = true,
	    .vlan = 0x640,
	    .has_csum = true,
	    .csum = 0x220009 } },
	{ R82_AGGREGATED,
	  1592,
	  { .data_offset = 76,
	    .data_length = 1514,
	    .has_hash = true,
	    .hash = 0xcafbebc3,
	    .has_csum = true,
	    .csum = 0x220005 } },
	{ R82_RX_PLAIN, 316, { .data_offset = 256, .data_length = 60 } },
	{ R82_RX_FIRST,
	  1770,
	  { .data_offset = 256,
	    .data_length = 1514,
	    .has_fragment = true,
	    .fragment = 0x00010301,
	    .has_csum = true,
	    .csum = 0x128 } },
	{ R82_RX_MIDDLE,
	  1770,
	  { .data_offset = 256,
	    .data_length = 1514,
	    .has_fragment = true,
	    .fragment = 0x00010101 } },
	{ R82_RX_LAST,
	  1506,
	  { .data_offset = 256,
	    .data_length = 1250,
	    .has_fragment = true,
	    .fragment = 0x00010501 } },
};

START_TEST(packet_headers)
{
	struct rndis_data d, want;
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(packet_header); i++) {
		load(packet_header[i].text);
		want = packet_header[i].d;
		want.length = packet_header[i].length;
		ck_assert_ptr_null(rndis_data_parse(&d, bytes, len < 256 ? len : 256, 8192));
		ck_assert_msg(d.length == want.length && d.data_offset == want.data_offset &&
				      d.data_length == want.data_length,
			      "%u", i);
		ck_assert_msg(d.has_csum == want.has_csum && d.csum == want.csum &&
				      d.has_lso == want.has_lso && d.lso == want.lso,
			      "%u", i);
		ck_assert_msg(d.has_vlan == want.has_vlan && d.vlan == want.vlan &&
				      d.has_hash == want.has_hash && d.hash == want.hash,
			      "%u", i);
		ck_assert_msg(d.has_fragment == want.has_fragment && d.fragment == want.fragment,
			      "%u", i);
		/* A message that is cut off anywhere is no message. */
		ck_assert_ptr_nonnull(rndis_data_parse(&d, bytes, 43, want.length));
		ck_assert_ptr_nonnull(rndis_data_parse(&d, bytes, 256, want.length - 1));
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net_wire");
	TCase *t = tcase_create("golden");
	SRunner *r;
	int failed;

	tcase_add_test(t, nvsp_messages);
	tcase_add_test(t, send_tables);
	tcase_add_test(t, packets);
	tcase_add_test(t, control_messages);
	tcase_add_test(t, elements);
	tcase_add_test(t, packet_headers);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
