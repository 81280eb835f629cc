/* SPDX-License-Identifier: MIT */
/*
 * One opened channel on its loop: rings, doorbell, polling, watchdog.
 *
 * Polling: the bell masks the ring and lists a poller, which drains every turn; a hook
 * publishes and signals once per turn. When the loop is about to sleep, or the channel
 * has been quiet for QUIET_NS in a loop that is busy with others, the ring is unmasked and
 * the poller leaves the list: an idle channel costs nothing per turn.
 *
 * Watchdog: a guest that does not ring, or steals its own ring from the doorbell, would
 * leave packets, or our waiting for room, unnoticed. So an idle channel is looked at once a
 * second: one load, and only when there is something the polling starts. The timers of all
 * channels of a loop are due at the same full second: one wake-up a second for a root with any
 * number of idle channels, none without open ones.
 *
 * Teardown: poller, bell, timer, hook; device close; after vmbus_device_closed() the ring
 * views; then, on the bus's loop, the doorbell and the reference to guest memory.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/log.h"
#include "base/loop.h"
#include "vmbus/server_int.h"

#define QUIET_POLLS 64u /* look at the clock only now and then */
#define QUIET_NS    1000000u
#define WATCH_NS    1000000000u

/* ---- polling ---------------------------------------------------------------------- */

static void start_polling(struct bus_chan *c)
{
	if (c->polling || !c->running || vmbus_chan_faulted(c->chan))
		return;
	c->polling = true;
	c->quiet = 0;
	c->quiet_since = 0;
	vmbus_chan_mask(c->chan);
	loop_poller_add(c->loop, &c->poller);
}

static void stop_polling(struct bus_chan *c)
{
	if (!c->polling)
		return;
	c->polling = false;
	c->watched = false;
	loop_poller_del(c->loop, &c->poller);
}

/* Up to the next full second, so that all channels of the loop share one wake-up. */
static void arm_watchdog(struct bus_chan *c)
{
	if (!c->watch.due_ns)
		loop_timer_arm(c->loop, &c->watch, WATCH_NS - loop_now(c->loop) % WATCH_NS);
}

/*
 * Packets are waiting. A provider that takes none of them has its reason (no room for
 * answers, no free request) and kicks when it is over: nothing to stay awake for.
 */
static bool takes_some(struct bus_chan *c)
{
	struct vmbus_device *d = c->dev;

	if (!d->ops->drain(d->ctx, c->sub))
		return false;
	loop_hook_queue(c->loop, &c->hook);
	return true;
}

/* From now on the guest rings. False: there is something after all. */
static bool go_idle(struct bus_chan *c)
{
	vmbus_chan_flush(c->chan);
	if (vmbus_chan_unmask(c->chan) && takes_some(c)) {
		vmbus_chan_mask(c->chan);
		return false;
	}
	if (!c->polling)
		return true; /* unmasking found the ring corrupt */
	stop_polling(c);
	arm_watchdog(c);
	return true;
}

static NOINLINE void still_quiet(struct bus_chan *c)
{
	uint64_t now = loop_now(c->loop);

	if (!c->quiet_since)
		c->quiet_since = now;
	else if (now - c->quiet_since > QUIET_NS)
		go_idle(c);
}

static bool chan_poll(struct loop_poller *p)
{
	struct bus_chan *c = container_of(p, struct bus_chan, poller);
	struct vmbus_device *d = c->dev;

	if (d->ops->drain(d->ctx, c->sub)) {
		c->quiet = 0;
		c->quiet_since = 0;
		if (unlikely(c->watched)) {
			c->watched = false;
			__atomic_fetch_add(&d->bus->missed_bells, 1, __ATOMIC_RELAXED);
		}
		loop_hook_queue(c->loop, &c->hook);
		return true;
	}
	c->watched = false;
	if (unlikely(++c->quiet % QUIET_POLLS == 0) && c->polling)
		still_quiet(c);
	return false;
}

static bool chan_arm(struct loop_poller *p)
{
	return go_idle(container_of(p, struct bus_chan, poller));
}

static void chan_disarm(struct loop_poller *p)
{
	vmbus_chan_mask(container_of(p, struct bus_chan, poller)->chan);
}

static void chan_rung(struct loop_bell *b)
{
	start_polling(container_of(b, struct bus_chan, bell));
}

static void chan_flush(struct loop_hook *h)
{
	vmbus_chan_flush(container_of(h, struct bus_chan, hook)->chan);
}

static void chan_watch(struct loop_timer *t)
{
	struct bus_chan *c = container_of(t, struct bus_chan, watch);

	if (c->polling || vmbus_chan_faulted(c->chan))
		return; /* armed again when it goes idle; has nothing to say any more */
	if (!vmbus_chan_pending(c->chan) && !vmbus_chan_wants_space(c->chan)) {
		arm_watchdog(c);
		return;
	}
	start_polling(c);
	c->watched = c->polling;
}

void bus_chan_kick(struct bus_chan *c)
{
	if (!c->running)
		return;
	loop_hook_queue(c->loop, &c->hook);
	start_polling(c);
}

bool bus_chan_running(const struct bus_chan *c)
{
	return c->running;
}

/* ---- what the channel calls ----------------------------------------------------------- */

static void signal_guest(void *ctx)
{
	struct bus_chan *c = ctx;

	if (c->target_vp != VMBUS_NO_VP)
		hv_synic_signal_event(c->dev->bus->p, c->target_vp, HV_VMBUS_SINT, c->relid);
}

/* The device still gets its close() when the guest closes, or goes. */
static void chan_fault(void *ctx, const char *why)
{
	struct bus_chan *c = ctx;
	struct vmbus_bus *bus = c->dev->bus;

	stop_polling(c);
	__atomic_fetch_add(&bus->faults, 1, __ATOMIC_RELAXED);
	store_release(&bus->last_fault, why); /* pairs with vmbus_server_stats() */
}

/* ---- opening, on the channel's loop -------------------------------------------------------- */

static int map_rings(struct bus_chan *c)
{
	const struct vmbus_gpadl_rings *r = &c->open->rings;
	struct hv_gpa *gpa = c->dev->bus->gpa;
	int err = hv_gpa_map_wrapped(gpa, &c->in, r->in_pfn, r->in_pages);

	if (err)
		return err;
	err = hv_gpa_map_wrapped(gpa, &c->out, r->out_pfn, r->out_pages);
	if (err)
		hv_gpa_unmap_view(&c->in);
	return err;
}

static void unmap_rings(struct bus_chan *c)
{
	vmbus_chan_destroy(c->chan);
	c->chan = NULL;
	hv_gpa_unmap_view(&c->in);
	hv_gpa_unmap_view(&c->out);
}

static int create_chan(struct bus_chan *c)
{
	struct vmbus_device *d = c->dev;
	char name[64];
	struct vmbus_chan_config cfg = {
		.in = c->in,
		.out = c->out,
		.accept = VMRING_ACCEPT_HOST,
		.max_packet = d->desc.max_packet,
		.gpa = d->bus->gpa,
		.loop = c->loop,
		.signal = signal_guest,
		.fault = chan_fault,
		.ctx = c,
		.name = name,
	};

	if (c->sub)
		snprintf(name, sizeof(name), "partition %u %s.%u", d->bus->id, d->name, c->sub);
	else
		snprintf(name, sizeof(name), "partition %u %s", d->bus->id, d->name);
	return vmbus_chan_create(&c->chan, &cfg);
}

static int open_device(struct bus_chan *c)
{
	struct vmbus_device *d = c->dev;
	int err;

	c->target_vp = c->open->target_vp;
	err = map_rings(c);
	if (err)
		return err;
	err = create_chan(c);
	if (err)
		goto unmap;
	c->bell.fd = c->bell_fd;
	err = loop_bell_add(c->loop, &c->bell);
	if (err)
		goto unmap;
	if (!c->sub)
		bus_buffers_allow(d, true);
	err = d->ops->open(d->ctx, c->sub, c->chan, c->open->user);
	if (err)
		goto del_bell;
	c->running = true;
	start_polling(c); /* the first drain */
	return 0;

del_bell:
	if (!c->sub)
		bus_buffers_allow(d, false);
	loop_bell_del(c->loop, &c->bell);
unmap:
	unmap_rings(c);
	return err;
}

/* ---- answers, on the bus's loop ---------------------------------------------------------------
 */

static void release(struct bus_chan *c)
{
	struct vmbus_bus *bus = c->dev->bus;

	close(c->bell_fd);
	c->bell_fd = -1;
	bus->fragments -= c->fragments;
	hv_gpa_put(bus->gpa);
}

static void refused(struct bus_chan *c, int err)
{
	struct vmbus_bus *bus = c->dev->bus;

	log_ratelimited(LOG_WARN, "partition %u %s.%u: open refused: %s", bus->id, c->dev->name,
			c->sub, strerror(-err));
	vmbus_sm_opened(bus->sm, c->record, err);
}

static void opened(struct loop_call *call)
{
	struct bus_chan *c = container_of(call, struct bus_chan, back);
	struct vmbus_bus *bus = c->dev->bus;

	if (c->err) {
		hv_port_delete(bus->p, HV_CONN_CHANNEL_BASE + c->relid);
		release(c);
		refused(c, c->err);
	} else {
		vmbus_sm_opened(bus->sm, c->record, 0);
	}
	bus_pump(bus);
}

static void closed(struct loop_call *call)
{
	struct bus_chan *c = container_of(call, struct bus_chan, back);
	struct vmbus_bus *bus = c->dev->bus;

	release(c);
	vmbus_sm_closed(bus->sm, c->record);
	bus_pump(bus);
}

static void modified(struct loop_call *call)
{
	struct bus_chan *c = container_of(call, struct bus_chan, modify);
	struct vmbus_bus *bus = c->dev->bus;

	vmbus_sm_modified(bus->sm, c->record);
	bus_pump(bus);
}

/* ---- calls to the channel's loop
 * ------------------------------------------------------------------ */

static void on_open(struct loop_call *call)
{
	struct bus_chan *c = container_of(call, struct bus_chan, go);

	c->err = open_device(c);
	c->back.fn = opened;
	loop_post(c->dev->bus->loop, &c->back);
}

static void on_close(struct loop_call *call)
{
	struct bus_chan *c = container_of(call, struct bus_chan, go);

	c->running = false;
	stop_polling(c);
	loop_bell_del(c->loop, &c->bell);
	loop_timer_cancel(c->loop, &c->watch);
	loop_hook_cancel(c->loop, &c->hook);
	c->dev->ops->close(c->dev->ctx, c->sub);
}

/* The device has closed: nobody but us knows the rings any more. */
static void on_end(struct loop_call *call)
{
	struct bus_chan *c = container_of(call, struct bus_chan, end);

	unmap_rings(c);
	c->back.fn = closed;
	loop_post(c->dev->bus->loop, &c->back);
}

/*
 * Runs where the signals come from, so once this has been answered none goes to the old
 * VP (spec: vmbus, section 6.5).
 */
static void on_modify(struct loop_call *call)
{
	struct bus_chan *c = container_of(call, struct bus_chan, modify);

	c->target_vp = c->new_vp;
	c->modify.fn = modified;
	loop_post(c->dev->bus->loop, &c->modify);
}

void vmbus_device_closed(struct vmbus_device *d, uint16_t sub)
{
	struct bus_chan *c = d->chan[sub];

	if (!sub)
		bus_buffers_allow(d, false);
	loop_post(c->loop, &c->end);
}

/* ---- the bus's side
 * ------------------------------------------------------------------------------- */

uint32_t bus_runs(const uint64_t *pfn, uint32_t n)
{
	uint32_t runs = 1;

	for (uint32_t i = 1; i < n; i++)
		runs += pfn[i] != pfn[i - 1] + 1;
	return runs;
}

/* Data pages are mapped twice. */
static uint32_t fragments(const struct vmbus_gpadl_rings *r)
{
	return 2 + 2 * bus_runs(r->in_pfn + 1, r->in_pages - 1) +
	       2 * bus_runs(r->out_pfn + 1, r->out_pages - 1);
}

static struct loop *pick_loop(const struct vmbus_device *d)
{
	struct vmbus_bus *bus = d->bus;

	if (d->desc.loop)
		return d->desc.loop;
	if (!bus->nr_io_loops)
		return bus->loop;
	return bus->io_loops[bus->next_loop++ % bus->nr_io_loops];
}

static int prepare(struct bus_chan *c)
{
	struct vmbus_bus *bus = c->dev->bus;
	int err;

	c->fragments = fragments(&c->open->rings);
	if (c->fragments > BUS_MAX_FRAGMENTS - bus->fragments)
		return -ENOSPC;
	c->bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->bell_fd < 0)
		return -errno;
	err = hv_port_create_event(bus->p, HV_CONN_CHANNEL_BASE + c->relid, c->bell_fd);
	if (err) {
		close(c->bell_fd);
		c->bell_fd = -1;
		return err;
	}
	bus->fragments += c->fragments;
	hv_gpa_get(bus->gpa);
	return 0;
}

void bus_chan_open(struct bus_chan *c, struct vmbus_sm_chan *record,
		   const struct vmbus_sm_open *open)
{
	int err;

	c->record = record;
	c->open = open;
	c->relid = open->relid;
	c->loop = pick_loop(c->dev);
	if (!c->sub)
		bus_buffers_ring(c->dev, open->rings.in_pfn);
	err = prepare(c);
	if (err) {
		refused(c, err);
		return;
	}
	c->go.fn = on_open;
	loop_post(c->loop, &c->go);
}

void bus_chan_close(struct bus_chan *c)
{
	/* The guest's signals are refused from here on. */
	hv_port_delete(c->dev->bus->p, HV_CONN_CHANNEL_BASE + c->relid);
	c->go.fn = on_close;
	loop_post(c->loop, &c->go);
}

void bus_chan_modify(struct bus_chan *c, uint32_t target_vp)
{
	c->new_vp = target_vp;
	c->modify.fn = on_modify;
	loop_post(c->loop, &c->modify);
}

int bus_chan_create(struct bus_chan **out, struct vmbus_device *d, uint16_t sub)
{
	struct bus_chan *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->dev = d;
	c->sub = sub;
	c->bell_fd = -1;
	c->end.fn = on_end;
	c->bell.rung = chan_rung;
	c->poller.poll = chan_poll;
	c->poller.arm = chan_arm;
	c->poller.disarm = chan_disarm;
	c->hook.flush = chan_flush;
	c->watch.fire = chan_watch;
	*out = c;
	return 0;
}

void bus_chan_free(struct bus_chan *c)
{
	free(c);
}
