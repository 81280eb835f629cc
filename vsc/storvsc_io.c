/* SPDX-License-Identifier: MIT */
/*
 * Requests out. Runs once per I/O: a slot from a list, 64 bytes built in registers and on
 * the stack, page numbers by subtraction, one copy into the ring.
 */
#include "vsc/storvsc_priv.h"

#define SRB_FLAGS                                                                                  \
	(VSTOR_SRB_FLAG_QUEUE_ACTION | VSTOR_SRB_FLAG_DISABLE_SYNCH_TRANSFER |                     \
	 VSTOR_SRB_FLAG_NO_QUEUE_FREEZE)
#define SRB_SECONDS 60

#define CDB_FUA	    0x08

struct request { /* on its way into the ring */
	struct vstor_packet p;
	uint32_t len, offset, npfn;
	uint64_t pfn[SC_MAX_PFNS];
};

/* ---- the SRB ------------------------------------------------------------------------ */

ALWAYS_INLINE void srb_fill(struct vstor_packet *p, uint8_t lun, uint8_t cdb_len, uint8_t data_in,
			    uint32_t dir_flag, uint32_t len)
{
	*p = (struct vstor_packet){
		.operation = VSTOR_OP_EXECUTE_SRB,
		.flags = VSTOR_FLAG_COMPLETION,
		.srb = {
			.length = VSTOR_PAYLOAD,
			.lun = lun,
			.cdb_length = cdb_len,
			.sense_info_length = VSTOR_SENSE_ROOM,
			.data_in = data_in,
			.data_transfer_length = len,
			.queue_tag = VSTOR_QUEUE_TAG_UNTAGGED,
			.queue_action = VSTOR_QUEUE_ACTION_SIMPLE,
			.srb_flags = SRB_FLAGS | dir_flag,
			.time_out_value = SRB_SECONDS,
		},
	};
}

void sc_srb_packet(struct vstor_packet *p, uint8_t lun, const uint8_t *cdb, uint8_t cdb_len,
		   uint8_t data_in, uint32_t len)
{
	uint32_t dir = data_in == VSTOR_DATA_IN	   ? VSTOR_SRB_FLAG_DATA_IN
		       : data_in == VSTOR_DATA_OUT ? VSTOR_SRB_FLAG_DATA_OUT
						   : 0;

	srb_fill(p, lun, cdb_len, data_in, dir, len);
	memcpy(p->srb.cdb, cdb, VSTOR_CDB_LEN);
}

/* ---- into the ring ---------------------------------------------------------------------- */

/* The ring is full: unless there is room by now, the root is to signal when there is. */
static NOINLINE bool no_room(struct sc_queue *q, uint32_t npfn)
{
	uint32_t need = (npfn ? 32 + 8 * npfn : 16) + VSTOR_PACKET + VMPKT_TRAILER;

	return vmbus_chan_want_space(q->chan, need);
}

ALWAYS_INLINE int send(struct sc_queue *q, const struct sc_slot *slot, const struct vstor_packet *p,
		       uint32_t len, uint32_t offset, const uint64_t *pfn, uint32_t npfn)
{
	int err;

	do {
		if (npfn)
			err = vmbus_chan_send_gpa_direct(q->chan, VMPKT_FLAG_COMPLETION_REQUESTED,
							 sc_slot_id(q, slot), len, offset, pfn,
							 npfn, p, VSTOR_PACKET);
		else
			err = vmbus_chan_send(q->chan, VMPKT_FLAG_COMPLETION_REQUESTED,
					      sc_slot_id(q, slot), p, VSTOR_PACKET);
	} while (unlikely(err == -EAGAIN && !no_room(q, npfn)));
	return unlikely(err == -EPROTO) ? -EIO : err; /* the next collect buries the queue */
}

int sc_send_flat(struct sc_queue *q, const struct sc_slot *slot, const struct vstor_packet *p,
		 uint64_t gpa, uint32_t len)
{
	uint32_t offset = gpa % 4096, n = len ? (offset + len + 4095) / 4096 : 0, i;
	uint64_t pfn[SC_MAX_PFNS];

	if (n > SC_MAX_PFNS)
		return -EMSGSIZE;
	for (i = 0; i < n; i++)
		pfn[i] = gpa / 4096 + i;
	return send(q, slot, p, len, offset, pfn, n);
}

/* ---- buffers -------------------------------------------------------------------------------- */

/* The usual case: one piece of memory. */
ALWAYS_INLINE int pages_of_one(const struct storvsc *s, struct request *r, const struct iovec *v)
{
	uint64_t gpa = sc_gpa(s, v->iov_base, r->len), pfn = gpa >> 12;
	uint32_t i;

	if (unlikely(gpa == UINT64_MAX || v->iov_len != r->len))
		return -EINVAL;
	r->offset = (uint32_t)gpa & 4095;
	r->npfn = (r->offset + r->len + 4095) >> 12;
	for (i = 0; i < r->npfn; i++)
		r->pfn[i] = pfn + i;
	return 0;
}

static NOINLINE int pages_of_many(const struct storvsc *s, struct request *r,
				  const struct iovec *iov, int niov)
{
	uint32_t i, n, total = 0;
	uint64_t gpa;
	int k;

	for (k = 0; k < niov; k++) {
		gpa = sc_gpa(s, iov[k].iov_base, iov[k].iov_len);
		if (gpa == UINT64_MAX || !iov[k].iov_len || iov[k].iov_len > r->len - total)
			return -EINVAL;
		if ((k && gpa % 4096) || (k < niov - 1 && (gpa + iov[k].iov_len) % 4096))
			return -EINVAL;
		if (!k)
			r->offset = gpa % 4096;
		n = (uint32_t)((gpa % 4096 + iov[k].iov_len + 4095) / 4096);
		if (n > SC_MAX_PFNS - r->npfn)
			return -EMSGSIZE;
		for (i = 0; i < n; i++)
			r->pfn[r->npfn++] = gpa / 4096 + i;
		total += (uint32_t)iov[k].iov_len;
	}
	return total == r->len ? 0 : -EINVAL;
}

/* ---- commands -----------------------------------------------------------------------------------
 */

ALWAYS_INLINE void cdb_rw(struct vstor_packet *p, bool write, bool fua, uint64_t lba,
			  uint32_t count)
{
	uint8_t *cdb = p->srb.cdb, byte1 = fua ? CDB_FUA : 0;

	if (likely(lba + count <= UINT32_MAX && count <= UINT16_MAX)) {
		cdb[0] = write ? 0x2a : 0x28;
		cdb[1] = byte1;
		be32_put(cdb + 2, (uint32_t)lba);
		be16_put(cdb + 7, (uint16_t)count);
		return;
	}
	p->srb.cdb_length = 16;
	cdb[0] = write ? 0x8a : 0x88;
	cdb[1] = byte1;
	be64_put(cdb + 2, lba);
	be32_put(cdb + 10, count);
}

ALWAYS_INLINE int send_rw(struct sc_queue *q, struct sc_slot *slot, const struct storvsc_io *io,
			  bool write)
{
	const struct storvsc *s = q->s;
	uint8_t shift = load_relaxed(&s->lun[io->lun].shift);
	uint32_t mask = (1u << shift) - 1;
	bool fua = false;
	struct request r;
	int err;

	if (unlikely(!shift))
		return -ENXIO;
	if (unlikely(io->len > s->max_transfer))
		return -EMSGSIZE;
	if (unlikely(((io->offset | io->len) & mask) || !io->len || io->niov <= 0))
		return -EINVAL;
	if (write && unlikely(io->flags & STORVSC_FUA)) {
		if (load_relaxed(&s->lun[io->lun].fua) == SC_FUA_NO)
			return -EOPNOTSUPP;
		fua = load_relaxed(&s->lun[io->lun].fua) == SC_FUA_YES;
	}
	r.len = (uint32_t)io->len;
	r.npfn = 0;
	err = likely(io->niov == 1) ? pages_of_one(s, &r, io->iov)
				    : pages_of_many(s, &r, io->iov, io->niov);
	if (unlikely(err))
		return err;
	if (write)
		srb_fill(&r.p, io->lun, 10, VSTOR_DATA_OUT, VSTOR_SRB_FLAG_DATA_OUT, r.len);
	else
		srb_fill(&r.p, io->lun, 10, VSTOR_DATA_IN, VSTOR_SRB_FLAG_DATA_IN, r.len);
	cdb_rw(&r.p, write, fua, io->offset >> shift, r.len >> shift);
	slot->need = r.len;
	return send(q, slot, &r.p, r.len, r.offset, r.pfn, r.npfn);
}

/* SYNCHRONIZE CACHE(10) of everything. */
static int send_flush(struct sc_queue *q, struct sc_slot *slot, const struct storvsc_io *io)
{
	static const uint8_t cdb[VSTOR_CDB_LEN] = { 0x35 };
	struct vstor_packet p;

	sc_srb_packet(&p, io->lun, cdb, 10, VSTOR_DATA_NONE, 0);
	slot->need = 0;
	return sc_send_flat(q, slot, &p, 0, 0);
}

/* UNMAP with one descriptor, in the slot's own corner of guest memory. */
static int send_discard(struct sc_queue *q, struct sc_slot *slot, const struct storvsc_io *io,
			uint8_t shift)
{
	static const uint8_t cdb[VSTOR_CDB_LEN] = { 0x42, [8] = 24 };
	uint32_t at = (uint32_t)(slot - q->slots) * SC_PARAM;
	uint8_t *list = q->params + at;
	struct vstor_packet p;

	memset(list, 0, SC_PARAM);
	be16_put(list, 22);
	be16_put(list + 2, 16);
	be64_put(list + 8, io->offset >> shift);
	be32_put(list + 16, (uint32_t)(io->len >> shift));
	sc_srb_packet(&p, io->lun, cdb, 10, VSTOR_DATA_OUT, 24);
	slot->need = 0;
	return sc_send_flat(q, slot, &p, q->params_gpa + at, 24);
}

/* WRITE SAME(16) of one block of zeroes: the range stays allocated where it can. */
static int send_zero(struct sc_queue *q, struct sc_slot *slot, const struct storvsc_io *io,
		     uint8_t shift)
{
	uint8_t cdb[VSTOR_CDB_LEN] = { 0x93 };
	struct vstor_packet p;

	be64_put(cdb + 2, io->offset >> shift);
	be32_put(cdb + 10, (uint32_t)(io->len >> shift));
	sc_srb_packet(&p, io->lun, cdb, 16, VSTOR_DATA_OUT, 1u << shift);
	slot->need = 0;
	return sc_send_flat(q, slot, &p, sc_gpa(q->s, q->s->zero_page, 4096), 1u << shift);
}

static NOINLINE int send_other(struct sc_queue *q, struct sc_slot *slot,
			       const struct storvsc_io *io)
{
	const struct sc_lun *l = &q->s->lun[io->lun];
	uint8_t shift = load_relaxed(&l->shift);
	uint32_t most;

	if (!shift)
		return -ENXIO;
	if (io->op == STORVSC_FLUSH)
		return send_flush(q, slot, io);
	if (io->op != STORVSC_DISCARD && io->op != STORVSC_ZERO)
		return -EINVAL;
	most = load_relaxed(io->op == STORVSC_DISCARD ? &l->max_discard : &l->max_zero);
	if (!most)
		return -EOPNOTSUPP;
	if (io->len > most)
		return -EMSGSIZE;
	if (((io->offset | io->len) & ((1u << shift) - 1)) || !io->len)
		return -EINVAL;
	return io->op == STORVSC_DISCARD ? send_discard(q, slot, io, shift)
					 : send_zero(q, slot, io, shift);
}

ALWAYS_INLINE int send_io(struct sc_queue *q, struct sc_slot *slot, const struct storvsc_io *io)
{
	if (likely(io->op == STORVSC_READ))
		return send_rw(q, slot, io, false);
	if (likely(io->op == STORVSC_WRITE))
		return send_rw(q, slot, io, true);
	return send_other(q, slot, io);
}

int sc_send_io(struct sc_queue *q, struct sc_slot *slot, const struct storvsc_io *io)
{
	return send_io(q, slot, io);
}

/* ---- interface
 * -------------------------------------------------------------------------------------- */

ALWAYS_INLINE int submit(struct sc_queue *q, enum sc_kind kind, struct storvsc_io *io,
			 struct sc_slot **out)
{
	struct sc_slot *slot;
	int err;

	if (unlikely(q->dead))
		return q->dead;
	slot = sc_slot_get(q, kind, io);
	if (unlikely(!slot))
		return -EAGAIN;
	io->result = -EINPROGRESS;
	io->sense = 0;
	err = send_io(q, slot, io);
	if (unlikely(err)) {
		sc_slot_put(q, slot);
		return err;
	}
	SC_BUMP(q->submitted);
	if (unlikely(++q->unsent == SC_PUBLISH)) {
		q->unsent = 0;
		vmbus_chan_flush(q->chan);
	}
	if (out)
		*out = slot;
	return 0;
}

int sc_submit(struct sc_queue *q, enum sc_kind kind, struct storvsc_io *io, struct sc_slot **out)
{
	return submit(q, kind, io, out);
}

int storvsc_submit(struct storvsc *s, uint32_t q, struct storvsc_io *io)
{
	if (unlikely(q >= s->nr_queues))
		return -EINVAL;
	return submit(&s->queue[q], SC_IO, io, NULL);
}

void storvsc_kick(struct storvsc *s, uint32_t q)
{
	if (likely(q < s->nr_queues))
		vmbus_chan_flush(s->queue[q].chan);
}
