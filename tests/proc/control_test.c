/* SPDX-License-Identifier: MIT */
/*
 * The root's socket against peers that mean harm or know no better (M01 to M03): they are
 * told or cut off, cost the root nothing that lasts, and everybody else is served meanwhile.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "hv-core/proc/proc_wire.h"
#include "tests/proc/root_rig.h"
#include "vmwp/control.h"

#define NOBODY 65534
#define CROWD  10000

static void configure(struct root_config *cfg)
{
	cfg->nr_disks = 1;
	cfg->disk[0].blk = (struct blk_config){ .engine = BLK_ENGINE_MEMORY, .size = 1u << 20 };
}

static void setup(void)
{
	rig_dir();
	rig_start(&(struct rig_root){ configure, NULL });
}

static void teardown(void)
{
	rig_stop();
	rmdir(dir);
}

/* ---- a peer --------------------------------------------------------------------------- */

static int connect_root(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(sa.sun_path, sock);
	ck_assert_int_ge(fd, 0);
	ck_assert_msg(!connect(fd, (struct sockaddr *)&sa, sizeof(sa)), "%s", strerror(errno));
	return fd;
}

static int say_hello(void)
{
	struct hv_proc_hello hello = {
		.magic = HV_PROC_MAGIC,
		.version = HV_PROC_VERSION,
		.role = HV_PROC_CONTROL,
	};
	int fd = connect_root();

	ck_assert_int_eq(send(fd, &hello, sizeof(hello), MSG_NOSIGNAL), sizeof(hello));
	return fd;
}

/* The root ends the connection within @ms and says nothing. */
static void expect_cut_off(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char c;

	ck_assert_int_eq(poll(&p, 1, ms), 1);
	ck_assert_int_le(recv(fd, &c, 1, 0), 0);
	close(fd);
}

static json_t *answer_of(int fd)
{
	static char text[1 << 18];
	size_t at = 0;
	ssize_t n;

	while ((n = recv(fd, text + at, sizeof(text) - at, 0)) > 0)
		at += (size_t)n;
	close(fd);
	return json_loadb(text, at, 0, NULL);
}

static void expect_error(int fd, int err, const char *says)
{
	json_t *o = answer_of(fd);
	const char *why = json_string_value(json_object_get(o, "error"));

	ck_assert_ptr_nonnull(why);
	ck_assert_msg(strstr(why, says) != NULL, "%s", why);
	ck_assert_int_eq(json_integer_value(json_object_get(o, "errno")), err);
	json_decref(o);
}

static void expect_served(void)
{
	static const char text[] = "{\"do\":\"inspect\"}";
	int fd = say_hello();
	json_t *o;

	ck_assert_int_eq(send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL), sizeof(text) - 1);
	o = answer_of(fd);
	ck_assert_int_eq(json_array_size(json_object_get(o, "disks")), 1);
	json_decref(o);
}

static long root_fds(void)
{
	struct dirent *e;
	char path[64];
	long n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", root_pid);
	d = opendir(path);
	ck_assert_ptr_nonnull(d);
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

/* Waits until the root has no more of them than @limit. */
static void expect_fds(long limit)
{
	uint64_t end = clock_ns() + 10000000000ull;

	while (root_fds() > limit)
		ck_assert_msg(clock_ns() < end, "%ld descriptors instead of %ld", root_fds(),
			      limit);
}

/* ---- M01: bytes --------------------------------------------------------------------------- */

START_TEST(m01_random_hello)
{
	uint32_t seed = 1;
	long before = root_fds();
	uint8_t bytes[600];

	for (size_t len = 1; len <= sizeof(bytes); len += len < 64 ? 1 : 67) {
		int fd = connect_root();

		for (size_t i = 0; i < len; i++) {
			seed = seed * 1664525u + 1013904223u;
			bytes[i] = (uint8_t)(seed >> 24);
		}
		ck_assert_int_eq(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
		expect_cut_off(fd, 5000);
	}
	expect_served();
	expect_fds(before);
}
END_TEST

/* Each beginning of a good hello is a bad one: there are no halves in a packet. */
START_TEST(m01_half_a_hello)
{
	struct hv_proc_hello hello = {
		.magic = HV_PROC_MAGIC,
		.version = HV_PROC_VERSION,
		.role = HV_PROC_CONTROL,
	};

	for (size_t len = 1; len < sizeof(hello); len++) {
		int fd = connect_root();

		ck_assert_int_eq(send(fd, &hello, len, MSG_NOSIGNAL), (ssize_t)len);
		expect_cut_off(fd, 5000);
	}
	expect_served();
}
END_TEST

/* One byte per second does not help: the first is the whole request. */
START_TEST(m01_byte_by_byte)
{
	int fd = say_hello();

	ck_assert_int_eq(send(fd, "{", 1, MSG_NOSIGNAL), 1);
	expect_error(fd, EPROTO, "line 1");
	fd = connect_root();
	ck_assert_int_eq(send(fd, "B", 1, MSG_NOSIGNAL), 1);
	expect_cut_off(fd, 5000);
}
END_TEST

START_TEST(m01_silence)
{
	int before_hello = connect_root(), after_hello = say_hello();
	uint64_t start = clock_ns();

	expect_served();
	expect_cut_off(before_hello, 20000);
	expect_cut_off(after_hello, 20000);
	ck_assert_uint_ge(clock_ns() - start, 4000000000ull); /* but who is slow has time */
}
END_TEST

START_TEST(m01_lengths)
{
	static const char text[] = "{\"do\":\"inspect\"}";
	char *big = malloc(2 * CONTROL_MAX_REQUEST);
	int fd = say_hello();

	memset(big, ' ', 2 * CONTROL_MAX_REQUEST);
	memcpy(big, text, sizeof(text) - 1);
	ck_assert_int_gt(send(fd, big, CONTROL_MAX_REQUEST + 1, MSG_NOSIGNAL), 0);
	expect_error(fd, EMSGSIZE, "at most 16384 bytes");
	fd = say_hello();
	ck_assert_int_gt(send(fd, big, 2 * CONTROL_MAX_REQUEST, MSG_NOSIGNAL), 0);
	expect_error(fd, EMSGSIZE, "at most 16384 bytes");
	fd = say_hello();
	ck_assert_int_gt(send(fd, big, CONTROL_MAX_REQUEST, MSG_NOSIGNAL), 0);
	json_decref(answer_of(fd));
	fd = say_hello();
	ck_assert_int_eq(send(fd, "", 0, MSG_NOSIGNAL), 0); /* looks like an end of stream */
	expect_cut_off(fd, 5000);
	expect_served();
	free(big);
}
END_TEST

/* ---- M01: connections ------------------------------------------------------------------------ */

/* Silent peers in a crowd: who speaks is served, and the root holds 64 of the others at most. */
START_TEST(m01_crowd)
{
	struct rlimit lim;
	int window, *fd;
	long before = root_fds();

	getrlimit(RLIMIT_NOFILE, &lim);
	lim.rlim_cur = lim.rlim_max < 4096 ? lim.rlim_max : 4096;
	setrlimit(RLIMIT_NOFILE, &lim);
	window = lim.rlim_cur < 1000 ? 200 : 500;
	fd = calloc((size_t)window, sizeof(*fd));
	for (int i = 0; i < CROWD; i++) {
		if (i >= window)
			close(fd[i % window]);
		fd[i % window] = i % 3 ? connect_root() : say_hello();
		if (i % 1000 == 999) {
			expect_served();
			ck_assert_int_le(root_fds(), before + 64 + 1);
		}
	}
	for (int i = 0; i < window; i++)
		close(fd[i]);
	free(fd);
	expect_served();
	expect_fds(before);
}
END_TEST

/* ---- M01: descriptors -------------------------------------------------------------------------
 */

static void send_fds(int to, const char *text, int n)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(253 * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *)(uintptr_t)text, strlen(text) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf };
	struct cmsghdr *c;
	int fds[253];

	for (int i = 0; i < n; i++)
		fds[i] = STDERR_FILENO;
	msg.msg_controllen = CMSG_SPACE((size_t)n * sizeof(int));
	c = CMSG_FIRSTHDR(&msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, (size_t)n * sizeof(int));
	ck_assert_int_gt(sendmsg(to, &msg, MSG_NOSIGNAL), 0);
}

START_TEST(m01_descriptors)
{
	static const int many[] = { 5, 6, 16, 253 };
	long before = root_fds();
	json_t *o;
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(many); i++) {
		fd = say_hello();
		send_fds(fd, "{\"do\":\"inspect\"}", many[i]);
		expect_error(fd, ETOOMANYREFS, "at most 4 descriptors");
		expect_fds(before);
	}
	fd = say_hello();
	send_fds(fd, "{\"do\":\"inspect\"}", 2); /* nobody wants them */
	o = answer_of(fd);
	ck_assert(json_is_array(json_object_get(o, "disks")));
	json_decref(o);
	fd = say_hello();
	send_fds(fd, "nonsense", 2);
	expect_error(fd, EPROTO, "not JSON");
	fd = connect_root();
	send_fds(fd, "nonsense", 2);
	expect_cut_off(fd, 5000);
	expect_fds(before);
}
END_TEST

START_TEST(m01_two_requests)
{
	static const char text[] = "{\"do\":\"inspect\"}";
	int fd = say_hello();
	json_t *o;

	for (int i = 0; i < 3; i++)
		if (send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL) < 0)
			break; /* answered and gone already */
	o = answer_of(fd);
	if (o) /* the first, once */
		ck_assert_int_eq(json_array_size(json_object_get(o, "disks")), 1);
	json_decref(o);
	expect_served();
}
END_TEST

/* ---- M02
 * ------------------------------------------------------------------------------------------
 */

/* In a process of its own: the identity is that of its connect(). */
static int as_nobody(void)
{
	struct hv_proc_hello hello = {
		.magic = HV_PROC_MAGIC,
		.version = HV_PROC_VERSION,
		.role = HV_PROC_CONTROL,
	};
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0), status;
	pid_t child = fork();
	char c;

	strcpy(sa.sun_path, sock);
	if (!child) {
		if (setgid(NOBODY) || setuid(NOBODY))
			_exit(100);
		if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)))
			_exit(errno);
		if (send(fd, &hello, sizeof(hello), MSG_NOSIGNAL) > 0)
			send(fd, "{\"do\":\"inspect\"}", 16, MSG_NOSIGNAL);
		_exit(recv(fd, &c, 1, 0) > 0 ? 101 : 0);
	}
	close(fd);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return WEXITSTATUS(status);
}

START_TEST(m02_other_users)
{
	struct stat st;

	ck_assert_int_eq(stat(sock, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	if (geteuid())
		return; /* to become somebody else takes root */
	ck_assert_int_eq(chmod(dir, 0755), 0);
	ck_assert_int_eq(as_nobody(), EACCES);
	ck_assert_int_eq(chmod(sock, 0666), 0); /* somebody opened it up: still refused */
	ck_assert_int_eq(as_nobody(), 0);
	expect_served();
}
END_TEST

/* ---- M03 (what is told is in control_ut.c)
 * ------------------------------------------------------- */

static const struct {
	const char *text;
	size_t len;
} nonsense[] = {
	{ "inspect", 7 },
	{ "{\"do\":\"insp\0ect\"}", 17 },
	{ "{\"do\":\"inspect\",\"do\":\"inspect\"}", 31 },
	{ "{\"do\":\"\xff\"}", 10 },
	{ "{\"do\":\"disk-resize\",\"disk\":\"0:0\",\"size\":1e999}", 46 },
};

START_TEST(m03_nonsense)
{
	char *deep = malloc(CONTROL_MAX_REQUEST);
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(nonsense); i++) {
		fd = say_hello();
		ck_assert_int_gt(send(fd, nonsense[i].text, nonsense[i].len, MSG_NOSIGNAL), 0);
		expect_error(fd, EPROTO, "");
	}
	memset(deep, '[', CONTROL_MAX_REQUEST);
	fd = say_hello();
	ck_assert_int_gt(send(fd, deep, CONTROL_MAX_REQUEST, MSG_NOSIGNAL), 0);
	expect_error(fd, EPROTO, "depth");
	free(deep);
	expect_served();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("control socket");
	TCase *tc = tcase_create("peers");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, m01_random_hello);
	tcase_add_test(tc, m01_half_a_hello);
	tcase_add_test(tc, m01_byte_by_byte);
	tcase_add_test(tc, m01_silence);
	tcase_add_test(tc, m01_lengths);
	tcase_add_test(tc, m01_crowd);
	tcase_add_test(tc, m01_descriptors);
	tcase_add_test(tc, m01_two_requests);
	tcase_add_test(tc, m02_other_users);
	tcase_add_test(tc, m03_nonsense);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
