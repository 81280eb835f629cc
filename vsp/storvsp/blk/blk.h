/* SPDX-License-Identifier: MIT */
/*
 * Block engines behind one contract: io_uring, libaio, helper threads, memory, null
 * (spec: disk-backends). A struct blk_dev is one image or block device, shared by
 * all loops; a struct blk_queue is the way to it from one loop.
 *
 * Data goes straight between the device and the caller's scatter list (guest
 * pages); a bounce buffer is used only where O_DIRECT's alignment demands it.
 *
 * Results: 0 = all @len bytes transferred and nothing less; short transfers are
 * continued inside, reads beyond the end of the file give zeroes. Otherwise a
 * negative errno as in disk-backends section 8 (-EIO, -ENOSPC, ..). -EINVAL: the
 * range is not whole blocks inside the disk, or the list is shorter than @len;
 * -EROFS: a change of a read-only disk. A file that somebody cut off while it is open
 * gives -EIO where it ended when it was opened, not zeroes.
 *
 * Requests in flight are not ordered among each other. A flush covers what was done
 * when it was submitted. What is called durable stays honest: after one failed flush
 * every flush and every durable write fails, until the image is opened again.
 *
 * A process that opens images should ignore SIGXFSZ: a write over its file size limit
 * is then -EFBIG and not the end.
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
	/*
	 * How much from @offset on is in one state: @len becomes that (at least a block, at
	 * most what it was), and BLK_REQ_HOLE in @flags tells that it is deallocated and reads
	 * zero. The next run may be in the same state. Engines that do not know have no holes.
	 */
	BLK_STATUS,
};
#define BLK_OP_COUNT 6

#define BLK_REQ_FUA  0x1u /* BLK_WRITE: on stable media before it completes */
#define BLK_REQ_HOLE 0x2u /* BLK_STATUS: its answer */

struct blk_req {
	uint8_t op;    /* enum blk_op */
	uint8_t flags; /* BLK_REQ_* */
	uint16_t niov;
	const struct iovec *iov; /* stays valid until done; at least @len bytes; READ and WRITE */
	uint64_t offset, len;	 /* bytes; multiples of the block size; not for FLUSH */
	/* On the queue's loop, exactly once, only after blk_submit() returned -EINPROGRESS. */
	void (*done)(struct blk_req *req, int result);
	/* 0: not measured. Else blk_submit() puts in clock_ns(). */
	uint64_t start_ns;
	/* Engine's private state while in flight. */
	uint64_t priv[12];
};

struct blk_dev;
struct blk_queue;

enum blk_engine {
	BLK_ENGINE_AUTO,
	BLK_ENGINE_URING,
	BLK_ENGINE_AIO,
	BLK_ENGINE_MEMORY,
	BLK_ENGINE_NULL, /* answers at once; reads leave the buffer alone. For measuring */
	BLK_ENGINE_THREADS,
};

enum blk_cache { BLK_CACHE_WRITEBACK, BLK_CACHE_WRITETHROUGH };

/*
 * An image that is open and locked already: blk_image_open()'s descriptors, maybe of another
 * process. The lock belongs to the open file, so it travels along.
 */
struct blk_image {
	int fd;
	int flush_fd; /* the same file opened once more, see blk_file.h; -1 = none */
};

struct blk_config {
	const char *path; /* file or block device; memory: a name for the identity, or NULL */
	/*
	 * NULL: @path is opened. Else nothing is, and @path only names it. The descriptors
	 * belong to the device once blk_dev_open() has succeeded.
	 */
	const struct blk_image *image;
	/*
	 * AUTO: io_uring; else libaio with O_DIRECT; else threads. Each step down is one line
	 * in the log. URING insists; AIO still becomes THREADS where libaio would block.
	 */
	enum blk_engine engine;
	enum blk_cache cache; /* WRITETHROUGH: every change is durable when it is done */
	/*
	 * 1 O_DIRECT, 0 page cache, -1 O_DIRECT for block devices and page cache for
	 * files. O_DIRECT that is not to be had becomes page cache, with a line in the log.
	 */
	int direct;
	bool readonly;
	/*
	 * Bytes. memory and null: 0 = 1 GiB. 0 = the file's; a longer disk than its file
	 * reads as zero behind it and grows by writing; a shorter one is the file's beginning.
	 */
	uint64_t size;
	uint32_t block_size; /* logical, 512 (default when 0) or 4096 */
};

/*
 * Opens and locks the image (OFD lock: exclusive for writing, shared for reading; a block
 * device that is mounted is refused for writing). On failure a sentence for people is
 * in @why (@whylen bytes): what is wrong with what, and what to do. Errors: -ENOENT,
 * -EACCES, -EROFS, -EISDIR, -EINVAL (empty, or size not a multiple of the block size),
 * -EBUSY (locked by somebody: who), -ENOTSUP (no file and no block device), -ENOMEM.
 */
int blk_dev_open(struct blk_dev **out, const struct blk_config *cfg, char *why, size_t whylen);
/*
 * What blk_dev_open() does first, with the rights of the caller, for one that may open nothing.
 * Errors and @why are the same.
 */
int blk_image_open(struct blk_image *out, const struct blk_config *cfg, char *why, size_t whylen);
void blk_image_close(struct blk_image *image);

/* After the last queue is gone. Flushes what a volatile cache holds. */
void blk_dev_close(struct blk_dev *d);

/*
 * Gives @d @size bytes, or with 0 what its file or device has by now. A file is made that long,
 * or cut when the disk was all of it; shorter only with @shrink. The thread that opens and
 * closes; requests may run meanwhile: those behind the new end fail with -EINVAL.
 * Errors, with a sentence in @why: -EINVAL (no whole blocks, shrinks, behind the end of a block
 * device), -ENOTSUP (a memory disk), -EROFS, and those of ftruncate(2).
 */
int blk_dev_resize(struct blk_dev *d, uint64_t size, bool shrink, char *why, size_t whylen);

struct blk_info {
	uint64_t size;		      /* bytes */
	uint32_t block_size;	      /* logical */
	uint32_t physical_block;      /* bytes */
	uint32_t discard_granularity; /* bytes; 0 = discard not supported (it still zeroes) */
	bool readonly, volatile_cache, fua, direct;
	/* "io_uring", "libaio", "threads", "memory", "null"; settled by the first queue. */
	const char *engine;
	const char *path; /* NULL when there is none */
	/* Stable identity: of a file's device and inode, a block device's path, or the name. */
	uint8_t id[16];
};
/* Any thread. */
void blk_dev_info(const struct blk_dev *d, struct blk_info *out);

/* True after a flush failed: every later flush and FUA write fails too, until reopened. */
bool blk_dev_flush_failed(const struct blk_dev *d);

/*
 * The way to @d from @loop (call on it). Errors: -ENOMEM, -EMFILE, -EAGAIN (no thread), -ENOTSUP
 * (BLK_ENGINE_URING and the loop has none).
 */
int blk_queue_create(struct blk_queue **out, struct blk_dev *d, struct loop *loop);
/* Nothing is in flight any more. Not from a done(). */
void blk_queue_destroy(struct blk_queue *q);

/*
 * Starts @req. 0 or a negative errno: finished already, @done is not called.
 * -EINPROGRESS: @done will be called, later. Submission reaches the kernel at the end of
 * the loop's turn, together with everything else.
 */
int blk_submit(struct blk_queue *q, struct blk_req *req);

/*
 * Runs @call on @q's loop in a later turn (loop_post()). Any thread. @q stays until it ran:
 * the caller sees to that.
 */
void blk_queue_post(struct blk_queue *q, struct loop_call *call);

struct blk_stats {
	uint64_t ops[BLK_OP_COUNT], bytes[2], errors;
	uint64_t resubmitted, bounced, inlined; /* calls */
	uint32_t in_flight;
};
/* Sum over all queues of the device. Any thread. */
void blk_dev_stats(const struct blk_dev *d, struct blk_stats *out);

const char *blk_engine_name(enum blk_engine e);

#endif
