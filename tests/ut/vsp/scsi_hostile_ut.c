/* SPDX-License-Identifier: MIT */
/*
 * Hostile commands, by case id (spec: hostile-cases, groups S and X), and the opcode table
 * itself. The data path's cases are in scsi_rw_ut.c, those of ranges in scsi_thin_ut.c.
 */
#include "tests/ut/vsp/scsi_rig.h"

static struct rig *r;

static void setup(void)
{
	r = rig_new();
}

static void teardown(void)
{
	rig_free(r);
}

/* ---- the table ----------------------------------------------------------------------------- */

static const uint8_t implemented[] = {
	0x00, 0x03, 0x04, 0x08, 0x0a, 0x12, 0x15, 0x16, 0x17, 0x1a, 0x1b, 0x1d,
	0x1e, 0x25, 0x28, 0x2a, 0x2e, 0x2f, 0x34, 0x35, 0x37, 0x41, 0x42, 0x4d,
	0x55, 0x56, 0x57, 0x5a, 0x5e, 0x5f, 0x88, 0x89, 0x8a, 0x8b, 0x8e, 0x8f,
	0x90, 0x91, 0x93, 0x9e, 0xa0, 0xa3, 0xa8, 0xaa, 0xae, 0xaf, 0xb7,
};

static bool is_implemented(uint32_t opcode)
{
	return memchr(implemented, (int)opcode, sizeof(implemented)) != NULL;
}

START_TEST(S23_other_opcodes_do_not_exist)
{
	for (uint32_t opcode = 0; opcode < 256; opcode++) {
		uint8_t cdb[16] = { (uint8_t)opcode };

		ck_assert_uint_eq(scsi_ops[opcode].name != NULL, is_implemented(opcode));
		if (is_implemented(opcode))
			continue;
		for (uint8_t len = 1; len <= 16; len++) {
			rig_send(r, 0, cdb, len, SCSI_DIR_IN, 512);
			ck_assert_uint_eq(rig_result(r), SENSE_OPCODE);
		}
	}
	for (uint32_t action = 0; action < 32; action++) {
		IN(r, 32, 0x9e, action, Z8, 0, 0, 0, 32, 0, 0);
		ck_assert_uint_eq(rig_result(r),
				  action == 0x10 || action == 0x12 ? 0 : SENSE_CDB_FIELD);
		IN(r, 32, 0xa3, action, Z4, L32(32), 0, 0);
		ck_assert_uint_eq(rig_result(r),
				  action == 0x0c || action == 0x0d ? 0 : SENSE_CDB_FIELD);
	}
}
END_TEST

#define F4 0xff, 0xff, 0xff, 0xff
#define F8 F4, F4

static const uint8_t usages[][16] = {
	/* spec: scsi-target, section 11 */
	{ 0x00, 0, 0, 0, 0, 0x04 },
	{ 0x12, 0x01, 0xff, 0xff, 0xff, 0x04 },
	{ 0x03, 0x01, 0, 0, 0xff, 0x04 },
	{ 0x1a, 0x08, 0xff, 0xff, 0xff, 0x04 },
	{ 0x5a, 0x18, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, 0x04 },
	{ 0x08, 0x1f, 0xff, 0xff, 0xff, 0x04 },
	{ 0x0a, 0x1f, 0xff, 0xff, 0xff, 0x04 },
	{ 0x28, 0xf8, F4, 0x1f, 0xff, 0xff, 0x04 },
	{ 0x2a, 0xf8, F4, 0x1f, 0xff, 0xff, 0x04 },
	{ 0xa8, 0xf8, F8, 0x1f, 0x04 },
	{ 0xaa, 0xf8, F8, 0x1f, 0x04 },
	{ 0x88, 0xf8, F8, F4, 0x1f, 0x04 },
	{ 0x8a, 0xf8, F8, F4, 0x1f, 0x04 },
	{ 0x35, 0x02, F4, 0x1f, 0xff, 0xff, 0x04 },
	{ 0x41, 0xe8, F4, 0x1f, 0xff, 0xff, 0x04 },
	{ 0x93, 0xe9, F8, F4, 0x1f, 0x04 },
	{ 0x42, 0, 0, 0, 0, 0, 0x1f, 0xff, 0xff, 0x04 },
	{ 0x25, Z8, 0x04 },
	{ 0x9e, 0x10, Z8, F4, 0, 0x04 },
	{ 0xa0, 0, 0xff, 0, 0, 0, F4, 0, 0x04 },
	{ 0x1b, 0x01, 0, 0x0f, 0xf7, 0x04 },
	{ 0x15, 0x11, 0, 0, 0xff, 0x04 },
	{ 0x55, 0x11, 0, 0, 0, 0, 0, 0xff, 0xff, 0x04 },
	{ 0x2e, 0xf6, F4, 0x1f, 0xff, 0xff, 0x04 },
	{ 0x2f, 0xf6, F4, 0x1f, 0xff, 0xff, 0x04 },
	{ 0x89, 0xf8, F8, 0, 0, 0, 0xff, 0x1f, 0x04 },
	{ 0x9e, 0x12, F8, F4, 0, 0x04 },
	{ 0xa3, 0x0c, 0x87, 0xff, 0xff, 0xff, F4, 0, 0x04 },
	{ 0x5e, 0x00, 0, 0, 0, 0, 0, 0xff, 0xff, 0x04 },
	{ 0x5f, 0x00, 0xff, 0, 0, F4, 0x04 },
};

static void check_row(const struct scsi_op *op, uint8_t opcode)
{
	static const uint8_t by_group[8] = { 6, 10, 10, 0, 16, 12, 0, 0 };
	uint8_t len = by_group[opcode >> 5];
	uint16_t moves = OP_RANGE | OP_BLOCKS;

	ck_assert_ptr_nonnull(op->run);
	ck_assert_uint_eq(op->len, len);
	ck_assert_uint_eq(op->usage[0], opcode);
	ck_assert_uint_eq(op->usage[len - 1], 0x04);
	for (int i = len; i < 16; i++)
		ck_assert_uint_eq(op->usage[i], 0);
	ck_assert((op->flags & (OP_IN | OP_OUT)) != (OP_IN | OP_OUT));
	ck_assert_uint_eq(op->check != NULL, !!(op->flags & OP_CHECK));
	ck_assert_msg(!(op->flags & moves) || (op->flags & OP_MEDIUM), "%s", op->name);
	ck_assert_msg(!(op->flags & OP_LIST) || (op->flags & OP_OUT), "%s", op->name);
	ck_assert_msg(!(op->flags & OP_DPOFUA) ||
			      (op->usage[1] & 0x18) == (0x18 & ~(op->reject & 0x1f)),
		      "%s", op->name);
}

START_TEST(S23_rows)
{
	for (uint32_t opcode = 0; opcode < 256; opcode++) {
		const struct scsi_op *op = &scsi_ops[opcode];

		if (!op->name)
			continue;
		if (!op->n_actions)
			check_row(op, (uint8_t)opcode);
		for (int i = 0; i < op->n_actions; i++) {
			check_row(&op->actions[i], (uint8_t)opcode);
			ck_assert_uint_eq(op->actions[i].usage[1] & 0x1f, op->actions[i].action);
		}
	}
}
END_TEST

START_TEST(S23_usage_data)
{
	for (size_t i = 0; i < ARRAY_SIZE(usages); i++) {
		const struct scsi_op *op = &scsi_ops[usages[i][0]];

		for (int k = 0; k < scsi_ops[usages[i][0]].n_actions; k++)
			if (scsi_ops[usages[i][0]].actions[k].action == usages[i][1])
				op = &scsi_ops[usages[i][0]].actions[k];
		ck_assert_msg(!memcmp(op->usage, usages[i], 16), "%s", op->name);
	}
}
END_TEST

/* ---- CDB lengths ------------------------------------------------------------------------------
 */

static uint8_t first_action(uint8_t opcode)
{
	return scsi_ops[opcode].n_actions ? scsi_ops[opcode].actions[0].action : 0;
}

START_TEST(S08_cdb_length_out_of_bounds)
{
	static const uint8_t lengths[] = { 0, 1, 5, 17, 18, 128, 255 };

	for (size_t i = 0; i < sizeof(implemented); i++) {
		uint8_t cdb[16] = { implemented[i], first_action(implemented[i]) };

		for (size_t k = 0; k < sizeof(lengths); k++) {
			rig_prepare(r, cdb, 16, SCSI_DIR_NONE, 0);
			r->task.cdb_len = lengths[k];
			ck_assert(scsi_execute(r->target, 0, &r->task));
			rig_verdict(r);
			ck_assert_uint_eq(rig_result(r), SENSE_CDB_FIELD);
		}
	}
	ck_assert_uint_eq(r->dev->n_log, 0);
}
END_TEST

START_TEST(S09_opcode_decides_the_length)
{
	ck_assert_uint_eq(IN(r, 512, 0x28, Z4, 0, 0, 0), SENSE_CDB_FIELD);	 /* 8 of 10 */
	ck_assert_uint_eq(IN(r, 512, 0x28, Z4, 0, 0, 0, 1), SENSE_CDB_FIELD);	 /* 9 of 10 */
	ck_assert_uint_eq(IN(r, 512, 0x88, Z8, 0, 0, 0, 0, 1), SENSE_CDB_FIELD); /* 14 of 16 */
	ck_assert_uint_eq(IN(r, 512, READ10(0, 1), Z4, 0, 0), 0);		 /* 16 for 10 */
	ck_assert_uint_eq(r->task.transferred, 512);
	ck_assert_uint_eq(IN(r, 36, 0x12, 0, 0, 0, 36, 0, Z4), 0); /* 10 for 6 */
}
END_TEST

/* ---- allocation lengths, padding (S21, X01)
 * --------------------------------------------------------- */

static const struct sweep {
	const char *what;
	uint8_t cdb[16], len;
	uint8_t alloc_at, alloc_bytes;
} sweeps[] = {
	{ "INQUIRY", { 0x12 }, 6, 3, 2 },
	{ "VPD 00", { 0x12, 1, 0x00 }, 6, 3, 2 },
	{ "VPD 80", { 0x12, 1, 0x80 }, 6, 3, 2 },
	{ "VPD 83", { 0x12, 1, 0x83 }, 6, 3, 2 },
	{ "VPD B0", { 0x12, 1, 0xb0 }, 6, 3, 2 },
	{ "VPD B1", { 0x12, 1, 0xb1 }, 6, 3, 2 },
	{ "VPD B2", { 0x12, 1, 0xb2 }, 6, 3, 2 },
	{ "MODE SENSE(6) 3F", { 0x1a, 0, 0x3f }, 6, 4, 1 },
	{ "MODE SENSE(6) 3F changeable", { 0x1a, 0, 0x7f }, 6, 4, 1 },
	{ "MODE SENSE(6) 08", { 0x1a, 0, 0x08 }, 6, 4, 1 },
	{ "MODE SENSE(10) 3F", { 0x5a, 0, 0x3f }, 10, 7, 2 },
	{ "MODE SENSE(10) 0A", { 0x5a, 0, 0x0a }, 10, 7, 2 },
	{ "REQUEST SENSE", { 0x03 }, 6, 4, 1 },
	{ "READ CAPACITY(16)", { 0x9e, 0x10 }, 16, 10, 4 },
	{ "REPORT LUNS", { 0xa0 }, 12, 6, 4 },
	{ "LOG SENSE 00", { 0x4d, 0, 0x40 }, 10, 7, 2 },
	{ "LOG SENSE 19", { 0x4d, 0, 0x59 }, 10, 7, 2 },
	{ "LOG SENSE 2F", { 0x4d, 0, 0x6f }, 10, 7, 2 },
	{ "READ DEFECT DATA(10)", { 0x37, 0, 0x1d }, 10, 7, 2 },
	{ "READ DEFECT DATA(12)", { 0xb7, 0x1d }, 12, 6, 4 },
	{ "REPORT TASK MANAGEMENT", { 0xa3, 0x0d, 0x80 }, 12, 6, 4 },
	{ "REPORT OPERATION CODES, one", { 0xa3, 0x0c, 0x83, 0x9e, 0, 0x12 }, 12, 6, 4 },
	{ "REPORT OPERATION CODES, none", { 0xa3, 0x0c, 0x01, 0xff }, 12, 6, 4 },
	{ "MODE SENSE(10) 0A changeable", { 0x5a, 0, 0x4a }, 10, 7, 2 },
};

static void put_alloc(uint8_t *cdb, const struct sweep *s, uint32_t alloc)
{
	for (int i = 0; i < s->alloc_bytes; i++)
		cdb[s->alloc_at + i] = (uint8_t)(alloc >> (8 * (s->alloc_bytes - 1 - i)));
}

START_TEST(S21_allocation_lengths)
{
	const struct sweep *s = &sweeps[_i];
	uint32_t most = s->alloc_bytes == 1 ? 255 : 600, full;
	uint8_t cdb[16], data[600];

	for (uint8_t i = 1; i < SCSI_MAX_LUNS; i++) /* so that the list of LUNs is long */
		ck_assert_int_eq(scsi_target_attach(r->target, i, r->lun), 0);
	memcpy(cdb, s->cdb, 16);
	put_alloc(cdb, s, most);
	rig_send(r, 0, cdb, s->len, SCSI_DIR_IN, 600);
	ck_assert_uint_eq(rig_result(r), 0);
	full = r->task.transferred;
	ck_assert_uint_gt(full, 0);
	ck_assert_uint_lt(full, most);
	memcpy(data, r->data, full);
	/* X01: nothing of the painted stack or task in it */
	ck_assert_msg(!memchr(data, PAINT, full), "%s leaks", s->what);
	for (uint32_t alloc = 0; alloc <= (most < 512 ? most : 512); alloc++) {
		uint32_t want = alloc < full ? alloc : full;

		put_alloc(cdb, s, alloc);
		r->pieces = alloc % 5; /* also into scattered buffers */
		rig_send(r, 0, cdb, s->len, SCSI_DIR_IN, 600);
		rig_expect_data(r, data, want);
		/* The described buffer is what limits it; the CDB asks for everything. */
		put_alloc(cdb, s, most);
		rig_send(r, 0, cdb, s->len, SCSI_DIR_IN, alloc);
		rig_expect_data(r, data, want);
	}
}
END_TEST

START_TEST(S21_read_capacity10)
{
	uint8_t data[8];

	IN(r, 8, 0x25, Z9);
	memcpy(data, r->data, 8);
	for (uint32_t len = 0; len <= 512; len++) {
		IN(r, len, 0x25, Z9);
		rig_expect_data(r, data, len < 8 ? len : 8);
	}
}
END_TEST

/* Sense data of every kind of failure: rig_verdict() looks at each reserved byte. */
START_TEST(X01_sense_padding)
{
	static const uint32_t codes[] = {
		SENSE_NONE,	      SENSE_NO_MEDIUM,	     SENSE_WRITE_ERROR, SENSE_READ_ERROR,
		SENSE_TARGET_FAILURE, SENSE_LIST_LENGTH,     SENSE_OPCODE,	SENSE_LBA_RANGE,
		SENSE_ABORTED,	      SENSE_WRITE_PROTECTED,
	};

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		rig_prepare(r, CDB(0, 0, 0, 0, 0, 0), SCSI_DIR_NONE, 0);
		r->task.lun = r->lun;
		paint_stack();
		ck_assert(scsi_fail(&r->task, codes[i]));
		rig_verdict(r);
		ck_assert_uint_eq(rig_result(r), codes[i]);
		ck_assert(scsi_fail_at(&r->task, codes[i], 0x01020304));
		rig_verdict(r);
		ck_assert_uint_eq(be32_at(r->task.sense + 3), 0x01020304);
	}
}
END_TEST

/* ---- commands that do not exist yet must leave everything as it is
 * ------------------------------------- */

START_TEST(S20_refused_commands_change_nothing)
{
	uint8_t mode[64], len;

	IN(r, 255, 0x1a, 0, 0x3f, 0, 255, 0);
	len = (uint8_t)r->task.transferred;
	memcpy(mode, r->data, len);
	memset(r->data, 0xff, 64);
	ck_assert_uint_eq(OUT(r, 24, 0x15, 0x11, 0, 0, 24, 0), SENSE_CDB_FIELD);
	ck_assert_uint_eq(OUT(r, 28, 0x55, 0x11, Z4, 0, 0, 28, 0), SENSE_CDB_FIELD);
	ck_assert_uint_eq(OUT(r, 24, 0x15, 0x10, 0, 0, 24, 0), SENSE_LIST_LENGTH);
	IN(r, 255, 0x1a, 0, 0x3f, 0, 255, 0);
	rig_expect_data(r, mode, len);
	ck_assert_uint_eq(r->dev->n_log, 0);
}
END_TEST

START_TEST(S24_flood_of_64_luns)
{
	struct scsi_lun_stats s;

	for (uint8_t i = 1; i < SCSI_MAX_LUNS; i++)
		ck_assert_int_eq(scsi_target_attach(r->target, i, r->lun), 0);
	for (int turn = 0; turn < 20; turn++)
		for (uint8_t i = 0; i < SCSI_MAX_LUNS; i++) {
			rig_send(r, i, CDB(0, 0, 0, 0, 0, 0), SCSI_DIR_NONE, 0);
			ck_assert_uint_eq(rig_result(r), 0);
			rig_send(r, i, CDB(3, 0, 0, 0, 18, 0), SCSI_DIR_IN, 18);
			ck_assert_uint_eq(r->task.transferred, 18);
		}
	scsi_lun_stats(r->lun, &s);
	ck_assert_uint_eq(s.others, 20 * 64 * 2);
	ck_assert_uint_eq(r->dev->n_log, 0); /* the backend hears nothing of it */
	ck_assert_uint_eq(r->lun->scratch, 0);
}
END_TEST

/* ---- anything at all
 * --------------------------------------------------------------------------------------- */

static uint64_t seed;

static uint32_t rnd(uint32_t below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % below;
}

static void random_cdb(uint8_t cdb[16])
{
	for (int i = 0; i < 16; i++)
		cdb[i] = rnd(3) ? 0 : (uint8_t)rnd(256);
	if (rnd(8))
		cdb[0] = implemented[rnd(sizeof(implemented))];
	if (scsi_ops[cdb[0]].n_actions && rnd(4))
		cdb[1] = scsi_ops[cdb[0]].actions[rnd(scsi_ops[cdb[0]].n_actions)].action;
}

/* rig_send() checks canaries, sense, lengths and untouched bytes each time. */
START_TEST(random_commands)
{
	seed = 0x5eed + (uint64_t)_i;
	r->dev->no_log = true;
	fake_blk_resize(r->dev, 4 << 20, 512);
	rig_reattach(r);
	for (int n = 0; n < 3000; n++) {
		uint8_t cdb[16], dir = (uint8_t)rnd(4);

		random_cdb(cdb);
		r->pieces = 1 + rnd(64);
		r->dev->delayed = rnd(2);
		for (int op = 0; op < BLK_OP_COUNT; op++)
			r->dev->error[op] = rnd(16) ? 0 : -(int)rnd(110); /* below EINPROGRESS */
		if (!rnd(50))
			scsi_lun_unit_attention(r->lun, rnd(SCSI_UA_LUNS_CHANGED + 1));
		rig_send(r, rnd(20) ? 0 : (uint8_t)rnd(256), cdb, rnd(20), dir,
			 rnd(4) ? rnd(30) * 512 : rnd(3000));
		fake_blk_run(r->q);
		ck_assert(!r->pending);
		ck_assert_uint_eq(r->lun->scratch, 0);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("scsi_hostile");
	TCase *t = tcase_create("hostile");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, S23_other_opcodes_do_not_exist);
	tcase_add_test(t, S23_rows);
	tcase_add_test(t, S23_usage_data);
	tcase_add_test(t, S08_cdb_length_out_of_bounds);
	tcase_add_test(t, S09_opcode_decides_the_length);
	tcase_add_loop_test(t, S21_allocation_lengths, 0, ARRAY_SIZE(sweeps));
	tcase_add_test(t, S21_read_capacity10);
	tcase_add_test(t, X01_sense_padding);
	tcase_add_test(t, S20_refused_commands_change_nothing);
	tcase_add_test(t, S24_flood_of_64_luns);
	tcase_add_loop_test(t, random_commands, 0, 2);
	suite_add_tcase(s, t);
	return rig_main(s);
}
