/* SPDX-License-Identifier: MIT */
/*
 * Message channels people use instead of a ring: unix sockets and pipes between two
 * pinned processes, and ZeroMQ (PUSH/PULL) within one and across two threads' sockets.
 *
 * usage: sockmsg seqpacket|stream|pipe|zmq-inproc|zmq-ipc BYTES SECONDS
 */
#include <pthread.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "peer.h"

static char tx[65536], rx[65536];

#ifdef WITH_ZMQ
#include <zmq.h>

static void *zmq;
static uint64_t zmq_got;

static void *zmq_consume(void *address)
{
	void *s = zmq_socket(zmq, ZMQ_PULL);
	uint64_t n = 0;

	peer_pin(1);
	zmq_connect(s, address);
	while (zmq_recv(s, rx, sizeof(rx), 0) >= 0 && rx[0] != 'x')
		n++;
	zmq_got = n;
	zmq_close(s);
	return NULL;
}

static int run_zmq(const char *kind, size_t size, double seconds)
{
	char address[64] = "inproc://peer", variant[64];
	uint64_t n = 0, start, end;
	pthread_t t;
	void *s;

	if (!strcmp(kind, "zmq-ipc"))
		snprintf(address, sizeof(address), "ipc://@hvbus-peer-%d", getpid());
	zmq = zmq_ctx_new();
	peer_pin(0);
	s = zmq_socket(zmq, ZMQ_PUSH);
	if (zmq_bind(s, address))
		return 3;
	pthread_create(&t, NULL, zmq_consume, address);
	start = peer_now();
	end = start + (uint64_t)(seconds * 1e9);
	while ((n++ & 0xff) || peer_now() < end)
		zmq_send(s, tx, size, 0);
	tx[0] = 'x';
	zmq_send(s, tx, size, 0);
	pthread_join(t, NULL);
	start = peer_now() - start;
	snprintf(variant, sizeof(variant), "%s-%zuB", kind, size);
	peer_result("zmq", variant, (double)zmq_got * 1e3 / (double)start, "Mmsg/s");
	zmq_close(s);
	zmq_ctx_term(zmq);
	return 0;
}
#endif

static int run_kernel(const char *kind, size_t size, double seconds)
{
	int messages = !strcmp(kind, "seqpacket"), f[2];
	uint64_t n = 0, start, end;
	char variant[64];
	pid_t pid;

	if (!strcmp(kind, "pipe")) {
		if (pipe(f))
			return 3;
		int reader = f[0];

		f[0] = f[1];
		f[1] = reader;
	} else if (socketpair(AF_UNIX, messages ? SOCK_SEQPACKET : SOCK_STREAM, 0, f)) {
		return 3;
	}
	pid = fork();
	if (pid == 0) {
		peer_pin(1);
		close(f[0]);
		while (read(f[1], rx, sizeof(rx)) > 0)
			;
		_exit(0);
	}
	peer_pin(0);
	close(f[1]);
	start = peer_now();
	end = start + (uint64_t)(seconds * 1e9);
	while ((n++ & 0xff) || peer_now() < end) {
		if (write(f[0], tx, size) != (ssize_t)size)
			return 4;
	}
	close(f[0]);
	waitpid(pid, NULL, 0);
	start = peer_now() - start;
	snprintf(variant, sizeof(variant), "%s-%zuB", kind, size);
	peer_result("sock", variant, (double)n * 1e3 / (double)start, "Mmsg/s");
	return 0;
}

int main(int argc, char **argv)
{
	size_t size = argc > 2 ? strtoul(argv[2], NULL, 0) : 64;
	double seconds = argc > 3 ? atof(argv[3]) : 0.2;
	const char *kind = argc > 1 ? argv[1] : "";

	if (size < 1 || size > sizeof(tx))
		return 2;
	alarm(60);
	if (!strcmp(kind, "seqpacket") || !strcmp(kind, "stream") || !strcmp(kind, "pipe"))
		return run_kernel(kind, size, seconds);
#ifdef WITH_ZMQ
	if (!strcmp(kind, "zmq-inproc") || !strcmp(kind, "zmq-ipc"))
		return run_zmq(kind, size, seconds);
#endif
	return 2;
}
