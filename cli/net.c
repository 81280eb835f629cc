/* SPDX-License-Identifier: MIT */
/*
 * hvbus net: the switches of a running root. The file of a mirror is opened here, with the rights
 * of who types the command, and handed to the root, which opens nothing once it serves.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/net.h"
#include "vmwp/root.h"

#define KEEP	(-1) /* of a limit: not given */
#define TIMEOUT 10

struct net_args {
	const char *socket, *port, *file, *set, *nic, *guest;
	const char *what; /* the first word behind the verb: "up" */
	int64_t bps, burst, speed, wait_s;
	bool json, off, none;
};

struct net_verb {
	const char *name, *summary;
	const char *usage, *examples;
	const struct cli_option *options;
	bool no_port; /* it needs none */
	bool word;    /* the first word is what to do */
	int (*run)(const struct net_args *a);
};

/* ---- options ---------------------------------------------------------------------- */

static void set_socket(void *ctx, const char *v)
{
	((struct net_args *)ctx)->socket = v;
}

static void set_port(void *ctx, const char *v)
{
	char sw[VSW_NAME], port[VSW_NAME], why[256];

	if (root_parse_port(v, sw, port, why, sizeof(why)))
		cli_die(CLI_USAGE, "--port=%s", why);
	((struct net_args *)ctx)->port = v;
}

static void set_json(void *ctx, const char *v)
{
	(void)v;
	((struct net_args *)ctx)->json = true;
}

#define SOCKET                                                                                     \
	{                                                                                          \
		"socket", "S", "Unix socket of the root", set_socket                               \
	}
#define PORT                                                                                       \
	{                                                                                          \
		"port", "SWITCH/PORT", "which port; `hvbus net list` shows what there is",         \
			set_port                                                                   \
	}
#define JSON                                                                                       \
	{                                                                                          \
		"json", NULL, "the root's answer as one JSON object", set_json                     \
	}
#define END                                                                                        \
	{                                                                                          \
		NULL, NULL, NULL, NULL                                                             \
	}

/* The value of --@name, bits per second. */
static int64_t rate(const char *name, const char *v, uint64_t least)
{
	uint64_t n;

	if (root_parse_rate(v, &n) || n > INT64_MAX || n < least)
		cli_die(CLI_USAGE, "--%s=%s: bits per second are needed, such as 100M or 2G%s",
			name, v, least ? "" : "; 0 = no limit");
	return (int64_t)n;
}

/* ---- asking ------------------------------------------------------------------------- */

/* For all but the list, the answer is how the port is afterwards. */
static int ask(const struct net_args *a, json_t *request, const int *fds, int nr_fds)
{
	json_t *answer = cli_ask_json(a->socket, request, fds, nr_fds, TIMEOUT, a->json);

	if (!a->json)
		net_print_port(json_object_get(answer, "port"));
	json_decref(answer);
	return CLI_OK;
}

/* ---- list ----------------------------------------------------------------------------- */

static const char list_usage[] =
	"usage: hvbus net list --socket S [--json]\n\n"
	"Show the switches of a running root as trees: each port with its role, address, link, "
	"VLAN\n"
	"and who is behind it; what went in and out, with the rates since somebody looked last "
	"(half\n"
	"a second ago or more); what was dropped, by reason; addresses learned; mirrors.\n";

static const char list_examples[] =
	"  hvbus net list --socket /tmp/s\n"
	"  watch -n1 hvbus net list --socket /tmp/s\n"
	"  hvbus net list --socket /tmp/s --json | jq '.switches[].ports[] | {name, dropped_in}'\n";

static const struct cli_option list_options[] = { SOCKET, JSON, END };

static int run_list(const struct net_args *a)
{
	json_t *answer = cli_ask_json(a->socket, json_pack("{ss}", "do", "net-list"), NULL, 0,
				      TIMEOUT, a->json);
	const json_t *list = json_object_get(answer, "switches"), *sw;
	size_t i;

	if (!a->json && !json_array_size(list))
		printf("no switches; `hvbus serve --switch name=lan,type=nat` makes one\n");
	json_array_foreach(list, i, sw)
	{
		if (!a->json)
			net_print_switch(sw);
	}
	json_decref(answer);
	return CLI_OK;
}

/* ---- link ------------------------------------------------------------------------------- */

static void set_speed(void *ctx, const char *v)
{
	((struct net_args *)ctx)->speed = rate("speed", v, 100);
}

static const char link_usage[] =
	"usage: hvbus net link up|down|changed --socket S --port SWITCH/PORT [--speed RATE]\n"
	"       hvbus net link --socket S --port SWITCH/PORT --speed RATE\n\n"
	"Pull the cable of a port, or plug it in. The guest is told at once and its interface "
	"loses\n"
	"its carrier; frames to and from the port are dropped (link-down) while it is out. Or tell "
	"a\n"
	"guest that the network behind the cable has changed: it is to look for its address again. "
	"Or\n"
	"at which speed the link claims to be; that limits nothing (`hvbus net limit` does).\n";

static const char link_examples[] =
	"  hvbus net link down --socket /tmp/s --port lan/web1\n"
	"  hvbus net link up --socket /tmp/s --port lan/web1 --speed 25G\n"
	"  hvbus net link changed --socket /tmp/s --port lan/web1\n";

static const struct cli_option link_options[] = {
	SOCKET, PORT, { "speed", "RATE", "bits per second that the guest sees", set_speed },
	JSON,	END,
};

static int run_link(const struct net_args *a)
{
	static const char *const words[] = { "down", "up", "changed" };
	json_t *request = json_pack("{ss ss}", "do", "net-link", "port", a->port);
	size_t i = 0;

	while (a->what && i < ARRAY_SIZE(words) && strcmp(a->what, words[i]))
		i++;
	if (i == ARRAY_SIZE(words) || (!a->what && a->speed == KEEP))
		cli_die(CLI_USAGE, "up, down, changed or --speed is needed%s%s",
			a->what ? ", not " : "", a->what ? a->what : "");
	if (a->what)
		json_object_set_new(request, i < 2 ? "up" : "changed", json_boolean(i));
	if (a->speed != KEEP)
		json_object_set_new(request, "speed", json_integer(a->speed));
	return ask(a, request, NULL, 0);
}

/* ---- limit ------------------------------------------------------------------------------- */

static void set_bps(void *ctx, const char *v)
{
	((struct net_args *)ctx)->bps = rate("bps", v, 0);
}

static void set_burst(void *ctx, const char *v)
{
	uint64_t n = cli_size("burst", v);

	if (n > UINT32_MAX)
		cli_die(CLI_USAGE, "--burst=%s: less than 4G is needed", v);
	((struct net_args *)ctx)->burst = (int64_t)n;
}

static void set_none(void *ctx, const char *v)
{
	(void)v;
	((struct net_args *)ctx)->none = true;
}

static const char limit_usage[] =
	"usage: hvbus net limit --socket S --port SWITCH/PORT [--bps RATE] [--burst SIZE]\n"
	"       hvbus net limit --socket S --port SWITCH/PORT --none\n\n"
	"Limit what a port may send, in bits per second (k, M and G are powers of 1000). A guest "
	"that\n"
	"is over its limit waits; nothing is dropped. What is not given stays as it is.\n";

static const char limit_examples[] =
	"  hvbus net limit --socket /tmp/s --port lan/web1 --bps 100M\n"
	"  hvbus net limit --socket /tmp/s --port lan/web1 --bps 1G --burst 1M\n"
	"  hvbus net limit --socket /tmp/s --port lan/web1 --none\n";

static const struct cli_option limit_options[] = {
	SOCKET,
	PORT,
	{ "bps", "RATE", "bits per second; 0 = no limit", set_bps },
	{ "burst", "SIZE", "bytes that may be sent at once (default 128K, or 4 ms)", set_burst },
	{ "none", NULL, "no limit at all", set_none },
	JSON,
	END,
};

static int run_limit(const struct net_args *a)
{
	bool some = a->bps != KEEP || a->burst != KEEP;
	json_t *request;

	if (some == a->none)
		cli_die(CLI_USAGE, "--bps, --burst or --none is needed%s",
			some ? ", and --none only alone" : "");
	request = json_pack("{ss ss}", "do", "net-limit", "port", a->port);
	if (a->bps != KEEP || a->none)
		json_object_set_new(request, "bps", json_integer(a->none ? 0 : a->bps));
	if (a->burst != KEEP)
		json_object_set_new(request, "burst", json_integer(a->burst));
	return ask(a, request, NULL, 0);
}

/* ---- policy ------------------------------------------------------------------------------ */

static void set_set(void *ctx, const char *v)
{
	struct vsw_policy policy = { 0 };
	char *copy = strdup(v), why[256];

	if (!copy)
		cli_die(CLI_FAILED, "out of memory");
	if (root_parse_policy(&policy, copy, why, sizeof(why)))
		cli_die(CLI_USAGE, "--set %s: %s", v, why);
	free(copy);
	((struct net_args *)ctx)->set = v;
}

static const char policy_usage[] =
	"usage: hvbus net policy --socket S --port SWITCH/PORT --set KEY=VALUE[,...]\n\n"
	"Change the rules of a port, from its next frame on. What is not named stays as it is.\n"
	"  spoof=on|off         may send from other addresses than its own\n"
	"  dhcp-guard=on|off    may not answer as a DHCP server\n"
	"  router-guard=on|off  may not announce itself as a router\n"
	"  isolated=on|off      neither reaches nor is reached by other isolated ports\n"
	"  priority=on|off      its 802.1p priorities are kept\n"
	"  storm=N              broadcasts, multicasts and floods per second; 0 = no limit\n"
	"  vlan=N|none          its VLAN, untagged for the guest\n"
	"  trunk=10+20-29       VLANs that it sends and gets tagged; native=N: one untagged\n"
	"  bps=RATE, burst=SIZE as `hvbus net limit`\n";

static const char policy_examples[] =
	"  hvbus net policy --socket /tmp/s --port lan/web1 --set spoof=on\n"
	"  hvbus net policy --socket /tmp/s --port lan/web1 --set isolated=on,storm=500\n"
	"  hvbus net policy --socket /tmp/s --port lan/fw --set trunk=10+20,native=1\n";

static const struct cli_option policy_options[] = {
	SOCKET, PORT, { "set", "KEY=VALUE,...", "what is to be different", set_set }, JSON, END,
};

static int run_policy(const struct net_args *a)
{
	if (!a->set)
		cli_die(CLI_USAGE, "--set is missing: KEY=VALUE,... says what is to be different");
	return ask(a,
		   json_pack("{ss ss ss}", "do", "net-policy", "port", a->port, "policy", a->set),
		   NULL, 0);
}

/* ---- mirror ------------------------------------------------------------------------------- */

static void set_file(void *ctx, const char *v)
{
	((struct net_args *)ctx)->file = v;
}

static void set_off(void *ctx, const char *v)
{
	(void)v;
	((struct net_args *)ctx)->off = true;
}

static const char mirror_usage[] =
	"usage: hvbus net mirror --socket S --port SWITCH/PORT --file F.pcapng\n"
	"       hvbus net mirror --socket S --port SWITCH/PORT --off\n\n"
	"Write everything a port sends and gets to a file that tcpdump and tshark open, until "
	"--off.\n"
	"The file is opened here, with your rights, and replaced if it is there. When the port's "
	"guest\n"
	"goes, the file stays open, and goes on when a port of that name is there again. A disk "
	"that\n"
	"is too slow costs frames of the capture, never of the switch.\n";

static const char mirror_examples[] =
	"  hvbus net mirror --socket /tmp/s --port lan/web1 --file web1.pcapng\n"
	"  hvbus net mirror --socket /tmp/s --port lan/web1 --off && tcpdump -nr web1.pcapng\n";

static const struct cli_option mirror_options[] = {
	SOCKET,
	PORT,
	{ "file", "F", "where to; pcapng", set_file },
	{ "off", NULL, "no more; the file is complete then", set_off },
	JSON,
	END,
};

/* A capture that is refused leaves what was there. */
static int open_capture(const char *file)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);

	if (fd < 0)
		cli_die(CLI_FAILED, "%s: %s", file, strerror(errno));
	return fd;
}

static int run_mirror(const struct net_args *a)
{
	json_t *request = json_pack("{ss ss}", "do", "net-mirror", "port", a->port);
	char *path;
	int fd, status;

	if (!a->file == !a->off)
		cli_die(CLI_USAGE, "--file or --off is needed%s", a->off ? ", not both" : "");
	if (a->off)
		return ask(a, request, NULL, 0);
	fd = open_capture(a->file);
	path = cli_absolute(a->file);
	json_object_set_new(request, "file", path ? json_string(path) : NULL);
	free(path);
	status = ask(a, request, &fd, 1);
	close(fd);
	return status;
}

/* ---- add, remove -------------------------------------------------------------------------- */

static void set_nic(void *ctx, const char *v)
{
	char *copy = strdup(v), why[256];
	struct root_nic nic;

	if (!copy)
		cli_die(CLI_FAILED, "out of memory");
	if (root_parse_nic(&nic, copy, why, sizeof(why)))
		cli_die(CLI_USAGE, "--nic %s: %s", v, why);
	free(copy);
	((struct net_args *)ctx)->nic = v;
}

static void set_guest(void *ctx, const char *v)
{
	((struct net_args *)ctx)->guest = v;
}

static void set_wait(void *ctx, const char *v)
{
	((struct net_args *)ctx)->wait_s = (int64_t)cli_number("wait", v, 0, 600);
}

static const char add_usage[] =
	"usage: hvbus net add --socket S --nic switch=NAME[,KEY=VALUE...] [--guest NAME|N]\n\n"
	"Plug a NIC into a guest that runs; it sees it at once. Keys are those of `hvbus run "
	"--nic`.\n"
	"Without --guest it is the machine's, or that of the only guest there is.\n";

static const char add_examples[] =
	"  hvbus net add --control /tmp/web1 --nic switch=lan\n"
	"  hvbus net add --control /tmp/web1 --nic switch=lan,name=web1-b,mtu=9000\n";

static const struct cli_option add_options[] = {
	SOCKET,
	{ "nic", "KEY=VALUE,...", "what to add", set_nic },
	{ "guest", "NAME|N", "whose; `hvbus inspect` shows who there is", set_guest },
	JSON,
	END,
};

static int run_add(const struct net_args *a)
{
	json_t *request = json_pack("{ss ss*}", "do", "nic-add", "nic", a->nic);

	if (!a->nic)
		cli_die(CLI_USAGE, "--nic is missing: switch=NAME,... says what to add");
	if (a->guest)
		json_object_set_new(request, "guest", json_string(a->guest));
	return ask(a, request, NULL, 0);
}

static const char remove_usage[] =
	"usage: hvbus net remove --socket S --port SWITCH/PORT [--wait SECONDS]\n\n"
	"Take the NIC behind a port away from its guest: first its cable, and when nothing is on\n"
	"its way any more, or after a minute, the NIC. Waits until it is gone (default 15 s), or\n"
	"says that it is not: the removal goes on.\n";

static const char remove_examples[] = "  hvbus net remove --control /tmp/web1 --port lan/web1-b\n";

static const struct cli_option remove_options[] = {
	SOCKET, PORT, { "wait", "SECONDS", "for the guest to let go of it (default 15)", set_wait },
	JSON,	END,
};

static int run_remove(const struct net_args *a)
{
	json_t *request = json_pack("{ss ss sI}", "do", "nic-remove", "port", a->port, "wait_ms",
				    (json_int_t)(a->wait_s * 1000));
	json_t *answer =
		cli_ask_json(a->socket, request, NULL, 0, (unsigned)a->wait_s + TIMEOUT, a->json);

	if (!a->json)
		printf("the NIC at %s is removed%s\n", a->port,
		       json_is_true(json_object_get(answer, "busy"))
			       ? ", in the middle of its use: the guest did not heed its cable"
			       : "");
	json_decref(answer);
	return CLI_OK;
}

/* ---- the verbs --------------------------------------------------------------------------- */

static const struct net_verb verbs[] = {
	{ "list", "switches, ports, what goes through and what was dropped", list_usage,
	  list_examples, list_options, true, false, run_list },
	{ "add", "one more NIC for a guest, which sees it at once", add_usage, add_examples,
	  add_options, true, false, run_add },
	{ "remove", "take a NIC away from its guest", remove_usage, remove_examples, remove_options,
	  false, false, run_remove },
	{ "link", "the cable of a port: up, down, its speed, another network", link_usage,
	  link_examples, link_options, false, true, run_link },
	{ "limit", "what a port may send per second", limit_usage, limit_examples, limit_options,
	  false, false, run_limit },
	{ "mirror", "a port's frames in a file for tcpdump and tshark", mirror_usage,
	  mirror_examples, mirror_options, false, false, run_mirror },
	{ "policy", "the rules of a port: VLAN, addresses, guards, storms", policy_usage,
	  policy_examples, policy_options, false, false, run_policy },
};

static int usage(void)
{
	printf("usage: hvbus net VERB --socket S [OPTION...]\n\n"
	       "The switches of a running root, while guests use them.\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		printf("  net %-8s %s\n", verbs[i].name, verbs[i].summary);
	printf("\n`hvbus net VERB --help` explains each.\n\nExamples:\n");
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		printf("%s", verbs[i].examples);
	return CLI_OK;
}

static const struct net_verb *find_verb(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	}
	cli_die(CLI_USAGE, "unknown verb '%s'; `hvbus net --help` lists them", name);
}

/* The word may stand before the options or behind them. */
static void parse(int argc, char **argv, const struct net_verb *v, struct net_args *a)
{
	int i;

	if (v->word && argc > 1 && *argv[1] != '-') {
		a->what = argv[1];
		argc--;
		argv++;
	}
	i = cli_parse(argc, argv, v->options, v->usage, v->examples, a);
	if (v->word && !a->what && i < argc)
		a->what = argv[i++];
	if (i < argc)
		cli_die(CLI_USAGE, "unexpected '%s'", argv[i]);
}

int cmd_net(int argc, char **argv)
{
	static char command[32];
	struct net_args a = { .bps = KEEP, .burst = KEEP, .speed = KEEP, .wait_s = 15 };
	const struct net_verb *v;

	if (argc < 2)
		return usage(), CLI_USAGE;
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return usage();
	v = find_verb(argv[1]);
	snprintf(command, sizeof(command), "net %s", v->name);
	cli_set_command(command);
	parse(argc - 1, argv + 1, v, &a);
	if (!a.socket)
		cli_die(CLI_USAGE, "--socket is missing");
	if (!v->no_port && !a.port)
		cli_die(CLI_USAGE, "--port is missing: SWITCH/PORT says which; `hvbus net list` "
				   "shows what there is");
	return v->run(&a);
}
