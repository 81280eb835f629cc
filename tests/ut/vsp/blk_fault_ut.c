/* SPDX-License-Identifier: MIT */
/*
 * What the file engine makes of calls that do not do what they should (F10-F16): the right
 * result, exactly once, and never a success with something missing.
 */
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "tests/fake/fault_blk.c"
#include "tests/ut/vsp/blk_rig.h"

#define DISK (4 * MIB)

static struct rig r;
static struct fault t;
static char buf[256 * KIB] __attribute__((aligned(4096)));
static const char nothing[256 * KIB];
static char back[256 * KIB] __attribute__((aligned(4096)));

/* The ways calls are made; each test that says so runs with all of them. */
static const struct way {
	enum blk_engine engine;
	enum loop_engine loop;
	bool in_memory;
	int direct;
} ways[] = {
	{ BLK_ENGINE_URING, LOOP_URING, false, 0 },   { BLK_ENGINE_URING, LOOP_URING, false, 1 },
	{ BLK_ENGINE_AIO, LOOP_EPOLL, false, 1 },     { BLK_ENGINE_THREADS, LOOP_EPOLL, false, 0 },
	{ BLK_ENGINE_THREADS, LOOP_URING, false, 1 }, { BLK_ENGINE_URING, LOOP_URING, true, 0 },
};
#define WAYS ((int)ARRAY_SIZE(ways))

static void paint(void)
{
	for (size_t n = 0; n < sizeof(buf); n++)
		buf[n] = (char)(n / 512 * 7 + n + 1);
}

static void open_way(int i)
{
	struct blk_config cfg = { .engine = ways[i].engine, .direct = ways[i].direct };

	rig_loop(&r, ways[i].loop);
	rig_image(&r, ways[i].in_memory, DISK);
	cfg.path = r.path;
	rig_open(&r, &cfg);
	fault_attach(&t, r.dev);
	paint();
}

static void teardown(void)
{
	rig_end(&r);
}

static void read_back(uint64_t off, uint64_t len)
{
	memset(back, 0x5a, len);
	ck_assert_int_eq(rig_do(&r, BLK_READ, 0, off, back, len), 0);
}

/* ---- short transfers and interruptions ---------------------------------------- */

START_TEST(short_transfers_are_continued)
{
	static const int cuts[] = { 1, 511, 512, 2048, 4096, 60000 };

	open_way(_i);
	for (unsigned i = 0; i < ARRAY_SIZE(cuts); i++) {
		uint64_t off = i * 512 * KIB, before;

		if (ways[_i].direct && cuts[i] % 512)
			continue; /* no device does that */
		before = rig_stats(&r).resubmitted;
		fault_clear(&t);
		fault_add(&t, CALL_WRITE, FAULT_SHORT, cuts[i], 0, 3);
		fault_add(&t, CALL_READ, FAULT_SHORT, cuts[i], 1, 3);
		ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, off, buf, 128 * KIB), 0);
		read_back(off, 128 * KIB);
		ck_assert_mem_eq(back, buf, 128 * KIB);
		ck_assert_uint_ge(rig_stats(&r).resubmitted - before, 2);
	}
	ck_assert_uint_gt(fault_hits(&t), 0);
}
END_TEST

/* Also inside the entries of a list, and across them. */
START_TEST(short_transfers_of_lists_are_continued)
{
	struct iovec iov[3] = { { buf, 2048 }, { buf + 8192, 4096 }, { buf + 16384, 2048 } };
	struct io io;

	open_way(0);
	fault_add(&t, CALL_WRITE, FAULT_SHORT, 1000, 0, FAULT_FOREVER);
	io_start(r.q, &io, BLK_FLUSH, 0, 0, NULL, 0);
	ck_assert_int_eq(io_wait(&r, &io), 0);
	memset(&io, 0, sizeof(io));
	io.req = (struct blk_req){
		.op = BLK_WRITE, .iov = iov, .niov = 3, .len = 8192, .offset = 4096, .done = io_done
	};
	ck_assert_int_eq(blk_submit(r.q, &io.req), -EINPROGRESS);
	ck_assert_int_eq(io_wait(&r, &io), 0);
	read_back(4096, 8192);
	ck_assert_mem_eq(back, buf, 2048);
	ck_assert_mem_eq(back + 2048, buf + 8192, 4096);
	ck_assert_mem_eq(back + 6144, buf + 16384, 2048);
	/* 1000 1000 48 | 1000 .. 96 | 1000 1000 48, the last of each list entry by itself or not */
	ck_assert_uint_ge(fault_calls(&t, CALL_WRITE), 9);
}
END_TEST

START_TEST(interruptions_are_repeated)
{
	static const int errs[] = { -EINTR, -EAGAIN, -ENOMEM };

	open_way(_i);
	for (unsigned i = 0; i < ARRAY_SIZE(errs); i++) {
		fault_clear(&t);
		fault_add(&t, CALL_WRITE, FAULT_RESULT, errs[i], 0, 3);
		fault_add(&t, CALL_READ, FAULT_RESULT, errs[i], 0, 3);
		ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 0, buf, 4096), 0);
		read_back(0, 4096);
		ck_assert_mem_eq(back, buf, 4096);
	}
	fault_add(&t, CALL_SYNC, FAULT_RESULT, -EINTR, 0, 2);
	ck_assert_int_eq(rig_do(&r, BLK_FLUSH, 0, 0, NULL, 0), 0);
	ck_assert_int_eq(fault_calls(&t, CALL_SYNC), 3);
}
END_TEST

START_TEST(endless_interruptions_end)
{
	static const struct {
		int what, want;
	} c[] = { { -EINTR, -EIO }, { -EAGAIN, -EIO }, { -ENOMEM, -ENOMEM } };

	open_way(_i);
	for (unsigned i = 0; i < ARRAY_SIZE(c); i++) {
		fault_clear(&t);
		fault_add(&t, CALL_READ, FAULT_RESULT, c[i].what, 0, FAULT_FOREVER);
		ck_assert_int_eq(rig_do(&r, BLK_READ, 0, 0, back, 4096), c[i].want);
	}
	fault_clear(&t);
	fault_add(&t, CALL_SYNC, FAULT_RESULT, -EAGAIN, 0, FAULT_FOREVER);
	ck_assert_int_eq(rig_do(&r, BLK_FLUSH, 0, 0, NULL, 0), -EIO);
	ck_assert(blk_dev_flush_failed(r.dev));
}
END_TEST

START_TEST(a_write_of_nothing_is_tried_once_more)
{
	open_way(_i);
	fault_add(&t, CALL_WRITE, FAULT_RESULT, 0, 0, 1);
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 0, buf, 4096), 0);
	fault_add(&t, CALL_WRITE, FAULT_RESULT, 0, 0, 2);
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 0, buf, 4096), -EIO);
}
END_TEST

/* ---- errors ---------------------------------------------------------------------- */

START_TEST(errors_come_back_as_they_are)
{
	static const int errs[] = { EIO,   EBADMSG, EILSEQ, ENOSPC,    EDQUOT,
				    EFBIG, EROFS,   EPERM,  EBADF,     ENODEV,
				    ENXIO, EFAULT,  ESTALE, ECANCELED, ENODATA };

	open_way(_i);
	for (unsigned i = 0; i < ARRAY_SIZE(errs); i++) {
		fault_clear(&t);
		fault_add(&t, CALL_WRITE, FAULT_RESULT, -errs[i], 0, 1);
		fault_add(&t, CALL_READ, FAULT_RESULT, -errs[i], 0, 1);
		fault_add(&t, CALL_FALLOC, FAULT_RESULT, -errs[i], 0, 1);
		ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 0, buf, 4096), -errs[i]);
		ck_assert_int_eq(rig_do(&r, BLK_READ, 0, 0, back, 4096), -errs[i]);
		ck_assert_int_eq(rig_do(&r, BLK_ZERO, 0, 0, NULL, 4096), -errs[i]);
	}
	ck_assert_uint_eq(rig_stats(&r).errors, 3 * ARRAY_SIZE(errs));
	ck_assert_uint_eq(rig_stats(&r).ops[BLK_WRITE], 0);
	ck_assert_uint_eq(rig_stats(&r).in_flight, 0);
	ck_assert(!blk_dev_flush_failed(r.dev));
}
END_TEST

/* An error behind a part that went well is still an error. */
START_TEST(an_error_after_a_short_transfer_counts)
{
	open_way(_i);
	fault_add(&t, CALL_WRITE, FAULT_SHORT, 4096, 0, 1);
	fault_add(&t, CALL_WRITE, FAULT_RESULT, -ENOSPC, 1, 1);
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 0, buf, 64 * KIB), -ENOSPC);
	fault_add(&t, CALL_READ, FAULT_SHORT, 4096, 0, 1);
	fault_add(&t, CALL_READ, FAULT_RESULT, -EIO, 1, 1);
	ck_assert_int_eq(rig_do(&r, BLK_READ, 0, 0, back, 64 * KIB), -EIO);
}
END_TEST

/* D26: cut off behind our back. Zeroes would be a lie. */
START_TEST(a_truncated_file_is_an_error)
{
	open_way(_i);
	ck_assert_int_eq(truncate(r.path, 2 * MIB), 0);
	ck_assert_int_eq(rig_do(&r, BLK_READ, 0, 3 * MIB, back, 4096), -EIO);
	ck_assert_int_eq(rig_do(&r, BLK_READ, 0, 2 * MIB - 4096, back, 8192), -EIO);
	ck_assert_int_eq(rig_do(&r, BLK_READ, 0, 2 * MIB - 4096, back, 4096), 0);
}
END_TEST

START_TEST(memory_that_odirect_refuses_is_bounced_once)
{
	open_way(1);
	fault_add(&t, CALL_WRITE, FAULT_RESULT, -EINVAL, 0, 1);
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 0, buf, 8192), 0);
	ck_assert_uint_eq(rig_stats(&r).bounced, 1);
	fault_add(&t, CALL_READ, FAULT_RESULT, -EINVAL, 0, FAULT_FOREVER);
	ck_assert_int_eq(rig_do(&r, BLK_READ, 0, 0, back, 8192), -EINVAL);
	ck_assert_uint_eq(fault_calls(&t, CALL_READ), 2);
	rig_end(&r);
	open_way(0);
	fault_add(&t, CALL_WRITE, FAULT_RESULT, -EINVAL, 0, 1);
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 0, buf, 8192), -EINVAL);
}
END_TEST

/* ---- what turns out not to be supported ---------------------------------------------- */

START_TEST(clearing_falls_back_to_writing_zeroes)
{
	static const uint8_t ops[] = { BLK_ZERO, BLK_DISCARD };
	struct blk_info info;

	for (int i = 0; i < 2; i++) {
		open_way(_i);
		fault_add(&t, CALL_FALLOC, FAULT_RESULT, -EOPNOTSUPP, 0, FAULT_FOREVER);
		ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 0, buf, 256 * KIB), 0);
		ck_assert_int_eq(rig_do(&r, ops[i], 0, 512, NULL, 200 * KIB), 0);
		read_back(0, 256 * KIB);
		ck_assert_mem_eq(back, buf, 512);
		ck_assert_mem_eq(back + 512, nothing, 200 * KIB);
		ck_assert_mem_eq(back + 512 + 200 * KIB, buf + 512 + 200 * KIB, 1024);
		ck_assert_uint_le(fault_calls(&t, CALL_FALLOC), 2);
		blk_dev_info(r.dev, &info);
		ck_assert_uint_eq(info.discard_granularity, 0);
		/* Not asked again. */
		ck_assert_int_eq(rig_do(&r, ops[i], 0, 0, NULL, 4096), 0);
		ck_assert_uint_le(fault_calls(&t, CALL_FALLOC), 2);
		rig_end(&r);
	}
}
END_TEST

/* A punch holds the inode's lock: nobody else gets at the file meanwhile. */
START_TEST(large_clears_go_in_pieces)
{
	static const uint8_t ops[] = { BLK_ZERO, BLK_DISCARD };
	struct blk_config cfg = { .engine = BLK_ENGINE_URING };

	paint();
	for (int i = 0; i < 2; i++) {
		rig_loop(&r, LOOP_URING);
		rig_image(&r, false, 300 * MIB);
		cfg.path = r.path;
		rig_open(&r, &cfg);
		fault_attach(&t, r.dev);
		ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 0, buf, 4096), 0);
		ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 200 * MIB, buf, 4096), 0);
		ck_assert_int_eq(rig_do(&r, ops[i], 0, 512, NULL, 200 * MIB), 0);
		ck_assert_uint_eq(fault_calls(&t, CALL_FALLOC), 4); /* 64 64 64 8 */
		read_back(200 * MIB, 4096);
		ck_assert_mem_eq(back, nothing, 512);
		ck_assert_mem_eq(back + 512, buf + 512, 4096 - 512);
		read_back(0, 4096);
		ck_assert_mem_eq(back, buf, 512);
		ck_assert_mem_eq(back + 512, nothing, 4096 - 512);
		rig_end(&r);
	}
}
END_TEST

START_TEST(fua_falls_back_to_write_and_flush)
{
	open_way(_i);
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, BLK_REQ_FUA, 0, buf, 4096), 0);
	ck_assert_uint_eq(fault_calls(&t, CALL_SYNC), 0);
	fault_add(&t, CALL_WRITE, FAULT_RESULT, -EOPNOTSUPP, 0, 1);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(rig_do(&r, BLK_WRITE, BLK_REQ_FUA, 0, buf, 4096), 0);
	ck_assert_uint_eq(fault_calls(&t, CALL_SYNC), 2);
	ck_assert_uint_eq(fault_calls(&t, CALL_WRITE), 4);
	/* And then it is the flush's failure that it reports. */
	fault_add(&t, CALL_SYNC, FAULT_RESULT, -EIO, 0, 1);
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, BLK_REQ_FUA, 0, buf, 4096), -EIO);
	ck_assert(blk_dev_flush_failed(r.dev));
}
END_TEST

/* ---- real limits --------------------------------------------------------------------------- */

static bool put_line(const char *path, const char *line)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, line, strlen(line)) == (ssize_t)strlen(line);

	close(fd);
	return ok;
}

/* Mounts that nobody else sees; also for ordinary users, where the system lets them. */
static bool own_mounts(void)
{
	char uids[32], gids[32];

	snprintf(uids, sizeof(uids), "0 %d 1", (int)getuid());
	snprintf(gids, sizeof(gids), "0 %d 1", (int)getgid());
	if (!getuid())
		return !unshare(CLONE_NEWNS);
	return !unshare(CLONE_NEWUSER | CLONE_NEWNS) && put_line("/proc/self/setgroups", "deny") &&
	       put_line("/proc/self/uid_map", uids) && put_line("/proc/self/gid_map", gids);
}

/* F10: a full file system. Nothing that was called done is lost, and room helps. */
START_TEST(a_full_file_system_says_so)
{
	struct blk_config cfg = { .engine = ways[_i].engine, .size = 16 * MIB };
	char dir[] = "/tmp/blk_ut_XXXXXX";
	unsigned good = 0;
	int fd, err = 0;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	if (!own_mounts() || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("blk_ut", dir, "tmpfs", 0, "size=2m")) {
		fprintf(stderr, "skipped: no mount namespace here (%s)\n", strerror(errno));
		rmdir(dir);
		return;
	}
	rig_loop(&r, ways[_i].loop);
	snprintf(r.path, sizeof(r.path), "%s/disk", dir);
	fd = open(r.path, O_CREAT | O_RDWR, 0600);
	ck_assert_int_eq(ftruncate(fd, 16 * MIB), 0);
	close(fd);
	cfg.path = r.path;
	rig_open(&r, &cfg);
	memset(buf, 0x42, sizeof(buf));
	for (; good < 64 && !err; good++)
		err = rig_do(&r, BLK_WRITE, 0, good * sizeof(buf), buf, sizeof(buf));
	ck_assert_int_eq(err, -ENOSPC);
	ck_assert_uint_gt(--good, 4);
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 12 * MIB, buf, 4096), -ENOSPC);
	for (unsigned i = 0; i < good; i++) {
		read_back(i * sizeof(buf), sizeof(buf));
		ck_assert_mem_eq(back, buf, sizeof(buf));
	}
	ck_assert(!blk_dev_flush_failed(r.dev));
	ck_assert_int_eq(rig_do(&r, BLK_DISCARD, 0, 0, NULL, sizeof(buf)), 0);
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 12 * MIB, buf, 4096), 0);
	rig_end(&r);
	umount(dir);
	rmdir(dir);
}
END_TEST

START_TEST(a_file_size_limit_says_so)
{
	struct rlimit lim = { 2 * MIB, 2 * MIB };
	struct blk_config cfg = { .engine = ways[_i].engine,
				  .direct = ways[_i].direct,
				  .size = DISK };

	rig_loop(&r, ways[_i].loop);
	rig_image(&r, ways[_i].in_memory, MIB);
	cfg.path = r.path;
	rig_open(&r, &cfg);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &lim), 0);
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, MIB, buf, 4096), 0);
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 3 * MIB, buf, 4096), -EFBIG);
	/* Half of it is allowed: that half, and no success. */
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 2 * MIB - 4096, buf, 8192), -EFBIG);
	ck_assert_int_eq(rig_do(&r, BLK_READ, 0, 3 * MIB, back, 4096), 0);
	ck_assert_int_eq(back[0], 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("blk_fault");
	TCase *tc = tcase_create("faults");

	log_set_level(LOG_ERROR);
	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC)); /* they say so, loudly */
	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, short_transfers_are_continued, 0, WAYS);
	tcase_add_test(tc, short_transfers_of_lists_are_continued);
	tcase_add_loop_test(tc, interruptions_are_repeated, 0, WAYS);
	tcase_add_loop_test(tc, endless_interruptions_end, 0, WAYS);
	tcase_add_loop_test(tc, a_write_of_nothing_is_tried_once_more, 0, WAYS);
	tcase_add_loop_test(tc, errors_come_back_as_they_are, 0, WAYS);
	tcase_add_loop_test(tc, an_error_after_a_short_transfer_counts, 0, WAYS);
	tcase_add_loop_test(tc, a_truncated_file_is_an_error, 0, WAYS);
	tcase_add_test(tc, memory_that_odirect_refuses_is_bounced_once);
	tcase_add_loop_test(tc, clearing_falls_back_to_writing_zeroes, 0, WAYS);
	tcase_add_test(tc, large_clears_go_in_pieces);
	tcase_add_loop_test(tc, fua_falls_back_to_write_and_flush, 0, WAYS);
	tcase_add_loop_test(tc, a_full_file_system_says_so, 3, WAYS); /* threads, inline */
	tcase_add_loop_test(tc, a_file_size_limit_says_so, 0, WAYS);
	suite_add_tcase(s, tc);
	return rig_run_suite(s);
}
