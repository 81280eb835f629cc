/* SPDX-License-Identifier: MIT */
/* What a loop has queued for itself: posted calls, timers, pollers, hooks. */
#include <errno.h>
#include <unistd.h>

#include "base/loop_priv.h"

#define TIMERS_PER_TURN 64

/* ---- posted calls: a stack that the loop takes whole ------------------- */

/* Fails only when the counter is full, and then the loop is awake. */
static void ring_wake(const struct loop *l)
{
	const uint64_t one = 1;
	int saved_errno = errno;

	while (write(l->wake.fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	errno = saved_errno;
}

void loop_post(struct loop *l, struct loop_call *call)
{
	struct loop_call *head = load_relaxed(&l->posted);

	/* Before the call is visible: from then on the loop may stop and be destroyed. */
	__atomic_fetch_add(&l->posters, 1, __ATOMIC_RELAXED);
	/*
	 * S1 pairs with S2 in may_sleep() (loop_turn.c): each side writes its own word
	 * (posted here, asleep there), then reads the other's, in one total order. So
	 * either we see that the loop sleeps, or it sees the call. Release: the call's
	 * fields before its address; pairs with the acquire in loop_run_posted().
	 */
	do {
		call->next = head;
	} while (!__atomic_compare_exchange_n(&l->posted, &head, call, true, __ATOMIC_SEQ_CST,
					      __ATOMIC_RELAXED));
	/* Whoever turns the flag off rings; the others would ring for nothing. */
	if (__atomic_load_n(&l->asleep, __ATOMIC_SEQ_CST) &&
	    __atomic_exchange_n(&l->asleep, 0, __ATOMIC_RELAXED))
		ring_wake(l);
	/* D1 pairs with D2 in loop_destroy(): our last look at the loop. */
	__atomic_fetch_sub(&l->posters, 1, __ATOMIC_RELEASE);
}

bool loop_run_posted(struct loop *l)
{
	struct loop_call *newest, *call = NULL;

	newest = __atomic_exchange_n(&l->posted, NULL, __ATOMIC_ACQUIRE);
	while (newest) { /* oldest first */
		struct loop_call *next = newest->next;

		newest->next = call;
		call = newest;
		newest = next;
	}
	if (!call)
		return false;
	while (call) {
		struct loop_call *next = call->next;

		call->fn(call); /* may free or post @call again */
		call = next;
	}
	return true;
}

/* ---- timers: a list ordered by due time --------------------------------- */

void loop_timer_arm(struct loop *l, struct loop_timer *t, uint64_t delay_ns)
{
	struct loop_timer *after;

	loop_timer_cancel(l, t);
	if (__builtin_add_overflow(loop_now(l), delay_ns, &t->due_ns))
		t->due_ns = UINT64_MAX;
	/* From the end: a new timer is usually the last one due. */
	for (after = l->timers.prev; after != &l->timers; after = after->prev)
		if (after->due_ns <= t->due_ns)
			break;
	t->prev = after;
	t->next = after->next;
	after->next->prev = t;
	after->next = t;
}

void loop_timer_cancel(struct loop *l, struct loop_timer *t)
{
	(void)l;
	if (!t->due_ns)
		return;
	t->prev->next = t->next;
	t->next->prev = t->prev;
	t->due_ns = 0;
}

bool loop_fire_timers(struct loop *l)
{
	struct loop_timer *t;
	int fired = 0;

	/* Bounded, because a timer may arm itself for "now" again. */
	while ((t = l->timers.next) != &l->timers && fired < TIMERS_PER_TURN) {
		if (t->due_ns > loop_now(l))
			break;
		loop_timer_cancel(l, t);
		t->fire(t);
		fired++;
	}
	return fired > 0;
}

uint64_t loop_timer_delay(struct loop *l)
{
	struct loop_timer *t = l->timers.next;
	uint64_t now;

	if (t == &l->timers)
		return UINT64_MAX;
	now = loop_now(l);
	return t->due_ns > now ? t->due_ns - now : 0;
}

/* ---- pollers -------------------------------------------------------------- */

void loop_poller_add(struct loop *l, struct loop_poller *p)
{
	p->armed = false;
	p->prev = l->pollers.prev;
	p->next = &l->pollers;
	p->prev->next = p;
	l->pollers.prev = p;
	l->pollers_grew = true;
}

void loop_poller_del(struct loop *l, struct loop_poller *p)
{
	if (l->poller_cursor == p)
		l->poller_cursor = p->next;
	if (l->poller_now == p)
		l->poller_now = NULL;
	p->prev->next = p->next;
	p->next->prev = p->prev;
	p->next = p->prev = NULL;
}

/* ---- hooks ---------------------------------------------------------------- */

void loop_hook_queue(struct loop *l, struct loop_hook *h)
{
	if (h->queued)
		return;
	h->queued = true;
	h->next = NULL;
	*l->hooks_tail = h;
	l->hooks_tail = &h->next;
}

/*
 * Hooks that are queued while the others run wait for the next flush; the loop does not
 * sleep before it.
 */
void loop_flush_hooks(struct loop *l)
{
	struct loop_hook *h;

	l->hooks_running = l->hooks;
	l->hooks = NULL;
	l->hooks_tail = &l->hooks;
	while ((h = l->hooks_running)) {
		l->hooks_running = h->next;
		h->queued = false;
		h->flush(h);
	}
}

static bool unlink_hook(struct loop_hook **at, const struct loop_hook *h)
{
	for (; *at; at = &(*at)->next) {
		if (*at == h) {
			*at = h->next;
			return true;
		}
	}
	return false;
}

void loop_hook_cancel(struct loop *l, struct loop_hook *h)
{
	if (!h->queued)
		return;
	h->queued = false;
	if (unlink_hook(&l->hooks_running, h) || !unlink_hook(&l->hooks, h))
		return;
	l->hooks_tail = &l->hooks;
	while (*l->hooks_tail)
		l->hooks_tail = &(*l->hooks_tail)->next;
}
