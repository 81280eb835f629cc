/* SPDX-License-Identifier: MIT */
/*
 * A child partition as its root sees it: guest memory, virtual processors with
 * their SynIC, ports and connections. The layers above cannot tell whether the
 * partition is a process or a VM.
 *
 * Threads: a partition belongs to the loop it was created on. From other threads
 * only: hv_synic_signal_event(), hv_partition_gpa(), hv_partition_nr_vps().
 */
#ifndef HVBUS_HV_CORE_PARTITION_H
#define HVBUS_HV_CORE_PARTITION_H

#include "base/loop.h"
#include "hv-core/gpa.h"

struct hv_partition;

#define HV_MAX_VPS 64

struct hv_partition_config {
	const char *name;   /* for people; copied, at most 31 bytes are kept */
	uint32_t nr_vps;    /* 1..HV_MAX_VPS */
	struct hv_gpa *gpa; /* reference taken over on success */
	uint32_t max_ports; /* quota of ports; 0 = 2100 */
};

/*
 * What the backend does for the core.
 *   raise    interrupt VP @vp because of SINT @sint; thread-safe, never blocks
 *   stop     no VP runs, no hypercall and no interrupt after it returns
 * Of those that have another way than a call of ours for each (both may be NULL; loop only):
 *   bind     HvSignalEvent on connection @id is to ring @fd by itself from now on; @fd -1 = no
 *            longer, and nothing rings it when this returns. 0 or -errno.
 *   await_eom  a message waits for the slot of (@vp, @sint): write HV_MSR_EOM for the VP once when
 *            its guest does so, or ends the interrupt. An EOM before this call may be missed.
 */
struct hv_backend_ops {
	const char *kind; /* "process", "kvm", "fake" */
	void (*raise)(void *backend, uint32_t vp, uint32_t sint);
	void (*stop)(void *backend);
	int (*bind)(void *backend, uint32_t id, int fd);
	void (*await_eom)(void *backend, uint32_t vp, uint32_t sint);
};

/* Errors: -EINVAL, -ENOMEM. @ops and @backend must outlive the partition. */
int hv_partition_create(struct hv_partition **out, struct loop *loop,
			const struct hv_partition_config *cfg, const struct hv_backend_ops *ops,
			void *backend);

/*
 * Frees the partition: stops the backend, deletes the ports, drops its reference
 * to guest memory (pages with I/O in flight stay until that I/O is done).
 * The bus on top must have been torn down before.
 */
void hv_partition_destroy(struct hv_partition *p);

uint32_t hv_partition_id(const struct hv_partition *p); /* 1, 2, .. per process */
const char *hv_partition_name(const struct hv_partition *p);
const char *hv_partition_kind(const struct hv_partition *p);
uint32_t hv_partition_nr_vps(const struct hv_partition *p);
struct hv_gpa *hv_partition_gpa(struct hv_partition *p); /* borrowed */
struct loop *hv_partition_loop(struct hv_partition *p);

struct hv_partition_stats {
	uint64_t messages_in, messages_out, message_retries, events_raised, events_coalesced;
	uint64_t messages_dropped;   /* well-formed, but of a type nobody listens for */
	uint64_t hypercalls_refused; /* back-pressure (INSUFFICIENT_BUFFERS) not included */
	uint32_t ports;
};
void hv_partition_stats(const struct hv_partition *p, struct hv_partition_stats *out);

#endif
