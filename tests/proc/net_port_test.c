/* SPDX-License-Identifier: MIT */
/*
 * Ports on the interfaces of a kernel: TAPs and packet sockets, in network namespaces of the test's
 * own, where it is root without being it. Besides this one there is another, with a kernel's TCP/IP
 * that is reached over the switch only. N43 in docs/hostile-cases.md.
 */
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/net/tap.h"
#include "tests/proc/net_rig.h"
#include "vsp/netvsp/port_packet.h"
#include "vsp/netvsp/port_tap.h"

#define HERE	   "10.9.0.1"
#define THERE	   "10.9.0.2"
#define TRANSFERED (8u << 20)

static struct rig r;
static pid_t there; /* a process in the other namespace */
static int probe;
static uint8_t f[4096];

/* ---- namespaces ------------------------------------------------------------------------- */

/* A shell's line; %d is the process in the other namespace. */
static void run(const char *line)
{
	char text[512];

	snprintf(text, sizeof(text), line, there, there, there);
	ck_assert_msg(!system(text), "%s", text);
}

static void begin(enum vsw_type type)
{
	int ready[2];
	char c;

	ck_assert_int_eq(unshare(CLONE_NEWNET), 0); /* nothing of the test before */
	ck_assert_int_eq(pipe(ready), 0);
	there = fork();
	if (!there) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNET) || write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &c, 1), 1);
	close(ready[0]);
	probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	rig_create(&r, type);
	r.ip = 0x0a090009;
	r.peer = 0x0a090001;
}

static void end(void)
{
	rig_destroy(&r);
	close(probe);
	kill(there, SIGKILL);
	waitpid(there, NULL, 0);
}

/* ---- ports ---------------------------------------------------------------------------------- */

static struct port_tap *tap_port(const char *name, bool must_exist, enum vsw_role role,
				 uint8_t last)
{
	const uint8_t mac[] = { 2, 0, 0, 0, 9, last };
	struct net_tap_config tc = { .name = name,
				     .mac = role == VSW_HOST ? mac : NULL,
				     .offloads = true,
				     .must_exist = must_exist,
				     .up = true };
	struct port_tap_config pc = { .name = name, .role = role, .probe = probe };
	struct port_tap *t;
	char why[300] = "";

	ck_assert_msg(!net_tap_open(&pc.tap, &tc, why, sizeof(why)), "%s", why);
	if (role == VSW_HOST)
		memcpy(pc.mac, mac, sizeof(mac));
	else
		pc.policy.mac_spoofing = true;
	ck_assert_msg(!port_tap_create(&t, r.loop, r.sw, &pc, why, sizeof(why)), "%s", why);
	return t;
}

static struct port_packet *packet_port(const char *interface)
{
	struct port_packet_config pc = { .name = "uplink",
					 .interface = interface,
					 .policy = { .mac_spoofing = true } };
	struct port_packet *k;
	char why[300] = "";

	pc.fd = port_packet_open(interface, why, sizeof(why));
	ck_assert_msg(pc.fd >= 0, "%s", why);
	ck_assert_msg(!port_packet_create(&k, r.loop, r.sw, &pc, why, sizeof(why)), "%s", why);
	return k;
}

static struct port_stats tap_stats(const struct port_tap *t)
{
	struct port_stats st;

	port_tap_stats(t, &st);
	return st;
}

static struct port_stats packet_stats(const struct port_packet *k)
{
	struct port_stats st;

	port_packet_stats(k, &st);
	return st;
}

static struct vsw_port_stats switch_stats(const struct vsw_port *p)
{
	struct vsw_port_stats st;

	vsw_port_stats(p, &st);
	return st;
}

/* ---- a raw socket on an interface, to see what is on the wire ------------------------------- */

static int wire(const char *interface)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(0x0003) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	at.sll_ifindex = (int)if_nametoindex(interface);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

static bool is_probe(const uint8_t *p, ssize_t len, uint8_t n)
{
	return len == 100 && p[12] == 0x88 && p[13] == 0xb5 && p[14] == n;
}

/* A frame that the kernel has no interest in, with the number @n. */
static void probe_frame(uint8_t n, const uint8_t *from)
{
	memset(f, 0, sizeof(f));
	memcpy(f, rig_all, NET_MAC_LEN);
	memcpy(f + NET_MAC_LEN, from, NET_MAC_LEN);
	f[12] = 0x88;
	f[13] = 0xb5;
	f[14] = n;
}

static bool guest_gets(uint8_t n)
{
	uint8_t got[4096];
	ssize_t len;

	while ((len = rig_recv(&r, got, sizeof(got))) > 0)
		if (is_probe(got, len, n))
			return true;
	return false;
}

static bool wire_gets(int fd, uint8_t n)
{
	uint8_t got[4096];
	ssize_t len;

	while ((len = recv(fd, got, sizeof(got), 0)) > 0)
		if (is_probe(got, len, n))
			return true;
	return false;
}

static const uint8_t stranger[NET_MAC_LEN] = { 2, 0, 0, 0, 8, 8 };
static const uint8_t host[NET_MAC_LEN] = { 2, 0, 0, 0, 9, 1 };

/*
 * From @mac behind the interface to the guest and back; more than once where the kernel still has
 * to notice that there is a carrier.
 */
static void exchange(const char *interface, const uint8_t *mac, uint8_t n)
{
	int fd = wire(interface);
	bool got = false;

	for (int i = 0; i < 100 && !got; i++) {
		probe_frame(n, mac);
		ck_assert_int_eq(send(fd, f, 100, 0), 100);
		got = rig_until(&r, 0.05, guest_gets(n));
	}
	ck_assert(got);
	got = false;
	for (int i = 0; i < 100 && !got; i++) {
		probe_frame((uint8_t)(n + 1), r.mac);
		rig_send(&r, f, 100);
		got = rig_until(&r, 0.05, wire_gets(fd, (uint8_t)(n + 1)));
	}
	ck_assert(got);
	close(fd);
}

/* ---- a kernel at both ends --------------------------------------------------------------------
 */

/* Runs while the switch does its work. */
static int status_of(pid_t pid)
{
	int status = -1;

	ck_assert(rig_until(&r, 20, waitpid(pid, &status, WNOHANG) == pid));
	return status;
}

static void ping(const char *line)
{
	char text[256];
	pid_t pid;

	snprintf(text, sizeof(text), line, there);
	pid = fork();
	if (!pid) {
		execl("/bin/sh", "sh", "-c", text, NULL);
		_exit(127);
	}
	ck_assert_msg(!status_of(pid), "%s", text);
}

static void enter_there(void)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", there);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		_exit(2);
}

static struct sockaddr_in server_address(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(5001) };

	inet_pton(AF_INET, HERE, &at.sin_addr);
	return at;
}

/* Each byte says where it belongs. */
static uint8_t byte_at(uint32_t i)
{
	return (uint8_t)(i * 2654435761u >> 24);
}

static _Noreturn void send_all(void)
{
	struct sockaddr_in to = server_address();
	static uint8_t data[TRANSFERED];
	int fd;

	enter_there();
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)))
		_exit(3);
	for (uint32_t i = 0; i < TRANSFERED; i++)
		data[i] = byte_at(i);
	for (size_t done = 0; done < TRANSFERED;) {
		ssize_t n = write(fd, data + done, TRANSFERED - done);

		if (n <= 0)
			_exit(4);
		done += (size_t)n;
	}
	_exit(0);
}

/* Over TCP, from the other namespace to this. */
static void transfer(void)
{
	struct sockaddr_in at = server_address();
	int server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), fd;
	static uint8_t data[65536];
	const int on = 1;
	uint32_t got = 0;
	ssize_t n = 0;
	pid_t pid;

	setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	ck_assert_int_eq(bind(server, (struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(listen(server, 1), 0);
	pid = fork();
	if (!pid)
		send_all();
	ck_assert(rig_until(&r, 10, (fd = accept4(server, NULL, NULL, SOCK_NONBLOCK)) >= 0));
	do {
		ck_assert(rig_until(&r, 10, (n = read(fd, data, sizeof(data))) >= 0));
		for (ssize_t i = 0; i < n; i++, got++)
			if (data[i] != byte_at(got))
				ck_abort_msg("byte %u is wrong", got);
	} while (n > 0);
	ck_assert_uint_eq(got, TRANSFERED);
	ck_assert_int_eq(status_of(pid), 0);
	close(fd);
	close(server);
}

/* Both ways as they were: none was cut up or summed on the way. */
static void expect_large(const struct vsw_port *from, const struct vsw_port *to)
{
	struct vsw_port_stats in = switch_stats(from), out = switch_stats(to);

	ck_assert_uint_ge(in.in.bytes, TRANSFERED);
	ck_assert_uint_gt(in.in.bytes / in.in.frames, 4000);
	ck_assert_uint_gt(out.out.bytes / out.out.frames, 4000);
	ck_assert_uint_eq(out.segmented + out.checksummed, 0);
}

START_TEST(two_taps)
{
	struct port_tap *here, *other;

	begin(VSW_INTERNAL);
	here = tap_port("hv0", false, VSW_HOST, 1);
	other = tap_port("hv1", false, VSW_UPLINK, 2);
	run("ip addr add " HERE "/24 dev hv0 && ip link set hv1 netns %d && "
	    "nsenter -t %d -n sh -c 'ip addr add " THERE "/24 dev hv1 && ip link set hv1 up'");
	ck_assert(rig_resolve(&r, 5)); /* the host answers a guest, too */
	ping("nsenter -t %d -n ping -q -c 2 -i 0.01 -W 5 " HERE " >/dev/null");
	transfer();
	expect_large(port_tap_port(other), port_tap_port(here));
	ck_assert_str_eq(tap_stats(here).state, "up");
	port_tap_destroy(here);
	port_tap_destroy(other);
	end();
}
END_TEST

/* Frames of no use are dropped where they come in; the interface sees the link. */
START_TEST(tap_carrier_and_interface_down)
{
	struct port_tap *t;

	begin(VSW_INTERNAL);
	t = tap_port("hv0", false, VSW_HOST, 1);
	run("ip link show hv0 | grep -q LOWER_UP");
	vsw_port_set_link(port_tap_port(t), false);
	run("ip link show hv0 | grep -q NO-CARRIER");
	vsw_port_set_link(port_tap_port(t), true);
	run("ip link show hv0 | grep -q LOWER_UP");
	exchange("hv0", host, 1);
	run("ip link set hv0 down");
	probe_frame(3, r.mac);
	rig_send(&r, f, 100);
	ck_assert(rig_until(&r, 5, tap_stats(t).down == 1));
	ck_assert_str_eq(tap_stats(t).state, "down");
	ck_assert_int_eq(tap_stats(t).error, EIO);
	ck_assert_uint_eq(switch_stats(port_tap_port(t)).drop_out[VSW_DROP_DEVICE], 1);
	run("ip link set hv0 up");
	exchange("hv0", host, 4);
	ck_assert_str_eq(tap_stats(t).state, "up");
	port_tap_destroy(t);
	end();
}
END_TEST

/* The turns of a loop that has nothing to do but to look for it. */
static void expect_quiet(void)
{
	struct loop_stats before, after;

	loop_stats(r.loop, &before);
	rig_until(&r, 0.2, false);
	loop_stats(r.loop, &after);
	ck_assert_uint_lt(after.turns - before.turns, 60);
}

START_TEST(n43_uplink_tap_removed_and_returned)
{
	struct port_tap *t;
	struct vsw_port_stats st;

	begin(VSW_EXTERNAL);
	run("ip tuntap add up0 mode tap && ip link set up0 up");
	t = tap_port("up0", true, VSW_UPLINK, 0);
	exchange("up0", stranger, 1);
	run("ip link del up0");
	ck_assert(rig_until(&r, 5, !strcmp(tap_stats(t).state, "gone")));
	ck_assert(!vsw_port_link(port_tap_port(t)));
	expect_quiet();
	probe_frame(3, r.mac);
	rig_send(&r, f, 100);
	rig_until(&r, 0.05, false);
	st = switch_stats(port_tap_port(t));
	ck_assert_uint_ge(st.drop_out[VSW_DROP_LINK_DOWN], 1);
	run("ip tuntap add up0 mode tap && ip link set up0 up");
	ck_assert(rig_until(&r, 5, tap_stats(t).returned == 1));
	ck_assert(vsw_port_link(port_tap_port(t)));
	exchange("up0", stranger, 4);
	ck_assert_uint_eq(tap_stats(t).gone, 1);
	port_tap_destroy(t);
	end();
}
END_TEST

START_TEST(packet_socket_with_a_kernel_behind)
{
	struct port_packet *uplink;
	struct port_tap *here;

	begin(VSW_EXTERNAL);
	/* The kernel would answer for hv0's address on v0, too, past the switch. */
	run("ip link add v0 type veth peer name v1 netns %d && "
	    "echo 8 >/proc/sys/net/ipv4/conf/v0/arp_ignore && ip link set v0 up && "
	    "nsenter -t %d -n sh -c 'ip addr add " THERE "/24 dev v1 && ip link set v1 up'");
	here = tap_port("hv0", false, VSW_HOST, 1);
	run("ip addr add " HERE "/24 dev hv0");
	uplink = packet_port("v0");
	ping("nsenter -t %d -n ping -q -c 2 -i 0.01 -W 5 " HERE " >/dev/null");
	transfer();
	expect_large(port_packet_port(uplink), port_tap_port(here));
	ck_assert_uint_eq(packet_stats(uplink).rejected, 0);
	port_packet_destroy(uplink);
	port_tap_destroy(here);
	end();
}
END_TEST

/* Takes whatever comes, with its tag. */
struct seen {
	struct net_meta meta;
	uint32_t frames;
};

static enum vsw_drop see(void *ctx, const struct net_frame *frame, const struct net_meta *meta,
			 uint32_t from)
{
	struct seen *s = ctx;

	(void)from;
	if (frame->head_len < 15 || frame->head[12] != 0x88 || frame->head[14] != 1)
		return VSW_DROP_FILTER;
	s->meta = *meta;
	s->frames++;
	return VSW_FORWARDED;
}

static void nothing(void *ctx)
{
	(void)ctx;
}

START_TEST(packet_socket_tags)
{
	static const struct vsw_port_ops ops = { .deliver = see, .flush = nothing };
	struct seen seen = { .frames = 0 };
	struct vsw_port_config pc = {
		.name = "trunk",
		.mac = { 2, 0, 0, 0, 0, 7 },
		.caps = VSW_CAN_VLAN,
		.policy = { .vlan_mode = VSW_TRUNK, .mac_spoofing = true, .priority_tag = true },
		.ops = &ops,
		.ctx = &seen
	};
	struct port_packet *uplink;
	struct vsw_port *trunk;
	char why[200] = "";
	int fd;

	begin(VSW_EXTERNAL);
	run("ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up");
	uplink = packet_port("v0");
	pc.policy.allowed[100 / 8] = 1 << 100 % 8;
	ck_assert_msg(!vsw_port_add(&trunk, r.sw, &pc, why, sizeof(why)), "%s", why);
	fd = wire("v1");
	probe_frame(1, stranger);
	memmove(f + 16, f + 12, 100);
	rig_put16(f + 12, 0x8100);
	rig_put16(f + 14, 3 << 13 | 100);
	ck_assert_int_eq(send(fd, f, 104, 0), 104);
	ck_assert(rig_until(&r, 5, seen.frames == 1));
	ck_assert(seen.meta.tagged);
	ck_assert_uint_eq(seen.meta.vlan_tci, 3 << 13 | 100);
	close(fd);
	vsw_port_del(trunk);
	port_packet_destroy(uplink);
	end();
}
END_TEST

START_TEST(n43_packet_interface_removed_and_returned)
{
	struct port_packet *k;

	begin(VSW_EXTERNAL);
	run("ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up");
	k = packet_port("v0");
	exchange("v1", stranger, 1);
	run("ip link set v0 down");
	ck_assert(rig_until(&r, 5, !strcmp(packet_stats(k).state, "gone")));
	ck_assert(!vsw_port_link(port_packet_port(k)));
	ck_assert_int_eq(packet_stats(k).error, ENETDOWN);
	expect_quiet();
	run("ip link set v0 up");
	ck_assert(rig_until(&r, 5, packet_stats(k).returned == 1));
	exchange("v1", stranger, 3);
	run("ip link del v0");
	ck_assert(rig_until(&r, 5, packet_stats(k).gone == 2));
	expect_quiet();
	run("ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up");
	ck_assert(rig_until(&r, 5, packet_stats(k).returned == 2));
	exchange("v1", stranger, 5);
	port_packet_destroy(k);
	end();
}
END_TEST

START_TEST(packet_interface_that_is_not_there_or_not_up)
{
	struct port_packet *k;
	char why[300];

	begin(VSW_EXTERNAL);
	ck_assert_int_eq(port_packet_open("nosuch0", why, sizeof(why)), -ENODEV);
	ck_assert_ptr_nonnull(strstr(why, "nosuch0"));
	run("ip link add v0 type veth peer name v1 && ip link set v1 up");
	k = packet_port("v0");
	ck_assert(!vsw_port_link(port_packet_port(k)));
	ck_assert_str_eq(packet_stats(k).state, "gone");
	run("ip link set v0 up");
	ck_assert(rig_until(&r, 5, packet_stats(k).returned == 1));
	exchange("v1", stranger, 1);
	port_packet_destroy(k);
	end();
}
END_TEST

int main(int argc, char **argv)
{
	Suite *s = suite_create("net_port");
	TCase *t = tcase_create("net_port");
	SRunner *sr;
	int failed;

	(void)argc;
	rig_inside(argv, "--net");
	tcase_add_test(t, two_taps);
	tcase_add_test(t, tap_carrier_and_interface_down);
	tcase_add_test(t, n43_uplink_tap_removed_and_returned);
	tcase_add_test(t, packet_socket_with_a_kernel_behind);
	tcase_add_test(t, packet_socket_tags);
	tcase_add_test(t, n43_packet_interface_removed_and_returned);
	tcase_add_test(t, packet_interface_that_is_not_there_or_not_up);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
