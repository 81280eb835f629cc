/* SPDX-License-Identifier: MIT */
/* Ports and device memory, with sizes and values that no driver uses. */
#include "tests/kvm/payload/machine.h"

#define COM1 0x3f8u

static uint8_t bytes[3 * PAGE] PAGE_ALIGNED;

static void rep_out(uint16_t port, const void *from, uint64_t n)
{
	__asm__ volatile("rep outsb" : "+S"(from), "+c"(n) : "d"(port) : "memory");
}

static void rep_in(uint16_t port, uint8_t *to, uint64_t n)
{
	__asm__ volatile("rep insb" : "+D"(to), "+c"(n) : "d"(port) : "memory");
}

/* Those that end the machine, byte by byte as wide accesses hit them. */
static bool is_deadly(uint32_t port)
{
	return port == 0x64 || port == 0xcf9 || port == 0x604 || port == 0x605 || port == 0x60a;
}

static bool hits_deadly(uint32_t port, uint32_t size)
{
	for (uint32_t i = 0; i < size; i++)
		if (is_deadly((port + i) & 0xffff))
			return true;
	return false;
}

static void touch(uint16_t port, uint32_t value)
{
	if (!hits_deadly(port, 1))
		out8(port, (uint8_t)value);
	if (!hits_deadly(port, 2))
		out16(port, (uint16_t)value);
	if (!hits_deadly(port, 4))
		out32(port, value);
	in8(port);
	in16(port);
	in32(port);
}

/*
 * Ours with what lies around them, then the last ones, which wrap. Not KVM's own: a timer of
 * garbage is its business, and too much for one that is emulated.
 */
static void everywhere(void)
{
	static const uint16_t first[] = { 0x60, 0x70, 0x3f0, 0x600, 0xcf8, 0xfff0 };

	for (size_t i = 0; i < COUNT(first); i++)
		for (uint16_t p = 0; p < 16; p++) {
			uint16_t port = (uint16_t)(first[i] + p);

			if (port + 4u > COM1 && port < COM1 + 8)
				continue; /* it shall be heard */
			touch(port, 0xffffffff);
			touch(port, 0);
		}
	check("ports of every size", in32(0xfffd) == 0xffffffff, in32(0xfffd));
}

/* A UART in loop-back with nobody who reads, then as it was. */
static void uart(void)
{
	for (uint16_t reg = 1; reg < 8; reg++)
		for (uint32_t v = 0; v < 256; v += 17) {
			out8(COM1 + 4, 0x10);
			out8((uint16_t)(COM1 + reg), (uint8_t)v);
			in32((uint16_t)(COM1 + reg));
		}
	out8(COM1 + 3, 3);
	out8(COM1 + 4, 0x10);
	out8(COM1 + 1, 0x0f);
	memset(bytes, 'x', sizeof(bytes));
	rep_out(COM1, bytes, sizeof(bytes));
	rep_in(COM1, bytes, sizeof(bytes));
	out8(COM1 + 1, 0);
	out8(COM1 + 2, 7);
	out8(COM1 + 4, 0);
	check("the UART after all that", in8(COM1 + 5) & 0x20, in8(COM1 + 5));
}

static void clock(void)
{
	bool good = true;

	for (uint32_t i = 0; i < 256; i++) {
		out8(0x70, (uint8_t)i);
		out8(0x71, (uint8_t)~i);
	}
	out8(0x70, 0x40);
	good = in8(0x71) == (uint8_t)~0xc0; /* what was stored last, 0x40 being 0xc0 */
	check("the clock's memory keeps what fits", good, in8(0x71));
	out8(0x70, 0x0a);
	check("the clock is never in the middle of an update", !(in8(0x71) & 0x80), in8(0x71));
}

static void memory(void)
{
	static const uint64_t nothing[] = { HOLE, 0xf8000000, 0xfed00000, 0xffffe000 };
	uint64_t got = 0;
	bool good = true;

	for (size_t i = 0; i < COUNT(nothing) && good; i++) {
		*word_at(nothing[i]) = 0x12345678;
		*word_at(nothing[i] + 0xffe) = 0; /* across two words */
		got = *word_at(nothing[i]);
		good = got == 0xffffffff;
	}
	check("there is nothing where there is nothing", good, got);
	*word_at(ram_end) = 1;
	check("nor behind RAM", *word_at(ram_end) == 0xffffffff, *word_at(ram_end));
}

void part_ports(void);
void part_ports(void)
{
	everywhere();
	clock();
	uart();
	memory();
}
