/* SPDX-License-Identifier: MIT */
/*
 * hvbus serve: the root partition for process guests.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/cli.h"
#include "vmwp/root.h"

static const char usage[] =
	"usage: hvbus serve --socket S [--disk path=F[,KEY=VALUE...]]... [--switch "
	"name=N,type=T[,KEY=VALUE...]]...\n"
	"                   [--mirror switch=N,port=P,file=F]... [OPTION...]\n\n"
	"Be the root partition: open the images, make the switches, listen on the Unix socket S\n"
	"(mode 0600, the same user only), and offer every child that connects its synthetic SCSI\n"
	"controllers and the NICs that it asks for. Runs in the foreground until SIGINT or "
	"SIGTERM.\n\n"
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
	"                             write:5000-6000:eio:10%:delay=20ms+flush:stuck\n\n"
	"Keys of --switch:\n"
	"  name=NAME                  what `hvbus attach --nic switch=NAME` calls it\n"
	"  type=private               guests only\n"
	"  type=internal              guests and the host, which has the TAP tap=NAME (default\n"
	"                             hv- and the switch's name); existing=on: one that is there,\n"
	"                             from `ip tuntap add NAME mode tap user $USER`\n"
	"  type=external              and the world, through tap=NAME, a TAP in a bridge of the\n"
	"                             host, or iface=NAME, an interface of the host (CAP_NET_RAW)\n"
	"  type=nat                   and the world, with the host's address, DHCP and DNS; needs "
	"no\n"
	"                             privilege. subnet=10.0.2.0/24: the host is .2; ipv6=off;\n"
	"                             forward=tcp::8080-:80+...: ports of the host that lead to "
	"the\n"
	"                             guest; loopback=on: guests reach the host's 127.0.0.1 at .2\n"
	"  mode=hyper-v|bridge        who has which address is known (default), or learned\n"
	"  test=on                    a port that counts, echoes and sends: for `hvbus bench net`\n"
	"  guests=N, mtu=N            most guests (default 250); most bytes of an IP packet that "
	"a\n"
	"                             guest may choose (68 to 65535, default 9000)\n"
	"  vlan=N, guest-vlan=on      the VLAN of guests; they may choose their own\n"
	"  guest-mac=on|off           guests may choose their address with mac= (default: as "
	"spoof)\n"
	"  guest-name=on|off          guests may name their port with name= (default: on)\n"
	"  spoof=on                   guests may send from any address\n"
	"  dhcp-guard=, router-guard= on|off: no guest can be DHCP server, or router, for the "
	"others\n"
	"                             (default: on for external and nat)\n"
	"  isolated=on                guests reach the host and the world, not each other\n"
	"  priority=on, storm=N       802.1p tags of guests are kept; broadcasts per second\n"
	"  bps=RATE, burst=SIZE       what each guest may send: bits per second, bytes at once\n"
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

/* Parsers modify what they get. */
static char *copy_of(const char *v)
{
	char *copy = strdup(v);

	if (!copy)
		cli_die(CLI_FAILED, "out of memory");
	return copy;
}

static void set_disk(void *ctx, const char *v)
{
	struct serve *s = ctx;
	struct root_config *c = &s->cfg;
	char why[256];

	if (c->nr_disks == ROOT_MAX_DISKS)
		cli_die(CLI_USAGE, "--disk: %d are the limit", ROOT_MAX_DISKS);
	s->arg[c->nr_disks] = copy_of(v);
	if (root_parse_disk(&c->disk[c->nr_disks], s->arg[c->nr_disks], why, sizeof(why)))
		cli_die(CLI_USAGE, "--disk %s: %s", v, why);
	c->nr_disks++;
}

static void set_switch(void *ctx, const char *v)
{
	struct root_config *c = &((struct serve *)ctx)->cfg;
	struct root_switch *sw = &c->sw[c->nr_switches];
	char *copy = copy_of(v), why[512];

	if (c->nr_switches == ROOT_MAX_SWITCHES)
		cli_die(CLI_USAGE, "--switch: %d are the limit", ROOT_MAX_SWITCHES);
	if (root_parse_switch(sw, copy, why, sizeof(why)) ||
	    root_check_switch(c->sw, c->nr_switches, sw, why, sizeof(why)))
		cli_die(CLI_USAGE, "--switch %s: %s", v, why);
	c->nr_switches++;
	free(copy);
}

static void set_mirror(void *ctx, const char *v)
{
	struct root_config *c = &((struct serve *)ctx)->cfg;
	char *copy = copy_of(v), why[256];

	if (c->nr_mirrors == ROOT_MAX_MIRRORS)
		cli_die(CLI_USAGE, "--mirror: %d are the limit", ROOT_MAX_MIRRORS);
	if (root_parse_mirror(&c->mirror[c->nr_mirrors], copy, why, sizeof(why)))
		cli_die(CLI_USAGE, "--mirror %s: %s", v, why);
	c->nr_mirrors++;
	free(copy);
}

/* The order of options does not matter. */
static void check_mirrors(const struct root_config *c)
{
	char why[512];

	for (uint32_t i = 0; i < c->nr_mirrors; i++)
		if (!root_find_switch(c->sw, c->nr_switches, c->mirror[i].switch_name, why,
				      sizeof(why)))
			cli_die(CLI_USAGE, "--mirror: %s", why);
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

static void set_integration(void *ctx, const char *v)
{
	char why[256];

	if (root_parse_integration(&((struct serve *)ctx)->cfg.integration_off, v, why,
				   sizeof(why)))
		cli_die(CLI_USAGE, "--integration=%s: %s", v, why);
}

static void set_heartbeat_ms(void *ctx, const char *v)
{
	((struct serve *)ctx)->cfg.heartbeat_ms =
		(uint32_t)cli_number("heartbeat-ms", v, 10, 3600000);
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
	{ "switch", "KEY=VALUE,...", "a virtual switch; repeat for more", set_switch },
	{ "mirror", "switch=N,port=P,file=F", "capture a port, from when it is there", set_mirror },
	{ "io-threads", "N", "threads that share the channels (default 0: the main one)",
	  set_io_threads },
	{ "poll", "MODE", "never, adaptive (spin at most 50 us; default), always", set_poll },
	{ "loop", "ENGINE", "auto, io_uring or epoll", set_loop },
	{ "cpu", "N", "pin the main thread", set_cpu },
	{ "max-memory", "SIZE", "guest memory a child may ask for (default 1G)", set_max_memory },
	{ "max-partitions", "N", "children at a time (default 1024)", set_max_partitions },
	{ "stuck-ms", "N", "report requests that are older than N ms (default 10000)",
	  set_stuck_ms },
	{ "integration", "LIST",
	  "services that guests are offered: heartbeat,shutdown (default), all or none",
	  set_integration },
	{ "heartbeat-ms", "N", "ask guests every N ms whether they live (default 2000)",
	  set_heartbeat_ms },
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
	if (!s.cfg.nr_disks && !s.cfg.nr_switches)
		cli_die(CLI_USAGE,
			"--disk is missing, or --switch: a root without has nothing to offer");
	check_mirrors(&s.cfg);
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
