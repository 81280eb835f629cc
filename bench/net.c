/* SPDX-License-Identifier: MIT */
/*
 * The children of the net rows that are about many guests; what they do to the root is measured
 * by net_rows.sh.
 *
 *   net hold SOCKET SWITCH N      N partitions with a NIC on SWITCH, ready to receive; prints
 *                                 "ready" and keeps them until its standard input ends
 *   net fair SOCKET SWITCH N MS   N processes send frames of 1514 bytes to one receiver as fast as
 *                                 they can for MS: prints the frames a second that it got of the
 *                                 slowest and of the fastest
 */
#include <err.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "vsc/netvsc.h"

#define MEMORY	  (32u << 20)
#define ETHERTYPE 0x88b5u /* for local experiments */
#define FRAME	  1514u
#define BURST	  32
#define MAX_BUSY  64

static const char *sock, *on_switch;

struct guest {
	struct hv_child *child;
	struct vmbus_client *bus;
	struct netvsc *nic;
	struct netvsc_info info;
};

static void must(int e, const char *why)
{
	if (e < 0)
		errx(1, "%s: %s; is there a root with that switch?", sock,
		     *why ? why : strerror(-e));
}

static void attach(struct guest *g)
{
	char wishes[80], why[256] = "";
	struct hv_child_config hc = { .name = "bench", .memory = MEMORY, .wishes = wishes };

	snprintf(wishes, sizeof(wishes), "nic switch=%s,mtu=1500", on_switch);
	must(hv_child_connect(&g->child, sock, &hc, why, sizeof(why)), why);
	must(vmbus_client_connect(&g->bus, g->child, NULL), why);
	must(netvsc_open(&g->nic, g->bus, 0, NULL, why, sizeof(why)), why);
	must(netvsc_up(g->nic, true), why);
	netvsc_info(g->nic, &g->info);
}

static void detach(struct guest *g)
{
	netvsc_close(g->nic);
	vmbus_client_destroy(g->bus);
	hv_child_destroy(g->child);
}

/* ---- hold ------------------------------------------------------------------------- */

/* A child needs a handful of descriptors. */
static void allow_many_files(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r))
		err(1, "getrlimit");
	r.rlim_cur = r.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &r))
		err(1, "setrlimit");
}

static int hold(uint32_t n)
{
	struct guest *g = calloc(n, sizeof(*g));
	char c;

	if (!g)
		errx(1, "out of memory");
	allow_many_files();
	for (uint32_t i = 0; i < n; i++) {
		attach(&g[i]);
		netvsc_arm(g[i].nic, 0); /* asleep, as an idle guest is */
	}
	puts("ready");
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
	for (uint32_t i = 0; i < n; i++) {
		netvsc_disarm(g[i].nic, 0);
		detach(&g[i]);
	}
	free(g);
	return 0;
}

/* ---- fair ------------------------------------------------------------------------------ */

/* Between the senders and who counts. */
struct busy {
	uint32_t ready, go, stop;
	uint8_t to[NET_MAC_LEN];
};

/* As many as there is room for; what the root has done with is taken back. */
static void send_burst(struct guest *g, const uint8_t *head, uint32_t head_len)
{
	struct netvsc_rx rx[BURST];
	struct netvsc_tx tx;
	int e = 0;

	for (int i = 0; i < BURST && !e; i++) {
		e = netvsc_tx_begin(g->nic, 0, &tx);
		if (e)
			break;
		memcpy(tx.iov[0].iov_base, head, head_len); /* the section has room for it all */
		e = netvsc_tx_commit(g->nic, 0, &tx, FRAME, NULL);
	}
	netvsc_tx_flush(g->nic, 0);
	if (e == -EAGAIN)
		netvsc_wait(g->nic, 0, 10000000);
	else
		must(e, "");
	must(netvsc_rx(g->nic, 0, rx, BURST), "");
	netvsc_rx_done(g->nic, 0);
}

static void keep_sending(struct busy *b, uint32_t number)
{
	uint8_t head[NET_ETH_LEN + sizeof(number)];
	struct guest g;

	attach(&g);
	__atomic_fetch_add(&b->ready, 1, __ATOMIC_RELEASE);
	while (!load_acquire(&b->go))
		usleep(1000);
	memcpy(head, b->to, NET_MAC_LEN);
	memcpy(head + NET_MAC_LEN, g.info.mac, NET_MAC_LEN);
	be16_put(head + 2 * NET_MAC_LEN, ETHERTYPE);
	memcpy(head + NET_ETH_LEN, &number, sizeof(number));
	while (!load_relaxed(&b->stop))
		send_burst(&g, head, sizeof(head));
	detach(&g);
}

static pid_t start_busy(struct busy *b, uint32_t i)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	keep_sending(b, i);
	_exit(0);
}

/* Counts what comes from each of the @n for @ns. */
static void receive(struct guest *g, uint64_t *count, uint32_t n, uint64_t ns)
{
	uint64_t end = clock_ns() + ns;
	struct netvsc_rx rx[BURST];
	uint32_t number;
	int got;

	memset(count, 0, n * sizeof(*count));
	while (clock_ns() < end) {
		got = netvsc_rx(g->nic, 0, rx, BURST);
		must(got, "");
		for (int i = 0; i < got; i++) {
			const uint8_t *at = rx[i].iov[0].iov_base;

			if (rx[i].len != FRAME || be16_at(at + 2 * NET_MAC_LEN) != ETHERTYPE)
				continue;
			memcpy(&number, at + NET_ETH_LEN, sizeof(number));
			if (number < n)
				count[number]++;
		}
		netvsc_rx_done(g->nic, 0);
		if (!got)
			netvsc_wait(g->nic, 0, 1000000);
	}
}

static bool all_ended(const pid_t *pid, uint32_t n)
{
	bool good = true;
	int status;

	for (uint32_t i = 0; i < n; i++)
		good &= waitpid(pid[i], &status, 0) == pid[i] && !status;
	return good;
}

static void print_spread(const uint64_t *count, uint32_t n, uint64_t ns)
{
	uint64_t least = UINT64_MAX, most = 0;

	for (uint32_t i = 0; i < n; i++) {
		least = count[i] < least ? count[i] : least;
		most = count[i] > most ? count[i] : most;
	}
	printf("%.1f %.1f\n", (double)least * 1e9 / (double)ns, (double)most * 1e9 / (double)ns);
}

static int fair(uint32_t n, uint32_t ms)
{
	struct busy *b =
		mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t count[MAX_BUSY], start, limit = clock_ns() + 10000000000ull;
	struct guest g;
	pid_t pid[MAX_BUSY];

	if (b == MAP_FAILED || n > MAX_BUSY)
		errx(1, "at most %d guests", MAX_BUSY);
	for (uint32_t i = 0; i < n; i++)
		pid[i] = start_busy(b, i);
	attach(&g);
	memcpy(b->to, g.info.mac, NET_MAC_LEN);
	while (load_acquire(&b->ready) < n && clock_ns() < limit)
		usleep(1000);
	if (load_acquire(&b->ready) < n)
		errx(1, "not every guest came up within 10 s");
	store_release(&b->go, 1);
	receive(&g, count, n, 100000000); /* all are under way */
	start = clock_ns();
	receive(&g, count, n, ms * 1000000ull);
	print_spread(count, n, clock_ns() - start);
	store_relaxed(&b->stop, 1);
	detach(&g);
	return all_ended(pid, n) ? 0 : 1;
}

int main(int argc, char **argv)
{
	uint32_t n = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 0;

	if (n) {
		sock = argv[2];
		on_switch = argv[3];
		if (!strcmp(argv[1], "hold"))
			return hold(n);
		if (!strcmp(argv[1], "fair") && argc > 5)
			return fair(n, (uint32_t)strtoul(argv[5], NULL, 10));
	}
	fprintf(stderr, "usage: net hold|fair SOCKET SWITCH N [MS]\n");
	return 2;
}
