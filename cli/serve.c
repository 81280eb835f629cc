/* SPDX-License-Identifier: MIT */
/*
 * hvbus serve: the root partition for process guests.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/root_options.h"

static const char usage[] =
	"usage: hvbus serve --socket S [--disk path=F[,KEY=VALUE...]]... [--switch "
	"name=N,type=T[,KEY=VALUE...]]...\n"
	"                   [--mirror switch=N,port=P,file=F]... [OPTION...]\n\n"
	"Be the root partition: open the images, make the switches, listen on the Unix socket S\n"
	"(mode 0600, the same user only), and offer every child that connects its synthetic SCSI\n"
	"controllers and the NICs that it asks for. Runs in the foreground until SIGINT or "
	"SIGTERM.\n\n" ROOT_DISK_KEYS ROOT_SWITCH_KEYS
	"A port can be changed later: `hvbus net policy`.\n";

static const char examples[] =
	"  truncate -s 1G disk.img\n"
	"  hvbus serve --socket /tmp/s --disk path=disk.img\n"
	"  hvbus serve --socket /tmp/s --disk path=os.img,readonly --disk path=data.img,direct=on\n"
	"  hvbus serve --socket /tmp/s --disk path=os.img --disk type=dvd,path=install.iso\n"
	"  hvbus serve --socket /tmp/s --disk path=os.img --disk type=dvd,lun=7     # an empty "
	"drive\n"
	"  hvbus serve --socket /tmp/s --disk path=disk.img,iops=500,burst=50 --stuck-ms 2000\n"
	"  hvbus serve --socket /tmp/s --disk engine=memory,size=512M --poll always --cpu 1\n"
	"  hvbus serve --socket /tmp/s --switch name=lan,type=private --switch name=net,type=nat\n"
	"  hvbus serve --socket /tmp/s --switch name=lan,type=nat,forward=tcp::8080-:80 \\\n"
	"      --mirror switch=lan,port=web1,file=web1.pcapng\n";

static struct root *running;

static void on_signal(int sig)
{
	(void)sig;
	root_stop(running);
}

static void set_socket(void *ctx, const char *v)
{
	((struct root_options *)ctx)->cfg.socket = v;
}

static void set_max_memory(void *ctx, const char *v)
{
	((struct root_options *)ctx)->cfg.max_memory = cli_size("max-memory", v);
}

static void set_max_partitions(void *ctx, const char *v)
{
	((struct root_options *)ctx)->cfg.max_partitions =
		(uint32_t)cli_number("max-partitions", v, 1, 65536);
}

static const struct cli_option options[] = {
	{ "socket", "S", "Unix socket to listen on", set_socket },
	{ "disk", "KEY=VALUE,...", "a disk; repeat for more", root_set_disk },
	{ "switch", "KEY=VALUE,...", "a virtual switch; repeat for more", root_set_switch },
	{ "mirror", "switch=N,port=P,file=F", "capture a port, from when it is there",
	  root_set_mirror },
	{ "io-threads", "N", "threads that share the channels (default 0: the main one)",
	  root_set_io_threads },
	{ "poll", "MODE", "never, adaptive (spin at most 50 us; default), always", root_set_poll },
	{ "loop", "ENGINE", "auto, io_uring or epoll", root_set_loop },
	{ "cpu", "N", "pin the main thread", root_set_cpu },
	{ "max-memory", "SIZE", "guest memory a child may ask for (default 1G)", set_max_memory },
	{ "max-partitions", "N", "children at a time (default 1024)", set_max_partitions },
	{ "stuck-ms", "N", "report requests that are older than N ms (default 10000)",
	  root_set_stuck_ms },
	{ "integration", "LIST",
	  "services that guests are offered: heartbeat,shutdown (default), all or none",
	  root_set_integration },
	{ "heartbeat-ms", "N", "ask guests every N ms whether they live (default 2000)",
	  root_set_heartbeat_ms },
	{ "sandbox", "MODE",
	  "on: give up every privilege before the first guest (default); log: the kernel logs\n"
	  "                             forbidden system calls and does them; off",
	  root_set_sandbox },
	{ "verbose", NULL, "log more", root_set_verbose },
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
	static struct root_options s; /* its strings live as long as the process */
	char why[256] = "", name[32];
	int i, err;

	s.cfg = (struct root_config){ .cpu = -1, .spin_us = 50, .sandbox = SANDBOX_ON };
	i = cli_parse(argc, argv, options, usage, examples, &s);
	if (i < argc)
		cli_die(CLI_USAGE, "unexpected '%s'", argv[i]);
	if (!s.cfg.socket)
		cli_die(CLI_USAGE, "--socket is missing");
	if (!s.cfg.nr_disks && !s.cfg.nr_switches)
		cli_die(CLI_USAGE,
			"--disk is missing, or --switch: a root without has nothing to offer");
	root_check_mirrors(&s.cfg);
	snprintf(name, sizeof(name), "root-%d", (int)getpid());
	root_join_switches(&s.cfg, name);
	if (s.cfg.sandbox == SANDBOX_OFF)
		log_warn("no sandbox: a guest that takes this process over has all its rights");
	if (root_create(&running, &s.cfg, why, sizeof(why)))
		cli_die(CLI_FAILED, "%s", why);
	catch_signals();
	log_info("serving %u disk%s and %u switch%s on %s", s.cfg.nr_disks,
		 s.cfg.nr_disks == 1 ? "" : "s", s.cfg.nr_switches,
		 s.cfg.nr_switches == 1 ? "" : "es", s.cfg.socket);
	err = root_run(running);
	root_destroy(running);
	if (err)
		cli_die(CLI_FAILED, "event loop: %s", strerror(-err));
	return CLI_OK;
}
