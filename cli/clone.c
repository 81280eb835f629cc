/* SPDX-License-Identifier: MIT */
/*
 * A pipeline of slots; each reads a piece, then writes or discards it, then takes the
 * next piece.
 */
#include <errno.h>
#include <string.h>

#include "base/atomic.h"
#include "cli/clone.h"

#define SLOTS 16
#define PIECE (128u * 1024)

struct slot {
	struct storvsc_io io;
	struct iovec iov;
	uint8_t *buf;
};

struct clone {
	struct storvsc *s;
	struct clone_stats *st;
	struct slot slot[SLOTS];
	uint8_t from, to;
	uint64_t next;
	uint32_t running;
	bool can_discard;
	uint32_t max_discard;
};

static bool all_zero(const uint8_t *p, size_t n)
{
	return !p[0] && !memcmp(p, p + 1, n - 1);
}

static int submit(struct clone *c, struct slot *k, enum storvsc_op op, uint8_t lun)
{
	k->io.op = (uint8_t)op;
	k->io.lun = lun;
	k->iov.iov_len = k->io.len;
	return storvsc_submit(c->s, 0, &k->io);
}

static int read_next(struct clone *c, struct slot *k)
{
	uint64_t left = c->st->total - c->next;
	int err;

	if (!left)
		return 0;
	k->io.offset = c->next;
	k->io.len = left < PIECE ? left : PIECE;
	err = submit(c, k, STORVSC_READ, c->from);
	if (err)
		return err;
	c->next += k->io.len;
	c->running++;
	return 0;
}

static int after_read(struct clone *c, struct slot *k)
{
	bool zero = c->can_discard && k->io.len <= c->max_discard && all_zero(k->buf, k->io.len);
	int err = submit(c, k, zero ? STORVSC_DISCARD : STORVSC_WRITE, c->to);

	if (!err)
		c->running++;
	return err;
}

static int advance(struct clone *c, struct slot *k)
{
	uint64_t *counter = k->io.op == STORVSC_DISCARD ? &c->st->zeroes : &c->st->copied;

	c->running--;
	if (k->io.result)
		return k->io.result;
	if (k->io.op == STORVSC_READ)
		return after_read(c, k);
	store_relaxed(counter, *counter + k->io.len);
	return read_next(c, k);
}

static int pump(struct clone *c)
{
	struct storvsc_io *done[SLOTS];
	int err = 0, n, i;

	while (c->running) {
		storvsc_kick(c->s, 0);
		n = storvsc_reap(c->s, 0, done, SLOTS, 1, 60000000000ull);
		if (n <= 0)
			return n ? n : -ETIMEDOUT;
		for (i = 0; i < n; i++) {
			int e = advance(c, container_of(done[i], struct slot, io));

			err = err ? err : e;
		}
		if (err)
			c->next = c->st->total; /* start nothing new, let the rest finish */
	}
	return err;
}

int clone_disk(struct storvsc *s, uint8_t from, uint8_t to, struct clone_stats *st)
{
	struct clone c = { .s = s, .st = st, .from = from, .to = to };
	struct storvsc_disk a, b;
	uint8_t *mem;
	int err, i;

	err = storvsc_disk_info(s, from, &a);
	if (!err)
		err = storvsc_disk_info(s, to, &b);
	if (!err && b.size < a.size)
		err = -ENOSPC;
	if (err)
		return err;
	mem = storvsc_alloc(s, SLOTS * PIECE);
	if (!mem)
		return -ENOMEM;
	c.can_discard = b.discard;
	c.max_discard = b.max_discard;
	store_relaxed(&st->total, a.size);
	for (i = 0; i < SLOTS && !err; i++) {
		c.slot[i].buf = mem + (size_t)i * PIECE;
		c.slot[i].iov.iov_base = c.slot[i].buf;
		c.slot[i].io.iov = &c.slot[i].iov;
		c.slot[i].io.niov = 1;
		err = read_next(&c, &c.slot[i]);
	}
	if (!err)
		err = pump(&c);
	if (!err)
		err = storvsc_flush(s, 0, to);
	storvsc_free(s, mem, SLOTS * PIECE);
	return err;
}
