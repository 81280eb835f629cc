/* SPDX-License-Identifier: MIT */
/*
 * The bus as a child partition sees it: version negotiation, offers, GPADLs,
 * channels (spec: vmbus 3, 4, 5, 6, 12.4). The root is not trusted: every message
 * is copied and checked, every wait has a deadline.
 *
 * Threads: the control calls lock inside and may be used from any thread; one of
 * them at a time pumps the messages of VP 0. A channel is used by one thread, which
 * sleeps on the interrupt of the channel's target VP (vmbus_client_wait()). One
 * thread per VP.
 *
 * Several channels may share a VP: vmbus_client_wait() takes the event flags of all of
 * them, so its thread then looks at all of its channels on that VP. A rescind also
 * wakes the thread, which sees it with vmbus_client_rescinded().
 *
 * Every call that waits ends: with an answer, by time out, when the root is gone
 * (-ECONNRESET), when the offer is rescinded (-ENOENT) or by vmbus_client_cancel()
 * (-ECANCELED). The last two apply to the calls below even where not repeated.
 */
#ifndef HVBUS_VMBUS_CLIENT_H
#define HVBUS_VMBUS_CLIENT_H

#include "base/guid.h"
#include "hv-core/child.h"
#include "vmbus/chan.h"

struct vmbus_client;

struct vmbus_client_config {
	uint32_t max_version; /* 0 = 5.3; negotiation goes downward from here to 3.0 */
	uint32_t timeout_ms;  /* for each answer; 0 = 10 s */
	uint32_t max_offers;  /* 0 = 2047; further offers are ignored and counted */
	uint32_t min_version; /* 0 = 3.0; nothing below is offered to the root */
};

/*
 * Negotiates a version over @child (borrowed; must outlive the client) and collects
 * the offers. Errors: -EPROTONOSUPPORT (no common version), -EIO (the root speaks it but
 * refuses the connection), -EPROTO (a version response that makes no sense), -ETIMEDOUT,
 * -ECONNRESET, -ENOMEM.
 */
int vmbus_client_connect(struct vmbus_client **out, struct hv_child *child,
			 const struct vmbus_client_config *cfg);

/* Closes what is open, sends UNLOAD, waits for its answer (bounded), frees. NULL is fine. */
void vmbus_client_destroy(struct vmbus_client *c);

/*
 * From any thread: every wait, now and later, ends with -ECANCELED. Closing and
 * destroying still work, without waiting for the root.
 */
void vmbus_client_cancel(struct vmbus_client *c);

uint32_t vmbus_client_version(const struct vmbus_client *c);
struct hv_child *vmbus_client_child(struct vmbus_client *c);

struct vmbus_offer {
	struct guid type, instance;
	uint32_t relid, connection_id;
	uint16_t sub_index, flags;
	uint8_t user[120];
};

/*
 * The @index-th offer (in relid order) of device class @type, primary channels only.
 * -ENOENT when there are fewer.
 */
int vmbus_client_find(struct vmbus_client *c, const struct guid *type, uint32_t index,
		      struct vmbus_offer *out);

/*
 * Waits for sub-channel @sub of the device of @primary to be offered. -ETIMEDOUT,
 * -ECONNRESET, -ENOENT (@primary is not offered any more).
 */
int vmbus_client_wait_sub(struct vmbus_client *c, const struct vmbus_offer *primary, uint16_t sub,
			  struct vmbus_offer *out);

/*
 * Opens the channel of @offer: allocates rings of @ring_bytes each (control page
 * included, a multiple of 4096, >= 8192) in guest memory, GPADL, OPENCHANNEL to VP
 * @target_vp. @fault as in struct vmbus_chan_config (may be NULL).
 * The channel's signals go out on the offer's connection.
 * Errors: -ENOENT (rescinded), -EBUSY (open already), -EINVAL (sizes, no such VP), -EIO
 * (the root refused), -ETIMEDOUT, -ENOMEM, -EMFILE, -ECONNRESET.
 */
int vmbus_client_open(struct vmbus_client *c, const struct vmbus_offer *offer, uint32_t ring_bytes,
		      uint32_t target_vp, uint32_t max_packet,
		      void (*fault)(void *ctx, const char *why), void *ctx,
		      struct vmbus_chan **out);

/*
 * Closes: no packet in either direction afterwards; GPADL torn down; rings freed, @chan
 * too. A root that does not confirm the teardown may still use the rings: their pages
 * are then left alone for good (counted as abandoned).
 */
void vmbus_client_close(struct vmbus_client *c, struct vmbus_chan *chan);

/*
 * Describes @npages pages in a row at @gpa to the root as a GPADL of open channel @chan
 * (a device's buffer, 1..8190 pages); *@gpadl names it in the device's protocol.
 * Errors: -EINVAL, -EIO (the root refused), -ENOENT (rescinded), -ETIMEDOUT, -ECONNRESET. After
 * the last three the root may know the pages: do not use them for anything else.
 */
int vmbus_client_gpadl_create(struct vmbus_client *c, struct vmbus_chan *chan, uint64_t gpa,
			      uint32_t npages, uint32_t *gpadl);
/*
 * 0: the root has stopped using the pages. -ETIMEDOUT, -EIO, -ECONNRESET: it has not said
 * so. To be called before the channel is closed.
 */
int vmbus_client_gpadl_teardown(struct vmbus_client *c, struct vmbus_chan *chan, uint32_t gpadl);

/*
 * Moves the channel's interrupts to VP @vp. Versions below 5.3 give no answer: 0 then
 * means asked for. The old VP may get one last event, so look at the channel before
 * sleeping on the new one.
 * -EIO (refused), -EOPNOTSUPP (version < 4.1), -EINVAL, -EBUSY (another one under way),
 * -ETIMEDOUT.
 */
int vmbus_client_modify(struct vmbus_client *c, struct vmbus_chan *chan, uint32_t vp);

/* True once the root has rescinded the channel's offer. No lock. */
bool vmbus_client_rescinded(struct vmbus_client *c, struct vmbus_chan *chan);

/*
 * Sleeps until VP @vp is interrupted (1), the time is over (0) or the root is gone
 * (-ECONNRESET); takes the interrupt: clears event flags, processes control messages
 * when @vp is 0. The caller unmasked its channels before and looks at them after.
 */
int vmbus_client_wait(struct vmbus_client *c, uint32_t vp, uint64_t timeout_ns);

/*
 * vmbus_client_wait() in three steps, for threads that wait for other fds too:
 *
 *   fd = vmbus_client_fd(c, vp);            once
 *   if (vmbus_client_arm(c, vp))            false: interrupted already
 *           poll(fd and others);
 *   vmbus_client_disarm(c, vp);             takes the interrupt, as wait() does: 1, 0, -ECONNRESET
 *
 * For VP 0 nothing else of this client may be called between arm and disarm, and no time may be
 * spent there but in the poll: other threads' answers come by this one meanwhile.
 * Errors of _fd() as hv_child_vp_fd().
 */
int vmbus_client_fd(struct vmbus_client *c, uint32_t vp);
bool vmbus_client_arm(struct vmbus_client *c, uint32_t vp);
int vmbus_client_disarm(struct vmbus_client *c, uint32_t vp);

/*
 * A look without sleeping, for threads that poll: processes waiting control messages
 * (VP 0), unless another thread is at it. Cheap.
 */
void vmbus_client_poll(struct vmbus_client *c);

struct vmbus_client_stats {
	uint64_t messages_in, messages_ignored;
	uint32_t offers;
	uint32_t channels;	  /* open now */
	uint64_t pages_abandoned; /* never given back by the root */
	const char *last_ignored; /* why the last message was ignored, or NULL */
};
void vmbus_client_stats(struct vmbus_client *c, struct vmbus_client_stats *out);

#endif
