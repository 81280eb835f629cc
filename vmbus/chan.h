/* SPDX-License-Identifier: MIT */
/*
 * A running channel: two rings and a way to signal the peer. The same code serves
 * the provider in the root and the client in the child (spec: ring, vmbus 11).
 *
 *   receive:  while ((n = vmbus_chan_recv(c, &pkt)) > 0) ...; vmbus_chan_recv_done(c);
 *   send:     vmbus_chan_send_*() any number of times; vmbus_chan_flush(c)
 *
 * A packet received is a private copy: nothing in struct vmpkt can change under
 * the reader. It is valid until the next vmbus_chan_recv() on the channel.
 *
 * A peer that breaks the ring protocol faults the channel: recv and send then
 * return -EPROTO for ever, the reason is kept, the fault is logged once, and the
 * owner's fault callback runs once. Other channels do not notice.
 *
 * Threads: one thread (the owning loop's) per channel.
 *
 * A batch is recv() until 0, recv_done() once, flush() once. Before sleeping: flush(),
 * then unmask() (a channel that is never masked still needs it: it publishes what was
 * consumed, without which the peer never signals again).
 */
#ifndef HVBUS_VMBUS_CHAN_H
#define HVBUS_VMBUS_CHAN_H

#include <sys/uio.h>

#include "hv-core/gpa.h"
#include "ringbuf/packet.h"

struct loop;
struct vmbus_chan;

struct vmbus_chan_config {
	struct hv_gpa_view in, out; /* ring views; the caller unmaps them after destroy */
	uint32_t accept;	    /* VMRING_ACCEPT_HOST or _GUEST */
	uint32_t max_packet;	    /* longest packet received, bytes (0 = 4096); longer faults */
	struct hv_gpa *gpa;	    /* for vmbus_chan_iov(); NULL on the guest side. Borrowed */
	struct loop *loop;	    /* the loop that owns the channel; NULL on the guest side */
	void (*signal)(void *ctx);  /* tell the peer: event flag + interrupt, or doorbell */
	/*
	 * Once, from inside the call that met the fault; may be NULL. Must not destroy the
	 * channel.
	 */
	void (*fault)(void *ctx, const char *why);
	void *ctx;
	const char *name; /* for log lines, copied: "partition 2 scsi0.1" */
};

/* Errors: -EINVAL, -EPROTO (indices in the control pages are not legal), -ENOMEM. */
int vmbus_chan_create(struct vmbus_chan **out, const struct vmbus_chan_config *cfg);
void vmbus_chan_destroy(struct vmbus_chan *c);

struct loop *vmbus_chan_loop(const struct vmbus_chan *c);
const char *vmbus_chan_name(const struct vmbus_chan *c);
void *vmbus_chan_ctx(const struct vmbus_chan *c); /* the config's */

/* 1: *@pkt is the next packet; 0: empty; -EPROTO: faulted. */
int vmbus_chan_recv(struct vmbus_chan *c, struct vmpkt *pkt);

/*
 * Gives consumed ring space back and signals the peer if it waits for it. Once per batch.
 * While the channel is masked this may be put off for some batches; unmask() and
 * repeated looks at an empty ring never put it off for ever.
 */
void vmbus_chan_recv_done(struct vmbus_chan *c);

/* No data signals from the peer until unmask. */
void vmbus_chan_mask(struct vmbus_chan *c);
/* Asks for signals again; true when packets are waiting after all. Includes recv_done. */
bool vmbus_chan_unmask(struct vmbus_chan *c);
/* One load: is a packet waiting? */
bool vmbus_chan_pending(struct vmbus_chan *c);
/* No load: is one known to be waiting, from the last look at the ring? */
bool vmbus_chan_known(const struct vmbus_chan *c);
/* No load: was vmbus_chan_want_space() true, and nothing sent since? */
bool vmbus_chan_wants_space(const struct vmbus_chan *c);

/*
 * Queue one packet. 0; -EAGAIN: the ring is full (see want_space); -EMSGSIZE: never
 * fits; -EPROTO: faulted. The peer sees it at vmbus_chan_flush().
 */
int vmbus_chan_send(struct vmbus_chan *c, uint16_t flags, uint64_t trans_id, const void *payload,
		    uint32_t len);
int vmbus_chan_send_completion(struct vmbus_chan *c, uint64_t trans_id, const void *payload,
			       uint32_t len);
int vmbus_chan_send_gpa_direct(struct vmbus_chan *c, uint16_t flags, uint64_t trans_id,
			       uint32_t byte_count, uint32_t byte_offset, const uint64_t *pfn,
			       uint32_t npfn, const void *payload, uint32_t len);
/*
 * The same with blanks: at *@pfn the page numbers, then @len bytes of payload. To be
 * filled in before the next call on the channel and never read back.
 */
int vmbus_chan_send_gpa_blank(struct vmbus_chan *c, uint16_t flags, uint64_t trans_id,
			      uint32_t byte_count, uint32_t byte_offset, uint32_t len,
			      uint64_t **pfn);

/* Ranges of an own transfer page set: netvsc section 6. -EINVAL: no range. */
int vmbus_chan_send_xfer_pages(struct vmbus_chan *c, uint16_t flags, uint64_t trans_id,
			       uint16_t set_id, const struct vmpkt_xfer_range *ranges, uint32_t n,
			       const void *payload, uint32_t len);
int vmbus_chan_send_gpa_direct_multi(struct vmbus_chan *c, uint16_t flags, uint64_t trans_id,
				     const struct vmpkt_range_in *ranges, uint32_t n,
				     const void *payload, uint32_t len);

/* Publishes what was queued and signals the peer when the ring's rules demand it. */
void vmbus_chan_flush(struct vmbus_chan *c);

/*
 * The peer has read all that was published and wants to be signalled: what a sender in the
 * middle of a long batch may flush at once, for the peer wakes up while the rest is made. Two
 * loads.
 */
bool vmbus_chan_peer_sleeps(const struct vmbus_chan *c);

/* Bytes of ring space (descriptor + payload + trailer) that a sender may still use. */
uint32_t vmbus_chan_send_room(struct vmbus_chan *c);

/*
 * The sender met -EAGAIN and wants to sleep until @bytes (as in send_room) fit: true =
 * sleep, the peer will signal; false = try again now. Includes flush. The wish ends
 * with the next flush of a packet: ask again before each sleep.
 */
bool vmbus_chan_want_space(struct vmbus_chan *c, uint32_t bytes);

/*
 * Scatter list of the first @len bytes of GPA-direct range @index of @pkt (len <= the
 * range's bytes). Entries written, or -EFAULT (a page is not guest RAM), -ENOSPC (@max),
 * -EINVAL (no such range, or shorter than @len).
 */
int vmbus_chan_iov(struct vmbus_chan *c, const struct vmpkt *pkt, uint32_t index, uint32_t len,
		   struct iovec *iov, int max);

/*
 * Scatter list of all GPA-direct ranges of @pkt one after the other. Entries written, the bytes in
 * *@bytes; errors as above.
 */
int vmbus_chan_iov_all(struct vmbus_chan *c, const struct vmpkt *pkt, struct iovec *iov, int max,
		       uint32_t *bytes);

/*
 * Guest memory as a whole, referenced by the caller's in-flight I/O: hv_gpa_get() it
 * before I/O that may outlive the channel. NULL on the guest side.
 */
struct hv_gpa *vmbus_chan_gpa(const struct vmbus_chan *c);

/* A provider or client found the peer's packets illegal: fault the channel. @why: static text. */
void vmbus_chan_fault(struct vmbus_chan *c, const char *why);
bool vmbus_chan_faulted(const struct vmbus_chan *c);

struct vmbus_chan_stats {
	uint64_t packets_in, packets_out;
	uint64_t dropped_in;	     /* packets of a kind that a client steps over */
	uint64_t publications;	     /* index stores that made data visible */
	uint64_t signals_sent;	     /* signal() calls */
	uint64_t signals_suppressed; /* publications that needed none */
	uint32_t in_size, in_used, out_size, out_used; /* bytes of the data areas */
	const char *fault;			       /* NULL or the reason */
};
/* Any thread (values may be a little old). */
void vmbus_chan_stats(const struct vmbus_chan *c, struct vmbus_chan_stats *out);

#endif
