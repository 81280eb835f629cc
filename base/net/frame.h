/* SPDX-License-Identifier: MIT */
/*
 * An Ethernet frame on its way through the switch or a driver, and what is known about it
 * (spec: virtual-switch, section 7.1).
 *
 * The first bytes are a private copy: every decision is made on them and they are what is
 * delivered. The rest may lie in a guest's memory and change under the reader: it is copied,
 * summed, or handed to the kernel, and never looked at.
 *
 * One convention inside, whatever the frame came from:
 *   the VLAN tag is out of the frame, in the metadata
 *   IP lengths and the IPv4 header checksum are right
 *   NET_CSUM_PARTIAL: the TCP or UDP checksum field holds the folded sum of the pseudo header
 *   with the real length, not complemented (as CHECKSUM_PARTIAL and virtio mean it)
 *
 * Threads: none here; a frame belongs to who made it.
 */
#ifndef HVBUS_BASE_NET_FRAME_H
#define HVBUS_BASE_NET_FRAME_H

#include <stdbool.h>
#include <sys/uio.h>

#include "base/wire.h"

#define NET_ETH_LEN	   14u
#define NET_VLAN_LEN	   4u
#define NET_MAC_LEN	   6u
#define NET_HEAD_MAX	   256u /* bytes of the private copy: Ethernet, IPv6 with extensions, TCP */
#define NET_HEAD_FIRST	   128u /* copied at once: enough for all but odd frames */
#define NET_FRAME_MAX	   65549u /* 14 + an IP packet of 65,535 bytes */
#define NET_MIN_MTU	   68u

#define NET_ETHERTYPE_IP4  0x0800u
#define NET_ETHERTYPE_ARP  0x0806u
#define NET_ETHERTYPE_VLAN 0x8100u
#define NET_ETHERTYPE_IP6  0x86ddu
#define NET_ETHERTYPE_QINQ 0x88a8u

enum net_csum {
	NET_CSUM_UNKNOWN, /* the fields are whatever they are */
	NET_CSUM_GOOD,	  /* the TCP or UDP checksum was verified by somebody */
	NET_CSUM_PARTIAL, /* to be completed from csum_start on, see above */
};

enum net_gso_type { NET_GSO_NONE, NET_GSO_TCP4, NET_GSO_TCP6 };

struct net_meta {
	uint16_t vlan_tci; /* 802.1Q order: priority 15..13, DEI 12, id 11..0 */
	bool tagged;
	uint8_t csum;	      /* enum net_csum */
	uint16_t csum_start;  /* PARTIAL: of the TCP or UDP header, from the frame's start */
	uint16_t csum_offset; /* PARTIAL: of the field, from csum_start (TCP 16, UDP 6) */
	uint8_t gso;	      /* enum net_gso_type; then csum is PARTIAL */
	bool gso_ecn;	      /* CWR only in the first segment */
	uint16_t gso_size;    /* payload bytes of a segment */
	uint16_t header_len;  /* GSO: all headers together */
	uint32_t hash;
	bool hash_valid;
};

/* What the headers say. Nothing in it points outside the private copy. */
struct net_proto {
	uint16_t ethertype; /* of the innermost tag */
	uint16_t l3;	    /* offset of the IP header; 0 = not IP, or broken */
	uint16_t l4;	  /* offset of the transport header, of which at least 4 bytes (ports; type,
			     code and checksum) are in the copy; 0 = none, or out of the copy */
	uint8_t version;  /* 4, 6, or 0 */
	uint8_t protocol; /* IP protocol behind all extension headers; of an extension header
			     when the row of them ends there: out of the copy, or fragment */
	bool fragment;	  /* MF set or an offset: no ports are known */
	bool first;	  /* of a fragmented packet: the transport header is here */
	bool routed;	  /* IPv6: still to visit others, the checksum is for the last of them */
	uint32_t l3_len;  /* bytes from l3 to the end of the IP packet, as IP says; at most what
			     is in the frame */
};

struct net_frame {
	uint8_t *head;		 /* private; room for NET_HEAD_MAX + NET_VLAN_LEN bytes */
	uint32_t head_len;	 /* of them valid: min(len, what was copied) */
	uint32_t len;		 /* of the whole frame */
	const struct iovec *iov; /* bytes head_len..len */
	int iovcnt;
	bool parsed; /* proto is valid */
	struct net_meta meta;
	struct net_proto proto;
};

/*
 * Looks at the headers once; later calls return at once. Broken headers give l3 = 0 or l4 = 0,
 * never an error: what a frame must be is the caller's policy. Extension headers that reach
 * out of the private copy give l4 = 0.
 */
void net_frame_parse(struct net_frame *f);

/*
 * Takes the first bytes of [@iov, @n) into @head (NET_HEAD_MAX + NET_VLAN_LEN bytes of room) and
 * makes *@f of them and of the rest, whose list is written to @rest (room for @n entries).
 * @meta is zeroed. @copy: how many at most, NET_HEAD_FIRST for nearly all.
 * -EINVAL: less than an Ethernet header or more than NET_FRAME_MAX bytes.
 */
int net_frame_init(struct net_frame *f, uint8_t *head, uint32_t copy, const struct iovec *iov,
		   int n, struct iovec *rest);

/*
 * Is the TCP header of a parsed frame, options and all, in the private copy, and legal?
 * @header_len: of all headers together.
 */
bool net_frame_tcp(const struct net_frame *f, uint16_t *header_len);

/* No TCP has an MSS so small that a frame makes more than this; each costs its receiver. */
#define NET_GSO_SEGMENTS 2048u

/*
 * Makes a frame as a driver hands it over obey the convention above (virtual-switch, section
 * 7.2): IP length, IPv4 header checksum and pseudo header are made anew from the length of the
 * frame, so it does not matter whether the driver left the length out (NDIS) or not (virtio).
 * The transport offset comes from the headers, never from the peer. With no more payload than @mss
 * a frame becomes one with a partial checksum, without GSO.
 * -EINVAL: not TCP over the IP that @ip6 says, a fragment, no payload, MSS 0 or above 65,535,
 * more than NET_GSO_SEGMENTS, headers broken or not all in the private copy; @f is then not usable.
 */
int net_frame_make_gso(struct net_frame *f, uint32_t mss, bool ip6);
/*
 * The same for a frame whose TCP or UDP checksum (@l4), or IPv4 header checksum (@ip4_header;
 * nothing to do for IPv6) is to be computed. The length must be right: padding of a short frame is
 * cut off. -EINVAL: not IP, @l4: no TCP or UDP header in the copy, a fragment, a length that
 * lies; @f is then not usable.
 */
int net_frame_make_partial(struct net_frame *f, bool l4, bool ip4_header);

static inline bool net_mac_multicast(const uint8_t *mac)
{
	return mac[0] & 1;
}
static inline uint64_t net_mac_u64(const uint8_t *mac)
{
	uint64_t v = 0;

	memcpy(&v, mac, NET_MAC_LEN);
	return v;
}
static inline bool net_mac_zero(const uint8_t *mac)
{
	return !net_mac_u64(mac);
}

/* "00:15:5d:01:02:a0" (or with '-') to bytes; false: something else. */
bool net_mac_parse(const char *text, uint8_t mac[NET_MAC_LEN]);
#define NET_MAC_TEXT 18u
void net_mac_format(const uint8_t mac[NET_MAC_LEN], char text[NET_MAC_TEXT]);

#endif
