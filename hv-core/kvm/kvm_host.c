/* SPDX-License-Identifier: MIT */
/* What this host's KVM must have, and what one is told whose has not. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "hv-core/kvm/kvm_priv.h"

#define API_VERSION 12

static const struct {
	int cap;
	const char *name;
} needed[] = {
	{ KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY" },
	{ KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP" },
	{ KVM_CAP_PIT2, "KVM_CAP_PIT2" },
	{ KVM_CAP_IRQ_ROUTING, "KVM_CAP_IRQ_ROUTING" },
	{ KVM_CAP_IRQFD, "KVM_CAP_IRQFD" },
	{ KVM_CAP_IRQFD_RESAMPLE, "KVM_CAP_IRQFD_RESAMPLE" },
	{ KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT" },
	{ KVM_CAP_HYPERV, "KVM_CAP_HYPERV" },
	{ KVM_CAP_HYPERV_SYNIC2, "KVM_CAP_HYPERV_SYNIC2" },
	{ KVM_CAP_HYPERV_EVENTFD, "KVM_CAP_HYPERV_EVENTFD" },
	{ KVM_CAP_HYPERV_VP_INDEX, "KVM_CAP_HYPERV_VP_INDEX" },
	{ KVM_CAP_HYPERV_CPUID, "KVM_CAP_HYPERV_CPUID" },
};

static int open_failed(int err, char *why, size_t n)
{
	const char *hint = "";

	if (err == -ENOENT)
		hint = ": this kernel has no KVM, or its module (kvm_intel, kvm_amd) is not "
		       "loaded; "
		       "in a VM, the host must allow nesting";
	else if (err == -EACCES || err == -EPERM)
		hint = ": join the group kvm";
	snprintf(why, n, "/dev/kvm: %s%s", strerror(-err), hint);
	return err;
}

/* All that are missing, not the first: who builds a kernel wants to do it once. */
static int check(int fd, char *why, size_t n)
{
	size_t at = 0;

	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		if (ioctl(fd, KVM_CHECK_EXTENSION, needed[i].cap) > 0)
			continue;
		if (at < n)
			at += (size_t)snprintf(why + at, n - at, "%s%s",
					       at ? ", " : "/dev/kvm cannot be used, it lacks ",
					       needed[i].name);
	}
	if (at && at < n)
		snprintf(why + at, n - at,
			 " (a kernel from 6.8 on needs CONFIG_KVM_HYPERV; process guests, `hvbus "
			 "serve` and `hvbus attach`, need no KVM)");
	return at ? -ENOTSUP : 0;
}

int kvm_host_open(char *why, size_t n)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC), err = 0, version;

	if (fd < 0)
		return open_failed(-errno, why, n);
	version = ioctl(fd, KVM_GET_API_VERSION, 0);
	if (version != API_VERSION) {
		snprintf(why, n, "/dev/kvm: API version %d, %d is needed", version, API_VERSION);
		err = -ENOTSUP;
	}
	if (!err)
		err = check(fd, why, n);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}
