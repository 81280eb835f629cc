/* SPDX-License-Identifier: MIT */
/*
 * As much of ACPI's machine language as a table of devices needs: names, numbers, strings,
 * scopes, and resource templates. Writes into a buffer of the caller's; running out of room is
 * remembered in .full, so that nobody has to look at each step.
 */
#ifndef HVBUS_HV_CORE_KVM_KVM_AML_H
#define HVBUS_HV_CORE_KVM_KVM_AML_H

#include <stdbool.h>
#include <stdint.h>

struct kvm_aml {
	uint8_t *buf;
	uint32_t len, room;
	bool full;
};

void aml_bytes(struct kvm_aml *a, const void *data, uint32_t n);
void aml_le(struct kvm_aml *a, uint64_t value, uint32_t n); /* @n bytes, the lowest first */

/* What is between begin and end has a length in front; begin returns what end wants. */
uint32_t aml_scope(struct kvm_aml *a, const char *path);
uint32_t aml_device(struct kvm_aml *a, const char name[4]);
uint32_t aml_package(struct kvm_aml *a, uint8_t elements);
void aml_end(struct kvm_aml *a, uint32_t begin);

/* Name (@name, ..); a path may begin with a backslash. */
void aml_name(struct kvm_aml *a, const char *name);
void aml_integer(struct kvm_aml *a, uint32_t value);
void aml_string(struct kvm_aml *a, const char *text);

/* A buffer of resource descriptors, with its end tag. */
uint32_t aml_resources(struct kvm_aml *a);
void aml_irq(struct kvm_aml *a, uint32_t irq); /* edge, active high, exclusive */
void aml_io(struct kvm_aml *a, uint16_t port, uint8_t n);
void aml_memory32(struct kvm_aml *a, uint32_t base, uint32_t len); /* a window to hand out */
void aml_memory64(struct kvm_aml *a, uint64_t base, uint64_t len);
void aml_resources_end(struct kvm_aml *a, uint32_t begin);

#endif
