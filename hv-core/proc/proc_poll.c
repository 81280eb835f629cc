/* SPDX-License-Identifier: MIT */
/* Socket pairs of VPs that wait with poll(2). */
#include "hv-core/proc/proc_poll.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/nospec.h"

enum { OURS, THEIRS };

void proc_poll_init(struct proc_poll *p)
{
	memset(p, 0xff, sizeof(*p));
}

void proc_poll_fini(struct proc_poll *p)
{
	for (uint32_t i = 0; i < HV_MAX_VPS; i++) {
		if (p->fd[i][OURS] < 0)
			continue;
		close(p->fd[i][OURS]);
		close(p->fd[i][THEIRS]);
	}
}

int proc_poll_open(struct proc_poll *p, uint32_t vp, uint32_t nr_vps)
{
	const int least = 1; /* the kernel rounds up: one unread byte says it all */
	int sv[2];

	if (vp >= nr_vps || vp >= HV_MAX_VPS)
		return -EINVAL;
	vp = (uint32_t)index_nospec(vp, HV_MAX_VPS);
	if (p->fd[vp][OURS] >= 0)
		return p->fd[vp][THEIRS];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
		return -errno;
	setsockopt(sv[OURS], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
	shutdown(sv[OURS], SHUT_RD); /* the child has nothing to say here */
	p->fd[vp][THEIRS] = sv[THEIRS];
	/* P1: before the child has its end, so before it can wait there. */
	store_release(&p->fd[vp][OURS], sv[OURS]);
	return sv[THEIRS];
}

void proc_poll_ring(const struct proc_poll *p, uint32_t vp)
{
	int fd = load_acquire(&p->fd[vp][OURS]); /* P1 */

	if (fd >= 0)
		send(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}
