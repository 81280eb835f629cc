/* SPDX-License-Identifier: MIT */
/*
 * A guest without a kernel and without manners: ports, registers, hypercalls, and what
 * they answer, exceptions included. Memory is where it is (the first 4 GiB are mapped so).
 */
#ifndef HVBUS_TESTS_KVM_PAYLOAD_MACHINE_H
#define HVBUS_TESTS_KVM_PAYLOAD_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PAGE	     4096u
#define PAGE_ALIGNED __attribute__((aligned(4096)))
#define TRAMPOLINE   0x8000u	   /* see start.S */
#define HOLE	     0xe0000000ull /* between RAM and the APICs */
#define LAPIC	     0xfee00000ull
#define UD_VECTOR    6
#define GP_VECTOR    13
#define COUNT(a)     (sizeof(a) / sizeof((a)[0]))

extern volatile uint64_t trap_vector, trap_resume;
extern uint64_t ram_end; /* of what lies below the hole */

/* ---- what it says ---------------------------------------------------------------------- */

void say(const char *text);			/* "@@ text" */
void say_hex(const char *text, uint64_t value); /* "@@ text 0x.." */
/* One result, in the words of the host part: "@@ ok what" or "@@ FAILED what (got ..)". */
void check(const char *what, bool good, uint64_t got);
_Noreturn void power_off(void);

/* ---- instructions ------------------------------------------------------------------------ */

static inline void out8(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port));
}
static inline void out16(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" ::"a"(v), "Nd"(port));
}
static inline void out32(uint16_t port, uint32_t v)
{
	__asm__ volatile("outl %0, %1" ::"a"(v), "Nd"(port));
}
static inline uint8_t in8(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline uint16_t in16(uint16_t port)
{
	uint16_t v;

	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline uint32_t in32(uint16_t port)
{
	uint32_t v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline volatile uint32_t *word_at(uint64_t gpa)
{
	return (volatile uint32_t *)gpa;
}

/* The exception it raises, or 0. */
int wrmsr(uint32_t msr, uint64_t value);
int rdmsr(uint32_t msr, uint64_t *value);
uint64_t time_ns(void);
void wait_ms(uint32_t ms);

/* ---- hypercalls ----------------------------------------------------------------------------- */

#define HYPERCALL_UD 0xffffull /* what hypercall() returns when there is no call */

bool hypercalls_on(void);
/* All of RAX. */
uint64_t hypercall(uint64_t control, uint64_t in, uint64_t out);

/* ---- a second VP ------------------------------------------------------------------------------
 */

/* xAPIC's interrupt command register. */
void apic_command(uint32_t apic, uint32_t low);
/* It runs second_main(). */
bool second_start(void);
extern volatile uint32_t second_runs;	  /* how often it began */
extern void (*volatile second_job)(void); /* what it does then; it halts after that */

#endif
