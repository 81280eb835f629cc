/* SPDX-License-Identifier: MIT */
/*
 * Giving up what a root does not need once it has opened its images and its socket. What each
 * layer stands against, and what it leaves, is in docs/threat-model.md.
 *
 *   open everything          images, socket, the main loop with its ring
 *   sandbox_enter()          the calling thread; threads it starts afterwards inherit it
 *   start the io threads     each makes its ring
 *   sandbox_seal()           the whole process; from here on no ring can be made either
 *
 * Neither can be undone.
 */
#ifndef HVBUS_VMWP_SANDBOX_H
#define HVBUS_VMWP_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sandbox_mode {
	SANDBOX_OFF,
	SANDBOX_LOG, /* as SANDBOX_ON, but forbidden system calls are logged by the kernel and done
		      */
	SANDBOX_ON,
};

/* What is left to be done, and so what is left to do it with. */
enum sandbox_job {
	SANDBOX_JOB_ROOT,   /* with removable_dir: that, and nothing else */
	SANDBOX_JOB_KEEPER, /* starts processes that enter SANDBOX_JOB_KEPT */
	SANDBOX_JOB_KEPT,   /* replaces files in kept_dir */
	SANDBOX_JOB_NATS,   /* starts processes that enter SANDBOX_JOB_NAT */
	SANDBOX_JOB_NAT,    /* IP sockets to anywhere; reads the list of name servers */
};

/* How one of SANDBOX_JOB_KEPT opens files, and no other way; relative to kept_dir. */
#define SANDBOX_KEPT_OPEN  (O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC)

#define SANDBOX_PRIVILEGES 0x1u /* no capability, none to be had from a program either */
#define SANDBOX_LIMITS	   0x2u /* descriptors, core dumps */
#define SANDBOX_FILES	   0x4u /* landlock: no path can be opened, nothing connected to */
#define SANDBOX_CALLS	   0x8u /* seccomp */
#define SANDBOX_ALL	   0xfu

struct sandbox_config {
	enum sandbox_mode mode;
	uint32_t layers;   /* tests try them one by one; 0 = SANDBOX_ALL */
	uint64_t max_fds;  /* what the quotas can need; 0 = leave the limit as it is */
	int removable_dir; /* > 0: removing names from this open directory is all that is left */
	bool network;	   /* of SANDBOX_JOB_ROOT: it has switches with ports to the host */
	bool machine;	   /* of SANDBOX_JOB_ROOT: it runs a VM, with a console */
	enum sandbox_job job;
	int kept_dir; /* of SANDBOX_JOB_KEPT: an open directory */
};

/* What holds, as far as the kernel confirmed it. */
struct sandbox_state {
	enum sandbox_mode mode;
	bool no_new_privs, no_capabilities, calls_filtered;
	int landlock_abi; /* 0: this kernel has no landlock, or it is turned off */
	uint64_t max_fds; /* the limit; 0 = was not set */
};

/* Both return 0, or -errno with a sentence in @why. A kernel without landlock is no error. */
int sandbox_enter(const struct sandbox_config *cfg, struct sandbox_state *st, char *why, size_t n);
int sandbox_seal(const struct sandbox_config *cfg, struct sandbox_state *st, char *why, size_t n);

#endif
