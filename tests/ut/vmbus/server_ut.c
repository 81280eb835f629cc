/* SPDX-License-Identifier: MIT */
/* The bus end to end: a guest, real rings in guest memory, a device that echoes. */
#include "hv-core/synic.h"
#include "tests/ut/vmbus/server_rig.h"

/* ---- life of a channel ----------------------------------------------------------------- */

START_TEST(open_echo_close)
{
	uint32_t maps;
	struct guest g;

	rig_up();
	maps = count_guest_maps();
	connect_guest();
	guest_open(&g, 1, 0);
	ck_assert_uint_eq(rig.toy.c[0].opens, 1);
	for (uint32_t i = 0; i < VMBUS_USER_DATA; i++)
		ck_assert_uint_eq(rig.toy.c[0].user[i], 0x3c);
	for (uint64_t i = 0; i < 1000; i++)
		guest_echo(&g, i);
	ck_assert_uint_eq(rig.toy.c[0].echoed, 1000);
	guest_close(&g);
	ck_assert_uint_eq(rig.toy.c[0].closes, 1);
	ck_assert_uint_eq(count_guest_maps(), maps); /* nothing of it is mapped any more */
	ck_assert_int_eq(fake_guest_signal(rig.f, HV_CONN_CHANNEL_BASE + 1),
			 HV_STATUS_INVALID_CONNECTION_ID);
	rig_down();
}
END_TEST

/* Packets that are there before the channel is open, and no bell for them. */
START_TEST(packets_before_open)
{
	struct loop_stats before, after;
	struct guest g;
	uint64_t id;

	rig_up();
	connect_guest();
	guest_alloc(&g, 1, 16);
	ck_assert_uint_eq(guest_gpadl(&g), VMBUS_STATUS_SUCCESS);
	guest_attach(&g);
	g.never_ring = true;
	guest_send(&g, 3);
	loop_stats(rig.loop, &before);
	say_open(&g);
	UNTIL(guest_take(&g, &id));
	loop_stats(rig.loop, &after);
	ck_assert_uint_le(after.sleeps - before.sleeps, 1); /* it was not the watchdog */
	expect(VMBUS_MSG_OPENCHANNEL_RESULT);
	guest_close(&g);
	rig_down();
}
END_TEST

/* Hundreds of idle channels cost one look each a second: no poller, no call of the provider. */
START_TEST(idle_channel_is_only_glanced_at)
{
	uint64_t from;
	uint32_t drains;
	struct guest g;

	rig_up();
	connect_guest();
	guest_open(&g, 1, 0);
	guest_echo(&g, 0);
	for (int i = 0; i < 4; i++)
		turn(); /* idle now */
	drains = rig.toy.c[0].drains;
	from = clock_ns();
	for (int i = 0; i < 2; i++) /* nothing but the watchdog ends these sleeps */
		ck_assert_int_eq(loop_turn(rig.loop, UINT64_MAX), 1);
	ck_assert_uint_gt(clock_ns() - from, 900000000ull);
	ck_assert_uint_eq(rig.toy.c[0].drains, drains);
	guest_echo(&g, 1);
	guest_close(&g);
	rig_down();
}
END_TEST

START_TEST(many_packets_in_a_batch)
{
	struct guest g;
	uint64_t id;

	rig_up();
	connect_guest();
	guest_open(&g, 1, 0);
	for (uint64_t i = 0; i < 200; i++)
		guest_send(&g, i);
	for (uint64_t i = 0; i < 200; i++) {
		UNTIL(guest_take(&g, &id));
		ck_assert_uint_eq(id, i);
	}
	guest_close(&g);
	rig_down();
}
END_TEST

/* Drains in some turns of a loop that had time to sleep, and so to ask for a bell. */
static uint32_t drains_when_idle(void)
{
	uint32_t before;

	for (int i = 0; i < 4; i++)
		turn();
	before = rig.toy.c[0].drains;
	settle();
	return rig.toy.c[0].drains - before;
}

/* An idle channel is not polled; its bell brings it back. */
START_TEST(idle_channel_costs_nothing)
{
	struct guest g;
	int tries;

	rig_up();
	connect_guest();
	guest_open(&g, 1, 0);
	for (uint64_t round = 0; round < 3; round++) {
		guest_echo(&g, round);
		/* Unless it is just then that the watchdog looks. */
		for (tries = 0; tries < 3 && drains_when_idle(); tries++)
			;
		ck_assert_int_lt(tries, 3);
	}
	guest_close(&g);
	rig_down();
}
END_TEST

static bool busy_poll(struct loop_poller *p)
{
	(void)p;
	return true;
}

static bool busy_arm(struct loop_poller *p)
{
	(void)p;
	return false;
}

static void busy_disarm(struct loop_poller *p)
{
	(void)p;
}

/* Neighbours that keep the loop from sleeping do not keep a quiet channel on its list. */
START_TEST(idle_channel_in_a_busy_loop)
{
	struct loop_poller busy = { .poll = busy_poll, .arm = busy_arm, .disarm = busy_disarm };
	struct guest g;
	uint32_t drains;
	uint64_t until;

	rig_up();
	connect_guest();
	loop_poller_add(rig.loop, &busy);
	guest_open(&g, 1, 0);
	for (uint64_t round = 0; round < 3; round++) {
		guest_echo(&g, round);
		until = clock_ns() + 5000000;
		while (clock_ns() < until)
			turn();
		drains = rig.toy.c[0].drains;
		for (int i = 0; i < 1000; i++)
			turn();
		ck_assert_uint_lt(rig.toy.c[0].drains - drains, 500);
	}
	loop_poller_del(rig.loop, &busy);
	guest_close(&g);
	rig_down();
}
END_TEST

START_TEST(reopen_many_times)
{
	struct guest g;
	uint32_t fds = 0;

	rig_up();
	connect_guest();
	guest_alloc(&g, 1, 16);
	for (uint32_t i = 0; i < TIMES(2000); i++) {
		ck_assert_uint_eq(guest_gpadl(&g), VMBUS_STATUS_SUCCESS);
		ck_assert_uint_eq(guest_ask_open(&g), VMBUS_STATUS_SUCCESS);
		if (i % 100 == 0) {
			guest_attach(&g);
			guest_echo(&g, i);
		}
		guest_close(&g);
		if (i == 10)
			fds = count_fds();
	}
	ck_assert_uint_eq(count_fds(), fds);
	rig_down();
}
END_TEST

START_TEST(device_refuses)
{
	struct guest g;

	rig_up();
	connect_guest();
	guest_alloc(&g, 1, 16);
	ck_assert_uint_eq(guest_gpadl(&g), VMBUS_STATUS_SUCCESS);
	rig.toy.open_err = -ENOMEM;
	ck_assert_uint_eq(guest_ask_open(&g), VMBUS_STATUS_FAILED);
	ck_assert_int_eq(fake_guest_signal(rig.f, HV_CONN_CHANNEL_BASE + 1),
			 HV_STATUS_INVALID_CONNECTION_ID);
	rig.toy.open_err = 0;
	ck_assert_uint_eq(guest_ask_open(&g), VMBUS_STATUS_SUCCESS);
	guest_attach(&g);
	guest_echo(&g, 1);
	guest_close(&g);
	rig_down();
}
END_TEST

/* ---- teardown with work in flight ------------------------------------------------------------ */

static void open_with_three_in_flight(struct guest *g)
{
	rig_up();
	connect_guest();
	guest_open(g, 1, 0);
	rig.toy.hold = rig.toy.own_close = true;
	for (uint64_t i = 0; i < 3; i++)
		guest_send(g, i);
	UNTIL(rig.toy.c[0].nr_held == 3);
}

START_TEST(v22_close_in_flight)
{
	struct guest g;

	open_with_three_in_flight(&g);
	guest_detach(&g);
	say_relid(VMBUS_MSG_CLOSECHANNEL, 1);
	say_teardown(&g);
	UNTIL(rig.toy.c[0].closes == 1);
	expect_nothing(); /* no TORNDOWN yet */
	toy_end(&rig.toy, 0);
	expect(VMBUS_MSG_GPADL_TORNDOWN);
	rig_down();
}
END_TEST

START_TEST(guest_dies_in_flight)
{
	struct guest g;

	open_with_three_in_flight(&g);
	guest_detach(&g);
	vmbus_server_shutdown(rig.bus, on_shut, &rig);
	UNTIL(rig.toy.c[0].closes == 1);
	settle();
	ck_assert(!rig.shut);
	ck_assert_int_eq(post(&(union vmbus_msg){ 0 }, 8), HV_STATUS_INVALID_CONNECTION_ID);
	toy_end(&rig.toy, 0);
	UNTIL(rig.shut);
	vmbus_device_revoke(rig.toy.dev, toy_gone);
	ck_assert_uint_eq(rig.toy.gone, 1);
	vmbus_server_destroy(rig.bus);
	fake_partition_destroy(rig.f);
	loop_destroy(rig.loop);
	ck_assert_uint_eq(count_fds(), rig.fds);
}
END_TEST

/* A guest that is a VM resets without a word: the same bus then serves the next one. */
START_TEST(guest_resets_in_flight)
{
	static struct hv_message_page before;
	struct guest g;

	open_with_three_in_flight(&g);
	guest_detach(&g);
	say(VMBUS_MSG_REQUESTOFFERS); /* whose answers nobody is left for */
	hv_synic_reset(fake_partition(rig.f));
	memcpy(&before, fake_guest_messages(rig.f, 0), sizeof(before));
	vmbus_server_reset(rig.bus, on_shut, &rig);
	UNTIL(rig.toy.c[0].closes == 1);
	settle();
	ck_assert(!memcmp(&before, fake_guest_messages(rig.f, 0), sizeof(before)));
	ck_assert(!rig.shut); /* the device still has three of the old guest's */
	toy_end(&rig.toy, 0);
	UNTIL(rig.shut);
	rig.shut = false;
	rig.toy.hold = rig.toy.own_close = false;
	vmbus_server_reset(rig.bus, on_shut, &rig); /* before it said anything: done at once */
	ck_assert(rig.shut);
	rig.shut = false;
	for (uint32_t vp = 0; vp < VPS; vp++)
		fake_guest_enable(rig.f, vp);
	connect_guest();
	guest_open(&g, 1, 0);
	guest_echo(&g, 1);
	guest_close(&g);
	rig_down();
}
END_TEST

START_TEST(v06_contact_in_flight)
{
	struct guest g;

	open_with_three_in_flight(&g);
	guest_detach(&g);
	contact(VMBUS_V4_1);
	UNTIL(rig.toy.c[0].closes == 1);
	expect_nothing();
	contact(VMBUS_V5_3); /* the latest wins */
	toy_end(&rig.toy, 0);
	ck_assert_uint_eq(expect(VMBUS_MSG_VERSION_RESPONSE).version.version_or_connection, 1);
	rig.toy.hold = rig.toy.own_close = false;
	say(VMBUS_MSG_REQUESTOFFERS);
	ck_assert_uint_eq(expect(VMBUS_MSG_OFFERCHANNEL).offer.relid, 1);
	expect(VMBUS_MSG_ALLOFFERS_DELIVERED);
	guest_open(&g, 1, 2); /* U9 */
	guest_echo(&g, 5);
	guest_close(&g);
	rig_down();
}
END_TEST

START_TEST(unload_in_flight)
{
	struct guest g;

	open_with_three_in_flight(&g);
	guest_detach(&g);
	say(VMBUS_MSG_UNLOAD);
	UNTIL(rig.toy.c[0].closes == 1);
	expect_nothing();
	toy_end(&rig.toy, 0);
	expect(VMBUS_MSG_UNLOAD_RESPONSE);
	rig.toy.own_close = false;
	rig_down();
}
END_TEST

START_TEST(v41_removal_in_flight)
{
	struct guest g;
	struct toy second = { 0 };

	open_with_three_in_flight(&g);
	vmbus_device_revoke(rig.toy.dev, toy_gone);
	ck_assert_uint_eq(expect(VMBUS_MSG_RESCIND_CHANNELOFFER).relid.relid, 1);
	UNTIL(rig.toy.c[0].closes == 1);
	settle();
	ck_assert_uint_eq(rig.toy.gone, 0);
	toy_end(&rig.toy, 0);
	UNTIL(rig.toy.gone == 1); /* without a word from the guest */
	ck_assert_int_eq(toy_offer_as(&second, 0, "again"), 0);
	expect_nothing();
	guest_detach(&g);
	say_relid(VMBUS_MSG_CLOSECHANNEL, 1);
	say_relid(VMBUS_MSG_RELID_RELEASED, 1);
	ck_assert_uint_eq(expect(VMBUS_MSG_OFFERCHANNEL).offer.relid, 1);
	guest_open(&g, 1, 0);
	guest_echo(&g, 1);
	guest_detach(&g);
	vmbus_device_revoke(second.dev, toy_gone);
	UNTIL(second.gone == 1);
	rig_down();
}
END_TEST

/* ---- sub-channels -----------------------------------------------------------------------------
 */

START_TEST(sub_channels)
{
	struct guest g[4];

	rig_up();
	connect_guest();
	guest_open(&g[0], 1, 0);
	ck_assert_int_eq(vmbus_device_offer_subchannels(rig.toy.dev, VMBUS_MAX_SUBCHANNELS + 1),
			 -EINVAL);
	ck_assert_int_eq(vmbus_device_offer_subchannels(rig.toy.dev, 2), 0);
	ck_assert_int_eq(vmbus_device_offer_subchannels(rig.toy.dev, 3), 0);
	for (uint16_t i = 1; i < 4; i++) {
		union vmbus_msg m = expect(VMBUS_MSG_OFFERCHANNEL);

		ck_assert_uint_eq(m.offer.sub_index, i);
		ck_assert_uint_eq(m.offer.relid, i + 1u);
	}
	for (uint32_t i = 1; i < 4; i++)
		guest_open(&g[i], i + 1, i);
	for (uint64_t i = 0; i < 400; i++)
		guest_echo(&g[i % 4], i);
	ck_assert_int_eq(vmbus_device_offer_subchannels(rig.toy.dev, 3), 0);
	expect_nothing(); /* V40: those that exist stay */
	for (uint32_t vp = 0; vp < 4; vp++)
		ck_assert(fake_guest_take_event(rig.f, vp, vp + 1));
	/* The primary closes: its sub-channels go, open as they are. */
	for (uint32_t i = 0; i < 4; i++)
		guest_detach(&g[i]);
	say_relid(VMBUS_MSG_CLOSECHANNEL, 1);
	for (uint32_t i = 1; i < 4; i++)
		ck_assert_uint_eq(expect(VMBUS_MSG_RESCIND_CHANNELOFFER).relid.relid, i + 1);
	for (uint32_t i = 1; i < 4; i++)
		say_relid(VMBUS_MSG_RELID_RELEASED, i + 1);
	for (uint32_t i = 0; i < 4; i++)
		UNTIL(rig.toy.c[i].closes == 1);
	say_teardown(&g[0]);
	expect(VMBUS_MSG_GPADL_TORNDOWN);
	/* And once more. */
	guest_open(&g[0], 1, 0);
	ck_assert_int_eq(vmbus_device_offer_subchannels(rig.toy.dev, 1), 0);
	ck_assert_uint_eq(expect(VMBUS_MSG_OFFERCHANNEL).offer.sub_index, 1);
	guest_open(&g[1], 2, 3);
	guest_echo(&g[1], 9);
	guest_detach(&g[0]);
	guest_detach(&g[1]);
	rig_down();
}
END_TEST

/* As Linux, when the removal of another device keeps it from releasing them. */
START_TEST(sub_channels_beside_those_that_are_not_released)
{
	struct guest g[2];
	union vmbus_msg m;

	rig_up();
	connect_guest();
	guest_open(&g[0], 1, 0);
	ck_assert_int_eq(vmbus_device_offer_subchannels(rig.toy.dev, 1), 0);
	ck_assert_uint_eq(expect(VMBUS_MSG_OFFERCHANNEL).offer.relid, 2);
	guest_detach(&g[0]);
	say_relid(VMBUS_MSG_CLOSECHANNEL, 1);
	ck_assert_uint_eq(expect(VMBUS_MSG_RESCIND_CHANNELOFFER).relid.relid, 2);
	UNTIL(rig.toy.c[0].closes == 1);
	say_teardown(&g[0]);
	expect(VMBUS_MSG_GPADL_TORNDOWN);
	guest_open(&g[0], 1, 0);
	ck_assert_int_eq(vmbus_device_offer_subchannels(rig.toy.dev, 1), 0);
	expect_nothing();
	m = expect(VMBUS_MSG_OFFERCHANNEL);
	ck_assert_uint_eq(m.offer.sub_index, 1);
	ck_assert_uint_eq(m.offer.relid, 3);
	guest_open(&g[1], 3, 1);
	say_relid(VMBUS_MSG_RELID_RELEASED, 2);
	guest_echo(&g[1], 9);
	guest_detach(&g[0]);
	guest_detach(&g[1]);
	rig_down();
}
END_TEST

START_TEST(sub_channels_without_a_primary)
{
	rig_up();
	connect_guest();
	ck_assert_int_eq(vmbus_device_offer_subchannels(rig.toy.dev, 3), 0);
	expect_nothing();
	rig_down();
}
END_TEST

/* ---- interrupts
 * ---------------------------------------------------------------------------------- */

START_TEST(v37_interrupts_move)
{
	struct guest g;
	union vmbus_msg m;
	uint32_t len;

	rig_up();
	connect_guest();
	guest_open(&g, 1, 0);
	guest_echo(&g, 1);
	ck_assert(fake_guest_take_event(rig.f, 0, 1));
	len = vmbus_msg_init(&m, VMBUS_MSG_MODIFYCHANNEL);
	m.modify.relid = 1;
	m.modify.target_vp = 3;
	post(&m, len);
	m = expect(VMBUS_MSG_MODIFYCHANNEL_RESPONSE);
	ck_assert_uint_eq(m.modify_response.status, VMBUS_STATUS_SUCCESS);
	for (uint64_t i = 0; i < 100; i++)
		guest_echo(&g, i);
	ck_assert(!fake_guest_take_event(rig.f, 0, 1));
	ck_assert(fake_guest_take_event(rig.f, 3, 1));
	guest_close(&g);
	rig_down();
}
END_TEST

START_TEST(no_interrupts_wanted)
{
	struct guest g;

	rig_up();
	connect_guest();
	guest_open(&g, 1, VMBUS_NO_VP);
	for (uint64_t i = 0; i < 10; i++)
		guest_echo(&g, i); /* the guest polls */
	for (uint32_t vp = 0; vp < VPS; vp++)
		ck_assert_uint_eq(fake_guest_take_events(rig.f, vp, NULL, NULL), 0);
	guest_close(&g);
	rig_down();
}
END_TEST

/* Completions that become ready outside of drain(). */
START_TEST(kick)
{
	static const uint64_t payload[2] = { 0, ~0ull };
	struct guest g;
	uint64_t id;

	rig_up();
	connect_guest();
	guest_open(&g, 1, 0);
	rig.toy.hold = true;
	guest_send(&g, 0);
	UNTIL(rig.toy.c[0].nr_held == 1);
	for (int i = 0; i < 4; i++)
		turn(); /* idle by now */
	toy_answer(&rig.toy.c[0], 0, payload, sizeof(payload));
	ck_assert(!guest_take(&g, &id));
	vmbus_device_kick(rig.toy.dev, 0);
	ck_assert_int_ge(loop_turn(rig.loop, 0), 0); /* this turn, not when the loop is idle */
	ck_assert(guest_take(&g, &id));
	guest_close(&g);
	vmbus_device_kick(rig.toy.dev, 0); /* no-op outside of open .. closed */
	rig_down();
}
END_TEST

/* A provider that takes nothing, for want of room, lets the loop sleep. */
START_TEST(packets_that_nobody_takes)
{
	struct loop_stats before, after;
	struct guest g;
	uint64_t id;

	rig_up();
	connect_guest();
	guest_open(&g, 1, 0);
	rig.toy.stuck = true;
	guest_send(&g, 7);
	for (int i = 0; i < 4; i++)
		turn();
	loop_stats(rig.loop, &before);
	for (int i = 0; i < 20; i++)
		turn();
	loop_stats(rig.loop, &after);
	ck_assert_uint_ge(after.sleeps - before.sleeps, 15);
	rig.toy.stuck = false;
	vmbus_device_kick(rig.toy.dev, 0);
	UNTIL(guest_take(&g, &id));
	guest_close(&g);
	rig_down();
}
END_TEST

VMBUS_MAIN("vmbus/server", open_echo_close, packets_before_open, idle_channel_is_only_glanced_at,
	   many_packets_in_a_batch, idle_channel_costs_nothing, idle_channel_in_a_busy_loop,
	   reopen_many_times, device_refuses, v22_close_in_flight, guest_dies_in_flight,
	   guest_resets_in_flight, v06_contact_in_flight, unload_in_flight, v41_removal_in_flight,
	   sub_channels, sub_channels_beside_those_that_are_not_released,
	   sub_channels_without_a_primary, v37_interrupts_move, no_interrupts_wanted, kick,
	   packets_that_nobody_takes)
