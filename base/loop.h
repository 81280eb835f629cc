/* SPDX-License-Identifier: MIT */
/*
 * Event loop: one per thread, two engines behind one API.
 *
 *   io_uring  doorbells, sockets, timers and disk I/O are waited for in one
 *             io_uring_enter, which also submits what was queued;
 *   epoll     where the kernel or a sandbox forbids io_uring.
 *
 * One turn of the loop:
 *   1. run posted calls, fire due timers
 *   2. run every poller (they drain shared rings and queue work)
 *   3. run the flush hooks (they publish completions, signal peers); submit I/O
 *   4. reap completions and ready fds without sleeping
 *   5. nothing happened? spin for at most the adaptive budget (one for when operations are in
 *      the kernel, one for when peers are to move), repeating 2..4;
 *      then arm() every poller (unmask and look once more), and sleep.
 *
 * Threads: everything is for the loop's own thread, except loop_post() and
 * loop_stop(). Create a loop on the thread that will run it (io_uring's
 * single-issuer mode belongs to the creating thread).
 * Callbacks never block and may add or remove any fd, bell, timer, poller or
 * hook, including their own.
 */
#ifndef HVBUS_BASE_LOOP_H
#define HVBUS_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct io_uring_sqe;

enum loop_engine {
	LOOP_AUTO,  /* io_uring, epoll when the kernel refuses */
	LOOP_URING, /* io_uring or an error */
	LOOP_EPOLL,
};

#define LOOP_SPIN_ALWAYS (-1) /* never sleep: a polling provider on a core of its own */

struct loop_config {
	enum loop_engine engine;
	uint32_t entries;    /* io_uring submission slots; 0 = 512 */
	int32_t spin_us_max; /* adaptive spin before sleeping: 0 = never, LOOP_SPIN_ALWAYS */
	const char *name;    /* for log lines; static lifetime */
};

/*
 * Creates a loop for the calling thread. @cfg may be NULL (LOOP_AUTO, 512, no
 * spinning). LOOP_AUTO logs one line when it falls back to epoll.
 * Errors: -ENOMEM, -EMFILE, -EPERM/-ENOSYS (LOOP_URING and the kernel refuses).
 */
int loop_create(struct loop **out, const struct loop_config *cfg);

/*
 * Runs calls that are still posted, cancels and reaps the operations in flight (their
 * done() is called; requests that the disk has already are waited for), then frees.
 * The caller has removed its fds, bells, timers and pollers. Not from a callback.
 */
void loop_destroy(struct loop *l);

/* Runs until loop_stop(). Returns 0, or a negative errno if waiting itself fails. */
int loop_run(struct loop *l);

/*
 * One turn; sleeps at most @timeout_ns (0 = do not sleep, UINT64_MAX = no limit).
 * Returns 1 when anything was done, 0 when not, or a negative errno.
 */
int loop_turn(struct loop *l, uint64_t timeout_ns);

/* Any thread: loop_run() returns soon. Sticky until then. As loop_post() otherwise. */
void loop_stop(struct loop *l);

const char *loop_engine_name(const struct loop *l); /* "io_uring" or "epoll" */
bool loop_in_thread(const struct loop *l);	    /* is the caller the loop's thread? */
uint64_t loop_now(struct loop *l);		    /* clock_ns() cached once per turn */

/* ---- calls from other threads ---------------------------------------- */

/*
 * Caller-owned; must stay valid until @fn has run. A call that is already
 * posted and has not run yet may not be posted again.
 */
struct loop_call {
	void (*fn)(struct loop_call *call);
	struct loop_call *next; /* the loop's */
};

/*
 * Any thread. Calls of one thread run in the order they were posted. The call itself may
 * end the loop's life: loop_destroy() waits until the poster is out of here.
 */
void loop_post(struct loop *l, struct loop_call *call);

/* ---- file descriptors -------------------------------------------------- */

struct loop_fd {
	int fd; /* set by the caller before loop_fd_add(); stays the caller's */
	/* @events: what poll(2) would report, POLLIN | POLLOUT | POLLHUP | POLLERR */
	void (*ready)(struct loop_fd *lf, uint32_t events);
	uint32_t events; /* this and the rest are the loop's */
	uint32_t slot;
};

/* Level-triggered. Errors: -ENOMEM, -EBADF, -EPERM (fd cannot be polled). */
int loop_fd_add(struct loop *l, struct loop_fd *lf, uint32_t events);
int loop_fd_mod(struct loop *l, struct loop_fd *lf, uint32_t events);
/*
 * After this @lf->ready is not called again and @lf may be freed. Remove before closing
 * the fd; the kernel may keep the open file until the end of the turn.
 */
void loop_fd_del(struct loop *l, struct loop_fd *lf);

/* ---- doorbells ------------------------------------------------------------ */

/*
 * An eventfd that a peer rings. The loop calls @rung on its own thread, at least once
 * after each ring (rings are coalesced, and a ring too many is possible). Nobody needs
 * to read the counter: the engines watch for writes, not for the value.
 */
struct loop_bell {
	int fd; /* non-blocking eventfd; stays the caller's */
	void (*rung)(struct loop_bell *b);
	uint64_t rings; /* wake-ups seen; this and the rest are the loop's */
	uint32_t slot;
};

/* A bell that was rung before it was added rings once. Errors: -ENOMEM, -EBADF. */
int loop_bell_add(struct loop *l, struct loop_bell *b);
void loop_bell_del(struct loop *l, struct loop_bell *b);

/* ---- timers ------------------------------------------------------------------ */

struct loop_timer {
	void (*fire)(struct loop_timer *t);
	uint64_t due_ns; /* 0 = not armed; the rest is the loop's */
	struct loop_timer *next, *prev;
};

/* One-shot, @delay_ns from now; re-arming moves it. */
void loop_timer_arm(struct loop *l, struct loop_timer *t, uint64_t delay_ns);
void loop_timer_cancel(struct loop *l, struct loop_timer *t); /* no-op when not armed */

/* ---- pollers -------------------------------------------------------------------- */

/*
 * Something in shared memory that has to be looked at, with a doorbell only for
 * the time the loop sleeps.
 *   poll    do a bounded amount of work; true when there was any
 *   arm     the loop is about to sleep: ask the peer for signals, look once more;
 *           false when there is work after all (the loop then does not sleep)
 *   disarm  the loop woke up, or did not sleep after all: signals are not needed until
 *           the next arm. Called once after each arm(), also one that returned false,
 *           before the next poll.
 *
 * A poller starts disarmed: who adds it has turned the peer's signals off. One that
 * deletes itself inside arm() and returns true is left as it is, armed; that is how an
 * idle channel costs nothing per turn: its doorbell adds the poller again.
 * A LOOP_SPIN_ALWAYS loop never arms.
 */
struct loop_poller {
	bool (*poll)(struct loop_poller *p);
	bool (*arm)(struct loop_poller *p);
	void (*disarm)(struct loop_poller *p);
	struct loop_poller *next, *prev; /* these are the loop's */
	bool armed;
};

/* Each exactly once in turn; both may be called inside poll, arm and disarm. */
void loop_poller_add(struct loop *l, struct loop_poller *p);
void loop_poller_del(struct loop *l, struct loop_poller *p);

/* ---- flush hooks ---------------------------------------------------------------------- */

/* Called after every batch of work and before sleeping: publish, signal, submit. */
struct loop_hook {
	void (*flush)(struct loop_hook *h);
	bool queued;
	struct loop_hook *next; /* the loop's */
};

/*
 * Queues @h for the end of this turn; no-op when queued already. Hooks run in the order
 * they were queued; a hook may queue itself again, for the next flush (a loop with a
 * hook queued does not sleep).
 */
void loop_hook_queue(struct loop *l, struct loop_hook *h);

/* Takes @h off the queue; no-op when not queued. After this @h may be freed. */
void loop_hook_cancel(struct loop *l, struct loop_hook *h);

/* ---- io_uring operations --------------------------------------------------------------- */

/* Embedded in a request; its address travels as user_data. */
struct loop_op {
	void (*done)(struct loop_op *op, int32_t res, uint32_t cqe_flags);
};

bool loop_has_uring(const struct loop *l);

/*
 * A zeroed submission entry; its completion calls @op->done exactly once (once per CQE
 * for multishot operations, the last one without IORING_CQE_F_MORE). @op must stay valid
 * until then. NULL when too many operations are in flight for the completion queue, when
 * the loop is being destroyed, or with the epoll engine: retry after completions.
 *
 * The caller fills the entry with io_uring_prep_*() before it calls loop_sqe() again or
 * returns to the loop (an entry left as it is becomes a no-op request, and completes).
 * user_data is the loop's: it is set here, io_uring_prep_*() do not touch it, and it is
 * written once more at submission, so nothing the caller stores there survives.
 * IOSQE_IO_LINK and IOSQE_CQE_SKIP_SUCCESS must not be used: a full queue is submitted
 * between any two entries, and every operation counts until its completion.
 * The io_uring user_data of @op, for io_uring_prep_cancel(), is its address.
 *
 * Submitted at the end of the turn, in the io_uring_enter that also reaps and sleeps.
 */
struct io_uring_sqe *loop_sqe(struct loop *l, struct loop_op *op);
uint32_t loop_ops_in_flight(const struct loop *l);

/*
 * Registers @fd as a fixed file of the loop's ring; returns its index (use with
 * IOSQE_FIXED_FILE) or a negative errno (then use the plain fd).
 */
int loop_file_register(struct loop *l, int fd);
void loop_file_unregister(struct loop *l, int index);

struct loop_stats {
	uint64_t turns, sleeps, spins_won, spins_lost, enters, cpu_ns;
};
void loop_stats(const struct loop *l, struct loop_stats *out);

#endif
