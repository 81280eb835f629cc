/* SPDX-License-Identifier: MIT */
/* SynIC registers, message slots and event flags, one step at a time (cases H14 to H18, H21). */
#include "tests/ut/hv-core/hv_rig.h"

#include "base/clock.h"

#define MS 1000000ull

static uint32_t retries;

static void count_retry(void *ctx)
{
	(void)ctx;
	retries++;
}

static void up(uint32_t nr_vps)
{
	rig_up(nr_vps);
	hv_synic_on_retry(fake_partition(rig), count_retry, NULL);
	for (uint32_t i = 0; i < nr_vps; i++)
		fake_guest_enable(rig, i);
	retries = 0;
}

static int post(uint32_t vp, const char *text)
{
	return hv_synic_post_message(fake_partition(rig), vp, HV_VMBUS_SINT, HV_MESSAGE_VMBUS, text,
				     (uint32_t)strlen(text) + 1);
}

static int sig(uint32_t flag)
{
	return hv_synic_signal_event(fake_partition(rig), 0, HV_VMBUS_SINT, flag);
}

static void expect_message(uint32_t vp, const char *text, bool want_eom)
{
	struct hv_message m;
	bool eom;

	ck_assert(fake_guest_take_message(rig, vp, &m, &eom));
	ck_assert_str_eq((char *)m.payload, text);
	ck_assert_uint_eq(m.payload_size, strlen(text) + 1);
	ck_assert_int_eq(eom, want_eom);
	ck_assert(!fake_guest_take_message(rig, vp, &m, &eom));
}

static int wr(uint32_t msr, uint64_t value)
{
	return fake_guest_wrmsr(rig, 0, msr, value);
}

static uint64_t rd(uint32_t msr)
{
	uint64_t value;

	ck_assert_int_eq(fake_guest_rdmsr(rig, 0, msr, &value), 0);
	return value;
}

/* ---- registers --------------------------------------------------------------------- */

START_TEST(registers_at_reset)
{
	rig_up(1);
	ck_assert_uint_eq(rd(HV_MSR_SCONTROL), 1);
	ck_assert_uint_eq(rd(HV_MSR_SVERSION), 1);
	ck_assert_uint_eq(rd(HV_MSR_SIEFP), 0);
	ck_assert_uint_eq(rd(HV_MSR_SIMP), 0);
	ck_assert_uint_eq(rd(HV_MSR_EOM), 0);
	for (uint32_t i = 0; i < HV_SINT_COUNT; i++)
		ck_assert_uint_eq(rd(HV_MSR_SINT0 + i), 0x10000);
	rig_down();
}
END_TEST

START_TEST(registers_that_are_refused)
{
	uint64_t value = 42;

	up(1);
	ck_assert_int_eq(wr(HV_MSR_SVERSION, 1), -EINVAL);
	ck_assert_int_eq(wr(HV_MSR_SINT0 + HV_SINT_COUNT, 0xf3), -EINVAL);
	ck_assert_int_eq(wr(HV_MSR_SCONTROL - 1, 0), -EINVAL);
	ck_assert_int_eq(fake_guest_rdmsr(rig, 0, 0x12345, &value), -EINVAL);
	ck_assert_int_eq(fake_guest_wrmsr(rig, 1, HV_MSR_SCONTROL, 1), -EINVAL);
	ck_assert_int_eq(fake_guest_rdmsr(rig, 1, HV_MSR_SCONTROL, &value), -EINVAL);
	ck_assert_int_eq(fake_guest_wrmsr(rig, UINT32_MAX, HV_MSR_EOM, 0), -EINVAL);
	ck_assert_uint_eq(value, 42);
	rig_down();
}
END_TEST

/* H21: every register with every single bit and with all ones; nothing may happen outside RAM. */
START_TEST(registers_with_all_bits)
{
	up(1);
	for (uint32_t msr = 0x40000000; msr < 0x40000200; msr++) {
		for (int bit = 0; bit < 64; bit++)
			wr(msr, 1ull << bit);
		wr(msr, ~0ull);
		wr(msr, ~0ull - 0x10000);
	}
	ck_assert_int_eq(wr(HV_MSR_SIMP, ~0ull), -EINVAL);
	ck_assert_int_eq(wr(HV_MSR_SIEFP, ~0ull), -EINVAL);
	rig_down();
}
END_TEST

START_TEST(sint_vectors)
{
	static const struct {
		uint64_t value;
		int want;
	} c[] = {
		{ 0x10, 0 },	     { 0xff, 0 },	   { 0x0f, -EINVAL },
		{ 0, -EINVAL },	     { 0x10000, 0 },	   { 0x1000f, 0 },
		{ 0x200f3, 0 },	     { 0x400f3, 0 },	   { 0xffffffff00000010, 0 },
		{ 0xff00, -EINVAL }, { 0x4000f, -EINVAL }, { ~0ull, 0 },
	};

	up(1);
	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		uint64_t before = rd(HV_MSR_SINT0 + 5);

		ck_assert_int_eq(wr(HV_MSR_SINT0 + 5, c[i].value), c[i].want);
		ck_assert_uint_eq(rd(HV_MSR_SINT0 + 5), c[i].want ? before : c[i].value);
	}
	rig_down();
}
END_TEST

/* H14 */
START_TEST(pages_outside_ram)
{
	static const uint64_t bad[] = { RIG_MEMORY, 1ull << 40, 0xfffffffffffff000,
					(1ull << 52) + 0x1000 };
	uint64_t before;

	up(1);
	before = rd(HV_MSR_SIMP);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_int_eq(wr(HV_MSR_SIMP, bad[i] | 1), -EINVAL);
		ck_assert_uint_eq(rd(HV_MSR_SIMP), before);
		ck_assert_int_eq(wr(HV_MSR_SIEFP, bad[i] | 1), -EINVAL);
		/* Not enabled: just a number. */
		ck_assert_int_eq(wr(HV_MSR_SIEFP, bad[i]), 0);
		ck_assert_uint_eq(rd(HV_MSR_SIEFP), bad[i]);
	}
	ck_assert_int_eq(sig(5), -ENXIO);
	ck_assert_int_eq(post(0, "still here"), 0);
	expect_message(0, "still here", false);
	rig_down();
}
END_TEST

START_TEST(both_registers_on_page_zero)
{
	up(1);
	ck_assert_int_eq(wr(HV_MSR_SIMP, 1), 0);
	ck_assert_int_eq(wr(HV_MSR_SIEFP, 1), 0);
	ck_assert_int_eq(sig(8), 0);
	/* The flag looks like a message to the slot; that is the guest's own doing. */
	ck_assert_int_eq(post(0, "x"), -EAGAIN);
	memset(fake_guest_ptr(rig, 0), 0, HV_PAGE_SIZE);
	ck_assert_int_eq(post(0, "x"), 0);
	rig_down();
}
END_TEST

START_TEST(pages_are_zeroed_when_new)
{
	uint64_t gpa[2];
	uint8_t *page;

	up(1);
	for (int i = 0; i < 2; i++) {
		gpa[i] = fake_guest_alloc(rig, 1);
		memset(fake_guest_ptr(rig, gpa[i]), 0xee, HV_PAGE_SIZE);
	}
	page = fake_guest_ptr(rig, gpa[0]);
	ck_assert_int_eq(wr(HV_MSR_SIMP, gpa[0]), 0);
	ck_assert_uint_eq(page[100], 0xee); /* not enabled yet */
	ck_assert_int_eq(wr(HV_MSR_SIMP, gpa[0] | 1), 0);
	for (uint32_t i = 0; i < HV_PAGE_SIZE; i++)
		ck_assert_uint_eq(page[i], 0);
	page[100] = 1;
	ck_assert_int_eq(wr(HV_MSR_SIMP, gpa[0]), 0);
	ck_assert_int_eq(wr(HV_MSR_SIMP, gpa[0] | 1), 0);
	ck_assert_uint_eq(page[100], 1); /* the same page again keeps its contents */
	ck_assert_int_eq(wr(HV_MSR_SIMP, gpa[1] | 1), 0);
	ck_assert_uint_eq(page[100], 1);
	ck_assert_uint_eq(*(uint8_t *)fake_guest_ptr(rig, gpa[1]), 0);
	ck_assert_int_eq(wr(HV_MSR_SIMP, gpa[0] | 1), 0);
	ck_assert_uint_eq(page[100], 0); /* .. but not after another one */
	rig_down();
}
END_TEST

/* ---- messages ------------------------------------------------------------------------- */

START_TEST(message_arguments)
{
	struct hv_partition *p;
	char big[241] = "";

	up(2);
	p = fake_partition(rig);
	ck_assert_int_eq(hv_synic_post_message(p, 2, 2, 1, "", 1), -EINVAL);
	ck_assert_int_eq(hv_synic_post_message(p, UINT32_MAX, 2, 1, "", 1), -EINVAL);
	ck_assert_int_eq(hv_synic_post_message(p, 0, 16, 1, "", 1), -EINVAL);
	ck_assert_int_eq(hv_synic_post_message(p, 0, 2, 0, "", 1), -EINVAL);
	ck_assert_int_eq(hv_synic_post_message(p, 0, 2, 1, big, 241), -EINVAL);
	ck_assert_int_eq(hv_synic_post_message(p, 0, 2, 1, big, 240), 0);
	ck_assert_int_eq(hv_synic_post_message(p, 1, 2, 1, big, 0), 0);
	ck_assert_uint_eq(fake_guest_messages(rig, 0)->slot[2].payload_size, 240);
	ck_assert_uint_eq(fake_guest_messages(rig, 1)->slot[2].payload_size, 0);
	rig_down();
}
END_TEST

START_TEST(occupied_slot_asks_for_eom)
{
	struct hv_message *slot;

	up(2);
	slot = &fake_guest_messages(rig, 0)->slot[2];
	ck_assert_int_eq(post(0, "one"), 0);
	ck_assert_uint_eq(fake_guest_interrupts(rig, 0), 1);
	ck_assert_uint_eq(slot->flags, 0);
	ck_assert_int_eq(post(0, "two"), -EAGAIN);
	ck_assert_uint_eq(slot->flags, HV_MESSAGE_FLAG_PENDING);
	ck_assert_int_eq(post(0, "two"), -EAGAIN);
	ck_assert_str_eq((char *)slot->payload, "one");
	ck_assert_int_eq(post(1, "another VP is free"), 0);
	ck_assert_uint_eq(fake_guest_interrupts(rig, 0), 1);

	expect_message(0, "one", true);
	ck_assert_uint_eq(retries, 0);
	ck_assert_int_eq(wr(HV_MSR_EOM, 0), 0);
	ck_assert_uint_eq(retries, 1);
	ck_assert_int_eq(post(0, "two"), 0);
	ck_assert_uint_eq(fake_guest_interrupts(rig, 0), 2);
	expect_message(0, "two", false);
	rig_down();
}
END_TEST

/* The guest's half does not trust the root either. */
START_TEST(length_in_the_slot_is_bounded)
{
	struct hv_message_page *page;
	struct hv_message m;

	up(1);
	page = fake_guest_messages(rig, 0);
	memset(page, 0x11, sizeof(*page));
	page->slot[2].payload_size = 255;
	ck_assert(fake_guest_take_message(rig, 0, &m, NULL));
	ck_assert_uint_eq(m.payload_size, 0); /* C29 */
	ck_assert_uint_eq(m.type, 0x11111111);
	rig_down();
}
END_TEST

/* What a shorter message does not cover is zero, not the rest of the one before. */
START_TEST(nothing_of_the_last_message_remains)
{
	char big[240];

	up(1);
	memset(big, 'x', sizeof(big));
	ck_assert_int_eq(hv_synic_post_message(fake_partition(rig), 0, 2, 1, big, sizeof(big)), 0);
	store_relaxed((uint32_t *)(void *)&fake_guest_messages(rig, 0)->slot[2], 0);
	ck_assert_int_eq(post(0, "y"), 0);
	for (uint32_t i = 1; i < HV_MSG_PAYLOAD; i++)
		ck_assert_uint_eq(fake_guest_messages(rig, 0)->slot[2].payload[i], 0);
	rig_down();
}
END_TEST

static void turn_until_retry(uint32_t wanted)
{
	uint64_t until = clock_ns() + 5000 * MS;

	while (retries < wanted && clock_ns() < until)
		ck_assert_int_ge(loop_turn(rig_loop, 20 * MS), 0);
	ck_assert_uint_ge(retries, wanted);
}

/* H17: cleared without EOM. The wait doubles from 10 ms while nothing gets through. */
START_TEST(guest_without_eom_is_served_by_the_timer)
{
	struct hv_partition_stats stats;
	uint64_t start, at[4], best = UINT64_MAX;

	up(1);
	start = clock_ns();
	ck_assert_int_eq(post(0, "one"), 0);
	for (uint32_t i = 0; i < 4; i++) {
		ck_assert_int_eq(post(0, "two"), -EAGAIN);
		turn_until_retry(i + 1);
		at[i] = clock_ns() - start;
	}
	/* The loop counts from the start of its turn, a little before the call. */
	ck_assert_uint_ge(at[0], 9 * MS);
	ck_assert_uint_ge(at[3], 145 * MS); /* 10 + 20 + 40 + 80 */
	expect_message(0, "one", true);
	ck_assert_int_eq(post(0, "two"), 0);
	expect_message(0, "two", false);
	hv_partition_stats(fake_partition(rig), &stats);
	ck_assert_uint_eq(stats.message_retries, 4);
	ck_assert_uint_eq(stats.messages_out, 2);

	/* Progress resets the wait: the best of some (the machine may be busy) is short again. */
	for (uint32_t i = 0; i < 5; i++) {
		retries = 0;
		start = clock_ns();
		ck_assert_int_eq(post(0, "one"), 0);
		ck_assert_int_eq(post(0, "two"), -EAGAIN);
		turn_until_retry(1);
		at[i % 4] = clock_ns() - start;
		best = at[i % 4] < best ? at[i % 4] : best;
		expect_message(0, "one", true);
	}
	ck_assert_uint_lt(best, 100 * MS);
	rig_down();
}
END_TEST

/* H17: EOM without clearing. No overwriting, no duplicate. */
START_TEST(eom_without_clearing)
{
	up(1);
	ck_assert_int_eq(post(0, "one"), 0);
	for (uint32_t i = 0; i < 100; i++) {
		ck_assert_int_eq(post(0, "two"), -EAGAIN);
		ck_assert_int_eq(wr(HV_MSR_EOM, i), 0);
		ck_assert_uint_eq(retries, i + 1);
	}
	expect_message(0, "one", true);
	rig_down();
}
END_TEST

/* H16, H18: the guest scribbles over its pages; we still touch only what is ours. */
START_TEST(garbage_in_the_pages)
{
	uint8_t *messages, *events;

	up(1);
	messages = (uint8_t *)fake_guest_messages(rig, 0);
	events = (uint8_t *)fake_guest_events(rig, 0);
	memset(messages, 0xff, HV_PAGE_SIZE);
	memset(events, 0xff, HV_PAGE_SIZE);
	ck_assert_int_eq(post(0, "x"), -EAGAIN);
	ck_assert_int_eq(sig(5), 0);
	ck_assert_uint_eq(fake_guest_interrupts(rig, 0), 0); /* "set already" */
	for (uint32_t i = 0; i < HV_PAGE_SIZE; i++) {
		ck_assert_uint_eq(messages[i], 0xff);
		ck_assert_uint_eq(events[i], 0xff);
	}
	memset(messages + 2 * 256, 0, 4);
	events[2 * 256] = 0xdf;
	ck_assert_int_eq(post(0, "x"), 0);
	ck_assert_int_eq(sig(5), 0);
	ck_assert_uint_eq(fake_guest_interrupts(rig, 0), 2);
	for (uint32_t i = 0; i < HV_PAGE_SIZE; i++) {
		ck_assert_uint_eq(events[i], 0xff);
		if (i / 256 != 2)
			ck_assert_uint_eq(messages[i], 0xff);
	}
	rig_down();
}
END_TEST

START_TEST(synic_off_keeps_messages_back)
{
	uint64_t simp, siefp;

	up(1);
	simp = rd(HV_MSR_SIMP);
	siefp = rd(HV_MSR_SIEFP);
	ck_assert_int_eq(wr(HV_MSR_SCONTROL, 0), 0);
	ck_assert_int_eq(post(0, "x"), -EAGAIN);
	ck_assert_int_eq(sig(1), -ENXIO);
	ck_assert_int_eq(wr(HV_MSR_SCONTROL, 1), 0);
	ck_assert_uint_eq(retries, 1);
	ck_assert_int_eq(wr(HV_MSR_SCONTROL, 1), 0);
	ck_assert_uint_eq(retries, 1); /* was on */

	ck_assert_int_eq(wr(HV_MSR_SIMP, simp & ~1ull), 0);
	ck_assert_int_eq(post(0, "x"), -EAGAIN);
	ck_assert_int_eq(sig(1), 0); /* events have a page of their own */
	ck_assert_int_eq(wr(HV_MSR_SIMP, simp), 0);
	ck_assert_uint_eq(retries, 2);

	ck_assert_int_eq(wr(HV_MSR_SIEFP, siefp & ~1ull), 0);
	ck_assert_int_eq(sig(2), -ENXIO);
	ck_assert_int_eq(post(0, "x"), 0);
	ck_assert_int_eq(wr(HV_MSR_SIEFP, siefp), 0);
	ck_assert_uint_eq(retries, 3);
	ck_assert_int_eq(sig(2), 0);
	expect_message(0, "x", false);
	ck_assert_uint_eq(fake_guest_take_events(rig, 0, NULL, NULL), 2);
	rig_down();
}
END_TEST

/* H15: masked while a message is delivered: the interrupt comes with the unmasking. */
START_TEST(masked_sint)
{
	const uint32_t sint = HV_MSR_SINT0 + HV_VMBUS_SINT;

	up(1);
	ck_assert_int_eq(wr(sint, 0x10000), 0);
	ck_assert_int_eq(post(0, "x"), 0);
	ck_assert_int_eq(sig(9), -ENXIO);
	ck_assert_uint_eq(fake_guest_interrupts(rig, 0), 0);
	ck_assert_uint_eq(retries, 0);
	ck_assert_int_eq(wr(sint, 0x200f3), 0);
	ck_assert_uint_eq(fake_guest_interrupts(rig, 0), 1);
	ck_assert_uint_eq(retries, 1);
	ck_assert_int_eq(wr(sint, 0xf3), 0); /* AutoEOI toggled: nothing to tell */
	ck_assert_uint_eq(fake_guest_interrupts(rig, 0), 1);
	expect_message(0, "x", false);
	ck_assert_uint_eq(fake_guest_take_events(rig, 0, NULL, NULL), 0);

	/* Nothing waits: no interrupt for nothing. */
	ck_assert_int_eq(wr(sint, 0x10000), 0);
	ck_assert_int_eq(wr(sint, 0xf3), 0);
	ck_assert_uint_eq(fake_guest_interrupts(rig, 0), 1);
	rig_down();
}
END_TEST

/* A VP that comes back hears of what it had not looked at; a set flag would interrupt nobody. */
START_TEST(registers_written_again)
{
	up(1);
	ck_assert_int_eq(sig(9), 0);
	ck_assert_uint_eq(fake_guest_interrupts(rig, 0), 1);
	ck_assert_int_eq(sig(9), 0);
	ck_assert_uint_eq(fake_guest_interrupts(rig, 0), 1);
	ck_assert_int_eq(wr(HV_MSR_SCONTROL, 1), 0);
	ck_assert_uint_eq(fake_guest_interrupts(rig, 0), 2);
	ck_assert(fake_guest_take_event(rig, 0, 9));
	ck_assert_int_eq(wr(HV_MSR_SCONTROL, 1), 0); /* nothing waits */
	ck_assert_uint_eq(fake_guest_interrupts(rig, 0), 2);
	ck_assert_int_eq(post(0, "x"), 0);
	ck_assert_int_eq(wr(HV_MSR_SCONTROL, 0), 0);
	ck_assert_int_eq(wr(HV_MSR_SCONTROL, 1), 0);
	ck_assert_uint_eq(fake_guest_interrupts(rig, 0), 4);
	expect_message(0, "x", false);
	rig_down();
}
END_TEST

START_TEST(polling_sint)
{
	up(1);
	ck_assert_int_eq(wr(HV_MSR_SINT0 + HV_VMBUS_SINT, 0x400f3), 0);
	ck_assert_int_eq(post(0, "x"), 0);
	ck_assert_int_eq(sig(9), 0);
	ck_assert_uint_eq(fake_guest_interrupts(rig, 0), 0);
	expect_message(0, "x", false);
	ck_assert(fake_guest_take_event(rig, 0, 9));
	rig_down();
}
END_TEST

/* ---- event flags ------------------------------------------------------------------------- */

START_TEST(event_arguments)
{
	struct hv_partition *p;

	up(1);
	p = fake_partition(rig);
	ck_assert_int_eq(hv_synic_signal_event(p, 1, 2, 1), -EINVAL);
	ck_assert_int_eq(hv_synic_signal_event(p, UINT32_MAX, 2, 1), -EINVAL);
	ck_assert_int_eq(hv_synic_signal_event(p, 0, 16, 1), -EINVAL);
	ck_assert_int_eq(hv_synic_signal_event(p, 0, 2, 2048), -EINVAL);
	ck_assert_int_eq(hv_synic_signal_event(p, 0, 2, UINT32_MAX), -EINVAL);
	ck_assert_int_eq(hv_synic_signal_event(p, 0, 3, 1), -ENXIO); /* masked */
	for (uint32_t i = 0; i < HV_PAGE_SIZE; i++)
		ck_assert_uint_eq(((uint8_t *)fake_guest_events(rig, 0))[i], 0);
	rig_down();
}
END_TEST

START_TEST(only_the_first_signal_interrupts)
{
	struct hv_partition_stats stats;

	up(1);
	for (uint32_t flag = 0; flag < HV_FLAG_COUNT; flag++)
		for (int i = 0; i < 3; i++)
			ck_assert_int_eq(sig(flag), 0);
	ck_assert_uint_eq(fake_guest_interrupts(rig, 0), HV_FLAG_COUNT);
	hv_partition_stats(fake_partition(rig), &stats);
	ck_assert_uint_eq(stats.events_raised, HV_FLAG_COUNT);
	ck_assert_uint_eq(stats.events_coalesced, 2 * HV_FLAG_COUNT);
	ck_assert(fake_guest_take_event(rig, 0, 7));
	ck_assert(!fake_guest_take_event(rig, 0, 7));
	ck_assert_int_eq(sig(7), 0);
	ck_assert_uint_eq(fake_guest_interrupts(rig, 0), HV_FLAG_COUNT + 1);
	rig_down();
}
END_TEST

static void record(void *ctx, uint32_t flag)
{
	uint32_t *next = ctx;

	ck_assert_uint_eq(flag, *next);
	*next = flag + 31;
}

START_TEST(taking_flags_finds_each_once)
{
	uint32_t next = 0;

	up(1);
	for (uint32_t flag = 0; flag < HV_FLAG_COUNT; flag += 31)
		ck_assert_int_eq(sig(flag), 0);
	ck_assert_uint_eq(fake_guest_take_events(rig, 0, record, &next), 2047 / 31 + 1);
	ck_assert_uint_ge(next, HV_FLAG_COUNT);
	ck_assert_uint_eq(fake_guest_take_events(rig, 0, record, &next), 0);
	rig_down();
}
END_TEST

RIG_MAIN("hv-core/synic", registers_at_reset, registers_that_are_refused, registers_with_all_bits,
	 sint_vectors, pages_outside_ram, both_registers_on_page_zero, pages_are_zeroed_when_new,
	 message_arguments, occupied_slot_asks_for_eom, length_in_the_slot_is_bounded,
	 nothing_of_the_last_message_remains, guest_without_eom_is_served_by_the_timer,
	 eom_without_clearing, garbage_in_the_pages, synic_off_keeps_messages_back, masked_sint,
	 registers_written_again, polling_sint, event_arguments, only_the_first_signal_interrupts,
	 taking_flags_finds_each_once)
