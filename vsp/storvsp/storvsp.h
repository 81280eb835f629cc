/* SPDX-License-Identifier: MIT */
/*
 * The synthetic SCSI controller (VSP): VSTOR protocol to 6.2, sub-channels, any
 * number of disks behind it (spec: storvsc). One struct storvsp is one controller of
 * one partition.
 *
 * Threads: create, destroy, bus_changed and stats on the bus's loop; channels run on
 * theirs.
 */
#ifndef HVBUS_VSP_STORVSP_STORVSP_H
#define HVBUS_VSP_STORVSP_STORVSP_H

#include "vmbus/device.h"
#include "vsp/storvsp/scsi/scsi.h"

struct storvsp;

#define STORVSP_MAX_SUBCHANNELS 64
#define STORVSP_MAX_DEPTH	4096
#define STORVSP_STUCK_MS	10000u

struct storvsp_config {
	struct guid instance;
	uint16_t max_subchannels; /* offered at most; 0 = none */
	uint32_t max_transfer;	  /* bytes; multiple of 4096, at most 16 MiB; 0 = 256 KiB */
	uint32_t queue_depth;	  /* requests in flight per channel; 0 = 512 */
	uint16_t max_version;	  /* highest VSTOR version accepted; 0 = 6.2 */
	const char *name;	  /* "scsi0" */
	uint32_t stuck_ms;	  /* requests older than this are reported; 0 = STORVSP_STUCK_MS */
	uint32_t reset_ms;	  /* a reset is answered within; 0 = 4 s: guests give up after 5 */
	/* A channel gave up a LUN that storvsp_release_lun() named. Any loop; may be NULL. */
	void (*released)(void *ctx);
	void *released_ctx;
};

/*
 * Offers a controller whose disks are those of @target (borrowed, outlives it).
 * Errors: as vmbus_device_offer(), -EINVAL (a value out of its range), -ENOMEM.
 */
int storvsp_create(struct storvsp **out, struct vmbus_bus *bus, struct scsi_target *target,
		   const struct storvsp_config *cfg);

/* Revokes the device; @gone(ctx) when nothing of it is in use any more and it is freed. */
void storvsp_destroy(struct storvsp *s, void (*gone)(void *ctx), void *ctx);

/*
 * The target's LUN table or a disk's size changed: asks the guest to scan the bus again
 * (ENUMERATE_BUS), now or when its ring has room; several calls may become one scan.
 */
void storvsp_bus_changed(struct storvsp *s);
/*
 * The target's LUN table changed: as above, or, to a guest whose protocol version has no
 * ENUMERATE_BUS, a unit attention (3F/0E) of every LUN. Not both: Linux warns of the second,
 * which fails the requests of disks that have nothing to do with it.
 */
void storvsp_luns_changed(struct storvsp *s);

/* A drive's medium was changed: queues to the one before are given up soon. */
void storvsp_medium_changed(struct storvsp *s);
/*
 * LUN @number has left the target (scsi_target_detach()): every channel lets go of the disk when
 * its last request to it is done, long ones are cut short. Commands that come later find no
 * disk. storvsp_releasing() says how many channels still hold it; config.released() is called
 * when that has changed. The number may be attached again when it is 0.
 */
void storvsp_release_lun(struct storvsp *s, uint8_t number);
uint32_t storvsp_releasing(const struct storvsp *s, uint8_t number);

struct storvsp_stats {
	const char *state; /* "begin", "version", "properties", "end", "ready" */
	uint16_t version;  /* 0 or e.g. 0x0602 */
	uint16_t channels; /* open now */
	uint64_t requests; /* packets that asked for something */
	uint64_t rejected; /* of them, those the protocol layer refused */
	uint32_t in_flight, max_in_flight;
	uint64_t oldest_ns; /* age of the oldest request in flight, 0 = none */
	uint64_t stuck;	    /* requests that ever became older than stuck_ms */
	/* Request read to completion queued, of one request in 64. */
	uint64_t latency_ns_sum, latency_count, latency_ns_max;
};
void storvsp_stats(const struct storvsp *s, struct storvsp_stats *out);

/* A request that has been under way for longer than stuck_ms. */
struct storvsp_stuck {
	uint16_t channel; /* 0 = primary */
	uint8_t lun, opcode;
	uint64_t lba;
	uint32_t blocks;
	uint64_t age_ns;
	const char *name;  /* "WRITE(10)"; "?" in the ring: not read yet, only age_ns counts */
	const char *where; /* "ring", "limit", "fault", "engine", "kernel" */
};
/*
 * The oldest of each channel, as they were when the channel looked last, a quarter of stuck_ms
 * ago at most. Returns how many of @max there are. Any thread.
 */
uint32_t storvsp_stuck(const struct storvsp *s, struct storvsp_stuck *out, uint32_t max);

/* Age of the oldest request in flight to @lun, 0 = none. */
uint64_t storvsp_oldest_ns(const struct storvsp *s, uint8_t lun);

#endif
