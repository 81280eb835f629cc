/* SPDX-License-Identifier: MIT */
/*
 * Hypercall decoding, common to all backends: input value checks, table of
 * calls, dispatch (spec: hypervisor, section 3).
 */
#ifndef HVBUS_HV_CORE_HYPERCALL_H
#define HVBUS_HV_CORE_HYPERCALL_H

#include "hv-core/partition.h"

/*
 * One hypercall of a guest: @control is RCX, @in and @out RDX and R8 (GPAs, or the
 * first sixteen input bytes of a fast call). Returns the result value (RAX).
 * Guest memory is read once, into private memory.
 * Call on: the partition's loop.
 */
uint64_t hv_hypercall(struct hv_partition *p, uint64_t control, uint64_t in, uint64_t out);

/*
 * The same for backends whose guests pass the input of a slow call by value: @block
 * (@len bytes, private memory) instead of a GPA. When a signal succeeds, its doorbell is
 * not rung but returned in *@fd (see hv_port_signal_event()); -1 for everything else.
 * Call on: the partition's loop.
 */
uint64_t hv_hypercall_by_value(struct hv_partition *p, uint64_t control, uint64_t in,
			       const void *block, uint32_t len, int *fd);

#endif
