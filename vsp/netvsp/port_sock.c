/* SPDX-License-Identifier: MIT */
/*
 * Frames are small here, so they are copied, to be sent together when the burst is over.
 */
#include "vsp/netvsp/port_sock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/iov.h"
#include "base/net/vnet.h"

struct batch {
	struct mmsghdr msg[PORT_BURST];
	struct iovec iov[PORT_BURST];
	uint8_t *frames; /* PORT_BURST of slot bytes */
};

struct port_sock {
	struct port_fd p;
	void (*gone)(void *ctx);
	void *ctx;
	uint32_t slot;	 /* bytes: the longest frame with a tag */
	uint32_t queued; /* in out */
	struct batch in, out;
	uint8_t head[NET_HEAD_MAX + NET_VLAN_LEN];
};

/* ---- from the peer ------------------------------------------------------------------------ */

static void take(struct port_sock *s, const struct mmsghdr *m, uint8_t *frame)
{
	struct iovec all = { frame, m->msg_len }, rest;
	struct net_frame f;

	if (m->msg_hdr.msg_flags & MSG_TRUNC ||
	    net_frame_init(&f, s->head, NET_HEAD_MAX, &all, 1, &rest)) {
		s->p.n.rejected++;
		return;
	}
	net_vlan_pop(&f);
	vsw_input(s->p.port, &f);
}

/* An empty message cannot be told from the end, and there is no empty frame. */
static int receive(struct port_fd *p, int most)
{
	struct port_sock *s = container_of(p, struct port_sock, p);
	int n = recvmmsg(p->lf.fd, s->in.msg, (unsigned)most, MSG_DONTWAIT, NULL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		if (!s->in.msg[i].msg_len)
			return -EPIPE;
		take(s, &s->in.msg[i], s->in.iov[i].iov_base);
	}
	return n;
}

/* ---- to the peer ------------------------------------------------------------------------------
 */

/* What the peer has no room for now, it need not have later: it is not kept. */
static void send_queued(struct port_sock *s)
{
	uint32_t done = 0;

	while (done < s->queued) {
		int n = sendmmsg(s->p.lf.fd, s->out.msg + done, s->queued - done,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n <= 0)
			break;
		done += (uint32_t)n;
	}
	for (; done < s->queued; done++)
		port_fd_refused(&s->p, errno);
	s->queued = 0;
}

static enum vsw_drop deliver(void *ctx, const struct net_frame *f, const struct net_meta *meta,
			     uint32_t from)
{
	struct port_sock *s = container_of(ctx, struct port_sock, p);
	struct iovec *to = &s->out.iov[s->queued];
	size_t rest = f->len - f->head_len;

	(void)meta;
	(void)from;
	if (f->len > s->slot)
		return VSW_DROP_MTU;
	memcpy(to->iov_base, f->head, f->head_len);
	if (iov_to_buf(f->iov, f->iovcnt, 0, (uint8_t *)to->iov_base + f->head_len, rest) != rest)
		return VSW_DROP_MALFORMED;
	to->iov_len = f->len;
	if (++s->queued == PORT_BURST)
		send_queued(s);
	return VSW_FORWARDED;
}

static void flush(void *ctx)
{
	send_queued(container_of(ctx, struct port_sock, p));
}

static const struct vsw_port_ops port_ops = {
	.deliver = deliver,
	.flush = flush,
	.changed = port_fd_changed,
};

/* ---- life -------------------------------------------------------------------------------------
 */

static void leave(struct port_sock *s)
{
	if (s->p.lf.fd >= 0)
		close(s->p.lf.fd);
	s->p.lf.fd = -1;
	s->queued = 0;
}

static void hung_up(struct port_fd *p)
{
	struct port_sock *s = container_of(p, struct port_sock, p);

	leave(s);
	if (s->gone)
		s->gone(s->ctx);
}

static const struct port_fd_ops fd_ops = { .receive = receive, .gone = hung_up };

static bool prepare(struct batch *b, uint32_t slot)
{
	b->frames = malloc((size_t)PORT_BURST * slot);
	for (uint32_t i = 0; b->frames && i < PORT_BURST; i++) {
		b->iov[i] = (struct iovec){ b->frames + (size_t)i * slot, slot };
		b->msg[i].msg_hdr = (struct msghdr){ .msg_iov = &b->iov[i], .msg_iovlen = 1 };
	}
	return b->frames;
}

static void release(struct port_sock *s)
{
	leave(s);
	free(s->in.frames);
	free(s->out.frames);
	free(s);
}

int port_sock_create(struct port_sock **out, struct loop *loop, struct vsw *sw,
		     const struct port_sock_config *cfg, char *why, size_t n)
{
	struct port_sock *s = calloc(1, sizeof(*s));
	struct vsw_port_config pc = {
		.name = cfg->name,
		.role = cfg->role,
		.mtu = cfg->mtu,
		.policy = cfg->policy,
		.ops = &port_ops,
	};
	int err;

	if (!s)
		return -ENOMEM;
	pc.ctx = &s->p;
	memcpy(pc.mac, cfg->mac, NET_MAC_LEN);
	s->p.ops = &fd_ops;
	s->p.loop = loop;
	s->p.lf.fd = -1;
	s->gone = cfg->gone;
	s->ctx = cfg->ctx;
	s->slot = (cfg->mtu ? cfg->mtu : 1500) + NET_ETH_LEN + NET_VLAN_LEN;
	err = prepare(&s->in, s->slot) && prepare(&s->out, s->slot) ? 0 : -ENOMEM;
	if (!err)
		err = port_fd_add(&s->p, sw, &pc, why, n);
	if (err) {
		release(s);
		return err;
	}
	*out = s;
	return 0;
}

void port_sock_destroy(struct port_sock *s)
{
	if (!s)
		return;
	port_fd_del(&s->p);
	release(s);
}

int port_sock_attach(struct port_sock *s, int fd)
{
	int err;

	port_fd_leave(&s->p);
	leave(s);
	s->p.lf.fd = fd;
	err = port_fd_present(&s->p);
	if (err)
		leave(s);
	return err;
}

struct vsw_port *port_sock_port(const struct port_sock *s)
{
	return s->p.port;
}

void port_sock_stats(const struct port_sock *s, struct port_stats *out)
{
	port_fd_stats(&s->p, out);
}
