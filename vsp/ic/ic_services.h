/* SPDX-License-Identifier: MIT */
/*
 * The integration services of one guest together, whatever kind of partition it is: offered, looked
 * at and taken away in one go. A new service is a row of the table in ic_services.c.
 *
 * Threads: as ic.h.
 */
#ifndef HVBUS_VSP_IC_IC_SERVICES_H
#define HVBUS_VSP_IC_IC_SERVICES_H

#include "vsp/ic/ic_heartbeat.h"
#include "vsp/ic/ic_shutdown.h"

struct ic_services;

#define IC_HAS(message)	  (1u << (message))
#define IC_SERVICES_ALL	  (IC_HAS(IC_HEARTBEAT) | IC_HAS(IC_SHUTDOWN))
#define IC_SERVICES_LIST  "heartbeat, shutdown"
#define IC_SERVICES_COUNT 2u

struct ic_services_config {
	struct loop *loop;		      /* the bus's */
	uint32_t off;			      /* IC_HAS() of those that are not offered */
	struct ic_heartbeat_config heartbeat; /* without its loop */
};

/* IC_HAS() of the service of that name; 0 = there is none. */
uint32_t ic_services_named(const char *name);

/* Errors: as ic_create(); nothing is offered then. */
int ic_services_create(struct ic_services **out, struct vmbus_bus *bus,
		       const struct ic_services_config *cfg);
/* @gone(ctx) when all of them are; as ic_destroy(). */
void ic_services_destroy(struct ic_services *s, void (*gone)(void *ctx), void *ctx);

/* NULL: it is not offered. */
struct ic_heartbeat *ic_services_heartbeat(const struct ic_services *s);
struct ic_shutdown *ic_services_shutdown(const struct ic_services *s);
/* Calls @fn for each that is offered. */
void ic_services_each(const struct ic_services *s, void (*fn)(void *ctx, const struct ic_stats *st),
		      void *ctx);

#endif
