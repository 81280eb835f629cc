/* SPDX-License-Identifier: MIT */
/*
 * The frame of an integration service; see the header. All that a guest can say is an answer, and
 * what answers are for in each state is a column of a table.
 */
#include "vsp/ic/ic.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/loop.h"

#define BATCH	       32
#define NEGOTIATE_SIZE (sizeof(struct ic_negotiate) + 2 * IC_SERVICE_VERSIONS * 4)
#define OVERHEAD       (16 + 8) /* of a packet in the ring, and its rounding */

enum ic_state {
	IC_CLOSED,
	IC_OPENED, /* the negotiation is to be sent */
	IC_NEGOTIATING,
	IC_UNUSABLE,
	IC_FAILED,
	IC_READY,
	IC_WAITING,
	IC_LATE,
};

struct ic {
	const struct ic_service *service;
	const struct ic_ops *ops;
	void *ctx;
	struct loop *loop;
	struct vmbus_device *dev;
	struct vmbus_chan *chan; /* NULL: closed */
	uint32_t partition;
	enum ic_state state;
	struct ic_version framework, version;
	struct loop_timer timer; /* of the answer; of the next attempt */
	void (*done)(void *ctx, const struct ic_answer *a);
	void *done_ctx;
	void (*gone)(void *ctx);
	void *gone_ctx;
	uint64_t requests, answers, timeouts, dropped;
	const char *last_drop;
	uint8_t out[]; /* a message as it is made */
};

struct reply {
	struct ic_header header;
	const uint8_t *body;
	uint32_t len;
};

static void on_versions(struct ic *ic, const struct reply *r);
static void on_answer(struct ic *ic, const struct reply *r);
static void on_late_answer(struct ic *ic, const struct reply *r);

static const struct {
	const char *name;
	int ready; /* whether a request is possible */
	bool negotiates;
	void (*reply)(struct ic *ic, const struct reply *r); /* NULL: none is waited for */
} states[] = {
	[IC_CLOSED] = { "closed", -ENOTCONN, false, NULL },
	[IC_OPENED] = { "opened", -EAGAIN, false, NULL },
	[IC_NEGOTIATING] = { "negotiating", -EAGAIN, true, on_versions },
	[IC_UNUSABLE] = { "unusable", -EOPNOTSUPP, false, NULL },
	[IC_FAILED] = { "failed", -EPROTO, false, NULL },
	[IC_READY] = { "ready", 0, false, NULL },
	[IC_WAITING] = { "waiting", -EBUSY, false, on_answer },
	[IC_LATE] = { "late", -EBUSY, false, on_late_answer },
};

/* ---- sending ------------------------------------------------------------------------ */

static int send_message(struct ic *ic, uint16_t message, const void *body, uint32_t len)
{
	struct ic_frame f = {
		.pipe = { IC_PIPE_MESSAGE, (uint32_t)sizeof(struct ic_header) + len },
		.header = { .framework = ic->framework,
			    .message = message,
			    .version = ic->version,
			    .size = (uint16_t)len,
			    .flags = IC_TRANSACTION | IC_REQUEST },
	};

	memcpy(ic->out, &f, sizeof(f));
	memcpy(ic->out + sizeof(f), body, len);
	return vmbus_chan_send(ic->chan, 0, 0, ic->out, (uint32_t)sizeof(f) + len);
}

static uint16_t put_versions(uint8_t *at, const struct ic_version *v)
{
	uint16_t n = 0;

	while (v[n].major)
		n++;
	memcpy(at, v, n * sizeof(*v));
	return n;
}

static void negotiate(struct ic *ic)
{
	static const struct ic_version none;
	uint8_t body[NEGOTIATE_SIZE];
	struct ic_negotiate *n = (void *)body;
	uint32_t len = sizeof(*n);

	memset(body, 0, sizeof(*n));
	ic->framework = ic->version = none;
	n->frameworks = put_versions(body + len, ic->service->framework);
	len += n->frameworks * (uint32_t)sizeof(struct ic_version);
	n->messages = put_versions(body + len, ic->service->version);
	len += n->messages * (uint32_t)sizeof(struct ic_version);
	if (!send_message(ic, IC_NEGOTIATE, body, len))
		ic->state = IC_NEGOTIATING; /* else at the next drain */
}

int ic_ready(const struct ic *ic)
{
	return states[ic->state].ready;
}

int ic_request(struct ic *ic, const void *body, uint32_t len, uint64_t limit_ns,
	       void (*done)(void *ctx, const struct ic_answer *a), void *ctx)
{
	int err = ic_ready(ic);

	if (!err && len > ic->service->max_body)
		err = -EMSGSIZE;
	if (!err)
		err = send_message(ic, ic->service->message, body, len);
	if (err)
		return err == -EAGAIN && ic->state == IC_READY ? -ENOBUFS : err;
	ic->state = IC_WAITING;
	ic->requests++;
	ic->done = done;
	ic->done_ctx = ctx;
	if (limit_ns)
		loop_timer_arm(ic->loop, &ic->timer, limit_ns);
	vmbus_device_kick(ic->dev, 0);
	return 0;
}

/* ---- what a guest says ---------------------------------------------------------------- */

/* NULL: *@r is an answer. Otherwise why not. */
static const char *parse(const struct vmpkt *p, struct reply *r)
{
	struct ic_frame f;

	if (p->type != VMPKT_INBAND)
		return "a packet that is not in-band";
	if (p->payload_len < sizeof(f))
		return "a packet shorter than a header";
	memcpy(&f, p->payload, sizeof(f));
	if (f.pipe.type != IC_PIPE_MESSAGE)
		return "a pipe header of another type";
	if (f.pipe.length < sizeof(f.header) || f.pipe.length > p->payload_len - sizeof(f.pipe))
		return "a pipe length that is not the packet's";
	if (f.header.size > f.pipe.length - sizeof(f.header))
		return "a message size beyond the message";
	if (f.header.flags != (IC_TRANSACTION | IC_RESPONSE))
		return "flags that are not an answer's";
	if (f.header.transaction)
		return "the answer to another transaction";
	r->header = f.header;
	r->body = p->payload + sizeof(f);
	r->len = f.header.size;
	return NULL;
}

static void drop(struct ic *ic, const char *why)
{
	ic->dropped++;
	ic->last_drop = why;
	log_ratelimited(LOG_WARN, "partition %u, %s service: dropped %s", ic->partition,
			ic->service->name, why);
}

static void on_packet(struct ic *ic, const struct vmpkt *p)
{
	uint16_t want = states[ic->state].negotiates ? IC_NEGOTIATE : ic->service->message;
	struct reply r;
	const char *why = parse(p, &r);

	if (!why && !states[ic->state].reply)
		why = "an answer that nobody asked for";
	if (!why && r.header.message != want)
		why = "an answer to something else";
	if (why)
		drop(ic, why);
	else
		states[ic->state].reply(ic, &r);
}

static bool is_offered(const struct ic_version *list, struct ic_version v)
{
	for (; list->major; list++)
		if (list->major == v.major && list->minor == v.minor)
			return true;
	return false;
}

static void failed(struct ic *ic, const char *why)
{
	drop(ic, why);
	ic->state = IC_FAILED;
	loop_timer_arm(ic->loop, &ic->timer, IC_RETRY_NS);
}

static void on_versions(struct ic *ic, const struct reply *r)
{
	struct ic_negotiated n = { 0 };

	memcpy(&n, r->body, r->len < sizeof(n) ? r->len : sizeof(n));
	if (r->len >= sizeof(n.count) && !n.count.frameworks && !n.count.messages) {
		ic->state = IC_UNUSABLE;
		log_ratelimited(LOG_WARN, "partition %u has no %s service: no version in common",
				ic->partition, ic->service->name);
		return;
	}
	if (r->len < sizeof(n) || n.count.frameworks != 1 || n.count.messages != 1) {
		failed(ic, "a choice of other than one version");
		return;
	}
	if (!is_offered(ic->service->framework, n.framework) ||
	    !is_offered(ic->service->version, n.message)) {
		failed(ic, "a version that was not offered");
		return;
	}
	ic->framework = n.framework;
	ic->version = n.message;
	ic->state = IC_READY;
	if (ic->ops->ready)
		ic->ops->ready(ic->ctx);
}

/* The request is over; what comes next is up to who asked. */
static void answer(struct ic *ic, enum ic_state next, const struct ic_answer *a)
{
	loop_timer_cancel(ic->loop, &ic->timer);
	ic->state = next;
	ic->done(ic->done_ctx, a);
}

static void on_answer(struct ic *ic, const struct reply *r)
{
	struct ic_answer a = { .status = r->header.status, .body = r->body, .len = r->len };

	ic->answers++;
	answer(ic, IC_READY, &a);
}

static void on_late_answer(struct ic *ic, const struct reply *r)
{
	(void)r;
	ic->state = IC_READY;
}

static void on_timer(struct loop_timer *t)
{
	struct ic *ic = container_of(t, struct ic, timer);
	struct ic_answer late = { .err = -ETIMEDOUT };

	if (ic->state == IC_FAILED) {
		ic->state = IC_OPENED;
		vmbus_device_kick(ic->dev, 0);
	} else if (ic->state == IC_WAITING) {
		ic->timeouts++;
		answer(ic, IC_LATE, &late);
	}
}

/* ---- device ops --------------------------------------------------------------------------- */

static int dev_open(void *dev, uint16_t sub, struct vmbus_chan *chan, const uint8_t *user)
{
	struct ic *ic = dev;

	(void)user;
	if (sub)
		return -EINVAL;
	ic->chan = chan;
	ic->state = IC_OPENED;
	return 0;
}

static bool dev_drain(void *dev, uint16_t sub)
{
	struct ic *ic = dev;
	struct vmpkt p;
	int n = 0;

	(void)sub;
	if (ic->state == IC_OPENED)
		negotiate(ic);
	while (n < BATCH && vmbus_chan_recv(ic->chan, &p) > 0) {
		on_packet(ic, &p);
		n++;
	}
	vmbus_chan_recv_done(ic->chan);
	return n > 0;
}

static void dev_close(void *dev, uint16_t sub)
{
	struct ic *ic = dev;
	struct ic_answer closed = { .err = -ECONNRESET };
	bool waiting = ic->state == IC_WAITING;

	loop_timer_cancel(ic->loop, &ic->timer);
	ic->chan = NULL;
	ic->framework = ic->version = (struct ic_version){ 0 };
	ic->state = IC_CLOSED;
	if (waiting)
		ic->done(ic->done_ctx, &closed);
	if (ic->ops->closed)
		ic->ops->closed(ic->ctx);
	vmbus_device_closed(ic->dev, sub);
}

static const struct vmbus_device_ops device_ops = {
	.open = dev_open,
	.drain = dev_drain,
	.close = dev_close,
};

/* ---- life ---------------------------------------------------------------------------------- */

static int offer(struct ic *ic, struct vmbus_bus *bus)
{
	struct vmbus_device_desc desc = {
		.type = ic->service->type,
		.instance = ic->service->instance,
		.flags = VMBUS_OFFER_ENUMERATE | VMBUS_OFFER_PIPE,
		.max_packet = OVERHEAD + sizeof(struct ic_frame) + IC_MAX_BODY,
		.name = ic->service->name,
		.loop = ic->loop,
	};
	struct vmbus_pipe_offer *pipe = (void *)desc.user;

	pipe->pipe_type = VMBUS_PIPE_MESSAGE;
	return vmbus_device_offer(&ic->dev, bus, &desc, &device_ops, ic);
}

int ic_create(struct ic **out, struct vmbus_bus *bus, const struct ic_config *cfg)
{
	uint32_t body = cfg->service->max_body;
	struct ic *ic;
	int err;

	if (!cfg->loop)
		return -EINVAL;
	body = body > NEGOTIATE_SIZE ? body : (uint32_t)NEGOTIATE_SIZE;
	ic = calloc(1, sizeof(*ic) + sizeof(struct ic_frame) + body);
	if (!ic)
		return -ENOMEM;
	ic->service = cfg->service;
	ic->ops = cfg->ops;
	ic->ctx = cfg->ctx;
	ic->loop = cfg->loop;
	ic->timer.fire = on_timer;
	ic->partition = vmbus_bus_partition_id(bus);
	err = offer(ic, bus);
	if (err) {
		free(ic);
		return err;
	}
	*out = ic;
	return 0;
}

static void dev_gone(void *dev)
{
	struct ic *ic = dev;
	void (*gone)(void *ctx) = ic->gone;
	void *ctx = ic->gone_ctx;

	free(ic);
	if (gone)
		gone(ctx);
}

void ic_destroy(struct ic *ic, void (*gone)(void *ctx), void *ctx)
{
	ic->gone = gone;
	ic->gone_ctx = ctx;
	vmbus_device_revoke(ic->dev, dev_gone);
}

/* ---- inspection ------------------------------------------------------------------------------ */

struct ic_version ic_version(const struct ic *ic)
{
	return ic->version;
}

bool ic_version_at_least(struct ic_version v, uint16_t major, uint16_t minor)
{
	return v.major > major || (v.major == major && v.minor >= minor);
}

void ic_stats(const struct ic *ic, struct ic_stats *out)
{
	*out = (struct ic_stats){
		.name = ic->service->name,
		.state = states[ic->state].name,
		.framework = ic->framework,
		.version = ic->version,
		.requests = ic->requests,
		.answers = ic->answers,
		.timeouts = ic->timeouts,
		.dropped = ic->dropped,
		.last_drop = ic->last_drop,
	};
}
