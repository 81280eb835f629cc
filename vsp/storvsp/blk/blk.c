/* SPDX-License-Identifier: MIT */
/*
 * The contract of blk.h in front of the engines: arguments are checked and
 * operations counted here, once for all of them.
 */
#include "vsp/storvsp/blk/blk_int.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

static const char *const engine_names[] = {
	[BLK_ENGINE_AUTO] = "auto",  [BLK_ENGINE_URING] = "io_uring",
	[BLK_ENGINE_AIO] = "libaio", [BLK_ENGINE_MEMORY] = "memory",
	[BLK_ENGINE_NULL] = "null",  [BLK_ENGINE_THREADS] = "threads",
};

const char *blk_engine_name(enum blk_engine e)
{
	return (unsigned)e < ARRAY_SIZE(engine_names) ? engine_names[e] : "?";
}

int blk_fail(char *why, size_t whylen, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (whylen)
		vsnprintf(why, whylen, fmt, ap);
	va_end(ap);
	return err;
}

/* ---- devices ---------------------------------------------------------- */

int blk_dev_init(struct blk_dev *d, const struct blk_ops *ops, const char *path)
{
	if (path) {
		d->path = strdup(path);
		if (!d->path)
			return -ENOMEM;
	}
	d->ops = ops;
	d->info.path = d->path;
	pthread_mutex_init(&d->lock, NULL);
	return 0;
}

void blk_dev_fini(struct blk_dev *d)
{
	blk_policy_free(d);
	pthread_mutex_destroy(&d->lock);
	free(d->path);
}

int blk_dev_open(struct blk_dev **out, const struct blk_config *cfg, char *why, size_t whylen)
{
	struct blk_config c = *cfg;

	*out = NULL;
	if (whylen)
		why[0] = '\0';
	if (!c.block_size)
		c.block_size = 512;
	if (c.block_size != 512 && c.block_size != 4096)
		return blk_fail(why, whylen, -EINVAL, "block size %u: only 512 and 4096 exist",
				c.block_size);
	if (c.size % c.block_size)
		return blk_fail(
			why, whylen, -EINVAL,
			"size %llu is not a multiple of the %u-byte block; round it down to %llu",
			(unsigned long long)c.size, c.block_size,
			(unsigned long long)(c.size - c.size % c.block_size));
	if (c.engine == BLK_ENGINE_MEMORY || c.engine == BLK_ENGINE_NULL)
		return blk_mem_open(out, &c, why, whylen);
	if (!c.path || !c.path[0])
		return blk_fail(why, whylen, -EINVAL,
				"no image is named; give the path of a file or block device");
	return blk_file_open(out, &c, why, whylen);
}

void blk_dev_close(struct blk_dev *d)
{
	if (d)
		d->ops->close(d);
}

void blk_dev_info(const struct blk_dev *d, struct blk_info *out)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)&d->lock;

	pthread_mutex_lock(lock); /* what the engine learns while it runs is in there too */
	*out = d->info;
	pthread_mutex_unlock(lock);
}

bool blk_dev_flush_failed(const struct blk_dev *d)
{
	return load_relaxed(&d->flush_failed);
}

static void stats_add(struct blk_stats *sum, const struct blk_stats *s)
{
	for (int i = 0; i < BLK_OP_COUNT; i++)
		sum->ops[i] += load_relaxed(&s->ops[i]);
	sum->bytes[0] += load_relaxed(&s->bytes[0]);
	sum->bytes[1] += load_relaxed(&s->bytes[1]);
	sum->errors += load_relaxed(&s->errors);
	sum->resubmitted += load_relaxed(&s->resubmitted);
	sum->bounced += load_relaxed(&s->bounced);
	sum->inlined += load_relaxed(&s->inlined);
	sum->in_flight += load_relaxed(&s->in_flight);
}

void blk_dev_stats(const struct blk_dev *d, struct blk_stats *out)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)&d->lock;

	pthread_mutex_lock(lock);
	*out = d->retired;
	for (const struct blk_queue *q = d->queues; q; q = q->next)
		stats_add(out, &q->stats);
	pthread_mutex_unlock(lock);
}

/* ---- queues ----------------------------------------------------------- */

static void open_inbox(struct loop_call *call)
{
	struct blk_queue *q = container_of(call, struct blk_queue, call);
	struct blk_list mail;
	struct blk_req *req;

	pthread_mutex_lock(&q->dev->lock);
	mail = blk_list_take(&q->inbox);
	q->inbox_posted = false;
	pthread_mutex_unlock(&q->dev->lock);
	while ((req = blk_list_pop(&mail)))
		q->dev->ops->resume(q, req);
}

void blk_queue_mail(struct blk_queue *q, struct blk_req *req)
{
	blk_list_push(&q->inbox, req);
	if (q->inbox_posted)
		return;
	q->inbox_posted = true;
	loop_post(q->loop, &q->call);
}

int blk_queue_create(struct blk_queue **out, struct blk_dev *d, struct loop *loop)
{
	struct blk_queue *q;
	int err = d->ops->queue_create(&q, d, loop);

	if (err)
		return err;
	q->submit = d->ops->submit;
	q->block_mask = d->info.block_size - 1;
	q->readonly = d->info.readonly;
	q->last_plain = q->readonly ? BLK_READ : BLK_WRITE;
	q->dev = d;
	q->loop = loop;
	q->call.fn = open_inbox;
	pthread_mutex_lock(&d->lock);
	q->size = d->info.size;
	q->next = d->queues;
	d->queues = q;
	blk_policy_queue_added(q);
	pthread_mutex_unlock(&d->lock);
	*out = q;
	return 0;
}

void blk_queue_destroy(struct blk_queue *q)
{
	struct blk_dev *d = q->dev;
	struct blk_queue **link = &d->queues;

	pthread_mutex_lock(&d->lock);
	while (*link != q)
		link = &(*link)->next;
	*link = q->next;
	stats_add(&d->retired, &q->stats);
	blk_policy_queue_gone(q);
	pthread_mutex_unlock(&d->lock);
	d->ops->queue_destroy(q);
}

void blk_queue_post(struct blk_queue *q, struct loop_call *call)
{
	loop_post(q->loop, call);
}

/* ---- requests --------------------------------------------------------- */

/* @result: of a request that is over, or -EINPROGRESS: it has begun. */
ALWAYS_INLINE void account(struct blk_queue *q, const struct blk_req *req, int result)
{
	size_t op = req->op;

	if (likely(!result)) {
		blk_count(&q->stats.ops[op], 1);
		if (likely(op <= BLK_WRITE))
			blk_count(&q->stats.bytes[op], req->len);
	} else if (likely(result == -EINPROGRESS)) {
		store_relaxed(&q->stats.in_flight, q->stats.in_flight + 1);
	} else {
		blk_count(&q->stats.errors, 1);
	}
}

void blk_req_finish(struct blk_queue *q, struct blk_req *req, int result)
{
	store_relaxed(&q->stats.in_flight, q->stats.in_flight - 1);
	account(q, req, result);
	req->done(req, result);
}

ALWAYS_INLINE bool out_of_range(const struct blk_queue *q, const struct blk_req *req)
{
	uint64_t size = load_relaxed(&q->size); /* it may be resized meanwhile */

	return ((req->offset | req->len) & q->block_mask) || req->len > size ||
	       req->offset > size - req->len;
}

/* 0 to go on, 1 when there is nothing to do, or why not. */
ALWAYS_INLINE int check_range(const struct blk_queue *q, const struct blk_req *req)
{
	return unlikely(out_of_range(q, req)) ? -EINVAL : req->len == 0;
}

/* The same for what is not just a transfer that the disk allows. */
static NOINLINE int check_other(const struct blk_queue *q, const struct blk_req *req)
{
	int r;

	if (req->op >= BLK_OP_COUNT)
		return -EINVAL;
	if (req->op == BLK_FLUSH)
		return 0;
	r = check_range(q, req);
	return r >= 0 && q->readonly && req->op != BLK_STATUS ? -EROFS : r;
}

static NOINLINE void note_start(struct blk_req *req)
{
	req->start_ns = clock_ns();
}

/* @r: what check_range() or check_other() said. */
static NOINLINE int submit_nothing(struct blk_queue *q, struct blk_req *req, int r)
{
	if (r > 0)
		r = 0;
	account(q, req, r);
	return r;
}

int blk_submit(struct blk_queue *q, struct blk_req *req)
{
	int r = likely(req->op <= q->last_plain) ? check_range(q, req) : check_other(q, req);

	if (unlikely(r))
		return submit_nothing(q, req, r);
	if (unlikely(req->start_ns))
		note_start(req);
	r = load_relaxed(&q->submit)(q, req);
	account(q, req, r);
	return r;
}
