/* SPDX-License-Identifier: MIT */
/*
 * Sub-allocations of the receive buffer: free ones that go round, and chains of those that are out.
 * A chain goes back as a whole, in its order, so that the next batch walks memory in the same
 * direction.
 */
#include "vsp/netvsp/rxbuf.h"

#include <errno.h>
#include <stdlib.h>

#include "base/nospec.h"

#define ROUND_BYTES (4u << 20) /* that go round: more than a processor's own cache */

enum {
	SLOT_FREE,
	SLOT_RESERVED, /* control messages; never here */
	SLOT_TAKEN,    /* being filled */
	SLOT_FIRST,    /* out; its number is that of the transaction */
	SLOT_NEXT,     /* out, behind a first one */
};

int rxbuf_begin(struct rxbuf *r, struct vmbus_buffer *buf, uint16_t id, uint32_t size,
		uint32_t reserved)
{
	uint32_t count = size ? buf->len / size : 0, i;

	if (count > RXBUF_MAX)
		count = RXBUF_MAX;
	if (count <= reserved)
		return -EINVAL;
	*r = (struct rxbuf){
		.buf = buf,
		.id = id,
		.size = size,
		.count = count,
		.reserved = reserved,
		.free = count - reserved,
		.generation = r->generation + 1,
		.slot = calloc(count, sizeof(*r->slot)),
	};
	if (!r->slot || reuse_init(&r->places, reserved, count, ROUND_BYTES / size)) {
		rxbuf_end(r);
		return -ENOMEM;
	}
	for (i = 0; i < reserved; i++)
		r->slot[i].state = SLOT_RESERVED;
	return 0;
}

void rxbuf_end(struct rxbuf *r)
{
	reuse_fini(&r->places);
	free(r->slot);
	*r = (struct rxbuf){ .generation = r->generation + 1 };
}

bool rxbuf_may(const struct rxbuf *r, uint32_t from, uint32_t n)
{
	uint32_t left;

	if (unlikely(n > r->free))
		return false;
	left = r->free - n;
	if (likely(left >= (r->count - r->reserved) / 2))
		return true;
	return r->held[from % RXBUF_PORTS] + n <= r->free;
}

uint16_t rxbuf_take(struct rxbuf *r, uint32_t from)
{
	uint16_t slot;
	struct rxbuf_slot *s;

	if (unlikely(!r->free))
		return RXBUF_NONE;
	slot = reuse_take(&r->places);
	s = &r->slot[slot];
	r->free--;
	s->state = SLOT_TAKEN;
	s->from = (uint16_t)(from % RXBUF_PORTS);
	r->held[s->from]++;
	return slot;
}

static void released(struct rxbuf *r, uint16_t slot)
{
	struct rxbuf_slot *s = &r->slot[slot];

	s->state = SLOT_FREE;
	r->held[s->from]--;
	r->free++;
}

void rxbuf_chain(struct rxbuf *r, uint16_t first, uint16_t last, uint16_t slot, uint8_t chan)
{
	struct rxbuf_slot *s = &r->slot[slot];

	r->places.next[slot] = RXBUF_NONE;
	s->chan = chan;
	s->state = slot == first ? SLOT_FIRST : SLOT_NEXT;
	if (slot != first)
		r->places.next[last] = slot;
}

/* The chain that begins at @first, which is out: its length. */
static uint32_t give_back(struct rxbuf *r, uint16_t first)
{
	uint16_t slot = first, last;
	uint32_t n = 0;

	do {
		last = slot;
		released(r, slot);
		slot = r->places.next[slot];
		n++;
	} while (slot != RXBUF_NONE);
	reuse_give(&r->places, first, last, n);
	return n;
}

uint32_t rxbuf_complete(struct rxbuf *r, uint64_t id, uint8_t chan)
{
	const struct rxbuf_slot *s;

	if (unlikely(!r->buf || id >= r->count))
		return 0;
	s = &r->slot[index_nospec(id, r->count)];
	if (unlikely(s->state != SLOT_FIRST || s->chan != chan))
		return 0;
	return give_back(r, (uint16_t)id);
}

void rxbuf_closed(struct rxbuf *r, uint8_t chan)
{
	uint32_t i;

	for (i = r->reserved; r->buf && i < r->count; i++)
		if (r->slot[i].state == SLOT_FIRST && r->slot[i].chan == chan)
			give_back(r, (uint16_t)i);
}
