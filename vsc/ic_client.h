/* SPDX-License-Identifier: MIT */
/*
 * Integration services for a child partition (VSC): answers the root's heartbeats and its requests
 * to shut down (spec: integration-services, sections 1 to 3).
 *
 *   hv_child_connect(&hv, ..., one VP more than the rest needs)
 *   vmbus_client_connect(&bus, hv, NULL)
 *   ic_client_open(&ic, bus, &cfg)
 *   ic_client_start(ic)
 *
 * The root is not trusted: what is no proper request is left unanswered, and nothing it sends has
 * another effect than a call of the functions of the config.
 *
 * Threads: open, start, close on one; the config's functions are called on the thread that start
 * makes, or by ic_client_work().
 */
#ifndef HVBUS_VSC_IC_CLIENT_H
#define HVBUS_VSC_IC_CLIENT_H

#include "vmbus/client.h"
#include "vmbus/wire/ic.h"

struct ic_client;

struct ic_client_shutdown {
	uint32_t reason, timeout_s;
	uint32_t flags; /* IC_SHUTDOWN_*: none but FORCE means power off */
};

struct ic_client_config {
	uint32_t vp; /* of the channels, and of nothing else; not 0 */
	/*
	 * An enum ic_status: IC_OK promises to do it, soon and not in here, for the answer goes out
	 * after this. ic_client_close() waits until it has. NULL: all is refused.
	 */
	uint32_t (*shutdown)(void *ctx, const struct ic_client_shutdown *r);
	/* How the program is; NULL = it does not say. */
	enum ic_application (*health)(void *ctx);
	void *ctx;
};

/*
 * Opens the channels of what the root offers of these services. Errors: -ENODEV (nothing), and
 * those of vmbus_client_open().
 */
int ic_client_open(struct ic_client **out, struct vmbus_client *bus,
		   const struct ic_client_config *cfg);

/* A thread that answers until ic_client_close() or the end of the root. 0 or -errno. */
int ic_client_start(struct ic_client *c);

/* Stops the thread, closes the channels, frees. NULL is fine. Not from the config's functions. */
void ic_client_close(struct ic_client *c);

/* ---- for who has a thread already, instead of ic_client_start() -------------------- */

/* Answers what is there. True when anything was. */
bool ic_client_work(struct ic_client *c);
/* Before vmbus_client_wait() on the VP. False: look again instead. */
bool ic_client_arm(struct ic_client *c);

struct ic_client_stats {
	uint64_t answered, ignored; /* requests; packets that were none */
	uint32_t channels;	    /* open */
};
/* On the thread that works. */
void ic_client_stats(const struct ic_client *c, struct ic_client_stats *out);

#endif
