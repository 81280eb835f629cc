/* SPDX-License-Identifier: MIT */
/*
 * COMPARE AND WRITE and ORWRITE (spec: scsi-target, sections 7 and 17), and what else may run
 * meanwhile. Other tasks live beside the rig's, on queues of their own: other loops.
 */
#include "tests/ut/vsp/scsi_rig.h"

static struct rig *r;

#define BLOCKS		   131072u
#define CAW(f, lba, n)	   0x89, f, L64(lba), 0, 0, 0, n, 0, 0
#define ORWRITE(f, lba, n) 0x8b, f, L64(lba), L32(n), 0, 0

static void setup(void)
{
	r = rig_new();
	scsi_shard(); /* has counters now: its WRITEs are counted, not registered */
	memset(r->dev->ram, 0x11, 1 << 20);
}

static void teardown(void)
{
	ck_assert_ptr_null(r->lun->range_held);
	ck_assert_ptr_null(r->lun->range_waiting);
	ck_assert_uint_eq(r->lun->strict, 0);
	ck_assert_uint_eq(r->lun->exclusives, 0);
	rig_free(r);
}

static uint32_t result(void)
{
	fake_blk_run(r->q);
	return rig_result(r);
}

static uint32_t caw(uint8_t flags, uint64_t lba, uint32_t n, uint32_t len)
{
	rig_send(r, 0, CDB(CAW(flags, lba, (uint8_t)n)), SCSI_DIR_OUT, len);
	return result();
}

/* The buffer: what @n blocks at @lba hold, then @fill. */
static void caw_data(uint64_t lba, uint32_t n, int fill)
{
	memcpy(r->data, r->dev->ram + lba * 512, n * 512);
	memset(r->data + n * 512, fill, n * 512);
}

/* ---- COMPARE AND WRITE ------------------------------------------------------------------- */

/* CompareAndWrite.Simple, Unwritten: 1..255 blocks at both ends. */
START_TEST(caw_simple)
{
	static const uint8_t counts[] = { 1, 2, 8, 100, 255 };

	r->dev->delayed = _i;
	for (size_t i = 0; i < sizeof(counts); i++) {
		uint32_t n = counts[i];

		for (int end = 0; end < 2; end++) {
			uint64_t lba = end ? BLOCKS - n : 0;

			caw_data(lba, n, 0x40 + (int)i);
			r->dev->n_log = 0;
			ck_assert_uint_eq(caw(0, lba, n, 2 * n * 512), 0);
			ck_assert_uint_eq(r->task.transferred, 2 * n * 512);
			ck_assert(all_are(r->dev->ram + lba * 512, n * 512, (uint8_t)(0x40 + i)));
			ck_assert_uint_eq(r->dev->n_log, 2);
			ck_assert_uint_eq(r->dev->log[1].flags, 0);
		}
	}
}
END_TEST

START_TEST(caw_golden)
{
	memset(r->data, 0x11, 512);
	memset(r->data + 512, 0x22, 512);
	rig_send(r, 0, CDB(0x89, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 1, 0, 0), SCSI_DIR_OUT,
		 1024);
	ck_assert_uint_eq(result(), 0);
	ck_assert(all_are(r->dev->ram + 16 * 512, 512, 0x22));
	ck_assert_uint_eq(r->dev->ram[17 * 512], 0x11);
	ck_assert_uint_eq(r->dev->ram[16 * 512 - 1], 0x11);
}
END_TEST

/* CompareAndWrite.Miscompare, MiscompareSense. */
START_TEST(caw_miscompare)
{
	static const uint8_t sense[] = { 0xf0, 0, 0x0e, 0,    0, 0x01, 0xe5, 0x0a, 0,
					 0,    0, 0,	0x1d, 0, 0,    0,    0,	   0 };
	static const uint32_t at[] = { 0, 1, 485, 512, 255 * 512 - 1 };

	r->dev->delayed = _i;
	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		caw_data(3, 255, 0x99);
		r->data[at[i]] = 0x12;
		ck_assert_uint_eq(caw(0, 3, 255, 2 * 255 * 512), SENSE_MISCOMPARE);
		ck_assert_uint_eq(r->task.sense[0], 0xf0);
		ck_assert_uint_eq(be32_at(r->task.sense + 3), at[i]);
		if (at[i] == 485)
			ck_assert_mem_eq(r->task.sense, sense, sizeof(sense));
	}
	ck_assert(all_are(r->dev->ram, 1 << 20, 0x11));
	for (uint32_t i = 0; i < r->dev->n_log; i++)
		ck_assert_uint_eq(r->dev->log[i].op, BLK_READ);
}
END_TEST

/* CompareAndWrite.InvalidDataOutSize, DpoFua, and what is wrong with a CDB. */
START_TEST(caw_refused)
{
	static const uint32_t wrong[] = { 0, 512, 1023, 1025, 2048 };

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		ck_assert_uint_eq(caw(0, 0, 1, wrong[i]), SENSE_CDB_FIELD);
	for (int i = 10; i < 13; i++) { /* a count over 255 */
		uint8_t cdb[16] = { CAW(0, 0, 1) };

		cdb[i] = 1;
		rig_send(r, 0, cdb, 16, SCSI_DIR_OUT, 1024);
		ck_assert_uint_eq(rig_result(r), SENSE_CDB_FIELD);
	}
	for (uint32_t protect = 1; protect < 8; protect++)
		ck_assert_uint_eq(caw((uint8_t)(protect << 5), BLOCKS, 1, 1024), SENSE_CDB_FIELD);
	ck_assert_uint_eq(caw(0, BLOCKS, 1, 1024), SENSE_LBA_RANGE);
	ck_assert_uint_eq(caw(0, UINT64_MAX, 255, 1024), SENSE_LBA_RANGE);
	ck_assert_uint_eq(caw(0, BLOCKS, 0, 0), 0);
	/* What becomes of 256 blocks in one byte; no blocks have no data. */
	ck_assert_uint_eq(caw(0, 0, 0, 2 * 256 * 512), SENSE_CDB_FIELD);
	ck_assert_uint_eq(caw(0, 0, 0, 1), SENSE_CDB_FIELD);
	ck_assert_uint_eq(caw(0, BLOCKS + 1, 0, 0), SENSE_LBA_RANGE);
	ck_assert_uint_eq(r->dev->n_log, 0);
	caw_data(0, 1, 1);
	ck_assert_uint_eq(caw(0x18, 0, 1, 1024), 0);
	ck_assert_uint_eq(r->dev->log[1].flags, BLK_REQ_FUA);
	r->dev->flush_failed = true;
	ck_assert_uint_eq(caw(0x08, 0, 1, 1024), SENSE_TARGET_FAILURE);
	r->dev->info.fua = false;
	r->dev->info.readonly = true;
	rig_reattach(r);
	ck_assert_uint_eq(caw(0x10, 0, 1, 1024), SENSE_CDB_FIELD);
	ck_assert_uint_eq(caw(0x08, 0, 1, 1024), SENSE_CDB_FIELD);
	ck_assert_uint_eq(caw(0, 0, 1, 1024), SENSE_WRITE_PROTECTED);
	rig_send(r, 0, CDB(ORWRITE(0, 0, 1)), SCSI_DIR_OUT, 512);
	ck_assert_uint_eq(rig_result(r), SENSE_WRITE_PROTECTED);
}
END_TEST

START_TEST(errors_and_memory)
{
	r->dev->delayed = _i;
	caw_data(5, 1, 1);
	r->dev->error[BLK_READ] = -EIO;
	ck_assert_uint_eq(caw(0, 5, 1, 1024), SENSE_READ_ERROR);
	ck_assert_uint_eq(be32_at(r->task.sense + 3), 5);
	r->dev->error[BLK_READ] = 0;
	r->dev->error[BLK_WRITE] = -EIO;
	ck_assert_uint_eq(caw(0, 5, 1, 1024), SENSE_WRITE_ERROR);
	r->dev->error[BLK_WRITE] = 0;
	r->lun->scratch = SCSI_SCRATCH_MAX - 1023;
	caw(0, 5, 1, 1024);
	ck_assert_uint_eq(r->task.status, SCSI_TASK_SET_FULL);
	rig_send(r, 0, CDB(ORWRITE(0, 0, 1)), SCSI_DIR_OUT, 512);
	ck_assert_uint_eq(r->task.status, SCSI_TASK_SET_FULL);
	r->lun->scratch = 0;
	/* S11: a list shorter than its length */
	rig_prepare(r, CDB(CAW(0, 0, 4)), SCSI_DIR_OUT, 512);
	r->task.data_len = 4096;
	ck_assert(scsi_execute(r->target, 0, &r->task));
	ck_assert_uint_eq(rig_result(r), SENSE_CDB_FIELD);
	rig_prepare(r, CDB(ORWRITE(0, 0, 4)), SCSI_DIR_OUT, 512);
	r->task.data_len = 4096;
	ck_assert(scsi_execute(r->target, 0, &r->task));
	ck_assert_uint_eq(rig_result(r), SENSE_CDB_FIELD);
}
END_TEST

/* ---- ORWRITE --------------------------------------------------------------------------------- */

START_TEST(orwrite)
{
	r->dev->delayed = _i;
	r->pieces = 5;
	for (uint32_t i = 0; i < 1000 * 512; i++)
		r->data[i] = (uint8_t)(i >> 9);
	rig_send(r, 0, CDB(ORWRITE(0, 7, 1000)), SCSI_DIR_OUT, 1000 * 512 + 3);
	ck_assert_uint_eq(result(), 0);
	ck_assert_uint_eq(r->task.transferred, 1000 * 512);
	for (uint32_t i = 0; i < 1000; i++)
		ck_assert(all_are(r->dev->ram + (7 + i) * 512, 512, (uint8_t)(0x11 | i)));
	ck_assert_uint_eq(r->dev->ram[7 * 512 - 1], 0x11);
	ck_assert_uint_eq(r->dev->ram[1007 * 512], 0x11);
	rig_send(r, 0, CDB(ORWRITE(0x18, 7, 1)), SCSI_DIR_OUT, 512);
	ck_assert_uint_eq(result(), 0);
	ck_assert_uint_eq(r->dev->log[r->dev->n_log - 1].flags, BLK_REQ_FUA);
	ck_assert_uint_eq(OUT(r, 511, ORWRITE(0, 7, 1)), SENSE_CDB_FIELD);
	ck_assert_uint_eq(OUT(r, 512, ORWRITE(0x20, 7, 1)), SENSE_CDB_FIELD);
	ck_assert_uint_eq(OUT(r, 512, ORWRITE(0, BLOCKS, 1)), SENSE_LBA_RANGE);
	ck_assert_uint_eq(OUT(r, 0, ORWRITE(0, BLOCKS, 0)), 0);
	ck_assert_uint_eq(OUT(r, 0, ORWRITE(0, BLOCKS + 1, 0)), SENSE_LBA_RANGE);
}
END_TEST

/* ---- with others around ------------------------------------------------------------------------
 */

struct other {
	struct scsi_task task;
	struct iovec iov;
	uint8_t data[2048];
	bool done;
};

static void other_done(struct scsi_task *t)
{
	container_of(t, struct other, task)->done = true;
}

static struct other *other_new(uint8_t fill)
{
	struct other *o = calloc(1, sizeof(*o));

	memset(&o->task, PAINT, sizeof(o->task));
	memset(o->data, fill, sizeof(o->data));
	o->task.queue = fake_blk_queue(r->dev);
	o->task.done = other_done;
	return o;
}

static void other_send(struct other *o, const uint8_t *cdb, uint32_t cdb_len, uint32_t len)
{
	memcpy(o->task.cdb, cdb, cdb_len);
	o->task.cdb_len = (uint8_t)cdb_len;
	o->task.data_dir = SCSI_DIR_OUT;
	o->iov = (struct iovec){ o->data, len };
	o->task.iov = &o->iov;
	o->task.niov = 1;
	o->task.data_len = len;
	o->done = scsi_execute(r->target, 0, &o->task);
}

static void other_free(struct other *o)
{
	blk_queue_destroy(o->task.queue);
	free(o);
}

static void start_caw(uint64_t lba, int fill)
{
	caw_data(lba, 1, fill);
	r->dev->delayed = true;
	rig_send(r, 0, CDB(CAW(0, lba, 1)), SCSI_DIR_OUT, 1024);
	ck_assert(r->pending);
}

/* Whatever changes the block waits for the end; whatever changes another does not. */
static const struct changer {
	const char *name;
	uint8_t cdb[16], len;
	uint32_t data;
	uint8_t after; /* what block 16 holds in the end */
} changers[] = {
	{ "WRITE(10)", { WRITE10(16, 1) }, 10, 512, 0x33 },
	{ "WRITE(16), around", { WRITE16(14, 4) }, 16, 2048, 0x33 },
	{ "WRITE(10) FUA", { WRITE10_FUA(16, 1) }, 10, 512, 0x33 },
	{ "WRITE SAME(16)", { WRITE_SAME16(0, 10, 20) }, 16, 512, 0x33 },
	{ "WRITE AND VERIFY(10)", { 0x2e, 0, L32(16), 0, L16(1), 0 }, 10, 512, 0x33 },
	{ "ORWRITE", { ORWRITE(0, 16, 1) }, 16, 512, 0x22 | 0x33 },
	{ "UNMAP", { UNMAP10(24) }, 10, 24, 0x00 },
	{ "COMPARE AND WRITE", { CAW(0, 16, 1) }, 16, 1024, 0x22 }, /* and fails */
};

static void put_unmap(struct other *o)
{
	memset(o->data, 0, 24);
	be16_put(o->data, 22);
	be16_put(o->data + 2, 16);
	be64_put(o->data + 8, 16);
	be32_put(o->data + 16, 1);
}

START_TEST(changes_wait_for_it)
{
	const struct changer *c = &changers[_i];
	struct other *o = other_new(0x33);

	if (c->cdb[0] == 0x42)
		put_unmap(o);
	start_caw(16, 0x22);
	fake_blk_run_one(r->q); /* it has read, and is about to write */
	other_send(o, c->cdb, c->len, c->data);
	ck_assert_msg(!o->done, "%s", c->name);
	fake_blk_run(o->task.queue);
	ck_assert_msg(!o->done && !o->task.queue->waiting, "%s", c->name);
	ck_assert_uint_eq(result(), 0);
	fake_blk_run(o->task.queue);
	ck_assert_msg(o->done, "%s", c->name);
	ck_assert_uint_eq(o->task.status, c->cdb[0] == 0x89 ? SCSI_CHECK_CONDITION : SCSI_GOOD);
	ck_assert_msg(all_are(r->dev->ram + 16 * 512, 512, c->after), "%s", c->name);
	other_free(o);
}
END_TEST

START_TEST(other_blocks_do_not_wait)
{
	struct other *o = other_new(0x33);

	start_caw(16, 0x22);
	other_send(o, CDB(WRITE10(17, 1)), 512);
	fake_blk_run(o->task.queue);
	ck_assert(o->done);
	ck_assert_uint_eq(o->task.status, SCSI_GOOD);
	other_send(o, CDB(CAW(0, 15, 1)), 1024);
	fake_blk_run(o->task.queue);
	ck_assert(o->done);
	other_send(o, CDB(READ10(16, 1)), 512); /* a block is whole, before or after */
	o->task.data_dir = SCSI_DIR_IN;
	fake_blk_run(o->task.queue);
	ck_assert(o->done);
	ck_assert_uint_eq(result(), 0);
	other_free(o);
}
END_TEST

/* A WRITE that was on its way before: it may still land between read and write. */
START_TEST(earlier_writes_are_waited_for)
{
	struct other *o = other_new(0x33);

	r->dev->delayed = true;
	if (_i == 2)
		r->dev->error[BLK_WRITE] = -EIO;
	other_send(o, CDB(WRITE10(16, 1)), 512);
	ck_assert(!o->done);
	if (_i == 1)
		memset(r->data, 0x33, 512);
	else
		memset(r->data, 0x11, 512);
	memset(r->data + 512, 0x22, 512);
	rig_send(r, 0, CDB(CAW(0, 16, 1)), SCSI_DIR_OUT, 1024);
	while (fake_blk_run_one(r->q) || fake_blk_call_one(r->q))
		;
	ck_assert(r->pending);
	fake_blk_run(o->task.queue);
	ck_assert(o->done);
	r->dev->error[BLK_WRITE] = 0;
	ck_assert_uint_eq(result(), _i ? 0 : SENSE_MISCOMPARE);
	ck_assert(all_are(r->dev->ram + 16 * 512, 512, _i ? 0x22 : 0x33));
	other_free(o);
}
END_TEST

START_TEST(first_come_first_served)
{
	struct other *o[4];

	start_caw(16, 0x22);
	for (int i = 0; i < 4; i++) {
		o[i] = other_new((uint8_t)(0x30 + i));
		other_send(o[i], CDB(WRITE10(16, 2)), 1024);
		ck_assert(!o[i]->done);
	}
	ck_assert_uint_eq(result(), 0);
	/* They are shared among themselves: any order, like everywhere. */
	for (int i = 3; i >= 0; i--) {
		fake_blk_run(o[i]->task.queue);
		ck_assert(o[i]->done);
		ck_assert(all_are(r->dev->ram + 16 * 512, 1024, (uint8_t)(0x30 + i)));
	}
	/* An exclusive one between them separates. */
	start_caw(16, 0x22);
	other_send(o[0], CDB(WRITE10(17, 1)), 512);
	fake_blk_run(o[0]->task.queue);
	ck_assert(o[0]->done);
	memset(o[1]->data, 0x22, 512);
	other_send(o[1], CDB(CAW(0, 16, 1)), 1024);
	other_send(o[2], CDB(WRITE10(16, 1)), 512);
	ck_assert_uint_eq(result(), 0);
	fake_blk_run(o[2]->task.queue);
	ck_assert(!o[2]->done);
	fake_blk_run(o[1]->task.queue);
	ck_assert_uint_eq(o[1]->task.status, SCSI_GOOD);
	fake_blk_run(o[2]->task.queue);
	ck_assert(o[2]->done);
	ck_assert(all_are(r->dev->ram + 16 * 512, 512, 0x32));
	for (int i = 0; i < 4; i++)
		other_free(o[i]);
}
END_TEST

/* S25: who waits is not stuck, and never writes once it was aborted. */
START_TEST(S18_abort_while_waiting)
{
	const struct changer *c = &changers[_i];
	struct other *o = other_new(0x33);

	if (c->cdb[0] == 0x42)
		put_unmap(o);
	start_caw(16, 0x22);
	other_send(o, c->cdb, c->len, c->data);
	scsi_task_abort(&o->task);
	ck_assert_uint_eq(result(), 0);
	fake_blk_run(o->task.queue);
	ck_assert(o->done);
	ck_assert_uint_eq(o->task.status, SCSI_CHECK_CONDITION);
	ck_assert_uint_eq(o->task.sense[2], 0x0b);
	ck_assert(all_are(r->dev->ram + 16 * 512, 512, 0x22));
	other_free(o);
	/* Aborted between its read and its write: nothing is written. */
	caw_data(16, 1, 0x44);
	rig_send(r, 0, CDB(CAW(0, 16, 1)), SCSI_DIR_OUT, 1024);
	scsi_task_abort(&r->task);
	ck_assert_uint_eq(result(), SENSE_ABORTED);
	ck_assert(all_are(r->dev->ram + 16 * 512, 512, 0x22));
}
END_TEST

/* Both parts are taken once, before the read. */
START_TEST(data_is_copied_first)
{
	start_caw(16, 0x22);
	memset(r->data, 0x99, 1024);
	ck_assert_uint_eq(result(), 0);
	ck_assert(all_are(r->dev->ram + 16 * 512, 512, 0x22));
}
END_TEST

/* Where membarrier() is not to be had all WRITEs register, and everything else is the same. */
START_TEST(without_membarrier)
{
	struct other *o = other_new(0x33);

	r->lun->strict = 2;
	ck_assert_uint_eq(OUT(r, 512, WRITE10(16, 1)), 0);
	ck_assert_ptr_null(r->lun->range_held);
	ck_assert(!OUT(r, 512, WRITE10(16, 1)));
	r->dev->delayed = true;
	other_send(o, CDB(WRITE10(16, 1)), 512);
	ck_assert_ptr_nonnull(r->lun->range_held);
	memset(r->data, 0x33, 512);
	rig_send(r, 0, CDB(CAW(0, 16, 1)), SCSI_DIR_OUT, 1024);
	ck_assert(!r->q->waiting);
	fake_blk_run(o->task.queue);
	ck_assert(o->done);
	ck_assert_uint_eq(result(), 0);
	ck_assert_uint_eq(r->lun->strict, 2);
	r->lun->strict = 0;
	other_free(o);
}
END_TEST

/* More threads than counters: these register, too. */
START_TEST(thread_without_counters)
{
	uint32_t mine = scsi_thread_shard;
	const struct scsi_counts *n = &r->lun->counts[mine - 1];

	scsi_thread_shard = SCSI_SHARDS;
	r->dev->delayed = true;
	rig_send(r, 0, CDB(WRITE10(16, 1)), SCSI_DIR_OUT, 512);
	ck_assert_ptr_nonnull(r->lun->range_held);
	ck_assert_uint_eq(result(), 0);
	scsi_thread_shard = mine;
	rig_send(r, 0, CDB(WRITE10(16, 1)), SCSI_DIR_OUT, 512);
	ck_assert_ptr_null(r->lun->range_held);
	ck_assert_uint_eq(n->begun - n->ended, 1);
	ck_assert_uint_eq(result(), 0);
	ck_assert_uint_eq(n->begun, n->ended);
}
END_TEST

static void add_shared_tests(TCase *t)
{
	tcase_add_loop_test(t, changes_wait_for_it, 0, ARRAY_SIZE(changers));
	tcase_add_test(t, other_blocks_do_not_wait);
	tcase_add_loop_test(t, earlier_writes_are_waited_for, 0, 3);
	tcase_add_test(t, first_come_first_served);
	tcase_add_loop_test(t, S18_abort_while_waiting, 0, ARRAY_SIZE(changers));
	tcase_add_test(t, data_is_copied_first);
	tcase_add_test(t, without_membarrier);
	tcase_add_test(t, thread_without_counters);
}

int main(void)
{
	Suite *s = suite_create("scsi_atomic");
	TCase *t = tcase_create("atomic");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, caw_simple, 0, 2);
	tcase_add_test(t, caw_golden);
	tcase_add_loop_test(t, caw_miscompare, 0, 2);
	tcase_add_test(t, caw_refused);
	tcase_add_loop_test(t, errors_and_memory, 0, 2);
	tcase_add_loop_test(t, orwrite, 0, 2);
	add_shared_tests(t);
	suite_add_tcase(s, t);
	return rig_main(s);
}
