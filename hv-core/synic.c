/* SPDX-License-Identifier: MIT */
/*
 * Delivery: messages into the slot of a SINT, event flags into its bitmap (spec:
 * hypervisor, sections 4.2 to 4.4). The pages are guest RAM, so the guest may
 * change every byte at any time; whatever it does there harms only itself.
 */
#include "hv-core/synic.h"

#include <errno.h>

#include "base/nospec.h"
#include "hv-core/partition_priv.h"

#define RETRY_MIN_NS 10000000ull   /* a guest that clears without EOM waits this long */
#define RETRY_MAX_NS 1000000000ull /* a guest that never clears costs one look a second */

/* ---- messages ------------------------------------------------------------------ */

void hv_synic_run_retry(struct hv_partition *p)
{
	if (p->retry)
		p->retry(p->retry_ctx);
}

static void retry_fire(struct loop_timer *t)
{
	struct hv_partition *p = container_of(t, struct hv_partition, retry_timer);

	if (p->retry_delay_ns < RETRY_MAX_NS / 2)
		p->retry_delay_ns *= 2;
	else
		p->retry_delay_ns = RETRY_MAX_NS;
	p->stats.message_retries++;
	hv_synic_run_retry(p);
}

/* An EOM ends the wait early; the timer is for guests that never write one. */
static void wait_for_slot(struct hv_partition *p)
{
	if (!p->retry_timer.due_ns)
		loop_timer_arm(p->loop, &p->retry_timer, p->retry_delay_ns);
}

static void stop_waiting(struct hv_partition *p)
{
	loop_timer_cancel(p->loop, &p->retry_timer);
	p->retry_delay_ns = RETRY_MIN_NS;
}

/*
 * May the slot be written? If not, the guest has been asked for an EOM.
 *
 * Fence M1 pairs with the guest's full barrier between clearing the type and
 * reading the flags (M2 in guest.c): of "pending = 1, read type" and "type = 0,
 * read pending" at least one side sees the other's store, so either we go on or
 * the guest writes EOM.
 */
static bool slot_claim(struct hv_message *slot)
{
	uint32_t *type = (uint32_t *)(void *)slot;
	uint8_t *flags = (uint8_t *)slot + offsetof(struct hv_message, flags);

	if (load_acquire(type) == HV_MESSAGE_NONE)
		return true;
	__atomic_fetch_or(flags, HV_MESSAGE_FLAG_PENDING, __ATOMIC_RELAXED);
	full_fence();				      /* M1 */
	return load_acquire(type) == HV_MESSAGE_NONE; /* the guest has read the old message */
}

/* A backend that was not watching may have missed the EOM that the claim asked for. */
static bool slot_free_late(struct hv_partition *p, uint32_t vp, uint32_t sint,
			   struct hv_message *slot)
{
	if (!p->ops->await_eom)
		return false;
	p->ops->await_eom(p->backend, vp, sint);
	return slot_claim(slot);
}

static void slot_fill(struct hv_message *slot, uint32_t type, const void *payload, uint32_t len)
{
	store_relaxed((uint8_t *)slot + offsetof(struct hv_message, flags), 0);
	slot->payload_size = (uint8_t)len;
	slot->reserved = 0;
	slot->sender = 0;
	memcpy(slot->payload, payload, len);
	memset(slot->payload + len, 0, sizeof(slot->payload) - len);
	/* M3 pairs with the acquire load in hv_guest_take_message(): all of it before the type. */
	store_release((uint32_t *)(void *)slot, type);
}

static bool sint_wants_interrupt(const struct hv_vp *v, uint32_t sint)
{
	return load_relaxed(&v->open_sints) & ~load_relaxed(&v->polled_sints) & 1u << sint;
}

int hv_synic_post_message(struct hv_partition *p, uint32_t vp, uint32_t sint, uint32_t type,
			  const void *payload, uint32_t len)
{
	struct hv_message *slot;
	struct hv_vp *v;

	if (vp >= p->nr_vps || sint >= HV_SINT_COUNT || len > HV_MSG_PAYLOAD ||
	    type == HV_MESSAGE_NONE)
		return -EINVAL;
	vp = (uint32_t)index_nospec(vp, p->nr_vps);
	v = &p->vp[vp];
	if (!v->messages)
		return -EAGAIN; /* enabling the SynIC runs the retry callback */
	slot = &v->messages->slot[sint];
	if (!slot_claim(slot) && !slot_free_late(p, vp, sint, slot)) {
		wait_for_slot(p);
		return -EAGAIN;
	}
	slot_fill(slot, type, payload, len);
	stop_waiting(p);
	p->stats.messages_out++;
	if (sint_wants_interrupt(v, sint))
		p->ops->raise(p->backend, vp, sint);
	return 0;
}

void hv_synic_on_retry(struct hv_partition *p, void (*retry)(void *ctx), void *ctx)
{
	p->retry = retry;
	p->retry_ctx = ctx;
}

/* ---- event flags ------------------------------------------------------------------ */

int hv_synic_signal_event(struct hv_partition *p, uint32_t vp, uint32_t sint, uint32_t flag)
{
	struct hv_event_flags_page *events;
	uint32_t bit = 1u << flag % 32;
	struct hv_vp *v;

	if (unlikely(vp >= p->nr_vps || sint >= HV_SINT_COUNT || flag >= HV_FLAG_COUNT))
		return -EINVAL;
	vp = (uint32_t)index_nospec(vp, p->nr_vps);
	v = &p->vp[vp];
	events =
		load_acquire(&v->events); /* E1 pairs with synic_publish(): zeroed before visible */
	if (unlikely(!events || !(load_relaxed(&v->open_sints) & 1u << sint)))
		return -ENXIO;
	/*
	 * E2 pairs with the exchange in hv_guest_take_events(): what was written
	 * before the signal (ring data) is visible to whoever takes the flag, also when it was
	 * set already and no interrupt is raised.
	 */
	if (__atomic_fetch_or(&events->flags[sint][flag / 32], bit, __ATOMIC_ACQ_REL) & bit) {
		__atomic_fetch_add(&v->coalesced, 1, __ATOMIC_RELAXED);
		return 0;
	}
	__atomic_fetch_add(&v->raised, 1, __ATOMIC_RELAXED);
	if (sint_wants_interrupt(v, sint))
		p->ops->raise(p->backend, vp, sint);
	return 0;
}

/* ---- life --------------------------------------------------------------------------- */

static void vp_init(struct hv_vp *v)
{
	v->scontrol = HV_SCONTROL_ENABLE; /* guests exist that never write it */
	v->simp = v->siefp = (struct hv_page_reg){ .zeroed_gpn = UINT64_MAX };
	for (uint32_t s = 0; s < HV_SINT_COUNT; s++)
		v->sint[s] = HV_SINT_MASKED;
}

void hv_synic_init(struct hv_partition *p)
{
	p->retry_timer.fire = retry_fire;
	p->retry_delay_ns = RETRY_MIN_NS;
	for (uint32_t i = 0; i < p->nr_vps; i++)
		vp_init(&p->vp[i]);
}

void hv_synic_reset(struct hv_partition *p)
{
	stop_waiting(p);
	for (uint32_t i = 0; i < p->nr_vps; i++) {
		struct hv_vp *v = &p->vp[i];

		v->messages = NULL;
		store_release(&v->events, NULL); /* E1 */
		store_relaxed(&v->open_sints, 0);
		store_relaxed(&v->polled_sints, 0);
		vp_init(v);
	}
}

void hv_synic_fini(struct hv_partition *p)
{
	loop_timer_cancel(p->loop, &p->retry_timer);
}
