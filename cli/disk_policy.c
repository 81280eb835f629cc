/* SPDX-License-Identifier: MIT */
/*
 * hvbus disk limit, hvbus disk fault: what stands between a disk and those who use it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/disk.h"
#include "vsc/disk_place.h"

/* ---- limit ------------------------------------------------------------------------- */

static void set_iops(void *ctx, const char *v)
{
	((struct disk_args *)ctx)->iops = (int64_t)cli_number("iops", v, 0, BLK_MAX_IOPS);
}

static void set_bytes(void *ctx, const char *v)
{
	uint64_t n = cli_size("bytes", v);

	if (n > BLK_MAX_BPS)
		cli_die(CLI_USAGE, "--bytes=%s: 16T are the limit", v);
	((struct disk_args *)ctx)->bytes = (int64_t)n;
}

static void set_burst(void *ctx, const char *v)
{
	((struct disk_args *)ctx)->burst_ms = (int64_t)cli_number("burst", v, 1, BLK_MAX_BURST);
}

static void set_none(void *ctx, const char *v)
{
	(void)v;
	((struct disk_args *)ctx)->none = true;
}

static const char limit_usage[] =
	"usage: hvbus disk limit --socket S --disk CTL:LUN [--iops N] [--bytes SIZE] [--burst MS]\n"
	"       hvbus disk limit --socket S --disk CTL:LUN --none\n\n"
	"Limit what all partitions together may do with a disk: requests per second, bytes read\n"
	"and written per second. Partitions that wait get equal shares, however many requests\n"
	"each has. What is not given stays as it is; 0 takes one limit away, --none all. It holds\n"
	"from the next request on; who waits under an old limit goes by the new one.\n";

static const char limit_examples[] =
	"  hvbus disk limit --socket /tmp/s --disk 0:0 --iops 500 --bytes 20M\n"
	"  hvbus disk limit --socket /tmp/s --disk 0:0 --bytes 0 --burst 1000\n"
	"  hvbus disk limit --socket /tmp/s --disk 0:0 --none\n";

static const struct cli_option limit_options[] = {
	DISK_SOCKET,
	DISK_LUN,
	{ "iops", "N", "requests per second; 0 = no limit", set_iops },
	{ "bytes", "SIZE", "bytes per second; 0 = no limit", set_bytes },
	{ "burst", "MS", "unused time that may be caught up (default 100)", set_burst },
	{ "none", NULL, "no limit at all", set_none },
	DISK_JSON,
	DISK_END,
};

static void add_number(json_t *request, const char *key, int64_t v)
{
	if (v != DISK_KEEP)
		json_object_set_new(request, key, json_integer(v));
}

static void print_limits(const struct disk_args *a, const json_t *l)
{
	printf("disk %s has ", a->disk);
	if (num(l, "iops") > 0)
		printf("%.0f requests/s", num(l, "iops"));
	if (num(l, "iops") > 0 && num(l, "bps") > 0)
		printf(" and ");
	if (num(l, "bps") > 0)
		printf("%s/s", cli_human_bytes(num(l, "bps")));
	printf("%s\n", json_is_object(l) ? "" : "no limits");
}

static int run_limit(const struct disk_args *a)
{
	bool some = a->iops != DISK_KEEP || a->bytes != DISK_KEEP || a->burst_ms != DISK_KEEP;
	json_t *request, *answer;

	if (some == a->none)
		cli_die(CLI_USAGE, "--iops, --bytes, --burst or --none is needed%s",
			some ? ", and --none only alone" : "");
	request = json_pack("{ss ss}", "do", "disk-limit", "disk", a->disk);
	add_number(request, "iops", a->none ? 0 : a->iops);
	add_number(request, "bps", a->none ? 0 : a->bytes);
	add_number(request, "burst_ms", a->burst_ms);
	answer = disk_ask(a, request, NULL, 0);
	if (!a->json)
		print_limits(a, json_object_get(json_object_get(answer, "disk"), "limits"));
	json_decref(answer);
	return CLI_OK;
}

const struct disk_verb disk_limit = {
	"limit",       "requests and bytes per second, fair between partitions",
	limit_usage,   limit_examples,
	limit_options, DISK_WHICH,
	run_limit,
};

/* ---- fault ----------------------------------------------------------------------------- */

static void set_fault(void *ctx, const char *v)
{
	((struct disk_args *)ctx)->set = v;
}

static void set_clear(void *ctx, const char *v)
{
	if (strcmp(v, "all"))
		cli_number("clear", v, 1, UINT32_MAX);
	((struct disk_args *)ctx)->clear = v;
}

static void set_seed(void *ctx, const char *v)
{
	((struct disk_args *)ctx)->seed = cli_number("seed", v, 1, INT64_MAX);
}

static const char fault_usage[] =
	"usage: hvbus disk fault --socket S --disk CTL:LUN [--set SPEC [--seed N]] [--clear "
	"ID|all]\n\n"
	"Make a disk fail on purpose, to see what guests do. Without --set and --clear the faults\n"
	"that there are, with their hits and what they hold.\n\n"
	"SPEC is OPS[:RANGE][:ERROR][:P%][:delay=TIME][:stuck][:times=N], several joined by '+':\n"
	"  OPS     all, or some of read write flush discard zero joined by '/'\n"
	"  RANGE   LBA or FIRST-LAST, in blocks of the disk\n"
	"  ERROR   eio enospc etimedout erofs enodev enxio edquot efbig eilseq enomem\n"
	"  P%      of the requests that match, such as 10% or 0.5%\n"
	"  delay   TIME with us, ms or s; the request is done, or fails, later\n"
	"  stuck   the request hangs until the fault is cleared\n"
	"  times   so many hits, then no more\n"
	"A request meets the first fault that matches. After a flush that failed, every flush "
	"fails\n"
	"until the disk is opened again, as with a real one. --clear lets go of what is stuck.\n";

static const char fault_examples[] =
	"  hvbus disk fault --socket /tmp/s --disk 0:0 --set write:5000-6000:eio:10%:delay=20ms\n"
	"  hvbus disk fault --socket /tmp/s --disk 0:0 --set read:stuck:times=1\n"
	"  hvbus disk fault --socket /tmp/s --disk 0:0\n"
	"  hvbus disk fault --socket /tmp/s --disk 0:0 --clear all\n";

static const struct cli_option fault_options[] = {
	DISK_SOCKET,
	DISK_LUN,
	{ "set", "SPEC", "one more fault, or several", set_fault },
	{ "seed", "N", "which requests P% are follows from it and their order", set_seed },
	{ "clear", "ID", "take one away, or all; what it held goes on", set_clear },
	DISK_JSON,
	DISK_END,
};

static json_t *fault_request(const struct disk_args *a)
{
	json_t *request;

	if (a->set) {
		request = json_pack("{ss ss ss}", "do", "disk-fault-add", "disk", a->disk, "fault",
				    a->set);
		if (a->seed)
			json_object_set_new(request, "seed", json_integer((json_int_t)a->seed));
		return request;
	}
	return json_pack("{ss ss sI}", "do", "disk-fault-clear", "disk", a->disk, "id",
			 (json_int_t)(strcmp(a->clear, "all") ? strtoll(a->clear, NULL, 10) : 0));
}

static void print_faults(const struct disk_args *a, const json_t *disk)
{
	const json_t *list = json_object_get(disk, "injected"), *f;
	size_t i;

	if (!json_array_size(list))
		printf("disk %s has no faults\n", a->disk);
	else
		printf("%4s %8s %6s  %s\n", "ID", "HITS", "HELD", "FAULT");
	json_array_foreach(list, i, f)
		printf("%4.0f %8s %6.0f  %s\n", num(f, "id"), cli_human(num(f, "hits")),
		       num(f, "held"), str(f, "rule"));
}

/* Of the list; NULL: it is not there. */
static const json_t *find_disk(const struct disk_args *a, const json_t *list)
{
	uint8_t controller, lun;
	const json_t *d;
	size_t i;

	if (!disk_place_parse(a->disk, &controller, &lun))
		return NULL;

	json_array_foreach(list, i, d)
	{
		if (num(d, "controller") == controller && num(d, "lun") == lun)
			return d;
	}
	return NULL;
}

static int list_faults(const struct disk_args *a)
{
	struct disk_args quiet = *a;
	json_t *answer, *faults;
	const json_t *d;

	quiet.json = false;
	answer = disk_ask(&quiet, json_pack("{ss}", "do", "disk-list"), NULL, 0);
	d = find_disk(a, json_object_get(answer, "disks"));
	if (!d) {
		json_decref(answer);
		cli_die(CLI_FAILED, "disk %s: there is none; `hvbus disk list` shows what is",
			a->disk);
	}
	faults = json_pack("{sO}", "disk", d);
	if (a->json)
		json_dumpf(faults, stdout, JSON_COMPACT), printf("\n");
	else
		print_faults(a, d);
	json_decref(faults);
	json_decref(answer);
	return CLI_OK;
}

static int run_fault(const struct disk_args *a)
{
	json_t *answer;

	if (a->set && a->clear)
		cli_die(CLI_USAGE, "--set and --clear: one at a time");
	if (a->seed && !a->set)
		cli_die(CLI_USAGE, "--seed goes with --set");
	if (!a->set && !a->clear)
		return list_faults(a);
	answer = disk_ask(a, fault_request(a), NULL, 0);
	if (!a->json)
		print_faults(a, json_object_get(answer, "disk"));
	json_decref(answer);
	return CLI_OK;
}

const struct disk_verb disk_fault = {
	"fault",       "errors, delays and hangs on purpose",
	fault_usage,   fault_examples,
	fault_options, DISK_WHICH,
	run_fault,
};
