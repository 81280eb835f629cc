/* SPDX-License-Identifier: MIT */
/*
 * Messages of the integration services as they travel inside VMBus packets (spec:
 * integration-services, sections 1 to 3). Passive: structures, numbers, sizes.
 *
 *   offset 0    pipe header, for the ring                 8 bytes
 *   offset 8    message header                            20 bytes
 *   offset 28   body, by message type
 *
 * The root asks, the guest answers in the same message.
 */
#ifndef HVBUS_VMBUS_WIRE_IC_H
#define HVBUS_VMBUS_WIRE_IC_H

#include "base/wire.h"

/* ---- frame (section 1.1) ----------------------------------------------------- */

#define IC_PIPE_MESSAGE 1u

struct ic_pipe {
	uint32_t type;
	uint32_t length; /* of what follows */
} PACKED;
WIRE_SIZE(struct ic_pipe, 8);

struct ic_version {
	uint16_t major, minor;
} PACKED;
WIRE_SIZE(struct ic_version, 4);

#define IC_TRANSACTION 0x01u
#define IC_REQUEST     0x02u
#define IC_RESPONSE    0x04u

struct ic_header {
	struct ic_version framework;
	uint16_t message; /* enum ic_message */
	struct ic_version version;
	uint16_t size; /* of the body */
	uint32_t status;
	uint8_t transaction;
	uint8_t flags; /* IC_* above */
	uint16_t reserved;
} PACKED;
WIRE_SIZE(struct ic_header, 20);
WIRE_OFFSET(struct ic_header, version, 6);
WIRE_OFFSET(struct ic_header, status, 12);
WIRE_OFFSET(struct ic_header, flags, 17);

struct ic_frame { /* in front of every body */
	struct ic_pipe pipe;
	struct ic_header header;
} PACKED;
WIRE_SIZE(struct ic_frame, 28);

#define IC_MAX_BODY 13284u /* a longer message is none */

/* ---- numbers (sections 1.2, 1.3) ------------------------------------------------ */

enum ic_message {
	IC_NEGOTIATE = 0,
	IC_HEARTBEAT = 1,
	IC_KVP = 2,
	IC_SHUTDOWN = 3,
	IC_TIMESYNC = 4,
	IC_VSS = 5,
	IC_FILE_COPY = 7,
};

enum ic_status {
	IC_OK = 0,
	IC_FAIL = 0x80004005,
	IC_INVALID_ARGUMENT = 0x80070057,
	IC_NOT_SUPPORTED = 0x80070032,
	IC_NO_MORE_ITEMS = 0x80070103,
	IC_NOT_FOUND = 0x80041002,
	IC_FILE_EXISTS = 0x80070050,
	IC_DISK_FULL = 0x80070070,
	IC_MACHINE_LOCKED = 0x800704f7,
	IC_NOT_CONNECTED = 0x8007048f,
};

/* ---- negotiation (section 1.4) ----------------------------------------------------- */

/* Then the versions: first of the framework, then of the message. Those of a reply: one each. */
struct ic_negotiate {
	uint16_t frameworks, messages;
	uint32_t reserved;
} PACKED;
WIRE_SIZE(struct ic_negotiate, 8);

struct ic_negotiated {
	struct ic_negotiate count; /* 1 and 1, or 0 and 0: nothing in common */
	struct ic_version framework, message;
} PACKED;
WIRE_SIZE(struct ic_negotiated, 16);

#define IC_MAX_VERSIONS 100u /* of a kind, that a guest reads */

/* ---- heartbeat (section 2) ------------------------------------------------------------ */

enum ic_application {
	IC_APP_UNKNOWN = 0,
	IC_APP_HEALTHY = 1,
	IC_APP_CRITICAL = 2,
	IC_APP_STOPPED = 3,
};

struct ic_heartbeat_body {
	uint64_t sequence;
	uint32_t application; /* the guest's; enum ic_application */
	uint32_t reserved;
} PACKED;
WIRE_SIZE(struct ic_heartbeat_body, 16);

/* ---- shutdown (section 3) ---------------------------------------------------------------- */

#define IC_SHUTDOWN_FORCE     0x1u
#define IC_SHUTDOWN_RESTART   0x2u /* from 3.1 on */
#define IC_SHUTDOWN_HIBERNATE 0x4u /* from 3.2 on */
#define IC_SHUTDOWN_PLANNED   0x80000000u
#define IC_SHUTDOWN_TEXT      1024u /* UTF-16 units, with the NUL */

struct ic_shutdown_body {
	uint32_t reason;
	uint32_t timeout_s;
	uint32_t flags;
	uint16_t text[IC_SHUTDOWN_TEXT];
} PACKED;
WIRE_SIZE(struct ic_shutdown_body, 2060);

#endif
