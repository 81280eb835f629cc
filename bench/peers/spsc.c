/* SPDX-License-Identifier: MIT */
/*
 * Reference single-producer/single-consumer ring between two pinned processes over a
 * memfd: VMBus-shaped bytes (16-byte header, payload padded to 8, 8-byte trailer, data
 * mapped twice), free-running indices, no fence, no signals. It is the same ring that
 * `hvbus bench ring` has built in; this one is the judge.
 *
 * usage: spsc SIZE BATCH [RINGBYTES] [SECONDS] [own]
 *   own: each index in a cache line of its own, not both in one as VMBus has them
 */
#include <sys/wait.h>

#include "peer.h"

struct ctl {
	_Alignas(128) uint64_t write;
	uint64_t read_same; /* unless 'own' */
	_Alignas(128) uint64_t read_own;
	_Alignas(128) uint64_t stop, go;
};

struct ring {
	struct ctl *c;
	uint64_t *read;
	char *data;
	size_t bytes, size, batch;
	double seconds;
};

static int consume(struct ring *g)
{
	static char out[8192];
	uint64_t r = 0, w = 0, published = 0, n = 0;

	peer_pin(1);
	__atomic_store_n(&g->c->go, 1, __ATOMIC_RELEASE);
	for (;;) {
		const char *m = g->data + (r & (g->bytes - 1));
		uint64_t head, seq, off8, len8, len;

		if (r == w) {
			if (published != r)
				__atomic_store_n(g->read, r, __ATOMIC_RELEASE);
			published = r;
			w = __atomic_load_n(&g->c->write, __ATOMIC_ACQUIRE);
			if (r == w && __atomic_load_n(&g->c->stop, __ATOMIC_ACQUIRE) &&
			    __atomic_load_n(&g->c->write, __ATOMIC_ACQUIRE) == r)
				return n ? 0 : 7;
			if (r == w) {
				peer_relax();
				continue;
			}
		}
		memcpy(&head, m, 8);
		off8 = head >> 16 & 0xffff;
		len8 = head >> 32 & 0xffff;
		len = (len8 - off8) * 8;
		if (len > sizeof(out))
			return 9;
		memcpy(out, m + off8 * 8, len);
		__asm__ volatile("" : : "r"(out) : "memory");
		memcpy(&seq, out, 8);
		if (seq != n)
			return 8;
		n++;
		r += len8 * 8 + 8;
		if (r - published >= g->bytes / 4) {
			__atomic_store_n(g->read, r, __ATOMIC_RELEASE);
			published = r;
		}
	}
}

/* Returns the number of messages sent. */
static uint64_t produce(struct ring *g, uint64_t end)
{
	static char src[8192];
	size_t len8 = (16 + g->size + 7) / 8, msg = len8 * 8 + 8;
	uint64_t w = 0, r = 0, since = 0, n = 0;

	for (;;) {
		char *m = g->data + (w & (g->bytes - 1));
		uint64_t head = 6u | 2u << 16 | (uint64_t)len8 << 32, trailer;

		while (w + msg - r > g->bytes) {
			if (since)
				__atomic_store_n(&g->c->write, w, __ATOMIC_RELEASE);
			since = 0;
			r = __atomic_load_n(g->read, __ATOMIC_ACQUIRE);
			if (w + msg - r > g->bytes)
				peer_relax();
		}
		memcpy(src, &n, 8);
		memcpy(m, &head, 8);
		memcpy(m + 8, &n, 8);
		memcpy(m + 16, src, g->size);
		trailer = (w & (g->bytes - 1)) << 32;
		memcpy(m + len8 * 8, &trailer, 8);
		w += msg;
		n++;
		if (++since >= g->batch) {
			__atomic_store_n(&g->c->write, w, __ATOMIC_RELEASE);
			since = 0;
		}
		if (!(n & 0xff) && peer_now() >= end)
			break;
	}
	__atomic_store_n(&g->c->write, w, __ATOMIC_RELEASE);
	__atomic_store_n(&g->c->stop, 1, __ATOMIC_RELEASE);
	return n;
}

static void map_twice(struct ring *g)
{
	int fd;
	void *first = peer_shared(g->bytes, &fd);

	munmap(first, g->bytes);
	g->data = mmap(NULL, 2 * g->bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (size_t i = 0; i < 2; i++) {
		if (mmap(g->data + i * g->bytes, g->bytes, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0) == MAP_FAILED)
			exit(3);
	}
}

int main(int argc, char **argv)
{
	struct ring g = { .bytes = 65536, .seconds = 0.2 };
	int own = argc > 5 && !strcmp(argv[5], "own"), status;
	uint64_t start, n;
	char variant[64];
	pid_t pid;

	if (argc < 3)
		return 2;
	g.size = strtoul(argv[1], NULL, 0);
	g.batch = strtoul(argv[2], NULL, 0);
	if (argc > 3)
		g.bytes = strtoul(argv[3], NULL, 0);
	if (argc > 4)
		g.seconds = atof(argv[4]);
	if (g.size < 8 || g.size > 8192 - 8 || g.bytes & (g.bytes - 1) || g.bytes < 4 * g.size)
		return 2;
	g.c = peer_shared(sizeof(*g.c), NULL);
	g.read = own ? &g.c->read_own : &g.c->read_same;
	map_twice(&g);
	pid = fork();
	if (pid == 0)
		_exit(consume(&g));
	peer_pin(0);
	while (!__atomic_load_n(&g.c->go, __ATOMIC_ACQUIRE))
		usleep(100); /* asleep, or a spinning side could keep the other from starting */
	start = peer_now();
	n = produce(&g, start + (uint64_t)(g.seconds * 1e9));
	waitpid(pid, &status, 0);
	start = peer_now() - start;
	if (status) {
		fprintf(stderr, "spsc: consumer failed: %d\n", status >> 8);
		return 5;
	}
	snprintf(variant, sizeof(variant), "%zuB-b%zu-r%zuK%s", g.size, g.batch, g.bytes >> 10,
		 own ? "-own" : "");
	peer_result("spsc", variant, (double)n * 1e3 / (double)start, "Mmsg/s");
	return 0;
}
