/* SPDX-License-Identifier: MIT */
/*
 * The guest's side of VSTOR, as a stock guest speaks it or wrongly on purpose, on one
 * channel of a fake_bus (spec: storvsc, sections 5, 7.1, 16). Failures that a test did
 * not ask for abort it with a line of text.
 */
#ifndef HVBUS_TESTS_FAKE_MOCK_STOR_GUEST_H
#define HVBUS_TESTS_FAKE_MOCK_STOR_GUEST_H

#include "tests/fake/fake_bus.h"
#include "vmbus/wire/vstor.h"

#define MOCK_INIT_ID  0xfffffffffffffffdull /* what Linux uses */
#define MOCK_RESET_ID 0xfffffffffffffffcull

struct mock_guest {
	struct vmbus_bus *bus;
	uint32_t dev;
	uint16_t sub;
	struct vmbus_chan *chan;
	uint32_t packet_len; /* 64, or 48 for the versions up to 4.2 */
	uint64_t next_id;
};

/* Opens channel @sub of device @dev with rings of @pages pages. */
void mock_guest_open(struct mock_guest *g, struct vmbus_bus *bus, uint32_t dev, uint16_t sub,
		     uint32_t pages);
/* BEGIN .. END_INITIALIZATION with @version; the properties in *@props (may be NULL). */
void mock_guest_init(struct mock_guest *g, uint16_t version, struct vstor_properties *props);
/* Both. */
void mock_guest_start(struct mock_guest *g, struct vmbus_bus *bus);

/* ---- sending (visible to the host at mock_guest_flush()) ---------------------------- */

void mock_guest_flush(struct mock_guest *g);
/* Any bytes as an in-band packet with completion requested. */
void mock_guest_send_raw(struct mock_guest *g, uint64_t id, const void *bytes, uint32_t len);
/* A control operation with an empty payload; @p (may be NULL) for the rest. */
void mock_guest_send_op(struct mock_guest *g, uint64_t id, uint32_t op,
			const struct vstor_packet *p);

struct mock_srb {
	uint8_t path, target, lun;
	uint8_t cdb[16], cdb_len, data_in;
	uint64_t gpa;	/* of the buffer; contiguous */
	uint32_t len;	/* of the buffer, 0 = none */
	uint32_t claim; /* data_transfer_length when it is to differ from @len */
	bool lie;	/* use @claim */
};
void mock_srb_packet(struct vstor_packet *p, const struct mock_srb *srb, uint32_t packet_len);
/* Returns the transaction id. 0 when the ring is full. */
uint64_t mock_guest_send_srb(struct mock_guest *g, const struct mock_srb *srb);
/* READ(10) or WRITE(10) of @blocks blocks of 512 bytes. */
struct mock_srb mock_rw(uint8_t lun, bool write, uint32_t lba, uint16_t blocks, uint64_t gpa);

/* ---- receiving ------------------------------------------------------------------------- */

struct mock_answer {
	uint16_t type, flags;
	uint64_t id;
	uint32_t len; /* of the payload as sent */
	struct vstor_packet p;
};
/* The next packet of the host, without letting it run. False: none. */
bool mock_guest_poll(struct mock_guest *g, struct mock_answer *a);
/* Flushes, lets the host run, returns the next packet. False: nothing came. */
bool mock_guest_recv(struct mock_guest *g, struct mock_answer *a);
/* Sends and waits for its completion. */
void mock_guest_call(struct mock_guest *g, uint32_t op, const struct vstor_packet *p,
		     struct mock_answer *a);
void mock_guest_srb(struct mock_guest *g, const struct mock_srb *srb, struct mock_answer *a);

#endif
