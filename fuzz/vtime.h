/* SPDX-License-Identifier: MIT */
/*
 * Virtual time: while a run is inside, the monotonic clock, which is the only one of the code
 * under test, stands still but for what the run adds. The fuzzer looks at the real-time clock,
 * also from a signal handler. Include in one file of a target.
 */
#ifndef HVBUS_FUZZ_VTIME_H
#define HVBUS_FUZZ_VTIME_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define VTIME_START_NS 1000000000u
#define VTIME_LOOK_NS  100u /* what a look at the clock takes: loops that wait for it end */

static struct {
	bool inside;
	uint64_t now_ns;
} vtime;

static inline void vtime_enter(void)
{
	vtime.now_ns = VTIME_START_NS;
	vtime.inside = true;
}

static inline void vtime_leave(void)
{
	vtime.inside = false;
}

static inline void vtime_pass(uint64_t ns)
{
	vtime.now_ns += ns;
}

int clock_gettime(clockid_t id, struct timespec *t)
{
	if (!vtime.inside || id != CLOCK_MONOTONIC)
		return (int)syscall(SYS_clock_gettime, id, t);
	vtime.now_ns += VTIME_LOOK_NS;
	t->tv_sec = (time_t)(vtime.now_ns / 1000000000u);
	t->tv_nsec = (long)(vtime.now_ns % 1000000000u);
	return 0;
}

#endif
