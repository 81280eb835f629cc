/* SPDX-License-Identifier: MIT */
/*
 * Completions in. The root may send anything: what does not match an outstanding
 * request of ours by index and generation is counted and dropped; what matches is
 * decoded from the channel's private copy, every length clamped (spec: storvsc,
 * sections 10 and 15).
 *
 * Waiting: look, look a little longer without a clock, spin while that pays, ask for
 * signals and look once more, sleep.
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/nospec.h"
#include "vsc/storvsc_priv.h"

#define COLLECT_BATCH 32

/* ---- decoding an answer -------------------------------------------------------------- */

/* Sense bytes as key << 16 | asc << 8 | ascq; 0 when they say nothing. */
static uint32_t sense_code(const struct vstor_srb *srb)
{
	const uint8_t *b = srb->sense;
	uint32_t n = srb->sense_info_length < VSTOR_SENSE_ROOM ? srb->sense_info_length
							       : VSTOR_SENSE_ROOM;

	if (!(srb->srb_status & VSTOR_SRB_AUTOSENSE) || n < 3)
		return 0;
	if ((b[0] & 0x7f) == 0x72 || (b[0] & 0x7f) == 0x73) /* descriptor format */
		return (b[1] & 0xfu) << 16 | b[2] << 8 | (n > 3 ? b[3] : 0);
	if ((b[0] & 0x7e) != 0x70)
		return 0;
	return (b[2] & 0xfu) << 16 | (n > 12 ? b[12] << 8 : 0) | (n > 13 ? b[13] : 0);
}

static struct sc_outcome outcome(int err, uint32_t sense, bool retry)
{
	return (struct sc_outcome){ err, sense, retry };
}

static struct sc_outcome decode_check_condition(const struct vstor_srb *srb, uint32_t need)
{
	uint32_t sense = sense_code(srb);
	int err = storvsc_sense_errno(sense);

	if (!sense)
		return outcome(-EIO, 0, false);
	if (!err && srb->data_transfer_length < need) /* "recovered", but not all of it */
		err = -EIO;
	return outcome(err, sense, sense >> 16 == 6);
}

static int errno_of_srb(uint8_t code)
{
	switch (code) {
	case VSTOR_SRB_INVALID_LUN:
	case VSTOR_SRB_NO_DEVICE:
		return -ENXIO;
	case VSTOR_SRB_ABORTED:
	case 0x0e: /* bus reset */
		return -ECANCELED;
	case VSTOR_SRB_TIMEOUT:
		return -ETIMEDOUT;
	default:
		return -EIO;
	}
}

struct sc_outcome sc_decode(const struct vstor_packet *p, uint32_t need)
{
	const struct vstor_srb *srb = &p->srb;
	uint8_t code = srb->srb_status & VSTOR_SRB_CODE_MASK;

	if (code == VSTOR_SRB_INVALID_LUN)
		return outcome(-ENXIO, 0, false);
	switch (srb->scsi_status) {
	case 0x02:
		return decode_check_condition(srb, need);
	case 0x08: /* busy */
	case 0x28: /* task set full */
		return outcome(-EBUSY, 0, true);
	case 0x18:
		return outcome(-EBADE, 0, false);
	case 0x40:
		return outcome(-ECANCELED, 0, false);
	case 0x00:
	case 0x04: /* condition met */
		break;
	default:
		return outcome(-EIO, 0, false);
	}
	if (code != VSTOR_SRB_SUCCESS)
		return outcome(errno_of_srb(code), 0, false);
	return outcome(srb->data_transfer_length < need ? -EIO : 0, 0, false);
}

void sc_note_failure(struct sc_queue *q, int err, uint32_t sense)
{
	if (sense)
		snprintf(q->error, sizeof(q->error), "%s (sense %x/%02x/%02x)",
			 storvsc_sense_text(sense), sense >> 16 & 0xf, sense >> 8 & 0xff,
			 sense & 0xff);
	else
		snprintf(q->error, sizeof(q->error), "%s", strerror(-err));
}

/* ---- ending a request ---------------------------------------------------------------------- */

static void done_push(struct sc_queue *q, struct storvsc_io *io)
{
	io->next = NULL;
	*q->done_tail = io;
	q->done_tail = &io->next;
}

static int done_take(struct sc_queue *q, struct storvsc_io **out, int max)
{
	int n = 0;

	while (n < max && q->done_head) {
		out[n++] = q->done_head;
		q->done_head = q->done_head->next;
	}
	if (!q->done_head)
		q->done_tail = &q->done_head;
	return n;
}

/* The disks may look different now. */
static void note_change(struct sc_queue *q, uint32_t sense)
{
	if (sense >> 16 == 6)
		store_relaxed(&q->s->changed, 1);
}

static bool malformed(const struct vmpkt *pkt, struct vstor_packet *p)
{
	if (pkt->payload_len < VSTOR_PACKET)
		return true;
	memcpy(p, pkt->payload, sizeof(*p));
	return p->operation != VSTOR_OP_COMPLETE_IO;
}

/* An I/O request did not simply succeed. True when it goes on. */
static NOINLINE bool io_failed(struct sc_queue *q, struct sc_slot *slot, const struct vmpkt *pkt,
			       struct storvsc_io *io)
{
	struct sc_outcome o = { -EIO, 0, false };
	struct vstor_packet p;

	if (!malformed(pkt, &p))
		o = sc_decode(&p, slot->need);
	note_change(q, o.sense);
	if (o.retry && slot->retries < SC_RETRIES) {
		slot->retries++;
		slot->gen++; /* a second answer to the first attempt is not ours any more */
		slot->next = q->retry_head;
		q->retry_head = slot->self;
		SC_BUMP(q->retried);
		return true;
	}
	io->result = o.err;
	io->sense = o.sense;
	if (o.err) {
		SC_BUMP(q->errors);
		sc_note_failure(q, o.err, o.sense);
	}
	return false;
}

/* An I/O request is answered. True when it is finished. */
ALWAYS_INLINE bool io_answered(struct sc_queue *q, struct sc_slot *slot, const struct vmpkt *pkt)
{
	const struct vstor_packet *p = (const void *)pkt->payload;
	struct storvsc_io *io = slot->owner;

	if (likely(pkt->payload_len >= VSTOR_PACKET && p->operation == VSTOR_OP_COMPLETE_IO &&
		   p->srb.srb_status == VSTOR_SRB_SUCCESS && !p->srb.scsi_status &&
		   p->srb.data_transfer_length >= slot->need))
		io->result = 0;
	else if (io_failed(q, slot, pkt, io))
		return false;
	sc_slot_put(q, slot);
	SC_BUMP(q->completed);
	return true;
}

static void call_answered(struct sc_queue *q, struct sc_slot *slot, const struct vmpkt *pkt)
{
	struct sc_call *call = slot->owner;

	call->err = malformed(pkt, &call->answer) ? -EPROTO : 0;
	call->done = true;
	SC_BUMP(q->completed);
	sc_slot_put(q, slot);
}

static void orphan_answered(struct sc_queue *q, struct sc_slot *slot)
{
	if (slot->bounce_pages)
		hv_child_free_pages(q->s->child, slot->bounce, slot->bounce_pages);
	sc_slot_put(q, slot);
}

/* Of requests that nobody reaps, and of none at all. */
static NOINLINE void other_answered(struct sc_queue *q, struct sc_slot *slot,
				    const struct vmpkt *pkt)
{
	if (slot->kind == SC_FREE || slot->gen != pkt->trans_id >> 32)
		SC_BUMP(q->ignored);
	else if (slot->kind == SC_SYNC)
		io_answered(q, slot, pkt);
	else if (slot->kind == SC_CALL)
		call_answered(q, slot, pkt);
	else
		orphan_answered(q, slot);
}

/* Nothing of ours: a bus change if it looks like one, otherwise dropped (C08, C09). */
static NOINLINE void unsolicited(struct sc_queue *q, const struct vmpkt *pkt)
{
	uint32_t op = 0;

	if (pkt->type == VMPKT_INBAND && pkt->trans_id == VSTOR_ID_UNSOLICITED &&
	    pkt->payload_len >= sizeof(op))
		memcpy(&op, pkt->payload, sizeof(op));
	if (op == VSTOR_OP_ENUMERATE_BUS || op == VSTOR_OP_REMOVE_DEVICE)
		store_relaxed(&q->s->changed, 1);
	else
		SC_BUMP(q->ignored);
}

/* One packet of the root. True when it finished the request *@io. */
ALWAYS_INLINE bool complete(struct sc_queue *q, const struct vmpkt *pkt, struct storvsc_io **io)
{
	uint32_t index = (uint32_t)pkt->trans_id - 1;
	struct sc_slot *slot;

	if (unlikely(pkt->type != VMPKT_COMPLETION || index >= q->depth)) {
		unsolicited(q, pkt);
		return false;
	}
	slot = &q->slots[index_nospec(index, q->depth)];
	if (unlikely(slot->kind != SC_IO || slot->gen != pkt->trans_id >> 32)) {
		other_answered(q, slot, pkt);
		return false;
	}
	*io = slot->owner;
	return io_answered(q, slot, pkt);
}

/* ---- retries and death -------------------------------------------------------------------------
 */

/* A slot that ends without an answer of the root. */
static void end_slot(struct sc_queue *q, struct sc_slot *slot, int err)
{
	struct storvsc_io *io = slot->owner;
	struct sc_call *call = slot->owner;

	switch (slot->kind) {
	case SC_IO:
		done_push(q, io);
		/* fall through */
	case SC_SYNC:
		io->result = err;
		SC_BUMP(q->errors);
		break;
	case SC_CALL:
		call->err = err;
		call->done = true;
		break;
	default: /* an orphan's pages stay lost: nobody will say when they are safe */
		break;
	}
	sc_slot_put(q, slot);
}

void sc_die(struct sc_queue *q, int err)
{
	uint32_t i;

	if (q->dead)
		return;
	q->dead = err;
	q->retry_head = 0;
	sc_note_failure(q, err, 0);
	for (i = 0; i < q->depth; i++)
		if (q->slots[i].kind != SC_FREE)
			end_slot(q, &q->slots[i], err);
}

static NOINLINE void send_retries(struct sc_queue *q)
{
	struct sc_slot *slot;
	int err;

	while (q->retry_head) {
		slot = &q->slots[q->retry_head - 1];
		q->retry_head = slot->next;
		if (slot->kind == SC_ORPHAN) { /* nobody waits, and the root has not seen it */
			orphan_answered(q, slot);
			continue;
		}
		err = sc_send_io(q, slot, slot->owner);
		if (err == -EAGAIN) { /* no room now: the next collect tries again */
			slot->next = q->retry_head;
			q->retry_head = slot->self;
			break;
		}
		if (err) {
			sc_note_failure(q, err, 0);
			end_slot(q, slot, err);
		}
	}
	vmbus_chan_flush(q->chan);
}

/* ---- collecting
 * ------------------------------------------------------------------------------------ */

/* Rarely, also when nobody sleeps: is the root still there, and do we still have a disk? */
static NOINLINE void check_alive(struct sc_queue *q)
{
	vmbus_client_poll(q->s->bus);
	if (hv_child_dead(q->s->child))
		sc_die(q, -ECONNRESET);
	else if (vmbus_client_rescinded(q->s->bus, q->chan))
		sc_die(q, -EIO);
}

int sc_collect(struct sc_queue *q, struct storvsc_io **out, int max)
{
	struct vmpkt pkt;
	int n = 0, got = 1;

	if (unlikely(q->dead))
		return 0;
	while (n < max && (got = vmbus_chan_recv(q->chan, &pkt)) > 0) {
		if (unlikely(!complete(q, &pkt, &out[n])))
			continue;
		n++;
		if (!q->ios) /* it was the only one: nothing to look for */
			break;
	}
	vmbus_chan_recv_done(q->chan);
	if (unlikely(got < 0))
		sc_die(q, -EIO);
	else if (unlikely(q->retry_head))
		send_retries(q);
	if (unlikely(!(++q->collects & 0xfff)))
		check_alive(q);
	return n;
}

void sc_collect_done(struct sc_queue *q)
{
	struct storvsc_io *out[COLLECT_BATCH];
	int i, n;

	do {
		n = sc_collect(q, out, COLLECT_BATCH);
		for (i = 0; i < n; i++)
			done_push(q, out[i]);
	} while (n == COLLECT_BATCH);
}

/* ---- waiting
 * --------------------------------------------------------------------------------------------- */

uint64_t sc_deadline(uint64_t timeout_ns)
{
	uint64_t now = clock_ns();

	return timeout_ns > UINT64_MAX - now ? UINT64_MAX : now + timeout_ns;
}

/*
 * Whether to spin: a spin buys the time of a wake-up with processor time. With few
 * requests in flight that is worth the whole budget; with many, the others go on
 * meanwhile, and only waits of a few microseconds are. Credit grows with waits that
 * were worth it, is halved by each that was not, and a sleep that turns out to have
 * been short earns some: two sides that both sleep find out of it again.
 */
static uint64_t worth_spinning(const struct sc_queue *q)
{
	uint64_t most = q->s->spin_max, ns;

	if (q->ios <= SC_FEW)
		return most;
	ns = most / q->ios * SC_FEW;
	if (ns < SC_SHORT_NS)
		ns = SC_SHORT_NS;
	return ns < most ? ns : most;
}

static void learn_from_spin(struct sc_queue *q, uint64_t waited)
{
	if (waited > worth_spinning(q))
		q->credit /= 2;
	else if (q->credit < SC_MOST_CREDIT)
		q->credit += 2;
}

static void learn_from_sleep(struct sc_queue *q, uint64_t waited)
{
	uint64_t event = waited > SC_WAKE_NS ? waited - SC_WAKE_NS : 0;

	if (q->s->spin_max && event < worth_spinning(q) && q->credit < 2)
		q->credit = 2;
}

static bool spin_blind(struct sc_queue *q)
{
	uint32_t i;

	for (i = 0; i < SC_BLIND_SPINS; i++) {
		if (vmbus_chan_pending(q->chan))
			return true;
		cpu_relax();
	}
	return false;
}

/* True: something arrived, or the queue died. */
static bool spin_until(struct sc_queue *q, uint64_t start, uint64_t end)
{
	uint64_t now = start;

	while (now < end) {
		if (now - q->alive_ns > SC_ALIVE_NS) {
			q->alive_ns = now;
			check_alive(q);
			if (q->dead)
				return true;
		}
		if (spin_blind(q)) {
			learn_from_spin(q, clock_ns() - start);
			return true;
		}
		now = clock_ns();
	}
	learn_from_spin(q, UINT64_MAX);
	return false;
}

static void sleep_until(struct sc_queue *q, uint64_t start, uint64_t deadline)
{
	uint64_t now = clock_ns();
	int err;

	SC_BUMP(q->sleeps);
	err = vmbus_client_wait(q->s->bus, q->vp, now < deadline ? deadline - now : 0);
	vmbus_chan_mask(q->chan);
	now = clock_ns();
	learn_from_sleep(q, now - start);
	if (err < 0)
		sc_die(q, err == -ECONNRESET ? err : -EIO);
	else if (now - q->alive_ns > SC_ALIVE_NS) {
		q->alive_ns = now;
		check_alive(q);
	}
}

int sc_wait(struct sc_queue *q, uint64_t deadline)
{
	uint64_t most = q->credit ? q->s->spin_max : 0, start;

	vmbus_chan_flush(q->chan); /* what was not kicked would never be answered */
	if (most && spin_blind(q)) {
		learn_from_spin(q, 0);
		SC_BUMP(q->spins);
		return 1;
	}
	start = clock_ns();
	if (start >= deadline)
		return 0;
	if (most && spin_until(q, start, most < deadline - start ? start + most : deadline)) {
		SC_BUMP(q->spins);
		return 1;
	}
	if (q->s->spin_max == UINT64_MAX)
		return 1; /* never sleeps; the next call notices that the time is over */
	if (q->dead || vmbus_chan_unmask(q->chan)) {
		vmbus_chan_mask(q->chan);
		return 1;
	}
	sleep_until(q, start, deadline);
	return 1;
}

int storvsc_reap(struct storvsc *s, uint32_t qi, struct storvsc_io **out, int max, int min,
		 uint64_t timeout_ns)
{
	struct sc_queue *q = &s->queue[qi];
	uint64_t deadline = 0;
	int n = 0;

	if (unlikely(qi >= s->nr_queues || max <= 0))
		return -EINVAL;
	if (min > max)
		min = max;
	if (min) /* the root can work while we look */
		vmbus_chan_flush(q->chan);
	for (;;) {
		if (unlikely(q->done_head != NULL))
			n += done_take(q, out + n, max - n);
		n += sc_collect(q, out + n, max - n);
		if (n >= min && n)
			return n;
		if (unlikely(q->done_head != NULL))
			continue; /* ended by a retry that could not be sent, or by death */
		if (unlikely(q->dead))
			return n ? n : q->dead;
		if (!timeout_ns || n >= min || !q->ios)
			return n;
		if (!deadline)
			deadline = sc_deadline(timeout_ns);
		if (!sc_wait(q, deadline))
			return n;
	}
}
