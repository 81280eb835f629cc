/* SPDX-License-Identifier: MIT */
/* TAP devices: made or attached to, one descriptor a queue. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/net/tap.h"

#define TUN_DEVICE  "/dev/net/tun"
#define TAP_MTU_MAX (NET_FRAME_MAX - 2 * NET_ETH_LEN) /* the kernel counts the header twice */

struct opening {
	struct net_tap *tap;
	const struct net_tap_config *cfg;
	char *why;
	size_t whylen;
};

/* Returns @rc, for those who fail. */
PRINTF_LIKE(3, 4) static int because(const struct opening *o, int rc, const char *fmt, ...)
{
	va_list ap;

	if (!o->why || !o->whylen)
		return rc;
	va_start(ap, fmt);
	vsnprintf(o->why, o->whylen, fmt, ap);
	va_end(ap);
	return rc;
}

static int check_config(const struct opening *o)
{
	const struct net_tap_config *c = o->cfg;

	if (strlen(c->name) >= IFNAMSIZ)
		return because(o, -EINVAL,
			       "\"%s\" is too long for an interface: use at most %d characters",
			       c->name, IFNAMSIZ - 1);
	if (c->must_exist && (!*c->name || strchr(c->name, '%')))
		return because(o, -EINVAL, "give the name of the interface to attach to");
	if (c->queues > NET_TAP_QUEUES)
		return because(o, -EINVAL, "%u queues are too many for a TAP: use at most %u",
			       c->queues, NET_TAP_QUEUES);
	if (c->mtu && (c->mtu < NET_MIN_MTU || c->mtu > TAP_MTU_MAX))
		return because(o, -EINVAL, "an MTU of %u cannot be: use %u to %u", c->mtu,
			       NET_MIN_MTU, TAP_MTU_MAX);
	if (c->mac && (net_mac_multicast(c->mac) || net_mac_zero(c->mac)))
		return because(o, -EINVAL,
			       "an interface's address is neither zero nor multicast: "
			       "make the first octet even, 02 for instance");
	return 0;
}

static int open_device(const struct opening *o)
{
	int fd = open(TUN_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int rc = -errno;

	if (fd >= 0)
		return fd;
	if (rc == -ENOENT || rc == -ENODEV || rc == -ENXIO)
		return because(
			o, -ENOENT,
			"there is no " TUN_DEVICE
			": load the module (modprobe tun), or give the container the device");
	if (rc == -EACCES || rc == -EPERM)
		return because(o, -EPERM,
			       "this user may not open " TUN_DEVICE
			       ": run as root, or make the device readable and writable for all");
	return because(o, rc, TUN_DEVICE ": %s", strerror(-rc));
}

static int explain_attach(const struct opening *o, const char *name, int rc)
{
	bool exist = o->cfg->must_exist;

	if (rc == -EBUSY && !exist)
		return because(
			o, -EEXIST,
			"there is an interface %s already: choose another name, or remove it "
			"(ip link delete %s)",
			name, name);
	if (rc == -EBUSY)
		return because(o, rc, "%s is in use by another program: stop that one", name);
	if (rc == -EPERM && exist)
		return because(o, rc,
			       "%s belongs to another user: run as root, or make it again with "
			       "ip tuntap add dev %s mode tap user USER",
			       name, name);
	if (rc == -EPERM)
		return because(o, rc,
			       "this user may not make a network interface: use --netns new, or "
			       "run as root");
	if (rc == -EINVAL && exist)
		return because(
			o, rc,
			"%s is not a TAP of %s: make it with ip tuntap add dev %s mode tap%s", name,
			o->cfg->queues > 1 ? "several queues" : "one queue", name,
			o->cfg->queues > 1 ? " multi_queue" : "");
	if (rc == -EINVAL)
		return because(o, rc, "\"%s\" is no name for an interface: use letters and digits",
			       name);
	return because(o, rc, "TAP %s: %s", name, strerror(-rc));
}

/* The first queue makes the interface, or finds it; the others join it by its name. */
static int attach_queue(const struct opening *o, int fd, bool first)
{
	const struct net_tap_config *c = o->cfg;
	const char *name = !first ? o->tap->name : *c->name ? c->name : "hv%d";
	struct ifreq r = { 0 };
	int flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	int rc;

	if (c->queues > 1)
		flags |= IFF_MULTI_QUEUE;
	if (first && !c->must_exist)
		flags |= IFF_TUN_EXCL;
	r.ifr_flags = (short)flags;
	memcpy(r.ifr_name, name, strlen(name));
	rc = ioctl(fd, TUNSETIFF, &r) < 0 ? -errno : 0;
	if (rc < 0)
		return explain_attach(o, name, rc);
	memcpy(o->tap->name, r.ifr_name, sizeof(o->tap->name));
	o->tap->name[sizeof(o->tap->name) - 1] = 0;
	return 0;
}

static int set_formats(const struct opening *o)
{
	unsigned long offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
	int fd = o->tap->fd[0], size = sizeof(struct virtio_net_hdr);

	if (ioctl(fd, TUNSETVNETHDRSZ, &size) == 0 &&
	    ioctl(fd, TUNSETOFFLOAD, o->cfg->offloads ? offloads : 0ul) == 0)
		return 0;
	return because(o, -errno, "TAP %s: the kernel refuses offload headers: %s", o->tap->name,
		       strerror(errno));
}

static int open_queues(const struct opening *o)
{
	uint32_t queues = o->cfg->queues ? o->cfg->queues : 1;
	uint32_t index = 0;
	int fd, rc;

	if (o->cfg->must_exist) {
		index = if_nametoindex(o->cfg->name);
		if (!index)
			return because(
				o, -ENODEV,
				"there is no interface %s: make it with ip tuntap add dev %s "
				"mode tap",
				o->cfg->name, o->cfg->name);
	}
	while (o->tap->queues < queues) {
		fd = open_device(o);
		if (fd < 0)
			return fd;
		rc = attach_queue(o, fd, o->tap->queues == 0);
		o->tap->fd[o->tap->queues++] = fd; /* closed by who fails */
		if (rc < 0)
			return rc;
	}
	if (index && if_nametoindex(o->tap->name) != index)
		return because(o, -ENODEV, "%s was removed while it was being opened: try again",
			       o->cfg->name);
	return set_formats(o);
}

static int configure(const struct opening *o)
{
	const struct net_tap_config *c = o->cfg;
	const char *name = o->tap->name, *what = "address";
	int rc = 0;

	if (c->mac)
		rc = net_if_set_mac(name, c->mac);
	if (rc == 0 && c->mtu) {
		what = "MTU";
		rc = net_if_set_mtu(name, c->mtu);
	}
	if (rc == 0 && c->up) {
		what = "state";
		rc = net_if_set_up(name, true);
	}
	if (rc == -EPERM)
		return because(o, rc,
			       "this user may not set the %s of %s: run as root, or set it before",
			       what, name);
	if (rc < 0)
		return because(o, rc, "the %s of %s cannot be set: %s", what, name, strerror(-rc));
	return 0;
}

int net_tap_open(struct net_tap *t, const struct net_tap_config *cfg, char *why, size_t whylen)
{
	struct opening o = { t, cfg, why, whylen };
	int rc;

	*t = (struct net_tap){ 0 };
	rc = check_config(&o);
	if (rc == 0)
		rc = open_queues(&o);
	if (rc == 0)
		rc = configure(&o);
	if (rc < 0)
		net_tap_close(t);
	return rc;
}

void net_tap_close(struct net_tap *t)
{
	while (t->queues > 0)
		close(t->fd[--t->queues]);
	t->name[0] = 0;
}

int net_tap_set_carrier(const struct net_tap *t, bool up)
{
	int on = up;

	return ioctl(t->fd[0], TUNSETCARRIER, &on) < 0 ? -errno : 0;
}
