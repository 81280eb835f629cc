/* SPDX-License-Identifier: MIT */
/* The KVM backend as a whole, on a KVM that is played: threads, exits, SynIC, ends and starts. */
#include "tests/ut/hv-core/kvm_rig.h"

/* ---- hosts ------------------------------------------------------------------------------ */

START_TEST(refusals)
{
	static const struct {
		int cap;
		const char *name;
	} caps[] = {
		{ KVM_CAP_HYPERV_SYNIC2, "KVM_CAP_HYPERV_SYNIC2" },
		{ KVM_CAP_HYPERV_EVENTFD, "KVM_CAP_HYPERV_EVENTFD" },
		{ KVM_CAP_IRQFD_RESAMPLE, "KVM_CAP_IRQFD_RESAMPLE" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(caps); i++) {
		fake.missing = caps[i].cap;
		ck_assert_int_eq(create(1), -ENOTSUP);
		ck_assert_msg(strstr(why, caps[i].name) != NULL, "%s", why);
	}
	fake.missing = -1;
	ck_assert_int_eq(create(0), -EINVAL);
	ck_assert_int_eq(create(65), -EINVAL);
}
END_TEST

START_TEST(failing_requests)
{
	static const unsigned long requests[] = {
		KVM_CREATE_VM,	    KVM_SET_USER_MEMORY_REGION,
		KVM_CREATE_IRQCHIP, KVM_CREATE_PIT2,
		KVM_CREATE_VCPU,    KVM_ENABLE_CAP,
		KVM_SET_CPUID2,	    KVM_SET_SREGS,
		KVM_SET_REGS,	    KVM_SET_GSI_ROUTING,
		KVM_IRQFD,
	};

	ck_assert_msg(!create(3), "%s", why);
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		fake.failing = requests[i];
		ck_assert_int_ne(hv_kvm_start(vm, why, sizeof(why)), 0);
		ck_assert_msg(strstr(why, ": ") != NULL, "%s", why);
	}
	fake.failing = 0;
	hv_kvm_destroy(vm);
	loop_destroy(rig_loop);
}
END_TEST

/* ---- ports ------------------------------------------------------------------------------- */

static int says_hello(uint32_t vp, uint32_t step, struct kvm_run *run)
{
	(void)vp;
	return step ? fake_poweroff(run) : fake_out(run, 0x3f8, 1, "hello", 5);
}

START_TEST(console_and_poweroff)
{
	up(1, says_hello);
	until(&ends, 1);
	ck_assert_int_eq(how, HV_KVM_POWEROFF);
	ck_assert_uint_eq(nr_said, 5);
	ck_assert(!memcmp(said, "hello", 5));
	ck_assert_uint_eq(fake.sints, 1);
	hv_kvm_destroy(vm);
	loop_destroy(rig_loop);
}
END_TEST

static int hello_idle(uint32_t vp, uint32_t step, struct kvm_run *run)
{
	(void)vp;
	return step ? fake_idle(run) : fake_out(run, 0x3f8, 1, "hello", 5);
}

/* A console that takes two bytes and then has to be asked again. */
START_TEST(slow_console)
{
	ck_assert_msg(!create(1), "%s", why);
	fake.guest = hello_idle;
	said_limit = 2;
	ck_assert_int_eq(hv_kvm_start(vm, why, sizeof(why)), 0);
	until(&nr_said, 2);
	for (int i = 0; i < 20; i++)
		loop_turn(rig_loop, 1000000);
	ck_assert_uint_eq(nr_said, 2);
	said_limit = sizeof(said);
	hv_kvm_console_room(vm);
	ck_assert_uint_eq(nr_said, 5);
	ck_assert(!memcmp(said, "hello", 5));
	ck_assert_uint_eq(hv_kvm_console_input(vm, "ab", 2), 2);
	down();
}
END_TEST

/* ---- SynIC -------------------------------------------------------------------------------- */

static uint64_t status[64];

static int connects(uint32_t vp, uint32_t step, struct kvm_run *run)
{
	if (vp)
		return fake_idle(run);
	switch (step) {
	case 0:
		return fake_synic(run, 0, 0, MESSAGES | 1);
	case 1:
		return fake_synic(run, 0, EVENTS | 1, MESSAGES | 1);
	case 2:
		return fake_synic(run, 1, EVENTS | 1, MESSAGES | 1);
	case 3:
		return fake_hypercall(run, 0x5c, INPUT);
	case 4:
		status[0] = run->hyperv.u.hcall.result;
		return fake_hypercall(run, 0x1005d, 0x2001); /* nobody has this connection */
	case 5:
		status[1] = run->hyperv.u.hcall.result;
		return fake_hypercall(run, 0x5d, 0x2001); /* slow, but fetched already */
	case 6:
		status[2] = run->hyperv.u.hcall.result;
		return fake_hypercall(run, 0x5c, MEMORY); /* outside of RAM */
	case 7:
		status[3] = run->hyperv.u.hcall.result;
		return fake_hypercall(run, 0x1005c, INPUT); /* too long for the fast form */
	case 8:
		status[4] = run->hyperv.u.hcall.result;
		store_release(&status[63], 1);
		/* fallthrough */
	default:
		return fake_idle(run);
	}
}

static enum hv_status hear(void *ctx, uint32_t id, const void *payload, uint32_t len)
{
	(void)ctx;
	ck_assert_uint_eq(id, 4);
	ck_assert_uint_eq(len, 5);
	ck_assert(!memcmp(payload, "HELLO", 5));
	heard++;
	return HV_STATUS_SUCCESS;
}

static void on_retry(void *ctx)
{
	(void)ctx;
	retries++;
}

static void connect_guest(void)
{
	static const struct hv_post_message_input in = {
		.connection_id = 4, .message_type = 1, .payload_size = 5, .payload = "HELLO"
	};

	store_relaxed(&status[63], 0);
	fake.guest = connects;
	ck_assert_msg(!create(2), "%s", why);
	memcpy(guest_page(INPUT), &in, sizeof(in));
	ck_assert_int_eq(hv_port_create_message(part, 4, hear, NULL), 0);
	ck_assert_int_eq(hv_kvm_start(vm, why, sizeof(why)), 0);
	hv_synic_on_retry(part, on_retry, NULL);
	for (int i = 0; i < 5000 && !load_acquire(&status[63]); i++)
		loop_turn(rig_loop, 1000000);
	ck_assert(load_acquire(&status[63]));
}

START_TEST(hypercalls)
{
	connect_guest();
	ck_assert_uint_eq(heard, 1);
	ck_assert_uint_eq(status[0], HV_STATUS_SUCCESS);
	ck_assert_uint_eq(status[1], HV_STATUS_INVALID_CONNECTION_ID);
	ck_assert_uint_eq(status[2], HV_STATUS_INVALID_CONNECTION_ID);
	ck_assert_uint_eq(status[3], HV_STATUS_INVALID_PARAMETER);
	ck_assert_uint_eq(status[4], HV_STATUS_INVALID_HYPERCALL_INPUT);
	down();
}
END_TEST

START_TEST(delivery)
{
	struct hv_message_page *m;
	struct hv_event_flags_page *e;
	uint32_t before;

	connect_guest();
	m = guest_page(MESSAGES);
	e = guest_page(EVENTS);
	rings(fake.irqfd[0]);
	ck_assert_int_eq(hv_synic_post_message(part, 0, 2, 1, "one", 3), 0);
	ck_assert_uint_eq(rings(fake.irqfd[0]), 1);
	ck_assert(!memcmp(m->slot[2].payload, "one", 3));
	/* Ends of interrupt from before do not count as one. */
	ck_assert_int_eq(eventfd_write(fake.resample[0], 3), 0);
	ck_assert_int_eq(hv_synic_post_message(part, 0, 2, 1, "two", 3), -EAGAIN);
	before = retries;
	m->slot[2].type = 0;
	ck_assert_uint_eq(m->slot[2].flags & 1, 1);
	ck_assert_int_eq(eventfd_write(fake.resample[0], 1), 0);
	until(&retries, before + 1);
	ck_assert_int_eq(hv_synic_post_message(part, 0, 2, 1, "two", 3), 0);
	/* The other VP has not turned its SynIC on. */
	ck_assert_int_eq(hv_synic_post_message(part, 1, 2, 1, "x", 1), -EAGAIN);
	ck_assert_int_eq(hv_synic_signal_event(part, 1, 2, 7), -ENXIO);
	rings(fake.irqfd[0]);
	ck_assert_int_eq(hv_synic_signal_event(part, 0, 2, 7), 0);
	ck_assert_int_eq(hv_synic_signal_event(part, 0, 2, 7), 0);
	ck_assert_uint_eq(e->flags[2][0], 1u << 7);
	ck_assert_uint_eq(rings(fake.irqfd[0]), 1);
	down();
	ck_assert_int_eq(rings(fake.irqfd[0]), 0);
}
END_TEST

START_TEST(doorbells)
{
	int fd = eventfd(0, EFD_NONBLOCK);

	connect_guest();
	ck_assert_int_eq(hv_port_create_event(part, 0x2005, fd), 0);
	ck_assert_uint_eq(fake.conn, 0x2005);
	ck_assert_int_eq(fake.conn_fd, fd);
	hv_port_delete(part, 0x2005);
	ck_assert_uint_eq(fake.conn, 0);
	fake.failing = KVM_HYPERV_EVENTFD;
	ck_assert_int_eq(hv_port_create_event(part, 0x2005, fd), -ENOMEM);
	fake.failing = 0;
	ck_assert_int_eq(hv_port_create_event(part, 0x2005, fd), 0); /* it is free after that */
	hv_kvm_stop(vm);
	until(&ends, 1);
	hv_port_delete(part, 0x2005); /* its VM is gone already */
	ck_assert_int_eq(hv_port_create_event(part, 0x2006, fd), -ENODEV);
	hv_kvm_destroy(vm);
	loop_destroy(rig_loop);
	close(fd);
}
END_TEST

/* ---- ends -------------------------------------------------------------------------------------
 */

static int first_says_hello(uint32_t vp, uint32_t step, struct kvm_run *run)
{
	return vp ? fake_idle(run) : says_hello(vp, step, run);
}

START_TEST(reset)
{
	connect_guest();
	ck_assert_int_eq(hv_synic_signal_event(part, 0, 2, 7), 0);
	hv_kvm_stop(vm);
	hv_kvm_stop(vm); /* once is enough */
	until(&ends, 1);
	ck_assert_int_eq(how, HV_KVM_STOPPED);
	ck_assert_int_eq(hv_synic_signal_event(part, 0, 2, 7), -ENXIO);
	ck_assert_int_eq(hv_synic_post_message(part, 0, 2, 1, "x", 1), -EAGAIN);
	for (uint32_t i = 1; i <= 3; i++) { /* the machine again, each with a VM of its own */
		fake.guest = first_says_hello;
		ck_assert_int_eq(hv_kvm_start(vm, why, sizeof(why)), 0);
		until(&ends, 1 + i);
		ck_assert_int_eq(how, HV_KVM_POWEROFF);
		ck_assert_uint_eq(nr_said, 5 * i);
	}
	hv_kvm_destroy(vm);
	loop_destroy(rig_loop);
}
END_TEST

static int triple_fault(uint32_t vp, uint32_t step, struct kvm_run *run)
{
	(void)step;
	run->exit_reason = KVM_EXIT_SHUTDOWN;
	return vp == 1 ? 0 : fake_idle(run);
}

static int system_reset(uint32_t vp, uint32_t step, struct kvm_run *run)
{
	(void)step;
	run->exit_reason = KVM_EXIT_SYSTEM_EVENT;
	run->system_event.type = KVM_SYSTEM_EVENT_RESET;
	return vp == 1 ? 0 : fake_idle(run);
}

static int internal_error(uint32_t vp, uint32_t step, struct kvm_run *run)
{
	(void)step;
	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = 3;
	return vp == 1 ? 0 : fake_idle(run);
}

static int no_memory(uint32_t vp, uint32_t step, struct kvm_run *run)
{
	(void)step;
	return vp == 1 ? EFAULT : fake_idle(run);
}

static int strange_exit(uint32_t vp, uint32_t step, struct kvm_run *run)
{
	(void)step;
	run->exit_reason = 999;
	return vp == 1 ? 0 : fake_idle(run);
}

START_TEST(other_ends)
{
	static const struct {
		fake_guest guest;
		enum hv_kvm_end how;
		const char *word;
	} cases[] = {
		{ triple_fault, HV_KVM_RESET, "triple fault of VP 1" },
		{ system_reset, HV_KVM_RESET, "reset" },
		{ internal_error, HV_KVM_FAILED, "internal error" },
		{ no_memory, HV_KVM_FAILED, "no memory" },
		{ strange_exit, HV_KVM_FAILED, "exit 999, 0) at RIP" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		up(3, cases[i].guest);
		until(&ends, 1);
		ck_assert_int_eq(how, cases[i].how);
		ck_assert_msg(strstr(end_why, cases[i].word) != NULL, "%s", end_why);
		hv_kvm_destroy(vm);
		loop_destroy(rig_loop);
	}
}
END_TEST

static int panics(uint32_t vp, uint32_t step, struct kvm_run *run)
{
	(void)vp;
	if (step)
		return says_hello(vp, step - 1, run);
	run->exit_reason = KVM_EXIT_SYSTEM_EVENT;
	run->system_event.type = KVM_SYSTEM_EVENT_CRASH;
	return 0;
}

/* What it says after that still comes. */
START_TEST(panic_report)
{
	for (uint32_t i = 0; i < 5; i++)
		fake.crash[i] = 0x1000 + i;
	up(1, panics);
	until(&ends, 1);
	ck_assert_uint_eq(crashes, 1);
	ck_assert_uint_eq(crash.vp, 0);
	ck_assert_uint_eq(crash.param[0], 0x1000);
	ck_assert_uint_eq(crash.param[4], 0x1004);
	ck_assert_uint_eq(nr_said, 5);
	hv_kvm_destroy(vm);
	loop_destroy(rig_loop);
}
END_TEST

static uint32_t entries;

static int busy(uint32_t vp, uint32_t step, struct kvm_run *run)
{
	(void)vp, (void)step;
	__atomic_fetch_add(&entries, 1, __ATOMIC_RELAXED);
	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.is_write = 0;
	usleep(100);
	return 0;
}

static void count(void *ctx, const char *reason, uint64_t n)
{
	if (!strcmp(reason, "mmio"))
		*(uint64_t *)ctx += n;
}

START_TEST(pause_and_resume)
{
	struct hv_kvm_stats st;
	uint64_t exits = 0;
	uint32_t at;

	up(2, busy);
	until(&entries, 10);
	hv_kvm_pause(vm);
	hv_kvm_pause(vm);
	usleep(20000);
	at = load_relaxed(&entries);
	usleep(20000);
	ck_assert_uint_eq(load_relaxed(&entries), at);
	hv_kvm_stats(vm, &st);
	ck_assert_str_eq(hv_kvm_state_name(st.state), "paused");
	hv_kvm_resume(vm);
	until(&entries, at + 10);
	/* Of either: the other may not have had a processor yet. */
	hv_kvm_exits(vm, 0, count, &exits);
	hv_kvm_exits(vm, 1, count, &exits);
	ck_assert_uint_gt(exits, 0);
	hv_kvm_pause(vm);
	down(); /* what is paused can be ended */
	ck_assert_int_eq(how, HV_KVM_STOPPED);
}
END_TEST

START_TEST(many_vps)
{
	up(64, busy);
	until(&entries, 200);
	ck_assert_uint_eq(fake.sints, 64);
	down();
}
END_TEST

RIG_MAIN("hv-core/kvm_vm", refusals, failing_requests, console_and_poweroff, slow_console,
	 hypercalls, delivery, doorbells, reset, other_ends, panic_report, pause_and_resume,
	 many_vps)
