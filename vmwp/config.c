/* SPDX-License-Identifier: MIT */
/*
 * The --disk argument: a list of key=value, as a table.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmwp/keys.h"
#include "vmwp/root.h"

struct word {
	const char *text;
	int value;
};

static const struct word engines[] = {
	{ "auto", BLK_ENGINE_AUTO },
	{ "io_uring", BLK_ENGINE_URING },
	{ "libaio", BLK_ENGINE_AIO },
	{ "threads", BLK_ENGINE_THREADS },
	{ "memory", BLK_ENGINE_MEMORY },
	{ "null", BLK_ENGINE_NULL },
	{ NULL, 0 },
};
static const struct word caches[] = {
	{ "writeback", BLK_CACHE_WRITEBACK },
	{ "writethrough", BLK_CACHE_WRITETHROUGH },
	{ NULL, 0 },
};
static const struct word types[] = { { "disk", SCSI_DISK }, { "dvd", SCSI_DVD }, { NULL, 0 } };
static const struct word switches[] = { { "on", 1 }, { "off", 0 }, { NULL, 0 } };
static const struct word block_sizes[] = { { "512", 512 }, { "4096", 4096 }, { NULL, 0 } };

static int bad_word(const struct key_item *it, const struct word *w)
{
	size_t at = (size_t)snprintf(it->why, it->n, "%s=%.32s: allowed are", it->key, it->value);

	for (; w->text && at < it->n; w++)
		at += (size_t)snprintf(it->why + at, it->n - at, " %s", w->text);
	return -EINVAL;
}

static int parse_word(const struct key_item *it, const struct word *words, int *out)
{
	for (const struct word *w = words; w->text; w++) {
		if (!strcmp(w->text, it->value)) {
			*out = w->value;
			return 0;
		}
	}
	return bad_word(it, words);
}

static int parse_u8(const struct key_item *it, uint64_t max)
{
	uint64_t v = 0;
	int err = key_number(it, 0, max, &v);

	*(uint8_t *)it->field = (uint8_t)v;
	return err;
}

int root_parse_size(const char *text, uint64_t *out)
{
	char *end;
	unsigned long long v;
	unsigned shift = 0;

	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno || end == text || !isdigit((unsigned char)*text))
		return -EINVAL;
	switch (*end) {
	case 'k':
	case 'K':
		shift = 10;
		break;
	case 'm':
	case 'M':
		shift = 20;
		break;
	case 'g':
	case 'G':
		shift = 30;
		break;
	case 't':
	case 'T':
		shift = 40;
		break;
	}
	if (shift)
		end++;
	if (*end || v > UINT64_MAX >> shift)
		return -EINVAL;
	*out = (uint64_t)v << shift;
	return 0;
}

/* ---- keys: what each field holds, or @field is the disk -------------------------------- */

static int key_text(const struct key_item *it)
{
	*(const char **)it->field = it->value;
	return 0;
}

static int key_lun(const struct key_item *it)
{
	return parse_u8(it, SCSI_MAX_LUNS - 1);
}

static int key_controller(const struct key_item *it)
{
	return parse_u8(it, ROOT_MAX_CONTROLLERS - 1);
}

static int key_size(const struct key_item *it)
{
	uint64_t *size = it->field;

	return root_parse_size(it->value, size) || !*size
		       ? key_wrong(it, "a size such as 512M or 4G is needed")
		       : 0;
}

static int key_serial(const struct key_item *it)
{
	size_t len = strlen(it->value), i;

	for (i = 0; i < len && isgraph((unsigned char)it->value[i]); i++)
		;
	if (!len || len > 32 || i < len)
		return key_wrong(it, "1 to 32 printable characters are needed");
	return key_text(it);
}

static int key_engine(const struct key_item *it)
{
	int v = 0, err = parse_word(it, engines, &v);

	*(enum blk_engine *)it->field = (enum blk_engine)v;
	return err;
}

static int key_cache(const struct key_item *it)
{
	int v = 0, err = parse_word(it, caches, &v);

	*(enum blk_cache *)it->field = (enum blk_cache)v;
	return err;
}

static int key_type(const struct key_item *it)
{
	struct root_disk *d = it->field;
	int v = 0, err = parse_word(it, types, &v);

	d->type = (enum scsi_type)v;
	d->blk.readonly |= d->type == SCSI_DVD;
	return err;
}

static int key_direct(const struct key_item *it)
{
	return parse_word(it, switches, it->field);
}

static int key_block(const struct key_item *it)
{
	int v = 0, err = parse_word(it, block_sizes, &v);

	*(uint32_t *)it->field = (uint32_t)v;
	return err;
}

static int key_readonly(const struct key_item *it)
{
	int v = 1, err = it->value ? parse_word(it, switches, &v) : 0;

	*(bool *)it->field = v;
	return err;
}

static int parse_limit(const struct key_item *it, uint64_t max, uint64_t *out)
{
	if (root_parse_size(it->value, out) || !*out || *out > max) {
		snprintf(it->why, it->n,
			 "%s=%.32s: a number from 1 to %llu is needed, such as 500 or 20M", it->key,
			 it->value, (unsigned long long)max);
		return -EINVAL;
	}
	return 0;
}

static int key_iops(const struct key_item *it)
{
	return parse_limit(it, BLK_MAX_IOPS, it->field);
}

static int key_bps(const struct key_item *it)
{
	return parse_limit(it, BLK_MAX_BPS, it->field);
}

static int key_burst(const struct key_item *it)
{
	uint64_t ms = 0;
	int err = parse_limit(it, BLK_MAX_BURST, &ms);

	*(uint32_t *)it->field = err ? 0 : (uint32_t)ms;
	return err;
}

/* Only whether it can be understood: the disk's block size may be behind it. */
static int key_fault(const struct key_item *it)
{
	struct root_disk *d = it->field;
	struct blk_fault f[BLK_MAX_FAULTS];
	int count = blk_fault_parse(it->value, 512, f, BLK_MAX_FAULTS, it->why, it->n);

	if (count < 0)
		return count;
	if (d->nr_faults == ROOT_MAX_FAULTS) {
		snprintf(it->why, it->n, "fault=%s: join them with '+', %u keys are the limit",
			 it->value, ROOT_MAX_FAULTS);
		return -EINVAL;
	}
	d->fault[d->nr_faults++] = it->value;
	return 0;
}

#define DISK(member) .offset = offsetof(struct root_disk, member)

static const struct key disk_keys[] = {
	{ "path", key_text, DISK(blk.path) },
	{ "lun", key_lun, DISK(lun) },
	{ "controller", key_controller, DISK(controller) },
	{ "readonly", key_readonly, DISK(blk.readonly), .bare = true },
	{ "engine", key_engine, DISK(blk.engine) },
	{ "cache", key_cache, DISK(blk.cache) },
	{ "direct", key_direct, DISK(blk.direct) },
	{ "serial", key_serial, DISK(serial) },
	{ "size", key_size, DISK(blk.size) },
	{ "block", key_block, DISK(blk.block_size) },
	{ "type", key_type, .offset = 0 },
	{ "iops", key_iops, DISK(limits.iops) },
	{ "bps", key_bps, DISK(limits.bytes_per_s) },
	{ "burst", key_burst, DISK(limits.burst_ms) },
	{ "fault", key_fault, .repeats = true },
	{ .name = NULL },
};

/* ---- a disk ------------------------------------------------------------------------- */

bool root_disk_empty(const struct root_disk *d)
{
	bool file = d->blk.engine != BLK_ENGINE_MEMORY && d->blk.engine != BLK_ENGINE_NULL;

	return d->type == SCSI_DVD && file && !d->blk.path;
}

static int check_disk(const struct root_disk *d, char *why, size_t n)
{
	bool file = d->blk.engine != BLK_ENGINE_MEMORY && d->blk.engine != BLK_ENGINE_NULL;

	if (root_disk_empty(d) && (d->nr_faults || d->blk.size)) {
		snprintf(why, n, "fault= and size= need a medium in the drive: path=FILE");
		return -EINVAL;
	}
	if (root_disk_empty(d))
		return 0;
	if (file && (!d->blk.path || !*d->blk.path)) {
		snprintf(why, n,
			 "path=FILE is missing (only engine=memory and engine=null need none)");
		return -EINVAL;
	}
	if (!file && d->blk.path) {
		snprintf(why, n, "engine=%s has no path", blk_engine_name(d->blk.engine));
		return -EINVAL;
	}
	return 0;
}

int root_parse_disk(struct root_disk *out, char *arg, char *why, size_t whylen)
{
	const struct keys k = { disk_keys, out };
	uint64_t seen;
	int err;

	*out = (struct root_disk){ .lun = ROOT_LUN_NEXT, .blk = { .direct = -1 } };
	err = keys_parse(&k, 1, arg, &seen, why, whylen);
	return err ? err : check_disk(out, why, whylen);
}

int root_parse_medium(struct root_disk *out, char *arg, char *why, size_t whylen)
{
	int err = root_parse_disk(out, arg, why, whylen);

	if (err)
		return err;
	if (out->controller || out->lun != ROOT_LUN_NEXT || out->serial || out->limits.iops ||
	    out->limits.bytes_per_s || out->limits.burst_ms) {
		snprintf(why, whylen,
			 "a medium has the keys path, engine, direct, size and fault; the others "
			 "are the drive's");
		return -EINVAL;
	}
	out->type = SCSI_DVD;
	out->blk.readonly = true;
	return 0;
}
