/* SPDX-License-Identifier: MIT */
/*
 * The data path of a channel: packets in, SCSI tasks, completions out (spec: storvsc,
 * sections 7, 8, 10, 11). Runs once per I/O: no allocation, no lock, no clock but for
 * one request in STOR_SAMPLE, no memory that the request does not need.
 *
 * Intake limit: a request is read from the ring only when there is a slot for it and
 * room for its completion, counting what is in flight. So a full outgoing ring is
 * back-pressure: nothing is queued without bound and no completion is lost. There is
 * no deadline on it: a guest that was stopped for an hour finds its disk again, and
 * until then costs nothing.
 */
#include "vsp/storvsp/stor_priv.h"

#include "base/clock.h"

/* ---- completions ------------------------------------------------------------------ */

ALWAYS_INLINE void send(struct stor_chan *c, uint64_t trans_id, const struct vstor_packet *p,
			uint16_t len)
{
	int err = vmbus_chan_send_completion(c->chan, trans_id, p, len);

	/* -EPROTO: faulted already, nobody listens. The rest would be a lost completion. */
	if (unlikely(err && err != -EPROTO))
		vmbus_chan_fault(c->chan, "reserved room for a completion is gone");
	/* In the middle of many, let the guest start on the first. */
	if (unlikely(!--c->to_publish)) {
		c->to_publish = STOR_PUBLISH;
		vmbus_chan_flush(c->chan);
	}
}

void stor_reply(struct stor_chan *c, uint64_t trans_id, const struct vstor_packet *p, uint16_t len)
{
	send(c, trans_id, p, len);
}

struct outcome { /* how a SCSI status looks on the wire (section 8) */
	uint8_t srb_status;
	uint32_t status;
};

static struct outcome outcome_of(const struct scsi_task *t)
{
	switch (t->status) {
	case SCSI_CHECK_CONDITION:
		if (t->absent)
			return (struct outcome){ VSTOR_SRB_INVALID_LUN,
						 VSTOR_STATUS_DEVICE_DOES_NOT_EXIST };
		if (!t->sense_len)
			return (struct outcome){ VSTOR_SRB_ERROR, VSTOR_STATUS_IO_DEVICE_ERROR };
		if ((t->sense[2] & 0x0f) == 5) /* ILLEGAL REQUEST */
			return (struct outcome){ VSTOR_SRB_INVALID_REQUEST | VSTOR_SRB_AUTOSENSE,
						 VSTOR_STATUS_IO_DEVICE_ERROR };
		return (struct outcome){ VSTOR_SRB_ERROR | VSTOR_SRB_AUTOSENSE,
					 VSTOR_STATUS_IO_DEVICE_ERROR };
	case SCSI_TASK_ABORTED:
		return (struct outcome){ VSTOR_SRB_ABORTED, VSTOR_STATUS_CANCELLED };
	case SCSI_GOOD:
	case SCSI_CONDITION_MET:
	case SCSI_BUSY:			/* these three: the guest decides by the SAM status, */
	case SCSI_RESERVATION_CONFLICT: /* which it does only under SUCCESS (section 10) */
	case SCSI_TASK_SET_FULL:
		return (struct outcome){ VSTOR_SRB_SUCCESS, VSTOR_STATUS_SUCCESS };
	default:
		return (struct outcome){ VSTOR_SRB_ERROR, VSTOR_STATUS_IO_DEVICE_ERROR };
	}
}

ALWAYS_INLINE void put_address(struct vstor_srb *srb, uint32_t address)
{
	srb->port_number = (uint8_t)address;
	srb->path_id = (uint8_t)(address >> 8);
	srb->target_id = (uint8_t)(address >> 16);
	srb->lun = (uint8_t)(address >> 24);
}

static void reply_fill(struct vstor_packet *p, uint16_t len, uint8_t srb_status,
		       uint8_t scsi_status)
{
	*p = (struct vstor_packet){
		.operation = VSTOR_OP_COMPLETE_IO,
		.srb = {
			.length = (uint16_t)(len - VSTOR_HEADER_LEN),
			.srb_status = srb_status,
			.scsi_status = scsi_status,
			.cdb_length = VSTOR_CDB_LEN,
			.sense_info_length = len < VSTOR_PACKET ? VSTOR_SENSE_ROOM_OLD
								: VSTOR_SENSE_ROOM,
		},
	};
}

void stor_reply_init(struct stor_chan *c)
{
	reply_fill(&c->good, VSTOR_PACKET, VSTOR_SRB_SUCCESS, SCSI_GOOD);
}

/* Every completion but those of the usual length that say all went well. */
static NOINLINE void reply_any(struct stor_chan *c, const struct stor_req *r)
{
	const struct scsi_task *t = &r->task;
	struct outcome o = outcome_of(t);
	struct vstor_packet p;

	reply_fill(&p, r->reply_len, o.srb_status, t->status);
	put_address(&p.srb, r->address);
	p.status = o.status;
	if (t->status == SCSI_GOOD)
		p.srb.data_transfer_length = t->transferred;
	if (o.srb_status & VSTOR_SRB_AUTOSENSE)
		memcpy(p.srb.sense, t->sense, SCSI_SENSE_LEN);
	stor_reply(c, r->trans_id, &p, r->reply_len);
}

/* @len: @r->reply_len, for callers that know it at compile time. */
ALWAYS_INLINE void reply(struct stor_chan *c, const struct stor_req *r, uint16_t len)
{
	if (unlikely(r->task.status != SCSI_GOOD || len != VSTOR_PACKET)) {
		reply_any(c, r);
		return;
	}
	put_address(&c->good.srb, r->address);
	c->good.srb.data_transfer_length = r->task.transferred;
	send(c, r->trans_id, &c->good, VSTOR_PACKET);
}

/* A request that never reaches the target. */
static NOINLINE void reject(struct stor_chan *c, struct stor_req *r, uint8_t srb_status,
			    uint8_t key, uint8_t asc)
{
	struct vstor_packet p;

	STOR_BUMP(c->rejected, 1);
	reply_fill(&p, r->reply_len, srb_status | VSTOR_SRB_AUTOSENSE, SCSI_CHECK_CONDITION);
	put_address(&p.srb, r->address);
	p.status = srb_status == VSTOR_SRB_DATA_OVERRUN ? VSTOR_STATUS_BUFFER_OVERFLOW
							: VSTOR_STATUS_IO_DEVICE_ERROR;
	p.srb.sense[0] = 0x70;
	p.srb.sense[2] = key;
	p.srb.sense[7] = SCSI_SENSE_LEN - 8;
	p.srb.sense[12] = asc;
	stor_reply(c, r->trans_id, &p, r->reply_len);
	stor_req_put(c, r);
}

/* More in flight on this LUN than its share: the guest sends the command again. */
static NOINLINE void reject_full(struct stor_chan *c, struct stor_req *r)
{
	STOR_BUMP(c->rejected, 1);
	r->task.status = SCSI_TASK_SET_FULL;
	reply_any(c, r);
	stor_req_put(c, r);
}

/* ---- statistics ---------------------------------------------------------------------- */

/* Of the requests that are not timed, this is one decrement. */
ALWAYS_INLINE void sample_start(struct stor_chan *c, struct stor_req *r)
{
	if (unlikely(!--c->to_sample)) {
		c->to_sample = STOR_SAMPLE;
		r->sample_ns = clock_ns();
	}
}

static NOINLINE void sample_take(struct stor_chan *c, struct stor_req *r)
{
	uint64_t ns = clock_ns() - r->sample_ns;
	struct scsi_lun *lun;

	r->sample_ns = 0;
	STOR_BUMP(c->latency_sum, ns);
	STOR_BUMP(c->latency_count, 1);
	if (ns > c->latency_max)
		store_relaxed(&c->latency_max, ns);
	lun = stor_elsewhere(r->address) ? NULL
					 : scsi_target_lun(c->target, stor_lun_of(r->address));
	if (lun)
		scsi_lun_note_latency(lun, ns);
}

ALWAYS_INLINE void sample_end(struct stor_chan *c, struct stor_req *r)
{
	if (unlikely(r->sample_ns))
		sample_take(c, r);
}

static void count_in_flight(struct stor_chan *c)
{
	store_relaxed(&c->stat_in_flight, c->in_flight);
	if (c->in_flight > c->stat_max_in_flight)
		store_relaxed(&c->stat_max_in_flight, c->in_flight);
}

/* ---- requests that take time ------------------------------------------------------------ */

static void request_started(struct stor_chan *c, struct stor_req *r)
{
	c->lun[stor_lun_of(r->address)].in_flight++;
	c->in_flight++;
	count_in_flight(c);
	store_relaxed(&r->start_ns, loop_now(c->loop)); /* storvsp_stats() looks for the oldest */
}

void stor_request_done(struct scsi_task *t)
{
	struct stor_req *r = container_of(t, struct stor_req, task);
	struct stor_chan *c = r->chan;
	struct stor_lun *l = &c->lun[stor_lun_of(r->address)];

	store_relaxed(&r->start_ns, 0);
	if (!--l->in_flight && unlikely(l->leaving))
		stor_chan_post(c); /* not here: the engine is still using the queue */
	c->in_flight--;
	store_relaxed(&c->stat_in_flight, c->in_flight);
	sample_end(c, r);
	if (likely(!c->closing)) {
		reply(c, r, r->reply_len);
		if (vmbus_chan_peer_sleeps(c->chan))
			vmbus_chan_flush(c->chan);
	}
	stor_req_put(c, r);
	if (unlikely(c->closing)) {
		if (!c->in_flight)
			stor_chan_post(c); /* not here: the engine is still using the LUN's queue */
		return;
	}
	vmbus_device_kick(c->ctl->dev, c->sub);
}

/* ---- one SRB ------------------------------------------------------------------------------- */

/* There is no range, or there are several. */
static NOINLINE int map_none(const struct vmpkt *pkt, uint32_t len)
{
	if (pkt->type == VMPKT_GPA_DIRECT && pkt->range_count)
		return -VSTOR_SRB_INVALID_REQUEST;
	return len ? -VSTOR_SRB_DATA_OVERRUN : 0;
}

/*
 * The guest's pages as a scatter list for @r (section 7.3). Returns the number of entries,
 * or the negative srb_status of the refusal.
 */
ALWAYS_INLINE int map_data(struct stor_chan *c, struct stor_req *r, const struct vmpkt *pkt,
			   uint32_t len)
{
	uint32_t count, offset, npfn;
	int n, max = STOR_IOV_INLINE;
	struct iovec *iov = r->iov;
	const uint64_t *pfn;

	if (unlikely(pkt->type != VMPKT_GPA_DIRECT || pkt->range_count != 1))
		return map_none(pkt, len);
	vmpkt_first_range(pkt, &count, &offset, &pfn, &npfn);
	if (unlikely(len > count))
		return -VSTOR_SRB_DATA_OVERRUN;
	if (npfn > c->short_iov) {
		if (unlikely(npfn > c->max_iov))
			return -VSTOR_SRB_INVALID_REQUEST;
		iov = &c->iovs[(size_t)(r - c->reqs) * c->max_iov];
		max = (int)c->max_iov;
	}
	if (unlikely(!len))
		return 0;
	r->task.iov = iov;
	n = hv_gpa_iov(c->gpa, iov, max, pfn, npfn, offset, len);
	return likely(n >= 0) ? n : -VSTOR_SRB_INVALID_REQUEST;
}

ALWAYS_INLINE void finish(struct stor_chan *c, struct stor_req *r, uint16_t reply_len)
{
	sample_end(c, r);
	reply(c, r, reply_len);
	stor_req_put(c, r);
}

/* A command to a drive. */
static void execute_drive(struct stor_chan *c, struct stor_req *r, struct stor_lun *l)
{
	int err = stor_chan_medium(c, stor_lun_of(r->address), &r->task);

	if (err == -EBUSY)
		reject_full(c, r);
	else if (err)
		reject(c, r, VSTOR_SRB_ERROR, 4, 0x44); /* INTERNAL TARGET FAILURE */
	else if (scsi_task_execute(&r->task, l->nexus))
		finish(c, r, r->reply_len);
	else
		request_started(c, r);
}

/*
 * The LUN that the channel has not used yet. Without one the request ends here: there is a
 * disk but no way to it, or nothing, and the target answers as section 11 says.
 */
static NOINLINE struct stor_lun *first_use(struct stor_chan *c, struct stor_req *r)
{
	struct stor_lun *l = NULL;
	int err = 0;

	r->task.queue = NULL;
	if (stor_elsewhere(r->address)) {
		scsi_execute_nowhere(&r->task);
	} else {
		l = stor_chan_lun_slow(c, stor_lun_of(r->address), &err);
		if (l && l->queue)
			return l;
		if (l) {
			execute_drive(c, r, l);
			return NULL;
		}
		if (err) {
			reject(c, r, VSTOR_SRB_ERROR, 4, 0x44); /* INTERNAL TARGET FAILURE */
			return NULL;
		}
		scsi_execute_absent(c->target, stor_lun_of(r->address), &r->task);
	}
	finish(c, r, r->reply_len);
	return NULL;
}

/* The LUN's entry. NULL: the request is over. */
ALWAYS_INLINE struct stor_lun *find_lun(struct stor_chan *c, struct stor_req *r, uint32_t address)
{
	struct stor_lun *l = &c->lun[stor_lun_of(address) & (SCSI_MAX_LUNS - 1)];

	/* The mask must stay: a mispredicted branch could read past the table. */
	__asm__("" : "+r"(l));
	if (likely(!(address & ~STOR_LUNS) && l->queue))
		return l;
	return first_use(c, r);
}

/* @reply_len: of @pkt, for callers that know it at compile time. */
ALWAYS_INLINE void execute(struct stor_chan *c, const struct vmpkt *pkt, uint16_t reply_len)
{
	const struct vstor_srb *srb = &((const struct vstor_packet *)pkt->payload)->srb;
	struct stor_req *r = stor_req_get(c);
	uint32_t address = stor_address(srb);
	struct stor_lun *lun;
	int n;

	sample_start(c, r);
	r->trans_id = pkt->trans_id;
	r->reply_len = reply_len;
	store_relaxed(&r->address, address); /* storvsp_oldest_ns() may be looking */
	memcpy(r->task.cdb, srb->cdb, SCSI_CDB_LEN);
	r->task.cdb_len = srb->cdb_length;
	r->task.data_dir = srb->data_in;
	r->task.data_len = srb->data_transfer_length;
	n = map_data(c, r, pkt, srb->data_transfer_length);
	if (unlikely(n < 0)) {
		reject(c, r, (uint8_t)-n, 5, 0x24); /* ILLEGAL REQUEST, invalid field in CDB */
		return;
	}
	r->task.niov = (uint16_t)n;
	lun = find_lun(c, r, address);
	if (unlikely(!lun))
		return;
	if (unlikely(lun->in_flight >= c->lun_cap)) {
		reject_full(c, r);
		return;
	}
	r->task.queue = lun->queue;
	if (scsi_task_execute(&r->task, lun->nexus))
		finish(c, r, reply_len);
	else
		request_started(c, r);
}

/* ---- a batch -----------------------------------------------------------------------------------
 */

/*
 * Whether SRBs run now. A sub-channel that the guest opened before the handshake on
 * the primary was over keeps its packets in the ring until then; one whose primary
 * has been closed since reads them, and stor_control() refuses them.
 */
static bool chan_ready(const struct stor_chan *c, bool *hold)
{
	const struct storvsp *s = c->ctl;
	bool mine = !c->sub || load_acquire(&s->primary_opening) == c->primary_opening;
	bool ready = load_acquire(&s->state) == STOR_READY; /* pairs with set_state() */

	*hold = c->sub && mine && !ready;
	return mine && ready;
}

/*
 * Completions that have room, beyond those promised to requests in flight. When there is
 * none, the guest is asked for a signal as soon as it has read some; a ring that is too
 * small even for that is looked at again after each completion.
 */
static uint32_t free_replies(struct stor_chan *c)
{
	uint32_t room = vmbus_chan_send_room(c->chan) / STOR_REPLY_SPACE;

	if (unlikely(room <= c->in_flight)) {
		if (vmbus_chan_want_space(c->chan, (c->in_flight + 1) * STOR_REPLY_SPACE))
			return 0;
		room = vmbus_chan_send_room(c->chan) / STOR_REPLY_SPACE;
	}
	return room > c->in_flight ? room - c->in_flight : 0;
}

/* How many requests may be read now: slots, and room for their completions. */
static uint32_t intake(struct stor_chan *c)
{
	uint32_t slots, n;

	if (c->resetting)
		return 0;
	slots = c->depth - c->in_flight;
	n = free_replies(c);
	if (slots < n)
		n = slots;
	return n < STOR_BATCH ? n : STOR_BATCH;
}

/* An SRB of @len bytes or more from a guest that waits for the answer. */
ALWAYS_INLINE bool is_srb(const struct vmpkt *pkt, uint32_t len)
{
	const struct vstor_packet *p = (const void *)pkt->payload;

	return pkt->payload_len >= len && (pkt->flags & VMPKT_FLAG_COMPLETION_REQUESTED) &&
	       pkt->type != VMPKT_COMPLETION && p->operation == VSTOR_OP_EXECUTE_SRB;
}

/* Control, nonsense, and the short packets of the versions up to 4.2: rare, so not inlined. */
static NOINLINE void handle_other(struct stor_chan *c, const struct vmpkt *pkt, bool ready)
{
	bool old = load_relaxed(&c->ctl->version) < VSTOR_V5_1;

	if (ready && old && is_srb(pkt, VSTOR_PACKET_OLD))
		execute(c, pkt, stor_reply_len(pkt));
	else
		stor_control(c, pkt);
}

static uint32_t drain_batch(struct stor_chan *c, bool ready, uint32_t limit)
{
	struct vmpkt pkt;
	uint32_t n = 0;
	bool hold;

	while (n < limit && vmbus_chan_recv(c->chan, &pkt) > 0) {
		n++;
		if (likely(ready && is_srb(&pkt, VSTOR_PACKET))) {
			execute(c, &pkt, VSTOR_PACKET);
			/* A lone request is answered before anything else is looked for. */
			if (n == 1 && !vmbus_chan_known(c->chan)) {
				vmbus_chan_flush(c->chan);
				break;
			}
			continue;
		}
		handle_other(c, &pkt, ready);
		if (c->closing || c->resetting)
			break;
		ready = chan_ready(c, &hold); /* it may have been the end of the handshake */
	}
	return n;
}

bool stor_chan_drain(struct stor_chan *c)
{
	bool ready, hold, notified = false;
	uint32_t n;

	if (unlikely(!c->sub && load_relaxed(&c->ctl->notify)))
		notified = stor_notify(c);
	if (!vmbus_chan_pending(c->chan))
		return notified;
	if (unlikely(!c->watching))
		stor_watch_start(c);
	ready = chan_ready(c, &hold);
	if (unlikely(hold))
		return notified;
	c->draining = true;
	n = drain_batch(c, ready, intake(c));
	c->draining = false;
	STOR_BUMP(c->requests, n);
	if (n && likely(!c->closing))
		vmbus_chan_recv_done(c->chan);
	return n || notified;
}
