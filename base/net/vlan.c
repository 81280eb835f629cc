/* SPDX-License-Identifier: MIT */
/* 802.1Q tags, from the metadata into the frame and back. */
#include "base/net/vnet.h"

#define TAG_AT (NET_MAC_LEN * 2)

/* All that lies behind the tag has moved by @by bytes. */
static void shift(struct net_frame *f, int by)
{
	struct net_meta *m = &f->meta;

	f->head_len += by;
	f->len += by;
	if (m->csum == NET_CSUM_PARTIAL)
		m->csum_start = (uint16_t)(m->csum_start + by);
	if (m->gso != NET_GSO_NONE)
		m->header_len = (uint16_t)(m->header_len + by);
	if (!f->proto.l3)
		f->parsed = false; /* there may be more to see with a tag less */
	else
		f->proto.l3 = (uint16_t)(f->proto.l3 + by);
	if (f->proto.l4)
		f->proto.l4 = (uint16_t)(f->proto.l4 + by);
}

void net_vlan_push(struct net_frame *f)
{
	uint8_t *tag = f->head + TAG_AT;

	if (!f->meta.tagged)
		return;
	memmove(tag + NET_VLAN_LEN, tag, f->head_len - TAG_AT);
	be16_put(tag, NET_ETHERTYPE_VLAN);
	be16_put(tag + 2, f->meta.vlan_tci);
	f->meta.tagged = false;
	f->meta.vlan_tci = 0;
	shift(f, NET_VLAN_LEN);
}

void net_vlan_pop(struct net_frame *f)
{
	uint8_t *tag = f->head + TAG_AT;

	if (f->meta.tagged || f->head_len < NET_ETH_LEN + NET_VLAN_LEN ||
	    be16_at(tag) != NET_ETHERTYPE_VLAN)
		return;
	f->meta.vlan_tci = be16_at(tag + 2);
	f->meta.tagged = true;
	memmove(tag, tag + NET_VLAN_LEN, f->head_len - TAG_AT - NET_VLAN_LEN);
	shift(f, -(int)NET_VLAN_LEN);
}
