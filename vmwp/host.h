/* SPDX-License-Identifier: MIT */
/*
 * What connects a switch to the host: by its type a TAP, a packet socket, or the process that
 * translates addresses.
 *
 * Threads: the main loop's.
 */
#ifndef HVBUS_VMWP_HOST_H
#define HVBUS_VMWP_HOST_H

#include <jansson.h>
#include <stddef.h>

struct netsw;

#define HOST_FDS 4u /* at most, of a switch */

/* Before the sandbox. A private switch has a test port at most. -errno with a sentence in @why. */
int host_open(struct netsw *sw, char *why, size_t n);
void host_close(struct netsw *sw);
/* For inspection; null for a private switch. */
json_t *host_json(const struct netsw *sw);

#endif
