/* SPDX-License-Identifier: MIT */
/* Registers with whatever fits, and what does not. */
#include "tests/kvm/payload/bus.h"

#define MSR_HYPERCALL	    0x40000001u
#define MSR_VP_INDEX	    0x40000002u
#define MSR_RESET	    0x40000003u
#define MSR_TIME	    0x40000020u
#define MSR_TSC_PAGE	    0x40000021u
#define MSR_IDLE	    0x400000f0u
#define MSR_VP_ASSIST	    0x40000073u
#define MSR_CRASH_CTL	    0x40000105u
#define MSR_REENLIGHTENMENT 0x40000106u /* KVM has it, we do not offer it */
#define MSR_LAST	    0x4000011fu

static void faults(const char *what, uint32_t msr, uint64_t value)
{
	int got = wrmsr(msr, value);

	check(what, got == GP_VECTOR, (uint64_t)got);
}

/* A page of the hypervisor's: #GP, or nothing is written where there is no RAM. */
static void hypercall_page(void)
{
	uint64_t v;

	wrmsr(HV_MSR_GUEST_OS_ID, 1);
	faults("H12 hypercall page behind RAM", MSR_HYPERCALL, ram_end | 1);
	faults("H12 hypercall page in the hole", MSR_HYPERCALL, HOLE | 1);
	faults("H12 hypercall page at the end of all", MSR_HYPERCALL, ~0ull << 12 | 1);
	check("H12 the page in RAM after that", hypercalls_on(), 0);
	wrmsr(MSR_HYPERCALL, (uint64_t)bus_page | 3); /* locked */
	wrmsr(MSR_HYPERCALL, HOLE | 1);
	check("H12 locked and written again: calls work",
	      hypercalls_on() &&
		      hypercall(HV_CALL_POST_MESSAGE, ram_end, 0) == HV_STATUS_INVALID_PARAMETER,
	      0);
	wrmsr(HV_MSR_GUEST_OS_ID, 0);
	rdmsr(MSR_HYPERCALL, &v);
	check("H13 without an OS id there is no hypercall page", !(v & 1), v);
	check("H13 and with one there is again", hypercalls_on(), 0);
}

static void read_only(void)
{
	uint64_t v;

	faults("the VP index is read-only", MSR_VP_INDEX, 7);
	faults("the time is read-only", MSR_TIME, 7);
	check("what KVM does not have does not exist", rdmsr(MSR_IDLE, &v) == GP_VECTOR, v);
	check("what was not offered does not exist", rdmsr(MSR_REENLIGHTENMENT, &v) == GP_VECTOR,
	      v);
	faults("the version of the SynIC is read-only", HV_MSR_SVERSION, 2);
}

static bool is_deadly(uint32_t msr)
{
	return msr == MSR_RESET || msr == MSR_CRASH_CTL;
}

static void every_register(uint64_t value, const char *what)
{
	uint32_t accepted = 0;
	uint64_t v;

	for (uint32_t msr = 0x40000000; msr <= MSR_LAST; msr++) {
		if (is_deadly(msr))
			continue;
		rdmsr(msr, &v);
		accepted += !wrmsr(msr, value);
		rdmsr(msr, &v);
	}
	/* Storing into pages that are not there is no way out of the machine either. */
	check(what, accepted > 0, accepted);
}

static void sints(void)
{
	check("H15 vector 0, masked", !wrmsr(SINT2, HV_SINT_MASKED), 0);
	faults("H15 vector 0, not masked", SINT2, 0);
	faults("H15 vector 15, not masked", SINT2, 15);
	check("H15 auto-EOI", !wrmsr(SINT2, SINT_OPEN | HV_SINT_AUTO_EOI), 0);
	check("H15 and none", !wrmsr(SINT2, SINT_OPEN), 0);
	check("H15 polling", !wrmsr(SINT2, SINT_OPEN | HV_SINT_POLLING), 0);
}

void part_registers(void);
void part_registers(void)
{
	hypercall_page();
	read_only();
	every_register(~0ull, "H21 every register with all ones");
	every_register(0, "H21 every register with zeroes");
	every_register(ram_end | 1, "H21 every register with an address behind RAM");
	every_register(HOLE | 1, "H21 every register with an address in the hole");
	wrmsr(0x400000b0, 0); /* timers that somebody else might hear */
	sints();
	check("H21 hypercalls after all that", hypercalls_on(), 0);
	bus_synic_on();
	check("H21 the bus after all that", bus_connect() != 0, 0);
}
