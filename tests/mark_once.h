/* SPDX-License-Identifier: MIT */
/*
 * Included before every test: check notes each assertion that holds in a file, so that it can say
 * where a test was when it crashed, and reads them all at the test's end. In loops over bytes and
 * cases that costs more than what is tested. Here an assertion notes the first time only.
 */
#ifndef HVBUS_TESTS_MARK_ONCE_H
#define HVBUS_TESTS_MARK_ONCE_H

#include <check.h>

#define _mark_point(file, line)                                                                    \
	({                                                                                         \
		static char marked;                                                                \
		if (!__atomic_load_n(&marked, __ATOMIC_RELAXED)) {                                 \
			__atomic_store_n(&marked, 1, __ATOMIC_RELAXED);                            \
			(_mark_point)(file, line);                                                 \
		}                                                                                  \
		(void)0;                                                                           \
	})

#endif
