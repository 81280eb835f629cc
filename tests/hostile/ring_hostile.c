/* SPDX-License-Identifier: MIT */
/*
 * A guest that breaks its rings (hostile cases R), whole stack: rings written by hand against
 * a real root that serves storage. The tables' rows are tests of their own.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "tests/hostile/fixture.h"

#define MS 1000000ull

static struct evil_guest g;

/* ---- the index we own ------------------------------------------------------------------ */

struct index_case {
	bool relative; /* to where the last packet ended */
	uint32_t value;
	const char *fault;
};

#define BAD_WRITE "write index out of range"
#define BAD_READ  "read index out of range"

#define INDEX_CASES(X)                                                                             \
	X(r01_write_index_past_the_end, false, EVIL_RING_SIZE, BAD_WRITE)                          \
	X(r02_write_index_all_ones, false, UINT32_MAX, BAD_WRITE)                                  \
	X(r03_write_index_unaligned, true, 12, BAD_WRITE)                                          \
	X(r08_write_index_moves_backwards, true, (uint32_t)-24, NULL)                              \
	X(r09_less_than_a_descriptor, true, 8, "less than a packet descriptor published")

static void run_index(const struct index_case *c)
{
	struct proof p = { .fault = c->fault ? c->fault : "" };

	hostile_begin(&g, EVIL_READY);
	evil_publish(&g, c->value + (c->relative ? g.out.next : 0));
	hostile_end(&g, &p);
}

/* ---- descriptors ---------------------------------------------------------------------------- */

struct desc_case {
	uint16_t type, offset8, len8, flags;
	uint32_t published;
	const char *fault;
};

#define BAD_LEN	   "packet length out of bounds"
#define BAD_OFFSET "payload offset outside the packet"
#define BAD_TYPE   "packet type not allowed"
#define BAD_FLAGS  "unknown packet flags"

#define DESC_CASES(X)                                                                              \
	X(r10_longer_than_published, 6, 2, 8, 0, 64, BAD_LEN)                                      \
	X(r10_trailer_not_published, 6, 2, 4, 0, 32, BAD_LEN)                                      \
	X(r11_length_zero, 6, 2, 0, 0, 64, BAD_LEN)                                                \
	X(r12_length_one, 6, 2, 1, 0, 64, BAD_LEN)                                                 \
	X(r13_payload_at_zero, 6, 0, 3, 0, 64, BAD_OFFSET)                                         \
	X(r13_payload_at_one, 6, 1, 3, 0, 64, BAD_OFFSET)                                          \
	X(r14_payload_behind_the_end, 6, 4, 3, 0, 64, BAD_OFFSET)                                  \
	X(r15_length_of_the_maximum, 6, 2, 0xffff, 0, 4088, BAD_LEN)                               \
	X(r20_type_zero, 0, 2, 3, 0, 64, BAD_TYPE)                                                 \
	X(r20_type_one, 1, 2, 3, 0, 64, BAD_TYPE)                                                  \
	X(r20_type_twelve, 0xc, 2, 3, 0, 64, BAD_TYPE)                                             \
	X(r20_type_all_ones, 0xffff, 2, 3, 0, 64, BAD_TYPE)                                        \
	X(r20_transfer_pages_from_a_guest, 7, 3, 3, 0, 64, BAD_TYPE)                               \
	X(r21_flag_bit_one, 6, 2, 3, 2, 64, BAD_FLAGS)                                             \
	X(r21_all_flags, 6, 2, 3, 0xffff, 64, BAD_FLAGS)

static void run_desc(const struct desc_case *c)
{
	struct vmpkt_desc d = { c->type, c->offset8, c->len8, c->flags, 1 };
	struct proof p = { .fault = c->fault };

	hostile_begin(&g, EVIL_READY);
	evil_ring_put(&g.out, g.out.next, &d, sizeof(d));
	evil_publish(&g, (g.out.next + c->published) % EVIL_RING_SIZE);
	hostile_end(&g, &p);
}

/* ---- the index the root writes against ---------------------------------------------------------
 */

/* Requests whose answers nobody reads, until the root takes no more. */
static void flood_without_reading(void)
{
	struct vstor_packet p = evil_tur();
	uint64_t idle_since = clock_ns();

	while (clock_ns() < idle_since + 100 * MS) {
		if (evil_out_free(&g) < 24 + VSTOR_PACKET) {
			usleep(100);
			continue;
		}
		evil_vstor(&g, 1, &p);
		idle_since = clock_ns();
	}
}

struct read_case {
	bool relative; /* to what the root wrote */
	uint32_t value;
	const char *fault; /* NULL: it may also take it for a full ring */
};

#define READ_CASES(X)                                                                              \
	X(r05_read_index_past_the_end, false, EVIL_RING_SIZE, BAD_READ)                            \
	X(r05_read_index_all_ones, false, UINT32_MAX, BAD_READ)                                    \
	X(r06_read_index_ahead_of_what_was_written, true, 4096, BAD_READ)                          \
	X(r07_read_index_moves_backwards, true, (uint32_t)-440, NULL)

static void run_read(const struct read_case *c)
{
	struct proof p = { .fault = c->fault, .lost = !c->fault };
	struct evil_packet a;

	hostile_begin(&g, EVIL_READY);
	for (int i = 0; i < 8; i++)
		a = evil_vstor_call(&g, &(struct vstor_packet){ .operation = 99 });
	ck_assert_uint_eq(a.p.status, VSTOR_STATUS_INVALID_DEVICE_REQUEST);
	store_release(&g.in.ctrl->read_index, c->value + (c->relative ? g.in.next : 0));
	flood_without_reading();
	hostile_end(&g, &p);
}

/* ---- things that harm nobody
 * --------------------------------------------------------------------- */

static void expect_answers(int n)
{
	struct vstor_packet p = evil_tur();

	while (n--)
		ck_assert_uint_eq(evil_vstor_call(&g, &p).p.srb.srb_status, VSTOR_SRB_SUCCESS);
}

START_TEST(r04_the_roots_own_read_index_overwritten)
{
	hostile_begin(&g, EVIL_READY);
	for (int i = 0; i < 10; i++) {
		store_release(&g.out.ctrl->read_index, 0x7ffffff8u);
		expect_answers(1);
	}
	hostile_end(&g, NULL);
}
END_TEST

START_TEST(r18_wrapping_at_every_position)
{
	struct vstor_packet p = { .operation = 99 };
	uint8_t seen[EVIL_RING_SIZE / 8] = { 0 };
	struct evil_packet a;
	uint32_t i, sent = 0, got = 0, all = 0;

	hostile_begin(&g, EVIL_READY);
	/* 88 bytes a packet are 11 words, which divides no power of two: every start comes up. */
	while (got < EVIL_RING_SIZE / 8) {
		for (; sent < EVIL_RING_SIZE / 8 && sent - got < 64; sent++) {
			seen[g.out.next / 8] = 1;
			evil_queue(&g, VMPKT_INBAND, 2, 1, sent, &p, VSTOR_PACKET);
		}
		evil_publish(&g, g.out.next);
		ck_assert(evil_recv(&g, &a, 10000));
		ck_assert_uint_eq(a.desc.trans_id, got);
		ck_assert_uint_eq(a.p.status, VSTOR_STATUS_INVALID_DEVICE_REQUEST);
		got++;
	}
	for (i = 0; i < ARRAY_SIZE(seen); i++)
		all += seen[i];
	ck_assert_uint_eq(all, EVIL_RING_SIZE / 8);
	hostile_end(&g, &(struct proof){ .rejected = true });
}
END_TEST

START_TEST(r19_trailer_of_garbage)
{
	struct vstor_packet p = evil_tur();
	struct evil_packet a;

	hostile_begin(&g, EVIL_READY);
	for (int i = 0; i < 10; i++) {
		evil_queue(&g, VMPKT_INBAND, 2, 1, 9, &p, VSTOR_PACKET);
		evil_ring_put(&g.out, g.out.next + EVIL_RING_SIZE - 8,
			      "\xee\xee\xee\xee\xff\xff\xff", 8);
		evil_publish(&g, g.out.next);
		ck_assert(evil_recv(&g, &a, 10000));
		ck_assert_uint_eq(a.p.srb.srb_status, VSTOR_SRB_SUCCESS);
	}
	hostile_end(&g, NULL);
}
END_TEST

/* What the root may still write before we read. */
static uint32_t in_free(void)
{
	uint32_t w = load_acquire(&g.in.ctrl->write_index);

	return EVIL_RING_SIZE - (w + EVIL_RING_SIZE - g.in.next) % EVIL_RING_SIZE;
}

/* Never equal indices, and after reading at last nothing is missing (P17, too). */
START_TEST(r22_completely_full_ring)
{
	struct evil_packet a;

	hostile_begin(&g, EVIL_READY);
	/* A root that does not read now may be waiting for a processor. */
	for (int i = 0; i < 50 && in_free() >= 1024 + 96; i++)
		flood_without_reading();
	ck_assert_uint_ne(load_acquire(&g.in.ctrl->write_index), g.in.next);
	ck_assert_uint_lt(in_free(), 1024 + 96);
	while (evil_recv(&g, &a, 300)) {
		ck_assert_uint_eq(a.p.srb.srb_status, VSTOR_SRB_SUCCESS);
		evil_ring_bell(&g);
	}
	ck_assert_uint_eq(evil_out_free(&g), EVIL_RING_SIZE - 8);
	expect_answers(1);
	hostile_end(&g, NULL);
}
END_TEST

START_TEST(r23_pending_size_beyond_the_ring)
{
	hostile_begin(&g, EVIL_READY);
	store_release(&g.out.ctrl->pending_send_sz, UINT32_MAX);
	expect_answers(100);
	hostile_end(&g, NULL);
}
END_TEST

/* Words that a peer may write, flipped at full speed while both rings are used. */
struct flip_case {
	bool in; /* the ring to the guest */
	uint32_t word, a, b;
};

#define FLIP_CASES(X)                                                                              \
	X(r24_pending_size_set_and_cleared, false, 3, 0, 4096)                                     \
	X(r27_interrupt_mask_flipped, true, 2, 0, 1)                                               \
	X(r28_mask_of_the_other_direction_flipped, false, 2, 0, 0x5050505u)                        \
	X(r25_feature_bits_flipped, true, 16, 0, UINT32_MAX)

static void run_flip(const struct flip_case *c)
{
	struct evil_racer r;

	hostile_begin(&g, EVIL_READY);
	evil_race(&r, (uint32_t *)(c->in ? g.in.ctrl : g.out.ctrl) + c->word, c->a, c->b);
	expect_answers(200);
	evil_race_end(&r);
	hostile_end(&g, NULL);
}

START_TEST(r26_no_feature_bits)
{
	hostile_begin(&g, EVIL_READY);
	store_release(&g.out.ctrl->feature_bits, 0);
	store_release(&g.in.ctrl->feature_bits, 0);
	flood_without_reading();
	for (struct evil_packet a; evil_recv(&g, &a, 300);)
		evil_ring_bell(&g);
	expect_answers(10);
	hostile_end(&g, NULL);
}
END_TEST

/*
 * U6: header and payload change under the root's eyes. Whether it takes the one or the other
 * is the race's; what it took is what it uses.
 */
struct race_case {
	uint32_t at, a, b; /* byte of the packet, and what alternates there */
};

#define RACE_CASES(X)                                                                              \
	X(r16_length_races, 4, 10, 0xffff)                                                         \
	X(r16_offset_races, 0, 6 | 2 << 16, 6 | 0xffffu << 16)                                     \
	X(r17_operation_races, 16, VSTOR_OP_EXECUTE_SRB, VSTOR_OP_RESET_BUS)                       \
	X(r17_cdb_length_races, 36, 0x00001406, 0x0000ffff)

static void run_race(const struct race_case *c)
{
	struct vstor_packet p = evil_tur();
	struct evil_racer r;
	struct evil_packet a;
	int i;

	hostile_begin(&g, EVIL_READY);
	/* One place in the ring, so that one racer meets every packet: the ring is refilled. */
	for (i = 0; i < 40; i++) {
		evil_queue(&g, VMPKT_INBAND, 2, 1, 5, &p, VSTOR_PACKET);
		evil_race(&r,
			  g.out.data + (g.out.next + EVIL_RING_SIZE - 24 - VSTOR_PACKET + c->at) %
					       EVIL_RING_SIZE,
			  c->a, c->b);
		evil_publish(&g, g.out.next);
		if (!evil_recv(&g, &a, 50))
			i = 40; /* it lost the channel */
		evil_race_end(&r);
	}
	hostile_end(&g, &(struct proof){ .lost = true });
}

START_TEST(r29_signals_without_packets)
{
	uint64_t n = 1000000 / SLOWER;

	hostile_begin(&g, EVIL_READY);
	while (n--)
		evil_ring_bell(&g);
	hostile_canary_moves();
	expect_answers(1);
	hostile_end(&g, NULL);
}
END_TEST

/* H26: it read its own doorbell; R30: it never rings. */
START_TEST(r30_h26_packets_without_a_signal)
{
	struct vstor_packet p = evil_tur();
	struct evil_packet a;
	eventfd_t stolen;

	hostile_begin(&g, EVIL_READY);
	usleep(50000); /* the root's loop sleeps */
	evil_queue(&g, VMPKT_INBAND, 2, 1, 5, &p, VSTOR_PACKET);
	store_release(&g.out.ctrl->write_index, g.out.next);
	ck_assert(evil_recv(&g, &a, 10000));
	ck_assert_uint_eq(a.p.srb.srb_status, VSTOR_SRB_SUCCESS);
	usleep(50000);
	evil_vstor(&g, 6, &p);
	eventfd_read(g.bell, &stolen); /* or it was too late, then there is an answer anyway */
	ck_assert(evil_recv(&g, &a, 10000));
	hostile_end(&g, NULL);
}
END_TEST

START_TEST(r31_ring_always_full)
{
	uint64_t end = clock_ns() + 200 * MS;
	struct vstor_packet p = evil_tur();
	struct evil_packet a;

	hostile_begin(&g, EVIL_READY);
	while (clock_ns() < end) {
		while (evil_out_free(&g) >= 24 + VSTOR_PACKET)
			evil_queue(&g, VMPKT_INBAND, 2, 1, 5, &p, VSTOR_PACKET);
		evil_publish(&g, g.out.next);
		while (evil_recv(&g, &a, 0))
			;
	}
	hostile_canary_moves();
	while (evil_recv(&g, &a, 300))
		;
	hostile_end(&g, NULL);
}
END_TEST

START_TEST(r32_memory_cannot_be_taken_away)
{
	hostile_begin(&g, EVIL_READY);
	ck_assert_int_eq(ftruncate(g.memfd, 4096), -1);
	ck_assert_int_eq(errno, EPERM);
	ck_assert_int_eq(ftruncate(g.memfd, EVIL_PAGES * 8192ll), -1);
	hostile_end(&g, NULL);
}
END_TEST

/* Both control pages and everything in the rings is noise; then it happens again. */
START_TEST(r33_noise_everywhere)
{
	uint32_t seed = 1, *words;

	hostile_begin(&g, EVIL_READY);
	words = evil_page(&g, EVIL_RINGS);
	for (uint32_t round = 0; round < 5; round++) {
		for (uint32_t i = 0; i < 2 * EVIL_RING_PAGES * 1024; i++) {
			seed = seed * 1664525u + 1013904223u;
			store_relaxed(&words[i], seed & 0x3f3f3f3f);
		}
		evil_ring_bell(&g);
		usleep(1000);
		evil_restart(&g, EVIL_READY);
	}
	hostile_end(&g, NULL);
}
END_TEST

/* ---- the list
 * -------------------------------------------------------------------------------------------- */

#define INDEX_TEST(name, ...) HOSTILE_ROW(name, run_index, struct index_case, __VA_ARGS__)
#define DESC_TEST(name, ...)  HOSTILE_ROW(name, run_desc, struct desc_case, __VA_ARGS__)
#define READ_TEST(name, ...)  HOSTILE_ROW(name, run_read, struct read_case, __VA_ARGS__)
#define FLIP_TEST(name, ...)  HOSTILE_ROW(name, run_flip, struct flip_case, __VA_ARGS__)
#define RACE_TEST(name, ...)  HOSTILE_ROW(name, run_race, struct race_case, __VA_ARGS__)
#define NAME(name, ...)	      name,

INDEX_CASES(INDEX_TEST)
DESC_CASES(DESC_TEST)
READ_CASES(READ_TEST)
FLIP_CASES(FLIP_TEST)
RACE_CASES(RACE_TEST)

HOSTILE_MAIN("hostile guest: rings",
	     INDEX_CASES(NAME) DESC_CASES(NAME) READ_CASES(NAME) FLIP_CASES(NAME) RACE_CASES(NAME)
		     r04_the_roots_own_read_index_overwritten,
	     r18_wrapping_at_every_position, r19_trailer_of_garbage, r22_completely_full_ring,
	     r23_pending_size_beyond_the_ring, r26_no_feature_bits, r29_signals_without_packets,
	     r30_h26_packets_without_a_signal, r31_ring_always_full,
	     r32_memory_cannot_be_taken_away, r33_noise_everywhere)
