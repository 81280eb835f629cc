/* SPDX-License-Identifier: MIT */
/* Hypercalls that are none, or not like this. */
#include "tests/kvm/payload/bus.h"

#define POST   HV_CALL_POST_MESSAGE
#define SIGNAL HV_CALL_SIGNAL_EVENT
#define STATUS 0xffffu

/* What KVM itself serves: spinning, flushes, IPIs. */
static bool of_kvm(uint32_t code)
{
	return code <= 0x03 || code == 0x08 || code == 0x0b || (code >= 0x13 && code <= 0x15) ||
	       code == POST || code == SIGNAL;
}

static bool all_refused(uint32_t first, uint32_t last, uint64_t *got)
{
	for (uint32_t code = first; code <= last; code++) {
		if (of_kvm(code))
			continue;
		*got = hypercall(code, (uint64_t)bus_page, (uint64_t)bus_page) & STATUS;
		if (*got != HV_STATUS_INVALID_HYPERCALL_CODE && *got != HV_STATUS_ACCESS_DENIED) {
			say_hex("code", code);
			return false;
		}
	}
	return true;
}

static void codes(void)
{
	uint64_t got = 0;
	bool good = all_refused(0, 0x17f, &got) && all_refused(0x8000, 0x8010, &got) &&
		    all_refused(0xfff8, 0xffff, &got);

	check("H01 codes that nobody has are refused", good, got);
}

static void expect(const char *what, uint64_t control, uint64_t in, uint64_t want)
{
	uint64_t got = hypercall(control, in, 0);

	check(what, got == want, got);
}

/* A message that nothing is wrong with, for calls about which something is. */
static uint64_t good_message(void)
{
	struct hv_post_message_input in = { .connection_id = HV_CONN_VMBUS_CONTACT,
					    .message_type = 5, /* nobody listens for it */
					    .payload_size = 8 };

	memcpy(bus_page, &in, sizeof(in));
	return (uint64_t)bus_page;
}

static void control_words(void)
{
	static const uint64_t bad[] = { 1ull << 17, 1ull << 27, 1ull << 30, 1ull << 32,	 1ull << 44,
					1ull << 48, 1ull << 60, 1ull << 63, HV_CALL_FAST };
	uint64_t in = good_message(), got = 0;
	bool good = true;

	expect("a message of another type is taken and thrown away", POST, in, HV_STATUS_SUCCESS);
	for (size_t i = 0; i < COUNT(bad) && good; i++) {
		got = hypercall(POST | bad[i], in, 0) & STATUS;
		good = got == HV_STATUS_INVALID_HYPERCALL_INPUT;
		/* The fast form of a signal is the usual one. */
		if (good && bad[i] != HV_CALL_FAST) {
			got = hypercall(SIGNAL | HV_CALL_FAST | bad[i], 0x2fff, 0) & STATUS;
			good = got == HV_STATUS_INVALID_HYPERCALL_INPUT;
		}
		if (!good)
			say_hex("bit", bad[i]);
	}
	check("H02 reserved bits, reps, headers are refused", good, got);
}

static void addresses(void)
{
	static const struct {
		const char *what;
		uint64_t gpa;
	} outside[] = {
		{ "H04 input in the hole", HOLE },
		{ "H04 input in the LAPIC", LAPIC },
		{ "H04 input at 1 TiB", 1ull << 40 },
		{ "H04 input in the last page", -4096ull },
	};
	uint64_t in = good_message();

	expect("H03 input not aligned", POST, in + 4, HV_STATUS_INVALID_ALIGNMENT);
	expect("H03 input across a page", POST, in + PAGE - 248, HV_STATUS_INVALID_ALIGNMENT);
	expect("H04 input at 2^64 - 8", POST, -8ull, HV_STATUS_INVALID_ALIGNMENT);
	expect("H04 input behind RAM", POST, ram_end, HV_STATUS_INVALID_PARAMETER);
	for (size_t i = 0; i < COUNT(outside); i++)
		expect(outside[i].what, POST, outside[i].gpa, HV_STATUS_INVALID_PARAMETER);
	/* KVM reads the slow form of a signal, and has one status for it all. */
	expect("H04 a signal's input behind RAM", SIGNAL, ram_end, HV_STATUS_INVALID_ALIGNMENT);
	expect("H03 a signal's input not aligned", SIGNAL, in + 4, HV_STATUS_INVALID_ALIGNMENT);
}

static void post(const char *what, uint32_t conn, uint32_t type, uint32_t size, uint64_t want)
{
	uint64_t got = bus_post(conn, type, size, "12345678", 8);

	check(what, got == want, got);
}

static void messages(void)
{
	const uint32_t conn = HV_CONN_VMBUS_CONTACT;

	post("H05 241 bytes", conn, 1, 241, HV_STATUS_INVALID_PARAMETER);
	post("H05 2^32 - 1 bytes", conn, 1, UINT32_MAX, HV_STATUS_INVALID_PARAMETER);
	post("H05 no bytes are dropped by the bus", conn, 1, 0, HV_STATUS_SUCCESS);
	post("H06 connection 0", 0, 1, 8, HV_STATUS_INVALID_CONNECTION_ID);
	post("H06 connection 0x800074", 0x800074, 1, 8, HV_STATUS_INVALID_CONNECTION_ID);
	post("H06 connection 2^32 - 1", UINT32_MAX, 1, 8, HV_STATUS_INVALID_CONNECTION_ID);
	post("H06 another partition's channel", 0x2001, 1, 8, HV_STATUS_INVALID_CONNECTION_ID);
	post("H07 a type of the hypervisor", conn, 0x80000010, 8, HV_STATUS_INVALID_PARAMETER);
	post("H07 no type", conn, 0, 8, HV_STATUS_INVALID_PARAMETER);
}

static void signals(void)
{
	static const uint64_t nobody[] = { 0, 3, 0x2000, 0x2001, 0x2fff, 0xffffff };
	uint64_t got = 0;
	bool good = true;

	for (size_t i = 0; i < COUNT(nobody) && good; i++) {
		got = hypercall(SIGNAL | HV_CALL_FAST, nobody[i], -1ull) & STATUS;
		good = got == HV_STATUS_INVALID_CONNECTION_ID;
	}
	check("H10 signals to connections it has not", good, got);
	got = hypercall(SIGNAL | HV_CALL_FAST, 1ull << 32 | 0x2001, 0) & STATUS;
	check("H09 a flag that no port has", got == HV_STATUS_INVALID_CONNECTION_ID, got);
	got = hypercall(SIGNAL | HV_CALL_FAST, HV_CONN_VMBUS_CONTACT, 0) & STATUS;
	check("H09 a signal to a message port", got == HV_STATUS_INVALID_PORT_ID, got);
	got = hypercall(SIGNAL | HV_CALL_FAST, -1ull, 0) & STATUS;
	check("H11 all ones", got != HV_STATUS_SUCCESS, got);
}

void part_calls(void);
void part_calls(void)
{
	check("hypercalls are on", hypercalls_on(), 0);
	bus_synic_on();
	codes();
	control_words();
	addresses();
	messages();
	signals();
}
