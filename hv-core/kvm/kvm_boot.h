/* SPDX-License-Identifier: MIT */
/*
 * Puts a Linux kernel into guest memory as its boot protocol says (spec: kvm-guest, section 5):
 * a bzImage, or an ELF image (vmlinux); an initrd, the command line, the memory map, page tables,
 * the ACPI tables.
 *
 *   0x500    descriptors       0x20000   command line
 *   0x7000   boot parameters   0xe0000   ACPI
 *   0x9000   page tables       0x1000000 kernel (where it prefers to be)
 *                              top of low memory: initrd
 *
 * The images are files of the user's, not of the guest's, but nothing in them is believed.
 */
#ifndef HVBUS_HV_CORE_KVM_KVM_BOOT_H
#define HVBUS_HV_CORE_KVM_KVM_BOOT_H

#include <stddef.h>
#include <stdint.h>

#include "hv-core/gpa.h"

#define KVM_BOOT_GDT	    0x500u
#define KVM_BOOT_PARAMS	    0x7000u
#define KVM_BOOT_PML4	    0x9000u
#define KVM_BOOT_CMDLINE    0x20000u
#define KVM_BOOT_LOW_END    0x9fc00u	   /* of what a PC's first memory has */
#define KVM_BOOT_HIGH	    0x100000u	   /* and the rest begins */
#define KVM_BOOT_HOLE	    0xc0000000ull  /* no RAM from here to 4 GiB */
#define KVM_BOOT_ABOVE	    0x100000000ull /* .. where the rest of it is */
#define KVM_BOOT_MIN_MEMORY (32ull << 20)

/* Selectors and descriptors of KVM_BOOT_GDT. */
#define KVM_BOOT_CS	    0x10u
#define KVM_BOOT_DS	    0x18u

/* How @memory bytes are split around the hole. */
void kvm_boot_split(uint64_t memory, uint64_t *low, uint64_t *high);

struct kvm_boot_config {
	struct hv_gpa *gpa; /* with the RAM of kvm_boot_split() */
	uint64_t memory;
	uint32_t nr_vps;
	int kernel, initrd; /* open files, stay the caller's; initrd -1 = none */
	const char *cmdline;
};

struct kvm_boot_entry {
	uint64_t rip, rsi, cr3;
};

/*
 * 0, or -EINVAL (it is no kernel, or a broken one), -E2BIG (does not fit), -errno of reading,
 * with a sentence in @why that begins with which of the files it is about.
 */
int kvm_boot_load(const struct kvm_boot_config *cfg, struct kvm_boot_entry *out, char *why,
		  size_t whylen);

#endif
