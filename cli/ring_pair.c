/* SPDX-License-Identifier: MIT */
/*
 * Memory, processes and doorbells of `bench ring`.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/ring_pair.h"
#include "ringbuf/ring_layout.h"

/* A control page followed by the data area, the latter visible twice in a row. */
static bool map_ring(struct pair_ring *r, uint32_t bytes)
{
	size_t span = VMRING_PAGE + 2 * (size_t)bytes;
	int fd = memfd_create("hvbus-bench-ring", MFD_CLOEXEC), flags = MAP_SHARED | MAP_FIXED;
	uint8_t *at = MAP_FAILED;
	void *second;

	if (fd < 0)
		return false;
	if (ftruncate(fd, (off_t)(VMRING_PAGE + bytes)) == 0)
		at = mmap(NULL, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		goto close_fd;
	r->ctrl =
		mmap(at, VMRING_PAGE + bytes, PROT_READ | PROT_WRITE, flags | MAP_POPULATE, fd, 0);
	second = mmap(at + VMRING_PAGE + bytes, bytes, PROT_READ | PROT_WRITE, flags | MAP_POPULATE,
		      fd, VMRING_PAGE);
	if (r->ctrl == MAP_FAILED || second == MAP_FAILED)
		goto unmap;
	close(fd);
	r->data = at + VMRING_PAGE;
	r->size = bytes;
	memset(r->data, 0, bytes);
	return true;

unmap:
	munmap(at, span);
close_fd:
	close(fd);
	return false;
}

static void unmap_ring(struct pair_ring *r)
{
	if (r->data)
		munmap(r->data - VMRING_PAGE, VMRING_PAGE + 2 * (size_t)r->size);
	r->data = NULL;
}

void pair_fail(struct pair *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!p->sh->error[0])
		vsnprintf(p->sh->error, sizeof(p->sh->error), fmt, ap);
	va_end(ap);
	_exit(1);
}

void pair_ring_bell(struct pair *p, int side)
{
	uint64_t one = 1;

	if (write(p->bell[side], &one, sizeof(one)) != sizeof(one))
		pair_fail(p, "eventfd: %s", strerror(errno));
}

void pair_await_bell(struct pair *p, int side)
{
	uint64_t n;

	while (read(p->bell[side], &n, sizeof(n)) != sizeof(n)) {
		if (errno != EINTR)
			pair_fail(p, "eventfd: %s", strerror(errno));
	}
}

/* Sleeping: a side that spins here could keep the other from ever starting. */
void pair_meet(struct pair *p, int side)
{
	uint64_t one = 1, n;

	if (write(p->gate[!side], &one, sizeof(one)) != sizeof(one) ||
	    read(p->gate[side], &n, sizeof(n)) != sizeof(n))
		pair_fail(p, "eventfd: %s", strerror(errno));
}

static void become(struct pair *p, int side, pair_side *run, pid_t parent)
{
	static const struct sched_param fifo = { .sched_priority = 10 };
	cpu_set_t set;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm((unsigned int)p->seconds + 30);
	if (getppid() != parent) /* it died before the line above */
		_exit(1);
	CPU_ZERO(&set);
	CPU_SET((unsigned int)p->cpu[side], &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		pair_fail(p, "CPU %d: %s", p->cpu[side], strerror(errno));
	/* A scheduler tick in the middle of a burst would ruin it. */
	if (p->real_time)
		sched_setscheduler(0, SCHED_FIFO, &fifo);
	run(p);
	_exit(0);
}

/* Waits for both; when one fails, the other will not end by itself. */
static bool reap(struct pair *p, const pid_t pid[2])
{
	bool ok = true;
	int left = (pid[0] > 0) + (pid[1] > 0), status;

	while (left) {
		pid_t who = waitpid(-1, &status, 0);

		if (who < 0 && errno == EINTR)
			continue;
		if (who < 0)
			break;
		if (who != pid[0] && who != pid[1])
			continue;
		left--;
		if (status == 0)
			continue;
		if (ok && left)
			kill(who == pid[0] ? pid[1] : pid[0], SIGKILL);
		ok = false;
		if (!p->sh->error[0])
			snprintf(p->sh->error, sizeof(p->sh->error),
				 "a side was killed (status %d)", status);
	}
	return ok;
}

static void close_fds(struct pair *p)
{
	int *fds[] = { &p->bell[0], &p->bell[1], &p->gate[0], &p->gate[1] };

	for (unsigned int i = 0; i < ARRAY_SIZE(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

bool pair_run(struct pair *p, pair_side *first, pair_side *second)
{
	pair_side *side[2] = { first, second };
	pid_t pid[2] = { -1, -1 }, parent = getpid();

	p->sh = mmap(NULL, sizeof(*p->sh), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (p->sh == MAP_FAILED) {
		p->sh = NULL;
		return false;
	}
	for (int i = 0; i < 2; i++) {
		p->ring[i].data = NULL;
		p->bell[i] = eventfd(0, EFD_CLOEXEC);
		p->gate[i] = eventfd(0, EFD_CLOEXEC);
	}
	if (!map_ring(&p->ring[0], p->ring_bytes) || !map_ring(&p->ring[1], p->ring_bytes)) {
		snprintf(p->sh->error, sizeof(p->sh->error), "ring memory: %s", strerror(errno));
		goto out;
	}
	for (int i = 0; i < 2; i++) {
		pid[i] = fork();
		if (pid[i] == 0)
			become(p, i, side[i], parent);
		if (pid[i] < 0) {
			snprintf(p->sh->error, sizeof(p->sh->error), "fork: %s", strerror(errno));
			if (i)
				kill(pid[0], SIGKILL);
			break;
		}
	}
	reap(p, pid);
out:
	unmap_ring(&p->ring[0]);
	unmap_ring(&p->ring[1]);
	close_fds(p);
	return !p->sh->error[0];
}

void pair_end(struct pair *p)
{
	if (p->sh)
		munmap(p->sh, sizeof(*p->sh));
	p->sh = NULL;
}
