/* SPDX-License-Identifier: MIT */
/*
 * The epoll engine. Doorbells are edge-triggered: every ring is an event of its own,
 * so the eventfd's counter never has to be read.
 */
#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop_priv.h"

/*
 * Looking costs a system call, so a busy or spinning loop looks every so many turns only;
 * more rarely where pollers are what the loop lives for.
 */
#define EPOLL_TICK	   8
#define EPOLL_TICK_POLLING 64

/* What loop_turn.c peeks at instead of an io_uring's mapped words. */
static const uint32_t nothing;

/* The two name spaces agree on all that loop.h promises; passed through unchanged. */
_Static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT && EPOLLERR == POLLERR &&
		       EPOLLHUP == POLLHUP && EPOLLPRI == POLLPRI,
	       "epoll and poll bits");

static int epoll_init(struct loop *l, uint32_t entries)
{
	(void)entries;
	l->e = (struct epoll_state){ .fd = epoll_create1(EPOLL_CLOEXEC) };
	if (l->e.fd < 0)
		return -errno;
	l->cq_head = l->cq_tail = l->sq_flags = &nothing;
	l->tick_interval = l->spin_always ? EPOLL_TICK_POLLING : EPOLL_TICK;
	return 0;
}

static void epoll_fini(struct loop *l)
{
	close(l->e.fd);
}

static int control(struct loop *l, int op, uint32_t slot)
{
	struct slot *s = &l->slots[slot];
	struct epoll_event ev = { .events = s->events, .data.u64 = (uint64_t)s->gen << 32 | slot };

	if (s->kind != SLOT_FD)
		ev.events |= (uint32_t)EPOLLET;
	return epoll_ctl(l->e.fd, op, s->fd, &ev) < 0 ? -errno : 0;
}

static int epoll_slot_add(struct loop *l, uint32_t slot)
{
	return control(l, EPOLL_CTL_ADD, slot);
}

static int epoll_slot_mod(struct loop *l, uint32_t slot)
{
	return control(l, EPOLL_CTL_MOD, slot);
}

static void epoll_slot_del(struct loop *l, uint32_t slot)
{
	int err = control(l, EPOLL_CTL_DEL, slot);

	if (err)
		log_error("%s: fd %d was closed before it was removed from the loop", l->name,
			  l->slots[slot].fd);
	loop_slot_free(l, slot);
}

/* Millisecond timeouts where the kernel has no epoll_pwait2(): rounded up, never early. */
static int wait_ms(struct loop *l, uint64_t timeout_ns)
{
	uint64_t ms = timeout_ns / 1000000 + !!(timeout_ns % 1000000);

	return epoll_wait(l->e.fd, l->e.events, EPOLL_BATCH, ms > 60000 ? 60000 : (int)ms);
}

static int wait_events(struct loop *l, uint64_t timeout_ns)
{
	struct timespec ts = { .tv_sec = (time_t)(timeout_ns / 1000000000),
			       .tv_nsec = (long)(timeout_ns % 1000000000) };
	int n;

	if (!timeout_ns)
		return epoll_wait(l->e.fd, l->e.events, EPOLL_BATCH, 0);
	if (timeout_ns == UINT64_MAX)
		return epoll_wait(l->e.fd, l->e.events, EPOLL_BATCH, -1);
	n = epoll_pwait2(l->e.fd, l->e.events, EPOLL_BATCH, &ts, NULL);
	if (n < 0 && (errno == ENOSYS || errno == EPERM))
		n = wait_ms(l, timeout_ns);
	return n;
}

static int epoll_enter(struct loop *l, uint64_t timeout_ns)
{
	int n;

	l->io_wanted = 0;
	l->stats.enters++;
	n = wait_events(l, timeout_ns);
	l->e.nr = n < 0 ? 0 : n;
	return n < 0 && errno != EINTR ? -errno : 0;
}

static int epoll_reap(struct loop *l)
{
	int nr = l->e.nr, told = 0;

	l->e.nr = 0;
	for (int i = 0; i < nr; i++) {
		uint64_t who = l->e.events[i].data.u64;

		told += loop_slot_event(l, (uint32_t)who, (uint32_t)(who >> 32),
					l->e.events[i].events);
	}
	return told;
}

const struct engine loop_engine_epoll = {
	.name = "epoll",
	.init = epoll_init,
	.fini = epoll_fini,
	.slot_add = epoll_slot_add,
	.slot_mod = epoll_slot_mod,
	.slot_del = epoll_slot_del,
	.enter = epoll_enter,
	.reap = epoll_reap,
};
