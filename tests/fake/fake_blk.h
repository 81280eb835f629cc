/* SPDX-License-Identifier: MIT */
/*
 * A block engine for tests: blk.h over RAM, with every outcome under control.
 *
 * A test program that includes fake_blk.c gets these functions instead of the real
 * engines. One thread per queue; the device's knobs are set while nothing runs, or are
 * atomic.
 */
#ifndef HVBUS_TESTS_FAKE_FAKE_BLK_H
#define HVBUS_TESTS_FAKE_FAKE_BLK_H

#include <pthread.h>

#include "vsp/storvsp/blk/blk.h"

#define FAKE_BLK_LOG 1024

struct fake_blk_op {
	uint8_t op, flags;
	uint16_t niov;
	uint64_t offset, len;
};

struct blk_dev {
	struct blk_info info;
	uint8_t *ram;		 /* NULL: a disk too large to hold; reads give zeroes */
	bool delayed;		 /* finish in fake_blk_run(), not in blk_submit() */
	int error[BLK_OP_COUNT]; /* result of the next operations, 0 = do it */
	int error_after;	 /* so many operations work before that */
	bool flush_failed;
	bool no_log;
	uint64_t status_max; /* BLK_STATUS tells no more bytes at once; 0: no limit */
	uint32_t n_log;	     /* operations that were submitted, also failed ones */
	struct fake_blk_op log[FAKE_BLK_LOG];
};

struct blk_queue {
	struct blk_dev *dev;
	struct blk_req *head, *tail; /* linked through priv[0] */
	uint32_t waiting;
	pthread_mutex_t lock;
	struct loop_call *calls; /* under the lock */
};

/* 64 MiB, 512-byte blocks, 4096 physical, 2 MiB allocation units, volatile cache, FUA. */
struct blk_dev *fake_blk_new(void);
void fake_blk_free(struct blk_dev *d);
/* Another geometry; @size 0: as it is. The RAM is thrown away when it does not fit. */
void fake_blk_resize(struct blk_dev *d, uint64_t size, uint32_t block_size);

struct blk_queue *fake_blk_queue(struct blk_dev *d);
/* Finishes the oldest waiting request; false: there is none. */
bool fake_blk_run_one(struct blk_queue *q);
/* Makes the oldest posted call; false: there is none. */
bool fake_blk_call_one(struct blk_queue *q);
/* Until none of both is left, also those that were submitted meanwhile. */
void fake_blk_run(struct blk_queue *q);

#endif
