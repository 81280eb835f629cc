/* SPDX-License-Identifier: MIT */
/*
 * Limits of what a port sends (spec: virtual-switch, sections 1 and 6.2): bytes by a token bucket,
 * floods by the second.
 *
 * Threads: the switch's. Times are nanoseconds of one monotonic clock.
 */
#ifndef HVBUS_VSP_NETVSP_METER_H
#define HVBUS_VSP_NETVSP_METER_H

#include "base/net/frame.h"

/*
 * The bucket, in time: when it will be full again. A frame may go while anything is left; its
 * bytes are then owed, so that a burst smaller than a frame does not block for ever.
 */
struct meter {
	uint64_t full_at;
	uint64_t burst_ns;
	uint64_t bps;
	uint64_t rest; /* of the last division, so that many small frames do not round down */
};

/* @burst: bytes; 0 = max(128 KiB, 4 ms). Full at the beginning. */
void meter_set(struct meter *m, uint64_t bps, uint32_t burst);
/* 0 = a frame may go. */
uint64_t meter_wait_ns(const struct meter *m, uint64_t now);
void meter_charge(struct meter *m, uint64_t now, uint32_t bytes);
/* What a frame costs: as it goes on the wire, headers of each segment and all. */
uint32_t meter_bytes(const struct net_frame *f);

struct storm {
	uint64_t began;
	uint32_t limit, seen;
	bool running;
};

void storm_set(struct storm *s, uint32_t limit);
/* Counts one frame: is it within the limit of its second? */
bool storm_allows(struct storm *s, uint64_t now);

#endif
