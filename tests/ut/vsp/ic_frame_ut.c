/* SPDX-License-Identifier: MIT */
/*
 * What integration services have in common, on a service of the test's own that has the numbers of
 * shutdown: bytes of the protocol's examples, negotiation, requests and their limits, and guests
 * that do not keep to it (I01 to I04).
 */
#include "tests/ut/vsp/ic_rig.h"

static struct ic *ic;
static uint32_t readies, closes, answers;
static struct ic_answer last;
static uint8_t last_body[64];

static const struct ic_service service = {
	.name = "test",
	.type = VMBUS_CLASS_SHUTDOWN,
	.instance = VMBUS_INSTANCE_SHUTDOWN,
	.message = IC_SHUTDOWN,
	.max_body = 64,
	.framework = { { 1, 0 }, { 3, 0 } },
	.version = { { 3, 2 }, { 3, 1 }, { 3, 0 }, { 1, 0 } },
};

static void on_ready(void *ctx)
{
	(void)ctx;
	readies++;
}

static void on_closed(void *ctx)
{
	(void)ctx;
	closes++;
}

static void on_answer(void *ctx, const struct ic_answer *a)
{
	(void)ctx;
	answers++;
	last = *a;
	if (!a->err && a->len <= sizeof(last_body))
		memcpy(last_body, a->body, a->len);
}

static void setup(void)
{
	static const struct ic_ops ops = { on_ready, on_closed };
	struct ic_config cfg = { .service = &service, .ops = &ops };

	rig_start();
	readies = closes = answers = 0;
	ck_assert_int_eq(ic_create(&ic, bus, &cfg), -EINVAL); /* no loop */
	cfg.loop = loop;
	ck_assert_int_eq(ic_create(&ic, bus, &cfg), 0);
}

static void teardown(void)
{
	ic_destroy(ic, rig_on_gone, NULL);
	rig_stop();
}

static void get_ready(void)
{
	rig_open(0);
	rig_choose((struct ic_version){ 3, 0 }, (struct ic_version){ 3, 2 });
	ck_state(ic, "ready");
}

static int ask(uint64_t limit_ns)
{
	int err = ic_request(ic, "12345678", 8, limit_ns, on_answer, NULL);

	rig_run();
	return err;
}

/* ---- bytes ------------------------------------------------------------------------------ */

static const uint8_t request[88] = {
	6, 0, 2, 0, 0x0a, 0, 0, 0, 0, 0,    0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0x34, 0, 0, 0, 0,
	0, 0, 0, 0, 0,	  0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 3, 0, 0, 2, 0,	4, 0, 0, 0,
	0, 0, 1, 0, 0,	  0, 3, 0, 0, 0,    3, 0, 2, 0, 3, 0, 1, 0, 3, 0, 0,	0, 1, 0,
};
static const uint8_t reply[64] = {
	1, 0, 0, 0, 0x34, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0,
	0, 0, 0, 5, 0,	  0, 1, 0, 1, 0, 0, 0, 0, 0, 3, 0, 0, 0, 3,    0, 2, 0,
	3, 0, 2, 0, 3,	  0, 1, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0,    0,
};

START_TEST(the_offer)
{
	const struct vmbus_device_desc *d = fake_bus_desc(bus, 0);
	struct vmbus_pipe_offer pipe;

	memcpy(&pipe, d->user, sizeof(pipe));
	ck_assert_uint_eq(d->flags, 0x11);
	ck_assert_uint_eq(pipe.pipe_type, VMBUS_PIPE_MESSAGE);
	ck_assert_uint_eq(pipe.pipe_flags, 0);
	ck_assert(guid_equal(&d->type, &service.type));
	ck_assert(guid_equal(&d->instance, &service.instance));
}
END_TEST

START_TEST(golden_negotiation)
{
	struct ic_stats st;

	ck_state(ic, "closed");
	rig_open(0);
	ck_assert_mem_eq(fake_bus_ptr(bus, RIG_OUT), request, sizeof(request));
	ck_state(ic, "negotiating");
	rig_send(reply, sizeof(reply));
	st = rig_stats(ic);
	ck_assert_str_eq(st.state, "ready");
	ck_assert(st.framework.major == 3 && st.framework.minor == 0);
	ck_assert(st.version.major == 3 && st.version.minor == 2);
	ck_assert_uint_eq(readies, 1);
	ck_assert_uint_eq(st.dropped, 0);
}
END_TEST

/* The agreed versions are in every message after that. */
START_TEST(a_request_and_its_answer)
{
	static const uint8_t bytes[] = { 1, 0, 0, 0, 28, 0,  0,	 0,  3,	 0,  0,	 0,
					 3, 0, 3, 0, 2,	 0,  8,	 0,  0,	 0,  0,	 0,
					 0, 3, 0, 0, 49, 50, 51, 52, 53, 54, 55, 56 };
	struct rig_message m;

	get_ready();
	ck_assert_int_eq(ask(0), 0);
	ck_state(ic, "waiting");
	m = rig_recv();
	ck_assert_mem_eq(m.bytes, bytes, sizeof(bytes));
	m.bytes[sizeof(struct ic_frame)] = 'x';
	rig_answer(&m, IC_FAIL);
	ck_assert_uint_eq(answers, 1);
	ck_assert_int_eq(last.err, 0);
	ck_assert_uint_eq(last.status, 0x80004005);
	ck_assert_uint_eq(last.len, 8);
	ck_assert_mem_eq(last_body, "x2345678", 8);
	ck_state(ic, "ready");
}
END_TEST

/* ---- negotiation --------------------------------------------------------------------------- */

static const struct choice {
	uint16_t frameworks, messages; /* counts */
	struct ic_version framework, message;
	const char *state;
} choices[] = {
	{ 1, 1, { 1, 0 }, { 1, 0 }, "ready" },
	{ 1, 1, { 3, 0 }, { 1, 0 }, "ready" },
	{ 1, 1, { 1, 0 }, { 3, 2 }, "ready" },
	{ 1, 1, { 3, 0 }, { 3, 0 }, "ready" },
	{ 1, 1, { 3, 0 }, { 3, 1 }, "ready" },
	{ 0, 0, { 0, 0 }, { 0, 0 }, "unusable" },
	{ 0, 0, { 3, 0 }, { 3, 2 }, "unusable" },
	{ 1, 1, { 3, 0 }, { 3, 3 }, "failed" },
	{ 1, 1, { 3, 1 }, { 3, 2 }, "failed" },
	{ 1, 1, { 0, 0 }, { 0, 0 }, "failed" }, /* what ends the lists is not in them */
	{ 1, 1, { 2, 0 }, { 3, 0 }, "failed" },
	{ 0, 1, { 3, 0 }, { 3, 2 }, "failed" },
	{ 1, 0, { 3, 0 }, { 3, 2 }, "failed" },
	{ 2, 4, { 1, 0 }, { 3, 2 }, "failed" }, /* the request, sent back */
	{ 65535, 65535, { 3, 0 }, { 3, 2 }, "failed" },
	{ 1, 65535, { 3, 0 }, { 3, 2 }, "failed" },
};

static void choose(const struct choice *c)
{
	struct rig_message m = rig_recv();
	struct ic_negotiated n = { { c->frameworks, c->messages, 0 }, c->framework, c->message };

	memcpy(m.bytes + sizeof(m.frame), &n, sizeof(n));
	m.frame.header.size = sizeof(n);
	rig_answer(&m, IC_OK);
}

START_TEST(i01_choices)
{
	const struct choice *c = &choices[_i];
	bool ready = !strcmp(c->state, "ready");

	rig_open(0);
	choose(c);
	ck_state(ic, c->state);
	ck_assert_uint_eq(readies, ready);
	ck_assert_int_eq(ask(0), ready ? 0 : strcmp(c->state, "failed") ? -EOPNOTSUPP : -EPROTO);
	if (!ready)
		rig_quiet();
}
END_TEST

/* A minute later it has another chance; by opening the channel again at once. */
START_TEST(i01_failed_is_asked_again)
{
	rig_open(0);
	choose(&choices[7]);
	ck_state(ic, "failed");
	rig_send(reply, sizeof(reply)); /* too late */
	ck_state(ic, "failed");
	rig_pass(59 * RIG_S);
	rig_quiet();
	rig_pass(2 * RIG_S);
	choose(&choices[7]);
	ck_state(ic, "failed");
	rig_pass(61 * RIG_S);
	choose(&choices[0]);
	ck_state(ic, "ready");
	fake_bus_close(bus, 0, 0);
	rig_open(0);
	choose(&choices[7]);
	fake_bus_close(bus, 0, 0);
	rig_open(0);
	ck_state(ic, "negotiating");
	rig_pass(100 * RIG_S); /* the attempt of the channel before is forgotten */
	choose(&choices[1]);
	ck_state(ic, "ready");
	rig_quiet();
}
END_TEST

START_TEST(i01_unusable_until_reopened)
{
	rig_open(0);
	choose(&choices[5]);
	rig_pass(1000 * RIG_S);
	rig_quiet();
	fake_bus_close(bus, 0, 0);
	ck_assert_uint_eq(closes, 1);
	get_ready();
}
END_TEST

/* Its programs may take their time. */
START_TEST(silence_is_no_error)
{
	rig_open(0);
	ck_assert_int_eq(ask(0), -EAGAIN);
	rig_pass(100000 * RIG_S);
	ck_state(ic, "negotiating");
	rig_choose((struct ic_version){ 1, 0 }, (struct ic_version){ 1, 0 });
	ck_state(ic, "ready");
}
END_TEST

/* ---- requests ----------------------------------------------------------------------------------
 */

START_TEST(refused_requests)
{
	uint8_t big[65] = { 0 };

	ck_assert_int_eq(ask(0), -ENOTCONN);
	get_ready();
	ck_assert_int_eq(ic_request(ic, big, sizeof(big), 0, on_answer, NULL), -EMSGSIZE);
	ck_assert_int_eq(ask(0), 0);
	ck_assert_int_eq(ask(0), -EBUSY);
	fake_bus_close(bus, 0, 0);
	ck_assert_int_eq(ask(0), -ENOTCONN);
	ck_assert_uint_eq(answers, 1);
}
END_TEST

START_TEST(closed_under_way)
{
	get_ready();
	ck_assert_int_eq(ask(RIG_S), 0);
	fake_bus_close(bus, 0, 0);
	ck_assert_uint_eq(answers, 1);
	ck_assert_int_eq(last.err, -ECONNRESET);
	ck_assert_uint_eq(closes, 1);
	ck_state(ic, "closed");
	rig_pass(2 * RIG_S);
	ck_assert_uint_eq(answers, 1);
	ck_assert_uint_eq(rig_stats(ic).version.major, 0);
}
END_TEST

/* The teardown takes it away. */
START_TEST(destroyed_under_way)
{
	get_ready();
	ck_assert_int_eq(ask(RIG_S), 0);
}
END_TEST

START_TEST(an_answer_that_is_late)
{
	struct rig_message m, again;

	get_ready();
	ck_assert_int_eq(ask(5 * RIG_S), 0);
	m = rig_recv();
	rig_pass(4 * RIG_S);
	ck_assert_uint_eq(answers, 0);
	rig_pass(RIG_S + 1000000);
	ck_assert_uint_eq(answers, 1);
	ck_assert_int_eq(last.err, -ETIMEDOUT);
	ck_state(ic, "late");
	ck_assert_int_eq(ask(0), -EBUSY);
	again = m;
	rig_answer(&m, IC_FAIL); /* nobody is told of it, */
	ck_assert_uint_eq(answers, 1);
	ck_assert_int_eq(ask(0), 0); /* and it is not taken for the next one's */
	ck_assert_uint_eq(answers, 1);
	rig_answer(&again, IC_OK);
	ck_assert_uint_eq(answers, 2);
	ck_assert_uint_eq(rig_stats(ic).timeouts, 1);
}
END_TEST

/* It answers and does not take: its ring fills up. */
START_TEST(a_guest_that_does_not_read)
{
	struct rig_message m;
	int err;

	get_ready();
	ck_assert_int_eq(ask(0), 0);
	m = rig_recv();
	rig_answer(&m, IC_OK);
	for (int i = 0; i < 1000; i++) {
		err = ask(0);
		if (err)
			break;
		rig_send(m.bytes, m.len);
	}
	ck_assert_int_eq(err, -ENOBUFS);
	ck_state(ic, "ready");
	while (rig_recv().len)
		;
	ck_assert_int_eq(ask(0), 0);
}
END_TEST

/* Older guests answer with a version they like; longer ones than they say. */
START_TEST(tolerated)
{
	struct rig_message m;

	get_ready();
	ck_assert_int_eq(ask(0), 0);
	m = rig_recv();
	m.frame.header.framework = m.frame.header.version = (struct ic_version){ 9, 9 };
	m.frame.header.size = 2;
	memset(m.bytes + m.len, 0xff, 1024);
	m.len += 1024;
	m.frame.pipe.length = m.len - 8;
	rig_answer(&m, IC_OK);
	ck_assert_uint_eq(answers, 1);
	ck_assert_uint_eq(last.len, 2);
	ck_assert_uint_eq(rig_stats(ic).dropped, 0);
}
END_TEST

/* ---- guests that do not keep to it
 * ----------------------------------------------------------------- */

/* One field of an answer, and what is in it instead. */
static const struct spoiled {
	uint32_t at, size;
	uint64_t value;
	const char *why;
} spoiled[] = {
	{ 0, 4, 0, "a pipe header of another type" },
	{ 0, 4, 2, "a pipe header of another type" },
	{ 4, 4, 0, "a pipe length that is not the packet's" },
	{ 4, 4, 19, "a pipe length that is not the packet's" },
	{ 4, 4, 33, "a pipe length that is not the packet's" },
	{ 4, 4, 0xffffffff, "a pipe length that is not the packet's" },
	{ 4, 4, 20, "a message size beyond the message" },
	{ 18, 2, 9, "a message size beyond the message" },
	{ 18, 2, 65535, "a message size beyond the message" },
	{ 25, 1, 3, "flags that are not an answer's" },
	{ 25, 1, 2, "flags that are not an answer's" },
	{ 25, 1, 7, "flags that are not an answer's" },
	{ 25, 1, 4, "flags that are not an answer's" },
	{ 24, 1, 1, "the answer to another transaction" },
	{ 12, 2, IC_NEGOTIATE, "an answer to something else" },
	{ 12, 2, IC_HEARTBEAT, "an answer to something else" },
	{ 12, 2, 65535, "an answer to something else" },
};

/* I02, I04: it is dropped, and the proper answer still counts. */
START_TEST(i02_i04_spoiled_answers)
{
	const struct spoiled *s = &spoiled[_i];
	struct rig_message m, good;

	get_ready();
	ck_assert_int_eq(ask(0), 0);
	m = rig_recv();
	good = m;
	m.frame.header.flags = IC_TRANSACTION | IC_RESPONSE;
	m.frame.pipe.length = 28;
	m.len = 40;
	memcpy(m.bytes + s->at, &s->value, s->size);
	rig_send(m.bytes, m.len);
	ck_assert_uint_eq(answers, 0);
	ck_assert_uint_eq(rig_stats(ic).dropped, 1);
	ck_assert_str_eq(rig_stats(ic).last_drop, s->why);
	rig_answer(&good, IC_OK);
	ck_assert_uint_eq(answers, 1);
	ck_state(ic, "ready");
}
END_TEST

START_TEST(i02_short_packets)
{
	uint8_t bytes[24] = { 1, 0, 0, 0, 16 };

	get_ready();
	ck_assert_int_eq(ask(0), 0);
	for (uint32_t len = 0; len <= sizeof(bytes); len += 8)
		rig_send(bytes, len);
	ck_assert_uint_eq(answers, 0);
	ck_assert_uint_eq(rig_stats(ic).dropped, 4);
	ck_assert_str_eq(rig_stats(ic).last_drop, "a packet shorter than a header");
}
END_TEST

/* A negotiation cut short by its own size fails; so does one that has the counts alone. */
START_TEST(i02_short_negotiation)
{
	struct rig_message m;

	rig_open(0);
	m = rig_recv();
	m.bytes[sizeof(m.frame)] = m.bytes[sizeof(m.frame) + 2] = 1;
	m.frame.header.size = (uint16_t)_i;
	rig_answer(&m, IC_OK);
	ck_state(ic, "failed");
}
END_TEST

START_TEST(i02_other_kinds_of_packet)
{
	get_ready();
	ck_assert_int_eq(vmbus_chan_send_completion(guest, 0, reply, sizeof(reply)), 0);
	vmbus_chan_flush(guest);
	rig_run();
	ck_assert_str_eq(rig_stats(ic).last_drop, "a packet that is not in-band");
	ck_state(ic, "ready");
}
END_TEST

/* A request or an answer of the guest's own in any state. */
START_TEST(i03_unasked)
{
	struct rig_message m;

	rig_open(0);
	m = rig_recv();
	rig_send(m.bytes, m.len); /* a negotiation of its own */
	ck_state(ic, "negotiating");
	rig_send(reply, sizeof(reply));
	rig_send(reply, sizeof(reply)); /* and once more */
	ck_state(ic, "ready");
	ck_assert_uint_eq(readies, 1);
	ck_assert_uint_eq(rig_stats(ic).dropped, 2);
	ck_assert_str_eq(rig_stats(ic).last_drop, "an answer that nobody asked for");
	m.frame.header.message = IC_SHUTDOWN;
	rig_send(m.bytes, m.len);
	ck_assert_str_eq(rig_stats(ic).last_drop, "flags that are not an answer's");
	rig_quiet();
}
END_TEST

/* As many as the ring holds, again and again: each drain has an end, and the service lives. */
START_TEST(i03_flood)
{
	uint32_t sent = 0;

	get_ready();
	ck_assert_int_eq(ask(0), 0);
	for (int round = 0; round < 20; round++) {
		while (!vmbus_chan_send(guest, 0, 0, request + 16, 64))
			sent++;
		vmbus_chan_flush(guest);
		ck_assert(fake_bus_drain(bus, 0, 0));
		ck_assert_uint_le(rig_stats(ic).dropped, 32u * (uint32_t)(round + 1));
	}
	rig_run();
	ck_assert_uint_eq(rig_stats(ic).dropped, sent);
	ck_state(ic, "waiting");
}
END_TEST

/* The ring itself is broken: the channel is lost, the answer in time, and the next open works. */
START_TEST(ring_garbage)
{
	const struct hv_gpa_view *v;

	get_ready();
	ck_assert_int_eq(ask(RIG_S), 0);
	v = fake_bus_guest_out(bus, 0, 0);
	memset(v->data, 0xff, v->size);
	*(volatile uint32_t *)v->ctrl = 4096;
	rig_run();
	ck_assert_uint_eq(fake_bus_counts(bus)->faults, 1);
	rig_pass(2 * RIG_S);
	ck_assert_int_eq(last.err, -ETIMEDOUT);
	fake_bus_close(bus, 0, 0);
	get_ready();
	ck_assert_int_eq(ask(0), 0);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, the_offer);
	tcase_add_test(tc, golden_negotiation);
	tcase_add_test(tc, a_request_and_its_answer);
	tcase_add_loop_test(tc, i01_choices, 0, ARRAY_SIZE(choices));
	tcase_add_test(tc, i01_failed_is_asked_again);
	tcase_add_test(tc, i01_unusable_until_reopened);
	tcase_add_test(tc, silence_is_no_error);
	tcase_add_test(tc, refused_requests);
	tcase_add_test(tc, closed_under_way);
	tcase_add_test(tc, destroyed_under_way);
	tcase_add_test(tc, an_answer_that_is_late);
	tcase_add_test(tc, a_guest_that_does_not_read);
	tcase_add_test(tc, tolerated);
	tcase_add_loop_test(tc, i02_i04_spoiled_answers, 0, ARRAY_SIZE(spoiled));
	tcase_add_test(tc, i02_short_packets);
	tcase_add_loop_test(tc, i02_short_negotiation, 0, 16);
	tcase_add_test(tc, i02_other_kinds_of_packet);
	tcase_add_test(tc, i03_unasked);
	tcase_add_test(tc, i03_flood);
	tcase_add_test(tc, ring_garbage);
}

int main(void)
{
	return rig_main("ic_frame", add, setup, teardown);
}
