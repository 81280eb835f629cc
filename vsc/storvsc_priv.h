/* SPDX-License-Identifier: MIT */
/*
 * Shared by the files of the storage client; nobody else includes it.
 *
 *   storvsc.c       life of a controller, memory, statistics
 *   storvsc_init.c  queues: channels, tables, handshake, sub-channels
 *   storvsc_io.c    requests out: submit, kick
 *   storvsc_reap.c  completions in: matching, retries, waiting, death
 *   storvsc_call.c  one request and its answer at once: control, raw SCSI
 *   storvsc_sync.c  read, write, flush, discard, zero of any length
 *   storvsc_disk.c  LUN list and what a disk says about itself
 *   storvsc_sense.c sense codes as errno and words
 */
#ifndef HVBUS_VSC_STORVSC_PRIV_H
#define HVBUS_VSC_STORVSC_PRIV_H

#include "vmbus/wire/vstor.h"
#include "vsc/storvsc.h"

#define SC_MAX_QUEUES  64
#define SC_MAX_DEPTH   4096
#define SC_MAX_PFNS    257u /* 1 MiB from inside a page */
#define SC_MAX_PACKET  512u /* what a root may send: completions are 80 bytes */
#define SC_PUBLISH     8u   /* requests between two publications inside a batch */
#define SC_RETRIES     3
#define SC_BLIND_SPINS 256	/* looks at the ring before the first look at the clock */
#define SC_WAKE_NS     50000ull /* what a sleep adds to a wait */
#define SC_SHORT_NS    8000ull	/* waits this short are worth a spin at any depth */
#define SC_FEW	       4u	/* so many in flight: nothing else to do meanwhile */
#define SC_MOST_CREDIT 16u
#define SC_ALIVE_NS    10000000ull /* while spinning, look whether the root lives */

enum sc_kind {
	SC_FREE,
	SC_IO,	   /* owner: a storvsc_io of the caller's */
	SC_SYNC,   /* owner: a storvsc_io on the stack of a synchronous call */
	SC_CALL,   /* owner: a struct sc_call */
	SC_ORPHAN, /* its waiter gave up; the root may still use the pages */
};

/* One entry of a queue's request table. @self and @gen are the transaction id. */
struct sc_slot {
	void *owner;
	uint32_t gen;  /* counts uses: an id of an earlier use is not ours */
	uint32_t self; /* index + 1; while in use */
	uint32_t need; /* bytes that a success must have moved */
	uint32_t next; /* free or retry list: index + 1 */
	uint8_t kind;  /* enum sc_kind */
	uint8_t retries;
	uint32_t bounce_pages; /* of an orphan: freed when the answer comes after all */
	uint64_t bounce;
};

/* What submit needs of a LUN. Written by the control thread, read by all: relaxed. */
struct sc_lun {
	uint8_t shift; /* log2 of the block size; 0 = not usable */
	uint8_t fua;   /* 0 cannot, 1 can, 2 needs not (no volatile cache) */
	uint32_t max_discard, max_zero;
};
enum { SC_FUA_NO, SC_FUA_YES, SC_FUA_FREE };

struct sc_queue {
	struct storvsc *s;
	struct vmbus_chan *chan;
	struct sc_slot *slots;
	uint32_t depth, free_head;
	uint32_t retry_head; /* index + 1 of a slot that waits to be sent again */
	/*
	 * Apart: side by side, both are counted up with one vector addition, and its load
	 * waits until the two stores of the last counting down have left the core.
	 */
	uint32_t ios; /* slots of kind SC_IO */
	uint32_t vp;
	uint32_t busy;	   /* slots that are not free */
	int dead;	   /* 0, or the -errno that every call returns from now on */
	uint32_t collects; /* see sc_check_alive() */

	uint64_t submitted, completed, errors, ignored, retried, sleeps, spins; /* relaxed */
	uint64_t alive_ns; /* last look at the root */
	uint32_t credit;   /* waits that may spin, see worth_spinning() */

	struct storvsc_io *done_head, **done_tail; /* finished, not yet reaped */
	uint8_t *params; /* depth parameter lists of SC_PARAM bytes, guest memory */
	uint64_t params_gpa;
	uint8_t *bounce; /* one transfer, guest memory; NULL until needed */
	char error[160]; /* storvsc_last_error() */
} __attribute__((aligned(CACHE_LINE)));

#define SC_PARAM 32u /* an UNMAP list with one descriptor has 24 */

struct storvsc {
	struct vmbus_client *bus;
	struct hv_child *child;
	uint8_t *mem; /* guest memory, address 0 first, in one piece */
	uint64_t mem_size;
	uint32_t max_transfer, nr_queues, depth, ring_bytes;
	uint64_t spin_max, timeout_ns;
	uint16_t version;
	uint32_t changed; /* the root announced a change. Any thread */
	bool owns_bus;
	struct ic_client *ic; /* of storvsc_attach(); NULL = none */
	uint8_t *zero_page;   /* data of WRITE SAME */
	struct vmbus_offer offer;
	struct sc_lun lun[256];
	struct sc_queue *queue;
};

#define SC_BUMP(counter) store_relaxed(&(counter), (counter) + 1) /* one writer */

/* ---- storvsc_init.c -------------------------------------------------------------- */

int sc_queues_open(struct storvsc *s, uint32_t wanted);
void sc_queues_close(struct storvsc *s);

/* ---- storvsc_io.c ------------------------------------------------------------------ */

ALWAYS_INLINE uint64_t sc_slot_id(const struct sc_slot *slot)
{
	return (uint64_t)slot->gen << 32 | slot->self;
}

/* NULL: all in use. */
ALWAYS_INLINE struct sc_slot *sc_slot_get(struct sc_queue *q, enum sc_kind kind, void *owner)
{
	struct sc_slot *slot;

	if (unlikely(!q->free_head))
		return NULL;
	slot = &q->slots[q->free_head - 1];
	slot->self = q->free_head;
	q->free_head = slot->next;
	slot->kind = (uint8_t)kind;
	slot->owner = owner;
	slot->retries = 0;
	q->busy++;
	q->ios += kind == SC_IO;
	return slot;
}

ALWAYS_INLINE void sc_slot_put(struct sc_queue *q, struct sc_slot *slot)
{
	if (likely(slot->kind == SC_IO))
		q->ios--;
	q->busy--;
	slot->kind = SC_FREE;
	slot->gen++;
	slot->next = q->free_head;
	q->free_head = slot->self;
}

/* Guest address of [p, p + len), or UINT64_MAX when not all of it is guest memory. */
ALWAYS_INLINE uint64_t sc_gpa(const struct storvsc *s, const void *p, uint64_t len)
{
	uint64_t at = (uint64_t)((uintptr_t)p - (uintptr_t)s->mem);

	return likely(at < s->mem_size && len <= s->mem_size - at) ? at : UINT64_MAX;
}

/* An SRB as Linux sends it. */
void sc_srb_packet(struct vstor_packet *p, uint8_t lun, const uint8_t *cdb, uint8_t cdb_len,
		   uint8_t data_in, uint32_t len);
/* Puts a packet for @slot into the ring; @len bytes of data at @gpa. -EAGAIN and the rest. */
int sc_send_flat(struct sc_queue *q, const struct sc_slot *slot, const struct vstor_packet *p,
		 uint64_t gpa, uint32_t len);
/* Puts @io, which lives in @slot, into the ring. Errors as storvsc_submit(). */
int sc_send_io(struct sc_queue *q, struct sc_slot *slot, const struct storvsc_io *io);
/* storvsc_submit() for the library's own requests. */
int sc_submit(struct sc_queue *q, enum sc_kind kind, struct storvsc_io *io, struct sc_slot **out);

/* ---- storvsc_reap.c ------------------------------------------------------------------- */

/* Takes what is in the ring. Finished SC_IO requests go to @out; returns how many. */
int sc_collect(struct sc_queue *q, struct storvsc_io **out, int max);
/* The same without a taker: they go to the done list. */
void sc_collect_done(struct sc_queue *q);
/*
 * Waits for the ring, at most until @deadline (clock_ns()). 1: look at it; 0: time over;
 * a queue that died in the meantime says 1 once everything outstanding has ended.
 */
int sc_wait(struct sc_queue *q, uint64_t deadline);
/* The root is gone or has lost our trust: ends everything outstanding with @err. */
void sc_die(struct sc_queue *q, int err);
uint64_t sc_deadline(uint64_t timeout_ns);

/* How an answer to an SRB is understood. */
struct sc_outcome {
	int err; /* 0 or -errno */
	uint32_t sense;
	bool retry; /* the command may be sent again */
};
struct sc_outcome sc_decode(const struct vstor_packet *p, uint32_t need);
/* Keeps the text of a failure for storvsc_last_error(). */
void sc_note_failure(struct sc_queue *q, int err, uint32_t sense);

/* ---- storvsc_call.c --------------------------------------------------------------------- */

struct sc_call {
	bool done;
	int err; /* 0: @answer is there */
	struct vstor_packet answer;
};

/* Sends @p and waits for its answer. -ETIMEDOUT, -EIO, -ECONNRESET, -EPROTO. */
int sc_call(struct sc_queue *q, const struct vstor_packet *p, struct sc_call *call);

struct sc_command { /* one SCSI command with data in guest memory */
	uint8_t lun, cdb_len, data_in;
	uint8_t cdb[16];
	uint32_t len;
	void *data; /* any memory */
};
/*
 * Executes @c. *@moved: bytes of data. @sense: 18 bytes, zeroes if none. @retry: repeat
 * after unit attentions and busy answers.
 */
int sc_command(struct sc_queue *q, const struct sc_command *c, bool retry, uint32_t *moved,
	       uint8_t *sense);
/* The queue's bounce buffer, max_transfer bytes; NULL: out of guest memory. */
uint8_t *sc_bounce(struct sc_queue *q);
/* @slot's waiter gives up: its buffer may be written until the answer comes. */
void sc_abandon(struct sc_queue *q, struct sc_slot *slot, bool bounced);

/* ---- storvsc_disk.c ------------------------------------------------------------------------ */

/* Looks at every LUN once. */
int sc_scan(struct storvsc *s);

/* Parsers of what disks say; @n bytes at @p came, any number, any content. */
int sc_parse_luns(const uint8_t *p, uint32_t n, uint8_t *luns, int max);
int sc_parse_inquiry(const uint8_t *p, uint32_t n, struct storvsc_disk *d);
int sc_parse_capacity16(const uint8_t *p, uint32_t n, struct storvsc_disk *d, bool *thin);
int sc_parse_capacity10(const uint8_t *p, uint32_t n, struct storvsc_disk *d);
void sc_parse_mode(const uint8_t *p, uint32_t n, struct storvsc_disk *d);
void sc_parse_serial(const uint8_t *p, uint32_t n, struct storvsc_disk *d);
void sc_parse_ids(const uint8_t *p, uint32_t n, struct storvsc_disk *d);
void sc_parse_limits(const uint8_t *p, uint32_t n, struct storvsc_disk *d, bool *unmap);

#endif
