/* SPDX-License-Identifier: MIT */
/*
 * For tests of ports that lead out of a switch: a switch on a loop of the test's thread, a guest
 * that is a socket, and frames made by hand, with checksums of their own.
 */
#ifndef HVBUS_TESTS_NET_RIG_H
#define HVBUS_TESTS_NET_RIG_H

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "vsp/netvsp/port_sock.h"

#define RIG_S 1000000000ull

struct rig {
	struct loop *loop;
	struct vsw *sw;
	struct port_sock *guest;
	int fd;					     /* the guest's end */
	uint8_t mac[NET_MAC_LEN], host[NET_MAC_LEN]; /* of the guest; where it sends to */
	uint32_t ip, peer; /* of the guest; the one it speaks to. Host order */
};

static uint64_t rig_now(void *ctx)
{
	(void)ctx;
	return clock_ns();
}

static inline void rig_create(struct rig *r, enum vsw_type type)
{
	struct vsw_config sc = { .name = "test", .type = type, .now = rig_now };
	struct port_sock_config pc = { .name = "guest",
				       .mac = { 2, 0, 0, 0, 0, 1 },
				       .policy = { .mac_spoofing = true } };
	int pair[2];

	log_set_level(LOG_ERROR);
	memset(r, 0, sizeof(*r));
	memcpy(r->mac, pc.mac, NET_MAC_LEN);
	ck_assert_int_eq(loop_create(&r->loop, NULL), 0);
	ck_assert_int_eq(vsw_create(&r->sw, &sc), 0);
	ck_assert_int_eq(port_sock_create(&r->guest, r->loop, r->sw, &pc, NULL, 0), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(port_sock_attach(r->guest, pair[0]), 0);
	r->fd = pair[1];
}

/* The other ports are gone. */
static inline void rig_destroy(struct rig *r)
{
	port_sock_destroy(r->guest);
	close(r->fd);
	vsw_destroy(r->sw);
	loop_destroy(r->loop);
}

static inline void rig_turn(struct rig *r)
{
	ck_assert_int_ge(loop_turn(r->loop, RIG_S / 100), 0);
}

/* Turns until @cond; false: not within @seconds. */
#define rig_until(r, seconds, cond)                                                                \
	({                                                                                         \
		uint64_t end__ = clock_ns() + (uint64_t)((seconds)*1e9);                           \
		bool met__;                                                                        \
		while (!(met__ = (cond)) && clock_ns() < end__)                                    \
			rig_turn(r);                                                               \
		met__;                                                                             \
	})

/*
 * The program once more, as whoever has all rights in namespaces of its own and none outside:
 * @which is an option of unshare(1).
 */
static inline void rig_inside(char **argv, const char *which)
{
	if (getenv("HVBUS_TEST_NET_INSIDE"))
		return;
	setenv("HVBUS_TEST_NET_INSIDE", "1", 1);
	execlp("unshare", "unshare", "--map-root-user", which, "--", argv[0], NULL);
	perror("unshare (of util-linux)");
	exit(EXIT_FAILURE);
}

/* ---- frames --------------------------------------------------------------------------- */

static inline void rig_put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}
static inline void rig_put32(uint8_t *p, uint32_t v)
{
	rig_put16(p, v >> 16);
	rig_put16(p + 2, v);
}
static inline uint32_t rig_get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}
static inline uint32_t rig_get32(const uint8_t *p)
{
	return rig_get16(p) << 16 | rig_get16(p + 2);
}

static inline uint32_t rig_sum(uint32_t s, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		s += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

static inline size_t rig_eth(const struct rig *r, uint8_t *f, const uint8_t *dst, uint32_t type)
{
	memcpy(f, dst, NET_MAC_LEN);
	memcpy(f + NET_MAC_LEN, r->mac, NET_MAC_LEN);
	rig_put16(f + 12, type);
	return NET_ETH_LEN;
}

static const uint8_t rig_all[NET_MAC_LEN] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

/* Asks who has r->peer. */
static inline size_t rig_arp(const struct rig *r, uint8_t *f)
{
	static const uint8_t head[] = { 0, 1, 8, 0, 6, 4, 0, 1 };
	size_t at = rig_eth(r, f, rig_all, NET_ETHERTYPE_ARP);

	memset(f + at, 0, 28);
	memcpy(f + at, head, sizeof(head));
	memcpy(f + at + 8, r->mac, NET_MAC_LEN);
	rig_put32(f + at + 14, r->ip);
	rig_put32(f + at + 24, r->peer);
	return at + 28;
}

/* The header in front of @len bytes of transport that are at f + 34. */
static inline size_t rig_ip(const struct rig *r, uint8_t *f, uint8_t protocol, size_t len)
{
	uint8_t *ip = f + rig_eth(r, f, r->peer == ~0u ? rig_all : r->host, NET_ETHERTYPE_IP4);

	memset(ip, 0, 20);
	ip[0] = 0x45;
	rig_put16(ip + 2, (uint32_t)(20 + len));
	ip[8] = 64;
	ip[9] = protocol;
	rig_put32(ip + 12, r->ip);
	rig_put32(ip + 16, r->peer);
	rig_put16(ip + 10, ~rig_sum(0, ip, 20));
	return NET_ETH_LEN + 20 + len;
}

static inline uint32_t rig_l4_sum(const uint8_t *f, size_t len)
{
	return rig_sum(rig_sum(f[23] + (uint32_t)len, f + 26, 8), f + 34, len);
}

static inline size_t rig_udp(const struct rig *r, uint8_t *f, uint16_t from, uint16_t to,
			     const void *data, size_t len)
{
	uint8_t *u = f + NET_ETH_LEN + 20;
	size_t all = rig_ip(r, f, IPPROTO_UDP, 8 + len);

	rig_put16(u, from);
	rig_put16(u + 2, to);
	rig_put16(u + 4, (uint32_t)(8 + len));
	rig_put16(u + 6, 0);
	memcpy(u + 8, data, len);
	rig_put16(u + 6, ~rig_l4_sum(f, 8 + len));
	return all;
}

#define RIG_FIN 1
#define RIG_SYN 2
#define RIG_PSH 8
#define RIG_ACK 16

struct rig_tcp {
	uint16_t from, to;
	uint32_t seq, ack;
};

static inline size_t rig_tcp(const struct rig *r, uint8_t *f, const struct rig_tcp *c,
			     uint8_t flags, const void *data, size_t len)
{
	uint8_t *t = f + NET_ETH_LEN + 20;
	size_t all = rig_ip(r, f, IPPROTO_TCP, 20 + len);

	memset(t, 0, 20);
	rig_put16(t, c->from);
	rig_put16(t + 2, c->to);
	rig_put32(t + 4, c->seq);
	rig_put32(t + 8, c->ack);
	t[12] = 0x50;
	t[13] = flags;
	rig_put16(t + 14, 8192);
	if (len)
		memcpy(t + 20, data, len);
	rig_put16(t + 16, ~rig_l4_sum(f, 20 + len));
	return all;
}

static inline size_t rig_echo(const struct rig *r, uint8_t *f, uint16_t seq)
{
	uint8_t *c = f + NET_ETH_LEN + 20;
	size_t all = rig_ip(r, f, IPPROTO_ICMP, 8 + 32);

	memset(c, 0x61, 8 + 32);
	c[0] = 8;
	c[1] = 0;
	rig_put16(c + 2, 0);
	rig_put16(c + 6, seq);
	rig_put16(c + 2, ~rig_sum(0, c, 8 + 32));
	return all;
}

static inline void rig_send(const struct rig *r, const uint8_t *f, size_t len)
{
	ck_assert_int_eq(send(r->fd, f, len, 0), (ssize_t)len);
}

/* The next frame for the guest, or -1. */
static inline ssize_t rig_recv(const struct rig *r, uint8_t *f, size_t room)
{
	return recv(r->fd, f, room, MSG_DONTWAIT);
}

static inline bool rig_is_arp_reply(const struct rig *r, const uint8_t *f, ssize_t len)
{
	return len >= 42 && rig_get16(f + 12) == NET_ETHERTYPE_ARP && f[21] == 2 &&
	       rig_get32(f + 28) == r->peer && rig_get32(f + 38) == r->ip;
}
/* An IPv4 packet of @protocol from r->peer, with a good checksum of its header. */
static inline bool rig_is_ip(const struct rig *r, const uint8_t *f, ssize_t len, uint8_t protocol)
{
	return len >= 34 && rig_get16(f + 12) == NET_ETHERTYPE_IP4 && f[23] == protocol &&
	       rig_sum(0, f + 14, 20) == 0xffff && rig_get32(f + 26) == r->peer;
}

/* Turns until a frame comes that @test is true of; it is in f. Its length, -1 when none came. */
static inline ssize_t rig_wait(struct rig *r, double seconds, uint8_t *f, size_t room,
			       bool (*test)(const struct rig *r, const uint8_t *f, ssize_t len))
{
	uint64_t end = clock_ns() + (uint64_t)(seconds * 1e9);

	while (clock_ns() < end) {
		ssize_t len = rig_recv(r, f, room);

		if (len > 0 && test(r, f, len))
			return len;
		if (len < 0)
			rig_turn(r);
	}
	return -1;
}

/* Asks for r->peer's address into r->host, as often as it takes. */
static inline bool rig_resolve(struct rig *r, double seconds)
{
	uint64_t end = clock_ns() + (uint64_t)(seconds * 1e9);
	uint8_t f[2048];

	while (clock_ns() < end) {
		rig_send(r, f, rig_arp(r, f));
		if (rig_wait(r, 0.05, f, sizeof(f), rig_is_arp_reply) > 0) {
			memcpy(r->host, f + 22, NET_MAC_LEN);
			return true;
		}
	}
	return false;
}

#endif
