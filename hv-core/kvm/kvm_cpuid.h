/* SPDX-License-Identifier: MIT */
/*
 * The CPUID leaves of a VP (spec: kvm-guest, section 2): what the host's KVM offers, with our
 * topology, and as hypervisor Hyper-V instead of KVM.
 */
#ifndef HVBUS_HV_CORE_KVM_KVM_CPUID_H
#define HVBUS_HV_CORE_KVM_KVM_CPUID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kvm_leaf { /* as struct kvm_cpuid_entry2 */
	uint32_t function, index, flags;
	uint32_t eax, ebx, ecx, edx;
	uint32_t padding[3];
};

#define KVM_LEAF_INDEXED 1u /* flags: the index counts */
#define KVM_MAX_LEAVES	 256u

struct kvm_leaves {
	uint32_t n, padding;
	struct kvm_leaf leaf[KVM_MAX_LEAVES];
};

/*
 * VP @vp of @nr_vps: of @host (KVM_GET_SUPPORTED_CPUID) and @hv (KVM_GET_SUPPORTED_HV_CPUID) into
 * *@out. 0; -E2BIG; -ENOTSUP with a sentence in @why: @hv lacks what a VMBus guest cannot do
 * without.
 */
int kvm_cpuid_build(struct kvm_leaves *out, const struct kvm_leaves *host,
		    const struct kvm_leaves *hv, uint32_t vp, uint32_t nr_vps, char *why,
		    size_t whylen);

/* NULL: not there. */
const struct kvm_leaf *kvm_cpuid_find(const struct kvm_leaves *l, uint32_t function,
				      uint32_t index);

#endif
