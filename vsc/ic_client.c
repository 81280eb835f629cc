/* SPDX-License-Identifier: MIT */
/* What the root asks and what it is told; see the header. An answer is the request, changed. */
#include "vsc/ic_client.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "vmbus/wire/vmbus_msg.h"

#define RING	  16384u
#define BATCH	  32
#define NO_ANSWER UINT32_MAX /* no status that anybody uses */

struct request {
	struct ic_frame frame;
	uint8_t *body;
	uint32_t len;  /* of the body, as its size says */
	uint32_t room; /* of the body, as it came */
};

struct service {
	struct guid type;
	uint16_t message;
	/* A status, or NO_ANSWER. */
	uint32_t (*handle)(struct ic_client *c, struct request *r);
	struct ic_version version[5]; /* best first; 0.0 ends them */
};

static uint32_t on_heartbeat(struct ic_client *c, struct request *r);
static uint32_t on_shutdown(struct ic_client *c, struct request *r);

static const struct ic_version frameworks[] = { { 3, 0 }, { 1, 0 }, { 0, 0 } };

static const struct service services[] = {
	{ VMBUS_CLASS_HEARTBEAT, IC_HEARTBEAT, on_heartbeat, { { 3, 0 }, { 1, 0 } } },
	{ VMBUS_CLASS_SHUTDOWN,
	  IC_SHUTDOWN,
	  on_shutdown,
	  { { 3, 2 }, { 3, 1 }, { 3, 0 }, { 1, 0 } } },
};

struct ic_client {
	struct vmbus_client *bus;
	struct ic_client_config cfg;
	struct vmbus_chan *chan[ARRAY_SIZE(services)]; /* NULL: not open */
	struct ic_client_stats stats;
	pthread_t thread;
	bool started, stop; /* stop: any thread */
	_Alignas(8) uint8_t out[4096];
};

/* ---- requests -------------------------------------------------------------------------- */

static uint32_t on_heartbeat(struct ic_client *c, struct request *r)
{
	struct ic_heartbeat_body b;
	uint32_t len = r->len < sizeof(b) ? sizeof(b.sequence) : sizeof(b);

	if (r->len < len)
		return NO_ANSWER;
	memcpy(&b, r->body, len);
	b.sequence++;
	if (c->cfg.health)
		b.application = c->cfg.health(c->cfg.ctx);
	memcpy(r->body, &b, len);
	return IC_OK;
}

static uint32_t on_shutdown(struct ic_client *c, struct request *r)
{
	struct ic_client_shutdown s;
	struct ic_shutdown_body b;
	uint32_t kind;

	if (r->len < sizeof(b))
		return NO_ANSWER;
	memcpy(&b, r->body, sizeof(b));
	kind = b.flags & ~IC_SHUTDOWN_FORCE;
	if (kind && kind != IC_SHUTDOWN_RESTART && kind != IC_SHUTDOWN_HIBERNATE)
		return IC_FAIL;
	s = (struct ic_client_shutdown){ b.reason, b.timeout_s, b.flags };
	return c->cfg.shutdown ? c->cfg.shutdown(c->cfg.ctx, &s) : IC_FAIL;
}

/* The best of @ours that is in @theirs; false: none is. */
static bool choose(const struct ic_version *ours, const uint8_t *theirs, uint32_t n,
		   struct ic_version *out)
{
	struct ic_version v;

	for (; ours->major; ours++)
		for (uint32_t i = 0; i < n; i++) {
			memcpy(&v, theirs + i * sizeof(v), sizeof(v));
			if (v.major != ours->major || v.minor != ours->minor)
				continue;
			*out = v;
			return true;
		}
	return false;
}

static uint32_t negotiate(const struct service *s, struct request *r)
{
	struct ic_negotiated n = { 0 };
	const uint8_t *list = r->body + sizeof(n.count);
	uint32_t f, m, len = sizeof(n.count);

	if (r->len < sizeof(n.count))
		return NO_ANSWER;
	memcpy(&n.count, r->body, sizeof(n.count));
	f = n.count.frameworks;
	m = n.count.messages;
	n.count = (struct ic_negotiate){ 0 };
	if (f <= IC_MAX_VERSIONS && m <= IC_MAX_VERSIONS &&
	    (f + m) * sizeof(struct ic_version) <= r->len - sizeof(n.count) &&
	    choose(frameworks, list, f, &n.framework) &&
	    choose(s->version, list + f * sizeof(struct ic_version), m, &n.message)) {
		n.count.frameworks = n.count.messages = 1;
		len = sizeof(n); /* there is room: each list had an entry */
		r->frame.header.size = sizeof(n);
	}
	memcpy(r->body, &n, len);
	return IC_OK;
}

/* False: it is no request. Otherwise it lies in c->out, where its answer is made. */
static bool parse(struct ic_client *c, const struct vmpkt *p, struct request *r)
{
	struct ic_frame *f = &r->frame;

	if (p->type != VMPKT_INBAND || p->payload_len < sizeof(*f) ||
	    p->payload_len > sizeof(c->out))
		return false;
	memcpy(c->out, p->payload, p->payload_len);
	memcpy(f, c->out, sizeof(*f));
	r->body = c->out + sizeof(*f);
	r->len = f->header.size;
	return f->pipe.type == IC_PIPE_MESSAGE && f->pipe.length >= sizeof(f->header) &&
	       f->pipe.length <= p->payload_len - sizeof(f->pipe) &&
	       r->len <= f->pipe.length - sizeof(f->header) && f->header.flags & IC_REQUEST;
}

static void answer(struct ic_client *c, uint32_t i, const struct vmpkt *p)
{
	const struct service *s = &services[i];
	uint32_t status = NO_ANSWER;
	struct request r;

	if (parse(c, p, &r)) {
		if (r.frame.header.message == IC_NEGOTIATE)
			status = negotiate(s, &r);
		else if (r.frame.header.message == s->message)
			status = s->handle(c, &r);
	}
	if (status == NO_ANSWER) {
		c->stats.ignored++;
		return;
	}
	c->stats.answered++;
	if (!(r.frame.header.flags & IC_TRANSACTION))
		return;
	r.frame.header.flags = IC_TRANSACTION | IC_RESPONSE;
	r.frame.header.status = status;
	memcpy(c->out, &r.frame, sizeof(r.frame));
	/* A root that has left no room does not want it. */
	vmbus_chan_send(c->chan[i], 0, p->trans_id, c->out,
			(uint32_t)sizeof(r.frame.pipe) + r.frame.pipe.length);
}

/* ---- channels -------------------------------------------------------------------------- */

static void close_chan(struct ic_client *c, uint32_t i)
{
	vmbus_client_close(c->bus, c->chan[i]);
	c->chan[i] = NULL;
	c->stats.channels--;
}

static bool work_chan(struct ic_client *c, uint32_t i)
{
	struct vmpkt p;
	int n = 0;

	if (vmbus_client_rescinded(c->bus, c->chan[i])) {
		close_chan(c, i);
		return true;
	}
	while (n < BATCH && vmbus_chan_recv(c->chan[i], &p) > 0) {
		answer(c, i, &p);
		n++;
	}
	vmbus_chan_recv_done(c->chan[i]);
	vmbus_chan_flush(c->chan[i]);
	return n > 0;
}

bool ic_client_work(struct ic_client *c)
{
	bool did = false;

	for (uint32_t i = 0; i < ARRAY_SIZE(services); i++)
		if (c->chan[i])
			did |= work_chan(c, i);
	return did;
}

bool ic_client_arm(struct ic_client *c)
{
	bool idle = true;

	for (uint32_t i = 0; i < ARRAY_SIZE(services); i++)
		if (c->chan[i])
			idle &= !vmbus_chan_unmask(c->chan[i]);
	return idle;
}

void ic_client_stats(const struct ic_client *c, struct ic_client_stats *out)
{
	*out = c->stats;
}

/* ---- life ---------------------------------------------------------------------------------- */

static int open_chan(struct ic_client *c, uint32_t i)
{
	struct vmbus_offer offer;
	int err = vmbus_client_find(c->bus, &services[i].type, 0, &offer);

	if (!err)
		err = vmbus_client_open(c->bus, &offer, RING, c->cfg.vp, sizeof(c->out), NULL, NULL,
					&c->chan[i]);
	c->stats.channels += !err;
	return err == -ENOENT ? 0 : err; /* not offered, or not any more */
}

int ic_client_open(struct ic_client **out, struct vmbus_client *bus,
		   const struct ic_client_config *cfg)
{
	struct ic_client *c = calloc(1, sizeof(*c));
	int err = 0;

	if (!c)
		return -ENOMEM;
	c->bus = bus;
	c->cfg = *cfg;
	for (uint32_t i = 0; !err && i < ARRAY_SIZE(services); i++)
		err = open_chan(c, i);
	if (!err && !c->stats.channels)
		err = -ENODEV;
	if (err) {
		ic_client_close(c);
		return err;
	}
	*out = c;
	return 0;
}

static void *run(void *arg)
{
	struct ic_client *c = arg;

	while (!load_acquire(&c->stop)) {
		if (ic_client_work(c) || !ic_client_arm(c))
			continue;
		if (vmbus_client_wait(c->bus, c->cfg.vp, UINT64_MAX) < 0)
			break;
	}
	return NULL;
}

int ic_client_start(struct ic_client *c)
{
	int err = pthread_create(&c->thread, NULL, run, c);

	c->started = !err;
	return -err;
}

void ic_client_close(struct ic_client *c)
{
	if (!c)
		return;
	if (c->started) {
		store_release(&c->stop, true);
		hv_child_kick_vp(vmbus_client_child(c->bus), c->cfg.vp);
		pthread_join(c->thread, NULL);
	}
	for (uint32_t i = 0; i < ARRAY_SIZE(services); i++)
		if (c->chan[i])
			close_chan(c, i);
	free(c);
}
