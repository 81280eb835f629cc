/* SPDX-License-Identifier: MIT */
/* Token bucket and storm window. */
#include "base/net/gso.h"
#include "vsp/netvsp/meter.h"

#define SECOND_NS 1000000000ull
#define MIN_BURST (128u * 1024)
#define BURST_NS  4000000ull
/* More than any clock shows, and half of what a sum of two may be. */
#define FOREVER	  (UINT64_MAX / 4)

static uint64_t burst_time(uint64_t bps, uint32_t burst)
{
	unsigned __int128 ns;

	if (!burst) {
		ns = (unsigned __int128)MIN_BURST * 8 * SECOND_NS / bps;
		if (ns < BURST_NS)
			ns = BURST_NS;
	} else {
		ns = (unsigned __int128)burst * 8 * SECOND_NS / bps;
	}
	return ns > FOREVER ? FOREVER : (uint64_t)ns;
}

void meter_set(struct meter *m, uint64_t bps, uint32_t burst)
{
	*m = (struct meter){ .bps = bps, .burst_ns = bps ? burst_time(bps, burst) : 0 };
}

uint64_t meter_wait_ns(const struct meter *m, uint64_t now)
{
	if (m->full_at < now + m->burst_ns || (m->full_at <= now && !m->burst_ns))
		return 0;
	return m->full_at - now - m->burst_ns + 1;
}

void meter_charge(struct meter *m, uint64_t now, uint32_t bytes)
{
	uint64_t cost = (uint64_t)bytes * 8 * SECOND_NS + m->rest;

	if (m->full_at < now)
		m->full_at = now;
	m->full_at += cost / m->bps;
	m->rest = cost % m->bps;
}

uint32_t meter_bytes(const struct net_frame *f)
{
	uint32_t wire = f->len;

	if (f->meta.gso)
		net_gso_count(f, &wire);
	return wire;
}

void storm_set(struct storm *s, uint32_t limit)
{
	*s = (struct storm){ .limit = limit };
}

bool storm_allows(struct storm *s, uint64_t now)
{
	if (!s->running || now - s->began >= SECOND_NS) {
		s->running = true;
		s->began = now;
		s->seen = 0;
	}
	if (s->seen >= s->limit)
		return false;
	s->seen++;
	return true;
}
