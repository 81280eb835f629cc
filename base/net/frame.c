/* SPDX-License-Identifier: MIT */
/* Reading a frame's headers out of its private copy. */
#include <errno.h>

#include "base/iov.h"
#include "base/net/frame.h"
#include "base/net/ip.h"

#define MAX_TAGS 2
#define L4_MIN	 4u /* see struct net_proto */

/* How far headers may be read: the copy, and the IP packet in it. */
static uint32_t readable(const struct net_frame *f)
{
	uint32_t end = f->proto.l3 + f->proto.l3_len;

	return end < f->head_len ? end : f->head_len;
}

/* @said: the length of the packet by its header; one that cannot be is not believed. */
static void set_l3_len(struct net_frame *f, uint32_t said, uint32_t header)
{
	uint32_t there = f->len - f->proto.l3;

	f->proto.l3_len = said >= header && said <= there ? said : there;
}

static void set_l4(struct net_frame *f, uint32_t at)
{
	if (at + L4_MIN <= readable(f))
		f->proto.l4 = (uint16_t)at;
}

static void parse_ip4(struct net_frame *f, uint32_t at)
{
	struct net_ip4 ip;
	uint32_t header, fragment;

	if (at + sizeof(ip) > f->head_len)
		return;
	memcpy(&ip, f->head + at, sizeof(ip));
	header = (ip.version_ihl & 0xfu) * 4;
	if (ip.version_ihl >> 4 != 4 || header < sizeof(ip) || at + header > f->head_len)
		return;
	f->proto.l3 = (uint16_t)at;
	f->proto.version = 4;
	f->proto.protocol = ip.protocol;
	set_l3_len(f, be16_get(ip.total), header);
	fragment = be16_get(ip.fragment);
	f->proto.fragment = fragment & (NET_IP4_MORE | NET_IP4_OFFSET);
	f->proto.first = f->proto.fragment && !(fragment & NET_IP4_OFFSET);
	if (!f->proto.fragment || f->proto.first)
		set_l4(f, at + header);
}

/* Length of the extension header @type; 0: it is not one. */
static uint32_t extension_length(uint8_t type, const struct net_ip6_ext *ext)
{
	switch (type) {
	case NET_IP_HOPOPTS:
	case NET_IP_ROUTING:
	case NET_IP_DSTOPTS:
		return 8 + ext->length * 8u;
	case NET_IP_AH:
		return 8 + ext->length * 4u;
	case NET_IP_FRAGMENT:
		return sizeof(*ext);
	default:
		return 0;
	}
}

/* Takes over what an extension header says. False: what follows is not a header. */
static bool note_extension(struct net_proto *p, const struct net_ip6_ext *ext)
{
	uint32_t fragment;

	if (p->protocol == NET_IP_ROUTING && ext->routing.left)
		p->routed = true;
	if (p->protocol != NET_IP_FRAGMENT)
		return true;
	fragment = be16_get(ext->fragment);
	if (fragment & NET_IP6_OFFSET) {
		p->fragment = true;
		p->first = false;
		return false;
	}
	if (fragment & NET_IP6_MORE)
		p->fragment = p->first = true;
	return true;
}

/* Each turn is eight bytes further at least, so the copy's length bounds them. */
static void parse_extensions(struct net_frame *f, uint32_t at)
{
	uint32_t end = readable(f), length;
	struct net_ip6_ext ext;

	while (at + sizeof(ext) <= end) {
		bool more;

		memcpy(&ext, f->head + at, sizeof(ext));
		length = extension_length(f->proto.protocol, &ext);
		if (!length)
			break;
		more = note_extension(&f->proto, &ext);
		f->proto.protocol = ext.next;
		if (!more)
			return;
		at += length;
	}
	/* Out of the copy, or the last bytes of a short packet: an extension is no transport. */
	if (!extension_length(f->proto.protocol, &(struct net_ip6_ext){ 0 }))
		set_l4(f, at);
}

static void parse_ip6(struct net_frame *f, uint32_t at)
{
	struct net_ip6 ip;
	uint32_t payload;

	if (at + sizeof(ip) > f->head_len)
		return;
	memcpy(&ip, f->head + at, sizeof(ip));
	if (ip.version_class_flow.b[0] >> 4 != 6)
		return;
	f->proto.l3 = (uint16_t)at;
	f->proto.version = 6;
	f->proto.protocol = ip.next;
	payload = be16_get(ip.payload);
	set_l3_len(f, payload ? payload + (uint32_t)sizeof(ip) : 0, sizeof(ip));
	parse_extensions(f, at + sizeof(ip));
}

static bool is_tag(uint16_t ethertype)
{
	return ethertype == NET_ETHERTYPE_VLAN || ethertype == NET_ETHERTYPE_QINQ;
}

void net_frame_parse(struct net_frame *f)
{
	uint32_t at = NET_ETH_LEN;

	if (f->parsed)
		return;
	f->parsed = true;
	f->proto = (struct net_proto){ 0 };
	if (f->head_len < NET_ETH_LEN)
		return;
	f->proto.ethertype = be16_at(f->head + at - 2);
	for (int tags = 0; tags < MAX_TAGS && is_tag(f->proto.ethertype); tags++) {
		at += NET_VLAN_LEN;
		if (at > f->head_len)
			return;
		f->proto.ethertype = be16_at(f->head + at - 2);
	}
	if (f->proto.ethertype == NET_ETHERTYPE_IP4)
		parse_ip4(f, at);
	else if (f->proto.ethertype == NET_ETHERTYPE_IP6)
		parse_ip6(f, at);
}

int net_frame_init(struct net_frame *f, uint8_t *head, uint32_t copy, const struct iovec *iov,
		   int n, struct iovec *rest)
{
	size_t len = iov_length(iov, n);
	int pieces;

	if (len < NET_ETH_LEN || len > NET_FRAME_MAX)
		return -EINVAL;
	if (copy < NET_ETH_LEN)
		copy = NET_ETH_LEN;
	if (copy > NET_HEAD_MAX)
		copy = NET_HEAD_MAX;
	if (copy > len)
		copy = (uint32_t)len;
	iov_to_buf(iov, n, 0, head, copy);
	__asm__ volatile("" ::: "memory"); /* as snapshot(): what is checked is the copy */
	pieces = iov_slice(rest, n, iov, n, copy, len - copy);
	if (pieces < 0)
		return pieces;
	*f = (struct net_frame){
		.head = head,
		.head_len = copy,
		.len = (uint32_t)len,
		.iov = rest,
		.iovcnt = pieces,
	};
	return 0;
}

bool net_frame_tcp(const struct net_frame *f, uint16_t *header_len)
{
	uint32_t at = f->proto.l4, length;

	if (!f->parsed || f->proto.protocol != NET_IP_TCP || !at || f->proto.fragment)
		return false;
	if (at + sizeof(struct net_tcp) > readable(f))
		return false;
	length = (f->head[at + offsetof(struct net_tcp, doff)] >> 4) * 4u;
	if (length < sizeof(struct net_tcp) || at + length > readable(f))
		return false;
	*header_len = (uint16_t)(at + length);
	return true;
}
