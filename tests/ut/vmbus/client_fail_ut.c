/* SPDX-License-Identifier: MIT */
/*
 * Every allocation of the client fails once (spec: hostile cases F23): for n = 1, 2, .. the
 * n-th allocating call of a whole life fails, until none is left to fail. The caller gets
 * an error, nothing is left behind, and the next life works.
 *
 * The allocating functions of libc are replaced in this program, for the test's thread
 * only. The sanitizers replace them too, so there the calls just succeed.
 */
#include <dirent.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"
#include "tests/ut/vmbus/client_rig.h"

#if defined(HVBUS_TSAN) || defined(__SANITIZE_ADDRESS__)
#define INJECT 0
#else
#define INJECT 1
#endif

static __thread uint32_t fail_in; /* 0 = never, 1 = the next call */
static uint32_t failed;
static __thread int64_t live; /* allocations of this thread not freed yet */

#if INJECT
static int fail_now(void)
{
	if (!fail_in || --fail_in)
		return 0;
	failed++;
	errno = ENOMEM;
	return 1;
}

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_memalign(size_t align, size_t n);
void __libc_free(void *p);

static void *counted(void *p)
{
	live += p != NULL;
	return p;
}

void *malloc(size_t n)
{
	return fail_now() ? NULL : counted(__libc_malloc(n));
}

void *calloc(size_t n, size_t size)
{
	return fail_now() ? NULL : counted(__libc_calloc(n, size));
}

void *aligned_alloc(size_t align, size_t n)
{
	return fail_now() ? NULL : counted(__libc_memalign(align, n));
}

void free(void *p)
{
	live -= p != NULL;
	__libc_free(p);
}

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	if (fail_now())
		return MAP_FAILED;
	return (void *)(uintptr_t)syscall(SYS_mmap, addr, len, prot, flags, fd, off);
}
#endif

static int count(const char *dir)
{
	DIR *d = opendir(dir);
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

/* Whether all of it worked. */
static bool life(void)
{
	struct vmbus_chan *c[2];
	struct vmbus_offer o;
	int open = 0;

	if (vmbus_client_connect(&bus, hv, NULL)) {
		bus = NULL;
		return false;
	}
	for (uint32_t i = 0; i < 2; i++) {
		if (vmbus_client_find(bus, &evil_type, i, &o))
			break; /* its offer found no memory */
		if (vmbus_client_open(bus, &o, RING, i, 0, NULL, NULL, &c[open]))
			continue;
		if (vmbus_client_modify(bus, c[open], 2))
			break;
		open++;
	}
	if (open)
		vmbus_client_close(bus, c[0]);
	vmbus_client_destroy(bus); /* the other one is open still */
	bus = NULL;
	return open == 2;
}

START_TEST(every_allocation_fails_once)
{
	uint32_t n = 0, pages;
	int64_t before, after;
	bool worked;
	int fds;

	rig_root();
	evil_add(&root, 5, 0, 5);
	evil_add(&root, 6, 0, 6);
	rig_child(0);
	ck_assert(life());
	pages = rig_free_pages();
	fds = count("/proc/self/fd");
	do {
		failed = 0;
		before = live;
		fail_in = INJECT * ++n;
		worked = life();
		fail_in = 0;
		after = live;
		ck_assert_int_eq(after, before);
		ck_assert_int_eq(worked, !failed);
		ck_assert(life()); /* U9 */
		ck_assert_uint_eq(rig_free_pages(), pages);
		ck_assert_int_eq(count("/proc/self/fd"), fds);
		for (int i = 0; i < EVIL_GPADLS; i++) {
			evil_lock(&root);
			ck_assert(!root.gpadl[i].used);
			evil_unlock(&root);
		}
	} while (failed);
	ck_assert_uint_ge(n, INJECT * 15);
	rig_fini();
}
END_TEST

/* Guest memory is small and others use it. */
START_TEST(rings_that_find_no_guest_memory)
{
	struct vmbus_offer o;
	struct vmbus_chan *c;
	uint64_t gpa;
	uint32_t n;

	rig_root();
	evil_add(&root, 5, 0, 5);
	rig_connect();
	o = rig_offer(0);
	n = rig_free_pages();
	ck_assert_int_eq(hv_child_alloc_pages(hv, n - 7, &gpa), 0);
	ck_assert_int_eq(vmbus_client_open(bus, &o, RING, 0, 0, NULL, NULL, &c), -ENOMEM);
	ck_assert_uint_eq(rig_free_pages(), 7);
	hv_child_free_pages(hv, gpa, 1);
	ck_assert_uint_eq(rig_count(VMBUS_MSG_GPADL_HEADER), 0);
	hv_child_free_pages(hv, gpa + 4096, n - 8);
	c = rig_open(&o, 0);
	rig_echo(c, 0, 1);
	rig_fini();
}
END_TEST

static void add_all(TCase *tc)
{
	tcase_add_test(tc, every_allocation_fails_once);
	tcase_add_test(tc, rings_that_find_no_guest_memory);
}

int main(void)
{
	static void (*const parts[])(TCase *) = { add_all };

	return rig_main("vmbus/client without memory", parts, ARRAY_SIZE(parts));
}
