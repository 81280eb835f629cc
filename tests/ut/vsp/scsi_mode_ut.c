/* SPDX-License-Identifier: MIT */
/* MODE SELECT and what it changes (spec: scsi-target, section 5.4; cases S20). */
#include "tests/ut/vsp/scsi_rig.h"

static struct rig *r;
static uint8_t before[64], before_len;

static void setup(void)
{
	r = rig_new();
	IN(r, 255, 0x1a, 0, 0x3f, 0, 255, 0);
	before_len = (uint8_t)r->task.transferred;
	memcpy(before, r->data, before_len);
}

static void teardown(void)
{
	rig_free(r);
}

static void unchanged(void)
{
	ck_assert_uint_eq(IN(r, 255, 0x1a, 0, 0x3f, 0, 255, 0), 0);
	rig_expect_data(r, before, before_len);
}

/* Sends @len bytes of list, six and ten: the ten's header is four bytes longer. */
static uint32_t select6(const uint8_t *list, uint32_t len)
{
	memcpy(r->data, list, len);
	return OUT(r, len, 0x15, 0x10, 0, 0, (uint8_t)len, 0);
}

static uint32_t select10(const uint8_t *list, uint32_t len)
{
	uint8_t both[600] = { 0 };

	be16_put(both + 6, list[3]);
	memcpy(both + 8, list + 4, len - 4);
	memcpy(r->data, both, len + 4);
	return OUT(r, len + 4, 0x55, 0x10, Z4, 0, L16(len + 4), 0);
}

#define CONTROL(swp) 0x0a, 0x0a, 0x02, 0x10, swp, 0, 0, 0, 0xff, 0xff, 0, 0
#define CACHING(wce) 0x08, 0x12, wce, Z8, Z8, 0

static const struct list {
	const char *what;
	uint8_t bytes[64];
	uint32_t len, want;
} lists[] = {
	{ "as it is", { 0, 0, 0, 0, CONTROL(0) }, 16, 0 },
	{ "PS set", { 0, 0, 0, 0, 0x8a, 0x0a, 2, 0x10, Z4, 0xff, 0xff, 0, 0 }, 16, 0 },
	{ "caching", { 0, 0, 0x10, 0, CACHING(4) }, 24, 0 },
	{ "no WCE", { 0, 0, 0, 0, CACHING(0) }, 24, SENSE_LIST_FIELD },
	{ "RCD", { 0, 0, 0, 0, CACHING(5) }, 24, SENSE_LIST_FIELD },
	{ "two pages", { 0, 0, 0, 0, CACHING(4), CONTROL(0) }, 36, 0 },
	{ "SWP, then a bad page", { 0, 0, 0, 0, CONTROL(8), CACHING(0) }, 36, SENSE_LIST_FIELD },
	{ "block descriptor", { 0, 0, 0, 8, Z8, CONTROL(0) }, 24, 0 },
	{ "D_SENSE", { 0, 0, 0, 0, 0x0a, 0x0a, 6, 0x10, Z8 }, 16, SENSE_LIST_FIELD },
	{ "unknown page", { 0, 0, 0, 0, 0x02, 0x0a, Z8 }, 16, SENSE_LIST_FIELD },
	{ "all pages", { 0, 0, 0, 0, 0x3f, 0x0a, Z8 }, 16, SENSE_LIST_FIELD },
	{ "subpage", { 0, 0, 0, 0, 0x4a, 0x05, 0, 8, Z8 }, 16, SENSE_LIST_FIELD },
	{ "header only", { 0, 0, 0, 0 }, 4, SENSE_LIST_LENGTH },
	{ "descriptor past the end", { 0, 0, 0, 200, CONTROL(0) }, 16, SENSE_LIST_LENGTH },
	{ "descriptor and nothing", { 0, 0, 0, 12, CONTROL(0) }, 16, SENSE_LIST_LENGTH },
	{ "one byte of a page", { 0, 0, 0, 0, 0x0a }, 5, SENSE_LIST_LENGTH },
	{ "page cut off", { 0, 0, 0, 0, CONTROL(8) }, 15, SENSE_LIST_LENGTH },
	{ "page too long", { 0, 0, 0, 0, 0x0a, 0xff, 2, 0x10 }, 16, SENSE_LIST_LENGTH },
	{ "page too short", { 0, 0, 0, 0, 0x0a, 0x00, CONTROL(0) }, 18, SENSE_LIST_LENGTH },
	{ "tail", { 0, 0, 0, 0, CONTROL(8), 0x08 }, 17, SENSE_LIST_LENGTH },
};

START_TEST(S20_lists)
{
	const struct list *l = &lists[_i];
	uint32_t want = l->want;
	uint32_t got = select6(l->bytes, l->len);

	ck_assert_msg(got == want, "%s: %06x", l->what, got);
	ck_assert_uint_eq(r->task.transferred, want ? 0 : l->len);
	unchanged();
	got = select10(l->bytes, l->len);
	ck_assert_msg(got == want, "%s (10): %06x", l->what, got);
	unchanged();
}
END_TEST

START_TEST(S20_cdb_and_lengths)
{
	static const uint8_t good[] = { 0, 0, 0, 0, CONTROL(0) };

	memcpy(r->data, good, sizeof(good));
	ck_assert_uint_eq(OUT(r, 16, 0x15, 0x11, 0, 0, 16, 0), SENSE_CDB_FIELD); /* SP */
	ck_assert_uint_eq(OUT(r, 20, 0x55, 0x11, Z4, 0, L16(20), 0), SENSE_CDB_FIELD);
	ck_assert_uint_eq(OUT(r, 16, 0x15, 0x00, 0, 0, 16, 0), 0); /* no PF */
	ck_assert_uint_eq(NODATA(r, 0x15, 0x10, 0, 0, 0, 0), 0);
	ck_assert_uint_eq(NODATA(r, 0x55, 0x10, Z4, 0, L16(0), 0), 0);
	for (uint8_t len = 1; len < 16; len++)
		ck_assert_uint_eq(OUT(r, 16, 0x15, 0x10, 0, 0, len, 0), SENSE_LIST_LENGTH);
	for (uint8_t have = 0; have < 16; have++)
		ck_assert_uint_eq(OUT(r, have, 0x15, 0x10, 0, 0, 16, 0), SENSE_LIST_LENGTH);
	ck_assert_uint_eq(OUT(r, 65535, 0x55, 0x10, Z4, 0, L16(65535), 0), SENSE_LIST_LENGTH);
	unchanged();
}
END_TEST

/* ---- software write protect ------------------------------------------------------------- */

static const uint8_t protect[] = { 0, 0, 0, 0, CONTROL(8) }, allow[] = { 0, 0, 0, 0, CONTROL(0) };

/* ModeSense6.Control-SWP */
START_TEST(swp)
{
	struct scsi_target *other;

	ck_assert_int_eq(scsi_target_create(&other), 0);
	ck_assert_int_eq(scsi_target_attach(other, 0, r->lun), 0);
	ck_assert_uint_eq(select6(protect, 16), 0);
	ck_assert_uint_eq(IN(r, 64, 0x1a, 0, 0x0a, 0, 64, 0), 0);
	ck_assert_uint_eq(r->data[2] & 0x80, 0x80); /* WP */
	ck_assert_uint_eq(r->data[4 + 4], 0x08);
	ck_assert_uint_eq(IN(r, 64, 0x1a, 0, 0x8a, 0, 64, 0), 0); /* by default it is not */
	ck_assert_uint_eq(r->data[4 + 4], 0x00);
	ck_assert_uint_eq(OUT(r, 512, WRITE10(0, 1)), SENSE_SOFTWARE_PROTECTED);
	ck_assert_uint_eq(OUT(r, 512, 0x2e, 0, Z4, 0, 0, 1, 0), SENSE_SOFTWARE_PROTECTED);
	ck_assert_uint_eq(OUT(r, 512, WRITE_SAME16(0, 0, 1)), SENSE_SOFTWARE_PROTECTED);
	ck_assert_uint_eq(OUT(r, 24, UNMAP10(24)), SENSE_SOFTWARE_PROTECTED);
	ck_assert_uint_eq(OUT(r, 512, WRITE10(200000, 1)), SENSE_LBA_RANGE); /* comes first */
	ck_assert_uint_eq(IN(r, 512, READ10(0, 1)), 0);
	ck_assert_uint_eq(select6(allow, 16), 0);
	ck_assert_uint_eq(select6(allow, 16), 0);
	ck_assert_uint_eq(OUT(r, 512, WRITE10(0, 1)), 0);
	/* The other initiator hears of it, once; not of what changed nothing. */
	ck_assert_uint_eq(scsi_nexus_take_attention(scsi_target_nexus(other, 0)),
			  SENSE_MODE_CHANGED);
	ck_assert_uint_eq(scsi_nexus_take_attention(scsi_target_nexus(other, 0)), 0);
	ck_assert_uint_eq(select10(allow, 16), 0);
	ck_assert_uint_eq(scsi_nexus_take_attention(scsi_target_nexus(other, 0)), 0);
	scsi_target_destroy(other);
	unchanged();
}
END_TEST

START_TEST(swp_does_not_make_a_readonly_disk_writable)
{
	r->dev->info.readonly = true;
	rig_reattach(r);
	ck_assert_uint_eq(select6(protect, 16), 0);
	ck_assert_uint_eq(OUT(r, 512, WRITE10(0, 1)), SENSE_WRITE_PROTECTED);
	ck_assert_uint_eq(select6(allow, 16), 0);
	ck_assert_uint_eq(OUT(r, 512, WRITE10(0, 1)), SENSE_WRITE_PROTECTED);
	ck_assert_uint_eq(r->dev->n_log, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("scsi_mode");
	TCase *t = tcase_create("mode");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, S20_lists, 0, ARRAY_SIZE(lists));
	tcase_add_test(t, S20_cdb_and_lengths);
	tcase_add_test(t, swp);
	tcase_add_test(t, swp_does_not_make_a_readonly_disk_writable);
	suite_add_tcase(s, t);
	return rig_main(s);
}
