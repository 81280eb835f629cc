/* SPDX-License-Identifier: MIT */
/*
 * Talking to a running root as a control client.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/cli.h"
#include "hv-core/proc/proc_sock.h"
#include "hv-core/proc/proc_wire.h"

static int connect_root(const char *path, time_t wait_s)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = wait_s };
	int fd;

	if (strlen(path) >= sizeof(sa.sun_path))
		cli_die(CLI_FAILED, "%s: too long for a socket path", path);
	strcpy(sa.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		cli_die(CLI_FAILED, "socket: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa))) {
		switch (errno) {
		case ENOENT:
		case ECONNREFUSED:
			cli_die(CLI_FAILED,
				"%s: no root is serving there; start one with `hvbus serve "
				"--socket %s ...`",
				path, path);
		case EACCES:
			cli_die(CLI_FAILED,
				"%s: permission denied; the root serves its own user only", path);
		default:
			cli_die(CLI_FAILED, "%s: %s", path, strerror(errno));
		}
	}
	return fd;
}

static char *receive_all(int fd, const char *path)
{
	size_t len = 0, room = 65536;
	char *buf = malloc(room + 1);
	ssize_t n;

	while (buf) {
		n = recv(fd, buf + len, room - len, 0);
		if (n < 0)
			cli_die(CLI_FAILED, "%s: no answer: %s", path,
				errno == EAGAIN ? "the root is busy or stuck" : strerror(errno));
		if (n == 0)
			break;
		len += (size_t)n;
		if (room - len < 65536)
			buf = realloc(buf, (room *= 2) + 1);
	}
	if (!buf || !len)
		cli_die(CLI_FAILED, "%s: the root closed the connection without an answer", path);
	buf[len] = '\0';
	return buf;
}

char *cli_ask_root_with(const char *path, const char *request, const int *fds, int nr_fds,
			unsigned wait_s)
{
	struct hv_proc_hello hello = {
		.magic = HV_PROC_MAGIC,
		.version = HV_PROC_VERSION,
		.role = HV_PROC_CONTROL,
	};
	int fd = connect_root(path, wait_s), err;
	char *answer;

	err = proc_sock_send(fd, &hello, sizeof(hello), NULL, 0, 0);
	if (!err)
		err = proc_sock_send(fd, request, strlen(request), fds, nr_fds, 0);
	if (err)
		cli_die(CLI_FAILED, "%s: %s", path, strerror(-err));
	answer = receive_all(fd, path);
	close(fd);
	return answer;
}

char *cli_ask_root(const char *path, const char *verb)
{
	char request[64];

	snprintf(request, sizeof(request), "{\"do\": \"%s\"}", verb);
	return cli_ask_root_with(path, request, NULL, 0, 5);
}
