/* SPDX-License-Identifier: MIT */
/* See the header. The lists are short: searching them is fine. */
#include "tests/fake/sched_loop.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"

#define NOBODY	 SCHED_LOOPS /* as poster: no loop's code */
#define MAX_LIST 128u

struct list {
	void *at[MAX_LIST];
	uint32_t n;
};

struct loop {
	uint32_t index;
	bool busy;
	struct loop_call *first[SCHED_LOOPS + 1], *last[SCHED_LOOPS + 1]; /* by poster */
	uint32_t silent_since; /* no bell was ringing at that value of rings */
	struct list hooks, bells, pollers, timers, fds;
};

void (*sched_interrupt)(void);

static uint32_t nr_loops, mutexes_held, rings = 1;
static struct loop *running;
static uint64_t now_ns = 1000000000;

/* ---- where threads meet -------------------------------------------------- */

int __real_pthread_mutex_lock(pthread_mutex_t *m);
int __real_pthread_mutex_unlock(pthread_mutex_t *m);
int __wrap_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *m);

static void interrupted(void)
{
	if (sched_interrupt && running && !mutexes_held)
		sched_interrupt();
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *m)
{
	interrupted();
	mutexes_held++;
	return __real_pthread_mutex_lock(m);
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *m)
{
	int err = __real_pthread_mutex_unlock(m);

	mutexes_held--;
	interrupted();
	return err;
}

struct loop *sched_enter(struct loop *l)
{
	struct loop *before = running;

	assert(!l->busy);
	l->busy = true;
	running = l;
	return before;
}

void sched_leave(struct loop *l, struct loop *before)
{
	l->busy = false;
	running = before;
}

bool sched_busy(const struct loop *l)
{
	return l->busy;
}

/* ---- lists ------------------------------------------------------------------ */

static void put(struct list *list, void *what)
{
	if (list->n == MAX_LIST)
		abort();
	list->at[list->n++] = what;
}

static bool has(const struct list *list, const void *what)
{
	for (uint32_t i = 0; i < list->n; i++)
		if (list->at[i] == what)
			return true;
	return false;
}

static bool take(struct list *list, const void *what)
{
	for (uint32_t i = 0; i < list->n; i++) {
		if (list->at[i] != what)
			continue;
		list->n--;
		memmove(&list->at[i], &list->at[i + 1], (list->n - i) * sizeof(list->at[0]));
		return true;
	}
	return false;
}

static bool is_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1 && (p.revents & POLLIN);
}

void sched_ring(void)
{
	rings++;
}

/* ---- steps --------------------------------------------------------------------- */

static uint32_t add(struct sched_step *out, uint32_t n, uint32_t max, enum sched_kind kind,
		    struct loop *l, void *what)
{
	if (n == max)
		abort();
	out[n] = (struct sched_step){ kind, l, what };
	return n + 1;
}

uint32_t sched_list(struct loop *l, struct sched_step *out, uint32_t max)
{
	uint32_t n = 0, i, before;

	if (l->busy)
		return 0;
	for (i = 0; i <= SCHED_LOOPS; i++)
		if (l->first[i])
			n = add(out, n, max, SCHED_CALL, l, &l->first[i]);
	for (i = 0; i < l->hooks.n && i < 1; i++) /* in the order they were queued */
		n = add(out, n, max, SCHED_HOOK, l, l->hooks.at[i]);
	before = n;
	for (i = 0; i < l->bells.n && l->silent_since != rings; i++)
		if (is_readable(((struct loop_bell *)l->bells.at[i])->fd))
			n = add(out, n, max, SCHED_BELL, l, l->bells.at[i]);
	if (n == before)
		l->silent_since = rings;
	for (i = 0; i < l->pollers.n; i++)
		n = add(out, n, max, SCHED_POLLER, l, l->pollers.at[i]);
	for (i = 0; i < l->timers.n; i++)
		n = add(out, n, max, SCHED_TIMER, l, l->timers.at[i]);
	return n;
}

static void run_call(struct loop *l, struct loop_call **first)
{
	struct loop_call *call = *first;

	*first = call->next;
	if (!*first)
		l->last[first - l->first] = NULL;
	call->fn(call);
}

static void run_bell(struct loop_bell *b)
{
	uint64_t rung;

	if (read(b->fd, &rung, sizeof(rung)) != sizeof(rung))
		abort();
	b->rings++;
	b->rung(b);
}

/* As a turn that found nothing else: poll, or else go to sleep and wake up again. */
static void run_poller(struct loop *l, struct loop_poller *p)
{
	if (p->poll(p) || !has(&l->pollers, p))
		return;
	p->arm(p);
	if (has(&l->pollers, p))
		p->disarm(p);
}

static void run_timer(struct loop *l, struct loop_timer *t)
{
	if (t->due_ns > now_ns)
		now_ns = t->due_ns;
	take(&l->timers, t);
	t->due_ns = 0;
	t->fire(t);
}

void sched_run(const struct sched_step *s)
{
	struct loop *before = sched_enter(s->loop);
	struct loop_hook *h;

	switch (s->kind) {
	case SCHED_CALL:
		run_call(s->loop, s->what);
		break;
	case SCHED_HOOK:
		h = s->what;
		loop_hook_cancel(s->loop, h);
		h->flush(h);
		break;
	case SCHED_BELL:
		run_bell(s->what);
		break;
	case SCHED_POLLER:
		run_poller(s->loop, s->what);
		break;
	case SCHED_TIMER:
		run_timer(s->loop, s->what);
		break;
	}
	sched_leave(s->loop, before);
}

const char *sched_leftover(const struct loop *l)
{
	for (uint32_t i = 0; i <= SCHED_LOOPS; i++)
		if (l->first[i])
			return "a posted call";
	if (l->hooks.n)
		return "a hook";
	if (l->bells.n)
		return "a doorbell";
	if (l->pollers.n)
		return "a poller";
	if (l->fds.n)
		return "a file descriptor";
	return l->timers.n ? "a timer" : NULL;
}

/* ---- loop.h ----------------------------------------------------------------------- */

int loop_create(struct loop **out, const struct loop_config *cfg)
{
	struct loop *l = calloc(1, sizeof(*l));

	(void)cfg;
	if (!l)
		return -ENOMEM;
	assert(nr_loops < SCHED_LOOPS);
	l->index = nr_loops++;
	*out = l;
	return 0;
}

void loop_destroy(struct loop *l)
{
	nr_loops--;
	free(l);
}

bool loop_in_thread(const struct loop *l)
{
	return running == l;
}

uint64_t loop_now(struct loop *l)
{
	(void)l;
	return now_ns;
}

void loop_post(struct loop *l, struct loop_call *call)
{
	uint32_t from = running ? running->index : NOBODY;

	interrupted();
	call->next = NULL;
	if (l->last[from])
		l->last[from]->next = call;
	else
		l->first[from] = call;
	l->last[from] = call;
	interrupted();
}

int loop_fd_add(struct loop *l, struct loop_fd *lf, uint32_t events)
{
	(void)events; /* nobody under test waits for one */
	put(&l->fds, lf);
	return 0;
}

void loop_fd_del(struct loop *l, struct loop_fd *lf)
{
	take(&l->fds, lf);
}

int loop_bell_add(struct loop *l, struct loop_bell *b)
{
	assert(running == l);
	put(&l->bells, b);
	l->silent_since = rings - 1;
	return 0;
}

void loop_bell_del(struct loop *l, struct loop_bell *b)
{
	assert(running == l);
	take(&l->bells, b);
}

void loop_timer_arm(struct loop *l, struct loop_timer *t, uint64_t delay_ns)
{
	assert(running == l);
	if (!t->due_ns)
		put(&l->timers, t);
	t->due_ns = now_ns + delay_ns;
}

void loop_timer_cancel(struct loop *l, struct loop_timer *t)
{
	assert(running == l);
	if (t->due_ns)
		take(&l->timers, t);
	t->due_ns = 0;
}

void loop_poller_add(struct loop *l, struct loop_poller *p)
{
	assert(running == l && !has(&l->pollers, p));
	put(&l->pollers, p);
}

void loop_poller_del(struct loop *l, struct loop_poller *p)
{
	bool was = take(&l->pollers, p);

	assert(running == l && was);
	(void)was;
}

void loop_hook_queue(struct loop *l, struct loop_hook *h)
{
	assert(running == l);
	if (h->queued)
		return;
	h->queued = true;
	put(&l->hooks, h);
}

void loop_hook_cancel(struct loop *l, struct loop_hook *h)
{
	assert(running == l);
	take(&l->hooks, h);
	h->queued = false;
}
