/* SPDX-License-Identifier: MIT */
/*
 * The region table: guest addresses to host pointers, page lists to scatter lists.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/atomic.h"
#include "hv-core/gpa_priv.h"

#define HUGE_BYTES (2ul << 20)

int hv_gpa_create(struct hv_gpa **out)
{
	struct hv_gpa *g = calloc(1, sizeof(*g));

	if (!g)
		return -ENOMEM;
	g->refs = 1;
	g->guard_sock = -1;
	*out = g;
	return 0;
}

void hv_gpa_get(struct hv_gpa *g)
{
	__atomic_fetch_add(&g->refs, 1, __ATOMIC_RELAXED);
}

void hv_gpa_put(struct hv_gpa *g)
{
	/* G1 pairs with itself: every holder's accesses come before the unmapping. */
	if (!g || __atomic_sub_fetch(&g->refs, 1, __ATOMIC_ACQ_REL))
		return;
	for (uint32_t i = 0; i < g->nr; i++) {
		if (g->guarded)
			hv_gpa_guard_remove(g->region[i].host);
		munmap(g->region[i].host, g->region[i].len);
		close(g->region[i].fd);
	}
	if (g->guarded)
		hv_gpa_guard_forget(g);
	free(g);
}

static int region_check(const struct hv_gpa *g, const struct hv_gpa_region *r)
{
	uint64_t last, file_end;
	struct stat st;
	int seals;

	if (!r->len || (r->gpa | r->len | r->offset) % HV_PAGE_SIZE)
		return -EINVAL;
	if (__builtin_add_overflow(r->gpa, r->len - 1, &last) ||
	    __builtin_add_overflow(r->offset, r->len, &file_end))
		return -EINVAL;
	for (uint32_t i = 0; i < g->nr; i++) {
		const struct hv_gpa_region *o = &g->region[i];

		if (r->gpa <= o->gpa + (o->len - 1) && o->gpa <= last)
			return -EEXIST;
	}
	if (g->nr == HV_GPA_MAX_REGIONS)
		return -ENOSPC;
	seals = fcntl(r->fd, F_GET_SEALS);
	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		return -EPERM;
	if (fstat(r->fd, &st) < 0 || st.st_size < 0 || (uint64_t)st.st_size < file_end)
		return -EINVAL;
	return 0;
}

/*
 * Where huge pages fit, the mapping begins at a multiple of their size, so that guest and host
 * addresses are the same below that.
 */
static uint8_t *map_ram(const struct hv_gpa_region *r)
{
	size_t slack = r->len < HUGE_BYTES ? 0 : HUGE_BYTES, head;
	uint8_t *room = mmap(NULL, r->len + slack, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint8_t *host;

	if (room == MAP_FAILED)
		return MAP_FAILED;
	head = slack ? -(uintptr_t)room & (slack - 1) : 0;
	host = mmap(room + head, r->len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, r->fd,
		    (off_t)r->offset);
	if (host == MAP_FAILED) {
		munmap(room, r->len + slack);
		return MAP_FAILED;
	}
	if (head)
		munmap(room, head);
	if (slack - head)
		munmap(host + r->len, slack - head);
	return host;
}

void hv_gpa_advise_huge(struct hv_gpa *g)
{
	for (uint32_t i = 0; i < g->nr; i++)
		madvise(g->region[i].host, g->region[i].len, MADV_HUGEPAGE);
}

int hv_gpa_add_ram(struct hv_gpa *g, uint64_t gpa, uint64_t len, int fd, uint64_t offset)
{
	struct hv_gpa_region r = { .gpa = gpa, .len = len, .offset = offset, .fd = fd };
	int err;

	err = region_check(g, &r);
	if (err)
		return err;
	r.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (r.fd < 0)
		return -errno;
	r.host = map_ram(&r);
	if (r.host == MAP_FAILED) {
		err = -errno;
		close(r.fd);
		return err;
	}
	madvise(r.host, len, MADV_DONTDUMP); /* our core dumps are not the guest's business */
	g->region[g->nr++] = r;
	if (g->guarded)
		hv_gpa_guard_add(g, r.host, r.len);
	return 0;
}

uint64_t hv_gpa_ram_bytes(const struct hv_gpa *g)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < g->nr; i++)
		sum += g->region[i].len;
	return sum;
}

const struct hv_gpa_region *hv_gpa_find(const struct hv_gpa *g, uint64_t gpa, uint64_t len)
{
	for (uint32_t i = 0; i < g->nr; i++) {
		const struct hv_gpa_region *r = &g->region[i];
		uint64_t off = gpa - r->gpa; /* huge when gpa lies below the region */

		if (off < r->len)
			return len <= r->len - off ? r : NULL;
	}
	return NULL;
}

void *hv_gpa_ptr(const struct hv_gpa *g, uint64_t gpa, uint64_t len)
{
	const struct hv_gpa_region *r = hv_gpa_find(g, gpa, len);

	return r ? r->host + (gpa - r->gpa) : NULL;
}

/* Host address of page @pfn, or NULL. Regions are whole pages: where it begins it also ends. */
ALWAYS_INLINE uint8_t *page_ptr(const struct hv_gpa *g, uint64_t pfn)
{
	const struct hv_gpa_region *r = g->region;

	if (unlikely(pfn >> (64 - HV_PAGE_SHIFT)))
		return NULL;
	do {
		uint64_t off = (pfn << HV_PAGE_SHIFT) - r->gpa;

		if (likely(off < r->len))
			return r->host + off;
	} while ((++r)->len);
	return NULL;
}

/* The general case, page by page. */
static NOINLINE int scatter(const struct hv_gpa *g, struct iovec *iov, int max, const uint64_t *pfn,
			    uint32_t npfn, uint32_t byte_offset, uint32_t byte_count)
{
	uint8_t *end = NULL; /* where the last entry ends */
	uint32_t left = byte_count;
	int n = 0;

	if (byte_offset >= HV_PAGE_SIZE ||
	    (uint64_t)byte_offset + byte_count > (uint64_t)npfn * HV_PAGE_SIZE)
		return -EINVAL;
	for (; left; pfn++, byte_offset = 0) {
		uint32_t here = HV_PAGE_SIZE - byte_offset;
		uint8_t *p = page_ptr(g, *pfn);

		if (!p)
			return -EFAULT;
		p += byte_offset;
		if (here > left)
			here = left;
		if (n && p == end) {
			iov[n - 1].iov_len += here;
		} else if (n == max) {
			return -ENOSPC;
		} else {
			iov[n].iov_base = p;
			iov[n++].iov_len = here;
		}
		end = p + here;
		left -= here;
	}
	return n;
}

int hv_gpa_iov(const struct hv_gpa *g, struct iovec *iov, int max, const uint64_t *pfn,
	       uint32_t npfn, uint32_t byte_offset, uint32_t byte_count)
{
	uint64_t end = (uint64_t)byte_offset + byte_count;
	uint8_t *page;

	/* What a busy guest sends most: all in one page. */
	if (likely(end <= HV_PAGE_SIZE && byte_count && npfn && max > 0)) {
		page = page_ptr(g, pfn[0]);
		if (unlikely(!page))
			return -EFAULT;
		iov->iov_base = page + byte_offset;
		iov->iov_len = byte_count;
		return 1;
	}
	return scatter(g, iov, max, pfn, npfn, byte_offset, byte_count);
}
