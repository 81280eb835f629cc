/* SPDX-License-Identifier: MIT */
/*
 * The life of a channel in the child: rings in guest memory, their GPADL, open,
 * modify, close (spec: vmbus, sections 5, 6). Teardown goes in this order:
 *
 *   CLOSECHANNEL, GPADL_TEARDOWN, (the root: GPADL_TORNDOWN), unmap the rings, free
 *   their pages, RELID_RELEASED if the offer was rescinded
 *
 * Pages that the root may still write are never given back to the allocator.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/log.h"
#include "vmbus/client_priv.h"

/* ---- GPADLs ----------------------------------------------------------------------- */

/*
 * Posts the range buffer of @npages pages in a row: the header message with what fits,
 * then bodies with the rest. Drops the lock.
 */
static int post_gpadl(struct vmbus_client *c, uint32_t relid, uint32_t gpadl, uint64_t gpa,
		      uint32_t npages, uint64_t until)
{
	uint64_t pfn = gpa / HV_PAGE_SIZE, left = npages;
	struct vmbus_gpa_range range = { npages * HV_PAGE_SIZE, 0 };
	uint32_t len, room = VMBUS_GPADL_HEADER_PFNS;
	union vmbus_msg msg;
	int err;

	len = vmbus_msg_init(&msg, VMBUS_MSG_GPADL_HEADER);
	msg.gpadl_header.relid = relid;
	msg.gpadl_header.gpadl = gpadl;
	msg.gpadl_header.range_buflen = (uint16_t)(sizeof(range) + npages * sizeof(pfn));
	msg.gpadl_header.rangecount = 1;
	memcpy(msg.bytes + len, &range, sizeof(range));
	len += sizeof(range);
	for (;;) {
		for (; room && left; room--, left--, pfn++, len += sizeof(pfn))
			memcpy(msg.bytes + len, &pfn, sizeof(pfn));
		err = client_post(c, &msg, len, until);
		if (err || !left)
			return err;
		len = vmbus_msg_init(&msg, VMBUS_MSG_GPADL_BODY);
		msg.gpadl_body.gpadl = gpadl;
		room = VMBUS_GPADL_BODY_PFNS;
	}
}

static int post_teardown(struct vmbus_client *c, uint32_t relid, uint32_t gpadl, uint64_t until)
{
	union vmbus_msg msg;
	uint32_t len = vmbus_msg_init(&msg, VMBUS_MSG_GPADL_TEARDOWN);

	msg.gpadl_teardown.relid = relid;
	msg.gpadl_teardown.gpadl = gpadl;
	return client_post(c, &msg, len, until);
}

/*
 * 0, or -EIO: refused, the root does not know the pages. After any other error it may
 * know them.
 */
static int create_gpadl(struct vmbus_client *c, struct client_chan *cc, uint64_t gpa,
			uint32_t npages, uint32_t *gpadl)
{
	uint32_t id = c->next_gpadl++, relid = cc->offer.relid;
	uint64_t until = client_deadline(c);
	struct client_request r;
	int err;

	client_expect(c, &r, VMBUS_MSG_GPADL_CREATED, relid, id);
	err = post_gpadl(c, relid, id, gpa, npages, until);
	if (err) {
		client_forget(c, &r);
		return err == -EIO ? -ETIMEDOUT : err; /* a part of it may have arrived */
	}
	err = client_await(c, &r, until);
	if (err) {
		if (err == -ETIMEDOUT) /* one attempt: the answer may only be late */
			post_teardown(c, relid, id, 0);
		return err;
	}
	*gpadl = id;
	return r.reply.gpadl_created.status ? -EIO : 0;
}

/*
 * 0: the root is done with the pages. A rescind does not end this wait: the root
 * answers for revoked channels too, and it is the memory that is waited for.
 */
static int teardown_gpadl(struct vmbus_client *c, struct client_chan *cc, uint32_t gpadl)
{
	uint64_t until = client_deadline(c);
	struct client_request r;
	int err;

	client_expect(c, &r, VMBUS_MSG_GPADL_TORNDOWN, cc->offer.relid, gpadl);
	r.outlives_rescind = true;
	err = post_teardown(c, cc->offer.relid, gpadl, until);
	if (err) {
		client_forget(c, &r);
		return err;
	}
	return client_await(c, &r, until);
}

/* ---- rings ---------------------------------------------------------------------------- */

static int map_ring(struct vmbus_client *c, struct hv_gpa_view *v, uint64_t gpa, uint32_t pages)
{
	struct vmring_ctrl *ctrl;
	int err;

	err = hv_child_map_wrapped(c->child, gpa, pages, &v->ctrl, &v->data, &v->size, &v->maplen);
	if (err)
		return err;
	ctrl = v->ctrl;					     /* zeroed, as all fresh pages are */
	ctrl->feature_bits = VMRING_FEATURE_PENDING_SEND_SZ; /* spec: ring, section 2 */
	return 0;
}

static int alloc_rings(struct vmbus_client *c, struct client_chan *cc)
{
	uint32_t n = cc->ring_pages;
	int err;

	err = hv_child_alloc_pages(c->child, 2 * n, &cc->gpa);
	if (err)
		return err;
	err = map_ring(c, &cc->out, cc->gpa, n);
	if (err)
		goto free_pages;
	err = map_ring(c, &cc->in, cc->gpa + (uint64_t)n * HV_PAGE_SIZE, n);
	if (err)
		goto unmap_out;
	return 0;

unmap_out:
	hv_child_unmap_wrapped(cc->out.ctrl, cc->out.maplen);
free_pages:
	hv_child_free_pages(c->child, cc->gpa, 2 * n);
	return err;
}

/* Not so after vmbus_client_cancel(): then the root lives and knows the pages. */
static bool root_gone(const struct vmbus_client *c)
{
	return c->ended == -ECONNRESET;
}

static void free_rings(struct vmbus_client *c, struct client_chan *cc, bool root_is_done)
{
	hv_child_unmap_wrapped(cc->in.ctrl, cc->in.maplen);
	hv_child_unmap_wrapped(cc->out.ctrl, cc->out.maplen);
	if (root_is_done) {
		hv_child_free_pages(c->child, cc->gpa, 2 * cc->ring_pages);
		return;
	}
	c->pages_abandoned += 2 * cc->ring_pages;
	log_ratelimited(LOG_WARN, "vmbus client: relid %u: rings never given back by the root",
			cc->offer.relid);
}

/* ---- open ----------------------------------------------------------------------------- */

static void signal_root(void *ctx)
{
	struct client_chan *cc = ctx;

	/* A failure means that the root or the channel is gone, which the next wait tells. */
	hv_child_signal_event(cc->client->child, cc->offer.connection_id);
}

static void chan_fault(void *ctx, const char *why)
{
	struct client_chan *cc = ctx;

	if (cc->fault)
		cc->fault(cc->fault_ctx, why);
}

static int create_chan(struct client_chan *cc, uint32_t max_packet)
{
	char name[48];
	struct vmbus_chan_config cfg = {
		.in = cc->in,
		.out = cc->out,
		.accept = VMRING_ACCEPT_GUEST,
		.max_packet = max_packet,
		.signal = signal_root,
		.fault = chan_fault,
		.ctx = cc,
		.name = name,
	};

	snprintf(name, sizeof(name), "relid %u sub-channel %u", cc->offer.relid,
		 cc->offer.sub_index);
	return vmbus_chan_create(&cc->chan, &cfg);
}

static int open_channel(struct vmbus_client *c, struct client_chan *cc)
{
	uint64_t until = client_deadline(c);
	uint32_t len, id = ++c->next_open; /* its own number: a late result must not match */
	struct client_request r;
	union vmbus_msg msg;
	int err;

	len = vmbus_msg_init(&msg, VMBUS_MSG_OPENCHANNEL);
	msg.open.relid = cc->offer.relid;
	msg.open.open_id = id;
	msg.open.gpadl = cc->gpadl;
	msg.open.target_vp = cc->vp;
	msg.open.downstream_page = cc->ring_pages;
	client_expect(c, &r, VMBUS_MSG_OPENCHANNEL_RESULT, cc->offer.relid, id);
	err = client_post(c, &msg, len, until);
	if (err)
		client_forget(c, &r);
	else
		err = client_await(c, &r, until);
	if (err)
		return err;
	return r.reply.open_result.status ? -EIO : 0;
}

/*
 * Fetches the channel's doorbell now, with one signal too many, rather than with the
 * first packet: then it costs a round trip, and a failure would be a lost signal.
 */
static int fetch_doorbell(struct vmbus_client *c, struct client_chan *cc)
{
	enum hv_status status;

	pthread_mutex_unlock(&c->lock);
	status = hv_child_signal_event(c->child, cc->offer.connection_id);
	pthread_mutex_lock(&c->lock);
	if (status == HV_STATUS_SUCCESS)
		return 0;
	return status == HV_STATUS_NO_RESOURCES ? -EMFILE : -EIO;
}

static void post_close(struct vmbus_client *c, struct client_chan *cc)
{
	union vmbus_msg msg;
	uint32_t len = vmbus_msg_init(&msg, VMBUS_MSG_CLOSECHANNEL);

	msg.relid.relid = cc->offer.relid;
	client_post(c, &msg, len, client_deadline(c)); /* failure: the teardown fails as well */
}

/* Back to CHAN_OFFERED, or gone when the root took the offer away meanwhile. */
static void chan_idle(struct vmbus_client *c, struct client_chan *cc)
{
	cc->state = CHAN_OFFERED;
	if (cc->rescinded)
		client_chan_release(c, cc);
}

/* The steps of an open, with @cc in CHAN_OPENING. */
static int bring_up(struct vmbus_client *c, struct client_chan *cc, uint32_t max_packet)
{
	bool root_is_done = true;
	int err;

	err = alloc_rings(c, cc);
	if (err)
		return err;
	/* Before the root knows the pages: nothing it can write delays or breaks this. */
	err = create_chan(cc, max_packet);
	if (err)
		goto free_rings;
	err = create_gpadl(c, cc, cc->gpa, 2 * cc->ring_pages, &cc->gpadl);
	if (err) {
		root_is_done = err == -EIO || root_gone(c);
		goto destroy_chan;
	}
	err = open_channel(c, cc);
	if (!err) {
		err = cc->rescinded ? -ENOENT : fetch_doorbell(c, cc);
		if (!err)
			return 0;
		post_close(c, cc);
	} else if (err != -EIO) { /* the root may have opened it, or be about to */
		post_close(c, cc);
	}
	root_is_done = !teardown_gpadl(c, cc, cc->gpadl) || root_gone(c);
destroy_chan:
	vmbus_chan_destroy(cc->chan);
	cc->chan = NULL;
	hv_child_forget_connection(c->child, cc->offer.connection_id);
free_rings:
	free_rings(c, cc, root_is_done);
	return err;
}

/* The channel that @offer, the caller's copy, speaks of, if it is still there. */
static struct client_chan *offered(struct vmbus_client *c, const struct vmbus_offer *offer)
{
	struct client_chan *cc;

	if (offer->relid == 0 || offer->relid > VMBUS_MAX_RELID)
		return NULL;
	cc = c->chan[offer->relid];
	if (!cc || cc->rescinded || cc->offer.sub_index != offer->sub_index ||
	    !guid_equal(&cc->offer.instance, &offer->instance) ||
	    !guid_equal(&cc->offer.type, &offer->type))
		return NULL;
	return cc;
}

int vmbus_client_open(struct vmbus_client *c, const struct vmbus_offer *offer, uint32_t ring_bytes,
		      uint32_t target_vp, uint32_t max_packet,
		      void (*fault)(void *ctx, const char *why), void *ctx, struct vmbus_chan **out)
{
	uint32_t pages = ring_bytes / HV_PAGE_SIZE;
	struct client_chan *cc;
	int err;

	if (ring_bytes % HV_PAGE_SIZE || pages < 2 || pages > VMBUS_GPADL_MAX_PFNS / 2 ||
	    (target_vp != VMBUS_NO_VP && target_vp >= hv_child_nr_vps(c->child)))
		return -EINVAL;
	client_lock(c);
	cc = offered(c, offer);
	if (c->ended) {
		err = c->ended;
	} else if (!cc) {
		err = -ENOENT;
	} else if (cc->state != CHAN_OFFERED) {
		err = -EBUSY;
	} else {
		cc->state = CHAN_OPENING;
		cc->ring_pages = pages;
		cc->vp = target_vp;
		cc->fault = fault;
		cc->fault_ctx = ctx;
		err = bring_up(c, cc, max_packet);
		if (err) {
			chan_idle(c, cc);
		} else {
			cc->state = CHAN_OPEN;
			*out = cc->chan;
		}
	}
	client_unlock(c);
	return err;
}

/* ---- open channels -------------------------------------------------------------------------- */

void client_chan_close(struct vmbus_client *c, struct client_chan *cc)
{
	bool root_is_done;

	cc->state = CHAN_CLOSING;
	post_close(c, cc);
	root_is_done = !teardown_gpadl(c, cc, cc->gpadl) || root_gone(c);
	vmbus_chan_destroy(cc->chan);
	cc->chan = NULL;
	hv_child_forget_connection(c->child, cc->offer.connection_id);
	free_rings(c, cc, root_is_done);
	chan_idle(c, cc);
}

void vmbus_client_close(struct vmbus_client *c, struct vmbus_chan *chan)
{
	client_lock(c);
	client_chan_close(c, vmbus_chan_ctx(chan));
	client_unlock(c);
}

int vmbus_client_gpadl_create(struct vmbus_client *c, struct vmbus_chan *chan, uint64_t gpa,
			      uint32_t npages, uint32_t *gpadl)
{
	struct client_chan *cc = vmbus_chan_ctx(chan);
	int err;

	if (!npages || npages > VMBUS_GPADL_MAX_PFNS || gpa % HV_PAGE_SIZE ||
	    !hv_child_ptr(c->child, gpa) ||
	    !hv_child_ptr(c->child, gpa + (npages - 1) * (uint64_t)HV_PAGE_SIZE))
		return -EINVAL;
	client_lock(c);
	err = cc->rescinded ? -ENOENT : create_gpadl(c, cc, gpa, npages, gpadl);
	client_unlock(c);
	return err;
}

int vmbus_client_gpadl_teardown(struct vmbus_client *c, struct vmbus_chan *chan, uint32_t gpadl)
{
	int err;

	client_lock(c);
	err = teardown_gpadl(c, vmbus_chan_ctx(chan), gpadl);
	client_unlock(c);
	return err;
}

/* Drops the lock. From 5.3 on the root answers, before it does not. */
static int await_modify(struct vmbus_client *c, struct client_chan *cc, const union vmbus_msg *msg,
			uint32_t len)
{
	uint64_t until = client_deadline(c);
	struct client_request r;
	int err;

	if (c->version < VMBUS_V5_3)
		return client_post(c, msg, len, until);
	client_expect(c, &r, VMBUS_MSG_MODIFYCHANNEL_RESPONSE, cc->offer.relid, 0);
	err = client_post(c, msg, len, until);
	if (err) {
		client_forget(c, &r);
		return err;
	}
	err = client_await(c, &r, until);
	if (err == -ETIMEDOUT)
		cc->unanswered_modifies++;
	if (err)
		return err;
	return r.reply.modify_response.status ? -EIO : 0;
}

int vmbus_client_modify(struct vmbus_client *c, struct vmbus_chan *chan, uint32_t vp)
{
	struct client_chan *cc = vmbus_chan_ctx(chan);
	union vmbus_msg msg;
	uint32_t len;
	int err;

	if (c->version < VMBUS_V4_1)
		return -EOPNOTSUPP;
	if (vp >= hv_child_nr_vps(c->child))
		return -EINVAL;
	client_lock(c);
	if (cc->rescinded || cc->modifying) {
		err = cc->rescinded ? -ENOENT : -EBUSY;
		goto unlock;
	}
	cc->modifying = true;
	len = vmbus_msg_init(&msg, VMBUS_MSG_MODIFYCHANNEL);
	msg.modify.relid = cc->offer.relid;
	msg.modify.target_vp = vp;
	err = await_modify(c, cc, &msg, len);
	cc->modifying = false;
	if (!err) {
		cc->vp = vp;
		client_kick_vp(c, vp); /* what the old VP was told, the new one has not heard */
	}
unlock:
	client_unlock(c);
	return err;
}

bool vmbus_client_rescinded(struct vmbus_client *c, struct vmbus_chan *chan)
{
	struct client_chan *cc = vmbus_chan_ctx(chan);

	(void)c;
	return load_acquire(&cc->rescinded); /* pairs with on_rescind() */
}
