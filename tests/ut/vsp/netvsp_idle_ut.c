/* SPDX-License-Identifier: MIT */
/*
 * When an adapter may be taken away: a guest that looks at nothing any more afterwards must have
 * nothing left to look at.
 */
#include "tests/ut/vsp/net_data_rig.h"

static uint8_t frame[2000], msg[4096];
static struct mock_net_packet pkt;

static uint64_t send_frame(uint16_t sub, uint32_t section)
{
	uint32_t n = mock_net_packet(msg, frame, make_eth(frame, PEER_MAC, GUEST_MAC, 1514, 0),
				     NULL, 0, false);

	return mock_net_send_section(&g, sub, section, msg, n);
}

static void drained(uint16_t sub)
{
	vmbus_chan_flush(g.chan[sub]);
	fake_bus_settle(bus, 20);
}

/* Reads the next packet and does nothing about it. */
static void next_packet(uint16_t sub, uint16_t type)
{
	ck_assert(mock_net_poll(&g, sub, &pkt));
	ck_assert_uint_eq(pkt.type, type);
}

START_TEST(before_and_after_it_is_opened)
{
	rig_up(NULL);
	ck_assert(netvsp_idle(nic));
	mock_net_start(&g, bus);
	mock_net_run(&g);
	ck_assert(netvsp_idle(nic));
	fake_bus_close(bus, 0, 0);
	g.chan[0] = NULL;
	fake_bus_settle(bus, 20);
	ck_assert(netvsp_idle(nic));
	rig_down();
}
END_TEST

/* A driver waits for each answer of its beginning, and for the one that would be next. */
START_TEST(a_driver_that_begins)
{
	rig_up(NULL);
	mock_net_open(&g, bus, 0);
	mock_net_run(&g);
	ck_assert(!netvsp_idle(nic));
	ck_assert(mock_net_init(&g, NVSP_V6_1));
	ck_assert(!netvsp_idle(nic));
	mock_net_config(&g, 1500, MOCK_NET_CAPS);
	ck_assert_uint_eq(mock_net_rx_buffer(&g, 512), NVSP_STATUS_SUCCESS);
	ck_assert(!netvsp_idle(nic));
	ck_assert_uint_eq(mock_net_tx_buffer(&g, 512), NVSP_STATUS_SUCCESS);
	ck_assert(!netvsp_idle(nic));
	mock_net_initialize(&g);
	mock_net_run(&g);
	ck_assert(netvsp_idle(nic));
	rig_down();
}
END_TEST

static void a_request_is_out(uint16_t sub)
{
	ck_assert(send_frame(sub, 0));
	vmbus_chan_flush(g.chan[sub]);
	ck_assert(!netvsp_idle(nic)); /* not read */
	drained(sub);
	ck_assert_uint_eq(peer.n, 1);
	ck_assert(!netvsp_idle(nic)); /* its completion is not read */
	next_packet(sub, VMPKT_COMPLETION);
	ck_assert(netvsp_idle(nic));
}

START_TEST(requests_of_the_guest)
{
	a_request_is_out(0);
}
END_TEST

START_TEST(requests_on_a_sub_channel)
{
	ck_assert_uint_eq(mock_net_subchannels(&g, 2), 2);
	while (mock_net_recv(&g, 0, &pkt)) /* the send table */
		;
	ck_assert(netvsp_idle(nic));
	a_request_is_out(2);
}
END_TEST

START_TEST(a_request_that_is_held)
{
	struct netvsp_config cfg = rig_trunk();

	cfg.policy.bps = 1000000;
	cfg.policy.burst = 1514;
	rig_up(&cfg);
	mock_net_start(&g, bus);
	ck_assert(send_frame(0, 0) && send_frame(0, 1));
	drained(0);
	ck_assert_uint_eq(peer.n, 1);
	next_packet(0, VMPKT_COMPLETION);
	ck_assert(!netvsp_idle(nic)); /* both rings are empty */
	rig_down();
}
END_TEST

START_TEST(frames_for_the_guest)
{
	make_eth(frame, GUEST_MAC, PEER_MAC, 60, 0);
	ck_assert_int_eq(peer_input(&peer, frame, 60, NULL), VSW_FORWARDED);
	ck_assert(!netvsp_idle(nic)); /* not in the ring yet */
	vsw_flush(sw);
	ck_assert(!netvsp_idle(nic));
	next_packet(0, VMPKT_XFER_PAGES);
	ck_assert(!netvsp_idle(nic)); /* its place is not given back */
	mock_net_complete(&g, 0, pkt.id, NVSP_STATUS_SUCCESS);
	vmbus_chan_flush(g.chan[0]);
	ck_assert(!netvsp_idle(nic)); /* that is not read */
	drained(0);
	ck_assert(netvsp_idle(nic));
}
END_TEST

/* What is flooded too: nothing comes behind the news that the cable is out. */
START_TEST(a_cable_that_is_pulled)
{
	struct vsw_port_stats st;

	netvsp_set_link(nic, false);
	ck_assert(!netvsp_idle(nic));
	drained(0);
	next_packet(0, VMPKT_XFER_PAGES);
	ck_assert(!netvsp_idle(nic));
	mock_net_complete(&g, 0, pkt.id, NVSP_STATUS_SUCCESS);
	drained(0);
	ck_assert(netvsp_idle(nic));
	make_eth(frame, "\xff\xff\xff\xff\xff\xff", PEER_MAC, 60, 0);
	ck_assert_int_eq(peer_input(&peer, frame, 60, NULL), VSW_FORWARDED);
	ck_assert_uint_eq(other.n, 1);
	make_eth(frame, GUEST_MAC, PEER_MAC, 60, 0);
	ck_assert_int_eq(peer_input(&peer, frame, 60, NULL), VSW_DROP_LINK_DOWN);
	vsw_port_stats(netvsp_port(nic), &st);
	ck_assert_uint_eq(st.drop_out[VSW_DROP_LINK_DOWN], 2);
	vsw_flush(sw);
	ck_assert(netvsp_idle(nic));
	ck_assert(!mock_net_poll(&g, 0, &pkt));
	/* What it asks meanwhile is answered. */
	ck_assert_uint_eq(completion_of(0, send_frame(0, 0)), NVSP_STATUS_SUCCESS);
	ck_assert_uint_eq(peer.n, 0);
	ck_assert_uint_eq(mock_net_query_u32(&g, OID_GEN_MEDIA_CONNECT_STATUS), 1);
	mock_net_run(&g);
	ck_assert(netvsp_idle(nic));
}
END_TEST

/* Who does not listen is not waited for. */
START_TEST(a_cable_nobody_looks_at)
{
	ck_assert_uint_eq(mock_net_filter(&g, 0), RNDIS_STATUS_SUCCESS);
	mock_net_run(&g);
	netvsp_set_link(nic, false);
	ck_assert(netvsp_idle(nic));
	ck_assert(!mock_net_poll(&g, 0, &pkt));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("netvsp_idle");
	TCase *t = tcase_create("idle");
	TCase *own = tcase_create("own setup");
	SRunner *r = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(t, setup, rig_down);
	tcase_add_test(t, requests_of_the_guest);
	tcase_add_test(t, requests_on_a_sub_channel);
	tcase_add_test(t, frames_for_the_guest);
	tcase_add_test(t, a_cable_that_is_pulled);
	tcase_add_test(t, a_cable_nobody_looks_at);
	suite_add_tcase(s, t);
	tcase_add_test(own, before_and_after_it_is_opened);
	tcase_add_test(own, a_driver_that_begins);
	tcase_add_test(own, a_request_that_is_held);
	suite_add_tcase(s, own);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
