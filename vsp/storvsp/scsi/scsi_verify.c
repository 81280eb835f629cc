/* SPDX-License-Identifier: MIT */
/*
 * VERIFY and WRITE AND VERIFY (spec: scsi-target, section 7). What is compared, and what is
 * written before it is compared, is a private copy: the initiator may change its memory
 * meanwhile, and a miscompare has to be the medium's.
 */
#include <sys/param.h>

#include "vsp/storvsp/scsi/scsi_int.h"

#define PIECE_MAX (256u << 10)

#define BYTCHK(t) ((t)->cdb[1] >> 1 & 3)
enum { BYTCHK_NONE, BYTCHK_DATA, BYTCHK_RESERVED, BYTCHK_BLOCK };

enum { PHASE_START, PHASE_WRITE, PHASE_READ };

uint32_t scsi_check_verify(const struct scsi_task *t, struct scsi_cmd c)
{
	(void)c;
	return BYTCHK(t) == BYTCHK_RESERVED ? SENSE_CDB_FIELD : 0;
}

/* There one block for all makes no sense: WRITE SAME exists. */
uint32_t scsi_check_write_verify(const struct scsi_task *t, struct scsi_cmd c)
{
	(void)c;
	return BYTCHK(t) > BYTCHK_DATA ? SENSE_CDB_FIELD : 0;
}

uint32_t scsi_first_difference(const uint8_t *a, const uint8_t *b, uint32_t len)
{
	uint32_t i = 0;

	if (!memcmp(a, b, len))
		return len;
	while (a[i] == b[i])
		i++;
	return i;
}

/* The buffer is the piece as it should be, then as it was read. */
static uint8_t *as_read(const struct scsi_task *t)
{
	return (uint8_t *)t->walk.pattern + t->walk.pattern_len / 2;
}

static uint32_t piece_len(const struct scsi_task *t)
{
	return (uint32_t)MIN(t->walk.end - t->walk.pos, t->walk.pattern_len / 2);
}

static bool read_back(struct scsi_task *t)
{
	t->walk.phase = PHASE_READ;
	return scsi_walk_io(t, BLK_READ, as_read(t), piece_len(t));
}

/* Fetches what belongs into the piece and starts its first operation. */
static bool start_piece(struct scsi_task *t)
{
	struct scsi_walk *w = &t->walk;
	uint64_t at = w->pos - w->begin;
	uint32_t len = piece_len(t);
	bool writes = w->want == BLK_WRITE;

	if ((writes || BYTCHK(t) == BYTCHK_DATA) &&
	    iov_to_buf(t->iov, t->niov, at, w->pattern, len) != len)
		return scsi_walk_fail(t, SENSE_CDB_FIELD);
	if (!writes)
		return read_back(t);
	w->phase = PHASE_WRITE;
	scsi_walk_io(t, BLK_WRITE, w->pattern, len);
	t->blk.flags = BLK_REQ_FUA; /* it is the medium that shall be verified */
	return true;
}

/* The piece was read: the offset in the initiator's data of what differs, or no_difference. */
#define NO_DIFFERENCE UINT64_MAX
static uint64_t compare_piece(const struct scsi_task *t)
{
	const struct scsi_walk *w = &t->walk;
	uint32_t len = piece_len(t), at;

	if (BYTCHK(t) == BYTCHK_NONE)
		return NO_DIFFERENCE;
	at = scsi_first_difference(w->pattern, as_read(t), len);
	if (at == len)
		return NO_DIFFERENCE;
	return BYTCHK(t) == BYTCHK_BLOCK ? at % scsi_block_size(t->lun) : w->pos - w->begin + at;
}

static bool step(struct scsi_task *t, int res)
{
	struct scsi_walk *w = &t->walk;
	uint64_t differs;

	if (w->phase == PHASE_WRITE)
		return res ? scsi_walk_fail(t, scsi_write_sense(t, res)) : read_back(t);
	if (w->phase == PHASE_READ) {
		if (res)
			return scsi_walk_read_failed(t, res);
		differs = compare_piece(t);
		if (differs != NO_DIFFERENCE)
			return scsi_walk_fail_at(t, SENSE_MISCOMPARE, differs);
		w->pos += piece_len(t);
		if (w->pos == w->end)
			return scsi_walk_good(t, t->transferred);
		if (w->aborted)
			return scsi_walk_fail(t, SENSE_ABORTED);
	}
	return start_piece(t);
}

/* BYTCHK 11: the one block, repeated. */
static bool repeat_block(struct scsi_task *t)
{
	uint32_t size = scsi_block_size(t->lun), half = t->walk.pattern_len / 2;
	uint8_t *p = t->walk.pattern;

	if (iov_to_buf(t->iov, t->niov, 0, p, size) != size)
		return false;
	for (uint32_t at = size; at < half; at += size)
		memcpy(p + at, p, size);
	return true;
}

/* Bytes of the initiator's buffer that are used: all blocks', one block's, none. */
static uint64_t data_needed(const struct scsi_task *t, struct scsi_cmd c, uint8_t want)
{
	if (want == BLK_WRITE || BYTCHK(t) == BYTCHK_DATA)
		return (uint64_t)c.count << t->lun->shift;
	return BYTCHK(t) == BYTCHK_BLOCK ? scsi_block_size(t->lun) : 0;
}

static bool prepare(struct scsi_task *t, struct scsi_cmd c, uint8_t want)
{
	uint64_t len = (uint64_t)c.count << t->lun->shift;

	t->scratch = NULL;
	t->walk = (struct scsi_walk){ .step = step, .want = want };
	t->walk.pos = t->walk.begin = c.lba << t->lun->shift;
	t->walk.end = t->walk.begin + len;
	t->transferred = (uint32_t)data_needed(t, c, want);
	return scsi_walk_buffer(t, 2 * (uint32_t)MIN(len, PIECE_MAX));
}

bool scsi_verify(struct scsi_task *t, struct scsi_cmd c)
{
	uint64_t need = data_needed(t, c, BLK_READ);

	if (!c.count)
		return scsi_good(t, 0);
	if (t->data_len < need || (BYTCHK(t) == BYTCHK_DATA && c.count > t->lun->max_blocks))
		return scsi_fail(t, SENSE_CDB_FIELD);
	if (!prepare(t, c, BLK_READ))
		return scsi_task_set_full(t);
	if (BYTCHK(t) == BYTCHK_BLOCK && !repeat_block(t))
		return !scsi_walk_fail(t, SENSE_CDB_FIELD);
	return scsi_walk_run(t);
}

/* A list shorter than its length must be found out before anything is written. */
bool scsi_write_verify(struct scsi_task *t, struct scsi_cmd c)
{
	if (!c.count)
		return scsi_good(t, 0);
	if (iov_length(t->iov, t->niov) < (uint64_t)c.count << t->lun->shift)
		return scsi_fail(t, SENSE_CDB_FIELD);
	if (scsi_flush_failed(t->lun))
		return scsi_fail(t, SENSE_TARGET_FAILURE);
	if (!prepare(t, c, BLK_WRITE))
		return scsi_task_set_full(t);
	return scsi_walk_lock(t, t->walk.pos, t->walk.end, false);
}
