/* SPDX-License-Identifier: MIT */
/*
 * Inside of the bus, shared by its four files:
 *
 *   server.c         messages in and out, actions of the state machine, life
 *   server_device.c  what providers call (device.h), and what becomes of a device
 *   server_chan.c    one opened channel on its own loop
 *   server_map.c     memory of the guest's that providers have mapped
 *
 * Who runs where: everything on the bus's loop, but for the part of struct bus_chan that
 * is marked as its loop's, and what is under map_lock. The two sides talk by posted calls only:
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

#include <pthread.h>
#include <sys/queue.h>

#include "hv-core/port.h"
#include "hv-core/synic.h"
#include "vmbus/server.h"
#include "vmbus/server_sm.h"

/*
 * Mappings that the rings of one guest may cost. The number that a process can have is
 * limited (65530 by default) and a guest chooses how scattered its pages are.
 */
#define BUS_MAX_FRAGMENTS 4096u
/*
 * The same for what its providers have mapped: enough for two adapters with the largest receive
 * buffers, no two pages of them in a row. And for all guests together, so that they leave
 * something for rings.
 */
#define BUS_MAX_PIECES	  10240u
#define BUS_ALL_PIECES	  32768u

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

enum bus_buffer_state {
	BUFFER_IDLE,
	BUFFER_BUSY, /* being mapped or unmapped */
	BUFFER_MAPPED,
};

struct bus_buffer { /* an accepted GPADL of a device's primary channel */
	/* Constant. */
	struct vmbus_device *dev;
	struct vmbus_sm_gpadl *gpadl;
	const struct vmbus_gpadl *ranges;
	struct loop_call tell, done; /* one of them on its way at a time */

	/* Under map_lock. */
	TAILQ_ENTRY(bus_buffer) link; /* changes on the bus's loop only */
	enum bus_buffer_state state;
	bool ring;    /* the channel's rings are in it */
	bool tearing; /* VMBUS_SM_UNMAP is not answered yet */
	bool telling; /* tell is on its way, or runs */
	uint32_t pieces;

	/* Of who made the state BUSY. */
	struct hv_gpa_pages pages;
	struct vmbus_buffer pub; /* .gpadl is constant */
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
	struct loop_timer late; /* sub-channels wait for their predecessors' release */
	struct bus_chan *chan[1 + VMBUS_MAX_SUBCHANNELS];

	/* Under map_lock. */
	TAILQ_HEAD(, bus_buffer) buffers;
	uint32_t mapped; /* .. that are not idle */
	bool may_map;	 /* the primary is open for the device */
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

	pthread_mutex_t map_lock; /* taken for moments only; inside of no other */
	uint32_t pieces;	  /* under it */

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
bool bus_chan_running(const struct bus_chan *c); /* the device was opened and not closed */

/* How many pieces of consecutive pages a list has. */
uint32_t bus_runs(const uint64_t *pfn, uint32_t n);

/* server_map.c; bus's loop. VMBUS_SM_MAP: 0 or -ENOMEM. */
int bus_buffer_add(struct vmbus_device *d, const struct vmbus_sm_action *a);
/* VMBUS_SM_UNMAP. False: vmbus_sm_unmapped() follows when the provider has let go. */
bool bus_buffer_remove(struct vmbus_device *d, const struct vmbus_sm_gpadl *gpadl);
/* The primary's rings begin at @pfn, inside of one of the GPADLs. */
void bus_buffers_ring(struct vmbus_device *d, const uint64_t *pfn);
void bus_buffers_forget(struct vmbus_device *d);
/* Primary channel's loop, or who says that it is closed: the device may map from now on, or not. */
void bus_buffers_allow(struct vmbus_device *d, bool allow);

#endif
