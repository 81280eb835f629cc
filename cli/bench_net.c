/* SPDX-License-Identifier: MIT */
/*
 * hvbus bench net: options, rounds, table and JSON. What is run is in net_load.c and veth.c.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/net_load.h"
#include "cli/spawn.h"
#include "cli/veth.h"
#include "vmwp/net_config.h"
#include "vsp/netvsp/port_test.h"

#define MAX_ROUNDS 64
#define SIZES	   3
#define MTU	   1500u
#define PINGS	   300u

static const char usage[] =
	"usage: hvbus bench net [--path P] [--size BYTES] [OPTION...]\n\n"
	"Measure synthetic NICs through the whole path: netvsc, ring, VMBus, netvsp, virtual "
	"switch.\n"
	"Frames go from a child partition to the root, from the root to a child, and from one "
	"child\n"
	"through the switch to another; then the round trip of a small frame. Starts a root of "
	"its\n"
	"own, or uses the one at --socket, whose switch --switch has a test port (test=on).\n"
	"Frames of more than 1514 bytes are TCP, with segmentation left to who needs it.\n";

static const char examples[] =
	"  hvbus bench net\n"
	"  hvbus bench net --path child-child --size 64 --poll always --cpus 0,1 --json\n"
	"  hvbus bench net --compare          beside the kernel's veth pair with iperf3, "
	"interleaved\n"
	"  hvbus serve --socket /tmp/s --switch name=lan,type=private,test=on &\n"
	"  hvbus bench net --socket /tmp/s --switch lan\n";

enum path { TO_ROOT, FROM_ROOT, PAIR, RTT_ROOT, RTT_PAIR, PATHS };
static const char *const path_names[] = { "child-root", "root-child", "child-child",
					  "rtt-root",	"rtt-child",  NULL };

struct bench {
	const char *socket, *switch_name;
	int path; /* -1 = all */
	uint32_t size[SIZES];
	uint32_t batch, window, rounds;
	double runtime;
	int32_t spin_us;
	int cpu_child, cpu_root;
	bool json, compare;

	char dir[96], path_buf[128];
	pid_t root;
	struct net_end a, b;
};

/* Of all rounds of one row. */
struct row {
	enum path path;
	uint32_t size;
	uint64_t frames, lost, elapsed_ns;
	double child_ns, root_ns; /* CPU per frame */
	double rate[MAX_ROUNDS], peer[MAX_ROUNDS], ratio[MAX_ROUNDS];
	uint32_t rounds;
	struct hist rtt;
	uint64_t signals;
};

static bool is_rtt(enum path p)
{
	return p == RTT_ROOT || p == RTT_PAIR;
}

/* ---- a root of our own ------------------------------------------------------------ */

static void start_root(struct bench *b)
{
	struct root_config *cfg = calloc(1, sizeof(*cfg));
	char sw[] = "name=bench,type=private,test=on", why[256] = "";
	int err;

	if (!cfg || spawn_tmpdir(b->dir, sizeof(b->dir)))
		cli_die(CLI_FAILED, "no temporary directory: %s", strerror(errno));
	snprintf(b->path_buf, sizeof(b->path_buf), "%s/s", b->dir);
	b->socket = cfg->socket = b->path_buf;
	b->switch_name = "bench";
	cfg->spin_us = b->spin_us;
	cfg->cpu = b->cpu_root;
	err = root_parse_switch(&cfg->sw[0], sw, why, sizeof(why));
	cfg->nr_switches = 1;
	b->root = err ? err : spawn_root(cfg, why, sizeof(why));
	free(cfg);
	if (b->root < 0) {
		rmdir(b->dir);
		cli_die(CLI_FAILED, "%s", why);
	}
}

static void clean_up(struct bench *b)
{
	net_end_close(&b->a);
	net_end_close(&b->b);
	if (*b->dir) {
		spawn_stop(b->root);
		rmdir(b->dir);
	}
}

static void fail(struct bench *b, const char *what, int err, const char *why)
{
	clean_up(b);
	cli_die(CLI_FAILED, "%s: %s", what, *why ? why : strerror(-err));
}

static void attach(struct bench *b)
{
	char why[256] = "";
	int err = net_end_open(&b->a, b->socket, b->switch_name, MTU, why, sizeof(why));

	if (!err)
		err = net_end_open(&b->b, b->socket, b->switch_name, MTU, why, sizeof(why));
	if (err)
		fail(b, b->socket, err, why);
}

/* ---- one round ------------------------------------------------------------------------ */

static uint64_t own_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t signals(const struct bench *b)
{
	struct netvsc_stats x, y;

	netvsc_stats(b->a.nic, 0, &x);
	netvsc_stats(b->b.nic, 0, &y);
	return x.signals_sent + y.signals_sent;
}

static int run(struct bench *b, struct row *r, struct net_load *l)
{
	switch (r->path) {
	case TO_ROOT:
		return net_load_to_root(l, &b->a);
	case FROM_ROOT:
		return net_load_from_root(l, &b->a);
	case PAIR:
		return net_load_pair(l, &b->a, &b->b);
	case RTT_ROOT:
		return net_load_rtt(l, &b->a);
	default:
		return net_load_rtt_pair(l, &b->a, &b->b);
	}
}

/* The ends' destination: each other, or the test port. */
static void aim(struct bench *b, enum path p)
{
	static const uint8_t port[NET_MAC_LEN] = PORT_TEST_MAC;

	memcpy(b->a.peer, port, NET_MAC_LEN);
	if (p == PAIR || p == RTT_PAIR)
		net_end_peer(&b->a, &b->b);
}

static void ours(struct bench *b, struct row *r)
{
	static const char *const silence[] = {
		"nothing came through for two seconds; has that switch a test port "
		"(--switch ...,test=on), and no limit on what guests send?",
		"nothing came through for two seconds",
	};
	struct net_load l = { .size = r->size,
			      .batch = b->batch,
			      .window = b->window,
			      .ns = (uint64_t)(b->runtime * 1e9),
			      .sleep = b->spin_us == 0,
			      .rtt = &r->rtt };
	uint64_t child = own_cpu_ns(), root = b->root > 0 ? spawn_cpu_ns(b->root) : 0;
	uint64_t before = signals(b);
	double n;
	int err;

	aim(b, r->path);
	err = run(b, r, &l);
	if (err)
		fail(b, path_names[r->path], err, err == -ETIMEDOUT ? silence[b->root > 0] : "");
	n = l.frames ? (double)l.frames : 1;
	r->child_ns += (double)(own_cpu_ns() - child) / n;
	r->root_ns += b->root > 0 ? (double)(spawn_cpu_ns(b->root) - root) / n : 0;
	r->signals += signals(b) - before;
	r->frames += l.frames;
	r->lost += l.lost;
	r->elapsed_ns += l.elapsed_ns;
	r->rate[r->rounds] = is_rtt(r->path) ? hist_quantile(&r->rtt, 0.5)
					     : n * 1e9 / (double)l.elapsed_ns;
}

static void peers(struct bench *b, struct row *r)
{
	double frames = 0, bits;
	char why[256] = "";
	int err = is_rtt(r->path)
			  ? veth_ping(PINGS, &frames, why, sizeof(why))
			  : veth_stream(r->size, b->runtime, &frames, &bits, why, sizeof(why));

	if (err)
		fail(b, "--compare", err, why);
	r->peer[r->rounds] = frames;
	r->ratio[r->rounds] = frames > 0 ? r->rate[r->rounds] / frames : 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(const double *v, uint32_t n)
{
	double copy[MAX_ROUNDS];

	memcpy(copy, v, n * sizeof(*v));
	qsort(copy, n, sizeof(*copy), by_value);
	return n % 2 ? copy[n / 2] : (copy[n / 2 - 1] + copy[n / 2]) / 2;
}

static void measure(struct bench *b, struct row *r)
{
	/* As large as the root segments them. */
	if (r->size > PORT_TEST_LARGE && r->size > b->a.info.tso_max)
		r->size = b->a.info.tso_max;
	for (r->rounds = 0; r->rounds < b->rounds; r->rounds++) {
		cli_progress("%s, %u bytes: round %u of %u", path_names[r->path], r->size,
			     r->rounds + 1, b->rounds);
		ours(b, r);
		if (b->compare)
			peers(b, r);
	}
	r->child_ns /= r->rounds;
	r->root_ns /= r->rounds;
	cli_progress("%s", "");
}

/* ---- output ------------------------------------------------------------------------------ */

static void print_json(const struct bench *b, const struct row *r, bool first)
{
	double rate = median(r->rate, r->rounds);

	printf("%s\n  {\"op\": \"%s\", \"size\": %u", first ? "" : ",", path_names[r->path],
	       r->size);
	if (is_rtt(r->path))
		printf(", \"latency_ns\": {\"p50\": %.0f, \"p99\": %.0f, \"p999\": %.0f, \"max\": "
		       "%.0f}",
		       hist_quantile(&r->rtt, 0.5), hist_quantile(&r->rtt, 0.99),
		       hist_quantile(&r->rtt, 0.999), (double)r->rtt.max);
	else
		printf(", \"frames_per_second\": %.0f, \"bits_per_second\": %.0f, \"lost\": %llu",
		       rate, rate * r->size * 8, (unsigned long long)r->lost);
	printf(", \"cpu_ns_per_frame\": {\"child\": %.1f, \"root\": %.1f}, "
	       "\"signals_per_1000_frames\": %.2f",
	       r->child_ns, r->root_ns,
	       r->frames ? (double)r->signals * 1e3 / (double)r->frames : 0);
	if (b->compare)
		printf(", \"compare\": {\"peer\": \"%s\", \"peer_value\": %.0f, \"ratio\": %.3f}",
		       is_rtt(r->path) ? "veth ping" : "veth iperf3", median(r->peer, r->rounds),
		       median(r->ratio, r->rounds));
	printf("}");
}

static void print_row(const struct bench *b, const struct row *r, bool first)
{
	double rate = median(r->rate, r->rounds);

	if (first)
		printf("%-12s %7s %12s %10s %8s %16s %s\n", "path", "bytes", "frames/s", "Gbit/s",
		       "lost", "CPU ns child+root", b->compare ? "  of veth" : "");
	if (is_rtt(r->path))
		printf("%-12s %7u   round trip p50 %.1f us, p99 %.1f us, p99.9 %.1f us",
		       path_names[r->path], r->size, rate / 1e3, hist_quantile(&r->rtt, 0.99) / 1e3,
		       hist_quantile(&r->rtt, 0.999) / 1e3);
	else
		printf("%-12s %7u %12s %10.2f %8llu %8.0f +%7.0f", path_names[r->path], r->size,
		       cli_human(rate), rate * r->size * 8 / 1e9, (unsigned long long)r->lost,
		       r->child_ns, r->root_ns);
	if (b->compare)
		printf("   %.2fx", median(r->ratio, r->rounds));
	printf("\n");
}

static void one_row(struct bench *b, enum path p, uint32_t size, bool *first)
{
	struct row *r = calloc(1, sizeof(*r));

	if (!r)
		fail(b, "bench", -ENOMEM, "");
	r->path = p;
	r->size = size;
	measure(b, r);
	(b->json ? print_json : print_row)(b, r, *first);
	fflush(stdout);
	*first = false;
	free(r);
}

static void all_rows(struct bench *b)
{
	bool first = true;

	for (int p = 0; p < PATHS; p++) {
		if (b->path >= 0 && p != b->path)
			continue;
		for (int i = 0; i < SIZES && b->size[i]; i++)
			if (!is_rtt((enum path)p) || i == 0)
				one_row(b, (enum path)p, b->size[i], &first);
	}
}

/* ---- options ------------------------------------------------------------------------------ */

#define OPT(ctx) ((struct bench *)(ctx))

static void set_socket(void *c, const char *v)
{
	OPT(c)->socket = v;
}
static void set_switch(void *c, const char *v)
{
	OPT(c)->switch_name = v;
}
static void set_path(void *c, const char *v)
{
	OPT(c)->path = cli_choice("path", v, path_names);
}
static void set_size(void *c, const char *v)
{
	OPT(c)->size[0] = (uint32_t)cli_number("size", v, 64, NET_FRAME_MAX);
	OPT(c)->size[1] = 0;
}
static void set_batch(void *c, const char *v)
{
	OPT(c)->batch = (uint32_t)cli_number("batch", v, 1, 1024);
}
static void set_window(void *c, const char *v)
{
	OPT(c)->window = (uint32_t)cli_number("window", v, 1, 4096);
}
static void set_rounds(void *c, const char *v)
{
	OPT(c)->rounds = (uint32_t)cli_number("rounds", v, 1, MAX_ROUNDS);
}
static void set_runtime(void *c, const char *v)
{
	OPT(c)->runtime = cli_seconds("runtime", v);
}
static void set_json(void *c, const char *v)
{
	(void)v, OPT(c)->json = true;
}
static void set_compare(void *c, const char *v)
{
	(void)v, OPT(c)->compare = true;
}

static void set_poll(void *c, const char *v)
{
	static const char *const modes[] = { "never", "adaptive", "always", NULL };
	static const int32_t spin[] = { 0, 50, -1 };

	OPT(c)->spin_us = spin[cli_choice("poll", v, modes)];
}

static void set_cpus(void *c, const char *v)
{
	int end = 0;

	if (sscanf(v, "%d,%d%n", &OPT(c)->cpu_child, &OPT(c)->cpu_root, &end) != 2 || v[end] ||
	    OPT(c)->cpu_child < 0 || OPT(c)->cpu_root < 0)
		cli_die(CLI_USAGE, "--cpus=%s: CHILD,ROOT is needed, such as 0,1", v);
}

static const struct cli_option options[] = {
	{ "path", "P", "child-root, root-child, child-child, rtt-root, rtt-child (default: all)",
	  set_path },
	{ "size", "BYTES", "of a frame, 64 to 65549 (default: 64, 1514 and 65535)", set_size },
	{ "runtime", "S", "length of one round (default 0.5)", set_runtime },
	{ "rounds", "N", "how often each is run; the median counts (default 3)", set_rounds },
	{ "batch", "N", "frames between two flushes (default 64)", set_batch },
	{ "window", "N", "frames under way at most (default 512)", set_window },
	{ "poll", "MODE", "never, adaptive (default), always", set_poll },
	{ "cpus", "A,B", "where child and root run (default: where the kernel puts them)",
	  set_cpus },
	{ "socket", "S", "use the root at S instead of starting one", set_socket },
	{ "switch", "NAME", "its switch, with a test port (default lan)", set_switch },
	{ "compare", NULL, "the kernel's veth pair with iperf3 and ping, in turn", set_compare },
	{ "json", NULL, "an array of objects on stdout", set_json },
	{ NULL, NULL, NULL, NULL },
};

static void pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		cli_die(CLI_FAILED, "CPU %d cannot be used: %s", cpu, strerror(errno));
}

int cmd_bench_net(int argc, char **argv)
{
	static struct bench b = { .switch_name = "lan",
				  .path = -1,
				  .size = { 64, 1514, 65535 },
				  .batch = 64,
				  .window = 512,
				  .rounds = 3,
				  .runtime = 0.5,
				  .spin_us = 50,
				  .cpu_child = -1,
				  .cpu_root = -1 };
	int i = cli_parse(argc, argv, options, usage, examples, &b);

	if (i < argc)
		cli_die(CLI_USAGE, "unexpected '%s'", argv[i]);
	if (!b.socket)
		start_root(&b);
	pin(b.cpu_child);
	attach(&b);
	if (b.json)
		printf("[");
	all_rows(&b);
	if (b.json)
		printf("\n]\n");
	clean_up(&b);
	return CLI_OK;
}
