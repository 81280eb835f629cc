/* SPDX-License-Identifier: MIT */
/*
 * Between KVM and the common SynIC (spec: kvm-guest, section 6).
 *
 * KVM keeps the registers and tells of writes to SCONTROL, SIEFP and SIMP. The VP's thread gives
 * them to the loop, which changes the pages it delivers to, before the VP goes on. SINT2 is
 * written without a word: it is read back then, and whenever the VP posts a message.
 *
 * An interrupt is a write to an irqfd. KVM rings its resample descriptor at each end of
 * interrupt, so at each signal of a channel; it is watched only while a message waits.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "hv-core/hypercall.h"
#include "hv-core/kvm/kvm_priv.h"
#include "hv-core/synic.h"

#define IOAPIC_PINS 24u
#define PIC_PINS    8u
#define SINT_GSI    IOAPIC_PINS /* + VP */
#define MSR_SINT2   (HV_MSR_SINT0 + HV_VMBUS_SINT)

/* ---- interrupts ---------------------------------------------------------------------- */

void kvm_synic_raise(void *backend, uint32_t vp, uint32_t sint)
{
	struct hv_kvm *k = backend;

	if (sint == HV_VMBUS_SINT) /* nothing here uses another */
		eventfd_write(k->irq[vp].fd, 1);
}

static void unwatch(struct kvm_irq *q)
{
	if (!q->watched)
		return;
	q->watched = false;
	loop_bell_del(q->vm->loop, &q->eom);
}

/* Once is enough: whoever still waits asks again. */
static void eom_rung(struct loop_bell *b)
{
	struct kvm_irq *q = container_of(b, struct kvm_irq, eom);

	unwatch(q);
	hv_synic_write(q->vm->partition, q->vp, HV_MSR_EOM, 0);
}

/* What was rung before is emptied, or it would ring at once; who calls looks again. */
void kvm_synic_await_eom(void *backend, uint32_t vp, uint32_t sint)
{
	struct hv_kvm *k = backend;
	struct kvm_irq *q = &k->irq[vp];
	eventfd_t before;

	(void)sint;
	if (q->watched)
		return;
	eventfd_read(q->eom.fd, &before);
	q->watched = !loop_bell_add(k->loop, &q->eom); /* else the SynIC's timer has to do */
}

int kvm_synic_open(struct hv_kvm *k)
{
	for (uint32_t i = 0; i < k->boot.nr_vps; i++) {
		struct kvm_irq *q = &k->irq[i];

		q->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		q->eom.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (q->fd < 0 || q->eom.fd < 0)
			return -errno;
		q->eom.rung = eom_rung;
	}
	return 0;
}

void kvm_synic_forget(struct hv_kvm *k)
{
	for (uint32_t i = 0; i < k->boot.nr_vps; i++)
		unwatch(&k->irq[i]);
}

void kvm_synic_close(struct hv_kvm *k)
{
	kvm_synic_forget(k);
	for (uint32_t i = 0; i < k->boot.nr_vps; i++) {
		if (k->irq[i].fd >= 0)
			close(k->irq[i].fd);
		if (k->irq[i].eom.fd >= 0)
			close(k->irq[i].eom.fd);
	}
}

/* ---- routes ------------------------------------------------------------------------------ */

static void add_pin(struct kvm_irq_routing *t, uint32_t gsi, uint32_t chip, uint32_t pin)
{
	t->entries[t->nr++] = (struct kvm_irq_routing_entry){
		.gsi = gsi,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { .irqchip = chip, .pin = pin },
	};
}

/* The table replaces KVM's own, so what a PC has comes first. */
static void add_chips(struct kvm_irq_routing *t)
{
	for (uint32_t i = 0; i < 2 * PIC_PINS; i++)
		add_pin(t, i, i < PIC_PINS ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
			i % PIC_PINS);
	for (uint32_t i = 0; i < IOAPIC_PINS; i++)
		add_pin(t, i, KVM_IRQCHIP_IOAPIC, i ? i : 2); /* the timer is at pin 2 */
}

static void add_sint(struct kvm_irq_routing *t, uint32_t vp)
{
	t->entries[t->nr++] = (struct kvm_irq_routing_entry){
		.gsi = SINT_GSI + vp,
		.type = KVM_IRQ_ROUTING_HV_SINT,
		.u.hv_sint = { .vcpu = vp, .sint = HV_VMBUS_SINT },
	};
}

static int set_routes(const struct hv_kvm *k)
{
	const uint32_t most = 2 * PIC_PINS + IOAPIC_PINS + HV_MAX_VPS;
	struct kvm_irq_routing *t = calloc(1, sizeof(*t) + most * sizeof(t->entries[0]));
	int err;

	if (!t)
		return -ENOMEM;
	add_chips(t);
	for (uint32_t i = 0; i < k->boot.nr_vps; i++)
		add_sint(t, i);
	err = ioctl(k->vm, KVM_SET_GSI_ROUTING, t) ? -errno : 0;
	free(t);
	return err;
}

int kvm_synic_route(struct hv_kvm *k)
{
	int err = set_routes(k);

	for (uint32_t i = 0; !err && i < k->boot.nr_vps; i++) {
		struct kvm_irqfd fd = { .fd = (uint32_t)k->irq[i].fd,
					.gsi = SINT_GSI + i,
					.flags = KVM_IRQFD_FLAG_RESAMPLE,
					.resamplefd = (uint32_t)k->irq[i].eom.fd };

		err = ioctl(k->vm, KVM_IRQFD, &fd) ? -errno : 0;
	}
	return err;
}

/* The older capability would have KVM empty the pages whenever they are set. */
int kvm_synic_enable(struct kvm_vcpu *v)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_HYPERV_SYNIC2 };

	return ioctl(v->fd, KVM_ENABLE_CAP, &cap) ? -errno : 0;
}

/* ---- doorbells ----------------------------------------------------------------------------- */

int kvm_synic_bind(void *backend, uint32_t id, int fd)
{
	struct hv_kvm *k = backend;
	struct kvm_hyperv_eventfd e = { .conn_id = id, .fd = fd };

	if (k->vm < 0)
		return fd < 0 ? 0 : -ENODEV; /* with the VM its table is gone */
	if (fd < 0)
		e.flags = KVM_HYPERV_EVENTFD_DEASSIGN;
	return ioctl(k->vm, KVM_HYPERV_EVENTFD, &e) ? -errno : 0;
}

/* ---- exits ---------------------------------------------------------------------------------- */

/* Loop. A value that the SynIC refuses (a page outside RAM) turns the page off. */
static void take_registers(struct kvm_vcpu *v)
{
	struct hv_partition *p = v->vm->partition;
	const struct kvm_synic_state *s = &v->arg.synic;

	hv_synic_write(p, v->index, HV_MSR_SCONTROL, s->control);
	hv_synic_write(p, v->index, MSR_SINT2, s->sint);
	if (hv_synic_write(p, v->index, HV_MSR_SIMP, s->messages))
		hv_synic_write(p, v->index, HV_MSR_SIMP, 0);
	if (hv_synic_write(p, v->index, HV_MSR_SIEFP, s->events))
		hv_synic_write(p, v->index, HV_MSR_SIEFP, 0);
}

static uint64_t read_sint(const struct kvm_vcpu *v)
{
	uint64_t sint;

	return kvm_msr_get(v, MSR_SINT2, &sint, 1) ? HV_SINT_MASKED : sint;
}

static bool serve_registers(struct kvm_vcpu *v)
{
	v->arg.synic = (struct kvm_synic_state){
		.control = v->run->hyperv.u.synic.control,
		.events = v->run->hyperv.u.synic.evt_page,
		.messages = v->run->hyperv.u.synic.msg_page,
		.sint = read_sint(v),
	};
	kvm_vcpu_ask(v, take_registers);
	return true;
}

/*
 * Loop. The connection of a signal is a value, also when the guest gave it in memory: KVM has
 * fetched it to look for a doorbell.
 */
static void take_hypercall(struct kvm_vcpu *v)
{
	struct hv_partition *p = v->vm->partition;
	uint64_t control = v->arg.hcall.input;

	hv_synic_write(p, v->index, MSR_SINT2, v->arg.hcall.sint);
	if ((control & HV_CALL_CODE_MASK) == HV_CALL_SIGNAL_EVENT)
		control |= HV_CALL_FAST;
	v->arg.hcall.result =
		hv_hypercall(p, control, v->arg.hcall.param[0], v->arg.hcall.param[1]);
}

static bool serve_hypercall(struct kvm_vcpu *v)
{
	v->arg.hcall.input = v->run->hyperv.u.hcall.input;
	v->arg.hcall.param[0] = v->run->hyperv.u.hcall.params[0];
	v->arg.hcall.param[1] = v->run->hyperv.u.hcall.params[1];
	v->arg.hcall.sint = read_sint(v);
	kvm_vcpu_ask(v, take_hypercall);
	v->run->hyperv.u.hcall.result = v->arg.hcall.result;
	return true;
}

bool kvm_synic_exit(struct kvm_vcpu *v)
{
	switch (v->run->hyperv.type) {
	case KVM_EXIT_HYPERV_SYNIC:
		return serve_registers(v);
	case KVM_EXIT_HYPERV_HCALL:
		return serve_hypercall(v);
	default:
		return false;
	}
}
