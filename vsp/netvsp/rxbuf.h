/* SPDX-License-Identifier: MIT */
/*
 * The receive buffer of an adapter: guest memory cut into sub-allocations, which are handed out
 * with frames in them and come back with the guest's completions (spec: netvsc, sections 4.1, 6).
 *
 * They go round as base/reuse.h says. A transaction is a chain of sub-allocations under the number
 * of its first one; only chains that are out on the channel that completes them come back, so
 * nothing is freed twice (hostile cases N35, N36).
 *
 * Sharing: each remembers the port that filled it. rxbuf_may() keeps a sender from holding
 * more than what is still free, once less than half is.
 *
 * Nothing here reads or writes the buffer itself, and nothing about a sub-allocation is kept in it.
 */
#ifndef HVBUS_VSP_NETVSP_RXBUF_H
#define HVBUS_VSP_NETVSP_RXBUF_H

#include "base/reuse.h"
#include "vmbus/device.h"

#define RXBUF_NONE  REUSE_NONE
#define RXBUF_MAX   0xfff0u /* sub-allocations that are used */
#define RXBUF_PORTS 256u

struct rxbuf_slot {
	uint16_t from; /* port whose frame is in it */
	uint8_t state; /* see rxbuf.c */
	uint8_t chan;  /* out on this channel */
};

struct rxbuf {
	struct vmbus_buffer *buf; /* NULL = no receive buffer */
	uint16_t id;
	uint32_t size;	/* bytes of a sub-allocation */
	uint32_t count; /* of them, control ones (0..reserved-1) too */
	uint32_t reserved;
	uint32_t free;
	uint32_t generation; /* changes with each begin and end */
	struct rxbuf_slot *slot;
	struct reuse places;
	uint16_t held[RXBUF_PORTS]; /* out or filled, by port */
};

/*
 * Cuts @buf (borrowed until rxbuf_end()) into pieces of @size bytes, the first @reserved of which
 * are never given out here. -EINVAL: not one is left. -ENOMEM. @r: zeroed before its first use.
 */
int rxbuf_begin(struct rxbuf *r, struct vmbus_buffer *buf, uint16_t id, uint32_t size,
		uint32_t reserved);
/* Forgets everything, whatever is out; frees. The buffer is the caller's again. */
void rxbuf_end(struct rxbuf *r);

static inline uint8_t *rxbuf_ptr(const struct rxbuf *r, uint16_t slot)
{
	return r->buf->data + (size_t)slot * r->size;
}

/* May port @from have @n more? */
bool rxbuf_may(const struct rxbuf *r, uint32_t from, uint32_t n);
/* A free one for a frame of @from; RXBUF_NONE. */
uint16_t rxbuf_take(struct rxbuf *r, uint32_t from);
/*
 * @slot, taken, goes out on @chan behind @last, the last one so far of the transaction @first;
 * for the first one all three are the same.
 */
void rxbuf_chain(struct rxbuf *r, uint16_t first, uint16_t last, uint16_t slot, uint8_t chan);
/* The guest completed transaction @id on @chan: how many came back, 0 = it was not out there. */
uint32_t rxbuf_complete(struct rxbuf *r, uint64_t id, uint8_t chan);
/* @chan was closed: what is out on it comes back. Not while a taken one is not out yet. */
void rxbuf_closed(struct rxbuf *r, uint8_t chan);

#endif
