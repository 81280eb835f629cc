/* SPDX-License-Identifier: MIT */
/* What guests write to harm us, as far as it needs no processor: on a KVM that is played. */
#include "tests/ut/hv-core/kvm_rig.h"

/* ---- ports -------------------------------------------------------------------------- */

static uint64_t swallowed;

/* So slowly that there is always more when it is done. */
static uint32_t swallow(void *ctx, const void *data, uint32_t len)
{
	(void)ctx, (void)data;
	usleep(500);
	swallowed += len;
	return len;
}

static int talks(uint32_t vp, uint32_t step, struct kvm_run *run)
{
	static char text[1024];

	(void)vp;
	/* First it wants an interrupt whenever it could say more. */
	return step ? fake_out(run, 0x3f8, 1, text, sizeof(text))
		    : fake_out(run, 0x3f9, 1, "\2", 1);
}

/* VPs that do nothing but talk do not keep the loop from its other work. */
START_TEST(talkative_vps)
{
	static const struct hv_kvm_ops ops = { on_end, on_crash, swallow, NULL };
	struct hv_kvm_config cfg = {
		.name = "test", .memory = MEMORY, .nr_vps = 8, .initrd = -1, .kernel = fake_kernel()
	};
	struct hv_kvm_stats st = { .console_bytes = 0 };

	ends = 0;
	fake.guest = talks;
	ck_assert_int_eq(loop_create(&rig_loop, NULL), 0);
	ck_assert_int_eq(hv_kvm_create(&vm, rig_loop, &cfg, &ops, &vm, why, sizeof(why)), 0);
	ck_assert_int_eq(hv_kvm_start(vm, why, sizeof(why)), 0);
	for (int i = 0; i < 5 || !swallowed; i++) {
		loop_turn(rig_loop, 1000000);
		hv_kvm_stats(vm, &st);
	}
	ck_assert_uint_gt(st.console_bytes, 0);
	ck_assert_uint_le(st.console_bytes, swallowed);
	down();
}
END_TEST

/* A wide access that begins in front of the UART reaches it all the same. */
static int says_aside(uint32_t vp, uint32_t step, struct kvm_run *run)
{
	(void)vp;
	return step ? fake_idle(run) : fake_out(run, 0x3f5, 4, "abcX", 1);
}

START_TEST(access_across_devices)
{
	up(1, says_aside);
	until(&nr_said, 1);
	ck_assert_uint_eq(nr_said, 1);
	ck_assert_int_eq(said[0], 'X');
	down();
}
END_TEST

/* The last ports, many at a time; and a reset in the middle of a string. */
static int strings(uint32_t vp, uint32_t step, struct kvm_run *run)
{
	static const uint32_t ones[1024] = { [0 ... 1023] = ~0u };
	static const char resets[8] = { 0, 0, 6, 0, 0, 0, 0, 0 };

	(void)vp;
	if (!step)
		return fake_out(run, 0xffff, 4, ones, 1024);
	if (step == 1) {
		run->io.direction = KVM_EXIT_IO_IN;
		return 0;
	}
	for (uint32_t i = 0; step == 2 && i < 4096; i++)
		ck_assert_uint_eq(((uint8_t *)run)[4096 + i], 0xff);
	return fake_out(run, 0x60a, 1, resets, sizeof(resets));
}

START_TEST(strings_at_ports)
{
	up(1, strings);
	until(&ends, 1);
	ck_assert_int_eq(how, HV_KVM_RESET);
	hv_kvm_destroy(vm);
	loop_destroy(rig_loop);
}
END_TEST

/* ---- SynIC -------------------------------------------------------------------------------- */

static struct {
	uint64_t control, events, messages;
} wanted;
static uint32_t asked, done, served;

/* Writes its registers when the test says so. */
static int writes_registers(uint32_t vp, uint32_t step, struct kvm_run *run)
{
	(void)vp, (void)step;
	store_release(&served, done);
	while (load_acquire(&asked) == done) {
		if (load_relaxed(&run->immediate_exit))
			return EINTR;
		usleep(200);
	}
	done++;
	return fake_synic(run, wanted.control, wanted.events, wanted.messages);
}

static void write_registers(uint64_t control, uint64_t events, uint64_t messages)
{
	wanted = (typeof(wanted)){ control, events, messages };
	store_release(&asked, asked + 1);
	until(&served, asked);
}

static void registers_up(void)
{
	asked = done = served = 0;
	up(1, writes_registers);
}

static const uint64_t nowhere[] = { ~0ull, MEMORY | 1, 0xe0000001, 0xfffffffffffff001ull,
				    ((uint64_t)MEMORY - 4096) << 20 | 1 };

START_TEST(h21_synic_registers_of_nowhere)
{
	registers_up();
	for (size_t i = 0; i < ARRAY_SIZE(nowhere); i++) {
		write_registers(1, EVENTS | 1, nowhere[i]);
		ck_assert_int_eq(hv_synic_post_message(part, 0, 2, 1, "one", 3), -EAGAIN);
		ck_assert_int_eq(hv_synic_signal_event(part, 0, 2, 7), 0);
		write_registers(1, nowhere[i], MESSAGES | 1);
		ck_assert_int_eq(hv_synic_signal_event(part, 0, 2, 7), -ENXIO);
		ck_assert_int_eq(hv_synic_post_message(part, 0, 2, 1, "one", 3), 0);
		((struct hv_message_page *)guest_page(MESSAGES))->slot[2].type = 0;
		write_registers(~0ull, nowhere[i], nowhere[i]);
		ck_assert_int_eq(hv_synic_signal_event(part, 0, 2, 7), -ENXIO);
	}
	down();
}
END_TEST

/* What was there stays as it was when a page is taken away. */
START_TEST(h14_page_taken_away)
{
	struct hv_message_page *m;

	registers_up();
	m = guest_page(MESSAGES);
	write_registers(1, EVENTS | 1, MESSAGES | 1);
	for (size_t i = 0; i < ARRAY_SIZE(nowhere); i++) {
		write_registers(1, EVENTS | 1, nowhere[i]);
		ck_assert_int_eq(hv_synic_post_message(part, 0, 2, 1, "two", 3), -EAGAIN);
		ck_assert_uint_eq(m->slot[2].type, 0);
		write_registers(1, EVENTS | 1, MESSAGES | 1);
		ck_assert_int_eq(hv_synic_post_message(part, 0, 2, 1, "two", 3), 0);
		ck_assert_uint_eq(m->slot[2].type, 1);
		m->slot[2].type = 0;
	}
	down();
}
END_TEST

/* A VP that was reset writes its registers again: what it was interrupted for comes again. */
START_TEST(h20_a_vp_that_comes_back)
{
	registers_up();
	write_registers(1, EVENTS | 1, MESSAGES | 1);
	rings(fake.irqfd[0]);
	ck_assert_int_eq(hv_synic_signal_event(part, 0, 2, 7), 0);
	ck_assert_uint_eq(rings(fake.irqfd[0]), 1);
	ck_assert_int_eq(hv_synic_signal_event(part, 0, 2, 7), 0);
	ck_assert_uint_eq(rings(fake.irqfd[0]), 0); /* the flag is set already */
	write_registers(1, EVENTS | 1, MESSAGES | 1);
	ck_assert_uint_eq(rings(fake.irqfd[0]), 1);
	down();
}
END_TEST

/* A register that KVM does not give, or less of them than were asked for: the SINT is masked. */
START_TEST(h21_registers_that_kvm_does_not_give)
{
	registers_up();
	for (int i = 0; i < 2; i++) {
		if (i)
			store_relaxed(&fake.few_msrs, 1);
		else
			store_relaxed(&fake.failing, KVM_GET_MSRS);
		write_registers(1, EVENTS | 1, MESSAGES | 1);
		ck_assert_int_eq(hv_synic_signal_event(part, 0, 2, 7), -ENXIO);
		store_relaxed(&fake.failing, 0);
		store_relaxed(&fake.few_msrs, 0);
		write_registers(1, EVENTS | 1, MESSAGES | 1);
		ck_assert_int_eq(hv_synic_signal_event(part, 0, 2, 7), 0);
	}
	down();
}
END_TEST

/* ---- ends ---------------------------------------------------------------------------------- */

static uint32_t steps;

static int storms(uint32_t vp, uint32_t step, struct kvm_run *run)
{
	__atomic_fetch_add(&steps, 1, __ATOMIC_RELAXED);
	switch ((vp + step) % 4) {
	case 0:
		return fake_hypercall(run, 0x5c, ~0ull << 12);
	case 1:
		return fake_synic(run, 1, EVENTS | (step & 1), MESSAGES | 1);
	case 2:
		return fake_hypercall(run, step, MEMORY);
	default:
		return fake_out(run, (uint16_t)(0x3f9 + step % 7), 1, "\377", 1);
	}
}

START_TEST(h30_end_in_a_storm)
{
	struct hv_kvm_stats st;

	for (int round = 0; round < 3; round++) {
		store_relaxed(&steps, 0);
		up(16, storms);
		until(&steps, 1000);
		hv_kvm_stats(vm, &st);
		ck_assert_int_eq(st.state, HV_KVM_RUNNING);
		if (round == 1)
			hv_kvm_pause(vm);
		down();
		ck_assert_int_eq(how, HV_KVM_STOPPED);
	}
}
END_TEST

RIG_MAIN("hv-core/kvm_hostile", talkative_vps, access_across_devices, strings_at_ports,
	 h21_synic_registers_of_nowhere, h14_page_taken_away, h20_a_vp_that_comes_back,
	 h21_registers_that_kvm_does_not_give, h30_end_in_a_storm)
