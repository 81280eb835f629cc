/* SPDX-License-Identifier: MIT */
/* Shared by the loop tests: a loop of either engine, and small things to watch. */
#ifndef HVBUS_TESTS_LOOP_RIG_H
#define HVBUS_TESTS_LOOP_RIG_H

#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/loop.h"

#define MS 1000000u
#define S  1000000000u

/* Every case runs with both: tcase_add_loop_test(tc, fn, 0, NR_ENGINES), index _i. */
static const enum loop_engine rig_engines[] = { LOOP_URING, LOOP_EPOLL };
#define NR_ENGINES 2

static inline struct loop *rig_loop(int i, int32_t spin_us_max)
{
	struct loop_config cfg = {
		.engine = rig_engines[i],
		.spin_us_max = spin_us_max,
		.name = "test",
	};
	struct loop *l;

	ck_assert_int_eq(loop_create(&l, &cfg), 0);
	ck_assert_str_eq(loop_engine_name(l), i == 0 ? "io_uring" : "epoll");
	return l;
}

static inline int rig_eventfd(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static inline void rig_ring(int fd)
{
	const uint64_t one = 1;

	ck_assert_int_eq(write(fd, &one, sizeof(one)), sizeof(one));
}

/* A pipe with a non-blocking read end at [0]. */
static inline void rig_pipe(int fd[2])
{
	ck_assert_int_eq(pipe2(fd, O_CLOEXEC | O_NONBLOCK), 0);
}

static inline void rig_close(int fd[2])
{
	close(fd[0]);
	close(fd[1]);
}

/* Turns without sleeping until nothing is left to do. */
static inline void rig_settle(struct loop *l)
{
	int idle = 0;

	while (idle < 3) {
		int did = loop_turn(l, 0);

		ck_assert_int_ge(did, 0);
		idle = did ? 0 : idle + 1;
	}
}

/* Turns, sleeping where the loop wants to, until @cond; the case's time limit ends a hang. */
#define rig_turn_until(l, cond)                                                                    \
	do {                                                                                       \
		while (!(cond))                                                                    \
			ck_assert_int_ge(loop_turn(l, 10 * S), 0);                                 \
	} while (0)

static inline int rig_main(Suite *s)
{
	SRunner *sr = srunner_create(s);
	int failed;

	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
