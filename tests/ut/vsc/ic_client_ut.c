/* SPDX-License-Identifier: MIT */
/*
 * The guest's side of the integration services: answers byte for byte, the matrix of versions, and
 * roots that do not keep to the protocol (C25, C26).
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "tests/fake/fake_child.h"
#include "vmbus/wire/vmbus_msg.h"
#include "vsc/ic_client.h"

static const struct guid heartbeat = VMBUS_CLASS_HEARTBEAT, shutdown_class = VMBUS_CLASS_SHUTDOWN;

static struct vmbus_client *bus;
static struct vmbus_chan *host;
static struct ic_client *ic;
static struct ic_client_shutdown asked;
static uint32_t nr_asked, verdict, health;

static uint32_t on_shutdown(void *ctx, const struct ic_client_shutdown *r)
{
	(void)ctx;
	asked = *r;
	nr_asked++;
	return verdict;
}

static enum ic_application on_health(void *ctx)
{
	(void)ctx;
	return (enum ic_application)health;
}

static struct ic_client_config config = { .vp = 1 };

static void start(const struct guid *type)
{
	bus = fake_client_create(type, 2, 1u << 20);
	ck_assert_int_eq(ic_client_open(&ic, bus, &config), 0);
	host = fake_client_host(bus, 0);
	nr_asked = 0;
}

static void stop(void)
{
	ic_client_close(ic);
	ck_assert_uint_eq(fake_client_counts(bus)->opens, fake_client_counts(bus)->closes);
	fake_client_destroy(bus);
}

static struct ic_client_stats stats(void)
{
	struct ic_client_stats st;

	ic_client_stats(ic, &st);
	return st;
}

/* Sends @len bytes; the answer is in @out, its length returned, 0 without one. */
static uint32_t ask(const void *bytes, uint32_t len, uint8_t out[4096])
{
	struct vmpkt p;
	uint32_t n = 0;

	ck_assert_int_eq(vmbus_chan_send(host, 0, 0, bytes, len), 0);
	vmbus_chan_flush(host);
	ck_assert(ic_client_work(ic));
	ck_assert(ic_client_arm(ic));
	if (vmbus_chan_recv(host, &p) > 0) {
		ck_assert_uint_eq(p.type, VMPKT_INBAND);
		n = p.payload_len;
		memcpy(out, p.payload, n);
	}
	ck_assert_int_eq(vmbus_chan_recv(host, &p), 0);
	vmbus_chan_recv_done(host);
	return n;
}

static uint32_t make(uint8_t out[4096], uint16_t message, const void *body, uint32_t len)
{
	struct ic_frame f = {
		.pipe = { IC_PIPE_MESSAGE, 20 + len },
		.header = { .message = message, .size = (uint16_t)len, .flags = 3 },
	};

	memset(out, 0, 4096);
	memcpy(out, &f, sizeof(f));
	memcpy(out + sizeof(f), body, len);
	return (uint32_t)sizeof(f) + len;
}

/* ---- bytes ------------------------------------------------------------------------------ */

/* Of a root with all versions of shutdown, and what Linux answers. */
static const uint8_t request[60] = {
	1, 0, 0, 0, 0x34, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0,
	0, 0, 0, 0, 0,	  3, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 1, 0, 0,    0,
	3, 0, 0, 0, 3,	  0, 2, 0, 3, 0, 1, 0, 3, 0, 0, 0, 1, 0, 0,    0,
};
static const uint8_t reply[64] = {
	1, 0, 0, 0, 0x34, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0,
	0, 0, 0, 5, 0,	  0, 1, 0, 1, 0, 0, 0, 0, 0, 3, 0, 0, 0, 3,    0, 2, 0,
	3, 0, 2, 0, 3,	  0, 1, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0,    0,
};

START_TEST(golden_negotiation)
{
	uint8_t out[4096];

	start(&shutdown_class);
	ck_assert_uint_eq(ask(request, sizeof(request), out), sizeof(reply));
	ck_assert_mem_eq(out, reply, sizeof(reply));
	stop();
}
END_TEST

START_TEST(golden_heartbeat)
{
	static const uint8_t beat[44] = { 1, 0, 0, 0,  0x24, 0, 0, 0, 3, 0, 0, 0, 1, 0,	  3,
					  0, 0, 0, 16, 0,    0, 0, 0, 0, 0, 3, 0, 0, 0x29 };
	static const uint8_t answer[48] = { 1, 0, 0, 0,	 0x24, 0, 0, 0, 3, 0, 0, 0, 1, 0,   3,
					    0, 0, 0, 16, 0,    0, 0, 0, 0, 0, 5, 0, 0, 0x2a };
	uint8_t out[4096];

	config.health = NULL;
	start(&heartbeat);
	ck_assert_uint_eq(ask(beat, sizeof(beat), out), sizeof(answer));
	ck_assert_mem_eq(out, answer, sizeof(answer));
	stop();
}
END_TEST

START_TEST(heartbeat_sizes_and_health)
{
	uint8_t msg[4096], out[4096];
	uint64_t body[5] = { UINT64_MAX, 0, 7, 7, 7 }, back[2];
	uint32_t len;

	config.health = on_health;
	health = IC_APP_CRITICAL;
	start(&heartbeat);
	for (len = 0; len <= sizeof(body); len++) {
		uint32_t size = make(msg, IC_HEARTBEAT, body, len);

		ck_assert_uint_eq(ask(msg, size, out) != 0, len >= 8);
		memcpy(back, out + 28, sizeof(back));
		ck_assert(len < 8 || back[0] == 0);
		ck_assert(len < 16 || back[1] == IC_APP_CRITICAL);
		ck_assert(len < 17 || !memcmp(out + 28 + 16, msg + 28 + 16, len - 16));
	}
	ck_assert_uint_eq(stats().ignored, 8);
	stop();
	config.health = NULL;
}
END_TEST

/* ---- negotiation -------------------------------------------------------------------------- */

static const struct {
	uint16_t f, m; /* counts */
	struct ic_version v[5];
	uint16_t framework, message; /* major numbers chosen; 0: refused */
	uint16_t minor;
} offers[] = {
	{ 1, 1, { { 3, 0 }, { 3, 2 } }, 3, 3, 2 },
	{ 1, 1, { { 1, 0 }, { 1, 0 } }, 1, 1, 0 },
	{ 2, 2, { { 1, 0 }, { 3, 0 }, { 1, 0 }, { 3, 1 } }, 3, 3, 1 },
	{ 2, 2, { { 3, 0 }, { 1, 0 }, { 3, 1 }, { 1, 0 } }, 3, 3, 1 },
	{ 1, 3, { { 3, 0 }, { 3, 2 }, { 9, 9 }, { 3, 0 } }, 3, 3, 2 },
	{ 1, 1, { { 2, 0 }, { 3, 2 } }, 0, 0, 0 },
	{ 1, 1, { { 3, 0 }, { 4, 0 } }, 0, 0, 0 },
	{ 1, 1, { { 3, 0 }, { 3, 3 } }, 0, 0, 0 },
	{ 1, 1, { { 0, 0 }, { 0, 0 } }, 0, 0, 0 },
	{ 0, 1, { { 3, 2 } }, 0, 0, 0 },
	{ 1, 0, { { 3, 0 } }, 0, 0, 0 },
	{ 0, 0, { { 0, 0 } }, 0, 0, 0 },
};

START_TEST(choices)
{
	uint8_t body[8 + sizeof(offers[0].v)] = { 0 }, msg[4096], out[4096];
	struct ic_negotiated n;
	uint32_t len = 8 + 4u * (offers[_i].f + offers[_i].m);
	uint16_t count = offers[_i].framework != 0;

	memcpy(body, &offers[_i].f, 2);
	memcpy(body + 2, &offers[_i].m, 2);
	memcpy(body + 8, offers[_i].v, sizeof(offers[_i].v));
	start(&shutdown_class);
	ck_assert_uint_ne(ask(msg, make(msg, IC_NEGOTIATE, body, len), out), 0);
	memcpy(&n, out + 28, sizeof(n));
	ck_assert_uint_eq(n.count.frameworks, count);
	ck_assert_uint_eq(n.count.messages, count);
	if (count) {
		ck_assert_uint_eq(n.framework.major, offers[_i].framework);
		ck_assert_uint_eq(n.message.major, offers[_i].message);
		ck_assert_uint_eq(n.message.minor, offers[_i].minor);
	}
	stop();
}
END_TEST

/* Counts that are more than there is, or than anybody needs. */
START_TEST(c25_counts_that_lie)
{
	static const uint16_t counts[][2] = {
		{ 2, 1 }, { 1, 2 }, { 101, 1 }, { 1, 101 }, { 65535, 65535 }, { 32768, 32768 },
	};
	uint8_t body[1024] = { 0 }, msg[4096], out[4096];
	struct ic_version v[2] = { { 3, 0 }, { 3, 2 } };
	struct ic_negotiated n;

	start(&shutdown_class);
	for (uint32_t i = 0; i < 2 * ARRAY_SIZE(counts); i++) {
		uint32_t len = i % 2 && counts[i / 2][0] + counts[i / 2][1] > 3 ? 1024 : 16;

		memcpy(body, counts[i / 2], 4);
		memcpy(body + 8, v, sizeof(v));
		ck_assert_uint_ne(ask(msg, make(msg, IC_NEGOTIATE, body, len), out), 0);
		memcpy(&n, out + 28, sizeof(n));
		ck_assert_uint_eq(n.count.frameworks + n.count.messages, 0);
	}
	for (uint32_t len = 0; len < 8; len++) /* without counts it is none */
		ck_assert_uint_eq(ask(msg, make(msg, IC_NEGOTIATE, body, len), out), 0);
	stop();
}
END_TEST

/* ---- shutdown -------------------------------------------------------------------------------- */

static uint32_t ask_shutdown(uint32_t flags, uint32_t len, uint32_t *status)
{
	struct ic_shutdown_body b = { .reason = 5, .timeout_s = 60, .flags = flags };
	uint8_t msg[4096], out[4096];
	uint32_t n = ask(msg, make(msg, IC_SHUTDOWN, &b, len), out);

	if (n)
		memcpy(status, out + 20, 4);
	return n;
}

START_TEST(shutdown_flags)
{
	static const struct {
		uint32_t flags;
		bool known;
	} t[] = { { 0, true }, { 1, true },  { 2, true },  { 3, true },	 { 4, true },
		  { 5, true }, { 6, false }, { 7, false }, { 8, false }, { 0x80000000, false } };
	uint32_t status, n = 0;

	config.shutdown = on_shutdown;
	start(&shutdown_class);
	for (uint32_t i = 0; i < ARRAY_SIZE(t); i++) {
		verdict = i % 2 ? IC_OK : IC_NOT_SUPPORTED;
		ck_assert_uint_eq(
			ask_shutdown(t[i].flags, sizeof(struct ic_shutdown_body), &status), 0x828);
		ck_assert_uint_eq(status, t[i].known ? verdict : IC_FAIL);
		n += t[i].known;
		ck_assert_uint_eq(nr_asked, n);
		ck_assert(!t[i].known || asked.flags == t[i].flags);
	}
	ck_assert_uint_eq(asked.timeout_s, 60);
	ck_assert_uint_eq(asked.reason, 5);
	/* One that is not whole has no effect and no answer. */
	ck_assert_uint_eq(ask_shutdown(0, sizeof(struct ic_shutdown_body) - 1, &status), 0);
	ck_assert_uint_eq(nr_asked, n);
	stop();
	config.shutdown = NULL;
	start(&shutdown_class);
	ck_assert_uint_ne(ask_shutdown(0, sizeof(struct ic_shutdown_body), &status), 0);
	ck_assert_uint_eq(status, IC_FAIL);
	stop();
}
END_TEST

/* ---- roots that do not keep to it --------------------------------------------------------------
 */

static const struct {
	uint32_t at, size;
	uint64_t value;
} spoiled[] = {
	{ 0, 4, 0 },
	{ 0, 4, 2 },
	{ 4, 4, 0 },
	{ 4, 4, 19 },
	{ 4, 4, 53 },
	{ 4, 4, 20 },
	{ 18, 2, 33 },
	{ 4, 4, 0xffffffffu },
	{ 18, 2, 65535 },
	{ 25, 1, 5 },
	{ 25, 1, 0 },
	{ 12, 2, 2 },
	{ 12, 2, IC_HEARTBEAT },
	{ 12, 2, 65535 },
};

START_TEST(spoiled_requests)
{
	uint8_t msg[sizeof(request)], out[4096];

	start(&shutdown_class);
	memcpy(msg, request, sizeof(msg));
	memcpy(msg + spoiled[_i].at, &spoiled[_i].value, spoiled[_i].size);
	if (spoiled[_i].at == 4 && spoiled[_i].value == 53)
		ck_assert_uint_eq(ask(msg, 48, out), 0); /* more than the packet is */
	else
		ck_assert_uint_eq(ask(msg, sizeof(msg), out), 0);
	ck_assert_uint_eq(stats().ignored, 1);
	ck_assert_uint_ne(ask(request, sizeof(request), out), 0);
	stop();
}
END_TEST

START_TEST(other_packets)
{
	uint8_t out[4096];

	start(&shutdown_class);
	for (uint32_t len = 0; len < 28; len++)
		ck_assert_uint_eq(ask(request, len, out), 0);
	ck_assert_int_eq(vmbus_chan_send_completion(host, 0, request, sizeof(request)), 0);
	vmbus_chan_flush(host);
	ic_client_work(ic);
	ck_assert(!vmbus_chan_pending(host));
	ck_assert_uint_eq(stats().answered, 0);
	stop();
}
END_TEST

/* A request that wants no answer; a root that takes none. */
START_TEST(no_answer_wanted)
{
	uint8_t msg[sizeof(request)], out[4096];
	uint64_t n;

	start(&shutdown_class);
	memcpy(msg, request, sizeof(msg));
	msg[25] = IC_REQUEST;
	ck_assert_uint_eq(ask(msg, sizeof(msg), out), 0);
	ck_assert_uint_eq(stats().answered, 1);
	for (int i = 0; i < 1000; i++) {
		vmbus_chan_send(host, 0, 0, request, sizeof(request));
		vmbus_chan_flush(host);
		ic_client_work(ic);
		ic_client_arm(ic);
	}
	n = stats().answered;
	ck_assert_uint_gt(n, 900);
	while (vmbus_chan_pending(host)) {
		struct vmpkt p;

		ck_assert_int_eq(vmbus_chan_recv(host, &p), 1);
	}
	vmbus_chan_recv_done(host);
	ck_assert_uint_ne(ask(request, sizeof(request), out), 0);
	stop();
}
END_TEST

START_TEST(taken_away)
{
	start(&shutdown_class);
	fake_client_rescind(bus);
	ck_assert(ic_client_work(ic));
	ck_assert_uint_eq(stats().channels, 0);
	ck_assert(!ic_client_work(ic));
	ck_assert(ic_client_arm(ic));
	stop();
}
END_TEST

START_TEST(ring_garbage)
{
	const struct hv_gpa_view *v;

	start(&shutdown_class);
	v = fake_client_host_out(bus, 0);
	*(volatile uint32_t *)v->ctrl = 4096;
	memset(v->data, 0xff, v->size);
	ck_assert(!ic_client_work(ic));
	ck_assert(ic_client_arm(ic)); /* and nobody spins */
	stop();
}
END_TEST

/* What comes while the client goes is not looked at any more; what comes before all else is. */
START_TEST(c26_requests_at_the_ends)
{
	struct ic_shutdown_body b = { .timeout_s = 1 };
	uint8_t msg[4096];
	uint32_t status, len = make(msg, IC_SHUTDOWN, &b, sizeof(b));

	config.shutdown = on_shutdown;
	verdict = IC_OK;
	start(&shutdown_class);
	ck_assert_uint_ne(ask_shutdown(0, sizeof(b), &status), 0); /* without a negotiation */
	ck_assert_uint_eq(nr_asked, 1);
	ck_assert_int_eq(vmbus_chan_send(host, 0, 0, msg, len), 0);
	vmbus_chan_flush(host);
	stop();
	ck_assert_uint_eq(nr_asked, 1);
	config.shutdown = NULL;
}
END_TEST

START_TEST(opening)
{
	static const struct guid other = VMBUS_CLASS_NET;

	bus = fake_client_create(&other, 2, 1u << 20);
	ck_assert_int_eq(ic_client_open(&ic, bus, &config), -ENODEV);
	fake_client_destroy(bus);
	bus = fake_client_create(&heartbeat, 2, 1u << 20);
	fake_client_fail_open(bus, -ETIMEDOUT);
	ck_assert_int_eq(ic_client_open(&ic, bus, &config), -ETIMEDOUT);
	ic_client_close(NULL);
	fake_client_destroy(bus);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ic_client");
	TCase *tc = tcase_create("ic_client");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, golden_negotiation);
	tcase_add_test(tc, golden_heartbeat);
	tcase_add_test(tc, heartbeat_sizes_and_health);
	tcase_add_loop_test(tc, choices, 0, ARRAY_SIZE(offers));
	tcase_add_test(tc, c25_counts_that_lie);
	tcase_add_test(tc, shutdown_flags);
	tcase_add_loop_test(tc, spoiled_requests, 0, ARRAY_SIZE(spoiled));
	tcase_add_test(tc, other_packets);
	tcase_add_test(tc, no_answer_wanted);
	tcase_add_test(tc, taken_away);
	tcase_add_test(tc, ring_garbage);
	tcase_add_test(tc, c26_requests_at_the_ends);
	tcase_add_test(tc, opening);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
