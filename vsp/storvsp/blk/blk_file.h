/* SPDX-License-Identifier: MIT */
/*
 * The file engine: regular files and block devices (spec: disk-backends).
 *
 * A request is a row of calls (struct file_call, one system call's worth each): most have
 * one, made on the caller's own scatter list. What to do when a call came back is
 * decided in one place (blk_file.c) for all ways of making calls:
 *
 *   blk_uring.c   through the loop's io_uring
 *   blk_aio.c     libaio; only with O_DIRECT, else it would block
 *   blk_thread.c  a few helper threads for the process
 *   inline        right away, where nothing can block (files in memory)
 *
 * A request is always in exactly one place: on its way through a call, or in one of the
 * lists ready, starved, slot_wait (its queue), flush_waiting, flush_riders,
 * range_waiting (the device) or an inbox.
 */
#ifndef HVBUS_VSP_STORVSP_BLK_BLK_FILE_H
#define HVBUS_VSP_STORVSP_BLK_BLK_FILE_H

#include "vsp/storvsp/blk/blk_int.h"

#define FILE_SLOTS	   16
#define FILE_SLOT_IOV	   64
#define FILE_SLOT_BYTES	   (256u << 10)
#define FILE_CALL_MAX	   (1u << 30)  /* bytes of one read or write; results are 31 bits */
#define FILE_FALLOC_PIECE  (64u << 20) /* a punch holds the inode lock: milliseconds each */
#define FILE_FALLOC_INLINE (1u << 20)
#define FILE_ZERO_BYTES	   (64u << 10) /* the static buffer of zeroes */
#define FILE_ZERO_IOV	   16	       /* times the buffer: 1 MiB of zeroes per call */
#define FILE_TRIES	   8	       /* without any progress */
#define FILE_RETRY_NS	   1000000u

/* What the call in flight is for. */
enum file_step {
	FILE_PLAN,     /* no call yet: waits for a lock or slot, then plans the next call */
	FILE_IO,       /* the whole request on the caller's list */
	FILE_PIECE,    /* a part of it, through the slot's short list */
	FILE_BOUNCE,   /* a part of it, through the slot's aligned buffer */
	FILE_RMW_READ, /* the block around a small write, before it is patched and written */
	FILE_FALLOC,   /* punch or zero a range */
	FILE_ZERO,     /* write zeroes instead */
	FILE_SYNC,     /* fdatasync, for everyone who rides on it */
	FILE_SEEK,     /* data or hole, and how far */
	FILE_FINISH,   /* no call any more: the result is known */
};

#define FILE_F_FUA	0x01u /* durable before it is done */
#define FILE_F_DSYNC	0x02u /* .. by RWF_DSYNC on every write */
#define FILE_F_UNSYNCED 0x04u /* .. by an fdatasync at the end */
#define FILE_F_BOUNCE	0x08u /* O_DIRECT refused the caller's memory once */
#define FILE_F_ASYNC	0x10u /* came back with EAGAIN: let a worker block */
#define FILE_F_LOCKED	0x20u /* holds a range lock */
#define FILE_F_RESULT	0x40u /* result is the call's, still to be looked at */

enum file_verdict {
	FILE_GO,   /* make the call for the step */
	FILE_WAIT, /* parked in a list */
	FILE_DONE, /* priv.result is the request's */
};

enum file_op { CALL_READ, CALL_WRITE, CALL_SYNC, CALL_FALLOC, CALL_SEEK };

struct file_call {
	uint8_t op; /* enum file_op */
	bool dsync;
	int mode; /* CALL_FALLOC */
	int niov;
	const struct iovec *iov; /* with niov == 1, @len counts and not iov_len */
	uint64_t off, len;
	uint64_t *run; /* CALL_SEEK: where the length goes; the result is 1 for a hole */
};

/* Results of issue() that are not the call's. */
#define FILE_PENDING INT32_MIN	     /* file_complete() follows */
#define FILE_STARVED (INT32_MIN + 1) /* no room; try again later */

/*
 * Tests put faults here: both run for every call, before() perhaps on a helper thread.
 */
struct file_fault {
	/* May make the call smaller (len, with niov = 1): the rest is really not done. */
	void (*before)(struct file_fault *t, struct file_call *c);
	/* Returns what the engine shall believe instead of @res. @op is enum file_op. */
	int32_t (*after)(struct file_fault *t, int op, int32_t res);
};

struct file_slot {
	struct file_slot *next;
	char *buf;		/* FILE_SLOT_BYTES, page aligned; NULL without O_DIRECT */
	uint64_t base;		/* where in the file buf[0] belongs */
	uint32_t total, filled; /* bytes to move between buf and file; moved so far */
	int niov;
	struct iovec one;
	struct iovec iov[FILE_SLOT_IOV];
};

struct file_queue;

struct file_transport {
	const char *name;
	/* Errors: -EAGAIN (no libaio context), -ENOMEM, -EMFILE, .. */
	int (*init)(struct file_queue *fq);
	void (*fini)(struct file_queue *fq);
	/* The call's result, FILE_PENDING or FILE_STARVED. */
	int32_t (*issue)(struct file_queue *fq, struct blk_req *req, struct file_call *c);
	/* End of the turn: hand over what was gathered. May be NULL. */
	void (*flush)(struct file_queue *fq);
};
extern const struct file_transport file_uring, file_aio, file_threads;

struct file_dev {
	struct blk_dev dev;
	int fd;
	/*
	 * fdatasync has an open file description of its own: the kernel reports a failed
	 * writeback once per description, and a FUA write must not eat the flush's report.
	 */
	int flush_fd;
	bool is_block, direct, writethrough;
	bool in_memory;	   /* tmpfs: calls never wait for a device and are made inline .. */
	bool inline_read;  /* .. reads too, where io_uring would punt them to a worker */
	bool share_blocks; /* the file's smallest write holds several of the guest's blocks */
	bool dsync;	   /* RWF_DSYNC works; cleared when it turns out not to */
	bool falloc_ok[2]; /* by index into file_falloc_modes; same */
	bool seek_ok;	   /* SEEK_HOLE finds holes; same */
	uint32_t off_mask, mem_mask; /* O_DIRECT's alignments - 1; 0 without it */
	uint32_t falloc_mask;
	/* Of the file when it was opened or resized (relaxed); before that it was cut off. */
	uint64_t end;
	enum blk_engine engine;
	uint8_t fallbacks_logged; /* one bit each */
	struct file_fault *fault; /* tests only */

	/* Flushes. Under dev.lock. */
	bool flush_running;
	struct blk_list flush_riders;  /* done when the running one is, beside its owner */
	struct blk_list flush_waiting; /* need one that starts later */

	/* Range locks. Under dev.lock. */
	struct blk_req *range_held; /* through blk_priv.locked */
	struct blk_list range_waiting;
};

struct file_queue {
	struct blk_queue q;
	const struct file_transport *tr;
	void *tr_data;		 /* the transport's */
	int fixed;		 /* io_uring: index of the registered file, or -1 */
	bool has_pool;		 /* io_uring: helper threads are ours too, for seeking */
	struct blk_list ready;	 /* go on at the end of the turn */
	struct blk_list starved; /* go on when something completed, or in a millisecond */
	struct loop_hook hook;
	struct loop_timer retry;
	struct file_slot *slots, *slot_free;
	char *slot_memory;
	struct blk_list slot_wait;
};

ALWAYS_INLINE struct file_dev *file_dev(const struct blk_dev *d)
{
	return container_of(d, struct file_dev, dev);
}

ALWAYS_INLINE struct file_queue *file_queue(const struct blk_queue *q)
{
	return container_of(q, struct file_queue, q);
}

ALWAYS_INLINE struct file_dev *file_queue_dev(const struct file_queue *fq)
{
	return file_dev(fq->q.dev);
}

/* ---- blk_call.c: one system call's worth ------------------------------- */

enum { FILE_MODE_PUNCH, FILE_MODE_ZERO };
extern const int file_falloc_modes[2];

enum file_op file_call_op(struct blk_req *req);
/* The call of @req's step. */
void file_call_build(struct blk_req *req, struct file_call *c);
/* Makes it and blocks. The number of bytes or a negative errno. Any thread. */
int32_t file_call_run(const struct file_dev *f, struct file_call *c);

/* Just before the call is made: what a test wants changed. */
ALWAYS_INLINE void file_call_spoil(const struct file_dev *f, struct file_call *c)
{
	if (unlikely(f->fault))
		f->fault->before(f->fault, c);
}

/* ---- blk_file.c: what follows what -------------------------------------- */

/* struct blk_ops */
int file_submit(struct blk_queue *q, struct blk_req *req);
void file_resume(struct blk_queue *q, struct blk_req *req);
/* A call that was FILE_PENDING has its result. On the queue's loop, not inside issue(). */
void file_complete(struct file_queue *fq, struct blk_req *req, int32_t res);
/* Lets @req go on at the end of the turn. */
void file_ready(struct file_queue *fq, struct blk_req *req);
/* As file_ready(), for a request of any queue. @here is the caller's. dev->lock held. */
void file_wake(struct file_queue *here, struct blk_req *req);
/* Parks @req until something completed, or for FILE_RETRY_NS. */
void file_starve(struct file_queue *fq, struct blk_req *req);
/* The queue's hook and timer. */
void file_end_of_turn(struct loop_hook *h);
void file_retry(struct loop_timer *t);

/* ---- blk_queue.c ---------------------------------------------------------- */

extern const struct blk_ops file_ops;

/* ---- blk_size.c ----------------------------------------------------------- */

/* struct blk_ops */
int file_resize(struct blk_dev *d, uint64_t size, bool shrink, char *why, size_t whylen);

/* ---- blk_plan.c: cutting a request into calls ------------------------- */

/* True when the caller's whole list can be used for one call; -EINVAL when it is too short. */
int file_plan_whole(const struct file_dev *f, const struct blk_req *req);
/* The next call after priv.pos bytes. Needs priv.slot, except for discards. */
enum file_verdict file_plan_next(struct file_queue *fq, struct blk_req *req);

/* ---- blk_bounce.c: slots ---------------------------------------------- */

int file_slots_init(struct file_queue *fq);
void file_slots_fini(struct file_queue *fq);
/* False: @req waits in slot_wait and is made ready with one. */
bool file_slot_get(struct file_queue *fq, struct blk_req *req);
void file_slot_put(struct file_queue *fq, struct blk_req *req);
/* A call on the slot's buffer moved @res bytes (@eof: and the file ends there). */
enum file_verdict file_bounce_moved(struct file_queue *fq, struct blk_req *req, int32_t res,
				    bool eof);

/* ---- blk_flush.c: flushes shared by all queues ------------------------ */

enum file_verdict file_flush_join(struct file_queue *fq, struct blk_req *req);
enum file_verdict file_flush_done(struct file_queue *fq, struct blk_req *req, int32_t res);
void file_flush_poison(struct file_dev *f, int err);

/* ---- blk_range.c: exclusive ranges, for small writes to large blocks ---- */

/* False: @req waits in range_waiting and is woken when it holds the lock. */
bool file_range_lock(struct file_dev *f, struct blk_req *req);
void file_range_unlock(struct file_queue *here, struct blk_req *req);

/* ---- blk_lock.c: one user per image ----------------------------------- */

/* OFD lock of the whole file. -EBUSY and a sentence when somebody else has it. */
int file_image_lock(int fd, const char *path, bool readonly, char *why, size_t whylen);
/* The same for one that should be locked already: neither waits nor looks for the culprit. */
int file_image_lock_now(int fd, const char *path, bool readonly, char *why, size_t whylen);

void file_image_unlock(int fd);

/* ---- blk_parked.c: what waits --------------------------------------------- */

/* struct blk_ops */
bool file_holds(struct blk_queue *q, const struct blk_req *req);
bool file_cancel(struct blk_queue *q, struct blk_req *req);

/* ---- blk_thread.c ----------------------------------------------------- */

/* The pool exists while somebody holds it. -EAGAIN, -ENOMEM. */
int file_pool_get(void);
void file_pool_put(void);
int32_t file_pool_issue(struct file_queue *fq, struct blk_req *req, struct file_call *c);
/* No helper has begun with it; and takes it from them. */
bool file_pool_holds(const struct blk_req *req);
bool file_pool_remove(struct blk_req *req);

#endif
