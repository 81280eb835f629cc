/* SPDX-License-Identifier: MIT */
/*
 * Datagrams between two network namespaces, 32 at a time (sendmmsg, recvmmsg): sent here, received
 * in the namespace NETNS (/proc/PID/ns/net) at ADDRESS. What arrived counts.
 *
 * usage: udp_pair NETNS ADDRESS BYTES SECONDS
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "peer.h"

#define BATCH 32
#define PORT  5555

static char bytes[BATCH][1472];
static struct iovec iov[BATCH];
static struct mmsghdr msg[BATCH];

/* What the receiver has; written by it alone. */
struct shared {
	volatile uint64_t got;
	volatile uint32_t ready;
};

static void fail(const char *what)
{
	perror(what);
	exit(3);
}

static void prepare(size_t size)
{
	for (int i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){ bytes[i], size };
		msg[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i], .msg_iovlen = 1 };
	}
}

static void receive(const char *netns, const struct sockaddr_in *at, struct shared *sh)
{
	int ns = open(netns, O_RDONLY), s, large = 4 << 20;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (ns < 0 || setns(ns, CLONE_NEWNET))
		fail(netns);
	s = socket(AF_INET, SOCK_DGRAM, 0);
	setsockopt(s, SOL_SOCKET, SO_RCVBUF, &large, sizeof(large));
	if (s < 0 || bind(s, (const struct sockaddr *)at, sizeof(*at)))
		fail("bind");
	peer_pin(1);
	sh->ready = 1;
	for (;;) {
		int n = recvmmsg(s, msg, BATCH, MSG_WAITFORONE, NULL);

		if (n < 0 && errno != EINTR)
			fail("recvmmsg");
		sh->got += n > 0 ? (uint64_t)n : 0;
	}
}

/* What arrived per microsecond. */
static double stream(const struct sockaddr_in *to, const struct shared *sh, double seconds)
{
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	uint64_t start, end, now, got = 0;

	if (s < 0 || connect(s, (const struct sockaddr *)to, sizeof(*to)))
		fail("connect");
	peer_pin(0);
	now = peer_now();
	start = now + 50000000; /* addresses are known by then */
	end = start + (uint64_t)(seconds * 1e9);
	for (; now < end; now = peer_now()) {
		if (now < start)
			got = sh->got;
		if (sendmmsg(s, msg, BATCH, 0) < 0 && errno != ENOBUFS && errno != EAGAIN)
			fail("sendmmsg");
	}
	return (double)(sh->got - got) * 1e3 / (double)(peer_now() - start);
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	size_t size = argc > 3 ? strtoul(argv[3], NULL, 0) : 0;
	double seconds = argc > 4 ? atof(argv[4]) : 0.2, rate;
	char variant[32];
	struct shared *sh;
	pid_t pid;

	if (size < 1 || size > sizeof(bytes[0]) || inet_pton(AF_INET, argv[2], &at.sin_addr) != 1)
		return 2;
	alarm(60);
	sh = peer_shared(sizeof(*sh), NULL);
	prepare(size);
	pid = fork();
	if (pid == 0)
		receive(argv[1], &at, sh);
	while (!sh->ready && waitpid(pid, NULL, WNOHANG) == 0)
		usleep(1000);
	if (!sh->ready)
		return 3;
	rate = stream(&at, sh, seconds);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	snprintf(variant, sizeof(variant), "%zuB", size);
	peer_result("udp", variant, rate, "Mmsg/s");
	return 0;
}
