/* SPDX-License-Identifier: MIT */
/* Registers of the 16550A; see the header. */
#include "hv-core/kvm/kvm_uart.h"

#include <string.h>

enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR };

#define IER_RDI	  0x01u
#define IER_THRI  0x02u
#define IER_RLSI  0x04u
#define IER_MASK  0x0fu
#define IIR_NONE  0x01u
#define IIR_THRI  0x02u
#define IIR_RDI	  0x04u
#define IIR_RLSI  0x06u
#define IIR_FIFO  0xc0u
#define FCR_ON	  0x01u
#define FCR_RX	  0x02u /* clear the receiver's FIFO */
#define LCR_DLAB  0x80u
#define MCR_LOOP  0x10u
#define MCR_MASK  0x1fu
#define LSR_DR	  0x01u
#define LSR_OE	  0x02u
#define LSR_THRE  0x20u
#define LSR_TEMT  0x40u
#define MSR_IDLE  0xb0u /* carrier, data set ready, clear to send */
#define TX_MARGIN 64u	/* a guest that saw room sends a FIFO's worth without looking again */

void kvm_uart_reset(struct kvm_uart *u)
{
	u->ier = u->mcr = u->lcr = u->scr = u->dlm = 0;
	u->dll = 12;
	u->fifo = u->thre = u->overrun = false;
	u->rx_head = u->rx_tail = 0;
}

static bool has_room(const struct kvm_uart *u)
{
	return u->tx_head - u->tx_tail < KVM_UART_TX - TX_MARGIN;
}

static bool has_data(const struct kvm_uart *u)
{
	return u->rx_head != u->rx_tail;
}

/* The one of the highest priority. */
static uint8_t pending(const struct kvm_uart *u)
{
	if (u->ier & IER_RLSI && u->overrun)
		return IIR_RLSI;
	if (u->ier & IER_RDI && has_data(u))
		return IIR_RDI;
	if (u->ier & IER_THRI && u->thre && has_room(u))
		return IIR_THRI;
	return IIR_NONE;
}

/* OUT2 is not looked at: guests exist that leave it clear and poll, and the line harms no one. */
bool kvm_uart_irq(const struct kvm_uart *u)
{
	return pending(u) != IIR_NONE;
}

static uint8_t read_data(struct kvm_uart *u)
{
	if (!has_data(u))
		return 0;
	return u->rx[u->rx_tail++ % KVM_UART_RX];
}

static uint8_t read_iir(struct kvm_uart *u)
{
	uint8_t why = pending(u);

	if (why == IIR_THRI)
		u->thre = false; /* reading it is the acknowledgement */
	return why | (u->fifo ? IIR_FIFO : 0);
}

static uint8_t read_lsr(struct kvm_uart *u)
{
	uint8_t v = 0;

	if (has_data(u))
		v |= LSR_DR;
	if (u->overrun)
		v |= LSR_OE;
	if (has_room(u))
		v |= LSR_THRE | LSR_TEMT;
	u->overrun = false;
	return v;
}

/* In loop-back the modem's inputs are its outputs. */
static uint8_t read_msr(const struct kvm_uart *u)
{
	if (!(u->mcr & MCR_LOOP))
		return MSR_IDLE;
	return (uint8_t)((u->mcr & 0x02) << 3 | (u->mcr & 0x01) << 5 | (u->mcr & 0x0c) << 4);
}

uint8_t kvm_uart_read(struct kvm_uart *u, uint8_t reg)
{
	bool dlab = u->lcr & LCR_DLAB;

	switch (reg) {
	case RBR:
		return dlab ? u->dll : read_data(u);
	case IER:
		return dlab ? u->dlm : u->ier;
	case IIR:
		return read_iir(u);
	case LCR:
		return u->lcr;
	case MCR:
		return u->mcr;
	case LSR:
		return read_lsr(u);
	case MSR:
		return read_msr(u);
	case SCR:
		return u->scr;
	default:
		return 0xff;
	}
}

static void send_byte(struct kvm_uart *u, uint8_t value)
{
	if (u->mcr & MCR_LOOP) {
		kvm_uart_receive(u, &value, 1);
	} else if (u->tx_head - u->tx_tail < KVM_UART_TX) {
		u->tx[u->tx_head++ % KVM_UART_TX] = value;
	} else {
		u->lost++;
	}
	u->thre = true; /* and gone already */
}

static void write_ier(struct kvm_uart *u, uint8_t value)
{
	/* Enabling it while there is room is an interrupt by itself. */
	if (value & ~u->ier & IER_THRI)
		u->thre = true;
	u->ier = value & IER_MASK;
}

static void write_fcr(struct kvm_uart *u, uint8_t value)
{
	u->fifo = value & FCR_ON;
	if (value & FCR_RX)
		u->rx_tail = u->rx_head;
}

void kvm_uart_write(struct kvm_uart *u, uint8_t reg, uint8_t value)
{
	bool dlab = u->lcr & LCR_DLAB;

	switch (reg) {
	case RBR:
		if (dlab)
			u->dll = value;
		else
			send_byte(u, value);
		break;
	case IER:
		if (dlab)
			u->dlm = value;
		else
			write_ier(u, value);
		break;
	case IIR: /* FCR, when written */
		write_fcr(u, value);
		break;
	case LCR:
		u->lcr = value;
		break;
	case MCR:
		u->mcr = value & MCR_MASK;
		break;
	case SCR:
		u->scr = value;
		break;
	default: /* LSR and MSR are read-only */
		break;
	}
}

uint32_t kvm_uart_peek(const struct kvm_uart *u, void *out, uint32_t len)
{
	uint32_t n = u->tx_head - u->tx_tail;

	if (n > len)
		n = len;
	for (uint32_t i = 0; i < n; i++)
		((uint8_t *)out)[i] = u->tx[(u->tx_tail + i) % KVM_UART_TX];
	return n;
}

void kvm_uart_sent(struct kvm_uart *u, uint32_t len)
{
	u->tx_tail += len;
}

uint32_t kvm_uart_receive(struct kvm_uart *u, const void *data, uint32_t len)
{
	uint32_t room = KVM_UART_RX - (u->rx_head - u->rx_tail);

	if (len > room) {
		u->overrun = u->mcr & MCR_LOOP; /* people's typing waits outside instead */
		len = room;
	}
	for (uint32_t i = 0; i < len; i++)
		u->rx[u->rx_head++ % KVM_UART_RX] = ((const uint8_t *)data)[i];
	return len;
}
