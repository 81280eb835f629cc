/* SPDX-License-Identifier: MIT */
/*
 * Shared by the files of the network client; nobody else includes it.
 *
 *   netvsc.c          life of an adapter, what it is, statistics, how it ends
 *   netvsc_init.c     NVSP negotiation, buffers, RNDIS, sub-channels, receive side scaling
 *   netvsc_offload.c  what the root can do for us, and asking for it
 *   netvsc_control.c  one request and its answer: NVSP messages, RNDIS control messages
 *   netvsc_tx.c       frames out: sections, aggregation, completions of requests
 *   netvsc_rx.c       packets in: frames, fragments, giving them back
 *   netvsc_wait.c     arming, sleeping, death
 */
#ifndef HVBUS_VSC_NETVSC_PRIV_H
#define HVBUS_VSC_NETVSC_PRIV_H

#include <errno.h>
#include <sys/param.h>

#include "base/atomic.h"
#include "base/reuse.h"
#include "vmbus/wire/nvsp.h"
#include "vmbus/wire/rndis_data.h"
#include "vsc/netvsc.h"

#define NV_MAX_PACKET	4624u /* what a root may send: 562 ranges and a message */
#define NV_HEADER	92u   /* RNDIS header with three elements, in front of each frame sent */
#define NV_HEAD_ROOM	320u  /* bytes of a frame that lie in the section at least */
#define NV_SLIDE	16u   /* most that a caller may let a frame start later */
#define NV_MIN_SECTION	(NV_HEADER + NV_HEAD_ROOM)
#define NV_OVERFLOW	65536u /* bytes of a buffer for what a section does not hold */
#define NV_OVERFLOWS	16u    /* of each queue */
#define NV_MAX_SECTIONS 2048u  /* of each queue; more are left alone */
#define NV_ROUND	256u   /* sections that are used in turn */
#define NV_DONE		128u   /* packets whose frames are given back together, at most */
#define NV_REQUEST_ROOM 256u   /* what the longest request takes in the ring */
#define NV_HEAD_FIRST	128u   /* copied of each message: enough for all elements known */
#define NV_ALIVE	4096u  /* looks at the ring between two looks at the root */
#define NV_MIN_SUBALLOC 68u    /* of the receive buffer: a header and a bit */

/* Transaction ids: requests and calls have the generation above, an index + 1 or this below. */
#define NV_ID_CALL	0u
#define NV_ID_QUIET	0xfffffffffffffffdull /* of messages that want no answer, as Linux has it */

/* A section of the send buffer, and the request that is made in it. */
struct nv_section {
	uint32_t gen;	  /* counts uses: an id of an earlier use is not ours */
	uint8_t busy;	  /* handed to the root */
	uint8_t frames;	  /* in it */
	uint8_t overflow; /* index + 1 of the buffer that goes with it, 0 = none */
};

/* The section that frames are put into. */
struct nv_open {
	uint32_t section; /* index + 1 within the queue; 0 = none */
	uint32_t used;	  /* bytes, without padding behind the last frame */
	uint32_t last;	  /* where the last frame's message starts */
	uint32_t frames;
	uint32_t overflow; /* bytes in the overflow buffer */
	bool closed;	   /* to be sent before anything else */
};

struct nv_done {
	uint64_t id;
	uint32_t status;
};

struct nv_queue {
	struct netvsc *n;
	struct vmbus_chan *chan;
	uint32_t index, vp;

	struct nv_section *sections;
	uint8_t *tx; /* the first of them; all in a row */
	uint64_t tx_gpa;
	uint32_t nr_sections;
	struct reuse free; /* sections */
	struct nv_open open;
	uint8_t *spill; /* the overflow buffers */
	uint64_t spill_gpa;
	uint32_t nr_spill;
	uint8_t spill_free[NV_OVERFLOWS]; /* index + 1 */
	uint32_t pending;		  /* frames that the root has not completed */
	bool cramped;			  /* the ring had no room */

	struct vmpkt pkt; /* its ranges are being handed out */
	bool live;
	bool bad; /* one of its frames was */
	uint32_t range;
	uint32_t nr_done;
	struct nv_done done[NV_DONE];
	uint32_t looks;

	struct netvsc_stats stats; /* relaxed */
} __attribute__((aligned(CACHE_LINE)));

/* The one request that waits for an answer. */
struct nv_call {
	uint64_t id; /* NVSP completion wanted; 0 = none */
	uint32_t gen;
	struct nvsp_message completion;
	uint32_t completion_len; /* 0: has not come */
	uint32_t request;	 /* RNDIS answer wanted; 0 = none */
	uint32_t type;
	uint32_t last_request;
	uint32_t answer_len; /* 0: has not come */
	uint8_t answer[RNDIS_CONTROL_MAX];
};

struct netvsc {
	struct vmbus_client *bus;
	struct hv_child *child;
	struct vmbus_offer offer;
	struct netvsc_config cfg;
	uint8_t *mem; /* guest memory, address 0 first, in one piece */
	uint64_t timeout_ns;
	uint32_t version, nr_queues;

	uint8_t *rx, *tx, *ctl; /* receive and send buffer, page of control requests */
	uint64_t rx_gpa, tx_gpa, ctl_gpa;
	uint32_t rx_gpadl, tx_gpadl; /* 0 = none */
	uint32_t rx_len;	     /* of it used: sub-allocations times their size */
	uint32_t rx_size;	     /* of one sub-allocation */
	uint32_t section_size, nr_sections;
	uint32_t align, max_frames, max_request; /* of requests with several frames */
	bool halt;				 /* RNDIS is to be told when we leave */

	struct netvsc_info info; /* speed: relaxed */
	uint32_t rss_queues, rss_entries;
	uint8_t send_table[NVSP_SEND_TABLE]; /* relaxed */
	uint32_t link;			     /* any thread */
	int failed;			     /* any thread, once */
	const char *why;

	struct nv_call call;
	struct nv_queue queue[NETVSC_MAX_QUEUES];
};

#define NV_BUMP(counter)   store_relaxed(&(counter), (counter) + 1) /* one writer */
#define NV_ADD(counter, n) store_relaxed(&(counter), (counter) + (n))

/* ---- netvsc.c ------------------------------------------------------------------- */

/* The adapter is finished: the first reason counts. Returns @err. @why: static text. */
int nv_fail(struct netvsc *n, int err, const char *why);
ALWAYS_INLINE int nv_failed(const struct netvsc *n)
{
	return load_relaxed(&n->failed);
}

/* ---- netvsc_init.c --------------------------------------------------------------- */

/* All of the bring-up. On failure nothing is left, and the reason is in @why. */
int nv_init(struct netvsc *n, const char **why);
/* Takes back what nv_init() made, as far as it got. */
void nv_fini(struct netvsc *n);
/* SEND_INDIRECTION_TABLE of @len bytes; false: nonsense. */
bool nv_send_table(struct netvsc *n, const uint8_t *msg, uint32_t len);

/* ---- netvsc_offload.c -------------------------------------------------------------- */

int nv_offload_init(struct netvsc *n, const char **why);

/* ---- netvsc_control.c --------------------------------------------------------------- */

/* In-band, wants no answer. */
int nv_tell(struct netvsc *n, const struct nvsp_message *m);
/*
 * The same with an answer of @type, of which at least @least bytes came, in *@m. -EPROTO: another
 * one.
 */
int nv_ask(struct netvsc *n, struct nvsp_message *m, uint32_t type, uint32_t least);
/*
 * RNDIS message of @len bytes that starts with a struct rndis_request, whose request id is filled
 * in. The answer, in n->call.answer, has at least @least bytes. HALT: nothing but the completion is
 * waited for.
 */
int nv_rndis(struct netvsc *n, void *msg, uint32_t len, uint32_t least);
/*
 * Query of @oid with @in_len bytes of input. Bytes of the answer that were copied to @out, at most
 * @room. -EIO: the root refused.
 */
int nv_query(struct netvsc *n, uint32_t oid, const void *in, uint32_t in_len, void *out,
	     uint32_t room);
/* *@status: the root's verdict (0 is success). */
int nv_set(struct netvsc *n, uint32_t oid, const void *data, uint32_t len, uint32_t *status);
/* Is @pkt the completion that is waited for? Then it is noted. */
bool nv_call_completed(struct netvsc *n, const struct vmpkt *pkt);
/* A control message of @len bytes (at least 8), in memory that may change. False: nonsense. */
bool nv_control_in(struct netvsc *n, const uint8_t *msg, uint32_t len);

/* ---- netvsc_tx.c ----------------------------------------------------------------------- */

/* Shares out sections and buffers among the queues. */
int nv_tx_init(struct netvsc *n);
void nv_tx_fini(struct netvsc *n);
/* Completion of a request; false: of none of ours. */
bool nv_tx_completed(struct nv_queue *q, const struct vmpkt *pkt);
/* Sends the request that is open. False: it still is. */
bool nv_tx_close(struct nv_queue *q);

/* ---- netvsc_rx.c ------------------------------------------------------------------------- */

/* Takes all that is there without a taker of frames, and gives it back. */
void nv_rx_discard(struct nv_queue *q);
/* Completes packets; false: the ring has no room for all of it. */
bool nv_rx_give_back(struct nv_queue *q);

/* ---- netvsc_wait.c -------------------------------------------------------------------------- */

/* Is the root still there, and the adapter? Fails it if not. */
void nv_check_alive(struct nv_queue *q);
/* Sleeps for queue 0 until @deadline (clock_ns()). 1: look again; 0: time over; or an error. */
int nv_wait_until(struct netvsc *n, uint64_t deadline);

#endif
