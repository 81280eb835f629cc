/* SPDX-License-Identifier: MIT */
/*
 * The soak: verified load of several guests, one of them through NBD; disks that come, grow and
 * go; neighbours without manners; and kill -9 of any of them at random. Afterwards the root has
 * as much memory, descriptors, mappings and threads as it had after the warm-up, and every
 * block is what was last acknowledged or newer.
 *
 *   SOAK_SECONDS=N   how long (make soak: 20 minutes; in make check: 15 s)
 *   SOAK_SEED=N      the random numbers of a run before; which process gets on how fast is
 *                    the machine's affair all the same
 */
#include <dirent.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "tests/soak/soak.h"

#define SECOND	   1000000000ull
#define SHORT	   15 /* seconds, when nobody asks for more */
#define WARM_PART  6  /* of the time is warm-up .. */
#define WARM_MOST  60 /* .. but no more seconds than that */
#define SHOW_NS	   (5 * SECOND)
#define END_NS	   (20 * SECOND * SLOWER)
#define KILL_US	   150000 /* between two kills, in the mean */
#define CANARY_OPS 300	  /* pairs: it has been everywhere on its disk */

struct soak *soak;

#if defined(__SANITIZE_ADDRESS__)
/* What is freed is kept for a while; it shall be full before we look at the root's memory. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=16:thread_local_quarantine_size_kb=64";
}
#endif

/* ---- players ------------------------------------------------------------------------ */

static struct player {
	const char *name;
	int (*play)(uint32_t slice, uint64_t seed);
	uint32_t slice;
	bool ends_itself;  /* when asked to stop; is never killed */
	const char *guest; /* the partition's name, when it is of a process of its own */
	pid_t pid;	   /* 0: not there .. */
	pid_t last;	   /* .. and who it was */
} players[] = {
	{ "guest 0", soak_play_disk, .slice = 0 },
	{ "guest 1", soak_play_disk, .slice = 1 },
	{ "guest 2", soak_play_disk, .slice = 2 },
	{ "guest 3", soak_play_disk, .slice = 3 },
	{ "attach", soak_become_attach, .guest = "nbdkit" },
	{ "nbd client", soak_play_nbd, .slice = 4 },
	{ "evil guest 0", soak_play_evil, .slice = 0 },
	{ "evil guest 1", soak_play_evil, .slice = 0 },
	{ "plug reader", soak_play_plug_reader, .slice = 0 },
	{ "plugs", soak_play_plugs, .ends_itself = true },
};

static uint64_t seed, kills;

static pid_t start(int (*play)(uint32_t slice, uint64_t seed), uint32_t slice)
{
	uint64_t its = soak_random(&seed);
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	_exit(play(slice, its));
}

/* What the servers said last; to be freed. */
static char *attach_said(void)
{
	char path[96], *text = calloc(1, 1001);
	FILE *f;

	soak_attach_log(path, sizeof(path));
	f = fopen(path, "r");
	if (!f)
		return text;
	if (fseek(f, -1000, SEEK_END))
		rewind(f);
	text[fread(text, 1, 1000, f)] = 0;
	fclose(f);
	return text;
}

static void reap(struct player *p, bool wait)
{
	int status;

	if (!p->pid || waitpid(p->pid, &status, wait ? 0 : WNOHANG) != p->pid)
		return;
	ck_assert_msg(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : !WEXITSTATUS(status),
		      "%s ended with %x; the NBD servers said: %s", p->name, (unsigned int)status,
		      attach_said());
	p->last = p->pid;
	p->pid = 0;
}

static bool is_player(pid_t pid)
{
	for (size_t i = 0; i < ARRAY_SIZE(players); i++)
		if (players[i].pid == pid)
			return true;
	return false;
}

/* Servers whose parent was killed become our children; not every init process takes them. */
static void bury_strangers(void)
{
	siginfo_t who = { 0 };

	while (!waitid(P_ALL, 0, &who, WEXITED | WNOHANG | WNOWAIT) && who.si_pid &&
	       !is_player(who.si_pid))
		waitpid(who.si_pid, NULL, 0);
}

/*
 * Requests of a guest that was killed may still be on their way to the disk for a while, and
 * would overwrite what its successor writes.
 */
static bool is_known(const json_t *root, const struct player *p)
{
	const json_t *all = json_object_get(root, "partitions"), *g;
	size_t i;

	json_array_foreach(all, i, g)
	{
		const char *name = json_string_value(json_object_get(g, "name"));

		if (json_integer_value(json_object_get(g, "pid")) == p->last ||
		    (p->guest && name && !strcmp(name, p->guest)))
			return true;
	}
	return false;
}

static json_t *inspect(void)
{
	char *text = hostile_inspect();
	json_t *root = json_loads(text, 0, NULL);

	ck_assert_msg(root != NULL, "inspect said %.800s", text);
	free(text);
	return root;
}

static void start_the_missing(void)
{
	json_t *root = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(players); i++) {
		struct player *p = &players[i];

		reap(p, false);
		if (p->pid)
			continue;
		root = root ? root : inspect();
		if (!is_known(root, p))
			p->pid = start(p->play, p->slice);
		ck_assert_int_ge(p->pid, 0);
	}
	json_decref(root);
}

static void kill_one(struct player *p)
{
	if (!p->pid || p->ends_itself)
		return;
	kill(p->pid, SIGKILL);
	reap(p, true);
	kills++;
}

/* ---- what it has come to ---------------------------------------------------------------- */

static uint64_t requests(void)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < SOAK_SLICES; i++)
		n += load_relaxed(&soak->slice[i].requests);
	return n;
}

static void show(const char *what, uint64_t ns)
{
	char usage[128];

	hostile_usage(usage, sizeof(usage));
	fprintf(stderr,
		"soak: %s, %llu s: %llu requests verified, %llu kills, %llu evil lives, %llu disks "
		"came and went, %llu NBD servers; root: %s\n",
		what, (unsigned long long)(ns / SECOND), (unsigned long long)requests(),
		(unsigned long long)kills, (unsigned long long)load_relaxed(&soak->evil_lives),
		(unsigned long long)load_relaxed(&soak->plugs),
		(unsigned long long)load_relaxed(&soak->attaches), usage);
}

/* ---- phases --------------------------------------------------------------------------------- */

static void play(const char *what, uint64_t ns)
{
	uint64_t begin = clock_ns(), now = begin, shown = begin, next_kill = begin;

	store_release(&soak->stop, 0);
	while (now - begin < ns) {
		start_the_missing();
		bury_strangers();
		if (now >= next_kill) {
			kill_one(&players[soak_random(&seed) % ARRAY_SIZE(players)]);
			next_kill = now + 1000 * (soak_random(&seed) % (2 * KILL_US));
		}
		if (now - shown >= SHOW_NS) {
			show(what, now - begin);
			shown = now;
		}
		usleep(5000);
		now = clock_ns();
	}
	show(what, now - begin);
}

/* Only the canary, and the disks that were there in the beginning. */
static bool is_quiet(void)
{
	json_t *root = inspect();
	bool quiet = json_array_size(json_object_get(root, "partitions")) == 1 &&
		     json_array_size(json_object_get(root, "disks")) == HOSTILE_LUNS;

	json_decref(root);
	return quiet;
}

static void wait_until_quiet(void)
{
	uint64_t limit = clock_ns() + END_NS;

	while (!is_quiet()) {
		if (clock_ns() > limit)
			ck_abort_msg("the root keeps guests or disks that are gone: %.3000s",
				     hostile_inspect());
		usleep(20000);
	}
}

static void paint(bool first)
{
	pid_t pid = start(soak_paint, first);
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(!status, "the disks cannot be %s", first ? "written" : "read");
	wait_until_quiet();
}

/* Everybody goes, the disks are looked at as a whole. */
static void quiesce(void)
{
	store_release(&soak->stop, 1);
	for (size_t i = 0; i < ARRAY_SIZE(players); i++) {
		if (players[i].pid && !players[i].ends_itself)
			kill(players[i].pid, SIGKILL);
		reap(&players[i], true);
	}
	wait_until_quiet();
	paint(false);
}

static void check_everybody_played(const struct soak *was)
{
	for (uint32_t i = 0; i < SOAK_SLICES; i++)
		ck_assert_msg(soak->slice[i].requests > was->slice[i].requests,
			      "nothing was done on slice %u", i);
	ck_assert_uint_gt(soak->evil_lives, was->evil_lives);
	ck_assert_uint_gt(soak->plugs, was->plugs);
	ck_assert_uint_gt(soak->attaches, 0);
	ck_assert_uint_gt(soak->plug_reads, was->plug_reads);
	ck_assert_uint_gt(kills, 0);
}

static uint64_t seconds;

static void make_room(void)
{
	const char *end = strrchr(hostile_path(), '/');

	soak = mmap(NULL, sizeof(*soak), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(soak, MAP_FAILED);
	snprintf(soak->dir, sizeof(soak->dir), "%.*s", (int)(end - hostile_path()), hostile_path());
}

static void clear_room(void)
{
	char path[96];

	soak_nbd_path(path, sizeof(path));
	unlink(path);
	soak_attach_log(path, sizeof(path));
	unlink(path);
	munmap(soak, sizeof(*soak));
}

START_TEST(soak_root_as_it_was)
{
	uint64_t warm = seconds / WARM_PART < WARM_MOST ? seconds / WARM_PART : WARM_MOST;
	struct soak *was = malloc(sizeof(*was));

	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	make_room();
	paint(true);
	play("warm-up", (warm + 1) * SECOND);
	quiesce();
	for (int i = 0; i < CANARY_OPS; i++)
		hostile_canary_moves();
	hostile_mark();
	show("marked", 0);
	*was = *soak;
	play("running", (seconds - warm) * SECOND);
	quiesce();
	hostile_settled();
	check_everybody_played(was);
	show("the root is as it was", seconds * SECOND);
	free(was);
	clear_room();
}
END_TEST

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	char *end;
	uint64_t n;

	if (!text)
		return otherwise;
	n = strtoull(text, &end, 10);
	if (*text && !*end && n && n < INT_MAX / 2)
		return n;
	fprintf(stderr, "%s=%s: a number is needed, from 1\n", name, text);
	exit(EXIT_FAILURE);
}

int main(void)
{
	Suite *s = suite_create("soak");
	TCase *tc = tcase_create("one root");
	SRunner *r;
	int failed;

	seconds = number("SOAK_SECONDS", SHORT);
	seed = number("SOAK_SEED", 1 + clock_ns() % 1000000000);
	fprintf(stderr, "soak: %llu s, SOAK_SEED=%llu\n", (unsigned long long)seconds,
		(unsigned long long)seed);
	log_set_level(LOG_ERROR);
	hostile_log_level = LOG_WARN; /* hundreds of guests a second come and go */
	signal(SIGPIPE, SIG_IGN);
	tcase_add_unchecked_fixture(tc, hostile_start, hostile_stop);
	tcase_set_timeout(tc, (double)seconds + 200);
	tcase_add_test(tc, soak_root_as_it_was);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
