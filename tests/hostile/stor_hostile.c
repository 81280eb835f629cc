/* SPDX-License-Identifier: MIT */
/*
 * A guest that misuses its controller (hostile cases S, and X01), whole stack: one row per
 * SRB that must fail alone, and what several packets do together.
 */
#include <unistd.h>

#include "base/clock.h"
#include "tests/hostile/fixture.h"

static struct evil_guest g;

/* ---- one SRB ------------------------------------------------------------------------------ */

struct srb_case {
	uint8_t lun, cdb[16], cdb_len, data_in;
	uint32_t claim, bytes; /* data_transfer_length; what the pages hold */
	bool good;
	uint8_t key, asc; /* of the sense; 0 = not looked at */
};

#define IN   VSTOR_DATA_IN
#define OUT  VSTOR_DATA_OUT
#define NONE VSTOR_DATA_NONE
#define RO   LUN_READONLY

#define SRB_CASES(X)                                                                               \
	X(s08_cdb_length_zero, 0, { 0x28 }, 0, IN, 4096, 4096, false, 5, 0)                        \
	X(s08_cdb_length_one, 0, { 0x28 }, 1, IN, 4096, 4096, false, 5, 0)                         \
	X(s08_cdb_length_17, 0, { 0x28 }, 17, IN, 4096, 4096, false, 5, 0)                         \
	X(s08_cdb_length_255, 0, { 0x28 }, 255, IN, 4096, 4096, false, 5, 0)                       \
	X(s09_cdb_shorter_than_its_opcode, 0, { 0x88 }, 10, IN, 4096, 4096, false, 5, 0)           \
	X(s11_length_of_4_gib, 0, { 0x28, 0, 0, 0, 0, 0, 0, 0, 8 }, 10, IN, UINT32_MAX, 4096,      \
	  false, 5, 0)                                                                             \
	X(s11_a_byte_too_much, 0, { 0x28, 0, 0, 0, 0, 0, 0, 0, 8 }, 10, IN, 4097, 4096, false, 5,  \
	  0)                                                                                       \
	X(s12_less_than_the_cdb_wants, 0, { 0x28, 0, 0, 0, 0, 0, 0, 0, 8 }, 10, IN, 512, 4096,     \
	  false, 5, 0)                                                                             \
	X(s13_read_with_data_out, 0, { 0x28, 0, 0, 0, 0, 0, 0, 0, 8 }, 10, OUT, 4096, 4096, false, \
	  5, 0)                                                                                    \
	X(s13_direction_of_no_meaning, 0, { 0x28, 0, 0, 0, 0, 0, 0, 0, 8 }, 10, 77, 4096, 4096,    \
	  true, 0, 0)                                                                              \
	X(s14_lun_63, 63, { 0x28, 0, 0, 0, 0, 0, 0, 0, 8 }, 10, IN, 4096, 4096, false, 0, 0)       \
	X(s14_lun_255, 255, { 0x28, 0, 0, 0, 0, 0, 0, 0, 8 }, 10, IN, 4096, 4096, false, 0, 0)     \
	X(s15_lba_near_2_to_the_64, 0,                                                             \
	  { 0x88, 0, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 8 }, 16, IN, 4096, 4096,     \
	  false, 5, 0x21)                                                                          \
	X(s15_lba_plus_count_wraps, 0,                                                             \
	  { 0x8a, 0, 255, 255, 255, 255, 255, 255, 255, 252, 0, 0, 0, 8 }, 16, OUT, 4096, 4096,    \
	  false, 5, 0x21)                                                                          \
	X(s16_transfer_length_zero, 0, { 0x28 }, 10, NONE, 0, 0, true, 0, 0)                       \
	X(s17_write_to_a_read_only_disk, RO, { 0x2a, 0, 0, 0, 0, 0, 0, 0, 8 }, 10, OUT, 4096,      \
	  4096, false, 7, 0x27)                                                                    \
	X(s18_write_same_of_2_tib, 0, { 0x93, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255 }, 16, \
	  OUT, 512, 512, false, 5, 0)                                                              \
	X(s18_write_same_anchored, 0, { 0x93, 0x18, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8 }, 16, OUT, \
	  512, 512, false, 5, 0)                                                                   \
	X(s19_unmap_list_lies, 0, { 0x42, 0, 0, 0, 0, 0, 0, 0, 24 }, 10, OUT, 8, 24, false, 5, 0)  \
	X(s20_mode_select_with_save, 0, { 0x15, 0x11, 0, 0, 24 }, 6, OUT, 24, 24, false, 5, 0)     \
	X(s22_reserve_out_of_a_wrong_length, 0, { 0x5f, 0, 0, 0, 0, 0, 0, 0, 7 }, 10, OUT, 7, 7,   \
	  false, 5, 0)                                                                             \
	X(s40_unknown_opcode, 0, { 0xc7 }, 10, NONE, 0, 0, false, 5, 0x20)

static struct evil_packet answer_of(const struct vstor_packet *p, uint32_t bytes)
{
	struct evil_packet a;

	if (!bytes)
		return evil_vstor_call(&g, p);
	evil_srb_send(&g, 0x5b, p, EVIL_BUF, bytes, 0);
	ck_assert(evil_recv(&g, &a, 10000));
	ck_assert_uint_eq(a.desc.trans_id, 0x5b);
	return a;
}

static void run_srb(const struct srb_case *c)
{
	struct vstor_packet p = evil_srb(c->lun, c->cdb, c->cdb_len, c->data_in, c->claim);
	uint8_t *buf;
	struct evil_packet a;

	hostile_begin(&g, EVIL_READY);
	buf = evil_page(&g, EVIL_BUF);
	memset(buf, c->data_in == IN ? 0x77 : 0, 8192);
	a = answer_of(&p, c->bytes);
	ck_assert_uint_eq(a.len, VSTOR_PACKET);
	ck_assert_int_eq((a.p.srb.srb_status & VSTOR_SRB_CODE_MASK) == VSTOR_SRB_SUCCESS, c->good);
	if (c->key)
		ck_assert_uint_eq(a.p.srb.sense[2] & 15, c->key);
	if (c->asc)
		ck_assert_uint_eq(a.p.srb.sense[12], c->asc);
	if (!c->good && c->data_in == IN) /* nothing was written, and nothing behind it */
		for (uint32_t i = 0; i < 8192; i++)
			ck_assert_uint_eq(buf[i], 0x77);
	memset(buf, 0, 8192);
	hostile_end(&g, NULL);
}

/* ---- operations in the wrong state, of the wrong size -------------------------------------- */

struct op_case {
	enum evil_stage stage;
	uint32_t op, arg, len;
	uint32_t status; /* 0: the channel faults */
};

#define STATE VSTOR_STATUS_INVALID_DEVICE_STATE
#define REQ   VSTOR_STATUS_INVALID_DEVICE_REQUEST
#define PARAM VSTOR_STATUS_INVALID_PARAMETER

#define OP_CASES(X)                                                                                \
	X(s01_srb_before_the_end_of_init, EVIL_OPEN, VSTOR_OP_EXECUTE_SRB, 0, 64, STATE)           \
	X(s02_end_before_begin, EVIL_OPEN, VSTOR_OP_END_INITIALIZATION, 0, 64, STATE)              \
	X(s02_properties_before_version, EVIL_OPEN, VSTOR_OP_QUERY_PROPERTIES, 0, 64, STATE)       \
	X(s02_begin_twice, EVIL_READY, VSTOR_OP_BEGIN_INITIALIZATION, 0, 64, STATE)                \
	X(s03_version_when_it_is_agreed, EVIL_READY, VSTOR_OP_QUERY_PROTOCOL_VERSION, 0x602, 64,   \
	  STATE)                                                                                   \
	X(s04_no_bytes, EVIL_READY, VSTOR_OP_EXECUTE_SRB, 0, 0, 0)                                 \
	X(s04_header_cut, EVIL_READY, VSTOR_OP_EXECUTE_SRB, 0, 8, 0)                               \
	X(s04_srb_cut, EVIL_READY, VSTOR_OP_EXECUTE_SRB, 0, 56, 0)                                 \
	X(s05_operation_zero, EVIL_READY, 0, 0, 64, REQ)                                           \
	X(s05_operation_15, EVIL_READY, 15, 0, 64, REQ)                                            \
	X(s05_operation_all_ones, EVIL_READY, UINT32_MAX, 0, 64, REQ)                              \
	X(s05_complete_io_from_the_guest, EVIL_READY, VSTOR_OP_COMPLETE_IO, 0, 64, REQ)            \
	X(s05_remove_device_from_the_guest, EVIL_READY, VSTOR_OP_REMOVE_DEVICE, 0, 64, REQ)        \
	X(s06_sub_channels_before_init, EVIL_OPEN, VSTOR_OP_CREATE_SUB_CHANNELS, 1, 64, STATE)     \
	X(s06_more_sub_channels_than_vps, EVIL_READY, VSTOR_OP_CREATE_SUB_CHANNELS, 2, 64, PARAM)  \
	X(s06_sub_channels_all_ones, EVIL_READY, VSTOR_OP_CREATE_SUB_CHANNELS, 0xffff, 64, PARAM)  \
	X(s40_fchba_data, EVIL_READY, VSTOR_OP_FCHBA_DATA, 0, 64, REQ)                             \
	X(s40_enumerate_bus, EVIL_READY, VSTOR_OP_ENUMERATE_BUS, 0, 64, REQ)

static void run_op(const struct op_case *c)
{
	struct vstor_packet p = { .operation = c->op, .flags = 1 };
	struct proof proof = { .fault = c->status ? NULL : "", .rejected = c->status };
	struct evil_packet a;

	p.sub_channel_count = (uint16_t)c->arg;
	hostile_begin(&g, c->stage);
	evil_send(&g, VMPKT_INBAND, 2, 1, 4, &p, c->len);
	if (c->status) {
		ck_assert(evil_recv(&g, &a, 10000));
		ck_assert_uint_eq(a.p.status, c->status);
	} else {
		ck_assert(!evil_recv(&g, &a, 50));
	}
	hostile_end(&g, &proof);
}

START_TEST(s03_versions_that_are_not_spoken)
{
	static const uint16_t bad[] = { 0, 0xffff, 0x0100, 0x0603 };
	struct vstor_packet begin = { .operation = VSTOR_OP_BEGIN_INITIALIZATION }, p = { 0 };

	hostile_begin(&g, EVIL_OPEN);
	evil_vstor_call(&g, &begin);
	p.operation = VSTOR_OP_QUERY_PROTOCOL_VERSION;
	for (uint32_t i = 0; i < ARRAY_SIZE(bad); i++) {
		p.version.major_minor = bad[i];
		ck_assert_uint_eq(evil_vstor_call(&g, &p).p.status, VSTOR_STATUS_REVISION_MISMATCH);
	}
	p.version.major_minor = VSTOR_V5_1;
	ck_assert_uint_eq(evil_vstor_call(&g, &p).p.status, 0);
	hostile_end(&g, NULL);
}
END_TEST

/* ---- parameter data and padding ---------------------------------------------------------------
 */

/*
 * S21, S10, X01: every allocation length of every command that returns data, with the buffer
 * of the full size behind it. No byte beyond the length; U2 looks for what should not be there.
 */
START_TEST(s21_x01_every_allocation_length)
{
	static const struct {
		uint8_t cdb[16], cdb_len, at; /* where the length's last byte is */
	} t[] = {
		{ { 0x12 }, 6, 4 },	     { { 0x12, 1, 0x00 }, 6, 4 },
		{ { 0x12, 1, 0x83 }, 6, 4 }, { { 0x12, 1, 0xb0 }, 6, 4 },
		{ { 0x1a, 0, 0x3f }, 6, 4 }, { { 0x03 }, 6, 4 },
		{ { 0xa0 }, 12, 9 },	     { { 0x9e, 0x10 }, 16, 13 },
		{ { 0x5e }, 10, 8 },
	};
	uint8_t *buf, cdb[16];

	hostile_begin(&g, EVIL_READY);
	buf = evil_page(&g, EVIL_BUF);
	for (uint32_t i = 0; i < ARRAY_SIZE(t); i++)
		for (uint32_t n = 0; n <= 255; n += SLOWER > 1 ? 15 : 3) {
			struct vstor_packet p;
			struct evil_packet a;

			memcpy(cdb, t[i].cdb, 16);
			cdb[t[i].at] = (uint8_t)n;
			memset(buf, 0x77, 512);
			p = evil_srb(0, cdb, t[i].cdb_len, IN, 512);
			p.srb.sense_info_length = (uint8_t)n;
			a = answer_of(&p, 512);
			ck_assert_uint_le(a.p.srb.data_transfer_length, 512);
			for (uint32_t k = n; k < 512; k++)
				ck_assert_uint_eq(buf[k], 0x77);
		}
	memset(buf, 0, 512);
	hostile_end(&g, NULL);
}
END_TEST

/* S10: a command that fails, with every room for its sense: what is announced fits the packet. */
START_TEST(s10_sense_of_every_length)
{
	static const uint8_t beyond[10] = { 0x28, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 8 };
	struct vstor_packet p = evil_srb(0, beyond, 10, IN, 4096);

	hostile_begin(&g, EVIL_READY);
	for (uint32_t n = 0; n <= 255; n += n < 24 ? 1 : 33) {
		struct evil_packet a;

		p.srb.sense_info_length = (uint8_t)n;
		a = answer_of(&p, 4096);
		ck_assert_uint_ne(a.p.srb.srb_status & VSTOR_SRB_CODE_MASK, VSTOR_SRB_SUCCESS);
		ck_assert_uint_le(a.p.srb.sense_info_length, VSTOR_SENSE_ROOM);
		for (uint32_t k = 18; k < VSTOR_SENSE_ROOM; k++) /* behind the sense data */
			ck_assert_uint_eq(a.p.srb.sense[k], 0);
	}
	hostile_end(&g, NULL);
}
END_TEST

/* The opcodes REPORT SUPPORTED OPERATION CODES lists; bit 0 of the answer's flags: by action. */
static void list_opcodes(uint8_t listed[256])
{
	static const uint8_t all[12] = { 0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 0x10 };
	struct vstor_packet p = evil_srb(0, all, 12, IN, 4096);
	const uint8_t *buf = evil_page(&g, EVIL_BUF);
	uint32_t len;

	ck_assert_uint_eq(answer_of(&p, 4096).p.srb.srb_status, VSTOR_SRB_SUCCESS);
	len = (uint32_t)buf[0] << 24 | (uint32_t)buf[1] << 16 | (uint32_t)buf[2] << 8 | buf[3];
	ck_assert_uint_gt(len, 8 * 20);
	ck_assert_uint_le(len, 4092);
	for (uint32_t i = 0; i < len; i += 8)
		listed[buf[4 + i]] = 1 + (buf[4 + i + 5] & 1);
}

/*
 * S23: each opcode there is, sent without data and without arguments: unknown exactly when it is
 * not in the list. (Those with service actions need one; zero need not be one of them.)
 */
START_TEST(s23_opcodes_are_those_that_are_listed)
{
	static const uint8_t len[8] = { 6, 10, 10, 16, 16, 12, 10, 10 };
	uint8_t listed[256] = { 0 }, cdb[16] = { 0 };
	struct vstor_packet p;
	struct evil_packet a;

	hostile_begin(&g, EVIL_READY);
	list_opcodes(listed);
	for (uint32_t op = 0; op < 256; op++) {
		cdb[0] = (uint8_t)op;
		p = evil_srb(0, cdb, len[op >> 5], NONE, 0);
		a = answer_of(&p, 0);
		if (listed[op] < 2)
			ck_assert_msg((a.p.srb.sense[12] == 0x20) == !listed[op],
				      "opcode %02x: listed %u, but %02x/%02x", op, listed[op],
				      a.p.srb.sense[2], a.p.srb.sense[12]);
	}
	memset(evil_page(&g, EVIL_BUF), 0, 4096);
	hostile_end(&g, NULL);
}
END_TEST

/* ---- many at once
 * ---------------------------------------------------------------------------------- */

static uint32_t send_reads(uint32_t n)
{
	struct vstor_packet p = evil_rw(LUN_FILE, false, 0, 8);
	uint32_t sent;

	for (sent = 0; sent < n && evil_out_free(&g) >= 200; sent++)
		evil_srb_send(&g, 1000 + sent, &p, EVIL_BUF, 4096, 0);
	return sent;
}

/* Each once, and the reset's answer behind the last of them (S26). */
static void run_reset(const uint32_t *op)
{
	struct vstor_packet p = { .operation = *op, .flags = 1 };
	uint8_t seen[512] = { 0 };
	struct evil_packet a;
	uint32_t n, got = 0;

	hostile_begin(&g, EVIL_READY);
	n = send_reads(128);
	p.srb.lun = LUN_FILE;
	evil_vstor(&g, 7, &p);
	do {
		ck_assert(evil_recv(&g, &a, 20000));
		if (a.desc.trans_id == 7)
			break;
		ck_assert_uint_lt(a.desc.trans_id - 1000, n);
		ck_assert_uint_eq(seen[a.desc.trans_id - 1000]++, 0);
		got++;
	} while (true);
	ck_assert_uint_eq(got, n);
	ck_assert(!evil_recv(&g, &a, 20));
	hostile_end(&g, NULL);
}

#define RESET_CASES(X)                                                                             \
	X(s25_s26_reset_lun_with_io_in_flight, VSTOR_OP_RESET_LUN)                                 \
	X(s25_s26_reset_bus_with_io_in_flight, VSTOR_OP_RESET_BUS)                                 \
	X(s25_s26_reset_adapter_with_io_in_flight, VSTOR_OP_RESET_ADAPTER)

START_TEST(s24_flood_of_small_commands)
{
	static const uint8_t sense[6] = { 0x03, 0, 0, 0, 18 };
	struct vstor_packet p;
	struct evil_packet a;
	uint64_t end;

	hostile_begin(&g, EVIL_READY);
	end = clock_ns() + 200000000ull;
	for (uint8_t lun = 0; clock_ns() < end; lun++) {
		p = evil_srb(lun % 64, sense, 6, IN, 18);
		while (evil_out_free(&g) >= 200)
			evil_srb_send(&g, 1, &p, EVIL_BUF, 18, 0);
		while (evil_recv(&g, &a, 0))
			;
	}
	hostile_canary_moves();
	while (evil_recv(&g, &a, 300))
		;
	hostile_end(&g, NULL);
}
END_TEST

/* It shares every disk with the canary, whose requests go on undisturbed. */
START_TEST(s25_resets_all_day)
{
	struct vstor_packet p = { .operation = VSTOR_OP_RESET_BUS, .flags = VSTOR_FLAG_COMPLETION };
	struct evil_packet a;
	uint64_t end;

	hostile_begin(&g, EVIL_READY);
	for (end = clock_ns() + 300000000ull; clock_ns() < end;) {
		while (evil_out_free(&g) >= 200)
			evil_send(&g, VMPKT_INBAND, 2, 1, 5, &p, VSTOR_PACKET);
		while (evil_recv(&g, &a, 0))
			;
	}
	hostile_canary_moves();
	while (evil_recv(&g, &a, 300))
		;
	hostile_end(&g, NULL);
}
END_TEST

/* S27: no regard for any depth, as fast as the ring takes it; each is answered, once. */
START_TEST(s27_far_more_than_any_depth)
{
	struct vstor_packet p = evil_rw(LUN_FILE, false, 0, 8);
	static uint8_t seen[4000];
	struct evil_packet a;
	uint32_t sent = 0, got = 0, n = sizeof(seen) / SLOWER;

	hostile_begin(&g, EVIL_READY);
	while (got < n) {
		for (; sent < n && evil_out_free(&g) >= 200; sent++)
			evil_srb_send(&g, sent, &p, EVIL_BUF + sent % 64, 4096, 0);
		ck_assert(evil_recv(&g, &a, 20000));
		ck_assert_uint_lt(a.desc.trans_id, sent);
		ck_assert_uint_eq(seen[a.desc.trans_id]++, 0);
		ck_assert_uint_eq(a.p.srb.srb_status, VSTOR_SRB_SUCCESS);
		got++;
	}
	hostile_end(&g, NULL);
}
END_TEST

/* How many of 20 quick commands are answered before as many answers as the slow disk owes. */
static uint32_t quick_beside_slow(void)
{
	struct vstor_packet slow = evil_rw(LUN_SLOW, false, 0, 1), quick = evil_tur();
	struct evil_packet a;
	uint32_t sent, i, early = 0, got = 0;

	for (sent = 0; evil_out_free(&g) >= 200 + 20 * 88; sent++)
		evil_srb_send(&g, 1000 + sent, &slow, EVIL_BUF, 512, 0);
	for (i = 0; i < 20; i++)
		evil_vstor(&g, i, &quick);
	for (; got < sent + 20; got++) {
		ck_assert(evil_recv(&g, &a, 20000));
		early += a.desc.trans_id < 20 && got < sent;
	}
	return early;
}

/*
 * S28: every slot asked for at a disk that takes its time; the others answer meanwhile. A machine
 * that stands still for as long as the disk takes upsets the order: one good round is enough.
 */
START_TEST(s28_slow_disk_beside_others)
{
	uint32_t early = 0;

	hostile_begin(&g, EVIL_READY);
	for (int round = 0; early < 20 && round < 10; round++)
		early = quick_beside_slow();
	ck_assert_uint_eq(early, 20);
	hostile_end(&g, NULL);
}
END_TEST

/* The buffer changes while it is written: the disk holds bytes of one version or the other. */
START_TEST(s29_buffer_changes_during_a_write)
{
	struct vstor_packet w = evil_rw(LUN_FILE, true, 0, 8), r = evil_rw(LUN_FILE, false, 0, 8);
	struct evil_racer racer;
	uint32_t *buf, i;

	hostile_begin(&g, EVIL_READY);
	buf = evil_page(&g, EVIL_BUF);
	for (i = 0; i < 1024; i++)
		buf[i] = 0x11111111;
	evil_race(&racer, &buf[100], 0x11111111, 0x22222222);
	for (i = 0; i < 20; i++)
		ck_assert_uint_eq(answer_of(&w, 4096).p.srb.srb_status, VSTOR_SRB_SUCCESS);
	evil_race_end(&racer);
	ck_assert_uint_eq(answer_of(&r, 4096).p.srb.srb_status, VSTOR_SRB_SUCCESS);
	for (i = 0; i < 1024; i++)
		ck_assert(buf[i] == 0x11111111 || (i == 100 && buf[i] == 0x22222222));
	hostile_end(&g, NULL);
}
END_TEST

/* Closed and opened again with reads in flight: the new life hears nothing of the old one. */
START_TEST(s39_reopened_with_io_in_flight)
{
	struct evil_packet a;

	hostile_begin(&g, EVIL_READY);
	for (int i = 0; i < 20; i++) {
		send_reads(100);
		evil_restart(&g, EVIL_READY);
		ck_assert(!evil_recv(&g, &a, 2));
	}
	hostile_end(&g, NULL);
}
END_TEST

#define SRB_TEST(name, ...)   HOSTILE_ROW(name, run_srb, struct srb_case, __VA_ARGS__)
#define OP_TEST(name, ...)    HOSTILE_ROW(name, run_op, struct op_case, __VA_ARGS__)
#define RESET_TEST(name, ...) HOSTILE_ROW(name, run_reset, uint32_t, __VA_ARGS__)
#define NAME(name, ...)	      name,

SRB_CASES(SRB_TEST)
OP_CASES(OP_TEST)
RESET_CASES(RESET_TEST)

HOSTILE_MAIN("hostile guest: storage",
	     SRB_CASES(NAME) OP_CASES(NAME) RESET_CASES(NAME) s03_versions_that_are_not_spoken,
	     s10_sense_of_every_length, s21_x01_every_allocation_length,
	     s23_opcodes_are_those_that_are_listed, s24_flood_of_small_commands, s25_resets_all_day,
	     s27_far_more_than_any_depth, s28_slow_disk_beside_others,
	     s29_buffer_changes_during_a_write, s39_reopened_with_io_in_flight)
