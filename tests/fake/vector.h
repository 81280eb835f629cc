/* SPDX-License-Identifier: MIT */
/* Golden bytes as text: hex digits with spaces between; "00*48" is a run. */
#ifndef HVBUS_TESTS_FAKE_VECTOR_H
#define HVBUS_TESTS_FAKE_VECTOR_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Returns the number of bytes written to @out (@max at most; more aborts the test). */
static inline uint32_t vector_bytes(const char *text, uint8_t *out, uint32_t max)
{
	unsigned int byte, times;
	uint32_t n = 0;
	int used;

	while (sscanf(text, " %2x%n", &byte, &used) == 1) {
		text += used;
		times = 1;
		if (sscanf(text, "*%u%n", &times, &used) == 1)
			text += used;
		for (; times; times--) {
			if (n == max)
				abort();
			out[n++] = (uint8_t)byte;
		}
	}
	if (*text)
		abort(); /* a typing mistake in a vector */
	return n;
}

#endif
