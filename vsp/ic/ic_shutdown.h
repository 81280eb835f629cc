/* SPDX-License-Identifier: MIT */
/*
 * The shutdown service: asks the guest's kernel to power off, restart or hibernate (spec:
 * integration-services, section 3). The guest says whether it will; that it has is seen elsewhere:
 * the machine stops, or the process ends.
 *
 * Threads: as ic.h.
 */
#ifndef HVBUS_VSP_IC_IC_SHUTDOWN_H
#define HVBUS_VSP_IC_IC_SHUTDOWN_H

#include "vsp/ic/ic.h"

struct ic_shutdown;

#define IC_SHUTDOWN_ANSWER_MS 30000u

enum ic_shutdown_kind { IC_POWER_OFF, IC_REBOOT, IC_HIBERNATE };

struct ic_shutdown_request {
	enum ic_shutdown_kind kind;
	bool force;	    /* programs of the guest that object are overruled */
	uint32_t timeout_s; /* what the guest is told it has */
	uint32_t reason;    /* 0 = IC_SHUTDOWN_PLANNED */
	const char *text;   /* UTF-8, at most IC_SHUTDOWN_TEXT - 1 units; NULL = none */
	uint32_t answer_ms; /* until it has to agree or refuse; 0 = IC_SHUTDOWN_ANSWER_MS */
};

/* Errors and the end: as ic_create() and ic_destroy(). @loop is the bus's. */
int ic_shutdown_create(struct ic_shutdown **out, struct vmbus_bus *bus, struct loop *loop);
void ic_shutdown_destroy(struct ic_shutdown *s, void (*gone)(void *ctx), void *ctx);

/*
 * Asks; @done(ctx, err, status) follows exactly once, never from inside. @err: 0 (it will),
 * -EPERM (it refuses, with @status), -ETIMEDOUT (no answer), -ECONNRESET (the guest closed the
 * channel before it answered, as one that is fast may). ic_shutdown_explain() has the words.
 * Errors, without done(): as ic_request(); -EINVAL (@kind), -EILSEQ and -EMSGSIZE (@text);
 * -ENOSYS (the version agreed on has no such @kind).
 */
int ic_shutdown_request(struct ic_shutdown *s, const struct ic_shutdown_request *r,
			void (*done)(void *ctx, int err, uint32_t status), void *ctx);

/* Any error of the above as the end of a sentence about the guest: "has not opened .." */
const char *ic_shutdown_explain(int err, uint32_t status);

struct ic *ic_shutdown_ic(const struct ic_shutdown *s);

#endif
