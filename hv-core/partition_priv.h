/* SPDX-License-Identifier: MIT */
/*
 * What a partition is made of. Only for the files of hv-core.
 */
#ifndef HVBUS_HV_CORE_PARTITION_PRIV_H
#define HVBUS_HV_CORE_PARTITION_PRIV_H

#include <stdbool.h>

#include "base/atomic.h"
#include "hv-core/partition.h"

#define HV_PORT_BUCKETS 256u /* a power of two */

struct hv_port;

/* One page register (SIMP or SIEFP). Loop only. */
struct hv_page_reg {
	uint64_t value;
	uint64_t zeroed_gpn; /* page that was zeroed when it was enabled; ~0 = none yet */
	void *page;	     /* NULL while the register is not enabled */
};

struct hv_vp {
	/* Registers: written and read on the partition's loop. */
	uint64_t scontrol;
	struct hv_page_reg simp, siefp;
	uint64_t sint[HV_SINT_COUNT];
	struct hv_message_page *messages; /* NULL: SynIC or SIMP off */

	/* Written by the loop, read by every thread that signals. */
	struct hv_event_flags_page *events __attribute__((aligned(CACHE_LINE))); /* NULL: off */
	uint32_t open_sints;   /* bit n: SINT n is not masked */
	uint32_t polled_sints; /* bit n: SINT n delivers content without an interrupt */

	/* Counted by every thread that signals. */
	uint64_t raised __attribute__((aligned(CACHE_LINE)));
	uint64_t coalesced;
};

struct hv_partition {
	struct loop *loop;
	const struct hv_backend_ops *ops;
	void *backend;
	struct hv_gpa *gpa;
	uint32_t id;
	uint32_t nr_vps;
	char name[32];

	/* Messages (synic.c). */
	void (*retry)(void *ctx);
	void *retry_ctx;
	struct loop_timer retry_timer;
	uint64_t retry_delay_ns;

	/* Ports (port.c). */
	struct hv_port *port[HV_PORT_BUCKETS];
	uint32_t nr_ports, max_ports;

	struct hv_partition_stats stats; /* without the two per-VP counters */
	struct hv_vp vp[];
};

/* synic.c */
void hv_synic_init(struct hv_partition *p);
void hv_synic_fini(struct hv_partition *p);
/* Something changed for the better: stop waiting, call the owner of the queue. */
void hv_synic_run_retry(struct hv_partition *p);

/* port.c: deletes what is left. */
void hv_port_fini(struct hv_partition *p);

#endif
