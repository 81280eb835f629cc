/* SPDX-License-Identifier: MIT */
/*
 * Inside of the KVM backend:
 *
 *   kvm_vm.c      life, memory, the VM with its chips and routes
 *   kvm_vcpu.c    a VP: its thread, and what it does with each exit
 *   kvm_state.c   a VP's registers when it begins
 *   kvm_synic.c   messages, events, interrupts: between KVM and synic.c, port.c
 *   kvm_host.c    what the host must be able to do
 *
 * Who runs where: everything on the partition's loop, but for a VP's thread, which runs its VP,
 * and serves ports under .pio_lock. Whatever else an exit needs it asks the loop for, and waits
 * (kvm_vcpu_ask()), so the SynIC and the bus know no other thread.
 */
#ifndef HVBUS_HV_CORE_KVM_KVM_PRIV_H
#define HVBUS_HV_CORE_KVM_KVM_PRIV_H

#include <pthread.h>
#include <stdio.h>

#include "base/atomic.h"
#include "hv-core/kvm/kvm.h"
#include "hv-core/kvm/kvm_boot.h"
#include "hv-core/kvm/kvm_cpuid.h"
#include "hv-core/kvm/kvm_pio.h"

struct kvm_run;

#define KVM_EXIT_REASONS 40u

/* SynIC registers of a VP as of its last exit because of them. */
struct kvm_synic_state {
	uint64_t control, events, messages, sint;
};

struct kvm_vcpu {
	struct hv_kvm *vm;
	uint32_t index;
	int fd; /* -1: none */
	struct kvm_run *run;
	size_t run_len;

	pthread_t thread;
	bool started; /* .. and not joined. Loop */
	struct loop_call ended_call;

	/* One question to the loop at a time; the answer is there when .asking is false again. */
	struct loop_call ask_call;
	void (*ask)(struct kvm_vcpu *v);
	bool asking;		 /* under vm->lock */
	pthread_cond_t answered; /* .. one each: an answer wakes who asked, however many ask */
	union {
		struct {
			uint64_t input, param[2], sint, result;
		} hcall;
		struct kvm_synic_state synic;
		struct hv_kvm_crash crash;
	} arg;

	uint64_t exits[KVM_EXIT_REASONS]; /* written by the thread, read by any */
};

struct hv_kvm {
	struct loop *loop;
	struct hv_partition *partition;
	const struct hv_kvm_ops *ops;
	void *ctx;
	struct kvm_boot_config boot;
	char *cmdline;
	int dev, vm; /* /dev/kvm; the VM, -1 while it is off */

	int guard[2]; /* a socket pair that hv_gpa_guard() shuts down */
	struct loop_fd guard_fd;
	bool guarded;

	/* Loop. */
	uint32_t starts, alive; /* threads that have not been joined */
	bool running;		/* from start to ended() */
	bool stopping;		/* VPs were told to leave */
	struct loop_call end_call;

	/* Under .lock; cond: paused and quit changed. */
	pthread_mutex_t lock;
	pthread_cond_t cond;
	enum hv_kvm_end end_how;
	char end_why[200];
	bool end_posted;

	uint32_t quit, paused; /* written under .lock, read by any thread before it enters its VP */

	/* Under .pio_lock. */
	pthread_mutex_t pio_lock;
	struct kvm_pio pio;
	bool uart_line;
	bool uart_posted; /* uart_call is on its way */
	bool uart_full;	  /* the console did not take all */
	bool uart_hungry; /* the guest's input did not take all */
	uint64_t console_bytes;
	struct loop_call uart_call;

	struct kvm_leaves host_cpuid, cpuid; /* cpuid: of the VP that is being made */

	/* kvm_synic.c */
	struct kvm_irq {
		struct hv_kvm *vm;
		uint32_t vp;
		int fd; /* rings the VP's SINT; -1 = not made */
		struct loop_bell eom;
		bool watched; /* the bell is in the loop */
	} irq[HV_MAX_VPS];

	struct kvm_vcpu vcpu[];
};

/* ---- kvm_host.c ---- */
/* Opens /dev/kvm, which must be able to do all we need. The descriptor or -errno. */
int kvm_host_open(char *why, size_t n);

/* ---- kvm_vm.c ---- */
/* Any thread: the VM is to end; the first one says how. VPs' threads leave by themselves. */
void kvm_end(struct hv_kvm *k, enum hv_kvm_end how, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* ---- kvm_vcpu.c ---- */
int kvm_vcpu_create(struct kvm_vcpu *v, char *why, size_t n);
void kvm_vcpu_close(struct kvm_vcpu *v);
int kvm_vcpu_start(struct kvm_vcpu *v);
void kvm_vcpu_kick(struct kvm_vcpu *v); /* it looks at quit and paused soon */
/* The VP's thread: runs @fn on the loop, waits for it. */
void kvm_vcpu_ask(struct kvm_vcpu *v, void (*fn)(struct kvm_vcpu *v));
const char *kvm_exit_name(uint32_t reason); /* NULL: has none */

/* ---- kvm_exit.c: the VP's thread ---- */
/* What the exit in v->run is about. False: the VM ends, or is to. */
bool kvm_exit_serve(struct kvm_vcpu *v);

/* ---- kvm_console.c ---- */
void kvm_console_init(struct hv_kvm *k);
/* After the guest touched the UART: its line, and who reads what it sent. Under .pio_lock. */
void kvm_console_update(struct hv_kvm *k, bool was_read);

/* ---- kvm_state.c ---- */
/* CPUID, and for the first VP where the kernel begins. */
int kvm_state_init(struct kvm_vcpu *v, const struct kvm_boot_entry *entry, char *why, size_t n);
int kvm_msr_get(const struct kvm_vcpu *v, uint32_t first, uint64_t *value, uint32_t n);
int kvm_msr_set(const struct kvm_vcpu *v, uint32_t msr, uint64_t value);

/* ---- kvm_synic.c ---- */
int kvm_synic_open(struct hv_kvm *k); /* the descriptors, once */
void kvm_synic_close(struct hv_kvm *k);
int kvm_synic_enable(struct kvm_vcpu *v); /* each VP, as it is made */
int kvm_synic_route(struct hv_kvm *k);	  /* then all together */
void kvm_synic_forget(struct hv_kvm *k);  /* the VM is off: nothing waits for its guest */
bool kvm_synic_exit(struct kvm_vcpu *v);  /* KVM_EXIT_HYPERV, on the VP's thread */
void kvm_synic_raise(void *backend, uint32_t vp, uint32_t sint);
int kvm_synic_bind(void *backend, uint32_t id, int fd);
void kvm_synic_await_eom(void *backend, uint32_t vp, uint32_t sint);

#endif
