/* SPDX-License-Identifier: MIT */
/*
 * RNDIS control messages as the adapter answers them: golden bytes, states, bounds, indications
 * (spec: rndis, sections 1, 2, 8). Names carry the ids of the hostile cases where one is covered.
 */
#include "tests/ut/vsp/net_rig.h"

/* Sends golden bytes; the answer has to be exactly @want (NULL: none), the NVSP status success. */
static void assert_answer(const char *text, const char *want)
{
	uint8_t msg[1024], bytes[1024], answer[RNDIS_CONTROL_MAX];
	uint32_t n = vector_bytes(text, msg, sizeof(msg)), len;

	ck_assert_uint_eq(mock_net_control(&g, msg, n, answer, &len), NVSP_STATUS_SUCCESS);
	n = want ? vector_bytes(want, bytes, sizeof(bytes)) : 0;
	ck_assert_uint_eq(len, n);
	ck_assert_mem_eq(answer, bytes, n);
}

static uint32_t send_words(const uint32_t *words, uint32_t n, uint32_t *answer, uint32_t *len)
{
	uint8_t out[RNDIS_CONTROL_MAX] = { 0 };
	uint32_t status = mock_net_control(&g, words, 4 * n, out, len);

	memcpy(answer, out, 64);
	return status;
}

static void setup_ready(void)
{
	rig_setup();
	mock_net_open(&g, bus, 0);
	mock_net_negotiate(&g, NVSP_V6_1, 1500, MOCK_NET_CAPS);
}

/* ---- golden bytes --------------------------------------------------------------------- */

START_TEST(golden_bring_up)
{
	char capabilities[2048];
	uint8_t query[184] = { 0 }, want[256], answer[RNDIS_CONTROL_MAX];
	uint32_t len;

	netvsp_set_speed(nic, 10000000000);
	assert_answer(R1_INITIALIZE, R1_COMPLETE);
	assert_state("operational");
	assert_answer(R2_FRAME_SIZE, R2_COMPLETE);
	assert_answer(R3_ADDRESS, R3_COMPLETE);
	vector_bytes(R5_CAPABILITIES, query, sizeof(query));
	ck_assert_uint_eq(mock_net_control(&g, query, sizeof(query), answer, &len),
			  NVSP_STATUS_SUCCESS);
	vector_bytes(R6_COMPLETE, want, sizeof(want));
	vector_bytes(R6_RSC, want + 24 + 144, 12);
	ck_assert_uint_eq(len, 180);
	ck_assert_mem_eq(answer, want, 180);
	snprintf(capabilities, sizeof(capabilities), "%s", R7_OFFLOAD);
	assert_answer(capabilities, R7_COMPLETE);
	ck_assert_uint_eq(g.indications, 1);
	ck_assert_uint_eq(g.status, RNDIS_STATUS_OFFLOAD_CONFIG);
	ck_assert_uint_eq(g.info_len, 156);
	assert_answer(R8_FILTER, "05 00 00 80 10 00 00 00 07 00 00 00 00 00 00 00");
	ck_assert_uint_eq(rig_stats().filter, 0x0d);
	ck_assert(rig_stats().rsc);
	assert_answer(R82_RSS_QUERY, "04 00 00 80 2a 00 00 00 09 00 00 00 00 00 00 00 12 00 00 00"
				     "10 00 00 00 88 02 12 00 01 03 00 00 01 00 00 00 04 00 00 00"
				     "80 00");
	/* The same with another id. */
	assert_answer("04 00 00 00 2e 00 00 00 08 00 00 00 03 02 01 00 12 00 00 00 14 00 00 00"
		      "00 00 00 00 88 02 12 00 00*14",
		      R9_RSS_CAPABILITIES);
	assert_answer("04 00 00 00 1c 00 00 00 09 00 00 00 ff ff ff ff 00*4 14 00 00 00 00*4",
		      R4_UNSUPPORTED);
	assert_answer(R18_KEEPALIVE, R18_KEEPALIVE_COMPLETE);
	assert_answer(R18_RESET, "06 00 00 80 10 00 00 00 00 00 00 00 00 00 00 00");
	ck_assert_uint_eq(rig_stats().filter, 0x0d); /* it stays */
	assert_answer(R82_HALT, NULL);
	assert_state("halted");
}
END_TEST

/* O2: the packets around a control message, all four of them. */
START_TEST(golden_control_packets)
{
	uint8_t bytes[128], init[24];
	struct mock_net_packet p;
	struct nvsp_message m;
	uint64_t pfn = 0x6d, gpa;

	vector_bytes(R1_INITIALIZE, init, sizeof(init));
	gpa = pfn * 4096 + 0x88;
	memcpy(fake_bus_ptr(bus, gpa), init, sizeof(init));
	vector_bytes(O2_CONTROL, bytes, sizeof(bytes));
	memcpy(&m, bytes + 40, sizeof(m));
	ck_assert_int_eq(vmbus_chan_send_gpa_direct(g.chan[0], 1, 4, 24, 0x88, &pfn, 1, &m, 40), 0);
	ck_assert(mock_net_recv(&g, 0, &p)); /* these two may come in any order */
	assert_packet(&p, O2_RESPONSE);
	vector_bytes(R1_COMPLETE, bytes, 52);
	ck_assert_mem_eq(mock_net_range(&g, &p, 0), bytes, 52);
	ck_assert(mock_net_recv(&g, 0, &p));
	assert_packet(&p, O2_COMPLETION);
	vector_bytes(O2_RESPONSE_COMPLETION, bytes, sizeof(bytes));
	ck_assert_int_eq(vmbus_chan_send_completion(g.chan[0], 0, bytes + 16, 8), 0);
	mock_net_run(&g);
	ck_assert_uint_eq(nic->control_free, 0xffff);
}
END_TEST

/* The first of the two offload settings that Linux sends is R7; R17 with and without leave. */
START_TEST(golden_network_address)
{
	struct vsw_policy policy = *vsw_port_policy(netvsp_port(nic));
	uint8_t mac[RNDIS_CONTROL_MAX], want[6] = { 0x00, 0x15, 0x5d, 0x01, 0x02, 0xa1 };
	uint32_t len;

	assert_answer(R17_NETWORK_ADDRESS, "05 00 00 80 10 00 00 00 0a 00 00 00 15 00 01 c0");
	policy.mac_spoofing = true;
	ck_assert_int_eq(vsw_port_set_policy(netvsp_port(nic), &policy, NULL, 0), 0);
	assert_answer(R17_NETWORK_ADDRESS, "05 00 00 80 10 00 00 00 0a 00 00 00 00 00 00 00");
	ck_assert_uint_eq(mock_net_query(&g, OID_802_3_CURRENT_ADDRESS, NULL, 0, mac, &len), 0);
	ck_assert_mem_eq(mac, want, 6);
	ck_assert_mem_eq(vsw_port_mac(netvsp_port(nic)), want, 6);
	ck_assert_uint_eq(mock_net_query(&g, OID_802_3_PERMANENT_ADDRESS, NULL, 0, mac, &len), 0);
	ck_assert_mem_eq(mac, guest_mac, 6);
	fake_bus_close(bus, 0, 0); /* the next driver begins with the address that is configured */
	ck_assert_mem_eq(vsw_port_mac(netvsp_port(nic)), guest_mac, 6);
}
END_TEST

/* ---- states --------------------------------------------------------------------------------- */

START_TEST(n24_initialize_twice_or_strangely)
{
	uint32_t init[6] = { RNDIS_INITIALIZE, 24, 5, 7, 9, 0xffffffff }, a[16], len;

	ck_assert_uint_eq(send_words(init, 6, a, &len), NVSP_STATUS_SUCCESS);
	ck_assert(a[0] == 0x80000002 && a[2] == 5 && a[3] == 0 && len == 52);
	ck_assert(a[4] == 1 && a[5] == 0 && a[9] == 0xefffffff);
	init[2] = 6;
	init[5] = 0;
	ck_assert_uint_eq(send_words(init, 6, a, &len), NVSP_STATUS_SUCCESS);
	ck_assert(a[0] == 0x80000002 && a[2] == 6 && a[3] == RNDIS_STATUS_FAILURE);
	assert_state("operational");
}
END_TEST

/* Ids are echoed whole, whatever they are; HALT's is not looked at, and then all begins again. */
START_TEST(n31_halt_and_again)
{
	uint32_t halt[3] = { RNDIS_HALT, 12, 0 }, a[16], len, i;
	uint32_t init[6] = { RNDIS_INITIALIZE, 24, 0xdead0000, 1, 0, 0x4000 };
	uint32_t filter = 0x0d;

	for (i = 0; i < 20; i++) {
		ck_assert_uint_eq(send_words(init, 6, a, &len), NVSP_STATUS_SUCCESS);
		ck_assert(a[2] == 0xdead0000 && a[3] == 0);
		ck_assert_uint_eq(mock_net_filter(&g, filter), 0);
		ck_assert_int_eq(rig_deliver(60), VSW_FORWARDED);
		ck_assert_uint_eq(send_words(halt, 3, a, &len), NVSP_STATUS_SUCCESS);
		ck_assert_uint_eq(len, 0);
		ck_assert_int_ne(rig_deliver(60), VSW_FORWARDED); /* no filter 0 came before */
		ck_assert_uint_eq(rig_stats().filter, 0);
		ck_assert(!rig_stats().rsc && !rig_stats().rss);
		ck_assert_uint_eq(send_words(halt, 3, a, &len), NVSP_STATUS_SUCCESS);
		assert_state("halted");
		ck_assert_uint_eq(mock_net_filter(&g, filter), RNDIS_STATUS_FAILURE);
		ck_assert_uint_eq(rig_stats().filter, 0);
	}
}
END_TEST

START_TEST(before_initialize_queries_are_answered_and_nothing_is_set)
{
	ck_assert_uint_eq(mock_net_query_u32(&g, OID_GEN_MAXIMUM_FRAME_SIZE), 1500);
	ck_assert_uint_eq(mock_net_filter(&g, 0x0d), RNDIS_STATUS_FAILURE);
	ck_assert_uint_eq(rig_stats().filter, 0);
	assert_state("ready");
	ck_assert_int_ne(rig_deliver(60), VSW_FORWARDED);
}
END_TEST

START_TEST(n31_keepalive_reset_and_unknown_types_in_any_number)
{
	static const uint32_t refused[] = { 0, 1, 7, 10, 0x80000004, 0xff000001, 0xffffffff };
	uint32_t m[7] = { RNDIS_KEEPALIVE, 12, 1 }, a[16], len, i;

	for (i = 0; i < 200; i++) {
		m[0] = i & 1 ? RNDIS_KEEPALIVE : RNDIS_RESET;
		m[2] = i;
		ck_assert_uint_eq(send_words(m, 3, a, &len), NVSP_STATUS_SUCCESS);
		ck_assert(a[0] == (m[0] | RNDIS_COMPLETION) && len == 16);
		ck_assert_uint_eq(a[2], i & 1 ? i : 0);
	}
	m[0] = RNDIS_SET_EX;
	m[1] = 28;
	ck_assert_uint_eq(send_words(m, 7, a, &len), NVSP_STATUS_SUCCESS);
	ck_assert(a[0] == 0x80000009 && a[3] == RNDIS_STATUS_NOT_SUPPORTED);
	for (i = 0; i < ARRAY_SIZE(refused); i++) {
		m[0] = refused[i];
		ck_assert_uint_eq(send_words(m, 7, a, &len), NVSP_STATUS_INVALID_RNDIS_PACKET);
		ck_assert_uint_eq(len, 0);
	}
	ck_assert_uint_ge(rig_stats().control_rejected, ARRAY_SIZE(refused) - 1);
	assert_state("operational");
}
END_TEST

/* ---- lengths and offsets --------------------------------------------------------------------- */

START_TEST(n12_control_message_lengths)
{
	uint32_t m[7] = { RNDIS_QUERY, 28, 1, OID_GEN_MAXIMUM_FRAME_SIZE, 0, 20, 0 }, a[16], len, i;
	static const uint32_t wrong[] = { 0, 7, 8, 12, 27, 29, 0xffffffff, 0x80000000 };

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		m[1] = wrong[i];
		ck_assert_uint_eq(send_words(m, 7, a, &len), NVSP_STATUS_INVALID_RNDIS_PACKET);
		ck_assert_uint_eq(len, 0);
	}
	for (i = 1; i < 7; i++) {
		m[1] = 28;
		ck_assert_uint_eq(send_words(m, i, a, &len), NVSP_STATUS_INVALID_RNDIS_PACKET);
	}
	ck_assert_uint_eq(mock_net_query_u32(&g, OID_GEN_MAXIMUM_FRAME_SIZE), 1500);
}
END_TEST

START_TEST(n25_information_outside_of_its_message)
{
	static const struct {
		uint32_t len, off;
	} t[] = { { 4, 21 },
		  { 4, 24 },
		  { 8, 20 },
		  { 4, 0xffffffff },
		  { 4, 0xfffffff8 },
		  { 0xffffffff, 20 },
		  { 0xfffffff0, 20 },
		  { 4, 0 },
		  { 4, 8 },
		  { 4, 19 },
		  { 0x80000000, 0x80000000 } };
	uint32_t m[8] = { RNDIS_QUERY, 32, 0, 0, 0, 0, 0, 0x0d }, a[16], len, set;

	for (set = 0; set < 2; set++) {
		m[0] = set ? RNDIS_SET : RNDIS_QUERY;
		m[2] = 77;
		m[3] = OID_GEN_CURRENT_PACKET_FILTER;
		m[4] = t[_i].len;
		m[5] = t[_i].off;
		ck_assert_uint_eq(send_words(m, 8, a, &len), NVSP_STATUS_SUCCESS);
		ck_assert(a[0] == (m[0] | RNDIS_COMPLETION) && a[2] == 77);
		ck_assert_uint_eq(a[3], RNDIS_STATUS_INVALID_DATA);
		ck_assert_uint_eq(len, set ? 16 : 24);
		if (!set)
			ck_assert(a[4] == 0 && a[5] == 16);
	}
	ck_assert_uint_eq(rig_stats().filter, 0x0d); /* as it was */
	/* No information: the offset means nothing, whatever it is. */
	m[0] = RNDIS_QUERY;
	m[4] = 0;
	m[5] = t[_i].off;
	ck_assert_uint_eq(send_words(m, 8, a, &len), NVSP_STATUS_SUCCESS);
	ck_assert(a[3] == 0 && a[4] == 4 && a[6] == 0x0d);
}
END_TEST

START_TEST(n25_oids_nobody_knows)
{
	static const uint32_t oids[] = { 0,	     1,		 0xffffffff, 0x00010100, 0x0001021c,
					 0xfc01020e, 0xfc01020f, 0x00010117, 0x01010106 };
	uint8_t out[RNDIS_CONTROL_MAX];
	uint32_t i, len;

	for (i = 0; i < ARRAY_SIZE(oids); i++) {
		ck_assert_uint_eq(mock_net_query(&g, oids[i], NULL, 0, out, &len),
				  RNDIS_STATUS_NOT_SUPPORTED);
		ck_assert_uint_eq(len, 0);
		ck_assert_uint_eq(mock_net_set(&g, oids[i], "\0\0\0\0", 4),
				  RNDIS_STATUS_NOT_SUPPORTED);
	}
	ck_assert_uint_eq(rig_stats().oids_unknown, 2 * ARRAY_SIZE(oids));
}
END_TEST

/* Through the send buffer, as UEFI does, and in pieces. */
START_TEST(control_messages_by_other_ways)
{
	uint32_t q[7] = { RNDIS_QUERY, 28, 0, OID_GEN_MAXIMUM_FRAME_SIZE, 0, 20, 0 }, got[7], i;
	struct nvsp_message m = { .type = NVSP_SEND_RNDIS_PACKET };
	struct vmpkt_range_in r[4];
	struct mock_net_packet p;
	uint64_t pfn = g.data_gpa / 4096;

	m.rndis.channel_type = NVSP_CONTROL;
	for (i = 0; i < 2; i++) {
		q[2] = 100 + i;
		m.rndis.section = i ? NVSP_NO_SECTION : 3;
		m.rndis.section_size = i ? 0 : sizeof(q);
		memcpy(fake_bus_ptr(bus, i ? g.data_gpa : g.tx_gpa + 3 * g.tx_size), q, sizeof(q));
		for (uint32_t j = 0; j < 4; j++)
			r[j] = (struct vmpkt_range_in){ 7, 7 * j, &pfn };
		if (i)
			ck_assert(!vmbus_chan_send_gpa_direct_multi(g.chan[0], 1, 9, r, 4, &m, 28));
		else
			mock_net_send_raw(&g, 0, VMPKT_FLAG_COMPLETION_REQUESTED, 9, &m, 28);
		ck_assert(mock_net_recv(&g, 0, &p) && p.type == VMPKT_XFER_PAGES);
		memcpy(got, mock_net_range(&g, &p, 0), sizeof(got));
		ck_assert(got[0] == 0x80000004 && got[2] == q[2] && got[6] == 1500);
		mock_net_complete(&g, 0, p.id, NVSP_STATUS_SUCCESS);
		ck_assert(mock_net_recv(&g, 0, &p) && p.type == VMPKT_COMPLETION && p.id == 9);
	}
}
END_TEST

/* ---- a guest that does not take its answers
 * ------------------------------------------------------ */

static void ask_silently(uint32_t n)
{
	uint32_t m[3] = { RNDIS_KEEPALIVE, 12, 0 };

	for (; n; n--) {
		m[2] = n;
		mock_net_control_send(&g, 0, m, sizeof(m));
		mock_net_run(&g);
	}
}

/* Sixteen are out; the rest wait in order and come as the guest completes. */
START_TEST(answers_wait_for_sub_allocations)
{
	struct mock_net_packet p;
	uint32_t i, seen = 0, completions = 0, id, want = 100;
	uint64_t done[16];

	ask_silently(100);
	ck_assert_uint_eq(nic->control_free, 0);
	ck_assert_uint_eq(nic->control_bytes, 84 * 16);
	while (mock_net_recv(&g, 0, &p)) {
		if (p.type == VMPKT_COMPLETION) {
			completions++;
			continue;
		}
		memcpy(&id, mock_net_range(&g, &p, 0) + 8, sizeof(id));
		ck_assert_uint_eq(id, want--);
		done[seen++ % 16] = p.id;
		if (seen % 16 && seen < 100)
			continue;
		for (i = 0; i < (seen % 16 ? seen % 16 : 16); i++)
			mock_net_complete(&g, 0, done[i], NVSP_STATUS_SUCCESS);
	}
	ck_assert_uint_eq(seen, 100);
	ck_assert_uint_eq(completions, 100);
	ck_assert_uint_eq(nic->control_free, 0xffff);
	ck_assert_uint_eq(nic->control_bytes, 0);
}
END_TEST

START_TEST(n32_answers_that_are_never_taken)
{
	struct mock_net_packet p;
	uint32_t asked = 0;

	while (asked < 20000 && !rig_stats().failed) {
		ask_silently(1);
		asked++;
		while (mock_net_poll(&g, 0, &p))
			;
		ck_assert_uint_le(nic->control_bytes, NET_CONTROL_QUEUE);
	}
	ck_assert_uint_eq(asked, 16 + NET_CONTROL_QUEUE / 16 + 1);
	ck_assert_str_eq(rig_stats().failed, "too many control messages");
	ck_assert_ptr_null(nic->control_first);
	ask_silently(3); /* taken, and nothing else */
	ck_assert_int_ne(rig_deliver(60), VSW_FORWARDED);
	fake_bus_close(bus, 0, 0);
	mock_net_reopen(&g);
	mock_net_negotiate(&g, NVSP_V6_1, 1500, 0);
	mock_net_initialize(&g);
	assert_state("operational");
}
END_TEST

/* ---- indications
 * ----------------------------------------------------------------------------------- */

/* The message that lies in the control piece that came last. */
static void assert_indication(const char *text)
{
	uint8_t want[64];
	struct mock_net_packet p;
	uint32_t n = vector_bytes(text, want, sizeof(want));

	ck_assert(mock_net_recv(&g, 0, &p));
	ck_assert(p.type == VMPKT_XFER_PAGES && p.nr_ranges == 1 && p.id < NVSP_RX_CONTROL);
	ck_assert_mem_eq(mock_net_range(&g, &p, 0), want, n);
	mock_net_complete(&g, 0, p.id, NVSP_STATUS_SUCCESS);
}

START_TEST(golden_indications)
{
	struct mock_net_packet p;

	netvsp_set_link(nic, false);
	assert_indication(R16_DISCONNECT);
	ck_assert_int_eq(rig_deliver(60), VSW_DROP_LINK_DOWN);
	ck_assert(!rig_stats().link);
	netvsp_set_link(nic, true);
	assert_indication(R16_CONNECT);
	netvsp_set_speed(nic, 10000000000);
	assert_indication(R16_SPEED);
	ck_assert_uint_eq(rig_stats().speed, 10000000000);
	ck_assert_uint_eq(mock_net_query_u32(&g, OID_GEN_LINK_SPEED), 100000000);
	netvsp_network_change(nic);
	assert_indication(R16_NETWORK_CHANGE);
	netvsp_set_link(nic, true); /* nothing new */
	ck_assert(!mock_net_recv(&g, 0, &p));
}
END_TEST

/* A driver is told when it listens, and only what it does not know already. */
START_TEST(link_is_told_when_the_filter_is_set)
{
	struct mock_net_packet p;

	netvsp_set_link(nic, false);
	netvsp_network_change(nic);
	mock_net_initialize(&g);
	netvsp_set_link(nic, true);
	netvsp_set_link(nic, false);
	ck_assert(!mock_net_recv(&g, 0, &p));
	ck_assert_uint_eq(mock_net_query_u32(&g, OID_GEN_MEDIA_CONNECT_STATUS), 1);
	mock_net_filter(&g, 0x0d);
	ck_assert_uint_eq(g.indications, 0); /* it has asked */
	netvsp_set_link(nic, true);
	assert_indication(R16_CONNECT);
	mock_net_filter(&g, 0);
	netvsp_set_link(nic, false);
	ck_assert(!mock_net_recv(&g, 0, &p));
	mock_net_filter(&g, 0x0d);
	ck_assert(g.indications == 1 && g.status == RNDIS_STATUS_MEDIA_DISCONNECT);
}
END_TEST

/* Without the teaming capability nobody expects news of the speed. */
START_TEST(speed_without_teaming)
{
	struct mock_net_packet p;

	mock_net_open(&g, bus, 0);
	mock_net_negotiate(&g, NVSP_V5, 1500, NVSP_CAP_8021Q);
	mock_net_initialize(&g);
	mock_net_filter(&g, 0x0d);
	netvsp_set_speed(nic, 2500000000);
	ck_assert(!mock_net_recv(&g, 0, &p));
	ck_assert_uint_eq(mock_net_query_u32(&g, OID_GEN_LINK_SPEED), 25000000);
	netvsp_set_speed(nic, UINT64_MAX);
	ck_assert_uint_eq(mock_net_query_u32(&g, OID_GEN_LINK_SPEED), UINT32_MAX);
}
END_TEST

/* A cable that is pulled ten thousand times while the guest sleeps does not cut the guest off. */
START_TEST(a_cable_that_flaps)
{
	struct mock_net_packet p;
	uint32_t i, last = 0, n = 0;

	for (i = 0; i < 10001; i++) {
		netvsp_set_link(nic, i & 1);
		netvsp_network_change(nic);
		netvsp_set_speed(nic, i * 100);
		if (i % 16 == 0)
			fake_bus_turn(bus);
	}
	ck_assert_uint_le(nic->control_bytes, NET_CONTROL_QUEUE / 2 + 64);
	while (mock_net_recv(&g, 0, &p)) {
		uint32_t status;

		memcpy(&status, mock_net_range(&g, &p, 0) + 8, sizeof(status));
		if (status == RNDIS_STATUS_MEDIA_CONNECT || status == RNDIS_STATUS_MEDIA_DISCONNECT)
			last = status;
		mock_net_complete(&g, 0, p.id, NVSP_STATUS_SUCCESS);
		n++;
	}
	ck_assert_uint_gt(n, 16);
	ck_assert_uint_eq(last, RNDIS_STATUS_MEDIA_DISCONNECT); /* the last position */
	assert_state("operational");
	ck_assert_uint_eq(mock_net_query_u32(&g, OID_GEN_MEDIA_CONNECT_STATUS), 1);
}
END_TEST

static TCase *tcase(Suite *s, const char *name, void (*setup)(void))
{
	TCase *t = tcase_create(name);

	tcase_add_checked_fixture(t, setup, rig_teardown);
	suite_add_tcase(s, t);
	return t;
}

int main(void)
{
	Suite *s = suite_create("netvsp_rndis");
	TCase *t = tcase(s, "ready", setup_ready);

	tcase_add_test(t, golden_bring_up);
	tcase_add_test(t, golden_control_packets);
	tcase_add_test(t, n24_initialize_twice_or_strangely);
	tcase_add_test(t, n31_halt_and_again);
	tcase_add_test(t, before_initialize_queries_are_answered_and_nothing_is_set);
	tcase_add_test(t, link_is_told_when_the_filter_is_set);
	t = tcase(s, "operational", rig_setup_started);
	tcase_add_test(t, golden_network_address);
	tcase_add_test(t, n31_keepalive_reset_and_unknown_types_in_any_number);
	tcase_add_test(t, n12_control_message_lengths);
	tcase_add_loop_test(t, n25_information_outside_of_its_message, 0, 11);
	tcase_add_test(t, n25_oids_nobody_knows);
	tcase_add_test(t, control_messages_by_other_ways);
	tcase_add_test(t, answers_wait_for_sub_allocations);
	tcase_add_test(t, n32_answers_that_are_never_taken);
	tcase_add_test(t, golden_indications);
	tcase_add_test(t, a_cable_that_flaps);
	tcase_add_test(tcase(s, "closed", rig_setup), speed_without_teaming);
	return rig_run(s);
}
