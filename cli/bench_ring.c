/* SPDX-License-Identifier: MIT */
/*
 * `hvbus bench ring`: options, rounds, medians, table and JSON. What is run is in
 * ring_load.c, ring_sleep.c and ref_ring.c.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bench_ring.h"
#include "cli/cli.h"
#include "cli/ref_ring.h"
#include "cli/ring_load.h"

#define MAX_ROUNDS 64

/* ---- one run ------------------------------------------------------------------------ */

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static double mmsg_s(const struct pair_shared *sh)
{
	return (double)sh->messages * 1e3 / (double)sh->ns;
}

static double ns_each(const struct pair_shared *sh)
{
	return (double)sh->ns / (double)sh->messages;
}

static double us_median(const struct pair_shared *sh)
{
	uint32_t *lat = (uint32_t *)(uintptr_t)sh->lat;

	qsort(lat, sh->samples, sizeof(*lat), by_value);
	return sh->samples ? lat[sh->samples / 2] / 1e3 : 0;
}

static double per_1000(const struct pair_shared *sh)
{
	return (double)sh->signals * 1e3 / (double)sh->messages;
}

enum run_id { RING, REFERENCE, ROUNDTRIP, PING, LINE, WAKE, BELL, SIGNALS, SIGNALS_SLEEPY };

static const struct run {
	const char *name, *unit;
	pair_side *first, *second;
	double (*value)(const struct pair_shared *sh);
	bool polls;	 /* both sides spin: needs a CPU each */
	bool spin_first; /* before sleeping */
} runs[] = {
	[RING] = { "ring", "Mmsg/s", ring_load_produce, ring_load_consume, mmsg_s, true, false },
	[REFERENCE] = { "reference", "Mmsg/s", ref_ring_produce, ref_ring_consume, mmsg_s, true,
			false },
	[ROUNDTRIP] = { "roundtrip", "M/s", ring_load_request, ring_load_complete, mmsg_s, true,
			false },
	[PING] = { "ping", "ns", ring_load_ping, ring_load_pong, ns_each, true, false },
	[LINE] = { "line", "ns", ref_line_ping, ref_line_pong, ns_each, true, false },
	[WAKE] = { "wake", "us", ring_load_sleep_ping, ring_load_sleep_pong, us_median, false,
		   false },
	[BELL] = { "bell", "us", ref_bell_ping, ref_bell_pong, us_median, false, false },
	[SIGNALS] = { "signals", "per 1000", ring_load_sleepy_produce, ring_load_sleepy_consume,
		      per_1000, true, true },
	[SIGNALS_SLEEPY] = { "signals-sleepy", "per 1000", ring_load_sleepy_produce,
			     ring_load_sleepy_consume, per_1000, false, false },
};

struct bench {
	struct pair pair; /* the parameters */
	unsigned rounds;
	bool json;
	const char *once;	       /* name of the only run, a value on stdout */
	uint32_t sizes[6], batches[2]; /* 0-terminated unless full */
};

static double run(struct bench *b, enum run_id id)
{
	const struct run *r = &runs[id];
	double v;

	b->pair.spin_first = r->spin_first;
	if (!pair_run(&b->pair, r->first, r->second))
		cli_die(CLI_FAILED, "%s: %s", r->name,
			b->pair.sh ? b->pair.sh->error : "no memory");
	v = r->value(b->pair.sh);
	pair_end(&b->pair);
	return v;
}

/* ---- two runs, alternating ---------------------------------------------------------------- */

struct spread {
	double median, min, max;
};

struct pairing {
	struct spread ours, peer, ratio; /* ratio: ours / peer of the same round */
};

static int by_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static struct spread spread_of(double *v, unsigned n)
{
	qsort(v, n, sizeof(*v), by_double);
	return (struct spread){ n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2, v[0], v[n - 1] };
}

/* @peer < 0: ours alone. */
static struct pairing measure(struct bench *b, enum run_id ours, int peer)
{
	double v[3][MAX_ROUNDS];
	struct pairing out = { 0 };

	for (unsigned i = 0; i < b->rounds; i++) {
		cli_progress("%s, %u bytes, batch %u: round %u of %u", runs[ours].name,
			     b->pair.size, b->pair.batch, i + 1, b->rounds);
		v[1][i] = peer < 0 ? 1 : run(b, (enum run_id)peer);
		v[0][i] = run(b, ours);
		v[2][i] = v[0][i] / v[1][i];
	}
	cli_progress("%s", "");
	out.ours = spread_of(v[0], b->rounds);
	out.peer = spread_of(v[1], b->rounds);
	out.ratio = spread_of(v[2], b->rounds);
	return out;
}

/* ---- output ----------------------------------------------------------------------------- */

static void print_throughput(const struct bench *b, const struct pairing *m, bool first)
{
	const struct pair *p = &b->pair;

	if (b->json) {
		printf("%s\n    {\"size\": %u, \"batch\": %u, \"mmsg_s\": %.4g, "
		       "\"reference_mmsg_s\": %.4g, \"ratio\": %.3f, \"ratio_min\": %.3f, "
		       "\"ratio_max\": %.3f}",
		       first ? "" : ",", p->size, p->batch, m->ours.median, m->peer.median,
		       m->ratio.median, m->ratio.min, m->ratio.max);
		return;
	}
	if (first)
		printf("%8s %6s %12s %12s %10s   %s\n", "payload", "batch", "ours Mmsg/s",
		       "payload GB/s", "reference", "ratio, median (min..max)");
	printf("%6u B %6u %12.2f %12.2f %10.2f   %.2f (%.2f..%.2f)\n", p->size, p->batch,
	       m->ours.median, m->ours.median * p->size / 1e3, m->peer.median, m->ratio.median,
	       m->ratio.min, m->ratio.max);
}

/* One line of the second table: what, ours, and what it is compared with. */
static void print_line(const struct bench *b, const char *what, const char *key, enum run_id id,
		       const struct pairing *m, const char *peer)
{
	if (b->json) {
		printf(",\n  \"%s\": {\"value\": %.4g, \"min\": %.4g, \"max\": %.4g", key,
		       m->ours.median, m->ours.min, m->ours.max);
		if (peer)
			printf(", \"peer\": %.4g, \"ratio\": %.3f, \"ratio_min\": %.3f, "
			       "\"ratio_max\": %.3f",
			       m->peer.median, m->ratio.median, m->ratio.min, m->ratio.max);
		printf("}");
		return;
	}
	printf("%-46s %8.4g %-8s", what, m->ours.median, runs[id].unit);
	if (peer)
		printf("   %s %.4g: ratio %.2f (%.2f..%.2f)", peer, m->peer.median, m->ratio.median,
		       m->ratio.min, m->ratio.max);
	printf("\n");
}

static void throughput(struct bench *b)
{
	bool first = true;

	if (b->json)
		printf(",\n  \"throughput\": [");
	for (unsigned i = 0; i < ARRAY_SIZE(b->sizes) && b->sizes[i]; i++) {
		for (unsigned j = 0; j < ARRAY_SIZE(b->batches) && b->batches[j]; j++) {
			struct pairing m;

			b->pair.size = b->sizes[i];
			b->pair.batch = b->batches[j];
			m = measure(b, RING, REFERENCE);
			print_throughput(b, &m, first);
			fflush(stdout);
			first = false;
		}
	}
	printf(b->json ? "]" : "\n");
}

static void the_rest(struct bench *b)
{
	static const struct {
		enum run_id id;
		int peer;
		const char *key, *what, *peer_name;
	} lines[] = {
		{ ROUNDTRIP, -1, "roundtrip_m_s", "request and completion, 0 B, 256 outstanding",
		  NULL },
		{ PING, LINE, "polled_ns", "one way, both spinning", "bare cache line" },
		{ WAKE, BELL, "sleeping_us", "one way, receiver asleep (median)", "bare eventfd" },
		{ SIGNALS, -1, "signals_per_1000", "signals at saturation, 50 us spin, then sleep",
		  NULL },
		{ SIGNALS_SLEEPY, -1, "signals_per_1000_no_spin",
		  "signals at saturation, sleeping at once", NULL },
	};

	b->pair.size = 64;
	b->pair.batch = b->batches[0];
	for (unsigned i = 0; i < ARRAY_SIZE(lines); i++) {
		struct pairing m;

		if (runs[lines[i].id].polls && b->pair.cpu[0] == b->pair.cpu[1])
			continue;
		m = measure(b, lines[i].id, lines[i].peer);
		print_line(b, lines[i].what, lines[i].key, lines[i].id, &m, lines[i].peer_name);
		fflush(stdout);
	}
}

/* ---- options ---------------------------------------------------------------------------- */

static void set_size(void *ctx, const char *v)
{
	struct bench *b = ctx;

	b->sizes[0] = (uint32_t)cli_number("size", v, 8, 8192);
	b->sizes[1] = 0;
}

static void set_batch(void *ctx, const char *v)
{
	struct bench *b = ctx;

	b->batches[0] = (uint32_t)cli_number("batch", v, 1, 256);
	b->batches[1] = 0;
}

static void set_ring(void *ctx, const char *v)
{
	struct bench *b = ctx;
	uint64_t n = cli_size("ring", v);

	if (n < 16384 || n > 64 << 20 || (n & (n - 1)))
		cli_die(CLI_USAGE,
			"--ring=%s: a power of two from 16K to 64M is needed, because the "
			"reference ring takes no other",
			v);
	b->pair.ring_bytes = (uint32_t)n;
}

static void set_seconds(void *ctx, const char *v)
{
	((struct bench *)ctx)->pair.seconds = cli_seconds("seconds", v);
}

static void set_rounds(void *ctx, const char *v)
{
	((struct bench *)ctx)->rounds = (unsigned)cli_number("rounds", v, 1, MAX_ROUNDS);
}

static void set_cpus(void *ctx, const char *v)
{
	struct bench *b = ctx;
	int end = 0;

	if (sscanf(v, "%d,%d%n", &b->pair.cpu[0], &b->pair.cpu[1], &end) != 2 || v[end] ||
	    b->pair.cpu[0] < 0 || b->pair.cpu[1] < 0)
		cli_die(CLI_USAGE, "--cpus=%s: two CPU numbers are needed, such as 0,1", v);
}

static void set_ordinary(void *ctx, const char *v)
{
	(void)v;
	((struct bench *)ctx)->pair.real_time = false;
}

static void set_json(void *ctx, const char *v)
{
	(void)v;
	((struct bench *)ctx)->json = true;
}

static void set_once(void *ctx, const char *v)
{
	((struct bench *)ctx)->once = v;
}

static const struct cli_option options[] = {
	{ "size", "BYTES", "payload of a message, 8 to 8192 (default: a table of six)", set_size },
	{ "batch", "N", "messages per publication (default: 1 and 32)", set_batch },
	{ "ring", "BYTES", "data area of each ring, a power of two (default 64K)", set_ring },
	{ "seconds", "S", "length of one run (default 0.1)", set_seconds },
	{ "rounds", "N", "how often each pair of runs alternates (default 8)", set_rounds },
	{ "cpus", "A,B", "where the two processes run (default: the first two CPUs)", set_cpus },
	{ "ordinary", NULL, "no real-time scheduling class, even where it is permitted",
	  set_ordinary },
	{ "json", NULL, "machine-readable output", set_json },
	{ "once", "RUN", "one run only, its value alone on stdout (names below)", set_once },
	{ NULL, NULL, NULL, NULL },
};

static const char usage[] =
	"usage: hvbus bench ring [OPTION...]\n\n"
	"Messages through a VMBus ring between two pinned processes, copied in and copied\n"
	"out, every length and index checked, every payload fresh and verified; beside it, in\n"
	"the same alternating rounds, a plain ring without protocol duties. Then request and\n"
	"completion round trips, one-way latency polled and asleep, and signals under load.\n"
	"Both processes spin: the run takes two CPUs for about half a minute.\n";

static const char examples[] =
	"  hvbus bench ring                              everything\n"
	"  hvbus bench ring --size 64 --batch 32         one row, then the latencies\n"
	"  hvbus bench ring --ring 1M --rounds 16 --json a larger ring, for a script\n"
	"  hvbus bench ring --cpus 0,0                   what needs no spinning, on one CPU\n"
	"  hvbus bench ring --once ping                  a single figure, 0.1 s\n"
	"\nRuns for --once:\n"
	"  ring, reference (Mmsg/s, with --size and --batch), roundtrip (M/s), ping, line (ns),\n"
	"  wake, bell (us), signals, signals-sleepy (per 1000 messages)\n";

/* The first two CPUs we may run on; the same one twice if there is no other. */
static void default_cpus(int cpu[2])
{
	cpu_set_t set;
	int n = 0;

	CPU_ZERO(&set);
	sched_getaffinity(0, sizeof(set), &set);
	for (int i = 0; i < CPU_SETSIZE && n < 2; i++) {
		if (CPU_ISSET((unsigned)i, &set))
			cpu[n++] = i;
	}
	if (n == 1)
		cpu[1] = cpu[0];
}

static int run_once(struct bench *b)
{
	unsigned i;

	b->pair.size = b->sizes[1] ? 64 : b->sizes[0];
	b->pair.batch = b->batches[0];
	for (i = 0; i < ARRAY_SIZE(runs) && strcmp(runs[i].name, b->once); i++)
		;
	if (i == ARRAY_SIZE(runs))
		cli_die(CLI_USAGE, "--once=%s: no such run; `hvbus bench ring --help` lists them",
			b->once);
	if (runs[i].polls && b->pair.cpu[0] == b->pair.cpu[1])
		cli_die(CLI_USAGE, "--once=%s needs two CPUs", b->once);
	printf("%.6g\n", run(b, (enum run_id)i));
	return CLI_OK;
}

int cmd_bench_ring(int argc, char **argv)
{
	struct bench b = {
		.pair = { .ring_bytes = 65536, .seconds = 0.1, .real_time = true },
		.rounds = 8,
		.sizes = { 8, 16, 64, 256, 1500, 4096 },
		.batches = { 1, 32 },
	};
	int i;

	default_cpus(b.pair.cpu);
	i = cli_parse(argc, argv, options, usage, examples, &b);
	if (i < argc)
		cli_die(CLI_USAGE, "unexpected '%s'", argv[i]);
	if (b.once)
		return run_once(&b);
	if (b.json)
		printf("{\n  \"ring_bytes\": %u, \"seconds\": %g, \"rounds\": %u, \"cpus\": [%d, "
		       "%d]",
		       b.pair.ring_bytes, b.pair.seconds, b.rounds, b.pair.cpu[0], b.pair.cpu[1]);
	else
		printf("VMBus ring of %u KiB, CPUs %d and %d, %u alternating rounds of %g s\n\n",
		       b.pair.ring_bytes >> 10, b.pair.cpu[0], b.pair.cpu[1], b.rounds,
		       b.pair.seconds);
	if (b.pair.cpu[0] != b.pair.cpu[1])
		throughput(&b);
	the_rest(&b);
	if (b.json)
		printf("\n}\n");
	return CLI_OK;
}
