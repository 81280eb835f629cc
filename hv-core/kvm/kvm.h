/* SPDX-License-Identifier: MIT */
/*
 * KVM backend: a child partition is a virtual machine whose kernel finds Hyper-V. The machine is
 * small: VPs, memory, a serial console, a clock, ACPI with the VMBus device; disks and NICs are
 * the bus's. docs/kvm.md says how it works.
 *
 * Threads: call everything here on the loop given to hv_kvm_create(), where all callbacks run,
 * too. Each VP has a thread of its own inside.
 */
#ifndef HVBUS_HV_CORE_KVM_KVM_H
#define HVBUS_HV_CORE_KVM_KVM_H

#include "hv-core/partition.h"

struct hv_kvm;

enum hv_kvm_end {
	HV_KVM_POWEROFF, /* the guest switched itself off */
	HV_KVM_RESET,	 /* .. wants to begin again: a reboot, or a triple fault */
	HV_KVM_STOPPED,	 /* hv_kvm_stop() */
	HV_KVM_FAILED,	 /* a VP cannot go on */
};

/* What a guest in panic says of itself (spec: kvm-guest, section 8). */
struct hv_kvm_crash {
	uint32_t vp;
	uint64_t param[5]; /* of Linux: error, OS id, RIP, RAX, RSP */
};

struct hv_kvm_ops {
	/*
	 * No VP runs any more, nor will before hv_kvm_start(), which may be called when the bus
	 * was reset; or hv_kvm_destroy(). @why is a sentence, valid during the call.
	 */
	void (*ended)(void *ctx, enum hv_kvm_end how, const char *why);
	/* The guest goes on: it may tell more on its console, unload, and reset. */
	void (*crashed)(void *ctx, const struct hv_kvm_crash *crash);
	/* The guest's console says @data. Returns how much of it was taken, see _console_room(). */
	uint32_t (*console)(void *ctx, const void *data, uint32_t len);
	/* A guest's console can take input again. May be NULL. */
	void (*console_hungry)(void *ctx);
};

struct hv_kvm_config {
	const char *name; /* for people */
	uint64_t memory;  /* bytes, a multiple of 2 MiB */
	uint32_t nr_vps;  /* 1..HV_MAX_VPS */
	/* Ordinary files, open as long as the VM is, and its owner's. -1 = no initrd. */
	int kernel, initrd;
	const char *cmdline; /* copied */
};

/*
 * Makes the partition, with its memory; nothing runs yet. Refuses a host that cannot do it, naming
 * what it lacks. -errno with a sentence in @why.
 */
int hv_kvm_create(struct hv_kvm **out, struct loop *loop, const struct hv_kvm_config *cfg,
		  const struct hv_kvm_ops *ops, void *ctx, char *why, size_t whylen);

struct hv_partition *hv_kvm_partition(struct hv_kvm *k);

/* Loads the kernel and lets VPs run from their reset state. -errno with a sentence in @why. */
int hv_kvm_start(struct hv_kvm *k, char *why, size_t whylen);

/* Ends in ops->ended(HV_KVM_STOPPED), never from inside this; if it ends already, in that. */
void hv_kvm_stop(struct hv_kvm *k);

/* VPs stay where they are, soon. Idempotent. */
void hv_kvm_pause(struct hv_kvm *k);
void hv_kvm_resume(struct hv_kvm *k);

/* Not while VPs run: before start, or from ended() on. */
void hv_kvm_destroy(struct hv_kvm *k);

/* The console has room again, after it did not take all. */
void hv_kvm_console_room(struct hv_kvm *k);
/* Types at the guest's console; returns how much fitted, ops->console_hungry() follows if not all.
 */
uint32_t hv_kvm_console_input(struct hv_kvm *k, const void *data, uint32_t len);

/* ---- inspection ------------------------------------------------------------------ */

enum hv_kvm_state { HV_KVM_OFF, HV_KVM_RUNNING, HV_KVM_PAUSED, HV_KVM_ENDING };

struct hv_kvm_stats {
	enum hv_kvm_state state;
	uint32_t starts; /* 1 + reboots */
	uint64_t unknown_ports;
	uint64_t console_bytes, console_lost;
};
void hv_kvm_stats(const struct hv_kvm *k, struct hv_kvm_stats *out);
const char *hv_kvm_state_name(enum hv_kvm_state s);
/* Exits of @vp since the start of the process, by reason: calls @fn for those that happened. */
void hv_kvm_exits(const struct hv_kvm *k, uint32_t vp,
		  void (*fn)(void *ctx, const char *reason, uint64_t n), void *ctx);

/* Requests of ioctl(2) that a running VM makes, for who allows system calls one by one. */
const unsigned long *hv_kvm_requests(size_t *n);
/* Descriptors that one takes. */
uint64_t hv_kvm_fds(uint32_t nr_vps);

#endif
