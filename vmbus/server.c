/* SPDX-License-Identifier: MIT */
/*
 * The bus of one partition: carries out what the state machine wants, and tells it what
 * happens (spec: vmbus, sections 1, 12 and 15).
 *
 * Teardown, in this order: no more messages are taken; the state machine closes every
 * channel and frees every GPADL; then gone(). Devices are revoked by their owners, before
 * or after; then the bus is freed.
 */
#include "vmbus/server.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/atomic.h"
#include "base/log.h"
#include "vmbus/server_int.h"

/* ---- actions ------------------------------------------------------------------------ */

/* Spec: hostile cases V33: a page that is not RAM fails the GPADL, not its first use. */
static int check_pages(const struct hv_gpa *gpa, const struct vmbus_gpadl *g)
{
	struct vmbus_gpadl_range r;
	uint32_t cursor = 0;

	while (vmbus_gpadl_next(g, &cursor, &r)) {
		for (uint32_t i = 0; i < r.npfn; i++) {
			if (r.pfn[i] > UINT64_MAX >> HV_PAGE_SHIFT ||
			    !hv_gpa_ptr(gpa, r.pfn[i] << HV_PAGE_SHIFT, HV_PAGE_SIZE))
				return -EFAULT;
		}
	}
	return 0;
}

static int accept_gpadl(const struct vmbus_bus *bus, const struct vmbus_sm_action *a)
{
	const struct bus_chan *c = a->ctx;
	int err = check_pages(bus->gpa, a->ranges);

	return err || !c || c->sub ? err : bus_buffer_add(c->dev, a);
}

/* Rings count as users, so what is left are mappings of the device. */
static bool unmap_gpadl(const struct vmbus_sm_action *a)
{
	const struct bus_chan *c = a->ctx;

	return !c || c->sub || bus_buffer_remove(c->dev, a->gpadl);
}

static void reset_done(struct vmbus_bus *bus)
{
	void (*gone)(void *ctx) = bus->gone;

	bus->gone = NULL;
	if (gone)
		gone(bus->gone_ctx);
}

static void carry_out(struct vmbus_bus *bus, const struct vmbus_sm_action *a)
{
	struct bus_chan *c = a->ctx;

	switch (a->type) {
	case VMBUS_SM_OPEN:
		bus_chan_open(c, a->chan, a->open);
		break;
	case VMBUS_SM_MODIFY:
		bus_chan_modify(c, a->target_vp);
		break;
	case VMBUS_SM_CLOSE:
		bus_chan_close(c);
		break;
	case VMBUS_SM_DETACHED:
		bus_device_detached(c->dev, c);
		break;
	case VMBUS_SM_MAP:
		vmbus_sm_mapped(bus->sm, a->gpadl, accept_gpadl(bus, a));
		break;
	case VMBUS_SM_UNMAP:
		if (unmap_gpadl(a))
			vmbus_sm_unmapped(bus->sm, a->gpadl);
		break;
	case VMBUS_SM_RESET_DONE:
		reset_done(bus);
		break;
	}
}

/* ---- messages out ------------------------------------------------------------------------ */

/* False: nothing to send, or the slot is occupied and hv_synic_on_retry() will call. */
static bool send_one(struct vmbus_bus *bus)
{
	const struct vmbus_sm_send *s = vmbus_sm_next_send(bus->sm);

	if (!s || hv_synic_post_message(bus->p, s->vp, HV_VMBUS_SINT, HV_MESSAGE_VMBUS, &s->msg,
					s->len) == -EAGAIN)
		return false;
	vmbus_sm_sent(bus->sm);
	return true;
}

static void bus_free(struct vmbus_bus *bus)
{
	vmbus_sm_destroy(bus->sm);
	pthread_mutex_destroy(&bus->map_lock);
	free(bus->io_loops);
	free(bus);
}

/* Actions first: what a message says is true when it is sent. */
void bus_pump(struct vmbus_bus *bus)
{
	struct vmbus_sm_action a;

	if (bus->pumping)
		return;
	bus->pumping = true;
	do {
		while (!bus->destroyed && vmbus_sm_next_action(bus->sm, &a))
			carry_out(bus, &a);
	} while (!bus->destroyed && send_one(bus));
	bus->pumping = false;
	if (bus->destroyed)
		bus_free(bus);
}

static void retry(void *ctx)
{
	bus_pump(ctx);
}

/* ---- messages in ------------------------------------------------------------------------- */

static void log_drop(const struct vmbus_bus *bus, uint64_t before)
{
	struct vmbus_sm_stats st;

	vmbus_sm_stats(bus->sm, &st);
	if (st.dropped != before)
		log_ratelimited(LOG_WARN, "partition %u: %s (%u): %s", bus->id,
				vmbus_msg_name(st.last_drop_type), st.last_drop_type, st.last_drop);
}

static enum hv_status message(void *ctx, uint32_t connection_id, const void *payload, uint32_t len)
{
	struct vmbus_bus *bus = ctx;
	struct vmbus_sm_stats st;
	int err;

	vmbus_sm_stats(bus->sm, &st);
	err = vmbus_sm_message(bus->sm, connection_id, payload, len);
	log_drop(bus, st.dropped);
	bus_pump(bus);
	return err ? HV_STATUS_INSUFFICIENT_BUFFERS : HV_STATUS_SUCCESS;
}

/* ---- life ------------------------------------------------------------------------------------ */

static int listen_on_ports(struct vmbus_bus *bus)
{
	int err = hv_port_create_message(bus->p, HV_CONN_VMBUS_MESSAGE, message, bus);

	if (err)
		return err;
	err = hv_port_create_message(bus->p, HV_CONN_VMBUS_CONTACT, message, bus);
	if (err) {
		hv_port_delete(bus->p, HV_CONN_VMBUS_MESSAGE);
		return err;
	}
	hv_synic_on_retry(bus->p, retry, bus);
	bus->listening = true;
	return 0;
}

static void stop_listening(struct vmbus_bus *bus)
{
	if (!bus->listening)
		return;
	bus->listening = false;
	hv_synic_on_retry(bus->p, NULL, NULL);
	hv_port_delete(bus->p, HV_CONN_VMBUS_MESSAGE);
	hv_port_delete(bus->p, HV_CONN_VMBUS_CONTACT);
}

static int copy_loops(struct vmbus_bus *bus, const struct vmbus_server_config *cfg)
{
	if (!cfg->io_loops || !cfg->nr_io_loops)
		return 0;
	bus->io_loops = malloc(cfg->nr_io_loops * sizeof(struct loop *));
	if (!bus->io_loops)
		return -ENOMEM;
	memcpy(bus->io_loops, cfg->io_loops, cfg->nr_io_loops * sizeof(struct loop *));
	bus->nr_io_loops = cfg->nr_io_loops;
	/* The first channels of many partitions shall not meet on the first loop. */
	bus->next_loop = bus->id;
	return 0;
}

int vmbus_server_create(struct vmbus_bus **out, struct hv_partition *p,
			const struct vmbus_server_config *cfg)
{
	static const struct vmbus_server_config defaults;
	struct vmbus_sm_config sm_cfg = { .nr_vps = hv_partition_nr_vps(p) };
	struct vmbus_bus *bus = calloc(1, sizeof(*bus));
	int err;

	if (!bus)
		return -ENOMEM;
	if (!cfg)
		cfg = &defaults;
	bus->p = p;
	bus->loop = hv_partition_loop(p);
	bus->gpa = hv_partition_gpa(p);
	bus->id = hv_partition_id(p);
	pthread_mutex_init(&bus->map_lock, NULL);
	sm_cfg.max_version = cfg->max_version;
	err = vmbus_sm_create(&bus->sm, &sm_cfg);
	if (err)
		goto free_bus;
	err = copy_loops(bus, cfg);
	if (err)
		goto destroy_sm;
	err = listen_on_ports(bus);
	if (err)
		goto free_loops;
	*out = bus;
	return 0;

free_loops:
	free(bus->io_loops);
destroy_sm:
	vmbus_sm_destroy(bus->sm);
free_bus:
	pthread_mutex_destroy(&bus->map_lock);
	free(bus);
	return err;
}

void vmbus_server_shutdown(struct vmbus_bus *bus, void (*gone)(void *ctx), void *ctx)
{
	assert(!bus->shut);
	bus->shut = true;
	bus->gone = gone;
	bus->gone_ctx = ctx;
	stop_listening(bus);
	vmbus_sm_reset(bus->sm);
	bus_pump(bus);
}

void vmbus_server_reset(struct vmbus_bus *bus, void (*done)(void *ctx), void *ctx)
{
	assert(!bus->shut && !bus->gone);
	bus->gone = done;
	bus->gone_ctx = ctx;
	vmbus_sm_reset(bus->sm);
	bus_pump(bus);
}

void vmbus_server_destroy(struct vmbus_bus *bus)
{
	assert(!bus->devices);
	stop_listening(bus);
	if (bus->pumping)
		bus->destroyed = true; /* freed when the callback we are in has returned */
	else
		bus_free(bus);
}

/* ---- inspection ---------------------------------------------------------------------------------
 */

void vmbus_server_stats(const struct vmbus_bus *bus, struct vmbus_server_stats *out)
{
	struct vmbus_sm_stats st;

	vmbus_sm_stats(bus->sm, &st);
	*out = (struct vmbus_server_stats){
		.state = bus->shut ? "shut down" : st.state,
		.version = st.version,
		.messages_in = st.messages_in,
		.messages_out = st.messages_out,
		.dropped = st.dropped,
		.last_drop = st.last_drop,
		.gpadls = st.gpadls,
		.gpadl_pages = st.gpadl_pages,
		.refused = st.refused,
		.queued = st.queued,
		.faults = load_relaxed(&bus->faults),
		.missed_bells = load_relaxed(&bus->missed_bells),
		.last_fault = load_acquire(&bus->last_fault), /* pairs with chan_fault() */
	};
}

void vmbus_server_channels(const struct vmbus_bus *bus,
			   void (*fn)(void *ctx, const struct vmbus_channel_info *info), void *ctx)
{
	const struct vmbus_sm_chan *ch = NULL;

	while ((ch = vmbus_sm_next_chan(bus->sm, ch))) {
		struct vmbus_channel_info info = { 0 };
		struct vmbus_sm_info i;
		const struct bus_chan *c;

		vmbus_sm_chan_info(ch, &i);
		c = i.ctx;
		info.device = i.name;
		info.sub = i.sub;
		info.relid = i.relid;
		info.target_vp = i.target_vp;
		info.state = i.state;
		info.open = i.open;
		/* Open here means that no close was posted, so the rings are there. */
		if (i.open)
			vmbus_chan_stats(c->chan, &info.stats);
		fn(ctx, &info);
	}
}
