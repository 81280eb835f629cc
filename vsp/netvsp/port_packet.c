/* SPDX-License-Identifier: MIT */
/* Frames come in batches; they go one by one, payload straight from where it is. */
#include "vsp/netvsp/port_packet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/net/vnet.h"

#define VNET_LEN 10u
_Static_assert(sizeof(struct virtio_net_hdr) == VNET_LEN, "what PACKET_VNET_HDR means");

#define BATCH 16 /* frames of one system call; each may be large */

struct slot {
	struct virtio_net_hdr vnet;
	/* No union with a cmsghdr: that has no size, says clang. */
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	uint8_t frame[NET_FRAME_MAX + 1]; /* one more than allowed */
};

struct port_packet {
	struct port_fd p;
	char interface[IFNAMSIZ];
	struct mmsghdr msg[BATCH];
	struct iovec in[BATCH][2];
	struct iovec iov[PORT_IOV];
	uint8_t head[NET_HEAD_MAX + NET_VLAN_LEN];
	struct slot slot[BATCH];
};

/* ---- the socket ---------------------------------------------------------------------------- */

/* 0 when @name is there and up: its index in *@index. */
static int find_interface(int fd, const char *name, int *index)
{
	struct ifreq r = { 0 };

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (ioctl(fd, SIOCGIFINDEX, &r))
		return -errno;
	*index = r.ifr_ifindex;
	if (ioctl(fd, SIOCGIFFLAGS, &r))
		return -errno;
	return r.ifr_flags & IFF_UP ? 0 : -ENETDOWN;
}

/* Both when there is a first time and when the interface came back, perhaps as another. */
static int bind_to(int fd, const char *name)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	struct packet_mreq all = { .mr_type = PACKET_MR_PROMISC };
	int err = find_interface(fd, name, &at.sll_ifindex);

	if (err)
		return err;
	all.mr_ifindex = at.sll_ifindex;
	setsockopt(fd, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &all, sizeof(all));
	if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)))
		return -errno;
	return 0;
}

static int set_options(int fd)
{
	static const int options[] = { PACKET_VNET_HDR, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING };
	const int on = 1;

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (setsockopt(fd, SOL_PACKET, options[i], &on, sizeof(on)))
			return -errno;
	return 0;
}

static int open_failed(int err, const char *interface, char *why, size_t n)
{
	const char *what = strerror(-err);

	if (err == -EPERM)
		what = "the right to open packet sockets is missing; give hvbus CAP_NET_RAW, or "
		       "use a TAP "
		       "in a bridge";
	else if (err == -ENODEV)
		what = "there is no such interface; \"ip link\" lists them";
	if (why)
		snprintf(why, n, "%s: %s", interface, what);
	return err;
}

int port_packet_open(const char *interface, char *why, size_t n)
{
	/* No protocol: nothing is received before it is bound. */
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return open_failed(-errno, interface, why, n);
	err = set_options(fd);
	if (!err)
		err = bind_to(fd, interface);
	if (!err || err == -ENETDOWN)
		return fd;
	close(fd);
	return open_failed(err, interface, why, n);
}

/* ---- from the interface ---------------------------------------------------------------------- */

/* False: a kind of tag that guests cannot be told. */
static bool take_tag(struct msghdr *m, struct net_meta *meta)
{
	struct tpacket_auxdata aux;
	struct cmsghdr *c = CMSG_FIRSTHDR(m);

	if (!c || c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA)
		return true;
	memcpy(&aux, CMSG_DATA(c), sizeof(aux));
	if (!(aux.tp_status & TP_STATUS_VLAN_VALID))
		return true;
	if (aux.tp_status & TP_STATUS_VLAN_TPID_VALID && aux.tp_vlan_tpid != ETH_P_8021Q)
		return false;
	meta->tagged = true;
	meta->vlan_tci = aux.tp_vlan_tci;
	return true;
}

static void take(struct port_packet *k, struct slot *s, struct mmsghdr *m)
{
	struct iovec all = { s->frame, m->msg_len - VNET_LEN }, rest;
	struct net_frame f;

	if (m->msg_len < VNET_LEN || m->msg_hdr.msg_flags & MSG_TRUNC ||
	    net_frame_init(&f, k->head, NET_HEAD_MAX, &all, 1, &rest) ||
	    net_vnet_get(&f, &s->vnet)) {
		k->p.n.rejected++;
		return;
	}
	net_vlan_pop(&f);
	if (!f.meta.tagged && !take_tag(&m->msg_hdr, &f.meta)) {
		k->p.n.rejected++;
		return;
	}
	vsw_input(k->p.port, &f);
}

static int receive(struct port_fd *p, int most)
{
	struct port_packet *k = container_of(p, struct port_packet, p);
	int n;

	if (most > BATCH)
		most = BATCH;
	for (int i = 0; i < most; i++)
		k->msg[i].msg_hdr.msg_controllen = sizeof(k->slot[i].control);
	n = recvmmsg(p->lf.fd, k->msg, (unsigned)most, MSG_DONTWAIT, NULL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n; i++)
		take(k, &k->slot[i], &k->msg[i]);
	return n;
}

/* ---- to the interface ---------------------------------------------------------------------------
 */

static enum vsw_drop deliver(void *ctx, const struct net_frame *f, const struct net_meta *meta,
			     uint32_t from)
{
	struct port_packet *k = container_of(ctx, struct port_packet, p);
	struct msghdr m = { .msg_iov = k->iov };
	struct net_frame as = *f;
	struct virtio_net_hdr vnet;

	(void)from;
	as.meta = *meta;
	net_vnet_put(&vnet, &as);
	m.msg_iovlen = (size_t)port_fd_gather(k->iov, &vnet, VNET_LEN, f);
	if (!m.msg_iovlen)
		return VSW_DROP_MALFORMED;
	if (sendmsg(k->p.lf.fd, &m, MSG_DONTWAIT) < 0)
		return port_fd_refused(&k->p, errno);
	port_fd_works(&k->p);
	return VSW_FORWARDED;
}

static void flush(void *ctx)
{
	(void)ctx; /* sent at once: what may be large is not copied to be sent with others */
}

static const struct vsw_port_ops port_ops = {
	.deliver = deliver,
	.flush = flush,
	.changed = port_fd_changed,
};

/* ---- life ---------------------------------------------------------------------------------------
 */

static bool look(struct port_fd *p)
{
	struct port_packet *k = container_of(p, struct port_packet, p);
	int err = bind_to(p->lf.fd, k->interface);

	if (err)
		p->n.error = -err;
	return !err;
}

static const struct port_fd_ops fd_ops = { .receive = receive, .look = look };

static void prepare(struct port_packet *k)
{
	for (int i = 0; i < BATCH; i++) {
		struct slot *s = &k->slot[i];

		k->in[i][0] = (struct iovec){ &s->vnet, VNET_LEN };
		k->in[i][1] = (struct iovec){ s->frame, sizeof(s->frame) };
		k->msg[i].msg_hdr = (struct msghdr){ .msg_iov = k->in[i],
						     .msg_iovlen = 2,
						     .msg_control = &s->control };
	}
}

static int connect_port(struct port_packet *k, struct vsw *sw, const struct port_packet_config *cfg,
			char *why, size_t n)
{
	const struct vsw_port_config pc = {
		.name = cfg->name,
		.role = VSW_UPLINK,
		.caps = VSW_CAN_CSUM | VSW_CAN_TSO4 | VSW_CAN_TSO6,
		.mtu = cfg->mtu,
		.policy = cfg->policy,
		.ops = &port_ops,
		.ctx = &k->p,
	};
	int err = port_fd_add(&k->p, sw, &pc, why, n), index;

	if (err)
		return err;
	err = find_interface(cfg->fd, cfg->interface, &index);
	if (!err)
		err = port_fd_present(&k->p);
	if (err)
		port_fd_lost(&k->p, -err); /* looked for from now on */
	return 0;
}

int port_packet_create(struct port_packet **out, struct loop *loop, struct vsw *sw,
		       const struct port_packet_config *cfg, char *why, size_t n)
{
	struct port_packet *k = calloc(1, sizeof(*k)); /* 1 MiB, touched as frames need it */
	int err;

	if (!k)
		return -ENOMEM;
	k->p.ops = &fd_ops;
	k->p.loop = loop;
	k->p.lf.fd = cfg->fd;
	snprintf(k->interface, sizeof(k->interface), "%s", cfg->interface);
	prepare(k);
	err = connect_port(k, sw, cfg, why, n);
	if (err) {
		free(k);
		return err;
	}
	*out = k;
	return 0;
}

void port_packet_destroy(struct port_packet *k)
{
	if (!k)
		return;
	port_fd_del(&k->p);
	close(k->p.lf.fd);
	free(k);
}

struct vsw_port *port_packet_port(const struct port_packet *k)
{
	return k->p.port;
}

const char *port_packet_interface(const struct port_packet *k)
{
	return k->interface;
}

void port_packet_stats(const struct port_packet *k, struct port_stats *out)
{
	port_fd_stats(&k->p, out);
}
