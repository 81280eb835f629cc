/* SPDX-License-Identifier: MIT */
/*
 * hvbus attach --nic: see the header. In this order: the process in the namespace, the connection
 * to the root, the adapters, the TAPs, the threads that move frames, the command. The first is
 * forked while there are no threads; signals are for the main thread, which waits for all that
 * can end it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/netns.h"
#include "cli/nic.h"
#include "vmbus/client.h"

#define MIB	    (1u << 20)
#define RX_BYTES    (16 * MIB)		 /* frames that wait for their turn on the processor */
#define NIC_BYTES   (RX_BYTES + 2 * MIB) /* guest memory of a NIC: its buffers */
#define QUEUE_BYTES (2 * MIB)		 /* of each of its queues: rings, large frames */
#define BASE_BYTES  (2 * MIB)
#define QUIET_NS    20000000ull	  /* nothing left for so long: the command's sockets are done, */
#define LINGER_NS   1000000000ull /* or have had their time */
#define END_NS	    3000000000ull /* for a command to end once it was asked to */

/* ---- the option -------------------------------------------------------------------- */

static bool parse_count(const char *v, unsigned long min, unsigned long max, uint32_t *out)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(v, &end, 10);
	if (errno || end == v || *end || *v == '-' || n < min || n > max)
		return false;
	*out = (uint32_t)n;
	return true;
}

static bool wrong(char *why, size_t len, const char *key, const char *value, const char *what)
{
	snprintf(why, len, "%s=%s: %s", key, value, what);
	return false;
}

static bool parse_mac(const char *v)
{
	uint8_t mac[NET_MAC_LEN];

	return net_mac_parse(v, mac) && !net_mac_multicast(mac) && !net_mac_zero(mac);
}

static bool is_address(const char *v)
{
	char ip[64], bytes[16];
	size_t len = strcspn(v, "/");
	uint32_t prefix;

	if (!v[len] || len >= sizeof(ip))
		return false;
	memcpy(ip, v, len);
	ip[len] = '\0';
	if (inet_pton(AF_INET, ip, bytes) == 1)
		return parse_count(v + len + 1, 0, 32, &prefix);
	return inet_pton(AF_INET6, ip, bytes) == 1 && parse_count(v + len + 1, 0, 128, &prefix);
}

/* One KEY=VALUE. What the root has to know is judged by the root. */
static bool parse_key(struct nic_spec *s, const char *key, const char *v, char *why, size_t len)
{
	size_t at = strlen(s->wish);

	if (!strcmp(key, "addr")) {
		if (!is_address(v))
			return wrong(why, len, key, v,
				     "an address with a prefix is needed, such as 10.0.0.2/24");
		at = strlen(s->address);
		if ((size_t)snprintf(s->address + at, sizeof(s->address) - at, "%s%s",
				     at ? " " : "", v) >= sizeof(s->address) - at)
			return wrong(why, len, key, v, "too many addresses");
		return true;
	}
	if (!strcmp(key, "queues") && !parse_count(v, 1, NETVSC_MAX_QUEUES, &s->queues))
		return wrong(why, len, key, v, "1 to 16 are possible");
	if (!strcmp(key, "mtu") && !parse_count(v, NET_MIN_MTU, NET_FRAME_MAX - 28, &s->mtu))
		return wrong(why, len, key, v, "out of range: 68 to 65521 bytes of IP packet");
	if (!strcmp(key, "mac") && !parse_mac(v))
		return wrong(why, len, key, v,
			     "an address of one adapter is needed, such as 00:15:5d:01:02:03");
	if (!strcmp(key, "switch"))
		snprintf(s->switch_name, sizeof(s->switch_name), "%s", v);
	else if (!strcmp(key, "name"))
		snprintf(s->name, sizeof(s->name), "%s", v);
	else if (!strstr(" queues mtu mac vlan trunk native ", key) || strchr(key, ' '))
		return wrong(
			why, len, key, v,
			"unknown key; there are switch, mac, vlan, trunk, native, queues, mtu, "
			"name, addr");
	if (!*v)
		return wrong(why, len, key, v, "a value is needed");
	if ((size_t)snprintf(s->wish + at, sizeof(s->wish) - at, "%s%s=%s", at ? "," : "nic ", key,
			     v) >= sizeof(s->wish) - at)
		return wrong(why, len, key, v, "too long");
	return true;
}

bool nic_parse(struct nic_spec *out, const char *value, char *why, size_t whylen)
{
	char text[256], *next = text, *key, *v;

	memset(out, 0, sizeof(*out));
	if ((size_t)snprintf(text, sizeof(text), "%s", value) >= sizeof(text)) {
		snprintf(why, whylen, "too long");
		return false;
	}
	while ((key = strsep(&next, ","))) {
		v = strchr(key, '=');
		if (!v || v == key || strchr(value, '\n')) {
			snprintf(why, whylen, "'%s': KEY=VALUE is needed, such as switch=lan", key);
			return false;
		}
		*v++ = '\0';
		if (!parse_key(out, key, v, why, whylen))
			return false;
	}
	if (!out->switch_name[0])
		snprintf(why, whylen, "which switch? switch=NAME is missing");
	return out->switch_name[0];
}

/* ---- the partition ----------------------------------------------------------------------- */

struct session {
	const struct nic_args *a;
	struct netns ns;
	bool running; /* ns.pid is the command, and not reaped */
	int signals;
	struct hv_child *child;
	struct vmbus_client *bus;
	struct pump_nic nic[PUMP_NICS];
	uint32_t nr;
	struct pump *pump;
};

static void give_back(struct session *s)
{
	if (s->pump)
		pump_stop(s->pump);
	for (uint32_t i = 0; i < s->nr; i++) {
		net_tap_close(&s->nic[i].tap);
		netvsc_close(s->nic[i].nic);
	}
	if (s->bus)
		vmbus_client_destroy(s->bus);
	if (s->child)
		hv_child_destroy(s->child);
}

static void fail(struct session *s, const char *fmt, ...) PRINTF_LIKE(2, 3)
	__attribute__((noreturn));

/* One line; nothing stays behind. */
static void fail(struct session *s, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	give_back(s);
	netns_end(&s->ns);
	cli_die(CLI_FAILED, "%s", text);
}

/* By this a person tells partitions apart, and by this the root chooses addresses. */
static const char *partition_name(const struct nic_args *a)
{
	const char *path = a->command ? a->command[0] : "attach";
	const char *slash = strrchr(path, '/');

	if (a->name)
		return a->name;
	if (*a->nic[0].name)
		return a->nic[0].name;
	return slash && slash[1] ? slash + 1 : path;
}

static void connect_root(struct session *s)
{
	const struct nic_args *a = s->a;
	char wishes[PUMP_NICS * 257 + 1] = "", why[256] = "";
	struct hv_child_config cfg = {
		.name = partition_name(a), .memory = BASE_BYTES, .nr_vps = 1, .wishes = wishes
	};
	int err;

	for (uint32_t i = 0; i < a->nr_nics; i++) {
		uint32_t q = a->nic[i].queues ? a->nic[i].queues : 1;

		cfg.memory += NIC_BYTES + q * QUEUE_BYTES;
		cfg.nr_vps = q > cfg.nr_vps ? q : cfg.nr_vps;
		strcat(wishes, a->nic[i].wish);
		strcat(wishes, "\n");
	}
	err = hv_child_connect(&s->child, a->socket, &cfg, why, sizeof(why));
	/* The root says -ENOENT as well, of a switch. */
	if (err == -ECONNREFUSED || (err == -ENOENT && access(a->socket, F_OK)))
		fail(s,
		     "%s: no root is serving there; start one with `hvbus serve --socket %s "
		     "--switch name=%s,type=private`",
		     a->socket, a->socket, a->nic[0].switch_name);
	if (err)
		fail(s, "%s: %s", a->socket, *why ? why : strerror(-err));
	err = vmbus_client_connect(&s->bus, s->child, NULL);
	if (err)
		fail(s, "bus: %s", strerror(-err));
}

static void open_nic(struct session *s, uint32_t i)
{
	const struct nic_spec *spec = &s->a->nic[i];
	struct netvsc_config cfg = { .queues = spec->queues,
				     .mtu = spec->mtu,
				     .rx_bytes = RX_BYTES };
	struct netns_tap ask = { .queues = 1 };
	struct netvsc_info info;
	char why[256] = "";
	int err;

	err = netvsc_open(&s->nic[i].nic, s->bus, i, &cfg, why, sizeof(why));
	if (err)
		fail(s, "adapter %u on switch %s: %s", i, spec->switch_name, why);
	s->nr = i + 1;
	netvsc_info(s->nic[i].nic, &info);
	if (i < s->a->nr_taps)
		snprintf(ask.name, sizeof(ask.name), "%s", s->a->tap[i]);
	else if (s->a->netns)
		snprintf(ask.name, sizeof(ask.name), "eth%u", i);
	snprintf(ask.address, sizeof(ask.address), "%s", spec->address);
	memcpy(ask.mac, info.mac, sizeof(ask.mac));
	ask.queues = info.queues;
	ask.mtu = info.mtu;
	ask.offloads = info.csum && info.tso;
	err = netns_make_tap(&s->ns, &ask, &s->nic[i].tap, why, sizeof(why));
	if (err)
		fail(s, "%s", why);
	err = netvsc_up(s->nic[i].nic, true);
	if (err)
		fail(s, "%s: %s", s->nic[i].tap.name, strerror(-err));
}

/* ---- while it runs ------------------------------------------------------------------------- */

static void tell_where(const struct session *s)
{
	char mac[NET_MAC_TEXT];
	struct netvsc_info info;

	for (uint32_t i = 0; i < s->nr; i++) {
		netvsc_info(s->nic[i].nic, &info);
		net_mac_format(info.mac, mac);
		fprintf(stderr, "hvbus attach: %s (%s, mtu %u, switch %s) is up",
			s->nic[i].tap.name, mac, info.mtu, s->a->nic[i].switch_name);
		if (s->a->netns && !strcmp(s->a->netns, "new"))
			fprintf(stderr, " in the namespace of process %d", (int)s->ns.pid);
		fputs("\n", stderr);
	}
}

static int status_of(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Has the command ended? */
static bool reap(struct session *s, int options, int *status)
{
	pid_t pid;

	do {
		pid = waitpid(s->ns.pid, status, options);
	} while (pid < 0 && errno == EINTR);
	if (pid != s->ns.pid)
		return false;
	s->running = false;
	return true;
}

static void end_command(struct session *s)
{
	uint64_t until = clock_ns() + END_NS;
	struct timespec nap = { .tv_nsec = 5000000 };
	int status;

	if (!s->running)
		return;
	shutdown(s->ns.sock, SHUT_RDWR); /* without a command it waits for that, and no signal */
	kill(s->ns.pid, SIGTERM);
	while (!reap(s, WNOHANG, &status)) {
		if (clock_ns() > until)
			kill(s->ns.pid, SIGKILL);
		nanosleep(&nap, NULL);
	}
}

/* The next signal. True: it ends us, with *@status. */
static bool on_signal(struct session *s, int *status)
{
	struct signalfd_siginfo si;

	if (read(s->signals, &si, sizeof(si)) != sizeof(si))
		return false;
	if (si.ssi_signo == SIGCHLD) {
		if (!reap(s, WNOHANG, status))
			return false;
		if (!s->a->command)
			fputs("hvbus attach: the process in the namespace was killed\n", stderr);
		*status = s->a->command ? status_of(*status) : CLI_FAILED;
		return true;
	}
	*status = CLI_OK;
	if (!s->a->command)
		return true;
	if (si.ssi_code != SI_KERNEL) /* from the terminal it has come to the command as well */
		kill(s->ns.pid, (int)si.ssi_signo);
	return false;
}

static const char *reason(const struct session *s)
{
	for (uint32_t i = 0; i < s->nr; i++)
		if (netvsc_failed(s->nic[i].nic))
			return netvsc_why(s->nic[i].nic);
	return "frames do not move any more";
}

static int wait_for_end(struct session *s)
{
	struct pollfd fd[2] = { { s->signals, POLLIN, 0 }, { pump_fd(s->pump), POLLIN, 0 } };
	int status;

	for (;;) {
		if (poll(fd, 2, -1) < 0 && errno != EINTR)
			return CLI_FAILED;
		if (fd[0].revents && on_signal(s, &status))
			return status;
		if (!fd[1].revents)
			continue;
		fprintf(stderr, "hvbus attach: %s\n", reason(s));
		end_command(s);
		return CLI_FAILED;
	}
}

/*
 * What a command's sockets still hold when it ends, last data and FINs, the kernel sends by itself:
 * as long as there is an interface.
 */
static void linger(struct session *s)
{
	struct pollfd ended = { pump_fd(s->pump), POLLIN, 0 };
	uint64_t now = clock_ns(), until = now + LINGER_NS, quiet = now + QUIET_NS;
	uint64_t before = pump_sent(s->pump), sent;

	while (now < until && now < quiet && !poll(&ended, 1, 2)) {
		now = clock_ns();
		sent = pump_sent(s->pump);
		if (sent != before)
			quiet = now + QUIET_NS;
		before = sent;
	}
}

static void print_stats(const struct session *s)
{
	struct pump_stats p;
	struct netvsc_stats v, sum;
	struct netvsc_info info;

	for (uint32_t i = 0; i < s->nr; i++) {
		pump_stats(s->pump, i, &p);
		netvsc_info(s->nic[i].nic, &info);
		memset(&sum, 0, sizeof(sum));
		for (uint32_t q = 0; q < info.queues; q++) {
			netvsc_stats(s->nic[i].nic, q, &v);
			sum.signals_sent += v.signals_sent;
			sum.rx_bad += v.rx_bad;
			sum.tx_requests += v.tx_requests;
		}
		fprintf(stderr,
			"%s: sent %lu frames %lu bytes in %lu requests, received %lu frames %lu "
			"bytes, dropped %lu out %lu in, signals %lu, sleeps %lu\n",
			s->nic[i].tap.name, p.out_frames, p.out_bytes, sum.tx_requests, p.in_frames,
			p.in_bytes, p.out_dropped, p.in_dropped + sum.rx_bad, sum.signals_sent,
			p.sleeps);
	}
}

static int run(struct session *s)
{
	int err, status;

	connect_root(s);
	for (uint32_t i = 0; i < s->a->nr_nics; i++)
		open_nic(s, i);
	err = pump_start(&s->pump, s->bus, s->nic, s->nr);
	if (err)
		fail(s, "threads: %s", strerror(-err));
	if (!s->a->command)
		tell_where(s);
	err = netns_go(&s->ns);
	if (err)
		fail(s, "the process in the namespace: %s", strerror(-err));
	s->running = true;
	status = wait_for_end(s);
	if (s->a->command)
		linger(s);
	pump_stop(s->pump);
	if (s->a->stats)
		print_stats(s);
	pump_free(s->pump);
	s->pump = NULL;
	give_back(s);
	close(s->ns.sock);
	end_command(s);
	return status;
}

int nic_run(const struct nic_args *a)
{
	struct session s = { .a = a };
	sigset_t ours, before;
	struct netns_config ns = { .name = a->netns,
				   .command = a->command,
				   .signals = &before,
				   .prepare = a->prepare,
				   .ctx = a->ctx };
	char why[320] = "";

	ns.where = !a->netns ? NETNS_OWN : strcmp(a->netns, "new") ? NETNS_NAMED : NETNS_NEW;
	sigemptyset(&ours);
	sigaddset(&ours, SIGINT);
	sigaddset(&ours, SIGTERM);
	sigaddset(&ours, SIGHUP);
	sigaddset(&ours, SIGCHLD);
	sigprocmask(SIG_BLOCK, &ours, &before);
	s.signals = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s.signals < 0)
		cli_die(CLI_FAILED, "signals: %s", strerror(errno));
	if (netns_start(&s.ns, &ns, why, sizeof(why)))
		cli_die(CLI_FAILED, "%s", why);
	return run(&s);
}
