/* SPDX-License-Identifier: MIT */
/*
 * The port that measures: what it counts, what it sends back and to whom, how far a source runs
 * ahead of its receiver, and frames that it leaves alone.
 */
#include <stdlib.h>

#include "base/log.h"
#include "tests/ut/base/loop_rig.h"
#include "vsp/netvsp/port_test.h"

#define FRAMES 512u

static const uint8_t test_mac[NET_MAC_LEN] = PORT_TEST_MAC;
static const uint8_t guest_mac[NET_MAC_LEN] = { 2, 0, 0, 0, 0, 1 };

static struct loop *loop;
static struct vsw *sw;
static struct port_test *test;
static struct vsw_port *guest;

/* What the guest has got. */
static struct {
	uint32_t len;
	struct net_meta meta;
	struct port_test_order o;
} got[FRAMES];
static uint32_t nr_got;

static uint64_t time_now(void *ctx)
{
	(void)ctx;
	return clock_ns();
}

static enum vsw_drop take(void *ctx, const struct net_frame *f, const struct net_meta *meta,
			  uint32_t from)
{
	uint32_t at = port_test_find(f->head, f->head_len);

	(void)ctx;
	(void)from;
	ck_assert_uint_lt(nr_got, FRAMES);
	ck_assert_uint_ne(at, 0);
	ck_assert_mem_eq(f->head, guest_mac, NET_MAC_LEN);
	ck_assert_mem_eq(f->head + NET_MAC_LEN, test_mac, NET_MAC_LEN);
	got[nr_got].len = f->len;
	got[nr_got].meta = *meta;
	memcpy(&got[nr_got++].o, f->head + at, sizeof(struct port_test_order));
	return VSW_FORWARDED;
}

static void nothing(void *ctx)
{
	(void)ctx;
}

static const struct vsw_port_ops guest_ops = { .deliver = take, .flush = nothing };

static void setup(int engine)
{
	struct vsw_config vc = { .name = "test", .type = VSW_PRIVATE, .now = time_now };
	struct vsw_port_config pc = { .name = "guest",
				      .role = VSW_GUEST,
				      .caps = VSW_CAN_CSUM | VSW_CAN_TSO4,
				      .ops = &guest_ops };
	char why[200] = "";

	log_set_level(LOG_ERROR);
	loop = rig_loop(engine, 0);
	ck_assert_int_eq(vsw_create(&sw, &vc), 0);
	memcpy(pc.mac, guest_mac, NET_MAC_LEN);
	ck_assert_msg(!vsw_port_add(&guest, sw, &pc, why, sizeof(why)), "%s", why);
	ck_assert_msg(!port_test_create(&test, loop, sw, "test", test_mac, why, sizeof(why)), "%s",
		      why);
	nr_got = 0;
}

static void teardown(void)
{
	port_test_destroy(test);
	vsw_port_del(guest);
	vsw_destroy(sw);
	loop_destroy(loop);
}

static enum vsw_drop put_bytes(uint8_t *bytes, uint32_t len, const struct net_meta *meta)
{
	uint8_t head[NET_HEAD_MAX + NET_VLAN_LEN];
	struct iovec all = { bytes, len }, rest[1];
	struct net_frame f;
	enum vsw_drop result;

	ck_assert_int_eq(net_frame_init(&f, head, NET_HEAD_FIRST, &all, 1, rest), 0);
	f.meta = *meta;
	result = vsw_input(guest, &f);
	vsw_flush(sw);
	return result;
}

static enum vsw_drop order(uint32_t len, struct port_test_order o)
{
	static uint8_t bytes[NET_FRAME_MAX];
	struct net_meta meta;

	o.magic = PORT_TEST_MAGIC;
	memset(bytes, 0, len);
	memcpy(bytes + port_test_frame(bytes, test_mac, guest_mac, len, &meta), &o, sizeof(o));
	return put_bytes(bytes, len, &meta);
}

/* Until the port has nothing more to do. */
static void settle(void)
{
	while (loop_turn(loop, 0) == 1)
		;
}

/* ---- counting ---------------------------------------------------------------------- */

static struct port_test_order report(void)
{
	uint32_t before = nr_got;

	ck_assert_int_eq(order(64, (struct port_test_order){ .op = PORT_TEST_REPORT, .time = 7 }),
			 VSW_FORWARDED);
	settle();
	ck_assert_uint_eq(nr_got, before + 1);
	ck_assert_uint_eq(got[before].o.op, PORT_TEST_REPORT);
	ck_assert_uint_eq(got[before].o.time, 7);
	return got[before].o;
}

START_TEST(counts)
{
	static const uint64_t numbers[] = { 0, 1, 2, 5, 6, 10 }; /* 3 4 7 8 9 are missing */
	struct port_test_order o;

	setup(_i);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		ck_assert_int_eq(
			order(i % 2 ? 64 : 9000,
			      (struct port_test_order){ .op = PORT_TEST_COUNT, .seq = numbers[i] }),
			VSW_FORWARDED);
	settle();
	ck_assert_uint_eq(nr_got, 0);
	o = report();
	ck_assert_uint_eq(o.value, ARRAY_SIZE(numbers));
	ck_assert_uint_eq(o.lost, 5);
	o = report(); /* counting has started again */
	ck_assert_uint_eq(o.value, 0);
	ck_assert_uint_eq(o.lost, 0);
	teardown();
}
END_TEST

/* ---- echoes --------------------------------------------------------------------------- */

START_TEST(echoes)
{
	setup(_i);
	for (uint32_t i = 0; i < 3; i++) {
		struct port_test_order o = { .op = PORT_TEST_ECHO, .seq = i, .time = 100 + i };

		ck_assert_int_eq(order(64 + 1000 * i, o), VSW_FORWARDED);
		settle();
		ck_assert_uint_eq(nr_got, i + 1);
		ck_assert_uint_eq(got[i].o.op, PORT_TEST_ECHO);
		ck_assert_uint_eq(got[i].o.seq, i);
		ck_assert_uint_eq(got[i].o.time, 100 + i);
		ck_assert_uint_eq(got[i].len, i ? 128 : 64); /* long ones come back short */
	}
	teardown();
}
END_TEST

/* More than it has places for: the first ones are answered, the switch is not held up. */
START_TEST(echo_flood)
{
	setup(_i);
	for (uint32_t i = 0; i < 100; i++)
		ck_assert_int_eq(
			order(64, (struct port_test_order){ .op = PORT_TEST_ECHO, .seq = i }),
			VSW_FORWARDED);
	settle();
	ck_assert_uint_eq(nr_got, 64);
	for (uint32_t i = 0; i < nr_got; i++)
		ck_assert_uint_eq(got[i].o.seq, i);
	teardown();
}
END_TEST

/* ---- sources ---------------------------------------------------------------------------- */

static void source(uint32_t size, uint64_t window, uint64_t so_far)
{
	ck_assert_int_eq(order(64, (struct port_test_order){ .op = PORT_TEST_SOURCE,
							     .size = size,
							     .value = window,
							     .seq = so_far,
							     .time = 42 }),
			 VSW_FORWARDED);
	settle();
}

START_TEST(source_runs_ahead_by_its_window)
{
	setup(_i);
	source(1514, 100, 0);
	ck_assert_uint_eq(nr_got, 100);
	source(1514, 100, 30);
	ck_assert_uint_eq(nr_got, 130);
	source(1514, 100, 30); /* told again: nothing more */
	ck_assert_uint_eq(nr_got, 130);
	source(1514, 100, 10); /* an old word, overtaken by a newer one */
	ck_assert_uint_eq(nr_got, 130);
	source(1514, 100, 131); /* more than there were */
	ck_assert_uint_eq(nr_got, 130);
	for (uint32_t i = 0; i < nr_got; i++) {
		ck_assert_uint_eq(got[i].o.op, PORT_TEST_COUNT);
		ck_assert_uint_eq(got[i].o.seq, i);
		ck_assert_uint_eq(got[i].o.time, 42);
		ck_assert_uint_eq(got[i].len, 1514);
	}
	teardown();
}
END_TEST

START_TEST(source_stops)
{
	setup(_i);
	source(64, 10, 0);
	ck_assert_uint_eq(nr_got, 10);
	order(64, (struct port_test_order){ .op = PORT_TEST_STOP });
	settle();
	ck_assert_uint_eq(nr_got, 10);
	source(9000, 5, 0); /* another one: it starts at 0 */
	ck_assert_uint_eq(nr_got, 15);
	ck_assert_uint_eq(got[10].o.seq, 0);
	ck_assert_uint_eq(got[10].len, 9000);
	teardown();
}
END_TEST

/* As TCP that whoever needs it can cut into segments. */
START_TEST(large_frames)
{
	setup(_i);
	source(62780, 2, 0);
	ck_assert_uint_eq(nr_got, 2);
	ck_assert_uint_eq(got[1].len, 62780);
	ck_assert_uint_eq(got[1].meta.gso, NET_GSO_TCP4);
	ck_assert_uint_eq(got[1].meta.gso_size, PORT_TEST_MSS);
	ck_assert_uint_eq(got[1].meta.csum, NET_CSUM_PARTIAL);
	teardown();
}
END_TEST

START_TEST(source_of_nonsense)
{
	static const uint32_t sizes[] = { 0, 1, PORT_TEST_MIN - 1, NET_FRAME_MAX + 1, UINT32_MAX };

	setup(_i);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		source(sizes[i], 10, 0);
	source(64, 0, 0); /* no window */
	ck_assert_uint_eq(nr_got, 0);
	teardown();
}
END_TEST

/* Its end in the middle of everything. */
START_TEST(gone_while_busy)
{
	setup(_i);
	order(64, (struct port_test_order){ .op = PORT_TEST_ECHO });
	order(64, (struct port_test_order){ .op = PORT_TEST_SOURCE, .size = 64, .value = 1000 });
	loop_turn(loop, 0);
	port_test_destroy(test);
	test = NULL;
	settle();
	ck_assert_uint_gt(nr_got, 0);
	ck_assert_uint_lt(nr_got, 200);
	ck_assert_ptr_null(vsw_port_find(sw, "test"));
	teardown();
}
END_TEST

/* ---- what is none of its business ---------------------------------------------------------- */

START_TEST(other_frames)
{
	struct net_meta none = { 0 };
	uint8_t bytes[256] = { 0 };
	uint32_t at;

	setup(_i);
	at = port_test_frame(bytes, test_mac, guest_mac, 64, &none);
	ck_assert_int_eq(put_bytes(bytes, 64, &none), VSW_DROP_FILTER); /* no magic */
	ck_assert_int_eq(order(64, (struct port_test_order){ .op = 99 }), VSW_DROP_FILTER);
	memcpy(bytes + at, &(struct port_test_order){ .magic = PORT_TEST_MAGIC, .op = 2 },
	       sizeof(struct port_test_order));
	ck_assert_int_eq(put_bytes(bytes, PORT_TEST_MIN - 1, &none), VSW_DROP_FILTER);
	bytes[13]++; /* another protocol */
	ck_assert_int_eq(put_bytes(bytes, 64, &none), VSW_DROP_FILTER);
	settle();
	ck_assert_uint_eq(nr_got, 0);
	teardown();
}
END_TEST

/* The first bytes of a frame, of every length. */
START_TEST(finds_its_order)
{
	uint8_t bytes[NET_HEAD_MAX];
	uint32_t magic = PORT_TEST_MAGIC, at;
	struct net_meta meta;

	for (uint32_t large = 0; large < 2; large++) {
		memset(bytes, 0, sizeof(bytes));
		at = port_test_frame(bytes, test_mac, guest_mac, large ? 9000 : 64, &meta);
		ck_assert_uint_eq(at, large ? 54 : 14);
		memcpy(bytes + at, &magic, sizeof(magic));
		for (uint32_t len = 0; len <= sizeof(bytes); len++)
			ck_assert_uint_eq(port_test_find(bytes, len),
					  len < at + sizeof(struct port_test_order) ? 0 : at);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("port_test");
	TCase *tc = tcase_create("port_test");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, counts, 0, NR_ENGINES);
	tcase_add_loop_test(tc, echoes, 0, NR_ENGINES);
	tcase_add_loop_test(tc, echo_flood, 0, NR_ENGINES);
	tcase_add_loop_test(tc, source_runs_ahead_by_its_window, 0, NR_ENGINES);
	tcase_add_loop_test(tc, source_stops, 0, NR_ENGINES);
	tcase_add_loop_test(tc, large_frames, 0, NR_ENGINES);
	tcase_add_loop_test(tc, source_of_nonsense, 0, NR_ENGINES);
	tcase_add_loop_test(tc, gone_while_busy, 0, NR_ENGINES);
	tcase_add_loop_test(tc, other_frames, 0, NR_ENGINES);
	tcase_add_test(tc, finds_its_order);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
