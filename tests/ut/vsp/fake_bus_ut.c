/* SPDX-License-Identifier: MIT */
/* Buffers on the bus that provider tests use: the contract of vmbus/device.h holds there too. */
#include <check.h>
#include <stdlib.h>

#include "base/loop.h"
#include "tests/fake/fake_bus.h"

struct holder {
	struct vmbus_device *dev;
	struct vmbus_buffer *b;
	bool keep;
	uint32_t unmaps, gone;
};

static struct loop *loop;
static struct vmbus_bus *bus;
static struct holder h;
static struct vmbus_chan *guest;

static int on_open(void *dev, uint16_t sub, struct vmbus_chan *chan, const uint8_t *user)
{
	(void)dev;
	(void)sub;
	(void)chan;
	(void)user;
	return 0;
}

static bool on_drain(void *dev, uint16_t sub)
{
	(void)dev;
	(void)sub;
	return false;
}

static void let_go(void)
{
	struct vmbus_buffer *b = h.b;

	h.b = NULL;
	vmbus_device_unmap(h.dev, b);
}

static void on_close(void *dev, uint16_t sub)
{
	(void)dev;
	if (h.b)
		let_go();
	vmbus_device_closed(h.dev, sub);
}

static void on_unmap(void *dev, struct vmbus_buffer *b)
{
	(void)dev;
	ck_assert_ptr_eq(b, h.b);
	h.unmaps++;
	if (!h.keep)
		let_go();
}

static void on_gone(void *dev)
{
	(void)dev;
	h.gone++;
}

static const struct vmbus_device_ops ops = {
	.open = on_open,
	.drain = on_drain,
	.close = on_close,
	.unmap = on_unmap,
};

static void setup(void)
{
	struct vmbus_device_desc desc = { .name = "holder" };

	memset(&h, 0, sizeof(h));
	ck_assert_int_eq(loop_create(&loop, NULL), 0);
	bus = fake_bus_create(loop, 4 << 20);
	ck_assert_int_eq(vmbus_device_offer(&h.dev, bus, &desc, &ops, &h), 0);
	ck_assert_int_eq(vmbus_device_map(h.dev, 1, &h.b), -ENOENT);
	ck_assert_int_eq(fake_bus_open(bus, 0, 0, 4, &guest), 0);
}

static void teardown(void)
{
	vmbus_device_revoke(h.dev, on_gone);
	ck_assert_uint_eq(h.gone, 1);
	fake_bus_destroy(bus);
	loop_destroy(loop);
}

START_TEST(buffers_in_any_order_of_pages)
{
	uint64_t gpa = fake_bus_alloc(bus, 4), pfn[2] = { gpa / 4096 + 3, gpa / 4096 };

	fake_bus_gpadl_add(bus, 0, 7, gpa, 4);
	fake_bus_gpadl_add_list(bus, 0, 8, pfn, 2);
	*(uint8_t *)fake_bus_ptr(bus, gpa + 3 * 4096 + 9) = 0x33;
	ck_assert_int_eq(vmbus_device_map(h.dev, 7, &h.b), 0);
	ck_assert_uint_eq(h.b->len, 4 * 4096);
	ck_assert_uint_eq(h.b->gpadl, 7);
	ck_assert_uint_eq(h.b->data[3 * 4096 + 9], 0x33);
	ck_assert_int_eq(vmbus_device_map(h.dev, 7, &h.b), -EBUSY);
	let_go();
	ck_assert_int_eq(vmbus_device_map(h.dev, 8, &h.b), 0);
	ck_assert_uint_eq(h.b->data[9], 0x33);
	ck_assert(fake_bus_gpadl_teardown(bus, 0, 7)); /* not mapped any more */
	ck_assert_uint_eq(h.unmaps, 0);
	ck_assert_int_eq(vmbus_device_map(h.dev, 7, &h.b), -ENOENT);
}
END_TEST

START_TEST(teardown_asks_the_provider)
{
	struct vmbus_buffer *b;

	fake_bus_gpadl_add(bus, 0, 7, fake_bus_alloc(bus, 4), 4);
	ck_assert_int_eq(vmbus_device_map(h.dev, 7, &h.b), 0);
	h.keep = true;
	ck_assert(!fake_bus_gpadl_teardown(bus, 0, 7));
	ck_assert_uint_eq(h.unmaps, 1);
	ck_assert(fake_bus_gpadl_exists(bus, 0, 7));
	ck_assert_int_eq(vmbus_device_map(h.dev, 7, &b), -ENOENT);
	let_go();
	ck_assert(!fake_bus_gpadl_exists(bus, 0, 7));
	fake_bus_gpadl_add(bus, 0, 7, fake_bus_alloc(bus, 4), 4);
	ck_assert_int_eq(vmbus_device_map(h.dev, 7, &h.b), 0);
	h.keep = false;
	ck_assert(fake_bus_gpadl_teardown(bus, 0, 7));
	ck_assert_uint_eq(fake_bus_counts(bus)->maps, fake_bus_counts(bus)->unmaps);
}
END_TEST

START_TEST(guests_end_takes_long_transfers)
{
	struct vmpkt_xfer_range ranges[562];
	struct vmbus_chan *host = fake_bus_host_chan(bus, 0, 0);
	struct vmpkt p;

	memset(ranges, 0, sizeof(ranges));
	ck_assert_int_eq(vmbus_chan_send_xfer_pages(host, 0, 1, 0xcafe, ranges, ARRAY_SIZE(ranges),
						    "12345678", 8),
			 0);
	vmbus_chan_flush(host);
	ck_assert_int_eq(vmbus_chan_recv(guest, &p), 1);
	ck_assert_uint_eq(p.range_count, ARRAY_SIZE(ranges));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("fake bus");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, buffers_in_any_order_of_pages);
	tcase_add_test(tc, teardown_asks_the_provider);
	tcase_add_test(tc, guests_end_takes_long_transfers);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
