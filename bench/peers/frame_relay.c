/* SPDX-License-Identifier: MIT */
/*
 * What it costs at the least to bring fresh frames from one to another through a third, as far as
 * memory goes: CPU 0 makes each frame, CPU 1 copies it, CPU 0 reads the copy. No headers, no
 * packets, no rules: an index each way, for 32 frames at a time. (The two on CPU 0 are one program,
 * as in the rows that this stands beside.)
 *
 * usage: frame_relay BYTES SECONDS
 */
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "peer.h"

#define SLOTS 1024u
#define BATCH 32u
#define MOST  2048u

struct frames {
	_Alignas(128) _Atomic uint64_t count; /* of frames that are there */
	_Alignas(128) uint8_t frame[SLOTS][MOST];
};

struct shared {
	struct frames made, copied;
};

static void relay(struct shared *sh, size_t size)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	peer_pin(1);
	for (uint64_t n = 0;;) {
		uint64_t end = atomic_load_explicit(&sh->made.count, memory_order_acquire);

		if (n == end)
			peer_relax();
		while (n < end) {
			uint64_t stop = end - n < BATCH ? end : n + BATCH;

			for (; n < stop; n++)
				memcpy(sh->copied.frame[n % SLOTS], sh->made.frame[n % SLOTS],
				       size);
			atomic_store_explicit(&sh->copied.count, n, memory_order_release);
		}
	}
}

static uint64_t sum_of(const uint8_t *frame, size_t size)
{
	uint64_t sum = 0, word;

	for (size_t i = 0; i + 8 <= size; i += 8) {
		memcpy(&word, frame + i, 8);
		sum += word;
	}
	return sum;
}

static void make(struct shared *sh, uint64_t *sent, uint64_t got, size_t size)
{
	for (uint32_t i = 0; i < BATCH && *sent - got < SLOTS; i++, ++*sent) {
		uint8_t *f = sh->made.frame[*sent % SLOTS];

		memset(f, (int)*sent, size);
		memcpy(f, sent, sizeof(*sent));
	}
	atomic_store_explicit(&sh->made.count, *sent, memory_order_release);
}

/* Frames per microsecond that came, whole and in order. */
static double stream(struct shared *sh, size_t size, double seconds)
{
	uint64_t start = peer_now(), end = start + (uint64_t)(seconds * 1e9), sent = 0, got = 0;

	while (peer_now() < end) {
		uint64_t there = atomic_load_explicit(&sh->copied.count, memory_order_acquire);

		for (; got < there; got++) {
			uint64_t word = (got & 0xff) * 0x0101010101010101u;
			uint64_t want = got + (size / 8 - 1) * word;

			if (sum_of(sh->copied.frame[got % SLOTS], size) != want)
				exit(3);
		}
		make(sh, &sent, got, size);
	}
	return (double)got * 1e3 / (double)(peer_now() - start);
}

int main(int argc, char **argv)
{
	size_t size = argc > 1 ? strtoul(argv[1], NULL, 0) : 0;
	double seconds = argc > 2 ? atof(argv[2]) : 0.2, rate;
	char variant[32];
	struct shared *sh;
	pid_t pid;

	if (size < 16 || size > MOST)
		return 2;
	alarm(60);
	sh = peer_shared(sizeof(*sh), NULL);
	pid = fork();
	if (pid == 0)
		relay(sh, size);
	peer_pin(0);
	rate = stream(sh, size, seconds);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	snprintf(variant, sizeof(variant), "%zuB", size);
	peer_result("relay", variant, rate, "Mmsg/s");
	return 0;
}
