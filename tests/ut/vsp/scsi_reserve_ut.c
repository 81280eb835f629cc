/* SPDX-License-Identifier: MIT */
/*
 * What reservations mean for others: the matrix of spec: scsi-target, section 13.5, over
 * every command there is; RESERVE and RELEASE; resets and initiators that go.
 */
#include "tests/ut/vsp/scsi_pr_rig.h"

static struct pr_rig p;

static void setup(void)
{
	pr_rig_up(&p);
}

static void teardown(void)
{
	pr_rig_down(&p);
}

/* ---- the matrix ------------------------------------------------------------------------- */

enum { OTHERS_RESERVE6, WE, EA, REGISTERED, COLUMNS };

/* Also commands of which there may be a row one day: those without one are passed over. */
static const struct {
	uint8_t cdb[16], len, dir;
	const char *want; /* by column: x conflict, - none */
} rows[] = {
	/* READ and its kind */
	{ { 0x08, 0, 0, 0, 1, 0 }, 6, SCSI_DIR_IN, "x-x-" },
	{ { READ10(0, 1) }, 10, SCSI_DIR_IN, "x-x-" },
	{ { 0xa8, 0, Z4, L32(1), 0, 0 }, 12, SCSI_DIR_IN, "x-x-" },
	{ { READ16(0, 1) }, 16, SCSI_DIR_IN, "x-x-" },
	{ { 0x2f, 0, Z4, 0, L16(1), 0 }, 10, SCSI_DIR_NONE, "x-x-" },
	{ { 0xaf, 0, Z4, L32(1), 0, 0 }, 12, SCSI_DIR_NONE, "x-x-" },
	{ { 0x8f, 0, Z8, L32(1), 0, 0 }, 16, SCSI_DIR_NONE, "x-x-" },
	{ { 0x34, 0, Z4, 0, L16(1), 0 }, 10, SCSI_DIR_NONE, "x-x-" },
	{ { 0x90, 0, Z8, L32(1), 0, 0 }, 16, SCSI_DIR_NONE, "x-x-" },
	{ { 0x37, 0, Z4, 0, L16(8), 0 }, 10, SCSI_DIR_IN, "x-x-" },
	{ { 0xb7, 0, Z4, L32(8), 0, 0 }, 12, SCSI_DIR_IN, "x-x-" },
	{ { 0x9e, 0x12, Z8, L32(24), 0, 0 }, 16, SCSI_DIR_IN, "x-x-" },
	/* what changes the medium */
	{ { 0x0a, 0, 0, 0, 1, 0 }, 6, SCSI_DIR_OUT, "xxx-" },
	{ { WRITE10(0, 1) }, 10, SCSI_DIR_OUT, "xxx-" },
	{ { 0xaa, 0, Z4, L32(1), 0, 0 }, 12, SCSI_DIR_OUT, "xxx-" },
	{ { WRITE16(0, 1) }, 16, SCSI_DIR_OUT, "xxx-" },
	{ { 0x2e, 0, Z4, 0, L16(1), 0 }, 10, SCSI_DIR_OUT, "xxx-" },
	{ { 0xae, 0, Z4, L32(1), 0, 0 }, 12, SCSI_DIR_OUT, "xxx-" },
	{ { 0x8e, 0, Z8, L32(1), 0, 0 }, 16, SCSI_DIR_OUT, "xxx-" },
	{ { WRITE_SAME10(0, 0, 1) }, 10, SCSI_DIR_OUT, "xxx-" },
	{ { WRITE_SAME16(0, 0, 1) }, 16, SCSI_DIR_OUT, "xxx-" },
	{ { UNMAP10(8) }, 10, SCSI_DIR_OUT, "xxx-" },
	{ { 0x89, 0, Z8, 0, 0, 0, 1, 0, 0 }, 16, SCSI_DIR_OUT, "xxx-" },
	{ { 0x8b, 0, Z8, L32(1), 0, 0 }, 16, SCSI_DIR_OUT, "xxx-" },
	{ { SYNC10 }, 10, SCSI_DIR_NONE, "xxx-" },
	{ { 0x91 }, 16, SCSI_DIR_NONE, "xxx-" },
	{ { 0x04 }, 6, SCSI_DIR_NONE, "xxx-" },
	/* settings */
	{ { 0x15, 0x10 }, 6, SCSI_DIR_OUT, "xxx-" },
	{ { 0x55, 0x10 }, 10, SCSI_DIR_OUT, "xxx-" },
	{ { 0x1a, 0, 0x3f, 0, 255, 0 }, 6, SCSI_DIR_IN, "xxx-" },
	{ { 0x5a, 0, 0x3f, Z4, 0, 255, 0 }, 10, SCSI_DIR_IN, "xxx-" },
	{ { 0x1d, 4 }, 6, SCSI_DIR_NONE, "xxx-" },
	/* what disturbs nobody */
	{ { 0x12, 0, 0, 0, 96, 0 }, 6, SCSI_DIR_IN, "----" },
	{ { 0xa0, Z4, 0, L32(96), 0, 0 }, 12, SCSI_DIR_IN, "----" },
	{ { 0x03, 0, 0, 0, 18, 0 }, 6, SCSI_DIR_IN, "----" },
	{ { 0x00 }, 6, SCSI_DIR_NONE, "x---" },
	{ { 0x25 }, 10, SCSI_DIR_IN, "x---" },
	{ { 0x9e, 0x10, Z8, L32(32), 0, 0 }, 16, SCSI_DIR_IN, "x---" },
	{ { 0x4d, 0, 0x40, Z4, 0, 8, 0 }, 10, SCSI_DIR_IN, "x---" },
	{ { 0xa3, 0x0c, 0, 0, 0, 0, L32(512), 0, 0 }, 12, SCSI_DIR_IN, "x---" },
	{ { 0xa3, 0x0d, 0, 0, 0, 0, L32(16), 0, 0 }, 12, SCSI_DIR_IN, "x---" },
	/* by a bit of theirs */
	{ { 0x1b, 0, 0, 0, 1, 0 }, 6, SCSI_DIR_NONE, "x---" },
	{ { 0x1b, 0, 0, 0, 0, 0 }, 6, SCSI_DIR_NONE, "xxx-" },
	{ { 0x1e, 0, 0, 0, 0, 0 }, 6, SCSI_DIR_NONE, "----" },
	{ { 0x1e, 0, 0, 0, 1, 0 }, 6, SCSI_DIR_NONE, "xxx-" },
	/* reservations */
	{ { 0x16 }, 6, SCSI_DIR_NONE, "xxxx" },
	{ { 0x56 }, 10, SCSI_DIR_NONE, "xxxx" },
	{ { 0x17 }, 6, SCSI_DIR_NONE, "-xxx" },
	{ { 0x57 }, 10, SCSI_DIR_NONE, "-xxx" },
	{ { 0x5e, 0, Z4, 0, L16(8), 0 }, 10, SCSI_DIR_IN, "x---" },
	{ { 0x5e, 1, Z4, 0, L16(8), 0 }, 10, SCSI_DIR_IN, "x---" },
	{ { 0x5e, 2, Z4, 0, L16(8), 0 }, 10, SCSI_DIR_IN, "x---" },
	{ { 0x5e, 3, Z4, 0, L16(8), 0 }, 10, SCSI_DIR_IN, "x---" },
	/* bad list, so that only the matrix can make it a conflict */
	{ { 0x5f, 0, 0, 0, 0, L32(8), 0 }, 10, SCSI_DIR_OUT, "x---" },
};

static const struct scsi_op *row_of(const uint8_t *cdb)
{
	const struct scsi_op *op = &scsi_ops[cdb[0]];

	for (int i = 0; i < op->n_actions; i++)
		if (op->actions[i].action == (cdb[1] & 0x1f))
			return &op->actions[i];
	return op->name && !op->n_actions ? op : NULL;
}

static void expect_column(int from, int column)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rig *r = as(&p, from);
		uint32_t got;

		if (!row_of(rows[i].cdb))
			continue;
		memset(r->data, 0, 1024);
		rig_send(r, 0, rows[i].cdb, rows[i].len, rows[i].dir,
			 rows[i].dir == SCSI_DIR_NONE ? 0 : 1024);
		got = rig_result(r);
		ck_assert_msg((got == CONFLICT) == (rows[i].want[column] == 'x'),
			      "%02x/%02x, column %d: %x", rows[i].cdb[0], rows[i].cdb[1], column,
			      got);
	}
}

static bool is_covered(const struct scsi_op *op)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (row_of(rows[i].cdb) == op)
			return true;
	return op->run == scsi_pr_out; /* one handler, one class: the first stands for all */
}

START_TEST(matrix_knows_every_command)
{
	for (int opcode = 0; opcode < 256; opcode++) {
		const struct scsi_op *op = &scsi_ops[opcode];

		ck_assert_msg(!op->name || op->n_actions || is_covered(op), "%s", op->name);
		for (int i = 0; i < op->n_actions; i++)
			ck_assert_msg(is_covered(&op->actions[i]), "%s", op->actions[i].name);
	}
}
END_TEST

static const struct {
	uint8_t type;
	int stranger, registered; /* columns */
} types[] = {
	{ PR_WRITE_EXCLUSIVE, WE, WE },
	{ PR_EXCLUSIVE_ACCESS, EA, EA },
	{ PR_WRITE_EXCLUSIVE_REGISTRANTS, WE, REGISTERED },
	{ PR_EXCLUSIVE_ACCESS_REGISTRANTS, EA, REGISTERED },
	{ PR_WRITE_EXCLUSIVE_ALL, WE, REGISTERED },
	{ PR_EXCLUSIVE_ACCESS_ALL, EA, REGISTERED },
};

START_TEST(matrix_persistent)
{
	pr_register(&p, A);
	pr_register(&p, B);
	expect_column(A, REGISTERED);
	expect_column(C, REGISTERED);
	ck_assert_uint_eq(pr_out(&p, A, PR_RESERVE, types[_i].type, KEY(A), 0), 0);
	expect_column(A, REGISTERED);
	expect_column(B, types[_i].registered);
	expect_column(C, types[_i].stranger);
	ck_assert_uint_eq(pr_out(&p, A, PR_RELEASE, types[_i].type, KEY(A), 0), 0);
	ready(&p, B); /* may have an attention */
	expect_column(B, REGISTERED);
	expect_column(C, REGISTERED);
}
END_TEST

START_TEST(matrix_reserve6)
{
	ck_assert_uint_eq(NODATA(as(&p, A), 0x16, Z4, 0), 0);
	expect_column(B, OTHERS_RESERVE6);
	expect_column(C, OTHERS_RESERVE6);
	ck_assert_uint_eq(IN(as(&p, A), 512, READ10(0, 1)), 0);
	/* Not even the holder mixes the two kinds. */
	ck_assert_uint_eq(pr_out(&p, A, PR_REGISTER, 0, 0, 1), CONFLICT);
	ck_assert_uint_eq(IN(as(&p, A), 8, 0x5e, 0, Z4, 0, L16(8), 0), CONFLICT);
}
END_TEST

/* ---- RESERVE, RELEASE ------------------------------------------------------------------------ */

START_TEST(reserve_release)
{
	static const uint8_t reserve[] = { 0x16, 0x56 }, release[] = { 0x17, 0x57 };
	uint8_t r[10] = { reserve[_i] }, l[10] = { release[_i] };
	uint8_t len = _i ? 10 : 6;

#define DO(who, cdb) (rig_send(as(&p, who), 0, cdb, len, SCSI_DIR_NONE, 0), rig_result(p.r))
	ck_assert_uint_eq(DO(A, r), 0);
	ck_assert_uint_eq(DO(A, r), 0);
	ck_assert_uint_eq(DO(B, r), CONFLICT);
	ck_assert_uint_eq(ready(&p, B), CONFLICT);
	ck_assert_uint_eq(DO(B, l), 0); /* not his: nothing happens */
	ck_assert_uint_eq(DO(B, r), CONFLICT);
	ck_assert_uint_eq(DO(A, l), 0);
	ck_assert_uint_eq(DO(A, l), 0);
	ck_assert_uint_eq(ready(&p, B), 0);
	ck_assert_uint_eq(DO(B, r), 0);
	ck_assert_uint_eq(ready(&p, A), CONFLICT);
	r[1] = 0x10; /* for a third party */
	ck_assert_uint_eq(DO(B, r), SENSE_CDB_FIELD);
#undef DO
}
END_TEST

/* RESERVE(6) where registrations are: nobody, CRH = 0. */
START_TEST(reserve_beside_registrations)
{
	pr_register(&p, A);
	ck_assert_uint_eq(NODATA(as(&p, A), 0x16, Z4, 0), CONFLICT);
	ck_assert_uint_eq(NODATA(as(&p, B), 0x16, Z4, 0), CONFLICT);
	ck_assert_uint_eq(pr_out(&p, A, PR_CLEAR, 0, KEY(A), 0), 0);
	ck_assert_uint_eq(NODATA(as(&p, B), 0x16, Z4, 0), 0);
}
END_TEST

/* ---- what ends a reservation
 * ----------------------------------------------------------------------
 */

static void lose(struct scsi_target *t)
{
	scsi_target_lost(t);
}

static void reset_the_lun(struct scsi_target *t)
{
	scsi_target_reset(t, 0);
}

static void reset_all(struct scsi_target *t)
{
	scsi_target_reset(t, SCSI_ALL_LUNS);
}

static const struct {
	void (*end)(struct scsi_target *t);
	int by;
	uint32_t a, b; /* what they hear then */
} ends[] = {
	{ lose, A, 0, 0 },
	{ reset_the_lun, A, 0, 0 }, /* B had nothing to lose */
	{ reset_all, A, 0, 0 },
	{ reset_the_lun, B, SENSE_BUS_DEVICE_RESET, 0 },
	{ reset_all, B, SENSE_BUS_DEVICE_RESET, 0 },
};

START_TEST(reserve6_does_not_outlive_resets_and_loss)
{
	ck_assert_uint_eq(NODATA(as(&p, A), 0x16, Z4, 0), 0);
	ck_assert_uint_eq(ready(&p, B), CONFLICT);
	ends[_i].end(p.who[ends[_i].by]);
	ck_assert_uint_eq(ready(&p, A), ends[_i].a);
	ck_assert_uint_eq(ready(&p, B), ends[_i].b);
	ck_assert_uint_eq(NODATA(as(&p, B), 0x16, Z4, 0), 0);
}
END_TEST

START_TEST(persistent_does)
{
	pr_register(&p, A);
	ck_assert_uint_eq(pr_out(&p, A, PR_RESERVE, 3, KEY(A), 0), 0);
	ends[_i].end(p.who[ends[_i].by]);
	ready(&p, A);
	ready(&p, B);
	ck_assert_uint_eq(IN(as(&p, B), 512, READ10(0, 1)), CONFLICT);
	ck_assert_uint_eq(IN(as(&p, A), 512, READ10(0, 1)), 0);
}
END_TEST

START_TEST(other_luns_and_losses_of_others_do_not_matter)
{
	ck_assert_uint_eq(NODATA(as(&p, A), 0x16, Z4, 0), 0);
	scsi_target_lost(p.who[B]);
	scsi_target_reset(p.who[B], 1);
	scsi_target_reset(p.who[B], 63);
	scsi_target_reset(p.who[B], 64);
	ck_assert_uint_eq(ready(&p, B), CONFLICT);
	ck_assert_uint_eq(ready(&p, A), 0);
}
END_TEST

START_TEST(partition_goes_and_comes_back)
{
	ck_assert_uint_eq(NODATA(as(&p, B), 0x16, Z4, 0), 0);
	scsi_target_destroy(p.who[B]);
	ck_assert_uint_eq(ready(&p, A), 0);
	p.who[B] = pr_rig_target(p.r->lun, B);
	pr_register(&p, B);
	ck_assert_uint_eq(pr_out(&p, B, PR_RESERVE, 3, KEY(B), 0), 0);
	scsi_target_destroy(p.who[B]);
	ck_assert_uint_eq(IN(as(&p, A), 512, READ10(0, 1)), CONFLICT);
	p.who[B] = pr_rig_target(p.r->lun, B);
	ck_assert_uint_eq(IN(as(&p, B), 512, READ10(0, 1)), 0);
	ck_assert_uint_eq(IN(as(&p, A), 512, READ10(0, 1)), CONFLICT);
}
END_TEST

/* ---- order of checks
 * --------------------------------------------------------------------------------
 */

START_TEST(attention_then_conflict_then_fields)
{
	pr_register(&p, A);
	ck_assert_uint_eq(pr_out(&p, A, PR_RESERVE, 3, KEY(A), 0), 0);
	scsi_lun_unit_attention(p.r->lun, SCSI_UA_CAPACITY_CHANGED);
	ck_assert_uint_eq(IN(as(&p, B), 512, 0x28, 0xe0, L32(-1), 0, 0, 1, 0),
			  SENSE_CAPACITY_CHANGED);
	ck_assert_uint_eq(IN(as(&p, B), 512, 0x28, 0xe0, L32(-1), 0, 0, 1, 0), CONFLICT);
	ck_assert_uint_eq(p.r->dev->n_log, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("scsi_reserve");
	TCase *t = tcase_create("reserve");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, matrix_knows_every_command);
	tcase_add_loop_test(t, matrix_persistent, 0, ARRAY_SIZE(types));
	tcase_add_test(t, matrix_reserve6);
	tcase_add_loop_test(t, reserve_release, 0, 2);
	tcase_add_test(t, reserve_beside_registrations);
	tcase_add_loop_test(t, reserve6_does_not_outlive_resets_and_loss, 0, ARRAY_SIZE(ends));
	tcase_add_loop_test(t, persistent_does, 0, ARRAY_SIZE(ends));
	tcase_add_test(t, other_luns_and_losses_of_others_do_not_matter);
	tcase_add_test(t, partition_goes_and_comes_back);
	tcase_add_test(t, attention_then_conflict_then_fields);
	suite_add_tcase(s, t);
	return rig_main(s);
}
