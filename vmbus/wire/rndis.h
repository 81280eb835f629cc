/* SPDX-License-Identifier: MIT */
/*
 * Remote NDIS as it travels inside NVSP (spec: rndis). Passive: structures, numbers, sizes.
 *
 * Offsets stored in messages count from byte 8 of the message, those of per-packet information and
 * of objects from their own start.
 */
#ifndef HVBUS_VMBUS_WIRE_RNDIS_H
#define HVBUS_VMBUS_WIRE_RNDIS_H

#include "base/wire.h"

/* ---- messages (sections 1 and 2) ----------------------------------------------- */

enum rndis_type {
	RNDIS_PACKET = 0x00000001,
	RNDIS_INITIALIZE = 0x00000002,
	RNDIS_HALT = 0x00000003,
	RNDIS_QUERY = 0x00000004,
	RNDIS_SET = 0x00000005,
	RNDIS_RESET = 0x00000006,
	RNDIS_INDICATE_STATUS = 0x00000007,
	RNDIS_KEEPALIVE = 0x00000008,
	RNDIS_SET_EX = 0x00000009,
};
#define RNDIS_COMPLETION 0x80000000u /* ored to the type of what is answered */

enum rndis_status {
	RNDIS_STATUS_SUCCESS = 0x00000000,
	RNDIS_STATUS_FAILURE = 0xc0000001,
	RNDIS_STATUS_RESOURCES = 0xc000009a,
	RNDIS_STATUS_NOT_SUPPORTED = 0xc00000bb,
	RNDIS_STATUS_BAD_VERSION = 0xc0010004,
	RNDIS_STATUS_MULTICAST_FULL = 0xc0010009,
	RNDIS_STATUS_INVALID_LENGTH = 0xc0010014,
	RNDIS_STATUS_INVALID_DATA = 0xc0010015,
	RNDIS_STATUS_BUFFER_TOO_SHORT = 0xc0010016,
	RNDIS_STATUS_INVALID_OID = 0xc0010017,
	/* indications */
	RNDIS_STATUS_MEDIA_CONNECT = 0x4001000b,
	RNDIS_STATUS_MEDIA_DISCONNECT = 0x4001000c,
	RNDIS_STATUS_LINK_SPEED_CHANGE = 0x40010013,
	RNDIS_STATUS_NETWORK_CHANGE = 0x40010018,
	RNDIS_STATUS_OFFLOAD_CONFIG = 0x40020006, /* TASK_OFFLOAD_CURRENT_CONFIG */
};

struct rndis_header {
	uint32_t type, length; /* length: of all of it */
} PACKED;
#define RNDIS_OFFSET_BASE 8u /* what offsets count from */

struct rndis_initialize {
	uint32_t type, length, request;
	uint32_t major, minor, max_transfer;
} PACKED;
WIRE_SIZE(struct rndis_initialize, 24);

struct rndis_initialize_complete {
	uint32_t type, length, request, status;
	uint32_t major, minor, device_flags, medium;
	uint32_t max_packets, max_transfer, alignment; /* log2 */
	uint32_t af_offset, af_size;
} PACKED;
WIRE_SIZE(struct rndis_initialize_complete, 52);

struct rndis_request { /* HALT, KEEPALIVE; the start of all but RESET */
	uint32_t type, length, request;
} PACKED;
WIRE_SIZE(struct rndis_request, 12);

struct rndis_query { /* and SET */
	uint32_t type, length, request, oid;
	uint32_t info_length, info_offset, handle;
} PACKED;
WIRE_SIZE(struct rndis_query, 28);

struct rndis_query_complete {
	uint32_t type, length, request, status;
	uint32_t info_length, info_offset;
} PACKED;
WIRE_SIZE(struct rndis_query_complete, 24);

struct rndis_set_complete { /* and KEEPALIVE's */
	uint32_t type, length, request, status;
} PACKED;
WIRE_SIZE(struct rndis_set_complete, 16);

struct rndis_reset_complete {
	uint32_t type, length, status, addressing;
} PACKED;
WIRE_SIZE(struct rndis_reset_complete, 16);

struct rndis_indicate {
	uint32_t type, length, status;
	uint32_t info_length, info_offset;
} PACKED;
WIRE_SIZE(struct rndis_indicate, 20);

#define RNDIS_CONTROL_MAX  4096u /* bytes of a control message, either way */
#define RNDIS_MAX_PACKETS  8u	 /* frames in one request, as announced */
#define RNDIS_MAX_TRANSFER 0xefffffffu
#define RNDIS_ALIGNMENT	   3u

/* ---- OIDs (section 3.2) ----------------------------------------------------------- */

enum rndis_oid {
	OID_GEN_SUPPORTED_LIST = 0x00010101,
	OID_GEN_HARDWARE_STATUS = 0x00010102,
	OID_GEN_MEDIA_SUPPORTED = 0x00010103,
	OID_GEN_MEDIA_IN_USE = 0x00010104,
	OID_GEN_MAXIMUM_LOOKAHEAD = 0x00010105,
	OID_GEN_MAXIMUM_FRAME_SIZE = 0x00010106,
	OID_GEN_LINK_SPEED = 0x00010107,
	OID_GEN_TRANSMIT_BUFFER_SPACE = 0x00010108,
	OID_GEN_RECEIVE_BUFFER_SPACE = 0x00010109,
	OID_GEN_TRANSMIT_BLOCK_SIZE = 0x0001010a,
	OID_GEN_RECEIVE_BLOCK_SIZE = 0x0001010b,
	OID_GEN_VENDOR_ID = 0x0001010c,
	OID_GEN_VENDOR_DESCRIPTION = 0x0001010d,
	OID_GEN_CURRENT_PACKET_FILTER = 0x0001010e,
	OID_GEN_CURRENT_LOOKAHEAD = 0x0001010f,
	OID_GEN_DRIVER_VERSION = 0x00010110,
	OID_GEN_MAXIMUM_TOTAL_SIZE = 0x00010111,
	OID_GEN_PROTOCOL_OPTIONS = 0x00010112,
	OID_GEN_MAC_OPTIONS = 0x00010113,
	OID_GEN_MEDIA_CONNECT_STATUS = 0x00010114,
	OID_GEN_MAXIMUM_SEND_PACKETS = 0x00010115,
	OID_GEN_VENDOR_DRIVER_VERSION = 0x00010116,
	OID_GEN_NETWORK_LAYER_ADDRESSES = 0x00010118,
	OID_GEN_RECEIVE_SCALE_CAPABILITIES = 0x00010203,
	OID_GEN_RECEIVE_SCALE_PARAMETERS = 0x00010204,
	OID_GEN_MAX_LINK_SPEED = 0x00010206,
	OID_GEN_LINK_STATE = 0x00010207,
	OID_GEN_LINK_PARAMETERS = 0x00010208,
	OID_GEN_MACHINE_NAME = 0x0001021a,
	OID_GEN_RNDIS_CONFIG_PARAMETER = 0x0001021b,
	OID_GEN_VLAN_ID = 0x0001021c,
	OID_GEN_XMIT_OK = 0x00020101,
	OID_GEN_RCV_OK = 0x00020102,
	OID_GEN_XMIT_ERROR = 0x00020103,
	OID_GEN_RCV_ERROR = 0x00020104,
	OID_GEN_RCV_NO_BUFFER = 0x00020105,
	OID_GEN_FRIENDLY_NAME = 0x00020216,
	OID_GEN_BYTES_RCV = 0x00020219,
	OID_GEN_BYTES_XMIT = 0x0002021a,
	OID_802_3_PERMANENT_ADDRESS = 0x01010101,
	OID_802_3_CURRENT_ADDRESS = 0x01010102,
	OID_802_3_MULTICAST_LIST = 0x01010103,
	OID_802_3_MAXIMUM_LIST_SIZE = 0x01010104,
	OID_802_3_MAC_OPTIONS = 0x01010105,
	OID_OFFLOAD_ENCAPSULATION = 0x0101010a,
	OID_802_3_RCV_ERROR_ALIGNMENT = 0x01020101,
	OID_802_3_XMIT_ONE_COLLISION = 0x01020102,
	OID_802_3_XMIT_MORE_COLLISIONS = 0x01020103,
	OID_TCP_OFFLOAD_CURRENT_CONFIG = 0xfc01020b,
	OID_TCP_OFFLOAD_PARAMETERS = 0xfc01020c,
	OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES = 0xfc01020d,
	OID_PNP_SET_POWER = 0xfd010101,
	OID_PNP_QUERY_POWER = 0xfd010102,
};

#define RNDIS_FILTER_DIRECTED	   0x01u
#define RNDIS_FILTER_MULTICAST	   0x02u
#define RNDIS_FILTER_ALL_MULTICAST 0x04u
#define RNDIS_FILTER_BROADCAST	   0x08u
#define RNDIS_FILTER_PROMISCUOUS   0x20u

/* ---- objects (section 4) ----------------------------------------------------------- */

struct ndis_object {
	uint8_t type, revision;
	uint16_t size; /* with this header */
} PACKED;

enum ndis_object_type {
	NDIS_OBJECT_DEFAULT = 0x80,
	NDIS_OBJECT_RSS_CAPABILITIES = 0x88,
	NDIS_OBJECT_RSS_PARAMETERS = 0x89,
	NDIS_OBJECT_OID_REQUEST = 0x96,
	NDIS_OBJECT_OFFLOAD = 0xa7,
	NDIS_OBJECT_ENCAPSULATION = 0xa8,
};

#define NDIS_ENCAPSULATION_8023 2u
#define NDIS_CSUM4_ALL		0x155u /* options, TCP options, TCP, UDP, IP header */
#define NDIS_CSUM6_ALL		0x55u
#define NDIS_LSO_MAX		0xf53cu
#define NDIS_LSO6_ALL		0x5u

struct ndis_csum_offload {
	uint32_t tx_encapsulation, tx_flags, rx_encapsulation, rx_flags;
} PACKED;

struct ndis_lso {
	uint32_t encapsulation, max_size, min_segments;
} PACKED;

struct ndis_offload {
	struct ndis_object header;
	struct ndis_csum_offload csum4, csum6;
	uint32_t lso1[4];
	uint32_t ipsec1[7];
	struct ndis_lso lso4, lso6;
	uint32_t lso6_flags;
	uint32_t flags;
	/* revision 2 */
	uint32_t ipsec2[8];
	/* revision 3 */
	uint8_t rsc4, rsc6;
	uint16_t pad;
	uint32_t nvgre[2];
} PACKED;
WIRE_SIZE(struct ndis_offload, 156);
WIRE_OFFSET(struct ndis_offload, lso4, 80);
WIRE_OFFSET(struct ndis_offload, ipsec2, 112);
WIRE_OFFSET(struct ndis_offload, rsc4, 144);
#define NDIS_OFFLOAD_SIZE_1 112u
#define NDIS_OFFLOAD_SIZE_2 144u
#define NDIS_OFFLOAD_SIZE_3 156u

struct ndis_offload_parameters {
	struct ndis_object header;
	uint8_t ip4, tcp4, udp4, tcp6, udp6; /* 0 no change, 1 off, 2 tx, 3 rx, 4 both */
	uint8_t lso1, ipsec1, lso4, lso6;    /* 0 no change, 1 off, 2 on */
	uint8_t connection4, connection6, pad;
	uint32_t flags;
	/* revision 2 */
	uint8_t ipsec2, ipsec2_4;
	/* revision 3 */
	uint8_t rsc4, rsc6; /* as lso */
	uint8_t encapsulation, encapsulation_types;
	uint16_t pad2;
} PACKED;
WIRE_SIZE(struct ndis_offload_parameters, 28);
WIRE_OFFSET(struct ndis_offload_parameters, rsc4, 22);
#define NDIS_OFFLOAD_PARAMETERS_MIN 20u

struct ndis_encapsulation {
	struct ndis_object header;
	uint32_t ip4_enabled, ip4_type, ip4_header;
	uint32_t ip6_enabled, ip6_type, ip6_header;
} PACKED;
WIRE_SIZE(struct ndis_encapsulation, 28);

struct rndis_config_parameter {
	uint32_t name_offset, name_length, type, value_offset, value_length;
} PACKED;
WIRE_SIZE(struct rndis_config_parameter, 20);

struct ndis_rss_capabilities {
	struct ndis_object header;
	uint32_t flags, interrupts, queues;
	uint16_t table_entries;
} PACKED;
WIRE_SIZE(struct ndis_rss_capabilities, 18);
#define NDIS_RSS_CAPS	  0x00000301u /* Toeplitz; IPv4 and IPv6 types */
#define NDIS_RSS_CAPS_UDP 0x00001800u
#define NDIS_RSS_TABLE	  128u /* entries */

struct ndis_rss_parameters {
	struct ndis_object header;
	uint16_t flags, base_cpu;
	uint32_t hash_info;
	uint16_t table_size, pad; /* bytes */
	uint32_t table_offset;
	uint16_t key_size, pad2;
	uint32_t key_offset;
	uint32_t masks_offset, masks, mask_size;
} PACKED;
WIRE_SIZE(struct ndis_rss_parameters, 40);
#define NDIS_RSS_HASH_UNCHANGED	 0x02u
#define NDIS_RSS_TABLE_UNCHANGED 0x04u
#define NDIS_RSS_KEY_UNCHANGED	 0x08u
#define NDIS_RSS_DISABLE	 0x10u
#define NDIS_RSS_TOEPLITZ	 1u /* low byte of hash_info; types as NET_HASH_* */

struct ndis_link_state {
	struct ndis_object header;
	uint32_t connected; /* 1 yes, 2 no */
	uint32_t duplex;    /* 2 full */
	uint32_t pad;
	uint64_t tx_speed, rx_speed; /* bit/s */
	uint32_t pause, negotiation;
} PACKED;
WIRE_SIZE(struct ndis_link_state, 40);

/* ---- frames (section 5) ---------------------------------------------------------------- */

struct rndis_packet {
	uint32_t type, length;
	uint32_t data_offset, data_length;
	uint32_t oob_offset, oob_length, oob_elements;
	uint32_t info_offset, info_length; /* per-packet information */
	uint32_t handle, reserved;
} PACKED;
WIRE_SIZE(struct rndis_packet, 44);

struct rndis_info {	 /* in front of each element's data */
	uint32_t size;	 /* with this, a multiple of 4 */
	uint32_t type;	 /* bit 31: internal */
	uint32_t offset; /* of the data, from here */
} PACKED;
WIRE_SIZE(struct rndis_info, 12);

struct rndis_info_u32 { /* every element known has 4 bytes of data */
	struct rndis_info info;
	uint32_t value;
} PACKED;
WIRE_SIZE(struct rndis_info_u32, 16);

enum rndis_info_type {
	RNDIS_INFO_CSUM = 0,
	RNDIS_INFO_LSO = 2,
	RNDIS_INFO_8021Q = 6,
	RNDIS_INFO_HASH = 8,
	RNDIS_INFO_HASH_TYPE = 9,
	RNDIS_INFO_FRAGMENT = (int)0x80000001, /* RSC */
};

/* Checksum towards the host; bits 16 to 25: offset of the transport header. */
#define RNDIS_TX_CSUM_IP4	 0x00000001u
#define RNDIS_TX_CSUM_IP6	 0x00000002u
#define RNDIS_TX_CSUM_TCP	 0x00000004u
#define RNDIS_TX_CSUM_UDP	 0x00000008u
#define RNDIS_TX_CSUM_HEADER	 0x00000010u
#define RNDIS_TX_CSUM_OFFSET(v)	 ((v) >> 16 & 0x3ffu)

/* Checksum towards the guest. */
#define RNDIS_RX_CSUM_TCP_BAD	 0x001u
#define RNDIS_RX_CSUM_UDP_BAD	 0x002u
#define RNDIS_RX_CSUM_IP_BAD	 0x004u
#define RNDIS_RX_CSUM_TCP_GOOD	 0x008u
#define RNDIS_RX_CSUM_UDP_GOOD	 0x010u
#define RNDIS_RX_CSUM_IP_GOOD	 0x020u
#define RNDIS_RX_CSUM_L4_INVALID 0x080u /* good, but the field is not what it should be */
#define RNDIS_RX_CSUM_IP_INVALID 0x100u

#define RNDIS_LSO_MSS(v)	 ((v)&0xfffffu)
#define RNDIS_LSO_OFFSET(v)	 ((v) >> 20 & 0x3ffu)
#define RNDIS_LSO_V2		 0x40000000u
#define RNDIS_LSO_IP6		 0x80000000u

/* RSC fragment: version in byte 0, flags in byte 1, packet id above. */
#define RNDIS_FRAGMENT_VERSION	 1u
#define RNDIS_FRAGMENT_MULTI	 1u
#define RNDIS_FRAGMENT_FIRST	 2u
#define RNDIS_FRAGMENT_LAST	 4u
#define RNDIS_FRAGMENT_MAX	 562u

/* 802.1Q element to and from the order of bits on the wire. */
ALWAYS_INLINE uint16_t rndis_vlan_to_tci(uint32_t v)
{
	return (uint16_t)((v & 7) << 13 | (v >> 3 & 1) << 12 | (v >> 4 & 0xfff));
}
ALWAYS_INLINE uint32_t rndis_vlan_from_tci(uint16_t tci)
{
	return (uint32_t)(tci & 0xfff) << 4 | (tci >> 12 & 1) << 3 | tci >> 13;
}

#endif
