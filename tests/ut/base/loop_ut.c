/* SPDX-License-Identifier: MIT */
/* Loops, both engines: timers, posted calls, stopping. */
#include "base/compiler.h"
#include "tests/ut/base/loop_rig.h"

/* What happened, in order: one letter each. */
static char trace[256];

static void mark(char c)
{
	size_t n = strlen(trace);

	ck_assert_uint_lt(n + 1, sizeof(trace));
	trace[n] = c;
	trace[n + 1] = '\0';
}

/* ---- timers --------------------------------------------------------------------- */

struct timer {
	struct loop_timer t;
	struct loop *l;
	char name;
	uint64_t fired_at;
	int again;	      /* times to arm itself for "now" */
	struct timer *cancel; /* by our callback */
};

static void on_fire(struct loop_timer *t)
{
	struct timer *tm = container_of(t, struct timer, t);

	ck_assert_uint_eq(t->due_ns, 0);
	tm->fired_at = clock_ns();
	mark(tm->name);
	if (tm->cancel)
		loop_timer_cancel(tm->l, &tm->cancel->t);
	if (tm->again) {
		tm->again--;
		loop_timer_arm(tm->l, t, 0);
	}
}

#define TIMER(nm) ((struct timer){ .t.fire = on_fire, .l = l, .name = (nm) })

START_TEST(timers_fire_in_order_of_time)
{
	struct loop *l = rig_loop(_i, 0);
	struct timer a = TIMER('a'), b = TIMER('b'), c = TIMER('c'), d = TIMER('d');
	uint64_t start = clock_ns();

	loop_timer_arm(l, &c.t, 6 * MS);
	loop_timer_arm(l, &a.t, 2 * MS);
	loop_timer_arm(l, &b.t, 4 * MS);
	loop_timer_arm(l, &d.t, 6 * MS); /* as c, but later armed */
	rig_turn_until(l, strlen(trace) == 4);
	ck_assert_str_eq(trace, "abcd");
	ck_assert_uint_ge(a.fired_at - start, 2 * MS);
	ck_assert_uint_ge(b.fired_at - start, 4 * MS);
	ck_assert_uint_ge(d.fired_at - start, 6 * MS);
	loop_destroy(l);
}
END_TEST

START_TEST(sleeping_does_not_outlast_a_timer)
{
	struct loop *l = rig_loop(_i, 0);
	struct timer a = TIMER('a');
	uint64_t start = clock_ns();

	loop_timer_arm(l, &a.t, 3 * MS);
	while (!a.fired_at)
		ck_assert_int_ge(loop_turn(l, UINT64_MAX), 0);
	ck_assert_uint_ge(a.fired_at - start, 3 * MS);
	ck_assert_uint_lt(a.fired_at - start, 2 * S); /* a loaded machine is no failure */
	loop_destroy(l);
}
END_TEST

START_TEST(timer_can_be_moved_and_cancelled)
{
	struct loop *l = rig_loop(_i, 0);
	struct timer a = TIMER('a'), b = TIMER('b'), c = TIMER('c'), d = TIMER('d');

	loop_timer_cancel(l, &a.t); /* not armed: nothing */
	loop_timer_arm(l, &a.t, MS);
	loop_timer_arm(l, &b.t, 2 * MS);
	loop_timer_arm(l, &a.t, 3 * MS); /* behind b now */
	loop_timer_arm(l, &c.t, MS);
	loop_timer_cancel(l, &c.t);
	ck_assert_uint_eq(c.t.due_ns, 0);
	loop_timer_arm(l, &d.t, UINT64_MAX); /* the end of time, not the past */
	rig_turn_until(l, strlen(trace) == 2);
	rig_settle(l);
	ck_assert_str_eq(trace, "ba");
	loop_timer_cancel(l, &d.t);
	loop_destroy(l);
}
END_TEST

START_TEST(timer_callback_may_cancel_another_that_is_due)
{
	struct loop *l = rig_loop(_i, 0);
	struct timer a = TIMER('a'), b = TIMER('b'), c = TIMER('c');

	a.cancel = &b;
	loop_timer_arm(l, &a.t, 0);
	loop_timer_arm(l, &b.t, 0);
	loop_timer_arm(l, &c.t, 0);
	rig_settle(l);
	ck_assert_str_eq(trace, "ac");
	loop_destroy(l);
}
END_TEST

START_TEST(timer_that_rearms_itself_does_not_hold_the_turn)
{
	struct loop *l = rig_loop(_i, 0);
	struct timer a = TIMER('a');

	a.again = 200;
	loop_timer_arm(l, &a.t, 0);
	ck_assert_int_eq(loop_turn(l, 0), 1);
	ck_assert_int_gt(a.again, 0);
	ck_assert_int_lt(a.again, 200);
	rig_turn_until(l, !a.again);
	loop_timer_cancel(l, &a.t);
	loop_destroy(l);
}
END_TEST

START_TEST(turn_without_events_sleeps_as_long_as_asked)
{
	struct loop *l = rig_loop(_i, 0);
	uint64_t start = clock_ns();

	ck_assert_int_eq(loop_turn(l, 0), 0);
	ck_assert_int_eq(loop_turn(l, 2 * MS), 0);
	ck_assert_uint_ge(clock_ns() - start, 2 * MS);
	loop_destroy(l);
}
END_TEST

START_TEST(now_is_cached_within_a_turn_only)
{
	struct loop *l = rig_loop(_i, 0);
	uint64_t before = clock_ns(), now = loop_now(l);

	ck_assert_uint_ge(now, before);
	while (clock_ns() < now + 1000)
		;
	ck_assert_uint_eq(loop_now(l), now);
	loop_turn(l, 0);
	ck_assert_uint_gt(loop_now(l), now);
	loop_destroy(l);
}
END_TEST

/* ---- posted calls ------------------------------------------------------------------- */

struct call {
	struct loop_call c;
	struct loop *l;
	char name;
	int again;
	bool stop;
};

static void on_call(struct loop_call *c)
{
	struct call *call = container_of(c, struct call, c);

	ck_assert(loop_in_thread(call->l));
	mark(call->name);
	if (call->again) {
		call->again--;
		loop_post(call->l, c);
	}
	if (call->stop)
		loop_stop(call->l);
}

#define CALL(nm) ((struct call){ .c.fn = on_call, .l = l, .name = (nm) })

START_TEST(calls_run_in_the_order_posted)
{
	struct loop *l = rig_loop(_i, 0);
	struct call a = CALL('a'), b = CALL('b'), c = CALL('c');

	loop_post(l, &a.c);
	loop_post(l, &b.c);
	loop_post(l, &c.c);
	ck_assert_str_eq(trace, ""); /* not from inside loop_post() */
	ck_assert_int_eq(loop_turn(l, UINT64_MAX), 1);
	ck_assert_str_eq(trace, "abc");
	loop_destroy(l);
}
END_TEST

START_TEST(call_that_posts_itself_gives_others_their_turn)
{
	struct loop *l = rig_loop(_i, 0);
	struct timer t = TIMER('t');
	struct call a = CALL('a');

	a.again = 3;
	loop_post(l, &a.c);
	loop_timer_arm(l, &t.t, 0);
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(loop_turn(l, 0), 1);
		ck_assert_int_eq(a.again, i < 3 ? 2 - i : 0);
	}
	ck_assert_uint_ne(t.fired_at, 0);
	loop_destroy(l);
}
END_TEST

struct poster {
	struct loop *l;
	int seen; /* on the loop's thread */
	struct numbered {
		struct loop_call c;
		struct poster *by;
		int nr;
	} calls[500];
};

static void on_numbered(struct loop_call *c)
{
	struct numbered *n = container_of(c, struct numbered, c);

	ck_assert_int_eq(n->nr, n->by->seen);
	n->by->seen++;
}

static void *post_all(void *arg)
{
	struct poster *p = arg;

	ck_assert(!loop_in_thread(p->l));
	for (int i = 0; i < (int)ARRAY_SIZE(p->calls); i++) {
		p->calls[i] = (struct numbered){ .c.fn = on_numbered, .by = p, .nr = i };
		loop_post(p->l, &p->calls[i].c);
	}
	return NULL;
}

START_TEST(calls_of_many_threads_keep_each_ones_order)
{
	enum { THREADS = 4 };
	static struct poster p[THREADS];
	struct loop *l = rig_loop(_i, 0);
	pthread_t t[THREADS];

	for (int i = 0; i < THREADS; i++) {
		p[i].l = l;
		ck_assert_int_eq(pthread_create(&t[i], NULL, post_all, &p[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		rig_turn_until(l, p[i].seen == (int)ARRAY_SIZE(p[i].calls));
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	loop_destroy(l);
}
END_TEST

START_TEST(calls_still_posted_run_at_destruction)
{
	struct loop *l = rig_loop(_i, 0);
	struct call a = CALL('a');

	loop_post(l, &a.c);
	loop_destroy(l);
	ck_assert_str_eq(trace, "a");
}
END_TEST

/* ---- stopping ------------------------------------------------------------------------- */

START_TEST(stop_before_run_is_remembered_once)
{
	struct loop *l = rig_loop(_i, 0);
	struct call a = CALL('a');

	loop_stop(l);
	loop_stop(l);
	ck_assert_int_eq(loop_run(l), 0);
	a.stop = true;
	loop_post(l, &a.c); /* the next run is not stopped by the old request */
	ck_assert_int_eq(loop_run(l), 0);
	ck_assert_str_eq(trace, "a");
	loop_destroy(l);
}
END_TEST

static void *stop_it(void *l)
{
	loop_stop(l);
	return NULL;
}

START_TEST(other_thread_stops_a_sleeping_loop)
{
	struct loop *l = rig_loop(_i, 0);

	for (int i = 0; i < 100; i++) {
		pthread_t t;

		ck_assert_int_eq(pthread_create(&t, NULL, stop_it, l), 0);
		ck_assert_int_eq(loop_run(l), 0);
		pthread_join(t, NULL);
	}
	loop_destroy(l);
}
END_TEST

START_TEST(loop_knows_its_thread_and_engine)
{
	struct loop *l = rig_loop(_i, 0);
	struct loop_stats st;

	ck_assert(loop_in_thread(l));
	ck_assert_int_eq(loop_has_uring(l), _i == 0);
	ck_assert_uint_eq(loop_ops_in_flight(l), 0);
	loop_turn(l, 0);
	loop_stats(l, &st);
	ck_assert_uint_eq(st.turns, 1);
	ck_assert_uint_eq(st.sleeps, 0);
	ck_assert_uint_gt(st.cpu_ns, 0);
	loop_turn(l, 1);
	loop_stats(l, &st);
	ck_assert_uint_eq(st.sleeps, 1);
	loop_destroy(l);
}
END_TEST

START_TEST(default_loop_works)
{
	struct loop *l;

	ck_assert_int_eq(loop_create(&l, NULL), 0);
	loop_stop(l);
	ck_assert_int_eq(loop_run(l), 0);
	loop_destroy(l);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base/loop: timers and calls");
	TCase *tc = tcase_create("loop");

	tcase_set_timeout(tc, 20);
	tcase_add_loop_test(tc, timers_fire_in_order_of_time, 0, NR_ENGINES);
	tcase_add_loop_test(tc, sleeping_does_not_outlast_a_timer, 0, NR_ENGINES);
	tcase_add_loop_test(tc, timer_can_be_moved_and_cancelled, 0, NR_ENGINES);
	tcase_add_loop_test(tc, timer_callback_may_cancel_another_that_is_due, 0, NR_ENGINES);
	tcase_add_loop_test(tc, timer_that_rearms_itself_does_not_hold_the_turn, 0, NR_ENGINES);
	tcase_add_loop_test(tc, turn_without_events_sleeps_as_long_as_asked, 0, NR_ENGINES);
	tcase_add_loop_test(tc, now_is_cached_within_a_turn_only, 0, NR_ENGINES);
	tcase_add_loop_test(tc, calls_run_in_the_order_posted, 0, NR_ENGINES);
	tcase_add_loop_test(tc, call_that_posts_itself_gives_others_their_turn, 0, NR_ENGINES);
	tcase_add_loop_test(tc, calls_of_many_threads_keep_each_ones_order, 0, NR_ENGINES);
	tcase_add_loop_test(tc, calls_still_posted_run_at_destruction, 0, NR_ENGINES);
	tcase_add_loop_test(tc, stop_before_run_is_remembered_once, 0, NR_ENGINES);
	tcase_add_loop_test(tc, other_thread_stops_a_sleeping_loop, 0, NR_ENGINES);
	tcase_add_loop_test(tc, loop_knows_its_thread_and_engine, 0, NR_ENGINES);
	tcase_add_test(tc, default_loop_works);
	suite_add_tcase(s, tc);
	return rig_main(s);
}
