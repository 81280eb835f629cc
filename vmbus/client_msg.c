/* SPDX-License-Identifier: MIT */
/*
 * The child's control messages: posting with back-off, pumping VP 0's message slot,
 * matching answers to whoever waits for them. The root may send anything: each
 * message is a private copy, checked against the catalogue, then by its handler;
 * what does not fit is counted and forgotten (spec: vmbus, section 12.4).
 */
#include <errno.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/nospec.h"
#include "vmbus/client_priv.h"

#define PUMP_BATCH	 64 /* messages per turn: a flood must not hold the lock for ever */
#define RETRY_NS_FIRST	 1000u
#define RETRY_NS_LAST	 (20u * 1000 * 1000)
#define RELEASE_NS_FIRST (1000u * 1000)

uint64_t client_deadline(const struct vmbus_client *c)
{
	return clock_ns() + c->cfg.timeout_ms * 1000000ull;
}

/* ---- waiting requests -------------------------------------------------------- */

void client_expect(struct vmbus_client *c, struct client_request *r, uint32_t answer,
		   uint32_t relid, uint32_t id)
{
	memset(r, 0, sizeof(*r));
	r->answer = answer;
	r->relid = relid;
	r->id = id;
	r->next = c->requests;
	c->requests = r;
}

void client_forget(struct vmbus_client *c, struct client_request *r)
{
	struct client_request **p = &c->requests;

	while (*p && *p != r)
		p = &(*p)->next;
	if (*p)
		*p = r->next;
}

int client_await(struct vmbus_client *c, struct client_request *r, uint64_t until)
{
	int err = 0;

	while (!r->done && !err)
		err = client_wait_change(c, until);
	client_forget(c, r);
	return r->done ? r->err : err;
}

/* The waiting request that @msg answers; @relid or @id 0: this answer has no such field. */
static const char *answer(struct vmbus_client *c, const union vmbus_msg *msg, uint32_t relid,
			  uint32_t id)
{
	struct client_request *r;

	for (r = c->requests; r; r = r->next) {
		if (r->done || r->answer != msg->hdr.type || r->id != id)
			continue;
		if (relid && r->relid != relid)
			continue;
		r->reply = *msg;
		r->done = true;
		return NULL;
	}
	return "answer that nobody waits for";
}

static void fail_requests(struct vmbus_client *c, uint32_t relid, int err)
{
	for (struct client_request *r = c->requests; r; r = r->next) {
		if (r->done || (relid && (r->relid != relid || r->outlives_rescind)))
			continue;
		r->err = err;
		r->done = true;
	}
}

void client_end(struct vmbus_client *c, int err)
{
	if (c->ended)
		return;
	store_release(&c->ended, err); /* pairs with the load in vmbus_client_wait() */
	fail_requests(c, 0, err);
	pthread_cond_broadcast(&c->changed);
}

/* ---- offers and rescinds -------------------------------------------------------- */

static bool guid_is_null(const struct guid *g)
{
	static const struct guid null;

	return guid_equal(g, &null);
}

static bool release_owed(const struct vmbus_client *c, uint32_t relid)
{
	return c->releasing[relid / 64] >> (relid % 64) & 1;
}

static void owe_release(struct vmbus_client *c, uint32_t relid)
{
	if (release_owed(c, relid))
		return;
	c->releasing[relid / 64] |= 1ull << (relid % 64);
	c->nr_releasing++;
}

void client_chan_release(struct vmbus_client *c, struct client_chan *cc)
{
	uint32_t relid = cc->offer.relid;

	c->chan[relid] = NULL;
	c->nr_offers--;
	owe_release(c, relid);
	free(cc);
}

/* Whether @m may become a channel, given those that exist. */
static const char *check_offer(const struct vmbus_client *c, const struct vmbus_msg_offer *m)
{
	bool primary_known = false;

	if (m->relid == 0 || m->relid > VMBUS_MAX_RELID)
		return "offer of a relid out of range";
	if (c->chan[m->relid] || release_owed(c, m->relid))
		return "offer of a relid in use";
	if (c->nr_offers >= c->cfg.max_offers)
		return "more offers than allowed";
	if (m->connection_id == 0 || m->connection_id > 0xffffff)
		return "offer of an illegal connection id";
	if (guid_is_null(&m->type) || guid_is_null(&m->instance))
		return "offer without type or instance";
	for (uint32_t i = 1; i <= VMBUS_MAX_RELID; i++) {
		const struct client_chan *o = c->chan[i];

		if (!o || !guid_equal(&o->offer.instance, &m->instance))
			continue;
		if (o->offer.sub_index == m->sub_index)
			return "device or sub-channel offered twice";
		if (o->offer.sub_index == 0)
			primary_known = guid_equal(&o->offer.type, &m->type);
	}
	if (m->sub_index && !primary_known)
		return "offer of a sub-channel without its primary";
	return NULL;
}

static const char *on_offer(struct vmbus_client *c, const union vmbus_msg *msg)
{
	const struct vmbus_msg_offer *m = &msg->offer;
	struct client_chan *cc;
	const char *why;

	if (c->state != CLIENT_REQUESTING && c->state != CLIENT_CONNECTED)
		return "offer outside of a connection";
	why = check_offer(c, m);
	if (why)
		return why;
	cc = calloc(1, sizeof(*cc));
	if (!cc)
		return "no memory for an offer";
	cc->client = c;
	cc->offer.type = m->type;
	cc->offer.instance = m->instance;
	cc->offer.relid = m->relid;
	cc->offer.connection_id = m->connection_id;
	cc->offer.sub_index = m->sub_index;
	cc->offer.flags = m->flags;
	memcpy(cc->offer.user, m->user, sizeof(cc->offer.user));
	c->chan[m->relid] = cc;
	c->nr_offers++;
	return NULL;
}

/* NULL also for relids that cannot be. */
static struct client_chan *chan_of(const struct vmbus_client *c, uint32_t relid)
{
	if (relid > VMBUS_MAX_RELID)
		return NULL;
	return c->chan[index_nospec(relid, ARRAY_SIZE(c->chan))];
}

static const char *on_rescind(struct vmbus_client *c, const union vmbus_msg *msg)
{
	uint32_t relid = msg->relid.relid;
	struct client_chan *cc;

	cc = chan_of(c, relid);
	if (!cc)
		return "rescind of an unknown relid";
	if (cc->rescinded)
		return "second rescind of a relid";
	store_release(&cc->rescinded, true); /* pairs with vmbus_client_rescinded() */
	fail_requests(c, relid, -ENOENT);
	if (cc->state == CHAN_OFFERED)
		client_chan_release(c, cc);
	else if (cc->state == CHAN_OPEN)
		client_kick_vp(c, cc->vp);
	return NULL;
}

/* ---- answers ---------------------------------------------------------------------- */

static const char *on_plain_answer(struct vmbus_client *c, const union vmbus_msg *msg)
{
	return answer(c, msg, 0, 0);
}

static const char *on_open_result(struct vmbus_client *c, const union vmbus_msg *msg)
{
	const struct vmbus_msg_open_result *m = &msg->open_result;

	return m->relid ? answer(c, msg, m->relid, m->open_id) : "answer for relid 0";
}

static const char *on_gpadl_created(struct vmbus_client *c, const union vmbus_msg *msg)
{
	const struct vmbus_msg_gpadl_created *m = &msg->gpadl_created;

	return m->relid ? answer(c, msg, m->relid, m->gpadl) : "answer for relid 0";
}

static const char *on_gpadl_torndown(struct vmbus_client *c, const union vmbus_msg *msg)
{
	return answer(c, msg, 0, msg->gpadl_torndown.gpadl);
}

/*
 * The answer names no request, only the channel: answers to requests that timed out
 * must not be taken for the answer to a later one.
 */
static const char *on_modify_response(struct vmbus_client *c, const union vmbus_msg *msg)
{
	uint32_t relid = msg->modify_response.relid;
	struct client_chan *cc;

	cc = relid ? chan_of(c, relid) : NULL;
	if (!cc)
		return "modify response for an unknown relid";
	if (cc->unanswered_modifies) {
		cc->unanswered_modifies--;
		return "late modify response";
	}
	return answer(c, msg, relid, 0);
}

/* Returns NULL, or why the message was ignored. */
typedef const char *(*msg_handler)(struct vmbus_client *c, const union vmbus_msg *msg);

static const msg_handler handlers[VMBUS_MSG_TYPES] = {
	[VMBUS_MSG_OFFERCHANNEL] = on_offer,
	[VMBUS_MSG_RESCIND_CHANNELOFFER] = on_rescind,
	[VMBUS_MSG_ALLOFFERS_DELIVERED] = on_plain_answer,
	[VMBUS_MSG_OPENCHANNEL_RESULT] = on_open_result,
	[VMBUS_MSG_GPADL_CREATED] = on_gpadl_created,
	[VMBUS_MSG_GPADL_TORNDOWN] = on_gpadl_torndown,
	[VMBUS_MSG_VERSION_RESPONSE] = on_plain_answer,
	[VMBUS_MSG_UNLOAD_RESPONSE] = on_plain_answer,
	[VMBUS_MSG_MODIFYCHANNEL_RESPONSE] = on_modify_response,
};

static const char *handle(struct vmbus_client *c, const struct hv_message *m)
{
	enum vmbus_msg_fault fault;
	union vmbus_msg msg;
	msg_handler fn;

	if (m->type != HV_MESSAGE_VMBUS)
		return "not a bus message";
	fault = vmbus_msg_check(VMBUS_FROM_HOST, c->version, m->payload, m->payload_size);
	if (fault)
		return vmbus_msg_fault_text(fault);
	memset(&msg, 0, sizeof(msg));
	memcpy(&msg, m->payload, m->payload_size);
	fn = handlers[index_nospec(msg.hdr.type, ARRAY_SIZE(handlers))];
	return fn ? fn(c, &msg) : "message that this client has no use for";
}

/* Handles what is in the slot of VP 0 now; returns how many messages that were. */
static unsigned int drain(struct vmbus_client *c)
{
	struct hv_message m;
	unsigned int n = 0;

	while (n < PUMP_BATCH && hv_child_take_message(c->child, 0, &m)) {
		const char *why = handle(c, &m);

		n++;
		c->messages_in++;
		if (why) {
			c->messages_ignored++;
			c->last_ignored = why;
			log_ratelimited(LOG_DEBUG, "vmbus client: ignored: %s", why);
		}
	}
	return n;
}

/* ---- the pump ------------------------------------------------------------------------- */

static void on_vp0_flag(void *ctx, uint32_t flag)
{
	struct vmbus_client *c = ctx;

	(void)flag; /* whoever owns a channel on VP 0 looks at all of them */
	c->vp0_events = true;
}

/* Somebody else is the pump from now on; there may be news. */
static void pump_done(struct vmbus_client *c)
{
	c->pumping = false;
	pthread_cond_broadcast(&c->changed);
	if (c->polls == POLLS_BESIDE_PUMP)
		hv_child_vp_poke(c->child, 0);
}

/*
 * One turn as the pump; does not sleep when there are messages. 1: something happened;
 * 0: time out; negative: the end.
 */
static int pump(struct vmbus_client *c, uint64_t until)
{
	uint64_t now;
	int r = 1;

	c->pumping = true;
	if (!drain(c)) {
		now = clock_ns();
		pthread_mutex_unlock(&c->lock);
		r = hv_child_vp_wait(c->child, 0, until > now ? until - now : 0);
		pthread_mutex_lock(&c->lock);
		if (r > 0) {
			hv_child_take_events(c->child, 0, on_vp0_flag, c);
			drain(c);
		} else if (r < 0) {
			client_end(c, -ECONNRESET);
		}
	}
	pump_done(c);
	return c->ended ? c->ended : r;
}

/* Sleeps while another thread is the pump. */
static void wait_for_pump(struct vmbus_client *c, uint64_t until)
{
	struct timespec t = { (time_t)(until / 1000000000u), (long)(until % 1000000000u) };

	if (until == CLIENT_NO_LIMIT)
		pthread_cond_wait(&c->changed, &c->lock);
	else
		pthread_cond_timedwait(&c->changed, &c->lock, &t);
}

/* Any other failure of HvPostMessage is final (spec: hypervisor, section 3.4). */
static bool worth_retrying(enum hv_status status)
{
	return status == HV_STATUS_INSUFFICIENT_BUFFERS ||
	       status == HV_STATUS_INSUFFICIENT_MEMORY || status == HV_STATUS_INVALID_CONNECTION_ID;
}

/*
 * Posts the RELID_RELEASED that are owed, one attempt each: this runs wherever a thread
 * waits, and a root without room for messages must not make that wait longer.
 */
static void post_releases(struct vmbus_client *c)
{
	union vmbus_msg msg;
	enum hv_status status;
	uint32_t relid, len;

	if (likely(!c->nr_releasing) || c->ended || clock_ns() < c->release_at)
		return;
	for (relid = 1; relid <= VMBUS_MAX_RELID && c->nr_releasing; relid++) {
		if (!release_owed(c, relid))
			continue;
		c->releasing[relid / 64] &= ~(1ull << (relid % 64));
		c->nr_releasing--;
		len = vmbus_msg_init(&msg, VMBUS_MSG_RELID_RELEASED);
		msg.relid.relid = relid;
		pthread_mutex_unlock(&c->lock);
		status =
			hv_child_post_message(c->child, c->connection, HV_MESSAGE_VMBUS, &msg, len);
		pthread_mutex_lock(&c->lock);
		if (worth_retrying(status)) {
			owe_release(c, relid);
			c->release_delay *= 2;
			if (c->release_delay < RELEASE_NS_FIRST)
				c->release_delay = RELEASE_NS_FIRST;
			if (c->release_delay > RETRY_NS_LAST)
				c->release_delay = RETRY_NS_LAST;
			c->release_at = clock_ns() + c->release_delay;
			return;
		}
		c->release_delay = 0;
	}
}

/* A sleep must end early when a RELID_RELEASED has to be tried again. */
static uint64_t sleep_limit(const struct vmbus_client *c, uint64_t until)
{
	return c->nr_releasing && c->release_at < until ? c->release_at : until;
}

int client_wait_change(struct vmbus_client *c, uint64_t until)
{
	post_releases(c);
	if (c->ended)
		return c->ended;
	if (clock_ns() >= until)
		return -ETIMEDOUT;
	if (c->pumping)
		wait_for_pump(c, sleep_limit(c, until));
	else
		pump(c, sleep_limit(c, until));
	return c->ended;
}

int client_wait_vp0(struct vmbus_client *c, uint64_t until)
{
	int r = 0;

	do {
		post_releases(c);
		if (c->ended)
			return c->ended;
		if (!c->vp0_events) {
			if (c->pumping)
				wait_for_pump(c, sleep_limit(c, until));
			else
				r = pump(c, sleep_limit(c, until));
		}
		if (c->vp0_events) {
			c->vp0_events = false;
			r = 1;
		}
	} while (!r && clock_ns() < until);
	return r;
}

bool client_arm_vp0(struct vmbus_client *c)
{
	post_releases(c);
	if (c->ended || c->vp0_events)
		return false;
	c->polls = c->pumping ? POLLS_BESIDE_PUMP : POLLS_AS_PUMP;
	if (c->polls == POLLS_BESIDE_PUMP)
		return true;
	if (drain(c))
		pthread_cond_broadcast(&c->changed);
	c->pumping = true;
	return hv_child_vp_arm(c->child, 0);
}

/* What pump() does after its sleep. */
static int polled_as_pump(struct vmbus_client *c)
{
	int r = hv_child_vp_disarm(c->child, 0);

	if (r > 0) {
		hv_child_take_events(c->child, 0, on_vp0_flag, c);
		drain(c);
	} else if (r < 0) {
		client_end(c, -ECONNRESET);
	}
	pump_done(c);
	return r;
}

int client_disarm_vp0(struct vmbus_client *c)
{
	enum client_polls polls = c->polls;
	int r = 0;

	c->polls = POLLS_NOT;
	if (polls == POLLS_AS_PUMP)
		r = polled_as_pump(c);
	else if (polls == POLLS_BESIDE_PUMP)
		hv_child_vp_empty(c->child, 0); /* the word is the pump's */
	if (c->vp0_events) {
		c->vp0_events = false;
		r = 1;
	}
	return c->ended ? c->ended : r;
}

void client_poll_messages(struct vmbus_client *c)
{
	if (!c->pumping && drain(c))
		pthread_cond_broadcast(&c->changed);
}

void client_kick_vp(struct vmbus_client *c, uint32_t vp)
{
	if (vp == 0) /* its data thread may be asleep on the pump, not on the VP */
		c->vp0_events = true;
	hv_child_kick_vp(c->child, vp);
	if (vp == 0 && c->polls == POLLS_BESIDE_PUMP)
		hv_child_vp_poke(c->child, 0);
	pthread_cond_broadcast(&c->changed);
}

/* ---- posting ------------------------------------------------------------------------------ */

/* Sleeps until @until whatever else happens, handling messages meanwhile. */
static int back_off(struct vmbus_client *c, uint64_t until)
{
	int err;

	do {
		err = client_wait_change(c, until);
	} while (!err);
	return err == -ETIMEDOUT ? 0 : err;
}

int client_post(struct vmbus_client *c, const union vmbus_msg *msg, uint32_t len, uint64_t until)
{
	bool contact = msg->hdr.type == VMBUS_MSG_INITIATE_CONTACT;
	uint64_t delay = RETRY_NS_FIRST, now;
	enum hv_status status;
	int err;

	while (!c->ended) {
		pthread_mutex_unlock(&c->lock);
		status = hv_child_post_message(c->child, c->connection, HV_MESSAGE_VMBUS, msg, len);
		pthread_mutex_lock(&c->lock);
		if (status == HV_STATUS_SUCCESS)
			return 0;
		if (hv_child_dead(c->child)) {
			client_end(c, -ECONNRESET);
			break;
		}
		if (status == HV_STATUS_INVALID_CONNECTION_ID && contact)
			return -EPROTONOSUPPORT;
		if (!worth_retrying(status))
			return -EIO;
		now = clock_ns();
		if (now >= until)
			return -ETIMEDOUT;
		/* Not a plain sleep: the root may be short of room because we do not read. */
		err = back_off(c, now + delay < until ? now + delay : until);
		if (err)
			return err;
		if (delay < RETRY_NS_LAST)
			delay *= 2;
	}
	return c->ended;
}

/* ---- the lock -------------------------------------------------------------------------------- */

void client_lock(struct vmbus_client *c)
{
	pthread_mutex_lock(&c->lock);
}

void client_unlock(struct vmbus_client *c)
{
	post_releases(c);
	pthread_mutex_unlock(&c->lock);
}
