/* SPDX-License-Identifier: MIT */
/*
 * A capture file that tcpdump and tshark open (pcapng): what a mirrored port sends and gets, with
 * direction, VLAN tags in the frame and times of the wall clock. Large-send frames are
 * written as they are; partial checksums are completed, so that a capture can be trusted.
 *
 * Frames go through a bounded buffer that a thread of its own writes: a slow disk costs frames of
 * the capture (counted, and said in the file as a dropcount), never time of the switch.
 *
 * Threads: frame() and close() on the switch's loop.
 */
#ifndef HVBUS_VSP_NETVSP_PCAPNG_H
#define HVBUS_VSP_NETVSP_PCAPNG_H

#include "base/net/csum.h"

struct vsw_mirror;

struct vsw_mirror_config {
	int fd;		       /* where to; taken over on success. Not read, not seeked */
	const char *interface; /* name in the file: "lan/web1" */
	const char *path;      /* for people; copied */
	uint32_t snaplen;      /* bytes of a frame; 0 = all */
	uint32_t buffer;       /* bytes; 0 = 4 MiB */
};

/* -ENOMEM, -EINVAL, or of the thread's creation. */
int vsw_mirror_open(struct vsw_mirror **out, const struct vsw_mirror_config *cfg);
/* @outbound: the port sent it. */
void vsw_mirror_frame(struct vsw_mirror *m, const struct net_frame *f, const struct net_meta *meta,
		      bool outbound);
/* Writes what is there, closes the file. NULL is fine. */
void vsw_mirror_close(struct vsw_mirror *m);

struct vsw_mirror_stats {
	uint64_t frames, bytes; /* on their way to the file, or there */
	uint64_t dropped;
	int error; /* the file does not take any more: why (errno); nothing is written after that */
	const char *path;
};
void vsw_mirror_stats(const struct vsw_mirror *m, struct vsw_mirror_stats *out);

#endif
