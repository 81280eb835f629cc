/* SPDX-License-Identifier: MIT */
/*
 * What all integration services have in common: a channel in pipe mode, negotiation of versions,
 * one request at a time and its answer (spec: integration-services, section 1). One struct ic is
 * one service of one guest; what it asks for is its owner's (ic_heartbeat.c, ic_shutdown.c).
 *
 * The guest is not trusted. A packet that is no proper answer to what was asked is dropped and
 * counted, whatever it claims; it neither ends the wait nor costs the guest its channel. A guest
 * that chooses a version it was not offered loses the service for a minute.
 *
 * Threads: all on the loop of the config; the channel runs there too.
 */
#ifndef HVBUS_VSP_IC_IC_H
#define HVBUS_VSP_IC_IC_H

#include "vmbus/device.h"
#include "vmbus/wire/ic.h"

struct ic;

#define IC_SERVICE_VERSIONS 4
#define IC_RETRY_NS	    60000000000ull /* until a guest that failed is asked again */

/* A row of the protocol; static. */
struct ic_service {
	const char *name; /* "heartbeat"; also of the device */
	struct guid type, instance;
	uint16_t message;  /* enum ic_message */
	uint32_t max_body; /* longest that is sent; answers may be as long as IC_MAX_BODY */
	/* What the guest may choose from; a major number of 0 ends a list. */
	struct ic_version framework[IC_SERVICE_VERSIONS + 1], version[IC_SERVICE_VERSIONS + 1];
};

struct ic_ops {
	/* Versions are agreed: ic_request() works now. May be NULL. */
	void (*ready)(void *ctx);
	/*
	 * The guest closed the channel; a request under way has been answered with -ECONNRESET
	 * before. May be NULL.
	 */
	void (*closed)(void *ctx);
};

struct ic_config {
	const struct ic_service *service;
	const struct ic_ops *ops;
	void *ctx;
	struct loop *loop; /* the bus's */
};

/* Offers the service. Errors: as vmbus_device_offer(), -EINVAL (no loop), -ENOMEM. */
int ic_create(struct ic **out, struct vmbus_bus *bus, const struct ic_config *cfg);

/*
 * Revokes the offer; @gone(ctx) when it is freed, possibly before this returns. A request under
 * way is answered with -ECONNRESET. Not from inside of ops or an answer.
 */
void ic_destroy(struct ic *ic, void (*gone)(void *ctx), void *ctx);

struct ic_answer {
	int err;	 /* 0; -ETIMEDOUT, -ECONNRESET (channel closed): then nothing below */
	uint32_t status; /* enum ic_status, or whatever the guest says */
	const void *body;
	uint32_t len; /* of the body, as the guest says; at most what it sent. Valid in the call */
};

/*
 * Sends a message of the service's type; @done(ctx, answer) follows exactly once, never from
 * inside, and may ask for the next thing. @limit_ns: for the answer, 0 = none.
 * After -ETIMEDOUT the guest still has the request, and the next one is possible when it has
 * answered or closed the channel.
 * Errors, and then there will be no answer: ic_ready()'s, -EMSGSIZE, -ENOBUFS (the guest does not
 * read its ring).
 */
int ic_request(struct ic *ic, const void *body, uint32_t len, uint64_t limit_ns,
	       void (*done)(void *ctx, const struct ic_answer *a), void *ctx);

/*
 * 0: a request is possible. -ENOTCONN (the guest has not opened the channel), -EAGAIN (it has not
 * answered the negotiation yet, which may take for ever), -EOPNOTSUPP (no version in common),
 * -EPROTO (it broke the protocol), -EBUSY (a request is under way, or its answer is late).
 */
int ic_ready(const struct ic *ic);

/* As agreed; 0.0 when not. */
struct ic_version ic_version(const struct ic *ic);
bool ic_version_at_least(struct ic_version v, uint16_t major, uint16_t minor);

struct ic_stats {
	const char *name;
	/*
	 * "closed", "opened", "negotiating", "unusable", "failed", "ready", "waiting" (for an
	 * answer), "late" (an answer nobody waits for is still to come)
	 */
	const char *state;
	struct ic_version framework, version; /* 0.0: none yet */
	uint64_t requests, answers, timeouts;
	uint64_t dropped;      /* packets that made no sense */
	const char *last_drop; /* why, of the last one, or NULL. Static text */
};
void ic_stats(const struct ic *ic, struct ic_stats *out);

#endif
