/* SPDX-License-Identifier: MIT */
/*
 * The NAT of a switch, with its processes: what a guest gets from it, what it cannot reach through
 * it, and what happens when the process dies, is fed nonsense, or loses its root. N42 in
 * docs/hostile-cases.md.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "tests/proc/net_rig.h"
#include "vmwp/nat.h"

#define GUEST 0x0a00020fu /* 10.0.2.15 */
#define HOST  0x0a000202u
#define DNS   0x0a000203u
#define LOCAL 0x7f000001u

static struct rig r;
static struct nat_host *nats;
static struct nat *nat;
static struct nat_net net;
static uint8_t f[4096];

static struct nat_stats stats(void)
{
	struct nat_stats st;

	nat_stats(nat, &st);
	return st;
}

static void begin(void)
{
	char why[200] = "";

	rig_create(&r, VSW_NAT);
	r.ip = GUEST;
	r.peer = HOST;
	ck_assert_int_eq(nat_host_create(&nats, r.loop, SANDBOX_ON), 0);
	ck_assert_msg(!nat_create(&nat, nats, r.sw, "nat", &net, why, sizeof(why)), "%s", why);
	ck_assert(rig_until(&r, 5, stats().running));
	ck_assert(rig_resolve(&r, 5));
}

static void setup(void)
{
	nat_net_default(&net);
}

static void end(void)
{
	nat_destroy(nat);
	nat_host_destroy(nats);
	rig_destroy(&r);
}

/* ---- what guests get ---------------------------------------------------------------------- */

#define BOOTP 240 /* bytes in front of the options, with the cookie */

static bool is_dhcp(const struct rig *rig, const uint8_t *p, ssize_t len)
{
	(void)rig;
	return len > 42 + BOOTP && p[23] == IPPROTO_UDP && rig_get16(p + 36) == 68;
}

/* Option @which of the answer in f, or NULL. */
static const uint8_t *option(uint8_t which, ssize_t len)
{
	const uint8_t *p = f + 42 + BOOTP;

	while (p + 2 < f + len && *p != 0xff) {
		if (*p == which)
			return p + 2;
		p += *p ? 2 + p[1] : 1;
	}
	return NULL;
}

/* @type 1: discover, 3: request of @wanted. The answer is in f. */
static ssize_t dhcp(uint8_t type, uint32_t wanted)
{
	const struct rig at = r;
	uint8_t m[300] = { 1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78 };
	uint8_t *o = m + BOOTP;
	ssize_t len;

	memcpy(m + 28, r.mac, NET_MAC_LEN);
	rig_put32(m + 236, 0x63825363);
	*o++ = 53;
	*o++ = 1;
	*o++ = type;
	if (wanted) {
		*o++ = 50;
		*o++ = 4;
		rig_put32(o, wanted);
		o += 4;
	}
	*o = 0xff;
	r.ip = 0;
	r.peer = ~0u;
	rig_send(&r, f, rig_udp(&r, f, 68, 67, m, sizeof(m)));
	len = rig_wait(&r, 5, f, sizeof(f), is_dhcp);
	r = at;
	return len;
}

START_TEST(dhcp_gives_an_address)
{
	const uint8_t *o;
	ssize_t len;
	uint32_t mine;

	begin();
	len = dhcp(1, 0);
	ck_assert_int_gt(len, 0);
	ck_assert_ptr_nonnull(o = option(53, len));
	ck_assert_uint_eq(*o, 2); /* offer */
	mine = rig_get32(f + 42 + 16);
	ck_assert_uint_eq(mine, GUEST);
	len = dhcp(3, mine);
	ck_assert_int_gt(len, 0);
	ck_assert_ptr_nonnull(o = option(53, len));
	ck_assert_uint_eq(*o, 5); /* it is yours */
	ck_assert_ptr_nonnull(o = option(1, len));
	ck_assert_uint_eq(rig_get32(o), 0xffffff00);
	ck_assert_ptr_nonnull(o = option(3, len));
	ck_assert_uint_eq(rig_get32(o), HOST);
	ck_assert_ptr_nonnull(o = option(6, len));
	ck_assert_uint_eq(rig_get32(o), DNS);
	end();
}
END_TEST

static bool is_echo(const struct rig *rig, const uint8_t *p, ssize_t len)
{
	return rig_is_ip(rig, p, len, IPPROTO_ICMP) && p[34] == 0 &&
	       rig_sum(0, p + 34, 40) == 0xffff;
}

START_TEST(host_and_name_server_answer)
{
	static const uint8_t host[] = { 0x52, 0x55, 10, 0, 2, 2 };

	begin();
	ck_assert_mem_eq(r.host, host, NET_MAC_LEN);
	rig_send(&r, f, rig_echo(&r, f, 7));
	ck_assert_int_gt(rig_wait(&r, 5, f, sizeof(f), is_echo), 0);
	ck_assert_uint_eq(rig_get16(f + 40), 7);
	r.peer = DNS;
	ck_assert(rig_resolve(&r, 5));
	end();
}
END_TEST

static bool is_router(const struct rig *rig, const uint8_t *p, ssize_t len)
{
	(void)rig;
	return len > 70 && rig_get16(p + 12) == NET_ETHERTYPE_IP6 && p[20] == 58 && p[54] == 134;
}

/* Who asks for a router is given a prefix of IPv6, unless that was turned off. */
START_TEST(ipv6_router)
{
	static const uint8_t
		solicit[] = {
			0x60, 0, 0, 0, 0, 8, 58, 255, 0xfe, 0x80, 0,	0, 0, 0,
			0,    0, 0, 0, 0, 0, 0,	 0,   0,    1,	  0xff, 2, 0, 0,
			0,    0, 0, 0, 0, 0, 0,	 0,   0,    0,	  0,	2, /* all routers */
			133,  0, 0, 0, 0, 0, 0,	 0,
		};

	net.no_ipv6 = _i == 0;
	begin();
	memcpy(f + rig_eth(&r, f, rig_all, NET_ETHERTYPE_IP6), solicit, sizeof(solicit));
	rig_put16(f + 56, ~rig_sum(58 + 8, f + 22, 40));
	rig_send(&r, f, 62);
	ck_assert_int_eq(rig_wait(&r, _i ? 5 : 0.1, f, sizeof(f), is_router) > 0, _i);
	end();
}
END_TEST

START_TEST(another_subnet)
{
	char why[200];

	ck_assert_int_eq(nat_parse_subnet(&net, "192.168.7.32/27", why, sizeof(why)), 0);
	rig_create(&r, VSW_NAT);
	ck_assert_int_eq(nat_host_create(&nats, r.loop, SANDBOX_ON), 0);
	ck_assert_int_eq(nat_create(&nat, nats, r.sw, "nat", &net, NULL, 0), 0);
	r.ip = 0xc0a8072f;
	r.peer = 0xc0a80722;
	ck_assert(rig_resolve(&r, 5));
	ck_assert_int_gt(dhcp(1, 0), 0);
	ck_assert_uint_eq(rig_get32(f + 42 + 16), r.ip);
	end();
}
END_TEST

/* ---- connections ------------------------------------------------------------------------------
 */

static int serve(uint16_t *port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(LOCAL) };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(listen(fd, 4), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	*port = ntohs(at.sin_port);
	return fd;
}

static bool is_tcp(const struct rig *rig, const uint8_t *p, ssize_t len)
{
	return rig_is_ip(rig, p, len, IPPROTO_TCP) &&
	       rig_l4_sum(p, rig_get16(p + 16) - 20) == 0xffff;
}

static void establish(struct rig_tcp *c)
{
	rig_send(&r, f, rig_tcp(&r, f, c, RIG_SYN, NULL, 0));
	ck_assert_int_gt(rig_wait(&r, 5, f, sizeof(f), is_tcp), 0);
	ck_assert_uint_eq(f[47], RIG_SYN | RIG_ACK);
	ck_assert_uint_eq(rig_get32(f + 42), c->seq + 1);
	c->seq++;
	c->ack = rig_get32(f + 38) + 1;
	rig_send(&r, f, rig_tcp(&r, f, c, RIG_ACK, NULL, 0));
}

static int accepted(int server)
{
	int fd = -1;

	ck_assert(rig_until(&r, 5, (fd = accept4(server, NULL, NULL, SOCK_NONBLOCK)) >= 0));
	return fd;
}

START_TEST(connection_to_the_host)
{
	struct rig_tcp c = { .from = 4000, .seq = 1000 };
	char got[16] = "";
	int server = serve(&c.to), fd;

	net.host_loopback = true;
	begin();
	establish(&c);
	fd = accepted(server);
	rig_send(&r, f, rig_tcp(&r, f, &c, RIG_ACK | RIG_PSH, "hello", 5));
	ck_assert(rig_until(&r, 5, recv(fd, got, sizeof(got), 0) == 5));
	ck_assert_mem_eq(got, "hello", 5);
	ck_assert_int_eq(send(fd, "world!", 6, 0), 6);
	do
		ck_assert_int_gt(rig_wait(&r, 5, f, sizeof(f), is_tcp), 0);
	while (rig_get16(f + 16) == 40); /* acknowledgements */
	ck_assert_mem_eq(f + 54, "world!", 6);
	close(fd);
	close(server);
	end();
}
END_TEST

static bool is_udp(const struct rig *rig, const uint8_t *p, ssize_t len)
{
	return rig_is_ip(rig, p, len, IPPROTO_UDP) &&
	       rig_l4_sum(p, rig_get16(p + 16) - 20) == 0xffff;
}

START_TEST(datagrams_to_the_host)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(LOCAL) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(at);
	char got[16];

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	net.host_loopback = true;
	begin();
	rig_send(&r, f, rig_udp(&r, f, 4000, ntohs(at.sin_port), "ping", 4));
	ck_assert(rig_until(&r, 5,
			    recvfrom(fd, got, sizeof(got), 0, (struct sockaddr *)&at, &len) == 4));
	ck_assert_int_eq(sendto(fd, "pong!", 5, 0, (struct sockaddr *)&at, len), 5);
	ck_assert_int_gt(rig_wait(&r, 5, f, sizeof(f), is_udp), 0);
	ck_assert_uint_eq(rig_get16(f + 36), 4000);
	ck_assert_mem_eq(f + 42, "pong!", 5);
	close(fd);
	end();
}
END_TEST

/* Whether anybody answers is not ours to know: the process does what it takes, and lives. */
START_TEST(what_leads_outside)
{
	static const uint8_t query[] = { 0x12, 0x34, 1, 0, 0, 1, 0,
					 0,    0,    0, 0, 0, /* one question */
					 1,    'a',  0, 0, 1, 0, 1 };
	struct rig_tcp c = { .from = 4000, .to = 9, .seq = 1 };

	begin();
	rig_send(&r, f, rig_udp(&r, f, 4001, 53, query, sizeof(query)));
	r.peer = DNS;
	rig_send(&r, f, rig_udp(&r, f, 4001, 53, query, sizeof(query)));
	r.peer = 0xc0000201; /* 192.0.2.1, which is nobody's */
	rig_send(&r, f, rig_echo(&r, f, 1));
	rig_send(&r, f, rig_udp(&r, f, 4001, 9, query, sizeof(query)));
	rig_send(&r, f, rig_tcp(&r, f, &c, RIG_SYN, NULL, 0));
	r.peer = HOST;
	rig_send(&r, f, rig_echo(&r, f, 7));
	ck_assert_int_gt(rig_wait(&r, 5, f, sizeof(f), is_echo), 0);
	ck_assert_uint_eq(stats().started, 1);
	end();
}
END_TEST

/* Not by its name on the inside, and not by addresses that are its own there and everywhere. */
START_TEST(host_loopback_is_closed)
{
	static const uint32_t targets[] = { HOST, LOCAL, 0x7f010203, 0 };
	struct rig_tcp c = { .from = 4000, .seq = 1000 };
	int server = serve(&c.to);

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		r.peer = targets[i];
		c.from++;
		rig_send(&r, f, rig_tcp(&r, f, &c, RIG_SYN, NULL, 0));
		if (rig_wait(&r, 0.1, f, sizeof(f), is_tcp) > 0)
			ck_assert_uint_ne(f[47], RIG_SYN | RIG_ACK);
	}
	ck_assert_int_eq(accept(server, NULL, NULL), -1);
	close(server);
	end();
}
END_TEST

START_TEST(forwarded_port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(LOCAL) };
	char text[64], why[200];
	uint16_t port;
	int fd;

	close(serve(&port)); /* nobody has it now */
	snprintf(text, sizeof(text), "tcp::%u-:22", port);
	ck_assert_int_eq(nat_parse_forward(&net, text, why, sizeof(why)), 0);
	begin();
	ck_assert_int_gt(dhcp(1, 0), 0); /* so that the guest's address is known */
	ck_assert_int_gt(dhcp(3, GUEST), 0);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	to.sin_port = htons(port);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), -1);
	ck_assert_int_eq(errno, EINPROGRESS);
	ck_assert_int_gt(rig_wait(&r, 5, f, sizeof(f), is_tcp), 0);
	ck_assert_uint_eq(f[47], RIG_SYN);
	ck_assert_uint_eq(rig_get16(f + 36), 22);
	close(fd);
	end();
}
END_TEST

/* ---- a process that ends
 * -------------------------------------------------------------------------- */

START_TEST(killed_nat_comes_back)
{
	struct vsw_port_stats ps;
	struct nat_stats st;
	int pid;

	begin();
	pid = stats().pid;
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert(rig_until(&r, 5, !stats().running && stats().ended));
	ck_assert(!vsw_port_link(nat_port(nat)));
	ck_assert_str_eq(stats().port.state, "gone");
	ck_assert(WIFSIGNALED(stats().ended) && WTERMSIG(stats().ended) == SIGKILL);
	rig_send(&r, f, rig_echo(&r, f, 1));
	rig_until(&r, 0.05, false);
	vsw_port_stats(nat_port(nat), &ps);
	ck_assert_uint_eq(ps.drop_out[VSW_DROP_LINK_DOWN], 1);
	ck_assert(rig_until(&r, 5, stats().running));
	ck_assert(rig_resolve(&r, 5));
	st = stats();
	ck_assert_uint_eq(st.started, 2);
	ck_assert_int_ne(st.pid, pid);
	end();
	ck_assert_int_eq(kill(st.pid, 0), -1); /* nothing is left */
}
END_TEST

static void name_server(const char *file, const char *address)
{
	int fd = open(file, O_WRONLY | O_CREAT, 0644);

	ck_assert_int_ge(fd, 0);
	dprintf(fd, "nameserver %s\n", address);
	close(fd);
}

/* As a host does it that comes to another network. */
START_TEST(name_servers_that_change)
{
	static const uint8_t query[] = { 0x12, 0x34, 1, 0, 0, 1, 0,
					 0,    0,    0, 0, 0, /* one question */
					 1,    'a',  0, 0, 1, 0, 1 };
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(53) };
	char got[64];
	int fd;

	ck_assert_int_eq(unshare(CLONE_NEWNS | CLONE_NEWNET), 0);
	ck_assert_int_eq(system("ip link set lo up"), 0);
	ck_assert_int_eq(mount("none", "/etc", "tmpfs", 0, NULL), 0);
	name_server("/etc/resolv.conf", "127.0.0.98");
	inet_pton(AF_INET, "127.0.0.99", &at.sin_addr);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	begin();
	name_server("/etc/resolv.conf~", "127.0.0.99");
	ck_assert_int_eq(rename("/etc/resolv.conf~", "/etc/resolv.conf"), 0);
	for (int i = 0; i < 100 && recv(fd, got, sizeof(got), 0) != sizeof(query); i++) {
		r.peer = DNS;
		rig_send(&r, f, rig_udp(&r, f, 4001, 53, query, sizeof(query)));
		rig_until(&r, 0.05, false);
		ck_assert_int_lt(i, 99);
	}
	ck_assert_mem_eq(got, query, sizeof(query));
	ck_assert_uint_eq(stats().started, 2);
	close(fd);
	end();
}
END_TEST

/*
 * The name server may be a program on the host's loopback; what else listens there is behind
 * that address, too, and is no guest's business.
 */
START_TEST(name_server_serves_names_only)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	struct rig_tcp c = { .from = 4000, .to = 5353, .seq = 1 };
	int tcp, udp, dns, server = -1;
	char got[64];
	size_t len;

	ck_assert_int_eq(unshare(CLONE_NEWNS | CLONE_NEWNET), 0);
	ck_assert_int_eq(system("ip link set lo up"), 0);
	ck_assert_int_eq(mount("none", "/etc", "tmpfs", 0, NULL), 0);
	name_server("/etc/resolv.conf", "127.0.0.98");
	inet_pton(AF_INET, "127.0.0.98", &at.sin_addr);
	tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	dns = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	at.sin_port = htons(5353);
	ck_assert_int_eq(bind(tcp, (struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(listen(tcp, 4), 0);
	ck_assert_int_eq(bind(udp, (struct sockaddr *)&at, sizeof(at)), 0);
	at.sin_port = htons(53);
	ck_assert_int_eq(bind(dns, (struct sockaddr *)&at, sizeof(at)), 0);
	begin();
	r.peer = DNS;
	rig_send(&r, f, rig_tcp(&r, f, &c, RIG_SYN, NULL, 0));
	rig_send(&r, f, rig_udp(&r, f, 4001, 5353, "ping", 4));
	len = rig_udp(&r, f, 4002, 5353, "pieces!!", 8); /* the port is in the first one */
	rig_put16(f + 16, 28);
	rig_put16(f + 20, 0x2000);
	rig_put16(f + 24, 0);
	rig_put16(f + 24, ~rig_sum(0, f + 14, 20));
	rig_send(&r, f, 42);
	memcpy(f + 34, f + 42, 8);
	rig_put16(f + 20, 1);
	rig_put16(f + 24, 0);
	rig_put16(f + 24, ~rig_sum(0, f + 14, 20));
	rig_send(&r, f, len - 8);
	rig_send(&r, f, rig_udp(&r, f, 4003, 53, "name", 4));
	ck_assert(rig_until(&r, 5, recv(dns, got, sizeof(got), 0) == 4));
	rig_until(&r, 0.1, (server = accept(tcp, NULL, NULL)) >= 0);
	ck_assert_int_eq(server, -1);
	ck_assert_int_eq(recv(udp, got, sizeof(got), 0), -1);
	close(tcp);
	close(udp);
	close(dns);
	end();
}
END_TEST

static uint32_t chance(uint32_t below)
{
	static uint64_t s = 88172645463325252u;

	s ^= s << 13;
	s ^= s >> 7;
	s ^= s << 17;
	return (uint32_t)(s % below);
}

static size_t some_frame(uint32_t kind)
{
	static const uint8_t data[64];
	static const uint8_t nd[] = { 0x60, 0, 0, 0, 0, 24, 58, 255, 0xfe, 0x80, 0,    0,    0,	 0,
				      0,    0, 0, 0, 0, 0,  0,	0,   0,	   1,	 0xff, 0x02, 0,	 0,
				      0,    0, 0, 0, 0, 0,  0,	1,   0xff, 0,	 0,    2,    135 };
	const struct rig_tcp c = { 4000, 80, chance(~0u), chance(~0u) };

	switch (kind) {
	case 0:
		return rig_arp(&r, f);
	case 1:
		return rig_echo(&r, f, 1);
	case 2:
		return rig_tcp(&r, f, &c, (uint8_t)chance(64), data, chance(64));
	case 3:
		return rig_udp(&r, f, 68, 67, data, chance(64)); /* DHCP */
	case 4:
		return rig_udp(&r, f, 4000, 69, data, chance(64)); /* TFTP */
	default:
		memset(f, 0, 128);
		memcpy(f + rig_eth(&r, f, r.host, NET_ETHERTYPE_IP6), nd, sizeof(nd));
		return 14 + 40 + 24;
	}
}

/* A thousand frames with a few bytes wrong, cut or stretched: it lives, or it comes back. */
START_TEST(n42_malformed_frames)
{
	const struct rig at = { .ip = GUEST, .peer = HOST };

	begin();
	for (int i = 0; i < 1000; i++) {
		size_t len = some_frame(chance(6));

		for (uint32_t n = chance(8); n; n--)
			f[12 + chance((uint32_t)len - 12)] = (uint8_t)chance(256);
		if (!chance(4))
			len = 14 + chance((uint32_t)len + 40 - 14);
		rig_send(&r, f, len);
		if (i % 32 == 31)
			rig_until(&r, 0.002, false);
		while (rig_recv(&r, f, sizeof(f)) > 0)
			;
	}
	r.ip = at.ip;
	r.peer = at.peer;
	ck_assert(rig_resolve(&r, 5));
	rig_send(&r, f, rig_echo(&r, f, 9));
	ck_assert_int_gt(rig_wait(&r, 5, f, sizeof(f), is_echo), 0);
	end();
}
END_TEST

/* ---- life
 * ------------------------------------------------------------------------------------------ */

START_TEST(several_that_come_and_go)
{
	struct nat_stats first, second;
	char why[200] = "";
	struct nat *other;

	begin();
	ck_assert_int_eq(nat_create(&other, nats, r.sw, "nat", &net, why, sizeof(why)), -EEXIST);
	net.network.s_addr = htonl(0x0a000300);
	ck_assert_int_eq(nat_create(&other, nats, r.sw, "nat2", &net, why, sizeof(why)), 0);
	nat_stats(other, &second);
	ck_assert(rig_until(&r, 5, (nat_stats(other, &second), second.running)));
	first = stats();
	ck_assert_int_ne(first.pid, second.pid);
	nat_destroy(other);
	ck_assert(rig_until(&r, 5, kill(second.pid, 0) && errno == ESRCH));
	ck_assert(rig_resolve(&r, 5)); /* the first is as it was */
	ck_assert_int_eq(stats().pid, first.pid);
	net.network.s_addr = htonl(0x0a000301);
	ck_assert_int_eq(nat_create(&other, nats, r.sw, "nat2", &net, why, sizeof(why)), -EINVAL);
	end();
}
END_TEST

/* Whoever has to bury it now may take its time. */
static bool has_ended(int pid)
{
	char path[64], line[512] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return true;
	if (read(fd, line, sizeof(line) - 1) < 0)
		line[0] = 0;
	close(fd);
	return !line[0] || strstr(line, ") Z");
}

/* The root is killed: nobody says goodbye to anybody. */
START_TEST(processes_end_with_their_root)
{
	int pipe_[2], pid[2], status;
	pid_t root;

	ck_assert_int_eq(pipe(pipe_), 0);
	root = fork();
	if (!root) {
		begin();
		pid[0] = stats().pid;
		if (write(pipe_[1], pid, sizeof(pid)) != sizeof(pid))
			_exit(1);
		pause();
		_exit(0);
	}
	ck_assert_int_eq(read(pipe_[0], pid, sizeof(pid)), sizeof(pid));
	ck_assert_int_eq(kill(pid[0], 0), 0);
	kill(root, SIGKILL);
	ck_assert_int_eq(waitpid(root, &status, 0), root);
	for (int i = 0; i < 500 && !has_ended(pid[0]); i++)
		usleep(10000);
	ck_assert(has_ended(pid[0]));
	close(pipe_[0]);
	close(pipe_[1]);
}
END_TEST

/* Of the sockets here, the one that carries frames: the process that starts NATs made it. */
static int frames_socket(void)
{
	for (int fd = 3; fd < 100; fd++) {
		struct ucred who = { 0 };
		socklen_t len = sizeof(who);

		if (!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) &&
		    who.pid == nat_host_pid(nats))
			return fd;
	}
	return -1;
}

/* One that a guest has taken over need not do what is expected of it. */
START_TEST(process_that_hangs_up_and_stays)
{
	int pid;

	begin();
	pid = stats().pid;
	ck_assert_int_eq(kill(pid, SIGSTOP), 0);
	ck_assert_int_eq(shutdown(frames_socket(), SHUT_RDWR), 0);
	ck_assert(rig_until(&r, 5, stats().ended));
	ck_assert(WIFSIGNALED(stats().ended));
	ck_assert(has_ended(pid)); /* so that another is started, as after any end */
	end();
}
END_TEST

START_TEST(who_starts_them_is_killed)
{
	char why[200] = "";
	struct nat *other;
	int pid;

	begin();
	log_set_fd(open("/dev/null", O_WRONLY)); /* the root complains, as it should */
	pid = stats().pid;
	ck_assert_int_eq(kill(nat_host_pid(nats), SIGKILL), 0);
	/* As a whole: with a sanitizer's thread in it, its sockets outlive its first thread. */
	ck_assert_int_eq(waitpid(nat_host_pid(nats), NULL, 0), nat_host_pid(nats));
	ck_assert(rig_until(&r, 5, !stats().running && !vsw_port_link(nat_port(nat))));
	ck_assert(rig_until(&r, 5, has_ended(pid)));
	net.network.s_addr = htonl(0x0a000300);
	ck_assert_int_eq(nat_create(&other, nats, r.sw, "nat2", &net, why, sizeof(why)), -EIO);
	ck_assert_ptr_nonnull(strstr(why, "restart"));
	ck_assert_ptr_null(vsw_port_find(r.sw, "nat2"));
	end();
}
END_TEST

/* ---- what people write
 * -------------------------------------------------------------------------------- */

START_TEST(subnets)
{
	static const char *const wrong[] = {
		"",    "10.0.2.0",  "10.0.2.1/24", "10.0.2.0/28", "10.0.2.0/7",	 "10.0.2.0/24x",
		"/24", "10.0.2/24", "10.0.2.0/",   "::/24",	  "10.0.2.0/-1", "a.b.c.d/24"
	};
	char why[300];

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		why[0] = 0;
		ck_assert_int_eq(nat_parse_subnet(&net, wrong[i], why, sizeof(why)), -EINVAL);
		ck_assert_ptr_nonnull(strstr(why, "10.0.2.0/24"));
	}
	ck_assert_int_eq(nat_parse_subnet(&net, "172.16.0.0/12", why, sizeof(why)), 0);
	ck_assert_uint_eq(ntohl(net.network.s_addr), 0xac100000);
	ck_assert_uint_eq(net.prefix, 12);
}
END_TEST

START_TEST(forwards)
{
	static const char *const wrong[] = { "",
					     "tcp",
					     "tcp:1",
					     "tcp:1-2",
					     "tcp::0-:22",
					     "tcp::1-:65536",
					     "sctp::1-:2",
					     "tcp:x:1-:2",
					     "tcp::1-:2:3:4:",
					     "tcp::1-1.2.3:2",
					     ":1-:2",
					     "-tcp::1:2" };
	char why[300];

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		ck_assert_int_eq(nat_parse_forward(&net, wrong[i], why, sizeof(why)), -EINVAL);
	ck_assert_int_eq(nat_parse_forward(&net, "udp:0.0.0.0:53-10.0.2.99:5353", why, sizeof(why)),
			 0);
	ck_assert_uint_eq(net.nr_forwards, 1);
	ck_assert(net.forward[0].udp && !net.forward[0].host.s_addr);
	ck_assert_uint_eq(ntohl(net.forward[0].guest.s_addr), 0x0a000263);
	ck_assert_uint_eq(net.forward[0].host_port, 53);
	ck_assert_uint_eq(net.forward[0].guest_port, 5353);
	while (net.nr_forwards < NAT_MAX_FORWARDS)
		ck_assert_int_eq(nat_parse_forward(&net, "tcp::1-:2", why, sizeof(why)), 0);
	ck_assert_int_eq(nat_parse_forward(&net, "tcp::1-:2", why, sizeof(why)), -ENOSPC);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *s = suite_create("net_nat");
	TCase *t = tcase_create("net_nat");
	SRunner *sr;
	int failed;

	(void)argc;
	rig_inside(argv, "--mount");
	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, subnets);
	tcase_add_test(t, forwards);
	tcase_add_test(t, dhcp_gives_an_address);
	tcase_add_test(t, host_and_name_server_answer);
	tcase_add_loop_test(t, ipv6_router, 0, 2);
	tcase_add_test(t, another_subnet);
	tcase_add_test(t, connection_to_the_host);
	tcase_add_test(t, datagrams_to_the_host);
	tcase_add_test(t, what_leads_outside);
	tcase_add_test(t, host_loopback_is_closed);
	tcase_add_test(t, forwarded_port);
	tcase_add_test(t, killed_nat_comes_back);
	tcase_add_test(t, name_servers_that_change);
	tcase_add_test(t, name_server_serves_names_only);
	tcase_add_test(t, n42_malformed_frames);
	tcase_add_test(t, several_that_come_and_go);
	tcase_add_test(t, process_that_hangs_up_and_stays);
	tcase_add_test(t, who_starts_them_is_killed);
	tcase_add_test(t, processes_end_with_their_root);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
