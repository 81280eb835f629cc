/* SPDX-License-Identifier: MIT */
/*
 * Talking to a running root as a control client.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/json.h"
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

json_t *cli_ask_json(const char *path, json_t *request, const int *fds, int nr_fds, unsigned wait_s,
		     bool print)
{
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL, *answer;
	json_error_t error;
	const char *why;
	json_t *o;

	json_decref(request);
	if (!text)
		cli_die(CLI_USAGE, "the arguments must be UTF-8");
	answer = cli_ask_root_with(path, text, fds, nr_fds, wait_s);
	free(text);
	o = json_loads(answer, 0, &error);
	if (!o)
		cli_die(CLI_FAILED, "the root's answer is not JSON: %s", error.text);
	if (print)
		printf("%s\n", answer);
	why = json_string_value(json_object_get(o, "error"));
	if (why)
		cli_die(CLI_FAILED, "%s", why);
	free(answer);
	return o;
}

char *cli_absolute(const char *path)
{
	char dir[PATH_MAX], *out;

	if (*path == '/')
		return strdup(path);
	if (!getcwd(dir, sizeof(dir)))
		cli_die(CLI_FAILED, "the working directory: %s", strerror(errno));
	return asprintf(&out, "%s/%s", dir, path) < 0 ? NULL : out;
}
