/* SPDX-License-Identifier: MIT */
/*
 * Faults for the block engines' calls: by rule ("the third write returns EIO") or by
 * chance (short transfers, EINTR, EAGAIN). Counts every call.
 *
 *	struct fault t;
 *	fault_attach(&t, dev);
 *	fault_add(&t, CALL_WRITE, FAULT_RESULT, -EIO, 2, 1);
 *
 * Attach while nothing is in flight. A short transfer is really short: the rest of the
 * bytes does not move. A result takes the place of the call's own, which was made.
 */
#ifndef HVBUS_TESTS_FAKE_FAULT_BLK_H
#define HVBUS_TESTS_FAKE_FAULT_BLK_H

#include "vsp/storvsp/blk/blk_file.h"

#define FAULT_RULES   8
#define FAULT_FOREVER UINT32_MAX

enum fault_kind {
	FAULT_SHORT,  /* value: bytes to move at most */
	FAULT_RESULT, /* value: what the call seems to have returned */
};

struct fault_rule {
	enum file_op op;
	enum fault_kind kind;
	int32_t value;
	uint32_t skip, times;
};

struct fault {
	struct file_fault hook;
	pthread_mutex_t lock; /* before() comes from helper threads too */
	struct fault_rule rule[FAULT_RULES];
	int rules;
	uint64_t calls[5]; /* by enum file_op */
	uint64_t hits;	   /* faults that struck */
	/* By chance: one call in @chance is cut to multiples of @grain, or interrupted. */
	uint32_t chance, grain;
	uint64_t seed;
};

void fault_attach(struct fault *t, struct blk_dev *d);
/* Calls of kind @op: after @skip of them, @times of them. */
void fault_add(struct fault *t, enum file_op op, enum fault_kind kind, int32_t value, uint32_t skip,
	       uint32_t times);
void fault_clear(struct fault *t);
uint64_t fault_calls(struct fault *t, enum file_op op);
uint64_t fault_hits(struct fault *t);

#endif
