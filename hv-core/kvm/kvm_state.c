/* SPDX-License-Identifier: MIT */
/*
 * A VP as it begins: what CPUID says, and for the first one the state that the 64-bit boot
 * protocol wants. The others stay as KVM makes them, waiting for the first to start them.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "hv-core/kvm/kvm_priv.h"

#define CR0_START	 0x80000033ull /* PG, NE, ET, MP, PE */
#define CR4_PAE		 0x20ull
#define EFER_LONG	 0x500ull /* LME, LMA */
#define RFLAGS_START	 0x2ull
#define TSS_SELECTOR	 0x20u
#define MSR_MISC_ENABLE	 0x1a0u
#define MISC_FAST_STRING 1ull
#define MSR_MTRR_DEFAULT 0x2ffu
#define MTRR_ON_WB	 0x806ull
#define MSR_CRASH_CTL	 0x40000105u
#define CRASH_NOTIFY	 (1ull << 63)

_Static_assert(sizeof(struct kvm_leaf) == sizeof(struct kvm_cpuid_entry2), "the kernel's layout");
_Static_assert(offsetof(struct kvm_leaves, leaf) == offsetof(struct kvm_cpuid2, entries),
	       "the kernel's layout");
_Static_assert(KVM_LEAF_INDEXED == KVM_CPUID_FLAG_SIGNIFCANT_INDEX, "the kernel's flag");

/* ---- MSRs ------------------------------------------------------------------------- */

struct msr_block { /* struct kvm_msrs, with room */
	__u32 nmsrs, pad;
	struct kvm_msr_entry entry[8];
};

_Static_assert(offsetof(struct msr_block, entry) == offsetof(struct kvm_msrs, entries),
	       "the kernel's layout");

int kvm_msr_get(const struct kvm_vcpu *v, uint32_t first, uint64_t *value, uint32_t n)
{
	struct msr_block b = { .nmsrs = n };
	int got;

	for (uint32_t i = 0; i < n; i++)
		b.entry[i].index = first + i;
	got = ioctl(v->fd, KVM_GET_MSRS, &b);
	for (int i = 0; i < got; i++)
		value[i] = b.entry[i].data;
	return got == (int)n ? 0 : -EIO;
}

int kvm_msr_set(const struct kvm_vcpu *v, uint32_t msr, uint64_t value)
{
	struct msr_block b = { .nmsrs = 1, .entry[0] = { .index = msr, .data = value } };

	return ioctl(v->fd, KVM_SET_MSRS, &b) == 1 ? 0 : -EIO;
}

/* What firmware would have set, as far as this processor has it. */
static void set_msrs(const struct kvm_vcpu *v)
{
	kvm_msr_set(v, MSR_MISC_ENABLE, MISC_FAST_STRING);
	kvm_msr_set(v, MSR_MTRR_DEFAULT, MTRR_ON_WB);
}

/* ---- CPUID -------------------------------------------------------------------------- */

/* So that what was not offered is not there either. A KVM before 5.14 cannot; its guests do
 * without. */
static void enforce_cpuid(const struct kvm_vcpu *v)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_HYPERV_ENFORCE_CPUID, .args = { 1 } };

	ioctl(v->fd, KVM_ENABLE_CAP, &cap);
}

static int set_cpuid(struct kvm_vcpu *v, char *why, size_t n)
{
	struct hv_kvm *k = v->vm;
	struct kvm_leaves hv = { .n = KVM_MAX_LEAVES };
	int err;

	if (ioctl(v->fd, KVM_GET_SUPPORTED_HV_CPUID, &hv)) {
		snprintf(why, n, "VP %u: KVM_GET_SUPPORTED_HV_CPUID: %s", v->index,
			 strerror(errno));
		return -errno;
	}
	err = kvm_cpuid_build(&k->cpuid, &k->host_cpuid, &hv, v->index, k->boot.nr_vps, why, n);
	if (!err && ioctl(v->fd, KVM_SET_CPUID2, &k->cpuid)) {
		err = -errno;
		snprintf(why, n, "VP %u: KVM_SET_CPUID2: %s", v->index, strerror(-err));
	}
	if (!err)
		enforce_cpuid(v);
	return err;
}

/* ---- registers ------------------------------------------------------------------------- */

static struct kvm_segment segment(uint16_t selector, uint8_t type, bool code)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.s = 1,
		.db = !code,
		.l = code,
		.g = 1,
	};
}

static int set_sregs(const struct kvm_vcpu *v, uint64_t cr3)
{
	struct kvm_segment data = segment(KVM_BOOT_DS, 3, false);
	struct kvm_sregs s;

	if (ioctl(v->fd, KVM_GET_SREGS, &s))
		return -errno;
	s.cs = segment(KVM_BOOT_CS, 11, true);
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.tr = (struct kvm_segment){
		.limit = 0x67, .selector = TSS_SELECTOR, .type = 11, .present = 1
	};
	s.gdt.base = KVM_BOOT_GDT;
	s.gdt.limit = 5 * 8 - 1;
	s.cr0 = CR0_START;
	s.cr3 = cr3;
	s.cr4 = CR4_PAE;
	s.efer = EFER_LONG;
	return ioctl(v->fd, KVM_SET_SREGS, &s) ? -errno : 0;
}

static int set_entry(const struct kvm_vcpu *v, const struct kvm_boot_entry *entry)
{
	struct kvm_regs r = { .rip = entry->rip, .rsi = entry->rsi, .rflags = RFLAGS_START };
	int err = set_sregs(v, entry->cr3);

	if (err)
		return err;
	return ioctl(v->fd, KVM_SET_REGS, &r) ? -errno : 0;
}

int kvm_state_init(struct kvm_vcpu *v, const struct kvm_boot_entry *entry, char *why, size_t n)
{
	int err = set_cpuid(v, why, n);

	if (err)
		return err;
	set_msrs(v);
	err = entry ? set_entry(v, entry) : 0;
	/* One register of the whole VM: what the guest reads back is what it may report. */
	if (!err && entry)
		err = kvm_msr_set(v, MSR_CRASH_CTL, CRASH_NOTIFY);
	if (err)
		snprintf(why, n, "VP %u: its registers: %s", v->index, strerror(-err));
	return err;
}
