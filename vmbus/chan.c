/* SPDX-License-Identifier: MIT */
/*
 * A running channel: both rings, one private packet buffer, the signal decision.
 * Everything here runs per packet, so: no allocation, no lock, no indirect call but
 * the signal, and counters that are plain stores of the owner. What costs most is
 * not instructions but the control page's cache line travelling between the two ends:
 * it is written as rarely as the protocol allows.
 *
 * What runs per storage request exists twice: the usual case, that calls nothing and so
 * saves no registers for it, and *_slow() for the rest, which starts from the beginning.
 */
#include "vmbus/chan.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

#define DEFAULT_MAX_PACKET 4096u
#define LARGEST_PACKET	   (UINT16_MAX * 8u) /* len8 is 16 bits wide */
#define LAZY_TURNS	   4096u	     /* see hold_back() */

struct vmbus_chan {
	struct vmring_in in;
	uint8_t *copy; /* the packet last received but for its descriptor; max_packet bytes */
	uint32_t max_packet;
	uint32_t lazy;	 /* batches since the read index was last stored */
	const char *why; /* NULL, or the fault; set once */
	struct vmring_out out;

	/* Written by the owner, read by anyone: store_relaxed() pairs with vmbus_chan_stats(). */
	uint64_t packets_in, dropped_in, packets_out, publications, signals_sent,
		signals_suppressed;

	struct vmbus_chan_config cfg;
	char name[64];
};

/* Only the owner writes @counter, so no read-modify-write is needed. */
#define BUMP(counter) store_relaxed(&(counter), (counter) + 1)

int vmbus_chan_create(struct vmbus_chan **out, const struct vmbus_chan_config *cfg)
{
	struct vmbus_chan *c;
	uint32_t max;
	int err;

	max = cfg->max_packet ? cfg->max_packet : DEFAULT_MAX_PACKET;
	if (!cfg->signal || max < sizeof(struct vmpkt_desc) || max > LARGEST_PACKET)
		return -EINVAL;
	c = aligned_alloc(CACHE_LINE, (sizeof(*c) + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1));
	if (!c)
		return -ENOMEM;
	memset(c, 0, sizeof(*c));
	c->cfg = *cfg;
	c->max_packet = max;
	snprintf(c->name, sizeof(c->name), "%s", cfg->name ? cfg->name : "channel");
	c->copy = aligned_alloc(CACHE_LINE, ((size_t)max + CACHE_LINE - 1) & ~(CACHE_LINE - 1ul));
	if (!c->copy) {
		err = -ENOMEM;
		goto free_chan;
	}
	err = vmring_in_init(&c->in, cfg->in.ctrl, cfg->in.data, cfg->in.size, cfg->accept);
	if (err)
		goto free_copy;
	err = vmring_out_init(&c->out, cfg->out.ctrl, cfg->out.data, cfg->out.size);
	if (err)
		goto free_copy;
	c->cfg.name = c->name;
	*out = c;
	return 0;

free_copy:
	free(c->copy);
free_chan:
	free(c);
	return err;
}

void vmbus_chan_destroy(struct vmbus_chan *c)
{
	if (!c)
		return;
	free(c->copy);
	free(c);
}

struct loop *vmbus_chan_loop(const struct vmbus_chan *c)
{
	return c->cfg.loop;
}

const char *vmbus_chan_name(const struct vmbus_chan *c)
{
	return c->name;
}

void *vmbus_chan_ctx(const struct vmbus_chan *c)
{
	return c->cfg.ctx;
}

struct hv_gpa *vmbus_chan_gpa(const struct vmbus_chan *c)
{
	return c->cfg.gpa;
}

/* ---- faults --------------------------------------------------------------- */

void vmbus_chan_fault(struct vmbus_chan *c, const char *why)
{
	if (c->why)
		return;
	store_release(&c->why, why); /* the text before its pointer; vmbus_chan_stats() */
	log_ratelimited(LOG_WARN, "%s: channel fault: %s", c->name, why);
	if (c->cfg.fault)
		c->cfg.fault(c->cfg.ctx, why);
}

bool vmbus_chan_faulted(const struct vmbus_chan *c)
{
	return c->why != NULL;
}

static NOINLINE int fault(struct vmbus_chan *c, const char *why)
{
	vmbus_chan_fault(c, why);
	return -EPROTO;
}

static void signal_peer(struct vmbus_chan *c)
{
	BUMP(c->signals_sent);
	c->cfg.signal(c->cfg.ctx);
}

/* ---- receiving ------------------------------------------------------------- */

static void give_back(struct vmbus_chan *c)
{
	c->lazy = 0;
	if (vmring_in_commit(&c->in))
		signal_peer(c);
}

/*
 * While we poll (masked), the peer needs our read index only when it runs out of room.
 * Storing it earlier would take the line away from a writer that is about to store its
 * own index there. So: at a quarter of the ring, when the writer says that it waits, or
 * after some turns in any case. Unmasking always stores it.
 */
ALWAYS_INLINE void hold_back(struct vmbus_chan *c)
{
	/* Given back without a fence is not done with: the writer's wish may have come late. */
	if (c->in.next == c->in.published && !c->in.unchecked)
		return;
	if (!c->in.masked || ++c->lazy >= LAZY_TURNS || load_relaxed(&c->in.ctrl->pending_send_sz))
		give_back(c);
	else if (vmring_in_commit_lazy(&c->in))
		signal_peer(c);
}

/* What recv returns without a packet. */
static int nothing(struct vmbus_chan *c, int err)
{
	if (unlikely(err != -EAGAIN))
		return fault(c, vmring_fault_name(c->in.why));
	if (unlikely(c->in.dropped != c->dropped_in))
		store_relaxed(&c->dropped_in, c->in.dropped);
	hold_back(c);
	return 0;
}

/* Everything behind the descriptor, @len bytes: nothing of it is fetched from the ring again. */
ALWAYS_INLINE void copy_out(struct vmbus_chan *c, const uint8_t *shared, uint32_t len)
{
	vmring_copy(c->copy + VMPKT_HEADER, shared + VMPKT_HEADER, len);
	__asm__ volatile("" ::: "memory");
}

ALWAYS_INLINE int received(struct vmbus_chan *c, const struct vmpkt_desc *desc)
{
	vmring_in_pop(&c->in, desc);
	BUMP(c->packets_in);
	return 1;
}

static NOINLINE int recv_slow(struct vmbus_chan *c, struct vmpkt *pkt)
{
	enum vmring_fault why = VMRING_OK;
	struct vmpkt_desc desc;
	const uint8_t *shared;
	int err;

	if (c->why)
		return -EPROTO;
	err = vmring_in_peek(&c->in, &desc, &shared);
	if (err)
		return nothing(c, err);
	if (desc.len8 * 8u > c->max_packet)
		return fault(c, "packet longer than the channel accepts");
	copy_out(c, shared, desc.len8 * 8u - VMPKT_HEADER);
	if (vmpkt_decode(pkt, c->copy, &desc, &why))
		return fault(c, vmring_fault_name(why));
	return received(c, &desc);
}

/* One more like the last. Whatever is not, or is long, or has odd ranges, starts anew elsewhere. */
int vmbus_chan_recv(struct vmbus_chan *c, struct vmpkt *pkt)
{
	const struct vmpkt_desc *desc = &c->in.last;
	const uint8_t *shared;
	uint64_t trans_id;
	uint32_t len;

	if (unlikely(c->why || !vmring_in_peek_same(&c->in, &trans_id, &shared)))
		return recv_slow(c, pkt);
	len = desc->len8 * 8u - VMPKT_HEADER;
	if (unlikely(len > VMRING_SHORT_COPY || desc->len8 * 8u > c->max_packet))
		return recv_slow(c, pkt);
	copy_out(c, shared, len);
	if (unlikely(!vmpkt_decode_simple(pkt, c->copy, desc, trans_id)))
		return recv_slow(c, pkt);
	return received(c, desc);
}

void vmbus_chan_recv_done(struct vmbus_chan *c)
{
	if (likely(!c->why))
		hold_back(c);
}

void vmbus_chan_mask(struct vmbus_chan *c)
{
	if (likely(!c->why))
		vmring_in_mask(&c->in);
}

bool vmbus_chan_unmask(struct vmbus_chan *c)
{
	if (unlikely(c->why))
		return false;
	give_back(c);
	return vmring_in_unmask(&c->in);
}

bool vmbus_chan_pending(struct vmbus_chan *c)
{
	if (unlikely(c->why))
		return false;
	if (vmring_in_pending(&c->in))
		return true;
	hold_back(c); /* whoever spins here may not come by vmbus_chan_recv_done() */
	return false;
}

bool vmbus_chan_known(const struct vmbus_chan *c)
{
	return c->in.avail;
}

bool vmbus_chan_wants_space(const struct vmbus_chan *c)
{
	return c->out.pending;
}

/* ---- sending ----------------------------------------------------------------- */

/* What became of one vmpkt_put_*(). */
ALWAYS_INLINE int sent(struct vmbus_chan *c, int err)
{
	if (likely(!err))
		BUMP(c->packets_out);
	else if (unlikely(err == -EPROTO))
		return fault(c, vmring_fault_name(c->out.why));
	return err;
}

int vmbus_chan_send(struct vmbus_chan *c, uint16_t flags, uint64_t trans_id, const void *payload,
		    uint32_t len)
{
	if (unlikely(c->why))
		return -EPROTO;
	return sent(c, vmpkt_put_inband(&c->out, flags, trans_id, payload, len));
}

static NOINLINE int send_completion_slow(struct vmbus_chan *c, uint64_t trans_id,
					 const void *payload, uint32_t len)
{
	if (c->why)
		return -EPROTO;
	return sent(c, vmpkt_put_completion(&c->out, trans_id, payload, len));
}

int vmbus_chan_send_completion(struct vmbus_chan *c, uint64_t trans_id, const void *payload,
			       uint32_t len)
{
	if (unlikely(c->why || len > VMRING_SHORT_COPY))
		return send_completion_slow(c, trans_id, payload, len);
	if (unlikely(!vmring_out_fits(&c->out, vmpkt_total(VMPKT_HEADER, len))))
		return send_completion_slow(c, trans_id, payload, len);
	return sent(c, vmpkt_put_completion(&c->out, trans_id, payload, len));
}

int vmbus_chan_send_gpa_direct(struct vmbus_chan *c, uint16_t flags, uint64_t trans_id,
			       uint32_t byte_count, uint32_t byte_offset, const uint64_t *pfn,
			       uint32_t npfn, const void *payload, uint32_t len)
{
	if (unlikely(c->why))
		return -EPROTO;
	return sent(c, vmpkt_put_gpa_direct(&c->out, flags, trans_id, byte_count, byte_offset, pfn,
					    npfn, payload, len));
}

static NOINLINE int send_gpa_blank_slow(struct vmbus_chan *c, uint16_t flags, uint64_t trans_id,
					uint32_t byte_count, uint32_t byte_offset, uint32_t len,
					uint64_t **pfn)
{
	if (c->why)
		return -EPROTO;
	return sent(c, vmpkt_put_gpa_blank(&c->out, flags, trans_id, byte_count, byte_offset, len,
					   pfn));
}

int vmbus_chan_send_gpa_blank(struct vmbus_chan *c, uint16_t flags, uint64_t trans_id,
			      uint32_t byte_count, uint32_t byte_offset, uint32_t len,
			      uint64_t **pfn)
{
	uint32_t total = vmpkt_total(vmpkt_gpa_header(byte_count, byte_offset), len);

	if (unlikely(c->why || !vmring_out_fits(&c->out, total)))
		return send_gpa_blank_slow(c, flags, trans_id, byte_count, byte_offset, len, pfn);
	return sent(c, vmpkt_put_gpa_blank(&c->out, flags, trans_id, byte_count, byte_offset, len,
					   pfn));
}

int vmbus_chan_send_xfer_pages(struct vmbus_chan *c, uint16_t flags, uint64_t trans_id,
			       uint16_t set_id, const struct vmpkt_xfer_range *ranges, uint32_t n,
			       const void *payload, uint32_t len)
{
	if (unlikely(c->why))
		return -EPROTO;
	return sent(
		c, vmpkt_put_xfer_pages(&c->out, flags, trans_id, set_id, ranges, n, payload, len));
}

int vmbus_chan_send_gpa_direct_multi(struct vmbus_chan *c, uint16_t flags, uint64_t trans_id,
				     const struct vmpkt_range_in *ranges, uint32_t n,
				     const void *payload, uint32_t len)
{
	if (unlikely(c->why))
		return -EPROTO;
	return sent(c,
		    vmpkt_put_gpa_direct_multi(&c->out, flags, trans_id, ranges, n, payload, len));
}

void vmbus_chan_flush(struct vmbus_chan *c)
{
	if (c->out.next == c->out.published || unlikely(c->why))
		return;
	if (unlikely(c->out.pending)) /* something did fit: the wish for room is over */
		vmring_out_forget_space(&c->out);
	BUMP(c->publications);
	if (vmring_out_commit(&c->out))
		signal_peer(c);
	else
		BUMP(c->signals_suppressed);
}

bool vmbus_chan_peer_sleeps(const struct vmbus_chan *c)
{
	/* Hints: the commit decides for itself, behind its fence. */
	return !load_relaxed(&c->out.ctrl->interrupt_mask) &&
	       load_relaxed(&c->out.ctrl->read_index) == c->out.published;
}

/* Whoever only asks for room would wait for ever on a ring whose reader broke it. */
static NOINLINE void check_reader(struct vmbus_chan *c)
{
	if (c->out.why != VMRING_OK)
		vmbus_chan_fault(c, vmring_fault_name(c->out.why));
}

uint32_t vmbus_chan_send_room(struct vmbus_chan *c)
{
	uint32_t room = unlikely(c->why) ? 0 : vmring_out_free(&c->out);

	if (unlikely(!room))
		check_reader(c);
	return room;
}

bool vmbus_chan_want_space(struct vmbus_chan *c, uint32_t bytes)
{
	if (unlikely(c->why))
		return false; /* the next send says so */
	vmbus_chan_flush(c);  /* what the peer cannot see it cannot consume */
	if (bytes > c->out.size)
		return false; /* never fits: -EMSGSIZE */
	/* Rounded up to 8 as on the wire, less the trailer. */
	if (vmring_out_want_space(&c->out, bytes > 24 ? (bytes - 1) & ~7u : 16))
		return true;
	check_reader(c);
	return false;
}

/* ---- the rest ------------------------------------------------------------------ */

int vmbus_chan_iov(struct vmbus_chan *c, const struct vmpkt *pkt, uint32_t index, uint32_t len,
		   struct iovec *iov, int max)
{
	uint32_t cursor = 0, count, offset, npfn;
	const uint64_t *pfn;

	if (unlikely(pkt->type != VMPKT_GPA_DIRECT || index >= pkt->range_count))
		return -EINVAL;
	if (likely(index == 0)) {
		vmpkt_first_range(pkt, &count, &offset, &pfn, &npfn);
	} else {
		do {
			if (!vmpkt_next_range(pkt, &cursor, &count, &offset, &pfn, &npfn))
				return -EINVAL;
		} while (index--);
	}
	if (unlikely(len > count || !c->cfg.gpa))
		return -EINVAL;
	return hv_gpa_iov(c->cfg.gpa, iov, max, pfn, npfn, offset, len);
}

int vmbus_chan_iov_all(struct vmbus_chan *c, const struct vmpkt *pkt, struct iovec *iov, int max,
		       uint32_t *bytes)
{
	uint32_t cursor = 0, sum = 0, count, offset, npfn;
	const uint64_t *pfn;
	int n = 0, more;

	if (unlikely(pkt->type != VMPKT_GPA_DIRECT || !c->cfg.gpa))
		return -EINVAL;
	while (vmpkt_next_range(pkt, &cursor, &count, &offset, &pfn, &npfn)) {
		if (unlikely(!count))
			continue; /* may lack the page that its offset speaks of */
		more = hv_gpa_iov(c->cfg.gpa, iov + n, max - n, pfn, npfn, offset, count);
		if (unlikely(more < 0))
			return more;
		n += more;
		sum += count; /* cannot wrap: a packet has room for 64 Ki pages */
	}
	*bytes = sum;
	return n;
}

/* For people: both indices are the shared ones and may be nonsense. */
static uint32_t ring_used(const struct vmring_ctrl *ctrl, uint32_t size)
{
	uint32_t w = load_relaxed(&ctrl->write_index), r = load_relaxed(&ctrl->read_index);

	if (w >= size || r >= size)
		return 0;
	return w >= r ? w - r : size - (r - w);
}

void vmbus_chan_stats(const struct vmbus_chan *c, struct vmbus_chan_stats *out)
{
	out->packets_in = load_relaxed(&c->packets_in);
	out->dropped_in = load_relaxed(&c->dropped_in);
	out->packets_out = load_relaxed(&c->packets_out);
	out->publications = load_relaxed(&c->publications);
	out->signals_sent = load_relaxed(&c->signals_sent);
	out->signals_suppressed = load_relaxed(&c->signals_suppressed);
	out->in_size = c->cfg.in.size;
	out->in_used = ring_used(c->cfg.in.ctrl, c->cfg.in.size);
	out->out_size = c->cfg.out.size;
	out->out_used = ring_used(c->cfg.out.ctrl, c->cfg.out.size);
	out->fault = load_acquire(&c->why); /* pairs with vmbus_chan_fault() */
}
