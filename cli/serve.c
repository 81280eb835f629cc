/* SPDX-License-Identifier: MIT */
/*
 * hvbus serve: the root partition for process guests.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cli/cli.h"
#include "vmwp/root.h"

static const char usage[] =
	"usage: hvbus serve --socket S --disk path=F[,KEY=VALUE...] [--disk ...] [OPTION...]\n\n"
	"Be the root partition: open the images, listen on the Unix socket S (mode 0600, the\n"
	"same user only), and offer every child that connects its synthetic SCSI controllers.\n"
	"Runs in the foreground until SIGINT or SIGTERM.\n\n"
	"Keys of --disk:\n"
	"  path=FILE                  raw image or block device\n"
	"  lun=N, controller=N        where the guest sees it (default: next LUN of controller 0)\n"
	"  type=disk|dvd              a drive shows an ISO image as a DVD, read-only; without "
	"path=\n"
	"                             it is empty until `hvbus disk swap-medium`\n"
	"  readonly                   guests cannot write\n"
	"  engine=NAME                io_uring, libaio, threads, memory or null (default: "
	"io_uring,\n"
	"                             libaio or threads where the kernel forbids it)\n"
	"  cache=MODE                 writeback: guests flush (default); writethrough: every "
	"write\n"
	"                             is on the medium before it completes\n"
	"  direct=on|off              O_DIRECT (default: on for block devices)\n"
	"  serial=TEXT                serial number the guest sees\n"
	"  size=SIZE, block=512|4096  of memory and null disks; logical block size\n"
	"  iops=N, bps=SIZE           requests and bytes per second, shared fairly by the guests\n"
	"  burst=MS                   unused time that may be caught up (default 100)\n"
	"  fault=SPEC                 errors, delays and hangs on purpose, to see what guests do:\n"
	"                             write:5000-6000:eio:10%:delay=20ms+flush:stuck\n";

static const char examples[] =
	"  truncate -s 1G disk.img\n"
	"  hvbus serve --socket /tmp/s --disk path=disk.img\n"
	"  hvbus serve --socket /tmp/s --disk path=os.img,readonly --disk path=data.img,direct=on\n"
	"  hvbus serve --socket /tmp/s --disk path=os.img --disk type=dvd,path=install.iso\n"
	"  hvbus serve --socket /tmp/s --disk path=os.img --disk type=dvd,lun=7     # an empty "
	"drive\n"
	"  hvbus serve --socket /tmp/s --disk path=disk.img,iops=500,burst=50 --stuck-ms 2000\n"
	"  hvbus serve --socket /tmp/s --disk engine=memory,size=512M --poll always --cpu 1\n";

struct serve {
	struct root_config cfg;
	char *arg[ROOT_MAX_DISKS]; /* the --disk values that cfg's strings point into */
};

static struct root *running;

static void on_signal(int sig)
{
	(void)sig;
	root_stop(running);
}

static void set_socket(void *ctx, const char *v)
{
	((struct serve *)ctx)->cfg.socket = v;
}

static void set_disk(void *ctx, const char *v)
{
	struct serve *s = ctx;
	struct root_config *c = &s->cfg;
	char why[256];

	if (c->nr_disks == ROOT_MAX_DISKS)
		cli_die(CLI_USAGE, "--disk: %d are the limit", ROOT_MAX_DISKS);
	s->arg[c->nr_disks] = strdup(v);
	if (!s->arg[c->nr_disks])
		cli_die(CLI_FAILED, "out of memory");
	if (root_parse_disk(&c->disk[c->nr_disks], s->arg[c->nr_disks], why, sizeof(why)))
		cli_die(CLI_USAGE, "--disk %s: %s", v, why);
	c->nr_disks++;
}

static void set_io_threads(void *ctx, const char *v)
{
	((struct serve *)ctx)->cfg.io_threads = (uint32_t)cli_number("io-threads", v, 0, 16);
}

static void set_poll(void *ctx, const char *v)
{
	static const char *const modes[] = { "never", "adaptive", "always", NULL };
	static const int32_t spin[] = { 0, 50, LOOP_SPIN_ALWAYS };

	((struct serve *)ctx)->cfg.spin_us = spin[cli_choice("poll", v, modes)];
}

static void set_loop(void *ctx, const char *v)
{
	static const char *const names[] = { "auto", "io_uring", "epoll", NULL };

	((struct serve *)ctx)->cfg.loop_engine = (enum loop_engine)cli_choice("loop", v, names);
}

static void set_cpu(void *ctx, const char *v)
{
	((struct serve *)ctx)->cfg.cpu = (int)cli_number("cpu", v, 0, 1023);
}

static void set_max_memory(void *ctx, const char *v)
{
	((struct serve *)ctx)->cfg.max_memory = cli_size("max-memory", v);
}

static void set_max_partitions(void *ctx, const char *v)
{
	((struct serve *)ctx)->cfg.max_partitions =
		(uint32_t)cli_number("max-partitions", v, 1, 65536);
}

static void set_stuck_ms(void *ctx, const char *v)
{
	((struct serve *)ctx)->cfg.stuck_ms = (uint32_t)cli_number("stuck-ms", v, 10, 3600000);
}

static void set_sandbox(void *ctx, const char *v)
{
	static const char *const modes[] = { "off", "log", "on", NULL };

	((struct serve *)ctx)->cfg.sandbox = (enum sandbox_mode)cli_choice("sandbox", v, modes);
}

static void set_verbose(void *ctx, const char *v)
{
	(void)ctx, (void)v;
	log_set_level(LOG_DEBUG);
}

static const struct cli_option options[] = {
	{ "socket", "S", "Unix socket to listen on", set_socket },
	{ "disk", "KEY=VALUE,...", "a disk; repeat for more", set_disk },
	{ "io-threads", "N", "threads that share the channels (default 0: the main one)",
	  set_io_threads },
	{ "poll", "MODE", "never, adaptive (spin at most 50 us; default), always", set_poll },
	{ "loop", "ENGINE", "auto, io_uring or epoll", set_loop },
	{ "cpu", "N", "pin the main thread", set_cpu },
	{ "max-memory", "SIZE", "guest memory a child may ask for (default 1G)", set_max_memory },
	{ "max-partitions", "N", "children at a time (default 1024)", set_max_partitions },
	{ "stuck-ms", "N", "report requests that are older than N ms (default 10000)",
	  set_stuck_ms },
	{ "sandbox", "MODE",
	  "on: give up every privilege before the first guest (default); log: the kernel logs\n"
	  "                             forbidden system calls and does them; off",
	  set_sandbox },
	{ "verbose", NULL, "log more", set_verbose },
	{ NULL, NULL, NULL, NULL },
};

static void catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sa.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &sa, NULL);
	sigaction(SIGXFSZ, &sa, NULL); /* a file size limit is an error of one request */
}

int cmd_serve(int argc, char **argv)
{
	static struct serve s; /* its strings live as long as the process */
	char why[256] = "";
	int i, err;

	s.cfg = (struct root_config){ .cpu = -1, .spin_us = 50, .sandbox = SANDBOX_ON };
	i = cli_parse(argc, argv, options, usage, examples, &s);
	if (i < argc)
		cli_die(CLI_USAGE, "unexpected '%s'", argv[i]);
	if (!s.cfg.socket)
		cli_die(CLI_USAGE, "--socket is missing");
	if (!s.cfg.nr_disks)
		cli_die(CLI_USAGE, "--disk is missing: a root without disks has nothing to offer");
	if (s.cfg.sandbox == SANDBOX_OFF)
		log_warn("no sandbox: a guest that takes this process over has all its rights");
	if (root_create(&running, &s.cfg, why, sizeof(why)))
		cli_die(CLI_FAILED, "%s", why);
	catch_signals();
	log_info("serving %u disk%s on %s", s.cfg.nr_disks, s.cfg.nr_disks == 1 ? "" : "s",
		 s.cfg.socket);
	err = root_run(running);
	root_destroy(running);
	if (err)
		cli_die(CLI_FAILED, "event loop: %s", strerror(-err));
	return CLI_OK;
}
