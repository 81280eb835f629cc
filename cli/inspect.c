/* SPDX-License-Identifier: MIT */
/*
 * hvbus inspect: the state of a running root, as a page for people or JSON.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/json.h"
#include "cli/net.h"

static const char usage[] =
	"usage: hvbus inspect --socket S [--json]\n\n"
	"Show what the root at S is doing: partitions and their bus, channels with the fill of\n"
	"their rings and the signals sent and saved, disks with their I/O, switches with their\n"
	"ports and what was dropped there, whether guests answer heartbeats, faults with\n"
	"reasons. Of a virtual machine also its state and the exits of each VP by reason;\n"
	"--control S is the same as --socket S.\n";

static const char examples[] = "  hvbus inspect --socket /tmp/s\n"
			       "  hvbus inspect --socket /tmp/s --json | jq '.disks[].reads'\n"
			       "  watch -n1 hvbus inspect --socket /tmp/s\n";

struct inspect {
	const char *socket;
	bool json;
};

static void set_socket(void *ctx, const char *v)
{
	((struct inspect *)ctx)->socket = v;
}

static void set_json(void *ctx, const char *v)
{
	(void)v;
	((struct inspect *)ctx)->json = true;
}

static const struct cli_option options[] = {
	{ "socket", "S", "Unix socket of the root", set_socket },
	{ "json", NULL, "one JSON object", set_json },
	{ NULL, NULL, NULL, NULL },
};

static void print_channel(const json_t *c)
{
	double sent = num(c, "signals_sent"), saved = num(c, "signals_suppressed");

	printf("    %-9s %-3.0f relid %-4.0f vp %-3.0f %-10s", str(c, "device"),
	       num(c, "sub_channel"), num(c, "relid"), num(c, "target_vp"), str(c, "state"));
	if (json_object_get(c, "in_size"))
		printf(" rings %2.0f%% %2.0f%%  packets %s in %s out  signals %s sent %s saved",
		       100 * num(c, "in_used") / num(c, "in_size"),
		       100 * num(c, "out_used") / num(c, "out_size"),
		       cli_human(num(c, "packets_in")), cli_human(num(c, "packets_out")),
		       cli_human(sent), cli_human(saved));
	if (json_is_string(json_object_get(c, "fault")))
		printf("  FAULT: %s", str(c, "fault"));
	printf("\n");
}

static void print_controller(const json_t *c)
{
	const json_t *k;
	size_t i;

	printf("  scsi%.0f %s vstor %s  %s requests, %.0f in flight (at most %.0f), oldest "
	       "%.0f us, mean %.0f us, longest %.0f us\n",
	       num(c, "controller"), str(c, "state"), str(c, "version"),
	       cli_human(num(c, "requests")), num(c, "in_flight"), num(c, "max_in_flight"),
	       num(c, "oldest_us"), num(c, "latency_mean_us"), num(c, "latency_max_us"));
	json_array_foreach(json_object_get(c, "stuck"), i, k)
		printf("    STUCK for %.1f s in the %s: LUN %.0f %s LBA %.0f +%.0f\n",
		       num(k, "age_us") / 1e6, str(k, "where"), num(k, "lun"), str(k, "command"),
		       num(k, "lba"), num(k, "blocks"));
}

/* The rest is at its port. */
static void print_nic(const json_t *n)
{
	const json_t *a = json_object_get(n, "adapter");

	printf("  nic%.0f  %s nvsp %s  on %s/%s  %s\n", num(n, "nic"), str(a, "state"),
	       str(a, "nvsp"), str(n, "switch"), str(n, "port"), str(n, "mac"));
}

/* Services that have nothing to tell are left out. */
static void print_integration(const json_t *p)
{
	const json_t *h = json_object_get(p, "heartbeat"), *s;
	size_t i;

	if (json_is_object(h)) {
		printf("  heartbeat %s", str(h, "contact"));
		if (strcmp(str(h, "application"), "unknown"))
			printf(", says it is %s", str(h, "application"));
		if (json_is_number(json_object_get(h, "last_s")))
			printf("  last %.1f s ago, %s of %s answered", num(h, "last_s"),
			       cli_human(num(h, "answered")), cli_human(num(h, "sent")));
		printf("\n");
	}
	json_array_foreach(json_object_get(p, "integration"), i, s)
	{
		if (strcmp(str(s, "state"), "closed") && strcmp(str(s, "service"), "heartbeat"))
			printf("  %s %s %s\n", str(s, "service"), str(s, "state"),
			       str(s, "version"));
		if (num(s, "dropped") > 0)
			printf("  %s: %.0f packets dropped: %s\n", str(s, "service"),
			       num(s, "dropped"), str(s, "last_drop"));
	}
}

/* What each VP left its guest for. */
static void print_machine(const json_t *m)
{
	const json_t *v, *n;
	const char *reason;
	size_t i;

	printf("  machine %s, started %.0f times, %.0f panics  console %s%s\n", str(m, "state"),
	       num(m, "starts"), num(m, "panics"), cli_human_bytes(num(m, "console_bytes")),
	       num(m, "console_lost") > 0 ? ", some of it lost" : "");
	json_array_foreach(json_object_get(m, "vps"), i, v)
	{
		printf("    VP %-3.0f exits", num(v, "vp"));
		json_object_foreach((json_t *)json_object_get(v, "exits"), reason, n)
			printf("  %s %s", cli_human(json_number_value(n)), reason);
		printf("\n");
	}
}

static void print_partition(const json_t *p)
{
	const json_t *bus = json_object_get(p, "bus"), *c;
	size_t i;

	printf("\npartition %.0f  %s  (%s, pid %.0f)  %.0f VPs, %s, up %.0f s\n", num(p, "id"),
	       str(p, "name"), str(p, "kind"), num(p, "pid"), num(p, "vps"),
	       cli_human_bytes(num(p, "memory")), num(p, "age_s"));
	printf("  vmbus %s %s  messages %.0f in %.0f out, %.0f dropped%s%s\n", str(bus, "version"),
	       str(bus, "state"), num(bus, "messages_in"), num(bus, "messages_out"),
	       num(bus, "dropped"), num(bus, "dropped") > 0 ? ": " : "",
	       num(bus, "dropped") > 0 ? str(bus, "last_drop") : "");
	print_integration(p);
	if (json_object_get(p, "machine"))
		print_machine(json_object_get(p, "machine"));
	json_array_foreach(json_object_get(p, "controllers"), i, c) print_controller(c);
	json_array_foreach(json_object_get(p, "nics"), i, c) print_nic(c);
	json_array_foreach(json_object_get(p, "channels"), i, c) print_channel(c);
}

static void print_disk(const json_t *d)
{
	if (!strcmp(str(d, "state"), "leaving")) {
		printf("  %.0f:%-3.0f is being removed\n", num(d, "controller"), num(d, "lun"));
		return;
	}
	printf("  %.0f:%-3.0f %-9s %-9s %s%s%s\n", num(d, "controller"), num(d, "lun"),
	       cli_human_bytes(num(d, "size")), str(d, "engine"), str(d, "path"),
	       json_is_true(json_object_get(d, "readonly")) ? " read-only" : "",
	       json_is_true(json_object_get(d, "direct")) ? " direct" : "");
	printf("        %s reads %s, %s writes %s, %s flushes  latency mean %.0f us, longest %.0f "
	       "us\n",
	       cli_human(num(d, "reads")), cli_human_bytes(num(d, "read_bytes")),
	       cli_human(num(d, "writes")), cli_human_bytes(num(d, "written_bytes")),
	       cli_human(num(d, "flushes")), num(d, "latency_mean_us"), num(d, "latency_max_us"));
	if (num(d, "in_flight") > 0)
		printf("        %.0f in flight, the oldest for %.0f us\n", num(d, "in_flight"),
		       num(d, "oldest_us"));
	if (num(d, "errors") > 0)
		printf("        %.0f errors, last sense %s%s\n", num(d, "errors"),
		       str(d, "last_error"),
		       json_is_true(json_object_get(d, "flush_failed")) ? "  FLUSH FAILED" : "");
}

/* One line: what a root that is taken over could still do. */
static void print_sandbox(const json_t *s)
{
	const json_t *fds = json_object_get(s, "max_fds");

	if (!strcmp(str(s, "seccomp"), "off")) {
		printf("      sandbox OFF: a guest that takes the root over has its user's "
		       "rights\n");
		return;
	}
	printf("      sandbox%s  capabilities %s  seccomp %s  landlock %s",
	       json_is_true(json_object_get(s, "no_new_privs")) ? "  no_new_privs" : "",
	       str(s, "capabilities"), str(s, "seccomp"), str(s, "landlock"));
	if (json_is_integer(fds))
		printf("  at most %.0f descriptors", json_number_value(fds));
	printf("\n");
}

static void print_all(const json_t *o)
{
	const json_t *r = json_object_get(o, "root"), *e;
	size_t i;

	printf("root  pid %.0f  %s  up %.0f s  loop %s + %.0f io threads  partitions %.0f now, "
	       "%.0f served\n",
	       num(r, "pid"), str(r, "socket"), num(r, "uptime_s"), str(r, "loop"),
	       num(r, "io_threads"), num(r, "partitions_now"), num(r, "partitions_served"));
	print_sandbox(json_object_get(r, "sandbox"));
	printf("      requests are stuck after %.0f ms\n", num(r, "stuck_ms"));
	if (json_array_size(json_object_get(o, "disks")))
		printf("\ndisks\n");
	json_array_foreach(json_object_get(o, "disks"), i, e) print_disk(e);
	json_array_foreach(json_object_get(o, "switches"), i, e) net_print_switch(e);
	json_array_foreach(json_object_get(o, "partitions"), i, e) print_partition(e);
	if (json_array_size(json_object_get(o, "faults")))
		printf("\nfaults\n");
	json_array_foreach(json_object_get(o, "faults"), i, e)
		printf("  %.0f s ago  partition %.0f (%s): %s\n", num(e, "seconds_ago"),
		       num(e, "partition"), str(e, "name"), str(e, "why"));
}

int cmd_inspect(int argc, char **argv)
{
	struct inspect in = { 0 };
	int i = cli_parse(argc, argv, options, usage, examples, &in);
	json_error_t error;
	json_t *o;
	char *answer;

	if (i < argc)
		cli_die(CLI_USAGE, "unexpected '%s'", argv[i]);
	if (!in.socket)
		cli_die(CLI_USAGE, "--socket is missing");
	answer = cli_ask_root(in.socket, "inspect");
	if (in.json) {
		printf("%s\n", answer);
		free(answer);
		return CLI_OK;
	}
	o = json_loads(answer, 0, &error);
	free(answer);
	if (!o)
		cli_die(CLI_FAILED, "the root's answer is not JSON: %s", error.text);
	print_all(o);
	json_decref(o);
	return CLI_OK;
}
