/* SPDX-License-Identifier: MIT */
/*
 * SynIC protocol between two running threads: no message lost, doubled or out of
 * order, no message that only the back-off timer could deliver, no event flag lost.
 */
#include "tests/ut/hv-core/hv_rig.h"

#include <sched.h>

#include "base/clock.h"

/* Each test ends after so much work, or after a second on a busy machine. */
#define MESSAGES (RIG_EFFORT * 15000)
#define EVENTS	 (RIG_EFFORT * 5000)
#define TOGGLES	 (RIG_EFFORT * 500)
#define BUDGET	 1000000000ull

/* ---- messages -------------------------------------------------------------------- */

/*
 * The guest thread takes messages and asks the root for an EOM when told to. @busy is
 * 1 from before it empties a slot until its EOM, if due, is queued.
 */
static struct {
	uint32_t sent;			     /* loop */
	uint32_t busy, eom_queued, finished; /* shared */
	uint32_t limit;			     /* how many to send; shared, written by the loop */
	bool in_eom;			     /* loop */
} race = { .limit = MESSAGES };

/* So that the second message meets the guest at every stage of taking the first. */
static void dawdle(void)
{
	static uint32_t x = 12345;

	x = x * 1103515245 + 12345;
	for (uint32_t i = x >> 16 & 15; i; i--)
		cpu_relax();
}

static void post_all(void *ctx)
{
	uint32_t before = race.sent;

	(void)ctx;
	while (race.sent < race.limit) {
		uint32_t next = race.sent;
		int err = hv_synic_post_message(fake_partition(rig), 0, HV_VMBUS_SINT, 1, &next,
						sizeof(next));

		if (err) {
			ck_assert_int_eq(err, -EAGAIN);
			break;
		}
		race.sent++;
		dawdle();
	}
	if (race.in_eom || race.sent == before)
		return;
	/*
	 * The slot was emptied and nobody told us. Right only while the guest is
	 * between emptying it and queueing the EOM.
	 */
	ck_assert_msg(load_acquire(&race.busy) || load_acquire(&race.eom_queued),
		      "message %u was waiting and nobody was told", before);
}

/* The loop, except that EOMs are polled for: two spinning threads collide far more often. */
static void serve(void)
{
	uint64_t end = clock_ns() + BUDGET;

	for (uint32_t i = 0; !load_acquire(&race.finished); i++) {
		if (load_acquire(&race.eom_queued)) {
			store_release(&race.eom_queued, 0);
			race.in_eom = true;
			ck_assert_int_eq(fake_guest_wrmsr(rig, 0, HV_MSR_EOM, 0), 0);
			race.in_eom = false;
		} else if (i % 256 == 0) {
			ck_assert_int_ge(loop_turn(rig_loop, 0), 0);
			sched_yield();
			if (clock_ns() > end)
				store_release(&race.limit, race.sent);
		}
	}
}

static bool guest_take(struct hv_message *m)
{
	bool taken, eom;

	store_release(&race.busy, 1);
	taken = fake_guest_take_message(rig, 0, m, &eom);
	if (eom)
		store_release(&race.eom_queued, 1);
	store_release(&race.busy, 0);
	return taken;
}

/* A guest that polls: no interrupt delays it, so the two sides meet at every step. */
static bool guest_poll(struct hv_message *m, uint32_t expected)
{
	for (uint32_t i = 1; expected < load_acquire(&race.limit); i++) {
		if (guest_take(m))
			return true;
		if (i % 256 == 0)
			sched_yield();
	}
	return false;
}

static void *guest(void *arg)
{
	struct hv_message m;
	uint32_t got, expected;

	for (expected = 0; guest_poll(&m, expected); expected++) {
		ck_assert_uint_eq(m.payload_size, sizeof(got));
		memcpy(&got, m.payload, sizeof(got));
		ck_assert_uint_eq(got, expected);
	}
	store_release(&race.finished, 1);
	return arg;
}

START_TEST(no_message_is_lost)
{
	pthread_t t;

	rig_up(1);
	fake_guest_enable(rig, 0);
	ck_assert_int_eq(fake_guest_wrmsr(rig, 0, HV_MSR_SINT0 + HV_VMBUS_SINT, 0x400f3), 0);
	hv_synic_on_retry(fake_partition(rig), post_all, NULL);
	race.in_eom = true;
	post_all(NULL);
	race.in_eom = false;
	ck_assert_int_eq(pthread_create(&t, NULL, guest, NULL), 0);
	serve();
	pthread_join(t, NULL);
	ck_assert_uint_eq(race.sent, race.limit);
	ck_assert_uint_gt(race.sent, 10); /* a machine can be that busy */
	rig_down();
}
END_TEST

/* ---- event flags --------------------------------------------------------------------- */

#define SENDERS 2

struct sender {
	uint32_t flag;
	uint32_t sequence; /* what a ring's write index would be */
	uint32_t seen;	   /* guest's */
	uint32_t total;	   /* set when the sender has ended */
	pthread_t thread;
};

static struct sender sender[SENDERS] = { { .flag = 70 }, { .flag = 71 } };

static void *send_events(void *arg)
{
	struct sender *s = arg;
	uint64_t end = clock_ns() + BUDGET;
	uint32_t i = 0;

	do {
		/* The last one is known before it is signalled, or the guest would sleep. */
		if (++i == EVENTS || (i % 64 == 0 && clock_ns() > end))
			store_relaxed(&s->total, i);
		store_relaxed(&s->sequence, i);
		if (hv_synic_signal_event(fake_partition(rig), 0, HV_VMBUS_SINT, s->flag))
			ck_abort_msg("event %u was refused", i);
	} while (!s->total);
	return NULL;
}

static void on_event(void *ctx, uint32_t flag)
{
	struct sender *s = &sender[flag - 70];

	(void)ctx;
	if (flag != 70 && flag != 71)
		ck_abort_msg("flag %u", flag);
	s->seen = load_relaxed(&s->sequence);
}

static bool all_seen(void)
{
	for (int i = 0; i < SENDERS; i++)
		if (!load_relaxed(&sender[i].total) ||
		    sender[i].seen < load_relaxed(&sender[i].total))
			return false;
	return true;
}

START_TEST(no_event_is_lost)
{
	uint64_t seen;

	rig_up(1);
	fake_guest_enable(rig, 0);
	for (int i = 0; i < SENDERS; i++)
		ck_assert_int_eq(pthread_create(&sender[i].thread, NULL, send_events, &sender[i]),
				 0);
	while (!all_seen()) {
		seen = fake_guest_interrupts(rig, 0);
		if (!fake_guest_take_events(rig, 0, on_event, NULL))
			ck_assert(fake_guest_wait(rig, 0, seen));
	}
	for (int i = 0; i < SENDERS; i++)
		pthread_join(sender[i].thread, NULL);
	rig_down();
}
END_TEST

/* Signalling from threads while the guest switches its SynIC on and off and moves its pages. */
static uint32_t toggling = 1;

static void *send_always(void *arg)
{
	int err;

	(void)arg;
	while (load_relaxed(&toggling)) {
		err = hv_synic_signal_event(fake_partition(rig), 0, HV_VMBUS_SINT, 3);
		if (err && err != -ENXIO)
			ck_abort_msg("%d", err);
	}
	return NULL;
}

START_TEST(signals_while_registers_change)
{
	static const uint32_t sint = HV_MSR_SINT0 + HV_VMBUS_SINT;
	uint64_t page[2];
	pthread_t t;

	rig_up(1);
	fake_guest_enable(rig, 0);
	page[0] = fake_guest_alloc(rig, 1);
	page[1] = fake_guest_alloc(rig, 1);
	ck_assert_int_eq(pthread_create(&t, NULL, send_always, NULL), 0);
	for (uint32_t i = 0; i < TOGGLES; i++) {
		switch (i % 4) {
		case 0:
			fake_guest_wrmsr(rig, 0, HV_MSR_SCONTROL, i / 4 % 2);
			break;
		case 1:
			fake_guest_wrmsr(rig, 0, sint, i / 4 % 2 ? 0xf3 : 0x10000);
			break;
		case 2:
			fake_guest_wrmsr(rig, 0, HV_MSR_SIMP, page[i / 4 % 2] | 1);
			break;
		default:
			fake_guest_wrmsr(rig, 0, HV_MSR_SCONTROL, 1);
			fake_guest_wrmsr(rig, 0, sint, 0xf3);
		}
	}
	store_relaxed(&toggling, 0);
	pthread_join(t, NULL);
	/* Afterwards all is as before. */
	fake_guest_take_events(rig, 0, NULL, NULL);
	ck_assert_int_eq(hv_synic_signal_event(fake_partition(rig), 0, HV_VMBUS_SINT, 3), 0);
	ck_assert(fake_guest_take_event(rig, 0, 3));
	rig_down();
}
END_TEST

RIG_MAIN("hv-core/synic_race", no_message_is_lost, no_event_is_lost, signals_while_registers_change)
