/* SPDX-License-Identifier: MIT */
/*
 * Queues: channel, request table, guest memory for parameters; the handshake on the
 * first, the rest as sub-channels (spec: storvsc, sections 5, 6, 15).
 */
#include "vsc/storvsc_priv.h"

#include <stdlib.h>

#define MOST_TRANSFER ((SC_MAX_PFNS - 1) * 4096)

/* ---- one queue ------------------------------------------------------------------------ */

static uint32_t param_pages(const struct sc_queue *q)
{
	return (q->depth * SC_PARAM + 4095) / 4096;
}

static int queue_memory(struct sc_queue *q)
{
	uint32_t i;
	int err;

	q->slots = calloc(q->depth, sizeof(*q->slots));
	if (!q->slots)
		return -ENOMEM;
	for (i = 0; i < q->depth; i++) {
		q->slots[i].gen = 1;
		q->slots[i].next = i + 1 < q->depth ? i + 2 : 0;
	}
	q->free_head = 1;
	err = hv_child_alloc_pages(q->s->child, param_pages(q), &q->params_gpa);
	if (err) {
		free(q->slots);
		q->slots = NULL;
		return err;
	}
	q->params = hv_child_ptr(q->s->child, q->params_gpa);
	return 0;
}

static int queue_open(struct storvsc *s, struct sc_queue *q, uint32_t index,
		      const struct vmbus_offer *offer)
{
	int err;

	memset(q, 0, sizeof(*q));
	q->s = s;
	q->vp = index;
	q->depth = s->depth;
	q->credit = SC_MOST_CREDIT;
	q->done_tail = &q->done_head;
	err = queue_memory(q);
	if (err)
		return err;
	err = vmbus_client_open(s->bus, offer, s->ring_bytes, index, SC_MAX_PACKET, NULL, NULL,
				&q->chan);
	if (err) {
		hv_child_free_pages(s->child, q->params_gpa, param_pages(q));
		free(q->slots);
		return err;
	}
	vmbus_chan_mask(q->chan); /* looked at by polling until somebody wants to sleep */
	return 0;
}

static void queue_close(struct sc_queue *q)
{
	struct hv_child *child = q->s->child;
	uint32_t i;

	vmbus_client_close(q->s->bus, q->chan); /* from here on the root uses none of the pages */
	for (i = 0; i < q->depth; i++)
		if (q->slots[i].kind == SC_ORPHAN && q->slots[i].bounce_pages)
			hv_child_free_pages(child, q->slots[i].bounce, q->slots[i].bounce_pages);
	if (q->bounce)
		hv_child_free_pages(child, sc_gpa(q->s, q->bounce, 1), q->s->max_transfer / 4096);
	hv_child_free_pages(child, q->params_gpa, param_pages(q));
	free(q->slots);
}

/* ---- handshake ------------------------------------------------------------------------------ */

/* One control operation; the root's verdict in *@status. */
static int control(struct storvsc *s, uint32_t op, struct vstor_packet *p, uint32_t *status)
{
	struct sc_call call;
	int err;

	p->operation = op;
	p->flags = VSTOR_FLAG_COMPLETION;
	err = sc_call(&s->queue[0], p, &call);
	if (err)
		return err;
	*status = call.answer.status;
	*p = call.answer;
	return 0;
}

/* The same for operations that may not fail. */
static int control_ok(struct storvsc *s, uint32_t op, struct vstor_packet *p)
{
	uint32_t status;
	int err = control(s, op, p, &status);

	return err ? err : status ? -EPROTO : 0;
}

static int negotiate(struct storvsc *s)
{
	static const uint16_t versions[] = { VSTOR_V6_2, VSTOR_V6_0, VSTOR_V5_1 };
	uint32_t i, status;
	int err;

	for (i = 0; i < ARRAY_SIZE(versions); i++) {
		struct vstor_packet p = { .version.major_minor = versions[i] };

		err = control(s, VSTOR_OP_QUERY_PROTOCOL_VERSION, &p, &status);
		if (err)
			return err;
		if (!status) {
			s->version = versions[i];
			return 0;
		}
	}
	return -EPROTONOSUPPORT;
}

/* Largest transfer that the root, the ring and our tables carry; C14. */
static int use_properties(struct storvsc *s, const struct vstor_properties *p, uint32_t *subs)
{
	uint32_t max = p->max_transfer_bytes & ~4095u;

	if (!max)
		return -EPROTO;
	if (max > MOST_TRANSFER)
		max = MOST_TRANSFER;
	/* Two packets at least fit into the ring, so that one in flight does not stop all. */
	while (max > 4096 && 2 * (max / 4096 * 8 + 200) > s->ring_bytes - 4096)
		max = (max / 2 + 4095) & ~4095u;
	s->max_transfer = max;
	*subs = p->flags & VSTOR_PROP_MULTI_CHANNEL ? p->max_channel_count
						    : 0; /* C15: used as a limit only */
	return 0;
}

static int handshake(struct storvsc *s, uint32_t *subs)
{
	struct vstor_packet begin = { 0 }, props = { 0 }, end = { 0 };
	int err;

	err = control_ok(s, VSTOR_OP_BEGIN_INITIALIZATION, &begin);
	if (!err)
		err = negotiate(s);
	if (!err)
		err = control_ok(s, VSTOR_OP_QUERY_PROPERTIES, &props);
	if (!err)
		err = use_properties(s, &props.properties, subs);
	if (!err)
		err = control_ok(s, VSTOR_OP_END_INITIALIZATION, &end);
	return err;
}

/* ---- sub-channels -------------------------------------------------------------------------------
 */

/* Opens what the root gives, fewer than wanted if need be; only death is an error. */
static int open_subchannels(struct storvsc *s, uint32_t n)
{
	struct vstor_packet p = { .sub_channel_count = (uint16_t)n };
	struct vmbus_offer offer;
	uint32_t i, status;
	int err;

	err = control(s, VSTOR_OP_CREATE_SUB_CHANNELS, &p, &status);
	if (err || status)
		return err;
	for (i = 1; i <= n; i++) {
		err = vmbus_client_wait_sub(s->bus, &s->offer, (uint16_t)i, &offer);
		if (!err)
			err = queue_open(s, &s->queue[i], i, &offer);
		if (err)
			return err == -ECONNRESET ? err : 0;
		s->nr_queues++;
	}
	return 0;
}

int sc_queues_open(struct storvsc *s, uint32_t wanted)
{
	uint32_t subs;
	int err;

	s->queue = aligned_alloc(CACHE_LINE, wanted * sizeof(*s->queue));
	if (!s->queue)
		return -ENOMEM;
	err = queue_open(s, &s->queue[0], 0, &s->offer);
	if (err)
		goto free_queues;
	s->nr_queues = 1;
	err = handshake(s, &subs);
	if (err)
		goto close;
	if (subs > wanted - 1)
		subs = wanted - 1;
	if (subs)
		err = open_subchannels(s, subs);
	if (!err)
		return 0;
close:
	sc_queues_close(s);
	return err;
free_queues:
	free(s->queue);
	s->queue = NULL;
	return err;
}

void sc_queues_close(struct storvsc *s)
{
	while (s->nr_queues)
		queue_close(&s->queue[--s->nr_queues]);
	free(s->queue);
	s->queue = NULL;
}
