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
static inline int vmpkt_put_inband(struct vmring_out *r, uint16_t flags, uint64_t trans_id,
				   const void *payload, uint32_t len);
static inline int vmpkt_put_completion(struct vmring_out *r, uint64_t trans_id, const void *payload,
				       uint32_t len);

/* One range of @byte_count bytes, starting @byte_offset into the first of @n pages. */
int vmpkt_put_gpa_direct(struct vmring_out *r, uint16_t flags, uint64_t trans_id,
			 uint32_t byte_count, uint32_t byte_offset, const uint64_t *pfn, uint32_t n,
			 const void *payload, uint32_t len);

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
	uint16_t type, flags;
	uint64_t trans_id;
	const uint8_t *payload;
	uint32_t payload_len;
	uint32_t range_count;  /* GPA-direct and transfer pages; else 0 */
	const uint8_t *ranges; /* first range header; walk with vmpkt_next_range() */
	uint32_t ranges_len;   /* bytes of the ranges; a gap before the payload not counted */
	uint16_t xfer_set_id;  /* transfer pages only */
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

/* ---- per-packet paths ------------------------------------------------------------ */

int vmpkt_decode_ranges(struct vmpkt *out, const uint8_t *copy, enum vmring_fault *why);

/* Bytes in front of a payload of an in-band packet or a completion. */
#define VMPKT_HEADER ((uint32_t)sizeof(struct vmpkt_desc))

/* The first eight bytes of a packet, as one store. */
static inline uint64_t vmpkt_head(uint16_t type, uint32_t hdr, uint32_t len, uint16_t flags)
{
	return type | (uint64_t)(hdr / 8) << 16 | (uint64_t)(len / 8) << 32 | (uint64_t)flags << 48;
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
	uint32_t rest = len % 8, whole = len - rest;

	vmring_copy(dst, src, whole);
	if (rest)
		*(vmring_word *)(dst + whole) = vmpkt_tail(src + len, rest, whole);
}

ALWAYS_INLINE int vmpkt_put_simple(struct vmring_out *r, uint16_t type, uint16_t flags,
				   uint64_t trans_id, const void *payload, uint32_t len)
{
	uint32_t total;
	void *pkt;
	int err;

	if (unlikely(len > VMPKT_MAX_LEN - VMPKT_HEADER))
		return -EMSGSIZE;
	total = (VMPKT_HEADER + len + 7) & ~7u;
	err = vmring_out_reserve(r, total, &pkt);
	if (unlikely(err))
		return err;
	((vmring_word *)pkt)[0] = vmpkt_head(type, VMPKT_HEADER, total, flags);
	((vmring_word *)pkt)[1] = trans_id;
	vmpkt_copy_in((uint8_t *)pkt + VMPKT_HEADER, payload, len);
	vmring_out_push(r, total);
	return 0;
}

static inline int vmpkt_put_inband(struct vmring_out *r, uint16_t flags, uint64_t trans_id,
				   const void *payload, uint32_t len)
{
	return vmpkt_put_simple(r, VMPKT_INBAND, flags, trans_id, payload, len);
}

static inline int vmpkt_put_completion(struct vmring_out *r, uint64_t trans_id, const void *payload,
				       uint32_t len)
{
	return vmpkt_put_simple(r, VMPKT_COMPLETION, 0, trans_id, payload, len);
}

static inline int vmpkt_decode(struct vmpkt *out, const void *copy, const struct vmpkt_desc *desc,
			       enum vmring_fault *why)
{
	uint32_t start = desc->offset8 * 8u;

	*out = (struct vmpkt){
		.type = desc->type,
		.flags = desc->flags,
		.trans_id = desc->trans_id,
		.payload = (const uint8_t *)copy + start,
		.payload_len = desc->len8 * 8u - start,
	};
	if (desc->type != VMPKT_GPA_DIRECT && desc->type != VMPKT_XFER_PAGES)
		return 0;
	return vmpkt_decode_ranges(out, copy, why);
}

#endif
