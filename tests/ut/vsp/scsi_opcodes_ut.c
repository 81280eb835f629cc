/* SPDX-License-Identifier: MIT */
/*
 * What the disk says of itself: REPORT SUPPORTED OPERATION CODES (S23: exactly what is there),
 * task management functions, LOG SENSE, READ DEFECT DATA (spec: scsi-target, 10 to 12).
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

#define OPCODES(opt, op, sa, len) 0xa3, 0x0c, opt, op, L16(sa), L32(len), 0, 0

/* ---- all commands ------------------------------------------------------------------------ */

static uint8_t list[8192];
static uint32_t list_len;

static void fetch_list(uint8_t options, uint32_t entry)
{
	ck_assert_uint_eq(IN(r, sizeof(list), OPCODES(options, 0, 0, sizeof(list))), 0);
	list_len = r->task.transferred;
	memcpy(list, r->data, list_len);
	ck_assert_uint_eq(be32_at(list), list_len - 4);
	ck_assert_uint_eq((list_len - 4) % entry, 0);
	ck_assert_uint_gt(list_len, 4 + 30 * entry);
}

/* The entry, or NULL. */
static const uint8_t *listed(uint8_t opcode, uint16_t action)
{
	for (uint32_t at = 4; at < list_len; at += 8)
		if (list[at] == opcode && be16_at(list + at + 2) == action)
			return list + at;
	return NULL;
}

static uint32_t try(uint8_t opcode, uint8_t action)
{
	uint8_t cdb[16] = { opcode, action };

	rig_send(r, 0, cdb, 16, SCSI_DIR_NONE, 0);
	fake_blk_run(r->q);
	return r->task.status == SCSI_GOOD ? 0 : rig_result(r);
}

/* Every opcode and every action is sent: the list has those that exist and no others. */
START_TEST(S23_list_is_the_truth)
{
	uint32_t n = 0;

	if (_i) {
		r->dev->info.discard_granularity = 0; /* UNMAP is not */
		r->dev->info.readonly = _i == 2;      /* it is, and forbidden */
		rig_reattach(r);
	}
	fetch_list(0, 8);
	for (uint32_t opcode = 0; opcode < 256; opcode++) {
		bool actions = scsi_ops[opcode].n_actions;

		for (uint32_t action = 0; action < (actions ? 32 : 1); action++) {
			const uint8_t *e = listed((uint8_t)opcode, (uint16_t)action);
			uint32_t got = try((uint8_t)opcode, (uint8_t)action);
			uint32_t unknown = actions ? SENSE_CDB_FIELD : SENSE_OPCODE;

			n += e != NULL;
			ck_assert_msg(e ? got != SENSE_OPCODE : got == unknown, "%02x/%02x: %06x",
				      opcode, action, got);
			if (e)
				ck_assert_uint_eq(e[5], actions); /* SERVACTV, no CTDP */
		}
	}
	ck_assert_uint_eq(n, (list_len - 4) / 8); /* and none twice */
	ck_assert_int_eq(listed(0x42, 0) != NULL, _i != 1);
}
END_TEST

/* ReportSupportedOpcodes.RCTD */
START_TEST(timeout_descriptors)
{
	static const uint8_t timeout[12] = { 0x00, 0x0a };

	fetch_list(0x80, 20);
	for (uint32_t at = 4; at < list_len; at += 20) {
		ck_assert_uint_eq(list[at + 5] & 0x02, 0x02);
		ck_assert_mem_eq(list + at + 8, timeout, 12);
	}
	ck_assert_uint_eq(IN(r, 64, OPCODES(0x81, 0x28, 0, 64)), 0);
	ck_assert_uint_eq(r->task.transferred, 4 + 10 + 12);
	ck_assert_uint_eq(r->data[1], 0x83);
	ck_assert_mem_eq(r->data + 14, timeout, 12);
	ck_assert_uint_eq(IN(r, 64, OPCODES(0x81, 0xff, 0, 64)), 0);
	ck_assert_uint_eq(r->task.transferred, 4);
	ck_assert_uint_eq(r->data[1], 0x01);
}
END_TEST

/* ReportSupportedOpcodes.OneCommand, SERVACTV: what is listed is told, with the same length. */
START_TEST(one_command_agrees_with_the_list)
{
	fetch_list(0, 8);
	for (uint32_t at = 4; at < list_len; at += 8) {
		const uint8_t *e = list + at;
		uint16_t action = be16_at(e + 2), len = be16_at(e + 6);
		bool servactv = e[5];

		for (uint8_t options = 1; options <= 3; options++) {
			uint32_t got = IN(r, 64, OPCODES(options, e[0], action, 64));

			if (options != 3 && servactv != (options == 2)) {
				ck_assert_uint_eq(got, SENSE_CDB_FIELD);
				continue;
			}
			ck_assert_uint_eq(got, 0);
			ck_assert_uint_eq(r->task.transferred, 4 + len);
			ck_assert_uint_eq(r->data[1], 0x03);
			ck_assert_uint_eq(be16_at(r->data + 2), len);
			ck_assert_uint_eq(r->data[4], e[0]);
			ck_assert(!servactv || (r->data[5] & 0x1f) == action);
		}
	}
}
END_TEST

START_TEST(one_command_that_does_not_exist)
{
	static const struct {
		uint8_t options, opcode;
		uint16_t action;
	} c[] = { { 1, 0xff, 0 }, { 2, 0xff, 3 }, { 3, 0xff, 0 },      { 3, 0x28, 1 },
		  { 2, 0x9e, 0 }, { 3, 0x9e, 0 }, { 3, 0x9e, 0x0110 }, { 3, 0x84, 0 } };
	static const uint8_t nothing[4] = { 0, 1, 0, 0 };

	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		ck_assert_uint_eq(IN(r, 64, OPCODES(c[i].options, c[i].opcode, c[i].action, 64)),
				  0);
		rig_expect_data(r, nothing, 4);
	}
	for (uint8_t options = 4; options < 8; options++)
		ck_assert_uint_eq(IN(r, 64, OPCODES(options, 0x28, 0, 64)), SENSE_CDB_FIELD);
}
END_TEST

/* *.DpoFua: usage data and behaviour agree. */
START_TEST(usage_data_is_honest_about_dpo_and_fua)
{
	static const uint8_t both[] = { 0x28, 0x2a, 0xa8, 0xaa, 0x88, 0x8a, 0x89, 0x8b };
	static const uint8_t dpo[] = { 0x2e, 0x2f, 0xae, 0xaf, 0x8e, 0x8f };

	if (_i) {
		r->dev->info.fua = false;
		rig_reattach(r);
	}
	for (size_t i = 0; i < sizeof(both); i++) {
		ck_assert_uint_eq(IN(r, 64, OPCODES(1, both[i], 0, 64)), 0);
		ck_assert_uint_eq(r->data[5], _i ? 0xe0 : 0xf8);
		ck_assert_uint_eq(try(both[i], 0x18), _i ? SENSE_CDB_FIELD : 0);
	}
	for (size_t i = 0; i < sizeof(dpo); i++) {
		ck_assert_uint_eq(IN(r, 64, OPCODES(1, dpo[i], 0, 64)), 0);
		ck_assert_uint_eq(r->data[5], _i ? 0xe6 : 0xf6);
		ck_assert_uint_eq(try(dpo[i], 0x10), _i ? SENSE_CDB_FIELD : 0);
	}
}
END_TEST

START_TEST(S21_list_of_all)
{
	static const uint32_t alloc[] = { 0, 1, 3, 4, 5, 11, 12, 255, 256, 511, 512, UINT32_MAX };

	fetch_list(0x80, 20);
	for (size_t i = 0; i < ARRAY_SIZE(alloc); i++) {
		ck_assert_uint_eq(IN(r, sizeof(list), OPCODES(0x80, 0, 0, alloc[i])), 0);
		rig_expect_data(r, list, alloc[i] < list_len ? alloc[i] : list_len);
		if (alloc[i] > sizeof(list))
			continue;
		ck_assert_uint_eq(IN(r, alloc[i], OPCODES(0x80, 0, 0, sizeof(list))), 0);
		rig_expect_data(r, list, alloc[i]);
	}
}
END_TEST

/* ---- the others --------------------------------------------------------------------------- */

START_TEST(task_management_functions)
{
	ck_assert_uint_eq(IN(r, 64, 0xa3, 0x0d, 0, 0, 0, 0, L32(64), 0, 0), 0);
	rig_expect_data(r, (const uint8_t[]){ 0x08, 0, 0, 0 }, 4);
	ck_assert_uint_eq(IN(r, 64, 0xa3, 0x0d, 0x80, 0, 0, 0, L32(64), 0, 0), 0);
	rig_expect_data(r, (const uint8_t[16]){ 0x08, 0, 0, 0x0c }, 16);
	ck_assert_uint_eq(IN(r, 64, 0xa3, 0x0a, 0, 0, 0, 0, L32(64), 0, 0), SENSE_CDB_FIELD);
	ck_assert_uint_eq(NODATA(r, 0xa4, 0x0a, Z8, 0, 0), SENSE_OPCODE);
}
END_TEST

#define LOG(page, sub, ptr, len) 0x4d, 0, page, sub, 0, L16(ptr), L16(len), 0

START_TEST(log_sense)
{
	static const uint8_t pages[] = { 0, 0, 0, 3, 0x00, 0x19, 0x2f };
	static const uint8_t well[] = { 0x2f, 0, 0, 8, 0, 0, 0x03, 4, 0, 0, 0xff, 0 };

	ck_assert_uint_eq(IN(r, 255, LOG(0x40, 0, 0, 255)), 0);
	rig_expect_data(r, pages, sizeof(pages));
	ck_assert_uint_eq(IN(r, 255, LOG(0x00, 0, 0, 255)), 0);
	rig_expect_data(r, pages, sizeof(pages));
	ck_assert_uint_eq(IN(r, 255, LOG(0x6f, 0, 0, 255)), 0);
	rig_expect_data(r, well, sizeof(well));
	IN(r, 4096, READ10(0, 8));
	OUT(r, 1024, WRITE10(0, 2));
	OUT(r, 512, WRITE10(0, 1));
	ck_assert_uint_eq(IN(r, 255, LOG(0x59, 0, 1, 255)), 0);
	ck_assert_uint_eq(r->task.transferred, 72);
	ck_assert_uint_eq(be32_at(r->data), 0x19000044);
	ck_assert_uint_eq(be32_at(r->data + 4), 0x00010340);
	ck_assert_uint_eq(be64_at(r->data + 8), 1);  /* READs */
	ck_assert_uint_eq(be64_at(r->data + 16), 2); /* WRITEs */
	ck_assert_uint_eq(be64_at(r->data + 24), 3); /* blocks received */
	ck_assert_uint_eq(be64_at(r->data + 32), 8); /* blocks sent */
	ck_assert_uint_eq(IN(r, 255, LOG(0x41, 0, 0, 255)), SENSE_CDB_FIELD);
	ck_assert_uint_eq(IN(r, 255, LOG(0x7f, 0, 0, 255)), SENSE_CDB_FIELD);
	ck_assert_uint_eq(IN(r, 255, LOG(0x40, 0xff, 0, 255)), SENSE_CDB_FIELD);
	ck_assert_uint_eq(IN(r, 255, LOG(0x19, 0, 0, 255)), SENSE_CDB_FIELD); /* thresholds */
	ck_assert_uint_eq(IN(r, 255, LOG(0xd9, 0, 0, 255)), SENSE_CDB_FIELD);
	ck_assert_uint_eq(IN(r, 255, LOG(0x59, 0, 2, 255)), SENSE_CDB_FIELD);
	ck_assert_uint_eq(IN(r, 255, 0x4d, 1, 0x40, Z4, 0, 255, 0), SENSE_CDB_FIELD);
	ck_assert_uint_eq(IN(r, 255, 0x4d, 2, 0x40, Z4, 0, 255, 0), SENSE_CDB_FIELD);
}
END_TEST

/* ReadDefectData10/12.Simple */
START_TEST(no_defects)
{
	for (uint8_t what = 0; what < 0x20; what++) {
		ck_assert_uint_eq(IN(r, 255, 0x37, 0, what, Z4, L16(255), 0), 0);
		rig_expect_data(r, (const uint8_t[]){ 0, what, 0, 0 }, 4);
		ck_assert_uint_eq(IN(r, 255, 0xb7, what, Z4, L32(255), 0, 0), 0);
		rig_expect_data(r, (const uint8_t[8]){ 0, what }, 8);
	}
}
END_TEST

/* Prefetch10/16: Simple, BeyondEol, ZeroBlocks, Flags. Never CONDITION MET. */
START_TEST(prefetch)
{
	ck_assert_uint_eq(NODATA(r, 0x34, 0x02, L32(0), 0x1f, L16(256), 0), 0);
	ck_assert_uint_eq(NODATA(r, 0x34, 0, L32(131071), 0, L16(1), 0), 0);
	ck_assert_uint_eq(NODATA(r, 0x34, 0, L32(131072), 0, L16(0), 0), 0);
	ck_assert_uint_eq(NODATA(r, 0x34, 0, L32(131073), 0, L16(0), 0), SENSE_LBA_RANGE);
	ck_assert_uint_eq(NODATA(r, 0x34, 0, L32(131071), 0, L16(2), 0), SENSE_LBA_RANGE);
	ck_assert_uint_eq(NODATA(r, 0x90, 0x02, L64(131071), L32(1), 0x1f, 0), 0);
	ck_assert_uint_eq(NODATA(r, 0x90, 0, L64(131072), L32(0), 0, 0), 0);
	ck_assert_uint_eq(NODATA(r, 0x90, 0, L64(UINT64_MAX), L32(2), 0, 0), SENSE_LBA_RANGE);
}
END_TEST

START_TEST(format_unit)
{
	r->dev->ram[5] = 1;
	ck_assert_uint_eq(NODATA(r, 0x04, 0, 0, 0, 0, 0), 0);
	ck_assert_uint_eq(r->dev->ram[5], 1);
	ck_assert_uint_eq(r->dev->n_log, 0);
	for (uint32_t bit = 1; bit < 256; bit *= 2)
		ck_assert_uint_eq(NODATA(r, 0x04, bit, 0, 0, 0, 0), SENSE_CDB_FIELD);
	r->dev->info.readonly = true;
	rig_reattach(r);
	ck_assert_uint_eq(NODATA(r, 0x04, 0, 0, 0, 0, 0), SENSE_WRITE_PROTECTED);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("scsi_opcodes");
	TCase *t = tcase_create("opcodes");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, S23_list_is_the_truth, 0, 3);
	tcase_add_test(t, timeout_descriptors);
	tcase_add_test(t, one_command_agrees_with_the_list);
	tcase_add_test(t, one_command_that_does_not_exist);
	tcase_add_loop_test(t, usage_data_is_honest_about_dpo_and_fua, 0, 2);
	tcase_add_test(t, S21_list_of_all);
	tcase_add_test(t, task_management_functions);
	tcase_add_test(t, log_sense);
	tcase_add_test(t, no_defects);
	tcase_add_test(t, prefetch);
	tcase_add_test(t, format_unit);
	suite_add_tcase(s, t);
	return rig_main(s);
}
