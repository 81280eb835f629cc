/* SPDX-License-Identifier: MIT */
/*
 * LUNs and what a disk says about itself. Every answer is a private copy; every length
 * in it is compared with what really came, and nonsense makes the disk unusable, never
 * the program (spec: scsi-target, sections 3 to 5, 10).
 */
#include "vsc/storvsc_priv.h"

#define ANSWER		  1024u /* longer ones are cut: nothing we look at lies behind */
#define LUN_LIST	  4096u
#define MOST_BYTES	  0xfffff000u /* of one discard or zero request */
#define ENDLESS_WS_BLOCKS 0x10000u    /* "no limit" is not believed */

/* ---- parsers ------------------------------------------------------------------------- */

/* Printable characters only, no blanks at the end. */
static void copy_text(char *to, uint32_t room, const uint8_t *from, uint32_t n)
{
	uint32_t i;

	if (n > room - 1)
		n = room - 1;
	while (n && (from[n - 1] == ' ' || !from[n - 1]))
		n--;
	for (i = 0; i < n; i++)
		to[i] = from[i] >= ' ' && from[i] < 0x7f ? (char)from[i] : '?';
	to[n] = '\0';
}

int sc_parse_luns(const uint8_t *p, uint32_t n, uint8_t *luns, int max)
{
	uint8_t present[256] = { 0 };
	uint32_t i, len;
	int found = 0;

	if (n < 8)
		return -EPROTO;
	len = be32_at(p);
	n = len < n - 8 ? len : n - 8;
	for (i = 0; i + 8 <= n; i += 8) {
		const uint8_t *e = p + 8 + i;

		/* One level, LUN below 256: the only form that VSTOR can address. */
		if ((e[0] == 0x00 || e[0] == 0x40) && !e[2] && !e[3])
			present[e[1]] = 1;
	}
	for (i = 0; i < 256; i++)
		if (present[i] && found++ < max)
			luns[found - 1] = (uint8_t)i;
	return found;
}

int sc_parse_inquiry(const uint8_t *p, uint32_t n, struct storvsc_disk *d)
{
	if (n < 36)
		return n && p[0] >> 5 == 3 ? -ENXIO : -EPROTO;
	if (p[0] >> 5 == 3)
		return -ENXIO;
	if (p[0])
		return -ENODEV;
	copy_text(d->vendor, sizeof(d->vendor), p + 8, 8);
	copy_text(d->product, sizeof(d->product), p + 16, 16);
	copy_text(d->revision, sizeof(d->revision), p + 32, 4);
	return 0;
}

static int set_capacity(struct storvsc_disk *d, uint64_t last, uint32_t block)
{
	if (block < 512 || block > 4096 || (block & (block - 1)))
		return -EPROTO;
	if (last >= (uint64_t)INT64_MAX / block)
		return -EPROTO;
	d->block_size = d->physical_block = block;
	d->size = (last + 1) * block;
	return 0;
}

int sc_parse_capacity16(const uint8_t *p, uint32_t n, struct storvsc_disk *d, bool *thin)
{
	uint32_t exponent;
	int err;

	*thin = false;
	if (n < 12)
		return -EPROTO;
	err = set_capacity(d, be64_at(p), be32_at(p + 8));
	if (err || n < 16)
		return err;
	exponent = p[13] & 0xf;
	if (exponent <= 7)
		d->physical_block = d->block_size << exponent;
	*thin = p[14] & 0x80;
	return 0;
}

int sc_parse_capacity10(const uint8_t *p, uint32_t n, struct storvsc_disk *d)
{
	if (n < 8 || be32_at(p) == UINT32_MAX)
		return -EPROTO;
	return set_capacity(d, be32_at(p), be32_at(p + 4));
}

/* MODE SENSE(6) with the caching page. What it does not say is taken as the worse case. */
void sc_parse_mode(const uint8_t *p, uint32_t n, struct storvsc_disk *d)
{
	uint32_t page;

	d->write_cache = true;
	d->fua = d->readonly = false;
	if (n < 4)
		return;
	d->readonly = p[2] & 0x80;
	d->fua = p[2] & 0x10;
	page = 4u + p[3];
	if (page + 3 <= n && (p[page] & 0x3f) == 0x08)
		d->write_cache = p[page + 2] & 0x04;
}

/* Bytes of a VPD page's body that are there: what it announces, if it came. */
static uint32_t vpd_body(const uint8_t *p, uint32_t n, uint8_t page)
{
	uint32_t len;

	if (n < 4 || p[1] != page)
		return 0;
	len = be16_at(p + 2);
	return len < n - 4 ? len : n - 4;
}

void sc_parse_serial(const uint8_t *p, uint32_t n, struct storvsc_disk *d)
{
	copy_text(d->serial, sizeof(d->serial), p + 4, vpd_body(p, n, 0x80));
}

/* The first NAA designator of the logical unit. */
void sc_parse_ids(const uint8_t *p, uint32_t n, struct storvsc_disk *d)
{
	uint32_t left = vpd_body(p, n, 0x83), len;
	const uint8_t *e = p + 4;

	for (; left >= 4; e += 4 + len, left -= 4 + len) {
		len = e[3];
		if (len > left - 4)
			return;
		if ((e[1] & 0x3f) == 0x03 && (len == 8 || len == 16)) {
			memcpy(d->naa, e + 4, len);
			return;
		}
	}
}

static uint32_t bytes_of(uint64_t blocks, uint32_t block)
{
	return blocks > MOST_BYTES / block ? MOST_BYTES : (uint32_t)(blocks * block);
}

/* *@unmap: one descriptor at least may be sent. */
void sc_parse_limits(const uint8_t *p, uint32_t n, struct storvsc_disk *d, bool *unmap)
{
	uint64_t same;

	*unmap = false;
	if (vpd_body(p, n, 0xb0) < 40)
		return;
	*unmap = be32_at(p + 20) && be32_at(p + 24);
	d->max_discard = *unmap ? bytes_of(be32_at(p + 20), d->block_size) : 0;
	same = be64_at(p + 36);
	d->max_zero = bytes_of(same ? same : ENDLESS_WS_BLOCKS, d->block_size);
}

/* ---- asking ------------------------------------------------------------------------------- */

/* A command that returns up to ANSWER bytes into @buf; how many came, or -errno. */
static int ask(struct sc_queue *q, uint8_t lun, const uint8_t *cdb, uint8_t cdb_len, uint8_t *buf,
	       uint32_t len)
{
	struct sc_command c = {
		.lun = lun, .cdb_len = cdb_len, .data_in = VSTOR_DATA_IN, .len = len, .data = buf
	};
	uint32_t moved;
	int err;

	memcpy(c.cdb, cdb, sizeof(c.cdb));
	err = sc_command(q, &c, true, &moved, NULL);
	return err ? err : (int)moved;
}

/* Bytes of VPD page @page, 0 when the disk does not give it. */
static uint32_t vpd(struct sc_queue *q, uint8_t lun, uint8_t page, uint8_t *buf)
{
	const uint8_t cdb[16] = { 0x12, 1, page, ANSWER >> 8, ANSWER & 0xff };
	int n = ask(q, lun, cdb, 6, buf, ANSWER);

	return n > 0 ? (uint32_t)n : 0;
}

static int ask_inquiry(struct sc_queue *q, uint8_t lun, uint8_t *buf, struct storvsc_disk *d)
{
	static const uint8_t cdb[16] = { 0x12, 0, 0, 0, 96 };
	int n = ask(q, lun, cdb, 6, buf, 96);

	return n < 0 ? n : sc_parse_inquiry(buf, (uint32_t)n, d);
}

static int ask_capacity(struct sc_queue *q, uint8_t lun, uint8_t *buf, struct storvsc_disk *d,
			bool *thin)
{
	static const uint8_t cdb16[16] = { 0x9e, 0x10, [13] = 32 };
	static const uint8_t cdb10[16] = { 0x25 };
	int n = ask(q, lun, cdb16, 16, buf, 32);

	*thin = false;
	if (n >= 0)
		return sc_parse_capacity16(buf, (uint32_t)n, d, thin);
	if (n != -EOPNOTSUPP && n != -EINVAL)
		return n;
	n = ask(q, lun, cdb10, 10, buf, 8);
	return n < 0 ? n : sc_parse_capacity10(buf, (uint32_t)n, d);
}

static void ask_mode(struct sc_queue *q, uint8_t lun, uint8_t *buf, struct storvsc_disk *d)
{
	static const uint8_t cdb[16] = { 0x1a, 0, 0x08, 0, 0xff };
	int n = ask(q, lun, cdb, 6, buf, 0xff);

	sc_parse_mode(buf, n > 0 ? (uint32_t)n : 0, d);
}

static void ask_vpd(struct sc_queue *q, uint8_t lun, uint8_t *buf, struct storvsc_disk *d,
		    bool thin)
{
	bool unmap;
	uint32_t n;

	sc_parse_serial(buf, vpd(q, lun, 0x80, buf), d);
	sc_parse_ids(buf, vpd(q, lun, 0x83, buf), d);
	sc_parse_limits(buf, vpd(q, lun, 0xb0, buf), d, &unmap);
	n = vpd(q, lun, 0xb2, buf);
	d->discard = thin && unmap && vpd_body(buf, n, 0xb2) >= 2 && (buf[5] & 0x80);
	if (!d->discard)
		d->max_discard = 0;
}

/* What submit needs; the block size last, because it makes the LUN usable. */
static void publish(struct sc_lun *l, const struct storvsc_disk *d)
{
	store_relaxed(&l->fua, d->fua ? SC_FUA_YES : d->write_cache ? SC_FUA_NO : SC_FUA_FREE);
	store_relaxed(&l->max_discard, d->max_discard);
	store_relaxed(&l->max_zero, d->max_zero);
	store_relaxed(&l->shift, (uint8_t)__builtin_ctz(d->block_size));
}

int storvsc_disk_info(struct storvsc *s, uint8_t lun, struct storvsc_disk *out)
{
	struct sc_queue *q = &s->queue[0];
	uint8_t buf[ANSWER];
	bool thin;
	int err;

	memset(out, 0, sizeof(*out));
	err = ask_inquiry(q, lun, buf, out);
	if (!err)
		err = ask_capacity(q, lun, buf, out, &thin);
	if (err) {
		if (!q->dead)
			store_relaxed(&s->lun[lun].shift, 0);
		return err;
	}
	ask_mode(q, lun, buf, out);
	ask_vpd(q, lun, buf, out, thin);
	if (q->dead)
		return q->dead;
	publish(&s->lun[lun], out);
	return 0;
}

int storvsc_luns(struct storvsc *s, uint8_t *luns, int max)
{
	static const uint8_t cdb[16] = { 0xa0, [6] = LUN_LIST >> 24, LUN_LIST >> 16 & 0xff,
					 LUN_LIST >> 8 & 0xff, LUN_LIST & 0xff };
	uint8_t buf[LUN_LIST];
	int n = ask(&s->queue[0], 0, cdb, 12, buf, sizeof(buf));

	return n < 0 ? n : sc_parse_luns(buf, (uint32_t)n, luns, max);
}

int sc_scan(struct storvsc *s)
{
	struct storvsc_disk d;
	uint8_t luns[256];
	int i, n = storvsc_luns(s, luns, 256);

	for (i = 0; i < n; i++)
		storvsc_disk_info(s, luns[i], &d); /* one that fails stays unusable */
	store_relaxed(&s->changed, 0);		   /* we have just looked */
	return s->queue[0].dead;
}
