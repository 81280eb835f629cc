/* SPDX-License-Identifier: MIT */
/*
 * The ages of a channel's requests: one timer looks at them while something happens, a few
 * times per threshold, and costs the requests nothing. Who is older than the threshold is
 * reported once, with its position: while the guest still waits for it.
 */
#include "vsp/storvsp/stor_priv.h"

#include "base/log.h"

#define LOOKS  4 /* per threshold */
#define SECOND 1000000000ull
#define MILLI  1000000ull

static uint64_t threshold_ns(const struct stor_chan *c)
{
	return c->ctl->cfg.stuck_ms * MILLI;
}

/* ---- reports -------------------------------------------------------------- */

static void report_request(const struct stor_chan *c, const struct stor_stuck *k,
			   enum blk_where where, uint64_t now)
{
	static const char *const texts[] = {
		[BLK_AT_LIMIT] = "waits for its limit",
		[BLK_AT_FAULT] = "held by an injected fault",
		[BLK_AT_ENGINE] = "queued in the engine",
		[BLK_AT_KERNEL] = "in the kernel",
	};

	log_ratelimited(LOG_WARN, "%s LUN %u: %s LBA %llu +%u is %llu s old, %s",
			vmbus_chan_name(c->chan), k->info.lun, k->info.name,
			(unsigned long long)k->info.lba, k->info.blocks,
			(unsigned long long)((now - k->start_ns) / SECOND), texts[where]);
}

static void report_ring(const struct stor_chan *c, uint64_t now)
{
	log_ratelimited(LOG_WARN, "%s: packets wait unread for %llu s (%u requests in flight)",
			vmbus_chan_name(c->chan),
			(unsigned long long)((now - c->ring_since) / SECOND), c->in_flight);
}

/* In step with the other channels of the loop, so that hundreds of them share one wake-up. */
static void arm(struct stor_chan *c)
{
	uint64_t period = threshold_ns(c) / LOOKS;

	loop_timer_arm(c->loop, &c->watch, period - loop_now(c->loop) % period);
}

/* ---- looking --------------------------------------------------------------- */

/* Keeps the oldest, in the order of their ages. */
static void keep(struct stor_stuck *list, uint32_t *n, uint32_t slot, uint64_t start)
{
	uint32_t i = *n;

	if (i == STOR_STUCK && list[--i].start_ns <= start)
		return;
	if (*n < STOR_STUCK)
		(*n)++;
	for (; i && list[i - 1].start_ns > start; i--)
		list[i] = list[i - 1];
	list[i].slot = slot;
	list[i].start_ns = start;
}

static enum blk_where describe(const struct stor_chan *c, struct stor_stuck *k)
{
	const struct stor_req *r = &c->reqs[k->slot];
	struct scsi_position at;

	scsi_task_position(&r->task, &at);
	k->info = (struct storvsp_stuck){
		.channel = c->sub,
		.lun = stor_lun_of(r->address),
		.opcode = at.opcode,
		.lba = at.lba,
		.blocks = at.blocks,
		.name = at.name,
		.where = blk_where_name(at.where),
	};
	return at.where;
}

/* Returns how many are in @list; *@fresh of all the stuck ones were not reported yet. */
static uint32_t find_stuck(struct stor_chan *c, uint64_t before, struct stor_stuck *list,
			   uint32_t *fresh)
{
	uint32_t i, n = 0;

	*fresh = 0;
	for (i = 0; i < c->touched; i++) {
		uint64_t start = c->reqs[i].start_ns;

		if (!start || start > before)
			continue;
		*fresh += start > c->watched_until;
		keep(list, &n, i, start);
	}
	return n;
}

static void look_at_requests(struct stor_chan *c, uint64_t now, struct stor_stuck *list,
			     uint32_t *n)
{
	uint64_t before = now > threshold_ns(c) ? now - threshold_ns(c) : 0;
	uint32_t i, fresh, told = 0;

	*n = find_stuck(c, before, list, &fresh);
	for (i = 0; i < *n; i++) {
		enum blk_where where = describe(c, &list[i]);

		if (list[i].start_ns <= c->watched_until)
			continue;
		report_request(c, &list[i], where, now);
		told++;
	}
	if (fresh > told)
		log_ratelimited(LOG_WARN, "%s: and %u more that are as old",
				vmbus_chan_name(c->chan), fresh - told);
	STOR_BUMP(c->stat_stuck, fresh);
	c->watched_until = before;
}

/* Packets that nobody reads, because there is no room for their completions or no slot. */
static bool ring_is_stuck(struct stor_chan *c, uint64_t now)
{
	bool waits = !c->closing && !vmbus_chan_faulted(c->chan) && vmbus_chan_pending(c->chan);

	if (!waits || c->requests != c->ring_requests) {
		c->ring_since = now;
		c->ring_requests = c->requests;
		c->ring_reported = false;
		return false;
	}
	if (now - c->ring_since < threshold_ns(c))
		return false;
	if (!c->ring_reported)
		report_ring(c, now);
	c->ring_reported = true;
	return true;
}

static void add_ring(const struct stor_chan *c, struct stor_stuck *list, uint32_t *n)
{
	struct stor_stuck *k = &list[*n < STOR_STUCK ? (*n)++ : STOR_STUCK - 1];

	*k = (struct stor_stuck){
		.slot = STOR_NO_SLOT,
		.start_ns = c->ring_since,
		.info = { .channel = c->sub, .name = "?", .where = "ring" },
	};
}

static void publish(struct stor_chan *c, const struct stor_stuck *list, uint32_t n)
{
	pthread_mutex_lock(&c->ctl->lock);
	memcpy(c->stuck, list, n * sizeof(*list));
	c->nr_stuck = n;
	pthread_mutex_unlock(&c->ctl->lock);
}

void stor_watch_tick(struct loop_timer *t)
{
	struct stor_chan *c = container_of(t, struct stor_chan, watch);
	bool busy = c->in_flight || c->requests != c->ring_requests;
	struct stor_stuck list[STOR_STUCK];
	uint64_t now = loop_now(c->loop);
	uint32_t n;

	look_at_requests(c, now, list, &n);
	if (ring_is_stuck(c, now))
		add_ring(c, list, &n);
	if (n || c->nr_stuck)
		publish(c, list, n);
	c->watching = busy || c->ring_since < now; /* or something waits in the ring */
	if (c->watching)
		arm(c);
}

void stor_watch_start(struct stor_chan *c)
{
	c->watching = true;
	c->ring_since = loop_now(c->loop);
	c->ring_requests = c->requests;
	arm(c);
}
