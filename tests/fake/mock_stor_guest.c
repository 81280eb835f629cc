/* SPDX-License-Identifier: MIT */
/* A guest for storvsp's tests; see the header. */
#include "tests/fake/mock_stor_guest.h"

#include <stdio.h>
#include <stdlib.h>

#define REQUIRE(cond)                                                                              \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "mock_stor_guest: %s:%d: %s\n", __FILE__, __LINE__,        \
				#cond);                                                            \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#define PATIENCE 4000 /* turns */

void mock_guest_open(struct mock_guest *g, struct vmbus_bus *bus, uint32_t dev, uint16_t sub,
		     uint32_t pages)
{
	*g = (struct mock_guest){
		.bus = bus,
		.dev = dev,
		.sub = sub,
		.packet_len = VSTOR_PACKET,
		.next_id = 1,
	};
	REQUIRE(!fake_bus_open(bus, dev, sub, pages, &g->chan));
}

void mock_guest_init(struct mock_guest *g, uint16_t version, struct vstor_properties *props)
{
	struct vstor_packet p = { .version.major_minor = version };
	struct mock_answer a;

	mock_guest_call(g, VSTOR_OP_BEGIN_INITIALIZATION, NULL, &a);
	REQUIRE(!a.p.status);
	mock_guest_call(g, VSTOR_OP_QUERY_PROTOCOL_VERSION, &p, &a);
	REQUIRE(!a.p.status);
	g->packet_len = version >= VSTOR_V5_1 ? VSTOR_PACKET : VSTOR_PACKET_OLD;
	mock_guest_call(g, VSTOR_OP_QUERY_PROPERTIES, NULL, &a);
	REQUIRE(!a.p.status);
	if (props)
		*props = a.p.properties;
	mock_guest_call(g, VSTOR_OP_END_INITIALIZATION, NULL, &a);
	REQUIRE(!a.p.status);
}

void mock_guest_start(struct mock_guest *g, struct vmbus_bus *bus)
{
	mock_guest_open(g, bus, 0, 0, 32);
	mock_guest_init(g, VSTOR_V6_2, NULL);
}

/* ---- sending -------------------------------------------------------------------------- */

void mock_guest_flush(struct mock_guest *g)
{
	vmbus_chan_flush(g->chan);
}

void mock_guest_send_raw(struct mock_guest *g, uint64_t id, const void *bytes, uint32_t len)
{
	REQUIRE(!vmbus_chan_send(g->chan, VMPKT_FLAG_COMPLETION_REQUESTED, id, bytes, len));
}

void mock_guest_send_op(struct mock_guest *g, uint64_t id, uint32_t op,
			const struct vstor_packet *p)
{
	struct vstor_packet out = { 0 };

	if (p)
		out = *p;
	out.operation = op;
	out.flags = VSTOR_FLAG_COMPLETION;
	mock_guest_send_raw(g, id, &out, g->packet_len);
}

void mock_srb_packet(struct vstor_packet *p, const struct mock_srb *srb, uint32_t packet_len)
{
	uint32_t dir = srb->data_in == VSTOR_DATA_IN	? VSTOR_SRB_FLAG_DATA_IN
		       : srb->data_in == VSTOR_DATA_OUT ? VSTOR_SRB_FLAG_DATA_OUT
							: 0;

	*p = (struct vstor_packet){
		.operation = VSTOR_OP_EXECUTE_SRB,
		.flags = VSTOR_FLAG_COMPLETION,
		.srb = {
			.length = (uint16_t)(packet_len - VSTOR_HEADER_LEN),
			.path_id = srb->path,
			.target_id = srb->target,
			.lun = srb->lun,
			.cdb_length = srb->cdb_len,
			.sense_info_length = packet_len < VSTOR_PACKET ? VSTOR_SENSE_ROOM_OLD
								       : VSTOR_SENSE_ROOM,
			.data_in = srb->data_in,
			.data_transfer_length = srb->lie ? srb->claim : srb->len,
			.queue_tag = VSTOR_QUEUE_TAG_UNTAGGED,
			.queue_action = VSTOR_QUEUE_ACTION_SIMPLE,
			.srb_flags = VSTOR_SRB_FLAG_NO_QUEUE_FREEZE | VSTOR_SRB_FLAG_QUEUE_ACTION |
				     VSTOR_SRB_FLAG_DISABLE_SYNCH_TRANSFER | dir,
			.time_out_value = 60,
		},
	};
	memcpy(p->srb.cdb, srb->cdb, sizeof(p->srb.cdb));
}

uint64_t mock_guest_send_srb(struct mock_guest *g, const struct mock_srb *srb)
{
	uint32_t offset = srb->gpa % 4096, n = (offset + srb->len + 4095) / 4096, i;
	struct vstor_packet p;
	uint64_t id = g->next_id, pfn[4100];
	int err;

	mock_srb_packet(&p, srb, g->packet_len);
	if (srb->len) {
		REQUIRE(n <= ARRAY_SIZE(pfn));
		for (i = 0; i < n; i++)
			pfn[i] = srb->gpa / 4096 + i;
		err = vmbus_chan_send_gpa_direct(g->chan, VMPKT_FLAG_COMPLETION_REQUESTED, id,
						 srb->len, offset, pfn, n, &p, g->packet_len);
	} else {
		err = vmbus_chan_send(g->chan, VMPKT_FLAG_COMPLETION_REQUESTED, id, &p,
				      g->packet_len);
	}
	if (err == -EAGAIN)
		return 0;
	REQUIRE(!err);
	g->next_id++;
	return id;
}

struct mock_srb mock_rw(uint8_t lun, bool write, uint32_t lba, uint16_t blocks, uint64_t gpa)
{
	struct mock_srb s = {
		.lun = lun,
		.cdb_len = 10,
		.data_in = write ? VSTOR_DATA_OUT : VSTOR_DATA_IN,
		.gpa = gpa,
		.len = blocks * 512u,
	};

	s.cdb[0] = write ? 0x2a : 0x28;
	be32_put(s.cdb + 2, lba);
	be16_put(s.cdb + 7, blocks);
	return s;
}

/* ---- receiving -------------------------------------------------------------------------- */

bool mock_guest_poll(struct mock_guest *g, struct mock_answer *a)
{
	struct vmpkt pkt;
	int n = vmbus_chan_recv(g->chan, &pkt);

	REQUIRE(n >= 0);
	if (!n)
		return false;
	*a = (struct mock_answer){
		.type = pkt.type,
		.flags = pkt.flags,
		.id = pkt.trans_id,
		.len = pkt.payload_len,
	};
	REQUIRE(pkt.payload_len <= sizeof(a->p));
	memcpy(&a->p, pkt.payload, pkt.payload_len);
	vmbus_chan_recv_done(g->chan);
	return true;
}

bool mock_guest_recv(struct mock_guest *g, struct mock_answer *a)
{
	int i;

	mock_guest_flush(g);
	for (i = 0; i < PATIENCE; i++) {
		if (mock_guest_poll(g, a))
			return true;
		if (!fake_bus_turn(g->bus) && i > 4)
			return mock_guest_poll(g, a);
	}
	return false;
}

void mock_guest_call(struct mock_guest *g, uint32_t op, const struct vstor_packet *p,
		     struct mock_answer *a)
{
	mock_guest_send_op(g, MOCK_INIT_ID, op, p);
	REQUIRE(mock_guest_recv(g, a));
	REQUIRE(a->id == MOCK_INIT_ID && a->type == VMPKT_COMPLETION && !a->flags);
	REQUIRE(a->len == g->packet_len && a->p.operation == VSTOR_OP_COMPLETE_IO);
}

void mock_guest_srb(struct mock_guest *g, const struct mock_srb *srb, struct mock_answer *a)
{
	uint64_t id = mock_guest_send_srb(g, srb);

	REQUIRE(id && mock_guest_recv(g, a));
	REQUIRE(a->id == id && a->type == VMPKT_COMPLETION && !a->flags);
	REQUIRE(a->len == g->packet_len && a->p.operation == VSTOR_OP_COMPLETE_IO);
}
