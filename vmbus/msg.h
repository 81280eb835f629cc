/* SPDX-License-Identifier: MIT */
/*
 * The catalogue of control messages: number, name, direction, structure, first
 * protocol version (spec: vmbus, section 2). One list; both ends check what they
 * receive against it, traces print its names, fuzzers draw from it.
 *
 * Pure functions on private copies; any thread.
 */
#ifndef HVBUS_VMBUS_MSG_H
#define HVBUS_VMBUS_MSG_H

#include <stdbool.h>

#include "vmbus/wire/vmbus_msg.h"

enum vmbus_msg_dir {
	VMBUS_FROM_GUEST,
	VMBUS_FROM_HOST,
};

#define VMBUS_SINCE_ALWAYS 0u	       /* legal without a connection too */
#define VMBUS_SINCE_V1	   VMBUS_V0_13 /* any version, but only when one is agreed */
#define VMBUS_SINCE_V4_0   VMBUS_V4_0
#define VMBUS_SINCE_V4_1   VMBUS_V4_1
#define VMBUS_SINCE_V5_3   VMBUS_V5_3
#define VMBUS_SINCE_NEVER  0xffffffffu /* known by name; this project drops it (section 16) */

/*        #  name                      sent by  structure (the least length)     since */
#define VMBUS_MSGS(X)                                                                              \
	X(1, OFFERCHANNEL, HOST, vmbus_msg_offer, V1)                                              \
	X(2, RESCIND_CHANNELOFFER, HOST, vmbus_msg_relid, V1)                                      \
	X(3, REQUESTOFFERS, GUEST, vmbus_msg_hdr, V1)                                              \
	X(4, ALLOFFERS_DELIVERED, HOST, vmbus_msg_hdr, V1)                                         \
	X(5, OPENCHANNEL, GUEST, vmbus_msg_open, V1)                                               \
	X(6, OPENCHANNEL_RESULT, HOST, vmbus_msg_open_result, V1)                                  \
	X(7, CLOSECHANNEL, GUEST, vmbus_msg_relid, V1)                                             \
	X(8, GPADL_HEADER, GUEST, vmbus_msg_gpadl_header, V1)                                      \
	X(9, GPADL_BODY, GUEST, vmbus_msg_gpadl_body, V1)                                          \
	X(10, GPADL_CREATED, HOST, vmbus_msg_gpadl_created, V1)                                    \
	X(11, GPADL_TEARDOWN, GUEST, vmbus_msg_gpadl_teardown, V1)                                 \
	X(12, GPADL_TORNDOWN, HOST, vmbus_msg_gpadl_torndown, V1)                                  \
	X(13, RELID_RELEASED, GUEST, vmbus_msg_relid, V1)                                          \
	X(14, INITIATE_CONTACT, GUEST, vmbus_msg_initiate_contact, ALWAYS)                         \
	X(15, VERSION_RESPONSE, HOST, vmbus_msg_version_response, ALWAYS)                          \
	X(16, UNLOAD, GUEST, vmbus_msg_hdr, V1)                                                    \
	X(17, UNLOAD_RESPONSE, HOST, vmbus_msg_hdr, V1)                                            \
	X(18, OPEN_RESERVED_CHANNEL, GUEST, vmbus_msg_open_reserved, NEVER)                        \
	X(19, CLOSE_RESERVED_CHANNEL, GUEST, vmbus_msg_close_reserved, NEVER)                      \
	X(20, CLOSE_RESERVED_RESPONSE, HOST, vmbus_msg_relid, NEVER)                               \
	X(21, TL_CONNECT_REQUEST, GUEST, vmbus_msg_tl_connect, V4_0)                               \
	X(22, MODIFYCHANNEL, GUEST, vmbus_msg_modify, V4_1)                                        \
	X(23, TL_CONNECT_RESULT, HOST, vmbus_msg_tl_result, V4_1)                                  \
	X(24, MODIFYCHANNEL_RESPONSE, HOST, vmbus_msg_modify_response, V5_3)                       \
	X(25, MODIFY_CONNECTION, GUEST, vmbus_msg_modify_connection, NEVER)                        \
	X(26, MODIFY_CONNECTION_RESPONSE, HOST, vmbus_msg_modify_connection_response, NEVER)       \
	X(27, PAUSE, GUEST, vmbus_msg_hdr, NEVER)                                                  \
	X(28, PAUSE_RESPONSE, HOST, vmbus_msg_hdr, NEVER)                                          \
	X(29, RESUME, GUEST, vmbus_msg_hdr, NEVER)

enum vmbus_msg_type {
#define X(number, name, from, body, since) VMBUS_MSG_##name = (number),
	VMBUS_MSGS(X)
#undef X
};
#define VMBUS_MSG_TYPES 30 /* one above the highest */

/* Any message that one of the ends may send. */
union vmbus_msg {
	struct vmbus_msg_hdr hdr;
	struct vmbus_msg_offer offer;
	struct vmbus_msg_relid relid; /* RESCIND, CLOSECHANNEL, RELID_RELEASED */
	struct vmbus_msg_open open;
	struct vmbus_msg_open_result open_result;
	struct vmbus_msg_gpadl_header gpadl_header;
	struct vmbus_msg_gpadl_body gpadl_body;
	struct vmbus_msg_gpadl_created gpadl_created;
	struct vmbus_msg_gpadl_teardown gpadl_teardown;
	struct vmbus_msg_gpadl_torndown gpadl_torndown;
	struct vmbus_msg_initiate_contact contact;
	struct vmbus_msg_version_response version;
	struct vmbus_msg_tl_connect tl_connect;
	struct vmbus_msg_tl_result tl_result;
	struct vmbus_msg_modify modify;
	struct vmbus_msg_modify_response modify_response;
	uint8_t bytes[VMBUS_MSG_MAX];
};
WIRE_SIZE(union vmbus_msg, VMBUS_MSG_MAX);

/* Why a message was refused. Text: vmbus_msg_fault_text(). */
enum vmbus_msg_fault {
	VMBUS_MSG_OK,
	VMBUS_MSG_TOO_SHORT,  /* no header, or less than its type's structure */
	VMBUS_MSG_TOO_LONG,   /* more than VMBUS_MSG_MAX bytes */
	VMBUS_MSG_UNKNOWN,    /* type without a row above */
	VMBUS_MSG_WRONG_WAY,  /* only the other end may send it */
	VMBUS_MSG_NOT_SPOKEN, /* known, but not in the agreed version (or not at all) */
};

/*
 * May the other end, which is a guest or a host as @from says, send the @len bytes at
 * @msg (a private copy) when @version is agreed (0 = none)? On VMBUS_MSG_OK at least
 * the structure of its type may be read. Longer messages are legal: the rest is
 * ignored, or is the variable part (GPADL).
 */
enum vmbus_msg_fault vmbus_msg_check(enum vmbus_msg_dir from, uint32_t version, const void *msg,
				     uint32_t len);
const char *vmbus_msg_fault_text(enum vmbus_msg_fault fault);

/* "OPENCHANNEL"; "unknown" for a number without a row. Never NULL. */
const char *vmbus_msg_name(uint32_t type);

/* Bytes of the fixed structure of @type, 0 when unknown. */
uint32_t vmbus_msg_size(uint32_t type);

/* Zeroes *@msg, sets its type, returns the bytes to send (vmbus_msg_size()). */
uint32_t vmbus_msg_init(union vmbus_msg *msg, enum vmbus_msg_type type);

#endif
