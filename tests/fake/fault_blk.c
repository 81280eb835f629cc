/* SPDX-License-Identifier: MIT */
/* See fault_blk.h. Included by the tests that need it. */
#include "tests/fake/fault_blk.h"

#include <errno.h>
#include <string.h>

static uint64_t chance(struct fault *t, uint64_t n)
{
	t->seed ^= t->seed << 13;
	t->seed ^= t->seed >> 7;
	t->seed ^= t->seed << 17;
	return t->seed % n;
}

/* The rule that strikes now, if any. */
static const struct fault_rule *strike(struct fault *t, int op, enum fault_kind kind)
{
	for (int i = 0; i < t->rules; i++) {
		struct fault_rule *r = &t->rule[i];

		if (r->op != (enum file_op)op || r->kind != kind || !r->times)
			continue;
		if (r->skip) {
			r->skip--;
			continue;
		}
		if (r->times != FAULT_FOREVER)
			r->times--;
		t->hits++;
		return r;
	}
	return NULL;
}

/* To the first entry of the list at most: that needs no list of our own. */
static void cut(struct file_call *c, uint64_t len)
{
	if (c->niov > 1 && len > c->iov[0].iov_len)
		len = c->iov[0].iov_len;
	if (!len || len >= c->len)
		return;
	c->niov = 1;
	c->len = len;
}

static void before(struct file_fault *hook, struct file_call *c)
{
	struct fault *t = container_of(hook, struct fault, hook);
	const struct fault_rule *r;

	pthread_mutex_lock(&t->lock);
	t->calls[c->op]++;
	if (c->op == CALL_READ || c->op == CALL_WRITE) {
		r = strike(t, c->op, FAULT_SHORT);
		if (r)
			cut(c, (uint64_t)r->value);
		else if (t->chance && !chance(t, t->chance) && c->len > t->grain) {
			uint64_t len = t->grain * (1 + chance(t, c->len / t->grain));

			if (c->niov == 1 || c->iov[0].iov_len % t->grain == 0) {
				cut(c, len);
				t->hits++;
			}
		}
	}
	pthread_mutex_unlock(&t->lock);
}

static int32_t after(struct file_fault *hook, int op, int32_t res)
{
	struct fault *t = container_of(hook, struct fault, hook);
	const struct fault_rule *r;

	pthread_mutex_lock(&t->lock);
	r = strike(t, op, FAULT_RESULT);
	if (r)
		res = r->value;
	else if (t->chance && !chance(t, 2 * t->chance)) {
		res = chance(t, 2) ? -EINTR : -EAGAIN;
		t->hits++;
	}
	pthread_mutex_unlock(&t->lock);
	return res;
}

void fault_attach(struct fault *t, struct blk_dev *d)
{
	memset(t, 0, sizeof(*t));
	pthread_mutex_init(&t->lock, NULL);
	t->hook.before = before;
	t->hook.after = after;
	t->grain = 1;
	t->seed = 88172645463325252ull;
	file_dev(d)->fault = &t->hook;
}

void fault_add(struct fault *t, enum file_op op, enum fault_kind kind, int32_t value, uint32_t skip,
	       uint32_t times)
{
	pthread_mutex_lock(&t->lock);
	t->rule[t->rules++] = (struct fault_rule){ op, kind, value, skip, times };
	pthread_mutex_unlock(&t->lock);
}

void fault_clear(struct fault *t)
{
	pthread_mutex_lock(&t->lock);
	t->rules = 0;
	t->chance = 0;
	pthread_mutex_unlock(&t->lock);
}

uint64_t fault_calls(struct fault *t, enum file_op op)
{
	uint64_t n;

	pthread_mutex_lock(&t->lock);
	n = t->calls[op];
	pthread_mutex_unlock(&t->lock);
	return n;
}

uint64_t fault_hits(struct fault *t)
{
	uint64_t n;

	pthread_mutex_lock(&t->lock);
	n = t->hits;
	pthread_mutex_unlock(&t->lock);
	return n;
}
