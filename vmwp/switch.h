/* SPDX-License-Identifier: MIT */
/*
 * The virtual switches of a root, what connects them to the host, and their mirrors. Made before
 * the sandbox, when devices, sockets and processes can still be had; ports of guests come and go
 * later (nic.c).
 *
 * Threads: the main loop's, on which every switch runs.
 */
#ifndef HVBUS_VMWP_SWITCH_H
#define HVBUS_VMWP_SWITCH_H

#include "vmwp/host.h"
#include "vmwp/net_config.h"
#include "vsp/netvsp/pcapng.h"

struct root;
struct guest;
struct cable;

/* What a port had done when somebody looked last, and at which rate it had got there. */
struct look {
	const struct vsw_port *port; /* whose it is: ids are used again */
	uint64_t when_ns;
	uint64_t seen[4]; /* frames and bytes in, frames and bytes out */
	double rate[4];	  /* per second; only if measured */
	bool measured;
};

struct netsw {
	struct root *root;
	struct root_switch cfg;
	struct vsw *vsw;
	struct port_tap *tap;	    /* internal, external: or NULL */
	struct port_packet *packet; /* external: or NULL */
	struct nat *nat;	    /* nat: or NULL */
	struct cable *uplink;	    /* joined: or NULL */
	struct cable *joined;	    /* to switches of other roots, the newest first */
	uint32_t nr_joined;
	struct port_test *test; /* or NULL */
	int probe;		/* a socket that sees the interfaces of the host, or -1 */
	uint32_t guests;	/* ports of theirs */
	struct look look[VSW_MAX_PORTS];
};

/* A capture of one port; it waits while there is no port of that name. */
struct mirror {
	struct root_mirror at; /* file: for people */
	struct netsw *sw;      /* NULL: this place is free */
	int fd;		       /* until there is a writer */
	struct vsw_mirror *m;
	struct vsw_port *port; /* NULL: it waits */
};

/* ---- all of them --------------------------------------------------------------- */

/* Switches, their ports to the host, the files of mirrors. -errno with a sentence in @why. */
int switches_open(struct root *r, char *why, size_t n);
/* Mirrors have threads, which are to be in the sandbox. */
int switches_start(struct root *r, char *why, size_t n);
/* Guests are gone. */
void switches_close(struct root *r);
/* Descriptors that they may need. */
uint64_t switches_fds(const struct root *r);

/* NULL: a sentence in @why lists those that there are. */
struct netsw *switch_find(struct root *r, const char *name, char *why, size_t n);
/* The same for a port of @sw. */
struct vsw_port *switch_port(struct netsw *sw, const char *name, char *why, size_t n);

/* ---- ports and their mirrors ------------------------------------------------------- */

/* Somebody connected @p: a mirror may have waited for it. */
void switch_port_came(struct netsw *sw, struct vsw_port *p);
/* Before a port is disconnected. */
void switch_port_leaves(struct netsw *sw, struct vsw_port *p);

/*
 * Captures @p in @fd (taken over on success). -EBUSY (it is captured already), -ENOSPC, or of
 * vsw_mirror_open(), with a sentence.
 */
int mirror_add(struct netsw *sw, struct vsw_port *p, int fd, const char *file, char *why, size_t n);
/* Closes the capture of @p; -ENOENT: there is none. */
int mirror_remove(struct vsw_port *p, struct root *r);

/* ---- NICs of guests: nic.c ------------------------------------------------------------ */

/* One NIC for each line of @wishes. -errno: a sentence, short enough for a welcome, in @why. */
int nics_add(struct guest *g, const char *wishes, char *why, size_t n);
/*
 * Takes them off their switches now, and away from the guest. Each is counted in g->closing, and
 * @gone(ctx) called for it, possibly before this returns, when nothing of it is in use any more.
 */
void nics_remove(struct guest *g, void (*gone)(void *ctx), void *ctx);
/*
 * Pulls the cable of one that is there and, when nothing is on its way to or from its guest any
 * more, or after a minute, takes it off its switch and away from the guest, which goes on. Its
 * place is free when the bus is done with it: then its waiter is told. -EALREADY: it is going.
 */
int nic_remove(struct guest *g, uint32_t index);
/* Whose port it is, and which of its NICs; NULL: the host's. */
struct guest *nic_owner(const struct root *r, const struct vsw_port *p, uint32_t *index);

#endif
