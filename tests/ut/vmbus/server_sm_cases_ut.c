/* SPDX-License-Identifier: MIT */
/*
 * The hostile guest, case by case (spec: hostile cases, group V): each test is named by the
 * cases it proves. V33 with real memory and V17, V18 with real rings are in server_ut.c,
 * V45 is server_sm_random_ut.c; V38 and V39 need an hvsock service, which there is not.
 */
#include "tests/ut/vmbus/sm_world.h"

static struct vmbus_sm_chan *chan;

/* Connected with 5.3, relid 1 offered, GPADL 10 (8 pages) accepted. */
static void up(void)
{
	w_up();
	chan = w_offer(0);
	w_connect(VMBUS_V5_3);
	g_gpadl(1, 10);
	w_forget();
}

static void up_open(void)
{
	up();
	g_open(1, 10);
	w_take_result(1, 1, true);
	w_forget();
}

START_TEST(v01_v11_before_contact)
{
	w_up();
	w_offer(0);
	for (uint32_t type = 0; type < VMBUS_MSG_TYPES; type++) {
		union vmbus_msg m = { .hdr.type = type };

		if (type == VMBUS_MSG_INITIATE_CONTACT)
			continue;
		ck_assert_int_eq(w_post(&m, sizeof(m)), 0);
		w_silent();
	}
	ck_assert_uint_eq(w.sm->dropped, VMBUS_MSG_TYPES - 1);
	w_connect(VMBUS_V5_3);
	w_down();
}
END_TEST

START_TEST(v02_too_short)
{
	up_open();
	for (uint32_t type = 0; type < VMBUS_MSG_TYPES; type++) {
		union vmbus_msg m = { .hdr.type = type };
		uint32_t size = vmbus_msg_size(type);

		for (uint32_t len = 0; len < (size > 8 ? size : 8); len++) {
			uint64_t before = w.sm->dropped;

			ck_assert_int_eq(w_post(&m, len), 0);
			W_DROPPED(before, 1);
		}
	}
	ck_assert_str_eq(w_said(), "");
	ck_assert_int_eq(chan->state, CH_OPEN);
	w_down();
}
END_TEST

/* Firmware posts the maximum length always: the prefix counts. */
START_TEST(v03_too_long)
{
	union vmbus_msg m;

	up_open();
	memset(&m, 0xff, sizeof(m));
	m.relid.hdr = (struct vmbus_msg_hdr){ .type = VMBUS_MSG_CLOSECHANNEL };
	m.relid.relid = 1;
	w_post(&m, sizeof(m));
	ck_assert_str_eq(w_said(), "close!");
	memset(&m, 0xff, sizeof(m));
	m.gpadl_teardown.hdr = (struct vmbus_msg_hdr){ .type = VMBUS_MSG_GPADL_TEARDOWN };
	m.gpadl_teardown.relid = 1;
	m.gpadl_teardown.gpadl = 10;
	w_post(&m, sizeof(m));
	ck_assert_str_eq(w_said(), "unmap!, torndown 10");
	ck_assert_int_eq(g_header_only(VMBUS_MSG_UNLOAD), 0);
	w_down();
}
END_TEST

START_TEST(v05_versions)
{
	static const uint32_t bad[] = { 0,	 1,	      0xffffffff, 0x50004, 0x5ffff,
					0x10000, VMBUS_V0_13, VMBUS_V1_1, 0x20000, VMBUS_V2_4,
					0x30001, 0x40002,     VMBUS_V6_0, 0x70000 };

	w_up();
	w_offer(0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const union vmbus_msg *m;

		g_contact(bad[i]);
		ck_assert_uint_eq(w.sent[w.taken].len, 16);
		m = w_take(VMBUS_MSG_VERSION_RESPONSE);
		ck_assert_uint_eq(m->version.supported, 0);
		ck_assert_uint_eq(m->version.version_or_connection, 0);
		ck_assert_int_eq(w.sm->state, CONN_DISCONNECTED);
	}
	for (int i = 0; i < VMBUS_NR_VERSIONS; i++) {
		w_connect(vmbus_versions[i]);
		ck_assert_uint_eq(w.sm->version, vmbus_versions[i]);
	}
	w_down();
}
END_TEST

START_TEST(v05_configured_maximum)
{
	w_up_max(VMBUS_V4_1);
	for (int i = 0; i < VMBUS_NR_VERSIONS; i++) {
		g_contact(vmbus_versions[i]);
		ck_assert_uint_eq(w_take(VMBUS_MSG_VERSION_RESPONSE)->version.supported,
				  vmbus_versions[i] <= VMBUS_V4_1);
	}
	w_down();
}
END_TEST

/* Section 3.3: the version below 5.0, the connection it came on from 5.0. */
START_TEST(version_response_field)
{
	w_up();
	for (int i = 0; i < VMBUS_NR_VERSIONS; i++) {
		uint32_t v = vmbus_versions[i];
		union vmbus_msg m;
		uint32_t len;

		g_contact(v);
		ck_assert_uint_eq(w_take(VMBUS_MSG_VERSION_RESPONSE)->version.version_or_connection,
				  v < VMBUS_V5_0 ? v : 4);
		/* On connection 1, SINT and VTL mean nothing. */
		len = vmbus_msg_init(&m, VMBUS_MSG_INITIATE_CONTACT);
		m.contact.version = v;
		m.contact.interrupt_page = 0xffff;
		w.conn = HV_CONN_VMBUS_MESSAGE;
		w_post(&m, len);
		ck_assert_uint_eq(w_take(VMBUS_MSG_VERSION_RESPONSE)->version.version_or_connection,
				  v < VMBUS_V5_0 ? v : 1);
	}
	w_down();
}
END_TEST

START_TEST(v06_contact_with_everything_open)
{
	struct vmbus_sm_chan *other;
	uint32_t i;

	up_open();
	other = w_offer(1);
	g_gpadl_header(2, 11, 40, 26); /* half a GPADL */
	w_offer_sub(chan, 1);
	ck_assert_uint_eq(w.sm->nr_chans, 3);
	w_forget();
	w.hold_device = true;
	w.deaf = true;
	for (i = 0; i < 10; i++)
		w_offer(100 + i); /* offers in flight */
	w_said();
	g_contact(VMBUS_V4_0);
	ck_assert_str_eq(w_said(), "detached!, close!"); /* sub-channel first */
	ck_assert_uint_eq(w.sm->queued, 0);
	g_contact(VMBUS_V4_1); /* latest wins */
	g_header_only(VMBUS_MSG_REQUESTOFFERS);
	w.deaf = false;
	ck_assert(w_answer(VMBUS_SM_CLOSE, 0));
	ck_assert_str_eq(w_said(), "unmap!, version 1.0");
	ck_assert_uint_eq(w.sm->version, VMBUS_V4_1);
	ck_assert_uint_eq(w.sm->nr_chans, 12);
	ck_assert_int_eq(other->state, CH_RELEASED);
	w_forget();
	g_header_only(VMBUS_MSG_REQUESTOFFERS);
	for (i = 0; i < 12; i++)
		ck_assert_uint_eq(w_take_offer(0), i + 1); /* same relids as before */
	w_take(VMBUS_MSG_ALLOFFERS_DELIVERED);
	w_silent();
	w_down();
}
END_TEST

START_TEST(v07_feature_flags)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_INITIATE_CONTACT);

	w_up();
	w.conn = HV_CONN_VMBUS_CONTACT;
	m.contact.version = VMBUS_V5_3;
	m.contact.target_sint = 2;
	m.contact.feature_flags = 0xffffffff;
	w_post(&m, len);
	ck_assert_uint_eq(w.sent[w.taken].len, 16); /* no room for features before 6.0 */
	ck_assert_uint_eq(w_take(VMBUS_MSG_VERSION_RESPONSE)->version.supported, 1);
	m.contact.version = VMBUS_V6_0;
	w_post(&m, VMBUS_MSG_MAX);
	ck_assert_uint_eq(w.sent[w.taken].len, 16);
	ck_assert_uint_eq(w_take(VMBUS_MSG_VERSION_RESPONSE)->version.supported, 0);
	w_down();
}
END_TEST

START_TEST(v08_pages)
{
	static const struct {
		uint64_t page1, page2;
		bool ok;
	} c[] = {
		{ 0, 0, true },
		{ 0x1000, 0x2000, true },
		{ 0x1000, 0x1000, true },
		{ 0xfffffffffffff000, 0x1000, true }, /* never touched */
		{ 0x1000, 0, false },
		{ 0, 0x1000, false },
		{ 0x1001, 0x2000, false },
		{ 0x1000, 0x2fff, false },
		{ 0xffffffffffffffff, 0xffffffffffffffff, false },
	};
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_INITIATE_CONTACT);

	w_up();
	m.contact.version = VMBUS_V4_1;
	m.contact.interrupt_page = 0xdeadbeefdeadbeef;
	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		const union vmbus_msg *r;

		m.contact.monitor_page1 = c[i].page1;
		m.contact.monitor_page2 = c[i].page2;
		w_post(&m, len);
		r = w_take(VMBUS_MSG_VERSION_RESPONSE);
		ck_assert_uint_eq(r->version.supported, 1);
		ck_assert_uint_eq(r->version.connection_state,
				  c[i].ok ? VMBUS_CONNECTION_OK : VMBUS_CONNECTION_FAILED);
		ck_assert_uint_eq(r->version.version_or_connection, VMBUS_V4_1);
		ck_assert_int_eq(w.sm->state, c[i].ok ? CONN_CONNECTED : CONN_DISCONNECTED);
	}
	w_down();
}
END_TEST

START_TEST(v09_h19_target_fields)
{
	static const struct {
		uint32_t version, vp, conn;
		uint8_t sint, vtl;
		bool ok;
		uint32_t answer_vp;
	} c[] = {
		{ VMBUS_V5_3, 0, 4, 2, 0, true, 0 },
		{ VMBUS_V5_3, 3, 4, 2, 0, true, 3 },
		{ VMBUS_V5_3, W_VPS, 4, 2, 0, false, 0 },
		{ VMBUS_V5_3, 0x80000000, 4, 2, 0, false, 0 },
		{ VMBUS_V5_3, 0xffffffff, 4, 2, 0, false, 0 },
		{ VMBUS_V3_0, 0xffffffff, 1, 0, 0, false, 0 },
		{ VMBUS_V3_0, 2, 1, 0, 0, true, 2 },
		{ VMBUS_V5_3, 1, 4, 0, 0, false, 1 },
		{ VMBUS_V5_3, 1, 4, 255, 0, false, 1 },
		{ VMBUS_V5_3, 1, 4, 2, 1, false, 1 },
		{ VMBUS_V5_1, 1, 4, 2, 255, false, 1 },
		{ VMBUS_V5_0, 1, 4, 2, 1, true, 1 }, /* no such field yet */
		{ VMBUS_V5_3, 1, 1, 0, 7, true, 1 }, /* not looked at on connection 1 */
		{ VMBUS_V4_1, 1, 4, 0, 7, true, 1 }, /* part of the interrupt page address */
	};

	w_up();
	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		union vmbus_msg m;
		uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_INITIATE_CONTACT);

		m.contact.version = c[i].version;
		m.contact.target_vp = c[i].vp;
		m.contact.target_sint = c[i].sint;
		m.contact.target_vtl = c[i].vtl;
		w.conn = c[i].conn;
		w_post(&m, len);
		ck_assert_uint_eq(w.sent[w.taken].vp, c[i].answer_vp);
		ck_assert_uint_eq(w_take(VMBUS_MSG_VERSION_RESPONSE)->version.supported, c[i].ok);
	}
	w_down();
}
END_TEST

/* Everything of a connection goes to the VP it named. */
START_TEST(message_target_vp)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_INITIATE_CONTACT);

	w_up();
	w_offer(0);
	m.contact.version = VMBUS_V4_1;
	m.contact.target_vp = 3;
	w_post(&m, len);
	g_header_only(VMBUS_MSG_REQUESTOFFERS);
	g_header_only(VMBUS_MSG_UNLOAD);
	ck_assert_str_eq(w_said(), "version 1.0, offer 1, all, unloaded");
	for (uint32_t i = 0; i < w.nr_sent; i++)
		ck_assert_uint_eq(w.sent[i].vp, 3);
	w_down();
}
END_TEST

START_TEST(v10_offers_twice)
{
	up();
	for (int i = 0; i < 3; i++) {
		uint64_t before = w.sm->dropped;

		g_header_only(VMBUS_MSG_REQUESTOFFERS);
		W_DROPPED(before, 1);
		w_silent();
	}
	w_down();
}
END_TEST

START_TEST(v12_open_of_unknown_relid)
{
	static const uint32_t relid[] = { 0, 2, 7, 8, 15, 16, 2047, 2048, 0x80000000, 0xffffffff };

	up();
	for (size_t i = 0; i < ARRAY_SIZE(relid); i++) {
		g_open_full(relid[i], 77, 10, 0, 4);
		w_take_result(relid[i], 77, false);
		g_relid(VMBUS_MSG_CLOSECHANNEL, relid[i]);
		g_relid(VMBUS_MSG_RELID_RELEASED, relid[i]);
		g_teardown(relid[i], 10);
		w_silent();
		g_modify(relid[i], 0);
		w_take_modify(relid[i], false);
		g_gpadl(relid[i], 11);
		w_take_created(relid[i], 11, false);
	}
	w_down();
}
END_TEST

START_TEST(v13_open_twice)
{
	up_open();
	g_open_full(1, 99, 10, 0, 4);
	w_take_result(1, 99, false);
	ck_assert_int_eq(chan->state, CH_OPEN);
	ck_assert_uint_eq(chan->open_id, 1);
	ck_assert_uint_eq(w.opens, 1);
	ck_assert_uint_eq(w.closes, 0);
	w_down();
}
END_TEST

START_TEST(v14_open_with_a_bad_gpadl)
{
	up();
	w_offer(1);
	w_forget();
	g_gpadl(2, 20);		       /* another channel's */
	g_gpadl_header(1, 30, 40, 26); /* incomplete */
	g_gpadl(1, 40);
	g_teardown(1, 40); /* torn down */
	w_forget();
	g_open(1, 20);
	w_take_result(1, 1, false);
	g_open(1, 30);
	w_take_result(1, 1, false);
	g_open(1, 40);
	w_take_result(1, 1, false);
	g_open(1, 0xffffffff);
	w_take_result(1, 1, false);
	w.hold_map = true; /* not yet accepted */
	g_gpadl(1, 50);
	g_open(1, 50);
	w_take_result(1, 1, false);
	ck_assert_uint_eq(w.opens, 0);
	w.hold_map = false;
	g_open(1, 10);
	w_take_result(1, 1, true);
	w_down();
}
END_TEST

START_TEST(v15_v16_bad_rings)
{
	static const uint32_t downstream[] = { 0, 1, 7, 8, 9, 0xfffffffe, 0xffffffff };

	up();
	for (size_t i = 0; i < ARRAY_SIZE(downstream); i++) {
		g_open_full(1, 5, 10, 0, downstream[i]);
		w_take_result(1, 5, false);
		ck_assert_int_eq(chan->state, CH_OFFERED);
	}
	for (uint32_t pages = 1; pages <= 3; pages++) {
		g_gpadl_header(1, 20 + pages, pages, pages);
		w_take_created(1, 20 + pages, true);
		for (uint32_t d = 0; d <= pages + 1; d++) {
			g_open_full(1, 6, 20 + pages, 0, d);
			w_take_result(1, 6, false);
		}
	}
	w_down();
}
END_TEST

START_TEST(v19_ring_too_large)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_GPADL_HEADER);
	struct vmbus_gpa_range range = { .byte_count = 0xfffff000 };

	up();
	m.gpadl_header.relid = 1;
	m.gpadl_header.gpadl = 20;
	m.gpadl_header.range_buflen = 65528;
	m.gpadl_header.rangecount = 1;
	memcpy(m.bytes + len, &range, sizeof(range));
	w_post(&m, VMBUS_MSG_MAX);
	w_silent(); /* 8190 pages are to come: that much is legal */
	for (int i = 0; i < 8190 / 28 + 1; i++)
		g_gpadl_body(20, 28);
	w_take_created(1, 20, false); /* 1048575 were claimed */
	ck_assert_uint_eq(w.sm->nr_gpadls, 1);
	w_down();
}
END_TEST

START_TEST(v20_user_data)
{
	up();
	w.hold_device = true;
	g_open(1, 10);
	ck_assert_uint_eq(w.nr_held, 1);
	for (uint32_t i = 0; i < VMBUS_USER_DATA; i++)
		ck_assert_uint_eq(w.held[0].open->user[i], 0xa5);
	ck_assert_uint_eq(w.held[0].open->relid, 1);
	ck_assert_uint_eq(w.held[0].open->rings.in_pages, 4);
	ck_assert_uint_eq(w.held[0].open->rings.out_pages, 4);
	w_down();
}
END_TEST

START_TEST(v21_v24_close_and_release_out_of_place)
{
	up();
	g_relid(VMBUS_MSG_CLOSECHANNEL, 1); /* not open */
	w.hold_device = true;
	g_open(1, 10);
	g_relid(VMBUS_MSG_CLOSECHANNEL, 1); /* opening */
	g_relid(VMBUS_MSG_RELID_RELEASED, 1);
	ck_assert_uint_eq(w.sm->dropped, 3);
	w_answer(VMBUS_SM_OPEN, 0);
	w_take_result(1, 1, true);
	g_relid(VMBUS_MSG_RELID_RELEASED, 1); /* live */
	ck_assert_uint_eq(w.sm->dropped, 4);
	ck_assert_int_eq(chan->state, CH_OPEN);
	g_relid(VMBUS_MSG_CLOSECHANNEL, 1);
	w_answer(VMBUS_SM_CLOSE, 0);
	g_relid(VMBUS_MSG_RELID_RELEASED, 1);
	g_relid(VMBUS_MSG_RELID_RELEASED, 1); /* already released */
	ck_assert_uint_eq(w.sm->dropped, 5);
	w_silent();
	w_down();
}
END_TEST

START_TEST(v22_v35_close_with_io_in_flight)
{
	up_open();
	w.hold_device = true;
	g_relid(VMBUS_MSG_CLOSECHANNEL, 1);
	g_teardown(1, 10); /* as Linux does, back to back */
	ck_assert_str_eq(w_said(), "close!");
	g_header_only(VMBUS_MSG_UNLOAD); /* impatient */
	ck_assert_str_eq(w_said(), "");
	w_answer(VMBUS_SM_CLOSE, 0); /* the last I/O */
	ck_assert_str_eq(w_said(), "unmap!, unloaded");
	w_down();
}
END_TEST

START_TEST(v23_open_and_close_for_ever)
{
	up();
	for (uint32_t i = 0; i < TIMES(100000); i++) {
		w_forget();
		g_gpadl(1, 20 + i);
		g_open(1, 20 + i);
		g_relid(VMBUS_MSG_CLOSECHANNEL, 1);
		g_teardown(1, 20 + i);
		REQUIRE(w.nr_sent == 3);
	}
	ck_assert_uint_eq(w.sm->nr_gpadls, 1);
	ck_assert_uint_eq(w.sm->nr_chans, 1);
	ck_assert_uint_le(w.sm->queue_cap, 16);
	ck_assert_uint_eq(w.opens, TIMES(100000));
	w_down();
}
END_TEST

START_TEST(v25_v26_unload)
{
	up_open();
	w.hold_device = true;
	g_header_only(VMBUS_MSG_UNLOAD);
	g_header_only(VMBUS_MSG_UNLOAD);
	ck_assert_str_eq(w_said(), "close!");
	w_answer(VMBUS_SM_CLOSE, 0);
	ck_assert_str_eq(w_said(), "unmap!, unloaded");
	g_header_only(VMBUS_MSG_UNLOAD);
	g_relid(VMBUS_MSG_RELID_RELEASED, 1); /* Linux says this after UNLOAD */
	g_open(1, 10);
	ck_assert_str_eq(w_said(), "");
	w_connect(VMBUS_V3_0);
	w_down();

	up();
	w.hold_device = true;
	g_open(1, 10);
	g_header_only(VMBUS_MSG_UNLOAD); /* during opening */
	w_answer(VMBUS_SM_OPEN, 0);
	w_answer(VMBUS_SM_CLOSE, 0);
	ck_assert_str_eq(w_said(), "open!, close!, unmap!, unloaded");
	w_down();
}
END_TEST

/* range_buflen and rangecount against a header that carries one range of 8 pages. */
static void lying_header(uint16_t buflen, uint16_t count)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_GPADL_HEADER);
	struct vmbus_gpa_range range = { .byte_count = 8 * 4096 };

	m.gpadl_header.relid = 1;
	m.gpadl_header.gpadl = 20;
	m.gpadl_header.range_buflen = buflen;
	m.gpadl_header.rangecount = count;
	memcpy(m.bytes + len, &range, sizeof(range));
	w_post(&m, len + 72);
}

START_TEST(v27_lying_headers)
{
	static const uint16_t c[][2] = { { 72, 0 }, { 72, 2 }, { 72, 65535 }, { 0, 1 },
					 { 8, 1 },  { 15, 1 }, { 71, 1 },     { 73, 1 },
					 { 64, 1 }, { 16, 1 }, { 65535, 1 } };

	up();
	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		lying_header(c[i][0], c[i][1]);
		w_take_created(1, 20, false);
		ck_assert_uint_eq(w.sm->nr_gpadls, 1);
	}
	lying_header(72, 1);
	w_take_created(1, 20, true);
	w_down();
}
END_TEST

START_TEST(v28_v29_lying_ranges)
{
	static const struct {
		uint32_t count, offset;
		bool ok;
	} c[] = {
		{ 0, 0, false },
		{ 1, 0, false },
		{ 0xffffffff, 0, false },
		{ 0xffffffff, 4095, false },
		{ 8 * 4096, 4096, false },
		{ 8 * 4096, 0xffffffff, false },
		{ 8 * 4096 + 1, 0, false },
		{ 7 * 4096, 0, false },
		{ 8 * 4096, 1, false },
		{ 8 * 4096, 0, true },
	};

	up();
	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		union vmbus_msg m;
		uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_GPADL_HEADER);
		struct vmbus_gpa_range range = { c[i].count, c[i].offset };

		m.gpadl_header.relid = 1;
		m.gpadl_header.gpadl = 20;
		m.gpadl_header.range_buflen = 72;
		m.gpadl_header.rangecount = 1;
		memcpy(m.bytes + len, &range, sizeof(range));
		w_post(&m, len + 72);
		w_take_created(1, 20, c[i].ok);
	}
	w_down();
}
END_TEST

START_TEST(v30_ids)
{
	up();
	w_offer(1);
	w_forget();
	g_gpadl(1, 0); /* a number like any other */
	w_take_created(1, 0, true);
	g_gpadl(1, 0);
	w_take_created(1, 0, false);
	g_gpadl(2, 0); /* the same id on another channel is another GPADL */
	w_take_created(2, 0, true);
	g_gpadl_header(1, 30, 40, 26);
	g_gpadl_header(1, 30, 40, 26); /* in progress */
	w_take_created(1, 30, false);
	g_gpadl_header(2, 30, 40, 26); /* bodies could not tell them apart */
	w_take_created(2, 30, false);
	g_gpadl_body(30, 14);
	w_take_created(1, 30, true); /* the first is intact */
	g_open(1, 30);
	w_take_result(1, 1, true);
	w_down();
}
END_TEST

START_TEST(v31_bodies)
{
	uint64_t before;

	up();
	before = w.sm->dropped;
	g_gpadl_body(30, 28); /* without a header */
	g_gpadl_body(10, 28); /* finished */
	W_DROPPED(before, 2);
	w_silent();
	g_gpadl_header(1, 30, 40, 26);
	g_gpadl_body(30, 28); /* more than promised: ignored, as firmware posts full messages */
	w_take_created(1, 30, true);
	g_gpadl_body(30, 28);
	W_DROPPED(before, 3);
	g_gpadl_header(1, 31, 40, 0); /* everything in bodies, some of them empty */
	g_gpadl_body(31, 0);
	g_gpadl_body(31, 28);
	g_gpadl_body(31, 12);
	w_take_created(1, 31, true);
	w_silent();
	w_down();
}
END_TEST

START_TEST(v32_half_finished_gpadls)
{
	uint32_t ok = 0, refused = 0;

	up();
	for (uint32_t i = 0; i < 1000; i++) {
		uint32_t said = w.nr_sent;

		ck_assert_int_eq(g_gpadl_header(1, 100 + i, 8190, 26), 0);
		ok += w.nr_sent == said;
		refused += w.nr_sent > said;
	}
	ck_assert_uint_eq(ok, (VMBUS_SM_MAX_GPADL_QWORDS - 9) / 8191);
	ck_assert_uint_eq(refused, 1000 - ok);
	ck_assert_str_eq(w.sm->last_drop, "GPADL quota");
	w_forget();
	g_relid(VMBUS_MSG_RELID_RELEASED, 1);
	ck_assert_uint_eq(w.sm->nr_gpadls, 0);
	ck_assert_uint_eq(w.sm->gpadl_pages, 0);
	w_down();

	up(); /* small ones */
	for (uint32_t i = 0; i < 1000; i++)
		g_gpadl_header(1, 100 + i, 40, 26);
	ck_assert_uint_eq(w.sm->nr_partial, VMBUS_SM_MAX_PARTIAL);
	w_forget();
	g_header_only(VMBUS_MSG_UNLOAD);
	ck_assert_uint_eq(w.sm->nr_gpadls, 0);
	w_connect(VMBUS_V5_3);
	g_gpadl(1, 100); /* ids are usable again */
	w_take_created(1, 100, true);
	w_down();
}
END_TEST

START_TEST(v32_finished_gpadls)
{
	up();
	for (uint32_t i = 0; i < VMBUS_SM_MAX_GPADLS + 10; i++) {
		w_forget();
		g_gpadl_header(1, 100 + i, 1, 1);
		w_take_created(1, 100 + i, i < VMBUS_SM_MAX_GPADLS - 1);
	}
	ck_assert_uint_eq(w.sm->nr_gpadls, VMBUS_SM_MAX_GPADLS);
	w_down();
}
END_TEST

START_TEST(v33_pages_that_are_not_ram)
{
	up();
	w.hold_map = true;
	g_gpadl(1, 20);
	ck_assert_uint_eq(w.nr_held, 1);
	ck_assert_uint_eq(w.held[0].ranges->rangecount, 1);
	w_answer(VMBUS_SM_MAP, -EFAULT);
	w_take_created(1, 20, false);
	ck_assert_uint_eq(w.sm->nr_gpadls, 1);
	w_down();
}
END_TEST

START_TEST(v34_teardowns)
{
	uint64_t before;

	up_open();
	w_offer(1);
	w_forget();
	before = w.sm->dropped;
	g_teardown(1, 11); /* unknown */
	g_teardown(2, 10); /* another channel's */
	W_DROPPED(before, 2);
	g_teardown(1, 10); /* its ring is open */
	g_teardown(1, 10);
	W_DROPPED(before, 3);
	w_silent();
	g_open_full(1, 3, 10, 0, 4);
	w_take_result(1, 3, false);
	w_forget();
	g_relid(VMBUS_MSG_CLOSECHANNEL, 1);
	ck_assert_str_eq(w_said(), "close!, unmap!, torndown 10");
	w_down();
}
END_TEST

START_TEST(v36_gpadl_on_a_rescinded_channel)
{
	up();
	w_revoke(chan);
	w_forget();
	g_gpadl(1, 20);
	ck_assert_str_eq(w_said(), "created 1 20 ok"); /* and nobody was asked */
	g_gpadl_header(1, 21, 40, 26);
	g_gpadl_body(21, 14);
	g_teardown(1, 20);
	g_teardown(1, 21);
	ck_assert_str_eq(w_said(), "created 1 21 ok, torndown 20, torndown 21");
	g_gpadl(1, 22);
	g_relid(VMBUS_MSG_RELID_RELEASED, 1); /* Linux: no teardown at all */
	ck_assert_uint_eq(w.sm->nr_gpadls, 0);
	ck_assert_uint_eq(w.sm->nr_chans, 0);
	w_down();
}
END_TEST

/* Half a GPADL at the time of the rescind; then the guest goes on as if nothing was. */
START_TEST(v36_gpadl_in_progress_at_rescind)
{
	up();
	g_gpadl_header(1, 20, 40, 26);
	w_revoke(chan);
	w_forget();
	g_gpadl_body(20, 14);
	g_teardown(1, 20);
	ck_assert_str_eq(w_said(), "created 1 20 ok, torndown 20");
	w_down();
}
END_TEST

START_TEST(v37_modify)
{
	static const uint32_t bad[] = { W_VPS, 0x80000000, 0xffffffff };

	up();
	g_modify(1, 1); /* closed */
	w_take_modify(1, false);
	g_open_full(1, 1, 10, 2, 4);
	w_take_result(1, 1, true);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		g_modify(1, bad[i]);
		w_take_modify(1, false);
		ck_assert_uint_eq(chan->open.target_vp, 2);
	}
	w.hold_device = true;
	for (int i = 0; i < 1000; i++)
		g_modify(1, i % W_VPS); /* flood: one is under way, the rest is dropped */
	ck_assert_uint_eq(w.nr_held, 1);
	w_answer(VMBUS_SM_MODIFY, 0);
	w_take_modify(1, true);
	w_silent();
	ck_assert_uint_eq(chan->open.target_vp, 0);
	w_down();
}
END_TEST

START_TEST(v37_modify_before_5_3)
{
	w_up();
	chan = w_offer(0);
	w_connect(VMBUS_V4_1);
	g_gpadl(1, 10);
	g_open(1, 10);
	w_forget();
	w.hold_device = true;
	g_modify(1, 1);
	g_modify(1, 2);
	g_modify(1, 3);
	ck_assert_str_eq(w_said(), "modify!");
	w_answer(VMBUS_SM_MODIFY, 0);
	ck_assert_str_eq(w_said(), "modify!"); /* of several only the last counts */
	w_answer(VMBUS_SM_MODIFY, 0);
	ck_assert_uint_eq(chan->open.target_vp, 3);
	g_modify(1, W_VPS);
	ck_assert_str_eq(w_said(), ""); /* never answered */
	w_down();

	w_up();
	chan = w_offer(0);
	w_connect(VMBUS_V4_0);
	g_modify(1, 1); /* not spoken */
	ck_assert_str_eq(w_said(), "");
	ck_assert_uint_eq(w.sm->dropped, 1);
	w_down();
}
END_TEST

START_TEST(v37_interrupts_disabled_at_open)
{
	up();
	g_open_full(1, 1, 10, VMBUS_NO_VP, 4);
	w_take_result(1, 1, true);
	g_modify(1, 1);
	w_take_modify(1, false);
	w_down();
}
END_TEST

START_TEST(h19_open_on_a_vp_that_is_not)
{
	static const uint32_t bad[] = { W_VPS, 0x7fffffff, 0x80000000, 0xfffffffe };

	up();
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		g_open_full(1, 1, 10, bad[i], 4);
		w_take_result(1, 1, false);
	}
	w_down();
}
END_TEST

START_TEST(v38_tl_connect_flood)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_TL_CONNECT_REQUEST);

	up();
	w.deaf = true;
	for (uint32_t i = 0; i < 100000; i++) {
		memcpy(m.tl_connect.endpoint.b, &i, sizeof(i));
		w_post(&m, len);
	}
	ck_assert_uint_eq(w.sm->queued, VMBUS_SM_MAX_QUEUE);
	ck_assert_uint_eq(w.sm->refused, 100000 - VMBUS_SM_MAX_QUEUE);
	w_down();

	w_up();
	w_connect(VMBUS_V4_0);
	w_post(&m, len);
	ck_assert_str_eq(w_said(), ""); /* no words for a refusal yet */
	w_down();
}
END_TEST

START_TEST(v40_sub_channels)
{
	struct vmbus_sm_chan *sub;

	up();
	ck_assert_int_eq(vmbus_sm_offer_sub(w.sm, chan, 1, &w, &sub), -ENOTCONN);
	g_open(1, 10);
	ck_assert_int_eq(vmbus_sm_offer_sub(w.sm, chan, 0, &w, &sub), -EINVAL);
	w_forget();
	w_offer_sub(chan, 1);
	w_offer_sub(chan, 2);
	ck_assert_int_eq(vmbus_sm_offer_sub(w.sm, chan, 2, &w, &sub), -EEXIST);
	ck_assert_str_eq(w_said(), "offer 2.1, offer 3.2");
	ck_assert(guid_equal(&w.sent[0].msg.offer.instance, &w.sent[1].msg.offer.instance));
	g_gpadl(2, 20);
	g_open(2, 20);
	w_forget();
	g_relid(VMBUS_MSG_CLOSECHANNEL, 1); /* the primary: its sub-channels go */
	ck_assert_str_eq(w_said(), "close!, detached!, close!, detached!, rescind 2, rescind 3");
	/* Open again and ask again, before the guest let go of the old ones. */
	g_open(1, 10);
	w_offer_sub(chan, 1);
	w_offer_sub(chan, 2);
	ck_assert_str_eq(w_said(), "open!, result 1 1 ok");
	g_relid(VMBUS_MSG_RELID_RELEASED, 3);
	ck_assert_str_eq(w_said(), "offer 3.2");
	g_relid(VMBUS_MSG_RELID_RELEASED, 2);
	ck_assert_str_eq(w_said(), "unmap!, offer 2.1");
	g_relid(VMBUS_MSG_CLOSECHANNEL, 1);
	w_down();
}
END_TEST

static bool late_is_left(void)
{
	bool left = vmbus_sm_offer_late(w.sm, chan);

	w_pump();
	return left;
}

/* One round of a guest that closes the primary and releases no sub-channel. */
static void once_more_without_release(const char *late)
{
	g_relid(VMBUS_MSG_CLOSECHANNEL, 1);
	g_open(1, 10);
	w_forget();
	w_offer_sub(chan, 1);
	ck_assert(vmbus_sm_waits(w.sm, chan));
	ck_assert_str_eq(w_said(), "");
	ck_assert_int_eq(late_is_left(), !*late);
	ck_assert_str_eq(w_said(), late);
}

START_TEST(v40_beside_a_predecessor_that_is_not_released)
{
	up();
	g_open(1, 10);
	ck_assert(!vmbus_sm_waits(w.sm, chan));
	w_offer_sub(chan, 1);
	ck_assert(!vmbus_sm_waits(w.sm, chan));
	w_forget();
	once_more_without_release("offer 3.1");
	ck_assert(!vmbus_sm_waits(w.sm, chan));
	g_gpadl(3, 30);
	g_open(3, 30);
	ck_assert_str_eq(w_said(), "map!, created 3 30 ok, open!, result 3 3 ok");
	/* The one before goes by itself; the new one stays. */
	g_relid(VMBUS_MSG_RELID_RELEASED, 2);
	ck_assert_uint_eq(w.sm->nr_chans, 2);
	once_more_without_release("offer 2.1");
	once_more_without_release("offer 4.1");
	once_more_without_release("offer 5.1");
	/* Enough of that. */
	once_more_without_release("");
	ck_assert(vmbus_sm_waits(w.sm, chan));
	g_relid(VMBUS_MSG_RELID_RELEASED, 4);
	ck_assert(!late_is_left());
	ck_assert_str_eq(w_said(), "offer 4.1");
	g_relid(VMBUS_MSG_CLOSECHANNEL, 1);
	w_down();
}
END_TEST

START_TEST(v40_sub_channels_end_with_the_connection)
{
	up_open();
	w_offer_sub(chan, 1);
	w_offer_sub(chan, 2);
	w_forget();
	g_contact(VMBUS_V5_3);
	ck_assert_uint_eq(w.sm->nr_chans, 1);
	g_header_only(VMBUS_MSG_REQUESTOFFERS);
	ck_assert_str_eq(w_said(),
			 "detached!, detached!, close!, unmap!, version 1.0, offer 1, all");
	w_down();
}
END_TEST

START_TEST(v41_removal)
{
	struct vmbus_sm_chan *ch;

	up_open();
	w_offer_sub(chan, 1);
	w_forget();
	w_revoke(chan);
	/* Sub-channel first; the device is free at once, whatever the guest does. */
	ck_assert_str_eq(w_said(), "detached!, close!, detached!, rescind 2, rescind 1");
	ck_assert_uint_eq(w.sm->nr_chans, 2);
	for (uint32_t i = 0; i < 10; i++)
		w_offer(50 + i); /* the guest still has 1 and 2: not reused */
	TAILQ_FOREACH(ch, &w.sm->chans, link)
	ck_assert(ch->dying ? ch->relid <= 2 : ch->relid > 2);
	w_down();
}
END_TEST

START_TEST(v41_again_before_release)
{
	up();
	w_revoke(chan);
	chan = w_offer(0);
	ck_assert_int_eq(chan->state, CH_WAITING);
	w_forget();
	g_relid(VMBUS_MSG_CLOSECHANNEL, 1);
	ck_assert_str_eq(w_said(), "");
	g_relid(VMBUS_MSG_RELID_RELEASED, 1);
	ck_assert_str_eq(w_said(), "unmap!, offer 1");
	g_gpadl(1, 10);
	g_open(1, 10);
	w_down();
}
END_TEST

/* Released while the old device is still closing: the number stays busy until it has. */
START_TEST(v41_released_before_the_device_closed)
{
	up_open();
	w.hold_device = true;
	w_revoke(chan);
	w_forget();
	g_relid(VMBUS_MSG_RELID_RELEASED, 1);
	ck_assert_str_eq(w_said(), "");
	w_offer(0);
	w_offer(1);
	ck_assert_str_eq(w_said(), "offer 2");
	w_answer(VMBUS_SM_CLOSE, 0);
	ck_assert_str_eq(w_said(), "unmap!, detached!, offer 1");
	w_down();
}
END_TEST

/* Section 4.5: the rescind is the answer, an open after it gets none. */
START_TEST(v42_open_after_rescind)
{
	up();
	w_revoke(chan);
	w_forget();
	g_open(1, 10);
	ck_assert_str_eq(w_said(), "");
	ck_assert_uint_eq(w.opens, 0);
	w_down();

	up();
	w.hold_device = true;
	g_open(1, 10);
	w_revoke(chan);
	w_forget();
	w_answer(VMBUS_SM_OPEN, 0);
	w_answer(VMBUS_SM_CLOSE, 0);
	ck_assert_str_eq(w_said(), "close!, detached!");
	w_down();
}
END_TEST

START_TEST(v43_contact_and_unload_flood)
{
	w_up();
	w_offer(0);
	for (uint32_t i = 0; i < TIMES(100000); i++) {
		w_forget();
		g_contact(VMBUS_V5_3);
		g_header_only(VMBUS_MSG_UNLOAD);
		REQUIRE(w.nr_sent == 2);
	}
	w.deaf = true; /* and nobody listens */
	for (uint32_t i = 0; i < TIMES(100000); i++) {
		g_contact(VMBUS_V5_3);
		g_header_only(VMBUS_MSG_UNLOAD);
	}
	ck_assert_uint_eq(w.sm->queued, 1);
	ck_assert_uint_le(w.sm->queue_cap, 16);
	w_down();
}
END_TEST

START_TEST(v44_deaf_guest)
{
	struct vmbus_sm_chan *ch;
	uint32_t offered = 0;

	up();
	w.deaf = true;
	for (uint32_t i = 0; i < 256; i++)
		w_offer(1000 + i);
	ck_assert_uint_eq(w.sm->queued, 256);
	while (!g_open_full(0, 0, 0, 0, 0)) /* each of them has an answer */
		;
	ck_assert_uint_eq(w.sm->queued, VMBUS_SM_MAX_QUEUE);
	ck_assert_int_eq(w_try_offer(5000, &ch), -EAGAIN);
	/* Requests without an answer still work, and so does taking devices away. */
	ck_assert_int_eq(g_relid(VMBUS_MSG_RELID_RELEASED, 1), 0);
	TAILQ_FOREACH(ch, &w.sm->chans, link)
	vmbus_sm_revoke(w.sm, ch);
	w_pump();
	ck_assert_uint_eq(w.sm->queued, VMBUS_SM_MAX_QUEUE + 256);
	w.deaf = false;
	w_forget();
	w_pump();
	for (uint32_t i = 0; i < w.nr_sent; i++)
		offered += w.sent[i].msg.hdr.type == VMBUS_MSG_OFFERCHANNEL;
	ck_assert_uint_eq(offered, 256);
	ck_assert_int_eq(g_open_full(0, 0, 0, 0, 0), 0);
	w_down();
}
END_TEST

/* What cannot be offered for want of room is offered when there is some. */
START_TEST(v44_offers_wait_for_room)
{
	up_open();
	w.deaf = true;
	while (!g_open_full(0, 0, 0, 0, 0))
		;
	w_offer_sub(chan, 1);
	ck_assert_uint_eq(w.sm->nr_waiting, 1);
	w.deaf = false;
	w_forget();
	w_pump();
	ck_assert_uint_eq(w.sm->nr_waiting, 0);
	ck_assert_uint_eq(w.sent[w.nr_sent - 1].msg.hdr.type, VMBUS_MSG_OFFERCHANNEL);
	w_down();
}
END_TEST

START_TEST(v44_request_offers_without_room)
{
	w_up();
	for (uint32_t i = 0; i < 100; i++)
		w_offer(i);
	g_contact(VMBUS_V5_3);
	w.deaf = true;
	for (uint32_t i = 0; i < VMBUS_SM_MAX_QUEUE - 100; i++)
		ck_assert_int_eq(g_gpadl(9, 9), 0);
	ck_assert_int_eq(g_header_only(VMBUS_MSG_REQUESTOFFERS), -EAGAIN);
	ck_assert(!w.sm->offers_sent);
	w.deaf = false;
	w_pump();
	w_forget();
	ck_assert_int_eq(g_header_only(VMBUS_MSG_REQUESTOFFERS), 0);
	ck_assert_uint_eq(w.nr_sent, 101);
	w_down();
}
END_TEST

/* Each step of an open and a close, with the guest reset at it. */
START_TEST(v46_v47_reset_and_query_anywhere)
{
	for (uint32_t stop = 0; stop < 12; stop++) {
		struct vmbus_sm_stats st;
		struct vmbus_sm_info info;
		uint32_t step = 0;

		w_up();
		w.hold_map = w.hold_device = true;
		chan = w_offer(0);
#define STEP(what)                                                                                 \
	do {                                                                                       \
		vmbus_sm_stats(w.sm, &st);                                                         \
		ck_assert_ptr_nonnull(st.state);                                                   \
		vmbus_sm_chan_info(vmbus_sm_next_chan(w.sm, NULL), &info);                         \
		ck_assert_ptr_nonnull(info.state);                                                 \
		ck_assert_str_eq(info.name, "scsi");                                               \
		if (step++ < stop)                                                                 \
			what;                                                                      \
	} while (0)
		STEP(w_connect(VMBUS_V5_3));
		STEP(g_gpadl_header(1, 10, 40, 26));
		STEP(g_gpadl_body(10, 14));
		STEP(w_answer(VMBUS_SM_MAP, 0));
		STEP(g_open(1, 10));
		STEP(w_answer(VMBUS_SM_OPEN, 0));
		STEP(g_modify(1, 2));
		STEP(g_relid(VMBUS_MSG_CLOSECHANNEL, 1));
		STEP(g_teardown(1, 10));
		STEP(g_open(1, 10));
		STEP(w_answer(VMBUS_SM_CLOSE, 0));
		STEP(w_answer(VMBUS_SM_UNMAP, 0));
		w_reset();
		w_answer_all();
		ck_assert_uint_eq(w.reset_done, 1);
		ck_assert_int_eq(w.sm->state, CONN_DISCONNECTED);
		w_connect(VMBUS_V5_3); /* U9: and again */
		w.hold_map = w.hold_device = false;
		g_gpadl(1, 10);
		g_open(1, 10);
		ck_assert_int_eq(chan->state, CH_OPEN);
		w_down();
	}
}
END_TEST

/* ---- limits and small print -------------------------------------------------------------------
 */

START_TEST(all_relids)
{
	struct vmbus_sm_chan *ch;

	w_up();
	w_connect(VMBUS_V5_3);
	for (uint32_t i = 0; i < VMBUS_MAX_RELID; i++) {
		w_offer(i);
		if (i % 256 == 0)
			w_forget();
	}
	ck_assert_int_eq(w_try_offer(9999, &ch), -ENOSPC);
	TAILQ_FOREACH(ch, &w.sm->chans, link)
	ck_assert_uint_ne(ch->relid, 0);
	w_down();
}
END_TEST

START_TEST(lowest_free_relid)
{
	struct vmbus_sm_chan *ch[4];

	w_up();
	w_connect(VMBUS_V5_3);
	for (uint32_t i = 0; i < 4; i++)
		ch[i] = w_offer(i);
	w_revoke(ch[1]);
	g_relid(VMBUS_MSG_RELID_RELEASED, 2);
	w_forget();
	w_offer(9);
	ck_assert_str_eq(w_said(), "offer 2");
	w_down();
}
END_TEST

/* A guest that refuses a device has it offered again only on the next connection. */
START_TEST(released_by_choice)
{
	up();
	g_relid(VMBUS_MSG_RELID_RELEASED, 1);
	w_forget();
	w_offer(1);
	ck_assert_str_eq(w_said(), "offer 1");
	ck_assert_uint_eq(chan->relid, 0);
	w_connect(VMBUS_V5_3);
	ck_assert_uint_eq(chan->relid, 1);
	w_down();
}
END_TEST

START_TEST(reopen_is_checked_when_its_turn_comes)
{
	up_open();
	w.hold_device = true;
	g_relid(VMBUS_MSG_CLOSECHANNEL, 1);
	g_open_full(1, 42, 10, 0, 4);
	g_teardown(1, 10); /* so the stored open has no GPADL any more */
	w_said();
	w_answer(VMBUS_SM_CLOSE, 0);
	ck_assert_str_eq(w_said(), "unmap!, result 1 42 fail, torndown 10");
	ck_assert_int_eq(chan->state, CH_OFFERED);
	w_down();
}
END_TEST

START_TEST(offer_fields)
{
	struct vmbus_sm_offer o = { .type = w_scsi, .flags = VMBUS_OFFER_ENUMERATE, .name = NULL };
	const union vmbus_msg *m;
	struct vmbus_sm_chan *ch;

	w_up();
	memset(o.user, 0x5a, sizeof(o.user));
	ck_assert_int_eq(vmbus_sm_offer(w.sm, &o, &w, &ch), 0);
	ck_assert_int_eq(vmbus_sm_offer(w.sm, &o, &w, &ch), -EEXIST);
	g_contact(VMBUS_V5_3);
	g_header_only(VMBUS_MSG_REQUESTOFFERS);
	w_take(VMBUS_MSG_VERSION_RESPONSE);
	ck_assert_uint_eq(w.sent[w.taken].len, 196);
	m = w_take(VMBUS_MSG_OFFERCHANNEL);
	ck_assert(guid_equal(&m->offer.type, &w_scsi));
	ck_assert_uint_eq(m->offer.flags, VMBUS_OFFER_ENUMERATE);
	ck_assert_uint_eq(m->offer.relid, 1);
	ck_assert_uint_eq(m->offer.connection_id, 0x2001);
	ck_assert_uint_eq(m->offer.monitor_id, 0xff);
	ck_assert_uint_eq(m->offer.monitor_allocated, 0);
	ck_assert_uint_eq(m->offer.dedicated_interrupt, 1);
	ck_assert_mem_eq(m->offer.user, o.user, sizeof(o.user));
	w_down();
}
END_TEST

VMBUS_MAIN("vmbus/server_sm_cases", v01_v11_before_contact, v02_too_short, v03_too_long,
	   v05_versions, v05_configured_maximum, version_response_field,
	   v06_contact_with_everything_open, v07_feature_flags, v08_pages, v09_h19_target_fields,
	   message_target_vp, v10_offers_twice, v12_open_of_unknown_relid, v13_open_twice,
	   v14_open_with_a_bad_gpadl, v15_v16_bad_rings, v19_ring_too_large, v20_user_data,
	   v21_v24_close_and_release_out_of_place, v22_v35_close_with_io_in_flight,
	   v23_open_and_close_for_ever, v25_v26_unload, v27_lying_headers, v28_v29_lying_ranges,
	   v30_ids, v31_bodies, v32_half_finished_gpadls, v32_finished_gpadls,
	   v33_pages_that_are_not_ram, v34_teardowns, v36_gpadl_on_a_rescinded_channel,
	   v36_gpadl_in_progress_at_rescind, v37_modify, v37_modify_before_5_3,
	   v37_interrupts_disabled_at_open, h19_open_on_a_vp_that_is_not, v38_tl_connect_flood,
	   v40_sub_channels, v40_beside_a_predecessor_that_is_not_released,
	   v40_sub_channels_end_with_the_connection, v41_removal, v41_again_before_release,
	   v41_released_before_the_device_closed, v42_open_after_rescind,
	   v43_contact_and_unload_flood, v44_deaf_guest, v44_offers_wait_for_room,
	   v44_request_offers_without_room, v46_v47_reset_and_query_anywhere, all_relids,
	   lowest_free_relid, released_by_choice, reopen_is_checked_when_its_turn_comes,
	   offer_fields)
