/* SPDX-License-Identifier: MIT */
/*
 * Where a provider (VSP) meets the bus, and all it knows of it. vmbus/server.c is the
 * bus in production, tests/fake/fake_bus.c in tests: chosen at link time.
 *
 * Threads: a device is offered, revoked and its sub-channels are offered on the bus's
 * loop (the main loop). Each channel belongs to one loop, chosen by the bus;
 * open, drain and close of that channel run on that loop.
 */
#ifndef HVBUS_VMBUS_DEVICE_H
#define HVBUS_VMBUS_DEVICE_H

#include "base/guid.h"
#include "vmbus/chan.h"
#include "vmbus/wire/vmbus_msg.h" /* VMBUS_USER_DATA, class GUIDs */

struct vmbus_bus;    /* one guest's connection, root side */
struct vmbus_device; /* one offered device */
struct loop;

/* Guest memory that a GPADL describes, mapped in a row. */
struct vmbus_buffer {
	uint8_t *data; /* shared with the guest: it can change at any time */
	uint32_t len;  /* bytes, whole pages */
	uint32_t gpadl;
};

#define VMBUS_MAX_SUBCHANNELS 64 /* of one device */

struct vmbus_device_ops {
	/*
	 * The guest opened channel @sub (0 = primary): from now on packets may come.
	 * @user is the guest's open data, VMBUS_USER_DATA bytes. 0, or a negative errno
	 * that fails the guest's open. Do not send from here; the first drain follows.
	 */
	int (*open)(void *dev, uint16_t sub, struct vmbus_chan *chan, const uint8_t *user);

	/*
	 * Look at the channel: packets are waiting, or there is room again, or the loop is
	 * polling. Do a bounded amount of work (32 packets or so), queue completions, and
	 * return whether there was any. The bus calls vmbus_chan_flush() after the batch.
	 */
	bool (*drain)(void *dev, uint16_t sub);

	/*
	 * The guest closed the channel, or is gone, or the channel is being torn down.
	 * Stop reading and writing the rings at once; finish or cancel what is in flight
	 * without touching them; then call vmbus_device_closed(), possibly from inside.
	 * After that no guest page is touched on behalf of this channel.
	 */
	void (*close)(void *dev, uint16_t sub);

	/*
	 * The guest tears down a GPADL that the provider has mapped: let go of it with
	 * vmbus_device_unmap() soon, possibly from inside; the guest waits. On the loop of the
	 * primary channel, between open() and vmbus_device_closed() of it only: a provider that is
	 * closing lets go of all by itself. One that unmaps on other loops may be told of a
	 * buffer it has just let go of; @b is not another one meanwhile. NULL for providers that
	 * map nothing.
	 */
	void (*unmap)(void *dev, struct vmbus_buffer *b);
};

struct vmbus_device_desc {
	struct guid type, instance;
	uint16_t flags;		       /* offer flags, vmbus section 4.2 */
	uint8_t user[VMBUS_USER_DATA]; /* offer's user-defined area */
	uint32_t max_packet;	       /* longest packet the provider accepts; 0 = 4096 */
	const char *name;	       /* for people: "scsi0"; copied */
	struct loop *loop;	       /* its channels run there; NULL = where the bus puts them */
};

/*
 * Offers a device to the guest of @bus (now, or when the guest asks for offers).
 * @ops and @dev must stay valid until the device is gone (see _revoke).
 * A device that was revoked may be offered again at once; the guest sees it when it has
 * let go of the old one.
 * Errors: -EEXIST (same type and instance), -ENOSPC (no relid left), -EAGAIN (the guest
 * does not take messages), -ENOMEM.
 */
int vmbus_device_offer(struct vmbus_device **out, struct vmbus_bus *bus,
		       const struct vmbus_device_desc *desc, const struct vmbus_device_ops *ops,
		       void *dev);

/*
 * Offers sub-channels 1..@n beside the open primary (those that exist already stay).
 * To be called after the device-level acknowledgement has been queued. They are
 * rescinded by the bus when the primary closes, and gone with the connection. Any loop;
 * the offers follow from the bus's loop. -EINVAL: more than VMBUS_MAX_SUBCHANNELS.
 */
int vmbus_device_offer_subchannels(struct vmbus_device *d, uint16_t n);

/* Provider: close() of channel @sub is finished. Any loop. Exactly once per close(). */
void vmbus_device_closed(struct vmbus_device *d, uint16_t sub);

/*
 * Takes the device away: rescinds its offer, closes its channels (close() is called
 * for each open one). @gone(dev) is called on the bus's loop when the bus will not call
 * @ops any more, possibly before this returns. Never waits for the guest.
 */
void vmbus_device_revoke(struct vmbus_device *d, void (*gone)(void *dev));

/*
 * Maps GPADL @gpadl of the device's primary channel, which has to be one range of whole pages.
 * Until vmbus_device_unmap() the guest's teardown of it is not answered, so the pages stay the
 * provider's. To be unmapped before vmbus_device_closed() of the primary. Any loop.
 * Errors: -ENOENT (no such GPADL, or it is being torn down, or the primary is not open), -EBUSY
 * (mapped already), -EINVAL (not one range of whole pages, or a ring's), -ENOSPC (too many separate
 * pieces), -ENOMEM.
 */
int vmbus_device_map(struct vmbus_device *d, uint32_t gpadl, struct vmbus_buffer **out);
void vmbus_device_unmap(struct vmbus_device *d, struct vmbus_buffer *b);

/*
 * More work than one batch allowed, or completions became ready outside drain(): run
 * flush (and drain again) this turn. Call on: the channel's loop, from open() on until
 * vmbus_device_closed() (no-op outside).
 */
void vmbus_device_kick(struct vmbus_device *d, uint16_t sub);

/* For inspection: which partition this bus serves. */
uint32_t vmbus_bus_partition_id(const struct vmbus_bus *bus);
/* VPs of the guest: how many channels make sense. */
uint32_t vmbus_bus_nr_vps(const struct vmbus_bus *bus);

#endif
