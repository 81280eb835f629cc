/* SPDX-License-Identifier: MIT */
/*
 * Compiler helpers that everything else may include. No code, no libc.
 */
#ifndef HVBUS_BASE_COMPILER_H
#define HVBUS_BASE_COMPILER_H

#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a)			(sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)(((char *)(ptr)) - offsetof(type, member)))
#define likely(x)			__builtin_expect(!!(x), 1)
#define unlikely(x)			__builtin_expect(!!(x), 0)
#define ALWAYS_INLINE			static inline __attribute__((always_inline))
#define NOINLINE			__attribute__((noinline))
#define PRINTF_LIKE(fmt, args)		__attribute__((format(printf, fmt, args)))
#define CACHE_LINE			64

/* VMBus is little-endian on the wire and so is every machine it runs on. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little-endian only");

#endif
