/* SPDX-License-Identifier: MIT */
/* A VM on the KVM that is played (fake_kvm.h), its owner, and a kernel. For one test program. */
#ifndef HVBUS_TESTS_UT_HV_CORE_KVM_RIG_H
#define HVBUS_TESTS_UT_HV_CORE_KVM_RIG_H

#include "tests/ut/hv-core/hv_rig.h"

#include "hv-core/kvm/kvm.h"
#include "hv-core/port.h"
#include "hv-core/synic.h"
#include "tests/ut/hv-core/fake_kvm.h"

#define MEMORY	 (64ull << 20)
#define MESSAGES 0x200000ull
#define EVENTS	 0x201000ull
#define INPUT	 0x202000ull

static struct hv_kvm *vm;
static struct hv_partition *part;
static char why[512], said[4096], end_why[200];
static uint32_t nr_said, ends, crashes, said_limit, retries, heard;
static enum hv_kvm_end how;
static struct hv_kvm_crash crash;

static void on_end(void *ctx, enum hv_kvm_end h, const char *w)
{
	ck_assert_ptr_eq(ctx, &vm);
	ends++;
	how = h;
	snprintf(end_why, sizeof(end_why), "%s", w);
}

static void on_crash(void *ctx, const struct hv_kvm_crash *c)
{
	(void)ctx;
	crashes++;
	crash = *c;
}

static uint32_t on_console(void *ctx, const void *data, uint32_t len)
{
	uint32_t n = said_limit - nr_said < len ? said_limit - nr_said : len;

	(void)ctx;
	memcpy(said + nr_said, data, n);
	nr_said += n;
	return n;
}

static int create(uint32_t nr_vps)
{
	static const struct hv_kvm_ops ops = { on_end, on_crash, on_console, NULL };
	struct hv_kvm_config cfg = { .name = "test",
				     .memory = MEMORY,
				     .nr_vps = nr_vps,
				     .initrd = -1,
				     .kernel = fake_kernel() };
	int err;

	nr_said = ends = crashes = retries = heard = 0;
	said_limit = sizeof(said);
	fake.sint2 = 0xf3;
	ck_assert_int_eq(loop_create(&rig_loop, NULL), 0);
	err = hv_kvm_create(&vm, rig_loop, &cfg, &ops, &vm, why, sizeof(why));
	part = err ? NULL : hv_kvm_partition(vm);
	if (err) {
		loop_destroy(rig_loop);
		close(cfg.kernel);
	}
	return err;
}

static void up(uint32_t nr_vps, fake_guest guest)
{
	fake.guest = guest;
	ck_assert_msg(!create(nr_vps), "%s", why);
	ck_assert_msg(!hv_kvm_start(vm, why, sizeof(why)), "%s", why);
}

static void until(const uint32_t *what, uint32_t n)
{
	for (int i = 0; i < 5000 && load_relaxed(what) < n; i++)
		loop_turn(rig_loop, 1000000);
	ck_assert_uint_ge(load_relaxed(what), n);
}

static void down(void)
{
	hv_kvm_stop(vm);
	until(&ends, 1);
	hv_kvm_destroy(vm);
	loop_destroy(rig_loop);
	fake.failing = 0;
}

static void *guest_page(uint64_t gpa)
{
	return hv_gpa_ptr(hv_partition_gpa(part), gpa, 4096);
}

static uint64_t rings(int fd)
{
	uint64_t n = 0;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

#endif
