/* SPDX-License-Identifier: MIT */
/*
 * hvbus bench disk: options.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bench_disk.h"
#include "cli/cli.h"

static const char usage[] =
	"usage: hvbus bench disk [--rw R] [--bs B] [--iodepth N] [OPTION...]\n\n"
	"Become a child partition and measure disk I/O through the whole path: storvsc, ring,\n"
	"VMBus, storvsp, engine. Starts a root of its own on --filename (or a temporary file),\n"
	"or uses the one at --socket. Options are named as fio's where fio has them.\n";

static const char examples[] =
	"  hvbus bench disk\n"
	"  hvbus bench disk --filename disk.img --rw randwrite --bs 16k --direct 1 --verify\n"
	"  hvbus bench disk --compare --plot latency.svg     beside raw io_uring, interleaved\n"
	"  hvbus bench disk --engine null --poll always --cpus 0,1 --iodepth 128 --json\n"
	"  hvbus bench disk --socket /tmp/s --disk 0:1 --runtime 30\n";

#define OPT(ctx) ((struct bench_options *)(ctx))

static void set_socket(void *c, const char *v)
{
	OPT(c)->socket = v;
}
static void set_filename(void *c, const char *v)
{
	OPT(c)->filename = v;
}
static void set_plot(void *c, const char *v)
{
	OPT(c)->plot = v;
}
static void set_bs(void *c, const char *v)
{
	OPT(c)->bs = (uint32_t)cli_size("bs", v);
}
static void set_size(void *c, const char *v)
{
	OPT(c)->size = cli_size("size", v);
}
static void set_runtime(void *c, const char *v)
{
	OPT(c)->runtime = cli_seconds("runtime", v);
}
static void set_json(void *c, const char *v)
{
	(void)v, OPT(c)->json = true;
}
static void set_verify(void *c, const char *v)
{
	(void)v, OPT(c)->verify = true;
}
static void set_compare(void *c, const char *v)
{
	(void)v, OPT(c)->compare = true;
}
static void set_direct(void *c, const char *v)
{
	OPT(c)->direct = cli_number("direct", v, 0, 1);
}

static void set_rw(void *c, const char *v)
{
	static const char *const names[] = { "read", "write",  "randread", "randwrite",
					     "rw",   "randrw", NULL };

	OPT(c)->rw = (enum load_rw)cli_choice("rw", v, names);
	OPT(c)->rw_name = v;
}

static void set_engine(void *c, const char *v)
{
	static const char *const names[] = { "io_uring", "libaio", "memory", "null", "noop", NULL };

	OPT(c)->engine = (enum blk_engine_choice)cli_choice("engine", v, names);
	OPT(c)->engine_name = v;
}

static void set_disk(void *c, const char *v)
{
	char copy[32], *colon;

	if (strlen(v) >= sizeof(copy) || !(colon = strchr(strcpy(copy, v), ':')))
		cli_die(CLI_USAGE, "--disk=%s: CONTROLLER:LUN is needed, such as 0:1", v);
	*colon = '\0';
	OPT(c)->controller = (uint8_t)cli_number("disk", copy, 0, 3);
	OPT(c)->lun = (uint8_t)cli_number("disk", colon + 1, 0, 63);
}

static void set_iodepth(void *c, const char *v)
{
	OPT(c)->iodepth = (uint32_t)cli_number("iodepth", v, 1, 512);
}

static void set_numjobs(void *c, const char *v)
{
	OPT(c)->numjobs = (uint32_t)cli_number("numjobs", v, 1, BENCH_MAX_JOBS);
}

static void set_mix(void *c, const char *v)
{
	OPT(c)->mix_read = (uint32_t)cli_number("rwmixread", v, 0, 100);
}

static void set_rounds(void *c, const char *v)
{
	OPT(c)->rounds = (uint32_t)cli_number("rounds", v, 1, BENCH_MAX_ROUNDS);
}

static void set_io_threads(void *c, const char *v)
{
	OPT(c)->io_threads = (int)cli_number("io-threads", v, 0, 16);
}

static void set_poll(void *c, const char *v)
{
	static const char *const modes[] = { "never", "adaptive", "always", NULL };
	static const int32_t spin[] = { 0, 50, -1 };

	OPT(c)->spin_us = spin[cli_choice("poll", v, modes)];
}

static void set_cpus(void *c, const char *v)
{
	char copy[32], *comma;

	if (strlen(v) >= sizeof(copy) || !(comma = strchr(strcpy(copy, v), ',')))
		cli_die(CLI_USAGE, "--cpus=%s: CHILD,ROOT is needed, such as 0,1", v);
	*comma = '\0';
	OPT(c)->cpu_child = (int)cli_number("cpus", copy, 0, 1023);
	OPT(c)->cpu_root = (int)cli_number("cpus", comma + 1, 0, 1023);
}

static const struct cli_option options[] = {
	{ "rw", "KIND", "read write randread randwrite rw randrw (default randread)", set_rw },
	{ "bs", "SIZE", "bytes of each request (default 4k)", set_bs },
	{ "iodepth", "N", "requests in flight per job (default 32)", set_iodepth },
	{ "numjobs", "N", "jobs: each a thread with a channel of its own (default 1)",
	  set_numjobs },
	{ "runtime", "S", "seconds for each side (default 5)", set_runtime },
	{ "size", "SIZE", "area used on the disk (default 256M, or the whole disk)", set_size },
	{ "rwmixread", "PERCENT", "share of reads of rw and randrw (default 50)", set_mix },
	{ "filename", "F", "image or block device; a temporary file if not given", set_filename },
	{ "direct", "0|1", "O_DIRECT on both sides (default 1)", set_direct },
	{ "engine", "NAME", "io_uring libaio memory null, noop: the generator alone", set_engine },
	{ "verify", NULL, "write checksummed blocks and check every read", set_verify },
	{ "compare", NULL, "raw io_uring on the same file, interleaved", set_compare },
	{ "rounds", "N", "rounds the runtime is cut into (default 8 with --compare)", set_rounds },
	{ "plot", "F.svg", "draw the latency distributions", set_plot },
	{ "poll", "MODE", "never, adaptive (default), always: both sides", set_poll },
	{ "cpus", "CHILD,ROOT", "pin the two sides", set_cpus },
	{ "io-threads", "N", "of the own root", set_io_threads },
	{ "socket", "S", "use the root serving there", set_socket },
	{ "disk", "CTL:LUN", "which of its disks (default 0:0)", set_disk },
	{ "json", NULL, "one JSON object", set_json },
	{ NULL, NULL, NULL, NULL },
};

static void check(struct bench_options *o)
{
	if (o->bs < 512 || o->bs % 512 || o->bs > 256 * 1024)
		cli_die(CLI_USAGE, "--bs: a multiple of 512 up to 256k is needed");
	if (o->compare && o->engine >= ENGINE_MEMORY)
		cli_die(CLI_USAGE, "--compare needs a file: --engine io_uring or libaio");
	if (o->compare && o->socket && !o->filename)
		cli_die(CLI_USAGE,
			"--compare with --socket needs --filename: the image behind the disk");
	if (o->verify && o->engine >= ENGINE_NULL)
		cli_die(CLI_USAGE, "--verify: nothing is stored by --engine %s", o->engine_name);
	if (o->verify && o->compare)
		cli_die(CLI_USAGE, "--verify and --compare exclude each other");
	if (o->size && o->size < (uint64_t)o->bs * o->iodepth * 2)
		cli_die(CLI_USAGE, "--size: at least twice bs * iodepth is needed");
	if (!o->rounds)
		o->rounds = o->compare ? 8 : 1;
}

int cmd_bench_disk(int argc, char **argv)
{
	struct bench_options o = {
		.rw = LOAD_RANDREAD,
		.rw_name = "randread",
		.engine_name = "io_uring",
		.bs = 4096,
		.iodepth = 32,
		.numjobs = 1,
		.runtime = 5,
		.direct = true,
		.spin_us = 50,
		.cpu_child = -1,
		.cpu_root = -1,
		.mix_read = 50,
	};
	struct bench_result *r = calloc(1, sizeof(*r));
	int i = cli_parse(argc, argv, options, usage, examples, &o), status;

	if (i < argc)
		cli_die(CLI_USAGE, "unexpected '%s'", argv[i]);
	if (!r)
		cli_die(CLI_FAILED, "out of memory");
	check(&o);
	status = bench_disk_run(&o, r);
	if (o.json)
		bench_print_json(&o, r);
	else
		bench_print(&o, r);
	if (o.plot) {
		int err = bench_plot(o.plot, &o, r);

		if (err)
			cli_die(CLI_FAILED, "%s: %s", o.plot, strerror(-err));
	}
	free(r);
	return status;
}
