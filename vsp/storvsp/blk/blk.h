/* SPDX-License-Identifier: MIT */
/*
 * Block engines behind one contract: io_uring, libaio, memory, null
 * (spec: disk-backends). A struct blk_dev is one image or block device, shared by
 * all loops; a struct blk_queue is the way to it from one loop.
 *
 * Data goes straight between the device and the caller's scatter list (guest
 * pages); a bounce buffer is used only where O_DIRECT's alignment demands it.
 *
 * Results: 0 = all @len bytes transferred and nothing less; short transfers are
 * continued inside, reads beyond the end of the file give zeroes. Otherwise a
 * negative errno as in disk-backends section 8 (-EIO, -ENOSPC, ..).
 */
#ifndef HVBUS_VSP_STORVSP_BLK_BLK_H
#define HVBUS_VSP_STORVSP_BLK_BLK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/loop.h"

enum blk_op {
	BLK_READ,
	BLK_WRITE,
	BLK_FLUSH,   /* everything completed before is on stable media */
	BLK_DISCARD, /* [offset, offset + len) deallocated, reads zero afterwards */
	BLK_ZERO,    /* reads zero afterwards, stays allocated where possible */
};
#define BLK_OP_COUNT 5

#define BLK_REQ_FUA 0x1u /* BLK_WRITE: on stable media before it completes */

struct blk_req {
	uint8_t op;	/* enum blk_op */
	uint8_t flags;	/* BLK_REQ_* */
	uint16_t niov;
	const struct iovec *iov; /* stays valid until done; READ and WRITE */
	uint64_t offset, len;	 /* bytes; multiples of the block size */
	/* Called on the queue's loop, exactly once, only after blk_submit() returned -EINPROGRESS. */
	void (*done)(struct blk_req *req, int result);
	uint64_t start_ns; /* engine: when it was submitted (0 = not measured) */
	/* Engine's private state while in flight. */
	uint64_t priv[12];
};

struct blk_dev;
struct blk_queue;

enum blk_engine { BLK_ENGINE_AUTO, BLK_ENGINE_URING, BLK_ENGINE_AIO, BLK_ENGINE_MEMORY, BLK_ENGINE_NULL };
enum blk_cache { BLK_CACHE_WRITEBACK, BLK_CACHE_WRITETHROUGH };

struct blk_config {
	const char *path;	/* file or block device; NULL for memory and null */
	enum blk_engine engine; /* AUTO: io_uring, else libaio (logged) */
	enum blk_cache cache;
	int direct;		/* 1 O_DIRECT, 0 page cache, -1 the engine's choice */
	bool readonly;
	uint64_t size;		/* memory and null: bytes (0 = 1 GiB); files: 0 = file size */
	uint32_t block_size;	/* logical, 512 (default when 0) or 4096 */
};

/*
 * Opens and locks the image (OFD lock: exclusive for writing, shared for reading).
 * On failure a sentence for people is in @why (@whylen bytes): what is wrong with what,
 * and what to do. Errors: -ENOENT, -EACCES, -EISDIR, -EINVAL (empty, or size not a
 * multiple of the block size), -EBUSY (locked by somebody: who), -ENOTSUP, -ENOMEM.
 */
int blk_dev_open(struct blk_dev **out, const struct blk_config *cfg, char *why, size_t whylen);
/* After the last queue is gone. Flushes what a volatile cache holds. */
void blk_dev_close(struct blk_dev *d);

struct blk_info {
	uint64_t size;		     /* bytes */
	uint32_t block_size;	     /* logical */
	uint32_t physical_block;     /* bytes */
	uint32_t discard_granularity; /* bytes; 0 = discard not supported */
	bool readonly, volatile_cache, fua, direct;
	const char *engine; /* "io_uring", "libaio", "memory", "null" */
	const char *path;   /* NULL when there is none */
	uint8_t id[16];	    /* stable identity: of device and inode, or of the name */
};
void blk_dev_info(const struct blk_dev *d, struct blk_info *out);

/* True after a flush failed: every later flush and FUA write fails too, until reopened. */
bool blk_dev_flush_failed(const struct blk_dev *d);

/*
 * The way to @d from @loop (call on it). Errors: -ENOMEM, -EMFILE, -EAGAIN (libaio contexts).
 */
int blk_queue_create(struct blk_queue **out, struct blk_dev *d, struct loop *loop);
/* Nothing is in flight any more. */
void blk_queue_destroy(struct blk_queue *q);

/*
 * Starts @req. 0 or a negative errno: finished already, @done is not called.
 * -EINPROGRESS: @done will be called. Submission reaches the kernel at the end of the
 * loop's turn, together with everything else.
 */
int blk_submit(struct blk_queue *q, struct blk_req *req);

struct blk_stats {
	uint64_t ops[BLK_OP_COUNT], bytes[2], errors;
	uint64_t resubmitted, bounced, inlined;
	uint32_t in_flight;
};
/* Sum over all queues of the device. Any thread. */
void blk_dev_stats(const struct blk_dev *d, struct blk_stats *out);

const char *blk_engine_name(enum blk_engine e);

#endif
