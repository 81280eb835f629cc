/* SPDX-License-Identifier: MIT */
/* Two VPs: one that is started, stopped and started again while something is due to it. */
#include "tests/kvm/payload/bus.h"

#define ICR_INIT    0x4500u
#define ICR_STARTUP 0x4600u
#define TO_OTHERS   0xc0000u
#define HALTS	    0x6000u

static volatile bool synic_is_on;

static void turn_on(void)
{
	bus_synic_on();
	synic_is_on = true;
}

static void spin(void)
{
	for (;;)
		__asm__ volatile("pause");
}

/* Messages go to the second one, which is not there when they are due. */
static void offline(void)
{
	union vmbus_msg m;
	struct vmbus_msg_hdr request = { .type = VMBUS_MSG_REQUESTOFFERS };

	second_job = turn_on;
	synic_is_on = false;
	check("a second VP starts", second_start() && second_runs == 1, second_runs);
	for (int i = 0; i < 1000 && !synic_is_on; i++)
		wait_ms(1);
	check("it has a SynIC", synic_is_on && bus_contact(VMBUS_V5_3, 1, HV_VMBUS_SINT), 0);
	apic_command(1, ICR_INIT);
	bus_say(&request, sizeof(request));
	wait_ms(100);
	check("H20 it starts again", second_start(), second_runs);
	check("H20 and what was due to it is there",
	      bus_expect(&m, VMBUS_MSG_ALLOFFERS_DELIVERED, 5000), 0);
}

/* INIT and start in any order, to it, to nobody, to all the others. */
static void abuse(void)
{
	static const uint32_t words[] = { ICR_INIT, ICR_STARTUP | TRAMPOLINE >> 12,
					  ICR_STARTUP | HALTS >> 12, ICR_STARTUP | TRAMPOLINE >> 12,
					  ICR_INIT | TO_OTHERS };

	static const uint8_t halts[] = { 0xfa, 0xf4, 0xeb, 0xfd };

	memcpy((void *)(uint64_t)HALTS, halts, sizeof(halts));
	second_job = spin;
	for (int i = 0; i < 300; i++) {
		apic_command(i & 16 ? 77 : 1, words[i % (int)COUNT(words)]);
		if (!(i & 31))
			bus_post(HV_CONN_VMBUS_CONTACT, 5, 8, "12345678", 8);
	}
	apic_command(1, ICR_INIT);
	second_job = turn_on;
	check("INIT and start in any order: it starts after that", second_start(), second_runs);
	wrmsr(HV_MSR_SCONTROL, 1);
	check("and the bus works", bus_contact(VMBUS_V5_3, 1, HV_VMBUS_SINT), 0);
}

void part_second(void);
void part_second(void)
{
	hypercalls_on();
	offline();
	abuse();
}

/* Both ask the root for something for ever. */
static void ask_for_ever(void)
{
	for (;;) {
		bus_synic_on();
		hypercall(HV_CALL_POST_MESSAGE, ram_end, 0);
		out8(0x3f8 + 7, 0);
		*word_at(HOLE) = 0;
	}
}

void part_storm(void);
void part_storm(void)
{
	hypercalls_on();
	second_job = ask_for_ever;
	check("a second VP starts", second_start(), second_runs);
	say("storm");
	ask_for_ever();
}
