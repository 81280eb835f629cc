/* SPDX-License-Identifier: MIT */
/*
 * Flat views of rings: the pages of a list mapped in order, the data pages twice,
 * so that no packet ever wraps.
 *
 *   reserved range   [ctrl | d0 d1 .. dn | d0 d1 .. dn]
 *
 * Flat views of buffers are the same without the second copy.
 *
 * Pages that lie side by side in one RAM file are mapped by one call; for the usual
 * ring, one run of pages, that makes two mappings.
 */
#include <errno.h>
#include <sys/mman.h>

#include "hv-core/gpa_priv.h"

struct page_run {
	int fd;
	uint64_t offset; /* in the RAM file */
	uint64_t len;
};

/* Page number @k of the view is page index(k) of the list. */
static uint32_t view_index(uint32_t k, uint32_t npages)
{
	return k < npages ? k : k - npages + 1;
}

static int locate(const struct hv_gpa *g, uint64_t pfn, struct page_run *out)
{
	const struct hv_gpa_region *r;

	if (pfn >> (64 - HV_PAGE_SHIFT))
		return -EFAULT;
	r = hv_gpa_find(g, pfn << HV_PAGE_SHIFT, HV_PAGE_SIZE);
	if (!r)
		return -EFAULT;
	out->fd = r->fd;
	out->offset = r->offset + ((pfn << HV_PAGE_SHIFT) - r->gpa);
	out->len = HV_PAGE_SIZE;
	return 0;
}

static int map_run(uint8_t *at, const struct page_run *run)
{
	void *p = mmap(at, run->len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, run->fd,
		       (off_t)run->offset);

	return p == MAP_FAILED ? -errno : 0;
}

/* @total: the pages of the view. */
static int map_list(const struct hv_gpa *g, uint8_t *base, const uint64_t *pfn, uint32_t npages,
		    uint32_t total)
{
	struct page_run run, next;
	int err;

	err = locate(g, pfn[0], &run);
	for (uint32_t k = 1; !err && k < total; k++) {
		err = locate(g, pfn[view_index(k, npages)], &next);
		if (err)
			return err;
		if (next.fd == run.fd && next.offset == run.offset + run.len) {
			run.len += HV_PAGE_SIZE;
			continue;
		}
		err = map_run(base, &run);
		base += run.len;
		run = next;
	}
	return err ? err : map_run(base, &run);
}

/* A view of @total pages at *@out. */
static int map_view(struct hv_gpa *g, const uint64_t *pfn, uint32_t npages, uint32_t total,
		    uint8_t **out)
{
	size_t len = (size_t)total * HV_PAGE_SIZE;
	uint8_t *base;
	int err;

	/* The reservation keeps other threads' mappings out of the range. */
	base = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return -errno;
	err = map_list(g, base, pfn, npages, total);
	if (err) {
		munmap(base, len);
		return err;
	}
	madvise(base, len, MADV_DONTDUMP);
	if (g->guarded)
		hv_gpa_guard_add(g, base, len);
	*out = base;
	return 0;
}

static void unmap_view(void *base, size_t len)
{
	hv_gpa_guard_remove(base);
	munmap(base, len);
}

int hv_gpa_map_wrapped(struct hv_gpa *g, struct hv_gpa_view *v, const uint64_t *pfn,
		       uint32_t npages)
{
	uint8_t *base;
	int err;

	if (npages < 2 || npages - 1 > UINT32_MAX / HV_PAGE_SIZE)
		return -EINVAL;
	err = map_view(g, pfn, npages, 2 * npages - 1, &base);
	if (err)
		return err;
	v->ctrl = base;
	v->data = base + HV_PAGE_SIZE;
	v->size = (npages - 1) * HV_PAGE_SIZE;
	v->maplen = ((size_t)2 * npages - 1) * HV_PAGE_SIZE;
	return 0;
}

void hv_gpa_unmap_view(struct hv_gpa_view *v)
{
	if (v->ctrl)
		unmap_view(v->ctrl, v->maplen);
	memset(v, 0, sizeof(*v));
}

/* Where the pages are already, if they are in a row there. */
static uint8_t *in_a_row(const struct hv_gpa *g, const uint64_t *pfn, uint32_t npages)
{
	for (uint32_t i = 1; i < npages; i++)
		if (pfn[i] != pfn[i - 1] + 1)
			return NULL;
	if (pfn[0] >> (64 - HV_PAGE_SHIFT))
		return NULL;
	return hv_gpa_ptr(g, pfn[0] << HV_PAGE_SHIFT, (uint64_t)npages * HV_PAGE_SIZE);
}

int hv_gpa_map_pages(struct hv_gpa *g, struct hv_gpa_pages *p, const uint64_t *pfn, uint32_t npages)
{
	uint8_t *data;
	bool own;
	int err;

	memset(p, 0, sizeof(*p));
	if (!npages || npages > UINT32_MAX / HV_PAGE_SIZE)
		return -EINVAL;
	data = in_a_row(g, pfn, npages);
	own = !data;
	if (own) {
		err = map_view(g, pfn, npages, npages, &data);
		if (err)
			return err;
	}
	hv_gpa_get(g);
	p->data = data;
	p->len = (size_t)npages * HV_PAGE_SIZE;
	p->gpa = g;
	p->own = own;
	return 0;
}

void hv_gpa_unmap_pages(struct hv_gpa_pages *p)
{
	if (p->own)
		unmap_view(p->data, p->len);
	hv_gpa_put(p->gpa);
	memset(p, 0, sizeof(*p));
}
