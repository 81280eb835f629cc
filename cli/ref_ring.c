/* SPDX-License-Identifier: MIT */
/*
 * The plain reference ring: VMBus-shaped bytes (16-byte header, padded payload,
 * 8-byte trailer, data mapped twice, both indices in one line as in the VMBus
 * control page), but free-running indices, no validation worth the name, no fence,
 * no signals: the peer of row R1 (measuring rules: same bytes, same batch, payload
 * written fresh and checked).
 */
#include <string.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "cli/ref_ring.h"

struct ref_ctrl {
	uint64_t write, read;
};

void ref_ring_produce(struct pair *p)
{
	struct ref_ctrl *c = p->ring[0].ctrl;
	uint8_t *data = p->ring[0].data;
	size_t bytes = p->ring[0].size, size = p->size, len8 = (16 + size + 7) / 8;
	size_t msg = len8 * 8 + 8;
	static char src[8192];
	uint64_t w = 0, r = 0, since = 0, n = 0, start, end;

	pair_meet(p, 0);
	start = clock_ns();
	end = start + (uint64_t)(p->seconds * 1e9);
	for (;;) {
		uint64_t head = 6u | 2u << 16 | (uint64_t)len8 << 32, trailer;
		uint8_t *m = data + (w & (bytes - 1));

		while (w + msg - r > bytes) {
			if (since)
				store_release(&c->write, w);
			since = 0;
			r = load_acquire(&c->read);
			if (w + msg - r > bytes)
				cpu_relax();
		}
		memcpy(src, &n, sizeof(n));
		memcpy(m, &head, 8);
		memcpy(m + 8, &n, 8);
		memcpy(m + 16, src, size);
		trailer = (w & (bytes - 1)) << 32;
		memcpy(m + len8 * 8, &trailer, 8);
		w += msg;
		n++;
		if (++since >= p->batch) {
			store_release(&c->write, w);
			since = 0;
		}
		if (!(n & 0xff) && clock_ns() >= end)
			break;
	}
	store_release(&c->write, w);
	p->sh->sent = n;
	store_release(&p->sh->stop, 1);
	while (!load_acquire(&p->sh->done))
		cpu_relax();
	p->sh->ns = clock_ns() - start;
	p->sh->messages = n;
}

void ref_ring_consume(struct pair *p)
{
	struct ref_ctrl *c = p->ring[0].ctrl;
	const uint8_t *data = p->ring[0].data;
	size_t bytes = p->ring[0].size;
	uint64_t r = 0, w = 0, published = 0, n = 0;
	static char out[8192];

	pair_meet(p, 1);
	for (;;) {
		uint64_t head, seq, off8, len8, len;
		const uint8_t *m = data + (r & (bytes - 1));

		if (r == w) {
			if (published != r)
				store_release(&c->read, r);
			published = r;
			w = load_acquire(&c->write);
			if (r == w && load_acquire(&p->sh->stop) && load_acquire(&c->write) == r)
				break;
			if (r == w) {
				cpu_relax();
				continue;
			}
		}
		memcpy(&head, m, 8);
		off8 = head >> 16 & 0xffff;
		len8 = head >> 32 & 0xffff;
		len = (len8 - off8) * 8;
		if (len > sizeof(out))
			pair_fail(p, "reference: length %lu", (unsigned long)len);
		memcpy(out, m + off8 * 8, len);
		__asm__ volatile("" : : "r"(out) : "memory");
		memcpy(&seq, out, 8);
		if (seq != n)
			pair_fail(p, "reference: message %lu out of order", (unsigned long)n);
		n++;
		r += len8 * 8 + 8;
		if (r - published >= bytes / 4) {
			store_release(&c->read, r);
			published = r;
		}
	}
	if (n != p->sh->sent)
		pair_fail(p, "reference: lost messages");
	store_release(&p->sh->done, 1);
}

void ref_line_ping(struct pair *p)
{
	uint64_t *line = p->sh->flag, i, start, end;

	pair_meet(p, 0);
	start = clock_ns();
	end = start + (uint64_t)(p->seconds * 1e9);
	for (i = 0; (i & 0xff) || clock_ns() < end; i++) {
		store_release(line, 2 * i + 1);
		while (load_acquire(line) != 2 * i + 2)
			;
	}
	p->sh->ns = clock_ns() - start;
	p->sh->messages = 2 * i;
	store_release(line, ~0ull);
}

void ref_line_pong(struct pair *p)
{
	uint64_t *line = p->sh->flag, i, v;

	pair_meet(p, 1);
	for (i = 0;; i++) {
		do
			v = load_acquire(line);
		while (v != 2 * i + 1 && v != ~0ull);
		if (v == ~0ull)
			return;
		store_release(line, 2 * i + 2);
	}
}

void ref_bell_ping(struct pair *p)
{
	uint64_t end, n = 0, t0, t1;

	pair_meet(p, 0);
	t1 = clock_ns();
	end = t1 + (uint64_t)(p->seconds * 1e9);
	while (t1 < end && n < PAIR_LAT_MAX) {
		t0 = clock_ns();
		pair_ring_bell(p, 0);
		pair_await_bell(p, 1);
		t1 = clock_ns();
		p->sh->lat[n++] = (uint32_t)((t1 - t0) / 2);
	}
	p->sh->samples = n;
	store_release(&p->sh->stop, 1);
	pair_ring_bell(p, 0);
}

void ref_bell_pong(struct pair *p)
{
	pair_meet(p, 1);
	for (;;) {
		pair_await_bell(p, 0);
		if (load_acquire(&p->sh->stop))
			return;
		pair_ring_bell(p, 1);
	}
}
