/* SPDX-License-Identifier: MIT */
/*
 * Inside of the event loop; nobody but base/loop*.c includes this.
 *
 *   loop.c        life, fds and bells (the slot table), thin API wrappers
 *   loop_queue.c  posted calls, timers, pollers, hooks
 *   loop_turn.c   the turn: poll, spin, arm, sleep
 *   loop_uring.c, loop_epoll.c  the engines
 */
#ifndef HVBUS_BASE_LOOP_PRIV_H
#define HVBUS_BASE_LOOP_PRIV_H

#include <pthread.h>

#include <liburing.h>
#include <sys/epoll.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/loop.h"

#define NO_SLOT	  UINT32_MAX

/* Why the next turn must enter the kernel (struct loop, io_wanted). */
#define IO_UNSENT 1
#define IO_LOOK	  2 /* it may have something that memory does not show */

enum slot_kind { SLOT_FREE, SLOT_WAKE, SLOT_FD, SLOT_BELL };

/*
 * One watched fd. What the kernel hands back is (index, generation), never a pointer,
 * so an event that arrives after the removal finds nobody and is dropped.
 */
struct slot {
	void *obj; /* struct loop_fd or loop_bell; NULL once removed */
	int fd;
	uint32_t gen;
	uint32_t events;
	uint32_t next; /* free list, or the io_uring engine's to-do list */
	uint8_t kind;
	/* io_uring only: */
	uint8_t in_kernel; /* a poll request exists */
	uint8_t removing;  /* and its removal was queued */
	uint8_t todo;	   /* on the to-do list */
	uint8_t dead;	   /* the kernel refused to poll it */
};

struct engine {
	const char *name;
	int (*init)(struct loop *l, uint32_t entries);
	/* Cancels and waits for everything the kernel still does for us, then releases. */
	void (*fini)(struct loop *l);
	int (*slot_add)(struct loop *l, uint32_t slot);
	int (*slot_mod)(struct loop *l, uint32_t slot);
	/* The slot's obj is NULL already; ends, now or later, with loop_slot_free(). */
	void (*slot_del)(struct loop *l, uint32_t slot);
	/* Submits what is queued; waits for one event at most @timeout_ns. 0 or -errno. */
	int (*enter)(struct loop *l, uint64_t timeout_ns);
	/* Dispatches a bounded number of the events that are here; returns how many. */
	int (*reap)(struct loop *l);
};

extern const struct engine loop_engine_uring, loop_engine_epoll;

struct uring_state {
	struct io_uring ring;
	uint64_t *user_data; /* per SQ slot: what user_data must be when it is submitted */
	uint32_t enter_flags;
	uint32_t in_flight; /* operations handed out by loop_sqe() and not finally completed */
	uint32_t todo;	    /* slots that need a poll request or its removal */
	uint64_t fixed[2];  /* fixed file indices in use */
	bool fixed_ready, fixed_failed;
	bool closing;
};

#define EPOLL_BATCH 64

struct epoll_state {
	int fd;
	int nr; /* events waiting to be dispatched */
	struct epoll_event events[EPOLL_BATCH];
};

/* What the loop waits for, by whether operations are in the kernel. */
enum waiting { FOR_PEERS, FOR_KERNEL, NR_WAITING };

/* What is known of one kind of waiting. */
struct spin_state {
	uint64_t budget_ns;
	uint32_t lost_streak; /* spins in a row that ended in sleeping anyway */
	uint32_t holdoff;     /* sleeps until spinning may be tried again */
	uint32_t defeats;     /* lost streaks since the last spin that was won */
};

struct loop {
	/* Read every turn, written by the loop's thread only. */
	const struct engine *engine;
	const uint32_t *cq_head, *cq_tail, *sq_flags; /* mapped ring, or zeroes with epoll */
	struct loop_poller pollers;		      /* list head */
	struct loop_poller *poller_cursor;	      /* next one of the walk under way */
	struct loop_poller *poller_now;		      /* the one being called; NULL if it left */
	struct loop_hook *hooks, **hooks_tail;	      /* queued */
	struct loop_hook *hooks_running;	      /* taken from the queue, not called yet */
	uint32_t ticks_left;			      /* turns until the next slow tick */
	uint8_t io_wanted; /* IO_UNSENT: SQEs or slot changes to submit; IO_LOOK */
	bool now_valid;
	bool pollers_grew; /* while arming: the newcomer has not been asked */
	bool stopped;	   /* loop_stop() has reached us */
	bool in_turn, running;

	uint32_t tick_interval;
	uint32_t fallback_ticks;
	bool spin_always;
	uint64_t spin_max_ns;
	struct spin_state spin[NR_WAITING];
	uint64_t now;
	struct loop_timer timers; /* list head, ordered by due_ns */
	struct slot *slots;
	uint32_t nr_slots, slots_used, free_slot;
	struct loop_bell wake;
	struct loop_stats stats;
	pthread_t thread;
	clockid_t cpu_clock;
	const char *name;
	union {
		struct uring_state u;
		struct epoll_state e;
	};

	/* Written by other threads; a line of its own so that they do not slow the turn. */
	struct loop_call *posted __attribute__((aligned(CACHE_LINE))); /* newest first */
	uint32_t asleep;					       /* wake.fd must be rung */
	uint32_t stop_asked;
	uint32_t posters; /* threads inside loop_post() */
	struct loop_call stop_call;
};

/* loop.c */
void loop_slot_free(struct loop *l, uint32_t slot);
/* Tells the owner of @slot, if it is still there. True when somebody was told. */
bool loop_slot_event(struct loop *l, uint32_t slot, uint32_t gen, uint32_t events);

/* loop_queue.c */
bool loop_run_posted(struct loop *l);
bool loop_fire_timers(struct loop *l);
uint64_t loop_timer_delay(struct loop *l); /* until the first one; UINT64_MAX if none */
void loop_flush_hooks(struct loop *l);

#endif
