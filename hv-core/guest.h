/* SPDX-License-Identifier: MIT */
/*
 * The guest's half of the SynIC pages: how a guest takes messages and event
 * flags (spec: hypervisor, sections 4.3 and 4.4). Used by the child library
 * and by whoever plays a guest in tests. The root is not trusted: every
 * field is copied once and bounded.
 *
 * Threads: one taker per slot and per set of flags.
 */
#ifndef HVBUS_HV_CORE_GUEST_H
#define HVBUS_HV_CORE_GUEST_H

#include <stdbool.h>

#include "hv-core/hv_defs.h"

/*
 * Moves the message of @slot into *@out (payload_size <= 240, the rest of the payload
 * zero; a size beyond that is taken for 0) and empties the slot. False when it is
 * empty. *@eom: the root has more to deliver, write HV_MSR_EOM now.
 */
bool hv_guest_take_message(struct hv_message *slot, struct hv_message *out, bool *eom);

/*
 * Clears the flags of one SINT (@flags: 64 words, 8-byte aligned) and calls @fn for
 * each that was set. 32 loads when there is none.
 */
void hv_guest_take_events(uint32_t *flags, void (*fn)(void *ctx, uint32_t flag), void *ctx);

#endif
