/* SPDX-License-Identifier: MIT */
/*
 * The process is forked from a root that has nothing open yet and one thread.
 */
#include "vmwp/sweeper.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

/*
 * The process. Signals that are meant for the root (Ctrl-C goes to both) do not end it: the end
 * of the root does, which closes the other end of @order.
 */
static void sweep_on_order(int order, int dir, const char *name, enum sandbox_mode mode)
{
	struct sandbox_config cfg = { .mode = mode, .removable_dir = dir };
	struct sandbox_state st;
	char why[256] = "", byte = 0;
	ssize_t got;

	prctl(PR_SET_NAME, "hvbus-sweeper");
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (sandbox_enter(&cfg, &st, why, sizeof(why)) || sandbox_seal(&cfg, &st, why, sizeof(why)))
		_exit(1);
	do {
		got = read(order, &byte, 1);
	} while (got < 0 && errno == EINTR);
	if (got == 1)
		unlinkat(dir, name, 0);
	_exit(0);
}

/* Keeps nothing of ours open that it has no use for; standard error stays for a sanitizer. */
static void become_sweeper(int order, int dir, const char *name, enum sandbox_mode mode)
{
	order = fcntl(order, F_DUPFD, 3); /* away from where they are to be */
	dir = fcntl(dir, F_DUPFD, 3);
	dup2(order, 0);
	dup2(dir, 1);
	close_range(3, ~0u, 0);
	sweep_on_order(0, 1, name, mode);
}

static int start(struct sweeper *s, int dir, const char *name, enum sandbox_mode mode)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -errno;
	pid = fork();
	if (pid == 0)
		become_sweeper(pair[1], dir, name, mode);
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return -EAGAIN;
	}
	s->order = pair[0];
	return 0;
}

int sweeper_start(struct sweeper *s, const char *path, enum sandbox_mode mode, char *why, size_t n)
{
	char folder[PATH_MAX], name[PATH_MAX];
	int dir, err;

	s->order = -1;
	if (mode == SANDBOX_OFF)
		return 0;
	snprintf(folder, sizeof(folder), "%s", path);
	snprintf(name, sizeof(name), "%s", path);
	dir = open(dirname(folder), O_PATH | O_DIRECTORY | O_CLOEXEC);
	err = dir < 0 ? -errno : start(s, dir, basename(name), mode);
	if (dir >= 0)
		close(dir);
	if (err)
		snprintf(why, n, "%s: %s", path, strerror(-err));
	return err;
}

/* The end of its process is the end of the stream. */
void sweeper_end(struct sweeper *s, bool sweep)
{
	char byte = 0;

	if (s->order < 0)
		return;
	if (!sweep)
		shutdown(s->order, SHUT_WR);
	else if (send(s->order, &byte, 1, MSG_NOSIGNAL) != 1)
		log_warn("the socket's name stays behind: who was to remove it is gone");
	while (read(s->order, &byte, 1) < 0 && errno == EINTR)
		;
	close(s->order);
	s->order = -1;
}
