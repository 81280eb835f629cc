/* SPDX-License-Identifier: MIT */
/*
 * Inside the child's side of the bus: what client.c (connection, offers),
 * client_msg.c (messages, waiting) and client_chan.c (channels) share.
 *
 * One mutex guards everything here. Functions below are called with it held, and
 * those marked "drops the lock" release it while they post or sleep, so whatever was
 * looked up before may have changed after. It is never held across a sleep.
 *
 * Messages arrive at VP 0. One thread at a time is the pump: it sleeps on VP 0's
 * interrupt and handles messages; it may be a thread in vmbus_client_wait(0), one that polls
 * the fd of VP 0, or one that waits for an answer. Others sleep on @changed, which the pump
 * broadcasts whenever it handled something or steps down.
 */
#ifndef HVBUS_VMBUS_CLIENT_PRIV_H
#define HVBUS_VMBUS_CLIENT_PRIV_H

#include <pthread.h>

#include "vmbus/client.h"
#include "vmbus/msg.h"

#define CLIENT_NO_LIMIT UINT64_MAX

enum client_state {
	CLIENT_CONNECTING,    /* a version is being agreed */
	CLIENT_REQUESTING,    /* offers come, until ALLOFFERS_DELIVERED */
	CLIENT_CONNECTED,     /* offers and rescinds may come at any time */
	CLIENT_DISCONNECTING, /* only UNLOAD_RESPONSE matters */
};

enum client_chan_state {
	CHAN_OFFERED,
	CHAN_OPENING, /* vmbus_client_open() is at work */
	CHAN_OPEN,
	CHAN_CLOSING, /* vmbus_client_close() is at work */
};

/* The thread of VP 0 between vmbus_client_arm() and _disarm(). */
enum client_polls {
	POLLS_NOT,
	POLLS_AS_PUMP,	   /* the interrupt is its own */
	POLLS_BESIDE_PUMP, /* another thread has it, and pokes when it steps down */
};

struct client_chan { /* one offered relid */
	struct vmbus_client *client;
	struct vmbus_offer offer;
	enum client_chan_state state;
	bool rescinded; /* set under the lock, read by the channel's thread without */
	uint32_t vp;	/* whom the root interrupts, or VMBUS_NO_VP */
	bool modifying;
	uint32_t unanswered_modifies;

	/* From CHAN_OPENING to CHAN_CLOSING: */
	struct vmbus_chan *chan;
	uint32_t gpadl;
	uint64_t gpa;	     /* both rings, first out, then in */
	uint32_t ring_pages; /* of each */
	struct hv_gpa_view out, in;
	void (*fault)(void *ctx, const char *why);
	void *fault_ctx;
};

/* One awaited answer, on the stack of the thread that waits for it. */
struct client_request {
	uint32_t answer;       /* VMBUS_MSG_* */
	uint32_t relid;	       /* 0: the answer names none */
	uint32_t id;	       /* GPADL or open id; 0: the answer names none */
	bool outlives_rescind; /* a RESCIND does not end the wait */
	bool done;
	int err;	       /* why there will be no answer */
	union vmbus_msg reply; /* else what came */
	struct client_request *next;
};

struct vmbus_client {
	struct hv_child *child;
	struct vmbus_client_config cfg; /* defaults filled in */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum client_state state;
	int ended; /* 0, or why nothing works any more; read without the lock too */
	uint32_t version;
	uint32_t connection; /* where messages are posted */

	bool pumping;
	enum client_polls polls;
	bool vp0_events; /* event flags of VP 0 taken, its data thread not told yet */
	struct client_request *requests;

	struct client_chan *chan[VMBUS_MAX_RELID + 1]; /* by relid */
	uint32_t nr_offers;
	uint32_t next_gpadl, next_open;

	/* relids whose RELID_RELEASED is still to be posted */
	uint64_t releasing[(VMBUS_MAX_RELID + 1 + 63) / 64];
	uint32_t nr_releasing;
	uint64_t release_at; /* not before: the root was busy */
	uint64_t release_delay;

	uint64_t messages_in, messages_ignored;
	const char *last_ignored;
	uint64_t pages_abandoned;
};

/* ---- client_msg.c ------------------------------------------------------------- */

uint64_t client_deadline(const struct vmbus_client *c); /* now + the configured time out */

void client_lock(struct vmbus_client *c);
/* Posts the RELID_RELEASED that are owed, unlocks. */
void client_unlock(struct vmbus_client *c);

/* Nothing works any more because of @err: every wait ends. */
void client_end(struct vmbus_client *c, int err);

/* Registers @r; client_await() or client_forget() takes it off again. */
void client_expect(struct vmbus_client *c, struct client_request *r, uint32_t answer,
		   uint32_t relid, uint32_t id);
void client_forget(struct vmbus_client *c, struct client_request *r);
/*
 * Drops the lock. Waits for the answer: 0, -ETIMEDOUT, -ENOENT (rescinded), or the end of
 * the client.
 */
int client_await(struct vmbus_client *c, struct client_request *r, uint64_t until);

/*
 * Drops the lock. Posts one message, retrying while the root has no room.
 * -EPROTONOSUPPORT: INITIATE_CONTACT on a connection that does not exist; -ETIMEDOUT;
 * -EIO: refused for good.
 */
int client_post(struct vmbus_client *c, const union vmbus_msg *msg, uint32_t len, uint64_t until);

/* Drops the lock. Sleeps until something may have changed: 0, -ETIMEDOUT, or the end. */
int client_wait_change(struct vmbus_client *c, uint64_t until);

/* Drops the lock. As the thread of VP 0: 1 interrupted, 0 time out, or the end. */
int client_wait_vp0(struct vmbus_client *c, uint64_t until);

/* As the thread of VP 0, around poll(2): see vmbus_client_arm() and _disarm(). */
bool client_arm_vp0(struct vmbus_client *c);
int client_disarm_vp0(struct vmbus_client *c);

/* Handles waiting messages unless another thread does. */
void client_poll_messages(struct vmbus_client *c);

/* Interrupts VP @vp ourselves, for news that no event flag tells. VMBUS_NO_VP: nobody. */
void client_kick_vp(struct vmbus_client *c, uint32_t vp);

/* The offer is gone and nobody uses the channel: frees it, owes RELID_RELEASED. */
void client_chan_release(struct vmbus_client *c, struct client_chan *cc);

/* ---- client_chan.c --------------------------------------------------------------- */

/* Drops the lock. What vmbus_client_close() does; @cc may be released after. */
void client_chan_close(struct vmbus_client *c, struct client_chan *cc);

#endif
