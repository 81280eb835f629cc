/* SPDX-License-Identifier: MIT */
/*
 * What every hostile case runs in: a real root in a process of its own, a canary partition
 * in another that does verified I/O all the while, guests that exchange frames on a switch
 * when there is one, and the invariants U1 to U9 that are checked when the case has done its worst.
 */
#ifndef HVBUS_TESTS_HOSTILE_FIXTURE_H
#define HVBUS_TESTS_HOSTILE_FIXTURE_H

#include <check.h>

#include "base/log.h"
#include "tests/hostile/evil_nic.h"
#include "tests/hostile/net_peer.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SLOWER 10
#else
#define SLOWER 1
#endif

/* LUNs of the only controller. */
enum { LUN_EVIL, LUN_CANARY, LUN_FILE, LUN_READONLY, LUN_SLOW, HOSTILE_LUNS };
#define HOSTILE_DISK (8u << 20)

/* What must be visible in `hvbus inspect` after a case (U8); several may be asked for. */
struct proof {
	const char *fault;	/* of the channel */
	const char *drop;	/* why the bus dropped the last message; "" = whatever */
	const char *cut;	/* why the partition was cut off */
	const char *nic;	/* a counter of the adapter, which is not 0 */
	const char *nic_failed; /* why the adapter waits for its close */
	const char *drop_in;	/* frames of its port were dropped for that .. */
	const char *drop_out;	/* .. and frames for it */
	bool rejected;		/* the controller refused a request */
	bool refused;		/* a hypercall was refused */
	bool lost;		/* the channel may be lost, or not: as the race goes */
};

/* What the root logs; INFO unless it is set before. */
extern enum log_level hostile_log_level;
/*
 * As --switch takes it, its name "lan"; NULL unless it is set before: no switch. With one, there
 * are peers on it (net_peer.h), and who has wished for a NIC is tried with that, too.
 */
extern const char *hostile_switch;
extern struct net_peers_config hostile_peers;
struct net_peers *hostile_net_peers(void);

/* Once per program: the root and its canary. */
void hostile_start(void);
void hostile_stop(void);
const char *hostile_path(void);
pid_t hostile_root(void);

/* The whole of a case: begin, what it does, end. */
void hostile_begin(struct evil_guest *g, enum evil_stage stage);
void hostile_end(struct evil_guest *g, const struct proof *proof);

/* What inspect says now, a text to be freed. */
char *hostile_inspect(void);
/* Is all of @proof in it by now? */
bool hostile_shows(const struct evil_guest *g, const struct proof *proof);
/* U3 in the middle of a case: the canary still gets on. */
void hostile_canary_moves(void);

/*
 * For what is longer than a case and has many guests: mark the root as it is, and check U1, U3
 * to U5 against that when only the canary is left.
 */
void hostile_mark(void);
void hostile_settled(void);
/* What of the root U5 counts, as words. */
void hostile_usage(char *text, size_t n);

int hostile_run(const char *name, const TTest *const *cases, size_t n);

/* One row of a table of cases as a test: @run gets the row. */
#define HOSTILE_ROW(name, run, row, ...)                                                           \
	START_TEST(name)                                                                           \
	{                                                                                          \
		run(&(row){ __VA_ARGS__ });                                                        \
	}                                                                                          \
	END_TEST

#define HOSTILE_MAIN(suite, ...)                                                                   \
	int main(void)                                                                             \
	{                                                                                          \
		const TTest *const cases[] = { __VA_ARGS__ };                                      \
		return hostile_run(suite, cases, ARRAY_SIZE(cases));                               \
	}

#endif
