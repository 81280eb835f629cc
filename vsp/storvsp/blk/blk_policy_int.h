/* SPDX-License-Identifier: MIT */
/*
 * Shared by blk_policy.c, blk_limit.c and blk_fault.c: the policy of a device, and what a
 * queue holds back for it.
 *
 * Locks: dev->lock protects the table of faults, the owners and every list of requests
 * that wait for tokens. Tokens themselves are atomic: while nobody waits, a request takes its own
 * without the lock. Requests that a fault holds are in a list of their queue's loop.
 *
 * Nobody is woken across loops: each queue that holds something has its timer armed, and
 * looks for what changed. So nothing can be on its way to a queue that is destroyed.
 */
#ifndef HVBUS_VSP_STORVSP_BLK_BLK_POLICY_INT_H
#define HVBUS_VSP_STORVSP_BLK_BLK_POLICY_INT_H

#include "vsp/storvsp/blk/blk_int.h"
#include "vsp/storvsp/blk/blk_policy.h"

/* How late a queue may notice that limits or faults were changed. */
#define LIMIT_LOOK_NS  20000000ull
#define FAULT_LOOK_NS  100000000ull
#define LIMIT_LEAST_NS 100000ull /* between two looks for tokens */

/* Nanoseconds instead of tokens: when the next request may go. In the past: unused time. */
struct blk_bucket {
	uint64_t next;
};

struct blk_owner {
	uint64_t id;
	uint64_t served; /* virtual time: what it got, in ns of the device */
	uint32_t queues;
	struct blk_queue *first, *last; /* that wait, through hold.next */
	struct blk_owner *next;
};

struct blk_rule {
	struct blk_fault f;
	uint32_t id;
	uint32_t held;
	uint64_t hits;
};

struct blk_policy {
	/* Read by every request of a limited device, without the lock. */
	struct blk_limits limits;
	struct blk_bucket ops, bytes;
	uint32_t waiting;  /* requests that wait for tokens; written under the lock */
	uint32_t nr_rules; /* same */
	/* Under dev->lock. */
	uint64_t served; /* virtual time of the request that got tokens last */
	struct blk_rule rule[BLK_MAX_FAULTS];
	uint32_t last_id;
	uint64_t random;
	struct blk_policy_stats stats; /* waiting is above */
};

/* blk_req.priv while the policy holds the request: the engine has not seen it yet. */
struct blk_held {
	struct loop_op op;
	struct blk_queue *q;
	struct blk_req *next; /* as in struct blk_priv: the same lists */
	uint64_t cost;	      /* ns of the device */
	uint64_t due, delay_ns;
	uint32_t rule; /* its id */
	int32_t error;
	uint32_t stuck;
} __attribute__((may_alias));
_Static_assert(sizeof(struct blk_held) <= sizeof(((struct blk_req *)0)->priv), "fits in blk_req");
_Static_assert(offsetof(struct blk_held, next) == offsetof(struct blk_priv, next), "same link");

ALWAYS_INLINE struct blk_held *blk_held(struct blk_req *req)
{
	return (struct blk_held *)req->priv;
}

/* ---- blk_policy.c ----------------------------------------------------------- */

/* The device's policy, made on first use; NULL: out of memory. dev->lock held. */
struct blk_policy *blk_policy_get(struct blk_dev *d);
/* Leads the queues through the policy or past it, as it is needed. dev->lock held. */
void blk_policy_refresh(struct blk_dev *d);
/* The queue's timer fires in @delay_ns or earlier. On its loop. */
void blk_policy_look_in(struct blk_queue *q, uint64_t delay_ns);
/* The way of a request that has its tokens, to its result if it has one already. */
void blk_policy_go_on(struct blk_queue *q, struct blk_req *req);

/* ---- blk_limit.c -------------------------------------------------------------- */

/* False: @req waits. */
bool blk_limit_admit(struct blk_policy *p, struct blk_queue *q, struct blk_req *req);
/* Hands out tokens, and starts what got some on @q. Returns ns until it wants to look again. */
uint64_t blk_limit_look(struct blk_policy *p, struct blk_queue *q, uint64_t now);
/* Tokens for those who wait, the least served owner first. dev->lock held. */
void blk_limit_hand_out(struct blk_policy *p, struct blk_dev *d, uint64_t now);
bool blk_limit_holds(struct blk_queue *q, const struct blk_req *req);
bool blk_limit_take_back(struct blk_policy *p, struct blk_queue *q, struct blk_req *req);
/* The queue's share of an owner ends. dev->lock held. */
void blk_limit_forget(struct blk_queue *q);

/* ---- blk_fault.c ---------------------------------------------------------------- */

/* 0 to go on; -EINPROGRESS: held; or the result. */
int blk_fault_meet(struct blk_policy *p, struct blk_queue *q, struct blk_req *req);
uint64_t blk_fault_look(struct blk_policy *p, struct blk_queue *q, uint64_t now);
bool blk_fault_take_back(struct blk_policy *p, struct blk_queue *q, struct blk_req *req);

#endif
