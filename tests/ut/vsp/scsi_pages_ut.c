/* SPDX-License-Identifier: MIT */
/*
 * What the disk says about itself: the worked examples of spec: scsi-target, section 18,
 * the conversation of section 15.1, and INQUIRY / REPORT LUNS where nothing is.
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

/* ---- section 18, byte for byte -------------------------------------------------------- */

static const uint8_t golden_inquiry[96] = {
	0x00, 0x00, 0x05, 0x02, 0x5b, 0x00, 0x00, 0x02, 0x4d, 0x73, 0x66, 0x74, 0x20,
	0x20, 0x20, 0x20, 0x56, 0x69, 0x72, 0x74, 0x75, 0x61, 0x6c, 0x20, 0x44, 0x69,
	0x73, 0x6b, 0x20, 0x20, 0x20, 0x20, 0x31, 0x2e, 0x30, 0x20, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x60, 0x03, 0x00, 0x04, 0xc0,
};
static const uint8_t golden_vpd00[] = {
	0x00, 0x00, 0x00, 0x06, 0x00, 0x80, 0x83, 0xb0, 0xb1, 0xb2
};
static const char golden_vpd80[] = "\x00\x80\x00\x20"
				   "33221100554477668899aabbccddeeff";
static const uint8_t golden_vpd83[52] = {
	0x00, 0x83, 0x00, 0x30, 0x01, 0x01, 0x00, 0x18, 0x4d, 0x73, 0x66, 0x74, 0x20,
	0x20, 0x20, 0x20, 0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99,
	0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0x01, 0x03, 0x00, 0x10, 0x60, 0x02, 0x24,
	0x80, 0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff,
};
static const uint8_t golden_vpdb0[64] = {
	0x00, 0xb0, 0x00, 0x3c, 0x01, 0xff, 0x00, 0x08, 0x00, 0x00, 0x20, 0x00, 0x00, 0x00, 0x02,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00,
	0x10, 0x00, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00,
};
static const uint8_t golden_vpdb1[64] = { 0x00, 0xb1, 0x00, 0x3c, 0x00, 0x01 };
static const uint8_t golden_vpdb2[] = { 0x00, 0xb2, 0x00, 0x04, 0x01, 0xe4, 0x02, 0x00 };
static const uint8_t golden_capacity10[] = { 0x00, 0x01, 0xff, 0xff, 0x00, 0x00, 0x02, 0x00 };
static const uint8_t golden_capacity16[32] = { 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0xff, 0xff,
					       0x00, 0x00, 0x02, 0x00, 0x00, 0x03, 0xc0, 0x00 };
static const uint8_t golden_mode6_08[24] = { 0x17, 0x00, 0x10, 0x00, 0x08, 0x12, 0x04 };
static const uint8_t golden_mode10_08[28] = { 0x00, 0x1a, 0x00, 0x10, 0x00, 0x00,
					      0x00, 0x00, 0x08, 0x12, 0x04 };
static const uint8_t golden_mode6_3f[60] = {
	0x3b, 0x00, 0x10, 0x00, 0x01, 0x0a, 0xc0, 0x08, 0x00, 0x00, 0x00, 0x00, 0x08,
	0x00, 0x00, 0x00, 0x08, 0x12, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0a, 0x0a, 0x02,
	0x10, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0x00, 0x00, 0x1c, 0x0a,
};
static const uint8_t golden_luns[] = {
	0x00, 0x00, 0x00, 0x18, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
};

#define INQ(len)	0x12, 0, 0, 0, len, 0
#define VPD(page, len)	0x12, 1, page, 0, len, 0
#define CAPACITY16(len) 0x9e, 0x10, Z8, L32(len), 0, 0

static const struct vector {
	const char *what;
	uint8_t cdb[16];
	const void *want;
	uint32_t len;
} vectors[] = {
	{ "INQUIRY", { INQ(0x60) }, golden_inquiry, 96 },
	{ "VPD 00", { VPD(0x00, 0xff) }, golden_vpd00, 10 },
	{ "VPD 80", { VPD(0x80, 0xff) }, golden_vpd80, 36 },
	{ "VPD 83", { VPD(0x83, 0xff) }, golden_vpd83, 52 },
	{ "VPD B0", { VPD(0xb0, 0xff) }, golden_vpdb0, 64 },
	{ "VPD B1", { VPD(0xb1, 0xff) }, golden_vpdb1, 64 },
	{ "VPD B2", { VPD(0xb2, 0xff) }, golden_vpdb2, 8 },
	{ "READ CAPACITY(10)", { 0x25 }, golden_capacity10, 8 },
	{ "READ CAPACITY(16)", { CAPACITY16(32) }, golden_capacity16, 32 },
	{ "MODE SENSE(6) 08", { 0x1a, 0, 0x08, 0, 0xff, 0 }, golden_mode6_08, 24 },
	{ "MODE SENSE(10) 08", { 0x5a, 0, 0x08, Z4, 0, 0xff, 0 }, golden_mode10_08, 28 },
	{ "MODE SENSE(6) 3F", { 0x1a, 0, 0x3f, 0, 0xff, 0 }, golden_mode6_3f, 60 },
	{ "MODE SENSE(6) 3F, 4 bytes", { 0x1a, 0, 0x3f, 0, 4, 0 }, golden_mode6_3f, 4 },
	{ "MODE SENSE(6) 3F, subpages FF", { 0x1a, 8, 0x3f, 0xff, 0xff, 0 }, golden_mode6_3f, 60 },
	{ "MODE SENSE(6) 3F, default values", { 0x1a, 0, 0xbf, 0, 0xff, 0 }, golden_mode6_3f, 60 },
};

static uint32_t len_of(const uint8_t *cdb)
{
	static const uint8_t by_group[8] = { 6, 10, 10, 0, 16, 12, 0, 0 };

	return by_group[cdb[0] >> 5];
}

START_TEST(golden_vectors)
{
	const struct vector *v = &vectors[_i];

	rig_send(r, 0, v->cdb, len_of(v->cdb), SCSI_DIR_IN, 512);
	rig_expect_data(r, v->want, v->len);
}
END_TEST

START_TEST(golden_report_luns)
{
	ck_assert_int_eq(scsi_target_attach(r->target, 5, r->lun), 0);
	ck_assert_int_eq(scsi_target_attach(r->target, 1, r->lun), 0);
	ck_assert_uint_eq(IN(r, 4096, 0xa0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0), 0);
	rig_expect_data(r, golden_luns, 32);
}
END_TEST

START_TEST(golden_sense)
{
	static const uint8_t range[] = { 0x70, 0, 5, 0,	   0, 0, 0, 0x0a, 0,
					 0,    0, 0, 0x21, 0, 0, 0, 0,	  0 };
	static const uint8_t field[] = { 0x70, 0, 5, 0,	   0, 0, 0, 0x0a, 0,
					 0,    0, 0, 0x24, 0, 0, 0, 0,	  0 };
	static const uint8_t size[] = { 0x70, 0, 6, 0,	  0, 0, 0, 0x0a, 0,
					0,    0, 0, 0x2a, 9, 0, 0, 0,	 0 };
	static const uint8_t miscompare[] = { 0xf0, 0, 0x0e, 0,	   0, 1, 0xe5, 0x0a, 0,
					      0,    0, 0,    0x1d, 0, 0, 0,    0,    0 };
	uint8_t sense[SCSI_SENSE_LEN];

	/* READ(16) of LBA 0x1FFFFFFFF, 8 blocks, FUA: far behind the end */
	IN(r, 4096, 0x88, 8, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 8, 0, 0);
	ck_assert_mem_eq(r->task.sense, range, 18);
	IN(r, 512, 0x12, 0, 1, 0, 0xff, 0);
	ck_assert_mem_eq(r->task.sense, field, 18);
	scsi_lun_unit_attention(r->lun, SCSI_UA_CAPACITY_CHANGED);
	NODATA(r, 0, 0, 0, 0, 0, 0);
	ck_assert_mem_eq(r->task.sense, size, 18);
	scsi_sense_write_at(sense, SCSI_SENSE(0xe, 0x1d, 0), 485);
	ck_assert_mem_eq(sense, miscompare, 18);
	scsi_sense_write_at(sense, SENSE_READ_ERROR, 1ull << 32); /* does not fit: not valid */
	ck_assert_uint_eq(sense[0], 0x70);
	ck_assert_uint_eq(be32_at(sense + 3), 0);
}
END_TEST

/* ---- section 15.1: a stock guest's scan, in order ----------------------------------------- */

#define MODE6(page, len) 0x1a, 0, page, 0, len, 0
#define LIST		 { VPD(0x00, 0x24) }, 0x24, 10

static const struct step {
	uint8_t cdb[16];
	uint32_t buffer, want;
} stock_scan[] = {
	{ { INQ(0x24) }, 0x24, 36 },
	{ { INQ(0x60) }, 0x60, 96 },
	{ { VPD(0x00, 0x04) }, 4, 4 },
	{ { VPD(0x00, 0x0a) }, 10, 10 },
	{ { VPD(0x00, 0x04) }, 4, 4 },
	{ { VPD(0x00, 0x0a) }, 10, 10 },
	{ LIST },
	{ { VPD(0x80, 0x04) }, 4, 4 },
	{ { VPD(0x80, 0x24) }, 0x24, 36 },
	{ LIST },
	{ { VPD(0x83, 0x04) }, 4, 4 },
	{ { VPD(0x83, 0x34) }, 0x34, 52 },
	{ LIST },
	{ { VPD(0xb0, 0x04) }, 4, 4 },
	{ { VPD(0xb0, 0x40) }, 0x40, 64 },
	{ LIST },
	{ { VPD(0xb1, 0x04) }, 4, 4 },
	{ { VPD(0xb1, 0x40) }, 0x40, 64 },
	{ LIST },
	{ { VPD(0xb2, 0x04) }, 4, 4 },
	{ { VPD(0xb2, 0x08) }, 8, 8 },
	{ { 0xa0, Z4, 0, 0, 0, 0x10, 0, 0, 0 }, 4096, 16 },
	{ { 0x00 }, 0, 0 },
	{ { CAPACITY16(32) }, 32, 32 },
	{ { MODE6(0x3f, 4) }, 4, 4 },
	{ { MODE6(0x08, 4) }, 4, 4 },
	{ { MODE6(0x08, 0x18) }, 0x18, 24 },
	{ { 0x00 }, 0, 0 },
	{ { CAPACITY16(32) }, 32, 32 },
	{ LIST },
	{ { MODE6(0x3f, 4) }, 4, 4 },
	{ { MODE6(0x08, 4) }, 4, 4 },
	{ { MODE6(0x08, 0x18) }, 0x18, 24 },
	{ { READ10(0, 8) }, 4096, 4096 },
};

START_TEST(stock_guest_scan)
{
	for (size_t i = 0; i < ARRAY_SIZE(stock_scan); i++) {
		const struct step *s = &stock_scan[i];

		rig_send(r, 0, s->cdb, len_of(s->cdb), s->buffer ? SCSI_DIR_IN : SCSI_DIR_NONE,
			 s->buffer);
		ck_assert_msg(!rig_result(r) && r->task.transferred == s->want,
			      "step %zu: result %x, %u bytes, not %u", i, rig_result(r),
			      r->task.transferred, s->want);
	}
	/* 6.12 adds a subpage that we do not have. */
	ck_assert_uint_eq(IN(r, 512, 0x5a, 8, 0x0a, 5, 0, 0, 0, 2, 0, 0), SENSE_CDB_FIELD);
}
END_TEST

/* ---- what depends on the disk ---------------------------------------------------------------- */

START_TEST(read_only_disk)
{
	r->dev->info.readonly = true;
	rig_reattach(r);
	ck_assert_uint_eq(IN(r, 4, MODE6(0x3f, 4)), 0);
	ck_assert_mem_eq(r->data, "\x3b\x00\x90\x00", 4);
	ck_assert_uint_eq(NODATA(r, SYNC10), 0);
	ck_assert_uint_eq(r->dev->n_log, 0);
}
END_TEST

START_TEST(write_through_disk_without_fua)
{
	r->dev->info.volatile_cache = false;
	r->dev->info.fua = false;
	rig_reattach(r);
	ck_assert_uint_eq(IN(r, 24, MODE6(0x08, 24)), 0);
	ck_assert_uint_eq(r->data[2], 0); /* no DPOFUA */
	ck_assert_uint_eq(r->data[6], 0); /* no WCE */
	ck_assert_uint_eq(OUT(r, 512, WRITE10_FUA(0, 1)), SENSE_CDB_FIELD);
	ck_assert_uint_eq(IN(r, 512, 0x28, 0x10, Z4, 0, 0, 1, 0), SENSE_CDB_FIELD);
	ck_assert_uint_eq(r->dev->n_log, 0);
}
END_TEST

START_TEST(thick_disk)
{
	static const uint8_t b2[] = { 0x00, 0xb2, 0x00, 0x04, 0x00, 0x00, 0x01, 0x00 };
	uint8_t list[24] = { 0x00, 0x16, 0x00, 0x10 };

	r->dev->info.discard_granularity = 0;
	r->dev->info.readonly = _i;
	rig_reattach(r);
	IN(r, 64, CAPACITY16(32));
	ck_assert_uint_eq(r->data[14], 0);
	IN(r, 64, VPD(0xb0, 64));
	for (int i = 20; i < 36; i++)
		ck_assert_uint_eq(r->data[i], 0);
	IN(r, 64, VPD(0xb2, 64));
	rig_expect_data(r, b2, 8);
	if (_i) /* how the rest is refused: S17_read_only_disk */
		return;
	memcpy(r->data, list, sizeof(list));
	ck_assert_uint_eq(OUT(r, 24, UNMAP10(24)), SENSE_OPCODE);
	memset(r->data, 0, 512);
	ck_assert_uint_eq(OUT(r, 512, WRITE_SAME16(8, 0, 8)), SENSE_CDB_FIELD);
	ck_assert_uint_eq(OUT(r, 512, WRITE_SAME10(8, 0, 8)), SENSE_CDB_FIELD);
	ck_assert_uint_eq(OUT(r, 512, WRITE_SAME10(0, 0, 8)), 0);
}
END_TEST

START_TEST(large_disk_with_4k_blocks)
{
	uint64_t blocks = (1ull << 40) + 5;

	fake_blk_resize(r->dev, blocks << 12, 4096);
	r->dev->info.physical_block = 1 << 20; /* out of bounds: limited */
	rig_reattach(r);
	IN(r, 8, 0x25, Z9);
	ck_assert_mem_eq(r->data, "\xff\xff\xff\xff\x00\x00\x10\x00", 8);
	IN(r, 32, CAPACITY16(32));
	ck_assert_uint_eq(be64_at(r->data), blocks - 1);
	ck_assert_uint_eq(be32_at(r->data + 8), 4096);
	ck_assert_uint_eq(r->data[13], 4);
	IN(r, 64, VPD(0xb0, 64));
	ck_assert_uint_eq(be32_at(r->data + 8), 1024);
	ck_assert_uint_eq(be32_at(r->data + 12), 64);
	ck_assert_uint_eq(be32_at(r->data + 28), 512);
	IN(r, 8, VPD(0xb2, 8));
	ck_assert_uint_eq(r->data[4], 9); /* 2^40 / 2^9 < 2^32, and not with 8 */
	ck_assert_uint_eq(IN(r, 4096, READ16(blocks - 1, 1)), 0);
	ck_assert_uint_eq(IN(r, 4096, READ16(blocks, 1)), SENSE_LBA_RANGE);
}
END_TEST

START_TEST(capacity10_limit)
{
	fake_blk_resize(r->dev, 0xffffffffull << 9, 512); /* last LBA FFFFFFFE */
	rig_reattach(r);
	IN(r, 8, 0x25, Z9);
	ck_assert_uint_eq(be32_at(r->data), 0xfffffffe);
	fake_blk_resize(r->dev, 0x100000001ull << 9, 512);
	rig_reattach(r);
	IN(r, 8, 0x25, Z9);
	ck_assert_uint_eq(be32_at(r->data), 0xffffffff);
	ck_assert_uint_eq(IN(r, 8, 0x25, 0, 0, 0, 0, 1, 0, 0, 0, 0), SENSE_CDB_FIELD);
	ck_assert_uint_eq(IN(r, 8, 0x25, 0, Z4, 0, 0, 1, 0), SENSE_CDB_FIELD);
}
END_TEST

START_TEST(empty_disk_is_not_ready)
{
	fake_blk_resize(r->dev, 100, 512);
	rig_reattach(r);
	ck_assert_uint_eq(NODATA(r, 0, 0, 0, 0, 0, 0), SENSE_NO_MEDIUM);
	ck_assert_uint_eq(IN(r, 8, 0x25, Z9), SENSE_NO_MEDIUM);
	ck_assert_uint_eq(IN(r, 32, CAPACITY16(32)), SENSE_NO_MEDIUM);
	ck_assert_uint_eq(IN(r, 0, READ10(0, 0)), SENSE_NO_MEDIUM);
	ck_assert_uint_eq(IN(r, 96, INQ(96)), 0);
}
END_TEST

START_TEST(changeable_and_saved_mode_values)
{
	ck_assert_uint_eq(IN(r, 255, MODE6(0x7f, 255)), 0); /* PC 01 */
	ck_assert_uint_eq(r->task.transferred, 60);
	ck_assert_uint_eq(r->data[0], 0x3b);
	for (int i = 4, n; i < 60; i += n) {
		n = 2 + r->data[i + 1];
		for (int k = 2; k < n; k++)
			ck_assert_uint_eq(r->data[i + k],
					  (r->data[i] == 0x0a && k == 4) * 8); /* SWP */
	}
	ck_assert_uint_eq(IN(r, 255, MODE6(0xff, 255)), SENSE_NO_SAVING);
	ck_assert_uint_eq(IN(r, 255, MODE6(0x05, 255)), SENSE_CDB_FIELD);
	ck_assert_uint_eq(IN(r, 255, 0x1a, 0, 0x3f, 1, 255, 0), SENSE_CDB_FIELD);
}
END_TEST

START_TEST(serial_rules)
{
	static const struct {
		const char *serial;
		int want;
	} c[] = {
		{ "", -EINVAL },
		{ "A", 0 },
		{ "0123456789abcdef0123456789abcdef", 0 },
		{ "0123456789abcdef0123456789abcdef0", -EINVAL },
		{ "tab\there", -EINVAL },
		{ "del\x7f", -EINVAL },
	};
	struct scsi_lun_config cfg = { .dev = r->dev };
	struct scsi_lun *l;

	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		cfg.serial = c[i].serial;
		ck_assert_int_eq(scsi_lun_create(&l, &cfg), c[i].want);
		if (c[i].want)
			continue;
		ck_assert_int_eq(scsi_target_attach(r->target, (uint8_t)(10 + i), l), 0);
		rig_send(r, (uint8_t)(10 + i), CDB(VPD(0x80, 255)), SCSI_DIR_IN, 255);
		ck_assert_uint_eq(r->data[3], strlen(c[i].serial));
		ck_assert_mem_eq(r->data + 4, c[i].serial, strlen(c[i].serial));
		rig_send(r, (uint8_t)(10 + i), CDB(VPD(0x83, 255)), SCSI_DIR_IN, 255);
		ck_assert_mem_eq(r->data + 16, r->dev->info.id, 16); /* no id configured */
		scsi_target_destroy(r->target);
		ck_assert_int_eq(scsi_target_create(&r->target), 0);
		scsi_lun_destroy(l);
	}
	ck_assert_ptr_null(r->lun->nexuses);
}
END_TEST

START_TEST(block_size_rules)
{
	static const uint32_t bad[] = { 0, 1, 256, 513, 3072, 8192 };
	struct scsi_lun_config cfg = { .dev = r->dev };
	struct scsi_lun *l = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		r->dev->info.block_size = bad[i];
		ck_assert_int_eq(scsi_lun_create(&l, &cfg), -EINVAL);
	}
	ck_assert_ptr_null(l);
}
END_TEST

/* ---- S42 ------------------------------------------------------------------------------------- */

START_TEST(S42_every_vpd_page)
{
	static const uint8_t listed[] = { 0x00, 0x80, 0x83, 0xb0, 0xb1, 0xb2 };
	uint8_t first[64];

	for (uint32_t page = 0; page < 256; page++) {
		bool is = memchr(listed, (int)page, sizeof(listed)) != NULL;

		IN(r, 255, VPD(page, 255));
		ck_assert_uint_eq(rig_result(r), is ? 0 : SENSE_CDB_FIELD);
		if (!is)
			continue;
		ck_assert_uint_eq(r->data[1], page);
		ck_assert_uint_eq(be16_at(r->data + 2) + 4u, r->task.transferred);
		memcpy(first, r->data, r->task.transferred);
		rig_reattach(r); /* a restart: the same again */
		IN(r, 255, VPD(page, 255));
		ck_assert_mem_eq(r->data, first, r->task.transferred);
	}
}
END_TEST

/* ---- nothing there: S14, S41 -------------------------------------------------------------------
 */

START_TEST(S14_absent_lun_answers_inquiry_only)
{
	static const uint8_t cdbs[][16] = {
		{ 0x00 },	    { 0x03, 0, 0, 0, 18, 0 }, { READ10(0, 1) }, { 0x25 },
		{ CAPACITY16(32) }, { MODE6(0x3f, 4) },	      { SYNC10 },	{ 0xff },
		{ 0x9e, 0x1f },
	};
	static const uint8_t numbers[] = { 1, 63, 64, 128, 255 };

	for (size_t n = 0; n < ARRAY_SIZE(numbers); n++) {
		for (size_t i = 0; i < ARRAY_SIZE(cdbs); i++) {
			rig_send(r, numbers[n], cdbs[i], 16, SCSI_DIR_IN, 512);
			ck_assert(rig_absent(r));
			ck_assert_uint_eq(r->task.status, SCSI_CHECK_CONDITION);
			ck_assert_uint_eq(r->task.sense_len, 0);
		}
		rig_send(r, numbers[n], CDB(INQ(36)), SCSI_DIR_IN, 36);
		ck_assert(!rig_absent(r));
		ck_assert_uint_eq(r->task.transferred, 36);
		ck_assert_uint_eq(r->data[0], 0x7f);
		ck_assert_uint_eq(r->data[4], 0x1f);
		for (int i = 5; i < 36; i++)
			ck_assert_uint_eq(r->data[i], 0);
	}
	ck_assert_uint_eq(r->dev->n_log, 0);
}
END_TEST

START_TEST(S14_inquiry_to_nothing_has_rules)
{
	static const struct {
		uint8_t cdb[6];
		uint32_t buffer;
		uint8_t dir;
	} c[] = {
		{ { VPD(0x00, 36) }, 36, SCSI_DIR_IN },
		{ { 0x12, 0, 0x80, 0, 36, 0 }, 36, SCSI_DIR_IN },
		{ { INQ(4) }, 36, SCSI_DIR_IN },
		{ { INQ(36) }, 35, SCSI_DIR_IN },
		{ { INQ(36) }, 36, SCSI_DIR_OUT },
		{ { INQ(36) }, 36, SCSI_DIR_NONE },
		{ { 0x12, 0, 0, 0, 36, 4 }, 36, SCSI_DIR_IN },
	};

	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		rig_send(r, 7, c[i].cdb, 6, c[i].dir, c[i].buffer);
		ck_assert_uint_eq(rig_result(r), SENSE_CDB_FIELD);
	}
	rig_send(r, 7, CDB(INQ(5)), SCSI_DIR_IN, 36);
	ck_assert_uint_eq(r->task.transferred, 5);
}
END_TEST

static void send_nowhere(const uint8_t *cdb, uint32_t len, uint32_t buffer)
{
	rig_prepare(r, cdb, len, SCSI_DIR_IN, buffer);
	ck_assert(scsi_execute_nowhere(&r->task));
	rig_verdict(r);
}

START_TEST(S14_other_targets_are_empty)
{
	static const uint8_t none[8] = { 0 };

	send_nowhere(CDB(INQ(36)), 36);
	ck_assert_uint_eq(r->task.transferred, 36);
	ck_assert_uint_eq(r->data[0], 0x7f);
	ck_assert_mem_eq(r->data + 8, "Msft    Virtual Disk    1.0 ", 28);
	send_nowhere(CDB(0xa0, Z4, 0, 0, 0, 0x10, 0, 0, 0), 4096);
	rig_expect_data(r, none, 8);
	send_nowhere(CDB(0, 0, 0, 0, 0, 0), 0);
	ck_assert(rig_absent(r));
}
END_TEST

static void report_luns(uint8_t number, uint8_t select)
{
	rig_send(r, number, CDB(0xa0, 0, select, 0, 0, 0, 0, 0, 0x10, 0, 0, 0), SCSI_DIR_IN, 4096);
	ck_assert(!rig_absent(r));
}

START_TEST(S41_report_luns)
{
	static const uint8_t none[8] = { 0 };

	report_luns(0, 1); /* well known LUNs: we have none */
	rig_expect_data(r, none, 8);
	report_luns(0, 3);
	ck_assert_uint_eq(rig_result(r), SENSE_CDB_FIELD);
	for (uint32_t i = 1; i < SCSI_MAX_LUNS; i++)
		ck_assert_int_eq(scsi_target_attach(r->target, (uint8_t)i, r->lun), 0);
	report_luns(255, 2);
	ck_assert_uint_eq(r->task.transferred, 8 + 8 * 64);
	ck_assert_uint_eq(be32_at(r->data), 8 * 64);
	for (uint32_t i = 0; i < SCSI_MAX_LUNS; i++)
		ck_assert_uint_eq(be64_at(r->data + 8 + 8 * i), (uint64_t)i << 48);
	scsi_target_destroy(r->target);
	ck_assert_int_eq(scsi_target_create(&r->target), 0);
	for (uint32_t number = 0; number < 256; number += 51) {
		report_luns((uint8_t)number, 0);
		rig_expect_data(r, none, 8);
	}
}
END_TEST

START_TEST(attach_rules)
{
	ck_assert_int_eq(scsi_target_attach(r->target, 0, r->lun), -EEXIST);
	ck_assert_int_eq(scsi_target_attach(r->target, 64, r->lun), -EINVAL);
	ck_assert_int_eq(scsi_target_attach(r->target, 255, r->lun), -EINVAL);
	ck_assert_ptr_eq(scsi_target_lun(r->target, 0), r->lun);
	ck_assert_ptr_null(scsi_target_lun(r->target, 1));
	ck_assert_ptr_null(scsi_target_lun(r->target, 255));
	ck_assert_ptr_eq(scsi_lun_dev(r->lun), r->dev);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("scsi_pages");
	TCase *t = tcase_create("pages");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, golden_vectors, 0, ARRAY_SIZE(vectors));
	tcase_add_test(t, golden_report_luns);
	tcase_add_test(t, golden_sense);
	tcase_add_test(t, stock_guest_scan);
	tcase_add_test(t, read_only_disk);
	tcase_add_test(t, write_through_disk_without_fua);
	tcase_add_loop_test(t, thick_disk, 0, 2);
	tcase_add_test(t, large_disk_with_4k_blocks);
	tcase_add_test(t, capacity10_limit);
	tcase_add_test(t, empty_disk_is_not_ready);
	tcase_add_test(t, changeable_and_saved_mode_values);
	tcase_add_test(t, serial_rules);
	tcase_add_test(t, block_size_rules);
	tcase_add_test(t, S42_every_vpd_page);
	tcase_add_test(t, S14_absent_lun_answers_inquiry_only);
	tcase_add_test(t, S14_inquiry_to_nothing_has_rules);
	tcase_add_test(t, S14_other_targets_are_empty);
	tcase_add_test(t, S41_report_luns);
	tcase_add_test(t, attach_rules);
	suite_add_tcase(s, t);
	return rig_main(s);
}
