/* SPDX-License-Identifier: MIT */
/*
 * A small world around the state machine: a guest that says things, devices that answer
 * when told to (or at once), a list of what was sent. After every input the
 * invariants are checked and each ring that a device has open is read, so that a GPADL freed
 * too early is seen by AddressSanitizer at the step that did it.
 */
#ifndef HVBUS_TESTS_SM_WORLD_H
#define HVBUS_TESTS_SM_WORLD_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "hv-core/hv_defs.h"
#include "tests/ut/vmbus/vmbus_main.h"
#include "vmbus/server_sm_int.h"
#include "vmbus/version.h"

#define W_VPS	   4u
#define W_ACTIONS  8192u
#define W_MESSAGES 16384u

struct world {
	struct vmbus_sm *sm;
	bool hold_map, hold_device; /* actions stay pending until w_answer() */
	bool deaf;		    /* the guest does not read: nothing is taken from the queue */
	uint32_t conn;		    /* connection id of what the guest posts */
	uint32_t opens, closes, detached, reset_done, mapped;
	uint32_t nr_held, nr_sent, taken, nr_open;
	uint32_t loglen;
	/* From here on not cleared. */
	char log[512]; /* what came out, in words */
	struct vmbus_sm_action held[W_ACTIONS];
	struct vmbus_sm_send sent[W_MESSAGES];
	const struct vmbus_sm_open *open[W_ACTIONS]; /* rings in use */
	struct vmbus_sm_chan *open_chan[W_ACTIONS];
};

static struct world w;

static const struct guid w_scsi = VMBUS_CLASS_SCSI;

/* ---- invariants ------------------------------------------------------------------------ */

static inline bool w_pair_legal(enum vmsm_chan_state st, enum vmsm_chan_device dev)
{
	switch (st) {
	case CH_WAITING:
	case CH_OFFERED:
		return dev == DEV_CLOSED;
	case CH_OPENING:
		return dev == DEV_OPENING;
	case CH_OPEN:
		return dev == DEV_OPEN;
	case CH_CLOSING:
	case CH_REOPEN:
		return dev == DEV_CLOSING;
	case CH_RELEASED:
	case CH_REVOKED:
		return dev != DEV_OPEN;
	case CH_STATES:
		break;
	}
	return false;
}

/* Section 4.4: a key is offered once, a sub-channel beside an open primary and, late, beside
 * predecessors that the guest has not released. */
static inline void w_check_offered(const struct vmbus_sm_chan *ch)
{
	const struct vmbus_sm_chan *other;

	if (ch->state < CH_OFFERED)
		return;
	REQUIRE(!ch->sub || ch->state == CH_REVOKED || ch->primary->state == CH_OPEN);
	for (other = TAILQ_NEXT(ch, link); other; other = TAILQ_NEXT(other, link))
		REQUIRE(other->state < CH_OFFERED || other->sub != ch->sub ||
			!guid_equal(&other->instance, &ch->instance) ||
			(ch->sub && (ch->state == CH_REVOKED || other->state == CH_REVOKED)));
}

/* Bodies carry no relid. */
static inline void w_check_partial(const struct vmbus_sm_gpadl *g)
{
	const struct vmbus_sm_gpadl *other;

	for (other = TAILQ_NEXT(g, partial); other; other = TAILQ_NEXT(other, partial))
		REQUIRE(other->id != g->id);
}

struct w_sums {
	uint32_t chans, busy, waiting, rescindable, owed, gpadls, partial, qwords, users, rings;
};

static inline void w_check_chan(const struct vmbus_sm_chan *ch, struct w_sums *s)
{
	const struct vmbus_sm_gpadl *g;

	REQUIRE(w_pair_legal(ch->state, ch->dev));
	REQUIRE((ch->ring != NULL) == (ch->dev != DEV_CLOSED));
	REQUIRE(ch->relid <= VMBUS_MAX_RELID);
	if (ch->relid)
		REQUIRE(w.sm->by_relid[ch->relid] == ch);
	if (ch->state != CH_RELEASED && ch->state != CH_WAITING)
		REQUIRE(ch->relid != 0);
	REQUIRE(!ch->owes_result || ch->state == CH_OPENING || ch->state == CH_REOPEN);
	s->chans++;
	s->busy += ch->dev != DEV_CLOSED || ch->modifying;
	s->waiting += ch->state == CH_WAITING;
	s->rescindable += ch->state >= CH_OFFERED && ch->state <= CH_REOPEN;
	s->owed += ch->owes_result + ch->owes_modify;
	s->rings += ch->ring != NULL;
	TAILQ_FOREACH(g, &ch->gpadls, link)
	{
		REQUIRE(g->chan == ch);
		s->gpadls++;
		s->partial += g->state == GP_PARTIAL;
		s->qwords += g->buf.want;
		s->owed += g->owes;
		s->users += g->users;
	}
}

/* The checks that compare all with all, for small worlds. */
static inline void w_check_pairs(void)
{
	const struct vmbus_sm_gpadl *g;
	const struct vmbus_sm_chan *ch;

	TAILQ_FOREACH(ch, &w.sm->chans, link)
	w_check_offered(ch);
	TAILQ_FOREACH(g, &w.sm->partial, partial)
	w_check_partial(g);
}

/* Of a large world every 16th state, else looking at it takes longer than all that happens. */
static inline bool w_skip_check(const struct vmbus_sm *sm)
{
	static uint32_t turn;

	return sm->nr_gpadls + sm->nr_chans > 100 && ++turn % 16;
}

static inline void w_check(void)
{
	struct vmbus_sm *sm = w.sm;
	const struct vmbus_sm_chan *ch;
	struct w_sums s = { 0 };

	if (w_skip_check(sm))
		return;
	if (sm->nr_chans < 20 && sm->nr_partial < 20)
		w_check_pairs();

	TAILQ_FOREACH(ch, &sm->chans, link)
	w_check_chan(ch, &s);
	REQUIRE(s.chans == sm->nr_chans);
	REQUIRE(s.busy == sm->nr_busy);
	REQUIRE(s.waiting == sm->nr_waiting);
	REQUIRE(s.rescindable == sm->rescindable);
	REQUIRE(s.owed == sm->owed);
	REQUIRE(s.gpadls == sm->nr_gpadls);
	REQUIRE(s.partial == sm->nr_partial);
	REQUIRE(s.qwords == sm->gpadl_qwords);
	REQUIRE(s.users == s.rings);
	REQUIRE(sm->nr_gpadls <= VMBUS_SM_MAX_GPADLS);
	REQUIRE(sm->nr_partial <= VMBUS_SM_MAX_PARTIAL);
	REQUIRE(sm->gpadl_qwords <= VMBUS_SM_MAX_GPADL_QWORDS);
	REQUIRE(sm->queued + sm->owed <= VMBUS_SM_MAX_QUEUE + VMBUS_MAX_RELID);
	REQUIRE(sm->queue_cap >= sm->queued + sm->owed + sm->rescindable);
	for (uint32_t i = 0; i < sm->relids; i++)
		REQUIRE(!sm->by_relid[i] || sm->by_relid[i]->relid == i);
	if (sm->state == CONN_DISCONNECTED)
		REQUIRE(!sm->version && !sm->nr_busy && !sm->nr_gpadls && !sm->owed);
	if (sm->state == CONN_DISCONNECTING)
		REQUIRE(!sm->queued && !sm->owed && (sm->nr_busy || sm->nr_gpadls));
}

/* ---- the log ------------------------------------------------------------------------------ */

static inline PRINTF_LIKE(1, 2) void w_log(const char *fmt, ...)
{
	va_list ap;
	int n;

	if (w.loglen + 64 > sizeof(w.log))
		return;
	if (w.loglen)
		w.loglen += (uint32_t)sprintf(w.log + w.loglen, ", ");
	va_start(ap, fmt);
	n = vsnprintf(w.log + w.loglen, sizeof(w.log) - w.loglen, fmt, ap);
	va_end(ap);
	w.loglen += (uint32_t)n;
}

/* What came out since the last call, messages and actions in order. Actions end with "!". */
static inline const char *w_said(void)
{
	w.log[w.loglen] = '\0';
	w.loglen = 0;
	return w.log;
}

static inline const char *w_ok(uint32_t status)
{
	return status == VMBUS_STATUS_SUCCESS ? "ok" : status == VMBUS_STATUS_FAILED ? "fail" : "?";
}

static inline void w_log_message(const union vmbus_msg *m)
{
	switch (m->hdr.type) {
	case VMBUS_MSG_OFFERCHANNEL:
		w_log(m->offer.sub_index ? "offer %u.%u" : "offer %u", m->offer.relid,
		      m->offer.sub_index);
		break;
	case VMBUS_MSG_RESCIND_CHANNELOFFER:
		w_log("rescind %u", m->relid.relid);
		break;
	case VMBUS_MSG_ALLOFFERS_DELIVERED:
		w_log("all");
		break;
	case VMBUS_MSG_OPENCHANNEL_RESULT:
		w_log("result %u %u %s", m->open_result.relid, m->open_result.open_id,
		      w_ok(m->open_result.status));
		break;
	case VMBUS_MSG_GPADL_CREATED:
		w_log("created %u %u %s", m->gpadl_created.relid, m->gpadl_created.gpadl,
		      w_ok(m->gpadl_created.status));
		break;
	case VMBUS_MSG_GPADL_TORNDOWN:
		w_log("torndown %u", m->gpadl_torndown.gpadl);
		break;
	case VMBUS_MSG_VERSION_RESPONSE:
		w_log("version %u.%u", m->version.supported, m->version.connection_state);
		break;
	case VMBUS_MSG_UNLOAD_RESPONSE:
		w_log("unloaded");
		break;
	case VMBUS_MSG_TL_CONNECT_RESULT:
		w_log("tl %08x", m->tl_result.status);
		break;
	case VMBUS_MSG_MODIFYCHANNEL_RESPONSE:
		w_log("modified %u %s", m->modify_response.relid, w_ok(m->modify_response.status));
		break;
	default:
		ck_abort_msg("message %u was sent", m->hdr.type);
	}
}

static inline void w_log_action(enum vmbus_sm_action_type type)
{
	static const char *const names[] = {
		[VMBUS_SM_OPEN] = "open!",	  [VMBUS_SM_MODIFY] = "modify!",
		[VMBUS_SM_CLOSE] = "close!",	  [VMBUS_SM_DETACHED] = "detached!",
		[VMBUS_SM_MAP] = "map!",	  [VMBUS_SM_UNMAP] = "unmap!",
		[VMBUS_SM_RESET_DONE] = "reset!",
	};

	w_log("%s", names[type]);
}

/* ---- outputs ------------------------------------------------------------------------------- */

static inline void w_ring_open(const struct vmbus_sm_action *a)
{
	REQUIRE(a->open->rings.in_pages >= 2);
	REQUIRE(a->open->rings.out_pages >= 2);
	for (uint32_t i = 0; i < w.nr_open; i++)
		REQUIRE(w.open_chan[i] != a->chan);
	w.open[w.nr_open] = a->open;
	w.open_chan[w.nr_open++] = a->chan;
	w.opens++;
}

static inline void w_ring_closed(const struct vmbus_sm_chan *ch)
{
	for (uint32_t i = 0; i < w.nr_open; i++) {
		if (w.open_chan[i] != ch)
			continue;
		w.nr_open--;
		w.open[i] = w.open[w.nr_open];
		w.open_chan[i] = w.open_chan[w.nr_open];
		return;
	}
	ck_abort_msg("closed, but not open");
}

static inline uint64_t w_read_rings(void)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < w.nr_open; i++) {
		const struct vmbus_gpadl_rings *r = &w.open[i]->rings;

		sum += r->in_pfn[0] + r->in_pfn[r->in_pages - 1];
		sum += r->out_pfn[0] + r->out_pfn[r->out_pages - 1];
	}
	return sum;
}

/* Answers one action; @err for those that can fail. */
static inline void w_answer_one(const struct vmbus_sm_action *a, int err)
{
	switch (a->type) {
	case VMBUS_SM_OPEN:
		if (err)
			w_ring_closed(a->chan);
		vmbus_sm_opened(w.sm, a->chan, err);
		break;
	case VMBUS_SM_MODIFY:
		vmbus_sm_modified(w.sm, a->chan);
		break;
	case VMBUS_SM_CLOSE:
		w_ring_closed(a->chan);
		vmbus_sm_closed(w.sm, a->chan);
		break;
	case VMBUS_SM_MAP:
		w.mapped += !err;
		vmbus_sm_mapped(w.sm, a->gpadl, err);
		break;
	case VMBUS_SM_UNMAP:
		w.mapped--;
		vmbus_sm_unmapped(w.sm, a->gpadl);
		break;
	case VMBUS_SM_DETACHED:
	case VMBUS_SM_RESET_DONE:
		break;
	}
	w_check();
}

static inline bool w_holds(enum vmbus_sm_action_type type)
{
	switch (type) {
	case VMBUS_SM_OPEN:
	case VMBUS_SM_MODIFY:
	case VMBUS_SM_CLOSE:
		return w.hold_device;
	case VMBUS_SM_MAP:
	case VMBUS_SM_UNMAP:
		return w.hold_map;
	case VMBUS_SM_DETACHED:
	case VMBUS_SM_RESET_DONE:
		break;
	}
	return false;
}

static inline void w_action(const struct vmbus_sm_action *a)
{
	w_log_action(a->type);
	switch (a->type) {
	case VMBUS_SM_OPEN:
		w_ring_open(a);
		break;
	case VMBUS_SM_CLOSE:
		w.closes++;
		break;
	case VMBUS_SM_DETACHED:
		w.detached++;
		break;
	case VMBUS_SM_RESET_DONE:
		REQUIRE(w.nr_open == 0);
		w.reset_done++;
		break;
	case VMBUS_SM_MAP:
		REQUIRE(a->chan->state != CH_REVOKED); /* section 4.5 */
		break;
	case VMBUS_SM_MODIFY:
	case VMBUS_SM_UNMAP:
		break;
	}
	if (!w_holds(a->type)) {
		w_answer_one(a, 0);
		return;
	}
	REQUIRE(w.nr_held < W_ACTIONS);
	w.held[w.nr_held++] = *a;
}

/* What the bus does after each input. */
static inline void w_pump(void)
{
	const struct vmbus_sm_send *s;
	struct vmbus_sm_action a;

	w_check();
	w_read_rings();
	while (vmbus_sm_next_action(w.sm, &a)) {
		w_action(&a);
		w_read_rings();
	}
	while (!w.deaf && (s = vmbus_sm_next_send(w.sm))) {
		REQUIRE(w.nr_sent < W_MESSAGES);
		REQUIRE(s->vp < W_VPS);
		REQUIRE(vmbus_msg_check(VMBUS_FROM_HOST, VMBUS_VERSION_MAX, &s->msg, s->len) ==
			VMBUS_MSG_OK);
		w.sent[w.nr_sent++] = *s;
		w_log_message(&s->msg);
		vmbus_sm_sent(w.sm);
		w_check();
	}
}

/* Answers the first held action of @type; false when there is none. */
static inline bool w_answer(enum vmbus_sm_action_type type, int err)
{
	for (uint32_t i = 0; i < w.nr_held; i++) {
		struct vmbus_sm_action a = w.held[i];

		if (a.type != type)
			continue;
		w.nr_held--;
		memmove(&w.held[i], &w.held[i + 1], (w.nr_held - i) * sizeof(a));
		w_answer_one(&a, err);
		w_pump();
		return true;
	}
	return false;
}

static inline void w_answer_all(void)
{
	bool map = w.hold_map, device = w.hold_device;

	w.hold_map = w.hold_device = false;
	while (w.nr_held) {
		struct vmbus_sm_action a = w.held[--w.nr_held];

		w_answer_one(&a, 0);
		w_pump();
	}
	w.hold_map = map;
	w.hold_device = device;
}

/* ---- the guest ----------------------------------------------------------------------------------
 */

static inline int w_post(const void *msg, uint32_t len)
{
	uint8_t *exact = malloc(len ? len : 1); /* so that ASan sees a read behind it */
	int err;

	if (exact)
		memcpy(exact, msg, len);
	err = vmbus_sm_message(w.sm, w.conn, exact ? exact : msg, len);
	free(exact);
	w_pump();
	return err;
}

static inline int g_header_only(enum vmbus_msg_type type)
{
	union vmbus_msg m;

	return w_post(&m, vmbus_msg_init(&m, type));
}

static inline int g_contact(uint32_t version)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_INITIATE_CONTACT);

	w.conn = version >= VMBUS_V5_0 ? HV_CONN_VMBUS_CONTACT : HV_CONN_VMBUS_MESSAGE;
	m.contact.version = version;
	if (version >= VMBUS_V5_0)
		m.contact.target_sint = 2;
	return w_post(&m, len);
}

/* CLOSECHANNEL or RELID_RELEASED. */
static inline int g_relid(enum vmbus_msg_type type, uint32_t relid)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, type);

	m.relid.relid = relid;
	return w_post(&m, len);
}

static inline int g_open_full(uint32_t relid, uint32_t open_id, uint32_t gpadl, uint32_t vp,
			      uint32_t downstream)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_OPENCHANNEL);

	m.open.relid = relid;
	m.open.open_id = open_id;
	m.open.gpadl = gpadl;
	m.open.target_vp = vp;
	m.open.downstream_page = downstream;
	memset(m.open.user, 0xa5, sizeof(m.open.user));
	return w_post(&m, len);
}

static inline int g_open(uint32_t relid, uint32_t gpadl)
{
	return g_open_full(relid, relid, gpadl, 0, 4);
}

static inline int g_modify(uint32_t relid, uint32_t vp)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_MODIFYCHANNEL);

	m.modify.relid = relid;
	m.modify.target_vp = vp;
	return w_post(&m, len);
}

/* A header that promises @pages pages and carries @n of them. */
static inline int g_gpadl_header(uint32_t relid, uint32_t id, uint32_t pages, uint32_t n)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_GPADL_HEADER);
	struct vmbus_gpa_range range = { .byte_count = pages * 4096 };

	m.gpadl_header.relid = relid;
	m.gpadl_header.gpadl = id;
	m.gpadl_header.range_buflen = (uint16_t)(8 + 8 * pages);
	m.gpadl_header.rangecount = 1;
	memcpy(m.bytes + len, &range, sizeof(range));
	len += sizeof(range);
	for (uint64_t pfn = 0; pfn < n; pfn++, len += 8)
		memcpy(m.bytes + len, &pfn, sizeof(pfn));
	return w_post(&m, len);
}

static inline int g_gpadl_body(uint32_t id, uint32_t n)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_GPADL_BODY);

	m.gpadl_body.gpadl = id;
	for (uint64_t pfn = 0; pfn < n; pfn++, len += 8)
		memcpy(m.bytes + len, &pfn, sizeof(pfn));
	return w_post(&m, len);
}

static inline int g_gpadl(uint32_t relid, uint32_t id)
{
	return g_gpadl_header(relid, id, 8, 8);
}

static inline int g_teardown(uint32_t relid, uint32_t id)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_GPADL_TEARDOWN);

	m.gpadl_teardown.relid = relid;
	m.gpadl_teardown.gpadl = id;
	return w_post(&m, len);
}

/* ---- what was sent
 * ---------------------------------------------------------------------------------- */

/* The next message, which must be of @type. */
static inline const union vmbus_msg *w_take(enum vmbus_msg_type type)
{
	const union vmbus_msg *m;

	ck_assert_msg(w.taken < w.nr_sent, "%s expected, nothing was sent", vmbus_msg_name(type));
	m = &w.sent[w.taken++].msg;
	ck_assert_msg(m->hdr.type == type, "%s expected, %s was sent", vmbus_msg_name(type),
		      vmbus_msg_name(m->hdr.type));
	return m;
}

static inline void w_silent(void)
{
	ck_assert_msg(w.taken == w.nr_sent, "%s was sent",
		      vmbus_msg_name(w.sent[w.taken].msg.hdr.type));
}

static inline void w_forget(void)
{
	w.nr_sent = w.taken = 0;
	w.loglen = 0;
}

static inline void w_take_result(uint32_t relid, uint32_t open_id, bool ok)
{
	const union vmbus_msg *m = w_take(VMBUS_MSG_OPENCHANNEL_RESULT);

	ck_assert_uint_eq(m->open_result.relid, relid);
	ck_assert_uint_eq(m->open_result.open_id, open_id);
	ck_assert_uint_eq(m->open_result.status, ok ? VMBUS_STATUS_SUCCESS : VMBUS_STATUS_FAILED);
}

static inline void w_take_created(uint32_t relid, uint32_t id, bool ok)
{
	const union vmbus_msg *m = w_take(VMBUS_MSG_GPADL_CREATED);

	ck_assert_uint_eq(m->gpadl_created.relid, relid);
	ck_assert_uint_eq(m->gpadl_created.gpadl, id);
	ck_assert_uint_eq(m->gpadl_created.status, ok ? VMBUS_STATUS_SUCCESS : VMBUS_STATUS_FAILED);
}

static inline void w_take_torndown(uint32_t id)
{
	ck_assert_uint_eq(w_take(VMBUS_MSG_GPADL_TORNDOWN)->gpadl_torndown.gpadl, id);
}

static inline void w_take_modify(uint32_t relid, bool ok)
{
	const union vmbus_msg *m = w_take(VMBUS_MSG_MODIFYCHANNEL_RESPONSE);

	ck_assert_uint_eq(m->modify_response.relid, relid);
	ck_assert_uint_eq(m->modify_response.status,
			  ok ? VMBUS_STATUS_SUCCESS : VMBUS_STATUS_FAILED);
}

static inline uint32_t w_take_relid(enum vmbus_msg_type type)
{
	return w_take(type)->relid.relid;
}

static inline uint32_t w_take_offer(uint16_t sub)
{
	const union vmbus_msg *m = w_take(VMBUS_MSG_OFFERCHANNEL);

	ck_assert_uint_eq(m->offer.sub_index, sub);
	ck_assert_uint_eq(m->offer.connection_id, 0x2000 + m->offer.relid);
	return m->offer.relid;
}

/* The one message more that was dropped since @before. */
#define W_DROPPED(before, n) ck_assert_uint_eq(w.sm->dropped - (before), n)

/* ---- beginning and end
 * ---------------------------------------------------------------------------------- */

static inline void w_up_max(uint32_t max_version)
{
	struct vmbus_sm_config cfg = { .max_version = max_version, .nr_vps = W_VPS };

	memset(&w, 0, offsetof(struct world, log));
	w.conn = HV_CONN_VMBUS_MESSAGE;
	ck_assert_int_eq(vmbus_sm_create(&w.sm, &cfg), 0);
}

static inline void w_up(void)
{
	w_up_max(0);
}

static inline int w_try_offer(uint32_t n, struct vmbus_sm_chan **ch)
{
	struct vmbus_sm_offer o = { .type = w_scsi, .name = "scsi" };
	int err;

	memcpy(o.instance.b, &n, sizeof(n));
	err = vmbus_sm_offer(w.sm, &o, (void *)(uintptr_t)(n + 1), ch);
	w_pump();
	return err;
}

static inline struct vmbus_sm_chan *w_offer(uint32_t n)
{
	struct vmbus_sm_chan *ch = NULL;

	ck_assert_int_eq(w_try_offer(n, &ch), 0);
	return ch;
}

static inline struct vmbus_sm_chan *w_offer_sub(struct vmbus_sm_chan *primary, uint16_t sub)
{
	struct vmbus_sm_chan *ch = NULL;

	ck_assert_int_eq(vmbus_sm_offer_sub(w.sm, primary, sub, &w, &ch), 0);
	w_pump();
	return ch;
}

static inline void w_revoke(struct vmbus_sm_chan *ch)
{
	vmbus_sm_revoke(w.sm, ch);
	w_pump();
}

static inline void w_reset(void)
{
	vmbus_sm_reset(w.sm);
	w_pump();
}

/* Connected with @version, offers delivered, nothing left to read. */
static inline void w_connect(uint32_t version)
{
	w_forget();
	ck_assert_int_eq(g_contact(version), 0);
	ck_assert_uint_eq(w_take(VMBUS_MSG_VERSION_RESPONSE)->version.supported, 1);
	ck_assert_int_eq(g_header_only(VMBUS_MSG_REQUESTOFFERS), 0);
	w_forget();
}

/* Everybody answers, the guest goes, nothing may be left. */
static inline void w_down(void)
{
	uint32_t before;

	w_answer_all();
	before = w.reset_done;
	w.hold_map = w.hold_device = false;
	w_reset();
	ck_assert_uint_eq(w.reset_done, before + 1);
	ck_assert_uint_eq(w.nr_open, 0);
	ck_assert_uint_eq(w.mapped, 0);
	ck_assert_uint_eq(w.sm->nr_gpadls, 0);
	ck_assert_int_eq(w.sm->state, CONN_DISCONNECTED);
	vmbus_sm_destroy(w.sm);
}

#endif
