/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the block engines share: an image to work on, a loop, and requests
 * that can be waited for. Included by one .c per test program.
 */
#ifndef HVBUS_TESTS_UT_VSP_BLK_RIG_H
#define HVBUS_TESTS_UT_VSP_BLK_RIG_H

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "vsp/storvsp/blk/blk_file.h"

#define KIB 1024ull
#define MIB (1024ull * 1024)

struct rig {
	struct loop *loop;
	struct blk_dev *dev;
	struct blk_queue *q;
	char path[200];
	char why[400];
};

/* A request with its buffer. */
struct io {
	struct blk_req req;
	struct iovec iov;
	int result;
	bool done;
};

__attribute__((
	unused)) static __thread bool in_submit; /* done() must never be called from blk_submit() */

/* ---- images ---------------------------------------------------------------- */

/* A directory on a real file system, or in memory. */
static const char *rig_dir(bool in_memory)
{
	const char *tmp = getenv("TMPDIR");

	if (in_memory)
		return "/dev/shm";
	if (!access("build", W_OK))
		return "build";
	return tmp ? tmp : "/tmp";
}

/* Of the whole program, also inside a test, which is a process of its own. */
static int program(void)
{
	static int pid;

	if (!pid)
		pid = getpid();
	return pid;
}

/* What tests left that failed. */
static void remove_images(void)
{
	char pattern[200];
	glob_t found;

	for (int i = 0; i < 2; i++) {
		snprintf(pattern, sizeof(pattern), "%s/blk_ut_%d_*", rig_dir(i), program());
		if (glob(pattern, 0, NULL, &found))
			continue;
		for (size_t n = 0; n < found.gl_pathc; n++)
			unlink(found.gl_pathv[n]);
		globfree(&found);
	}
}

/* False: errno says why. Also for main(), where nothing can be asserted. */
static bool make_image(char *path, size_t len, bool in_memory, uint64_t size)
{
	bool ok;
	int fd;

	snprintf(path, len, "%s/blk_ut_%d_XXXXXX", rig_dir(in_memory), program());
	fd = mkstemp(path);
	ok = fd >= 0 && !ftruncate(fd, (off_t)size);
	if (fd >= 0)
		close(fd);
	return ok;
}

__attribute__((unused)) static void rig_image(struct rig *r, bool in_memory, uint64_t size)
{
	ck_assert_msg(make_image(r->path, sizeof(r->path), in_memory, size), "%s: %s", r->path,
		      strerror(errno));
}

/* Allocated 512-byte units. */
__attribute__((unused)) static uint64_t rig_allocated(const struct rig *r)
{
	struct stat st;

	ck_assert_int_eq(stat(r->path, &st), 0);
	return (uint64_t)st.st_blocks;
}

/*
 * A block device with blocks of @block bytes over the file @image, for users who may make
 * one; -1 for the others. It is there as long as the returned descriptor is open.
 */
__attribute__((unused)) static int make_block_device(const char *image, uint32_t block, char *path,
						     size_t len)
{
	/* linux/loop.h and base/loop.h do not go together: both have a struct loop_config. */
	enum { SET_FD = 0x4c00, CLR_FD = 0x4c01, SET_BLOCK_SIZE = 0x4c09, GET_FREE = 0x4c82 };
	int ctl = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int nr = ctl < 0 ? -1 : ioctl(ctl, GET_FREE);
	int file = open(image, O_RDWR | O_CLOEXEC);
	int dev = -1, again = -1;
	bool ok;

	snprintf(path, len, "/dev/loop%d", nr);
	if (nr >= 0)
		dev = open(path, O_RDWR | O_CLOEXEC);
	if (dev >= 0)
		again = open(path, O_RDWR | O_CLOEXEC);
	ok = again >= 0 && file >= 0 && !ioctl(dev, SET_FD, file);
	if (ok) {
		ok = !ioctl(dev, SET_BLOCK_SIZE, (unsigned long)block);
		ioctl(dev, CLR_FD, 0); /* open twice: means "when the last one is closed" */
	}
	close(ctl);
	close(file);
	close(again);
	if (ok)
		return dev;
	close(dev);
	return -1;
}

/* ---- life --------------------------------------------------------------------- */

static void rig_loop(struct rig *r, enum loop_engine engine)
{
	struct loop_config cfg = { .engine = engine, .name = "test" };

	ck_assert_int_eq(loop_create(&r->loop, &cfg), 0);
}

static void rig_open(struct rig *r, const struct blk_config *cfg)
{
	int err = blk_dev_open(&r->dev, cfg, r->why, sizeof(r->why));

	ck_assert_msg(!err, "open: %s (%s)", strerror(-err), r->why);
	err = blk_queue_create(&r->q, r->dev, r->loop);
	ck_assert_msg(!err, "queue: %s", strerror(-err));
}

static void rig_close(struct rig *r)
{
	if (r->q)
		blk_queue_destroy(r->q);
	blk_dev_close(r->dev);
	r->q = NULL;
	r->dev = NULL;
}

static void rig_end(struct rig *r)
{
	if (r->dev)
		rig_close(r);
	if (r->loop)
		loop_destroy(r->loop);
	if (r->path[0])
		unlink(r->path);
	memset(r, 0, sizeof(*r));
}

static void rig_turn(struct rig *r)
{
	int n = loop_turn(r->loop, 2000000000);

	ck_assert_msg(n >= 0, "loop: %s", strerror(-n));
}

/* ---- requests -------------------------------------------------------------------- */

static void io_done(struct blk_req *req, int result)
{
	struct io *io = container_of(req, struct io, req);

	ck_assert(!in_submit);
	ck_assert(!io->done);
	io->done = true;
	io->result = result;
}

static void io_start(struct blk_queue *q, struct io *io, uint8_t op, uint8_t flags, uint64_t offset,
		     void *buf, uint64_t len)
{
	int r;

	memset(io, 0, sizeof(*io));
	memset(io->req.priv, 0xa5, sizeof(io->req.priv)); /* nobody promised zeroes */
	io->iov = (struct iovec){ buf, len };
	io->req.op = op;
	io->req.flags = flags;
	io->req.iov = &io->iov;
	io->req.niov = buf ? 1 : 0;
	io->req.offset = offset;
	io->req.len = len;
	io->req.done = io_done;
	in_submit = true;
	r = blk_submit(q, &io->req);
	in_submit = false;
	if (r != -EINPROGRESS) {
		ck_assert(!io->done);
		io->done = true;
		io->result = r;
	}
}

static int io_wait(struct rig *r, struct io *io)
{
	uint64_t start = clock_ns();

	while (!io->done) {
		rig_turn(r);
		ck_assert_msg(clock_ns() - start < 20000000000ull, "a request never came back");
	}
	return io->result;
}

static int rig_do(struct rig *r, uint8_t op, uint8_t flags, uint64_t offset, void *buf,
		  uint64_t len)
{
	struct io io;

	io_start(r->q, &io, op, flags, offset, buf, len);
	return io_wait(r, &io);
}

__attribute__((unused)) static struct blk_stats rig_stats(const struct rig *r)
{
	struct blk_stats s;

	blk_dev_stats(r->dev, &s);
	return s;
}

/* ---- running ------------------------------------------------------------------------ */

static int rig_run_suite(Suite *s)
{
	SRunner *sr = srunner_create(s);
	int failed;

	signal(SIGXFSZ, SIG_IGN);
	program();
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	remove_images();
	srunner_free(sr);
	return failed ? 1 : 0;
}

#endif
