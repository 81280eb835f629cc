/* SPDX-License-Identifier: MIT */
/*
 * What a receiver gets: whether it may and wants to have the frame, and what has to be done in
 * software first. Each treatment is made once, on a private copy of the head, for all who
 * need it; segments, too, go to all who need them in one pass over the payload.
 */
#include "base/net/vnet.h"
#include "vsp/netvsp/pcapng.h"
#include "vsp/netvsp/vsw_priv.h"

void vsw_meta_for(const struct vsw_tx *tx, const struct vsw_port *p, const struct net_frame *f,
		  struct net_meta *meta)
{
	*meta = f->meta;
	meta->tagged = tx->vlan != p->vlan;
	/* Untagged to the world means that a priority has only a tag without VLAN to be in. */
	if (!meta->tagged && p->features & VSW_F_UPLINK)
		meta->tagged = tx->tci != tx->vlan;
	meta->vlan_tci = meta->tagged ? tx->tci : 0;
}

static bool segments_itself(const struct vsw_port *p, uint8_t gso)
{
	uint32_t bit = gso == NET_GSO_TCP4 ? VSW_CAN_TSO4 : VSW_CAN_TSO6;

	return p->caps & VSW_CAN_CSUM && p->caps & bit;
}

static bool fits(const struct vsw_tx *tx, const struct vsw_port *p)
{
	const struct net_frame *f = tx->f;
	uint32_t len = f->meta.gso ? (uint32_t)f->meta.header_len + f->meta.gso_size : f->len;

	if (len > f->len)
		len = f->len;
	return len <= p->max_len + (tx->second_tag ? NET_VLAN_LEN : 0);
}

/* May @p have it, and does it want to? */
static enum vsw_drop admit(const struct vsw_tx *tx, const struct vsw_port *p)
{
	if (unlikely(p->features & VSW_F_DOWN))
		return VSW_DROP_LINK_DOWN;
	if (unlikely(p->features & tx->from->features & VSW_F_ISOLATED))
		return VSW_DROP_ISOLATED;
	/* Without its outer tag it would be in the VLAN of the inner one. */
	if (unlikely(tx->second_tag) && tx->vlan == p->vlan)
		return VSW_DROP_VLAN;
	if (p->ops->wants && !p->ops->wants(p->ctx, tx->f->head))
		return VSW_DROP_FILTER;
	return likely(fits(tx, p)) ? VSW_FORWARDED : VSW_DROP_MTU;
}

/* @o's frame treated as @need says; @meta: whose tag is put into the frame. */
static const struct net_frame *treated(struct vsw_out *o, uint32_t need,
				       const struct net_meta *meta)
{
	struct vsw_made *m = &o->made[need - 1];
	const struct net_frame *from = o->f;

	if (o->have & 1u << need)
		return &m->f;
	if (need ==
	    (VSW_MADE_CSUM | VSW_MADE_TAG)) /* summed once for those with a tag and without */
		from = treated(o, VSW_MADE_CSUM, meta);
	m->f = *from;
	m->f.head = m->head;
	memcpy(m->head, from->head, from->head_len);
	if (need == VSW_MADE_CSUM)
		net_csum_complete(&m->f);
	if (need & VSW_MADE_TAG) {
		m->f.meta.tagged = true;
		m->f.meta.vlan_tci = meta->vlan_tci;
		net_vlan_push(&m->f);
	}
	o->have |= 1u << need;
	return &m->f;
}

static void took(struct vsw_tx *tx, struct vsw_port *p, const struct net_frame *f)
{
	tx->taken++;
	vsw_count_frame(&p->out, f, tx->dst);
	if (!p->touched) {
		p->touched = true;
		p->sw->touched[p->sw->ntouched++] = p;
	}
}

/* One frame, as it is or treated, to one receiver. */
static enum vsw_drop hand_over(struct vsw_tx *tx, struct vsw_out *o, struct vsw_port *p)
{
	const struct net_frame *f = o->f;
	enum vsw_drop why;
	struct net_meta meta;
	uint32_t need = 0;

	vsw_meta_for(tx, p, f, &meta);
	if (meta.csum == NET_CSUM_PARTIAL && !(p->caps & VSW_CAN_CSUM))
		need |= VSW_MADE_CSUM;
	if (meta.tagged && !(p->caps & VSW_CAN_VLAN))
		need |= VSW_MADE_TAG;
	if (unlikely(need)) {
		f = treated(o, need, &meta);
		vsw_meta_for(tx, p, f, &meta);
		if (need & VSW_MADE_TAG) {
			meta.tagged = false;
			meta.vlan_tci = 0;
		}
		p->checksummed += need & VSW_MADE_CSUM;
	}
	why = p->ops->deliver(p->ctx, f, &meta, tx->from->id);
	if (unlikely(why))
		return why;
	took(tx, p, f);
	if (unlikely(p->mirror))
		vsw_mirror_frame(p->mirror, f, &meta, false);
	return VSW_FORWARDED;
}

static void refused(struct vsw_tx *tx, struct vsw_port *p, enum vsw_drop why, uint32_t frames)
{
	p->drop_out[why] += frames;
	if (!tx->why)
		tx->why = why;
}

void vsw_deliver(struct vsw_tx *tx, struct vsw_port *p)
{
	enum vsw_drop why = admit(tx, p);
	uint8_t gso = tx->f->meta.gso;

	if (likely(!why)) {
		if (unlikely(gso) && !segments_itself(p, gso)) {
			tx->segment[tx->nsegment++] = p;
			return;
		}
		why = hand_over(tx, &tx->whole, p);
	}
	if (unlikely(why))
		refused(tx, p, why, 1);
}

/* One segment to all who still take them. @left: with it, what a refusal costs. */
static void deliver_segment(struct vsw_tx *tx, const struct net_frame *segment, uint32_t left)
{
	struct vsw_out o;

	o.f = segment;
	o.have = 0;
	for (uint32_t i = 0; i < tx->nsegment;) {
		struct vsw_port *p = tx->segment[i];
		enum vsw_drop why = hand_over(tx, &o, p);

		if (likely(!why)) {
			i++;
			continue;
		}
		/* The rest would come behind a gap, and would be refused as well. */
		refused(tx, p, why, left);
		tx->segment[i] = tx->segment[--tx->nsegment];
	}
}

void vsw_deliver_segments(struct vsw_tx *tx)
{
	uint32_t left = net_gso_count(tx->f, NULL);
	const struct net_frame *segment;
	struct net_gso g;

	for (uint32_t i = 0; i < tx->nsegment; i++)
		tx->segment[i]->segmented++;
	net_gso_begin(&g, tx->f);
	while (tx->nsegment && (segment = net_gso_next(&g))) {
		deliver_segment(tx, segment, left);
		left -= left > 1; /* many pieces make more segments than were foreseen */
	}
}
