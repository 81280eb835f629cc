/* SPDX-License-Identifier: MIT */
/*
 * The heartbeat service: is the guest's kernel alive (spec: integration-services, section 2)?
 *
 * Threads: as ic.h.
 */
#ifndef HVBUS_VSP_IC_IC_HEARTBEAT_H
#define HVBUS_VSP_IC_IC_HEARTBEAT_H

#include "vsp/ic/ic.h"

struct ic_heartbeat;

#define IC_HEARTBEAT_MS	    2000u
#define IC_HEARTBEAT_MISSES 4u

enum ic_contact {
	IC_CONTACT_NONE, /* nothing was heard since the guest opened the channel, if it did */
	IC_CONTACT_OK,
	IC_CONTACT_LOST, /* it answered once, and does not any more */
};

struct ic_heartbeat_status {
	enum ic_contact contact;
	enum ic_application application; /* what the guest says of itself */
	uint32_t missed;		 /* in a row, by now */
	uint64_t sent, answered, lost;	 /* lost: how often contact was */
	uint64_t last_ns;		 /* clock_ns() of the last answer; 0 = none */
};

struct ic_heartbeat_config {
	struct loop *loop;
	uint32_t period_ms; /* 0 = IC_HEARTBEAT_MS */
	uint32_t misses;    /* in a row until contact is lost; 0 = IC_HEARTBEAT_MISSES */
	/*
	 * Contact or application state is another than before; may be NULL. Once a period at most.
	 * Must not destroy the service.
	 */
	void (*changed)(void *ctx, const struct ic_heartbeat_status *now);
	void *ctx;
};

/* Errors and the end: as ic_create() and ic_destroy(). */
int ic_heartbeat_create(struct ic_heartbeat **out, struct vmbus_bus *bus,
			const struct ic_heartbeat_config *cfg);
void ic_heartbeat_destroy(struct ic_heartbeat *h, void (*gone)(void *ctx), void *ctx);

/* A guest that is not let run misses nothing: no periods pass until false. */
void ic_heartbeat_pause(struct ic_heartbeat *h, bool paused);

void ic_heartbeat_status(const struct ic_heartbeat *h, struct ic_heartbeat_status *out);
const char *ic_contact_name(enum ic_contact c);		/* "no contact", "ok", "lost" */
const char *ic_application_name(enum ic_application a); /* "unknown", "healthy", .. */
struct ic *ic_heartbeat_ic(const struct ic_heartbeat *h);

#endif
