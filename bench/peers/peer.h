/* SPDX-License-Identifier: MIT */
/*
 * What the peer programs share: pinning, clocks, shared memory, one-line results.
 * They know nothing of hvbus; each prints "name,variant,value,unit,switches", the last
 * being involuntary context switches: a disturbed run shows there.
 */
#ifndef HVBUS_BENCH_PEER_H
#define HVBUS_BENCH_PEER_H

#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define PEER_UNUSED __attribute__((unused))

static inline uint64_t peer_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void peer_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

static PEER_UNUSED void peer_pin(int cpu)
{
	cpu_set_t s;

	CPU_ZERO(&s);
	CPU_SET((size_t)cpu, &s);
	if (sched_setaffinity(0, sizeof(s), &s)) {
		perror("sched_setaffinity");
		exit(2);
	}
}

/* @n bytes, zero, shared with children; with @fd also the file behind it. */
static PEER_UNUSED void *peer_shared(size_t n, int *fd)
{
	int f = memfd_create("peer", 0);
	void *p;

	if (f < 0 || ftruncate(f, (off_t)n)) {
		perror("memfd");
		exit(2);
	}
	p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, f, 0);
	if (p == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	if (fd)
		*fd = f;
	else
		close(f);
	return p;
}

static PEER_UNUSED void peer_result(const char *name, const char *variant, double v,
				    const char *unit)
{
	struct rusage self, children;

	getrusage(RUSAGE_SELF, &self);
	getrusage(RUSAGE_CHILDREN, &children);
	printf("%s,%s,%.6g,%s,%ld\n", name, variant, v, unit, self.ru_nivcsw + children.ru_nivcsw);
	fflush(stdout);
}

#endif
