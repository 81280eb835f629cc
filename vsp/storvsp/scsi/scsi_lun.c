/* SPDX-License-Identifier: MIT */
/* The logical unit: what it is made from, its unit attentions, memory and counters. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/param.h>

#include "vsp/storvsp/scsi/scsi_int.h"

#define BLOCK_MIN	     512u
#define BLOCK_MAX	     4096u
#define PHYSICAL_MAX	     65536u
#define DEFAULT_MAX_TRANSFER (256u << 10)
#define MIN_MAX_TRANSFER     (4u << 20) /* what VPD B0 promises at least */
#define SCRATCH_ALIGN	     4096u	/* so that patterns need no bounce under O_DIRECT */

static bool is_power_of_two(uint32_t v)
{
	return v && !(v & (v - 1));
}

static uint8_t log2_of(uint32_t power)
{
	return (uint8_t)__builtin_ctz(power);
}

static int take_serial(struct scsi_lun *l, const char *serial)
{
	size_t n;

	if (!serial) {
		for (int i = 0; i < 16; i++)
			snprintf(l->serial + 2 * i, 3, "%02x", l->id[i]);
		return 0;
	}
	n = strlen(serial);
	if (!n || n >= sizeof(l->serial))
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (serial[i] < 0x20 || serial[i] > 0x7e)
			return -EINVAL;
	memcpy(l->serial, serial, n);
	return 0;
}

static void take_geometry(struct scsi_lun *l, const struct blk_info *info, uint32_t max_transfer)
{
	uint32_t physical = info->physical_block;
	uint32_t block = info->block_size;

	l->shift = log2_of(block);
	l->blocks = info->size >> l->shift;
	if (!is_power_of_two(physical) || physical < block)
		physical = block;
	l->physical_exp = log2_of(MIN(physical, PHYSICAL_MAX)) - l->shift;
	l->max_transfer = max_transfer ? max_transfer : DEFAULT_MAX_TRANSFER;
	l->max_blocks = MAX(l->max_transfer, MIN_MAX_TRANSFER) >> l->shift;
	l->thin = info->discard_granularity != 0;
	l->discard_granularity = roundup((uint64_t)info->discard_granularity, block);
}

static uint16_t rules_of(const struct scsi_lun *l)
{
	uint16_t rules = OP_RANGE | OP_BLOCKS | OP_LIST | OP_CHECK;

	if (!l->blocks)
		rules |= OP_MEDIUM;
	if (l->readonly)
		rules |= OP_WRITES;
	if (!l->fua)
		rules |= OP_DPOFUA;
	/* What a read-only image could deallocate nobody tries out: it is refused as a write. */
	if (!l->thin && !l->readonly)
		rules |= OP_THIN;
	return rules;
}

#define DVD_BLOCK 2048u

/* A drive is the same whatever is in it: its size is the medium's, looked up by each command. */
static void take_info(const struct scsi_lun_config *cfg, struct blk_info *out)
{
	memset(out, 0, sizeof(*out));
	if (cfg->dev)
		blk_dev_info(cfg->dev, out);
	if (cfg->type != SCSI_DVD)
		return;
	out->size = 0;
	out->block_size = out->physical_block = DVD_BLOCK;
	out->discard_granularity = 0;
	out->readonly = out->fua = true;
	out->volatile_cache = false;
}

int scsi_lun_create(struct scsi_lun **out, const struct scsi_lun_config *cfg)
{
	static const uint8_t no_id[16];
	struct blk_info info;
	struct scsi_lun *l;
	int err;

	take_info(cfg, &info);
	if (!is_power_of_two(info.block_size) || info.block_size < BLOCK_MIN ||
	    info.block_size > BLOCK_MAX)
		return -EINVAL;
	if (posix_memalign((void **)&l, CACHE_LINE, sizeof(*l)))
		return -ENOMEM;
	memset(l, 0, sizeof(*l));
	l->dev = cfg->dev;
	memcpy(l->id, memcmp(cfg->id, no_id, sizeof(no_id)) ? cfg->id : info.id, sizeof(l->id));
	err = take_serial(l, cfg->serial);
	if (err)
		goto free_lun;
	take_geometry(l, &info, cfg->max_transfer);
	l->readonly = info.readonly;
	l->write_cache = info.volatile_cache;
	l->fua = info.fua;
	l->rules = rules_of(l);
	err = -pthread_mutex_init(&l->lock, NULL);
	if (err)
		goto free_lun;
	err = scsi_pr_create(l, cfg->keeper);
	if (err)
		goto destroy_lock;
	l->ops = cfg->type == SCSI_DVD ? scsi_dvd_ops : scsi_ops;
	err = cfg->type == SCSI_DVD ? scsi_drive_create(l, cfg->dev) : 0;
	if (err)
		goto destroy_pr;
	scsi_lock_init(l);
	*out = l;
	return 0;

destroy_pr:
	scsi_pr_destroy(l);
destroy_lock:
	pthread_mutex_destroy(&l->lock);
free_lun:
	free(l);
	return err;
}

void scsi_lun_destroy(struct scsi_lun *l)
{
	scsi_drive_destroy(l);
	scsi_pr_destroy(l);
	scsi_lock_fini(l);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

void scsi_lun_resized(struct scsi_lun *l)
{
	struct blk_info info;

	blk_dev_info(l->dev, &info);
	store_relaxed(&l->blocks, info.size >> l->shift); /* published by the attention, U1 */
	scsi_lun_unit_attention(l, SCSI_UA_CAPACITY_CHANGED);
}

struct blk_dev *scsi_lun_dev(struct scsi_lun *l)
{
	return l->dev;
}

/* ---- unit attentions --------------------------------------------------------------- */

static const uint32_t attention_sense[] = {
	[SCSI_UA_MEDIUM_CHANGED] = SENSE_MEDIUM_CHANGED,
	[SCSI_UA_POWER_ON] = SENSE_POWER_ON,
	[SCSI_UA_BUS_DEVICE_RESET] = SENSE_BUS_DEVICE_RESET,
	[SCSI_UA_RESERVATIONS_PREEMPTED] = SENSE_RESERVATIONS_PREEMPTED,
	[SCSI_UA_RESERVATIONS_RELEASED] = SENSE_RESERVATIONS_RELEASED,
	[SCSI_UA_REGISTRATIONS_PREEMPTED] = SENSE_REGISTRATIONS_PREEMPTED,
	[SCSI_UA_CAPACITY_CHANGED] = SENSE_CAPACITY_CHANGED,
	[SCSI_UA_MODE_CHANGED] = SENSE_MODE_CHANGED,
	[SCSI_UA_COMMANDS_CLEARED] = SENSE_COMMANDS_CLEARED,
	[SCSI_UA_LUNS_CHANGED] = SENSE_LUNS_CHANGED,
};

void scsi_nexus_attention(struct scsi_nexus *n, enum scsi_ua ua)
{
	/*
	 * Release U1 pairs with U2 in scsi_nexus_take_attention(): who reports the change
	 * also sees what changed.
	 */
	__atomic_fetch_or(&n->attentions, 1u << ua, __ATOMIC_RELEASE);
}

static void raise_attention(struct scsi_lun *l, const struct scsi_nexus *except, enum scsi_ua ua)
{
	pthread_mutex_lock(&l->lock);
	for (struct scsi_nexus *n = l->nexuses; n; n = n->next)
		if (n != except)
			scsi_nexus_attention(n, ua);
	pthread_mutex_unlock(&l->lock);
}

void scsi_lun_unit_attention(struct scsi_lun *l, enum scsi_ua ua)
{
	raise_attention(l, NULL, ua);
}

void scsi_unit_attention_others(struct scsi_nexus *n, enum scsi_ua ua)
{
	raise_attention(n->lun, n, ua);
}

uint32_t scsi_nexus_take_attention(struct scsi_nexus *n)
{
	uint32_t pending, bit;

	const uint32_t others = SCSI_NEXUS_RESERVED | SCSI_NEXUS_GONE | SCSI_NEXUS_UNTOLD;

	while ((pending = load_relaxed(&n->attentions) & ~others) != 0) {
		bit = pending & -pending;
		/* U2: acquire pairs with U1. Of two loops that saw the bit, one clears it. */
		if (__atomic_fetch_and(&n->attentions, ~bit, __ATOMIC_ACQUIRE) & bit)
			return attention_sense[__builtin_ctz(bit)];
	}
	return 0;
}

/* ---- memory ------------------------------------------------------------------------- */

void *scsi_scratch_get(struct scsi_lun *l, uint32_t len)
{
	uint32_t used;
	void *p;

	if (len > SCSI_SCRATCH_MAX)
		return NULL;
	/* Relaxed: only the sum matters; @len is at most the limit, so it cannot wrap. */
	used = __atomic_fetch_add(&l->scratch, len, __ATOMIC_RELAXED);
	if (used > SCSI_SCRATCH_MAX - len || posix_memalign(&p, SCRATCH_ALIGN, len)) {
		__atomic_fetch_sub(&l->scratch, len, __ATOMIC_RELAXED);
		return NULL;
	}
	return p;
}

void scsi_scratch_put(struct scsi_lun *l, void *p, uint32_t len)
{
	if (!p)
		return;
	free(p);
	__atomic_fetch_sub(&l->scratch, len, __ATOMIC_RELAXED);
}

/* ---- counters ------------------------------------------------------------------------ */

__thread uint32_t scsi_thread_shard;

uint32_t scsi_thread_number(void)
{
	static uint32_t threads;
	uint32_t n = __atomic_add_fetch(&threads, 1, __ATOMIC_RELAXED); /* just a ticket */

	scsi_thread_shard = MIN(n, SCSI_SHARDS);
	return scsi_thread_shard;
}

void scsi_lun_note_latency(struct scsi_lun *l, uint64_t ns)
{
	uint64_t max = load_relaxed(&l->latency_max);

	/* Relaxed: figures for people. */
	__atomic_fetch_add(&l->latency_sum, ns, __ATOMIC_RELAXED);
	__atomic_fetch_add(&l->latency_count, 1, __ATOMIC_RELAXED);
	while (ns > max && !__atomic_compare_exchange_n(&l->latency_max, &max, ns, true,
							__ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

void scsi_lun_stats(const struct scsi_lun *l, struct scsi_lun_stats *out)
{
	*out = (struct scsi_lun_stats){
		.last_sense = load_relaxed(&l->last_sense),
		.latency_ns_sum = load_relaxed(&l->latency_sum),
		.latency_count = load_relaxed(&l->latency_count),
		.latency_ns_max = load_relaxed(&l->latency_max),
	};
	for (int i = 0; i < SCSI_SHARDS; i++) {
		const struct scsi_counts *c = &l->counts[i];

		out->reads += load_relaxed(&c->transfers[BLK_READ]);
		out->writes += load_relaxed(&c->transfers[BLK_WRITE]) + load_relaxed(&c->ended);
		out->flushes += load_relaxed(&c->flushes);
		out->others += load_relaxed(&c->others);
		out->errors += load_relaxed(&c->errors);
		out->read_bytes += load_relaxed(&c->bytes[BLK_READ]);
		out->written_bytes += load_relaxed(&c->bytes[BLK_WRITE]);
	}
}
