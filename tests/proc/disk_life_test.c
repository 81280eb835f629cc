/* SPDX-License-Identifier: MIT */
/*
 * Disks that come, go and change their size while partitions use them, over the whole
 * stack: a root in a process of its own, storvsc over its socket, and requests as
 * `hvbus disk` sends them.
 */
#include "tests/proc/disk_rig.h"
#include "tests/proc/map_lines.h"
#include "vsp/storvsp/blk/blk_file.h"

#define QUEUES 3
#define ROUNDS 200

/* Memory that an allocator may keep: flat over hundreds of rounds, but it wanders. */
#if defined(HVBUS_TSAN) || defined(__SANITIZE_ADDRESS__)
#define SLACK_KB   65536 /* quarantine and shadow */
#define SLACK_MAPS 3
#else
#define SLACK_KB   3072
#define SLACK_MAPS 3 /* the stack of a closing thread is kept for the next */
#endif

/* LUNs of controller 0 at the start; the others are the tests'. */
enum { LUN_MEMORY, LUN_STUCK, LUN_NEW };

static char image[96], stuck_image[96];
/* Shared with the root. Calls on LUN_STUCK's file wait while [0] is 1, and say so in [1]. */
static uint32_t *stuck;

/* ---- the root ------------------------------------------------------------------------- */

/* On a helper thread. */
static void stick(struct file_fault *f, struct file_call *c)
{
	(void)f;
	(void)c;
	while (load_acquire(stuck)) { /* pairs with the tests' stores */
		store_release(stuck + 1, 1);
		usleep(1000);
	}
}

static int32_t as_it_was(struct file_fault *f, int op, int32_t res)
{
	(void)f;
	(void)op;
	return res;
}

static uint32_t root_threads;

static void configure(struct root_config *cfg)
{
	cfg->nr_disks = 2;
	cfg->io_threads = root_threads;
	cfg->disk[0] = (struct root_disk){ .blk = { .engine = BLK_ENGINE_MEMORY, .size = MIB },
					   .lun = LUN_MEMORY };
	cfg->disk[1] =
		(struct root_disk){ .blk = { .path = stuck_image, .engine = BLK_ENGINE_THREADS },
				    .lun = LUN_STUCK };
}

static void created(void)
{
	static struct file_fault fault = { stick, as_it_was };
	struct file_dev *f = file_dev(disk_find(the_root, 0, LUN_STUCK)->dev);

	f->fault = &fault;
	f->in_memory = false; /* else calls would be made inline: the loop itself would be stuck */
}

static void start_root(uint32_t io_threads)
{
	rig_dir();
	snprintf(image, sizeof(image), "%s/image", dir);
	snprintf(stuck_image, sizeof(stuck_image), "%s/stuck", dir);
	make_image(image, 8 * MIB);
	make_image(stuck_image, MIB);
	stuck = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(stuck, MAP_FAILED);
	root_threads = io_threads;
	rig_start(&(struct rig_root){ configure, created });
}

static void setup(void)
{
	start_root(0);
}

static void setup_threads(void)
{
	start_root(2);
}

static void teardown(void)
{
	rig_stop();
	unlink(image);
	unlink(stuck_image);
	rmdir(dir);
	munmap(stuck, 4096);
}

/* ---- looking at the root --------------------------------------------------------------- */

struct usage {
	long fds, maps, threads, rss_kb;
};

static struct usage root_usage(void)
{
	struct usage u = { .fds = entries(root_pid, "fd"), .threads = entries(root_pid, "task") };
	char path[64], line[512];
	long pages;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", root_pid);
	f = fopen(path, "r");
	while (fgets(line, sizeof(line), f))
		u.maps += map_line_counts(line);
	fclose(f);
	snprintf(path, sizeof(path), "/proc/%d/statm", root_pid);
	f = fopen(path, "r");
	ck_assert_int_eq(fscanf(f, "%*d %ld", &pages), 1);
	fclose(f);
	u.rss_kb = pages * 4;
	return u;
}

static json_t *add_image(int lun)
{
	char spec[128];

	snprintf(spec, sizeof(spec), "path=%s,lun=%d", image, lun);
	return add(spec);
}

/* ---- verified I/O until the disk is gone ------------------------------------------------- */

#define QD   16
#define SPAN 256u /* blocks of one worker */

struct worker {
	struct storvsc *s;
	uint32_t q, seed;
	uint8_t lun;
	bool gone; /* a request said so */
	uint32_t done, wrong;
	int unexpected;
	uint32_t version[SPAN];
	struct storvsc_io io[QD];
	struct iovec iov[QD];
	uint32_t block[QD];
	bool busy[SPAN];
	uint8_t *buf;
	pthread_t thread;
};

static uint32_t stop_working;

static void stamp(uint64_t *p, const struct worker *w, uint32_t block)
{
	for (uint32_t i = 0; i < 4096 / 8; i++)
		p[i] = (uint64_t)w->q << 56 | (uint64_t)block << 32 | w->version[block] << 10 | i;
}

static bool start_one(struct worker *w, uint32_t i)
{
	struct storvsc_io *io = &w->io[i];
	uint32_t block;
	int err;

	do {
		w->seed = w->seed * 1664525u + 1013904223u;
		block = (w->seed >> 8) % SPAN;
	} while (w->busy[block]);
	*io = (struct storvsc_io){
		.op = w->seed >> 31 ? STORVSC_WRITE : STORVSC_READ,
		.lun = w->lun,
		.offset = ((uint64_t)w->q * SPAN + block) * 4096,
		.len = 4096,
		.iov = &w->iov[i],
		.niov = 1,
	};
	w->iov[i] = (struct iovec){ w->buf + i * 4096ul, 4096 };
	if (io->op == STORVSC_WRITE) {
		w->version[block]++;
		stamp(w->iov[i].iov_base, w, block);
	}
	w->block[i] = block;
	err = storvsc_submit(w->s, w->q, io);
	if (!err)
		w->busy[block] = true;
	else if (err == -ENXIO)
		w->gone = true;
	else
		w->unexpected = err;
	return !err;
}

static void finish_one(struct worker *w, const struct storvsc_io *io)
{
	uint32_t i = (uint32_t)(io - w->io);
	uint64_t want[4096 / 8];
	static const uint8_t zero[4096];

	w->busy[w->block[i]] = false;
	w->done++;
	if (io->result == -ENXIO || io->result == -ENODEV) {
		w->gone = true; /* whether the write took place is not known, and nobody looks */
	} else if (io->result == -EAGAIN) { /* one unit attention after another; nothing was done */
		w->version[w->block[i]] -= io->op == STORVSC_WRITE;
	} else if (io->result) {
		w->unexpected = io->result;
	} else if (io->op == STORVSC_READ) {
		stamp(want, w, w->block[i]);
		w->wrong += memcmp(w->iov[i].iov_base,
				   w->version[w->block[i]] ? (const void *)want : zero, 4096) != 0;
	}
}

/* Pairs with the store in finish_workers(). */
static bool go_on(const struct worker *w)
{
	return !w->gone && !w->unexpected && !w->wrong && !load_acquire(&stop_working);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct storvsc_io *out[QD];
	int n, k;

	for (uint32_t i = 0; i < QD && start_one(w, i); i++)
		;
	while ((n = storvsc_reap(w->s, w->q, out, QD, 1, UINT64_MAX)) > 0) {
		for (k = 0; k < n; k++) {
			finish_one(w, out[k]);
			if (go_on(w))
				start_one(w, (uint32_t)(out[k] - w->io));
		}
	}
	if (n < 0)
		w->unexpected = n;
	return NULL;
}

static struct worker *start_workers(struct storvsc *s, uint8_t lun)
{
	struct worker *w = calloc(QUEUES, sizeof(*w));

	store_release(&stop_working, 0);
	for (uint32_t i = 0; i < QUEUES; i++) {
		w[i].s = s;
		w[i].q = i;
		w[i].lun = lun;
		w[i].seed = i + 1;
		w[i].buf = storvsc_alloc(s, QD * 4096);
		ck_assert_ptr_nonnull(w[i].buf);
		ck_assert_int_eq(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
	}
	return w;
}

/* @gone: what the workers must have found in the end. */
static void finish_workers(struct worker *w, bool gone)
{
	if (!gone)
		store_release(&stop_working, 1);
	for (uint32_t i = 0; i < QUEUES; i++) {
		pthread_join(w[i].thread, NULL);
		ck_assert_msg(!w[i].unexpected, "queue %u: %s: %s", i, strerror(-w[i].unexpected),
			      storvsc_last_error(w[i].s, i));
		ck_assert_uint_eq(w[i].wrong, 0);
		ck_assert_int_eq(w[i].gone, gone);
		ck_assert_uint_gt(w[i].done, 0);
		storvsc_free(w[i].s, w[i].buf, QD * 4096);
	}
	free(w);
}

/* Reads @lun's counter until the workers have really started. */
static void wait_for_io(int lun)
{
	uint64_t end = clock_ns() + 10000000000ull;
	json_int_t n = 0;

	while (n < 300 && clock_ns() < end) {
		json_t *o = ask("{\"do\":\"disk-list\"}"), *d;
		size_t i;

		json_array_foreach(json_object_get(o, "disks"), i, d)
		{
			if (json_integer_value(json_object_get(d, "lun")) == lun)
				n = json_integer_value(json_object_get(d, "writes"));
		}
		json_decref(o);
	}
	ck_assert_int_ge(n, 300);
}

/* ---- add --------------------------------------------------------------------------------------
 */

START_TEST(added_disk_is_seen_by_all)
{
	struct storvsc *a = attach(1), *b = attach(1);
	json_t *o = add_image(LUN_NEW);
	uint8_t block[4096];

	ck_assert_int_eq(json_array_size(json_object_get(o, "seen_by")), 2);
	ck_assert_int_eq(json_array_size(json_object_get(o, "not_seen_by")), 0);
	done(o);
	expect_changed(a);
	expect_changed(b);
	ck_assert(guest_sees(a, LUN_NEW));
	ck_assert(guest_sees(b, LUN_NEW));
	expect_ready(a, LUN_MEMORY); /* nothing has happened to it */
	expect_ready(b, LUN_MEMORY);
	expect_ready(a, LUN_NEW);
	ck_assert_uint_eq(size_of(a, LUN_NEW), 8 * MIB);
	ck_assert_uint_eq(size_of(b, LUN_NEW), 8 * MIB);
	ck_assert_int_eq(touch(a, LUN_NEW, 4096, 0x5a), 0);
	ck_assert_int_eq(storvsc_read(b, 0, LUN_NEW, block, 4096, 4096), 0);
	ck_assert_int_eq(block[17], 0x5a);
	storvsc_detach(b);
	storvsc_detach(a);
	done(remove_disk(LUN_NEW));
	image_is_free(image);
}
END_TEST

START_TEST(added_controller_is_for_new_guests)
{
	struct storvsc *before = attach(1), *after;
	json_t *o = add("engine=memory,size=2M,controller=2");

	ck_assert_int_eq(json_array_size(json_object_get(o, "seen_by")), 0);
	ck_assert_int_eq(json_array_size(json_object_get(o, "not_seen_by")), 1);
	done(o);
	ck_assert(guest_sees(before, LUN_MEMORY));
	after = attach_to(1, 1); /* the second that is offered */
	ck_assert_uint_eq(size_of(after, 0), 2 * MIB);
	done(ask("{\"do\":\"disk-remove\",\"disk\":\"2:0\"}"));
	ck_assert_int_eq(touch(after, 0, 0, 1), -ENXIO);
	storvsc_detach(after);
	storvsc_detach(before);
}
END_TEST

/* ---- descriptors that are not what they should be --------------------------------------- */

static void add_with(const char *spec, int *fds, int nfds, int err, const char *says)
{
	long before = entries(root_pid, "fd");
	char text[256];

	snprintf(text, sizeof(text), "{\"do\":\"disk-add\",\"disk\":\"%s\"}", spec);
	fails(ask_with(text, fds, nfds), err, says);
	for (int i = 0; i < nfds; i++)
		close(fds[i]);
	ck_assert_int_eq(entries(root_pid, "fd"), before);
	ck_assert_int_eq(count_disks(), 2);
}

START_TEST(wrong_descriptors)
{
	int fd[2], other;

	add_with("path=x", NULL, 0, EBADF, "without a descriptor");
	ck_assert_int_eq(pipe2(fd, O_CLOEXEC), 0);
	add_with("path=x", fd, 2, ENOTSUP, "neither a file nor a block device");
	fd[0] = open(dir, O_RDONLY | O_CLOEXEC);
	add_with("path=x", fd, 1, EISDIR, "directory");
	fd[0] = open(image, O_RDONLY | O_CLOEXEC);
	add_with("path=x", fd, 1, EBADF, "not open for reading and writing");
	fd[0] = open(image, O_WRONLY | O_CLOEXEC);
	add_with("path=x,readonly", fd, 1, EBADF, "not open for reading");
	fd[0] = open(image, O_RDWR | O_APPEND | O_CLOEXEC);
	add_with("path=x", fd, 1, EBADF, "not open");
	fd[0] = open(image, O_PATH | O_CLOEXEC);
	add_with("path=x", fd, 1, EBADF, "not open");
	fd[0] = open(image, O_RDWR | O_CLOEXEC);
	fd[1] = open(stuck_image, O_RDWR | O_CLOEXEC);
	add_with("path=x", fd, 2, EBADF, "not open");
	fd[0] = open(stuck_image, O_RDWR | O_CLOEXEC); /* the root has it locked */
	add_with("path=x", fd, 1, EBUSY, "in use by");
	fd[0] = open(image, O_RDWR | O_CLOEXEC);
	add_with("path=x,lun=0", fd, 1, EEXIST, "no free LUN of that number");
	/* Descriptors with a request that has no use for them. */
	fd[0] = open(image, O_RDWR | O_CLOEXEC);
	other = (int)entries(root_pid, "fd");
	done(ask_with("{\"do\":\"disk-list\"}", fd, 1));
	close(fd[0]);
	ck_assert_int_eq(entries(root_pid, "fd"), other);
	image_is_free(image);
}
END_TEST

/* ---- remove --------------------------------------------------------------------------------- */

/* S32: I/O of several channels ends cleanly; another disk of that number is another disk. */
START_TEST(s32_removed_under_io)
{
	struct storvsc *s = attach(QUEUES), *idle = attach(1);
	struct worker *w;
	uint8_t block[4096];

	ck_assert_uint_eq(storvsc_queues(s), QUEUES);
	for (uint32_t round = 0; round < 5; round++) {
		uint64_t size = (4 + round) * MIB;

		make_image(image, size);
		done(add_image(LUN_NEW));
		ck_assert_uint_eq(size_of(s, LUN_NEW), size);
		ck_assert_uint_eq(size_of(idle, LUN_NEW), size);
		w = start_workers(s, LUN_NEW);
		wait_for_io(LUN_NEW);
		done(remove_disk(LUN_NEW));
		image_is_free(image);
		finish_workers(w, true);
		ck_assert(!guest_sees(s, LUN_NEW));
		ck_assert_int_eq(storvsc_read(idle, 0, LUN_NEW, block, 0, 4096), -ENXIO);
		expect_ready(idle, LUN_MEMORY);
		ck_assert_int_eq(touch(s, LUN_MEMORY, 0, (uint8_t)round), 0);
	}
	storvsc_detach(idle);
	storvsc_detach(s);
}
END_TEST

/* The guest did not hear of it: its old requests hit the next disk, which says so first. */
START_TEST(s32_replaced)
{
	struct storvsc *s = attach(1);

	done(add_image(LUN_NEW));
	ck_assert_uint_eq(size_of(s, LUN_NEW), 8 * MIB);
	ck_assert_int_eq(touch(s, LUN_NEW, 0, 7), 0);
	done(remove_disk(LUN_NEW));
	done(add("engine=memory,size=3M,lun=2"));
	expect_attention(s, LUN_NEW, LUNS_CHANGED);
	ck_assert_uint_eq(size_of(s, LUN_NEW), 3 * MIB);
	ck_assert_int_eq(touch(s, LUN_NEW, 0, 8), 0);
	done(remove_disk(LUN_NEW));
	storvsc_detach(s);
}
END_TEST

START_TEST(rounds_leave_nothing)
{
	struct storvsc *s = attach(1);
	struct usage before, after;

	for (int i = 0; i < ROUNDS + 20; i++) {
		if (i == 20)
			before = root_usage();
		done(add_image(LUN_NEW));
		ck_assert_uint_eq(size_of(s, LUN_NEW), 8 * MIB);
		ck_assert_int_eq(touch(s, LUN_NEW, 0, (uint8_t)i), 0);
		done(remove_disk(LUN_NEW));
	}
	after = root_usage();
	ck_assert_int_eq(after.fds, before.fds);
	ck_assert_int_eq(after.threads, before.threads);
	ck_assert_int_le(after.maps, before.maps + SLACK_MAPS);
	ck_assert_int_le(after.rss_kb, before.rss_kb + SLACK_KB);
	image_is_free(image);
	storvsc_detach(s);
}
END_TEST

static void *read_stuck(void *s)
{
	uint8_t block[4096];
	int err = storvsc_read(s, 0, LUN_STUCK, block, 0, sizeof(block));

	return (void *)(intptr_t)err;
}

static void wait_until_gone(void)
{
	uint64_t end = clock_ns() + 10000000000ull;

	while (count_disks() > 1)
		ck_assert_msg(clock_ns() < end, "the removal does not go on");
	image_is_free(stuck_image);
}

/* A request that is in flight may be another one yet, which a unit attention ends. */
static void begin_stuck_read(struct storvsc *s, pthread_t *reader)
{
	uint64_t end = clock_ns() + 10000000000ull;

	store_release(stuck + 1, 0);
	store_release(stuck, 1); /* pairs with stick() */
	ck_assert_int_eq(pthread_create(reader, NULL, read_stuck, s), 0);
	while (!load_acquire(stuck + 1)) {
		ck_assert_msg(clock_ns() < end, "the read does not reach the file");
		usleep(1000);
	}
}

START_TEST(removed_while_stuck)
{
	struct storvsc *s = attach(1), *other = attach(1);
	pthread_t reader;
	void *err;

	begin_stuck_read(s, &reader);
	fails(ask("{\"do\":\"disk-remove\",\"disk\":\"0:1\",\"wait_ms\":200}"), EINPROGRESS,
	      "holds it on 1 channel");
	ck_assert(!guest_sees(other, LUN_STUCK));
	ck_assert_int_eq(touch(other, LUN_STUCK, 0, 1), -ENXIO);
	ck_assert_int_eq(touch(other, LUN_MEMORY, 0, 1), 0);
	ck_assert(root_has(stuck_image));
	fails(ask("{\"do\":\"disk-remove\",\"disk\":\"0:1\"}"), EALREADY, "being removed already");
	fails(ask("{\"do\":\"disk-resize\",\"disk\":\"0:1\"}"), EALREADY, "being removed");
	fails(add("engine=memory,lun=1"), EEXIST, "still being removed");
	store_release(stuck, 0);
	pthread_join(reader, &err);
	ck_assert_int_eq((intptr_t)err, 0); /* it was there first */
	wait_until_gone();
	done(add("engine=memory,lun=1,size=2M"));
	ck_assert_uint_eq(size_of(s, 1), 2 * MIB);
	storvsc_detach(other);
	storvsc_detach(s);
}
END_TEST

/* The one who waits goes away, then the partition that holds the disk: the removal goes on. */
START_TEST(everybody_leaves_while_stuck)
{
	static const char text[] = "{\"do\":\"disk-remove\",\"disk\":\"0:1\",\"wait_ms\":60000}";
	struct storvsc *s;
	pid_t child;
	char c;
	int fd, said[2];

	ck_assert_int_eq(pipe(said), 0);
	store_release(stuck, 1);
	child = fork();
	if (!child) {
		s = attach(1);
		if (write(said[1], "", 1) != 1)
			_exit(1);
		read_stuck(s);
		_exit(0);
	}
	ck_assert_int_eq(read(said[0], &c, 1), 1);
	usleep(100000); /* the read is on its way; when not, the rest is as good */
	fd = control();
	ck_assert_int_eq(proc_sock_send(fd, text, sizeof(text) - 1, NULL, 0, 0), 0);
	s = attach(1);
	while (guest_sees(s, LUN_STUCK))
		;
	close(fd);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	usleep(50000);
	ck_assert(root_has(stuck_image)); /* its call is still running */
	store_release(stuck, 0);
	wait_until_gone();
	storvsc_detach(s);
	close(said[0]);
	close(said[1]);
}
END_TEST

/* ---- resize ------------------------------------------------------------------------------------
 */

static void grow_outside(uint64_t size)
{
	ck_assert_int_eq(truncate(image, (off_t)size), 0);
}

START_TEST(resized)
{
	struct storvsc *a = attach(1), *b = attach(1);
	struct stat st;

	done(add_image(LUN_NEW));
	ck_assert_uint_eq(size_of(a, LUN_NEW), 8 * MIB);
	ck_assert_uint_eq(size_of(b, LUN_NEW), 8 * MIB);
	storvsc_changed(a);
	ck_assert_int_eq(touch(a, LUN_NEW, 8 * MIB, 1), -EINVAL);

	grow_outside(10 * MIB);
	ck_assert_int_eq(touch(a, LUN_NEW, 8 * MIB, 1), -EINVAL); /* nobody said so yet */
	done(ask("{\"do\":\"disk-resize\",\"disk\":\"0:2\"}"));
	expect_attention(a, LUN_NEW, CAPACITY_CHANGED);
	expect_attention(b, LUN_NEW, CAPACITY_CHANGED);
	expect_changed(a);
	ck_assert_uint_eq(size_of(a, LUN_NEW), 10 * MIB);
	ck_assert_int_eq(touch(a, LUN_NEW, 10 * MIB - 4096, 2), 0);

	done(ask("{\"do\":\"disk-resize\",\"disk\":\"0:2\",\"size\":%u}", 12 * MIB));
	ck_assert_int_eq(stat(image, &st), 0);
	ck_assert_int_eq(st.st_size, 12 * MIB);
	ck_assert_uint_eq(size_of(b, LUN_NEW), 12 * MIB);
	ck_assert_int_eq(touch(b, LUN_NEW, 12 * MIB - 4096, 3), 0);

	fails(ask("{\"do\":\"disk-resize\",\"disk\":\"0:2\",\"size\":%u}", 4 * MIB), EINVAL,
	      "--shrink");
	fails(ask("{\"do\":\"disk-resize\",\"disk\":\"0:2\",\"size\":1000}"), EINVAL, "multiple");
	ck_assert_uint_eq(size_of(a, LUN_NEW), 12 * MIB);
	done(ask("{\"do\":\"disk-resize\",\"disk\":\"0:2\",\"size\":%u,\"shrink\":true}", 4 * MIB));
	ck_assert_int_eq(stat(image, &st), 0);
	ck_assert_int_eq(st.st_size, 4 * MIB);
	expect_attention(a, LUN_NEW, CAPACITY_CHANGED);
	ck_assert_uint_eq(size_of(a, LUN_NEW), 4 * MIB);
	ck_assert_int_eq(touch(a, LUN_NEW, 4 * MIB, 4), -EINVAL);
	ck_assert_int_eq(touch(a, LUN_NEW, 4 * MIB - 4096, 4), 0);

	fails(ask("{\"do\":\"disk-resize\",\"disk\":\"0:0\",\"size\":%u}", 4 * MIB), ENOTSUP,
	      "in memory");
	done(remove_disk(LUN_NEW));
	storvsc_detach(b);
	storvsc_detach(a);
}
END_TEST

START_TEST(resized_under_io)
{
	struct storvsc *s = attach(QUEUES);
	struct worker *w;

	done(add_image(LUN_NEW));
	ck_assert_uint_eq(size_of(s, LUN_NEW), 8 * MIB);
	w = start_workers(s, LUN_NEW);
	wait_for_io(LUN_NEW);
	for (uint32_t i = 0; i < 20; i++)
		done(ask("{\"do\":\"disk-resize\",\"disk\":\"0:2\",\"size\":%u,\"shrink\":true}",
			 (8 - i % 2 * 4 + i / 8) * MIB));
	finish_workers(w, false);
	done(remove_disk(LUN_NEW));
	storvsc_detach(s);
}
END_TEST

static TCase *cases(const char *name, void (*start)(void))
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, start, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, s32_removed_under_io);
	tcase_add_test(tc, rounds_leave_nothing);
	tcase_add_test(tc, removed_while_stuck);
	tcase_add_test(tc, everybody_leaves_while_stuck);
	tcase_add_test(tc, resized_under_io);
	return tc;
}

int main(void)
{
	Suite *suite = suite_create("a disk's life");
	TCase *tc = cases("one loop", setup);
	SRunner *sr;
	int failed;

	tcase_add_test(tc, added_disk_is_seen_by_all);
	tcase_add_test(tc, added_controller_is_for_new_guests);
	tcase_add_test(tc, wrong_descriptors);
	tcase_add_test(tc, s32_replaced);
	tcase_add_test(tc, resized);
	suite_add_tcase(suite, tc);
	suite_add_tcase(suite, cases("io threads", setup_threads));
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
