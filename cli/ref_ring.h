/* SPDX-License-Identifier: MIT */
/*
 * What `bench ring` compares with: a plain ring without any protocol duty, a bare
 * cache line, a bare eventfd.
 */
#ifndef HVBUS_CLI_REF_RING_H
#define HVBUS_CLI_REF_RING_H

#include "cli/ring_pair.h"

/* Messages one way; needs a power-of-two ring. Results: messages, ns. */
void ref_ring_produce(struct pair *p);
void ref_ring_consume(struct pair *p);

/* One word back and forth, both spinning. Results: messages (one way), ns. */
void ref_line_ping(struct pair *p);
void ref_line_pong(struct pair *p);

/* An eventfd each way, both sleeping. Results: lat[]. */
void ref_bell_ping(struct pair *p);
void ref_bell_pong(struct pair *p);

#endif
