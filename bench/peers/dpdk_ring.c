/* SPDX-License-Identifier: MIT */
/*
 * DPDK's rte_ring, single producer and consumer, entries by value, between two lcores.
 *
 * usage: dpdk_ring EAL-OPTIONS -- BYTES(16|64|256) BULK ENTRIES SECONDS
 */
#include <rte_eal.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>

#include "peer.h"

static struct rte_ring *ring;
static unsigned esize, bulk;
static int stop;
static uint64_t got;

static int consume(void *arg)
{
	static char buf[64 * 256] __attribute__((aligned(64)));
	uint64_t n = 0;

	(void)arg;
	for (;;) {
		unsigned k = rte_ring_sc_dequeue_burst_elem(ring, buf, esize, bulk, NULL);

		if (k)
			n += k;
		else if (__atomic_load_n(&stop, __ATOMIC_ACQUIRE) && rte_ring_empty(ring))
			break;
		else
			rte_pause();
		__asm__ volatile("" : : "r"(buf) : "memory");
	}
	got = n;
	return 0;
}

int main(int argc, char **argv)
{
	static char buf[64 * 256] __attribute__((aligned(64)));
	uint64_t n = 0, i = 0, start, end;
	unsigned entries, lcore;
	char variant[64];
	double seconds;
	int used = rte_eal_init(argc, argv);

	if (used < 0 || argc - used < 5)
		return 2;
	argv += used;
	esize = (unsigned)atoi(argv[1]);
	bulk = (unsigned)atoi(argv[2]);
	entries = (unsigned)atoi(argv[3]);
	seconds = atof(argv[4]);
	if (bulk < 1 || bulk > 64 || esize > 256)
		return 2;
	ring = rte_ring_create_elem("r", esize, entries, SOCKET_ID_ANY,
				    RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (!ring)
		return 3;
	lcore = rte_get_next_lcore(-1, 1, 0);
	rte_eal_remote_launch(consume, NULL, lcore);
	start = peer_now();
	end = start + (uint64_t)(seconds * 1e9);
	while ((++i & 0xff) || peer_now() < end) {
		unsigned k;

		for (k = 0; k < bulk; k++) /* fresh payloads */
			memcpy(buf + (size_t)k * esize, &n, 8);
		k = rte_ring_sp_enqueue_bulk_elem(ring, buf, esize, bulk, NULL);
		if (!k)
			rte_pause();
		n += k;
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	rte_eal_wait_lcore(lcore);
	start = peer_now() - start;
	if (got != n) {
		fprintf(stderr, "dpdk_ring: %lu of %lu arrived\n", got, n);
		return 4;
	}
	snprintf(variant, sizeof(variant), "%uB-b%u-n%u", esize, bulk, entries);
	peer_result("rte_ring", variant, (double)n * 1e3 / (double)start, "Mmsg/s");
	return 0;
}
