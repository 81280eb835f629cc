/* SPDX-License-Identifier: MIT */
/*
 * An adapter on a switch with one other port, for the control plane's tests: real rings, real
 * switch, a guest that the test plays (mock_net_guest.h).
 */
#ifndef HVBUS_TESTS_UT_VSP_NET_RIG_H
#define HVBUS_TESTS_UT_VSP_NET_RIG_H

#include <check.h>
#include <stdlib.h>

#include "base/loop.h"
#include "tests/fake/mock_net_guest.h"
#include "tests/fake/net_vectors.h"
#include "vsp/netvsp/net_priv.h"

#define RIG_MEMORY (32u << 20)

static const uint8_t guest_mac[NET_MAC_LEN] = { 0x00, 0x15, 0x5d, 0x01, 0x02, 0xa0 };
static const uint8_t peer_mac[NET_MAC_LEN] = { 0x00, 0x15, 0x5d, 0x01, 0x02, 0x01 };

static struct loop *loop;
static struct vmbus_bus *bus;
static struct vsw *sw;
static struct netvsp *nic;
static struct vsw_port *peer;
static struct mock_net_guest g;
static uint32_t peer_frames; /* that the other port got */
static int gone_calls;

static uint64_t rig_now(void *ctx)
{
	(void)ctx;
	return 1000000000;
}

static enum vsw_drop peer_deliver(void *ctx, const struct net_frame *f, const struct net_meta *meta,
				  uint32_t from)
{
	(void)ctx;
	(void)f;
	(void)meta;
	(void)from;
	peer_frames++;
	return VSW_FORWARDED;
}

static void peer_flush(void *ctx)
{
	(void)ctx;
}

static void rig_setup_with(const struct netvsp_config *cfg)
{
	static const struct vsw_port_ops ops = { .deliver = peer_deliver, .flush = peer_flush };
	struct vsw_config sc = { .name = "lan", .type = VSW_INTERNAL, .now = rig_now };
	struct vsw_port_config pc = { .name = "host", .role = VSW_HOST, .mtu = 65535, .ops = &ops };
	struct netvsp_config c = *cfg;
	char why[200] = "";

	ck_assert_int_eq(loop_create(&loop, NULL), 0);
	bus = fake_bus_create(loop, RIG_MEMORY);
	ck_assert_int_eq(vsw_create(&sw, &sc), 0);
	memcpy(pc.mac, peer_mac, NET_MAC_LEN);
	pc.caps = VSW_CAN_CSUM | VSW_CAN_TSO4 | VSW_CAN_TSO6 | VSW_CAN_VLAN;
	ck_assert_int_eq(vsw_port_add(&peer, sw, &pc, why, sizeof(why)), 0);
	memcpy(c.mac, guest_mac, NET_MAC_LEN);
	if (!c.name)
		c.name = "nic0";
	c.loop = loop;
	ck_assert_msg(!netvsp_create(&nic, bus, sw, &c, why, sizeof(why)), "%s", why);
	peer_frames = 0;
}

static inline void rig_setup(void)
{
	struct netvsp_config cfg = { .max_queues = 4 };

	rig_setup_with(&cfg);
}

static inline void rig_setup_open(void)
{
	rig_setup();
	mock_net_open(&g, bus, 0);
}

static inline void rig_setup_started(void)
{
	rig_setup();
	mock_net_start(&g, bus);
}

static void rig_gone(void *ctx)
{
	ck_assert_ptr_eq(ctx, &gone_calls);
	gone_calls++;
}

static void rig_teardown(void)
{
	int i;

	gone_calls = 0;
	if (nic) {
		netvsp_destroy(nic, rig_gone, &gone_calls);
		for (i = 0; i < 100 && !gone_calls; i++)
			fake_bus_turn(bus);
		ck_assert_int_eq(gone_calls, 1);
	}
	nic = NULL;
	mock_net_free(&g);
	vsw_port_del(peer);
	vsw_destroy(sw);
	ck_assert_uint_eq(fake_bus_counts(bus)->maps, fake_bus_counts(bus)->unmaps);
	fake_bus_destroy(bus);
	loop_destroy(loop);
}

/* ---- looking -------------------------------------------------------------------------- */

static inline struct netvsp_stats rig_stats(void)
{
	struct netvsp_stats s;

	netvsp_stats(nic, &s);
	return s;
}

#define assert_state(name) ck_assert_str_eq(rig_stats().state, name)

static inline uint64_t rig_drops(enum vsw_drop why)
{
	struct vsw_port_stats s;

	vsw_port_stats(netvsp_port(nic), &s);
	return s.drop_out[why];
}

/* A packet of the host is exactly this, padding and all. */
static inline void assert_packet(const struct mock_net_packet *p, const char *text)
{
	uint8_t want[1024], got[8192];
	uint32_t n = vector_bytes(text, want, sizeof(want));

	ck_assert_uint_eq(mock_net_bytes(p, got, sizeof(got)), n);
	ck_assert_mem_eq(got, want, n);
}

/* A frame from the other port to the guest: @len bytes of an ethertype nobody looks into. */
static inline enum vsw_drop rig_deliver_bytes(const uint8_t *frame, uint32_t len)
{
	uint8_t head[NET_HEAD_MAX + NET_VLAN_LEN];
	struct iovec iov = { (void *)(uintptr_t)frame, len }, rest[1];
	struct net_frame f;
	enum vsw_drop why;

	ck_assert_int_eq(net_frame_init(&f, head, NET_HEAD_FIRST, &iov, 1, rest), 0);
	why = vsw_input(peer, &f);
	vsw_flush(sw);
	return why;
}

static inline enum vsw_drop rig_deliver(uint32_t len)
{
	static uint8_t frame[NET_FRAME_MAX];

	memcpy(frame, guest_mac, NET_MAC_LEN);
	memcpy(frame + 6, peer_mac, NET_MAC_LEN);
	frame[12] = 0x88;
	frame[13] = 0xb5;
	return rig_deliver_bytes(frame, len);
}

/* A frame of the guest to the other port. */
static inline uint32_t rig_send(uint16_t sub)
{
	uint8_t frame[60] = { 0 };

	memcpy(frame, peer_mac, NET_MAC_LEN);
	memcpy(frame + 6, guest_mac, NET_MAC_LEN);
	frame[12] = 0x88;
	frame[13] = 0xb5;
	return mock_net_frame(&g, sub, frame, sizeof(frame));
}

static inline int rig_run(Suite *s)
{
	SRunner *r = srunner_create(s);
	int failed;

	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
