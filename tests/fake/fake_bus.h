/* SPDX-License-Identifier: MIT */
/*
 * The bus for provider tests, chosen at link time instead of vmbus/server.c: guest
 * memory in a real memfd, channels over real rings, no SynIC and no control
 * messages. The test is the guest: it opens and closes channels and plays their other
 * end with an ordinary struct vmbus_chan.
 *
 * Everything runs on the caller's thread and only when asked to: fake_bus_turn() is
 * one turn of the loop plus one drain of every open channel.
 */
#ifndef HVBUS_TESTS_FAKE_FAKE_BUS_H
#define HVBUS_TESTS_FAKE_FAKE_BUS_H

#include "vmbus/device.h"

#define FAKE_BUS_DEVICES      16
#define FAKE_BUS_SUBS	      9
#define FAKE_BUS_GPADLS	      16    /* of one device */
#define FAKE_BUS_GUEST_PACKET 16384 /* longest that the guest's ends accept */

/* @memory bytes of guest RAM at guest address 0. Aborts on failure: tests cannot go on. */
struct vmbus_bus *fake_bus_create(struct loop *loop, uint64_t memory);
/* Every device is gone. */
void fake_bus_destroy(struct vmbus_bus *bus);

struct loop *fake_bus_loop(struct vmbus_bus *bus);
struct hv_gpa *fake_bus_gpa(struct vmbus_bus *bus);
/* @pages pages of guest memory, zeroed; their guest address. Never given back. */
uint64_t fake_bus_alloc(struct vmbus_bus *bus, uint32_t pages);
void *fake_bus_ptr(struct vmbus_bus *bus, uint64_t gpa);
/* The guest is dead: its memory mapping here and the bus's reference to it go away. */
void fake_bus_kill_memory(struct vmbus_bus *bus);
void fake_bus_set_vps(struct vmbus_bus *bus, uint32_t vps);

/* ---- devices, by order of their offer ----------------------------------------- */

uint32_t fake_bus_devices(const struct vmbus_bus *bus);
const struct vmbus_device_desc *fake_bus_desc(const struct vmbus_bus *bus, uint32_t dev);
/* What the provider asked of vmbus_device_offer_subchannels() last; 0 = nothing. */
uint16_t fake_bus_subchannels(const struct vmbus_bus *bus, uint32_t dev);

/* ---- buffers of the guest's: vmbus_device_map() -------------------------------------- */

/* @pages pages in a row at @gpa become GPADL @gpadl of the device. Aborts when there is one. */
void fake_bus_gpadl_add(struct vmbus_bus *bus, uint32_t dev, uint32_t gpadl, uint64_t gpa,
			uint32_t pages);
/* The same with any pages. */
void fake_bus_gpadl_add_list(struct vmbus_bus *bus, uint32_t dev, uint32_t gpadl,
			     const uint64_t *pfn, uint32_t npages);
/*
 * The guest tears it down: a provider that has it mapped is asked to let go, unless its
 * primary is closing. True: the guest has its pages back; false: it has when
 * fake_bus_gpadl_exists() says no more.
 */
bool fake_bus_gpadl_teardown(struct vmbus_bus *bus, uint32_t dev, uint32_t gpadl);
bool fake_bus_gpadl_exists(const struct vmbus_bus *bus, uint32_t dev, uint32_t gpadl);

/* ---- channels ---------------------------------------------------------------------- */

/*
 * Opens channel @sub with rings of @pages pages each, control page included. Returns
 * the provider's answer; the guest's end in *@guest.
 */
int fake_bus_open(struct vmbus_bus *bus, uint32_t dev, uint16_t sub, uint32_t pages,
		  struct vmbus_chan **guest);
/* Tells the provider to close. fake_bus_closed() says when it has. */
void fake_bus_close(struct vmbus_bus *bus, uint32_t dev, uint16_t sub);
bool fake_bus_closed(const struct vmbus_bus *bus, uint32_t dev, uint16_t sub);
/* The host's end, for looking at its fault and counters; NULL when closed. */
struct vmbus_chan *fake_bus_host_chan(struct vmbus_bus *bus, uint32_t dev, uint16_t sub);
/* The raw control page and data of the ring guest to host, for tests that corrupt it. */
const struct hv_gpa_view *fake_bus_guest_out(struct vmbus_bus *bus, uint32_t dev, uint16_t sub);

/* A faulted channel is closed by the bus on the next turn when this is on (default off). */
void fake_bus_close_on_fault(struct vmbus_bus *bus, bool on);

/* One drain and flush of a channel; true when the provider did something. */
bool fake_bus_drain(struct vmbus_bus *bus, uint32_t dev, uint16_t sub);
/* loop_turn() without sleeping, then every open channel. True when anything happened. */
bool fake_bus_turn(struct vmbus_bus *bus);
/* Turns until nothing happens any more, at most @max turns; false when still busy. */
bool fake_bus_settle(struct vmbus_bus *bus, int max);

struct fake_bus_counts {
	uint32_t opens, closes, closed, kicks, offers_subs, faults;
	uint32_t maps, unmaps;
	uint32_t signals_to_host, signals_to_guest;
};
const struct fake_bus_counts *fake_bus_counts(const struct vmbus_bus *bus);

#endif
