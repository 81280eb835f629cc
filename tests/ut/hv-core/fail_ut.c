/* SPDX-License-Identifier: MIT */
/*
 * Every allocation fails once (F23): for n = 1, 2, .. the n-th allocating call of an
 * operation fails, until the operation succeeds. Each failure must be an error
 * code and leave nothing behind.
 *
 * The allocating functions of libc are replaced in this program. The sanitizers
 * replace them too, so there the operations just succeed.
 */
#include "tests/ut/hv-core/proc_rig.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "hv-core/child.h"

#if defined(HVBUS_TSAN) || defined(__SANITIZE_ADDRESS__)
#define INJECT 0
#else
#define INJECT 1
#endif

static __thread uint32_t fail_in; /* 0 = never, 1 = the next call */
static __thread uint32_t failed;

#if INJECT
static int fail_now(int err)
{
	if (!fail_in || --fail_in)
		return 0;
	failed++;
	errno = err;
	return 1;
}

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_memalign(size_t align, size_t n);

void *malloc(size_t n)
{
	return fail_now(ENOMEM) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return fail_now(ENOMEM) ? NULL : __libc_calloc(n, size);
}

void *aligned_alloc(size_t align, size_t n)
{
	return fail_now(ENOMEM) ? NULL : __libc_memalign(align, n);
}

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	if (fail_now(ENOMEM))
		return MAP_FAILED;
	return (void *)(uintptr_t)syscall(SYS_mmap, addr, len, prot, flags, fd, off);
}

int memfd_create(const char *name, unsigned int flags)
{
	return fail_now(EMFILE) ? -1 : (int)syscall(SYS_memfd_create, name, flags);
}

int eventfd(unsigned int n, int flags)
{
	return fail_now(EMFILE) ? -1 : (int)syscall(SYS_eventfd2, n, flags);
}

int socket(int domain, int type, int protocol)
{
	return fail_now(EMFILE) ? -1 : (int)syscall(SYS_socket, domain, type, protocol);
}

int fcntl(int fd, int cmd, ...)
{
	va_list ap;
	long arg;

	va_start(ap, cmd);
	arg = va_arg(ap, long);
	va_end(ap);
	if (cmd == F_DUPFD_CLOEXEC && fail_now(EMFILE))
		return -1;
	return (int)syscall(SYS_fcntl, fd, cmd, arg);
}

int pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

	if (fail_now(EAGAIN))
		return EAGAIN;
	*(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
	return real(t, attr, fn, arg);
}
#endif

static struct root_rig root;

/* Runs @op with every possible failure; it returns 0 or -errno and has undone itself if not. */
static uint32_t fail_each(int (*op)(void), void (*undo)(void), uint32_t min_failures)
{
	struct held before;
	uint32_t failures = 0;
	int err;

	ck_assert_int_eq(op(), 0); /* what is made once and kept, is made now */
	undo();
	before = held_now();
	for (uint32_t n = 1;; n++) {
		failed = 0;
		fail_in = INJECT * n;
		err = op();
		fail_in = 0;
		if (!failed)
			break;
		failures++;
		ck_assert_msg(err == -ENOMEM || err == -EMFILE || err == -EAGAIN, "%u: %d", n, err);
		assert_held(before, "failure", (int)n);
	}
	ck_assert_int_eq(err, 0);
	undo();
	ASSERT_HELD(before);
	ck_assert_uint_ge(failures, INJECT * min_failures);
	return failures;
}

/* ---- operations ---------------------------------------------------------------------- */

static int raw_sock;

static int accept_child(void)
{
	struct hv_proc_hello h = good_hello();
	int sv[2], err;

	if (syscall(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv))
		return -errno;
	err = rig_accept(&root, sv[0], &h, sizeof(h));
	raw_sock = sv[1];
	if (err)
		close(raw_sock);
	return err;
}

static void end_child(void)
{
	close(raw_sock);
	RUN_UNTIL(&root, !root.proc);
}

START_TEST(accepting)
{
	root_rig_up(&root);
	fail_each(accept_child, end_child, 7);
	root_rig_down(&root);
}
END_TEST

static struct hv_gpa *gpa;
static struct hv_gpa_view view;

static int map_view(void)
{
	static const uint64_t pfn[5] = { 1, 2, 7, 5, 4 };

	return hv_gpa_map_wrapped(gpa, &view, pfn, 5);
}

static int map_straight_view(void)
{
	static const uint64_t pfn[5] = { 3, 4, 5, 6, 7 };

	return hv_gpa_map_wrapped(gpa, &view, pfn, 5);
}

static void unmap_view(void)
{
	hv_gpa_unmap_view(&view);
}

START_TEST(mapping_a_ring)
{
	int fd = hv_memfd_create("hvbus-ut", 1 << 20);

	ck_assert_int_eq(hv_gpa_create(&gpa), 0);
	ck_assert_int_eq(hv_gpa_add_ram(gpa, 0, 1 << 20, fd, 0), 0);
	close(fd);
	fail_each(map_view, unmap_view, 8); /* the reservation and seven runs */
	/* A ring in one run of pages costs no call per page. */
	ck_assert_uint_eq(fail_each(map_straight_view, unmap_view, 3), INJECT * 3);
	hv_gpa_put(gpa);
}
END_TEST

static int make_ports(void)
{
	int err = hv_port_create_event(fake_partition(rig), 0x2001, 0);

	if (err)
		return err;
	err = hv_port_create_event(fake_partition(rig), 0x2101, 0);
	if (err)
		hv_port_delete(fake_partition(rig), 0x2001);
	return err;
}

static void delete_ports(void)
{
	hv_port_delete(fake_partition(rig), 0x2001);
	hv_port_delete(fake_partition(rig), 0x2101);
}

START_TEST(creating_ports)
{
	rig_up(1);
	fail_each(make_ports, delete_ports, 2);
	rig_down();
}
END_TEST

/* The child library, against a root in another process. */
static struct hv_child *child;
static uint32_t silent; /* failures without a reason, or the reverse */

static int connect_child(void)
{
	struct hv_child_config cfg = { .memory = 1 << 20, .nr_vps = 2 };
	char why[200] = "";
	int err = hv_child_connect(&child, root.path, &cfg, why, sizeof(why));

	/* Asserting allocates: not here. */
	silent += !err != !why[0];
	return err;
}

static void destroy_child(void)
{
	hv_child_destroy(child);
}

START_TEST(connecting)
{
	pid_t pid;

	root_rig_up(&root);
	pid = root_rig_fork(&root);
	fail_each(connect_child, destroy_child, 8);
	ck_assert_uint_eq(silent, 0);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	root_rig_forget(&root);
}
END_TEST

RIG_MAIN("hv-core/fail", accepting, mapping_a_ring, creating_ports, connecting)
