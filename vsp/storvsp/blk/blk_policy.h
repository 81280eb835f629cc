/* SPDX-License-Identifier: MIT */
/*
 * What stands between a disk's users and its engine when somebody asked for it: limits
 * that are fair between guests, and faults on purpose. Works with every engine; a disk
 * without either pays nothing, because the queue's submit pointer leads past it.
 *
 * A request passes the limits first and the faults second: an injected delay is the disk's,
 * and a request that is held by a fault has used its tokens.
 *
 * Threads: everything about a struct blk_dev from any thread; what takes a queue, on its loop.
 */
#ifndef HVBUS_VSP_STORVSP_BLK_BLK_POLICY_H
#define HVBUS_VSP_STORVSP_BLK_BLK_POLICY_H

#include "vsp/storvsp/blk/blk.h"

/* ---- limits (blk_limit.c) ------------------------------------------------- */

/*
 * Over all queues of the device together. Every request is one operation; only READ and
 * WRITE have bytes. A request larger than what is left goes when nothing is owed, and the
 * next ones wait for it: no size is impossible.
 */
struct blk_limits {
	uint64_t iops, bytes_per_s; /* 0: no limit */
	uint32_t burst_ms;	    /* unused time that may be caught up; 0 = BLK_BURST_MS */
};

#define BLK_BURST_MS  100u /* when none is given */
#define BLK_MAX_IOPS  1000000000ull
#define BLK_MAX_BPS   (1ull << 44)
#define BLK_MAX_BURST 60000u

/* NULL or all 0 takes them away; who waits is let go. -EINVAL (a maximum above), -ENOMEM. */
int blk_dev_set_limits(struct blk_dev *d, const struct blk_limits *l);
void blk_dev_get_limits(const struct blk_dev *d, struct blk_limits *out);

/*
 * Whose requests come through @q (the partition): owners that wait get equal shares, however
 * many queues and requests each has. Without this a queue belongs to owner 0. -ENOMEM.
 */
int blk_queue_set_owner(struct blk_queue *q, uint64_t owner);

/* ---- faults (blk_fault.c) --------------------------------------------------- */

#define BLK_ANY_OP     ((1u << BLK_OP_COUNT) - 1)
#define BLK_MAX_FAULTS 16

struct blk_fault {
	uint32_t ops;	      /* bit per enum blk_op; 0: all */
	uint64_t first, end;  /* requests that touch these bytes; end 0: of the disk. Not FLUSH */
	uint32_t per_million; /* of those; 0: every one */
	int error;	      /* negative errno instead of doing it; 0: done, only later */
	uint64_t delay_us;
	bool stuck;	/* held until the fault is removed, the delay and error follow then */
	uint32_t times; /* hits, then it stays only for the record; 0: no end */
};

/*
 * The first fault that matches a request, in the order they were added, is its fault. A FLUSH
 * that fails is remembered like a real one (blk_dev_flush_failed()).
 * -EINVAL (an op, the range, the error or more than one million), -ENOSPC, -ENOMEM.
 */
int blk_dev_fault_add(struct blk_dev *d, const struct blk_fault *f, uint32_t *id);
/* @id 0: all. Stuck requests go on within 100 ms, delayed ones when their time is over. -ENOENT. */
int blk_dev_fault_remove(struct blk_dev *d, uint32_t id);
/* Which requests are hit follows from the seed and their order alone. */
void blk_dev_fault_seed(struct blk_dev *d, uint64_t seed);

struct blk_fault_info {
	uint32_t id;
	struct blk_fault fault;
	uint64_t hits;
	uint32_t held; /* now */
};
/* At most @max of them, in their order; returns how many there are. */
uint32_t blk_dev_faults(const struct blk_dev *d, struct blk_fault_info *out, uint32_t max);

/*
 * "OPS[:RANGE][:ERROR][:PERCENT%][:delay=TIME][:stuck][:times=N]", e.g.
 * "write:5000-6000:eio:10%:delay=20ms" or "read/flush:stuck". Several are joined by '+'.
 *   OPS      all, or some of read write flush discard zero joined by '/'
 *   RANGE    LBA or FIRST-LAST, in blocks of @block_size
 *   ERROR    eio enospc etimedout erofs enodev enxio edquot efbig eilseq enomem
 *   TIME     a number with us, ms or s
 * Returns how many are in @out (@max entries), or -EINVAL or -ENOSPC and a sentence in @why.
 */
int blk_fault_parse(const char *text, uint32_t block_size, struct blk_fault *out, uint32_t max,
		    char *why, size_t whylen);

/* The same the other way: what blk_fault_parse() makes @f of again. Returns @out. */
#define BLK_FAULT_TEXT 160
char *blk_fault_format(const struct blk_fault *f, uint32_t block_size, char *out, size_t len);

/* ---- what is held ------------------------------------------------------------ */

struct blk_policy_stats {
	uint64_t limited, faulted; /* requests that had to wait; that met a fault */
	uint64_t cancelled;
	uint32_t waiting, held; /* now: for tokens; by a fault */
};
void blk_dev_policy_stats(const struct blk_dev *d, struct blk_policy_stats *out);

enum blk_where {
	BLK_AT_LIMIT,  /* waits for tokens */
	BLK_AT_FAULT,  /* held by an injected fault */
	BLK_AT_ENGINE, /* queued in the engine: for a buffer, a lock, a thread, another flush */
	BLK_AT_KERNEL,
};

/* @req is in flight on @q. Looks through lists: for reports, not for every request. */
enum blk_where blk_req_where(const struct blk_queue *q, const struct blk_req *req);
const char *blk_where_name(enum blk_where w); /* "limit", "fault", "engine", "kernel" */

/*
 * Takes @req, in flight on @q, back before it reaches the kernel. True: its done() has been
 * called with -ECANCELED (from in here), and nothing of it happens any more; what was
 * transferred before stays. False: it is in the kernel, or about to be, and ends by itself.
 */
bool blk_cancel(struct blk_queue *q, struct blk_req *req);

#endif
