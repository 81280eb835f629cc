/* SPDX-License-Identifier: MIT */
/*
 * A root partition in a process of its own.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cli/spawn.h"

struct ready {
	int error;
	char why[256];
};

static struct root *root;

static void on_term(int sig)
{
	(void)sig;
	root_stop(root);
}

/* Confined as `hvbus serve` is: what is measured and shown is what is used. */
static void serve(const struct root_config *asked, int report)
{
	static struct root_config cfg; /* a large one */
	struct ready r = { 0 };
	struct sigaction sa = { .sa_handler = on_term };

	cfg = *asked;
	cfg.sandbox = SANDBOX_ON;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	log_set_name("hvbus root");
	log_set_level(LOG_WARN);
	r.error = root_create(&root, &cfg, r.why, sizeof(r.why));
	if (!r.error) {
		sigaction(SIGTERM, &sa, NULL);
		signal(SIGINT, SIG_IGN); /* the parent decides */
		signal(SIGPIPE, SIG_IGN);
	}
	if (write(report, &r, sizeof(r)) != sizeof(r) || r.error)
		_exit(1);
	close(report);
	r.error = root_run(root);
	root_destroy(root);
	_exit(r.error ? 1 : 0);
}

pid_t spawn_root(const struct root_config *cfg, char *why, size_t whylen)
{
	struct ready r = { 0 };
	int fd[2];
	pid_t pid;
	ssize_t n;

	if (pipe(fd))
		return -errno;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		close(fd[0]);
		serve(cfg, fd[1]);
	}
	close(fd[1]);
	if (pid < 0) {
		close(fd[0]);
		return -EAGAIN;
	}
	n = read(fd[0], &r, sizeof(r));
	close(fd[0]);
	if (n == sizeof(r) && !r.error)
		return pid;
	snprintf(why, whylen, "%s", n == sizeof(r) ? r.why : "the root ended while starting");
	waitpid(pid, NULL, 0);
	return n == sizeof(r) ? r.error : -ECHILD;
}

bool spawn_stop(pid_t pid)
{
	uint64_t until = clock_ns() + 10000000000ull;
	struct timespec nap = { .tv_nsec = 2000000 };
	int status = 0;

	kill(pid, SIGTERM);
	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (clock_ns() > until)
			kill(pid, SIGKILL);
		nanosleep(&nap, NULL);
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int spawn_tmpdir(char *path, size_t len)
{
	const char *base = getenv("TMPDIR");

	snprintf(path, len, "%s/hvbus-XXXXXX", base && *base ? base : "/tmp");
	return mkdtemp(path) ? 0 : -errno;
}

uint64_t spawn_cpu_ns(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t))
		return 0;
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
