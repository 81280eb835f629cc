/* SPDX-License-Identifier: MIT */
/*
 * The keeper's process. It came from a fork of a program that may have had threads, so it
 * calls nothing but the kernel: no memory is allocated, nothing is logged.
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

static struct {
	int dir;
	char name[KEEPER_NAME_MAX + 1];
	char temporary[KEEPER_NAME_MAX + sizeof(SUFFIX_TEMPORARY)];
} disks[KEEPER_MAX_DISKS];

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
static int replace(uint32_t disk, const void *bytes, size_t len)
{
	const char *temporary = disks[disk].temporary, *name = disks[disk].name;
	int dir = disks[disk].dir, err;
	int fd =
		openat(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	err = write_all(fd, bytes, len);
	if (!err && fsync(fd))
		err = -errno;
	if (close(fd) && !err)
		err = -errno;
	if (!err && renameat(dir, temporary, dir, name))
		err = -errno;
	if (err)
		unlinkat(dir, temporary, 0);
	else if (fsync(dir))
		err = -errno;
	return err;
}

static void add(const struct keeper_ask *ask, int dir)
{
	if (ask->disk >= KEEPER_MAX_DISKS || ask->len > KEEPER_NAME_MAX || dir < 0)
		return;
	disks[ask->disk].dir = dir;
	memcpy(disks[ask->disk].name, ask->bytes, ask->len);
	memcpy(disks[ask->disk].temporary, ask->bytes, ask->len);
	memcpy(disks[ask->disk].temporary + ask->len, SUFFIX_TEMPORARY, sizeof(SUFFIX_TEMPORARY));
}

static int save(const struct keeper_ask *ask)
{
	if (ask->disk >= KEEPER_MAX_DISKS || !disks[ask->disk].name[0])
		return -EINVAL;
	return replace(ask->disk, ask->bytes, ask->len);
}

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
	struct cmsghdr *c;
	ssize_t n;

	do
		n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
	*dir = -1;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(dir, CMSG_DATA(c), sizeof(*dir));
	return n;
}

/* Everything but the socket: images must not stay locked, nor peers connected, because of us. */
static int become_small(int sock)
{
	static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ };
	int only = 3;

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN); /* the root decides when we end */
	prctl(PR_SET_NAME, "hvbus-keeper");
	if (sock != only && dup2(sock, only) < 0)
		_exit(1);
	close_range(only + 1, ~0u, 0);
	return only;
}

void keeper_main(int sock)
{
	static struct keeper_ask ask;
	const size_t head = offsetof(struct keeper_ask, bytes);
	int dir;
	ssize_t n;

	sock = become_small(sock);
	while ((n = receive(sock, &ask, &dir)) > 0) {
		struct keeper_answer answer = { .id = ask.id };

		if ((size_t)n < head || (size_t)n - head != ask.len)
			break;
		if (ask.what == KEEPER_ADD) {
			add(&ask, dir);
			continue;
		}
		answer.err = save(&ask);
		if (send(sock, &answer, sizeof(answer), MSG_NOSIGNAL) != sizeof(answer))
			break;
	}
	_exit(0);
}
