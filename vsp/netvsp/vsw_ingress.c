/* SPDX-License-Identifier: MIT */
/* What must be true of a frame before the switch looks where it goes. */
#include <netinet/in.h>

#include "base/iov.h"
#include "base/net/vnet.h"
#include "vsp/netvsp/vsw_priv.h"

#define TCP_CHECK  16u /* where the checksum is in the header */
#define UDP_CHECK  6u
#define SWEEP_FULL 8u /* buckets, when there was no room for a new address */

static uint16_t ethertype(const struct net_frame *f)
{
	return be16_at(f->head + NET_ETH_LEN - 2);
}

/*
 * The tag belongs into the metadata, whoever the frame is from. One that is left is a second one
 * (or a provider's), and must not become the first at some receiver.
 */
static void take_tag(struct vsw_tx *tx)
{
	struct net_frame *f = tx->f;
	uint16_t type = ethertype(f);

	tx->second_tag = false;
	if (likely(type != NET_ETHERTYPE_VLAN && type != NET_ETHERTYPE_QINQ))
		return;
	if (!f->meta.tagged)
		net_vlan_pop(f);
	type = ethertype(f);
	tx->second_tag = type == NET_ETHERTYPE_VLAN || type == NET_ETHERTYPE_QINQ;
}

/* Nothing that a receiver, or the software in its stead, would stumble over. */
static bool gso_is_sound(const struct net_frame *f)
{
	const struct net_meta *m = &f->meta;
	uint8_t version = m->gso == NET_GSO_TCP4 ? 4 : 6;
	uint16_t header_len;

	if (m->gso > NET_GSO_TCP6 || !m->gso_size || f->proto.version != version)
		return false;
	if (!net_frame_tcp(f, &header_len) || m->header_len != header_len || header_len >= f->len)
		return false;
	return net_gso_count(f, NULL) <= NET_GSO_SEGMENTS;
}

static bool offloads_are_sound(struct net_frame *f)
{
	const struct net_meta *m = &f->meta;
	uint32_t end;

	if (m->csum != NET_CSUM_PARTIAL)
		return m->csum < NET_CSUM_PARTIAL && m->gso == NET_GSO_NONE;
	net_frame_parse(f);
	end = f->proto.l3 + f->proto.l3_len;
	if (!f->proto.l4 || f->proto.fragment || m->csum_start != f->proto.l4)
		return false;
	if (m->csum_offset != (f->proto.protocol == IPPROTO_TCP ? TCP_CHECK : UDP_CHECK))
		return false;
	if (f->proto.protocol != IPPROTO_TCP && f->proto.protocol != IPPROTO_UDP)
		return false;
	if (m->csum_start + m->csum_offset + 2u > (end < f->head_len ? end : f->head_len))
		return false;
	return m->gso == NET_GSO_NONE || gso_is_sound(f);
}

/*
 * As net_mac_u64(), of bytes that more bytes follow: one load. Putting six together through memory
 * costs more than the look-up.
 */
static uint64_t address_at(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v & MAC_ADDR_MASK;
}
_Static_assert(2 * NET_MAC_LEN + 2 <= NET_ETH_LEN, "of both addresses");

static uint32_t longest(const struct vsw_tx *tx)
{
	uint32_t len = tx->f->meta.gso ? NET_FRAME_MAX : tx->from->max_len;

	return tx->second_tag ? len + NET_VLAN_LEN : len;
}

enum vsw_drop vsw_check_format(struct vsw_tx *tx)
{
	struct net_frame *f = tx->f;
	struct vsw_port *p = tx->from;

	if (unlikely(f->head_len < NET_ETH_LEN || f->head_len > f->len ||
		     f->head_len > NET_HEAD_MAX + NET_VLAN_LEN)) {
		p->in.frames++;
		p->in.bytes += f->len;
		return VSW_DROP_MALFORMED;
	}
	tx->dst = address_at(f->head);
	tx->src = address_at(f->head + NET_MAC_LEN);
	tx->multicast = tx->dst & 1;
	vsw_count_frame(&p->in, f, tx->dst);
	if (unlikely(p->features & VSW_F_DOWN))
		return VSW_DROP_LINK_DOWN;
	take_tag(tx);
	if (unlikely(f->head_len < NET_ETH_LEN || f->len > longest(tx)))
		return VSW_DROP_MALFORMED;
	if ((f->meta.csum >= NET_CSUM_PARTIAL || f->meta.gso) && !offloads_are_sound(f))
		return VSW_DROP_MALFORMED;
	return VSW_FORWARDED;
}

enum vsw_drop vsw_check_source(struct vsw_tx *tx)
{
	uint16_t type;

	if (likely(tx->from->features & VSW_F_POLICED)) {
		if (unlikely(tx->src != tx->from->mac))
			return VSW_DROP_SOURCE_MAC;
		type = ethertype(tx->f);
		return likely(type == NET_ETHERTYPE_IP4) ? VSW_FORWARDED : vsw_check_sender(tx);
	}
	return tx->src & 1 || !tx->src ? VSW_DROP_SOURCE_MAC : VSW_FORWARDED;
}

/* Whose own address it is, in this VLAN, it stays, whatever another port sends. */
static bool is_anothers(struct vsw_tx *tx)
{
	struct mac_entry *e = mac_table_find(&tx->sw->macs, tx->src, tx->vlan).fixed;

	return e && e->port != tx->from->id && vsw_member(tx->sw->by_id[e->port], tx->vlan);
}

enum vsw_drop vsw_classify(struct vsw_tx *tx)
{
	const struct vsw_port *p = tx->from;
	const struct net_meta *m = &tx->f->meta;
	uint16_t id = m->tagged ? m->vlan_tci & VSW_ID_MASK : 0;

	tx->vlan = id ? id : p->vlan;
	if (unlikely(id)) {
		if (id == VSW_ID_MASK || !(p->features & (VSW_F_TRUNK | VSW_F_UPLINK)))
			return VSW_DROP_VLAN;
		if (!(p->features & VSW_F_UPLINK) && !vsw_allowed(p, id))
			return VSW_DROP_VLAN;
	}
	if (unlikely(tx->second_tag) && !(p->features & (VSW_F_TRUNK | VSW_F_UPLINK)))
		return VSW_DROP_VLAN;
	tx->tci = tx->vlan;
	if (m->tagged && p->features & VSW_F_PRIORITY)
		tx->tci |= m->vlan_tci & (uint16_t)~VSW_ID_MASK;
	if (p->features & VSW_F_FOREIGN && is_anothers(tx))
		return VSW_DROP_SOURCE_MAC;
	return VSW_FORWARDED;
}

void vsw_learn(struct vsw_tx *tx)
{
	struct mac_table *t = &tx->sw->macs;

	if (tx->src == tx->from->mac)
		return;
	if (!mac_table_learn(t, tx->src, tx->vlan, tx->from->id, vsw_now_s(tx)))
		mac_table_sweep(t, SWEEP_FULL, vsw_now_s(tx));
}

bool vsw_pull(struct vsw_tx *tx)
{
	struct net_frame *f = tx->f;
	uint32_t want = f->len < NET_HEAD_MAX ? f->len : NET_HEAD_MAX, more;
	int n;

	if (f->head_len >= want || f->iovcnt > VSW_PULL_IOV)
		return false;
	more = want - f->head_len;
	iov_to_buf(f->iov, f->iovcnt, 0, f->head + f->head_len, more);
	__asm__ volatile("" ::: "memory"); /* as snapshot(): what is checked is the copy */
	n = iov_slice(tx->pulled, VSW_PULL_IOV, f->iov, f->iovcnt, more, f->len - want);
	if (n < 0)
		return false;
	f->iov = tx->pulled;
	f->iovcnt = n;
	f->head_len = want;
	f->parsed = false;
	return true;
}
