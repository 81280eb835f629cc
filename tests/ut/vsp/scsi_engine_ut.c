/* SPDX-License-Identifier: MIT */
/*
 * The disk over the real block engines: random commands against a model of what each
 * block must hold.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/iov.h"
#include "base/log.h"
#include "base/wire.h"
#include "vsp/storvsp/scsi/scsi.h"

#define DISK_BYTES (4u << 20)
#define MAX_BYTES  (256u << 10)

static const struct engine {
	enum blk_engine engine;
	uint32_t block;
	bool file, direct;
} engines[] = {
	{ BLK_ENGINE_MEMORY, 512, false, false }, { BLK_ENGINE_MEMORY, 4096, false, false },
	{ BLK_ENGINE_AUTO, 512, true, false },	  { BLK_ENGINE_AUTO, 4096, true, true },
	{ BLK_ENGINE_THREADS, 512, true, false },
};

static struct loop *loop;
static struct blk_dev *dev;
static struct blk_queue *queue;
static struct scsi_lun *lun;
static struct scsi_target *target;
static uint32_t block;
static bool finished;
static uint8_t *data, *model;
static char path[64];

static void open_disk(const struct engine *e)
{
	struct blk_config cfg = {
		.engine = e->engine, .block_size = e->block, .size = DISK_BYTES, .direct = e->direct
	};
	struct scsi_lun_config lun_cfg = { 0 };
	char why[200];

	if (e->file) {
		snprintf(path, sizeof(path), "build/scsi_ut_%d.img", getpid());
		close(open(path, O_CREAT | O_RDWR | O_TRUNC, 0600));
		ck_assert_int_eq(truncate(path, DISK_BYTES), 0);
		cfg.path = path;
	}
	block = e->block;
	ck_assert_int_eq(loop_create(&loop, NULL), 0);
	ck_assert_msg(!blk_dev_open(&dev, &cfg, why, sizeof(why)), "%s", why);
	ck_assert_int_eq(blk_queue_create(&queue, dev, loop), 0);
	lun_cfg.dev = dev;
	ck_assert_int_eq(scsi_lun_create(&lun, &lun_cfg), 0);
	ck_assert_int_eq(scsi_target_create(&target), 0);
	ck_assert_int_eq(scsi_target_attach(target, 0, lun), 0);
	data = aligned_alloc(4096, MAX_BYTES);
	model = calloc(1, DISK_BYTES);
}

static void close_disk(void)
{
	scsi_target_destroy(target);
	scsi_lun_destroy(lun);
	blk_queue_destroy(queue);
	blk_dev_close(dev);
	loop_destroy(loop);
	free(data);
	free(model);
	unlink(path);
}

static void task_done(struct scsi_task *t)
{
	(void)t;
	finished = true;
}

/* Sends a command with the first @len bytes of data, cut into pages; it has to be GOOD. */
static void command(const uint8_t *cdb, uint8_t dir, uint32_t len)
{
	struct iovec iov[MAX_BYTES / 4096], whole = { data, len };
	struct scsi_task t;
	int n = 0;

	memset(&t, 0xa5, sizeof(t));
	memcpy(t.cdb, cdb, SCSI_CDB_LEN);
	t.cdb_len = SCSI_CDB_LEN;
	t.data_dir = dir;
	for (uint32_t at = 0; at < len; at += 4096)
		n += iov_slice(&iov[n], 1, &whole, 1, at, len - at < 4096 ? len - at : 4096);
	t.iov = iov;
	t.niov = (uint16_t)n;
	t.data_len = len;
	t.queue = queue;
	t.done = task_done;
	finished = scsi_execute(target, 0, &t);
	while (!finished)
		ck_assert_int_ge(loop_turn(loop, UINT64_MAX), 0);
	ck_assert_msg(t.status == SCSI_GOOD, "%02x: sense %x/%02x/%02x", cdb[0], t.sense[2],
		      t.sense[12], t.sense[13]);
	ck_assert_uint_eq(t.transferred, len);
}

/* ---- commands and the model ------------------------------------------------------------- */

static uint64_t seed;

static uint32_t rnd(uint32_t below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % below;
}

static void range_cdb(uint8_t *cdb, uint8_t opcode, uint8_t flags, uint32_t lba, uint32_t count)
{
	memset(cdb, 0, SCSI_CDB_LEN);
	cdb[0] = opcode;
	cdb[1] = flags;
	be64_put(cdb + 2, lba);
	be32_put(cdb + 10, count);
}

static void do_read(uint32_t lba, uint32_t n)
{
	uint8_t cdb[SCSI_CDB_LEN];

	range_cdb(cdb, 0x88, 0, lba, n);
	memset(data, 0xee, n * block);
	command(cdb, SCSI_DIR_IN, n * block);
	ck_assert(!memcmp(data, model + (size_t)lba * block, (size_t)n * block));
}

static void do_write(uint32_t lba, uint32_t n)
{
	uint8_t cdb[SCSI_CDB_LEN];

	for (uint32_t i = 0; i < n * block; i += 8)
		memcpy(data + i, (uint64_t[]){ rnd(UINT32_MAX) }, 8);
	memcpy(model + (size_t)lba * block, data, (size_t)n * block);
	range_cdb(cdb, 0x8a, rnd(8) ? 0 : 8, lba, n);
	command(cdb, SCSI_DIR_OUT, n * block);
}

static void do_write_same(uint32_t lba, uint32_t n)
{
	uint8_t cdb[SCSI_CDB_LEN];

	memset(data, rnd(2) ? 0 : (int)rnd(256), block);
	for (uint32_t i = 0; i < n; i++)
		memcpy(model + (size_t)(lba + i) * block, data, block);
	range_cdb(cdb, 0x93, rnd(2) ? 8 : 0, lba, n);
	command(cdb, SCSI_DIR_OUT, block);
}

static void do_unmap(uint32_t lba, uint32_t n)
{
	uint8_t cdb[SCSI_CDB_LEN] = { 0x42, [8] = 8 + 2 * 16 };

	memset(data, 0, 8 + 2 * 16);
	be16_put(data, 6 + 2 * 16);
	be16_put(data + 2, 2 * 16);
	be64_put(data + 8, lba);
	be32_put(data + 16, n / 2);
	be64_put(data + 24, lba + n / 2);
	be32_put(data + 32, n - n / 2);
	memset(model + (size_t)lba * block, 0, (size_t)n * block);
	command(cdb, SCSI_DIR_OUT, 8 + 2 * 16);
}

static void do_flush(uint32_t lba, uint32_t n)
{
	uint8_t cdb[SCSI_CDB_LEN];

	range_cdb(cdb, 0x91, 0, lba, n);
	command(cdb, SCSI_DIR_NONE, 0);
}

static void do_verify(uint32_t lba, uint32_t n)
{
	uint8_t cdb[SCSI_CDB_LEN];

	memcpy(data, model + (size_t)lba * block, (size_t)n * block);
	range_cdb(cdb, 0x8f, 2, lba, n);
	command(cdb, SCSI_DIR_OUT, n * block);
}

static void do_write_verify(uint32_t lba, uint32_t n)
{
	uint8_t cdb[SCSI_CDB_LEN];

	memset(data, (int)rnd(256), (size_t)n * block);
	memcpy(model + (size_t)lba * block, data, (size_t)n * block);
	range_cdb(cdb, 0x8e, rnd(2) ? 2 : 0, lba, n);
	command(cdb, SCSI_DIR_OUT, n * block);
}

static void do_compare_and_write(uint32_t lba, uint32_t n)
{
	uint8_t cdb[SCSI_CDB_LEN], *disk = model + (size_t)lba * block;

	n = n > MAX_BYTES / block / 2 ? MAX_BYTES / block / 2 : n;
	n = n > 255 ? 255 : n;
	memcpy(data, disk, (size_t)n * block);
	memset(data + (size_t)n * block, (int)rnd(256), (size_t)n * block);
	memcpy(disk, data + (size_t)n * block, (size_t)n * block);
	range_cdb(cdb, 0x89, rnd(8) ? 0 : 8, lba, n);
	command(cdb, SCSI_DIR_OUT, 2 * n * block);
}

static void do_orwrite(uint32_t lba, uint32_t n)
{
	uint8_t cdb[SCSI_CDB_LEN], *disk = model + (size_t)lba * block;

	memset(data, 1 << rnd(8), (size_t)n * block);
	for (size_t i = 0; i < (size_t)n * block; i++)
		disk[i] |= data[i];
	range_cdb(cdb, 0x8b, 0, lba, n);
	command(cdb, SCSI_DIR_OUT, n * block);
}

/* What is said to be deallocated reads zero. The command's answer is the walk's, so look twice. */
static void do_status(uint32_t lba, uint32_t n)
{
	uint8_t cdb[SCSI_CDB_LEN] = { 0x9e, 0x12 };
	uint32_t count;

	(void)n;
	be64_put(cdb + 2, lba);
	be32_put(cdb + 10, 24);
	command(cdb, SCSI_DIR_IN, 24);
	count = be32_at(data + 16);
	ck_assert(be64_at(data + 8) == lba && count && count <= DISK_BYTES / block - lba);
	if (data[20])
		ck_assert(!model[(size_t)lba * block] &&
			  !memcmp(model + (size_t)lba * block, model + (size_t)lba * block + 1,
				  (size_t)count * block - 1));
}

START_TEST(every_block_is_what_was_written)
{
	static void (*const what[])(uint32_t lba, uint32_t n) = {
		do_read,    do_read,   do_write,  do_write,	   do_write_same,
		do_unmap,   do_flush,  do_verify, do_write_verify, do_compare_and_write,
		do_orwrite, do_status,
	};
	uint32_t blocks, n;

	open_disk(&engines[_i]);
	seed = 42 + (uint64_t)_i;
	blocks = DISK_BYTES / block;
	for (int i = 0; i < 300; i++) {
		n = 1 + rnd(rnd(4) ? 16 : MAX_BYTES / block);
		what[rnd(ARRAY_SIZE(what))](rnd(blocks - n + 1), n);
	}
	n = MAX_BYTES / block;
	for (uint32_t lba = 0; lba < blocks; lba += n)
		do_read(lba, n);
	close_disk();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("scsi_engine");
	TCase *t = tcase_create("engine");
	SRunner *sr;
	int failed;

	log_set_level(LOG_ERROR); /* which engine AUTO becomes is not the question here */
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, every_block_is_what_was_written, 0, ARRAY_SIZE(engines));
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
