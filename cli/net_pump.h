/* SPDX-License-Identifier: MIT */
/*
 * Moves frames between synthetic NICs and TAPs, offloads intact: a thread for each VP, which has
 * the queue of that number of every NIC.
 */
#ifndef HVBUS_CLI_NET_PUMP_H
#define HVBUS_CLI_NET_PUMP_H

#include "base/net/tap.h"
#include "vsc/netvsc.h"

#define PUMP_NICS 8

struct pump_nic {
	struct netvsc *nic;
	struct net_tap tap; /* as many queues as the NIC; its checksums and GSO follow the NIC's */
};

struct pump_stats {
	uint64_t out_frames, out_bytes, in_frames, in_bytes;
	uint64_t out_dropped, in_dropped; /* the TAP had no room, or the frame made no sense */
	uint64_t sleeps;		  /* of its threads */
};

struct pump;

/*
 * Starts the threads for @n NICs of @bus, which are up. 0, or -errno. The NICs stay the caller's,
 * as do the TAPs; neither is to be touched until the end.
 */
int pump_start(struct pump **out, struct vmbus_client *bus, const struct pump_nic *nics,
	       uint32_t n);
/* Readable when it stopped by itself: the reason is netvsc_failed() of one of the NICs. */
int pump_fd(const struct pump *p);
/* Frames that left for the NICs so far; at any time, from any thread. */
uint64_t pump_sent(const struct pump *p);
/* Stops the threads. */
void pump_stop(struct pump *p);
/* After pump_stop(). */
void pump_stats(const struct pump *p, uint32_t nic, struct pump_stats *out);
void pump_free(struct pump *p);

#endif
