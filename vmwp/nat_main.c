/* SPDX-License-Identifier: MIT */
/*
 * The processes of nat.h: one that the root talks to, and one with libslirp for each NAT, which
 * it starts, and starts again. The first has no capability, opens nothing and touches no frame; the
 * others have, besides, no way to start a process, and of all files the host's list of name
 * servers.
 *
 * They came from a fork: no lock that somebody else may have held is taken.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/log.h"
#include "vmwp/nat_wire.h"
#include "vmwp/sandbox_priv.h"

#define AGAIN_NS   1000000000ull /* between two starts of one NAT */
#define ROOM	   (1 << 20)	 /* bytes of frames on their way; the kernel may allow less */
#define MAX_MEMORY (1ull << 30)	 /* of one NAT: some 4,000 connections with full buffers */

/* Descriptors, always the same; of a NAT the first is its frames'. */
enum { FD_ROOT = 3, FD_FRAMES = 3, FD_NULL, FD_END };

struct one {
	uint64_t id; /* 0 = there is none */
	struct nat_net net;
	pid_t pid; /* 0 = not running */
	int pidfd;
	uint64_t next_ns; /* not started before */
};

static enum sandbox_mode sandbox;
static struct one all[NAT_MAX];

/* ---- a NAT ------------------------------------------------------------------------------- */

static void limit(int what, rlim_t most)
{
	struct rlimit l = { most, most };

	setrlimit(what, &l);
}

static void enter(const struct sandbox_config *cfg)
{
	struct sandbox_state st;
	char why[256];

	if (sandbox_enter(cfg, &st, why, sizeof(why)) || sandbox_seal(cfg, &st, why, sizeof(why))) {
		log_error("nat: %s", why);
		_exit(1);
	}
}

/* Nothing that libslirp says reaches a terminal: guests could have it say it without end. */
static void confine_nat(void)
{
	const struct sandbox_config cfg = { .mode = sandbox,
					    .job = SANDBOX_JOB_NAT,
					    .layers = SANDBOX_LIMITS | SANDBOX_FILES |
						      SANDBOX_CALLS,
					    .max_fds = 1 };

	limit(RLIMIT_FSIZE, 0);
#ifndef SANDBOX_SANITIZED
	limit(RLIMIT_AS, MAX_MEMORY);
	for (int fd = 0; fd < 3; fd++)
		dup2(FD_NULL, fd);
#endif
	enter(&cfg);
}

static _Noreturn void be_nat(const struct nat_net *net, int frames, pid_t parent)
{
	if (dup2(frames, FD_FRAMES) < 0)
		_exit(1);
	close_range(FD_END, ~0u, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0);
	if (getppid() != parent)
		_exit(0);
	_exit(nat_slirp(FD_FRAMES, net, confine_nat) ? 1 : 0);
}

/* ---- reports ------------------------------------------------------------------------------- */

static void report(uint32_t what, const struct one *o, int status, int fd)
{
	struct nat_report r = { .what = what, .id = o->id, .pid = o->pid, .status = status };
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { { 0 } };
	struct iovec iov = { &r, sizeof(r) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	}
	while (sendmsg(FD_ROOT, &m, MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

/* ---- starting and ending ------------------------------------------------------------------- */

static void start(struct one *o)
{
	const int room = ROOM;
	const pid_t self = getpid();
	int pair[2];

	o->next_ns = clock_ns() + AGAIN_NS;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return;
	for (int i = 0; i < 2; i++)
		setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	o->pid = fork();
	if (!o->pid)
		be_nat(&o->net, pair[1], self);
	close(pair[1]);
	if (o->pid > 0) {
		o->pidfd = (int)syscall(SYS_pidfd_open, o->pid, 0);
		report(NAT_BEGAN, o, 0, pair[0]);
	} else {
		o->pid = 0;
	}
	close(pair[0]);
}

/* It is over, or will be at once. */
static void bury(struct one *o)
{
	int status = 0;

	while (waitpid(o->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (o->pidfd >= 0)
		close(o->pidfd);
	report(NAT_ENDED, o, status, -1);
	o->pid = 0;
}

static void stop(struct one *o)
{
	if (o->pid) {
		kill(o->pid, SIGKILL);
		bury(o);
	}
	o->id = 0;
}

/* One that hung up is of no use, but need not have ended if a guest has taken it over. */
static void start_again(struct one *o, int32_t pid)
{
	if (!o->pid || o->pid != pid)
		return;
	kill(o->pid, SIGKILL);
	bury(o);
}

/* ---- orders ------------------------------------------------------------------------------------
 */

static struct one *find(uint64_t id)
{
	for (unsigned i = 0; i < NAT_MAX; i++)
		if (all[i].id == id)
			return &all[i];
	return NULL;
}

static void obey(const struct nat_order *order)
{
	struct one *o = order->what == NAT_START ? find(0) : find(order->id);

	if (!o || !order->id)
		return;
	if (order->what == NAT_STOP)
		stop(o);
	else if (order->what == NAT_AGAIN)
		start_again(o, order->pid);
	else if (order->what == NAT_START)
		*o = (struct one){ .id = order->id, .net = order->net };
}

/* False: there is nobody to talk to any more. */
static bool next_order(void)
{
	struct nat_order order;
	ssize_t n = recv(FD_ROOT, &order, sizeof(order), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == sizeof(order))
		obey(&order);
	return n == sizeof(order);
}

/* ---- waiting
 * --------------------------------------------------------------------------------------- */

/* Starts what is due. Milliseconds to the next, -1 = none. */
static int start_due(void)
{
	uint64_t now = clock_ns(), next = UINT64_MAX;

	for (unsigned i = 0; i < NAT_MAX; i++) {
		struct one *o = &all[i];

		if (!o->id || o->pid)
			continue;
		if (o->next_ns <= now)
			start(o);
		if (!o->pid && o->next_ns < next)
			next = o->next_ns;
	}
	return next == UINT64_MAX ? -1 : (int)(next > now ? (next - now) / 1000000 + 1 : 0);
}

static bool turn(void)
{
	struct pollfd fds[1 + NAT_MAX] = { { FD_ROOT, POLLIN, 0 } };
	int ms = start_due();

	for (unsigned i = 0; i < NAT_MAX; i++)
		fds[1 + i] = (struct pollfd){ all[i].pid ? all[i].pidfd : -1, POLLIN, 0 };
	if (poll(fds, 1 + NAT_MAX, ms) < 0)
		return errno == EINTR;
	for (unsigned i = 0; i < NAT_MAX; i++)
		if (fds[1 + i].revents)
			bury(&all[i]);
	return !fds[0].revents || next_order();
}

static void become_small(int sock)
{
	static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ };
	int null, root;

	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		signal(ignored[i], SIG_IGN); /* the root decides when we end */
	signal(SIGCHLD, SIG_DFL);
	prctl(PR_SET_NAME, "hvbus-nat");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0);
	root = fcntl(sock, F_DUPFD, FD_END);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (root < 0 || null < 0)
		_exit(1);
	if (null != FD_NULL)
		null = fcntl(null, F_DUPFD, FD_END);
	if (dup2(root, FD_ROOT) < 0 || dup2(null, FD_NULL) < 0)
		_exit(1);
	close_range(FD_END, ~0u, 0);
}

void nat_main(int sock, enum sandbox_mode mode)
{
	const struct sandbox_config cfg = { .mode = mode,
					    .job = SANDBOX_JOB_NATS,
					    .layers = SANDBOX_PRIVILEGES | SANDBOX_LIMITS |
						      SANDBOX_CALLS };

	sandbox = mode;
	become_small(sock);
	enter(&cfg);
	while (turn())
		;
	for (unsigned i = 0; i < NAT_MAX; i++)
		if (all[i].id)
			stop(&all[i]);
	_exit(0);
}
