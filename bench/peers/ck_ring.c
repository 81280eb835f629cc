/* SPDX-License-Identifier: MIT */
/*
 * Concurrency Kit's ck_ring, single producer and consumer, entries by value, between two
 * pinned threads.
 *
 * usage: ck_ring BYTES(16|64|256) ENTRIES SECONDS
 */
#include <ck_ring.h>
#include <pthread.h>

#include "peer.h"

struct m16 {
	uint64_t v[2];
};
struct m64 {
	uint64_t v[8];
};
struct m256 {
	uint64_t v[32];
};
CK_RING_PROTOTYPE(m16, m16)
CK_RING_PROTOTYPE(m64, m64)
CK_RING_PROTOTYPE(m256, m256)

static ck_ring_t ring __attribute__((aligned(128)));
static void *store;
static int esize;
static int stop, ready;
static uint64_t got;

static bool take(void *e)
{
	switch (esize) {
	case 16:
		return CK_RING_DEQUEUE_SPSC(m16, &ring, store, e);
	case 64:
		return CK_RING_DEQUEUE_SPSC(m64, &ring, store, e);
	default:
		return CK_RING_DEQUEUE_SPSC(m256, &ring, store, e);
	}
}

static bool put(void *e)
{
	switch (esize) {
	case 16:
		return CK_RING_ENQUEUE_SPSC(m16, &ring, store, e);
	case 64:
		return CK_RING_ENQUEUE_SPSC(m64, &ring, store, e);
	default:
		return CK_RING_ENQUEUE_SPSC(m256, &ring, store, e);
	}
}

static void *consume(void *arg)
{
	struct m256 e;
	uint64_t n = 0;

	(void)arg;
	peer_pin(1);
	__atomic_store_n(&ready, 1, __ATOMIC_RELEASE);
	for (;;) {
		if (take(&e))
			n++;
		else if (__atomic_load_n(&stop, __ATOMIC_ACQUIRE) && !ck_ring_size(&ring))
			break;
		else
			peer_relax();
	}
	got = n;
	return NULL;
}

int main(int argc, char **argv)
{
	int entries = argc > 2 ? atoi(argv[2]) : 1024;
	double seconds = argc > 3 ? atof(argv[3]) : 0.2;
	uint64_t n = 0, i = 0, start, end;
	static struct m256 e;
	char variant[64];
	pthread_t t;

	esize = argc > 1 ? atoi(argv[1]) : 64;
	if (esize != 16 && esize != 64 && esize != 256)
		return 2;
	if (posix_memalign(&store, 128, (size_t)entries * 256))
		return 2;
	memset(store, 0, (size_t)entries * 256);
	ck_ring_init(&ring, (unsigned)entries);
	peer_pin(0);
	pthread_create(&t, NULL, consume, NULL);
	while (!__atomic_load_n(&ready, __ATOMIC_ACQUIRE))
		usleep(100);
	start = peer_now();
	end = start + (uint64_t)(seconds * 1e9);
	while ((++i & 0x3ff) || peer_now() < end) {
		e.v[0] = n;
		if (put(&e))
			n++;
		else
			peer_relax();
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	pthread_join(t, NULL);
	start = peer_now() - start;
	if (got != n)
		return 4;
	snprintf(variant, sizeof(variant), "%dB-n%d", esize, entries);
	peer_result("ck_ring", variant, (double)n * 1e3 / (double)start, "Mmsg/s");
	return 0;
}
