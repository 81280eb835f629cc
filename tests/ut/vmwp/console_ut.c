/* SPDX-License-Identifier: MIT */
/* Where a VM's console leads: a file, a socket with clients that come and go, a terminal. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/compiler.h"
#include "vmwp/console.h"

static struct loop *loop;
static struct console *con;
static char why[256], typed[8192], path[64];
static uint32_t nr_typed, room, escapes, fits;

static uint32_t on_typed(void *ctx, const void *data, uint32_t len)
{
	uint32_t n = fits - nr_typed < len ? fits - nr_typed : len;

	(void)ctx;
	memcpy(typed + nr_typed, data, n);
	nr_typed += n;
	return n;
}

static void on_room(void *ctx)
{
	(void)ctx;
	room++;
}

static void on_escape(void *ctx)
{
	(void)ctx;
	escapes++;
}

static const struct console_ops ops = { on_typed, on_room, on_escape };

static int up(const char *spec)
{
	nr_typed = room = escapes = 0;
	fits = sizeof(typed);
	ck_assert_int_eq(loop_create(&loop, NULL), 0);
	return console_open(&con, loop, spec, &ops, NULL, why, sizeof(why));
}

static void down(void)
{
	console_close(con);
	loop_destroy(loop);
}

static void turns(void)
{
	for (int i = 0; i < 20; i++)
		loop_turn(loop, 1000000);
}

static const char *temporary(const char *prefix)
{
	static char spec[80];

	snprintf(path, sizeof(path), "/tmp/hvbus-console-%d", (int)getpid());
	unlink(path);
	snprintf(spec, sizeof(spec), "%s%s", prefix, path);
	return spec;
}

START_TEST(bad_places)
{
	static const char *const specs[] = {
		"", "stdout", "file:", "unix:", "file:/none/x", "unix:/none/x", "unix:/tmp"
	};

	for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
		ck_assert_int_lt(up(specs[i]), 0);
		ck_assert_msg(strstr(why, "console") != NULL, "%s", why);
		loop_destroy(loop);
	}
}
END_TEST

START_TEST(file_is_appended)
{
	char buf[16] = "";
	int fd;

	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(up(i ? (const char *)typed : strcpy(typed, temporary("file:"))),
				 0);
		ck_assert_uint_eq(console_write(con, "line\n", 5), 5);
		down();
		snprintf(typed, sizeof(typed), "file:%s", path);
	}
	fd = open(path, O_RDONLY);
	ck_assert_int_eq(read(fd, buf, sizeof(buf)), 10);
	ck_assert_str_eq(buf, "line\nline\n");
	close(fd);
	unlink(path);
}
END_TEST

static int client(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(sa.sun_path, path);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	turns();
	return fd;
}

START_TEST(socket_clients)
{
	char buf[64] = "";
	struct stat st;
	int a, b;

	ck_assert_msg(!up(temporary("unix:")), "%s", why);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	ck_assert_uint_eq(console_write(con, "nobody", 6), 6); /* is lost, and holds up nobody */
	a = client();
	ck_assert_uint_eq(console_write(con, "hello", 5), 5);
	ck_assert_int_eq(recv(a, buf, sizeof(buf), 0), 5);
	ck_assert_int_eq(send(a, "\001x", 2, 0), 2); /* no terminal, so no escape */
	turns();
	ck_assert_uint_eq(nr_typed, 2);
	b = client();
	ck_assert_int_gt(recv(b, buf, sizeof(buf), 0), 0);
	ck_assert_msg(strstr(buf, "somebody") != NULL, "%s", buf);
	close(b);
	close(a);
	turns();
	a = client();
	ck_assert_uint_eq(console_write(con, "again", 5), 5);
	ck_assert_int_eq(recv(a, buf, sizeof(buf), 0), 5);
	close(a);
	down();
	ck_assert_msg(!up(strcat(strcpy(typed, "unix:"), path)), "%s", why); /* a stale name */
	down();
	unlink(path);
}
END_TEST

/* A client that does not read: the writer is told to wait, then that there is room. */
START_TEST(slow_client)
{
	static char big[1 << 16], sink[1 << 16];
	uint32_t n, total = 0;
	int a;

	ck_assert_int_eq(up(temporary("unix:")), 0);
	a = client();
	room = 0;
	do {
		n = console_write(con, big, sizeof(big));
		total += n;
		ck_assert_uint_lt(total, 100 << 20);
	} while (n == sizeof(big));
	turns();
	ck_assert_uint_eq(room, 0);
	for (uint32_t got = 0; got < total;)
		got += (uint32_t)recv(a, sink, sizeof(sink), 0);
	turns();
	ck_assert_uint_eq(room, 1);
	while (console_write(con, big, sizeof(big)) == sizeof(big))
		;
	close(a); /* and one that goes in the middle of it */
	turns();
	ck_assert_uint_ge(room, 2);
	ck_assert_uint_eq(console_write(con, "x", 1), 1);
	down();
	unlink(path);
}
END_TEST

/* What is written to one who is gone is gone with him; there is no room to speak of inside that. */
START_TEST(client_gone_before_it_is_known)
{
	int a;

	ck_assert_int_eq(up(temporary("unix:")), 0);
	a = client();
	close(a);
	room = 0;
	ck_assert_uint_eq(console_write(con, "lost", 4), 4);
	ck_assert_uint_eq(room, 0);
	turns();
	a = client();
	ck_assert_uint_eq(console_write(con, "next", 4), 4);
	close(a);
	down();
	unlink(path);
}
END_TEST

START_TEST(typing_that_does_not_fit)
{
	int a;

	ck_assert_int_eq(up(temporary("unix:")), 0);
	a = client();
	fits = 3;
	ck_assert_int_eq(send(a, "abcde", 5, 0), 5);
	turns();
	ck_assert_uint_eq(nr_typed, 3);
	ck_assert_int_eq(send(a, "fg", 2, 0), 2);
	turns();
	fits = 4;
	console_hungry(con);
	turns();
	ck_assert_uint_eq(nr_typed, 4);
	fits = sizeof(typed);
	console_hungry(con);
	turns();
	ck_assert_uint_eq(nr_typed, 7);
	ck_assert(!memcmp(typed, "abcdefg", 7));
	close(a);
	down();
	unlink(path);
}
END_TEST

/* check(1) runs each test in a process of its own, so standard input may be a terminal here. */
START_TEST(terminal)
{
	struct termios before, raw, after;
	int master, slave, out = dup(STDOUT_FILENO);
	char buf[16] = "";

	ck_assert_int_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
	ck_assert_int_eq(tcgetattr(slave, &before), 0);
	fflush(stdout);
	dup2(slave, STDIN_FILENO);
	dup2(slave, STDOUT_FILENO);
	ck_assert_msg(!up("stdio"), "%s", why);
	ck_assert_int_eq(tcgetattr(slave, &raw), 0);
	ck_assert_uint_eq(raw.c_lflag & (ICANON | ECHO | ISIG), 0);
	ck_assert_uint_eq(console_write(con, "login:", 6), 6);
	ck_assert_int_eq(read(master, buf, sizeof(buf)), 6);
	ck_assert_int_eq(fcntl(slave, F_GETFL) & O_NONBLOCK, 0); /* others share it */
	ck_assert_int_eq(write(master, "a\003\001\001b", 5), 5);
	turns();
	ck_assert_uint_eq(nr_typed, 4);
	ck_assert(!memcmp(typed, "a\003\001b", 4));
	ck_assert_uint_eq(escapes, 0);
	ck_assert_int_eq(write(master, "\001", 1), 1);
	turns();
	ck_assert_int_eq(write(master, "x", 1), 1);
	turns();
	ck_assert_uint_eq(escapes, 1);
	down();
	ck_assert_int_eq(tcgetattr(slave, &after), 0);
	ck_assert_uint_eq(after.c_lflag, before.c_lflag);
	dup2(out, STDOUT_FILENO);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = { bad_places,
				       file_is_appended,
				       socket_clients,
				       slow_client,
				       client_gone_before_it_is_known,
				       typing_that_does_not_fit,
				       terminal };
	Suite *s = suite_create("vmwp/console");
	TCase *tc = tcase_create("console");
	SRunner *sr;
	int failed;

	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
