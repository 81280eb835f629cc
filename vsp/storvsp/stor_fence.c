/* SPDX-License-Identifier: MIT */
/*
 * Fences: who resets, or preempts and aborts, must know that nothing of what a controller's
 * channels had in flight to some LUNs happens any more (spec: storvsc, section 13; scsi-target,
 * section 13.4). Each channel takes part on its own loop, where every command that was let
 * through before is in flight or over: what the engine still has is taken back and answered as
 * aborted, what the kernel has is marked and waited for. Commands that come later are no
 * part of it.
 *
 * A part is given back after reset_ms at the latest, then as failed: a disk that hangs must not
 * take along who waits.
 *
 * Not waited for: PERSISTENT RESERVE OUT. It writes nothing, and may itself wait at a fence.
 */
#include "vsp/storvsp/stor_priv.h"

#include <stdlib.h>

#include "base/log.h"

#define MILLI		       1000000ull
#define PERSISTENT_RESERVE_OUT 0x5f

struct stor_part {
	struct stor_part *next;
	struct scsi_fence *fence;
	uint64_t luns; /* bit per LUN */
	uint64_t due_ns;
};

/* ---- asking, any thread ------------------------------------------------------- */

static void add_part(struct stor_part **list, struct stor_part *p)
{
	while (*list)
		list = &(*list)->next;
	p->next = NULL;
	*list = p;
}

void stor_fence_ask(struct storvsp *s, const struct stor_chan *self, uint64_t luns,
		    struct scsi_fence *f)
{
	struct stor_part *p;

	pthread_mutex_lock(&s->lock);
	for (uint32_t i = 0; i < ARRAY_SIZE(s->chan); i++) {
		if (!s->chan[i])
			continue;
		p = malloc(sizeof(*p));
		if (!p) {
			scsi_fence_fail(f);
			continue;
		}
		*p = (struct stor_part){ .fence = f, .luns = luns };
		scsi_fence_hold(f);
		add_part(&s->chan[i]->fences_asked, p);
		if (s->chan[i] != self)
			stor_chan_post(s->chan[i]);
	}
	pthread_mutex_unlock(&s->lock);
}

/* ---- on the channel's loop ---------------------------------------------------------- */

static void give_back(struct stor_part *p)
{
	struct scsi_fence *f = p->fence;

	free(p);
	scsi_fence_pass(f);
}

static bool outstanding(const struct stor_chan *c, const struct stor_part *p)
{
	for (uint64_t left = p->luns; left; left &= left - 1)
		if (c->lun[__builtin_ctzll(left)].fenced)
			return true;
	return false;
}

static void look(struct stor_chan *c)
{
	struct stor_part **link = &c->fences, *p;

	while ((p = *link)) {
		if (outstanding(c, p)) {
			link = &p->next;
			continue;
		}
		*link = p->next;
		give_back(p);
	}
}

/* The end of a command that somebody waits for. */
static void fenced_done(struct scsi_task *t)
{
	struct stor_req *r = container_of(t, struct stor_req, task);
	struct stor_chan *c = r->chan;
	struct stor_lun *l = &c->lun[stor_lun_of(r->address)];

	t->done = stor_request_done;
	stor_request_done(t);
	if (!--l->fenced)
		look(c);
}

static void mark(struct stor_chan *c, struct stor_req *r)
{
	struct scsi_task *t = &r->task;

	if (t->done == fenced_done || t->cdb[0] == PERSISTENT_RESERVE_OUT ||
	    stor_chan_abort_task(c, t))
		return;
	t->done = fenced_done;
	c->lun[stor_lun_of(r->address)].fenced++;
}

static void begin(struct stor_chan *c, struct stor_part *p)
{
	for (uint32_t i = 0; i < c->touched; i++)
		if (c->reqs[i].start_ns && (p->luns >> stor_lun_of(c->reqs[i].address) & 1))
			mark(c, &c->reqs[i]);
	if (!outstanding(c, p)) {
		give_back(p);
		return;
	}
	p->due_ns = loop_now(c->loop) + c->ctl->cfg.reset_ms * MILLI;
	add_part(&c->fences, p);
	if (!c->fence_timer.due_ns)
		loop_timer_arm(c->loop, &c->fence_timer, c->ctl->cfg.reset_ms * MILLI);
}

void stor_fence_begin(struct stor_chan *c)
{
	struct stor_part *asked, *p;

	pthread_mutex_lock(&c->ctl->lock);
	asked = c->fences_asked;
	c->fences_asked = NULL;
	pthread_mutex_unlock(&c->ctl->lock);
	while ((p = asked)) {
		asked = p->next;
		begin(c, p);
	}
}

void stor_fence_timeout(struct loop_timer *t)
{
	struct stor_chan *c = container_of(t, struct stor_chan, fence_timer);
	uint64_t now = loop_now(c->loop);
	struct stor_part *p;

	while ((p = c->fences) && p->due_ns <= now) { /* the oldest is the first */
		log_ratelimited(LOG_WARN, "%s: what was to be aborted is stuck in the kernel",
				vmbus_chan_name(c->chan));
		c->fences = p->next;
		scsi_fence_fail(p->fence);
		give_back(p);
	}
	if (p)
		loop_timer_arm(c->loop, &c->fence_timer, p->due_ns - now);
}
