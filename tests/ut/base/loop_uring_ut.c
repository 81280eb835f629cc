/* SPDX-License-Identifier: MIT */
/* Loops: io_uring operations, fixed files, and life without io_uring. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <liburing.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/compiler.h"
#include "base/log.h"
#include "tests/ut/base/loop_rig.h"

struct op {
	struct loop_op op;
	struct loop *l;
	int done;
	int32_t res;
	bool again; /* try to start another from done() */
	struct io_uring_sqe *got;
};

static void on_done(struct loop_op *lo, int32_t res, uint32_t flags)
{
	struct op *op = container_of(lo, struct op, op);

	(void)flags;
	op->done++;
	op->res = res;
	if (op->again)
		op->got = loop_sqe(op->l, lo);
}

#define OP() ((struct op){ .op.done = on_done, .l = l })

static struct loop *small_loop(uint32_t entries)
{
	struct loop_config cfg = { .engine = LOOP_URING, .entries = entries, .name = "test" };
	struct loop *l;

	ck_assert_int_eq(loop_create(&l, &cfg), 0);
	return l;
}

START_TEST(operation_completes_once)
{
	struct loop *l = small_loop(0);
	struct op op = OP();
	char buf[8] = "";
	int p[2];

	rig_pipe(p);
	io_uring_prep_read(loop_sqe(l, &op.op), p[0], buf, 3, (uint64_t)-1);
	ck_assert_uint_eq(loop_ops_in_flight(l), 1);
	ck_assert_int_eq(write(p[1], "abc", 3), 3);
	rig_turn_until(l, op.done);
	rig_settle(l);
	ck_assert_int_eq(op.done, 1);
	ck_assert_int_eq(op.res, 3);
	ck_assert_str_eq(buf, "abc");
	ck_assert_uint_eq(loop_ops_in_flight(l), 0);
	loop_destroy(l);
	rig_close(p);
}
END_TEST

START_TEST(sleep_ends_with_a_completion)
{
	struct loop *l = small_loop(0);
	struct __kernel_timespec ts = { .tv_nsec = 2 * MS };
	struct op op = OP();

	io_uring_prep_timeout(loop_sqe(l, &op.op), &ts, 0, 0);
	while (!op.done)
		ck_assert_int_ge(loop_turn(l, UINT64_MAX), 0);
	ck_assert_int_eq(op.res, -ETIME);
	loop_destroy(l);
}
END_TEST

START_TEST(user_data_belongs_to_the_loop)
{
	struct loop *l = small_loop(0);
	struct op op = OP();
	struct io_uring_sqe *sqe = loop_sqe(l, &op.op);

	memset(sqe, 0, sizeof(*sqe)); /* a caller that overdoes it */
	io_uring_prep_nop(sqe);
	io_uring_sqe_set_data64(sqe, 0xdeadbeef);
	rig_turn_until(l, op.done);
	ck_assert_int_eq(op.res, 0);
	loop_destroy(l);
}
END_TEST

START_TEST(entry_left_empty_completes)
{
	struct loop *l = small_loop(0);
	struct op op = OP();

	ck_assert_ptr_nonnull(loop_sqe(l, &op.op));
	rig_turn_until(l, op.done);
	ck_assert_int_eq(op.res, 0);
	loop_destroy(l);
}
END_TEST

START_TEST(full_queue_submits_itself)
{
	enum { N = 300 };
	struct loop *l = small_loop(4);
	static struct op ops[N];
	int done = 0;

	for (int i = 0; i < N; i++) {
		struct io_uring_sqe *sqe;

		ops[i] = OP();
		sqe = loop_sqe(l, &ops[i].op);
		ck_assert_ptr_nonnull(sqe);
		ck_assert_uint_eq(sqe->opcode, 0); /* zeroed again each time */
		ck_assert_int_eq(sqe->fd, 0);
		io_uring_prep_poll_add(sqe, -1, POLLIN); /* fails with EBADF */
	}
	rig_settle(l);
	for (int i = 0; i < N; i++) {
		ck_assert_int_eq(ops[i].done, 1);
		ck_assert_int_eq(ops[i].res, -EBADF);
		done++;
	}
	ck_assert_int_eq(done, N);
	loop_destroy(l);
}
END_TEST

static uint64_t enters(const struct loop *l)
{
	struct loop_stats st;

	loop_stats(l, &st);
	return st.enters;
}

/* A kernel without work gets the first request when the second is asked for; a busy one does not.
 */
START_TEST(idle_kernel_gets_the_first_at_once)
{
	struct loop *l = small_loop(0);
	struct op op[3] = { OP(), OP(), OP() };
	char buf[3];
	uint64_t was;
	int p[2];

	rig_pipe(p);
	was = enters(l);
	io_uring_prep_read(loop_sqe(l, &op[0].op), p[0], buf, 1, (uint64_t)-1);
	ck_assert_uint_eq(enters(l), was);
	io_uring_prep_read(loop_sqe(l, &op[1].op), p[0], buf + 1, 1, (uint64_t)-1);
	ck_assert_uint_eq(enters(l), was + 1);
	io_uring_prep_read(loop_sqe(l, &op[2].op), p[0], buf + 2, 1, (uint64_t)-1);
	ck_assert_uint_eq(enters(l), was + 1);
	ck_assert_int_eq(write(p[1], "abc", 3), 3);
	rig_turn_until(l, op[0].done && op[1].done && op[2].done);
	loop_destroy(l);
	rig_close(p);
}
END_TEST

START_TEST(in_flight_is_bounded_and_recovers)
{
	struct loop *l = small_loop(0);
	static struct op ops[5000];
	int n = 0, p[2];
	static char byte;

	rig_pipe(p);
	for (; n < 5000; n++) { /* reads that do not complete */
		struct io_uring_sqe *sqe;

		ops[n] = OP();
		sqe = loop_sqe(l, &ops[n].op);
		if (!sqe)
			break;
		io_uring_prep_poll_add(sqe, p[0], POLLIN);
	}
	ck_assert_int_ge(n, 3000);
	ck_assert_int_lt(n, 4096);
	ck_assert_uint_eq(loop_ops_in_flight(l), n);
	rig_settle(l);
	ck_assert_ptr_null(loop_sqe(l, &ops[n].op));
	ck_assert_int_eq(write(p[1], &byte, 1), 1);
	rig_turn_until(l, !loop_ops_in_flight(l));
	for (int i = 0; i < n; i++)
		ck_assert_int_eq(ops[i].done, 1);
	ck_assert_ptr_nonnull(loop_sqe(l, &ops[n].op));
	rig_turn_until(l, ops[n].done);
	loop_destroy(l);
	rig_close(p);
}
END_TEST

/* ---- fairness and overflow --------------------------------------------------------- */

struct meter {
	struct loop_poller p;
	int total, last, most; /* completions, and the most between two polls */
	struct op *ops;
	int nr;
};

static bool measure(struct loop_poller *lp)
{
	struct meter *m = container_of(lp, struct meter, p);
	int now = 0;

	for (int i = 0; i < m->nr; i++)
		now += m->ops[i].done;
	if (now - m->last > m->most)
		m->most = now - m->last;
	m->last = now;
	return false;
}

static bool always_calm(struct loop_poller *lp)
{
	(void)lp;
	return true;
}

static void nothing(struct loop_poller *lp)
{
	(void)lp;
}

START_TEST(completions_per_turn_are_bounded)
{
	enum { N = 500 };
	struct loop *l = small_loop(0);
	static struct op ops[N];
	struct meter m = {
		.p = { .poll = measure, .arm = always_calm, .disarm = nothing },
		.ops = ops,
		.nr = N,
	};

	loop_poller_add(l, &m.p);
	for (int i = 0; i < N; i++) {
		ops[i] = OP();
		io_uring_prep_nop(loop_sqe(l, &ops[i].op));
	}
	rig_turn_until(l, !loop_ops_in_flight(l));
	measure(&m.p);
	ck_assert_int_eq(m.last, N);
	ck_assert_int_le(m.most, 64);
	loop_poller_del(l, &m.p);
	loop_destroy(l);
}
END_TEST

static void quiet(struct loop_bell *b)
{
	(void)b;
}

/* The kernel may end a multishot request at any time; here somebody cancels it. */
START_TEST(bell_whose_request_ended_is_renewed)
{
	struct loop *l = small_loop(0);
	struct loop_bell b = { .fd = rig_eventfd(), .rung = quiet };
	struct op cancel = OP();
	struct io_uring_sqe *sqe;
	uint64_t before;

	ck_assert_int_eq(loop_bell_add(l, &b), 0);
	rig_settle(l);
	sqe = loop_sqe(l, &cancel.op);
	io_uring_prep_cancel_fd(sqe, b.fd, IORING_ASYNC_CANCEL_ALL);
	rig_turn_until(l, cancel.done);
	ck_assert_int_eq(cancel.res, 1); /* it found the request */
	rig_settle(l);
	before = b.rings;
	rig_ring(b.fd);
	rig_turn_until(l, b.rings > before);
	loop_bell_del(l, &b);
	loop_destroy(l);
	close(b.fd);
}
END_TEST

/*
 * Kernels that complete everything in one go overflow the queue here and end multishot
 * requests; others come in smaller steps. Every bell must still work afterwards.
 */
START_TEST(bells_survive_a_storm)
{
	enum { BELLS = 600, OPS = 2500, STORMS = 12 };
	struct loop *l = small_loop(0);
	static struct loop_bell bells[BELLS];
	static struct op ops[OPS];

	for (int i = 0; i < BELLS; i++) {
		bells[i] = (struct loop_bell){ .fd = rig_eventfd(), .rung = quiet };
		ck_assert_int_eq(loop_bell_add(l, &bells[i]), 0);
	}
	rig_settle(l);
	for (int i = 0; i < OPS; i++) {
		struct io_uring_sqe *sqe;

		ops[i] = OP();
		sqe = loop_sqe(l, &ops[i].op);
		ck_assert_ptr_nonnull(sqe);
		io_uring_prep_nop(sqe);
	}
	for (int s = 0; s < STORMS; s++) { /* 600 come in, 64 go out */
		for (int i = 0; i < BELLS; i++)
			rig_ring(bells[i].fd);
		ck_assert_int_ge(loop_turn(l, 0), 0);
	}
	rig_settle(l);
	for (int i = 0; i < OPS; i++)
		ck_assert_int_eq(ops[i].done, 1);
	for (int i = 0; i < BELLS; i++) {
		uint64_t before = bells[i].rings;

		ck_assert_uint_gt(before, 0);
		rig_ring(bells[i].fd);
		rig_turn_until(l, bells[i].rings > before);
		loop_bell_del(l, &bells[i]);
	}
	loop_destroy(l);
	for (int i = 0; i < BELLS; i++)
		close(bells[i].fd);
}
END_TEST

/* ---- destruction ---------------------------------------------------------------------- */

START_TEST(destruction_ends_what_is_in_flight)
{
	enum { N = 40 };
	struct loop *l = small_loop(8);
	static struct op ops[N];
	struct __kernel_timespec ts = { .tv_sec = 3600 };
	static char buf[N];
	int p[2];

	rig_pipe(p);
	fcntl(p[0], F_SETFL, 0); /* blocking: the reads wait inside the ring */
	for (int i = 0; i < N; i++) {
		struct io_uring_sqe *sqe;

		ops[i] = OP();
		ops[i].again = true;
		sqe = loop_sqe(l, &ops[i].op);
		if (i % 3 == 0)
			io_uring_prep_read(sqe, p[0], &buf[i], 1, (uint64_t)-1);
		else if (i % 3 == 1)
			io_uring_prep_timeout(sqe, &ts, 0, 0);
		else
			io_uring_prep_poll_add(sqe, p[0], POLLIN);
		if (i == N / 2)
			rig_settle(l); /* half of them are only queued */
	}
	loop_destroy(l);
	for (int i = 0; i < N; i++) {
		ck_assert_int_eq(ops[i].done, 1);
		ck_assert_int_lt(ops[i].res, 0);
		ck_assert_ptr_null(ops[i].got); /* nothing new may start */
	}
	rig_close(p);
}
END_TEST

/* ---- fixed files ------------------------------------------------------------------------ */

START_TEST(fixed_files_work_and_run_out)
{
	struct loop *l = small_loop(0);
	FILE *f = tmpfile();
	struct op op = OP();
	struct io_uring_sqe *sqe;
	char buf[8] = "";
	int index[1000], n = 0, err;

	fputs("hello", f);
	fflush(f);
	ck_assert_int_lt(loop_file_register(l, -1), 0);
	for (;;) {
		err = loop_file_register(l, fileno(f));
		if (err < 0)
			break;
		ck_assert_int_lt(n, 1000);
		index[n++] = err;
	}
	ck_assert_int_eq(err, -ENFILE);
	ck_assert_int_ge(n, 64);
	sqe = loop_sqe(l, &op.op);
	io_uring_prep_read(sqe, index[n - 1], buf, 5, 0);
	sqe->flags |= IOSQE_FIXED_FILE;
	rig_turn_until(l, op.done);
	ck_assert_int_eq(op.res, 5);
	ck_assert_str_eq(buf, "hello");

	loop_file_unregister(l, index[7]);
	ck_assert_int_eq(loop_file_register(l, fileno(f)), index[7]);
	loop_file_unregister(l, -1); /* never registered: nothing */
	loop_file_unregister(l, 100000);
	loop_destroy(l);
	fclose(f);
}
END_TEST

/* ---- where io_uring is forbidden ---------------------------------------------------------- */

/* From here on io_uring_setup() gives EPERM, as in many sandboxes. */
static void forbid_io_uring(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = ARRAY_SIZE(code), .filter = code };

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog), 0);
}

/* Runs in a process of its own (check forks), so the filter does no harm to others. */
START_TEST(falls_back_to_epoll)
{
	struct loop_config cfg = { .engine = LOOP_URING, .name = "test" };
	struct loop_bell b = { .fd = rig_eventfd(), .rung = quiet };
	struct op op = { .op.done = on_done };
	char line[256] = "";
	struct loop *l;
	int p[2];

	forbid_io_uring();
	ck_assert_int_eq(loop_create(&l, &cfg), -EPERM);
	cfg.engine = LOOP_AUTO;
	rig_pipe(p);
	log_set_fd(p[1]);
	ck_assert_int_eq(loop_create(&l, &cfg), 0);
	log_set_fd(2);
	ck_assert_int_gt(read(p[0], line, sizeof(line) - 1), 0);
	ck_assert_ptr_nonnull(strstr(line, "using epoll\n"));
	ck_assert_ptr_eq(strchr(line, '\n')[1] ? "more than a line" : NULL, NULL);

	ck_assert_str_eq(loop_engine_name(l), "epoll");
	ck_assert(!loop_has_uring(l));
	ck_assert_ptr_null(loop_sqe(l, &op.op));
	ck_assert_int_eq(loop_file_register(l, 0), -EOPNOTSUPP);
	loop_file_unregister(l, 0);
	ck_assert_int_eq(loop_bell_add(l, &b), 0);
	rig_ring(b.fd);
	rig_turn_until(l, b.rings);
	loop_bell_del(l, &b);
	loop_destroy(l);
	rig_close(p);
	close(b.fd);
}
END_TEST

START_TEST(no_descriptor_is_left_behind)
{
	int before = dup(0), after;

	close(before);
	for (int i = 0; i < 20; i++) {
		struct loop *l = rig_loop(i % 2, 0);

		loop_turn(l, 0);
		loop_destroy(l);
	}
	after = dup(0);
	close(after);
	ck_assert_int_eq(before, after);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base/loop: io_uring");
	TCase *tc = tcase_create("uring");

	tcase_set_timeout(tc, 20);
	tcase_add_test(tc, operation_completes_once);
	tcase_add_test(tc, sleep_ends_with_a_completion);
	tcase_add_test(tc, user_data_belongs_to_the_loop);
	tcase_add_test(tc, entry_left_empty_completes);
	tcase_add_test(tc, full_queue_submits_itself);
	tcase_add_test(tc, idle_kernel_gets_the_first_at_once);
	tcase_add_test(tc, in_flight_is_bounded_and_recovers);
	tcase_add_test(tc, completions_per_turn_are_bounded);
	tcase_add_test(tc, bell_whose_request_ended_is_renewed);
	tcase_add_test(tc, bells_survive_a_storm);
	tcase_add_test(tc, destruction_ends_what_is_in_flight);
	tcase_add_test(tc, fixed_files_work_and_run_out);
	tcase_add_test(tc, falls_back_to_epoll);
	tcase_add_test(tc, no_descriptor_is_left_behind);
	suite_add_tcase(s, tc);
	return rig_main(s);
}
