/* SPDX-License-Identifier: MIT */
/*
 * Golden bytes of the storage protocol (spec: storvsc, sections 16 and 17.2): worked
 * examples, and packets captured between a stock Linux 6.1 guest and a host. Text of
 * hex digits; "00*48" is a run. vector_bytes() makes bytes of it.
 */
#ifndef HVBUS_TESTS_FAKE_VSTOR_VECTORS_H
#define HVBUS_TESTS_FAKE_VSTOR_VECTORS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Returns the number of bytes written to @out (@max at most; more aborts the test). */
static inline uint32_t vector_bytes(const char *text, uint8_t *out, uint32_t max)
{
	unsigned int byte, times;
	uint32_t n = 0;
	int used;

	while (sscanf(text, " %2x%n", &byte, &used) == 1) {
		text += used;
		times = 1;
		if (sscanf(text, "*%u%n", &times, &used) == 1)
			text += used;
		for (; times; times--) {
			if (n == max)
				abort();
			out[n++] = (uint8_t)byte;
		}
	}
	if (*text)
		abort(); /* a typing mistake in a vector */
	return n;
}

/* ---- section 16: in-band data, without VMBus descriptor --------------------------- */

#define V16_1_BEGIN	  "07 00 00 00 01 00 00 00 00*56"
#define V16_1_COMPLETION  "01 00 00 00 00*60"
#define V16_2_VERSION	  "09 00 00 00 01 00 00 00 00 00 00 00 02 06 00 00 00*48"
#define V16_2_REJECTED	  "01 00 00 00 00 00 00 00 59 00 00 c0 02 06 00 00 00*48"
#define V16_3_PROPERTIES  "01 00 00 00 00*12 03 00 00 00 01 00 00 00 00 00 04 00 00*36"
#define V16_4_CREATE_SUBS "0d 00 00 00 01 00 00 00 00 00 00 00 03 00 00 00 00*48"
#define V16_5_READ10                                                                               \
	"03 00 00 00 01 00 00 00 00 00 00 00 34 00 00 00"                                          \
	"00 00 00 01 0a 14 01 00 00 10 00 00 28 00 00 00"                                          \
	"08 00 00 00 08 00 00 00 00 00 00 00 00 00 00 00"                                          \
	"00 00 ff 20 4a 01 00 00 3c 00 00 00 00 00 00 00"
#define V16_6_ONE_PAGE                                                                             \
	"09 00 05 00 0d 00 01 00 01 80 00 00 00 00 00 00"                                          \
	"00 00 00 00 01 00 00 00 00 10 00 00 00 00 00 00"                                          \
	"45 23 01 00 00 00 00 00"
#define V16_7_THREE_PAGES                                                                          \
	"09 00 07 00 0f 00 01 00 02 80 00 00 00 00 00 00"                                          \
	"00 00 00 00 01 00 00 00 00 20 00 00 00 08 00 00"                                          \
	"45 23 01 00 00 00 00 00 56 34 02 00 00 00 00 00"                                          \
	"67 45 03 00 00 00 00 00"
#define V16_8_GOOD                                                                                 \
	"01 00 00 00 00 00 00 00 00 00 00 00 34 00 01 00"                                          \
	"00 00 00 01 10 14 00 00 00 10 00 00 00 00 00 00 00*32"
#define V16_9_LBA_RANGE                                                                            \
	"01 00 00 00 00 00 00 00 85 01 00 c0 34 00 86 02"                                          \
	"00 00 00 01 10 14 00 00 00 00 00 00 70 00 05 00"                                          \
	"00 00 00 0a 00 00 00 00 21 00 00 00 00 00 00 00 00*16"
#define V16_10_ABSENT                                                                              \
	"01 00 00 00 00 00 00 00 c0 00 00 c0 34 00 20 02"                                          \
	"00 00 00 09 10 14 00 00 00 00 00 00 00 00 00 00 00*32"
#define V16_11_ENUMERATE_BUS "0b 00 00 00 00*60"

/* ---- section 17.2: whole packets, with the 8-byte trailer where the capture has it --- */

#define V17_BEGIN                                                                                  \
	"06 00 02 00 0a 00 01 00 fd ff ff ff ff ff ff ff"                                          \
	"07 00 00 00 01 00 00 00 00 00 00 00 00 00 00 00 00*48 00 00 00 00 00 00 00 00"
#define V17_BEGIN_COMPLETION                                                                       \
	"0b 00 02 00 0a 00 00 00 fd ff ff ff ff ff ff ff"                                          \
	"01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00*48 00 00 00 00 00 00 00 00"
#define V17_VERSION                                                                                \
	"06 00 02 00 0a 00 01 00 fd ff ff ff ff ff ff ff"                                          \
	"09 00 00 00 01 00 00 00 00 00 00 00 02 06 00 00 00*48 00 00 00 00 58 00 00 00"
#define V17_PROPERTIES                                                                             \
	"06 00 02 00 0a 00 01 00 fd ff ff ff ff ff ff ff"                                          \
	"0a 00 00 00 01 00 00 00 00 00 00 00 00 00 00 00 00*48 00 00 00 00 b0 00 00 00"
#define V17_PROPERTIES_COMPLETION                                                                  \
	"0b 00 02 00 0a 00 00 00 fd ff ff ff ff ff ff ff"                                          \
	"01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00"                                          \
	"03 00 00 00 01 00 00 00 00 00 04 00 00 00 00 00 00*32 00 00 00 00 b0 00 00 00"
#define V17_END                                                                                    \
	"06 00 02 00 0a 00 01 00 fd ff ff ff ff ff ff ff"                                          \
	"08 00 00 00 01 00 00 00 00 00 00 00 00 00 00 00 00*48 00 00 00 00 08 01 00 00"
#define V17_CREATE_SUBS                                                                            \
	"06 00 02 00 0a 00 01 00 fd ff ff ff ff ff ff ff"                                          \
	"0d 00 00 00 01 00 00 00 00 00 00 00 01 00 00 00 00*48 00 00 00 00 60 01 00 00"
#define V17_INQUIRY                                                                                \
	"09 00 05 00 0d 00 01 00 01 00 00 00 00 00 00 00"                                          \
	"00 00 00 00 01 00 00 00 24 00 00 00 00 03 00 00"                                          \
	"ec 56 00 00 00 00 00 00 03 00 00 00 01 00 00 00"                                          \
	"00 00 00 00 34 00 00 00 00 00 00 00 06 14 01 00"                                          \
	"24 00 00 00 12 00 00 00 24 00 00 00 00 00 00 00"                                          \
	"00 00 00 00 00 00 00 00 00 00 00 00 48 00 00 00"                                          \
	"3c 00 00 00 00 00 00 00 00 00 00 00 60 01 00 00"
#define V17_INQUIRY_COMPLETION                                                                     \
	"0b 00 02 00 0a 00 00 00 01 00 00 00 00 00 00 00"                                          \
	"01 00 00 00 00 00 00 00 00 00 00 00 34 00 01 00"                                          \
	"00 00 00 00 10 14 00 00 24 00 00 00 00 00 00 00 00*32"
#define V17_TEST_UNIT_READY                                                                        \
	"06 00 02 00 0a 00 01 00 04 00 00 00 00 00 00 00"                                          \
	"03 00 00 00 01 00 00 00 00 00 00 00 34 00 00 00"                                          \
	"00 00 00 00 06 14 02 00 00 00 00 00 00 00 00 00"                                          \
	"00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00"                                          \
	"00 00 ff 20 0a 01 00 00 3c 00 00 00 00 00 00 00"                                          \
	"00 00 00 00 b0 1e 00 00"
#define V17_READ10_SUB                                                                             \
	"09 00 05 00 0d 00 01 00 32 00 01 00 00 00 00 00"                                          \
	"00 00 00 00 01 00 00 00 00 10 00 00 00 00 00 00"                                          \
	"65 3c 00 00 00 00 00 00 03 00 00 00 01 00 00 00"                                          \
	"00 00 00 00 34 00 00 00 00 00 00 01 0a 14 01 00"                                          \
	"00 10 00 00 28 00 00 00 00 00 00 00 08 00 00 00"                                          \
	"00 00 00 00 00 00 00 00 00 00 ff 20 4a 01 00 00"                                          \
	"3c 00 00 00 00 00 00 00 00 00 00 00 f8 16 00 00"
#define V17_WRITE10_FUA                                                                            \
	"09 00 05 00 0d 00 01 00 17 00 00 00 00 00 00 00"                                          \
	"00 00 00 00 01 00 00 00 00 04 00 00 00 04 00 00"                                          \
	"68 56 00 00 00 00 00 00 03 00 00 00 01 00 00 00"                                          \
	"00 00 00 00 34 00 00 00 00 00 00 00 0a 14 00 00"                                          \
	"00 04 00 00 2a 08 00 00 00 02 00 00 02 00 00 00"                                          \
	"00 00 00 00 00 00 00 00 00 00 ff 20 8a 01 00 00"                                          \
	"3c 00 00 00 00 00 00 00 00 00 00 00 d0 26 00 00"
/* The largest write: descriptor and range header; then 65 PFNs; then a packet with the CDB. */
#define V17_WRITE_256K_HEAD                                                                        \
	"09 00 45 00 4d 00 01 00 32 00 00 00 00 00 00 00"                                          \
	"00 00 00 00 01 00 00 00 00 00 04 00 00 0c 00 00"
#define V17_WRITE_256K_CDB "2a 00 00 00 52 00 00 02 00 00"
#define V17_UNMAP                                                                                  \
	"09 00 05 00 0d 00 01 00 47 00 00 00 00 00 00 00"                                          \
	"00 00 00 00 01 00 00 00 18 00 00 00 00 00 00 00"                                          \
	"fe 53 00 00 00 00 00 00 03 00 00 00 01 00 00 00"                                          \
	"00 00 00 00 34 00 00 00 00 00 00 00 0a 14 00 00"                                          \
	"18 00 00 00 42 00 00 00 00 00 00 00 18 00 00 00"                                          \
	"00 00 00 00 00 00 00 00 00 00 ff 20 8a 01 00 00"                                          \
	"3c 00 00 00 00 00 00 00 00 00 00 00 70 1e 00 00"
#define V17_UNMAP_LIST "00 16 00 10 00 00 00 00 00 00 00 00 00 00 31 20 00 00 0e e2 00 00 00 00"
#define V17_OPCODE_C7_COMPLETION                                                                   \
	"0b 00 02 00 0a 00 00 00 30 00 00 00 00 00 00 00"                                          \
	"01 00 00 00 00 00 00 00 85 01 00 c0 34 00 86 02"                                          \
	"00 00 00 00 10 14 00 00 00 00 00 00 70 00 05 00"                                          \
	"00 00 00 0a 00 00 00 00 20 00 00 00 00 00 00 00 00*16"
#define V17_ENUMERATE_BUS                                                                          \
	"06 00 02 00 0a 00 00 00 00 00 00 00 00 00 00 00"                                          \
	"0b 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00*48 00 00 00 00 48 14 00 00"
#define V17_RESET_BUS                                                                              \
	"06 00 02 00 0a 00 01 00 fc ff ff ff ff ff ff ff"                                          \
	"06 00 00 00 01 00 00 00 00 00 00 00 00 00 00 00 00*48 00 00 00 00 30 1d 00 00"

/* All that are whole, for tests that treat them alike. */
static const char *const vstor_captured[] = {
	V17_BEGIN,
	V17_BEGIN_COMPLETION,
	V17_VERSION,
	V17_PROPERTIES,
	V17_PROPERTIES_COMPLETION,
	V17_END,
	V17_CREATE_SUBS,
	V17_INQUIRY,
	V17_INQUIRY_COMPLETION,
	V17_TEST_UNIT_READY,
	V17_READ10_SUB,
	V17_WRITE10_FUA,
	V17_UNMAP,
	V17_OPCODE_C7_COMPLETION,
	V17_ENUMERATE_BUS,
	V17_RESET_BUS,
};

#endif
