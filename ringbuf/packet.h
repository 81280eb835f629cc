/* SPDX-License-Identifier: MIT */
/*
 * Packets on a ring: encoders that write in place, and a decoder that works on a
 * private copy only (spec: ring, sections 4, 5, 12).
 */
#ifndef HVBUS_RINGBUF_PACKET_H
#define HVBUS_RINGBUF_PACKET_H

#include "ringbuf/ring.h"

/*
 * Queue one packet (visible to the peer at vmring_out_commit()). Padding is
 * zeroed. Errors as vmring_out_reserve(); -EINVAL for ranges that the wire cannot
 * express. @flags: VMPKT_FLAG_*.
 */
ALWAYS_INLINE int vmpkt_put_inband(struct vmring_out *r, uint16_t flags, uint64_t trans_id,
				   const void *payload, uint32_t len);
ALWAYS_INLINE int vmpkt_put_completion(struct vmring_out *r, uint64_t trans_id, const void *payload,
				       uint32_t len);

/* Pages that @byte_count bytes touch, @byte_offset into the first one. */
static inline uint64_t vmpkt_pages(uint32_t byte_count, uint32_t byte_offset);

/* One range of @byte_count bytes, starting @byte_offset into the first of @n pages. */
int vmpkt_put_gpa_direct(struct vmring_out *r, uint16_t flags, uint64_t trans_id,
			 uint32_t byte_count, uint32_t byte_offset, const uint64_t *pfn, uint32_t n,
			 const void *payload, uint32_t len);

/*
 * The same with blanks, for a caller that builds the packet where it goes: at *@pfn the
 * page numbers, all vmpkt_pages() of them, then @len bytes of payload. To be filled in
 * before the commit, and never to be read back: the peer may write there.
 */
ALWAYS_INLINE int vmpkt_put_gpa_blank(struct vmring_out *r, uint16_t flags, uint64_t trans_id,
				      uint32_t byte_count, uint32_t byte_offset, uint32_t len,
				      uint64_t **pfn);

struct vmpkt_range_in { /* one range to encode */
	uint32_t byte_count, byte_offset;
	const uint64_t *pfn;
};
int vmpkt_put_gpa_direct_multi(struct vmring_out *r, uint16_t flags, uint64_t trans_id,
			       const struct vmpkt_range_in *ranges, uint32_t n, const void *payload,
			       uint32_t len);

int vmpkt_put_xfer_pages(struct vmring_out *r, uint16_t flags, uint64_t trans_id, uint16_t set_id,
			 const struct vmpkt_xfer_range *ranges, uint32_t n, const void *payload,
			 uint32_t len);

/*
 * A packet decoded from a private copy. Pointers point into that copy.
 * @payload_len is rounded up to 8 as on the wire.
 */
struct vmpkt {
	uint16_t type;
	uint16_t xfer_set_id; /* transfer pages only */
	uint64_t trans_id;
	const uint8_t *payload;
	uint32_t payload_len;
	uint32_t range_count;  /* GPA-direct and transfer pages; else 0 */
	const uint8_t *ranges; /* first range header; walk with vmpkt_next_range() */
	uint32_t ranges_len;   /* bytes of the ranges; a gap before the payload not counted */
	uint16_t flags;
};

/*
 * Decodes @copy, a private, 8-byte aligned copy of desc->len8 * 8 bytes, of which
 * the descriptor is not looked at: @desc, as validated by vmring_in_peek(), counts.
 * Every range is walked and checked: count fits the header, byte_offset < 4096,
 * page list complete. A GPA-direct packet may have no ranges, or empty ones (with
 * or without a page): whether the operation needs data
 * is the device's question (spec: hostile cases P03, P06). Transfer pages have at
 * least one range. 0 or -EPROTO, with the reason in *@why (may be NULL).
 */
static inline int vmpkt_decode(struct vmpkt *out, const void *copy, const struct vmpkt_desc *desc,
			       enum vmring_fault *why);

/*
 * Iterates GPA-direct ranges of a decoded packet: *@cursor starts at 0. Returns
 * true and the range's fields; @pfn points into the copy (8-byte aligned when the
 * copy is), @npfn entries.
 */
bool vmpkt_next_range(const struct vmpkt *p, uint32_t *cursor, uint32_t *byte_count,
		      uint32_t *byte_offset, const uint64_t **pfn, uint32_t *npfn);

/*
 * The first range of a GPA-direct packet that has ranges (range_count > 0) without a
 * walk: vmpkt_decode() has checked that its pages are there. @npfn is exact when it is
 * the only range, otherwise it covers the others too: @byte_count limits.
 */
static inline void vmpkt_first_range(const struct vmpkt *p, uint32_t *byte_count,
				     uint32_t *byte_offset, const uint64_t **pfn, uint32_t *npfn);

/* ---- per-packet paths ------------------------------------------------------------ */

int vmpkt_decode_ranges(struct vmpkt *out, const uint8_t *copy, enum vmring_fault *why);

/* Bytes in front of a payload of an in-band packet or a completion. */
#define VMPKT_HEADER	((uint32_t)sizeof(struct vmpkt_desc))

/* Where ranges start: descriptor plus the type header, equally long in both types. */
#define VMPKT_RANGES_AT ((uint32_t)(sizeof(struct vmpkt_desc) + sizeof(struct vmpkt_gpa_direct)))
_Static_assert(sizeof(struct vmpkt_gpa_direct) == sizeof(struct vmpkt_xfer_pages),
	       "see VMPKT_RANGES_AT");

static inline uint64_t vmpkt_pages(uint32_t byte_count, uint32_t byte_offset)
{
	return ((uint64_t)byte_offset + byte_count + VMRING_PAGE - 1) / VMRING_PAGE;
}

/* Bytes in front of the payload of a GPA-direct packet with one range. */
static inline uint32_t vmpkt_gpa_header(uint32_t byte_count, uint32_t byte_offset)
{
	return VMPKT_RANGES_AT + (uint32_t)sizeof(struct vmpkt_gpa_range) +
	       8 * (uint32_t)vmpkt_pages(byte_count, byte_offset);
}

/* All of a packet but the trailer; more than VMPKT_MAX_LEN when that is too much. */
static inline uint32_t vmpkt_total(uint32_t hdr, uint32_t len)
{
	return likely(len <= VMPKT_MAX_LEN) ? (hdr + len + 7) & ~7u : UINT32_MAX;
}

/* The first eight bytes of a packet, as one store. */
static inline uint64_t vmpkt_head(uint16_t type, uint64_t hdr, uint64_t len, uint16_t flags)
{
	return type | hdr / 8 << 16 | len / 8 << 32 | (uint64_t)flags << 48;
}

/* The last @n (1..7) bytes before @end as a word, zeros above; @whole: seven more precede. */
ALWAYS_INLINE uint64_t vmpkt_tail(const uint8_t *end, uint32_t n, bool whole)
{
	uint64_t word = 0;
	uint32_t half;
	uint16_t quarter;

	/*
	 * In registers: bytes gathered in memory and read back as a word would have
	 * to wait until every store of the payload before them is done.
	 */
	if (likely(whole)) {
		memcpy(&word, end - 8, 8);
		return word >> (8 - n) * 8;
	}
	if (n & 1)
		word = *--end;
	if (n & 2) {
		end -= 2;
		memcpy(&quarter, end, 2);
		word = word << 16 | quarter;
	}
	if (n & 4) {
		memcpy(&half, end - 4, 4);
		word = word << 32 | half;
	}
	return word;
}

/* Copies a payload of any length, with zeros up to the next multiple of 8. */
ALWAYS_INLINE void vmpkt_copy_in(uint8_t *dst, const void *payload, uint32_t len)
{
	const uint8_t *src = payload;
	uint32_t rest = len % 8, whole = len & ~7u;

	vmring_copy(dst, src, whole);
	if (rest)
		*(vmring_word *)(dst + whole) = vmpkt_tail(src + len, rest, whole);
}

/*
 * Queues a packet of @len bytes of payload behind @hdr bytes, descriptor and trailer
 * filled in: the rest is the caller's, at **@pkt. Ends the packet first of all, while
 * what reserve has loaded is still at hand: stores to the ring could be stores to @r
 * as far as the compiler knows.
 */
ALWAYS_INLINE int vmpkt_begin(struct vmring_out *r, uint16_t type, uint16_t flags,
			      uint64_t trans_id, uint32_t hdr, uint32_t len, uint8_t **pkt)
{
	uint32_t total = vmpkt_total(hdr, len);
	void *p;
	int err;

	if (unlikely(total > VMPKT_MAX_LEN))
		return -EMSGSIZE;
	err = vmring_out_reserve(r, total, &p);
	if (unlikely(err))
		return err;
	vmring_out_push(r, total);
	((vmring_word *)p)[0] = vmpkt_head(type, hdr, total, flags);
	((vmring_word *)p)[1] = trans_id;
	*pkt = p;
	return 0;
}

ALWAYS_INLINE int vmpkt_put_simple(struct vmring_out *r, uint16_t type, uint16_t flags,
				   uint64_t trans_id, const void *payload, uint32_t len)
{
	uint8_t *pkt;
	int err = vmpkt_begin(r, type, flags, trans_id, VMPKT_HEADER, len, &pkt);

	if (likely(!err))
		vmpkt_copy_in(pkt + VMPKT_HEADER, payload, len);
	return err;
}

ALWAYS_INLINE int vmpkt_put_inband(struct vmring_out *r, uint16_t flags, uint64_t trans_id,
				   const void *payload, uint32_t len)
{
	return vmpkt_put_simple(r, VMPKT_INBAND, flags, trans_id, payload, len);
}

ALWAYS_INLINE int vmpkt_put_completion(struct vmring_out *r, uint64_t trans_id, const void *payload,
				       uint32_t len)
{
	return vmpkt_put_simple(r, VMPKT_COMPLETION, 0, trans_id, payload, len);
}

/* The type header: its first word differs by type, then comes the number of ranges. */
static inline void vmpkt_put_type_header(uint8_t *pkt, uint32_t first, uint32_t n)
{
	*(vmring_word *)(pkt + sizeof(struct vmpkt_desc)) = first | (uint64_t)n << 32;
}

/* Returns where the range's page numbers go. */
static inline uint64_t *vmpkt_put_range_header(uint8_t *to, uint32_t byte_count,
					       uint32_t byte_offset)
{
	*(vmring_word *)to = byte_count | (uint64_t)byte_offset << 32;
	return (uint64_t *)(void *)(to + sizeof(struct vmpkt_gpa_range));
}

ALWAYS_INLINE int vmpkt_put_gpa_blank(struct vmring_out *r, uint16_t flags, uint64_t trans_id,
				      uint32_t byte_count, uint32_t byte_offset, uint32_t len,
				      uint64_t **pfn)
{
	uint32_t hdr = vmpkt_gpa_header(byte_count, byte_offset);
	uint8_t *pkt;
	int err;

	if (unlikely(!byte_count || byte_offset >= VMRING_PAGE))
		return -EINVAL;
	err = vmpkt_begin(r, VMPKT_GPA_DIRECT, flags, trans_id, hdr, len, &pkt);
	if (unlikely(err))
		return err;
	vmpkt_put_type_header(pkt, 0, 1);
	*pfn = vmpkt_put_range_header(pkt + VMPKT_RANGES_AT, byte_count, byte_offset);
	if (len % 8)
		*(vmring_word *)(pkt + hdr + (len & ~7u)) = 0; /* its end is padding */
	return 0;
}

/* Reads the range at @at if it lies within @len bytes; its length there, or 0. */
ALWAYS_INLINE uint32_t vmpkt_range_at(const uint8_t *at, uint32_t len,
				      struct vmpkt_gpa_range *range)
{
	uint64_t size;

	if (unlikely(len < sizeof(*range)))
		return 0;
	memcpy(range, at, sizeof(*range));
	if (unlikely(range->byte_offset >= VMRING_PAGE))
		return 0;
	size = sizeof(*range) + 8 * vmpkt_pages(range->byte_count, range->byte_offset);
	if (likely(size <= len))
		return (uint32_t)size;
	return range->byte_count ? 0 : sizeof(*range); /* nothing asked for, no page needed */
}

/* What nearly every GPA-direct packet has: one range, and a good one. */
ALWAYS_INLINE bool vmpkt_decode_one_range(struct vmpkt *out, const uint8_t *copy, uint32_t hdr)
{
	struct vmpkt_gpa_direct type_header;
	struct vmpkt_gpa_range range;

	if (out->type != VMPKT_GPA_DIRECT || hdr < VMPKT_RANGES_AT)
		return false;
	memcpy(&type_header, copy + sizeof(struct vmpkt_desc), sizeof(type_header));
	if (type_header.range_count != 1)
		return false;
	out->range_count = 1;
	out->ranges = copy + VMPKT_RANGES_AT;
	out->ranges_len = vmpkt_range_at(out->ranges, hdr - VMPKT_RANGES_AT, &range);
	return out->ranges_len;
}

/*
 * vmpkt_decode() of what needs no loop: false when there are any other ranges than a
 * single good one. @desc is not asked for its trans_id.
 */
ALWAYS_INLINE bool vmpkt_decode_simple(struct vmpkt *out, const uint8_t *copy,
				       const struct vmpkt_desc *desc, uint64_t trans_id)
{
	uint32_t start = desc->offset8 * 8u;

	*out = (struct vmpkt){
		.type = desc->type,
		.flags = desc->flags,
		.trans_id = trans_id,
		.payload = copy + start,
		.payload_len = desc->len8 * 8u - start,
	};
	if (desc->type != VMPKT_GPA_DIRECT && desc->type != VMPKT_XFER_PAGES)
		return true;
	return likely(vmpkt_decode_one_range(out, copy, start));
}

static inline int vmpkt_decode(struct vmpkt *out, const void *copy, const struct vmpkt_desc *desc,
			       enum vmring_fault *why)
{
	if (likely(vmpkt_decode_simple(out, copy, desc, desc->trans_id)))
		return 0;
	return vmpkt_decode_ranges(out, copy, why);
}

static inline void vmpkt_first_range(const struct vmpkt *p, uint32_t *byte_count,
				     uint32_t *byte_offset, const uint64_t **pfn, uint32_t *npfn)
{
	struct vmpkt_gpa_range range;

	memcpy(&range, p->ranges, sizeof(range));
	*byte_count = range.byte_count;
	*byte_offset = range.byte_offset;
	*pfn = (const uint64_t *)(const void *)(p->ranges + sizeof(range));
	*npfn = (p->ranges_len - (uint32_t)sizeof(range)) / 8;
}

#endif
