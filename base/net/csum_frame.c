/* SPDX-License-Identifier: MIT */
/* The checksums that are in a frame: IPv4 header, and TCP or UDP with its pseudo header. */
#include "base/net/csum.h"

#define IP4_CHECK   10
#define IP4_SOURCE  12
#define IP6_SOURCE  8
#define UDP_CSUM_AT 6

uint32_t net_csum_pseudo(const struct net_frame *f, uint32_t len)
{
	const uint8_t *ip = f->head + f->proto.l3;
	uint32_t tail = __builtin_bswap32(len);
	uint32_t sum;

	if (f->proto.version == 6)
		sum = net_csum_add(0, ip + IP6_SOURCE, 32);
	else
		sum = net_csum_add(0, ip + IP4_SOURCE, 8);
	sum = net_csum_join(sum, tail, 0);
	return net_csum_join(sum, (uint32_t)f->proto.protocol << 8, 0);
}

uint16_t net_csum_ip4(const uint8_t *ip, uint32_t header_len)
{
	uint32_t sum = net_csum_add(0, ip, IP4_CHECK);

	sum = net_csum_add(sum, ip + IP4_CHECK + 2, header_len - IP4_CHECK - 2);
	return (uint16_t)~net_csum_fold(sum);
}

/* Where the checksum ends: with the IP packet, or with the frame when that is not one of ours. */
static uint32_t summed_end(const struct net_frame *f)
{
	if (f->proto.l4 && f->proto.l4 == f->meta.csum_start)
		return f->proto.l3 + f->proto.l3_len;
	return f->len;
}

void net_csum_complete(struct net_frame *f)
{
	uint32_t start = f->meta.csum_start, field = start + f->meta.csum_offset;
	uint32_t end, in_head, sum;
	uint16_t check;

	if (f->meta.csum != NET_CSUM_PARTIAL || f->meta.gso != NET_GSO_NONE)
		return;
	net_frame_parse(f);
	end = summed_end(f);
	if (field + sizeof(check) > f->head_len || field + sizeof(check) > end)
		return; /* not a frame of this module's making */
	in_head = (end < f->head_len ? end : f->head_len) - start;
	sum = net_csum_add(0, f->head + start, in_head);
	sum = net_csum_join(sum, net_csum_iov(0, f->iov, f->iovcnt, 0, end - start - in_head),
			    in_head);
	check = (uint16_t)~net_csum_fold(sum);
	if (!check && f->meta.csum_offset == UDP_CSUM_AT)
		check = 0xffff; /* 0 on the wire means: no checksum */
	memcpy(f->head + field, &check, sizeof(check));
	f->meta.csum = NET_CSUM_GOOD;
}
