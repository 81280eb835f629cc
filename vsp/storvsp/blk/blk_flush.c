/* SPDX-License-Identifier: MIT */
/*
 * Flushes, shared by all queues of a device (spec: disk-backends, sections 6 and 14.5).
 *
 * At most one fdatasync runs. Who comes meanwhile needs the next one, never the running:
 * that one may already be past the pages just written. When it is done, all who wait
 * become the riders of the next, which one of them starts.
 *
 * After one failure the kernel calls the lost pages clean, and a second fdatasync
 * succeeds. So the first failure is remembered: everything that promises durability
 * fails until the image is opened again (spec: scsi-target, section 8).
 */
#include "vsp/storvsp/blk/blk_file.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"

void file_flush_poison(struct file_dev *f, int err)
{
	if (__atomic_exchange_n(&f->dev.flush_failed, true, __ATOMIC_RELAXED)) /* a flag alone */
		return;
	log_error("%s: writing to stable storage failed: %s; flushes fail until it is opened again",
		  f->dev.path, strerror(-err));
}

enum file_verdict file_flush_join(struct file_queue *fq, struct blk_req *req)
{
	struct file_dev *f = file_queue_dev(fq);
	struct blk_priv *p = blk_priv(req);
	enum file_verdict v = FILE_GO;

	p->tries = 0;
	p->step = FILE_SYNC;
	pthread_mutex_lock(&f->dev.lock);
	if (blk_dev_flush_failed(&f->dev)) {
		p->result = -EIO;
		v = FILE_DONE;
	} else if (f->flush_running) {
		blk_list_push(&f->flush_waiting, req);
		v = FILE_WAIT;
	} else {
		f->flush_running = true;
	}
	pthread_mutex_unlock(&f->dev.lock);
	return v;
}

static void finish_all(struct file_queue *here, struct blk_list *l, int err)
{
	struct blk_req *req;

	while ((req = blk_list_pop(l))) {
		blk_priv(req)->result = err;
		blk_priv(req)->step = FILE_FINISH;
		file_wake(here, req);
	}
}

/* Takes the request that shall start the next flush out of the waiting: ours, if there is one. */
static struct blk_req *take_starter(struct file_dev *f, struct file_queue *here)
{
	struct blk_list all = blk_list_take(&f->flush_waiting);
	struct blk_req *starter = NULL;
	struct blk_req *req;

	for (req = all.head; req && !starter; req = blk_priv(req)->next)
		if (blk_priv(req)->q == &here->q)
			starter = req;
	if (!starter)
		starter = all.head;
	while ((req = blk_list_pop(&all)))
		if (req != starter)
			blk_list_push(&f->flush_riders, req);
	return starter;
}

enum file_verdict file_flush_done(struct file_queue *fq, struct blk_req *req, int32_t res)
{
	struct file_dev *f = file_queue_dev(fq);
	struct blk_list riders;
	struct blk_req *starter;

	if (res < 0)
		file_flush_poison(f, res);
	pthread_mutex_lock(&f->dev.lock);
	if (res >= 0 && blk_dev_flush_failed(&f->dev))
		res = -EIO;
	riders = blk_list_take(&f->flush_riders);
	finish_all(fq, &riders, res < 0 ? res : 0);
	if (res < 0)
		finish_all(fq, &f->flush_waiting, -EIO);
	starter = take_starter(f, fq);
	f->flush_running = starter;
	if (starter)
		file_wake(fq, starter);
	pthread_mutex_unlock(&f->dev.lock);
	blk_priv(req)->result = res < 0 ? res : 0;
	return FILE_DONE;
}
