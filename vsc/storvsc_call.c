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

static int call(struct sc_queue *q, const struct vstor_packet *p, uint64_t gpa, uint32_t len,
		bool bounced, struct sc_call *c)
{
	uint64_t deadline = sc_deadline(q->s->timeout_ns);
	struct sc_slot *slot;
	int err;

	c->done = false;
	err = call_send(q, p, gpa, len, c, deadline, &slot);
	return err ? err : call_wait(q, slot, c, deadline, bounced);
}

int sc_call(struct sc_queue *q, const struct vstor_packet *p, struct sc_call *c)
{
	return call(q, p, 0, 0, false, c);
}

/* ---- SCSI commands ---------------------------------------------------------------------- */

uint8_t *sc_bounce(struct sc_queue *q)
{
	uint64_t gpa;

	if (!q->bounce && !hv_child_alloc_pages(q->s->child, q->s->max_transfer / 4096, &gpa))
		q->bounce = hv_child_ptr(q->s->child, gpa);
	return q->bounce;
}

/* @moved bytes came back in @from; the sense is in @p. */
static void deliver(const struct sc_command *c, const struct vstor_packet *p, const uint8_t *from,
		    uint32_t *moved, uint8_t *sense)
{
	uint32_t n = p->srb.data_transfer_length;

	if (n > c->len)
		n = c->len; /* C10 */
	if (c->data_in == VSTOR_DATA_IN && from != c->data)
		memcpy(c->data, from, n);
	*moved = n;
	memset(sense, 0, 18);
	if (p->srb.srb_status & VSTOR_SRB_AUTOSENSE) /* C11: never more than our own room */
		memcpy(sense, p->srb.sense,
		       p->srb.sense_info_length < 18 ? p->srb.sense_info_length : 18);
}

static int command_once(struct sc_queue *q, const struct sc_command *c, uint32_t *moved,
			uint8_t *sense, bool *retry)
{
	uint64_t gpa = c->len ? sc_gpa(q->s, c->data, c->len) : 0;
	bool bounced = gpa == UINT64_MAX;
	uint8_t *data = c->data;
	struct sc_outcome o;
	struct vstor_packet p;
	struct sc_call ans;
	int err;

	if (bounced) {
		data = sc_bounce(q);
		if (!data)
			return -ENOMEM;
		gpa = sc_gpa(q->s, data, c->len);
		if (c->data_in == VSTOR_DATA_OUT)
			memcpy(data, c->data, c->len);
		else
			memset(data, 0, c->len); /* no stale bytes, whatever the root writes */
	}
	sc_srb_packet(&p, c->lun, c->cdb, c->cdb_len, c->data_in, c->len);
	err = call(q, &p, gpa, c->len, bounced, &ans);
	if (err)
		return err;
	o = sc_decode(&ans.answer, 0);
	*retry = o.retry;
	if (o.retry && o.sense)
		store_relaxed(&q->s->changed, 1);
	if (o.err) {
		SC_BUMP(q->errors);
		sc_note_failure(q, o.err, o.sense);
	}
	deliver(c, &ans.answer, data, moved, sense);
	if (o.err)
		*moved = 0;
	return o.err;
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
