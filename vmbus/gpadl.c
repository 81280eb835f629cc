/* SPDX-License-Identifier: MIT */
/*
 * Range buffers of GPADLs. Every number in them is the guest's, so sums are made in
 * 64 bits and compared with what was really received.
 */
#include "vmbus/gpadl.h"

#include <errno.h>
#include <stdlib.h>

#define QWORD sizeof(uint64_t)

int vmbus_gpadl_check_header(uint32_t range_buflen, uint32_t rangecount)
{
	if (!rangecount || range_buflen % QWORD || range_buflen / QWORD > VMBUS_GPADL_MAX_QWORDS)
		return -EINVAL;
	/* The shortest range is a header and one page. */
	if (range_buflen / QWORD < 2 * (uint64_t)rangecount)
		return -EINVAL;
	return 0;
}

int vmbus_gpadl_init(struct vmbus_gpadl *g, uint32_t range_buflen, uint32_t rangecount)
{
	memset(g, 0, sizeof(*g));
	if (vmbus_gpadl_check_header(range_buflen, rangecount))
		return -EINVAL;
	g->qword = malloc(range_buflen);
	if (!g->qword)
		return -ENOMEM;
	g->want = range_buflen / QWORD;
	g->rangecount = rangecount;
	return 0;
}

void vmbus_gpadl_fini(struct vmbus_gpadl *g)
{
	free(g->qword);
	memset(g, 0, sizeof(*g));
}

bool vmbus_gpadl_add(struct vmbus_gpadl *g, const void *data, uint32_t len)
{
	uint32_t n = len / QWORD;

	if (n > g->want - g->have)
		n = g->want - g->have;
	if (n)
		memcpy(g->qword + g->have, data, n * QWORD);
	g->have += n;
	return g->have == g->want;
}

bool vmbus_gpadl_next(const struct vmbus_gpadl *g, uint32_t *cursor, struct vmbus_gpadl_range *r)
{
	struct vmbus_gpa_range head;
	uint64_t pages;

	if (*cursor >= g->have)
		return false;
	memcpy(&head, g->qword + *cursor, sizeof(head));
	pages = ((uint64_t)head.byte_offset + head.byte_count + VMBUS_PAGE_SIZE - 1) /
		VMBUS_PAGE_SIZE;
	if (!head.byte_count || head.byte_offset >= VMBUS_PAGE_SIZE ||
	    pages > g->have - *cursor - 1)
		return false;
	r->byte_count = head.byte_count;
	r->byte_offset = head.byte_offset;
	r->pfn = g->qword + *cursor + 1;
	r->npfn = (uint32_t)pages;
	*cursor += 1 + r->npfn;
	return true;
}

int vmbus_gpadl_check(const struct vmbus_gpadl *g)
{
	struct vmbus_gpadl_range r;
	uint32_t cursor = 0, n = 0;

	if (g->have != g->want)
		return -EINVAL;
	while (vmbus_gpadl_next(g, &cursor, &r))
		n++;
	return n == g->rangecount && cursor == g->want ? 0 : -EINVAL;
}

int vmbus_gpadl_split(const struct vmbus_gpadl *g, uint32_t downstream, struct vmbus_gpadl_rings *r)
{
	struct vmbus_gpadl_range range;
	uint32_t cursor = 0;

	if (g->rangecount != 1 || !vmbus_gpadl_next(g, &cursor, &range))
		return -EINVAL;
	if (range.byte_offset || range.byte_count % VMBUS_PAGE_SIZE)
		return -EINVAL;
	/* Subtraction, because downstream + 2 can wrap. */
	if (range.npfn < 4 || downstream < 2 || downstream > range.npfn - 2)
		return -EINVAL;
	r->in_pfn = range.pfn;
	r->in_pages = downstream;
	r->out_pfn = range.pfn + downstream;
	r->out_pages = range.npfn - downstream;
	return 0;
}
