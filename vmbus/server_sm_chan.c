/* SPDX-License-Identifier: MIT */
/*
 * Channels: the event table (spec: vmbus, section 12.2), offers, relids.
 *
 * A channel has two sides that move independently: what the guest knows of it (->state)
 * and what the device does with it (->dev). The specification's "opening, client gone" (OR)
 * is CH_RELEASED with DEV_OPENING, its CRL is CH_RELEASED with DEV_CLOSING; a rescinded
 * channel whose device still closes is CH_REVOKED with DEV_CLOSING.
 *
 * Where the specification says "drop" for an OPENCHANNEL that can be answered without
 * confusion (unknown relid, open channel) a failure is answered: the guest then does
 * not wait for ever. While an open is under way, the answer to the first is the answer.
 * MODIFYCHANNEL likewise: from 5.3 on every request has its response.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/nospec.h"
#include "vmbus/server_sm_int.h"

typedef void (*chan_fn)(struct vmbus_sm *sm, struct vmbus_sm_chan *ch);

/* ---- bookkeeping ------------------------------------------------------------------ */

/* The guest has the offer, and would be told of its end. */
static bool is_offered(enum vmsm_chan_state st)
{
	return st >= CH_OFFERED && st <= CH_REOPEN;
}

void vmsm_chan_set_state(struct vmbus_sm *sm, struct vmbus_sm_chan *ch, enum vmsm_chan_state st)
{
	sm->rescindable += is_offered(st);
	sm->rescindable -= is_offered(ch->state);
	sm->nr_waiting += st == CH_WAITING;
	sm->nr_waiting -= ch->state == CH_WAITING;
	ch->state = st;
}

static bool is_busy(const struct vmbus_sm_chan *ch)
{
	return ch->dev != DEV_CLOSED || ch->modifying;
}

static void set_dev(struct vmbus_sm *sm, struct vmbus_sm_chan *ch, enum vmsm_chan_device dev)
{
	sm->nr_busy -= is_busy(ch);
	ch->dev = dev;
	sm->nr_busy += is_busy(ch);
}

static void set_modifying(struct vmbus_sm *sm, struct vmbus_sm_chan *ch, bool on)
{
	sm->nr_busy -= is_busy(ch);
	ch->modifying = on;
	sm->nr_busy += is_busy(ch);
}

static void push_result(struct vmbus_sm *sm, uint32_t relid, uint32_t open_id, uint32_t status)
{
	union vmbus_msg m;

	vmbus_msg_init(&m, VMBUS_MSG_OPENCHANNEL_RESULT);
	m.open_result.relid = relid;
	m.open_result.open_id = open_id;
	m.open_result.status = status;
	vmsm_push(sm, &m);
}

static void push_modify_response(struct vmbus_sm *sm, uint32_t relid, uint32_t status)
{
	union vmbus_msg m;

	vmbus_msg_init(&m, VMBUS_MSG_MODIFYCHANNEL_RESPONSE);
	m.modify_response.relid = relid;
	m.modify_response.status = status;
	vmsm_push(sm, &m);
}

void vmsm_chan_refuse_open(struct vmbus_sm *sm, uint32_t relid, uint32_t open_id)
{
	push_result(sm, relid, open_id, VMBUS_STATUS_FAILED);
}

void vmsm_chan_refuse_modify(struct vmbus_sm *sm, uint32_t relid)
{
	if (sm->version >= VMBUS_V5_3)
		push_modify_response(sm, relid, VMBUS_STATUS_FAILED);
}

struct vmbus_sm_chan *vmsm_chan_find(const struct vmbus_sm *sm, uint32_t relid)
{
	struct vmbus_sm_chan *ch = NULL;

	if (relid < sm->relids)
		ch = sm->by_relid[index_nospec(relid, sm->relids)];

	/* The guest let go of it; only the device still keeps the number busy. */
	return ch && ch->state != CH_RELEASED ? ch : NULL;
}

/* ---- the end of channels ------------------------------------------------------------- */

void vmsm_chan_free(struct vmbus_sm *sm, struct vmbus_sm_chan *ch)
{
	struct vmbus_sm_chan *other;
	struct vmbus_sm_gpadl *g;

	TAILQ_FOREACH(other, &sm->chans, link)
	{
		if (other->primary == ch)
			other->primary = NULL;
	}
	while ((g = TAILQ_FIRST(&ch->gpadls)))
		vmsm_gpadl_free(sm, g);
	vmsm_pay(sm, &ch->owes_result);
	vmsm_pay(sm, &ch->owes_modify);
	set_modifying(sm, ch, false);
	set_dev(sm, ch, DEV_CLOSED);
	vmsm_chan_set_state(sm, ch, CH_RELEASED);
	vmsm_unact(sm, &ch->work);
	if (ch->relid)
		sm->by_relid[ch->relid] = NULL;
	TAILQ_REMOVE(&sm->chans, ch, link);
	sm->nr_chans--;
	free(ch);
}

void vmsm_chan_step(struct vmbus_sm *sm, struct vmbus_sm_chan *ch)
{
	if (is_busy(ch))
		return;
	if (ch->dying && ch->attached)
		vmsm_act(sm, &ch->work, VMBUS_SM_DETACHED);
	if (ch->state != CH_RELEASED || !TAILQ_EMPTY(&ch->gpadls))
		return;
	if (ch->relid)
		sm->by_relid[ch->relid] = NULL;
	ch->relid = 0;
	if (ch->dying && !ch->attached)
		vmsm_chan_free(sm, ch);
}

/* ---- open and close ---------------------------------------------------------------------- */

static bool check_open(struct vmbus_sm *sm, struct vmbus_sm_chan *ch,
		       const struct vmbus_msg_open *m)
{
	struct vmbus_sm_gpadl *g = vmsm_gpadl_accepted(ch, m->gpadl);

	if (!g || !g->mapped)
		return false;
	if (m->target_vp >= sm->nr_vps && m->target_vp != VMBUS_NO_VP)
		return false;
	if (vmbus_gpadl_split(&g->buf, m->downstream_page, &ch->open.rings))
		return false;
	ch->ring = g;
	return true;
}

static void open_now(struct vmbus_sm *sm, struct vmbus_sm_chan *ch, const struct vmbus_msg_open *m)
{
	if (!check_open(sm, ch, m)) {
		vmsm_chan_set_state(sm, ch, CH_OFFERED);
		vmsm_chan_refuse_open(sm, m->relid, m->open_id);
		vmsm_drop(sm, "illegal open request");
		return;
	}
	ch->ring->users++;
	ch->open_id = m->open_id;
	ch->open.relid = ch->relid;
	ch->open.target_vp = m->target_vp;
	memcpy(ch->open.user, m->user, sizeof(ch->open.user));
	vmsm_owe(sm, &ch->owes_result);
	vmsm_chan_set_state(sm, ch, CH_OPENING);
	set_dev(sm, ch, DEV_OPENING);
	vmsm_act(sm, &ch->work, VMBUS_SM_OPEN);
}

static void open_begin(struct vmbus_sm *sm, struct vmbus_sm_chan *ch)
{
	open_now(sm, ch, &sm->msg->open);
}

static void open_refuse(struct vmbus_sm *sm, struct vmbus_sm_chan *ch)
{
	vmsm_chan_refuse_open(sm, ch->relid, sm->msg->open.open_id);
	vmsm_drop(sm, "open of an open channel");
}

static void open_twice(struct vmbus_sm *sm, struct vmbus_sm_chan *ch)
{
	(void)ch;
	vmsm_drop(sm, "open while an open is under way");
}

static void open_later(struct vmbus_sm *sm, struct vmbus_sm_chan *ch)
{
	ch->later = sm->msg->open;
	vmsm_owe(sm, &ch->owes_result);
	vmsm_chan_set_state(sm, ch, CH_REOPEN);
}

static void close_device(struct vmbus_sm *sm, struct vmbus_sm_chan *ch)
{
	set_dev(sm, ch, DEV_CLOSING);
	vmsm_act(sm, &ch->work, VMBUS_SM_CLOSE);
}

static void opened(struct vmbus_sm *sm, struct vmbus_sm_chan *ch)
{
	set_dev(sm, ch, DEV_OPEN);
	vmsm_chan_set_state(sm, ch, CH_OPEN);
	if (vmsm_pay(sm, &ch->owes_result))
		push_result(sm, ch->relid, ch->open_id, VMBUS_STATUS_SUCCESS);
}

static void opened_too_late(struct vmbus_sm *sm, struct vmbus_sm_chan *ch)
{
	close_device(sm, ch);
}

/* The device let go of the ring. */
static void device_idle(struct vmbus_sm *sm, struct vmbus_sm_chan *ch)
{
	struct vmbus_sm_gpadl *ring = ch->ring;

	ch->ring = NULL;
	set_dev(sm, ch, DEV_CLOSED);
	vmsm_gpadl_put(sm, ring);
}

static void open_failed(struct vmbus_sm *sm, struct vmbus_sm_chan *ch)
{
	device_idle(sm, ch);
	vmsm_chan_set_state(sm, ch, CH_OFFERED);
	if (vmsm_pay(sm, &ch->owes_result))
		push_result(sm, ch->relid, ch->open_id, VMBUS_STATUS_FAILED);
}

static void closed_quietly(struct vmbus_sm *sm, struct vmbus_sm_chan *ch)
{
	device_idle(sm, ch);
	vmsm_chan_step(sm, ch);
}

static void closed(struct vmbus_sm *sm, struct vmbus_sm_chan *ch)
{
	device_idle(sm, ch);
	vmsm_chan_set_state(sm, ch, CH_OFFERED);
}

static void closed_reopen(struct vmbus_sm *sm, struct vmbus_sm_chan *ch)
{
	struct vmbus_msg_open again = ch->later;

	device_idle(sm, ch);
	vmsm_pay(sm, &ch->owes_result); /* open_now() owes it anew or pays */
	open_now(sm, ch, &again);
}

static void revoke_subchannels(struct vmbus_sm *sm, const struct vmbus_sm_chan *primary)
{
	struct vmbus_sm_chan *ch, *next;

	for (ch = TAILQ_FIRST(&sm->chans); ch; ch = next) {
		next = TAILQ_NEXT(ch, link);
		if (ch->primary == primary)
			vmsm_chan_event(sm, ch, EV_REVOKE);
	}
}

static void close_begin(struct vmbus_sm *sm, struct vmbus_sm_chan *ch)
{
	revoke_subchannels(sm, ch);
	vmsm_chan_set_state(sm, ch, CH_CLOSING);
	close_device(sm, ch);
}

static void close_drop(struct vmbus_sm *sm, struct vmbus_sm_chan *ch)
{
	(void)ch;
	vmsm_drop(sm, "close of a channel that is not open");
}

/* ---- moving interrupts --------------------------------------------------------------------- */

static void modify_start(struct vmbus_sm *sm, struct vmbus_sm_chan *ch, uint32_t vp)
{
	ch->open.target_vp = vp;
	ch->next_vp = VMBUS_NO_VP;
	set_modifying(sm, ch, true);
	vmsm_act(sm, &ch->work, VMBUS_SM_MODIFY);
}

static void modify_fail(struct vmbus_sm *sm, struct vmbus_sm_chan *ch)
{
	vmsm_chan_refuse_modify(sm, ch->relid);
	vmsm_drop(sm, "interrupts cannot be moved");
}

static void modify(struct vmbus_sm *sm, struct vmbus_sm_chan *ch)
{
	uint32_t vp = sm->msg->modify.target_vp;

	if (vp >= sm->nr_vps || ch->open.target_vp == VMBUS_NO_VP) {
		modify_fail(sm, ch);
	} else if (!ch->modifying) {
		if (sm->version >= VMBUS_V5_3)
			vmsm_owe(sm, &ch->owes_modify);
		modify_start(sm, ch, vp);
	} else if (sm->version >= VMBUS_V5_3) {
		/* Two answers for one relid could not be told apart (section 6.5). */
		vmsm_drop(sm, "interrupts are being moved already");
	} else {
		ch->next_vp = vp;
	}
}

void vmbus_sm_modified(struct vmbus_sm *sm, struct vmbus_sm_chan *ch)
{
	assert(ch->modifying);
	set_modifying(sm, ch, false);
	if (vmsm_pay(sm, &ch->owes_modify))
		push_modify_response(sm, ch->relid, VMBUS_STATUS_SUCCESS);
	if (ch->state == CH_OPEN && ch->next_vp != VMBUS_NO_VP)
		modify_start(sm, ch, ch->next_vp);
	vmsm_chan_step(sm, ch);
	vmsm_settle(sm);
}

/* ---- going away ------------------------------------------------------------------------------ */

static void release(struct vmbus_sm *sm, struct vmbus_sm_chan *ch)
{
	vmsm_chan_set_state(sm, ch, CH_RELEASED);
	vmsm_gpadl_all(sm, ch, EV_CHAN_RELEASED);
	vmsm_chan_step(sm, ch);
}

static void release_drop(struct vmbus_sm *sm, struct vmbus_sm_chan *ch)
{
	(void)ch;
	vmsm_drop(sm, "release of a channel in use");
}

static void revoke_unoffered(struct vmbus_sm *sm, struct vmbus_sm_chan *ch)
{
	ch->dying = true;
	vmsm_chan_set_state(sm, ch, CH_RELEASED);
	vmsm_chan_step(sm, ch);
}

static void revoke(struct vmbus_sm *sm, struct vmbus_sm_chan *ch)
{
	union vmbus_msg m;

	if (!ch->sub)
		revoke_subchannels(sm, ch);
	if (ch->state == CH_OPEN)
		close_device(sm, ch);
	ch->dying = true;
	vmsm_pay(sm, &ch->owes_result); /* the rescind is the answer (section 4.5) */
	vmsm_chan_set_state(sm, ch, CH_REVOKED);
	vmbus_msg_init(&m, VMBUS_MSG_RESCIND_CHANNELOFFER);
	m.relid.relid = ch->relid;
	vmsm_push(sm, &m);
	vmsm_gpadl_all(sm, ch, EV_CHAN_REVOKED);
	vmsm_chan_step(sm, ch);
}

static void client_gone(struct vmbus_sm *sm, struct vmbus_sm_chan *ch)
{
	vmsm_pay(sm, &ch->owes_result);
	vmsm_pay(sm, &ch->owes_modify);
	if (ch->state == CH_OPEN)
		close_device(sm, ch);
	if (ch->sub)
		ch->dying = true; /* the device asks for sub-channels again, if it wants them */
	vmsm_chan_set_state(sm, ch, CH_RELEASED);
	vmsm_gpadl_all(sm, ch, EV_CHAN_GONE);
	vmsm_chan_step(sm, ch);
}

static void ignore(struct vmbus_sm *sm, struct vmbus_sm_chan *ch)
{
	/* A race that correct peers run into: the rescind was on its way. */
	(void)sm;
	(void)ch;
}

/* ---- the table
 * ----------------------------------------------------------------------------------- */

/* NULL: cannot happen, whatever the guest does. */
static const chan_fn chan_table[CHAN_EVENTS][CH_STATES] = {
	[EV_OPENCHANNEL] = {
		[CH_OFFERED] = open_begin,
		[CH_OPENING] = open_twice,
		[CH_OPEN] = open_refuse,
		[CH_CLOSING] = open_later,
		[CH_REOPEN] = open_twice,
		[CH_REVOKED] = ignore,
	},
	[EV_CLOSECHANNEL] = {
		[CH_OFFERED] = close_drop,
		[CH_OPENING] = close_drop,
		[CH_OPEN] = close_begin,
		[CH_CLOSING] = close_drop,
		[CH_REOPEN] = close_drop,
		[CH_REVOKED] = ignore,
	},
	[EV_MODIFYCHANNEL] = {
		[CH_OFFERED] = modify_fail,
		[CH_OPENING] = modify_fail,
		[CH_OPEN] = modify,
		[CH_CLOSING] = modify_fail,
		[CH_REOPEN] = modify_fail,
		[CH_REVOKED] = modify_fail,
	},
	[EV_RELID_RELEASED] = {
		[CH_OFFERED] = release,
		[CH_OPENING] = release_drop,
		[CH_OPEN] = release_drop,
		[CH_CLOSING] = release,
		[CH_REOPEN] = release_drop,
		[CH_REVOKED] = release,
	},
	[EV_REVOKE] = {
		[CH_RELEASED] = revoke_unoffered,
		[CH_WAITING] = revoke_unoffered,
		[CH_OFFERED] = revoke,
		[CH_OPENING] = revoke,
		[CH_OPEN] = revoke,
		[CH_CLOSING] = revoke,
		[CH_REOPEN] = revoke,
		[CH_REVOKED] = ignore,
	},
	[EV_CLIENT_GONE] = {
		[CH_RELEASED] = client_gone,
		[CH_WAITING] = client_gone,
		[CH_OFFERED] = client_gone,
		[CH_OPENING] = client_gone,
		[CH_OPEN] = client_gone,
		[CH_CLOSING] = client_gone,
		[CH_REOPEN] = client_gone,
		[CH_REVOKED] = client_gone,
	},
	[EV_OPENED] = {
		[CH_RELEASED] = opened_too_late,
		[CH_OPENING] = opened,
		[CH_REVOKED] = opened_too_late,
	},
	[EV_OPEN_FAILED] = {
		[CH_RELEASED] = closed_quietly,
		[CH_OPENING] = open_failed,
		[CH_REVOKED] = closed_quietly,
	},
	[EV_CLOSED] = {
		[CH_RELEASED] = closed_quietly,
		[CH_CLOSING] = closed,
		[CH_REOPEN] = closed_reopen,
		[CH_REVOKED] = closed_quietly,
	},
};

void vmsm_chan_event(struct vmbus_sm *sm, struct vmbus_sm_chan *ch, enum vmsm_chan_event ev)
{
	chan_fn fn = chan_table[ev][ch->state];

	assert(fn);
	fn(sm, ch);
}
