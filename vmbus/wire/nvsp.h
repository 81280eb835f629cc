/* SPDX-License-Identifier: MIT */
/*
 * NVSP, the protocol of the synthetic network adapter, as it travels inside VMBus packets (spec:
 * netvsc, sections 1 to 3). Passive: structures, numbers, sizes.
 *
 *   offset 0    message type
 *   offset 4    one of the payloads below, zero padded to 28 bytes, or 40 from version 6.1 on
 */
#ifndef HVBUS_VMBUS_WIRE_NVSP_H
#define HVBUS_VMBUS_WIRE_NVSP_H

#include "base/wire.h"

/* ---- versions (section 2) ---------------------------------------------------- */

#define NVSP_V1	      0x00000002u
#define NVSP_V2	      0x00030002u
#define NVSP_V4	      0x00040000u
#define NVSP_V5	      0x00050000u
#define NVSP_V6	      0x00060000u
#define NVSP_V6_1     0x00060001u

#define NVSP_SIZE_OLD 28u /* of every message, up to version 6 */
#define NVSP_SIZE     40u /* 6.1 */

/* ---- messages (section 3): number, name ---------------------------------------- */

#define NVSP_MESSAGES(X)                                                                           \
	X(1, INIT)                                                                                 \
	X(2, INIT_COMPLETE)                                                                        \
	X(100, SEND_NDIS_VERSION)                                                                  \
	X(101, SEND_RECEIVE_BUFFER)                                                                \
	X(102, SEND_RECEIVE_BUFFER_COMPLETE)                                                       \
	X(103, REVOKE_RECEIVE_BUFFER)                                                              \
	X(104, SEND_SEND_BUFFER)                                                                   \
	X(105, SEND_SEND_BUFFER_COMPLETE)                                                          \
	X(106, REVOKE_SEND_BUFFER)                                                                 \
	X(107, SEND_RNDIS_PACKET)                                                                  \
	X(108, SEND_RNDIS_PACKET_COMPLETE)                                                         \
	X(125, SEND_NDIS_CONFIG)                                                                   \
	X(128, SEND_VF_ASSOCIATION)                                                                \
	X(129, SWITCH_DATA_PATH)                                                                   \
	X(130, UPLINK_CONNECT_STATE)                                                               \
	X(131, OID_QUERY_EX)                                                                       \
	X(132, OID_QUERY_EX_COMPLETE)                                                              \
	X(133, SUBCHANNEL)                                                                         \
	X(134, SEND_INDIRECTION_TABLE)                                                             \
	X(135, PD_API)                                                                             \
	X(136, PD_POST_BATCH)

enum nvsp_type {
#define X(number, name) NVSP_##name = (number),
	NVSP_MESSAGES(X)
#undef X
};

enum nvsp_status {
	NVSP_STATUS_NONE = 0, /* also: this version is not supported */
	NVSP_STATUS_SUCCESS = 1,
	NVSP_STATUS_FAIL = 2,
	NVSP_STATUS_INVALID_RNDIS_PACKET = 5,
	NVSP_STATUS_BUSY = 6,
};

/* SEND_NDIS_CONFIG: capability bits of the guest. */
#define NVSP_CAP_VMQ		  (1ull << 0)
#define NVSP_CAP_CHIMNEY	  (1ull << 1)
#define NVSP_CAP_SRIOV		  (1ull << 2)
#define NVSP_CAP_8021Q		  (1ull << 3)
#define NVSP_CAP_CORRELATION	  (1ull << 4)
#define NVSP_CAP_TEAMING	  (1ull << 5)
#define NVSP_CAP_SUBNET		  (1ull << 6)
#define NVSP_CAP_RSC		  (1ull << 7)
/*
 * Ours, ignored by every other host: a checksum marked "succeeded" and "value invalid" is a partial
 * one to this guest, which completes it when the frame leaves it again.
 */
#define NVSP_CAP_PARTIAL_CSUM	  (1ull << 63)

/* SEND_RNDIS_PACKET: channel type. */
#define NVSP_DATA		  0u
#define NVSP_CONTROL		  1u

#define NVSP_NO_SECTION		  0xffffffffu

#define NVSP_RX_BUFFER_ID	  0xcafeu /* in every known guest; also the transfer page set */
#define NVSP_TX_SECTION		  6144u	  /* bytes of a send-buffer section */
#define NVSP_RX_HEADROOM	  256u	  /* of a receive sub-allocation, for RNDIS headers */
#define NVSP_RX_TAIL		  36u	  /* of it never used: a Windows driver mishandles it */
#define NVSP_RX_CONTROL		  16u	  /* sub-allocations kept for control messages */
#define NVSP_RX_RANGES		  375u	  /* of one transfer-pages packet */
#define NVSP_RX_RANGES_RSC	  562u
#define NVSP_SEND_TABLE		  16u /* entries of the send indirection table */
#define NVSP_MAX_MDL		  34u

#define NVSP_SUBCHANNEL_ALLOCATE  1u
#define NVSP_STATUS_NOT_SUPPORTED 0xc00000bbu /* NTSTATUS in OID_QUERY_EX_COMPLETE and PD_API */

struct nvsp_init { /* both: what the guest proposes */
	uint32_t version, version2;
} PACKED;

struct nvsp_init_complete {
	uint32_t deprecated; /* 2 for version 1, else 0xffffffff */
	uint32_t max_mdl;
	uint32_t status;
} PACKED;

struct nvsp_ndis_version {
	uint32_t major, minor;
} PACKED;

struct nvsp_send_buffer { /* receive and send buffer */
	uint32_t gpadl;
	uint16_t id;
	uint16_t reserved;
} PACKED;

struct nvsp_receive_buffer_complete {
	uint32_t status;
	uint32_t sections; /* 1 */
	uint32_t offset;   /* 0 */
	uint32_t size, count, end;
} PACKED;

struct nvsp_send_buffer_complete {
	uint32_t status;
	uint32_t section_size;
} PACKED;

struct nvsp_revoke_buffer {
	uint16_t id;
} PACKED;

struct nvsp_rndis {
	uint32_t channel_type; /* NVSP_DATA, NVSP_CONTROL */
	uint32_t section;      /* or NVSP_NO_SECTION */
	uint32_t section_size; /* bytes used in it */
} PACKED;

struct nvsp_rndis_complete {
	uint32_t status;
} PACKED;

struct nvsp_ndis_config {
	uint32_t mtu; /* with the Ethernet header */
	uint32_t reserved;
	uint64_t capabilities;
} PACKED;

struct nvsp_vf_association {
	uint32_t allocated, serial;
} PACKED;

struct nvsp_switch_data_path {
	uint32_t path; /* 0 synthetic, 1 VF */
} PACKED;

struct nvsp_oid_query_ex {
	uint8_t type, revision;
	uint16_t size;
	uint32_t oid;
} PACKED;

struct nvsp_oid_query_ex_complete {
	uint32_t status, bytes;
} PACKED;

struct nvsp_subchannel { /* request */
	uint32_t operation, count;
} PACKED;

struct nvsp_subchannel_complete {
	uint32_t status, count;
} PACKED;

struct nvsp_indirection_table {
	uint32_t count;	 /* NVSP_SEND_TABLE */
	uint32_t offset; /* from the message's first byte */
} PACKED;

struct nvsp_pd_api_complete {
	uint32_t operation, status;
} PACKED;

struct nvsp_message {
	uint32_t type;
	union {
		struct nvsp_init init;
		struct nvsp_init_complete init_complete;
		struct nvsp_ndis_version ndis_version;
		struct nvsp_send_buffer send_buffer;
		struct nvsp_receive_buffer_complete receive_buffer_complete;
		struct nvsp_send_buffer_complete send_buffer_complete;
		struct nvsp_revoke_buffer revoke_buffer;
		struct nvsp_rndis rndis;
		struct nvsp_rndis_complete rndis_complete;
		struct nvsp_ndis_config ndis_config;
		struct nvsp_vf_association vf_association;
		struct nvsp_switch_data_path switch_data_path;
		struct nvsp_oid_query_ex oid_query_ex;
		struct nvsp_oid_query_ex_complete oid_query_ex_complete;
		struct nvsp_subchannel subchannel;
		struct nvsp_subchannel_complete subchannel_complete;
		struct nvsp_indirection_table indirection_table;
		struct nvsp_pd_api_complete pd_api_complete;
		uint8_t room[NVSP_SIZE - 4];
	} PACKED;
} PACKED;
WIRE_SIZE(struct nvsp_message, NVSP_SIZE);
WIRE_OFFSET(struct nvsp_message, ndis_config.capabilities, 12);
WIRE_OFFSET(struct nvsp_message, receive_buffer_complete.end, 24);

#endif
