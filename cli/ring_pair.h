/* SPDX-License-Identifier: MIT */
/*
 * Two pinned processes that share memory: the stage of `bench ring`.
 *
 * Both sides are children of the caller, so that neither a crash nor an interrupt
 * leaves a spinning process behind: they die with the parent, and by alarm.
 */
#ifndef HVBUS_CLI_RING_PAIR_H
#define HVBUS_CLI_RING_PAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

#define PAIR_LAT_MAX 100000 /* samples a latency test may record */

/* Shared between the two sides and the parent. Each line has one writer. */
struct pair_shared {
	_Alignas(128) uint64_t stop;	 /* first side: no more messages after @sent */
	uint64_t sent;			 /* first side */
	_Alignas(128) uint64_t done;	 /* second side: took everything */
	_Alignas(128) uint64_t flag[32]; /* cache-line ping-pong: [0] there, [16] back */
	_Alignas(128) uint64_t messages; /* results, first side's unless noted */
	uint64_t ns;
	uint64_t signals, publications; /* of the first side's outgoing ring */
	uint64_t samples;
	char error[96];				  /* whichever side fails first; empty = fine */
	_Alignas(128) uint32_t lat[PAIR_LAT_MAX]; /* ns, one way */
};

/* One ring as a side sees it: control page, data mapped twice. */
struct pair_ring {
	void *ctrl;
	uint8_t *data;
	uint32_t size;
};

struct pair {
	/* parameters */
	uint32_t size, batch, ring_bytes;
	double seconds;
	int cpu[2];
	bool spin_first; /* sleeping tests: spin up to 50 us before sleeping */
	bool real_time;	 /* SCHED_FIFO where permitted */
	/* set up by pair_run() */
	struct pair_shared *sh;
	struct pair_ring ring[2]; /* [0] first to second side, [1] back */
	int bell[2];		  /* eventfds: [0] rings the second side, [1] the first */
	int gate[2];		  /* handshake, slept on */
};

typedef void pair_side(struct pair *p);

/*
 * Runs @first on p->cpu[0] and @second on p->cpu[1] over fresh rings. p->sh holds the
 * results afterwards, until pair_end(). False: it failed, p->sh->error says why (or
 * p->sh is NULL: no memory).
 */
bool pair_run(struct pair *p, pair_side *first, pair_side *second);
void pair_end(struct pair *p);

/* For the sides. Leaves with an error that the parent prints. */
void pair_fail(struct pair *p, const char *fmt, ...) PRINTF_LIKE(2, 3) __attribute__((noreturn));
/* Both sides call it once before they spin: returns when the other has arrived, too. */
void pair_meet(struct pair *p, int side);
void pair_ring_bell(struct pair *p, int side);
void pair_await_bell(struct pair *p, int side);

#endif
