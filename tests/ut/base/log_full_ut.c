/* SPDX-License-Identifier: MIT */
/* A log that nobody reads: nobody who writes waits, and what was lost is counted (F36). */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

static int fd[2]; /* read from [0] */

/* Blocking at the writing end, as a shell's pipe or the journal's socket is. */
static void open_log(bool is_socket)
{
	ck_assert_int_eq(is_socket ? socketpair(AF_UNIX, SOCK_STREAM, 0, fd) : pipe(fd), 0);
	ck_assert_int_eq(fcntl(fd[0], F_SETFL, O_NONBLOCK), 0);
	log_set_fd(fd[1]);
}

/* Everything that is there, as text; and how many lines. */
static char *drain(size_t *lines)
{
	size_t len = 0, room = 4 << 20;
	char *all = malloc(room);
	ssize_t n;

	while ((n = read(fd[0], all + len, room - len - 1)) > 0)
		len += (size_t)n;
	all[len] = '\0';
	*lines = 0;
	for (size_t i = 0; i < len; i++)
		*lines += all[i] == '\n';
	ck_assert(!len || all[len - 1] == '\n'); /* no half lines */
	return all;
}

/* More than any pipe takes. Who waits for a reader never ends: the test's time limit. */
START_TEST(f36_nobody_waits_for_a_reader)
{
	char filler[500], want[64];
	size_t lines, more;
	char *all;

	open_log(_i);
	memset(filler, 'x', sizeof(filler) - 1);
	filler[sizeof(filler) - 1] = '\0';
	errno = ENOSPC;
	for (int i = 0; i < 5000; i++)
		log_info("%s", filler);
	ck_assert_int_eq(errno, ENOSPC);
	ck_assert_uint_gt(log_lost(), 0);
	all = drain(&lines);
	ck_assert_uint_eq(lines + log_lost(), 5000);
	free(all);
	log_info("room again");
	log_info("and nothing to add");
	all = drain(&more);
	ck_assert_uint_eq(more, 2);
	snprintf(want, sizeof(want), "room again (%zu lines before were lost)\n", 5000 - lines);
	ck_assert_ptr_eq(strstr(all, want), all);
	ck_assert_str_eq(all + strlen(want), "and nothing to add\n");
	free(all);
}
END_TEST

static void *chatter(void *arg)
{
	for (int i = 0; i < 2000; i++)
		log_info("%s", (const char *)arg);
	return NULL;
}

/* Several threads at the last bit of room: it is not promised to two. */
START_TEST(f36_threads_do_not_wait_either)
{
	static char text[900];
	pthread_t t[4];
	size_t lines = 0, n;
	char *all;

	open_log(false);
	memset(text, 'y', sizeof(text) - 1);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, chatter, text);
	for (int i = 0; i < 200; i++) { /* a slow reader */
		all = drain(&n);
		lines += n;
		free(all);
		usleep(100);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	all = drain(&n);
	free(all);
	ck_assert_uint_eq(lines + n + log_lost(), 8000);
}
END_TEST

START_TEST(f36_no_log_at_all)
{
	log_set_fd(-1);
	log_info("nowhere");
	ck_assert_uint_eq(log_lost(), 1);
	open_log(false);
	close(fd[1]);
	log_info("closed");
	ck_assert_uint_eq(log_lost(), 2);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base/log, full");
	TCase *tc = tcase_create("log");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, f36_nobody_waits_for_a_reader, 0, 2);
	tcase_add_test(tc, f36_threads_do_not_wait_either);
	tcase_add_test(tc, f36_no_log_at_all);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
