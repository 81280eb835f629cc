/* SPDX-License-Identifier: MIT */
/*
 * VSTOR, the protocol of the synthetic SCSI controller, as it travels inside VMBus
 * packets (spec: storvsc, sections 2 to 9). Passive: structures, numbers, sizes.
 *
 *   offset 0    operation, flags, status                  12 bytes
 *   offset 12   one of the payloads below, zero padded to 36 bytes (versions up to 4.2)
 *               or 52 bytes (5.1 and later)
 *
 * Integers are little-endian; CDB and sense bytes are SCSI's, big-endian.
 */
#ifndef HVBUS_VMBUS_WIRE_VSTOR_H
#define HVBUS_VMBUS_WIRE_VSTOR_H

#include "base/wire.h"

/* ---- versions (section 3) ---------------------------------------------------- */

#define VSTOR_V2_0 0x0200u
#define VSTOR_V4_2 0x0402u
#define VSTOR_V5_1 0x0501u
#define VSTOR_V6_0 0x0600u
#define VSTOR_V6_2 0x0602u

/* ---- operations (section 4.1) -------------------------------------------------- */

/* number, name */
#define VSTOR_OPERATIONS(X)                                                                        \
	X(1, COMPLETE_IO)                                                                          \
	X(2, REMOVE_DEVICE)                                                                        \
	X(3, EXECUTE_SRB)                                                                          \
	X(4, RESET_LUN)                                                                            \
	X(5, RESET_ADAPTER)                                                                        \
	X(6, RESET_BUS)                                                                            \
	X(7, BEGIN_INITIALIZATION)                                                                 \
	X(8, END_INITIALIZATION)                                                                   \
	X(9, QUERY_PROTOCOL_VERSION)                                                               \
	X(10, QUERY_PROPERTIES)                                                                    \
	X(11, ENUMERATE_BUS)                                                                       \
	X(12, FCHBA_DATA)                                                                          \
	X(13, CREATE_SUB_CHANNELS)                                                                 \
	X(14, EVENT_NOTIFICATION)

enum vstor_op {
#define X(number, name) VSTOR_OP_##name = (number),
	VSTOR_OPERATIONS(X)
#undef X
};
#define VSTOR_OP_COUNT	      15

#define VSTOR_FLAG_COMPLETION 0x1u /* in the header's flags: completion requested */

/* Transaction id 0 marks what the VSP sends unasked. */
#define VSTOR_ID_UNSOLICITED  0ull

/* ---- NTSTATUS (section 4.4) -------------------------------------------------------- */

enum vstor_status {
	VSTOR_STATUS_SUCCESS = 0,
	VSTOR_STATUS_BUFFER_OVERFLOW = 0x80000005,
	VSTOR_STATUS_DEVICE_BUSY = 0x80000011,
	VSTOR_STATUS_UNSUCCESSFUL = 0xc0000001,
	VSTOR_STATUS_INVALID_PARAMETER = 0xc000000d,
	VSTOR_STATUS_INVALID_DEVICE_REQUEST = 0xc0000010,
	VSTOR_STATUS_REVISION_MISMATCH = 0xc0000059,
	VSTOR_STATUS_DEVICE_NOT_CONNECTED = 0xc000009d,
	VSTOR_STATUS_IO_TIMEOUT = 0xc00000b5,
	VSTOR_STATUS_DEVICE_DOES_NOT_EXIST = 0xc00000c0,
	VSTOR_STATUS_CANCELLED = 0xc0000120,
	VSTOR_STATUS_INVALID_DEVICE_STATE = 0xc0000184,
	VSTOR_STATUS_IO_DEVICE_ERROR = 0xc0000185,
};

/* ---- EXECUTE_SRB (sections 2.3, 8, 9) ------------------------------------------------- */

#define VSTOR_CDB_LEN	     16
#define VSTOR_SENSE_ROOM     20 /* the union's size; 18 of them are sense data */
#define VSTOR_SENSE_ROOM_OLD 18 /* announced up to version 4.2 */

enum vstor_data_in { VSTOR_DATA_OUT = 0, VSTOR_DATA_IN = 1, VSTOR_DATA_NONE = 2 };

/* srb_status: a code in bits 0 to 5, and a flag. */
enum vstor_srb_status {
	VSTOR_SRB_PENDING = 0x00,
	VSTOR_SRB_SUCCESS = 0x01,
	VSTOR_SRB_ABORTED = 0x02,
	VSTOR_SRB_ERROR = 0x04,
	VSTOR_SRB_BUSY = 0x05,
	VSTOR_SRB_INVALID_REQUEST = 0x06,
	VSTOR_SRB_NO_DEVICE = 0x08,
	VSTOR_SRB_TIMEOUT = 0x09,
	VSTOR_SRB_DATA_OVERRUN = 0x12,
	VSTOR_SRB_INVALID_LUN = 0x20,
	VSTOR_SRB_INTERNAL_ERROR = 0x30,
};
#define VSTOR_SRB_CODE_MASK		      0x3f
#define VSTOR_SRB_QUEUE_FROZEN		      0x40
#define VSTOR_SRB_AUTOSENSE		      0x80

/* srb_flags; nothing in them changes what the VSP does. */
#define VSTOR_SRB_FLAG_QUEUE_ACTION	      0x00000002u
#define VSTOR_SRB_FLAG_DISABLE_SYNCH_TRANSFER 0x00000008u
#define VSTOR_SRB_FLAG_DATA_IN		      0x00000040u
#define VSTOR_SRB_FLAG_DATA_OUT		      0x00000080u
#define VSTOR_SRB_FLAG_NO_QUEUE_FREEZE	      0x00000100u

#define VSTOR_QUEUE_TAG_UNTAGGED	      0xff
#define VSTOR_QUEUE_ACTION_SIMPLE	      0x20

struct vstor_srb {
	uint16_t length;     /* of this struct: 52, or 36 up to version 4.2 */
	uint8_t srb_status;  /* completion: enum vstor_srb_status */
	uint8_t scsi_status; /* completion: SAM status */
	uint8_t port_number;
	uint8_t path_id;
	uint8_t target_id;
	uint8_t lun;
	uint8_t cdb_length;
	uint8_t sense_info_length;
	uint8_t data_in; /* enum vstor_data_in */
	uint8_t reserved;
	uint32_t data_transfer_length; /* request: buffer; completion: bytes moved */
	union {
		uint8_t cdb[VSTOR_CDB_LEN];
		uint8_t sense[VSTOR_SENSE_ROOM];
	};
	/* from here on only in 5.1 and later */
	uint16_t reserve;
	uint8_t queue_tag;
	uint8_t queue_action;
	uint32_t srb_flags;
	uint32_t time_out_value; /* seconds */
	uint32_t queue_sort_key;
} PACKED;
WIRE_SIZE(struct vstor_srb, 52);
WIRE_OFFSET(struct vstor_srb, data_transfer_length, 12);
WIRE_OFFSET(struct vstor_srb, cdb, 16);
WIRE_OFFSET(struct vstor_srb, reserve, 36);

/* ---- other payloads (section 2.4) -------------------------------------------------------- */

#define VSTOR_PROP_MULTI_CHANNEL 0x1u

struct vstor_properties { /* completion of QUERY_PROPERTIES */
	uint32_t reserved;
	uint16_t max_channel_count; /* sub-channels, the primary not counted */
	uint16_t reserved2;
	uint32_t flags; /* VSTOR_PROP_* */
	uint32_t max_transfer_bytes;
	uint64_t reserved3;
} PACKED;
WIRE_SIZE(struct vstor_properties, 24);

struct vstor_version {
	uint16_t major_minor; /* VSTOR_V* */
	uint16_t revision;
} PACKED;
WIRE_SIZE(struct vstor_version, 4);

/* ---- the packet ------------------------------------------------------------------------------ */

#define VSTOR_HEADER_LEN  12u
#define VSTOR_PAYLOAD_OLD 36u
#define VSTOR_PAYLOAD	  52u
#define VSTOR_PACKET_OLD  (VSTOR_HEADER_LEN + VSTOR_PAYLOAD_OLD) /* up to 4.2 */
#define VSTOR_PACKET	  (VSTOR_HEADER_LEN + VSTOR_PAYLOAD)

struct vstor_packet {
	uint32_t operation; /* enum vstor_op */
	uint32_t flags;
	uint32_t status; /* enum vstor_status */
	union {
		struct vstor_srb srb;
		struct vstor_properties properties;
		struct vstor_version version;
		uint16_t sub_channel_count;
		uint8_t payload[VSTOR_PAYLOAD];
	};
} PACKED;
WIRE_SIZE(struct vstor_packet, 64);
WIRE_OFFSET(struct vstor_packet, srb, 12);

#endif
