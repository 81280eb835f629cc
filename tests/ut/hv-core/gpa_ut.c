/* SPDX-License-Identifier: MIT */
/* Guest memory: regions, page lists, ring views, RAM files (cases H22, H23, H28). */
#include "tests/ut/hv-core/hv_rig.h"

#include <fcntl.h>
#include <sys/mman.h>

#define PG 4096ull

static int memfd(uint64_t pages)
{
	int fd = hv_memfd_create("gpa-ut", pages * PG);

	ck_assert_int_ge(fd, 0);
	return fd;
}

/* Two regions of 16 pages with a hole between them, backwards in one file; page n holds n + 1. */
static struct hv_gpa *map_up(void)
{
	struct hv_gpa *g;
	int fd = memfd(32);

	ck_assert_int_eq(hv_gpa_create(&g), 0);
	ck_assert_int_eq(hv_gpa_add_ram(g, 0, 16 * PG, fd, 16 * PG), 0);
	ck_assert_int_eq(hv_gpa_add_ram(g, 64 * PG, 16 * PG, fd, 0), 0);
	close(fd);
	for (uint32_t i = 0; i < 16; i++) {
		memset(hv_gpa_ptr(g, i * PG, PG), (int)i + 1, PG);
		memset(hv_gpa_ptr(g, (64 + i) * PG, PG), (int)i + 65, PG);
	}
	return g;
}

/* Mappings of our RAM files in this process. */
static uint64_t count_maps(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	uint64_t n = 0;

	while (fgets(line, sizeof(line), f))
		n += strstr(line, "gpa-ut") != NULL;
	fclose(f);
	return n;
}

/* ---- regions ------------------------------------------------------------------------ */

START_TEST(regions_that_are_refused)
{
	static const struct {
		const char *why;
		uint64_t gpa, len, offset;
		int want;
	} c[] = {
		{ "no length", 0x200 * PG, 0, 0, -EINVAL },
		{ "base not aligned", 0x200 * PG + 8, PG, 0, -EINVAL },
		{ "length not aligned", 0x200 * PG, PG + 1, 0, -EINVAL },
		{ "offset not aligned", 0x200 * PG, PG, 512, -EINVAL },
		{ "wraps past 2^64", ~0ull - PG + 1, 2 * PG, 0, -EINVAL },
		{ "everything but page 0", PG, ~0ull - PG + 1, 0, -EEXIST },
		{ "file offset wraps", 0x200 * PG, 2 * PG, ~0ull - PG + 1, -EINVAL },
		{ "file too short", 0x200 * PG, 33 * PG, 0, -EINVAL },
		{ "file too short from there", 0x200 * PG, 2 * PG, 31 * PG, -EINVAL },
		{ "the same again", 0x100 * PG, 4 * PG, 0, -EEXIST },
		{ "first page inside", 0x103 * PG, 4 * PG, 0, -EEXIST },
		{ "last page inside", 0xfd * PG, 4 * PG, 0, -EEXIST },
		{ "around it", 0xf0 * PG, 32 * PG, 0, -EEXIST },
		{ "within it", 0x101 * PG, PG, 0, -EEXIST },
		{ "directly before", 0xfc * PG, 4 * PG, 0, 0 },
		{ "directly behind", 0x104 * PG, 4 * PG, 0, 0 },
		{ "last page of the address space", ~0ull - PG + 1, PG, 0, 0 },
	};
	struct hv_gpa *g;
	int fd = memfd(32);
	uint64_t bytes;

	ck_assert_int_eq(hv_gpa_create(&g), 0);
	ck_assert_int_eq(hv_gpa_add_ram(g, 0x100 * PG, 4 * PG, fd, 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		uint64_t maps = count_maps();

		bytes = hv_gpa_ram_bytes(g);
		ck_assert_msg(hv_gpa_add_ram(g, c[i].gpa, c[i].len, fd, c[i].offset) == c[i].want,
			      "%s", c[i].why);
		ck_assert_uint_eq(hv_gpa_ram_bytes(g), bytes + (c[i].want ? 0 : c[i].len));
		if (c[i].want)
			ck_assert_uint_eq(count_maps(), maps);
	}
	ck_assert_ptr_nonnull(hv_gpa_ptr(g, ~0ull - PG + 1, PG));
	ck_assert_ptr_null(hv_gpa_ptr(g, ~0ull - PG + 1, PG + 1));
	close(fd);
	hv_gpa_put(g);
}
END_TEST

START_TEST(eight_regions_and_no_more)
{
	struct hv_gpa *g;
	int fd = memfd(1);

	ck_assert_int_eq(hv_gpa_create(&g), 0);
	for (uint32_t i = 0; i < HV_GPA_MAX_REGIONS; i++)
		ck_assert_int_eq(hv_gpa_add_ram(g, i * 2 * PG, PG, fd, 0), 0);
	ck_assert_int_eq(hv_gpa_add_ram(g, 100 * PG, PG, fd, 0), -ENOSPC);
	ck_assert_uint_eq(hv_gpa_ram_bytes(g), HV_GPA_MAX_REGIONS * PG);
	close(fd);
	hv_gpa_put(g);
}
END_TEST

START_TEST(files_that_are_refused)
{
	struct hv_gpa *g;
	int fds[2], fd;

	ck_assert_int_eq(hv_gpa_create(&g), 0);
	ck_assert_int_eq(hv_gpa_add_ram(g, 0, PG, -1, 0), -EPERM);
	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(hv_gpa_add_ram(g, 0, PG, fds[0], 0), -EPERM);
	fd = memfd_create("not sealed", MFD_ALLOW_SEALING);
	ck_assert_int_eq(ftruncate(fd, PG), 0);
	ck_assert_int_eq(hv_gpa_add_ram(g, 0, PG, fd, 0), -EPERM);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	ck_assert_int_eq(hv_gpa_add_ram(g, 0, PG, fd, 0), 0);
	close(fd);
	close(fds[0]);
	close(fds[1]);
	hv_gpa_put(g);
}
END_TEST

START_TEST(pointers)
{
	struct hv_gpa *g = map_up();
	uint8_t *p = hv_gpa_ptr(g, 0, 1);

	ck_assert_ptr_nonnull(p);
	ck_assert_ptr_eq(hv_gpa_ptr(g, 5 * PG + 7, 9), p + 5 * PG + 7);
	ck_assert_ptr_eq(hv_gpa_ptr(g, 0, 16 * PG), p);
	ck_assert_ptr_null(hv_gpa_ptr(g, 0, 16 * PG + 1));
	ck_assert_ptr_null(hv_gpa_ptr(g, 16 * PG - 1, 2));
	ck_assert_ptr_null(hv_gpa_ptr(g, 16 * PG, 1));
	ck_assert_ptr_null(hv_gpa_ptr(g, 40 * PG, 1));
	ck_assert_ptr_null(hv_gpa_ptr(g, 64 * PG - 1, 1));
	ck_assert_ptr_nonnull(hv_gpa_ptr(g, 80 * PG - 1, 1));
	ck_assert_ptr_null(hv_gpa_ptr(g, 80 * PG, 1));
	ck_assert_ptr_null(hv_gpa_ptr(g, 1, ~0ull));
	ck_assert_ptr_null(hv_gpa_ptr(g, ~0ull, 2));
	hv_gpa_put(g);
}
END_TEST

START_TEST(neighbouring_regions)
{
	struct hv_gpa *g;
	int fd = memfd(4);

	ck_assert_int_eq(hv_gpa_create(&g), 0);
	ck_assert_int_eq(hv_gpa_add_ram(g, 0, PG, fd, 0), 0);
	ck_assert_int_eq(hv_gpa_add_ram(g, PG, PG, fd, 2 * PG), 0);
	ck_assert_ptr_nonnull(hv_gpa_ptr(g, PG, 1));
	ck_assert_ptr_nonnull(hv_gpa_ptr(g, PG, PG));
	ck_assert_ptr_null(hv_gpa_ptr(g, PG - 1, 2)); /* not flat in our address space */
	close(fd);
	hv_gpa_put(g);
}
END_TEST

/* ---- scatter lists --------------------------------------------------------------------- */

START_TEST(scatter_lists)
{
	static const struct {
		const char *why;
		uint64_t pfn[6];
		uint32_t npfn, offset, count;
		int max, want;
		uint32_t len[6];
	} c[] = {
		{ "a page", { 3 }, 1, 0, 4096, 1, 1, { 4096 } },
		{ "neighbours are merged", { 3, 4, 5 }, 3, 0, 12288, 1, 1, { 12288 } },
		{ "with offset", { 3, 4 }, 2, 100, 5000, 1, 1, { 5000 } },
		{ "neighbours in reverse", { 5, 4, 3 }, 3, 0, 12288, 3, 3, { 4096, 4096, 4096 } },
		{ "the same page twice", { 4, 4 }, 2, 0, 8192, 2, 2, { 4096, 4096 } },
		{ "two runs", { 1, 2, 8, 9 }, 4, 8, 16000, 2, 2, { 8184, 7816 } },
		{ "one byte", { 1 }, 1, 4095, 1, 1, 1, { 1 } },
		{ "last page ends early", { 1, 3 }, 2, 4095, 2, 2, 2, { 1, 1 } },
		{ "pages that are not needed are not looked at",
		  { 1, 99 },
		  2,
		  0,
		  4096,
		  1,
		  1,
		  { 4096 } },
		{ "nothing", { 1 }, 1, 0, 0, 1, 0, { 0 } },
		{ "nothing of nothing", { 0 }, 0, 0, 0, 0, 0, { 0 } },
		{ "regions do not merge", { 15, 64 }, 2, 0, 8192, 2, 2, { 4096, 4096 } },
		{ "too few entries", { 5, 3 }, 2, 0, 8192, 1, -ENOSPC, { 0 } },
		{ "no entries", { 5 }, 1, 0, 1, 0, -ENOSPC, { 0 } },
		{ "hole", { 15, 16 }, 2, 0, 8192, 2, -EFAULT, { 0 } },
		{ "above all", { 80 }, 1, 0, 1, 1, -EFAULT, { 0 } },
		{ "shifted out of 64 bits", { 1ull << 52 }, 1, 0, 1, 1, -EFAULT, { 0 } },
		{ "wraps to page 1", { (1ull << 52) + 1 }, 1, 0, 1, 1, -EFAULT, { 0 } },
		{ "all ones", { ~0ull }, 1, 0, 1, 1, -EFAULT, { 0 } },
		{ "not covered", { 1, 2 }, 2, 1, 8192, 2, -EINVAL, { 0 } },
		{ "offset past the first page", { 1, 2 }, 2, 4096, 1, 2, -EINVAL, { 0 } },
		{ "huge count", { 1 }, 1, 0, 0xffffffff, 2, -EINVAL, { 0 } },
		{ "huge both", { 1 }, 1, 0xffffffff, 0xffffffff, 2, -EINVAL, { 0 } },
		{ "no pages", { 0 }, 0, 0, 1, 2, -EINVAL, { 0 } },
	};
	struct hv_gpa *g = map_up();

	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		struct iovec iov[6] = { { NULL, 0 } };
		int n = hv_gpa_iov(g, iov, c[i].max, c[i].pfn, c[i].npfn, c[i].offset, c[i].count);
		size_t total = 0;

		ck_assert_msg(n == c[i].want, "%s: %d", c[i].why, n);
		for (int j = 0; j < n; j++) {
			ck_assert_msg(iov[j].iov_len == c[i].len[j], "%s", c[i].why);
			total += iov[j].iov_len;
		}
		if (n > 0) {
			ck_assert_uint_eq(total, c[i].count);
			ck_assert_uint_eq(*(uint8_t *)iov[0].iov_base, c[i].pfn[0] + 1);
		}
	}
	hv_gpa_put(g);
}
END_TEST

/* Random page lists against the simplest possible model. */
START_TEST(scatter_lists_against_a_model)
{
	enum { STEP = 512 };
	struct hv_gpa *g = map_up();
	struct iovec iov[32];
	uint64_t pfn[32];

	srand(1);
	for (int round = 0; round < (int)(300 * RIG_EFFORT); round++) {
		uint32_t npfn = (uint32_t)rand() % 32 + 1, off = (uint32_t)rand() % 4096;
		uint32_t count = (uint32_t)rand() % (npfn * 4096 - off) + 1, at = off;
		int n;

		for (uint32_t i = 0; i < npfn; i++)
			pfn[i] = i && rand() % 2 && pfn[i - 1] % 16 != 15
					 ? pfn[i - 1] + 1
					 : (uint64_t)rand() % 16 + (rand() % 2 ? 64 : 0);
		n = hv_gpa_iov(g, iov, 32, pfn, npfn, off, count);
		ck_assert_int_gt(n, 0);
		for (int j = 0; j < n; j++)
			for (size_t b = 0; b < iov[j].iov_len; b += STEP, at += STEP) {
				size_t left = iov[j].iov_len - b;
				uint8_t *want = hv_gpa_ptr(g, pfn[at / 4096] * PG + at % 4096, 1);

				ck_assert_ptr_eq((uint8_t *)iov[j].iov_base + b, want);
				if (left < STEP)
					at -= STEP - (uint32_t)left;
			}
		ck_assert_uint_eq(at - off, count);
	}
	hv_gpa_put(g);
}
END_TEST

/* ---- ring views ---------------------------------------------------------------------------- */

static void check_view(struct hv_gpa *g, const uint64_t *pfn, uint32_t npages)
{
	struct hv_gpa_view v;

	ck_assert_int_eq(hv_gpa_map_wrapped(g, &v, pfn, npages), 0);
	ck_assert_uint_eq(v.size, (npages - 1) * PG);
	ck_assert_ptr_eq(v.data, (uint8_t *)v.ctrl + PG);
	ck_assert_uint_eq(*(uint8_t *)v.ctrl, pfn[0] + 1);
	for (uint32_t i = 1; i < npages; i++) {
		uint8_t *page = hv_gpa_ptr(g, pfn[i] * PG, PG);
		uint8_t *once = v.data + (i - 1) * PG, *twice = once + v.size;

		ck_assert_uint_eq(once[4095], pfn[i] + 1);
		ck_assert_uint_eq(twice[0], pfn[i] + 1);
		once[5] = 0xaa;
		ck_assert_uint_eq(page[5], 0xaa);
		ck_assert_uint_eq(twice[5], 0xaa);
		twice[5] = (uint8_t)(pfn[i] + 1);
		ck_assert_uint_eq(once[5], page[5]);
	}
	/* A packet that crosses the end is flat. */
	memset(v.data + v.size - 8, 0x77, 16);
	for (uint32_t i = 0; i < 8; i++) {
		ck_assert_uint_eq(v.data[i], 0x77);
		v.data[i] = (uint8_t)(pfn[1] + 1);
		v.data[v.size - 8 + i] = (uint8_t)(pfn[npages - 1] + 1);
	}
	hv_gpa_unmap_view(&v);
	ck_assert_ptr_null(v.ctrl);
}

START_TEST(views_wrap)
{
	static const struct {
		uint32_t npages;
		uint64_t pfn[16];
	} c[] = {
		{ 2, { 0, 1 } },
		{ 2, { 1, 0 } },
		{ 5, { 3, 4, 5, 6, 7 } },
		{ 5, { 3, 10, 11, 12, 13 } },
		{ 5, { 9, 7, 5, 3, 1 } },
		{ 6, { 14, 15, 64, 65, 66, 67 } },
		{ 6, { 79, 0, 1, 64, 78, 2 } },
		{ 3, { 4, 4, 4 } }, /* a guest may do that to itself */
	};
	struct hv_gpa *g = map_up();
	uint64_t maps = count_maps();

	for (size_t i = 0; i < ARRAY_SIZE(c); i++)
		check_view(g, c[i].pfn, c[i].npages);
	ck_assert_uint_eq(count_maps(), maps);
	hv_gpa_put(g);
}
END_TEST

/* Pages that follow each other in the address space and in file offset, but not in one file. */
START_TEST(views_do_not_merge_files)
{
	static const uint64_t pfn[2] = { 0, 1 };
	int first = memfd(2), second = memfd(2);
	struct hv_gpa_view v;
	struct hv_gpa *g;

	ck_assert_int_eq(hv_gpa_create(&g), 0);
	ck_assert_int_eq(hv_gpa_add_ram(g, 0, PG, first, 0), 0);
	ck_assert_int_eq(hv_gpa_add_ram(g, PG, PG, second, PG), 0);
	memset(hv_gpa_ptr(g, 0, PG), 1, PG);
	memset(hv_gpa_ptr(g, PG, PG), 2, PG);
	ck_assert_int_eq(hv_gpa_map_wrapped(g, &v, pfn, 2), 0);
	ck_assert_uint_eq(*(uint8_t *)v.ctrl, 1);
	ck_assert_uint_eq(v.data[0], 2);
	ck_assert_uint_eq(v.data[v.size], 2);
	hv_gpa_unmap_view(&v);
	hv_gpa_put(g);
	close(first);
	close(second);
}
END_TEST

/* A ring in one run of pages costs two mappings, not one per page. */
START_TEST(views_merge_runs)
{
	uint64_t pfn[16], maps;
	struct hv_gpa_view v;
	struct hv_gpa *g = map_up();

	for (uint64_t i = 0; i < 16; i++)
		pfn[i] = i;
	maps = count_maps();
	ck_assert_int_eq(hv_gpa_map_wrapped(g, &v, pfn, 16), 0);
	ck_assert_uint_le(count_maps(), maps + 2);
	hv_gpa_unmap_view(&v);
	ck_assert_uint_eq(count_maps(), maps);
	hv_gpa_put(g);
}
END_TEST

START_TEST(views_that_are_refused)
{
	uint64_t bad[3] = { 1, 2, 0 };
	struct hv_gpa_view v = { 0 };
	struct hv_gpa *g = map_up();
	static const uint64_t holes[] = { 16, 63, 80, 1ull << 52, ~0ull };
	uint64_t maps = count_maps();

	ck_assert_int_eq(hv_gpa_map_wrapped(g, &v, bad, 0), -EINVAL);
	ck_assert_int_eq(hv_gpa_map_wrapped(g, &v, bad, 1), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(holes); i++) {
		for (int at = 0; at < 3; at++) {
			uint64_t pfn[3] = { 1, 3, 5 };

			pfn[at] = holes[i];
			ck_assert_int_eq(hv_gpa_map_wrapped(g, &v, pfn, 3), -EFAULT);
		}
	}
	ck_assert_uint_eq(count_maps(), maps);
	hv_gpa_unmap_view(&v); /* never mapped: nothing happens */
	hv_gpa_put(g);
}
END_TEST

/* A view stays usable when the map is gone: the file lives as long as somebody maps it. */
START_TEST(view_outlives_the_map)
{
	static const uint64_t pfn[2] = { 1, 2 };
	struct hv_gpa *g = map_up();
	struct hv_gpa_view v;

	ck_assert_int_eq(hv_gpa_map_wrapped(g, &v, pfn, 2), 0);
	hv_gpa_put(g);
	ck_assert_uint_eq(v.data[v.size], 3);
	hv_gpa_unmap_view(&v);
}
END_TEST

/* ---- pages in a row -------------------------------------------------------------------- */

START_TEST(pages_are_mapped_in_a_row)
{
	static const struct {
		uint32_t npages, maps; /* .. more than before */
		uint64_t pfn[8];
	} c[] = {
		{ 1, 0, { 5 } },       { 4, 0, { 3, 4, 5, 6 } },
		{ 2, 0, { 78, 79 } },  { 4, 2, { 3, 4, 70, 71 } },
		{ 3, 3, { 7, 5, 3 } }, { 2, 2, { 9, 9 } }, /* a guest may do that to itself */
	};
	struct hv_gpa *g = map_up();
	struct hv_gpa_pages p;
	uint64_t maps = count_maps();

	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		ck_assert_int_eq(hv_gpa_map_pages(g, &p, c[i].pfn, c[i].npages), 0);
		ck_assert_uint_eq(p.len, c[i].npages * PG);
		ck_assert_uint_eq(p.own, c[i].maps > 0);
		ck_assert_uint_le(count_maps(), maps + c[i].maps);
		for (uint32_t k = 0; k < c[i].npages; k++) {
			ck_assert_uint_eq(p.data[k * PG + 17], c[i].pfn[k] + 1);
			p.data[k * PG + 8] = 0xa5; /* the same memory, not a copy */
			ck_assert_uint_eq(*(uint8_t *)hv_gpa_ptr(g, c[i].pfn[k] * PG + 8, 1), 0xa5);
		}
		hv_gpa_unmap_pages(&p);
		ck_assert_ptr_null(p.data);
		ck_assert_uint_eq(count_maps(), maps);
	}
	hv_gpa_unmap_pages(&p); /* again: nothing happens */
	hv_gpa_put(g);
}
END_TEST

START_TEST(pages_that_are_not_mapped)
{
	static const uint64_t holes[] = { 16, 63, 80, 1ull << 52, ~0ull };
	const uint64_t row[3] = { 14, 15, 16 }, wraps[2] = { ~0ull, 0 };
	struct hv_gpa *g = map_up();
	struct hv_gpa_pages p;
	uint64_t maps = count_maps();

	ck_assert_int_eq(hv_gpa_map_pages(g, &p, row, 0), -EINVAL);
	ck_assert_int_eq(hv_gpa_map_pages(g, &p, row, 1u << 20), -EINVAL);
	ck_assert_int_eq(hv_gpa_map_pages(g, &p, row, 3), -EFAULT);
	ck_assert_int_eq(hv_gpa_map_pages(g, &p, wraps, 2), -EFAULT);
	for (size_t i = 0; i < ARRAY_SIZE(holes); i++) {
		for (int at = 0; at < 3; at++) {
			uint64_t pfn[3] = { 1, 3, 5 };

			pfn[at] = holes[i];
			ck_assert_int_eq(hv_gpa_map_pages(g, &p, pfn, 3), -EFAULT);
		}
	}
	ck_assert_uint_eq(count_maps(), maps);
	hv_gpa_unmap_pages(&p); /* after a failure: nothing happens */
	hv_gpa_put(g);
}
END_TEST

/* Whoever has pages mapped has the guest's memory, also where it is not mapped again. */
START_TEST(pages_keep_the_map)
{
	static const uint64_t row[2] = { 1, 2 }, apart[2] = { 1, 4 };
	struct hv_gpa *g = map_up();
	struct hv_gpa_pages p, q;

	ck_assert_int_eq(hv_gpa_map_pages(g, &p, row, 2), 0);
	ck_assert_int_eq(hv_gpa_map_pages(g, &q, apart, 2), 0);
	hv_gpa_put(g);
	ck_assert_uint_eq(p.data[PG], 3);
	hv_gpa_unmap_pages(&p);
	ck_assert_uint_eq(q.data[PG], 5);
	ck_assert_ptr_nonnull(hv_gpa_ptr(q.gpa, 0, PG));
	hv_gpa_unmap_pages(&q);
	ck_assert_uint_eq(count_maps(), 0);
}
END_TEST

/* ---- references --------------------------------------------------------------------------------
 */

static void *get_and_put(void *arg)
{
	struct hv_gpa *g = arg;

	for (int i = 0; i < (int)(1000 * RIG_EFFORT); i++) {
		hv_gpa_get(g);
		ck_assert_ptr_nonnull(hv_gpa_ptr(g, (uint64_t)(i % 16) * PG, PG));
		hv_gpa_put(g);
	}
	hv_gpa_put(g);
	return NULL;
}

START_TEST(last_reference_unmaps)
{
	struct hv_gpa *g = map_up();
	pthread_t t[3];

	for (int i = 0; i < 3; i++) {
		hv_gpa_get(g);
		ck_assert_int_eq(pthread_create(&t[i], NULL, get_and_put, g), 0);
	}
	hv_gpa_put(g); /* the threads hold the rest */
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	ck_assert_uint_eq(count_maps(), 0);
}
END_TEST

START_TEST(ram_is_unmapped_and_closed)
{
	struct hv_gpa *g;
	int fd;

	fd = dup(0);
	close(fd);
	g = map_up();
	hv_gpa_get(g);
	hv_gpa_put(g);
	ck_assert_uint_eq(*(uint8_t *)hv_gpa_ptr(g, 0, 1), 1);
	ck_assert_uint_gt(count_maps(), 0);
	hv_gpa_put(g);
	ck_assert_uint_eq(count_maps(), 0);
	ck_assert_int_eq(dup(0), fd);
	close(fd);
	hv_gpa_put(NULL);
}
END_TEST

/* ---- RAM files ----------------------------------------------------------------- */

START_TEST(ram_files)
{
	int fd, fds[2];

	ck_assert_int_eq(hv_memfd_create("x", 0), -EINVAL);
	ck_assert_int_eq(hv_memfd_create("x", 4095), -EINVAL);
	ck_assert_int_eq(hv_memfd_create("x", 1ull << 63), -EINVAL);
	fd = hv_memfd_create("x", 8192);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(ftruncate(fd, 4096), -1);
	ck_assert_int_eq(ftruncate(fd, 16384), -1);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	ck_assert_int_eq(hv_memfd_check(fd, 8192), 0);
	ck_assert_int_eq(hv_memfd_check(fd, 4096), -EINVAL);
	close(fd);
	ck_assert_int_eq(hv_memfd_check(fd, 8192), -EINVAL);

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(hv_memfd_check(fds[0], 0), -EINVAL);
	close(fds[0]);
	close(fds[1]);
	fd = open("/", O_RDONLY | O_DIRECTORY);
	ck_assert_int_eq(hv_memfd_check(fd, 4096), -EINVAL);
	close(fd);
}
END_TEST

START_TEST(seals_of_ram_files)
{
	static const struct {
		int seals, want;
	} c[] = {
		{ 0, -EPERM },
		{ F_SEAL_SHRINK, -EPERM },
		{ F_SEAL_SHRINK | F_SEAL_GROW, -EPERM },
		{ F_SEAL_GROW | F_SEAL_SEAL, -EPERM },
		{ F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, 0 },
		{ F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | F_SEAL_WRITE, -EPERM },
		{ F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | F_SEAL_FUTURE_WRITE, -EPERM },
	};

	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		int fd = memfd_create("x", MFD_ALLOW_SEALING);

		ck_assert_int_eq(ftruncate(fd, 4096), 0);
		ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, c[i].seals), 0);
		ck_assert_int_eq(hv_memfd_check(fd, 4096), c[i].want);
		close(fd);
	}
}
END_TEST

RIG_MAIN("hv-core/gpa", regions_that_are_refused, eight_regions_and_no_more, files_that_are_refused,
	 pointers, neighbouring_regions, scatter_lists, scatter_lists_against_a_model, views_wrap,
	 views_merge_runs, views_do_not_merge_files, views_that_are_refused, view_outlives_the_map,
	 pages_are_mapped_in_a_row, pages_that_are_not_mapped, pages_keep_the_map,
	 last_reference_unmaps, ram_is_unmapped_and_closed, ram_files, seals_of_ram_files)
