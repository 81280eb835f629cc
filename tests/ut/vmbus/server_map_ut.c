/* SPDX-License-Identifier: MIT */
/*
 * Guest memory that a provider maps: in a row whatever the guest does, kept until the provider
 * lets go, given back whatever happens (netvsc section 10; hostile cases N04, N07, N09).
 */
#include <pthread.h>
#include <semaphore.h>

#include "tests/ut/vmbus/server_rig.h"

#define RELID 2u /* the rig's own device has 1 */

/* A toy that holds one buffer. */
struct mapper {
	struct toy toy; /* first: what its operations get */
	struct vmbus_buffer *b;
	uint32_t unmaps; /* calls */
	bool keep;	 /* let go later */
};

static struct mapper m;
static struct guest g;

static void let_go(void)
{
	struct vmbus_buffer *b = m.b;

	m.b = NULL;
	vmbus_device_unmap(m.toy.dev, b);
}

static void mapper_unmap(void *dev, struct vmbus_buffer *b)
{
	REQUIRE(dev == &m && b == m.b && !m.toy.c[0].closing);
	m.unmaps++;
	if (!m.keep)
		let_go();
}

static void mapper_close(void *dev, uint16_t sub)
{
	if (m.b && !m.keep)
		let_go();
	toy_close(dev, sub);
}

static const struct vmbus_device_ops mapper_ops = {
	.open = toy_open,
	.drain = toy_drain,
	.close = mapper_close,
	.unmap = mapper_unmap,
};

static void offer_mapper(struct loop *loop)
{
	struct vmbus_device_desc desc = { .type = VMBUS_CLASS_NET, .name = "mapper" };

	memset(&m, 0, sizeof(m));
	desc.loop = loop;
	ck_assert_int_eq(vmbus_device_offer(&m.toy.dev, rig.bus, &desc, &mapper_ops, &m), 0);
	ck_assert_uint_eq(expect(VMBUS_MSG_OFFERCHANNEL).offer.relid, RELID);
}

static void up(void)
{
	rig_up();
	connect_guest();
	offer_mapper(NULL);
	guest_open(&g, RELID, 0);
}

static void down(void)
{
	uint32_t gone = m.toy.gone;

	guest_detach(&g);
	if (m.toy.dev) {
		vmbus_device_revoke(m.toy.dev, toy_gone);
		UNTIL(m.toy.gone > gone);
	}
	rig_down();
}

/* ---- the guest's side ----------------------------------------------------------------- */

static enum hv_status post_range(uint32_t id, const struct vmbus_gpa_range *range, uint32_t ranges,
				 const uint64_t *pfn, uint32_t n)
{
	uint64_t qword[1 + VMBUS_GPADL_MAX_PFNS];
	uint32_t len, have = 27, want = n + 1;
	enum hv_status status;
	union vmbus_msg msg;

	memcpy(&qword[0], range, 8);
	memcpy(&qword[1], pfn, n * 8ul);
	len = vmbus_msg_init(&msg, VMBUS_MSG_GPADL_HEADER);
	msg.gpadl_header.relid = RELID;
	msg.gpadl_header.gpadl = id;
	msg.gpadl_header.range_buflen = (uint16_t)(8 * want);
	msg.gpadl_header.rangecount = (uint16_t)ranges;
	if (have > want)
		have = want;
	memcpy(msg.bytes + len, qword, have * 8ul);
	status = post(&msg, len + have * 8);
	while (status == HV_STATUS_SUCCESS && have < want) {
		uint32_t more = want - have < VMBUS_GPADL_BODY_PFNS ? want - have
								    : VMBUS_GPADL_BODY_PFNS;

		len = vmbus_msg_init(&msg, VMBUS_MSG_GPADL_BODY);
		msg.gpadl_body.gpadl = id;
		memcpy(msg.bytes + len, qword + have, more * 8ul);
		status = post(&msg, len + more * 8);
		have += more;
	}
	return status;
}

/* Whole pages, accepted. */
static void gpadl(uint32_t id, const uint64_t *pfn, uint32_t n)
{
	struct vmbus_gpa_range range = { .byte_count = n * HV_PAGE_SIZE };

	ck_assert_int_eq(post_range(id, &range, 1, pfn, n), HV_STATUS_SUCCESS);
	ck_assert_uint_eq(expect(VMBUS_MSG_GPADL_CREATED).gpadl_created.status,
			  VMBUS_STATUS_SUCCESS);
}

static void say_teardown_of(uint32_t id)
{
	struct guest what = { .relid = RELID, .gpadl = id };

	say_teardown(&what);
}

static void expect_torndown(uint32_t id)
{
	ck_assert_uint_eq(expect(VMBUS_MSG_GPADL_TORNDOWN).gpadl_torndown.gpadl, id);
}

/* @n pages, in a row or backwards. */
static void alloc_pfns(uint64_t *pfn, uint32_t n, bool row)
{
	uint64_t first = fake_guest_alloc(rig.f, n) >> HV_PAGE_SHIFT;

	for (uint32_t i = 0; i < n; i++)
		pfn[i] = row ? first + i : first + n - 1 - i;
}

static void buffer(uint32_t id, uint32_t n, bool row)
{
	uint64_t pfn[64];

	alloc_pfns(pfn, n, row);
	gpadl(id, pfn, n);
}

static void map_buffer(uint32_t id, uint32_t n, bool row)
{
	buffer(id, n, row);
	ck_assert_int_eq(vmbus_device_map(m.toy.dev, id, &m.b), 0);
}

static uint32_t live_gpadls(void)
{
	struct vmbus_server_stats st;

	vmbus_server_stats(rig.bus, &st);
	return st.gpadls;
}

/* ---- mapping ------------------------------------------------------------------------------ */

START_TEST(pages_come_in_the_guests_order)
{
	uint64_t pfn[40];

	up();
	for (int row = 0; row < 2; row++) {
		uint32_t maps = count_guest_maps(), id = 700 + (uint32_t)row;

		alloc_pfns(pfn, ARRAY_SIZE(pfn), row);
		gpadl(id, pfn, ARRAY_SIZE(pfn));
		ck_assert_int_eq(vmbus_device_map(m.toy.dev, id, &m.b), 0);
		ck_assert_uint_eq(m.b->gpadl, id);
		ck_assert_uint_eq(m.b->len, ARRAY_SIZE(pfn) * HV_PAGE_SIZE);
		ck_assert_uint_eq(count_guest_maps() > maps, !row); /* RAM is mapped anyway */
		for (uint32_t i = 0; i < ARRAY_SIZE(pfn); i++) {
			uint8_t *page = fake_guest_ptr(rig.f, pfn[i] << HV_PAGE_SHIFT);

			page[5] = (uint8_t)(i + 1);
			ck_assert_uint_eq(m.b->data[i * HV_PAGE_SIZE + 5], i + 1);
			m.b->data[i * HV_PAGE_SIZE + 6] = (uint8_t)(i + 2);
			ck_assert_uint_eq(page[6], i + 2);
		}
		let_go();
		ck_assert_uint_eq(count_guest_maps(), maps);
	}
	down();
}
END_TEST

static void refused(uint32_t id, int err)
{
	ck_assert_int_eq(vmbus_device_map(m.toy.dev, id, &m.b), err);
	m.b = NULL;
}

START_TEST(what_cannot_be_mapped)
{
	struct vmbus_gpa_range odd[] = {
		{ .byte_count = 4096, .byte_offset = 8 },
		{ .byte_count = 4095 },
		{ .byte_count = 8 },
	};
	struct vmbus_buffer *b;
	uint64_t pfn[3];

	up();
	alloc_pfns(pfn, 3, true);
	for (uint32_t i = 0; i < ARRAY_SIZE(odd); i++) {
		ck_assert_int_eq(post_range(800 + i, &odd[i], 1, pfn, i ? 1 : 2),
				 HV_STATUS_SUCCESS);
		ck_assert_uint_eq(expect(VMBUS_MSG_GPADL_CREATED).gpadl_created.status,
				  VMBUS_STATUS_SUCCESS);
		refused(800 + i, -EINVAL);
	}
	/* Two ranges of a page each: the header of the second one is where a page was. */
	odd[0] = (struct vmbus_gpa_range){ .byte_count = 4096 };
	memcpy(&pfn[1], &odd[0], 8);
	ck_assert_int_eq(post_range(810, &odd[0], 2, pfn, 3), HV_STATUS_SUCCESS);
	ck_assert_uint_eq(expect(VMBUS_MSG_GPADL_CREATED).gpadl_created.status,
			  VMBUS_STATUS_SUCCESS);
	refused(810, -EINVAL);
	refused(g.gpadl, -EINVAL); /* the rings' */
	refused(999, -ENOENT);
	buffer(820, 2, true);
	ck_assert_int_eq(vmbus_device_map(m.toy.dev, 820, &m.b), 0);
	ck_assert_int_eq(vmbus_device_map(m.toy.dev, 820, &b), -EBUSY);
	let_go();
	down();
}
END_TEST

START_TEST(only_the_open_primary_has_buffers)
{
	struct guest sub, extra;

	up();
	ck_assert_int_eq(vmbus_device_offer_subchannels(m.toy.dev, 1), 0);
	expect(VMBUS_MSG_OFFERCHANNEL);
	guest_open(&sub, RELID + 1, 0);
	guest_alloc(&extra, RELID + 1, 4);
	extra.gpadl = 77;
	ck_assert_uint_eq(guest_gpadl(&extra), VMBUS_STATUS_SUCCESS);
	refused(77, -ENOENT);
	guest_detach(&sub);
	buffer(820, 4, true);
	guest_detach(&g);
	say_relid(VMBUS_MSG_CLOSECHANNEL, RELID);
	ck_assert_uint_eq(expect(VMBUS_MSG_RESCIND_CHANNELOFFER).relid.relid, RELID + 1);
	UNTIL(m.toy.c[0].closes == 1);
	settle();
	refused(820, -ENOENT);
	down();
}
END_TEST

/* Opened again with another GPADL: the former rings' is as good as any. */
START_TEST(rings_move)
{
	uint32_t first;

	up();
	first = g.gpadl;
	guest_detach(&g);
	say_relid(VMBUS_MSG_CLOSECHANNEL, RELID);
	UNTIL(m.toy.c[0].closes == 1);
	settle();
	guest_alloc(&g, RELID, 16);
	g.gpadl = 555;
	ck_assert_uint_eq(guest_gpadl(&g), VMBUS_STATUS_SUCCESS);
	ck_assert_uint_eq(guest_ask_open(&g), VMBUS_STATUS_SUCCESS);
	refused(555, -EINVAL);
	ck_assert_int_eq(vmbus_device_map(m.toy.dev, first, &m.b), 0);
	let_go();
	down();
}
END_TEST

/* ---- tearing down -------------------------------------------------------------------------- */

START_TEST(teardown_waits_for_the_provider)
{
	struct vmbus_buffer *b;
	uint32_t maps;

	up();
	maps = count_guest_maps();
	map_buffer(900, 6, false);
	m.keep = true;
	say_teardown_of(900);
	UNTIL(m.unmaps == 1);
	expect_nothing();
	ck_assert_int_eq(vmbus_device_map(m.toy.dev, 900, &b), -ENOENT);
	m.b->data[3] = 1;     /* still the provider's */
	say_teardown_of(900); /* twice: no meaning */
	expect_nothing();
	ck_assert_uint_eq(m.unmaps, 1);
	let_go();
	expect_torndown(900);
	ck_assert_uint_eq(count_guest_maps(), maps);
	ck_assert_uint_eq(live_gpadls(), 1);
	buffer(900, 6, true); /* the name is free again */
	guest_echo(&g, 1);
	down();
}
END_TEST

START_TEST(teardown_is_answered_from_inside)
{
	up();
	for (uint32_t i = 0; i < 5; i++) {
		map_buffer(900, 6, i % 2);
		say_teardown_of(900);
		expect_torndown(900);
		ck_assert_uint_eq(m.unmaps, i + 1);
		ck_assert_ptr_null(m.b);
	}
	down();
}
END_TEST

START_TEST(teardown_of_what_is_not_mapped)
{
	up();
	buffer(900, 3, true);
	say_teardown_of(900);
	expect_torndown(900);
	map_buffer(901, 3, true);
	let_go();
	say_teardown_of(901);
	expect_torndown(901);
	ck_assert_uint_eq(m.unmaps, 0);
	down();
}
END_TEST

/* Linux: the channel first, then the buffers, back to back. */
START_TEST(close_gives_back)
{
	up();
	for (int late = 0; late < 2; late++) {
		m.keep = m.toy.own_close = late;
		map_buffer(900, 6, false);
		guest_detach(&g);
		say_relid(VMBUS_MSG_CLOSECHANNEL, RELID);
		say_teardown(&g);
		say_teardown_of(900);
		if (late) {
			UNTIL(m.toy.c[0].closing);
			expect_nothing();
			ck_assert_uint_eq(m.unmaps, 0); /* it is closing: it knows */
			let_go();
			expect_torndown(900);
			expect_nothing();
			toy_end(&m.toy, 0);
			expect_torndown(g.gpadl);
		} else {
			expect_torndown(900);
			expect_torndown(g.gpadl);
		}
		ck_assert_uint_eq(live_gpadls(), 0);
		guest_open(&g, RELID, 0);
	}
	m.keep = m.toy.own_close = false;
	down();
}
END_TEST

/* Others: the buffers first. Between the two the provider takes its time. */
START_TEST(close_while_the_guest_waits)
{
	up();
	map_buffer(900, 6, false);
	m.keep = m.toy.own_close = true;
	say_teardown_of(900);
	UNTIL(m.unmaps == 1);
	guest_detach(&g);
	say_relid(VMBUS_MSG_CLOSECHANNEL, RELID);
	UNTIL(m.toy.c[0].closing);
	expect_nothing();
	let_go();
	toy_end(&m.toy, 0);
	expect_torndown(900);
	m.keep = m.toy.own_close = false;
	down();
}
END_TEST

/* ---- sudden ends ---------------------------------------------------------------------------- */

static void revoke_mapper(void)
{
	vmbus_device_revoke(m.toy.dev, toy_gone);
	guest_detach(&g);
}

START_TEST(guest_dies)
{
	for (int told = 0; told < 2; told++) {
		up();
		map_buffer(900, 6, false);
		m.keep = m.toy.own_close = true;
		if (told) {
			say_teardown_of(900);
			UNTIL(m.unmaps == 1);
		}
		guest_detach(&g);
		vmbus_server_shutdown(rig.bus, on_shut, &rig);
		UNTIL(m.toy.c[0].closing);
		settle();
		ck_assert(!rig.shut);
		m.b->data[7] = 1; /* guest memory is still there */
		let_go();
		settle();
		ck_assert(!rig.shut);
		toy_end(&m.toy, 0);
		UNTIL(rig.shut);
		ck_assert_uint_eq(live_gpadls(), 0);
		revoke_mapper();
		UNTIL(m.toy.gone == 1);
		vmbus_device_revoke(rig.toy.dev, toy_gone);
		UNTIL(rig.toy.gone == 1);
		vmbus_server_destroy(rig.bus);
		fake_partition_destroy(rig.f);
		ck_assert_uint_eq(count_guest_maps(), 0);
		loop_destroy(rig.loop);
	}
}
END_TEST

START_TEST(guest_starts_anew)
{
	up();
	map_buffer(900, 6, false);
	guest_detach(&g);
	contact(VMBUS_V5_3);
	ck_assert_uint_eq(expect(VMBUS_MSG_VERSION_RESPONSE).version.supported, 1);
	ck_assert_ptr_null(m.b);
	ck_assert_uint_eq(live_gpadls(), 0);
	ck_assert_uint_eq(m.toy.c[0].closes, 1);
	down();
}
END_TEST

/* Linux tears down nothing then: all goes with RELID_RELEASED. */
START_TEST(device_is_taken_away)
{
	for (int torn = 0; torn < 2; torn++) {
		uint32_t maps;

		up();
		maps = count_guest_maps();
		map_buffer(900, 6, false);
		buffer(901, 2, true);
		m.keep = m.toy.own_close = true;
		if (torn) {
			say_teardown_of(900);
			UNTIL(m.unmaps == 1);
		}
		vmbus_device_revoke(m.toy.dev, toy_gone);
		expect(VMBUS_MSG_RESCIND_CHANNELOFFER);
		UNTIL(m.toy.c[0].closing);
		if (!torn)
			say_relid(VMBUS_MSG_RELID_RELEASED, RELID); /* before the device is done */
		settle();
		ck_assert_uint_eq(m.toy.gone, 0);
		let_go();
		toy_end(&m.toy, 0);
		UNTIL(m.toy.gone == 1);
		if (torn) {
			expect_torndown(900);
			ck_assert_uint_eq(live_gpadls(), 2); /* the guest's to release */
			say_relid(VMBUS_MSG_RELID_RELEASED, RELID);
		}
		settle();
		ck_assert_uint_eq(live_gpadls(), 0);
		guest_detach(&g);
		ck_assert_uint_lt(count_guest_maps(), maps); /* the rings' too */
		down();
	}
}
END_TEST

/* ---- quotas ------------------------------------------------------------------------------------
 */

START_TEST(scattered_pages_are_limited)
{
	static uint64_t pfn[6000];
	struct vmbus_buffer *b;
	uint32_t maps;

	up();
	maps = count_guest_maps();
	alloc_pfns(pfn, 3, true);
	pfn[1] = pfn[2]; /* two pages that are not neighbours, over and over */
	for (uint32_t i = 2; i < ARRAY_SIZE(pfn); i++)
		pfn[i] = pfn[i % 2];
	gpadl(900, pfn, ARRAY_SIZE(pfn));
	gpadl(901, pfn, ARRAY_SIZE(pfn));
	ck_assert_int_eq(vmbus_device_map(m.toy.dev, 900, &m.b), 0);
	m.b->data[m.b->len - 1] = 0x42;
	ck_assert_uint_eq(m.b->data[2 * HV_PAGE_SIZE - 1], 0x42);
	ck_assert_int_eq(vmbus_device_map(m.toy.dev, 901, &b), -ENOSPC);
	let_go();
	ck_assert_uint_eq(count_guest_maps(), maps);
	for (uint32_t i = 0; i < 3; i++) { /* given back each time */
		ck_assert_int_eq(vmbus_device_map(m.toy.dev, 901, &m.b), 0);
		let_go();
	}
	down();
}
END_TEST

/* ---- threads --------------------------------------------------------------------------------- */

static struct {
	sem_t up;
	pthread_t thread;
	struct loop *loop;
} io;

static void *io_main(void *arg)
{
	(void)arg;
	if (loop_create(&io.loop, NULL))
		abort();
	sem_post(&io.up);
	loop_run(io.loop);
	loop_destroy(io.loop);
	return NULL;
}

static struct {
	pthread_mutex_t lock;
	struct vmbus_buffer *b; /* under it */
	uint32_t stop, mapped;
	uint32_t told;
} race = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* As a provider that unmaps on two loops: whoever finds the buffer lets go of it. */
static void race_let_go(const struct vmbus_buffer *which)
{
	struct vmbus_buffer *b;

	pthread_mutex_lock(&race.lock);
	b = race.b;
	if (which && which != b)
		b = NULL;
	if (b)
		race.b = NULL;
	pthread_mutex_unlock(&race.lock);
	if (b)
		vmbus_device_unmap(m.toy.dev, b);
}

static void race_unmap(void *dev, struct vmbus_buffer *b)
{
	(void)dev;
	__atomic_add_fetch(&race.told, 1, __ATOMIC_RELAXED);
	race_let_go(b);
}

static const struct vmbus_device_ops race_ops = {
	.open = toy_open,
	.drain = toy_drain,
	.close = toy_close,
	.unmap = race_unmap,
};

/* Maps, writes, and half of the time unmaps before anybody asks. */
static void *race_main(void *arg)
{
	uint32_t turn = 0;

	(void)arg;
	while (!load_acquire(&race.stop)) {
		struct vmbus_buffer *b;
		int err;

		/* Who is told to unmap has to know what: it is told once. */
		pthread_mutex_lock(&race.lock);
		err = vmbus_device_map(m.toy.dev, 900, &b);
		if (!err) {
			race.b = b;
			b->data[turn % b->len] = 1;
		}
		pthread_mutex_unlock(&race.lock);
		if (err) {
			sched_yield();
			continue;
		}
		__atomic_add_fetch(&race.mapped, 1, __ATOMIC_RELAXED);
		if (turn++ % 2)
			race_let_go(NULL);
		while (!load_acquire(&race.stop)) {
			pthread_mutex_lock(&race.lock);
			b = race.b;
			pthread_mutex_unlock(&race.lock);
			if (!b)
				break;
			sched_yield();
		}
	}
	race_let_go(NULL);
	return NULL;
}

START_TEST(map_races_with_teardown)
{
	struct vmbus_device_desc desc = { .type = VMBUS_CLASS_NET, .name = "racer" };
	struct vmbus_server_config cfg = { .nr_io_loops = 1, .io_loops = &io.loop };
	uint64_t pfn[4];
	pthread_t racer;

	memset(&m, 0, sizeof(m));
	sem_init(&io.up, 0, 0);
	pthread_create(&io.thread, NULL, io_main, NULL);
	sem_wait(&io.up);
	rig_up_with(&cfg);
	connect_guest();
	ck_assert_int_eq(vmbus_device_offer(&m.toy.dev, rig.bus, &desc, &race_ops, &m), 0);
	expect(VMBUS_MSG_OFFERCHANNEL);
	guest_open(&g, RELID, 0);
	alloc_pfns(pfn, ARRAY_SIZE(pfn), false);
	pthread_create(&racer, NULL, race_main, NULL);
	for (uint32_t i = 0; i < TIMES(3000) || !load_relaxed(&race.told); i++) {
		gpadl(900, pfn, ARRAY_SIZE(pfn));
		if (i % 3)
			sched_yield();
		say_teardown_of(900);
		expect_torndown(900);
	}
	store_release(&race.stop, 1);
	pthread_join(racer, NULL);
	ck_assert_uint_gt(race.mapped, 0);
	guest_detach(&g);
	vmbus_device_revoke(m.toy.dev, toy_gone);
	UNTIL(m.toy.gone == 1);
	rig_end_bus();
	loop_stop(io.loop);
	pthread_join(io.thread, NULL);
	loop_destroy(rig.loop);
	ck_assert_uint_eq(count_guest_maps(), 0);
}
END_TEST

VMBUS_MAIN("vmbus/server_map", pages_come_in_the_guests_order, what_cannot_be_mapped,
	   only_the_open_primary_has_buffers, rings_move, teardown_waits_for_the_provider,
	   teardown_is_answered_from_inside, teardown_of_what_is_not_mapped, close_gives_back,
	   close_while_the_guest_waits, guest_dies, guest_starts_anew, device_is_taken_away,
	   scattered_pages_are_limited, map_races_with_teardown)
