/* SPDX-License-Identifier: MIT */
/*
 * Exclusive ranges of a device whose blocks are larger than the guest's: a small write
 * reads the block around it, patches and writes it back, and nothing else may change
 * that block in between, from any queue (spec: disk-backends, sections 9 and 14.6).
 *
 * First come, first served among those that overlap. Linear searches: only as many
 * requests as are in flight, and only for such devices.
 */
#include "vsp/storvsp/blk/blk_file.h"

static bool overlap(struct blk_req *a, struct blk_req *b)
{
	return blk_priv(a)->lock_start < blk_priv(b)->lock_end &&
	       blk_priv(b)->lock_start < blk_priv(a)->lock_end;
}

static bool blocked(const struct file_dev *f, const struct blk_list *ahead, struct blk_req *req)
{
	struct blk_req *o;

	for (o = f->range_held; o; o = blk_priv(o)->locked)
		if (overlap(o, req))
			return true;
	for (o = ahead->head; o; o = blk_priv(o)->next)
		if (overlap(o, req))
			return true;
	return false;
}

static void hold(struct file_dev *f, struct blk_req *req)
{
	blk_priv(req)->flags |= FILE_F_LOCKED;
	blk_priv(req)->locked = f->range_held;
	f->range_held = req;
}

bool file_range_lock(struct file_dev *f, struct blk_req *req)
{
	struct blk_priv *p = blk_priv(req);
	bool wait;

	p->lock_start = req->offset & ~(uint64_t)f->off_mask;
	p->lock_end = (req->offset + req->len + f->off_mask) & ~(uint64_t)f->off_mask;
	pthread_mutex_lock(&f->dev.lock);
	wait = blocked(f, &f->range_waiting, req);
	if (wait)
		blk_list_push(&f->range_waiting, req);
	else
		hold(f, req);
	pthread_mutex_unlock(&f->dev.lock);
	return !wait;
}

static void let_go(struct file_dev *f, struct blk_req *req)
{
	struct blk_req *o = f->range_held;

	blk_priv(req)->flags &= ~FILE_F_LOCKED;
	if (o == req) {
		f->range_held = blk_priv(req)->locked;
		return;
	}
	while (blk_priv(o)->locked != req)
		o = blk_priv(o)->locked;
	blk_priv(o)->locked = blk_priv(req)->locked;
}

void file_range_unlock(struct file_queue *here, struct blk_req *req)
{
	struct file_dev *f = file_queue_dev(here);
	struct blk_list all, still = { NULL, NULL };
	struct blk_req *w;

	pthread_mutex_lock(&f->dev.lock);
	let_go(f, req);
	all = blk_list_take(&f->range_waiting);
	while ((w = blk_list_pop(&all))) {
		if (blocked(f, &still, w)) {
			blk_list_push(&still, w);
			continue;
		}
		hold(f, w);
		file_wake(here, w);
	}
	f->range_waiting = still;
	pthread_mutex_unlock(&f->dev.lock);
}
