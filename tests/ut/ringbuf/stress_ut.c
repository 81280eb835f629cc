/* SPDX-License-Identifier: MIT */
/*
 * Two sides at full speed over the smallest rings there are, asleep whenever the protocol
 * lets them: random sizes, checksums, data and space signals through one doorbell each,
 * as a channel has them. A lost wake-up shows as a sleep that nobody ends. Once as two
 * processes, once as two threads (for the thread sanitizer), and both again with a third
 * party that scribbles on the words a peer may scribble on (cases R24, R27, R33).
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

#include "tests/ut/ringbuf/ring_rig.h"

#define LOST_MS	  5000 /* a doorbell that takes this long is one that was forgotten */
#define NUDGE_MS  2    /* with a scribbler: the peer's fault, so look again by ourselves */
#define MAX_WORDS 220u

/* One side of a full-duplex channel. */
struct side {
	struct vmring_out out;
	struct vmring_in in;
	int bell, peer_bell; /* eventfds: who wakes us, whom we wake */
	bool scribbled;	     /* somebody interferes with masks and wishes */
	uint64_t seed, packets;
	uint64_t sent, got, sleeps, nudges;
	const char *error;
};

struct channel {
	struct rig ring[2]; /* mapped shared; [0] written by side 0 */
	struct side side[2];
};

static uint32_t rnd(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return (uint32_t)(*state >> 24);
}

/* ---- payloads that prove themselves ------------------------------------------------------ */

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 31) * 0x7fb5d329728ea185;
	return x ^ x >> 27;
}

static uint32_t words_of(uint64_t seq)
{
	uint32_t r = (uint32_t)mix(seq + 1);

	return r % 16 ? r % 12 : r % MAX_WORDS; /* mostly small, now and then half a ring */
}

static void fill(uint64_t *payload, uint64_t seq, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		payload[i] = mix(seq << 8 | i);
}

static bool intact(const struct vmpkt *p, uint64_t seq)
{
	uint32_t n = words_of(seq);
	uint64_t w;

	if (p->type != VMPKT_INBAND || p->trans_id != seq || p->payload_len != n * 8)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		memcpy(&w, p->payload + i * 8, sizeof(w));
		if (w != mix(seq << 8 | i))
			return false;
	}
	return true;
}

/* ---- one side ------------------------------------------------------------------------------- */

static void ring_bell(struct side *s)
{
	uint64_t one = 1;

	if (write(s->peer_bell, &one, sizeof(one)) != sizeof(one))
		s->error = "eventfd write";
}

/* Sends up to @burst packets; true when the ring was full before. */
static bool send_some(struct side *s, uint32_t burst)
{
	uint64_t payload[MAX_WORDS];
	bool full = false;

	for (; burst && !full && s->sent < s->packets; burst--) {
		uint32_t n = words_of(s->sent);
		int err;

		fill(payload, s->sent, n);
		err = vmpkt_put_inband(&s->out, 0, s->sent, payload, n * 8);
		if (err && err != -EAGAIN)
			s->error = vmring_fault_name(s->out.why);
		full = err != 0;
		s->sent += !err;
	}
	if (vmring_out_commit(&s->out))
		ring_bell(s);
	return full;
}

static void receive_some(struct side *s, uint32_t burst)
{
	uint64_t copy[MAX_WORDS + 2];
	struct vmpkt_desc d;
	const uint8_t *pkt;
	struct vmpkt p;

	while (burst-- && !s->error) {
		int err = vmring_in_peek(&s->in, &d, &pkt);

		if (err == -EAGAIN)
			return;
		if (err || d.len8 * 8u > sizeof(copy)) {
			s->error = err ? vmring_fault_name(s->in.why) : "packet too long";
			return;
		}
		vmring_copy(copy, pkt, d.len8 * 8u);
		if (vmpkt_decode(&p, copy, &d, NULL) || !intact(&p, s->got))
			s->error = "packet lost, repeated or damaged";
		vmring_in_pop(&s->in, &d);
		s->got++;
		if (vmring_in_commit_lazy(&s->in))
			ring_bell(s);
	}
}

static void await_bell(struct side *s)
{
	struct pollfd p = { .fd = s->bell, .events = POLLIN };
	uint64_t n;
	int err = poll(&p, 1, s->scribbled ? NUDGE_MS : LOST_MS);

	s->sleeps++;
	if (err == 0 && !s->scribbled)
		s->error = "wake-up lost";
	else if (err == 0)
		s->nudges++;
	else if (err < 0 || read(s->bell, &n, sizeof(n)) != sizeof(n))
		s->error = "eventfd read";
}

/* Nothing to do right now: sleep, unless one of the two rings says otherwise. */
static void rest(struct side *s, bool blocked)
{
	uint32_t len = 16 + words_of(s->sent) * 8;
	bool awake;

	if (vmring_in_commit(&s->in))
		ring_bell(s);
	awake = vmring_in_unmask(&s->in);
	if (blocked && !vmring_out_want_space(&s->out, len))
		awake = true;
	else if (!blocked && s->sent < s->packets)
		awake = true;
	if (!awake)
		await_bell(s);
	if (rnd(&s->seed) % 2)
		vmring_in_mask(&s->in);
}

static bool finished(const struct side *s)
{
	return s->error || (s->sent == s->packets && s->got == s->packets);
}

static void run_side(struct side *s)
{
	while (!finished(s)) {
		bool blocked = send_some(s, 1 + rnd(&s->seed) % 8);

		receive_some(s, 1 + rnd(&s->seed) % 16);
		if (rnd(&s->seed) % 64 == 0)
			sched_yield();
		if (!vmring_in_pending(&s->in) && !finished(s))
			rest(s, blocked);
	}
	/* The peer may be waiting for the room that our last packets take up. */
	if (vmring_in_commit(&s->in))
		ring_bell(s);
}

/* ---- the stage ---------------------------------------------------------------------------- */

static void channel_init(struct channel *c, uint64_t packets, bool scribbled)
{
	int bell[2];

	for (int i = 0; i < 2; i++) {
		rig_init(&c->ring[i], SMALL, 0xe00, ACCEPT_ALL);
		bell[i] = eventfd(0, 0);
		ck_assert_int_ge(bell[i], 0);
	}
	for (int i = 0; i < 2; i++) {
		c->side[i] = (struct side){ .out = c->ring[i].out,
					    .in = c->ring[!i].in,
					    .bell = bell[i],
					    .peer_bell = bell[!i],
					    .scribbled = scribbled,
					    .seed = 0x9e3779b97f4a7c15ull + (uint64_t)i,
					    .packets = packets };
	}
}

static void channel_fini(struct channel *c)
{
	for (int i = 0; i < 2; i++) {
		rig_fini(&c->ring[i]);
		close(c->side[i].bell);
	}
}

static void expect_done(const struct side *s)
{
	ck_assert_msg(!s->error, "%s after %lu sent, %lu received", s->error,
		      (unsigned long)s->sent, (unsigned long)s->got);
	ck_assert_uint_eq(s->sent, s->packets);
	ck_assert_uint_eq(s->got, s->packets);
	ck_assert_uint_gt(s->sleeps, 10); /* or nothing was proved */
	ck_assert_uint_le(s->out.signals, s->out.publications);
	ck_assert_uint_le(s->in.signals, s->in.publications);
}

static void *thread_side(void *arg)
{
	run_side(arg);
	return NULL;
}

#if defined(HVBUS_TSAN)
#define PACKETS 30000u
#elif defined(__SANITIZE_ADDRESS__)
#define PACKETS 60000u
#else
#define PACKETS 150000u
#endif

START_TEST(two_threads)
{
	pthread_t t[2];
	struct channel c;

	channel_init(&c, PACKETS, false);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, thread_side, &c.side[i]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < 2; i++)
		expect_done(&c.side[i]);
	channel_fini(&c);
}
END_TEST

START_TEST(two_processes)
{
	struct channel c;
	int status;
	pid_t pid;

	channel_init(&c, PACKETS, false);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		run_side(&c.side[1]);
		if (c.side[1].error)
			fprintf(stderr, "second process: %s\n", c.side[1].error);
		_exit(c.side[1].error || c.side[1].sleeps <= 10);
	}
	run_side(&c.side[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	expect_done(&c.side[0]);
	channel_fini(&c);
}
END_TEST

/* ---- a third party ----------------------------------------------------------------------------
 */

struct scribbler {
	struct channel *c;
	bool stop;
};

/* The words that either peer may set to anything at any time: masks, wishes, features. */
static void *scribble_signals(void *arg)
{
	struct scribbler *s = arg;
	uint64_t seed = 4711;

	while (!load_relaxed(&s->stop)) {
		struct vmring_ctrl *ctrl = s->c->ring[rnd(&seed) % 2].ctrl;
		uint32_t v = rnd(&seed) % 3 ? rnd(&seed) % 5000 : rnd(&seed) << 8;

		switch (rnd(&seed) % 3) {
		case 0:
			store_relaxed(&ctrl->interrupt_mask, rnd(&seed) % 2);
			break;
		case 1:
			store_relaxed(&ctrl->pending_send_sz, rnd(&seed) % 2 ? v : 0);
			break;
		default:
			store_relaxed(&ctrl->feature_bits, v);
		}
	}
	return NULL;
}

/* Everything still arrives, once and whole; both sides only have to look now and then. */
START_TEST(test_R24_R27_signal_words_flipped_at_full_speed)
{
	struct scribbler s;
	pthread_t t[3];
	struct channel c;

	channel_init(&c, PACKETS / 4, true);
	s = (struct scribbler){ .c = &c };
	ck_assert_int_eq(pthread_create(&t[2], NULL, scribble_signals, &s), 0);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, thread_side, &c.side[i]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	store_relaxed(&s.stop, true);
	pthread_join(t[2], NULL);
	for (int i = 0; i < 2; i++) {
		ck_assert_msg(!c.side[i].error, "%s", c.side[i].error);
		ck_assert_uint_eq(c.side[i].got, c.side[i].packets);
		ck_assert_uint_le(c.side[i].in.signals, c.side[i].in.publications);
		ck_assert_uint_le(c.side[i].out.signals, c.side[i].out.publications);
	}
	channel_fini(&c);
}
END_TEST

/* Descriptors and indices as well, as words that a reader takes whole. */
static void *scribble_everything(void *arg)
{
	struct scribbler *s = arg;
	struct rig *r = &s->c->ring[0];
	uint64_t seed = 815;

	while (!load_relaxed(&s->stop)) {
		vmring_word *data = (vmring_word *)r->data;
		uint64_t head = 6 | 2ull << 16 | (uint64_t)(rnd(&seed) % 32) << 32;

		if (rnd(&seed) % 16 == 0)
			head = (uint64_t)rnd(&seed) << 32 | rnd(&seed);
		store_relaxed(&data[rnd(&seed) % (SMALL / 8)], head);
		if (rnd(&seed) % 4 == 0)
			store_relaxed(&r->ctrl->read_index, rnd(&seed) % (2 * SMALL) & ~7u);
		if (rnd(&seed) % 4 == 0)
			store_release(&r->ctrl->write_index, rnd(&seed) % (SMALL + 64) & ~7u);
	}
	return NULL;
}

/* A reader under fire: packets or a fault, but never outside what it was shown. */
static void read_under_fire(struct rig *r, uint64_t *copy)
{
	struct vmpkt_desc d;
	const uint8_t *pkt;
	struct vmpkt p;

	for (int i = 0; i < 64; i++) {
		uint32_t avail_before = r->in.avail;
		int err = vmring_in_peek(&r->in, &d, &pkt);

		if (err)
			break;
		must(pkt >= r->data && pkt < r->data + r->size);
		must(d.len8 * 8u + VMPKT_TRAILER <= r->in.avail);
		must(d.offset8 >= 2 && d.offset8 <= d.len8);
		must(avail_before == 0 || r->in.avail == avail_before);
		for (uint32_t w = 0; w < d.len8; w++) /* by words: the scribbler's are atomic */
			copy[w] = load_relaxed((const vmring_word *)pkt + w);
		if (!vmpkt_decode(&p, copy, &d, NULL))
			must(p.payload + p.payload_len == (uint8_t *)(copy + d.len8));
		vmring_in_pop(&r->in, &d);
	}
	vmring_in_commit(&r->in);
	vmring_in_unmask(&r->in);
}

/* A writer under fire: never more than a ring, never an index that is not its own. */
static void write_under_fire(struct rig *r)
{
	for (int i = 0; i < 64; i++) {
		uint32_t room = vmring_out_free(&r->out);
		void *pkt;

		must(room <= r->size - 8);
		if (vmring_out_reserve(&r->out, 64, &pkt)) {
			vmring_out_want_space(&r->out, 64);
			continue;
		}
		must((uint8_t *)pkt == r->data + r->out.next);
		vmring_out_push(&r->out, 64);
		vmring_out_commit(&r->out);
		must(r->out.next < r->size && r->out.next % 8 == 0);
	}
}

#define MOST_ROUNDS 20000000u

START_TEST(test_R16_everything_flipped_at_full_speed)
{
	uint64_t copy[SMALL / 8 + 1];
	struct scribbler s;
	struct channel c;
	pthread_t t;
	int faults[2] = { 0 };

	channel_init(&c, 0, true);
	s = (struct scribbler){ .c = &c };
	ck_assert_int_eq(pthread_create(&t, NULL, scribble_everything, &s), 0);
	/* Where both share a processor, the first rounds are over before the other thread runs. */
	for (uint32_t round = 0; round < 20000 || (faults[0] <= 100 && round < MOST_ROUNDS);
	     round++) {
		struct rig *r = &c.ring[0];

		if (!vmring_in_init(&r->in, r->ctrl, r->data, SMALL, ACCEPT_ALL))
			read_under_fire(r, copy);
		faults[0] += r->in.why != VMRING_OK;
		r = &c.ring[1];
		store_relaxed(&r->ctrl->read_index, round * 8 % (SMALL + 64));
		store_relaxed(&r->ctrl->write_index, round * 24 % SMALL);
		if (!vmring_out_init(&r->out, r->ctrl, r->data, SMALL)) {
			store_relaxed(&r->ctrl->read_index, rnd(&c.side[0].seed) % SMALL);
			write_under_fire(r);
			faults[1] += r->out.why != VMRING_OK;
		}
	}
	store_relaxed(&s.stop, true);
	pthread_join(t, NULL);
	ck_assert_int_gt(faults[0], 100);
	ck_assert_int_gt(faults[1], 100);
	channel_fini(&c);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ring: stress");
	TCase *tc = tcase_create("stress");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, two_threads);
	tcase_add_test(tc, two_processes);
	tcase_add_test(tc, test_R24_R27_signal_words_flipped_at_full_speed);
	tcase_add_test(tc, test_R16_everything_flipped_at_full_speed);
	suite_add_tcase(s, tc);
	return rig_run(s);
}
