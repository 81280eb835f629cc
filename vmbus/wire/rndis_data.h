/* SPDX-License-Identifier: MIT */
/*
 * RNDIS PACKET messages, taken apart without trusting who wrote them (spec: rndis, section 5;
 * hostile cases N12 to N18, C19). Both sides use it: the VSP on what a guest sends, the VSC on what
 * the root delivers.
 *
 * Works on a private copy of the message's first bytes, in which the header and all per-packet
 * information have to be.
 */
#ifndef HVBUS_VMBUS_WIRE_RNDIS_DATA_H
#define HVBUS_VMBUS_WIRE_RNDIS_DATA_H

#include <stdbool.h>

#include "vmbus/wire/rndis.h"

#define RNDIS_DATA_HEAD 256u /* bytes of the private copy; the longest known header has 108 */

struct rndis_data {
	uint32_t length;		   /* of the message: the next one starts there */
	uint32_t data_offset, data_length; /* from the start of the message */
	bool has_csum, has_lso, has_vlan, has_hash, has_fragment;
	uint32_t csum, lso, vlan, hash, fragment; /* the first of each type */
};

/* One element at @at, of which @left bytes are there: its size, or 0 = broken. */
ALWAYS_INLINE uint32_t rndis_data_element(struct rndis_data *d, const uint8_t *at, uint32_t left)
{
	struct rndis_info i;
	uint32_t value;

	if (left < sizeof(i))
		return 0;
	memcpy(&i, at, sizeof(i));
	if (i.size < sizeof(i) || i.size > left || i.size % 4 || i.offset > i.size)
		return 0;
	if (i.offset < sizeof(i) || i.size - i.offset < 4)
		return i.size == sizeof(i) || i.offset >= sizeof(i) ? i.size : 0;
	memcpy(&value, at + i.offset, 4);
	switch (i.type) {
#define RNDIS_DATA_TAKE(number, field)                                                             \
	case number:                                                                               \
		if (!d->has_##field)                                                               \
			d->field = value;                                                          \
		d->has_##field = true;                                                             \
		break
		RNDIS_DATA_TAKE(RNDIS_INFO_CSUM, csum);
		RNDIS_DATA_TAKE(RNDIS_INFO_LSO, lso);
		RNDIS_DATA_TAKE(RNDIS_INFO_8021Q, vlan);
		RNDIS_DATA_TAKE(RNDIS_INFO_HASH, hash);
		RNDIS_DATA_TAKE((uint32_t)RNDIS_INFO_FRAGMENT, fragment);
#undef RNDIS_DATA_TAKE
	}
	return i.size;
}

/*
 * @head: a private copy of the first @head_len bytes of a message that may reach to @room bytes.
 * NULL, or what is wrong with it. The frame may lie outside the copy, never outside the message.
 */
static inline const char *rndis_data_parse(struct rndis_data *d, const uint8_t *head,
					   uint32_t head_len, uint32_t room)
{
	struct rndis_packet p;
	uint32_t at, end, size;

	*d = (struct rndis_data){ 0 };
	if (head_len < sizeof(p) || room < sizeof(p))
		return "RNDIS message too short for a packet";
	memcpy(&p, head, sizeof(p));
	if (p.type != RNDIS_PACKET)
		return "RNDIS message is not a packet";
	if (p.length < sizeof(p) || p.length > room)
		return "RNDIS message length";
	d->length = p.length;
	if (p.data_offset > p.length - RNDIS_OFFSET_BASE ||
	    p.data_length > p.length - RNDIS_OFFSET_BASE - p.data_offset ||
	    p.data_offset + RNDIS_OFFSET_BASE < sizeof(p))
		return "RNDIS data outside its message";
	d->data_offset = p.data_offset + RNDIS_OFFSET_BASE;
	d->data_length = p.data_length;
	if (!p.info_length)
		return NULL;
	end = p.length < head_len ? p.length : head_len;
	if (p.info_offset > end - RNDIS_OFFSET_BASE ||
	    p.info_length > end - RNDIS_OFFSET_BASE - p.info_offset ||
	    p.info_offset + RNDIS_OFFSET_BASE < sizeof(p))
		return "RNDIS per-packet information outside its place";
	at = p.info_offset + RNDIS_OFFSET_BASE;
	end = at + p.info_length;
	for (; at < end; at += size) {
		size = rndis_data_element(d, head + at, end - at);
		if (!size)
			return "RNDIS per-packet information is broken";
	}
	return NULL;
}

#endif
