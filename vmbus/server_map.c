/* SPDX-License-Identifier: MIT */
/*
 * GPADLs of a device's primary channel as memory of the provider's (spec: vmbus, section 5;
 * netvsc, section 10).
 *
 * Each accepted GPADL has a struct bus_buffer from VMBUS_SM_MAP to VMBUS_SM_UNMAP. Nothing is
 * mapped until the provider asks, from any loop; and then UNMAP waits:
 *
 *   bus's loop             primary channel's loop           any loop
 *                                                           vmbus_device_map()    BUSY, MAPPED
 *   VMBUS_SM_UNMAP -- tell ->  ops->unmap() .............>  vmbus_device_unmap()  BUSY, IDLE
 *   vmbus_sm_unmapped() <------------------ done -----------
 *
 * What is torn down cannot be mapped any more. The last one who has to do with a torn-down
 * buffer, be it the teller or who lets go of it, posts "done"; only that frees the buffer.
 *
 * The provider has unmapped all before vmbus_device_closed() of the primary. Calls run in the
 * order in which they were posted, so when the bus hears of the close, no tell and no done is
 * on its way, and the device may go.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "base/loop.h"
#include "vmbus/server_int.h"

static uint32_t all_pieces; /* of all guests; any thread */

static struct bus_buffer *buffer_of(struct vmbus_buffer *b)
{
	return container_of(b, struct bus_buffer, pub);
}

/* ---- the list, on the bus's loop ------------------------------------------------------ */

static void buffer_free(struct bus_buffer *b)
{
	TAILQ_REMOVE(&b->dev->buffers, b, link);
	free(b);
}

/* Nobody has it mapped, and nobody is going to call for it. */
static void on_done(struct loop_call *call)
{
	struct bus_buffer *b = container_of(call, struct bus_buffer, done);
	struct vmbus_bus *bus = b->dev->bus;
	struct vmbus_sm_gpadl *gpadl = b->gpadl;

	pthread_mutex_lock(&bus->map_lock);
	buffer_free(b);
	pthread_mutex_unlock(&bus->map_lock);
	vmbus_sm_unmapped(bus->sm, gpadl);
	bus_pump(bus);
}

static void on_tell(struct loop_call *call)
{
	struct bus_buffer *b = container_of(call, struct bus_buffer, tell);
	struct vmbus_device *d = b->dev;
	struct vmbus_bus *bus = d->bus;
	bool mapped;

	pthread_mutex_lock(&bus->map_lock);
	mapped = b->state == BUFFER_MAPPED;
	pthread_mutex_unlock(&bus->map_lock);
	/* A provider that closes lets go of all by itself. */
	if (mapped && bus_chan_running(d->chan[0]))
		d->ops->unmap(d->ctx, &b->pub);
	pthread_mutex_lock(&bus->map_lock);
	b->telling = false;
	if (b->state == BUFFER_IDLE)
		loop_post(bus->loop, &b->done);
	pthread_mutex_unlock(&bus->map_lock);
}

int bus_buffer_add(struct vmbus_device *d, const struct vmbus_sm_action *a)
{
	struct bus_buffer *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->dev = d;
	b->gpadl = a->gpadl;
	b->ranges = a->ranges;
	b->pub.gpadl = a->gpadl_id;
	b->tell.fn = on_tell;
	b->done.fn = on_done;
	pthread_mutex_lock(&d->bus->map_lock);
	TAILQ_INSERT_TAIL(&d->buffers, b, link);
	pthread_mutex_unlock(&d->bus->map_lock);
	return 0;
}

/* Under the lock. */
static bool tear_down(struct bus_buffer *b)
{
	if (b->state == BUFFER_IDLE) {
		buffer_free(b);
		return true;
	}
	b->tearing = true;
	if (b->state == BUFFER_MAPPED) {
		b->telling = true;
		loop_post(b->dev->chan[0]->loop, &b->tell);
	}
	return false;
}

bool bus_buffer_remove(struct vmbus_device *d, const struct vmbus_sm_gpadl *gpadl)
{
	struct bus_buffer *b;
	bool gone = true;

	pthread_mutex_lock(&d->bus->map_lock);
	TAILQ_FOREACH(b, &d->buffers, link)
	{
		if (b->gpadl == gpadl)
			break;
	}
	if (b)
		gone = tear_down(b);
	pthread_mutex_unlock(&d->bus->map_lock);
	return gone;
}

void bus_buffers_ring(struct vmbus_device *d, const uint64_t *pfn)
{
	struct bus_buffer *b;

	pthread_mutex_lock(&d->bus->map_lock);
	TAILQ_FOREACH(b, &d->buffers, link)
	b->ring = b->ranges->qword + 1 == pfn; /* behind the header of its only range */
	pthread_mutex_unlock(&d->bus->map_lock);
}

void bus_buffers_forget(struct vmbus_device *d)
{
	struct bus_buffer *b;

	pthread_mutex_lock(&d->bus->map_lock);
	assert(!d->mapped);
	while ((b = TAILQ_FIRST(&d->buffers)))
		buffer_free(b);
	pthread_mutex_unlock(&d->bus->map_lock);
}

void bus_buffers_allow(struct vmbus_device *d, bool allow)
{
	pthread_mutex_lock(&d->bus->map_lock);
	assert(!d->mapped); /* providers unmap before they say that they are closed */
	d->may_map = allow;
	pthread_mutex_unlock(&d->bus->map_lock);
}

/* ---- mapping, on any loop ---------------------------------------------------------------- */

static bool whole_pages(const struct vmbus_gpadl *g, struct vmbus_gpadl_range *r)
{
	uint32_t cursor = 0;

	return g->rangecount == 1 && vmbus_gpadl_next(g, &cursor, r) && !r->byte_offset &&
	       r->byte_count % VMBUS_PAGE_SIZE == 0;
}

/* Under the lock. The kernel's mappings are a process's, so a guest has its share of them. */
static int take_pieces(struct bus_buffer *b, uint32_t n)
{
	struct vmbus_bus *bus = b->dev->bus;

	if (n == 1)
		n = 0; /* in a row: it is mapped with the rest of RAM */
	if (n > BUS_MAX_PIECES - bus->pieces)
		return -ENOSPC;
	if (__atomic_add_fetch(&all_pieces, n, __ATOMIC_RELAXED) > BUS_ALL_PIECES) {
		__atomic_sub_fetch(&all_pieces, n, __ATOMIC_RELAXED);
		return -ENOSPC;
	}
	bus->pieces += n;
	b->pieces = n;
	return 0;
}

/* Under the lock. From here to let_go() or BUFFER_MAPPED the buffer is the caller's. */
static int claim(struct vmbus_device *d, uint32_t gpadl, struct bus_buffer **out,
		 struct vmbus_gpadl_range *range)
{
	struct bus_buffer *b;
	int err;

	TAILQ_FOREACH(b, &d->buffers, link)
	{
		if (b->pub.gpadl == gpadl)
			break;
	}
	if (!b || b->tearing || !d->may_map)
		return -ENOENT;
	if (b->state != BUFFER_IDLE)
		return -EBUSY;
	if (b->ring || !whole_pages(b->ranges, range))
		return -EINVAL;
	err = take_pieces(b, bus_runs(range->pfn, range->npfn));
	if (err)
		return err;
	b->state = BUFFER_BUSY;
	d->mapped++;
	*out = b;
	return 0;
}

static void let_go(struct bus_buffer *b)
{
	struct vmbus_bus *bus = b->dev->bus;

	pthread_mutex_lock(&bus->map_lock);
	b->state = BUFFER_IDLE;
	b->dev->mapped--;
	bus->pieces -= b->pieces;
	__atomic_sub_fetch(&all_pieces, b->pieces, __ATOMIC_RELAXED);
	b->pieces = 0;
	if (b->tearing && !b->telling)
		loop_post(bus->loop, &b->done);
	pthread_mutex_unlock(&bus->map_lock);
}

/* False: the teardown was faster. */
static bool publish(struct bus_buffer *b)
{
	struct vmbus_bus *bus = b->dev->bus;
	bool ok;

	pthread_mutex_lock(&bus->map_lock);
	ok = !b->tearing;
	if (ok)
		b->state = BUFFER_MAPPED;
	pthread_mutex_unlock(&bus->map_lock);
	return ok;
}

int vmbus_device_map(struct vmbus_device *d, uint32_t gpadl, struct vmbus_buffer **out)
{
	struct vmbus_gpadl_range range;
	struct bus_buffer *b;
	int err;

	assert(d->ops->unmap);
	pthread_mutex_lock(&d->bus->map_lock);
	err = claim(d, gpadl, &b, &range);
	pthread_mutex_unlock(&d->bus->map_lock);
	if (err)
		return err;
	/* Without the lock: it takes a call of the kernel per piece. */
	err = hv_gpa_map_pages(d->bus->gpa, &b->pages, range.pfn, range.npfn);
	if (!err) {
		b->pub.data = b->pages.data;
		b->pub.len = (uint32_t)b->pages.len;
		if (publish(b)) {
			*out = &b->pub;
			return 0;
		}
		hv_gpa_unmap_pages(&b->pages);
		err = -ENOENT;
	}
	let_go(b);
	return err;
}

void vmbus_device_unmap(struct vmbus_device *d, struct vmbus_buffer *buffer)
{
	struct bus_buffer *b = buffer_of(buffer);

	pthread_mutex_lock(&d->bus->map_lock);
	assert(b->state == BUFFER_MAPPED);
	b->state = BUFFER_BUSY;
	pthread_mutex_unlock(&d->bus->map_lock);
	hv_gpa_unmap_pages(&b->pages);
	let_go(b);
}
