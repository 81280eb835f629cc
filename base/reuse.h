/* SPDX-License-Identifier: MIT */
/*
 * Which of many equal places in memory that two processors share is used next: the one that was
 * given back longest ago, out of so many that go round.
 *
 * The last one given back looks like the best, being warm; but it is warm, and changed, in the
 * other processor's own cache, and each of its lines has to be asked back from there. By the time
 * that a few megabytes of others were used it lies in the cache that both share, from where it
 * comes twice as fast. Much more than that would not lie in any cache: so what is not needed
 * stays out of the round, and comes in only when all of that is in use.
 *
 * Not for several threads at once. Places are numbers below the count; no memory of theirs is
 * touched.
 */
#ifndef HVBUS_BASE_REUSE_H
#define HVBUS_BASE_REUSE_H

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/compiler.h"

#define REUSE_NONE 0xffffu

struct reuse {
	uint16_t *next;	     /* by place: behind it in its list, or in the chain of who has it */
	uint16_t head, tail; /* of those that go round and are free */
	uint16_t rest;	     /* of the others: the last one put there */
	uint32_t waiting;    /* how many of the first list */
	uint32_t out;	     /* given to the caller */
	uint32_t round;	     /* how many are to go round */
};

/*
 * Places @first to @end - 1, at most REUSE_NONE, are free, the lowest first; @round of them go
 * round. -ENOMEM. Freed by reuse_fini().
 */
static inline int reuse_init(struct reuse *r, uint32_t first, uint32_t end, uint32_t round)
{
	*r = (struct reuse){
		.next = calloc(end, sizeof(*r->next)),
		.head = REUSE_NONE,
		.tail = REUSE_NONE,
		.rest = (uint16_t)first,
		.round = round,
	};
	if (!r->next)
		return -ENOMEM;
	for (uint32_t i = 0; i < end; i++)
		r->next[i] = (uint16_t)(i + 1 < end ? i + 1 : REUSE_NONE);
	return 0;
}

static inline void reuse_fini(struct reuse *r)
{
	free(r->next);
	r->next = NULL;
}

/* The next place; its @next is the caller's until it comes back. REUSE_NONE: all are out. */
ALWAYS_INLINE uint16_t reuse_take(struct reuse *r)
{
	uint16_t place = r->rest;

	if (likely(r->waiting && (r->waiting + r->out >= r->round || place == REUSE_NONE))) {
		place = r->head;
		r->head = r->next[place];
		r->waiting--;
	} else if (likely(place != REUSE_NONE)) {
		r->rest = r->next[place];
	} else {
		return REUSE_NONE;
	}
	r->out++;
	return place;
}

/* A free place, or REUSE_NONE; reuse_take() may give another one. */
ALWAYS_INLINE uint16_t reuse_peek(const struct reuse *r)
{
	return r->waiting ? r->head : r->rest;
}

/* Gives back @n places, which are out, linked by @next from @first to @last: they keep that order.
 */
ALWAYS_INLINE void reuse_give(struct reuse *r, uint16_t first, uint16_t last, uint32_t n)
{
	r->out -= n;
	if (unlikely(r->waiting >= r->round)) {
		r->next[last] = r->rest;
		r->rest = first;
		return;
	}
	if (r->waiting)
		r->next[r->tail] = first;
	else
		r->head = first;
	r->tail = last;
	r->waiting += n;
}

#endif
