/* SPDX-License-Identifier: MIT */
/*
 * hvbus run: a virtual machine on KVM, with the disks and NICs of a root.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/root_options.h"

enum { RUN_PANIC = 3, RUN_STOPPED = 4 };

static const char usage[] =
	"usage: hvbus run --kernel K [--initrd I] [--append TEXT] [--memory SIZE] [--cpus N]\n"
	"                 [--disk path=F[,KEY=VALUE...]]... [--switch "
	"name=N,type=T[,KEY=VALUE...]]...\n"
	"                 [--nic switch=N[,KEY=VALUE...]]... [OPTION...]\n\n"
	"Boot an unmodified Linux kernel in a virtual machine that is Hyper-V to it: its disks "
	"are\n"
	"hv_storvsc's, its NICs hv_netvsc's, both drivers of every distribution. Needs /dev/kvm of "
	"a\n"
	"kernel with Hyper-V's SynIC, and says so if that is missing. The kernel is a bzImage\n"
	"(/boot/vmlinuz-*) or an ELF image (vmlinux); with an initrd that loads hv_storvsc, or "
	"one\n"
	"with it built in, root=/dev/sda is the first disk.\n\n"
	"The console is the guest's first serial port: have console=ttyS0 in --append. On a\n"
	"terminal Ctrl-A x ends the machine as pulling the plug does (Ctrl-A Ctrl-A types "
	"Ctrl-A).\n\n"
	"Exit status: 0 the guest switched itself off; 1 it could not be started, or not go on;\n"
	"2 wrong usage; 3 it panicked, with --on-panic exit; 4 it was ended from outside, by a "
	"signal\n"
	"or Ctrl-A x. At SIGTERM the exits of each VP are logged by reason.\n\n" ROOT_DISK_KEYS
		ROOT_SWITCH_KEYS
	"Keys of --nic: switch=NAME, and as `hvbus attach --nic`: mac, name, vlan, queues, mtu.\n";

static const char examples[] =
	"  hvbus run --kernel /boot/vmlinuz-$(uname -r) --initrd /boot/initrd.img-$(uname -r) \\\n"
	"      --append 'console=ttyS0 root=/dev/sda rw' --disk path=debian.img\n"
	"  hvbus run --kernel vmlinuz --append 'console=ttyS0 root=/dev/sda' --memory 2G --cpus 4 "
	"\\\n"
	"      --disk path=debian.img --switch name=net,type=nat --nic switch=net\n"
	"  hvbus run ... --name web1 --control /tmp/web1 --console unix:/tmp/web1.console\n"
	"  hvbus inspect --socket /tmp/web1             # VPs, exits, channels, disks, NICs\n"
	"  hvbus attach --socket /tmp/web1 --nic switch=net -- ip addr  # a process beside the "
	"VM\n"
	"  hvbus run ... --name web2 --switch name=net,type=joined,root=/tmp/web1 --nic "
	"switch=net\n"
	"  hvbus net add --control /tmp/web1 --nic switch=net           # one more NIC, at once\n";

struct run {
	struct root_options root; /* the first: its setters take us for it */
	struct machine_config machine;
	const char *kernel, *initrd;
	char wishes[4096];
};

static struct root *running;

static void on_signal(int sig)
{
	(void)sig;
	root_stop(running);
}

/* ---- options ------------------------------------------------------------------------ */

static struct run *run_of(void *ctx)
{
	return container_of(ctx, struct run, root);
}

static void set_kernel(void *ctx, const char *v)
{
	run_of(ctx)->kernel = v;
}

static void set_initrd(void *ctx, const char *v)
{
	run_of(ctx)->initrd = v;
}

static void set_append(void *ctx, const char *v)
{
	run_of(ctx)->machine.cmdline = v;
}

static void set_memory(void *ctx, const char *v)
{
	run_of(ctx)->machine.memory = cli_size("memory", v);
}

static void set_cpus(void *ctx, const char *v)
{
	run_of(ctx)->machine.nr_vps = (uint32_t)cli_number("cpus", v, 1, HV_MAX_VPS);
}

static void set_nic(void *ctx, const char *v)
{
	struct run *s = run_of(ctx);
	size_t at = strlen(s->wishes);
	char *copy = strdup(v), why[256];
	struct root_nic nic;

	if (!copy)
		cli_die(CLI_FAILED, "out of memory");
	if (root_parse_nic(&nic, copy, why, sizeof(why)))
		cli_die(CLI_USAGE, "--nic %s: %s", v, why);
	free(copy);
	if ((size_t)snprintf(s->wishes + at, sizeof(s->wishes) - at, "nic %s\n", v) >=
	    sizeof(s->wishes) - at)
		cli_die(CLI_USAGE, "--nic: %zu characters are the limit of all together",
			sizeof(s->wishes) - 1);
	s->machine.nics = s->wishes;
}

static void set_console(void *ctx, const char *v)
{
	run_of(ctx)->machine.console = v;
}

static void set_on_panic(void *ctx, const char *v)
{
	static const char *const names[] = { "exit", "reboot", "pause", NULL };

	run_of(ctx)->machine.on_panic = (enum machine_panic)cli_choice("on-panic", v, names);
}

static void set_name(void *ctx, const char *v)
{
	size_t len = strlen(v);

	for (size_t i = 0; i < len; i++)
		if (!isgraph((unsigned char)v[i]))
			len = 0;
	if (!len || len > 31)
		cli_die(CLI_USAGE, "--name=%s: 1 to 31 printable characters are needed", v);
	run_of(ctx)->machine.name = v;
}

static void set_control(void *ctx, const char *v)
{
	run_of(ctx)->root.cfg.socket = v;
}

static const struct cli_option options[] = {
	{ "kernel", "FILE", "bzImage or vmlinux", set_kernel },
	{ "initrd", "FILE", "initial RAM disk", set_initrd },
	{ "append", "TEXT", "the kernel's command line", set_append },
	{ "memory", "SIZE", "of the guest, a multiple of 2M (default 512M)", set_memory },
	{ "cpus", "N", "virtual processors, 1 to 64 (default 1)", set_cpus },
	{ "disk", "KEY=VALUE,...", "a disk; repeat for more", root_set_disk },
	{ "switch", "KEY=VALUE,...", "a virtual switch; repeat for more", root_set_switch },
	{ "nic", "switch=NAME,...", "a NIC of the guest; repeat for more", set_nic },
	{ "mirror", "switch=N,port=P,file=F", "capture a port, from when it is there",
	  root_set_mirror },
	{ "console", "WHERE", "stdio (default), file:FILE, or unix:SOCKET for one client",
	  set_console },
	{ "on-panic", "WHAT",
	  "exit (default), reboot: when the guest resets or is silent for 10 s; pause: at once",
	  set_on_panic },
	{ "name", "NAME", "of the machine, for people and addresses (default vm)", set_name },
	{ "control", "S", "Unix socket for `hvbus inspect`, `shutdown`, `disk`, `net`, `attach`",
	  set_control },
	{ "io-threads", "N", "threads that share the channels (default 0: the main one)",
	  root_set_io_threads },
	{ "poll", "MODE", "never, adaptive (spin at most 50 us; default), always", root_set_poll },
	{ "loop", "ENGINE", "auto, io_uring or epoll", root_set_loop },
	{ "cpu", "N", "pin the main thread", root_set_cpu },
	{ "stuck-ms", "N", "report requests that are older than N ms (default 10000)",
	  root_set_stuck_ms },
	{ "integration", "LIST",
	  "services that the guest is offered: heartbeat,shutdown (default), all or none",
	  root_set_integration },
	{ "heartbeat-ms", "N", "ask the guest every N ms whether it lives (default 2000)",
	  root_set_heartbeat_ms },
	{ "sandbox", "MODE", "on (default), log, off: see `hvbus serve`", root_set_sandbox },
	{ "verbose", NULL, "log more", root_set_verbose },
	{ NULL, NULL, NULL, NULL },
};

/* ---- the command ------------------------------------------------------------------------ */

static void catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL); /* the terminal of the console is gone */
	sa.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &sa, NULL);
	sigaction(SIGXFSZ, &sa, NULL); /* a file size limit is an error of one request */
}

static int open_image(const char *option, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		cli_die(CLI_FAILED, "--%s %s: %s", option, path, strerror(errno));
	return fd;
}

static int status_of(enum machine_result result)
{
	static const int status[] = {
		[MACHINE_STOPPED] = RUN_STOPPED,
		[MACHINE_POWEROFF] = CLI_OK,
		[MACHINE_PANIC] = RUN_PANIC,
		[MACHINE_FAILED] = CLI_FAILED,
	};

	return status[result];
}

int cmd_run(int argc, char **argv)
{
	static struct run s; /* its strings live as long as the process */
	enum machine_result result;
	char why[512] = "";
	int i, err;

	s.root.cfg = (struct root_config){ .cpu = -1, .spin_us = 50, .sandbox = SANDBOX_ON };
	s.machine = (struct machine_config){
		.name = "vm", .memory = 512ull << 20, .nr_vps = 1, .initrd = -1, .console = "stdio"
	};
	i = cli_parse(argc, argv, options, usage, examples, &s.root);
	if (i < argc)
		cli_die(CLI_USAGE, "unexpected '%s'", argv[i]);
	if (!s.kernel)
		cli_die(CLI_USAGE, "--kernel is missing");
	root_check_mirrors(&s.root.cfg);
	root_join_switches(&s.root.cfg, s.machine.name);
	s.machine.kernel = open_image("kernel", s.kernel);
	if (s.initrd)
		s.machine.initrd = open_image("initrd", s.initrd);
	s.root.cfg.machine = &s.machine;
	if (s.root.cfg.sandbox == SANDBOX_OFF)
		log_warn("no sandbox: a guest that takes this process over has all its rights");
	if (root_create(&running, &s.root.cfg, why, sizeof(why)))
		cli_die(CLI_FAILED, "%s", why);
	catch_signals();
	err = root_run(running);
	/* What ended it may only now be taken apart, and say how. */
	root_end_guests(running);
	result = root_result(running);
	root_destroy(running);
	if (err)
		cli_die(CLI_FAILED, "event loop: %s", strerror(-err));
	return status_of(result);
}
