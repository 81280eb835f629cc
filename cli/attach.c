/* SPDX-License-Identifier: MIT */
/*
 * hvbus attach: become a child partition and export its disk. The NBD server is nbdkit with
 * our plugin; this command finds both, looks after the socket, and reports how it ended.
 * Or run a program that wants a SCSI generic device: our preload library is one for it. Or have
 * synthetic NICs as network interfaces, see nic.c.
 */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/nic.h"
#include "cli/sg/sg.h"
#include "vsc/disk_place.h"

#define NAME_MAX_LEN 31 /* that the root shows of a partition */

static const char usage[] =
	"usage: hvbus attach --socket S --disk CTL:LUN --nbd UNIXSOCK\n"
	"       hvbus attach --socket S --disk CTL:LUN --sg [--sg-path P] -- COMMAND...\n"
	"       hvbus attach --socket S --nic switch=NAME[,KEY=VALUE...] [--netns new|NAME] [-- "
	"COMMAND...]\n\n"
	"Become a child partition of the root at S and export the synthetic disk CTL:LUN on the\n"
	"Unix socket UNIXSOCK to any NBD client, until SIGINT or SIGTERM or until the root goes\n"
	"away. Needs nbdkit (Debian package nbdkit).\n\n"
	"With --sg, become COMMAND, for which P is a SCSI generic device (SG_IO) that is this\n"
	"disk: a child partition of its own from the moment it opens P. The exit status is that\n"
	"of COMMAND.\n\n"
	"With --nic, have a synthetic NIC on a switch of the root as a network interface, and run\n"
	"COMMAND there, or a shell on a terminal; the interface lasts as long as it. Without "
	"either,\n"
	"until SIGINT or SIGTERM. Repeat it for more NICs; --sg may be given too. With --netns "
	"new\n"
	"no rights are needed: COMMAND is root in a namespace of its own, and nowhere else.\n\n"
	"The partition is called NAME, or as its first NIC, or as COMMAND; addresses of NICs "
	"that\n"
	"the root chooses are the same each time for a partition of the same name.\n\n"
	"Keys of --nic:\n"
	"  switch=NAME                which switch (`hvbus net list` shows what there is)\n"
	"  addr=10.0.0.2/24           address of the interface; repeat for more. None: no address\n"
	"  name=NAME                  of the port, for `hvbus net` (default: such as p1.nic0)\n"
	"  mac=00:15:5d:01:02:03      when the switch has guest-mac=on (default: chosen by the "
	"root)\n"
	"  mtu=N, queues=N            68 to the switch's mtu= (default 1500); 1 to 16 (default 1)\n"
	"  vlan=N                     untagged in VLAN N, when the switch has guest-vlan=on\n"
	"  trunk=10+20-29[,native=N]  tagged in these, untagged in N; likewise\n";

static const char examples[] =
	"  hvbus attach --socket /tmp/s --disk 0:0 --nbd /tmp/nbd &\n"
	"  qemu-img convert -O qcow2 'nbd+unix:///?socket=/tmp/nbd' copy.qcow2\n"
	"  nbdcopy 'nbd+unix:///?socket=/tmp/nbd' - | sha256sum\n"
	"  fio --name=t --ioengine=nbd --uri='nbd+unix:///?socket=/tmp/nbd' --rw=randrw "
	"--size=64M\n"
	"  nbdkit build/release/nbdkit-hvbus-plugin.so socket=/tmp/s disk=0:0    # the plugin "
	"alone\n"
	"  hvbus attach --socket /tmp/s --disk 0:0 --sg -- sg_inq " SG_DEFAULT_PATH "\n"
	"  hvbus attach --socket /tmp/s --disk 0:0 --sg -- sdparm --all " SG_DEFAULT_PATH "\n"
	"  hvbus attach --socket /tmp/s --disk 0:0 --sg -- iscsi-test-cu "
	"--dataloss " SG_DEFAULT_PATH "\n"
	"  hvbus attach --socket /tmp/s --nic switch=lan,addr=10.0.0.2/24 --netns new -- ping "
	"10.0.0.1\n"
	"  hvbus attach --socket /tmp/s --nic switch=lan,addr=10.0.0.3/24 --netns new    # a "
	"shell\n"
	"  hvbus attach --socket /tmp/s --nic switch=lan,queues=4 --netns new -- iperf3 -s\n";

struct attach {
	const char *socket, *nbd, *disk, *queues, *sg_path;
	bool sg;
	struct nic_args nic;
};

static volatile sig_atomic_t server_pid;

static void set_socket(void *c, const char *v)
{
	((struct attach *)c)->socket = v;
}
static void set_nbd(void *c, const char *v)
{
	((struct attach *)c)->nbd = v;
}

static void set_disk(void *c, const char *v)
{
	uint8_t controller, lun;

	if (!disk_place_parse(v, &controller, &lun))
		cli_die(CLI_USAGE, "--disk=%s: CONTROLLER:LUN is needed, such as 0:1", v);
	((struct attach *)c)->disk = v;
}

static void set_queues(void *c, const char *v)
{
	cli_number("queues", v, 1, 16);
	((struct attach *)c)->queues = v;
}

static void set_sg(void *c, const char *v)
{
	(void)v;
	((struct attach *)c)->sg = true;
}
static void set_sg_path(void *c, const char *v)
{
	((struct attach *)c)->sg_path = v;
}

static void set_nic(void *c, const char *v)
{
	struct nic_args *n = &((struct attach *)c)->nic;
	char why[320];

	if (n->nr_nics == PUMP_NICS)
		cli_die(CLI_USAGE, "--nic: %u of them are the most", PUMP_NICS);
	if (!nic_parse(&n->nic[n->nr_nics], v, why, sizeof(why)))
		cli_die(CLI_USAGE, "--nic: %s", why);
	n->nr_nics++;
}

static void set_tap(void *c, const char *v)
{
	struct nic_args *n = &((struct attach *)c)->nic;

	if (!*v || strlen(v) > 15 || strpbrk(v, "/ "))
		cli_die(CLI_USAGE,
			"--tap=%s: the name of an interface is needed, at most 15 letters", v);
	if (n->nr_taps == PUMP_NICS)
		cli_die(CLI_USAGE, "--tap: %u of them are the most", PUMP_NICS);
	n->tap[n->nr_taps++] = v;
}

static void set_netns(void *c, const char *v)
{
	if (!*v || strchr(v, '/') || *v == '.')
		cli_die(CLI_USAGE, "--netns=%s: 'new', or a name below /run/netns, is needed", v);
	((struct attach *)c)->nic.netns = v;
}

static void set_name(void *c, const char *v)
{
	size_t len = strlen(v);

	if (!len || len > NAME_MAX_LEN)
		cli_die(CLI_USAGE, "--name=%s: 1 to %d letters are needed", v, NAME_MAX_LEN);
	for (size_t i = 0; i < len; i++)
		if (!isgraph((unsigned char)v[i]))
			cli_die(CLI_USAGE, "--name: letters and digits are needed, no blanks");
	((struct attach *)c)->nic.name = v;
}

static void set_stats(void *c, const char *v)
{
	(void)v;
	((struct attach *)c)->nic.stats = true;
}

static const struct cli_option options[] = {
	{ "socket", "S", "Unix socket of the root", set_socket },
	{ "disk", "CTL:LUN", "which disk (default 0:0)", set_disk },
	{ "nbd", "UNIXSOCK", "Unix socket to export on", set_nbd },
	{ "queues", "N", "channels of --nbd, 1 to 16 (default 4)", set_queues },
	{ "sg", NULL, "run COMMAND with the disk as a SCSI generic device", set_sg },
	{ "sg-path", "P", "path of that device (default " SG_DEFAULT_PATH ")", set_sg_path },
	{ "nic", "KEYS", "an adapter: switch=NAME[,KEY=VALUE...]", set_nic },
	{ "tap", "IFNAME", "name of its interface (default eth0, or hvN outside)", set_tap },
	{ "netns", "NAME|new", "network namespace of the interface (default: this one)",
	  set_netns },
	{ "name", "NAME", "with --nic: what the root calls the partition (default: see above)",
	  set_name },
	{ "stats", NULL, "with --nic: a line of counters at the end", set_stats },
	{ NULL, NULL, NULL, NULL },
};

/* Library @name: beside this program (build tree), or in @installed, seen from there. */
static void find_library(char *path, size_t len, const char *name, const char *installed)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *const places[] = { "", installed };

	if (n < 0)
		cli_die(CLI_FAILED, "/proc/self/exe: %s", strerror(errno));
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		if ((size_t)snprintf(path, len, "%s/%s%s", self, places[i], name) < len &&
		    !access(path, R_OK))
			return;
	}
	cli_die(CLI_FAILED, "%s is neither beside %s/hvbus nor installed; run make", name, self);
}

/* A socket left over from a server that was killed; one in use is an error. */
static void clear_socket(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct stat st;
	int fd, err;

	if (strlen(path) >= sizeof(sa.sun_path))
		cli_die(CLI_USAGE, "--nbd=%s: too long for a socket path", path);
	strcpy(sa.sun_path, path);
	if (lstat(path, &st))
		return;
	if (!S_ISSOCK(st.st_mode))
		cli_die(CLI_FAILED, "--nbd=%s exists and is not a socket; choose another", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	err = connect(fd, (struct sockaddr *)&sa, sizeof(sa)) ? errno : 0;
	close(fd);
	if (err != ECONNREFUSED)
		cli_die(CLI_FAILED, "--nbd=%s is in use by another server", path);
	unlink(path);
}

static void forward(int sig)
{
	if (server_pid > 0)
		kill((pid_t)server_pid, sig);
}

static void exec_nbdkit(const struct attach *a, const char *plugin, pid_t parent)
{
	char s[PATH_MAX + 16], d[32], q[32], why[128];

	snprintf(s, sizeof(s), "socket=%s", a->socket);
	snprintf(d, sizeof(d), "disk=%s", a->disk);
	snprintf(q, sizeof(q), "queues=%s", a->queues);
	/* nbdkit asks for this too, but until it does, nobody would end it. */
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) || getppid() != parent)
		_exit(1);
	execlp("nbdkit", "nbdkit", "--exit-with-parent", "--foreground", "--unix", a->nbd, plugin,
	       s, d, q, (char *)NULL);
	snprintf(why, sizeof(why), "hvbus attach: nbdkit: %s; apt-get install nbdkit\n",
		 strerror(errno));
	if (write(STDERR_FILENO, why, strlen(why)) < 0)
		_exit(126);
	_exit(127);
}

/* Fails here, with our words, rather than in the server's log. */
static void check_root(const struct attach *a)
{
	char why[256] = "";
	struct hv_child_config cfg = { .memory = 1u << 20, .name = "attach-check" };
	struct hv_child *c;
	int err = hv_child_connect(&c, a->socket, &cfg, why, sizeof(why));

	if (err == -ENOENT || err == -ECONNREFUSED)
		cli_die(CLI_FAILED,
			"%s: no root is serving there; start one with `hvbus serve --socket %s "
			"...`",
			a->socket, a->socket);
	if (err)
		cli_die(CLI_FAILED, "%s: %s", a->socket, *why ? why : strerror(-err));
	hv_child_destroy(c);
}

/* ---- NBD ---------------------------------------------------------------------------- */

static int export_nbd(const struct attach *a)
{
	struct sigaction sa = { .sa_handler = forward };
	char plugin[PATH_MAX];
	pid_t self = getpid();
	int status;

	find_library(plugin, sizeof(plugin), "nbdkit-hvbus-plugin.so", "../lib/nbdkit/plugins/");
	check_root(a);
	clear_socket(a->nbd);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	server_pid = fork();
	if (server_pid < 0)
		cli_die(CLI_FAILED, "fork: %s", strerror(errno));
	if (server_pid == 0)
		exec_nbdkit(a, plugin, self);
	while (waitpid((pid_t)server_pid, &status, 0) < 0 && errno == EINTR)
		;
	unlink(a->nbd);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? CLI_OK : CLI_FAILED;
}

/* ---- SCSI generic --------------------------------------------------------------------- */

static void set_env(const char *name, const char *value)
{
	if (value && setenv(name, value, 1))
		cli_die(CLI_FAILED, "environment: %s", strerror(errno));
}

/* In front of what is there: others may look at the same functions. */
static void set_preload(const char *library)
{
	const char *others = getenv("LD_PRELOAD");
	char list[2 * PATH_MAX];

	if (strpbrk(library, ": "))
		cli_die(CLI_FAILED, "%s: the loader cannot preload from a path with blanks or ':'",
			library);
	if ((size_t)snprintf(list, sizeof(list), "%s%s%s", library, others ? ":" : "",
			     others ? others : "") >= sizeof(list))
		cli_die(CLI_FAILED, "LD_PRELOAD is too long");
	set_env("LD_PRELOAD", list);
}

/* What the command needs in its environment to find the device. */
static void prepare_sg(void *ctx)
{
	const struct attach *a = ctx;
	char library[PATH_MAX], socket[PATH_MAX];

	find_library(library, sizeof(library), "libhvbus-sg.so", "../lib/hvbus/");
	check_root(a);
	if (!realpath(a->socket, socket)) /* the command may change its directory */
		cli_die(CLI_FAILED, "%s: %s", a->socket, strerror(errno));
	set_env(SG_ENV_SOCKET, socket);
	set_env(SG_ENV_DISK, a->disk);
	set_env(SG_ENV_PATH, a->sg_path);
	set_preload(library);
}

/*
 * This process becomes the command: signals and the exit status are its own, and there is
 * nobody in between who could get them wrong.
 */
static int run_sg(struct attach *a, char **command)
{
	prepare_sg(a);
	execvp(command[0], command);
	cli_die(errno == ENOENT ? 127 : 126, "%s: %s", command[0], strerror(errno));
}

/* ---- adapters --------------------------------------------------------------------------- */

/* A person at a terminal who gives no command wants a shell. */
static char **shell(void)
{
	static char fallback[] = "/bin/sh", *command[2];
	char *name = getenv("SHELL");

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return NULL;
	command[0] = name && *name ? name : fallback;
	return command;
}

static int run_nics(struct attach *a, char **command)
{
	struct nic_args *n = &a->nic;

	n->socket = a->socket;
	n->command = command ? command : shell();
	if (a->sg) {
		n->prepare = prepare_sg;
		n->ctx = a;
	}
	return nic_run(n);
}

/* ---- which of them -------------------------------------------------------------------------- */

static void check_usage(const struct attach *a, const char *rest)
{
	if (rest && !a->sg && !a->nic.nr_nics)
		cli_die(CLI_USAGE, "unexpected '%s'%s", rest,
			a->nbd ? "" : ": a command needs --nic or --sg");
	if (!a->socket)
		cli_die(CLI_USAGE, "--socket is missing");
	if (!a->nbd && !a->sg && !a->nic.nr_nics)
		cli_die(CLI_USAGE, "--nbd is missing: the Unix socket to export the disk on; or "
				   "--sg with a command; or --nic");
	if (a->nbd && (a->sg || a->nic.nr_nics))
		cli_die(CLI_USAGE, "--nbd and --%s: one at a time", a->sg ? "sg" : "nic");
	if (a->sg && !rest)
		cli_die(CLI_USAGE, "--sg needs a command: --sg -- sg_inq %s", a->sg_path);
	if (!a->nic.nr_nics && (a->nic.nr_taps || a->nic.netns || a->nic.stats || a->nic.name))
		cli_die(CLI_USAGE, "--tap, --netns, --name and --stats are for --nic");
	if (a->nic.nr_taps > a->nic.nr_nics)
		cli_die(CLI_USAGE, "more --tap than --nic");
}

int cmd_attach(int argc, char **argv)
{
	struct attach a = { .disk = "0:0", .queues = "4", .sg_path = SG_DEFAULT_PATH };
	int i = cli_parse(argc, argv, options, usage, examples, &a);
	char **command = i < argc ? argv + i : NULL;

	check_usage(&a, command ? *command : NULL);
	if (a.nic.nr_nics)
		return run_nics(&a, command);
	return a.sg ? run_sg(&a, command) : export_nbd(&a);
}
