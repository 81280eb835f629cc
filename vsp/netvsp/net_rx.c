/* SPDX-License-Identifier: MIT */
/*
 * What the guest gets: a frame becomes one RNDIS message in one sub-allocation, or a row of them
 * when it is a large one and the guest takes those, and a burst becomes one transfer-pages packet
 * for each channel (spec: netvsc, section 6; rndis, section 5).
 *
 * The receive buffer is only ever written: nothing that the guest makes of it comes back to us.
 */
#include "vsp/netvsp/net_priv.h"

#include <errno.h>

/* ---- what goes in front of a frame --------------------------------------------------------- */

#define MAX_INFO 4u /* fragment, checksum, tag, hash */

struct info {
	uint32_t n;
	struct {
		uint32_t type, value;
	} of[MAX_INFO];
};

ALWAYS_INLINE void add_info(struct info *i, uint32_t type, uint32_t value)
{
	i->of[i->n].type = type;
	i->of[i->n++].value = value;
}

ALWAYS_INLINE void put64(uint8_t *at, uint32_t low, uint32_t high)
{
	uint64_t v = (uint64_t)high << 32 | low;

	memcpy(at, &v, sizeof(v));
}

#define PACKET_LEN ((uint32_t)sizeof(struct rndis_packet))
#define INFO_LEN   ((uint32_t)sizeof(struct rndis_info_u32))
_Static_assert(PACKET_LEN + MAX_INFO * INFO_LEN <= NVSP_RX_HEADROOM - NET_VLAN_LEN,
	       "headers fit before the data");

/*
 * The message's header and elements, for @len bytes of frame at @data. Without elements
 * their offset is 0: guests complain of another one.
 */
ALWAYS_INLINE void put_header(uint8_t *at, uint32_t data, uint32_t len, const struct info *info)
{
	uint32_t info_len = info->n * INFO_LEN, i, zero = 0;

	put64(at, RNDIS_PACKET, data + len);
	put64(at + 8, data - RNDIS_OFFSET_BASE, len);
	put64(at + 16, 0, 0);
	put64(at + 24, 0, info_len ? PACKET_LEN - RNDIS_OFFSET_BASE : 0);
	put64(at + 32, info_len, 0);
	memcpy(at + 40, &zero, sizeof(zero));
	at += PACKET_LEN;
	for (i = 0; i < info->n; i++, at += INFO_LEN) {
		put64(at, INFO_LEN, info->of[i].type);
		put64(at + 8, sizeof(struct rndis_info), info->of[i].value);
	}
}

/* ---- checksums ---------------------------------------------------------------------------------
 */

struct l4 {
	uint8_t version; /* of IP */
	bool tcp, udp;
};

static struct l4 l4_of(const struct net_frame *f)
{
	struct net_frame copy;

	if (unlikely(!f->parsed)) {
		copy = *f; /* the frame is only borrowed */
		net_frame_parse(&copy);
		f = &copy;
	}
	return (struct l4){
		.version = f->proto.version,
		.tcp = f->proto.l4 && f->proto.protocol == 6,
		.udp = f->proto.l4 && f->proto.protocol == 17,
	};
}

/* May the checksum of @l be said to be good? */
static bool may_tell(const struct net_offload *o, const struct l4 *l)
{
	if (l->tcp)
		return l->version == 4 ? o->rx_tcp4 : o->rx_tcp6;
	if (l->udp)
		return l->version == 4 ? o->rx_udp4 : o->rx_udp6;
	return false;
}

/*
 * The checksum element, 0 = none. *@complete: the field holds a partial sum, and this guest wants a
 * whole one.
 */
static uint32_t csum_info(const struct netvsp *n, const struct net_frame *f,
			  const struct net_meta *m, bool *complete)
{
	uint32_t bits;
	struct l4 l;

	if (m->csum == NET_CSUM_UNKNOWN)
		return 0;
	l = l4_of(f);
	*complete = m->csum == NET_CSUM_PARTIAL;
	if (!may_tell(&n->offload, &l))
		return 0;
	bits = l.tcp ? RNDIS_RX_CSUM_TCP_GOOD : RNDIS_RX_CSUM_UDP_GOOD;
	if (l.version == 4 && n->offload.rx_ip4)
		bits |= RNDIS_RX_CSUM_IP_GOOD;
	if (*complete && n->caps & NVSP_CAP_PARTIAL_CSUM && !n->cfg.no_offloads) {
		*complete = false;
		bits |= RNDIS_RX_CSUM_L4_INVALID;
	}
	return bits;
}

/* ---- copying --------------------------------------------------------------------------------- */

/* Where the next byte of a frame comes from. */
struct source {
	const uint8_t *head;
	uint32_t head_left;
	const struct iovec *iov;
	size_t skip;   /* bytes of *iov that are done with */
	bool summing;  /* the transport checksum is made on the way */
	uint32_t sum;  /* so far */
	uint32_t past; /* bytes that are in it */
};

/* The next @len bytes of the payload's pieces, all of which are there. */
static void copy_pieces(struct source *s, uint8_t *to, uint32_t len)
{
	while (len) {
		size_t take = s->iov->iov_len - s->skip;
		const uint8_t *from = (const uint8_t *)s->iov->iov_base + s->skip;

		if (take > len)
			take = len;
		if (s->summing) {
			s->sum = net_csum_join(s->sum, net_csum_copy(0, to, from, take), s->past);
			s->past += (uint32_t)take;
		} else {
			memcpy(to, from, take);
		}
		to += take;
		len -= (uint32_t)take;
		s->skip += take;
		if (s->skip == s->iov->iov_len) {
			s->iov++;
			s->skip = 0;
		}
	}
}

ALWAYS_INLINE void copy_next(struct source *s, uint8_t *to, uint32_t len)
{
	uint32_t take = s->head_left < len ? s->head_left : len;

	if (likely(take)) {
		memcpy(to, s->head, take);
		s->head += take;
		s->head_left -= take;
	}
	if (len > take)
		copy_pieces(s, to + take, len - take);
}

/* The headers' part of the checksum; the field in it has the pseudo header's. */
static void begin_sum(struct source *s, const struct net_frame *f, const struct net_meta *m)
{
	s->summing = true;
	s->past = f->head_len - m->csum_start;
	s->sum = net_csum_add(0, f->head + m->csum_start, s->past);
}

/* Everything has been copied: the checksum goes into the frame at @to. */
static void end_sum(const struct source *s, const struct net_meta *m, uint8_t *to)
{
	uint16_t sum = (uint16_t)~net_csum_fold(s->sum);

	if (!sum && m->csum_offset == 6) /* of UDP, where 0 means that there is none */
		sum = 0xffff;
	memcpy(to + m->csum_start + m->csum_offset, &sum, sizeof(sum));
}

/* ---- the batch ------------------------------------------------------------------------------- */

static uint32_t max_ranges(const struct net_chan *c)
{
	uint32_t max = c->n->caps & NVSP_CAP_RSC ? NVSP_RX_RANGES_RSC : NVSP_RX_RANGES;

	return c->max_ranges < max ? c->max_ranges : max;
}

ALWAYS_INLINE void add_range(struct net_chan *c, uint16_t slot, uint32_t len)
{
	struct vmpkt_xfer_range *r = &c->range[c->nr_ranges];

	if (!c->nr_ranges)
		c->first = c->last = slot;
	r->byte_count = len;
	r->byte_offset = slot * c->n->rx.size;
	rxbuf_chain(&c->n->rx, c->first, c->last, slot, (uint8_t)c->sub);
	c->last = slot;
	c->nr_ranges++;
}

bool net_rx_emit(struct net_chan *c)
{
	static const struct nvsp_message m = {
		.type = NVSP_SEND_RNDIS_PACKET,
		.rndis = { NVSP_DATA, NVSP_NO_SECTION, 0 },
	};
	struct netvsp *n = c->n;
	int err = 0, tries;

	if (unlikely(c->generation != n->rx.generation)) {
		c->nr_ranges = 0; /* the buffer has gone, and all that was in it */
		return true;
	}
	for (tries = 0; tries < 2; tries++) {
		err = vmbus_chan_send_xfer_pages(c->chan, VMPKT_FLAG_COMPLETION_REQUESTED, c->first,
						 n->rx.id, c->range, c->nr_ranges, &m, n->size);
		if (likely(err != -EAGAIN))
			break;
		if (vmbus_chan_want_space(c->chan,
					  VMPKT_RANGES_AT + 8 * c->nr_ranges + NVSP_SIZE + 8))
			return false;
	}
	if (unlikely(err == -EAGAIN))
		return false;
	if (unlikely(err))
		rxbuf_complete(&n->rx, c->first, (uint8_t)c->sub); /* the channel is broken */
	else
		n->count.rx_packets++;
	c->nr_ranges = 0;
	return true;
}

/* Are there @k sub-allocations for a frame of port @from, and is there room in @c's batch? */
static enum vsw_drop have_room(struct net_chan *c, uint32_t k, uint32_t from)
{
	struct rxbuf *r = &c->n->rx;
	uint32_t max = max_ranges(c);

	if (unlikely(k > r->free))
		return VSW_DROP_NO_BUFFER;
	if (unlikely(!rxbuf_may(r, from, k)))
		return VSW_DROP_SHARE;
	if (unlikely(k > max))
		return VSW_DROP_MTU;
	if (unlikely(c->generation != r->generation)) {
		c->generation = r->generation;
		c->nr_ranges = 0;
	}
	if (unlikely(c->nr_ranges + k > max) && !net_rx_emit(c))
		return VSW_DROP_RING_FULL;
	return VSW_FORWARDED;
}

/* ---- a frame ------------------------------------------------------------------------------------
 */

/* @data: where in the sub-allocation. */
static void put_whole(struct net_chan *c, struct source *s, const struct net_frame *f,
		      const struct net_meta *m, const struct info *info, uint32_t data,
		      uint32_t from)
{
	uint16_t slot = rxbuf_take(&c->n->rx, from);
	uint8_t *at = rxbuf_ptr(&c->n->rx, slot);

	copy_next(s, at + data, f->len);
	if (unlikely(s->summing))
		end_sum(s, m, at + data);
	put_header(at, data, f->len, info);
	add_range(c, slot, data + f->len);
}

static uint32_t fragment(uint16_t packet, uint32_t i, uint32_t k)
{
	uint32_t flags = RNDIS_FRAGMENT_MULTI;

	if (!i)
		flags |= RNDIS_FRAGMENT_FIRST;
	else if (i == k - 1)
		flags |= RNDIS_FRAGMENT_LAST;
	return RNDIS_FRAGMENT_VERSION | flags << 8 | (uint32_t)packet << 16;
}

/* In @k pieces of @room bytes; only the first has the elements of the frame. */
static void put_fragments(struct net_chan *c, struct source *s, const struct net_frame *f,
			  const struct net_meta *m, struct info *info, uint32_t k, uint32_t room,
			  uint32_t from)
{
	struct netvsp *n = c->n;
	uint32_t left = f->len, i;
	uint8_t *first = NULL;

	n->rsc_packet++;
	for (i = 0; i < k; i++) {
		uint32_t len = left < room ? left : room;
		uint16_t slot = rxbuf_take(&n->rx, from);
		uint8_t *at = rxbuf_ptr(&n->rx, slot);

		if (!i)
			first = at;
		else
			info->n = 1;
		info->of[0].value = fragment(n->rsc_packet, i, k);
		copy_next(s, at + NVSP_RX_HEADROOM, len);
		put_header(at, NVSP_RX_HEADROOM, len, info);
		add_range(c, slot, NVSP_RX_HEADROOM + len);
		left -= len;
	}
	if (s->summing)
		end_sum(s, m, first + NVSP_RX_HEADROOM);
	n->count.rx_fragments += k;
}

static bool takes_large(const struct netvsp *n, const struct net_meta *m)
{
	return (m->gso == NET_GSO_TCP4 && n->offload.rsc4) ||
	       (m->gso == NET_GSO_TCP6 && n->offload.rsc6);
}

/* Is the field of a checksum that has to be completed where it can be reached? */
static bool completable(const struct net_frame *f, const struct net_meta *m, uint32_t room)
{
	uint32_t end = (uint32_t)m->csum_start + m->csum_offset + 2;

	return end <= f->head_len && end <= room;
}

/* A full frame with the tag in it, for a guest that wants it there. */
static bool has_tag(const struct net_frame *f)
{
	return be16_at(f->head + 2 * NET_MAC_LEN) == NET_ETHERTYPE_VLAN;
}

static enum vsw_drop deliver(void *ctx, const struct net_frame *f, const struct net_meta *m,
			     uint32_t from)
{
	struct netvsp *n = ctx;
	struct source s = { .head = f->head, .head_left = f->head_len, .iov = f->iov };
	struct info info = { .n = 0 };
	uint32_t room, data = NVSP_RX_HEADROOM, k = 1, hash, bits;
	bool hashed = false, complete = false;
	struct net_chan *c;
	enum vsw_drop why;

	if (unlikely(n->state != NET_OPERATIONAL || !n->rx.buf))
		return VSW_DROP_NOT_READY;
	room = n->rx.size - NVSP_RX_HEADROOM - NVSP_RX_TAIL;
	if (unlikely(f->len > n->longest)) {
		if (takes_large(n, m))
			k = (f->len + room - 1) / room;
		else if (has_tag(f) && f->len <= n->longest + NET_VLAN_LEN)
			data -= NET_VLAN_LEN;
		else
			return VSW_DROP_MTU;
	}
	c = net_steer(n, f, &hash, &hashed);
	why = have_room(c, k, from);
	if (unlikely(why))
		return why;
	if (unlikely(k > 1))
		add_info(&info, (uint32_t)RNDIS_INFO_FRAGMENT, 0);
	bits = csum_info(n, f, m, &complete);
	if (bits)
		add_info(&info, RNDIS_INFO_CSUM, bits);
	if (m->tagged)
		add_info(&info, RNDIS_INFO_8021Q, rndis_vlan_from_tci(m->vlan_tci));
	if (hashed)
		add_info(&info, RNDIS_INFO_HASH, hash);
	if (unlikely(complete)) {
		if (!completable(f, m, room))
			return VSW_DROP_MALFORMED;
		begin_sum(&s, f, m);
	}
	if (likely(k == 1))
		put_whole(c, &s, f, m, &info, data, from);
	else
		put_fragments(c, &s, f, m, &info, k, room, from);
	n->touched |= 1u << c->sub;
	n->count.rx_frames++;
	return VSW_FORWARDED;
}

static void flush(void *ctx)
{
	struct netvsp *n = ctx;

	while (n->touched) {
		struct net_chan *c = &n->chan[__builtin_ctz(n->touched)];

		n->touched &= n->touched - 1;
		if (c->open && c->nr_ranges)
			net_rx_emit(c);
		if (c->open)
			vmbus_chan_flush(c->chan);
	}
}

/* ---- the packet filter --------------------------------------------------------------------------
 */

static bool in_list(const struct netvsp *n, const uint8_t *dst)
{
	uint32_t i;

	for (i = 0; i < n->multicast && i < ARRAY_SIZE(n->multicast_list); i++)
		if (!memcmp(n->multicast_list[i], dst, NET_MAC_LEN))
			return true;
	return false;
}

static bool wants(void *ctx, const uint8_t *dst)
{
	const struct netvsp *n = ctx;
	uint32_t filter = n->filter;

	if (unlikely(n->state != NET_OPERATIONAL))
		return true; /* deliver() has the better reason */
	if (unlikely(filter & RNDIS_FILTER_PROMISCUOUS))
		return true;
	if (likely(!net_mac_multicast(dst)))
		return filter & RNDIS_FILTER_DIRECTED && net_mac_u64(dst) == net_mac_u64(n->mac);
	if (net_mac_u64(dst) == 0xffffffffffffull)
		return filter & RNDIS_FILTER_BROADCAST;
	if (filter & RNDIS_FILTER_ALL_MULTICAST)
		return true;
	return filter & RNDIS_FILTER_MULTICAST && in_list(n, dst);
}

const struct vsw_port_ops net_port_ops = {
	.deliver = deliver,
	.flush = flush,
	.changed = net_rndis_changed,
	.wants = wants,
};

/* ---- control messages, completions -------------------------------------------------------------
 */

static void control_completed(struct net_chan *c, uint32_t slot)
{
	struct netvsp *n = c->n;

	if (c->sub || n->control_free & 1u << slot) {
		n->count.ignored++;
		return;
	}
	n->control_free |= 1u << slot;
	net_rndis_push(n);
}

void net_rx_completed(struct net_chan *c, const struct vmpkt *pkt)
{
	struct netvsp *n = c->n;

	if (unlikely(!n->rx.buf))
		return; /* revoked: the guest clears up */
	if (unlikely(pkt->trans_id < n->rx.reserved && pkt->trans_id < NVSP_RX_CONTROL))
		control_completed(c, (uint32_t)pkt->trans_id);
	else if (unlikely(!rxbuf_complete(&n->rx, pkt->trans_id, (uint8_t)c->sub)))
		n->count.ignored++;
}

int net_rx_control(struct netvsp *n, const void *msg, uint32_t len)
{
	static const struct nvsp_message m = {
		.type = NVSP_SEND_RNDIS_PACKET,
		.rndis = { NVSP_CONTROL, NVSP_NO_SECTION, 0 },
	};
	struct net_chan *c = &n->chan[0];
	struct vmpkt_xfer_range range;
	uint32_t slot;
	int err;

	if (!n->rx.buf || !c->open || len > n->rx.size)
		return -EMSGSIZE;
	if (!n->control_free)
		return -EAGAIN;
	slot = (uint32_t)__builtin_ctz(n->control_free);
	range.byte_count = len;
	range.byte_offset = slot * n->rx.size;
	memcpy(rxbuf_ptr(&n->rx, (uint16_t)slot), msg, len);
	err = vmbus_chan_send_xfer_pages(c->chan, VMPKT_FLAG_COMPLETION_REQUESTED, slot, n->rx.id,
					 &range, 1, &m, n->size);
	if (err == -EAGAIN) {
		vmbus_chan_want_space(c->chan, VMPKT_RANGES_AT + 8 + NVSP_SIZE + 8);
		return err;
	}
	n->control_free &= ~(1u << slot);
	vmbus_device_kick(n->dev, 0); /* who knows from where this was called */
	return 0;
}
