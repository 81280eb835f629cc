/* SPDX-License-Identifier: MIT */
/*
 * GUIDs in the wire form of VMBus: first u32 and two u16 little-endian, the
 * last eight bytes as written (spec: vmbus, section 9).
 */
#ifndef HVBUS_BASE_GUID_H
#define HVBUS_BASE_GUID_H

#include <stdbool.h>
#include <stdint.h>

struct guid {
	uint8_t b[16];
};

#define GUID_STR_LEN 37 /* "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx" and NUL */

/* GUID literal: GUID_INIT(0xba6163d9, 0x04a1, 0x4d29, 0xb6,0x05,0x72,0xe2,0xff,0xb1,0xdc,0x7f) */
/* clang-format off */
#define GUID_INIT(d1, d2, d3, ...) \
	{ { (uint8_t)(d1), (uint8_t)((d1) >> 8), (uint8_t)((d1) >> 16), \
	    (uint8_t)((uint32_t)(d1) >> 24), (uint8_t)(d2), (uint8_t)((d2) >> 8), \
	    (uint8_t)(d3), (uint8_t)((d3) >> 8), __VA_ARGS__ } }
/* clang-format on */

/* Parses the 36-character text form, any case. Returns 0 or -EINVAL. */
int guid_parse(struct guid *out, const char *text);

/* Writes the lower-case text form and returns @buf. */
char *guid_format(const struct guid *g, char buf[GUID_STR_LEN]);

bool guid_equal(const struct guid *a, const struct guid *b);

/* memcmp-like total order over the wire bytes. */
int guid_compare(const struct guid *a, const struct guid *b);

/*
 * A stable GUID made from @len bytes of @name (the same name gives the same
 * GUID on every machine, version-8 style): for devices without a configured id.
 */
void guid_from_name(struct guid *out, const void *name, uint32_t len);

#endif
