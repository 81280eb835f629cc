/* SPDX-License-Identifier: MIT */
/*
 * A root in its sandbox does everything a root does: verified I/O with every engine, through
 * O_DIRECT and the page cache, on both loops and on io threads, as an ordinary user, before
 * and after a child was killed in the middle. A system call that is missing from the filter
 * ends the root, and with it the test.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "tests/proc/root_rig.h"
#include "vsc/storvsc.h"

#define NOBODY 65534
#define DISK   (8u << 20)
#define MEMORY (24u << 20)
#define QUEUES 3
#define ROUNDS 40

static char image[96];

struct setting {
	const char *name;
	enum blk_engine engine;
	int direct;
	enum loop_engine loop;
	uint32_t io_threads;
	bool nobody;
};

static const struct setting settings[] = {
	{ "io_uring", BLK_ENGINE_URING, 0, LOOP_AUTO, 0, false },
	{ "io_uring, direct", BLK_ENGINE_URING, 1, LOOP_AUTO, 0, false },
	{ "io_uring, io threads", BLK_ENGINE_URING, 1, LOOP_AUTO, 2, false },
	{ "libaio", BLK_ENGINE_AIO, 0, LOOP_AUTO, 0, false },
	{ "libaio, direct", BLK_ENGINE_AIO, 1, LOOP_AUTO, 0, false },
	{ "libaio, direct, epoll, io threads", BLK_ENGINE_AIO, 1, LOOP_EPOLL, 2, false },
	{ "threads", BLK_ENGINE_THREADS, 0, LOOP_AUTO, 0, false },
	{ "threads, direct, epoll", BLK_ENGINE_THREADS, 1, LOOP_EPOLL, 0, false },
	{ "threads, io threads", BLK_ENGINE_THREADS, 0, LOOP_AUTO, 2, false },
	{ "memory", BLK_ENGINE_MEMORY, 0, LOOP_AUTO, 0, false },
	{ "memory, epoll, io threads", BLK_ENGINE_MEMORY, 0, LOOP_EPOLL, 2, false },
	{ "auto, epoll", BLK_ENGINE_AUTO, 0, LOOP_EPOLL, 0, false },
	{ "io_uring, ordinary user", BLK_ENGINE_URING, 0, LOOP_AUTO, 2, true },
	{ "libaio, direct, ordinary user", BLK_ENGINE_AIO, 1, LOOP_EPOLL, 0, true },
	{ "threads, ordinary user", BLK_ENGINE_THREADS, 0, LOOP_AUTO, 0, true },
};

/* ---- a root in a process of its own ------------------------------------------------- */

static void become_nobody(void)
{
	if (geteuid())
		return; /* is one already */
	if (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY))
		_exit(2);
}

static const struct setting *setting; /* of the root to come */

static void configure(struct root_config *cfg)
{
	const struct setting *t = setting;

	if (t->nobody)
		become_nobody();
	log_set_level(LOG_WARN);
	signal(SIGPIPE, SIG_IGN);
	cfg->nr_disks = 1;
	cfg->io_threads = t->io_threads;
	cfg->loop_engine = t->loop;
	cfg->spin_us = 20;
	cfg->disk[0].blk = (struct blk_config){
		.path = t->engine != BLK_ENGINE_MEMORY ? image : NULL,
		.engine = t->engine,
		.direct = t->direct,
		.size = DISK,
	};
}

static void start_root(const struct setting *t)
{
	int fd;

	setting = t;
	rig_dir();
	snprintf(image, sizeof(image), "%s/image", dir);
	fd = open(image, O_CREAT | O_RDWR, 0600);
	ck_assert_int_eq(ftruncate(fd, DISK), 0);
	close(fd);
	if (t->nobody && !geteuid())
		ck_assert(!chown(dir, NOBODY, NOBODY) && !chown(image, NOBODY, NOBODY));
	rig_start(&(struct rig_root){ configure, NULL });
}

static void end_root(void)
{
	rig_stop();
	ck_assert_msg(access(sock, F_OK) && errno == ENOENT, "the socket's name stayed behind");
}

/* ---- I/O ------------------------------------------------------------------------------- */

static uint8_t model[DISK], buf[256 * 1024];
static uint32_t seed = 1;
static uint32_t spread; /* queues that are used */

static uint32_t rnd(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static struct storvsc *attach(void)
{
	struct storvsc_config cfg = { .queues = QUEUES, .depth = 64, .spin_us = 20 };
	struct storvsc *s;
	char why[256];

	ck_assert_msg(!storvsc_attach(&s, sock, 0, MEMORY, &cfg, why, sizeof(why)), "%s", why);
	return s;
}

/* One change to disk and model alike, of any length and at any block. */
static void change(struct storvsc *s, const struct storvsc_disk *d)
{
	uint64_t len = 512ul * (1 + rnd(sizeof(buf) / 512)), off = 512ul * rnd(DISK / 512 - 512);
	uint32_t q = rnd(spread), i;

	switch (rnd(6)) {
	case 0:
		ck_assert(d->discard);
		len &= ~4095ul;
		off &= ~4095ul;
		ck_assert_int_eq(storvsc_discard(s, q, 0, off, len), 0);
		memset(model + off, 0, len);
		return;
	case 1:
		ck_assert_int_eq(storvsc_zero(s, q, 0, off, len), 0);
		memset(model + off, 0, len);
		return;
	case 2:
		ck_assert_int_eq(storvsc_flush(s, q, 0), 0);
		return;
	default:
		for (i = 0; i < len; i++)
			buf[i] = (uint8_t)rnd(256);
		memcpy(model + off, buf, len);
		ck_assert_int_eq(storvsc_write(s, q, 0, buf, off, len, rnd(4) ? 0 : STORVSC_FUA),
				 0);
	}
}

static void compare(struct storvsc *s)
{
	uint64_t off;

	for (off = 0; off < DISK; off += sizeof(buf)) {
		ck_assert_int_eq(storvsc_read(s, (uint32_t)(off / sizeof(buf)) % spread, 0, buf,
					      off, sizeof(buf)),
				 0);
		ck_assert_msg(!memcmp(buf, model + off, sizeof(buf)), "different after %llu",
			      (unsigned long long)off);
	}
}

static void verified_io(void)
{
	struct storvsc *s = attach();
	struct storvsc_disk d;

	ck_assert_int_eq(storvsc_disk_info(s, 0, &d), 0);
	ck_assert_uint_eq(storvsc_queues(s), QUEUES);
	for (int i = 0; i < ROUNDS; i++)
		change(s, &d);
	compare(s);
	storvsc_detach(s);
}

/* A child that dies while it writes what is there already. */
static void killed_child(void)
{
	struct timespec nap = { .tv_nsec = 100000000 };
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (!pid) {
		struct storvsc *s = attach();

		for (uint64_t off = 0;; off = (off + sizeof(buf)) % DISK)
			storvsc_write(s, 0, 0, model + off, off, sizeof(buf), 0);
	}
	nanosleep(&nap, NULL);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static void image_is_what_was_written(void)
{
	int fd = open(image, O_RDONLY);
	uint64_t off;

	for (off = 0; off < DISK; off += sizeof(buf)) {
		ck_assert_int_eq(pread(fd, buf, sizeof(buf), (off_t)off), sizeof(buf));
		ck_assert(!memcmp(buf, model + off, sizeof(buf)));
	}
	close(fd);
}

START_TEST(everything_works_inside)
{
	const struct setting *t = &settings[_i];
	start_root(t);
	/* Only we order what two threads of it do to a memory disk: a ThreadSanitizer cannot see.
	 */
	spread = t->engine == BLK_ENGINE_MEMORY && t->io_threads ? 1 : QUEUES;
	killed_child();
	verified_io();
	killed_child();
	verified_io();
	end_root();
	if (t->engine != BLK_ENGINE_MEMORY)
		image_is_what_was_written();
	unlink(image);
	rmdir(dir);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sandbox, whole root");
	TCase *tc = tcase_create("settings");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, everything_works_inside, 0, ARRAY_SIZE(settings));
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
