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
 */
#ifndef HVBUS_VMBUS_CLIENT_H
#define HVBUS_VMBUS_CLIENT_H

#include "base/guid.h"
#include "hv-core/child.h"
#include "vmbus/chan.h"

struct vmbus_client;

struct vmbus_client_config {
	uint32_t max_version;  /* 0 = 5.3; negotiation goes downward from here to 3.0 */
	uint32_t timeout_ms;   /* for each answer; 0 = 10 s */
	uint32_t max_offers;   /* 0 = 2047; further offers are ignored and counted */
};

/*
 * Negotiates a version over @child (borrowed; must outlive the client) and collects
 * the offers. Errors: -EPROTONOSUPPORT (no common version), -ETIMEDOUT, -ECONNRESET, -ENOMEM.
 */
int vmbus_client_connect(struct vmbus_client **out, struct hv_child *child,
			 const struct vmbus_client_config *cfg);

/* Closes what is open, sends UNLOAD, waits for its answer (bounded), frees. */
void vmbus_client_destroy(struct vmbus_client *c);

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

/* Waits for sub-channel @sub of the device of @primary to be offered. -ETIMEDOUT, -ECONNRESET. */
int vmbus_client_wait_sub(struct vmbus_client *c, const struct vmbus_offer *primary, uint16_t sub,
			  struct vmbus_offer *out);

/*
 * Opens the channel of @offer: allocates rings of @ring_bytes each (control page
 * included, a multiple of 4096, >= 8192) in guest memory, GPADL, OPENCHANNEL to VP
 * @target_vp. @fault as in struct vmbus_chan_config (may be NULL).
 * Errors: -ENOENT (rescinded), -EIO (the root refused), -ETIMEDOUT, -ENOMEM, -ECONNRESET.
 */
int vmbus_client_open(struct vmbus_client *c, const struct vmbus_offer *offer, uint32_t ring_bytes,
		      uint32_t target_vp, uint32_t max_packet,
		      void (*fault)(void *ctx, const char *why), void *ctx,
		      struct vmbus_chan **out);

/* Closes: no packet in either direction afterwards; GPADL torn down; rings freed. */
void vmbus_client_close(struct vmbus_client *c, struct vmbus_chan *chan);

/* Moves the channel's interrupts to VP @vp. -EIO (refused), -EOPNOTSUPP (version < 4.1), -ETIMEDOUT. */
int vmbus_client_modify(struct vmbus_client *c, struct vmbus_chan *chan, uint32_t vp);

/* True once the root has rescinded the channel's offer. */
bool vmbus_client_rescinded(struct vmbus_client *c, struct vmbus_chan *chan);

/*
 * Sleeps until VP @vp is interrupted (1), the time is over (0) or the root is gone
 * (-ECONNRESET); takes the interrupt: clears event flags, processes control messages
 * when @vp is 0. The caller unmasked its channels before and looks at them after.
 */
int vmbus_client_wait(struct vmbus_client *c, uint32_t vp, uint64_t timeout_ns);

/* A look without sleeping, for threads that poll: processes a waiting control message (VP 0). Cheap. */
void vmbus_client_poll(struct vmbus_client *c);

struct vmbus_client_stats {
	uint64_t messages_in, messages_ignored;
	uint32_t offers;
};
void vmbus_client_stats(struct vmbus_client *c, struct vmbus_client_stats *out);

#endif
