/* SPDX-License-Identifier: MIT */
/*
 * GET LBA STATUS (spec: scsi-target, section 9.3): the block engine tells run by run, runs in
 * the same state become one descriptor.
 */
#include <sys/param.h>

#include "vsp/storvsp/scsi/scsi_int.h"

#define EXTENTS_MAX 256u  /* more have to be asked for with another command */
#define QUERIES_MAX 4096u /* so that no answer takes forever, however small the runs are */
#define DEALLOCATED 0x01

struct lba_status {
	be32 len; /* of what follows this field */
	uint8_t reserved[4];
	struct lba_status_extent {
		be64 lba;
		be32 count;
		uint8_t state;
		uint8_t reserved[3];
	} PACKED e[];
} PACKED;
WIRE_SIZE(struct lba_status, 8);
WIRE_SIZE(struct lba_status_extent, 16);

static bool answer(struct scsi_task *t)
{
	struct scsi_walk *w = &t->walk;
	struct lba_status *s = w->pattern;
	uint32_t full = (uint32_t)(sizeof(*s) + w->next * sizeof(s->e[0]));
	uint32_t len = MIN(MIN(full, be32_at(t->cdb + 10)), t->data_len);

	s->len = be32_make(full - 4);
	return scsi_walk_good(t, (uint32_t)iov_from_buf(t->iov, t->niov, 0, s, len));
}

/* False: there is no room for another descriptor. */
static bool add_run(struct scsi_task *t, uint64_t lba, uint32_t count, uint8_t state)
{
	struct scsi_walk *w = &t->walk;
	struct lba_status_extent *e = ((struct lba_status *)w->pattern)->e;
	struct lba_status_extent *last = w->next ? &e[w->next - 1] : NULL;

	if (last && last->state == state && be32_get(last->count) + (uint64_t)count <= UINT32_MAX) {
		last->count = be32_make(be32_get(last->count) + count);
		return true;
	}
	if (w->next == w->count)
		return false;
	e[w->next++] = (struct lba_status_extent){ be64_make(lba), be32_make(count), state, { 0 } };
	return true;
}

static bool ask(struct scsi_task *t)
{
	uint8_t shift = t->lun->shift;

	scsi_walk_io(t, BLK_STATUS, NULL,
		     MIN(t->walk.end - t->walk.pos, UINT32_MAX * 1ull << shift));
	t->blk.niov = 0;
	return true;
}

static bool step(struct scsi_task *t, int res)
{
	struct scsi_walk *w = &t->walk;
	uint8_t shift = t->lun->shift;

	if (!t->blk.len)
		return ask(t);
	if (res)
		return scsi_walk_read_failed(t, res);
	if (!add_run(t, w->pos >> shift, (uint32_t)(t->blk.len >> shift),
		     t->blk.flags & BLK_REQ_HOLE ? DEALLOCATED : 0))
		return answer(t);
	w->pos += t->blk.len;
	if (w->aborted)
		return scsi_walk_fail(t, SENSE_ABORTED);
	return w->pos == w->end || ++w->queries == QUERIES_MAX ? answer(t) : ask(t);
}

/* Without provisioning everything is mapped. */
static bool all_mapped(struct scsi_task *t)
{
	const struct scsi_walk *w = &t->walk;
	uint8_t shift = t->lun->shift;

	add_run(t, w->pos >> shift, (uint32_t)MIN((w->end - w->pos) >> shift, UINT32_MAX), 0);
	return !answer(t);
}

bool scsi_get_lba_status(struct scsi_task *t, struct scsi_cmd c)
{
	uint64_t lba = be64_at(t->cdb + 2), blocks = scsi_blocks(t->lun);
	uint32_t room = (uint32_t)MIN(c.count, t->data_len);
	uint32_t fit = room < sizeof(struct lba_status) ? 0 : (room - 8) / 16, len;

	if (lba >= blocks)
		return scsi_fail(t, SENSE_LBA_RANGE);
	fit = MAX(1, MIN(fit, EXTENTS_MAX)); /* one is made even where it is cut off */
	len = (uint32_t)(sizeof(struct lba_status) + fit * sizeof(struct lba_status_extent));
	t->scratch = NULL;
	t->walk = (struct scsi_walk){ .step = step, .count = fit };
	t->walk.pos = lba << t->lun->shift;
	t->walk.end = blocks << t->lun->shift;
	if (!scsi_walk_buffer(t, len))
		return scsi_task_set_full(t);
	memset(t->walk.pattern, 0, len);
	return t->lun->thin ? scsi_walk_run(t) : all_mapped(t);
}
