/* SPDX-License-Identifier: MIT */
/*
 * Opening images: what is refused and how that reads, locks, identity, and what is found out
 * about the file (D01, D22, D26, D28).
 */
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "tests/ut/vsp/blk_rig.h"

static struct rig r;
static char buf[8192] __attribute__((aligned(4096)));

static void setup(void)
{
	rig_loop(&r, LOOP_AUTO);
	rig_image(&r, true, MIB);
}

static void teardown(void)
{
	rig_end(&r);
}

static int try_open(const struct blk_config *cfg)
{
	return blk_dev_open(&r.dev, cfg, r.why, sizeof(r.why));
}

/* Refused with @want, and the sentence has the name and @hint in it. */
static void refused(const struct blk_config *cfg, int want, const char *hint)
{
	int err = try_open(cfg);

	ck_assert_msg(err == want, "%s: got %d, not %d (%s)", cfg->path, err, want, r.why);
	ck_assert_ptr_null(r.dev);
	if (cfg->path)
		ck_assert_msg(strstr(r.why, cfg->path) != NULL, "no name in: %s", r.why);
	ck_assert_msg(strstr(r.why, hint) != NULL, "no '%s' in: %s", hint, r.why);
}

/* ---- bad images -------------------------------------------------------------- */

START_TEST(bad_sizes_are_refused)
{
	static const struct {
		uint64_t size;
		uint32_t block;
		const char *hint;
	} c[] = {
		{ 0, 512, "is empty" },
		{ 1, 512, "1 bytes" },
		{ 511, 512, "multiple of the 512-byte block" },
		{ MIB - 1, 512, "1048575 bytes" },
		{ MIB + 512, 4096, "Or use 512-byte blocks" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(c); i++) {
		ck_assert_int_eq(truncate(r.path, (off_t)c[i].size), 0);
		refused(&(struct blk_config){ .path = r.path, .block_size = c[i].block }, -EINVAL,
			c[i].hint);
	}
	ck_assert_int_eq(truncate(r.path, 512), 0);
	rig_open(&r, &(struct blk_config){ .path = r.path });
	ck_assert_int_eq(rig_do(&r, BLK_READ, 0, 0, buf, 512), 0);
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 512, buf, 512), -EINVAL); /* D22 */
}
END_TEST

START_TEST(bad_configurations_are_refused)
{
	refused(&(struct blk_config){ .path = NULL }, -EINVAL, "path");
	refused(&(struct blk_config){ .path = "" }, -EINVAL, "path");
	ck_assert_int_eq(try_open(&(struct blk_config){ .path = r.path, .block_size = 1024 }),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(r.why, "1024"));
	ck_assert_int_eq(try_open(&(struct blk_config){ .path = r.path, .size = 1000 }), -EINVAL);
	ck_assert_ptr_nonnull(strstr(r.why, "1000"));
	ck_assert_int_eq(
		try_open(&(struct blk_config){ .engine = BLK_ENGINE_MEMORY, .size = 1ull << 60 }),
		-ENOMEM);
	ck_assert_ptr_nonnull(strstr(r.why, "smaller"));
	/* No room for a sentence is no reason to fail otherwise. */
	ck_assert_int_eq(blk_dev_open(&r.dev, &(struct blk_config){ .path = "/none" }, NULL, 0),
			 -ENOENT);
}
END_TEST

START_TEST(what_is_no_image_is_refused)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	char path[220];
	int s;

	refused(&(struct blk_config){ .path = "/nonexistent/disk.img" }, -ENOENT, "truncate -s");
	refused(&(struct blk_config){ .path = "/etc/passwd/disk.img" }, -ENOENT, "no such file");
	refused(&(struct blk_config){ .path = "/tmp" }, -EISDIR, "directory");
	refused(&(struct blk_config){ .path = "/tmp", .readonly = true }, -EISDIR, "directory");
	refused(&(struct blk_config){ .path = "/dev/null" }, -ENOTSUP,
		"neither a file nor a block device");
	snprintf(path, sizeof(path), "%s.fifo", r.path);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	refused(&(struct blk_config){ .path = path, .readonly = true }, -ENOTSUP,
		"neither"); /* and no hang */
	unlink(path);
	s = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%.90s.s", r.path);
	ck_assert_int_eq(bind(s, (struct sockaddr *)&sun, sizeof(sun)), 0);
	refused(&(struct blk_config){ .path = sun.sun_path }, -ENOTSUP, "neither");
	close(s);
	unlink(sun.sun_path);
}
END_TEST

START_TEST(what_we_may_not_open_is_refused)
{
	if (getuid() == 0) { /* who may do everything becomes somebody who may not */
		ck_assert_int_eq(chown(r.path, 65534, 65534), 0);
		ck_assert_int_eq(seteuid(65534), 0);
	}
	ck_assert_int_eq(chmod(r.path, 0), 0);
	refused(&(struct blk_config){ .path = r.path, .readonly = true }, -EACCES,
		"right to read it");
	ck_assert_int_eq(chmod(r.path, 0400), 0);
	refused(&(struct blk_config){ .path = r.path }, -EACCES, "or open it read-only");
	ck_assert_int_eq(try_open(&(struct blk_config){ .path = r.path, .readonly = true }), 0);
	blk_dev_close(r.dev);
	r.dev = NULL;
	if (getuid() == 0)
		ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

/* ---- read-only ------------------------------------------------------------------- */

START_TEST(a_read_only_disk_does_not_change)
{
	struct blk_info info;
	struct stat before, after;

	ck_assert_int_eq(stat(r.path, &before), 0);
	rig_open(&r, &(struct blk_config){ .path = r.path, .readonly = true });
	blk_dev_info(r.dev, &info);
	ck_assert(info.readonly && !info.volatile_cache);
	ck_assert_uint_eq(info.discard_granularity, 0);
	ck_assert_int_eq(rig_do(&r, BLK_READ, 0, 0, buf, 4096), 0);
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 0, buf, 4096), -EROFS);
	ck_assert_int_eq(rig_do(&r, BLK_ZERO, 0, 0, NULL, 4096), -EROFS);
	ck_assert_int_eq(rig_do(&r, BLK_DISCARD, 0, 0, NULL, 4096), -EROFS);
	ck_assert_int_eq(rig_do(&r, BLK_FLUSH, 0, 0, NULL, 0), 0);
	rig_close(&r);
	ck_assert_int_eq(stat(r.path, &after), 0);
	ck_assert_int_eq(after.st_blocks, before.st_blocks);
	ck_assert_int_eq(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
}
END_TEST

/* ---- locks ------------------------------------------------------------------------- */

START_TEST(one_writer_or_many_readers)
{
	struct blk_config rw = { .path = r.path }, ro = { .path = r.path, .readonly = true };
	struct blk_dev *first, *second;
	char why[200];

	ck_assert_int_eq(blk_dev_open(&first, &rw, why, sizeof(why)), 0);
	refused(&rw, -EBUSY, "this process");
	refused(&ro, -EBUSY, "in use by");
	blk_dev_close(first);
	ck_assert_int_eq(blk_dev_open(&first, &ro, why, sizeof(why)), 0);
	ck_assert_int_eq(blk_dev_open(&second, &ro, why, sizeof(why)), 0);
	refused(&rw, -EBUSY, "read-only in both places");
	blk_dev_close(first);
	refused(&rw, -EBUSY, "in use by");
	blk_dev_close(second);
	ck_assert_int_eq(try_open(&rw), 0);
}
END_TEST

/* The other process says that it has the image, waits to be told to go, and dies with it open. */
static pid_t hold_elsewhere(const char *path, int *release)
{
	int ready[2], go[2];
	char c = 0;
	pid_t pid;

	ck_assert_int_eq(pipe(ready), 0);
	ck_assert_int_eq(pipe(go), 0);
	pid = fork();
	if (!pid) {
		struct blk_dev *d;

		close(go[1]);
		if (blk_dev_open(&d, &(struct blk_config){ .path = path }, NULL, 0) ||
		    write(ready[1], &c, 1) != 1 || read(go[0], &c, 1) < 0)
			_exit(1);
		_exit(0);
	}
	close(ready[1]);
	close(go[0]);
	ck_assert_int_eq(read(ready[0], &c, 1), 1);
	close(ready[0]);
	*release = go[1];
	return pid;
}

START_TEST(the_holder_is_named)
{
	struct blk_config rw = { .path = r.path };
	char who[40];
	int release, status;
	pid_t pid = hold_elsewhere(r.path, &release);

	snprintf(who, sizeof(who), "process %d (", (int)pid);
	refused(&rw, -EBUSY, who);
	close(release);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(try_open(&rw), 0); /* a lock does not outlive its process */
}
END_TEST

/* Killed with requests under way: whoever comes next gets the image, after the last of them. */
START_TEST(a_killed_holder_leaves_the_image)
{
	struct rig f = { 0 };
	int ready[2], status;
	char c = 0;
	pid_t pid;

	rig_image(&f, false, MIB);
	for (int round = 0; round < 5; round++) {
		ck_assert_int_eq(pipe(ready), 0);
		pid = fork();
		if (!pid) {
			static struct io io[64];

			rig_loop(&f, LOOP_AUTO);
			rig_open(&f, &(struct blk_config){ .path = f.path });
			for (int i = 0; i < 64; i++)
				io_start(f.q, &io[i], i % 2 ? BLK_FLUSH : BLK_WRITE, 0, 0, buf,
					 4096);
			loop_turn(f.loop, 0);
			if (write(ready[1], &c, 1) == 1)
				pause();
			_exit(1);
		}
		close(ready[1]);
		ck_assert_int_eq(read(ready[0], &c, 1), 1);
		close(ready[0]);
		ck_assert_int_eq(kill(pid, SIGKILL), 0);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_msg(!blk_dev_open(&f.dev, &(struct blk_config){ .path = f.path }, f.why,
					    sizeof(f.why)),
			      "round %d: %s", round, f.why);
		blk_dev_close(f.dev);
		f.dev = NULL;
	}
	rig_end(&f);
}
END_TEST

/* ---- identity -------------------------------------------------------------------------- */

static void id_of(const struct blk_config *cfg, uint8_t id[16])
{
	struct blk_info info;
	struct blk_dev *d;

	ck_assert_int_eq(blk_dev_open(&d, cfg, r.why, sizeof(r.why)), 0);
	blk_dev_info(d, &info);
	memcpy(id, info.id, 16);
	blk_dev_close(d);
}

START_TEST(identity_belongs_to_the_file)
{
	struct blk_config cfg = { .path = r.path };
	uint8_t a[16], b[16];
	struct rig other = { 0 };
	char moved[220];

	id_of(&cfg, a);
	id_of(&cfg, b);
	ck_assert_mem_eq(a, b, 16);
	snprintf(moved, sizeof(moved), "%s.moved", r.path);
	ck_assert_int_eq(rename(r.path, moved), 0);
	cfg.path = moved;
	id_of(&cfg, b);
	ck_assert_mem_eq(a, b, 16);
	ck_assert_int_eq(rename(moved, r.path), 0);
	rig_image(&other, true, MIB);
	cfg.path = other.path;
	id_of(&cfg, b);
	ck_assert_mem_ne(a, b, 16);
	rig_end(&other);
}
END_TEST

START_TEST(identity_of_memory_is_its_name)
{
	struct blk_config cfg = { .engine = BLK_ENGINE_MEMORY, .size = MIB };
	uint8_t a[16], b[16];

	id_of(&cfg, a); /* the first and the second without a name differ */
	id_of(&cfg, b);
	ck_assert_mem_ne(a, b, 16);
	cfg.path = "scratch";
	id_of(&cfg, a);
	id_of(&cfg, b);
	ck_assert_mem_eq(a, b, 16);
}
END_TEST

/* ---- what is found out ------------------------------------------------------------------- */

START_TEST(memory_is_recognised)
{
	struct blk_info info;

	/* O_DIRECT there would be a different word for the same page cache. */
	rig_open(&r, &(struct blk_config){ .path = r.path, .direct = 1 });
	blk_dev_info(r.dev, &info);
	ck_assert(!info.direct);
	ck_assert_uint_eq(info.physical_block, 4096);
	ck_assert_uint_eq(info.discard_granularity, 4096);
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 0, buf, 4096), 0);
	ck_assert_int_eq(rig_do(&r, BLK_FLUSH, 0, 0, NULL, 0), 0);
	ck_assert_uint_eq(rig_stats(&r).inlined, 2);
}
END_TEST

START_TEST(files_default_to_the_page_cache)
{
	struct rig f = { 0 };
	struct blk_info info;

	rig_loop(&f, LOOP_AUTO);
	rig_image(&f, false, MIB + 512);
	rig_open(&f, &(struct blk_config){ .path = f.path, .direct = -1 });
	blk_dev_info(f.dev, &info);
	ck_assert(!info.direct);
	ck_assert_uint_eq(info.block_size, 512);
	ck_assert_int_eq(rig_do(&f, BLK_READ, 0, MIB, buf, 512), 0);
	rig_close(&f);
	rig_open(&f, &(struct blk_config){ .path = f.path, .direct = 1 });
	blk_dev_info(f.dev, &info);
	/* Where direct I/O wants 4096 bytes, this size can not have it. */
	ck_assert_int_eq(info.direct, file_dev(f.dev)->off_mask == 511);
	rig_end(&f);
}
END_TEST

/* Looking at an image leaves it as it is. */
START_TEST(opening_changes_nothing)
{
	struct rig f = { 0 };
	struct stat before, after;

	for (int direct = 0; direct < 2; direct++) {
		rig_image(&f, false, MIB);
		rig_loop(&f, LOOP_AUTO);
		ck_assert_int_eq(stat(f.path, &before), 0);
		rig_open(&f, &(struct blk_config){ .path = f.path, .direct = direct });
		rig_close(&f);
		ck_assert_int_eq(stat(f.path, &after), 0);
		ck_assert_int_eq(after.st_size, before.st_size);
		ck_assert_int_eq(after.st_blocks, before.st_blocks);
		rig_end(&f);
	}
}
END_TEST

START_TEST(a_longer_disk_reads_as_zero_and_grows)
{
	struct stat st;

	rig_open(&r, &(struct blk_config){ .path = r.path, .size = 4 * MIB });
	memset(buf, 1, sizeof(buf));
	ck_assert_int_eq(rig_do(&r, BLK_READ, 0, 3 * MIB, buf, 4096), 0);
	ck_assert_int_eq(buf[4095], 0);
	memset(buf, 2, sizeof(buf));
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, MIB - 4096, buf, 4096), 0);
	ck_assert_int_eq(rig_do(&r, BLK_READ, 0, MIB - 4096, buf, 8192), 0);
	ck_assert_int_eq(buf[4095], 2);
	ck_assert_int_eq(buf[4096], 0);
	ck_assert_int_eq(stat(r.path, &st), 0);
	ck_assert_int_eq(st.st_size, MIB);
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 4 * MIB - 512, buf, 512), 0);
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, 0, 4 * MIB - 512, buf, 1024), -EINVAL);
	ck_assert_int_eq(stat(r.path, &st), 0);
	ck_assert_int_eq(st.st_size, 4 * MIB);
}
END_TEST

/* A device with large blocks under a disk with small ones, and whose it is. */
START_TEST(block_devices_are_claimed_and_measured)
{
	struct blk_config cfg = { .direct = -1 };
	struct blk_info info;
	char path[32];
	int keep, user, unit;

	keep = make_block_device(r.path, 4096, path, sizeof(path));
	if (keep < 0) {
		fprintf(stderr, "skipped: no block device to be had\n");
		return;
	}
	cfg.path = path;
	user = open(path, O_RDONLY | O_EXCL);
	refused(&cfg, -EBUSY, "mounted or used");
	close(user);
	cfg.size = 2 * MIB;
	refused(&cfg, -EINVAL, "fewer than");
	cfg.size = 0;
	cfg.direct = -1;
	rig_open(&r, &cfg);
	blk_dev_info(r.dev, &info);
	ck_assert(info.direct);
	ck_assert_uint_eq(info.size, MIB);
	ck_assert_uint_eq(info.block_size, 512);
	ck_assert_uint_eq(info.physical_block, 4096);
	ck_assert(file_dev(r.dev)->share_blocks);
	memset(buf, 9, sizeof(buf));
	ck_assert_int_eq(rig_do(&r, BLK_WRITE, BLK_REQ_FUA, 9 * 512, buf, 512), 0); /* 14.6 */
	ck_assert_uint_eq(rig_stats(&r).bounced, 1);
	ck_assert_int_eq(rig_do(&r, BLK_DISCARD, 0, 4096, NULL, 4096), 0);
	ck_assert_int_eq(rig_do(&r, BLK_READ, 0, 9 * 512, buf, 512), 0);
	ck_assert_int_eq(buf[0], 0);
	rig_close(&r);
	/* Nothing of us is left on it. */
	for (unit = 0; unit < 50 && (user = open(path, O_RDONLY | O_EXCL)) < 0; unit++)
		usleep(10000);
	ck_assert_int_ge(user, 0);
	close(user);
	close(keep);
}
END_TEST

START_TEST(engine_names_are_known)
{
	ck_assert_str_eq(blk_engine_name(BLK_ENGINE_AUTO), "auto");
	ck_assert_str_eq(blk_engine_name(BLK_ENGINE_THREADS), "threads");
	ck_assert_str_eq(blk_engine_name((enum blk_engine)99), "?");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("blk_open");
	TCase *tc = tcase_create("open");

	log_set_level(LOG_ERROR);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, bad_sizes_are_refused);
	tcase_add_test(tc, bad_configurations_are_refused);
	tcase_add_test(tc, what_is_no_image_is_refused);
	tcase_add_test(tc, what_we_may_not_open_is_refused);
	tcase_add_test(tc, a_read_only_disk_does_not_change);
	tcase_add_test(tc, one_writer_or_many_readers);
	tcase_add_test(tc, the_holder_is_named);
	tcase_add_test(tc, a_killed_holder_leaves_the_image);
	tcase_add_test(tc, identity_belongs_to_the_file);
	tcase_add_test(tc, identity_of_memory_is_its_name);
	tcase_add_test(tc, memory_is_recognised);
	tcase_add_test(tc, files_default_to_the_page_cache);
	tcase_add_test(tc, opening_changes_nothing);
	tcase_add_test(tc, a_longer_disk_reads_as_zero_and_grows);
	tcase_add_test(tc, block_devices_are_claimed_and_measured);
	tcase_add_test(tc, engine_names_are_known);
	suite_add_tcase(s, tc);
	return rig_run_suite(s);
}
