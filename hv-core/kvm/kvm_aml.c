/* SPDX-License-Identifier: MIT */
/* Encodings of the ACPI specification, chapters 6.4 (resources) and 20 (machine language). */
#include "hv-core/kvm/kvm_aml.h"

#include <string.h>

#define AML_ZERO       0x00u
#define AML_ONE	       0x01u
#define AML_NAME       0x08u
#define AML_BYTE       0x0au
#define AML_WORD       0x0bu
#define AML_DWORD      0x0cu
#define AML_STRING     0x0du
#define AML_SCOPE      0x10u
#define AML_BUFFER     0x11u
#define AML_PACKAGE    0x12u
#define AML_EXT	       0x5bu
#define AML_EXT_DEVICE 0x82u
#define LENGTH_BYTES   2u /* always: up to 4095 bytes, and known before the content is */
#define LENGTH_MAX     4095u

#define RES_IRQ	       0x22u
#define RES_IO	       0x47u
#define RES_END	       0x79u
#define RES_DWORD      0x87u
#define RES_QWORD      0x8au
#define WINDOW_FIXED   0x0cu /* both ends are fixed; produced for children */
#define WINDOW_RW      0x01u

void aml_bytes(struct kvm_aml *a, const void *data, uint32_t n)
{
	if (a->full || n > a->room - a->len) {
		a->full = true;
		return;
	}
	memcpy(a->buf + a->len, data, n);
	a->len += n;
}

void aml_le(struct kvm_aml *a, uint64_t value, uint32_t n)
{
	uint8_t b[8];

	for (uint32_t i = 0; i < n; i++)
		b[i] = (uint8_t)(value >> 8 * i);
	aml_bytes(a, b, n);
}

/* Room for the length; returns where it is. */
static uint32_t begin_length(struct kvm_aml *a)
{
	uint32_t at = a->len;

	aml_le(a, 0, LENGTH_BYTES);
	return at;
}

void aml_end(struct kvm_aml *a, uint32_t begin)
{
	uint32_t n = a->len - begin;

	if (a->full || n > LENGTH_MAX) {
		a->full = true;
		return;
	}
	a->buf[begin] = (uint8_t)(0x40 | (n & 0xf));
	a->buf[begin + 1] = (uint8_t)(n >> 4);
}

/* A backslash stays one character; each segment of a path has four. */
static void put_path(struct kvm_aml *a, const char *path)
{
	if (*path == '\\') {
		aml_bytes(a, "\\", 1);
		path++;
	}
	aml_bytes(a, path, 4);
}

uint32_t aml_scope(struct kvm_aml *a, const char *path)
{
	uint32_t at;

	aml_le(a, AML_SCOPE, 1);
	at = begin_length(a);
	put_path(a, path);
	return at;
}

uint32_t aml_device(struct kvm_aml *a, const char name[4])
{
	uint32_t at;

	aml_le(a, AML_EXT | AML_EXT_DEVICE << 8, 2);
	at = begin_length(a);
	aml_bytes(a, name, 4);
	return at;
}

uint32_t aml_package(struct kvm_aml *a, uint8_t elements)
{
	uint32_t at;

	aml_le(a, AML_PACKAGE, 1);
	at = begin_length(a);
	aml_le(a, elements, 1);
	return at;
}

void aml_name(struct kvm_aml *a, const char *name)
{
	aml_le(a, AML_NAME, 1);
	put_path(a, name);
}

void aml_integer(struct kvm_aml *a, uint32_t value)
{
	if (value <= 1) {
		aml_le(a, value ? AML_ONE : AML_ZERO, 1);
	} else if (value <= 0xff) {
		aml_le(a, AML_BYTE | value << 8, 2);
	} else if (value <= 0xffff) {
		aml_le(a, AML_WORD | value << 8, 3);
	} else {
		aml_le(a, AML_DWORD, 1);
		aml_le(a, value, 4);
	}
}

void aml_string(struct kvm_aml *a, const char *text)
{
	aml_le(a, AML_STRING, 1);
	aml_bytes(a, text, (uint32_t)strlen(text) + 1);
}

/* ---- resources ---------------------------------------------------------------------- */

/* A buffer's size is a number of its own, here always a word behind the length. */
uint32_t aml_resources(struct kvm_aml *a)
{
	uint32_t at;

	aml_le(a, AML_BUFFER, 1);
	at = begin_length(a);
	aml_le(a, AML_WORD, 1);
	aml_le(a, 0, 2);
	return at;
}

void aml_resources_end(struct kvm_aml *a, uint32_t begin)
{
	uint32_t content = begin + LENGTH_BYTES + 3, n;

	aml_le(a, RES_END, 2); /* with a checksum of 0: not used */
	n = a->len - content;
	aml_end(a, begin);
	if (a->full)
		return;
	a->buf[content - 2] = (uint8_t)n;
	a->buf[content - 1] = (uint8_t)(n >> 8);
}

void aml_irq(struct kvm_aml *a, uint32_t irq)
{
	aml_le(a, RES_IRQ, 1);
	aml_le(a, 1u << irq, 2);
}

void aml_io(struct kvm_aml *a, uint16_t port, uint8_t n)
{
	aml_le(a, RES_IO | 1 << 8, 2); /* all 16 address lines are decoded */
	aml_le(a, port, 2);
	aml_le(a, port, 2);
	aml_le(a, 1 | n << 8, 2);
}

static void window(struct kvm_aml *a, uint32_t tag, uint64_t base, uint64_t len, uint32_t width)
{
	aml_le(a, tag, 1);
	aml_le(a, 3 + 5 * width, 2);
	aml_le(a, WINDOW_FIXED << 8 | WINDOW_RW << 16, 3); /* memory */
	aml_le(a, 0, width);				   /* granularity */
	aml_le(a, base, width);
	aml_le(a, base + len - 1, width);
	aml_le(a, 0, width); /* translation */
	aml_le(a, len, width);
}

void aml_memory32(struct kvm_aml *a, uint32_t base, uint32_t len)
{
	window(a, RES_DWORD, base, len, 4);
}

void aml_memory64(struct kvm_aml *a, uint64_t base, uint64_t len)
{
	window(a, RES_QWORD, base, len, 8);
}
