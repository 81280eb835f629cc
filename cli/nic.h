/* SPDX-License-Identifier: MIT */
/*
 * `hvbus attach --nic`: a child partition whose synthetic NICs are interfaces of a network
 * namespace.
 */
#ifndef HVBUS_CLI_NIC_H
#define HVBUS_CLI_NIC_H

#include "cli/net_pump.h"

struct nic_spec {
	char wish[256];	   /* for the root: all but what is ours */
	char address[128]; /* several, with blanks between */
	char switch_name[64];
	char name[64];	      /* of the port; "" = the root's choice */
	uint32_t queues, mtu; /* 0 = not given */
};

struct nic_args {
	const char *socket;
	const char *name; /* of the partition; NULL: see nic_run() */
	struct nic_spec nic[PUMP_NICS];
	const char *tap[PUMP_NICS]; /* names, in the order of the NICs */
	uint32_t nr_nics, nr_taps;
	const char *netns; /* NULL: the caller's; "new"; a name */
	bool stats;
	char **command;		    /* NULL-terminated; NULL = none */
	void (*prepare)(void *ctx); /* in the command's process, before it runs */
	void *ctx;
};

/* The value of --nic. False, and what is wrong with it in @why. */
bool nic_parse(struct nic_spec *out, const char *value, char *why, size_t whylen);

/*
 * Until the command ends, or a signal, or the root. The exit status. Without a name the partition
 * is called as the port of its first NIC, or the command.
 */
int nic_run(const struct nic_args *a);

#endif
