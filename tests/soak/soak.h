/* SPDX-License-Identifier: MIT */
/*
 * Load for hours on one root, with everything that may happen to it at once: what the players
 * of the soak share. A player is a process that goes on until it is killed; what has to outlive
 * it is in struct soak. A player that ends by itself with another status than 0 has found
 * something and has said it.
 */
#ifndef HVBUS_TESTS_SOAK_SOAK_H
#define HVBUS_TESTS_SOAK_SOAK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "tests/hostile/fixture.h"

#define SOAK_BLOCK	  4096u
#define SOAK_SLICES	  5u /* of LUN_FILE; the last one is used through NBD */
#define SOAK_SLICE_BLOCKS (HOSTILE_DISK / SOAK_BLOCK / SOAK_SLICES)
#define SOAK_RUN	  16u /* blocks of the longest request */
#define SOAK_PLUG_LUN	  8u  /* and those behind it come and go */
#define SOAK_PLUGS	  3u
#define SOAK_PLUG_BLOCKS  256u

/* What is known of a part of the disk; one writer at a time. */
struct soak_slice {
	uint32_t acked[SOAK_SLICE_BLOCKS]; /* version that was acknowledged */
	uint32_t handed;		   /* last version given to a write */
	uint64_t requests;
};

struct soak {
	uint32_t stop; /* who is in the middle of something finishes it */
	char dir[64];
	struct soak_slice slice[SOAK_SLICES];
	uint64_t evil_lives, plugs, plug_reads;
	uint64_t attaches; /* the last one's socket has this number */
};

extern struct soak *soak; /* shared by all players */

/* Whatever has to be reached there. Each gets a seed of its own and returns its exit status. */
int soak_play_disk(uint32_t slice, uint64_t seed);
int soak_play_nbd(uint32_t slice, uint64_t seed);
int soak_play_evil(uint32_t unused, uint64_t seed);
int soak_play_plugs(uint32_t unused, uint64_t seed); /* ends when stopped, all disks removed */
int soak_play_plug_reader(uint32_t unused, uint64_t seed);

/* The program of the release build; become_attach() does not return. */
int soak_hvbus(const char *const argv[]);
int soak_become_attach(uint32_t unused, uint64_t seed);
void soak_nbd_path(char *path, size_t n);
void soak_attach_log(char *path, size_t n); /* what the servers say: of killed clients, mostly */

/* Writes all of LUN_EVIL and, when @first, the first version of every slice; else reads them. */
int soak_paint(uint32_t first, uint64_t seed);

/* A block as version @generation of it. */
void soak_fill(uint8_t *buf, uint32_t block, uint32_t generation);
/* Whether it is whole; its version. */
bool soak_whole(const uint8_t *buf, uint32_t block, uint32_t *generation);

static inline uint64_t soak_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

#define SOAK_BUMP(counter) __atomic_fetch_add(&(counter), 1, __ATOMIC_RELAXED)

#endif
