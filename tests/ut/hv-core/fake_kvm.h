/* SPDX-License-Identifier: MIT */
/*
 * A KVM that is played: open() and ioctl() of this program answer for /dev/kvm, and entering a VP
 * runs a function of the test, which is the guest. VPs' threads, the loop and everything
 * above the system calls are real. For one test program.
 */
#ifndef HVBUS_TESTS_UT_HV_CORE_FAKE_KVM_H
#define HVBUS_TESTS_UT_HV_CORE_FAKE_KVM_H

#include <check.h>
#include <elf.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"
#include "hv-core/hv_defs.h"

#define FAKE_RUN_LEN 12288

/* What the guest does when VP @vp is entered for the @step'th time: fills @run. 0, or an errno. */
typedef int (*fake_guest)(uint32_t vp, uint32_t step, struct kvm_run *run);

static struct {
	pthread_mutex_t lock;
	fake_guest guest;
	int missing;	       /* a capability that this host has not; -1 = none */
	unsigned long failing; /* a request that fails with ENOMEM */
	uint32_t few_msrs;     /* registers are given, but the last of those asked for */
	int dev, vm;
	int vcpu[64];
	uint32_t step[64], vcpus, vms, running;
	int irqfd[64], resample[64];
	uint32_t conn;
	int conn_fd;
	uint32_t lines, sints;
	uint64_t sint2, crash[5];
} fake = { .lock = PTHREAD_MUTEX_INITIALIZER, .missing = -1, .dev = -1, .vm = -1 };

static int fake_vp(int fd)
{
	for (uint32_t i = 0; i < fake.vcpus; i++)
		if (fake.vcpu[i] == fd)
			return (int)i;
	return -1;
}

/* Where a guest is that has nothing to do. */
static inline int fake_idle(const struct kvm_run *run)
{
	while (!load_relaxed(&run->immediate_exit))
		usleep(200);
	return EINTR;
}

static int fake_enter(uint32_t vp)
{
	struct kvm_run *run =
		mmap(NULL, FAKE_RUN_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fake.vcpu[vp], 0);
	uint32_t step;
	int err;

	ck_assert(run != MAP_FAILED);
	pthread_mutex_lock(&fake.lock);
	step = fake.step[vp]++;
	pthread_mutex_unlock(&fake.lock);
	err = load_relaxed(&run->immediate_exit) ? EINTR : fake.guest(vp, step, run);
	munmap(run, FAKE_RUN_LEN);
	errno = err;
	return err ? -1 : 0;
}

static int fake_dev_ioctl(unsigned long request, unsigned long arg)
{
	switch (request) {
	case KVM_GET_API_VERSION:
		return 12;
	case KVM_CHECK_EXTENSION:
		return (int)arg == fake.missing ? 0 : 1024;
	case KVM_GET_VCPU_MMAP_SIZE:
		return FAKE_RUN_LEN;
	case KVM_CREATE_VM:
		fake.vms++;
		fake.vcpus = 0;
		fake.conn = 0;
		memset(fake.step, 0, sizeof(fake.step));
		return fake.vm = eventfd(0, EFD_CLOEXEC);
	case KVM_GET_SUPPORTED_CPUID:
		((struct kvm_cpuid2 *)arg)->nent = 0;
		return 0;
	}
	ck_abort_msg("/dev/kvm: request %#lx", request);
}

static int fake_routes(const struct kvm_irq_routing *t)
{
	fake.sints = 0;
	for (uint32_t i = 0; i < t->nr; i++)
		fake.sints += t->entries[i].type == KVM_IRQ_ROUTING_HV_SINT &&
			      t->entries[i].u.hv_sint.sint == 2 &&
			      t->entries[i].gsi == 24 + t->entries[i].u.hv_sint.vcpu;
	return 0;
}

static int fake_vm_ioctl(unsigned long request, unsigned long arg)
{
	const struct kvm_irqfd *irq = (const void *)arg;
	const struct kvm_hyperv_eventfd *bell = (const void *)arg;
	int fd;

	switch (request) {
	case KVM_CREATE_VCPU:
		ck_assert_uint_eq(arg, fake.vcpus);
		fd = memfd_create("vcpu", MFD_CLOEXEC);
		ck_assert_int_eq(ftruncate(fd, FAKE_RUN_LEN), 0);
		return fake.vcpu[fake.vcpus++] = fd;
	case KVM_SET_GSI_ROUTING:
		return fake_routes((const void *)arg);
	case KVM_IRQFD:
		fake.irqfd[irq->gsi - 24] = (int)irq->fd;
		fake.resample[irq->gsi - 24] = (int)irq->resamplefd;
		return 0;
	case KVM_HYPERV_EVENTFD:
		fake.conn = bell->flags ? 0 : bell->conn_id;
		fake.conn_fd = bell->fd;
		return 0;
	case KVM_IRQ_LINE:
		__atomic_fetch_add(&fake.lines, 1, __ATOMIC_RELAXED);
		return 0;
	default: /* memory, chips, addresses */
		return 0;
	}
}

static int fake_get_msrs(struct kvm_msrs *m)
{
	for (uint32_t i = 0; i < m->nmsrs; i++) {
		struct kvm_msr_entry *e = &m->entries[i];

		if (e->index == HV_MSR_SINT0 + 2)
			e->data = load_relaxed(&fake.sint2);
		else if (e->index >= 0x40000100 && e->index < 0x40000105)
			e->data = fake.crash[e->index - 0x40000100];
	}
	return (int)(m->nmsrs - load_relaxed(&fake.few_msrs));
}

static int fake_vcpu_ioctl(uint32_t vp, unsigned long request, unsigned long arg)
{
	static const struct kvm_cpuid_entry2 features = {
		.function = 0x40000003, .eax = ~0u, .ebx = ~0u, .edx = ~0u
	};
	struct kvm_cpuid2 *c = (void *)arg;

	switch (request) {
	case KVM_RUN:
		return fake_enter(vp);
	case KVM_GET_MSRS:
		return fake_get_msrs((void *)arg);
	case KVM_SET_MSRS:
		return 1;
	case KVM_GET_SUPPORTED_HV_CPUID:
		c->nent = 1;
		c->entries[0] = features;
		return 0;
	case KVM_GET_SREGS:
		memset((void *)arg, 0, sizeof(struct kvm_sregs));
		return 0;
	default:
		return 0;
	}
}

int open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = va_arg(ap, mode_t);
	va_end(ap);
	if (strcmp(path, "/dev/kvm"))
		return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
	return fake.dev = eventfd(0, EFD_CLOEXEC);
}

int ioctl(int fd, unsigned long request, ...)
{
	unsigned long arg;
	va_list ap;
	int vp;

	va_start(ap, request);
	arg = va_arg(ap, unsigned long);
	va_end(ap);
	if (load_relaxed(&fake.failing) == request) {
		errno = ENOMEM;
		return -1;
	}
	if (fd == fake.dev)
		return fake_dev_ioctl(request, arg);
	if (fd == fake.vm)
		return fake_vm_ioctl(request, arg);
	vp = fake_vp(fd);
	if (vp >= 0)
		return fake_vcpu_ioctl((uint32_t)vp, request, arg);
	return (int)syscall(SYS_ioctl, fd, request, arg);
}

/* ---- what guests do ------------------------------------------------------------------ */

static inline int fake_out(struct kvm_run *run, uint16_t port, uint32_t size, const void *data,
			   uint32_t count)
{
	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = KVM_EXIT_IO_OUT;
	run->io.port = port;
	run->io.size = (uint8_t)size;
	run->io.count = count;
	run->io.data_offset = 4096;
	memcpy((uint8_t *)run + 4096, data, (size_t)size * count);
	return 0;
}

static inline int fake_poweroff(struct kvm_run *run)
{
	static const uint16_t s5 = 1 << 13 | 5 << 10;

	return fake_out(run, 0x604, 2, &s5, 1);
}

static inline int fake_synic(struct kvm_run *run, uint64_t control, uint64_t events,
			     uint64_t messages)
{
	run->exit_reason = KVM_EXIT_HYPERV;
	run->hyperv.type = KVM_EXIT_HYPERV_SYNIC;
	run->hyperv.u.synic.control = control;
	run->hyperv.u.synic.evt_page = events;
	run->hyperv.u.synic.msg_page = messages;
	return 0;
}

static inline int fake_hypercall(struct kvm_run *run, uint64_t input, uint64_t param)
{
	run->exit_reason = KVM_EXIT_HYPERV;
	run->hyperv.type = KVM_EXIT_HYPERV_HCALL;
	run->hyperv.u.hcall.input = input;
	run->hyperv.u.hcall.params[0] = param;
	run->hyperv.u.hcall.params[1] = 0;
	return 0;
}

/* An ELF image of one page that does nothing; the fake runs none. */
static inline int fake_kernel(void)
{
	static struct {
		Elf64_Ehdr e;
		Elf64_Phdr p;
		uint8_t code[16];
	} elf;
	int fd = memfd_create("kernel", MFD_CLOEXEC);

	memcpy(elf.e.e_ident, ELFMAG, SELFMAG);
	elf.e.e_ident[EI_CLASS] = ELFCLASS64;
	elf.e.e_ident[EI_DATA] = ELFDATA2LSB;
	elf.e.e_type = ET_EXEC;
	elf.e.e_machine = EM_X86_64;
	elf.e.e_entry = 0x1000000;
	elf.e.e_phoff = sizeof(elf.e);
	elf.e.e_phentsize = sizeof(elf.p);
	elf.e.e_phnum = 1;
	elf.p = (Elf64_Phdr){ .p_type = PT_LOAD,
			      .p_offset = offsetof(typeof(elf), code),
			      .p_paddr = 0x1000000,
			      .p_filesz = 16,
			      .p_memsz = 16 };
	ck_assert_int_eq(write(fd, &elf, sizeof(elf)), sizeof(elf));
	return fd;
}

#endif
