/* SPDX-License-Identifier: MIT */
/*
 * An adapter between a mock guest and a real switch, with one more port that records what it is
 * given. Included by one test program each.
 */
#ifndef HVBUS_TESTS_UT_VSP_NET_DATA_RIG_H
#define HVBUS_TESTS_UT_VSP_NET_DATA_RIG_H

#include <check.h>
#include <stdlib.h>

#include "base/loop.h"
#include "tests/fake/mock_net_guest.h"
#include "tests/fake/net_vectors.h"
#include "vsp/netvsp/netvsp.h"

#define MEMORY	   (48u << 20)
#define MAX_FRAMES 512u
#define GUEST_MAC  "\x00\x15\x5d\x01\x02\xa0"
#define PEER_MAC   "\x02\x00\x00\x00\x00\x01"
#define OTHER_MAC  "\x02\x00\x00\x00\x00\x02"

struct recorded {
	uint32_t len;
	struct net_meta meta;
	uint8_t *bytes;
};

/* A port of the switch that takes everything and remembers it. */
struct peer {
	struct vsw_port *port;
	struct recorded frame[MAX_FRAMES];
	uint32_t n, flushes;
	bool forgetful; /* records nothing */
};

static struct loop *loop;
static struct vmbus_bus *bus;
static struct vsw *sw;
static struct netvsp *nic;
static struct mock_net_guest g;
static struct peer peer, other;
static uint64_t now_ns;
static bool destroyed;

static uint64_t rig_now(void *ctx)
{
	(void)ctx;
	return now_ns;
}

static enum vsw_drop peer_deliver(void *ctx, const struct net_frame *f, const struct net_meta *m,
				  uint32_t from)
{
	struct peer *p = ctx;
	struct recorded *r = &p->frame[p->n];
	int i;

	(void)from;
	if (p->forgetful)
		return VSW_FORWARDED;
	ck_assert_uint_lt(p->n, MAX_FRAMES);
	*r = (struct recorded){ .len = f->len, .meta = *m, .bytes = malloc(f->len) };
	memcpy(r->bytes, f->head, f->head_len);
	r->len = f->head_len;
	for (i = 0; i < f->iovcnt; i++) {
		memcpy(r->bytes + r->len, f->iov[i].iov_base, f->iov[i].iov_len);
		r->len += (uint32_t)f->iov[i].iov_len;
	}
	ck_assert_uint_eq(r->len, f->len);
	p->n++;
	return VSW_FORWARDED;
}

static void peer_flush(void *ctx)
{
	((struct peer *)ctx)->flushes++;
}

static const struct vsw_port_ops peer_ops = { .deliver = peer_deliver, .flush = peer_flush };

static void peer_forget(struct peer *p)
{
	while (p->n)
		free(p->frame[--p->n].bytes);
}

static void peer_up(struct peer *p, const char *name, const char *mac, uint32_t caps)
{
	struct vsw_port_config cfg = {
		.name = name,
		.role = VSW_GUEST,
		.caps = caps,
		.mtu = 9000,
		.ops = &peer_ops,
		.ctx = p,
	};

	memset(p, 0, sizeof(*p));
	memcpy(cfg.mac, mac, NET_MAC_LEN);
	cfg.policy.vlan_mode = VSW_TRUNK;
	memset(cfg.policy.allowed, 0xff, sizeof(cfg.policy.allowed));
	ck_assert_int_eq(vsw_port_add(&p->port, sw, &cfg, NULL, 0), 0);
}

/* The switch, both peers, the adapter; the guest has not opened it. */
static void rig_up(const struct netvsp_config *with)
{
	struct vsw_config vc = { .name = "lan", .type = VSW_PRIVATE, .now = rig_now };
	struct netvsp_config cfg = with ? *with : (struct netvsp_config){ 0 };
	char why[160] = "";

	now_ns = 1000000000;
	destroyed = false;
	ck_assert_int_eq(loop_create(&loop, NULL), 0);
	bus = fake_bus_create(loop, MEMORY);
	ck_assert_int_eq(vsw_create(&sw, &vc), 0);
	peer_up(&peer, "peer", PEER_MAC, VSW_CAN_CSUM | VSW_CAN_TSO4 | VSW_CAN_TSO6 | VSW_CAN_VLAN);
	peer_up(&other, "other", OTHER_MAC, VSW_CAN_VLAN);
	cfg.name = "nic0";
	cfg.loop = loop;
	memcpy(cfg.mac, GUEST_MAC, NET_MAC_LEN);
	ck_assert_msg(!netvsp_create(&nic, bus, sw, &cfg, why, sizeof(why)), "%s", why);
}

static void on_gone(void *ctx)
{
	*(bool *)ctx = true;
}

static void rig_down(void)
{
	int i;

	netvsp_destroy(nic, on_gone, &destroyed);
	for (i = 0; i < 1000 && !destroyed; i++)
		fake_bus_turn(bus);
	ck_assert(destroyed);
	mock_net_free(&g);
	peer_forget(&peer);
	peer_forget(&other);
	vsw_port_del(peer.port);
	vsw_port_del(other.port);
	vsw_destroy(sw);
	fake_bus_destroy(bus);
	loop_destroy(loop);
}

/* A trunk guest, so that tags go both ways. */
static inline struct netvsp_config rig_trunk(void)
{
	struct netvsp_config cfg = { .max_queues = 4 };

	cfg.policy.vlan_mode = VSW_TRUNK;
	cfg.policy.priority_tag = true;
	memset(cfg.policy.allowed, 0xff, sizeof(cfg.policy.allowed));
	return cfg;
}

static void setup(void)
{
	struct netvsp_config cfg = rig_trunk();

	rig_up(&cfg);
	mock_net_start(&g, bus);
}

static inline struct netvsp_stats stats(void)
{
	struct netvsp_stats st;

	netvsp_stats(nic, &st);
	return st;
}

/* ---- frames ----------------------------------------------------------------------------- */

/* @len bytes: addresses, an ethertype nobody looks into, a pattern. */
static uint32_t make_eth(uint8_t *f, const char *dst, const char *src, uint32_t len, uint32_t seed)
{
	uint32_t i;

	memcpy(f, dst, NET_MAC_LEN);
	memcpy(f + NET_MAC_LEN, src, NET_MAC_LEN);
	be16_put(f + 12, 0x88b5);
	for (i = NET_ETH_LEN; i < len; i++)
		f[i] = (uint8_t)(i * 7 + seed);
	return len;
}

/* TCP or UDP over IPv4, @payload bytes, checksums complete unless @partial. */
static inline uint32_t make_ip4(uint8_t *f, const char *dst, const char *src, uint8_t protocol,
				uint32_t payload, bool partial)
{
	uint32_t header = protocol == 6 ? 20 : 8, l4 = header + payload, i;
	uint8_t *ip = f + NET_ETH_LEN, *t = ip + 20;
	struct net_frame frame;
	struct iovec v, rest;
	uint8_t head[NET_HEAD_MAX + NET_VLAN_LEN];
	uint16_t sum;

	make_eth(f, dst, src, NET_ETH_LEN + 20 + l4, 1);
	be16_put(f + 12, NET_ETHERTYPE_IP4);
	memset(ip, 0, 20 + header);
	ip[0] = 0x45;
	be16_put(ip + 2, (uint16_t)(20 + l4));
	ip[8] = 64;
	ip[9] = protocol;
	memcpy(ip + 12, "\x0a\x00\x00\x01\x0a\x00\x00\x02", 8);
	sum = net_csum_ip4(ip, 20);
	memcpy(ip + 10, &sum, 2);
	be16_put(t, 4000);
	be16_put(t + 2, 5001);
	if (protocol == 6)
		t[12] = 0x50, t[13] = 0x10;
	else
		be16_put(t + 4, (uint16_t)l4);
	v = (struct iovec){ f, NET_ETH_LEN + 20 + l4 };
	ck_assert_int_eq(net_frame_init(&frame, head, NET_HEAD_MAX, &v, 1, &rest), 0);
	net_frame_parse(&frame);
	i = net_csum_pseudo(&frame, l4);
	if (!partial)
		i = net_csum_add(i, t, l4);
	sum = net_csum_fold(i);
	sum = partial ? sum : (uint16_t)~sum;
	memcpy(t + (protocol == 6 ? 16 : 6), &sum, 2);
	return (uint32_t)v.iov_len;
}

/* Is the checksum of a TCP or UDP frame over IPv4, without a tag, right? */
static inline bool l4_is_right(const uint8_t *f, uint32_t len)
{
	struct net_frame frame;
	struct iovec v = { (void *)f, len }, rest;
	uint8_t head[NET_HEAD_MAX + NET_VLAN_LEN];
	uint32_t sum;

	ck_assert_int_eq(net_frame_init(&frame, head, NET_HEAD_MAX, &v, 1, &rest), 0);
	net_frame_parse(&frame);
	ck_assert_uint_gt(frame.proto.l4, 0);
	sum = net_csum_pseudo(&frame, len - frame.proto.l4);
	return net_csum_fold(net_csum_add(sum, f + frame.proto.l4, len - frame.proto.l4)) == 0xffff;
}

/* One element of per-packet information; its size. */
static inline uint32_t put_info(uint8_t *at, uint32_t type, uint32_t value)
{
	struct rndis_info_u32 e = { { sizeof(e), type, sizeof(e.info) }, value };

	memcpy(at, &e, sizeof(e));
	return sizeof(e);
}

/* A frame from the peer's side, as any port would put it in. */
static inline enum vsw_drop peer_input(struct peer *p, uint8_t *bytes, uint32_t len,
				       const struct net_meta *meta)
{
	static uint8_t head[NET_HEAD_MAX + NET_VLAN_LEN];
	static struct iovec rest;
	struct iovec v = { bytes, len };
	struct net_frame f;

	ck_assert_int_eq(net_frame_init(&f, head, NET_HEAD_MAX, &v, 1, &rest), 0);
	if (meta)
		f.meta = *meta;
	return vsw_input(p->port, &f);
}

/* Waits for one completion of the guest's requests: its NVSP status; fails when none comes. */
static inline uint32_t completion_of(uint16_t sub, uint64_t id)
{
	struct mock_net_packet p;
	uint32_t status = UINT32_MAX;

	ck_assert(id);
	mock_net_run(&g);
	while (mock_net_poll(&g, sub, &p)) {
		if (p.type != VMPKT_COMPLETION || p.id != id)
			continue;
		ck_assert_msg(status == UINT32_MAX, "completed twice");
		ck_assert_uint_eq(p.payload[0], NVSP_SEND_RNDIS_PACKET_COMPLETE);
		memcpy(&status, p.payload + 4, sizeof(status));
	}
	ck_assert_msg(status != UINT32_MAX, "no completion");
	return status;
}

#endif
