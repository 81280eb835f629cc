/* SPDX-License-Identifier: MIT */
/*
 * libslirp between a socket with a switch's frames and the host's sockets. Runs in a process of
 * its own that has nothing else (nat_main.c), so that it may wait: frames to the guests are held
 * up rather than lost when the root is busy, and TCP slows down by itself.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <resolv.h>
#include <slirp/libslirp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/log.h"
#include "base/net/frame.h"
#include "vmwp/nat_wire.h"

#define BATCH	64
#define SLOT	2048u
#define LOOK_NS 1000000000ull
#define MAX_FDS 1024 /* sandbox.c's limit for this process */

_Static_assert(NAT_MTU + NET_ETH_LEN + NET_VLAN_LEN <= SLOT, "a frame fits");

struct batch {
	struct mmsghdr msg[BATCH];
	struct iovec iov[BATCH];
	uint8_t frame[BATCH][SLOT];
};

struct timer {
	void *arg;
	int64_t due_ms;
	bool used, armed;
};

static Slirp *slirp;
static int frames;
static bool over; /* nobody is there any more to take frames, or another has to begin anew */
static struct batch in, out;
static unsigned queued;
static struct timer timers[SLIRP_TIMER_NUM];
static struct pollfd fds[MAX_FDS + 1]; /* the first is the frames' */
static nfds_t nr_fds;

/* ---- frames to the guests -------------------------------------------------------------------- */

static void send_queued(void)
{
	for (unsigned done = 0; done < queued && !over;) {
		int n = sendmmsg(frames, out.msg + done, queued - done, MSG_NOSIGNAL);

		if (n > 0)
			done += (unsigned)n;
		else if (errno != EINTR)
			over = true;
	}
	queued = 0;
}

static ssize_t send_packet(const void *buf, size_t len, void *opaque)
{
	(void)opaque;
	if (len > SLOT)
		return -1;
	memcpy(out.frame[queued], buf, len);
	out.iov[queued].iov_len = len;
	if (++queued == BATCH)
		send_queued();
	return (ssize_t)len;
}

/* ---- frames from the guests --------------------------------------------------------------------
 */

/*
 * Nobody on a network has these addresses, but for the host they are itself: libslirp would
 * connect to its services, whatever was said about its loopback.
 */
static bool for_loopback(const uint8_t *frame, size_t len)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	static const uint8_t low[15]; /* :: and ::1, and some that nobody has */
	const uint8_t *dst;
	uint16_t type;

	if (len < NET_ETH_LEN + 20)
		return false;
	type = (uint16_t)(frame[12] << 8 | frame[13]);
	if (type == NET_ETHERTYPE_IP4)
		return frame[NET_ETH_LEN + 16] == 127 || frame[NET_ETH_LEN + 16] == 0;
	if (type != NET_ETHERTYPE_IP6 || len < NET_ETH_LEN + 40)
		return false;
	dst = frame + NET_ETH_LEN + 24;
	return !memcmp(dst, mapped, sizeof(mapped)) || !memcmp(dst, low, sizeof(low));
}

static void take_frames(void)
{
	int n = recvmmsg(frames, in.msg, BATCH, MSG_DONTWAIT, NULL);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		over = true;
	for (int i = 0; i < n && !over; i++) {
		size_t len = in.msg[i].msg_len;

		over = !len;
		if (len >= NET_ETH_LEN && !(in.msg[i].msg_hdr.msg_flags & MSG_TRUNC) &&
		    !for_loopback(in.frame[i], len))
			slirp_input(slirp, in.frame[i], (int)len);
	}
}

/* ---- time
 * ------------------------------------------------------------------------------------------ */

static int64_t clock_get(void *opaque)
{
	(void)opaque;
	return (int64_t)clock_ns();
}

static void *timer_new(SlirpTimerId id, void *arg, void *opaque)
{
	(void)opaque;
	timers[id] = (struct timer){ .arg = arg, .used = true };
	return &timers[id];
}

static void timer_free(void *timer, void *opaque)
{
	(void)opaque;
	*(struct timer *)timer = (struct timer){ 0 };
}

static void timer_mod(void *timer, int64_t due_ms, void *opaque)
{
	struct timer *t = timer;

	(void)opaque;
	t->due_ms = due_ms;
	t->armed = true;
}

static void run_timers(void)
{
	int64_t now = (int64_t)(clock_ns() / 1000000);

	for (int i = 0; i < SLIRP_TIMER_NUM; i++) {
		if (!timers[i].armed || timers[i].due_ms > now)
			continue;
		timers[i].armed = false;
		slirp_handle_timer(slirp, (SlirpTimerId)i, timers[i].arg);
	}
}

/* For poll(): in ms, -1 = no end. */
static int time_left(uint32_t slirp_ms)
{
	int64_t now = (int64_t)(clock_ns() / 1000000), least = slirp_ms;

	for (int i = 0; i < SLIRP_TIMER_NUM; i++)
		if (timers[i].armed && timers[i].due_ms - now < least)
			least = timers[i].due_ms > now ? timers[i].due_ms - now : 0;
	return least >= INT32_MAX ? -1 : (int)least;
}

/* ---- the list of name servers
 * -------------------------------------------------------------------- */

/*
 * A file that took the place of the one the sandbox lets through cannot be read; a process that is
 * started now can. Connections are lost by that, but the host has another network, mostly.
 */
static bool servers_readable = true;
static uint64_t look_at_ns;

static bool can_read_servers(void)
{
	int fd = open(_PATH_RESCONF, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno != EACCES && errno != EPERM;
	close(fd);
	return true;
}

/* Only when something happens: guests that are silent ask for no names. */
static void look_at_servers(void)
{
	uint64_t now = clock_ns();

	if (!servers_readable || now < look_at_ns)
		return;
	look_at_ns = now + LOOK_NS;
	over |= !can_read_servers();
}

/* ---- the host's sockets -------------------------------------------------------------------------
 */

static const struct {
	int slirp;
	short poll;
	bool ask; /* the others are reported unasked */
} events_of[] = {
	{ SLIRP_POLL_IN, POLLIN, true },    { SLIRP_POLL_OUT, POLLOUT, true },
	{ SLIRP_POLL_PRI, POLLPRI, true },  { SLIRP_POLL_ERR, POLLERR, false },
	{ SLIRP_POLL_HUP, POLLHUP, false },
};

static int add_poll(int fd, int events, void *opaque)
{
	struct pollfd *p = &fds[nr_fds];

	(void)opaque;
	if (nr_fds == ARRAY_SIZE(fds))
		return -1;
	*p = (struct pollfd){ .fd = fd };
	for (size_t i = 0; i < ARRAY_SIZE(events_of); i++)
		if (events & events_of[i].slirp && events_of[i].ask)
			p->events |= events_of[i].poll;
	return (int)nr_fds++;
}

static int get_revents(int index, void *opaque)
{
	int events = 0;

	(void)opaque;
	for (size_t i = 0; index >= 0 && i < ARRAY_SIZE(events_of); i++)
		if (fds[index].revents & events_of[i].poll)
			events |= events_of[i].slirp;
	return events;
}

static void turn(void)
{
	uint32_t slirp_ms = UINT32_MAX;
	int n;

	fds[0] = (struct pollfd){ .fd = frames, .events = POLLIN };
	nr_fds = 1;
	slirp_pollfds_fill(slirp, &slirp_ms, add_poll, NULL);
	n = poll(fds, nr_fds, time_left(slirp_ms));
	slirp_pollfds_poll(slirp, n < 0, get_revents, NULL);
	run_timers();
	if (n > 0 && fds[0].revents) {
		look_at_servers();
		take_frames();
	}
	send_queued();
}

/* ---- beginning ----------------------------------------------------------------------------------
 */

/* What guests do wrong is their own affair, and could be any number of lines. */
static void guest_error(const char *msg, void *opaque)
{
	(void)msg;
	(void)opaque;
}

static void unused_fd(int fd, void *opaque)
{
	(void)fd;
	(void)opaque;
}

static void nothing(void *opaque)
{
	(void)opaque;
}

static const SlirpCb callbacks = {
	.send_packet = send_packet,
	.guest_error = guest_error,
	.clock_get_ns = clock_get,
	.timer_new_opaque = timer_new,
	.timer_free = timer_free,
	.timer_mod = timer_mod,
	.register_poll_fd = unused_fd,
	.unregister_poll_fd = unused_fd,
	.notify = nothing,
};

static struct in_addr host_number(const struct nat_net *net, uint32_t number)
{
	return (struct in_addr){ htonl(ntohl(net->network.s_addr) | number) };
}

static Slirp *start(const struct nat_net *net)
{
	SlirpConfig cfg = {
		.version = 4,
		.in_enabled = true,
		.vnetwork = net->network,
		.vnetmask.s_addr = htonl(~0u << (32 - net->prefix)),
		.vhost = host_number(net, 2),
		.vnameserver = host_number(net, 3),
		.vdhcp_start = host_number(net, 15),
		.in6_enabled = !net->no_ipv6,
		.vprefix_len = 64,
		.if_mtu = NAT_MTU,
		.if_mru = NAT_MTU,
		.disable_host_loopback = !net->host_loopback,
	};

	inet_pton(AF_INET6, "fec0::", &cfg.vprefix_addr6);
	inet_pton(AF_INET6, "fec0::2", &cfg.vhost6);
	inet_pton(AF_INET6, "fec0::3", &cfg.vnameserver6);
	return slirp_new(&cfg, &callbacks, NULL);
}

static void forward(const struct nat_net *net, const struct nat_forward *f)
{
	struct in_addr guest = f->guest.s_addr ? f->guest : host_number(net, 15);
	char host[INET_ADDRSTRLEN];

	if (!slirp_add_hostfwd(slirp, f->udp, f->host, f->host_port, guest, f->guest_port))
		return;
	log_error("nat: %s port %u of %s is not forwarded: %s; choose another, above 1023",
		  f->udp ? "udp" : "tcp", f->host_port,
		  inet_ntop(AF_INET, &f->host, host, sizeof(host)), strerror(errno));
}

static void prepare(struct batch *b)
{
	for (int i = 0; i < BATCH; i++) {
		b->iov[i] = (struct iovec){ b->frame[i], SLOT };
		b->msg[i].msg_hdr = (struct msghdr){ .msg_iov = &b->iov[i], .msg_iovlen = 1 };
	}
}

int nat_slirp(int socket, const struct nat_net *net, void (*confine)(void))
{
	frames = socket;
	prepare(&in);
	prepare(&out);
	slirp = start(net);
	if (!slirp)
		return -EINVAL;
	for (uint32_t i = 0; i < net->nr_forwards && i < NAT_MAX_FORWARDS; i++)
		forward(net, &net->forward[i]);
	servers_readable = can_read_servers(); /* or else it never is */
	confine();
	while (!over)
		turn();
	return 0; /* the process ends now, and with it all that libslirp has */
}
