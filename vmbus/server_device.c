/* SPDX-License-Identifier: MIT */
/*
 * Devices on the bus: offered, given sub-channels, taken away (device.h).
 *
 * A device lives until it was revoked and no record of the state machine refers to it,
 * which does not depend on the guest.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "base/log.h"
#include "base/loop.h"
#include "vmbus/server_int.h"

#define LATE_NS 3000000000ull

static void device_free(struct vmbus_device *d)
{
	loop_timer_cancel(d->bus->loop, &d->late);
	for (uint32_t i = 0; i <= VMBUS_MAX_SUBCHANNELS; i++)
		if (d->chan[i])
			bus_chan_free(d->chan[i]);
	free(d);
}

/* The provider may free everything of its own, and the bus, from inside its callback. */
static void maybe_gone(struct vmbus_device *d)
{
	void (*gone)(void *dev) = d->gone;
	void *ctx = d->ctx;

	if (!d->revoked || d->attached)
		return;
	d->bus->devices--;
	device_free(d);
	if (gone)
		gone(ctx);
}

void bus_device_detached(struct vmbus_device *d, const struct bus_chan *c)
{
	d->attached--;
	if (!c->sub) {
		d->primary = NULL;
		bus_buffers_forget(d);
	}
	maybe_gone(d);
}

static void offer_one_sub(struct vmbus_device *d, uint16_t sub)
{
	struct vmbus_sm_chan *record;
	int err = 0;

	if (!d->chan[sub])
		err = bus_chan_create(&d->chan[sub], d, sub);
	if (!err)
		err = vmbus_sm_offer_sub(d->bus->sm, d->primary, sub, d->chan[sub], &record);
	if (!err)
		d->attached++;
	else if (err != -EEXIST && err != -ENOTCONN)
		log_ratelimited(LOG_WARN, "partition %u %s.%u: not offered: %s", d->bus->id,
				d->name, sub, strerror(-err));
}

static void offer_late(struct loop_timer *t)
{
	struct vmbus_device *d = container_of(t, struct vmbus_device, late);

	if (!d->primary || d->revoked)
		return;
	if (vmbus_sm_offer_late(d->bus->sm, d->primary))
		loop_timer_arm(d->bus->loop, t, LATE_NS);
	bus_pump(d->bus);
}

static void offer_subs(struct loop_call *call)
{
	struct vmbus_device *d = container_of(call, struct vmbus_device, sub_call);
	uint32_t n;

	/* Pairs with the exchange in _offer_subchannels(): what was wanted before is seen. */
	__atomic_exchange_n(&d->sub_posted, 0, __ATOMIC_ACQ_REL);
	n = load_relaxed(&d->sub_wanted);
	if (!d->primary || d->revoked)
		return;
	for (uint32_t i = 1; i <= n; i++)
		offer_one_sub(d, (uint16_t)i);
	if (vmbus_sm_waits(d->bus->sm, d->primary))
		loop_timer_arm(d->bus->loop, &d->late, LATE_NS);
	bus_pump(d->bus);
}

int vmbus_device_offer_subchannels(struct vmbus_device *d, uint16_t n)
{
	if (n > VMBUS_MAX_SUBCHANNELS)
		return -EINVAL;
	store_relaxed(&d->sub_wanted, n);
	if (!__atomic_exchange_n(&d->sub_posted, 1, __ATOMIC_ACQ_REL))
		loop_post(d->bus->loop, &d->sub_call);
	return 0;
}

static int offer_primary(struct vmbus_device *d)
{
	struct vmbus_sm_offer offer = {
		.type = d->desc.type,
		.instance = d->desc.instance,
		.flags = d->desc.flags,
		.name = d->name,
	};

	memcpy(offer.user, d->desc.user, sizeof(offer.user));
	return vmbus_sm_offer(d->bus->sm, &offer, d->chan[0], &d->primary);
}

int vmbus_device_offer(struct vmbus_device **out, struct vmbus_bus *bus,
		       const struct vmbus_device_desc *desc, const struct vmbus_device_ops *ops,
		       void *dev)
{
	struct vmbus_device *d = calloc(1, sizeof(*d));
	int err;

	if (!d)
		return -ENOMEM;
	d->bus = bus;
	d->ops = ops;
	d->ctx = dev;
	d->desc = *desc;
	snprintf(d->name, sizeof(d->name), "%s", desc->name ? desc->name : "device");
	d->desc.name = d->name;
	d->sub_call.fn = offer_subs;
	d->late.fire = offer_late;
	TAILQ_INIT(&d->buffers);
	err = bus_chan_create(&d->chan[0], d, 0);
	if (!err)
		err = offer_primary(d);
	if (err) {
		device_free(d);
		return err;
	}
	d->attached = 1;
	bus->devices++;
	*out = d;
	bus_pump(bus);
	return 0;
}

void vmbus_device_revoke(struct vmbus_device *d, void (*gone)(void *dev))
{
	struct vmbus_bus *bus = d->bus;

	d->revoked = true;
	d->gone = gone;
	vmbus_sm_revoke(bus->sm, d->primary);
	bus_pump(bus); /* may free @d */
}

void vmbus_device_kick(struct vmbus_device *d, uint16_t sub)
{
	bus_chan_kick(d->chan[sub]);
}

uint32_t vmbus_bus_partition_id(const struct vmbus_bus *bus)
{
	return bus->id;
}

uint32_t vmbus_bus_nr_vps(const struct vmbus_bus *bus)
{
	return hv_partition_nr_vps(bus->p);
}
