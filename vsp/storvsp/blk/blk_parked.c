/* SPDX-License-Identifier: MIT */
/*
 * Requests of the file engine that wait somewhere before, or between, their calls: is this
 * one of them, and can it be taken out?
 *
 * Left where they are: requests that go on this very turn, and the one that carries a flush
 * for others.
 */
#include "vsp/storvsp/blk/blk_file.h"

#include <errno.h>

static bool device_holds(struct file_dev *f, const struct blk_queue *q, const struct blk_req *req)
{
	bool held;

	pthread_mutex_lock(&f->dev.lock);
	held = blk_list_has(&q->inbox, req) || blk_list_has(&f->flush_waiting, req) ||
	       blk_list_has(&f->range_waiting, req);
	pthread_mutex_unlock(&f->dev.lock);
	return held;
}

bool file_holds(struct blk_queue *q, const struct blk_req *req)
{
	struct file_queue *fq = file_queue(q);

	return blk_list_has(&fq->ready, req) || blk_list_has(&fq->starved, req) ||
	       blk_list_has(&fq->slot_wait, req) || device_holds(file_queue_dev(fq), q, req) ||
	       file_pool_holds(req);
}

static bool device_lets_go(struct file_dev *f, struct blk_req *req)
{
	bool out;

	pthread_mutex_lock(&f->dev.lock);
	out = blk_list_remove(&f->flush_waiting, req) || blk_list_remove(&f->flush_riders, req) ||
	      blk_list_remove(&f->range_waiting, req);
	pthread_mutex_unlock(&f->dev.lock);
	return out;
}

static bool take_out(struct file_queue *fq, struct blk_req *req)
{
	if (device_lets_go(file_queue_dev(fq), req) || blk_list_remove(&fq->slot_wait, req))
		return true;
	if (blk_priv(req)->step == FILE_SYNC)
		return false; /* others count on its flush */
	return blk_list_remove(&fq->starved, req) || file_pool_remove(req);
}

bool file_cancel(struct blk_queue *q, struct blk_req *req)
{
	struct blk_priv *p = blk_priv(req);

	if (!take_out(file_queue(q), req))
		return false;
	p->result = -ECANCELED;
	p->step = FILE_FINISH;
	p->flags &= ~FILE_F_RESULT;
	file_resume(q, req);
	return true;
}
