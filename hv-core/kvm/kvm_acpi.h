/* SPDX-License-Identifier: MIT */
/*
 * The ACPI tables of a VM (spec: kvm-guest, section 4): RSDP, XSDT, FADT, MADT, and a DSDT with
 * the VMBus device, a serial port and the way to switch off.
 */
#ifndef HVBUS_HV_CORE_KVM_KVM_ACPI_H
#define HVBUS_HV_CORE_KVM_KVM_ACPI_H

#include <stddef.h>
#include <stdint.h>

#define KVM_ACPI_GPA  0xe0000ull /* of the first byte, which is the RSDP's */
#define KVM_ACPI_ROOM 0x20000u

struct kvm_acpi_config {
	uint32_t nr_vps;
	uint64_t mmio_low, mmio_low_len;   /* windows of the VMBus device: below 4 GiB, */
	uint64_t mmio_high, mmio_high_len; /* .. and above all RAM */
};

/*
 * Writes the tables for GPA KVM_ACPI_GPA into @out (zeroed, @room bytes, KVM_ACPI_ROOM are
 * always enough). Returns the bytes used, 0 when they do not fit.
 */
uint32_t kvm_acpi_build(uint8_t *out, uint32_t room, const struct kvm_acpi_config *cfg);

/* The bytes of the DSDT's code; as above. For tests. */
uint32_t kvm_acpi_dsdt(uint8_t *out, uint32_t room, const struct kvm_acpi_config *cfg);

#endif
