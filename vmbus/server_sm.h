/* SPDX-License-Identifier: MIT */
/*
 * The root side of the control protocol as a pure state machine: no system call, no
 * clock, no thread, no callback (spec: vmbus, sections 3 to 7, 12, 15).
 *
 *   inputs                              outputs
 *   vmbus_sm_message()   guest          vmbus_sm_next_action()  what the bus has to do
 *   vmbus_sm_offer() ..  devices        vmbus_sm_next_send()    messages for the guest
 *   vmbus_sm_opened() .. answers
 *   vmbus_sm_reset()     guest gone
 *
 * After any input the caller pulls every action, carries it out and answers those that
 * have an answer, and then sends messages until the guest's slot is occupied. Actions
 * come before messages, so what a message promises is already true when it arrives.
 * A message stays at the head of its queue until vmbus_sm_sent().
 *
 * Bounded: at most VMBUS_SM_MAX_QUEUE messages are waiting or owed, beyond that guest
 * messages are refused with -EAGAIN (back-pressure) and change nothing. Each object has at
 * most one pending action. Every quota is below.
 *
 * Two rules everything else leans on, each in one function:
 *   no GPADL_TORNDOWN before the channel's device is closed   gpadl_step() in server_sm_gpadl.c
 *   no relid is reused while guest or device still has it     vmsm_chan_step() in server_sm_chan.c
 *
 * Threads: none; the caller serialises.
 */
#ifndef HVBUS_VMBUS_SERVER_SM_H
#define HVBUS_VMBUS_SERVER_SM_H

#include "vmbus/gpadl.h"
#include "vmbus/msg.h"

struct vmbus_sm;
struct vmbus_sm_chan;  /* one offered channel: a device's primary, or a sub-channel */
struct vmbus_sm_gpadl; /* one GPADL of a channel */

#define VMBUS_SM_MAX_QUEUE	  4096u	  /* messages waiting or owed */
#define VMBUS_SM_MAX_GPADLS	  4096u	  /* live */
#define VMBUS_SM_MAX_PARTIAL	  256u	  /* of them, incomplete */
#define VMBUS_SM_MAX_GPADL_QWORDS 262144u /* of all range buffers: 1 GiB of pages described */
#define VMBUS_SM_NAME_LEN	  32u

struct vmbus_sm_config {
	uint32_t max_version; /* 0 = 5.3 */
	uint32_t nr_vps;
};

/* Errors: -ENOMEM, -EINVAL (no VP). */
int vmbus_sm_create(struct vmbus_sm **out, const struct vmbus_sm_config *cfg);
/* In any state; frees all it holds and forgets the caller's contexts. */
void vmbus_sm_destroy(struct vmbus_sm *sm);

/* ---- inputs: the guest -------------------------------------------------------- */

/*
 * A message that arrived on connection @conn (1 or 4): a private copy of @len bytes.
 * 0: processed, or dropped and counted. -EAGAIN: no room for the answer; nothing changed,
 * the guest is to try again.
 */
int vmbus_sm_message(struct vmbus_sm *sm, uint32_t conn, const void *msg, uint32_t len);

/*
 * The guest is gone or was reset. Every channel is closed, every GPADL freed; then comes
 * the action VMBUS_SM_RESET_DONE. Nothing is sent. A guest may connect again.
 */
void vmbus_sm_reset(struct vmbus_sm *sm);

/* ---- inputs: devices ------------------------------------------------------------ */

struct vmbus_sm_offer {
	struct guid type, instance;
	uint16_t flags;
	uint8_t user[VMBUS_USER_DATA];
	const char *name; /* for people; copied, VMBUS_SM_NAME_LEN - 1 bytes at most */
};

/*
 * Offers a device: at once when the guest has asked for offers, else when it does. The order
 * of these calls is the order of relids, on every connection. @ctx comes back in actions.
 * A device that the guest has not let go of since its rescind is offered when it has.
 * Errors: -EEXIST, -ENOSPC (2047 channels), -EAGAIN (connected, but the guest takes no
 * messages), -ENOMEM.
 */
int vmbus_sm_offer(struct vmbus_sm *sm, const struct vmbus_sm_offer *offer, void *ctx,
		   struct vmbus_sm_chan **out);

/*
 * Offers sub-channel @sub (>= 1) beside the open channel @primary. It is revoked by the
 * state machine when the primary closes. Errors: as above, -ENOTCONN (@primary not open).
 */
int vmbus_sm_offer_sub(struct vmbus_sm *sm, struct vmbus_sm_chan *primary, uint16_t sub, void *ctx,
		       struct vmbus_sm_chan **out);

/*
 * A sub-channel whose predecessor the guest has not released is offered when it has. Linux releases
 * nothing while the removal of another NIC waits for its lock of all interfaces, and who has that
 * lock may wait for the sub-channel: after a while it is to be offered beside its predecessor,
 * under another relid.
 */
bool vmbus_sm_waits(const struct vmbus_sm *sm, const struct vmbus_sm_chan *primary);
/* Is there still one that waits, because the guest takes no messages or never releases any? */
bool vmbus_sm_offer_late(struct vmbus_sm *sm, const struct vmbus_sm_chan *primary);

/*
 * Takes a channel away (a primary with its sub-channels, those first). Ends with
 * VMBUS_SM_DETACHED for each, which does not wait for the guest.
 */
void vmbus_sm_revoke(struct vmbus_sm *sm, struct vmbus_sm_chan *ch);

/* ---- outputs: actions -------------------------------------------------------------- */

/* In the order in which a channel's pending actions come out. */
enum vmbus_sm_action_type {
	VMBUS_SM_OPEN,	     /* map the rings, open the device; answer vmbus_sm_opened() */
	VMBUS_SM_MODIFY,     /* interrupts go to @target_vp from now on; vmbus_sm_modified() */
	VMBUS_SM_CLOSE,	     /* close the device, unmap; answer vmbus_sm_closed() */
	VMBUS_SM_DETACHED,   /* @chan is forgotten: @ctx will not be mentioned again for it */
	VMBUS_SM_MAP,	     /* are the pages of @gpadl RAM? answer vmbus_sm_mapped() */
	VMBUS_SM_UNMAP,	     /* no one may use the pages any more; vmbus_sm_unmapped() */
	VMBUS_SM_RESET_DONE, /* no device touches guest memory; no channel in it */
};

struct vmbus_sm_open { /* valid until vmbus_sm_opened() with an error, or vmbus_sm_closed() */
	uint32_t relid;
	uint32_t target_vp; /* VMBUS_NO_VP = never interrupt */
	struct vmbus_gpadl_rings rings;
	uint8_t user[VMBUS_USER_DATA];
};

struct vmbus_sm_action {
	enum vmbus_sm_action_type type;
	struct vmbus_sm_chan *chan;	  /* NULL: DETACHED (it may be freed), RESET_DONE */
	void *ctx;			  /* the channel's; NULL once detached */
	const struct vmbus_sm_open *open; /* OPEN */
	uint32_t target_vp;		  /* MODIFY */
	struct vmbus_sm_gpadl *gpadl;	  /* MAP, UNMAP */
	uint32_t gpadl_id;		  /* MAP, UNMAP: what the guest calls it */
	const struct vmbus_gpadl *ranges; /* MAP: checked; constant until unmapped */
};

/* False: nothing to do now. */
bool vmbus_sm_next_action(struct vmbus_sm *sm, struct vmbus_sm_action *out);

/* Answers, exactly one per action; @err 0 or a negative errno. */
void vmbus_sm_opened(struct vmbus_sm *sm, struct vmbus_sm_chan *ch, int err);
void vmbus_sm_closed(struct vmbus_sm *sm, struct vmbus_sm_chan *ch);
void vmbus_sm_modified(struct vmbus_sm *sm, struct vmbus_sm_chan *ch);
void vmbus_sm_mapped(struct vmbus_sm *sm, struct vmbus_sm_gpadl *g, int err);
void vmbus_sm_unmapped(struct vmbus_sm *sm, struct vmbus_sm_gpadl *g);

/* ---- outputs: messages ---------------------------------------------------------------- */

struct vmbus_sm_send {
	uint32_t vp; /* exists */
	uint32_t len;
	union vmbus_msg msg;
};

/* The message to send next, or NULL. Sent: vmbus_sm_sent(). Not sent: ask again later. */
const struct vmbus_sm_send *vmbus_sm_next_send(const struct vmbus_sm *sm);
void vmbus_sm_sent(struct vmbus_sm *sm);

/* ---- inspection ---------------------------------------------------------------------------- */

struct vmbus_sm_stats {
	const char *state;
	uint32_t version;				      /* 0 = none agreed */
	uint64_t messages_in, messages_out, dropped, refused; /* refused: back-pressure */
	const char *last_drop;				      /* why, or NULL */
	uint32_t last_drop_type; /* message type of it; 0 = found out later */
	uint32_t channels, gpadls, gpadl_pages, queued;
};
void vmbus_sm_stats(const struct vmbus_sm *sm, struct vmbus_sm_stats *out);

struct vmbus_sm_info {
	const char *name, *state;
	void *ctx; /* NULL: the device is gone, the guest still has the relid */
	uint16_t sub;
	uint32_t relid; /* 0 = none */
	uint32_t target_vp;
	bool open;
};
/* Iterates: NULL gives the first channel; NULL comes back after the last. */
const struct vmbus_sm_chan *vmbus_sm_next_chan(const struct vmbus_sm *sm,
					       const struct vmbus_sm_chan *prev);
void vmbus_sm_chan_info(const struct vmbus_sm_chan *ch, struct vmbus_sm_info *out);

#endif
