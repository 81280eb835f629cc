/* SPDX-License-Identifier: MIT */
/*
 * Prints how many thousand times a second this machine's time stamp counter ticks, times a factor.
 * usage: tsc FACTOR
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <x86intrin.h>

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int main(int argc, char **argv)
{
	double factor = argc == 2 ? atof(argv[1]) : 0;
	uint64_t start = now_ns(), ticks = __rdtsc(), ns;

	if (factor <= 0) {
		fprintf(stderr, "usage: tsc FACTOR\n");
		return 2;
	}
	while ((ns = now_ns() - start) < 100000000u)
		;
	printf("%.0f\n", (double)(__rdtsc() - ticks) * 1e6 / (double)ns * factor);
	return 0;
}
