/* SPDX-License-Identifier: MIT */
/*
 * Two channels back to back in one process, as host and guest, over one memfd that each
 * end has mapped for itself. @raw_* are third views of the same rings, through which a
 * test plays the peer that does not keep to the rules.
 */
#ifndef HVBUS_TESTS_UT_VMBUS_CHAN_RIG_H
#define HVBUS_TESTS_UT_VMBUS_CHAN_RIG_H

#include <check.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "vmbus/chan.h"

#define RIG_RAM_PAGES 64u /* behind the rings: what requests point at */

struct rig_end {
	struct vmbus_chan *chan;
	struct hv_gpa_view in, out;
	uint32_t signals; /* sent by this end */
	uint32_t faults;
	const char *why;
};

struct rig {
	struct hv_gpa *gpa;
	uint32_t ring_pages, ram_pfn;
	struct rig_end host, guest;
	struct hv_gpa_view raw_to_host, raw_to_guest;
};

static void rig_signal(void *ctx)
{
	struct rig_end *e = ctx;

	__atomic_fetch_add(&e->signals, 1, __ATOMIC_RELAXED);
}

static void rig_fault(void *ctx, const char *why)
{
	struct rig_end *e = ctx;

	e->faults++;
	e->why = why;
}

static struct hv_gpa_view rig_map(struct rig *r, uint32_t first)
{
	struct hv_gpa_view v;
	uint64_t pfn[300];

	for (uint32_t i = 0; i < r->ring_pages; i++)
		pfn[i] = first + i;
	ck_assert_int_eq(hv_gpa_map_wrapped(r->gpa, &v, pfn, r->ring_pages), 0);
	return v;
}

static void rig_end_init(struct rig *r, struct rig_end *e, bool host, uint32_t max_packet)
{
	struct vmbus_chan_config cfg = {
		.accept = host ? VMRING_ACCEPT_HOST : VMRING_ACCEPT_GUEST,
		.max_packet = max_packet,
		.gpa = host ? r->gpa : NULL,
		.signal = rig_signal,
		.fault = rig_fault,
		.ctx = e,
		.name = host ? "host end" : "guest end",
	};

	e->in = rig_map(r, host ? 0 : r->ring_pages);
	e->out = rig_map(r, host ? r->ring_pages : 0);
	cfg.in = e->in;
	cfg.out = e->out;
	ck_assert_int_eq(vmbus_chan_create(&e->chan, &cfg), 0);
}

static void rig_init(struct rig *r, uint32_t data_pages, uint32_t max_packet)
{
	uint64_t bytes;
	int fd;

	log_set_level(LOG_ERROR); /* faults are what these tests are about */
	memset(r, 0, sizeof(*r));
	r->ring_pages = data_pages + 1;
	r->ram_pfn = 2 * r->ring_pages;
	bytes = (uint64_t)(r->ram_pfn + RIG_RAM_PAGES) * HV_PAGE_SIZE;
	fd = hv_memfd_create("chan-test", bytes);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(hv_gpa_create(&r->gpa), 0);
	ck_assert_int_eq(hv_gpa_add_ram(r->gpa, 0, bytes, fd, 0), 0);
	close(fd);
	rig_end_init(r, &r->host, true, max_packet);
	rig_end_init(r, &r->guest, false, max_packet);
	r->raw_to_host = rig_map(r, 0);
	r->raw_to_guest = rig_map(r, r->ring_pages);
}

static void rig_fini(struct rig *r)
{
	struct rig_end *ends[] = { &r->host, &r->guest };

	for (int i = 0; i < 2; i++) {
		vmbus_chan_destroy(ends[i]->chan);
		hv_gpa_unmap_view(&ends[i]->in);
		hv_gpa_unmap_view(&ends[i]->out);
	}
	hv_gpa_unmap_view(&r->raw_to_host);
	hv_gpa_unmap_view(&r->raw_to_guest);
	hv_gpa_put(r->gpa);
}

/* One packet, which must be there. */
static inline void rig_recv(struct rig_end *e, struct vmpkt *p)
{
	ck_assert_int_eq(vmbus_chan_recv(e->chan, p), 1);
}

static inline void rig_empty(struct rig_end *e)
{
	struct vmpkt p;

	ck_assert_int_eq(vmbus_chan_recv(e->chan, &p), 0);
}

static inline int rig_main(Suite *s)
{
	SRunner *sr = srunner_create(s);
	int failed;

	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
