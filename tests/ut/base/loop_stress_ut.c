/* SPDX-License-Identifier: MIT */
/*
 * Loops, both engines, against other threads: no wake-up may get lost. Each case makes
 * a round trip thousands of times with a varying pause, so that the event falls before,
 * into and after the moment in which the loop goes to sleep. A lost wake-up is a case
 * that never ends; the time limit reports it.
 */
#include "base/compiler.h"
#include "tests/ut/base/loop_rig.h"

#ifdef HVBUS_TSAN
#define ROUNDS 1000
#else
#define ROUNDS 4000
#endif

/* A few hundred nanoseconds to a few microseconds, never the same twice. */
static void vary(uint32_t round)
{
	uint32_t n = round * 2654435761u >> 24;

	if (n > 250) { /* now and then long enough for the other side to be fast asleep */
		uint64_t until = clock_ns() + 80000;

		while (clock_ns() < until)
			cpu_relax();
		return;
	}
	while (n--)
		cpu_relax();
}

struct side {
	struct loop *l;
	struct loop_bell bell;
	struct loop_call call;
	uint32_t done;	 /* written by the loop's thread */
	uint32_t posted; /* written by the other */
	int fd;
};

/*
 * A poller that is slow to arm: it stretches the time between the loop's last look and
 * its sleep, the moment in which a wake-up could get lost.
 */
static bool dawdle_poll(struct loop_poller *p)
{
	(void)p;
	return false;
}

static bool dawdle_arm(struct loop_poller *p)
{
	static uint32_t round; /* loop's thread only */

	(void)p;
	vary(round++ & 0x7f);
	return true;
}

static void dawdle_disarm(struct loop_poller *p)
{
	(void)p;
}

static struct loop_poller dawdler = {
	.poll = dawdle_poll,
	.arm = dawdle_arm,
	.disarm = dawdle_disarm,
};

static const int32_t spins[] = { 0, 50 };
#define NR_CASES (NR_ENGINES * 2)

static struct loop *case_loop(int i)
{
	return rig_loop(i / 2, spins[i % 2]);
}

static void await(const uint32_t *word, uint32_t value)
{
	while (load_acquire(word) != value)
		cpu_relax();
}

/* ---- posted calls ------------------------------------------------------------------ */

static void count_call(struct loop_call *c)
{
	struct side *s = container_of(c, struct side, call);

	store_release(&s->done, s->done + 1);
}

static void *post_rounds(void *arg)
{
	struct side *s = arg;

	for (uint32_t i = 1; i <= ROUNDS; i++) {
		loop_post(s->l, &s->call);
		await(&s->done, i);
		vary(i);
	}
	loop_stop(s->l);
	return NULL;
}

START_TEST(no_posted_call_is_lost)
{
	struct side s = { .l = case_loop(_i), .call.fn = count_call };
	pthread_t t;

	loop_poller_add(s.l, &dawdler);
	ck_assert_int_eq(pthread_create(&t, NULL, post_rounds, &s), 0);
	ck_assert_int_eq(loop_run(s.l), 0);
	pthread_join(t, NULL);
	loop_poller_del(s.l, &dawdler);
	ck_assert_uint_eq(s.done, ROUNDS);
	loop_destroy(s.l);
}
END_TEST

/* ---- doorbells ---------------------------------------------------------------------- */

static void count_ring(struct loop_bell *b)
{
	struct side *s = container_of(b, struct side, bell);

	store_release(&s->done, load_acquire(&s->posted));
}

static void *ring_rounds(void *arg)
{
	struct side *s = arg;

	for (uint32_t i = 1; i <= ROUNDS; i++) {
		store_release(&s->posted, i);
		rig_ring(s->bell.fd);
		await(&s->done, i);
		vary(i);
	}
	loop_stop(s->l);
	return NULL;
}

START_TEST(no_ring_is_lost)
{
	struct side s = { .l = case_loop(_i), .bell.rung = count_ring };
	pthread_t t;

	s.bell.fd = rig_eventfd();
	ck_assert_int_eq(loop_bell_add(s.l, &s.bell), 0);
	loop_poller_add(s.l, &dawdler);
	ck_assert_int_eq(pthread_create(&t, NULL, ring_rounds, &s), 0);
	ck_assert_int_eq(loop_run(s.l), 0);
	pthread_join(t, NULL);
	loop_poller_del(s.l, &dawdler);
	ck_assert_uint_eq(s.done, ROUNDS);
	loop_bell_del(s.l, &s.bell);
	loop_destroy(s.l);
	close(s.bell.fd);
}
END_TEST

/* ---- the VMBus pattern: shared index, mask, doorbell --------------------------------- */

/*
 * A producer writes an index and rings only when the consumer's mask is off. The
 * consumer polls; when nothing is there it unmasks, looks once more, and takes itself
 * off the loop: the doorbell puts it back.
 */
struct ring {
	uint32_t write_index; /* producer's */
	uint32_t mask;	      /* consumer's */
	struct loop *l;
	struct loop_bell bell;
	struct loop_poller poller;
	bool polled;
	uint32_t read_index;
	uint32_t seen; /* published for the producer */
	uint64_t rang; /* by the producer */
};

static bool ring_poll(struct loop_poller *p)
{
	struct ring *r = container_of(p, struct ring, poller);
	uint32_t w = load_acquire(&r->write_index); /* pairs with the producer's release */

	if (r->read_index == w)
		return false;
	r->read_index = w;
	store_release(&r->seen, w);
	if (w == 2 * ROUNDS)
		loop_stop(r->l);
	return true;
}

static bool ring_arm(struct loop_poller *p)
{
	struct ring *r = container_of(p, struct ring, poller);

	store_relaxed(&r->mask, 0);
	full_fence(); /* pairs with the producer's: mask off before the last look */
	if (load_acquire(&r->write_index) != r->read_index)
		return false;
	loop_poller_del(r->l, p);
	r->polled = false;
	return true;
}

static void ring_disarm(struct loop_poller *p)
{
	store_relaxed(&container_of(p, struct ring, poller)->mask, 1);
}

static void ring_rung(struct loop_bell *b)
{
	struct ring *r = container_of(b, struct ring, bell);

	if (r->polled)
		return;
	r->polled = true;
	store_relaxed(&r->mask, 1);
	loop_poller_add(r->l, &r->poller);
}

static void *produce(void *arg)
{
	struct ring *r = arg;

	for (uint32_t i = 1; i <= 2 * ROUNDS; i++) {
		store_release(&r->write_index, i);
		full_fence(); /* pairs with ring_arm(): index out before the mask is read */
		if (!load_relaxed(&r->mask)) {
			rig_ring(r->bell.fd);
			r->rang++;
		}
		if (i % 3 == 0) /* bursts of three */
			await(&r->seen, i);
		vary(i);
	}
	return NULL;
}

START_TEST(masked_doorbell_loses_nothing)
{
	struct ring r = {
		.l = case_loop(_i),
		.bell = { .fd = rig_eventfd(), .rung = ring_rung },
		.poller = { .poll = ring_poll, .arm = ring_arm, .disarm = ring_disarm },
	};
	pthread_t t;

	ck_assert_int_eq(loop_bell_add(r.l, &r.bell), 0);
	ck_assert_int_eq(pthread_create(&t, NULL, produce, &r), 0);
	ck_assert_int_eq(loop_run(r.l), 0);
	pthread_join(t, NULL);
	ck_assert_uint_eq(r.read_index, 2 * ROUNDS);
	ck_assert_uint_gt(r.rang, 0);
	if (r.polled)
		loop_poller_del(r.l, &r.poller);
	loop_bell_del(r.l, &r.bell);
	loop_destroy(r.l);
	close(r.bell.fd);
}
END_TEST

/* ---- churn: objects come and go while somebody rings ------------------------------------ */

static void *ring_for_ever(void *arg)
{
	struct side *s = arg;

	while (!load_acquire(&s->done)) {
		rig_ring(s->fd);
		vary(s->posted++);
	}
	return NULL;
}

static void on_churn(struct loop_bell *b)
{
	ck_assert_uint_ne(b->rings, 0);
}

START_TEST(bells_can_be_freed_while_they_ring)
{
	struct side s = { .l = case_loop(_i), .fd = rig_eventfd() };
	pthread_t t;

	ck_assert_int_eq(pthread_create(&t, NULL, ring_for_ever, &s), 0);
	for (int i = 0; i < ROUNDS / 4; i++) {
		struct loop_bell *b = malloc(sizeof(*b));

		*b = (struct loop_bell){ .fd = s.fd, .rung = on_churn };
		ck_assert_int_eq(loop_bell_add(s.l, b), 0);
		if (i % 4)
			rig_turn_until(s.l, b->rings);
		loop_bell_del(s.l, b);
		memset(b, 0, sizeof(*b)); /* called now, it would jump to NULL */
		free(b);
	}
	store_release(&s.done, 1);
	pthread_join(t, NULL);
	loop_destroy(s.l);
	close(s.fd);
}
END_TEST

/* Two loops post to each other, so that each one's sleep ends by the other's call. */
struct player {
	struct loop *l;
	struct loop_call call;
	struct player *other;
	uint32_t left;
	int engine;
	uint32_t ready, quit;
};

static void on_ball(struct loop_call *c)
{
	struct player *p = container_of(c, struct player, call);

	if (!p->left--) {
		loop_stop(p->l);
		loop_stop(p->other->l);
		return;
	}
	loop_post(p->other->l, &p->other->call);
}

static void *play(void *arg)
{
	struct player *p = arg;

	p->l = rig_loop(p->engine, 0);
	store_release(&p->ready, 1);
	ck_assert_int_eq(loop_run(p->l), 0);
	await(&p->quit, 1); /* the other may still be inside loop_stop() */
	loop_destroy(p->l);
	return NULL;
}

START_TEST(loops_of_both_engines_wake_each_other)
{
	struct player a = { .call.fn = on_ball, .left = ROUNDS, .engine = 0 };
	struct player b = { .call.fn = on_ball, .left = ROUNDS, .engine = 1, .other = &a };
	pthread_t t;

	a.other = &b;
	ck_assert_int_eq(pthread_create(&t, NULL, play, &a), 0);
	b.l = rig_loop(1, 0);
	await(&a.ready, 1);
	loop_post(a.l, &a.call);
	ck_assert_int_eq(loop_run(b.l), 0);
	store_release(&a.quit, 1);
	pthread_join(t, NULL);
	loop_destroy(b.l);
}
END_TEST

/* ---- the usual end: told to stop, the thread destroys its loop at once ----------------- */

struct mortal {
	int engine;
	struct loop *l; /* published by its thread */
};

static void *live_and_die(void *arg)
{
	struct mortal *m = arg;
	struct loop *l = rig_loop(m->engine, 0);

	store_release(&m->l, l);
	ck_assert_int_eq(loop_run(l), 0);
	loop_destroy(l); /* while loop_stop() may not have returned yet */
	return NULL;
}

START_TEST(stopped_loop_may_go_at_once)
{
	for (int i = 0; i < ROUNDS / 40; i++) {
		struct mortal m = { .engine = i % NR_ENGINES };
		pthread_t t;

		ck_assert_int_eq(pthread_create(&t, NULL, live_and_die, &m), 0);
		while (!load_acquire(&m.l))
			cpu_relax();
		vary((uint32_t)i);
		loop_stop(m.l);
		pthread_join(t, NULL);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("base/loop: stress");
	TCase *tc = tcase_create("stress");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, no_posted_call_is_lost, 0, NR_CASES);
	tcase_add_loop_test(tc, no_ring_is_lost, 0, NR_CASES);
	tcase_add_loop_test(tc, masked_doorbell_loses_nothing, 0, NR_CASES);
	tcase_add_loop_test(tc, bells_can_be_freed_while_they_ring, 0, NR_CASES);
	tcase_add_test(tc, loops_of_both_engines_wake_each_other);
	tcase_add_test(tc, stopped_loop_may_go_at_once);
	suite_add_tcase(s, tc);
	return rig_main(s);
}
