/* SPDX-License-Identifier: MIT */
/*
 * Synthetic interrupt controller of each VP: a message page and an event flags
 * page in guest memory, sixteen SINTs (spec: hypervisor, section 4).
 */
#ifndef HVBUS_HV_CORE_SYNIC_H
#define HVBUS_HV_CORE_SYNIC_H

#include "hv-core/partition.h"

/*
 * Puts one message into the slot of (@vp, @sint) and raises the SINT.
 * -EAGAIN: the slot is occupied or the SynIC is off; the pending flag is set and
 * the callback of hv_synic_on_retry() runs when it is worth trying again.
 * -EINVAL: no such VP or SINT, @len > 240.
 * Call on: the partition's loop.
 */
int hv_synic_post_message(struct hv_partition *p, uint32_t vp, uint32_t sint, uint32_t type,
			  const void *payload, uint32_t len);

/* One callback per partition: EOM written, SynIC (re-)enabled, or back-off timer (10 ms .. 1 s). */
void hv_synic_on_retry(struct hv_partition *p, void (*retry)(void *ctx), void *ctx);

/*
 * Sets event flag @flag of (@vp, @sint) and raises the SINT if the flag was clear.
 * Any thread. 0; -EINVAL (no such VP, SINT, flag); -ENXIO (SynIC off or SINT
 * masked: the signal is lost, as on hardware).
 */
int hv_synic_signal_event(struct hv_partition *p, uint32_t vp, uint32_t sint, uint32_t flag);

/*
 * All VPs' registers as they were at the start, queues and waiting forgotten: the guest was
 * reset. Its pages are not written from here on; who signals on another thread right now may
 * still set a flag there, so channels are to be closed before the memory is used again.
 * Call on: the partition's loop.
 */
void hv_synic_reset(struct hv_partition *p);

/*
 * Register access of a guest; @reg is an HV_MSR_* number. A bad value is refused
 * (-EINVAL: #GP on a VM), guest memory outside RAM is never touched.
 */
int hv_synic_write(struct hv_partition *p, uint32_t vp, uint32_t reg, uint64_t value);
int hv_synic_read(struct hv_partition *p, uint32_t vp, uint32_t reg, uint64_t *value);

#endif
