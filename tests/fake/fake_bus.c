/* SPDX-License-Identifier: MIT */
/*
 * The bus side of vmbus/device.h for tests. Misuse by a provider (closed() twice, kick
 * of a closed channel) aborts the test program.
 */
#include "tests/fake/fake_bus.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/loop.h"

#define REQUIRE(cond)                                                                              \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "fake_bus: %s:%d: %s\n", __FILE__, __LINE__, #cond);       \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

enum chan_state { CHAN_CLOSED, CHAN_OPEN, CHAN_CLOSING };

struct fake_chan {
	struct vmbus_device *dev;
	uint16_t sub;
	enum chan_state state;
	bool faulted;
	uint64_t sent_at_close; /* packets: a closed ring is not written to */
	uint32_t pages;		/* per ring; the guest memory is used again by the next open */
	uint64_t ring_gpa;
	struct vmbus_chan *host, *guest;
	struct hv_gpa_view host_in, host_out, guest_in, guest_out;
};

struct fake_gpadl {
	uint64_t *pfn; /* NULL: this place is free */
	uint32_t pages;
	bool mapped, tearing;
	struct hv_gpa_pages map;
	struct vmbus_buffer pub;
};

struct vmbus_device {
	struct vmbus_bus *bus;
	const struct vmbus_device_ops *ops;
	void *ctx;
	struct vmbus_device_desc desc;
	char name[32];
	uint16_t subchannels;
	void (*gone)(void *dev);
	bool revoked;
	struct fake_chan chan[FAKE_BUS_SUBS];
	struct fake_gpadl gpadl[FAKE_BUS_GPADLS];
};

struct vmbus_bus {
	struct loop *loop;
	struct hv_gpa *gpa;
	uint8_t *mem; /* the guest's own mapping */
	uint64_t size, next;
	uint32_t vps, nr_devices;
	bool close_on_fault;
	struct vmbus_device *device[FAKE_BUS_DEVICES];
	struct fake_bus_counts counts;
};

/* ---- memory ------------------------------------------------------------------------ */

struct vmbus_bus *fake_bus_create(struct loop *loop, uint64_t memory)
{
	struct vmbus_bus *bus = calloc(1, sizeof(*bus));
	int fd = hv_memfd_create("fake guest", memory);

	REQUIRE(bus && fd >= 0);
	bus->loop = loop;
	bus->size = memory;
	bus->next = 4096; /* guest address 0 stays unused: it hides mistakes */
	bus->vps = 4;
	bus->mem = mmap(NULL, memory, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(bus->mem != MAP_FAILED);
	REQUIRE(!hv_gpa_create(&bus->gpa));
	REQUIRE(!hv_gpa_add_ram(bus->gpa, 0, memory, fd, 0));
	close(fd);
	return bus;
}

void fake_bus_kill_memory(struct vmbus_bus *bus)
{
	if (bus->mem)
		munmap(bus->mem, bus->size);
	bus->mem = NULL;
	if (bus->gpa)
		hv_gpa_put(bus->gpa);
	bus->gpa = NULL;
}

void fake_bus_destroy(struct vmbus_bus *bus)
{
	uint32_t i;

	for (i = 0; i < bus->nr_devices; i++)
		REQUIRE(!bus->device[i]);
	fake_bus_kill_memory(bus);
	free(bus);
}

struct loop *fake_bus_loop(struct vmbus_bus *bus)
{
	return bus->loop;
}

struct hv_gpa *fake_bus_gpa(struct vmbus_bus *bus)
{
	return bus->gpa;
}

uint64_t fake_bus_alloc(struct vmbus_bus *bus, uint32_t pages)
{
	uint64_t gpa = bus->next;

	bus->next += pages * 4096ull;
	REQUIRE(bus->next <= bus->size);
	return gpa;
}

void *fake_bus_ptr(struct vmbus_bus *bus, uint64_t gpa)
{
	REQUIRE(gpa < bus->size);
	return bus->mem + gpa;
}

void fake_bus_set_vps(struct vmbus_bus *bus, uint32_t vps)
{
	bus->vps = vps;
}

/* ---- the provider's calls --------------------------------------------------------------- */

int vmbus_device_offer(struct vmbus_device **out, struct vmbus_bus *bus,
		       const struct vmbus_device_desc *desc, const struct vmbus_device_ops *ops,
		       void *dev)
{
	struct vmbus_device *d;
	uint16_t i;

	for (i = 0; i < bus->nr_devices; i++)
		if (bus->device[i] && guid_equal(&bus->device[i]->desc.type, &desc->type) &&
		    guid_equal(&bus->device[i]->desc.instance, &desc->instance))
			return -EEXIST;
	if (bus->nr_devices == FAKE_BUS_DEVICES)
		return -ENOSPC;
	d = calloc(1, sizeof(*d));
	REQUIRE(d);
	d->bus = bus;
	d->ops = ops;
	d->ctx = dev;
	d->desc = *desc;
	snprintf(d->name, sizeof(d->name), "%s", desc->name);
	d->desc.name = d->name;
	for (i = 0; i < FAKE_BUS_SUBS; i++) {
		d->chan[i].dev = d;
		d->chan[i].sub = i;
	}
	bus->device[bus->nr_devices++] = d;
	*out = d;
	return 0;
}

int vmbus_device_offer_subchannels(struct vmbus_device *d, uint16_t n)
{
	REQUIRE(d->chan[0].state == CHAN_OPEN);
	d->bus->counts.offers_subs++;
	d->subchannels = n;
	return 0;
}

/* ---- buffers ------------------------------------------------------------------------------ */

static struct fake_gpadl *find_gpadl(struct vmbus_device *d, uint32_t id)
{
	for (uint32_t i = 0; i < FAKE_BUS_GPADLS; i++)
		if (d->gpadl[i].pfn && d->gpadl[i].pub.gpadl == id)
			return &d->gpadl[i];
	return NULL;
}

static void forget_gpadl(struct fake_gpadl *g)
{
	REQUIRE(!g->mapped);
	free(g->pfn);
	memset(g, 0, sizeof(*g));
}

int vmbus_device_map(struct vmbus_device *d, uint32_t gpadl, struct vmbus_buffer **out)
{
	struct fake_gpadl *g = find_gpadl(d, gpadl);

	if (!g || g->tearing || !d->chan[0].host)
		return -ENOENT;
	if (g->mapped)
		return -EBUSY;
	REQUIRE(d->ops->unmap);
	REQUIRE(!hv_gpa_map_pages(d->bus->gpa, &g->map, g->pfn, g->pages));
	g->mapped = true;
	g->pub.data = g->map.data;
	g->pub.len = (uint32_t)g->map.len;
	d->bus->counts.maps++;
	*out = &g->pub;
	return 0;
}

void vmbus_device_unmap(struct vmbus_device *d, struct vmbus_buffer *b)
{
	struct fake_gpadl *g = find_gpadl(d, b->gpadl);

	REQUIRE(g && b == &g->pub && g->mapped);
	hv_gpa_unmap_pages(&g->map);
	g->mapped = false;
	d->bus->counts.unmaps++;
	if (g->tearing)
		forget_gpadl(g);
}

static bool any_mapped(const struct vmbus_device *d)
{
	for (uint32_t i = 0; i < FAKE_BUS_GPADLS; i++)
		if (d->gpadl[i].mapped)
			return true;
	return false;
}

/* ---- the provider's end --------------------------------------------------------------------- */

/* Nobody holds the device any more: frees it and tells its owner. */
static void maybe_gone(struct vmbus_device *d)
{
	struct vmbus_bus *bus = d->bus;
	uint32_t i;

	for (i = 0; i < FAKE_BUS_SUBS; i++)
		if (d->chan[i].state != CHAN_CLOSED)
			return;
	if (!d->revoked)
		return;
	for (i = 0; i < bus->nr_devices; i++)
		if (bus->device[i] == d)
			bus->device[i] = NULL;
	for (i = 0; i < FAKE_BUS_GPADLS; i++)
		forget_gpadl(&d->gpadl[i]);
	d->gone(d->ctx);
	free(d);
}

static void unmap_chan(struct fake_chan *c)
{
	vmbus_chan_destroy(c->host);
	vmbus_chan_destroy(c->guest);
	hv_gpa_unmap_view(&c->host_in);
	hv_gpa_unmap_view(&c->host_out);
	hv_gpa_unmap_view(&c->guest_in);
	hv_gpa_unmap_view(&c->guest_out);
	c->host = c->guest = NULL;
}

static uint64_t packets_sent(const struct fake_chan *c)
{
	struct vmbus_chan_stats st;

	vmbus_chan_stats(c->host, &st);
	return st.packets_out;
}

static void close_chan(struct fake_chan *c)
{
	c->state = CHAN_CLOSING;
	c->sent_at_close = packets_sent(c);
	c->dev->bus->counts.closes++;
	c->dev->ops->close(c->dev->ctx, c->sub);
}

void vmbus_device_closed(struct vmbus_device *d, uint16_t sub)
{
	REQUIRE(sub < FAKE_BUS_SUBS && d->chan[sub].state == CHAN_CLOSING);
	REQUIRE(packets_sent(&d->chan[sub]) == d->chan[sub].sent_at_close);
	REQUIRE(sub || !any_mapped(d));
	unmap_chan(&d->chan[sub]);
	d->chan[sub].state = CHAN_CLOSED;
	d->bus->counts.closed++;
	maybe_gone(d);
}

void vmbus_device_revoke(struct vmbus_device *d, void (*gone)(void *dev))
{
	uint32_t i;

	d->gone = gone;
	for (i = FAKE_BUS_SUBS; i-- > 0;) {
		if (d->chan[i].state == CHAN_OPEN)
			close_chan(&d->chan[i]);
	}
	d->revoked = true; /* only now: a close above may have ended at once */
	maybe_gone(d);
}

void vmbus_device_kick(struct vmbus_device *d, uint16_t sub)
{
	REQUIRE(sub < FAKE_BUS_SUBS && d->chan[sub].state == CHAN_OPEN);
	d->bus->counts.kicks++;
}

uint32_t vmbus_bus_partition_id(const struct vmbus_bus *bus)
{
	(void)bus;
	return 1;
}

uint32_t vmbus_bus_nr_vps(const struct vmbus_bus *bus)
{
	return bus->vps;
}

/* ---- devices ------------------------------------------------------------------------------ */

static struct vmbus_device *device(const struct vmbus_bus *bus, uint32_t dev)
{
	REQUIRE(dev < bus->nr_devices && bus->device[dev]);
	return bus->device[dev];
}

uint32_t fake_bus_devices(const struct vmbus_bus *bus)
{
	return bus->nr_devices;
}

const struct vmbus_device_desc *fake_bus_desc(const struct vmbus_bus *bus, uint32_t dev)
{
	return &device(bus, dev)->desc;
}

uint16_t fake_bus_subchannels(const struct vmbus_bus *bus, uint32_t dev)
{
	return device(bus, dev)->subchannels;
}

static struct fake_chan *channel(const struct vmbus_bus *bus, uint32_t dev, uint16_t sub)
{
	REQUIRE(sub < FAKE_BUS_SUBS);
	return &device(bus, dev)->chan[sub];
}

/* ---- the guest's buffers ----------------------------------------------------------------------
 */

void fake_bus_gpadl_add_list(struct vmbus_bus *bus, uint32_t dev, uint32_t gpadl,
			     const uint64_t *pfn, uint32_t npages)
{
	struct vmbus_device *d = device(bus, dev);
	uint32_t i = 0;

	REQUIRE(npages && !find_gpadl(d, gpadl));
	while (i < FAKE_BUS_GPADLS && d->gpadl[i].pfn)
		i++;
	REQUIRE(i < FAKE_BUS_GPADLS);
	d->gpadl[i].pfn = malloc(npages * sizeof(*pfn));
	REQUIRE(d->gpadl[i].pfn);
	memcpy(d->gpadl[i].pfn, pfn, npages * sizeof(*pfn));
	d->gpadl[i].pages = npages;
	d->gpadl[i].pub.gpadl = gpadl;
}

void fake_bus_gpadl_add(struct vmbus_bus *bus, uint32_t dev, uint32_t gpadl, uint64_t gpa,
			uint32_t pages)
{
	uint64_t pfn[8190];

	REQUIRE(pages <= ARRAY_SIZE(pfn) && gpa % 4096 == 0);
	for (uint32_t i = 0; i < pages; i++)
		pfn[i] = gpa / 4096 + i;
	fake_bus_gpadl_add_list(bus, dev, gpadl, pfn, pages);
}

bool fake_bus_gpadl_teardown(struct vmbus_bus *bus, uint32_t dev, uint32_t gpadl)
{
	struct vmbus_device *d = device(bus, dev);
	struct fake_gpadl *g = find_gpadl(d, gpadl);

	REQUIRE(g && !g->tearing);
	if (!g->mapped) {
		forget_gpadl(g);
		return true;
	}
	g->tearing = true;
	if (d->chan[0].state == CHAN_OPEN)
		d->ops->unmap(d->ctx, &g->pub);
	return !find_gpadl(d, gpadl);
}

bool fake_bus_gpadl_exists(const struct vmbus_bus *bus, uint32_t dev, uint32_t gpadl)
{
	return find_gpadl(device(bus, dev), gpadl);
}

/* ---- channels -------------------------------------------------------------------------------- */

static void signal_host(void *ctx)
{
	((struct fake_chan *)ctx)->dev->bus->counts.signals_to_host++;
}

static void signal_guest(void *ctx)
{
	((struct fake_chan *)ctx)->dev->bus->counts.signals_to_guest++;
}

static void host_fault(void *ctx, const char *why)
{
	struct fake_chan *c = ctx;

	(void)why;
	c->faulted = true;
	c->dev->bus->counts.faults++;
}

static void map_ring(struct vmbus_bus *bus, struct hv_gpa_view *v, uint64_t gpa, uint32_t pages)
{
	uint64_t pfn[1024];
	uint32_t i;

	REQUIRE(pages <= ARRAY_SIZE(pfn));
	for (i = 0; i < pages; i++)
		pfn[i] = gpa / 4096 + i;
	REQUIRE(!hv_gpa_map_wrapped(bus->gpa, v, pfn, pages));
}

static void create_ends(struct fake_chan *c)
{
	struct vmbus_bus *bus = c->dev->bus;
	struct vmbus_chan_config cfg = {
		.in = c->host_in,
		.out = c->host_out,
		.accept = VMRING_ACCEPT_HOST,
		.max_packet = c->dev->desc.max_packet,
		.gpa = bus->gpa,
		.loop = bus->loop,
		.signal = signal_guest,
		.fault = host_fault,
		.ctx = c,
		.name = c->dev->name,
	};

	REQUIRE(!vmbus_chan_create(&c->host, &cfg));
	cfg.in = c->guest_in;
	cfg.out = c->guest_out;
	cfg.accept = VMRING_ACCEPT_GUEST;
	cfg.max_packet = FAKE_BUS_GUEST_PACKET;
	cfg.gpa = NULL;
	cfg.loop = NULL;
	cfg.signal = signal_host;
	cfg.fault = NULL;
	cfg.name = "mock guest";
	REQUIRE(!vmbus_chan_create(&c->guest, &cfg));
}

int fake_bus_open(struct vmbus_bus *bus, uint32_t dev, uint16_t sub, uint32_t pages,
		  struct vmbus_chan **guest)
{
	static const uint8_t user[VMBUS_USER_DATA];
	struct fake_chan *c = channel(bus, dev, sub);
	uint64_t out_gpa;
	int err;

	REQUIRE(c->state == CHAN_CLOSED);
	if (c->pages < pages) {
		c->ring_gpa = fake_bus_alloc(bus, 2 * pages);
		c->pages = pages;
	}
	memset(fake_bus_ptr(bus, c->ring_gpa), 0, 2 * pages * 4096ul);
	out_gpa = c->ring_gpa + pages * 4096ull;
	map_ring(bus, &c->host_in, c->ring_gpa, pages);
	map_ring(bus, &c->guest_out, c->ring_gpa, pages);
	map_ring(bus, &c->host_out, out_gpa, pages);
	map_ring(bus, &c->guest_in, out_gpa, pages);
	create_ends(c);
	c->faulted = false;
	bus->counts.opens++;
	err = c->dev->ops->open(c->dev->ctx, sub, c->host, user);
	if (err) {
		unmap_chan(c);
		return err;
	}
	c->state = CHAN_OPEN;
	*guest = c->guest;
	return 0;
}

void fake_bus_close(struct vmbus_bus *bus, uint32_t dev, uint16_t sub)
{
	struct fake_chan *c = channel(bus, dev, sub);

	REQUIRE(c->state == CHAN_OPEN);
	close_chan(c);
}

bool fake_bus_closed(const struct vmbus_bus *bus, uint32_t dev, uint16_t sub)
{
	return channel(bus, dev, sub)->state == CHAN_CLOSED;
}

struct vmbus_chan *fake_bus_host_chan(struct vmbus_bus *bus, uint32_t dev, uint16_t sub)
{
	return channel(bus, dev, sub)->host;
}

const struct hv_gpa_view *fake_bus_guest_out(struct vmbus_bus *bus, uint32_t dev, uint16_t sub)
{
	return &channel(bus, dev, sub)->guest_out;
}

void fake_bus_close_on_fault(struct vmbus_bus *bus, bool on)
{
	bus->close_on_fault = on;
}

/* ---- running ------------------------------------------------------------------------------------
 */

static bool drain_chan(struct fake_chan *c)
{
	bool did;

	if (c->state != CHAN_OPEN)
		return false;
	if (c->faulted && c->dev->bus->close_on_fault) {
		close_chan(c);
		return true;
	}
	did = c->dev->ops->drain(c->dev->ctx, c->sub);
	if (c->state == CHAN_OPEN)
		vmbus_chan_flush(c->host);
	return did;
}

bool fake_bus_drain(struct vmbus_bus *bus, uint32_t dev, uint16_t sub)
{
	return drain_chan(channel(bus, dev, sub));
}

bool fake_bus_turn(struct vmbus_bus *bus)
{
	bool did = loop_turn(bus->loop, 0) > 0;
	uint32_t i;
	uint16_t j;

	for (i = 0; i < bus->nr_devices; i++)
		for (j = 0; j < FAKE_BUS_SUBS && bus->device[i]; j++)
			did |= drain_chan(&bus->device[i]->chan[j]);
	return did;
}

bool fake_bus_settle(struct vmbus_bus *bus, int max)
{
	while (max-- > 0)
		if (!fake_bus_turn(bus))
			return true;
	return false;
}

const struct fake_bus_counts *fake_bus_counts(const struct vmbus_bus *bus)
{
	return &bus->counts;
}
