/* SPDX-License-Identifier: MIT */
/*
 * A root for tests of the process backend: a loop, a listening socket, and what its
 * children did. One child at a time unless a test keeps more.
 */
#ifndef HVBUS_TESTS_UT_HV_CORE_PROC_RIG_H
#define HVBUS_TESTS_UT_HV_CORE_PROC_RIG_H

#include "tests/ut/hv-core/hv_rig.h"

#include <dirent.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "hv-core/proc/proc_root.h"
#include "hv-core/proc/proc_wire.h"

#define SECOND 1000000000ull

struct root_rig {
	struct loop *loop;
	char dir[32], path[64];
	struct loop_fd listener;
	struct hv_proc_quota quota;
	int up_result; /* what ops->up answers */
	bool keep;     /* do not destroy on down */
	void (*on_up)(struct root_rig *r);

	/* The last child. */
	struct hv_proc *proc;
	struct hv_partition *p;
	int accept_result;
	uint32_t ups, downs, accepts;
	char why[64];
	char wishes[HV_PROC_WISHES + 1];
};

static int rig_guest_up(void *ctx, struct hv_proc *proc, struct hv_partition *p)
{
	struct root_rig *r = ctx;

	r->ups++;
	r->proc = proc;
	r->p = p;
	snprintf(r->wishes, sizeof(r->wishes), "%s", hv_proc_wishes(proc));
	if (!r->up_result && r->on_up)
		r->on_up(r);
	return r->up_result;
}

/* Normally destroys at once: the strictest thing an owner may do. */
static void rig_guest_down(void *ctx, struct hv_proc *proc, const char *why)
{
	struct root_rig *r = ctx;

	r->downs++;
	snprintf(r->why, sizeof(r->why), "%s", why);
	if (r->keep)
		return;
	hv_proc_destroy(proc);
	if (proc == r->proc) {
		r->proc = NULL;
		r->p = NULL;
	}
}

static const struct hv_proc_ops rig_ops = { rig_guest_up, rig_guest_down };

static inline int rig_accept(struct root_rig *r, int sock, const void *hello, size_t len)
{
	r->accepts++;
	r->accept_result =
		hv_proc_accept(&r->proc, r->loop, sock, hello, len, &r->quota, &rig_ops, r);
	if (r->accept_result)
		r->proc = NULL;
	return r->accept_result;
}

static inline void rig_listener_ready(struct loop_fd *lf, uint32_t events)
{
	struct root_rig *r = container_of(lf, struct root_rig, listener);
	struct timeval tv = { 5, 0 };
	char hello[sizeof(struct hv_proc_hello) + HV_PROC_WISHES + 1];
	ssize_t n;
	int fd;

	(void)events;
	fd = accept4(lf->fd, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	n = recv(fd, hello, sizeof(hello), 0);
	ck_assert_int_ge(n, 0);
	rig_accept(r, fd, hello, (size_t)n);
}

static inline void root_rig_up(struct root_rig *r)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	memset(r, 0, sizeof(*r));
	ck_assert_int_eq(loop_create(&r->loop, NULL), 0);
	strcpy(r->dir, "/tmp/hvcore-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(r->dir));
	snprintf(r->path, sizeof(r->path), "%s/s", r->dir);
	strcpy(sa.sun_path, r->path);
	r->listener.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	r->listener.ready = rig_listener_ready;
	ck_assert_int_eq(bind(r->listener.fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	ck_assert_int_eq(listen(r->listener.fd, 16), 0);
	ck_assert_int_eq(loop_fd_add(r->loop, &r->listener, POLLIN), 0);
}

static inline void root_rig_down(struct root_rig *r)
{
	hv_proc_destroy(r->proc);
	loop_fd_del(r->loop, &r->listener);
	loop_destroy(r->loop);
	close(r->listener.fd);
	unlink(r->path);
	rmdir(r->dir);
}

/*
 * Moves a root that has no child yet to a process of its own, which the caller kills. What
 * stays here is the socket's path; end it with root_rig_forget().
 */
static inline pid_t root_rig_fork(struct root_rig *r)
{
	pid_t pid;

	loop_fd_del(r->loop, &r->listener);
	loop_destroy(r->loop); /* a loop belongs to its process */
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid)
		return pid;
	alarm(30);
	if (!loop_create(&r->loop, NULL) && !loop_fd_add(r->loop, &r->listener, POLLIN))
		loop_run(r->loop);
	_exit(1);
}

static inline void root_rig_forget(struct root_rig *r)
{
	close(r->listener.fd);
	unlink(r->path);
	rmdir(r->dir);
}

/* Runs the loop until @cond or five seconds; the caller asserts. */
#define RUN_UNTIL(r, cond)                                                                         \
	do {                                                                                       \
		uint64_t until__ = clock_ns() + 5 * SECOND;                                        \
		while (!(cond) && clock_ns() < until__)                                            \
			ck_assert_int_ge(loop_turn((r)->loop, 20000000), 0);                       \
	} while (0)

/* ---- a child without a library: a socket and bytes --------------------------------- */

static inline struct hv_proc_hello good_hello(void)
{
	struct hv_proc_hello h = { .magic = HV_PROC_MAGIC,
				   .version = HV_PROC_VERSION,
				   .role = HV_PROC_GUEST,
				   .memory = 1 << 20,
				   .nr_vps = 2,
				   .name = "raw" };

	return h;
}

/* A connected raw child; its welcome is still to be read. */
static inline int raw_child(struct root_rig *r)
{
	struct hv_proc_hello h = good_hello();
	int sv[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	ck_assert_int_eq(rig_accept(r, sv[0], &h, sizeof(h)), 0);
	return sv[1];
}

/* ---- leaks ---------------------------------------------------------------------------- */

static inline uint32_t count_dir(const char *path)
{
	DIR *d = opendir(path);
	uint32_t n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

struct held {
	uint32_t fds, threads, shared_maps;
};

static inline struct held held_now(void)
{
	struct held h = { count_dir("/proc/self/fd"), count_dir("/proc/self/task"), 0 };
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];

	while (fgets(line, sizeof(line), f))
		h.shared_maps += strstr(line, "memfd:hvbus") != NULL;
	fclose(f);
	return h;
}

/* A joined thread stays visible for a moment. */
static inline void assert_held(struct held before, const char *file, int line)
{
	uint64_t until = clock_ns() + 2 * SECOND;
	struct held now = held_now();

	while (now.threads > before.threads && clock_ns() < until) {
		sched_yield();
		now = held_now();
	}
	if (memcmp(&now, &before, sizeof(now)))
		ck_abort_msg("%s:%d: %u fds, %u threads, %u maps; before %u, %u, %u", file, line,
			     now.fds, now.threads, now.shared_maps, before.fds, before.threads,
			     before.shared_maps);
}

static inline void *no_work(void *arg)
{
	return arg;
}

/* ThreadSanitizer adds a thread of its own with the first one: before anything is counted. */
static inline void __attribute__((constructor)) warm_up(void)
{
	pthread_t t;

	if (!pthread_create(&t, NULL, no_work, NULL))
		pthread_join(t, NULL);
}

#define ASSERT_HELD(before) assert_held(before, __FILE__, __LINE__)

#endif
