/* SPDX-License-Identifier: MIT */
/*
 * Inside of the control state machine, shared by its files and their tests:
 *
 *   server_sm.c        connection x message table, negotiation, disconnect
 *   server_sm_chan.c   channel x event table
 *   server_sm_offer.c  offers and relids
 *   server_sm_gpadl.c  GPADL x event table
 *   server_sm_out.c    queues of messages and actions
 */
#ifndef HVBUS_VMBUS_SERVER_SM_INT_H
#define HVBUS_VMBUS_SERVER_SM_INT_H

#include <sys/queue.h>

#include "vmbus/server_sm.h"

enum vmsm_conn_state {			   /* section 12.1 */
		       CONN_DISCONNECTED,  /* D: no client */
		       CONN_CONNECTED,	   /* C: a version is agreed */
		       CONN_DISCONNECTING, /* X: waiting for devices to close, then do ->next */
		       CONN_STATES,
};
/* N (connecting) lasts no time here: nothing has to be set up before the answer. */

enum vmsm_next { NEXT_NOTHING, NEXT_UNLOAD_RESPONSE, NEXT_CONTACT };

/* What the guest knows of a channel: section 12.2. */
enum vmsm_chan_state {
	CH_RELEASED, /* R: not offered, or let go of by the guest (CRL, OR: device still busy) */
	CH_WAITING,  /* VR: to be offered once the guest released its predecessor */
	CH_OFFERED,  /* F */
	CH_OPENING,  /* O: the device was asked */
	CH_OPEN,     /* P */
	CH_CLOSING,  /* C: the device was told */
	CH_REOPEN,   /* CR: as C, and another OPENCHANNEL is stored */
	CH_REVOKED,  /* V: rescinded, waiting for RELID_RELEASED */
	CH_STATES,
};

/* What the device is doing with it. */
enum vmsm_chan_device { DEV_CLOSED, DEV_OPENING, DEV_OPEN, DEV_CLOSING };

enum vmsm_chan_event {
	EV_OPENCHANNEL,
	EV_CLOSECHANNEL,
	EV_MODIFYCHANNEL,
	EV_RELID_RELEASED,
	EV_REVOKE,	/* the host takes the device away */
	EV_CLIENT_GONE, /* disconnect */
	EV_OPENED,	/* answers of the device */
	EV_OPEN_FAILED,
	EV_CLOSED,
	CHAN_EVENTS,
};

enum vmsm_gpadl_state { /* section 12.3 */
			GP_NONE,
			GP_PARTIAL,  /* in progress: bodies are missing */
			GP_ASKED,    /* offered: VMBUS_SM_MAP is not answered */
			GP_ACCEPTED, /* the guest may use it */
			GP_TEARING,  /* waiting for its users and for VMBUS_SM_UNMAP */
			GPADL_STATES,
};

enum vmsm_gpadl_event {
	EV_HEADER,
	EV_BODY,
	EV_TEARDOWN,
	EV_MAPPED,
	EV_NOT_MAPPED,
	EV_UNMAPPED,
	EV_CHAN_REVOKED,
	EV_CHAN_RELEASED, /* RELID_RELEASED */
	EV_CHAN_GONE,	  /* disconnect */
	GPADL_EVENTS,
};

/* Pending actions of one object; bits are 1 << enum vmbus_sm_action_type. */
struct vmsm_work {
	TAILQ_ENTRY(vmsm_work) link;
	uint32_t pending; /* non-zero: linked */
};

struct vmbus_sm_gpadl {
	struct vmsm_work work;
	TAILQ_ENTRY(vmbus_sm_gpadl) link;    /* in its channel */
	TAILQ_ENTRY(vmbus_sm_gpadl) partial; /* in the connection, while GP_PARTIAL */
	struct vmbus_sm_chan *chan;
	enum vmsm_gpadl_state state;
	uint32_t id;
	uint32_t users; /* open rings in it */
	bool asked;	/* MAP or UNMAP is out */
	bool mapped;	/* needs UNMAP before it may be freed */
	bool owes;	/* GPADL_CREATED (PARTIAL, ASKED) or GPADL_TORNDOWN (TEARING) */
	struct vmbus_gpadl buf;
};

struct vmbus_sm_chan {
	struct vmsm_work work;
	TAILQ_ENTRY(vmbus_sm_chan) link;
	struct vmbus_sm *sm;
	void *ctx;
	bool attached; /* the device's bus side still refers to it */
	bool dying;    /* taken away by the host: freed once everybody let go */

	enum vmsm_chan_state state;
	enum vmsm_chan_device dev;
	bool owes_result; /* OPENCHANNEL_RESULT */
	bool modifying;	  /* VMBUS_SM_MODIFY is out or pending */
	bool owes_modify; /* MODIFYCHANNEL_RESPONSE (5.3) */
	uint32_t next_vp; /* below 5.3: the last request made while one is out; else NO_VP */

	struct guid type, instance;
	uint16_t sub, flags;
	uint8_t user[VMBUS_USER_DATA];
	char name[VMBUS_SM_NAME_LEN];
	struct vmbus_sm_chan *primary; /* of a sub-channel */

	uint32_t relid; /* 0 = none */
	uint32_t open_id;
	struct vmbus_sm_gpadl *ring; /* its GPADL, while the device is not closed */
	struct vmbus_sm_open open;
	struct vmbus_msg_open later; /* CH_REOPEN: the stored request */
	TAILQ_HEAD(, vmbus_sm_gpadl) gpadls;
};

struct vmbus_sm {
	uint32_t max_version, nr_vps;

	/* The guest's message that is being handled; NULL during other inputs. */
	const union vmbus_msg *msg; /* private copy; the structure of its type was all posted */
	uint32_t len;		    /* of what was posted */
	uint32_t conn;		    /* it came on this connection */
	bool refuse;		    /* its handler found no room for the answers */

	enum vmsm_conn_state state;
	enum vmsm_next next; /* CONN_DISCONNECTING */
	bool resetting;	     /* ..: RESET_DONE first */
	bool reset_done;     /* RESET_DONE is pending */
	bool offers_sent;
	uint32_t version, msg_vp;
	struct vmbus_msg_initiate_contact contact; /* NEXT_CONTACT */
	uint32_t contact_conn;

	TAILQ_HEAD(vmsm_chans, vmbus_sm_chan) chans; /* in the order of vmbus_sm_offer() */
	uint32_t nr_chans, nr_busy, nr_waiting;
	struct vmbus_sm_chan **by_relid; /* grows */
	uint32_t relids;		 /* entries of it, entry 0 unused */

	TAILQ_HEAD(, vmbus_sm_gpadl) partial;
	uint32_t nr_gpadls, nr_partial, gpadl_qwords, gpadl_pages;

	struct vmbus_sm_send *queue; /* ring of messages */
	uint32_t queue_cap;	     /* a power of two */
	uint32_t queue_head, queued;
	uint32_t owed;	      /* answers promised to the guest, a slot of the queue each */
	uint32_t rescindable; /* channels whose RESCIND needs a slot some day */
	TAILQ_HEAD(, vmsm_work) works;

	uint64_t messages_in, messages_out, dropped, refused;
	const char *last_drop;
	uint32_t last_drop_type;
};

/* ---- server_sm.c ------------------------------------------------------------------- */

/* Counts what is being handled as illegal: the guest's message, or what came of it later. */
void vmsm_drop(struct vmbus_sm *sm, const char *why);
/* At the end of every input: leave CONN_DISCONNECTING, offer what had to wait. */
void vmsm_settle(struct vmbus_sm *sm);

/* ---- server_sm_chan.c ----------------------------------------------------------------- */

void vmsm_chan_event(struct vmbus_sm *sm, struct vmbus_sm_chan *ch, enum vmsm_chan_event ev);
/* The only place that writes ->state, because counters follow it. */
void vmsm_chan_set_state(struct vmbus_sm *sm, struct vmbus_sm_chan *ch, enum vmsm_chan_state st);
/* The channel that @relid means to the guest, or NULL. */
struct vmbus_sm_chan *vmsm_chan_find(const struct vmbus_sm *sm, uint32_t relid);
/* Frees what nobody needs any more: the relid, then the device's context, then @ch itself. */
void vmsm_chan_step(struct vmbus_sm *sm, struct vmbus_sm_chan *ch);
void vmsm_chan_free(struct vmbus_sm *sm, struct vmbus_sm_chan *ch);
void vmsm_chan_refuse_open(struct vmbus_sm *sm, uint32_t relid, uint32_t open_id);
void vmsm_chan_refuse_modify(struct vmbus_sm *sm, uint32_t relid);

/* ---- server_sm_offer.c ---------------------------------------------------------------- */

/* REQUESTOFFERS: 0, or -EAGAIN or -ENOMEM without having done anything. */
int vmsm_offer_all(struct vmbus_sm *sm);
void vmsm_offer_waiting(struct vmbus_sm *sm);

/* ---- server_sm_gpadl.c ---------------------------------------------------------------- */

void vmsm_gpadl_header(struct vmbus_sm *sm);
void vmsm_gpadl_body(struct vmbus_sm *sm);
void vmsm_gpadl_teardown(struct vmbus_sm *sm);
/* @ev for each GPADL of @ch. */
void vmsm_gpadl_all(struct vmbus_sm *sm, struct vmbus_sm_chan *ch, enum vmsm_gpadl_event ev);
/* The accepted GPADL of @ch called @id, or NULL. */
struct vmbus_sm_gpadl *vmsm_gpadl_accepted(const struct vmbus_sm_chan *ch, uint32_t id);
void vmsm_gpadl_put(struct vmbus_sm *sm, struct vmbus_sm_gpadl *g); /* a ring is done with it */
void vmsm_gpadl_free(struct vmbus_sm *sm, struct vmbus_sm_gpadl *g);

/* ---- server_sm_out.c --------------------------------------------------------------------- */

/*
 * Makes sure that @replies more messages, and one RESCIND for each of @offers new channels,
 * can be queued. -EAGAIN: the guest takes too few messages; -ENOMEM.
 */
int vmsm_room(struct vmbus_sm *sm, uint32_t replies, uint32_t offers);
/* Queues @m; there is room, because somebody asked vmsm_room(). */
void vmsm_push(struct vmbus_sm *sm, const union vmbus_msg *m);
void vmsm_push_to(struct vmbus_sm *sm, uint32_t vp, const union vmbus_msg *m);
void vmsm_flush(struct vmbus_sm *sm); /* forget every message, waiting or owed */
void vmsm_act(struct vmbus_sm *sm, struct vmsm_work *w, enum vmbus_sm_action_type type);
void vmsm_unact(struct vmbus_sm *sm, struct vmsm_work *w); /* before freeing the object */
void vmsm_owe(struct vmbus_sm *sm, bool *flag);
bool vmsm_pay(struct vmbus_sm *sm, bool *flag); /* was it owed? */

#endif
