/* SPDX-License-Identifier: MIT */
/*
 * Ports byte by byte (spec: kvm-guest, sections 4 and 5). A wider access is several bytes at
 * consecutive ports, as on the bus of a PC.
 */
#include "hv-core/kvm/kvm_pio.h"

#include <string.h>

#define CMOS_A	       0x0au
#define CMOS_B	       0x0bu
#define CMOS_C	       0x0cu
#define CMOS_D	       0x0du
#define CMOS_CENTURY   0x32u
#define PM1_SCI_EN     0x0001u
#define PM1_SLP_EN     0x2000u
#define PM1_SLP_TYP(v) ((v) >> 10 & 7u)
#define KBD_PULSE_CPU  0xfeu

void kvm_pio_reset(struct kvm_pio *p)
{
	kvm_uart_reset(&p->uart);
	p->cmos_index = 0;
	memset(p->cmos, 0, sizeof(p->cmos));
	p->pm1_status = p->pm1_enable = p->pm1_control = 0;
}

/* ---- clock ------------------------------------------------------------------------ */

static uint8_t bcd(int v)
{
	return (uint8_t)(v / 10 % 10 << 4 | v % 10);
}

uint8_t kvm_rtc_register(uint8_t index, const struct tm *t)
{
	switch (index) {
	case 0x00:
		return bcd(t->tm_sec);
	case 0x02:
		return bcd(t->tm_min);
	case 0x04:
		return bcd(t->tm_hour);
	case 0x06:
		return bcd(t->tm_wday + 1);
	case 0x07:
		return bcd(t->tm_mday);
	case 0x08:
		return bcd(t->tm_mon + 1);
	case 0x09:
		return bcd(t->tm_year % 100);
	case CMOS_CENTURY:
		return bcd(19 + t->tm_year / 100);
	case CMOS_A:
		return 0x26; /* 32768 Hz, and never in the middle of an update */
	case CMOS_B:
		return 0x02; /* 24 hours, BCD, no interrupt */
	case CMOS_D:
		return 0x80; /* the battery is good */
	default:
		return 0; /* alarms and C: no interrupt was asked for */
	}
}

static bool is_clock(uint8_t index)
{
	return index <= CMOS_D || index == CMOS_CENTURY;
}

static uint8_t cmos_read(const struct kvm_pio *p)
{
	time_t now;
	struct tm t;

	if (!is_clock(p->cmos_index))
		return p->cmos[p->cmos_index];
	now = time(NULL);
	gmtime_r(&now, &t);
	return kvm_rtc_register(p->cmos_index, &t);
}

/* ---- power management ---------------------------------------------------------------- */

/* There is no command port, so ACPI is always on. */
static uint8_t pm1_read(const struct kvm_pio *p, uint16_t port)
{
	uint16_t v = p->pm1_status;

	if (port >= KVM_PORT_PM1_CNT)
		v = (uint16_t)((p->pm1_control & ~PM1_SLP_EN) | PM1_SCI_EN);
	else if (port >= KVM_PORT_PM1_EVT + 2)
		v = p->pm1_enable;
	return (uint8_t)(v >> 8 * (port & 1));
}

static void set_byte(uint16_t *reg, uint16_t port, uint8_t value)
{
	unsigned shift = 8 * (port & 1);

	*reg = (uint16_t)((*reg & ~(0xffu << shift)) | (unsigned)value << shift);
}

static enum kvm_pio_action pm1_write(struct kvm_pio *p, uint16_t port, uint8_t value)
{
	if (port < KVM_PORT_PM1_EVT + 2) {
		p->pm1_status &= (uint16_t) ~((unsigned)value << 8 * (port & 1));
		return KVM_PIO_NOTHING;
	}
	if (port < KVM_PORT_PM1_CNT) {
		set_byte(&p->pm1_enable, port, value);
		return KVM_PIO_NOTHING;
	}
	set_byte(&p->pm1_control, port, value);
	if (!(port & 1) || !(p->pm1_control & PM1_SLP_EN))
		return KVM_PIO_NOTHING;
	p->pm1_control &= (uint16_t)~PM1_SLP_EN;
	/* \_S5 is the only state that is offered. */
	return PM1_SLP_TYP(p->pm1_control) == KVM_SLEEP_S5 ? KVM_PIO_POWEROFF : KVM_PIO_NOTHING;
}

/* ---- dispatch ---------------------------------------------------------------------------- */

static bool in(uint16_t port, unsigned base, unsigned n)
{
	return port >= base && port < base + n;
}

static uint8_t read_byte(struct kvm_pio *p, uint16_t port)
{
	if (in(port, KVM_PORT_COM1, KVM_UART_PORTS))
		return kvm_uart_read(&p->uart, (uint8_t)(port - KVM_PORT_COM1));
	if (port == KVM_PORT_CMOS + 1)
		return cmos_read(p);
	if (in(port, KVM_PORT_PM1_EVT, 6))
		return pm1_read(p, port);
	p->unknown++;
	return 0xff;
}

static enum kvm_pio_action write_byte(struct kvm_pio *p, uint16_t port, uint8_t value)
{
	if (in(port, KVM_PORT_COM1, KVM_UART_PORTS)) {
		kvm_uart_write(&p->uart, (uint8_t)(port - KVM_PORT_COM1), value);
	} else if (port == KVM_PORT_CMOS) {
		p->cmos_index = value & 0x7f;
	} else if (port == KVM_PORT_CMOS + 1) {
		p->cmos[p->cmos_index] = value;
	} else if (in(port, KVM_PORT_PM1_EVT, 6)) {
		return pm1_write(p, port, value);
	} else if (port == KVM_PORT_RESET) {
		return value == KVM_RESET_VALUE ? KVM_PIO_RESET : KVM_PIO_NOTHING;
	} else if (port == KVM_PORT_RESET_PCI) {
		return value & 4 ? KVM_PIO_RESET : KVM_PIO_NOTHING;
	} else if (port == KVM_PORT_KBD) {
		return value == KBD_PULSE_CPU ? KVM_PIO_RESET : KVM_PIO_NOTHING;
	} else {
		p->unknown++;
	}
	return KVM_PIO_NOTHING;
}

uint32_t kvm_pio_read(struct kvm_pio *p, uint16_t port, uint32_t size)
{
	uint32_t v = 0;

	for (uint32_t i = 0; i < size; i++)
		v |= (uint32_t)read_byte(p, (uint16_t)(port + i)) << 8 * i;
	return v;
}

enum kvm_pio_action kvm_pio_write(struct kvm_pio *p, uint16_t port, uint32_t size, uint32_t value)
{
	enum kvm_pio_action action = KVM_PIO_NOTHING;

	/* 32 bits at 0xcf8 are the address of a PCI configuration space, not a reset at 0xcf9. */
	if (size == 4 && port == KVM_PORT_RESET_PCI - 1) {
		p->unknown++;
		return action;
	}
	for (uint32_t i = 0; i < size && action == KVM_PIO_NOTHING; i++)
		action = write_byte(p, (uint16_t)(port + i), (uint8_t)(value >> 8 * i));
	return action;
}
