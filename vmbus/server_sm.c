/* SPDX-License-Identifier: MIT */
/*
 * The connection: message table, version negotiation, disconnect (spec: vmbus,
 * sections 3, 7 and 12.1).
 *
 * INITIATE_CONTACT is legal at any time (kexec, firmware handing over to a kernel): the
 * old connection is taken down completely before the new one is answered, and while that
 * lasts the latest INITIATE_CONTACT or UNLOAD wins.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/nospec.h"
#include "hv-core/hv_defs.h"
#include "vmbus/server_sm_int.h"
#include "vmbus/version.h"

typedef void (*conn_fn)(struct vmbus_sm *sm);

void vmsm_drop(struct vmbus_sm *sm, const char *why)
{
	sm->dropped++;
	sm->last_drop = why;
	sm->last_drop_type = sm->msg ? sm->msg->hdr.type : 0;
}

/* ---- negotiation -------------------------------------------------------------------- */

/* Section 3.4, rules 2 and 3. */
static bool is_acceptable(const struct vmbus_sm *sm, const struct vmbus_msg_initiate_contact *c,
			  uint32_t conn)
{
	if (!vmbus_version_spoken(c->version, sm->max_version) || c->target_vp >= sm->nr_vps)
		return false;
	if (conn != HV_CONN_VMBUS_CONTACT || c->version < VMBUS_V5_0)
		return true;
	return c->target_sint == HV_VMBUS_SINT && (c->version < VMBUS_V5_1 || !c->target_vtl);
}

static bool is_page(uint64_t gpa)
{
	return gpa && gpa % VMBUS_PAGE_SIZE == 0;
}

/* Both or none; they are never used, because no channel is offered with a monitor. */
static bool monitor_pages_ok(const struct vmbus_msg_initiate_contact *c)
{
	if (!c->monitor_page1 && !c->monitor_page2)
		return true;
	return is_page(c->monitor_page1) && is_page(c->monitor_page2);
}

static void negotiate(struct vmbus_sm *sm, const struct vmbus_msg_initiate_contact *c,
		      uint32_t conn)
{
	union vmbus_msg m;

	vmsm_flush(sm);
	vmbus_msg_init(&m, VMBUS_MSG_VERSION_RESPONSE);
	sm->msg_vp = c->target_vp < sm->nr_vps ? c->target_vp : 0;
	if (!is_acceptable(sm, c, conn)) {
		vmsm_push(sm, &m);
		return;
	}
	m.version.supported = 1;
	m.version.version_or_connection = c->version < VMBUS_V5_0 ? c->version : conn;
	if (monitor_pages_ok(c)) {
		sm->state = CONN_CONNECTED;
		sm->version = c->version;
		sm->offers_sent = false;
	} else {
		m.version.connection_state = VMBUS_CONNECTION_FAILED;
	}
	vmsm_push(sm, &m);
}

/* ---- disconnect -------------------------------------------------------------------------- */

static void begin_disconnect(struct vmbus_sm *sm)
{
	struct vmbus_sm_chan *ch, *next;

	sm->state = CONN_DISCONNECTING;
	/* Backwards: sub-channels before their primary. Each may free itself. */
	for (ch = TAILQ_LAST(&sm->chans, vmsm_chans); ch; ch = next) {
		next = TAILQ_PREV(ch, vmsm_chans, link);
		vmsm_chan_event(sm, ch, EV_CLIENT_GONE);
	}
	/* Now, that nothing is owed: a stale OFFER must not follow a new VERSION_RESPONSE. */
	assert(!sm->owed && !sm->rescindable && !sm->nr_waiting);
	vmsm_flush(sm);
	sm->offers_sent = false;
}

static void finish_disconnect(struct vmbus_sm *sm)
{
	enum vmsm_next next = sm->next;
	union vmbus_msg m;

	sm->state = CONN_DISCONNECTED;
	sm->version = 0;
	sm->next = NEXT_NOTHING;
	sm->reset_done |= sm->resetting;
	sm->resetting = false;
	if (next == NEXT_UNLOAD_RESPONSE) {
		vmbus_msg_init(&m, VMBUS_MSG_UNLOAD_RESPONSE);
		vmsm_push(sm, &m);
	} else if (next == NEXT_CONTACT) {
		negotiate(sm, &sm->contact, sm->contact_conn);
	}
}

void vmsm_settle(struct vmbus_sm *sm)
{
	if (sm->state == CONN_DISCONNECTING && !sm->nr_busy && !sm->nr_gpadls)
		finish_disconnect(sm);
	vmsm_offer_waiting(sm);
}

/* ---- handlers ------------------------------------------------------------------------------- */

static void contact(struct vmbus_sm *sm)
{
	negotiate(sm, &sm->msg->contact, sm->conn);
}

static void contact_later(struct vmbus_sm *sm)
{
	sm->next = NEXT_CONTACT;
	sm->contact = sm->msg->contact;
	sm->contact_conn = sm->conn;
}

static void contact_again(struct vmbus_sm *sm)
{
	contact_later(sm);
	begin_disconnect(sm);
}

static void unload(struct vmbus_sm *sm)
{
	sm->next = NEXT_UNLOAD_RESPONSE;
	begin_disconnect(sm);
}

static void unload_later(struct vmbus_sm *sm)
{
	if (sm->resetting && sm->next == NEXT_NOTHING)
		vmsm_drop(sm, "unload of a connection that was reset");
	else
		sm->next = NEXT_UNLOAD_RESPONSE;
}

static void request_offers(struct vmbus_sm *sm)
{
	if (sm->offers_sent)
		vmsm_drop(sm, "offers requested twice");
	else if (vmsm_offer_all(sm))
		sm->refuse = true;
}

static void open_channel(struct vmbus_sm *sm)
{
	struct vmbus_sm_chan *ch = vmsm_chan_find(sm, sm->msg->open.relid);

	if (ch) {
		vmsm_chan_event(sm, ch, EV_OPENCHANNEL);
		return;
	}
	vmsm_chan_refuse_open(sm, sm->msg->open.relid, sm->msg->open.open_id);
	vmsm_drop(sm, "open of an unknown relid");
}

static void close_channel(struct vmbus_sm *sm)
{
	struct vmbus_sm_chan *ch = vmsm_chan_find(sm, sm->msg->relid.relid);

	if (ch)
		vmsm_chan_event(sm, ch, EV_CLOSECHANNEL);
	else
		vmsm_drop(sm, "close of an unknown relid");
}

static void modify_channel(struct vmbus_sm *sm)
{
	struct vmbus_sm_chan *ch = vmsm_chan_find(sm, sm->msg->modify.relid);

	if (ch) {
		vmsm_chan_event(sm, ch, EV_MODIFYCHANNEL);
		return;
	}
	vmsm_chan_refuse_modify(sm, sm->msg->modify.relid);
	vmsm_drop(sm, "modification of an unknown relid");
}

static void relid_released(struct vmbus_sm *sm)
{
	struct vmbus_sm_chan *ch = vmsm_chan_find(sm, sm->msg->relid.relid);

	if (ch)
		vmsm_chan_event(sm, ch, EV_RELID_RELEASED);
	else
		vmsm_drop(sm, "release of an unknown relid");
}

/* There is no hvsock service: refuse, where the version has words for it (section 8). */
static void tl_connect(struct vmbus_sm *sm)
{
	union vmbus_msg r;

	vmsm_drop(sm, "no hvsock service");
	if (sm->version < VMBUS_V4_1)
		return;
	vmbus_msg_init(&r, VMBUS_MSG_TL_CONNECT_RESULT);
	r.tl_result.endpoint = sm->msg->tl_connect.endpoint;
	r.tl_result.service = sm->msg->tl_connect.service;
	r.tl_result.status = VMBUS_STATUS_CONNECTION_REFUSED;
	vmsm_push(sm, &r);
}

/* ---- the table
 * ----------------------------------------------------------------------------------- */

/* Empty: drop. @replies: what may have to be said because of it, at most. */
static const struct conn_cell {
	conn_fn handle;
	uint32_t replies;
} conn_table[CONN_STATES][VMBUS_MSG_TYPES] = {
	[CONN_DISCONNECTED] = {
		[VMBUS_MSG_INITIATE_CONTACT] = { contact, 0 },
	},
	[CONN_CONNECTED] = {
		[VMBUS_MSG_INITIATE_CONTACT] = { contact_again, 0 },
		[VMBUS_MSG_UNLOAD] = { unload, 0 },
		[VMBUS_MSG_REQUESTOFFERS] = { request_offers, 0 },
		[VMBUS_MSG_OPENCHANNEL] = { open_channel, 1 },
		[VMBUS_MSG_CLOSECHANNEL] = { close_channel, 0 },
		[VMBUS_MSG_GPADL_HEADER] = { vmsm_gpadl_header, 1 },
		[VMBUS_MSG_GPADL_BODY] = { vmsm_gpadl_body, 0 },
		[VMBUS_MSG_GPADL_TEARDOWN] = { vmsm_gpadl_teardown, 1 },
		[VMBUS_MSG_RELID_RELEASED] = { relid_released, 0 },
		[VMBUS_MSG_TL_CONNECT_REQUEST] = { tl_connect, 1 },
		[VMBUS_MSG_MODIFYCHANNEL] = { modify_channel, 1 },
	},
	[CONN_DISCONNECTING] = {
		[VMBUS_MSG_INITIATE_CONTACT] = { contact_later, 0 },
		[VMBUS_MSG_UNLOAD] = { unload_later, 0 },
	},
};

static int dispatch(struct vmbus_sm *sm)
{
	const struct conn_cell *cell =
		&conn_table[sm->state][index_nospec(sm->msg->hdr.type, VMBUS_MSG_TYPES)];

	if (!cell->handle) {
		vmsm_drop(sm, "message without a meaning in this state");
		return 0;
	}
	if (cell->replies && vmsm_room(sm, cell->replies, 0))
		return -EAGAIN;
	sm->refuse = false;
	cell->handle(sm);
	return sm->refuse ? -EAGAIN : 0;
}

static int handle(struct vmbus_sm *sm)
{
	enum vmbus_msg_fault fault =
		vmbus_msg_check(VMBUS_FROM_GUEST, sm->version, sm->msg, sm->len);
	int err;

	if (fault) {
		vmsm_drop(sm, vmbus_msg_fault_text(fault));
		return 0;
	}
	err = dispatch(sm);
	if (!err)
		vmsm_settle(sm);
	return err;
}

int vmbus_sm_message(struct vmbus_sm *sm, uint32_t conn, const void *msg, uint32_t len)
{
	union vmbus_msg m;
	int err;

	memset(&m, 0, sizeof(m));
	memcpy(&m, msg, len < sizeof(m) ? len : sizeof(m));
	sm->msg = &m;
	sm->len = len;
	sm->conn = conn;
	err = handle(sm);
	sm->msg = NULL;
	if (err)
		sm->refused++;
	else
		sm->messages_in++;
	return err;
}

void vmbus_sm_reset(struct vmbus_sm *sm)
{
	sm->next = NEXT_NOTHING;
	sm->resetting = true;
	if (sm->state != CONN_DISCONNECTING)
		begin_disconnect(sm);
	vmsm_settle(sm);
}

/* ---- answers of the bus
 * ------------------------------------------------------------------------------ */

void vmbus_sm_opened(struct vmbus_sm *sm, struct vmbus_sm_chan *ch, int err)
{
	assert(ch->dev == DEV_OPENING);
	vmsm_chan_event(sm, ch, err ? EV_OPEN_FAILED : EV_OPENED);
	vmsm_settle(sm);
}

void vmbus_sm_closed(struct vmbus_sm *sm, struct vmbus_sm_chan *ch)
{
	assert(ch->dev == DEV_CLOSING);
	vmsm_chan_event(sm, ch, EV_CLOSED);
	vmsm_settle(sm);
}

/* ---- life and inspection
 * ------------------------------------------------------------------------------- */

int vmbus_sm_create(struct vmbus_sm **out, const struct vmbus_sm_config *cfg)
{
	struct vmbus_sm *sm;

	if (!cfg->nr_vps)
		return -EINVAL;
	sm = calloc(1, sizeof(*sm));
	if (!sm)
		return -ENOMEM;
	sm->max_version = cfg->max_version ? cfg->max_version : VMBUS_VERSION_MAX;
	sm->nr_vps = cfg->nr_vps;
	TAILQ_INIT(&sm->chans);
	TAILQ_INIT(&sm->partial);
	TAILQ_INIT(&sm->works);
	if (vmsm_room(sm, 1, 0)) {
		free(sm);
		return -ENOMEM;
	}
	*out = sm;
	return 0;
}

void vmbus_sm_destroy(struct vmbus_sm *sm)
{
	struct vmbus_sm_chan *ch;

	while ((ch = TAILQ_FIRST(&sm->chans)))
		vmsm_chan_free(sm, ch);
	free(sm->by_relid);
	free(sm->queue);
	free(sm);
}

void vmbus_sm_stats(const struct vmbus_sm *sm, struct vmbus_sm_stats *out)
{
	static const char *const names[CONN_STATES] = {
		[CONN_DISCONNECTED] = "disconnected",
		[CONN_CONNECTED] = "connected",
		[CONN_DISCONNECTING] = "disconnecting",
	};

	*out = (struct vmbus_sm_stats){
		.state = names[sm->state],
		.version = sm->version,
		.messages_in = sm->messages_in,
		.messages_out = sm->messages_out,
		.dropped = sm->dropped,
		.refused = sm->refused,
		.last_drop = sm->last_drop,
		.last_drop_type = sm->last_drop_type,
		.channels = sm->nr_chans,
		.gpadls = sm->nr_gpadls,
		.gpadl_pages = sm->gpadl_pages,
		.queued = sm->queued,
	};
}

const struct vmbus_sm_chan *vmbus_sm_next_chan(const struct vmbus_sm *sm,
					       const struct vmbus_sm_chan *prev)
{
	return prev ? TAILQ_NEXT(prev, link) : TAILQ_FIRST(&sm->chans);
}

static const char *chan_state_name(const struct vmbus_sm_chan *ch)
{
	static const char *const names[CH_STATES] = {
		[CH_RELEASED] = "not offered",
		[CH_WAITING] = "waiting for release",
		[CH_OFFERED] = "offered",
		[CH_OPENING] = "opening",
		[CH_OPEN] = "open",
		[CH_CLOSING] = "closing",
		[CH_REOPEN] = "closing",
		[CH_REVOKED] = "revoked",
	};

	if (ch->state == CH_RELEASED && ch->dev != DEV_CLOSED)
		return "closing";
	return names[ch->state];
}

void vmbus_sm_chan_info(const struct vmbus_sm_chan *ch, struct vmbus_sm_info *out)
{
	*out = (struct vmbus_sm_info){
		.name = ch->name,
		.state = chan_state_name(ch),
		.ctx = ch->ctx,
		.sub = ch->sub,
		.relid = ch->relid,
		.target_vp = ch->dev == DEV_CLOSED ? VMBUS_NO_VP : ch->open.target_vp,
		.open = ch->dev == DEV_OPEN,
	};
}
