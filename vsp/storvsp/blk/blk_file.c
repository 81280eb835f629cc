/* SPDX-License-Identifier: MIT */
/*
 * What happens to a request of the file engine from blk_submit() to its result: which
 * call is made, and what its result means (spec: disk-backends, sections 6 and 8).
 */
#include "vsp/storvsp/blk/blk_file.h"

#include <errno.h>

#include "base/iov.h"
#include "base/log.h"

/* ---- calls ------------------------------------------------------------ */

/*
 * A file in memory never waits for a device, and io_uring would send most calls on it to a
 * worker: 90 to 150 k/s instead of 310 to 350 k/s at queue depth 1 (4 KiB, tmpfs). Its
 * fdatasync is free.
 *
 * Buffered writes to a disk are punted too, on ext4 at least, but stay with the workers:
 * inline they moved as much (25 to 55 k/s either way, 4 KiB, 17 to 20 us of the file
 * system's time each) while the loop's own share went from 4 us to all of it, and the
 * kernel makes the writer wait when too much is dirty.
 */
static bool runs_inline(const struct file_dev *f, const struct file_call *c)
{
	if (c->op == CALL_READ)
		return f->inline_read;
	if (c->op == CALL_SEEK)
		return false; /* looks at each page of a long run */
	return c->op != CALL_FALLOC || c->len <= FILE_FALLOC_INLINE;
}

static int32_t issue(struct file_queue *fq, struct blk_req *req)
{
	struct file_dev *f = file_queue_dev(fq);
	struct file_call c;

	file_call_build(req, &c);
	if (unlikely(f->in_memory) && runs_inline(f, &c)) {
		blk_count(&fq->q.stats.inlined, 1);
		return file_call_run(f, &c);
	}
	return fq->tr->issue(fq, req, &c);
}

/* ---- results ---------------------------------------------------------- */

static enum file_verdict failed(struct blk_req *req, int err)
{
	blk_priv(req)->result = err == -EINPROGRESS ? -EIO : err; /* that one is blk_submit()'s */
	return FILE_DONE;
}

/* Refused before anything was lost; every other failed durable write leaves doubts. */
static bool harmless(int err)
{
	static const int refused[] = { EINVAL, ENOSPC, EDQUOT, EFBIG,  EFAULT,
				       ENOMEM, EROFS,  EPERM,  EACCES, ECANCELED };

	for (unsigned i = 0; i < ARRAY_SIZE(refused); i++)
		if (err == -refused[i])
			return true;
	return false;
}

static void release(struct file_queue *fq, struct blk_req *req)
{
	struct blk_priv *p = blk_priv(req);

	if (p->slot)
		file_slot_put(fq, req);
	if (p->flags & FILE_F_LOCKED)
		file_range_unlock(fq, req);
}

/* All bytes are moved. */
static enum file_verdict moved_all(struct file_queue *fq, struct blk_req *req)
{
	struct blk_priv *p = blk_priv(req);

	if (p->flags & FILE_F_UNSYNCED) {
		release(fq, req);
		return file_flush_join(fq, req);
	}
	/* A flush that failed meanwhile may have eaten the report on this very write. */
	if ((p->flags & FILE_F_FUA) && blk_dev_flush_failed(fq->q.dev))
		return failed(req, -EIO);
	p->result = 0;
	return FILE_DONE;
}

static enum file_verdict plan(struct file_queue *fq, struct blk_req *req)
{
	struct blk_priv *p = blk_priv(req);

	if (p->pos == req->len)
		return moved_all(fq, req);
	p->step = FILE_PLAN;
	return file_plan_next(fq, req);
}

static enum file_verdict again(struct file_queue *fq, enum file_verdict v)
{
	blk_count(&fq->q.stats.resubmitted, 1);
	return v;
}

/* The file ends at @at although the request goes on. */
static enum file_verdict end_of_file(struct file_queue *fq, struct blk_req *req, uint64_t at)
{
	struct blk_priv *p = blk_priv(req);

	if (at < load_relaxed(&file_queue_dev(fq)->end)) {
		log_ratelimited(LOG_ERROR, "%s: was truncated by somebody else; it ends at %llu",
				fq->q.dev->path, (unsigned long long)at);
		return failed(req, -EIO);
	}
	iov_fill(req->iov, req->niov, p->pos, 0, req->len - p->pos);
	p->pos = req->len;
	return moved_all(fq, req);
}

/* @res >= 0 bytes arrived in, or left, the caller's memory (or the static zeroes). */
static enum file_verdict transferred(struct file_queue *fq, struct blk_req *req, int32_t res)
{
	struct blk_priv *p = blk_priv(req);

	if (unlikely((uint32_t)res > p->piece))
		return failed(req, -EIO);
	p->pos += (uint32_t)res;
	if (likely(p->pos == req->len))
		return moved_all(fq, req);
	if (req->op == BLK_READ && (uint32_t)res < p->piece &&
	    (res == 0 || ((uint32_t)res & file_queue_dev(fq)->off_mask)))
		return end_of_file(fq, req, req->offset + p->pos);
	if (res == 0) {
		if (p->tries++)
			return failed(req, -EIO);
		return again(fq, FILE_GO);
	}
	p->tries = 0;
	if ((uint32_t)res < p->piece)
		blk_count(&fq->q.stats.resubmitted, 1);
	return plan(fq, req);
}

static enum file_verdict bounced(struct file_queue *fq, struct blk_req *req, int32_t res)
{
	struct file_dev *f = file_queue_dev(fq);
	struct blk_priv *p = blk_priv(req);
	bool reading = req->op == BLK_READ || p->step == FILE_RMW_READ;
	uint32_t left = p->slot->total - p->slot->filled;
	bool eof = reading && (uint32_t)res < left && (res == 0 || ((uint32_t)res & f->off_mask));
	enum file_verdict v;

	if ((uint32_t)res > left)
		return failed(req, -EIO);
	if (eof && p->slot->base + p->slot->filled + (uint32_t)res < load_relaxed(&f->end))
		return end_of_file(fq, req, p->slot->base + p->slot->filled + (uint32_t)res);
	if (res == 0 && !eof && p->tries++)
		return failed(req, -EIO);
	if (res)
		p->tries = 0;
	if ((uint32_t)res < left && !eof)
		blk_count(&fq->q.stats.resubmitted, 1);
	v = file_bounce_moved(fq, req, res, eof);
	return v == FILE_DONE ? plan(fq, req) : v;
}

/* ---- errors ----------------------------------------------------------- */

static void lose_falloc_mode(struct file_dev *f, int mode)
{
	pthread_mutex_lock(&f->dev.lock);
	store_relaxed(&f->falloc_ok[mode], false);
	if (mode == FILE_MODE_PUNCH)
		f->dev.info.discard_granularity = 0;
	pthread_mutex_unlock(&f->dev.lock);
}

static enum file_verdict found_run(struct blk_req *req, uint64_t len, bool hole)
{
	req->len = len;
	req->flags = hole ? BLK_REQ_HOLE : 0;
	blk_priv(req)->result = 0;
	return FILE_DONE;
}

/* Block devices and some file systems; a failing disk: the answer promises nothing. */
static enum file_verdict seek_failed(struct file_dev *f, struct blk_req *req)
{
	store_relaxed(&f->seek_ok, false);
	return found_run(req, req->len, false);
}

static enum file_verdict not_supported(struct file_queue *fq, struct blk_req *req, int err)
{
	struct file_dev *f = file_queue_dev(fq);
	struct blk_priv *p = blk_priv(req);

	if (p->step == FILE_FALLOC) {
		lose_falloc_mode(f, p->mode);
		return again(fq, plan(fq, req));
	}
	if (p->flags & FILE_F_DSYNC) {
		store_relaxed(&f->dsync, false);
		p->flags = (p->flags & ~FILE_F_DSYNC) | FILE_F_UNSYNCED;
		return again(fq, FILE_GO);
	}
	return failed(req, err);
}

static enum file_verdict call_failed(struct file_queue *fq, struct blk_req *req, int err)
{
	struct file_dev *f = file_queue_dev(fq);
	struct blk_priv *p = blk_priv(req);

	if ((err == -EAGAIN || err == -EINTR) && p->tries++ < FILE_TRIES) {
		if (err == -EAGAIN)
			p->flags |= FILE_F_ASYNC;
		return again(fq, FILE_GO);
	}
	if (err == -EAGAIN || err == -EINTR)
		err = -EIO;
	if (p->step == FILE_SYNC)
		return file_flush_done(fq, req, err);
	if (p->step == FILE_SEEK)
		return seek_failed(f, req);
	if (err == -ENOMEM && p->tries++ < FILE_TRIES) {
		file_starve(fq, req);
		return again(fq, FILE_WAIT);
	}
	if (err == -EOPNOTSUPP || err == -ENOSYS)
		return not_supported(fq, req, err);
	/* Stricter about memory than it said: once more through an aligned buffer. */
	if (err == -EINVAL && f->direct && p->step <= FILE_PIECE && !(p->flags & FILE_F_BOUNCE)) {
		p->flags |= FILE_F_BOUNCE;
		return again(fq, plan(fq, req));
	}
	if ((p->flags & FILE_F_DSYNC) && !harmless(err))
		file_flush_poison(f, err);
	return failed(req, err);
}

/* The call of @req's step returned @res. */
static enum file_verdict advance(struct file_queue *fq, struct blk_req *req, int32_t res)
{
	struct file_dev *f = file_queue_dev(fq);
	struct blk_priv *p = blk_priv(req);

	if (unlikely(f->fault))
		res = f->fault->after(f->fault, file_call_op(req), res);
	if (unlikely(res < 0))
		return call_failed(fq, req, res);
	switch (p->step) {
	case FILE_BOUNCE:
	case FILE_RMW_READ:
		return bounced(fq, req, res);
	case FILE_FALLOC:
		p->pos += p->piece;
		return plan(fq, req);
	case FILE_SYNC:
		return file_flush_done(fq, req, 0);
	case FILE_SEEK:
		return found_run(req, p->pos, res);
	default:
		return transferred(fq, req, res);
	}
}

/* ---- the way through -------------------------------------------------- */

/* Goes on until @req waits for something (-EINPROGRESS) or has its result. */
static int go(struct file_queue *fq, struct blk_req *req, enum file_verdict v)
{
	while (v == FILE_GO) {
		int32_t res = issue(fq, req);

		if (likely(res == FILE_PENDING))
			return -EINPROGRESS;
		if (unlikely(res == FILE_STARVED)) {
			file_starve(fq, req);
			return -EINPROGRESS;
		}
		v = advance(fq, req, res);
	}
	if (v == FILE_WAIT)
		return -EINPROGRESS;
	release(fq, req);
	return blk_priv(req)->result;
}

static void go_and_finish(struct file_queue *fq, struct blk_req *req, enum file_verdict v)
{
	int r = go(fq, req, v);

	if (r != -EINPROGRESS)
		blk_req_finish(&fq->q, req, r);
}

void file_complete(struct file_queue *fq, struct blk_req *req, int32_t res)
{
	go_and_finish(fq, req, advance(fq, req, res));
}

void file_resume(struct blk_queue *q, struct blk_req *req)
{
	struct file_queue *fq = file_queue(q);
	struct blk_priv *p = blk_priv(req);
	enum file_verdict v = FILE_GO;

	if (p->flags & FILE_F_RESULT) {
		p->flags &= ~FILE_F_RESULT;
		v = advance(fq, req, p->result);
	} else if (p->step == FILE_PLAN) {
		v = plan(fq, req);
	} else if (p->step == FILE_FINISH) {
		v = FILE_DONE;
	}
	go_and_finish(fq, req, v);
}

void file_ready(struct file_queue *fq, struct blk_req *req)
{
	blk_list_push(&fq->ready, req);
	loop_hook_queue(fq->q.loop, &fq->hook);
}

void file_wake(struct file_queue *here, struct blk_req *req)
{
	struct blk_queue *q = blk_priv(req)->q;

	if (q == &here->q)
		file_ready(here, req);
	else
		blk_queue_mail(q, req);
}

void file_starve(struct file_queue *fq, struct blk_req *req)
{
	if (!fq->starved.head)
		loop_timer_arm(fq->q.loop, &fq->retry, FILE_RETRY_NS);
	blk_list_push(&fq->starved, req);
}

static void resume_all(struct file_queue *fq, struct blk_list *from)
{
	struct blk_list all = blk_list_take(from);
	struct blk_req *req;

	while ((req = blk_list_pop(&all)))
		file_resume(&fq->q, req);
}

void file_end_of_turn(struct loop_hook *h)
{
	struct file_queue *fq = container_of(h, struct file_queue, hook);

	resume_all(fq, &fq->ready);
	if (fq->tr->flush)
		fq->tr->flush(fq);
}

void file_retry(struct loop_timer *t)
{
	struct file_queue *fq = container_of(t, struct file_queue, retry);

	resume_all(fq, &fq->starved);
	loop_hook_queue(fq->q.loop, &fq->hook);
}

/* ---- submission ------------------------------------------------------- */

static int submit_transfer(struct file_queue *fq, struct blk_req *req)
{
	struct file_dev *f = file_queue_dev(fq);
	struct blk_priv *p = blk_priv(req);
	int whole = file_plan_whole(f, req);

	if (unlikely(whole < 0))
		return whole;
	if (req->op == BLK_WRITE && ((req->flags & BLK_REQ_FUA) || f->writethrough)) {
		if (blk_dev_flush_failed(&f->dev))
			return -EIO;
		p->flags = FILE_F_FUA | (load_relaxed(&f->dsync) ? FILE_F_DSYNC : FILE_F_UNSYNCED);
	}
	p->step = whole ? FILE_IO : FILE_PLAN;
	p->piece = (uint32_t)req->len;
	if (unlikely(f->share_blocks) && req->op == BLK_WRITE && !file_range_lock(f, req))
		return -EINPROGRESS;
	return go(fq, req, whole ? FILE_GO : plan(fq, req));
}

static int submit_clear(struct file_queue *fq, struct blk_req *req)
{
	struct file_dev *f = file_queue_dev(fq);
	struct blk_priv *p = blk_priv(req);

	if (f->writethrough) {
		if (blk_dev_flush_failed(&f->dev))
			return -EIO;
		p->flags = FILE_F_FUA | FILE_F_UNSYNCED;
	}
	if (f->share_blocks && !file_range_lock(f, req))
		return -EINPROGRESS;
	return go(fq, req, plan(fq, req));
}

/*
 * lseek() is nothing that io_uring could do, and it may read metadata: always a helper's
 * (of those that have them anyway, or from now on).
 */
static int submit_status(struct file_queue *fq, struct blk_req *req)
{
	struct file_dev *f = file_queue_dev(fq);

	req->flags = 0;
	if (!load_relaxed(&f->seek_ok))
		return 0;
	if (fq->tr == &file_uring && !fq->has_pool) {
		if (file_pool_get())
			return 0;
		fq->has_pool = true;
	}
	blk_priv(req)->step = FILE_SEEK;
	return go(fq, req, FILE_GO);
}

int file_submit(struct blk_queue *q, struct blk_req *req)
{
	struct file_queue *fq = file_queue(q);
	struct blk_priv *p = blk_priv(req);

	p->q = q;
	p->slot = NULL;
	p->pos = 0;
	p->flags = 0;
	p->step = FILE_PLAN;
	p->tries = 0;
	if (likely(req->op <= BLK_WRITE))
		return submit_transfer(fq, req);
	if (req->op == BLK_STATUS)
		return submit_status(fq, req);
	if (req->op != BLK_FLUSH)
		return submit_clear(fq, req);
	if (q->readonly)
		return 0;
	return go(fq, req, file_flush_join(fq, req));
}
