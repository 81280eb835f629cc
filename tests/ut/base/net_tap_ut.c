/* SPDX-License-Identifier: MIT */
/*
 * TAP devices of the real kernel, in network namespaces that belong to nobody else: a child for
 * each test, which becomes root of its own. Where the kernel forbids that, the tests say so and
 * prove nothing.
 */
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/net/gso.h"
#include "base/net/tap.h"
#include "tests/ut/base/net_rig.h"

/* The child is not one of check's: it says what it misses, and its status is the verdict. */
#define NEED(cond)                                                                                 \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: %s (errno: %s; why: %s)\n", __FILE__, __LINE__,    \
				#cond, strerror(errno), why);                                      \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

static char why[256];
static const uint8_t mac_a[6] = { 0x02, 0x15, 0x5d, 1, 2, 3 };

static bool put_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* A bare clone: an instrumented process may have threads, and unshare(2) refuses those. */
static void in_namespaces(unsigned long which, void (*body)(void))
{
	char map[64];
	int status;
	pid_t pid;

	snprintf(map, sizeof(map), "0 %u 1\n", (unsigned int)geteuid());
	pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | which | SIGCHLD, 0, 0, 0, 0);
	if (pid < 0) {
		printf("NOT TESTED: no user namespaces here (%s); allow them to test TAPs\n",
		       strerror(errno));
		return;
	}
	if (pid == 0) {
		if (!put_file("/proc/self/uid_map", map))
			_exit(77);
		body();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		printf("NOT TESTED: user namespaces have no root here; allow that to test TAPs\n");
		return;
	}
	ck_assert_msg(status == 0, "the child failed: see what it said");
}

static int tap_open(struct net_tap *t, const struct net_tap_config *c)
{
	strcpy(why, "");
	return net_tap_open(t, c, why, sizeof(why));
}

/* ---- looking at interfaces ----------------------------------------------------------------- */

static struct ifreq look(const char *name, unsigned long what, void *data)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = { 0 };

	strcpy(r.ifr_name, name);
	if (data)
		r.ifr_data = data;
	NEED(fd >= 0 && ioctl(fd, what, &r) == 0);
	close(fd);
	return r;
}

static bool carrier(const char *name)
{
	struct ethtool_value v = { .cmd = ETHTOOL_GLINK };

	look(name, SIOCETHTOOL, &v);
	return v.data;
}

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* ---- what an interface is ------------------------------------------------------------------- */

static void made_as_asked(void)
{
	struct net_tap_config c = {
		.name = "hvt", .mtu = 9000, .mac = mac_a, .offloads = true, .up = true
	};
	int before = open_fds();
	struct net_tap t;

	NEED(tap_open(&t, &c) == 0);
	NEED(!strcmp(t.name, "hvt") && t.queues == 1);
	NEED(fcntl(t.fd[0], F_GETFL) & O_NONBLOCK);
	NEED(fcntl(t.fd[0], F_GETFD) & FD_CLOEXEC);
	NEED(!memcmp(look("hvt", SIOCGIFHWADDR, NULL).ifr_hwaddr.sa_data, mac_a, 6));
	NEED(look("hvt", SIOCGIFMTU, NULL).ifr_mtu == 9000);
	NEED(look("hvt", SIOCGIFFLAGS, NULL).ifr_flags & IFF_UP);
	NEED(net_tap_set_carrier(&t, false) == 0 && !carrier("hvt"));
	NEED(net_tap_set_carrier(&t, true) == 0 && carrier("hvt"));
	NEED(net_if_set_up("hvt", false) == 0);
	NEED(!(look("hvt", SIOCGIFFLAGS, NULL).ifr_flags & IFF_UP));
	NEED(net_if_set_mtu("hvt", 1400) == 0);
	NEED(look("hvt", SIOCGIFMTU, NULL).ifr_mtu == 1400);
	NEED(net_if_set_mtu("hvt", 70000) == -EINVAL);
	NEED(net_if_set_mtu("none", 1400) == -ENODEV && net_if_set_up("none", true) == -ENODEV);
	net_tap_close(&t);
	NEED(t.queues == 0 && if_nametoindex("hvt") == 0);
	NEED(open_fds() == before);
}

START_TEST(interface_is_made_as_asked)
{
	in_namespaces(CLONE_NEWNET, made_as_asked);
}
END_TEST

static void named_by_kernel(void)
{
	struct net_tap_config c = { .name = "" };
	struct net_tap a, b;

	NEED(tap_open(&a, &c) == 0 && !strcmp(a.name, "hv0"));
	NEED(tap_open(&b, &c) == 0 && !strcmp(b.name, "hv1"));
	net_tap_close(&a);
	net_tap_close(&b);
	c = (struct net_tap_config){ .name = "q%d", .queues = 3, .up = true };
	NEED(tap_open(&a, &c) == 0 && !strcmp(a.name, "q0") && a.queues == 3);
	net_tap_close(&a);
}

START_TEST(kernel_completes_names)
{
	in_namespaces(CLONE_NEWNET, named_by_kernel);
}
END_TEST

static void several_queues(void)
{
	struct net_tap_config c = {
		.name = "mq", .queues = NET_TAP_QUEUES, .up = true, .offloads = true
	};
	struct virtio_net_hdr h = { 0 };
	uint8_t frame[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 0x88, 0xb5 };
	struct iovec iov[2] = { { &h, sizeof(h) }, { frame, sizeof(frame) } };
	struct net_tap t;

	NEED(tap_open(&t, &c) == 0 && t.queues == NET_TAP_QUEUES);
	for (uint32_t i = 0; i < t.queues; i++)
		NEED(writev(t.fd[i], iov, 2) == (ssize_t)(sizeof(h) + sizeof(frame)));
	NEED(net_tap_set_carrier(&t, false) == 0 && !carrier("mq"));
	net_tap_close(&t);
	NEED(if_nametoindex("mq") == 0);
}

START_TEST(queues_are_all_of_one_interface)
{
	in_namespaces(CLONE_NEWNET, several_queues);
}
END_TEST

static void address_text(const struct sockaddr *a, char *text)
{
	socklen_t len = a->sa_family == AF_INET ? sizeof(struct sockaddr_in)
						: sizeof(struct sockaddr_in6);

	NEED(getnameinfo(a, len, text, NI_MAXHOST, NULL, 0, NI_NUMERICHOST) == 0);
}

static bool has_address(const char *name, const char *address, const char *mask)
{
	char text[NI_MAXHOST], netmask[NI_MAXHOST];
	struct ifaddrs *all, *i;
	bool found = false;

	NEED(getifaddrs(&all) == 0);
	for (i = all; i && !found; i = i->ifa_next) {
		if (strcmp(i->ifa_name, name) || !i->ifa_addr ||
		    (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
			continue;
		address_text(i->ifa_addr, text);
		address_text(i->ifa_netmask, netmask);
		found = !strcmp(text, address) && !strcmp(netmask, mask);
	}
	freeifaddrs(all);
	return found;
}

static bool can_bind6(const char *address)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6 };
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool ok;

	NEED(inet_pton(AF_INET6, address, &a.sin6_addr) == 1);
	ok = bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
	close(fd);
	return ok;
}

static void addresses(void)
{
	static const char *const wrong[] = { "10.9.0.1",  "10.9.0.1/33",  "10.9.0/24",
					     "10.9.0.1/", "10.9.0.1/24x", "fd00::1/129",
					     "x/1",	  "10.9.0.1/-1",  "10.9.0.1/ 24",
					     "" };
	struct net_tap_config c = { .name = "ad", .up = true };
	struct net_tap t;

	NEED(tap_open(&t, &c) == 0);
	NEED(!has_address("ad", "10.9.0.1", "255.255.255.0"));
	NEED(net_if_add_address("ad", "10.9.0.1/24") == 0 &&
	     has_address("ad", "10.9.0.1", "255.255.255.0"));
	NEED(net_if_add_address("ad", "10.9.1.1/32") == 0 &&
	     has_address("ad", "10.9.1.1", "255.255.255.255"));
	NEED(has_address("ad", "10.9.0.1", "255.255.255.0")); /* added, not replaced */
	NEED(net_if_add_address("ad", "10.9.0.1/24") == -EEXIST);
	NEED(net_if_add_address("ad", "fd00:9::1/64") == 0);
	NEED(has_address("ad", "fd00:9::1", "ffff:ffff:ffff:ffff::"));
	NEED(can_bind6("fd00:9::1")); /* at once */
	NEED(net_if_add_address("none", "10.9.0.1/24") == -ENODEV);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		NEED(net_if_add_address("ad", wrong[i]) == -EINVAL);
	net_tap_close(&t);
}

START_TEST(addresses_are_added)
{
	in_namespaces(CLONE_NEWNET, addresses);
}
END_TEST

/* ---- refusals ------------------------------------------------------------------------------ */

static void duplicates(void)
{
	struct net_tap_config c = { .name = "dup" };
	struct net_tap a, b;
	int fds;

	NEED(tap_open(&a, &c) == 0);
	fds = open_fds();
	NEED(tap_open(&b, &c) == -EEXIST && strstr(why, "another name"));
	c.queues = 4;
	NEED(tap_open(&b, &c) == -EEXIST);
	c.name = "lo";
	NEED(tap_open(&b, &c) == -EEXIST);
	NEED(b.queues == 0 && open_fds() == fds);
	NEED(net_tap_open(&b, &c, NULL, 0) == -EEXIST);
	net_tap_close(&a);
}

START_TEST(existing_names_are_refused)
{
	in_namespaces(CLONE_NEWNET, duplicates);
}
END_TEST

static void attaching(void)
{
	struct net_tap_config c = { .name = "pers" }, must = { .name = "pers", .must_exist = true };
	struct net_tap a, b;

	NEED(tap_open(&b, &must) == -ENODEV && strstr(why, "ip tuntap add"));
	NEED(if_nametoindex("pers") == 0);
	NEED(tap_open(&a, &c) == 0 && ioctl(a.fd[0], TUNSETPERSIST, 1) == 0);
	net_tap_close(&a);
	NEED(if_nametoindex("pers") != 0);
	NEED(tap_open(&b, &c) == -EEXIST);
	must.queues = 2;
	NEED(tap_open(&b, &must) == -EINVAL && strstr(why, "multi_queue"));
	must.queues = 1;
	must.mtu = 1280;
	NEED(tap_open(&a, &must) == 0 && look("pers", SIOCGIFMTU, NULL).ifr_mtu == 1280);
	NEED(tap_open(&b, &must) == -EBUSY && strstr(why, "another program"));
	net_tap_close(&a);
	must.name = "lo";
	NEED(tap_open(&b, &must) == -EINVAL);
	must.name = "hv%d";
	NEED(tap_open(&b, &must) == -EINVAL);
}

START_TEST(persistent_ones_are_attached_to)
{
	in_namespaces(CLONE_NEWNET, attaching);
}
END_TEST

/* Root of a user namespace, but the network belongs to the one outside. */
static void no_right(void)
{
	struct net_tap_config c = { .name = "hvnoright" };
	struct net_tap t;

	NEED(tap_open(&t, &c) == -EPERM && strstr(why, "--netns new"));
}

START_TEST(missing_right_is_told)
{
	in_namespaces(0, no_right);
}
END_TEST

static void no_device(void)
{
	struct net_tap_config c = { .name = "x" };
	struct net_tap t;

	NEED(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	NEED(mount("none", "/dev/net", "tmpfs", 0, NULL) == 0);
	NEED(tap_open(&t, &c) == -ENOENT && strstr(why, "modprobe tun"));
}

START_TEST(missing_device_is_told)
{
	in_namespaces(CLONE_NEWNET | CLONE_NEWNS, no_device);
}
END_TEST

START_TEST(what_cannot_be_is_not_tried)
{
	static const uint8_t multicast[6] = { 1 }, zero[6];
	const struct net_tap_config wrong[] = {
		{ .name = "sixteen_letters_" },	    { .name = "x", .queues = NET_TAP_QUEUES + 1 },
		{ .name = "x", .mtu = 67 },	    { .name = "x", .mtu = 65522 },
		{ .name = "x", .mac = zero },	    { .name = "x", .mac = multicast },
		{ .must_exist = true, .name = "" },
	};
	struct net_tap t;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		ck_assert_int_eq(tap_open(&t, &wrong[i]), -EINVAL);
		ck_assert_uint_gt(strlen(why), 10);
		ck_assert_uint_eq(t.queues, 0);
	}
}
END_TEST

/* ---- our segments and the kernel's ---------------------------------------------------------- */

static struct rig_packet whole;
static struct rig_frame r;

/* Two TAPs on a bridge: what is written into the first is to be read from the second. */
static void bridge_taps(struct net_tap *in, struct net_tap *out)
{
	struct net_tap_config c = { .name = "in", .mtu = 9000, .offloads = true, .up = true };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq port = { .ifr_name = "br0" };

	NEED(put_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1"));
	NEED(tap_open(in, &c) == 0);
	c.name = "out";
	c.offloads = false; /* the kernel has to do it */
	NEED(tap_open(out, &c) == 0);
	if (ioctl(fd, SIOCBRADDBR, "br0") < 0) {
		printf("NOT TESTED: no bridges in this kernel (%s)\n", strerror(errno));
		_exit(0);
	}
	port.ifr_ifindex = (int)if_nametoindex("in");
	NEED(ioctl(fd, SIOCBRADDIF, &port) == 0);
	port.ifr_ifindex = (int)if_nametoindex("out");
	NEED(ioctl(fd, SIOCBRADDIF, &port) == 0);
	NEED(net_if_set_up("br0", true) == 0);
	close(fd);
}

static void send_frame(const struct net_tap *in)
{
	struct virtio_net_hdr h;
	struct iovec iov[3] = { { &h, sizeof(h) }, { r.head, r.f.head_len } };

	net_vnet_put(&h, &r.f);
	for (int i = 0; i < r.f.iovcnt; i++)
		iov[2 + i] = r.f.iov[i];
	NEED(writev(in->fd[0], iov, 2 + r.f.iovcnt) == (ssize_t)(sizeof(h) + r.f.len));
}

/* The next frame of ours; the kernel may have something to say too. */
static uint32_t read_frame(const struct net_tap *out, uint8_t *frame)
{
	for (;;) {
		static uint8_t b[sizeof(struct virtio_net_hdr) + RIG_FRAME];
		struct pollfd p = { .fd = out->fd[0], .events = POLLIN };
		ssize_t n;

		if (poll(&p, 1, 2000) != 1)
			return 0;
		n = read(out->fd[0], b, sizeof(b)) - (ssize_t)sizeof(struct virtio_net_hdr);
		NEED(n >= 14);
		memcpy(frame, b + sizeof(struct virtio_net_hdr), (size_t)n);
		if (!memcmp(frame, whole.bytes, 12))
			return (uint32_t)n;
	}
}

static void compare(const struct net_tap *in, const struct net_tap *out, const struct rig_spec *s,
		    uint32_t mss)
{
	static uint8_t ours[RIG_FRAME], kernels[RIG_FRAME];
	static struct net_gso g;
	struct net_frame *seg;

	rig_build(&whole, s, NULL);
	rig_make_ndis(&whole, s);
	rig_frame(&r, whole.bytes, whole.len, NET_HEAD_MAX);
	NEED(net_frame_make_gso(&r.f, mss, s->ip6) == 0);
	send_frame(in);
	net_gso_begin(&g, &r.f);
	while ((seg = net_gso_next(&g))) {
		uint32_t len = rig_flatten(seg, ours);

		NEED(read_frame(out, kernels) == len);
		NEED(!memcmp(ours, kernels, len));
	}
}

static void same_as_kernel(void)
{
	static const struct rig_spec kinds[] = {
		{ .payload = 3000, .flags = 0x18, .id = 7, .seq = 1000 },
		{ .payload = 60001,
		  .flags = 0x99,
		  .id = 0xfff8,
		  .seq = 0xffffff00,
		  .tcp_options = 12 },
		{ .payload = 3001, .flags = 0x18, .ip_options = 8 },
		{ .payload = 3000, .flags = 0x98, .ip6 = true, .seq = 5 },
		{ .payload = 40000,
		  .flags = 0x11,
		  .ip6 = true,
		  .extensions = 1,
		  .tcp_options = 12 },
	};
	struct net_tap in, out;

	bridge_taps(&in, &out);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		compare(&in, &out, &kinds[i], 1000);
		compare(&in, &out, &kinds[i], 1448);
	}
	net_tap_close(&in);
	net_tap_close(&out);
}

START_TEST(kernel_cuts_as_we_do)
{
	in_namespaces(CLONE_NEWNET, same_as_kernel);
}
END_TEST

/* A partial checksum that the kernel completes is the one that we compute. */
static void same_sums(void)
{
	static const struct rig_spec kinds[] = {
		{ .payload = 1001 },
		{ .payload = 100, .udp = true },
		{ .payload = 1000, .ip6 = true },
		{ .payload = 77, .ip6 = true, .udp = true },
	};
	static uint8_t ours[RIG_FRAME], kernels[RIG_FRAME];
	struct net_tap in, out;

	bridge_taps(&in, &out);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		uint32_t len;

		rig_build(&whole, &kinds[i], NULL);
		rig_frame(&r, whole.bytes, whole.len, NET_HEAD_FIRST);
		NEED(net_frame_make_partial(&r.f, true, true) == 0);
		send_frame(&in);
		net_csum_complete(&r.f);
		len = rig_flatten(&r.f, ours);
		NEED(read_frame(&out, kernels) == len);
		NEED(!memcmp(ours, kernels, len));
	}
	net_tap_close(&in);
	net_tap_close(&out);
}

START_TEST(kernel_sums_as_we_do)
{
	in_namespaces(CLONE_NEWNET, same_sums);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base/net/tap");
	TCase *tc = tcase_create("tap");

	tcase_add_test(tc, interface_is_made_as_asked);
	tcase_add_test(tc, kernel_completes_names);
	tcase_add_test(tc, queues_are_all_of_one_interface);
	tcase_add_test(tc, addresses_are_added);
	tcase_add_test(tc, existing_names_are_refused);
	tcase_add_test(tc, persistent_ones_are_attached_to);
	tcase_add_test(tc, missing_right_is_told);
	tcase_add_test(tc, missing_device_is_told);
	tcase_add_test(tc, what_cannot_be_is_not_tried);
	tcase_add_test(tc, kernel_cuts_as_we_do);
	tcase_add_test(tc, kernel_sums_as_we_do);
	suite_add_tcase(s, tc);
	return rig_run(s);
}
