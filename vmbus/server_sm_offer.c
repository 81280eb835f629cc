/* SPDX-License-Identifier: MIT */
/*
 * Offers and relids (spec: vmbus, sections 4 and 10).
 *
 * A relid is the lowest free number, given when the offer is queued and kept until the
 * guest has released it and the device is closed. Channels are offered in the order in
 * which they were made known, so a reconnecting guest finds the same numbers.
 *
 * The table of relids has room for every known channel, so giving a number cannot fail.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "hv-core/hv_defs.h"
#include "vmbus/server_sm_int.h"

static bool same_key(const struct vmbus_sm_chan *a, const struct vmbus_sm_chan *b)
{
	return a->sub == b->sub && guid_equal(&a->instance, &b->instance) &&
	       guid_equal(&a->type, &b->type);
}

/* A guest that never releases anything gets no further relids for the same sub-channel. */
#define MOST_TWINS 4u

/* Other channels with the key of @ch: predecessors that are dying, all but one of sub-channels. */
static uint32_t nr_twins(const struct vmbus_sm *sm, const struct vmbus_sm_chan *ch)
{
	struct vmbus_sm_chan *other;
	uint32_t n = 0;

	TAILQ_FOREACH(other, &sm->chans, link)
	n += other != ch && same_key(other, ch);
	return n;
}

static int grow_relids(struct vmbus_sm *sm, uint32_t need)
{
	struct vmbus_sm_chan **bigger;
	uint32_t n = sm->relids ? sm->relids : 8;

	while (n < need)
		n *= 2;
	if (n == sm->relids)
		return 0;
	bigger = realloc(sm->by_relid, n * sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	memset(bigger + sm->relids, 0, (n - sm->relids) * sizeof(*bigger));
	sm->by_relid = bigger;
	sm->relids = n;
	return 0;
}

static uint32_t lowest_relid(const struct vmbus_sm *sm)
{
	for (uint32_t i = 1; i < sm->relids; i++)
		if (!sm->by_relid[i])
			return i;
	return 0;
}

static void push_offer(struct vmbus_sm *sm, const struct vmbus_sm_chan *ch)
{
	union vmbus_msg m;

	vmbus_msg_init(&m, VMBUS_MSG_OFFERCHANNEL);
	m.offer.type = ch->type;
	m.offer.instance = ch->instance;
	m.offer.flags = ch->flags;
	memcpy(m.offer.user, ch->user, sizeof(m.offer.user));
	m.offer.sub_index = ch->sub;
	m.offer.relid = ch->relid;
	m.offer.monitor_id = VMBUS_NO_MONITOR;
	m.offer.dedicated_interrupt = 1;
	m.offer.connection_id = HV_CONN_CHANNEL_BASE + ch->relid;
	vmsm_push(sm, &m);
}

/* Room in the queue is the caller's business. */
static void offer_now(struct vmbus_sm *sm, struct vmbus_sm_chan *ch)
{
	assert(!ch->relid);
	ch->relid = lowest_relid(sm);
	assert(ch->relid && ch->relid <= VMBUS_MAX_RELID);
	sm->by_relid[ch->relid] = ch;
	vmsm_chan_set_state(sm, ch, CH_OFFERED);
	push_offer(sm, ch);
}

/* Never the same key twice at once (section 4.4): wait for the predecessor to be released. */
static void offer_or_wait(struct vmbus_sm *sm, struct vmbus_sm_chan *ch)
{
	if (nr_twins(sm, ch) || vmsm_room(sm, 1, 1))
		vmsm_chan_set_state(sm, ch, CH_WAITING);
	else
		offer_now(sm, ch);
}

static bool is_offering(const struct vmbus_sm *sm)
{
	return sm->state == CONN_CONNECTED && sm->offers_sent;
}

void vmsm_offer_waiting(struct vmbus_sm *sm)
{
	struct vmbus_sm_chan *ch;

	if (!sm->nr_waiting || !is_offering(sm))
		return;
	TAILQ_FOREACH(ch, &sm->chans, link)
	{
		if (ch->state == CH_WAITING)
			offer_or_wait(sm, ch);
	}
}

int vmsm_offer_all(struct vmbus_sm *sm)
{
	struct vmbus_sm_chan *ch;
	union vmbus_msg m;
	int err = vmsm_room(sm, sm->nr_chans + 1, sm->nr_chans);

	if (err)
		return err;
	sm->offers_sent = true;
	TAILQ_FOREACH(ch, &sm->chans, link)
	{
		if (ch->state == CH_RELEASED && !ch->dying)
			offer_or_wait(sm, ch);
	}
	vmbus_msg_init(&m, VMBUS_MSG_ALLOFFERS_DELIVERED);
	vmsm_push(sm, &m);
	return 0;
}

/* ---- devices ---------------------------------------------------------------------------- */

static int check_offer(struct vmbus_sm *sm, const struct vmbus_sm_chan *ch)
{
	const struct vmbus_sm_chan *other;

	TAILQ_FOREACH(other, &sm->chans, link)
	{
		if (same_key(other, ch) && !other->dying)
			return -EEXIST;
	}
	if (sm->nr_chans >= VMBUS_MAX_RELID)
		return -ENOSPC;
	return grow_relids(sm, sm->nr_chans + 2);
}

/* Copies @key, which was checked, and offers the copy if it is time. */
static int add(struct vmbus_sm *sm, const struct vmbus_sm_chan *key, struct vmbus_sm_chan **out)
{
	struct vmbus_sm_chan *ch = malloc(sizeof(*ch));

	if (!ch)
		return -ENOMEM;
	*ch = *key;
	ch->sm = sm;
	ch->attached = true;
	ch->next_vp = VMBUS_NO_VP;
	TAILQ_INIT(&ch->gpadls);
	TAILQ_INSERT_TAIL(&sm->chans, ch, link);
	sm->nr_chans++;
	if (is_offering(sm))
		offer_or_wait(sm, ch);
	*out = ch;
	return 0;
}

int vmbus_sm_offer(struct vmbus_sm *sm, const struct vmbus_sm_offer *offer, void *ctx,
		   struct vmbus_sm_chan **out)
{
	struct vmbus_sm_chan key = {
		.ctx = ctx,
		.type = offer->type,
		.instance = offer->instance,
		.flags = offer->flags,
	};
	int err = check_offer(sm, &key);

	if (err)
		return err;
	memcpy(key.user, offer->user, sizeof(key.user));
	snprintf(key.name, sizeof(key.name), "%s", offer->name ? offer->name : "");
	if (is_offering(sm) && vmsm_room(sm, 1, 1))
		return -EAGAIN;
	return add(sm, &key, out);
}

int vmbus_sm_offer_sub(struct vmbus_sm *sm, struct vmbus_sm_chan *primary, uint16_t sub, void *ctx,
		       struct vmbus_sm_chan **out)
{
	struct vmbus_sm_chan key = {
		.ctx = ctx,
		.type = primary->type,
		.instance = primary->instance,
		.flags = primary->flags,
		.sub = sub,
		.primary = primary,
	};
	int err;

	if (!sub)
		return -EINVAL;
	if (primary->state != CH_OPEN)
		return -ENOTCONN;
	err = check_offer(sm, &key);
	if (err)
		return err;
	memcpy(key.user, primary->user, sizeof(key.user));
	memcpy(key.name, primary->name, sizeof(key.name));
	return add(sm, &key, out);
}

bool vmbus_sm_offer_late(struct vmbus_sm *sm, const struct vmbus_sm_chan *primary)
{
	struct vmbus_sm_chan *ch;
	bool waits = false;

	TAILQ_FOREACH(ch, &sm->chans, link)
	{
		if (ch->state != CH_WAITING || ch->primary != primary)
			continue;
		if (is_offering(sm) && nr_twins(sm, ch) < MOST_TWINS && !vmsm_room(sm, 1, 1))
			offer_now(sm, ch);
		else
			waits = true;
	}
	return waits;
}

bool vmbus_sm_waits(const struct vmbus_sm *sm, const struct vmbus_sm_chan *primary)
{
	const struct vmbus_sm_chan *ch;

	TAILQ_FOREACH(ch, &sm->chans, link)
	{
		if (ch->state == CH_WAITING && ch->primary == primary)
			return true;
	}
	return false;
}

void vmbus_sm_revoke(struct vmbus_sm *sm, struct vmbus_sm_chan *ch)
{
	vmsm_chan_event(sm, ch, EV_REVOKE);
	vmsm_settle(sm);
}
