/* SPDX-License-Identifier: MIT */
/*
 * hvbus pause, hvbus resume: orders to a running virtual machine.
 */
#include "cli/json.h"

#define ANSWER_S 10

static const char pause_usage[] =
	"usage: hvbus pause --control S\n\n"
	"Hold the virtual machine at the control socket S where it is: none of its processors "
	"runs\n"
	"until `hvbus resume`. What its disks and NICs had begun still ends. Its clock goes on.\n";
static const char resume_usage[] = "usage: hvbus resume --control S\n\n"
				   "Let a machine go on that `hvbus pause`, or --on-panic pause, "
				   "holds.\n";
static const char pause_examples[] = "  hvbus pause --control /tmp/web1\n";
static const char resume_examples[] = "  hvbus resume --control /tmp/web1\n";

static void set_control(void *ctx, const char *v)
{
	*(const char **)ctx = v;
}

static const struct cli_option options[] = {
	{ "control", "S", "control socket of the machine", set_control },
	{ NULL, NULL, NULL, NULL },
};

static int order(int argc, char **argv, const char *verb, const char *usage, const char *examples)
{
	const char *control = NULL;
	json_t *request;
	int i = cli_parse(argc, argv, options, usage, examples, &control);

	if (i < argc)
		cli_die(CLI_USAGE, "unexpected '%s'", argv[i]);
	if (!control)
		cli_die(CLI_USAGE, "--control is missing");
	request = json_object();
	json_object_set_new(request, "do", json_string(verb));
	json_decref(cli_ask_json(control, request, NULL, 0, ANSWER_S, false));
	return CLI_OK;
}

int cmd_pause(int argc, char **argv)
{
	return order(argc, argv, "vm-pause", pause_usage, pause_examples);
}

int cmd_resume(int argc, char **argv)
{
	return order(argc, argv, "vm-resume", resume_usage, resume_examples);
}
