/* SPDX-License-Identifier: MIT */
/*
 * Load generator of `bench disk`: keeps a number of requests in flight on a target and
 * records their latency. A target is what is measured: a synthetic disk, raw
 * io_uring, or nothing at all (the generator's own cost).
 *
 * Threads: one struct load, one thread.
 */
#ifndef HVBUS_CLI_LOAD_H
#define HVBUS_CLI_LOAD_H

#include <stdbool.h>
#include <sys/uio.h>

#include "cli/hist.h"
#include "vsc/storvsc.h"

struct load_io {
	struct storvsc_io io; /* used as it is by the synthetic disk */
	struct iovec iov;
	uint64_t start_ns;
	uint64_t block; /* offset / bs */
	uint32_t index;
	bool busy;
};

struct load_target {
	/* 0, or -EAGAIN (reap first), or another negative errno. */
	int (*submit)(struct load_target *t, struct load_io *io);
	/* Sends what was queued, collects at least @min (sleeping if it must); count or -errno. */
	int (*reap)(struct load_target *t, struct load_io **out, int max, int min);
	void (*close)(struct load_target *t);
	uint8_t *buffers; /* depth * bs bytes that the target can do I/O with, page-aligned */
};

enum load_rw { LOAD_READ, LOAD_WRITE, LOAD_RANDREAD, LOAD_RANDWRITE, LOAD_RW, LOAD_RANDRW };

struct load_config {
	enum load_rw rw;
	uint32_t bs, depth;
	uint64_t size, first; /* bytes of the area, and where it starts */
	uint32_t mix_read;    /* percent, for the mixed kinds */
	bool verify;
	uint8_t lun;
	uint64_t seed;
};

struct load {
	struct load_config cfg;
	struct load_target *target;
	struct load_io *ios, **free_io;
	uint32_t nr_free;
	uint64_t blocks, cursor, rng;
	uint32_t *generation; /* verify: of each block, what was last written (0 = nothing) */
	uint8_t *in_flight;   /* verify: blocks with a request in flight */
	uint32_t next_generation;
	struct hist hist;
	uint64_t done, bytes, errors, mismatches;
	int first_error;
	uint64_t elapsed_ns;
};

/* -ENOMEM. @target stays the caller's. */
int load_init(struct load *l, const struct load_config *cfg, struct load_target *target);
void load_fini(struct load *l);

/*
 * Runs for @ns, then waits for what is in flight. *@progress is increased by finished
 * requests while it runs (other threads read it). *@stop ends it early.
 */
int load_run(struct load *l, uint64_t ns, uint64_t *progress, const bool *stop);

/* Reads back every block written under verify and compares. Returns mismatches or -errno. */
int64_t load_verify_all(struct load *l);

/* Targets. Buffers are theirs. */
int load_target_disk(struct load_target **out, struct storvsc *s, uint32_t queue,
		     const struct load_config *cfg);
int load_target_raw(struct load_target **out, const char *path, bool direct, bool readonly,
		    const struct load_config *cfg);
int load_target_none(struct load_target **out, const struct load_config *cfg);

#endif
