/* SPDX-License-Identifier: MIT */
/*
 * Numbers and page layouts of the hypervisor interface (spec: hypervisor).
 */
#ifndef HVBUS_HV_CORE_HV_DEFS_H
#define HVBUS_HV_CORE_HV_DEFS_H

#include "base/wire.h"

#define HV_PAGE_SIZE   4096u
#define HV_PAGE_SHIFT  12
#define HV_SINT_COUNT  16
#define HV_VMBUS_SINT  2
#define HV_FLAG_COUNT  2048u /* event flags per SINT */
#define HV_MSG_PAYLOAD 240u
#define HV_ANY_VP      0xffffffffu

enum hv_status { /* section 3.4 */
		 HV_STATUS_SUCCESS = 0x00,
		 HV_STATUS_INVALID_HYPERCALL_CODE = 0x02,
		 HV_STATUS_INVALID_HYPERCALL_INPUT = 0x03,
		 HV_STATUS_INVALID_ALIGNMENT = 0x04,
		 HV_STATUS_INVALID_PARAMETER = 0x05,
		 HV_STATUS_ACCESS_DENIED = 0x06,
		 HV_STATUS_INVALID_PARTITION_STATE = 0x07,
		 HV_STATUS_OPERATION_DENIED = 0x08,
		 HV_STATUS_INSUFFICIENT_MEMORY = 0x0b,
		 HV_STATUS_INVALID_VP_INDEX = 0x0e,
		 HV_STATUS_NOT_FOUND = 0x10,
		 HV_STATUS_INVALID_PORT_ID = 0x11,
		 HV_STATUS_INVALID_CONNECTION_ID = 0x12,
		 HV_STATUS_INSUFFICIENT_BUFFERS = 0x13,
		 HV_STATUS_NOT_ACKNOWLEDGED = 0x14,
		 HV_STATUS_INVALID_VP_STATE = 0x15,
		 HV_STATUS_INVALID_SYNIC_STATE = 0x18,
		 HV_STATUS_OBJECT_IN_USE = 0x19,
		 HV_STATUS_NO_RESOURCES = 0x1d,
};

/* Hypercall input value, RCX (section 3.2). */
#define HV_CALL_CODE_MASK     0xffffull
#define HV_CALL_FAST	      (1ull << 16)
#define HV_CALL_VARHDR_SHIFT  17
#define HV_CALL_VARHDR_MASK   (0x3ffull << HV_CALL_VARHDR_SHIFT)
#define HV_CALL_REPS_SHIFT    32
#define HV_CALL_REPS_MASK     (0xfffull << HV_CALL_REPS_SHIFT)
#define HV_CALL_START_SHIFT   48
#define HV_CALL_START_MASK    (0xfffull << HV_CALL_START_SHIFT)
/* [30:27], [47:44], [63:60]. Bit 31 (is-nested) only matters below another hypervisor: ignored. */
#define HV_CALL_RESERVED_MASK (0xfull << 27 | 0xfull << 44 | 0xfull << 60)

enum hv_call_code { /* section 3.5 */
		    HV_CALL_GET_PARTITION_ID = 0x0046,
		    HV_CALL_DELETE_PORT = 0x0058,
		    HV_CALL_DISCONNECT_PORT = 0x005b,
		    HV_CALL_POST_MESSAGE = 0x005c,
		    HV_CALL_SIGNAL_EVENT = 0x005d,
		    HV_CALL_CREATE_PORT = 0x0095,
		    HV_CALL_CONNECT_PORT = 0x0096,
		    HV_CALL_SIGNAL_EVENT_DIRECT = 0x00c0,
		    HV_CALL_POST_MESSAGE_DIRECT = 0x00c1,
		    HV_CALL_EXT_QUERY_CAPABILITIES = 0x8001,
};

/* Privileges to make calls: CPUID 0x40000003 EBX (section 1.2). */
#define HV_PRIV_ACCESS_PARTITION_ID (1u << 1)
#define HV_PRIV_POST_MESSAGES	    (1u << 4)
#define HV_PRIV_SIGNAL_EVENTS	    (1u << 5)
#define HV_PRIV_CREATE_PORT	    (1u << 6)
#define HV_PRIV_CONNECT_PORT	    (1u << 7)
#define HV_PRIV_EXTENDED_HYPERCALLS (1u << 20)

/* Connection ids as a guest sees them (section 3.9). */
#define HV_CONN_VMBUS_MESSAGE	    1u	      /* control messages */
#define HV_CONN_VMBUS_CONTACT	    4u	      /* INITIATE_CONTACT of protocol 5.0 and later */
#define HV_CONN_CHANNEL_BASE	    0x2000u   /* + relid: one event connection per channel */
#define HV_CONN_MAX		    0xffffffu /* ids have 24 bits */

#define HV_MESSAGE_NONE		    0u
#define HV_MESSAGE_VMBUS	    1u
#define HV_MESSAGE_TIMER	    0x80000010u
#define HV_MESSAGE_FLAG_PENDING	    0x01u

struct hv_message {    /* one slot of the SIM page (section 4.2) */
	uint32_t type; /* stored last, cleared by the guest */
	uint8_t payload_size;
	uint8_t flags;
	uint16_t reserved;
	uint64_t sender;
	uint8_t payload[HV_MSG_PAYLOAD];
} PACKED __attribute__((aligned(8)));
WIRE_SIZE(struct hv_message, 256);

struct hv_message_page {
	struct hv_message slot[HV_SINT_COUNT];
};
WIRE_SIZE(struct hv_message_page, 4096);

struct hv_event_flags_page { /* section 4.4 */
	uint32_t flags[HV_SINT_COUNT][HV_FLAG_COUNT / 32];
};
WIRE_SIZE(struct hv_event_flags_page, 4096);

struct hv_post_message_input { /* section 3.6 */
	uint32_t connection_id;
	uint32_t reserved;
	uint32_t message_type;
	uint32_t payload_size;
	uint8_t payload[HV_MSG_PAYLOAD];
} PACKED;
WIRE_SIZE(struct hv_post_message_input, 256);

struct hv_signal_event_input { /* section 3.7 */
	uint32_t connection_id;
	uint16_t flag_number;
	uint16_t reserved;
} PACKED;
WIRE_SIZE(struct hv_signal_event_input, 8);

/* SynIC registers, by MSR number (section 2). */
#define HV_MSR_GUEST_OS_ID   0x40000000u
#define HV_MSR_SCONTROL	     0x40000080u
#define HV_MSR_SVERSION	     0x40000081u
#define HV_MSR_SIEFP	     0x40000082u
#define HV_MSR_SIMP	     0x40000083u
#define HV_MSR_EOM	     0x40000084u
#define HV_MSR_SIRBP	     0x40000085u /* root only; ignored */
#define HV_MSR_SINT0	     0x40000090u

#define HV_SYNIC_PAGE_ENABLE 0x1ull
#define HV_SCONTROL_ENABLE   0x1ull
#define HV_SYNIC_VERSION     1u
#define HV_SINT_VECTOR_MASK  0xffull
#define HV_SINT_VECTOR_MIN   16u
#define HV_SINT_MASKED	     0x10000ull
#define HV_SINT_AUTO_EOI     0x20000ull
#define HV_SINT_POLLING	     0x40000ull

struct hv_tsc_page {	   /* section 2.3 */
	uint32_t sequence; /* 0 = not usable */
	uint32_t reserved;
	uint64_t scale; /* 64.64 fixed point: 100 ns per TSC tick */
	int64_t offset; /* 100 ns */
	uint8_t rest[4072];
};
WIRE_SIZE(struct hv_tsc_page, 4096);

#endif
