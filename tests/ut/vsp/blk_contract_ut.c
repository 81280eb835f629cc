/* SPDX-License-Identifier: MIT */
/*
 * One contract, every engine: random requests against a model of the disk in memory, many
 * in flight, buffers of every shape; at the end the image itself is compared.
 */
#include "tests/fake/fault_blk.c"
#include "tests/ut/vsp/blk_rig.h"

#define DISK	(4 * MIB)
#define DEPTH	24
#define IOVS	12
#define MAX_LEN (640 * KIB) /* more than two bounce buffers */
#define OPS	200

enum {
	SHM = 1,
	DIRECT = 2,
	THROUGH = 4,
	SHORT_FILE = 8,
	BIG_SECTORS = 16, /* pretended */
	NO_FALLOC = 32,
	DEV512 = 64, /* real ones */
	DEV4K = 128,
	FAULTS = 256,
};

#define SPECIAL (THROUGH | SHORT_FILE | BIG_SECTORS | NO_FALLOC | DEV512 | DEV4K | FAULTS)

static const struct variant {
	const char *name;
	enum blk_engine engine;
	enum loop_engine loop;
	unsigned flags;
	const char *expect; /* engine that must have been chosen */
} variants[] = {
	{ "memory", BLK_ENGINE_MEMORY, LOOP_AUTO, 0, "memory" },
	{ "io_uring, page cache", BLK_ENGINE_AUTO, LOOP_URING, 0, "io_uring" },
	{ "io_uring, page cache, write-through", BLK_ENGINE_URING, LOOP_URING, THROUGH,
	  "io_uring" },
	{ "io_uring, page cache, no fallocate", BLK_ENGINE_URING, LOOP_URING, NO_FALLOC,
	  "io_uring" },
	{ "io_uring, file shorter than disk", BLK_ENGINE_URING, LOOP_URING, SHORT_FILE,
	  "io_uring" },
	{ "io_uring, O_DIRECT", BLK_ENGINE_URING, LOOP_URING, DIRECT, "io_uring" },
	{ "io_uring, O_DIRECT, file shorter than disk", BLK_ENGINE_URING, LOOP_URING,
	  DIRECT | SHORT_FILE, "io_uring" },
	{ "io_uring, O_DIRECT, 4096-byte device", BLK_ENGINE_URING, LOOP_URING,
	  DIRECT | BIG_SECTORS, "io_uring" },
	{ "io_uring, O_DIRECT, 4096-byte device, no fallocate", BLK_ENGINE_URING, LOOP_URING,
	  DIRECT | BIG_SECTORS | NO_FALLOC, "io_uring" },
	{ "io_uring, tmpfs", BLK_ENGINE_URING, LOOP_URING, SHM, "io_uring" },
	{ "io_uring, tmpfs, file shorter than disk", BLK_ENGINE_URING, LOOP_URING, SHM | SHORT_FILE,
	  "io_uring" },
	{ "libaio, O_DIRECT", BLK_ENGINE_AIO, LOOP_URING, DIRECT, "libaio" },
	{ "libaio, O_DIRECT, epoll", BLK_ENGINE_AUTO, LOOP_EPOLL, DIRECT, "libaio" },
	{ "libaio, O_DIRECT, write-through, epoll", BLK_ENGINE_AUTO, LOOP_EPOLL, DIRECT | THROUGH,
	  "libaio" },
	{ "libaio, O_DIRECT, 4096-byte device", BLK_ENGINE_AIO, LOOP_EPOLL, DIRECT | BIG_SECTORS,
	  "libaio" },
	{ "threads, page cache", BLK_ENGINE_AIO, LOOP_EPOLL, 0, "threads" },
	{ "threads, page cache, no io_uring", BLK_ENGINE_AUTO, LOOP_EPOLL, SHORT_FILE, "threads" },
	{ "threads, O_DIRECT, 4096-byte device", BLK_ENGINE_THREADS, LOOP_URING,
	  DIRECT | BIG_SECTORS, "threads" },
	{ "io_uring, block device of 512", BLK_ENGINE_AUTO, LOOP_URING, DIRECT | DEV512,
	  "io_uring" },
	{ "io_uring, block device of 4096", BLK_ENGINE_AUTO, LOOP_URING, DIRECT | DEV4K,
	  "io_uring" },
	{ "io_uring, block device of 4096, page cache", BLK_ENGINE_AUTO, LOOP_URING, DEV4K,
	  "io_uring" },
	{ "libaio, block device of 4096", BLK_ENGINE_AUTO, LOOP_EPOLL, DIRECT | DEV4K, "libaio" },
	{ "io_uring, page cache, faults", BLK_ENGINE_AUTO, LOOP_URING, FAULTS, "io_uring" },
	{ "io_uring, O_DIRECT, 4096-byte device, faults", BLK_ENGINE_AUTO, LOOP_URING,
	  DIRECT | BIG_SECTORS | FAULTS, "io_uring" },
	{ "libaio, O_DIRECT, faults", BLK_ENGINE_AUTO, LOOP_EPOLL, DIRECT | FAULTS, "libaio" },
	{ "threads, page cache, faults", BLK_ENGINE_AUTO, LOOP_EPOLL, FAULTS, "threads" },
	{ "tmpfs, faults", BLK_ENGINE_AUTO, LOOP_URING, SHM | FAULTS | SHORT_FILE, "io_uring" },
	{ "tmpfs, epoll", BLK_ENGINE_AUTO, LOOP_EPOLL, SHM, "threads" },
};

/* ---- requests of random shape --------------------------------------------------- */

struct shot {
	struct io io;
	struct iovec iov[IOVS];
	char *mem; /* MAX_LEN + slack */
	uint64_t asked;
	bool busy;
};

static struct fault faults;
static uint64_t seed;

static uint64_t rnd(uint64_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % n;
}

static bool free_range(const struct shot *shots, uint64_t off, uint64_t len)
{
	for (int i = 0; i < DEPTH; i++) {
		const struct blk_req *r = &shots[i].io.req;

		if (shots[i].busy && off < r->offset + shots[i].asked && r->offset < off + len)
			return false;
	}
	return true;
}

static uint64_t pick_len(void)
{
	switch (rnd(8)) {
	case 0:
		return 512 * (1 + rnd(MAX_LEN / 512));
	case 1:
		return 4096 * (1 + rnd(32));
	case 2:
		return 512;
	default:
		return 512 * (1 + rnd(24));
	}
}

/* Cuts the buffer anywhere, or at sectors, or not; with and without a crooked start. */
static void pick_list(struct shot *s, uint64_t len)
{
	uint64_t grain = rnd(3) ? 512 : 1;
	uint64_t pos = rnd(2) ? 0 : rnd(2) ? 512 : 1 + rnd(500);
	int n = 0;

	s->mem = (char *)(((uintptr_t)s->mem + 4095) & ~(uintptr_t)4095);
	while (len && n < IOVS - 1 && rnd(5)) {
		uint64_t part = grain * rnd(len / grain + 1);

		s->iov[n++] = (struct iovec){ s->mem + pos, part };
		len -= part;
		pos += part + (rnd(2) ? 0 : grain * rnd(8)); /* and leaves gaps */
	}
	/* Sometimes the list is longer than the request. */
	s->iov[n++] = (struct iovec){ s->mem + pos, len + (rnd(10) ? 0 : 512) };
	s->io.req.iov = s->iov;
	s->io.req.niov = (uint16_t)n;
}

static void fill(const struct blk_req *r, char *model)
{
	uint64_t at = r->offset, left = r->len;

	for (int i = 0; i < r->niov; i++) {
		uint64_t n = r->iov[i].iov_len < left ? r->iov[i].iov_len : left;
		char *p = r->iov[i].iov_base;

		for (uint64_t j = 0; j < n; j += sizeof(seed)) {
			rnd(1);
			memcpy(p + j, &seed, n - j < sizeof(seed) ? n - j : sizeof(seed));
		}
		memcpy(model + at, p, n);
		at += n;
		left -= n;
	}
}

static void compare(const struct blk_req *r, const char *model)
{
	uint64_t at = r->offset, left = r->len;

	for (int i = 0; i < r->niov; i++) {
		uint64_t n = r->iov[i].iov_len < left ? r->iov[i].iov_len : left;

		ck_assert_msg(!memcmp(r->iov[i].iov_base, model + at, n),
			      "read at %llu, %llu bytes: wrong data in part %d",
			      (unsigned long long)r->offset, (unsigned long long)r->len, i);
		at += n;
		left -= n;
	}
}

static void check_status(const struct shot *s, const char *model)
{
	const struct blk_req *r = &s->io.req;

	ck_assert(r->len && r->len <= s->asked && r->len % 512 == 0);
	ck_assert(!(r->flags & BLK_REQ_HOLE) ||
		  (!model[r->offset] &&
		   !memcmp(model + r->offset, model + r->offset + 1, r->len - 1)));
}

static void finished(struct shot *s, const char *model)
{
	ck_assert_msg(s->io.result == 0, "op %u at %llu, %llu bytes: %s", s->io.req.op,
		      (unsigned long long)s->io.req.offset, (unsigned long long)s->io.req.len,
		      strerror(-s->io.result));
	if (s->io.req.op == BLK_READ)
		compare(&s->io.req, model);
	if (s->io.req.op == BLK_STATUS)
		check_status(s, model);
	s->busy = false;
}

static void shoot(struct rig *r, struct shot *all, struct shot *s, char *model)
{
	static const uint8_t ops[] = { BLK_READ,  BLK_READ, BLK_READ,	 BLK_WRITE, BLK_WRITE,
				       BLK_WRITE, BLK_ZERO, BLK_DISCARD, BLK_STATUS };
	uint64_t len = pick_len(), off = 512 * rnd((DISK - len) / 512 + 1);
	uint8_t op = rnd(16) ? ops[rnd(sizeof(ops))] : BLK_FLUSH;
	int res;

	if (op == BLK_FLUSH)
		off = len = 0;
	else if (!free_range(all, off, len))
		return;
	memset(&s->io, 0, sizeof(s->io));
	memset(s->io.req.priv, 0xa5, sizeof(s->io.req.priv));
	s->io.req.op = op;
	s->io.req.flags = op == BLK_WRITE && !rnd(16) ? BLK_REQ_FUA : 0;
	s->io.req.offset = off;
	s->io.req.len = s->asked = len;
	s->io.req.done = io_done;
	if (op == BLK_READ || op == BLK_WRITE)
		pick_list(s, len);
	if (op == BLK_READ)
		memset(s->mem, 0x5a, len);
	if (op == BLK_WRITE)
		fill(&s->io.req, model);
	if (op == BLK_ZERO || op == BLK_DISCARD)
		memset(model + off, 0, len);
	s->busy = true;
	in_submit = true;
	res = blk_submit(r->q, &s->io.req);
	in_submit = false;
	if (res != -EINPROGRESS) {
		s->io.result = res;
		finished(s, model);
	}
}

/* ---- one variant -------------------------------------------------------------------- */

/*
 * One file for all variants, made before check forks: freeing the blocks of a file can
 * take the file system half a second.
 */
static char shared[200];

/* Block devices over files in memory; empty where this user may not have any. */
static char device[2][32];

static bool possible(const struct variant *v)
{
	return !(v->flags & (DEV512 | DEV4K)) || device[v->flags & DEV4K ? 1 : 0][0];
}

static void pick_image(struct rig *r, const struct variant *v)
{
	uint64_t size = v->flags & SHORT_FILE ? 3 * MIB + 4096 : DISK;

	if (v->flags & (DEV512 | DEV4K)) {
		snprintf(r->path, sizeof(r->path), "%s", device[v->flags & DEV4K ? 1 : 0]);
		return;
	}
	if (v->flags & SHM) {
		rig_image(r, true, size);
		return;
	}
	snprintf(r->path, sizeof(r->path), "%s", shared);
	ck_assert_int_eq(truncate(r->path, (off_t)size), 0);
}

static void end_variant(struct rig *r)
{
	if (!strcmp(r->path, shared) || !strncmp(r->path, "/dev/loop", 9))
		r->path[0] = '\0'; /* stays for the others */
	rig_end(r);
}

/* What was in it before. */
static char *make_model(const struct rig *r)
{
	char *model = calloc(1, DISK);
	int fd = open(r->path, O_RDONLY);

	ck_assert(model && (fd >= 0 || !r->path[0]));
	if (fd < 0)
		return model;
	ck_assert(pread(fd, model, DISK, 0) > 0);
	close(fd);
	return model;
}

static void open_variant(struct rig *r, const struct variant *v)
{
	struct blk_config cfg = { .engine = v->engine, .size = DISK };
	struct blk_info info;

	rig_loop(r, v->loop);
	if (v->engine != BLK_ENGINE_MEMORY) {
		pick_image(r, v);
		cfg.path = r->path;
		cfg.direct = v->flags & DIRECT ? 1 : 0;
		cfg.cache = v->flags & THROUGH ? BLK_CACHE_WRITETHROUGH : BLK_CACHE_WRITEBACK;
	}
	rig_open(r, &cfg);
	blk_dev_info(r->dev, &info);
	ck_assert_str_eq(info.engine, v->expect);
	ck_assert_int_eq(info.direct, !!(v->flags & DIRECT));
	ck_assert_uint_eq(info.size, DISK);
	ck_assert_int_eq(info.volatile_cache,
			 v->engine != BLK_ENGINE_MEMORY && !(v->flags & THROUGH));
	if (v->flags & BIG_SECTORS) {
		/* What a device with 4096-byte blocks would have made of it. */
		file_dev(r->dev)->off_mask = 4095;
		file_dev(r->dev)->share_blocks = true;
	}
	if (v->flags & FAULTS) {
		fault_attach(&faults, r->dev);
		faults.chance = 6;
		faults.grain = v->flags & BIG_SECTORS ? 4096 : v->flags & DIRECT ? 512 : 1;
	}
	if (v->flags & NO_FALLOC)
		memset(file_dev(r->dev)->falloc_ok, 0, sizeof(file_dev(r->dev)->falloc_ok));
}

static void check_image(const struct rig *r, const char *model)
{
	char *got = calloc(1, DISK);
	int fd = open(r->path, O_RDONLY);
	ssize_t n = pread(fd, got, DISK, 0);

	ck_assert(n > 0);
	ck_assert_msg(!memcmp(got, model, DISK), "the image differs from what was written");
	ck_assert_int_eq(pread(fd, got, 1, DISK), 0); /* and it did not grow beyond the disk */
	close(fd);
	free(got);
}

static bool any_busy(const struct shot *shots)
{
	for (int i = 0; i < DEPTH; i++)
		if (shots[i].busy)
			return true;
	return false;
}

static void collect(struct shot *shots, const char *model)
{
	for (int i = 0; i < DEPTH; i++)
		if (shots[i].busy && shots[i].io.done)
			finished(&shots[i], model);
}

START_TEST(random_requests_match_the_model)
{
	const struct variant *v = &variants[_i];
	static struct shot shots[DEPTH];
	char *memory[DEPTH], *model;
	struct rig r = { 0 };
	struct blk_stats st;

	if (!possible(v))
		return;
	seed = 88172645463325252ull + (uint64_t)_i;
	for (int i = 0; i < DEPTH; i++)
		shots[i].mem = memory[i] = malloc(MAX_LEN + 64 * KIB);
	open_variant(&r, v);
	model = make_model(&r);
	for (int n = 0; n < OPS;) {
		int burst = 1 + (int)rnd(DEPTH);

		for (int i = 0; i < DEPTH && burst; i++) {
			if (shots[i].busy)
				continue;
			shoot(&r, shots, &shots[i], model);
			burst--;
			n++;
		}
		if (any_busy(shots))
			rig_turn(&r);
		collect(shots, model);
	}
	while (any_busy(shots)) {
		rig_turn(&r);
		collect(shots, model);
	}
	st = rig_stats(&r);
	ck_assert_uint_eq(st.in_flight, 0);
	ck_assert_uint_eq(st.errors, 0);
	for (int i = 0; i < BLK_OP_COUNT; i++)
		ck_assert_uint_gt(st.ops[i], 0);
	ck_assert_int_eq(st.bounced > 0, !!(v->flags & DIRECT));
	ck_assert_int_eq(st.inlined > 0, !!(v->flags & SHM));
	ck_assert(!(v->flags & FAULTS) || (fault_hits(&faults) > 5 && st.resubmitted > 5));
	rig_close(&r);
	if (v->engine != BLK_ENGINE_MEMORY)
		check_image(&r, model);
	end_variant(&r);
	for (int i = 0; i < DEPTH; i++)
		free(memory[i]);
	free(model);
}
END_TEST

/* ---- single rules ---------------------------------------------------------------------- */

static void expect_run(struct rig *r, uint64_t off, uint64_t len, bool hole)
{
	struct io io;

	memset(&io, 0, sizeof(io));
	io.req = (struct blk_req){
		.op = BLK_STATUS, .flags = 0xff, .offset = off, .len = DISK - off, .done = io_done
	};
	io.result = blk_submit(r->q, &io.req);
	while (io.result == -EINPROGRESS && !io.done)
		rig_turn(r);
	ck_assert_int_eq(io.result, 0);
	ck_assert_uint_eq(io.req.flags, hole ? BLK_REQ_HOLE : 0);
	if (len)
		ck_assert_uint_eq(io.req.len, len);
}

START_TEST(holes_of_files_are_found)
{
	static const enum blk_engine engines[] = { BLK_ENGINE_AUTO, BLK_ENGINE_THREADS };
	struct blk_config cfg = { .engine = engines[_i], .size = DISK };
	static char buf[64 * KIB] __attribute__((aligned(4096)));
	struct rig r = { 0 };
	bool knows;

	rig_loop(&r, LOOP_AUTO);
	rig_image(&r, false, DISK);
	cfg.path = r.path;
	rig_open(&r, &cfg);
	knows = lseek(file_dev(r.dev)->fd, 0, SEEK_HOLE) == 0;
	expect_run(&r, 0, DISK, knows);
	memset(buf, 7, sizeof(buf));
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, MIB, buf, sizeof(buf)), 0);
	expect_run(&r, 0, knows ? MIB : DISK, knows);
	expect_run(&r, MIB + 512, knows ? sizeof(buf) - 512 : DISK - MIB - 512, false);
	expect_run(&r, MIB + sizeof(buf), DISK - MIB - sizeof(buf), knows);
	expect_run(&r, DISK - 512, 512, knows);
	rig_end(&r);
}
END_TEST

/* A page that was written exists; how many beside it is up to huge pages. */
START_TEST(holes_of_memory_are_found)
{
	struct blk_config cfg = { .engine = BLK_ENGINE_MEMORY, .size = DISK };
	static char buf[4 * KIB];
	struct rig r = { 0 };

	rig_loop(&r, LOOP_AUTO);
	rig_open(&r, &cfg);
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, MIB, buf, sizeof(buf)), 0);
	expect_run(&r, MIB, 0, false);
	expect_run(&r, MIB + 3584, 0, false);
	ck_assert_int_eq(rig_do(&r, BLK_DISCARD, 0, 0, NULL, DISK), 0);
	expect_run(&r, MIB + 512, 0, !access("/proc/self/pagemap", R_OK));
	rig_end(&r);
}
END_TEST

START_TEST(null_has_no_holes)
{
	struct blk_config cfg = { .engine = BLK_ENGINE_NULL, .size = DISK };
	struct rig r = { 0 };

	rig_loop(&r, LOOP_AUTO);
	rig_open(&r, &cfg);
	expect_run(&r, 512, DISK - 512, false);
	rig_end(&r);
}
END_TEST

START_TEST(bad_requests_are_refused)
{
	const struct variant *v = &variants[_i];
	static char buf[8192];
	struct iovec half = { buf, 512 };
	struct rig r = { 0 };
	struct io io;

	if (v->flags & SPECIAL)
		return;
	open_variant(&r, v);
	ck_assert_int_eq(rig_do(&r, BLK_READ, 0, DISK, buf, 512), -EINVAL);
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, DISK - 512, buf, 1024), -EINVAL);
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, UINT64_MAX - 511, buf, 512), -EINVAL);
	ck_assert_int_eq(rig_do(&r, BLK_DISCARD, 0, 512, NULL, UINT64_MAX - 511), -EINVAL);
	ck_assert_int_eq(rig_do(&r, BLK_READ, 0, 100, buf, 512), -EINVAL);
	ck_assert_int_eq(rig_do(&r, BLK_READ, 0, 0, buf, 100), -EINVAL);
	ck_assert_int_eq(rig_do(&r, BLK_OP_COUNT, 0, 0, buf, 512), -EINVAL);
	ck_assert_int_eq(rig_do(&r, BLK_READ, 0, 0, NULL, 0), 0);
	memset(&io, 0, sizeof(io));
	io.req = (struct blk_req){ .op = BLK_WRITE, .niov = 1, .iov = &half, .len = 1024 };
	ck_assert_int_eq(blk_submit(r.q, &io.req), -EINVAL);
	ck_assert_uint_eq(rig_stats(&r).in_flight, 0);
	ck_assert_uint_eq(rig_stats(&r).errors, 8);
	end_variant(&r);
}
END_TEST

START_TEST(discarded_space_is_given_back)
{
	const struct variant *v = &variants[_i];
	static char buf[MIB];
	struct rig r = { 0 };
	struct blk_info info;
	uint64_t before;

	if (v->engine == BLK_ENGINE_MEMORY || (v->flags & (SPECIAL & ~BIG_SECTORS)))
		return;
	open_variant(&r, v);
	blk_dev_info(r.dev, &info);
	ck_assert_uint_eq(info.discard_granularity, 4096);
	memset(buf, 0x77, sizeof(buf));
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 2 * MIB, buf, MIB), 0);
	ck_assert_int_eq(rig_do(&r, BLK_FLUSH, 0, 0, NULL, 0), 0);
	before = rig_allocated(&r);
	/* Begins and ends inside file system blocks. */
	ck_assert_int_eq(rig_do(&r, BLK_DISCARD, 0, 2 * MIB + 512, NULL, MIB - 1024), 0);
	ck_assert_uint_ge(before - rig_allocated(&r), (MIB - 16384) / 512);
	ck_assert_int_eq(rig_do(&r, BLK_READ, 0, 2 * MIB, buf, MIB), 0);
	ck_assert_int_eq(buf[511], 0x77);
	ck_assert_int_eq(buf[512], 0);
	ck_assert_int_eq(buf[MIB - 513], 0);
	ck_assert_int_eq(buf[MIB - 512], 0x77);
	end_variant(&r);
}
END_TEST

/* A read of null hands out nothing: not the disk's, not the host's. */
START_TEST(null_touches_nothing)
{
	struct rig r = { 0 };
	char buf[512];

	rig_loop(&r, LOOP_AUTO);
	rig_open(&r, &(struct blk_config){ .engine = BLK_ENGINE_NULL, .size = MIB });
	memset(buf, 0x33, sizeof(buf));
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 0, buf, 512), 0);
	ck_assert_int_eq(rig_do(&r, BLK_READ, 0, 512, buf, 512), 0);
	for (int i = 0; i < 512; i++)
		ck_assert_int_eq(buf[i], 0x33);
	ck_assert_int_eq(rig_do(&r, BLK_FLUSH, 0, 0, NULL, 0), 0);
	ck_assert_int_eq(rig_do(&r, BLK_READ, 0, MIB, buf, 512), -EINVAL);
	ck_assert_uint_eq(rig_stats(&r).ops[BLK_READ], 1);
	ck_assert_uint_eq(rig_stats(&r).bytes[BLK_WRITE], 512);
	rig_end(&r);
}
END_TEST

/* Large discards of memory go in pieces, the loop turns in between. */
START_TEST(memory_discard_does_not_stop_the_loop)
{
	struct rig r = { 0 };
	struct io io;
	char buf[512];

	rig_loop(&r, LOOP_AUTO);
	rig_open(&r, &(struct blk_config){ .engine = BLK_ENGINE_MEMORY, .size = 512 * MIB });
	memset(buf, 1, sizeof(buf));
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 0, buf, 512), 0);
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 512 * MIB - 512, buf, 512), 0);
	io_start(r.q, &io, BLK_DISCARD, 0, 0, NULL, 512 * MIB);
	ck_assert(!io.done);
	ck_assert_uint_eq(rig_stats(&r).in_flight, 1);
	ck_assert_int_eq(io_wait(&r, &io), 0);
	ck_assert_int_eq(rig_do(&r, BLK_READ, 0, 512 * MIB - 512, buf, 512), 0);
	ck_assert_int_eq(buf[0], 0);
	rig_end(&r);
}
END_TEST

START_TEST(time_is_taken_only_when_asked)
{
	struct rig r = { 0 };
	char buf[512];
	struct iovec iov = { buf, sizeof(buf) };
	struct blk_req req = { .op = BLK_WRITE, .iov = &iov, .niov = 1, .len = 512 };
	uint64_t before = clock_ns();

	rig_loop(&r, LOOP_AUTO);
	rig_open(&r, &(struct blk_config){ .engine = BLK_ENGINE_NULL });
	ck_assert_int_eq(blk_submit(r.q, &req), 0);
	ck_assert_uint_eq(req.start_ns, 0);
	req.start_ns = 1;
	ck_assert_int_eq(blk_submit(r.q, &req), 0);
	ck_assert_uint_ge(req.start_ns, before);
	rig_end(&r);
}
END_TEST

/* The descriptors stay open until the program ends, and with them the devices. */
static void make_devices(void)
{
	char image[200];

	for (int i = 0; i < 2; i++) {
		if (!make_image(image, sizeof(image), true, DISK))
			continue;
		if (make_block_device(image, i ? 4096 : 512, device[i], sizeof(device[i])) < 0) {
			device[i][0] = '\0';
			fprintf(stderr, "skipped: no block device of %d to be had\n",
				i ? 4096 : 512);
		}
		unlink(image);
	}
}

int main(void)
{
	Suite *s = suite_create("blk_contract");
	TCase *all = tcase_create("every engine");
	TCase *some = tcase_create("without a file");
	int n = (int)ARRAY_SIZE(variants), failed;

	log_set_level(LOG_ERROR);
	tcase_set_timeout(all, 60);
	tcase_add_loop_test(all, random_requests_match_the_model, 0, n);
	tcase_add_loop_test(all, holes_of_files_are_found, 0, 2);
	tcase_add_test(all, holes_of_memory_are_found);
	tcase_add_test(all, null_has_no_holes);
	tcase_add_loop_test(all, bad_requests_are_refused, 0, n);
	tcase_add_loop_test(all, discarded_space_is_given_back, 0, n);
	suite_add_tcase(s, all);
	tcase_add_test(some, null_touches_nothing);
	tcase_add_test(some, memory_discard_does_not_stop_the_loop);
	tcase_add_test(some, time_is_taken_only_when_asked);
	suite_add_tcase(s, some);
	if (!make_image(shared, sizeof(shared), false, DISK)) {
		perror(shared);
		return 1;
	}
	make_devices();
	failed = rig_run_suite(s);
	return failed;
}
