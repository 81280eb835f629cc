/* SPDX-License-Identifier: MIT */
/*
 * Latency histogram: 64 linear steps per power of two, so any value is off by at most
 * 1.6 %. Fixed size, no allocation; one writer.
 */
#ifndef HVBUS_CLI_HIST_H
#define HVBUS_CLI_HIST_H

#include <stdint.h>
#include <string.h>

#define HIST_SUB  64u
#define HIST_SIZE (HIST_SUB * 40u) /* up to 2^45 ns, ten hours */

struct hist {
	uint64_t count, max;
	uint64_t bucket[HIST_SIZE];
};

static inline uint32_t hist_index(uint64_t v)
{
	uint32_t shift, i;

	if (v < HIST_SUB)
		return (uint32_t)v;
	shift = 57u - (uint32_t)__builtin_clzll(v); /* v >> shift is in 64..127 */
	i = shift * HIST_SUB + (uint32_t)(v >> shift);
	return i < HIST_SIZE ? i : HIST_SIZE - 1;
}

/* The middle of the bucket. */
static inline double hist_value(uint32_t i)
{
	uint32_t shift;

	if (i < HIST_SUB)
		return i;
	shift = i / HIST_SUB - 1;
	return ((double)(i % HIST_SUB + HIST_SUB) + 0.5) * (double)(1ull << shift);
}

static inline void hist_add(struct hist *h, uint64_t v)
{
	h->bucket[hist_index(v)]++;
	h->count++;
	if (v > h->max)
		h->max = v;
}

static inline void hist_merge(struct hist *to, const struct hist *from)
{
	for (uint32_t i = 0; i < HIST_SIZE; i++)
		to->bucket[i] += from->bucket[i];
	to->count += from->count;
	if (from->max > to->max)
		to->max = from->max;
}

/* The value below which the share @q (0..1) of all lies; 0 when empty. */
static inline double hist_quantile(const struct hist *h, double q)
{
	uint64_t want = (uint64_t)((double)h->count * q), seen = 0;

	for (uint32_t i = 0; i < HIST_SIZE && h->count; i++) {
		seen += h->bucket[i];
		if (seen > want)
			return hist_value(i) < (double)h->max ? hist_value(i) : (double)h->max;
	}
	return (double)h->max;
}

#endif
