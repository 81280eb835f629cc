/* SPDX-License-Identifier: MIT */
/*
 * A TAP as a port: the host's own interface on an internal switch, or one that is in a bridge of
 * the host, as uplink (spec: virtual-switch, sections 8.1 and 8.7). Large frames and partial
 * checksums go both ways as they are. The interface's carrier follows the port's link.
 *
 * When the interface is deleted, the port's link goes down; when one of this name is there again,
 * the port attaches to it. None is ever made by the port. Within a sandbox that takes the rights
 * of a persistent TAP that is open to the user ("ip tuntap add NAME mode tap user USER").
 *
 * System calls after creation: readv, writev, and ioctl with TUNSETCARRIER, TUNSETIFF and
 * TUNSETOFFLOAD on the TAP, SIOCGIFINDEX on the probe.
 *
 * Threads: everything on the switch's loop.
 */
#ifndef HVBUS_VSP_NETVSP_PORT_TAP_H
#define HVBUS_VSP_NETVSP_PORT_TAP_H

#include "base/loop.h"
#include "base/net/tap.h"
#include "vsp/netvsp/port_fd.h"

struct port_tap;

struct port_tap_config {
	const char *name;   /* of the port; copied */
	enum vsw_role role; /* VSW_HOST or VSW_UPLINK */
	struct net_tap tap; /* one queue, offloads on; the descriptor stays the caller's on errors
			     */
	int probe; /* any socket of the TAP's network namespace, to see whether the interface is
		      there; borrowed. -1: one that vanished is not looked for */
	uint8_t mac[NET_MAC_LEN]; /* of a host's interface; zero for an uplink */
	uint32_t mtu;		  /* IP; 0 = 1500 */
	struct vsw_policy policy;
};

/* Errors: as vsw_port_add() and loop_fd_add(), with a sentence in @why (may be NULL). */
int port_tap_create(struct port_tap **out, struct loop *loop, struct vsw *sw,
		    const struct port_tap_config *cfg, char *why, size_t n);
/* Disconnects and closes the TAP. NULL is fine. */
void port_tap_destroy(struct port_tap *t);

struct vsw_port *port_tap_port(const struct port_tap *t);
const char *port_tap_interface(const struct port_tap *t);
void port_tap_stats(const struct port_tap *t, struct port_stats *out);

#endif
