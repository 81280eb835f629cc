/* SPDX-License-Identifier: MIT */
/*
 * A controller as the bus sees it: offered, opened, drained, closed, revoked. What its
 * channels say to the guest is in stor_control.c and stor_worker.c.
 */
#include "vsp/storvsp/stor_priv.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

#define DEFAULT_MAX_TRANSFER (256u << 10)
#define MOST_TRANSFER	     (16u << 20)
#define DEFAULT_DEPTH	     512u
#define GPA_HEADER	     32u /* descriptor, range count, range header */
#define DEFAULT_MAX_PACKET   4096u

/* ---- device ops -------------------------------------------------------------------- */

/* The primary opens or closes: sub-channels of the opening before are orphans. */
static void primary_opened(struct storvsp *s)
{
	s->subchannels = 0;
	s->subchannels_fixed = false;
	store_relaxed(&s->version, 0);
	store_release(&s->state, STOR_BEGIN);
	store_release(&s->primary_opening, s->primary_opening + 1); /* see chan_ready() */
}

static int dev_open(void *dev, uint16_t sub, struct vmbus_chan *chan, const uint8_t *user)
{
	struct storvsp *s = dev;
	struct stor_chan *c;
	int err;

	(void)user; /* channel properties, always zero */
	if (sub > s->cfg.max_subchannels)
		return -EINVAL;
	if (!sub)
		primary_opened(s);
	err = stor_chan_open(&c, s, sub, chan);
	if (err)
		return err;
	pthread_mutex_lock(&s->lock);
	if (s->chan[sub])
		err = -EBUSY;
	else
		store_relaxed(&s->chan[sub], c);
	pthread_mutex_unlock(&s->lock);
	if (err)
		stor_chan_free(c);
	return err;
}

/*
 * Only the channel's own loop puts it into the table and takes it out, so that loop
 * may look without the lock.
 */
static struct stor_chan *own_chan(struct storvsp *s, uint16_t sub)
{
	return load_relaxed(&s->chan[sub]);
}

static bool dev_drain(void *dev, uint16_t sub)
{
	struct stor_chan *c = own_chan(dev, sub);

	return c && !c->closing && stor_chan_drain(c);
}

static void dev_close(void *dev, uint16_t sub)
{
	struct storvsp *s = dev;

	if (!sub) {
		primary_opened(s);
		scsi_target_lost(s->target);
	}
	stor_chan_close(own_chan(s, sub));
}

static const struct vmbus_device_ops stor_ops = {
	.open = dev_open,
	.drain = dev_drain,
	.close = dev_close,
};

/* ---- life ---------------------------------------------------------------------------- */

static int check_config(struct storvsp_config *cfg)
{
	if (!cfg->max_transfer)
		cfg->max_transfer = DEFAULT_MAX_TRANSFER;
	if (!cfg->queue_depth)
		cfg->queue_depth = DEFAULT_DEPTH;
	if (!cfg->stuck_ms)
		cfg->stuck_ms = STORVSP_STUCK_MS;
	if (!cfg->reset_ms)
		cfg->reset_ms = STOR_RESET_MS;
	if (!cfg->max_version)
		cfg->max_version = VSTOR_V6_2;
	if (cfg->max_transfer % 4096 || cfg->max_transfer > MOST_TRANSFER ||
	    cfg->queue_depth > STORVSP_MAX_DEPTH || cfg->max_subchannels > STORVSP_MAX_SUBCHANNELS)
		return -EINVAL;
	return 0;
}

/* What the guest may send at most; a little more is answered, much more faults. */
static uint32_t max_packet(const struct storvsp_config *cfg)
{
	uint32_t len = GPA_HEADER + 8 * (cfg->max_transfer / 4096 + 1) + VSTOR_PACKET;

	return len < DEFAULT_MAX_PACKET ? DEFAULT_MAX_PACKET : len;
}

/* Of the partition, because another initiator said so: see scsi_target_set_abort(). */
static void abort_commands(void *ctx, uint8_t number, struct scsi_fence *f)
{
	stor_fence_ask(ctx, NULL, 1ull << number, f);
}

static int offer(struct storvsp *s, struct vmbus_bus *bus)
{
	struct vmbus_device_desc desc = {
		.type = VMBUS_CLASS_SCSI,
		.instance = s->cfg.instance,
		.flags = VMBUS_OFFER_ENUMERATE,
		.max_packet = max_packet(&s->cfg),
		.name = s->name,
	};

	return vmbus_device_offer(&s->dev, bus, &desc, &stor_ops, s);
}

int storvsp_create(struct storvsp **out, struct vmbus_bus *bus, struct scsi_target *target,
		   const struct storvsp_config *cfg)
{
	struct storvsp *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->cfg = *cfg;
	s->target = target;
	s->owner = vmbus_bus_partition_id(bus);
	snprintf(s->name, sizeof(s->name), "%s", cfg->name ? cfg->name : "scsi");
	s->cfg.name = s->name;
	pthread_mutex_init(&s->lock, NULL);
	err = check_config(&s->cfg);
	if (err)
		goto free_ctl;
	err = offer(s, bus);
	if (err)
		goto free_ctl;
	scsi_target_set_abort(target, abort_commands, s);
	*out = s;
	return 0;

free_ctl:
	pthread_mutex_destroy(&s->lock);
	free(s);
	return err;
}

/* The bus does not call us any more: every channel has ended. */
static void device_gone(void *dev)
{
	struct storvsp *s = dev;
	void (*gone)(void *ctx) = s->gone;
	void *ctx = s->gone_ctx;

	scsi_target_set_abort(s->target, NULL, NULL);
	pthread_mutex_destroy(&s->lock);
	free(s);
	if (gone)
		gone(ctx);
}

void storvsp_destroy(struct storvsp *s, void (*gone)(void *ctx), void *ctx)
{
	s->gone = gone;
	s->gone_ctx = ctx;
	vmbus_device_revoke(s->dev, device_gone);
}

void storvsp_bus_changed(struct storvsp *s)
{
	store_release(&s->notify, 1); /* pairs with stor_notify() */
	pthread_mutex_lock(&s->lock);
	for (uint32_t i = 0; i < ARRAY_SIZE(s->chan); i++)
		if (s->chan[i])
			stor_chan_post(s->chan[i]);
	pthread_mutex_unlock(&s->lock);
}

void storvsp_luns_changed(struct storvsp *s)
{
	uint16_t version = load_relaxed(&s->version);

	/* A guest that has not come so far looks at all LUNs after it has. */
	if (version && version < VSTOR_V4_2)
		scsi_target_unit_attention(s->target, SCSI_UA_LUNS_CHANGED);
	storvsp_bus_changed(s);
}

void storvsp_medium_changed(struct storvsp *s)
{
	pthread_mutex_lock(&s->lock);
	for (uint32_t i = 0; i < ARRAY_SIZE(s->chan); i++)
		if (s->chan[i])
			stor_chan_post(s->chan[i]);
	pthread_mutex_unlock(&s->lock);
}

/*
 * A channel that is not in the table yet has not looked at the target before it gets in, which
 * takes the lock: it finds nothing there.
 */
void storvsp_release_lun(struct storvsp *s, uint8_t number)
{
	pthread_mutex_lock(&s->lock);
	for (uint32_t i = 0; i < ARRAY_SIZE(s->chan); i++) {
		if (!s->chan[i])
			continue;
		s->chan[i]->release |= 1ull << number;
		stor_chan_post(s->chan[i]);
	}
	pthread_mutex_unlock(&s->lock);
}

uint32_t storvsp_releasing(const struct storvsp *s, uint8_t number)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)&s->lock;
	uint32_t i, n = 0;

	pthread_mutex_lock(lock);
	for (i = 0; i < ARRAY_SIZE(s->chan); i++)
		n += s->chan[i] && (s->chan[i]->release & 1ull << number);
	pthread_mutex_unlock(lock);
	return n;
}

/* ---- statistics -------------------------------------------------------------------------- */

#define ANY_LUN (-1)

static uint64_t oldest_start(const struct stor_chan *c, int lun)
{
	uint32_t i, n = load_relaxed(&c->stat_touched);
	uint64_t t, oldest = 0;

	for (i = 0; i < n; i++) {
		t = load_relaxed(&c->reqs[i].start_ns);
		if (t && (!oldest || t < oldest) &&
		    (lun == ANY_LUN || stor_lun_of(load_relaxed(&c->reqs[i].address)) == lun))
			oldest = t;
	}
	return oldest;
}

static void add_chan(struct storvsp_stats *out, const struct stor_chan *c)
{
	uint32_t max = load_relaxed(&c->stat_max_in_flight);
	uint64_t worst = load_relaxed(&c->latency_max);

	out->channels++;
	out->requests += load_relaxed(&c->requests);
	out->rejected += load_relaxed(&c->rejected);
	out->stuck += load_relaxed(&c->stat_stuck);
	out->in_flight += load_relaxed(&c->stat_in_flight);
	if (max > out->max_in_flight)
		out->max_in_flight = max;
	out->latency_ns_sum += load_relaxed(&c->latency_sum);
	out->latency_count += load_relaxed(&c->latency_count);
	if (worst > out->latency_ns_max)
		out->latency_ns_max = worst;
}

void storvsp_stats(const struct storvsp *s, struct storvsp_stats *out)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)&s->lock; /* the statistics do not change @s */
	uint64_t start, oldest = 0, now = clock_ns();
	uint32_t i;

	pthread_mutex_lock(lock);
	*out = s->closed;
	for (i = 0; i < ARRAY_SIZE(s->chan); i++) {
		if (!s->chan[i])
			continue;
		add_chan(out, s->chan[i]);
		start = oldest_start(s->chan[i], ANY_LUN);
		if (start && (!oldest || start < oldest))
			oldest = start;
	}
	pthread_mutex_unlock(lock);
	out->state = stor_state_name(load_acquire(&s->state));
	out->version = load_relaxed(&s->version);
	if (oldest)
		out->oldest_ns = now > oldest ? now - oldest : 1;
}

uint64_t storvsp_oldest_ns(const struct storvsp *s, uint8_t lun)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)&s->lock;
	uint64_t start, oldest = 0, now = clock_ns();

	pthread_mutex_lock(lock);
	for (uint32_t i = 0; i < ARRAY_SIZE(s->chan); i++) {
		start = s->chan[i] ? oldest_start(s->chan[i], lun) : 0;
		if (start && (!oldest || start < oldest))
			oldest = start;
	}
	pthread_mutex_unlock(lock);
	return oldest && now > oldest ? now - oldest : 0;
}

static uint32_t copy_stuck(const struct stor_chan *c, struct storvsp_stuck *out, uint32_t max)
{
	uint64_t now = clock_ns();
	uint32_t i, n = 0;

	for (i = 0; i < c->nr_stuck && n < max; i++) {
		const struct stor_stuck *k = &c->stuck[i];

		/* Done since the channel looked. */
		if (k->slot != STOR_NO_SLOT &&
		    load_relaxed(&c->reqs[k->slot].start_ns) != k->start_ns)
			continue;
		out[n] = k->info;
		out[n++].age_ns = now - k->start_ns;
	}
	return n;
}

uint32_t storvsp_stuck(const struct storvsp *s, struct storvsp_stuck *out, uint32_t max)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)&s->lock;
	uint32_t n = 0;

	pthread_mutex_lock(lock);
	for (uint32_t i = 0; i < ARRAY_SIZE(s->chan); i++)
		if (s->chan[i])
			n += copy_stuck(s->chan[i], out + n, max - n);
	pthread_mutex_unlock(lock);
	return n;
}
