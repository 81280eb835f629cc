/* SPDX-License-Identifier: MIT */
/* The leaves as tables of wishes; what the host's kernel cannot do is taken out of them. */
#include "hv-core/kvm/kvm_cpuid.h"

#include <errno.h>
#include <stdio.h>

#include "hv-core/hv_defs.h"

#define HV_LEAF_MAX	 0x40000005u
#define HV_FEATURES	 0x40000003u
#define HV_HINTS	 0x40000004u
#define HYPERVISOR(leaf) ((leaf) >> 16 == 0x4000)

/* 0x40000003 EAX: registers. */
#define F_VP_RUNTIME	 (1u << 0)
#define F_TIME_REF	 (1u << 1)
#define F_SYNIC		 (1u << 2)
#define F_STIMER	 (1u << 3)
#define F_APIC		 (1u << 4)
#define F_HYPERCALL	 (1u << 5)
#define F_VP_INDEX	 (1u << 6)
#define F_RESET		 (1u << 7)
#define F_REFERENCE_TSC	 (1u << 9)
#define F_FREQUENCY	 (1u << 11)
/* .. EDX */
#define F_XMM_INPUT	 (1u << 4)
#define F_FREQUENCY_MSRS (1u << 8)
#define F_CRASH_MSRS	 (1u << 10)
#define F_STIMER_DIRECT	 (1u << 19)
/* 0x40000004 EAX: hints. */
#define H_REMOTE_FLUSH	 (1u << 2)
#define H_APIC_MSRS	 (1u << 3)
#define H_RELAXED_TIMING (1u << 5)
#define H_NO_AUTO_EOI	 (1u << 9)
#define H_CLUSTER_IPI	 (1u << 10)
#define H_EX_MASKS	 (1u << 11)

/*
 * Not wished for: GUEST_IDLE, which KVM does not have; ACCESS_PARTITION_ID, whose call KVM
 * does not know and Linux does not survive the failure of; CPU_MANAGEMENT and ISOLATION, which
 * say that the guest is something else; re-enlightenment, of no use without migration.
 */
static const struct kvm_leaf wishes[] = {
	{ .function = 0x40000000,
	  .eax = HV_LEAF_MAX,
	  .ebx = 0x7263694d,
	  .ecx = 0x666f736f,
	  .edx = 0x76482074 },					  /* "Microsoft Hv" */
	{ .function = 0x40000001, .eax = 0x31237648 },		  /* "Hv#1" */
	{ .function = 0x40000002, .eax = 17763, .ebx = 0xa0000 }, /* build, 10.0 */
	{ .function = HV_FEATURES,
	  .eax = F_VP_RUNTIME | F_TIME_REF | F_SYNIC | F_STIMER | F_APIC | F_HYPERCALL |
		 F_VP_INDEX | F_RESET | F_REFERENCE_TSC | F_FREQUENCY,
	  .ebx = HV_PRIV_POST_MESSAGES | HV_PRIV_SIGNAL_EVENTS,
	  .edx = F_XMM_INPUT | F_FREQUENCY_MSRS | F_CRASH_MSRS | F_STIMER_DIRECT },
	{ .function = HV_HINTS,
	  .eax = H_REMOTE_FLUSH | H_APIC_MSRS | H_RELAXED_TIMING | H_NO_AUTO_EOI | H_CLUSTER_IPI |
		 H_EX_MASKS,
	  .ebx = 0xffffffff }, /* spinning is never reported */
	{ .function = 0x40000005, .eax = 64, .ebx = 64 },
};

static const struct need {
	bool ebx;
	uint32_t bit;
	const char *name;
} needs[] = {
	{ false, F_SYNIC, "SynIC registers" },
	{ false, F_HYPERCALL, "hypercall registers" },
	{ false, F_VP_INDEX, "the VP index register" },
	{ false, F_TIME_REF, "the reference counter" },
	{ true, HV_PRIV_POST_MESSAGES, "HvPostMessage" },
	{ true, HV_PRIV_SIGNAL_EVENTS, "HvSignalEvent" },
};

const struct kvm_leaf *kvm_cpuid_find(const struct kvm_leaves *l, uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < l->n && i < KVM_MAX_LEAVES; i++) {
		const struct kvm_leaf *f = &l->leaf[i];

		if (f->function == function &&
		    (!(f->flags & KVM_LEAF_INDEXED) || f->index == index))
			return f;
	}
	return NULL;
}

static int append(struct kvm_leaves *out, const struct kvm_leaf *leaf)
{
	if (out->n == KVM_MAX_LEAVES)
		return -E2BIG;
	out->leaf[out->n++] = *leaf;
	return 0;
}

/* ---- the processor ----------------------------------------------------------------- */

static uint32_t round_up_log2(uint32_t n)
{
	uint32_t bits = 0;

	while (1u << bits < n)
		bits++;
	return bits;
}

/* Of deterministic cache parameters: each VP has its own, all share the last level. */
static void set_cache(struct kvm_leaf *f, uint32_t nr_vps, bool cores)
{
	uint32_t level = f->eax >> 5 & 7, sharing = level >= 3 ? nr_vps - 1 : 0;

	if (!(f->eax & 0x1f))
		return;
	f->eax = (f->eax & 0x3fff) | sharing << 14 | (cores ? ((nr_vps - 1) & 0x3f) << 26 : 0);
}

static void fix_up(struct kvm_leaf *f, uint32_t vp, uint32_t nr_vps)
{
	switch (f->function) {
	case 1:
		f->ebx = (f->ebx & 0xffff) | vp << 24 | nr_vps << 16;
		f->ecx |= 1u << 31 | 1u << 24; /* below a hypervisor; TSC deadline timer */
		f->edx = nr_vps > 1 ? f->edx | 1u << 28 : f->edx & ~(1u << 28);
		break;
	case 4:
		set_cache(f, nr_vps, true);
		break;
	case 0x80000008:
		if (f->ecx) /* AMD's */
			f->ecx = (f->ecx & ~0xf0ffu) | round_up_log2(nr_vps) << 12 | (nr_vps - 1);
		break;
	case 0x8000001d:
		set_cache(f, nr_vps, false);
		break;
	case 0x8000001e:
		f->eax = vp;
		f->ebx = vp & 0xff; /* a core of one thread */
		f->ecx = 0;
		break;
	}
}

/* One package of cores without threads. */
static int add_topology(struct kvm_leaves *out, uint32_t vp, uint32_t nr_vps)
{
	struct kvm_leaf thread = {
		.function = 0xb, .flags = KVM_LEAF_INDEXED, .ebx = 1, .ecx = 0x100, .edx = vp
	};
	struct kvm_leaf core = { .function = 0xb,
				 .index = 1,
				 .flags = KVM_LEAF_INDEXED,
				 .eax = round_up_log2(nr_vps),
				 .ebx = nr_vps,
				 .ecx = 0x201,
				 .edx = vp };
	int err = append(out, &thread);

	return err ? err : append(out, &core);
}

static bool replaced(uint32_t function)
{
	return HYPERVISOR(function) || function == 0xb || function == 0x1f;
}

/* ---- the hypervisor ------------------------------------------------------------------ */

static int check_needs(const struct kvm_leaf *has, char *why, size_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(needs); i++) {
		if ((needs[i].ebx ? has->ebx : has->eax) & needs[i].bit)
			continue;
		snprintf(why, n, "KVM_GET_SUPPORTED_HV_CPUID does not offer %s, which VMBus needs",
			 needs[i].name);
		return -ENOTSUP;
	}
	return 0;
}

/* Leaves of features are as much as both sides have. */
static int add_hypervisor(struct kvm_leaves *out, const struct kvm_leaves *hv, char *why, size_t n)
{
	static const struct kvm_leaf none;
	int err = 0;

	for (size_t i = 0; !err && i < ARRAY_SIZE(wishes); i++) {
		struct kvm_leaf f = wishes[i];
		const struct kvm_leaf *has = kvm_cpuid_find(hv, f.function, 0);

		if (!has)
			has = &none;
		if (f.function == HV_FEATURES || f.function == HV_HINTS) {
			f.eax &= has->eax;
			f.edx &= has->edx;
		}
		if (f.function == HV_FEATURES) {
			err = check_needs(has, why, n);
			f.ebx &= has->ebx;
		}
		if (!err)
			err = append(out, &f);
	}
	return err;
}

int kvm_cpuid_build(struct kvm_leaves *out, const struct kvm_leaves *host,
		    const struct kvm_leaves *hv, uint32_t vp, uint32_t nr_vps, char *why, size_t n)
{
	int err = 0;

	out->n = out->padding = 0;
	snprintf(why, n, "more CPUID leaves than %u", KVM_MAX_LEAVES);
	for (uint32_t i = 0; !err && i < host->n && i < KVM_MAX_LEAVES; i++) {
		struct kvm_leaf f = host->leaf[i];

		if (replaced(f.function))
			continue;
		fix_up(&f, vp, nr_vps);
		err = append(out, &f);
	}
	if (!err && kvm_cpuid_find(host, 0, 0) && kvm_cpuid_find(host, 0, 0)->eax >= 0xb)
		err = add_topology(out, vp, nr_vps);
	return err ? err : add_hypervisor(out, hv, why, n);
}
