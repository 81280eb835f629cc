// SPDX-License-Identifier: MIT
//
// boost::lockfree::spsc_queue between two pinned threads, single or array push and pop.
//
// usage: boost_spsc BYTES(16|64|256) BULK SECONDS
#include <atomic>
#include <boost/lockfree/spsc_queue.hpp>
#include <thread>

extern "C" {
#include "peer.h"
}

template <size_t N> struct msg {
	uint64_t v[N / 8];
};

template <size_t N> static int run(size_t bulk, double seconds)
{
	static boost::lockfree::spsc_queue<msg<N>, boost::lockfree::capacity<1024>> q;
	std::atomic<bool> stop{ false }, ready{ false };
	static msg<N> in[64];
	uint64_t got = 0, n = 0, i = 0, start, end;
	char variant[64];

	std::thread consumer([&] {
		static msg<N> out[64];
		uint64_t count = 0;

		peer_pin(1);
		ready = true;
		for (;;) {
			size_t k = q.pop(out, bulk);

			if (k)
				count += k;
			else if (stop && !q.read_available())
				break;
			else
				peer_relax();
		}
		got = count;
	});
	peer_pin(0);
	while (!ready)
		usleep(100);
	start = peer_now();
	end = start + (uint64_t)(seconds * 1e9);
	while ((++i & 0xff) || peer_now() < end) {
		in[0].v[0] = n;
		size_t k = q.push(in, bulk);

		if (k)
			n += k;
		else
			peer_relax();
	}
	stop = true;
	consumer.join();
	start = peer_now() - start;
	if (got != n)
		return 4;
	snprintf(variant, sizeof(variant), "%zuB-b%zu-n1024", N, bulk);
	peer_result("boost_spsc", variant, (double)n * 1e3 / (double)start, "Mmsg/s");
	return 0;
}

int main(int argc, char **argv)
{
	size_t bytes = argc > 1 ? strtoul(argv[1], nullptr, 0) : 64;
	size_t bulk = argc > 2 ? strtoul(argv[2], nullptr, 0) : 1;
	double seconds = argc > 3 ? atof(argv[3]) : 0.2;

	if (bulk < 1 || bulk > 64)
		return 2;
	switch (bytes) {
	case 16:
		return run<16>(bulk, seconds);
	case 64:
		return run<64>(bulk, seconds);
	case 256:
		return run<256>(bulk, seconds);
	}
	return 2;
}
