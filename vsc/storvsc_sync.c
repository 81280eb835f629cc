/* SPDX-License-Identifier: MIT */
/*
 * Synchronous I/O of any length from any buffer: pieces of at most one transfer, through
 * the queue's bounce buffer where the caller's memory is not the guest's.
 */
#include "vsc/storvsc_priv.h"

/* Executes @io and waits; @bounced says whose buffer it uses. */
static int run(struct sc_queue *q, struct storvsc_io *io, bool bounced)
{
	uint64_t deadline = sc_deadline(q->s->timeout_ns);
	struct sc_slot *slot;
	int err;

	while ((err = sc_submit(q, SC_SYNC, io, &slot)) == -EAGAIN) {
		if (!sc_wait(q, deadline))
			return -ETIMEDOUT;
		sc_collect_done(q);
	}
	if (err)
		return err;
	vmbus_chan_flush(q->chan);
	for (;;) {
		sc_collect_done(q);
		if (io->result != -EINPROGRESS)
			return io->result;
		if (!sc_wait(q, deadline))
			break;
	}
	sc_abandon(q, slot, bounced);
	sc_note_failure(q, -ETIMEDOUT, 0);
	return -ETIMEDOUT;
}

struct piece { /* what of a transfer goes in one request */
	struct storvsc_io io;
	struct iovec iov;
	bool bounced;
};

/* Points @p at the memory for @len bytes of @buf. */
static int piece_buffer(struct sc_queue *q, struct piece *p, void *buf, size_t len)
{
	p->bounced = sc_gpa(q->s, buf, len) == UINT64_MAX;
	p->iov.iov_base = p->bounced ? sc_bounce(q) : buf;
	if (!p->iov.iov_base)
		return -ENOMEM;
	p->iov.iov_len = p->io.len = len;
	p->io.iov = &p->iov;
	p->io.niov = 1;
	return 0;
}

static int transfer(struct sc_queue *q, struct storvsc_io *io, uint8_t *buf, size_t len)
{
	struct piece p = { .io = *io };
	size_t n;
	int err;

	do { /* length 0 fails in submit, as it should */
		n = len < q->s->max_transfer ? len : q->s->max_transfer;
		err = piece_buffer(q, &p, buf, n);
		if (err)
			return err;
		if (p.bounced && io->op == STORVSC_WRITE)
			memcpy(p.iov.iov_base, buf, n);
		else if (p.bounced)
			memset(p.iov.iov_base, 0, n); /* no stale bytes if the root writes none */
		err = run(q, &p.io, p.bounced);
		if (err)
			return err;
		if (p.bounced && io->op == STORVSC_READ)
			memcpy(buf, p.iov.iov_base, n);
		buf += n;
		len -= n;
		p.io.offset += n;
	} while (len);
	return 0;
}

int storvsc_read(struct storvsc *s, uint32_t qi, uint8_t lun, void *buf, uint64_t offset,
		 size_t len)
{
	struct storvsc_io io = { .op = STORVSC_READ, .lun = lun, .offset = offset };

	return qi < s->nr_queues ? transfer(&s->queue[qi], &io, buf, len) : -EINVAL;
}

int storvsc_write(struct storvsc *s, uint32_t qi, uint8_t lun, const void *buf, uint64_t offset,
		  size_t len, unsigned flags)
{
	struct storvsc_io io = {
		.op = STORVSC_WRITE, .lun = lun, .offset = offset, .flags = (uint8_t)flags
	};
	bool flush = (flags & STORVSC_FUA) && load_relaxed(&s->lun[lun].fua) == SC_FUA_NO;
	int err;

	if (qi >= s->nr_queues)
		return -EINVAL;
	if (flush) /* a disk without FUA: its cache is flushed instead */
		io.flags &= (uint8_t)~STORVSC_FUA;
	err = transfer(&s->queue[qi], &io, (uint8_t *)(uintptr_t)buf, len);
	return err || !flush ? err : storvsc_flush(s, qi, lun);
}

int storvsc_flush(struct storvsc *s, uint32_t qi, uint8_t lun)
{
	struct storvsc_io io = { .op = STORVSC_FLUSH, .lun = lun };

	return qi < s->nr_queues ? run(&s->queue[qi], &io, false) : -EINVAL;
}

/* Range commands in pieces of at most @most bytes. */
static int range(struct sc_queue *q, enum storvsc_op op, uint8_t lun, uint64_t offset, uint64_t len,
		 uint32_t most)
{
	struct storvsc_io io = { .op = (uint8_t)op, .lun = lun };
	uint64_t n;
	int err;

	for (; len; offset += n, len -= n) {
		n = len < most ? len : most;
		io.offset = offset;
		io.len = n;
		err = run(q, &io, false);
		if (err)
			return err;
	}
	return 0;
}

/* @err when the range itself cannot be asked for. */
static int check_range(const struct storvsc *s, uint32_t qi, uint8_t lun, uint64_t offset,
		       uint64_t len)
{
	uint8_t shift = load_relaxed(&s->lun[lun].shift);

	if (qi >= s->nr_queues)
		return -EINVAL;
	if (!shift)
		return -ENXIO;
	return (offset | len) & ((1u << shift) - 1) ? -EINVAL : 0;
}

int storvsc_discard(struct storvsc *s, uint32_t qi, uint8_t lun, uint64_t offset, uint64_t len)
{
	uint32_t most = load_relaxed(&s->lun[lun].max_discard);
	int err = check_range(s, qi, lun, offset, len);

	if (err)
		return err;
	return most ? range(&s->queue[qi], STORVSC_DISCARD, lun, offset, len, most) : -EOPNOTSUPP;
}

/* A disk without WRITE SAME gets its zeroes written. */
static int write_zeroes(struct sc_queue *q, uint8_t lun, uint64_t offset, uint64_t len)
{
	struct storvsc_io io = { .op = STORVSC_WRITE, .lun = lun, .offset = offset };
	struct piece p = { .io = io };
	uint64_t n;
	int err;

	for (; len; p.io.offset += n, len -= n) {
		n = len < q->s->max_transfer ? len : q->s->max_transfer;
		err = piece_buffer(q, &p, NULL, n);
		if (err)
			return err;
		memset(p.iov.iov_base, 0, n);
		err = run(q, &p.io, true);
		if (err)
			return err;
	}
	return 0;
}

int storvsc_zero(struct storvsc *s, uint32_t qi, uint8_t lun, uint64_t offset, uint64_t len)
{
	uint32_t most = load_relaxed(&s->lun[lun].max_zero);
	int err = check_range(s, qi, lun, offset, len);

	if (err)
		return err;
	err = most ? range(&s->queue[qi], STORVSC_ZERO, lun, offset, len, most) : -EOPNOTSUPP;
	return err == -EOPNOTSUPP ? write_zeroes(&s->queue[qi], lun, offset, len) : err;
}
