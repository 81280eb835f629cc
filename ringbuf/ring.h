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
	uint32_t published;	  /* the write_index last stored */
	uint32_t peer_read;	  /* the read_index last loaded and checked */
	uint32_t pending;	  /* the pending_send_sz we stored */
	enum vmring_fault why;
	uint64_t packets, publications, signals; /* statistics, this side's */
};

struct vmring_in {
	struct vmring_ctrl *ctrl;
	uint8_t *data;
	uint32_t size;
	uint32_t next;	     /* next packet to read (private) */
	uint32_t published;  /* the read_index last stored */
	uint32_t peer_write; /* the write_index last loaded and checked */
	uint32_t accept;     /* bit mask of accepted packet types (1u << type) */
	bool masked;	     /* the interrupt_mask we stored */
	enum vmring_fault why;
	uint64_t packets, publications, signals;
};

#define VMRING_ACCEPT_HOST /* what a provider accepts from a guest */ \
	(1u << VMPKT_INBAND | 1u << VMPKT_GPA_DIRECT | 1u << VMPKT_COMPLETION)
#define VMRING_ACCEPT_GUEST /* what a client accepts from a host */ \
	(1u << VMPKT_INBAND | 1u << VMPKT_XFER_PAGES | 1u << VMPKT_COMPLETION)

/*
 * Attach to a ring. @ctrl is its control page, @data its data area of @size
 * bytes mapped twice; both stay the caller's and must outlive the struct. The
 * indices found there are checked (0/0 on a fresh ring, any valid pair on a
 * resumed one). _out sets its feature bit.
 * Errors: -EINVAL (@size not a positive multiple of 4096), -EPROTO (bad indices).
 */
int vmring_out_init(struct vmring_out *r, struct vmring_ctrl *ctrl, void *data, uint32_t size);
int vmring_in_init(struct vmring_in *r, struct vmring_ctrl *ctrl, void *data, uint32_t size,
		   uint32_t accept);

/*
 * Room for a packet of @len bytes (descriptor, headers and payload, a multiple of
 * 8, trailer not counted) in *@pkt, to be filled in place. Nothing is visible to
 * the peer before commit. -EAGAIN: full now; -EMSGSIZE: never fits; -EPROTO.
 */
int vmring_out_reserve(struct vmring_out *r, uint32_t len, void **pkt);

/* Ends the packet just reserved: writes its trailer, moves on. @len as reserved. */
void vmring_out_push(struct vmring_out *r, uint32_t len);

/* Publishes every packet pushed since the last commit. True: signal the peer. */
bool vmring_out_commit(struct vmring_out *r);

/*
 * For a writer that met -EAGAIN and wants to sleep until @len bytes fit: asks for
 * a space signal. Returns true when to sleep, false when it fits already (nothing
 * is pending then). vmring_out_forget_space() withdraws the wish.
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
int vmring_in_peek(struct vmring_in *r, struct vmpkt_desc *desc, const uint8_t **pkt);

/* Steps over the packet last peeked; its bytes stay ours until commit. */
void vmring_in_pop(struct vmring_in *r, const struct vmpkt_desc *desc);

/* Gives the popped bytes back. True: the peer waits for room, signal it. */
bool vmring_in_commit(struct vmring_in *r);

/* "I am looking anyway": no data signals until unmask. */
void vmring_in_mask(struct vmring_in *r);

/*
 * "Signal me": to be called after vmring_in_commit(), before sleeping. Returns
 * true when packets are waiting after all (do not sleep).
 */
bool vmring_in_unmask(struct vmring_in *r);

/* Whether anything is waiting, at the price of one load. */
bool vmring_in_pending(struct vmring_in *r);

#endif
