/* SPDX-License-Identifier: MIT */
/*
 * A 16550A as guests drive it: registers, FIFOs, interrupts. What it sends goes to a large
 * buffer; while that is nearly full the transmitter says that it is busy, as one with hardware
 * flow control does, so a console that nobody reads slows its guest down instead of losing text.
 *
 * Threads: none of its own; the caller serialises.
 */
#ifndef HVBUS_HV_CORE_KVM_KVM_UART_H
#define HVBUS_HV_CORE_KVM_KVM_UART_H

#include <stdbool.h>
#include <stdint.h>

#define KVM_UART_PORTS 8u
#define KVM_UART_TX    65536u /* a power of two */
#define KVM_UART_RX    4096u  /* a power of two */

struct kvm_uart {
	uint8_t ier, lcr, mcr, scr, dll, dlm;
	bool fifo;
	bool thre;     /* THRE interrupt pending */
	bool overrun;  /* LSR bit 1 */
	uint64_t lost; /* bytes sent while the transmitter said it was busy */
	uint32_t tx_head, tx_tail, rx_head, rx_tail; /* free-running */
	uint8_t tx[KVM_UART_TX], rx[KVM_UART_RX];
};

void kvm_uart_reset(struct kvm_uart *u); /* what was sent already stays to be read */

uint8_t kvm_uart_read(struct kvm_uart *u, uint8_t reg);
/* The line may have to fall and rise for it: look at kvm_uart_irq(), lower it first if asked. */
void kvm_uart_write(struct kvm_uart *u, uint8_t reg, uint8_t value);

/* The level of the interrupt line. */
bool kvm_uart_irq(const struct kvm_uart *u);

/* What the guest sent, oldest first: up to @len bytes, which stay until kvm_uart_sent(). */
uint32_t kvm_uart_peek(const struct kvm_uart *u, void *out, uint32_t len);
void kvm_uart_sent(struct kvm_uart *u, uint32_t len);

/* Bytes for the guest; returns how many fitted. */
uint32_t kvm_uart_receive(struct kvm_uart *u, const void *data, uint32_t len);

#endif
