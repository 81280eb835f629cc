/* SPDX-License-Identifier: MIT */
/*
 * The --disk argument: a list of key=value, as a table.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static int bad_word(const char *key, const char *value, const struct word *w, char *why, size_t n)
{
	size_t at = (size_t)snprintf(why, n, "%s=%s: allowed are", key, value);

	for (; w->text && at < n; w++)
		at += (size_t)snprintf(why + at, n - at, " %s", w->text);
	return -EINVAL;
}

static int parse_word(const char *key, const char *value, const struct word *words, int *out,
		      char *why, size_t n)
{
	const struct word *w;

	for (w = words; w->text; w++) {
		if (!strcmp(w->text, value)) {
			*out = w->value;
			return 0;
		}
	}
	return bad_word(key, value, words, why, n);
}

static int parse_number(const char *key, const char *value, unsigned long max, uint8_t *out,
			char *why, size_t n)
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(value, &end, 10);
	if (errno || end == value || *end || !isdigit((unsigned char)*value) || v > max) {
		snprintf(why, n, "%s=%s: a number from 0 to %lu is needed", key, value, max);
		return -EINVAL;
	}
	*out = (uint8_t)v;
	return 0;
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

static int set_size(struct root_disk *d, const char *value, char *why, size_t n)
{
	if (root_parse_size(value, &d->blk.size) || !d->blk.size) {
		snprintf(why, n, "size=%s: a size such as 512M or 4G is needed", value);
		return -EINVAL;
	}
	return 0;
}

static int set_serial(struct root_disk *d, const char *value, char *why, size_t n)
{
	size_t len = strlen(value), i;

	for (i = 0; i < len && isgraph((unsigned char)value[i]); i++)
		;
	if (!len || len > 32 || i < len) {
		snprintf(why, n, "serial=%s: 1 to 32 printable characters are needed", value);
		return -EINVAL;
	}
	d->serial = value;
	return 0;
}

static int set_limit(const char *key, const char *value, uint64_t max, uint64_t *out, char *why,
		     size_t n)
{
	if (root_parse_size(value, out) || !*out || *out > max) {
		snprintf(why, n, "%s=%s: a number from 1 to %llu is needed, such as 500 or 20M",
			 key, value, (unsigned long long)max);
		return -EINVAL;
	}
	return 0;
}

static int set_burst(struct root_disk *d, const char *value, char *why, size_t n)
{
	uint64_t ms;
	int err = set_limit("burst", value, BLK_MAX_BURST, &ms, why, n);

	d->limits.burst_ms = err ? 0 : (uint32_t)ms;
	return err;
}

/* Only whether it can be understood: the disk's block size may be behind it. */
static int set_fault(struct root_disk *d, const char *value, char *why, size_t n)
{
	struct blk_fault f[BLK_MAX_FAULTS];
	int count = blk_fault_parse(value, 512, f, BLK_MAX_FAULTS, why, n);

	if (count < 0)
		return count;
	if (d->nr_faults == ROOT_MAX_FAULTS) {
		snprintf(why, n, "fault=%s: join them with '+', %u keys are the limit", value,
			 ROOT_MAX_FAULTS);
		return -EINVAL;
	}
	d->fault[d->nr_faults++] = value;
	return 0;
}

static int set_key(struct root_disk *d, const char *key, const char *value, char *why, size_t n)
{
	int v = 0, err;

	if (!strcmp(key, "readonly") && !value) {
		d->blk.readonly = true;
		return 0;
	}
	if (!value) {
		snprintf(why, n,
			 "'%s' has no value (keys: path lun controller readonly engine cache "
			 "direct serial size block type iops bps burst fault)",
			 key);
		return -EINVAL;
	}
	if (!strcmp(key, "path")) {
		d->blk.path = value;
		return 0;
	}
	if (!strcmp(key, "lun"))
		return parse_number(key, value, SCSI_MAX_LUNS - 1, &d->lun, why, n);
	if (!strcmp(key, "controller"))
		return parse_number(key, value, ROOT_MAX_CONTROLLERS - 1, &d->controller, why, n);
	if (!strcmp(key, "serial"))
		return set_serial(d, value, why, n);
	if (!strcmp(key, "size"))
		return set_size(d, value, why, n);
	if (!strcmp(key, "engine")) {
		err = parse_word(key, value, engines, &v, why, n);
		d->blk.engine = (enum blk_engine)v;
		return err;
	}
	if (!strcmp(key, "cache")) {
		err = parse_word(key, value, caches, &v, why, n);
		d->blk.cache = (enum blk_cache)v;
		return err;
	}
	if (!strcmp(key, "type")) {
		err = parse_word(key, value, types, &v, why, n);
		d->type = (enum scsi_type)v;
		d->blk.readonly |= d->type == SCSI_DVD;
		return err;
	}
	if (!strcmp(key, "direct"))
		return parse_word(key, value, switches, &d->blk.direct, why, n);
	if (!strcmp(key, "block")) {
		err = parse_word(key, value, block_sizes, &v, why, n);
		d->blk.block_size = (uint32_t)v;
		return err;
	}
	if (!strcmp(key, "readonly")) {
		err = parse_word(key, value, switches, &v, why, n);
		d->blk.readonly = v;
		return err;
	}
	if (!strcmp(key, "iops"))
		return set_limit(key, value, BLK_MAX_IOPS, &d->limits.iops, why, n);
	if (!strcmp(key, "bps"))
		return set_limit(key, value, BLK_MAX_BPS, &d->limits.bytes_per_s, why, n);
	if (!strcmp(key, "burst"))
		return set_burst(d, value, why, n);
	if (!strcmp(key, "fault"))
		return set_fault(d, value, why, n);
	snprintf(why, n,
		 "unknown key '%s' (keys: path lun controller readonly engine cache direct "
		 "serial size block type iops bps burst fault)",
		 key);
	return -EINVAL;
}

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
	char *save = NULL, *item;
	int err;

	*out = (struct root_disk){ .lun = ROOT_LUN_NEXT, .blk = { .direct = -1 } };
	for (item = strtok_r(arg, ",", &save); item; item = strtok_r(NULL, ",", &save)) {
		char *value = strchr(item, '=');

		if (value)
			*value++ = '\0';
		err = set_key(out, item, value, why, whylen);
		if (err)
			return err;
	}
	return check_disk(out, why, whylen);
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
