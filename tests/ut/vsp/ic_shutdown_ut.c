/* SPDX-License-Identifier: MIT */
/*
 * Requests to shut down: bytes of the protocol's example, kinds by version, what guests answer or
 * do not (I06), text. And the services of a guest together.
 */
#include "tests/ut/vsp/ic_rig.h"
#include "vsp/ic/ic_text.h"

static struct ic_services *s;
static uint32_t dones;
static int done_err;
static uint32_t done_status;

static void on_done(void *ctx, int err, uint32_t status)
{
	(void)ctx;
	dones++;
	done_err = err;
	done_status = status;
}

static void setup(void)
{
	struct ic_services_config cfg = { .off = IC_HAS(IC_HEARTBEAT) };

	rig_start();
	cfg.loop = loop;
	dones = 0;
	ck_assert_int_eq(ic_services_create(&s, bus, &cfg), 0);
}

static void teardown(void)
{
	if (s)
		ic_services_destroy(s, rig_on_gone, NULL);
	rig_stop();
}

static void get_ready(uint16_t major, uint16_t minor)
{
	rig_open(0);
	rig_choose((struct ic_version){ 3, 0 }, (struct ic_version){ major, minor });
}

static int ask(const struct ic_shutdown_request *r)
{
	int err = ic_shutdown_request(ic_services_shutdown(s), r, on_done, NULL);

	rig_run();
	return err;
}

/* ---- what is sent --------------------------------------------------------------------------- */

START_TEST(golden)
{
	static const uint8_t begin[] = { 1, 0, 0,    0, 0x20, 8, 0, 0, 3, 0, 0, 0, 3, 0, 3, 0,
					 2, 0, 0x0c, 8, 0,    0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0x80 };
	struct ic_shutdown_request r = { .kind = IC_POWER_OFF };
	uint8_t want[0x828] = { 0 };
	struct rig_message m;

	memcpy(want, begin, sizeof(begin));
	get_ready(3, 2);
	ck_assert_int_eq(ask(&r), 0);
	m = rig_recv();
	ck_assert_uint_eq(m.len, sizeof(want));
	ck_assert_mem_eq(m.bytes, want, sizeof(want));
}
END_TEST

START_TEST(all_of_a_request)
{
	struct ic_shutdown_request r = { .kind = IC_REBOOT,
					 .force = true,
					 .timeout_s = 77,
					 .reason = 0x40010002,
					 .text = "ab\xc3\xa9" };
	struct rig_message m;
	struct ic_shutdown_body b;

	get_ready(3, 1);
	ck_assert_int_eq(ask(&r), 0);
	m = rig_recv();
	memcpy(&b, m.bytes + sizeof(m.frame), sizeof(b));
	ck_assert_uint_eq(b.reason, 0x40010002);
	ck_assert_uint_eq(b.timeout_s, 77);
	ck_assert_uint_eq(b.flags, IC_SHUTDOWN_RESTART | IC_SHUTDOWN_FORCE);
	ck_assert_mem_eq(m.bytes + sizeof(m.frame) + 12, "a\0b\0\xe9\0\0\0", 8);
}
END_TEST

START_TEST(kinds_by_version)
{
	static const struct {
		struct ic_version v;
		enum ic_shutdown_kind kind;
		uint32_t flags;
		int err;
	} t[] = {
		{ { 1, 0 }, IC_POWER_OFF, 0, 0 },
		{ { 1, 0 }, IC_REBOOT, 0, -ENOSYS },
		{ { 1, 0 }, IC_HIBERNATE, 0, -ENOSYS },
		{ { 3, 0 }, IC_POWER_OFF, 0, 0 },
		{ { 3, 0 }, IC_REBOOT, 0, -ENOSYS },
		{ { 3, 1 }, IC_REBOOT, IC_SHUTDOWN_RESTART, 0 },
		{ { 3, 1 }, IC_HIBERNATE, 0, -ENOSYS },
		{ { 3, 2 }, IC_REBOOT, IC_SHUTDOWN_RESTART, 0 },
		{ { 3, 2 }, IC_HIBERNATE, IC_SHUTDOWN_HIBERNATE, 0 },
		{ { 3, 2 }, (enum ic_shutdown_kind)3, 0, -EINVAL },
	};

	for (uint32_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct ic_shutdown_request r = { .kind = t[i].kind };
		struct ic_shutdown_body b;
		struct rig_message m;

		get_ready(t[i].v.major, t[i].v.minor);
		ck_assert_int_eq(ask(&r), t[i].err);
		m = rig_recv();
		ck_assert_uint_eq(m.len != 0, t[i].err == 0);
		memcpy(&b, m.bytes + sizeof(m.frame), sizeof(b));
		ck_assert(t[i].err || b.flags == t[i].flags);
		fake_bus_close(bus, 0, 0);
	}
}
END_TEST

/* ---- what comes back (I06) --------------------------------------------------------------------
 */

START_TEST(i06_agrees_refuses)
{
	struct ic_shutdown_request r = { .kind = IC_POWER_OFF };
	struct rig_message m;

	ck_assert_int_eq(ask(&r), -ENOTCONN);
	get_ready(3, 2);
	ck_assert_int_eq(ask(&r), 0);
	ck_assert_int_eq(ask(&r), -EBUSY);
	m = rig_recv();
	rig_answer(&m, IC_OK);
	ck_assert_uint_eq(dones, 1);
	ck_assert_int_eq(done_err, 0);
	ck_assert_int_eq(ask(&r), 0); /* it stays up: one may ask again */
	m = rig_recv();
	rig_answer(&m, IC_MACHINE_LOCKED);
	ck_assert_uint_eq(dones, 2);
	ck_assert_int_eq(done_err, -EPERM);
	ck_assert_uint_eq(done_status, IC_MACHINE_LOCKED);
}
END_TEST

START_TEST(i06_never_answers)
{
	struct ic_shutdown_request r = { .kind = IC_POWER_OFF, .answer_ms = 5000 };
	struct rig_message m;

	get_ready(3, 2);
	ck_assert_int_eq(ask(&r), 0);
	m = rig_recv();
	rig_pass(4 * RIG_S);
	ck_assert_uint_eq(dones, 0);
	rig_pass(2 * RIG_S);
	ck_assert_uint_eq(dones, 1);
	ck_assert_int_eq(done_err, -ETIMEDOUT);
	ck_assert_int_eq(ask(&r), -EBUSY);
	rig_answer(&m, IC_OK);
	ck_assert_uint_eq(dones, 1);
	r.answer_ms = 0; /* half a minute */
	ck_assert_int_eq(ask(&r), 0);
	rig_pass(29 * RIG_S);
	ck_assert_uint_eq(dones, 1);
	rig_pass(2 * RIG_S);
	ck_assert_uint_eq(dones, 2);
}
END_TEST

START_TEST(i06_ends_before_it_answers)
{
	struct ic_shutdown_request r = { .kind = IC_POWER_OFF };

	get_ready(3, 2);
	ck_assert_int_eq(ask(&r), 0);
	fake_bus_close(bus, 0, 0);
	ck_assert_uint_eq(dones, 1);
	ck_assert_int_eq(done_err, -ECONNRESET);
}
END_TEST

/* A sentence for each, and none twice. */
START_TEST(explanations)
{
	static const int err[] = { 0,	      -EPERM,	-ETIMEDOUT,  -ECONNRESET,
				   -ENOTCONN, -EAGAIN,	-EOPNOTSUPP, -ENOSYS,
				   -EBUSY,    -ENOBUFS, -EPROTO,     -EIO };

	for (uint32_t i = 0; i < ARRAY_SIZE(err); i++)
		for (uint32_t j = 0; j < i; j++)
			ck_assert_str_ne(ic_shutdown_explain(err[i], 0),
					 ic_shutdown_explain(err[j], 0));
	ck_assert_ptr_nonnull(strstr(ic_shutdown_explain(-EPERM, IC_MACHINE_LOCKED), "locked"));
}
END_TEST

/* ---- text
 * ----------------------------------------------------------------------------------------- */

static const struct {
	const char *utf8;
	int n;
	uint16_t units[5];
} texts[] = {
	{ "", 0, { 0 } },
	{ "a\x7f", 2, { 'a', 0x7f } },
	{ "\xc2\x80\xdf\xbf", 2, { 0x80, 0x7ff } },
	{ "\xe0\xa0\x80\xef\xbf\xbf", 2, { 0x800, 0xffff } },
	{ "\xf0\x9f\x98\x80", 2, { 0xd83d, 0xde00 } },
	{ "\xf4\x8f\xbf\xbf", 2, { 0xdbff, 0xdfff } },
	{ "abcd", 4, { 'a', 'b', 'c', 'd' } },
	{ "abcde", -EMSGSIZE, { 0 } },
	{ "abc\xf0\x9f\x98\x80", -EMSGSIZE, { 0 } },
	{ "\x80", -EILSEQ, { 0 } },	    /* no lead */
	{ "\xc3", -EILSEQ, { 0 } },	    /* cut short */
	{ "\xf0\x9f\x98", -EILSEQ, { 0 } }, /* likewise */
	{ "\xc1\xbf", -EILSEQ, { 0 } },	    /* longer than needed */
	{ "\xe0\x80\xaf", -EILSEQ, { 0 } },
	{ "\xf0\x80\x80\x80", -EILSEQ, { 0 } },
	{ "\xed\xa0\x80", -EILSEQ, { 0 } }, /* half a pair */
	{ "\xf4\x90\x80\x80", -EILSEQ, { 0 } },
	{ "\xff", -EILSEQ, { 0 } },
};

START_TEST(text)
{
	uint16_t out[6] = { 1, 1, 1, 1, 1, 0xbeef };
	int n = ic_text_put(out, 5, texts[_i].utf8);

	ck_assert_int_eq(n, texts[_i].n);
	ck_assert(n < 0 || !memcmp(out, texts[_i].units, sizeof(texts[_i].units)));
	ck_assert_uint_eq(out[5], 0xbeef);
}
END_TEST

START_TEST(text_in_a_request)
{
	struct ic_shutdown_request r = { .text = "\xff" };
	char *big = calloc(1, IC_SHUTDOWN_TEXT + 1);
	struct rig_message m;

	get_ready(3, 2);
	ck_assert_int_eq(ask(&r), -EILSEQ);
	memset(big, 'x', IC_SHUTDOWN_TEXT);
	r.text = big;
	ck_assert_int_eq(ask(&r), -EMSGSIZE);
	rig_quiet();
	big[IC_SHUTDOWN_TEXT - 1] = '\0';
	ck_assert_int_eq(ask(&r), 0);
	m = rig_recv();
	ck_assert_mem_eq(m.bytes + 0x824, "x\0\0\0", 4);
	free(big);
}
END_TEST

/* ---- the services of a guest
 * ------------------------------------------------------------------------ */

static void count(void *ctx, const struct ic_stats *st)
{
	strcat(ctx, st->name);
	strcat(ctx, " ");
}

START_TEST(services)
{
	struct ic_services_config cfg = { .loop = loop };
	char names[64] = "";

	ck_assert_uint_eq(ic_services_named("heartbeat"), IC_HAS(IC_HEARTBEAT));
	ck_assert_uint_eq(ic_services_named("shutdown"), IC_HAS(IC_SHUTDOWN));
	ck_assert_uint_eq(ic_services_named("kvp"), 0);
	ck_assert_ptr_null(ic_services_heartbeat(s));
	ic_services_each(s, count, names);
	ck_assert_str_eq(names, "shutdown ");

	ic_services_destroy(s, rig_on_gone, NULL);
	ck_assert(rig_gone); /* nobody has opened it */
	s = NULL;
	ck_assert_int_eq(ic_services_create(&s, bus, &cfg), 0);
	ck_assert_ptr_nonnull(ic_services_heartbeat(s));
	names[0] = '\0';
	ic_services_each(s, count, names);
	ck_assert_str_eq(names, "heartbeat shutdown ");
}
END_TEST

/* One that cannot be offered takes the others back. */
START_TEST(services_all_or_none)
{
	struct ic_services_config cfg = { .loop = loop };
	struct ic_services *second;

	ck_assert_int_eq(ic_services_create(&second, bus, &cfg), -EEXIST);
	cfg.off = IC_SERVICES_ALL;
	ck_assert_int_eq(ic_services_create(&second, bus, &cfg), 0);
	ic_services_destroy(second, NULL, NULL);
}
END_TEST

static void add(TCase *tc)
{
	tcase_add_test(tc, golden);
	tcase_add_test(tc, all_of_a_request);
	tcase_add_test(tc, kinds_by_version);
	tcase_add_test(tc, i06_agrees_refuses);
	tcase_add_test(tc, i06_never_answers);
	tcase_add_test(tc, i06_ends_before_it_answers);
	tcase_add_test(tc, explanations);
	tcase_add_loop_test(tc, text, 0, ARRAY_SIZE(texts));
	tcase_add_test(tc, text_in_a_request);
	tcase_add_test(tc, services);
	tcase_add_test(tc, services_all_or_none);
}

int main(void)
{
	return rig_main("ic_shutdown", add, setup, teardown);
}
