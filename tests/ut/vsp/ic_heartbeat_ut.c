/* SPDX-License-Identifier: MIT */
/* Heartbeats: bytes of the protocol's example, contact had and lost, odd guests (I05). */
#include "tests/ut/vsp/ic_rig.h"

static struct ic_heartbeat *h;
static uint32_t changes;
static struct ic_heartbeat_status told;

static void on_change(void *ctx, const struct ic_heartbeat_status *now)
{
	(void)ctx;
	changes++;
	told = *now;
}

static void setup(void)
{
	struct ic_heartbeat_config cfg = { .changed = on_change };

	rig_start();
	changes = 0;
	cfg.loop = loop;
	ck_assert_int_eq(ic_heartbeat_create(&h, bus, &cfg), 0);
}

static void teardown(void)
{
	ic_heartbeat_destroy(h, rig_on_gone, NULL);
	rig_stop();
}

static void get_ready(uint16_t major)
{
	rig_open(0);
	rig_choose((struct ic_version){ 3, 0 }, (struct ic_version){ major, 0 });
}

static struct ic_heartbeat_status status(void)
{
	struct ic_heartbeat_status st;

	ic_heartbeat_status(h, &st);
	return st;
}

static void expect(enum ic_contact contact)
{
	ck_assert_str_eq(ic_contact_name(status().contact), ic_contact_name(contact));
}

/* Answers the next heartbeat as Linux does. */
static struct ic_heartbeat_body beat(uint32_t application)
{
	struct rig_message m = rig_recv();
	struct ic_heartbeat_body b, back;

	memcpy(&b, m.bytes + sizeof(m.frame), sizeof(b));
	back = b;
	back.sequence++;
	back.application = application;
	memcpy(m.bytes + sizeof(m.frame), &back, sizeof(back));
	rig_answer(&m, IC_OK);
	return b;
}

START_TEST(the_offer)
{
	static const struct guid type = VMBUS_CLASS_HEARTBEAT, instance = VMBUS_INSTANCE_HEARTBEAT;

	ck_assert(guid_equal(&fake_bus_desc(bus, 0)->type, &type));
	ck_assert(guid_equal(&fake_bus_desc(bus, 0)->instance, &instance));
	ck_assert_str_eq(fake_bus_desc(bus, 0)->name, "heartbeat");
}
END_TEST

START_TEST(golden)
{
	static const uint8_t negotiation[] = {
		1, 0, 0, 0, 44, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 24, 0, 0, 0, 0, 0, 0, 3,
		0, 0, 2, 0, 2,	0, 0, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 1,  0, 0, 0, 3, 0, 0, 0,
	};
	static const uint8_t forty_first[48] = { 1, 0, 0, 0,  0x24, 0, 0, 0, 3, 0, 0, 0, 1, 0,	 3,
						 0, 0, 0, 16, 0,    0, 0, 0, 0, 0, 3, 0, 0, 0x29 };
	struct rig_message m;

	rig_open(0);
	m = rig_recv();
	ck_assert_mem_eq(m.bytes, negotiation, sizeof(negotiation));
	fake_bus_close(bus, 0, 0);
	get_ready(3);
	for (int i = 0; i < 41; i++) {
		ck_assert_uint_eq(beat(0).sequence, (uint64_t)i);
		rig_pass(2 * RIG_S);
	}
	m = rig_recv();
	ck_assert_uint_eq(m.len, sizeof(forty_first));
	ck_assert_mem_eq(m.bytes, forty_first, sizeof(forty_first));
}
END_TEST

START_TEST(one_each_period)
{
	get_ready(3);
	expect(IC_CONTACT_NONE);
	beat(0);
	expect(IC_CONTACT_OK);
	rig_pass(RIG_S);
	rig_quiet();
	rig_pass(RIG_S + 1000000);
	beat(0);
	rig_quiet();
	ck_assert_uint_eq(status().sent, 2);
	ck_assert_uint_eq(status().answered, 2);
	ck_assert_uint_eq(changes, 1);
	ck_assert_uint_ge(status().last_ns, VTIME_START_NS);
}
END_TEST

START_TEST(i05_lost_after_four_and_found_again)
{
	get_ready(3);
	beat(0);
	rig_pass(2 * RIG_S); /* the one that stays unanswered */
	for (uint32_t i = 1; i <= 3; i++) {
		rig_pass(2 * RIG_S);
		ck_assert_uint_eq(status().missed, i);
		expect(IC_CONTACT_OK);
	}
	rig_pass(2 * RIG_S);
	expect(IC_CONTACT_LOST);
	ck_assert_uint_eq(changes, 2);
	ck_assert_int_eq(told.contact, IC_CONTACT_LOST);
	rig_pass(1000 * RIG_S);
	ck_assert_uint_eq(changes, 2);
	ck_assert_uint_eq(status().sent, 2);
	beat(0); /* it was asleep */
	rig_quiet();
	expect(IC_CONTACT_OK);
	ck_assert_uint_eq(status().missed, 0);
	ck_assert_uint_eq(status().lost, 1);
	rig_pass(2 * RIG_S);
	beat(0);
}
END_TEST

START_TEST(i05_never_answers)
{
	get_ready(3);
	for (int i = 0; i < 20; i++)
		rig_pass(2 * RIG_S);
	expect(IC_CONTACT_NONE);
	ck_assert_uint_eq(changes, 0);
	ck_assert_uint_eq(status().missed, 20);
}
END_TEST

/* Whatever it counts, in a body of any size and with any status. */
START_TEST(i05_odd_sequences)
{
	static const uint64_t odd[] = { 0, UINT64_MAX, 1, 1ull << 63 };
	struct rig_message m;

	get_ready(3);
	for (uint32_t i = 0; i < 8; i++) {
		m = rig_recv();
		memcpy(m.bytes + sizeof(m.frame), &odd[i % 4], 8);
		m.frame.header.size = (uint16_t)(i * 2);
		rig_answer(&m, i % 2 ? IC_FAIL : IC_OK);
		expect(IC_CONTACT_OK);
		rig_pass(2 * RIG_S);
	}
	ck_assert_uint_eq(changes, 1);
	ck_assert_uint_eq(beat(0).sequence, 8);
}
END_TEST

START_TEST(application_state)
{
	static const struct {
		uint32_t said;
		enum ic_application is;
	} said[] = { { 1, IC_APP_HEALTHY },	    { 2, IC_APP_CRITICAL }, { 3, IC_APP_STOPPED },
		     { 0, IC_APP_UNKNOWN },	    { 1, IC_APP_HEALTHY },  { 4, IC_APP_UNKNOWN },
		     { 0xffffffff, IC_APP_UNKNOWN } };

	get_ready(3);
	for (uint32_t i = 0; i < ARRAY_SIZE(said); i++) {
		beat(said[i].said);
		ck_assert_int_eq(status().application, said[i].is);
		rig_pass(2 * RIG_S);
	}
	ck_assert_uint_eq(changes, 6);
	beat(2);
	ck_assert_str_eq(ic_application_name(told.application), "critical");
	rig_pass(2 * RIG_S);
	for (int i = 0; i < 4; i++)
		rig_pass(2 * RIG_S);
	ck_assert_int_eq(told.contact, IC_CONTACT_LOST); /* who knows how it is now */
	ck_assert_int_eq(told.application, IC_APP_UNKNOWN);
}
END_TEST

/* Those of old have nothing there. */
START_TEST(application_state_of_version_1)
{
	get_ready(1);
	beat(2);
	ck_assert_int_eq(status().application, IC_APP_UNKNOWN);
	expect(IC_CONTACT_OK);
}
END_TEST

/* The guest restarts: it is as if it had never been there. */
START_TEST(closed_and_opened)
{
	get_ready(3);
	beat(1);
	rig_pass(2 * RIG_S);
	fake_bus_close(bus, 0, 0);
	expect(IC_CONTACT_NONE);
	ck_assert_uint_eq(changes, 2);
	rig_pass(100 * RIG_S);
	ck_assert_uint_eq(status().missed, 0);
	get_ready(3);
	beat(0);
	expect(IC_CONTACT_OK);
	ck_assert_uint_eq(status().lost, 0);
}
END_TEST

START_TEST(paused)
{
	ic_heartbeat_pause(h, true); /* before there is anything to pause */
	get_ready(3);
	rig_pass(100 * RIG_S);
	rig_quiet();
	ic_heartbeat_pause(h, false);
	rig_run();
	beat(0);
	rig_pass(2 * RIG_S);
	ic_heartbeat_pause(h, true);
	rig_pass(1000 * RIG_S);
	ck_assert_uint_eq(status().missed, 0);
	expect(IC_CONTACT_OK);
	ic_heartbeat_pause(h, false);
	rig_run();
	beat(0); /* the one from before */
	rig_quiet();
	rig_pass(2 * RIG_S);
	beat(0);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, the_offer);
	tcase_add_test(tc, golden);
	tcase_add_test(tc, one_each_period);
	tcase_add_test(tc, i05_lost_after_four_and_found_again);
	tcase_add_test(tc, i05_never_answers);
	tcase_add_test(tc, i05_odd_sequences);
	tcase_add_test(tc, application_state);
	tcase_add_test(tc, application_state_of_version_1);
	tcase_add_test(tc, closed_and_opened);
	tcase_add_test(tc, paused);
}

int main(void)
{
	return rig_main("ic_heartbeat", add, setup, teardown);
}
