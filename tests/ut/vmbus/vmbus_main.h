/* SPDX-License-Identifier: MIT */
/* The main() of the VMBus unit tests: one suite, a list of cases. */
#ifndef HVBUS_TESTS_VMBUS_MAIN_H
#define HVBUS_TESTS_VMBUS_MAIN_H

#include <check.h>
#include <stdlib.h>

#include "base/atomic.h" /* HVBUS_TSAN */
#include "base/log.h"

/* As ck_assert(), which is too slow for what runs a million times: it notes each place it passes.
 */
#define REQUIRE(what)                                                                              \
	do {                                                                                       \
		if (unlikely(!(what)))                                                             \
			ck_abort_msg("%s", #what);                                                 \
	} while (0)

/* How often a long loop runs: sanitizers cost a factor of ten. */
#if defined(HVBUS_TSAN) || defined(__SANITIZE_ADDRESS__)
#define TIMES(n) ((n) / 10)
#else
#define TIMES(n) (n)
#endif

#define VMBUS_MAIN(suite, ...)                                                                     \
	int main(void)                                                                             \
	{                                                                                          \
		const TTest *const cases[] = { __VA_ARGS__ };                                      \
		return vmbus_run(suite, cases, ARRAY_SIZE(cases));                                 \
	}

/* Hostile cases log one line each by design; they are not what a reader of the tests wants. */
static int vmbus_run(const char *name, const TTest *const *cases, size_t n)
{
	Suite *s = suite_create(name);
	TCase *tc = tcase_create("all");
	SRunner *r;
	int failed;

	log_set_level(LOG_ERROR);
	tcase_set_timeout(tc, 60);
	for (size_t i = 0; i < n; i++)
		tcase_add_test(tc, cases[i]);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_set_fork_status(r, CK_NOFORK);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
