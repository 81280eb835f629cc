/* SPDX-License-Identifier: MIT */
/*
 * The guest of sched_world.h: what it says, and what it expects of each answer. All of it
 * runs as code of loop 0, where hypercalls end.
 */
#ifndef HVBUS_TESTS_SCHED_GUEST_H
#define HVBUS_TESTS_SCHED_GUEST_H

#include "tests/ut/vsp/sched_world.h"

#define CONTROL_ID 0xffffull

static inline bool post(const union vmbus_msg *m, uint32_t len)
{
	return fake_guest_post_message(w.f, HV_CONN_VMBUS_MESSAGE, HV_MESSAGE_VMBUS, m, len) ==
	       HV_STATUS_SUCCESS;
}

static inline void say(enum vmbus_msg_type type)
{
	union vmbus_msg m;

	REQUIRE(post(&m, vmbus_msg_init(&m, type)));
}

static inline void say_contact(void)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_INITIATE_CONTACT);

	m.contact.version = VMBUS_V5_3;
	w.contacting = true;
	REQUIRE(post(&m, len));
}

static inline void say_relid(enum vmbus_msg_type type, uint32_t relid)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, type);

	m.relid.relid = relid;
	REQUIRE(post(&m, len));
}

static inline void say_gpadl(const struct side *s, struct pad *p)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_GPADL_HEADER);
	struct vmbus_gpa_range range = { .byte_count = RING_PAGES * HV_PAGE_SIZE };

	m.gpadl_header.relid = s->relid;
	m.gpadl_header.gpadl = p->id;
	m.gpadl_header.range_buflen = 8 + 8 * RING_PAGES;
	m.gpadl_header.rangecount = 1;
	memcpy(m.bytes + len, &range, sizeof(range));
	len += sizeof(range);
	for (uint64_t i = 0; i < RING_PAGES; i++, len += 8) {
		uint64_t pfn = (p->gpa >> HV_PAGE_SHIFT) + i;

		memcpy(m.bytes + len, &pfn, 8);
	}
	REQUIRE(post(&m, len));
}

static inline void say_teardown(const struct side *s, struct pad *p)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_GPADL_TEARDOWN);

	REQUIRE(p->created && !p->asked);
	p->asked = true;
	m.gpadl_teardown.relid = s->relid;
	m.gpadl_teardown.gpadl = p->id;
	REQUIRE(post(&m, len));
}

static inline void say_open(struct side *s)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_OPENCHANNEL);

	s->state = ASKED;
	m.open.relid = s->relid;
	m.open.open_id = s->gen + 1;
	m.open.gpadl = s->pad[s->gen].id;
	m.open.target_vp = 0;
	m.open.downstream_page = RING_PAGES / 2;
	REQUIRE(post(&m, len));
}

static inline void say_modify(struct side *s)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_MODIFYCHANNEL);

	s->modifying++;
	m.modify.relid = s->relid;
	m.modify.target_vp = 1;
	REQUIRE(post(&m, len));
}

/* ---- rings ------------------------------------------------------------------------- */

static inline void ring_root(void *ctx)
{
	const struct side *s = ctx;

	fake_guest_signal(w.f, HV_CONN_CHANNEL_BASE + s->relid);
	sched_ring();
}

static inline void attach(struct side *s)
{
	struct hv_gpa *gpa = hv_partition_gpa(fake_partition(w.f));
	struct vmbus_chan_config cfg = {
		.accept = VMRING_ACCEPT_GUEST, .signal = ring_root, .ctx = s, .name = "guest"
	};
	uint64_t pfn[RING_PAGES];

	for (uint32_t i = 0; i < RING_PAGES; i++)
		pfn[i] = (s->pad[s->gen].gpa >> HV_PAGE_SHIFT) + i;
	REQUIRE(!hv_gpa_map_wrapped(gpa, &s->to_host, pfn, RING_PAGES / 2));
	REQUIRE(!hv_gpa_map_wrapped(gpa, &s->to_guest, pfn + RING_PAGES / 2, RING_PAGES / 2));
	cfg.in = s->to_guest;
	cfg.out = s->to_host;
	REQUIRE(!vmbus_chan_create(&s->chan, &cfg));
	s->state = OPEN;
}

/* From here on nothing is answered any more. */
static inline void detach(struct side *s)
{
	s->state = SHUT;
	if (!s->chan)
		return;
	vmbus_chan_destroy(s->chan);
	hv_gpa_unmap_view(&s->to_host);
	hv_gpa_unmap_view(&s->to_guest);
	s->chan = NULL;
}

static inline void send_packet(struct side *s, uint64_t id, const struct vstor_packet *p,
			       uint32_t pages)
{
	uint64_t pfn[] = { w.data >> HV_PAGE_SHIFT };
	int err;

	if (pages)
		err = vmbus_chan_send_gpa_direct(s->chan, VMPKT_FLAG_COMPLETION_REQUESTED, id, 4096,
						 0, pfn, 1, p, VSTOR_PACKET);
	else
		err = vmbus_chan_send(s->chan, VMPKT_FLAG_COMPLETION_REQUESTED, id, p,
				      VSTOR_PACKET);
	REQUIRE(!err);
	vmbus_chan_flush(s->chan);
}

/* Opening and number of a request travel in its transaction id. */
static inline uint64_t new_id(struct side *s)
{
	uint32_t seq = s->sent[s->gen]++;

	REQUIRE(seq < WORLD_SEQS);
	s->waits[s->gen][seq] = true;
	return 1 + seq + s->gen * WORLD_SEQS + s->sub * WORLD_SEQS * WORLD_GENS;
}

static inline uint32_t sub_of(uint64_t id)
{
	return (uint32_t)(id - 1) / (WORLD_SEQS * WORLD_GENS);
}

static inline uint32_t gen_of(uint64_t id)
{
	return (uint32_t)(id - 1) / WORLD_SEQS % WORLD_GENS;
}

static inline void send_srb(struct side *s, const uint8_t *cdb, uint8_t cdb_len, uint32_t len,
			    enum vstor_data_in dir)
{
	struct vstor_packet p = {
		.operation = VSTOR_OP_EXECUTE_SRB,
		.flags = VSTOR_FLAG_COMPLETION,
		.srb = { .length = VSTOR_PAYLOAD, .cdb_length = cdb_len, .data_in = dir },
	};

	p.srb.data_transfer_length = len;
	memcpy(p.srb.cdb, cdb, cdb_len);
	send_packet(s, new_id(s), &p, 1);
}

static inline void send_op(struct side *s, uint64_t id, uint32_t op, uint16_t value)
{
	struct vstor_packet p = { .operation = op, .flags = VSTOR_FLAG_COMPLETION };

	p.sub_channel_count = value; /* or the version, which lies in the same place */
	send_packet(s, id, &p, 0);
}

static inline void answered(struct side *s, uint32_t seq, const struct vmpkt *pkt)
{
	const struct vstor_packet *p = (const void *)pkt->payload;

	REQUIRE(s->waits[s->gen][seq]);
	s->waits[s->gen][seq] = false;
	if (!s->reset[s->gen][seq] || p->status)
		return;
	for (uint32_t i = 0; i < seq; i++)
		REQUIRE(!s->waits[s->gen][i]);
}

static inline void reap(struct side *s)
{
	struct vmpkt pkt;

	while (vmbus_chan_recv(s->chan, &pkt) > 0) {
		if (pkt.trans_id == VSTOR_ID_UNSOLICITED)
			continue;
		if (pkt.trans_id == CONTROL_ID) {
			w.controls++;
			continue;
		}
		REQUIRE(sub_of(pkt.trans_id) == s->sub && gen_of(pkt.trans_id) == s->gen);
		answered(s, (uint32_t)(pkt.trans_id - 1) % WORLD_SEQS, &pkt);
	}
	REQUIRE(!vmbus_chan_faulted(s->chan));
	vmbus_chan_recv_done(s->chan);
}

static inline bool may_reap(const struct side *s)
{
	const struct vmring_ctrl *ctrl = s->to_guest.ctrl;

	return s->chan && load_relaxed(&ctrl->write_index) != load_relaxed(&ctrl->read_index);
}

/* ---- who may be told that its memory is its own again ---------------------------------- */

static inline uint32_t in_flight_of(uint32_t sub, uint32_t gen)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < w.nr_disk; i++) {
		const struct scsi_task *t = container_of(w.disk[i].req, struct scsi_task, blk);
		uint64_t id = container_of(t, struct stor_req, task)->trans_id;

		n += sub_of(id) == sub && gen_of(id) == gen;
	}
	return n;
}

static inline void pad_ours(struct pad *p)
{
	REQUIRE(!p->torn);
	p->torn = true;
	memset(fake_guest_ptr(w.f, p->gpa), POISON, RING_PAGES * HV_PAGE_SIZE);
}

static inline void pad_check(const struct pad *p)
{
	const uint8_t *b = fake_guest_ptr(w.f, p->gpa);

	if (p->torn)
		REQUIRE(b[0] == POISON && !memcmp(b, b + 1, RING_PAGES * HV_PAGE_SIZE - 1));
}

/* The root said that it is in none of our memory: pages, requests, relids are ours. */
static inline void all_ours(void)
{
	REQUIRE(!w.nr_disk);
	for (uint32_t i = 0; i < WORLD_SUBS; i++) {
		struct side *s = &w.side[i];

		REQUIRE(s->state == SHUT);
		for (uint32_t g = 0; g < WORLD_GENS; g++)
			if (s->pad[g].created && !s->pad[g].torn)
				pad_ours(&s->pad[g]);
		s->relid = 0;
		s->offered = s->rescinded = false;
		s->modifying = 0;
	}
}

/* ---- messages ----------------------------------------------------------------------------- */

static inline struct side *side_of(uint32_t relid)
{
	for (uint32_t i = 0; i < WORLD_SUBS; i++)
		if (relid && w.side[i].relid == relid)
			return &w.side[i];
	REQUIRE(!"a message about an unknown relid");
	return NULL;
}

static inline struct pad *pad_of(uint32_t id)
{
	for (uint32_t i = 0; i < WORLD_SUBS * WORLD_GENS; i++)
		if (w.side[i / WORLD_GENS].pad[i % WORLD_GENS].id == id)
			return &w.side[i / WORLD_GENS].pad[i % WORLD_GENS];
	REQUIRE(!"a message about an unknown GPADL");
	return NULL;
}

/* After a rescind: back with the relid once the last GPADL is. */
static inline void maybe_release(struct side *s)
{
	if (!s->rescinded)
		return;
	for (uint32_t g = 0; g < WORLD_GENS; g++)
		if (s->pad[g].created && !s->pad[g].torn)
			return;
	say_relid(VMBUS_MSG_RELID_RELEASED, s->relid);
	s->relid = 0;
	s->offered = s->rescinded = false;
}

static inline void on_offer(const struct vmbus_msg_offer *m)
{
	struct side *s = &w.side[m->sub_index];

	REQUIRE(m->sub_index < WORLD_SUBS && !s->offered && m->relid);
	for (uint32_t i = 0; i < WORLD_SUBS; i++)
		REQUIRE(w.side[i].relid != m->relid);
	s->offered = true;
	s->relid = m->relid;
}

static inline void on_rescind(struct side *s)
{
	REQUIRE(s->offered && !s->rescinded);
	s->rescinded = true;
	if (s->state == OPEN)
		say_relid(VMBUS_MSG_CLOSECHANNEL, s->relid); /* as Linux */
	detach(s);
	for (uint32_t g = 0; g < WORLD_GENS; g++)
		if (s->pad[g].created && !s->pad[g].asked)
			say_teardown(s, &s->pad[g]);
	maybe_release(s);
}

static inline void on_open_result(const struct vmbus_msg_open_result *m)
{
	struct side *s = side_of(m->relid);

	REQUIRE(s->state == ASKED && !s->rescinded && m->open_id == s->gen + 1);
	REQUIRE(m->status == VMBUS_STATUS_SUCCESS);
	attach(s);
}

static inline void on_torndown(uint32_t id)
{
	struct pad *p = pad_of(id);
	struct side *s = &w.side[(id - 1) / WORLD_GENS];

	REQUIRE(p->created && p->asked);
	REQUIRE(!in_flight_of(s->sub, (id - 1) % WORLD_GENS));
	pad_ours(p);
	maybe_release(s);
}

static inline void on_message(const union vmbus_msg *m)
{
	switch (m->hdr.type) {
	case VMBUS_MSG_OFFERCHANNEL:
		on_offer(&m->offer);
		break;
	case VMBUS_MSG_ALLOFFERS_DELIVERED:
		w.all_offers++;
		break;
	case VMBUS_MSG_RESCIND_CHANNELOFFER:
		on_rescind(side_of(m->relid.relid));
		break;
	case VMBUS_MSG_GPADL_CREATED:
		REQUIRE(m->gpadl_created.status == VMBUS_STATUS_SUCCESS);
		REQUIRE(!pad_of(m->gpadl_created.gpadl)->created);
		pad_of(m->gpadl_created.gpadl)->created = true;
		break;
	case VMBUS_MSG_GPADL_TORNDOWN:
		on_torndown(m->gpadl_torndown.gpadl);
		break;
	case VMBUS_MSG_OPENCHANNEL_RESULT:
		on_open_result(&m->open_result);
		break;
	case VMBUS_MSG_MODIFYCHANNEL_RESPONSE:
		REQUIRE(side_of(m->modify_response.relid)->modifying--);
		break;
	case VMBUS_MSG_UNLOAD_RESPONSE:
		REQUIRE(w.unloading && !w.unloaded);
		w.unloaded = true;
		all_ours();
		break;
	case VMBUS_MSG_VERSION_RESPONSE:
		REQUIRE(w.contacting && m->version.supported);
		w.contacting = false;
		all_ours();
		say(VMBUS_MSG_REQUESTOFFERS);
		break;
	default:
		REQUIRE(!"a message of an unexpected type");
	}
}

static inline bool may_take(void)
{
	const struct hv_message_page *page = fake_guest_messages(w.f, 0);

	return !w.dead && load_relaxed(&page->slot[HV_VMBUS_SINT].type) != HV_MESSAGE_NONE;
}

static inline void take_message(void)
{
	struct hv_message slot;
	union vmbus_msg m;

	REQUIRE(fake_guest_take_message(w.f, 0, &slot, NULL));
	memset(&m, 0, sizeof(m));
	memcpy(&m, slot.payload, slot.payload_size);
	/* The last words to a connection that we left: nothing but its end counts. */
	if ((w.unloading || w.contacting) && m.hdr.type != VMBUS_MSG_UNLOAD_RESPONSE &&
	    m.hdr.type != VMBUS_MSG_VERSION_RESPONSE)
		return;
	on_message(&m);
}

#endif
