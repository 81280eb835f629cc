/* SPDX-License-Identifier: MIT */
/*
 * The least that a switch in user space can do whose guests are processes: two processes read and
 * write a TAP each, one here and one in the namespace NETNS (/proc/PID/ns/net), and a third hands
 * frames from one to the other. A frame is read into shared memory and written from there: nobody
 * looks at it, nobody copies it, large frames stay as they are. Who has nothing to do sleeps.
 *
 * usage: tap_relay NETNS IFNAME       until it is killed
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "peer.h"

#define SLOTS 64u
#define MOST  (12 + 65536 + 64) /* virtio header, large frame */
#define BURST 16		/* frames until the next is told */

enum party { LEFT, RIGHT, SWITCH, PARTIES };

/* Frames one way. Counts only grow; each has one writer. */
struct path {
	_Atomic uint32_t made, passed, taken;
	uint32_t length[SLOTS];
	uint8_t frame[SLOTS][MOST];
};

struct shared {
	struct path path[2]; /* from LEFT, from RIGHT */
	_Atomic bool asleep[PARTIES];
};

static struct shared *sh;
static int bell[PARTIES];

static void fail(const char *what)
{
	perror(what);
	exit(3);
}

static int open_tap(const char *name)
{
	struct ifreq r = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK), header = 12;

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &r) || ioctl(fd, TUNSETVNETHDRSZ, &header) ||
	    ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6))
		fail(name);
	return fd;
}

static void wake(enum party who)
{
	if (atomic_exchange(&sh->asleep[who], false))
		eventfd_write(bell[who], 1);
}

static bool take_in(int tap, struct path *p)
{
	uint32_t made = p->made, n = 0;

	for (; n < BURST && made - p->taken < SLOTS; n++, made++) {
		ssize_t got = read(tap, p->frame[made % SLOTS], MOST);

		if (got <= 0)
			break;
		p->length[made % SLOTS] = (uint32_t)got;
		p->made = made + 1;
	}
	if (n)
		wake(SWITCH);
	return n;
}

static bool put_out(int tap, struct path *p, enum party maker)
{
	uint32_t taken = p->taken, passed = p->passed;
	bool any = taken != passed;

	for (; taken != passed; taken++) {
		ssize_t lost = write(tap, p->frame[taken % SLOTS], p->length[taken % SLOTS]);

		(void)lost; /* which happens on any cable */
		p->taken = taken + 1;
	}
	if (any)
		wake(maker);
	return any;
}

static bool pump(enum party me, int tap)
{
	bool in = take_in(tap, &sh->path[me]);

	return put_out(tap, &sh->path[!me], !me) || in;
}

static bool hand_over(void)
{
	bool any = false;

	for (int from = 0; from < 2; from++) {
		struct path *p = &sh->path[from];
		uint32_t made = p->made;

		if (p->passed == made)
			continue;
		p->passed = made;
		wake(from == LEFT ? RIGHT : LEFT);
		any = true;
	}
	return any;
}

static void live(enum party me, int tap)
{
	struct pollfd p[2] = { { bell[me], POLLIN, 0 }, { tap, POLLIN, 0 } };
	eventfd_t n;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		while (me == SWITCH ? hand_over() : pump(me, tap))
			;
		sh->asleep[me] = true;
		if (!(me == SWITCH ? hand_over() : pump(me, tap))) {
			/* A TAP whose frames have no room is not worth waking up for. */
			bool full = me != SWITCH && sh->path[me].made - sh->path[me].taken >= SLOTS;

			if (poll(p, me == SWITCH || full ? 1 : 2, -1) < 0 && errno != EINTR)
				fail("poll");
			if (p[0].revents & POLLIN)
				eventfd_read(bell[me], &n);
		}
		sh->asleep[me] = false;
	}
}

int main(int argc, char **argv)
{
	int here, there, tap[PARTIES] = { -1, -1, -1 };

	if (argc != 3)
		return 2;
	here = open("/proc/self/ns/net", O_RDONLY);
	there = open(argv[1], O_RDONLY);
	tap[LEFT] = open_tap(argv[2]);
	if (here < 0 || there < 0 || setns(there, CLONE_NEWNET))
		fail(argv[1]);
	tap[RIGHT] = open_tap(argv[2]);
	if (setns(here, CLONE_NEWNET))
		fail("setns");
	sh = peer_shared(sizeof(*sh), NULL);
	for (enum party i = 0; i < PARTIES; i++) {
		bell[i] = eventfd(0, EFD_NONBLOCK);
		if (bell[i] < 0)
			fail("eventfd");
	}
	for (enum party i = LEFT; i < SWITCH; i++) {
		if (fork() == 0)
			live(i, tap[i]);
	}
	live(SWITCH, -1);
}
