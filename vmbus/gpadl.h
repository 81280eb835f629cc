/* SPDX-License-Identifier: MIT */
/*
 * The range buffer of a GPADL: collected from one header and any number of body
 * messages, checked once when complete, constant afterwards (spec: vmbus, section 5).
 *
 *   [byte_count u32 | byte_offset u32] [pfn u64] x pages touched    one range
 *   ... repeated rangecount times, filling range_buflen bytes exactly
 *
 * Who owns which GPADL, and when it may be freed, is the state machine's business.
 */
#ifndef HVBUS_VMBUS_GPADL_H
#define HVBUS_VMBUS_GPADL_H

#include <stdbool.h>

#include "vmbus/wire/vmbus_msg.h"

#define VMBUS_GPADL_MAX_QWORDS 8192u

struct vmbus_gpadl {
	uint64_t *qword; /* owned; private memory, the guest cannot change it */
	uint32_t want;	 /* range_buflen / 8 */
	uint32_t have;
	uint32_t rangecount;
};

/* Is it worth collecting? 0, or -EINVAL. Allocates nothing. */
int vmbus_gpadl_check_header(uint32_t range_buflen, uint32_t rangecount);

/* Starts collecting. -EINVAL as above, -ENOMEM. */
int vmbus_gpadl_init(struct vmbus_gpadl *g, uint32_t range_buflen, uint32_t rangecount);
void vmbus_gpadl_fini(struct vmbus_gpadl *g);

/*
 * Appends the whole qwords of @data (any alignment), as far as they are missing: guests may
 * post messages longer than what they mean. True: complete.
 */
bool vmbus_gpadl_add(struct vmbus_gpadl *g, const void *data, uint32_t len);

/* For a complete buffer: do the ranges fill it exactly, is each legal? 0 or -EINVAL. */
int vmbus_gpadl_check(const struct vmbus_gpadl *g);

struct vmbus_gpadl_range {
	uint32_t byte_count, byte_offset;
	const uint64_t *pfn; /* inside the GPADL */
	uint32_t npfn;
};

/* Walks a checked GPADL; *@cursor starts at 0. False: no more. */
bool vmbus_gpadl_next(const struct vmbus_gpadl *g, uint32_t *cursor, struct vmbus_gpadl_range *r);

struct vmbus_gpadl_rings {
	const uint64_t *in_pfn, *out_pfn; /* guest to host, host to guest */
	uint32_t in_pages, out_pages;	  /* control page included, each >= 2 */
};

/*
 * Splits a checked GPADL into the two rings of a channel at page @downstream. -EINVAL:
 * more than one range, not whole pages, or a ring without a data page.
 */
int vmbus_gpadl_split(const struct vmbus_gpadl *g, uint32_t downstream,
		      struct vmbus_gpadl_rings *r);

#endif
