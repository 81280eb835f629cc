/* SPDX-License-Identifier: MIT */
/*
 * Each layer of the sandbox by itself, proved by trying what must fail: a process enters it
 * with the functions a root uses and tries. Then what must still work, and the ring's own rules.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <liburing.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "vmwp/sandbox_priv.h"

#if defined(HVBUS_TSAN)
/* Some tries are made by threads, in a process that was forked. */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "die_after_fork=0";
}
#endif

#define NOBODY	   65534
#define SUCCEEDED  0 /* of a try: else its errno */
#define NOT_INSIDE 200

static char dir[64], image[96];
static struct sandbox_state state;
static int landlock_abi;

/* ---- rig -------------------------------------------------------------------------- */

static void setup(void)
{
	int fd;

	snprintf(dir, sizeof(dir), "/tmp/hvbus-box-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(image, sizeof(image), "%s/image", dir);
	fd = open(image, O_RDWR | O_CREAT, 0666);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, 1 << 20), 0);
	close(fd);
	log_set_level(LOG_ERROR);
	landlock_abi = (int)syscall(444, NULL, 0, 1);
}

static void teardown(void)
{
	unlink(image);
	rmdir(dir);
}

static void enter(const struct sandbox_config *cfg)
{
	char why[256] = "";

	if (sandbox_enter(cfg, &state, why, sizeof(why)) ||
	    sandbox_seal(cfg, &state, why, sizeof(why))) {
		fprintf(stderr, "%s\n", why);
		_exit(NOT_INSIDE);
	}
}

/* The wait status of a process that enters and then tries. */
static int inside(const struct sandbox_config *cfg, int (*attempt)(void))
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (!pid) {
		enter(cfg);
		_exit(attempt());
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(!WIFEXITED(status) || WEXITSTATUS(status) != NOT_INSIDE);
	return status;
}

static void expect_error(uint32_t layers, const char *what, int (*attempt)(void), int err)
{
	struct sandbox_config cfg = { .mode = SANDBOX_ON, .layers = layers };
	int status = inside(&cfg, attempt);

	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == err,
		      "%s: status %x instead of errno %d", what, (unsigned)status, err);
}

static void expect_kill(uint32_t layers, const char *what, int (*attempt)(void))
{
	struct sandbox_config cfg = { .mode = SANDBOX_ON, .layers = layers };
	int status = inside(&cfg, attempt);

	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS,
		      "%s: status %x instead of SIGSYS", what, (unsigned)status);
}

/* ---- what is tried ------------------------------------------------------------------- */

#define TRY(name, expression)                                                                      \
	__attribute__((unused)) static int name(void)                                              \
	{                                                                                          \
		return (expression) < 0 ? errno : SUCCEEDED;                                       \
	}

static char *const no_args[] = { NULL };

/* files */
TRY(open_passwd, open("/etc/passwd", O_RDONLY))
TRY(open_image, open(image, O_RDWR))
TRY(open_old_way, syscall(SYS_open, "/etc/passwd", O_RDONLY))
TRY(open_creat, syscall(SYS_creat, image, 0600))
TRY(create_file, open("/tmp/hvbus-box-new", O_RDWR | O_CREAT | O_EXCL, 0600))
TRY(read_dir, open(dir, O_RDONLY | O_DIRECTORY))
TRY(remove_image, unlink(image))
TRY(make_dir, mkdir("/tmp/hvbus-box-dir", 0700))
TRY(move_image, rename(image, "/tmp/hvbus-box-moved"))
TRY(make_link, symlink("/etc/passwd", "/tmp/hvbus-box-link"))
TRY(truncate_image, truncate(image, 0))
TRY(execute, execve("/bin/true", no_args, no_args))
TRY(mount_something, mount("none", "/mnt", "tmpfs", 0, NULL))
TRY(change_root, chroot("/"))

/* sockets */
TRY(inet_socket, socket(AF_INET, SOCK_STREAM, 0))
TRY(unix_socket, socket(AF_UNIX, SOCK_STREAM, 0))
TRY(netlink_socket, socket(AF_NETLINK, SOCK_RAW, 0))
TRY(socket_pair, syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, (int[2]){ 0 }))
TRY(connect_any, connect(0, (struct sockaddr *)&(struct sockaddr_un){ .sun_family = AF_UNIX }, 10))
TRY(bind_any, bind(0, (struct sockaddr *)&(struct sockaddr_un){ .sun_family = AF_UNIX }, 2))
TRY(set_option, setsockopt(0, SOL_SOCKET, SO_ATTACH_FILTER, NULL, 0))
TRY(get_option, getsockopt(0, SOL_SOCKET, SO_ERROR, NULL, NULL))

/* processes */
TRY(fork_process, syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL))
TRY(fork_namespace, syscall(SYS_clone, CLONE_NEWUSER | CLONE_THREAD | CLONE_VM | CLONE_SIGHAND,
			    NULL, NULL, NULL, NULL))
TRY(fork_modern, syscall(SYS_clone3, NULL, 0))
TRY(fork_virtual, syscall(SYS_vfork))
TRY(signal_parent, kill(getppid(), 0))
TRY(signal_other, syscall(SYS_tgkill, 1, 1, 0))
TRY(trace_parent, ptrace(PTRACE_SEIZE, getppid(), NULL, NULL))
TRY(read_parent, process_vm_readv(getppid(), NULL, 0, NULL, 0, 0))
TRY(open_process, syscall(SYS_pidfd_open, 1, 0))
TRY(limit_parent, syscall(SYS_prlimit64, getppid(), RLIMIT_NOFILE, NULL, NULL))

TRY(landlock_again, syscall(444, NULL, 0, 1))

/* privileges */
TRY(become_nobody, syscall(SYS_setuid, NOBODY))
TRY(become_root, syscall(SYS_setresuid, 0, 0, NOBODY))
TRY(new_namespace, unshare(CLONE_NEWNET))
TRY(set_hostname, sethostname("x", 1))
TRY(change_process, prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
TRY(set_time, clock_settime(CLOCK_REALTIME, &(struct timespec){ 0 }))
TRY(raise_limit, setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 4096, 4096 }))

/* memory, and what kernels had holes in */
TRY(ring_setup, syscall(SYS_io_uring_setup, 1, &(struct io_uring_params){ 0 }))
TRY(ring_register, syscall(SYS_io_uring_register, 0, IORING_REGISTER_PERSONALITY, NULL, 0))
TRY(handle_open, syscall(SYS_open_by_handle_at, 0, NULL, 0))
TRY(use_keys, syscall(SYS_keyctl, 0, 0, 0, 0, 0))
TRY(load_bpf, syscall(SYS_bpf, 0, NULL, 0))
TRY(use_perf, syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0))
TRY(fault_user, syscall(SYS_userfaultfd, 0))
TRY(device_control, ioctl(0, TIOCSTI, "x"))
TRY(own_signal, fcntl(0, F_SETOWN, 1))

static int code_mapped(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
			       MAP_FAILED
		       ? errno
		       : SUCCEEDED;
}

static int code_protected(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mprotect(p, 4096, PROT_READ | PROT_EXEC) ? errno : SUCCEEDED;
}

static int capability_regained(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	data[0].effective = data[0].permitted = 1u << CAP_DAC_OVERRIDE;
	return syscall(SYS_capset, &head, data) ? errno : SUCCEEDED;
}

/* The other tables of system calls: of 32-bit programs, and x32. */
static int call_of_32_bit(void)
{
	long result = 20; /* getpid there */

	__asm__ volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
	return result < 0 ? (int)-result : SUCCEEDED;
}

TRY(call_of_x32, syscall(0x40000000 | SYS_getpid))

/* ---- privileges ------------------------------------------------------------------------ */

START_TEST(privileges)
{
	static const struct {
		const char *what;
		int (*attempt)(void);
	} t[] = {
		{ "mount", mount_something },
		{ "chroot", change_root },
		{ "setuid nobody", become_nobody },
		{ "setresuid", become_root },
		{ "unshare", new_namespace },
		{ "sethostname", set_hostname },
		{ "settime", set_time },
		{ "capset", capability_regained },
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		expect_error(SANDBOX_PRIVILEGES, t[i].what, t[i].attempt, EPERM);
}
END_TEST

/* User 0 gets its capabilities back from any program; not with no_new_privs and no bounding set. */
static int capabilities_by_exec(void)
{
	execl("/bin/sh", "sh", "-c",
	      "grep -q '^NoNewPrivs:.*1$' /proc/self/status &&"
	      "! grep -E '^Cap(Inh|Prm|Eff|Amb):' /proc/self/status | grep -qv '0000000000000000$'",
	      NULL);
	return errno;
}

START_TEST(privileges_do_not_come_back)
{
	expect_error(SANDBOX_PRIVILEGES, "a program with capabilities", capabilities_by_exec, 0);
}
END_TEST

START_TEST(privileges_are_reported)
{
	struct sandbox_config cfg = { .mode = SANDBOX_ON, .layers = SANDBOX_PRIVILEGES };

	enter(&cfg);
	ck_assert(state.no_new_privs);
	ck_assert(state.no_capabilities);
	ck_assert(!state.calls_filtered);
	ck_assert_int_eq(state.landlock_abi, 0);
}
END_TEST

/* ---- limits -------------------------------------------------------------------------------- */

static int descriptors_run_out(void)
{
	struct rlimit core;
	int fd = 0;

	while (fd >= 0 && fd < 4096)
		fd = dup(0);
	if (fd >= 0)
		return SUCCEEDED;
	if (getrlimit(RLIMIT_CORE, &core) || core.rlim_max)
		return EDOM;
	return errno;
}

START_TEST(limits)
{
	struct sandbox_config cfg = { .mode = SANDBOX_ON,
				      .layers = SANDBOX_LIMITS | SANDBOX_PRIVILEGES,
				      .max_fds = 1100 };
	int status = inside(&cfg, descriptors_run_out);

	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), EMFILE);
	status = inside(&cfg, raise_limit);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), EPERM);
}
END_TEST

/* ---- files: landlock --------------------------------------------------------------------- */

static struct sockaddr_in tcp_peer;
static struct sockaddr_un abstract_peer;
static socklen_t abstract_len;

static int connect_tcp(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return connect(fd, (struct sockaddr *)&tcp_peer, sizeof(tcp_peer)) ? errno : SUCCEEDED;
}

static int bind_tcp(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET };

	return bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&any, sizeof(any))
		       ? errno
		       : SUCCEEDED;
}

static int connect_abstract(void)
{
	return connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&abstract_peer,
		       abstract_len)
		       ? errno
		       : SUCCEEDED;
}

/* Somebody who would answer, so that only the sandbox can be what refuses. */
static void listen_outside(void)
{
	socklen_t len = sizeof(tcp_peer);
	int tcp = socket(AF_INET, SOCK_STREAM, 0), un = socket(AF_UNIX, SOCK_STREAM, 0);

	tcp_peer = (struct sockaddr_in){ .sin_family = AF_INET,
					 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	ck_assert_int_eq(bind(tcp, (struct sockaddr *)&tcp_peer, sizeof(tcp_peer)), 0);
	ck_assert_int_eq(listen(tcp, 8), 0);
	ck_assert_int_eq(getsockname(tcp, (struct sockaddr *)&tcp_peer, &len), 0);
	abstract_peer = (struct sockaddr_un){ .sun_family = AF_UNIX };
	abstract_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
				   (size_t)sprintf(abstract_peer.sun_path + 1, "hvbus-box-%d",
						   (int)getpid()));
	ck_assert_int_eq(bind(un, (struct sockaddr *)&abstract_peer, abstract_len), 0);
	ck_assert_int_eq(listen(un, 8), 0);
}

START_TEST(files)
{
	static const struct {
		int abi; /* from which on the kernel can forbid it */
		const char *what;
		int (*attempt)(void);
		int err;
	} t[] = {
		{ 1, "open /etc/passwd", open_passwd, EACCES },
		{ 1, "open another image", open_image, EACCES },
		{ 1, "create", create_file, EACCES },
		{ 1, "read a directory", read_dir, EACCES },
		{ 1, "unlink", remove_image, EACCES },
		{ 1, "mkdir", make_dir, EACCES },
		{ 1, "rename", move_image, EACCES },
		{ 1, "symlink", make_link, EACCES },
		{ 1, "execve", execute, EACCES },
		{ 1, "mount", mount_something, EPERM },
		{ 1, "ptrace", trace_parent, EPERM },
		{ 3, "truncate", truncate_image, EACCES },
		{ 4, "connect TCP", connect_tcp, EACCES },
		{ 4, "bind TCP", bind_tcp, EACCES },
		{ 6, "connect to an abstract socket", connect_abstract, EPERM },
		{ 6, "signal the parent", signal_parent, EPERM },
	};

	listen_outside();
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		if (landlock_abi >= t[i].abi)
			expect_error(SANDBOX_FILES, t[i].what, t[i].attempt, t[i].err);
		else
			printf("SKIPPED %s: landlock abi %d is needed, this kernel has %d\n",
			       t[i].what, t[i].abi, landlock_abi > 0 ? landlock_abi : 0);
	}
	ck_assert_int_eq(access(image, F_OK), 0);
}
END_TEST

static int opened;

static int use_what_is_open(void)
{
	char block[512] = "written inside";
	struct stat st;
	int fd;

	if (pwrite(opened, block, sizeof(block), 0) != sizeof(block) ||
	    pread(opened, block, sizeof(block), 0) != sizeof(block) || fdatasync(opened) ||
	    fallocate(opened, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) ||
	    fstat(opened, &st))
		return errno;
	fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, 4096) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK))
		return errno;
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED
		       ? errno
		       : SUCCEEDED;
}

START_TEST(open_files_stay_usable)
{
	opened = open(image, O_RDWR);
	ck_assert_int_ge(opened, 0);
	expect_error(SANDBOX_FILES, "open files", use_what_is_open, SUCCEEDED);
	expect_error(SANDBOX_ALL, "open files", use_what_is_open, SUCCEEDED);
	close(opened);
}
END_TEST

/* ---- calls: seccomp ------------------------------------------------------------------------- */

static const struct killed {
	const char *what;
	int (*attempt)(void);
} killed[] = {
	{ "creat", open_creat },
	{ "unlink", remove_image },
	{ "mkdir", make_dir },
	{ "rename", move_image },
	{ "symlink", make_link },
	{ "truncate", truncate_image },
	{ "execve", execute },
	{ "mount", mount_something },
	{ "chroot", change_root },
	{ "TCP socket", inet_socket },
	{ "Unix socket", unix_socket },
	{ "netlink socket", netlink_socket },
	{ "socketpair", socket_pair },
	{ "connect", connect_any },
	{ "bind", bind_any },
	{ "setsockopt", set_option },
	{ "getsockopt", get_option },
	{ "vfork", fork_virtual },
	{ "kill", signal_parent },
	{ "process_vm_readv", read_parent },
	{ "pidfd_open", open_process },
	{ "setuid", become_nobody },
	{ "setresuid", become_root },
	{ "unshare", new_namespace },
	{ "sethostname", set_hostname },
	{ "settime", set_time },
	{ "capset", capability_regained },
	{ "io_uring_setup", ring_setup },
	{ "io_uring_register", ring_register },
	{ "open_by_handle_at", handle_open },
	{ "keyctl", use_keys },
	{ "bpf", load_bpf },
	{ "perf_event_open", use_perf },
	{ "userfaultfd", fault_user },
	{ "ioctl", device_control },
	{ "fcntl", own_signal },
	{ "mmap of code", code_mapped },
	{ "mprotect to code", code_protected },
	{ "x32", call_of_x32 },
#ifndef SANDBOX_SANITIZED /* its runtime does these itself */
	{ "clone of a process", fork_process },
	{ "clone into a namespace", fork_namespace },
	{ "tgkill", signal_other },
	{ "ptrace", trace_parent },
	{ "prlimit", limit_parent },
	{ "prctl", change_process },
#endif
};

START_TEST(calls)
{
	const struct killed *k = &killed[_i];

	expect_kill(SANDBOX_CALLS, k->what, k->attempt);
	expect_kill(SANDBOX_ALL, k->what, k->attempt);
}
END_TEST

/* Where the kernel has no such programs, the instruction itself is what ends the process. */
START_TEST(calls_of_32_bit)
{
	struct sandbox_config cfg = { .mode = SANDBOX_ON, .layers = SANDBOX_CALLS };
	int status = inside(&cfg, call_of_32_bit);

	ck_assert(!WIFEXITED(status));
	if (WTERMSIG(status) != SIGSYS)
		printf("SKIPPED int 0x80: this kernel has no 32-bit calls\n");
}
END_TEST

START_TEST(calls_that_fail)
{
	expect_error(SANDBOX_CALLS, "clone3", fork_modern, ENOSYS);
	expect_error(SANDBOX_ALL, "open /etc/passwd", open_passwd, EACCES);
	expect_error(SANDBOX_ALL, "open, the old call", open_old_way, EACCES);
#ifndef SANDBOX_SANITIZED
	expect_error(SANDBOX_CALLS, "open /etc/passwd", open_passwd, EACCES);
	expect_error(SANDBOX_CALLS, "open another image", open_image, EACCES);
#endif
}
END_TEST

START_TEST(calls_are_only_logged)
{
	struct sandbox_config cfg = { .mode = SANDBOX_LOG };
	int status = inside(&cfg, unix_socket);

	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), SUCCEEDED);
}
END_TEST

/* ---- threads --------------------------------------------------------------------------------- */

static pthread_barrier_t sealed;

static void *old_thread(void *attempt)
{
	pthread_barrier_wait(&sealed); /* entered */
	pthread_barrier_wait(&sealed); /* sealed */
	return (void *)(intptr_t)((int (*)(void))attempt)();
}

/* A thread between the two steps, as the io threads of a root. */
static int between(uint32_t layers, int (*attempt)(void))
{
	struct sandbox_config cfg = { .mode = SANDBOX_ON, .layers = layers };
	char why[256];
	pthread_t t;
	void *err;

	pthread_barrier_init(&sealed, NULL, 2);
	if (sandbox_enter(&cfg, &state, why, sizeof(why)) ||
	    pthread_create(&t, NULL, old_thread, (void *)attempt))
		return NOT_INSIDE;
	pthread_barrier_wait(&sealed);
	if (sandbox_seal(&cfg, &state, why, sizeof(why)))
		return NOT_INSIDE;
	pthread_barrier_wait(&sealed);
	pthread_join(t, &err);
	return (int)(intptr_t)err;
}

static int status_between(uint32_t layers, int (*attempt)(void))
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (!pid)
		_exit(between(layers, attempt));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

START_TEST(threads_that_were_there)
{
	int status = status_between(SANDBOX_ALL, unix_socket);

	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "status %x",
		      (unsigned)status);
	status = status_between(SANDBOX_PRIVILEGES, change_root);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), EPERM);
	if (landlock_abi < 1)
		return;
	status = status_between(SANDBOX_FILES, open_passwd);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), EACCES);
}
END_TEST

static void *call_attempt(void *attempt)
{
	return (void *)(intptr_t)((int (*)(void))attempt)();
}

static int by_new_thread(int (*attempt)(void))
{
	pthread_t t;
	void *err;

	if (pthread_create(&t, NULL, call_attempt, (void *)attempt))
		return NOT_INSIDE;
	pthread_join(t, &err);
	return (int)(intptr_t)err;
}

static int socket_by_new_thread(void)
{
	return by_new_thread(unix_socket);
}

static int open_by_new_thread(void)
{
	return by_new_thread(open_passwd);
}

START_TEST(threads_that_come)
{
	expect_kill(SANDBOX_ALL, "socket of a new thread", socket_by_new_thread);
	expect_error(SANDBOX_ALL, "open of a new thread", open_by_new_thread, EACCES);
}
END_TEST

/* ---- the one that removes the socket's name ---------------------------------------------- */

__attribute__((unused)) static int open_dir_below(void)
{
	return openat(opened, "image", O_RDONLY) < 0 ? errno : SUCCEEDED;
}

static int remove_in_dir(void)
{
	return unlinkat(opened, "image", 0) ? errno : SUCCEEDED;
}

START_TEST(remover)
{
	struct sandbox_config cfg = { .mode = SANDBOX_ON };
	int status;

	opened = cfg.removable_dir = open(dir, O_PATH | O_DIRECTORY);
#ifndef SANDBOX_SANITIZED
	status = inside(&cfg, open_dir_below);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
#endif
	status = inside(&cfg, unix_socket);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	opened = open("/tmp", O_PATH | O_DIRECTORY);
	status = inside(&cfg, remove_in_dir); /* of another directory */
	ck_assert(WIFEXITED(status));
	ck_assert_int_ne(WEXITSTATUS(status), SUCCEEDED);
	ck_assert_int_eq(access(image, F_OK), 0);
	opened = cfg.removable_dir;
	status = inside(&cfg, remove_in_dir);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), SUCCEEDED);
	ck_assert_int_ne(access(image, F_OK), 0);
}
END_TEST

/* ---- those that keep reservations ------------------------------------------------------- */

static int replace_in_dir(void)
{
	int fd = openat(opened, "new~", SANDBOX_KEPT_OPEN, 0600);

	if (fd < 0 || write(fd, "x", 1) != 1 || fsync(fd) || close(fd))
		return errno;
	if (renameat(opened, "new~", opened, "new") || fsync(opened))
		return errno;
	fd = openat(opened, "new~", SANDBOX_KEPT_OPEN, 0600);
	if (fd < 0 || renameat(opened, "new~", opened, "new")) /* over the one before */
		return errno;
	return SUCCEEDED;
}

TRY(make_above, openat(opened, "../hvbus-box-new", SANDBOX_KEPT_OPEN, 0600))
TRY(make_anywhere, openat(opened, "/tmp/hvbus-box-new", SANDBOX_KEPT_OPEN, 0600))
TRY(cut_anywhere, openat(opened, "/etc/hostname", SANDBOX_KEPT_OPEN, 0600))
TRY(remove_above, unlinkat(opened, "../hvbus-box-victim", 0))
TRY(move_above, renameat(opened, "image", opened, "../hvbus-box-moved"))
TRY(make_by_cwd, openat(AT_FDCWD, image, SANDBOX_KEPT_OPEN, 0600))
TRY(read_below, openat(opened, "image", O_RDONLY))
TRY(write_below, openat(opened, "image", O_RDWR))
TRY(set_name, prctl(PR_SET_NAME, "x"))

static int start_process(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	return pid < 0 ? errno : SUCCEEDED;
}

static void expect_inside(const struct sandbox_config *cfg, const char *what, int (*attempt)(void),
			  int err)
{
	int status = inside(cfg, attempt);

	if (err < 0)
		ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS,
			      "%s: status %x instead of SIGSYS", what, (unsigned)status);
	else
		ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == err,
			      "%s: status %x instead of errno %d", what, (unsigned)status, err);
}

#define KILLED (-1)
#ifdef SANDBOX_SANITIZED
#define KILLED_OR(err) (err) /* the runtime needs the call; the files are closed all the same */
#else
#define KILLED_OR(err) KILLED
#endif

START_TEST(keeper_of_a_disk)
{
	struct sandbox_config cfg = { .mode = SANDBOX_ON, .job = SANDBOX_JOB_KEPT };
	static const struct {
		const char *what;
		int (*attempt)(void);
		int err;
		bool landlock;
	} t[] = {
		{ "replace", replace_in_dir, SUCCEEDED, false },
		{ "make above", make_above, EACCES, true },
		{ "make anywhere", make_anywhere, EACCES, true },
		{ "cut anywhere", cut_anywhere, EACCES, true },
		{ "remove above", remove_above, EACCES, true },
		{ "move above", move_above, EACCES, true },
		{ "another directory", make_by_cwd, KILLED_OR(SUCCEEDED), false },
		{ "read", read_below, KILLED_OR(EACCES), true },
		{ "read and write", write_below, KILLED_OR(EACCES), true },
		{ "socket", unix_socket, KILLED, false },
		{ "pair", socket_pair, KILLED, false },
		{ "execve", execute, KILLED, false },
		{ "fork", fork_process, KILLED_OR(SUCCEEDED), false },
		{ "landlock", landlock_again, KILLED, false },
		{ "bind", bind_any, KILLED, false },
		{ "ring", ring_setup, KILLED, false },
		{ "mkdir", make_dir, KILLED, false },
		{ "keys", use_keys, KILLED, false },
	};

	opened = cfg.kept_dir = open(dir, O_RDONLY | O_DIRECTORY);
	close(open("/tmp/hvbus-box-victim", O_CREAT | O_WRONLY, 0600));
	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		if (!t[i].landlock || landlock_abi >= 3)
			expect_inside(&cfg, t[i].what, t[i].attempt, t[i].err);
	ck_assert_int_eq(access(image, F_OK), 0);
	ck_assert_int_eq(unlink("/tmp/hvbus-box-victim"), 0);
	ck_assert_int_eq(unlinkat(opened, "new", 0), 0);
	close(opened);
}
END_TEST

/* It starts the former, which are confined by what they do themselves: not by its filter alone. */
START_TEST(keeper)
{
	struct sandbox_config cfg = { .mode = SANDBOX_ON,
				      .job = SANDBOX_JOB_KEEPER,
				      .layers = SANDBOX_PRIVILEGES | SANDBOX_LIMITS |
						SANDBOX_CALLS };
	static const struct {
		const char *what;
		int (*attempt)(void);
		int err;
	} t[] = {
		{ "fork", start_process, SUCCEEDED },
		{ "socket", unix_socket, KILLED },
		{ "inet", inet_socket, KILLED },
		{ "execve", execute, KILLED },
		{ "namespace", new_namespace, KILLED },
		{ "mount", mount_something, KILLED },
		{ "setuid", become_nobody, KILLED },
		{ "bind", bind_any, KILLED },
		{ "kill", signal_parent, KILLED },
		{ "ring", ring_setup, KILLED },
		{ "code", code_mapped, KILLED_OR(KILLED) },
		{ "mkdir", make_dir, KILLED },
		{ "read", read_below, KILLED_OR(SUCCEEDED) },
		{ "prctl", set_name, KILLED_OR(SUCCEEDED) },
	};

	opened = open(dir, O_RDONLY | O_DIRECTORY);
	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		expect_inside(&cfg, t[i].what, t[i].attempt, t[i].err);
	close(opened);
}
END_TEST

/* ---- a switch's NAT, and the one that starts NATs -------------------------------------- */

TRY(read_name_servers, open("/etc/resolv.conf", O_RDONLY))
TRY(write_name_servers, open("/etc/resolv.conf", O_WRONLY))

START_TEST(nat)
{
	struct sandbox_config cfg = { .mode = SANDBOX_ON, .job = SANDBOX_JOB_NAT };
	static const struct {
		const char *what;
		int (*attempt)(void);
		int err;
		bool landlock;
	} t[] = {
		{ "read name servers", read_name_servers, SUCCEEDED, false },
		{ "write name servers", write_name_servers, KILLED_OR(EACCES), true },
		{ "read", open_passwd, EACCES, true },
		{ "list", read_dir, EACCES, true },
		{ "make", create_file, KILLED_OR(EACCES), true },
		{ "inet", inet_socket, SUCCEEDED, false },
		{ "socket", unix_socket, EACCES, false },
		{ "netlink", netlink_socket, KILLED, false },
		{ "pair", socket_pair, KILLED, false },
		{ "execve", execute, KILLED, false },
		{ "fork", fork_process, KILLED_OR(SUCCEEDED), false },
		{ "kill", signal_parent, KILLED, false },
		{ "pidfd", open_process, KILLED, false },
		{ "namespace", new_namespace, KILLED, false },
		{ "setuid", become_nobody, KILLED, false },
		{ "landlock", landlock_again, KILLED, false },
		{ "ring", ring_setup, KILLED, false },
		{ "code", code_mapped, KILLED, false },
		{ "mkdir", make_dir, KILLED, false },
		{ "keys", use_keys, KILLED, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		if (!t[i].landlock || landlock_abi >= 3)
			expect_inside(&cfg, t[i].what, t[i].attempt, t[i].err);
}
END_TEST

START_TEST(starter_of_nats)
{
	struct sandbox_config cfg = { .mode = SANDBOX_ON,
				      .job = SANDBOX_JOB_NATS,
				      .layers = SANDBOX_PRIVILEGES | SANDBOX_LIMITS |
						SANDBOX_CALLS };
	static const struct {
		const char *what;
		int (*attempt)(void);
		int err;
	} t[] = {
		{ "fork", start_process, SUCCEEDED },
		{ "socket", unix_socket, EACCES },
		{ "netlink", netlink_socket, KILLED },
		{ "execve", execute, KILLED },
		{ "namespace", new_namespace, KILLED },
		{ "mount", mount_something, KILLED },
		{ "setuid", become_nobody, KILLED },
		{ "write", open_image, KILLED_OR(SUCCEEDED) },
		{ "ring", ring_setup, KILLED },
		{ "code", code_mapped, KILLED },
		{ "mkdir", make_dir, KILLED },
		{ "prctl", set_name, KILLED_OR(SUCCEEDED) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		expect_inside(&cfg, t[i].what, t[i].attempt, t[i].err);
}
END_TEST

/* ---- the ring's own rules ---------------------------------------------------------------- */

struct try_op {
	struct loop_op op;
	struct loop *loop;
	int32_t res;
};

static void op_done(struct loop_op *op, int32_t res, uint32_t flags)
{
	struct try_op *t = container_of(op, struct try_op, op);

	(void)flags;
	t->res = res;
	loop_stop(t->loop);
}

static void prep_openat(struct io_uring_sqe *sqe)
{
	io_uring_prep_openat(sqe, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
}

static void prep_socket(struct io_uring_sqe *sqe)
{
	io_uring_prep_socket(sqe, AF_INET, SOCK_STREAM, 0, 0);
}

static void prep_connect(struct io_uring_sqe *sqe)
{
	io_uring_prep_connect(sqe, 0, (struct sockaddr *)&tcp_peer, sizeof(tcp_peer));
}

static void prep_unlink(struct io_uring_sqe *sqe)
{
	io_uring_prep_unlinkat(sqe, AT_FDCWD, image, 0);
}

static void prep_statx(struct io_uring_sqe *sqe)
{
	static struct statx sx;

	io_uring_prep_statx(sqe, AT_FDCWD, "/etc/passwd", 0, 0, &sx);
}

static void prep_nop(struct io_uring_sqe *sqe)
{
	io_uring_prep_nop(sqe);
}

static void prep_read(struct io_uring_sqe *sqe)
{
	static char block[512];

	io_uring_prep_read(sqe, opened, block, sizeof(block), 0);
}

static void prep_buffer_select(struct io_uring_sqe *sqe)
{
	prep_read(sqe);
	sqe->flags |= IOSQE_BUFFER_SELECT;
}

START_TEST(ring)
{
	static const struct {
		const char *what;
		void (*prep)(struct io_uring_sqe *);
		int32_t res;
	} t[] = {
		{ "openat", prep_openat, -EACCES },
		{ "socket", prep_socket, -EACCES },
		{ "connect", prep_connect, -EACCES },
		{ "unlinkat", prep_unlink, -EACCES },
		{ "statx", prep_statx, -EACCES },
		{ "a flag", prep_buffer_select, -EACCES },
		{ "nop", prep_nop, 0 },
		{ "read", prep_read, 512 },
	};
	struct try_op op = { .op.done = op_done };

	if (loop_create(&op.loop, &(struct loop_config){ .engine = LOOP_URING })) {
		printf("SKIPPED the ring: no io_uring here\n");
		return;
	}
	opened = open(image, O_RDONLY);
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		op.res = 1;
		t[i].prep(loop_sqe(op.loop, &op.op));
		ck_assert_int_eq(loop_run(op.loop), 0);
		ck_assert_msg(op.res == t[i].res, "%s: %d", t[i].what, op.res);
	}
	ck_assert_int_eq(access(image, F_OK), 0);
	loop_destroy(op.loop);
	close(opened);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sandbox");
	TCase *tc = tcase_create("layers");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, privileges);
	tcase_add_test(tc, privileges_do_not_come_back);
	tcase_add_test(tc, privileges_are_reported);
	tcase_add_test(tc, limits);
	tcase_add_test(tc, files);
	tcase_add_test(tc, open_files_stay_usable);
	tcase_add_loop_test(tc, calls, 0, ARRAY_SIZE(killed));
	tcase_add_test(tc, calls_of_32_bit);
	tcase_add_test(tc, calls_that_fail);
	tcase_add_test(tc, calls_are_only_logged);
	tcase_add_test(tc, threads_that_were_there);
	tcase_add_test(tc, threads_that_come);
	tcase_add_test(tc, remover);
	tcase_add_test(tc, keeper_of_a_disk);
	tcase_add_test(tc, keeper);
	tcase_add_test(tc, nat);
	tcase_add_test(tc, starter_of_nats);
	tcase_add_test(tc, ring);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
