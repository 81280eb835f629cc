/* SPDX-License-Identifier: MIT */
/*
 * A switch, ports that remember what they got, a clock that stands still, and frames. Static:
 * each test includes it once.
 */
#ifndef HVBUS_TESTS_UT_VSP_VSW_RIG_H
#define HVBUS_TESTS_UT_VSP_VSW_RIG_H

#include <check.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/iov.h"
#include "vsp/netvsp/vswitch.h"

#define RIG_FRAME_MAX (NET_FRAME_MAX + 64)
#define SECOND	      1000000000ull

struct rig_port {
	struct vsw_port *p;
	char name[VSW_NAME];
	uint8_t mac[NET_MAC_LEN];
	uint32_t got, flushed, changed;
	uint32_t take; /* so many more are taken, then refused */
	enum vsw_drop refuse;
	bool picky; /* wants broadcast only */
	uint32_t from;
	uint32_t len; /* of the last one */
	struct net_meta meta;
	uint8_t *frame;
};

static struct vsw *sw;
static uint64_t rig_now;
static char rig_why[256];

static uint64_t rig_clock(void *ctx)
{
	(void)ctx;
	return rig_now;
}

static enum vsw_drop rig_deliver(void *ctx, const struct net_frame *f, const struct net_meta *meta,
				 uint32_t from)
{
	struct rig_port *r = ctx;

	if (!r->take)
		return r->refuse;
	r->take--;
	r->got++;
	r->from = from;
	r->meta = *meta;
	r->len = f->len;
	ck_assert_uint_le(f->len, RIG_FRAME_MAX);
	memcpy(r->frame, f->head, f->head_len);
	ck_assert_uint_eq(
		iov_to_buf(f->iov, f->iovcnt, 0, r->frame + f->head_len, f->len - f->head_len),
		f->len - f->head_len);
	return VSW_FORWARDED;
}

static void rig_flush(void *ctx)
{
	((struct rig_port *)ctx)->flushed++;
}

static void rig_changed(void *ctx)
{
	((struct rig_port *)ctx)->changed++;
}

static bool rig_wants(void *ctx, const uint8_t *dst)
{
	return !((struct rig_port *)ctx)->picky || dst[0] == 0xff;
}

static const struct vsw_port_ops rig_ops = {
	.deliver = rig_deliver,
	.flush = rig_flush,
	.changed = rig_changed,
	.wants = rig_wants,
};

#define RIG_ALL (VSW_CAN_CSUM | VSW_CAN_TSO4 | VSW_CAN_TSO6 | VSW_CAN_VLAN)

/* 02:00:00:00:00:LAST; 0: none. */
static void rig_mac(uint8_t *mac, uint8_t last)
{
	memset(mac, 0, NET_MAC_LEN);
	if (!last)
		return;
	mac[0] = 2;
	mac[5] = last;
}

static struct vsw_port_config rig_config(struct rig_port *r, const char *name, uint8_t mac)
{
	*r = (struct rig_port){ .take = UINT32_MAX, .refuse = VSW_DROP_NO_BUFFER };
	snprintf(r->name, sizeof(r->name), "%s", name);
	rig_mac(r->mac, mac);
	r->frame = calloc(1, RIG_FRAME_MAX);
	struct vsw_port_config cfg = {
		.name = r->name,
		.role = VSW_GUEST,
		.caps = RIG_ALL,
		.ops = &rig_ops,
		.ctx = r,
	};
	memcpy(cfg.mac, r->mac, NET_MAC_LEN);
	return cfg;
}

static void rig_connect(struct rig_port *r, const struct vsw_port_config *cfg)
{
	int err = vsw_port_add(&r->p, sw, cfg, rig_why, sizeof(rig_why));

	ck_assert_msg(!err, "%s: %s", cfg->name, rig_why);
}

static void __attribute__((unused)) rig_guest(struct rig_port *r, const char *name, uint8_t mac)
{
	struct vsw_port_config cfg = rig_config(r, name, mac);

	rig_connect(r, &cfg);
}

static void __attribute__((unused)) rig_uplink(struct rig_port *r)
{
	struct vsw_port_config cfg = rig_config(r, "uplink", 0);

	cfg.role = VSW_UPLINK;
	rig_connect(r, &cfg);
}

static void rig_disconnect(struct rig_port *r)
{
	vsw_port_del(r->p);
	free(r->frame);
	r->p = NULL;
	r->frame = NULL;
}

static void rig_switch(bool bridge)
{
	struct vsw_config cfg = {
		.name = "lan",
		.type = VSW_EXTERNAL,
		.bridge = bridge,
		.now = rig_clock,
	};

	rig_now = 1000 * SECOND;
	ck_assert_int_eq(vsw_create(&sw, &cfg), 0);
}

/* Disconnects whoever is there. */
static void rig_end(void)
{
	struct vsw_port *p;

	while ((p = vsw_port_next(sw, NULL)))
		vsw_port_del(p);
	vsw_destroy(sw);
	sw = NULL;
}

static struct vsw_port_stats rig_stats(const struct rig_port *r)
{
	struct vsw_port_stats s;

	vsw_port_stats(r->p, &s);
	return s;
}

static uint64_t __attribute__((unused)) rig_drop_in(const struct rig_port *r, enum vsw_drop why)
{
	return rig_stats(r).drop_in[why];
}

static uint64_t __attribute__((unused)) rig_drop_out(const struct rig_port *r, enum vsw_drop why)
{
	return rig_stats(r).drop_out[why];
}

static void __attribute__((unused)) rig_set(struct rig_port *r, const struct vsw_policy *policy)
{
	ck_assert_msg(!vsw_port_set_policy(r->p, policy, rig_why, sizeof(rig_why)), "%s", rig_why);
}

/* ---- frames ------------------------------------------------------------------------------ */

struct packet {
	uint32_t len;
	uint32_t copy; /* into the private head; 0 = as drivers do */
	struct net_meta meta;
	uint8_t b[RIG_FRAME_MAX];
};

static const uint8_t rig_broadcast[NET_MAC_LEN] = { 255, 255, 255, 255, 255, 255 };

static void pkt_begin(struct packet *k, const uint8_t *dst, const uint8_t *src, uint16_t ethertype)
{
	memset(k, 0, offsetof(struct packet, b) + 256);
	memcpy(k->b, dst, NET_MAC_LEN);
	memcpy(k->b + NET_MAC_LEN, src, NET_MAC_LEN);
	be16_put(k->b + 12, ethertype);
	k->len = NET_ETH_LEN;
}

static void __attribute__((unused)) pkt_put(struct packet *k, const void *data, uint32_t len)
{
	memcpy(k->b + k->len, data, len);
	k->len += len;
}

/* Something of 60 bytes that is no protocol. */
static void __attribute__((unused))
pkt_plain(struct packet *k, const uint8_t *dst, const uint8_t *src)
{
	pkt_begin(k, dst, src, 0x88b5);
	for (; k->len < 60; k->len++)
		k->b[k->len] = (uint8_t)k->len;
}

static void __attribute__((unused)) pkt_tag(struct packet *k, uint16_t tci)
{
	k->meta.tagged = true;
	k->meta.vlan_tci = tci;
}

/* A tag in the bytes of the frame. */
static void __attribute__((unused)) pkt_tag_inside(struct packet *k, uint16_t type, uint16_t tci)
{
	memmove(k->b + 16, k->b + 12, k->len - 12);
	be16_put(k->b + 12, type);
	be16_put(k->b + 14, tci);
	k->len += NET_VLAN_LEN;
}

/* The payload in two pieces, as drivers hand it over. */
static enum vsw_drop rig_send(struct rig_port *r, const struct packet *k)
{
	uint8_t head[NET_HEAD_MAX + NET_VLAN_LEN];
	struct iovec iov[2], rest[2];
	struct net_frame f;

	iov[0] = (struct iovec){ (void *)(uintptr_t)k->b, k->len / 2 };
	iov[1] = (struct iovec){ (void *)(uintptr_t)(k->b + k->len / 2), k->len - k->len / 2 };
	ck_assert_int_eq(net_frame_init(&f, head, k->copy ? k->copy : NET_HEAD_FIRST, iov, 2, rest),
			 0);
	f.meta = k->meta;
	return vsw_input(r->p, &f);
}

static enum vsw_drop __attribute__((unused))
rig_send_plain(struct rig_port *from, const uint8_t *dst, const uint8_t *src)
{
	static struct packet k;

	pkt_plain(&k, dst, src);
	return rig_send(from, &k);
}

static int rig_main(Suite *s)
{
	SRunner *sr = srunner_create(s);
	int failed;

	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
