/* SPDX-License-Identifier: MIT */
/*
 * UNMAP and WRITE SAME (spec: scsi-target, section 9): both become a walk over byte
 * extents, one bounded backend operation at a time.
 *
 * A walk wants one of three things for its range: deallocate, zero, or write a pattern.
 * What cannot be had is replaced by the next weaker one: the edges of an extent that
 * cover no whole allocation unit are zeroed instead of deallocated, and a backend that
 * can do neither gets zeroes written. Afterwards every block reads as promised (LBPRZ).
 */
#include <errno.h>
#include <sys/param.h>

#include "vsp/storvsp/scsi/scsi_int.h"

#define DISCARD_CHUNK (256ull << 20) /* where an abort can stop it; engines pace themselves */
#define PATTERN_MAX   (1u << 20)

struct extent {
	uint64_t pos, end; /* bytes */
};

/* ---- the walk ---------------------------------------------------------------------- */

static bool step(struct scsi_task *t, int res);

static void walk_start(struct scsi_task *t, uint8_t want)
{
	t->walk = (struct scsi_walk){ .step = step, .want = want };
	t->scratch = NULL;
}

/* Repeats @block over a buffer that serves this extent, and all others, piece by piece. */
static int make_pattern(struct scsi_task *t, const uint8_t *block)
{
	struct scsi_walk *w = &t->walk;
	uint32_t len = w->count ? PATTERN_MAX : (uint32_t)MIN(w->end - w->pos, PATTERN_MAX);
	uint32_t done = scsi_block_size(t->lun);
	uint8_t *p = scsi_walk_buffer(t, len);

	if (!p)
		return -ENOMEM;
	memcpy(p, block, done);
	for (; done < len; done += MIN(done, len - done))
		memcpy(p + done, p, MIN(done, len - done));
	return 0;
}

static bool lacks(const struct scsi_walk *w, uint8_t op)
{
	return w->cannot & 1u << op;
}

/* What to do next with how many bytes from w->pos on. */
static uint8_t next_piece(const struct scsi_task *t, uint64_t *len)
{
	const struct scsi_walk *w = &t->walk;
	uint64_t unit = t->lun->discard_granularity;
	uint64_t left = w->end - w->pos;
	uint8_t op = w->want;

	*len = MIN(left, DISCARD_CHUNK);
	if (op == BLK_DISCARD && lacks(w, op))
		op = BLK_ZERO;
	if (op == BLK_DISCARD) {
		uint64_t into = w->pos % unit;

		if (!into && left >= unit) {
			*len = MIN(left - left % unit,
				   MAX(DISCARD_CHUNK - DISCARD_CHUNK % unit, unit));
			return op;
		}
		*len = MIN(*len, unit - into);
		op = BLK_ZERO;
	}
	return op == BLK_ZERO && lacks(w, op) ? BLK_WRITE : op;
}

static bool next_extent(struct scsi_task *t)
{
	struct scsi_walk *w = &t->walk;
	const struct extent *e = t->scratch;

	if (w->pos < w->end)
		return true;
	if (w->next == w->count)
		return false;
	w->pos = e[w->next].pos;
	w->end = e[w->next++].end;
	return true;
}

/* Fills t->blk for the next piece. */
static int prepare_piece(struct scsi_task *t)
{
	static const uint8_t zeroes[4096];
	struct scsi_walk *w = &t->walk;
	uint64_t len;
	uint8_t op = next_piece(t, &len);

	t->blk = (struct blk_req){ .op = op, .offset = w->pos, .len = len };
	if (op != BLK_WRITE)
		return 0;
	if (!w->pattern && make_pattern(t, zeroes))
		return -ENOMEM;
	scsi_walk_io(t, BLK_WRITE, w->pattern, MIN(len, w->pattern_len));
	return 0;
}

/* Takes the result of the piece; a sense code ends the walk. */
static uint32_t take_result(struct scsi_task *t, int res)
{
	struct scsi_walk *w = &t->walk;

	if (res == -EOPNOTSUPP && t->blk.op != BLK_WRITE) {
		w->cannot |= (uint8_t)(1u << t->blk.op); /* same place again, other means */
		return 0;
	}
	if (res)
		return scsi_sense_of_write(res);
	w->pos += t->blk.len;
	return w->aborted && (w->pos < w->end || w->next < w->count) ? SENSE_ABORTED : 0;
}

static bool step(struct scsi_task *t, int res)
{
	uint32_t sense = take_result(t, res);

	if (sense)
		return scsi_walk_fail(t, sense);
	if (!next_extent(t))
		return scsi_walk_good(t, t->transferred);
	return prepare_piece(t) ? scsi_walk_full(t) : true;
}

/* ---- WRITE SAME ------------------------------------------------------------------------ */

#define BYTE1_UNMAP 0x08
#define BYTE1_NDOB  0x01 /* WRITE SAME(16) only */

uint32_t scsi_check_write_same(const struct scsi_task *t, struct scsi_cmd c)
{
	if ((t->cdb[1] & BYTE1_UNMAP) && (load_relaxed(&t->lun->rules) & OP_THIN))
		return SENSE_CDB_FIELD;
	return c.count ? 0 : SENSE_CDB_FIELD; /* WSNZ: 0 does not mean "to the end" */
}

static bool all_zero(const uint8_t *p, uint32_t len)
{
	return !p[0] && !memcmp(p, p + 1, len - 1);
}

bool scsi_write_same(struct scsi_task *t, struct scsi_cmd c)
{
	uint32_t size = scsi_block_size(t->lun);
	bool no_data = t->cdb[1] & BYTE1_NDOB;
	bool unmap = t->cdb[1] & BYTE1_UNMAP;
	uint8_t block[4096];
	bool zero;

	if (c.count > SCSI_MAX_WRITE_SAME_BLOCKS || (!no_data && t->data_len != size))
		return scsi_fail(t, SENSE_CDB_FIELD);
	if (!no_data && iov_to_buf(t->iov, t->niov, 0, block, size) != size)
		return scsi_fail(t, SENSE_CDB_FIELD);
	zero = no_data || all_zero(block, size);
	walk_start(t, !zero ? BLK_WRITE : unmap ? BLK_DISCARD : BLK_ZERO);
	t->walk.pos = c.lba << t->lun->shift;
	t->walk.end = (c.lba + c.count) << t->lun->shift;
	t->transferred = no_data ? 0 : size;
	if (!zero && make_pattern(t, block))
		return scsi_task_set_full(t);
	return scsi_walk_lock(t, t->walk.pos, t->walk.end, false);
}

/* ---- UNMAP -------------------------------------------------------------------------------- */

struct unmap_header {
	be16 data_len;	      /* of what follows this field */
	be16 descriptors_len; /* bytes */
	uint8_t reserved[4];
} PACKED;
WIRE_SIZE(struct unmap_header, 8);

struct unmap_descriptor {
	be64 lba;
	be32 count;
	uint8_t reserved[4];
} PACKED;
WIRE_SIZE(struct unmap_descriptor, 16);

struct unmap_list {
	struct unmap_header h;
	struct unmap_descriptor d[SCSI_MAX_UNMAP_EXTENTS];
} PACKED;

/* The header against the bytes that came; *@n descriptors follow it. Sense code or 0. */
static uint32_t check_header(const struct unmap_header *h, uint32_t list_len, uint32_t *n)
{
	uint32_t data = be16_get(h->data_len), descriptors = be16_get(h->descriptors_len);

	if (data + 2 > list_len || descriptors + sizeof(*h) > list_len)
		return SENSE_LIST_LENGTH;
	if (descriptors && data + 2 < descriptors + sizeof(*h))
		return SENSE_LIST_LENGTH;
	*n = descriptors / sizeof(struct unmap_descriptor);
	return *n > SCSI_MAX_UNMAP_EXTENTS ? SENSE_LIST_FIELD : 0;
}

/* All of them, before anything is done for the first. Counts the non-empty ones. */
static uint32_t check_descriptors(const struct scsi_lun *l, const struct unmap_descriptor *d,
				  uint32_t n, uint32_t *nonempty)
{
	uint64_t sum = 0, blocks = scsi_blocks(l);
	bool outside = false;

	*nonempty = 0;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t lba = be64_get(d[i].lba);
		uint32_t count = be32_get(d[i].count);

		outside |= lba > blocks || count > blocks - lba;
		sum += count;
		*nonempty += count != 0;
	}
	if (sum > SCSI_MAX_UNMAP_BLOCKS)
		return SENSE_LIST_FIELD;
	return outside ? SENSE_LBA_RANGE : 0;
}

/* One extent lives in the walk itself, more in private memory. */
static int take_extents(struct scsi_task *t, const struct unmap_descriptor *d, uint32_t n,
			uint32_t nonempty, struct extent *hull)
{
	uint8_t shift = t->lun->shift;
	struct extent one, *e = &one;

	if (nonempty > 1) {
		t->walk.scratch_len = nonempty * (uint32_t)sizeof(*e);
		e = t->scratch = scsi_scratch_get(t->lun, t->walk.scratch_len);
		if (!e)
			return -ENOMEM;
		t->walk.count = nonempty;
	}
	*hull = (struct extent){ UINT64_MAX, 0 };
	for (uint32_t i = 0, k = 0; i < n && k < nonempty; i++) {
		uint64_t lba = be64_get(d[i].lba);
		uint32_t count = be32_get(d[i].count);

		if (!count)
			continue;
		e[k] = (struct extent){ lba << shift, (lba + count) << shift };
		hull->pos = MIN(hull->pos, e[k].pos);
		hull->end = MAX(hull->end, e[k].end);
		k++;
	}
	if (nonempty == 1) {
		t->walk.pos = one.pos;
		t->walk.end = one.end;
	}
	return 0;
}

bool scsi_unmap(struct scsi_task *t, struct scsi_cmd c)
{
	struct unmap_list list;
	struct extent hull;
	uint32_t n, nonempty, sense;
	size_t len = MIN(c.count, sizeof(list));

	if (!c.count)
		return scsi_good(t, 0);
	if (c.count < sizeof(list.h) || iov_to_buf(t->iov, t->niov, 0, &list, len) != len)
		return scsi_fail(t, SENSE_LIST_LENGTH);
	sense = check_header(&list.h, c.count, &n);
	if (!sense)
		sense = check_descriptors(t->lun, list.d, n, &nonempty);
	if (sense)
		return scsi_fail(t, sense);
	walk_start(t, BLK_DISCARD);
	t->transferred = c.count;
	if (take_extents(t, list.d, n, nonempty, &hull))
		return scsi_task_set_full(t);
	if (!nonempty)
		return scsi_good(t, c.count);
	/* All between the first and the last: who waits for the rest does not wait long. */
	return scsi_walk_lock(t, hull.pos, hull.end, false);
}
