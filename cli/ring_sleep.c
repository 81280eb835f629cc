/* SPDX-License-Identifier: MIT */
/*
 * Loads of `bench ring` whose sides sleep on a doorbell, by the signalling protocol
 * (spec: ring, section 9): what a wake-up costs, and how many there are.
 */
#include <string.h>

#include "base/clock.h"
#include "cli/ring_load.h"
#include "ringbuf/packet.h"

#define SPIN_NS 50000 /* what a wake-up costs: spinning longer cannot pay */

static void check(struct pair *p, const struct vmring_out *out, const struct vmring_in *in)
{
	if (out && out->why)
		pair_fail(p, "writing: %s", vmring_fault_name(out->why));
	if (in && in->why)
		pair_fail(p, "reading: %s", vmring_fault_name(in->why));
}

/* ---- latency --------------------------------------------------------------------- */

static void say(struct pair *p, struct vmring_out *out, int peer, uint64_t v)
{
	if (vmpkt_put_inband(out, 0, v, &v, sizeof(v)))
		pair_fail(p, "a ring with one message in it is full");
	if (vmring_out_commit(out))
		pair_ring_bell(p, peer);
}

/* The next message's value; asleep until it comes. */
static uint64_t hear(struct pair *p, struct vmring_in *in, int self)
{
	struct vmpkt_desc d;
	const uint8_t *pkt;
	uint64_t v;

	while (vmring_in_peek(in, &d, &pkt)) {
		check(p, NULL, in);
		if (!vmring_in_unmask(in))
			pair_await_bell(p, self);
	}
	vmring_copy(&v, pkt + d.offset8 * 8u, sizeof(v));
	vmring_in_pop(in, &d);
	if (vmring_in_commit(in))
		pair_ring_bell(p, !self);
	return v;
}

void ring_load_sleep_ping(struct pair *p)
{
	struct vmring_out out;
	struct vmring_in in;
	uint64_t end, n = 0, t0, t1;

	ring_load_open_out(p, &out, 0);
	ring_load_open_in(p, &in, 1);
	vmring_in_unmask(&in);
	pair_meet(p, 0);
	t1 = clock_ns();
	end = t1 + (uint64_t)(p->seconds * 1e9);
	while (t1 < end && n < PAIR_LAT_MAX) {
		t0 = clock_ns();
		say(p, &out, 1, n);
		if (hear(p, &in, 0) != n)
			pair_fail(p, "wrong answer");
		t1 = clock_ns();
		p->sh->lat[n++] = (uint32_t)((t1 - t0) / 2);
	}
	p->sh->samples = n;
	say(p, &out, 1, ~0ull);
}

void ring_load_sleep_pong(struct pair *p)
{
	struct vmring_out out;
	struct vmring_in in;
	uint64_t v;

	ring_load_open_in(p, &in, 0);
	ring_load_open_out(p, &out, 1);
	vmring_in_unmask(&in);
	pair_meet(p, 1);
	while ((v = hear(p, &in, 1)) != ~0ull)
		say(p, &out, 0, v);
}

/* ---- signals under load -------------------------------------------------------------- */

/* Waits until @len bytes fit: spins a while if told to, then asks for a signal and sleeps. */
static void await_room(struct pair *p, struct vmring_out *out, uint32_t len)
{
	uint64_t until = clock_ns() + (p->spin_first ? SPIN_NS : 0);

	if (vmring_out_commit(out))
		pair_ring_bell(p, 1);
	do {
		if (vmring_out_free(out) >= len + VMPKT_TRAILER)
			return;
		cpu_relax();
	} while (clock_ns() < until);
	check(p, out, NULL);
	if (vmring_out_want_space(out, len))
		pair_await_bell(p, 0);
}

void ring_load_sleepy_produce(struct pair *p)
{
	static uint8_t src[VMPKT_MAX_LEN];
	uint32_t len = (VMPKT_HEADER + p->size + 7) & ~7u, i;
	struct vmring_out out;
	uint64_t n = 0, start, end;

	ring_load_open_out(p, &out, 0);
	pair_meet(p, 0);
	start = clock_ns();
	end = start + (uint64_t)(p->seconds * 1e9);
	do {
		for (i = 0; i < p->batch; i++, n++) {
			memcpy(src, &n, sizeof(n));
			while (vmpkt_put_inband(&out, 0, n, src, p->size))
				await_room(p, &out, len);
		}
		if (vmring_out_commit(&out))
			pair_ring_bell(p, 1);
	} while ((n & 0xff) >= p->batch || clock_ns() < end);
	p->sh->sent = n;
	store_release(&p->sh->stop, 1);
	pair_ring_bell(p, 1);
	while (!load_acquire(&p->sh->done))
		pair_await_bell(p, 0);
	p->sh->ns = clock_ns() - start;
	p->sh->messages = n;
	p->sh->signals += out.signals;
	p->sh->publications = out.publications;
}

/* Until something is there: spins a while if told to, then sleeps. */
static void await_data(struct pair *p, struct vmring_in *in)
{
	uint64_t until = clock_ns() + (p->spin_first ? SPIN_NS : 0);

	if (vmring_in_commit(in))
		pair_ring_bell(p, 0);
	do {
		if (vmring_in_pending(in))
			return;
		cpu_relax();
	} while (clock_ns() < until);
	if (!vmring_in_unmask(in) && !load_acquire(&p->sh->stop))
		pair_await_bell(p, 1);
	vmring_in_mask(in);
}

void ring_load_sleepy_consume(struct pair *p)
{
	static uint8_t dst[VMPKT_MAX_LEN] __attribute__((aligned(64)));
	struct vmring_in in;
	struct vmpkt_desc d;
	const uint8_t *pkt;
	uint64_t n = 0, seq;

	ring_load_open_in(p, &in, 0);
	pair_meet(p, 1);
	while (!load_acquire(&p->sh->stop) || n != load_relaxed(&p->sh->sent)) {
		while (!vmring_in_peek(&in, &d, &pkt)) {
			vmring_copy(dst, pkt + d.offset8 * 8u, (d.len8 - d.offset8) * 8u);
			memcpy(&seq, dst, sizeof(seq));
			if (unlikely(seq != n))
				pair_fail(p, "message %lu out of order", (unsigned long)n);
			n++;
			vmring_in_pop(&in, &d);
			if (vmring_in_commit_lazy(&in))
				pair_ring_bell(p, 0);
		}
		check(p, NULL, &in);
		await_data(p, &in);
	}
	p->sh->signals += in.signals;
	store_release(&p->sh->done, 1);
	pair_ring_bell(p, 0);
}
