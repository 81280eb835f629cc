/* SPDX-License-Identifier: MIT */
/*
 * What the ports on a file descriptor have in common: reading in bursts, waiting for the port's
 * bandwidth, and a device that vanishes and returns. For port_*.c; others want struct
 * port_stats only.
 *
 *   up      watched by the loop
 *   paused  the port has sent more than its limit: not watched until it may send again
 *   gone    the device is not there: link down, not watched, looked for after 100 ms, 200 ms ...
 *           2 s
 *
 * Threads: everything on the switch's loop.
 */
#ifndef HVBUS_VSP_NETVSP_PORT_FD_H
#define HVBUS_VSP_NETVSP_PORT_FD_H

#include "base/loop.h"
#include "vsp/netvsp/vswitch.h"

#define PORT_BURST 64 /* frames read in one turn */
#define PORT_IOV   1024

struct port_stats {
	const char *state;	 /* "up", "down" (the interface is: frames are dropped), "gone" */
	int error;		 /* the errno seen last, 0 = none */
	uint64_t rejected;	 /* frames read that made no sense */
	uint64_t full;		 /* frames not taken for want of room: EAGAIN, ENOBUFS */
	uint64_t down;		 /* ... because the interface is down */
	uint64_t failed;	 /* ... for another reason */
	uint64_t gone, returned; /* how often the device vanished, and came back */
};

struct port_fd;
struct port_fd_ops {
	/*
	 * Reads at most @most frames into the switch without flushing it: how many, 0 when there
	 * is nothing more, -errno when the device is not there any more.
	 */
	int (*receive)(struct port_fd *p, int most);
	/* Is the device back, and ready for use? NULL: somebody else brings it. */
	bool (*look)(struct port_fd *p);
	/* The port's link was changed by somebody else. May be NULL. */
	void (*link)(struct port_fd *p, bool up);
	/* It has just been found to be gone. May free @p. May be NULL. */
	void (*gone)(struct port_fd *p);
};

struct port_fd {
	const struct port_fd_ops *ops;
	struct loop *loop;
	struct vsw *sw;
	struct vsw_port *port;
	struct loop_fd lf; /* the descriptor; the caller's */
	struct loop_timer timer;
	uint64_t pause; /* until the next look */
	bool watched, present;
	bool wanted; /* the link, by whoever administers it */
	bool mine;   /* the link is being changed from here */
	struct port_stats n;
};

/*
 * changed() of struct vsw_port_ops; @ctx is the struct port_fd. The link that somebody wants down
 * while the device is gone comes up with it all the same: it was down already.
 */
void port_fd_changed(void *ctx);

/* @p zeroed but for ops, loop and lf.fd. Connects it as @cfg says: errors as vsw_port_add(). */
int port_fd_add(struct port_fd *p, struct vsw *sw, const struct vsw_port_config *cfg, char *why,
		size_t n);
/* The device is there: watch it, link up if nobody wants it down. Errors: as loop_fd_add(). */
int port_fd_present(struct port_fd *p);
/* It is not, because of @err (positive). Not from inside deliver(). */
void port_fd_lost(struct port_fd *p, int err);
/* Another is to take its place: as lost, but not looked for, and nobody is told. */
void port_fd_leave(struct port_fd *p);
/* Disconnects. @p and its descriptor are the caller's again. */
void port_fd_del(struct port_fd *p);

/* A frame was not taken because of @err (positive): counts, and says why for the switch. */
enum vsw_drop port_fd_refused(struct port_fd *p, int err);
/* A frame was taken: the interface is up. One that was read may have been there for long. */
static inline void port_fd_works(struct port_fd *p)
{
	p->n.state = "up";
}

/*
 * { @head of @headlen bytes (0: none), the frame's private copy, its payload } into @out, with
 * room for PORT_IOV entries. How many, or 0: too many pieces.
 */
int port_fd_gather(struct iovec *out, void *head, size_t headlen, const struct net_frame *f);

void port_fd_stats(const struct port_fd *p, struct port_stats *out);

#endif
