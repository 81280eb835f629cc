/* SPDX-License-Identifier: MIT */
/*
 * What disks say about themselves (spec: scsi-target, section 18), cut anywhere and
 * filled with noise: the parsers look at what came and at nothing else. Each buffer is
 * exactly as long as its content, so a byte too far is a sanitizer's report.
 */
#include <check.h>
#include <stdlib.h>

#include "tests/fake/vstor_vectors.h"
#include "vsc/storvsc_priv.h"

#define INQUIRY                                                                                    \
	"00 00 05 02 5b 00 00 02 4d 73 66 74 20 20 20 20 56 69 72 74 75 61 6c 20 44 69 73 6b 20 "  \
	"20 20 20 31 2e 30 20 00*21 60 03 00 04 c0 00*34"
#define VPD_80                                                                                     \
	"00 80 00 20 33 33 32 32 31 31 30 30 35 35 34 34 37 37 36 36 38 38 39 39 61 61 62 62 63 "  \
	"63 64 64 65 65 66 66"
#define VPD_83                                                                                     \
	"00 83 00 30 01 01 00 18 4d 73 66 74 20 20 20 20 33 22 11 00 55 44 77 66 88 99 aa bb cc "  \
	"dd ee ff 01 03 00 10 60 02 24 80 33 22 11 00 55 44 aa bb cc dd ee ff"
#define VPD_B0                                                                                     \
	"00 b0 00 3c 01 ff 00 08 00 00 20 00 00 00 02 00 00 00 00 00 00 10 00 00 00 00 01 00 00 "  \
	"00 10 00 80 00 00 00 00 00 00 00 00 01 00 00 00*20"
#define CAPACITY_10 "00 01 ff ff 00 00 02 00"
#define CAPACITY_16 "00 00 00 00 00 01 ff ff 00 00 02 00 00 03 c0 00*17"
#define MODE_08	    "17 00 10 00 08 12 04 00*17"
#define LUNS	    "00 00 00 18 00*12 00 01 00*6 00 05 00*6"

/* The first @n bytes of a vector, alone in memory. */
static uint8_t *cut(const char *vector, uint32_t n)
{
	uint8_t whole[512] = { 0 }, *p = malloc(n ? n : 1);

	vector_bytes(vector, whole, sizeof(whole));
	memcpy(p, whole, n);
	return p;
}

static uint32_t length(const char *vector)
{
	uint8_t whole[512];

	return vector_bytes(vector, whole, sizeof(whole));
}

START_TEST(inquiry)
{
	struct storvsc_disk d;
	uint32_t n;

	for (n = 0; n <= length(INQUIRY); n++) {
		uint8_t *p = cut(INQUIRY, n);

		memset(&d, 0xee, sizeof(d));
		ck_assert_int_eq(sc_parse_inquiry(p, n, &d), n < 36 ? -EPROTO : 0);
		if (n >= 36) {
			ck_assert_str_eq(d.vendor, "Msft");
			ck_assert_str_eq(d.product, "Virtual Disk");
			ck_assert_str_eq(d.revision, "1.0");
		}
		free(p);
	}
}
END_TEST

START_TEST(inquiry_of_other_things)
{
	static const struct {
		uint8_t first;
		int err;
	} t[] = { { 0x7f, -ENXIO }, { 0x60, -ENXIO }, { 0x05, -ENODEV }, { 0x20, -ENODEV } };
	struct storvsc_disk d;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		uint8_t *p = cut(INQUIRY, 96);

		p[0] = t[i].first;
		ck_assert_int_eq(sc_parse_inquiry(p, 96, &d), t[i].err);
		free(p);
	}
}
END_TEST

/* Text from the root goes to logs and terminals: nothing but printable characters. */
START_TEST(text_is_printable)
{
	uint8_t *p = cut(INQUIRY, 96);
	struct storvsc_disk d;

	memset(p + 8, 0x1b, 8);
	memset(p + 16, 0xff, 16);
	memset(p + 32, 0, 4);
	ck_assert_int_eq(sc_parse_inquiry(p, 96, &d), 0);
	ck_assert_str_eq(d.vendor, "????????");
	ck_assert_str_eq(d.product, "????????????????");
	ck_assert_str_eq(d.revision, "");
	free(p);
}
END_TEST

START_TEST(capacity)
{
	struct storvsc_disk d;
	bool thin;
	uint32_t n;

	for (n = 0; n <= length(CAPACITY_16); n++) {
		uint8_t *p = cut(CAPACITY_16, n);

		ck_assert_int_eq(sc_parse_capacity16(p, n, &d, &thin), n < 12 ? -EPROTO : 0);
		if (n >= 12) {
			ck_assert_uint_eq(d.size, 64 << 20);
			ck_assert_uint_eq(d.block_size, 512);
			ck_assert_uint_eq(d.physical_block, n < 16 ? 512 : 4096);
			ck_assert_int_eq(thin, n >= 16);
		}
		free(p);
	}
	for (n = 0; n <= length(CAPACITY_10); n++) {
		uint8_t *p = cut(CAPACITY_10, n);

		ck_assert_int_eq(sc_parse_capacity10(p, n, &d), n < 8 ? -EPROTO : 0);
		free(p);
	}
	ck_assert_int_eq(sc_parse_capacity10((const uint8_t *)"\xff\xff\xff\xff\0\0\2\0", 8, &d),
			 -EPROTO); /* "too large for this command" */
}
END_TEST

START_TEST(mode)
{
	struct storvsc_disk d;
	uint32_t n;

	for (n = 0; n <= length(MODE_08); n++) {
		uint8_t *p = cut(MODE_08, n);

		memset(&d, 0xee, sizeof(d));
		sc_parse_mode(p, n, &d);
		ck_assert(!d.readonly);
		ck_assert_int_eq(d.fua, n >= 4);
		ck_assert(d.write_cache); /* the page says so; without it, to be safe */
		free(p);
	}
	{
		uint8_t *p = cut(MODE_08, 24);

		p[6] = 0;
		p[2] = 0x80;
		sc_parse_mode(p, 24, &d);
		ck_assert(d.readonly && !d.fua && !d.write_cache);
		p[3] = 0xff; /* a block descriptor that is not there */
		sc_parse_mode(p, 24, &d);
		ck_assert(d.write_cache);
		p[3] = 0;
		p[4] = 0x0a; /* another page than asked for */
		sc_parse_mode(p, 24, &d);
		ck_assert(d.write_cache);
		free(p);
	}
}
END_TEST

START_TEST(vital_product_data)
{
	struct storvsc_disk d = { .block_size = 512 };
	uint32_t n;
	bool unmap;

	for (n = 0; n <= length(VPD_80); n++) {
		uint8_t *p = cut(VPD_80, n);

		sc_parse_serial(p, n, &d);
		ck_assert_uint_eq(strlen(d.serial), n > 4 ? n - 4 : 0);
		free(p);
	}
	ck_assert_str_eq(d.serial, "33221100554477668899aabbccddeeff");
	for (n = 0; n <= length(VPD_83); n++) {
		uint8_t *p = cut(VPD_83, n);

		memset(d.naa, 0, sizeof(d.naa));
		sc_parse_ids(p, n, &d);
		ck_assert_uint_eq(d.naa[0], n == 52 ? 0x60 : 0);
		free(p);
	}
	for (n = 0; n <= length(VPD_B0); n++) {
		uint8_t *p = cut(VPD_B0, n);

		d.max_discard = d.max_zero = 0;
		sc_parse_limits(p, n, &d, &unmap);
		ck_assert_int_eq(unmap, n >= 44);
		ck_assert_uint_eq(d.max_discard, n >= 44 ? 0x100000 * 512 : 0);
		ck_assert_uint_eq(d.max_zero, n >= 44 ? 0x10000 * 512 : 0);
		free(p);
	}
}
END_TEST

START_TEST(limits_of_all_sizes)
{
	struct storvsc_disk d = { .block_size = 4096 };
	uint8_t *p = cut(VPD_B0, 64);
	bool unmap;

	memset(p + 20, 0xff, 24);
	sc_parse_limits(p, 64, &d, &unmap);
	ck_assert(unmap);
	ck_assert_uint_eq(d.max_discard, 0xfffff000); /* fits 32 bits, whole blocks */
	ck_assert_uint_eq(d.max_zero, 0xfffff000);
	memset(p + 20, 0, 24);
	sc_parse_limits(p, 64, &d, &unmap);
	ck_assert(!unmap);
	ck_assert_uint_eq(d.max_discard, 0);
	ck_assert_uint_eq(d.max_zero, 0x10000 * 4096); /* "no limit" is not believed */
	free(p);
}
END_TEST

START_TEST(designators_that_lead_nowhere)
{
	static const uint8_t bad[][12] = {
		{ 0, 0x83, 0, 8, 1, 3, 0, 16 }, /* longer than the page */
		{ 0, 0x83, 0, 8, 1, 3, 0, 0, 1, 3, 0, 0 },
		{ 0, 0x83, 0xff, 0xff, 1, 1, 0, 255 },
		{ 0, 0x83, 0, 8, 1, 3, 0, 5 }, /* no NAA has 5 bytes */
	};
	struct storvsc_disk d = { 0 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		sc_parse_ids(bad[i], sizeof(bad[i]), &d);
		ck_assert_uint_eq(d.naa[0], 0);
	}
}
END_TEST

START_TEST(lun_lists)
{
	uint8_t luns[8], noise[] = { 0,	   0, 0, 40, 0, 0, 0, 0, /* */
				     0,	   5, 0, 0,  0, 0, 0, 0, /* later than 2, and twice */
				     0,	   5, 0, 0,  0, 0, 0, 0, /* */
				     1,	   7, 0, 0,  0, 0, 0, 0, /* another addressing form */
				     0x40, 2, 0, 0,  0, 0, 0, 0 };
	uint32_t n;

	for (n = 0; n <= length(LUNS); n++) {
		uint8_t *p = cut(LUNS, n);
		int want = n < 8 ? -EPROTO : (int)(n / 8) - 1;

		ck_assert_int_eq(sc_parse_luns(p, n, luns, 8), want);
		free(p);
	}
	ck_assert_uint_eq(luns[0], 0);
	ck_assert_uint_eq(luns[1], 1);
	ck_assert_uint_eq(luns[2], 5);
	ck_assert_int_eq(sc_parse_luns(noise, sizeof(noise), luns, 8), 2);
	ck_assert_uint_eq(luns[0], 2);
	ck_assert_uint_eq(luns[1], 5);
	luns[1] = 99;
	ck_assert_int_eq(sc_parse_luns(noise, sizeof(noise), luns, 1), 2); /* room for one */
	ck_assert_uint_eq(luns[1], 99);
}
END_TEST

START_TEST(noise)
{
	uint32_t seed = 4711, i, k, n;
	struct storvsc_disk d;
	uint8_t luns[4];
	bool flag;

	for (i = 0; i < 20000; i++) {
		uint8_t *p;

		seed = seed * 1664525u + 1013904223u;
		n = seed >> 24;
		p = malloc(n ? n : 1);
		for (k = 0; k < n; k++) {
			seed = seed * 1664525u + 1013904223u;
			p[k] = (uint8_t)(seed >> 24);
		}
		if (n > 4 && (seed & 0x300)) { /* often the right page with an odd length */
			p[1] = seed & 0x400 ? 0x83 : 0xb0;
			p[2] = 0;
		}
		memset(&d, 0, sizeof(d));
		d.block_size = 512u << (seed >> 12 & 3);
		sc_parse_inquiry(p, n, &d);
		sc_parse_mode(p, n, &d);
		sc_parse_serial(p, n, &d);
		sc_parse_ids(p, n, &d);
		sc_parse_limits(p, n, &d, &flag);
		ck_assert_int_le(sc_parse_luns(p, n, luns, 4), 256);
		if (!sc_parse_capacity16(p, n, &d, &flag) || !sc_parse_capacity10(p, n, &d)) {
			ck_assert_uint_gt(d.size, 0);
			ck_assert_uint_eq(d.size % d.block_size, 0);
		}
		ck_assert_ptr_nonnull(memchr(d.serial, 0, sizeof(d.serial)));
		ck_assert_ptr_nonnull(memchr(d.vendor, 0, sizeof(d.vendor)));
		free(p);
	}
}
END_TEST

START_TEST(sense_table)
{
	static const struct {
		uint32_t sense;
		int err;
		const char *text;
	} t[] = {
		{ 0x000000, 0, "no sense" },
		{ 0x011700, 0, "recovered error" },
		{ 0x020401, -EAGAIN, "becoming ready" },
		{ 0x023a01, -ENOMEDIUM, "no medium" },
		{ 0x030c00, -EIO, "write error" },
		{ 0x031100, -EIO, "unrecovered read error" },
		{ 0x044400, -EIO, "internal target failure" },
		{ 0x052000, -EOPNOTSUPP, "command not supported" },
		{ 0x052100, -EINVAL, "LBA out of range" },
		{ 0x052400, -EINVAL, "invalid field in CDB" },
		{ 0x05ffff, -EINVAL, "illegal request" },
		{ 0x062a09, -EAGAIN, "capacity has changed" },
		{ 0x063f0e, -EAGAIN, "LUNs have changed" },
		{ 0x072700, -EROFS, "write protected" },
		{ 0x072707, -ENOSPC, "no space left for the write" },
		{ 0x0b0000, -ECANCELED, "command aborted" },
		{ 0x0e1d00, -EILSEQ, "miscompare" },
		{ 0x0f0000, -EIO, "unknown sense key" },
		{ 0xffffffff, -EIO, "unknown sense key" },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		ck_assert_int_eq(storvsc_sense_errno(t[i].sense), t[i].err);
		ck_assert_str_eq(storvsc_sense_text(t[i].sense), t[i].text);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("storvsc parsers");
	TCase *tc = tcase_create("parsers");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, inquiry);
	tcase_add_test(tc, inquiry_of_other_things);
	tcase_add_test(tc, text_is_printable);
	tcase_add_test(tc, capacity);
	tcase_add_test(tc, mode);
	tcase_add_test(tc, vital_product_data);
	tcase_add_test(tc, limits_of_all_sizes);
	tcase_add_test(tc, designators_that_lead_nowhere);
	tcase_add_test(tc, lun_lists);
	tcase_add_test(tc, noise);
	tcase_add_test(tc, sense_table);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
