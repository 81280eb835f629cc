/* SPDX-License-Identifier: MIT */
/*
 * hvbus disk swap-medium: what is in a drive.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/disk.h"

static void set_medium(void *ctx, const char *v)
{
	((struct disk_args *)ctx)->medium = v;
}

static void set_eject(void *ctx, const char *v)
{
	(void)v;
	((struct disk_args *)ctx)->eject = true;
}

static const char medium_usage[] =
	"usage: hvbus disk swap-medium --socket S --disk CTL:LUN --medium path=F[,KEY=VALUE...]\n"
	"       hvbus disk swap-medium --socket S --disk CTL:LUN --eject\n\n"
	"Put an image into a drive (a disk of type=dvd), instead of the one that is in it or into\n"
	"an empty one; or take out what is in it. This is the hand of the owner: it works also\n"
	"while a guest prevents the removal. Guests hear of it with their next command. The image\n"
	"is opened here, with your rights, and handed over, locked. When the command succeeds, "
	"the\n"
	"file of the medium before is free; when that is still being read after --wait (5 s), the\n"
	"command fails and says so, and the new medium is in all the same.\n\n"
	"Keys: path=FILE, engine=NAME, direct=on|off, size=SIZE, fault=SPEC, as for `hvbus "
	"serve`.\n"
	"Limits are the drive's and stay; faults are the medium's and go with it.\n";

static const char medium_examples[] =
	"  hvbus disk add --socket /tmp/s --disk type=dvd,lun=7     # an empty drive\n"
	"  hvbus disk swap-medium --socket /tmp/s --disk 0:7 --medium path=second.iso\n"
	"  hvbus disk swap-medium --socket /tmp/s --disk 0:7 --eject\n";

static const struct cli_option medium_options[] = {
	DISK_SOCKET,
	DISK_LUN,
	{ "medium", "KEY=VALUE,...", "the image that is put in", set_medium },
	{ "eject", NULL, "nothing is in the drive afterwards", set_eject },
	{ "wait", "SECONDS", "for who still reads the one before (default 5)", disk_set_wait },
	DISK_JSON,
	DISK_END,
};

static json_t *request_of(const struct disk_args *a)
{
	return json_pack("{ss ss sI}", "do", "disk-medium", "disk", a->disk, "wait_ms",
			 (json_int_t)(a->wait_s * 1000));
}

static json_t *insert(const struct disk_args *a)
{
	char *spec = strdup(a->medium), *path = NULL, why[512] = "";
	struct blk_image image = { -1, -1 };
	json_t *request, *answer;
	struct root_disk d;

	if (!spec)
		cli_die(CLI_FAILED, "out of memory");
	if (root_parse_medium(&d, spec, why, sizeof(why)))
		cli_die(CLI_USAGE, "--medium %s: %s", a->medium, why);
	if (d.blk.path && blk_image_open(&image, &d.blk, why, sizeof(why)))
		cli_die(CLI_FAILED, "%s", why);
	request = request_of(a);
	json_object_set_new(request, "medium", json_string(a->medium));
	if (d.blk.path) {
		path = cli_absolute(d.blk.path);
		json_object_set_new(request, "path", path ? json_string(path) : NULL);
	}
	answer = disk_ask(a, request, &image.fd, (image.fd >= 0) + (image.flush_fd >= 0));
	if (d.blk.path)
		blk_image_close(&image);
	free(path);
	free(spec);
	return answer;
}

static int run_swap(const struct disk_args *a)
{
	json_t *answer;

	if (!a->medium == !a->eject)
		cli_die(CLI_USAGE, "--medium path=FILE says what to put in, --eject takes out: one "
				   "of the two is needed");
	answer = a->eject ? disk_ask(a, request_of(a), NULL, 0) : insert(a);
	if (!a->json && a->eject)
		printf("disk %s is empty\n", a->disk);
	else if (!a->json)
		printf("disk %s has %s  %s\n", a->disk,
		       cli_human_bytes(num(json_object_get(answer, "disk"), "size")),
		       str(json_object_get(answer, "disk"), "path"));
	json_decref(answer);
	return CLI_OK;
}

const struct disk_verb disk_swap_medium = {
	"swap-medium",	"put an image into a drive, or take it out",
	medium_usage,	medium_examples,
	medium_options, DISK_WHICH,
	run_swap,
};
