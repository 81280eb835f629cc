/* SPDX-License-Identifier: MIT */
/*
 * Limits of a device: tokens for operations and for bytes, in two buckets that all its
 * queues share, and who gets the next ones when there are none left.
 *
 * A bucket is the time when the next request may go; a request moves it on by what it
 * costs. Lying in the past it holds unused time, of which the burst may be caught up.
 *
 * Owners are served in order of virtual time (what each got so far), so that equal owners
 * get equal shares whatever their depths. Who comes back after a pause does not get
 * the pause refunded, only what a guest with one request at a time loses between two.
 */
#include <errno.h>
#include <stdlib.h>

#include "vsp/storvsp/blk/blk_policy_int.h"

#define SECOND	 1000000000ull
#define MILLI	 1000000ull
#define LAG_NS	 20000000ull  /* virtual time an owner may be behind and catch up */
#define COST_MAX (1ull << 33) /* bytes; times a second still fits into 64 bits */

/* ---- buckets -------------------------------------------------------------- */

static bool take(struct blk_bucket *b, uint64_t cost, uint64_t burst, uint64_t now)
{
	uint64_t next = load_relaxed(&b->next), from;

	do {
		if (next > now)
			return false;
		from = now - next > burst ? now - burst : next;
		/* Nothing but the number is passed on: relaxed. */
	} while (!__atomic_compare_exchange_n(&b->next, &next, from + cost, true, __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
	return true;
}

static uint64_t ops_cost(const struct blk_policy *p)
{
	uint64_t iops = load_relaxed(&p->limits.iops);

	return iops ? SECOND / iops : 0;
}

static uint64_t bytes_cost(const struct blk_policy *p, const struct blk_req *req)
{
	uint64_t bps = load_relaxed(&p->limits.bytes_per_s);
	uint64_t len = req->op > BLK_WRITE ? 0 : req->len < COST_MAX ? req->len : COST_MAX;

	return bps ? len * SECOND / bps : 0;
}

/* Both tokens or none. */
static bool take_both(struct blk_policy *p, const struct blk_req *req, uint64_t now)
{
	uint64_t burst = load_relaxed(&p->limits.burst_ms) * MILLI;
	uint64_t ops = ops_cost(p), bytes = bytes_cost(p, req);

	if (ops && !take(&p->ops, ops, burst, now))
		return false;
	if (!bytes || take(&p->bytes, bytes, burst, now))
		return true;
	if (ops)
		__atomic_fetch_sub(&p->ops.next, ops, __ATOMIC_RELAXED); /* as in take() */
	return false;
}

/* When tokens may be there again, from @now on. */
static uint64_t tokens_in(const struct blk_policy *p, uint64_t now)
{
	uint64_t ops = load_relaxed(&p->limits.iops) ? load_relaxed(&p->ops.next) : 0;
	uint64_t bytes = load_relaxed(&p->limits.bytes_per_s) ? load_relaxed(&p->bytes.next) : 0;
	uint64_t next = ops > bytes ? ops : bytes;
	uint64_t in = next > now ? next - now : 0;

	if (in < LIMIT_LEAST_NS)
		return LIMIT_LEAST_NS;
	return in < LIMIT_LOOK_NS ? in : LIMIT_LOOK_NS;
}

/* ---- owners --------------------------------------------------------------- */

static struct blk_owner *owner_get(struct blk_dev *d, uint64_t id)
{
	struct blk_owner *o = d->owners;

	while (o && o->id != id)
		o = o->next;
	if (!o) {
		o = calloc(1, sizeof(*o));
		if (!o)
			return NULL;
		o->id = id;
		o->next = d->owners;
		d->owners = o;
	}
	o->queues++;
	return o;
}

static void owner_put(struct blk_dev *d, struct blk_owner *o)
{
	struct blk_owner **link = &d->owners;

	if (--o->queues)
		return;
	while (*link != o)
		link = &(*link)->next;
	*link = o->next;
	free(o);
}

int blk_queue_set_owner(struct blk_queue *q, uint64_t id)
{
	struct blk_dev *d = q->dev;
	struct blk_owner *o;

	pthread_mutex_lock(&d->lock);
	o = owner_get(d, id);
	/* What waits already stays with the old one, so that no list has to be moved. */
	if (o && q->hold.waiting.head) {
		owner_put(d, o);
		o = q->hold.owner;
	} else if (o) {
		blk_limit_forget(q);
		q->hold.owner = o;
	}
	pthread_mutex_unlock(&d->lock);
	return o ? 0 : -ENOMEM;
}

void blk_limit_forget(struct blk_queue *q)
{
	if (q->hold.owner)
		owner_put(q->dev, q->hold.owner);
	q->hold.owner = NULL;
}

static void owner_append(struct blk_owner *o, struct blk_queue *q)
{
	q->hold.next = NULL;
	if (o->first)
		o->last->hold.next = q;
	else
		o->first = q;
	o->last = q;
}

static void owner_remove(struct blk_owner *o, struct blk_queue *q)
{
	struct blk_queue *before = NULL, *at = o->first;

	while (at != q) {
		before = at;
		at = at->hold.next;
	}
	if (before)
		before->hold.next = q->hold.next;
	else
		o->first = q->hold.next;
	if (o->last == q)
		o->last = before;
}

static struct blk_owner *least_served(struct blk_dev *d)
{
	struct blk_owner *o, *best = NULL;

	for (o = d->owners; o; o = o->next)
		if (o->first && (!best || o->served < best->served))
			best = o;
	return best;
}

/* ---- waiting ---------------------------------------------------------------- */

/* False: there is no memory for the queue's owner; the request is not limited then. */
static bool wait_for_tokens(struct blk_policy *p, struct blk_queue *q, struct blk_req *req)
{
	uint64_t ops = ops_cost(p), bytes = bytes_cost(p, req);
	struct blk_owner *o = q->hold.owner;

	if (!o)
		o = q->hold.owner = owner_get(q->dev, 0);
	if (!o)
		return false;
	blk_held(req)->cost = ops > bytes ? ops : bytes;
	if (!o->first && o->served + LAG_NS < p->served)
		o->served = p->served - LAG_NS;
	if (!q->hold.waiting.head)
		owner_append(o, q);
	blk_list_push(&q->hold.waiting, req);
	store_relaxed(&p->waiting, p->waiting + 1);
	p->stats.limited++;
	return true;
}

bool blk_limit_admit(struct blk_policy *p, struct blk_queue *q, struct blk_req *req)
{
	uint64_t now = loop_now(q->loop);
	bool waits;

	/* Who waits goes first. To see it a moment late is one request out of turn. */
	if (!load_relaxed(&p->waiting) && take_both(p, req, now))
		return true;
	pthread_mutex_lock(&q->dev->lock);
	waits = wait_for_tokens(p, q, req);
	pthread_mutex_unlock(&q->dev->lock);
	if (waits)
		blk_policy_look_in(q, tokens_in(p, now));
	return !waits;
}

void blk_limit_hand_out(struct blk_policy *p, struct blk_dev *d, uint64_t now)
{
	while (p->waiting) {
		struct blk_owner *o = least_served(d);
		struct blk_queue *q = o->first;
		struct blk_req *req = q->hold.waiting.head;

		if (!take_both(p, req, now))
			break;
		blk_list_pop(&q->hold.waiting);
		store_relaxed(&p->waiting, p->waiting - 1);
		owner_remove(o, q);
		if (q->hold.waiting.head)
			owner_append(o, q);
		p->served = o->served;
		o->served += blk_held(req)->cost;
		blk_list_push(&q->hold.granted, req);
	}
}

/* One at a time: what a done() cancels must still be in the list. */
static struct blk_req *next_granted(struct blk_queue *q)
{
	struct blk_req *req;

	pthread_mutex_lock(&q->dev->lock);
	req = blk_list_pop(&q->hold.granted);
	pthread_mutex_unlock(&q->dev->lock);
	return req;
}

uint64_t blk_limit_look(struct blk_policy *p, struct blk_queue *q, uint64_t now)
{
	struct blk_req *req;
	bool more;

	pthread_mutex_lock(&q->dev->lock);
	blk_limit_hand_out(p, q->dev, now);
	pthread_mutex_unlock(&q->dev->lock);
	while ((req = next_granted(q)))
		blk_policy_go_on(q, req);
	pthread_mutex_lock(&q->dev->lock);
	more = q->hold.waiting.head || q->hold.granted.head;
	pthread_mutex_unlock(&q->dev->lock);
	return more ? tokens_in(p, now) : UINT64_MAX;
}

/* ---- one request -------------------------------------------------------------- */

bool blk_limit_holds(struct blk_queue *q, const struct blk_req *req)
{
	bool held;

	pthread_mutex_lock(&q->dev->lock);
	held = blk_list_has(&q->hold.waiting, req) || blk_list_has(&q->hold.granted, req);
	pthread_mutex_unlock(&q->dev->lock);
	return held;
}

static bool take_out(struct blk_policy *p, struct blk_queue *q, struct blk_req *req)
{
	if (blk_list_remove(&q->hold.granted, req))
		return true;
	if (!blk_list_remove(&q->hold.waiting, req))
		return false;
	store_relaxed(&p->waiting, p->waiting - 1);
	if (!q->hold.waiting.head)
		owner_remove(q->hold.owner, q);
	return true;
}

bool blk_limit_take_back(struct blk_policy *p, struct blk_queue *q, struct blk_req *req)
{
	bool out;

	pthread_mutex_lock(&q->dev->lock);
	out = take_out(p, q, req);
	pthread_mutex_unlock(&q->dev->lock);
	return out;
}

/* ---- configuration -------------------------------------------------------------- */

int blk_dev_set_limits(struct blk_dev *d, const struct blk_limits *limits)
{
	struct blk_limits l = limits ? *limits : (struct blk_limits){ 0 };
	struct blk_policy *p;

	if (l.iops > BLK_MAX_IOPS || l.bytes_per_s > BLK_MAX_BPS || l.burst_ms > BLK_MAX_BURST)
		return -EINVAL;
	pthread_mutex_lock(&d->lock);
	p = blk_policy_get(d);
	if (p) {
		store_relaxed(&p->limits.iops, l.iops);
		store_relaxed(&p->limits.bytes_per_s, l.bytes_per_s);
		store_relaxed(&p->limits.burst_ms, l.burst_ms ? l.burst_ms : BLK_BURST_MS);
		/* What is owed under the old limits would be wrong under the new ones. */
		store_relaxed(&p->ops.next, 0);
		store_relaxed(&p->bytes.next, 0);
		blk_policy_refresh(d);
	}
	pthread_mutex_unlock(&d->lock);
	return p ? 0 : -ENOMEM;
}

void blk_dev_get_limits(const struct blk_dev *d, struct blk_limits *out)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)&d->lock;

	*out = (struct blk_limits){ 0 };
	pthread_mutex_lock(lock);
	if (d->policy)
		*out = d->policy->limits;
	pthread_mutex_unlock(lock);
}
