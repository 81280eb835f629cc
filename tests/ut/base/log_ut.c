/* SPDX-License-Identifier: MIT */
/* Log lines: one write each, no forged lines, limited rates. */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

static int sv[2];

/* A message socket: each write(2) arrives as one record. */
static void setup(void)
{
	int room = 1 << 20;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, sv), 0);
	setsockopt(sv[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	log_set_fd(sv[0]);
}

static void teardown(void)
{
	log_set_fd(2);
	close(sv[0]);
	close(sv[1]);
}

/* The next record, or NULL when there is none. */
static const char *record(void)
{
	static char buf[4096];
	ssize_t n = recv(sv[1], buf, sizeof(buf) - 1, 0);

	if (n < 0)
		return NULL;
	buf[n] = '\0';
	return buf;
}

START_TEST(message_is_one_write_of_one_line)
{
	log_set_name("hvbus serve");
	log_error("disk %d is gone", 3);
	ck_assert_str_eq(record(), "hvbus serve: error: disk 3 is gone\n");
	log_warn("hot");
	ck_assert_str_eq(record(), "hvbus serve: warning: hot\n");
	log_set_name("");
	log_info("plain");
	ck_assert_str_eq(record(), "plain\n");
	ck_assert_ptr_null(record());
}
END_TEST

START_TEST(name_is_cut_at_32_bytes)
{
	log_set_name("0123456789012345678901234567890123456789");
	log_info("x");
	ck_assert_str_eq(record(), "01234567890123456789012345678901: x\n");
}
END_TEST

START_TEST(levels_above_the_set_one_are_dropped)
{
	log_debug("not by default");
	ck_assert_ptr_null(record());
	log_set_level(LOG_DEBUG);
	log_debug("now");
	ck_assert_str_eq(record(), "debug: now\n");
	log_set_level(LOG_ERROR);
	log_warn("no");
	log_info("no");
	ck_assert_ptr_null(record());
	log_error("yes");
	ck_assert_str_eq(record(), "error: yes\n");
}
END_TEST

START_TEST(control_characters_are_escaped)
{
	log_info("a\nerror: forged\r\t\x1b[31m\x7f");
	ck_assert_str_eq(record(), "a\\x0aerror: forged\\x0d\\x09\\x1b[31m\\x7f\n");
	log_info("%s", "caf\xc3\xa9 \xc2\x9b"
		       "31m"); /* U+009B is a control character too */
	ck_assert_str_eq(record(), "caf\xc3\xa9 \\xc2\x9b"
				   "31m\n");
	log_set_name("x\ny");
	log_info("z");
	ck_assert_str_eq(record(), "x\\x0ay: z\n");
}
END_TEST

START_TEST(long_message_is_cut_but_still_a_line)
{
	static char text[5000];
	const char *got;

	memset(text, '\n', sizeof(text) - 1); /* each becomes four characters */
	log_info("%s", text);
	got = record();
	ck_assert_ptr_nonnull(got);
	ck_assert_uint_gt(strlen(got), 1000);
	ck_assert_uint_le(strlen(got), 1024);
	ck_assert_ptr_eq(strchr(got, '\n'), got + strlen(got) - 1);
	ck_assert_ptr_null(record());
}
END_TEST

START_TEST(errno_survives_even_a_failing_write)
{
	errno = ENOSPC;
	log_info("fine");
	ck_assert_int_eq(errno, ENOSPC);
	log_set_fd(-1);
	log_info("nowhere");
	ck_assert_int_eq(errno, ENOSPC);
}
END_TEST

static void chatter(int i)
{
	log_ratelimited(LOG_WARN, "guest did %d", i);
}

START_TEST(at_most_ten_lines_a_second)
{
	uint64_t start = clock_ns();
	int lines = 0, calls = 0;

	/* Ten per window; however slow the machine is, count against the real time. */
	do {
		chatter(calls++);
	} while (calls < 1000);
	while (record())
		lines++;
	ck_assert_int_ge(lines, 10);
	ck_assert_int_le(lines, 10 * (int)(1 + (clock_ns() - start) / 1000000000 + 1));
	ck_assert_int_lt(lines, calls);
}
END_TEST

START_TEST(suppressed_are_counted_with_the_next_line)
{
	struct log_limit l = { 0 };
	uint32_t missed;
	int ok = 0;

	for (int i = 0; i < 25; i++)
		ok += log_limit_ok(&l, &missed);
	ck_assert_int_eq(ok, 10);
	l.window_start_ns -= 1000000000; /* a second later */
	ck_assert(log_limit_ok(&l, &missed));
	ck_assert_uint_eq(missed, 15);
	ck_assert(log_limit_ok(&l, &missed));
	ck_assert_uint_eq(missed, 0);
}
END_TEST

static struct log_limit shared_limit;

static void *hammer(void *ok)
{
	uint32_t missed;

	for (int i = 0; i < 1000; i++)
		*(int *)ok += log_limit_ok(&shared_limit, &missed);
	return NULL;
}

START_TEST(threads_share_one_limit)
{
	int ok[2] = { 0 };
	pthread_t t[2];

	shared_limit.window_start_ns = clock_ns();
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, hammer, &ok[i]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	ck_assert_int_ge(ok[0] + ok[1], 10);
	ck_assert_uint_le(shared_limit.in_window, 2000);
	ck_assert_int_lt(ok[0] + ok[1], 1000);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base/log");
	TCase *tc = tcase_create("log");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, message_is_one_write_of_one_line);
	tcase_add_test(tc, name_is_cut_at_32_bytes);
	tcase_add_test(tc, levels_above_the_set_one_are_dropped);
	tcase_add_test(tc, control_characters_are_escaped);
	tcase_add_test(tc, long_message_is_cut_but_still_a_line);
	tcase_add_test(tc, errno_survives_even_a_failing_write);
	tcase_add_test(tc, at_most_ten_lines_a_second);
	tcase_add_test(tc, suppressed_are_counted_with_the_next_line);
	tcase_add_test(tc, threads_share_one_limit);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
