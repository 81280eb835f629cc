/* SPDX-License-Identifier: MIT */
/* VMBus without a driver: messages by polling, whatever one likes in them. One VP. */
#ifndef HVBUS_TESTS_KVM_PAYLOAD_BUS_H
#define HVBUS_TESTS_KVM_PAYLOAD_BUS_H

#include "hv-core/hv_defs.h"
#include "ringbuf/ring_layout.h"
#include "tests/kvm/payload/machine.h"
#include "vmbus/msg.h"

#define SINT2	   (HV_MSR_SINT0 + HV_VMBUS_SINT)
#define SINT_OPEN  0xf3ull
#define RING_PAGES 4u /* of each direction, control page included */
#define RING_GPADL 0xe1e10u
#define NO_ANSWER  0x5a5a5a5au

extern struct hv_message_page bus_messages;
extern struct hv_event_flags_page bus_events;
extern uint8_t bus_rings[2 * RING_PAGES][PAGE];
extern uint8_t bus_page[PAGE]; /* input of hypercalls */
extern uint32_t bus_leaks;     /* messages with something behind their end */

/* The SynIC of this VP, with our pages. */
void bus_synic_on(void);

/* HvPostMessage; its status. */
uint64_t bus_post(uint32_t conn, uint32_t type, uint32_t size, const void *msg, uint32_t len);
/* A message of the bus, on connection 4. */
uint64_t bus_say(const void *msg, uint32_t len);
/* The next message; false: none within @ms. */
bool bus_take(union vmbus_msg *m, uint32_t ms);
/* The next one of @type; others are thrown away. */
bool bus_expect(union vmbus_msg *m, uint32_t type, uint32_t ms);
/* Whatever is still on its way. */
void bus_drain(void);

/* Is this contact accepted? */
bool bus_contact(uint32_t version, uint32_t vp, uint32_t sint);
/* Contact and offers; the relid of the first controller, 0: none. */
uint32_t bus_connect(void);
/* What the root says to it; NO_ANSWER. @downstream: of 2 * RING_PAGES pages. */
uint32_t bus_gpadl(uint32_t relid, uint32_t id, const uint64_t *pfn, uint32_t n);
uint32_t bus_rings_gpadl(uint32_t relid);
uint32_t bus_open(uint32_t relid, uint32_t gpadl, uint32_t vp, uint32_t downstream);
uint32_t bus_modify(uint32_t relid, uint32_t vp);
void bus_close(uint32_t relid);
/* Rings its doorbell; the status. */
uint64_t bus_ring(uint32_t relid);

#endif
