/* SPDX-License-Identifier: MIT */
/*
 * Random histories (spec: hostile cases V45): 64 steps each, from fixed seeds. A step is a
 * message of the grammar, mostly sensible, an answer of a device, something a device does,
 * or the guest going deaf. After each step the world checks the state machine's own books
 * (sm_world.h), and the model here checks what a guest can see:
 *
 *   at most one answer per request, and none without one
 *   a relid is not offered again before it was released, not rescinded before offered
 *   ALLOFFERS once per connection
 *   no GPADL_TORNDOWN that was not asked for
 */
#include "tests/ut/vmbus/sm_world.h"

#define RELIDS	8u
#define IDS	6u
#define DEVICES 3u
#define STEPS	64u

static uint64_t rng;

static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 33) % n;
}

/* ---- what the guest may expect ----------------------------------------------------------- */

static struct model {
	uint32_t created[RELIDS][IDS]; /* headers without an answer */
	uint32_t torndown[IDS];	       /* teardowns without one */
	uint32_t modified[RELIDS];
	uint32_t offers[RELIDS], rescinds[RELIDS], releases[RELIDS];
	bool all_asked;
	uint32_t all;
} model;

/* open_id is never reused: how many answers each got. */
static uint8_t results[STEPS * 4];
static uint32_t next_open_id;

static void take(const union vmbus_msg *m)
{
	switch (m->hdr.type) {
	case VMBUS_MSG_OFFERCHANNEL:
		REQUIRE(m->offer.relid < RELIDS);
		model.offers[m->offer.relid]++;
		REQUIRE(model.offers[m->offer.relid] <= model.releases[m->offer.relid] + 1);
		break;
	case VMBUS_MSG_RESCIND_CHANNELOFFER:
		model.rescinds[m->relid.relid]++;
		REQUIRE(model.rescinds[m->relid.relid] <= model.offers[m->relid.relid]);
		break;
	case VMBUS_MSG_ALLOFFERS_DELIVERED:
		REQUIRE(model.all_asked && !model.all++);
		break;
	case VMBUS_MSG_OPENCHANNEL_RESULT:
		REQUIRE(m->open_result.open_id < next_open_id);
		REQUIRE(!results[m->open_result.open_id]++);
		break;
	case VMBUS_MSG_GPADL_CREATED:
		REQUIRE(model.created[m->gpadl_created.relid][m->gpadl_created.gpadl]-- > 0);
		break;
	case VMBUS_MSG_GPADL_TORNDOWN:
		REQUIRE(model.torndown[m->gpadl_torndown.gpadl]-- > 0);
		break;
	case VMBUS_MSG_MODIFYCHANNEL_RESPONSE:
		REQUIRE(model.modified[m->modify_response.relid]-- > 0);
		break;
	default:
		break;
	}
}

static void take_all(void)
{
	for (uint32_t i = 0; i < w.nr_sent; i++)
		take(&w.sent[i].msg);
	w_forget();
}

/* ---- choices: mostly something that exists ------------------------------------------------ */

static const struct vmbus_sm_chan *some_chan(void)
{
	const struct vmbus_sm_chan *ch;
	uint32_t n = w.sm->nr_chans ? rnd(w.sm->nr_chans) : 0;

	TAILQ_FOREACH(ch, &w.sm->chans, link)
	{
		if (!n--)
			return ch->relid ? ch : NULL;
	}
	return NULL;
}

static uint32_t some_gpadl(const struct vmbus_sm_chan *ch)
{
	const struct vmbus_sm_gpadl *g = ch ? TAILQ_FIRST(&ch->gpadls) : NULL;

	return g && rnd(4) ? g->id : rnd(IDS);
}

static uint32_t some_relid(void)
{
	const struct vmbus_sm_chan *ch = some_chan();

	return ch && rnd(8) ? ch->relid : rnd(RELIDS);
}

/* ---- the guest ------------------------------------------------------------------------------- */

static void contact(void)
{
	static const uint32_t odd[] = { 0, VMBUS_V2_4, VMBUS_V6_0, 0xffffffff };

	/* What was still on its way belongs to the old connection. */
	memset(&model, 0, sizeof(model));
	g_contact(rnd(8) ? vmbus_versions[rnd(VMBUS_NR_VERSIONS)] : odd[rnd(ARRAY_SIZE(odd))]);
}

static void unload(void)
{
	if (w.sm->state == CONN_CONNECTED)
		memset(&model, 0, sizeof(model));
	g_header_only(VMBUS_MSG_UNLOAD);
}

static void request_offers(void)
{
	if (w.sm->state == CONN_CONNECTED)
		model.all_asked = true;
	g_header_only(VMBUS_MSG_REQUESTOFFERS);
}

static bool connected(void)
{
	return w.sm->state == CONN_CONNECTED;
}

static void header(void)
{
	static const uint32_t pages[] = { 0, 1, 3, 4, 8, 8, 8, 26, 27, 40 };
	uint32_t relid = some_relid(), id = rnd(IDS), n = pages[rnd(ARRAY_SIZE(pages))];

	model.created[relid][id] += connected();
	g_gpadl_header(relid, id, n, rnd(6) ? (n < 26 ? n : 26) : rnd(27));
}

static void body(void)
{
	const struct vmbus_sm_gpadl *g = TAILQ_FIRST(&w.sm->partial);

	g_gpadl_body(g && rnd(4) ? g->id : rnd(IDS), rnd(29));
}

static void teardown(void)
{
	const struct vmbus_sm_chan *ch = some_chan();
	uint32_t id = some_gpadl(ch);

	model.torndown[id] += connected();
	g_teardown(ch ? ch->relid : rnd(RELIDS), id);
}

static void open_channel(void)
{
	const struct vmbus_sm_chan *ch = some_chan();
	uint32_t id = some_gpadl(ch);

	g_open_full(ch ? ch->relid : rnd(RELIDS), next_open_id++, id,
		    rnd(5) ? rnd(W_VPS) : rnd(W_VPS + 2) - 1, rnd(5) ? 4 : rnd(10));
}

static void close_channel(void)
{
	g_relid(VMBUS_MSG_CLOSECHANNEL, some_relid());
}

static void modify(void)
{
	uint32_t relid = some_relid();

	model.modified[relid] += connected();
	g_modify(relid, rnd(W_VPS + 1));
}

static void release(void)
{
	uint32_t relid = some_relid();

	model.releases[relid] += vmsm_chan_find(w.sm, relid) != NULL;
	g_relid(VMBUS_MSG_RELID_RELEASED, relid);
}

/* Any type, any length, plausible small numbers or noise; nothing the model could not count. */
static void noise(void)
{
	union vmbus_msg m;
	uint32_t len = rnd(VMBUS_MSG_MAX + 1);

	for (uint32_t i = 0; i < sizeof(m); i++)
		m.bytes[i] = rnd(2) ? 0 : (uint8_t)rnd(256);
	m.hdr.type = rnd(4) ? 17 + rnd(14) : 0x80000000u + rnd(100);
	if (m.hdr.type == VMBUS_MSG_MODIFYCHANNEL)
		return;
	w_post(&m, len);
}

/* ---- the devices
 * ---------------------------------------------------------------------------------- */

static struct vmbus_sm_chan *device[DEVICES];

static void offer(void)
{
	uint32_t i = rnd(DEVICES);

	if (!device[i])
		w_try_offer(i, &device[i]);
}

static void offer_sub(void)
{
	struct vmbus_sm_chan *primary = device[rnd(DEVICES)], *ch;

	if (primary && w.sm->nr_chans < RELIDS - 1) {
		vmbus_sm_offer_sub(w.sm, primary, (uint16_t)(1 + rnd(2)), &w, &ch);
		w_pump();
	}
}

static void offer_late(void)
{
	const struct vmbus_sm_chan *primary = device[rnd(DEVICES)];

	if (primary) {
		vmbus_sm_offer_late(w.sm, primary);
		w_pump();
	}
}

static void revoke(void)
{
	uint32_t i = rnd(DEVICES);

	if (device[i] && w.sm->nr_chans < RELIDS - DEVICES) {
		w_revoke(device[i]);
		device[i] = NULL;
	}
}

static void answer(void)
{
	static const enum vmbus_sm_action_type kind[] = { VMBUS_SM_OPEN,   VMBUS_SM_OPEN,
							  VMBUS_SM_MODIFY, VMBUS_SM_CLOSE,
							  VMBUS_SM_CLOSE,  VMBUS_SM_MAP,
							  VMBUS_SM_MAP,	   VMBUS_SM_UNMAP };

	for (int i = 0; i < 4; i++) {
		if (w_answer(kind[rnd(ARRAY_SIZE(kind))], rnd(6) ? 0 : -EIO))
			return;
	}
}

static void change_hearing(void)
{
	w.deaf = !w.deaf;
	w_pump();
}

static void change_mood(void)
{
	w.hold_device = rnd(2);
	w.hold_map = rnd(2);
}

static void reset(void)
{
	memset(&model, 0, sizeof(model));
	w_reset();
}

/* Rare, because little survives it. */
static void big_change(void)
{
	static void (*const which[])(void) = { contact, unload, request_offers, reset };

	if (rnd(4) == 0 || !connected())
		which[rnd(4)]();
}

static void (*const steps[])(void) = {
	header,	      header,	     body,	    teardown,	    open_channel, open_channel,
	open_channel, close_channel, close_channel, modify,	    release,	  noise,
	offer,	      offer_sub,     offer_late,    revoke,	    answer,	  answer,
	answer,	      answer,	     answer,	    change_hearing, change_mood,  big_change,
};

/* ---- histories
 * --------------------------------------------------------------------------------------- */

static void begin(uint64_t seed)
{
	rng = seed * 0x9e3779b97f4a7c15u + 1;
	memset(&model, 0, sizeof(model));
	memset(results, 0, next_open_id);
	memset(device, 0, sizeof(device));
	next_open_id = 0;
	w_up();
	for (uint32_t i = 0; i < DEVICES; i++)
		device[i] = w_offer(i);
	if (rnd(8)) { /* most get somewhere */
		w.hold_device = rnd(4);
		w_connect(rnd(3) ? VMBUS_V5_3 : vmbus_versions[rnd(VMBUS_NR_VERSIONS)]);
		for (uint32_t i = 1; i <= DEVICES; i++)
			model.offers[i] = 1;
		model.all_asked = true;
		model.all = 1;
	}
}

/* Everybody answers and the guest listens: then nothing is under way. */
static void quiesce(void)
{
	const struct vmbus_sm_gpadl *g;
	const struct vmbus_sm_chan *ch;

	w.deaf = false;
	w_answer_all();
	w_pump();
	w_answer_all();
	take_all();
	REQUIRE(!w.sm->queued && w.sm->state != CONN_DISCONNECTING);
	TAILQ_FOREACH(ch, &w.sm->chans, link)
	{
		REQUIRE(ch->state != CH_OPENING && ch->state != CH_CLOSING &&
			ch->state != CH_REOPEN && !ch->modifying);
		REQUIRE(!ch->owes_result && !ch->owes_modify);
		/* Owed: the answer to half a GPADL, or to the teardown of an open ring. */
		TAILQ_FOREACH(g, &ch->gpadls, link)
		REQUIRE(!g->owes || g->state == GP_PARTIAL || g->users);
	}
}

static void one_history(uint64_t seed)
{
	begin(seed);
	for (uint32_t i = 0; i < STEPS; i++) {
		steps[rnd(ARRAY_SIZE(steps))]();
		take_all();
	}
	quiesce();
	w_down();
}

START_TEST(v45_any_sequence)
{
	for (uint64_t seed = 1; seed <= TIMES(30000); seed++)
		one_history(seed);
}
END_TEST

VMBUS_MAIN("vmbus/server_sm_random", v45_any_sequence)
