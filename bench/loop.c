/* SPDX-License-Identifier: MIT */
/*
 * What the event loop adds: the price of a turn, of a round trip between two polling
 * loops, and of one between two loops that ring each other's doorbells.
 *
 *   loop [ROUNDS]      default 8; every row is measured once per round, in turns
 *
 * "raw" is the same exchange of one flag each way without loops: the machine's floor.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/loop.h"

#define MAX_ROUNDS 64
#define TURNS	   3000000
#define FLAG_TRIPS 200000
#define BELL_TRIPS 3000

struct result {
	double ns, cpu_ns; /* of one turn or round trip; CPU of the second side */
};

struct row {
	const char *name;
	struct result (*run)(const struct row *r);
	enum loop_engine engine;
	int32_t spin_us;
	int peer_cpu; /* the other side's; ours is 0 */
	bool work;    /* the poller finds something each time */
};

static _Noreturn void die(const char *what, int err)
{
	fprintf(stderr, "loop: %s: %s\n", what, strerror(err));
	exit(1);
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity", errno);
}

static struct loop *new_loop(const struct row *r)
{
	struct loop_config cfg = { .engine = r->engine, .spin_us_max = r->spin_us };
	struct loop *l;
	int err = loop_create(&l, &cfg);

	if (err)
		die("loop_create", -err);
	return l;
}

static uint64_t loop_cpu_ns(struct loop *l)
{
	struct loop_stats s;

	loop_stats(l, &s);
	return s.cpu_ns;
}

/* ---- the price of a turn ------------------------------------------------------------- */

struct counter {
	struct loop_poller p;
	struct loop *l;
	uint32_t left;
	bool work;
};

static bool count_down(struct loop_poller *p)
{
	struct counter *c = container_of(p, struct counter, p);

	if (!--c->left)
		loop_stop(c->l);
	return c->work;
}

static bool no_arm(struct loop_poller *p)
{
	(void)p;
	return true;
}

static void no_disarm(struct loop_poller *p)
{
	(void)p;
}

static struct result run_turns(const struct row *r)
{
	struct counter c = {
		.p = { .poll = count_down, .arm = no_arm, .disarm = no_disarm },
		.l = new_loop(r),
		.left = TURNS,
		.work = r->work,
	};
	uint64_t start = clock_ns();
	double ns;

	loop_poller_add(c.l, &c.p);
	loop_run(c.l);
	ns = (double)(clock_ns() - start) / TURNS;
	loop_poller_del(c.l, &c.p);
	loop_destroy(c.l);
	return (struct result){ ns, ns };
}

/* ---- round trips ------------------------------------------------------------------------ */

/* One side: sees the other's number, answers with its own. Lines of their own. */
struct side {
	struct loop_poller p;
	struct loop_bell bell;
	struct loop *l;
	struct side *other;
	const struct row *row;
	uint32_t trips, seen;
	uint64_t cpu_ns;
	uint32_t sent __attribute__((aligned(CACHE_LINE))); /* read by the other side */
	uint32_t ready;
} __attribute__((aligned(CACHE_LINE)));

/* The first side serves: it counts a trip when the answer is there. */
static bool answer(struct loop_poller *p)
{
	struct side *s = container_of(p, struct side, p);
	uint32_t n = load_acquire(&s->other->sent);

	if (n == s->seen)
		return false;
	s->seen = n;
	if (n == s->trips)
		loop_stop(s->l);
	store_release(&s->sent, s->sent + 1);
	return true;
}

static void answer_bell(struct loop_bell *b)
{
	struct side *s = container_of(b, struct side, bell);
	const uint64_t one = 1;

	if (++s->seen == s->trips)
		loop_stop(s->l);
	if (write(s->other->bell.fd, &one, sizeof(one)) < 0)
		die("eventfd", errno);
}

static void run_side(struct side *s)
{
	int err;

	s->l = new_loop(s->row);
	if (s->bell.rung) {
		err = loop_bell_add(s->l, &s->bell);
		if (err)
			die("loop_bell_add", -err);
	} else {
		loop_poller_add(s->l, &s->p);
	}
	store_release(&s->ready, 1);
	loop_run(s->l);
	if (s->bell.rung)
		loop_bell_del(s->l, &s->bell);
	else
		loop_poller_del(s->l, &s->p);
	s->cpu_ns = loop_cpu_ns(s->l);
	loop_destroy(s->l);
}

static void *second_side(void *arg)
{
	struct side *s = arg;

	pin(s->row->peer_cpu);
	run_side(s);
	return NULL;
}

static void init_sides(struct side s[2], const struct row *r, uint32_t trips)
{
	memset(s, 0, 2 * sizeof(*s));
	for (int i = 0; i < 2; i++) {
		s[i].row = r;
		s[i].trips = trips;
		s[i].other = &s[!i];
		s[i].p = (struct loop_poller){ .poll = answer, .arm = no_arm, .disarm = no_disarm };
		s[i].bell.fd = -1;
	}
}

/* Starts the second side, waits until it runs, throws the ball in, plays the first. */
static struct result rally(struct side s[2])
{
	const uint64_t one = 1;
	pthread_t t;
	uint64_t start;
	double ns;
	int err = pthread_create(&t, NULL, second_side, &s[1]);

	if (err)
		die("pthread_create", err);
	while (!load_acquire(&s[1].ready))
		sched_yield();
	start = clock_ns();
	if (s[0].bell.rung) {
		if (write(s[1].bell.fd, &one, sizeof(one)) < 0)
			die("eventfd", errno);
	} else {
		store_release(&s[0].sent, 1);
	}
	run_side(&s[0]);
	ns = (double)(clock_ns() - start) / s[0].trips;
	pthread_join(t, NULL);
	return (struct result){ ns, (double)(s[1].cpu_ns) / s[1].trips };
}

static struct result run_flags(const struct row *r)
{
	static struct side s[2];

	init_sides(s, r, FLAG_TRIPS);
	return rally(s);
}

static struct result run_bells(const struct row *r)
{
	static struct side s[2];
	struct result res;

	init_sides(s, r, BELL_TRIPS);
	for (int i = 0; i < 2; i++) {
		s[i].bell.rung = answer_bell;
		s[i].bell.fd = eventfd(0, EFD_NONBLOCK);
		if (s[i].bell.fd < 0)
			die("eventfd", errno);
	}
	res = rally(s);
	close(s[0].bell.fd);
	close(s[1].bell.fd);
	return res;
}

/* ---- the floor ------------------------------------------------------------------------- */

static struct side raw[2];

static void *raw_second(void *arg)
{
	(void)arg;
	pin(1);
	store_release(&raw[1].ready, 1);
	for (uint32_t i = 1; i <= FLAG_TRIPS; i++) {
		while (load_acquire(&raw[0].sent) != i)
			cpu_relax();
		store_release(&raw[1].sent, i);
	}
	return NULL;
}

static struct result run_raw(const struct row *r)
{
	pthread_t t;
	uint64_t start;
	double ns;
	int err;

	init_sides(raw, r, FLAG_TRIPS);
	err = pthread_create(&t, NULL, raw_second, NULL);
	if (err)
		die("pthread_create", err);
	while (!load_acquire(&raw[1].ready))
		sched_yield();
	start = clock_ns();
	for (uint32_t i = 1; i <= FLAG_TRIPS; i++) {
		store_release(&raw[0].sent, i);
		while (load_acquire(&raw[1].sent) != i)
			cpu_relax();
	}
	ns = (double)(clock_ns() - start) / FLAG_TRIPS;
	pthread_join(t, NULL);
	return (struct result){ ns, ns };
}

/* ---- report ----------------------------------------------------------------------------- */

static const struct row rows[] = {
	{ "turn, idle poller, io_uring", run_turns, LOOP_URING, LOOP_SPIN_ALWAYS, 0, false },
	{ "turn, busy poller, io_uring", run_turns, LOOP_URING, LOOP_SPIN_ALWAYS, 0, true },
	{ "turn, idle poller, epoll", run_turns, LOOP_EPOLL, LOOP_SPIN_ALWAYS, 0, false },
	{ "turn, busy poller, epoll", run_turns, LOOP_EPOLL, LOOP_SPIN_ALWAYS, 0, true },
	{ "flags, other core, raw", run_raw, LOOP_URING, 0, 1, false },
	{ "flags, other core, polling io_uring", run_flags, LOOP_URING, LOOP_SPIN_ALWAYS, 1, true },
	{ "flags, other core, polling epoll", run_flags, LOOP_EPOLL, LOOP_SPIN_ALWAYS, 1, true },
	{ "bells, other core, io_uring", run_bells, LOOP_URING, 0, 1, true },
	{ "bells, other core, io_uring spin 50 us", run_bells, LOOP_URING, 50, 1, true },
	{ "bells, other core, epoll", run_bells, LOOP_EPOLL, 0, 1, true },
	{ "bells, other core, epoll spin 50 us", run_bells, LOOP_EPOLL, 50, 1, true },
	{ "bells, same core, io_uring", run_bells, LOOP_URING, 0, 0, true },
	{ "bells, same core, io_uring spin 50 us", run_bells, LOOP_URING, 50, 0, true },
	{ "bells, same core, epoll", run_bells, LOOP_EPOLL, 0, 0, true },
	{ "bells, same core, epoll spin 50 us", run_bells, LOOP_EPOLL, 50, 0, true },
};

static int by_ns(const void *a, const void *b)
{
	const struct result *x = a, *y = b;

	return (x->ns > y->ns) - (x->ns < y->ns);
}

int main(int argc, char **argv)
{
	static struct result results[ARRAY_SIZE(rows)][MAX_ROUNDS];
	int rounds = argc > 1 ? atoi(argv[1]) : 8;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct utsname u;
	double load = 0;

	if (argc > 2 || rounds < 1 || rounds > MAX_ROUNDS) {
		fprintf(stderr, "usage: loop [ROUNDS]   1..%d\n", MAX_ROUNDS);
		return 2;
	}
	uname(&u);
	getloadavg(&load, 1);
	printf("Linux %s, %ld CPUs, load %.1f; median (min..max) of %d rounds, ns\n", u.release,
	       cpus, load, rounds);
	pin(0);
	for (int round = 0; round < rounds; round++)
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
			if (rows[i].peer_cpu < cpus)
				results[i][round] = rows[i].run(&rows[i]);
	printf("  %-40s %10s %22s %12s\n", "", "each", "", "CPU, 1 side");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct result *r = results[i];

		if (rows[i].peer_cpu >= cpus)
			continue;
		qsort(r, (size_t)rounds, sizeof(*r), by_ns);
		printf("  %-40s %10.1f (%8.1f ..%9.1f) %12.1f\n", rows[i].name, r[rounds / 2].ns,
		       r[0].ns, r[rounds - 1].ns, r[rounds / 2].cpu_ns);
	}
	return 0;
}
