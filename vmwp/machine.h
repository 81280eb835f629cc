/* SPDX-License-Identifier: MIT */
/*
 * A VM as one guest of a root: the KVM partition, its console, and what becomes of it when the
 * guest resets, switches off or panics. Its bus, disks and NICs are those of every guest
 * (guest.c, disk.c, nic.c).
 *
 * Threads: the main loop's.
 */
#ifndef HVBUS_VMWP_MACHINE_H
#define HVBUS_VMWP_MACHINE_H

#include <jansson.h>

#include "hv-core/kvm/kvm.h"
#include "vmwp/console.h"

struct root;
struct machine;

enum machine_panic { MACHINE_EXIT, MACHINE_REBOOT, MACHINE_PAUSE };

enum machine_result {
	MACHINE_STOPPED,  /* by us */
	MACHINE_POWEROFF, /* by its guest */
	MACHINE_PANIC,	  /* its guest panicked, and that was to be the end */
	MACHINE_FAILED,
};

struct machine_config {
	const char *name;
	uint64_t memory;
	uint32_t nr_vps;
	int kernel, initrd; /* see struct hv_kvm_config */
	const char *cmdline;
	const char *nics; /* wishes, one a line (net_config.h); NULL = none */
	const char *console;
	enum machine_panic on_panic;
};

/* What must be open before the sandbox. -errno with a sentence in @why. */
int machine_create(struct machine **out, struct root *r, const struct machine_config *cfg,
		   char *why, size_t whylen);
/* Its devices, then its first start. The root's loop ends when the machine has. */
int machine_start(struct machine *m, char *why, size_t whylen);
/* Its guest is switched off; then it ends as by itself. */
void machine_stop(struct machine *m);
/* guest.c, when everything else of the guest is gone. NULL is nothing. */
void machine_destroy(struct machine *m);

/* As its reset button: its guest is not asked, and starts anew. A machine that is held goes on. */
void machine_reset(struct machine *m);

/* Its VPs stay where they are, or go on. Idempotent. */
void machine_pause(struct machine *m, bool pause);

/* For inspection: state, console, exits of each VP by reason. */
json_t *machine_json(const struct machine *m);

#endif
