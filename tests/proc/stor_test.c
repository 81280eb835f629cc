/* SPDX-License-Identifier: MIT */
/*
 * storvsc in a child process against storvsp in a root process, over the whole stack:
 * verified random I/O on several queues at once, every kind of request, disks that are
 * read-only or absent, children that are killed or stop reading, a root that is killed.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/log.h"
#include "hv-core/proc/proc_wire.h"
#include "tests/proc/map_lines.h"
#include "tests/proc/root_rig.h"
#include "vsc/storvsc.h"

#define MIB	    (1u << 20)
#define DISK	    (8u * MIB)
#define QUEUES	    3
#define MEMORY	    (24u * MIB)
#define KILL_ROUNDS 20

/* Memory that an allocator may keep: flat over hundreds of rounds, but it wanders. */
#if defined(HVBUS_TSAN) || defined(__SANITIZE_ADDRESS__)
#define SLACK_KB   65536 /* quarantine and shadow */
#define SLACK_MAPS 2
#else
#define SLACK_KB   3072
#define SLACK_MAPS 2
#endif

#if defined(HVBUS_TSAN)
/* The children that get killed are forked beside a partition of our own, which has a thread. */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "die_after_fork=0";
}
#endif

/* LUNs of controller 0. */
enum { LUN_MEMORY, LUN_FILE, LUN_READONLY, LUN_4K, LUNS };

static char image[96];

/* ---- a root in a process of its own -------------------------------------------------- */

static uint32_t io_threads; /* of roots to come */

static void configure(struct root_config *cfg)
{
	static const struct root_disk disks[LUNS] = {
		{ .blk = { .engine = BLK_ENGINE_MEMORY, .size = DISK }, .lun = LUN_MEMORY },
		{ .blk = { .path = image, .direct = -1 }, .lun = LUN_FILE },
		{ .blk = { .engine = BLK_ENGINE_MEMORY, .size = DISK, .readonly = true },
		  .lun = LUN_READONLY },
		{ .blk = { .engine = BLK_ENGINE_MEMORY, .size = DISK, .block_size = 4096 },
		  .lun = LUN_4K },
	};

	cfg->io_threads = io_threads;
	cfg->nr_disks = LUNS;
	memcpy(cfg->disk, disks, sizeof(disks));
}

static void start_root(uint32_t threads)
{
	int fd;

	io_threads = threads;
	rig_dir();
	snprintf(image, sizeof(image), "%s/image", dir);
	fd = open(image, O_CREAT | O_RDWR, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, DISK), 0);
	close(fd);
	rig_start(&(struct rig_root){ configure, NULL });
}

static void setup(void)
{
	start_root(0);
}

static void setup_threads(void)
{
	start_root(2);
}

static void end_root(int sig)
{
	int status;

	if (!root_pid)
		return;
	kill(root_pid, sig);
	ck_assert_int_eq(waitpid(root_pid, &status, 0), root_pid);
	if (sig == SIGTERM)
		ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "root ended with %x",
			      (unsigned int)status);
	root_pid = 0;
}

static void teardown(void)
{
	end_root(SIGTERM);
	unlink(image);
	unlink(sock);
	rmdir(dir);
}

/* ---- looking at the root ---------------------------------------------------------------- */

struct usage {
	long fds, maps, rss_kb;
	double cpu_s;
};

static struct usage usage_of(pid_t pid)
{
	struct usage u = { 0 };
	unsigned long ut, st;
	char path[64], line[512];
	struct dirent *e;
	long pages;
	FILE *f;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	d = opendir(path);
	ck_assert_ptr_nonnull(d);
	while ((e = readdir(d)))
		u.fds += e->d_name[0] != '.';
	closedir(d);
	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = fopen(path, "r");
	while (fgets(line, sizeof(line), f))
		u.maps += map_line_counts(line);
	fclose(f);
	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	f = fopen(path, "r");
	ck_assert_int_eq(fscanf(f, "%*d %ld", &pages), 1);
	fclose(f);
	u.rss_kb = pages * 4;
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	ck_assert_int_eq(
		fscanf(f, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &ut, &st),
		2);
	fclose(f);
	u.cpu_s = (double)(ut + st) / (double)sysconf(_SC_CLK_TCK);
	return u;
}

/* Waits (5 s at most) until the root holds no more than @was; the end of a child takes a moment. */
static struct usage settled(struct usage was)
{
	uint64_t end = clock_ns() + 5000000000ull;
	struct usage u;

	do {
		u = usage_of(root_pid);
		if (u.fds <= was.fds && u.maps <= was.maps && u.rss_kb <= was.rss_kb)
			break;
		sched_yield();
	} while (clock_ns() < end);
	return u;
}

/* ---- children -------------------------------------------------------------------------------- */

static struct storvsc *attach(uint32_t queues, const struct storvsc_config *cfg)
{
	struct storvsc_config c = { .queues = queues, .depth = 64, .spin_us = 20 };
	struct storvsc *s;
	char why[256];

	if (cfg)
		c = *cfg;
	ck_assert_msg(!storvsc_attach(&s, sock, 0, MEMORY, &c, why, sizeof(why)), "%s", why);
	return s;
}

/* Each 4 KiB block says which one it is and how often it was written. */
static void stamp(uint8_t *p, uint64_t block, uint32_t version)
{
	uint64_t w[2] = { block * 0x9e3779b97f4a7c15ull + 1, version };
	uint32_t i;

	for (i = 0; i < 4096; i += 16) {
		w[0] ^= i;
		memcpy(p + i, w, 16);
		w[0] ^= i;
	}
}

static bool stamped(const uint8_t *p, uint64_t block, uint32_t version)
{
	uint8_t want[4096];

	if (!version) {
		memset(want, 0, sizeof(want));
		return !memcmp(p, want, 4096);
	}
	stamp(want, block, version);
	return !memcmp(p, want, 4096);
}

#define QD	32
#define SPAN	(DISK / 4096 / QUEUES) /* blocks of one worker */
#define WORK_IO 1500

struct worker {
	struct storvsc *s;
	uint32_t q;
	uint8_t lun;
	uint32_t version[SPAN];
	struct storvsc_io io[QD];
	struct iovec iov[QD];
	uint32_t block[QD], n[QD]; /* what each request covers; n = 0: idle */
	uint8_t *buf;
	uint32_t seed, errors, done;
};

static uint32_t rnd(struct worker *w)
{
	w->seed = w->seed * 1664525u + 1013904223u;
	return w->seed >> 8;
}

/* No two requests in flight touch the same block: the result is then known. */
static bool is_busy(const struct worker *w, uint32_t block, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < QD; i++)
		if (w->n[i] && block < w->block[i] + w->n[i] && w->block[i] < block + n)
			return true;
	return false;
}

static void start_one(struct worker *w, uint32_t i)
{
	static const uint8_t ops[8] = { STORVSC_READ,	 STORVSC_READ,	STORVSC_READ,
					STORVSC_WRITE,	 STORVSC_WRITE, STORVSC_WRITE,
					STORVSC_DISCARD, STORVSC_ZERO };
	struct storvsc_io *io = &w->io[i];
	uint32_t n = rnd(w) % 4 ? 1 : 1 + rnd(w) % 8, k, block;
	uint8_t *p = w->buf + (size_t)i * 9 * 4096;

	do {
		block = rnd(w) % (SPAN - 8);
	} while (is_busy(w, block, n));
	p += rnd(w) % 8 * 512; /* buffers start anywhere in a page */
	*io = (struct storvsc_io){
		.op = ops[rnd(w) % 8],
		.flags = rnd(w) % 16 ? 0 : STORVSC_FUA,
		.lun = w->lun,
		.offset = ((uint64_t)w->q * SPAN + block) * 4096,
		.len = n * 4096ul,
		.iov = &w->iov[i],
		.niov = 1,
	};
	w->iov[i] = (struct iovec){ p, io->len };
	if (io->op == STORVSC_WRITE)
		for (k = 0; k < n; k++)
			stamp(p + k * 4096, block + k, ++w->version[block + k]);
	else if (io->op != STORVSC_READ)
		memset(&w->version[block], 0, n * sizeof(w->version[0]));
	w->block[i] = block;
	w->n[i] = n;
	if (storvsc_submit(w->s, w->q, io))
		w->errors++;
}

static void finish_one(struct worker *w, struct storvsc_io *io)
{
	uint32_t i = (uint32_t)(io - w->io), k;

	if (io->result)
		w->errors++;
	else if (io->op == STORVSC_READ)
		for (k = 0; k < w->n[i]; k++)
			w->errors += !stamped((uint8_t *)w->iov[i].iov_base + k * 4096,
					      w->block[i] + k, w->version[w->block[i] + k]);
	w->n[i] = 0;
	w->done++;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct storvsc_io *out[QD];
	uint32_t i;
	int n, k;

	for (i = 0; i < QD; i++)
		start_one(w, i);
	while (w->done < WORK_IO && !w->errors) {
		storvsc_kick(w->s, w->q);
		n = storvsc_reap(w->s, w->q, out, QD, 1, UINT64_MAX);
		if (n < 0) {
			w->errors++;
			break;
		}
		for (k = 0; k < n; k++) {
			finish_one(w, out[k]);
			start_one(w, (uint32_t)(out[k] - w->io));
		}
	}
	storvsc_kick(w->s, w->q);
	while ((n = storvsc_reap(w->s, w->q, out, QD, QD, UINT64_MAX)) > 0)
		for (k = 0; k < n; k++)
			finish_one(w, out[k]);
	return NULL;
}

/*
 * What the workers believe is on the disk, read back through queue @q. In a root with
 * several loops that may be another loop than the one that wrote; what orders the two is
 * in the guests, where the root's ThreadSanitizer cannot look.
 */
static void verify_all(struct storvsc *s, uint32_t q, const struct worker *w)
{
	uint8_t *buf = malloc(SPAN * 4096ul);
	uint32_t i;

	ck_assert_int_eq(storvsc_read(s, q, w->lun, buf, (uint64_t)w->q * SPAN * 4096, SPAN * 4096),
			 0);
	for (i = 0; i < SPAN; i++)
		ck_assert_msg(stamped(buf + i * 4096ul, i, w->version[i]), "block %u version %u", i,
			      w->version[i]);
	free(buf);
}

/* Somebody looks at the root all the time: statistics are read while channels run. */
static uint32_t stop_looking;

static void *look(void *arg)
{
	struct hv_proc_hello hello = {
		.magic = HV_PROC_MAGIC,
		.version = HV_PROC_VERSION,
		.role = HV_PROC_CONTROL,
	};
	static const char ask[] = "{\"do\":\"inspect\"}";
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	char answer[65536];
	uint32_t *good = arg;
	ssize_t n;
	int fd;

	strcpy(sa.sun_path, sock);
	do {
		fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
		if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) ||
		    send(fd, &hello, sizeof(hello), MSG_NOSIGNAL) < 0 ||
		    send(fd, ask, strlen(ask), MSG_NOSIGNAL) < 0)
			break;
		n = recv(fd, answer, sizeof(answer) - 1, 0);
		answer[n > 0 ? n : 0] = '\0';
		*good += strstr(answer, "in_flight") != NULL;
		close(fd);
	} while (*good < 100 && !load_acquire(&stop_looking)); /* pairs with random_io() */
	return NULL;
}

static void random_io(uint8_t lun)
{
	struct storvsc *s = attach(QUEUES, NULL), *other __attribute__((unused));
	struct worker *w = calloc(QUEUES, sizeof(*w));
	pthread_t t[QUEUES], looker;
	uint32_t i, looks = 0;

	ck_assert_uint_eq(storvsc_queues(s), QUEUES);
	stop_looking = 0;
	ck_assert_int_eq(pthread_create(&looker, NULL, look, &looks), 0);
	for (i = 0; i < QUEUES; i++) {
		w[i].s = s;
		w[i].q = i;
		w[i].lun = lun;
		w[i].seed = i * 77 + lun;
		w[i].buf = storvsc_alloc(s, QD * 9 * 4096);
		ck_assert_ptr_nonnull(w[i].buf);
		ck_assert_int_eq(pthread_create(&t[i], NULL, work, &w[i]), 0);
	}
	for (i = 0; i < QUEUES; i++) {
		pthread_join(t[i], NULL);
		ck_assert_msg(!w[i].errors, "queue %u: %s", i, storvsc_last_error(s, i));
		ck_assert_uint_ge(w[i].done, WORK_IO);
	}
	store_release(&stop_looking, 1);
	pthread_join(looker, NULL);
	ck_assert_uint_gt(looks, 0);
	ck_assert_int_eq(storvsc_flush(s, 0, lun), 0);
	for (i = 0; i < QUEUES; i++)
		verify_all(s, i, &w[i]);
#if !defined(HVBUS_TSAN)
	other = attach(1, NULL); /* another partition, the same disks */
	for (i = 0; i < QUEUES; i++)
		verify_all(other, 0, &w[i]);
	storvsc_detach(other);
#endif
	storvsc_detach(s);
	free(w);
}

START_TEST(random_io_on_memory)
{
	random_io(LUN_MEMORY);
}
END_TEST

START_TEST(random_io_on_a_file)
{
	random_io(LUN_FILE);
}
END_TEST

START_TEST(random_io_on_4k_blocks)
{
	random_io(LUN_4K);
}
END_TEST

/* ---- disks ----------------------------------------------------------------------------------- */

START_TEST(lun_list_and_disks)
{
	struct storvsc *s = attach(1, NULL);
	struct storvsc_disk d;
	uint8_t luns[8];
	int i;

	ck_assert_int_eq(storvsc_luns(s, luns, 8), LUNS);
	for (i = 0; i < LUNS; i++) {
		ck_assert_uint_eq(luns[i], (unsigned int)i);
		ck_assert_int_eq(storvsc_disk_info(s, (uint8_t)i, &d), 0);
		ck_assert_uint_eq(d.size, DISK);
		ck_assert_uint_eq(d.block_size, i == LUN_4K ? 4096 : 512);
		ck_assert_int_eq(d.readonly, i == LUN_READONLY);
		ck_assert_str_eq(d.vendor, "Msft");
		ck_assert_uint_eq(d.naa[0], 0x60);
	}
	ck_assert_int_eq(storvsc_disk_info(s, LUNS, &d), -ENXIO);
	ck_assert_int_eq(storvsc_disk_info(s, 200, &d), -ENXIO);
	storvsc_detach(s);
}
END_TEST

START_TEST(errors)
{
	struct storvsc *s = attach(1, NULL), *none;
	uint8_t block[4096] = { 1 };
	char why[256];

	ck_assert_int_eq(storvsc_read(s, 0, LUN_FILE, block, DISK, 512), -EINVAL);
	ck_assert_str_eq(storvsc_last_error(s, 0), "LBA out of range (sense 5/21/00)");
	ck_assert_int_eq(storvsc_read(s, 0, LUN_FILE, block, DISK - 512, 1024), -EINVAL);
	ck_assert_int_eq(storvsc_read(s, 0, LUN_FILE, block, DISK - 512, 512), 0);
	ck_assert_int_eq(storvsc_write(s, 0, LUN_READONLY, block, 0, 512, 0), -EROFS);
	ck_assert_int_eq(storvsc_discard(s, 0, LUN_READONLY, 0, 4096) < 0, 1);
	ck_assert_int_eq(storvsc_flush(s, 0, LUN_READONLY), 0);
	ck_assert_int_eq(storvsc_read(s, 0, LUN_4K, block, 512, 512), -EINVAL);
	ck_assert_int_eq(storvsc_read(s, 0, LUNS, block, 0, 512), -ENXIO);
	ck_assert_int_eq(
		storvsc_scsi(s, 0, LUN_FILE, (uint8_t[16]){ 0xc7 }, 2, NULL, 0, NULL, NULL),
		-EOPNOTSUPP);
	ck_assert_int_eq(storvsc_attach(&none, sock, 1, MEMORY, NULL, why, sizeof(why)), -ENODEV);
	ck_assert_ptr_nonnull(strstr(why, "no such controller"));
	ck_assert_int_eq(storvsc_attach(&none, "/nowhere/s", 0, MEMORY, NULL, why, sizeof(why)),
			 -ENOENT);
	ck_assert_ptr_nonnull(strstr(why, "/nowhere/s"));
	storvsc_detach(s);
}
END_TEST

START_TEST(ranges_on_a_file)
{
	size_t len = 3 * MIB + 512, i;
	uint8_t *a = malloc(len), *b = malloc(len);
	struct storvsc *s = attach(1, NULL);

	for (i = 0; i < len; i++)
		a[i] = (uint8_t)(i * 13 + i / 1000);
	ck_assert_int_eq(storvsc_write(s, 0, LUN_FILE, a, 1536, len, STORVSC_FUA), 0);
	ck_assert_int_eq(storvsc_zero(s, 0, LUN_FILE, 1536 + 512, MIB), 0);
	memset(a + 512, 0, MIB);
	ck_assert_int_eq(storvsc_discard(s, 0, LUN_FILE, 2 * MIB, 64 * 1024), 0);
	memset(a + 2 * MIB - 1536, 0, 64 * 1024);
	ck_assert_int_eq(storvsc_flush(s, 0, LUN_FILE), 0);
	ck_assert_int_eq(storvsc_read(s, 0, LUN_FILE, b, 1536, len), 0);
	ck_assert(!memcmp(a, b, len));
	storvsc_detach(s);
	free(a);
	free(b);
}
END_TEST

/* ---- children that end badly --------------------------------------------------------------------
 */

/* Writes and reads on every queue until somebody kills it. */
static void busy_child(int ready)
{
	struct storvsc *s = attach(QUEUES, NULL);
	static struct storvsc_io io[QUEUES][QD];
	static struct iovec iov[QUEUES][QD];
	struct storvsc_io *out[QD];
	uint32_t q, i;
	int n;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (q = 0; q < QUEUES; q++)
		for (i = 0; i < QD; i++) {
			iov[q][i] = (struct iovec){ storvsc_alloc(s, 65536), 65536 };
			io[q][i] = (struct storvsc_io){ .op = i % 2,
							.lun = LUN_FILE,
							.offset = i * 65536,
							.len = 65536,
							.iov = &iov[q][i],
							.niov = 1 };
			if (storvsc_submit(s, q, &io[q][i]))
				_exit(1);
		}
	if (write(ready, "", 1) != 1)
		_exit(1);
	for (q = 0;; q = (q + 1) % QUEUES) {
		storvsc_kick(s, q);
		n = storvsc_reap(s, q, out, QD, 1, 1000000);
		while (n-- > 0)
			if (storvsc_submit(s, q, out[n]))
				_exit(1);
	}
}

static void kill_one_child(uint32_t delay_us)
{
	int ready[2];
	uint64_t end;
	pid_t pid;
	char c;

	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid)
		busy_child(ready[1]);
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &c, 1), 1);
	close(ready[0]);
	for (end = clock_ns() + delay_us * 1000ull; clock_ns() < end;)
		sched_yield();
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

/* F01: nothing of the dead stays in the root; the living notice nothing. */
START_TEST(f01_killed_children_leave_nothing)
{
	struct storvsc *canary = attach(1, NULL);
	struct usage fresh = usage_of(root_pid), before, after;
	uint8_t block[4096], back[4096];
	uint32_t i;

	for (i = 0; i < 8; i++) /* allocators reach their usual size */
		kill_one_child(i * 500);
	fresh.maps += SLACK_MAPS;
	fresh.rss_kb = LONG_MAX;
	before = settled(fresh);
	before.maps += SLACK_MAPS;
	before.rss_kb += SLACK_KB;
	for (i = 0; i < KILL_ROUNDS; i++) {
		kill_one_child(i * 150);
		stamp(block, i, 1);
		ck_assert_int_eq(storvsc_write(canary, 0, LUN_MEMORY, block, i * 4096, 4096, 0), 0);
		ck_assert_int_eq(storvsc_read(canary, 0, LUN_MEMORY, back, i * 4096, 4096), 0);
		ck_assert(stamped(back, i, 1));
	}
	after = settled(before);
	ck_assert_int_le(after.fds, before.fds);
	ck_assert_int_le(after.maps, before.maps);
	ck_assert_int_le(after.rss_kb, before.rss_kb);
	storvsc_detach(canary);
}
END_TEST

/* P17, F02: a child that does not read its completions costs no processor time. */
START_TEST(p17_child_that_never_reads)
{
	struct storvsc_config cfg = { .depth = 512, .ring_bytes = 4096 };
	struct storvsc *lazy = attach(1, &cfg), *canary = attach(1, NULL);
	static struct storvsc_io io[512];
	struct storvsc_io *out[512];
	struct iovec iov = { storvsc_alloc(lazy, 4096), 4096 };
	struct usage a, b;
	uint8_t block[4096];
	uint64_t end, deadline = clock_ns() + 20000000000ull;
	uint32_t sent = 0, quiet = 0;
	int got = 0, n;

	/* Until nothing fits any more: first the root has to take what fills the ring at once. */
	while ((quiet < 2000 || sent <= 46) && sent < 512 && clock_ns() < deadline) {
		io[sent] = (struct storvsc_io){ .len = 4096, .iov = &iov, .niov = 1 };
		n = storvsc_submit(lazy, 0, &io[sent]);
		storvsc_kick(lazy, 0);
		sent += !n;
		quiet = n ? quiet + 1 : 0;
		sched_yield();
	}
	ck_assert_uint_gt(sent, 46); /* more than the completions that have room */
	ck_assert_uint_lt(sent, 512);
	ck_assert_int_eq(storvsc_read(canary, 0, LUN_MEMORY, block, 0, 4096), 0);
	a = usage_of(root_pid);
	for (end = clock_ns() + 500000000ull; clock_ns() < end;)
		usleep(10000); /* the time that is measured, not a synchronisation */
	b = usage_of(root_pid);
	ck_assert_msg(b.cpu_s - a.cpu_s < 0.1, "%.2f s of half a second", b.cpu_s - a.cpu_s);
	while (got < (int)sent) { /* it reads at last: everything is there, once */
		n = storvsc_reap(lazy, 0, out, 512, 1, 5000000000ull);
		ck_assert_int_gt(n, 0);
		got += n;
	}
	ck_assert_int_eq(got, (int)sent);
	storvsc_detach(canary);
	storvsc_detach(lazy);
}
END_TEST

/* Verified random I/O, then exit(0). */
static void working_child(int ready)
{
	struct worker *w = calloc(1, sizeof(*w));

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	w->s = attach(1, NULL);
	w->lun = LUN_FILE;
	w->buf = storvsc_alloc(w->s, QD * 9 * 4096);
	if (write(ready, "", 1) != 1)
		_exit(1);
	work(w);
	storvsc_detach(w->s);
	_exit(w->errors || w->done < WORK_IO);
}

/* F02: stopped with requests in flight; idle meanwhile; then everything finishes once. */
START_TEST(f02_stopped_child)
{
	struct usage a, b;
	int ready[2], status, i;
	pid_t pid;
	char c;

	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid)
		working_child(ready[1]);
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &c, 1), 1);
	close(ready[0]);
	for (i = 0; i < 5; i++) {
		kill(pid, SIGSTOP);
		usleep(20000); /* what was in flight ends */
		a = usage_of(root_pid);
		usleep(80000); /* the time that is measured */
		b = usage_of(root_pid);
		ck_assert_msg(b.cpu_s - a.cpu_s < 0.04, "%.2f s of 0.08", b.cpu_s - a.cpu_s);
		kill(pid, SIGCONT);
		usleep(3000);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* The root is killed: every outstanding request comes back with an error, soon. */
START_TEST(root_killed)
{
	struct storvsc *s = attach(2, NULL);
	static struct storvsc_io io[QD];
	struct storvsc_io *out[QD];
	struct iovec iov = { storvsc_alloc(s, 65536), 65536 };
	uint64_t start;
	int i, n, got = 0, status;

	kill(root_pid, SIGSTOP);
	ck_assert_int_eq(waitpid(root_pid, &status, WUNTRACED), root_pid);
	for (i = 0; i < QD; i++) {
		io[i] = (struct storvsc_io){
			.lun = LUN_FILE, .len = 65536, .iov = &iov, .niov = 1
		};
		ck_assert_int_eq(storvsc_submit(s, 0, &io[i]), 0);
	}
	storvsc_kick(s, 0); /* the requests are out, nobody answers */
	ck_assert_int_eq(storvsc_reap(s, 0, out, QD, 1, 10000000), 0);
	end_root(SIGKILL);
	start = clock_ns();
	while ((n = storvsc_reap(s, 0, out, QD, 1, UINT64_MAX)) > 0)
		for (got += n; n-- > 0;)
			ck_assert_int_eq(out[n]->result, -ECONNRESET);
	ck_assert_int_eq(got, QD);
	ck_assert_int_eq(n, -ECONNRESET);
	ck_assert_int_eq(storvsc_flush(s, 1, LUN_FILE), -ECONNRESET);
	storvsc_detach(s);
	ck_assert_uint_lt(clock_ns() - start, 3000000000ull);
}
END_TEST

/* The controller is opened and closed by the same partition again and again. */
START_TEST(reopen)
{
	struct hv_child_config hc = { .memory = MEMORY, .nr_vps = 2 };
	struct storvsc_config cfg = { .queues = 2, .depth = 8 };
	struct vmbus_client *bus;
	struct hv_child *child;
	struct storvsc *s;
	uint8_t block[512];
	char why[256];
	int i;

	ck_assert_int_eq(hv_child_connect(&child, sock, &hc, why, sizeof(why)), 0);
	ck_assert_int_eq(vmbus_client_connect(&bus, child, NULL), 0);
	for (i = 0; i < 10; i++) {
		ck_assert_int_eq(storvsc_open(&s, bus, 0, &cfg), 0);
		ck_assert_uint_eq(storvsc_queues(s), 2);
		ck_assert_int_eq(storvsc_read(s, 1, LUN_FILE, block, 0, 512), 0);
		storvsc_close(s);
	}
	vmbus_client_destroy(bus);
	hv_child_destroy(child);
}
END_TEST

static TCase *cases(const char *name, void (*start)(void))
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, start, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, random_io_on_memory);
	tcase_add_test(tc, random_io_on_a_file);
	tcase_add_test(tc, random_io_on_4k_blocks);
	tcase_add_test(tc, f01_killed_children_leave_nothing);
	tcase_add_test(tc, p17_child_that_never_reads);
	tcase_add_test(tc, f02_stopped_child);
	tcase_add_test(tc, reopen);
	return tc;
}

int main(void)
{
	Suite *suite = suite_create("storage, whole stack");
	TCase *tc = cases("one loop", setup);
	SRunner *sr;
	int failed;

	tcase_add_test(tc, lun_list_and_disks);
	tcase_add_test(tc, errors);
	tcase_add_test(tc, ranges_on_a_file);
	tcase_add_test(tc, root_killed);
	suite_add_tcase(suite, tc);
	suite_add_tcase(suite, cases("io threads", setup_threads));
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
