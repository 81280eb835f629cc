/* SPDX-License-Identifier: MIT */
/* Ends: what the machine says of them is seen from outside. */
#include "tests/kvm/payload/bus.h"

#define MSR_CRASH_P0  0x40000100u
#define MSR_CRASH_CTL 0x40000105u
#define MSR_RESET     0x40000003u
#define CRASHES	      2000

void part_triple(void);
void part_triple(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} PACKED none = { 0, 0 };

	__asm__ volatile("lidt %0; ud2" ::"m"(none));
}

/* Code where there is no memory, which nobody can execute. */
void part_nowhere(void);
void part_nowhere(void)
{
	__asm__ volatile("jmp *%0" ::"r"(HOLE));
}

/* Crashes with registers and texts of all ones, again and again, and lives on. */
void part_crash(void);
void part_crash(void)
{
	for (uint32_t i = 0; i < 5; i++)
		wrmsr(MSR_CRASH_P0 + i, ~0ull);
	for (int i = 0; i < CRASHES; i++)
		wrmsr(MSR_CRASH_CTL, ~0ull);
	check("it goes on after its crashes", true, 0);
}

void part_reset(void);
void part_reset(void)
{
	wrmsr(MSR_RESET, 1);
	out8(0x60a, 6);
}

/* Until somebody ends it from outside. */
void part_stay(void);
void part_stay(void)
{
	for (;;)
		__asm__ volatile("hlt");
}
