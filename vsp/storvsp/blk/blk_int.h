/* SPDX-License-Identifier: MIT */
/*
 * What the engines behind blk.h share: the device and queue they embed, the
 * private part of a request, and the mail between queues of different loops.
 *
 * Locks: one per device (struct blk_dev.lock). It protects the list of queues, every
 * queue's inbox, what the engine learns while it runs (info), and what the file engine
 * shares between queues (flushes, range locks), and the policy (blk_policy_int.h). READ and WRITE
 * take it only where the device's blocks are larger than the guest's.
 */
#ifndef HVBUS_VSP_STORVSP_BLK_BLK_INT_H
#define HVBUS_VSP_STORVSP_BLK_BLK_INT_H

#include <pthread.h>

#include "base/atomic.h"
#include "base/compiler.h"
#include "vsp/storvsp/blk/blk.h"

struct file_queue;
struct file_slot;

/*
 * blk_req.priv while the request is in flight. may_alias: the caller declared it as an
 * array of integers.
 */
struct blk_priv {
	struct loop_op op; /* io_uring: where the completion arrives */
	struct blk_queue *q;
	struct blk_req *next;	/* in the one list the request waits in */
	struct blk_req *locked; /* next holder of a range lock */
	struct file_slot *slot; /* iovec array and bounce buffer, or NULL */
	uint64_t pos;		/* bytes finished, from req->offset on */
	uint64_t lock_start, lock_end;
	int32_t result; /* of the call, or of the request in the last step */
	uint32_t piece; /* bytes of the request that the call in flight moves on */
	uint32_t flags; /* FILE_F_* */
	uint8_t step;	/* enum file_step */
	uint8_t tries;	/* without progress */
	uint8_t mode;	/* index of the fallocate mode in flight */
} __attribute__((may_alias));
_Static_assert(sizeof(struct blk_priv) <= sizeof(((struct blk_req *)0)->priv), "fits in blk_req");

ALWAYS_INLINE struct blk_priv *blk_priv(struct blk_req *req)
{
	return (struct blk_priv *)req->priv;
}

/* First in, first out, linked through blk_priv.next. All zero is an empty list. */
struct blk_list {
	struct blk_req *head, *tail;
};

static inline void blk_list_push(struct blk_list *l, struct blk_req *req)
{
	blk_priv(req)->next = NULL;
	if (l->head)
		blk_priv(l->tail)->next = req;
	else
		l->head = req;
	l->tail = req;
}

static inline struct blk_req *blk_list_pop(struct blk_list *l)
{
	struct blk_req *req = l->head;

	if (req)
		l->head = blk_priv(req)->next;
	return req;
}

/* Looks through the list. */
static inline bool blk_list_has(const struct blk_list *l, const struct blk_req *req)
{
	const struct blk_req *r = l->head;

	while (r && r != req)
		r = blk_priv((struct blk_req *)r)->next;
	return r;
}

/* Takes @req out of the middle; false: it is not in there. */
static inline bool blk_list_remove(struct blk_list *l, struct blk_req *req)
{
	struct blk_req *before = NULL, *r = l->head;

	while (r && r != req) {
		before = r;
		r = blk_priv(r)->next;
	}
	if (!r)
		return false;
	if (before)
		blk_priv(before)->next = blk_priv(req)->next;
	else
		l->head = blk_priv(req)->next;
	if (l->tail == req)
		l->tail = before;
	return true;
}

/* Takes everything out of @from, in order. */
static inline struct blk_list blk_list_take(struct blk_list *from)
{
	struct blk_list all = *from;

	from->head = NULL;
	return all;
}

struct blk_ops {
	/* As blk_queue_create(), which fills the common part of *@out afterwards. */
	int (*queue_create)(struct blk_queue **out, struct blk_dev *d, struct loop *loop);
	void (*queue_destroy)(struct blk_queue *q);
	/* Range and alignment are checked. Result as blk_submit(). */
	int (*submit)(struct blk_queue *q, struct blk_req *req);
	/* A request that another thread (or an earlier turn) sent to @q, see blk_queue_mail(). */
	void (*resume)(struct blk_queue *q, struct blk_req *req);
	/* See blk_req_where() and blk_cancel(). NULL: what is in flight is out of reach. */
	bool (*holds)(struct blk_queue *q, const struct blk_req *req);
	bool (*cancel)(struct blk_queue *q, struct blk_req *req);
	/* As blk_dev_resize(); NULL: the size is fixed. */
	int (*resize)(struct blk_dev *d, uint64_t size, bool shrink, char *why, size_t whylen);
	void (*close)(struct blk_dev *d); /* frees @d */
};

struct blk_dev {
	const struct blk_ops *ops;
	struct blk_info info;
	char *path; /* what info.path points to */
	pthread_mutex_t lock;
	struct blk_queue *queues;
	struct blk_stats retired;  /* of queues that are gone */
	bool flush_failed;	   /* sticky; set under lock, read without */
	struct blk_policy *policy; /* made on first use, stays; set under lock, read without */
	struct blk_owner *owners;  /* lock */
};

/* What a queue holds back (blk_policy_int.h). */
struct blk_hold {
	struct blk_list waiting; /* for tokens; dev->lock */
	struct blk_list granted; /* has them, goes on when the queue looks; dev->lock */
	struct blk_list held;	 /* by a fault; the loop's */
	struct blk_owner *owner; /* dev->lock */
	struct blk_queue *next;	 /* of the same owner, with something waiting; dev->lock */
	struct loop_timer timer;
};

struct blk_queue {
	/*
	 * Copies of the device's, so that the submission path touches one line. @submit leads
	 * through the policy while there is one: any thread writes it, relaxed.
	 */
	int (*submit)(struct blk_queue *q, struct blk_req *req);
	uint64_t size; /* changed by blk_dev_publish_size(), relaxed */
	uint32_t block_mask;
	uint8_t last_plain; /* enum blk_op: up to this one, only the range has to be right */
	bool readonly;
	struct blk_dev *dev;
	struct loop *loop;
	struct blk_stats stats; /* written by the loop's thread, read by any, relaxed */
	struct blk_queue *next;
	struct blk_list inbox; /* dev->lock */
	bool inbox_posted;     /* dev->lock */
	struct loop_call call;
	struct blk_hold hold;
};

/* Fills the common part. @path may be NULL; copied. -ENOMEM. */
int blk_dev_init(struct blk_dev *d, const struct blk_ops *ops, const char *path);
void blk_dev_fini(struct blk_dev *d);

/* The refusal of a resize that would make @d smaller. */
int blk_fail_shrink(const struct blk_dev *d, uint64_t size, char *why, size_t whylen);

/* What the device and all its queues take for the size from now on. */
void blk_dev_publish_size(struct blk_dev *d, uint64_t size);

/* Writes a formatted sentence for people and returns @err. */
int blk_fail(char *why, size_t whylen, int err, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* Engines. Config is complete: block_size and size are set where they must be. */
int blk_mem_open(struct blk_dev **out, const struct blk_config *cfg, char *why, size_t whylen);
int blk_file_open(struct blk_dev **out, const struct blk_config *cfg, char *why, size_t whylen);

/* Finishes a request for which blk_submit() returned -EINPROGRESS. On the queue's loop. */
void blk_req_finish(struct blk_queue *q, struct blk_req *req, int result);

/*
 * Sends @req to @q: ops->resume() runs on its loop in a later turn. Any thread; call with
 * dev->lock held (it also keeps @q alive until the post has returned: the receiver
 * takes the lock before it looks).
 */
void blk_queue_mail(struct blk_queue *q, struct blk_req *req);

/* blk_policy.c: a queue came (linked, dev->lock held), goes (same), the device goes. */
void blk_policy_queue_added(struct blk_queue *q);
void blk_policy_queue_gone(struct blk_queue *q);
void blk_policy_free(struct blk_dev *d);

ALWAYS_INLINE void blk_count(uint64_t *counter, uint64_t n)
{
	store_relaxed(counter, load_relaxed(counter) + n); /* one writer: the loop's thread */
}

#endif
