/* SPDX-License-Identifier: MIT */
/*
 * What the guest sends: the bytes of a request, the RNDIS messages in them, the frames in those,
 * and the completion (spec: netvsc, section 5; rndis, sections 5 and 6).
 *
 * A request is a row of pieces of guest memory. Of each message the first bytes are copied, and
 * the header and all per-packet information have to lie in the copy; of each frame again. What the
 * guest writes there meanwhile is never seen; a frame's payload is copied to its receiver and not
 * looked at.
 *
 * A request with a broken message fails as a whole, and what follows the message is not sent. The
 * frames before it have been, once.
 */
#include "vsp/netvsp/net_priv.h"

#include <errno.h>

#include "base/iov.h"
#include "base/net/vnet.h"
#include "base/nospec.h"

#define FETCH_AHEAD 640u /* bytes: a few small messages */
#define HEAD_FIRST  128u /* of a message: more than the header and information of usual ones */

/* A request's bytes. Not zeroed: it is made for each request. */
struct bytes {
	int n, piece; /* pieces; the one that the next message begins in */
	uint32_t len; /* of all */
	uint32_t at;  /* of the next message */
	size_t skip;  /* where it begins in its piece */
	struct iovec iov[NET_MAX_RANGES + 1];
};

/* A frame on its way. Not zeroed. */
struct outgoing {
	struct net_frame f;
	struct iovec data[NET_MAX_RANGES + 1], rest[NET_MAX_RANGES + 1];
	uint8_t head[NET_HEAD_MAX + NET_VLAN_LEN] __attribute__((aligned(CACHE_LINE)));
};

/* ---- the bytes of a request ------------------------------------------------------------- */

static uint32_t add_section(const struct netvsp *n, const struct nvsp_rndis *r, struct bytes *b)
{
	size_t at;

	if (unlikely(!n->tx.buf || r->section >= n->tx.sections ||
		     r->section_size > NVSP_TX_SECTION))
		return NVSP_STATUS_FAIL;
	if (unlikely(!r->section_size))
		return NVSP_STATUS_SUCCESS;
	at = (size_t)index_nospec(r->section, n->tx.sections) * NVSP_TX_SECTION;
	b->iov[b->n].iov_base = n->tx.buf->data + at;
	b->iov[b->n++].iov_len = r->section_size;
	b->len += r->section_size;
	return NVSP_STATUS_SUCCESS;
}

static uint32_t add_ranges(const struct net_chan *c, const struct vmpkt *pkt, struct bytes *b)
{
	uint32_t bytes;
	int n = vmbus_chan_iov_all(c->chan, pkt, b->iov + b->n, NET_MAX_RANGES, &bytes);

	if (unlikely(n < 0 || bytes > NET_MAX_REQUEST))
		return NVSP_STATUS_FAIL;
	b->n += n;
	b->len += bytes;
	return NVSP_STATUS_SUCCESS;
}

/* The section's bytes, then those of all ranges: NVSP_STATUS_*. */
static uint32_t collect(const struct net_chan *c, const struct net_request *q, struct bytes *b)
{
	uint32_t status = NVSP_STATUS_SUCCESS;

	b->n = b->piece = 0;
	b->len = b->at = 0;
	b->skip = 0;
	if (likely(q->r.section != NVSP_NO_SECTION))
		status = add_section(c->n, &q->r, b);
	if (status == NVSP_STATUS_SUCCESS && q->pkt.range_count)
		status = add_ranges(c, &q->pkt, b);
	if (status == NVSP_STATUS_SUCCESS && unlikely(!b->len))
		status = NVSP_STATUS_INVALID_RNDIS_PACKET;
	return status;
}

static void step_over(struct bytes *b, uint32_t len)
{
	b->at += len;
	b->skip += len;
	while (b->piece < b->n && b->skip >= b->iov[b->piece].iov_len)
		b->skip -= b->iov[b->piece++].iov_len;
}

/* Bytes [from, from + len) of what is left, which are there, into private memory. */
ALWAYS_INLINE void copy_out(const struct bytes *b, uint32_t from, uint8_t *to, uint32_t len)
{
	const struct iovec *v = &b->iov[b->piece];

	if (likely(b->skip + from + len <= v->iov_len))
		memcpy(to, (const uint8_t *)v->iov_base + b->skip + from, len);
	else
		iov_to_buf(v, b->n - b->piece, b->skip + from, to, len);
	__asm__ volatile("" ::: "memory"); /* what is checked from here on is the copy */
}

/* ---- one message --------------------------------------------------------------------------- */

/* Does the per-packet information reach beyond the first bytes? */
static bool info_is_long(const uint8_t *head)
{
	struct rndis_packet p;

	memcpy(&p, head, sizeof(p));
	return p.info_length &&
	       (uint64_t)p.info_offset + p.info_length + RNDIS_OFFSET_BASE > HEAD_FIRST;
}

/* Takes the next message apart. NULL, or what is wrong with it. */
static const char *next_message(const struct bytes *b, struct rndis_data *d)
{
	uint8_t head[RNDIS_DATA_HEAD];
	uint32_t left = b->len - b->at, have = left;

	if (likely(left >= HEAD_FIRST)) {
		have = HEAD_FIRST;
		copy_out(b, 0, head, HEAD_FIRST);
	} else {
		copy_out(b, 0, head, left);
	}
	if (unlikely(left > have && info_is_long(head))) {
		have = left < RNDIS_DATA_HEAD ? left : RNDIS_DATA_HEAD;
		copy_out(b, HEAD_FIRST, head + HEAD_FIRST, have - HEAD_FIRST);
	}
	return rndis_data_parse(d, head, have, left);
}

/* A frame in one piece, all of it in the private copy: nearly all that are not full. */
ALWAYS_INLINE void short_frame(struct outgoing *o, const uint8_t *data, uint32_t len)
{
	memcpy(o->head, data, len);
	__asm__ volatile("" ::: "memory");
	o->f = (struct net_frame){
		.head = o->head,
		.head_len = len,
		.len = len,
		.iov = o->rest,
	};
}

static int make_frame(const struct bytes *b, const struct rndis_data *d, struct outgoing *o)
{
	const struct iovec *v = &b->iov[b->piece];
	uint32_t copy = NET_HEAD_FIRST;
	int n;

	if (unlikely(d->data_length < NET_ETH_LEN || d->data_length > NET_FRAME_MAX))
		return -EINVAL;
	if (likely(d->data_length <= NET_HEAD_FIRST &&
		   b->skip + d->data_offset + d->data_length <= v->iov_len)) {
		short_frame(o, (const uint8_t *)v->iov_base + b->skip + d->data_offset,
			    d->data_length);
		return 0;
	}
	if (d->has_csum || d->has_lso) /* all headers are needed, however many there are */
		copy = NET_HEAD_MAX;
	n = iov_slice(o->data, ARRAY_SIZE(o->data), v, b->n - b->piece, b->skip + d->data_offset,
		      d->data_length);
	if (unlikely(n < 0))
		return n;
	return net_frame_init(&o->f, o->head, copy, o->data, n, o->rest);
}

static int apply_lso(struct net_frame *f, const struct netvsp *n, uint32_t lso)
{
	if (!(lso & RNDIS_LSO_V2) || RNDIS_LSO_OFFSET(lso) >= f->len)
		return -EINVAL;
	if (net_frame_make_gso(f, RNDIS_LSO_MSS(lso), lso & RNDIS_LSO_IP6) < 0)
		return -EINVAL;
	if (f->meta.gso == NET_GSO_NONE)
		return 0;
	/* Segments are frames of the guest's too. */
	return (uint32_t)f->meta.gso_size + f->meta.header_len > n->mtu + NET_ETH_LEN ? -EINVAL : 0;
}

/* The guest's transport offset is not needed (some never set it), so only nonsense is refused. */
static int apply_csum(struct net_frame *f, uint32_t csum)
{
	bool l4 = csum & (RNDIS_TX_CSUM_TCP | RNDIS_TX_CSUM_UDP);
	bool ip4 = csum & RNDIS_TX_CSUM_HEADER;

	if (RNDIS_TX_CSUM_OFFSET(csum) >= f->len)
		return -EINVAL;
	/* The header's sum is made right in any case: receivers are told that it is. */
	return l4 || ip4 ? net_frame_make_partial(f, l4, true) : 0;
}

/*
 * What the guest asks for becomes the convention of net/frame.h. Its hash is not taken over: the
 * receiver's is another one.
 */
static int apply_info(struct net_frame *f, const struct netvsp *n, const struct rndis_data *d)
{
	int err = 0;

	if (d->has_vlan && d->vlan != UINT32_MAX) { /* all ones: OpenBSD's "no tag" */
		f->meta.tagged = true;
		f->meta.vlan_tci = rndis_vlan_to_tci(d->vlan);
	} else {
		net_vlan_pop(f);
	}
	if (d->has_lso)
		err = apply_lso(f, n, d->lso);
	else if (d->has_csum)
		err = apply_csum(f, d->csum);
	if (unlikely(err))
		return err;
	if (unlikely(f->meta.gso == NET_GSO_NONE && f->len > n->mtu + NET_ETH_LEN))
		return -EINVAL;
	return f->len < NET_ETH_LEN ? -EINVAL : 0;
}

/*
 * A large frame costs what it is on the wire: cut into pieces of one byte it keeps the loop of all
 * adapters busy for as long as thousands of frames.
 */
static void charge(struct net_chan *c, const struct net_frame *f, uint32_t length)
{
	uint32_t wire = f->len;

	if (unlikely(f->meta.gso))
		net_gso_count(f, &wire);
	length += wire - f->len;
	c->budget -= length < c->budget ? length : c->budget;
}

/*
 * Asks for a message some way behind the one of @length bytes: the guest's processor had its lines
 * last, and messages in a row are mostly as long as each other. Behind the end of a section that is
 * most likely the first one of the next section.
 */
ALWAYS_INLINE void fetch(const struct bytes *b, uint32_t length)
{
	const struct iovec *v = &b->iov[b->piece];
	size_t at = b->skip + (length < FETCH_AHEAD ? FETCH_AHEAD : length);
	uintptr_t line = (uintptr_t)v->iov_base;

	line += at + 2 * CACHE_LINE < v->iov_len ? at : NVSP_TX_SECTION;
	__builtin_prefetch((const void *)line);
	__builtin_prefetch((const void *)(line + CACHE_LINE));
	__builtin_prefetch((const void *)(line + 2 * CACHE_LINE));
}

/* The next message of the request, to the switch: NVSP_STATUS_*. */
static uint32_t send_next(struct net_chan *c, struct bytes *b)
{
	struct netvsp *n = c->n;
	struct rndis_data d;
	struct outgoing o;

	if (unlikely(next_message(b, &d)))
		return NVSP_STATUS_INVALID_RNDIS_PACKET;
	if (unlikely(make_frame(b, &d, &o) < 0 || apply_info(&o.f, n, &d) < 0))
		return NVSP_STATUS_FAIL;
	fetch(b, d.length);
	n->count.tx_frames++;
	charge(c, &o.f, d.length);
	vsw_input(n->port, &o.f); /* dropped or not is not the sender's business */
	step_over(b, d.length);
	return NVSP_STATUS_SUCCESS;
}

/* ---- completions ------------------------------------------------------------------------------
 */

static void kept(struct net_chan *c, uint64_t id, const struct nvsp_message *m, uint32_t len)
{
	if (c->owed.is) { /* against the contract: rather lose the channel than an answer */
		vmbus_chan_fault(c->chan, "more answers than requests");
		return;
	}
	c->owed.is = true;
	c->owed.id = id;
	c->owed.len = len;
	c->owed.m = *m;
}

void net_complete(struct net_chan *c, uint64_t id, const struct nvsp_message *m, uint32_t len)
{
	struct nvsp_message padded = { 0 };
	uint32_t size = 0;

	if (len) {
		memcpy(&padded, m, len < sizeof(padded) ? len : sizeof(padded));
		size = c->n->size;
	}
	if (unlikely(c->owed.is ||
		     vmbus_chan_send_completion(c->chan, id, &padded, size) == -EAGAIN))
		kept(c, id, &padded, size);
}

bool net_complete_owed(struct net_chan *c)
{
	int tries;

	for (tries = 0; unlikely(c->owed.is) && tries < 2; tries++) {
		if (vmbus_chan_send_completion(c->chan, c->owed.id, &c->owed.m, c->owed.len) !=
		    -EAGAIN)
			c->owed.is = false;
		else if (vmbus_chan_want_space(c->chan, VMPKT_HEADER + NVSP_SIZE + 8))
			return false;
	}
	return !c->owed.is;
}

ALWAYS_INLINE void finish(struct net_chan *c, const struct vmpkt *pkt, uint32_t status)
{
	struct nvsp_message m;

	if (unlikely(!(pkt->flags & VMPKT_FLAG_COMPLETION_REQUESTED)))
		return;
	memset(&m, 0, sizeof(m));
	m.type = NVSP_SEND_RNDIS_PACKET_COMPLETE;
	m.rndis_complete.status = status;
	if (unlikely(c->owed.is ||
		     vmbus_chan_send_completion(c->chan, pkt->trans_id, &m, c->n->size) == -EAGAIN))
		kept(c, pkt->trans_id, &m, c->n->size);
}

/* ---- data requests ------------------------------------------------------------------------------
 */

/* Until the port may send again, or others had their turn, everything stays where it is. */
static bool must_wait(struct net_chan *c)
{
	uint64_t ns;

	if (unlikely(!c->budget))
		return true; /* frames were sent, so there is a next drain */
	ns = vsw_port_wait_ns(c->n->port);

	if (likely(!ns))
		return false;
	loop_timer_arm(vmbus_chan_loop(c->chan), &c->timer, ns);
	return true;
}

/* All frames from where the request stands: false = it is held. */
static bool send_frames(struct net_chan *c)
{
	struct net_request *q = &c->request;
	uint32_t status;
	struct bytes b;

	status = collect(c, q, &b);
	if (unlikely(q->at && status == NVSP_STATUS_SUCCESS))
		step_over(&b, q->at);
	while (status == NVSP_STATUS_SUCCESS && b.at < b.len) {
		if (unlikely(must_wait(c))) {
			q->at = b.at;
			q->held = true;
			return false;
		}
		status = likely(q->frames++ < NET_MAX_FRAMES) ? send_next(c, &b) : NVSP_STATUS_FAIL;
	}
	q->held = false;
	c->n->count.tx_rejected += status != NVSP_STATUS_SUCCESS;
	finish(c, &q->pkt, status);
	return true;
}

bool net_tx_resume(struct net_chan *c)
{
	if (unlikely(c->n->state != NET_OPERATIONAL || !c->n->port)) {
		c->request.held = false;
		c->n->count.tx_rejected++;
		finish(c, &c->request.pkt, NVSP_STATUS_FAIL);
		return true;
	}
	return send_frames(c);
}

static void data_request(struct net_chan *c, const struct vmpkt *pkt, const struct nvsp_rndis *r)
{
	struct netvsp *n = c->n;

	n->count.tx_requests++;
	if (unlikely(n->state != NET_OPERATIONAL && n->state != NET_HALTED)) {
		n->count.tx_rejected++;
		finish(c, pkt, NVSP_STATUS_FAIL);
		return;
	}
	/* Linux halts an adapter that is in use, and complains when what it sends behind that
	 * fails. */
	if (unlikely(!n->filter || !n->port)) {
		n->count.tx_dropped++;
		finish(c, pkt, NVSP_STATUS_SUCCESS);
		return;
	}
	c->request.pkt = *pkt;
	c->request.r = *r;
	c->request.at = 0;
	c->request.frames = 0;
	send_frames(c);
}

/* ---- control requests
 * ---------------------------------------------------------------------------- */

static bool control_allowed(const struct net_chan *c)
{
	enum net_state s = c->n->state;

	return !c->sub && (s == NET_READY || s == NET_OPERATIONAL || s == NET_HALTED);
}

static uint32_t control_request(struct net_chan *c, const struct net_request *q)
{
	uint8_t msg[RNDIS_CONTROL_MAX];
	struct rndis_header h;
	struct bytes b;
	uint32_t status;

	if (!control_allowed(c))
		return NVSP_STATUS_FAIL;
	status = collect(c, q, &b);
	if (status != NVSP_STATUS_SUCCESS)
		return status;
	if (b.len > sizeof(msg))
		return NVSP_STATUS_FAIL;
	if (b.len < sizeof(h))
		return NVSP_STATUS_INVALID_RNDIS_PACKET;
	copy_out(&b, 0, msg, b.len);
	memcpy(&h, msg, sizeof(h));
	if (h.type == RNDIS_PACKET)
		return NVSP_STATUS_INVALID_RNDIS_PACKET;
	return net_rndis_control(c->n, msg, b.len);
}

static NOINLINE void control(struct net_chan *c, const struct vmpkt *pkt,
			     const struct nvsp_rndis *r)
{
	const struct net_request q = { .pkt = *pkt, .r = *r };

	finish(c, pkt, control_request(c, &q));
}

void net_tx_request(struct net_chan *c, const struct vmpkt *pkt, const struct nvsp_rndis *r)
{
	if (likely(r->channel_type == NVSP_DATA)) {
		data_request(c, pkt, r);
	} else if (r->channel_type == NVSP_CONTROL) {
		control(c, pkt, r);
	} else {
		c->n->count.tx_rejected++;
		finish(c, pkt, NVSP_STATUS_FAIL);
	}
}
