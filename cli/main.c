/* SPDX-License-Identifier: MIT */
/*
 * hvbus: one command, git-like subcommands.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cli/cli.h"

static const struct cli_command commands[] = {
	{ "demo",
	  "the whole story in under a minute: guests with disks, a benchmark, guests with NICs",
	  cmd_demo },
	{ "serve", "be the root partition: synthetic disks and NICs for child partitions",
	  cmd_serve },
	{ "run", "boot a Linux kernel in a virtual machine that is Hyper-V to it, on KVM",
	  cmd_run },
	{ "attach",
	  "become a child partition: disks over NBD or as SCSI devices, NICs of a command",
	  cmd_attach },
	{ "pause", "hold a virtual machine of `hvbus run` where it is", cmd_pause },
	{ "resume", "let it go on", cmd_resume },
	{ "inspect", "show partitions, channels, disks, switches and faults of a running root",
	  cmd_inspect },
	{ "shutdown", "ask a guest to shut down, and wait until it has", cmd_shutdown },
	{ "reboot", "ask a virtual machine to restart, and wait until it does", cmd_reboot },
	{ "disk", "add, remove, resize and list the disks of a running root", cmd_disk },
	{ "net", "link, limits, rules and captures of a running root's switches", cmd_net },
	{ "bench", "measure the path: `bench disk`, `bench ring`, `bench net`", cmd_bench },
};

static const struct cli_command benches[] = {
	{ "disk", "a child partition's disk I/O, fio's option names, beside raw io_uring",
	  cmd_bench_disk },
	{ "ring", "the VMBus ring between two processes, beside a plain reference ring",
	  cmd_bench_ring },
	{ "net", "NICs of child partitions through the switch, beside the kernel's veth",
	  cmd_bench_net },
};

static void list(const char *prefix, const struct cli_command *c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		printf("  %s%-10s %s\n", prefix, c[i].name, c[i].summary);
}

static int usage(void)
{
	printf("hvbus " HVBUS_VERSION ": Hyper-V's synthetic I/O stack, open, on Linux\n\n"
	       "usage: hvbus COMMAND [OPTION...]\n\n");
	list("", commands, ARRAY_SIZE(commands));
	printf("\n`hvbus COMMAND --help` explains each with examples; `man hvbus` has the whole.\n"
	       "Start with `hvbus demo`.\n");
	return CLI_OK;
}

static const struct cli_command *find(const struct cli_command *c, size_t n, const char *name)
{
	for (; n; n--, c++) {
		if (!strcmp(c->name, name))
			return c;
	}
	return NULL;
}

int cmd_bench(int argc, char **argv)
{
	static char name[16]; /* is kept */
	const struct cli_command *c;

	if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		printf("usage: hvbus bench disk|ring|net [OPTION...]\n\n");
		list("bench ", benches, ARRAY_SIZE(benches));
		return argc < 2 ? CLI_USAGE : CLI_OK;
	}
	c = find(benches, ARRAY_SIZE(benches), argv[1]);
	if (!c)
		cli_die(CLI_USAGE, "unknown benchmark '%s'; there are disk, ring and net", argv[1]);
	snprintf(name, sizeof(name), "bench %s", c->name);
	cli_set_command(name);
	return c->run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	const struct cli_command *c;

	if (argc < 2)
		return usage(), CLI_USAGE;
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		return usage();
	if (!strcmp(argv[1], "--version")) {
		printf("hvbus " HVBUS_VERSION "\n");
		return CLI_OK;
	}
	c = find(commands, ARRAY_SIZE(commands), argv[1]);
	if (!c)
		cli_die(CLI_USAGE, "unknown command '%s'; `hvbus --help` lists them", argv[1]);
	cli_set_command(c->name);
	log_set_name("hvbus");
	return c->run(argc - 1, argv + 1);
}
