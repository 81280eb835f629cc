/* SPDX-License-Identifier: MIT */
/* Messages: flags, slots and pages of a guest that plays with them. */
#include "tests/kvm/payload/bus.h"

static const struct vmbus_msg_initiate_contact contact = { .hdr.type = VMBUS_MSG_INITIATE_CONTACT,
							   .version = VMBUS_V5_3,
							   .target_sint = HV_VMBUS_SINT };

static uint64_t ask(void)
{
	return bus_say(&contact, sizeof(contact));
}

static bool answered(uint32_t ms)
{
	union vmbus_msg m;

	return bus_expect(&m, VMBUS_MSG_VERSION_RESPONSE, ms);
}

/* Asks for more answers than anybody keeps, and takes none. */
static void flood(void)
{
	uint32_t taken = 0, refused = 0;
	uint64_t got = 0;

	for (int i = 0; i < 5000 && refused < 3; i++) {
		struct vmbus_msg_tl_connect m = { .hdr.type = VMBUS_MSG_TL_CONNECT_REQUEST };

		got = bus_say(&m, sizeof(m));
		taken += got == HV_STATUS_SUCCESS;
		refused += got == HV_STATUS_INSUFFICIENT_BUFFERS;
		if (got != HV_STATUS_SUCCESS && got != HV_STATUS_INSUFFICIENT_BUFFERS)
			break;
	}
	check("H08 a flood is taken up to a limit", taken && refused == 3, got);
	bus_drain();
	check("H08 and the bus works again", bus_contact(VMBUS_V5_3, 0, HV_VMBUS_SINT), 0);
}

static void slots(void)
{
	volatile struct hv_message *slot = &bus_messages.slot[HV_VMBUS_SINT];

	slot->type = HV_MESSAGE_TIMER; /* somebody else's, and it stays */
	slot->flags = 0;
	ask();
	wait_ms(50);
	check("H16 a slot that is never emptied is not written", slot->type == HV_MESSAGE_TIMER,
	      slot->type);
	check("H16 who waits for it asks for an EOM", slot->flags & HV_MESSAGE_FLAG_PENDING,
	      slot->flags);
	for (int i = 0; i < 50; i++)
		wrmsr(HV_MSR_EOM, 0);
	check("H17 EOM without clearing changes nothing", slot->type == HV_MESSAGE_TIMER,
	      slot->type);
	slot->type = 0;
	check("H17 clearing without EOM: it comes by the timer", answered(3000), 0);
	bus_drain();
}

static bool works_with(uint64_t simp, uint64_t siefp)
{
	wrmsr(HV_MSR_SIMP, simp);
	wrmsr(HV_MSR_SIEFP, siefp);
	ask();
	wait_ms(20);
	bus_synic_on();
	return answered(3000);
}

static void pages(void)
{
	uint64_t m = (uint64_t)&bus_messages, e = (uint64_t)&bus_events;

	check("H14 message page behind RAM", works_with(ram_end | 1, e | 1), 0);
	check("H14 both pages in the hole", works_with(HOLE | 1, HOLE | 1), 0);
	check("H14 message page at the end of all", works_with(~0ull << 12 | 1, e | 1), 0);
	check("H14 message page in the LAPIC", works_with(LAPIC | 1, e | 1), 0);
	check("H14 event page behind RAM", works_with(m | 1, ram_end | 1), 0);
	wrmsr(HV_MSR_SIMP, e | 1);
	ask();
	wait_ms(20);
	check("H14 one page for both", bus_events.flags[HV_VMBUS_SINT][0] == HV_MESSAGE_VMBUS,
	      bus_events.flags[HV_VMBUS_SINT][0]);
	memset(&bus_events, 0, sizeof(bus_events));
	bus_synic_on();
	bus_drain();
}

static void sint(void)
{
	wrmsr(SINT2, HV_SINT_MASKED);
	ask();
	wait_ms(20);
	for (int i = 0; i < 20; i++) {
		wrmsr(SINT2, SINT_OPEN | HV_SINT_AUTO_EOI);
		wrmsr(SINT2, HV_SINT_MASKED | i);
	}
	wrmsr(SINT2, SINT_OPEN);
	check("H15 a message of a masked SINT is there later", answered(3000), 0);
	wrmsr(HV_MSR_SCONTROL, 0);
	ask();
	wait_ms(20);
	check("H15 none while the SynIC is off", !bus_messages.slot[HV_VMBUS_SINT].type, 0);
	wrmsr(HV_MSR_SCONTROL, 1);
	check("H15 and then it comes", answered(3000), 0);
}

static void targets(void)
{
	static const uint32_t vps[] = { 1, 64, 1u << 31, UINT32_MAX };
	bool good = true;

	for (size_t i = 0; i < COUNT(vps); i++)
		good &= !bus_contact(VMBUS_V5_3, vps[i], HV_VMBUS_SINT);
	check("H19 contact for a VP that is not there", good, 0);
	check("V09 contact for another SINT", !bus_contact(VMBUS_V5_3, 0, 5), 0);
	check("V05 a version nobody has", !bus_contact(UINT32_MAX, 0, HV_VMBUS_SINT), 0);
	check("V05 and a lower one", bus_contact(VMBUS_V5_2, 0, HV_VMBUS_SINT), 0);
}

/* Every type, short and long, with fields of ones. */
static void nonsense(void)
{
	uint8_t junk[VMBUS_MSG_MAX];
	uint64_t got = 0;

	memset(junk, 0xff, sizeof(junk));
	for (uint32_t type = 0; type < 32; type++) {
		memcpy(junk, &type, sizeof(type));
		for (uint32_t len = 0; len <= sizeof(junk) && !got; len += 48) {
			got = bus_say(junk, len);
			if (got == HV_STATUS_INSUFFICIENT_BUFFERS)
				got = 0;
		}
		bus_drain();
	}
	check("V02 V04 any message is taken and dropped", !got, got);
	check("and the bus works after that", bus_connect() != 0, 0);
}

void part_messages(void);
void part_messages(void)
{
	hypercalls_on();
	bus_synic_on();
	check("the bus is there", bus_contact(VMBUS_V5_3, 0, HV_VMBUS_SINT), 0);
	slots();
	pages();
	sint();
	flood();
	targets();
	nonsense();
	check("X01 nothing is behind a message's end", !bus_leaks, bus_leaks);
}
