/* SPDX-License-Identifier: MIT */
/*
 * What a guest finds at its I/O ports: a serial console, a clock, power management, and the
 * ways to reset a PC. Everything else reads as all ones and forgets what is written.
 *
 * Threads: none of its own; the caller serialises.
 */
#ifndef HVBUS_HV_CORE_KVM_KVM_PIO_H
#define HVBUS_HV_CORE_KVM_KVM_PIO_H

#include <time.h>

#include "hv-core/kvm/kvm_uart.h"

#define KVM_PORT_KBD	   0x64u
#define KVM_PORT_CMOS	   0x70u
#define KVM_PORT_COM1	   0x3f8u
#define KVM_PORT_PM1_EVT   0x600u /* 4 bytes: status, enable */
#define KVM_PORT_PM1_CNT   0x604u /* 2 bytes */
#define KVM_PORT_RESET	   0x60au
#define KVM_PORT_RESET_PCI 0xcf9u

#define KVM_RESET_VALUE	   6u /* to KVM_PORT_RESET */
#define KVM_SLEEP_S5	   5u /* the SLP_TYP that \_S5 names */
#define KVM_UART_GSI	   4u
#define KVM_SCI_GSI	   9u

enum kvm_pio_action { KVM_PIO_NOTHING, KVM_PIO_POWEROFF, KVM_PIO_RESET };

struct kvm_pio {
	struct kvm_uart uart;
	uint8_t cmos_index;
	uint8_t cmos[128]; /* what guests store; the clock's registers are computed */
	uint16_t pm1_status, pm1_enable, pm1_control;
	uint64_t unknown; /* accesses to ports where nothing is */
};

void kvm_pio_reset(struct kvm_pio *p);

/* One access of @size bytes (1, 2 or 4) at @port; the low bytes of the value count. */
uint32_t kvm_pio_read(struct kvm_pio *p, uint16_t port, uint32_t size);
enum kvm_pio_action kvm_pio_write(struct kvm_pio *p, uint16_t port, uint32_t size, uint32_t value);

/* The clock's register @index at @t, as CMOS shows it: BCD, 24 hours. */
uint8_t kvm_rtc_register(uint8_t index, const struct tm *t);

#endif
