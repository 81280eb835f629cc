/* SPDX-License-Identifier: MIT */
/* A child with its client, connected to a root made by hand. */
#ifndef HVBUS_TESTS_UT_VMBUS_CLIENT_RIG_H
#define HVBUS_TESTS_UT_VMBUS_CLIENT_RIG_H

#include <check.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "tests/fake/evil_root.h"
#include "vmbus/client_priv.h"

#define MS	    1000000ull
#define SHORT_MS    60
#define STALL_MS    1000 /* an answer that comes at all comes sooner */
#define LONG_MS	    10000
#define LIMIT_NS    (LONG_MS * MS) /* nothing good takes this long */
#define RING	    (4 * 4096u)
#define CHILD_BYTES (2u << 20)

static struct evil_root root;
static struct hv_child *hv;
static struct vmbus_client *bus;

/* The root alone; offers are added between this and rig_connect(). */
static inline void rig_root(void)
{
	log_set_level(LOG_ERROR);
	memset(&root, 0, sizeof(root));
	evil_root_start(&root);
}

static inline void rig_child(uint32_t timeout_ms)
{
	struct hv_child_config cfg = {
		.memory = CHILD_BYTES,
		.nr_vps = 3,
		.timeout_ms = timeout_ms,
	};
	char why[120] = "";

	ck_assert_msg(!hv_child_connect(&hv, evil_root_path(&root), &cfg, why, sizeof(why)), "%s",
		      why);
}

static inline int rig_try_connect(const struct vmbus_client_config *cfg)
{
	if (!hv)
		rig_child(0);
	return vmbus_client_connect(&bus, hv, cfg);
}

static inline void rig_connect(void)
{
	ck_assert_int_eq(rig_try_connect(NULL), 0);
}

/* For the calls whose answer will not come. The others may take their time on a busy machine. */
static inline void rig_patience(uint32_t timeout_ms)
{
	client_lock(bus);
	bus->cfg.timeout_ms = timeout_ms;
	client_unlock(bus);
}

static inline void rig_fini(void)
{
	uint64_t start = clock_ns();

	vmbus_client_destroy(bus);
	/* An answer that got lost on the way shows here: nobody else looks whether it came. */
	ck_assert_uint_lt(clock_ns() - start, LIMIT_NS / 2);
	hv_child_destroy(hv);
	evil_root_stop(&root);
	bus = NULL;
	hv = NULL;
}

static inline struct vmbus_offer rig_offer(uint32_t index)
{
	struct vmbus_offer o;

	ck_assert_int_eq(vmbus_client_find(bus, &evil_type, index, &o), 0);
	return o;
}

static inline struct vmbus_chan *rig_open(const struct vmbus_offer *o, uint32_t vp)
{
	struct vmbus_chan *c;

	ck_assert_int_eq(vmbus_client_open(bus, o, RING, vp, 0, NULL, NULL, &c), 0);
	return c;
}

static inline struct vmbus_client_stats rig_stats(void)
{
	struct vmbus_client_stats st;

	vmbus_client_stats(bus, &st);
	return st;
}

static inline uint32_t rig_count(uint32_t type)
{
	uint32_t n;

	evil_lock(&root);
	n = root.count[type];
	evil_unlock(&root);
	return n;
}

/* Two hooks of the root about messages of one type: never answered, never taken. */
static uint32_t rig_type;

static inline int rig_swallow(struct evil_root *r, uint32_t connection, const union vmbus_msg *m,
			      uint32_t len)
{
	(void)r;
	(void)connection;
	(void)len;
	return m->hdr.type == rig_type ? HV_STATUS_SUCCESS : EVIL_PASS;
}

static inline int rig_refuse(struct evil_root *r, uint32_t connection, const union vmbus_msg *m,
			     uint32_t len)
{
	(void)r;
	(void)connection;
	(void)len;
	return m->hdr.type == rig_type ? HV_STATUS_INSUFFICIENT_BUFFERS : EVIL_PASS;
}

/* Pumps messages until @cond. */
#define rig_until(cond)                                                                            \
	do {                                                                                       \
		uint64_t limit__ = clock_ns() + LIMIT_NS;                                          \
		while (!(cond)) {                                                                  \
			ck_assert_msg(clock_ns() < limit__, "never: " #cond);                      \
			vmbus_client_wait(bus, 0, MS);                                             \
		}                                                                                  \
	} while (0)

/* Sleeps as the owner of @c on @vp until a packet is there. A batch of one. */
static inline void rig_recv(struct vmbus_chan *c, uint32_t vp, struct vmpkt *p)
{
	uint64_t limit = clock_ns() + LIMIT_NS;
	int n;

	while ((n = vmbus_chan_recv(c, p)) == 0) {
		ck_assert(clock_ns() < limit);
		if (!vmbus_chan_unmask(c))
			ck_assert_int_eq(vmbus_client_wait(bus, vp, LIMIT_NS), 1);
	}
	ck_assert_int_eq(n, 1);
	vmbus_chan_recv_done(c);
}

/* One packet to the root, which echoes it. */
static inline void rig_echo(struct vmbus_chan *c, uint32_t vp, uint64_t id)
{
	struct vmpkt p;

	ck_assert_int_eq(vmbus_chan_send(c, VMPKT_FLAG_COMPLETION_REQUESTED, id, &id, sizeof(id)),
			 0);
	vmbus_chan_flush(c);
	rig_recv(c, vp, &p);
	ck_assert_uint_eq(p.type, VMPKT_COMPLETION);
	ck_assert_uint_eq(p.trans_id, id);
	ck_assert_mem_eq(p.payload, &id, sizeof(id));
}

/* How many pages the child's allocator can still give, by taking them all. */
static inline uint32_t rig_free_pages(void)
{
	static uint64_t gpa[CHILD_BYTES / 4096];
	uint32_t n = 0;

	while (!hv_child_alloc_pages(hv, 1, &gpa[n]))
		n++;
	for (uint32_t i = 0; i < n; i++)
		hv_child_free_pages(hv, gpa[i], 1);
	return n;
}

static inline int rig_main(const char *name, void (*const *parts)(TCase *), size_t n)
{
	Suite *s = suite_create(name);
	SRunner *sr = srunner_create(s);
	int failed;

	for (size_t i = 0; i < n; i++) {
		TCase *tc = tcase_create(name);

		tcase_set_timeout(tc, 20);
		parts[i](tc);
		suite_add_tcase(s, tc);
	}
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
