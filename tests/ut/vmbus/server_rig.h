/* SPDX-License-Identifier: MIT */
/*
 * A bus over a fake partition, an echo device, and a guest played by the test: it posts
 * hypercalls, takes messages out of its slots, and opens the other end of the rings. All on
 * one thread; every wait turns the loop, bounded by a deadline.
 */
#ifndef HVBUS_TESTS_SERVER_RIG_H
#define HVBUS_TESTS_SERVER_RIG_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "hv-core/port.h"
#include "tests/fake/fake_partition.h"
#include "tests/ut/vmbus/vmbus_main.h"
#include "vmbus/msg.h"
#include "vmbus/server.h"

#define VPS	  4u
#define MEMORY	  (16u << 20)
#define TOY_CHANS (1 + VMBUS_MAX_SUBCHANNELS)
#define DEADLINE  10000000000ull

/* ---- the echo device -------------------------------------------------------------------- */

struct toy_chan {
	struct vmbus_chan *chan;
	uint64_t held[64]; /* requests that are answered later */
	uint32_t nr_held;
	uint32_t opens, closes, drains, echoed;
	uint8_t user[VMBUS_USER_DATA];
	bool closing;
};

struct toy {
	struct vmbus_device *dev;
	struct toy_chan c[TOY_CHANS];
	int open_err;
	bool hold;	/* take requests and do not answer */
	bool stuck;	/* do not even take them */
	bool own_close; /* close() is not the end: toy_end() is */
	uint32_t gone;
};

static inline void toy_answer(struct toy_chan *t, uint64_t id, const void *payload, uint32_t len)
{
	REQUIRE(vmbus_chan_send_completion(t->chan, id, payload, len) == 0);
	t->echoed++;
}

static inline int toy_open(void *dev, uint16_t sub, struct vmbus_chan *chan, const uint8_t *user)
{
	struct toy *toy = dev;
	struct toy_chan *t = &toy->c[sub];

	if (toy->open_err)
		return toy->open_err;
	REQUIRE(!t->chan);
	t->chan = chan;
	t->closing = false;
	t->opens++;
	memcpy(t->user, user, sizeof(t->user));
	return 0;
}

static inline bool toy_drain(void *dev, uint16_t sub)
{
	struct toy *toy = dev;
	struct toy_chan *t = &toy->c[sub];
	struct vmpkt p;
	int n = 0;

	REQUIRE(t->chan && !t->closing && !vmbus_chan_faulted(t->chan)); /* never called then */
	t->drains++;
	while (!toy->stuck && n < 32 && vmbus_chan_recv(t->chan, &p) > 0) {
		if (toy->hold)
			t->held[t->nr_held++] = p.trans_id;
		else
			toy_answer(t, p.trans_id, p.payload, p.payload_len);
		n++;
	}
	vmbus_chan_recv_done(t->chan);
	return n > 0;
}

/* The last I/O of a closing channel. */
static inline void toy_end(struct toy *toy, uint16_t sub)
{
	struct toy_chan *t = &toy->c[sub];

	REQUIRE(t->chan && t->closing);
	t->chan = NULL;
	t->nr_held = 0;
	vmbus_device_closed(toy->dev, sub);
}

static inline void toy_close(void *dev, uint16_t sub)
{
	struct toy *toy = dev;
	struct toy_chan *t = &toy->c[sub];

	REQUIRE(t->chan && !t->closing);
	t->closing = true;
	store_release(&t->closes, t->closes + 1); /* server_threads_ut.c looks from elsewhere */
	if (!toy->own_close)
		toy_end(toy, sub);
}

static inline void toy_gone(void *dev)
{
	struct toy *toy = dev;

	toy->gone++;
	toy->dev = NULL;
}

static const struct vmbus_device_ops toy_ops = {
	.open = toy_open,
	.drain = toy_drain,
	.close = toy_close,
};

/* ---- the rig ------------------------------------------------------------------------------- */

static struct rig {
	struct loop *loop;
	struct fake_partition *f;
	struct vmbus_bus *bus;
	struct toy toy;
	bool shut;
	uint32_t fds;
} rig;

static inline uint32_t count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	uint32_t n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* How often guest memory, or a part of it, is mapped. */
static inline uint32_t count_guest_maps(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	uint32_t n = 0;

	while (fgets(line, sizeof(line), f))
		n += strstr(line, "fake-guest") != NULL;
	fclose(f);
	return n;
}

static inline int toy_offer_as(struct toy *toy, uint32_t n, const char *name)
{
	struct vmbus_device_desc desc = { .type = VMBUS_CLASS_SCSI, .name = name };

	memcpy(desc.instance.b, &n, sizeof(n));
	return vmbus_device_offer(&toy->dev, rig.bus, &desc, &toy_ops, toy);
}

static inline void rig_up_with(const struct vmbus_server_config *cfg)
{
	memset(&rig, 0, sizeof(rig));
	rig.fds = count_fds();
	ck_assert_int_eq(loop_create(&rig.loop, NULL), 0);
	ck_assert_int_eq(fake_partition_create(&rig.f, rig.loop, VPS, MEMORY), 0);
	for (uint32_t vp = 0; vp < VPS; vp++)
		fake_guest_enable(rig.f, vp);
	ck_assert_int_eq(vmbus_server_create(&rig.bus, fake_partition(rig.f), cfg), 0);
	ck_assert_int_eq(toy_offer_as(&rig.toy, 0, "toy"), 0);
}

static inline void rig_up(void)
{
	rig_up_with(NULL);
}

static inline void turn(void)
{
	ck_assert_int_ge(loop_turn(rig.loop, 1000000), 0);
}

/* Turns the loop until @what is true. */
#define UNTIL(what)                                                                                \
	do {                                                                                       \
		uint64_t end__ = clock_ns() + DEADLINE;                                            \
		while (!(what)) {                                                                  \
			turn();                                                                    \
			if (clock_ns() > end__)                                                    \
				ck_abort_msg("waited in vain: %s", #what);                         \
		}                                                                                  \
	} while (0)

/* A few turns in which nothing must happen. */
static inline void settle(void)
{
	for (int i = 0; i < 8; i++)
		ck_assert_int_ge(loop_turn(rig.loop, 0), 0);
}

static inline void on_shut(void *ctx)
{
	struct rig *r = ctx;

	ck_assert(!r->shut);
	r->shut = true;
}

static inline void rig_end_bus(void)
{
	vmbus_server_shutdown(rig.bus, on_shut, &rig);
	UNTIL(rig.shut);
	if (rig.toy.dev) {
		vmbus_device_revoke(rig.toy.dev, toy_gone);
		UNTIL(rig.toy.gone == 1);
	}
	vmbus_server_destroy(rig.bus);
	fake_partition_destroy(rig.f);
}

static inline void rig_down(void)
{
	rig_end_bus();
	loop_destroy(rig.loop);
	ck_assert_uint_eq(count_fds(), rig.fds); /* U5 */
}

/* ---- the guest's messages ---------------------------------------------------------------------
 */

static inline enum hv_status post(const union vmbus_msg *m, uint32_t len)
{
	return fake_guest_post_message(rig.f, HV_CONN_VMBUS_MESSAGE, HV_MESSAGE_VMBUS, m, len);
}

/* The next message in VP @vp's slot, which must be of @type. */
static inline union vmbus_msg expect_on(uint32_t vp, enum vmbus_msg_type type)
{
	struct hv_message slot;
	union vmbus_msg m;

	UNTIL(fake_guest_take_message(rig.f, vp, &slot, NULL));
	ck_assert_uint_eq(slot.type, HV_MESSAGE_VMBUS);
	memset(&m, 0, sizeof(m));
	memcpy(&m, slot.payload, slot.payload_size);
	ck_assert_msg(m.hdr.type == type, "%s expected, %s came", vmbus_msg_name(type),
		      vmbus_msg_name(m.hdr.type));
	ck_assert_uint_eq(slot.payload_size, vmbus_msg_size(type));
	return m;
}

static inline union vmbus_msg expect(enum vmbus_msg_type type)
{
	return expect_on(0, type);
}

static inline void expect_nothing(void)
{
	struct hv_message slot;

	settle();
	for (uint32_t vp = 0; vp < VPS; vp++)
		ck_assert(!fake_guest_take_message(rig.f, vp, &slot, NULL));
}

static inline void say(enum vmbus_msg_type type)
{
	union vmbus_msg m;

	ck_assert_int_eq(post(&m, vmbus_msg_init(&m, type)), HV_STATUS_SUCCESS);
}

static inline void contact(uint32_t version)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_INITIATE_CONTACT);

	m.contact.version = version;
	ck_assert_int_eq(post(&m, len), HV_STATUS_SUCCESS);
}

static inline void connect_guest(void)
{
	contact(VMBUS_V5_3);
	ck_assert_uint_eq(expect(VMBUS_MSG_VERSION_RESPONSE).version.supported, 1);
	say(VMBUS_MSG_REQUESTOFFERS);
	ck_assert_uint_eq(expect(VMBUS_MSG_OFFERCHANNEL).offer.relid, 1);
	expect(VMBUS_MSG_ALLOFFERS_DELIVERED);
}

static inline void say_relid(enum vmbus_msg_type type, uint32_t relid)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, type);

	m.relid.relid = relid;
	ck_assert_int_eq(post(&m, len), HV_STATUS_SUCCESS);
}

/* ---- the guest's end of a channel
 * ---------------------------------------------------------------- */

struct guest {
	uint32_t relid, gpadl, vp, pages;
	uint64_t pfn[64];
	struct hv_gpa_view to_host, to_guest;
	struct vmbus_chan *chan;
	bool never_ring;
	uint32_t answers;
};

static inline void ring_host(void *ctx)
{
	struct guest *g = ctx;

	if (!g->never_ring)
		fake_guest_signal(rig.f, HV_CONN_CHANNEL_BASE + g->relid);
}

/* Pages [0, pages) of @g->pfn as GPADL @g->gpadl. */
static inline enum hv_status post_gpadl(const struct guest *g)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_GPADL_HEADER), n = 0;
	struct vmbus_gpa_range range = { .byte_count = g->pages * HV_PAGE_SIZE };

	m.gpadl_header.relid = g->relid;
	m.gpadl_header.gpadl = g->gpadl;
	m.gpadl_header.range_buflen = (uint16_t)(8 + 8 * g->pages);
	m.gpadl_header.rangecount = 1;
	memcpy(m.bytes + len, &range, sizeof(range));
	for (len += sizeof(range); n < g->pages; n++, len += 8)
		memcpy(m.bytes + len, &g->pfn[n], 8);
	return post(&m, len);
}

/* .. and the status of the answer. */
static inline uint32_t guest_gpadl(struct guest *g)
{
	ck_assert_uint_le(g->pages, VMBUS_GPADL_HEADER_PFNS);
	ck_assert_int_eq(post_gpadl(g), HV_STATUS_SUCCESS);
	return expect(VMBUS_MSG_GPADL_CREATED).gpadl_created.status;
}

static inline void guest_alloc(struct guest *g, uint32_t relid, uint32_t pages)
{
	uint64_t gpa = fake_guest_alloc(rig.f, pages);

	memset(g, 0, sizeof(*g));
	g->relid = relid;
	g->gpadl = 100 + relid;
	g->pages = pages;
	for (uint32_t i = 0; i < pages; i++)
		g->pfn[i] = (gpa >> HV_PAGE_SHIFT) + i;
}

static inline enum hv_status post_open(const struct guest *g)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_OPENCHANNEL);

	m.open.relid = m.open.open_id = g->relid;
	m.open.gpadl = g->gpadl;
	m.open.target_vp = g->vp;
	m.open.downstream_page = g->pages / 2;
	memset(m.open.user, 0x3c, sizeof(m.open.user));
	return post(&m, len);
}

static inline void say_open(const struct guest *g)
{
	ck_assert_int_eq(post_open(g), HV_STATUS_SUCCESS);
}

/* Zeroes the control pages, as a guest does, and asks; the status of the answer. */
static inline uint32_t guest_ask_open(struct guest *g)
{
	memset(fake_guest_ptr(rig.f, g->pfn[0] << HV_PAGE_SHIFT), 0, HV_PAGE_SIZE);
	memset(fake_guest_ptr(rig.f, g->pfn[g->pages / 2] << HV_PAGE_SHIFT), 0, HV_PAGE_SIZE);
	say_open(g);
	return expect(VMBUS_MSG_OPENCHANNEL_RESULT).open_result.status;
}

static inline void guest_attach(struct guest *g)
{
	struct hv_gpa *gpa = hv_partition_gpa(fake_partition(rig.f));
	struct vmbus_chan_config cfg = {
		.accept = VMRING_ACCEPT_GUEST, .signal = ring_host, .ctx = g, .name = "guest"
	};
	uint32_t half = g->pages / 2;

	ck_assert_int_eq(hv_gpa_map_wrapped(gpa, &g->to_host, g->pfn, half), 0);
	ck_assert_int_eq(hv_gpa_map_wrapped(gpa, &g->to_guest, g->pfn + half, g->pages - half), 0);
	cfg.in = g->to_guest;
	cfg.out = g->to_host;
	ck_assert_int_eq(vmbus_chan_create(&g->chan, &cfg), 0);
}

static inline void guest_detach(struct guest *g)
{
	if (!g->chan)
		return;
	vmbus_chan_destroy(g->chan);
	hv_gpa_unmap_view(&g->to_host);
	hv_gpa_unmap_view(&g->to_guest);
	g->chan = NULL;
}

/* GPADL, OPENCHANNEL, both rings mapped. */
static inline void guest_open(struct guest *g, uint32_t relid, uint32_t vp)
{
	guest_alloc(g, relid, 16);
	g->vp = vp;
	ck_assert_uint_eq(guest_gpadl(g), VMBUS_STATUS_SUCCESS);
	ck_assert_uint_eq(guest_ask_open(g), VMBUS_STATUS_SUCCESS);
	guest_attach(g);
}

static inline void say_teardown(const struct guest *g)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_GPADL_TEARDOWN);

	m.gpadl_teardown.relid = g->relid;
	m.gpadl_teardown.gpadl = g->gpadl;
	ck_assert_int_eq(post(&m, len), HV_STATUS_SUCCESS);
}

/* As Linux: back to back. */
static inline void guest_close(struct guest *g)
{
	guest_detach(g);
	say_relid(VMBUS_MSG_CLOSECHANNEL, g->relid);
	say_teardown(g);
	ck_assert_uint_eq(expect(VMBUS_MSG_GPADL_TORNDOWN).gpadl_torndown.gpadl, g->gpadl);
}

static inline void guest_send(struct guest *g, uint64_t id)
{
	uint64_t payload[2] = { id, ~id };

	ck_assert_int_eq(vmbus_chan_send(g->chan, VMPKT_FLAG_COMPLETION_REQUESTED, id, payload,
					 sizeof(payload)),
			 0);
	vmbus_chan_flush(g->chan);
}

/* One answer, if there is one; its content checked. */
static inline bool guest_take(struct guest *g, uint64_t *id)
{
	uint64_t payload[2];
	struct vmpkt p;

	if (vmbus_chan_recv(g->chan, &p) != 1)
		return false;
	ck_assert_uint_eq(p.payload_len, sizeof(payload));
	memcpy(payload, p.payload, sizeof(payload));
	ck_assert(payload[0] == p.trans_id && payload[1] == ~p.trans_id);
	*id = p.trans_id;
	g->answers++;
	vmbus_chan_recv_done(g->chan);
	return true;
}

static inline void guest_echo(struct guest *g, uint64_t id)
{
	uint64_t got = ~id;

	guest_send(g, id);
	UNTIL(guest_take(g, &got));
	ck_assert_uint_eq(got, id);
}

#endif
