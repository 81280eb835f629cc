/* SPDX-License-Identifier: MIT */
/*
 * Commands that take several backend operations, one after the other: a step function says
 * what comes next. None of them can keep a loop busy: after some operations that an engine
 * finished at once the walk goes on in another turn.
 */
#include "vsp/storvsp/scsi/scsi_int.h"

#define PIECES_PER_TURN 16

static void walk_end(struct scsi_task *t)
{
	scsi_scratch_put(t->lun, t->scratch, t->walk.scratch_len);
	scsi_scratch_put(t->lun, t->walk.pattern, t->walk.pattern_len);
	t->scratch = NULL;
	t->walk.pattern = NULL;
	if (t->walk.locked)
		scsi_range_unlock(t);
	t->walk.locked = false;
}

bool scsi_walk_good(struct scsi_task *t, uint32_t transferred)
{
	walk_end(t);
	scsi_good(t, transferred);
	return false;
}

bool scsi_walk_fail(struct scsi_task *t, uint32_t sense)
{
	walk_end(t);
	scsi_fail(t, sense);
	return false;
}

bool scsi_walk_fail_at(struct scsi_task *t, uint32_t sense, uint64_t information)
{
	walk_end(t);
	scsi_fail_at(t, sense, information);
	return false;
}

bool scsi_walk_full(struct scsi_task *t)
{
	walk_end(t);
	scsi_task_set_full(t);
	return false;
}

bool scsi_walk_read_failed(struct scsi_task *t, int err)
{
	uint32_t sense = scsi_sense_of_read(err);

	if (sense == SENSE_READ_ERROR) /* somewhere from here on: no earlier block is bad */
		return scsi_walk_fail_at(t, sense, t->blk.offset >> t->lun->shift);
	return scsi_walk_fail(t, sense);
}

void *scsi_walk_buffer(struct scsi_task *t, uint32_t len)
{
	void *p = scsi_scratch_get(t->lun, len);

	t->walk.pattern = p;
	t->walk.pattern_len = p ? len : 0;
	return p;
}

bool scsi_walk_io(struct scsi_task *t, uint8_t op, void *buf, uint64_t len)
{
	t->slice_iov[0] = (struct iovec){ .iov_base = buf, .iov_len = len };
	t->blk = (struct blk_req){
		.op = op, .offset = t->walk.pos, .len = len, .iov = t->slice_iov, .niov = 1
	};
	return true;
}

/* ---- the loop ------------------------------------------------------------------------- */

static bool walk_go(struct scsi_task *t);

/* The operation that was prepared in an earlier turn. */
static void next_turn(struct loop_call *call)
{
	struct scsi_task *t = container_of(call, struct scsi_task, call);

	t->walk.at_once = 0;
	if (walk_go(t))
		t->done(t);
}

static void walk_done(struct blk_req *r, int res)
{
	struct scsi_task *t = container_of(r, struct scsi_task, blk);

	t->walk.at_once = 0;
	if (!t->walk.step(t, res) || walk_go(t))
		t->done(t);
}

/* A loop and not a recursion: engines may finish each piece at once. */
static bool walk_go(struct scsi_task *t)
{
	int res;

	do {
		if (t->walk.at_once++ == PIECES_PER_TURN) {
			t->call.fn = next_turn;
			blk_queue_post(t->queue, &t->call);
			return false;
		}
		t->blk.done = walk_done;
		res = blk_submit(t->queue, &t->blk);
		if (res == -EINPROGRESS)
			return false;
	} while (t->walk.step(t, res));
	return true;
}

bool scsi_walk_run(struct scsi_task *t)
{
	t->blk = (struct blk_req){ .len = 0 };
	return !t->walk.step(t, 0) || walk_go(t);
}

static void walk_granted(struct scsi_task *t)
{
	if (t->walk.aborted ? !scsi_walk_fail(t, SENSE_ABORTED) : scsi_walk_run(t))
		t->done(t);
}

bool scsi_walk_lock(struct scsi_task *t, uint64_t start, uint64_t end, bool exclusive)
{
	t->walk.locked = true;
	return scsi_range_lock(t, start, end, exclusive, walk_granted) && scsi_walk_run(t);
}

bool scsi_task_abort(struct scsi_task *t)
{
	t->walk.aborted = true;
	return t->queue && blk_cancel(t->queue, &t->blk); /* an empty drive has no queue */
}
