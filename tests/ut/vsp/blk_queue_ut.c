/* SPDX-License-Identifier: MIT */
/*
 * Queues: which engine takes over when another is not to be had, floods that no ring has
 * room for, and bounce buffers that run out (F15, F16).
 */
#include <sys/syscall.h>

#include <libaio.h>

#include "tests/fake/fault_blk.c"
#include "tests/ut/vsp/blk_rig.h"

#define DISK (8 * MIB)

static struct rig r;
static int log_pipe[2];

/* ---- libaio that has run out ------------------------------------------------------- */

static bool no_contexts;

/* Found before the library's. */
int io_setup(int n, io_context_t *ctx)
{
	long err = no_contexts ? -1 : syscall(SYS_io_setup, n, ctx);

	if (no_contexts)
		return -EAGAIN;
	return err ? -errno : 0;
}

/* ---- the log ------------------------------------------------------------------------- */

static void setup(void)
{
	ck_assert_int_eq(pipe2(log_pipe, O_NONBLOCK | O_CLOEXEC), 0);
	log_set_fd(log_pipe[1]);
	log_set_level(LOG_INFO);
	rig_image(&r, false, DISK);
}

static void teardown(void)
{
	rig_end(&r);
	log_set_fd(2);
	close(log_pipe[0]);
	close(log_pipe[1]);
}

/* Lines logged since the last call, of which one contains @text. */
static int logged(const char *text)
{
	static char all[4096];
	ssize_t n = read(log_pipe[0], all, sizeof(all) - 1);
	int lines = 0;

	if (n <= 0)
		return 0;
	all[n] = '\0';
	for (ssize_t i = 0; i < n; i++)
		lines += all[i] == '\n';
	ck_assert_msg(strstr(all, text) != NULL, "no '%s' in: %s", text, all);
	return lines;
}

static const char *engine(void)
{
	static struct blk_info info;

	blk_dev_info(r.dev, &info);
	return info.engine;
}

/* It works, whatever it is. */
static void use(void)
{
	static char a[64 * KIB], b[64 * KIB];

	memset(a, 0x21, sizeof(a));
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, BLK_REQ_FUA, 512, a, sizeof(a)), 0);
	ck_assert_int_eq(rig_do(&r, BLK_FLUSH, 0, 0, NULL, 0), 0);
	ck_assert_int_eq(rig_do(&r, BLK_ZERO, 0, 0, NULL, 4096), 0);
	ck_assert_int_eq(rig_do(&r, BLK_READ, 0, 4096, b, 4096), 0);
	ck_assert_mem_eq(b, a, 4096);
}

/* ---- who takes over --------------------------------------------------------------------- */

START_TEST(io_uring_needs_no_explanation)
{
	rig_loop(&r, LOOP_URING);
	rig_open(&r, &(struct blk_config){ .path = r.path });
	ck_assert_str_eq(engine(), "io_uring");
	ck_assert_int_eq(logged(""), 0);
	use();
}
END_TEST

START_TEST(without_io_uring_comes_libaio)
{
	rig_loop(&r, LOOP_EPOLL);
	rig_open(&r, &(struct blk_config){ .path = r.path, .direct = 1 });
	ck_assert_str_eq(engine(), "libaio");
	ck_assert_int_eq(logged("there is no io_uring, using libaio"), 1);
	use();
}
END_TEST

START_TEST(without_contexts_come_threads)
{
	no_contexts = true;
	rig_loop(&r, LOOP_EPOLL);
	rig_open(&r, &(struct blk_config){ .path = r.path, .direct = 1 });
	ck_assert_str_eq(engine(), "threads");
	ck_assert_int_eq(logged("fs.aio-max-nr"), 2); /* one line for each step */
	use();
}
END_TEST

START_TEST(page_cache_skips_libaio)
{
	struct blk_queue *second;

	rig_loop(&r, LOOP_EPOLL);
	rig_open(&r, &(struct blk_config){ .path = r.path });
	ck_assert_str_eq(engine(), "threads");
	ck_assert_int_eq(logged("using helper threads"), 1);
	ck_assert_int_eq(blk_queue_create(&second, r.dev, r.loop), 0);
	ck_assert_int_eq(logged(""), 0); /* said once */
	use();
	blk_queue_destroy(second);
	use();
}
END_TEST

START_TEST(insisting_on_io_uring_fails)
{
	struct blk_queue *q;

	rig_loop(&r, LOOP_EPOLL);
	ck_assert_int_eq(
		blk_dev_open(&r.dev,
			     &(struct blk_config){ .path = r.path, .engine = BLK_ENGINE_URING },
			     r.why, sizeof(r.why)),
		0);
	ck_assert_int_eq(blk_queue_create(&q, r.dev, r.loop), -ENOTSUP);
}
END_TEST

/* ---- floods ------------------------------------------------------------------------------- */

#define FLOOD 6000

static const struct way {
	enum blk_engine engine;
	enum loop_engine loop;
	int direct;
	uint32_t entries;
} ways[] = {
	{ BLK_ENGINE_URING, LOOP_URING, 0, 8 },
	{ BLK_ENGINE_URING, LOOP_URING, 0, 4096 },
	{ BLK_ENGINE_AIO, LOOP_EPOLL, 1, 0 },
	{ BLK_ENGINE_THREADS, LOOP_EPOLL, 0, 0 },
};
#define WAYS ((int)ARRAY_SIZE(ways))

/* More at once than any queue holds: they wait, and every one comes back once. */
START_TEST(a_flood_comes_back)
{
	struct blk_config cfg = { .path = r.path,
				  .engine = ways[_i].engine,
				  .direct = ways[_i].direct };
	struct loop_config lc = { .engine = ways[_i].loop,
				  .entries = ways[_i].entries,
				  .name = "flood" };
	struct io *io = calloc(FLOOD, sizeof(*io));
	char *mem =
		aligned_alloc(4096, (size_t)FLOOD * 4096); /* each its own: they do run at once */
	unsigned waited = 0;

	ck_assert_int_eq(loop_create(&r.loop, &lc), 0);
	rig_open(&r, &cfg);
	memset(mem, 0, 4096);
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 0, mem, 4096), 0);
	for (int i = 0; i < FLOOD; i++) {
		io_start(r.q, &io[i], BLK_READ, 0, (uint64_t)(i % 2048) * 4096,
			 mem + (size_t)i * 4096, 4096);
		waited += !io[i].done;
	}
	ck_assert_uint_eq(rig_stats(&r).in_flight, waited);
	for (int i = 0; i < FLOOD; i++)
		ck_assert_int_eq(io_wait(&r, &io[i]), 0);
	ck_assert_uint_eq(rig_stats(&r).ops[BLK_READ], FLOOD);
	ck_assert_uint_eq(rig_stats(&r).in_flight, 0);
	free(mem);
	free(io);
}
END_TEST

/* Crooked memory, more than there are bounce buffers, each larger than one. */
START_TEST(bounce_buffers_run_out_and_come_back)
{
	/* The disk has room for so many; who shares a place writes the same, in any order. */
	enum { N = 3 * FILE_SLOTS, LEN = 300 * 1024, PLACES = 27 };
	struct blk_config cfg = { .path = r.path, .engine = ways[_i].engine, .direct = 1 };
	static struct io io[N];
	char *mem = malloc(N * (LEN + 8));
	struct loop_config lc = { .engine = ways[_i].loop,
				  .entries = ways[_i].entries,
				  .name = "bounce" };

	ck_assert_int_eq(loop_create(&r.loop, &lc), 0);
	rig_open(&r, &cfg);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < N; i++) {
			char *p = mem + (size_t)i * (LEN + 8) + 1;

			memset(p, round ? 0 : i % PLACES + 1, LEN);
			io_start(r.q, &io[i], round ? BLK_READ : BLK_WRITE, 0,
				 (uint64_t)(i % PLACES) * LEN, p, LEN);
		}
		for (int i = 0; i < N; i++)
			ck_assert_int_eq(io_wait(&r, &io[i]), 0);
	}
	for (int i = 0; i < N; i++) {
		char *p = mem + (size_t)i * (LEN + 8) + 1;

		ck_assert_int_eq(p[0], i % PLACES + 1);
		ck_assert(!memcmp(p, p + 1, LEN - 1));
	}
	ck_assert_uint_ge(rig_stats(&r).bounced, 4 * N);
	for (int i = 0; i < FILE_SLOTS; i++) { /* all of them came home */
		ck_assert_ptr_nonnull(file_queue(r.q)->slot_free);
		file_queue(r.q)->slot_free = file_queue(r.q)->slot_free->next;
	}
	ck_assert_ptr_null(file_queue(r.q)->slot_free);
	free(mem);
}
END_TEST

START_TEST(counters_outlive_their_queue)
{
	static char mem[4096];
	struct blk_stats st;

	rig_loop(&r, LOOP_AUTO);
	rig_open(&r, &(struct blk_config){ .path = r.path });
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 0, mem, 4096), 0);
	blk_queue_destroy(r.q);
	ck_assert_int_eq(blk_queue_create(&r.q, r.dev, r.loop), 0);
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 0, mem, 4096), 0);
	st = rig_stats(&r);
	ck_assert_uint_eq(st.ops[BLK_WRITE], 2);
	ck_assert_uint_eq(st.bytes[BLK_WRITE], 8192);
}
END_TEST

/* Flags of the mapping that @at is in, as /proc says them. */
static const char *mapping_flags(const void *at)
{
	static char line[512];
	unsigned long from = 0, to = 0;
	FILE *f = fopen("/proc/self/smaps", "r");

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "VmFlags:", 8) && (uintptr_t)at >= from && (uintptr_t)at < to)
			break;
		sscanf(line, "%lx-%lx ", &from, &to);
	}
	fclose(f);
	return line;
}

/* X04: what is copied on its way between guests and the disk is as private as their memory. */
START_TEST(x04_bounce_buffers_are_not_dumped)
{
	rig_loop(&r, LOOP_EPOLL);
	rig_open(&r, &(struct blk_config){ .path = r.path, .direct = 1 });
	ck_assert_ptr_nonnull(strstr(mapping_flags(file_queue(r.q)->slot_memory), " dd"));
	ck_assert_ptr_null(strstr(mapping_flags(&r), " dd"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("blk_queue");
	TCase *tc = tcase_create("queue");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, io_uring_needs_no_explanation);
	tcase_add_test(tc, without_io_uring_comes_libaio);
	tcase_add_test(tc, without_contexts_come_threads);
	tcase_add_test(tc, page_cache_skips_libaio);
	tcase_add_test(tc, insisting_on_io_uring_fails);
	tcase_add_loop_test(tc, a_flood_comes_back, 0, WAYS);
	tcase_add_loop_test(tc, bounce_buffers_run_out_and_come_back, 0, WAYS);
	tcase_add_test(tc, counters_outlive_their_queue);
	tcase_add_test(tc, x04_bounce_buffers_are_not_dumped);
	suite_add_tcase(s, tc);
	return rig_run_suite(s);
}
