/* SPDX-License-Identifier: MIT */
/*
 * Faults on purpose, over several engines: late, failing, stuck and cancelled requests, and
 * how faults are written.
 */
#include "tests/ut/vsp/blk_rig.h"
#include "vsp/storvsp/blk/blk_policy.h"

#define DISK (4 * MIB)
#define MS   1000000ull

static struct rig r;
static char buf[64 * KIB], back[64 * KIB];

static void setup(void)
{
	rig_loop(&r, LOOP_AUTO);
}

static void teardown(void)
{
	rig_end(&r);
}

static void open_memory(void)
{
	rig_open(&r, &(struct blk_config){ .engine = BLK_ENGINE_MEMORY, .size = DISK });
}

static uint32_t add(struct blk_fault f)
{
	uint32_t id = 0;

	ck_assert_int_eq(blk_dev_fault_add(r.dev, &f, &id), 0);
	ck_assert_uint_ne(id, 0);
	return id;
}

static struct blk_fault_info info(uint32_t n)
{
	struct blk_fault_info all[BLK_MAX_FAULTS];

	ck_assert_uint_gt(blk_dev_faults(r.dev, all, BLK_MAX_FAULTS), n);
	return all[n];
}

/* ---- what they do --------------------------------------------------------------- */

START_TEST(errors_by_kind_and_range)
{
	uint32_t id;

	open_memory();
	id = add((struct blk_fault){
		.ops = 1u << BLK_WRITE, .first = 8192, .end = 12288, .error = -EIO });
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 4096, buf, 4096), 0);
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 12288, buf, 4096), 0);
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 8192, buf, 512), -EIO);
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 4096, buf, 4608), -EIO);
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 11776, buf, 4096), -EIO);
	ck_assert_int_eq(rig_do(&r, BLK_READ, 0, 8192, buf, 4096), 0);
	ck_assert_uint_eq(info(0).hits, 3);
	ck_assert_uint_eq(info(0).id, id);
	ck_assert_uint_eq(rig_stats(&r).errors, 3);
	ck_assert_int_eq(blk_dev_fault_remove(r.dev, id), 0);
	ck_assert_int_eq(blk_dev_fault_remove(r.dev, id), -ENOENT);
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 8192, buf, 4096), 0);
	ck_assert_ptr_eq(r.q->submit, r.dev->ops->submit); /* nothing in the way any more */
}
END_TEST

START_TEST(a_failed_flush_is_remembered)
{
	open_memory();
	add((struct blk_fault){ .ops = 1u << BLK_FLUSH, .error = -EIO, .times = 1 });
	ck_assert_int_eq(rig_do(&r, BLK_FLUSH, 0, 0, NULL, 0), -EIO);
	ck_assert(blk_dev_flush_failed(r.dev));
	ck_assert_int_eq(rig_do(&r, BLK_FLUSH, 0, 0, NULL, 0), 0); /* once */
	ck_assert_uint_eq(info(0).hits, 1);
}
END_TEST

/* F13, in the file engine: a retry does not claim success. */
START_TEST(a_failed_flush_of_a_file_stays_failed)
{
	rig_image(&r, false, DISK);
	rig_open(&r, &(struct blk_config){ .path = r.path });
	add((struct blk_fault){ .ops = 1u << BLK_FLUSH, .error = -EIO, .times = 1 });
	ck_assert_int_eq(rig_do(&r, BLK_FLUSH, 0, 0, NULL, 0), -EIO);
	ck_assert_int_eq(rig_do(&r, BLK_FLUSH, 0, 0, NULL, 0), -EIO);
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, BLK_REQ_FUA, 0, buf, 4096), -EIO);
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 0, buf, 4096), 0);
}
END_TEST

/* One in four, and the same ones for the same seed. */
START_TEST(chance_is_reproducible)
{
	uint64_t pattern[2][4] = { { 0 } };
	uint32_t failed[2] = { 0 };

	open_memory();
	add((struct blk_fault){ .error = -EIO, .per_million = 250000 });
	for (int run = 0; run < 2; run++) {
		blk_dev_fault_seed(r.dev, 42);
		for (int i = 0; i < 256; i++) {
			bool bad = rig_do(&r, BLK_READ, 0, 0, buf, 512);

			failed[run] += bad;
			pattern[run][i / 64] |= (uint64_t)bad << i % 64;
		}
	}
	ck_assert_mem_eq(pattern[0], pattern[1], sizeof(pattern[0]));
	ck_assert_uint_ge(failed[0], 40);
	ck_assert_uint_le(failed[0], 90);
}
END_TEST

START_TEST(delays)
{
	uint64_t start = clock_ns();
	struct io slow, quick;

	open_memory();
	add((struct blk_fault){ .ops = 1u << BLK_READ, .delay_us = 30000 });
	memset(buf, 0x77, 4096);
	io_start(r.q, &slow, BLK_READ, 0, 0, back, 4096);
	ck_assert(!slow.done);
	ck_assert_int_eq(blk_req_where(r.q, &slow.req), BLK_AT_FAULT);
	ck_assert_uint_eq(info(0).held, 1);
	ck_assert_uint_eq(rig_stats(&r).in_flight, 1);
	io_start(r.q, &quick, BLK_WRITE, 0, 0, buf, 4096);
	ck_assert(quick.done);
	ck_assert_int_eq(io_wait(&r, &slow), 0);
	ck_assert_uint_ge(clock_ns() - start, 29 * MS);
	ck_assert_mem_eq(back, buf, 4096); /* done when the delay was over, not before */
	ck_assert_uint_eq(info(0).held, 0);
	ck_assert_uint_eq(rig_stats(&r).in_flight, 0);
}
END_TEST

START_TEST(late_and_failing)
{
	open_memory();
	add((struct blk_fault){ .delay_us = 5000, .error = -ENOSPC });
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 0, buf, 4096), -ENOSPC);
	ck_assert_int_eq(rig_do(&r, BLK_ZERO, 0, 0, NULL, 4096), -ENOSPC);
}
END_TEST

/* A disk that hangs and comes back. */
START_TEST(stuck_until_it_is_removed)
{
	struct io io[5];
	uint32_t id;

	rig_image(&r, false, DISK);
	rig_open(&r, &(struct blk_config){ .path = r.path });
	memset(buf, 0x31, sizeof(buf));
	id = add((struct blk_fault){ .stuck = true, .times = 4 });
	for (int i = 0; i < 5; i++)
		io_start(r.q, &io[i], BLK_WRITE, 0, (uint64_t)i * 4096, buf, 4096);
	ck_assert_int_eq(io_wait(&r, &io[4]), 0); /* the fifth is none of it */
	for (int i = 0; i < 3; i++)
		loop_turn(r.loop, 50 * MS);
	for (int i = 0; i < 4; i++)
		ck_assert(!io[i].done);
	ck_assert_uint_eq(info(0).held, 4);
	ck_assert(blk_cancel(r.q, &io[2].req));
	ck_assert_int_eq(io[2].result, -ECANCELED);
	ck_assert_int_eq(blk_dev_fault_remove(r.dev, id), 0);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(io_wait(&r, &io[i]), i == 2 ? -ECANCELED : 0);
	ck_assert_int_eq(rig_do(&r, BLK_READ, 0, 0, back, 5 * 4096), 0);
	ck_assert_mem_eq(back, buf, 2 * 4096);
	ck_assert_mem_eq(back + 3 * 4096, buf, 2 * 4096);
	for (int i = 0; i < 4096; i++)
		ck_assert_int_eq(back[2 * 4096 + i], 0); /* the cancelled one never happened */
}
END_TEST

START_TEST(the_first_that_matches_counts)
{
	open_memory();
	add((struct blk_fault){ .ops = 1u << BLK_READ, .error = -EIO, .times = 1 });
	add((struct blk_fault){ .error = -ENOSPC });
	ck_assert_int_eq(rig_do(&r, BLK_READ, 0, 0, buf, 512), -EIO);
	ck_assert_int_eq(rig_do(&r, BLK_READ, 0, 0, buf, 512), -ENOSPC);
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 0, buf, 512), -ENOSPC);
	ck_assert_uint_eq(info(0).hits, 1);
	ck_assert_uint_eq(info(1).hits, 2);
	ck_assert_int_eq(blk_dev_fault_remove(r.dev, 0), 0);
	ck_assert_uint_eq(blk_dev_faults(r.dev, NULL, 0), 0);
}
END_TEST

START_TEST(nonsense_is_refused)
{
	static const struct blk_fault bad[] = {
		{ .ops = 1u << BLK_OP_COUNT, .error = -EIO },
		{ .first = 512, .end = 512, .error = -EIO },
		{ .per_million = 1000001, .error = -EIO },
		{ .error = EIO },
		{ .error = -4096 },
		{ .error = -EINPROGRESS },
		{ .delay_us = UINT64_MAX },
	};
	struct blk_fault ok = { .delay_us = 1 };

	open_memory();
	ck_assert_int_eq(blk_dev_fault_remove(r.dev, 0), 0);
	ck_assert_int_eq(blk_dev_fault_remove(r.dev, 7), -ENOENT);
	for (uint32_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_int_eq(blk_dev_fault_add(r.dev, &bad[i], NULL), -EINVAL);
	for (uint32_t i = 0; i < BLK_MAX_FAULTS; i++)
		ck_assert_int_eq(blk_dev_fault_add(r.dev, &ok, NULL), 0);
	ck_assert_int_eq(blk_dev_fault_add(r.dev, &ok, NULL), -ENOSPC);
}
END_TEST

/* ---- taking back what waits in the engine --------------------------------------------- */

/* Bounce buffers run out: who waits for one has not reached the kernel. */
START_TEST(requests_without_a_buffer_are_taken_back)
{
	struct io io[FILE_SLOTS * 2];
	uint32_t cancelled = 0;

	rig_image(&r, false, DISK);
	rig_open(&r, &(struct blk_config){ .path = r.path, .direct = 1 });
	if (!file_dev(r.dev)->direct)
		return;
	memset(buf, 0x55, sizeof(buf));
	for (int i = 0; i < FILE_SLOTS * 2; i++) /* memory that O_DIRECT does not take */
		io_start(r.q, &io[i], BLK_WRITE, 0, (uint64_t)i * 4096, buf + 1, 4096);
	for (int i = FILE_SLOTS * 2 - 1; i >= 0; i--) {
		bool waits = blk_req_where(r.q, &io[i].req) == BLK_AT_ENGINE;

		ck_assert_int_eq(waits, i >= FILE_SLOTS);
		ck_assert_int_eq(blk_cancel(r.q, &io[i].req), waits);
		cancelled += waits;
	}
	for (int i = 0; i < FILE_SLOTS * 2; i++)
		ck_assert_int_eq(io_wait(&r, &io[i]), i < FILE_SLOTS ? 0 : -ECANCELED);
	ck_assert_uint_eq(cancelled, FILE_SLOTS);
	for (int i = 0; i < FILE_SLOTS * 2; i++) {
		ck_assert_int_eq(rig_do(&r, BLK_READ, 0, (uint64_t)i * 4096, back, 4096), 0);
		ck_assert_int_eq(back[0], i < FILE_SLOTS ? 0x55 : 0);
	}
	ck_assert_uint_eq(rig_stats(&r).in_flight, 0);
}
END_TEST

/* Flushes that wait for the running one, and ride on the next. */
START_TEST(flushes_are_taken_back)
{
	struct io io[6];
	int taken = 0;

	rig_image(&r, false, DISK);
	rig_open(&r, &(struct blk_config){ .path = r.path });
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 0, buf, 4096), 0);
	for (int i = 0; i < 6; i++)
		io_start(r.q, &io[i], BLK_FLUSH, 0, 0, NULL, 0);
	ck_assert_int_eq(blk_req_where(r.q, &io[0].req), BLK_AT_KERNEL);
	ck_assert(!blk_cancel(r.q, &io[0].req));
	for (int i = 1; i < 6; i += 2) {
		ck_assert_int_eq(blk_req_where(r.q, &io[i].req), BLK_AT_ENGINE);
		taken += blk_cancel(r.q, &io[i].req);
	}
	ck_assert_int_eq(taken, 3);
	for (int i = 0; i < 6; i++)
		ck_assert_int_eq(io_wait(&r, &io[i]), i & 1 ? -ECANCELED : 0);
	ck_assert(!blk_dev_flush_failed(r.dev));
	ck_assert_int_eq(rig_do(&r, BLK_FLUSH, 0, 0, NULL, 0), 0);
}
END_TEST

/* Helper threads: what none of them has begun with. */
START_TEST(requests_without_a_thread_are_taken_back)
{
	struct io io[200];
	int taken = 0;

	rig_end(&r);
	rig_loop(&r, LOOP_EPOLL);
	rig_image(&r, false, DISK);
	rig_open(&r, &(struct blk_config){ .path = r.path, .engine = BLK_ENGINE_THREADS });
	for (int i = 0; i < 200; i++)
		io_start(r.q, &io[i], BLK_WRITE, 0, (uint64_t)i * 4096, buf, 4096);
	for (int i = 199; i >= 0; i--)
		taken += blk_cancel(r.q, &io[i].req);
	for (int i = 0; i < 200; i++) {
		int res = io_wait(&r, &io[i]);

		ck_assert(!res || res == -ECANCELED);
		taken -= res != 0;
	}
	ck_assert_int_eq(taken, 0);
}
END_TEST

/* ---- as text ------------------------------------------------------------------------------ */

static const struct {
	const char *text;
	struct blk_fault f;
} good[] = {
	{ "write:5000-6000:eio:10%:delay=20ms",
	  { .ops = 1u << BLK_WRITE,
	    .first = 2560000,
	    .end = 3072512,
	    .per_million = 100000,
	    .error = -EIO,
	    .delay_us = 20000 } },
	{ "read/flush:stuck", { .ops = 1u << BLK_READ | 1u << BLK_FLUSH, .stuck = true } },
	{ "all:7:enospc:times=3",
	  { .ops = BLK_ANY_OP, .first = 3584, .end = 4096, .error = -ENOSPC, .times = 3 } },
	{ "zero/discard:0.0001%:delay=2s",
	  { .ops = 1u << BLK_ZERO | 1u << BLK_DISCARD, .per_million = 1, .delay_us = 2000000 } },
	{ "flush:delay=7us:100%",
	  { .ops = 1u << BLK_FLUSH, .per_million = 1000000, .delay_us = 7 } },
};

/* What a fault is written as is read as the same fault, whatever the block size. */
static void written_again(const struct blk_fault *f)
{
	char text[BLK_FAULT_TEXT], why[200];
	struct blk_fault again[1];

	ck_assert_ptr_eq(blk_fault_format(f, 512, text, sizeof(text)), text);
	ck_assert_msg(blk_fault_parse(text, 512, again, 1, why, sizeof(why)) == 1, "%s: %s", text,
		      why);
	ck_assert_uint_eq(again->ops, f->ops);
	ck_assert_uint_eq(again->first, f->first);
	ck_assert_uint_eq(again->end, f->end);
	ck_assert_uint_eq(again->per_million, f->per_million);
	ck_assert_int_eq(again->error, f->error);
	ck_assert_uint_eq(again->delay_us, f->delay_us);
	ck_assert_int_eq(again->stuck, f->stuck);
	ck_assert_uint_eq(again->times, f->times);
}

START_TEST(text_is_understood)
{
	struct blk_fault f[3];
	char why[200];

	memset(f, 0, sizeof(f));
	ck_assert_int_eq(blk_fault_parse(good[_i].text, 0, f, 3, why, sizeof(why)), 1);
	written_again(&f[0]);
	ck_assert_uint_eq(f[0].ops, good[_i].f.ops);
	ck_assert_uint_eq(f[0].first, good[_i].f.first);
	ck_assert_uint_eq(f[0].end, good[_i].f.end);
	ck_assert_uint_eq(f[0].per_million, good[_i].f.per_million);
	ck_assert_int_eq(f[0].error, good[_i].f.error);
	ck_assert_uint_eq(f[0].delay_us, good[_i].f.delay_us);
	ck_assert_int_eq(f[0].stuck, good[_i].f.stuck);
	ck_assert_uint_eq(f[0].times, good[_i].f.times);
}
END_TEST

START_TEST(several_in_one_text)
{
	struct blk_fault f[3];
	char why[200];

	ck_assert_int_eq(blk_fault_parse("read:eio+write:1-2:stuck", 4096, f, 3, why, 200), 2);
	ck_assert_uint_eq(f[1].first, 4096);
	ck_assert_uint_eq(f[1].end, 3 * 4096);
	ck_assert_int_eq(blk_fault_parse("read:eio+write:eio", 512, f, 1, why, 200), -ENOSPC);
}
END_TEST

START_TEST(other_text_is_refused)
{
	static const char *const bad[] = {
		"",
		"+",
		"eio",
		"write",
		"write:",
		"write:eoi",
		"wrote:eio",
		"write//x:eio",
		"write:6000-5000:eio",
		"write:-5:eio",
		"write:5-:eio",
		"write:5-6-7:eio",
		"write:eio:0%",
		"write:eio:101%",
		"write:eio:100.1%",
		"write:eio:1.00001%",
		"write:eio:%",
		"write:eio:-1%",
		"write:delay=",
		"write:delay=5",
		"write:delay=0ms",
		"write:delay=-1ms",
		"write:delay=99999999s",
		"write:eio:times=0",
		"write:eio:times=x",
		"write:99999999999999999999:eio",
		"write:36028797018963968:eio",
		"write:10%",
		"write:5-6",
	};
	struct blk_fault f[3];
	char why[300], big[2000];

	for (uint32_t i = 0; i < ARRAY_SIZE(bad); i++) {
		why[0] = '\0';
		ck_assert_msg(blk_fault_parse(bad[i], 512, f, 3, why, 300) == -EINVAL, "%s",
			      bad[i]);
		ck_assert_msg(!strncmp(why, "fault", 5), "%s: %s", bad[i], why);
	}
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	ck_assert_int_eq(blk_fault_parse(big, 512, f, 3, why, 300), -EINVAL);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("blk_policy_fault");
	TCase *tc = tcase_create("faults");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, errors_by_kind_and_range);
	tcase_add_test(tc, a_failed_flush_is_remembered);
	tcase_add_test(tc, a_failed_flush_of_a_file_stays_failed);
	tcase_add_test(tc, chance_is_reproducible);
	tcase_add_test(tc, delays);
	tcase_add_test(tc, late_and_failing);
	tcase_add_test(tc, stuck_until_it_is_removed);
	tcase_add_test(tc, the_first_that_matches_counts);
	tcase_add_test(tc, nonsense_is_refused);
	tcase_add_test(tc, requests_without_a_buffer_are_taken_back);
	tcase_add_test(tc, flushes_are_taken_back);
	tcase_add_test(tc, requests_without_a_thread_are_taken_back);
	tcase_add_loop_test(tc, text_is_understood, 0, ARRAY_SIZE(good));
	tcase_add_test(tc, several_in_one_text);
	tcase_add_test(tc, other_text_is_refused);
	suite_add_tcase(s, tc);
	return rig_run_suite(s);
}
