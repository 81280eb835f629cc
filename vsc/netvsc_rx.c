/* SPDX-License-Identifier: MIT */
/*
 * Packets in (spec: netvsc, section 6; rndis, sections 5.2 to 5.4; hostile cases C18 to C24). A
 * packet names places in the receive buffer; of each, the header is copied, then checked, and
 * nothing but the frame's bytes is left there. A packet is given back, with the verdict, after the
 * last of its frames.
 */
#include "vsc/netvsc_priv.h"

#define FETCH_AHEAD 8u

/* ---- giving back ----------------------------------------------------------------------- */

bool nv_rx_give_back(struct nv_queue *q)
{
	uint32_t i, words[2] = { NVSP_SEND_RNDIS_PACKET_COMPLETE, 0 };
	int err = 0;

	for (i = 0; i < q->nr_done; i++) {
		words[1] = q->done[i].status;
		err = vmbus_chan_send_completion(q->chan, q->done[i].id, words, sizeof(words));
		if (unlikely(err))
			break;
	}
	q->nr_done -= i;
	q->cramped = err != 0;
	if (likely(!err))
		return true;
	memmove(q->done, q->done + i, q->nr_done * sizeof(q->done[0]));
	return false;
}

static void done(struct nv_queue *q)
{
	q->done[q->nr_done++] = (struct nv_done){ q->pkt.trans_id,
						  q->bad ? NVSP_STATUS_FAIL : NVSP_STATUS_SUCCESS };
	q->live = false;
}

/* ---- one frame, or a piece of it ----------------------------------------------------------- */

struct gather {
	bool open; /* fragments are being collected */
	bool bad;  /* one of them was */
};

static void drop(struct nv_queue *q)
{
	q->bad = true;
	NV_BUMP(q->stats.rx_bad);
}

static uint8_t csum_of(const struct netvsc *n, uint32_t v)
{
	if (!(v & (RNDIS_RX_CSUM_TCP_GOOD | RNDIS_RX_CSUM_UDP_GOOD)))
		return NET_CSUM_UNKNOWN;
	return v & RNDIS_RX_CSUM_L4_INVALID && n->info.trusted_csum ? NET_CSUM_PARTIAL
								    : NET_CSUM_GOOD;
}

static void frame_begin(const struct netvsc *n, struct netvsc_rx *f, const struct rndis_data *d)
{
	uint32_t stale = RNDIS_RX_CSUM_IP_GOOD | RNDIS_RX_CSUM_IP_INVALID;

	f->iovcnt = 0;
	f->len = 0;
	f->ip4_stale = false;
	f->meta = (struct net_meta){ .hash = d->hash, .hash_valid = d->has_hash };
	if (d->has_csum) {
		f->meta.csum = csum_of(n, d->csum);
		f->ip4_stale = (d->csum & stale) == stale;
	}
	if (d->has_vlan && d->vlan != 0xffffffffu) {
		f->meta.tagged = true;
		f->meta.vlan_tci = rndis_vlan_to_tci(d->vlan);
	}
}

static bool frame_add(struct netvsc_rx *f, uint8_t *data, uint32_t len)
{
	if (unlikely(f->iovcnt == (int)NETVSC_RX_IOV || len > NET_FRAME_MAX - f->len))
		return false;
	f->iov[f->iovcnt++] = (struct iovec){ data, len };
	f->len += len;
	return true;
}

static bool frame_end(struct nv_queue *q, struct netvsc_rx *f)
{
	if (unlikely(f->len < NET_ETH_LEN || f->iov[0].iov_len < NET_ETH_LEN)) {
		drop(q);
		return false;
	}
	f->large = f->len > q->n->info.mtu + NET_ETH_LEN + NET_VLAN_LEN;
	NV_BUMP(q->stats.rx_frames);
	NV_ADD(q->stats.rx_bytes, f->len);
	return true;
}

/* A piece of a large frame. True: the last one, and the frame is whole. */
static bool fragment(struct nv_queue *q, struct gather *g, struct netvsc_rx *f,
		     const struct rndis_data *d, uint8_t *data)
{
	uint32_t flags = d->fragment >> 8 & 0xff;

	NV_BUMP(q->stats.rx_fragments);
	if (flags & RNDIS_FRAGMENT_FIRST) {
		if (g->open) /* the one before has no end */
			drop(q);
		*g = (struct gather){ .open = true };
		frame_begin(q->n, f, d);
	} else if (!g->open) {
		drop(q);
		return false;
	}
	if (!g->bad && !frame_add(f, data, d->data_length))
		g->bad = true;
	if (!(flags & RNDIS_FRAGMENT_LAST))
		return false;
	g->open = false;
	if (!g->bad)
		return frame_end(q, f);
	drop(q);
	return false;
}

/* What is wrong with it counts against the frame that is being gathered, if one is. */
static bool broken(struct nv_queue *q, struct gather *g)
{
	if (g->open)
		g->bad = true;
	else
		drop(q);
	return false;
}

/* Private copy of what the elements of the message at @msg need, at most RNDIS_DATA_HEAD bytes. */
static uint32_t copy_head(uint8_t *head, const uint8_t *msg, uint32_t len)
{
	uint32_t have = MIN(len, NV_HEAD_FIRST);
	struct rndis_packet p;

	snapshot(head, msg, have);
	if (have < NV_HEAD_FIRST)
		return have;
	memcpy(&p, head, sizeof(p));
	if (likely((uint64_t)p.info_offset + p.info_length + RNDIS_OFFSET_BASE <= have))
		return have;
	len = MIN(len, RNDIS_DATA_HEAD);
	snapshot(head + have, msg + have, len - have);
	return len;
}

static bool message(struct nv_queue *q, struct gather *g, struct netvsc_rx *f, uint8_t *msg,
		    uint32_t len)
{
	uint8_t head[RNDIS_DATA_HEAD];
	uint32_t type, have = copy_head(head, msg, len);
	struct rndis_data d;

	memcpy(&type, head, sizeof(type));
	if (unlikely(type != RNDIS_PACKET)) {
		if (q->index || !nv_control_in(q->n, msg, len))
			NV_BUMP(q->stats.ignored);
		return false;
	}
	if (unlikely(rndis_data_parse(&d, head, have, len) != NULL))
		return broken(q, g);
	if (d.has_fragment && d.fragment >> 8 & RNDIS_FRAGMENT_MULTI) {
		if ((d.fragment & 0xff) != RNDIS_FRAGMENT_VERSION)
			return broken(q, g);
		return fragment(q, g, f, &d, msg + d.data_offset);
	}
	if (unlikely(g->open)) { /* without an end, and this is not it */
		drop(q);
		*g = (struct gather){ false, false };
	}
	frame_begin(q->n, f, &d);
	if (!frame_add(f, msg + d.data_offset, d.data_length))
		return broken(q, g);
	return frame_end(q, f);
}

/* Asks for the header of range @i: what the root has written was in its cache last. */
ALWAYS_INLINE void fetch(const struct nv_queue *q, uint32_t i)
{
	struct vmpkt_xfer_range r;

	if (i >= q->pkt.range_count)
		return;
	memcpy(&r, q->pkt.ranges + i * sizeof(r), sizeof(r));
	if (likely(r.byte_offset < q->n->rx_len)) {
		__builtin_prefetch(q->n->rx + r.byte_offset);
		__builtin_prefetch(q->n->rx + r.byte_offset + CACHE_LINE);
	}
}

/* The next frames of the packet at hand. */
static int frames(struct nv_queue *q, struct netvsc_rx *out, int max)
{
	struct netvsc *n = q->n;
	struct gather g = { false, false };
	struct vmpkt_xfer_range r;
	int got = 0;

	while (got < max && q->range < q->pkt.range_count) {
		fetch(q, q->range + FETCH_AHEAD);
		memcpy(&r, q->pkt.ranges + q->range++ * sizeof(r), sizeof(r));
		if (unlikely(r.byte_count < sizeof(struct rndis_header) ||
			     r.byte_count > n->rx_size || r.byte_offset > n->rx_len ||
			     r.byte_count > n->rx_len - r.byte_offset))
			broken(q, &g);
		else if (message(q, &g, &out[got], n->rx + r.byte_offset, r.byte_count))
			got++;
	}
	if (q->range < q->pkt.range_count)
		return got;
	if (g.open)
		drop(q);
	done(q);
	return got;
}

/* ---- packets ----------------------------------------------------------------------------------
 */

static void begin_packet(struct nv_queue *q)
{
	struct nvsp_message m = { 0 };

	memcpy(&m, q->pkt.payload, MIN(q->pkt.payload_len, 16u));
	q->live = true;
	q->bad = false;
	q->range = 0;
	for (uint32_t i = 0; i < FETCH_AHEAD; i++)
		fetch(q, i);
	NV_BUMP(q->stats.rx_packets);
	if (likely(q->pkt.xfer_set_id == NVSP_RX_BUFFER_ID && q->n->rx_len &&
		   m.type == NVSP_SEND_RNDIS_PACKET))
		return;
	drop(q);
	done(q);
}

/* Completions and in-band messages. */
static void other_packet(struct nv_queue *q)
{
	uint32_t type = 0;

	if (q->pkt.payload_len >= sizeof(type))
		memcpy(&type, q->pkt.payload, sizeof(type));
	if (q->pkt.type == VMPKT_COMPLETION) {
		if (nv_tx_completed(q, &q->pkt) || (!q->index && nv_call_completed(q->n, &q->pkt)))
			return;
	} else if (q->pkt.type == VMPKT_INBAND && !q->index &&
		   type == NVSP_SEND_INDIRECTION_TABLE &&
		   nv_send_table(q->n, q->pkt.payload, q->pkt.payload_len)) {
		return;
	}
	NV_BUMP(q->stats.ignored);
}

/* True: a packet with frames is at hand. */
static bool next_packet(struct nv_queue *q)
{
	int got;

	while (!q->live) {
		if (q->nr_done == NV_DONE)
			return false;
		got = vmbus_chan_recv(q->chan, &q->pkt);
		if (unlikely(got < 0))
			nv_fail(q->n, -EIO, "the root broke the ring");
		if (got <= 0)
			return false;
		if (q->pkt.type == VMPKT_XFER_PAGES)
			begin_packet(q);
		else
			other_packet(q);
	}
	return true;
}

int netvsc_rx(struct netvsc *n, uint32_t qi, struct netvsc_rx *out, int max)
{
	struct nv_queue *q = &n->queue[qi];
	int got = 0;

	if (unlikely(nv_failed(n)))
		return nv_failed(n);
	/* A root that does not take them back gets no more to give (C24). */
	if (unlikely(q->nr_done == NV_DONE) && !nv_rx_give_back(q))
		return 0;
	while (got < max && next_packet(q))
		got += frames(q, out + got, max - got);
	vmbus_chan_recv_done(q->chan);
	if (unlikely(!got && q->nr_done)) /* nobody holds anything of them */
		netvsc_rx_done(n, qi);
	if (unlikely(++q->looks % NV_ALIVE == 0))
		nv_check_alive(q);
	return got || !nv_failed(n) ? got : nv_failed(n);
}

void netvsc_rx_done(struct netvsc *n, uint32_t qi)
{
	struct nv_queue *q = &n->queue[qi];

	if (q->nr_done)
		nv_rx_give_back(q);
	vmbus_chan_flush(q->chan);
}

void nv_rx_discard(struct nv_queue *q)
{
	struct netvsc_rx frame;

	while (!nv_failed(q->n) && next_packet(q)) {
		while (q->live)
			if (frames(q, &frame, 1))
				drop(q);
		if (q->nr_done == NV_DONE && !nv_rx_give_back(q))
			break;
	}
	nv_rx_give_back(q);
	vmbus_chan_recv_done(q->chan);
	vmbus_chan_flush(q->chan);
}
