/* SPDX-License-Identifier: MIT */
/*
 * The io_uring engine.
 *
 * Doorbells are multishot poll requests: each eventfd_write() posts a completion whether
 * or not the counter was read, so nothing is re-armed and nothing is read per ring.
 * Other fds are one-shot poll requests that are renewed after the callback, which makes
 * them level-triggered; the renewal travels with the next submission.
 *
 * user_data: 0 = nobody wants to know; lowest bit set = a slot and its generation;
 * else the address of a struct loop_op.
 *
 * Life of a slot here: (todo) -> poll request in_kernel -> final completion -> (todo) ...
 * A removed slot with a request in the kernel asks for its removal and is freed only by
 * the final completion, so an index is never in use twice.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/loop_priv.h"

#define CQ_ENTRIES   4096
#define CQ_RESERVE   256 /* completions kept free for doorbells, fds and removals */
#define REAP_MAX     64	 /* completions per turn: disks must not starve the rest */
#define SUBMIT_EARLY 8	 /* so many unsent entries never wait for the turn's end */
#define URING_TICK   32
#define FIXED_FILES  128
#define IOWQ_MAX     8 /* worker threads of each kind for what cannot run inline */

#define UD_NOBODY    0

static uint64_t slot_user_data(const struct loop *l, uint32_t slot)
{
	return (uint64_t)l->slots[slot].gen << 32 | (uint64_t)slot << 1 | 1;
}

/* ---- submission -------------------------------------------------------------------- */

/* Makes the queued SQEs visible to the kernel; returns how many it has to take. */
static uint32_t publish(struct uring_state *u)
{
	struct io_uring_sq *sq = &u->ring.sq;

	for (uint32_t i = sq->sqe_head; i != sq->sqe_tail; i++)
		sq->sqes[i & sq->ring_mask].user_data = u->user_data[i & sq->ring_mask];
	sq->sqe_head = sq->sqe_tail;
	store_release(sq->ktail, sq->sqe_tail); /* entries before index; the kernel acquires */
	return sq->sqe_tail - load_acquire(sq->khead);
}

/* Returns what io_uring_enter(2) does, errors as -errno. */
static int enter(struct loop *l, uint32_t wait_nr, uint32_t flags, void *arg, size_t arg_size)
{
	l->stats.enters++;
	return io_uring_enter2((unsigned)l->u.ring.enter_ring_fd, publish(&l->u), wait_nr,
			       flags | l->u.enter_flags, arg, arg_size);
}

/*
 * A disk that ran dry is not to wait until the whole turn's work is prepared: what is unsent may be
 * as much as the kernel still has to do, and one more.
 */
static bool worth_sending(const struct loop *l, uint32_t unsent)
{
	return unsent >= SUBMIT_EARLY || 2 * unsent > l->u.in_flight;
}

/* A zeroed SQE, or NULL when the queue is full and the kernel takes none now. */
static struct io_uring_sqe *take_sqe(struct loop *l, uint64_t user_data)
{
	struct io_uring *ring = &l->u.ring;
	uint32_t unsent = ring->sq.sqe_tail - ring->sq.sqe_head;
	struct io_uring_sqe *sqe;

	if (unsent && worth_sending(l, unsent))
		enter(l, 0, 0, NULL, 0);
	sqe = io_uring_get_sqe(ring);

	if (unlikely(!sqe)) {
		enter(l, 0, 0, NULL, 0);
		sqe = io_uring_get_sqe(ring);
		if (!sqe)
			return NULL;
	}
	memset(sqe, 0, sizeof(*sqe));
	sqe->user_data = user_data;
	l->u.user_data[sqe - ring->sq.sqes] = user_data;
	l->io_wanted |= IO_UNSENT;
	return sqe;
}

static void slot_todo(struct loop *l, uint32_t slot)
{
	struct slot *s = &l->slots[slot];

	if (s->todo)
		return;
	s->todo = true;
	s->next = l->u.todo;
	l->u.todo = slot;
	l->io_wanted |= IO_UNSENT;
}

/* What the slot needs next from the kernel. False when there is no SQE for it now. */
static bool slot_do(struct loop *l, uint32_t slot)
{
	struct slot *s = &l->slots[slot];
	struct io_uring_sqe *sqe;

	if (s->in_kernel) { /* removed, or with other events */
		if (s->removing)
			return true;
		sqe = take_sqe(l, UD_NOBODY);
		if (!sqe)
			return false;
		/* Not POLL_REMOVE: that one gives up on a request that is just firing. */
		io_uring_prep_cancel64(sqe, slot_user_data(l, slot), 0);
		s->removing = true;
		return true;
	}
	if (!s->obj || s->dead)
		return true;
	sqe = take_sqe(l, slot_user_data(l, slot));
	if (!sqe)
		return false;
	if (s->kind == SLOT_FD)
		io_uring_prep_poll_add(sqe, s->fd, s->events);
	else
		io_uring_prep_poll_multishot(sqe, s->fd, POLLIN);
	s->in_kernel = true;
	return true;
}

static void do_todo(struct loop *l)
{
	while (l->u.todo != NO_SLOT) {
		uint32_t slot = l->u.todo;

		if (!slot_do(l, slot))
			return;
		l->u.todo = l->slots[slot].next;
		l->slots[slot].todo = false;
		if (!l->slots[slot].obj && !l->slots[slot].in_kernel)
			loop_slot_free(l, slot);
	}
}

static int uring_enter(struct loop *l, uint64_t timeout_ns)
{
	struct __kernel_timespec ts = { .tv_sec = (int64_t)(timeout_ns / 1000000000),
					.tv_nsec = (int64_t)(timeout_ns % 1000000000) };
	struct io_uring_getevents_arg arg = { .sigmask_sz = _NSIG / 8,
					      .ts = (uint64_t)(uintptr_t)&ts };
	struct io_uring_sq *sq = &l->u.ring.sq;
	int n;

	do_todo(l);
	if (!timeout_ns || l->u.todo != NO_SLOT)
		n = enter(l, 0, IORING_ENTER_GETEVENTS, NULL, 0);
	else if (timeout_ns == UINT64_MAX)
		n = enter(l, 1, IORING_ENTER_GETEVENTS, NULL, 0);
	else
		n = enter(l, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof(arg));
	l->io_wanted = 0;
	if (l->u.todo != NO_SLOT || sq->sqe_tail != load_acquire(sq->khead))
		l->io_wanted = IO_UNSENT;
	/* Short of memory or of completion space: what is unsent goes with the next turn. */
	if (n == -EINTR || n == -ETIME || n == -EAGAIN || n == -EBUSY)
		return 0;
	return n < 0 ? n : 0;
}

/* ---- completion ------------------------------------------------------------------------ */

/* The kernel cannot poll this fd (any more). */
static void slot_failed(struct loop *l, struct slot *s, int err)
{
	s->dead = true;
	log_error("%s: cannot wait for fd %d: %s", l->name, s->fd, strerror(-err));
}

static bool slot_completed(struct loop *l, uint64_t user_data, int32_t res, uint32_t flags)
{
	uint32_t slot = (uint32_t)user_data >> 1, gen = (uint32_t)(user_data >> 32);
	struct slot *s = &l->slots[slot];
	uint32_t events = res > 0 ? (uint32_t)res : 0;
	bool told = false;

	if (slot >= l->nr_slots || s->gen != gen)
		return false;
	if (!(flags & IORING_CQE_F_MORE))
		s->in_kernel = s->removing = false;
	if (!s->obj || l->u.closing) {
		if (!s->obj && !s->in_kernel && !s->todo)
			loop_slot_free(l, slot);
		return false;
	}
	if (res < 0 && res != -ECANCELED) {
		slot_failed(l, s, res);
		events = POLLERR | POLLNVAL;
	}
	if (events)
		told = loop_slot_event(l, slot, gen, events);
	s = &l->slots[slot]; /* the callback may have grown the table */
	if (s->gen == gen && s->obj && !s->in_kernel && !s->dead)
		slot_todo(l, slot);
	return told;
}

static bool op_completed(struct loop *l, uint64_t user_data, int32_t res, uint32_t flags)
{
	struct loop_op *op = (struct loop_op *)(uintptr_t)user_data;

	if (!(flags & IORING_CQE_F_MORE))
		l->u.in_flight--;
	op->done(op, res, flags);
	return true;
}

static int uring_reap(struct loop *l)
{
	struct io_uring_cq *cq = &l->u.ring.cq;
	int seen = 0, told = 0;

	/* Acquire: the index before the entries; the kernel releases it after them. */
	while (seen < REAP_MAX && *cq->khead != load_acquire(cq->ktail)) {
		struct io_uring_cqe cqe = cq->cqes[*cq->khead & cq->ring_mask];

		store_release(cq->khead, *cq->khead + 1); /* copied; the kernel may reuse it */
		seen++;
		if (cqe.user_data & 1)
			told += slot_completed(l, cqe.user_data, cqe.res, cqe.flags);
		else if (cqe.user_data != UD_NOBODY)
			told += op_completed(l, cqe.user_data, cqe.res, cqe.flags);
	}
	return told;
}

/* ---- slots ------------------------------------------------------------------------------- */

static int uring_slot_add(struct loop *l, uint32_t slot)
{
	slot_todo(l, slot);
	return 0;
}

static int uring_slot_mod(struct loop *l, uint32_t slot)
{
	slot_todo(l, slot);
	return 0;
}

static void uring_slot_del(struct loop *l, uint32_t slot)
{
	struct slot *s = &l->slots[slot];

	if (s->in_kernel)
		slot_todo(l, slot);
	else if (!s->todo)
		loop_slot_free(l, slot);
}

/* ---- life ----------------------------------------------------------------------------------- */

#define ALLOW_SQE(code)                                                                            \
	{                                                                                          \
		.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = code                                \
	}
#define ALLOW_REG(code)                                                                            \
	{                                                                                          \
		.opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = code                      \
	}

/*
 * What the ring can do for as long as it lives, whoever fills its entries. The kernel's
 * workers are outside of any seccomp filter: without this, a process that must not open files
 * or sockets could still ask its ring for them. Transfers and polls of open files are all the
 * loop and its users need. The newest come last: older kernels do not know them.
 */
static const struct io_uring_restriction ring_rules[] = {
	ALLOW_SQE(IORING_OP_NOP),
	ALLOW_SQE(IORING_OP_TIMEOUT),
	ALLOW_SQE(IORING_OP_POLL_ADD),
	ALLOW_SQE(IORING_OP_POLL_REMOVE),
	ALLOW_SQE(IORING_OP_ASYNC_CANCEL),
	ALLOW_SQE(IORING_OP_READ),
	ALLOW_SQE(IORING_OP_READV),
	ALLOW_SQE(IORING_OP_READ_FIXED),
	ALLOW_SQE(IORING_OP_WRITE),
	ALLOW_SQE(IORING_OP_WRITEV),
	ALLOW_SQE(IORING_OP_WRITE_FIXED),
	ALLOW_SQE(IORING_OP_FSYNC),
	ALLOW_SQE(IORING_OP_FALLOCATE),
	{ .opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED,
	  .sqe_flags = IOSQE_FIXED_FILE | IOSQE_ASYNC },
	ALLOW_REG(IORING_REGISTER_FILES_UPDATE),
	ALLOW_REG(IORING_REGISTER_FILES2),
	ALLOW_REG(IORING_UNREGISTER_RING_FDS),
};

#define OLDEST_RULES 15 /* of them, known to every kernel that has what the loop needs */

/* By the general call: the shared liburing 2.3 has lost the two functions for this. */
static int restrict_and_enable(const struct io_uring *ring)
{
	unsigned fd = (unsigned)ring->ring_fd, n = ARRAY_SIZE(ring_rules);
	int err;

	do {
		err = io_uring_register(fd, IORING_REGISTER_RESTRICTIONS, ring_rules, n);
	} while (err == -EINVAL && n-- > OLDEST_RULES);
	return err ? err : io_uring_register(fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

static int open_ring(struct uring_state *u, uint32_t entries)
{
	const uint32_t common = IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED;
	const uint32_t tries[] = {
		/* 6.1: completions wait until we enter, and a flag in memory says so */
		common | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_TASKRUN_FLAG |
			IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		/* 5.19 */
		common | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_TASKRUN_FLAG |
			IORING_SETUP_COOP_TASKRUN,
		/* 5.11, with IORING_FEAT_EXT_ARG */
		common,
	};
	int err = -EINVAL;

	for (uint32_t i = 0; i < ARRAY_SIZE(tries) && err == -EINVAL; i++) {
		struct io_uring_params p = {
			.flags = tries[i],
			.cq_entries = entries > CQ_ENTRIES ? entries : CQ_ENTRIES,
		};

		err = io_uring_queue_init_params(entries, &u->ring, &p);
	}
	if (err)
		return err;
	if (!(u->ring.features & IORING_FEAT_EXT_ARG) || !(u->ring.features & IORING_FEAT_NODROP)) {
		io_uring_queue_exit(&u->ring);
		return -ENOSYS;
	}
	return 0;
}

static int uring_init(struct loop *l, uint32_t entries)
{
	unsigned workers[2] = { IOWQ_MAX, IOWQ_MAX };
	struct uring_state *u = &l->u;
	struct io_uring_sq *sq = &u->ring.sq;
	int err;

	memset(u, 0, sizeof(*u));
	u->todo = NO_SLOT;
	err = open_ring(u, entries);
	if (err)
		return err;
	u->user_data = calloc(sq->ring_entries, sizeof(*u->user_data));
	if (!u->user_data) {
		io_uring_queue_exit(&u->ring);
		return -ENOMEM;
	}
	/* SQ slot n always carries SQE n; publish() then has only the index to move. */
	for (uint32_t i = 0; i < sq->ring_entries; i++)
		sq->array[i] = i;
	/* Makes things better but is not needed; afterwards it would not be allowed. */
	if (io_uring_register_ring_fd(&u->ring) == 1)
		u->enter_flags = IORING_ENTER_REGISTERED_RING;
	io_uring_register_iowq_max_workers(&u->ring, workers);
	io_uring_ring_dontfork(&u->ring);
	err = restrict_and_enable(&u->ring);
	if (err) {
		io_uring_queue_exit(&u->ring);
		free(u->user_data);
		return err;
	}
	l->cq_head = u->ring.cq.khead;
	l->cq_tail = u->ring.cq.ktail;
	l->sq_flags = sq->kflags;
	l->tick_interval = URING_TICK;
	return 0;
}

static void uring_fini(struct loop *l)
{
	struct uring_state *u = &l->u;
	struct io_uring_sqe *sqe;

	u->closing = true;
	while (u->in_flight) {
		sqe = take_sqe(l, UD_NOBODY);
		if (sqe)
			io_uring_prep_cancel(sqe, NULL, IORING_ASYNC_CANCEL_ANY);
		/* Started disk requests cannot be cancelled: they end by themselves. */
		uring_enter(l, 10000000);
		while (uring_reap(l))
			;
	}
	io_uring_queue_exit(&u->ring);
	free(u->user_data);
}

/* ---- operations of others -------------------------------------------------------------------- */

struct io_uring_sqe *loop_sqe(struct loop *l, struct loop_op *op)
{
	struct io_uring_sqe *sqe;

	if (unlikely(!loop_has_uring(l) || l->u.closing ||
		     l->u.in_flight + 2 * l->slots_used + CQ_RESERVE > l->u.ring.cq.ring_entries))
		return NULL;
	assert(!((uintptr_t)op & 1));
	sqe = take_sqe(l, (uintptr_t)op);
	if (likely(sqe))
		l->u.in_flight++;
	return sqe;
}

uint32_t loop_ops_in_flight(const struct loop *l)
{
	return loop_has_uring(l) ? l->u.in_flight : 0;
}

int loop_file_register(struct loop *l, int fd)
{
	struct uring_state *u = &l->u;

	if (!loop_has_uring(l))
		return -EOPNOTSUPP;
	if (fd < 0)
		return -EBADF; /* to the kernel, -1 means an empty place */
	if (!u->fixed_ready && !u->fixed_failed) {
		u->fixed_ready = !io_uring_register_files_sparse(&u->ring, FIXED_FILES);
		u->fixed_failed = !u->fixed_ready;
	}
	if (u->fixed_failed)
		return -EOPNOTSUPP;
	for (int i = 0; i < FIXED_FILES; i++) {
		int n;

		if (u->fixed[i / 64] >> (i % 64) & 1)
			continue;
		n = io_uring_register_files_update(&u->ring, (unsigned)i, &fd, 1);
		if (n != 1)
			return n < 0 ? n : -EIO;
		u->fixed[i / 64] |= UINT64_C(1) << (i % 64);
		return i;
	}
	return -ENFILE;
}

void loop_file_unregister(struct loop *l, int index)
{
	const int none = -1;

	if (!loop_has_uring(l) || index < 0 || index >= FIXED_FILES)
		return;
	io_uring_register_files_update(&l->u.ring, (unsigned)index, &none, 1);
	l->u.fixed[index / 64] &= ~(UINT64_C(1) << (index % 64));
}

const struct engine loop_engine_uring = {
	.name = "io_uring",
	.init = uring_init,
	.fini = uring_fini,
	.slot_add = uring_slot_add,
	.slot_mod = uring_slot_mod,
	.slot_del = uring_slot_del,
	.enter = uring_enter,
	.reap = uring_reap,
};
