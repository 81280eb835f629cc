/* SPDX-License-Identifier: MIT */
/*
 * A root and a guest whose every move is chosen: the real bus, its state machine, the real
 * controller and SCSI target on three scheduled loops (sched_loop.h), a disk that finishes
 * when it is told to, and a guest that keeps to the protocol and checks that the root does.
 *
 *   loop 0   the bus's: control messages, the owner's calls, hypercalls of the guest
 *   loop 1   the primary channel, loop 2 its sub-channel
 *
 * What is checked, whatever the order:
 *   a request is answered at most once, and not after its channel was closed
 *   a reset that succeeded is answered behind all that was sent before it
 *   GPADL_TORNDOWN comes once per teardown, when no request of that opening is in flight;
 *     the ring's pages are not written after it
 *   per relid: one offer, one result per open, one rescind, nothing after the release
 *   "the guest is gone" and UNLOAD_RESPONSE come when no request is in flight at all
 *   a queue is destroyed idle, once, and not from inside of a completion
 *   when nothing can happen any more, everything that was asked for has happened
 */
#ifndef HVBUS_TESTS_SCHED_WORLD_H
#define HVBUS_TESTS_SCHED_WORLD_H

#include <check.h>
#include <dirent.h>
#include <errno.h>

#include "base/iov.h"
#include "base/log.h"
#include "tests/fake/explore.h"
#include "tests/fake/fake_partition.h"
#include "tests/fake/sched_loop.h"
#include "vmbus/msg.h"
#include "vmbus/server.h"
#include "vsp/storvsp/stor_priv.h"

#define WORLD_SUBS   2u
#define WORLD_GENS   2u /* openings of one channel */
#define WORLD_SEQS   8u /* requests of one opening */
#define RING_PAGES   4u /* both rings */
#define WORLD_MEMORY (1u << 20)
#define WORLD_STEPS  4000u
#define POISON	     0xa5
#define TRACE_LEN    48u

struct pad { /* the ring GPADL of one opening */
	uint32_t id;
	uint64_t gpa;
	bool created, asked, torn; /* asked: GPADL_TEARDOWN was sent */
};

enum open_state { SHUT, ASKED, OPEN };

struct side { /* one channel as the guest sees it */
	uint32_t sub, relid, gen;
	bool offered, rescinded;
	enum open_state state;
	struct pad pad[WORLD_GENS];
	uint32_t sent[WORLD_GENS];
	bool waits[WORLD_GENS][WORLD_SEQS]; /* for the answer */
	bool reset[WORLD_GENS][WORLD_SEQS]; /* it is a reset */
	uint32_t modifying;
	struct vmbus_chan *chan;
	struct hv_gpa_view to_host, to_guest;
};

struct blk_queue {
	struct loop *loop;
	struct blk_dev *dev;
	uint32_t in_flight;
	bool completing;
};

struct blk_dev {
	uint32_t queues;
};

struct on_disk {
	struct blk_queue *queue;
	struct blk_req *req;
	bool kernel; /* cannot be taken back any more */
};

/* What happens by itself: with the events at rest, at once, or while the disk is still busy. */
enum order { DISK_FIRST, EVENTS_FIRST, DISK_LAST, ORDERS };

static struct world {
	struct loop *loop[3];
	struct fake_partition *f;
	struct vmbus_bus *bus;
	struct scsi_target *target;
	struct scsi_lun *lun;
	struct storvsp *ctl;
	struct blk_dev dev;
	struct side side[WORLD_SUBS];
	struct on_disk disk[WORLD_SUBS * WORLD_GENS * WORLD_SEQS];
	uint32_t nr_disk;
	uint64_t data; /* guest address of the requests' buffer */

	bool dead;	/* the guest does nothing any more */
	bool bus_gone;	/* .. and no device is in its memory */
	bool ctl_owned; /* nobody called storvsp_destroy() */
	bool ctl_gone;
	bool unloading, unloaded, contacting;
	bool lun_left;
	uint32_t all_offers, controls;
	struct loop_call end;
	bool ended;

	bool exploring;
	struct explore *explore;
	uint32_t depth, last, timers, steps;
	uint64_t events; /* bit per event that is still to come */
	enum order order;
	const char *name, *trace[TRACE_LEN];
} w;

static uint64_t total_steps, total_runs;

static inline void show_run(void)
{
	static const char *const orders[] = { "disk first", "events first", "disk last" };
	uint32_t i = w.steps > TRACE_LEN ? w.steps - TRACE_LEN : 0;

	fprintf(stderr, "scenario %s, %s, fork %u; the last steps:\n", w.name, orders[w.order],
		w.explore ? w.explore->at : 0);
	for (; i < w.steps; i++)
		fprintf(stderr, "  %s\n", w.trace[i % TRACE_LEN]);
}

#define REQUIRE(what)                                                                              \
	do {                                                                                       \
		if (unlikely(!(what))) {                                                           \
			show_run();                                                                \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #what);       \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* ---- the disk: blk.h ------------------------------------------------------------------ */

int blk_queue_create(struct blk_queue **out, struct blk_dev *d, struct loop *loop)
{
	struct blk_queue *q = calloc(1, sizeof(*q));

	REQUIRE(loop_in_thread(loop) && d == &w.dev && w.lun);
	q->loop = loop;
	q->dev = d;
	d->queues++;
	*out = q;
	return 0;
}

void blk_queue_destroy(struct blk_queue *q)
{
	REQUIRE(loop_in_thread(q->loop));
	REQUIRE(!q->in_flight && !q->completing);
	q->dev->queues--;
	free(q);
}

int blk_queue_set_owner(struct blk_queue *q, uint64_t owner)
{
	(void)q;
	(void)owner;
	return 0;
}

void blk_queue_post(struct blk_queue *q, struct loop_call *call)
{
	loop_post(q->loop, call);
}

int blk_submit(struct blk_queue *q, struct blk_req *req)
{
	REQUIRE(loop_in_thread(q->loop) && w.nr_disk < ARRAY_SIZE(w.disk));
	w.disk[w.nr_disk++] = (struct on_disk){ q, req, false };
	q->in_flight++;
	return -EINPROGRESS;
}

static inline void disk_finish(uint32_t i, int result)
{
	struct on_disk d = w.disk[i];

	memmove(&w.disk[i], &w.disk[i + 1], (--w.nr_disk - i) * sizeof(d));
	d.queue->in_flight--;
	d.queue->completing = true;
	d.req->done(d.req, result);
	d.queue->completing = false;
}

bool blk_cancel(struct blk_queue *q, struct blk_req *req)
{
	REQUIRE(loop_in_thread(q->loop));
	for (uint32_t i = 0; i < w.nr_disk; i++) {
		if (w.disk[i].req != req || w.disk[i].kernel)
			continue;
		disk_finish(i, -ECANCELED);
		return true;
	}
	return false;
}

enum blk_where blk_req_where(const struct blk_queue *q, const struct blk_req *req)
{
	(void)q;
	(void)req;
	return BLK_AT_KERNEL;
}

const char *blk_where_name(enum blk_where where)
{
	(void)where;
	return "disk";
}

void blk_dev_info(const struct blk_dev *d, struct blk_info *out)
{
	(void)d;
	*out = (struct blk_info){
		.size = 1 << 20, .block_size = 512, .physical_block = 512, .engine = "scheduled"
	};
}

bool blk_dev_flush_failed(const struct blk_dev *d)
{
	(void)d;
	return false;
}

/* The kernel's part: the guest's pages are used here, so they must be there. */
static inline void disk_step(uint32_t i)
{
	struct on_disk *d = &w.disk[i];
	struct blk_req *r = d->req;
	struct loop *loop = d->queue->loop, *before;
	uint8_t copy[512];

	if (!d->kernel) {
		d->kernel = true;
		return;
	}
	if (r->op == BLK_READ)
		iov_fill(r->iov, r->niov, 0, 0, r->len);
	else if (r->op == BLK_WRITE)
		iov_to_buf(r->iov, r->niov, 0, copy, sizeof(copy));
	before = sched_enter(loop);
	disk_finish(i, 0);
	sched_leave(loop, before);
}

#endif
