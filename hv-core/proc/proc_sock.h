/* SPDX-License-Identifier: MIT */
/* Packets with file descriptors over a Unix socket, both ends of the process backend. */
#ifndef HVBUS_HV_CORE_PROC_PROC_SOCK_H
#define HVBUS_HV_CORE_PROC_PROC_SOCK_H

#include <sys/types.h>

#define PROC_MAX_FDS 4

/*
 * Sends one packet and at most PROC_MAX_FDS fds (which stay the caller's). @flags:
 * MSG_DONTWAIT or 0. 0 or -errno (-EAGAIN, -EPIPE, -ETOOMANYREFS ..).
 */
int proc_sock_send(int sock, const void *buf, size_t len, const int *fds, int nfds, int flags);

/*
 * Receives one packet with at most PROC_MAX_FDS fds, which are the caller's from then on
 * (close-on-exec); unused places of @fds are -1. Returns the packet's bytes, 0 at the end
 * of the stream (an empty packet looks the same: no fds then), -EMSGSIZE when the packet was
 * longer than @len (no fds then), -errno.
 * *@nfds counts the fds; -1: there were more, or our table is full, and none is kept.
 */
ssize_t proc_sock_recv(int sock, void *buf, size_t len, int fds[PROC_MAX_FDS], int *nfds);

#endif
