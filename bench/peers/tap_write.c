/* SPDX-License-Identifier: MIT */
/*
 * Frames into the kernel by one write(2) each: a TAP that is up, in a network namespace where we
 * may make one. Nobody wants the frames; the network stack drops them.
 *
 * usage: tap_write BYTES SECONDS
 */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "peer.h"

static void fail(const char *what)
{
	perror(what);
	exit(3);
}

static int open_tap(void)
{
	struct ifreq r = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR), s = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || s < 0 || ioctl(fd, TUNSETIFF, &r))
		fail("a TAP");
	r.ifr_flags = IFF_UP;
	if (ioctl(s, SIOCSIFFLAGS, &r))
		fail(r.ifr_name);
	close(s);
	return fd;
}

int main(int argc, char **argv)
{
	size_t size = argc > 1 ? strtoul(argv[1], NULL, 0) : 64;
	double seconds = argc > 2 ? atof(argv[2]) : 0.2;
	/* To another host than this one, of a protocol for local experiments. */
	unsigned char frame[1514] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5 };
	uint64_t n = 0, start, end;
	char variant[32];
	int fd;

	if (size < 60 || size > sizeof(frame))
		return 2;
	alarm(60);
	fd = open_tap();
	peer_pin(0);
	start = peer_now();
	end = start + (uint64_t)(seconds * 1e9);
	while ((n & 0xff) || peer_now() < end) {
		memcpy(frame + 14, &n, sizeof(n));
		if (write(fd, frame, size) != (ssize_t)size)
			fail("write");
		n++;
	}
	start = peer_now() - start;
	snprintf(variant, sizeof(variant), "write-%zuB", size);
	peer_result("tap", variant, (double)n * 1e3 / (double)start, "Mmsg/s");
	return 0;
}
