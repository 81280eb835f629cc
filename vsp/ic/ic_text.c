/* SPDX-License-Identifier: MIT */
/* By hand: iconv(3) loads modules, which a root in its sandbox cannot. */
#include "vsp/ic/ic_text.h"

#include <errno.h>
#include <string.h>

#include "base/compiler.h"

/* The next character of @at, which moves on; -EILSEQ. */
static int32_t next_char(const uint8_t **at)
{
	static const struct {
		uint8_t mask, lead;
		int32_t least; /* that needs so many bytes */
	} forms[] = {
		{ 0x80, 0x00, 0 },
		{ 0xe0, 0xc0, 0x80 },
		{ 0xf0, 0xe0, 0x800 },
		{ 0xf8, 0xf0, 0x10000 },
	};
	const uint8_t *s = *at;
	uint32_t n = 0;
	int32_t c;

	while (n < ARRAY_SIZE(forms) && (*s & forms[n].mask) != forms[n].lead)
		n++;
	if (n == ARRAY_SIZE(forms))
		return -EILSEQ;
	c = *s++ & ~forms[n].mask & 0xff;
	for (uint32_t i = 0; i < n; i++, s++) {
		if ((*s & 0xc0) != 0x80) /* a NUL as well */
			return -EILSEQ;
		c = c << 6 | (*s & 0x3f);
	}
	if (c < forms[n].least || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return -EILSEQ;
	*at = s;
	return c;
}

int ic_text_put(uint16_t *out, uint32_t room, const char *text)
{
	const uint8_t *s = (const uint8_t *)text;
	uint32_t n = 0;
	int32_t c;

	while (*s) {
		c = next_char(&s);
		if (c < 0)
			return c;
		if (n + (c > 0xffff) + 1 >= room)
			return -EMSGSIZE;
		if (c > 0xffff) {
			out[n++] = (uint16_t)(0xd800 + ((c - 0x10000) >> 10));
			c = 0xdc00 + ((c - 0x10000) & 0x3ff);
		}
		out[n++] = (uint16_t)c;
	}
	memset(out + n, 0, (room - n) * sizeof(*out));
	return (int)n;
}
