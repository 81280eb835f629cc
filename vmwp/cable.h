/* SPDX-License-Identifier: MIT */
/*
 * A cable from a switch of this root to a switch of another: a pair of SOCK_SEQPACKET sockets, one
 * frame a message. Who joins makes the pair before its sandbox and hands an end to the root that
 * has the switch (`switch-join` of the control protocol); there the cable's port has the rules of
 * every guest's port, but for the addresses: behind it are several. Here it is the uplink.
 *
 * Threads: the main loop's.
 */
#ifndef HVBUS_VMWP_CABLE_H
#define HVBUS_VMWP_CABLE_H

#include "vsp/netvsp/port_sock.h"

struct netsw;
struct cable;

/*
 * This end is the uplink of @sw. @fd is the cable's from now on, whatever is returned. When the
 * other root ends the port stays, its link down. Errors: as port_sock_create() and _attach(), with
 * a sentence in @why.
 */
int cable_up(struct netsw *sw, int fd, char *why, size_t n);
/*
 * At the other end of @fd is somebody who joins @sw, on a port called @port, which is gone when
 * they are. Likewise, and -ENOSPC.
 */
int cable_join(struct netsw *sw, const char *port, int fd, char *why, size_t n);
/* All of @sw. */
void cables_close(struct netsw *sw);

/* Whose port @p is, of those that joined; NULL: of none. */
struct cable *cable_find(const struct netsw *sw, const struct vsw_port *p);
void cable_stats(const struct cable *c, struct port_stats *out);

#endif
