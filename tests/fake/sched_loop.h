/* SPDX-License-Identifier: MIT */
/*
 * base/loop.h without threads, kernel or clock: every loop does one thing at a time, and
 * only when asked to. A test lists what the loops could do next, chooses, and so decides in
 * which order things happen that production leaves to chance. Linked instead of base/loop*.c.
 *
 * More is possible here than in a real loop, never less: a turn has no fixed order, only
 * what loop.h promises holds (calls of one poster run in the order they were posted).
 *
 * Inside of a step the code may be interrupted where threads meet: before a mutex is taken,
 * after one is released, around loop_post() (link with SCHED_WRAP, see the Makefile). The
 * hook then may run steps of loops that are not busy; they end before it returns.
 *
 * Threads: none; everything on one.
 */
#ifndef HVBUS_TESTS_FAKE_SCHED_LOOP_H
#define HVBUS_TESTS_FAKE_SCHED_LOOP_H

#include "base/loop.h"

#define SCHED_LOOPS 4u

enum sched_kind { SCHED_CALL, SCHED_HOOK, SCHED_BELL, SCHED_POLLER, SCHED_TIMER };

struct sched_step {
	enum sched_kind kind;
	struct loop *loop;
	void *what;
};

/* Appends what @l could do now to @out (room for @max); nothing while it is busy. */
uint32_t sched_list(struct loop *l, struct sched_step *out, uint32_t max);
/* Does it. A timer moves the time to when it is due. */
void sched_run(const struct sched_step *s);

/* Code of @l runs (steps do this themselves). Returns who ran before, for sched_leave(). */
struct loop *sched_enter(struct loop *l);
void sched_leave(struct loop *l, struct loop *before);
bool sched_busy(const struct loop *l);

/* Called where threads meet, never while a mutex is held. NULL: nobody interrupts. */
extern void (*sched_interrupt)(void);

/* Somebody may have rung a doorbell: they are looked at, which costs a system call each. */
void sched_ring(void);

/* Is anything left that its owner should have taken away? NULL, or what. */
const char *sched_leftover(const struct loop *l);

#endif
