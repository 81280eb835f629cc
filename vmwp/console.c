/* SPDX-License-Identifier: MIT */
/*
 * Nothing here may block, and the modes of descriptors that we share with others are not ours to
 * change: a terminal or pipe that is our standard output is opened again for ourselves.
 */
#include "vmwp/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "base/log.h"

#define ESCAPE	      0x01 /* Ctrl-A */
#define STALE_WAIT_MS 500

struct console {
	struct loop *loop;
	const struct console_ops *ops;
	void *ctx;
	struct loop_fd in, out, listener; /* .fd -1: none */
	bool in_added, out_added, own_in, own_out;
	bool is_socket; /* one client, both ways: in.fd is out.fd */
	bool terminal, escaped;
	struct termios before;
	uint8_t typed[256]; /* what did not fit yet */
	uint32_t nr_typed;
};

/* ---- output ------------------------------------------------------------------------ */

static void forget_client(struct console *c);

static ssize_t put(const struct console *c, const void *data, size_t len)
{
	if (c->is_socket)
		return send(c->out.fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	return write(c->out.fd, data, len);
}

static void has_room(struct loop_fd *lf, uint32_t events)
{
	struct console *c = container_of(lf, struct console, out);

	(void)events;
	loop_fd_del(c->loop, &c->out);
	c->out_added = false;
	c->ops->room(c->ctx);
}

/* A reader that is gone, or a full disk, does not stop the guest. */
uint32_t console_write(struct console *c, const void *data, uint32_t len)
{
	ssize_t n;

	if (c->out.fd < 0)
		return len;
	do
		n = put(c, data, len);
	while (n < 0 && errno == EINTR);
	if (n >= 0 && (uint32_t)n == len)
		return len;
	if (n < 0 && errno != EAGAIN) {
		if (c->is_socket)
			forget_client(c); /* who calls us has room: all of it is gone */
		return len;
	}
	if (!c->out_added && loop_fd_add(c->loop, &c->out, POLLOUT))
		return len;
	c->out_added = true;
	return n < 0 ? 0 : (uint32_t)n;
}

/* ---- input ----------------------------------------------------------------------------- */

static void stop_input(struct console *c)
{
	if (c->in_added)
		loop_fd_del(c->loop, &c->in);
	c->in_added = false;
}

static void start_input(struct console *c)
{
	if (c->in.fd >= 0 && !c->in_added)
		c->in_added = !loop_fd_add(c->loop, &c->in, POLLIN);
}

/* False: it was the escape's second key, and the machine ends. */
static bool unescape(struct console *c, uint8_t key, uint8_t *out, uint32_t *n)
{
	if (!c->escaped && key == ESCAPE) {
		c->escaped = true;
		return true;
	}
	if (c->escaped && (key == 'x' || key == 'X')) {
		c->ops->escape(c->ctx);
		return false;
	}
	c->escaped = false;
	out[(*n)++] = key;
	return true;
}

static void type(struct console *c, const uint8_t *data, uint32_t n)
{
	uint32_t taken = c->ops->typed(c->ctx, data, n);

	if (taken == n)
		return;
	c->nr_typed = n - taken;
	memcpy(c->typed, data + taken, c->nr_typed);
	stop_input(c);
}

static void readable(struct loop_fd *lf, uint32_t events)
{
	struct console *c = container_of(lf, struct console, in);
	uint8_t buf[sizeof(c->typed)], keys[sizeof(c->typed)];
	uint32_t n = 0;
	ssize_t got = read(c->in.fd, buf, sizeof(buf));

	(void)events;
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		if (c->is_socket) {
			forget_client(c);
			c->ops->room(c->ctx); /* what waits has nobody to wait for */
		} else {
			stop_input(c);
		}
		return;
	}
	for (ssize_t i = 0; i < got; i++) {
		if (!c->terminal)
			keys[n++] = buf[i];
		else if (!unescape(c, buf[i], keys, &n))
			return;
	}
	if (n)
		type(c, keys, n);
}

void console_hungry(struct console *c)
{
	uint8_t again[sizeof(c->typed)];
	uint32_t n = c->nr_typed;

	memcpy(again, c->typed, n);
	c->nr_typed = 0;
	if (n)
		type(c, again, n);
	if (!c->nr_typed)
		start_input(c);
}

/* ---- standard input and output ----------------------------------------------------------- */

static void raw_mode(struct console *c)
{
	struct termios raw;

	if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &c->before))
		return;
	raw = c->before;
	cfmakeraw(&raw);
	raw.c_oflag |= OPOST; /* lines of our own log stay lines */
	c->terminal = !tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
}

static int open_again(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static int open_stdio(struct console *c)
{
	struct stat st;

	if (!fstat(STDOUT_FILENO, &st) && (S_ISFIFO(st.st_mode) || isatty(STDOUT_FILENO)))
		c->out.fd = open_again(STDOUT_FILENO);
	c->own_out = c->out.fd >= 0;
	if (!c->own_out)
		c->out.fd = STDOUT_FILENO;
	c->in.fd = STDIN_FILENO;
	raw_mode(c);
	start_input(c);
	return 0;
}

/* ---- a file ---------------------------------------------------------------------------------- */

static int open_file(struct console *c, const char *path)
{
	c->out.fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY | O_CLOEXEC, 0600);
	c->own_out = c->out.fd >= 0;
	return c->own_out ? 0 : -errno;
}

/* ---- a socket -----------------------------------------------------------------------------------
 */

static void forget_client(struct console *c)
{
	stop_input(c);
	if (c->out_added)
		loop_fd_del(c->loop, &c->out);
	c->out_added = false;
	if (c->in.fd >= 0)
		close(c->in.fd);
	c->in.fd = c->out.fd = -1;
	c->nr_typed = 0;
}

static void client_came(struct loop_fd *lf, uint32_t events)
{
	struct console *c = container_of(lf, struct console, listener);
	int fd = accept4(lf->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0)
		return;
	if (c->in.fd >= 0) {
		send(fd, "somebody is at this console\r\n", 29, MSG_DONTWAIT | MSG_NOSIGNAL);
		close(fd);
		return;
	}
	c->in.fd = c->out.fd = fd;
	start_input(c);
}

/*
 * The kernel lets go of a listening socket a little after its owner's end (see listen.c): who is
 * hung up on without a word has met such a one.
 */
static bool somebody_serves(const struct sockaddr_un *sa)
{
	struct pollfd p = { .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
			    .events = POLLIN };
	bool serves = true;
	char byte;

	if (p.fd < 0)
		return true;
	if (connect(p.fd, (const struct sockaddr *)sa, sizeof(*sa)))
		serves = errno != ECONNREFUSED;
	else if (poll(&p, 1, STALE_WAIT_MS) > 0)
		serves = recv(p.fd, &byte, 1, MSG_DONTWAIT) > 0;
	close(p.fd);
	return serves;
}

/* One that nobody serves is left over. */
static int clear_stale(const struct sockaddr_un *sa)
{
	struct stat st;

	if (lstat(sa->sun_path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	if (somebody_serves(sa))
		return -EADDRINUSE;
	return unlink(sa->sun_path) ? -errno : 0;
}

static int bind_socket(struct console *c, const struct sockaddr_un *sa)
{
	mode_t old;
	int err;

	c->listener.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->listener.fd < 0)
		return -errno;
	old = umask(0177);
	err = bind(c->listener.fd, (const struct sockaddr *)sa, sizeof(*sa)) ? -errno : 0;
	umask(old);
	if (!err && listen(c->listener.fd, 4))
		err = -errno;
	if (!err)
		err = loop_fd_add(c->loop, &c->listener, POLLIN);
	if (err) {
		close(c->listener.fd);
		c->listener.fd = -1;
	}
	return err;
}

static int open_socket(struct console *c, const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int err;

	if (strlen(path) >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	strcpy(sa.sun_path, path);
	c->is_socket = c->own_in = true;
	err = clear_stale(&sa);
	return err ? err : bind_socket(c, &sa);
}

/* ---- life
 * -------------------------------------------------------------------------------------------- */

static int open_spec(struct console *c, const char *spec, char *why, size_t n)
{
	int err;

	if (!strcmp(spec, "stdio"))
		err = open_stdio(c);
	else if (!strncmp(spec, "file:", 5) && spec[5])
		err = open_file(c, spec + 5);
	else if (!strncmp(spec, "unix:", 5) && spec[5])
		err = open_socket(c, spec + 5);
	else {
		snprintf(why, n, "console %s: stdio, file:FILE or unix:SOCKET is needed", spec);
		return -EINVAL;
	}
	if (err)
		snprintf(why, n, "console %s: %s", spec, strerror(-err));
	return err;
}

int console_open(struct console **out, struct loop *loop, const char *spec,
		 const struct console_ops *ops, void *ctx, char *why, size_t n)
{
	struct console *c = calloc(1, sizeof(*c));
	int err;

	if (!c) {
		snprintf(why, n, "console: out of memory");
		return -ENOMEM;
	}
	c->loop = loop;
	c->ops = ops;
	c->ctx = ctx;
	c->in.fd = c->out.fd = c->listener.fd = -1;
	c->in.ready = readable;
	c->out.ready = has_room;
	c->listener.ready = client_came;
	err = open_spec(c, spec, why, n);
	if (err)
		console_close(c);
	else
		*out = c;
	return err;
}

void console_close(struct console *c)
{
	if (!c)
		return;
	stop_input(c);
	if (c->out_added)
		loop_fd_del(c->loop, &c->out);
	if (c->terminal)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &c->before);
	if (c->own_out)
		close(c->out.fd);
	if (c->own_in && c->in.fd >= 0)
		close(c->in.fd);
	if (c->listener.fd >= 0) {
		loop_fd_del(c->loop, &c->listener);
		close(c->listener.fd);
	}
	free(c);
}
