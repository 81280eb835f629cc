/* SPDX-License-Identifier: MIT */
/*
 * Ports of the root and the connection ids under which one child partition
 * reaches them. A child can name only what it was granted here: ids are looked
 * up in its own table (spec: hypervisor, sections 3.6, 3.7, 3.9).
 * Call everything here on the partition's loop.
 */
#ifndef HVBUS_HV_CORE_PORT_H
#define HVBUS_HV_CORE_PORT_H

#include "hv-core/partition.h"

/*
 * A message posted to @connection_id by the child. @payload is a private copy.
 * The return value is the status of the guest's hypercall
 * (HV_STATUS_INSUFFICIENT_BUFFERS = back-pressure: the guest retries).
 */
typedef enum hv_status (*hv_message_fn)(void *ctx, uint32_t connection_id, const void *payload,
					uint32_t len);

/* Errors: -EEXIST (id in use), -EINVAL (id > 24 bits), -ENOSPC (quota), -ENOMEM. */
int hv_port_create_message(struct hv_partition *p, uint32_t connection_id, hv_message_fn fn,
			   void *ctx);

/*
 * HvSignalEvent on @connection_id (flag 0) rings eventfd @fd, which stays the
 * caller's and must stay open until hv_port_delete(). The process backend hands a
 * duplicate to the guest so that a signal costs one write: read @fd only in ways that
 * cannot block whatever its file status flags say (loop_bell, RWF_NOWAIT).
 * Errors: as above, -EINVAL also for @fd < 0.
 */
int hv_port_create_event(struct hv_partition *p, uint32_t connection_id, int fd);

void hv_port_delete(struct hv_partition *p, uint32_t connection_id);

/* ---- for backends: the guest's side of the table ---------------------------- */

/* HvPostMessage with @in already copied to private memory. */
enum hv_status hv_port_post_message(struct hv_partition *p, const struct hv_post_message_input *in);
/*
 * HvSignalEvent. @fd NULL: rings the doorbell. Otherwise the doorbell is not rung but
 * returned (borrowed) for the guest to ring: a guest that shares an eventfd can fill
 * its counter and clear O_NONBLOCK, so the root must never write one that was handed out.
 */
enum hv_status hv_port_signal_event(struct hv_partition *p, uint32_t connection_id, uint16_t flag,
				    int *fd);

#endif
