/* SPDX-License-Identifier: MIT */
/* What a guest finds at its ports: the UART as Linux drives it, the clock, power, reset. */
#include "tests/ut/hv-core/hv_rig.h"

#include "hv-core/kvm/kvm_pio.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };

static struct kvm_pio *pio;

static void setup(void)
{
	free(pio);
	pio = calloc(1, sizeof(*pio));
	kvm_pio_reset(pio);
}

static uint8_t get(uint8_t reg)
{
	return (uint8_t)kvm_pio_read(pio, (uint16_t)(KVM_PORT_COM1 + reg), 1);
}

static void put(uint8_t reg, uint8_t value)
{
	ck_assert_int_eq(kvm_pio_write(pio, (uint16_t)(KVM_PORT_COM1 + reg), 1, value),
			 KVM_PIO_NOTHING);
}

static void check_sent(const char *text)
{
	char buf[64] = "";
	uint32_t n = kvm_uart_peek(&pio->uart, buf, sizeof(buf) - 1);

	ck_assert_str_eq(buf, text);
	kvm_uart_sent(&pio->uart, n);
}

/* As the kernel's driver finds out what it has: scratch, loop-back, FIFO, divisor. */
START_TEST(uart_is_found)
{
	setup();
	put(IER, 0);
	ck_assert_uint_eq(get(IER), 0);
	put(IER, 0xff);
	ck_assert_uint_eq(get(IER), 0x0f);
	put(IER, 0);
	put(SCR, 0xa5);
	ck_assert_uint_eq(get(SCR), 0xa5);
	put(MCR, 0x1a); /* loop-back, OUT2, RTS */
	ck_assert_uint_eq(get(MSR) & 0xf0, 0x90);
	put(MCR, 0);
	ck_assert_uint_eq(get(MSR) & 0xf0, 0xb0);
	put(IIR, 1);
	ck_assert_uint_eq(get(IIR), 0xc1);
	put(IIR, 0);
	ck_assert_uint_eq(get(IIR), 0x01);
	put(LCR, 0x83);
	put(DATA, 1);
	put(IER, 2);
	ck_assert_uint_eq(get(DATA), 1);
	ck_assert_uint_eq(get(IER), 2);
	put(LCR, 3);
	ck_assert_uint_eq(get(IER), 0);
	check_sent(""); /* the divisor was no text */
}
END_TEST

START_TEST(uart_sends)
{
	setup();
	ck_assert_uint_eq(get(LSR), 0x60);
	put(DATA, 'h');
	put(DATA, 'i');
	check_sent("hi");
	ck_assert(!kvm_uart_irq(&pio->uart));
	put(IER, 2); /* there is room: an interrupt at once */
	ck_assert(kvm_uart_irq(&pio->uart));
	ck_assert_uint_eq(get(IIR) & 0xf, 2);
	ck_assert(!kvm_uart_irq(&pio->uart)); /* reading it was the acknowledgement */
	ck_assert_uint_eq(get(IIR) & 0xf, 1);
	put(DATA, '!');
	ck_assert(kvm_uart_irq(&pio->uart)); /* and it is gone already */
	put(IER, 0);
	ck_assert(!kvm_uart_irq(&pio->uart));
	put(IER, 2); /* the driver's test for a bug that others have */
	ck_assert_uint_eq(get(IIR) & 0xf, 2);
}
END_TEST

START_TEST(uart_full)
{
	uint32_t n = 0;

	setup();
	put(IER, 2);
	while (get(LSR) & 0x20) {
		put(DATA, 'x');
		n++;
	}
	ck_assert_uint_lt(n, KVM_UART_TX);
	ck_assert(!kvm_uart_irq(&pio->uart)); /* a driver that waits for room gets none */
	for (uint32_t i = 0; i < 16; i++)     /* what a FIFO takes after the last look is kept */
		put(DATA, 'y');
	ck_assert_uint_eq(pio->uart.lost, 0);
	for (uint32_t i = 0; i < KVM_UART_TX; i++)
		put(DATA, 'z');
	ck_assert_uint_eq(pio->uart.lost, n + 16);
	kvm_uart_sent(&pio->uart, KVM_UART_TX);
	ck_assert_uint_eq(get(LSR), 0x60);
	ck_assert(kvm_uart_irq(&pio->uart));
}
END_TEST

START_TEST(uart_receives)
{
	static uint8_t flood[KVM_UART_RX + 100];

	setup();
	ck_assert_uint_eq(kvm_uart_receive(&pio->uart, "ab", 2), 2);
	ck_assert(!kvm_uart_irq(&pio->uart));
	put(IER, 1);
	ck_assert(kvm_uart_irq(&pio->uart));
	ck_assert_uint_eq(get(IIR) & 0xf, 4);
	ck_assert_uint_eq(get(LSR), 0x61);
	ck_assert_uint_eq(get(DATA), 'a');
	ck_assert(kvm_uart_irq(&pio->uart));
	ck_assert_uint_eq(get(DATA), 'b');
	ck_assert(!kvm_uart_irq(&pio->uart));
	ck_assert_uint_eq(get(DATA), 0);
	ck_assert_uint_eq(kvm_uart_receive(&pio->uart, flood, sizeof(flood)), KVM_UART_RX);
	ck_assert_uint_eq(kvm_uart_receive(&pio->uart, flood, 1), 0);
	ck_assert_uint_eq(get(LSR) & 2, 0); /* who types waits; nothing is lost */
	put(IIR, 3);			    /* FIFO on, receiver cleared */
	ck_assert_uint_eq(get(LSR), 0x60);
	put(MCR, 0x10);
	put(DATA, 'L');
	ck_assert_uint_eq(get(DATA), 'L');
	check_sent("");
}
END_TEST

START_TEST(rtc)
{
	/* Sunday 2026-11-29 23:05:09 */
	const struct tm t = { .tm_sec = 9,
			      .tm_min = 5,
			      .tm_hour = 23,
			      .tm_mday = 29,
			      .tm_mon = 10,
			      .tm_year = 126,
			      .tm_wday = 0 };
	const struct {
		uint8_t reg, value;
	} want[] = { { 0, 0x09 },   { 2, 0x05 },   { 4, 0x23 },	  { 6, 0x01 },
		     { 7, 0x29 },   { 8, 0x11 },   { 9, 0x26 },	  { 0x32, 0x20 },
		     { 0xa, 0x26 }, { 0xb, 0x02 }, { 0xd, 0x80 }, { 0xc, 0 } };

	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		ck_assert_uint_eq(kvm_rtc_register(want[i].reg, &t), want[i].value);
	setup();
	kvm_pio_write(pio, KVM_PORT_CMOS, 1, 0x8a); /* bit 7 is the NMI's */
	ck_assert_uint_eq(kvm_pio_read(pio, KVM_PORT_CMOS + 1, 1), 0x26);
	kvm_pio_write(pio, KVM_PORT_CMOS, 1, 0x0f);
	kvm_pio_write(pio, KVM_PORT_CMOS + 1, 1, 0x42);
	ck_assert_uint_eq(kvm_pio_read(pio, KVM_PORT_CMOS + 1, 1), 0x42);
}
END_TEST

START_TEST(power)
{
	setup();
	ck_assert_uint_eq(kvm_pio_read(pio, KVM_PORT_PM1_CNT, 2), 1); /* ACPI is on */
	kvm_pio_write(pio, KVM_PORT_PM1_EVT + 2, 2, 0x0120);
	ck_assert_uint_eq(kvm_pio_read(pio, KVM_PORT_PM1_EVT + 2, 2), 0x0120);
	ck_assert_uint_eq(kvm_pio_read(pio, KVM_PORT_PM1_EVT, 2), 0);
	ck_assert_int_eq(kvm_pio_write(pio, KVM_PORT_PM1_CNT, 2, 5 << 10 | 1), KVM_PIO_NOTHING);
	ck_assert_int_eq(kvm_pio_write(pio, KVM_PORT_PM1_CNT, 2, 1 << 13 | 3 << 10),
			 KVM_PIO_NOTHING); /* S3 is not offered */
	ck_assert_int_eq(kvm_pio_write(pio, KVM_PORT_PM1_CNT, 2, 1 << 13 | 5 << 10),
			 KVM_PIO_POWEROFF);
	ck_assert_uint_eq(kvm_pio_read(pio, KVM_PORT_PM1_CNT, 2) & 1 << 13, 0);
}
END_TEST

START_TEST(reset)
{
	setup();
	ck_assert_int_eq(kvm_pio_write(pio, KVM_PORT_RESET, 1, 6), KVM_PIO_RESET);
	ck_assert_int_eq(kvm_pio_write(pio, KVM_PORT_RESET, 1, 1), KVM_PIO_NOTHING);
	ck_assert_int_eq(kvm_pio_write(pio, KVM_PORT_KBD, 1, 0xfe), KVM_PIO_RESET);
	ck_assert_int_eq(kvm_pio_write(pio, KVM_PORT_KBD, 1, 0x20), KVM_PIO_NOTHING);
	ck_assert_int_eq(kvm_pio_write(pio, KVM_PORT_RESET_PCI, 1, 6), KVM_PIO_RESET);
	ck_assert_int_eq(kvm_pio_write(pio, KVM_PORT_RESET_PCI, 1, 2), KVM_PIO_NOTHING);
	/* The address of a PCI configuration space, not four ports. */
	ck_assert_int_eq(kvm_pio_write(pio, 0xcf8, 4, 0x80000600), KVM_PIO_NOTHING);
}
END_TEST

START_TEST(nothing_there)
{
	setup();
	ck_assert_uint_eq(kvm_pio_read(pio, 0x2f8, 1), 0xff);
	ck_assert_uint_eq(kvm_pio_read(pio, 0xcfc, 4), 0xffffffff);
	ck_assert_uint_eq(kvm_pio_read(pio, 0xffff, 2), 0xffff); /* wraps, as a bus does */
	ck_assert_int_eq(kvm_pio_write(pio, 0x80, 1, 7), KVM_PIO_NOTHING);
	ck_assert_uint_eq(pio->unknown, 8);
}
END_TEST

RIG_MAIN("hv-core/kvm_pio", uart_is_found, uart_sends, uart_full, uart_receives, rtc, power, reset,
	 nothing_there)
