/* SPDX-License-Identifier: MIT */
/* The root's side of nat.h: orders, reports, and the ports. */
#include "vmwp/nat.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "vmwp/nat_wire.h"

struct nat {
	struct nat_host *host;
	uint64_t id;
	struct port_sock *sock;
	struct nat_stats n;
};

struct nat_host {
	struct loop *loop;
	struct loop_fd lf;
	pid_t pid;
	bool gone; /* the process: no NAT can be started any more */
	uint64_t last_id;
	struct nat *nat[NAT_MAX];
};

/* ---- reports -------------------------------------------------------------------------------- */

static struct nat *find(const struct nat_host *h, uint64_t id)
{
	for (uint32_t i = 0; i < NAT_MAX; i++)
		if (h->nat[i] && h->nat[i]->id == id)
			return h->nat[i];
	return NULL;
}

static void began(struct nat *t, int pid, int fd)
{
	int err = port_sock_attach(t->sock, fd);

	t->n.pid = pid;
	t->n.running = !err;
	t->n.started++;
	if (err)
		log_warn("nat of switch %s: its socket cannot be watched: %s",
			 vsw_name(vsw_port_switch(nat_port(t))), strerror(-err));
}

static void ended(struct nat *t, int status)
{
	t->n.running = false;
	t->n.pid = 0;
	t->n.ended = status;
	log_ratelimited(LOG_WARN, "nat of switch %s: its process ended (%s %d); another is started",
			vsw_name(vsw_port_switch(nat_port(t))),
			WIFSIGNALED(status) ? "signal" : "status",
			WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

/* One packet, with the descriptor that may come along in *@fd. */
static ssize_t receive(int sock, struct nat_report *r, int *fd)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { r, sizeof(*r) };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(sock, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;

	*fd = -1;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	return n;
}

static void process_gone(struct nat_host *h)
{
	loop_fd_del(h->loop, &h->lf);
	h->gone = true;
	for (uint32_t i = 0; i < NAT_MAX; i++) {
		if (!h->nat[i])
			continue;
		h->nat[i]->n.running = false; /* they end with it */
		h->nat[i]->n.pid = 0;
	}
	log_error("the process that starts NATs is gone: NATs end, and none can be started");
}

static void on_report(struct loop_fd *lf, uint32_t events)
{
	struct nat_host *h = container_of(lf, struct nat_host, lf);
	struct nat_report r;
	struct nat *t;
	int fd;
	ssize_t n = receive(lf->fd, &r, &fd);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != sizeof(r)) {
		process_gone(h);
		return;
	}
	t = find(h, r.id); /* NULL: destroyed meanwhile */
	if (t && r.what == NAT_BEGAN && fd >= 0) {
		began(t, r.pid, fd);
		return;
	}
	if (fd >= 0)
		close(fd);
	if (t && r.what == NAT_ENDED)
		ended(t, r.status);
}

/* ---- the process that starts the others ----------------------------------------------------- */

static int start_process(struct nat_host *h, enum sandbox_mode mode)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	h->pid = fork();
	if (!h->pid)
		nat_main(pair[1], mode);
	close(pair[1]);
	h->lf.fd = pair[0];
	return h->pid < 0 ? -errno : 0;
}

int nat_host_create(struct nat_host **out, struct loop *loop, enum sandbox_mode mode)
{
	struct nat_host *h = calloc(1, sizeof(*h));
	int err;

	if (!h)
		return -ENOMEM;
	h->loop = loop;
	h->lf.fd = -1;
	h->lf.ready = on_report;
	err = start_process(h, mode);
	if (!err)
		err = loop_fd_add(loop, &h->lf, POLLIN);
	if (err) {
		h->gone = true;
		nat_host_destroy(h);
		return err;
	}
	*out = h;
	return 0;
}

/* By its end of the socket: a root that is locked up may not wait for processes. */
static void wait_for_end(int sock)
{
	struct nat_report r;
	ssize_t n;
	int fd;

	shutdown(sock, SHUT_WR);
	do {
		struct pollfd p = { sock, POLLIN, 0 };

		poll(&p, 1, -1);
		n = receive(sock, &r, &fd);
		if (fd >= 0)
			close(fd);
	} while (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)));
	close(sock);
}

void nat_host_destroy(struct nat_host *h)
{
	if (!h)
		return;
	if (!h->gone)
		loop_fd_del(h->loop, &h->lf);
	if (h->lf.fd >= 0)
		wait_for_end(h->lf.fd);
	free(h);
}

int nat_host_pid(const struct nat_host *h)
{
	return h->pid;
}

/* ---- one NAT -----------------------------------------------------------------------------------
 */

static int order(const struct nat *t, uint32_t what)
{
	struct nat_order o = { .what = what, .id = t->id, .pid = t->n.pid, .net = t->n.net };
	const struct nat_host *h = t->host;

	if (h->gone || send(h->lf.fd, &o, sizeof(o), MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof(o))
		return -EIO;
	return 0;
}

static int refuse(int err, const char *what, char *why, size_t n)
{
	if (why)
		snprintf(why, n, "%s", what);
	return err;
}

/* libslirp's addresses all have 52:55 and the IPv4 address; this is the host's, .2. */
static void host_mac(const struct nat_net *net, uint8_t mac[NET_MAC_LEN])
{
	const uint32_t host = htonl(ntohl(net->network.s_addr) | 2);

	mac[0] = 0x52;
	mac[1] = 0x55;
	memcpy(mac + 2, &host, sizeof(host));
}

static void hung_up(void *ctx)
{
	struct nat *t = ctx;

	t->n.running = false;
	order(t, NAT_AGAIN); /* if it cannot be sent, no other could be started either */
}

static int connect_port(struct nat *t, struct vsw *sw, const char *port, char *why, size_t n)
{
	struct port_sock_config cfg = {
		.name = port,
		.role = VSW_HOST,
		.mtu = NAT_MTU,
		.policy = { .mac_spoofing = true }, /* the name server's address is another */
		.gone = hung_up,
		.ctx = t,
	};

	host_mac(&t->n.net, cfg.mac);
	return port_sock_create(&t->sock, t->host->loop, sw, &cfg, why, n);
}

int nat_create(struct nat **out, struct nat_host *h, struct vsw *sw, const char *port,
	       const struct nat_net *net, char *why, size_t n)
{
	uint32_t i = 0;
	struct nat *t;
	int err;

	while (i < NAT_MAX && h->nat[i])
		i++;
	if (i == NAT_MAX)
		return refuse(-ENOSPC, "there are 16 NATs already", why, n);
	if (net->prefix < 8 || net->prefix > 27 || ntohl(net->network.s_addr) << net->prefix ||
	    net->nr_forwards > NAT_MAX_FORWARDS)
		return refuse(-EINVAL, "the NAT's subnet is out of range", why, n);
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	*t = (struct nat){ .host = h, .id = ++h->last_id, .n.net = *net };
	err = connect_port(t, sw, port, why, n);
	if (!err && order(t, NAT_START))
		err = refuse(-EIO, "the process that starts NATs is gone; restart the root", why,
			     n);
	if (err) {
		port_sock_destroy(t->sock);
		free(t);
		return err;
	}
	h->nat[i] = *out = t;
	return 0;
}

void nat_destroy(struct nat *t)
{
	if (!t)
		return;
	for (uint32_t i = 0; i < NAT_MAX; i++)
		if (t->host->nat[i] == t)
			t->host->nat[i] = NULL;
	order(t, NAT_STOP); /* if it cannot be sent: the socket's end ends it */
	port_sock_destroy(t->sock);
	free(t);
}

struct vsw_port *nat_port(const struct nat *t)
{
	return port_sock_port(t->sock);
}

void nat_stats(const struct nat *t, struct nat_stats *out)
{
	*out = t->n;
	port_sock_stats(t->sock, &out->port);
}
