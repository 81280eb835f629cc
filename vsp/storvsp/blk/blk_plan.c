/* SPDX-License-Identifier: MIT */
/*
 * Cutting a request into calls. The common one is made whole, on the caller's list. The
 * rest goes piece by piece: after a short transfer, when the list is longer than the
 * request or than the kernel takes, where O_DIRECT's alignment does not allow the
 * caller's memory or range, and for clearing (spec: disk-backends, sections 7 and 9).
 */
#include "vsp/storvsp/blk/blk_file.h"

#include <errno.h>
#include <limits.h>

#include "base/iov.h"

/*
 * The documented rule, not what the device at hand tolerates: addresses and, for each
 * entry, lengths.
 */
static bool fits(const struct file_dev *f, const struct iovec *iov, int n)
{
	uintptr_t addr = 0;
	size_t len = 0;

	for (int i = 0; i < n; i++) {
		addr |= (uintptr_t)iov[i].iov_base;
		len |= iov[i].iov_len;
	}
	return !((addr & f->mem_mask) | (len & f->off_mask));
}

int file_plan_whole(const struct file_dev *f, const struct blk_req *req)
{
	uint64_t sum = iov_length(req->iov, req->niov);

	if (unlikely(sum < req->len))
		return -EINVAL;
	if (unlikely(sum > req->len || req->niov > IOV_MAX || req->len > FILE_CALL_MAX))
		return false;
	if (!f->direct)
		return true;
	return !((req->offset | req->len) & f->off_mask) && fits(f, req->iov, req->niov);
}

/* As much of the list from @offset on as fits into the slot and @max bytes. */
static uint32_t slice(struct file_slot *s, const struct blk_req *req, uint64_t offset, uint64_t max)
{
	uint64_t sum = 0;
	int n = 0;

	for (uint32_t i = 0; i < req->niov && n < FILE_SLOT_IOV && sum < max; i++) {
		const struct iovec *v = &req->iov[i];
		uint64_t len;

		if (offset >= v->iov_len) {
			offset -= v->iov_len;
			continue;
		}
		len = v->iov_len - offset < max - sum ? v->iov_len - offset : max - sum;
		s->iov[n].iov_base = (char *)v->iov_base + offset;
		s->iov[n++].iov_len = len;
		sum += len;
		offset = 0;
	}
	s->niov = n;
	return (uint32_t)sum;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* @len bytes at @at do not begin, or not end, where O_DIRECT could: one aligned window. */
static enum file_verdict plan_edge(struct file_queue *fq, struct blk_req *req, uint64_t at,
				   uint64_t len)
{
	uint32_t mask = file_queue_dev(fq)->off_mask;
	struct blk_priv *p = blk_priv(req);
	struct file_slot *s = p->slot;
	bool reading = req->op == BLK_READ;

	s->base = at & ~(uint64_t)mask;
	s->filled = 0;
	s->total = mask + 1;
	if (reading)
		s->total = (uint32_t)min_u64((at + len - s->base + mask) & ~(uint64_t)mask,
					     FILE_SLOT_BYTES);
	p->piece = (uint32_t)min_u64(len, s->base + s->total - at);
	p->step = reading ? FILE_BOUNCE : FILE_RMW_READ;
	blk_count(&fq->q.stats.bounced, 1);
	return FILE_GO;
}

static enum file_verdict plan_bounce(struct file_queue *fq, struct blk_req *req, uint64_t at,
				     uint64_t len)
{
	struct blk_priv *p = blk_priv(req);
	struct file_slot *s = p->slot;

	s->base = at;
	s->filled = 0;
	s->total = p->piece = (uint32_t)min_u64(len, FILE_SLOT_BYTES);
	p->step = FILE_BOUNCE;
	if (req->op == BLK_WRITE)
		iov_to_buf(req->iov, req->niov, p->pos, s->buf, s->total);
	blk_count(&fq->q.stats.bounced, 1);
	return FILE_GO;
}

static enum file_verdict plan_transfer(struct file_queue *fq, struct blk_req *req)
{
	const struct file_dev *f = file_queue_dev(fq);
	struct blk_priv *p = blk_priv(req);
	uint64_t at = req->offset + p->pos;
	uint64_t left = req->len - p->pos;
	uint64_t body = left & ~(uint64_t)f->off_mask;

	if ((at & f->off_mask) || !body)
		return plan_edge(fq, req, at, left);
	p->piece = slice(p->slot, req, p->pos, min_u64(body, FILE_CALL_MAX));
	if ((p->flags & FILE_F_BOUNCE) || !fits(f, p->slot->iov, p->slot->niov))
		return plan_bounce(fq, req, at, body);
	p->step = FILE_PIECE;
	return FILE_GO;
}

/* ---- clearing --------------------------------------------------------- */

/* The fallocate mode that does best what is asked; -1 when none works (any more). */
static int clear_mode(const struct file_dev *f, int op)
{
	int first = op == BLK_DISCARD ? FILE_MODE_PUNCH : FILE_MODE_ZERO;

	if (load_relaxed(&f->falloc_ok[first]))
		return first;
	return load_relaxed(&f->falloc_ok[!first]) ? !first : -1;
}

/* How many zeroes to write at @at before fallocate can be used (again). */
static uint64_t zeroes_here(const struct file_dev *f, int mode, uint64_t at, uint64_t left)
{
	uint64_t in = at & f->falloc_mask;

	if (mode >= 0 && in)
		return min_u64(left, f->falloc_mask + 1 - in);
	return min_u64(left, (uint64_t)FILE_ZERO_BYTES * FILE_ZERO_IOV);
}

static enum file_verdict plan_zeroes(struct file_queue *fq, struct blk_req *req, uint64_t at,
				     uint64_t n)
{
	const struct file_dev *f = file_queue_dev(fq);
	struct blk_priv *p = blk_priv(req);
	uint64_t body = n & ~(uint64_t)f->off_mask;

	if ((at & f->off_mask) || !body) {
		if (!p->slot && !file_slot_get(fq, req))
			return FILE_WAIT;
		return plan_edge(fq, req, at, n);
	}
	/* A list is whole buffers; what is left over is the next call's. */
	p->piece = (uint32_t)(body > FILE_ZERO_BYTES ? body - body % FILE_ZERO_BYTES : body);
	p->step = FILE_ZERO;
	return FILE_GO;
}

static enum file_verdict plan_clear(struct file_queue *fq, struct blk_req *req)
{
	const struct file_dev *f = file_queue_dev(fq);
	struct blk_priv *p = blk_priv(req);
	uint64_t at = req->offset + p->pos;
	uint64_t left = req->len - p->pos;
	uint64_t body = left & ~(uint64_t)f->falloc_mask;
	int mode = clear_mode(f, req->op);

	if (mode < 0 || (at & f->falloc_mask) || !body)
		return plan_zeroes(fq, req, at, zeroes_here(f, mode, at, left));
	p->mode = (uint8_t)mode;
	p->piece = (uint32_t)min_u64(body, FILE_FALLOC_PIECE);
	p->step = FILE_FALLOC;
	return FILE_GO;
}

enum file_verdict file_plan_next(struct file_queue *fq, struct blk_req *req)
{
	if (req->op >= BLK_DISCARD)
		return plan_clear(fq, req);
	if (!blk_priv(req)->slot && !file_slot_get(fq, req))
		return FILE_WAIT;
	return plan_transfer(fq, req);
}
