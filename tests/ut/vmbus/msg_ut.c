/* SPDX-License-Identifier: MIT */
/*
 * Control messages: the worked examples V1 to V15 of spec: vmbus decoded and encoded again,
 * and the catalogue's check of length, direction and version.
 */
#include "vmbus/msg.h"

#include "tests/ut/vmbus/vmbus_main.h"
#include "tests/ut/vmbus/vmbus_vectors.h"

static const struct guid scsi = VMBUS_CLASS_SCSI, heartbeat = VMBUS_CLASS_HEARTBEAT;
static const struct guid heartbeat_instance = VMBUS_INSTANCE_HEARTBEAT;
static const struct guid disk =
	GUID_INIT(0x140cd59f, 0xfb5d, 0x4dfd, 0x97, 0x6a, 0xd5, 0x4e, 0xf0, 0x59, 0x92, 0xfb);

/* The bytes as the receiver @from of the other end sees them: legal, of this name, in @m. */
static void decode(union vmbus_msg *m, enum vmbus_msg_dir from, const char *name, const void *bytes,
		   uint32_t len)
{
	memset(m, 0xaa, sizeof(*m));
	memcpy(m, bytes, len);
	ck_assert_int_eq(vmbus_msg_check(from, VMBUS_V5_3, bytes, len), VMBUS_MSG_OK);
	ck_assert_str_eq(vmbus_msg_name(m->hdr.type), name);
}

#define ENCODED(m, len, bytes)                                                                     \
	do {                                                                                       \
		ck_assert_uint_eq(len, sizeof(bytes));                                             \
		ck_assert_mem_eq(&(m), bytes, sizeof(bytes));                                      \
	} while (0)

START_TEST(v1_initiate_contact_5_2)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_INITIATE_CONTACT);

	m.contact.version = VMBUS_V5_2;
	m.contact.target_sint = 2;
	m.contact.monitor_page1 = 0x01a00000;
	m.contact.monitor_page2 = 0x01a01000;
	ENCODED(m, len, v1);
	decode(&m, VMBUS_FROM_GUEST, "INITIATE_CONTACT", v1, sizeof(v1));
	ck_assert_uint_eq(m.contact.version, VMBUS_V5_2);
	ck_assert_uint_eq(m.contact.target_vp, 0);
	ck_assert_uint_eq(m.contact.target_sint, 2);
	ck_assert_uint_eq(m.contact.target_vtl, 0);
	ck_assert_uint_eq(m.contact.monitor_page1, 0x01a00000);
	ck_assert_uint_eq(m.contact.monitor_page2, 0x01a01000);
}
END_TEST

START_TEST(v2_initiate_contact_4_0)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_INITIATE_CONTACT);

	m.contact.version = VMBUS_V4_0;
	m.contact.interrupt_page = 0x019ff000;
	m.contact.monitor_page1 = 0x01a00000;
	m.contact.monitor_page2 = 0x01a01000;
	ENCODED(m, len, v2);
	decode(&m, VMBUS_FROM_GUEST, "INITIATE_CONTACT", v2, sizeof(v2));
	ck_assert_uint_eq(m.contact.version, VMBUS_V4_0);
	ck_assert_uint_eq(m.contact.interrupt_page, 0x019ff000);
}
END_TEST

START_TEST(v3_initiate_contact_6_0)
{
	static const struct guid id = GUID_INIT(0x4a2f9c10, 0x0001, 0x4d53, 0x80, 0x00, 0x00, 0xc0,
						0xff, 0xee, 0x00, 0x01);
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_INITIATE_CONTACT);

	m.contact.version = VMBUS_V6_0;
	m.contact.target_vp = 1;
	m.contact.target_sint = 2;
	m.contact.feature_flags = 0x0d;
	memcpy(m.bytes + VMBUS_INITIATE_CONTACT_CLIENT_ID, &id, sizeof(id));
	ENCODED(m, len + (uint32_t)sizeof(id), v3);
	decode(&m, VMBUS_FROM_GUEST, "INITIATE_CONTACT", v3, sizeof(v3));
	ck_assert_uint_eq(m.contact.version, VMBUS_V6_0);
	ck_assert_uint_eq(m.contact.target_vp, 1);
	ck_assert_uint_eq(m.contact.feature_flags, 0x0d);
	ck_assert_mem_eq(m.bytes + VMBUS_INITIATE_CONTACT_CLIENT_ID, &id, sizeof(id));
}
END_TEST

START_TEST(v4_v5_version_response)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_VERSION_RESPONSE);

	ENCODED(m, len, v5b); /* zeros refuse */
	m.version.supported = 1;
	m.version.version_or_connection = 4;
	ENCODED(m, len, v4);
	m.version.version_or_connection = VMBUS_V4_0;
	ENCODED(m, len, v5a);
	decode(&m, VMBUS_FROM_HOST, "VERSION_RESPONSE", v4, sizeof(v4));
	ck_assert_uint_eq(m.version.supported, 1);
	ck_assert_uint_eq(m.version.connection_state, VMBUS_CONNECTION_OK);
	ck_assert_uint_eq(m.version.version_or_connection, 4);
	decode(&m, VMBUS_FROM_HOST, "VERSION_RESPONSE", v5a, sizeof(v5a));
	ck_assert_uint_eq(m.version.version_or_connection, VMBUS_V4_0);
	decode(&m, VMBUS_FROM_HOST, "VERSION_RESPONSE", v5b, sizeof(v5b));
	ck_assert_uint_eq(m.version.supported, 0);
	/* 6.0 appends its features: longer is legal, the prefix is the same. */
	decode(&m, VMBUS_FROM_HOST, "VERSION_RESPONSE", v5c, sizeof(v5c));
	ck_assert_uint_eq(m.version.version_or_connection, 4);
}
END_TEST

START_TEST(v6_offer_scsi)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_OFFERCHANNEL);

	m.offer.type = scsi;
	m.offer.instance = disk;
	m.offer.flags = VMBUS_OFFER_ENUMERATE;
	m.offer.relid = 5;
	m.offer.monitor_id = VMBUS_NO_MONITOR;
	m.offer.dedicated_interrupt = 1;
	m.offer.connection_id = 0x2005;
	ENCODED(m, len, v6);
	decode(&m, VMBUS_FROM_HOST, "OFFERCHANNEL", v6, sizeof(v6));
	ck_assert(guid_equal(&m.offer.type, &scsi) && guid_equal(&m.offer.instance, &disk));
	ck_assert_uint_eq(m.offer.relid, 5);
	ck_assert_uint_eq(m.offer.connection_id, 0x2005);
	ck_assert_uint_eq(m.offer.sub_index, 0);
	ck_assert_uint_eq(m.offer.monitor_id, VMBUS_NO_MONITOR);
	ck_assert_uint_eq(m.offer.monitor_allocated, 0);
}
END_TEST

START_TEST(v7_offer_heartbeat)
{
	struct vmbus_pipe_offer pipe = { .pipe_type = VMBUS_PIPE_MESSAGE };
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_OFFERCHANNEL);

	m.offer.type = heartbeat;
	m.offer.instance = heartbeat_instance;
	m.offer.flags = VMBUS_OFFER_ENUMERATE | VMBUS_OFFER_PIPE;
	memcpy(m.offer.user, &pipe, sizeof(pipe));
	m.offer.relid = 7;
	m.offer.monitor_id = VMBUS_NO_MONITOR;
	m.offer.dedicated_interrupt = 1;
	m.offer.connection_id = 0x2007;
	ENCODED(m, len, v7);
	decode(&m, VMBUS_FROM_HOST, "OFFERCHANNEL", v7, sizeof(v7));
	memcpy(&pipe, m.offer.user, sizeof(pipe));
	ck_assert_uint_eq(pipe.pipe_type, VMBUS_PIPE_MESSAGE);
	ck_assert_uint_eq(m.offer.flags, 0x11);
}
END_TEST

/* Header, range and PFNs [first, first + n) into @m; returns the length. */
static uint32_t gpadl_header(union vmbus_msg *m, uint32_t id, uint32_t pages, uint64_t first,
			     uint32_t n)
{
	uint32_t len = vmbus_msg_init(m, VMBUS_MSG_GPADL_HEADER);
	struct vmbus_gpa_range range = { .byte_count = pages * 4096 };

	m->gpadl_header.relid = 5;
	m->gpadl_header.gpadl = id;
	m->gpadl_header.range_buflen = (uint16_t)(8 + 8 * pages);
	m->gpadl_header.rangecount = 1;
	memcpy(m->bytes + len, &range, sizeof(range));
	len += sizeof(range);
	for (uint64_t pfn = first; n--; pfn++, len += 8)
		memcpy(m->bytes + len, &pfn, sizeof(pfn));
	return len;
}

START_TEST(v8_gpadl_one_message)
{
	union vmbus_msg m;
	uint32_t len = gpadl_header(&m, 0xe1e10, 8, 0x1a10, 8);

	ENCODED(m, len, v8);
	decode(&m, VMBUS_FROM_GUEST, "GPADL_HEADER", v8, sizeof(v8));
	ck_assert_uint_eq(m.gpadl_header.relid, 5);
	ck_assert_uint_eq(m.gpadl_header.gpadl, 0xe1e10);
	ck_assert_uint_eq(m.gpadl_header.range_buflen, 72);
	ck_assert_uint_eq(m.gpadl_header.rangecount, 1);
}
END_TEST

START_TEST(v9_gpadl_with_body)
{
	union vmbus_msg m;
	uint32_t len = gpadl_header(&m, 0xe1e11, 32, 0x2000, VMBUS_GPADL_HEADER_PFNS);

	ENCODED(m, len, v9a);
	len = vmbus_msg_init(&m, VMBUS_MSG_GPADL_BODY);
	m.gpadl_body.gpadl = 0xe1e11;
	for (uint64_t pfn = 0x201a; pfn < 0x2020; pfn++, len += 8)
		memcpy(m.bytes + len, &pfn, sizeof(pfn));
	ENCODED(m, len, v9b);
	decode(&m, VMBUS_FROM_GUEST, "GPADL_BODY", v9b, sizeof(v9b));
	ck_assert_uint_eq(m.gpadl_body.gpadl, 0xe1e11);
}
END_TEST

START_TEST(v10_gpadl_answers)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_GPADL_CREATED);

	m.gpadl_created.relid = 5;
	m.gpadl_created.gpadl = 0xe1e10;
	ENCODED(m, len, v10a);
	len = vmbus_msg_init(&m, VMBUS_MSG_GPADL_TEARDOWN);
	m.gpadl_teardown.relid = 5;
	m.gpadl_teardown.gpadl = 0xe1e10;
	ENCODED(m, len, v10b);
	len = vmbus_msg_init(&m, VMBUS_MSG_GPADL_TORNDOWN);
	m.gpadl_torndown.gpadl = 0xe1e10;
	ENCODED(m, len, v10c);
	decode(&m, VMBUS_FROM_HOST, "GPADL_CREATED", v10a, sizeof(v10a));
	ck_assert_uint_eq(m.gpadl_created.status, VMBUS_STATUS_SUCCESS);
	decode(&m, VMBUS_FROM_GUEST, "GPADL_TEARDOWN", v10b, sizeof(v10b));
	ck_assert_uint_eq(m.gpadl_teardown.gpadl, 0xe1e10);
	decode(&m, VMBUS_FROM_HOST, "GPADL_TORNDOWN", v10c, sizeof(v10c));
	ck_assert_uint_eq(m.gpadl_torndown.gpadl, 0xe1e10);
}
END_TEST

START_TEST(v11_open)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_OPENCHANNEL);

	m.open.relid = m.open.open_id = 5;
	m.open.gpadl = 0xe1e10;
	m.open.target_vp = 1;
	m.open.downstream_page = 4;
	ENCODED(m, len, v11a);
	len = vmbus_msg_init(&m, VMBUS_MSG_OPENCHANNEL_RESULT);
	m.open_result.relid = m.open_result.open_id = 5;
	ENCODED(m, len, v11b);
	decode(&m, VMBUS_FROM_GUEST, "OPENCHANNEL", v11a, sizeof(v11a));
	ck_assert_uint_eq(m.open.target_vp, 1);
	ck_assert_uint_eq(m.open.downstream_page, 4);
	decode(&m, VMBUS_FROM_HOST, "OPENCHANNEL_RESULT", v11b, sizeof(v11b));
	ck_assert_uint_eq(m.open_result.status, VMBUS_STATUS_SUCCESS);
}
END_TEST

START_TEST(v12_v13_v15_short_ones)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_CLOSECHANNEL);

	m.relid.relid = 5;
	ENCODED(m, len, v12a);
	len = vmbus_msg_init(&m, VMBUS_MSG_RESCIND_CHANNELOFFER);
	m.relid.relid = 5;
	ENCODED(m, len, v12b);
	len = vmbus_msg_init(&m, VMBUS_MSG_RELID_RELEASED);
	m.relid.relid = 5;
	ENCODED(m, len, v12c);
	len = vmbus_msg_init(&m, VMBUS_MSG_MODIFYCHANNEL);
	m.modify.relid = 5;
	m.modify.target_vp = 3;
	ENCODED(m, len, v13a);
	len = vmbus_msg_init(&m, VMBUS_MSG_MODIFYCHANNEL_RESPONSE);
	m.modify_response.relid = 5;
	ENCODED(m, len, v13b);
	len = vmbus_msg_init(&m, VMBUS_MSG_UNLOAD);
	ENCODED(m, len, v15);
	decode(&m, VMBUS_FROM_GUEST, "CLOSECHANNEL", v12a, sizeof(v12a));
	decode(&m, VMBUS_FROM_HOST, "RESCIND_CHANNELOFFER", v12b, sizeof(v12b));
	decode(&m, VMBUS_FROM_GUEST, "RELID_RELEASED", v12c, sizeof(v12c));
	ck_assert_uint_eq(m.relid.relid, 5);
	decode(&m, VMBUS_FROM_GUEST, "MODIFYCHANNEL", v13a, sizeof(v13a));
	ck_assert_uint_eq(m.modify.target_vp, 3);
	decode(&m, VMBUS_FROM_HOST, "MODIFYCHANNEL_RESPONSE", v13b, sizeof(v13b));
	decode(&m, VMBUS_FROM_GUEST, "UNLOAD", v15, sizeof(v15));
}
END_TEST

START_TEST(v14_tl_connect)
{
	static const struct guid endpoint = GUID_INIT(0x0000c000, 0xfacb, 0x11e6, 0xbd, 0x58, 0x64,
						      0x00, 0x6a, 0x79, 0x86, 0xd3);
	static const struct guid service = GUID_INIT(0x00001f90, 0xfacb, 0x11e6, 0xbd, 0x58, 0x64,
						     0x00, 0x6a, 0x79, 0x86, 0xd3);
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_TL_CONNECT_REQUEST);

	m.tl_connect.endpoint = endpoint;
	m.tl_connect.service = service;
	ENCODED(m, len, v14a);
	len = vmbus_msg_init(&m, VMBUS_MSG_TL_CONNECT_RESULT);
	m.tl_result.endpoint = endpoint;
	m.tl_result.service = service;
	m.tl_result.status = VMBUS_STATUS_CONNECTION_REFUSED;
	ENCODED(m, len, v14b);
	decode(&m, VMBUS_FROM_GUEST, "TL_CONNECT_REQUEST", v14a, sizeof(v14a));
	decode(&m, VMBUS_FROM_HOST, "TL_CONNECT_RESULT", v14b, sizeof(v14b));
	ck_assert(guid_equal(&m.tl_result.service, &service));
}
END_TEST

/* ---- the catalogue ------------------------------------------------------------------- */

/* Section 2's table, typed in once more by hand. */
static const struct {
	uint32_t size, since;
	enum vmbus_msg_dir from;
	const char *name;
} catalogue[VMBUS_MSG_TYPES] = {
	[1] = { 196, 0xd, VMBUS_FROM_HOST, "OFFERCHANNEL" },
	[2] = { 12, 0xd, VMBUS_FROM_HOST, "RESCIND_CHANNELOFFER" },
	[3] = { 8, 0xd, VMBUS_FROM_GUEST, "REQUESTOFFERS" },
	[4] = { 8, 0xd, VMBUS_FROM_HOST, "ALLOFFERS_DELIVERED" },
	[5] = { 148, 0xd, VMBUS_FROM_GUEST, "OPENCHANNEL" },
	[6] = { 20, 0xd, VMBUS_FROM_HOST, "OPENCHANNEL_RESULT" },
	[7] = { 12, 0xd, VMBUS_FROM_GUEST, "CLOSECHANNEL" },
	[8] = { 20, 0xd, VMBUS_FROM_GUEST, "GPADL_HEADER" },
	[9] = { 16, 0xd, VMBUS_FROM_GUEST, "GPADL_BODY" },
	[10] = { 20, 0xd, VMBUS_FROM_HOST, "GPADL_CREATED" },
	[11] = { 16, 0xd, VMBUS_FROM_GUEST, "GPADL_TEARDOWN" },
	[12] = { 12, 0xd, VMBUS_FROM_HOST, "GPADL_TORNDOWN" },
	[13] = { 12, 0xd, VMBUS_FROM_GUEST, "RELID_RELEASED" },
	[14] = { 40, 0, VMBUS_FROM_GUEST, "INITIATE_CONTACT" },
	[15] = { 16, 0, VMBUS_FROM_HOST, "VERSION_RESPONSE" },
	[16] = { 8, 0xd, VMBUS_FROM_GUEST, "UNLOAD" },
	[17] = { 8, 0xd, VMBUS_FROM_HOST, "UNLOAD_RESPONSE" },
	[18] = { 28, ~0u, VMBUS_FROM_GUEST, "OPEN_RESERVED_CHANNEL" },
	[19] = { 20, ~0u, VMBUS_FROM_GUEST, "CLOSE_RESERVED_CHANNEL" },
	[20] = { 12, ~0u, VMBUS_FROM_HOST, "CLOSE_RESERVED_RESPONSE" },
	[21] = { 40, 0x40000, VMBUS_FROM_GUEST, "TL_CONNECT_REQUEST" },
	[22] = { 16, 0x40001, VMBUS_FROM_GUEST, "MODIFYCHANNEL" },
	[23] = { 44, 0x40001, VMBUS_FROM_HOST, "TL_CONNECT_RESULT" },
	[24] = { 16, 0x50003, VMBUS_FROM_HOST, "MODIFYCHANNEL_RESPONSE" },
	[25] = { 24, ~0u, VMBUS_FROM_GUEST, "MODIFY_CONNECTION" },
	[26] = { 9, ~0u, VMBUS_FROM_HOST, "MODIFY_CONNECTION_RESPONSE" },
	[27] = { 8, ~0u, VMBUS_FROM_GUEST, "PAUSE" },
	[28] = { 8, ~0u, VMBUS_FROM_HOST, "PAUSE_RESPONSE" },
	[29] = { 8, ~0u, VMBUS_FROM_GUEST, "RESUME" },
};

static enum vmbus_msg_fault check(enum vmbus_msg_dir from, uint32_t version, uint32_t type,
				  uint32_t len)
{
	uint8_t *exact = calloc(1, len ? len : 1); /* so that ASan sees a read behind it */
	enum vmbus_msg_fault f;

	memcpy(exact, &type, len < 4 ? len : 4);
	f = vmbus_msg_check(from, version, exact, len);
	free(exact);
	return f;
}

static enum vmbus_msg_dir other(enum vmbus_msg_dir from)
{
	return from == VMBUS_FROM_GUEST ? VMBUS_FROM_HOST : VMBUS_FROM_GUEST;
}

START_TEST(every_type_every_rule)
{
	for (uint32_t t = 1; t < VMBUS_MSG_TYPES; t++) {
		uint32_t size = catalogue[t].size, since = catalogue[t].since;
		enum vmbus_msg_dir from = catalogue[t].from;
		bool spoken = since != ~0u;

		ck_assert_str_eq(vmbus_msg_name(t), catalogue[t].name);
		ck_assert_uint_eq(vmbus_msg_size(t), size);
		ck_assert_int_eq(check(other(from), VMBUS_V5_3, t, 240), VMBUS_MSG_WRONG_WAY);
		ck_assert_int_eq(check(from, VMBUS_V5_3, t, size),
				 spoken ? VMBUS_MSG_OK : VMBUS_MSG_NOT_SPOKEN);
		ck_assert_int_eq(check(from, VMBUS_V5_3, t, 240),
				 spoken ? VMBUS_MSG_OK : VMBUS_MSG_NOT_SPOKEN);
		if (!spoken)
			continue;
		ck_assert_int_eq(check(from, VMBUS_V5_3, t, size - 1), VMBUS_MSG_TOO_SHORT);
		if (since) {
			ck_assert_int_eq(check(from, since, t, size), VMBUS_MSG_OK);
			ck_assert_int_eq(check(from, since - 1, t, size), VMBUS_MSG_NOT_SPOKEN);
		}
	}
}
END_TEST

/* Spec: hostile cases V02, V04. */
START_TEST(v02_v04_nonsense)
{
	static const uint32_t unknown[] = { 0, 30, 31, 240, 0x7fffffff, 0x80000001, 0xffffffff };

	for (uint32_t len = 0; len < 8; len++)
		ck_assert_int_eq(check(VMBUS_FROM_GUEST, VMBUS_V5_3, 3, len), VMBUS_MSG_TOO_SHORT);
	ck_assert_int_eq(check(VMBUS_FROM_GUEST, VMBUS_V5_3, 3, 241), VMBUS_MSG_TOO_LONG);
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		ck_assert_int_eq(check(VMBUS_FROM_GUEST, ~0u, unknown[i], 240), VMBUS_MSG_UNKNOWN);
		ck_assert_str_eq(vmbus_msg_name(unknown[i]), "unknown");
		ck_assert_uint_eq(vmbus_msg_size(unknown[i]), 0);
	}
	for (int f = VMBUS_MSG_OK; f <= VMBUS_MSG_NOT_SPOKEN; f++)
		ck_assert_str_ne(vmbus_msg_fault_text((enum vmbus_msg_fault)f), "unknown fault");
}
END_TEST

VMBUS_MAIN("vmbus/msg", v1_initiate_contact_5_2, v2_initiate_contact_4_0, v3_initiate_contact_6_0,
	   v4_v5_version_response, v6_offer_scsi, v7_offer_heartbeat, v8_gpadl_one_message,
	   v9_gpadl_with_body, v10_gpadl_answers, v11_open, v12_v13_v15_short_ones, v14_tl_connect,
	   every_type_every_rule, v02_v04_nonsense)
