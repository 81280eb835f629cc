/* SPDX-License-Identifier: MIT */
/*
 * A channel's drain: who gets which packet, and when none is taken.
 *
 * Nothing is read from the guest that could not be answered: first what is owed goes out, then as
 * many packets are taken as the ring has room for answers. What the port's bandwidth does not let
 * through stays in the ring, and with it whatever the guest wrote behind it.
 */
#include "vsp/netvsp/net_priv.h"

/* Bytes of ring: an RNDIS answer by transfer pages and the completion of what it answers. */
#define ANSWER_ROOM 144u

static void wait_is_over(struct loop_timer *t)
{
	struct net_chan *c = container_of(t, struct net_chan, timer);

	vmbus_device_kick(c->n->dev, c->sub);
}

/* Half of the ring is for one packet of frames, so that the next can be made meanwhile. */
static uint16_t ranges_for(uint32_t ring)
{
	uint32_t n = ring / 2 / (uint32_t)sizeof(struct vmpkt_xfer_range);

	if (n < 24)
		return 8;
	return (uint16_t)(n - 16 < NVSP_RX_RANGES_RSC ? n - 16 : NVSP_RX_RANGES_RSC);
}

void net_chan_opened(struct net_chan *c)
{
	struct vmbus_chan_stats st;

	vmbus_chan_stats(c->chan, &st);
	c->max_ranges = ranges_for(st.out_size);
	c->nr_ranges = 0;
	c->request.held = false;
	c->owed.is = false;
	c->timer = (struct loop_timer){ .fire = wait_is_over };
}

void net_chan_closed(struct net_chan *c)
{
	struct netvsp *n = c->n;

	loop_timer_cancel(vmbus_chan_loop(c->chan), &c->timer);
	c->nr_ranges = 0;
	n->touched &= ~(1u << c->sub);
	c->request.held = false;
	c->owed.is = false;
	rxbuf_closed(&n->rx, (uint8_t)c->sub);
}

bool net_chan_idle(const struct net_chan *c)
{
	struct vmbus_chan_stats st;

	vmbus_chan_stats(c->chan, &st);
	if (st.fault)
		return true; /* it stays as it is */
	return !st.in_used && !st.out_used && !c->nr_ranges && !c->request.held && !c->owed.is;
}

/* ---- one packet ------------------------------------------------------------------------- */

static void message(struct net_chan *c, const struct vmpkt *pkt)
{
	struct nvsp_rndis r;
	uint32_t type;

	if (likely(pkt->payload_len >= sizeof(type) + sizeof(r) && nvsp_serving(c->n))) {
		memcpy(&type, pkt->payload, sizeof(type));
		if (likely(type == NVSP_SEND_RNDIS_PACKET)) {
			memcpy(&r, pkt->payload + sizeof(type), sizeof(r));
			net_tx_request(c, pkt, &r);
			return;
		}
	}
	nvsp_message(c, pkt);
}

static void dispatch(struct net_chan *c, const struct vmpkt *pkt)
{
	if (likely(pkt->type == VMPKT_INBAND || pkt->type == VMPKT_GPA_DIRECT))
		message(c, pkt);
	else if (likely(pkt->type == VMPKT_COMPLETION))
		net_rx_completed(c, pkt);
	else
		c->n->count.ignored++;
}

/* ---- a drain -------------------------------------------------------------------------------- */

/* How many packets can be answered for sure; 0: the guest will signal when it is one. */
static uint32_t answerable(struct net_chan *c)
{
	uint32_t room = vmbus_chan_send_room(c->chan);

	if (unlikely(room < ANSWER_ROOM)) {
		if (vmbus_chan_want_space(c->chan, ANSWER_ROOM))
			return 0;
		room = vmbus_chan_send_room(c->chan);
	}
	room /= ANSWER_ROOM;
	return room < NET_DRAIN_PACKETS ? room : NET_DRAIN_PACKETS;
}

static bool take_packets(struct net_chan *c)
{
	uint32_t left = answerable(c);
	struct vmpkt pkt;
	bool did = false;

	while (left-- && c->budget && vmbus_chan_recv(c->chan, &pkt) > 0) {
		did = true;
		dispatch(c, &pkt);
		if (unlikely(!c->open || c->request.held || c->owed.is))
			break;
	}
	if (c->open)
		vmbus_chan_recv_done(c->chan);
	return did;
}

/* What was left over from the last time. False: there is still no way. */
static bool catch_up(struct net_chan *c, bool *did)
{
	if (unlikely(c->nr_ranges)) {
		if (!net_rx_emit(c))
			return false;
		*did = true;
	}
	if (unlikely(c->owed.is)) {
		if (!net_complete_owed(c))
			return false;
		*did = true;
	}
	if (unlikely(c->request.held)) {
		if (!net_tx_resume(c))
			return false;
		*did = true;
	}
	return !c->owed.is;
}

bool net_chan_drain(struct net_chan *c)
{
	struct netvsp *n = c->n;
	uint64_t sent = n->count.tx_frames;
	bool did = false;

	if (!c->open)
		return false;
	c->budget = NET_DRAIN_BYTES;
	if (catch_up(c, &did))
		did |= take_packets(c);
	if (!c->sub && c->open)
		did |= net_rndis_push(n);
	if (n->count.tx_frames != sent) {
		vsw_flush(n->sw);
		did = true;
	}
	return did;
}
