/* SPDX-License-Identifier: MIT */
/*
 * Verified load on a slice of the disk that is nobody else's: every block carries its number,
 * its version and a checksum. A block may be older than the last version handed out, because
 * the write was under way when its guest was killed, but never older than what was acknowledged.
 */
#include <errno.h>
#include <libnbd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "tests/soak/soak.h"
#include "vsc/storvsc.h"

#define MEMORY	(8u << 20)
#define PATIENT 20000 /* ms until a server is there */
#define QUEUES	2u

/* ---- blocks --------------------------------------------------------------------- */

struct stamp {
	uint32_t block, generation, crc, reserved;
};

static uint32_t sum(const uint8_t *buf)
{
	return (uint32_t)crc32(0, buf + sizeof(struct stamp), SOAK_BLOCK - sizeof(struct stamp));
}

void soak_fill(uint8_t *buf, uint32_t block, uint32_t generation)
{
	struct stamp s = { .block = block, .generation = generation };
	uint32_t x = block * 2654435761u ^ generation * 40503u;

	for (uint32_t i = sizeof(s); i < SOAK_BLOCK; i += 4) {
		x = x * 1664525u + 1013904223u;
		memcpy(buf + i, &x, 4);
	}
	s.crc = sum(buf);
	memcpy(buf, &s, sizeof(s));
}

bool soak_whole(const uint8_t *buf, uint32_t block, uint32_t *generation)
{
	struct stamp s;

	memcpy(&s, buf, sizeof(s));
	*generation = s.generation;
	return s.block == block && s.crc == sum(buf);
}

/* ---- requests ---------------------------------------------------------------------- */

struct target {
	struct storvsc *s; /* or */
	struct nbd_handle *h;
	uint32_t queue;
};

static int do_read(const struct target *t, void *buf, uint64_t at, size_t len)
{
	if (t->s)
		return storvsc_read(t->s, t->queue, LUN_FILE, buf, at, len);
	return nbd_pread(t->h, buf, len, at, 0) ? -EIO : 0;
}

static int do_write(const struct target *t, const void *buf, uint64_t at, size_t len, bool fua)
{
	if (t->s)
		return storvsc_write(t->s, t->queue, LUN_FILE, buf, at, len, fua ? STORVSC_FUA : 0);
	return nbd_pwrite(t->h, buf, len, at, fua ? LIBNBD_CMD_FLAG_FUA : 0) ? -EIO : 0;
}

static int do_flush(const struct target *t)
{
	if (t->s)
		return storvsc_flush(t->s, t->queue, LUN_FILE);
	return nbd_flush(t->h, 0) ? -EIO : 0;
}

/* ---- load --------------------------------------------------------------------------- */

static uint8_t buf[SOAK_RUN * SOAK_BLOCK];

/* -EILSEQ: what was read is not what was written. */
static int check_blocks(uint32_t slice, uint32_t first, uint32_t n)
{
	const struct soak_slice *k = &soak->slice[slice];

	for (uint32_t i = 0; i < n; i++) {
		uint32_t block = slice * SOAK_SLICE_BLOCKS + first + i, generation;

		if (soak_whole(buf + i * SOAK_BLOCK, block, &generation) &&
		    generation >= load_relaxed(&k->acked[first + i]) &&
		    generation <= load_relaxed(&k->handed))
			continue;
		fprintf(stderr, "soak: block %u: version %u, acknowledged %u, last one %u%s\n",
			block, generation, k->acked[first + i], k->handed,
			soak_whole(buf + i * SOAK_BLOCK, block, &generation) ? "" : ", not whole");
		return -EILSEQ;
	}
	return 0;
}

static int read_blocks(const struct target *t, uint32_t slice, uint32_t first, uint32_t n)
{
	uint64_t at = (uint64_t)(slice * SOAK_SLICE_BLOCKS + first) * SOAK_BLOCK;
	int err;

	memset(buf, 0, n * SOAK_BLOCK);
	err = do_read(t, buf, at, n * SOAK_BLOCK);
	return err ? err : check_blocks(slice, first, n);
}

static int write_blocks(const struct target *t, uint32_t slice, uint32_t first, uint32_t n,
			bool fua)
{
	struct soak_slice *k = &soak->slice[slice];
	uint32_t block = slice * SOAK_SLICE_BLOCKS + first, generation = k->handed + 1, i;
	int err;

	store_relaxed(&k->handed, generation);
	for (i = 0; i < n; i++)
		soak_fill(buf + i * SOAK_BLOCK, block + i, generation);
	err = do_write(t, buf, (uint64_t)block * SOAK_BLOCK, n * SOAK_BLOCK, fua);
	for (i = 0; i < n && !err; i++)
		store_relaxed(&k->acked[first + i], generation);
	return err;
}

static int one_request(const struct target *t, uint32_t slice, uint64_t *x)
{
	uint32_t n = 1 + soak_random(x) % SOAK_RUN, what = soak_random(x) % 100;
	uint32_t first = soak_random(x) % (SOAK_SLICE_BLOCKS - n + 1);

	SOAK_BUMP(soak->slice[slice].requests);
	if (what < 48)
		return read_blocks(t, slice, first, n);
	return what < 98 ? write_blocks(t, slice, first, n, what < 55) : do_flush(t);
}

static struct storvsc *attach(uint32_t queues)
{
	struct storvsc_config cfg = { .queues = queues, .depth = 16, .spin_us = 20 };
	char why[256] = "";
	struct storvsc *s;
	int err = storvsc_attach(&s, hostile_path(), 0, MEMORY, &cfg, why, sizeof(why));

	if (!err)
		return s;
	fprintf(stderr, "soak: a guest cannot connect: %s\n", *why ? why : strerror(-err));
	return NULL;
}

/* Some lives are killed, others end as they should. */
int soak_play_disk(uint32_t slice, uint64_t seed)
{
	struct target t = { .s = attach(QUEUES) };
	uint64_t left = 1 + soak_random(&seed) % 20000;
	int err = t.s ? 0 : -ENOTCONN;

	while (!err && left--) {
		t.queue = (uint32_t)(soak_random(&seed) % storvsc_queues(t.s));
		err = one_request(&t, slice, &seed);
		if (soak_random(&seed) % 16 == 0)
			usleep(soak_random(&seed) % 3000); /* let it go to sleep */
	}
	if (err && t.s)
		fprintf(stderr, "soak: slice %u: %s (%s)\n", slice, strerror(-err),
			storvsc_last_error(t.s, t.queue));
	if (t.s)
		storvsc_detach(t.s);
	return err != 0;
}

/* ---- through NBD ------------------------------------------------------------------------ */

/* NULL: whoever was to serve it is dead. */
static struct nbd_handle *connect_nbd(void)
{
	struct nbd_handle *h = NULL;
	char path[96];

	for (int ms = 0; ms < PATIENT; ms += 10) {
		soak_nbd_path(path, sizeof(path));
		h = nbd_create();
		if (!h || !nbd_connect_unix(h, path))
			return h;
		nbd_close(h);
		usleep(10000);
	}
	return NULL;
}

/* A server that is killed is an error of its client's; wrong data never is. */
int soak_play_nbd(uint32_t slice, uint64_t seed)
{
	struct target t = { .h = connect_nbd() };
	int err = t.h ? 0 : -ENOTCONN;

	while (!err)
		err = one_request(&t, slice, &seed);
	if (t.h)
		nbd_close(t.h);
	return err == -EILSEQ;
}

/* ---- all of it ---------------------------------------------------------------------------- */

static int paint_evil(struct storvsc *s)
{
	int err = 0;

	memset(buf, 0x11, sizeof(buf));
	for (uint64_t at = 0; at < HOSTILE_DISK && !err; at += sizeof(buf))
		err = storvsc_write(s, 0, LUN_EVIL, buf, at, sizeof(buf), 0);
	return err;
}

/* What is left over of a slice is a shorter run. */
static int sweep(const struct target *t, uint32_t slice, bool write)
{
	int err = 0;

	for (uint32_t at = 0; at < SOAK_SLICE_BLOCKS && !err; at += SOAK_RUN) {
		uint32_t left = SOAK_SLICE_BLOCKS - at, n = left < SOAK_RUN ? left : SOAK_RUN;

		err = write ? write_blocks(t, slice, at, n, false) : read_blocks(t, slice, at, n);
	}
	return err;
}

int soak_paint(uint32_t first, uint64_t seed)
{
	struct target t = { .s = attach(1) };
	int err = t.s ? paint_evil(t.s) : -ENOTCONN;

	(void)seed;
	for (uint32_t i = 0; i < SOAK_SLICES && !err; i++)
		err = sweep(&t, i, first);
	if (err)
		fprintf(stderr, "soak: %s of the whole disk: %s\n", first ? "writing" : "reading",
			strerror(-err));
	if (t.s)
		storvsc_detach(t.s);
	return err != 0;
}
