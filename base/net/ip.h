/* SPDX-License-Identifier: MIT */
/* Fixed parts of the headers that the network code reads and writes; see the RFCs. */
#ifndef HVBUS_BASE_NET_IP_H
#define HVBUS_BASE_NET_IP_H

#include "base/wire.h"

#define NET_IP_HOPOPTS	0u
#define NET_IP_TCP	6u
#define NET_IP_UDP	17u
#define NET_IP_ROUTING	43u
#define NET_IP_FRAGMENT 44u
#define NET_IP_AH	51u
#define NET_IP_DSTOPTS	60u

struct net_ip4 {
	uint8_t version_ihl;
	uint8_t tos;
	be16 total;
	be16 id;
	be16 fragment; /* DF, MF, offset in 8 bytes */
	uint8_t ttl;
	uint8_t protocol;
	be16 check;
	uint8_t source[4];
	uint8_t destination[4];
} PACKED;
WIRE_SIZE(struct net_ip4, 20);
#define NET_IP4_MORE   0x2000u
#define NET_IP4_OFFSET 0x1fffu

struct net_ip6 {
	be32 version_class_flow;
	be16 payload;
	uint8_t next;
	uint8_t hops;
	uint8_t source[16];
	uint8_t destination[16];
} PACKED;
WIRE_SIZE(struct net_ip6, 40);

/* The first eight bytes of every extension header; what they are differs. */
struct net_ip6_ext {
	uint8_t next;
	uint8_t length; /* beyond 8, in 8 bytes; AH: beyond 8, in 4 bytes */
	union {
		be16 fragment; /* offset in its upper 13 bits, MORE */
		struct {
			uint8_t type;
			uint8_t left; /* segments to visit */
		} routing;
	};
	uint8_t rest[4];
} PACKED;
WIRE_SIZE(struct net_ip6_ext, 8);
#define NET_IP6_MORE   0x0001u
#define NET_IP6_OFFSET 0xfff8u

struct net_tcp {
	be16 source;
	be16 destination;
	be32 seq;
	be32 ack;
	uint8_t doff; /* upper half: header length in 4 bytes */
	uint8_t flags;
	be16 window;
	be16 check;
	be16 urgent;
} PACKED;
WIRE_SIZE(struct net_tcp, 20);
WIRE_OFFSET(struct net_tcp, check, 16);
#define NET_TCP_FIN 0x01u
#define NET_TCP_PSH 0x08u
#define NET_TCP_CWR 0x80u

struct net_udp {
	be16 source;
	be16 destination;
	be16 length;
	be16 check;
} PACKED;
WIRE_SIZE(struct net_udp, 8);
WIRE_OFFSET(struct net_udp, check, 6);

#endif
