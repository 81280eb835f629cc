/* SPDX-License-Identifier: MIT */
/* Which services there are; see the header. */
#include "vsp/ic/ic_services.h"

#include <errno.h>
#include <stdlib.h>

struct ic_services {
	struct ic_heartbeat *heartbeat;
	struct ic_shutdown *shutdown;
	uint32_t closing; /* services that have not reported their end, and who asks for it */
	void (*gone)(void *ctx);
	void *gone_ctx;
};

/* ---- the table ---------------------------------------------------------------------- */

static int heartbeat_create(struct ic_services *s, struct vmbus_bus *bus,
			    const struct ic_services_config *cfg)
{
	struct ic_heartbeat_config hc = cfg->heartbeat;

	hc.loop = cfg->loop;
	return ic_heartbeat_create(&s->heartbeat, bus, &hc);
}

static struct ic *heartbeat_ic(const struct ic_services *s)
{
	return s->heartbeat ? ic_heartbeat_ic(s->heartbeat) : NULL;
}

static void heartbeat_destroy(struct ic_services *s, void (*gone)(void *ctx))
{
	struct ic_heartbeat *h = s->heartbeat;

	s->heartbeat = NULL;
	ic_heartbeat_destroy(h, gone, s);
}

static int shutdown_create(struct ic_services *s, struct vmbus_bus *bus,
			   const struct ic_services_config *cfg)
{
	return ic_shutdown_create(&s->shutdown, bus, cfg->loop);
}

static struct ic *shutdown_ic(const struct ic_services *s)
{
	return s->shutdown ? ic_shutdown_ic(s->shutdown) : NULL;
}

static void shutdown_destroy(struct ic_services *s, void (*gone)(void *ctx))
{
	struct ic_shutdown *d = s->shutdown;

	s->shutdown = NULL;
	ic_shutdown_destroy(d, gone, s);
}

static const struct {
	const char *name;
	uint32_t bit;
	int (*create)(struct ic_services *s, struct vmbus_bus *bus,
		      const struct ic_services_config *cfg);
	struct ic *(*ic)(const struct ic_services *s); /* NULL: it is not offered */
	void (*destroy)(struct ic_services *s, void (*gone)(void *ctx));
} table[] = {
	{ "heartbeat", IC_HAS(IC_HEARTBEAT), heartbeat_create, heartbeat_ic, heartbeat_destroy },
	{ "shutdown", IC_HAS(IC_SHUTDOWN), shutdown_create, shutdown_ic, shutdown_destroy },
};

_Static_assert(ARRAY_SIZE(table) == IC_SERVICES_COUNT, "see ic_services.h");

uint32_t ic_services_named(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (!strcmp(table[i].name, name))
			return table[i].bit;
	return 0;
}

/* ---- life ------------------------------------------------------------------------------ */

int ic_services_create(struct ic_services **out, struct vmbus_bus *bus,
		       const struct ic_services_config *cfg)
{
	struct ic_services *s = calloc(1, sizeof(*s));
	int err = s ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < ARRAY_SIZE(table); i++)
		if (!(cfg->off & table[i].bit))
			err = table[i].create(s, bus, cfg);
	if (err && s)
		ic_services_destroy(s, NULL, NULL);
	if (!err)
		*out = s;
	return err;
}

static void one_gone(void *ctx)
{
	struct ic_services *s = ctx;
	void (*gone)(void *ctx) = s->gone;
	void *gone_ctx = s->gone_ctx;

	if (--s->closing)
		return;
	free(s);
	if (gone)
		gone(gone_ctx);
}

void ic_services_destroy(struct ic_services *s, void (*gone)(void *ctx), void *ctx)
{
	s->gone = gone;
	s->gone_ctx = ctx;
	s->closing = 1; /* us, until each has been asked */
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (!table[i].ic(s))
			continue;
		s->closing++;
		table[i].destroy(s, one_gone);
	}
	one_gone(s);
}

struct ic_heartbeat *ic_services_heartbeat(const struct ic_services *s)
{
	return s->heartbeat;
}

struct ic_shutdown *ic_services_shutdown(const struct ic_services *s)
{
	return s->shutdown;
}

void ic_services_each(const struct ic_services *s, void (*fn)(void *ctx, const struct ic_stats *st),
		      void *ctx)
{
	struct ic_stats st;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct ic *ic = table[i].ic(s);

		if (!ic)
			continue;
		ic_stats(ic, &st);
		fn(ctx, &st);
	}
}
