/* SPDX-License-Identifier: MIT */
/* Loops, both engines: file descriptors and doorbells. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>

#include "tests/ut/base/loop_rig.h"

struct watched {
	struct loop_fd lf;
	struct loop *l;
	int calls;
	uint32_t events;	/* of the last call */
	struct watched *victim; /* removed by our callback */
	struct watched *heir;	/* added by our callback */
	bool drain;		/* read one byte per call */
};

static void on_ready(struct loop_fd *lf, uint32_t events)
{
	struct watched *w = (struct watched *)lf; /* lf is the first member */
	char c;

	w->calls++;
	w->events = events;
	if (w->drain)
		ck_assert_int_eq(read(lf->fd, &c, 1), 1);
	if (w->victim) {
		struct watched *v = w->victim;

		w->victim = NULL;
		loop_fd_del(w->l, &v->lf);
		if (w->heir)
			ck_assert_int_eq(loop_fd_add(w->l, &w->heir->lf, POLLIN), 0);
		memset(v, 0x5a, sizeof(*v)); /* the loop may not look at it again */
	}
}

static void watch(struct loop *l, struct watched *w, int fd, uint32_t events)
{
	w->l = l;
	w->lf = (struct loop_fd){ .fd = fd, .ready = on_ready };
	ck_assert_int_eq(loop_fd_add(l, &w->lf, events), 0);
}

START_TEST(fd_is_level_triggered)
{
	struct loop *l = rig_loop(_i, 0);
	struct watched w = { .drain = true };
	int p[2];

	rig_pipe(p);
	watch(l, &w, p[0], POLLIN);
	rig_settle(l);
	ck_assert_int_eq(w.calls, 0);
	ck_assert_int_eq(write(p[1], "abc", 3), 3);
	rig_turn_until(l, w.calls == 3); /* one byte a call */
	ck_assert_uint_eq(w.events, POLLIN);
	rig_settle(l);
	ck_assert_int_eq(w.calls, 3);
	ck_assert_int_eq(write(p[1], "d", 1), 1);
	rig_turn_until(l, w.calls == 4);
	loop_fd_del(l, &w.lf);
	loop_destroy(l);
	rig_close(p);
}
END_TEST

START_TEST(fd_that_was_ready_before_is_reported)
{
	struct loop *l = rig_loop(_i, 0);
	struct watched w = { .drain = true };
	int p[2];

	rig_pipe(p);
	ck_assert_int_eq(write(p[1], "a", 1), 1);
	watch(l, &w, p[0], POLLIN);
	rig_turn_until(l, w.calls == 1);
	loop_fd_del(l, &w.lf);
	loop_destroy(l);
	rig_close(p);
}
END_TEST

START_TEST(fd_events_can_be_changed)
{
	struct loop *l = rig_loop(_i, 0);
	struct watched w = { 0 };
	int sv[2], before;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv), 0);
	watch(l, &w, sv[0], POLLIN);
	rig_settle(l);
	ck_assert_int_eq(w.calls, 0);
	ck_assert_int_eq(loop_fd_mod(l, &w.lf, POLLIN | POLLOUT), 0);
	rig_turn_until(l, w.calls == 2);
	ck_assert_uint_eq(w.events, POLLOUT);
	ck_assert_int_eq(loop_fd_mod(l, &w.lf, 0), 0); /* neither, but hang-ups still */
	rig_settle(l);
	before = w.calls;
	rig_settle(l);
	ck_assert_int_eq(w.calls, before);
	close(sv[1]);
	rig_turn_until(l, w.calls > before);
	ck_assert_uint_ne(w.events & POLLHUP, 0);
	loop_fd_del(l, &w.lf);
	loop_destroy(l);
	close(sv[0]);
}
END_TEST

START_TEST(hang_up_is_reported)
{
	struct loop *l = rig_loop(_i, 0);
	struct watched w = { 0 };
	int p[2];

	rig_pipe(p);
	watch(l, &w, p[0], POLLIN);
	rig_settle(l);
	close(p[1]);
	rig_turn_until(l, w.calls > 0);
	ck_assert_uint_ne(w.events & POLLHUP, 0);
	loop_fd_del(l, &w.lf);
	loop_destroy(l);
	close(p[0]);
}
END_TEST

START_TEST(fds_that_cannot_be_polled_are_refused)
{
	struct loop *l = rig_loop(_i, 0);
	struct loop_fd lf = { .fd = -1, .ready = on_ready };
	struct loop_bell b = { .fd = -1 };
	FILE *f = tmpfile();

	ck_assert_int_eq(loop_fd_add(l, &lf, POLLIN), -EBADF);
	ck_assert_int_eq(loop_bell_add(l, &b), -EBADF);
	lf.fd = fileno(f);
	ck_assert_int_eq(loop_fd_add(l, &lf, POLLIN), -EPERM);
	loop_destroy(l);
	fclose(f);
}
END_TEST

START_TEST(callback_may_remove_itself)
{
	struct loop *l = rig_loop(_i, 0);
	struct watched *w = calloc(1, sizeof(*w));
	int p[2];

	rig_pipe(p);
	watch(l, w, p[0], POLLIN);
	w->victim = w;
	ck_assert_int_eq(write(p[1], "abc", 3), 3);
	while (w->calls != 0x5a5a5a5a) /* what on_ready() left behind */
		ck_assert_int_ge(loop_turn(l, S), 0);
	free(w);
	rig_settle(l); /* still readable, but nobody's */
	loop_destroy(l);
	rig_close(p);
}
END_TEST

START_TEST(removed_fd_is_silent_even_if_its_event_is_here)
{
	struct loop *l = rig_loop(_i, 0);
	struct watched a = { 0 }, b = { 0 }, heir = { 0 };
	int pa[2], pb[2], ph[2];

	rig_pipe(pa);
	rig_pipe(pb);
	rig_pipe(ph);
	watch(l, &a, pa[0], POLLIN);
	watch(l, &b, pb[0], POLLIN);
	rig_settle(l);
	/* Both events wait in the same batch; whoever comes first removes the other and
	 * gives the freed slot to a newcomer, which must not inherit the event. */
	heir.l = l;
	heir.lf = (struct loop_fd){ .fd = ph[0], .ready = on_ready };
	a.victim = &b;
	b.victim = &a;
	a.heir = b.heir = &heir;
	ck_assert_int_eq(write(pa[1], "x", 1), 1);
	ck_assert_int_eq(write(pb[1], "x", 1), 1);
	rig_turn_until(l, a.calls && b.calls); /* one called, the other poisoned */
	ck_assert(a.calls == 0x5a5a5a5a || b.calls == 0x5a5a5a5a);
	for (int i = 0; i < 10; i++)
		ck_assert_int_ge(loop_turn(l, 0), 0);
	ck_assert(a.calls == 0x5a5a5a5a || b.calls == 0x5a5a5a5a);
	ck_assert_int_eq(heir.calls, 0);
	ck_assert_int_eq(write(ph[1], "x", 1), 1);
	rig_turn_until(l, heir.calls);
	loop_destroy(l);
	rig_close(pa);
	rig_close(pb);
	rig_close(ph);
}
END_TEST

START_TEST(removed_fd_is_let_go)
{
	struct loop *l = rig_loop(_i, 0);
	struct watched w = { 0 };
	int p[2];

	signal(SIGPIPE, SIG_IGN);
	rig_pipe(p);
	watch(l, &w, p[0], POLLIN);
	rig_settle(l);
	loop_fd_del(l, &w.lf);
	close(p[0]);
	rig_settle(l);
	ck_assert_int_eq(write(p[1], "x", 1), -1); /* the kernel holds no reader any more */
	ck_assert_int_eq(errno, EPIPE);
	loop_destroy(l);
	close(p[1]);
}
END_TEST

START_TEST(many_fds_come_and_go)
{
	enum { N = 100, ROUNDS = 20 };
	struct loop *l = rig_loop(_i, 0);
	static struct watched w[N];
	int p[N][2];

	for (int i = 0; i < N; i++)
		rig_pipe(p[i]);
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < N; i++) {
			w[i] = (struct watched){ .drain = true };
			watch(l, &w[i], p[i][0], POLLIN);
			if (i % 3 == 0) /* gone before the kernel ever heard of it */
				loop_fd_del(l, &w[i].lf);
		}
		if (round % 2)
			rig_settle(l);
		for (int i = 0; i < N; i++)
			ck_assert_int_eq(write(p[i][1], "x", 1), 1);
		for (int i = 0; i < N; i++) {
			char c;

			if (i % 3) {
				rig_turn_until(l, w[i].calls == 1);
				loop_fd_del(l, &w[i].lf);
			} else {
				ck_assert_int_eq(w[i].calls, 0);
				ck_assert_int_eq(read(p[i][0], &c, 1), 1);
			}
		}
	}
	loop_destroy(l);
	for (int i = 0; i < N; i++)
		rig_close(p[i]);
}
END_TEST

/* ---- doorbells ------------------------------------------------------------------ */

struct bell {
	struct loop_bell b;
	struct loop *l;
	bool leave; /* removed by its own callback */
};

static void on_rung(struct loop_bell *b)
{
	struct bell *bell = (struct bell *)b; /* b is the first member */

	if (bell->leave)
		loop_bell_del(bell->l, b);
}

static void hang_bell(struct loop *l, struct bell *b)
{
	b->l = l;
	b->b.fd = rig_eventfd();
	b->b.rung = on_rung;
	ck_assert_int_eq(loop_bell_add(l, &b->b), 0);
}

START_TEST(each_ring_wakes)
{
	struct loop *l = rig_loop(_i, 0);
	struct bell b = { 0 };

	hang_bell(l, &b);
	rig_settle(l);
	ck_assert_uint_eq(b.b.rings, 0);
	for (uint64_t i = 1; i <= 200; i++) { /* nobody ever reads the counter */
		rig_ring(b.b.fd);
		rig_turn_until(l, b.b.rings >= i);
		rig_settle(l);
		ck_assert_uint_eq(b.b.rings, i);
	}
	loop_bell_del(l, &b.b);
	loop_destroy(l);
	close(b.b.fd);
}
END_TEST

START_TEST(rings_are_coalesced_not_lost)
{
	struct loop *l = rig_loop(_i, 0);
	struct bell b = { 0 };

	hang_bell(l, &b);
	rig_settle(l);
	for (int i = 0; i < 1000; i++)
		rig_ring(b.b.fd);
	rig_turn_until(l, b.b.rings >= 1);
	rig_settle(l);
	ck_assert_uint_le(b.b.rings, 1000);
	loop_bell_del(l, &b.b);
	loop_destroy(l);
	close(b.b.fd);
}
END_TEST

START_TEST(bell_rung_before_it_was_added_rings)
{
	struct loop *l = rig_loop(_i, 0);
	struct bell b = { .b = { .fd = rig_eventfd(), .rung = on_rung }, .l = l };

	rig_ring(b.b.fd);
	ck_assert_int_eq(loop_bell_add(l, &b.b), 0);
	rig_turn_until(l, b.b.rings == 1);
	loop_bell_del(l, &b.b);
	loop_destroy(l);
	close(b.b.fd);
}
END_TEST

START_TEST(bell_moves_between_loops)
{
	struct loop *l1 = rig_loop(_i, 0), *l2 = rig_loop(!_i, 0);
	struct bell b = { 0 };

	hang_bell(l1, &b);
	rig_ring(b.b.fd);
	rig_turn_until(l1, b.b.rings == 1);
	loop_bell_del(l1, &b.b);
	b.l = l2;
	ck_assert_int_eq(loop_bell_add(l2, &b.b), 0);
	rig_settle(l2);
	b.b.rings = 0;
	rig_ring(b.b.fd);
	rig_settle(l1);
	rig_turn_until(l2, b.b.rings == 1);
	loop_bell_del(l2, &b.b);
	loop_destroy(l1);
	loop_destroy(l2);
	close(b.b.fd);
}
END_TEST

START_TEST(bell_may_remove_itself)
{
	struct loop *l = rig_loop(_i, 0);
	struct bell *b = calloc(1, sizeof(*b));
	int fd;

	hang_bell(l, b);
	b->leave = true;
	fd = b->b.fd;
	rig_ring(fd);
	rig_turn_until(l, b->b.rings == 1);
	free(b);
	rig_ring(fd);
	rig_settle(l);
	loop_destroy(l);
	close(fd);
}
END_TEST

START_TEST(full_counter_does_not_stop_the_bell)
{
	struct loop *l = rig_loop(_i, 0);
	const uint64_t full = UINT64_MAX - 1;
	struct bell b = { 0 };

	hang_bell(l, &b);
	ck_assert_int_eq(write(b.b.fd, &full, sizeof(full)), sizeof(full));
	rig_turn_until(l, b.b.rings >= 1);
	rig_settle(l); /* no storm of events either */
	loop_bell_del(l, &b.b);
	loop_destroy(l);
	close(b.b.fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base/loop: fds and bells");
	TCase *tc = tcase_create("fd"), *tb = tcase_create("bell");

	tcase_set_timeout(tc, 20);
	tcase_add_loop_test(tc, fd_is_level_triggered, 0, NR_ENGINES);
	tcase_add_loop_test(tc, fd_that_was_ready_before_is_reported, 0, NR_ENGINES);
	tcase_add_loop_test(tc, fd_events_can_be_changed, 0, NR_ENGINES);
	tcase_add_loop_test(tc, hang_up_is_reported, 0, NR_ENGINES);
	tcase_add_loop_test(tc, fds_that_cannot_be_polled_are_refused, 0, NR_ENGINES);
	tcase_add_loop_test(tc, callback_may_remove_itself, 0, NR_ENGINES);
	tcase_add_loop_test(tc, removed_fd_is_silent_even_if_its_event_is_here, 0, NR_ENGINES);
	tcase_add_loop_test(tc, removed_fd_is_let_go, 0, NR_ENGINES);
	tcase_add_loop_test(tc, many_fds_come_and_go, 0, NR_ENGINES);
	suite_add_tcase(s, tc);

	tcase_set_timeout(tb, 20);
	tcase_add_loop_test(tb, each_ring_wakes, 0, NR_ENGINES);
	tcase_add_loop_test(tb, rings_are_coalesced_not_lost, 0, NR_ENGINES);
	tcase_add_loop_test(tb, bell_rung_before_it_was_added_rings, 0, NR_ENGINES);
	tcase_add_loop_test(tb, bell_moves_between_loops, 0, NR_ENGINES);
	tcase_add_loop_test(tb, bell_may_remove_itself, 0, NR_ENGINES);
	tcase_add_loop_test(tb, full_counter_does_not_stop_the_bell, 0, NR_ENGINES);
	suite_add_tcase(s, tb);
	return rig_main(s);
}
