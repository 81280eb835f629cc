/* SPDX-License-Identifier: MIT */
/*
 * Flushes: shared, never early, and honest for ever after one failed. And the other thing
 * that queues of one disk share: blocks larger than the guest's.
 */
#include "tests/fake/fault_blk.c"
#include "tests/ut/vsp/blk_rig.h"

#define DISK (2 * MIB)

static struct rig r;
static struct fault t;
static char buf[64 * KIB] __attribute__((aligned(4096)));

static const struct way {
	enum blk_engine engine;
	enum loop_engine loop;
	int direct;
} ways[] = {
	{ BLK_ENGINE_URING, LOOP_URING, 0 },
	{ BLK_ENGINE_AIO, LOOP_EPOLL, 1 },
	{ BLK_ENGINE_THREADS, LOOP_EPOLL, 0 },
};
#define WAYS ((int)ARRAY_SIZE(ways))

static void open_with(int way, enum blk_cache cache)
{
	struct blk_config cfg = { .engine = ways[way].engine,
				  .direct = ways[way].direct,
				  .cache = cache };

	rig_loop(&r, ways[way].loop);
	rig_image(&r, false, DISK);
	cfg.path = r.path;
	rig_open(&r, &cfg);
	fault_attach(&t, r.dev);
}

static void teardown(void)
{
	rig_end(&r);
}

static int flush(void)
{
	return rig_do(&r, BLK_FLUSH, 0, 0, NULL, 0);
}

static int put(uint8_t flags)
{
	return rig_do(&r, BLK_WRITE, flags, 0, buf, 4096);
}

/* ---- sharing ------------------------------------------------------------------- */

/* 14.5: who comes while one runs needs the next, and shares it. */
START_TEST(flushes_share_the_next_one)
{
	struct io f[10];

	open_with(_i, BLK_CACHE_WRITEBACK);
	for (int i = 0; i < 10; i++)
		io_start(r.q, &f[i], BLK_FLUSH, 0, 0, NULL, 0);
	ck_assert_uint_eq(rig_stats(&r).in_flight, 10);
	ck_assert_int_eq(io_wait(&r, &f[0]), 0);
	for (int i = 1; i < 10; i++)
		ck_assert_int_eq(io_wait(&r, &f[i]), 0);
	ck_assert_uint_eq(fault_calls(&t, CALL_SYNC), 2);
	ck_assert_int_eq(flush(), 0);
	ck_assert_uint_eq(fault_calls(&t, CALL_SYNC), 3);
}
END_TEST

static struct io late;

static void start_late(struct blk_req *req, int result)
{
	io_done(req, result);
	io_start(r.q, &late, BLK_FLUSH, 0, 0, NULL, 0);
}

/* C arrives while 6 runs: it needs 7, although 6 finishes after C came. */
START_TEST(a_running_flush_is_never_ridden)
{
	struct io a, b;

	open_with(_i, BLK_CACHE_WRITEBACK);
	io_start(r.q, &a, BLK_FLUSH, 0, 0, NULL, 0);
	a.req.done = start_late; /* runs while b's flush has been started already */
	io_start(r.q, &b, BLK_FLUSH, 0, 0, NULL, 0);
	ck_assert_int_eq(io_wait(&r, &a), 0);
	ck_assert_int_eq(io_wait(&r, &b), 0);
	ck_assert_int_eq(io_wait(&r, &late), 0);
	ck_assert_uint_eq(fault_calls(&t, CALL_SYNC), 3);
}
END_TEST

/* ---- failure ---------------------------------------------------------------------- */

START_TEST(a_failed_flush_fails_for_good)
{
	static const int errs[] = { -EIO, -ENOSPC, -EDQUOT };

	for (unsigned i = 0; i < ARRAY_SIZE(errs); i++) {
		struct blk_config cfg = { .engine = ways[_i].engine, .direct = ways[_i].direct };
		struct io f[4];

		open_with(_i, BLK_CACHE_WRITEBACK);
		ck_assert_int_eq(put(0), 0);
		ck_assert_int_eq(flush(), 0);
		ck_assert(!blk_dev_flush_failed(r.dev));
		fault_add(&t, CALL_SYNC, FAULT_RESULT, errs[i], 0, 1);
		for (int n = 0; n < 4; n++)
			io_start(r.q, &f[n], BLK_FLUSH, 0, 0, NULL, 0);
		ck_assert_int_eq(io_wait(&r, &f[0]), errs[i]);
		for (int n = 1; n < 4; n++) /* the kernel would say yes to them */
			ck_assert_int_eq(io_wait(&r, &f[n]), -EIO);
		ck_assert(blk_dev_flush_failed(r.dev));
		ck_assert_int_eq(flush(), -EIO);
		ck_assert_int_eq(put(BLK_REQ_FUA), -EIO);
		ck_assert_uint_eq(fault_calls(&t, CALL_SYNC), 2);
		/* Nothing is promised by these. */
		ck_assert_int_eq(put(0), 0);
		ck_assert_int_eq(rig_do(&r, BLK_READ, 0, 0, buf, 4096), 0);
		cfg.path = r.path;
		rig_close(&r);
		rig_open(&r, &cfg);
		ck_assert(!blk_dev_flush_failed(r.dev));
		ck_assert_int_eq(flush(), 0);
		ck_assert_int_eq(put(BLK_REQ_FUA), 0);
		rig_end(&r);
	}
}
END_TEST

/* A FUA write that was under way when the flush failed can not be trusted either. */
START_TEST(a_durable_write_beside_a_failing_flush_fails)
{
	struct io w, f;

	open_with(0, BLK_CACHE_WRITEBACK);
	fault_add(&t, CALL_SYNC, FAULT_RESULT, -EIO, 0, 1);
	io_start(r.q, &w, BLK_WRITE, BLK_REQ_FUA, 0, buf, 4096);
	io_start(r.q, &f, BLK_FLUSH, 0, 0, NULL, 0);
	ck_assert_int_eq(io_wait(&r, &f), -EIO);
	/* Which one came first is the kernel's business; after the flush there is no success. */
	if (!w.done)
		ck_assert_int_eq(io_wait(&r, &w), -EIO);
	ck_assert_int_eq(put(BLK_REQ_FUA), -EIO);
}
END_TEST

START_TEST(a_failed_durable_write_poisons_when_it_must)
{
	static const struct {
		int err;
		bool poisons;
	} c[] = { { -EIO, true }, { -ETIMEDOUT, true }, { -ENOSPC, false }, { -EFBIG, false } };

	for (unsigned i = 0; i < ARRAY_SIZE(c); i++) {
		open_with(_i, BLK_CACHE_WRITEBACK);
		fault_add(&t, CALL_WRITE, FAULT_RESULT, c[i].err, 0, 1);
		ck_assert_int_eq(put(BLK_REQ_FUA), c[i].err);
		ck_assert_int_eq(blk_dev_flush_failed(r.dev), c[i].poisons);
		ck_assert_int_eq(flush(), c[i].poisons ? -EIO : 0);
		rig_end(&r);
	}
}
END_TEST

START_TEST(write_through_leaves_nothing_volatile)
{
	struct blk_info info;

	open_with(_i, BLK_CACHE_WRITETHROUGH);
	blk_dev_info(r.dev, &info);
	ck_assert(!info.volatile_cache);
	ck_assert_int_eq(put(0), 0);
	ck_assert_uint_eq(fault_calls(&t, CALL_SYNC), 0); /* RWF_DSYNC did it */
	ck_assert_int_eq(rig_do(&r, BLK_ZERO, 0, 0, NULL, 4096), 0);
	ck_assert_uint_eq(fault_calls(&t, CALL_SYNC), 1);
	fault_add(&t, CALL_SYNC, FAULT_RESULT, -EIO, 0, 1);
	ck_assert_int_eq(rig_do(&r, BLK_DISCARD, 0, 0, NULL, 4096), -EIO);
	ck_assert_int_eq(put(0), -EIO);
	ck_assert_int_eq(rig_do(&r, BLK_ZERO, 0, 0, NULL, 4096), -EIO);
}
END_TEST

/* ---- several queues, several threads -------------------------------------------------- */

#define THREADS 3
#define ROUNDS	40

struct side {
	pthread_t id;
	int nr;
	enum loop_engine loop;
	struct blk_dev *dev;
	struct blk_queue *q;
	struct loop *l;
	unsigned left, bad;
	bool wrote[16][2];
	struct io io[4];
	char mem[4][512] __attribute__((aligned(512)));
};

static void again(struct side *s, int slot);

static void side_done(struct blk_req *req, int result)
{
	struct io *io = container_of(req, struct io, req);
	struct side *s = (struct side *)(uintptr_t)req->start_ns; /* a place to put it */

	io->done = true;
	s->bad += result != 0;
	if (s->left)
		again(s, (int)(io - s->io));
}

/*
 * Slot 0 and 1 write: each thread its own sectors, all in the same 4096-byte blocks. The
 * others flush and clear.
 */
static void again(struct side *s, int slot)
{
	struct io *io = &s->io[slot];
	uint64_t block = s->left % 16, sector = (uint64_t)(s->nr * 2 + (slot & 1));
	int res;

	memset(io, 0, sizeof(*io));
	s->left--;
	io->req.op = slot == 3 ? BLK_FLUSH : slot == 2 ? BLK_ZERO : BLK_WRITE;
	io->req.offset = slot == 2 ? 512 * KIB + (uint64_t)s->nr * 512
				   : block * 4096 + sector * 512;
	io->req.len = slot == 3 ? 0 : 512;
	if (slot < 2)
		s->wrote[block][slot] = true;
	memset(s->mem[slot], (int)(1 + block * 6 + sector), 512);
	io->iov = (struct iovec){ s->mem[slot], 512 };
	io->req.iov = &io->iov;
	io->req.niov = 1;
	io->req.done = side_done;
	res = blk_submit(s->q, &io->req);
	io->req.start_ns = (uintptr_t)s;
	if (res != -EINPROGRESS) {
		s->bad += res != 0;
		io->done = true;
	}
}

static bool side_busy(const struct side *s)
{
	for (int i = 0; i < 4; i++)
		if (!s->io[i].done)
			return true;
	return false;
}

static void *side_main(void *arg)
{
	struct side *s = arg;
	struct loop_config cfg = { .engine = s->loop, .name = "side" };

	s->bad = 1;
	if (loop_create(&s->l, &cfg))
		return NULL;
	if (!blk_queue_create(&s->q, s->dev, s->l)) {
		s->bad = 0;
		s->left = ROUNDS * 4;
		for (int i = 0; i < 4; i++)
			again(s, i);
		while (side_busy(s))
			s->bad += loop_turn(s->l, 5000000000) < 0;
		blk_queue_destroy(s->q);
	}
	loop_destroy(s->l);
	return NULL;
}

/* Small writes to shared blocks, flushes and clearing from everywhere: nothing gets lost. */
START_TEST(queues_share_a_device_with_large_blocks)
{
	static struct side side[THREADS];
	struct blk_config cfg = { .engine = ways[_i].engine, .direct = 1 };
	struct blk_stats st;
	int written = 0;

	rig_loop(&r, ways[_i].loop);
	rig_image(&r, false, DISK);
	cfg.path = r.path;
	rig_open(&r, &cfg);
	file_dev(r.dev)->off_mask = 4095;
	file_dev(r.dev)->share_blocks = true;
	memset(side, 0, sizeof(side));
	for (int i = 0; i < THREADS; i++) {
		side[i].nr = i;
		side[i].loop = ways[_i].loop;
		side[i].dev = r.dev;
		ck_assert_int_eq(pthread_create(&side[i].id, NULL, side_main, &side[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(side[i].id, NULL);
		ck_assert_uint_eq(side[i].bad, 0);
	}
	st = rig_stats(&r);
	ck_assert_uint_eq(st.in_flight, 0);
	ck_assert_uint_ge(st.ops[BLK_WRITE] + st.ops[BLK_ZERO] + st.ops[BLK_FLUSH],
			  THREADS * ROUNDS * 4);
	ck_assert_int_eq(rig_do(&r, BLK_READ, 0, 0, buf, 64 * KIB), 0);
	for (int i = 0; i < 64 * (int)KIB / 512; i++) {
		int block = i / 8, sector = i % 8;

		bool wrote = sector < 6 && side[sector / 2].wrote[block][sector & 1];
		char want[512];

		written += wrote;
		memset(want, wrote ? 1 + block * 6 + sector : 0, sizeof(want));
		ck_assert_msg(!memcmp(buf + i * 512, want, 512), "block %d, sector %d: lost", block,
			      sector);
	}
	ck_assert_int_ge(written, THREADS * 2); /* the first turn of each, however slow the rest */
}
END_TEST

int main(void)
{
	Suite *s = suite_create("blk_flush");
	TCase *tc = tcase_create("flush");

	log_set_level(LOG_ERROR);
	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, flushes_share_the_next_one, 0, WAYS);
	tcase_add_loop_test(tc, a_running_flush_is_never_ridden, 0, WAYS);
	tcase_add_loop_test(tc, a_failed_flush_fails_for_good, 0, WAYS);
	tcase_add_test(tc, a_durable_write_beside_a_failing_flush_fails);
	tcase_add_loop_test(tc, a_failed_durable_write_poisons_when_it_must, 0, WAYS);
	tcase_add_loop_test(tc, write_through_leaves_nothing_volatile, 0, WAYS);
	tcase_add_loop_test(tc, queues_share_a_device_with_large_blocks, 0, WAYS);
	suite_add_tcase(s, tc);
	return rig_run_suite(s);
}
