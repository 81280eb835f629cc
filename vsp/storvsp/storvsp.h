/* SPDX-License-Identifier: MIT */
/*
 * The synthetic SCSI controller (VSP): VSTOR protocol to 6.2, sub-channels, any
 * number of disks behind it (spec: storvsc). One struct storvsp is one controller of
 * one partition.
 *
 * Threads: create, destroy and inspect on the bus's loop; channels run on theirs.
 */
#ifndef HVBUS_VSP_STORVSP_STORVSP_H
#define HVBUS_VSP_STORVSP_STORVSP_H

#include "vmbus/device.h"
#include "vsp/storvsp/scsi/scsi.h"

struct storvsp;

struct storvsp_config {
	struct guid instance;
	uint16_t max_subchannels;  /* offered at most; 0 = none */
	uint32_t max_transfer;	   /* bytes; multiple of 4096; 0 = 256 KiB */
	uint32_t queue_depth;	   /* requests in flight per channel; 0 = 512 */
	const char *name;	   /* "scsi0" */
};

/*
 * Offers a controller whose disks are those of @target (borrowed, outlives it).
 * Errors: as vmbus_device_offer(), -ENOMEM.
 */
int storvsp_create(struct storvsp **out, struct vmbus_bus *bus, struct scsi_target *target,
		   const struct storvsp_config *cfg);

/* Revokes the device; @gone(ctx) when nothing of it is in use any more and it is freed. */
void storvsp_destroy(struct storvsp *s, void (*gone)(void *ctx), void *ctx);

struct storvsp_stats {
	const char *state;	/* "begin", "version", "properties", "end", "ready" */
	uint16_t version;	/* 0 or e.g. 0x0602 */
	uint16_t channels;	/* open now */
	uint64_t requests, rejected;
	uint32_t in_flight, max_in_flight;
	uint64_t oldest_ns;	/* age of the oldest request in flight, 0 = none */
	uint64_t latency_ns_sum, latency_count, latency_ns_max; /* request read to completion queued */
};
void storvsp_stats(const struct storvsp *s, struct storvsp_stats *out);

#endif
