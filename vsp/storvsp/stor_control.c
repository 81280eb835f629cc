/* SPDX-License-Identifier: MIT */
/*
 * VSTOR's control plane as a table: which operation, how long, in which states, on
 * which channel (spec: storvsc, sections 4 to 6, 13). Handlers get only what passed.
 *
 * Documented choices where the protocol leaves room:
 *   no completion requested     dropped and counted: nobody could be told
 *   shorter than its operation  faults the channel
 *   a completion from the guest dropped and counted: the controller asks nothing
 *   control with data pages     INVALID_DEVICE_REQUEST
 *   0 sub-channels              success, nothing happens
 *   more after fewer            allowed once ready; fewer than offered is not
 */
#include "vsp/storvsp/stor_priv.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/nospec.h"

typedef uint32_t (*control_fn)(struct stor_chan *c, const struct vstor_packet *in,
			       struct vstor_packet *out);

const char *stor_state_name(uint32_t state)
{
	static const char *const names[] = {
		[STOR_BEGIN] = "begin",		  [STOR_VERSION] = "version",
		[STOR_PROPERTIES] = "properties", [STOR_END] = "end",
		[STOR_READY] = "ready",
	};

	return state < ARRAY_SIZE(names) ? names[state] : "?";
}

static void set_state(struct storvsp *s, enum stor_state state)
{
	store_release(&s->state, state); /* pairs with the loads in chan_ready(), stats */
}

/* ---- handlers: change state, fill the payload, return the status ---------------- */

static uint32_t on_begin(struct stor_chan *c, const struct vstor_packet *in,
			 struct vstor_packet *out)
{
	(void)in;
	(void)out;
	set_state(c->ctl, STOR_VERSION);
	return VSTOR_STATUS_SUCCESS;
}

static uint32_t on_version(struct stor_chan *c, const struct vstor_packet *in,
			   struct vstor_packet *out)
{
	static const uint16_t known[] = { VSTOR_V6_2, VSTOR_V6_0, VSTOR_V5_1, VSTOR_V4_2,
					  VSTOR_V2_0 };
	struct storvsp *s = c->ctl;
	uint32_t i;

	out->version.major_minor = in->version.major_minor;
	for (i = 0; i < ARRAY_SIZE(known); i++) {
		if (in->version.major_minor != known[i] || known[i] > s->cfg.max_version)
			continue;
		store_relaxed(&s->version, known[i]);
		set_state(s, STOR_PROPERTIES);
		return VSTOR_STATUS_SUCCESS;
	}
	return VSTOR_STATUS_REVISION_MISMATCH;
}

static uint16_t max_subchannels(const struct storvsp *s)
{
	return s->version >= VSTOR_V5_1 ? s->cfg.max_subchannels : 0;
}

static uint32_t on_properties(struct stor_chan *c, const struct vstor_packet *in,
			      struct vstor_packet *out)
{
	struct storvsp *s = c->ctl;

	(void)in;
	out->properties.max_channel_count = max_subchannels(s);
	out->properties.flags = max_subchannels(s) ? VSTOR_PROP_MULTI_CHANNEL : 0;
	out->properties.max_transfer_bytes = s->cfg.max_transfer;
	set_state(s, STOR_END);
	return VSTOR_STATUS_SUCCESS;
}

static uint32_t on_end(struct stor_chan *c, const struct vstor_packet *in, struct vstor_packet *out)
{
	struct storvsp *s = c->ctl;
	uint32_t i;

	(void)in;
	(void)out;
	store_relaxed(&s->notify, 0); /* the guest's first scan is about to come */
	set_state(s, STOR_READY);
	pthread_mutex_lock(&s->lock);
	for (i = 1; i < ARRAY_SIZE(s->chan); i++) /* they may have packets that waited for this */
		if (s->chan[i])
			stor_chan_post(s->chan[i]);
	pthread_mutex_unlock(&s->lock);
	return VSTOR_STATUS_SUCCESS;
}

/* The offers follow the completion: see stor_control(). */
static uint32_t on_create_subs(struct stor_chan *c, const struct vstor_packet *in,
			       struct vstor_packet *out)
{
	struct storvsp *s = c->ctl;
	uint16_t n = in->sub_channel_count;

	(void)out;
	if (!n)
		return VSTOR_STATUS_SUCCESS;
	if (n > max_subchannels(s) || n < s->subchannels)
		return VSTOR_STATUS_INVALID_PARAMETER;
	if (load_relaxed(&s->state) == STOR_END) {
		if (s->subchannels_fixed)
			return VSTOR_STATUS_INVALID_DEVICE_STATE;
		s->subchannels_fixed = true;
	}
	s->subchannels = n;
	return VSTOR_STATUS_SUCCESS;
}

/* ---- the table ------------------------------------------------------------------------ */

#define IN(state)  (1u << (state))
#define PRIMARY	   0x1u
#define OLD_OR_NEW 0x2u /* the whole SRB packet of the version */

struct op_desc {
	uint32_t states; /* where it is legal; 0 = never from a guest */
	uint32_t flags;
	uint32_t min_len;  /* of the packet */
	control_fn handle; /* NULL: elsewhere */
};

static const struct op_desc ops[VSTOR_OP_COUNT] = {
	[VSTOR_OP_EXECUTE_SRB] = { IN(STOR_READY), OLD_OR_NEW, 0, NULL },
	[VSTOR_OP_RESET_LUN] = { IN(STOR_READY), OLD_OR_NEW, 0, NULL },
	[VSTOR_OP_RESET_ADAPTER] = { IN(STOR_READY), 0, VSTOR_HEADER_LEN, NULL },
	[VSTOR_OP_RESET_BUS] = { IN(STOR_READY), OLD_OR_NEW, 0, NULL },
	[VSTOR_OP_BEGIN_INITIALIZATION] = { IN(STOR_BEGIN), PRIMARY, VSTOR_HEADER_LEN, on_begin },
	[VSTOR_OP_END_INITIALIZATION] = { IN(STOR_END), PRIMARY, VSTOR_HEADER_LEN, on_end },
	[VSTOR_OP_QUERY_PROTOCOL_VERSION] = { IN(STOR_VERSION), PRIMARY, VSTOR_HEADER_LEN + 4,
					      on_version },
	[VSTOR_OP_QUERY_PROPERTIES] = { IN(STOR_PROPERTIES), PRIMARY, VSTOR_HEADER_LEN,
					on_properties },
	[VSTOR_OP_CREATE_SUB_CHANNELS] = { IN(STOR_END) | IN(STOR_READY), PRIMARY,
					   VSTOR_HEADER_LEN + 2, on_create_subs },
};

static uint32_t min_len(const struct storvsp *s, const struct op_desc *d)
{
	if (!(d->flags & OLD_OR_NEW))
		return d->min_len;
	/* Before a version is agreed on, both sizes are legal. */
	return load_relaxed(&s->version) >= VSTOR_V5_1 ? VSTOR_PACKET : VSTOR_PACKET_OLD;
}

/* ---- resets ------------------------------------------------------------------------------ */

/* What a reset waits at. It outlives the channel that asked, if it must. */
struct stor_reset {
	struct scsi_fence fence;
	struct storvsp *ctl;
	struct stor_chan *chan;
	uint16_t sub;
};

static void answer_reset(struct stor_chan *c, uint32_t status)
{
	struct vstor_packet out = { .operation = VSTOR_OP_COMPLETE_IO, .status = status };

	c->resetting = false;
	stor_reset_forget(c);
	stor_reply(c, c->reset_id, &out, c->reset_reply_len);
}

void stor_reset_forget(struct stor_chan *c)
{
	loop_timer_cancel(c->loop, &c->reset_timer);
	pthread_mutex_lock(&c->ctl->lock);
	c->reset = NULL;
	pthread_mutex_unlock(&c->ctl->lock);
}

void stor_reset_look(struct stor_chan *c)
{
	bool over;

	pthread_mutex_lock(&c->ctl->lock);
	over = !c->reset;
	pthread_mutex_unlock(&c->ctl->lock);
	if (over)
		answer_reset(c, c->reset_status);
}

/* On any thread; the channel may be gone, or at another reset. */
static void reset_passed(struct scsi_fence *f)
{
	struct stor_reset *r = container_of(f, struct stor_reset, fence);
	struct storvsp *s = r->ctl;
	struct stor_chan *c;

	pthread_mutex_lock(&s->lock);
	c = s->chan[r->sub];
	if (c == r->chan && c->reset == r) {
		c->reset = NULL;
		c->reset_status = f->failed ? VSTOR_STATUS_IO_TIMEOUT : VSTOR_STATUS_SUCCESS;
		stor_chan_post(c);
	}
	pthread_mutex_unlock(&s->lock);
	free(r);
}

void stor_reset_timeout(struct loop_timer *t)
{
	struct stor_chan *c = container_of(t, struct stor_chan, reset_timer);

	/*
	 * The kernel does not give back what it has, and may still write it: so the reset
	 * failed. Those requests are all answered later, each with its own status.
	 */
	log_ratelimited(LOG_WARN, "%s: a reset failed, requests are stuck in the kernel",
			vmbus_chan_name(c->chan));
	answer_reset(c, VSTOR_STATUS_IO_TIMEOUT);
	vmbus_device_kick(c->ctl->dev, c->sub);
}

/*
 * What has not reached the kernel is answered as aborted at once. Transfers in the kernel are
 * not cut short: they complete with their own status (only long UNMAPs and the like stop
 * after their piece), and the answer to the reset comes behind the last of them, on all
 * channels of the controller, so that no host write can follow success. If they hang, the
 * answer is IO_TIMEOUT, in time, and promises nothing. Meanwhile nothing new is read from this
 * ring. A LUN's reset concerns that LUN alone; other partitions' commands to a disk that is
 * shared are theirs, and stay.
 */
static void reset(struct stor_chan *c, const struct vmpkt *pkt, const struct vstor_packet *in)
{
	bool one = in->operation == VSTOR_OP_RESET_LUN;
	uint8_t number = one ? in->srb.lun : SCSI_ALL_LUNS;
	uint64_t luns = !one ? UINT64_MAX : number < SCSI_MAX_LUNS ? 1ull << number : 0;
	struct stor_reset *r = malloc(sizeof(*r));

	scsi_target_reset(c->target, number);
	c->reset_id = pkt->trans_id;
	c->reset_reply_len = stor_reply_len(pkt);
	if (!r) {
		answer_reset(c, VSTOR_STATUS_UNSUCCESSFUL);
		return;
	}
	*r = (struct stor_reset){ .ctl = c->ctl, .chan = c, .sub = c->sub };
	scsi_fence_init(&r->fence, reset_passed);
	c->resetting = true;
	pthread_mutex_lock(&c->ctl->lock);
	c->reset = r;
	pthread_mutex_unlock(&c->ctl->lock);
	stor_fence_ask(c->ctl, c, luns, &r->fence);
	stor_fence_begin(c); /* our part; the others' run on their loops */
	if (!scsi_fence_last(&r->fence)) {
		loop_timer_arm(c->loop, &c->reset_timer, c->ctl->cfg.reset_ms * 1000000ull);
		return;
	}
	answer_reset(c, r->fence.failed ? VSTOR_STATUS_IO_TIMEOUT : VSTOR_STATUS_SUCCESS);
	free(r);
}

/* ---- dispatch ------------------------------------------------------------------------------ */

/* An SRB that cannot run now: the guest decides by srb_status, not by the packet's status. */
static void fill_refused_srb(struct stor_chan *c, const struct vstor_packet *in,
			     struct vstor_packet *out)
{
	struct storvsp *s = c->ctl;
	bool gone = c->sub && load_acquire(&s->primary_opening) != c->primary_opening;

	out->status = gone ? VSTOR_STATUS_CANCELLED : VSTOR_STATUS_INVALID_DEVICE_STATE;
	out->srb.length = in->srb.length;
	out->srb.srb_status = gone ? VSTOR_SRB_ABORTED : VSTOR_SRB_ERROR;
	out->srb.path_id = in->srb.path_id;
	out->srb.target_id = in->srb.target_id;
	out->srb.lun = in->srb.lun;
}

static bool allowed(const struct stor_chan *c, const struct op_desc *d)
{
	const struct storvsp *s = c->ctl;

	if (c->sub && (d->flags & PRIMARY))
		return false;
	if (c->sub && load_acquire(&s->primary_opening) != c->primary_opening)
		return false; /* its primary has been closed since */
	return d->states & IN(load_acquire(&s->state));
}

static void refuse(struct stor_chan *c, const struct vmpkt *pkt, struct vstor_packet *out)
{
	STOR_BUMP(c->rejected, 1);
	stor_reply(c, pkt->trans_id, out, stor_reply_len(pkt));
}

static void dispatch(struct stor_chan *c, const struct vmpkt *pkt, const struct vstor_packet *in)
{
	struct vstor_packet out = { .operation = VSTOR_OP_COMPLETE_IO };
	const struct op_desc *d = NULL;

	if (in->operation < VSTOR_OP_COUNT)
		d = &ops[index_nospec(in->operation, VSTOR_OP_COUNT)];
	if (!d || !d->states ||
	    (pkt->type == VMPKT_GPA_DIRECT && in->operation != VSTOR_OP_EXECUTE_SRB)) {
		out.status = VSTOR_STATUS_INVALID_DEVICE_REQUEST;
		refuse(c, pkt, &out);
	} else if (pkt->payload_len < min_len(c->ctl, d)) {
		vmbus_chan_fault(c->chan, "VSTOR packet shorter than its operation");
	} else if (!allowed(c, d)) {
		out.status = VSTOR_STATUS_INVALID_DEVICE_STATE;
		if (in->operation == VSTOR_OP_EXECUTE_SRB)
			fill_refused_srb(c, in, &out);
		refuse(c, pkt, &out);
	} else if (!d->handle) {
		reset(c, pkt, in);
	} else {
		out.status = d->handle(c, in, &out);
		if (out.status)
			STOR_BUMP(c->rejected, 1);
		stor_reply(c, pkt->trans_id, &out, stor_reply_len(pkt));
	}
}

static void offer_subchannels(struct storvsp *s)
{
	int err = vmbus_device_offer_subchannels(s->dev, s->subchannels);

	if (err)
		log_ratelimited(LOG_WARN, "%s: %u sub-channels could not be offered: %s", s->name,
				s->subchannels, strerror(-err));
}

void stor_control(struct stor_chan *c, const struct vmpkt *pkt)
{
	struct vstor_packet in = { 0 };
	uint16_t before = c->ctl->subchannels;

	if (pkt->type == VMPKT_COMPLETION || !(pkt->flags & VMPKT_FLAG_COMPLETION_REQUESTED)) {
		STOR_BUMP(c->rejected, 1);
		return;
	}
	if (pkt->payload_len < VSTOR_HEADER_LEN) {
		vmbus_chan_fault(c->chan, "VSTOR packet shorter than its header");
		return;
	}
	memcpy(&in, pkt->payload, stor_reply_len(pkt));
	dispatch(c, pkt, &in);
	if (!c->sub && c->ctl->subchannels != before && !c->closing)
		offer_subchannels(c->ctl); /* after their acknowledgement */
}

/* ---- unasked ----------------------------------------------------------------------------------
 */

bool stor_notify(struct stor_chan *c)
{
	struct vstor_packet out = { .operation = VSTOR_OP_ENUMERATE_BUS };
	struct storvsp *s = c->ctl;
	uint32_t room = (c->in_flight + 2) * STOR_REPLY_SPACE;
	bool old = s->version < VSTOR_V5_1;

	if (!load_acquire(&s->notify) || load_relaxed(&s->state) != STOR_READY ||
	    s->version < VSTOR_V4_2)
		return false;
	/* Completions come first: their space is promised. A full ring keeps the flag up. */
	if (vmbus_chan_send_room(c->chan) < room &&
	    (vmbus_chan_want_space(c->chan, room) || vmbus_chan_send_room(c->chan) < room))
		return false;
	store_relaxed(&s->notify, 0);
	return !vmbus_chan_send(c->chan, 0, VSTOR_ID_UNSOLICITED, &out,
				old ? VSTOR_PACKET_OLD : VSTOR_PACKET);
}
