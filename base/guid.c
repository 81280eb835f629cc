/* SPDX-License-Identifier: MIT */
/* GUIDs: text form, order, and names turned into stable ids. */
#include <errno.h>
#include <string.h>

#include "base/guid.h"
#include "base/hex.h"

/* Where in the wire form the n-th byte of the text goes: three fields are little-endian. */
static const uint8_t wire_pos[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };

static bool dash_before(int byte)
{
	return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

int guid_parse(struct guid *out, const char *text)
{
	struct guid g;

	if (strnlen(text, GUID_STR_LEN) != GUID_STR_LEN - 1)
		return -EINVAL;
	for (int i = 0; i < 16; i++) {
		int hi, lo;

		if (dash_before(i) && *text++ != '-')
			return -EINVAL;
		hi = hex_digit(*text++);
		lo = hex_digit(*text++);
		if (hi < 0 || lo < 0)
			return -EINVAL;
		g.b[wire_pos[i]] = (uint8_t)(hi << 4 | lo);
	}
	*out = g;
	return 0;
}

char *guid_format(const struct guid *g, char buf[GUID_STR_LEN])
{
	static const char digits[] = "0123456789abcdef";
	char *p = buf;

	for (int i = 0; i < 16; i++) {
		uint8_t b = g->b[wire_pos[i]];

		if (dash_before(i))
			*p++ = '-';
		*p++ = digits[b >> 4];
		*p++ = digits[b & 15];
	}
	*p = '\0';
	return buf;
}

bool guid_equal(const struct guid *a, const struct guid *b)
{
	return !guid_compare(a, b);
}

int guid_compare(const struct guid *a, const struct guid *b)
{
	return memcmp(a->b, b->b, sizeof(a->b));
}

/* FNV-1a over the name, then a strong finisher so that close names give far ids. */
static uint64_t hash_name(const uint8_t *p, uint32_t len, uint64_t seed)
{
	uint64_t h = 0xcbf29ce484222325u ^ seed;

	for (uint32_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3u;
	h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9u;
	h = (h ^ h >> 27) * 0x94d049bb133111ebu;
	return h ^ h >> 31;
}

void guid_from_name(struct guid *out, const void *name, uint32_t len)
{
	uint64_t lo = hash_name(name, len, 0);
	uint64_t hi = hash_name(name, len, 0x9e3779b97f4a7c15u);

	memcpy(out->b, &lo, sizeof(lo));
	memcpy(out->b + 8, &hi, sizeof(hi));
	out->b[7] = (uint8_t)((out->b[7] & 0x0f) | 0x80); /* version 8: custom */
	out->b[8] = (uint8_t)((out->b[8] & 0x3f) | 0x80); /* RFC variant */
}
