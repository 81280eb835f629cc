/* SPDX-License-Identifier: MIT */
/*
 * Nobody is hostile, but the root has troubles of its own: it is stopped, killed and started
 * again, comes late, or its log is full. What its guests see of that (hostile cases F05, F09, F36,
 * F39).
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "hv-core/proc/proc_wire.h"
#include "tests/proc/root_rig.h"
#include "vsc/storvsc.h"

#define MIB  (1u << 20)
#define DISK (8u * MIB)
#define MS   1000000ull

static char image[96];
static int log_fd;

/* ---- a root in a process of its own -------------------------------------------------- */

static void configure(struct root_config *cfg)
{
	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_INFO);
	log_set_fd(log_fd);
	cfg->nr_disks = 1;
	cfg->disk[0].blk = (struct blk_config){ .path = image, .direct = -1 };
}

static void start_root(void)
{
	rig_start(&(struct rig_root){ configure, NULL });
}

static void setup(void)
{
	int fd;

	rig_dir();
	snprintf(image, sizeof(image), "%s/image", dir);
	fd = open(image, O_CREAT | O_RDWR, 0600);
	ck_assert_int_eq(ftruncate(fd, DISK), 0);
	close(fd);
	log_fd = open("/dev/null", O_WRONLY);
}

static void teardown(void)
{
	int status = 0;

	if (root_pid) {
		kill(root_pid, SIGTERM);
		ck_assert_int_eq(waitpid(root_pid, &status, 0), root_pid);
	}
	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "root ended with %x",
		      (unsigned int)status);
	unlink(image);
	unlink(sock);
	rmdir(dir);
}

static void stop_root(void)
{
	int status;

	kill(root_pid, SIGSTOP);
	ck_assert_int_eq(waitpid(root_pid, &status, WUNTRACED), root_pid);
}

static struct storvsc *attach(uint32_t timeout_ms)
{
	struct storvsc_config cfg = { .depth = 32, .timeout_ms = timeout_ms };
	struct storvsc *s;
	char why[256];

	ck_assert_msg(!storvsc_attach(&s, sock, 0, 8u * MIB, &cfg, why, sizeof(why)), "%s", why);
	return s;
}

/* ---- stopped ---------------------------------------------------------------------------- */

/* F09: what was asked before is answered once, and nothing a caller gave up on is written late. */
START_TEST(f09_root_is_stopped_with_requests_in_flight)
{
	struct storvsc *s = attach(0);
	struct storvsc_io io[16], *out[16];
	uint8_t *buf = storvsc_alloc(s, sizeof(io) / sizeof(io[0]) * 4096), pattern[4096];
	struct iovec iov[16];

	memset(pattern, 0x91, sizeof(pattern));
	for (uint32_t i = 0; i < 16; i++)
		ck_assert_int_eq(storvsc_write(s, 0, 0, pattern, i * 4096, 4096, 0), 0);
	stop_root();
	for (uint32_t i = 0; i < 16; i++) {
		iov[i] = (struct iovec){ buf + i * 4096, 4096 };
		io[i] = (struct storvsc_io){
			.offset = i * 4096, .len = 4096, .iov = &iov[i], .niov = 1
		};
		ck_assert_int_eq(storvsc_submit(s, 0, &io[i]), 0);
	}
	storvsc_kick(s, 0);
	ck_assert_int_eq(storvsc_reap(s, 0, out, 16, 1, 100 * MS), 0);
	kill(root_pid, SIGCONT);
	ck_assert_int_eq(storvsc_reap(s, 0, out, 16, 16, 20000 * MS), 16);
	for (uint32_t i = 0; i < 16; i++) {
		ck_assert_int_eq(io[i].result, 0);
		ck_assert_mem_eq(buf + i * 4096, pattern, 4096);
	}
	ck_assert_int_eq(storvsc_reap(s, 0, out, 16, 1, 20 * MS), 0);
	storvsc_detach(s);
}
END_TEST

START_TEST(f09_root_is_stopped_beyond_the_timeout)
{
	struct storvsc *s = attach(300);
	uint8_t mine[4096], got[4096];
	int err;

	memset(mine, 0x92, sizeof(mine));
	for (int i = 0; (err = storvsc_write(s, 0, 0, mine, 0, 4096, 0)) == -ETIMEDOUT; i++)
		ck_assert_int_lt(i, 100); /* a busy machine is slow, too */
	ck_assert_int_eq(err, 0);
	stop_root();
	memset(got, 0x6b, sizeof(got));
	ck_assert_int_eq(storvsc_read(s, 0, 0, got, 0, 4096), -ETIMEDOUT);
	kill(root_pid, SIGCONT);
	memset(mine, 0x93, sizeof(mine));
	for (int i = 0; (err = storvsc_write(s, 0, 0, mine, 4096, 4096, 0)) == -ETIMEDOUT; i++)
		ck_assert_int_lt(i, 100);
	ck_assert_int_eq(err, 0);
	for (uint32_t i = 0; i < 4096; i++) /* the late answer went nowhere */
		ck_assert_uint_eq(got[i], 0x6b);
	storvsc_detach(s);
}
END_TEST

/* ---- killed, late --------------------------------------------------------------------------- */

/* F05, as far as there is no log of what was in flight: all that was flushed is there. */
START_TEST(f05_root_is_killed_and_started_again)
{
	uint8_t block[4096], got[4096];
	struct storvsc *s;

	for (int round = 0; round < 5; round++) {
		s = attach(0);
		memset(block, 0x50 + round, sizeof(block));
		ck_assert_int_eq(storvsc_write(s, 0, 0, block, 8192, 4096, 0), 0);
		ck_assert_int_eq(storvsc_flush(s, 0, 0), 0);
		kill(root_pid, SIGKILL);
		ck_assert_int_eq(waitpid(root_pid, NULL, 0), root_pid);
		ck_assert_int_eq(storvsc_read(s, 0, 0, got, 8192, 4096), -ECONNRESET);
		storvsc_detach(s);
		start_root(); /* over the socket that the dead one left */
		s = attach(0);
		ck_assert_int_eq(storvsc_read(s, 0, 0, got, 8192, 4096), 0);
		ck_assert_mem_eq(got, block, 4096);
		storvsc_detach(s);
	}
}
END_TEST

/* F39: guests that come first are told at once, and find the root when it is there. */
START_TEST(f39_guest_comes_before_its_root)
{
	struct storvsc *s;
	char why[256] = "";
	int tries = 0;

	ck_assert_int_lt(storvsc_attach(&s, sock, 0, 8u * MIB, NULL, why, sizeof(why)), 0);
	ck_assert_ptr_nonnull(strstr(why, sock));
	start_root();
	while (storvsc_attach(&s, sock, 0, 8u * MIB, NULL, why, sizeof(why)))
		ck_assert_int_lt(tries++, 3);
	storvsc_detach(s);
}
END_TEST

/* ---- a log that nobody reads ---------------------------------------------------------------- */

static const char *inspect(void)
{
	static char answer[65536];
	struct hv_proc_hello hello = { .magic = HV_PROC_MAGIC,
				       .version = HV_PROC_VERSION,
				       .role = HV_PROC_CONTROL };
	static const char ask[] = "{\"do\": \"inspect\"}";
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	ssize_t n;

	strcpy(sa.sun_path, sock);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	ck_assert_int_gt(send(fd, &hello, sizeof(hello), MSG_NOSIGNAL), 0);
	ck_assert_int_eq(send(fd, ask, sizeof(ask) - 1, MSG_NOSIGNAL), sizeof(ask) - 1);
	n = recv(fd, answer, sizeof(answer) - 1, 0);
	answer[n > 0 ? n : 0] = '\0';
	close(fd);
	return answer;
}

/* F36: a full pipe as standard error, blocking: guests come, work and go; the loss is counted. */
START_TEST(f36_log_that_nobody_reads)
{
	uint8_t block[4096] = { 0 };
	struct storvsc *s;
	int fd[2], n;

	ck_assert_int_eq(pipe(fd), 0);
	ck_assert_int_ge(fcntl(fd[1], F_SETPIPE_SZ, 4096), 4096);
	for (n = fcntl(fd[1], F_GETPIPE_SZ); n > 0; n -= (int)sizeof(block))
		ck_assert_int_eq(write(fd[1], block, sizeof(block)), sizeof(block));
	log_fd = fd[1];
	start_root();
	for (int i = 0; i < 5; i++) {
		s = attach(0);
		ck_assert_int_eq(storvsc_write(s, 0, 0, block, 0, 4096, 0), 0);
		storvsc_detach(s);
	}
	ck_assert_ptr_nonnull(strstr(inspect(), "\"log_lines_lost\":"));
	ck_assert_ptr_null(strstr(inspect(), "\"log_lines_lost\":0"));
	close(fd[0]);
	close(fd[1]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("troubles of the root");
	TCase *tc = tcase_create("served"), *late = tcase_create("late");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_checked_fixture(tc, start_root, NULL);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, f09_root_is_stopped_with_requests_in_flight);
	tcase_add_test(tc, f09_root_is_stopped_beyond_the_timeout);
	tcase_add_test(tc, f05_root_is_killed_and_started_again);
	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(late, setup, teardown);
	tcase_set_timeout(late, 60);
	tcase_add_test(late, f39_guest_comes_before_its_root);
	tcase_add_test(late, f36_log_that_nobody_reads);
	suite_add_tcase(suite, late);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
