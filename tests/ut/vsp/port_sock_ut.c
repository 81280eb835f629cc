/* SPDX-License-Identifier: MIT */
/*
 * Ports whose other end is a socket: frames both ways, whole and in order; a peer that does not
 * read, that sends nonsense, that goes; a limit that stops the reading instead of dropping. With
 * both engines of the loop.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/log.h"
#include "tests/ut/base/loop_rig.h"
#include "vsp/netvsp/port_sock.h"

#define FRAME 1514

static struct loop *loop;
static struct vsw *sw;
static uint64_t time_now(void *ctx)
{
	(void)ctx;
	return clock_ns();
}

/* A port, and who is at its other end. */
struct end {
	struct port_sock *sock;
	int fd, gone;
	struct end *again; /* gone() attaches a new peer to itself */
	uint8_t mac[NET_MAC_LEN];
};
static struct end a, b;

static void attach(struct end *e)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(port_sock_attach(e->sock, pair[0]), 0);
	e->fd = pair[1];
}

static void on_gone(void *ctx)
{
	struct end *e = ctx;

	e->gone++;
	if (e->again)
		attach(e);
}

static void end_create(struct end *e, const char *name, uint8_t last, uint64_t bps)
{
	struct port_sock_config cfg = {
		.name = name,
		.role = VSW_GUEST,
		.mac = { 2, 0, 0, 0, 0, last },
		.policy = { .bps = bps, .burst = bps ? 3200 : 0 },
		.gone = on_gone,
		.ctx = e,
	};
	char why[200] = "";

	memset(e, 0, sizeof(*e));
	memcpy(e->mac, cfg.mac, NET_MAC_LEN);
	ck_assert_msg(!port_sock_create(&e->sock, loop, sw, &cfg, why, sizeof(why)), "%s", why);
	ck_assert(!vsw_port_link(port_sock_port(e->sock)));
	attach(e);
	ck_assert(vsw_port_link(port_sock_port(e->sock)));
}

static void setup(int engine, uint64_t bps)
{
	struct vsw_config cfg = { .name = "test", .type = VSW_PRIVATE, .now = time_now };

	log_set_level(LOG_ERROR);
	loop = rig_loop(engine, 0);
	ck_assert_int_eq(vsw_create(&sw, &cfg), 0);
	end_create(&a, "a", 1, bps);
	end_create(&b, "b", 2, 0);
}

static void end_destroy(struct end *e)
{
	port_sock_destroy(e->sock);
	if (e->fd >= 0)
		close(e->fd);
}

static void teardown(void)
{
	end_destroy(&a);
	end_destroy(&b);
	vsw_destroy(sw);
	loop_destroy(loop);
}

/* From one to the other, @len bytes, the number @n in it. */
static void put_frame(const struct end *from, const struct end *to, uint32_t n, size_t len)
{
	uint8_t f[4096];

	ck_assert_uint_le(len, sizeof(f));
	memset(f, (int)n, sizeof(f));
	memcpy(f, to->mac, NET_MAC_LEN);
	memcpy(f + NET_MAC_LEN, from->mac, NET_MAC_LEN);
	f[12] = 0x88; /* a protocol nobody knows */
	f[13] = 0xb5;
	memcpy(f + NET_ETH_LEN, &n, sizeof(n));
	ck_assert_int_eq(send(from->fd, f, len, MSG_DONTWAIT), len);
}

/* Its length, -EAGAIN when there is none. The number that must be in it is @n. */
static int get_frame(const struct end *at, uint32_t n)
{
	uint8_t f[4096], want[4096];
	int len = (int)recv(at->fd, f, sizeof(f), MSG_DONTWAIT);
	uint32_t got;

	if (len < 0)
		return -errno;
	ck_assert_mem_eq(f, at->mac, NET_MAC_LEN);
	memcpy(&got, f + NET_ETH_LEN, sizeof(got));
	ck_assert_uint_eq(got, n);
	memset(want, (int)n, sizeof(want));
	if (len > (int)(NET_ETH_LEN + 4))
		ck_assert_mem_eq(f + NET_ETH_LEN + 4, want, (size_t)len - NET_ETH_LEN - 4);
	return len;
}

static uint64_t taken(const struct end *e)
{
	struct vsw_port_stats st;

	vsw_port_stats(port_sock_port(e->sock), &st);
	return st.in.frames;
}

static struct port_stats stats_of(const struct end *e)
{
	struct port_stats st;

	port_sock_stats(e->sock, &st);
	return st;
}

START_TEST(frames_arrive_whole_and_in_order)
{
	const size_t len[] = { 60, 61, FRAME, 200 };

	setup(_i, 0);
	for (uint32_t n = 0; n < 400; n += 100) {
		for (uint32_t i = 0; i < 100; i++)
			put_frame(&a, &b, n + i, len[i % 4]);
		rig_turn_until(loop, taken(&a) == n + 100);
		rig_settle(loop);
		for (uint32_t i = 0; i < 100; i++)
			ck_assert_int_eq(get_frame(&b, n + i), len[i % 4]);
	}
	put_frame(&b, &a, 7, FRAME);
	rig_turn_until(loop, taken(&b) == 1);
	rig_settle(loop);
	ck_assert_int_eq(get_frame(&a, 7), FRAME);
	ck_assert_int_eq(get_frame(&b, 0), -EAGAIN);
	teardown();
}
END_TEST

/* Every frame is either with the peer or counted; whoever sends is never held up. */
START_TEST(peer_that_does_not_read)
{
	uint32_t got = 0;
	uint8_t f[FRAME];

	setup(_i, 0);
	for (uint32_t n = 0; n < 1000; n++) {
		put_frame(&a, &b, n, FRAME);
		if (n % 50 == 49)
			rig_turn_until(loop, taken(&a) == n + 1);
	}
	while (recv(b.fd, f, sizeof(f), MSG_DONTWAIT) == FRAME)
		got++;
	ck_assert_uint_gt(got, 10);
	ck_assert_uint_lt(got, 1000);
	ck_assert_uint_eq(stats_of(&b).full, 1000 - got);
	put_frame(&a, &b, 5, 100);
	rig_turn_until(loop, taken(&a) == 1001);
	rig_settle(loop);
	ck_assert_int_eq(get_frame(&b, 5), 100);
	teardown();
}
END_TEST

START_TEST(peer_that_sends_nonsense)
{
	struct vsw_port_stats st;
	uint8_t giant[4096] = { 0 };

	setup(_i, 0);
	ck_assert_int_eq(send(a.fd, giant, sizeof(giant), 0), sizeof(giant));
	ck_assert_int_eq(send(a.fd, giant, 13, 0), 13);
	ck_assert_int_eq(send(a.fd, giant, 1, 0), 1);
	put_frame(&a, &b, 3, 100);
	rig_turn_until(loop, stats_of(&a).rejected == 3 && taken(&a) == 1);
	rig_settle(loop);
	ck_assert_int_eq(get_frame(&b, 3), 100);
	vsw_port_stats(port_sock_port(a.sock), &st);
	ck_assert_uint_eq(st.out.frames, 0);
	ck_assert_int_eq(send(a.fd, giant, 0, 0), 0); /* as if it had gone */
	rig_turn_until(loop, a.gone == 1);
	ck_assert_str_eq(stats_of(&a).state, "gone");
	teardown();
}
END_TEST

START_TEST(peer_goes_and_another_comes)
{
	struct vsw_port_stats st;

	setup(_i, 0);
	put_frame(&b, &a, 1, 100); /* it is still read */
	close(b.fd);
	rig_turn_until(loop, b.gone == 1);
	rig_settle(loop);
	ck_assert_int_eq(get_frame(&a, 1), 100);
	ck_assert(!vsw_port_link(port_sock_port(b.sock)));
	ck_assert_uint_eq(stats_of(&b).gone, 1);
	put_frame(&a, &b, 2, 100);
	rig_turn_until(loop, taken(&a) == 1);
	vsw_port_stats(port_sock_port(b.sock), &st);
	ck_assert_uint_eq(st.drop_out[VSW_DROP_LINK_DOWN], 1);
	attach(&b);
	ck_assert_str_eq(stats_of(&b).state, "up");
	put_frame(&a, &b, 3, 100);
	rig_turn_until(loop, taken(&a) == 2);
	rig_settle(loop);
	ck_assert_int_eq(get_frame(&b, 3), 100);
	b.again = &b; /* from inside its own end */
	close(b.fd);
	rig_turn_until(loop, b.gone == 2);
	put_frame(&a, &b, 4, 100);
	rig_turn_until(loop, taken(&a) == 3);
	rig_settle(loop);
	ck_assert_int_eq(get_frame(&b, 4), 100);
	teardown();
}
END_TEST

static void destroy_itself(void *ctx)
{
	struct end *e = ctx;

	port_sock_destroy(e->sock);
	e->sock = NULL;
	e->gone++;
}

START_TEST(port_destroyed_when_its_peer_goes)
{
	struct port_sock_config cfg = { .name = "c", .role = VSW_HOST, .gone = destroy_itself };
	struct end c = { 0 };

	setup(_i, 0);
	cfg.ctx = &c;
	ck_assert_int_eq(port_sock_create(&c.sock, loop, sw, &cfg, NULL, 0), 0);
	attach(&c);
	close(c.fd);
	rig_turn_until(loop, c.gone == 1);
	ck_assert_ptr_null(vsw_port_find(sw, "c"));
	teardown();
}
END_TEST

/* A link that somebody took down stays down, whoever comes and goes. */
START_TEST(link_that_is_wanted_down)
{
	struct vsw_port *port;

	setup(_i, 0);
	port = port_sock_port(b.sock);
	vsw_port_set_link(port, false);
	close(b.fd);
	rig_turn_until(loop, b.gone == 1);
	attach(&b);
	ck_assert(!vsw_port_link(port));
	vsw_port_set_link(port, true);
	ck_assert(vsw_port_link(port));
	close(b.fd);
	rig_turn_until(loop, b.gone == 2);
	vsw_port_set_link(port, true); /* there is nobody */
	ck_assert(!vsw_port_link(port));
	attach(&b);
	ck_assert(vsw_port_link(port));
	teardown();
}
END_TEST

START_TEST(limit_holds_frames_up)
{
	struct vsw_port_stats st;
	struct loop_stats before, after;
	uint64_t began = clock_ns();

	setup(_i, 1000000);
	for (uint32_t n = 0; n < 12; n++)
		put_frame(&a, &b, n, FRAME);
	loop_stats(loop, &before);
	rig_turn_until(loop, taken(&a) == 12);
	loop_stats(loop, &after);
	rig_settle(loop);
	ck_assert_uint_ge(clock_ns() - began, 80 * MS); /* nine or more of 12 ms each */
	ck_assert_uint_lt(after.turns - before.turns, 200);
	for (uint32_t n = 0; n < 12; n++)
		ck_assert_int_eq(get_frame(&b, n), FRAME);
	vsw_port_stats(port_sock_port(a.sock), &st);
	ck_assert_uint_eq(st.drop_in[VSW_DROP_BANDWIDTH], 0);
	teardown();
}
END_TEST

/* ---- what a socket cannot be told, the switch does first ----------------------------------- */

static const uint8_t udp[] = {
	0x02, 0,    0,	  0, 0, 2,  0x02, 0,	0, 0, 0,  3, /* to b */
	0x08, 0,    0x45, 0, 0, 32, 0,	  0,	0, 0, 64, 17,
	0x66, 0xcb, 10,	  0, 0, 1,  10,	  0,	0, 2, /* IPv4 */
	0x30, 0,    0x40, 0, 0, 12, 0x14, 0x20,	      /* UDP: the sum of the pseudo header */
	1,    2,    3,	  4,
};

static enum vsw_drop refuse(void *ctx, const struct net_frame *f, const struct net_meta *meta,
			    uint32_t from)
{
	(void)ctx;
	(void)f;
	(void)meta;
	(void)from;
	return VSW_DROP_FILTER;
}

static void nothing(void *ctx)
{
	(void)ctx;
}

static const struct vsw_port_ops sender = { .deliver = refuse, .flush = nothing };

static uint32_t sum(const uint8_t *p, size_t len)
{
	uint32_t s = 0;

	for (size_t i = 0; i < len; i += 2)
		s += (uint32_t)p[i] << 8 | p[i + 1];
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

START_TEST(checksums_are_complete)
{
	struct vsw_port_config cfg = { .name = "c", .mac = { 2, 0, 0, 0, 0, 3 }, .ops = &sender };
	struct iovec all = { (void *)udp, sizeof(udp) }, rest;
	uint8_t head[NET_HEAD_MAX + NET_VLAN_LEN], got[100];
	struct net_frame f;
	struct vsw_port *c;

	setup(_i, 0);
	char why[200];

	ck_assert_msg(!vsw_port_add(&c, sw, &cfg, why, sizeof(why)), "%s", why);
	ck_assert_int_eq(net_frame_init(&f, head, NET_HEAD_FIRST, &all, 1, &rest), 0);
	f.meta.csum = NET_CSUM_PARTIAL;
	f.meta.csum_start = 34;
	f.meta.csum_offset = 6;
	ck_assert_int_eq(vsw_input(c, &f), VSW_FORWARDED);
	vsw_flush(sw);
	ck_assert_int_eq(recv(b.fd, got, sizeof(got), MSG_DONTWAIT), sizeof(udp));
	ck_assert_uint_eq((sum(got + 26, 20) + 17 + 12) % 0xffff, 0); /* addresses, UDP, the rest */
	vsw_port_del(c);
	teardown();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("port_sock");
	TCase *t = tcase_create("port_sock");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(t, frames_arrive_whole_and_in_order, 0, NR_ENGINES);
	tcase_add_loop_test(t, peer_that_does_not_read, 0, NR_ENGINES);
	tcase_add_loop_test(t, peer_that_sends_nonsense, 0, NR_ENGINES);
	tcase_add_loop_test(t, peer_goes_and_another_comes, 0, NR_ENGINES);
	tcase_add_loop_test(t, port_destroyed_when_its_peer_goes, 0, NR_ENGINES);
	tcase_add_loop_test(t, link_that_is_wanted_down, 0, NR_ENGINES);
	tcase_add_loop_test(t, limit_holds_frames_up, 0, NR_ENGINES);
	tcase_add_loop_test(t, checksums_are_complete, 0, NR_ENGINES);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
