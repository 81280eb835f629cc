/* SPDX-License-Identifier: MIT */
/*
 * The way of a request through a device's policy: first its tokens, then its fault, then
 * the engine; where a request is, and taking it back.
 */
#include <errno.h>
#include <stdlib.h>

#include "vsp/storvsp/blk/blk_policy_int.h"

/* ---- the way through -------------------------------------------------- */

static int behind_limit(struct blk_queue *q, struct blk_req *req)
{
	struct blk_policy *p = load_acquire(&q->dev->policy); /* P2 */
	int r = p && load_relaxed(&p->nr_rules) ? blk_fault_meet(p, q, req) : 0;

	return r ? r : q->dev->ops->submit(q, req);
}

static int policy_submit(struct blk_queue *q, struct blk_req *req)
{
	struct blk_policy *p = load_acquire(&q->dev->policy); /* P2 */

	if (p && !blk_limit_admit(p, q, req))
		return -EINPROGRESS;
	return behind_limit(q, req);
}

void blk_policy_go_on(struct blk_queue *q, struct blk_req *req)
{
	int r = behind_limit(q, req);

	if (r != -EINPROGRESS)
		blk_req_finish(q, req, r);
}

void blk_policy_look_in(struct blk_queue *q, uint64_t delay_ns)
{
	struct loop_timer *t = &q->hold.timer;

	if (delay_ns == UINT64_MAX)
		return;
	if (!t->due_ns || t->due_ns > loop_now(q->loop) + delay_ns)
		loop_timer_arm(q->loop, t, delay_ns);
}

static void look(struct loop_timer *t)
{
	struct blk_queue *q = container_of(t, struct blk_queue, hold.timer);
	struct blk_policy *p = load_acquire(&q->dev->policy); /* P2 */
	uint64_t now = loop_now(q->loop);

	blk_policy_look_in(q, blk_limit_look(p, q, now));
	blk_policy_look_in(q, blk_fault_look(p, q, now));
}

/* ---- life --------------------------------------------------------------- */

struct blk_policy *blk_policy_get(struct blk_dev *d)
{
	struct blk_policy *p = d->policy;

	if (p)
		return p;
	p = calloc(1, sizeof(*p));
	if (p) {
		p->random = 1;
		store_release(&d->policy, p); /* P1, pairs with P2 */
	}
	return p;
}

static void lead(struct blk_queue *q)
{
	const struct blk_policy *p = q->dev->policy;
	bool through = p && (p->limits.iops || p->limits.bytes_per_s || p->nr_rules);

	/* Early or late by a request does not matter, and both ways know what to do. */
	store_relaxed(&q->submit, through ? policy_submit : q->dev->ops->submit);
}

void blk_policy_refresh(struct blk_dev *d)
{
	for (struct blk_queue *q = d->queues; q; q = q->next)
		lead(q);
}

void blk_policy_queue_added(struct blk_queue *q)
{
	q->hold.timer.fire = look;
	lead(q);
}

void blk_policy_queue_gone(struct blk_queue *q)
{
	loop_timer_cancel(q->loop, &q->hold.timer);
	blk_limit_forget(q);
}

void blk_policy_free(struct blk_dev *d)
{
	free(d->policy);
}

void blk_dev_policy_stats(const struct blk_dev *d, struct blk_policy_stats *out)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)&d->lock;

	*out = (struct blk_policy_stats){ 0 };
	pthread_mutex_lock(lock);
	if (d->policy) {
		*out = d->policy->stats;
		out->waiting = d->policy->waiting;
	}
	pthread_mutex_unlock(lock);
}

/* ---- one request ----------------------------------------------------------- */

const char *blk_where_name(enum blk_where w)
{
	static const char *const names[] = {
		[BLK_AT_LIMIT] = "limit",
		[BLK_AT_FAULT] = "fault",
		[BLK_AT_ENGINE] = "engine",
		[BLK_AT_KERNEL] = "kernel",
	};

	return (unsigned)w < ARRAY_SIZE(names) ? names[w] : "?";
}

enum blk_where blk_req_where(const struct blk_queue *cq, const struct blk_req *req)
{
	struct blk_queue *q = (struct blk_queue *)cq; /* only looked at, under its locks */
	const struct blk_ops *ops = q->dev->ops;

	if (blk_limit_holds(q, req))
		return BLK_AT_LIMIT;
	if (blk_list_has(&q->hold.held, req))
		return BLK_AT_FAULT;
	return !ops->holds || ops->holds(q, req) ? BLK_AT_ENGINE : BLK_AT_KERNEL;
}

static bool held_back(struct blk_policy *p, struct blk_queue *q, struct blk_req *req)
{
	if (!blk_limit_take_back(p, q, req) && !blk_fault_take_back(p, q, req))
		return false;
	pthread_mutex_lock(&q->dev->lock);
	p->stats.cancelled++;
	pthread_mutex_unlock(&q->dev->lock);
	return true;
}

bool blk_cancel(struct blk_queue *q, struct blk_req *req)
{
	struct blk_policy *p = load_acquire(&q->dev->policy); /* P2 */
	const struct blk_ops *ops = q->dev->ops;

	if (p && held_back(p, q, req)) {
		blk_req_finish(q, req, -ECANCELED);
		return true;
	}
	return ops->cancel && ops->cancel(q, req);
}
