/* SPDX-License-Identifier: MIT */
/*
 * A child partition without manners: a real socket, mapped memory, and nothing that checks
 * what is sent. Every address is a constant, so that a hostile case can be a table row.
 *
 * A step that must work (evil_reach()) fails the test when it does not; everything else
 * just sends. One thread; a racer writes shared memory beside it.
 */
#ifndef HVBUS_TESTS_HOSTILE_EVIL_GUEST_H
#define HVBUS_TESTS_HOSTILE_EVIL_GUEST_H

#include <pthread.h>

#include "hv-core/proc/proc_wire.h"
#include "ringbuf/ring_layout.h"
#include "vmbus/msg.h"
#include "vmbus/wire/vstor.h"

/* Guest pages. */
#define EVIL_PAGES	 1024u
#define EVIL_VPS	 2u
#define EVIL_SYNIC	 1u /* message and event page of each VP */
#define EVIL_RINGS	 32u
#define EVIL_RING_PAGES	 9u /* of each direction, control page included */
#define EVIL_RING_SIZE	 ((EVIL_RING_PAGES - 1) * 4096u)
#define EVIL_BUF	 256u /* 64 pages of data */
#define EVIL_FREE	 512u
#define EVIL_SUB_RINGS	 600u /* of a sub-channel */

#define EVIL_PATIENCE_MS 20000 /* with what has to come */

#define EVIL_RELID	 1u /* of the first controller: relids are given in the order of offers */
#define EVIL_GPADL	 0xe1e10u
#define EVIL_SUB_GPADL	 0xe1e11u

struct evil_ring {
	struct vmring_ctrl *ctrl;
	uint8_t *data;
	uint32_t next; /* where we go on */
};

struct evil_guest {
	const char *path;
	int sock, memfd, bell;
	uint8_t *mem;
	struct hv_proc_irq_page *irq;
	struct hv_proc_welcome welcome;
	struct evil_ring out, in;
	uint32_t rings, relid; /* first page of the rings; the channel they are for */
	uint64_t answers;      /* packets received */
};

struct evil_packet {
	struct vmpkt_desc desc;
	uint32_t len; /* of the payload */
	struct vstor_packet p;
};

/* How far a well-behaved beginning goes. */
enum evil_stage {
	EVIL_ALONE,	/* nothing */
	EVIL_CONNECTED, /* memory mapped, SynIC on */
	EVIL_CONTACT,	/* a version agreed */
	EVIL_OFFERED,	/* offers taken */
	EVIL_GPADLED,	/* EVIL_GPADL describes both rings */
	EVIL_OPEN,	/* channel open */
	EVIL_READY,	/* VSTOR 6.2 initialised */
};

void evil_reach(struct evil_guest *g, const char *path, enum evil_stage stage);
/* From after EVIL_CONNECTED up to @stage: what a new kernel in the same memory does. */
void evil_restart(struct evil_guest *g, enum evil_stage stage);
void evil_end(struct evil_guest *g);

/* ---- socket ---------------------------------------------------------------------- */

/* Of every guest from then on, as it says them behind its hello; "" unless it is set before. */
extern const char *evil_wishes;
struct hv_proc_hello evil_hello(void);
int evil_socket(const char *path); /* connected */
/* True: cut off by the root. Waits @ms. */
bool evil_cut_off(struct evil_guest *g, int ms);
/* One call and its answer; the answer's error or -1 without one. */
int64_t evil_call(struct evil_guest *g, const struct hv_proc_call *call, int *fd);
int64_t evil_wrmsr(struct evil_guest *g, uint32_t vp, uint32_t msr, uint64_t value);

/* ---- messages -------------------------------------------------------------------------- */

/* HvPostMessage of anything; its status. */
int64_t evil_post(struct evil_guest *g, uint32_t conn, uint32_t type, const void *msg, uint32_t len,
		  uint32_t size);
/* A bus message of 32-bit words. */
int64_t evil_say(struct evil_guest *g, const uint32_t *words, uint32_t n);
#define EVIL_SAY(g, ...)                                                                           \
	evil_say(g, (const uint32_t[]){ __VA_ARGS__ },                                             \
		 sizeof((const uint32_t[]){ __VA_ARGS__ }) / 4)
/* The next message for VP 0; false: none within @ms. */
bool evil_take(struct evil_guest *g, union vmbus_msg *m, int ms);
/* The next one of @type, others are thrown away; fails the test when none comes. */
union vmbus_msg evil_expect(struct evil_guest *g, uint32_t type);
/* Status the root answers with. @pfn: NULL = @n pages from page @first. */
uint32_t evil_gpadl(struct evil_guest *g, uint32_t id, const uint64_t *pfn, uint64_t first,
		    uint32_t n);
uint32_t evil_open(struct evil_guest *g, uint32_t relid, uint32_t gpadl, uint32_t vp,
		   uint32_t downstream);
/* The channel's doorbell, for evil_ring_bell(). */
void evil_take_bell(struct evil_guest *g);
void evil_close(struct evil_guest *g);
/* Closed, opened and initialised anew, by a guest that has been ready. */
void evil_reopen(struct evil_guest *g);

/* ---- the sub-channel, one with EVIL_VPS = 2 ------------------------------------------------ */

/* Asks for it and takes its offer; its relid. */
uint32_t evil_sub_offered(struct evil_guest *g);
/* Opens it: @sub is the same guest with the sub-channel's rings, to be ended before @g. */
void evil_sub_open(struct evil_guest *sub, const struct evil_guest *g, uint32_t relid);
void evil_sub_end(struct evil_guest *sub);

/* ---- rings ---------------------------------------------------------------------------------- */

static inline void *evil_page(struct evil_guest *g, uint64_t pfn)
{
	return g->mem + pfn * 4096;
}

/* Bytes into the data area, around its end. */
void evil_ring_put(struct evil_ring *r, uint32_t at, const void *bytes, uint32_t len);
void evil_ring_get(const struct evil_ring *r, uint32_t at, void *bytes, uint32_t len);
void evil_publish(struct evil_guest *g, uint32_t write_index);
void evil_ring_bell(struct evil_guest *g);
/* A packet of @len bytes behind the descriptor, published and signalled. */
void evil_send(struct evil_guest *g, uint16_t type, uint16_t offset8, uint16_t flags, uint64_t id,
	       const void *body, uint32_t len);
/* The same without publishing. */
void evil_queue(struct evil_guest *g, uint16_t type, uint16_t offset8, uint16_t flags, uint64_t id,
		const void *body, uint32_t len);
/* GPA-direct for one range of pages, with @plen bytes of payload. */
void evil_direct(struct evil_guest *g, uint16_t flags, uint64_t id, const void *p, uint32_t plen,
		 uint64_t pfn, uint32_t bytes, uint32_t offset);
uint32_t evil_out_free(const struct evil_guest *g);
bool evil_recv(struct evil_guest *g, struct evil_packet *p, int ms);

/* ---- storage --------------------------------------------------------------------------------- */

/* An in-band VSTOR request, and its answer. */
void evil_vstor(struct evil_guest *g, uint64_t id, const struct vstor_packet *p);
struct evil_packet evil_vstor_call(struct evil_guest *g, const struct vstor_packet *p);
struct vstor_packet evil_srb(uint8_t lun, const void *cdb, uint8_t cdb_len, uint8_t data_in,
			     uint32_t len);
/* A GPA-direct request for one range of pages. */
void evil_srb_send(struct evil_guest *g, uint64_t id, const struct vstor_packet *p, uint64_t pfn,
		   uint32_t bytes, uint32_t offset);
struct vstor_packet evil_rw(uint8_t lun, bool write, uint32_t lba, uint16_t blocks);
/* TEST UNIT READY. */
struct vstor_packet evil_tur(void);
/* Writes a block of LUN 0, reads it back, compares; fails the test when that does not work. */
void evil_verified_io(struct evil_guest *g);

/* ---- a thread that flips shared bytes at full speed ---------------------------------------- */

struct evil_racer {
	pthread_t thread;
	volatile uint32_t *word;
	uint32_t a, b, stop;
};
void evil_race(struct evil_racer *r, void *word, uint32_t a, uint32_t b);
void evil_race_end(struct evil_racer *r);

#endif
