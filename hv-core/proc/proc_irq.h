/* SPDX-License-Identifier: MIT */
/*
 * Interrupts of a process partition: one futex word per VP in a page that root and
 * child share (enum hv_proc_irq).
 *
 *   raise  exchange the word to PENDING; wake when it was SLEEPING, ring when it was POLLING
 *   wait   PENDING: exchange to NONE, done
 *          else NONE -> SLEEPING by compare-and-swap, sleep while it stays so
 *   poll   NONE -> POLLING by compare-and-swap, poll(2), exchange to NONE; before, there was
 *          an interrupt unless it was still POLLING
 *
 * Both sides only exchange, so no interrupt is lost, and a peer that writes nonsense
 * gets at worst a wake-up too many on its own side.
 */
#ifndef HVBUS_HV_CORE_PROC_PROC_IRQ_H
#define HVBUS_HV_CORE_PROC_PROC_IRQ_H

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "hv-core/proc/proc_wire.h"

/*
 * Any thread or process. Never blocks; errno is preserved only by luck. True: the VP's thread
 * polls, so the caller has to make its descriptor readable.
 */
static inline bool proc_irq_raise(uint32_t *state)
{
	/* I1 pairs with I2: what was written before the interrupt is seen by who takes it. */
	uint32_t s = __atomic_exchange_n(state, HV_PROC_IRQ_PENDING, __ATOMIC_ACQ_REL);

	if (s == HV_PROC_IRQ_SLEEPING)
		syscall(SYS_futex, state, FUTEX_WAKE, 1, NULL, NULL, 0);
	return s == HV_PROC_IRQ_POLLING;
}

/* Takes a pending interrupt. */
static inline int proc_irq_take(uint32_t *state)
{
	uint32_t s = load_relaxed(state);

	if (s == HV_PROC_IRQ_NONE || s == HV_PROC_IRQ_SLEEPING)
		return 0;
	__atomic_exchange_n(state, HV_PROC_IRQ_NONE, __ATOMIC_ACQ_REL); /* I2 */
	return 1;
}

/* 1 interrupted, 0 time out (CLOCK_MONOTONIC @deadline; NULL = none). The VP's thread. */
static inline int proc_irq_wait(uint32_t *state, const struct timespec *deadline)
{
	uint32_t none = HV_PROC_IRQ_NONE;
	long err;

	for (;;) {
		if (proc_irq_take(state))
			return 1;
		__atomic_compare_exchange_n(state, &none, HV_PROC_IRQ_SLEEPING, false,
					    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
		none = HV_PROC_IRQ_NONE;
		err = syscall(SYS_futex, state, FUTEX_WAIT_BITSET, HV_PROC_IRQ_SLEEPING, deadline,
			      NULL, FUTEX_BITSET_MATCH_ANY);
		if (err < 0 && errno == ETIMEDOUT)
			break;
	}
	/* Too late to be told: from here on nobody needs to wake us. */
	return __atomic_exchange_n(state, HV_PROC_IRQ_NONE, __ATOMIC_ACQ_REL) ==
	       HV_PROC_IRQ_PENDING;
}

/* Nothing to take. What is none of the enum counts as PENDING. */
static inline bool proc_irq_idle(uint32_t s)
{
	return s == HV_PROC_IRQ_NONE || s == HV_PROC_IRQ_SLEEPING || s == HV_PROC_IRQ_POLLING;
}

/* Before poll(2): false when there is an interrupt to take. The VP's thread. */
static inline bool proc_irq_poll(uint32_t *state)
{
	uint32_t s = load_relaxed(state);

	while (proc_irq_idle(s))
		if (__atomic_compare_exchange_n(state, &s, HV_PROC_IRQ_POLLING, false,
						__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			return true;
	return false;
}

/* After poll(2): was there an interrupt? */
static inline bool proc_irq_polled(uint32_t *state)
{
	return !proc_irq_idle(__atomic_exchange_n(state, HV_PROC_IRQ_NONE, __ATOMIC_ACQ_REL));
}

#endif
