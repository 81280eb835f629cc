/* SPDX-License-Identifier: MIT */
/*
 * A root made by hand: the socket of a process partition, the SynIC pages and the bus
 * protocol, without one line of the real server. By itself it behaves (versions,
 * offers, GPADLs, channels that echo each packet); a test makes it misbehave by
 * hooks and by sending whatever it likes.
 *
 * It serves one child at a time on a thread of its own, in the test's process. Hooks
 * run on that thread with the root locked; the test's own thread takes the lock with
 * evil_lock() around everything but start, stop, await and the path.
 */
#ifndef HVBUS_TESTS_FAKE_EVIL_ROOT_H
#define HVBUS_TESTS_FAKE_EVIL_ROOT_H

#include <pthread.h>

#include "hv-core/proc/proc_poll.h"
#include "hv-core/proc/proc_wire.h"
#include "vmbus/chan.h"
#include "vmbus/msg.h"

#define EVIL_PASS     (-1) /* a hook's answer: behave as if there were no hook */
#define EVIL_MAX_VPS  8
#define EVIL_CHANS    64 /* relids that can be opened: 1 .. 63 */
#define EVIL_GPADLS   64
#define EVIL_MESSAGES 4096 /* queued for the child */

struct evil_root;

struct evil_gpadl {
	bool used, complete;
	uint32_t relid, id, pages, have; /* PFNs announced and received */
	uint64_t *pfn;
};

struct evil_chan {
	struct evil_root *root;
	bool offered, open;
	struct vmbus_msg_offer offer;
	struct vmbus_msg_open opened; /* the child's last OPENCHANNEL */
	struct hv_gpa_view in, out;
	struct vmbus_chan *chan; /* the root's end, while open */
	int bell;		 /* eventfd the child rings */
};

struct evil_root {
	/* ---- set before evil_root_start() or under the lock ---- */
	void *ctx;	      /* the test's */
	uint32_t max_version; /* 0 = 5.3 */
	bool old;	      /* knows nothing of what came after the first protocol */
	/* Returns EVIL_PASS or the status of the child's hypercall. @m is zero-filled. */
	int (*on_message)(struct evil_root *r, uint32_t connection, const union vmbus_msg *m,
			  uint32_t len);
	/* True: dealt with, do not echo. */
	bool (*on_packet)(struct evil_chan *c, const struct vmpkt *p);
	/* False: the call stays unanswered. */
	bool (*on_call)(struct evil_root *r, const struct hv_proc_call *call);

	/* ---- to look at, under the lock ---- */
	uint32_t count[VMBUS_MSG_TYPES]; /* messages posted by the child, by type */
	uint32_t hangups;		 /* children that went away */
	uint32_t version;
	uint32_t nr_vps;
	struct hv_gpa *gpa; /* NULL without a child */
	struct evil_chan chan[EVIL_CHANS];
	struct evil_gpadl gpadl[EVIL_GPADLS];

	/* ---- the root's own ---- */
	char path[64];
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int listener, sock, wake;
	bool stop, hang_up;
	struct hv_proc_irq_page *irq;
	struct proc_poll poll;
	uint64_t simp[EVIL_MAX_VPS], siefp[EVIL_MAX_VPS];
	struct hv_message *queue;
	uint32_t head, tail;
};

/* @r is zeroed but for the first part. Aborts the test when something fails. */
void evil_root_start(struct evil_root *r);
void evil_root_stop(struct evil_root *r);
const char *evil_root_path(const struct evil_root *r);

void evil_lock(struct evil_root *r);
void evil_unlock(struct evil_root *r);
/* Waits (5 s at most, then fails the test) until the child has posted @n messages of @type. */
void evil_await(struct evil_root *r, uint32_t type, uint32_t n);
void evil_await_hangup(struct evil_root *r, uint32_t n);

/* ---- under the lock --------------------------------------------------------------- */

/* Adds to what REQUESTOFFERS will be answered with. Instance and connection id follow from @relid.
 */
struct evil_chan *evil_add(struct evil_root *r, uint32_t relid, uint16_t sub, uint32_t primary);
/* The same as a message, for tests that send or spoil it themselves. */
struct vmbus_msg_offer evil_offer(uint32_t relid, uint16_t sub, uint32_t primary);
extern const struct guid evil_type;

/* Queues a bus message for VP 0. */
void evil_send(struct evil_root *r, const void *msg, uint32_t len);
/* A message of @type about @relid with up to two more words: most of what a root says. */
void evil_say(struct evil_root *r, uint32_t type, uint32_t relid, uint32_t a, uint32_t b);
/* Any slot content: @size is what the slot claims. */
void evil_send_raw(struct evil_root *r, uint32_t hv_type, const void *payload, uint32_t len,
		   uint8_t size);
/* Sets an event flag and interrupts. */
void evil_event(struct evil_root *r, uint32_t vp, uint32_t flag);
/* What the root would do by itself now. */
int evil_behave(struct evil_root *r, const union vmbus_msg *m, uint32_t len);
/* The connection breaks: as when the root's process dies. */
void evil_hang_up(struct evil_root *r);

#endif
