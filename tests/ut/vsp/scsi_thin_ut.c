/* SPDX-License-Identifier: MIT */
/*
 * UNMAP and WRITE SAME: the tables of spec: scsi-target, section 9, row by row, and cases
 * S18 and S19.
 */
#include "tests/ut/vsp/scsi_rig.h"

static struct rig *r;

#define BLOCKS 131072u
#define UNIT   512u /* blocks of an allocation unit */
#define MIB    (1u << 20)

static void setup(void)
{
	r = rig_new();
	r->dev->info.discard_granularity = UNIT * 512;
	rig_reattach(r);
	memset(r->dev->ram, 0x77, 8 * UNIT * 512);
}

static void teardown(void)
{
	rig_free(r);
}

static const struct fake_blk_op *op(uint32_t n)
{
	ck_assert_uint_lt(n, r->dev->n_log);
	return &r->dev->log[n];
}

static void expect_op(uint32_t n, uint8_t what, uint64_t lba, uint64_t blocks)
{
	ck_assert_uint_eq(op(n)->op, what);
	ck_assert_uint_eq(op(n)->offset, lba * 512);
	ck_assert_uint_eq(op(n)->len, blocks * 512);
}

/* Blocks [from, to) and their neighbours are not zero; of a long range only the ends. */
static void mark(uint64_t from, uint64_t to)
{
	uint64_t first = from ? from - 1 : 0, last = to < BLOCKS ? to + 1 : BLOCKS;
	uint64_t n = last - first < 8 * UNIT ? last - first : 8 * UNIT;

	memset(r->dev->ram + first * 512, 0x77, n * 512);
	memset(r->dev->ram + (last - n) * 512, 0x77, n * 512);
}

/* Blocks [from, to) hold @byte, and their neighbours what they held before. */
static void expect_blocks(uint64_t from, uint64_t to, uint8_t byte)
{
	const uint8_t *ram = r->dev->ram;

	ck_assert(all_are(ram + from * 512, (to - from) * 512, byte));
	if (from)
		ck_assert_uint_eq(ram[from * 512 - 1], 0x77);
	if (to < BLOCKS)
		ck_assert_uint_eq(ram[to * 512], 0x77);
}

/* ---- UNMAP lists ----------------------------------------------------------------------- */

struct extent_of_list {
	uint64_t lba;
	uint32_t count;
};

static uint32_t put_list(uint32_t n, const struct extent_of_list *e)
{
	memset(r->data, 0, 8 + 16 * n);
	be16_put(r->data, (uint16_t)(6 + 16 * n));
	be16_put(r->data + 2, (uint16_t)(16 * n));
	for (uint32_t i = 0; i < n; i++) {
		be64_put(r->data + 8 + 16 * i, e[i].lba);
		be32_put(r->data + 16 + 16 * i, e[i].count);
	}
	return 8 + 16 * n;
}

static uint32_t unmap(uint32_t n, const struct extent_of_list *e)
{
	uint32_t len = put_list(n, e);

	rig_send(r, 0, CDB(UNMAP10(len)), SCSI_DIR_OUT, len);
	if (r->pending)
		fake_blk_run(r->q);
	if (!rig_result(r))
		ck_assert_uint_eq(r->task.transferred, len);
	return rig_result(r);
}

#define UNMAP(...)                                                                                 \
	unmap(sizeof((struct extent_of_list[]){ __VA_ARGS__ }) / sizeof(struct extent_of_list),    \
	      (struct extent_of_list[]){ __VA_ARGS__ })

START_TEST(unmap_golden)
{
	static const uint8_t list[] = { 0x00, 0x16, 0x00, 0x10, 0, 0, 0,    0, 0, 0, 0, 0,
					0,    0,    0x10, 0,	0, 0, 0x20, 0, 0, 0, 0, 0 };

	mark(4096, 4096 + 8192);
	memcpy(r->data, list, sizeof(list));
	ck_assert_uint_eq(OUT(r, 24, 0x42, 0, 0, 0, 0, 0, 0, 0, 0x18, 0), 0);
	ck_assert_uint_eq(r->dev->n_log, 1);
	expect_op(0, BLK_DISCARD, 4096, 8192);
	expect_blocks(4096, 4096 + 8192, 0);
}
END_TEST

static const struct edge {
	uint64_t lba;
	uint32_t count;
	struct {
		uint8_t op;
		uint64_t lba;
		uint64_t count;
	} want[4];
	uint32_t n;
} edges[] = {
	{ 0, UNIT, { { BLK_DISCARD, 0, UNIT } }, 1 },
	{ 0, UNIT - 1, { { BLK_ZERO, 0, UNIT - 1 } }, 1 },
	{ 1, UNIT - 1, { { BLK_ZERO, 1, UNIT - 1 } }, 1 },
	{ 1, 1, { { BLK_ZERO, 1, 1 } }, 1 },
	{ 1, 2 * UNIT - 2, { { BLK_ZERO, 1, UNIT - 1 }, { BLK_ZERO, UNIT, UNIT - 1 } }, 2 },
	{ 1,
	  2 * UNIT,
	  { { BLK_ZERO, 1, UNIT - 1 }, { BLK_DISCARD, UNIT, UNIT }, { BLK_ZERO, 2 * UNIT, 1 } },
	  3 },
	{ 0, UNIT + 1, { { BLK_DISCARD, 0, UNIT }, { BLK_ZERO, UNIT, 1 } }, 2 },
	/* what fstrim of a file system with 1 KiB blocks sends */
	{ 0x3120,
	  0xee2,
	  { { BLK_ZERO, 0x3120, 0xe0 }, { BLK_DISCARD, 0x3200, 0xe00 }, { BLK_ZERO, 0x4000, 2 } },
	  3 },
	{ BLOCKS - 1, 1, { { BLK_ZERO, BLOCKS - 1, 1 } }, 1 },
	{ 0, BLOCKS, { { BLK_DISCARD, 0, BLOCKS } }, 1 },
};

START_TEST(unmap_edges_are_zeroed)
{
	const struct edge *e = &edges[_i / 2];

	mark(e->lba, e->lba + e->count);
	r->dev->delayed = _i & 1;
	ck_assert_uint_eq(UNMAP({ e->lba, e->count }), 0);
	ck_assert_uint_eq(r->dev->n_log, e->n);
	for (uint32_t i = 0; i < e->n; i++)
		expect_op(i, e->want[i].op, e->want[i].lba, e->want[i].count);
	expect_blocks(e->lba, e->lba + e->count, 0);
	ck_assert_uint_eq(r->finished, _i & 1);
}
END_TEST

START_TEST(unmap_many_extents)
{
	r->dev->delayed = _i;
	/* overlapping, empty, unordered */
	ck_assert_uint_eq(UNMAP({ 6 * UNIT, UNIT }, { 5, 0 }, { 2 * UNIT, 2 * UNIT }, { BLOCKS, 0 },
				{ 3 * UNIT, 2 * UNIT }, { 7 * UNIT + 1, 2 }),
			  0);
	ck_assert_uint_eq(r->dev->n_log, 4);
	expect_blocks(2 * UNIT, 5 * UNIT, 0);
	expect_blocks(6 * UNIT, 7 * UNIT, 0);
	expect_blocks(7 * UNIT + 1, 7 * UNIT + 3, 0);
}
END_TEST

START_TEST(unmap_most_extents)
{
	struct extent_of_list e[257];

	for (uint32_t i = 0; i < 257; i++)
		e[i] = (struct extent_of_list){ i * 2, 1 };
	ck_assert_uint_eq(unmap(257, e), SENSE_LIST_FIELD);
	ck_assert_uint_eq(r->dev->n_log, 0);
	ck_assert_uint_eq(unmap(256, e), 0);
	ck_assert_uint_eq(r->dev->n_log, 256);
	for (uint32_t i = 0; i < 512; i++)
		ck_assert_uint_eq(r->dev->ram[i * 512], i & 1 ? 0x77 : 0);
}
END_TEST

START_TEST(unmap_nothing)
{
	ck_assert_uint_eq(OUT(r, 0, UNMAP10(0)), 0);
	ck_assert_uint_eq(unmap(0, NULL), 0);
	ck_assert_uint_eq(UNMAP({ 0, 0 }), 0);
	ck_assert_uint_eq(UNMAP({ BLOCKS, 0 }), 0);
	ck_assert_uint_eq(UNMAP({ BLOCKS - 7, 0 }, { 3, 0 }), 0);
	ck_assert_uint_eq(r->dev->n_log, 0);
}
END_TEST

START_TEST(S19_ranges_are_checked_before_anything_is_done)
{
	static const struct extent_of_list bad[] = {
		{ BLOCKS, 1 },	       { BLOCKS - 1, 2 }, { BLOCKS + 1, 0 },
		{ UINT64_MAX, 1 },     { UINT64_MAX, 0 }, { 1ull << 63, 8 },
		{ UINT64_MAX - 7, 8 }, { 1ull << 55, 1 }, { (1ull << 32) + 1, 1 },
		{ 0, BLOCKS + 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_uint_eq(UNMAP({ 0, UNIT }, bad[i]), SENSE_LBA_RANGE);
		ck_assert_uint_eq(UNMAP(bad[i], { 0, UNIT }), SENSE_LBA_RANGE);
	}
	ck_assert_uint_eq(r->dev->n_log, 0);
}
END_TEST

START_TEST(S19_sum_of_blocks)
{
	fake_blk_resize(r->dev, 1ull << 40, 512);
	rig_reattach(r);
	ck_assert_uint_eq(UNMAP({ 0, 0x100000 }), 0);
	ck_assert_uint_eq(UNMAP({ 0, 0x100001 }), SENSE_LIST_FIELD);
	ck_assert_uint_eq(UNMAP({ 0, 0x80000 }, { 0, 0x80000 }), 0);
	ck_assert_uint_eq(UNMAP({ 0, 0x80000 }, { 0, 0x80001 }), SENSE_LIST_FIELD);
	ck_assert_uint_eq(UNMAP({ 0, UINT32_MAX }, { 0, UINT32_MAX }), SENSE_LIST_FIELD);
	ck_assert_uint_eq(UNMAP({ 0, UINT32_MAX }, { 0, 1 }), SENSE_LIST_FIELD); /* no 32-bit sum */
}
END_TEST

static const struct lie {
	const char *why;
	uint32_t list_len, data_len, extent_len, want;
} lies[] = {
	{ "one byte", 1, 22, 16, SENSE_LIST_LENGTH },
	{ "seven bytes", 7, 22, 16, SENSE_LIST_LENGTH },
	{ "header only, header says so", 8, 6, 0, 0 },
	{ "header only, data length 0", 8, 0, 0, 0 },
	{ "header only, but 16 bytes promised", 8, 22, 16, SENSE_LIST_LENGTH },
	{ "header only, extents 16", 8, 6, 16, SENSE_LIST_LENGTH },
	{ "data length beyond the list", 24, 23, 16, SENSE_LIST_LENGTH },
	{ "data length FFFF", 24, 0xffff, 16, SENSE_LIST_LENGTH },
	{ "extent length beyond the list", 24, 22, 17, SENSE_LIST_LENGTH },
	{ "extent length FFFF", 24, 22, 0xffff, SENSE_LIST_LENGTH },
	{ "extent length beyond data length", 24, 6, 16, SENSE_LIST_LENGTH },
	{ "data length 0 with extents", 24, 0, 16, SENSE_LIST_LENGTH },
	{ "extent length is no multiple: remainder ignored", 24, 22, 15, 0 },
	{ "list longer than what it says", 40, 22, 16, 0 },
	{ "extents 0 in a long list", 24, 22, 0, 0 },
	{ "right", 24, 22, 16, 0 },
};

START_TEST(S19_lengths_lie)
{
	const struct lie *l = &lies[_i];
	uint32_t blocks = l->want || l->extent_len < 16 ? 0 : 1;

	put_list(2, (struct extent_of_list[]){ { 0, UNIT }, { UNIT, UNIT } });
	be16_put(r->data, (uint16_t)l->data_len);
	be16_put(r->data + 2, (uint16_t)l->extent_len);
	rig_send(r, 0, CDB(UNMAP10(l->list_len)), SCSI_DIR_OUT, l->list_len);
	ck_assert_msg(rig_result(r) == l->want, "%s: %06x", l->why, rig_result(r));
	ck_assert_uint_eq(r->dev->n_log, blocks);
	/* The buffer is shorter than the CDB says. */
	rig_send(r, 0, CDB(UNMAP10(l->list_len)), SCSI_DIR_OUT, l->list_len - 1);
	ck_assert_uint_eq(rig_result(r), SENSE_LIST_LENGTH);
}
END_TEST

START_TEST(S18_unmap_anchor)
{
	uint32_t len = put_list(1, &(struct extent_of_list){ 0, UNIT });

	ck_assert_uint_eq(OUT(r, len, 0x42, 1, Z4, 0, 0, 24, 0), SENSE_CDB_FIELD);
	ck_assert_uint_eq(r->dev->n_log, 0);
}
END_TEST

START_TEST(unmap_list_is_used_as_it_was)
{
	r->dev->delayed = true;
	put_list(2, (struct extent_of_list[]){ { 0, UNIT }, { UNIT, UNIT } });
	rig_send(r, 0, CDB(UNMAP10(40)), SCSI_DIR_OUT, 40);
	ck_assert(r->pending);
	memset(r->data, 0xff, 40); /* the guest rewrites it meanwhile */
	fake_blk_run(r->q);
	ck_assert_uint_eq(rig_result(r), 0);
	expect_blocks(0, 2 * UNIT, 0);
}
END_TEST

/* ---- backends that cannot ----------------------------------------------------------------------
 */

START_TEST(no_discard_zeroes_instead)
{
	r->dev->error[BLK_DISCARD] = -EOPNOTSUPP;
	r->dev->delayed = _i;
	ck_assert_uint_eq(UNMAP({ UNIT, 2 * UNIT }, { 5 * UNIT, UNIT }), 0);
	ck_assert_uint_eq(r->dev->n_log, 3); /* asked once per command */
	expect_op(1, BLK_ZERO, UNIT, 2 * UNIT);
	expect_op(2, BLK_ZERO, 5 * UNIT, UNIT);
	expect_blocks(UNIT, 3 * UNIT, 0);
}
END_TEST

START_TEST(neither_discard_nor_zero_writes_zeroes)
{
	r->dev->error[BLK_DISCARD] = -EOPNOTSUPP;
	r->dev->error[BLK_ZERO] = -EOPNOTSUPP;
	r->dev->delayed = _i;
	mark(UNIT, 9 * UNIT);
	ck_assert_uint_eq(UNMAP({ UNIT, 8 * UNIT }, { 7, 1 }), 0);
	expect_blocks(UNIT, 9 * UNIT, 0);
	expect_blocks(7, 8, 0);
	expect_op(2, BLK_WRITE, UNIT, 2048);
	expect_op(r->dev->n_log - 1, BLK_WRITE, 7, 1);
	ck_assert_uint_eq(r->dev->n_log, 2 + 2 + 1);
}
END_TEST

START_TEST(edges_only_need_zero)
{
	r->dev->error[BLK_ZERO] = -EOPNOTSUPP;
	ck_assert_uint_eq(UNMAP({ 1, 3 * UNIT }), 0);
	expect_op(1, BLK_WRITE, 1, UNIT - 1);
	expect_op(2, BLK_DISCARD, UNIT, 2 * UNIT); /* still deallocated where possible */
	expect_op(3, BLK_WRITE, 3 * UNIT, 1);
	expect_blocks(1, 3 * UNIT + 1, 0);
}
END_TEST

START_TEST(unmap_error_is_reported)
{
	r->dev->delayed = _i;
	r->dev->error[BLK_DISCARD] = -EIO;
	r->dev->error_after = 1;
	ck_assert_uint_eq(UNMAP({ 0, UNIT }, { UNIT, UNIT }, { 2 * UNIT, UNIT }),
			  SENSE_WRITE_ERROR);
	ck_assert_uint_eq(r->dev->n_log, 2); /* nothing after the failure */
	r->dev->error[BLK_DISCARD] = 0;
	r->dev->error[BLK_ZERO] = -ENOSPC;
	ck_assert_uint_eq(UNMAP({ 1, 1 }), SENSE_SPACE_ALLOCATION);
}
END_TEST

/* ---- WRITE SAME
 * -------------------------------------------------------------------------------------- */

#define F_UNMAP	 0x08
#define F_ANCHOR 0x10
#define F_NDOB	 0x01

static const struct same {
	const char *why;
	uint8_t flags;
	bool ten; /* WRITE SAME(10) */
	uint64_t lba;
	uint32_t count;
	uint8_t byte;	  /* of the data block */
	uint32_t buffer;  /* bytes */
	uint32_t want;	  /* sense */
	uint8_t first_op; /* when it is good */
} sames[] = {
	{ "pattern", 0, false, 3, 5, 0x11, 512, 0, BLK_WRITE },
	{ "pattern (10)", 0, true, 3, 5, 0x11, 512, 0, BLK_WRITE },
	{ "one block", 0, true, 0, 1, 0x11, 512, 0, BLK_WRITE },
	{ "last block", 0, true, BLOCKS - 1, 1, 0x11, 512, 0, BLK_WRITE },
	{ "more than a buffer", 0, false, 1, 5000, 0x11, 512, 0, BLK_WRITE },
	{ "zeroes stay allocated", 0, false, 0, UNIT, 0, 512, 0, BLK_ZERO },
	{ "zeroes stay allocated (10)", 0, true, 0, UNIT, 0, 512, 0, BLK_ZERO },
	{ "unmap zeroes", F_UNMAP, false, 0, UNIT, 0, 512, 0, BLK_DISCARD },
	{ "unmap zeroes (10)", F_UNMAP, true, 0, UNIT, 0, 512, 0, BLK_DISCARD },
	{ "unmap unaligned", F_UNMAP, false, 1, 2 * UNIT, 0, 512, 0, BLK_ZERO },
	{ "unmap what is not zero", F_UNMAP, false, 0, UNIT, 0x11, 512, 0, BLK_WRITE },
	{ "no data: zeroes", F_NDOB, false, 0, UNIT, 0, 0, 0, BLK_ZERO },
	{ "no data, unmap", F_NDOB | F_UNMAP, false, 0, UNIT, 0, 0, 0, BLK_DISCARD },
	{ "no data, yet a buffer", F_NDOB, false, 0, UNIT, 0, 512, 0, BLK_ZERO },
	{ "no data (10): no such bit", F_NDOB, true, 0, 8, 0, 0, SENSE_CDB_FIELD, 0 },
	{ "anchor alone", F_ANCHOR, false, 0, 8, 0, 512, SENSE_CDB_FIELD, 0 },
	{ "anchor and unmap", F_ANCHOR | F_UNMAP, false, 0, 8, 0, 512, SENSE_CDB_FIELD, 0 },
	{ "anchor and unmap (10)", F_ANCHOR | F_UNMAP, true, 0, 8, 0, 512, SENSE_CDB_FIELD, 0 },
	{ "LBDATA", 2, false, 0, 8, 0, 512, SENSE_CDB_FIELD, 0 },
	{ "PBDATA (10)", 4, true, 0, 8, 0, 512, SENSE_CDB_FIELD, 0 },
	{ "WRPROTECT", 0x20, false, 0, 8, 0, 512, SENSE_CDB_FIELD, 0 },
	{ "WRPROTECT (10)", 0xe0, true, 0, 8, 0, 512, SENSE_CDB_FIELD, 0 },
	{ "count 0", 0, false, 0, 0, 0, 512, SENSE_CDB_FIELD, 0 },
	{ "count 0 (10)", 0, true, 0, 0, 0, 512, SENSE_CDB_FIELD, 0 },
	{ "count 0, unmap", F_UNMAP, false, 0, 0, 0, 512, SENSE_CDB_FIELD, 0 },
	{ "most", 0, false, 0, 0x10000, 0x11, 512, 0, BLK_WRITE },
	{ "one more", 0, false, 0, 0x10001, 0, 512, SENSE_CDB_FIELD, 0 },
	{ "one more, unmap", F_UNMAP, false, 0, 0x10001, 0, 512, SENSE_CDB_FIELD, 0 },
	{ "behind the end", 0, false, BLOCKS, 1, 0, 512, SENSE_LBA_RANGE, 0 },
	{ "over the end", 0, true, BLOCKS - 1, 2, 0, 512, SENSE_LBA_RANGE, 0 },
	{ "wraps", 0, false, UINT64_MAX, 2, 0, 512, SENSE_LBA_RANGE, 0 },
	{ "2 TiB", F_UNMAP, false, 0, UINT32_MAX, 0, 512, SENSE_LBA_RANGE, 0 },
	{ "no data-out", 0, false, 0, 8, 0, 0, SENSE_CDB_FIELD, 0 },
	{ "half a block", 0, false, 0, 8, 0, 256, SENSE_CDB_FIELD, 0 },
	{ "two blocks", 0, false, 0, 8, 0, 1024, SENSE_CDB_FIELD, 0 },
	{ "half a block (10)", 0, true, 0, 8, 0, 256, SENSE_CDB_FIELD, 0 },
};

START_TEST(write_same_table)
{
	const struct same *c = &sames[_i / 2];

	r->dev->delayed = _i & 1;
	r->pieces = c->buffer ? 2 : 1;
	if (!c->want)
		mark(c->lba, c->lba + c->count);
	memset(r->data, c->byte, c->buffer);
	if (c->ten)
		rig_send(r, 0, CDB(WRITE_SAME10(c->flags, c->lba, c->count)), SCSI_DIR_OUT,
			 c->buffer);
	else
		rig_send(r, 0, CDB(WRITE_SAME16(c->flags, c->lba, c->count)), SCSI_DIR_OUT,
			 c->buffer);
	memset(r->data, 0xee, c->buffer); /* the guest reuses the buffer at once */
	fake_blk_run(r->q);
	ck_assert_msg(rig_result(r) == c->want, "%s: %06x", c->why, rig_result(r));
	if (c->want) {
		ck_assert_uint_eq(r->dev->n_log, 0);
		return;
	}
	ck_assert_uint_eq(r->task.transferred, c->flags & F_NDOB ? 0 : 512);
	ck_assert_uint_eq(op(0)->op, c->first_op);
	expect_blocks(c->lba, c->lba + c->count, c->byte);
	for (uint32_t i = 0; i < r->dev->n_log; i++)
		ck_assert(op(i)->op != BLK_WRITE || op(i)->len <= MIB);
	ck_assert_uint_eq(r->lun->scratch, 0);
}
END_TEST

START_TEST(write_same_pattern_repeats)
{
	for (int i = 0; i < 512; i++)
		r->data[i] = (uint8_t)(i * 5 + 1);
	ck_assert_uint_eq(OUT(r, 512, WRITE_SAME16(0, 10, 3000)), 0);
	for (int i = 0; i < 3000; i++)
		ck_assert_mem_eq(r->dev->ram + (10 + i) * 512, r->data, 512);
	/* One byte that is not zero is enough, wherever it stands. */
	for (int at = 0; at < 512; at += 73) {
		memset(r->data, 0, 512);
		r->data[at] = 1;
		r->dev->n_log = 0;
		ck_assert_uint_eq(OUT(r, 512, WRITE_SAME16(F_UNMAP, 0, 2)), 0);
		ck_assert_uint_eq(op(0)->op, BLK_WRITE);
		ck_assert_uint_eq(r->dev->ram[512 + at], 1);
	}
}
END_TEST

START_TEST(write_same_4k)
{
	fake_blk_resize(r->dev, 0, 4096);
	rig_reattach(r);
	memset(r->data, 0x21, 4096);
	ck_assert_uint_eq(OUT(r, 512, WRITE_SAME16(0, 1, 2)), SENSE_CDB_FIELD);
	memset(r->data, 0x21, 4096);
	ck_assert_uint_eq(OUT(r, 4096, WRITE_SAME16(0, 1, 2)), 0);
	expect_blocks(8, 24, 0x21);
}
END_TEST

/* ---- bounds: memory, work, abort
 * ------------------------------------------------------------------------ */

START_TEST(S18_work_is_cut_into_pieces)
{
	fake_blk_resize(r->dev, 1ull << 40, 4096);
	rig_reattach(r);
	/* 4 GiB at once, one operation in flight at a time, each bounded */
	r->dev->delayed = true;
	put_list(1, &(struct extent_of_list){ 0, 0x100000 });
	rig_send(r, 0, CDB(UNMAP10(24)), SCSI_DIR_OUT, 24);
	while (r->pending) {
		ck_assert_uint_eq(r->q->waiting, 1);
		fake_blk_run_one(r->q);
	}
	ck_assert_uint_eq(rig_result(r), 0);
	ck_assert_uint_eq(r->dev->n_log, 16);
	for (uint32_t i = 0; i < 16; i++)
		ck_assert_uint_eq(op(i)->len, 256ull << 20);
}
END_TEST

START_TEST(S18_abort_stops_between_pieces)
{
	mark(0, 4096);
	memset(r->data, 0x21, 512);
	r->dev->delayed = true;
	rig_send(r, 0, CDB(WRITE_SAME16(0, 0, 0x10000)), SCSI_DIR_OUT, 512);
	fake_blk_run_one(r->q);
	ck_assert(r->pending);
	scsi_task_abort(&r->task);
	fake_blk_run(r->q);
	ck_assert_uint_eq(rig_result(r), SENSE_ABORTED);
	ck_assert_uint_eq(r->finished, 1);
	ck_assert_uint_eq(r->dev->n_log, 2);
	expect_blocks(0, 4096, 0x21);
	/* The last piece in flight: it is done anyway. */
	rig_send(r, 0, CDB(WRITE_SAME16(0, 0, 8)), SCSI_DIR_OUT, 512);
	scsi_task_abort(&r->task);
	fake_blk_run(r->q);
	ck_assert_uint_eq(rig_result(r), 0);
	/* A command that has no pieces does not care. */
	rig_send(r, 0, CDB(READ10(0, 8)), SCSI_DIR_IN, 4096);
	scsi_task_abort(&r->task);
	fake_blk_run(r->q);
	ck_assert_uint_eq(rig_result(r), 0);
}
END_TEST

START_TEST(memory_is_bounded)
{
	memset(r->data, 0x21, 512);
	r->lun->scratch = SCSI_SCRATCH_MAX - 4095; /* other tasks hold the rest */
	rig_send(r, 0, CDB(WRITE_SAME16(0, 0, 8)), SCSI_DIR_OUT, 512);
	ck_assert_uint_eq(r->task.status, SCSI_TASK_SET_FULL);
	rig_send(r, 0, CDB(WRITE_SAME16(0, 0, 7)), SCSI_DIR_OUT, 512);
	ck_assert_uint_eq(rig_result(r), 0);
	r->lun->scratch = SCSI_SCRATCH_MAX - 31;
	put_list(2, (struct extent_of_list[]){ { 0, 1 }, { 2, 1 } });
	rig_send(r, 0, CDB(UNMAP10(40)), SCSI_DIR_OUT, 40);
	ck_assert_uint_eq(r->task.status, SCSI_TASK_SET_FULL);
	r->dev->error[BLK_ZERO] = -EOPNOTSUPP;
	put_list(1, &(struct extent_of_list){ 0, 1 });
	rig_send(r, 0, CDB(UNMAP10(24)), SCSI_DIR_OUT, 24);
	ck_assert_uint_eq(r->task.status, SCSI_TASK_SET_FULL);
	/* Found out while the task was running. */
	r->dev->delayed = true;
	put_list(1, &(struct extent_of_list){ 0, 1 });
	rig_send(r, 0, CDB(UNMAP10(24)), SCSI_DIR_OUT, 24);
	ck_assert(r->pending);
	fake_blk_run(r->q);
	ck_assert_uint_eq(r->finished, 1);
	ck_assert_uint_eq(r->task.status, SCSI_TASK_SET_FULL);
	ck_assert_uint_eq(r->lun->scratch, SCSI_SCRATCH_MAX - 31);
	r->lun->scratch = 0;
	ck_assert_ptr_null(scsi_scratch_get(r->lun, SCSI_SCRATCH_MAX + 1));
	ck_assert_ptr_null(scsi_scratch_get(r->lun, UINT32_MAX));
}
END_TEST

START_TEST(odd_granularity)
{
	/* Three blocks, then one that is no multiple of the block size: rounded up. */
	r->dev->info.discard_granularity = 3 * 512;
	rig_reattach(r);
	ck_assert_uint_eq(UNMAP({ 2, 9 }), 0);
	expect_op(0, BLK_ZERO, 2, 1);
	expect_op(1, BLK_DISCARD, 3, 6);
	expect_op(2, BLK_ZERO, 9, 2);
	r->dev->info.discard_granularity = 513;
	rig_reattach(r);
	r->dev->info.discard_granularity = 1024;
	r->dev->n_log = 0;
	ck_assert_uint_eq(UNMAP({ 1, 2 }), 0);
	expect_op(0, BLK_ZERO, 1, 1);
	expect_op(1, BLK_ZERO, 2, 1);
	r->dev->info.discard_granularity = UINT32_MAX;
	rig_reattach(r);
	r->dev->n_log = 0;
	ck_assert_uint_eq(UNMAP({ 0, BLOCKS }), 0); /* larger than the disk */
	ck_assert_uint_eq(r->dev->n_log, 1);
	expect_op(0, BLK_ZERO, 0, BLOCKS);
}
END_TEST

static void add_unmap_tests(TCase *t)
{
	tcase_add_test(t, unmap_golden);
	tcase_add_loop_test(t, unmap_edges_are_zeroed, 0, 2 * ARRAY_SIZE(edges));
	tcase_add_loop_test(t, unmap_many_extents, 0, 2);
	tcase_add_test(t, unmap_most_extents);
	tcase_add_test(t, unmap_nothing);
	tcase_add_test(t, S19_ranges_are_checked_before_anything_is_done);
	tcase_add_test(t, S19_sum_of_blocks);
	tcase_add_loop_test(t, S19_lengths_lie, 0, ARRAY_SIZE(lies));
	tcase_add_test(t, S18_unmap_anchor);
	tcase_add_test(t, unmap_list_is_used_as_it_was);
	tcase_add_loop_test(t, no_discard_zeroes_instead, 0, 2);
	tcase_add_loop_test(t, neither_discard_nor_zero_writes_zeroes, 0, 2);
	tcase_add_test(t, edges_only_need_zero);
	tcase_add_loop_test(t, unmap_error_is_reported, 0, 2);
}

static void add_same_tests(TCase *t)
{
	tcase_add_loop_test(t, write_same_table, 0, 2 * ARRAY_SIZE(sames));
	tcase_add_test(t, write_same_pattern_repeats);
	tcase_add_test(t, write_same_4k);
	tcase_add_test(t, S18_work_is_cut_into_pieces);
	tcase_add_test(t, S18_abort_stops_between_pieces);
	tcase_add_test(t, memory_is_bounded);
	tcase_add_test(t, odd_granularity);
}

int main(void)
{
	Suite *s = suite_create("scsi_thin");
	TCase *u = tcase_create("unmap"), *w = tcase_create("write same");

	tcase_add_checked_fixture(u, setup, teardown);
	add_unmap_tests(u);
	suite_add_tcase(s, u);
	tcase_add_checked_fixture(w, setup, teardown);
	add_same_tests(w);
	suite_add_tcase(s, w);
	return rig_main(s);
}
