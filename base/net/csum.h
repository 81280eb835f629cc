/* SPDX-License-Identifier: MIT */
/*
 * The Internet checksum (RFC 1071). Sums are 32-bit accumulators of 16-bit words in network byte
 * order as loaded, so that they can be added; net_csum_fold() makes what goes on the wire.
 */
#ifndef HVBUS_BASE_NET_CSUM_H
#define HVBUS_BASE_NET_CSUM_H

#include "base/net/frame.h"

/* @sum plus the sum of @len bytes that start at an even offset of what is summed. */
uint32_t net_csum_add(uint32_t sum, const void *data, size_t len);
/* As above, and copies. */
uint32_t net_csum_copy(uint32_t sum, void *dst, const void *src, size_t len);
/*
 * @sum plus bytes [offset, offset + len) of a list, whatever the parity of its pieces; the first of
 * them is at an even offset of what is summed. Of a shorter list: what there is.
 */
uint32_t net_csum_iov(uint32_t sum, const struct iovec *iov, int n, size_t offset, size_t len);
/* @sum plus @part, the sum of a block that starts @at bytes into what is summed. */
static inline uint32_t net_csum_join(uint32_t sum, uint32_t part, size_t at)
{
	if (at & 1) /* its bytes are the other halves of their words */
		part = part << 8 | part >> 24;
	sum += part;
	return sum + (sum < part);
}
/* To 16 bits, not complemented; store with memcpy. The checksum is its complement. */
uint16_t net_csum_fold(uint32_t sum);

/* Sum of the pseudo header of the IP packet that the parsed @f is, for @len bytes of transport. */
uint32_t net_csum_pseudo(const struct net_frame *f, uint32_t len);

/*
 * Completes NET_CSUM_PARTIAL in the private copy (a UDP sum of 0 becomes 0xffff); the frame is
 * NET_CSUM_GOOD then. No-op for others, and for GSO frames: each segment has its own.
 */
void net_csum_complete(struct net_frame *f);

/* IPv4 header at @ip with its checksum field taken as 0: the value for the field. */
uint16_t net_csum_ip4(const uint8_t *ip, uint32_t header_len);

#endif
