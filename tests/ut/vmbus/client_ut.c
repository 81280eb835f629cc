/* SPDX-License-Identifier: MIT */
/* The child's side of the bus against a root that behaves. */
#include "tests/ut/vmbus/client_rig.h"
#include "vmbus/version.h"

/* ---- versions -------------------------------------------------------------------- */

static uint32_t contact_connection, last_connection;

static int note_connection(struct evil_root *r, uint32_t connection, const union vmbus_msg *m,
			   uint32_t len)
{
	(void)r;
	if (m->hdr.type == VMBUS_MSG_INITIATE_CONTACT) {
		contact_connection = connection;
		ck_assert_uint_eq(len, 40);
		ck_assert_uint_eq(m->contact.target_vp, 0);
		ck_assert_uint_eq(m->contact.monitor_page1, 0);
		ck_assert_uint_eq(m->contact.monitor_page2, 0);
		if (m->contact.version >= VMBUS_V5_0)
			ck_assert_uint_eq(m->contact.target_sint, HV_VMBUS_SINT);
		else
			ck_assert_uint_eq(m->contact.interrupt_page, 0);
	}
	last_connection = connection;
	return EVIL_PASS;
}

START_TEST(connects_at_the_highest_version_of_the_root)
{
	uint32_t version = vmbus_versions[_i];

	rig_root();
	root.max_version = version;
	root.on_message = note_connection;
	rig_connect();
	ck_assert_uint_eq(vmbus_client_version(bus), version);
	ck_assert_ptr_eq(vmbus_client_child(bus), hv);
	evil_lock(&root);
	ck_assert_uint_eq(root.count[VMBUS_MSG_INITIATE_CONTACT], _i + 1);
	ck_assert_uint_eq(contact_connection, version >= VMBUS_V5_0 ? 4 : 1);
	ck_assert_uint_eq(last_connection, version >= VMBUS_V5_0 ? 4 : 1);
	evil_unlock(&root);
	rig_fini();
}
END_TEST

START_TEST(client_offers_nothing_above_its_maximum)
{
	struct vmbus_client_config cfg = { .max_version = VMBUS_V5_0 };

	rig_root();
	ck_assert_int_eq(rig_try_connect(&cfg), 0);
	ck_assert_uint_eq(vmbus_client_version(bus), VMBUS_V5_0);
	ck_assert_uint_eq(rig_count(VMBUS_MSG_INITIATE_CONTACT), 1);
	rig_fini();
}
END_TEST

START_TEST(no_common_version)
{
	struct vmbus_client_config cfg = { .min_version = _i ? VMBUS_V5_1 : 0 };

	rig_root();
	root.max_version = VMBUS_V2_4;
	ck_assert_int_eq(rig_try_connect(&cfg), -EPROTONOSUPPORT);
	evil_lock(&root);
	ck_assert_uint_eq(root.count[VMBUS_MSG_INITIATE_CONTACT], _i ? 3 : VMBUS_NR_VERSIONS);
	ck_assert_uint_eq(root.count[VMBUS_MSG_REQUESTOFFERS], 0);
	evil_unlock(&root);
	rig_fini();
}
END_TEST

static int no_connection_4(struct evil_root *r, uint32_t connection, const union vmbus_msg *m,
			   uint32_t len)
{
	(void)r;
	(void)m;
	(void)len;
	return connection == 4 ? HV_STATUS_INVALID_CONNECTION_ID : EVIL_PASS;
}

START_TEST(root_without_connection_4)
{
	rig_root();
	root.on_message = no_connection_4;
	rig_connect();
	ck_assert_uint_eq(vmbus_client_version(bus), VMBUS_V4_1);
	rig_fini();
}
END_TEST

/* ---- offers ----------------------------------------------------------------------- */

START_TEST(offers_are_found_by_class_in_relid_order)
{
	struct guid net = VMBUS_CLASS_NET;
	struct vmbus_offer o;
	uint32_t relid;

	rig_root();
	evil_add(&root, 9, 0, 9);
	evil_add(&root, 3, 0, 3)->offer.flags = VMBUS_OFFER_ENUMERATE;
	evil_add(&root, 5, 1, 3); /* a sub-channel is not a device */
	evil_add(&root, 7, 0, 7)->offer.type = net;
	rig_connect();
	o = rig_offer(0);
	ck_assert_uint_eq(o.relid, 3);
	ck_assert_uint_eq(o.connection_id, 0x2003);
	ck_assert_uint_eq(o.flags, VMBUS_OFFER_ENUMERATE);
	ck_assert_uint_eq(o.sub_index, 0);
	memcpy(&relid, o.user, sizeof(relid));
	ck_assert_uint_eq(relid, 3);
	ck_assert_uint_eq(rig_offer(1).relid, 9);
	ck_assert_int_eq(vmbus_client_find(bus, &evil_type, 2, &o), -ENOENT);
	ck_assert_int_eq(vmbus_client_find(bus, &net, 0, &o), 0);
	ck_assert_uint_eq(o.relid, 7);
	ck_assert_uint_eq(rig_stats().offers, 4);
	ck_assert_uint_eq(rig_stats().messages_ignored, 0);
	rig_fini();
}
END_TEST

START_TEST(device_added_later_is_found)
{
	struct vmbus_msg_offer late = evil_offer(12, 0, 12);
	struct vmbus_offer o;
	uint64_t limit;

	rig_root();
	rig_connect();
	ck_assert_int_eq(vmbus_client_find(bus, &evil_type, 0, &o), -ENOENT);
	evil_lock(&root);
	evil_send(&root, &late, sizeof(late));
	evil_unlock(&root);
	limit = clock_ns() + LIMIT_NS;
	while (vmbus_client_find(bus, &evil_type, 0, &o)) {
		ck_assert(clock_ns() < limit);
		vmbus_client_poll(bus); /* as a thread does that never sleeps */
	}
	ck_assert_uint_eq(o.relid, 12);
	rig_fini();
}
END_TEST

/* ---- channels --------------------------------------------------------------------- */

START_TEST(channel_carries_packets_both_ways)
{
	struct vmbus_client_stats st;
	struct vmbus_chan_stats cst;
	struct vmbus_chan *c;
	struct vmbus_offer o;

	rig_root();
	evil_add(&root, 5, 0, 5);
	rig_connect();
	o = rig_offer(0);
	c = rig_open(&o, _i);
	for (uint64_t id = 1; id < 200; id++)
		rig_echo(c, _i, id);
	vmbus_chan_stats(c, &cst);
	ck_assert_uint_eq(cst.packets_out, 199);
	ck_assert_uint_eq(cst.packets_in, 199);
	ck_assert_uint_ge(cst.signals_sent, 1);
	ck_assert(!vmbus_client_rescinded(bus, c));
	vmbus_client_stats(bus, &st);
	ck_assert_uint_eq(st.channels, 1);
	vmbus_client_close(bus, c);
	evil_lock(&root);
	ck_assert_uint_eq(root.count[VMBUS_MSG_CLOSECHANNEL], 1);
	ck_assert_uint_eq(root.count[VMBUS_MSG_GPADL_TEARDOWN], 1);
	ck_assert_uint_eq(root.count[VMBUS_MSG_RELID_RELEASED], 0);
	evil_unlock(&root);
	ck_assert_uint_eq(rig_stats().channels, 0);
	rig_fini();
}
END_TEST

static int look_at_rings(struct evil_root *r, uint32_t connection, const union vmbus_msg *m,
			 uint32_t len)
{
	const struct vmring_ctrl *ctrl;

	(void)connection;
	if (m->hdr.type != VMBUS_MSG_OPENCHANNEL)
		return EVIL_PASS;
	ck_assert_uint_eq(len, 148);
	ck_assert_uint_eq(m->open.relid, 5);
	ck_assert_uint_eq(m->open.target_vp, 1);
	ck_assert_uint_eq(m->open.downstream_page, 4);
	ck_assert_uint_eq(r->gpadl[0].pages, 8);
	for (uint32_t i = 0; i < 8; i += 4) { /* spec: ring, section 2 */
		ctrl = hv_gpa_ptr(r->gpa, r->gpadl[0].pfn[i] << 12, 4096);
		ck_assert_uint_eq(ctrl->write_index, 0);
		ck_assert_uint_eq(ctrl->read_index, 0);
		ck_assert_uint_eq(ctrl->interrupt_mask, 0);
		ck_assert_uint_eq(ctrl->pending_send_sz, 0);
		ck_assert_uint_eq(ctrl->feature_bits, 1);
	}
	return EVIL_PASS;
}

START_TEST(rings_are_fresh_when_the_root_sees_them)
{
	struct vmbus_chan *c;
	struct vmbus_offer o;

	rig_root();
	evil_add(&root, 5, 0, 5);
	root.on_message = look_at_rings;
	rig_connect();
	o = rig_offer(0);
	for (int i = 0; i < 3; i++) { /* dirty pages come back */
		c = rig_open(&o, 1);
		rig_echo(c, 1, 1);
		vmbus_client_close(bus, c);
	}
	rig_fini();
}
END_TEST

START_TEST(open_and_close_again_and_again)
{
	struct vmbus_chan *c, *again;
	struct vmbus_offer o;
	uint32_t before;

	rig_root();
	evil_add(&root, 5, 0, 5);
	rig_connect();
	o = rig_offer(0);
	before = rig_free_pages();
	for (uint64_t i = 1; i <= 100; i++) {
		c = rig_open(&o, 0);
		ck_assert_int_eq(vmbus_client_open(bus, &o, RING, 0, 0, NULL, NULL, &again),
				 -EBUSY);
		rig_echo(c, 0, i);
		vmbus_client_close(bus, c);
	}
	ck_assert_uint_eq(rig_free_pages(), before);
	ck_assert_uint_eq(rig_stats().pages_abandoned, 0);
	ck_assert_uint_eq(rig_stats().messages_ignored, 0);
	rig_fini();
}
END_TEST

START_TEST(impossible_opens_are_refused_here)
{
	static const struct {
		uint32_t ring, vp;
	} bad[] = { { 4096, 0 }, { 8192 + 8, 0 }, { 0, 0 }, { 8192, 3 }, { 32 << 20, 0 } };
	struct vmbus_offer o, other;
	struct vmbus_chan *c;

	rig_root();
	evil_add(&root, 5, 0, 5);
	rig_connect();
	o = rig_offer(0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_int_eq(
			vmbus_client_open(bus, &o, bad[i].ring, bad[i].vp, 0, NULL, NULL, &c),
			-EINVAL);
	ck_assert_int_eq(vmbus_client_open(bus, &o, 8 << 20, 0, 0, NULL, NULL, &c), -ENOMEM);
	other = o;
	other.relid = 6;
	ck_assert_int_eq(vmbus_client_open(bus, &other, RING, 0, 0, NULL, NULL, &c), -ENOENT);
	other = o;
	other.instance.b[0] ^= 1; /* a device that has the relid no more */
	ck_assert_int_eq(vmbus_client_open(bus, &other, RING, 0, 0, NULL, NULL, &c), -ENOENT);
	ck_assert_uint_eq(rig_count(VMBUS_MSG_GPADL_HEADER), 0);
	rig_fini();
}
END_TEST

START_TEST(channel_without_interrupts_is_polled)
{
	struct vmbus_chan *c;
	struct vmbus_offer o;
	struct vmpkt p;
	uint64_t limit = clock_ns() + LIMIT_NS;

	rig_root();
	evil_add(&root, 5, 0, 5);
	rig_connect();
	o = rig_offer(0);
	c = rig_open(&o, VMBUS_NO_VP);
	vmbus_chan_mask(c);
	vmbus_chan_send(c, 1, 3, NULL, 0);
	vmbus_chan_flush(c);
	while (!vmbus_chan_pending(c)) {
		ck_assert(clock_ns() < limit);
		vmbus_client_poll(bus);
	}
	ck_assert_int_eq(vmbus_chan_recv(c, &p), 1);
	vmbus_client_close(bus, c);
	rig_fini();
}
END_TEST

START_TEST(two_channels_share_a_vp)
{
	struct vmbus_chan *a, *b;
	struct vmbus_offer o[2];
	struct vmpkt p;

	rig_root();
	evil_add(&root, 5, 0, 5);
	evil_add(&root, 6, 0, 6);
	rig_connect();
	o[0] = rig_offer(0);
	o[1] = rig_offer(1);
	a = rig_open(&o[0], 1);
	b = rig_open(&o[1], 1);
	for (uint64_t i = 1; i < 100; i++) {
		vmbus_chan_send(a, 1, i, NULL, 0);
		vmbus_chan_send(b, 1, i, NULL, 0);
		vmbus_chan_flush(a);
		vmbus_chan_flush(b);
		rig_recv(a, 1, &p); /* may take the flag of b: then b has its packet */
		rig_recv(b, 1, &p);
		ck_assert_uint_eq(p.trans_id, i);
	}
	vmbus_client_close(bus, a);
	rig_echo(b, 1, 1000);
	rig_fini(); /* closes b */
}
END_TEST

/* ---- GPADLs ------------------------------------------------------------------------- */

START_TEST(gpadls_of_every_shape)
{
	static const uint32_t sizes[] = { 1, 2, 26, 27, 54, 55, 100, 400 };
	uint32_t n = sizes[_i], id;
	const struct evil_gpadl *g;
	struct vmbus_chan *c;
	struct vmbus_offer o;
	uint64_t gpa;

	rig_root();
	evil_add(&root, 5, 0, 5);
	rig_connect();
	o = rig_offer(0);
	c = rig_open(&o, 0);
	ck_assert_int_eq(hv_child_alloc_pages(hv, n, &gpa), 0);
	ck_assert_int_eq(vmbus_client_gpadl_create(bus, c, gpa, n, &id), 0);
	evil_lock(&root);
	g = &root.gpadl[1]; /* 0 is the rings' */
	ck_assert(g->complete);
	ck_assert_uint_eq(g->id, id);
	ck_assert_uint_eq(g->relid, 5);
	ck_assert_uint_eq(g->pages, n);
	for (uint32_t i = 0; i < n; i++)
		ck_assert_uint_eq(g->pfn[i], gpa / 4096 + i);
	ck_assert_uint_eq(root.count[VMBUS_MSG_GPADL_BODY], n > 26 ? (n - 26 + 27) / 28 : 0);
	evil_unlock(&root);
	ck_assert_int_eq(vmbus_client_gpadl_teardown(bus, c, id), 0);
	evil_lock(&root);
	ck_assert(!root.gpadl[1].used);
	evil_unlock(&root);
	ck_assert_int_eq(vmbus_client_gpadl_create(bus, c, gpa, 0, &id), -EINVAL);
	ck_assert_int_eq(vmbus_client_gpadl_create(bus, c, gpa, 8191, &id), -EINVAL);
	ck_assert_int_eq(vmbus_client_gpadl_create(bus, c, gpa + 8, 1, &id), -EINVAL);
	ck_assert_int_eq(vmbus_client_gpadl_create(bus, c, CHILD_BYTES - 4096, 2, &id), -EINVAL);
	rig_fini();
}
END_TEST

START_TEST(largest_gpadl)
{
	const uint32_t n = VMBUS_GPADL_MAX_PFNS;
	struct hv_child_config cfg = { .memory = (n + 100ull) * 4096 };
	struct vmbus_chan *c;
	struct vmbus_offer o;
	uint32_t id;
	uint64_t gpa;

	rig_root();
	evil_add(&root, 5, 0, 5);
	ck_assert_int_eq(hv_child_connect(&hv, evil_root_path(&root), &cfg, NULL, 0), 0);
	rig_connect();
	o = rig_offer(0);
	c = rig_open(&o, 0);
	ck_assert_int_eq(hv_child_alloc_pages(hv, n, &gpa), 0);
	ck_assert_int_eq(vmbus_client_gpadl_create(bus, c, gpa, n, &id), 0);
	evil_lock(&root);
	ck_assert_uint_eq(root.gpadl[1].pages, n);
	ck_assert_uint_eq(root.gpadl[1].pfn[n - 1], gpa / 4096 + n - 1);
	evil_unlock(&root);
	ck_assert_int_eq(vmbus_client_gpadl_teardown(bus, c, id), 0);
	rig_fini();
}
END_TEST

/* ---- sub-channels --------------------------------------------------------------------- */

/* As a device does it: acknowledge, then offer. */
static bool offer_subs(struct evil_chan *c, const struct vmpkt *p)
{
	struct evil_chan *sub;

	if (p->trans_id != 4711)
		return false;
	vmbus_chan_send_completion(c->chan, p->trans_id, NULL, 0);
	for (uint16_t i = 1; i <= 2; i++) {
		sub = evil_add(c->root, 20u + i, i, c->offer.relid);
		evil_send(c->root, &sub->offer, sizeof(sub->offer));
	}
	return true;
}

static void *echo_on_vp1(void *arg)
{
	for (uint64_t i = 0; i < 300; i++)
		rig_echo(arg, 1, i + 1);
	return NULL;
}

START_TEST(sub_channels_work_beside_the_primary)
{
	struct vmbus_chan *c, *s1, *s2;
	struct vmbus_offer o, sub[2];
	pthread_t thread;
	struct vmpkt p;

	rig_root();
	evil_add(&root, 5, 0, 5);
	root.on_packet = offer_subs;
	rig_connect();
	o = rig_offer(0);
	c = rig_open(&o, 0);
	vmbus_chan_send(c, 1, 4711, NULL, 0);
	vmbus_chan_flush(c);
	rig_recv(c, 0, &p);
	ck_assert_int_eq(vmbus_client_wait_sub(bus, &o, 2, &sub[1]), 0);
	ck_assert_int_eq(vmbus_client_wait_sub(bus, &o, 1, &sub[0]), 0);
	ck_assert_uint_eq(sub[0].relid, 21);
	ck_assert_uint_eq(sub[1].sub_index, 2);
	s1 = rig_open(&sub[0], 1);
	s2 = rig_open(&sub[1], 2);
	ck_assert_int_eq(pthread_create(&thread, NULL, echo_on_vp1, s1), 0);
	for (uint64_t i = 0; i < 300; i++) {
		rig_echo(c, 0, i + 1);
		rig_echo(s2, 2, i + 1);
	}
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	vmbus_client_close(bus, s1);
	rig_fini(); /* s2 goes before c, see below */
}
END_TEST

static char close_order[8];

static int note_closes(struct evil_root *r, uint32_t connection, const union vmbus_msg *m,
		       uint32_t len)
{
	char what[VMBUS_MSG_TYPES] = {
		[VMBUS_MSG_CLOSECHANNEL] = 'c',
		[VMBUS_MSG_GPADL_TEARDOWN] = 't',
		[VMBUS_MSG_UNLOAD] = 'u',
	};
	char w = what[m->hdr.type];

	(void)r;
	(void)connection;
	(void)len;
	if (w == 'c' && m->relid.relid == 21)
		w = 'C';
	if (w)
		close_order[strlen(close_order)] = w;
	return EVIL_PASS;
}

START_TEST(destroy_closes_sub_channels_first_and_unloads_last)
{
	struct vmbus_offer o, sub;

	rig_root();
	evil_add(&root, 5, 0, 5);
	evil_add(&root, 21, 1, 5);
	root.on_message = note_closes;
	rig_connect();
	o = rig_offer(0);
	rig_open(&o, 0);
	ck_assert_int_eq(vmbus_client_wait_sub(bus, &o, 1, &sub), 0);
	rig_open(&sub, 1);
	rig_fini();
	ck_assert_str_eq(close_order, "Ctctu");
}
END_TEST

START_TEST(sub_channel_that_never_comes)
{
	struct vmbus_offer o, sub;

	rig_root();
	evil_add(&root, 5, 0, 5);
	rig_connect();
	o = rig_offer(0);
	rig_patience(SHORT_MS);
	ck_assert_int_eq(vmbus_client_wait_sub(bus, &o, 1, &sub), -ETIMEDOUT);
	rig_patience(LONG_MS);
	evil_lock(&root);
	evil_say(&root, VMBUS_MSG_RESCIND_CHANNELOFFER, 5, 0, 0);
	evil_unlock(&root);
	rig_until(rig_stats().offers == 0);
	ck_assert_int_eq(vmbus_client_wait_sub(bus, &o, 1, &sub), -ENOENT);
	rig_fini();
}
END_TEST

/* ---- modify ------------------------------------------------------------------------------ */

START_TEST(modify_moves_interrupts)
{
	static const uint32_t versions[] = { VMBUS_V5_3, VMBUS_V5_2, VMBUS_V4_1 };
	struct vmbus_chan *c;
	struct vmbus_offer o;

	rig_root();
	root.max_version = versions[_i];
	evil_add(&root, 5, 0, 5);
	rig_connect();
	o = rig_offer(0);
	c = rig_open(&o, 1);
	rig_echo(c, 1, 1);
	ck_assert_int_eq(vmbus_client_modify(bus, c, 2), 0);
	/* Told once in any case: the last event of the old VP is not lost on the new one. */
	ck_assert_int_eq(vmbus_client_wait(bus, 2, LIMIT_NS), 1);
	evil_await(&root, VMBUS_MSG_MODIFYCHANNEL, 1);
	for (uint64_t i = 0; i < 50; i++)
		rig_echo(c, 2, i);
	ck_assert_int_eq(vmbus_client_modify(bus, c, 3), -EINVAL);
	ck_assert_int_eq(vmbus_client_modify(bus, c, 0), 0);
	rig_echo(c, 0, 99);
	rig_fini();
}
END_TEST

START_TEST(modify_needs_4_1)
{
	struct vmbus_chan *c;
	struct vmbus_offer o;

	rig_root();
	root.max_version = VMBUS_V4_0;
	evil_add(&root, 5, 0, 5);
	rig_connect();
	o = rig_offer(0);
	c = rig_open(&o, 1);
	ck_assert_int_eq(vmbus_client_modify(bus, c, 2), -EOPNOTSUPP);
	rig_fini();
}
END_TEST

static void add_versions(TCase *tc)
{
	tcase_add_loop_test(tc, connects_at_the_highest_version_of_the_root, 0, VMBUS_NR_VERSIONS);
	tcase_add_test(tc, client_offers_nothing_above_its_maximum);
	tcase_add_loop_test(tc, no_common_version, 0, 2);
	tcase_add_test(tc, root_without_connection_4);
	tcase_add_test(tc, offers_are_found_by_class_in_relid_order);
	tcase_add_test(tc, device_added_later_is_found);
}

static void add_channels(TCase *tc)
{
	tcase_add_loop_test(tc, channel_carries_packets_both_ways, 0, 3);
	tcase_add_test(tc, rings_are_fresh_when_the_root_sees_them);
	tcase_add_test(tc, open_and_close_again_and_again);
	tcase_add_test(tc, impossible_opens_are_refused_here);
	tcase_add_test(tc, channel_without_interrupts_is_polled);
	tcase_add_test(tc, two_channels_share_a_vp);
	tcase_add_loop_test(tc, gpadls_of_every_shape, 0, 8);
	tcase_add_test(tc, largest_gpadl);
	tcase_add_test(tc, sub_channels_work_beside_the_primary);
	tcase_add_test(tc, destroy_closes_sub_channels_first_and_unloads_last);
	tcase_add_test(tc, sub_channel_that_never_comes);
	tcase_add_loop_test(tc, modify_moves_interrupts, 0, 3);
	tcase_add_test(tc, modify_needs_4_1);
}

int main(void)
{
	static void (*const parts[])(TCase *) = { add_versions, add_channels };

	return rig_main("vmbus/client", parts, ARRAY_SIZE(parts));
}
