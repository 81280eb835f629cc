/* SPDX-License-Identifier: MIT */
/*
 * Interrupts that a VP's thread can wait for next to other descriptors: one socket pair per
 * VP that asked, the second half of proc_irq.h. The root writes a byte when it finds the VP's
 * word POLLING.
 *
 * Why this cannot stop the root, whatever the child does with its end:
 *   - an eventfd would be one description that both share: the child makes it blocking;
 *   - a pipe has one mutex for readers and writers, and a reader keeps it while its buffer's
 *     pages are fetched, from a file system of its own if it likes;
 *   - a socket's flags are its own, MSG_DONTWAIT is the call's, and a reader locks nothing that
 *     a sender needs. A full queue means that the child is told already.
 */
#ifndef HVBUS_HV_CORE_PROC_PROC_POLL_H
#define HVBUS_HV_CORE_PROC_PROC_POLL_H

#include "hv-core/partition.h"

struct proc_poll {
	int fd[HV_MAX_VPS][2]; /* -1, or the root's end (any thread) and the child's (the loop) */
};

void proc_poll_init(struct proc_poll *p);
/* Nobody rings any more. */
void proc_poll_fini(struct proc_poll *p);

/*
 * The child's end for @vp, which stays ours; the same one each time. Loop's thread.
 * -EINVAL (no such VP of @nr_vps), -EMFILE, -ENFILE, -ENOMEM.
 */
int proc_poll_open(struct proc_poll *p, uint32_t vp, uint32_t nr_vps);

/* Makes the child's end readable, if there is one. Any thread, never blocks. */
void proc_poll_ring(const struct proc_poll *p, uint32_t vp);

#endif
