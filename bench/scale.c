/* SPDX-License-Identifier: MIT */
/*
 * The children of the scale rows; what they do to the root is measured by scale_rows.sh.
 *
 *   scale hold SOCKET N       N partitions, each with its disk open and one read done; prints
 *                             "ready" and keeps them until its standard input ends
 *   scale connect SOCKET N    N times from connect() to the end of the first read, in turn:
 *                             prints median, 99th percentile, fastest and slowest, in ms
 *   scale fair SOCKET N MS    N processes keep 32 reads in flight each for MS: prints the
 *                             reads a second of the slowest and of the fastest
 */
#include <err.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "vsc/storvsc.h"

#define MEMORY	 (4u << 20)
#define DEPTH	 32
#define BLOCK	 4096u
#define MAX_BUSY 64

static const char *sock;

static struct storvsc *attach(uint32_t depth)
{
	struct storvsc_config cfg = { .depth = depth, .spin_us = 50 };
	struct storvsc *s;
	char why[256] = "";
	int e = storvsc_attach(&s, sock, 0, MEMORY, &cfg, why, sizeof(why));

	if (e)
		errx(1, "%s: %s; is there a root on that socket?", sock, *why ? why : strerror(-e));
	return s;
}

static void first_read(struct storvsc *s)
{
	uint8_t block[BLOCK];
	int e = storvsc_read(s, 0, 0, block, 0, sizeof(block));

	if (e)
		errx(1, "first read: %s (%s)", strerror(-e), storvsc_last_error(s, 0));
}

/* ---- hold ------------------------------------------------------------------------- */

/* A child needs a handful of descriptors: more than the usual 1024 for hundreds of them. */
static void allow_many_files(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r))
		err(1, "getrlimit");
	r.rlim_cur = r.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &r))
		err(1, "setrlimit");
}

static int hold(uint32_t n)
{
	struct storvsc **s = calloc(n, sizeof(struct storvsc *));
	char c;

	if (!s)
		errx(1, "out of memory");
	allow_many_files();
	for (uint32_t i = 0; i < n; i++) {
		s[i] = attach(DEPTH);
		first_read(s[i]);
	}
	puts("ready");
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
	for (uint32_t i = 0; i < n; i++)
		storvsc_detach(s[i]);
	free(s);
	return 0;
}

/* ---- connect ------------------------------------------------------------------------ */

static int by_time(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int connect_times(uint32_t n)
{
	double *ms = calloc(n, sizeof(*ms));

	if (!ms)
		errx(1, "out of memory");
	for (uint32_t i = 0; i < n; i++) {
		uint64_t start = clock_ns();
		struct storvsc *s = attach(DEPTH);

		first_read(s);
		ms[i] = (double)(clock_ns() - start) / 1e6;
		storvsc_detach(s);
	}
	qsort(ms, n, sizeof(*ms), by_time);
	printf("%.4f %.4f %.4f %.4f\n", ms[n / 2], ms[(n - 1) * 99 / 100], ms[0], ms[n - 1]);
	free(ms);
	return 0;
}

/* ---- fair ------------------------------------------------------------------------------ */

/* Between the busy ones and who counts. */
struct busy {
	uint32_t ready, go, stop;
	struct {
		uint64_t done __attribute__((aligned(CACHE_LINE)));
	} guest[MAX_BUSY];
};

static void keep_reading(struct storvsc *s, const uint32_t *stop, uint64_t *done)
{
	uint8_t *buf = storvsc_alloc(s, DEPTH * BLOCK);
	struct storvsc_io io[DEPTH] = { 0 }, *out[DEPTH];
	struct iovec iov[DEPTH];
	struct storvsc_disk disk;
	uint64_t x = (uint64_t)getpid() * 2654435761u | 1;
	int n = DEPTH, e = storvsc_disk_info(s, 0, &disk);

	if (e || !buf)
		errx(1, "disk 0:0 cannot be used");
	for (int i = 0; i < DEPTH; i++) {
		iov[i] = (struct iovec){ buf + i * BLOCK, BLOCK };
		io[i] = (struct storvsc_io){ .len = BLOCK, .iov = &iov[i], .niov = 1 };
		out[i] = &io[i];
	}
	while (!load_relaxed(stop)) {
		for (int i = 0; i < n && !e; i++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			out[i]->offset = x % (disk.size / BLOCK) * BLOCK;
			e = out[i]->result ? out[i]->result : storvsc_submit(s, 0, out[i]);
		}
		if (e)
			errx(1, "read: %s", strerror(-e));
		storvsc_kick(s, 0);
		n = storvsc_reap(s, 0, out, DEPTH, 1, 10000000000ull);
		if (n <= 0)
			errx(1, "reads do not come back");
		store_relaxed(done, *done + (uint64_t)n);
	}
}

static pid_t start_busy(struct busy *b, uint32_t i)
{
	struct storvsc *s;
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	s = attach(2 * DEPTH);
	first_read(s);
	__atomic_fetch_add(&b->ready, 1, __ATOMIC_RELEASE);
	while (!load_acquire(&b->go))
		usleep(1000);
	keep_reading(s, &b->stop, &b->guest[i].done);
	storvsc_detach(s);
	_exit(0);
}

static bool all_ended(const pid_t *pid, uint32_t n)
{
	bool good = true;
	int status;

	for (uint32_t i = 0; i < n; i++)
		good &= waitpid(pid[i], &status, 0) == pid[i] && !status;
	return good;
}

static int fair(uint32_t n, uint32_t ms)
{
	struct busy *b =
		mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t was[MAX_BUSY], start, limit = clock_ns() + 10000000000ull;
	double least = 0, most = 0;
	pid_t pid[MAX_BUSY];

	if (b == MAP_FAILED || n > MAX_BUSY)
		errx(1, "at most %d guests", MAX_BUSY);
	for (uint32_t i = 0; i < n; i++)
		pid[i] = start_busy(b, i);
	while (load_acquire(&b->ready) < n && clock_ns() < limit)
		usleep(1000);
	if (load_acquire(&b->ready) < n)
		errx(1, "not every guest came up within 10 s");
	store_release(&b->go, 1);
	usleep(100000); /* all are under way */
	start = clock_ns();
	for (uint32_t i = 0; i < n; i++)
		was[i] = load_relaxed(&b->guest[i].done);
	usleep(ms * 1000);
	for (uint32_t i = 0; i < n; i++) {
		double rate = (double)(load_relaxed(&b->guest[i].done) - was[i]) * 1e9 /
			      (double)(clock_ns() - start);

		least = !i || rate < least ? rate : least;
		most = rate > most ? rate : most;
	}
	store_relaxed(&b->stop, 1);
	printf("%.1f %.1f\n", least, most);
	return all_ended(pid, n) ? 0 : 1;
}

int main(int argc, char **argv)
{
	uint32_t n = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;

	if (n) {
		sock = argv[2];
		if (!strcmp(argv[1], "hold"))
			return hold(n);
		if (!strcmp(argv[1], "connect"))
			return connect_times(n);
		if (!strcmp(argv[1], "fair") && argc > 4)
			return fair(n, (uint32_t)strtoul(argv[4], NULL, 10));
	}
	fprintf(stderr, "usage: scale hold|connect|fair SOCKET N [MS]\n");
	return 2;
}
