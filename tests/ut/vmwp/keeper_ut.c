/* SPDX-License-Identifier: MIT */
/*
 * The process that keeps reservations: what it stores comes back, each answer arrives on the
 * loop that asked, and when it is killed at any moment the file is the old one or the new.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/log.h"
#include "vmwp/keeper.h"

#define LEN    SCSI_PR_STATE_MAX
#define ROUNDS 40

static char dir[64], image[96], file[96];
static struct loop *loop;
static struct keeper *keeper;
static const struct scsi_pr_keeper *ops;
static uint8_t state[LEN + 1];
static uint32_t state_len;

static int add(const char *path, const struct scsi_pr_keeper **out, void *bytes, uint32_t *len)
{
	struct keeper_place place;
	int err = keeper_find(&place, path);

	if (err)
		return err;
	err = keeper_add(keeper, &place, out, bytes, len);
	keeper_place_close(&place);
	return err;
}

static void begin(void)
{
	ck_assert_int_eq(keeper_create(&keeper, loop, SANDBOX_ON), 0);
	ck_assert_int_eq(add(image, &ops, state, &state_len), 0);
}

static void end(void)
{
	keeper_destroy(keeper);
}

static void setup(void)
{
	int fd;

	log_set_level(LOG_ERROR);
	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
	snprintf(dir, sizeof(dir), "/tmp/hvbus-keeper-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(image, sizeof(image), "%s/image", dir);
	snprintf(file, sizeof(file), "%s/image.pr", dir);
	fd = open(image, O_CREAT | O_RDWR, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(loop_create(&loop, NULL), 0);
	begin();
}

static void teardown(void)
{
	char temporary[128];

	end();
	loop_destroy(loop);
	snprintf(temporary, sizeof(temporary), "%s~", file);
	unlink(temporary);
	unlink(file);
	unlink(image);
	ck_assert_int_eq(rmdir(dir), 0); /* and nothing else was left there */
}

struct answer {
	pthread_t thread;
	uint32_t n;
	int err;
};

static void saved(void *arg, int err)
{
	struct answer *a = arg;

	ck_assert(pthread_equal(a->thread, pthread_self()));
	a->err = err;
	a->n++;
}

static int save(struct loop *l, uint8_t byte, uint32_t len)
{
	uint64_t until = clock_ns() + 10000000000ull;
	struct answer a = { .thread = pthread_self() };
	uint8_t bytes[LEN];

	memset(bytes, byte, len);
	ops->save(ops->ctx, bytes, len, saved, &a);
	while (!a.n && clock_ns() < until)
		loop_turn(l, 10000000);
	ck_assert_uint_eq(a.n, 1);
	return a.err;
}

/* What a new root finds. */
static void restart(void)
{
	end();
	begin();
}

START_TEST(what_is_saved_comes_back)
{
	static const uint32_t lens[] = { 36, 68, LEN };

	ck_assert_uint_eq(state_len, 0);
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		ck_assert_int_eq(save(loop, (uint8_t)(i + 1), lens[i]), 0);
		restart();
		ck_assert_uint_eq(state_len, lens[i]);
		ck_assert_uint_eq(state[0], i + 1);
		ck_assert_uint_eq(state[lens[i] - 1], i + 1);
	}
}
END_TEST

START_TEST(the_file_is_private)
{
	struct stat st;

	ck_assert_int_eq(save(loop, 1, LEN), 0);
	ck_assert_int_eq(stat(file, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
}
END_TEST

START_TEST(folder_that_cannot_be_written)
{
	char other[128];

	ck_assert_int_eq(save(loop, 1, LEN), 0);
	snprintf(other, sizeof(other), "%s~", file);
	ck_assert_int_eq(mkdir(other, 0700), 0); /* where the temporary file would be */
	ck_assert_int_lt(save(loop, 2, LEN), 0);
	ck_assert_int_eq(rmdir(other), 0);
	restart();
	ck_assert_uint_eq(state[0], 1);
}
END_TEST

START_TEST(what_is_no_image_and_no_state)
{
	ck_assert_int_eq(add(dir, &ops, state, &state_len), -ENOTSUP);
	ck_assert_int_eq(add("/dev/null", &ops, state, &state_len), -ENOTSUP);
	ck_assert_int_eq(add("/nowhere/x", &ops, state, &state_len), -ENOENT);
	ck_assert_int_eq(symlink(image, file), 0);
	ck_assert_int_eq(add(image, &ops, state, &state_len), -ELOOP);
	unlink(file);
	ck_assert_int_eq(mkfifo(file, 0600), 0);
	ck_assert_int_eq(add(image, &ops, state, &state_len), -ENOTSUP);
	unlink(file);
	ck_assert_int_eq(add(image, &ops, state, &state_len), 0);
	ck_assert_int_eq(truncate(image, 1 << 20), 0);
	ck_assert_int_eq(link(image, file), 0); /* far too long */
	ck_assert_int_eq(add(image, &ops, state, &state_len), 0);
	ck_assert_uint_eq(state_len, LEN + 1);
}
END_TEST

/* Whoever waits is told, and later ones at once. */
START_TEST(process_dies)
{
	struct answer a = { .thread = pthread_self() };
	uint8_t bytes[LEN] = { 0 };

	kill(keeper_pid(keeper), SIGSTOP);
	ops->save(ops->ctx, bytes, LEN, saved, &a);
	kill(keeper_pid(keeper), SIGKILL);
	while (!a.n)
		loop_turn(loop, 10000000);
	ck_assert_int_eq(a.err, -EIO);
	ck_assert_int_eq(save(loop, 1, LEN), -EIO);
}
END_TEST

/* Killed after a while that grows from nothing to longer than a save takes. */
START_TEST(killed_at_any_moment)
{
	uint8_t old = 1;

	ck_assert_int_eq(save(loop, old, LEN), 0);
	for (int i = 0; i < ROUNDS; i++) {
		struct answer a = { .thread = pthread_self() };
		uint8_t bytes[LEN], new = (uint8_t)(2 + i);

		memset(bytes, new, LEN);
		ops->save(ops->ctx, bytes, LEN, saved, &a);
		usleep((useconds_t)i * 20);
		kill(keeper_pid(keeper), SIGKILL);
		while (!a.n)
			loop_turn(loop, 10000000);
		restart();
		ck_assert_uint_eq(state_len, LEN);
		ck_assert(state[0] == new || (state[0] == old && a.err));
		for (uint32_t k = 1; k < LEN; k++)
			ck_assert_uint_eq(state[k], state[0]);
		old = state[0];
	}
}
END_TEST

/* ---- other loops ------------------------------------------------------------------------- */

static struct loop *others[2];
static uint32_t ready;

static void *io_thread(void *arg)
{
	uint32_t i = (uint32_t)(uintptr_t)arg;
	struct loop *mine;

	if (loop_create(&mine, NULL))
		abort();
	store_release(&others[i], mine);
	__atomic_fetch_add(&ready, 1, __ATOMIC_ACQ_REL);
	while (load_acquire(&ready) < 3)
		usleep(1000);
	for (uint8_t n = 0; n < 20; n++)
		if (save(mine, n, LEN))
			abort();
	__atomic_fetch_add(&ready, 1, __ATOMIC_ACQ_REL);
	while (load_acquire(&ready) < 5)
		usleep(1000);
	loop_destroy(mine);
	return NULL;
}

START_TEST(answers_go_to_the_loop_that_asked)
{
	pthread_t t[2];

	ready = 0;
	for (uintptr_t i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, io_thread, (void *)i), 0);
	while (load_acquire(&ready) < 2)
		usleep(1000);
	keeper_loops(keeper, others, 2);
	__atomic_fetch_add(&ready, 1, __ATOMIC_ACQ_REL);
	while (load_acquire(&ready) < 5)
		loop_turn(loop, 10000000);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("keeper");
	TCase *t = tcase_create("keeper");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, what_is_saved_comes_back);
	tcase_add_test(t, the_file_is_private);
	tcase_add_test(t, folder_that_cannot_be_written);
	tcase_add_test(t, what_is_no_image_and_no_state);
	tcase_add_test(t, process_dies);
	tcase_add_test(t, killed_at_any_moment);
	tcase_add_test(t, answers_go_to_the_loop_that_asked);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_set_fork_status(sr, CK_NOFORK);
	alarm(60);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
