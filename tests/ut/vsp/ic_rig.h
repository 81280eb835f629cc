/* SPDX-License-Identifier: MIT */
/*
 * Integration services on a fake bus whose clock is the test's; the test is the guest, byte for
 * byte.
 */
#ifndef HVBUS_TESTS_UT_VSP_IC_RIG_H
#define HVBUS_TESTS_UT_VSP_IC_RIG_H

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/loop.h"
#include "fuzz/vtime.h"
#include "tests/fake/fake_bus.h"
#include "vsp/ic/ic_services.h"

#define RIG_PAGES 4				/* a ring, as Linux has it */
#define RIG_OUT	  (4096u * (1 + RIG_PAGES + 1)) /* guest address of the data of the root's ring */
#define RIG_S	  1000000000ull

struct rig_message {
	uint32_t len; /* 0: there was none */
	union {
		struct ic_frame frame;
		uint8_t bytes[4096];
	};
};

static struct loop *loop;
static struct vmbus_bus *bus;
static struct vmbus_chan *guest; /* its end of the channel that is open */
static bool rig_gone;

static inline void rig_on_gone(void *ctx)
{
	(void)ctx;
	rig_gone = true;
}

static inline void rig_start(void)
{
	struct loop_config lc = { .engine = LOOP_EPOLL, .name = "test" };

	vtime_enter();
	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC)); /* what guests do wrong is logged */
	ck_assert_int_eq(loop_create(&loop, &lc), 0);
	bus = fake_bus_create(loop, 1u << 20);
	rig_gone = false;
}

static inline void rig_stop(void)
{
	for (int i = 0; i < 10 && !rig_gone; i++)
		fake_bus_turn(bus);
	ck_assert(rig_gone);
	fake_bus_destroy(bus);
	loop_destroy(loop);
	vtime_leave();
}

static inline void rig_run(void)
{
	ck_assert(fake_bus_settle(bus, 100));
}

static inline void rig_pass(uint64_t ns)
{
	vtime_pass(ns);
	rig_run();
}

static inline void rig_open(uint32_t dev)
{
	ck_assert_int_eq(fake_bus_open(bus, dev, 0, RIG_PAGES, &guest), 0);
	rig_run();
}

/* The next message of the root. */
static inline struct rig_message rig_recv(void)
{
	struct rig_message m = { 0 };
	struct vmpkt p;

	if (vmbus_chan_recv(guest, &p) > 0) {
		ck_assert_uint_eq(p.type, VMPKT_INBAND);
		ck_assert_uint_eq(p.flags, 0);
		m.len = p.payload_len;
		memcpy(m.bytes, p.payload, p.payload_len);
	}
	vmbus_chan_recv_done(guest);
	return m;
}

static inline void rig_send(const void *bytes, uint32_t len)
{
	ck_assert_int_eq(vmbus_chan_send(guest, 0, 0, bytes, len), 0);
	vmbus_chan_flush(guest);
	rig_run();
}

static inline void rig_quiet(void)
{
	ck_assert_uint_eq(rig_recv().len, 0);
}

/* As a guest answers: in the same message. */
static inline void rig_answer(struct rig_message *m, uint32_t status)
{
	ck_assert_uint_ne(m->len, 0);
	m->frame.header.flags = IC_TRANSACTION | IC_RESPONSE;
	m->frame.header.status = status;
	rig_send(m->bytes, m->len);
}

/* Answers the negotiation that is in the ring with one version of each. */
static inline void rig_choose(struct ic_version framework, struct ic_version message)
{
	struct rig_message m = rig_recv();
	struct ic_negotiated n = { { 1, 1, 0 }, framework, message };

	ck_assert_uint_ne(m.len, 0);
	ck_assert_uint_eq(m.frame.header.message, IC_NEGOTIATE);
	memcpy(m.bytes + sizeof(m.frame), &n, sizeof(n));
	m.frame.header.size = sizeof(n);
	rig_answer(&m, IC_OK);
}

static inline struct ic_stats rig_stats(const struct ic *ic)
{
	struct ic_stats st;

	ic_stats(ic, &st);
	return st;
}

#define ck_state(ic, text) ck_assert_str_eq(rig_stats(ic).state, text)

static inline int rig_main(const char *name, void (*add)(TCase *tc), void (*setup)(void),
			   void (*teardown)(void))
{
	Suite *s = suite_create(name);
	TCase *tc = tcase_create(name);
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	add(tc);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
