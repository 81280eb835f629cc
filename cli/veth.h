/* SPDX-License-Identifier: MIT */
/*
 * The kernel's own pair, to compare with: two network namespaces with a veth between them, in a
 * user namespace of their own, and iperf3 or ping over it. Needs unshare(1), ip(8), iperf3, ping.
 */
#ifndef HVBUS_CLI_VETH_H
#define HVBUS_CLI_VETH_H

#include <stddef.h>

/*
 * For @seconds: UDP datagrams that make frames of @size bytes, or, for frames beyond an MTU, one
 * TCP stream with segmentation offload. What arrived, per second. 0, or -errno with a sentence in
 * @why.
 */
int veth_stream(unsigned size, double seconds, double *frames, double *bits, char *why,
		size_t whylen);

/* Median of the round trips of @count pings, ns. */
int veth_ping(unsigned count, double *ns, char *why, size_t whylen);

#endif
