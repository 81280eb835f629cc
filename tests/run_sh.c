/* SPDX-License-Identifier: MIT */
/*
 * Runs shell scripts as check tests, one each.
 *
 *   run_sh VARIANT_DIR SCRIPT...
 *
 * A script passes with status 0 and is skipped with 77 (its last line says why). It finds
 * HVBUS (the command), PLUGIN (for nbdkit) and B (the variant's folder) in its environment.
 * It has 120 seconds, or CK_DEFAULT_TIMEOUT: then it is asked to end (SIGTERM), and fails.
 * Each script runs in a process group of its own, which check kills when the test is over.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DEFAULT_LIMIT 120
#define GRACE	      10 /* seconds for a script's own clean-up */
#define TAIL_LINES    30
#define SKIPPED	      77

static char **scripts;
static int limit_s = DEFAULT_LIMIT;

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Waits for @pid at most @seconds; true when it ended, with its wait status. */
static bool ended_within(pid_t pid, int pidfd, int seconds, int *status)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	while (poll(&p, 1, seconds * 1000) < 0)
		if (errno != EINTR)
			return false;
	return (p.revents & POLLIN) && waitpid(pid, status, 0) == pid;
}

static pid_t start(const char *script, int out)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	if (dup2(open("/dev/null", O_RDONLY), 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(126);
	execl("/bin/bash", "bash", script, (char *)NULL);
	_exit(127);
}

/* The last @lines lines of @f, each behind @indent. */
static void show_tail(FILE *f, int lines, const char *indent)
{
	char *line = NULL;
	size_t room = 0;
	int total = 0;

	rewind(f);
	while (getline(&line, &room, f) > 0)
		total++;
	rewind(f);
	for (int i = 0; getline(&line, &room, f) > 0; i++)
		if (i >= total - lines)
			printf("%s%s%s", indent, line, strchr(line, '\n') ? "" : "\n");
	free(line);
}

START_TEST(script)
{
	const char *path = scripts[_i];
	char *copy = strdup(path), *name = basename(copy);
	FILE *out = tmpfile();
	double start_s = now_s();
	bool in_time;
	int status = 0, pidfd;
	pid_t pid;

	ck_assert_ptr_nonnull(out);
	pid = start(path, fileno(out));
	ck_assert_int_gt(pid, 0);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	ck_assert_int_ge(pidfd, 0);
	in_time = ended_within(pid, pidfd, limit_s, &status);
	if (!in_time) {
		signal(SIGTERM, SIG_IGN);
		kill(0, SIGTERM); /* the group: the script and all it started, and us */
		ended_within(pid, pidfd, GRACE, &status);
	}
	if (in_time && WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) {
		printf("SKIPPED %s: ", name);
		show_tail(out, 1, "");
	} else if (in_time && !status) {
		printf("ok      %s (%.1f s)\n", name, now_s() - start_s);
	} else {
		printf("FAILED  %s, the last lines of its output:\n", name);
		show_tail(out, TAIL_LINES, "        ");
	}
	fflush(stdout);
	fclose(out);
	if (!in_time)
		ck_abort_msg("%s: not done after %d s", path, limit_s);
	if (WIFSIGNALED(status))
		ck_abort_msg("%s: killed by signal %d", path, WTERMSIG(status));
	if (WEXITSTATUS(status) && WEXITSTATUS(status) != SKIPPED)
		ck_abort_msg("%s: exit status %d", path, WEXITSTATUS(status));
	free(copy);
}
END_TEST

static void export_path(const char *name, const char *dir, const char *file)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s%s", dir, file);
	setenv(name, path, 1);
}

int main(int argc, char **argv)
{
	const char *limit = getenv("CK_DEFAULT_TIMEOUT");
	char dir[PATH_MAX];
	Suite *s = suite_create("shell");
	SRunner *sr;
	int failed;

	if (argc < 3) {
		fprintf(stderr, "usage: %s VARIANT_DIR SCRIPT...\n", argv[0]);
		return 2;
	}
	if (!realpath(argv[1], dir)) {
		fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
		return 2;
	}
	export_path("B", dir, "");
	export_path("HVBUS", dir, "/hvbus");
	export_path("PLUGIN", dir, "/nbdkit-hvbus-plugin.so");
	scripts = argv + 2;
	if (limit && atoi(limit) > 0)
		limit_s = atoi(limit);

	for (int i = 0; i < argc - 2; i++) {
		TCase *tc = tcase_create(scripts[i]);

		/* Ours comes first and shows the output; check's is for the unexpected. */
		tcase_set_timeout(tc, limit_s + 2 * GRACE);
		tcase_add_loop_test(tc, script, i, i + 1);
		suite_add_tcase(s, tc);
	}
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
