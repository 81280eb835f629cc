/* SPDX-License-Identifier: MIT */
/*
 * The bus against a guest that breaks rules where real memory is involved, or does not
 * play along: hostile cases V17, V18, V33, V44, V47, R30, H26 and channel faults.
 */
#include "ringbuf/ring_layout.h"
#include "tests/ut/vmbus/server_rig.h"

static struct vmbus_server_stats stats(void)
{
	struct vmbus_server_stats st;

	vmbus_server_stats(rig.bus, &st);
	return st;
}

struct found {
	uint32_t n;
	struct vmbus_channel_info first;
};

static void note(void *ctx, const struct vmbus_channel_info *info)
{
	struct found *f = ctx;

	if (!f->n++)
		f->first = *info;
	ck_assert_ptr_nonnull(info->state);
	ck_assert_ptr_nonnull(info->device);
}

static struct vmbus_channel_info first_channel(void)
{
	struct found f = { 0 };

	vmbus_server_channels(rig.bus, note, &f);
	ck_assert_uint_ge(f.n, 1);
	return f.first;
}

/* ---- faults -------------------------------------------------------------------------------- */

static struct vmring_ctrl *ring_ctrl(const struct guest *g, uint32_t page)
{
	return fake_guest_ptr(rig.f, g->pfn[page] << HV_PAGE_SHIFT);
}

START_TEST(a_fault_stops_one_channel)
{
	struct guest bad, good;
	uint32_t drains;

	rig_up();
	connect_guest();
	guest_open(&bad, 1, 0);
	vmbus_device_offer_subchannels(rig.toy.dev, 1);
	expect(VMBUS_MSG_OFFERCHANNEL);
	guest_open(&good, 2, 1);
	guest_echo(&bad, 1);
	__atomic_store_n(&ring_ctrl(&bad, 0)->write_index, 0xfffffff0, __ATOMIC_RELEASE); /* R02 */
	ring_host(&bad);
	UNTIL(stats().faults == 1);
	ck_assert_ptr_nonnull(stats().last_fault);
	ck_assert_ptr_nonnull(first_channel().stats.fault); /* U8 */
	ck_assert_str_eq(first_channel().state, "open");
	drains = rig.toy.c[0].drains;
	for (uint64_t i = 0; i < 100; i++) {
		ring_host(&bad);
		guest_echo(&good, i);
		vmbus_device_kick(rig.toy.dev, 0);
	}
	ck_assert_uint_eq(rig.toy.c[0].drains, drains); /* open, but dead */
	guest_detach(&bad);
	guest_detach(&good);
	say_relid(VMBUS_MSG_CLOSECHANNEL, 1);
	ck_assert_uint_eq(expect(VMBUS_MSG_RESCIND_CHANNELOFFER).relid.relid, 2);
	say_teardown(&bad);
	expect(VMBUS_MSG_GPADL_TORNDOWN);
	guest_open(&bad, 1, 0); /* U9 */
	guest_echo(&bad, 2);
	guest_detach(&bad);
	rig_down();
}
END_TEST

START_TEST(corrupt_rings_at_open)
{
	struct guest g;

	rig_up();
	connect_guest();
	guest_alloc(&g, 1, 16);
	ck_assert_uint_eq(guest_gpadl(&g), VMBUS_STATUS_SUCCESS);
	for (uint32_t page = 0; page <= 8; page += 8) {
		struct vmring_ctrl *c = ring_ctrl(&g, page);

		c->write_index = 7 * 4096; /* the size */
		say_open(&g);
		ck_assert_uint_eq(expect(VMBUS_MSG_OPENCHANNEL_RESULT).open_result.status,
				  VMBUS_STATUS_FAILED);
		c->write_index = 0;
		c->read_index = 3;
		say_open(&g);
		ck_assert_uint_eq(expect(VMBUS_MSG_OPENCHANNEL_RESULT).open_result.status,
				  VMBUS_STATUS_FAILED);
		c->read_index = 0;
	}
	ck_assert_uint_eq(rig.toy.c[0].opens, 0);
	ck_assert_uint_eq(guest_ask_open(&g), VMBUS_STATUS_SUCCESS);
	rig_down();
}
END_TEST

/* ---- pages ------------------------------------------------------------------------------------
 */

START_TEST(v33_pages_that_are_not_ram)
{
	static const uint64_t bad[] = { MEMORY >> 12, (MEMORY >> 12) + 1, 1ull << 40,
					1ull << 52,   (1ull << 52) - 1,	  UINT64_MAX >> 12,
					UINT64_MAX };
	struct guest g;

	rig_up();
	connect_guest();
	guest_alloc(&g, 1, 16);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		for (uint32_t at = 0; at < 16; at += 15) {
			uint64_t good = g.pfn[at];

			g.pfn[at] = bad[i];
			ck_assert_uint_eq(guest_gpadl(&g), VMBUS_STATUS_FAILED);
			g.pfn[at] = good;
		}
	}
	ck_assert_uint_eq(stats().gpadls, 0);
	ck_assert_uint_eq(guest_gpadl(&g), VMBUS_STATUS_SUCCESS);
	ck_assert_uint_eq(stats().gpadl_pages, 16);
	rig_down();
}
END_TEST

START_TEST(v17_v18_pages_used_twice)
{
	struct guest g, h;

	rig_up();
	connect_guest();
	guest_open(&g, 1, 0);
	vmbus_device_offer_subchannels(rig.toy.dev, 2);
	expect(VMBUS_MSG_OFFERCHANNEL);
	expect(VMBUS_MSG_OFFERCHANNEL);
	guest_alloc(&h, 2, 16); /* both its rings are the same pages */
	for (uint32_t i = 8; i < 16; i++)
		h.pfn[i] = h.pfn[i - 8];
	ck_assert_uint_eq(guest_gpadl(&h), VMBUS_STATUS_SUCCESS);
	ck_assert_uint_eq(guest_ask_open(&h), VMBUS_STATUS_SUCCESS);
	guest_attach(&h);
	vmbus_chan_send(h.chan, 0, 1, "12345678", 8);
	vmbus_chan_flush(h.chan); /* the device's answers come back to it as requests */
	for (int i = 0; i < 100; i++)
		turn();
	guest_detach(&h);
	h = g; /* the rings of another channel, which is open */
	h.chan = NULL;
	h.relid = 3;
	h.gpadl = 333;
	ck_assert_uint_eq(guest_gpadl(&h), VMBUS_STATUS_SUCCESS);
	say_open(&h);
	expect(VMBUS_MSG_OPENCHANNEL_RESULT); /* either way */
	for (int i = 0; i < 100; i++)
		turn();
	guest_detach(&g);
	rig_down(); /* U1, U5 */
}
END_TEST

/* Each page of a ring costs mappings when they are scattered: a quota per guest. */
START_TEST(scattered_rings_are_refused)
{
	enum { PAGES = 2400 };
	static struct guest g;
	uint64_t gpa;
	union vmbus_msg m;
	uint32_t len, n;

	rig_up();
	connect_guest();
	guest_alloc(&g, 1, 16);
	gpa = fake_guest_alloc(rig.f, PAGES) >> HV_PAGE_SHIFT;
	len = vmbus_msg_init(&m, VMBUS_MSG_GPADL_HEADER);
	m.gpadl_header.relid = 1;
	m.gpadl_header.gpadl = g.gpadl;
	m.gpadl_header.range_buflen = 8 + 8 * PAGES;
	m.gpadl_header.rangecount = 1;
	memcpy(m.bytes + len, &(struct vmbus_gpa_range){ PAGES * HV_PAGE_SIZE, 0 }, 8);
	post(&m, len + 8);
	for (n = 0; n < PAGES; n += 24) { /* backwards: no two pages in a row */
		len = vmbus_msg_init(&m, VMBUS_MSG_GPADL_BODY);
		m.gpadl_body.gpadl = g.gpadl;
		for (uint32_t i = 0; i < 24; i++, len += 8)
			memcpy(m.bytes + len, &(uint64_t){ gpa + PAGES - 1 - n - i }, 8);
		post(&m, len);
	}
	ck_assert_uint_eq(expect(VMBUS_MSG_GPADL_CREATED).gpadl_created.status,
			  VMBUS_STATUS_SUCCESS);
	g.pages = PAGES; /* downstream in the middle */
	say_open(&g);
	ck_assert_uint_eq(expect(VMBUS_MSG_OPENCHANNEL_RESULT).open_result.status,
			  VMBUS_STATUS_FAILED);
	ck_assert_uint_eq(rig.toy.c[0].opens, 0);
	guest_alloc(&g, 1, 16); /* a few scattered pages are fine */
	g.gpadl = 7;
	for (uint32_t i = 0; i < 8; i++) {
		uint64_t t = g.pfn[i];

		g.pfn[i] = g.pfn[15 - i];
		g.pfn[15 - i] = t;
	}
	ck_assert_uint_eq(guest_gpadl(&g), VMBUS_STATUS_SUCCESS);
	ck_assert_uint_eq(guest_ask_open(&g), VMBUS_STATUS_SUCCESS);
	guest_attach(&g);
	guest_echo(&g, 1);
	guest_detach(&g);
	rig_down();
}
END_TEST

/* ---- guests that do not play along
 * --------------------------------------------------------------- */

START_TEST(r30_h26_a_bell_that_never_rings)
{
	struct guest g;
	uint64_t id, from;

	rig_up();
	connect_guest();
	guest_open(&g, 1, 0);
	guest_echo(&g, 0);
	for (int i = 0; i < 4; i++)
		turn(); /* idle now */
	g.never_ring = true;
	from = clock_ns();
	guest_send(&g, 1);
	while (!guest_take(&g, &id)) {
		ck_assert_int_ge(loop_turn(rig.loop, UINT64_MAX), 0); /* nothing else wakes it */
		ck_assert_uint_lt(clock_ns() - from, 5000000000ull);
	}
	ck_assert_uint_eq(stats().missed_bells, 1);
	g.never_ring = false;
	guest_echo(&g, 2);
	ck_assert_uint_eq(stats().missed_bells, 1);
	guest_close(&g);
	rig_down();
}
END_TEST

START_TEST(v44_guest_takes_no_messages)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_TL_CONNECT_REQUEST), posted = 0, answers = 0;
	struct hv_message slot;
	struct toy late = { 0 };
	enum hv_status st;

	rig_up();
	connect_guest();
	while ((st = post(&m, len)) == HV_STATUS_SUCCESS)
		posted++;
	ck_assert_int_eq(st, HV_STATUS_INSUFFICIENT_BUFFERS);
	ck_assert_uint_eq(posted, 4096 + 1); /* one lies in the slot */
	ck_assert_uint_eq(stats().queued, 4096);
	ck_assert_uint_eq(stats().refused, 1);
	ck_assert_int_eq(toy_offer_as(&late, 9, "late"), -EAGAIN);
	while (answers < posted) {
		UNTIL(fake_guest_take_message(rig.f, 0, &slot, NULL));
		answers++;
	}
	expect_nothing();
	ck_assert_int_eq(toy_offer_as(&late, 9, "late"), 0);
	ck_assert_uint_eq(expect(VMBUS_MSG_OFFERCHANNEL).offer.relid, 2);
	vmbus_device_revoke(late.dev, toy_gone);
	ck_assert_uint_eq(late.gone, 1);
	rig_down();
}
END_TEST

START_TEST(v01_v04_nonsense_is_counted)
{
	union vmbus_msg m;

	rig_up();
	for (uint32_t type = 0; type < 40; type++) {
		memset(&m, 0, sizeof(m));
		m.hdr.type = type;
		if (type != VMBUS_MSG_INITIATE_CONTACT)
			ck_assert_int_eq(post(&m, sizeof(m)), HV_STATUS_SUCCESS);
	}
	ck_assert_int_eq(post(&m, 0), HV_STATUS_SUCCESS);
	ck_assert_uint_eq(stats().dropped, 40);
	ck_assert_str_eq(stats().last_drop, "message shorter than its structure");
	expect_nothing();
	connect_guest();
	rig_down();
}
END_TEST

/* ---- inspection at every state
 * ------------------------------------------------------------------------ */

START_TEST(v47_inspect)
{
	struct guest g;

	rig_up();
	ck_assert_str_eq(stats().state, "disconnected");
	ck_assert_str_eq(first_channel().state, "not offered");
	connect_guest();
	ck_assert_str_eq(stats().state, "connected");
	ck_assert_uint_eq(stats().version, VMBUS_V5_3);
	ck_assert_str_eq(first_channel().state, "offered");
	ck_assert_str_eq(first_channel().device, "toy");
	guest_open(&g, 1, 2);
	ck_assert_str_eq(first_channel().state, "open");
	ck_assert_uint_eq(first_channel().target_vp, 2);
	ck_assert(first_channel().open);
	for (uint64_t i = 0; i < 10; i++)
		guest_echo(&g, i);
	ck_assert_uint_eq(first_channel().stats.packets_in, 10);
	ck_assert_uint_eq(first_channel().stats.packets_out, 10);
	rig.toy.own_close = true;
	guest_detach(&g);
	say_relid(VMBUS_MSG_CLOSECHANNEL, 1);
	ck_assert_str_eq(first_channel().state, "closing");
	ck_assert(!first_channel().open);
	say(VMBUS_MSG_UNLOAD);
	ck_assert_str_eq(stats().state, "disconnecting");
	ck_assert_str_eq(first_channel().state, "closing");
	UNTIL(rig.toy.c[0].closes);
	toy_end(&rig.toy, 0);
	expect(VMBUS_MSG_UNLOAD_RESPONSE);
	connect_guest();
	vmbus_device_revoke(rig.toy.dev, toy_gone);
	ck_assert_str_eq(first_channel().state, "revoked");
	ck_assert_str_eq(first_channel().device, "toy"); /* which does not exist any more */
	rig_down();
}
END_TEST

/* ---- the ends of things
 * ------------------------------------------------------------------------------------ */

/* Everything from inside of the bus's own callbacks. */
static void revoke_and_destroy(void *ctx)
{
	struct rig *r = ctx;

	r->shut = true;
	vmbus_device_revoke(r->toy.dev, toy_gone);
}

static void destroy_bus(void *dev)
{
	toy_gone(dev);
	vmbus_server_destroy(rig.bus);
}

static void revoke_then_destroy(void *ctx)
{
	struct rig *r = ctx;

	r->shut = true;
	vmbus_device_revoke(r->toy.dev, destroy_bus);
}

START_TEST(owners_act_inside_callbacks)
{
	struct guest g;

	rig_up();
	connect_guest();
	guest_open(&g, 1, 0);
	guest_detach(&g);
	vmbus_server_shutdown(rig.bus, revoke_and_destroy, &rig);
	UNTIL(rig.toy.gone);
	vmbus_server_destroy(rig.bus);
	fake_partition_destroy(rig.f);
	loop_destroy(rig.loop);

	rig_up();
	connect_guest();
	guest_open(&g, 1, 0);
	guest_detach(&g);
	vmbus_server_shutdown(rig.bus, revoke_then_destroy, &rig);
	UNTIL(rig.toy.gone);
	settle();
	fake_partition_destroy(rig.f);
	loop_destroy(rig.loop);
	ck_assert_uint_eq(count_fds(), rig.fds);
}
END_TEST

START_TEST(destroyed_without_a_guest)
{
	rig_up();
	vmbus_device_revoke(rig.toy.dev, toy_gone);
	ck_assert_uint_eq(rig.toy.gone, 1);
	vmbus_server_destroy(rig.bus);
	ck_assert_int_eq(post(&(union vmbus_msg){ 0 }, 8), HV_STATUS_INVALID_CONNECTION_ID);
	/* The ids are free for the next bus. */
	ck_assert_int_eq(vmbus_server_create(&rig.bus, fake_partition(rig.f), NULL), 0);
	ck_assert_int_eq(toy_offer_as(&rig.toy, 0, "toy"), 0);
	ck_assert_int_eq(toy_offer_as(&(struct toy){ 0 }, 0, "twin"), -EEXIST);
	rig.toy.gone = 0;
	connect_guest();
	rig_down();
}
END_TEST

START_TEST(ports_taken)
{
	struct vmbus_bus *second;

	rig_up();
	ck_assert_int_eq(vmbus_server_create(&second, fake_partition(rig.f), NULL), -EEXIST);
	connect_guest();
	ck_assert_uint_eq(vmbus_bus_nr_vps(rig.bus), VPS);
	ck_assert_uint_eq(vmbus_bus_partition_id(rig.bus), hv_partition_id(fake_partition(rig.f)));
	rig_down();
}
END_TEST

VMBUS_MAIN("vmbus/server_hostile", a_fault_stops_one_channel, corrupt_rings_at_open,
	   v33_pages_that_are_not_ram, v17_v18_pages_used_twice, scattered_rings_are_refused,
	   r30_h26_a_bell_that_never_rings, v44_guest_takes_no_messages,
	   v01_v04_nonsense_is_counted, v47_inspect, owners_act_inside_callbacks,
	   destroyed_without_a_guest, ports_taken)
