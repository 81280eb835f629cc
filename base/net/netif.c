/* SPDX-License-Identifier: MIT */
/* Network interfaces of this namespace: what ip(8) does, as far as it is needed. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/net/tap.h"

/* A request about the interface @name. */
static int name_it(struct ifreq *r, const char *name)
{
	size_t len = strlen(name);

	memset(r, 0, sizeof(*r));
	if (!len)
		return -EINVAL;
	if (len >= sizeof(r->ifr_name))
		return -ENODEV;
	memcpy(r->ifr_name, name, len);
	return 0;
}

static int ask(unsigned long what, struct ifreq *r)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return -errno;
	rc = ioctl(fd, what, r) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

int net_if_set_mtu(const char *name, uint32_t mtu)
{
	struct ifreq r;
	int rc = name_it(&r, name);

	if (rc < 0)
		return rc;
	if (mtu > INT32_MAX)
		return -EINVAL;
	r.ifr_mtu = (int)mtu;
	return ask(SIOCSIFMTU, &r);
}

int net_if_set_mac(const char *name, const uint8_t mac[NET_MAC_LEN])
{
	struct ifreq r;
	int rc = name_it(&r, name);

	if (rc < 0)
		return rc;
	r.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(r.ifr_hwaddr.sa_data, mac, NET_MAC_LEN);
	return ask(SIOCSIFHWADDR, &r);
}

int net_if_set_up(const char *name, bool up)
{
	struct ifreq r;
	int rc = name_it(&r, name);

	if (rc == 0)
		rc = ask(SIOCGIFFLAGS, &r);
	if (rc < 0)
		return rc;
	if (up)
		r.ifr_flags |= IFF_UP;
	else
		r.ifr_flags &= ~IFF_UP;
	return ask(SIOCSIFFLAGS, &r);
}

/* ---- addresses ------------------------------------------------------------------- */

struct prefix {
	int family;
	uint8_t address[16];
	uint32_t bytes;
	uint8_t bits;
};

static int parse_prefix(struct prefix *p, const char *text)
{
	char address[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	char *end;
	unsigned long bits;

	if (!slash || (size_t)(slash - text) >= sizeof(address) || slash[1] < '0' || slash[1] > '9')
		return -EINVAL;
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = 0;
	p->family = strchr(address, ':') ? AF_INET6 : AF_INET;
	p->bytes = p->family == AF_INET6 ? 16 : 4;
	if (inet_pton(p->family, address, p->address) != 1)
		return -EINVAL;
	bits = strtoul(slash + 1, &end, 10);
	if (*end || bits > p->bytes * 8)
		return -EINVAL;
	p->bits = (uint8_t)bits;
	return 0;
}

struct address_request {
	struct nlmsghdr head;
	struct ifaddrmsg body;
	uint8_t attributes[3 * RTA_SPACE(16)];
};

static void add_attribute(struct address_request *r, uint16_t type, const uint8_t *data,
			  uint32_t len)
{
	struct rtattr a = { .rta_len = (uint16_t)RTA_LENGTH(len), .rta_type = type };
	uint8_t *at = (uint8_t *)r + r->head.nlmsg_len;

	memcpy(at, &a, sizeof(a));
	memcpy(at + RTA_LENGTH(0), data, len);
	r->head.nlmsg_len += (uint32_t)RTA_SPACE(len);
}

static void make_request(struct address_request *r, uint32_t index, const struct prefix *p)
{
	uint8_t broadcast[4];

	*r = (struct address_request){
		.head = { .nlmsg_len = NLMSG_LENGTH(sizeof(r->body)),
			  .nlmsg_type = RTM_NEWADDR,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL },
		.body = { .ifa_family = (uint8_t)p->family,
			  .ifa_prefixlen = p->bits,
			  .ifa_flags = p->family == AF_INET6 ? IFA_F_NODAD : 0,
			  .ifa_index = index },
	};
	add_attribute(r, IFA_LOCAL, p->address, p->bytes);
	add_attribute(r, IFA_ADDRESS, p->address, p->bytes);
	if (p->family != AF_INET || p->bits > 30)
		return;
	be32_put(broadcast, be32_at(p->address) | (uint32_t)(UINT32_MAX >> p->bits));
	add_attribute(r, IFA_BROADCAST, broadcast, sizeof(broadcast));
}

/* 0 or -errno, as the kernel answers. */
static int netlink_do(const struct nlmsghdr *request)
{
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
		uint8_t more[256];
	} answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	ssize_t n;
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (send(fd, request, request->nlmsg_len, 0) < 0)
		rc = -errno;
	if (rc == 0) {
		n = recv(fd, &answer, sizeof(answer), 0);
		if (n < 0)
			rc = -errno;
		else if ((size_t)n < NLMSG_LENGTH(sizeof(answer.error)) ||
			 answer.head.nlmsg_type != NLMSG_ERROR)
			rc = -EPROTO;
		else
			rc = answer.error.error;
	}
	close(fd);
	return rc;
}

int net_if_add_address(const char *name, const char *address)
{
	struct address_request r;
	struct prefix p;
	uint32_t index;
	int rc = parse_prefix(&p, address);

	if (rc < 0)
		return rc;
	index = if_nametoindex(name);
	if (!index)
		return -ENODEV;
	make_request(&r, index, &p);
	return netlink_do(&r.head);
}
