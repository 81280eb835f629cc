/* SPDX-License-Identifier: MIT */
/*
 * Faults on purpose: late, failing and stuck requests, by kind, range and probability.
 */
#include <errno.h>

#include "vsp/storvsp/blk/blk_policy_int.h"

#define MILLION 1000000u

/* ---- does it hit? ------------------------------------------------------------ */

static uint64_t next_random(struct blk_policy *p)
{
	p->random ^= p->random << 13;
	p->random ^= p->random >> 7;
	p->random ^= p->random << 17;
	return p->random * 0x2545f4914f6cdd1dull >> 32;
}

static bool in_range(const struct blk_fault *f, const struct blk_req *req)
{
	if (req->op == BLK_FLUSH)
		return true;
	return req->offset + req->len > f->first && (!f->end || req->offset < f->end);
}

static bool hits(struct blk_policy *p, const struct blk_rule *r, const struct blk_req *req)
{
	const struct blk_fault *f = &r->f;

	if (!(f->ops & 1u << req->op) || !in_range(f, req))
		return false;
	if (f->times && r->hits >= f->times)
		return false;
	return !f->per_million || next_random(p) % MILLION < f->per_million;
}

static struct blk_rule *find_hit(struct blk_policy *p, const struct blk_req *req)
{
	for (uint32_t i = 0; i < p->nr_rules; i++)
		if (hits(p, &p->rule[i], req))
			return &p->rule[i];
	return NULL;
}

static struct blk_rule *find_rule(struct blk_policy *p, uint32_t id)
{
	for (uint32_t i = 0; i < p->nr_rules; i++)
		if (p->rule[i].id == id)
			return &p->rule[i];
	return NULL;
}

/* ---- what it does --------------------------------------------------------------- */

/* A flush that failed once is one that nobody can rely on any more, as in the real engines. */
static int fail(struct blk_queue *q, const struct blk_req *req, int error)
{
	if (error && req->op == BLK_FLUSH)
		store_relaxed(&q->dev->flush_failed, true);
	return error;
}

static bool strike(struct blk_policy *p, const struct blk_req *req, struct blk_fault *out,
		   uint32_t *id)
{
	struct blk_rule *r = find_hit(p, req);

	if (!r)
		return false;
	r->hits++;
	p->stats.faulted++;
	if (r->f.stuck || r->f.delay_us) {
		r->held++;
		p->stats.held++;
	}
	*out = r->f;
	*id = r->id;
	return true;
}

int blk_fault_meet(struct blk_policy *p, struct blk_queue *q, struct blk_req *req)
{
	struct blk_held *h = blk_held(req);
	struct blk_fault f;
	uint32_t id;
	bool hit;

	pthread_mutex_lock(&q->dev->lock);
	hit = strike(p, req, &f, &id);
	pthread_mutex_unlock(&q->dev->lock);
	if (!hit)
		return 0;
	if (!f.stuck && !f.delay_us)
		return fail(q, req, f.error);
	h->rule = id;
	h->error = f.error;
	h->stuck = f.stuck;
	h->delay_ns = f.delay_us * 1000;
	h->due = loop_now(q->loop) + h->delay_ns;
	blk_list_push(&q->hold.held, req);
	blk_policy_look_in(q, f.stuck ? FAULT_LOOK_NS : h->delay_ns);
	return -EINPROGRESS;
}

/* ---- what it held ----------------------------------------------------------------- */

/* A stuck request whose fault is gone has only its delay left. */
static void unstick(struct blk_policy *p, struct blk_queue *q, uint64_t now)
{
	struct blk_req *req;

	pthread_mutex_lock(&q->dev->lock);
	for (req = q->hold.held.head; req; req = blk_held(req)->next) {
		struct blk_held *h = blk_held(req);

		if (!h->stuck || find_rule(p, h->rule))
			continue;
		h->stuck = false;
		h->due = now + h->delay_ns;
	}
	pthread_mutex_unlock(&q->dev->lock);
}

/* Takes it from the list. */
static void let_go(struct blk_policy *p, struct blk_queue *q, struct blk_req *req)
{
	struct blk_rule *r;

	blk_list_remove(&q->hold.held, req);
	pthread_mutex_lock(&q->dev->lock);
	r = find_rule(p, blk_held(req)->rule);
	if (r)
		r->held--;
	p->stats.held--;
	pthread_mutex_unlock(&q->dev->lock);
}

static struct blk_req *find_due(struct blk_queue *q, uint64_t now)
{
	struct blk_req *req = q->hold.held.head;

	while (req && (blk_held(req)->stuck || blk_held(req)->due > now))
		req = blk_held(req)->next;
	return req;
}

static uint64_t look_again_in(const struct blk_queue *q, uint64_t now)
{
	struct blk_req *req = q->hold.held.head;
	uint64_t least = UINT64_MAX;

	for (; req; req = blk_held(req)->next) {
		uint64_t due = blk_held(req)->due;
		uint64_t in = blk_held(req)->stuck ? FAULT_LOOK_NS : due > now ? due - now : 0;

		least = in < least ? in : least;
	}
	return least;
}

uint64_t blk_fault_look(struct blk_policy *p, struct blk_queue *q, uint64_t now)
{
	struct blk_req *req;

	unstick(p, q, now);
	while ((req = find_due(q, now))) { /* from the beginning: done() may have changed it */
		int r = blk_held(req)->error;

		let_go(p, q, req);
		r = r ? fail(q, req, r) : q->dev->ops->submit(q, req);
		if (r != -EINPROGRESS)
			blk_req_finish(q, req, r);
	}
	return look_again_in(q, now);
}

bool blk_fault_take_back(struct blk_policy *p, struct blk_queue *q, struct blk_req *req)
{
	if (!blk_list_has(&q->hold.held, req))
		return false;
	let_go(p, q, req);
	return true;
}

/* ---- configuration ------------------------------------------------------------------ */

static bool is_sound(const struct blk_fault *f)
{
	if (f->ops & ~BLK_ANY_OP || (f->end && f->end <= f->first) || f->per_million > MILLION)
		return false;
	if (f->error > 0 || f->error < -4095 || f->error == -EINPROGRESS)
		return false;
	return f->delay_us <= UINT64_MAX / 1000 / 2;
}

static int add_rule(struct blk_dev *d, const struct blk_fault *f, uint32_t *id)
{
	struct blk_policy *p = blk_policy_get(d);
	struct blk_rule *r;

	if (!p)
		return -ENOMEM;
	if (p->nr_rules == BLK_MAX_FAULTS)
		return -ENOSPC;
	r = &p->rule[p->nr_rules];
	*r = (struct blk_rule){ .f = *f, .id = ++p->last_id };
	if (!r->f.ops)
		r->f.ops = BLK_ANY_OP;
	if (id)
		*id = r->id;
	store_relaxed(&p->nr_rules, p->nr_rules + 1);
	blk_policy_refresh(d);
	return 0;
}

int blk_dev_fault_add(struct blk_dev *d, const struct blk_fault *f, uint32_t *id)
{
	int err;

	if (!is_sound(f))
		return -EINVAL;
	pthread_mutex_lock(&d->lock);
	err = add_rule(d, f, id);
	pthread_mutex_unlock(&d->lock);
	return err;
}

static int remove_rules(struct blk_policy *p, uint32_t id)
{
	uint32_t kept = 0, had = p->nr_rules;

	for (uint32_t i = 0; i < had; i++)
		if (id && p->rule[i].id != id)
			p->rule[kept++] = p->rule[i];
	store_relaxed(&p->nr_rules, kept);
	return id && kept == had ? -ENOENT : 0;
}

int blk_dev_fault_remove(struct blk_dev *d, uint32_t id)
{
	int err = id ? -ENOENT : 0;

	pthread_mutex_lock(&d->lock);
	if (d->policy) {
		err = remove_rules(d->policy, id);
		blk_policy_refresh(d);
	}
	pthread_mutex_unlock(&d->lock);
	return err;
}

void blk_dev_fault_seed(struct blk_dev *d, uint64_t seed)
{
	struct blk_policy *p;

	pthread_mutex_lock(&d->lock);
	p = blk_policy_get(d);
	if (p) /* without memory there will be no faults either */
		p->random = seed ? seed : 1;
	pthread_mutex_unlock(&d->lock);
}

uint32_t blk_dev_faults(const struct blk_dev *d, struct blk_fault_info *out, uint32_t max)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)&d->lock;
	const struct blk_policy *p;
	uint32_t n = 0;

	pthread_mutex_lock(lock);
	p = d->policy;
	for (; p && n < p->nr_rules && n < max; n++) {
		const struct blk_rule *r = &p->rule[n];

		out[n] = (struct blk_fault_info){ r->id, r->f, r->hits, r->held };
	}
	n = p ? p->nr_rules : 0;
	pthread_mutex_unlock(lock);
	return n;
}
