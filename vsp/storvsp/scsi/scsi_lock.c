/* SPDX-License-Identifier: MIT */
/*
 * Exclusive ranges of a LUN: COMPARE AND WRITE and ORWRITE hold one over their read and their
 * write, and no other change of these blocks runs meanwhile, of whatever channel, loop or
 * partition (spec: scsi-target, section 7).
 *
 * Who changes blocks comes in one of two ways. Registered: with a range in the list, under
 * the lock; so do commands with private state, always. Counted: a plain WRITE, as long as
 * nobody holds or wants an exclusive range, only adds one to its thread's "begun" and, when it
 * is over, to "ended", which is the count of WRITEs anyway. The first who wants exclusiveness sets
 * "strict": from then on every WRITE registers, those that were counted before are waited for, and
 * all is in the list.
 *
 * Between a WRITE and that first one there is the store-load race of Dekker's algorithm:
 *
 *   WRITE (L1)                          exclusive (L2)
 *   begun += 1                          strict = 1
 *   [compiler barrier]                  membarrier()
 *   strict? then register instead       begun != ended in any thread? then wait for it
 *
 * One of both must see the other. A WRITE cannot pay for a fence, so the rare side does:
 * membarrier() puts a full barrier into every running thread of the process. A thread that
 * was before its load at that moment sees strict, one that was after it had its count
 * visible. From there on nothing is in flight that was not, but for those who come, see strict
 * and go; a thread whose counts were once seen as equal has no counted WRITE in flight any
 * more. Both only grow: who reads "ended" first and then finds "begun" the same has seen them
 * equal at the first of these moments.
 *
 *   L3  WRITE's end: release store of ended, then load of strict. Pairs with the acquire
 *       load in nobody_counted(): who finds them equal sees what was written. The same barrier
 *       decides that either L2 sees that, or the WRITE sees strict and looks for L2.
 *   L4  release store of strict = 0, pairs with WRITE's acquire load (L1): what an exclusive
 *       command did is done before a WRITE that came too late to be registered.
 *
 * Without membarrier() strict stays set and all WRITEs register: slower, as safe. So do those
 * of threads that have no counters of their own, which are many only if loops are.
 */
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "vsp/storvsp/scsi/scsi_int.h"

#define STRICT_NOW    1u
#define STRICT_ALWAYS 2u

static int membarrier(int cmd)
{
	return (int)syscall(SYS_membarrier, cmd, 0, 0);
}

void scsi_lock_init(struct scsi_lun *l)
{
	pthread_mutex_init(&l->range_lock, NULL);
	if (!membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED))
		return;
	log_ratelimited(LOG_WARN, "disk %s: no membarrier(): each write takes a lock", l->serial);
	l->strict = STRICT_ALWAYS;
}

void scsi_lock_fini(struct scsi_lun *l)
{
	pthread_mutex_destroy(&l->range_lock);
}

/* ---- who is in whose way; all under range_lock ---------------------------------------- */

static bool nobody_counted(const struct scsi_lun *l)
{
	for (int i = 0; i < SCSI_SHARDS; i++) {
		uint64_t ended = load_acquire(&l->counts[i].ended); /* L3; before begun */

		if (load_relaxed(&l->counts[i].begun) != ended)
			return false;
	}
	return true;
}

static bool conflict(const struct scsi_range *a, const struct scsi_range *b)
{
	return (a->exclusive || b->exclusive) && a->start < b->end && b->start < a->end;
}

static bool in_the_way(struct scsi_task *list, const struct scsi_range *r)
{
	for (; list; list = list->range.next)
		if (conflict(&list->range, r))
			return true;
	return false;
}

static bool must_wait(const struct scsi_lun *l, struct scsi_task *ahead, const struct scsi_range *r)
{
	if (r->exclusive && !l->counted_gone)
		return true;
	return in_the_way(l->range_held, r) || in_the_way(ahead, r);
}

static void hold(struct scsi_lun *l, struct scsi_task *t)
{
	t->range.next = l->range_held;
	l->range_held = t;
}

static void granted(struct loop_call *call)
{
	struct scsi_task *t = container_of(call, struct scsi_task, call);
	struct scsi_lun *l = t->lun;

	/* Who posted is out of our queue's loop before the task can end. */
	pthread_mutex_lock(&l->range_lock);
	pthread_mutex_unlock(&l->range_lock);
	t->range.go(t);
}

/* First come, first served among those that are in each other's way. */
static void grant(struct scsi_lun *l)
{
	struct scsi_task *all = l->range_waiting, **end = &l->range_waiting, *t;

	l->range_waiting = NULL;
	while ((t = all)) {
		all = t->range.next;
		t->range.next = NULL;
		if (must_wait(l, l->range_waiting, &t->range)) {
			*end = t;
			end = &t->range.next;
			continue;
		}
		hold(l, t);
		t->call.fn = granted;
		blk_queue_post(t->queue, &t->call);
	}
}

/*
 * The last counted WRITE is gone. Who sees that first looks after all who waited for it: the
 * WRITE itself may still be on its way to say so, and finds it said.
 */
static bool look_for_counted(struct scsi_lun *l)
{
	if (l->counted_gone || !nobody_counted(l))
		return false;
	l->counted_gone = true;
	return true;
}

static void become_strict(struct scsi_lun *l)
{
	if (l->exclusives++)
		return;
	store_relaxed(&l->strict, l->strict | STRICT_NOW); /* L2 */
	l->counted_gone = l->strict & STRICT_ALWAYS;
	/* It cannot fail any more: it was registered. */
	if (!l->counted_gone && membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED))
		log_ratelimited(LOG_ERROR, "disk %s: membarrier() failed", l->serial);
}

/* ---- for commands ------------------------------------------------------------------------ */

bool scsi_range_lock(struct scsi_task *t, uint64_t start, uint64_t end, bool exclusive,
		     void (*go)(struct scsi_task *t))
{
	struct scsi_lun *l = t->lun;
	struct scsi_task **last;
	bool wait, gone;

	t->range =
		(struct scsi_range){ .start = start, .end = end, .exclusive = exclusive, .go = go };
	pthread_mutex_lock(&l->range_lock);
	if (exclusive)
		become_strict(l);
	gone = exclusive && look_for_counted(l);
	wait = must_wait(l, l->range_waiting, &t->range);
	if (wait) {
		for (last = &l->range_waiting; *last; last = &(*last)->range.next)
			;
		*last = t;
	} else {
		hold(l, t);
	}
	if (gone && l->range_waiting)
		grant(l);
	pthread_mutex_unlock(&l->range_lock);
	return !wait;
}

void scsi_range_unlock(struct scsi_task *t)
{
	struct scsi_lun *l = t->lun;
	struct scsi_task **p;

	pthread_mutex_lock(&l->range_lock);
	for (p = &l->range_held; *p != t; p = &(*p)->range.next)
		;
	*p = t->range.next;
	if (t->range.exclusive && !--l->exclusives)
		store_release(&l->strict, l->strict & STRICT_ALWAYS); /* L4 */
	if (l->range_waiting)
		grant(l);
	pthread_mutex_unlock(&l->range_lock);
}

void scsi_counted_gone(struct scsi_lun *l)
{
	pthread_mutex_lock(&l->range_lock);
	if (l->range_waiting && look_for_counted(l))
		grant(l);
	pthread_mutex_unlock(&l->range_lock);
}
