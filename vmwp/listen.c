/* SPDX-License-Identifier: MIT */
/*
 * The root's socket. Every connection starts with a hello, which says whether it is
 * a child partition or a control client; the latter sends one request. A peer that stays
 * silent is cut off, after a while or when its place is needed.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "hv-core/proc/proc_sock.h"
#include "vmwp/control.h"
#include "vmwp/root_priv.h"

#define HELLO_DEADLINE_NS 5000000000ull /* also for reading the answer */
#define CHUNK		  32768u
#define STALE_WAIT_MS	  500

static void conn_close(struct conn *c, bool keep_fd)
{
	struct conn **at = &c->root->conns;

	loop_fd_del(c->root->loop, &c->lf);
	loop_timer_cancel(c->root->loop, &c->deadline);
	if (!keep_fd)
		close(c->lf.fd);
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->root->nr_pending--;
	if (c->wait)
		c->wait->gone(c, c->waits_for);
	free(c->out);
	free(c);
}

static void conn_late(struct loop_timer *t)
{
	struct conn *c = container_of(t, struct conn, deadline);

	if (c->wait) {
		c->wait->late(c, c->waits_for);
		return;
	}
	log_ratelimited(LOG_WARN, "a peer on the socket was silent for 5 s and was cut off");
	conn_close(c, false);
}

static bool peer_allowed(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return false;
	return cred.uid == geteuid() || cred.uid == 0;
}

/* The answer leaves in chunks; an empty packet (end of stream) ends it. */
static void conn_send(struct conn *c)
{
	while (c->out_sent < c->out_len) {
		size_t n = c->out_len - c->out_sent;
		ssize_t got = send(c->lf.fd, c->out + c->out_sent, n > CHUNK ? CHUNK : n,
				   MSG_NOSIGNAL | MSG_DONTWAIT);

		if (got < 0 && errno == EAGAIN) {
			loop_fd_mod(c->root->loop, &c->lf, POLLOUT);
			return;
		}
		if (got <= 0)
			break;
		c->out_sent += (size_t)got;
	}
	conn_close(c, false);
}

void conn_answer(struct conn *c, json_t *answer)
{
	c->wait = NULL;
	c->out = answer ? json_dumps(answer, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
	json_decref(answer);
	if (!c->out) {
		conn_close(c, false);
		return;
	}
	c->out_len = strlen(c->out);
	loop_timer_arm(c->root->loop, &c->deadline, HELLO_DEADLINE_NS);
	conn_send(c);
}

void conn_wait(struct conn *c, const struct conn_wait *w, void *what, uint64_t limit_ns)
{
	c->wait = w;
	c->waits_for = what;
	loop_timer_arm(c->root->loop, &c->deadline, limit_ns);
}

static void on_request(struct conn *c)
{
	char text[CONTROL_MAX_REQUEST];
	int fd[PROC_MAX_FDS], nfds;
	ssize_t n = proc_sock_recv(c->lf.fd, text, sizeof(text), fd, &nfds);

	if (n == -EAGAIN)
		return;
	c->asked = true;
	if (n > 0 && nfds >= 0)
		control_request(c, text, (size_t)n, fd);
	else if (n == -EMSGSIZE)
		conn_answer(c, control_error(-EMSGSIZE, "a request has at most %u bytes",
					     CONTROL_MAX_REQUEST));
	else if (n > 0)
		conn_answer(c, control_error(-ETOOMANYREFS,
					     "a request has at most %u descriptors, and the root "
					     "must have room for them",
					     PROC_MAX_FDS));
	else
		conn_close(c, false);
}

static void on_hello(struct conn *c, const uint8_t *buf, size_t len)
{
	struct root *r = c->root;
	const struct hv_proc_hello *h = (const void *)buf;
	int fd = c->lf.fd;
	char why[104];

	if (len < sizeof(*h) || h->magic != HV_PROC_MAGIC || h->version != HV_PROC_VERSION) {
		log_ratelimited(LOG_WARN,
				"a peer on the socket does not speak this protocol: cut off");
		root_note_fault(r, 0, "(unknown)", "not an hvbus hello");
		conn_close(c, false);
		return;
	}
	if (h->role == HV_PROC_CONTROL) {
		c->control = true;
		return;
	}
	conn_close(c, true);
	if (r->nr_guests >= r->cfg.max_partitions) {
		log_ratelimited(LOG_WARN, "a child was refused: %u partitions are the limit",
				r->cfg.max_partitions);
		hv_proc_refuse(fd, -EUSERS,
			       "the root serves as many partitions as it may (--max-partitions)");
		return;
	}
	if (guest_accept(r, fd, buf, len, why, sizeof(why))) {
		log_ratelimited(LOG_WARN, "a child was refused: %s", why);
		root_note_fault(r, 0, "(refused)", why);
	}
}

static void conn_ready(struct loop_fd *lf, uint32_t events)
{
	struct conn *c = container_of(lf, struct conn, lf);
	/* One more than a hello can have, so that what is too long stays so. */
	_Alignas(8) uint8_t buf[sizeof(struct hv_proc_hello) + HV_PROC_WISHES + 1];
	ssize_t n;

	(void)events;
	if (c->out) {
		conn_send(c);
		return;
	}
	if (c->control && !c->asked) {
		on_request(c);
		return;
	}
	/* No room for control data: fds that a peer sends are dropped by the kernel. */
	n = recv(lf->fd, buf, sizeof(buf), MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0 || c->asked) /* gone, or a second request */
		conn_close(c, false);
	else
		on_hello(c, buf, (size_t)n);
}

/* The one that has been silent for longest; who waits for an answer is left alone. */
static struct conn *oldest_silent(const struct root *r)
{
	struct conn *found = NULL;

	for (struct conn *c = r->conns; c; c = c->next) { /* the newest is first */
		if (!c->asked)
			found = c;
	}
	return found;
}

/* However many connect and say nothing: who does say something finds a place. */
static bool make_room(struct root *r)
{
	struct conn *c;

	if (r->nr_pending < ROOT_MAX_PENDING)
		return true;
	c = oldest_silent(r);
	log_ratelimited(LOG_WARN, "%u peers on the socket wait: %s", r->nr_pending,
			c ? "the oldest silent one was cut off" : "another was turned away");
	if (c)
		conn_close(c, false);
	return c != NULL;
}

static void add_conn(struct root *r, int fd)
{
	struct conn *c;

	if (!peer_allowed(fd)) {
		log_ratelimited(LOG_WARN, "a peer of another user was refused");
		close(fd);
		return;
	}
	c = make_room(r) ? calloc(1, sizeof(*c)) : NULL;
	if (!c) {
		close(fd);
		return;
	}
	c->root = r;
	c->lf.fd = fd;
	c->lf.ready = conn_ready;
	c->deadline.fire = conn_late;
	if (loop_fd_add(r->loop, &c->lf, POLLIN)) {
		close(fd);
		free(c);
		return;
	}
	c->next = r->conns;
	r->conns = c;
	r->nr_pending++;
	loop_timer_arm(r->loop, &c->deadline, HELLO_DEADLINE_NS);
}

static void on_connect(struct loop_fd *lf, uint32_t events)
{
	struct root *r = container_of(lf, struct root, listener);
	int i, fd;

	(void)events;
	for (i = 0; i < 16; i++) {
		fd = accept4(lf->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0) {
			if (errno != EAGAIN)
				log_ratelimited(LOG_ERROR, "accept: %s", strerror(errno));
			return;
		}
		add_conn(r, fd);
	}
}

/*
 * Whether somebody serves the socket at @sa. The kernel lets go of a killed root's listening
 * socket a little after its death (io_uring still refers to it): a connection to it then
 * succeeds and is hung up soon, one to a living root stays.
 */
static bool somebody_serves(const struct sockaddr_un *sa)
{
	struct pollfd p = { .fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0) };
	bool serves = true;

	if (p.fd < 0)
		return true;
	if (connect(p.fd, (const struct sockaddr *)sa, sizeof(*sa)))
		serves = errno != ECONNREFUSED;
	else if (poll(&p, 1, STALE_WAIT_MS) > 0)
		serves = false;
	close(p.fd);
	return serves;
}

/* A socket file nobody listens on is left over from a root that was killed. */
static int clear_stale(const char *path, const struct sockaddr_un *sa, char *why, size_t n)
{
	struct stat st;

	if (lstat(path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode)) {
		snprintf(why, n, "%s exists and is not a socket; choose another --socket", path);
		return -EEXIST;
	}
	if (somebody_serves(sa)) {
		snprintf(why, n,
			 "%s is in use by another root; choose another --socket or stop that one",
			 path);
		return -EADDRINUSE;
	}
	return unlink(path) && errno != ENOENT ? -errno : 0;
}

static int bind_private(int fd, const struct sockaddr_un *sa)
{
	mode_t old = umask(0177);
	int err = bind(fd, (const struct sockaddr *)sa, sizeof(*sa)) ? -errno : 0;

	umask(old);
	return err;
}

int listen_start(struct root *r, char *why, size_t n)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(r->socket) >= sizeof(sa.sun_path)) {
		snprintf(why, n, "%s: a socket path has at most %zu characters", r->socket,
			 sizeof(sa.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	strcpy(sa.sun_path, r->socket);
	*why = '\0';
	err = clear_stale(r->socket, &sa, why, n);
	if (err)
		goto out;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		err = -errno;
		goto out;
	}
	err = bind_private(fd, &sa);
	if (!err && listen(fd, 128))
		err = -errno;
	if (err) {
		close(fd);
		goto out;
	}
	r->listener.fd = fd;
	r->listener.ready = on_connect;
	err = loop_fd_add(r->loop, &r->listener, POLLIN);
	r->listening = true;
out:
	if (err && !*why)
		snprintf(why, n, "%s: %s", r->socket, strerror(-err));
	return err;
}

void listen_stop(struct root *r)
{
	while (r->conns)
		conn_close(r->conns, false);
	if (!r->listening)
		return;
	loop_fd_del(r->loop, &r->listener);
	/* The name goes first: behind a name that nobody serves another root puts its own. */
	if (r->cfg.sandbox == SANDBOX_OFF)
		unlink(r->socket);
	sweeper_end(&r->sweeper, true);
	close(r->listener.fd);
	r->listening = false;
}
