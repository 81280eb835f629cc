/* SPDX-License-Identifier: MIT */
/*
 * Inside of the bus, shared by its three files:
 *
 *   server.c         messages in and out, actions of the state machine, life
 *   server_device.c  what providers call (device.h), and what becomes of a device
 *   server_chan.c    one opened channel on its own loop
 *
 * Who runs where: everything on the bus's loop, but for the part of struct bus_chan that
 * is marked as its loop's. The two sides talk by posted calls only:
 *
 *   bus's loop                         channel's loop
 *   VMBUS_SM_OPEN    -- go ---------->  map rings, device open
 *   vmbus_sm_opened() <-------- back --
 *   VMBUS_SM_MODIFY  -- modify ------>  store the target VP
 *   vmbus_sm_modified() <---- modify --
 *   VMBUS_SM_CLOSE   -- go ---------->  stop polling, device close
 *                                      vmbus_device_closed() -- end -> unmap rings
 *   vmbus_sm_closed() <-------- back --
 */
#ifndef HVBUS_VMBUS_SERVER_INT_H
#define HVBUS_VMBUS_SERVER_INT_H

#include "hv-core/port.h"
#include "hv-core/synic.h"
#include "vmbus/server.h"
#include "vmbus/server_sm.h"

/*
 * Mappings that the rings of one guest may cost. The number that a process can have is
 * limited (65530 by default) and a guest chooses how scattered its pages are.
 */
#define BUS_MAX_FRAGMENTS 4096u

struct bus_chan { /* one channel of a device; lives as long as the device */
	struct vmbus_device *dev;
	uint16_t sub;

	/* Bus's loop. */
	struct vmbus_sm_chan *record; /* while open */
	int bell_fd;
	uint32_t fragments;

	/* Set on the bus's loop before the channel's loop is called, constant while open. */
	struct loop *loop;
	const struct vmbus_sm_open *open;
	uint32_t relid;

	struct loop_call go, back, end; /* see above; one on its way at a time */
	struct loop_call modify;
	uint32_t new_vp;
	int err; /* of the open, on its way back */

	/* Channel's loop. */
	struct vmbus_chan *chan;
	struct hv_gpa_view in, out;
	struct loop_bell bell;
	struct loop_poller poller;
	struct loop_hook hook;
	struct loop_timer watch;
	uint32_t target_vp;
	bool running; /* the device may be called, and may kick */
	bool polling; /* the poller is listed and the ring is masked */
	bool watched; /* polling because of the watchdog, nothing seen yet */
	uint32_t quiet;
	uint64_t quiet_since;
};

struct vmbus_device {
	struct vmbus_bus *bus;
	const struct vmbus_device_ops *ops;
	void *ctx; /* the provider's */
	struct vmbus_device_desc desc;
	char name[VMBUS_SM_NAME_LEN];

	struct vmbus_sm_chan *primary; /* NULL once detached */
	uint32_t attached;	       /* records of the state machine that refer to us */
	bool revoked;
	void (*gone)(void *dev);

	struct loop_call sub_call;
	uint32_t sub_posted; /* sub_call is on its way; any thread */
	uint32_t sub_wanted;
	struct bus_chan *chan[1 + VMBUS_MAX_SUBCHANNELS];
};

struct vmbus_bus {
	struct hv_partition *p;
	struct loop *loop;
	struct hv_gpa *gpa;
	struct vmbus_sm *sm;
	uint32_t id;
	struct loop **io_loops;
	uint32_t nr_io_loops, next_loop;
	uint32_t fragments;
	uint32_t devices;

	bool pumping;	/* actions are being carried out: what they cause waits its turn */
	bool listening; /* the message ports exist */
	bool shut;	/* vmbus_server_shutdown() was called */
	bool destroyed; /* .. from inside of a callback of ours */
	void (*gone)(void *ctx);
	void *gone_ctx;

	/* Any channel's loop. */
	uint64_t faults, missed_bells;
	const char *last_fault;
};

/* server.c */
void bus_pump(struct vmbus_bus *bus);

/* server_device.c */
void bus_device_detached(struct vmbus_device *d, const struct bus_chan *c);

/* server_chan.c; bus's loop. */
int bus_chan_create(struct bus_chan **out, struct vmbus_device *d, uint16_t sub);
void bus_chan_free(struct bus_chan *c); /* not while open */
void bus_chan_open(struct bus_chan *c, struct vmbus_sm_chan *record,
		   const struct vmbus_sm_open *open);
void bus_chan_close(struct bus_chan *c);
void bus_chan_modify(struct bus_chan *c, uint32_t target_vp);
/* server_chan.c; channel's loop. */
void bus_chan_kick(struct bus_chan *c);

#endif
