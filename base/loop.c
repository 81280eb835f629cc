/* SPDX-License-Identifier: MIT */
/*
 * Event loop: creation, teardown, watched fds and doorbells.
 *
 * Teardown order (loop_destroy): posted calls run; the engine cancels what is in
 * flight, reaps it, which calls the operations' done(), and goes; calls and hooks
 * that those queued run; the wake-up eventfd last, because until then others may post.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop_priv.h"

#define DEFAULT_ENTRIES 512

/* ---- slots ------------------------------------------------------------------ */

static int grow_slots(struct loop *l)
{
	uint32_t n = l->nr_slots ? 2 * l->nr_slots : 16;
	struct slot *slots = realloc(l->slots, n * sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	memset(slots + l->nr_slots, 0, (n - l->nr_slots) * sizeof(*slots));
	for (uint32_t i = l->nr_slots; i < n; i++)
		slots[i].next = i + 1 < n ? i + 1 : NO_SLOT;
	l->free_slot = l->nr_slots;
	l->slots = slots;
	l->nr_slots = n;
	return 0;
}

static int slot_new(struct loop *l, enum slot_kind kind, void *obj, int fd, uint32_t events)
{
	uint32_t i;
	struct slot *s;
	int err;

	if (l->free_slot == NO_SLOT && (err = grow_slots(l)))
		return err;
	i = l->free_slot;
	s = &l->slots[i];
	l->free_slot = s->next;
	*s = (struct slot){
		.obj = obj, .fd = fd, .gen = s->gen + 1, .events = events, .kind = kind
	};
	l->slots_used++;
	err = l->engine->slot_add(l, i);
	if (err) {
		loop_slot_free(l, i);
		return err;
	}
	return (int)i;
}

void loop_slot_free(struct loop *l, uint32_t slot)
{
	struct slot *s = &l->slots[slot];

	s->obj = NULL;
	s->kind = SLOT_FREE;
	s->next = l->free_slot;
	l->free_slot = slot;
	l->slots_used--;
}

static void slot_end(struct loop *l, uint32_t *slot)
{
	l->slots[*slot].obj = NULL;
	l->engine->slot_del(l, *slot);
	*slot = NO_SLOT;
}

static bool tell_bell(struct loop_bell *b)
{
#ifdef HVBUS_TSAN
	/* The counter is otherwise never read; reading shows who rang before us. */
	uint64_t count;

	while (read(b->fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
#endif
	b->rings++;
	b->rung(b);
	return true;
}

bool loop_slot_event(struct loop *l, uint32_t slot, uint32_t gen, uint32_t events)
{
	struct slot *s;

	if (slot >= l->nr_slots)
		return false;
	s = &l->slots[slot];
	if (s->gen != gen || !s->obj)
		return false;
	switch ((enum slot_kind)s->kind) {
	case SLOT_BELL:
		return tell_bell(s->obj);
	case SLOT_FD:
		events &= s->events | POLLERR | POLLHUP | POLLNVAL;
		if (!events)
			return false;
		((struct loop_fd *)s->obj)->ready(s->obj, events);
		return true;
	case SLOT_WAKE:
	case SLOT_FREE:
		break;
	}
	return false;
}

/* Both engines refuse the same fds; io_uring alone would report them later, or never. */
static int check_fd(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	return S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) ? -EPERM : 0;
}

int loop_fd_add(struct loop *l, struct loop_fd *lf, uint32_t events)
{
	int i = check_fd(lf->fd);

	if (!i)
		i = slot_new(l, SLOT_FD, lf, lf->fd, events);
	lf->events = events;
	lf->slot = i < 0 ? NO_SLOT : (uint32_t)i;
	return i < 0 ? i : 0;
}

int loop_fd_mod(struct loop *l, struct loop_fd *lf, uint32_t events)
{
	if (lf->events == events)
		return 0;
	lf->events = events;
	l->slots[lf->slot].events = events;
	return l->engine->slot_mod(l, lf->slot);
}

void loop_fd_del(struct loop *l, struct loop_fd *lf)
{
	slot_end(l, &lf->slot);
}

int loop_bell_add(struct loop *l, struct loop_bell *b)
{
	int i = check_fd(b->fd);

	if (!i)
		i = slot_new(l, SLOT_BELL, b, b->fd, POLLIN);
	b->rings = 0;
	b->slot = i < 0 ? NO_SLOT : (uint32_t)i;
	return i < 0 ? i : 0;
}

void loop_bell_del(struct loop *l, struct loop_bell *b)
{
	slot_end(l, &b->slot);
}

/* ---- life --------------------------------------------------------------------- */

static void on_stop_call(struct loop_call *call)
{
	container_of(call, struct loop, stop_call)->stopped = true;
}

static int init_wake(struct loop *l)
{
	int i;

	l->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->wake.fd < 0)
		return -errno;
	i = slot_new(l, SLOT_WAKE, l, l->wake.fd, POLLIN);
	if (i < 0) {
		close(l->wake.fd);
		return i;
	}
	l->wake.slot = (uint32_t)i;
	return 0;
}

static struct loop *alloc_loop(const struct loop_config *cfg)
{
	struct loop *l = aligned_alloc(CACHE_LINE, sizeof(*l));

	if (!l)
		return NULL;
	memset(l, 0, sizeof(*l));
	l->name = cfg->name ? cfg->name : "loop";
	l->thread = pthread_self();
	pthread_getcpuclockid(l->thread, &l->cpu_clock);
	l->free_slot = NO_SLOT;
	l->hooks_tail = &l->hooks;
	l->pollers.next = l->pollers.prev = &l->pollers;
	l->timers.next = l->timers.prev = &l->timers;
	l->ticks_left = 1;
	l->stop_call.fn = on_stop_call;
	l->spin_always = cfg->spin_us_max == LOOP_SPIN_ALWAYS;
	if (cfg->spin_us_max > 0)
		l->spin_max_ns = (uint64_t)cfg->spin_us_max * 1000;
	return l;
}

static int start_engine(struct loop *l, const struct engine *engine, uint32_t entries)
{
	int err;

	l->engine = engine;
	err = engine->init(l, entries);
	if (err)
		return err;
	err = init_wake(l);
	if (err)
		engine->fini(l);
	return err;
}

int loop_create(struct loop **out, const struct loop_config *cfg)
{
	static const struct loop_config defaults;
	struct loop *l;
	uint32_t entries;
	int err = 0;

	if (!cfg)
		cfg = &defaults;
	l = alloc_loop(cfg);
	if (!l)
		return -ENOMEM;
	entries = cfg->entries ? cfg->entries : DEFAULT_ENTRIES;
	if (cfg->engine != LOOP_EPOLL)
		err = start_engine(l, &loop_engine_uring, entries);
	if (err && cfg->engine == LOOP_AUTO)
		log_info("%s: io_uring is not available (%s), using epoll", l->name,
			 strerror(-err));
	if (cfg->engine == LOOP_EPOLL || (err && cfg->engine == LOOP_AUTO))
		err = start_engine(l, &loop_engine_epoll, entries);
	if (err) {
		free(l->slots);
		free(l);
		return err;
	}
	*out = l;
	return 0;
}

void loop_destroy(struct loop *l)
{
	assert(loop_in_thread(l) && !l->in_turn);
	loop_run_posted(l);
	slot_end(l, &l->wake.slot);
	l->engine->fini(l);
	while (load_acquire(&l->posters)) /* D2: who stopped us may still be in loop_post() */
		sched_yield();
	/* What the last completions queued; operations are refused by now. */
	loop_run_posted(l);
	loop_flush_hooks(l);
	close(l->wake.fd);
	free(l->slots);
	free(l);
}

/* ---- questions ------------------------------------------------------------------ */

const char *loop_engine_name(const struct loop *l)
{
	return l->engine->name;
}

bool loop_in_thread(const struct loop *l)
{
	return pthread_equal(l->thread, pthread_self());
}

uint64_t loop_now(struct loop *l)
{
	if (!l->now_valid) {
		l->now = clock_ns();
		l->now_valid = true;
	}
	return l->now;
}

bool loop_has_uring(const struct loop *l)
{
	return l->engine == &loop_engine_uring;
}

void loop_stats(const struct loop *l, struct loop_stats *out)
{
	struct timespec t = { 0 };

	*out = l->stats;
	clock_gettime(l->cpu_clock, &t);
	out->cpu_ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
