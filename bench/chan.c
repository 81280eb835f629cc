/* SPDX-License-Identifier: MIT */
/*
 * What the channel layer costs per storage request, without storage: packets of the
 * sizes that a SCSI read has (104-byte GPA-direct request, 64-byte completion).
 *
 *   build/release/bench/chan [rounds]
 *
 * "alone" is one thread playing both ends, lines in its own cache: instructions only.
 * "pair" is two processes on two cores, both polling: what a request costs end to end
 * at a queue depth, cache lines travelling included. Medians over the rounds.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include "base/clock.h"
#include "vmbus/chan.h"

#define RING_PAGES 65u /* 256 KiB of data and the control page */
#define DATA_PAGES 256u
#define BATCH	   32u
#define ROUND_NS   (100u * 1000 * 1000)

struct end {
	struct vmbus_chan *chan;
	struct hv_gpa_view in, out;
};

static struct hv_gpa *gpa;

static void die(const char *what, int err)
{
	fprintf(stderr, "bench chan: %s: %s\n", what, strerror(-err));
	exit(1);
}

static void nobody(void *ctx)
{
	(void)ctx; /* both ends poll */
}

static struct end make_end(uint64_t in_pfn, uint64_t out_pfn, uint32_t accept)
{
	uint64_t in[RING_PAGES], out[RING_PAGES];
	struct end e;
	int err;

	for (uint32_t i = 0; i < RING_PAGES; i++) {
		in[i] = in_pfn + i;
		out[i] = out_pfn + i;
	}
	err = hv_gpa_map_wrapped(gpa, &e.in, in, RING_PAGES);
	if (!err)
		err = hv_gpa_map_wrapped(gpa, &e.out, out, RING_PAGES);
	if (err)
		die("map", err);
	struct vmbus_chan_config cfg = {
		.in = e.in,
		.out = e.out,
		.accept = accept,
		.gpa = gpa,
		.signal = nobody,
	};
	err = vmbus_chan_create(&e.chan, &cfg);
	if (err)
		die("channel", err);
	vmbus_chan_mask(e.chan);
	return e;
}

static void free_end(struct end *e)
{
	vmbus_chan_destroy(e->chan);
	hv_gpa_unmap_view(&e->in);
	hv_gpa_unmap_view(&e->out);
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void send_request(struct vmbus_chan *c, uint64_t id)
{
	uint8_t srb[64] = { 3 };
	uint64_t pfn = 2 * RING_PAGES + id % DATA_PAGES;
	int err;

	memcpy(srb + 8, &id, sizeof(id));
	err = vmbus_chan_send_gpa_direct(c, VMPKT_FLAG_COMPLETION_REQUESTED, id, 4096, 0, &pfn, 1,
					 srb, sizeof(srb));
	if (err)
		die("request", err);
}

/* The provider's work on one request: take it in, find its page, answer. */
static bool serve_one(struct vmbus_chan *c)
{
	struct vmpkt pkt;
	struct iovec iov;
	int n = vmbus_chan_recv(c, &pkt);

	if (n < 0)
		die("provider", n);
	if (n == 0)
		return false;
	n = vmbus_chan_iov(c, &pkt, 0, 4096, &iov, 1);
	if (n != 1 || iov.iov_len != 4096)
		die("page list", n);
	n = vmbus_chan_send_completion(c, pkt.trans_id, pkt.payload, 64);
	if (n)
		die("completion", n);
	return true;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof(*v), by_value);
	return v[n / 2];
}

/* ---- one thread ----------------------------------------------------------------- */

enum step { SEND, RECV, IOV, COMPLETE, REAP, STEPS };
static const char *const step_names[STEPS] = { "send request", "receive request", "page list",
					       "send completion", "receive completion" };

static void alone_batch(struct end *client, struct end *server, uint64_t ns[STEPS])
{
	uint64_t t[STEPS + 1], ids[BATCH];
	struct vmpkt pkt[BATCH];
	uint8_t answer[64] = { 1 };
	struct iovec iov;

	t[0] = clock_ns();
	for (uint32_t i = 0; i < BATCH; i++)
		send_request(client->chan, i + 1);
	vmbus_chan_flush(client->chan);
	t[1] = clock_ns();
	for (uint32_t i = 0; i < BATCH; i++) {
		if (vmbus_chan_recv(server->chan, &pkt[i]) != 1)
			die("alone", -EPROTO);
		ids[i] = pkt[i].trans_id;
	}
	vmbus_chan_recv_done(server->chan);
	t[2] = clock_ns();
	for (uint32_t i = 0; i < BATCH; i++) /* all packets share the copy of the last one */
		if (vmbus_chan_iov(server->chan, &pkt[i], 0, 4096, &iov, 1) != 1)
			die("alone", -EFAULT);
	t[3] = clock_ns();
	for (uint32_t i = 0; i < BATCH; i++)
		vmbus_chan_send_completion(server->chan, ids[i], answer, sizeof(answer));
	vmbus_chan_flush(server->chan);
	t[4] = clock_ns();
	for (uint32_t i = 0; i < BATCH; i++)
		if (vmbus_chan_recv(client->chan, &pkt[i]) != 1)
			die("alone", -EPROTO);
	vmbus_chan_recv_done(client->chan);
	t[5] = clock_ns();
	for (int s = 0; s < STEPS; s++)
		ns[s] += t[s + 1] - t[s];
}

static void alone(struct end *client, struct end *server, int rounds)
{
	double v[STEPS][64];

	for (int r = 0; r < rounds; r++) {
		uint64_t ns[STEPS] = { 0 };
		const uint32_t batches = 5000;

		for (uint32_t i = 0; i < batches; i++)
			alone_batch(client, server, ns);
		for (int s = 0; s < STEPS; s++)
			v[s][r] = (double)ns[s] / (batches * BATCH);
	}
	for (int s = 0; s < STEPS; s++)
		printf("alone  %-20s %6.1f ns\n", step_names[s], median(v[s], rounds));
}

/* ---- two processes --------------------------------------------------------------- */

static void provider(struct end *server, int ready)
{
	pin(1);
	if (write(ready, "k", 1) != 1)
		return;
	for (;;) {
		uint32_t n = 0;

		while (n < BATCH && serve_one(server->chan))
			n++;
		vmbus_chan_flush(server->chan);
		vmbus_chan_recv_done(server->chan);
		if (!n)
			cpu_relax();
	}
}

static uint64_t reap(struct vmbus_chan *c)
{
	struct vmpkt pkt;
	uint64_t n = 0;
	int got;

	while ((got = vmbus_chan_recv(c, &pkt)) > 0) {
		if (pkt.type != VMPKT_COMPLETION || pkt.payload_len != 64)
			die("initiator", -EPROTO);
		n++;
	}
	if (got < 0)
		die("initiator", got);
	vmbus_chan_recv_done(c);
	return n;
}

static double pair_round(struct end *client, uint32_t depth)
{
	uint64_t start = clock_ns(), now = start, sent = 0, done = 0, n;

	do {
		while (sent - done < depth)
			send_request(client->chan, ++sent);
		vmbus_chan_flush(client->chan);
		while (!(n = reap(client->chan)))
			cpu_relax();
		done += n;
		if (done % 64 < n)
			now = clock_ns();
	} while (now - start < ROUND_NS);
	while (done < sent)
		done += reap(client->chan);
	return (double)(clock_ns() - start) / (double)done;
}

static void pair(struct end *client, struct end *server, int rounds)
{
	static const uint32_t depths[] = { 1, 8, 32, 128 };
	double v[64];
	int ready[2];
	char ok;
	pid_t pid;

	if (pipe(ready))
		die("pipe", -errno);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		provider(server, ready[1]);
		_exit(1);
	}
	/* Asleep until it has moved to its own core: spinning, we might not let it. */
	if (pid < 0 || read(ready[0], &ok, 1) != 1)
		die("fork", -errno);
	for (size_t d = 0; d < ARRAY_SIZE(depths); d++) {
		for (int r = 0; r < rounds; r++)
			v[r] = pair_round(client, depths[d]);
		printf("pair   depth %-14u %6.1f ns per request", depths[d], median(v, rounds));
		printf(" (%.1f .. %.1f)\n", v[0], v[rounds - 1]);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
	uint64_t pages = 2 * RING_PAGES + DATA_PAGES;
	int rounds = argc > 1 ? atoi(argv[1]) : 8, fd, err;
	struct end client, server;

	if (rounds < 1 || rounds > 64)
		rounds = 8;
	fd = hv_memfd_create("bench", pages * HV_PAGE_SIZE);
	err = fd < 0 ? fd : hv_gpa_create(&gpa);
	if (!err)
		err = hv_gpa_add_ram(gpa, 0, pages * HV_PAGE_SIZE, fd, 0);
	if (err)
		die("memory", err);
	client = make_end(RING_PAGES, 0, VMRING_ACCEPT_GUEST);
	server = make_end(0, RING_PAGES, VMRING_ACCEPT_HOST);
	pin(0);
	alone(&client, &server, rounds);
	pair(&client, &server, rounds);
	free_end(&client);
	free_end(&server);
	hv_gpa_put(gpa);
	return 0;
}
