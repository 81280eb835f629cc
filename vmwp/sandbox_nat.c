/* SPDX-License-Identifier: MIT */
/*
 * The system calls of a NAT, and of the process that starts NATs (nat_main.c). A NAT is the only
 * part that makes sockets to the world: those of IP, and no others.
 */
#include "vmwp/sandbox_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/compiler.h"

static const int nat[] = {
	/* frames, and guests' connections */
	SCMP_SYS(poll),
	SCMP_SYS(recvmmsg),
	SCMP_SYS(sendmmsg),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(sendmsg),
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(connect),
	SCMP_SYS(bind),
	SCMP_SYS(listen),
	SCMP_SYS(accept),
	SCMP_SYS(shutdown),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(close),
	/* the list of name servers, when it changes */
	SCMP_SYS(newfstatat),
	SCMP_SYS(fstat),
	SCMP_SYS(lseek),
	/* memory and time */
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(futex),
	SCMP_SYS(getrandom),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(restart_syscall),
	/* ending, by abort() too */
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(exit_group),
};

static const struct checked {
	int call;
	struct scmp_arg_cmp arg;
} nat_checked[] = {
	{ SCMP_SYS(socket), { 0, SCMP_CMP_EQ, AF_INET, 0 } },
	{ SCMP_SYS(socket), { 0, SCMP_CMP_EQ, AF_INET6, 0 } },
	{ SCMP_SYS(fcntl), { 1, SCMP_CMP_EQ, F_GETFL, 0 } },
	{ SCMP_SYS(fcntl), { 1, SCMP_CMP_EQ, F_SETFL, 0 } },
	{ SCMP_SYS(fcntl), { 1, SCMP_CMP_EQ, F_GETFD, 0 } },
	{ SCMP_SYS(fcntl), { 1, SCMP_CMP_EQ, F_SETFD, 0 } },
	{ SCMP_SYS(ioctl), { 1, SCMP_CMP_EQ, FIONREAD, 0 } },
	{ SCMP_SYS(ioctl), { 1, SCMP_CMP_EQ, FIONBIO, 0 } },
	/* landlock says which */
	{ SCMP_SYS(openat), { 2, SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY } },
	{ SCMP_SYS(mmap), { 2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0 } },
	{ SCMP_SYS(mprotect), { 2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0 } },
};

/* A scoped name server (fe80::1%eth0) asks for its interface with one; it does without. */
static const struct scmp_arg_cmp local_socket = { 0, SCMP_CMP_EQ, AF_UNIX, 0 };

/* For the one that starts NATs: a filter is inherited, so it needs what they need, and ... */
static const int nats[] = {
	/* ... processes, and a socket to each */
	SCMP_SYS(socketpair),
	SCMP_SYS(dup2),
	SCMP_SYS(close_range),
	SCMP_SYS(pidfd_open),
	SCMP_SYS(wait4),
	SCMP_SYS(kill),
	SCMP_SYS(getppid),
	/* ... a filter, limits, and rules on files */
	SCMP_SYS(seccomp),
	SCMP_SYS(capget),
	SCMP_SYS(prlimit64),
	SCMP_SYS(landlock_create_ruleset),
	SCMP_SYS(landlock_add_rule),
	SCMP_SYS(landlock_restrict_self),
	SCMP_SYS(readlink),
	/* ... what the C library does for fork */
	SCMP_SYS(set_robust_list),
	SCMP_SYS(rseq),
};

static int allow(scmp_filter_ctx ctx, const int *call, size_t n)
{
	int err = 0;

	for (size_t i = 0; !err && i < n; i++)
		err = seccomp_rule_add_exact(ctx, SCMP_ACT_ALLOW, call[i], 0);
	return err;
}

int sandbox_nat_calls(scmp_filter_ctx ctx)
{
	int err = allow(ctx, nat, ARRAY_SIZE(nat));

	for (size_t i = 0; !err && i < ARRAY_SIZE(nat_checked); i++)
		err = seccomp_rule_add_exact_array(ctx, SCMP_ACT_ALLOW, nat_checked[i].call, 1,
						   &nat_checked[i].arg);
	if (!err)
		err = seccomp_rule_add_exact_array(ctx, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(socket), 1,
						   &local_socket);
	if (!err)
		err = seccomp_rule_add_exact(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
					     SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
	return err;
}

int sandbox_nats_calls(scmp_filter_ctx ctx)
{
	static const scmp_datum_t options[] = { PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS,
						PR_SET_PDEATHSIG, PR_SET_DUMPABLE };
	const uint64_t apart = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
			       CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_VM;
	int err = sandbox_nat_calls(ctx);

	if (!err)
		err = allow(ctx, nats, ARRAY_SIZE(nats));
	for (size_t i = 0; !err && i < ARRAY_SIZE(options); i++)
		err = seccomp_rule_add_exact(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
					     SCMP_A0(SCMP_CMP_EQ, options[i]));
	if (!err) /* a process's own pid is not known before it is there */
		err = seccomp_rule_add_exact(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 0);
	if (!err)
		err = seccomp_rule_add_exact(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
					     SCMP_A0(SCMP_CMP_MASKED_EQ, apart, 0));
	return err;
}
