/* SPDX-License-Identifier: MIT */
/*
 * READ, WRITE and flush: what reaches the block engine, what comes back, and what each
 * error becomes (spec: scsi-target, sections 6, 8 and 14; disk-backends, section 8).
 */
#include "tests/ut/vsp/scsi_rig.h"

static struct rig *r;

#define BLOCKS 131072u

static void setup(void)
{
	r = rig_new();
}

/* Each block says which it is, also the neighbours. */
static void number_blocks(uint64_t lba, uint32_t count)
{
	for (uint64_t i = lba ? lba - 1 : 0; i <= lba + count && i < BLOCKS; i++)
		be64_put(r->dev->ram + i * 512, ~i);
}

static void teardown(void)
{
	rig_free(r);
}

static const struct fake_blk_op *last_op(void)
{
	ck_assert_uint_gt(r->dev->n_log, 0);
	return &r->dev->log[r->dev->n_log - 1];
}

static void fill_data(uint32_t len, uint32_t seed)
{
	for (uint32_t i = 0; i < len; i++)
		r->data[i] = (uint8_t)(seed + i * 7 + (i >> 8));
}

/* ---- every form reaches the right blocks ------------------------------------------------- */

static const struct form {
	const char *name;
	uint8_t cdb[16], len;
	uint64_t lba;
	uint32_t count;
	bool write, fua;
} forms[] = {
	{ "READ(6)", { 0x08, 0x01, 0x02, 0x03, 4, 0 }, 6, 0x10203, 4, false, false },
	{ "READ(6), 256 blocks", { 0x08, 0, 0, 1, 0, 0 }, 6, 1, 256, false, false },
	{ "WRITE(6)", { 0x0a, 0x01, 0xff, 0xfe, 2, 0 }, 6, 0x1fffe, 2, true, false },
	{ "WRITE(6), 256 blocks", { 0x0a, 0, 0, 9, 0, 0 }, 6, 9, 256, true, false },
	{ "READ(10)", { READ10(0x11223, 0x102) }, 10, 0x11223, 0x102, false, false },
	{ "READ(10) DPO FUA", { 0x28, 0x18, L32(1), 0, 0, 1, 0 }, 10, 1, 1, false, false },
	{ "READ(10) FUA_NV, group", { 0x28, 0x02, L32(1), 0x1f, 0, 1, 0 }, 10, 1, 1, false, false },
	{ "WRITE(10)", { WRITE10(0x11223, 0x102) }, 10, 0x11223, 0x102, true, false },
	{ "WRITE(10) FUA", { WRITE10_FUA(7, 8) }, 10, 7, 8, true, true },
	{ "WRITE(10) DPO", { 0x2a, 0x10, L32(1), 0, 0, 1, 0 }, 10, 1, 1, true, false },
	{ "READ(12)", { 0xa8, 0, L32(0x12345), L32(3), 0, 0 }, 12, 0x12345, 3, false, false },
	{ "WRITE(12) FUA", { 0xaa, 8, L32(0x12345), L32(3), 0, 0 }, 12, 0x12345, 3, true, true },
	{ "READ(16)", { READ16(0x1f000, 0x321) }, 16, 0x1f000, 0x321, false, false },
	{ "WRITE(16)", { WRITE16(0x1f000, 0x321) }, 16, 0x1f000, 0x321, true, false },
	{ "WRITE(16) FUA", { 0x8a, 8, L64(5), L32(1), 0, 0 }, 16, 5, 1, true, true },
	{ "READ(10), last block", { READ10(BLOCKS - 1, 1) }, 10, BLOCKS - 1, 1, false, false },
	{ "READ(10), longer CDB given", { READ10(3, 1) }, 16, 3, 1, false, false },
};

static void run_form(const struct form *f)
{
	uint32_t len = f->count * 512;

	number_blocks(f->lba, f->count);
	if (f->write)
		fill_data(len, f->lba & 0xff);
	rig_send(r, 0, f->cdb, f->len, f->write ? SCSI_DIR_OUT : SCSI_DIR_IN, len);
	if (r->pending)
		fake_blk_run(r->q);
	ck_assert_msg(!rig_result(r), "%s: %06x", f->name, rig_result(r));
	ck_assert_uint_eq(r->task.transferred, len);
	ck_assert_uint_eq(last_op()->op, f->write ? BLK_WRITE : BLK_READ);
	ck_assert_uint_eq(last_op()->flags, f->fua ? BLK_REQ_FUA : 0);
	ck_assert_uint_eq(last_op()->offset, f->lba * 512);
	ck_assert_uint_eq(last_op()->len, len);
	ck_assert_mem_eq(r->data, r->dev->ram + f->lba * 512, len);
}

START_TEST(forms_inline)
{
	run_form(&forms[_i]);
	ck_assert_uint_eq(r->finished, 0); /* done is only for those that take time */
}
END_TEST

START_TEST(forms_delayed)
{
	r->dev->delayed = true;
	r->pieces = 3;
	run_form(&forms[_i]);
	ck_assert_uint_eq(r->finished, 1);
}
END_TEST

START_TEST(buffer_goes_straight_to_the_engine)
{
	ck_assert_uint_eq(IN(r, 4096, READ10(8, 8)), 0);
	ck_assert_ptr_eq(r->task.blk.iov, r->iov);
	r->pieces = 64;
	ck_assert_uint_eq(IN(r, 65536, READ10(8, 128)), 0);
	ck_assert_ptr_eq(r->task.blk.iov, r->iov);
	ck_assert_uint_eq(r->task.blk.niov, 64);
}
END_TEST

START_TEST(four_k_blocks)
{
	fake_blk_resize(r->dev, 0, 4096);
	rig_reattach(r);
	fill_data(8192, 3);
	ck_assert_uint_eq(OUT(r, 8192, WRITE10(16383 - 1, 2)), 0);
	ck_assert_uint_eq(last_op()->offset, 16382ull * 4096);
	ck_assert_uint_eq(OUT(r, 8192, WRITE10(16383, 2)), SENSE_LBA_RANGE);
	ck_assert_uint_eq(IN(r, 4096, READ10(0, 2)), SENSE_CDB_FIELD); /* S12: two blocks */
	ck_assert_uint_eq(IN(r, 8192, READ10(16382, 2)), 0);
	ck_assert_mem_eq(r->data, r->dev->ram + 16382ull * 4096, 8192);
}
END_TEST

/* ---- buffers that do not match (S11, S12) -------------------------------------------------- */

START_TEST(larger_buffer_is_cut)
{
	static const uint32_t pieces[] = { 1, 2, 3, 7, 64 };

	number_blocks(100, 5);
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		r->pieces = pieces[i];
		r->dev->delayed = i & 1;
		rig_send(r, 0, CDB(READ10(100, 5)), SCSI_DIR_IN, 65536 + 3);
		if (r->pending)
			fake_blk_run(r->q);
		ck_assert_uint_eq(rig_result(r), 0);
		ck_assert_uint_eq(r->task.transferred, 5 * 512);
		ck_assert_uint_eq(last_op()->len, 5 * 512);
		ck_assert_mem_eq(r->data, r->dev->ram + 100 * 512, 5 * 512);
		ck_assert(all_are(r->data + 5 * 512, 65536 + 3 - 5 * 512, UNTOUCHED));
		ck_assert_uint_eq(r->lun->scratch, 0);
	}
}
END_TEST

START_TEST(S12_smaller_buffer_is_refused)
{
	static const uint32_t have[] = { 0, 1, 511, 512, 1023, 1024, 2047 };

	for (size_t i = 0; i < ARRAY_SIZE(have); i++) {
		ck_assert_uint_eq(IN(r, have[i], READ10(0, 4)), SENSE_CDB_FIELD);
		ck_assert_uint_eq(OUT(r, have[i], WRITE10(0, 4)), SENSE_CDB_FIELD);
		ck_assert_uint_eq(IN(r, have[i], READ16(0, 4)), SENSE_CDB_FIELD);
		ck_assert_uint_eq(OUT(r, have[i], 0x0a, 0, 0, 0, 4, 0), SENSE_CDB_FIELD);
	}
	ck_assert_uint_eq(r->dev->n_log, 0);
}
END_TEST

START_TEST(S11_length_beyond_the_scatter_list)
{
	rig_prepare(r, CDB(READ10(0, 8)), SCSI_DIR_IN, 2048);
	r->task.data_len = UINT32_MAX; /* a transport that believed the guest */
	memset(r->data, UNTOUCHED, 4096);
	ck_assert(scsi_execute(r->target, 0, &r->task));
	ck_assert_uint_eq(rig_result(r), SENSE_CDB_FIELD);
	ck_assert(all_are(r->data, 4096, UNTOUCHED));
	ck_assert_uint_eq(r->dev->n_log, 0);
}
END_TEST

START_TEST(transfer_limit)
{
	/* VPD B0 says 8192 blocks. The buffer would do: the same memory many times over. */
	for (uint32_t count = 8192; count <= 8193; count++) {
		rig_prepare(r, CDB(READ10(0, count)), SCSI_DIR_IN, 512);
		for (int i = 0; i < 64; i++)
			r->iov[i] = (struct iovec){ r->data, 65536 + 8 };
		r->task.niov = 64;
		r->task.data_len = 8193 * 512;
		ck_assert(scsi_execute(r->target, 0, &r->task));
		ck_assert_uint_eq(rig_result(r), count > 8192 ? SENSE_CDB_FIELD : 0);
	}
	ck_assert_uint_eq(IN(r, 512, READ16(0, 0x1ffff)), SENSE_CDB_FIELD);
	ck_assert_uint_eq(r->dev->n_log, 1);
}
END_TEST

START_TEST(no_memory_for_a_cut_list)
{
	r->pieces = 8;
	r->lun->scratch = SCSI_SCRATCH_MAX; /* other tasks have it all */
	rig_send(r, 0, CDB(READ10(0, 8)), SCSI_DIR_IN, 8192);
	ck_assert_uint_eq(r->task.status, SCSI_TASK_SET_FULL);
	ck_assert_uint_eq(r->lun->scratch, SCSI_SCRATCH_MAX);
	r->lun->scratch = 0;
}
END_TEST

/* ---- range (S15, S16) --------------------------------------------------------------------------
 */

static const struct range {
	const char *why;
	uint64_t lba;
	uint32_t count;
	uint32_t want;
} ranges[] = {
	{ "nothing at the start", 0, 0, 0 },
	{ "nothing at the end", BLOCKS, 0, 0 },
	{ "nothing behind the end", BLOCKS + 1, 0, SENSE_LBA_RANGE },
	{ "nothing at 2^63", 1ull << 63, 0, SENSE_LBA_RANGE },
	{ "nothing at 2^64 - 1", UINT64_MAX, 0, SENSE_LBA_RANGE },
	{ "last block", BLOCKS - 1, 1, 0 },
	{ "one too many", BLOCKS - 1, 2, SENSE_LBA_RANGE },
	{ "first behind", BLOCKS, 1, SENSE_LBA_RANGE },
	{ "count larger than the disk", 0, BLOCKS + 1, SENSE_LBA_RANGE },
	{ "count 2^32 - 1", 1, UINT32_MAX, SENSE_LBA_RANGE },
	{ "sum wraps to 0", UINT64_MAX, 1, SENSE_LBA_RANGE },
	{ "sum wraps to 7", UINT64_MAX - 0, 8, SENSE_LBA_RANGE },
	{ "sum wraps to the end", UINT64_MAX - 15, 16, SENSE_LBA_RANGE },
	{ "byte offset wraps", (1ull << 55) + 1, 1, SENSE_LBA_RANGE },
	{ "low half is legal", 1ull << 32, 1, SENSE_LBA_RANGE },
	{ "sign bit", 1ull << 63, 1, SENSE_LBA_RANGE },
};

START_TEST(S15_ranges)
{
	static const uint8_t ops[] = { 0x88, 0x8a, 0x90, 0x91 };
	const struct range *c = &ranges[_i];

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		bool write = ops[i] == 0x8a;
		uint32_t n = c->count == 1 ? 512 : 0;

		rig_send(r, 0, CDB(ops[i], 0, L64(c->lba), L32(c->count), 0, 0),
			 write ? SCSI_DIR_OUT : SCSI_DIR_IN, n);
		ck_assert_msg(rig_result(r) == c->want, "%02x %s: %06x", ops[i], c->why,
			      rig_result(r));
	}
	if (c->lba > UINT32_MAX || c->count > UINT16_MAX)
		return;
	ck_assert_uint_eq(IN(r, c->count * 512, READ10(c->lba, c->count)), c->want);
	ck_assert_uint_eq(OUT(r, c->count * 512, WRITE10(c->lba, c->count)), c->want);
	ck_assert_uint_eq(NODATA(r, 0x34, 0x02, L32(c->lba), 0x1f, L16(c->count), 0), c->want);
	ck_assert_uint_eq(NODATA(r, 0x35, 0x02, L32(c->lba), 0, L16(c->count), 0), c->want);
}
END_TEST

START_TEST(S16_count_zero)
{
	ck_assert_uint_eq(IN(r, 512, READ10(0, 0)), 0);
	ck_assert_uint_eq(r->task.transferred, 0);
	ck_assert_uint_eq(OUT(r, 512, WRITE10(0, 0)), 0);
	ck_assert_uint_eq(IN(r, 512, 0xa8, 0, Z8, 0, 0), 0);
	ck_assert_uint_eq(r->dev->n_log, 0);
	ck_assert_uint_eq(IN(r, 512, 0x08, 0, 0, 0, 0, 0), SENSE_CDB_FIELD); /* 256 blocks */
	ck_assert_uint_eq(IN(r, 131072, 0x08, 0, 0, 0, 0, 0), 0);
	ck_assert_uint_eq(r->task.transferred, 131072);
	ck_assert_uint_eq(IN(r, 131072, 0x08, 0x01, 0xff, 0x01, 0, 0), SENSE_LBA_RANGE);
}
END_TEST

/* ---- CDB fields -------------------------------------------------------------------------------
 */

START_TEST(protect_bits_and_friends)
{
	static const uint8_t ops[] = { 0x28, 0x2a, 0xa8, 0xaa, 0x88, 0x8a };

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		uint8_t len = ops[i] < 0x80 ? 10 : ops[i] < 0xa0 ? 16 : 12;
		uint8_t dir = ops[i] & 2 ? SCSI_DIR_OUT : SCSI_DIR_IN;

		for (uint32_t bit = 0; bit < 8; bit++) {
			uint8_t cdb[16] = { ops[i], (uint8_t)(1u << bit) };
			bool legal = bit == 1 || bit == 2 || bit == 3 || bit == 4;

			rig_send(r, 0, cdb, len, dir, 512);
			ck_assert_uint_eq(rig_result(r), legal ? 0 : SENSE_CDB_FIELD);
			memset(cdb + 1, 0, 15);
			cdb[len - 1] = (uint8_t)(1u << bit); /* CONTROL: LINK, NACA */
			rig_send(r, 0, cdb, len, dir, 512);
			ck_assert_uint_eq(rig_result(r),
					  bit == 0 || bit == 2 ? SENSE_CDB_FIELD : 0);
		}
	}
	ck_assert_uint_eq(r->dev->n_log, 0); /* the count was 0 everywhere */
}
END_TEST

START_TEST(S13_direction_contradicts_the_opcode)
{
	memset(r->data, UNTOUCHED, 512);
	ck_assert_uint_eq(OUT(r, 512, READ10(0, 1)), SENSE_CDB_FIELD);
	ck_assert(all_are(r->data, 512, UNTOUCHED));
	ck_assert_uint_eq(OUT(r, 96, 0x12, 0, 0, 0, 96, 0), SENSE_CDB_FIELD);
	ck_assert_uint_eq(IN(r, 512, WRITE10(0, 1)), SENSE_CDB_FIELD);
	ck_assert_uint_eq(IN(r, 512, WRITE_SAME16(0, 0, 1)), SENSE_CDB_FIELD);
	ck_assert_uint_eq(IN(r, 24, UNMAP10(24)), SENSE_CDB_FIELD);
	ck_assert_uint_eq(r->dev->n_log, 0);
	/* No claim, or no data to move: the opcode decides. */
	rig_send(r, 0, CDB(READ10(0, 1)), SCSI_DIR_NONE, 512);
	ck_assert_uint_eq(rig_result(r), 0);
	ck_assert_uint_eq(OUT(r, 0, READ10(0, 0)), 0);
}
END_TEST

START_TEST(S17_read_only_disk)
{
	uint8_t *before = malloc(1 << 20);

	memcpy(before, r->dev->ram, 1 << 20);
	r->dev->info.readonly = true;
	if (_i) /* no more than what engines say of a read-only image */
		r->dev->info.discard_granularity = 0;
	rig_reattach(r);
	ck_assert_uint_eq(OUT(r, 512, 0x0a, 0, 0, 0, 1, 0), SENSE_WRITE_PROTECTED);
	ck_assert_uint_eq(OUT(r, 512, WRITE10(0, 1)), SENSE_WRITE_PROTECTED);
	ck_assert_uint_eq(OUT(r, 512, WRITE10_FUA(0, 1)), SENSE_WRITE_PROTECTED);
	ck_assert_uint_eq(OUT(r, 512, 0xaa, 0, Z4, L32(1), 0, 0), SENSE_WRITE_PROTECTED);
	ck_assert_uint_eq(OUT(r, 512, WRITE16(0, 1)), SENSE_WRITE_PROTECTED);
	ck_assert_uint_eq(OUT(r, 512, WRITE_SAME10(0, 0, 1)), SENSE_WRITE_PROTECTED);
	ck_assert_uint_eq(OUT(r, 512, WRITE_SAME16(8, 0, 1)), SENSE_WRITE_PROTECTED);
	ck_assert_uint_eq(OUT(r, 512, WRITE_SAME10(8, 0, 1)), SENSE_WRITE_PROTECTED);
	ck_assert_uint_eq(OUT(r, 24, UNMAP10(24)), SENSE_WRITE_PROTECTED);
	ck_assert_uint_eq(OUT(r, 512, WRITE10(BLOCKS, 1)), SENSE_LBA_RANGE); /* checked before */
	ck_assert_uint_eq(IN(r, 512, READ10(0, 1)), 0);
	ck_assert_uint_eq(r->dev->n_log, 1); /* the read */
	ck_assert_mem_eq(before, r->dev->ram, 1 << 20);
	free(before);
}
END_TEST

/* ---- errors ------------------------------------------------------------------------------------
 */

static const struct mapping {
	int err;
	uint32_t read, write, flush;
} mappings[] = {
	{ -EIO, SENSE_READ_ERROR, SENSE_WRITE_ERROR, SENSE_TARGET_FAILURE },
	{ -EBADMSG, SENSE_READ_ERROR, SENSE_WRITE_ERROR, SENSE_TARGET_FAILURE },
	{ -EILSEQ, SENSE_READ_ERROR, SENSE_WRITE_ERROR, SENSE_TARGET_FAILURE },
	{ -ENOSPC, SENSE_TARGET_FAILURE, SENSE_SPACE_ALLOCATION, SENSE_TARGET_FAILURE },
	{ -EDQUOT, SENSE_TARGET_FAILURE, SENSE_SPACE_ALLOCATION, SENSE_TARGET_FAILURE },
	{ -EFBIG, SENSE_TARGET_FAILURE, SENSE_SPACE_ALLOCATION, SENSE_TARGET_FAILURE },
	{ -EROFS, SENSE_TARGET_FAILURE, SENSE_WRITE_PROTECTED, SENSE_TARGET_FAILURE },
	{ -EPERM, SENSE_TARGET_FAILURE, SENSE_TARGET_FAILURE, SENSE_TARGET_FAILURE },
	{ -EACCES, SENSE_TARGET_FAILURE, SENSE_TARGET_FAILURE, SENSE_TARGET_FAILURE },
	{ -EBADF, SENSE_TARGET_FAILURE, SENSE_TARGET_FAILURE, SENSE_TARGET_FAILURE },
	{ -ENODEV, SENSE_TARGET_FAILURE, SENSE_TARGET_FAILURE, SENSE_TARGET_FAILURE },
	{ -ENXIO, SENSE_TARGET_FAILURE, SENSE_TARGET_FAILURE, SENSE_TARGET_FAILURE },
	{ -ENOMEDIUM, SENSE_TARGET_FAILURE, SENSE_TARGET_FAILURE, SENSE_TARGET_FAILURE },
	{ -ENOMEM, SENSE_TARGET_FAILURE, SENSE_TARGET_FAILURE, SENSE_TARGET_FAILURE },
	{ -EAGAIN, SENSE_TARGET_FAILURE, SENSE_TARGET_FAILURE, SENSE_TARGET_FAILURE },
	{ -EINVAL, SENSE_TARGET_FAILURE, SENSE_TARGET_FAILURE, SENSE_TARGET_FAILURE },
	{ -ECANCELED, SENSE_ABORTED, SENSE_ABORTED, SENSE_ABORTED },
	{ -EFAULT, SENSE_CDB_FIELD, SENSE_CDB_FIELD, SENSE_TARGET_FAILURE },
};

static uint32_t outcome_of(uint8_t dir, const uint8_t *cdb, uint32_t cdb_len, uint32_t len)
{
	rig_send(r, 0, cdb, cdb_len, dir, len);
	if (r->pending)
		fake_blk_run(r->q);
	return rig_result(r);
}

START_TEST(every_error)
{
	const struct mapping *m = &mappings[_i / 2];
	struct scsi_lun_stats s;

	r->dev->delayed = _i & 1;
	for (int op = 0; op < BLK_OP_COUNT; op++)
		r->dev->error[op] = m->err;
	ck_assert_uint_eq(outcome_of(SCSI_DIR_IN, CDB(READ10(3, 2)), 1024), m->read);
	if (m->read == SENSE_READ_ERROR) {
		ck_assert_uint_eq(r->task.sense[0], 0xf0);
		ck_assert_uint_eq(be32_at(r->task.sense + 3), 3);
	} else {
		ck_assert_uint_eq(r->task.sense[0], 0x70);
	}
	ck_assert_uint_eq(outcome_of(SCSI_DIR_OUT, CDB(WRITE10(3, 2)), 1024), m->write);
	ck_assert_uint_eq(outcome_of(SCSI_DIR_OUT, CDB(WRITE10_FUA(3, 2)), 1024), m->write);
	memset(r->data, 0, 512);
	ck_assert_uint_eq(outcome_of(SCSI_DIR_OUT, CDB(WRITE_SAME16(0, 0, 9)), 512), m->write);
	ck_assert_uint_eq(outcome_of(SCSI_DIR_OUT, CDB(WRITE_SAME16(8, 4096, 4096)), 512),
			  m->write);
	ck_assert_uint_eq(outcome_of(SCSI_DIR_NONE, CDB(SYNC10), 0), m->flush);
	scsi_lun_stats(r->lun, &s);
	ck_assert_uint_eq(s.errors, 6);
	ck_assert_uint_eq(s.last_sense, m->flush);
	ck_assert_uint_eq(s.reads + s.writes + s.flushes + s.others, 0);
}
END_TEST

START_TEST(read_error_far_out_has_no_information)
{
	fake_blk_resize(r->dev, 1ull << 45, 512);
	rig_reattach(r);
	r->dev->error[BLK_READ] = -EIO;
	ck_assert_uint_eq(IN(r, 512, READ16(0xffffffffu, 1)), SENSE_READ_ERROR);
	ck_assert_uint_eq(r->task.sense[0], 0xf0);
	ck_assert_uint_eq(IN(r, 512, READ16(0x100000000ull, 1)), SENSE_READ_ERROR);
	ck_assert_uint_eq(r->task.sense[0], 0x70);
}
END_TEST

START_TEST(failed_flush_stays_failed)
{
	r->dev->delayed = _i;
	r->dev->error[BLK_FLUSH] = -EIO;
	ck_assert_uint_eq(outcome_of(SCSI_DIR_NONE, CDB(SYNC10), 0), SENSE_TARGET_FAILURE);
	r->dev->error[BLK_FLUSH] =
		0; /* the host would say yes now: the data is gone all the same */
	ck_assert_uint_eq(outcome_of(SCSI_DIR_NONE, CDB(SYNC10), 0), SENSE_TARGET_FAILURE);
	ck_assert_uint_eq(outcome_of(SCSI_DIR_NONE, CDB(0x91, 0, Z8, Z4, 0, 0), 0),
			  SENSE_TARGET_FAILURE);
	ck_assert_uint_eq(outcome_of(SCSI_DIR_OUT, CDB(WRITE10_FUA(0, 1)), 512),
			  SENSE_TARGET_FAILURE);
	ck_assert_uint_eq(outcome_of(SCSI_DIR_NONE, CDB(0x1b, 0, 0, 0, 0, 0), 0),
			  SENSE_TARGET_FAILURE);
	ck_assert_uint_eq(r->dev->n_log, 1);
	/* Reading and writing go on: the guest may want to save what it can. */
	ck_assert_uint_eq(outcome_of(SCSI_DIR_IN, CDB(READ10(0, 1)), 512), 0);
	ck_assert_uint_eq(outcome_of(SCSI_DIR_OUT, CDB(WRITE10(0, 1)), 512), 0);
	rig_reattach(r); /* reopened */
	ck_assert_uint_eq(outcome_of(SCSI_DIR_NONE, CDB(SYNC10), 0), 0);
}
END_TEST

START_TEST(cancelled_flush_is_no_failure)
{
	r->dev->error[BLK_FLUSH] = -ECANCELED;
	ck_assert_uint_eq(NODATA(r, SYNC10), SENSE_ABORTED);
	r->dev->error[BLK_FLUSH] = 0;
	ck_assert_uint_eq(NODATA(r, SYNC10), 0);
}
END_TEST

START_TEST(engine_knows_of_a_failed_flush)
{
	/* Another LUN over the same device saw it. */
	r->dev->flush_failed = true;
	ck_assert_uint_eq(NODATA(r, SYNC10), SENSE_TARGET_FAILURE);
	ck_assert_uint_eq(OUT(r, 512, WRITE10_FUA(0, 1)), SENSE_TARGET_FAILURE);
	ck_assert_uint_eq(r->dev->n_log, 0);
	/* A FUA write in flight when it happened must not ask for a retry either. */
	r->dev->flush_failed = false;
	r->dev->delayed = true;
	r->dev->error[BLK_WRITE] = -EIO;
	rig_send(r, 0, CDB(WRITE10_FUA(0, 1)), SCSI_DIR_OUT, 512);
	r->dev->flush_failed = true;
	fake_blk_run(r->q);
	ck_assert_uint_eq(rig_result(r), SENSE_TARGET_FAILURE);
}
END_TEST

static void add_data_tests(TCase *t)
{
	tcase_add_loop_test(t, forms_inline, 0, ARRAY_SIZE(forms));
	tcase_add_loop_test(t, forms_delayed, 0, ARRAY_SIZE(forms));
	tcase_add_test(t, buffer_goes_straight_to_the_engine);
	tcase_add_test(t, four_k_blocks);
	tcase_add_test(t, larger_buffer_is_cut);
	tcase_add_test(t, S12_smaller_buffer_is_refused);
	tcase_add_test(t, S11_length_beyond_the_scatter_list);
	tcase_add_test(t, transfer_limit);
	tcase_add_test(t, no_memory_for_a_cut_list);
	tcase_add_loop_test(t, S15_ranges, 0, ARRAY_SIZE(ranges));
	tcase_add_test(t, S16_count_zero);
	tcase_add_test(t, protect_bits_and_friends);
	tcase_add_test(t, S13_direction_contradicts_the_opcode);
	tcase_add_loop_test(t, S17_read_only_disk, 0, 2);
}

static void add_error_tests(TCase *t)
{
	tcase_add_loop_test(t, every_error, 0, 2 * ARRAY_SIZE(mappings));
	tcase_add_test(t, read_error_far_out_has_no_information);
	tcase_add_loop_test(t, failed_flush_stays_failed, 0, 2);
	tcase_add_test(t, cancelled_flush_is_no_failure);
	tcase_add_test(t, engine_knows_of_a_failed_flush);
}

int main(void)
{
	Suite *s = suite_create("scsi_rw");
	TCase *data = tcase_create("data"), *errors = tcase_create("errors");

	tcase_add_checked_fixture(data, setup, teardown);
	add_data_tests(data);
	suite_add_tcase(s, data);
	tcase_add_checked_fixture(errors, setup, teardown);
	add_error_tests(errors);
	suite_add_tcase(s, errors);
	return rig_main(s);
}
