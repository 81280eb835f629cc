/* SPDX-License-Identifier: MIT */
/*
 * Fuzz input as a stream: bytes become operations. Reading past the end gives zeroes. Never
 * read twice in one expression: compilers differ in which comes first.
 */
#ifndef HVBUS_FUZZ_INPUT_H
#define HVBUS_FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct input {
	const uint8_t *p;
	size_t left;
};

static inline void input_take(struct input *in, void *out, size_t n)
{
	size_t have = n < in->left ? n : in->left;

	memcpy(out, in->p, have);
	memset((uint8_t *)out + have, 0, n - have);
	in->p += have;
	in->left -= have;
}

static inline uint8_t input_u8(struct input *in)
{
	uint8_t v;

	input_take(in, &v, sizeof(v));
	return v;
}

static inline uint16_t input_u16(struct input *in)
{
	uint16_t v;

	input_take(in, &v, sizeof(v));
	return v;
}

static inline uint32_t input_u32(struct input *in)
{
	uint32_t v;

	input_take(in, &v, sizeof(v));
	return v;
}

static inline uint64_t input_u64(struct input *in)
{
	uint64_t v;

	input_take(in, &v, sizeof(v));
	return v;
}

/* Changes one of the @n bytes at @p; or none, with a 0. */
static inline void input_spoil(struct input *in, void *p, size_t n)
{
	size_t at = input_u8(in) % n;

	((uint8_t *)p)[at] ^= input_u8(in);
}

/* An invariant of our own side: broken means we have a bug, whatever the peer did. */
#define INVARIANT(x)                                                                               \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

#endif
