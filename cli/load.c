/* SPDX-License-Identifier: MIT */
/*
 * The generator: fill the queue, reap, record, repeat. One clock read per turn: the time
 * a batch was reaped is the time the next one is submitted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "cli/load.h"

#define REAP_MAX 64

struct stamp { /* head of each block under verify */
	uint64_t block;
	uint32_t generation, crc;
};

int load_init(struct load *l, const struct load_config *cfg, struct load_target *target)
{
	uint32_t i;

	*l = (struct load){ .cfg = *cfg, .target = target, .rng = cfg->seed | 1 };
	l->blocks = cfg->size / cfg->bs;
	l->ios = calloc(cfg->depth, sizeof(*l->ios));
	l->free_io = calloc(cfg->depth, sizeof(struct load_io *));
	if (cfg->verify) {
		l->generation = calloc(l->blocks, sizeof(*l->generation));
		l->in_flight = calloc(l->blocks, 1);
	}
	if (!l->ios || !l->free_io || (cfg->verify && (!l->generation || !l->in_flight))) {
		load_fini(l);
		return -ENOMEM;
	}
	for (i = 0; i < cfg->depth; i++) {
		struct load_io *io = &l->ios[i];

		io->index = i;
		io->iov = (struct iovec){ target->buffers + (size_t)i * cfg->bs, cfg->bs };
		io->io = (struct storvsc_io){
			.lun = cfg->lun,
			.len = cfg->bs,
			.iov = &io->iov,
			.niov = 1,
			.cookie = io,
		};
		l->free_io[l->nr_free++] = io;
	}
	return 0;
}

void load_fini(struct load *l)
{
	free(l->ios);
	free(l->free_io);
	free(l->generation);
	free(l->in_flight);
}

static uint64_t next_random(struct load *l)
{
	/* xorshift64*: good enough to spread blocks, cheap enough not to be measured */
	l->rng ^= l->rng >> 12;
	l->rng ^= l->rng << 25;
	l->rng ^= l->rng >> 27;
	return l->rng * 0x2545f4914f6cdd1dull;
}

static bool picks_at_random(const struct load *l)
{
	return l->cfg.rw >= LOAD_RANDREAD && l->cfg.rw != LOAD_RW;
}

static uint64_t pick_block(struct load *l, bool at_random)
{
	uint64_t b;

	do {
		if (at_random) {
			b = (uint64_t)(((unsigned __int128)next_random(l) * l->blocks) >> 64);
		} else {
			b = l->cursor++;
			if (l->cursor == l->blocks)
				l->cursor = 0;
		}
	} while (l->in_flight && l->in_flight[b]);
	return b;
}

static bool pick_write(struct load *l)
{
	switch (l->cfg.rw) {
	case LOAD_READ:
	case LOAD_RANDREAD:
		return false;
	case LOAD_WRITE:
	case LOAD_RANDWRITE:
		return true;
	default:
		return next_random(l) % 100 >= l->cfg.mix_read;
	}
}

static uint32_t block_crc(const uint8_t *buf, uint32_t bs)
{
	return (uint32_t)crc32(0, buf + sizeof(struct stamp), bs - (uint32_t)sizeof(struct stamp));
}

/* The whole block depends on its place and generation, so stale or foreign data shows. */
static void stamp_block(struct load *l, struct load_io *io)
{
	struct stamp s = { io->block, ++l->next_generation, 0 };
	uint64_t x = io->block * 0x9e3779b97f4a7c15ull ^ s.generation;
	uint8_t *buf = io->iov.iov_base;
	uint32_t i;

	for (i = sizeof(s); i + 8 <= l->cfg.bs; i += 8) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		memcpy(buf + i, &x, 8);
	}
	s.crc = block_crc(buf, l->cfg.bs);
	memcpy(buf, &s, sizeof(s));
	l->generation[io->block] = s.generation;
}

static bool block_matches(const struct load *l, const struct load_io *io)
{
	struct stamp s;

	if (!l->generation[io->block])
		return true;
	memcpy(&s, io->iov.iov_base, sizeof(s));
	return s.block == io->block && s.generation == l->generation[io->block] &&
	       s.crc == block_crc(io->iov.iov_base, l->cfg.bs);
}

static void account(struct load *l, struct load_io *io, uint64_t now)
{
	hist_add(&l->hist, now - io->start_ns);
	if (unlikely(io->io.result)) {
		l->errors++;
		if (!l->first_error)
			l->first_error = io->io.result;
	}
	if (unlikely(l->in_flight)) {
		l->in_flight[io->block] = 0;
		if (io->io.op == STORVSC_READ && !io->io.result && !block_matches(l, io))
			l->mismatches++;
	}
	l->free_io[l->nr_free++] = io;
}

ALWAYS_INLINE int submit_one(struct load *l, struct load_io *io, uint64_t now)
{
	io->start_ns = now;
	io->io.offset = l->cfg.first + io->block * l->cfg.bs;
	io->io.result = 0;
	if (unlikely(l->in_flight)) {
		l->in_flight[io->block] = 1;
		if (io->io.op == STORVSC_WRITE)
			stamp_block(l, io);
	}
	return l->target->submit(l->target, io);
}

static int fill(struct load *l, uint64_t now)
{
	bool at_random = picks_at_random(l);

	while (l->nr_free) {
		struct load_io *io = l->free_io[l->nr_free - 1];
		int err;

		io->block = pick_block(l, at_random);
		io->io.op = pick_write(l) ? STORVSC_WRITE : STORVSC_READ;
		err = submit_one(l, io, now);
		if (unlikely(err))
			return err == -EAGAIN && l->nr_free < l->cfg.depth ? 0 : err;
		l->nr_free--;
	}
	return 0;
}

static int collect(struct load *l, int min, uint64_t *now)
{
	struct load_io *out[REAP_MAX];
	int n = l->target->reap(l->target, out, REAP_MAX, min), i;
	uint64_t at = clock_ns();

	*now = at;
	if (n <= 0)
		return n;
	for (i = 0; i < n; i++)
		account(l, out[i], at);
	l->done += (uint64_t)n;
	l->bytes += (uint64_t)n * l->cfg.bs;
	return n;
}

int load_run(struct load *l, uint64_t ns, uint64_t *progress, const bool *stop)
{
	uint64_t start = clock_ns(), now = start, end = start + ns;
	int n = 0, err = 0;

	while (now < end && !load_relaxed(stop)) {
		err = fill(l, now);
		if (err)
			break;
		n = collect(l, 1, &now);
		if (n < 0)
			return n;
		store_relaxed(progress, load_relaxed(progress) + (uint64_t)n);
	}
	while (l->nr_free < l->cfg.depth) {
		n = collect(l, 1, &now);
		if (n < 0)
			return n;
	}
	l->elapsed_ns += now - start;
	return err;
}

static int read_back(struct load *l, uint64_t *at)
{
	uint64_t now = clock_ns();
	int err = 0;

	while (l->nr_free && *at < l->blocks && !err) {
		struct load_io *io = l->free_io[l->nr_free - 1];

		if (!l->generation[*at]) {
			++*at;
			continue;
		}
		io->block = *at;
		io->io.op = STORVSC_READ;
		err = submit_one(l, io, now);
		if (!err) {
			l->nr_free--;
			++*at;
		}
	}
	return err == -EAGAIN ? 0 : err;
}

int64_t load_verify_all(struct load *l)
{
	struct hist keep = l->hist;
	uint64_t done = l->done, bytes = l->bytes, at = 0, now;
	int err = 0;

	while (!err && (at < l->blocks || l->nr_free < l->cfg.depth)) {
		err = read_back(l, &at);
		if (!err && l->nr_free < l->cfg.depth) {
			int n = collect(l, 1, &now);

			err = n < 0 ? n : 0;
		}
	}
	l->hist = keep; /* reading back is not part of the measurement */
	l->done = done;
	l->bytes = bytes;
	return err ? err : (int64_t)l->mismatches;
}
