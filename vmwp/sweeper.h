/* SPDX-License-Identifier: MIT */
/*
 * Removing the socket's name at the end. The right to remove one name is the right to remove
 * every name in its directory and below: too much to leave to a root that guests talk to. So
 * a second process has it. It listens to nobody but the root, has nothing else open, and can
 * do nothing else; it ends with the root.
 */
#ifndef HVBUS_VMWP_SWEEPER_H
#define HVBUS_VMWP_SWEEPER_H

#include "vmwp/sandbox.h"

struct sweeper {
	int order; /* our end; -1 when there is none */
};

/* Before any thread is started and before anything is opened. 0, or -errno and a sentence. */
int sweeper_start(struct sweeper *s, const char *path, enum sandbox_mode mode, char *why, size_t n);

/* Ends it; first it removes @path's name if @sweep. Returns when that is done. */
void sweeper_end(struct sweeper *s, bool sweep);

#endif
