/* SPDX-License-Identifier: MIT */
/*
 * One system call per frame each way, because a TAP knows no other; payload goes to it straight
 * from where it is.
 */
#include "vsp/netvsp/port_tap.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define VNET_LEN 10u /* struct virtio_net_hdr */
_Static_assert(sizeof(struct virtio_net_hdr) == VNET_LEN, "what a TAP has by default");

struct port_tap {
	struct port_fd p;
	struct net_tap tap;
	int probe;
	struct iovec iov[PORT_IOV];
	uint8_t head[NET_HEAD_MAX + NET_VLAN_LEN];
	uint8_t frame[NET_FRAME_MAX + NET_VLAN_LEN + 1]; /* one more than allowed */
};

/* ---- from the interface ---------------------------------------------------------------- */

static void take(struct port_tap *t, const struct virtio_net_hdr *vnet, size_t len)
{
	struct iovec all = { t->frame, len }, rest;
	struct net_frame f;

	if (net_frame_init(&f, t->head, NET_HEAD_MAX, &all, 1, &rest) || net_vnet_get(&f, vnet)) {
		t->p.n.rejected++;
		return;
	}
	net_vlan_pop(&f);
	vsw_input(t->p.port, &f);
}

static int receive(struct port_fd *p, int most)
{
	struct port_tap *t = container_of(p, struct port_tap, p);
	struct virtio_net_hdr vnet;
	struct iovec iov[2] = { { &vnet, VNET_LEN }, { t->frame, sizeof(t->frame) } };

	for (int i = 0; i < most; i++) {
		ssize_t n = readv(p->lf.fd, iov, 2);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? i : -errno;
		if (n < (ssize_t)VNET_LEN) {
			p->n.rejected++;
			continue;
		}
		take(t, &vnet, (size_t)n - VNET_LEN);
	}
	return most;
}

/* ---- to the interface -------------------------------------------------------------------- */

static enum vsw_drop deliver(void *ctx, const struct net_frame *f, const struct net_meta *meta,
			     uint32_t from)
{
	struct port_tap *t = container_of(ctx, struct port_tap, p);
	struct net_frame as = *f;
	struct virtio_net_hdr vnet;
	int n;

	(void)from;
	as.meta = *meta;
	net_vnet_put(&vnet, &as);
	n = port_fd_gather(t->iov, &vnet, VNET_LEN, f);
	if (!n)
		return VSW_DROP_MALFORMED;
	if (writev(t->p.lf.fd, t->iov, n) < 0)
		return port_fd_refused(&t->p, errno);
	port_fd_works(&t->p);
	return VSW_FORWARDED;
}

static void flush(void *ctx)
{
	(void)ctx; /* each was written at once: a TAP has no way to write several */
}

static const struct vsw_port_ops port_ops = {
	.deliver = deliver,
	.flush = flush,
	.changed = port_fd_changed,
};

/* ---- carrier, and an interface that vanished ------------------------------------------------ */

static void set_carrier(struct port_fd *p, bool up)
{
	struct port_tap *t = container_of(p, struct port_tap, p);

	if (net_tap_set_carrier(&t->tap, up))
		p->n.failed++;
}

static bool exists(const struct port_tap *t)
{
	struct ifreq r = { 0 };

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", t->tap.name);
	return !ioctl(t->probe, SIOCGIFINDEX, &r);
}

/* The open file outlives its interface, and can be attached to another. */
static bool attach(struct port_fd *p)
{
	struct port_tap *t = container_of(p, struct port_tap, p);
	struct ifreq r = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };

	if (!exists(t))
		return false;
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", t->tap.name);
	if ((ioctl(p->lf.fd, TUNSETIFF, &r) && errno != EEXIST) ||
	    ioctl(p->lf.fd, TUNSETOFFLOAD,
		  (unsigned long)(TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN))) {
		p->n.error = errno;
		return false;
	}
	if (!p->wanted)
		set_carrier(p, false);
	return true;
}

/* ---- life ---------------------------------------------------------------------------------- */

static const struct port_fd_ops looking_ops = {
	.receive = receive,
	.look = attach,
	.link = set_carrier,
};
static const struct port_fd_ops patient_ops = { .receive = receive, .link = set_carrier };

static int connect_port(struct port_tap *t, struct vsw *sw, const struct port_tap_config *cfg,
			char *why, size_t n)
{
	struct vsw_port_config pc = {
		.name = cfg->name,
		.role = cfg->role,
		.caps = VSW_CAN_CSUM | VSW_CAN_TSO4 | VSW_CAN_TSO6,
		.mtu = cfg->mtu,
		.policy = cfg->policy,
		.ops = &port_ops,
		.ctx = &t->p,
	};
	int err;

	memcpy(pc.mac, cfg->mac, NET_MAC_LEN);
	err = port_fd_add(&t->p, sw, &pc, why, n);
	if (err)
		return err;
	err = port_fd_present(&t->p);
	if (err) {
		port_fd_del(&t->p);
		if (why)
			snprintf(why, n, "%s: %s", cfg->tap.name, strerror(-err));
	}
	return err;
}

int port_tap_create(struct port_tap **out, struct loop *loop, struct vsw *sw,
		    const struct port_tap_config *cfg, char *why, size_t n)
{
	struct port_tap *t = malloc(sizeof(*t)); /* 80 KiB, of which most is seldom touched */
	int err;

	if (!t)
		return -ENOMEM;
	memset(&t->p, 0, sizeof(t->p));
	t->p.ops = cfg->probe < 0 ? &patient_ops : &looking_ops;
	t->p.loop = loop;
	t->p.lf.fd = cfg->tap.fd[0];
	t->tap = cfg->tap;
	t->probe = cfg->probe;
	err = connect_port(t, sw, cfg, why, n);
	if (err) {
		free(t);
		return err;
	}
	*out = t;
	return 0;
}

void port_tap_destroy(struct port_tap *t)
{
	if (!t)
		return;
	port_fd_del(&t->p);
	net_tap_close(&t->tap);
	free(t);
}

struct vsw_port *port_tap_port(const struct port_tap *t)
{
	return t->p.port;
}

const char *port_tap_interface(const struct port_tap *t)
{
	return t->tap.name;
}

void port_tap_stats(const struct port_tap *t, struct port_stats *out)
{
	port_fd_stats(&t->p, out);
}
