/* SPDX-License-Identifier: MIT */
/* Loops, both engines: the poller protocol, flush hooks, spinning and sleeping. */
#include "base/compiler.h"
#include "tests/ut/base/loop_rig.h"

/* What happened, in order: one letter each; "(x)" is poller x armed, then disarmed. */
static char trace[256];

static void mark(char c)
{
	size_t n = strlen(trace);

	ck_assert_uint_lt(n + 1, sizeof(trace));
	trace[n] = c;
	trace[n + 1] = '\0';
}

static void clear_trace(void)
{
	trace[0] = '\0';
}

/* ---- pollers ---------------------------------------------------------------------- */

struct poller {
	struct loop_poller p;
	struct loop *l;
	char name;
	int work; /* polls that find something */
	int late; /* arms that find something */
	bool leave_poll, leave_arm, leave_disarm, free_me;
	struct poller *victim;	/* removed in our poll */
	struct poller *friend;	/* added in our arm */
	struct loop_hook *hook; /* queued in our poll and arm */
	int polls, arms, disarms;
	bool armed;
};

static void leave(struct poller *p)
{
	loop_poller_del(p->l, &p->p);
	if (p->free_me) {
		memset(p, 0x5a, sizeof(*p));
		free(p);
	}
}

static bool on_poll(struct loop_poller *lp)
{
	struct poller *p = container_of(lp, struct poller, p);
	bool work = p->work > 0;

	ck_assert(!p->armed);
	p->polls++;
	p->work -= work;
	if (work)
		mark(p->name);
	if (p->hook && work)
		loop_hook_queue(p->l, p->hook);
	if (p->victim) {
		leave(p->victim);
		p->victim = NULL;
	}
	if (p->leave_poll)
		leave(p);
	return work;
}

static bool on_arm(struct loop_poller *lp)
{
	struct poller *p = container_of(lp, struct poller, p);
	bool late = p->late > 0;

	ck_assert(!p->armed);
	p->armed = true;
	p->arms++;
	p->late -= late;
	p->work += late;
	mark('(');
	mark(p->name);
	if (p->hook)
		loop_hook_queue(p->l, p->hook);
	if (p->friend) {
		loop_poller_add(p->l, &p->friend->p);
		p->friend = NULL;
	}
	if (p->leave_arm)
		leave(p);
	return !late;
}

static void on_disarm(struct loop_poller *lp)
{
	struct poller *p = container_of(lp, struct poller, p);

	ck_assert(p->armed);
	p->armed = false;
	p->disarms++;
	mark(')');
	if (p->leave_disarm)
		leave(p);
}

#define POLLER(nm)                                                                                 \
	((struct poller){ .p = { .poll = on_poll, .arm = on_arm, .disarm = on_disarm },            \
			  .l = l,                                                                  \
			  .name = (nm) })

static void stop_bell(struct loop_bell *b)
{
	(void)b;
	mark('!');
}

START_TEST(poller_with_work_keeps_the_loop_awake)
{
	struct loop *l = rig_loop(_i, 0);
	struct poller a = POLLER('a');
	struct loop_stats st;

	a.work = 5;
	loop_poller_add(l, &a.p);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(loop_turn(l, UINT64_MAX), 1);
	ck_assert_str_eq(trace, "aaaaa");
	ck_assert_int_eq(loop_turn(l, MS), 0);
	ck_assert_str_eq(trace, "aaaaa(a)");
	loop_stats(l, &st);
	ck_assert_uint_eq(st.sleeps, 1);
	loop_poller_del(l, &a.p);
	loop_destroy(l);
}
END_TEST

START_TEST(work_found_while_arming_prevents_sleep)
{
	struct loop *l = rig_loop(_i, 0);
	struct poller a = POLLER('a'), b = POLLER('b'), c = POLLER('c');
	struct loop_stats st;

	b.late = 1;
	loop_poller_add(l, &a.p);
	loop_poller_add(l, &b.p);
	loop_poller_add(l, &c.p);
	ck_assert_int_eq(loop_turn(l, UINT64_MAX), 1); /* would hang if it slept */
	ck_assert_str_eq(trace, "(a(b))");	       /* c is not asked any more */
	loop_stats(l, &st);
	ck_assert_uint_eq(st.sleeps, 0);
	ck_assert_int_eq(loop_turn(l, UINT64_MAX), 1);
	ck_assert_str_eq(trace, "(a(b))b");
	clear_trace();
	ck_assert_int_eq(loop_turn(l, MS), 0);
	ck_assert_str_eq(trace, "(a(b(c)))");
	loop_poller_del(l, &a.p);
	loop_poller_del(l, &b.p);
	loop_poller_del(l, &c.p);
	loop_destroy(l);
}
END_TEST

START_TEST(waking_disarms_before_anything_else)
{
	struct loop *l = rig_loop(_i, 0);
	struct poller a = POLLER('a');
	struct loop_bell bell = { .fd = rig_eventfd(), .rung = stop_bell };

	ck_assert_int_eq(loop_bell_add(l, &bell), 0);
	rig_settle(l);
	loop_poller_add(l, &a.p);
	rig_ring(bell.fd);
	while (!bell.rings)
		ck_assert_int_ge(loop_turn(l, UINT64_MAX), 0);
	/* Awake all the time, or asleep and disarmed before the bell was told. */
	ck_assert(!strcmp(trace, "!") || !strcmp(trace, "(a)!"));
	loop_poller_del(l, &a.p);
	loop_bell_del(l, &bell);
	loop_destroy(l);
	close(bell.fd);
}
END_TEST

START_TEST(poller_may_leave_in_each_callback)
{
	struct loop *l = rig_loop(_i, 0);
	struct poller *p[3], stay = POLLER('s');
	struct loop_stats st;

	for (int i = 0; i < 3; i++) {
		p[i] = malloc(sizeof(*p[i]));
		*p[i] = POLLER((char)('0' + i));
		p[i]->free_me = true;
	}
	p[0]->leave_poll = true;
	p[1]->leave_arm = true; /* stays armed, as the contract says: no ')' for it */
	p[2]->leave_disarm = true;
	loop_poller_add(l, &p[0]->p);
	loop_poller_add(l, &p[1]->p);
	loop_poller_add(l, &p[2]->p);
	loop_poller_add(l, &stay.p);
	ck_assert_int_eq(loop_turn(l, MS), 0);
	ck_assert_str_eq(trace, "(1(2(s))");
	loop_stats(l, &st);
	ck_assert_uint_eq(st.sleeps, 1);
	clear_trace();
	ck_assert_int_eq(loop_turn(l, MS), 0);
	ck_assert_str_eq(trace, "(s)");
	loop_poller_del(l, &stay.p);
	loop_destroy(l);
}
END_TEST

START_TEST(poller_may_remove_the_next_one)
{
	struct loop *l = rig_loop(_i, 0);
	struct poller a = POLLER('a'), *b = malloc(sizeof(*b)), c = POLLER('c');

	*b = POLLER('b');
	b->free_me = true;
	b->work = 1;
	a.victim = b;
	c.work = 1;
	loop_poller_add(l, &a.p);
	loop_poller_add(l, &b->p);
	loop_poller_add(l, &c.p);
	ck_assert_int_eq(loop_turn(l, UINT64_MAX), 1);
	ck_assert_str_eq(trace, "c");
	loop_poller_del(l, &a.p);
	loop_poller_del(l, &c.p);
	loop_destroy(l);
}
END_TEST

START_TEST(poller_added_while_arming_is_not_slept_over)
{
	struct loop *l = rig_loop(_i, 0);
	struct poller a = POLLER('a'), b = POLLER('b');

	a.friend = &b;
	b.late = 1; /* has work that only its own arm would show */
	b.arms = 0;
	loop_poller_add(l, &a.p);
	while (!b.work) /* hangs if the loop sleeps without asking b */
		ck_assert_int_ge(loop_turn(l, UINT64_MAX), 0);
	ck_assert_int_eq(b.arms, 1);
	loop_poller_del(l, &a.p);
	loop_poller_del(l, &b.p);
	loop_destroy(l);
}
END_TEST

/* ---- hooks --------------------------------------------------------------------------- */

struct hook {
	struct loop_hook h;
	struct loop *l;
	char name;
	int again;
	int ring; /* eventfd to ring, -1 = none */
	struct hook *cancel;
};

static void on_flush(struct loop_hook *lh)
{
	struct hook *h = container_of(lh, struct hook, h);

	ck_assert(!lh->queued);
	mark(h->name);
	if (h->ring >= 0)
		rig_ring(h->ring);
	if (h->cancel)
		loop_hook_cancel(h->l, &h->cancel->h);
	if (h->again) {
		h->again--;
		loop_hook_queue(h->l, lh);
	}
}

#define HOOK(nm) ((struct hook){ .h.flush = on_flush, .l = l, .name = (nm), .ring = -1 })

START_TEST(hooks_run_once_in_order_after_the_pollers)
{
	struct loop *l = rig_loop(_i, 0);
	struct hook x = HOOK('X'), y = HOOK('Y');
	struct poller a = POLLER('a'), b = POLLER('b');

	a.work = b.work = 2;
	a.hook = &y.h;
	b.hook = &y.h; /* queued already: once */
	loop_hook_queue(l, &x.h);
	loop_poller_add(l, &a.p);
	loop_poller_add(l, &b.p);
	ck_assert_int_eq(loop_turn(l, UINT64_MAX), 1);
	ck_assert_str_eq(trace, "abXY");
	ck_assert_int_eq(loop_turn(l, UINT64_MAX), 1);
	ck_assert_str_eq(trace, "abXYabY");
	loop_poller_del(l, &a.p);
	loop_poller_del(l, &b.p);
	loop_destroy(l);
}
END_TEST

START_TEST(hook_queued_while_arming_runs_before_the_sleep)
{
	struct loop *l = rig_loop(_i, 0);
	struct loop_bell bell = { .fd = rig_eventfd(), .rung = stop_bell };
	struct hook x = HOOK('X');
	struct poller a = POLLER('a');

	ck_assert_int_eq(loop_bell_add(l, &bell), 0);
	rig_settle(l);
	x.ring = bell.fd; /* the only thing that could end the sleep */
	a.hook = &x.h;
	loop_poller_add(l, &a.p);
	ck_assert_int_eq(loop_turn(l, UINT64_MAX), 1);
	ck_assert_str_eq(trace, "(aX)!");
	loop_poller_del(l, &a.p);
	loop_bell_del(l, &bell);
	loop_destroy(l);
	close(bell.fd);
}
END_TEST

START_TEST(hook_that_queues_itself_does_not_hold_the_turn)
{
	struct loop *l = rig_loop(_i, 0);
	struct hook x = HOOK('X');
	struct loop_stats st;

	x.again = 100;
	loop_hook_queue(l, &x.h);
	ck_assert_int_ge(loop_turn(l, UINT64_MAX), 0);
	ck_assert_int_gt(x.again, 90);
	while (x.again > 10) /* never asleep with a hook queued */
		ck_assert_int_ge(loop_turn(l, UINT64_MAX), 0);
	loop_stats(l, &st);
	ck_assert_uint_eq(st.sleeps, 0);
	loop_hook_cancel(l, &x.h);
	loop_destroy(l);
}
END_TEST

START_TEST(hooks_can_be_cancelled)
{
	struct loop *l = rig_loop(_i, 0);
	struct hook x = HOOK('X'), y = HOOK('Y'), z = HOOK('Z'), w = HOOK('W');

	loop_hook_cancel(l, &x.h); /* not queued: nothing */
	loop_hook_queue(l, &x.h);
	loop_hook_queue(l, &y.h);
	loop_hook_queue(l, &z.h);
	loop_hook_cancel(l, &z.h); /* the last: the queue's end moves back */
	loop_hook_queue(l, &w.h);
	x.cancel = &y; /* while the flush is under way */
	rig_settle(l);
	ck_assert_str_eq(trace, "XW");
	ck_assert(!y.h.queued && !z.h.queued);
	loop_hook_queue(l, &z.h);
	rig_settle(l);
	ck_assert_str_eq(trace, "XWZ");
	loop_destroy(l);
}
END_TEST

/* ---- spinning -------------------------------------------------------------------------- */

START_TEST(polling_loop_never_sleeps_or_arms)
{
	struct loop *l = rig_loop(_i, LOOP_SPIN_ALWAYS);
	struct loop_bell bell = { .fd = rig_eventfd(), .rung = stop_bell };
	struct poller a = POLLER('a');
	struct loop_stats before, after;

	ck_assert_int_eq(loop_bell_add(l, &bell), 0);
	loop_poller_add(l, &a.p);
	rig_settle(l);
	loop_stats(l, &before);
	for (int i = 0; i < 10000; i++)
		ck_assert_int_eq(loop_turn(l, UINT64_MAX), 0);
	loop_stats(l, &after);
	if (loop_has_uring(l)) /* the doorbell is seen in mapped memory */
		ck_assert_uint_eq(after.enters, before.enters);
	else
		ck_assert_uint_lt(after.enters - before.enters, 10000 / 4);
	rig_ring(bell.fd);
	while (!bell.rings)
		ck_assert_int_ge(loop_turn(l, UINT64_MAX), 0);
	loop_stats(l, &after);
	ck_assert_uint_eq(after.sleeps, 0);
	ck_assert_int_eq(a.arms, 0);
	loop_poller_del(l, &a.p);
	loop_bell_del(l, &bell);
	loop_destroy(l);
	close(bell.fd);
}
END_TEST

/* Silence is over when the bell was rung @n times in all. */
static void ring_and_wait(struct loop *l, struct loop_bell *b)
{
	uint64_t want = b->rings + 1;

	rig_ring(b->fd);
	rig_turn_until(l, b->rings >= want);
}

static void on_quiet_bell(struct loop_bell *b)
{
	(void)b;
}

struct ringer {
	int fd;
	uint32_t rung, seen, quit;
};

/* Rings as soon as the loop has seen the last ring: a peer that answers at once. */
static void *ring_when_seen(void *arg)
{
	struct ringer *r = arg;

	while (!load_acquire(&r->quit)) {
		if (load_acquire(&r->seen) == r->rung) {
			r->rung++;
			rig_ring(r->fd);
		}
		cpu_relax();
	}
	return NULL;
}

static uint64_t lost_spins(struct loop *l)
{
	struct loop_stats st;

	loop_stats(l, &st);
	return st.spins_lost;
}

/*
 * A peer that answers at once makes the loop spin; then silence with an event now and
 * then takes the budget back to nothing. What is won depends on the machine (on one
 * core nothing can be), that it ends does not.
 */
START_TEST(spinning_starts_and_ends)
{
	struct loop *l = rig_loop(_i, 50);
	struct loop_bell b = { .fd = rig_eventfd(), .rung = on_quiet_bell };
	struct ringer r = { .fd = b.fd };
	struct loop_stats st;
	uint64_t lost = 0;
	pthread_t t;

	ck_assert_int_eq(loop_bell_add(l, &b), 0);
	rig_settle(l);
	ck_assert_uint_eq(lost_spins(l), 0);
	ck_assert_int_eq(pthread_create(&t, NULL, ring_when_seen, &r), 0);
	do {
		uint64_t want = b.rings + 1;

		rig_turn_until(l, b.rings >= want);
		store_release(&r.seen, r.seen + 1);
		loop_stats(l, &st);
	} while (st.spins_won + st.spins_lost < 20 && b.rings < 5000);
	store_release(&r.quit, 1);
	pthread_join(t, NULL);
	ck_assert_uint_gt(st.spins_won + st.spins_lost, 0);

	for (int i = 0; i < 12; i++) {
		while (loop_turn(l, MS))
			;
		ring_and_wait(l, &b);
	}
	/* Whoever takes the CPU between a ring and the look for it makes it look like a short wait.
	 */
	for (int tries = 0; tries < 100; tries++) {
		lost = lost_spins(l);
		for (int i = 0; i < 5; i++) {
			ck_assert_int_eq(loop_turn(l, MS), 0);
			ring_and_wait(l, &b);
		}
		if (lost_spins(l) == lost)
			break;
	}
	ck_assert_uint_eq(lost_spins(l), lost);
	loop_bell_del(l, &b);
	loop_destroy(l);
	close(b.fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base/loop: pollers and hooks");
	TCase *tc = tcase_create("poll");

	tcase_set_timeout(tc, 20);
	tcase_add_loop_test(tc, poller_with_work_keeps_the_loop_awake, 0, NR_ENGINES);
	tcase_add_loop_test(tc, work_found_while_arming_prevents_sleep, 0, NR_ENGINES);
	tcase_add_loop_test(tc, waking_disarms_before_anything_else, 0, NR_ENGINES);
	tcase_add_loop_test(tc, poller_may_leave_in_each_callback, 0, NR_ENGINES);
	tcase_add_loop_test(tc, poller_may_remove_the_next_one, 0, NR_ENGINES);
	tcase_add_loop_test(tc, poller_added_while_arming_is_not_slept_over, 0, NR_ENGINES);
	tcase_add_loop_test(tc, hooks_run_once_in_order_after_the_pollers, 0, NR_ENGINES);
	tcase_add_loop_test(tc, hook_queued_while_arming_runs_before_the_sleep, 0, NR_ENGINES);
	tcase_add_loop_test(tc, hook_that_queues_itself_does_not_hold_the_turn, 0, NR_ENGINES);
	tcase_add_loop_test(tc, hooks_can_be_cancelled, 0, NR_ENGINES);
	tcase_add_loop_test(tc, polling_loop_never_sleeps_or_arms, 0, NR_ENGINES);
	tcase_add_loop_test(tc, spinning_starts_and_ends, 0, NR_ENGINES);
	suite_add_tcase(s, tc);
	return rig_main(s);
}
