/* SPDX-License-Identifier: MIT */
/*
 * Packets with ranges: guest pages (GPA-direct) and sections of a shared buffer
 * (transfer pages), encoded and decoded (spec: ring, sections 5.2, 5.3).
 */
#include "ringbuf/packet.h"

int vmpkt_put_gpa_direct(struct vmring_out *r, uint16_t flags, uint64_t trans_id,
			 uint32_t byte_count, uint32_t byte_offset, const uint64_t *pfn, uint32_t n,
			 const void *payload, uint32_t len)
{
	uint64_t *to;
	int err;

	if (n != vmpkt_pages(byte_count, byte_offset))
		return -EINVAL;
	err = vmpkt_put_gpa_blank(r, flags, trans_id, byte_count, byte_offset, len, &to);
	if (err)
		return err;
	vmring_copy(to, pfn, n * (uint32_t)sizeof(*pfn));
	vmpkt_copy_in((uint8_t *)(to + n), payload, len);
	return 0;
}

static uint8_t *put_range(uint8_t *to, const struct vmpkt_range_in *range)
{
	uint64_t *pfn = vmpkt_put_range_header(to, range->byte_count, range->byte_offset);
	uint64_t n = vmpkt_pages(range->byte_count, range->byte_offset);

	vmring_copy(pfn, range->pfn, (uint32_t)n * (uint32_t)sizeof(*pfn));
	return (uint8_t *)(pfn + n);
}

int vmpkt_put_gpa_direct_multi(struct vmring_out *r, uint16_t flags, uint64_t trans_id,
			       const struct vmpkt_range_in *ranges, uint32_t n, const void *payload,
			       uint32_t len)
{
	uint64_t hdr = VMPKT_RANGES_AT;
	uint32_t i;
	uint8_t *pkt, *to;
	int err;

	if (n == 0)
		return -EINVAL;
	for (i = 0; i < n; i++) {
		if (ranges[i].byte_count == 0 || ranges[i].byte_offset >= VMRING_PAGE)
			return -EINVAL;
		hdr += sizeof(struct vmpkt_gpa_range) +
		       8 * vmpkt_pages(ranges[i].byte_count, ranges[i].byte_offset);
	}
	if (hdr > VMPKT_MAX_LEN)
		return -EMSGSIZE;
	err = vmpkt_begin(r, VMPKT_GPA_DIRECT, flags, trans_id, (uint32_t)hdr, len, &pkt);
	if (err)
		return err;
	vmpkt_put_type_header(pkt, 0, n);
	to = pkt + VMPKT_RANGES_AT;
	for (i = 0; i < n; i++)
		to = put_range(to, &ranges[i]);
	vmpkt_copy_in(to, payload, len);
	return 0;
}

int vmpkt_put_xfer_pages(struct vmring_out *r, uint16_t flags, uint64_t trans_id, uint16_t set_id,
			 const struct vmpkt_xfer_range *ranges, uint32_t n, const void *payload,
			 uint32_t len)
{
	uint64_t hdr = VMPKT_RANGES_AT + (uint64_t)n * sizeof(*ranges);
	uint8_t *pkt;
	int err;

	if (n == 0)
		return -EINVAL;
	if (hdr > VMPKT_MAX_LEN)
		return -EMSGSIZE;
	err = vmpkt_begin(r, VMPKT_XFER_PAGES, flags, trans_id, (uint32_t)hdr, len, &pkt);
	if (err)
		return err;
	vmpkt_put_type_header(pkt, set_id, n);
	vmring_copy(pkt + VMPKT_RANGES_AT, ranges, n * (uint32_t)sizeof(*ranges));
	vmpkt_copy_in(pkt + hdr, payload, len);
	return 0;
}

static int reject(enum vmring_fault *why, enum vmring_fault reason)
{
	if (why)
		*why = reason;
	return -EPROTO;
}

/* The second half of vmpkt_decode(): @out has everything but the ranges. */
int vmpkt_decode_ranges(struct vmpkt *out, const uint8_t *copy, enum vmring_fault *why)
{
	uint32_t hdr = (uint32_t)(out->payload - copy), room, i;
	struct vmpkt_gpa_range range;
	uint32_t first, count;

	if (hdr < VMPKT_RANGES_AT)
		return reject(why, VMRING_BAD_OFFSET);
	room = hdr - VMPKT_RANGES_AT;
	memcpy(&first, copy + sizeof(struct vmpkt_desc), sizeof(first));
	memcpy(&count, copy + sizeof(struct vmpkt_desc) + sizeof(first), sizeof(count));
	/* Before anybody sizes anything by it: each range takes eight bytes at least. */
	if (count > room / 8)
		return reject(why, VMRING_BAD_RANGES);
	out->range_count = count;
	out->ranges = copy + VMPKT_RANGES_AT;
	out->ranges_len = 0;
	if (out->type == VMPKT_XFER_PAGES) {
		if (count == 0)
			return reject(why, VMRING_BAD_RANGES);
		out->xfer_set_id = (uint16_t)first;
		out->ranges_len = count * (uint32_t)sizeof(struct vmpkt_xfer_range);
		return 0;
	}
	for (i = 0; i < count; i++) {
		uint32_t size = vmpkt_range_at(out->ranges + out->ranges_len, room, &range);

		if (size == 0)
			return reject(why, VMRING_BAD_RANGES);
		out->ranges_len += size;
		room -= size;
	}
	return 0;
}

bool vmpkt_next_range(const struct vmpkt *p, uint32_t *cursor, uint32_t *byte_count,
		      uint32_t *byte_offset, const uint64_t **pfn, uint32_t *npfn)
{
	struct vmpkt_gpa_range range;
	uint32_t size;

	if (p->type != VMPKT_GPA_DIRECT || *cursor >= p->ranges_len)
		return false;
	size = vmpkt_range_at(p->ranges + *cursor, p->ranges_len - *cursor, &range);
	if (size == 0)
		return false;
	*byte_count = range.byte_count;
	*byte_offset = range.byte_offset;
	*pfn = (const uint64_t *)(const void *)(p->ranges + *cursor + sizeof(range));
	*npfn = (size - (uint32_t)sizeof(range)) / 8;
	*cursor += size;
	return true;
}
