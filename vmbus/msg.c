/* SPDX-License-Identifier: MIT */
/*
 * The catalogue of msg.h as a table, and the one check that handlers rely on:
 * whoever passes vmbus_msg_check() may read the fixed structure of its type.
 */
#include "vmbus/msg.h"

#include "base/nospec.h"

struct msg_desc {
	const char *name;
	uint32_t min_len;
	uint32_t since;
	enum vmbus_msg_dir from;
};

static const struct msg_desc msgs[VMBUS_MSG_TYPES] = {
#define X(number, nm, dir, body, first)                                                            \
	[number] = { #nm, sizeof(struct body), VMBUS_SINCE_##first, VMBUS_FROM_##dir },
	VMBUS_MSGS(X)
#undef X
};

static const struct msg_desc *find(uint32_t type)
{
	const struct msg_desc *d = &msgs[index_nospec(type, ARRAY_SIZE(msgs))];

	return type < ARRAY_SIZE(msgs) && d->name ? d : NULL;
}

enum vmbus_msg_fault vmbus_msg_check(enum vmbus_msg_dir from, uint32_t version, const void *msg,
				     uint32_t len)
{
	const struct msg_desc *d;
	struct vmbus_msg_hdr hdr;

	if (len < sizeof(hdr))
		return VMBUS_MSG_TOO_SHORT;
	if (len > VMBUS_MSG_MAX)
		return VMBUS_MSG_TOO_LONG;
	memcpy(&hdr, msg, sizeof(hdr));
	d = find(hdr.type);
	if (!d)
		return VMBUS_MSG_UNKNOWN;
	if (d->from != from)
		return VMBUS_MSG_WRONG_WAY;
	if (d->since > version)
		return VMBUS_MSG_NOT_SPOKEN;
	return len < d->min_len ? VMBUS_MSG_TOO_SHORT : VMBUS_MSG_OK;
}

const char *vmbus_msg_fault_text(enum vmbus_msg_fault fault)
{
	switch (fault) {
	case VMBUS_MSG_OK:
		return "legal message";
	case VMBUS_MSG_TOO_SHORT:
		return "message shorter than its structure";
	case VMBUS_MSG_TOO_LONG:
		return "message longer than 240 bytes";
	case VMBUS_MSG_UNKNOWN:
		return "unknown message type";
	case VMBUS_MSG_WRONG_WAY:
		return "message of the other direction";
	case VMBUS_MSG_NOT_SPOKEN:
		return "message not part of the agreed version";
	}
	return "unknown fault";
}

const char *vmbus_msg_name(uint32_t type)
{
	const struct msg_desc *d = find(type);

	return d ? d->name : "unknown";
}

uint32_t vmbus_msg_size(uint32_t type)
{
	const struct msg_desc *d = find(type);

	return d ? d->min_len : 0;
}

uint32_t vmbus_msg_init(union vmbus_msg *msg, enum vmbus_msg_type type)
{
	memset(msg, 0, sizeof(*msg));
	msg->hdr.type = type;
	return vmbus_msg_size(type);
}
