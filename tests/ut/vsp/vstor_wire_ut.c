/* SPDX-License-Identifier: MIT */
/*
 * The protocol's golden bytes (spec: storvsc, sections 16 and 17.2): every vector is
 * decoded, its fields are checked, and the packet made again from the fields is the
 * same, byte for byte and with the trailer of the place where it was captured.
 */
#include <check.h>

#include "tests/fake/mock_stor_guest.h"
#include "tests/fake/vstor_vectors.h"

#define RING 0x4000u

/* A ring of RING bytes whose both indices stand at @offset. */
struct ring {
	struct vmring_ctrl ctrl;
	uint8_t *data;
	struct vmring_out out;
	struct vmring_in in;
};

static void ring_init(struct ring *r, uint32_t offset)
{
	memset(r, 0, sizeof(*r));
	r->data = calloc(2, RING); /* no packet here wraps, so twice the room will do */
	r->ctrl.write_index = r->ctrl.read_index = offset;
	ck_assert_int_eq(vmring_out_init(&r->out, &r->ctrl, r->data, RING), 0);
	ck_assert_int_eq(vmring_in_init(&r->in, &r->ctrl, r->data, RING,
					1u << VMPKT_INBAND | 1u << VMPKT_GPA_DIRECT |
						1u << VMPKT_COMPLETION),
			 0);
}

/* Sends what @p says, as the library at that end would. */
static void encode(struct vmring_out *out, const struct vmpkt *p)
{
	uint32_t cursor = 0, count, offset, n;
	const uint64_t *pfn;

	if (p->type == VMPKT_COMPLETION) {
		ck_assert_int_eq(vmpkt_put_completion(out, p->trans_id, p->payload, p->payload_len),
				 0);
	} else if (p->type == VMPKT_INBAND) {
		ck_assert_int_eq(
			vmpkt_put_inband(out, p->flags, p->trans_id, p->payload, p->payload_len),
			0);
	} else {
		ck_assert(vmpkt_next_range(p, &cursor, &count, &offset, &pfn, &n));
		ck_assert_int_eq(vmpkt_put_gpa_direct(out, p->flags, p->trans_id, count, offset,
						      pfn, n, p->payload, p->payload_len),
				 0);
	}
}

/* Decodes @bytes as they lie in a ring, at their own place. @copy backs @p. */
static void decode(const uint8_t *bytes, uint32_t len, uint32_t offset, uint8_t *copy,
		   struct vmpkt *p)
{
	const uint8_t *shared;
	struct vmpkt_desc desc;
	struct ring r;

	ring_init(&r, offset);
	memcpy(r.data + offset, bytes, len);
	r.ctrl.write_index = offset + len;
	ck_assert_int_eq(vmring_in_peek(&r.in, &desc, &shared), 0);
	ck_assert_uint_eq(desc.len8 * 8u + VMPKT_TRAILER, len);
	memcpy(copy, shared, desc.len8 * 8u);
	ck_assert_int_eq(vmpkt_decode(p, copy, &desc, NULL), 0);
	free(r.data);
}

START_TEST(captured_packets_survive_decode_and_encode)
{
	_Alignas(8) uint8_t bytes[1024] = { 0 }, copy[1024];
	uint32_t len, offset;
	struct vmpkt p;
	struct ring r;

	len = vector_bytes(vstor_captured[_i], bytes, sizeof(bytes) - 8);
	/* Whole 8-byte units behind the descriptor's length are the trailer. */
	if (len == (uint32_t)(bytes[4] | bytes[5] << 8) * 8u) {
		memset(bytes + len, 0, 8);
		len += 8;
		offset = 0;
	} else {
		memcpy(&offset, bytes + len - 4, 4);
	}
	decode(bytes, len, offset % RING, copy, &p);
	ring_init(&r, offset % RING);
	encode(&r.out, &p);
	vmring_out_commit(&r.out);
	ck_assert_uint_eq(r.ctrl.write_index, (offset % RING + len) % RING);
	ck_assert_mem_eq(r.data + offset % RING, bytes, len);
	free(r.data);
}
END_TEST

START_TEST(largest_captured_write)
{
	uint8_t bytes[1024], head[32], cdb[10];
	struct vstor_packet vp;
	struct mock_srb srb = { .cdb_len = 10, .data_in = VSTOR_DATA_OUT, .len = 0x40000 };
	uint64_t pfn[65];
	struct ring r;
	uint32_t i;

	vector_bytes(V17_WRITE_256K_HEAD, head, sizeof(head));
	vector_bytes(V17_WRITE_256K_CDB, cdb, sizeof(cdb));
	memcpy(srb.cdb, cdb, sizeof(cdb));
	mock_srb_packet(&vp, &srb, VSTOR_PACKET);
	for (i = 0; i < ARRAY_SIZE(pfn); i++)
		pfn[i] = 0x1000 + i * 3;
	ring_init(&r, 0);
	ck_assert_int_eq(
		vmpkt_put_gpa_direct(&r.out, 1, 0x32, 0x40000, 0xc00, pfn, 65, &vp, sizeof(vp)), 0);
	vmring_out_commit(&r.out);
	ck_assert_uint_eq(r.ctrl.write_index, 616 + 8);
	memcpy(bytes, r.data, 616);
	ck_assert_mem_eq(bytes, head, sizeof(head));
	ck_assert_mem_eq(bytes + 0x20, pfn, sizeof(pfn));
	ck_assert_mem_eq(bytes + 0x228, &vp, sizeof(vp));
	ck_assert_mem_eq(bytes + 0x228 + VSTOR_HEADER_LEN + 16, cdb, sizeof(cdb));
	free(r.data);
}
END_TEST

/* ---- section 16 ------------------------------------------------------------------ */

static void check_packet(const struct vstor_packet *p, const char *vector)
{
	uint8_t bytes[sizeof(*p)];

	ck_assert_uint_eq(vector_bytes(vector, bytes, sizeof(bytes)), sizeof(*p));
	ck_assert_mem_eq(p, bytes, sizeof(bytes));
}

START_TEST(s16_control_packets)
{
	struct vstor_packet p = { .operation = VSTOR_OP_BEGIN_INITIALIZATION, .flags = 1 };

	check_packet(&p, V16_1_BEGIN);
	p = (struct vstor_packet){ .operation = VSTOR_OP_COMPLETE_IO };
	check_packet(&p, V16_1_COMPLETION);
	p = (struct vstor_packet){ .operation = VSTOR_OP_QUERY_PROTOCOL_VERSION,
				   .flags = VSTOR_FLAG_COMPLETION,
				   .version.major_minor = VSTOR_V6_2 };
	check_packet(&p, V16_2_VERSION);
	p = (struct vstor_packet){ .operation = VSTOR_OP_COMPLETE_IO,
				   .status = VSTOR_STATUS_REVISION_MISMATCH,
				   .version.major_minor = VSTOR_V6_2 };
	check_packet(&p, V16_2_REJECTED);
	p = (struct vstor_packet){ .operation = VSTOR_OP_COMPLETE_IO,
				   .properties = { .max_channel_count = 3,
						   .flags = VSTOR_PROP_MULTI_CHANNEL,
						   .max_transfer_bytes = 256 << 10 } };
	check_packet(&p, V16_3_PROPERTIES);
	p = (struct vstor_packet){ .operation = VSTOR_OP_CREATE_SUB_CHANNELS,
				   .flags = VSTOR_FLAG_COMPLETION,
				   .sub_channel_count = 3 };
	check_packet(&p, V16_4_CREATE_SUBS);
	p = (struct vstor_packet){ .operation = VSTOR_OP_ENUMERATE_BUS };
	check_packet(&p, V16_11_ENUMERATE_BUS);
}
END_TEST

START_TEST(s16_read10_request)
{
	struct mock_srb srb = mock_rw(1, false, 0x800, 8, 0);
	struct vstor_packet p;

	mock_srb_packet(&p, &srb, VSTOR_PACKET);
	check_packet(&p, V16_5_READ10);
}
END_TEST

static void check_descriptor(const char *vector, uint64_t id, uint32_t count, uint32_t offset,
			     const uint64_t *pfn, uint32_t n, uint32_t total)
{
	struct vstor_packet p = { 0 };
	uint8_t bytes[128];
	struct ring r;
	uint32_t len = vector_bytes(vector, bytes, sizeof(bytes));

	ring_init(&r, 0);
	ck_assert_int_eq(vmpkt_put_gpa_direct(&r.out, 1, id, count, offset, pfn, n, &p, sizeof(p)),
			 0);
	vmring_out_commit(&r.out);
	ck_assert_mem_eq(r.data, bytes, len);
	ck_assert_uint_eq(r.ctrl.write_index, total + VMPKT_TRAILER);
	free(r.data);
}

START_TEST(s16_gpa_direct_descriptors)
{
	static const uint64_t pfn[] = { 0x12345, 0x23456, 0x34567 };

	check_descriptor(V16_6_ONE_PAGE, 0x8001, 4096, 0, pfn, 1, 104);
	check_descriptor(V16_7_THREE_PAGES, 0x8002, 8192, 0x800, pfn, 3, 120);
}
END_TEST

START_TEST(s16_arithmetic)
{
	struct ring r;
	static uint64_t pfn[65];
	struct vstor_packet p = { 0 };

	ck_assert_uint_eq(VSTOR_V5_1, 0x0501);
	/* 256 KiB at offset 0xFFF: 65 PFNs, payload at unit 69, 77 units in all. */
	ring_init(&r, 0);
	ck_assert_int_eq(vmpkt_put_gpa_direct(&r.out, 1, 1, 262144, 0xfff, pfn, 65, &p, sizeof(p)),
			 0);
	ck_assert_uint_eq(r.data[2], 69);
	ck_assert_uint_eq(r.data[4], 77);
	free(r.data);
	/* A completion takes 88 bytes of the ring. */
	ring_init(&r, 0);
	ck_assert_int_eq(vmpkt_put_completion(&r.out, 1, &p, sizeof(p)), 0);
	vmring_out_commit(&r.out);
	ck_assert_uint_eq(r.ctrl.write_index, 88);
	free(r.data);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vstor wire");
	TCase *tc = tcase_create("golden");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, captured_packets_survive_decode_and_encode, 0,
			    ARRAY_SIZE(vstor_captured));
	tcase_add_test(tc, largest_captured_write);
	tcase_add_test(tc, s16_control_packets);
	tcase_add_test(tc, s16_read10_request);
	tcase_add_test(tc, s16_gpa_direct_descriptors);
	tcase_add_test(tc, s16_arithmetic);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
