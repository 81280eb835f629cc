/* SPDX-License-Identifier: MIT */
/*
 * NVSP as the adapter speaks it: versions, sizes, order, buffers, sub-channels, revokes and closes,
 * byte for byte where there are bytes to compare with (spec: netvsc). Names carry the ids of the
 * hostile cases where one is covered.
 */
#include "tests/ut/vsp/net_rig.h"

/* The payload as an NVSP message. */
static struct nvsp_message payload(const struct mock_net_packet *p)
{
	struct nvsp_message m = { 0 };

	memcpy(&m, p->payload, p->len < sizeof(m) ? p->len : sizeof(m));
	return m;
}

/* Sends golden bytes of a message and takes the one packet that comes back. */
static struct mock_net_packet exchange(uint64_t id, const char *text)
{
	struct mock_net_packet p;
	uint8_t bytes[64];
	uint32_t n = vector_bytes(text, bytes, sizeof(bytes));

	mock_net_send_raw(&g, 0, VMPKT_FLAG_COMPLETION_REQUESTED, id, bytes, n);
	ck_assert(mock_net_recv(&g, 0, &p));
	return p;
}

/* The packet E1 and the like: its payload goes out again as its header says. */
static void send_packet(const char *text)
{
	uint8_t bytes[256];
	uint32_t n = vector_bytes(text, bytes, sizeof(bytes));
	uint16_t flags;
	uint64_t id;

	memcpy(&flags, bytes + 6, sizeof(flags));
	memcpy(&id, bytes + 8, sizeof(id));
	mock_net_send_raw(&g, 0, flags, id, bytes + 16, n - 16);
}

static void assert_nothing_comes(uint16_t sub)
{
	struct mock_net_packet p;

	ck_assert(!mock_net_recv(&g, sub, &p));
}

/* The adapter stays silent until it is opened again, and works then. */
static void assert_failed_until_reopened(void)
{
	struct nvsp_message m = { .type = NVSP_INIT, .init = { NVSP_V5, NVSP_V5 } };

	assert_state("failed");
	ck_assert_ptr_nonnull(rig_stats().failed);
	mock_net_send(&g, 0, true, &m);
	assert_nothing_comes(0);
	fake_bus_close(bus, 0, 0);
	ck_assert(fake_bus_closed(bus, 0, 0));
	mock_net_reopen(&g);
	mock_net_negotiate(&g, NVSP_V6_1, 1500, MOCK_NET_CAPS);
	assert_state("ready");
}

/* ---- versions ------------------------------------------------------------------------- */

static const struct {
	uint32_t version, size;
} versions[] = {
	{ NVSP_V1, 28 }, { NVSP_V2, 28 }, { NVSP_V4, 28 },
	{ NVSP_V5, 28 }, { NVSP_V6, 28 }, { NVSP_V6_1, 40 },
};

START_TEST(golden_handshake)
{
	struct mock_net_packet p;

	send_packet(E1_INIT);
	ck_assert(mock_net_recv(&g, 0, &p));
	assert_packet(&p, E2_INIT_ACCEPTED);
	send_packet(O1_NDIS_CONFIG);
	assert_nothing_comes(0); /* it did not ask */
	assert_state("config");
	ck_assert_uint_eq(nic->caps, 0xac);
	ck_assert_uint_eq(nic->mtu, 1500);
}
END_TEST

START_TEST(every_version)
{
	uint32_t v = versions[_i].version, i;
	struct mock_net_packet p;
	char want[] = "0b 00 02 00 06 00 00 00 01 00 00 00 00 00 00 00 02 00 00 00 ff ff ff ff"
		      " 22 00 00 00 01 00 00 00 00*16";
	struct nvsp_message m = { .type = NVSP_INIT, .init = { v, v } };

	mock_net_send(&g, 0, true, &m);
	ck_assert(mock_net_recv(&g, 0, &p));
	if (v == NVSP_V1)
		ck_assert_uint_eq(payload(&p).init_complete.deprecated, 2);
	else if (v < NVSP_V6_1)
		assert_packet(&p, want);
	g.version = v;
	mock_net_config(&g, 1500, v >= NVSP_V6_1 ? 0xac : v >= NVSP_V5 ? 0x2c : 0x08);
	assert_nothing_comes(0);
	ck_assert_uint_eq(mock_net_rx_buffer(&g, 256), NVSP_STATUS_SUCCESS);
	ck_assert_uint_eq(g.rx_size, 1806);
	ck_assert_uint_eq(g.rx_count, 256 * 4096 / 1806);
	ck_assert_uint_eq(mock_net_tx_buffer(&g, 255), NVSP_STATUS_SUCCESS);
	ck_assert_uint_eq(g.tx_size, 6144);
	ck_assert_uint_eq(rig_stats().tx_sections, 170);
	mock_net_initialize(&g);
	mock_net_filter(&g, 0x0d);
	for (i = 0; i < 3; i++) {
		ck_assert_uint_eq(rig_send(0), NVSP_STATUS_SUCCESS);
		ck_assert_int_eq(rig_deliver(60), VSW_FORWARDED);
		ck_assert(mock_net_recv_data(&g, 0, &p));
		ck_assert_uint_eq(p.len, (versions[_i].size + 7) & ~7u);
		mock_net_complete(&g, 0, p.id, NVSP_STATUS_SUCCESS);
	}
	ck_assert_uint_eq(peer_frames, 3);
	ck_assert_uint_eq(rig_stats().version, v);
}
END_TEST

START_TEST(version_1_answer_is_golden)
{
	struct nvsp_message m = { .type = NVSP_INIT, .init = { NVSP_V1, NVSP_V1 } }, a;
	uint8_t want[28];

	vector_bytes(E4_INIT_VERSION_1, want, sizeof(want));
	ck_assert_uint_eq(mock_net_call(&g, &m, &a), 32); /* 28, and the ring's rounding */
	ck_assert_mem_eq(&a, want, sizeof(want));
}
END_TEST

/* No answer with another version; whatever is tried next starts afresh. */
START_TEST(n02_versions_nobody_has)
{
	static const uint32_t wrong[][2] = {
		{ 0, 0 },
		{ 0xffff, 0xffff },
		{ 0xffffffff, 0xffffffff },
		{ 1, 1 },
		{ 0x00030000, 0x00030000 },
		{ 0x00070000, 0x00070000 },
		{ NVSP_V6_1, NVSP_V5 }, /* at least more than at most */
	};
	struct mock_net_packet p;
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct nvsp_message m = { .type = NVSP_INIT, .init = { wrong[i][0], wrong[i][1] } };

		g.next_id = 1;
		mock_net_send(&g, 0, true, &m);
		ck_assert(mock_net_recv(&g, 0, &p));
		assert_packet(&p, E3_INIT_REFUSED);
		assert_state("init");
	}
	ck_assert(mock_net_init(&g, NVSP_V6_1));
}
END_TEST

START_TEST(an_older_host_refuses_newer_versions)
{
	struct netvsp_config cfg = { .max_version = NVSP_V5 };

	rig_setup_with(&cfg);
	mock_net_open(&g, bus, 0);
	ck_assert(!mock_net_init(&g, NVSP_V6_1));
	ck_assert(!mock_net_init(&g, NVSP_V6));
	ck_assert(mock_net_init(&g, NVSP_V5));
	rig_teardown();
}
END_TEST

/* ---- order --------------------------------------------------------------------------------- */

START_TEST(n01_anything_before_init)
{
	static const uint32_t types[] = { 0, 2, 100, 101, 104, 103, 107, 125, 129, 131, 133, 200 };
	struct nvsp_message m = { .type = types[_i] };
	struct mock_net_packet p;

	mock_net_send(&g, 0, true, &m);
	while (mock_net_recv(&g, 0, &p)) {
		ck_assert_uint_eq(p.type, VMPKT_COMPLETION);
		if (p.len)
			ck_assert_uint_ne(payload(&p).receive_buffer_complete.status,
					  NVSP_STATUS_SUCCESS);
	}
	assert_failed_until_reopened();
}
END_TEST

START_TEST(n01_init_twice)
{
	struct nvsp_message m = { .type = NVSP_INIT, .init = { NVSP_V5, NVSP_V5 } }, a;

	ck_assert(mock_net_init(&g, NVSP_V6_1));
	mock_net_call(&g, &m, &a);
	ck_assert_uint_eq(a.type, NVSP_INIT_COMPLETE);
	ck_assert_uint_ne(a.init_complete.status, NVSP_STATUS_SUCCESS);
	assert_failed_until_reopened();
}
END_TEST

START_TEST(n01_unknown_and_roots_own_types_are_refused_and_nothing_happens)
{
	static const uint32_t types[] = { 0,   2,   102, 105, 108, 109, 119, 120, 123,
					  126, 127, 128, 132, 134, 136, 137, 200, 0xffffffff };
	struct nvsp_message m = { .type = types[_i] }, a;
	uint64_t ignored;

	mock_net_negotiate(&g, NVSP_V6_1, 1500, MOCK_NET_CAPS);
	ignored = rig_stats().ignored;
	ck_assert_uint_eq(mock_net_call(&g, &m, &a), 0); /* an empty completion */
	mock_net_send(&g, 0, false, &m);
	assert_nothing_comes(0);
	ck_assert_uint_eq(rig_stats().ignored, ignored + 2);
	assert_state("ready");
}
END_TEST

/* A message of a later version than the agreed one is an unknown one. */
START_TEST(messages_of_later_versions)
{
	struct nvsp_message m = { .type = NVSP_SUBCHANNEL }, a;

	mock_net_negotiate(&g, NVSP_V4, 1500, 8);
	mock_net_initialize(&g);
	m.subchannel.operation = 1;
	m.subchannel.count = 1;
	ck_assert_uint_eq(mock_net_call(&g, &m, &a), 0);
	ck_assert_uint_eq(fake_bus_subchannels(bus, 0), 0);
	m = (struct nvsp_message){ .type = NVSP_OID_QUERY_EX };
	ck_assert_uint_eq(mock_net_call(&g, &m, &a), 0);
	assert_state("operational");
}
END_TEST

START_TEST(version_1_has_no_ndis_config)
{
	struct nvsp_message m = { .type = NVSP_SEND_NDIS_CONFIG }, a;

	ck_assert(mock_net_init(&g, NVSP_V1));
	m.ndis_config.mtu = 9014;
	ck_assert_uint_eq(mock_net_call(&g, &m, &a), 0);
	ck_assert_uint_eq(nic->mtu, 1500);
	mock_net_config(&g, 1500, 0);
	ck_assert_uint_eq(mock_net_rx_buffer(&g, 64), NVSP_STATUS_SUCCESS);
	assert_state("ready");
}
END_TEST

/* OpenBSD and UEFI ask for an answer to these two, and get an empty one. */
START_TEST(config_and_version_answer_only_who_asks)
{
	struct nvsp_message m = { .type = NVSP_SEND_NDIS_VERSION }, a;

	ck_assert(mock_net_init(&g, NVSP_V5));
	m.ndis_version.major = 6;
	ck_assert_uint_eq(mock_net_call(&g, &m, &a), 0);
	m = (struct nvsp_message){ .type = NVSP_SEND_NDIS_CONFIG };
	m.ndis_config.mtu = 1514;
	ck_assert_uint_eq(mock_net_call(&g, &m, &a), 0);
	ck_assert_uint_eq(mock_net_rx_buffer(&g, 64), NVSP_STATUS_SUCCESS);
	assert_state("ready"); /* the send buffer is optional */
	mock_net_initialize(&g);
	assert_state("operational");
}
END_TEST

START_TEST(n01_setup_messages_twice)
{
	static const uint32_t types[] = { NVSP_SEND_NDIS_VERSION, NVSP_SEND_NDIS_CONFIG };
	struct nvsp_message m = { .type = types[_i] };

	ck_assert(mock_net_init(&g, NVSP_V5));
	m.ndis_config.mtu = 1514;
	mock_net_send(&g, 0, false, &m);
	mock_net_run(&g);
	assert_state("config");
	mock_net_send(&g, 0, false, &m);
	mock_net_run(&g);
	assert_failed_until_reopened();
}
END_TEST

START_TEST(n01_receive_buffer_before_the_mtu_is_known)
{
	ck_assert(mock_net_init(&g, NVSP_V5));
	ck_assert_uint_eq(mock_net_rx_buffer(&g, 64), NVSP_STATUS_FAIL);
	assert_failed_until_reopened();
}
END_TEST

START_TEST(n01_rndis_before_it_may_begin)
{
	uint8_t msg[24] = { 2, 0, 0, 0, 24 };
	struct mock_net_packet p;

	ck_assert(mock_net_init(&g, NVSP_V5));
	mock_net_config(&g, 1500, 0);
	mock_net_control_send(&g, 0, msg, sizeof(msg));
	ck_assert(mock_net_recv(&g, 0, &p));
	ck_assert_uint_eq(payload(&p).type, NVSP_SEND_RNDIS_PACKET_COMPLETE);
	ck_assert_uint_eq(payload(&p).rndis_complete.status, NVSP_STATUS_FAIL);
	assert_failed_until_reopened();
}
END_TEST

/* Shorter than the fields: refused if an answer was asked for; the negotiation goes on. */
START_TEST(n03_short_messages)
{
	uint8_t zero[8] = { 0 };
	struct nvsp_message m = { .type = NVSP_SEND_RECEIVE_BUFFER };
	struct mock_net_packet p;

	ck_assert(mock_net_init(&g, NVSP_V6_1));
	mock_net_send_raw(&g, 0, VMPKT_FLAG_COMPLETION_REQUESTED, 7, &m, 8);
	ck_assert(mock_net_recv(&g, 0, &p));
	ck_assert_uint_eq(payload(&p).type, NVSP_SEND_RECEIVE_BUFFER_COMPLETE);
	ck_assert_uint_eq(payload(&p).receive_buffer_complete.status, NVSP_STATUS_FAIL);
	ck_assert_uint_eq(p.len, 40);
	m.type = NVSP_SEND_NDIS_CONFIG;
	mock_net_send_raw(&g, 0, 0, 7, &m, 12); /* its capabilities are not all there */
	mock_net_send_raw(&g, 0, 0, 7, zero, 0);
	assert_nothing_comes(0);
	mock_net_send_raw(&g, 0, VMPKT_FLAG_COMPLETION_REQUESTED, 9, zero, 0);
	ck_assert(mock_net_recv(&g, 0, &p));
	ck_assert(p.id == 9 && !p.len);
	assert_state("config");
	ck_assert(!nic->got_config);
}
END_TEST

/* 28 bytes (UEFI) and 32 (the BSDs) will do, in every version; more is not looked at. */
START_TEST(n03_old_and_long_request_sizes)
{
	static const uint32_t len[] = { 28, 32, 40, 64 };

	g.request_len = len[_i] < 40 ? len[_i] : 40;
	mock_net_negotiate(&g, NVSP_V6_1, 1500, MOCK_NET_CAPS);
	mock_net_initialize(&g);
	assert_state("operational");
}
END_TEST

/* In each state each message: the state after it, and that it was answered. */
static const char state_letters[] = "icrohvf";
static const char *const state_of[] = { "init",	  "config",  "ready", "operational",
					"halted", "revoked", "failed" };
static const struct {
	uint32_t type;
	const char *then; /* by the state before */
} cells[] = {
	{ NVSP_INIT, "cffffvf" },
	{ NVSP_SEND_NDIS_VERSION, "fcfffvf" },
	{ NVSP_SEND_NDIS_CONFIG, "fcfffvf" },
	{ NVSP_SEND_RECEIVE_BUFFER, "fffffvf" }, /* in "config": before the MTU is known */
	{ NVSP_SEND_SEND_BUFFER, "fcfffvf" },
	{ NVSP_REVOKE_RECEIVE_BUFFER, "fvvvvvf" },
	{ NVSP_REVOKE_SEND_BUFFER, "fvvvvvf" },
	{ NVSP_SEND_RNDIS_PACKET, "ffrohvf" },
	{ NVSP_SWITCH_DATA_PATH, "fcrohvf" },
	{ NVSP_UPLINK_CONNECT_STATE, "fcrohvf" },
	{ NVSP_OID_QUERY_EX, "fcrohvf" },
	{ NVSP_SUBCHANNEL, "fcrohvf" },
	{ NVSP_PD_API, "fcrohvf" },
	{ 200, "fcrohvf" },
};

/* Brings the adapter into state @i. */
static void go_to(uint32_t i)
{
	uint32_t halt[3] = { RNDIS_HALT, 12, 1 }, len;
	uint8_t answer[RNDIS_CONTROL_MAX];

	if (i >= 1 && i <= 5)
		ck_assert(mock_net_init(&g, NVSP_V6_1));
	if (i >= 2 && i <= 5) {
		mock_net_config(&g, 1500, MOCK_NET_CAPS);
		ck_assert_uint_eq(mock_net_rx_buffer(&g, 64), NVSP_STATUS_SUCCESS);
		ck_assert_uint_eq(mock_net_tx_buffer(&g, 2), NVSP_STATUS_SUCCESS);
	}
	if (i >= 3 && i <= 5)
		mock_net_initialize(&g);
	if (i == 4)
		mock_net_control(&g, halt, sizeof(halt), answer, &len);
	if (i == 5)
		send_packet(O8_REVOKE_RX);
	if (i == 6)
		send_packet(O8_REVOKE_TX); /* before INIT */
	mock_net_run(&g);
	assert_state(state_of[i]);
}

START_TEST(table_cell_by_cell)
{
	uint32_t n = (uint32_t)_i / 7, from = (uint32_t)_i % 7, got = 0;
	struct nvsp_message m = { .type = cells[n].type };
	const char *then;
	struct mock_net_packet p;
	uint64_t id;

	go_to(from);
	m.rndis.section = NVSP_NO_SECTION;
	if (m.type == NVSP_INIT)
		m.init = (struct nvsp_init){ NVSP_V5, NVSP_V5 };
	id = mock_net_send(&g, 0, true, &m);
	while (mock_net_recv(&g, 0, &p))
		got += p.type == VMPKT_COMPLETION && p.id == id;
	then = strchr(state_letters, cells[n].then[from]);
	ck_assert_ptr_nonnull(then);
	assert_state(state_of[then - state_letters]);
	/* Who has failed gets no answers; a message nobody knows fails without one. */
	ck_assert_uint_eq(got, from != 6 && !(from == 0 && m.type == 200));
}
END_TEST

/* ---- the MTU --------------------------------------------------------------------------------- */

START_TEST(n45_mtu_is_clamped_to_the_ports)
{
	static const struct {
		uint32_t max, wish, got;
	} t[] = { { 0, 1500, 1500 },	   { 0, 9000, 9000 },	    { 0, 20000, 9000 },
		  { 0, 0xfffffff1, 9000 }, { 0, 0, 1500 },	    { 0, 68, 1500 },
		  { 1400, 1500, 1400 },	   { 65535, 65535, 65535 }, { 0, 4000, 4000 } };
	struct netvsp_config cfg = { .max_mtu = t[_i].max };
	uint32_t frame = (t[_i].got < 1500 ? 1500 : t[_i].got) + 14;

	rig_setup_with(&cfg);
	mock_net_open(&g, bus, 0);
	mock_net_negotiate(&g, NVSP_V6_1, t[_i].wish, 0);
	mock_net_initialize(&g);
	ck_assert_uint_eq(mock_net_query_u32(&g, OID_GEN_MAXIMUM_FRAME_SIZE), t[_i].got);
	ck_assert_uint_eq(rig_stats().mtu, t[_i].got);
	ck_assert_uint_eq(g.rx_size, 256 + frame + 36);
	rig_teardown();
}
END_TEST

/* ---- buffers ------------------------------------------------------------------------------------
 */

START_TEST(golden_buffers)
{
	struct mock_net_packet p;
	uint8_t want[40];
	uint64_t gpa = fake_bus_alloc(bus, 4096);

	fake_bus_gpadl_add(bus, 0, 0xe1e12, gpa, 4096);
	fake_bus_gpadl_add(bus, 0, 0xe1e13, fake_bus_alloc(bus, 255), 255);
	ck_assert(mock_net_init(&g, NVSP_V6_1));
	mock_net_config(&g, 1500, 0xac);
	p = exchange(2, E7_RX_BUFFER);
	ck_assert(p.type == VMPKT_COMPLETION && p.id == 2);
	vector_bytes(E8_RX_BUFFER_COMPLETE, want, sizeof(want));
	ck_assert_mem_eq(p.payload, want, sizeof(want));
	p = exchange(3, E9_TX_BUFFER);
	ck_assert(p.type == VMPKT_COMPLETION && p.id == 3 && p.len == 40);
	vector_bytes(E10_TX_BUFFER_COMPLETE, want, sizeof(want));
	ck_assert_mem_eq(p.payload, want, sizeof(want));
	ck_assert_uint_eq(rig_stats().rx_sections, 9289);
	ck_assert_uint_eq(rig_stats().rx_usable, 9289 - NVSP_RX_CONTROL);
	ck_assert_uint_eq(rig_stats().rx_free, rig_stats().rx_usable);
	ck_assert_uint_eq(nic->rx.id, 0xcafe);
}
END_TEST

/* Refused, and the guest may try again with a better one. */
START_TEST(n04_buffers_that_are_none)
{
	struct nvsp_message m = { .type = NVSP_SEND_RECEIVE_BUFFER }, a;
	uint64_t pfn[2] = { 1, 2 };

	ck_assert(mock_net_init(&g, NVSP_V6_1));
	mock_net_config(&g, 1500, 0);
	m.send_buffer.gpadl = 0xdead;
	mock_net_call(&g, &m, &a);
	ck_assert_uint_eq(a.receive_buffer_complete.status, NVSP_STATUS_FAIL);
	ck_assert_uint_eq(a.receive_buffer_complete.sections, 0);
	m.type = NVSP_SEND_SEND_BUFFER;
	mock_net_call(&g, &m, &a);
	ck_assert_uint_eq(a.send_buffer_complete.status, NVSP_STATUS_FAIL);
	fake_bus_gpadl_add_list(bus, 0, 0x77, pfn, 1); /* less than a section */
	m.send_buffer.gpadl = 0x77;
	mock_net_call(&g, &m, &a);
	ck_assert_uint_eq(a.send_buffer_complete.status, NVSP_STATUS_FAIL);
	assert_state("config");
	ck_assert_uint_eq(mock_net_rx_buffer(&g, 64), NVSP_STATUS_SUCCESS);
	/* One GPADL is not two buffers. */
	m.send_buffer.gpadl = g.rx_gpadl;
	mock_net_call(&g, &m, &a);
	ck_assert_uint_eq(a.send_buffer_complete.status, NVSP_STATUS_FAIL);
	ck_assert_uint_eq(mock_net_tx_buffer(&g, 2), NVSP_STATUS_SUCCESS);
	ck_assert_uint_eq(rig_stats().tx_sections, 1);
}
END_TEST

START_TEST(n05_receive_buffer_without_room_beyond_control)
{
	ck_assert(mock_net_init(&g, NVSP_V6_1));
	mock_net_config(&g, 1500, 0);
	ck_assert_uint_eq(mock_net_rx_buffer(&g, 1), NVSP_STATUS_FAIL);
	ck_assert_uint_eq(mock_net_rx_buffer(&g, 7), NVSP_STATUS_FAIL);	   /* 15 pieces */
	ck_assert_uint_eq(mock_net_rx_buffer(&g, 8), NVSP_STATUS_SUCCESS); /* 18 */
	ck_assert_uint_eq(g.rx_count, 18);
	mock_net_initialize(&g);
	/* Two pieces for frames: enough for two channels, not for three. */
	ck_assert_uint_eq(mock_net_subchannels(&g, 2), 0);
	ck_assert_uint_eq(mock_net_subchannels(&g, 1), 1);
}
END_TEST

START_TEST(n06_buffers_twice)
{
	struct nvsp_message m = { .type = _i ? NVSP_SEND_SEND_BUFFER : NVSP_SEND_RECEIVE_BUFFER },
			    a;

	mock_net_negotiate(&g, NVSP_V6_1, 1500, 0);
	fake_bus_gpadl_add(bus, 0, 0x99, fake_bus_alloc(bus, 64), 64);
	m.send_buffer.gpadl = 0x99;
	mock_net_call(&g, &m, &a);
	ck_assert_uint_eq(a.send_buffer_complete.status, NVSP_STATUS_FAIL);
	/* Whoever broke the protocol gets its memory back all the same. */
	ck_assert(fake_bus_gpadl_teardown(bus, 0, g.rx_gpadl));
	assert_failed_until_reopened();
}
END_TEST

/* ---- revoke, teardown, close
 * --------------------------------------------------------------------- */

/* In the order of Linux: HALT, both REVOKEs, close, teardowns. Nothing is written after them. */
START_TEST(n07_revoke)
{
	uint8_t halt[12] = { 3, 0, 0, 0, 12 }, answer[RNDIS_CONTROL_MAX];
	struct mock_net_packet p;
	uint32_t len;

	ck_assert_int_eq(rig_deliver(60), VSW_FORWARDED);
	ck_assert(mock_net_recv_data(&g, 0, &p)); /* stays with the guest */
	ck_assert_uint_eq(mock_net_control(&g, halt, sizeof(halt), answer, &len),
			  NVSP_STATUS_SUCCESS);
	ck_assert_uint_eq(len, 0); /* the completion was all */
	assert_state("halted");
	ck_assert_int_ne(rig_deliver(60), VSW_FORWARDED);
	send_packet(O8_REVOKE_RX);
	mock_net_run(&g);
	assert_state("revoked");
	memset(fake_bus_ptr(bus, g.rx_gpa), 0x5a, g.rx_pages * 4096);
	ck_assert_int_ne(rig_deliver(60), VSW_FORWARDED);
	send_packet(O8_REVOKE_TX);
	assert_nothing_comes(0);
	ck_assert_uint_eq(fake_bus_counts(bus)->unmaps, 2);
	/* A completion for what is no more, and requests, are taken out of the ring. */
	mock_net_complete(&g, 0, p.id, NVSP_STATUS_SUCCESS);
	ck_assert_uint_eq(rig_send(0), NVSP_STATUS_FAIL);
	assert_state("revoked");
	fake_bus_close(bus, 0, 0);
	ck_assert(fake_bus_closed(bus, 0, 0));
	assert_state("closed");
	ck_assert(fake_bus_gpadl_teardown(bus, 0, g.rx_gpadl));
	ck_assert(fake_bus_gpadl_teardown(bus, 0, g.tx_gpadl));
}
END_TEST

START_TEST(n08_another_buffer_after_a_revoke_is_refused)
{
	send_packet(O8_REVOKE_RX);
	mock_net_run(&g);
	ck_assert_uint_eq(mock_net_rx_buffer(&g, 64), NVSP_STATUS_FAIL);
	assert_state("revoked");
	fake_bus_close(bus, 0, 0);
	mock_net_reopen(&g);
	mock_net_negotiate(&g, NVSP_V5, 4000, 0);
	assert_state("ready");
}
END_TEST

/* Nothing of ours is in it, and nothing is ever read back. */
START_TEST(n37_guest_writes_all_over_the_receive_buffer)
{
	struct mock_net_packet p;
	uint32_t i, free = rig_stats().rx_free;

	for (i = 0; i < 50; i++) {
		ck_assert_int_eq(rig_deliver(1000), VSW_FORWARDED);
		memset(fake_bus_ptr(bus, g.rx_gpa), 0xff, g.rx_pages * 4096);
		ck_assert(mock_net_query_u32(&g, OID_GEN_MAXIMUM_FRAME_SIZE) == 1500);
		memset(fake_bus_ptr(bus, g.rx_gpa), 0, g.rx_pages * 4096);
	}
	for (i = 0; i < 50; i++) {
		ck_assert(mock_net_recv(&g, 0, &p));
		ck_assert(p.type == VMPKT_XFER_PAGES && p.id >= NVSP_RX_CONTROL);
		mock_net_complete(&g, 0, p.id, NVSP_STATUS_SUCCESS);
	}
	mock_net_run(&g);
	ck_assert_uint_eq(rig_stats().rx_free, free);
}
END_TEST

/* Without a REVOKE, or before it was read: the teardown alone ends all use of the memory. */
START_TEST(n09_gpadl_torn_down_while_open)
{
	struct mock_net_packet p;

	ck_assert_int_eq(rig_deliver(60), VSW_FORWARDED);
	ck_assert(mock_net_recv_data(&g, 0, &p));
	ck_assert(fake_bus_gpadl_teardown(bus, 0, _i ? g.tx_gpadl : g.rx_gpadl));
	assert_state("revoked");
	memset(fake_bus_ptr(bus, g.rx_gpa), 0x5a, 4096);
	ck_assert_int_ne(rig_deliver(60), VSW_FORWARDED);
	ck_assert_uint_eq(*(uint8_t *)fake_bus_ptr(bus, g.rx_gpa), 0x5a);
	ck_assert(fake_bus_gpadl_teardown(bus, 0, _i ? g.rx_gpadl : g.tx_gpadl));
	send_packet(O8_REVOKE_RX); /* which was on its way */
	send_packet(O8_REVOKE_TX);
	mock_net_run(&g);
	assert_state("revoked");
	fake_bus_close(bus, 0, 0);
	ck_assert(fake_bus_closed(bus, 0, 0));
}
END_TEST

/* A crash, kexec, or the firmware that hands over: nothing was said, everything is let go. */
START_TEST(close_without_a_word)
{
	uint32_t i;

	for (i = 0; i < 5; i++) {
		ck_assert_uint_eq(mock_net_subchannels(&g, 3), 3);
		ck_assert_int_eq(rig_deliver(60), VSW_FORWARDED); /* not taken out */
		fake_bus_close(bus, 0, 2);
		ck_assert(fake_bus_closed(bus, 0, 2));
		fake_bus_close(bus, 0, 0);
		ck_assert(fake_bus_closed(bus, 0, 0));
		fake_bus_close(bus, 0, 1);
		fake_bus_close(bus, 0, 3);
		assert_state("closed");
		ck_assert_uint_eq(rig_stats().channels, 0);
		ck_assert_int_eq(rig_deliver(60), VSW_DROP_NOT_READY);
		mock_net_reopen(&g);
		ck_assert(!mock_net_init(&g, 3));
		mock_net_negotiate(&g, NVSP_V6_1, 1500, MOCK_NET_CAPS);
		mock_net_initialize(&g);
		mock_net_filter(&g, 0x0d);
	}
}
END_TEST

START_TEST(n44_taken_away_under_traffic)
{
	uint32_t turns = 0;

	ck_assert_uint_eq(mock_net_subchannels(&g, 3), 3);
	ck_assert_int_eq(rig_deliver(60), VSW_FORWARDED);
	ck_assert_ptr_nonnull(netvsp_port(nic));
	gone_calls = 0;
	netvsp_destroy(nic, rig_gone, &gone_calls);
	nic = NULL;
	while (!gone_calls && turns++ < 100)
		fake_bus_turn(bus);
	ck_assert_int_eq(gone_calls, 1);
	ck_assert_ptr_null(vsw_port_find(sw, "p1.nic0"));
	ck_assert_int_eq(rig_deliver(60), VSW_DROP_NO_PORT);
}
END_TEST

/* ---- sub-channels
 * ------------------------------------------------------------------------------------ */

/* E17 and E18 with four channels: granted, offered, opened, and the table. */
START_TEST(golden_subchannels)
{
	struct mock_net_packet p;
	uint8_t want[80];
	uint16_t i;

	p = exchange(0x44, E17_SUBCHANNEL);
	vector_bytes(E17_GRANTED, want, sizeof(want));
	ck_assert(p.type == VMPKT_COMPLETION && p.id == 0x44 && p.len == 40);
	ck_assert_mem_eq(p.payload, want, 40);
	ck_assert_uint_eq(fake_bus_subchannels(bus, 0), 3);
	for (i = 1; i <= 3; i++) {
		assert_nothing_comes(0); /* not before the last one is open */
		ck_assert_int_eq(fake_bus_open(bus, 0, i, 8, &g.chan[i]), 0);
	}
	ck_assert(mock_net_recv(&g, 0, &p));
	ck_assert(p.type == VMPKT_INBAND && !p.flags && !p.id && p.len == 80);
	ck_assert_uint_eq(vector_bytes(E18_SEND_TABLE, want, sizeof(want)), sizeof(want));
	ck_assert_mem_eq(p.payload, want, sizeof(want));
	assert_nothing_comes(0); /* once */
	/* All of them carry data, with the version and buffers of the primary. */
	for (i = 0; i <= 3; i++)
		ck_assert_uint_eq(rig_send(i), NVSP_STATUS_SUCCESS);
	ck_assert_uint_eq(peer_frames, 4);
	ck_assert_uint_eq(rig_stats().channels, 4);
}
END_TEST

START_TEST(n33_numbers_of_subchannels)
{
	static const struct {
		uint32_t operation, count, granted;
	} t[] = { { 1, 0, 0 }, { 1, 4, 0 }, { 1, 5, 0 }, { 1, 0xffffffff, 0 },
		  { 0, 1, 0 }, { 2, 1, 0 }, { 1, 3, 3 } };
	struct nvsp_message m = { .type = NVSP_SUBCHANNEL }, a;
	uint8_t want[40];

	m.subchannel.operation = t[_i].operation;
	m.subchannel.count = t[_i].count;
	ck_assert_uint_eq(mock_net_call(&g, &m, &a), 40);
	ck_assert_uint_eq(fake_bus_subchannels(bus, 0), t[_i].granted);
	if (!t[_i].granted) {
		vector_bytes(E17_REFUSED, want, sizeof(want));
		ck_assert_mem_eq(&a, want, sizeof(want));
	}
	/* A second time: refused, and the first one stands. */
	m.subchannel.operation = m.subchannel.count = 1;
	mock_net_call(&g, &m, &a);
	ck_assert_uint_eq(a.subchannel_complete.status,
			  t[_i].granted ? NVSP_STATUS_FAIL : NVSP_STATUS_SUCCESS);
	ck_assert_uint_eq(fake_bus_subchannels(bus, 0), t[_i].granted ? 3 : 1);
	assert_state("operational");
}
END_TEST

START_TEST(n33_subchannels_before_rndis)
{
	mock_net_negotiate(&g, NVSP_V6_1, 1500, MOCK_NET_CAPS);
	ck_assert_uint_eq(mock_net_subchannels(&g, 1), 0);
	mock_net_initialize(&g);
	ck_assert_uint_eq(mock_net_subchannels(&g, 1), 1);
}
END_TEST

/* Rows of the robustness list: opened unasked; control on a sub-channel; any other message there.
 */
START_TEST(n34_subchannels_carry_data_only)
{
	uint8_t init[24] = { 2, 0, 0, 0, 24 };
	struct nvsp_message m = { .type = NVSP_SUBCHANNEL };
	struct mock_net_packet p;
	struct vmbus_chan *chan;
	uint64_t id;

	ck_assert_int_lt(fake_bus_open(bus, 0, 1, 8, &chan), 0);
	ck_assert_uint_eq(mock_net_subchannels(&g, 1), 1);
	ck_assert_int_lt(fake_bus_open(bus, 0, 2, 8, &chan), 0);
	id = mock_net_control_send(&g, 1, init, sizeof(init));
	ck_assert(mock_net_recv(&g, 1, &p));
	ck_assert(p.type == VMPKT_COMPLETION && p.id == id);
	ck_assert_uint_eq(payload(&p).rndis_complete.status, NVSP_STATUS_FAIL);
	id = mock_net_send(&g, 1, true, &m);
	ck_assert(mock_net_recv(&g, 1, &p));
	ck_assert_uint_eq(payload(&p).subchannel_complete.status, NVSP_STATUS_FAIL);
	m = (struct nvsp_message){ .type = NVSP_REVOKE_RECEIVE_BUFFER };
	mock_net_send(&g, 1, false, &m);
	mock_net_run(&g);
	assert_state("operational");
	ck_assert_uint_eq(rig_send(1), NVSP_STATUS_SUCCESS);
	/* The primary goes first: nothing of the other one gets through, and nothing breaks. */
	peer_frames = 0;
	fake_bus_close(bus, 0, 0);
	g.chan[0] = NULL;
	mock_net_send_section(&g, 1, 0, init, sizeof(init));
	mock_net_run(&g);
	ck_assert_uint_eq(peer_frames, 0);
	fake_bus_close(bus, 0, 1);
	assert_state("closed");
}
END_TEST

/* ---- what there is not
 * ---------------------------------------------------------------------------------- */

START_TEST(n38_data_path_is_never_switched)
{
	struct nvsp_message m = { .type = NVSP_SWITCH_DATA_PATH };
	struct mock_net_packet p;

	m.switch_data_path.path = 1;
	mock_net_send_raw(&g, 0, VMPKT_FLAG_COMPLETION_REQUESTED, 7, &m, sizeof(m));
	ck_assert(mock_net_recv(&g, 0, &p));
	assert_packet(&p, E20_DATA_PATH_COMPLETE);
	ck_assert(mock_net_recv(&g, 0, &p)); /* "synthetic" */
	ck_assert(p.type == VMPKT_INBAND && payload(&p).type == NVSP_SWITCH_DATA_PATH);
	ck_assert_uint_eq(payload(&p).switch_data_path.path, 0);
	m.switch_data_path.path = 0;
	mock_net_send_raw(&g, 0, VMPKT_FLAG_COMPLETION_REQUESTED, 7, &m, sizeof(m));
	ck_assert(mock_net_recv(&g, 0, &p));
	assert_packet(&p, E20_DATA_PATH_COMPLETE);
	assert_nothing_comes(0);
	mock_net_send_raw(&g, 0, 0, 7, &m, sizeof(m));
	assert_nothing_comes(0);
	ck_assert_uint_eq(rig_send(0), NVSP_STATUS_SUCCESS);
}
END_TEST

START_TEST(refused_as_golden)
{
	struct nvsp_message m = { .type = NVSP_OID_QUERY_EX }, a;
	uint8_t want[40];

	mock_net_call(&g, &m, &a);
	vector_bytes(E21_OID_QUERY_EX_COMPLETE, want, sizeof(want));
	ck_assert_mem_eq(&a, want, sizeof(want));
	m = (struct nvsp_message){ .type = NVSP_PD_API };
	m.pd_api_complete.operation = 5;
	ck_assert_uint_eq(mock_net_call(&g, &m, &a), 40);
	ck_assert_uint_eq(a.type, NVSP_PD_API);
	ck_assert_uint_eq(a.pd_api_complete.operation, 5);
	ck_assert_uint_eq(a.pd_api_complete.status, 0xc00000bb);
}
END_TEST

/* ---- creation
 * ---------------------------------------------------------------------------------------------- */

START_TEST(configurations_that_are_refused)
{
	struct netvsp_config good = { .name = "nic1", .loop = loop }, c;
	struct netvsp *other;
	char why[200];
	int i;

	memcpy(good.mac, peer_mac, NET_MAC_LEN);
	good.mac[5] = 9;
	good.instance.b[0] = 5;
	for (i = 0; i < 11; i++) {
		c = good;
		switch (i) {
		case 10:
			c.loop = NULL;
			break;
		case 8:
			c.name = "sixteen letters.";
			break;
		case 9:
			c.port_name = "a name of thirty-two characters.";
			break;
		case 0:
			c.name = NULL;
			break;
		case 1:
			c.mac[0] = 1;
			break;
		case 2:
			memset(c.mac, 0, NET_MAC_LEN);
			break;
		case 3:
			c.max_queues = 17;
			break;
		case 4:
			c.max_mtu = 67;
			break;
		case 5:
			c.max_mtu = 65536;
			break;
		case 6:
			c.max_version = 0x70000;
			break;
		case 7:
			c.policy.vlan = 5000;
			c.policy.vlan_mode = VSW_ACCESS;
			break;
		}
		*why = 0;
		ck_assert_int_eq(netvsp_create(&other, bus, sw, &c, why, sizeof(why)), -EINVAL);
		ck_assert(*why);
	}
	c = good; /* the name of a port that is there */
	c.port_name = "p1.nic0";
	ck_assert_int_eq(netvsp_create(&other, bus, sw, &c, why, sizeof(why)), -EEXIST);
	c = good;
	c.instance.b[0] = 0; /* an instance that is offered already */
	ck_assert_int_eq(netvsp_create(&other, bus, sw, &c, why, sizeof(why)), -EEXIST);
	ck_assert_ptr_null(vsw_port_find(sw, "p1.nic1"));
}
END_TEST

START_TEST(offer)
{
	static const struct guid type = VMBUS_CLASS_NET;
	const struct vmbus_device_desc *d = fake_bus_desc(bus, 0);

	ck_assert(guid_equal(&d->type, &type));
	ck_assert_str_eq(d->name, "nic0");
	ck_assert_ptr_eq(d->loop, loop);
	ck_assert_str_eq(vsw_port_name(netvsp_port(nic)), "p1.nic0");
	assert_state("closed");
}
END_TEST

static TCase *tcase(Suite *s, const char *name, void (*setup)(void))
{
	TCase *t = tcase_create(name);

	tcase_add_checked_fixture(t, setup, rig_teardown);
	suite_add_tcase(s, t);
	return t;
}

static void negotiation(TCase *t)
{
	tcase_add_test(t, golden_handshake);
	tcase_add_loop_test(t, every_version, 0, ARRAY_SIZE(versions));
	tcase_add_test(t, version_1_answer_is_golden);
	tcase_add_test(t, n02_versions_nobody_has);
	tcase_add_loop_test(t, n01_anything_before_init, 0, 12);
	tcase_add_test(t, n01_init_twice);
	tcase_add_loop_test(t, n01_unknown_and_roots_own_types_are_refused_and_nothing_happens, 0,
			    18);
	tcase_add_test(t, messages_of_later_versions);
	tcase_add_test(t, version_1_has_no_ndis_config);
	tcase_add_test(t, config_and_version_answer_only_who_asks);
	tcase_add_loop_test(t, n01_setup_messages_twice, 0, 2);
	tcase_add_test(t, n01_receive_buffer_before_the_mtu_is_known);
	tcase_add_test(t, n01_rndis_before_it_may_begin);
	tcase_add_test(t, n03_short_messages);
	tcase_add_loop_test(t, n03_old_and_long_request_sizes, 0, 4);
	tcase_add_loop_test(t, table_cell_by_cell, 0, 7 * ARRAY_SIZE(cells));
	tcase_add_test(t, golden_buffers);
	tcase_add_test(t, n04_buffers_that_are_none);
	tcase_add_test(t, n05_receive_buffer_without_room_beyond_control);
	tcase_add_loop_test(t, n06_buffers_twice, 0, 2);
	tcase_add_test(t, n33_subchannels_before_rndis);
}

static void serving(TCase *t)
{
	tcase_add_test(t, n07_revoke);
	tcase_add_test(t, n08_another_buffer_after_a_revoke_is_refused);
	tcase_add_loop_test(t, n09_gpadl_torn_down_while_open, 0, 2);
	tcase_add_test(t, n37_guest_writes_all_over_the_receive_buffer);
	tcase_add_test(t, close_without_a_word);
	tcase_add_test(t, n44_taken_away_under_traffic);
	tcase_add_test(t, golden_subchannels);
	tcase_add_loop_test(t, n33_numbers_of_subchannels, 0, 7);
	tcase_add_test(t, n34_subchannels_carry_data_only);
	tcase_add_test(t, n38_data_path_is_never_switched);
	tcase_add_test(t, refused_as_golden);
}

int main(void)
{
	Suite *s = suite_create("netvsp_nvsp");
	TCase *own = tcase_create("own rig"), *t;

	t = tcase(s, "created", rig_setup);
	tcase_add_test(t, configurations_that_are_refused);
	tcase_add_test(t, offer);
	negotiation(tcase(s, "negotiation", rig_setup_open));
	serving(tcase(s, "serving", rig_setup_started));
	tcase_add_test(own, an_older_host_refuses_newer_versions);
	tcase_add_loop_test(own, n45_mtu_is_clamped_to_the_ports, 0, 9);
	suite_add_tcase(s, own);
	return rig_run(s);
}
