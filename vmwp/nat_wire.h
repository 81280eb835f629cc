/* SPDX-License-Identifier: MIT */
/*
 * Between the root and the process that starts NATs: packets of one machine and one program, over
 * a SOCK_SEQPACKET pair.
 */
#ifndef HVBUS_VMWP_NAT_WIRE_H
#define HVBUS_VMWP_NAT_WIRE_H

#include "vmwp/nat.h"

enum nat_what {
	NAT_START, /* order: of net */
	NAT_STOP,  /* order */
	NAT_AGAIN, /* order: end the process @pid of it, if it is still that, and start another */
	NAT_BEGAN, /* report: a descriptor comes along, the root's end of the frames' socket */
	NAT_ENDED, /* report */
};

struct nat_order {
	uint32_t what;
	uint64_t id; /* never used twice */
	int32_t pid;
	struct nat_net net;
};

struct nat_report {
	uint32_t what;
	uint64_t id;
	int32_t pid;
	int32_t status; /* ENDED: as waitpid() gives it */
};

/* The process; @sock is its end. Never returns. */
_Noreturn void nat_main(int sock, enum sandbox_mode mode);

/*
 * libslirp over the socket @frames until its other end is closed. @confine is called when
 * everything is open that is opened once. Returns 0 then, or -errno when it could not begin.
 */
int nat_slirp(int frames, const struct nat_net *net, void (*confine)(void));

#endif
