/* SPDX-License-Identifier: MIT */
/*
 * Shared by the files of the controller; nobody else includes it.
 *
 *   storvsp.c      the device: offer, open, close, statistics
 *   stor_chan.c    one open channel: memory, request pool, LUN queues, its end
 *   stor_control.c everything of the protocol that is not EXECUTE_SRB
 *   stor_worker.c  the data path: drain, execute, complete
 *   stor_watch.c   the ages of requests
 *   stor_fence.c   waiting until what was in flight is over, for resets and the like
 *
 * Order of ends: close() stops the rings; what is in flight finishes into nothing; the
 * last one ends the channel on a later turn of its loop: queues, memory reference,
 * pool, and vmbus_device_closed() at the very end.
 */
#ifndef HVBUS_VSP_STORVSP_STOR_PRIV_H
#define HVBUS_VSP_STORVSP_STOR_PRIV_H

#include <pthread.h>

#include "vmbus/wire/vstor.h"
#include "vsp/storvsp/storvsp.h"

/* What we wait for; the order is the protocol's (spec: storvsc, section 5). */
enum stor_state {
	STOR_BEGIN,	 /* BEGIN_INITIALIZATION */
	STOR_VERSION,	 /* QUERY_PROTOCOL_VERSION */
	STOR_PROPERTIES, /* QUERY_PROPERTIES */
	STOR_END,	 /* END_INITIALIZATION, or CREATE_SUB_CHANNELS before it */
	STOR_READY,	 /* SRBs */
};

#define STOR_BATCH	 32u /* packets per drain: one busy guest must not starve the others */
#define STOR_PUBLISH	 8u  /* completions between two publications inside a batch */
#define STOR_REPLY_SPACE 88u /* ring bytes of the longest completion: 16 + 64 + 8 */
#define STOR_SAMPLE	 64u /* one request in this many is timed */
#define STOR_IOV_INLINE	 4
#define STOR_RESET_MS	 4000u /* a guest gives up on a reset after 5 s */
#define STOR_STUCK	 16u   /* stuck requests of a channel that are told apart */

/*
 * One request. The scatter list is in the request itself when it is short, else in
 * the channel's page-granular array, which is untouched memory until then.
 */
struct stor_req {
	struct stor_chan *chan;
	struct stor_req *next; /* free list */
	uint64_t trans_id;     /* the guest's: echoed, never interpreted */
	uint64_t start_ns;  /* 0 = not in flight. Written by the owner, read by storvsp_stats() */
	uint64_t sample_ns; /* 0 = this one is not timed, or it is free */
	uint32_t address;   /* see stor_address() */
	uint32_t reply_len; /* bytes of the completion's payload */
	struct iovec iov[STOR_IOV_INLINE];
	struct scsi_task task __attribute__((aligned(CACHE_LINE)));
};

struct stor_lun {		 /* a LUN as this channel uses it */
	struct blk_queue *queue; /* NULL: not used yet, or a drive */
	struct scsi_nexus *nexus;
	struct blk_queue *medium_queue; /* of a drive: to @medium, which it holds; NULL: empty */
	struct scsi_medium *medium;
	uint32_t in_flight;
	uint32_t fenced; /* of them, those that a fence waits for */
	bool leaving;	 /* the channel waits for the last of them */
};

struct stor_part; /* stor_fence.c */

/* A stuck request, until @slot holds another. */
struct stor_stuck {
	uint32_t slot;	   /* STOR_NO_SLOT: the ring */
	uint64_t start_ns; /* when the request in @slot, or the ring's waiting, began */
	struct storvsp_stuck info;
};
#define STOR_NO_SLOT UINT32_MAX

/*
 * One opening of one channel. A channel that is closed and opened again gets a new
 * one, so a request's pointer to it is its generation tag: a late request finds its own
 * (closing) incarnation, never the next.
 */
struct stor_chan {
	struct storvsp *ctl;
	struct vmbus_chan *chan;
	struct scsi_target *target;
	struct loop *loop;
	struct hv_gpa *gpa; /* referenced until the end: in-flight I/O needs the pages */
	uint16_t sub;
	bool closing;		  /* rings are not ours any more */
	bool draining;		  /* inside drain() */
	bool resetting;		  /* a RESET_* is not answered yet */
	uint32_t primary_opening; /* which opening of the primary this sub-channel belongs to */

	/* The completion of what went well. Always ready but for address and length. */
	struct vstor_packet good;
	struct stor_req *reqs; /* depth of them; memory beyond @touched was never written */
	struct stor_req *free;
	struct iovec *iovs; /* depth * max_iov, untouched until a long request uses them */
	size_t reqs_len, iovs_len;
	uint32_t depth, max_iov, short_iov, touched;
	uint32_t in_flight, lun_cap;
	uint32_t to_sample;  /* requests until one is timed */
	uint32_t to_publish; /* completions until the next publication inside a batch */

	/* Written by the channel's loop, read by storvsp_stats(): relaxed stores and loads. */
	uint64_t requests, rejected, latency_sum, latency_count, latency_max;
	uint32_t stat_in_flight, stat_max_in_flight, stat_touched;

	uint64_t reset_id;
	uint16_t reset_reply_len;
	struct loop_timer reset_timer;
	struct stor_reset *reset; /* what it waits for; this and the next under ctl->lock */
	uint32_t reset_status;	  /* of the answer, when @reset is NULL */

	struct stor_part *fences_asked; /* under ctl->lock */
	struct stor_part *fences;	/* the oldest first */
	struct loop_timer fence_timer;
	void (*task_done)(struct scsi_task *t); /* of the task that is being aborted */

	bool watching; /* @watch is armed */
	struct loop_timer watch;
	uint64_t watched_until;		    /* who began until then has been reported */
	uint64_t ring_since, ring_requests; /* packets wait, and @requests does not move */
	bool ring_reported;
	uint64_t stat_stuck;
	uint32_t nr_stuck; /* this and @stuck: under ctl->lock */
	struct stor_stuck stuck[STOR_STUCK];

	struct loop_call call; /* see stor_chan_post() */
	uint32_t posted;       /* @call is on its way. Any thread */
	uint64_t release;      /* bit per LUN to let go of; under the controller's lock */
	struct stor_lun lun[SCSI_MAX_LUNS];
};

struct storvsp {
	struct vmbus_device *dev;
	struct scsi_target *target;
	struct storvsp_config cfg;
	uint64_t owner; /* the partition, for the limits of disks that it shares */
	char name[32];
	void (*gone)(void *ctx);
	void *gone_ctx;

	/* Written on the primary's loop only; release there pairs with acquire elsewhere. */
	uint32_t state;		  /* enum stor_state */
	uint32_t primary_opening; /* counts openings and closings of the primary */
	uint16_t version, subchannels;
	bool subchannels_fixed; /* asked for before END_INITIALIZATION: only once */
	uint32_t notify;	/* ENUMERATE_BUS is due. Any thread */

	/*
	 * Protects @chan, its channels' release, fences and resets, and @closed: taken when
	 * channels open and end, for statistics and resets, never per request.
	 */
	pthread_mutex_t lock;
	struct stor_chan *chan[1 + STORVSP_MAX_SUBCHANNELS];
	struct storvsp_stats closed; /* sums of channels that are gone */
};

#define STOR_BUMP(counter, n) store_relaxed(&(counter), (counter) + (n)) /* one writer */

/* ---- stor_chan.c ---------------------------------------------------------------- */

int stor_chan_open(struct stor_chan **out, struct storvsp *s, uint16_t sub,
		   struct vmbus_chan *chan);
/* Only for a channel that never was in use. */
void stor_chan_free(struct stor_chan *c);
/* The device's close(): stops using the rings; the channel ends when nothing is in flight. */
void stor_chan_close(struct stor_chan *c);
/*
 * What has not reached the kernel ends now, as aborted; commands that work piece by piece
 * stop after their piece; single transfers finish.
 */
void stor_chan_abort_tasks(struct stor_chan *c);
/* The same with one that is in flight; true: it has been answered. */
bool stor_chan_abort_task(struct stor_chan *c, struct scsi_task *t);
/* Any thread that found @c in the table under the lock: look at the channel on its loop. */
void stor_chan_post(struct stor_chan *c);
/*
 * A drive's medium may be another one at any time: makes @t->queue lead to the present one.
 * -EBUSY: requests for the one before are still in flight.
 */
int stor_chan_medium(struct stor_chan *c, uint8_t number, struct scsi_task *t);
/* Lets go of the LUNs in @c->release that have nothing in flight. */
void stor_chan_release(struct stor_chan *c);
/* The LUN's entry, with a queue; NULL when there is no such LUN or no queue (*@err then). */
struct stor_lun *stor_chan_lun_slow(struct stor_chan *c, uint8_t number, int *err);

/* ---- stor_worker.c ------------------------------------------------------------------ */

bool stor_chan_drain(struct stor_chan *c);
/* The target's last word on a task that takes time. */
void stor_request_done(struct scsi_task *t);
/* Bytes of @payload in the completion of @pkt: what the request had, at most 64. */
ALWAYS_INLINE uint16_t stor_reply_len(const struct vmpkt *pkt)
{
	return pkt->payload_len < VSTOR_PACKET ? (uint16_t)pkt->payload_len : VSTOR_PACKET;
}
/* Prepares @c->good. */
void stor_reply_init(struct stor_chan *c);
/* Queues a completion; its ring space was reserved by the intake limit. */
void stor_reply(struct stor_chan *c, uint64_t trans_id, const struct vstor_packet *p, uint16_t len);

/* ---- requests ------------------------------------------------------------------------- */

/* Path, target and LUN in one word, as they travel. The port that comes before them is left out. */
ALWAYS_INLINE uint32_t stor_address(const struct vstor_srb *srb)
{
	uint32_t word = srb->port_number | (uint32_t)srb->path_id << 8 |
			(uint32_t)srb->target_id << 16 | (uint32_t)srb->lun << 24;

	return word & ~0xffu;
}

/* All that an address has where LUNs are: path 0, target 0, a number in the table. */
#define STOR_LUNS ((SCSI_MAX_LUNS - 1u) << 24)

/* Not path 0, target 0. */
ALWAYS_INLINE bool stor_elsewhere(uint32_t address)
{
	return address & 0xffff00;
}

ALWAYS_INLINE uint8_t stor_lun_of(uint32_t address)
{
	return address >> 24;
}

ALWAYS_INLINE struct stor_req *stor_req_get(struct stor_chan *c)
{
	struct stor_req *r;

	if (likely(c->free)) {
		r = c->free;
		c->free = r->next;
		return r;
	}
	r = &c->reqs[c->touched++]; /* the intake limit keeps this below depth */
	store_relaxed(&c->stat_touched, c->touched);
	r->chan = c;
	r->task.done = stor_request_done;
	return r;
}

ALWAYS_INLINE void stor_req_put(struct stor_chan *c, struct stor_req *r)
{
	r->next = c->free;
	c->free = r;
}

/* ---- stor_control.c -------------------------------------------------------------- */

/* Any packet that is not an EXECUTE_SRB to be executed. */
void stor_control(struct stor_chan *c, const struct vmpkt *pkt);
/* Answers the reset when it has nothing to wait for any more. */
void stor_reset_look(struct stor_chan *c);
/* Nobody is there any more who could be told. */
void stor_reset_forget(struct stor_chan *c);
void stor_reset_timeout(struct loop_timer *t);
/* Sends ENUMERATE_BUS if one is due, allowed, and fits; true when it did. Primary's loop. */
bool stor_notify(struct stor_chan *c);
const char *stor_state_name(uint32_t state);

/* ---- stor_fence.c ------------------------------------------------------------------- */

/*
 * Every channel takes part in @f with what it has in flight to @luns. Any thread. @self: calls
 * stor_fence_begin() next; NULL: no channel does.
 */
void stor_fence_ask(struct storvsp *s, const struct stor_chan *self, uint64_t luns,
		    struct scsi_fence *f);
/* On the channel's loop: does what was asked for. */
void stor_fence_begin(struct stor_chan *c);
void stor_fence_timeout(struct loop_timer *t);

/* ---- stor_watch.c ------------------------------------------------------------------- */

/* Something happens on the channel: its requests are watched until nothing does. */
void stor_watch_start(struct stor_chan *c);
void stor_watch_tick(struct loop_timer *t);

#endif
