/* SPDX-License-Identifier: MIT */
/* What the tests of hv-core share: a loop, a fake partition, the closing main(). */
#ifndef HVBUS_TESTS_UT_HV_CORE_HV_RIG_H
#define HVBUS_TESTS_UT_HV_CORE_HV_RIG_H

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The fake lies beside this layer's archive, so its test takes the source. */
#include "tests/fake/fake_partition.c"

#define RIG_MEMORY (4u << 20)

/* Stress tests do this many times their unit of work. */
#if defined(HVBUS_TSAN) || defined(__SANITIZE_ADDRESS__)
#define RIG_EFFORT 1u
#else
#define RIG_EFFORT 10u
#endif

static struct loop *rig_loop;
static struct fake_partition *rig;

static inline void rig_up(uint32_t nr_vps)
{
	ck_assert_int_eq(loop_create(&rig_loop, NULL), 0);
	ck_assert_int_eq(fake_partition_create(&rig, rig_loop, nr_vps, RIG_MEMORY), 0);
}

static inline void rig_down(void)
{
	fake_partition_destroy(rig);
	loop_destroy(rig_loop);
}

static inline int rig_run(const char *name, const TTest *const *tests, size_t n)
{
	Suite *s = suite_create(name);
	TCase *tc = tcase_create(name);
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	for (size_t i = 0; i < n; i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#define RIG_MAIN(name, ...)                                                                        \
	int main(void)                                                                             \
	{                                                                                          \
		const TTest *const tests[] = { __VA_ARGS__ };                                      \
		return rig_run(name, tests, sizeof(tests) / sizeof(*tests));                       \
	}

#endif
