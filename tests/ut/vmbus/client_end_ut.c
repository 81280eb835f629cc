/* SPDX-License-Identifier: MIT */
/* How things end for the child: rescinds, a busy root, threads that sleep, the root's death. */
#include "tests/ut/vmbus/client_rig.h"

/* ---- rescind --------------------------------------------------------------------------------- */

static void rescind(uint32_t relid)
{
	evil_lock(&root);
	evil_say(&root, VMBUS_MSG_RESCIND_CHANNELOFFER, relid, 0, 0);
	evil_unlock(&root);
}

START_TEST(rescind_of_a_closed_channel_releases_it_at_once)
{
	struct vmbus_offer o;

	rig_root();
	evil_add(&root, 5, 0, 5);
	rig_connect();
	o = rig_offer(0);
	rescind(5);
	rig_until(rig_stats().offers == 0);
	evil_await(&root, VMBUS_MSG_RELID_RELEASED, 1);
	ck_assert_int_eq(vmbus_client_find(bus, &evil_type, 0, &o), -ENOENT);
	rig_fini();
	ck_assert_uint_eq(root.count[VMBUS_MSG_RELID_RELEASED], 1);
}
END_TEST

START_TEST(rescind_of_an_open_channel_wakes_its_thread)
{
	struct vmbus_offer o, again;
	struct vmbus_chan *c, *c2;

	rig_root();
	evil_add(&root, 5, 0, 5);
	rig_connect();
	o = rig_offer(0);
	c = rig_open(&o, 0);
	rescind(5);
	while (!vmbus_client_rescinded(bus, c))
		ck_assert_int_eq(vmbus_client_wait(bus, 0, LIMIT_NS), 1);
	ck_assert_int_eq(vmbus_client_find(bus, &evil_type, 0, &again), -ENOENT);
	ck_assert_int_eq(vmbus_client_modify(bus, c, 1), -ENOENT);
	ck_assert_uint_eq(rig_count(VMBUS_MSG_RELID_RELEASED), 0); /* not while it is open */
	vmbus_client_close(bus, c);
	evil_await(&root, VMBUS_MSG_RELID_RELEASED, 1);
	ck_assert_uint_eq(rig_stats().pages_abandoned, 0);

	/* The relid is free: the same device may come again. */
	evil_lock(&root);
	evil_send(&root, &root.chan[5].offer, sizeof(root.chan[5].offer));
	evil_unlock(&root);
	rig_until(!vmbus_client_find(bus, &evil_type, 0, &again));
	c2 = rig_open(&again, 0);
	rig_echo(c2, 0, 1);
	vmbus_client_close(bus, c2);
	rig_fini();
	ck_assert_uint_eq(root.count[VMBUS_MSG_RELID_RELEASED], 1);
}
END_TEST

struct sleeper {
	struct vmbus_chan *chan;
	uint32_t vp;
	int result;
};

static void *sleep_until_rescinded(void *arg)
{
	struct sleeper *s = arg;

	while (!vmbus_client_rescinded(bus, s->chan))
		s->result = vmbus_client_wait(bus, s->vp, UINT64_MAX);
	return NULL;
}

START_TEST(rescind_wakes_the_thread_of_another_vp)
{
	struct sleeper s = { .vp = 2 };
	struct vmbus_offer o;
	pthread_t thread;

	rig_root();
	evil_add(&root, 5, 0, 5);
	rig_connect();
	o = rig_offer(0);
	s.chan = rig_open(&o, 2);
	ck_assert_int_eq(pthread_create(&thread, NULL, sleep_until_rescinded, &s), 0);
	rescind(5);
	rig_until(vmbus_client_rescinded(bus, s.chan));
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	rig_fini();
}
END_TEST

static void *open_for_ever(void *arg)
{
	struct sleeper *s = arg;
	struct vmbus_offer o = rig_offer(s->vp);

	s->result = vmbus_client_open(bus, &o, RING, 0, 0, NULL, NULL, &s->chan);
	return NULL;
}

/* The thread of VP 0 sleeps while another, in a control call, gets the message. */
START_TEST(rescind_wakes_the_thread_of_vp_0_whoever_pumps)
{
	struct sleeper s = { .vp = 0 }, opener = { .vp = 1 };
	struct vmbus_offer o;
	pthread_t t[2];

	rig_root();
	evil_add(&root, 5, 0, 5);
	evil_add(&root, 6, 0, 6);
	rig_connect();
	o = rig_offer(0);
	s.chan = rig_open(&o, 0);
	evil_lock(&root);
	rig_type = VMBUS_MSG_OPENCHANNEL;
	root.on_message = rig_swallow;
	evil_unlock(&root);
	ck_assert_int_eq(pthread_create(&t[0], NULL, open_for_ever, &opener), 0);
	evil_await(&root, VMBUS_MSG_OPENCHANNEL, 2);
	ck_assert_int_eq(pthread_create(&t[1], NULL, sleep_until_rescinded, &s), 0);
	rescind(5);
	ck_assert_int_eq(pthread_join(t[1], NULL), 0);
	rescind(6);
	ck_assert_int_eq(pthread_join(t[0], NULL), 0);
	ck_assert_int_eq(opener.result, -ENOENT);
	rig_fini();
}
END_TEST

/* ---- back-pressure ------------------------------------------------------------------------------
 */

static int busy_left;

static int busy_for_a_while(struct evil_root *r, uint32_t connection, const union vmbus_msg *m,
			    uint32_t len)
{
	static const int busy[] = { HV_STATUS_INSUFFICIENT_BUFFERS, HV_STATUS_INSUFFICIENT_MEMORY,
				    HV_STATUS_INVALID_CONNECTION_ID };

	(void)r;
	(void)connection;
	(void)len;
	if (busy_left == 0) {
		busy_left = 5;
		return EVIL_PASS;
	}
	busy_left--;
	/* "No such connection" is final for a contact only (spec: hypervisor, 3.4). */
	return busy[m->hdr.type == VMBUS_MSG_INITIATE_CONTACT ? busy_left % 2 : busy_left % 3];
}

START_TEST(busy_root_is_asked_again)
{
	struct vmbus_chan *c;
	struct vmbus_offer o;

	rig_root();
	evil_add(&root, 5, 0, 5);
	busy_left = 5;
	root.on_message = busy_for_a_while;
	rig_connect();
	ck_assert_uint_eq(vmbus_client_version(bus), VMBUS_V5_3);
	o = rig_offer(0);
	c = rig_open(&o, 0);
	rig_echo(c, 0, 1);
	rescind(5);
	rig_until(vmbus_client_rescinded(bus, c));
	vmbus_client_close(bus, c);
	rig_until(rig_count(VMBUS_MSG_RELID_RELEASED) == 6);
	rig_fini();
}
END_TEST

/* ---- threads
 * ---------------------------------------------------------------------------------------- */

static void *echo_on_vp0(void *arg)
{
	for (uint64_t i = 0; i < 2000; i++)
		rig_echo(arg, 0, i + 1);
	return NULL;
}

/* Both sleep on VP 0: one for packets, one for answers. */
START_TEST(data_thread_and_control_calls_share_vp_0)
{
	struct vmbus_offer o[2];
	struct vmbus_chan *c, *other;
	pthread_t thread;

	rig_root();
	evil_add(&root, 5, 0, 5);
	evil_add(&root, 6, 0, 6);
	rig_connect();
	o[0] = rig_offer(0);
	o[1] = rig_offer(1);
	c = rig_open(&o[0], 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, echo_on_vp0, c), 0);
	for (int i = 0; i < 60; i++) {
		other = rig_open(&o[1], 1);
		rig_echo(other, 1, 5);
		ck_assert_int_eq(vmbus_client_modify(bus, other, 2), 0);
		rig_echo(other, 2, 6);
		vmbus_client_close(bus, other);
	}
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_uint_eq(rig_stats().messages_ignored, 0);
	rig_fini();
}
END_TEST

START_TEST(wait_ends_in_time)
{
	uint64_t start;

	rig_root();
	rig_connect();
	for (uint32_t vp = 0; vp < 3; vp++) {
		while (vmbus_client_wait(bus, vp, 0) == 1)
			; /* interrupts of the messages before */
		start = clock_ns();
		ck_assert_int_eq(vmbus_client_wait(bus, vp, 20 * MS), 0);
		ck_assert_uint_ge(clock_ns() - start, 20 * MS);
	}
	ck_assert_int_eq(vmbus_client_wait(bus, 3, 0), -EINVAL);
	rig_fini();
}
END_TEST

static void *sleep_for_ever(void *arg)
{
	struct sleeper *s = arg;

	while ((s->result = vmbus_client_wait(bus, s->vp, UINT64_MAX)) == 1)
		;
	return NULL;
}

/* Sleeping threads on VP 0 and 1, and one in a control call: how the end comes to all. */
START_TEST(every_wait_ends)
{
	struct sleeper s[3] = { { .vp = 0 }, { .vp = 1 }, { .vp = 0 } };
	int want = _i ? -ECANCELED : -ECONNRESET;
	struct vmbus_chan *c;
	struct vmbus_offer o;
	pthread_t t[3];

	rig_root();
	evil_add(&root, 5, 0, 5);
	rig_type = VMBUS_MSG_OPENCHANNEL;
	root.on_message = rig_swallow;
	rig_connect();
	o = rig_offer(0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(
			pthread_create(&t[i], NULL, i < 2 ? sleep_for_ever : open_for_ever, &s[i]),
			0);
	evil_await(&root, VMBUS_MSG_OPENCHANNEL, 1);
	if (_i) {
		vmbus_client_cancel(bus);
	} else {
		evil_lock(&root);
		evil_hang_up(&root);
		evil_unlock(&root);
	}
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(pthread_join(t[i], NULL), 0);
		ck_assert_int_eq(s[i].result, want);
	}
	ck_assert_int_eq(vmbus_client_wait(bus, 0, UINT64_MAX), want);
	ck_assert_int_eq(vmbus_client_wait(bus, 1, UINT64_MAX), want);
	ck_assert_int_eq(vmbus_client_open(bus, &o, RING, 0, 0, NULL, NULL, &c), want);
	ck_assert_int_eq(vmbus_client_wait_sub(bus, &o, 1, &o), want);
	ck_assert_uint_eq(rig_stats().pages_abandoned, _i ? 8 : 0);
	rig_fini();
}
END_TEST

START_TEST(channel_of_a_dead_root_can_be_closed)
{
	struct vmbus_chan *c;
	struct vmbus_offer o;
	uint32_t before;

	rig_root();
	evil_add(&root, 5, 0, 5);
	rig_connect();
	before = rig_free_pages();
	o = rig_offer(0);
	c = rig_open(&o, 1);
	evil_lock(&root);
	evil_hang_up(&root);
	evil_unlock(&root);
	while (vmbus_client_wait(bus, 1, UINT64_MAX) == 1)
		;
	vmbus_chan_send(c, 1, 1, NULL, 0);
	vmbus_chan_flush(c);
	vmbus_client_close(bus, c);
	ck_assert_uint_eq(rig_free_pages(), before);
	rig_fini();
}
END_TEST

static void add_ends(TCase *tc)
{
	tcase_add_test(tc, rescind_of_a_closed_channel_releases_it_at_once);
	tcase_add_test(tc, rescind_of_an_open_channel_wakes_its_thread);
	tcase_add_test(tc, rescind_wakes_the_thread_of_another_vp);
	tcase_add_test(tc, rescind_wakes_the_thread_of_vp_0_whoever_pumps);
	tcase_add_test(tc, busy_root_is_asked_again);
	tcase_add_test(tc, data_thread_and_control_calls_share_vp_0);
	tcase_add_test(tc, wait_ends_in_time);
	tcase_add_loop_test(tc, every_wait_ends, 0, 2);
	tcase_add_test(tc, channel_of_a_dead_root_can_be_closed);
}

int main(void)
{
	static void (*const parts[])(TCase *) = { add_ends };

	return rig_main("vmbus/client: ends", parts, ARRAY_SIZE(parts));
}
