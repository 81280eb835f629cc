/* SPDX-License-Identifier: MIT */
/*
 * Sudden death in the middle of verified writes: of a child, of the root, of an nbdkit that is
 * a child. What must hold every time:
 *   - a write that was acknowledged and then flushed is in the image
 *   - every block of the image is whole: one of the versions written, never a mixture
 *   - the root gets every fd, mapping and byte back; its other partition notices nothing
 *
 * KILL_ROUNDS=N: N rounds over all three parties together, with progress (make kill).
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libnbd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/log.h"
#include "vmwp/root.h"
#include "vsc/storvsc.h"

#define BLOCKS	 512u
#define BLOCK	 4096u
#define BATCH	 8
#define WARM_UP	 5
#define LIMIT_NS 5000000000ull

#if defined(HVBUS_TSAN) || defined(__SANITIZE_ADDRESS__)
#define ROUNDS 20
#else
#define ROUNDS 50
#endif
#define PARTIES	 3
#define FEWEST	 (PARTIES * (WARM_UP + 2))
#define SHOW	 10    /* rounds between two lines of progress */
#define ROUND_MS 10000 /* the most one may take in the mean */

struct stamp {
	uint64_t block;
	uint32_t generation, crc;
};

struct shared {
	uint32_t flushed[BLOCKS]; /* generation that was acknowledged and flushed */
	uint32_t generation;	  /* last one handed out */
	uint64_t flushes, canary_ios;
	bool canary_stop, canary_failed;
	int child_result;
};

static char dir[64], sock[96], image[96], canary_image[96];
static struct shared *sh;

/* ---- rounds ----------------------------------------------------------------------- */

static int asked_rounds; /* 0: the usual number */

static int rounds(void)
{
	return asked_rounds ? (asked_rounds + PARTIES - 1) / PARTIES : ROUNDS;
}

static void show(const char *party, int done)
{
	if (asked_rounds && (done % SHOW == 0 || done == rounds()))
		fprintf(stderr, "kill: %s, %d of %d\n", party, done, rounds());
}

/* ---- rig -------------------------------------------------------------------------- */

static void setup(void)
{
	const char *base = getenv("TMPDIR");

	snprintf(dir, sizeof(dir), "%s/hvbus-kill-XXXXXX",
		 base && strlen(base) < 32 ? base : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(sock, sizeof(sock), "%s/s", dir);
	snprintf(image, sizeof(image), "%s/a.img", dir);
	snprintf(canary_image, sizeof(canary_image), "%s/b.img", dir);
	for (int i = 0; i < 2; i++) {
		int fd = open(i ? canary_image : image, O_RDWR | O_CREAT | O_TRUNC, 0600);

		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(ftruncate(fd, (off_t)BLOCKS * BLOCK), 0);
		close(fd);
	}
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(sh, MAP_FAILED);
	log_set_level(LOG_ERROR);
	signal(SIGPIPE, SIG_IGN);
}

static void teardown(void)
{
	unlink(image);
	unlink(canary_image);
	unlink(sock);
	rmdir(dir);
	munmap(sh, sizeof(*sh));
}

static struct root *root;

static void on_term(int sig)
{
	(void)sig;
	root_stop(root);
}

static pid_t start_root(void)
{
	int ready[2];
	char ok = 0;
	pid_t pid;

	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		static struct root_config cfg;
		char why[256] = "";

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		cfg = (struct root_config){
			.socket = sock, .nr_disks = 2, .spin_us = 20, .cpu = -1
		};
		cfg.disk[0] = (struct root_disk){ .blk = { .path = image, .direct = -1 } };
		cfg.disk[1] = (struct root_disk){ .blk = { .path = canary_image, .direct = -1 },
						  .lun = 1 };
		if (root_create(&root, &cfg, why, sizeof(why))) {
			fprintf(stderr, "root: %s\n", why);
			_exit(3);
		}
		signal(SIGTERM, on_term);
		close(ready[0]);
		if (write(ready[1], "k", 1) != 1)
			_exit(3);
		root_run(root);
		root_destroy(root);
		_exit(0);
	}
	close(ready[1]);
	ck_assert_int_gt(pid, 0);
	ck_assert_msg(read(ready[0], &ok, 1) == 1, "the root did not start");
	close(ready[0]);
	return pid;
}

static void stop_root(pid_t pid)
{
	int status;

	kill(pid, SIGTERM);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the root ended with %x",
		      status);
}

static int count_dir(pid_t pid, const char *what)
{
	char path[64];
	int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, what);
	d = opendir(path);
	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static int count_maps(pid_t pid)
{
	char path[64];
	int n = 0, c;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	f = fopen(path, "r");
	while (f && (c = fgetc(f)) != EOF)
		n += c == '\n';
	if (f)
		fclose(f);
	return n;
}

static long rss_kib(pid_t pid)
{
	char path[64], line[256];
	long v = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "VmRSS: %ld", &v);
	if (f)
		fclose(f);
	return v;
}

/* The root gives everything back in bounded time. */
static void wait_fds(pid_t pid, int want)
{
	uint64_t until = clock_ns() + LIMIT_NS;

	while (count_dir(pid, "fd") > want && clock_ns() < until)
		usleep(2000);
	ck_assert_msg(count_dir(pid, "fd") == want, "%d fds instead of %d", count_dir(pid, "fd"),
		      want);
}

static uint32_t next_random(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	*x ^= *x << 5;
	return *x;
}

/* ---- stamped blocks ---------------------------------------------------------------------- */

static void fill(uint8_t *buf, uint32_t block, uint32_t generation)
{
	struct stamp s = { block, generation, 0 };
	uint32_t x = block * 2654435761u ^ generation;

	for (uint32_t i = sizeof(s); i < BLOCK; i += 4) {
		x = x * 1664525u + 1013904223u;
		memcpy(buf + i, &x, 4);
	}
	s.crc = (uint32_t)crc32(0, buf + sizeof(s), BLOCK - sizeof(s));
	memcpy(buf, &s, sizeof(s));
}

static void check_image(int round)
{
	static uint8_t buf[BLOCK];
	int fd = open(image, O_RDONLY);
	struct stamp s;

	ck_assert_int_ge(fd, 0);
	for (uint32_t b = 0; b < BLOCKS; b++) {
		ck_assert_int_eq(pread(fd, buf, BLOCK, (off_t)b * BLOCK), BLOCK);
		memcpy(&s, buf, sizeof(s));
		ck_assert_msg(s.generation >= sh->flushed[b],
			      "round %d: block %u has version %u, %u was acknowledged and flushed",
			      round, b, s.generation, sh->flushed[b]);
		if (s.generation)
			ck_assert_msg(s.block == b && s.crc == (uint32_t)crc32(0, buf + sizeof(s),
									       BLOCK - sizeof(s)),
				      "round %d: block %u is not whole", round, b);
	}
	close(fd);
}

/* ---- a child partition that writes until it dies -------------------------------------------- */

struct writer {
	int (*write)(void *ctx, const void *buf, uint64_t offset);
	int (*flush)(void *ctx);
	void *ctx;
};

static int write_for_ever(const struct writer *w, uint32_t seed)
{
	static uint8_t buf[BLOCK];
	uint32_t block[BATCH], gen[BATCH], x = seed | 1;
	int err = 0, i;

	for (;;) {
		for (i = 0; i < BATCH && !err; i++) {
			block[i] = next_random(&x) % BLOCKS;
			gen[i] = ++sh->generation;
			fill(buf, block[i], gen[i]);
			err = w->write(w->ctx, buf, (uint64_t)block[i] * BLOCK);
		}
		if (!err)
			err = w->flush(w->ctx);
		if (err)
			return err;
		for (i = 0; i < BATCH; i++)
			sh->flushed[block[i]] = gen[i];
		store_relaxed(&sh->flushes, sh->flushes + 1);
	}
}

static int disk_write(void *ctx, const void *buf, uint64_t offset)
{
	return storvsc_write(ctx, 0, 0, buf, offset, BLOCK, 0);
}

static int disk_flush(void *ctx)
{
	return storvsc_flush(ctx, 0, 0);
}

static pid_t start_writer(uint32_t seed)
{
	struct storvsc_config cfg = { .depth = 16, .spin_us = 20, .timeout_ms = 4000 };
	struct writer w = { disk_write, disk_flush, NULL };
	struct storvsc *s;
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (storvsc_attach(&s, sock, 0, 16u << 20, &cfg, NULL, 0))
		_exit(4);
	w.ctx = s;
	sh->child_result = write_for_ever(&w, seed);
	storvsc_detach(s);
	_exit(0);
}

/* The neighbour: reads and writes its own disk all the time and believes nothing. */
static pid_t start_canary(void)
{
	struct storvsc_config cfg = { .depth = 16, .spin_us = 20 };
	static uint8_t buf[BLOCK], want[BLOCK];
	uint32_t x = 99, i;
	struct storvsc *s;
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (storvsc_attach(&s, sock, 0, 16u << 20, &cfg, NULL, 0))
		_exit(4);
	for (i = 1; !load_relaxed(&sh->canary_stop); i++) {
		uint32_t b = next_random(&x) % BLOCKS;

		fill(want, b, i);
		if (storvsc_write(s, 0, 1, want, (uint64_t)b * BLOCK, BLOCK, 0) ||
		    storvsc_read(s, 0, 1, buf, (uint64_t)b * BLOCK, BLOCK) ||
		    memcmp(buf, want, BLOCK)) {
			store_relaxed(&sh->canary_failed, true);
			break;
		}
		store_relaxed(&sh->canary_ios, sh->canary_ios + 1);
		usleep(500);
	}
	storvsc_detach(s);
	_exit(0);
}

/* Lets it do real work before the blow: at least one flush more, then a random while. */
static void let_it_write(uint32_t *x)
{
	uint64_t before = load_relaxed(&sh->flushes), until = clock_ns() + LIMIT_NS;

	while (load_relaxed(&sh->flushes) == before && clock_ns() < until)
		usleep(200);
	ck_assert_msg(load_relaxed(&sh->flushes) != before, "the writer does not get anywhere (%d)",
		      sh->child_result);
	usleep(next_random(x) % 12000);
}

static void reap(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
}

START_TEST(test_F01_child_killed)
{
	pid_t r = start_root(), canary = start_canary(), writer;
	int fds = 0, maps = 0, round;
	uint32_t x = 4711;
	long rss = 0;

	while (!load_relaxed(&sh->canary_ios) && !load_relaxed(&sh->canary_failed))
		usleep(1000);
	fds = count_dir(r, "fd");
	for (round = 0; round < rounds(); round++) {
		writer = start_writer((uint32_t)round + 1);
		let_it_write(&x);
		kill(writer, SIGKILL);
		reap(writer);
		wait_fds(r, fds);
		check_image(round);
		ck_assert_msg(!load_relaxed(&sh->canary_failed), "round %d: the neighbour noticed",
			      round);
		if (round == WARM_UP) {
			maps = count_maps(r);
			rss = rss_kib(r);
		}
		show("child", round + 1);
	}
	ck_assert_msg(count_maps(r) <= maps + 2, "%d mappings instead of %d", count_maps(r), maps);
#if !defined(HVBUS_TSAN) && !defined(__SANITIZE_ADDRESS__)
	ck_assert_msg(rss_kib(r) <= rss + 1024, "%ld KiB resident instead of %ld", rss_kib(r), rss);
#else
	(void)rss; /* a sanitizer keeps freed memory in quarantine */
#endif
	store_relaxed(&sh->canary_stop, true);
	reap(canary);
	stop_root(r);
	check_image(round);
}
END_TEST

START_TEST(test_F05_root_killed)
{
	pid_t r = start_root(), writer;
	uint32_t x = 815;
	int round;

	for (round = 0; round < rounds(); round++) {
		uint64_t until;

		sh->child_result = 0;
		writer = start_writer((uint32_t)round + 1000);
		let_it_write(&x);
		kill(r, SIGKILL);
		reap(r);
		until = clock_ns() + LIMIT_NS;
		while (waitpid(writer, NULL, WNOHANG) == 0 && clock_ns() < until)
			usleep(1000);
		ck_assert_msg(clock_ns() < until, "round %d: the child hangs without its root",
			      round);
		ck_assert_msg(sh->child_result < 0, "round %d: the child saw no error", round);
		check_image(round);
		r = start_root(); /* over the stale socket */
		show("root", round + 1);
	}
	stop_root(r);
	check_image(round);
}
END_TEST

/* ---- nbdkit as the child ----------------------------------------------------------------------
 */

static int nbd_write(void *ctx, const void *buf, uint64_t offset)
{
	return nbd_pwrite(ctx, buf, BLOCK, offset, 0) ? -EIO : 0;
}

static int nbd_do_flush(void *ctx)
{
	return nbd_flush(ctx, 0) ? -EIO : 0;
}

static pid_t start_nbdkit(const char *nbd)
{
	const char *plugin = getenv("HVBUS_RELEASE_PLUGIN");
	char s[128];
	pid_t pid = fork();

	if (pid)
		return pid;
	snprintf(s, sizeof(s), "socket=%s", sock);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execlp("nbdkit", "nbdkit", "-f", "-U", nbd,
	       plugin ? plugin : "build/release/nbdkit-hvbus-plugin.so", s, "disk=0:0",
	       (char *)NULL);
	_exit(127);
}

static pid_t start_nbd_client(const char *nbd, uint32_t seed)
{
	struct writer w = { nbd_write, nbd_do_flush, NULL };
	struct nbd_handle *h;
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	h = nbd_create();
	for (int i = 0; nbd_connect_unix(h, nbd); i++) {
		if (i == 500)
			_exit(4);
		nbd_close(h);
		h = nbd_create();
		usleep(10000);
	}
	w.ctx = h;
	sh->child_result = write_for_ever(&w, seed);
	nbd_close(h);
	_exit(0);
}

START_TEST(test_nbdkit_killed)
{
	pid_t r = start_root(), server, client;
	char nbd[96];
	int fds, round;
	uint32_t x = 12;

	snprintf(nbd, sizeof(nbd), "%s/n", dir);
	usleep(50000);
	fds = count_dir(r, "fd");
	for (round = 0; round < rounds(); round++) {
		server = start_nbdkit(nbd);
		client = start_nbd_client(nbd, (uint32_t)round + 5000);
		let_it_write(&x);
		kill(server, SIGKILL);
		reap(server);
		reap(client);
		wait_fds(r, fds);
		check_image(round);
		unlink(nbd);
		show("nbdkit", round + 1);
	}
	stop_root(r);
	check_image(round);
}
END_TEST

int main(void)
{
	const char *asked = getenv("KILL_ROUNDS");
	Suite *s = suite_create("kill");
	TCase *t = tcase_create("kill");
	SRunner *sr;
	int failed;

	asked_rounds = asked ? atoi(asked) : 0;
	if (asked && (asked_rounds < FEWEST || asked_rounds > 1000000)) {
		fprintf(stderr, "KILL_ROUNDS=%s: a number from %d to 1000000 is needed\n", asked,
			FEWEST);
		return EXIT_FAILURE;
	}
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, asked ? rounds() * (ROUND_MS / 1000) : 180);
	tcase_add_test(t, test_F01_child_killed);
	tcase_add_test(t, test_F05_root_killed);
	tcase_add_test(t, test_nbdkit_killed);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
