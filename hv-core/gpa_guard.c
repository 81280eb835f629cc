/* SPDX-License-Identifier: MIT */
/*
 * When the host cannot provide a page of guest memory that we touch (memory
 * exhausted; the file itself cannot shrink), the kernel sends SIGBUS. Here the page
 * is replaced by a private one, so that the access goes on, and the partition is
 * marked as failed. Accesses by the kernel, such as reads into guest pages, fail with
 * EFAULT by themselves.
 *
 * The table is read by the signal handler, which takes no lock: a range becomes
 * visible by its address, stored last, and disappears by it, cleared first. Nobody
 * touches a range while it is removed.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/atomic.h"
#include "hv-core/gpa_priv.h"

#define MAX_RANGES 8192 /* beyond that, ranges are simply not guarded */

struct range {
	uintptr_t start; /* 0 = free */
	uintptr_t len;
	struct hv_gpa *gpa; /* who fails; NULL when it is gone and only a view is left */
};

static struct range ranges[MAX_RANGES];
static uint32_t nr_ranges; /* places ever used */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction old_action;

static struct range *range_of(uintptr_t addr)
{
	uint32_t n = load_acquire(&nr_ranges);

	for (uint32_t i = 0; i < n; i++) {
		uintptr_t start = load_acquire(&ranges[i].start); /* R1 */

		if (start && addr - start < load_relaxed(&ranges[i].len))
			return &ranges[i];
	}
	return NULL;
}

static void gpa_fail(struct hv_gpa *g)
{
	int sock;

	if (__atomic_exchange_n(&g->failed, 1, __ATOMIC_ACQ_REL))
		return;
	sock = load_acquire(&g->guard_sock);
	if (sock >= 0)
		shutdown(sock, SHUT_RDWR); /* the partition's loop wakes up and finds out */
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	uintptr_t page = (uintptr_t)info->si_addr & ~(uintptr_t)(HV_PAGE_SIZE - 1);
	struct range *r = info->si_code > 0 ? range_of(page) : NULL; /* not from kill(2) */
	int saved_errno = errno;
	struct hv_gpa *g;

	(void)context;
	if (r && mmap((void *)page, HV_PAGE_SIZE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED) {
		g = load_acquire(&r->gpa);
		if (g)
			gpa_fail(g);
	} else {
		/* Not ours: what would have happened without us happens on the way out. */
		sigaction(SIGBUS, &old_action, NULL);
		if (info->si_code <= 0)
			raise(sig);
	}
	errno = saved_errno;
}

static void install(void)
{
	struct sigaction sa = { .sa_sigaction = on_sigbus,
				.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK };

	sigaction(SIGBUS, &sa, &old_action);
}

void hv_gpa_guard_add(struct hv_gpa *g, void *start, size_t len)
{
	uint32_t i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < nr_ranges && ranges[i].start; i++)
		;
	if (i < MAX_RANGES) {
		store_release(&ranges[i].gpa, g);
		store_relaxed(&ranges[i].len, len);
		store_release(&ranges[i].start, (uintptr_t)start); /* R1 */
		if (i == nr_ranges)
			store_release(&nr_ranges, i + 1);
	}
	pthread_mutex_unlock(&lock);
}

void hv_gpa_guard_remove(const void *start)
{
	pthread_mutex_lock(&lock);
	for (uint32_t i = 0; i < nr_ranges; i++)
		if (ranges[i].start == (uintptr_t)start)
			store_release(&ranges[i].start, 0);
	pthread_mutex_unlock(&lock);
}

void hv_gpa_guard_forget(const struct hv_gpa *g)
{
	pthread_mutex_lock(&lock);
	for (uint32_t i = 0; i < nr_ranges; i++)
		if (ranges[i].gpa == g)
			store_release(&ranges[i].gpa, NULL);
	pthread_mutex_unlock(&lock);
}

void hv_gpa_guard(struct hv_gpa *g, int sock)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, install);
	store_release(&g->guard_sock, sock);
	if (g->guarded)
		return;
	g->guarded = true;
	for (uint32_t i = 0; i < g->nr; i++)
		hv_gpa_guard_add(g, g->region[i].host, g->region[i].len);
}

bool hv_gpa_failed(const struct hv_gpa *g)
{
	return load_acquire(&g->failed);
}
