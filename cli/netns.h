/* SPDX-License-Identifier: MIT */
/*
 * A process in a network namespace, which makes TAPs there for us and becomes a command. It is
 * forked before there are threads: only such a process may make namespaces for itself.
 */
#ifndef HVBUS_CLI_NETNS_H
#define HVBUS_CLI_NETNS_H

#include <signal.h>

#include "base/net/tap.h"

enum netns_where {
	NETNS_OWN,   /* the caller's */
	NETNS_NEW,   /* one of its own; for who is not root, in a user namespace where he is */
	NETNS_NAMED, /* /run/netns/NAME, as `ip netns add` makes them */
};

struct netns_config {
	enum netns_where where;
	const char *name;
	char **command;		    /* NULL-terminated; NULL: none, it stays until netns_end() */
	const sigset_t *signals;    /* mask of the command */
	void (*prepare)(void *ctx); /* in the process, before the command; may be NULL */
	void *ctx;
};

struct netns {
	pid_t pid;
	int sock;
};

struct netns_tap {
	char name[16];	   /* "" = the kernel's choice */
	char address[128]; /* several, with blanks between; "" = none */
	uint8_t mac[NET_MAC_LEN];
	uint32_t queues, mtu;
	bool offloads;
};

/* 0, or -errno with a sentence that says what to do in @why. */
int netns_start(struct netns *ns, const struct netns_config *cfg, char *why, size_t whylen);
/* A TAP there, up. It goes with its fds, which are the caller's. */
int netns_make_tap(struct netns *ns, const struct netns_tap *ask, struct net_tap *out, char *why,
		   size_t whylen);
/* Now the process becomes the command. Waiting for it is the caller's. */
int netns_go(struct netns *ns);
/* Without a command, or before it: ends the process and waits for it. */
void netns_end(struct netns *ns);

#endif
