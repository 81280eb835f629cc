/* SPDX-License-Identifier: MIT */
/* GET LBA STATUS (spec: scsi-target, sections 9.3 and 17). */
#include "tests/ut/vsp/scsi_rig.h"

static struct rig *r;

#define BLOCKS		 16384u /* small: sanitizers shadow what the fake looks through */
#define STATUS(lba, len) 0x9e, 0x12, L64(lba), L32(len), 0, 0

static void setup(void)
{
	r = rig_new();
	fake_blk_resize(r->dev, BLOCKS * 512, 512);
	r->dev->info.discard_granularity = 4096;
	rig_reattach(r);
}

static void teardown(void)
{
	rig_free(r);
}

static uint32_t ask(uint64_t lba, uint32_t alloc)
{
	rig_send(r, 0, CDB(STATUS(lba, alloc)), SCSI_DIR_IN, alloc < 8192 ? alloc : 8192);
	fake_blk_run(r->q);
	return rig_result(r);
}

static void expect(uint32_t n, uint64_t lba, uint32_t count, uint8_t state)
{
	const uint8_t *e = r->data + 8 + 16 * n;

	ck_assert_uint_eq(be64_at(e), lba);
	ck_assert_uint_eq(be32_at(e + 8), count);
	ck_assert_uint_eq(be32_at(e + 12), (uint32_t)state << 24);
}

static void write_units(uint32_t unit, uint32_t n)
{
	memset(r->dev->ram + unit * 4096, 0x77, n * 4096);
}

/* Runs are merged however the engine cuts them. */
START_TEST(runs)
{
	write_units(2, 3);
	write_units(100, 1);
	r->dev->delayed = _i & 1;
	r->dev->status_max = _i & 2 ? 4096 : 0;
	r->dev->no_log = true;
	ck_assert_uint_eq(ask(0, 8192), 0);
	ck_assert_uint_eq(r->task.transferred, 8 + 5 * 16);
	ck_assert_uint_eq(be64_at(r->data), (uint64_t)(4 + 5 * 16) << 32);
	expect(0, 0, 16, 1);
	expect(1, 16, 24, 0);
	expect(2, 40, 760, 1);
	expect(3, 800, 8, 0);
	expect(4, 808, 16384 - 808, 1);
	ck_assert_uint_eq(ask(20, 40), 0); /* from the middle; two fit */
	ck_assert_uint_eq(r->task.transferred, 40);
	ck_assert_uint_eq(be32_at(r->data), 36);
	expect(0, 20, 20, 0);
	expect(1, 40, 760, 1);
}
END_TEST

/* GetLBAStatus.Simple, BeyondEol */
START_TEST(range)
{
	static const uint64_t beyond[] = { BLOCKS, BLOCKS + 1, 1ull << 63, UINT64_MAX };

	for (uint64_t lba = 0; lba < BLOCKS; lba += 1021) {
		ck_assert_uint_eq(ask(lba, 24), 0);
		ck_assert_uint_eq(r->task.transferred, 24);
		expect(0, lba, (uint32_t)(BLOCKS - lba), 1);
	}
	ck_assert_uint_eq(ask(BLOCKS - 1, 24), 0);
	expect(0, BLOCKS - 1, 1, 1);
	for (size_t i = 0; i < ARRAY_SIZE(beyond); i++)
		ck_assert_uint_eq(ask(beyond[i], 24), SENSE_LBA_RANGE);
}
END_TEST

START_TEST(S21_allocation_lengths)
{
	uint8_t all[24];

	write_units(0, 1);
	ask(0, 24);
	memcpy(all, r->data, 24);
	for (uint32_t alloc = 0; alloc < 40; alloc++) {
		r->pieces = alloc % 3;
		ck_assert_uint_eq(ask(0, alloc), 0);
		rig_expect_data(r, all, alloc < 24 ? alloc : 24);
	}
	r->pieces = 0;
	ck_assert_uint_eq(IN(r, 10, STATUS(0, UINT32_MAX)), 0);
	rig_expect_data(r, all, 10);
}
END_TEST

/* GetLBAStatus.UnmapSingle */
START_TEST(unmap_one_of_many)
{
	write_units(0, 32);
	memset(r->data, 0, 24);
	be16_put(r->data, 22);
	be16_put(r->data + 2, 16);
	be64_put(r->data + 8, 8);
	be32_put(r->data + 16, 8);
	ck_assert_uint_eq(OUT(r, 24, UNMAP10(24)), 0);
	ask(0, 24);
	expect(0, 0, 8, 0);
	ask(8, 24);
	expect(0, 8, 8, 1);
	ask(16, 24);
	expect(0, 16, 240, 0);
	ask(9, 24); /* inside: from there on */
	expect(0, 9, 7, 1);
	ask(17, 24);
	expect(0, 17, 239, 0);
}
END_TEST

START_TEST(not_thin_is_mapped)
{
	r->dev->info.discard_granularity = 0;
	rig_reattach(r);
	ck_assert_uint_eq(ask(5, 100), 0);
	ck_assert_uint_eq(r->task.transferred, 24);
	expect(0, 5, BLOCKS - 5, 0);
	ck_assert_uint_eq(r->dev->n_log, 0);
}
END_TEST

/* The end is that of the moment the command came; which state a block is in may be anybody's. */
START_TEST(resized_disk)
{
	for (int thin = 0; thin < 2; thin++) {
		r->dev->info.discard_granularity = thin ? 4096 : 0;
		rig_reattach(r);
		r->dev->info.size = BLOCKS / 2 * 512;
		scsi_lun_resized(r->lun);
		ck_assert_uint_eq(NODATA(r, 0, 0, 0, 0, 0, 0), SENSE_CAPACITY_CHANGED);
		ck_assert_uint_eq(ask(BLOCKS / 2, 24), SENSE_LBA_RANGE);
		ck_assert_uint_eq(ask(BLOCKS / 2 - 3, 24), 0);
		expect(0, BLOCKS / 2 - 3, 3, (uint8_t)thin);
		r->dev->info.size = BLOCKS * 512;
	}
}
END_TEST

START_TEST(large_disk)
{
	fake_blk_resize(r->dev, 1ull << 43, 512); /* 2^34 blocks: more than one count holds */
	rig_reattach(r);
	ck_assert_uint_eq(ask(0, 1024), 0);
	ck_assert_uint_eq(r->task.transferred, 8 + 5 * 16);
	expect(0, 0, UINT32_MAX, 1);
	expect(1, UINT32_MAX, UINT32_MAX, 1);
	expect(4, 4ull * UINT32_MAX, 4, 1);
}
END_TEST

START_TEST(S18_bounded_and_aborted)
{
	for (uint32_t unit = 0; unit < 2048; unit += 2)
		write_units(unit, 1);
	rig_send(r, 0, CDB(STATUS(0, UINT32_MAX)), SCSI_DIR_IN, 65536);
	ck_assert(r->pending);
	ck_assert_uint_le(r->dev->n_log, 16); /* then it is somebody else's turn */
	fake_blk_run(r->q);
	ck_assert_uint_eq(rig_result(r), 0);
	ck_assert_uint_eq(r->task.transferred, 8 + 256 * 16);
	rig_send(r, 0, CDB(STATUS(0, UINT32_MAX)), SCSI_DIR_IN, 65536);
	scsi_task_abort(&r->task);
	fake_blk_run(r->q);
	ck_assert_uint_eq(rig_result(r), SENSE_ABORTED);
	r->dev->error[BLK_STATUS] = -EIO;
	ck_assert_uint_eq(ask(0, 24), SENSE_READ_ERROR);
	r->lun->scratch = SCSI_SCRATCH_MAX;
	ask(0, 24);
	ck_assert_uint_eq(r->task.status, SCSI_TASK_SET_FULL);
	r->lun->scratch = 0;
}
END_TEST

int main(void)
{
	Suite *s = suite_create("scsi_status");
	TCase *t = tcase_create("status");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, runs, 0, 4);
	tcase_add_test(t, range);
	tcase_add_test(t, S21_allocation_lengths);
	tcase_add_test(t, unmap_one_of_many);
	tcase_add_test(t, not_thin_is_mapped);
	tcase_add_test(t, resized_disk);
	tcase_add_test(t, large_disk);
	tcase_add_test(t, S18_bounded_and_aborted);
	suite_add_tcase(s, t);
	return rig_main(s);
}
