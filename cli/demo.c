/* SPDX-License-Identifier: MIT */
/*
 * hvbus demo: the story in two acts. In the first, a root serves three disks; two ordinary
 * processes become child partitions. One clones a file system block by block onto a thin disk, the
 * other writes and verifies patterns and measures the path. Tools that know nothing of hvbus then
 * confirm the result. The second, of the network, is in demo_net.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/log.h"
#include "cli/bench_disk.h"
#include "cli/cli.h"
#include "cli/clone.h"
#include "cli/demo_net.h"
#include "cli/demo_stage.h"
#include "cli/spawn.h"

static const char usage[] =
	"usage: hvbus demo [--dir D] [--seconds S] [--act all|disks|net]\n\n"
	"The story, in two acts. Disks: two ordinary processes become child partitions and use\n"
	"synthetic SCSI disks: one clones an ext4 image through VMBus onto a thin disk, the other\n"
	"writes, verifies and measures. Then e2fsck, debugfs and sha256sum check the clone from\n"
	"outside. Net: two guests with synthetic NICs on a private switch ping each other and "
	"move\n"
	"a file over TCP, a third gets an address by DHCP from a switch with a NAT. Needs no\n"
	"privilege; where ordinary users may not make namespaces, says what to enable and skips\n"
	"the second act. What it starts ends with it.\n";

static const char examples[] = "  hvbus demo\n"
			       "  hvbus demo --act net\n"
			       "  hvbus demo --dir /var/tmp/story --seconds 4\n";

#define SOURCE_MB  96
#define SCRATCH_MB 256

struct shared { /* between the demo and its two children */
	struct clone_stats clone;
	uint64_t written, verified, pattern_total;
	int stage; /* of the second child: 1 patterns done, waiting for its turn */
	bool go;
};

struct demo {
	char dir[256], socket[300], source[300], clone[300], scratch[300];
	double seconds;
	const char *want_dir;
	int act;
	struct shared *sh;
	pid_t root, child[2];
};

static void set_dir(void *ctx, const char *v)
{
	((struct demo *)ctx)->want_dir = v;
}
static void set_seconds(void *ctx, const char *v)
{
	((struct demo *)ctx)->seconds = cli_seconds("seconds", v);
}

enum { ACT_ALL, ACT_DISKS, ACT_NET };

static void set_act(void *ctx, const char *v)
{
	static const char *const acts[] = { "all", "disks", "net", NULL };

	((struct demo *)ctx)->act = cli_choice("act", v, acts);
}

static const struct cli_option options[] = {
	{ "dir", "D", "where to leave the files (default: a new directory)", set_dir },
	{ "seconds", "S", "length of the benchmark (default 6)", set_seconds },
	{ "act", "WHICH", "all (default), disks or net", set_act },
	{ NULL, NULL, NULL, NULL },
};

static void stop_all(struct demo *d)
{
	for (int i = 0; i < 2; i++) {
		if (d->child[i] > 0) {
			kill(d->child[i], SIGKILL);
			waitpid(d->child[i], NULL, 0);
		}
	}
	if (d->root > 0)
		spawn_stop(d->root);
}

static void fail(struct demo *d, const char *what) __attribute__((noreturn));

static void fail(struct demo *d, const char *what)
{
	stop_all(d);
	cli_die(CLI_FAILED, "%s (files are in %s)", what, d->dir);
}

/* Runs a shell command in the demo's directory, its output to a log there. */
static int sh(struct demo *d, const char *fmt, ...)
{
	char cmd[2048], whole[2600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	snprintf(whole, sizeof(whole), "cd '%s' && { %s; } >>log.txt 2>&1", d->dir, cmd);
	fflush(stdout);
	return system(whole);
}

/* ---- the stage ------------------------------------------------------------------ */

static void make_dir(struct demo *d)
{
	if (d->want_dir) {
		snprintf(d->dir, sizeof(d->dir), "%s", d->want_dir);
		if (mkdir(d->dir, 0700) && errno != EEXIST)
			cli_die(CLI_FAILED, "%s: %s", d->dir, strerror(errno));
	} else {
		char *base = getenv("TMPDIR");

		snprintf(d->dir, sizeof(d->dir), "%s/hvbus-demo-XXXXXX",
			 base && *base ? base : "/tmp");
		if (!mkdtemp(d->dir))
			cli_die(CLI_FAILED, "%s: %s", d->dir, strerror(errno));
	}
	if (strchr(d->dir, '\''))
		cli_die(CLI_USAGE, "--dir: a name without quotes is needed");
	snprintf(d->socket, sizeof(d->socket), "%s/root.sock", d->dir);
	snprintf(d->source, sizeof(d->source), "%s/source.img", d->dir);
	snprintf(d->clone, sizeof(d->clone), "%s/clone.img", d->dir);
	snprintf(d->scratch, sizeof(d->scratch), "%s/scratch.img", d->dir);
}

static void make_images(struct demo *d)
{
	if (sh(d, "mkdir -p files && cp -rL /usr/share/common-licenses files/ && cp -r "
		  "/usr/include/linux files/ 2>/dev/null; "
		  "head -c 12M /dev/urandom > files/random.bin && "
		  "(cd files && find . -type f -print0 | sort -z | xargs -0 sha256sum) > "
		  "files.sha256"))
		fail(d, "the files for the image could not be made; see log.txt");
	if (sh(d,
	       "rm -f source.img clone.img scratch.img && "
	       "PATH=$PATH:/sbin:/usr/sbin mke2fs -q -t ext4 -d files source.img %dM && "
	       "truncate -s %dM clone.img && head -c %dM /dev/urandom > scratch.img && sync "
	       "scratch.img",
	       SOURCE_MB, SOURCE_MB, SCRATCH_MB))
		fail(d, "mke2fs failed; see log.txt");
}

static void start(struct demo *d)
{
	static struct root_config cfg;
	char why[256] = "";

	cfg = (struct root_config){ .socket = d->socket, .nr_disks = 3, .spin_us = 50, .cpu = -1 };
	cfg.disk[0] =
		(struct root_disk){ .blk = { .path = d->source, .readonly = true, .direct = -1 },
				    .serial = "SOURCE" };
	cfg.disk[1] = (struct root_disk){ .blk = { .path = d->clone, .direct = -1 },
					  .lun = 1,
					  .serial = "CLONE" };
	cfg.disk[2] = (struct root_disk){ .blk = { .path = d->scratch, .direct = 1 },
					  .controller = 1,
					  .serial = "SCRATCH" };
	d->root = spawn_root(&cfg, why, sizeof(why));
	if (d->root < 0)
		fail(d, why);
}

/* ---- the two child partitions ---------------------------------------------------------- */

static struct storvsc *become_child(struct demo *d, uint32_t controller)
{
	struct storvsc_config cfg = { .depth = 64, .spin_us = 50 };
	struct storvsc *s;
	char why[256] = "";
	int err = storvsc_attach(&s, d->socket, controller, 32u << 20, &cfg, why, sizeof(why));

	if (err)
		cli_die(CLI_FAILED, "child: %s", *why ? why : strerror(-err));
	return s;
}

static void clone_child(struct demo *d)
{
	struct storvsc *s = become_child(d, 0);
	int err = clone_disk(s, 0, 1, &d->sh->clone);

	if (err)
		cli_die(CLI_FAILED, "clone: %s: %s", strerror(-err), storvsc_last_error(s, 0));
	storvsc_detach(s);
}

static void pattern(uint8_t *buf, size_t len, uint64_t offset)
{
	uint64_t x = offset ^ 0x9e3779b97f4a7c15ull;

	for (size_t i = 0; i < len; i += 8) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		memcpy(buf + i, &x, 8);
	}
}

static int pass(struct storvsc *s, bool write, uint8_t *buf, uint8_t *want, uint32_t piece,
		uint64_t total, uint64_t *progress)
{
	uint64_t at;
	int err;

	for (at = 0; at < total; at += piece) {
		pattern(want, piece, at);
		if (write)
			err = storvsc_write(s, 0, 0, want, at, piece, 0);
		else
			err = storvsc_read(s, 0, 0, buf, at, piece);
		if (!err && !write && memcmp(buf, want, piece))
			err = -EBADMSG;
		if (err)
			return err;
		store_relaxed(progress, at + piece);
	}
	return write ? storvsc_flush(s, 0, 0) : 0;
}

static void pattern_child(struct demo *d)
{
	const uint32_t piece = 256 * 1024;
	struct storvsc *s = become_child(d, 1);
	uint8_t *buf = storvsc_alloc(s, piece), *want = storvsc_alloc(s, piece);
	int err;

	store_relaxed(&d->sh->pattern_total, (uint64_t)SCRATCH_MB << 20);
	if (!buf || !want)
		cli_die(CLI_FAILED, "out of guest memory");
	err = pass(s, true, buf, want, piece, d->sh->pattern_total, &d->sh->written);
	if (!err)
		err = pass(s, false, buf, want, piece, d->sh->pattern_total, &d->sh->verified);
	if (err)
		cli_die(CLI_FAILED, "patterns: %s: %s", strerror(-err), storvsc_last_error(s, 0));
	storvsc_detach(s);
}

/* The same process goes on to measure, when the other child is done. */
static void bench_child(struct demo *d)
{
	struct bench_options o = {
		.socket = d->socket,
		.filename = d->scratch,
		.controller = 1,
		.rw = LOAD_RANDREAD,
		.rw_name = "randread",
		.engine_name = "io_uring",
		.bs = 4096,
		.iodepth = 32,
		.numjobs = 1,
		.rounds = 8,
		.runtime = d->seconds / 2,
		.direct = true,
		.compare = true,
		.spin_us = 50,
		.cpu_child = -1,
		.cpu_root = -1,
	};
	struct bench_result *r = calloc(1, sizeof(*r));
	char svg[300];
	int status;

	store_release(&d->sh->stage, 1);
	while (!load_acquire(&d->sh->go))
		usleep(2000);
	if (!r)
		cli_die(CLI_FAILED, "out of memory");
	status = bench_disk_run(&o, r);
	bench_print(&o, r);
	snprintf(svg, sizeof(svg), "%s/latency.svg", d->dir);
	if (bench_plot(svg, &o, r))
		cli_die(CLI_FAILED, "%s cannot be written", svg);
	fflush(stdout);
	_exit(status);
}

static pid_t spawn_child(struct demo *d, int which)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (which == 0) {
		clone_child(d);
	} else {
		pattern_child(d);
		bench_child(d);
	}
	_exit(0);
}

static void show(struct demo *d)
{
	struct shared *s = d->sh;
	uint64_t total = load_relaxed(&s->clone.total), wanted = load_relaxed(&s->pattern_total);
	double c = total ? 100.0 *
				   (double)(load_relaxed(&s->clone.copied) +
					    load_relaxed(&s->clone.zeroes)) /
				   (double)total
			 : 0;

	cli_progress("  child 1: clone %3.0f%%    child 2: written %3.0f%%, verified %3.0f%%", c,
		     wanted ? 100.0 * (double)load_relaxed(&s->written) / (double)wanted : 0,
		     wanted ? 100.0 * (double)load_relaxed(&s->verified) / (double)wanted : 0);
}

/* True when child @i ended well; false while it runs; does not return when it failed. */
static bool ended(struct demo *d, int i)
{
	int status;

	if (d->child[i] == 0)
		return true;
	if (waitpid(d->child[i], &status, WNOHANG) != d->child[i])
		return false;
	d->child[i] = 0;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail(d, i ? "the second child failed" : "the first child failed");
	return true;
}

static void watch(struct demo *d)
{
	bool first, patterns;

	do {
		usleep(50000);
		show(d);
		first = ended(d, 0);
		patterns = load_acquire(&d->sh->stage) == 1;
		if (!patterns && ended(d, 1))
			fail(d, "the second child ended early");
	} while (!first || !patterns);
}

/* ---- the proof from outside ----------------------------------------------------------------- */

static void prove(struct demo *d)
{
	struct stat st;

	if (sh(d, "PATH=$PATH:/sbin:/usr/sbin e2fsck -fn clone.img"))
		fail(d, "e2fsck found errors in the clone; see log.txt");
	demo_say("  e2fsck     the clone's file system is clean");
	if (sh(d, "cmp source.img clone.img"))
		fail(d, "the clone differs from its source; see log.txt");
	if (stat(d->clone, &st) == 0)
		demo_say("  cmp        identical, %s on the host for %d MiB: zeroes became holes",
			 cli_human_bytes((double)st.st_blocks * 512), SOURCE_MB);
	if (sh(d, "rm -rf restored && mkdir restored && "
		  "PATH=$PATH:/sbin:/usr/sbin debugfs -R 'rdump / restored' clone.img && "
		  "cd restored && sha256sum --quiet -c ../files.sha256"))
		fail(d, "a file of the clone differs; see log.txt");
	demo_say("  debugfs    every file read back out of the clone");
	if (sh(d, "wc -l < files.sha256 > count.txt") == 0)
		demo_say("  sha256sum  all of them identical to the originals");
}

static void disks_next(struct demo *d)
{
	demo_say("Next: serve the clone and use it from any NBD client\n"
		 "  build/hvbus serve --socket %s/s --disk path=%s &\n"
		 "  build/hvbus attach --socket %s/s --disk 0:0 --nbd %s/nbd &\n"
		 "  qemu-img info 'nbd+unix:///?socket=%s/nbd'",
		 d->dir, d->clone, d->dir, d->dir, d->dir);
}

/* ---- the acts ----------------------------------------------------------------------------- */

static void play_disks(struct demo *d)
{
	demo_say("1. an ext4 image with real files in it (mke2fs -d), and two more disks");
	make_images(d);
	demo_say("2. the root partition serves them: 0:0 source (read-only), 0:1 a thin disk, 1:0 "
		 "scratch");
	start(d);
	demo_say("3. two processes become child partitions and find their disks over VMBus");
	d->child[0] = spawn_child(d, 0);
	d->child[1] = spawn_child(d, 1);
	watch(d);
	demo_say("  child 1    cloned %d MiB through ring, VMBus and io_uring: %s data, %s zeroes",
		 SOURCE_MB, cli_human_bytes((double)d->sh->clone.copied),
		 cli_human_bytes((double)d->sh->clone.zeroes));
	demo_say("  child 2    wrote %d MiB of patterns, flushed, read them back: every byte as "
		 "written",
		 SCRATCH_MB);
	demo_say("4. what the path costs: child 2 measures, raw io_uring on the same file in turn");
	store_release(&d->sh->go, true);
	while (!ended(d, 1))
		usleep(20000);
	if (!spawn_stop(d->root))
		cli_die(CLI_FAILED, "the root did not end well");
	d->root = 0;
	demo_say("5. the clone, seen from outside");
	prove(d);
}

/* False when it is not possible here, which is no failure of the demo's. */
static bool play_net(struct demo *d)
{
	char why[512] = "";

	if (!demo_net_possible(why, sizeof(why))) {
		demo_say("6. the network: SKIPPED: %s", why);
		return false;
	}
	demo_say("6. synthetic NICs: a root with a private switch and one with a NAT, three "
		 "guests\n   (in %s; by hand, `hvbus` is build/hvbus)",
		 d->dir);
	if (!demo_net_play(d->dir, why, sizeof(why)))
		fail(d, why);
	return true;
}

static void net_next(struct demo *d)
{
	demo_say("Next: a shell in a guest of its own, with the way out of your user\n"
		 "  build/hvbus serve --socket %s/n --switch name=net,type=nat &\n"
		 "  build/hvbus attach --socket %s/n --nic switch=net --netns new -- sh -c \\\n"
		 "    'cd %s; /usr/sbin/udhcpc -q -i eth0 -s ./lease.sh; exec bash'",
		 d->dir, d->dir, d->dir);
}

int cmd_demo(int argc, char **argv)
{
	struct demo d = { .seconds = 6 };
	int i = cli_parse(argc, argv, options, usage, examples, &d);
	uint64_t t0 = clock_ns();
	bool net = false;

	if (i < argc)
		cli_die(CLI_USAGE, "unexpected '%s'", argv[i]);
	log_set_level(LOG_WARN);
	d.sh = mmap(NULL, sizeof(*d.sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (d.sh == MAP_FAILED)
		cli_die(CLI_FAILED, "out of memory");
	make_dir(&d);
	if (d.act != ACT_NET)
		play_disks(&d);
	if (d.act != ACT_DISKS)
		net = play_net(&d);
	demo_say("\nEverything is in %s", d.dir);
	if (d.act != ACT_NET)
		disks_next(&d);
	if (net)
		net_next(&d);
	demo_say("(%.1f s)", (double)(clock_ns() - t0) / 1e9);
	return CLI_OK;
}
