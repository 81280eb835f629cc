/* SPDX-License-Identifier: MIT */
/* The order of the accesses is the protocol; synic.c is the other side. */
#include "hv-core/guest.h"

#include "base/atomic.h"

bool hv_guest_take_message(struct hv_message *slot, struct hv_message *out, bool *eom)
{
	uint32_t *shared_type = (uint32_t *)(void *)slot;
	uint8_t *shared_flags = (uint8_t *)slot + offsetof(struct hv_message, flags);
	uint32_t type;

	*eom = false;
	type = load_acquire(shared_type); /* pairs with M3 in synic.c: the rest is complete */
	if (type == HV_MESSAGE_NONE)
		return false;
	memset(out, 0, sizeof(*out));
	out->type = type;
	out->payload_size = load_relaxed(&slot->payload_size);
	if (out->payload_size > HV_MSG_PAYLOAD)
		out->payload_size = 0; /* none is that long; an empty one is dropped */
	out->sender = slot->sender;
	snapshot(out->payload, slot->payload, out->payload_size);
	/*
	 * M2 pairs with M1 in synic.c: type = 0 before reading the flags. A failed exchange
	 * means that the root wrote a slot it does not own; it will be found non-empty again.
	 */
	__atomic_compare_exchange_n(shared_type, &type, HV_MESSAGE_NONE, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_SEQ_CST);
	full_fence(); /* M2 */
	*eom = load_relaxed(shared_flags) & HV_MESSAGE_FLAG_PENDING;
	return true;
}

void hv_guest_take_events(uint32_t *flags, void (*fn)(void *ctx, uint32_t flag), void *ctx)
{
	uint64_t *pairs = (uint64_t *)(void *)flags;

	for (uint32_t i = 0; i < HV_FLAG_COUNT / 64; i++) {
		if (likely(!load_relaxed(&pairs[i])))
			continue;
		for (uint32_t w = 2 * i; w < 2 * i + 2; w++) {
			/* Pairs with E2 in synic.c: what came before the signal is visible now. */
			uint32_t set = __atomic_exchange_n(&flags[w], 0, __ATOMIC_ACQ_REL);

			for (; set; set &= set - 1)
				fn(ctx, w * 32 + (uint32_t)__builtin_ctz(set));
		}
	}
}
