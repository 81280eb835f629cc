/* SPDX-License-Identifier: MIT */
/*
 * The turn of an event loop: poll, flush, submit, reap; spin; arm and sleep.
 *
 * A spinning loop runs look() millions of times a second, so what look() touches is
 * one word each for: posted calls, the pollers, queued hooks, unsent work, and the
 * kernel's completion index and flags. The clock, timers and (with epoll) the
 * system call are for the slow tick, every tick_interval turns.
 */
#include <assert.h>
#include <errno.h>

#include "base/loop_priv.h"

/* With operations in flight, ask the kernel anyway after that many slow ticks of silence. */
#define FALLBACK_TICKS	  64

#define SPIN_START_NS	  4000
#define SPIN_MIN_NS	  1000
#define SPIN_CLOCK	  16 /* spin steps between two looks at the clock */
#define SPIN_CREDIT	  2  /* steps of a spin that prove nothing */
#define WAKE_COST_NS	  100000
#define LOST_STREAK_MAX	  8  /* lost spins in a row that end spinning for a while: */
#define HOLDOFF_MIN	  64 /* sleeps, */
#define HOLDOFF_DOUBLINGS 7  /* doubled each time it happens again */

/* ---- pollers ------------------------------------------------------------------ */

static inline bool run_pollers(struct loop *l)
{
	struct loop_poller *p = l->pollers.next;
	bool did = false;

	for (; p != &l->pollers; p = l->poller_cursor) {
		l->poller_cursor = p->next; /* loop_poller_del() moves it on */
		did |= p->poll(p);
	}
	return did;
}

/*
 * Asks every poller to have its peer signal. False when one of them found work, or
 * one that was not asked came in meanwhile.
 */
static bool arm_pollers(struct loop *l)
{
	struct loop_poller *p = l->pollers.next;
	bool calm = true;

	l->pollers_grew = false;
	for (; p != &l->pollers && calm; p = l->poller_cursor) {
		l->poller_cursor = p->next;
		l->poller_now = p;
		calm = p->arm(p);
		if (l->poller_now)
			p->armed = true;
	}
	l->poller_now = NULL;
	return calm && !l->pollers_grew;
}

static void disarm_pollers(struct loop *l)
{
	struct loop_poller *p = l->pollers.next;

	for (; p != &l->pollers; p = l->poller_cursor) {
		l->poller_cursor = p->next;
		if (p->armed) {
			p->armed = false;
			p->disarm(p);
		}
	}
}

/* ---- kernel ---------------------------------------------------------------------- */

static inline bool kernel_has_news(const struct loop *l)
{
	return (load_relaxed(l->sq_flags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) ||
	       load_relaxed(l->cq_tail) != load_relaxed(l->cq_head);
}

/* Submits and reaps without waiting. Returns how many events were told, or -errno. */
static NOINLINE int do_io(struct loop *l)
{
	int err = 0, n;

	if (l->io_wanted ||
	    (load_relaxed(l->sq_flags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)))
		err = l->engine->enter(l, 0);
	if (err)
		return err;
	n = l->engine->reap(l);
	if (l->hooks)
		loop_flush_hooks(l);
	return n;
}

/* Every tick_interval turns: timers, and the kernel where it cannot be seen in memory. */
static NOINLINE bool slow_tick(struct loop *l)
{
	l->ticks_left = l->tick_interval;
	l->now_valid = false;
	if (!loop_has_uring(l))
		l->io_wanted |= IO_LOOK;
	if (loop_ops_in_flight(l) && ++l->fallback_ticks >= FALLBACK_TICKS) {
		l->fallback_ticks = 0;
		l->io_wanted |= IO_LOOK;
	}
	return l->timers.next != &l->timers && loop_fire_timers(l);
}

/* ---- one look at everything --------------------------------------------------------- */

/* Steps 1 and 2 of a turn. */
static inline bool look_inside(struct loop *l)
{
	bool did = false;

	l->now_valid = false;
	if (unlikely(load_relaxed(&l->posted) != NULL))
		did |= loop_run_posted(l);
	if (unlikely(--l->ticks_left == 0))
		did |= slow_tick(l);
	return did | run_pollers(l);
}

/* Steps 3 and 4. Returns how many events were told, or -errno. */
static inline int look_outside(struct loop *l)
{
	if (l->hooks)
		loop_flush_hooks(l);
	if (l->io_wanted || kernel_has_news(l))
		return do_io(l);
	return 0;
}

static inline int look(struct loop *l)
{
	bool did = look_inside(l);
	int n = look_outside(l);

	return n < 0 ? n : did | n;
}

/* ---- sleeping ------------------------------------------------------------------------- */

/* True when nobody can have left us something since we last looked. */
static bool may_sleep(struct loop *l)
{
	__atomic_store_n(&l->asleep, 1, __ATOMIC_SEQ_CST);
	/* S2 pairs with S1 in loop_post(). */
	return !__atomic_load_n(&l->posted, __ATOMIC_SEQ_CST) && !l->hooks && !l->pollers_grew &&
	       !(l->running && l->stopped);
}

/*
 * A guest that just got its answers comes back within microseconds, a disk may take ten times
 * as long, or the reverse: what one teaches is not held against the other.
 */
static inline struct spin_state *spin_for(struct loop *l)
{
	return &l->spin[loop_ops_in_flight(l) ? FOR_KERNEL : FOR_PEERS];
}

/*
 * Learns from one sleep, which an @event ended, or else a timer or the caller's limit. @idle_ns is
 * the time without work: the spin before it, and the sleep. Short means that a longer spin would
 * have caught the event, allowing for our own wake-up and that of a peer that slept as well. But on
 * a busy machine the peer may need our very core to answer: spins that are lost all the time stop
 * for a while, whatever the idle times say.
 */
static void adapt_spin(struct spin_state *s, uint64_t max_ns, uint64_t idle_ns, bool spun,
		       bool event)
{
	if (idle_ns > max_ns + WAKE_COST_NS) {
		s->budget_ns /= 2;
		if (s->budget_ns < SPIN_MIN_NS)
			s->budget_ns = 0;
	} else if (event && idle_ns > SPIN_MIN_NS && !s->holdoff) {
		s->budget_ns = s->budget_ns ? 2 * s->budget_ns : SPIN_START_NS;
		if (s->budget_ns > max_ns)
			s->budget_ns = max_ns;
	}
	if (s->holdoff)
		s->holdoff--;
	if (spun && ++s->lost_streak >= LOST_STREAK_MAX) {
		s->budget_ns = 0;
		s->lost_streak = 0;
		s->holdoff = HOLDOFF_MIN << s->defeats;
		s->defeats += s->defeats < HOLDOFF_DOUBLINGS;
	}
}

/* What came in the first steps was there already: spinning did not win it. */
static void spin_won(struct loop *l, struct spin_state *s, uint32_t step)
{
	l->stats.spins_won++;
	if (step > SPIN_CREDIT)
		s->lost_streak = s->defeats = 0;
}

/* Deals with what ended the sleep, so that loop_turn() returns with it done. */
static int after_sleep(struct loop *l, struct spin_state *s, uint64_t slept_from, uint64_t spun_ns)
{
	int did = l->engine->reap(l);

	if (load_relaxed(&l->posted))
		did |= loop_run_posted(l);
	if (l->spin_max_ns)
		adapt_spin(s, l->spin_max_ns, spun_ns + loop_now(l) - slept_from, spun_ns, did);
	if (l->timers.next != &l->timers)
		did |= loop_fire_timers(l);
	if (l->hooks)
		loop_flush_hooks(l);
	return did;
}

static int sleep_turn(struct loop *l, uint64_t timeout_ns, uint64_t spun_ns)
{
	struct spin_state *s = spin_for(l);
	uint64_t from = 0, timer_ns;
	int err;

	l->now_valid = false;
	if (l->hooks)
		loop_flush_hooks(l);
	if (!arm_pollers(l)) {
		disarm_pollers(l);
		err = look_outside(l);
		return err < 0 ? err : 1;
	}
	if (l->hooks)
		loop_flush_hooks(l); /* arming may have queued signals */
	if (l->spin_max_ns)
		from = loop_now(l);
	timer_ns = loop_timer_delay(l);
	if (timer_ns < timeout_ns)
		timeout_ns = timer_ns;
	if (!may_sleep(l))
		timeout_ns = 0;
	l->stats.sleeps += timeout_ns != 0;
	err = l->engine->enter(l, timeout_ns);
	store_relaxed(&l->asleep, 0);
	l->now_valid = false;
	disarm_pollers(l);
	return err ? err : after_sleep(l, s, from, spun_ns);
}

/* ---- spinning ------------------------------------------------------------------------- */

/*
 * Looks again and again until something happens or the budget is used up. The first
 * steps are free of the clock: a peer that answers at once costs none.
 */
static int spin(struct loop *l, uint64_t budget_ns, uint64_t *spun_ns)
{
	struct spin_state *s = spin_for(l);
	uint64_t start = 0, now;

	l->ticks_left = 1; /* with epoll, what is ready now would pass for a win later */
	for (uint32_t step = 1;; step++) {
		int did;

		cpu_relax();
		did = look(l);
		if (did) {
			spin_won(l, s, step);
			return did;
		}
		if (step % SPIN_CLOCK)
			continue;
		now = clock_ns();
		if (!start)
			start = now;
		*spun_ns = now - start + 1;
		if (*spun_ns > budget_ns)
			break;
	}
	l->stats.spins_lost++;
	return 0;
}

static NOINLINE int idle(struct loop *l, uint64_t timeout_ns)
{
	uint64_t budget_ns = spin_for(l)->budget_ns, spun_ns = 0;
	int did;

	if (budget_ns) {
		did = spin(l, budget_ns < timeout_ns ? budget_ns : timeout_ns, &spun_ns);
		if (did)
			return did;
		if (timeout_ns != UINT64_MAX)
			timeout_ns -= spun_ns < timeout_ns ? spun_ns : timeout_ns;
	}
	return sleep_turn(l, timeout_ns, spun_ns);
}

/* ---- turns ---------------------------------------------------------------------------- */

/*
 * Submitting and sleeping are one system call when they come together. A caller of
 * loop_turn() wants to see what was done before any sleep; loop_run() does not.
 */
static inline bool sleep_at_once(struct loop *l, bool did, uint64_t timeout_ns)
{
	return (l->io_wanted & IO_UNSENT) && timeout_ns && (l->running || !did) &&
	       !l->spin_always && !spin_for(l)->budget_ns;
}

static inline int turn(struct loop *l, uint64_t timeout_ns)
{
	bool did;
	int n;

	l->stats.turns++;
	did = look_inside(l);
	if (sleep_at_once(l, did, timeout_ns)) {
		n = sleep_turn(l, timeout_ns, 0);
		return n < 0 ? n : did | n;
	}
	n = look_outside(l);
	if (did || n || !timeout_ns)
		return n < 0 ? n : did | n;
	if (l->spin_always) {
		cpu_relax();
		return 0;
	}
	return idle(l, timeout_ns);
}

int loop_turn(struct loop *l, uint64_t timeout_ns)
{
	int did;

	assert(!l->in_turn);
	l->in_turn = true;
	if (!timeout_ns)
		l->ticks_left = 1; /* the caller wants timers and fds looked at now */
	did = turn(l, timeout_ns);
	l->in_turn = false;
	return did < 0 ? did : !!did;
}

int loop_run(struct loop *l)
{
	int did = 0;

	assert(!l->in_turn);
	l->in_turn = l->running = true;
	while (!l->stopped && did >= 0)
		did = turn(l, UINT64_MAX);
	l->in_turn = l->running = false;
	if (l->stopped) {
		l->stopped = false;
		/* R1 pairs with R2 in loop_stop(): stop_call is free again before it is used. */
		store_release(&l->stop_asked, 0);
	}
	return did < 0 ? did : 0;
}

void loop_stop(struct loop *l)
{
	if (!__atomic_exchange_n(&l->stop_asked, 1, __ATOMIC_ACQUIRE)) /* R2 */
		loop_post(l, &l->stop_call);
}
