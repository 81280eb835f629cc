/* SPDX-License-Identifier: MIT */
/*
 * The second act. All that happens is done by commands that anybody can type, shown as they are
 * started: a root, and three guests, each with a NIC in a network namespace of its own and a
 * program there that knows nothing of hvbus.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "cli/cli.h"
#include "cli/demo_net.h"
#include "cli/demo_stage.h"
#include "cli/netns.h"

#define FILE_MB	  256
#define PATIENCE  60 /* seconds for any one step */
#define END_NS	  5000000000ull
#define SELF	  "/proc/self/exe"
#define SOCKET	  "--socket", "net.sock"
#define GUEST(n)  "hvbus", "attach", SOCKET, "--nic", n, "--netns", "new", "--"
#define PING(ip)  "ping -q -c 6 -i 0.2 -w 20 " ip
#define MOVED	  "moved "
#define PICTURE	  "net.txt"
#define MAX_WORDS 24

enum { ROOT, ALICE, BOB, CAROL, NR };

/*
 * Both ping until they have six answers, so that neither has to be there first. What sleeps or
 * holds its lease is there for the picture.
 */
static const char *const command[NR][MAX_WORDS] = {
	[ROOT] = { "hvbus", "serve", SOCKET, "--switch", "name=lan,type=private", "--switch",
		   "name=net,type=nat", NULL },
	[ALICE] = { GUEST("switch=lan,name=alice,addr=10.0.0.1/24"), "sh", "-c",
		    PING("10.0.0.2") " && exec busybox httpd -f -p 80 -h share", NULL },
	[BOB] = { GUEST("switch=lan,name=bob,addr=10.0.0.2/24"), "sh", "-c",
		  PING("10.0.0.1") " && curl -sS --retry 9 --retry-connrefused --max-time 60 -o "
				   "copy.img -w '" MOVED "%{size_download} %{speed_download}\\n' "
				   "http://10.0.0.1/disk.img && exec sleep 600",
		  NULL },
	[CAROL] = { GUEST("switch=net,name=carol"), "udhcpc", "-f", "-n", "-i", "eth0", "-s",
		    "./lease.sh", NULL },
};

static const char *const output[NR] = { "root.txt", "alice.txt", "bob.txt", "carol.txt" };

/* The system's own script would write the host's /etc/resolv.conf when root plays this. */
static const char lease_script[] =
	"#!/bin/sh\n"
	"[ \"$1\" = bound ] || exit 0\n"
	"ip addr add \"$ip/$mask\" dev \"$interface\"\n"
	"[ -z \"$router\" ] || ip route add default via \"$router\"\n"
	"echo \"$ip/$mask from $serverid, router $router, name server $dns\" >lease.new\n"
	"mv lease.new lease.txt\n";

struct act {
	const char *dir;
	pid_t pid[NR], helper;
	char *why;
	size_t whylen;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	interrupted = sig;
}

static bool wrong(struct act *a, const char *what)
{
	snprintf(a->why, a->whylen, "%s", what);
	return false;
}

/* ---- can it be done here ----------------------------------------------------------------- */

static bool installed(const char *program)
{
	char list[PATH_MAX], path[PATH_MAX + 64], *next = list, *dir;

	snprintf(list, sizeof(list), "%s", getenv("PATH"));
	while ((dir = strsep(&next, ":"))) {
		snprintf(path, sizeof(path), "%s/%s", dir, program);
		if (!access(path, X_OK))
			return true;
	}
	return false;
}

/* They are in /usr/sbin, which an ordinary user's PATH lacks. */
static void complete_path(void)
{
	const char *path = getenv("PATH");
	char whole[PATH_MAX];

	snprintf(whole, sizeof(whole), "%s:/usr/sbin:/sbin", path ? path : "/usr/bin:/bin");
	setenv("PATH", whole, 1);
}

static bool may_make_interfaces(char *why, size_t whylen)
{
	struct netns_config cfg = { .where = NETNS_NEW };
	struct netns_tap ask = { .name = "eth0", .queues = 1, .mtu = 1500, .mac = { 2 } };
	struct net_tap tap;
	struct netns ns;
	int err;

	if (netns_start(&ns, &cfg, why, whylen))
		return false;
	err = netns_make_tap(&ns, &ask, &tap, why, whylen);
	net_tap_close(&tap);
	netns_end(&ns);
	return !err;
}

bool demo_net_possible(char *why, size_t whylen)
{
	static const char *const needs[][2] = { { "ping", "iputils-ping" },
						{ "ip", "iproute2" },
						{ "udhcpc", "udhcpc" },
						{ "busybox", "busybox" },
						{ "curl", "curl" } };

	complete_path();
	for (size_t i = 0; i < ARRAY_SIZE(needs); i++) {
		if (installed(needs[i][0]))
			continue;
		snprintf(why, whylen, "%s is not installed; as root: apt-get install %s",
			 needs[i][0], needs[i][1]);
		return false;
	}
	return may_make_interfaces(why, whylen);
}

/* ---- processes ------------------------------------------------------------------------------ */

/* As one would type it. */
static void show_command(const char *const *words)
{
	char line[1024] = "  $";
	size_t at = strlen(line);

	for (; *words && at < sizeof(line); words++) {
		const char *quote = !strchr(*words, ' ') ? "" : !strchr(*words, '\'') ? "'" : "\"";

		at += (size_t)snprintf(line + at, sizeof(line) - at, " %s%s%s", quote, *words,
				       quote);
	}
	demo_say("%s", line);
}

/*
 * Signals end what a group's first has started only if we are there to send them. When we are
 * killed, the first ends; then this process, which waits for just that, ends all others.
 */
static void end_group_with_first(void)
{
	pid_t first = getpid();
	sigset_t all;
	int sig;

	if (fork())
		return;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	if (!prctl(PR_SET_PDEATHSIG, SIGUSR1) && getppid() == first)
		while (!sigwait(&all, &sig) && sig != SIGUSR1)
			;
	kill(0, SIGKILL);
	_exit(1);
}

static bool starts_others(const char *const *words)
{
	return !strcmp(words[0], "sh") || !strcmp(words[1], "attach");
}

/* In the new process. A group of its own, so that what the guest's shell starts ends with it. */
static void become(const struct act *a, const char *const *words, const char *out, pid_t parent)
{
	int in, fd;

	setpgid(0, 0);
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) || getppid() != parent || chdir(a->dir))
		_exit(1);
	in = open("/dev/null", O_RDONLY);
	dup2(in, STDIN_FILENO);
	if (out) {
		fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
	}
	if (starts_others(words))
		end_group_with_first();
	execvp(strcmp(*words, "hvbus") ? *words : SELF, (char *const *)(uintptr_t)words);
	_exit(127);
}

static pid_t launch(const struct act *a, const char *const *words, const char *out)
{
	pid_t parent = getpid(), pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0)
		become(a, words, out, parent);
	if (pid > 0)
		setpgid(pid, pid);
	return pid;
}

static bool start(struct act *a, int who)
{
	show_command(command[who]);
	a->pid[who] = launch(a, command[who], output[who]);
	return a->pid[who] > 0 || wrong(a, "no process can be started");
}

static bool ask_root(const struct act *a, const char *out)
{
	static const char *const words[] = { "hvbus", "net", "list", SOCKET, NULL };
	pid_t pid = launch(a, words, out);
	int status = 1;

	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool has_ended(pid_t pid)
{
	siginfo_t si = { 0 };

	return waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG | WNOWAIT) || si.si_pid == pid;
}

/* Until it is reaped, the number of its group is its own. */
static bool reap(pid_t *pid)
{
	int status = 1;

	kill(-*pid, SIGKILL);
	waitpid(*pid, &status, 0);
	*pid = 0;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* @group: the whole of it is asked, not the first alone. */
static bool stop(pid_t *pid, bool group)
{
	uint64_t until = clock_ns() + END_NS;

	if (*pid <= 0)
		return true;
	kill(group ? -*pid : *pid, SIGTERM);
	while (!has_ended(*pid) && clock_ns() < until)
		usleep(2000);
	return reap(pid);
}

/* The root ends its NAT itself. */
static bool stop_all(struct act *a)
{
	stop(&a->helper, true);
	for (int who = NR - 1; who > ROOT; who--)
		stop(&a->pid[who], true);
	return stop(&a->pid[ROOT], false);
}

/* ---- waiting ----------------------------------------------------------------------------------
 */

/* What is in file @name of the directory, or "". */
static void read_text(const struct act *a, const char *name, char *text, size_t len)
{
	char path[PATH_MAX];
	ssize_t n = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", a->dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, text, len - 1);
		close(fd);
	}
	text[n > 0 ? n : 0] = '\0';
}

/* Who waits would rather know at once than when patience ends. */
static bool still_there(struct act *a)
{
	static const char *const name[NR] = { "the root", "alice", "bob", "carol" };

	if (interrupted)
		return wrong(a, "interrupted");
	for (int who = ROOT; who < NR; who++) {
		if (a->pid[who] <= 0 || !has_ended(a->pid[who]))
			continue;
		snprintf(a->why, a->whylen, "%s ended early; see %s", name[who], output[who]);
		return false;
	}
	return true;
}

static bool wait_for(struct act *a, bool (*done)(const struct act *a), const char *what)
{
	uint64_t until = clock_ns() + PATIENCE * 1000000000ull;

	while (!done(a)) {
		if (!still_there(a))
			return false;
		if (clock_ns() > until) {
			snprintf(a->why, a->whylen, "%s: nothing for %d s", what, PATIENCE);
			return false;
		}
		usleep(20000);
	}
	return true;
}

static bool helped(const struct act *a)
{
	return has_ended(a->helper);
}

/* system() would be deaf to the signals that are to end us. */
static bool shell(struct act *a, const char *script)
{
	const char *const words[] = { "sh", "-c", script, NULL };

	a->helper = launch(a, words, "shell.txt");
	if (a->helper <= 0 || !wait_for(a, helped, "the shell"))
		return false;
	return reap(&a->helper) || wrong(a, "a command failed; see shell.txt");
}

static bool serving(const struct act *a)
{
	return ask_root(a, PICTURE);
}

/* Its answers and their mean round trip, once it has all of them. */
static bool ping_of(const struct act *a, int who, unsigned *answers, double *ms)
{
	char text[2048];
	const char *received, *rtt;

	read_text(a, output[who], text, sizeof(text));
	received = strstr(text, " received");
	rtt = strstr(text, "rtt min/avg/max/mdev = ");
	if (!received || !rtt || sscanf(rtt, "rtt min/avg/max/mdev = %*f/%lf", ms) != 1)
		return false;
	while (received > text && received[-1] != ' ')
		received--;
	return sscanf(received, "%u", answers) == 1;
}

static bool pinged(const struct act *a)
{
	unsigned n;
	double ms;

	cli_progress("  alice and bob ping each other, carol asks for an address");
	return ping_of(a, ALICE, &n, &ms) && ping_of(a, BOB, &n, &ms);
}

static bool leased(const struct act *a)
{
	char text[256];

	read_text(a, "lease.txt", text, sizeof(text));
	return *text;
}

/* Bytes and bytes per second, as curl says them at its end. */
static bool curl_says(const struct act *a, double *bytes, double *rate)
{
	char text[2048];
	const char *moved;

	read_text(a, output[BOB], text, sizeof(text));
	moved = strstr(text, MOVED);
	return moved && sscanf(moved, MOVED "%lf %lf", bytes, rate) == 2;
}

static bool moved(const struct act *a)
{
	char path[PATH_MAX];
	struct stat st = { 0 };
	double bytes, rate;

	snprintf(path, sizeof(path), "%s/copy.img", a->dir);
	if (stat(path, &st))
		st.st_size = 0;
	cli_progress("  bob has %3ld of %d MiB", (long)(st.st_size >> 20), FILE_MB);
	return curl_says(a, &bytes, &rate);
}

/* ---- the act ------------------------------------------------------------------------------------
 */

static bool prepare(struct act *a)
{
	char script[2048];

	cli_progress("  a file to move, a script for leases");
	snprintf(script, sizeof(script),
		 "rm -rf share copy.img lease.txt net.sock && mkdir share && "
		 "{ [ -s scratch.img ] || head -c %dM /dev/urandom >scratch.img; } && "
		 "ln scratch.img share/disk.img && "
		 "printf %%s '%s' >lease.sh && chmod 755 lease.sh",
		 FILE_MB, lease_script);
	return shell(a, script);
}

static bool guests_meet(struct act *a)
{
	unsigned n[2] = { 0 };
	double ms[2] = { 0 };

	if (!start(a, ALICE) || !start(a, BOB) || !start(a, CAROL) || !wait_for(a, pinged, "ping"))
		return false;
	ping_of(a, ALICE, &n[0], &ms[0]);
	ping_of(a, BOB, &n[1], &ms[1]);
	demo_say("  ping       alice to bob %.3f ms, bob to alice %.3f ms (means of %u and %u "
		 "answers)",
		 ms[0], ms[1], n[0], n[1]);
	return true;
}

static bool address_comes(struct act *a)
{
	char lease[256];

	if (!wait_for(a, leased, "DHCP"))
		return false;
	read_text(a, "lease.txt", lease, sizeof(lease));
	lease[strcspn(lease, "\n")] = '\0';
	demo_say("  udhcpc     carol has %s: the NAT's, without privilege", lease);
	return true;
}

static bool look(struct act *a)
{
	return ask_root(a, PICTURE) || wrong(a, "the root does not answer; see " PICTURE);
}

static bool file_moves(struct act *a)
{
	double bytes = 0, rate = 0;
	char digest[65] = "";

	/* Rates are from one look to the next. */
	if (!look(a) || !wait_for(a, moved, "curl") || !look(a))
		return false;
	curl_says(a, &bytes, &rate);
	demo_say("  curl       bob fetched %s from alice over TCP, %s/s", cli_human_bytes(bytes),
		 cli_human_bytes(rate));
	cli_progress("  sha256sum of both");
	if (!shell(a, "sha256sum <share/disk.img >sent.sha256 & "
		      "sha256sum <copy.img >received.sha256; wait; "
		      "[ -s sent.sha256 ] && cmp sent.sha256 received.sha256"))
		return false;
	read_text(a, "received.sha256", digest, sizeof(digest));
	demo_say("  sha256sum  the same at both ends: %.16s...", digest);
	return true;
}

/* As it was when the file had just arrived, with the rates of that moment. */
static void show_picture(const struct act *a)
{
	char text[8192];

	read_text(a, PICTURE, text, sizeof(text));
	demo_say("  $ hvbus net list --socket net.sock    # `hvbus inspect` shows this and more");
	printf("%s", text);
}

static bool play(struct act *a)
{
	return prepare(a) && start(a, ROOT) && wait_for(a, serving, "the root") && guests_meet(a) &&
	       address_comes(a) && file_moves(a);
}

bool demo_net_play(const char *dir, char *why, size_t whylen)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct act a = { .dir = dir, .why = why, .whylen = whylen };
	struct sigaction sa = { .sa_handler = on_signal }, before[ARRAY_SIZE(signals)];
	bool ok;

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &sa, &before[i]);
	ok = play(&a);
	if (ok)
		show_picture(&a);
	if (!stop_all(&a) && ok)
		ok = wrong(&a, "the root did not end well; see root.txt");
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &before[i], NULL);
	if (interrupted)
		raise(interrupted);
	return ok;
}
