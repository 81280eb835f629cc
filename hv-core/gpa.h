/* SPDX-License-Identifier: MIT */
/*
 * Guest memory: which guest physical addresses are RAM, and where they are in
 * this process. RAM is always a sealed memfd mapped shared, for process
 * partitions and VMs alike.
 *
 * Threads: the table is fixed once the partition runs, so look-ups take no lock.
 * Lifetime: reference counted by hv_gpa_get/put; whoever does I/O into guest
 * pages or maps a ring holds a reference, so no page is unmapped or reported
 * free under it.
 */
#ifndef HVBUS_HV_CORE_GPA_H
#define HVBUS_HV_CORE_GPA_H

#include <stdbool.h>
#include <sys/uio.h>

#include "hv-core/hv_defs.h"

struct hv_gpa;

#define HV_GPA_MAX_REGIONS 8

/* An empty map with one reference, the caller's. -ENOMEM. */
int hv_gpa_create(struct hv_gpa **out);
void hv_gpa_get(struct hv_gpa *g);
/* The last put unmaps everything and closes the region fds. */
void hv_gpa_put(struct hv_gpa *g);

/*
 * Adds RAM: @len bytes of @fd from @offset, at guest address @gpa; all multiples of
 * 4096. Duplicates @fd. All or nothing.
 * Errors: -EINVAL (alignment, wraps, zero length), -EEXIST (overlap), -ENOSPC (too
 * many regions), -EPERM (@fd not sealed against shrinking), -ENOMEM, -EMFILE.
 */
int hv_gpa_add_ram(struct hv_gpa *g, uint64_t gpa, uint64_t len, int fd, uint64_t offset);

/* Asks for huge pages where regions allow it; what the host makes of it shows in speed only. */
void hv_gpa_advise_huge(struct hv_gpa *g);

uint64_t hv_gpa_ram_bytes(const struct hv_gpa *g);

/* Host address of [gpa, gpa + len), or NULL when any byte of it is not RAM of one region. */
void *hv_gpa_ptr(const struct hv_gpa *g, uint64_t gpa, uint64_t len);

/*
 * Scatter list of @byte_count bytes that start @byte_offset (< 4096) into the first of
 * @npfn pages; neighbouring pages are merged. Returns the entries written, -EFAULT
 * when a page is not RAM, -ENOSPC when @max is too small, -EINVAL when the pages do
 * not cover the bytes.
 */
int hv_gpa_iov(const struct hv_gpa *g, struct iovec *iov, int max, const uint64_t *pfn,
	       uint32_t npfn, uint32_t byte_offset, uint32_t byte_count);

/*
 * From now on a page of @g (or of a view of it) that the host cannot provide when it is
 * touched does not end this process: the toucher gets a zeroed page of its own,
 * hv_gpa_failed() becomes true, and @sock is shut down so that its loop wakes up (-1 =
 * nothing is, any more). Installs a SIGBUS handler; faults elsewhere go to the previous one.
 */
void hv_gpa_guard(struct hv_gpa *g, int sock);
bool hv_gpa_failed(const struct hv_gpa *g);

/*
 * Maps a ring made of @npages guest pages: first a control page, then the data
 * pages twice back to back. The view is [ctrl][data][data].
 */
struct hv_gpa_view {
	void *ctrl;    /* 4096 bytes */
	uint8_t *data; /* (npages - 1) * 4096 bytes, mapped twice */
	uint32_t size; /* bytes of data, mapped once */
	size_t maplen; /* hv_gpa_unmap_view()'s */
};

/* Errors: -EFAULT (a page is not RAM), -EINVAL (fewer than 2 pages), -ENOMEM. */
int hv_gpa_map_wrapped(struct hv_gpa *g, struct hv_gpa_view *v, const uint64_t *pfn,
		       uint32_t npages);
void hv_gpa_unmap_view(struct hv_gpa_view *v);

/* Guest pages mapped in a row, in the order of a list. */
struct hv_gpa_pages {
	uint8_t *data;
	size_t len;
	struct hv_gpa *gpa; /* referenced */
	bool own;	    /* a mapping of its own; else these pages are in a row in RAM anyway */
};

/*
 * Any thread. *@p holds a reference to @g until hv_gpa_unmap_pages(), which may be called
 * again and does nothing then.
 * Errors: -EFAULT (a page is not RAM), -EINVAL (no page, or 4 GiB and more), -ENOMEM.
 */
int hv_gpa_map_pages(struct hv_gpa *g, struct hv_gpa_pages *p, const uint64_t *pfn,
		     uint32_t npages);
void hv_gpa_unmap_pages(struct hv_gpa_pages *p);

/* A sealed RAM file of @len bytes (F_SEAL_SHRINK|GROW|SEAL). Returns the fd or -errno. */
int hv_memfd_create(const char *name, uint64_t len);
/* 0 when @fd is a memfd sealed as above whose size is @len; else -EINVAL or -EPERM. */
int hv_memfd_check(int fd, uint64_t len);

#endif
