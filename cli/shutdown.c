/* SPDX-License-Identifier: MIT */
/*
 * hvbus shutdown, hvbus reboot: ask a guest by the shutdown service. A guest that is not gone, or
 * not there again, in time is an exit status of its own, so that scripts can tell it from one that
 * refused.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/json.h"

#define EXIT_LATE    3
#define DEFAULT_S    60
#define MAX_S	     600
#define ROOT_SLACK_S 5 /* longer than the root takes to say that it waited in vain */

static const char shutdown_usage[] =
	"usage: hvbus shutdown --control S [--guest NAME|N] [--timeout S] [--reboot | --hibernate "
	"|\n"
	"                      --force]\n\n"
	"Ask a guest of the root at S to shut down, through its shutdown service, and wait until "
	"it\n"
	"is gone. `hvbus inspect` shows whether a guest has that service open. Exit status 1: it\n"
	"refused, or cannot be asked; 3: it was not gone in time, and may still go.\n";

static const char shutdown_examples[] =
	"  hvbus shutdown --control /tmp/s --guest web\n"
	"  hvbus shutdown --control /tmp/s --guest 3 --timeout 20 ||\n"
	"    hvbus shutdown --control /tmp/s --guest 3 --force\n";

static const char reboot_usage[] =
	"usage: hvbus reboot --control S [--guest NAME|N] [--timeout S] [--force]\n\n"
	"Ask a virtual machine of the root at S to restart, through its shutdown service, and "
	"wait\n"
	"until its kernel begins anew, with the same disks and NICs. Exit status 1: it refused, "
	"cannot\n"
	"be asked, or ended instead; 3: it has not restarted in time, and may still do.\n";

static const char reboot_examples[] = "  hvbus reboot --control /tmp/web1\n"
				      "  hvbus reboot --control /tmp/web1 --timeout 20 ||\n"
				      "    hvbus reboot --control /tmp/web1 --force\n";

struct shutdown_args {
	const char *verb, *socket, *guest, *kind;
	bool force;
	double timeout_s;
};

static void set_control(void *ctx, const char *v)
{
	((struct shutdown_args *)ctx)->socket = v;
}

static void set_guest(void *ctx, const char *v)
{
	((struct shutdown_args *)ctx)->guest = v;
}

static void set_timeout(void *ctx, const char *v)
{
	double s = cli_seconds("timeout", v);

	if (s < 0.1 || s > MAX_S)
		cli_die(CLI_USAGE, "--timeout=%s: 0.1 to %d seconds are possible", v, MAX_S);
	((struct shutdown_args *)ctx)->timeout_s = s;
}

static void set_kind(struct shutdown_args *a, const char *kind)
{
	if (a->kind)
		cli_die(CLI_USAGE, "--%s and --%s: one at a time", a->kind, kind);
	a->kind = kind;
}

static void set_reboot(void *ctx, const char *v)
{
	(void)v;
	set_kind(ctx, "reboot");
}

static void set_hibernate(void *ctx, const char *v)
{
	(void)v;
	set_kind(ctx, "hibernate");
}

static void set_force(void *ctx, const char *v)
{
	(void)v;
	set_kind(ctx, "force");
	((struct shutdown_args *)ctx)->force = true;
}

static const struct cli_option shutdown_options[] = {
	{ "control", "S", "Unix socket of the root", set_control },
	{ "guest", "NAME|N", "which guest, by name or number (default: the only one)", set_guest },
	{ "timeout", "S", "seconds until it has to be gone (default 60)", set_timeout },
	{ "reboot", NULL, "ask it to restart; wait until it agrees", set_reboot },
	{ "hibernate", NULL, "ask it to hibernate", set_hibernate },
	{ "force", NULL, "do not ask: end it now, as if its power had failed", set_force },
	{ NULL, NULL, NULL, NULL },
};

static const struct cli_option reboot_options[] = {
	{ "control", "S", "Unix socket of the machine", set_control },
	{ "guest", "NAME|N", "which guest, by name or number (default: the only one)", set_guest },
	{ "timeout", "S", "seconds until it has to have restarted (default 60)", set_timeout },
	{ "force", NULL, "do not ask: reset it now, as its reset button would; if it is held, too",
	  set_force },
	{ NULL, NULL, NULL, NULL },
};

static json_t *request(const struct shutdown_args *a)
{
	json_t *o = json_object();

	json_object_set_new(o, "do", json_string(a->verb));
	json_object_set_new(o, "wait_ms", json_integer((json_int_t)(a->timeout_s * 1000)));
	if (a->guest)
		json_object_set_new(o, "guest", json_string(a->guest));
	if (a->force)
		json_object_set_new(o, "cut", json_true());
	else if (a->kind)
		json_object_set_new(o, "kind", json_string(a->kind));
	return o;
}

/* Prints what came of it, with the status that scripts look at if it failed. Takes @answer. */
static void report(json_t *answer)
{
	const char *error = json_string_value(json_object_get(answer, "error"));
	char why[512];
	bool late = num(answer, "errno") == ETIMEDOUT;

	if (error)
		snprintf(why, sizeof(why), "%s", error);
	else
		printf("guest %s: %s\n", str(answer, "guest"), str(answer, "result"));
	json_decref(answer);
	if (error)
		cli_die(late ? EXIT_LATE : CLI_FAILED, "%s", why);
}

static int ask(const struct shutdown_args *a)
{
	char *text, *answer;
	json_error_t error;
	json_t *o;

	if (!a->socket)
		cli_die(CLI_USAGE, "--control is missing");
	o = request(a);
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	if (!text)
		cli_die(CLI_USAGE, "the arguments must be UTF-8");
	answer = cli_ask_root_with(a->socket, text, NULL, 0, (unsigned)a->timeout_s + ROOT_SLACK_S);
	free(text);
	o = json_loads(answer, 0, &error);
	free(answer);
	if (!o)
		cli_die(CLI_FAILED, "the root's answer is not JSON: %s", error.text);
	report(o);
	return CLI_OK;
}

int cmd_shutdown(int argc, char **argv)
{
	struct shutdown_args a = { .verb = "guest-shutdown", .timeout_s = DEFAULT_S };
	int i = cli_parse(argc, argv, shutdown_options, shutdown_usage, shutdown_examples, &a);

	if (i < argc)
		cli_die(CLI_USAGE, "unexpected '%s'", argv[i]);
	return ask(&a);
}

int cmd_reboot(int argc, char **argv)
{
	struct shutdown_args a = { .verb = "guest-reboot", .timeout_s = DEFAULT_S };
	int i = cli_parse(argc, argv, reboot_options, reboot_usage, reboot_examples, &a);

	if (i < argc)
		cli_die(CLI_USAGE, "unexpected '%s'", argv[i]);
	return ask(&a);
}
