/* SPDX-License-Identifier: MIT */
/* What a VP's thread does with each exit. */
#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "hv-core/kvm/kvm_priv.h"

#define MSR_CRASH_P0 0x40000100u

/* ---- ports -------------------------------------------------------------------------- */

static enum kvm_pio_action port_once(struct kvm_vcpu *v, uint8_t *data)
{
	struct hv_kvm *k = v->vm;
	uint16_t port = v->run->io.port;
	uint32_t size = v->run->io.size, value = 0;
	bool in = v->run->io.direction == KVM_EXIT_IO_IN;
	enum kvm_pio_action action = KVM_PIO_NOTHING;

	if (in) {
		value = kvm_pio_read(&k->pio, port, size);
		memcpy(data, &value, size);
	} else {
		memcpy(&value, data, size);
		action = kvm_pio_write(&k->pio, port, size, value);
	}
	return action;
}

/* Also when only a part of a wide access is for it. */
static bool is_uart(uint32_t port, uint32_t size)
{
	return port + size > KVM_PORT_COM1 && port < KVM_PORT_COM1 + KVM_UART_PORTS;
}

static bool serve_port(struct kvm_vcpu *v)
{
	struct hv_kvm *k = v->vm;
	uint8_t *data = (uint8_t *)v->run + v->run->io.data_offset;
	enum kvm_pio_action action = KVM_PIO_NOTHING;

	pthread_mutex_lock(&k->pio_lock);
	for (uint32_t i = 0; i < v->run->io.count && action == KVM_PIO_NOTHING; i++)
		action = port_once(v, data + (size_t)i * v->run->io.size);
	if (is_uart(v->run->io.port, v->run->io.size))
		kvm_console_update(k, v->run->io.direction == KVM_EXIT_IO_IN);
	pthread_mutex_unlock(&k->pio_lock);
	if (action == KVM_PIO_POWEROFF)
		kvm_end(k, HV_KVM_POWEROFF, "the guest switched off");
	else if (action == KVM_PIO_RESET)
		kvm_end(k, HV_KVM_RESET, "the guest reset the machine");
	return action == KVM_PIO_NOTHING;
}

/* ---- what is not there ----------------------------------------------------------------- */

static bool serve_mmio(struct kvm_vcpu *v)
{
	if (!v->run->mmio.is_write)
		memset(v->run->mmio.data, 0xff, sizeof(v->run->mmio.data));
	return true;
}

/* ---- events ------------------------------------------------------------------------------- */

static void tell_crash(struct kvm_vcpu *v)
{
	v->vm->ops->crashed(v->vm->ctx, &v->arg.crash);
}

static bool serve_crash(struct kvm_vcpu *v)
{
	v->arg.crash = (struct hv_kvm_crash){ .vp = v->index };
	kvm_msr_get(v, MSR_CRASH_P0, v->arg.crash.param, ARRAY_SIZE(v->arg.crash.param));
	kvm_vcpu_ask(v, tell_crash);
	return true;
}

static bool serve_event(struct kvm_vcpu *v)
{
	switch (v->run->system_event.type) {
	case KVM_SYSTEM_EVENT_CRASH:
		return serve_crash(v);
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		kvm_end(v->vm, HV_KVM_POWEROFF, "the guest switched off");
		return false;
	case KVM_SYSTEM_EVENT_RESET:
		kvm_end(v->vm, HV_KVM_RESET, "the guest reset the machine");
		return false;
	default:
		kvm_end(v->vm, HV_KVM_FAILED, "VP %u: system event %u", v->index,
			v->run->system_event.type);
		return false;
	}
}

static bool give_up(struct kvm_vcpu *v)
{
	const char *name = kvm_exit_name(v->run->exit_reason);
	struct kvm_regs regs = { .rip = 0 };
	uint64_t detail = 0;

	ioctl(v->fd, KVM_GET_REGS, &regs);
	if (v->run->exit_reason == KVM_EXIT_FAIL_ENTRY)
		detail = v->run->fail_entry.hardware_entry_failure_reason;
	else if (v->run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
		detail = v->run->internal.suberror;
	else if (v->run->exit_reason == KVM_EXIT_UNKNOWN)
		detail = v->run->hw.hardware_exit_reason;
	kvm_end(v->vm, HV_KVM_FAILED,
		"VP %u: %s (exit %u, %#" PRIx64 ") at RIP %#" PRIx64 " RSP %#" PRIx64
		" RAX %#" PRIx64 " RFLAGS %#" PRIx64,
		v->index, name ? name : "unexpected exit", v->run->exit_reason, detail,
		(uint64_t)regs.rip, (uint64_t)regs.rsp, (uint64_t)regs.rax, (uint64_t)regs.rflags);
	return false;
}

bool kvm_exit_serve(struct kvm_vcpu *v)
{
	switch (v->run->exit_reason) {
	case KVM_EXIT_IO:
		return serve_port(v);
	case KVM_EXIT_MMIO:
		return serve_mmio(v);
	case KVM_EXIT_HYPERV:
		return kvm_synic_exit(v) || give_up(v);
	case KVM_EXIT_SYSTEM_EVENT:
		return serve_event(v);
	case KVM_EXIT_INTR:
	case KVM_EXIT_HLT:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		return true;
	case KVM_EXIT_SHUTDOWN:
		kvm_end(v->vm, HV_KVM_RESET, "triple fault of VP %u", v->index);
		return false;
	default:
		return give_up(v);
	}
}
