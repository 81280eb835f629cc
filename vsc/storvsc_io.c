/* SPDX-License-Identifier: MIT */
/*
 * Requests out. Runs once per I/O: a slot from a list, a packet built where it goes, in
 * the ring, page numbers by subtraction. What is in the ring is only written: the root
 * may write there too.
 */
#include "vsc/storvsc_priv.h"

#define SRB_FLAGS                                                                                  \
	(VSTOR_SRB_FLAG_QUEUE_ACTION | VSTOR_SRB_FLAG_DISABLE_SYNCH_TRANSFER |                     \
	 VSTOR_SRB_FLAG_NO_QUEUE_FREEZE)
#define SRB_SECONDS 60

#define CDB_FUA	    0x08

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

/*
 * The ring was full, or worse: @err. True: there is room by now. Otherwise the root is
 * to signal when there is.
 */
static bool room_again(struct sc_queue *q, int err, uint32_t npfn)
{
	uint32_t need = (npfn ? 32 + 8 * npfn : 16) + VSTOR_PACKET + VMPKT_TRAILER;

	return err == -EAGAIN && !vmbus_chan_want_space(q->chan, need);
}

static int send_error(int err)
{
	return err == -EPROTO ? -EIO : err; /* the next collect buries the queue */
}

/* With data: its page numbers are to be put at *@to, and a struct vstor_packet behind them. */
ALWAYS_INLINE int send_blank(struct sc_queue *q, const struct sc_slot *slot, uint32_t len,
			     uint32_t offset, uint64_t **to)
{
	return vmbus_chan_send_gpa_blank(q->chan, VMPKT_FLAG_COMPLETION_REQUESTED, sc_slot_id(slot),
					 len, offset, VSTOR_PACKET, to);
}

static int send_without_data(struct sc_queue *q, const struct sc_slot *slot,
			     const struct vstor_packet *p)
{
	int err;

	do {
		err = vmbus_chan_send(q->chan, VMPKT_FLAG_COMPLETION_REQUESTED, sc_slot_id(slot), p,
				      VSTOR_PACKET);
	} while (room_again(q, err, 0));
	return send_error(err);
}

/* The numbers of the pages that @len bytes at @gpa touch. Returns the place behind them. */
ALWAYS_INLINE void *put_pages(uint64_t *to, uint64_t gpa, uint32_t len)
{
	uint64_t pfn = gpa / 4096, n = (gpa + len + 4095) / 4096 - pfn, i;

	for (i = 0; i < n; i++)
		to[i] = pfn + i;
	return to + n;
}

int sc_send_flat(struct sc_queue *q, const struct sc_slot *slot, const struct vstor_packet *p,
		 uint64_t gpa, uint32_t len)
{
	uint32_t offset = gpa % 4096;
	uint64_t *to;
	int err;

	if (!len)
		return send_without_data(q, slot, p);
	do {
		err = send_blank(q, slot, len, offset, &to);
	} while (room_again(q, err, (uint32_t)vmpkt_pages(len, offset)));
	if (err)
		return send_error(err);
	memcpy(put_pages(to, gpa, len), p, sizeof(*p));
	return 0;
}

/* ---- buffers -------------------------------------------------------------------------------- */

/* The pages of an I/O in pieces, of which only the whole may start and end inside pages. */
static NOINLINE int gather(const struct storvsc *s, const struct storvsc_io *io, uint64_t *pfn)
{
	const struct iovec *iov = io->iov;
	uint32_t n, npfn = 0;
	uint64_t gpa, left = io->len;
	int k;

	for (k = 0; k < io->niov; k++) {
		gpa = sc_gpa(s, iov[k].iov_base, iov[k].iov_len);
		if (gpa == UINT64_MAX || !iov[k].iov_len || iov[k].iov_len > left)
			return -EINVAL;
		if ((k && gpa % 4096) || (k < io->niov - 1 && (gpa + iov[k].iov_len) % 4096))
			return -EINVAL;
		n = (uint32_t)vmpkt_pages((uint32_t)iov[k].iov_len, gpa % 4096);
		if (n > SC_MAX_PFNS - npfn)
			return -EMSGSIZE;
		put_pages(pfn + npfn, gpa, (uint32_t)iov[k].iov_len);
		npfn += n;
		left -= iov[k].iov_len;
	}
	return left ? -EINVAL : 0;
}

/*
 * Where the data starts, *@gpa. Nearly always it is one piece; otherwise the pages are
 * in @pfn.
 */
ALWAYS_INLINE int locate(const struct storvsc *s, const struct storvsc_io *io, uint64_t *pfn,
			 uint64_t *gpa)
{
	int err;

	if (likely(io->niov == 1))
		err = likely(io->iov->iov_len == io->len) ? 0 : -EINVAL;
	else
		err = gather(s, io, pfn);
	if (unlikely(err))
		return err;
	*gpa = sc_gpa(s, io->iov->iov_base, io->iov->iov_len);
	return likely(*gpa != UINT64_MAX) ? 0 : -EINVAL;
}

static void *put_list(uint64_t *to, const uint64_t *pfn, uint64_t n)
{
	memcpy(to, pfn, n * sizeof(*pfn));
	return to + n;
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

/* The ring was full, or worse. Once there is room: from the beginning. */
static NOINLINE int not_sent(struct sc_queue *q, struct sc_slot *slot, const struct storvsc_io *io,
			     int err)
{
	uint32_t offset = (uint32_t)sc_gpa(q->s, io->iov->iov_base, 1) % 4096;

	if (room_again(q, err, (uint32_t)vmpkt_pages((uint32_t)io->len, offset)))
		return sc_send_io(q, slot, io);
	return send_error(err);
}

ALWAYS_INLINE int send_rw(struct sc_queue *q, struct sc_slot *slot, const struct storvsc_io *io,
			  bool write)
{
	const struct storvsc *s = q->s;
	uint8_t shift = load_relaxed(&s->lun[io->lun].shift);
	uint32_t mask = (1u << shift) - 1;
	uint64_t gpa, *to, pieces[SC_MAX_PFNS];
	struct vstor_packet *p;
	bool fua = false;
	uint32_t len;
	int err;

	if (unlikely(!shift))
		return -ENXIO;
	if (unlikely(io->len > s->max_transfer))
		return -EMSGSIZE;
	if (unlikely(((io->offset | io->len) & mask) || !io->len))
		return -EINVAL;
	if (write && unlikely(io->flags & STORVSC_FUA)) {
		if (load_relaxed(&s->lun[io->lun].fua) == SC_FUA_NO)
			return -EOPNOTSUPP;
		fua = load_relaxed(&s->lun[io->lun].fua) == SC_FUA_YES;
	}
	len = (uint32_t)io->len;
	err = locate(s, io, pieces, &gpa);
	if (unlikely(err))
		return err;
	err = send_blank(q, slot, len, (uint32_t)gpa % 4096, &to);
	if (unlikely(err))
		return not_sent(q, slot, io, err);
	if (likely(io->niov == 1))
		p = put_pages(to, gpa, len);
	else
		p = put_list(to, pieces, vmpkt_pages(len, (uint32_t)gpa % 4096));
	if (write)
		srb_fill(p, io->lun, 10, VSTOR_DATA_OUT, VSTOR_SRB_FLAG_DATA_OUT, len);
	else
		srb_fill(p, io->lun, 10, VSTOR_DATA_IN, VSTOR_SRB_FLAG_DATA_IN, len);
	cdb_rw(p, write, fua, io->offset >> shift, len >> shift);
	slot->need = len;
	return 0;
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

	if (unlikely(q->dead < 0))
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
	if (unlikely(q->submitted % SC_PUBLISH == 0))
		vmbus_chan_flush(q->chan);
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
