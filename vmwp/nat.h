/* SPDX-License-Identifier: MIT */
/*
 * The NAT of a switch: DHCP, DNS and outgoing TCP and UDP for guests, with no privilege at all
 * (spec: virtual-switch, section 8.4). What parses a guest's IP traffic is libslirp, which is
 * in a process of its own for each switch, behind a socket.
 *
 *   root --- hvbus-nat --- hvbus-nat of switch a --- the world
 *      \              \--- hvbus-nat of switch b --- the world
 *       \__frames________/
 *
 * The first one is started before the root's sandbox and starts the others, also those of
 * switches that come later; one that died is started again, at most once a second, with a new
 * socket to the switch's port. All end with the root, however that happens.
 *
 * Threads: everything on one loop, that of the switches.
 */
#ifndef HVBUS_VMWP_NAT_H
#define HVBUS_VMWP_NAT_H

#include <netinet/in.h>

#include "base/loop.h"
#include "vmwp/sandbox.h"
#include "vsp/netvsp/port_sock.h"

#define NAT_MAX		 16u /* switches */
#define NAT_MAX_FORWARDS 16u
#define NAT_MTU		 1500u

/* ---- what it is to do -------------------------------------------------------------------- */

/* A port of the host that leads to one of a guest. */
struct nat_forward {
	bool udp;
	struct in_addr host, guest; /* guest 0.0.0.0: the first address that DHCP gives */
	uint16_t host_port, guest_port;
};

/*
 * In a network a.b.c.0/24: the host is .2, the name server .3, and DHCP gives .15 and up. IPv6 is
 * fec0::/64 by router advertisement.
 */
struct nat_net {
	struct in_addr network; /* host bits are zero */
	uint8_t prefix;		/* 8..27 */
	bool no_ipv6;
	bool host_loopback; /* guests reach services on the host's 127.0.0.1, as address .2 */
	uint32_t nr_forwards;
	struct nat_forward forward[NAT_MAX_FORWARDS];
};

/* 10.0.2.0/24. */
void nat_net_default(struct nat_net *net);
/* "10.0.2.0/24" into @net; -EINVAL with a sentence. */
int nat_parse_subnet(struct nat_net *net, const char *text, char *why, size_t n);
/*
 * Adds "tcp:[HOSTADDR]:PORT-[GUESTADDR]:PORT" (or udp:) to @net. Without addresses: the host's
 * 127.0.0.1, the guest with the first address. -EINVAL, -ENOSPC with a sentence.
 */
int nat_parse_forward(struct nat_net *net, const char *text, char *why, size_t n);

/* ---- the process that starts the others --------------------------------------------------- */

struct nat_host;

/*
 * Forks. Early, from one thread: the process keeps no file of the caller's but its own socket and
 * standard error. @loop is the switches'. Errors: -EAGAIN, -ENOMEM, -EMFILE.
 */
int nat_host_create(struct nat_host **out, struct loop *loop, enum sandbox_mode mode);
/* Its NATs are destroyed. Waits until all processes have ended. NULL: nothing. */
void nat_host_destroy(struct nat_host *h);

/* Of the process, for tests. */
int nat_host_pid(const struct nat_host *h);

/* ---- one NAT --------------------------------------------------------------------------------- */

struct nat;

/*
 * Connects a NAT to @sw as a port called @port, and has its process started; frames are dropped
 * until it runs. Errors: as vsw_port_add(), -EINVAL (@net), -ENOSPC (NAT_MAX), -EIO (the process
 * that starts them is gone), with a sentence in @why (may be NULL).
 */
int nat_create(struct nat **out, struct nat_host *h, struct vsw *sw, const char *port,
	       const struct nat_net *net, char *why, size_t n);
/* Disconnects; its process ends. NULL: nothing. */
void nat_destroy(struct nat *t);

struct nat_stats {
	bool running;
	int pid;	  /* the process; 0 = none */
	uint64_t started; /* how many there were */
	int ended;	  /* how the last one ended, as waitpid() says; 0 = none did */
	struct nat_net net;
	struct port_stats port;
};
struct vsw_port *nat_port(const struct nat *t);
void nat_stats(const struct nat *t, struct nat_stats *out);

#endif
