/* SPDX-License-Identifier: MIT */
/*
 * Packets with ranges: guest pages (GPA-direct) and sections of a shared buffer
 * (transfer pages), encoded and decoded (spec: ring, sections 5.2, 5.3).
 */
#include "ringbuf/packet.h"

/* Where the ranges start: descriptor plus the type header, equally long in both types. */
#define RANGES_AT ((uint32_t)(sizeof(struct vmpkt_desc) + sizeof(struct vmpkt_gpa_direct)))
_Static_assert(sizeof(struct vmpkt_gpa_direct) == sizeof(struct vmpkt_xfer_pages), "see RANGES_AT");

/* Pages that @count bytes touch, @offset into the first one. */
static uint64_t pages_of(uint32_t count, uint32_t offset)
{
	return ((uint64_t)offset + count + VMRING_PAGE - 1) / VMRING_PAGE;
}

/*
 * Reserves a packet whose payload starts at @hdr, writes its descriptor and
 * payload. The caller fills in the rest and pushes *@total.
 */
static int begin(struct vmring_out *r, uint64_t head, uint64_t trans_id, uint64_t hdr,
		 const void *payload, uint32_t len, uint8_t **pkt, uint32_t *total)
{
	void *p;
	int err;

	if (hdr > VMPKT_MAX_LEN || len > VMPKT_MAX_LEN - hdr)
		return -EMSGSIZE;
	*total = ((uint32_t)hdr + len + 7) & ~7u;
	err = vmring_out_reserve(r, *total, &p);
	if (err)
		return err;
	*pkt = p;
	((vmring_word *)p)[0] = head | vmpkt_head(0, (uint32_t)hdr, *total, 0);
	((vmring_word *)p)[1] = trans_id;
	vmpkt_copy_in(*pkt + hdr, payload, len);
	return 0;
}

/* The type header: its first word differs by type, then comes the number of ranges. */
static void put_type_header(uint8_t *pkt, uint32_t first, uint32_t n)
{
	((vmring_word *)(pkt + sizeof(struct vmpkt_desc)))[0] = first | (uint64_t)n << 32;
}

static uint8_t *put_range(uint8_t *to, uint32_t count, uint32_t offset, const uint64_t *pfn,
			  uint32_t n)
{
	*(vmring_word *)to = count | (uint64_t)offset << 32;
	to += sizeof(struct vmpkt_gpa_range);
	vmring_copy(to, pfn, n * (uint32_t)sizeof(*pfn));
	return to + n * sizeof(*pfn);
}

int vmpkt_put_gpa_direct(struct vmring_out *r, uint16_t flags, uint64_t trans_id,
			 uint32_t byte_count, uint32_t byte_offset, const uint64_t *pfn, uint32_t n,
			 const void *payload, uint32_t len)
{
	struct vmpkt_range_in range = { byte_count, byte_offset, pfn };

	if (n != pages_of(byte_count, byte_offset))
		return -EINVAL;
	return vmpkt_put_gpa_direct_multi(r, flags, trans_id, &range, 1, payload, len);
}

int vmpkt_put_gpa_direct_multi(struct vmring_out *r, uint16_t flags, uint64_t trans_id,
			       const struct vmpkt_range_in *ranges, uint32_t n, const void *payload,
			       uint32_t len)
{
	uint64_t hdr = RANGES_AT;
	uint32_t total, i;
	uint8_t *pkt, *to;
	int err;

	if (n == 0)
		return -EINVAL;
	for (i = 0; i < n; i++) {
		if (ranges[i].byte_count == 0 || ranges[i].byte_offset >= VMRING_PAGE)
			return -EINVAL;
		hdr += sizeof(struct vmpkt_gpa_range) +
		       8 * pages_of(ranges[i].byte_count, ranges[i].byte_offset);
	}
	err = begin(r, vmpkt_head(VMPKT_GPA_DIRECT, 0, 0, flags), trans_id, hdr, payload, len, &pkt,
		    &total);
	if (err)
		return err;
	put_type_header(pkt, 0, n);
	to = pkt + RANGES_AT;
	for (i = 0; i < n; i++)
		to = put_range(to, ranges[i].byte_count, ranges[i].byte_offset, ranges[i].pfn,
			       (uint32_t)pages_of(ranges[i].byte_count, ranges[i].byte_offset));
	vmring_out_push(r, total);
	return 0;
}

int vmpkt_put_xfer_pages(struct vmring_out *r, uint16_t flags, uint64_t trans_id, uint16_t set_id,
			 const struct vmpkt_xfer_range *ranges, uint32_t n, const void *payload,
			 uint32_t len)
{
	uint64_t hdr = RANGES_AT + (uint64_t)n * sizeof(*ranges);
	uint32_t total;
	uint8_t *pkt;
	int err;

	if (n == 0)
		return -EINVAL;
	err = begin(r, vmpkt_head(VMPKT_XFER_PAGES, 0, 0, flags), trans_id, hdr, payload, len, &pkt,
		    &total);
	if (err)
		return err;
	put_type_header(pkt, set_id, n);
	vmring_copy(pkt + RANGES_AT, ranges, n * (uint32_t)sizeof(*ranges));
	vmring_out_push(r, total);
	return 0;
}

static int reject(enum vmring_fault *why, enum vmring_fault reason)
{
	if (why)
		*why = reason;
	return -EPROTO;
}

/* Reads the range at @at if it lies within @len bytes; its length there, or 0. */
static uint32_t range_at(const uint8_t *at, uint32_t len, struct vmpkt_gpa_range *hdr)
{
	uint64_t size;

	if (len < sizeof(*hdr))
		return 0;
	memcpy(hdr, at, sizeof(*hdr));
	if (hdr->byte_offset >= VMRING_PAGE)
		return 0;
	size = sizeof(*hdr) + 8 * pages_of(hdr->byte_count, hdr->byte_offset);
	if (size <= len)
		return (uint32_t)size;
	return hdr->byte_count ? 0 : sizeof(*hdr); /* nothing asked for, no page needed */
}

/* The second half of vmpkt_decode(): @out has everything but the ranges. */
int vmpkt_decode_ranges(struct vmpkt *out, const uint8_t *copy, enum vmring_fault *why)
{
	uint32_t hdr = (uint32_t)(out->payload - copy), room, i;
	struct vmpkt_gpa_range range;
	uint32_t first, count;

	if (hdr < RANGES_AT)
		return reject(why, VMRING_BAD_OFFSET);
	room = hdr - RANGES_AT;
	memcpy(&first, copy + sizeof(struct vmpkt_desc), sizeof(first));
	memcpy(&count, copy + sizeof(struct vmpkt_desc) + sizeof(first), sizeof(count));
	/* Before anybody sizes anything by it: each range takes eight bytes at least. */
	if (count > room / 8)
		return reject(why, VMRING_BAD_RANGES);
	out->range_count = count;
	out->ranges = copy + RANGES_AT;
	if (out->type == VMPKT_XFER_PAGES) {
		if (count == 0)
			return reject(why, VMRING_BAD_RANGES);
		out->xfer_set_id = (uint16_t)first;
		out->ranges_len = count * (uint32_t)sizeof(struct vmpkt_xfer_range);
		return 0;
	}
	for (i = 0; i < count; i++) {
		uint32_t size = range_at(out->ranges + out->ranges_len, room, &range);

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
	size = range_at(p->ranges + *cursor, p->ranges_len - *cursor, &range);
	if (size == 0)
		return false;
	*byte_count = range.byte_count;
	*byte_offset = range.byte_offset;
	*pfn = (const uint64_t *)(const void *)(p->ranges + *cursor + sizeof(range));
	*npfn = (size - (uint32_t)sizeof(range)) / 8;
	*cursor += size;
	return true;
}
