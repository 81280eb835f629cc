/* SPDX-License-Identifier: MIT */
/*
 * Between the UART, which VPs' threads drive, and the owner's console on the loop: bytes wait in
 * the UART's buffers, and one posted call at a time looks after both directions.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "hv-core/kvm/kvm_priv.h"

#define CHUNK 4096u

/* KVM's ISA lines are edges: a new reason after an old one must be seen to rise. */
static void set_line(struct hv_kvm *k, bool level)
{
	struct kvm_irq_level l = { .irq = KVM_UART_GSI, .level = level };

	if (level == k->uart_line || k->vm < 0)
		return;
	k->uart_line = level;
	ioctl(k->vm, KVM_IRQ_LINE, &l);
}

static void post(struct hv_kvm *k)
{
	if (k->uart_posted)
		return;
	k->uart_posted = true;
	loop_post(k->loop, &k->uart_call);
}

static bool wants_input(const struct hv_kvm *k)
{
	return k->uart_hungry && k->pio.uart.rx_head == k->pio.uart.rx_tail;
}

/* Calls are posted by VPs' threads only, so none is on its way when the last of them is gone. */
void kvm_console_update(struct hv_kvm *k, bool was_read)
{
	const struct kvm_uart *u = &k->pio.uart;

	if (!was_read)
		set_line(k, false);
	set_line(k, kvm_uart_irq(u));
	if ((u->tx_head != u->tx_tail && !k->uart_full) || wants_input(k))
		post(k);
}

/* One piece; false: nothing more now. @left: of what may be taken, less this. */
static bool drain_piece(struct hv_kvm *k, uint32_t *left)
{
	uint8_t buf[CHUNK];
	uint32_t n, taken;

	pthread_mutex_lock(&k->pio_lock);
	n = kvm_uart_peek(&k->pio.uart, buf, *left < sizeof(buf) ? *left : sizeof(buf));
	pthread_mutex_unlock(&k->pio_lock);
	if (!n)
		return false;
	taken = k->ops->console(k->ctx, buf, n);
	pthread_mutex_lock(&k->pio_lock);
	kvm_uart_sent(&k->pio.uart, taken);
	k->console_bytes += taken;
	k->uart_full = taken < n;
	set_line(k, kvm_uart_irq(&k->pio.uart));
	pthread_mutex_unlock(&k->pio_lock);
	*left -= taken;
	return taken == n;
}

/* What was there when it began. A guest that goes on talking posts the next turn itself. */
static void drain(struct hv_kvm *k)
{
	uint32_t left = KVM_UART_TX;

	while (drain_piece(k, &left))
		;
}

static void serve(struct loop_call *call)
{
	struct hv_kvm *k = container_of(call, struct hv_kvm, uart_call);
	bool hungry;

	pthread_mutex_lock(&k->pio_lock);
	k->uart_posted = false;
	hungry = wants_input(k);
	k->uart_hungry &= !hungry;
	pthread_mutex_unlock(&k->pio_lock);
	drain(k);
	if (hungry && k->ops->console_hungry)
		k->ops->console_hungry(k->ctx);
}

void kvm_console_init(struct hv_kvm *k)
{
	k->uart_call.fn = serve;
}

void hv_kvm_console_room(struct hv_kvm *k)
{
	pthread_mutex_lock(&k->pio_lock);
	k->uart_full = false;
	pthread_mutex_unlock(&k->pio_lock);
	drain(k);
}

uint32_t hv_kvm_console_input(struct hv_kvm *k, const void *data, uint32_t len)
{
	uint32_t n;

	pthread_mutex_lock(&k->pio_lock);
	n = kvm_uart_receive(&k->pio.uart, data, len);
	k->uart_hungry = n < len;
	set_line(k, kvm_uart_irq(&k->pio.uart));
	pthread_mutex_unlock(&k->pio_lock);
	return n;
}
