/* SPDX-License-Identifier: MIT */
/*
 * Heartbeats. There is one under way at most: a guest that has stopped finds one message in its
 * ring when it goes on, and its answer to that is as good as any.
 */
#include "vsp/ic/ic_heartbeat.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/loop.h"

struct ic_heartbeat {
	struct ic *ic;
	struct loop *loop;
	struct loop_timer timer;
	uint64_t period_ns, sequence;
	uint32_t misses;
	bool paused, waiting;
	struct ic_heartbeat_status now;
	void (*changed)(void *ctx, const struct ic_heartbeat_status *now);
	void *ctx;
	void (*gone)(void *ctx);
	void *gone_ctx;
};

static const struct ic_service service = {
	.name = "heartbeat",
	.type = VMBUS_CLASS_HEARTBEAT,
	.instance = VMBUS_INSTANCE_HEARTBEAT,
	.message = IC_HEARTBEAT,
	.max_body = sizeof(struct ic_heartbeat_body),
	.framework = { { 1, 0 }, { 3, 0 } },
	.version = { { 1, 0 }, { 3, 0 } },
};

static void settle(struct ic_heartbeat *h, enum ic_contact contact, enum ic_application app)
{
	if (contact == h->now.contact && app == h->now.application)
		return;
	h->now.lost += contact == IC_CONTACT_LOST;
	h->now.contact = contact;
	h->now.application = app;
	if (h->changed)
		h->changed(h->ctx, &h->now);
}

/* Only newer guests say it, in bytes that older ones send back as they came. */
static enum ic_application application(const struct ic_heartbeat *h, const struct ic_answer *a)
{
	struct ic_heartbeat_body b = { 0 };

	if (a->len < sizeof(b) || !ic_version_at_least(ic_version(h->ic), 3, 0))
		return IC_APP_UNKNOWN;
	memcpy(&b, a->body, sizeof(b));
	return b.application <= IC_APP_STOPPED ? (enum ic_application)b.application
					       : IC_APP_UNKNOWN;
}

/* Whatever it counts and says: who answers is alive. */
static void answered(void *ctx, const struct ic_answer *a)
{
	struct ic_heartbeat *h = ctx;

	h->waiting = false;
	if (a->err)
		return;
	h->now.answered++;
	h->now.missed = 0;
	h->now.last_ns = clock_ns();
	settle(h, IC_CONTACT_OK, application(h, a));
}

static void beat(struct ic_heartbeat *h)
{
	struct ic_heartbeat_body b = { .sequence = h->sequence };

	if (ic_request(h->ic, &b, sizeof(b), 0, answered, h))
		return;
	h->waiting = true;
	h->sequence++;
	h->now.sent++;
}

static void on_period(struct loop_timer *t)
{
	struct ic_heartbeat *h = container_of(t, struct ic_heartbeat, timer);

	loop_timer_arm(h->loop, t, h->period_ns);
	if (!h->waiting) {
		beat(h);
		return;
	}
	if (++h->now.missed >= h->misses && h->now.contact == IC_CONTACT_OK)
		settle(h, IC_CONTACT_LOST, IC_APP_UNKNOWN);
}

static void start(struct ic_heartbeat *h)
{
	int err = ic_ready(h->ic);

	if (h->paused || (err && err != -EBUSY))
		return;
	loop_timer_arm(h->loop, &h->timer, h->period_ns);
	if (!h->waiting)
		beat(h);
}

static void on_ready(void *ctx)
{
	start(ctx);
}

static void on_closed(void *ctx)
{
	struct ic_heartbeat *h = ctx;

	loop_timer_cancel(h->loop, &h->timer);
	h->now.missed = 0;
	settle(h, IC_CONTACT_NONE, IC_APP_UNKNOWN);
}

static const struct ic_ops ops = { .ready = on_ready, .closed = on_closed };

/* ---- life ------------------------------------------------------------------------------- */

int ic_heartbeat_create(struct ic_heartbeat **out, struct vmbus_bus *bus,
			const struct ic_heartbeat_config *cfg)
{
	struct ic_heartbeat *h = calloc(1, sizeof(*h));
	struct ic_config ic = { .service = &service, .ops = &ops, .ctx = h, .loop = cfg->loop };
	int err;

	if (!h)
		return -ENOMEM;
	h->loop = cfg->loop;
	h->timer.fire = on_period;
	h->period_ns = (cfg->period_ms ? cfg->period_ms : IC_HEARTBEAT_MS) * 1000000ull;
	h->misses = cfg->misses ? cfg->misses : IC_HEARTBEAT_MISSES;
	h->changed = cfg->changed;
	h->ctx = cfg->ctx;
	err = ic_create(&h->ic, bus, &ic);
	if (err) {
		free(h);
		return err;
	}
	*out = h;
	return 0;
}

static void ic_gone(void *ctx)
{
	struct ic_heartbeat *h = ctx;
	void (*gone)(void *ctx) = h->gone;
	void *gone_ctx = h->gone_ctx;

	free(h);
	if (gone)
		gone(gone_ctx);
}

void ic_heartbeat_destroy(struct ic_heartbeat *h, void (*gone)(void *ctx), void *ctx)
{
	h->changed = NULL;
	h->gone = gone;
	h->gone_ctx = ctx;
	ic_destroy(h->ic, ic_gone, h);
}

void ic_heartbeat_pause(struct ic_heartbeat *h, bool paused)
{
	h->paused = paused;
	loop_timer_cancel(h->loop, &h->timer);
	start(h);
}

/* ---- inspection --------------------------------------------------------------------------- */

void ic_heartbeat_status(const struct ic_heartbeat *h, struct ic_heartbeat_status *out)
{
	*out = h->now;
}

const char *ic_contact_name(enum ic_contact c)
{
	static const char *const names[] = { "no contact", "ok", "lost" };

	return names[c];
}

const char *ic_application_name(enum ic_application a)
{
	static const char *const names[] = { "unknown", "healthy", "critical", "stopped" };

	return names[a];
}

struct ic *ic_heartbeat_ic(const struct ic_heartbeat *h)
{
	return h->ic;
}
