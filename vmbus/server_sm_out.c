/* SPDX-License-Identifier: MIT */
/*
 * Outputs of the control state machine.
 *
 * Messages: a ring that grows. Whatever may have to be said later gets its slot when the
 * reason for it is accepted, so saying it cannot fail:
 *
 *   capacity >= queued + owed (answers promised) + rescindable (channels offered)
 *
 * Actions: a list of the objects that have some pending, so it needs no memory at all.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "vmbus/server_sm_int.h"

#define MIN_CAPACITY 8u

static struct vmbus_sm_send *slot(const struct vmbus_sm *sm, uint32_t i)
{
	return &sm->queue[(sm->queue_head + i) & (sm->queue_cap - 1)];
}

static int grow(struct vmbus_sm *sm, uint32_t need)
{
	struct vmbus_sm_send *bigger;
	uint32_t cap = MIN_CAPACITY;

	while (cap < need)
		cap *= 2;
	if (cap <= sm->queue_cap)
		return 0;
	bigger = malloc(cap * sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	for (uint32_t i = 0; i < sm->queued; i++)
		bigger[i] = *slot(sm, i);
	free(sm->queue);
	sm->queue = bigger;
	sm->queue_cap = cap;
	sm->queue_head = 0;
	return 0;
}

int vmsm_room(struct vmbus_sm *sm, uint32_t replies, uint32_t offers)
{
	uint32_t need = sm->queued + sm->owed + replies;

	if (need > VMBUS_SM_MAX_QUEUE)
		return -EAGAIN;
	return grow(sm, need + sm->rescindable + offers);
}

void vmsm_push_to(struct vmbus_sm *sm, uint32_t vp, const union vmbus_msg *m)
{
	struct vmbus_sm_send *s;

	assert(sm->queued < sm->queue_cap);
	s = slot(sm, sm->queued++);
	s->vp = vp;
	s->len = vmbus_msg_size(m->hdr.type);
	s->msg = *m;
}

void vmsm_push(struct vmbus_sm *sm, const union vmbus_msg *m)
{
	vmsm_push_to(sm, sm->msg_vp, m);
}

/* Leaves the ring small again: a guest that was flooded once does not keep the memory. */
void vmsm_flush(struct vmbus_sm *sm)
{
	struct vmbus_sm_send *small;

	sm->queued = 0;
	sm->queue_head = 0;
	if (sm->queue_cap == MIN_CAPACITY)
		return;
	small = malloc(MIN_CAPACITY * sizeof(*small));
	if (!small)
		return;
	free(sm->queue);
	sm->queue = small;
	sm->queue_cap = MIN_CAPACITY;
}

const struct vmbus_sm_send *vmbus_sm_next_send(const struct vmbus_sm *sm)
{
	return sm->queued ? slot(sm, 0) : NULL;
}

void vmbus_sm_sent(struct vmbus_sm *sm)
{
	assert(sm->queued);
	sm->queue_head = (sm->queue_head + 1) & (sm->queue_cap - 1);
	sm->queued--;
	sm->messages_out++;
	vmsm_settle(sm);
}

void vmsm_owe(struct vmbus_sm *sm, bool *flag)
{
	assert(!*flag);
	*flag = true;
	sm->owed++;
}

bool vmsm_pay(struct vmbus_sm *sm, bool *flag)
{
	if (!*flag)
		return false;
	*flag = false;
	sm->owed--;
	return true;
}

void vmsm_act(struct vmbus_sm *sm, struct vmsm_work *w, enum vmbus_sm_action_type type)
{
	if (!w->pending)
		TAILQ_INSERT_TAIL(&sm->works, w, link);
	w->pending |= 1u << type;
}

void vmsm_unact(struct vmbus_sm *sm, struct vmsm_work *w)
{
	if (w->pending)
		TAILQ_REMOVE(&sm->works, w, link);
	w->pending = 0;
}

/* GPADL actions and channel actions never mix in one work item, so the type tells the owner. */
static void fill(struct vmbus_sm_action *out, struct vmsm_work *w)
{
	struct vmbus_sm_gpadl *g = container_of(w, struct vmbus_sm_gpadl, work);
	struct vmbus_sm_chan *ch = container_of(w, struct vmbus_sm_chan, work);

	switch (out->type) {
	case VMBUS_SM_MAP:
	case VMBUS_SM_UNMAP:
		out->gpadl = g;
		out->gpadl_id = g->id;
		out->ranges = &g->buf;
		ch = g->chan;
		break;
	case VMBUS_SM_OPEN:
		out->open = &ch->open;
		break;
	case VMBUS_SM_MODIFY:
		out->target_vp = ch->open.target_vp;
		break;
	case VMBUS_SM_CLOSE:
	case VMBUS_SM_DETACHED:
	case VMBUS_SM_RESET_DONE:
		break;
	}
	out->chan = ch;
	out->ctx = ch->ctx;
}

static bool next_work(struct vmbus_sm *sm, struct vmbus_sm_action *out)
{
	struct vmsm_work *w = TAILQ_FIRST(&sm->works);

	if (!w)
		return false;
	out->type = (enum vmbus_sm_action_type)__builtin_ctz(w->pending);
	w->pending &= w->pending - 1;
	if (!w->pending)
		TAILQ_REMOVE(&sm->works, w, link);
	fill(out, w);
	return true;
}

bool vmbus_sm_next_action(struct vmbus_sm *sm, struct vmbus_sm_action *out)
{
	memset(out, 0, sizeof(*out));
	if (next_work(sm, out)) {
		if (out->type == VMBUS_SM_DETACHED) {
			out->chan->attached = false;
			out->chan->ctx = NULL;
			vmsm_chan_step(sm, out->chan);
			out->chan = NULL; /* may be freed */
			vmsm_settle(sm);
		}
		return true;
	}
	out->type = VMBUS_SM_RESET_DONE;
	if (!sm->reset_done)
		return false;
	sm->reset_done = false;
	return true;
}
