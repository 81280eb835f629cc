/* SPDX-License-Identifier: MIT */
/*
 * Requests for work on a frame, made to obey the convention of frame.h. What a driver has written
 * into lengths and checksums is written again: it may be nothing, or a lie.
 */
#include <errno.h>

#include "base/net/csum.h"
#include "base/net/ip.h"

#define IP_MAX 65535u

static void put_ip4_check(struct net_frame *f)
{
	uint8_t *ip = f->head + f->proto.l3;
	uint16_t check = net_csum_ip4(ip, (ip[0] & 0xfu) * 4);

	memcpy(ip + offsetof(struct net_ip4, check), &check, sizeof(check));
}

static uint32_t ip_length(const struct net_frame *f)
{
	const uint8_t *ip = f->head + f->proto.l3;

	if (f->proto.version == 4)
		return be16_at(ip + offsetof(struct net_ip4, total));
	return be16_at(ip + offsetof(struct net_ip6, payload)) + (uint32_t)sizeof(struct net_ip6);
}

static void put_ip_length(struct net_frame *f, uint32_t length)
{
	uint8_t *ip = f->head + f->proto.l3;

	if (f->proto.version == 4)
		be16_put(ip + offsetof(struct net_ip4, total), (uint16_t)length);
	else
		be16_put(ip + offsetof(struct net_ip6, payload),
			 (uint16_t)(length - sizeof(struct net_ip6)));
}

/* Where the checksum of @protocol is in its header; 0: none that could be computed. */
static uint16_t check_offset(uint8_t protocol)
{
	if (protocol == NET_IP_TCP)
		return offsetof(struct net_tcp, check);
	if (protocol == NET_IP_UDP)
		return offsetof(struct net_udp, check);
	return 0;
}

static void set_partial(struct net_frame *f)
{
	uint16_t offset = check_offset(f->proto.protocol);
	uint32_t length = f->proto.l3 + f->proto.l3_len - f->proto.l4;
	uint16_t sum = net_csum_fold(net_csum_pseudo(f, length));

	memcpy(f->head + f->proto.l4 + offset, &sum, sizeof(sum));
	f->meta.csum = NET_CSUM_PARTIAL;
	f->meta.csum_start = f->proto.l4;
	f->meta.csum_offset = offset;
}

/* The IP packet is all of the frame, whatever its header says. */
static int take_whole_length(struct net_frame *f)
{
	uint32_t length = f->len - f->proto.l3;

	if (length > IP_MAX)
		return -EINVAL;
	put_ip_length(f, length);
	if (f->proto.l3_len != length) {
		f->parsed = false; /* a lie may have hidden headers */
		net_frame_parse(f);
	}
	return 0;
}

/* How @payload bytes are to be cut, if at all. */
static void set_gso(struct net_frame *f, uint32_t mss, uint32_t payload, uint16_t header_len)
{
	const uint8_t *tcp = f->head + f->proto.l4;

	f->meta.gso = NET_GSO_NONE;
	f->meta.gso_ecn = false;
	f->meta.gso_size = f->meta.header_len = 0;
	if (payload <= mss)
		return;
	f->meta.gso = f->proto.version == 4 ? NET_GSO_TCP4 : NET_GSO_TCP6;
	f->meta.gso_ecn = tcp[offsetof(struct net_tcp, flags)] & NET_TCP_CWR;
	f->meta.gso_size = (uint16_t)mss;
	f->meta.header_len = header_len;
}

int net_frame_make_gso(struct net_frame *f, uint32_t mss, bool ip6)
{
	uint16_t header_len;
	uint32_t payload;

	net_frame_parse(f);
	if (f->proto.version != (ip6 ? 6 : 4) || !mss || mss > UINT16_MAX)
		return -EINVAL;
	if (take_whole_length(f) < 0)
		return -EINVAL;
	if (!net_frame_tcp(f, &header_len) || f->proto.routed || f->len <= header_len)
		return -EINVAL;
	payload = f->len - header_len;
	if ((payload - 1) / mss >= NET_GSO_SEGMENTS)
		return -EINVAL;
	if (!ip6)
		put_ip4_check(f);
	set_partial(f);
	set_gso(f, mss, payload, header_len);
	return 0;
}

/* Bytes behind the IP packet are in no checksum of ours, but would be in one of the kernel's. */
static int cut_padding(struct net_frame *f)
{
	uint32_t end = f->proto.l3 + f->proto.l3_len;

	if (ip_length(f) != f->proto.l3_len)
		return -EINVAL;
	if (end == f->len)
		return 0;
	if (f->len != f->head_len)
		return -EINVAL;
	f->len = f->head_len = end;
	return 0;
}

static bool has_checksum(const struct net_frame *f)
{
	uint32_t offset = check_offset(f->proto.protocol), end = f->proto.l4 + offset + 2;

	return offset && f->proto.l4 && !f->proto.fragment && !f->proto.routed &&
	       end <= f->head_len && end <= f->proto.l3 + f->proto.l3_len;
}

int net_frame_make_partial(struct net_frame *f, bool l4, bool ip4_header)
{
	net_frame_parse(f);
	if (!f->proto.l3)
		return -EINVAL;
	if (l4 && (!has_checksum(f) || cut_padding(f) < 0))
		return -EINVAL;
	if (ip4_header && f->proto.version == 4)
		put_ip4_check(f);
	if (l4)
		set_partial(f);
	return 0;
}
