/* SPDX-License-Identifier: MIT */
/*
 * GPADLs: the event table (spec: vmbus, sections 5 and 12.3).
 *
 * A GPADL is known by its channel and its id. Bodies carry no relid, so an id that is
 * being collected may not be used twice in the connection.
 *
 * On a rescinded channel the guest may still be in the middle of something: its GPADLs
 * are accepted without asking anybody, and torn down again, so that it never waits.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "vmbus/server_sm_int.h"

typedef void (*gpadl_fn)(struct vmbus_sm *sm, struct vmbus_sm_gpadl *g);

static void push_created(struct vmbus_sm *sm, uint32_t relid, uint32_t id, uint32_t status)
{
	union vmbus_msg m;

	vmbus_msg_init(&m, VMBUS_MSG_GPADL_CREATED);
	m.gpadl_created.relid = relid;
	m.gpadl_created.gpadl = id;
	m.gpadl_created.status = status;
	vmsm_push(sm, &m);
}

static void pay_created(struct vmbus_sm *sm, struct vmbus_sm_gpadl *g, uint32_t status)
{
	if (vmsm_pay(sm, &g->owes))
		push_created(sm, g->chan->relid, g->id, status);
}

static void pay_torndown(struct vmbus_sm *sm, struct vmbus_sm_gpadl *g)
{
	union vmbus_msg m;

	if (!vmsm_pay(sm, &g->owes))
		return;
	vmbus_msg_init(&m, VMBUS_MSG_GPADL_TORNDOWN);
	m.gpadl_torndown.gpadl = g->id;
	vmsm_push(sm, &m);
}

/* The only place that writes ->state. */
static void set_state(struct vmbus_sm *sm, struct vmbus_sm_gpadl *g, enum vmsm_gpadl_state st)
{
	if (g->state == GP_PARTIAL) {
		TAILQ_REMOVE(&sm->partial, g, partial);
		sm->nr_partial--;
	}
	if (st == GP_PARTIAL) {
		TAILQ_INSERT_TAIL(&sm->partial, g, partial);
		sm->nr_partial++;
	}
	g->state = st;
}

void vmsm_gpadl_free(struct vmbus_sm *sm, struct vmbus_sm_gpadl *g)
{
	set_state(sm, g, GP_NONE);
	vmsm_pay(sm, &g->owes);
	vmsm_unact(sm, &g->work);
	TAILQ_REMOVE(&g->chan->gpadls, g, link);
	sm->nr_gpadls--;
	sm->gpadl_qwords -= g->buf.want;
	sm->gpadl_pages -= g->buf.want - g->buf.rangecount;
	vmbus_gpadl_fini(&g->buf);
	free(g);
}

/*
 * THE rule: the guest reuses the pages as soon as it reads GPADL_TORNDOWN. So nobody may be
 * in them any more: no ring (->users, until the device reported closed), no question to
 * the bus under way (->asked), no mapping (->mapped, until unmapped).
 */
static void gpadl_step(struct vmbus_sm *sm, struct vmbus_sm_gpadl *g)
{
	if (g->state != GP_TEARING || g->users || g->asked)
		return;
	if (g->mapped) {
		g->asked = true;
		vmsm_act(sm, &g->work, VMBUS_SM_UNMAP);
		return;
	}
	pay_torndown(sm, g);
	vmsm_gpadl_free(sm, g);
}

void vmsm_gpadl_put(struct vmbus_sm *sm, struct vmbus_sm_gpadl *g)
{
	g->users--;
	gpadl_step(sm, g);
}

/* ---- creation ---------------------------------------------------------------------------- */

static struct vmbus_sm_gpadl *find(const struct vmbus_sm_chan *ch, uint32_t id)
{
	struct vmbus_sm_gpadl *g;

	TAILQ_FOREACH(g, &ch->gpadls, link)
	{
		if (g->id == id)
			return g;
	}
	return NULL;
}

static struct vmbus_sm_gpadl *find_partial(const struct vmbus_sm *sm, uint32_t id)
{
	struct vmbus_sm_gpadl *g;

	TAILQ_FOREACH(g, &sm->partial, partial)
	{
		if (g->id == id)
			return g;
	}
	return NULL;
}

struct vmbus_sm_gpadl *vmsm_gpadl_accepted(const struct vmbus_sm_chan *ch, uint32_t id)
{
	struct vmbus_sm_gpadl *g = find(ch, id);

	return g && g->state == GP_ACCEPTED ? g : NULL;
}

static void fail(struct vmbus_sm *sm, struct vmbus_sm_gpadl *g, const char *why)
{
	pay_created(sm, g, VMBUS_STATUS_FAILED);
	vmsm_gpadl_free(sm, g);
	if (why)
		vmsm_drop(sm, why);
}

static void complete(struct vmbus_sm *sm, struct vmbus_sm_gpadl *g)
{
	if (vmbus_gpadl_check(&g->buf)) {
		fail(sm, g, "GPADL with illegal ranges");
	} else if (g->chan->state == CH_REVOKED) {
		set_state(sm, g, GP_ACCEPTED);
		pay_created(sm, g, VMBUS_STATUS_SUCCESS);
	} else {
		set_state(sm, g, GP_ASKED);
		g->asked = true;
		vmsm_act(sm, &g->work, VMBUS_SM_MAP);
	}
}

/* Why a GPADL cannot be begun, or NULL. Nothing was allocated for it so far. */
static const char *refuse_header(const struct vmbus_sm *sm, const struct vmbus_sm_chan *ch,
				 const struct vmbus_msg_gpadl_header *h)
{
	if (!ch)
		return "GPADL for an unknown relid";
	if (vmbus_gpadl_check_header(h->range_buflen, h->rangecount))
		return "GPADL with an illegal length or range count";
	if (find(ch, h->gpadl) || find_partial(sm, h->gpadl))
		return "GPADL id in use";
	if (sm->nr_gpadls >= VMBUS_SM_MAX_GPADLS || sm->nr_partial >= VMBUS_SM_MAX_PARTIAL ||
	    h->range_buflen / 8u > VMBUS_SM_MAX_GPADL_QWORDS - sm->gpadl_qwords)
		return "GPADL quota";
	return NULL;
}

static struct vmbus_sm_gpadl *create(struct vmbus_sm *sm, struct vmbus_sm_chan *ch,
				     const struct vmbus_msg_gpadl_header *h)
{
	struct vmbus_sm_gpadl *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	if (vmbus_gpadl_init(&g->buf, h->range_buflen, h->rangecount)) {
		free(g);
		return NULL;
	}
	g->chan = ch;
	g->id = h->gpadl;
	TAILQ_INSERT_TAIL(&ch->gpadls, g, link);
	sm->nr_gpadls++;
	sm->gpadl_qwords += g->buf.want;
	sm->gpadl_pages += g->buf.want - g->buf.rangecount;
	set_state(sm, g, GP_PARTIAL);
	vmsm_owe(sm, &g->owes);
	return g;
}

void vmsm_gpadl_header(struct vmbus_sm *sm)
{
	const struct vmbus_msg_gpadl_header *h = &sm->msg->gpadl_header;
	struct vmbus_sm_chan *ch = vmsm_chan_find(sm, h->relid);
	struct vmbus_sm_gpadl *g = NULL;
	const char *why = refuse_header(sm, ch, h);

	if (!why)
		g = create(sm, ch, h);
	if (!g) {
		push_created(sm, h->relid, h->gpadl, VMBUS_STATUS_FAILED);
		vmsm_drop(sm, why ? why : "no memory for a GPADL");
		return;
	}
	if (vmbus_gpadl_add(&g->buf, sm->msg->bytes + sizeof(*h), sm->len - sizeof(*h)))
		complete(sm, g);
}

/* ---- everything after the header ---------------------------------------------------------------
 */

static void append(struct vmbus_sm *sm, struct vmbus_sm_gpadl *g)
{
	uint32_t fixed = sizeof(struct vmbus_msg_gpadl_body);

	if (vmbus_gpadl_add(&g->buf, sm->msg->bytes + fixed, sm->len - fixed))
		complete(sm, g);
}

static void mapped(struct vmbus_sm *sm, struct vmbus_sm_gpadl *g)
{
	g->mapped = true;
	set_state(sm, g, GP_ACCEPTED);
	pay_created(sm, g, VMBUS_STATUS_SUCCESS);
}

static void not_mapped(struct vmbus_sm *sm, struct vmbus_sm_gpadl *g)
{
	fail(sm, g, "GPADL with pages that are not RAM");
}

static void mapped_too_late(struct vmbus_sm *sm, struct vmbus_sm_gpadl *g)
{
	g->mapped = true;
	gpadl_step(sm, g);
}

static void step(struct vmbus_sm *sm, struct vmbus_sm_gpadl *g)
{
	gpadl_step(sm, g);
}

static void teardown(struct vmbus_sm *sm, struct vmbus_sm_gpadl *g)
{
	set_state(sm, g, GP_TEARING);
	vmsm_owe(sm, &g->owes);
	gpadl_step(sm, g);
}

/* The guest does not wait for it any more. */
static void teardown_quietly(struct vmbus_sm *sm, struct vmbus_sm_gpadl *g)
{
	vmsm_pay(sm, &g->owes);
	set_state(sm, g, GP_TEARING);
	gpadl_step(sm, g);
}

static void discard(struct vmbus_sm *sm, struct vmbus_sm_gpadl *g)
{
	vmsm_gpadl_free(sm, g);
}

static void rescinded(struct vmbus_sm *sm, struct vmbus_sm_gpadl *g)
{
	pay_created(sm, g, VMBUS_STATUS_FAILED);
	set_state(sm, g, GP_TEARING);
}

static void stay(struct vmbus_sm *sm, struct vmbus_sm_gpadl *g)
{
	(void)sm;
	(void)g;
}

static void drop(struct vmbus_sm *sm, struct vmbus_sm_gpadl *g)
{
	(void)g;
	vmsm_drop(sm, "no GPADL in the state for it");
}

/*
 * EV_HEADER is not here: it creates when there is no such GPADL and is refused in any
 * other state. EV_BODY finds only GP_PARTIAL. NULL: cannot happen.
 */
static const gpadl_fn gpadl_table[GPADL_EVENTS][GPADL_STATES] = {
	[EV_BODY] = {
		[GP_NONE] = drop,
		[GP_PARTIAL] = append,
	},
	[EV_TEARDOWN] = {
		[GP_NONE] = drop,
		[GP_PARTIAL] = drop,
		[GP_ASKED] = drop,
		[GP_ACCEPTED] = teardown,
		[GP_TEARING] = drop,
	},
	[EV_MAPPED] = {
		[GP_ASKED] = mapped,
		[GP_TEARING] = mapped_too_late,
	},
	[EV_NOT_MAPPED] = {
		[GP_ASKED] = not_mapped,
		[GP_TEARING] = step,
	},
	[EV_UNMAPPED] = {
		[GP_TEARING] = step,
	},
	[EV_CHAN_REVOKED] = {
		[GP_PARTIAL] = stay,
		[GP_ASKED] = rescinded,
		[GP_ACCEPTED] = stay,
		[GP_TEARING] = stay,
	},
	[EV_CHAN_RELEASED] = {
		[GP_PARTIAL] = discard,
		[GP_ASKED] = teardown_quietly,
		[GP_ACCEPTED] = teardown_quietly,
		[GP_TEARING] = stay,
	},
	[EV_CHAN_GONE] = {
		[GP_PARTIAL] = discard,
		[GP_ASKED] = teardown_quietly,
		[GP_ACCEPTED] = teardown_quietly,
		[GP_TEARING] = teardown_quietly,
	},
};

static void event(struct vmbus_sm *sm, struct vmbus_sm_gpadl *g, enum vmsm_gpadl_event ev)
{
	gpadl_fn fn = gpadl_table[ev][g ? g->state : GP_NONE];

	assert(fn);
	fn(sm, g);
}

void vmsm_gpadl_body(struct vmbus_sm *sm)
{
	event(sm, find_partial(sm, sm->msg->gpadl_body.gpadl), EV_BODY);
}

void vmsm_gpadl_teardown(struct vmbus_sm *sm)
{
	const struct vmbus_msg_gpadl_teardown *t = &sm->msg->gpadl_teardown;
	struct vmbus_sm_chan *ch = vmsm_chan_find(sm, t->relid);

	event(sm, ch ? find(ch, t->gpadl) : NULL, EV_TEARDOWN);
}

void vmsm_gpadl_all(struct vmbus_sm *sm, struct vmbus_sm_chan *ch, enum vmsm_gpadl_event ev)
{
	struct vmbus_sm_gpadl *g, *next;

	for (g = TAILQ_FIRST(&ch->gpadls); g; g = next) {
		next = TAILQ_NEXT(g, link);
		event(sm, g, ev);
	}
}

static void answer(struct vmbus_sm *sm, struct vmbus_sm_gpadl *g, enum vmsm_gpadl_event ev)
{
	struct vmbus_sm_chan *ch = g->chan;

	assert(g->asked);
	g->asked = false;
	event(sm, g, ev);
	vmsm_chan_step(sm, ch);
	vmsm_settle(sm);
}

void vmbus_sm_mapped(struct vmbus_sm *sm, struct vmbus_sm_gpadl *g, int err)
{
	answer(sm, g, err ? EV_NOT_MAPPED : EV_MAPPED);
}

void vmbus_sm_unmapped(struct vmbus_sm *sm, struct vmbus_sm_gpadl *g)
{
	g->mapped = false;
	answer(sm, g, EV_UNMAPPED);
}
