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
int vmpkt_put_inband(struct vmring_out *r, uint16_t flags, uint64_t trans_id,
		     const void *payload, uint32_t len);
int vmpkt_put_completion(struct vmring_out *r, uint64_t trans_id, const void *payload,
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
	uint32_t range_count;	/* GPA-direct and transfer pages; else 0 */
	const uint8_t *ranges;	/* first range header; walk with vmpkt_next_range() */
	uint32_t ranges_len;	/* bytes from @ranges to the payload */
	uint16_t xfer_set_id;	/* transfer pages only */
};

/*
 * Decodes @copy, a private copy of desc->len8 * 8 bytes whose descriptor is
 * replaced by the validated @desc. Every range is walked and checked: count fits
 * the header, byte_count >= 1, byte_offset < 4096, page list complete.
 * 0 or -EPROTO, with the reason in *@why (may be NULL).
 */
int vmpkt_decode(struct vmpkt *out, const void *copy, const struct vmpkt_desc *desc,
		 enum vmring_fault *why);

/*
 * Iterates GPA-direct ranges of a decoded packet: *@cursor starts at 0. Returns
 * true and the range's fields; @pfn points into the copy (8-byte aligned when the
 * copy is), @npfn entries.
 */
bool vmpkt_next_range(const struct vmpkt *p, uint32_t *cursor, uint32_t *byte_count,
		      uint32_t *byte_offset, const uint64_t **pfn, uint32_t *npfn);

#endif
