/* SPDX-License-Identifier: MIT */
/* VERIFY and WRITE AND VERIFY (spec: scsi-target, sections 7 and 17). */
#include "tests/ut/vsp/scsi_rig.h"

static struct rig *r;

#define BLOCKS 131072u
#define PERIOD (128u << 10)
#define FILLED (1u << 20) /* more than any test looks at */

/* No two blocks of a period are the same. Made once: under sanitizers each byte costs. */
static void setup(void)
{
	static uint8_t period[PERIOD];

	r = rig_new();
	if (!period[1])
		for (uint32_t i = 0; i < PERIOD; i++)
			period[i] = (uint8_t)(i * 7 + (i >> 9));
	for (uint32_t at = 0; at < FILLED; at += PERIOD)
		memcpy(r->dev->ram + at, period, PERIOD);
}

static void teardown(void)
{
	rig_free(r);
}

/* The three lengths of each command; @row: its place in them. */
static const uint8_t verify_ops[] = { 0x2f, 0xaf, 0x8f }, write_ops[] = { 0x2e, 0xae, 0x8e };

static uint32_t send(uint8_t opcode, uint8_t byte1, uint64_t lba, uint32_t count, uint32_t len)
{
	uint8_t cdb[16] = { opcode, byte1 };
	uint32_t cdb_len = opcode >> 5 == 1 ? 10 : opcode >> 5 == 5 ? 12 : 16;

	be32_put(cdb + 2, (uint32_t)lba);
	if (cdb_len == 10)
		be16_put(cdb + 7, (uint16_t)count);
	if (cdb_len == 12)
		be32_put(cdb + 6, count);
	if (cdb_len == 16) {
		be64_put(cdb + 2, lba);
		be32_put(cdb + 10, count);
	}
	rig_send(r, 0, cdb, cdb_len, len ? SCSI_DIR_OUT : SCSI_DIR_NONE, len);
	fake_blk_run(r->q);
	return rig_result(r);
}

#define BYTCHK1 0x02
#define BYTCHK2 0x04
#define BYTCHK3 0x06
#define DPO	0x10

static void as_on_disk(uint64_t lba, uint32_t count)
{
	memcpy(r->data, r->dev->ram + lba * 512, count * 512);
}

/* Verify*.Simple: 1..256 blocks at both ends. Everything again with an engine that takes time. */
START_TEST(verify_simple)
{
	uint8_t op = verify_ops[_i % 3];

	r->dev->delayed = _i >= 3;
	for (uint32_t n = 1; n <= 256; n += 51) {
		as_on_disk(0, n);
		ck_assert_uint_eq(send(op, BYTCHK1, 0, n, n * 512), 0);
		ck_assert_uint_eq(r->task.transferred, n * 512);
		as_on_disk(BLOCKS - n, n);
		ck_assert_uint_eq(send(op, BYTCHK1, BLOCKS - n, n, n * 512), 0);
		ck_assert_uint_eq(send(op, 0, BLOCKS - n, n, 0), 0);
		ck_assert_uint_eq(r->task.transferred, 0);
	}
	for (uint32_t i = 0; i < r->dev->n_log; i++)
		ck_assert_uint_eq(r->dev->log[i].op, BLK_READ);
}
END_TEST

/* Verify*.BeyondEol, ZeroBlocks. */
START_TEST(verify_range)
{
	uint8_t op = verify_ops[_i];

	for (uint32_t byte1 = 0; byte1 <= BYTCHK1; byte1 += BYTCHK1) {
		for (uint32_t n = 1; n <= 256; n *= 2)
			ck_assert_uint_eq(send(op, byte1, BLOCKS + 1 - n, n, n * 512),
					  SENSE_LBA_RANGE);
		ck_assert_uint_eq(send(op, byte1, 0, 0, 0), 0);
		ck_assert_uint_eq(send(op, byte1, BLOCKS, 0, 0), 0);
		ck_assert_uint_eq(send(op, byte1, BLOCKS + 1, 0, 0), SENSE_LBA_RANGE);
		ck_assert_uint_eq(send(op, byte1, UINT32_MAX, 1, 512), SENSE_LBA_RANGE);
	}
	ck_assert_uint_eq(send(0x8f, 0, UINT64_MAX, 2, 0), SENSE_LBA_RANGE);
	ck_assert_uint_eq(send(0x8f, 0, UINT64_MAX, UINT32_MAX, 0), SENSE_LBA_RANGE);
	ck_assert_uint_eq(r->dev->n_log, 0);
}
END_TEST

/* Verify*.VerifyProtect, Flags, Dpo; the field comes before the range and the write protection. */
START_TEST(fields)
{
	uint8_t op = _i < 3 ? verify_ops[_i] : write_ops[_i - 3];

	for (uint32_t protect = 1; protect < 8; protect++)
		ck_assert_uint_eq(send(op, (uint8_t)(protect << 5), BLOCKS, 1, 512),
				  SENSE_CDB_FIELD);
	ck_assert_uint_eq(send(op, 0x08, 0, 1, 512), SENSE_CDB_FIELD);
	ck_assert_uint_eq(send(op, 0x01, 0, 1, 512), SENSE_CDB_FIELD);
	ck_assert_uint_eq(send(op, BYTCHK2, 0, 1, 512), SENSE_CDB_FIELD);
	ck_assert_uint_eq(send(op, DPO, 0, 1, 512), 0);
	r->dev->info.fua = false;
	r->dev->info.readonly = true;
	rig_reattach(r);
	ck_assert_uint_eq(send(op, DPO, 0, 1, 512), SENSE_CDB_FIELD);
	ck_assert_uint_eq(send(op, 0, BLOCKS, 1, 512), SENSE_LBA_RANGE);
	ck_assert_uint_eq(send(op, 0, 0, 1, 512), _i < 3 ? 0 : SENSE_WRITE_PROTECTED);
}
END_TEST

/* Verify*.Mismatch, MismatchNoCmp. */
START_TEST(miscompare_tells_where)
{
	static const uint32_t at[] = { 0, 1, 485, 511, 512, 300000, 599 * 512 + 511 };
	uint8_t op = verify_ops[_i % 3];

	r->dev->delayed = _i >= 3;
	r->pieces = 7;
	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		as_on_disk(8, 600);
		r->data[at[i]] ^= 0x80;
		r->data[599 * 512 + 511] ^= 0x80; /* only the first counts */
		ck_assert_uint_eq(send(op, BYTCHK1, 8, 600, 600 * 512),
				  at[i] == 599 * 512 + 511 ? 0 : SENSE_MISCOMPARE);
		if (at[i] != 599 * 512 + 511)
			ck_assert_uint_eq(be32_at(r->task.sense + 3), at[i]);
		ck_assert_uint_eq(send(op, 0, 8, 600, 600 * 512), 0);
	}
}
END_TEST

START_TEST(miscompare_golden)
{
	static const uint8_t sense[] = { 0xf0, 0, 0x0e, 0,    0, 0x01, 0xe5, 0x0a, 0,
					 0,    0, 0,	0x1d, 0, 0,    0,    0,	   0 };

	as_on_disk(0, 1);
	r->data[485]++;
	ck_assert_uint_eq(send(0x2f, BYTCHK1, 0, 1, 512), SENSE_MISCOMPARE);
	ck_assert_mem_eq(r->task.sense, sense, sizeof(sense));
}
END_TEST

START_TEST(one_block_against_all)
{
	uint8_t op = verify_ops[_i];

	for (uint32_t i = 0; i < 1000; i++)
		memcpy(r->dev->ram + i * 512, r->dev->ram, 512);
	as_on_disk(0, 1);
	ck_assert_uint_eq(send(op, BYTCHK3, 0, 1000, 512), 0);
	ck_assert_uint_eq(r->task.transferred, 512);
	ck_assert_uint_eq(send(op, BYTCHK3, 0, 1000, 511), SENSE_CDB_FIELD);
	r->dev->ram[900 * 512 + 17]++;
	as_on_disk(0, 1);
	ck_assert_uint_eq(send(op, BYTCHK3, 0, 1000, 512), SENSE_MISCOMPARE);
	ck_assert_uint_eq(be32_at(r->task.sense + 3), 17);
	ck_assert_uint_eq(send(op, BYTCHK3, 0, 0, 0), 0);
}
END_TEST

START_TEST(buffers_that_do_not_match)
{
	static const uint32_t have[] = { 0, 1, 511, 512, 2047 };

	for (size_t i = 0; i < ARRAY_SIZE(have); i++) {
		ck_assert_uint_eq(send(0x2f, BYTCHK1, 0, 4, have[i]), SENSE_CDB_FIELD);
		ck_assert_uint_eq(send(0x2e, 0, 0, 4, have[i]), SENSE_CDB_FIELD);
		ck_assert_uint_eq(send(0x8e, BYTCHK1, 0, 4, have[i]), SENSE_CDB_FIELD);
	}
	ck_assert_uint_eq(r->dev->n_log, 0);
	as_on_disk(0, 5);
	r->data[2048]++; /* behind what counts */
	ck_assert_uint_eq(send(0x2f, BYTCHK1, 0, 4, 2060), 0);
	ck_assert_uint_eq(r->task.transferred, 2048);
	ck_assert_uint_eq(send(0x2e, BYTCHK1, 0, 4, 2060), 0);
	ck_assert_uint_eq(r->task.transferred, 2048);
	/* over the transfer limit, with enough data */
	ck_assert_uint_eq(send(0x8f, BYTCHK1, 0, 8193, 4096), SENSE_CDB_FIELD);
	/* S11: the list is shorter than its length */
	rig_prepare(r, CDB(0x2f, BYTCHK1, L32(0), 0, L16(8), 0), SCSI_DIR_OUT, 2048);
	r->task.data_len = UINT32_MAX;
	ck_assert(scsi_execute(r->target, 0, &r->task));
	ck_assert_uint_eq(rig_result(r), SENSE_CDB_FIELD);
	rig_prepare(r, CDB(0x2e, BYTCHK1, L32(0), 0, L16(8), 0), SCSI_DIR_OUT, 2048);
	r->task.data_len = UINT32_MAX;
	ck_assert(scsi_execute(r->target, 0, &r->task));
	ck_assert_uint_eq(rig_result(r), SENSE_CDB_FIELD);
}
END_TEST

START_TEST(read_error_tells_the_block)
{
	r->dev->error[BLK_READ] = -EIO;
	r->dev->error_after = 1;
	r->dev->delayed = _i;
	ck_assert_uint_eq(send(0x2f, 0, 100, 600, 0), SENSE_READ_ERROR);
	ck_assert_uint_eq(be32_at(r->task.sense + 3), 100 + 512);
}
END_TEST

/* WriteVerify*.Simple: the data is there, durable, and was read again. */
START_TEST(write_verify_writes)
{
	uint8_t op = write_ops[_i % 3];

	r->dev->delayed = _i >= 3;
	for (uint32_t byte1 = 0; byte1 <= BYTCHK1; byte1 += BYTCHK1) {
		for (uint32_t i = 0; i < 600 * 512; i++)
			r->data[i] = (uint8_t)(i * 3 + (i >> 9) + byte1);
		r->dev->n_log = 0;
		ck_assert_uint_eq(send(op, byte1, 50, 600, 600 * 512), 0);
		ck_assert_uint_eq(r->task.transferred, 600 * 512);
		ck_assert_mem_eq(r->dev->ram + 50 * 512, r->data, 600 * 512);
		ck_assert_uint_eq(r->dev->n_log, 4);
		ck_assert_uint_eq(r->dev->log[0].op, BLK_WRITE);
		ck_assert_uint_eq(r->dev->log[0].flags, BLK_REQ_FUA);
		ck_assert_uint_eq(r->dev->log[1].op, BLK_READ);
	}
	ck_assert_uint_eq(send(op, BYTCHK3, 0, 1, 512), SENSE_CDB_FIELD);
	ck_assert_uint_eq(send(op, 0, BLOCKS, 1, 512), SENSE_LBA_RANGE);
	ck_assert_uint_eq(send(op, 0, BLOCKS, 0, 0), 0);
	ck_assert_uint_eq(send(op, 0, BLOCKS + 1, 0, 0), SENSE_LBA_RANGE);
	r->dev->error[BLK_WRITE] = -ENOSPC;
	ck_assert_uint_eq(send(op, 0, 0, 1, 512), SENSE_SPACE_ALLOCATION);
	r->dev->error[BLK_WRITE] = 0;
	r->dev->flush_failed = true; /* nothing is durable any more */
	ck_assert_uint_eq(send(op, 0, 0, 1, 512), SENSE_TARGET_FAILURE);
}
END_TEST

/* What was written is what gets compared, whatever the initiator does to its memory. */
START_TEST(write_verify_compares_its_own_copy)
{
	r->dev->delayed = true;
	memset(r->data, 0x11, 512);
	rig_send(r, 0, CDB(0x2e, BYTCHK1, L32(9), 0, L16(1), 0), SCSI_DIR_OUT, 512);
	memset(r->data, 0x22, 512);
	fake_blk_run(r->q);
	ck_assert_uint_eq(rig_result(r), 0);
	ck_assert(all_are(r->dev->ram + 9 * 512, 512, 0x11));
	/* The medium is at fault: that is noticed. */
	rig_send(r, 0, CDB(0x2e, BYTCHK1, L32(9), 0, L16(1), 0), SCSI_DIR_OUT, 512);
	fake_blk_run_one(r->q);
	r->dev->ram[9 * 512 + 3]++;
	fake_blk_run(r->q);
	ck_assert_uint_eq(rig_result(r), SENSE_MISCOMPARE);
	ck_assert_uint_eq(be32_at(r->task.sense + 3), 3);
}
END_TEST

START_TEST(S18_pieces_turns_and_abort)
{
	fake_blk_resize(r->dev, 1ull << 40, 4096);
	rig_reattach(r);
	rig_send(r, 0, CDB(0x8f, 0, L64(0), L32(1u << 20), 0, 0), SCSI_DIR_NONE, 0);
	ck_assert(r->pending); /* an engine that answers at once must not hold the loop for 4 GiB */
	ck_assert_uint_le(r->dev->n_log, 16);
	ck_assert(fake_blk_call_one(r->q));
	ck_assert_uint_le(r->dev->n_log, 32);
	scsi_task_abort(&r->task);
	fake_blk_run(r->q);
	ck_assert_uint_eq(rig_result(r), SENSE_ABORTED);
	ck_assert_uint_eq(r->finished, 1);
	for (uint32_t i = 0; i < r->dev->n_log; i++)
		ck_assert_uint_le(r->dev->log[i].len, 256 << 10);
	/* To the end, without. */
	r->dev->no_log = true;
	rig_send(r, 0, CDB(0x8f, 0, L64(0), L32(1u << 16), 0, 0), SCSI_DIR_NONE, 0);
	fake_blk_run(r->q);
	ck_assert_uint_eq(rig_result(r), 0);
}
END_TEST

START_TEST(memory_is_bounded)
{
	r->lun->scratch = SCSI_SCRATCH_MAX - 1023;
	send(0x2f, 0, 0, 1, 0);
	ck_assert_uint_eq(r->task.status, SCSI_TASK_SET_FULL);
	send(0x2e, 0, 0, 1, 512);
	ck_assert_uint_eq(r->task.status, SCSI_TASK_SET_FULL);
	r->lun->scratch = 0;
}
END_TEST

int main(void)
{
	Suite *s = suite_create("scsi_verify");
	TCase *t = tcase_create("verify");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, verify_simple, 0, 6);
	tcase_add_loop_test(t, verify_range, 0, 3);
	tcase_add_loop_test(t, fields, 0, 6);
	tcase_add_loop_test(t, miscompare_tells_where, 0, 6);
	tcase_add_test(t, miscompare_golden);
	tcase_add_loop_test(t, one_block_against_all, 0, 3);
	tcase_add_test(t, buffers_that_do_not_match);
	tcase_add_loop_test(t, read_error_tells_the_block, 0, 2);
	tcase_add_loop_test(t, write_verify_writes, 0, 6);
	tcase_add_test(t, write_verify_compares_its_own_copy);
	tcase_add_test(t, S18_pieces_turns_and_abort);
	tcase_add_test(t, memory_is_bounded);
	suite_add_tcase(s, t);
	return rig_main(s);
}
