/* SPDX-License-Identifier: MIT */
/*
 * A VP's thread. It enters its VP, serves the exit, and looks at .quit and .paused before it
 * enters again. A signal, whose handler does nothing, brings it out; when it comes a moment too
 * early, KVM sees immediate_exit, which is set first.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hv-core/kvm/kvm_priv.h"

#define KICK SIGRTMIN

static const char *const names[KVM_EXIT_REASONS] = {
	[KVM_EXIT_UNKNOWN] = "unknown",
	[KVM_EXIT_EXCEPTION] = "exception",
	[KVM_EXIT_IO] = "port",
	[KVM_EXIT_HYPERCALL] = "kvm hypercall",
	[KVM_EXIT_DEBUG] = "debug",
	[KVM_EXIT_HLT] = "halt",
	[KVM_EXIT_MMIO] = "mmio",
	[KVM_EXIT_IRQ_WINDOW_OPEN] = "interrupt window",
	[KVM_EXIT_SHUTDOWN] = "triple fault",
	[KVM_EXIT_FAIL_ENTRY] = "failed entry",
	[KVM_EXIT_INTR] = "signal",
	[KVM_EXIT_INTERNAL_ERROR] = "internal error",
	[KVM_EXIT_SYSTEM_EVENT] = "system event",
	[KVM_EXIT_IOAPIC_EOI] = "end of interrupt",
	[KVM_EXIT_HYPERV] = "hyper-v",
	[KVM_EXIT_X86_RDMSR] = "register read",
	[KVM_EXIT_X86_WRMSR] = "register write",
};

const char *kvm_exit_name(uint32_t reason)
{
	return reason < KVM_EXIT_REASONS ? names[reason] : NULL;
}

/* ---- questions to the loop ----------------------------------------------------------- */

static void answer(struct loop_call *call)
{
	struct kvm_vcpu *v = container_of(call, struct kvm_vcpu, ask_call);
	struct hv_kvm *k = v->vm;

	v->ask(v);
	pthread_mutex_lock(&k->lock);
	v->asking = false;
	pthread_cond_signal(&v->answered);
	pthread_mutex_unlock(&k->lock);
}

void kvm_vcpu_ask(struct kvm_vcpu *v, void (*fn)(struct kvm_vcpu *v))
{
	struct hv_kvm *k = v->vm;

	v->ask = fn;
	v->ask_call.fn = answer;
	pthread_mutex_lock(&k->lock);
	v->asking = true;
	pthread_mutex_unlock(&k->lock);
	loop_post(k->loop, &v->ask_call);
	pthread_mutex_lock(&k->lock);
	while (v->asking)
		pthread_cond_wait(&v->answered, &k->lock);
	pthread_mutex_unlock(&k->lock);
}

/* ---- the thread ------------------------------------------------------------------------ */

static void count_exit(struct kvm_vcpu *v, uint32_t reason)
{
	uint64_t *n = &v->exits[reason < KVM_EXIT_REASONS ? reason : 0];

	store_relaxed(n, load_relaxed(n) + 1);
}

static void wait_while_paused(struct hv_kvm *k)
{
	pthread_mutex_lock(&k->lock);
	while (k->paused && !k->quit)
		pthread_cond_wait(&k->cond, &k->lock);
	pthread_mutex_unlock(&k->lock);
}

/* False: the VP is not to be entered again. */
static bool enter(struct kvm_vcpu *v)
{
	if (!ioctl(v->fd, KVM_RUN, 0)) {
		count_exit(v, v->run->exit_reason);
		return kvm_exit_serve(v);
	}
	/* EAGAIN: the VP waits to be started by another, and was looked at. */
	if (errno == EINTR || errno == EAGAIN) {
		count_exit(v, KVM_EXIT_INTR);
		return true;
	}
	kvm_end(v->vm, HV_KVM_FAILED, "VP %u: KVM_RUN: %s", v->index,
		errno == EFAULT ? "the host has no memory for its pages" : strerror(errno));
	return false;
}

static void *run_vcpu(void *arg)
{
	struct kvm_vcpu *v = arg;
	struct hv_kvm *k = v->vm;
	bool go = true;

	while (go) {
		store_relaxed(&v->run->immediate_exit, 0);
		full_fence(); /* pairs with kvm_vcpu_kick(): we see its news, or KVM its flag */
		if (load_acquire(&k->quit))
			break;
		if (load_acquire(&k->paused))
			wait_while_paused(k);
		else
			go = enter(v);
	}
	loop_post(k->loop, &v->ended_call);
	return NULL;
}

void kvm_vcpu_kick(struct kvm_vcpu *v)
{
	if (!v->started)
		return;
	full_fence(); /* pairs with run_vcpu() */
	store_relaxed(&v->run->immediate_exit, 1);
	pthread_kill(v->thread, KICK);
}

static void on_kick(int sig)
{
	(void)sig;
}

int kvm_vcpu_start(struct kvm_vcpu *v)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	sigdelset(&all, KICK);
	sigdelset(&all, SIGBUS); /* of guest memory that the host does not have */
	sigdelset(&all, SIGSEGV);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = -pthread_create(&v->thread, NULL, run_vcpu, v);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		return err;
	v->started = true;
	v->vm->alive++;
	return 0;
}

/* ---- the descriptor --------------------------------------------------------------------- */

static int fail(const struct kvm_vcpu *v, int err, const char *what, char *why, size_t n)
{
	snprintf(why, n, "VP %u: %s: %s", v->index, what, strerror(-err));
	return err;
}

static int map_run(struct kvm_vcpu *v)
{
	int len = ioctl(v->vm->dev, KVM_GET_VCPU_MMAP_SIZE, 0);
	void *p;

	if (len < 0)
		return -errno;
	p = mmap(NULL, (size_t)len, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	v->run = p;
	v->run_len = (size_t)len;
	return 0;
}

int kvm_vcpu_create(struct kvm_vcpu *v, char *why, size_t n)
{
	struct sigaction sa = { .sa_handler = on_kick };
	int err;

	sigaction(KICK, &sa, NULL);
	v->fd = ioctl(v->vm->vm, KVM_CREATE_VCPU, (unsigned long)v->index);
	if (v->fd < 0)
		return fail(v, -errno, "KVM_CREATE_VCPU", why, n);
	err = map_run(v);
	if (err)
		return fail(v, err, "its state", why, n);
	err = kvm_synic_enable(v);
	return err ? fail(v, err, "KVM_CAP_HYPERV_SYNIC2", why, n) : 0;
}

void kvm_vcpu_close(struct kvm_vcpu *v)
{
	if (v->run)
		munmap(v->run, v->run_len);
	v->run = NULL;
	if (v->fd >= 0)
		close(v->fd);
	v->fd = -1;
}
