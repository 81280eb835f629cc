/* SPDX-License-Identifier: MIT */
/*
 * Segmentation in software, for those who cannot take a large frame (spec: virtual-switch,
 * section 7.4).
 *
 *   struct net_gso g;
 *   net_gso_begin(&g, f);
 *   while ((seg = net_gso_next(&g)))
 *           deliver(seg);
 */
#ifndef HVBUS_BASE_NET_GSO_H
#define HVBUS_BASE_NET_GSO_H

#include "base/net/csum.h"

#define NET_GSO_IOV 64

struct net_gso {
	const struct net_frame *whole;
	uint32_t done, payload; /* bytes handed out; in all */
	uint32_t segment;
	uint32_t ip_sum, tcp_sum; /* of what is the same in all segments */
	int piece;		  /* of whole->iov, where the next segment starts, */
	size_t skip;		  /* and how many bytes into it */
	struct net_frame frame;
	struct iovec iov[NET_GSO_IOV];
	uint8_t head[NET_HEAD_MAX + NET_VLAN_LEN];
};

/*
 * @f: GSO, as net_frame_make_gso() leaves it; borrowed, and not to be changed, until the end. Of a
 * frame without GSO there is no segment.
 */
void net_gso_begin(struct net_gso *g, const struct net_frame *f);
/*
 * The next segment, checksums complete (NET_CSUM_GOOD), valid until the next call; NULL: no
 * more. The payload is referred to, not copied. A payload in so many pieces that a segment has not
 * room for them all makes segments shorter than the MSS: more of them, nothing lost. The
 * head is the segment's own: it may be changed.
 */
struct net_frame *net_gso_next(struct net_gso *g);
/*
 * How many segments there will be, and (@wire_bytes, may be NULL) their bytes on the wire together;
 * 1 for a frame without GSO. Segments cut short by NET_GSO_IOV are not foreseen.
 */
uint32_t net_gso_count(const struct net_frame *f, uint32_t *wire_bytes);

#endif
