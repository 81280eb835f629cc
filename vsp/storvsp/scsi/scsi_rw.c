/* SPDX-License-Identifier: MIT */
/*
 * READ, WRITE and flush: from the initiator's scatter list straight to the block engine
 * (spec: scsi-target, sections 6 and 8).
 */
#include <errno.h>

#include "base/log.h"
#include "vsp/storvsp/scsi/scsi_int.h"

#define BYTE1_FUA 0x08

/* Lost writes stay lost: relaxed, who needs the answer was told by an earlier completion. */
bool scsi_flush_failed(const struct scsi_lun *l)
{
	return load_relaxed(&l->flush_failed) || blk_dev_flush_failed(l->dev);
}

/* ---- READ, WRITE ------------------------------------------------------------------- */

uint32_t scsi_write_sense(const struct scsi_task *t, int err)
{
	/* A failed FUA write may have taken the page cache's error with it. */
	bool lost = (t->blk.flags & BLK_REQ_FUA) && scsi_flush_failed(t->lun);

	return lost ? SENSE_TARGET_FAILURE : scsi_sense_of_write(err);
}

static NOINLINE bool transfer_failed(struct scsi_task *t, int err)
{
	const struct blk_req *r = &t->blk;
	uint32_t sense;

	if (err == -EFAULT)
		log_ratelimited(LOG_WARN, "disk %s: guest memory vanished under a transfer",
				t->lun->serial);
	if (r->op == BLK_WRITE)
		return scsi_fail(t, scsi_write_sense(t, err));
	sense = scsi_sense_of_read(err);
	if (sense == SENSE_READ_ERROR) /* somewhere from here on: no earlier block is bad */
		return scsi_fail_at(t, sense, r->offset >> t->lun->shift);
	return scsi_fail(t, sense);
}

static NOINLINE void count_shared(struct scsi_lun *l, uint8_t op, uint64_t bytes)
{
	uint32_t shard = scsi_shard();
	struct scsi_counts *n = &l->counts[shard - 1];

	scsi_count(&n->transfers[op], 1, shard);
	scsi_count(&n->bytes[op], bytes, shard);
}

ALWAYS_INLINE void count_transfer(struct scsi_lun *l, uint8_t op, uint64_t bytes)
{
	uint64_t shard = scsi_thread_shard - 1; /* huge before the thread has one */
	struct scsi_counts *n;

	if (unlikely(shard >= SCSI_SHARDS - 1)) {
		count_shared(l, op, bytes);
		return;
	}
	n = &l->counts[shard];
	__asm__("" : "+r"(n)); /* once, not again for each counter */
	store_relaxed(&n->transfers[op], n->transfers[op] + 1);
	store_relaxed(&n->bytes[op], n->bytes[op] + bytes);
}

static NOINLINE void free_scratch(struct scsi_task *t)
{
	scsi_scratch_put(t->lun, t->scratch, t->walk.scratch_len);
	t->scratch = NULL;
}

/* @t->transferred was set when the transfer started. */
ALWAYS_INLINE bool transfer_end(struct scsi_task *t, uint8_t op, int res)
{
	if (unlikely(t->scratch))
		free_scratch(t);
	if (unlikely(res))
		return transfer_failed(t, res);
	count_transfer(t->lun, op, t->transferred);
	t->status = SCSI_GOOD;
	t->sense_len = 0;
	return true;
}

static void read_done(struct blk_req *r, int res)
{
	struct scsi_task *t = container_of(r, struct scsi_task, blk);

	transfer_end(t, BLK_READ, res);
	t->done(t);
}

static NOINLINE bool counted_write_failed(struct scsi_task *t, struct scsi_counts *n, int res)
{
	scsi_write_forget(t->lun, n);
	return transfer_failed(t, res);
}

/* As transfer_end(), of a WRITE that scsi_write_begin() let through with @n. */
ALWAYS_INLINE bool counted_write_end(struct scsi_task *t, struct scsi_counts *n, int res)
{
	if (unlikely(t->scratch))
		free_scratch(t);
	if (unlikely(res))
		return counted_write_failed(t, n, res);
	store_relaxed(&n->bytes[BLK_WRITE], n->bytes[BLK_WRITE] + t->transferred);
	scsi_write_end(t->lun, n);
	t->status = SCSI_GOOD;
	t->sense_len = 0;
	return true;
}

static void write_done(struct blk_req *r, int res)
{
	struct scsi_task *t = container_of(r, struct scsi_task, blk);

	counted_write_end(t, &t->lun->counts[scsi_thread_shard - 1], res);
	t->done(t);
}

/* ---- WRITE while somebody holds or wants an exclusive range ----------------------------- */

static bool locked_write_end(struct scsi_task *t, int res)
{
	scsi_range_unlock(t);
	return transfer_end(t, BLK_WRITE, res);
}

static void locked_write_done(struct blk_req *r, int res)
{
	struct scsi_task *t = container_of(r, struct scsi_task, blk);

	locked_write_end(t, res);
	t->done(t);
}

static bool locked_write_go(struct scsi_task *t)
{
	int res = t->walk.aborted ? -ECANCELED : blk_submit(t->queue, &t->blk);

	return res == -EINPROGRESS ? false : locked_write_end(t, res);
}

static void locked_write_granted(struct scsi_task *t)
{
	if (locked_write_go(t))
		t->done(t);
}

/* In place of blk_submit(): everything is prepared. */
static NOINLINE bool locked_write(struct scsi_task *t)
{
	struct blk_req *r = &t->blk;

	r->done = locked_write_done;
	t->walk.aborted = false;
	return scsi_range_lock(t, r->offset, r->offset + r->len, false, locked_write_granted) &&
	       locked_write_go(t);
}

/* ---- the transfer itself ------------------------------------------------------------------ */

/* How many entries of the initiator's buffer the first @len bytes touch; 0: it is shorter. */
static int entries_for(const struct scsi_task *t, uint64_t len)
{
	for (int i = 0; i < t->niov; i++) {
		if (len <= t->iov[i].iov_len)
			return i + 1;
		len -= t->iov[i].iov_len;
	}
	return 0;
}

/* If the buffer is larger than the transfer: engines must see no more than the transfer. */
static NOINLINE int cut_buffer(struct scsi_task *t, uint64_t len)
{
	struct iovec *iov = t->slice_iov;
	int n;

	if (iov_length(t->iov, t->niov) == len)
		return 0;
	n = entries_for(t, len);
	if (!n)
		return -EINVAL;
	if (n > (int)ARRAY_SIZE(t->slice_iov)) {
		t->walk.scratch_len = (uint32_t)n * sizeof(*iov);
		iov = t->scratch = scsi_scratch_get(t->lun, t->walk.scratch_len);
		if (!iov)
			return -ENOMEM;
	}
	t->blk.iov = iov;
	n = iov_slice(iov, n, t->iov, t->niov, 0, len);
	t->blk.niov = (uint16_t)n;
	return n < 0 ? n : 0;
}

/* It takes time, or it failed. */
static NOINLINE bool transfer_not_done(struct scsi_task *t, int res)
{
	if (res == -EINPROGRESS)
		return false;
	if (t->blk.op == BLK_WRITE)
		return counted_write_end(t, scsi_own_counts(t->lun), res);
	return transfer_end(t, BLK_READ, res);
}

ALWAYS_INLINE bool submit(struct scsi_task *t, uint8_t op)
{
	struct scsi_counts *n = NULL;
	int res;

	if (op == BLK_WRITE) {
		n = scsi_write_begin(t->lun);
		if (unlikely(!n))
			return locked_write(t);
	}
	res = blk_submit(t->queue, &t->blk);
	if (unlikely(res))
		return transfer_not_done(t, res);
	return op == BLK_WRITE ? counted_write_end(t, n, 0) : transfer_end(t, op, 0);
}

/* The buffer has several entries, or is larger than the transfer, which may be empty. */
static NOINLINE bool submit_list(struct scsi_task *t)
{
	int err;

	if (!t->blk.len)
		return scsi_good(t, 0);
	err = cut_buffer(t, t->blk.len);
	if (err)
		return err == -ENOMEM ? scsi_task_set_full(t) : scsi_fail(t, SENSE_CDB_FIELD);
	return submit(t, t->blk.op);
}

ALWAYS_INLINE bool transfer(struct scsi_task *t, struct scsi_cmd c, uint8_t op, uint8_t flags)
{
	uint64_t len = c.count << t->lun->shift;
	struct blk_req *r = &t->blk;

	r->op = op;
	r->flags = flags;
	r->niov = t->niov;
	r->iov = t->iov;
	r->offset = c.lba << t->lun->shift;
	r->len = len;
	r->done = op == BLK_WRITE ? write_done : read_done;
	r->start_ns = 0;
	t->scratch = NULL;
	t->transferred = (uint32_t)len;
	if (unlikely(t->niov != 1 || t->iov->iov_len != len))
		return submit_list(t);
	return submit(t, op);
}

bool scsi_read(struct scsi_task *t, struct scsi_cmd c)
{
	return transfer(t, c, BLK_READ, 0);
}

bool scsi_write(struct scsi_task *t, struct scsi_cmd c)
{
	return transfer(t, c, BLK_WRITE, 0);
}

static NOINLINE bool write_through(struct scsi_task *t, struct scsi_cmd c)
{
	if (scsi_flush_failed(t->lun))
		return scsi_fail(t, SENSE_TARGET_FAILURE);
	return transfer(t, c, BLK_WRITE, BLK_REQ_FUA);
}

bool scsi_write_fua(struct scsi_task *t, struct scsi_cmd c)
{
	return unlikely(t->cdb[1] & BYTE1_FUA) ? write_through(t, c) : scsi_write(t, c);
}

/* ---- flush ----------------------------------------------------------------------------- */

static bool flush_end(struct scsi_task *t, int res)
{
	struct scsi_lun *l = t->lun;
	uint32_t shard = scsi_shard();

	if (!res) {
		scsi_count(&l->counts[shard - 1].flushes, 1, shard);
		t->status = SCSI_GOOD;
		t->sense_len = 0;
		t->transferred = 0;
		return true;
	}
	if (res != -ECANCELED) { /* cancelled: nothing was tried, so nothing was lost */
		if (!__atomic_exchange_n(&l->flush_failed, 1, __ATOMIC_RELAXED))
			log_error("disk %s: flush failed (%s); writes may be lost, refusing all "
				  "further "
				  "flushes until the disk is reopened",
				  l->serial, strerror(-res));
	}
	return scsi_fail(t, scsi_sense_of_flush(res));
}

static void flush_done(struct blk_req *r, int res)
{
	struct scsi_task *t = container_of(r, struct scsi_task, blk);

	flush_end(t, res);
	t->done(t);
}

bool scsi_flush(struct scsi_task *t)
{
	struct blk_req *r = &t->blk;
	int res;

	if (t->lun->readonly)
		return scsi_good(t, 0);
	if (scsi_flush_failed(t->lun))
		return scsi_fail(t, SENSE_TARGET_FAILURE);
	*r = (struct blk_req){ .op = BLK_FLUSH, .done = flush_done };
	res = blk_submit(t->queue, r);
	return res == -EINPROGRESS ? false : flush_end(t, res);
}

/* The whole cache whatever the range, and never before it is done whatever IMMED says. */
bool scsi_sync_cache(struct scsi_task *t, struct scsi_cmd c)
{
	(void)c;
	return scsi_flush(t);
}
