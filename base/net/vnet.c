/* SPDX-License-Identifier: MIT */
/* The kernel's offload header, to and from our metadata. */
#include <errno.h>

#include "base/net/csum.h"
#include "base/net/ip.h"
#include "base/net/vnet.h"

_Static_assert(sizeof(struct virtio_net_hdr) == 10, "the form without the number of buffers");

void net_vnet_put(struct virtio_net_hdr *h, const struct net_frame *f)
{
	const struct net_meta *m = &f->meta;

	*h = (struct virtio_net_hdr){ 0 };
	if (m->csum == NET_CSUM_GOOD)
		h->flags = VIRTIO_NET_HDR_F_DATA_VALID;
	if (m->csum != NET_CSUM_PARTIAL)
		return;
	h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	h->csum_start = m->csum_start;
	h->csum_offset = m->csum_offset;
	if (m->gso == NET_GSO_NONE)
		return;
	h->gso_type = m->gso == NET_GSO_TCP4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
	if (m->gso_ecn)
		h->gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	h->hdr_len = m->header_len;
	h->gso_size = m->gso_size;
}

/* Where a TCP or UDP checksum of a whole packet is; 0: it is not one. */
static uint32_t plain_check_offset(const struct net_frame *f)
{
	if (!f->proto.l4 || f->proto.fragment)
		return 0;
	if (f->proto.protocol == NET_IP_TCP)
		return offsetof(struct net_tcp, check);
	if (f->proto.protocol == NET_IP_UDP)
		return offsetof(struct net_udp, check);
	return 0;
}

static int get_gso(struct net_frame *f, const struct virtio_net_hdr *h, uint8_t type)
{
	int rc;

	if (type != VIRTIO_NET_HDR_GSO_TCPV4 && type != VIRTIO_NET_HDR_GSO_TCPV6)
		return -EOPNOTSUPP;
	rc = net_frame_make_gso(f, h->gso_size, type == VIRTIO_NET_HDR_GSO_TCPV6);
	if (rc < 0)
		return rc;
	if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM &&
	    (h->csum_start != f->meta.csum_start || h->csum_offset != f->meta.csum_offset))
		return -EINVAL;
	if (f->meta.gso != NET_GSO_NONE && h->gso_type & VIRTIO_NET_HDR_GSO_ECN)
		f->meta.gso_ecn = true;
	return 0;
}

static int get_partial(struct net_frame *f, const struct virtio_net_hdr *h)
{
	uint32_t offset = plain_check_offset(f), start = h->csum_start;
	uint32_t end = start + h->csum_offset + (uint32_t)sizeof(uint16_t);

	if (start < NET_ETH_LEN || end > f->head_len)
		return -EINVAL;
	f->meta.csum = NET_CSUM_PARTIAL;
	f->meta.csum_start = h->csum_start;
	f->meta.csum_offset = h->csum_offset;
	if (offset && start == f->proto.l4 && h->csum_offset == offset &&
	    f->proto.l3 + f->proto.l3_len == f->len)
		return 0;
	net_csum_complete(f);
	if (f->meta.csum == NET_CSUM_PARTIAL)
		return -EINVAL;		 /* behind the end of its packet */
	f->meta.csum = NET_CSUM_UNKNOWN; /* for the headers that a receiver looks at */
	f->meta.csum_start = f->meta.csum_offset = 0;
	return 0;
}

int net_vnet_get(struct net_frame *f, const struct virtio_net_hdr *h)
{
	uint8_t type = h->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;

	if (h->hdr_len > f->len) /* else it is a hint, and often more than the headers */
		return -EINVAL;
	net_frame_parse(f);
	if (type != VIRTIO_NET_HDR_GSO_NONE)
		return get_gso(f, h, type);
	if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		return get_partial(f, h);
	if (h->flags & VIRTIO_NET_HDR_F_DATA_VALID && plain_check_offset(f))
		f->meta.csum = NET_CSUM_GOOD;
	return 0;
}
