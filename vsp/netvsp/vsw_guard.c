/* SPDX-License-Identifier: MIT */
/*
 * What a guest may not say to the others (spec: virtual-switch, sections 3.3 and 5). What cannot
 * be looked into is not let through either: headers hidden behind others, or cut apart.
 */
#include <netinet/in.h>

#include "vsp/netvsp/vsw_priv.h"

#define ETHERTYPE_RARP	 0x8035u
#define ETHERTYPE_MIN	 0x0600u /* below: a length, and LLC behind it */

#define DHCP4_SERVER	 67u
#define DHCP4_CLIENT	 68u
#define DHCP6_CLIENT	 546u
#define DHCP6_SERVER	 547u

#define ICMP4_REDIRECT	 5u
#define ICMP4_ROUTER	 9u
#define ND_FIRST	 133u /* router solicitation */
#define ND_ROUTER	 134u
#define ND_REDIRECT	 137u
#define ND_SOURCE_OPTION 1u
#define ND_TARGET_OPTION 2u

struct arp {
	be16 hardware, protocol;
	uint8_t hardware_len, protocol_len;
	be16 operation;
	uint8_t sender[NET_MAC_LEN];
	uint8_t sender_ip[4];
	uint8_t target[NET_MAC_LEN];
	uint8_t target_ip[4];
} PACKED;
WIRE_SIZE(struct arp, 28);

/* Where what is behind all tags begins. */
static uint32_t payload_at(const struct net_frame *f)
{
	uint32_t at = NET_ETH_LEN;

	for (;;) {
		uint16_t type = be16_at(f->head + at - 2);

		if (type != NET_ETHERTYPE_VLAN && type != NET_ETHERTYPE_QINQ)
			return at;
		if (at + NET_VLAN_LEN > f->head_len)
			return f->head_len;
		at += NET_VLAN_LEN;
	}
}

/* What is behind more tags than are parsed; trunks may send them. */
static bool hides_in_tags(const struct net_frame *f)
{
	return payload_at(f) > NET_ETH_LEN + 2 * NET_VLAN_LEN;
}

/* IP in a SNAP frame: stacks that take it exist, and nobody sends it for good reasons. */
static bool hides_in_snap(const struct net_frame *f)
{
	static const uint8_t snap[3] = { 0xaa, 0xaa, 0x03 };
	uint32_t at = payload_at(f);
	uint16_t type;

	if (be16_at(f->head + at - 2) >= ETHERTYPE_MIN || at + 8 > f->head_len)
		return false;
	if (memcmp(f->head + at, snap, sizeof(snap)))
		return false;
	type = be16_at(f->head + at + 6);
	return type == NET_ETHERTYPE_IP4 || type == NET_ETHERTYPE_IP6 ||
	       type == NET_ETHERTYPE_ARP || type == NET_ETHERTYPE_VLAN ||
	       type == NET_ETHERTYPE_QINQ;
}

/* A later fragment: what it belongs to was judged with the first. */
static bool later_fragment(const struct net_proto *p)
{
	return p->fragment && !p->first;
}

/* Headers that are further behind than the first copy of the frame reaches. */
static void see_all(struct vsw_tx *tx)
{
	net_frame_parse(tx->f);
	if (!tx->f->proto.l4 && !later_fragment(&tx->f->proto) && vsw_pull(tx))
		net_frame_parse(tx->f);
}

/* ---- DHCP and router guard ---------------------------------------------------------------- */

static enum vsw_drop guard_udp(const struct net_frame *f)
{
	uint16_t from = be16_at(f->head + f->proto.l4), to = be16_at(f->head + f->proto.l4 + 2);

	if (f->proto.version == 4 && (from == DHCP4_SERVER || to == DHCP4_CLIENT))
		return VSW_DROP_DHCP_GUARD;
	if (f->proto.version == 6 && (from == DHCP6_SERVER || to == DHCP6_CLIENT))
		return VSW_DROP_DHCP_GUARD;
	return VSW_FORWARDED;
}

static enum vsw_drop guard_icmp(const struct net_frame *f)
{
	uint8_t type = f->head[f->proto.l4];

	if (f->proto.version == 4 && (type == ICMP4_REDIRECT || type == ICMP4_ROUTER))
		return VSW_DROP_ROUTER_GUARD;
	if (f->proto.version == 6 && (type == ND_REDIRECT || type == ND_ROUTER))
		return VSW_DROP_ROUTER_GUARD;
	return VSW_FORWARDED;
}

static bool is_icmp(const struct net_proto *p)
{
	return p->protocol == (p->version == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
}

/* No transport header to be seen in what is not a later fragment. */
static enum vsw_drop guard_unseen(const struct net_proto *p, uint32_t features)
{
	bool dhcp = features & VSW_F_DHCP, router = features & VSW_F_ROUTER;

	if (router && (is_icmp(p) || p->version == 6))
		return VSW_DROP_ROUTER_GUARD;
	if (dhcp && (p->protocol == IPPROTO_UDP || p->version == 6))
		return VSW_DROP_DHCP_GUARD;
	return VSW_FORWARDED;
}

enum vsw_drop vsw_check_guards(struct vsw_tx *tx)
{
	uint32_t features = tx->from->features;
	const struct net_proto *p = &tx->f->proto;

	if (unlikely(hides_in_tags(tx->f) || hides_in_snap(tx->f)))
		return features & VSW_F_ROUTER ? VSW_DROP_ROUTER_GUARD : VSW_DROP_DHCP_GUARD;
	see_all(tx);
	if (!p->version || p->protocol == IPPROTO_TCP)
		return VSW_FORWARDED;
	/* RFC 6980: of what neighbours tell each other nothing is fragmented. */
	if (features & VSW_F_ROUTER && p->version == 6 && p->fragment && is_icmp(p))
		return VSW_DROP_ROUTER_GUARD;
	if (later_fragment(p))
		return VSW_FORWARDED;
	if (!p->l4)
		return guard_unseen(p, features);
	if (features & VSW_F_DHCP && p->protocol == IPPROTO_UDP)
		return guard_udp(tx->f);
	if (features & VSW_F_ROUTER && is_icmp(p))
		return guard_icmp(tx->f);
	return VSW_FORWARDED;
}

/* ---- ARP and ND: whose address is spoken of ------------------------------------------------- */

static bool is_own(const struct vsw_tx *tx, const uint8_t *mac)
{
	return net_mac_u64(mac) == tx->from->mac;
}

static bool arp_is_own(const struct vsw_tx *tx)
{
	uint32_t at = payload_at(tx->f);
	struct arp arp;

	if (at + sizeof(arp) > tx->f->head_len)
		return false;
	memcpy(&arp, tx->f->head + at, sizeof(arp));
	return arp.hardware_len == NET_MAC_LEN && is_own(tx, arp.sender);
}

/* Bytes of the messages ND_FIRST.. before their options. */
static uint32_t nd_fixed(uint8_t type)
{
	static const uint8_t fixed[] = { 8, 16, 24, 24, 40 };

	return fixed[type - ND_FIRST];
}

static bool nd_options_are_own(const struct vsw_tx *tx, uint32_t at, uint32_t end)
{
	const uint8_t *head = tx->f->head;

	while (at + 8 <= end) {
		uint32_t len = head[at + 1] * 8u;

		if (!len || at + len > end)
			return false;
		if ((head[at] == ND_SOURCE_OPTION || head[at] == ND_TARGET_OPTION) &&
		    !is_own(tx, head + at + 2))
			return false;
		at += len;
	}
	return true;
}

static bool nd_is_own(struct vsw_tx *tx)
{
	struct net_frame *f = tx->f;
	uint32_t end;
	uint8_t type;

	see_all(tx);
	if (f->proto.version != 6 || later_fragment(&f->proto))
		return true;
	if (!f->proto.l4)
		return false;
	type = f->head[f->proto.l4];
	if (!is_icmp(&f->proto) || type < ND_FIRST || type > ND_REDIRECT)
		return true;
	if (f->proto.fragment)
		return false;
	if (f->head_len < f->proto.l3 + f->proto.l3_len && vsw_pull(tx))
		net_frame_parse(f);
	end = f->proto.l3 + f->proto.l3_len;
	if (end > f->head_len || f->proto.l4 + nd_fixed(type) > end)
		return false;
	return nd_options_are_own(tx, f->proto.l4 + nd_fixed(type), end);
}

/* Nearly all IPv6 is TCP or UDP without further headers, and needs no parsing. */
static bool is_plain_ip6(const struct net_frame *f, uint32_t at)
{
	uint8_t next;

	if (at + sizeof(struct in6_addr) > f->head_len)
		return false;
	next = f->head[at + 6];
	return next == IPPROTO_TCP || next == IPPROTO_UDP;
}

enum vsw_drop vsw_check_sender(struct vsw_tx *tx)
{
	uint32_t at = payload_at(tx->f);
	uint16_t type = be16_at(tx->f->head + at - 2);
	bool own = true;

	if (type == NET_ETHERTYPE_ARP || type == ETHERTYPE_RARP)
		own = arp_is_own(tx);
	else if (type == NET_ETHERTYPE_IP6 && !is_plain_ip6(tx->f, at))
		own = nd_is_own(tx);
	else if (type < ETHERTYPE_MIN)
		own = !hides_in_snap(tx->f);
	own = own && likely(!hides_in_tags(tx->f));
	return own ? VSW_FORWARDED : VSW_DROP_SOURCE_MAC;
}
