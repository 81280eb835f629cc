/* SPDX-License-Identifier: MIT */
/*
 * VMBus ring: single producer, single consumer, in different processes or
 * machines, lock-free, over memory whose data area is mapped twice back to back
 * so that no packet wraps (spec: ring).
 *
 *   writer: vmring_out_reserve() .. fill .. vmring_out_push()   (any number)
 *           vmring_out_commit()          one publication; true = signal the peer
 *   reader: vmring_in_peek() .. use .. vmring_in_pop()          (any number)
 *           vmring_in_commit()           one publication; true = signal the peer
 *   reader, before sleeping: vmring_in_commit(), vmring_in_unmask()
 *
 * Nothing here signals, allocates, locks or sleeps; commit only says that the
 * peer must be signalled. The peer is never trusted: its index is loaded once,
 * checked, and used from a private copy; our own index is never read back.
 *
 * Threads: one struct per side and direction, used by one thread at a time.
 *
 * Results: 0, -EAGAIN (empty, or full), -EPROTO (corrupt: the peer broke the
 * protocol; sticky, every later call fails the same way, see ->why), -EMSGSIZE.
 *
 * The first half of this file is the contract. The second half holds the paths
 * taken per packet, inline because a call costs as much as the rest of them;
 * everything taken once per batch, or never, is in ring_out.c and ring_in.c.
 */
#ifndef HVBUS_RINGBUF_RING_H
#define HVBUS_RINGBUF_RING_H

#include <errno.h>
#include <stdbool.h>

#include "base/atomic.h"
#include "ringbuf/ring_layout.h"

/* Why a ring was declared corrupt. Names: vmring_fault_name(). */
enum vmring_fault {
	VMRING_OK,
	VMRING_BAD_WRITE_INDEX, /* out of range, unaligned, or moved backwards */
	VMRING_BAD_READ_INDEX,	/* out of range, unaligned, or outside what was written */
	VMRING_SHORT_DATA,	/* fewer bytes published than a descriptor needs */
	VMRING_BAD_TYPE,
	VMRING_BAD_FLAGS,
	VMRING_BAD_OFFSET, /* payload starts inside the header or behind the packet */
	VMRING_BAD_LENGTH, /* packet longer than what was published, or too short */
	VMRING_BAD_RANGES, /* range count or range does not fit the header */
};

const char *vmring_fault_name(enum vmring_fault f);

struct vmring_out {
	struct vmring_ctrl *ctrl; /* shared */
	uint8_t *data;		  /* shared, mapped twice: data[0 .. 2*size) */
	uint32_t size;		  /* N */
	uint32_t next;		  /* where the next packet starts (private) */
	uint32_t room;		  /* bytes from next on that peer_read leaves us; 0 once faulted */
	uint32_t published;	  /* the write_index last stored */
	uint32_t peer_read;	  /* the read_index last loaded and checked */
	uint32_t pending;	  /* the pending_send_sz we stored */
	enum vmring_fault why;
	uint64_t publications, signals; /* statistics, this side's */
};

struct vmring_in {
	struct vmring_ctrl *ctrl;
	uint8_t *data;
	uint32_t size;
	uint32_t next;	   /* next packet to read (private) */
	uint32_t avail;	   /* bytes from next up to peer_write; 0 once faulted */
	int32_t lazy_mark; /* avail at which a quarter of the ring is popped, not committed */
	uint32_t accept;   /* bit mask of accepted packet types (1u << type) */
	uint32_t step;	   /* bytes of the packet last peeked, with trailer; UINT32_MAX: none */
	struct vmpkt_desc last; /* its descriptor, found good (trans_id not kept up) */
	uint32_t published;	/* the read_index last stored */
	uint32_t unchecked;	/* bytes given back without a look at the writer's wish; <= N */
	uint32_t peer_write;	/* the write_index last loaded and checked */
	bool masked;		/* the interrupt_mask we stored */
	enum vmring_fault why;
	uint64_t publications, signals;
	uint64_t dropped; /* packets stepped over, see VMRING_DROP_UNKNOWN */
};

/*
 * In an accept mask: step over (and count) well-formed packets of another type or
 * with unknown flags, instead of faulting. A client keeps up with a newer host
 * this way; a host has no reason to be lenient (spec: hostile cases R20, R21).
 */
#define VMRING_DROP_UNKNOWN (1u << 31)

#define VMRING_ACCEPT_HOST  /* what a provider accepts from a guest */                             \
	(1u << VMPKT_INBAND | 1u << VMPKT_GPA_DIRECT | 1u << VMPKT_COMPLETION)
#define VMRING_ACCEPT_GUEST /* what a client accepts from a host */                                \
	(1u << VMPKT_INBAND | 1u << VMPKT_XFER_PAGES | 1u << VMPKT_COMPLETION | VMRING_DROP_UNKNOWN)

/*
 * Attach to a ring. @ctrl is its control page, @data its data area of @size
 * bytes mapped twice; both stay the caller's and must outlive the struct. The
 * indices found there are checked (0/0 on a fresh ring, any valid pair on a
 * resumed one). _out sets its feature bit.
 * Errors: -EINVAL (@size not a positive multiple of 4096, or over 1 GiB), -EPROTO
 * (bad indices).
 */
int vmring_out_init(struct vmring_out *r, struct vmring_ctrl *ctrl, void *data, uint32_t size);
int vmring_in_init(struct vmring_in *r, struct vmring_ctrl *ctrl, void *data, uint32_t size,
		   uint32_t accept);

/*
 * Room for a packet of @len bytes (descriptor, headers and payload, a multiple of
 * 8, trailer not counted) in *@pkt, to be filled in place. Nothing is visible to
 * the peer before commit. -EAGAIN: full now; -EMSGSIZE: never fits; -EPROTO.
 */
static inline int vmring_out_reserve(struct vmring_out *r, uint32_t len, void **pkt);

/*
 * Ends the packet just reserved: writes its trailer, moves on. @len as reserved;
 * no other call on the ring in between. Its bytes may be filled in before or after.
 */
static inline void vmring_out_push(struct vmring_out *r, uint32_t len);

/* Publishes every packet pushed since the last commit. True: signal the peer. */
static inline bool vmring_out_commit(struct vmring_out *r);

/*
 * For a writer that met -EAGAIN and wants to sleep until @len bytes fit: asks for
 * a space signal. Returns true when to sleep, false when to try again: it fits
 * already, never will, or the ring is corrupt (nothing is pending then). Asks to
 * be woken no earlier than at a quarter of the ring, not for every small packet.
 * vmring_out_forget_space() withdraws the wish; a reserve that succeeds after a
 * fresh look at the peer's index does so too.
 */
bool vmring_out_want_space(struct vmring_out *r, uint32_t len);
void vmring_out_forget_space(struct vmring_out *r);

/* Bytes a single packet (with trailer) may use now, by the cached peer index refreshed once. */
uint32_t vmring_out_free(struct vmring_out *r);

/*
 * The next packet: *@pkt points at its bytes in shared memory (the peer may be
 * rewriting them), *@desc is the private, validated copy of its descriptor; use
 * only @desc for lengths. Peeking again gives the same packet.
 * -EAGAIN: empty; -EPROTO: corrupt.
 */
static inline int vmring_in_peek(struct vmring_in *r, struct vmpkt_desc *desc, const uint8_t **pkt);

/* Steps over the packet last peeked, described by @desc; its bytes stay ours until commit. */
static inline void vmring_in_pop(struct vmring_in *r, const struct vmpkt_desc *desc);

/* Gives the popped bytes back. True: the peer waits for room, signal it. */
bool vmring_in_commit(struct vmring_in *r);

/*
 * The same, but only once the popped bytes amount to a quarter of the ring, and
 * without a fence: for a reader in the middle of a drain or of a busy poll. A writer
 * that has just fallen asleep may be noticed no earlier than by vmring_in_commit(),
 * which whoever uses this must reach at the end of each drain.
 */
static inline bool vmring_in_commit_lazy(struct vmring_in *r);

/* "I am looking anyway": no data signals until unmask. */
void vmring_in_mask(struct vmring_in *r);

/*
 * "Signal me": to be called after vmring_in_commit(), before sleeping. Returns
 * true when packets are waiting after all (do not sleep).
 */
bool vmring_in_unmask(struct vmring_in *r);

/* Whether anything is waiting, at the price of one load. Never true once faulted. */
static inline bool vmring_in_pending(struct vmring_in *r);

/*
 * Copies @len bytes, a multiple of 8, between a ring and private memory; up to
 * VMRING_SHORT_COPY without a call. Both pointers are 8-byte aligned or better.
 */
ALWAYS_INLINE void vmring_copy(void *dst, const void *src, uint32_t len);
#define VMRING_SHORT_COPY 128u

/* ---- per-packet paths ------------------------------------------------------------ */

typedef uint64_t __attribute__((may_alias)) vmring_word; /* one aligned unit of the data area */

/* A branch, and kept one: the next packet's address need not wait for the comparison. */
ALWAYS_INLINE uint32_t vmring_wrap(uint32_t next, uint32_t size)
{
	if (unlikely(next >= size)) {
		next -= size;
		__asm__("" : "+r"(next));
	}
	return next;
}

/* The rest of reserve and peek when the cached peer index does not suffice. */
int vmring_out_reserve_slow(struct vmring_out *r, uint32_t len);
int vmring_in_peek_slow(struct vmring_in *r, struct vmpkt_desc *desc);
bool vmring_in_commit_unfenced(struct vmring_in *r);

/* By the last look at the peer's index. */
ALWAYS_INLINE bool vmring_out_fits(const struct vmring_out *r, uint32_t len)
{
	/* room is at most N - 8 and 0 on a faulted ring, so this is the only check. */
	return likely(len <= VMPKT_MAX_LEN && len + VMPKT_TRAILER <= r->room);
}

static inline int vmring_out_reserve(struct vmring_out *r, uint32_t len, void **pkt)
{
	if (unlikely(!vmring_out_fits(r, len))) {
		int err = vmring_out_reserve_slow(r, len);

		if (err)
			return err;
	}
	*pkt = r->data + r->next;
	return 0;
}

#define VMRING_AHEAD 512 /* bytes; within the double mapping for every ring */

/* A hint. Spelled out, because compilers for plain x86-64 make a read prefetch of it. */
ALWAYS_INLINE void prefetch_for_store(void *p)
{
#if defined(__x86_64__)
	__asm__ volatile("prefetchw %0" : : "m"(*(uint8_t *)p));
#else
	__builtin_prefetch(p, 1);
#endif
}

/* The same for a long packet: the lines of the next, if it is like this one and has room. */
void vmring_out_fetch(const struct vmring_out *r, uint32_t len);

static inline void vmring_out_push(struct vmring_out *r, uint32_t len)
{
	uint32_t start = r->next, next = vmring_wrap(start + len + VMPKT_TRAILER, r->size);
	uint8_t *pkt = r->data + start;

	r->next = next;
	r->room -= len + VMPKT_TRAILER;
	*(vmring_word *)(pkt + len) = (uint64_t)start << 32;
	/*
	 * The reader had these lines last; fetched only when stored to, they would
	 * be waited for one by one in the fence of the commit.
	 */
	prefetch_for_store(pkt + VMRING_AHEAD);
	if (unlikely(len > VMRING_AHEAD))
		vmring_out_fetch(r, len);
}

static inline bool vmring_out_commit(struct vmring_out *r)
{
	uint32_t old = r->published;
	bool sig;

	if (r->next == old)
		return false;
	/* W2: release, pairs with the acquire of write_index in ring_in.c: packets before index. */
	store_release(&r->ctrl->write_index, r->next);
	r->published = r->next;
	r->publications++;
	/*
	 * Fence W3 pairs with R3 in vmring_in_unmask(): our index must be visible
	 * before we look whether the reader sleeps. Otherwise each side may believe
	 * the other to be awake, and the packet waits for ever (spec: ring, 10.1).
	 */
	full_fence();
	sig = load_relaxed(&r->ctrl->interrupt_mask) == 0 &&
	      load_relaxed(&r->ctrl->read_index) == old;
	r->signals += sig;
	return sig;
}

/*
 * Packets come in runs of one kind. A first word equal to the last good one needs no
 * second judgement, only that the packet is all there; and the next packet's address
 * then follows from step, which is known, instead of from bytes still on their way
 * from the other core. True: r->last describes it, but for its @trans_id.
 */
ALWAYS_INLINE bool vmring_in_peek_same(struct vmring_in *r, uint64_t *trans_id, const uint8_t **pkt)
{
	const vmring_word *p = (const vmring_word *)(r->data + r->next);
	uint64_t head, last;

	if (unlikely(r->avail < r->step))
		return false;
	/* Atomic: the compiler cannot fetch either word again after the checks. */
	head = load_relaxed(p);
	*trans_id = load_relaxed(p + 1);
	memcpy(&last, &r->last, sizeof(last));
	*pkt = (const uint8_t *)p;
	return likely(head == last);
}

static inline int vmring_in_peek(struct vmring_in *r, struct vmpkt_desc *desc, const uint8_t **pkt)
{
	uint64_t id;

	if (likely(vmring_in_peek_same(r, &id, pkt))) {
		desc->type = r->last.type;
		desc->offset8 = r->last.offset8;
		desc->len8 = r->last.len8;
		desc->flags = r->last.flags;
		desc->trans_id = id;
		return 0;
	}
	/* Through a copy, or the caller's descriptor could not live in registers. */
	struct vmpkt_desc copy = { 0 };
	int err = vmring_in_peek_slow(r, &copy);

	*desc = copy;
	*pkt = r->data + r->next;
	return err;
}

static inline void vmring_in_pop(struct vmring_in *r, const struct vmpkt_desc *desc)
{
	uint32_t step = r->step, next = r->next + step;

	(void)desc; /* tells who reads the caller what is popped */
	r->next = vmring_wrap(next, r->size);
	r->avail -= step;
}

static inline bool vmring_in_commit_lazy(struct vmring_in *r)
{
	return unlikely((int32_t)r->avail <= r->lazy_mark) && vmring_in_commit_unfenced(r);
}

static inline bool vmring_in_pending(struct vmring_in *r)
{
	if (r->avail)
		return true;
	if (load_relaxed(&r->ctrl->write_index) == r->next || r->why != VMRING_OK)
		return false;
	/* Under way from the other core while the caller gets ready to peek. */
	__builtin_prefetch(r->data + r->next);
	__builtin_prefetch(r->data + r->next + CACHE_LINE);
	return true;
}

ALWAYS_INLINE void vmring_copy(void *dst, const void *src, uint32_t len)
{
	const uint8_t *s = src;
	uint8_t *d = dst;

	if (len > VMRING_SHORT_COPY) {
		memcpy(d, s, len);
		return;
	}
	if (len < 16) {
		if (len)
			memcpy(d, s, 8);
		return;
	}
	/*
	 * The first words as words: senders have often just stored them, and a wider
	 * load would have to wait until that left the store buffer. The rest from both
	 * ends, overlapping in the middle: no loop.
	 */
	memcpy(d, s, 8);
	memcpy(d + 8, s + 8, 8);
	if (len <= 32) {
		memcpy(d + len - 16, s + len - 16, 16);
		return;
	}
	memcpy(d + 16, s + 16, 16);
	if (len > 64) {
		memcpy(d + 32, s + 32, 16);
		memcpy(d + 48, s + 48, 16);
		memcpy(d + len - 64, s + len - 64, 16);
		memcpy(d + len - 48, s + len - 48, 16);
	}
	memcpy(d + len - 32, s + len - 32, 16);
	memcpy(d + len - 16, s + len - 16, 16);
}

#endif
