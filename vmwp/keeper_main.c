/* SPDX-License-Identifier: MIT */
/*
 * The keeper's processes: one that the root talks to, and one for each disk, which it starts.
 * Only the latter touch files, each those of one folder; a rule about folders can only be made
 * by a process for itself and never be widened, so that a disk that comes later needs another.
 *
 *   root --- keeper --- keeper of disk 0 (its folder)
 *                  \--- keeper of disk 1
 *
 * Everyone holds the root's socket open, so its end is the end of all; nobody outlives who
 * started it. They came from a fork: no lock that somebody else may have held is taken.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmwp/keeper.h"
#include "vmwp/keeper_wire.h"

#define SUFFIX_TEMPORARY "~"

/* Descriptors, always the same. */
enum { FD_ROOT = 3, FD_ORDERS, FD_FOLDER, FD_END, FD_ASIDE = 200 };

static enum sandbox_mode sandbox;
static int orders[KEEPER_MAX_DISKS]; /* of each disk's process: our end; 0 = there is none */

/* ---- packets ---------------------------------------------------------------------------- */

/* One packet, with the folder that may come along in *@dir. Its length, 0 at the end. */
static ssize_t receive(int sock, struct keeper_ask *ask, int *dir)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { ask, sizeof(*ask) };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control) };
	const size_t head = offsetof(struct keeper_ask, bytes);
	struct cmsghdr *c;
	ssize_t n;

	do
		n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
	*dir = -1;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(dir, CMSG_DATA(c), sizeof(*dir));
	return n > 0 && ((size_t)n < head || (size_t)n - head != ask->len) ? 0 : n;
}

static bool answer(int sock, uint64_t id, int err)
{
	struct keeper_answer a = { .id = id, .err = err };

	return send(sock, &a, sizeof(a), MSG_NOSIGNAL) == sizeof(a);
}

/* ---- the process of one disk ----------------------------------------------------------------- */

static char name[KEEPER_NAME_MAX + 1];
static char temporary[KEEPER_NAME_MAX + sizeof(SUFFIX_TEMPORARY)];

static int write_all(int fd, const uint8_t *p, size_t len)
{
	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* At any moment the name is that of the old bytes or of the new ones, whole. */
static int replace(const void *bytes, size_t len)
{
	int fd = openat(FD_FOLDER, temporary, SANDBOX_KEPT_OPEN, 0600), err;

	if (fd < 0)
		return -errno;
	err = write_all(fd, bytes, len);
	if (!err && fsync(fd))
		err = -errno;
	if (close(fd) && !err)
		err = -errno;
	if (!err && renameat(FD_FOLDER, temporary, FD_FOLDER, name))
		err = -errno;
	if (err)
		unlinkat(FD_FOLDER, temporary, 0);
	else if (fsync(FD_FOLDER))
		err = -errno;
	return err;
}

static void confine(const struct sandbox_config *cfg)
{
	struct sandbox_state st;
	char why[256];

	if (sandbox_enter(cfg, &st, why, sizeof(why)) || sandbox_seal(cfg, &st, why, sizeof(why)))
		_exit(1); /* saves fail then, and the guest is told */
}

static _Noreturn void keep_one(void)
{
	const struct sandbox_config cfg = { .mode = sandbox,
					    .job = SANDBOX_JOB_KEPT,
					    .layers = SANDBOX_FILES | SANDBOX_CALLS,
					    .kept_dir = FD_FOLDER };
	static struct keeper_ask ask;
	int none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	confine(&cfg);
	while (receive(FD_ORDERS, &ask, &none) > 0)
		if (!answer(FD_ORDERS, ask.id, replace(ask.bytes, ask.len)))
			break;
	_exit(0);
}

/* ---- the one that the root talks to -------------------------------------------------------- */

/* The others' ends must not be held open here. */
static void take_places(int pair, int dir)
{
	int aside = fcntl(pair, F_DUPFD, FD_ASIDE), folder = fcntl(dir, F_DUPFD, FD_ASIDE);

	if (aside < 0 || folder < 0 || dup2(aside, FD_ORDERS) < 0 || dup2(folder, FD_FOLDER) < 0)
		_exit(1);
	close_range(FD_END, ~0u, 0);
}

static void start_one(const struct keeper_ask *ask, int dir)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return;
	pid = fork();
	if (!pid) {
		memcpy(name, ask->bytes, ask->len);
		memcpy(temporary, ask->bytes, ask->len);
		memcpy(temporary + ask->len, SUFFIX_TEMPORARY, sizeof(SUFFIX_TEMPORARY));
		take_places(pair[1], dir);
		keep_one();
	}
	close(pair[1]);
	if (pid < 0)
		close(pair[0]);
	else
		orders[ask->disk] = pair[0];
}

static void drop(uint32_t disk)
{
	if (orders[disk])
		close(orders[disk]);
	orders[disk] = 0;
}

static int forward(const struct keeper_ask *ask)
{
	size_t len = offsetof(struct keeper_ask, bytes) + ask->len;
	struct keeper_answer a;
	int sock = orders[ask->disk];
	ssize_t n;

	if (!sock || send(sock, ask, len, MSG_NOSIGNAL) != (ssize_t)len)
		return -EIO;
	do
		n = recv(sock, &a, sizeof(a), 0);
	while (n < 0 && errno == EINTR);
	return n == sizeof(a) ? a.err : -EIO;
}

/* False: there is nobody to talk to any more. */
static bool obey(const struct keeper_ask *ask, int dir)
{
	if (ask->disk >= KEEPER_MAX_DISKS)
		return ask->what != KEEPER_SAVE || answer(FD_ROOT, ask->id, -EINVAL);
	switch (ask->what) {
	case KEEPER_ADD:
		drop(ask->disk);
		if (ask->len && ask->len <= KEEPER_NAME_MAX && dir >= 0)
			start_one(ask, dir);
		return true;
	case KEEPER_DROP:
		drop(ask->disk);
		return true;
	default:
		return answer(FD_ROOT, ask->id, forward(ask));
	}
}

/* Everything but the socket: images must not stay locked, nor peers connected, because of us. */
static void become_small(int sock)
{
	static const int ignored[] = { SIGINT,	SIGTERM, SIGHUP,
				       SIGPIPE, SIGXFSZ, SIGCHLD /* no zombies */ };

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN); /* the root decides when we end */
	prctl(PR_SET_NAME, "hvbus-keeper");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (sock != FD_ROOT && dup2(sock, FD_ROOT) < 0)
		_exit(1);
	close_range(FD_ROOT + 1, ~0u, 0);
}

void keeper_main(int sock, enum sandbox_mode mode)
{
	const struct sandbox_config cfg = { .mode = mode,
					    .job = SANDBOX_JOB_KEEPER,
					    .layers = SANDBOX_PRIVILEGES | SANDBOX_LIMITS |
						      SANDBOX_CALLS };
	static struct keeper_ask ask;
	int dir;

	sandbox = mode;
	become_small(sock);
	confine(&cfg);
	while (receive(FD_ROOT, &ask, &dir) > 0) {
		bool go_on = obey(&ask, dir);

		if (dir >= 0)
			close(dir);
		if (!go_on)
			break;
	}
	_exit(0);
}
