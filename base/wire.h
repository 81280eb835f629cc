/* SPDX-License-Identifier: MIT */
/*
 * Types and checks for bytes that come from or go to a peer.
 *
 * Big-endian fields are arrays, so that "x + 1" does not compile and a missing
 * conversion cannot go unnoticed. Little-endian fields are plain integers in
 * packed structs (see compiler.h).
 */
#ifndef HVBUS_BASE_WIRE_H
#define HVBUS_BASE_WIRE_H

#include <string.h>

#include "base/compiler.h"

#define PACKED __attribute__((packed))
#define WIRE_SIZE(type, size)                                                                      \
	_Static_assert(sizeof(type) == (size), #type " must be " #size " bytes")
#define WIRE_OFFSET(type, field, off)                                                              \
	_Static_assert(offsetof(type, field) == (off), #type "." #field " must be at " #off)

typedef struct {
	uint8_t b[2];
} be16;
typedef struct {
	uint8_t b[3];
} be24;
typedef struct {
	uint8_t b[4];
} be32;
typedef struct {
	uint8_t b[8];
} be64;

ALWAYS_INLINE uint16_t be16_get(be16 v)
{
	return (uint16_t)(v.b[0] << 8 | v.b[1]);
}
ALWAYS_INLINE uint32_t be24_get(be24 v)
{
	return (uint32_t)v.b[0] << 16 | (uint32_t)v.b[1] << 8 | v.b[2];
}

ALWAYS_INLINE uint32_t be32_get(be32 v)
{
	uint32_t x;

	memcpy(&x, v.b, sizeof(x));
	return __builtin_bswap32(x);
}

ALWAYS_INLINE uint64_t be64_get(be64 v)
{
	uint64_t x;

	memcpy(&x, v.b, sizeof(x));
	return __builtin_bswap64(x);
}

ALWAYS_INLINE be16 be16_make(uint16_t x)
{
	return (be16){ { (uint8_t)(x >> 8), (uint8_t)x } };
}
ALWAYS_INLINE be24 be24_make(uint32_t x)
{
	return (be24){ { (uint8_t)(x >> 16), (uint8_t)(x >> 8), (uint8_t)x } };
}

ALWAYS_INLINE be32 be32_make(uint32_t x)
{
	be32 v;

	x = __builtin_bswap32(x);
	memcpy(v.b, &x, sizeof(x));
	return v;
}

ALWAYS_INLINE be64 be64_make(uint64_t x)
{
	be64 v;

	x = __builtin_bswap64(x);
	memcpy(v.b, &x, sizeof(x));
	return v;
}

/* The same for bytes at any address, e.g. inside a CDB. */
ALWAYS_INLINE uint16_t be16_at(const void *p)
{
	be16 v;
	memcpy(&v, p, sizeof(v));
	return be16_get(v);
}
ALWAYS_INLINE uint32_t be32_at(const void *p)
{
	be32 v;
	memcpy(&v, p, sizeof(v));
	return be32_get(v);
}
ALWAYS_INLINE uint64_t be64_at(const void *p)
{
	be64 v;
	memcpy(&v, p, sizeof(v));
	return be64_get(v);
}
ALWAYS_INLINE void be16_put(void *p, uint16_t x)
{
	be16 v = be16_make(x);
	memcpy(p, &v, sizeof(v));
}
ALWAYS_INLINE void be32_put(void *p, uint32_t x)
{
	be32 v = be32_make(x);
	memcpy(p, &v, sizeof(v));
}
ALWAYS_INLINE void be64_put(void *p, uint64_t x)
{
	be64 v = be64_make(x);
	memcpy(p, &v, sizeof(v));
}

/*
 * Copies @len bytes out of memory that the peer can change at any time. The
 * compiler may not fetch the source again after this, so what was checked in
 * @dst is what is used.
 */
ALWAYS_INLINE void snapshot(void *dst, const void *shared, size_t len)
{
	memcpy(dst, shared, len);
	__asm__ volatile("" ::: "memory");
}

#endif
