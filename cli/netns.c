/* SPDX-License-Identifier: MIT */
/*
 * The process in the namespace; see the header. What it does besides waiting is what only it can:
 * enter, open TAPs, give addresses, exec.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/netns.h"

struct request {
	bool go; /* become the command; otherwise: a TAP */
	struct netns_tap tap;
};

struct reply {
	int err;
	char why[256];
	char name[16];
};

/* ---- entering ------------------------------------------------------------------------ */

static long sysctl_value(const char *path)
{
	char text[32];
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	return atol(text);
}

/* Which switch of the system it is that forbids it. */
static void explain_unshare(int err, char *why, size_t len)
{
	const char *knob = NULL, *value = "1";

	if (sysctl_value("/proc/sys/kernel/unprivileged_userns_clone") == 0)
		knob = "kernel.unprivileged_userns_clone";
	else if (sysctl_value("/proc/sys/user/max_user_namespaces") == 0)
		knob = "user.max_user_namespaces", value = "10000";
	else if (sysctl_value("/proc/sys/user/max_net_namespaces") == 0)
		knob = "user.max_net_namespaces", value = "10000";
	else if (sysctl_value("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1)
		knob = "kernel.apparmor_restrict_unprivileged_userns", value = "0";
	if (knob)
		snprintf(why, len,
			 "this system does not let ordinary users make namespaces (%s); as root: "
			 "sysctl -w %s=%s",
			 knob, knob, value);
	else
		snprintf(why, len,
			 "no new namespace: %s; a container needs the rights to nest them, or use "
			 "--netns NAME as root",
			 strerror(err));
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

static int map_ids(unsigned int uid, unsigned int gid)
{
	char text[64];
	int err;

	err = write_file("/proc/self/setgroups", "deny");
	if (err && err != -ENOENT)
		return err;
	snprintf(text, sizeof(text), "0 %u 1", gid);
	err = write_file("/proc/self/gid_map", text);
	if (err)
		return err;
	snprintf(text, sizeof(text), "0 %u 1", uid);
	return write_file("/proc/self/uid_map", text);
}

static int enter_new(char *why, size_t len)
{
	unsigned int uid = geteuid(), gid = getegid();
	int err = 0;

	if (!uid && !unshare(CLONE_NEWNET)) /* root needs no disguise */
		return 0;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
		err = -errno;
	if (!err)
		err = map_ids(uid, gid);
	if (err)
		explain_unshare(-err, why, len);
	return err;
}

static int enter_named(const char *name, char *why, size_t len)
{
	char path[128];
	int fd, err = 0;

	if ((size_t)snprintf(path, sizeof(path), "/run/netns/%s", name) >= sizeof(path))
		path[0] = '\0';
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		err = -errno;
		snprintf(why, len, "--netns %s: %s: %s; as root: ip netns add %s", name, path,
			 strerror(-err), name);
		return err;
	}
	if (setns(fd, CLONE_NEWNET)) {
		err = -errno;
		snprintf(why, len, "--netns %s: %s%s", name, strerror(-err),
			 err == -EPERM ? "; only root may enter it, others use --netns new" : "");
	}
	close(fd);
	return err;
}

static int enter(const struct netns_config *cfg, char *why, size_t len)
{
	int err = 0;

	if (cfg->where == NETNS_NEW)
		err = enter_new(why, len);
	else if (cfg->where == NETNS_NAMED)
		err = enter_named(cfg->name, why, len);
	if (!err && cfg->where != NETNS_OWN)
		net_if_set_up("lo", true); /* whoever set it up himself may have forbidden it */
	return err;
}

/* ---- in the process ---------------------------------------------------------------------- */

static void send_reply(int sock, const struct reply *r, const struct net_tap *tap)
{
	char control[CMSG_SPACE(NET_TAP_QUEUES * sizeof(int))] = { 0 };
	struct iovec iov = { (void *)(uintptr_t)r, sizeof(*r) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;

	if (tap && tap->queues) {
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(tap->queues * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(tap->queues * sizeof(int));
		memcpy(CMSG_DATA(c), tap->fd, tap->queues * sizeof(int));
	}
	if (sendmsg(sock, &msg, MSG_NOSIGNAL) < 0)
		_exit(1);
}

static int add_addresses(const char *name, const char *list, char *why, size_t len)
{
	char text[128], *next = text, *one;
	int err = 0;

	snprintf(text, sizeof(text), "%s", list);
	while (!err && (one = strsep(&next, " "))) {
		err = *one ? net_if_add_address(name, one) : 0;
		if (err)
			snprintf(why, len, "address %s of %s: %s", one, name, strerror(-err));
	}
	return err;
}

static void make_tap(int sock, const struct netns_tap *ask)
{
	struct net_tap_config cfg = { .name = ask->name,
				      .queues = ask->queues,
				      .mtu = ask->mtu,
				      .mac = ask->mac,
				      .offloads = ask->offloads,
				      .up = true };
	struct net_tap tap = { .queues = 0 };
	struct reply r = { 0 };

	r.err = net_tap_open(&tap, &cfg, r.why, sizeof(r.why));
	if (!r.err) {
		r.err = add_addresses(tap.name, ask->address, r.why, sizeof(r.why));
		memcpy(r.name, tap.name, sizeof(r.name));
		send_reply(sock, &r, r.err ? NULL : &tap);
		net_tap_close(&tap);
	} else {
		send_reply(sock, &r, NULL);
	}
}

static void become(const struct netns_config *cfg, pid_t parent)
{
	char **command = cfg->command;

	if (cfg->prepare)
		cfg->prepare(cfg->ctx);
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) || getppid() != parent)
		_exit(1);
	sigprocmask(SIG_SETMASK, cfg->signals, NULL);
	execvp(command[0], command);
	dprintf(STDERR_FILENO, "hvbus attach: %s: %s\n", command[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static void serve(int sock, const struct netns_config *cfg, pid_t parent)
{
	struct reply r = { 0 };
	struct request q;

	r.err = enter(cfg, r.why, sizeof(r.why));
	send_reply(sock, &r, NULL);
	while (!r.err && recv(sock, &q, sizeof(q), 0) == sizeof(q)) {
		if (!q.go)
			make_tap(sock, &q.tap);
		else if (cfg->command)
			become(cfg, parent);
	}
	_exit(0);
}

/* ---- outside --------------------------------------------------------------------------------- */

static int receive(int sock, struct reply *r, struct net_tap *tap)
{
	char control[CMSG_SPACE(NET_TAP_QUEUES * sizeof(int))] = { 0 };
	struct iovec iov = { r, sizeof(*r) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	ssize_t n;

	do {
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n != sizeof(*r)) {
		snprintf(r->why, sizeof(r->why), "the process in the namespace ended");
		return -ECHILD;
	}
	c = CMSG_FIRSTHDR(&msg);
	if (tap && c && c->cmsg_type == SCM_RIGHTS) {
		tap->queues = (uint32_t)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(tap->fd, CMSG_DATA(c), tap->queues * sizeof(int));
		memcpy(tap->name, r->name, sizeof(tap->name));
	}
	return r->err;
}

int netns_start(struct netns *ns, const struct netns_config *cfg, char *why, size_t whylen)
{
	pid_t parent = getpid();
	struct reply r = { 0 };
	int sock[2], err;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock)) {
		err = -errno;
		snprintf(why, whylen, "socket pair: %s", strerror(-err));
		return err;
	}
	fflush(NULL);
	ns->pid = fork();
	if (ns->pid == 0) {
		close(sock[0]);
		serve(sock[1], cfg, parent);
	}
	close(sock[1]);
	ns->sock = sock[0];
	if (ns->pid < 0) {
		err = -errno;
		snprintf(why, whylen, "fork: %s", strerror(-err));
		close(ns->sock);
		return err;
	}
	err = receive(ns->sock, &r, NULL);
	if (err) {
		snprintf(why, whylen, "%s", r.why);
		netns_end(ns);
	}
	return err;
}

int netns_make_tap(struct netns *ns, const struct netns_tap *ask, struct net_tap *out, char *why,
		   size_t whylen)
{
	struct request q = { .tap = *ask };
	struct reply r = { 0 };
	int err;

	memset(out, 0, sizeof(*out));
	if (send(ns->sock, &q, sizeof(q), MSG_NOSIGNAL) < 0)
		return -errno;
	err = receive(ns->sock, &r, out);
	if (err)
		snprintf(why, whylen, "%s", r.why);
	return err;
}

int netns_go(struct netns *ns)
{
	struct request q = { .go = true };

	return send(ns->sock, &q, sizeof(q), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

void netns_end(struct netns *ns)
{
	close(ns->sock);
	while (waitpid(ns->pid, NULL, 0) < 0 && errno == EINTR)
		;
}
