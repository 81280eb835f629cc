/* SPDX-License-Identifier: MIT */
/*
 * The bus of one child partition, root side: glue between the partition (messages,
 * events, memory), the pure state machine in server_sm.c, and the devices offered
 * through vmbus/device.h.
 *
 * Threads: everything on the partition's loop. Channels may live on other loops, to
 * which their device callbacks are posted.
 */
#ifndef HVBUS_VMBUS_SERVER_H
#define HVBUS_VMBUS_SERVER_H

#include "hv-core/partition.h"
#include "vmbus/device.h"

struct vmbus_server_config {
	uint32_t max_version;	/* 0 = 0x00050003 (5.3); the highest version accepted */
	struct loop **io_loops; /* channels are spread over them; copied; NULL = partition's own */
	uint32_t nr_io_loops;
};

/*
 * Creates the bus of @p: listens on connection ids 1 and 4. @p must outlive it.
 * Errors: -ENOMEM, -EINVAL.
 */
int vmbus_server_create(struct vmbus_bus **out, struct hv_partition *p,
			const struct vmbus_server_config *cfg);

/*
 * The guest is gone, or the partition is to end: closes every channel in order, frees
 * every GPADL, calls @gone(ctx) on the partition's loop once no device touches guest
 * memory any more. Devices that were offered must be revoked by their owners before
 * or after; the bus is freed by vmbus_server_destroy().
 */
void vmbus_server_shutdown(struct vmbus_bus *bus, void (*gone)(void *ctx), void *ctx);

/*
 * The guest was reset without a word: closes every channel, frees every GPADL, forgets what was
 * to be sent, and calls @done(ctx) on the partition's loop once no device touches guest memory any
 * more, possibly before this returns. Then the bus waits for the next guest, with the same devices.
 * Not while another reset, or _shutdown(), is on its way; a _shutdown() meanwhile takes over, and
 * @done is not called.
 */
void vmbus_server_reset(struct vmbus_bus *bus, void (*done)(void *ctx), void *ctx);

/*
 * After gone() and after the last device is gone; allowed from inside of either callback.
 * Without _shutdown() only for a bus whose guest never opened a channel.
 */
void vmbus_server_destroy(struct vmbus_bus *bus);

struct vmbus_server_stats {
	const char *state; /* connection state: "disconnected", "connected", .. */
	uint32_t version;  /* 0 or the negotiated version */
	uint64_t messages_in, messages_out, dropped; /* dropped: illegal messages */
	const char *last_drop;			     /* why the last one was dropped, or NULL */
	uint32_t gpadls, gpadl_pages;
	uint64_t refused;	/* messages that met back-pressure: the guest reads none of ours */
	uint32_t queued;	/* messages waiting for the guest */
	uint64_t faults;	/* channels that were faulted */
	const char *last_fault; /* why the last one was, or NULL */
	uint64_t missed_bells;	/* packets that only the watchdog found */
};
void vmbus_server_stats(const struct vmbus_bus *bus, struct vmbus_server_stats *out);

struct vmbus_channel_info {
	const char *device; /* name of the device */
	uint16_t sub;
	uint32_t relid, target_vp;
	const char
		*state; /* "not offered", "offered", "opening", "open", "closing", "revoked", .. */
	bool open;
	struct vmbus_chan_stats stats; /* when open */
};
/* Calls @fn for each channel. */
void vmbus_server_channels(const struct vmbus_bus *bus,
			   void (*fn)(void *ctx, const struct vmbus_channel_info *info), void *ctx);

#endif
