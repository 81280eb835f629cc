/* SPDX-License-Identifier: MIT */
/*
 * Packets with descriptors on the socket between a child and its root.
 */
#include "hv-core/proc/proc_sock.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union fd_control {
	struct cmsghdr align;
	char buf[CMSG_SPACE(PROC_MAX_FDS * sizeof(int))];
};

int proc_sock_send(int sock, const void *buf, size_t len, const int *fds, int nfds, int flags)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	union fd_control control;
	struct cmsghdr *cmsg;
	ssize_t n;

	if (nfds) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE((size_t)nfds * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN((size_t)nfds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, (size_t)nfds * sizeof(int));
	}
	do {
		n = sendmsg(sock, &msg, flags | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* The kernel fills the buffer with whole fds only; it holds PROC_MAX_FDS at most (maybe one more).
 */
static int take_fds(struct msghdr *msg, int fds[PROC_MAX_FDS])
{
	struct cmsghdr *cmsg;
	int n = 0, fd;

	for (cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t off = 0; off + sizeof(int) <= cmsg->cmsg_len - CMSG_LEN(0);
		     off += sizeof(int)) {
			memcpy(&fd, CMSG_DATA(cmsg) + off, sizeof(int));
			if (n < PROC_MAX_FDS)
				fds[n++] = fd;
			else
				close(fd);
		}
	}
	return n;
}

ssize_t proc_sock_recv(int sock, void *buf, size_t len, int fds[PROC_MAX_FDS], int *nfds)
{
	union fd_control control;
	struct iovec iov = { buf, len };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.buf,
			      .msg_controllen = sizeof(control.buf) };
	ssize_t n;

	for (int i = 0; i < PROC_MAX_FDS; i++)
		fds[i] = -1;
	*nfds = 0;
	do {
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	*nfds = take_fds(&msg, fds);
	if (n && !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return n;
	for (int i = 0; i < *nfds; i++) {
		close(fds[i]);
		fds[i] = -1;
	}
	*nfds = msg.msg_flags & MSG_CTRUNC ? -1 : 0;
	return msg.msg_flags & MSG_TRUNC ? -EMSGSIZE : n;
}
