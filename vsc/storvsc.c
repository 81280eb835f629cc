/* SPDX-License-Identifier: MIT */
/*
 * A controller's life at the child's end. Teardown order: what is in flight (bounded),
 * sub-channels, primary, guest memory, and, when storvsc_attach() made them, bus and
 * partition.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "vmbus/wire/vmbus_msg.h"
#include "vsc/storvsc_priv.h"

#define DEFAULT_DEPTH	256u
#define DEFAULT_RING	(256u << 10)
#define DEFAULT_SPIN_US 50
#define DEFAULT_TIMEOUT 60000u
#define CLOSE_WAIT_NS	1000000000ull

/* ---- opening ---------------------------------------------------------------------------- */

static int configure(struct storvsc *s, const struct storvsc_config *cfg, uint32_t *wanted)
{
	static const struct storvsc_config defaults = { .spin_us = DEFAULT_SPIN_US };
	uint32_t vps = hv_child_nr_vps(s->child);

	if (!cfg)
		cfg = &defaults;
	*wanted = cfg->queues ? cfg->queues : 1;
	if (*wanted > vps)
		*wanted = vps;
	if (*wanted > SC_MAX_QUEUES)
		*wanted = SC_MAX_QUEUES;
	s->depth = cfg->depth ? cfg->depth : DEFAULT_DEPTH;
	if (s->depth > SC_MAX_DEPTH)
		return -EINVAL;
	s->ring_bytes = (cfg->ring_bytes ? (cfg->ring_bytes + 4095) & ~4095u : DEFAULT_RING) + 4096;
	s->spin_max = cfg->spin_us < 0 ? UINT64_MAX : (uint64_t)cfg->spin_us * 1000;
	s->timeout_ns = (cfg->timeout_ms ? cfg->timeout_ms : DEFAULT_TIMEOUT) * 1000000ull;
	return 0;
}

/* Guest memory must be one piece from address 0, which makes translation a subtraction. */
static int map_memory(struct storvsc *s)
{
	uint64_t first, last;

	s->mem = hv_child_ptr(s->child, 0);
	s->mem_size = hv_child_memory(s->child);
	if (!s->mem || !hv_child_gpa(s->child, s->mem, &first) || first ||
	    !hv_child_gpa(s->child, s->mem + s->mem_size - 1, &last) || last != s->mem_size - 1)
		return -EINVAL;
	s->zero_page = storvsc_alloc(s, 4096);
	return s->zero_page ? 0 : -ENOMEM;
}

int storvsc_open(struct storvsc **out, struct vmbus_client *bus, uint32_t index,
		 const struct storvsc_config *cfg)
{
	static const struct guid scsi = VMBUS_CLASS_SCSI;
	struct storvsc *s = calloc(1, sizeof(*s));
	uint32_t wanted;
	int err;

	if (!s)
		return -ENOMEM;
	s->bus = bus;
	s->child = vmbus_client_child(bus);
	err = configure(s, cfg, &wanted);
	if (err)
		goto free_ctl;
	err = vmbus_client_find(bus, &scsi, index, &s->offer);
	if (err) {
		err = err == -ENOENT ? -ENODEV : err;
		goto free_ctl;
	}
	err = map_memory(s);
	if (err)
		goto free_ctl;
	err = sc_queues_open(s, wanted);
	if (err)
		goto free_zero;
	err = sc_scan(s);
	if (err)
		goto close_queues;
	*out = s;
	return 0;

close_queues:
	sc_queues_close(s);
free_zero:
	storvsc_free(s, s->zero_page, 4096);
free_ctl:
	free(s);
	return err;
}

void storvsc_close(struct storvsc *s)
{
	uint64_t deadline = sc_deadline(CLOSE_WAIT_NS);
	uint32_t i;

	for (i = 0; i < s->nr_queues; i++) {
		struct sc_queue *q = &s->queue[i];

		sc_collect_done(q);
		while (q->busy && !q->dead && sc_wait(q, deadline))
			sc_collect_done(q);
	}
	sc_queues_close(s);
	storvsc_free(s, s->zero_page, 4096);
	free(s);
}

/* ---- everything in one --------------------------------------------------------------------- */

static int explain(char *why, size_t whylen, const char *what, int err)
{
	if (why && whylen && !why[0])
		snprintf(why, whylen, "%s: %s", what, strerror(-err));
	return err;
}

static int open_services(struct storvsc *s, const struct ic_client_config *cfg, uint32_t vp)
{
	struct ic_client_config own = *cfg;
	int err;

	own.vp = vp;
	err = ic_client_open(&s->ic, s->bus, &own);
	if (!err)
		err = ic_client_start(s->ic);
	return err == -ENODEV ? 0 : err;
}

int storvsc_attach(struct storvsc **out, const char *socket, uint32_t index, uint64_t memory,
		   const struct storvsc_config *cfg, char *why, size_t whylen)
{
	const struct ic_client_config *ic = cfg ? cfg->integration : NULL;
	uint32_t queues = cfg && cfg->queues ? cfg->queues : 1;
	struct hv_child_config hc = { .memory = memory, .nr_vps = queues + (ic ? 1 : 0) };
	struct vmbus_client *bus;
	struct hv_child *child;
	int err;

	if (why && whylen)
		why[0] = '\0';
	err = hv_child_connect(&child, socket, &hc, why, whylen);
	if (err)
		return explain(why, whylen, socket, err);
	err = vmbus_client_connect(&bus, child, NULL);
	if (err) {
		explain(why, whylen, "bus", err);
		goto free_child;
	}
	err = storvsc_open(out, bus, index, cfg);
	if (err) {
		explain(why, whylen, err == -ENODEV ? "no such controller" : "controller", err);
		goto free_bus;
	}
	(*out)->owns_bus = true;
	if (!ic)
		return 0;
	err = open_services(*out, ic, queues);
	if (!err)
		return 0;
	explain(why, whylen, "integration services", err);
	storvsc_detach(*out);
	return err;

free_bus:
	vmbus_client_destroy(bus);
free_child:
	hv_child_destroy(child);
	return err;
}

void storvsc_detach(struct storvsc *s)
{
	struct vmbus_client *bus = s->bus;
	struct hv_child *child = s->child;
	bool owns_bus = s->owns_bus;

	ic_client_close(s->ic);
	storvsc_close(s);
	if (!owns_bus)
		return;
	vmbus_client_destroy(bus);
	hv_child_destroy(child);
}

/* ---- what it is
 * ----------------------------------------------------------------------------------- */

uint32_t storvsc_queues(const struct storvsc *s)
{
	return s->nr_queues;
}

uint32_t storvsc_max_transfer(const struct storvsc *s)
{
	return s->max_transfer;
}

struct hv_child *storvsc_child(struct storvsc *s)
{
	return s->child;
}

bool storvsc_changed(struct storvsc *s)
{
	return __atomic_exchange_n(&s->changed, 0, __ATOMIC_RELAXED);
}

const char *storvsc_last_error(const struct storvsc *s, uint32_t q)
{
	return q < s->nr_queues ? s->queue[q].error : "";
}

void storvsc_stats(const struct storvsc *s, uint32_t qi, struct storvsc_stats *out)
{
	const struct sc_queue *q = &s->queue[qi];
	struct vmbus_chan_stats cs;

	memset(out, 0, sizeof(*out));
	if (qi >= s->nr_queues)
		return;
	vmbus_chan_stats(q->chan, &cs);
	out->submitted = load_relaxed(&q->submitted);
	out->completed = load_relaxed(&q->completed);
	out->errors = load_relaxed(&q->errors);
	out->ignored = load_relaxed(&q->ignored);
	out->retried = load_relaxed(&q->retried);
	out->signals_sent = cs.signals_sent;
	out->signals_suppressed = cs.signals_suppressed;
	out->sleeps = load_relaxed(&q->sleeps);
	out->spins = load_relaxed(&q->spins);
}

/* ---- guest memory
 * ---------------------------------------------------------------------------------- */

void *storvsc_alloc(struct storvsc *s, size_t bytes)
{
	uint64_t gpa, pages = (bytes + 4095) / 4096;

	if (!bytes || pages > UINT32_MAX || hv_child_alloc_pages(s->child, (uint32_t)pages, &gpa))
		return NULL;
	return hv_child_ptr(s->child, gpa);
}

void storvsc_free(struct storvsc *s, void *p, size_t bytes)
{
	if (p)
		hv_child_free_pages(s->child, sc_gpa(s, p, 1), (uint32_t)((bytes + 4095) / 4096));
}
