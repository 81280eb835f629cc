/* SPDX-License-Identifier: MIT */
/* Console, exceptions, registers, a second VP, and the choice of parts by the command line. */
#include "tests/kvm/payload/machine.h"

#include "hv-core/hv_defs.h"

#define COM1	       0x3f8
#define PM1_CONTROL    0x604
#define SLP_S5	       (1u << 13 | 5u << 10)
#define MSR_HYPERCALL  0x40000001u
#define MSR_TIME       0x40000020u
#define OS_ID	       0x8100000601000000ull
#define BOOT_CS	       0x10u
#define INTERRUPT_GATE 0x8eu
#define ICR_LOW	       0x300u
#define ICR_HIGH       0x310u
#define APIC_SPURIOUS  0xf0u
#define ICR_INIT       0x4500u
#define ICR_STARTUP    0x4600u

volatile uint64_t trap_vector, trap_resume;
uint64_t ram_end;
volatile uint32_t second_runs;
void (*volatile second_job)(void);
extern const uint8_t trampoline[], trampoline_end[];
void trap_6(void), trap_8(void), trap_13(void), trap_14(void);
_Noreturn void trap_fatal(uint64_t vector, uint64_t rip);
void second_main(void);

static uint8_t hypercall_page[PAGE] PAGE_ALIGNED;
static struct {
	uint16_t low, selector;
	uint8_t stack, type;
	uint16_t middle;
	uint32_t high, zero;
} idt[256];

/* The compiler wants them. */
void *memset(void *to, int c, size_t n)
{
	void *at = to;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(n) : "a"(c) : "memory");
	return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	void *at = to;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(n)::"memory");
	return to;
}

/* ---- what it says ------------------------------------------------------------------ */

static void put(const char *s)
{
	for (; *s; s++) {
		while (!(in8(COM1 + 5) & 0x20))
			;
		out8(COM1, (uint8_t)*s);
	}
}

static void put_hex(uint64_t v)
{
	char text[] = "0x0000000000000000";

	for (int i = 17; i > 1; i--, v >>= 4)
		text[i] = "0123456789abcdef"[v & 15];
	put(text);
}

void say(const char *text)
{
	put("@@ ");
	put(text);
	put("\n");
}

void say_hex(const char *text, uint64_t value)
{
	put("@@ ");
	put(text);
	put(" ");
	put_hex(value);
	put("\n");
}

void check(const char *what, bool good, uint64_t got)
{
	put(good ? "@@ ok " : "@@ FAILED ");
	put(what);
	if (!good) {
		put(" (got ");
		put_hex(got);
		put(")");
	}
	put("\n");
}

_Noreturn void power_off(void)
{
	for (;;)
		out16(PM1_CONTROL, SLP_S5);
}

/* ---- exceptions --------------------------------------------------------------------- */

_Noreturn void trap_fatal(uint64_t vector, uint64_t rip)
{
	check("no exception nobody asked for", false, vector);
	say_hex("failed at", rip);
	power_off();
}

static void set_gate(int vector, void (*handler)(void))
{
	uint64_t at = (uint64_t)handler;

	idt[vector].low = (uint16_t)at;
	idt[vector].selector = BOOT_CS;
	idt[vector].type = INTERRUPT_GATE;
	idt[vector].middle = (uint16_t)(at >> 16);
	idt[vector].high = (uint32_t)(at >> 32);
}

static void set_traps(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) pointer = { sizeof(idt) - 1, (uint64_t)idt };

	set_gate(6, trap_6);
	set_gate(8, trap_8);
	set_gate(13, trap_13);
	set_gate(14, trap_14);
	__asm__ volatile("lidt %0" ::"m"(pointer));
}

#define GUARDED(instruction, ...)                                                                  \
	trap_vector = 0;                                                                           \
	__asm__ volatile("movq $1f, %[resume]\n\t" instruction                                     \
			 "\n1:\tmovq $0, %[resume]" __VA_ARGS__)

int wrmsr(uint32_t msr, uint64_t value)
{
	GUARDED("wrmsr",
		: [resume] "=m"(trap_resume)
		: "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
		: "memory");
	return (int)trap_vector;
}

int rdmsr(uint32_t msr, uint64_t *value)
{
	uint32_t low = 0, high = 0;

	GUARDED("rdmsr", : [resume] "=m"(trap_resume), "+a"(low), "+d"(high) : "c"(msr) : "memory");
	*value = (uint64_t)high << 32 | low;
	return (int)trap_vector;
}

uint64_t time_ns(void)
{
	uint64_t t;

	rdmsr(MSR_TIME, &t);
	return t * 100;
}

void wait_ms(uint32_t ms)
{
	uint64_t end = time_ns() + ms * 1000000ull;

	while (time_ns() < end)
		for (int i = 0; i < 10000; i++)
			__asm__ volatile("pause");
}

/* ---- hypercalls ----------------------------------------------------------------------- */

bool hypercalls_on(void)
{
	return !wrmsr(HV_MSR_GUEST_OS_ID, OS_ID) &&
	       !wrmsr(MSR_HYPERCALL, (uint64_t)hypercall_page | 1);
}

uint64_t hypercall(uint64_t control, uint64_t in, uint64_t out)
{
	register uint64_t r8 __asm__("r8") = out;
	uint64_t result = HYPERCALL_UD, page = (uint64_t)hypercall_page;

	GUARDED("call *%[page]",
		: [resume] "=m"(trap_resume), "+a"(result), "+c"(control), "+d"(in), "+r"(r8)
		: [page] "r"(page)
		: "memory", "r9", "r10", "r11");
	return result;
}

/* ---- a second VP ------------------------------------------------------------------------ */

void apic_command(uint32_t apic, uint32_t low)
{
	*word_at(LAPIC + ICR_HIGH) = apic << 24;
	*word_at(LAPIC + ICR_LOW) = low;
}

void second_main(void)
{
	second_runs++;
	if (second_job)
		second_job();
}

bool second_start(void)
{
	uint32_t before = second_runs;

	memcpy((void *)(uint64_t)TRAMPOLINE, trampoline, (size_t)(trampoline_end - trampoline));
	*word_at(LAPIC + APIC_SPURIOUS) = 0x1ff;
	apic_command(1, ICR_INIT);
	wait_ms(1);
	apic_command(1, ICR_STARTUP | TRAMPOLINE >> 12);
	for (int i = 0; i < 2000 && second_runs == before; i++)
		wait_ms(1);
	return second_runs != before;
}

/* ---- which parts ----------------------------------------------------------------------------- */

struct part {
	const char *name;
	void (*run)(void);
};

#define PARTS(X)                                                                                   \
	X(calls)                                                                                   \
	X(registers)                                                                               \
	X(ports)                                                                                   \
	X(messages)                                                                                \
	X(channels)                                                                                \
	X(second)                                                                                  \
	X(stay)                                                                                    \
	X(storm)                                                                                   \
	X(triple)                                                                                  \
	X(nowhere)                                                                                 \
	X(crash)                                                                                   \
	X(reset)

#define X(name) void part_##name(void);
PARTS(X)
#undef X

static const struct part parts[] = {
#define X(name) { #name, part_##name },
	PARTS(X)
#undef X
};

/* Is the word "part=NAME" in @line? There may be several. */
static bool named(const char *line, const char *name)
{
	static const char key[] = "part=";
	const char *n;
	size_t i;

	for (; *line; line++) {
		for (i = 0; key[i] && line[i] == key[i]; i++)
			;
		for (n = name; !key[i] && *n && line[i + (size_t)(n - name)] == *n; n++)
			;
		if (!key[i] && !*n) {
			char after = line[i + (size_t)(n - name)];

			return !after || after == ' ';
		}
	}
	return false;
}

static uint64_t find_ram_end(const uint8_t *params)
{
	struct {
		uint64_t from, len;
		uint32_t type;
	} __attribute__((packed)) e;
	uint64_t end = 0;

	for (uint32_t i = 0; i < params[0x1e8]; i++) {
		memcpy(&e, params + 0x2d0 + 20ull * i, sizeof(e));
		if (e.type == 1 && e.from + e.len > end && e.from < HOLE)
			end = e.from + e.len;
	}
	return end;
}

_Noreturn void payload_main(const uint8_t *params);
_Noreturn void payload_main(const uint8_t *params)
{
	bool known = false;
	uint32_t line;

	memcpy(&line, params + 0x228, sizeof(line));
	ram_end = find_ram_end(params);
	set_traps();
	for (size_t i = 0; i < COUNT(parts); i++) {
		if (!named((const char *)(uint64_t)line, parts[i].name))
			continue;
		say(parts[i].name);
		parts[i].run();
		known = true;
	}
	say(known ? "off" : "failed nobody knows this part");
	power_off();
}
