/* SPDX-License-Identifier: MIT */
/*
 * What connects a switch to the host: by its type a TAP, a packet socket, the process that
 * translates addresses, or a cable to another root.
 *
 * Threads: the main loop's.
 */
#ifndef HVBUS_VMWP_HOST_H
#define HVBUS_VMWP_HOST_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct netsw;
struct vsw_policy;

#define HOST_FDS 4u /* at most, of a switch */

/* Before the sandbox. A private switch has a test port at most. -errno with a sentence in @why. */
int host_open(struct netsw *sw, char *why, size_t n);
void host_close(struct netsw *sw);
/*
 * The host is trusted: it may have any address behind its port, and every VLAN. Untagged it
 * is in @native, the VLAN that guests are in unless they choose another one.
 */
void host_policy(struct vsw_policy *p, uint16_t native);
/* For inspection; null for a private switch. */
json_t *host_json(const struct netsw *sw);

#endif
