/* SPDX-License-Identifier: MIT */
/*
 * A port whose other end is a process behind a socket that keeps frame borders (SOCK_SEQPACKET):
 * one message is one frame, from the destination address on, checksums complete, no tag, no
 * offload. What the peer does not fetch is dropped.
 *
 * The peer may go and another one come: the port stays, with its link down meanwhile.
 *
 * System calls after creation: recvmmsg, sendmmsg, close.
 *
 * Threads: everything on the switch's loop.
 */
#ifndef HVBUS_VSP_NETVSP_PORT_SOCK_H
#define HVBUS_VSP_NETVSP_PORT_SOCK_H

#include "base/loop.h"
#include "vsp/netvsp/port_fd.h"

struct port_sock;

struct port_sock_config {
	const char *name;	  /* of the port; copied */
	enum vsw_role role;	  /* usually VSW_HOST */
	uint8_t mac[NET_MAC_LEN]; /* zero: none of its own */
	uint32_t mtu;		  /* IP, both ways; 0 = 1500 */
	struct vsw_policy policy;
	/* The peer has hung up; its socket is closed. May attach another, or destroy. May be NULL.
	 */
	void (*gone)(void *ctx);
	void *ctx;
};

/* Without a peer, link down. Errors: as vsw_port_add(), with a sentence in @why (may be NULL). */
int port_sock_create(struct port_sock **out, struct loop *loop, struct vsw *sw,
		     const struct port_sock_config *cfg, char *why, size_t n);
/* Disconnects, and closes the socket. Not while a frame is delivered. NULL is fine. */
void port_sock_destroy(struct port_sock *s);

/*
 * The peer is at the other end of @fd, the port's from now on, whatever it may return; one that
 * was there before is left (without gone()). Errors: as loop_fd_add().
 */
int port_sock_attach(struct port_sock *s, int fd);

struct vsw_port *port_sock_port(const struct port_sock *s);
/* Frames that were accepted and then not taken by the socket are in it, not in the switch's. */
void port_sock_stats(const struct port_sock *s, struct port_stats *out);

#endif
