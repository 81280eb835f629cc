/* SPDX-License-Identifier: MIT */
/*
 * A drive: its commands with every allocation length, tray and lock, media that are changed
 * from outside and under requests (spec: scsi-target, section 16; hostile-cases S33 to S35).
 */
#include <sys/param.h>

#include "tests/ut/vsp/scsi_rig.h"

#define BLOCKS	     1000u
#define NO_MEDIUM    SENSE_NO_MEDIUM_CLOSED
#define NO_MEDIUM_TO SENSE_NO_MEDIUM_OPEN /* tray open */

static struct rig *r;
static struct blk_dev *iso[2];
static uint32_t released[2];
static struct scsi_medium *held; /* as a transport would, beside its queue */

static void on_released(void *ctx, struct blk_dev *dev)
{
	uint32_t *n = ctx;

	ck_assert_ptr_eq(dev, iso[n - released]);
	++*n;
}

/* What a transport does before each command: a queue to what is in the drive. */
static void look(void)
{
	struct scsi_medium *m = scsi_lun_medium_get(r->lun);

	if (m == held) {
		scsi_medium_put(m);
		return;
	}
	blk_queue_destroy(r->q);
	scsi_medium_put(held);
	held = m;
	r->q = fake_blk_queue(m ? scsi_medium_dev(m) : r->dev);
}

static void send_to(struct scsi_target *t, const uint8_t *cdb, uint32_t cdb_len, uint8_t dir,
		    uint32_t len)
{
	r->target = t;
	rig_prepare(r, cdb, cdb_len, dir, len);
	if (dir == SCSI_DIR_IN)
		memset(r->data, UNTOUCHED, len);
	memset(r->data + len, CANARY, RIG_CANARY);
	paint_stack();
	r->task.queue = r->q;
	r->task.medium = held;
	r->pending = !scsi_execute(t, 0, &r->task);
	rig_canaries(r, len);
	if (r->pending)
		return;
	rig_verdict(r);
	if (dir == SCSI_DIR_IN)
		ck_assert(all_are(r->data + r->task.transferred, len - r->task.transferred,
				  UNTOUCHED));
}

static uint32_t result_of(const uint8_t *cdb, uint32_t cdb_len, uint8_t dir, uint32_t len)
{
	look();
	send_to(r->target, cdb, cdb_len, dir, len);
	return r->pending ? 0 : rig_result(r);
}

#define DVD_IN(len, ...)  result_of(CDB(__VA_ARGS__), SCSI_DIR_IN, len)
#define DVD_OUT(len, ...) result_of(CDB(__VA_ARGS__), SCSI_DIR_OUT, len)
#define DVD_NODATA(...)	  result_of(CDB(__VA_ARGS__), SCSI_DIR_NONE, 0)
#define READY()		  DVD_NODATA(0, 0, 0, 0, 0, 0)
#define EJECT()		  DVD_NODATA(0x1b, 0, 0, 0, 2, 0)
#define LOAD()		  DVD_NODATA(0x1b, 0, 0, 0, 3, 0)
#define PREVENT(on)	  DVD_NODATA(0x1e, 0, 0, 0, on, 0)

static struct scsi_target *new_target(void)
{
	struct scsi_target *t;

	ck_assert_int_eq(scsi_target_create(&t), 0);
	ck_assert_int_eq(scsi_target_attach(t, 0, r->lun), 0);
	return t;
}

static void insert(int i)
{
	ck_assert_int_eq(scsi_lun_set_medium(r->lun, iso[i], on_released, &released[i]), 0);
}

static void take_out(void)
{
	ck_assert_int_eq(scsi_lun_set_medium(r->lun, NULL, NULL, NULL), 0);
}

static void setup(void)
{
	struct scsi_lun_config cfg = { .type = SCSI_DVD, .serial = "DVD" };

	r = rig_new();
	rig_detach(r);
	memcpy(cfg.id, rig_id, sizeof(cfg.id));
	ck_assert_int_eq(scsi_lun_create(&r->lun, &cfg), 0);
	r->target = new_target();
	for (int i = 0; i < 2; i++) {
		iso[i] = fake_blk_new();
		fake_blk_resize(iso[i], BLOCKS * 2048 + (i ? 1536 : 0), 512);
		memset(iso[i]->ram, 0x10 + i, BLOCKS * 2048);
		released[i] = 0;
	}
	held = NULL;
}

static void teardown(void)
{
	look();
	scsi_medium_put(held);
	held = NULL;
	rig_free(r);
	for (int i = 0; i < 2; i++)
		fake_blk_free(iso[i]);
}

static void loaded(void)
{
	insert(0);
	ck_assert_uint_eq(READY(), SENSE_MEDIUM_CHANGED);
	ck_assert_uint_eq(READY(), 0);
}

/* ---- what it says ----------------------------------------------------------------------- */

START_TEST(inquiry)
{
	static const uint8_t want[36] = "\x05\x80\0\x02\x1f\0\0\0Msft    Virtual DVD-ROM 1.0 ";

	ck_assert_uint_eq(DVD_IN(255, 0x12, 0, 0, 0, 255, 0), 0);
	rig_expect_data(r, want, 36);
	ck_assert_uint_eq(DVD_IN(255, 0x12, 1, 0, 0, 255, 0), 0);
	rig_expect_data(r, (const uint8_t[]){ 5, 0, 0, 2, 0, 0x83 }, 6);
	ck_assert_uint_eq(DVD_IN(255, 0x12, 1, 0x83, 0, 255, 0), 0);
	ck_assert_uint_eq(r->task.transferred, 52);
	ck_assert_uint_eq(r->data[0], 5);
	ck_assert_uint_eq(DVD_IN(255, 0x12, 1, 0x80, 0, 255, 0), SENSE_CDB_FIELD);
	ck_assert_uint_eq(DVD_IN(255, 0x12, 0, 0x80, 0, 255, 0), SENSE_CDB_FIELD);
}
END_TEST

START_TEST(golden_toc)
{
	static const uint8_t lba[] = { 0, 0x12, 1,    1, 0, 0x14, 1, 0,	  Z4,
				       0, 0x14, 0xaa, 0, 0, 0,	  3, 0xe8 };
	static const uint8_t msf[] = { 0, 0x12, 1, 1,	 0,    0x14, 1, 0, 0,  0,
				       2, 0,	0, 0x14, 0xaa, 0,    0, 0, 15, 25 };
	static const uint8_t sessions[] = { 0, 0x0a, 1, 1, 0, 0x14, 1, 0, Z4 };

	loaded();
	ck_assert_uint_eq(DVD_IN(255, 0x43, 0, 0, Z4, 0, 255, 0), 0);
	rig_expect_data(r, lba, sizeof(lba));
	ck_assert_uint_eq(DVD_IN(255, 0x43, 2, 0, Z4, 0, 255, 0), 0);
	rig_expect_data(r, msf, sizeof(msf));
	ck_assert_uint_eq(DVD_IN(255, 0x43, 0, 1, Z4, 0, 255, 0), 0);
	rig_expect_data(r, sessions, sizeof(sessions));
	ck_assert_uint_eq(DVD_IN(255, 0x43, 0, 0, Z4, 0, 255, 0x40), 0);
	rig_expect_data(r, sessions, sizeof(sessions));
	ck_assert_uint_eq(DVD_IN(255, 0x43, 0, 0, 0, 0, 0, 0xaa, 0, 255, 0), 0);
	ck_assert_uint_eq(r->task.transferred, 12);
	ck_assert_uint_eq(DVD_IN(255, 0x43, 0, 0, 0, 0, 0, 2, 0, 255, 0), SENSE_CDB_FIELD);
	for (uint8_t format = 2; format < 16; format++)
		ck_assert_uint_eq(DVD_IN(255, 0x43, 0, format, Z4, 0, 255, 0), SENSE_CDB_FIELD);
}
END_TEST

START_TEST(capacity_and_reading)
{
	loaded();
	ck_assert_uint_eq(DVD_IN(8, 0x25, Z9), 0);
	rig_expect_data(r, (const uint8_t[]){ 0, 0, 3, 0xe7, 0, 0, 8, 0 }, 8);
	ck_assert_uint_eq(DVD_IN(4096, READ10(998, 2)), 0);
	ck_assert_uint_eq(r->task.transferred, 4096);
	ck_assert(all_are(r->data, 4096, 0x10));
	ck_assert_uint_eq(DVD_IN(2048, 0xa8, 0, L32(0), L32(1), 0, 0), 0);
	ck_assert_uint_eq(DVD_IN(2048, READ16(999, 1)), 0);
	ck_assert_uint_eq(DVD_IN(2048, READ10(1000, 0)), 0);
	ck_assert_uint_eq(DVD_IN(2048, READ10(1000, 1)), SENSE_LBA_RANGE);
	ck_assert_uint_eq(DVD_IN(2048, READ16(-1ull, 1)), SENSE_LBA_RANGE);
	ck_assert_uint_eq(DVD_IN(2048, READ10(0, 2)), SENSE_CDB_FIELD);
	ck_assert_uint_eq(DVD_OUT(2048, WRITE10(0, 1)), SENSE_OPCODE);
	/* An image that ends inside a block. */
	insert(1);
	ck_assert_uint_eq(READY(), SENSE_MEDIUM_CHANGED);
	ck_assert_uint_eq(DVD_IN(2048, READ10(1000, 1)), SENSE_LBA_RANGE);
}
END_TEST

#define READ_CD(type, lba, n, what, sub)                                                           \
	0xbe, type, L32(lba), (uint8_t)((n) >> 16), (uint8_t)((n) >> 8), (uint8_t)(n), what, sub, 0

START_TEST(read_cd)
{
	ck_assert_uint_eq(DVD_IN(2048, READ_CD(0, 0, 1, 0x10, 0)), NO_MEDIUM);
	ck_assert_uint_eq(DVD_IN(2048, READ_CD(0, 0, 1, 0xf8, 0)), SENSE_CDB_FIELD);
	loaded();
	iso[0]->ram[998 * 2048] = 0x77;
	ck_assert_uint_eq(DVD_IN(4096, READ_CD(0, 998, 2, 0x10, 0)), 0);
	ck_assert_uint_eq(r->task.transferred, 4096);
	ck_assert_uint_eq(r->data[0], 0x77);
	ck_assert(all_are(r->data + 1, 4095, 0x10));
	ck_assert_uint_eq(DVD_IN(2048, READ_CD(0x08, 999, 1, 0x10, 0)), 0); /* as Mode 1 */
	ck_assert_uint_eq(DVD_IN(2048, READ_CD(0, 0, 0, 0x10, 0)), 0);
	ck_assert_uint_eq(DVD_IN(2048, READ_CD(0, 1000, 0, 0x10, 0)), 0);
	for (uint32_t type = 1; type < 8; type++)
		ck_assert_uint_eq(DVD_IN(2048, READ_CD(type << 2, 0, 1, 0x10, 0)),
				  type == 2 ? 0 : SENSE_WRONG_TRACK);
	for (uint32_t what = 0; what < 256; what++)
		ck_assert_uint_eq(DVD_IN(4096, READ_CD(0, 0, 1, what, 0)),
				  what == 0x10 ? 0 : SENSE_CDB_FIELD);
	ck_assert_uint_eq(DVD_IN(2048, READ_CD(0, 0, 1, 0x10, 1)), SENSE_CDB_FIELD);
	ck_assert_uint_eq(DVD_IN(2048, READ_CD(1, 0, 1, 0x10, 0)), SENSE_CDB_FIELD);
	ck_assert_uint_eq(DVD_IN(2048, READ_CD(0, 1000, 1, 0x10, 0)), SENSE_LBA_RANGE);
	ck_assert_uint_eq(DVD_IN(2048, READ_CD(0, -1, 1, 0x10, 0)), SENSE_LBA_RANGE);
	ck_assert_uint_eq(DVD_IN(2048, READ_CD(0, 0, 0xffffff, 0x10, 0)), SENSE_LBA_RANGE);
	ck_assert_uint_eq(DVD_IN(2047, READ_CD(0, 0, 1, 0x10, 0)), SENSE_CDB_FIELD);
}
END_TEST

#define READ_CD_MSF(m, s, f, m2, s2, f2) 0xb9, 0, 0, m, s, f, m2, s2, f2, 0x10, 0, 0

START_TEST(read_cd_msf)
{
	loaded();
	iso[0]->ram[75 * 2048] = 0x78;
	ck_assert_uint_eq(DVD_IN(4096, READ_CD_MSF(0, 3, 0, 0, 3, 2)), 0); /* LBA 75, 2 blocks */
	ck_assert_uint_eq(r->task.transferred, 4096);
	ck_assert_uint_eq(r->data[0], 0x78);
	ck_assert_uint_eq(DVD_IN(2048, READ_CD_MSF(0, 15, 24, 0, 15, 25)), 0); /* the last */
	ck_assert_uint_eq(DVD_IN(2048, READ_CD_MSF(0, 15, 25, 0, 15, 26)), SENSE_LBA_RANGE);
	ck_assert_uint_eq(DVD_IN(2048, READ_CD_MSF(0, 1, 74, 0, 2, 0)), SENSE_LBA_RANGE);
	ck_assert_uint_eq(DVD_IN(2048, READ_CD_MSF(0, 2, 0, 0, 2, 0)), 0); /* nothing */
	ck_assert_uint_eq(r->task.transferred, 0);
	ck_assert_uint_eq(DVD_IN(2048, READ_CD_MSF(0, 3, 0, 0, 2, 0)), SENSE_CDB_FIELD);
	ck_assert_uint_eq(DVD_IN(2048, READ_CD_MSF(0, 60, 0, 1, 0, 1)), SENSE_CDB_FIELD);
	ck_assert_uint_eq(DVD_IN(2048, READ_CD_MSF(0, 2, 75, 0, 3, 1)), SENSE_CDB_FIELD);
	ck_assert_uint_eq(DVD_IN(2048, READ_CD_MSF(255, 59, 74, 255, 59, 74)), SENSE_LBA_RANGE);
}
END_TEST

/* Section 1: what is wrong with the CDB is wrong in an empty drive, too. */
START_TEST(fields_come_before_the_medium)
{
	ck_assert_uint_eq(DVD_IN(64, 0x43, 0, 2, Z4, 0, 64, 0), SENSE_CDB_FIELD);
	ck_assert_uint_eq(DVD_IN(64, 0x51, 1, 0, Z4, 0, 64, 0), SENSE_CDB_FIELD);
	ck_assert_uint_eq(DVD_IN(64, 0x52, 3, 0, Z4, 0, 64, 0), SENSE_CDB_FIELD);
	ck_assert_uint_eq(DVD_IN(64, 0xad, 0, Z4, 0, 2, 0, 64, 0, 0), SENSE_CDB_FIELD);
	ck_assert_uint_eq(DVD_IN(64, 0xad, 0, Z4, 1, 0, 0, 64, 0, 0), SENSE_CDB_FIELD);
	ck_assert_uint_eq(DVD_IN(64, 0xad, 0, Z4, 0, 0, 0, 64, 0, 0), NO_MEDIUM);
}
END_TEST

START_TEST(mode_sense_6)
{
	uint8_t ten[128];

	ck_assert_uint_eq(DVD_IN(128, 0x5a, 0, 0x3f, Z4, 0, 128, 0), 0);
	memcpy(ten, r->data, 128);
	ck_assert_uint_eq(DVD_IN(128, 0x1a, 0, 0x3f, 0, 128, 0), 0);
	ck_assert_uint_eq(r->task.transferred, be16_at(ten) + 2 - 4);
	ck_assert_uint_eq(r->data[0], r->task.transferred - 1);
	ck_assert_mem_eq(r->data + 4, ten + 8, r->task.transferred - 4);
	ck_assert_uint_eq(DVD_IN(128, 0x1a, 0, 0x08, 0, 128, 0), SENSE_CDB_FIELD);
	ck_assert_uint_eq(DVD_IN(128, 0x1a, 0, 0xea, 0, 128, 0), SENSE_NO_SAVING);
}
END_TEST

START_TEST(reservations_do_not_exist)
{
	ck_assert_uint_eq(DVD_NODATA(0x16, Z4, 0), SENSE_OPCODE);
	ck_assert_uint_eq(DVD_IN(8, 0x5e, 0, Z4, 0, 0, 8, 0), SENSE_OPCODE);
}
END_TEST

START_TEST(configuration)
{
	loaded();
	ck_assert_uint_eq(DVD_IN(255, 0x46, 2, 0, 3, 0, 0, 0, 0, 255, 0), 0);
	rig_expect_data(
		r, (const uint8_t[]){ 0, 0, 0, 12, 0, 0, 0, 0x10, 0, 3, 3, 4, 0x39, 0, 0, 0 }, 16);
	ck_assert_uint_eq(DVD_IN(255, 0x46, 2, 0, 4, 0, 0, 0, 0, 255, 0), 0);
	ck_assert_uint_eq(r->task.transferred, 8); /* no such feature */
	ck_assert_uint_eq(DVD_IN(255, 0x46, 3, 0, 0, 0, 0, 0, 0, 255, 0), SENSE_CDB_FIELD);
	take_out();
	ck_assert_uint_eq(DVD_IN(255, 0x46, 1, 0, 0, 0, 0, 0, 0, 255, 0), 0);
	ck_assert_uint_eq(be16_at(r->data + 6), 0);
}
END_TEST

/* What has parameter data: command, its length with a medium, whether it needs one. */
static const struct {
	uint8_t cdb[16], len, alloc_at, alloc_bytes;
	bool medium;
} answers[] = {
	{ { 0x03 }, 6, 4, 1, false },
	{ { 0x12 }, 6, 3, 2, false },
	{ { 0x1a, 0, 0x3f }, 6, 4, 1, false },
	{ { 0x43 }, 10, 7, 2, true },
	{ { 0x43, 2, 1 }, 10, 7, 2, true },
	{ { 0x46 }, 10, 7, 2, false },
	{ { 0x46, 1 }, 10, 7, 2, false },
	{ { 0x46, 2, 0, 0x10 }, 10, 7, 2, false },
	{ { 0x4a, 1, 0, 0, 0x10 }, 10, 7, 2, false },
	{ { 0x4a, 1 }, 10, 7, 2, false },
	{ { 0x51 }, 10, 7, 2, true },
	{ { 0x52, 1, 0, 0, 0, 1 }, 10, 7, 2, true },
	{ { 0x5a, 0, 0x3f }, 10, 7, 2, false },
	{ { 0x5a, 0, 0x2a }, 10, 7, 2, false },
	{ { 0x5a, 0, 0x7f }, 10, 7, 2, false },
	{ { 0x5c }, 10, 7, 2, false },
	{ { 0xad }, 12, 8, 2, true },
	{ { 0xad, 0, 0, 0, 0, 0, 0, 1 }, 12, 8, 2, true },
	{ { 0xad, 0, 0, 0, 0, 0, 0, 4 }, 12, 8, 2, true },
	{ { 0xbd }, 12, 8, 2, false },
};

static uint32_t ask(int i, uint32_t alloc, uint32_t buffer)
{
	uint8_t cdb[16];

	memcpy(cdb, answers[i].cdb, sizeof(cdb));
	if (answers[i].alloc_bytes == 2)
		be16_put(cdb + answers[i].alloc_at, (uint16_t)alloc);
	else
		cdb[answers[i].alloc_at] = (uint8_t)alloc;
	return result_of(cdb, answers[i].len, SCSI_DIR_IN, buffer);
}

START_TEST(S34_every_allocation_length)
{
	uint32_t most = answers[_i].alloc_bytes == 2 ? 4096 : 255, full, step;
	uint8_t whole[4096];

	ck_assert_uint_eq(ask(_i, most, 4096), answers[_i].medium ? NO_MEDIUM : 0);
	loaded();
	ask(_i, most, 4096); /* takes the event */
	ck_assert_uint_eq(ask(_i, most, 4096), 0);
	full = r->task.transferred;
	memcpy(whole, r->data, full);
	for (uint32_t n = 0; n <= MIN(most, full + 8); n += step) {
		ck_assert_uint_eq(ask(_i, n, 4096), 0);
		rig_expect_data(r, whole, MIN(n, full));
		ck_assert_uint_eq(ask(_i, most, n), 0);
		rig_expect_data(r, whole, MIN(n, full));
		step = full > 256 && n > 64 && n < full - 8 ? 7 : 1;
	}
}
END_TEST

START_TEST(S34_every_field)
{
	static const uint8_t opcodes[] = { 0x43, 0x46, 0x4a, 0x51, 0x52, 0x5a, 0xad, 0xb9, 0xbe };

	loaded();
	for (size_t o = 0; o < ARRAY_SIZE(opcodes); o++)
		for (uint32_t at = 1; at < 12; at++)
			for (uint32_t v = 0; v < 256; v += 5) {
				uint8_t cdb[16] = { opcodes[o] };
				uint32_t got;

				if (opcodes[o] <= 0xad)
					be16_put(cdb + (opcodes[o] == 0xad ? 8 : 7), 512);
				else
					cdb[9] = 0x10;
				cdb[at] = (uint8_t)v;
				got = result_of(cdb, opcodes[o] >= 0xad ? 12 : 10, SCSI_DIR_IN,
						1024);
				ck_assert(!got || got >> 16 == 5);
			}
}
END_TEST

START_TEST(mode_select)
{
	static const struct {
		uint8_t descriptors, page, len;
		uint32_t want;
	} c[] = {
		{ 0, 0x01, 20, 0 },
		{ 0, 0x1a, 20, 0 },
		{ 0, 0x1d, 20, 0 },
		{ 0, 0x1a, 0, 0 },
		{ 0, 0x1a, 19, SENSE_LIST_LENGTH },
		{ 0, 0x1a, 9, SENSE_LIST_LENGTH },
		{ 200, 0x1a, 20, SENSE_LIST_LENGTH }, /* past the list */
		{ 0, 0x2a, 20, SENSE_LIST_FIELD },
		{ 0, 0x08, 20, SENSE_LIST_FIELD },
	};

	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		memset(r->data, 0, 64);
		r->data[7] = c[i].descriptors;
		r->data[8] = c[i].page;
		r->data[9] = 0x0a;
		ck_assert_uint_eq(DVD_OUT(c[i].len, 0x55, 0x10, Z4, 0, 0, c[i].len, 0), c[i].want);
	}
	ck_assert_uint_eq(DVD_OUT(20, 0x55, 0x11, Z4, 0, 0, 20, 0), SENSE_CDB_FIELD);
	ck_assert_uint_eq(DVD_IN(255, 0x5a, 0, 0xff, Z4, 0, 255, 0), SENSE_NO_SAVING);
	ck_assert_uint_eq(DVD_IN(255, 0x5a, 0, 8, Z4, 0, 255, 0), SENSE_CDB_FIELD);
}
END_TEST

/* ---- tray, lock, media
 * ----------------------------------------------------------------------------- */

static uint32_t event(uint8_t *status)
{
	ck_assert_uint_eq(DVD_IN(8, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8, 0), 0);
	ck_assert_uint_eq(be16_at(r->data), 6);
	ck_assert_uint_eq(r->data[2], 4);
	*status = r->data[5];
	return r->data[4];
}

START_TEST(eject_and_load)
{
	uint8_t status;

	ck_assert_uint_eq(READY(), NO_MEDIUM);
	ck_assert_uint_eq(event(&status), 0);
	insert(0);
	ck_assert_uint_eq(event(&status), 2); /* also while the attention waits */
	ck_assert_uint_eq(status, 2);
	ck_assert_uint_eq(event(&status), 0);
	ck_assert_uint_eq(READY(), SENSE_MEDIUM_CHANGED);
	ck_assert_uint_eq(DVD_NODATA(0x1b, 0, 0, 0, 0, 0), 0);	  /* stop: stays in */
	ck_assert_uint_eq(DVD_NODATA(0x1b, 1, 0, 0, 1, 0), 0);	  /* start */
	ck_assert_uint_eq(DVD_NODATA(0x1b, 0, 0, 0, 0x32, 0), 0); /* power condition */
	ck_assert_uint_eq(READY(), 0);
	ck_assert_uint_eq(EJECT(), 0);
	ck_assert_uint_eq(READY(), NO_MEDIUM_TO);
	ck_assert_uint_eq(released[0], 1);
	ck_assert_uint_eq(event(&status), 3);
	ck_assert_uint_eq(status, 1);
	ck_assert_uint_eq(DVD_IN(2048, READ10(0, 1)), NO_MEDIUM_TO);
	ck_assert_uint_eq(LOAD(), 0);
	ck_assert_uint_eq(READY(), NO_MEDIUM);
}
END_TEST

START_TEST(S35_eject_while_locked)
{
	struct scsi_target *other = new_target(), *mine = r->target;

	ck_assert_uint_eq(PREVENT(1), 0);
	ck_assert_uint_eq(EJECT(), SENSE_PREVENTED_EMPTY);
	loaded();
	ck_assert_uint_eq(EJECT(), SENSE_REMOVAL_PREVENTED);
	ck_assert_uint_eq(READY(), 0);
	ck_assert_uint_eq(PREVENT(0), 0);
	/* Anybody's lock counts, and goes with him. */
	r->target = other;
	ck_assert_uint_eq(READY(), SENSE_MEDIUM_CHANGED);
	ck_assert_uint_eq(PREVENT(3), 0);
	r->target = mine;
	ck_assert_uint_eq(EJECT(), SENSE_REMOVAL_PREVENTED);
	if (_i == 0)
		scsi_target_lost(other);
	else if (_i == 1)
		scsi_target_reset(other, SCSI_ALL_LUNS);
	else
		scsi_target_reset(mine, 0);
	READY(); /* the reset */
	ck_assert_uint_eq(EJECT(), 0);
	scsi_target_destroy(other);
	/* Its owner changes the medium whatever guests say. */
	ck_assert_uint_eq(PREVENT(1), 0);
	insert(1);
	take_out();
	ck_assert_uint_eq(released[1], 1);
}
END_TEST

START_TEST(S35_eject_with_io_running)
{
	loaded();
	iso[0]->delayed = true;
	DVD_IN(2048, READ10(5, 1));
	ck_assert(r->pending);
	take_out();
	ck_assert_uint_eq(released[0], 0); /* not under the request */
	fake_blk_run(r->q);
	ck_assert_uint_eq(rig_result(r), 0);
	ck_assert(all_are(r->data, 2048, 0x10));
	ck_assert_uint_eq(READY(), NO_MEDIUM);
	ck_assert_uint_eq(released[0], 1);
}
END_TEST

/* The medium changes between the transport's look and the command. */
START_TEST(S35_changed_under_a_command)
{
	loaded();
	insert(1);
	READY(); /* the attention */
	insert(0);
	send_to(r->target, CDB(0x03, 0, 0, 0, 18, 0), SCSI_DIR_IN, 18); /* so is this one */
	send_to(r->target, CDB(READ10(0, 1)), SCSI_DIR_IN, 2048);
	ck_assert_uint_eq(rig_result(r), SENSE_BECOMING_READY);
	ck_assert_uint_eq(DVD_IN(2048, READ10(0, 1)), 0);
	ck_assert(all_are(r->data, 2048, 0x10));
}
END_TEST

START_TEST(S33_changes_while_nobody_looks)
{
	struct scsi_target *other = new_target(), *mine = r->target;
	uint8_t status;

	for (int i = 0; i < 1000; i++) {
		insert(i & 1);
		if (i % 3 == 0)
			take_out();
	}
	insert(1);
	ck_assert_uint_eq(released[0], 500); /* each as soon as it was out */
	for (int i = 0; i < 2; i++) {
		r->target = i ? other : mine;
		ck_assert_uint_eq(event(&status), 2); /* the latest, once */
		ck_assert_uint_eq(status, 2);
		ck_assert_uint_eq(READY(), SENSE_MEDIUM_CHANGED);
		ck_assert_uint_eq(READY(), 0);
		ck_assert_uint_eq(event(&status), 0);
	}
	ck_assert_uint_eq(DVD_IN(2048, READ10(0, 1)), 0);
	ck_assert(all_are(r->data, 2048, 0x11));
	r->target = mine;
	scsi_target_destroy(other);
}
END_TEST

START_TEST(event_needs_room_and_polling)
{
	uint8_t status;

	insert(0);
	ck_assert_uint_eq(DVD_IN(8, 0x4a, 0, 0, 0, 0x10, 0, 0, 0, 8, 0), SENSE_CDB_FIELD);
	ck_assert_uint_eq(DVD_IN(8, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 4, 0), 0);
	ck_assert_uint_eq(DVD_IN(8, 0x4a, 1, 0, 0, 0x02, 0, 0, 0, 8, 0), 0);
	rig_expect_data(r, (const uint8_t[]){ 0, 2, 0x80, 0x10 }, 4);
	ck_assert_uint_eq(event(&status), 2);
	ck_assert_int_eq(scsi_lun_set_medium(r->lun, NULL, NULL, NULL), 0);
}
END_TEST

START_TEST(no_medium_anywhere)
{
	ck_assert_uint_eq(DVD_IN(8, 0x25, Z9), NO_MEDIUM);
	ck_assert_uint_eq(DVD_IN(2048, READ10(0, 1)), NO_MEDIUM);
	ck_assert_uint_eq(DVD_IN(2048, READ16(0, 1)), NO_MEDIUM);
	ck_assert_uint_eq(DVD_IN(2048, 0xa8, 0, Z4, L32(1), 0, 0), NO_MEDIUM);
	ck_assert_uint_eq(DVD_IN(64, 0x51, Z4, 0, 0, 0, 64, 0), NO_MEDIUM);
	ck_assert_uint_eq(DVD_IN(64, 0x52, Z4, 0, 0, 0, 64, 0), NO_MEDIUM);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("scsi_dvd");
	TCase *t = tcase_create("dvd");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, inquiry);
	tcase_add_test(t, golden_toc);
	tcase_add_test(t, capacity_and_reading);
	tcase_add_test(t, reservations_do_not_exist);
	tcase_add_test(t, read_cd);
	tcase_add_test(t, read_cd_msf);
	tcase_add_test(t, fields_come_before_the_medium);
	tcase_add_test(t, mode_sense_6);
	tcase_add_test(t, configuration);
	tcase_add_loop_test(t, S34_every_allocation_length, 0, ARRAY_SIZE(answers));
	tcase_add_test(t, S34_every_field);
	tcase_add_test(t, mode_select);
	tcase_add_test(t, eject_and_load);
	tcase_add_loop_test(t, S35_eject_while_locked, 0, 3);
	tcase_add_test(t, S35_eject_with_io_running);
	tcase_add_test(t, S35_changed_under_a_command);
	tcase_add_test(t, S33_changes_while_nobody_looks);
	tcase_add_test(t, event_needs_room_and_polling);
	tcase_add_test(t, no_medium_anywhere);
	suite_add_tcase(s, t);
	return rig_main(s);
}
