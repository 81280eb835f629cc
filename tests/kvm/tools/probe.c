/* SPDX-License-Identifier: MIT */
/* What /dev/kvm can do for a Hyper-V guest. usage: probe caps | probe vcpu */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

enum { PAGE = 4096, PORT = 0x10, VALUE = 42 };

static int must(int r, const char *what)
{
	if (r < 0) {
		perror(what);
		exit(1);
	}
	return r;
}

/* Names what is missing; 0 when nothing is. */
static int caps(int kvm)
{
	static const struct {
		int cap;
		const char *name;
	} need[] = {
		{ KVM_CAP_IRQFD_RESAMPLE, "KVM_CAP_IRQFD_RESAMPLE" },
		{ KVM_CAP_HYPERV, "KVM_CAP_HYPERV" },
		{ KVM_CAP_HYPERV_SYNIC2, "KVM_CAP_HYPERV_SYNIC2" },
		{ KVM_CAP_HYPERV_EVENTFD, "KVM_CAP_HYPERV_EVENTFD" },
	};
	int missing = 0;

	for (size_t i = 0; i < sizeof(need) / sizeof(need[0]); i++) {
		if (ioctl(kvm, KVM_CHECK_EXTENSION, need[i].cap) > 0)
			continue;
		printf("%s ", need[i].name);
		missing = 1;
	}
	if (missing)
		printf("missing\n");
	return missing;
}

/* mov al, VALUE; out PORT, al; hlt */
static int set_up(int vm, unsigned char *ram)
{
	static const unsigned char code[] = { 0xb0, VALUE, 0xe6, PORT, 0xf4 };
	struct kvm_userspace_memory_region region = { .memory_size = PAGE,
						      .userspace_addr = (unsigned long)ram };
	struct kvm_sregs sregs;
	struct kvm_regs regs = { .rflags = 2 };
	int cpu;

	memcpy(ram, code, sizeof(code));
	must(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
	cpu = must(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
	must(ioctl(cpu, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	sregs.cs.base = sregs.cs.selector = 0;
	must(ioctl(cpu, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
	must(ioctl(cpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");
	return cpu;
}

static int expect(int cpu, const struct kvm_run *run, unsigned reason, const char *name)
{
	must(ioctl(cpu, KVM_RUN, 0), "KVM_RUN");
	if (run->exit_reason == reason)
		return 0;
	printf("exit reason %u instead of %s\n", run->exit_reason, name);
	return 1;
}

/* One processor that writes to a port and halts. */
static int vcpu(int kvm)
{
	unsigned char *ram =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int size = must(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
	int cpu = set_up(must(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM"), ram);
	struct kvm_run *run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu, 0);

	if (run == MAP_FAILED || expect(cpu, run, KVM_EXIT_IO, "KVM_EXIT_IO"))
		return 1;
	if (run->io.port != PORT || ((unsigned char *)run)[run->io.data_offset] != VALUE) {
		printf("port 0x%x got another value\n", run->io.port);
		return 1;
	}
	return expect(cpu, run, KVM_EXIT_HLT, "KVM_EXIT_HLT");
}

int main(int argc, char **argv)
{
	int kvm;

	if (argc != 2 || (strcmp(argv[1], "caps") != 0 && strcmp(argv[1], "vcpu") != 0)) {
		fprintf(stderr, "usage: probe caps | probe vcpu\n");
		return 2;
	}
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0) {
		perror("/dev/kvm");
		return 1;
	}
	return argv[1][0] == 'c' ? caps(kvm) : vcpu(kvm);
}
