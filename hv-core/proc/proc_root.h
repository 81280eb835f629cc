/* SPDX-License-Identifier: MIT */
/*
 * Process backend, root side: a child partition is an ordinary process at the
 * other end of a Unix socket. It gets its memory fd, one interrupt eventfd per VP,
 * and per connection it signals the doorbell eventfd (spec: architecture walk 3a).
 */
#ifndef HVBUS_HV_CORE_PROC_PROC_ROOT_H
#define HVBUS_HV_CORE_PROC_PROC_ROOT_H

#include <sys/types.h>

#include "hv-core/partition.h"

struct hv_proc; /* one connected child */

struct hv_proc_quota {
	uint64_t max_memory;   /* bytes of guest memory; 0 = 1 GiB */
	uint32_t max_vps;      /* 0 = HV_MAX_VPS */
};

struct hv_proc_ops {
	/* The child's partition is ready; its VPs may already run. Non-zero refuses it (errno to the child). */
	int (*up)(void *ctx, struct hv_proc *proc, struct hv_partition *p);
	/*
	 * The child is gone (exit, SIGKILL, protocol error: @why). The owner tears down
	 * the bus and then calls hv_proc_destroy(), now or later.
	 */
	void (*down)(void *ctx, struct hv_proc *proc, const char *why);
};

/*
 * Serves the child connected at @sock (SOCK_SEQPACKET; ownership taken), whose first
 * packet @hello (@len bytes, private copy) was already received. @ops->up is called
 * before this returns.
 * Errors: -EPROTO, -EPERM, -E2BIG (quota), -ENOMEM, -EMFILE; the child is told, @sock closed.
 */
int hv_proc_accept(struct hv_proc **out, struct loop *loop, int sock, const void *hello,
		   size_t len, const struct hv_proc_quota *quota, const struct hv_proc_ops *ops,
		   void *ctx);

/* Closes the socket, destroys the partition. Not from inside ops->up. */
void hv_proc_destroy(struct hv_proc *proc);

pid_t hv_proc_pid(const struct hv_proc *proc); /* from SO_PEERCRED */
uid_t hv_proc_uid(const struct hv_proc *proc);

#endif
