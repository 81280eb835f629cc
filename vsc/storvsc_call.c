/* SPDX-License-Identifier: MIT */
/*
 * One request and its answer at once: the handshake, and SCSI commands whose data is
 * small or goes through a bounce buffer. Not for the data path.
 */
#include "vsc/storvsc_priv.h"

/* Waits for @slot's answer; gives up at @deadline. */
static int call_wait(struct sc_queue *q, struct sc_slot *slot, struct sc_call *call,
		     uint64_t deadline, bool bounced)
{
	while (!call->done) {
		sc_collect_done(q);
		if (call->done)
			break;
		if (!sc_wait(q, deadline)) {
			sc_abandon(q, slot, bounced);
			sc_note_failure(q, -ETIMEDOUT, 0);
			return -ETIMEDOUT;
		}
	}
	return call->err;
}

void sc_abandon(struct sc_queue *q, struct sc_slot *slot, bool bounced)
{
	slot->kind = SC_ORPHAN;
	slot->owner = NULL;
	slot->bounce_pages = 0;
	if (bounced) { /* the next call gets a new one */
		slot->bounce = sc_gpa(q->s, q->bounce, 1);
		slot->bounce_pages = q->s->max_transfer / 4096;
		q->bounce = NULL;
	}
}

/* Sends @p with @len bytes at @gpa; waits for a slot and for room. */
static int call_send(struct sc_queue *q, const struct vstor_packet *p, uint64_t gpa, uint32_t len,
		     struct sc_call *call, uint64_t deadline, struct sc_slot **out)
{
	struct sc_slot *slot;
	int err;

	for (;;) {
		if (q->dead)
			return q->dead;
		err = -EAGAIN;
		slot = sc_slot_get(q, SC_CALL, call);
		if (slot) {
			slot->need = 0;
			err = sc_send_flat(q, slot, p, gpa, len);
			if (!err)
				break;
			sc_slot_put(q, slot);
		}
		if (err != -EAGAIN)
			return err;
		if (!sc_wait(q, deadline))
			return -ETIMEDOUT;
		sc_collect_done(q);
	}
	SC_BUMP(q->submitted);
	vmbus_chan_flush(q->chan);
	*out = slot;
	return 0;
}

struct payload { /* what goes along with a packet */
	uint64_t gpa;
	uint32_t len;
	bool bounced;
};

static int call(struct sc_queue *q, const struct vstor_packet *p, const struct payload *data,
		uint64_t timeout_ns, struct sc_call *c)
{
	uint64_t deadline = sc_deadline(timeout_ns);
	struct sc_slot *slot;
	int err;

	c->done = false;
	err = call_send(q, p, data->gpa, data->len, c, deadline, &slot);
	return err ? err : call_wait(q, slot, c, deadline, data->bounced);
}

int sc_call(struct sc_queue *q, const struct vstor_packet *p, struct sc_call *c)
{
	static const struct payload none;

	return call(q, p, &none, q->s->timeout_ns, c);
}

/* ---- SCSI commands ---------------------------------------------------------------------- */

uint8_t *sc_bounce(struct sc_queue *q)
{
	uint64_t gpa;

	if (!q->bounce && !hv_child_alloc_pages(q->s->child, q->s->max_transfer / 4096, &gpa))
		q->bounce = hv_child_ptr(q->s->child, gpa);
	return q->bounce;
}

/* Where the data of @c lies for the root: in place, or in the bounce buffer. */
static int lend_data(struct sc_queue *q, const struct sc_command *c, struct payload *p)
{
	uint8_t *bounce;

	*p = (struct payload){ .len = c->len };
	if (!c->len)
		return 0;
	p->gpa = sc_gpa(q->s, c->data, c->len);
	p->bounced = p->gpa == UINT64_MAX;
	if (!p->bounced)
		return 0;
	bounce = sc_bounce(q);
	if (!bounce)
		return -ENOMEM;
	p->gpa = sc_gpa(q->s, bounce, c->len);
	if (c->data_in == VSTOR_DATA_OUT)
		memcpy(bounce, c->data, c->len);
	else
		memset(bounce, 0, c->len); /* no stale bytes, whatever the root writes */
	return 0;
}

struct reply { /* what became of a command */
	struct vstor_packet packet;
	struct sc_outcome outcome;
	uint32_t moved; /* bytes of data, never more than there is room for (C10) */
};

/* Executes @c once. 0: the root has answered, whatever it said. */
static int exchange(struct sc_queue *q, const struct sc_command *c, uint64_t timeout_ns,
		    struct reply *r)
{
	struct payload data;
	struct vstor_packet p;
	struct sc_call ans;
	int err = lend_data(q, c, &data);

	if (err)
		return err;
	sc_srb_packet(&p, c->lun, c->cdb, c->cdb_len, c->data_in, c->len);
	err = call(q, &p, &data, timeout_ns, &ans);
	if (err)
		return err;
	r->packet = ans.answer;
	r->outcome = sc_decode(&ans.answer, 0);
	r->moved = ans.answer.srb.data_transfer_length;
	if (r->moved > c->len)
		r->moved = c->len;
	if (r->outcome.retry && r->outcome.sense)
		store_relaxed(&q->s->changed, 1);
	if (data.bounced && c->data_in == VSTOR_DATA_IN)
		memcpy(c->data, q->bounce, r->moved);
	return 0;
}

/* The sense of @srb to 18 bytes at @sense, the rest zeroes; how many there were. */
static uint8_t take_sense(const struct vstor_srb *srb, uint8_t *sense)
{
	uint8_t n = srb->sense_info_length < 18 ? srb->sense_info_length : 18; /* C11 */

	memset(sense, 0, 18);
	if (!(srb->srb_status & VSTOR_SRB_AUTOSENSE))
		return 0;
	memcpy(sense, srb->sense, n);
	return n;
}

static int command_once(struct sc_queue *q, const struct sc_command *c, uint32_t *moved,
			uint8_t *sense, bool *retry)
{
	struct reply r;
	int err = exchange(q, c, q->s->timeout_ns, &r);

	if (err)
		return err;
	take_sense(&r.packet.srb, sense);
	*moved = r.outcome.err ? 0 : r.moved;
	*retry = r.outcome.retry;
	if (r.outcome.err) {
		SC_BUMP(q->errors);
		sc_note_failure(q, r.outcome.err, r.outcome.sense);
	}
	return r.outcome.err;
}

int sc_command(struct sc_queue *q, const struct sc_command *c, bool retry, uint32_t *moved,
	       uint8_t *sense)
{
	uint8_t own_sense[18];
	uint32_t own_moved;
	bool again;
	int tries = 0, err;

	if (c->len > q->s->max_transfer)
		return -EMSGSIZE;
	do {
		again = false;
		err = command_once(q, c, moved ? moved : &own_moved, sense ? sense : own_sense,
				   &again);
	} while (err && again && retry && tries++ < SC_RETRIES);
	return err;
}

static uint8_t cdb_length(uint8_t opcode)
{
	static const uint8_t len[8] = { 6, 10, 10, 16, 16, 12, 10, 10 };

	return len[opcode >> 5];
}

int storvsc_scsi(struct storvsc *s, uint32_t qi, uint8_t lun, const uint8_t cdb[16], int dir,
		 void *data, uint32_t len, uint32_t *transferred, uint8_t sense[18])
{
	struct sc_command c = {
		.lun = lun,
		.cdb_len = cdb_length(cdb[0]),
		.data_in = (uint8_t)dir,
		.len = dir == VSTOR_DATA_NONE ? 0 : len,
		.data = data,
	};

	if (transferred)
		*transferred = 0;
	if (sense)
		memset(sense, 0, 18);
	if (qi >= s->nr_queues || dir < VSTOR_DATA_OUT || dir > VSTOR_DATA_NONE)
		return -EINVAL;
	memcpy(c.cdb, cdb, sizeof(c.cdb));
	return sc_command(&s->queue[qi], &c, false, transferred, sense);
}

int storvsc_raw(struct storvsc *s, uint32_t qi, struct storvsc_raw *r)
{
	struct sc_command c = {
		.lun = r->lun,
		.cdb_len = r->cdb_len ? r->cdb_len : cdb_length(r->cdb[0]),
		.data_in = r->dir,
		.len = r->dir == VSTOR_DATA_NONE ? 0 : r->len,
		.data = r->data,
	};
	uint64_t timeout_ns = r->timeout_ms ? r->timeout_ms * 1000000ull : s->timeout_ns;
	struct reply reply;
	int err;

	r->scsi_status = r->srb_status = r->sense_len = 0;
	r->transferred = 0;
	memset(r->sense, 0, sizeof(r->sense));
	if (qi >= s->nr_queues || r->dir > VSTOR_DATA_NONE || c.cdb_len > VSTOR_CDB_LEN)
		return -EINVAL;
	if (c.len > s->max_transfer)
		return -EMSGSIZE;
	memcpy(c.cdb, r->cdb, sizeof(c.cdb));
	err = exchange(&s->queue[qi], &c, timeout_ns, &reply);
	if (err)
		return err;
	r->scsi_status = reply.packet.srb.scsi_status;
	r->srb_status = reply.packet.srb.srb_status & VSTOR_SRB_CODE_MASK;
	r->transferred = reply.moved;
	r->sense_len = take_sense(&reply.packet.srb, r->sense);
	return 0;
}

int storvsc_reset(struct storvsc *s, uint32_t qi, int lun)
{
	struct vstor_packet p = {
		.operation = lun < 0 ? VSTOR_OP_RESET_BUS : VSTOR_OP_RESET_LUN,
		.flags = VSTOR_FLAG_COMPLETION,
		.srb = { .length = VSTOR_PAYLOAD, .lun = lun < 0 ? 0 : (uint8_t)lun },
	};
	struct sc_call ans;
	int err;

	if (qi >= s->nr_queues || lun > 255)
		return -EINVAL;
	err = sc_call(&s->queue[qi], &p, &ans);
	return err ? err : ans.answer.status ? -EOPNOTSUPP : 0;
}
