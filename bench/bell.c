/* SPDX-License-Identifier: MIT */
/*
 * What waiting for a doorbell costs: one-way latency from eventfd_write() to the sleeping
 * thread, and CPU time per wake-up, for the ways in which a loop could wait.
 *
 *   bell [ROUNDS [RINGS]]      default 8 rounds of 400 rings for each row
 *
 * The rows are measured in turns within each round, so that a noisy minute hits them all.
 * "same core" and "other core" place ringer and waiter; "awake" rings and waits on one
 * thread, which leaves the price of the system calls alone.
 */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/compiler.h"

#define PAUSE_NS  150000 /* between rings: time for the waiter to fall asleep */
#define MAX_RINGS 100000

struct waiter {
	int efd, epfd;
	struct io_uring ring;
	uint64_t count; /* where the eventfd is read into */
};

struct scheme {
	const char *name;
	int efd_flags;
	void (*open)(struct waiter *w);
	void (*wait)(struct waiter *w); /* returns when rung at least once */
	void (*close)(struct waiter *w);
};

static _Noreturn void die(const char *what, int err)
{
	fprintf(stderr, "bell: %s: %s\n", what, strerror(err));
	exit(1);
}

static void read_counter(struct waiter *w)
{
	if (read(w->efd, &w->count, sizeof(w->count)) < 0 && errno != EAGAIN)
		die("read", errno);
}

/* ---- io_uring --------------------------------------------------------------------- */

static void open_ring(struct waiter *w)
{
	struct io_uring_params p = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
	};
	int err = io_uring_queue_init_params(64, &w->ring, &p);

	if (err)
		die("io_uring", -err);
	io_uring_register_ring_fd(&w->ring);
}

static void close_ring(struct waiter *w)
{
	io_uring_queue_exit(&w->ring);
}

/* Submits what is queued, sleeps for one completion and takes it: its result and flags. */
static int wait_ring(struct waiter *w, uint32_t *flags)
{
	struct io_uring_cqe *cqe;
	int err = io_uring_submit_and_wait(&w->ring, 1), res;

	if (err >= 0)
		err = io_uring_peek_cqe(&w->ring, &cqe);
	if (err)
		die("wait", -err);
	res = cqe->res;
	*flags = cqe->flags;
	io_uring_cqe_seen(&w->ring, cqe);
	if (res < 0)
		die("completion", -res);
	return res;
}

static void open_multishot(struct waiter *w)
{
	open_ring(w);
	io_uring_prep_poll_multishot(io_uring_get_sqe(&w->ring), w->efd, POLLIN);
	io_uring_submit(&w->ring);
}

static void wait_multishot(struct waiter *w)
{
	uint32_t flags;

	wait_ring(w, &flags);
	if (!(flags & IORING_CQE_F_MORE))
		die("multishot poll ended", EIO);
}

static void wait_multishot_read(struct waiter *w)
{
	wait_multishot(w);
	read_counter(w);
}

static void open_reader(struct waiter *w)
{
	open_ring(w);
	io_uring_prep_read(io_uring_get_sqe(&w->ring), w->efd, &w->count, sizeof(w->count), 0);
	io_uring_submit(&w->ring);
}

/* The next read travels with the next wait, as it would in a loop. */
static void wait_reader(struct waiter *w)
{
	uint32_t flags;

	if (wait_ring(w, &flags) != sizeof(w->count))
		die("read", EIO);
	io_uring_prep_read(io_uring_get_sqe(&w->ring), w->efd, &w->count, sizeof(w->count), 0);
}

/* ---- epoll and read ----------------------------------------------------------------- */

static void open_epoll(struct waiter *w, uint32_t events)
{
	struct epoll_event ev = { .events = events };

	w->epfd = epoll_create1(0);
	if (w->epfd < 0 || epoll_ctl(w->epfd, EPOLL_CTL_ADD, w->efd, &ev))
		die("epoll", errno);
}

static void open_edge(struct waiter *w)
{
	open_epoll(w, EPOLLIN | (uint32_t)EPOLLET);
}

static void open_level(struct waiter *w)
{
	open_epoll(w, EPOLLIN);
}

static void wait_edge(struct waiter *w)
{
	struct epoll_event ev;

	if (epoll_wait(w->epfd, &ev, 1, -1) != 1)
		die("epoll_wait", errno);
}

static void wait_level(struct waiter *w)
{
	wait_edge(w);
	read_counter(w);
}

static void close_epoll(struct waiter *w)
{
	close(w->epfd);
}

static void open_nothing(struct waiter *w)
{
	w->count = 0;
}

static const struct scheme schemes[] = {
	{ "io_uring multishot poll, counter left", EFD_NONBLOCK, open_multishot, wait_multishot,
	  close_ring },
	{ "io_uring multishot poll + read(2)", EFD_NONBLOCK, open_multishot, wait_multishot_read,
	  close_ring },
	{ "io_uring READ, armed again each time", 0, open_reader, wait_reader, close_ring },
	{ "epoll edge-triggered, counter left", EFD_NONBLOCK, open_edge, wait_edge, close_epoll },
	{ "epoll level-triggered + read(2)", EFD_NONBLOCK, open_level, wait_level, close_epoll },
	{ "blocking read(2), the floor", 0, open_nothing, read_counter, open_nothing },
};

/* ---- placements ---------------------------------------------------------------------- */

enum place { OTHER_CORE, SAME_CORE, AWAKE, NR_PLACES };

static const char *const place_name[] = { "other core", "same core", "awake" };

struct row {
	uint32_t *latency; /* ns, all rounds */
	int nr;
	uint32_t round_p50[64];
	uint64_t cpu_ns, ring_ns; /* waiter's CPU; time inside eventfd_write() */
};

struct duel {
	const struct scheme *scheme;
	int rings, efd;
	bool pinned;
	uint64_t rung_at; /* published by the write to the eventfd */
	uint32_t ready, seen;
	struct row *row;
};

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity", errno);
}

static uint64_t thread_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void ring(int efd)
{
	const uint64_t one = 1;

	if (write(efd, &one, sizeof(one)) != sizeof(one))
		die("eventfd", errno);
}

static void *waiter_thread(void *arg)
{
	struct duel *d = arg;
	struct waiter w = { .efd = d->efd };
	struct row *row = d->row;
	uint64_t cpu;

	pin(d->pinned ? 0 : 1);
	d->scheme->open(&w);
	cpu = thread_cpu_ns();
	store_release(&d->ready, 1);
	for (int i = 1; i <= d->rings; i++) {
		d->scheme->wait(&w);
		row->latency[row->nr++] = (uint32_t)(clock_ns() - load_acquire(&d->rung_at));
		store_release(&d->seen, (uint32_t)i);
	}
	row->cpu_ns += thread_cpu_ns() - cpu;
	d->scheme->close(&w);
	return NULL;
}

static void asleep_round(const struct scheme *s, struct row *row, int rings, bool same)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	struct duel d = { .scheme = s,
			  .rings = rings,
			  .row = row,
			  .pinned = same,
			  .efd = eventfd(0, s->efd_flags) };
	pthread_t t;
	int err;

	pin(0);
	err = pthread_create(&t, NULL, waiter_thread, &d);
	if (err)
		die("pthread_create", err);
	while (!load_acquire(&d.ready))
		sched_yield();
	for (int i = 1; i <= rings; i++) {
		uint64_t start;

		nanosleep(&pause, NULL);
		start = clock_ns();
		store_release(&d.rung_at, start);
		ring(d.efd);
		row->ring_ns += clock_ns() - start;
		while (load_acquire(&d.seen) != (uint32_t)i)
			nanosleep(&pause, NULL);
	}
	pthread_join(t, NULL);
	close(d.efd);
}

/* One thread rings and waits: nobody sleeps. "Latency" is both calls together. */
static void awake_round(const struct scheme *s, struct row *row, int rings)
{
	struct waiter w = { .efd = eventfd(0, s->efd_flags) };
	uint64_t cpu;

	pin(0);
	s->open(&w);
	cpu = thread_cpu_ns();
	for (int i = 0; i < rings; i++) {
		uint64_t start = clock_ns(), rang;

		ring(w.efd);
		rang = clock_ns();
		s->wait(&w);
		row->ring_ns += rang - start;
		row->latency[row->nr++] = (uint32_t)(clock_ns() - rang);
	}
	row->cpu_ns += thread_cpu_ns() - cpu;
	s->close(&w);
	close(w.efd);
}

/* ---- report ----------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static uint32_t quantile(uint32_t *v, int n, double q)
{
	qsort(v, (size_t)n, sizeof(*v), by_value);
	return v[(int)(q * (n - 1))];
}

static void report(enum place place, struct row *rows, int rounds)
{
	printf("\n%s\n  %-40s %8s %17s %8s %9s %9s\n", place_name[place], "", "p50 us", "(rounds)",
	       "p99 us", "CPU us", "ring us");
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		struct row *r = &rows[i];
		uint32_t p50 = quantile(r->latency, r->nr, 0.5);
		uint32_t p99 = quantile(r->latency, r->nr, 0.99);

		qsort(r->round_p50, (size_t)rounds, sizeof(*r->round_p50), by_value);
		printf("  %-40s %8.2f %8.2f..%-7.2f %8.2f %9.2f %9.2f\n", schemes[i].name,
		       p50 / 1e3, r->round_p50[0] / 1e3, r->round_p50[rounds - 1] / 1e3, p99 / 1e3,
		       (double)r->cpu_ns / r->nr / 1e3, (double)r->ring_ns / r->nr / 1e3);
	}
}

static void measure(enum place place, int rounds, int rings)
{
	struct row rows[ARRAY_SIZE(schemes)] = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		rows[i].latency = calloc((size_t)rounds * (size_t)rings, sizeof(uint32_t));
		if (!rows[i].latency)
			die("memory", ENOMEM);
	}
	for (int round = 0; round < rounds; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
			struct row *r = &rows[i];
			int from = r->nr;

			if (place == AWAKE)
				awake_round(&schemes[i], r, rings);
			else
				asleep_round(&schemes[i], r, rings, place == SAME_CORE);
			r->round_p50[round] = quantile(r->latency + from, r->nr - from, 0.5);
		}
	}
	report(place, rows, rounds);
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++)
		free(rows[i].latency);
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 8;
	int rings = argc > 2 ? atoi(argv[2]) : 400;
	struct utsname u;
	double load = 0;

	if (argc > 3 || rounds < 1 || rounds > 64 || rings < 1 || rings > MAX_RINGS) {
		fprintf(stderr, "usage: bell [ROUNDS [RINGS]]   1..64, 1..%d\n", MAX_RINGS);
		return 2;
	}
	uname(&u);
	getloadavg(&load, 1);
	printf("Linux %s, %ld CPUs, load %.1f; %d rounds of %d rings\n", u.release,
	       sysconf(_SC_NPROCESSORS_ONLN), load, rounds, rings);
	for (enum place p = OTHER_CORE; p < NR_PLACES; p++)
		if (p != OTHER_CORE || sysconf(_SC_NPROCESSORS_ONLN) > 1)
			measure(p, rounds, rings);
	return 0;
}
