/* SPDX-License-Identifier: MIT */
/*
 * VMBus control messages as they travel (spec: vmbus, sections 1 to 9). Passive:
 * structures, numbers, sizes. What may be sent when is in vmbus/msg.h.
 *
 *   offset 0   struct vmbus_msg_hdr: type, padding
 *   offset 8   fields of the type
 *
 * A message is at most VMBUS_MSG_MAX bytes: the payload of one SynIC message.
 */
#ifndef HVBUS_VMBUS_WIRE_VMBUS_MSG_H
#define HVBUS_VMBUS_WIRE_VMBUS_MSG_H

#include "base/guid.h"
#include "base/wire.h"

#define VMBUS_MSG_MAX		240u
#define VMBUS_USER_DATA		120 /* bytes of user-defined data in an offer and in an open */

/* ---- numbers ---------------------------------------------------------------- */

/* Section 3.1: (major << 16) | minor. */
#define VMBUS_V0_13		0x0000000du
#define VMBUS_V1_1		0x00010001u
#define VMBUS_V2_4		0x00020004u
#define VMBUS_V3_0		0x00030000u
#define VMBUS_V4_0		0x00040000u
#define VMBUS_V4_1		0x00040001u
#define VMBUS_V5_0		0x00050000u
#define VMBUS_V5_1		0x00050001u
#define VMBUS_V5_2		0x00050002u
#define VMBUS_V5_3		0x00050003u
#define VMBUS_V6_0		0x00060000u

/* Section 13. */
#define VMBUS_MAX_RELID		2047u	    /* 1 .. 2047; event flag 0 is reserved */
#define VMBUS_NO_VP		0xffffffffu /* target_vp: never interrupt */
#define VMBUS_NO_MONITOR	0xffu
#define VMBUS_GPADL_HEADER_PFNS 26u
#define VMBUS_GPADL_BODY_PFNS	28u
#define VMBUS_GPADL_MAX_PFNS	8190u /* of one range: range_buflen is 16 bits wide */
#define VMBUS_PAGE_SIZE		4096u

enum vmbus_status {
	VMBUS_STATUS_SUCCESS = 0,
	VMBUS_STATUS_FAILED = 0x8000ffff,
	VMBUS_STATUS_CONNECTION_REFUSED = 0xc0000236,
};

/* Section 4.2. */
#define VMBUS_OFFER_ENUMERATE 0x0001u
#define VMBUS_OFFER_PIPE      0x0010u /* user data begins with struct vmbus_pipe_offer */
#define VMBUS_OFFER_HVSOCK    0x2000u

#define VMBUS_PIPE_BYTE	      0u
#define VMBUS_PIPE_MESSAGE    4u

/* ---- messages ------------------------------------------------------------------ */

struct vmbus_msg_hdr {
	uint32_t type;
	uint32_t padding; /* 0; ignored by the receiver */
} PACKED;
WIRE_SIZE(struct vmbus_msg_hdr, 8);

struct vmbus_msg_offer {
	struct vmbus_msg_hdr hdr;
	struct guid type, instance;
	uint64_t reserved[2];
	uint16_t flags;
	uint16_t mmio_megabytes;
	uint8_t user[VMBUS_USER_DATA];
	uint16_t sub_index; /* 0 = primary */
	uint16_t mmio_megabytes_optional;
	uint32_t relid;
	uint8_t monitor_id;
	uint8_t monitor_allocated;    /* bit 0 */
	uint16_t dedicated_interrupt; /* bit 0 */
	uint32_t connection_id;
} PACKED;
WIRE_SIZE(struct vmbus_msg_offer, 196);
WIRE_OFFSET(struct vmbus_msg_offer, flags, 56);
WIRE_OFFSET(struct vmbus_msg_offer, user, 60);
WIRE_OFFSET(struct vmbus_msg_offer, relid, 184);
WIRE_OFFSET(struct vmbus_msg_offer, connection_id, 192);

/* RESCIND_CHANNELOFFER, CLOSECHANNEL, RELID_RELEASED. */
struct vmbus_msg_relid {
	struct vmbus_msg_hdr hdr;
	uint32_t relid;
} PACKED;
WIRE_SIZE(struct vmbus_msg_relid, 12);

struct vmbus_msg_open {
	struct vmbus_msg_hdr hdr;
	uint32_t relid;
	uint32_t open_id; /* echoed in the result */
	uint32_t gpadl;
	uint32_t target_vp;
	uint32_t downstream_page; /* first page of the host-to-guest ring */
	uint8_t user[VMBUS_USER_DATA];
} PACKED;
WIRE_SIZE(struct vmbus_msg_open, 148);

struct vmbus_msg_open_result {
	struct vmbus_msg_hdr hdr;
	uint32_t relid;
	uint32_t open_id;
	uint32_t status;
} PACKED;
WIRE_SIZE(struct vmbus_msg_open_result, 20);

/* Followed by the first part of the range buffer, which is not 8-byte aligned here. */
struct vmbus_msg_gpadl_header {
	struct vmbus_msg_hdr hdr;
	uint32_t relid;
	uint32_t gpadl;
	uint16_t range_buflen; /* bytes of all ranges */
	uint16_t rangecount;
} PACKED;
WIRE_SIZE(struct vmbus_msg_gpadl_header, 20);

/* One range of the range buffer: this, then one u64 PFN per page touched. */
struct vmbus_gpa_range {
	uint32_t byte_count;
	uint32_t byte_offset;
} PACKED;
WIRE_SIZE(struct vmbus_gpa_range, 8);

/* Followed by the next qwords of the range buffer. */
struct vmbus_msg_gpadl_body {
	struct vmbus_msg_hdr hdr;
	uint32_t msgnumber; /* ignored: arrival order counts */
	uint32_t gpadl;
} PACKED;
WIRE_SIZE(struct vmbus_msg_gpadl_body, 16);

struct vmbus_msg_gpadl_created {
	struct vmbus_msg_hdr hdr;
	uint32_t relid;
	uint32_t gpadl;
	uint32_t status;
} PACKED;
WIRE_SIZE(struct vmbus_msg_gpadl_created, 20);

struct vmbus_msg_gpadl_teardown {
	struct vmbus_msg_hdr hdr;
	uint32_t relid;
	uint32_t gpadl;
} PACKED;
WIRE_SIZE(struct vmbus_msg_gpadl_teardown, 16);

struct vmbus_msg_gpadl_torndown {
	struct vmbus_msg_hdr hdr;
	uint32_t gpadl; /* and no relid */
} PACKED;
WIRE_SIZE(struct vmbus_msg_gpadl_torndown, 12);

struct vmbus_msg_initiate_contact {
	struct vmbus_msg_hdr hdr;
	uint32_t version;
	uint32_t target_vp; /* VP that gets control messages */
	union {
		uint64_t interrupt_page; /* below 5.0; without meaning from 2.4 on */
		struct {
			uint8_t target_sint;
			uint8_t target_vtl;
			uint16_t reserved;
			uint32_t feature_flags; /* from 6.0 */
		} PACKED;
	};
	uint64_t monitor_page1; /* parent to child; 0 = none */
	uint64_t monitor_page2; /* child to parent; 0 = none */
} PACKED;
WIRE_SIZE(struct vmbus_msg_initiate_contact, 40);

#define VMBUS_INITIATE_CONTACT_CLIENT_ID 40u /* 16 bytes of GUID from 6.0 on */

struct vmbus_msg_version_response {
	struct vmbus_msg_hdr hdr;
	uint8_t supported;
	uint8_t connection_state; /* enum vmbus_connection_state */
	uint16_t padding;
	uint32_t version_or_connection; /* version below 5.0, message connection id from 5.0 on */
} PACKED;
WIRE_SIZE(struct vmbus_msg_version_response, 16);

enum vmbus_connection_state {
	VMBUS_CONNECTION_OK = 0,
	VMBUS_CONNECTION_LOW_RESOURCES = 1,
	VMBUS_CONNECTION_FAILED = 2,
};

struct vmbus_msg_open_reserved {
	struct vmbus_msg_hdr hdr;
	uint32_t relid;
	uint32_t target_vp;
	uint32_t target_sint;
	uint32_t gpadl;
	uint32_t downstream_page;
} PACKED;
WIRE_SIZE(struct vmbus_msg_open_reserved, 28);

struct vmbus_msg_close_reserved {
	struct vmbus_msg_hdr hdr;
	uint32_t relid;
	uint32_t target_vp;
	uint32_t target_sint;
} PACKED;
WIRE_SIZE(struct vmbus_msg_close_reserved, 20);

struct vmbus_msg_tl_connect { /* 16 more bytes (silo) from 5.2 on, optional */
	struct vmbus_msg_hdr hdr;
	struct guid endpoint, service;
} PACKED;
WIRE_SIZE(struct vmbus_msg_tl_connect, 40);

struct vmbus_msg_tl_result {
	struct vmbus_msg_hdr hdr;
	struct guid endpoint, service;
	uint32_t status;
} PACKED;
WIRE_SIZE(struct vmbus_msg_tl_result, 44);

struct vmbus_msg_modify {
	struct vmbus_msg_hdr hdr;
	uint32_t relid;
	uint32_t target_vp;
} PACKED;
WIRE_SIZE(struct vmbus_msg_modify, 16);

struct vmbus_msg_modify_response {
	struct vmbus_msg_hdr hdr;
	uint32_t relid;
	uint32_t status;
} PACKED;
WIRE_SIZE(struct vmbus_msg_modify_response, 16);

struct vmbus_msg_modify_connection {
	struct vmbus_msg_hdr hdr;
	uint64_t monitor_page1, monitor_page2;
} PACKED;
WIRE_SIZE(struct vmbus_msg_modify_connection, 24);

struct vmbus_msg_modify_connection_response {
	struct vmbus_msg_hdr hdr;
	uint8_t connection_state;
} PACKED;
WIRE_SIZE(struct vmbus_msg_modify_connection_response, 9);

struct vmbus_pipe_offer { /* user data of an offer with VMBUS_OFFER_PIPE */
	uint32_t pipe_type;
	uint8_t user[112];
	uint32_t pipe_flags;
} PACKED;
WIRE_SIZE(struct vmbus_pipe_offer, VMBUS_USER_DATA);

/* ---- device classes (section 9) --------------------------------------------------- */

#define VMBUS_CLASS_SCSI                                                                           \
	GUID_INIT(0xba6163d9, 0x04a1, 0x4d29, 0xb6, 0x05, 0x72, 0xe2, 0xff, 0xb1, 0xdc, 0x7f)
#define VMBUS_CLASS_IDE                                                                            \
	GUID_INIT(0x32412632, 0x86cb, 0x44a2, 0x9b, 0x5c, 0x50, 0xd1, 0x41, 0x73, 0x54, 0xf5)
#define VMBUS_CLASS_FC                                                                             \
	GUID_INIT(0x2f9bcc4a, 0x0069, 0x4af3, 0xb7, 0x6b, 0x6f, 0xd0, 0xbe, 0x52, 0x8c, 0xda)
#define VMBUS_CLASS_NET                                                                            \
	GUID_INIT(0xf8615163, 0xdf3e, 0x46c5, 0x91, 0x3f, 0xf2, 0xd2, 0xf9, 0x65, 0xed, 0x0e)
#define VMBUS_CLASS_HEARTBEAT                                                                      \
	GUID_INIT(0x57164f39, 0x9115, 0x4e78, 0xab, 0x55, 0x38, 0x2f, 0x3b, 0xd5, 0x42, 0x2d)
#define VMBUS_CLASS_KVP                                                                            \
	GUID_INIT(0xa9a0f4e7, 0x5a45, 0x4d96, 0xb8, 0x27, 0x8a, 0x84, 0x1e, 0x8c, 0x03, 0xe6)
#define VMBUS_CLASS_SHUTDOWN                                                                       \
	GUID_INIT(0x0e0b6031, 0x5213, 0x4934, 0x81, 0x8b, 0x38, 0xd9, 0x0c, 0xed, 0x39, 0xdb)
#define VMBUS_CLASS_TIMESYNC                                                                       \
	GUID_INIT(0x9527e630, 0xd0ae, 0x497b, 0xad, 0xce, 0xe8, 0x0a, 0xb0, 0x17, 0x5c, 0xaf)
#define VMBUS_CLASS_VSS                                                                            \
	GUID_INIT(0x35fa2e29, 0xea23, 0x4236, 0x96, 0xae, 0x3a, 0x6e, 0xba, 0xcb, 0xa4, 0x40)

#define VMBUS_INSTANCE_HEARTBEAT                                                                   \
	GUID_INIT(0xfd149e91, 0x82e0, 0x4a7d, 0xaf, 0xa6, 0x2a, 0x41, 0x66, 0xcb, 0xd7, 0xc0)
#define VMBUS_INSTANCE_KVP                                                                         \
	GUID_INIT(0x242ff919, 0x07db, 0x4180, 0x9c, 0x2e, 0xb8, 0x6c, 0xb6, 0x8c, 0x8c, 0x55)
#define VMBUS_INSTANCE_SHUTDOWN                                                                    \
	GUID_INIT(0xb6650ff7, 0x33bc, 0x4840, 0x80, 0x48, 0xe0, 0x67, 0x67, 0x86, 0xf3, 0x93)
#define VMBUS_INSTANCE_TIMESYNC                                                                    \
	GUID_INIT(0x2dd1ce17, 0x079e, 0x403c, 0xb3, 0x52, 0xa1, 0x92, 0x1e, 0xe2, 0x07, 0xee)
#define VMBUS_INSTANCE_VSS                                                                         \
	GUID_INIT(0x2450ee40, 0x33bf, 0x4fbd, 0x89, 0x2e, 0x9f, 0xb0, 0x6e, 0x92, 0x14, 0xcf)

#endif
