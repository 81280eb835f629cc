/* SPDX-License-Identifier: MIT */
/*
 * Guest memory of a child: addresses, and a page allocator for rings, SynIC pages
 * and I/O buffers. Allocation is for set-up time: a next-fit search in a bitmap.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "hv-core/proc/child_priv.h"

int child_mem_init(struct hv_child *c)
{
	c->nr_pages = c->memory / HV_PAGE_SIZE;
	c->used = calloc((c->nr_pages + 63) / 64, sizeof(uint64_t));
	if (!c->used)
		return -ENOMEM;
	c->next_page = 1; /* GPA 0 would hide forgotten fields */
	return 0;
}

void child_mem_fini(struct hv_child *c)
{
	free(c->used);
}

static bool page_used(const struct hv_child *c, uint64_t page)
{
	return c->used[page / 64] >> page % 64 & 1;
}

static void mark_pages(struct hv_child *c, uint64_t page, uint32_t n, bool used)
{
	for (; n; n--, page++) {
		uint64_t bit = 1ull << page % 64;

		if (used)
			c->used[page / 64] |= bit;
		else
			c->used[page / 64] &= ~bit;
	}
}

/* First of @n free pages in a row within [from, to); 0 = none. */
static uint64_t find_free(const struct hv_child *c, uint64_t from, uint64_t to, uint32_t n)
{
	uint64_t run = 0;

	for (uint64_t page = from; page < to; page++) {
		run = page_used(c, page) ? 0 : run + 1;
		if (run == n)
			return page - n + 1;
	}
	return 0;
}

int hv_child_alloc_pages(struct hv_child *c, uint32_t n, uint64_t *gpa)
{
	uint64_t page;

	if (!n)
		return -EINVAL;
	pthread_mutex_lock(&c->pages_lock);
	page = find_free(c, c->next_page, c->nr_pages, n);
	if (!page)
		page = find_free(c, 1, c->nr_pages, n);
	if (page) {
		mark_pages(c, page, n, true);
		c->next_page = page + n;
	}
	pthread_mutex_unlock(&c->pages_lock);
	if (!page)
		return -ENOMEM;
	*gpa = page << HV_PAGE_SHIFT;
	memset(c->base + *gpa, 0, (size_t)n * HV_PAGE_SIZE);
	return 0;
}

void hv_child_free_pages(struct hv_child *c, uint64_t gpa, uint32_t n)
{
	uint64_t page = gpa >> HV_PAGE_SHIFT;

	if (!page || page >= c->nr_pages || n > c->nr_pages - page)
		return;
	pthread_mutex_lock(&c->pages_lock);
	mark_pages(c, page, n, false);
	pthread_mutex_unlock(&c->pages_lock);
}

void *hv_child_ptr(struct hv_child *c, uint64_t gpa)
{
	return gpa < c->memory ? c->base + gpa : NULL;
}

bool hv_child_gpa(struct hv_child *c, const void *p, uint64_t *gpa)
{
	uint64_t off = (uint64_t)((uintptr_t)p - (uintptr_t)c->base);

	if (off >= c->memory)
		return false;
	*gpa = off;
	return true;
}

uint64_t hv_child_memory(const struct hv_child *c)
{
	return c->memory;
}

int hv_child_map_wrapped(struct hv_child *c, uint64_t gpa, uint32_t npages, void **ctrl,
			 uint8_t **data, uint32_t *size, size_t *maplen)
{
	struct hv_gpa_view v;
	uint64_t *pfn;
	int err;

	if (gpa % HV_PAGE_SIZE || npages > c->nr_pages)
		return -EINVAL;
	pfn = malloc((npages + 1) * sizeof(*pfn));
	if (!pfn)
		return -ENOMEM;
	for (uint32_t i = 0; i < npages; i++)
		pfn[i] = (gpa >> HV_PAGE_SHIFT) + i;
	err = hv_gpa_map_wrapped(c->gpa, &v, pfn, npages);
	free(pfn);
	if (err)
		return err;
	*ctrl = v.ctrl;
	*data = v.data;
	*size = v.size;
	*maplen = v.maplen;
	return 0;
}

void hv_child_unmap_wrapped(void *ctrl, size_t maplen)
{
	munmap(ctrl, maplen);
}
