/* SPDX-License-Identifier: MIT */
/*
 * The logical unit besides its data: small commands, unit attentions, counters (spec:
 * scsi-target, sections 8, 10 and 14).
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

/* ---- cache and small commands ------------------------------------------------------------------
 */

START_TEST(what_flushes)
{
	static const struct {
		uint8_t cdb[16], len;
		uint32_t flushes, want;
	} c[] = {
		{ { SYNC10 }, 10, 1, 0 },
		{ { 0x35, 0x06, Z4, 0, 0, 0, 0 }, 10, 1, 0 }, /* SYNC_NV, IMMED */
		{ { 0x91 }, 16, 1, 0 },
		{ { 0x1b }, 6, 1, 0 },				    /* stop */
		{ { 0x1b, 1, 0, 0, 0, 0 }, 6, 1, 0 },		    /* stop, IMMED */
		{ { 0x1b, 0, 0, 0, 4, 0 }, 6, 0, 0 },		    /* stop, NO_FLUSH */
		{ { 0x1b, 0, 0, 0, 1, 0 }, 6, 0, 0 },		    /* start */
		{ { 0x1b, 1, 0, 0, 1, 0 }, 6, 0, 0 },		    /* start, IMMED */
		{ { 0x1b, 0, 0, 0, 0x30, 0 }, 6, 0, 0 },	    /* power condition */
		{ { 0x1b, 0, 0, 0, 0x32, 0 }, 6, 0, 0 },	    /* LOEJ is ignored with it */
		{ { 0x1b, 0, 0, 0, 2, 0 }, 6, 0, SENSE_CDB_FIELD }, /* eject */
		{ { 0x1b, 0, 0, 0, 3, 0 }, 6, 0, SENSE_CDB_FIELD }, /* load */
	};

	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		uint32_t before = r->dev->n_log;

		rig_send(r, 0, c[i].cdb, c[i].len, SCSI_DIR_NONE, 0);
		ck_assert_uint_eq(rig_result(r), c[i].want);
		ck_assert_uint_eq(r->dev->n_log - before, c[i].flushes);
	}
	/* Still there after stop. */
	ck_assert_uint_eq(NODATA(r, 0, 0, 0, 0, 0, 0), 0);
	ck_assert_uint_eq(IN(r, 512, READ10(0, 1)), 0);
}
END_TEST

/* Whoever found nothing and has no queue gets the answer of nothing, whatever came since. */
START_TEST(absent_is_not_looked_up_again)
{
	struct scsi_task t = { .cdb = { READ10(0, 1) }, .cdb_len = 10, .data_dir = SCSI_DIR_IN };

	ck_assert_ptr_nonnull(scsi_target_lun(r->target, 0));
	scsi_execute_absent(r->target, 0, &t);
	ck_assert(t.absent);
	ck_assert_uint_eq(t.status, SCSI_CHECK_CONDITION);
	ck_assert_uint_eq(r->dev->n_log, 0);
}
END_TEST

START_TEST(small_commands)
{
	static const uint8_t no_sense[18] = { 0x70, 0, 0, 0, 0, 0, 0, 0x0a };

	ck_assert_uint_eq(IN(r, 252, 0x03, 0, 0, 0, 252, 0), 0);
	rig_expect_data(r, no_sense, 18);
	ck_assert_uint_eq(IN(r, 252, 0x03, 1, 0, 0, 252, 0), SENSE_CDB_FIELD);
	ck_assert_uint_eq(NODATA(r, 0x1d, 0x04, 0, 0, 0, 0), 0);
	ck_assert_uint_eq(NODATA(r, 0x1d, 0, 0, 0, 0, 0), 0);
	ck_assert_uint_eq(NODATA(r, 0x1d, 0x20, 0, 0, 0, 0), SENSE_CDB_FIELD);
	ck_assert_uint_eq(NODATA(r, 0x1d, 0, 0, 0, 1, 0), SENSE_CDB_FIELD);
	ck_assert_uint_eq(NODATA(r, 0x1e, 0, 0, 0, 1, 0), 0);
	ck_assert_uint_eq(NODATA(r, 0x1e, 0, 0, 0, 0, 0), 0);
	ck_assert_uint_eq(r->dev->n_log, 0);
}
END_TEST

/* ---- unit attentions
 * -------------------------------------------------------------------------------- */

static const struct {
	enum scsi_ua ua;
	uint32_t sense;
} attentions[] = {
	/* in the order of reporting */
	{ SCSI_UA_MEDIUM_CHANGED, 0x062800 },	     { SCSI_UA_POWER_ON, 0x062900 },
	{ SCSI_UA_BUS_DEVICE_RESET, 0x062903 },	     { SCSI_UA_RESERVATIONS_PREEMPTED, 0x062a03 },
	{ SCSI_UA_RESERVATIONS_RELEASED, 0x062a04 }, { SCSI_UA_REGISTRATIONS_PREEMPTED, 0x062a05 },
	{ SCSI_UA_CAPACITY_CHANGED, 0x062a09 },	     { SCSI_UA_MODE_CHANGED, 0x062a01 },
	{ SCSI_UA_COMMANDS_CLEARED, 0x062f00 },	     { SCSI_UA_LUNS_CHANGED, 0x063f0e },
};

START_TEST(attentions_one_by_one_by_priority)
{
	ck_assert_uint_eq(NODATA(r, 0, 0, 0, 0, 0, 0), 0); /* no power-on attention */
	for (size_t i = ARRAY_SIZE(attentions); i-- > 0;)
		scsi_lun_unit_attention(r->lun, attentions[i].ua);
	scsi_lun_unit_attention(r->lun, SCSI_UA_POWER_ON); /* twice is once */
	for (size_t i = 0; i < ARRAY_SIZE(attentions); i++)
		ck_assert_uint_eq(NODATA(r, 0, 0, 0, 0, 0, 0), attentions[i].sense);
	ck_assert_uint_eq(NODATA(r, 0, 0, 0, 0, 0, 0), 0);
}
END_TEST

START_TEST(attention_survives_what_guests_overlook)
{
	scsi_lun_unit_attention(r->lun, SCSI_UA_CAPACITY_CHANGED);
	ck_assert_uint_eq(IN(r, 96, 0x12, 0, 0, 0, 96, 0), 0);
	ck_assert_uint_eq(IN(r, 96, 0x12, 1, 0xb0, 0, 96, 0), 0);
	ck_assert_uint_eq(IN(r, 255, 0x1a, 0, 0x3f, 0, 255, 0), 0);
	ck_assert_uint_eq(IN(r, 255, 0x5a, 0, 0x3f, Z4, 0, 255, 0), 0);
	ck_assert_uint_eq(IN(r, 96, 0xa0, Z4, 0, 0, 0, 0, 96, 0, 0), 0);
	rig_send(r, 0, CDB(0xff), SCSI_DIR_NONE, 0);
	ck_assert_uint_eq(rig_result(r), SENSE_OPCODE);
	ck_assert_uint_eq(IN(r, 512, READ10(0, 1)), SENSE_CAPACITY_CHANGED);
	ck_assert_uint_eq(r->dev->n_log, 0); /* the read was not executed */
	ck_assert_uint_eq(IN(r, 512, READ10(0, 1)), 0);
	/* Before field and range checks. */
	scsi_lun_unit_attention(r->lun, SCSI_UA_CAPACITY_CHANGED);
	ck_assert_uint_eq(IN(r, 512, 0x28, 0xe0, L32(-1), 0, 0, 1, 0), SENSE_CAPACITY_CHANGED);
	ck_assert_uint_eq(IN(r, 512, 0x28, 0xe0, L32(-1), 0, 0, 1, 0), SENSE_CDB_FIELD);
}
END_TEST

START_TEST(request_sense_takes_the_attention)
{
	static const uint8_t want[18] = { 0x70, 0, 6, 0, 0, 0, 0, 0x0a, 0, 0, 0, 0, 0x2a, 9 };

	scsi_lun_unit_attention(r->lun, SCSI_UA_CAPACITY_CHANGED);
	ck_assert_uint_eq(IN(r, 18, 0x03, 0, 0, 0, 18, 0), 0);
	rig_expect_data(r, want, 18);
	ck_assert_uint_eq(NODATA(r, 0, 0, 0, 0, 0, 0), 0);
}
END_TEST

START_TEST(each_nexus_hears_it)
{
	struct scsi_target *mine = r->target, *other;

	ck_assert_int_eq(scsi_target_create(&other), 0);
	ck_assert_int_eq(scsi_target_attach(other, 0, r->lun), 0);
	scsi_lun_unit_attention(r->lun, SCSI_UA_POWER_ON);
	ck_assert_uint_eq(NODATA(r, 0, 0, 0, 0, 0, 0), SENSE_POWER_ON);
	ck_assert_uint_eq(NODATA(r, 0, 0, 0, 0, 0, 0), 0);
	r->target = other;
	ck_assert_uint_eq(NODATA(r, 0, 0, 0, 0, 0, 0), SENSE_POWER_ON);
	ck_assert_uint_eq(NODATA(r, 0, 0, 0, 0, 0, 0), 0);
	r->target = mine;
	scsi_target_destroy(other);
	scsi_lun_unit_attention(r->lun, SCSI_UA_POWER_ON); /* nobody to tell there any more */
	ck_assert_uint_eq(NODATA(r, 0, 0, 0, 0, 0, 0), SENSE_POWER_ON);
}
END_TEST

/* Only who may still take it for the disk before hears of a disk that comes. */
START_TEST(another_disk_in_the_same_place)
{
	ck_assert_uint_eq(NODATA(r, 0, 0, 0, 0, 0, 0), 0);
	scsi_target_detach(r->target, 0);
	ck_assert_int_eq(scsi_target_attach(r->target, 0, r->lun), 0);
	ck_assert_uint_eq(OUT(r, 512, WRITE10(0, 1)), SENSE_LUNS_CHANGED);
	ck_assert_uint_eq(r->dev->n_log, 0); /* it was meant for the other */
	ck_assert_uint_eq(OUT(r, 512, WRITE10(0, 1)), 0);

	scsi_target_detach(r->target, 0);
	rig_send(r, 0, CDB(0, 0, 0, 0, 0, 0), SCSI_DIR_NONE, 0);
	ck_assert(r->task.absent);
	ck_assert_int_eq(scsi_target_attach(r->target, 0, r->lun), 0);
	ck_assert_uint_eq(NODATA(r, 0, 0, 0, 0, 0, 0), 0);

	scsi_target_detach(r->target, 0);
	scsi_target_lost(r->target); /* who comes back looks at everything anew */
	ck_assert_int_eq(scsi_target_attach(r->target, 0, r->lun), 0);
	ck_assert_uint_eq(NODATA(r, 0, 0, 0, 0, 0, 0), 0);
}
END_TEST

/* Section 1: an unknown opcode comes before the news, an unknown service action behind them. */
START_TEST(attention_and_unknown_commands)
{
	scsi_lun_unit_attention(r->lun, SCSI_UA_POWER_ON);
	ck_assert_uint_eq(NODATA(r, 0x48, Z9), SENSE_OPCODE);
	ck_assert_uint_eq(IN(r, 8, 0xa3, 0x0a, Z8, 0, 0), SENSE_POWER_ON);
	ck_assert_uint_eq(IN(r, 8, 0xa3, 0x0a, Z8, 0, 0), SENSE_CDB_FIELD);
}
END_TEST

/* ---- counters
 * ------------------------------------------------------------------------------------------ */

START_TEST(statistics)
{
	struct scsi_lun_stats s;

	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(IN(r, 4096, READ10(0, 8)), 0);
	for (int i = 0; i < 2; i++)
		ck_assert_uint_eq(OUT(r, 512, WRITE10(0, 1)), 0);
	ck_assert_uint_eq(NODATA(r, SYNC10), 0);
	ck_assert_uint_eq(NODATA(r, 0, 0, 0, 0, 0, 0), 0);
	ck_assert_uint_eq(IN(r, 512, READ10(131072, 1)), SENSE_LBA_RANGE);
	scsi_lun_stats(r->lun, &s);
	ck_assert_uint_eq(s.reads, 3);
	ck_assert_uint_eq(s.read_bytes, 3 * 4096);
	ck_assert_uint_eq(s.writes, 2);
	ck_assert_uint_eq(s.written_bytes, 1024);
	ck_assert_uint_eq(s.flushes, 1);
	ck_assert_uint_eq(s.others, 1);
	ck_assert_uint_eq(s.errors, 1);
	ck_assert_uint_eq(s.last_sense, 0x052100);
	ck_assert_uint_eq(s.latency_count, 0);
	scsi_lun_note_latency(r->lun, 300);
	scsi_lun_note_latency(r->lun, 700);
	scsi_lun_note_latency(r->lun, 200);
	scsi_lun_stats(r->lun, &s);
	ck_assert_uint_eq(s.latency_count, 3);
	ck_assert_uint_eq(s.latency_ns_sum, 1200);
	ck_assert_uint_eq(s.latency_ns_max, 700);
}
END_TEST

/* Counted or registered, done or failed, at once or later: those that wrote are the writes. */
START_TEST(every_write_counts_once)
{
	struct scsi_lun_stats s;

	ck_assert_uint_eq(NODATA(r, 0, 0, 0, 0, 0, 0), 0); /* this thread has counters now */
	for (int i = 0; i < 8; i++) {
		r->dev->delayed = i & 1;
		r->dev->error[BLK_WRITE] = i & 2 ? -EIO : 0;
		r->lun->strict = i & 4 ? 2 : 0;
		rig_send(r, 0, CDB(WRITE10(0, 8)), SCSI_DIR_OUT, 4096);
		fake_blk_run(r->q);
		ck_assert_uint_eq(rig_result(r), i & 2 ? SENSE_WRITE_ERROR : 0);
		scsi_lun_stats(r->lun, &s);
		ck_assert_uint_eq(s.writes, (i / 4) * 2 + (i % 4 == 0 ? 1 : 2));
		ck_assert_uint_eq(s.written_bytes, s.writes * 4096);
	}
	r->lun->strict = 0;
	ck_assert_uint_eq(s.errors, 4);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("scsi_unit");
	TCase *t = tcase_create("unit");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, what_flushes);
	tcase_add_test(t, absent_is_not_looked_up_again);
	tcase_add_test(t, small_commands);
	tcase_add_test(t, attentions_one_by_one_by_priority);
	tcase_add_test(t, attention_survives_what_guests_overlook);
	tcase_add_test(t, request_sense_takes_the_attention);
	tcase_add_test(t, each_nexus_hears_it);
	tcase_add_test(t, another_disk_in_the_same_place);
	tcase_add_test(t, attention_and_unknown_commands);
	tcase_add_test(t, statistics);
	tcase_add_test(t, every_write_counts_once);
	suite_add_tcase(s, t);
	return rig_main(s);
}
