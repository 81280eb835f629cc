/* SPDX-License-Identifier: MIT */
/* What a child is made of. Only for hv-core/proc/child*.c. */
#ifndef HVBUS_HV_CORE_PROC_CHILD_PRIV_H
#define HVBUS_HV_CORE_PROC_CHILD_PRIV_H

#include <pthread.h>

#include "base/atomic.h"
#include "hv-core/child.h"
#include "hv-core/gpa.h"
#include "hv-core/proc/proc_wire.h"

#define CHILD_MAX_VPS 64
#define CHILD_BELLS   HV_FLAG_COUNT /* one doorbell per relid */

struct hv_child {
	int sock;
	uint32_t dead; /* any thread; set once, never cleared */
	uint32_t nr_vps, partition_id;
	uint32_t features; /* of the root: enum hv_proc_feature */
	int hangup_fd;
	pthread_t watcher;
	int watch_fd; /* what it waits on: an epoll with the socket in it */
	bool watching;

	/* Memory: [base, base + memory) is GPA 0 and up. */
	struct hv_gpa *gpa;
	uint8_t *base;
	uint64_t memory;
	pthread_mutex_t pages_lock;
	uint64_t *used; /* bitmap of pages, under pages_lock */
	uint64_t nr_pages, next_page;

	struct hv_proc_irq_page *irq;
	struct {
		struct hv_message_page *messages;
		struct hv_event_flags_page *events;
		int bell, kick, any; /* child_poll.c; -1 until the VP's thread asks */
		uint32_t kicked;     /* set behind each write to kick. Any thread */
		bool armed;	     /* the VP's thread */
	} vp[CHILD_MAX_VPS];

	pthread_mutex_t call_lock; /* one call and its answer at a time */
	int bell[CHILD_BELLS]; /* doorbell of connection 0x2000 + n; -1 = not known. Any thread */
};

/* child.c: nothing works any more; whoever sleeps is woken. Any thread. */
void child_die(struct hv_child *c);

/*
 * child_call.c: sends @call and waits for its answer. *@fd is the doorbell that came
 * with it, or -1. -ECONNRESET, -ETIMEDOUT, -EPROTO: the child is dead.
 */
int child_call(struct hv_child *c, const struct hv_proc_call *call, struct hv_proc_result *res,
	       int *fd);
int child_wrmsr(struct hv_child *c, uint32_t vp, uint32_t msr, uint64_t value);
void child_eom(struct hv_child *c, uint32_t vp);
void child_close_bells(struct hv_child *c);

/* child_poll.c: interrupts @vp from in here, however its thread waits. Any thread. */
void child_raise(struct hv_child *c, uint32_t vp);
void child_poll_init(struct hv_child *c);
void child_poll_fini(struct hv_child *c);

/* child_mem.c: the allocator over c->memory; page 0 is never handed out. */
int child_mem_init(struct hv_child *c);
void child_mem_fini(struct hv_child *c);

#endif
