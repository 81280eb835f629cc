/* SPDX-License-Identifier: MIT */
/*
 * Process backend, root side: a child partition is an ordinary process at the
 * other end of a Unix socket. It gets its memory and an interrupt page, and rings
 * the doorbell eventfd of each channel it opens. It is not trusted: a bad
 * packet, an fd sent to us, or not reading its answers ends it (ops->down).
 * Call everything here on the loop given to hv_proc_accept().
 */
#ifndef HVBUS_HV_CORE_PROC_PROC_ROOT_H
#define HVBUS_HV_CORE_PROC_PROC_ROOT_H

#include <sys/types.h>

#include "hv-core/partition.h"

struct hv_proc; /* one connected child */

struct hv_proc_quota {
	uint64_t max_memory; /* bytes of guest memory; 0 = 1 GiB */
	uint32_t max_vps;    /* 0 = HV_MAX_VPS */
};

struct hv_proc_ops {
	/* The child's partition is ready; its VPs may already run. Non-zero refuses it (errno to
	 * the child). */
	int (*up)(void *ctx, struct hv_proc *proc, struct hv_partition *p);
	/*
	 * The child is gone: @why is "closed" when it ended, else what it did wrong (static
	 * text). Exactly once, never from inside ops->up. The owner tears down the bus and
	 * then calls hv_proc_destroy(), now or later.
	 */
	void (*down)(void *ctx, struct hv_proc *proc, const char *why);
};

/*
 * Serves the child connected at @sock (SOCK_SEQPACKET; ownership taken), whose first
 * packet @hello (@len bytes, private copy) was already received. @ops->up is called
 * before this returns.
 * Errors: -EPROTO, -EPERM (another user than ours or root), -E2BIG (quota), -ENOMEM,
 * -EMFILE, or what ops->up returned; the child is told, @sock closed, ops->down not called.
 */
int hv_proc_accept(struct hv_proc **out, struct loop *loop, int sock, const void *hello, size_t len,
		   const struct hv_proc_quota *quota, const struct hv_proc_ops *ops, void *ctx);

/* For who turns a child away before that: tells it @err (negative errno) and @text, closes @sock.
 */
void hv_proc_refuse(int sock, int err, const char *text);

/* Closes the socket, destroys the partition. Not from inside ops->up. */
void hv_proc_destroy(struct hv_proc *proc);

/* What the child wishes for, to be parsed with care; "" = nothing. From ops->up on; never NULL. */
const char *hv_proc_wishes(const struct hv_proc *proc);
/*
 * From inside ops->up, which is going to refuse the child: what it is told, as far as a welcome
 * has room. @text stays valid until hv_proc_accept() returns.
 */
void hv_proc_set_refusal(struct hv_proc *proc, const char *text);
pid_t hv_proc_pid(const struct hv_proc *proc); /* from SO_PEERCRED */
uid_t hv_proc_uid(const struct hv_proc *proc);

#endif
