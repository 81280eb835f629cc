/* SPDX-License-Identifier: MIT */
/*
 * A named interface of the host as uplink, through a packet socket: no bridge is needed, but the
 * host itself is not reached over it (spec: virtual-switch, section 8.2). Large frames and partial
 * checksums go both ways as they are; tags that the kernel took out are put back into the metadata.
 *
 * When the interface goes down or vanishes, so does the port's link; when one of this name is up
 * again, the socket is bound to it.
 *
 * System calls after creation: recvmmsg, sendmsg; and when the interface went away ioctl with
 * SIOCGIFINDEX and SIOCGIFFLAGS, bind, and setsockopt of level SOL_PACKET with
 * PACKET_ADD_MEMBERSHIP and PACKET_DROP_MEMBERSHIP.
 *
 * Threads: everything on the switch's loop.
 */
#ifndef HVBUS_VSP_NETVSP_PORT_PACKET_H
#define HVBUS_VSP_NETVSP_PORT_PACKET_H

#include "base/loop.h"
#include "vsp/netvsp/port_fd.h"

struct port_packet;

/*
 * A socket for @interface, as port_packet_create() wants it: non-blocking, promiscuous. Before the
 * sandbox. -errno with a sentence in @why: -EPERM (CAP_NET_RAW), -ENODEV, -ENETDOWN is none.
 */
int port_packet_open(const char *interface, char *why, size_t n);

struct port_packet_config {
	const char *name;      /* of the port; copied */
	const char *interface; /* at most 15 characters; copied */
	int fd;		       /* of port_packet_open(); stays the caller's on errors */
	uint32_t mtu;	       /* IP; 0 = 1500 */
	struct vsw_policy policy;
};

/*
 * With an interface that is not up the port begins with its link down.
 * Errors: as vsw_port_add(), with a sentence in @why (may be NULL).
 */
int port_packet_create(struct port_packet **out, struct loop *loop, struct vsw *sw,
		       const struct port_packet_config *cfg, char *why, size_t n);
/* Disconnects and closes the socket. NULL is fine. */
void port_packet_destroy(struct port_packet *k);

struct vsw_port *port_packet_port(const struct port_packet *k);
const char *port_packet_interface(const struct port_packet *k);
void port_packet_stats(const struct port_packet *k, struct port_stats *out);

#endif
