/* SPDX-License-Identifier: MIT */
/*
 * Array indices that a peer chose. A bounds check alone can be run past: the processor guesses
 * that it passes, and reads memory at the peer's choice before it finds out (hostile case X11).
 */
#ifndef HVBUS_BASE_NOSPEC_H
#define HVBUS_BASE_NOSPEC_H

#include "base/compiler.h"

/*
 * @i when it is below @n, else 0, computed without a branch. To be used behind the check, for
 * the look-up itself: table[index_nospec(i, n)].
 */
ALWAYS_INLINE uint64_t index_nospec(uint64_t i, uint64_t n)
{
	uint64_t mask;

#if defined(__x86_64__)
	__asm__ volatile("cmp %2, %1\n\tsbb %0, %0" : "=r"(mask) : "r"(i), "r"(n) : "cc");
#else
	/* All ones when neither is beyond 2^63 and i < n; the asm hides that the check said so. */
	__asm__("" : "+r"(i));
	mask = (uint64_t)(~(int64_t)(i | (n - 1 - i)) >> 63);
#endif
	return i & mask;
}

#endif
