/* SPDX-License-Identifier: MIT */
/*
 * The loads that `bench ring` puts on the VMBus ring. Every one runs the product's
 * ring code with all its checks, and its own on top: lengths, order, counts.
 */
#ifndef HVBUS_CLI_RING_LOAD_H
#define HVBUS_CLI_RING_LOAD_H

#include "cli/ring_pair.h"

struct vmring_in;
struct vmring_out;

/* Attach to ring 0 (first side to second) or 1 (back), or fail the run. Reading: masked. */
void ring_load_open_out(struct pair *p, struct vmring_out *r, int ring);
void ring_load_open_in(struct pair *p, struct vmring_in *r, int ring);

/* Messages one way, both sides polling. Results: messages, ns. */
void ring_load_produce(struct pair *p);
void ring_load_consume(struct pair *p);

/* Requests without payload, a completion for each, polled. Results: messages, ns. */
#define RING_LOAD_OUTSTANDING 256
void ring_load_request(struct pair *p);
void ring_load_complete(struct pair *p);

/* One 8-byte message back and forth, polled. Results: messages (one way), ns. */
void ring_load_ping(struct pair *p);
void ring_load_pong(struct pair *p);

/* The same, both sleeping between messages. Results: lat[]. */
void ring_load_sleep_ping(struct pair *p);
void ring_load_sleep_pong(struct pair *p);

/*
 * Messages one way as fast as they go, the consumer sleeping when idle (after 50 us
 * of spinning with p->spin_first), the producer when full. Results: messages, ns,
 * signals, publications.
 */
void ring_load_sleepy_produce(struct pair *p);
void ring_load_sleepy_consume(struct pair *p);

#endif
