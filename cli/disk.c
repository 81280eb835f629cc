/* SPDX-License-Identifier: MIT */
/*
 * hvbus disk: the disks of a running root. Images are opened here, with the rights of who
 * types the command, and handed to the root, which opens nothing once it serves.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/cli.h"
#include "cli/disk.h"
#include "hv-core/proc/proc_sock.h"
#include "vmwp/keeper.h"
#include "vmwp/root.h"
#include "vsc/disk_place.h"

/* ---- options ---------------------------------------------------------------------- */

void disk_set_socket(void *ctx, const char *v)
{
	((struct disk_args *)ctx)->socket = v;
}

static void set_disk(void *ctx, const char *v)
{
	((struct disk_args *)ctx)->disk = v;
}

void disk_set_lun(void *ctx, const char *v)
{
	uint8_t controller, lun;

	if (!disk_place_parse(v, &controller, &lun))
		cli_die(CLI_USAGE, "--disk=%s: CONTROLLER:LUN is needed, such as 0:1", v);
	((struct disk_args *)ctx)->disk = v;
}

static void set_size(void *ctx, const char *v)
{
	((struct disk_args *)ctx)->size = cli_size("size", v);
	if (!((struct disk_args *)ctx)->size)
		cli_die(CLI_USAGE, "--size=0: a disk needs a size");
}

void disk_set_wait(void *ctx, const char *v)
{
	double s = cli_seconds("wait", v);

	if (s > 600)
		cli_die(CLI_USAGE, "--wait=%s: 600 seconds are the limit", v);
	((struct disk_args *)ctx)->wait_s = s;
}

static void set_shrink(void *ctx, const char *v)
{
	(void)v;
	((struct disk_args *)ctx)->shrink = true;
}

void disk_set_json(void *ctx, const char *v)
{
	(void)v;
	((struct disk_args *)ctx)->json = true;
}

/* ---- asking ------------------------------------------------------------------------- */

json_t *disk_ask(const struct disk_args *a, json_t *request, const int *fds, int nr_fds)
{
	return cli_ask_json(a->socket, request, fds, nr_fds, 10 + (unsigned)a->wait_s, a->json);
}

/* ---- add ----------------------------------------------------------------------------- */

static const char add_usage[] =
	"usage: hvbus disk add --socket S --disk path=F[,KEY=VALUE...]\n\n"
	"Give a running root one more disk. The image is opened here, with your rights, and\n"
	"handed over, locked. Partitions that have the controller see the disk at once: they are\n"
	"asked to scan their bus again; the answer says which. Partitions that connect later see\n"
	"it in any case. The keys are those of `hvbus serve --disk`.\n";

static const char add_examples[] =
	"  truncate -s 4G more.img\n"
	"  hvbus disk add --socket /tmp/s --disk path=more.img\n"
	"  hvbus disk add --socket /tmp/s --disk path=iso.img,readonly,lun=5\n"
	"  hvbus disk add --socket /tmp/s --disk engine=memory,size=512M,controller=1\n";

static const struct cli_option add_options[] = {
	DISK_SOCKET,
	{ "disk", "KEY=VALUE,...", "the disk, as for `hvbus serve`", set_disk },
	DISK_JSON,
	DISK_END,
};

static void print_partitions(const char *before, const json_t *list)
{
	const json_t *p;
	size_t i;

	if (!json_array_size(list))
		return;
	printf("%s", before);
	json_array_foreach(list, i, p)
		printf("%s%.0f (%s)", i ? ", " : " ", num(p, "id"), str(p, "name"));
	printf("\n");
}

static void print_added(const json_t *o)
{
	const json_t *d = json_object_get(o, "disk");
	const json_t *seen = json_object_get(o, "seen_by");
	const json_t *not_seen = json_object_get(o, "not_seen_by");

	printf("disk %.0f:%.0f  %s  %s\n", num(d, "controller"), num(d, "lun"),
	       cli_human_bytes(num(d, "size")), str(d, "path"));
	print_partitions("seen at once by partition", seen);
	print_partitions("their controller is new, so it is not seen by partition", not_seen);
	if (!json_array_size(seen))
		printf("partitions that connect from now on see it\n");
}

/* The root opens nothing; without them the disk is added all the same. */
static void find_reservations(struct keeper_place *out, const char *path)
{
	int err = keeper_find(out, path);

	if (!err)
		return;
	*out = (struct keeper_place){ -1, -1, "" };
	if (err != -ENOTSUP)
		log_warn("%s: its reservations will not outlive the root: %s", path,
			 strerror(-err));
}

/* What is handed over, with a letter for each: see take_fds() of vmwp/control_disk.c. */
static int gather(const struct blk_image *image, const struct keeper_place *place, int *fds,
		  char *what)
{
	const int all[] = { image->fd, image->flush_fd, place->folder, place->state };
	int n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if (all[i] < 0)
			continue;
		what[n] = "ifds"[i];
		fds[n++] = all[i];
	}
	what[n] = '\0';
	return n;
}

static int run_add(const struct disk_args *a)
{
	char *spec = strdup(a->disk), *path = NULL, why[512] = "", what[5] = "";
	struct keeper_place place = { -1, -1, "" };
	struct blk_image image = { -1, -1 };
	int fds[PROC_MAX_FDS], nr_fds;
	json_t *request, *answer;
	struct root_disk d;

	if (!spec)
		cli_die(CLI_FAILED, "out of memory");
	if (root_parse_disk(&d, spec, why, sizeof(why)))
		cli_die(CLI_USAGE, "--disk %s: %s", a->disk, why);
	request = json_pack("{ss ss}", "do", "disk-add", "disk", a->disk);
	if (d.blk.path) {
		if (blk_image_open(&image, &d.blk, why, sizeof(why)))
			cli_die(CLI_FAILED, "%s", why);
		path = cli_absolute(d.blk.path);
		json_object_set_new(request, "path", path ? json_string(path) : NULL);
		if (d.type == SCSI_DISK)
			find_reservations(&place, d.blk.path);
	}
	nr_fds = gather(&image, &place, fds, what);
	if (nr_fds)
		json_object_set_new(request, "fds", json_string(what));
	answer = disk_ask(a, request, fds, nr_fds);
	keeper_place_close(&place);
	if (!a->json)
		print_added(answer);
	if (d.blk.path)
		blk_image_close(&image);
	json_decref(answer);
	free(path);
	free(spec);
	return CLI_OK;
}

/* ---- remove ------------------------------------------------------------------------- */

static const char remove_usage[] =
	"usage: hvbus disk remove --socket S --disk CTL:LUN [--wait SECONDS]\n\n"
	"Take a disk away from a running root. Partitions find it gone with their next command\n"
	"and are asked to scan their bus again. Requests in flight finish; then the image is\n"
	"flushed, closed and unlocked. When the command succeeds, the file may be used, moved or\n"
	"deleted. When something holds the disk for longer than --wait (5 s), the command fails\n"
	"and says what; the removal goes on.\n";

static const char remove_examples[] = "  hvbus disk remove --socket /tmp/s --disk 0:1\n"
				      "  hvbus disk remove --socket /tmp/s --disk 0:1 --wait 60\n";

static const struct cli_option remove_options[] = {
	DISK_SOCKET,
	DISK_LUN,
	{ "wait", "SECONDS", "for requests in flight and the last flush (default 5)",
	  disk_set_wait },
	DISK_JSON,
	DISK_END,
};

static int run_remove(const struct disk_args *a)
{
	json_t *answer = disk_ask(a,
				  json_pack("{ss ss sI}", "do", "disk-remove", "disk", a->disk,
					    "wait_ms", (json_int_t)(a->wait_s * 1000)),
				  NULL, 0);

	if (!a->json)
		printf("disk %s is removed\n", a->disk);
	json_decref(answer);
	return CLI_OK;
}

/* ---- resize ------------------------------------------------------------------------- */

static const char resize_usage[] =
	"usage: hvbus disk resize --socket S --disk CTL:LUN [--size SIZE] [--shrink]\n\n"
	"Change the size of a disk while it is in use. Without --size the disk becomes as long as\n"
	"its file or device is by now; with --size the file is made that long. Partitions are "
	"told\n"
	"with their next command. What lies behind the new end of a smaller disk is lost, so that\n"
	"needs --shrink.\n";

static const char resize_examples[] =
	"  truncate -s 8G disk.img && hvbus disk resize --socket /tmp/s --disk 0:0\n"
	"  hvbus disk resize --socket /tmp/s --disk 0:0 --size 16G\n"
	"  hvbus disk resize --socket /tmp/s --disk 0:0 --size 4G --shrink\n";

static const struct cli_option resize_options[] = {
	DISK_SOCKET,
	DISK_LUN,
	{ "size", "SIZE", "the new size (default: what the file has)", set_size },
	{ "shrink", NULL, "the disk may become smaller", set_shrink },
	DISK_JSON,
	DISK_END,
};

static int run_resize(const struct disk_args *a)
{
	json_t *answer = disk_ask(a,
				  json_pack("{ss ss sI sb}", "do", "disk-resize", "disk", a->disk,
					    "size", (json_int_t)a->size, "shrink", (int)a->shrink),
				  NULL, 0);

	if (!a->json)
		printf("disk %s has %s\n", a->disk,
		       cli_human_bytes(num(json_object_get(answer, "disk"), "size")));
	json_decref(answer);
	return CLI_OK;
}

/* ---- list ------------------------------------------------------------------------------ */

static const char list_usage[] =
	"usage: hvbus disk list --socket S [--json]\n\n"
	"Show the disks of a running root: place, size, engine, flags, I/O so far, and the\n"
	"partitions that have their controller open; below a disk its limits and its faults on\n"
	"purpose. A drive without a medium says so. `hvbus inspect` shows latencies and errors.\n";

static const char list_examples[] =
	"  hvbus disk list --socket /tmp/s\n"
	"  hvbus disk list --socket /tmp/s --json | jq -r '.disks[] | select(.readonly).path'\n";

static const struct cli_option list_options[] = { DISK_SOCKET, DISK_JSON, DISK_END };

static void flags_of(const json_t *d, char *out, size_t n)
{
	bool readonly = is_true(d, "readonly"), file = json_is_string(json_object_get(d, "path"));
	bool dvd = !strcmp(str(d, "type"), "dvd");
	bool sync = file && !readonly && !strcmp(str(d, "cache"), "writethrough");

	snprintf(out, n, "%s%s%s%s%s", readonly ? "ro" : "rw", dvd ? ",dvd" : "",
		 is_true(d, "direct") ? ",direct" : "", sync ? ",sync" : "",
		 is_true(d, "flush_failed") ? ",FLUSH-FAILED" : "");
}

/* What slows or breaks it on purpose, below its row. */
static void print_policy(const json_t *d)
{
	const json_t *l = json_object_get(d, "limits"), *f;
	size_t i;

	if (num(l, "iops") > 0 || num(l, "bps") > 0)
		printf("       limited to");
	if (num(l, "iops") > 0)
		printf(" %.0f requests/s", num(l, "iops"));
	if (num(l, "bps") > 0)
		printf("%s %s/s", num(l, "iops") > 0 ? " and" : "", cli_human_bytes(num(l, "bps")));
	if (num(l, "iops") > 0 || num(l, "bps") > 0)
		printf(", %.0f ms may be caught up; %.0f wait now\n", num(l, "burst_ms"),
		       num(l, "waiting"));
	json_array_foreach(json_object_get(d, "injected"), i, f)
		printf("       fault %.0f  %s  hit %.0f times, %.0f held now\n", num(f, "id"),
		       str(f, "rule"), num(f, "hits"), num(f, "held"));
}

static void print_row(const json_t *d)
{
	const json_t *users = json_object_get(d, "partitions"), *p;
	char place[16], flags[48];
	size_t i;

	snprintf(place, sizeof(place), "%.0f:%.0f", num(d, "controller"), num(d, "lun"));
	if (!strcmp(str(d, "state"), "leaving")) {
		printf("%-6s being removed\n", place);
		return;
	}
	flags_of(d, flags, sizeof(flags));
	printf("%-6s %-9s %-9s %-10s %8s %8s  ", place, cli_human_bytes(num(d, "size")),
	       str(d, "engine"), flags, cli_human(num(d, "reads")), cli_human(num(d, "writes")));
	json_array_foreach(users, i, p) printf("%s%.0f", i ? "," : "", num(p, "id"));
	printf("%s  %s\n", json_array_size(users) ? "" : "-",
	       !strcmp(str(d, "medium"), "none") ? "(no medium)" : str(d, "path"));
	print_policy(d);
}

static int run_list(const struct disk_args *a)
{
	json_t *answer = disk_ask(a, json_pack("{ss}", "do", "disk-list"), NULL, 0), *d;
	size_t i;

	if (!a->json)
		printf("%-6s %-9s %-9s %-10s %8s %8s  %s\n", "DISK", "SIZE", "ENGINE", "FLAGS",
		       "READS", "WRITES", "PARTITIONS  PATH");
	json_array_foreach(json_object_get(answer, "disks"), i, d)
	{
		if (!a->json)
			print_row(d);
	}
	json_decref(answer);
	return CLI_OK;
}

/* ---- the verbs --------------------------------------------------------------------------- */

static const struct disk_verb disk_add = {
	"add",	     "one more disk, seen by partitions at once",
	add_usage,   add_examples,
	add_options, "path=FILE,... (or engine=memory,size=...) says what to add",
	run_add,
};
static const struct disk_verb disk_remove = {
	"remove",	"take a disk away; its file is free afterwards",
	remove_usage,	remove_examples,
	remove_options, DISK_WHICH,
	run_remove,
};
static const struct disk_verb disk_resize = {
	"resize",	"a larger or smaller disk, while it is in use",
	resize_usage,	resize_examples,
	resize_options, DISK_WHICH,
	run_resize,
};
static const struct disk_verb disk_list = {
	"list",	      "what there is, who uses it and how much",
	list_usage,   list_examples,
	list_options, NULL,
	run_list,
};

static const struct disk_verb *const verbs[] = {
	&disk_list,  &disk_add,	  &disk_remove,	     &disk_resize,
	&disk_limit, &disk_fault, &disk_swap_medium,
};

static int usage(void)
{
	printf("usage: hvbus disk VERB --socket S [OPTION...]\n\n"
	       "The disks of a running root, while partitions use them.\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		printf("  disk %-12s %s\n", verbs[i]->name, verbs[i]->summary);
	printf("\n`hvbus disk VERB --help` explains each.\n\nExamples:\n");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		printf("%s", verbs[i]->examples);
	return CLI_OK;
}

static const struct disk_verb *find_verb(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (!strcmp(verbs[i]->name, name))
			return verbs[i];
	}
	cli_die(CLI_USAGE, "unknown verb '%s'; `hvbus disk --help` lists them", name);
}

int cmd_disk(int argc, char **argv)
{
	static char command[32];
	struct disk_args a = {
		.wait_s = 5, .iops = DISK_KEEP, .bytes = DISK_KEEP, .burst_ms = DISK_KEEP
	};
	const struct disk_verb *v;
	int i;

	if (argc < 2)
		return usage(), CLI_USAGE;
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return usage();
	v = find_verb(argv[1]);
	snprintf(command, sizeof(command), "disk %s", v->name);
	cli_set_command(command);
	i = cli_parse(argc - 1, argv + 1, v->options, v->usage, v->examples, &a) + 1;
	if (i < argc)
		cli_die(CLI_USAGE, "unexpected '%s'", argv[i]);
	if (!a.socket)
		cli_die(CLI_USAGE, "--socket is missing");
	if (v->no_disk && !a.disk)
		cli_die(CLI_USAGE, "--disk is missing: %s", v->no_disk);
	return v->run(&a);
}
