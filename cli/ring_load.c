/* SPDX-License-Identifier: MIT */
/*
 * Polled loads: throughput, round trips, latency.
 */
#include <string.h>

#include "base/clock.h"
#include "cli/ring_load.h"
#include "ringbuf/packet.h"

void ring_load_open_out(struct pair *p, struct vmring_out *r, int ring)
{
	if (vmring_out_init(r, p->ring[ring].ctrl, p->ring[ring].data, p->ring[ring].size))
		pair_fail(p, "cannot attach to the ring as writer");
}

void ring_load_open_in(struct pair *p, struct vmring_in *r, int ring)
{
	if (vmring_in_init(r, p->ring[ring].ctrl, p->ring[ring].data, p->ring[ring].size,
			   VMRING_ACCEPT_HOST))
		pair_fail(p, "cannot attach to the ring as reader");
	vmring_in_mask(r);
}

/* ---- one way ----------------------------------------------------------------------- */

void ring_load_produce(struct pair *p)
{
	static uint8_t src[VMPKT_MAX_LEN];
	struct vmring_out out;
	uint64_t n = 0, start, end;
	uint32_t i;
	int err;

	ring_load_open_out(p, &out, 0);
	pair_meet(p, 0);
	start = clock_ns();
	end = start + (uint64_t)(p->seconds * 1e9);
	do {
		for (i = 0; i < p->batch; n += !err, i += !err) {
			memcpy(src, &n, sizeof(n));
			err = vmpkt_put_inband(&out, 0, n, src, p->size);
			if (likely(!err))
				continue;
			if (err != -EAGAIN)
				pair_fail(p, "put: %s", vmring_fault_name(out.why));
			vmring_out_commit(&out);
			cpu_relax();
		}
		vmring_out_commit(&out);
	} while ((n & 0xff) >= p->batch || clock_ns() < end);
	p->sh->sent = n;
	store_release(&p->sh->stop, 1);
	while (!load_acquire(&p->sh->done))
		cpu_relax();
	p->sh->ns = clock_ns() - start;
	p->sh->messages = n;
}

#define LONGEST_PAUSE 512

/*
 * An empty ring: look again only after a while. Each look takes the index line away
 * from the producer, and a producer that gets ahead makes the next look worth more.
 * How long adapts to what the last one yielded: an eighth of a ring is worth it.
 */
static void back_off(const struct pair *p, uint32_t *pause, uint64_t got)
{
	uint32_t i;

	if (got * (p->size + 24) >= p->ring_bytes / 8)
		*pause = *pause / 2;
	else if (got && *pause < LONGEST_PAUSE)
		*pause = *pause * 2 + 1;
	for (i = 0; i <= *pause; i++)
		cpu_relax();
}

void ring_load_consume(struct pair *p)
{
	static uint8_t dst[VMPKT_MAX_LEN] __attribute__((aligned(64)));
	uint32_t len, pause = 0;
	struct vmring_in in;
	struct vmpkt_desc d;
	const uint8_t *pkt;
	uint64_t n = 0, before = 0, seq;
	int err;

	ring_load_open_in(p, &in, 0);
	pair_meet(p, 1);
	for (;;) {
		while (likely(!(err = vmring_in_peek(&in, &d, &pkt)))) {
			len = (d.len8 - d.offset8) * 8u;
			vmring_copy(dst, pkt + d.offset8 * 8u, len);
			__asm__ volatile("" : : "r"(dst) : "memory");
			memcpy(&seq, dst, sizeof(seq));
			if (unlikely(seq != n || len < p->size))
				pair_fail(p, "message %lu out of order", (unsigned long)n);
			n++;
			vmring_in_pop(&in, &d);
			vmring_in_commit_lazy(&in);
		}
		if (err != -EAGAIN)
			pair_fail(p, "peek: %s", vmring_fault_name(in.why));
		if (load_acquire(&p->sh->stop) && n == load_relaxed(&p->sh->sent))
			break;
		vmring_in_commit(&in);
		back_off(p, &pause, n - before);
		before = n;
	}
	store_release(&p->sh->done, 1);
}

/* ---- request and completion ------------------------------------------------------ */

void ring_load_request(struct pair *p)
{
	uint64_t sent = 0, got = 0, start, end;
	struct vmring_out out;
	struct vmring_in in;
	struct vmpkt_desc d;
	const uint8_t *pkt;
	bool more = true;

	ring_load_open_out(p, &out, 0);
	ring_load_open_in(p, &in, 1);
	pair_meet(p, 0);
	start = clock_ns();
	end = start + (uint64_t)(p->seconds * 1e9);
	while (more || got != sent) {
		uint64_t before = got;

		while (more && sent - got < RING_LOAD_OUTSTANDING &&
		       !vmpkt_put_inband(&out, VMPKT_FLAG_COMPLETION_REQUESTED, sent + 1, NULL, 0))
			sent++;
		vmring_out_commit(&out);
		while (!vmring_in_peek(&in, &d, &pkt)) {
			if (unlikely(d.type != VMPKT_COMPLETION || d.trans_id != got + 1))
				pair_fail(p, "completion %lu is not ours", (unsigned long)got);
			vmring_in_pop(&in, &d);
			got++;
		}
		vmring_in_commit_lazy(&in);
		if (out.why || in.why)
			pair_fail(p, "%s", vmring_fault_name(out.why ? out.why : in.why));
		if (before == got)
			cpu_relax();
		else if (more && (before ^ got) & ~0xffull)
			more = clock_ns() < end;
	}
	p->sh->ns = clock_ns() - start;
	p->sh->messages = got;
	p->sh->sent = sent;
	store_release(&p->sh->stop, 1);
}

void ring_load_complete(struct pair *p)
{
	struct vmring_out out;
	struct vmring_in in;
	struct vmpkt_desc d;
	const uint8_t *pkt;
	uint64_t n = 0;

	ring_load_open_in(p, &in, 0);
	ring_load_open_out(p, &out, 1);
	pair_meet(p, 1);
	while (!load_relaxed(&p->sh->stop)) {
		uint64_t before = n;

		while (!vmring_in_peek(&in, &d, &pkt)) {
			if (unlikely(d.type != VMPKT_INBAND || d.trans_id != n + 1))
				pair_fail(p, "request %lu is not the next", (unsigned long)n);
			if (vmpkt_put_completion(&out, d.trans_id, NULL, 0))
				break;
			vmring_in_pop(&in, &d);
			n++;
		}
		vmring_out_commit(&out);
		vmring_in_commit_lazy(&in);
		if (out.why || in.why)
			pair_fail(p, "%s", vmring_fault_name(out.why ? out.why : in.why));
		if (before == n)
			cpu_relax();
	}
	if (n != p->sh->sent)
		pair_fail(p, "requests lost");
}

/* ---- latency ------------------------------------------------------------------------ */

static void say(struct pair *p, struct vmring_out *out, uint64_t v)
{
	while (unlikely(vmpkt_put_inband(out, 0, v, &v, sizeof(v)))) {
		if (out->why)
			pair_fail(p, "put: %s", vmring_fault_name(out->why));
	}
	vmring_out_commit(out);
}

/* The next message's value; busy. */
static uint64_t hear(struct pair *p, struct vmring_in *in)
{
	struct vmpkt_desc d;
	const uint8_t *pkt;
	uint64_t v;
	int err;

	while (unlikely((err = vmring_in_peek(in, &d, &pkt)))) {
		if (err != -EAGAIN)
			pair_fail(p, "peek: %s", vmring_fault_name(in->why));
	}
	vmring_copy(&v, pkt + d.offset8 * 8u, sizeof(v));
	vmring_in_pop(in, &d);
	vmring_in_commit_lazy(in);
	return v;
}

void ring_load_ping(struct pair *p)
{
	struct vmring_out out;
	struct vmring_in in;
	uint64_t i, start, end;

	ring_load_open_out(p, &out, 0);
	ring_load_open_in(p, &in, 1);
	pair_meet(p, 0);
	start = clock_ns();
	end = start + (uint64_t)(p->seconds * 1e9);
	for (i = 0; (i & 0xff) || clock_ns() < end; i++) {
		say(p, &out, i);
		if (hear(p, &in) != i)
			pair_fail(p, "wrong answer");
	}
	p->sh->ns = clock_ns() - start;
	p->sh->messages = 2 * i;
	say(p, &out, ~0ull);
}

void ring_load_pong(struct pair *p)
{
	struct vmring_out out;
	struct vmring_in in;
	uint64_t v;

	ring_load_open_in(p, &in, 0);
	ring_load_open_out(p, &out, 1);
	pair_meet(p, 1);
	while ((v = hear(p, &in)) != ~0ull)
		say(p, &out, v);
}
