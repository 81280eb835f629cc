/* SPDX-License-Identifier: MIT */
/*
 * Packets a guest has no business sending (hostile cases P), whole stack: descriptors, ranges
 * and completions by hand, a real storage root behind the ring.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "tests/hostile/fixture.h"

static struct evil_guest g;

/* ---- one GPA-direct packet per row ---------------------------------------------------- */

/* What a READ(10) of a block of LUN 0 is answered with. */
enum answer {
	FAULTS,	 /* the channel is lost */
	REFUSED, /* an SRB that failed, the request alone */
	DONE,	 /* it worked */
	NOTHING, /* dropped without a word */
};

struct packet_case {
	enum answer answer;
	uint16_t type, offset8; /* offset8 0: behind the words */
	uint16_t flags;
	const char *fault;
	uint32_t n;
	uint64_t words[8]; /* between descriptor and VSTOR packet */
};

#define COUNT(n)	     ((uint64_t)(n) << 32)
#define RANGE(bytes, offset) ((uint64_t)(bytes) | (uint64_t)(offset) << 32)
#define BAD_RANGES	     "ranges do not fit the packet header"
#define BAD_OFFSET	     "payload offset outside the packet"
#define GPA		     VMPKT_GPA_DIRECT
#define B		     EVIL_BUF
#define RING_PAGE	     (EVIL_RINGS + EVIL_RING_PAGES - 1) /* the last one of our own ring */

#define PACKET_CASES(X)                                                                            \
	X(p01_header_of_16_bytes, FAULTS, GPA, 2, 1, BAD_OFFSET, 3,                                \
	  { COUNT(1), RANGE(4096, 0), B })                                                         \
	X(p02_transfer_pages, FAULTS, VMPKT_XFER_PAGES, 2, 1, "packet type not allowed", 3,        \
	  { COUNT(1), RANGE(4096, 0), B })                                                         \
	X(p03_no_ranges_for_a_read, REFUSED, GPA, 0, 1, NULL, 1, { COUNT(0) })                     \
	X(p04_more_ranges_than_fit, FAULTS, GPA, 0, 1, BAD_RANGES, 3,                              \
	  { COUNT(4), RANGE(4096, 0), B })                                                         \
	X(p05_ranges_all_ones, FAULTS, GPA, 0, 1, BAD_RANGES, 3,                                   \
	  { COUNT(UINT32_MAX), RANGE(4096, 0), B })                                                \
	X(p06_empty_range, REFUSED, GPA, 0, 1, NULL, 2, { COUNT(1), RANGE(0, 0) })                 \
	X(p07_offset_of_a_page, FAULTS, GPA, 0, 1, BAD_RANGES, 4,                                  \
	  { COUNT(1), RANGE(4096, 4096), B, B })                                                   \
	X(p07_offset_all_ones, FAULTS, GPA, 0, 1, BAD_RANGES, 3,                                   \
	  { COUNT(1), RANGE(4096, UINT32_MAX), B })                                                \
	X(p08_offset_and_count_wrap, FAULTS, GPA, 0, 1, BAD_RANGES, 3,                             \
	  { COUNT(1), RANGE(UINT32_MAX, 4095), B })                                                \
	X(p09_page_list_too_short, FAULTS, GPA, 0, 1, BAD_RANGES, 3,                               \
	  { COUNT(1), RANGE(8193, 0), B })                                                         \
	X(p09_too_short_by_the_offset, FAULTS, GPA, 0, 1, BAD_RANGES, 3,                           \
	  { COUNT(1), RANGE(4096, 1), B })                                                         \
	X(p10_page_behind_ram, REFUSED, GPA, 0, 1, NULL, 3,                                        \
	  { COUNT(1), RANGE(4096, 0), EVIL_PAGES })                                                \
	X(p10_page_2_to_the_52, REFUSED, GPA, 0, 1, NULL, 3,                                       \
	  { COUNT(1), RANGE(4096, 0), 1ull << 52 })                                                \
	X(p10_page_all_ones, REFUSED, GPA, 0, 1, NULL, 3,                                          \
	  { COUNT(1), RANGE(4096, 0), UINT64_MAX })                                                \
	X(p11_page_of_our_own_ring, DONE, GPA, 0, 1, NULL, 3,                                      \
	  { COUNT(1), RANGE(4096, 0), RING_PAGE })                                                 \
	X(p11_synic_page, DONE, GPA, 0, 1, NULL, 3, { COUNT(1), RANGE(4096, 0), EVIL_SYNIC + 2 })  \
	X(p12_two_ranges, REFUSED, GPA, 0, 1, NULL, 5,                                             \
	  { COUNT(2), RANGE(2048, 0), B, RANGE(2048, 0), B + 1 })                                  \
	X(p13_no_completion_requested, NOTHING, GPA, 0, 0, NULL, 3,                                \
	  { COUNT(1), RANGE(4096, 0), B })                                                         \
	X(p14_completion_never_asked_for, NOTHING, VMPKT_COMPLETION, 0, 0, NULL, 0, { 0 })         \
	X(p18_in_band_where_data_is_needed, REFUSED, VMPKT_INBAND, 0, 1, NULL, 0, { 0 })

static void run_packet(const struct packet_case *c)
{
	struct vstor_packet p = evil_rw(LUN_EVIL, false, 0, 8);
	uint16_t off = c->offset8 ? c->offset8 : (uint16_t)(2 + c->n);
	uint8_t body[8 * 8 + VSTOR_PACKET];
	struct proof proof = { .fault = c->answer == FAULTS ? c->fault : NULL,
			       .rejected = c->answer == NOTHING };
	struct evil_packet a = { 0 };

	hostile_begin(&g, EVIL_READY);
	memcpy(body, c->words, 8 * c->n);
	memcpy(body + 8 * c->n, &p, VSTOR_PACKET);
	evil_send(&g, c->type, off, c->flags, 0x1d, body, 8 * c->n + VSTOR_PACKET);
	if (c->answer == REFUSED || c->answer == DONE) {
		ck_assert(evil_recv(&g, &a, 10000));
		ck_assert_uint_eq(a.desc.trans_id, 0x1d);
		ck_assert_int_eq(a.p.srb.srb_status == VSTOR_SRB_SUCCESS, c->answer == DONE);
		ck_assert_uint_eq(a.len, VSTOR_PACKET);
	} else {
		ck_assert(!evil_recv(&g, &a, 50));
	}
	hostile_end(&g, &proof);
}

/* ---- more than one packet ---------------------------------------------------------------- */

/* Zero, one, all ones, the same again: echoed, whatever they are. */
START_TEST(p15_ids_are_echoed)
{
	static const uint64_t ids[] = { 0, 1, UINT64_MAX, 1, 1, 1ull << 63, 0 };
	struct vstor_packet p = evil_tur();
	struct evil_packet a;
	uint32_t i;

	hostile_begin(&g, EVIL_READY);
	for (i = 0; i < ARRAY_SIZE(ids); i++)
		evil_queue(&g, VMPKT_INBAND, 2, 1, ids[i], &p, VSTOR_PACKET);
	evil_publish(&g, g.out.next);
	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		ck_assert(evil_recv(&g, &a, 10000));
		ck_assert_uint_eq(a.desc.trans_id, ids[i]);
	}
	hostile_end(&g, NULL);
}
END_TEST

/* Far more ranges of a byte than any iovec holds; the packet itself is within bounds or not. */
START_TEST(p12_hundreds_of_ranges)
{
	uint64_t body[1 + 2 * 24 + VSTOR_PACKET / 8];
	struct vstor_packet p = evil_rw(LUN_EVIL, false, 0, 1);
	struct evil_packet a;

	hostile_begin(&g, EVIL_READY);
	body[0] = COUNT(24);
	for (uint32_t i = 0; i < 24; i++) {
		body[1 + 2 * i] = RANGE(1, i);
		body[2 + 2 * i] = EVIL_BUF;
	}
	memcpy(body + 49, &p, VSTOR_PACKET);
	evil_send(&g, GPA, 2 + 49, 1, 3, body, sizeof(body));
	ck_assert(evil_recv(&g, &a, 10000));
	ck_assert_uint_ne(a.p.srb.srb_status, VSTOR_SRB_SUCCESS);
	hostile_end(&g, NULL);
}
END_TEST

/* Answers are never read: the root takes no more, drops none, and costs nothing meanwhile. */
START_TEST(p17_answers_never_read)
{
	struct vstor_packet p = evil_rw(LUN_FILE, false, 0, 8);
	uint32_t sent = 0, got = 0;
	struct evil_packet a;

	hostile_begin(&g, EVIL_READY);
	for (int idle = 0; idle < 300;) {
		if (evil_out_free(&g) >= 200) {
			evil_srb_send(&g, sent++, &p, EVIL_BUF, 4096, 0);
			idle = 0;
		} else {
			usleep(200);
			idle++;
		}
	}
	hostile_canary_moves();
	/* Nor is the root told that there is room again: its own timer finds it (R25). */
	for (; got < sent && evil_recv(&g, &a, 20000); got++)
		ck_assert_uint_eq(a.p.srb.srb_status, VSTOR_SRB_SUCCESS);
	ck_assert_uint_eq(got, sent);
	ck_assert(!evil_recv(&g, &a, 20));
	hostile_end(&g, NULL);
}
END_TEST

/* No ranges are right where no data is wanted. */
START_TEST(p03_no_ranges_where_none_are_needed)
{
	struct vstor_packet p = evil_tur();
	uint8_t body[8 + VSTOR_PACKET] = { 0 };
	struct evil_packet a;

	hostile_begin(&g, EVIL_READY);
	memcpy(body + 8, &p, VSTOR_PACKET);
	evil_send(&g, GPA, 3, 1, 5, body, sizeof(body));
	ck_assert(evil_recv(&g, &a, 10000));
	ck_assert_uint_eq(a.p.srb.srb_status, VSTOR_SRB_SUCCESS);
	hostile_end(&g, NULL);
}
END_TEST

/* A control operation with pages, data where none belongs. */
START_TEST(p18_control_operation_with_pages)
{
	struct vstor_packet p = { .operation = VSTOR_OP_RESET_BUS, .flags = 1 };
	struct evil_packet a;

	hostile_begin(&g, EVIL_READY);
	evil_srb_send(&g, 3, &p, EVIL_BUF, 4096, 0);
	ck_assert(evil_recv(&g, &a, 10000));
	ck_assert_uint_eq(a.p.status, VSTOR_STATUS_INVALID_DEVICE_REQUEST);
	hostile_end(&g, NULL);
}
END_TEST

#define PACKET_TEST(name, ...) HOSTILE_ROW(name, run_packet, struct packet_case, __VA_ARGS__)
#define NAME(name, ...)	       name,

PACKET_CASES(PACKET_TEST)

HOSTILE_MAIN("hostile guest: packets", PACKET_CASES(NAME) p03_no_ranges_where_none_are_needed,
	     p12_hundreds_of_ranges, p15_ids_are_echoed, p17_answers_never_read,
	     p18_control_operation_with_pages)
