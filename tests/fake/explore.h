/* SPDX-License-Identifier: MIT */
/*
 * Which of several things happens next: all answers in turn, or random ones. The code under
 * test runs from the beginning each time and asks at every fork; answer 0 is what happens
 * by itself, any other is a deviation.
 *
 *   exhaustive   every run with at most @bound deviations, each exactly once
 *   random       run number @seed of a sequence that is the same everywhere
 *
 *   explore_begin(&e, bound) or explore_random(&e, seed);
 *   do { run, which calls explore_choose(&e, n) } while (explore_next(&e));
 */
#ifndef HVBUS_TESTS_FAKE_EXPLORE_H
#define HVBUS_TESTS_FAKE_EXPLORE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPLORE_MAX 4096u /* forks of one run */

struct explore {
	uint32_t bound; /* exhaustive: deviations */
	bool random;
	uint64_t seed;
	uint32_t heat; /* random: one answer in so many is a deviation */
	uint32_t at;   /* forks met in this run */
	uint32_t set;  /* exhaustive: forks whose answer is fixed */
	uint8_t answer[EXPLORE_MAX], of[EXPLORE_MAX];
};

static inline void explore_begin(struct explore *e, uint32_t bound)
{
	memset(e, 0, sizeof(*e));
	e->bound = bound;
}

static inline uint32_t explore_dice(struct explore *e, uint32_t n)
{
	e->seed ^= e->seed << 13;
	e->seed ^= e->seed >> 7;
	e->seed ^= e->seed << 17;
	return (uint32_t)(e->seed >> 32) % n;
}

static inline void explore_random(struct explore *e, uint64_t seed)
{
	memset(e, 0, sizeof(*e));
	e->random = true;
	e->seed = (seed + 1) * 0x9e3779b97f4a7c15ull;
	e->heat = 2u << explore_dice(e, 4);
}

/* 0 .. @n - 1. */
static inline uint32_t explore_choose(struct explore *e, uint32_t n)
{
	uint32_t i = e->at++;

	if (i == EXPLORE_MAX || n > UINT8_MAX) {
		fprintf(stderr, "explore: a run without an end\n");
		abort();
	}
	if (e->random) {
		e->answer[i] = explore_dice(e, e->heat) ? 0 : (uint8_t)explore_dice(e, n);
	} else if (i >= e->set) {
		e->answer[i] = 0;
	} else if (e->of[i] != n) {
		fprintf(stderr, "explore: fork %u had %u ways, now %u\n", i, e->of[i], n);
		abort(); /* the run depends on something that is not chosen here */
	}
	e->of[i] = (uint8_t)n;
	return e->answer[i];
}

/* Prepares the next run; false: that was the last. */
static inline bool explore_next(struct explore *e)
{
	uint32_t i, before = 0, n = e->at;

	e->at = 0;
	if (e->random)
		return false;
	for (i = 0; i < n; i++)
		before += e->answer[i] != 0;
	while (n--) {
		before -= e->answer[n] != 0;
		if (e->answer[n] + 1u < e->of[n] && before < e->bound) {
			e->answer[n]++;
			e->set = n + 1;
			return true;
		}
	}
	return false;
}

#endif
