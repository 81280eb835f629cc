/* SPDX-License-Identifier: MIT */
/*
 * Bytes of a VMBus ring as both sides see them (spec: ring, sections 2, 4, 5).
 *
 *   0x0000  control page: struct vmring_ctrl, 4096 bytes
 *   0x1000  data area, N bytes (a multiple of 4096, any such multiple)
 *
 * A packet in the data area, at any multiple of 8, wrapping at N:
 *
 *   descriptor (16) | type header | payload, padded to 8 | trailer (8)
 *   '------------- len8 * 8 ----------------------------'
 *   '---- offset8 * 8 ----------'
 */
#ifndef HVBUS_RINGBUF_RING_LAYOUT_H
#define HVBUS_RINGBUF_RING_LAYOUT_H

#include "base/wire.h"

#define VMRING_PAGE 4096u

struct vmring_ctrl {
	uint32_t write_index;	  /* stored by the ring's writer */
	uint32_t read_index;	  /* stored by the ring's reader */
	uint32_t interrupt_mask;  /* stored by the reader: non-zero = no data signals please */
	uint32_t pending_send_sz; /* stored by the writer: signal me when raw free > this */
	uint32_t reserved[12];
	uint32_t feature_bits; /* VMRING_FEATURE_* */
	uint8_t reserved2[4028];
};
WIRE_SIZE(struct vmring_ctrl, 4096);
WIRE_OFFSET(struct vmring_ctrl, pending_send_sz, 0x0c);
WIRE_OFFSET(struct vmring_ctrl, feature_bits, 0x40);

#define VMRING_FEATURE_PENDING_SEND_SZ 0x1u

enum vmpkt_type {
	VMPKT_INBAND = 6,
	VMPKT_XFER_PAGES = 7, /* host to guest only */
	VMPKT_GPA_DIRECT = 9, /* guest to host only */
	VMPKT_COMPLETION = 11,
};

#define VMPKT_FLAG_COMPLETION_REQUESTED 0x1u

struct vmpkt_desc {
	uint16_t type;
	uint16_t offset8; /* payload start, in units of 8 bytes; >= 2 */
	uint16_t len8;	  /* whole packet without the trailer, same unit */
	uint16_t flags;
	uint64_t trans_id; /* chosen by the sender, echoed in the completion */
} PACKED;
WIRE_SIZE(struct vmpkt_desc, 16);

/* Follows the descriptor of VMPKT_GPA_DIRECT; ranges follow it back to back. */
struct vmpkt_gpa_direct {
	uint32_t reserved;
	uint32_t range_count;
} PACKED;
WIRE_SIZE(struct vmpkt_gpa_direct, 8);

struct vmpkt_gpa_range {
	uint32_t byte_count;
	uint32_t byte_offset; /* in the first page */
	uint64_t pfn[];	      /* ceil((byte_offset + byte_count) / 4096) of them */
} PACKED;
WIRE_SIZE(struct vmpkt_gpa_range, 8);

/* Follows the descriptor of VMPKT_XFER_PAGES. */
struct vmpkt_xfer_pages {
	uint16_t set_id;
	uint8_t sender_owns_set;
	uint8_t reserved;
	uint32_t range_count;
} PACKED;
WIRE_SIZE(struct vmpkt_xfer_pages, 8);

struct vmpkt_xfer_range {
	uint32_t byte_count;
	uint32_t byte_offset; /* in the buffer that set_id stands for */
} PACKED;
WIRE_SIZE(struct vmpkt_xfer_range, 8);

#define VMPKT_TRAILER 8u

/* The largest descriptor + headers + payload that len8 can say. */
#define VMPKT_MAX_LEN (65535u * 8u)

#endif
