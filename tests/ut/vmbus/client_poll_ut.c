/* SPDX-License-Identifier: MIT */
/* Threads that wait for the bus and for something else in one poll(2). */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/ut/vmbus/client_rig.h"

#define ROUNDS 300

static int other; /* the something else */

/* 1: the bus, 2: the other one, 3: both, 0: neither. */
static int wait_for_both(uint32_t vp, int timeout_ms)
{
	struct pollfd p[2] = { { vmbus_client_fd(bus, vp), POLLIN, 0 }, { other, POLLIN, 0 } };

	ck_assert_int_ge(p[0].fd, 0);
	if (!vmbus_client_arm(bus, vp))
		return 1;
	ck_assert_int_ge(poll(p, 2, timeout_ms), 0);
	return (p[0].revents ? 1 : 0) | (p[1].revents ? 2 : 0);
}

static void up(void)
{
	rig_root();
	evil_add(&root, 5, 0, 5);
	rig_connect();
	other = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

static void down(void)
{
	close(other);
	rig_fini();
}

/* Every packet's answer is seen, on the VP of the messages and on another one. */
START_TEST(answers_arrive)
{
	struct vmbus_offer o;
	struct vmbus_chan *c;
	struct vmpkt pkt;

	for (uint32_t vp = 0; vp < 2; vp++) {
		up();
		o = rig_offer(0);
		c = rig_open(&o, vp);
		ck_assert(!vmbus_chan_unmask(c));
		for (uint64_t id = 0; id < ROUNDS; id++) {
			ck_assert_int_eq(vmbus_chan_send(c, VMPKT_FLAG_COMPLETION_REQUESTED, id,
							 &id, sizeof(id)),
					 0);
			vmbus_chan_flush(c);
			if (id % 7 == 0)
				eventfd_write(other, 1);
			while (!vmbus_chan_recv(c, &pkt)) {
				int what;

				if (vmbus_chan_unmask(c))
					continue;
				what = wait_for_both(vp, 10000);
				ck_assert_int_ne(what, 0); /* nothing is lost */
				ck_assert_int_ge(vmbus_client_disarm(bus, vp), 0);
				if (what & 2) {
					eventfd_t n;

					eventfd_read(other, &n);
				}
			}
			ck_assert_uint_eq(pkt.trans_id, id);
			vmbus_chan_recv_done(c);
		}
		vmbus_client_close(bus, c);
		down();
	}
}
END_TEST

START_TEST(other_news_are_no_interrupts)
{
	up();
	for (uint32_t vp = 0; vp < 2; vp++) {
		eventfd_t n;

		wait_for_both(vp, 0); /* what connecting left over */
		vmbus_client_disarm(bus, vp);
		ck_assert_int_eq(wait_for_both(vp, 0), 0);
		ck_assert_int_eq(vmbus_client_disarm(bus, vp), 0);
		eventfd_write(other, 1);
		ck_assert_int_eq(wait_for_both(vp, 10000), 2);
		ck_assert_int_eq(vmbus_client_disarm(bus, vp), 0);
		eventfd_read(other, &n);
	}
	down();
}
END_TEST

static void rescind(uint32_t relid)
{
	evil_lock(&root);
	evil_say(&root, VMBUS_MSG_RESCIND_CHANNELOFFER, relid, 0, 0);
	evil_unlock(&root);
}

static void *pump_vp0(void *arg)
{
	struct vmbus_chan *c = arg;

	while (!vmbus_client_rescinded(bus, c))
		vmbus_client_wait(bus, 0, 20 * MS);
	return NULL;
}

/* A rescind is a message: its thread takes it itself, or hears of it from another. */
START_TEST(rescinds_wake)
{
	struct vmbus_offer o;
	struct vmbus_chan *c;
	pthread_t pump;

	for (uint32_t vp = 0; vp < 2; vp++) {
		up();
		o = rig_offer(0);
		c = rig_open(&o, vp);
		if (vp)
			pthread_create(&pump, NULL, pump_vp0, c);
		rescind(5);
		while (!vmbus_client_rescinded(bus, c)) {
			ck_assert_int_eq(wait_for_both(vp, 10000), 1);
			ck_assert_int_ge(vmbus_client_disarm(bus, vp), 0);
		}
		if (vp)
			pthread_join(pump, NULL);
		vmbus_client_close(bus, c);
		down();
	}
}
END_TEST

static void *open_and_close(void *arg)
{
	struct vmbus_offer o = rig_offer(0);

	for (int i = 0; i < 30; i++)
		vmbus_client_close(bus, rig_open(&o, 1));
	store_release((uint32_t *)arg, 1);
	eventfd_write(other, 1);
	return NULL;
}

/*
 * Another thread's answers come by the one that polls VP 0, whether it has the interrupt or the
 * other one has.
 */
START_TEST(others_wait_for_answers_meanwhile)
{
	uint64_t start = clock_ns();
	uint32_t done = 0;
	pthread_t t;

	up();
	ck_assert_int_ge(vmbus_client_fd(bus, 0), 0);
	pthread_create(&t, NULL, open_and_close, &done);
	while (!load_acquire(&done)) {
		ck_assert_int_ne(wait_for_both(0, 10000), 0);
		ck_assert_int_ge(vmbus_client_disarm(bus, 0), 0);
	}
	pthread_join(t, NULL);
	ck_assert_uint_lt(clock_ns() - start, LIMIT_NS / 2);
	down();
}
END_TEST

static void *hang_up_or_cancel(void *arg)
{
	if (arg) {
		evil_lock(&root);
		evil_hang_up(&root);
		evil_unlock(&root);
	} else {
		vmbus_client_cancel(bus);
	}
	return NULL;
}

START_TEST(ends_wake)
{
	for (int i = 0; i < 4; i++) {
		uint32_t vp = (uint32_t)i & 1;
		void *dies = i & 2 ? &root : NULL;
		int want = dies ? -ECONNRESET : -ECANCELED, r;
		pthread_t t;

		up();
		ck_assert_int_ge(vmbus_client_fd(bus, vp), 0);
		pthread_create(&t, NULL, hang_up_or_cancel, dies);
		do {
			ck_assert_int_eq(wait_for_both(vp, 10000), 1);
			r = vmbus_client_disarm(bus, vp);
		} while (r >= 0);
		/* VP 1 sees the dead connection itself, VP 0 ends the client. */
		ck_assert_int_eq(r, want);
		ck_assert(!vmbus_client_arm(bus, vp));
		ck_assert_int_eq(vmbus_client_disarm(bus, vp), want);
		pthread_join(t, NULL);
		down();
	}
}
END_TEST

START_TEST(roots_that_cannot)
{
	rig_root();
	root.old = true;
	rig_connect();
	ck_assert_int_eq(vmbus_client_fd(bus, 0), -EOPNOTSUPP);
	ck_assert(!vmbus_client_arm(bus, 1));
	ck_assert_int_ge(vmbus_client_disarm(bus, 1), 0);
	ck_assert_int_eq(vmbus_client_fd(bus, 77), -EINVAL);
	rig_fini();
}
END_TEST

static void add_polls(TCase *tc)
{
	tcase_add_test(tc, answers_arrive);
	tcase_add_test(tc, other_news_are_no_interrupts);
	tcase_add_test(tc, rescinds_wake);
	tcase_add_test(tc, others_wait_for_answers_meanwhile);
	tcase_add_test(tc, ends_wake);
	tcase_add_test(tc, roots_that_cannot);
}

int main(void)
{
	static void (*const parts[])(TCase *) = { add_polls };

	return rig_main("vmbus/client: poll", parts, ARRAY_SIZE(parts));
}
