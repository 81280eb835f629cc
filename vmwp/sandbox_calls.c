/* SPDX-License-Identifier: MIT */
/*
 * The system calls that are left, by the reason they are needed for. Everything else ends the
 * process. Descriptors are not in the rules: what can be done with one was decided when it
 * was opened, and no call that is left opens another file.
 *
 * Not here on purpose: socket (the listening one exists), io_uring_setup (a new ring would
 * not have the restrictions of base/loop_uring.c), prctl, execve, fork, kill, ptrace.
 */
#include "vmwp/sandbox_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/compiler.h"
#include "hv-core/kvm/kvm.h"

/* A call whatever its arguments are. */
static const int plain[] = {
	/* memory: the allocator, guest memory, rings, memory disks */
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(memfd_create),
	SCMP_SYS(ftruncate),
	/* threads: engines start helpers when there is work, and end them */
	SCMP_SYS(futex),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(rseq),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity), /* the allocator, for the number of its arenas */
	SCMP_SYS(gettid),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	/* signals: SIGTERM, SIGBUS in guest memory, and raising what it dies of */
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(getpid),
	/* time: where the vDSO does not do it */
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_nanosleep),
	/* disks: threads engine, and flushes when a disk is closed; eventfds and the log as well */
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(poll), /* the log, for room */
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(pread64),
	SCMP_SYS(pwrite64),
	SCMP_SYS(preadv),
	SCMP_SYS(pwritev),
	SCMP_SYS(preadv2),
	SCMP_SYS(pwritev2),
	SCMP_SYS(fdatasync),
	SCMP_SYS(fsync),
	SCMP_SYS(fallocate),
	SCMP_SYS(close),
	/* libaio, whose contexts are made when a guest opens its channel */
	SCMP_SYS(io_setup),
	SCMP_SYS(io_destroy),
	SCMP_SYS(io_submit),
	SCMP_SYS(io_getevents),
	SCMP_SYS(io_pgetevents),
	/* waiting: both loops */
	SCMP_SYS(io_uring_enter),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2),
	SCMP_SYS(eventfd2),
	/* the socket that is listening, and its connections */
	SCMP_SYS(accept4),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(sendmsg),
	SCMP_SYS(shutdown),
	SCMP_SYS(geteuid),
	/* looking at a descriptor that became a disk's */
	SCMP_SYS(fstat),
	SCMP_SYS(fstatfs),
};

/* A call if all of its conditions hold; several rows for one call are alternatives. */
static const struct checked {
	int call;
	unsigned conditions;
	struct scmp_arg_cmp arg[2];
} checked[] = {
	/* nothing becomes executable that was not */
	{ SCMP_SYS(mmap), 1, { { 2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0 } } },
	{ SCMP_SYS(mprotect), 1, { { 2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0 } } },
	/* seals of guest memory, its second descriptor, flags and locks of images */
	{ SCMP_SYS(fcntl), 1, { { 1, SCMP_CMP_EQ, F_ADD_SEALS, 0 } } },
	{ SCMP_SYS(fcntl), 1, { { 1, SCMP_CMP_EQ, F_GET_SEALS, 0 } } },
	{ SCMP_SYS(fcntl), 1, { { 1, SCMP_CMP_EQ, F_DUPFD_CLOEXEC, 0 } } },
	{ SCMP_SYS(fcntl), 1, { { 1, SCMP_CMP_EQ, F_GETFL, 0 } } },
	{ SCMP_SYS(fcntl), 1, { { 1, SCMP_CMP_EQ, F_SETFL, 0 } } },
	{ SCMP_SYS(fcntl), 1, { { 1, SCMP_CMP_EQ, F_OFD_SETLK, 0 } } },
	/* sizes of block devices */
	{ SCMP_SYS(ioctl), 1, { { 1, SCMP_CMP_EQ, BLKGETSIZE64, 0 } } },
	{ SCMP_SYS(ioctl), 1, { { 1, SCMP_CMP_EQ, BLKSSZGET, 0 } } },
	{ SCMP_SYS(ioctl), 1, { { 1, SCMP_CMP_EQ, BLKPBSZGET, 0 } } },
	/* which blocks of a file are deallocated */
	{ SCMP_SYS(lseek), 1, { { 2, SCMP_CMP_EQ, SEEK_DATA, 0 } } },
	{ SCMP_SYS(lseek), 1, { { 2, SCMP_CMP_EQ, SEEK_HOLE, 0 } } },
	/* COMPARE AND WRITE against WRITEs of other loops */
	{ SCMP_SYS(membarrier), 1, { { 0, SCMP_CMP_EQ, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0 } } },
	{ SCMP_SYS(membarrier),
	  1,
	  { { 0, SCMP_CMP_EQ, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0 } } },
	/* who connected, and how much it may leave unread */
	{ SCMP_SYS(getsockopt),
	  2,
	  { { 1, SCMP_CMP_EQ, SOL_SOCKET, 0 }, { 2, SCMP_CMP_EQ, SO_PEERCRED, 0 } } },
	{ SCMP_SYS(setsockopt),
	  2,
	  { { 1, SCMP_CMP_EQ, SOL_SOCKET, 0 }, { 2, SCMP_CMP_EQ, SO_SNDBUF, 0 } } },
	/* how a child is woken that polls (hv-core/proc/proc_poll.c) */
	{ SCMP_SYS(socketpair),
	  2,
	  { { 0, SCMP_CMP_EQ, AF_UNIX, 0 }, { 1, SCMP_CMP_EQ, SOCK_STREAM | SOCK_CLOEXEC, 0 } } },
	/* fixed files come and go with channels; the rings enforce the same list (loop_uring.c) */
	{ SCMP_SYS(io_uring_register),
	  1,
	  { { 1, SCMP_CMP_MASKED_EQ, INT32_MAX, IORING_REGISTER_FILES2 } } },
	{ SCMP_SYS(io_uring_register),
	  1,
	  { { 1, SCMP_CMP_MASKED_EQ, INT32_MAX, IORING_REGISTER_FILES_UPDATE } } },
	{ SCMP_SYS(io_uring_register),
	  1,
	  { { 1, SCMP_CMP_MASKED_EQ, INT32_MAX, IORING_UNREGISTER_RING_FDS } } },
	/* fstat() and statx() of a descriptor, in the form the C library gives them */
	{ SCMP_SYS(newfstatat), 1, { { 3, SCMP_CMP_EQ, AT_EMPTY_PATH, 0 } } },
	{ SCMP_SYS(statx), 1, { { 2, SCMP_CMP_EQ, AT_EMPTY_PATH, 0 } } },
#ifdef SANDBOX_SANITIZED
	{ SCMP_SYS(ioctl), 1, { { 1, SCMP_CMP_EQ, TCGETS, 0 } } }, /* a report in colours? */
#endif
};

/*
 * For ports of switches to the host (vsp/netvsp/port_*.c): frames in batches; and when an
 * interface comes back, looking for it by name and using it again with the descriptor that there
 * is.
 */
static const int network[] = { SCMP_SYS(recvmmsg), SCMP_SYS(sendmmsg) };
static const struct checked network_checked[] = {
	{ SCMP_SYS(ioctl), 1, { { 1, SCMP_CMP_EQ, TUNSETIFF, 0 } } },
	{ SCMP_SYS(ioctl), 1, { { 1, SCMP_CMP_EQ, TUNSETOFFLOAD, 0 } } },
	{ SCMP_SYS(ioctl), 1, { { 1, SCMP_CMP_EQ, TUNSETCARRIER, 0 } } },
	{ SCMP_SYS(ioctl), 1, { { 1, SCMP_CMP_EQ, SIOCGIFINDEX, 0 } } },
	{ SCMP_SYS(ioctl), 1, { { 1, SCMP_CMP_EQ, SIOCGIFFLAGS, 0 } } },
	{ SCMP_SYS(bind), 1, { { 2, SCMP_CMP_EQ, sizeof(struct sockaddr_ll), 0 } } },
	{ SCMP_SYS(setsockopt),
	  2,
	  { { 1, SCMP_CMP_EQ, SOL_PACKET, 0 }, { 2, SCMP_CMP_EQ, PACKET_ADD_MEMBERSHIP, 0 } } },
	{ SCMP_SYS(setsockopt),
	  2,
	  { { 1, SCMP_CMP_EQ, SOL_PACKET, 0 }, { 2, SCMP_CMP_EQ, PACKET_DROP_MEMBERSHIP, 0 } } },
};

/* A call that fails, and its caller then does without. */
static const struct refused {
	int call, err;
} refused[] = {
	/* not to be checked, its flags are in memory: the C library goes back to clone() */
	{ SCMP_SYS(clone3), ENOSYS },
#ifndef SANDBOX_SANITIZED
	/*
	 * Only to find better words or numbers: who holds a lock (/proc), what a device can
	 * discard (/sys), a separate descriptor for flushes (/proc/self/fd), translations.
	 */
	{ SCMP_SYS(openat), EACCES },
	{ SCMP_SYS(open), EACCES },
#endif
};

#ifdef SANDBOX_SANITIZED
/*
 * What the sanitizers' runtimes do on their own: threads' stacks, and at the end the search for
 * leaks by a helper that stops all threads. Landlock leaves openat nothing but /proc.
 */
static const int sanitizers[] = {
	SCMP_SYS(openat),      SCMP_SYS(open),
	SCMP_SYS(clone),       SCMP_SYS(wait4),
	SCMP_SYS(ptrace),      SCMP_SYS(prctl),
	SCMP_SYS(lseek),       SCMP_SYS(getdents64),
	SCMP_SYS(getdents),    SCMP_SYS(readlink),
	SCMP_SYS(stat),	       SCMP_SYS(lstat),
	SCMP_SYS(newfstatat),  SCMP_SYS(mincore),
	SCMP_SYS(pipe),	       SCMP_SYS(getppid),
	SCMP_SYS(sigaltstack), SCMP_SYS(prlimit64),
	SCMP_SYS(dup),	       SCMP_SYS(dup2),
	SCMP_SYS(nanosleep),   SCMP_SYS(gettimeofday),
	SCMP_SYS(tgkill),      SCMP_SYS(getuid),
	SCMP_SYS(arch_prctl),  SCMP_SYS(sched_setaffinity),
};
#endif

/* For the process that only removes the socket's name (vmwp/sweeper.c). */
static const int remover[] = {
	SCMP_SYS(read),		SCMP_SYS(unlinkat),	   SCMP_SYS(exit_group),
	SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall),
};

/* For a process that keeps the reservations of one disk, and confines itself (keeper_main.c). */
static const int kept[] = {
	SCMP_SYS(recvmsg),    SCMP_SYS(recvfrom),     SCMP_SYS(sendto),		 SCMP_SYS(write),
	SCMP_SYS(fsync),      SCMP_SYS(close),	      SCMP_SYS(renameat),	 SCMP_SYS(unlinkat),
	SCMP_SYS(exit_group), SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall),
};

/* For the one that starts those: a filter is inherited, so it needs what they need, and ... */
static const int keeper[] = {
	/* ... a socket to each; it has no folder, and opens nothing */
	SCMP_SYS(socketpair),
	SCMP_SYS(dup2),
	SCMP_SYS(close_range),
	/* ... a filter and rules on files */
	SCMP_SYS(seccomp),
	SCMP_SYS(capget),
	SCMP_SYS(landlock_create_ruleset),
	SCMP_SYS(landlock_add_rule),
	SCMP_SYS(landlock_restrict_self),
	/* ... what the C library does for these, and for fork */
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(futex),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(rseq),
	SCMP_SYS(gettid),
	SCMP_SYS(getpid),
};

#ifndef SANDBOX_SANITIZED
static const bool runtime_needs_more;
#else
static const bool runtime_needs_more = true; /* its own thread is in every process as well */
#endif

static int allow_list(scmp_filter_ctx ctx, const int *call, size_t n)
{
	int err = 0;

	for (size_t i = 0; !err && i < n; i++)
		err = seccomp_rule_add_exact(ctx, SCMP_ACT_ALLOW, call[i], 0);
	return err;
}

/* A thread, and not one in another namespace. */
static int allow_threads(scmp_filter_ctx ctx)
{
	const uint64_t thread = CLONE_THREAD | CLONE_VM | CLONE_SIGHAND;
	const uint64_t apart = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
			       CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;

	return seccomp_rule_add_exact(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
				      SCMP_A0(SCMP_CMP_MASKED_EQ, thread | apart, thread));
}

/* Signals to itself: raise() and abort(). */
static int allow_raise(scmp_filter_ctx ctx)
{
	return seccomp_rule_add_exact(ctx, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
				      SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
}

static int allow_checked(scmp_filter_ctx ctx, const struct checked *c, size_t n)
{
	int err = 0;

	for (size_t i = 0; !err && i < n; i++)
		err = seccomp_rule_add_exact_array(ctx, SCMP_ACT_ALLOW, c[i].call, c[i].conditions,
						   c[i].arg);
	return err;
}

static int add_network_rules(scmp_filter_ctx ctx)
{
	int err = allow_list(ctx, network, ARRAY_SIZE(network));

	return err ? err : allow_checked(ctx, network_checked, ARRAY_SIZE(network_checked));
}

/* A VM is made again when its guest resets it; a console's terminal gets its mode back. */
static int add_machine_rules(scmp_filter_ctx ctx)
{
	static const unsigned long terminal[] = { TCGETS, TCSETS, TCSETSW, TCSETSF };
	size_t n;
	const unsigned long *request = hv_kvm_requests(&n);
	int err = 0;

	for (size_t i = 0; !err && i < n; i++)
		err = seccomp_rule_add_exact(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
					     SCMP_A1(SCMP_CMP_EQ, request[i]));
	for (size_t i = 0; !err && i < ARRAY_SIZE(terminal); i++)
		err = seccomp_rule_add_exact(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
					     SCMP_A1(SCMP_CMP_EQ, terminal[i]));
	return err == -EEXIST ? 0 : err;
}

static int add_root_rules(const struct sandbox_config *cfg, scmp_filter_ctx ctx)
{
	int err = allow_list(ctx, plain, ARRAY_SIZE(plain));

	if (!err)
		err = allow_checked(ctx, checked, ARRAY_SIZE(checked));
	if (!err && cfg->network)
		err = add_network_rules(ctx);
	if (!err && cfg->machine)
		err = add_machine_rules(ctx);
	for (size_t i = 0; !err && i < ARRAY_SIZE(refused); i++)
		err = seccomp_rule_add_exact(ctx, SCMP_ACT_ERRNO(refused[i].err), refused[i].call,
					     0);
	if (!err)
		err = allow_threads(ctx);
	if (!err)
		err = allow_raise(ctx);
#ifdef SANDBOX_SANITIZED
	if (!err)
		err = allow_list(ctx, sanitizers, ARRAY_SIZE(sanitizers));
#endif
	return err;
}

/* Only the way in which it replaces files. */
static int add_kept_rules(scmp_filter_ctx ctx, int folder)
{
	int err = allow_list(ctx, kept, ARRAY_SIZE(kept));

	if (err)
		return err;
	if (folder > 0)
		return seccomp_rule_add_exact(ctx, SCMP_ACT_ALLOW, SCMP_SYS(openat), 2,
					      SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)folder),
					      SCMP_A2(SCMP_CMP_EQ, SANDBOX_KEPT_OPEN));
	return seccomp_rule_add_exact(ctx, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
				      SCMP_A2(SCMP_CMP_EQ, SANDBOX_KEPT_OPEN));
}

static int add_keeper_rules(scmp_filter_ctx ctx)
{
	static const scmp_datum_t options[] = { PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS,
						PR_SET_PDEATHSIG };
	const uint64_t apart = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
			       CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_VM;
	int err = add_kept_rules(ctx, 0);

	if (!err)
		err = allow_list(ctx, keeper, ARRAY_SIZE(keeper));
	for (size_t i = 0; !err && i < ARRAY_SIZE(options); i++)
		err = seccomp_rule_add_exact(ctx, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
					     SCMP_A0(SCMP_CMP_EQ, options[i]));
	if (!err)
		err = seccomp_rule_add_exact(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
					     SCMP_A0(SCMP_CMP_MASKED_EQ, apart, 0));
	if (!err)
		err = seccomp_rule_add_exact(ctx, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
					     SCMP_A1(SCMP_CMP_EQ, F_DUPFD));
	if (!err)
		err = seccomp_rule_add_exact(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
					     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!err)
		err = seccomp_rule_add_exact(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
					     SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return err;
}

/* *@all: and those of a root as well. */
static int add_rules_of(const struct sandbox_config *cfg, scmp_filter_ctx ctx, bool *all)
{
	*all = runtime_needs_more;
	if (cfg->job == SANDBOX_JOB_KEPT)
		return add_kept_rules(ctx, cfg->kept_dir);
	if (cfg->job == SANDBOX_JOB_KEEPER)
		return add_keeper_rules(ctx);
	if (cfg->job == SANDBOX_JOB_NATS)
		return sandbox_nats_calls(ctx);
	if (cfg->job == SANDBOX_JOB_NAT)
		return sandbox_nat_calls(ctx);
	if (cfg->removable_dir > 0)
		return allow_list(ctx, remover, ARRAY_SIZE(remover));
	*all = true;
	return 0;
}

/*
 * For all threads there are and will be. Speculation is left as it is: no code of a guest
 * runs here that could profit. The real errno, so that the message says something.
 */
static int load(scmp_filter_ctx ctx, uint32_t otherwise)
{
	int err = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, otherwise);

	if (!err)
		err = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (!err)
		err = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_SSB, 1);
	if (!err)
		err = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (!err)
		err = seccomp_attr_set(ctx, SCMP_FLTATR_API_SYSRAWRC, 1);
	return err ? err : seccomp_load(ctx);
}

int sandbox_calls(const struct sandbox_config *cfg)
{
	uint32_t otherwise = cfg->mode == SANDBOX_LOG ? SCMP_ACT_LOG : SCMP_ACT_KILL_PROCESS;
	scmp_filter_ctx ctx = seccomp_init(otherwise);
	bool all;
	int err;

	if (!ctx)
		return -ENOMEM;
	err = add_rules_of(cfg, ctx, &all);
	if (!err && all)
		err = add_root_rules(cfg, ctx);
	if (!err)
		err = load(ctx, otherwise);
	seccomp_release(ctx);
	return err;
}
