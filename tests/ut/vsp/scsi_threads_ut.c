/* SPDX-License-Identifier: MIT */
/*
 * Several loops and several initiators on one LUN: counters add up, each nexus gets each
 * unit attention exactly once, a failed flush is seen by all. Meant for ThreadSanitizer.
 */
#include <pthread.h>
#include <sched.h>

#include "tests/ut/vsp/scsi_rig.h"

#define THREADS	 20 /* more than counter shards */
#define COMMANDS 300
#define NEXUSES	 2
#ifdef HVBUS_TSAN
#define ROUNDS 500 /* it finds races without meeting them */
#else
#define ROUNDS 20000
#endif

struct worker {
	pthread_t thread;
	struct scsi_target *target;
	struct blk_dev *dev;
	struct blk_queue *q;
	uint32_t number;
	uint32_t attentions, failures; /* what it got */
	bool done;
	uint8_t buffer[4096];
};

static struct blk_dev *dev;
static struct scsi_lun *lun;
static struct scsi_target *targets[NEXUSES];
static struct worker workers[THREADS];
static pthread_barrier_t all_here;
static uint32_t stop; /* written by the main thread, read by the workers; relaxed */

static void setup(void)
{
	struct scsi_lun_config cfg;

	dev = fake_blk_new();
	dev->no_log = true; /* the log has one writer */
	cfg = (struct scsi_lun_config){ .dev = dev };
	ck_assert_int_eq(scsi_lun_create(&lun, &cfg), 0);
	for (int i = 0; i < NEXUSES; i++) {
		ck_assert_int_eq(scsi_target_create(&targets[i]), 0);
		ck_assert_int_eq(scsi_target_attach(targets[i], 0, lun), 0);
	}
	store_relaxed(&stop, 0);
}

static void teardown(void)
{
	for (int i = 0; i < NEXUSES; i++)
		scsi_target_destroy(targets[i]);
	scsi_lun_destroy(lun);
	fake_blk_free(dev);
}

static void task_done(struct scsi_task *t)
{
	struct worker *w = (struct worker *)t->iov->iov_base;

	w->done = true;
}

/* One command of the worker; its result. libcheck's asserts are for the main thread only. */
static uint32_t send(struct worker *w, const uint8_t *cdb, uint32_t cdb_len, uint8_t dir,
		     uint32_t len)
{
	struct iovec iov[2] = { { w, 0 }, { w->buffer, len } };
	struct scsi_task t;

	memset(&t, PAINT, sizeof(t));
	memcpy(t.cdb, cdb, cdb_len);
	t.cdb_len = (uint8_t)cdb_len;
	t.data_dir = dir;
	t.iov = iov;
	t.niov = 2;
	t.data_len = len;
	t.queue = w->q;
	t.done = task_done;
	w->done = scsi_execute(w->target, 0, &t);
	fake_blk_run(w->q);
	while (!w->done) { /* others hold the range */
		sched_yield();
		fake_blk_run(w->q);
	}
	if (!w->done || (t.status == SCSI_CHECK_CONDITION && t.absent))
		abort();
	if (t.status == SCSI_GOOD)
		return 0;
	return (uint32_t)t.sense[2] << 16 | (uint32_t)t.sense[12] << 8 | t.sense[13];
}

static void run_workers(uint32_t n, void *(*fn)(void *))
{
	pthread_barrier_init(&all_here, NULL, n);
	for (uint32_t i = 0; i < n; i++) {
		workers[i] =
			(struct worker){ .target = targets[i % NEXUSES], .dev = dev, .number = i };
		workers[i].q = fake_blk_queue(dev);
		ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, fn, &workers[i]), 0);
	}
}

static void join_workers(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		pthread_join(workers[i].thread, NULL);
		blk_queue_destroy(workers[i].q);
	}
	pthread_barrier_destroy(&all_here);
}

/* ---- counters ------------------------------------------------------------------------- */

static uint64_t total_others(void)
{
	struct scsi_lun_stats s;

	scsi_lun_stats(lun, &s);
	return s.others;
}

static void *use_everything(void *arg)
{
	struct worker *w = arg;
	uint32_t lba = 4096 * w->number; /* overlapping writes are another matter */

	pthread_barrier_wait(&all_here);
	for (uint32_t i = 0; i < COMMANDS; i++) {
		memset(w->buffer, (int)i, sizeof(w->buffer));
		w->failures += send(w, CDB(WRITE10(lba, 8)), SCSI_DIR_OUT, 4096) != 0;
		w->failures += send(w, CDB(READ10(lba, 8)), SCSI_DIR_IN, 4096) != 0;
		w->failures += w->buffer[4095] != (uint8_t)i;
		w->failures += send(w, CDB(SYNC10), SCSI_DIR_NONE, 0) != 0;
		w->failures += send(w, CDB(0x12, 1, 0x83, 0, 255, 0), SCSI_DIR_IN, 255) != 0;
		w->failures += send(w, CDB(0xff, 0, 0, 0, 0, 0), SCSI_DIR_NONE, 0) != SENSE_OPCODE;
		memset(w->buffer, 1, 512);
		w->failures += send(w, CDB(WRITE_SAME16(0, lba, 16)), SCSI_DIR_OUT, 512) != 0;
	}
	return NULL;
}

START_TEST(counters_add_up)
{
	const uint64_t each = THREADS * COMMANDS;
	struct scsi_lun_stats s;

	dev->delayed = _i;
	run_workers(THREADS, use_everything);
	join_workers(THREADS);
	for (int i = 0; i < THREADS; i++)
		ck_assert_uint_eq(workers[i].failures, 0);
	scsi_lun_stats(lun, &s);
	ck_assert_uint_eq(s.reads, each);
	ck_assert_uint_eq(s.writes, each);
	ck_assert_uint_eq(s.read_bytes, each * 4096);
	ck_assert_uint_eq(s.written_bytes, each * 4096);
	ck_assert_uint_eq(s.flushes, each);
	ck_assert_uint_eq(s.others, 2 * each);
	ck_assert_uint_eq(s.errors, each);
	ck_assert_uint_eq(s.last_sense, SENSE_OPCODE);
	ck_assert_uint_eq(lun->scratch, 0);
}
END_TEST

static void *only_small_ones(void *arg)
{
	struct worker *w = arg;

	pthread_barrier_wait(&all_here);
	for (int i = 0; i < 10000; i++)
		w->failures += send(w, CDB(0, 0, 0, 0, 0, 0), SCSI_DIR_NONE, 0) != 0;
	return NULL;
}

/* After THREADS threads these all count in the shard that has no owner. */
START_TEST(shared_counters_add_up)
{
	uint64_t before;

	run_workers(THREADS, use_everything);
	join_workers(THREADS);
	before = total_others();
	run_workers(4, only_small_ones);
	join_workers(4);
	ck_assert_uint_eq(total_others(), before + 4 * 10000);
}
END_TEST

/* ---- unit attentions --------------------------------------------------------------------- */

static void *poll_unit(void *arg)
{
	struct worker *w = arg;
	uint32_t result;

	pthread_barrier_wait(&all_here);
	while (!load_relaxed(&stop)) {
		result = send(w, CDB(0, 0, 0, 0, 0, 0), SCSI_DIR_NONE, 0);
		if (result)
			__atomic_fetch_add(&w->attentions, 1, __ATOMIC_RELAXED);
		else
			sched_yield();
		w->failures += result && result >> 16 != 6;
	}
	return NULL;
}

/* Reports so far on nexus @n, by whichever of its loops. */
static uint32_t reports(uint32_t n)
{
	uint32_t sum = 0;

	for (uint32_t i = n; i < 4; i += NEXUSES)
		sum += load_relaxed(&workers[i].attentions);
	return sum;
}

START_TEST(each_attention_is_reported_once_per_nexus)
{
	const uint32_t rounds = ROUNDS, kinds = SCSI_UA_LUNS_CHANGED + 1;

	run_workers(4, poll_unit);
	for (uint32_t round = 1; round <= rounds; round++) {
		for (uint32_t ua = 0; ua < kinds; ua++)
			scsi_lun_unit_attention(lun, ua);
		for (uint32_t n = 0; n < NEXUSES; n++)
			while (reports(n) < round * kinds)
				sched_yield();
	}
	store_relaxed(&stop, 1);
	join_workers(4);
	for (uint32_t n = 0; n < NEXUSES; n++)
		ck_assert_uint_eq(reports(n), rounds * kinds);
	for (int i = 0; i < 4; i++)
		ck_assert_uint_eq(workers[i].failures, 0);
}
END_TEST

/* ---- attaching while others work; a failed flush ------------------------------------------------
 */

static void *poll_absent(void *arg)
{
	struct worker *w = arg;
	struct scsi_task t;

	for (;;) { /* until LUN 1 appears: then it must be whole */
		memset(&t, 0, sizeof(t));
		t.cdb_len = 6;
		t.queue = w->q;
		scsi_execute(w->target, 1, &t);
		if (t.status != SCSI_CHECK_CONDITION || !t.absent)
			break;
		sched_yield();
	}
	w->failures += t.status != SCSI_GOOD;
	return NULL;
}

START_TEST(attach_under_traffic)
{
	run_workers(4, poll_absent);
	ck_assert_int_eq(scsi_target_attach(targets[0], 1, lun), 0);
	ck_assert_int_eq(scsi_target_attach(targets[1], 1, lun), 0);
	join_workers(4);
	for (int i = 0; i < 4; i++)
		ck_assert_uint_eq(workers[i].failures, 0);
}
END_TEST

static void *flush_until_it_fails(void *arg)
{
	struct worker *w = arg;

	/* The first to flush breaks it for all. */
	w->failures += send(w, CDB(SYNC10), SCSI_DIR_NONE, 0) != SENSE_TARGET_FAILURE;
	w->failures += send(w, CDB(WRITE10_FUA(w->number, 1)), SCSI_DIR_OUT, 512) !=
		       SENSE_TARGET_FAILURE;
	return NULL;
}

START_TEST(failed_flush_is_seen_by_all)
{
	dev->error[BLK_FLUSH] = -EIO;
	run_workers(4, flush_until_it_fails);
	join_workers(4);
	for (int i = 0; i < 4; i++)
		ck_assert_uint_eq(workers[i].failures, 0);
}
END_TEST

/* ---- exclusive ranges ------------------------------------------------------------------- */

/*
 * One block holds a generation and a step. The first worker starts new generations with
 * plain WRITEs; the others count the steps of the generation they know of with COMPARE AND
 * WRITE. None of these may undo a WRITE: between the read and the write there is nothing.
 */
#ifdef HVBUS_TSAN
#define GENERATIONS 300
#else
#define GENERATIONS 3000
#endif

static uint64_t hint; /* generation << 32 | step; relaxed: a wrong guess is a miscompare */

static void put_value(uint8_t *block, uint64_t value)
{
	memset(block, 0, 512);
	be64_put(block, value);
}

static uint32_t compare_and_write(struct worker *w, uint64_t old, uint64_t new)
{
	put_value(w->buffer, old);
	put_value(w->buffer + 512, new);
	return send(w, CDB(0x89, 0, L64(7), 0, 0, 0, 1, 0, 0), SCSI_DIR_OUT, 1024);
}

static void *start_generations(void *arg)
{
	struct worker *w = arg;

	pthread_barrier_wait(&all_here);
	for (uint64_t g = 1; g <= GENERATIONS; g++) {
		put_value(w->buffer, g << 32);
		w->failures += send(w, CDB(WRITE10(7, 1)), SCSI_DIR_OUT, 512) != 0;
		/* Nobody knows of it yet: it has to be there. */
		w->failures += compare_and_write(w, g << 32, g << 32) != 0;
		store_relaxed(&hint, g << 32);
	}
	store_relaxed(&stop, 1);
	return NULL;
}

static void *count_steps(void *arg)
{
	struct worker *w = arg;

	pthread_barrier_wait(&all_here);
	while (!load_relaxed(&stop)) {
		uint64_t old = load_relaxed(&hint);
		uint32_t res = compare_and_write(w, old, old + 1);

		w->failures += res && res != SENSE_MISCOMPARE;
		if (res)
			continue;
		w->attentions++; /* successes, here */
		__atomic_compare_exchange_n(&hint, &old, old + 1, false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED);
	}
	return NULL;
}

static void *generations(void *arg)
{
	struct worker *w = arg;

	return w->number ? count_steps(w) : start_generations(w);
}

START_TEST(compare_and_write_is_atomic)
{
	dev->delayed = _i;
	store_relaxed(&hint, 0);
	run_workers(3, generations);
	join_workers(3);
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(workers[i].failures, 0);
	ck_assert_uint_eq(be32_at(dev->ram + 7 * 512), GENERATIONS);
	ck_assert_uint_eq(lun->strict, 0);
	ck_assert_ptr_null(lun->range_held);
	for (int i = 0; i < SCSI_SHARDS; i++)
		ck_assert_uint_eq(lun->counts[i].begun, lun->counts[i].ended);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("scsi_threads");
	TCase *t = tcase_create("threads");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, counters_add_up, 0, 2);
	tcase_add_test(t, shared_counters_add_up);
	tcase_add_test(t, each_attention_is_reported_once_per_nexus);
	tcase_add_test(t, attach_under_traffic);
	tcase_add_test(t, failed_flush_is_seen_by_all);
	tcase_add_loop_test(t, compare_and_write_is_atomic, 0, 2);
	suite_add_tcase(s, t);
	return rig_main(s);
}
