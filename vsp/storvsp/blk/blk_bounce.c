/* SPDX-License-Identifier: MIT */
/*
 * Slots: what a request needs that can not be done in one call on the caller's own list;
 * a short iovec array, and with O_DIRECT an aligned buffer. A queue has a fixed number;
 * when all are taken the request waits, the loop does not (spec: disk-backends,
 * section 9).
 */
#include "vsp/storvsp/blk/blk_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/iov.h"

int file_slots_init(struct file_queue *fq)
{
	fq->slots = calloc(FILE_SLOTS, sizeof(*fq->slots));
	if (!fq->slots)
		return -ENOMEM;
	if (file_queue_dev(fq)->direct) {
		/* Costs nothing until it is touched. */
		void *m = mmap(NULL, (size_t)FILE_SLOTS * FILE_SLOT_BYTES, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (m == MAP_FAILED) {
			free(fq->slots);
			return -ENOMEM;
		}
		madvise(m, (size_t)FILE_SLOTS * FILE_SLOT_BYTES, MADV_DONTDUMP); /* guests' data */
		fq->slot_memory = m;
	}
	for (int i = FILE_SLOTS - 1; i >= 0; i--) {
		if (fq->slot_memory)
			fq->slots[i].buf = fq->slot_memory + (size_t)i * FILE_SLOT_BYTES;
		fq->slots[i].next = fq->slot_free;
		fq->slot_free = &fq->slots[i];
	}
	return 0;
}

void file_slots_fini(struct file_queue *fq)
{
	if (fq->slot_memory)
		munmap(fq->slot_memory, (size_t)FILE_SLOTS * FILE_SLOT_BYTES);
	free(fq->slots);
}

bool file_slot_get(struct file_queue *fq, struct blk_req *req)
{
	struct file_slot *s = fq->slot_free;

	if (!s) {
		blk_list_push(&fq->slot_wait, req);
		return false;
	}
	fq->slot_free = s->next;
	blk_priv(req)->slot = s;
	return true;
}

void file_slot_put(struct file_queue *fq, struct blk_req *req)
{
	struct file_slot *s = blk_priv(req)->slot;
	struct blk_req *next = blk_list_pop(&fq->slot_wait);

	blk_priv(req)->slot = NULL;
	if (next) {
		blk_priv(next)->slot = s;
		file_ready(fq, next);
		return;
	}
	s->next = fq->slot_free;
	fq->slot_free = s;
}

/* The window is read: patch it with what the request writes, and write it back. */
static enum file_verdict patch(struct blk_req *req)
{
	struct blk_priv *p = blk_priv(req);
	struct file_slot *s = p->slot;
	char *at = s->buf + (req->offset + p->pos - s->base);

	if (req->op == BLK_WRITE)
		iov_to_buf(req->iov, req->niov, p->pos, at, p->piece);
	else
		memset(at, 0, p->piece);
	s->filled = 0;
	p->step = FILE_BOUNCE;
	return FILE_GO;
}

enum file_verdict file_bounce_moved(struct file_queue *fq, struct blk_req *req, int32_t res,
				    bool eof)
{
	struct blk_priv *p = blk_priv(req);
	struct file_slot *s = p->slot;

	(void)fq;
	s->filled += (uint32_t)res;
	if (eof) {
		memset(s->buf + s->filled, 0, s->total - s->filled);
		s->filled = s->total;
	}
	if (s->filled < s->total)
		return FILE_GO;
	if (p->step == FILE_RMW_READ)
		return patch(req);
	if (req->op == BLK_READ)
		iov_from_buf(req->iov, req->niov, p->pos, s->buf + (req->offset + p->pos - s->base),
			     p->piece);
	p->pos += p->piece;
	return FILE_DONE;
}
