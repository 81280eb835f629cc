/* SPDX-License-Identifier: MIT */
/*
 * COMPARE AND WRITE, ORWRITE (spec: scsi-target, section 7): a read and a write with nothing
 * in between, see scsi_lock.c. The initiator's data is copied once, before the read.
 */
#include <sys/param.h>

#include "vsp/storvsp/scsi/scsi_int.h"

#define PIECE_MAX (256u << 10)
#define BYTE1_FUA 0x08

enum { PHASE_START, PHASE_READ, PHASE_WRITE };

static void prepare(struct scsi_task *t, struct scsi_cmd c, bool (*step)(struct scsi_task *, int))
{
	t->scratch = NULL;
	t->walk = (struct scsi_walk){ .step = step, .fua = t->cdb[1] & BYTE1_FUA };
	t->walk.pos = t->walk.begin = c.lba << t->lun->shift;
	t->walk.end = t->walk.begin + ((uint64_t)c.count << t->lun->shift);
}

static bool write_back(struct scsi_task *t, void *buf, uint64_t len)
{
	t->walk.phase = PHASE_WRITE;
	scsi_walk_io(t, BLK_WRITE, buf, len);
	t->blk.flags = t->walk.fua ? BLK_REQ_FUA : 0;
	return true;
}

/* ---- COMPARE AND WRITE ---------------------------------------------------------------- */

/* Bytes 10..12 would be the rest of a longer count. */
uint32_t scsi_check_compare_and_write(const struct scsi_task *t, struct scsi_cmd c)
{
	(void)t;
	return c.count > SCSI_MAX_COMPARE_BLOCKS ? SENSE_CDB_FIELD : 0;
}

/* The buffer: as it should be, as it shall become, as it is. */
static bool compare_step(struct scsi_task *t, int res)
{
	struct scsi_walk *w = &t->walk;
	uint32_t len = (uint32_t)(w->end - w->pos), at;
	uint8_t *p = w->pattern;

	switch (w->phase) {
	case PHASE_START:
		w->phase = PHASE_READ;
		return scsi_walk_io(t, BLK_READ, p + 2 * len, len);
	case PHASE_READ:
		if (res)
			return scsi_walk_read_failed(t, res);
		at = scsi_first_difference(p, p + 2 * len, len);
		if (at < len)
			return scsi_walk_fail_at(t, SENSE_MISCOMPARE, at);
		if (w->aborted)
			return scsi_walk_fail(t, SENSE_ABORTED);
		return write_back(t, p + len, len);
	default:
		return res ? scsi_walk_fail(t, scsi_write_sense(t, res))
			   : scsi_walk_good(t, 2 * len);
	}
}

bool scsi_compare_and_write(struct scsi_task *t, struct scsi_cmd c)
{
	uint32_t len = (uint32_t)(c.count << t->lun->shift);

	/* Before the count of 0: 256 blocks, cut down to the byte, have not been written. */
	if (t->data_len != 2 * len)
		return scsi_fail(t, SENSE_CDB_FIELD);
	if (!c.count)
		return scsi_good(t, 0);
	if ((t->cdb[1] & BYTE1_FUA) && scsi_flush_failed(t->lun))
		return scsi_fail(t, SENSE_TARGET_FAILURE);
	prepare(t, c, compare_step);
	if (!scsi_walk_buffer(t, 3 * len))
		return scsi_task_set_full(t);
	if (iov_to_buf(t->iov, t->niov, 0, t->walk.pattern, 2 * len) != 2 * len)
		return !scsi_walk_fail(t, SENSE_CDB_FIELD);
	return scsi_walk_lock(t, t->walk.pos, t->walk.end, true);
}

/* ---- ORWRITE ------------------------------------------------------------------------------- */

static uint32_t or_piece(const struct scsi_task *t)
{
	return (uint32_t)MIN(t->walk.end - t->walk.pos, t->walk.pattern_len / 2);
}

/* The buffer: the piece of the medium, the initiator's. */
static bool or_start(struct scsi_task *t)
{
	struct scsi_walk *w = &t->walk;
	uint32_t len = or_piece(t);
	uint8_t *data = (uint8_t *)w->pattern + w->pattern_len / 2;

	if (iov_to_buf(t->iov, t->niov, w->pos - w->begin, data, len) != len)
		return scsi_walk_fail(t, SENSE_CDB_FIELD);
	w->phase = PHASE_READ;
	return scsi_walk_io(t, BLK_READ, w->pattern, len);
}

static bool or_and_write(struct scsi_task *t)
{
	struct scsi_walk *w = &t->walk;
	uint32_t len = or_piece(t);
	uint8_t *p = w->pattern, *data = p + w->pattern_len / 2;

	for (uint32_t i = 0; i < len; i++)
		p[i] |= data[i];
	return write_back(t, p, len);
}

static bool or_step(struct scsi_task *t, int res)
{
	struct scsi_walk *w = &t->walk;

	switch (w->phase) {
	case PHASE_START:
		return or_start(t);
	case PHASE_READ:
		return res ? scsi_walk_read_failed(t, res) : or_and_write(t);
	default:
		if (res)
			return scsi_walk_fail(t, scsi_write_sense(t, res));
		w->pos += t->blk.len;
		if (w->pos == w->end)
			return scsi_walk_good(t, t->transferred);
		return w->aborted ? scsi_walk_fail(t, SENSE_ABORTED) : or_start(t);
	}
}

bool scsi_orwrite(struct scsi_task *t, struct scsi_cmd c)
{
	uint64_t len = (uint64_t)c.count << t->lun->shift;

	if (!c.count)
		return scsi_good(t, 0);
	if (iov_length(t->iov, t->niov) < len) /* known before anything is written */
		return scsi_fail(t, SENSE_CDB_FIELD);
	if ((t->cdb[1] & BYTE1_FUA) && scsi_flush_failed(t->lun))
		return scsi_fail(t, SENSE_TARGET_FAILURE);
	prepare(t, c, or_step);
	t->transferred = (uint32_t)len;
	if (!scsi_walk_buffer(t, 2 * (uint32_t)MIN(len, PIECE_MAX)))
		return scsi_task_set_full(t);
	return scsi_walk_lock(t, t->walk.pos, t->walk.end, true);
}
