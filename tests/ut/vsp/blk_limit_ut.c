/* SPDX-License-Identifier: MIT */
/*
 * Limits: the rate, the burst, fairness between owners, changes while requests wait, and
 * taking waiting requests back. Rates are checked against a clock that the test moves: the
 * loop stands still and the hands are moved by handing out tokens "at" a time.
 */
#include "tests/ut/vsp/blk_rig.h"
#include "vsp/storvsp/blk/blk_policy_int.h"

#define MS 1000000ull

static struct rig r;
static struct blk_queue *other;
static char buf[64 * KIB];

static void setup(void)
{
	rig_loop(&r, LOOP_AUTO);
	rig_open(&r, &(struct blk_config){ .engine = BLK_ENGINE_NULL, .size = 64 * MIB });
	ck_assert_int_eq(blk_queue_create(&other, r.dev, r.loop), 0);
}

static void teardown(void)
{
	if (other)
		blk_queue_destroy(other);
	other = NULL;
	rig_end(&r);
}

static struct blk_policy_stats policy(void)
{
	struct blk_policy_stats s;

	blk_dev_policy_stats(r.dev, &s);
	return s;
}

static void limit(uint64_t iops, uint64_t bps, uint32_t burst_ms)
{
	struct blk_limits l = { iops, bps, burst_ms };

	ck_assert_int_eq(blk_dev_set_limits(r.dev, &l), 0);
}

/* Requests of one guest that are in flight at a time, each started again when it is done. */
struct user {
	struct blk_queue *q;
	struct io io[128];
	uint64_t done, bytes;
	uint32_t size, running;
	bool stop;
};

static void start(struct user *u, struct io *io);

static struct user *users[2];

static void user_done(struct blk_req *req, int result)
{
	struct io *io = container_of(req, struct io, req);
	struct user *u = io >= users[0]->io && io < users[0]->io + 128 ? users[0] : users[1];

	ck_assert_int_eq(result, 0);
	u->running--;
	if (u->stop)
		return;
	u->done++;
	u->bytes += req->len;
	start(u, io);
}

/* One that finds tokens is finished at once: only those that wait come through here. */
static void start(struct user *u, struct io *io)
{
	io->iov = (struct iovec){ buf, u->size };
	io->req = (struct blk_req){
		.op = BLK_READ, .iov = &io->iov, .niov = 1, .len = u->size, .done = user_done
	};
	u->running++;
	ck_assert_int_eq(blk_submit(u->q, &io->req), -EINPROGRESS);
}

/* Both guests for @ms; somebody waits always, so that no tokens are taken past the queue. */
static void compete(struct user *a, uint32_t depth_a, struct user *b, uint32_t depth_b, uint64_t ms)
{
	struct blk_policy *p = r.dev->policy;
	uint64_t t;

	users[0] = a;
	users[1] = b;
	/* Nothing is owed, and nothing is there: everybody has to wait from the start. */
	p->ops.next = p->bytes.next = loop_now(r.loop) + 3600000 * MS;
	for (uint32_t i = 0; i < depth_a; i++)
		start(a, &a->io[i]);
	for (uint32_t i = 0; i < depth_b; i++)
		start(b, &b->io[i]);
	t = p->ops.next = p->bytes.next = loop_now(r.loop);
	for (uint64_t end = t + ms * MS; t < end; t += MS / 4) {
		blk_limit_look(p, a->q, t);
		blk_limit_look(p, b->q, t);
	}
	a->stop = b->stop = true; /* what is let go now does not count */
	limit(0, 0, 0);
	while (a->running + b->running)
		rig_turn(&r);
}

static void check_fair(uint64_t a, uint64_t b)
{
	ck_assert_msg(a * 4 <= b * 5 && b * 4 <= a * 5, "%llu and %llu", (unsigned long long)a,
		      (unsigned long long)b);
}

static struct user first, second;

START_TEST(equal_guests_get_equal_shares)
{
	static const uint32_t depth[][2] = { { 128, 1 }, { 128, 128 }, { 1, 1 }, { 4, 64 } };

	memset(&first, 0, sizeof(first));
	memset(&second, 0, sizeof(second));
	first = (struct user){ .q = r.q, .size = 4096 };
	second = (struct user){ .q = other, .size = 4096 };
	ck_assert_int_eq(blk_queue_set_owner(r.q, 1), 0);
	ck_assert_int_eq(blk_queue_set_owner(other, 2), 0);
	limit(1000, 0, 1);
	compete(&first, depth[_i][0], &second, depth[_i][1], 1000);
	check_fair(first.done, second.done);
	ck_assert_uint_ge(first.done + second.done, 980);
	ck_assert_uint_le(first.done + second.done, 1010);
}
END_TEST

START_TEST(bytes_are_shared_not_requests)
{
	first = (struct user){ .q = r.q, .size = 64 * KIB };
	second = (struct user){ .q = other, .size = 4 * KIB };
	ck_assert_int_eq(blk_queue_set_owner(r.q, 1), 0);
	ck_assert_int_eq(blk_queue_set_owner(other, 2), 0);
	limit(0, 16 * MIB, 1);
	compete(&first, 8, &second, 8, 2000);
	check_fair(first.bytes, second.bytes);
	ck_assert_uint_ge(first.bytes + second.bytes, 31 * MIB);
	ck_assert_uint_le(first.bytes + second.bytes, 33 * MIB);
}
END_TEST

START_TEST(two_queues_of_one_guest_are_one_guest)
{
	struct blk_queue *third;

	ck_assert_int_eq(blk_queue_create(&third, r.dev, r.loop), 0);
	ck_assert_int_eq(blk_queue_set_owner(r.q, 1), 0);
	ck_assert_int_eq(blk_queue_set_owner(third, 1), 0);
	ck_assert_int_eq(blk_queue_set_owner(other, 2), 0);
	ck_assert_ptr_eq(r.q->hold.owner, third->hold.owner);
	ck_assert_ptr_ne(r.q->hold.owner, other->hold.owner);
	blk_queue_destroy(third);
	ck_assert_uint_eq(r.q->hold.owner->queues, 1);
	ck_assert_int_eq(blk_queue_set_owner(r.q, 2), 0); /* the last of owner 1 */
	ck_assert_ptr_eq(r.q->hold.owner, other->hold.owner);
	ck_assert_ptr_null(r.q->hold.owner->next);
}
END_TEST

/* What may go at once is the burst, and one more: the one that makes the debt. */
START_TEST(burst_is_what_was_not_used)
{
	struct io io[40];
	uint32_t at_once = 0;

	limit(10, 0, 1000);
	for (int i = 0; i < 40; i++) {
		io_start(r.q, &io[i], BLK_READ, 0, 0, buf, 4096);
		at_once += io[i].done;
	}
	ck_assert_uint_ge(at_once, 10);
	ck_assert_uint_le(at_once, 11);
	ck_assert_uint_eq(policy().waiting, 40 - at_once);
	ck_assert_uint_eq(policy().limited, 40 - at_once);
	ck_assert_uint_eq(rig_stats(&r).in_flight, 40 - at_once);
	limit(0, 0, 0); /* everybody goes */
	for (int i = 0; i < 40; i++)
		ck_assert_int_eq(io_wait(&r, &io[i]), 0);
	ck_assert_uint_eq(policy().waiting, 0);
	ck_assert_ptr_eq(r.q->submit, r.dev->ops->submit);
}
END_TEST

/* One request larger than the limit of a second passes, and the next pays. */
START_TEST(no_size_is_impossible)
{
	static char big[1 << 20];
	struct io a, b;

	limit(0, 100000, 1);
	io_start(r.q, &a, BLK_READ, 0, 0, big, sizeof(big));
	ck_assert(a.done);
	io_start(r.q, &b, BLK_READ, 0, 0, buf, 4096);
	ck_assert(!b.done);
	ck_assert_uint_gt(r.dev->policy->bytes.next, loop_now(r.loop) + 9000 * MS);
	ck_assert(blk_cancel(r.q, &b.req));
	/* Flushes and the like have no bytes. */
	ck_assert_int_eq(rig_do(&r, BLK_FLUSH, 0, 0, NULL, 0), 0);
}
END_TEST

START_TEST(what_waits_can_be_taken_back)
{
	struct io io[30];
	uint32_t waits = 0;

	limit(1, 0, 1);
	for (int i = 0; i < 30; i++)
		io_start(i & 1 ? r.q : other, &io[i], BLK_WRITE, 0, 0, buf, 512);
	for (int i = 29; i >= 0; i--) {
		struct blk_queue *q = i & 1 ? r.q : other;

		if (io[i].done)
			continue;
		waits++;
		ck_assert_int_eq(blk_req_where(q, &io[i].req), BLK_AT_LIMIT);
		ck_assert(blk_cancel(q, &io[i].req));
		ck_assert(io[i].done);
		ck_assert_int_eq(io[i].result, -ECANCELED);
	}
	ck_assert_uint_ge(waits, 28);
	ck_assert_uint_eq(policy().waiting, 0);
	ck_assert_uint_eq(policy().cancelled, waits);
	ck_assert_uint_eq(rig_stats(&r).in_flight, 0);
	ck_assert_ptr_null(r.q->hold.owner->first);
}
END_TEST

START_TEST(real_time_agrees)
{
	struct io io[64];
	uint64_t began, ns;

	limit(500, 0, 1);
	began = clock_ns();
	for (int i = 0; i < 64; i++)
		io_start(r.q, &io[i], BLK_READ, 0, 0, buf, 4096);
	for (int i = 0; i < 64; i++)
		ck_assert_int_eq(io_wait(&r, &io[i]), 0);
	ns = clock_ns() - began;
	ck_assert_uint_ge(ns,
			  120 * MS); /* 62 intervals of 2 ms; no upper bound on a busy machine */
}
END_TEST

START_TEST(nonsense_is_refused)
{
	static const struct blk_limits bad[] = {
		{ .iops = BLK_MAX_IOPS + 1 },
		{ .bytes_per_s = BLK_MAX_BPS + 1 },
		{ .iops = 1, .burst_ms = BLK_MAX_BURST + 1 },
	};
	struct blk_limits l;

	for (uint32_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_int_eq(blk_dev_set_limits(r.dev, &bad[i]), -EINVAL);
	blk_dev_get_limits(r.dev, &l);
	ck_assert_uint_eq(l.iops, 0);
	limit(BLK_MAX_IOPS, BLK_MAX_BPS, BLK_MAX_BURST);
	blk_dev_get_limits(r.dev, &l);
	ck_assert_uint_eq(l.iops, BLK_MAX_IOPS);
	ck_assert_uint_eq(l.bytes_per_s, BLK_MAX_BPS);
	ck_assert_uint_eq(l.burst_ms, BLK_MAX_BURST);
	ck_assert_int_eq(rig_do(&r, BLK_READ, 0, 0, buf, 4096), 0);
	ck_assert_int_eq(blk_dev_set_limits(r.dev, NULL), 0);
}
END_TEST

/* ---- loops of several threads, limits that change meanwhile ------------------------- */

static int stop;

static void *other_loop(void *arg)
{
	struct rig mine = { .dev = r.dev };
	uint64_t n = 0;

	(void)arg;
	rig_loop(&mine, LOOP_AUTO);
	if (blk_queue_create(&mine.q, mine.dev, mine.loop))
		return NULL;
	ck_assert_int_eq(blk_queue_set_owner(mine.q, (uintptr_t)arg), 0);
	while (!load_relaxed(&stop)) {
		struct io io[8];

		for (int i = 0; i < 8; i++)
			io_start(mine.q, &io[i], BLK_READ, 0, 0, buf, 4096);
		for (int i = 0; i < 8; i++)
			if (i % 4 == 3 && !io[i].done && blk_cancel(mine.q, &io[i].req))
				ck_assert_int_eq(io[i].result, -ECANCELED);
			else
				ck_assert_int_eq(io_wait(&mine, &io[i]), 0);
		n += 8;
	}
	blk_queue_destroy(mine.q);
	loop_destroy(mine.loop);
	return (void *)(uintptr_t)n;
}

START_TEST(threads)
{
	pthread_t t[3];
	void *n;

	for (uintptr_t i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, other_loop, (void *)i), 0);
	for (int i = 0; i < 60; i++) {
		limit(i % 3 ? 2000 : 0, i % 4 ? 8 * MIB : 0, 1);
		usleep(3000);
	}
	store_relaxed(&stop, 1);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(pthread_join(t[i], &n), 0);
		ck_assert_uint_gt((uintptr_t)n, 0);
	}
	ck_assert_uint_eq(policy().waiting, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("blk_limit");
	TCase *tc = tcase_create("limits");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, equal_guests_get_equal_shares, 0, 4);
	tcase_add_test(tc, bytes_are_shared_not_requests);
	tcase_add_test(tc, two_queues_of_one_guest_are_one_guest);
	tcase_add_test(tc, burst_is_what_was_not_used);
	tcase_add_test(tc, no_size_is_impossible);
	tcase_add_test(tc, what_waits_can_be_taken_back);
	tcase_add_test(tc, real_time_agrees);
	tcase_add_test(tc, nonsense_is_refused);
	tcase_add_test(tc, threads);
	suite_add_tcase(s, tc);
	return rig_run_suite(s);
}
