/* SPDX-License-Identifier: MIT */
/*
 * What a disk's owner does to those who use it, over the whole stack: limits that are shared,
 * faults on purpose, media that come and go.
 */
#include "tests/proc/disk_rig.h"

/* LUNs of controller 0. */
enum { LUN_DISK, LUN_DRIVE };

#define STUCK_MS	200
#define SECOND		1000000000ull
/* Low enough that nobody misses a turn because the machine is late by a tenth of a second. */
#define RATE		200u
#define BYTES		(8 * MIB)

#define NOT_READY_EMPTY 0x23a01 /* tray closed */
#define NOT_READY_OPEN	0x23a02
#define MEDIUM_CHANGED	0x62800

static char first[96], second[96];

static void configure(struct root_config *cfg)
{
	cfg->nr_disks = 2;
	cfg->stuck_ms = STUCK_MS;
	cfg->disk[0] = (struct root_disk){ .blk = { .engine = BLK_ENGINE_MEMORY, .size = 8 * MIB },
					   .lun = LUN_DISK };
	cfg->disk[1] = (struct root_disk){ .type = SCSI_DVD,
					   .blk = { .readonly = true, .direct = -1 },
					   .lun = LUN_DRIVE };
}

static void setup(void)
{
	rig_dir();
	snprintf(first, sizeof(first), "%s/first.iso", dir);
	snprintf(second, sizeof(second), "%s/second.iso", dir);
	make_image(first, 2 * MIB);
	make_image(second, 3 * MIB);
	rig_start(&(struct rig_root){ configure, NULL });
}

static void teardown(void)
{
	rig_stop();
	unlink(first);
	unlink(second);
	rmdir(dir);
}

/* The entry of @lun in the list; the caller's. */
static json_t *listed(int lun)
{
	json_t *o = ask("{\"do\":\"disk-list\"}"), *d, *found = NULL;
	size_t i;

	json_array_foreach(json_object_get(o, "disks"), i, d)
	{
		if (json_integer_value(json_object_get(d, "lun")) == lun)
			found = json_incref(d);
	}
	json_decref(o);
	ck_assert_ptr_nonnull(found);
	return found;
}

/* ---- guests that want more than they get ------------------------------------------------ */

#define DEPTH_MAX 64

struct busy {
	struct storvsc *s;
	uint32_t depth, len;
	uint8_t *buf;
	struct storvsc_io io[DEPTH_MAX];
	struct iovec iov;
	uint64_t done; /* atomic */
	uint32_t stop; /* atomic */
	int unexpected;
	pthread_t thread;
};

static bool submit(struct busy *b, struct storvsc_io *io)
{
	*io = (struct storvsc_io){
		.op = STORVSC_READ, .lun = LUN_DISK, .len = b->len, .iov = &b->iov, .niov = 1
	};
	b->unexpected = storvsc_submit(b->s, 0, io);
	return !b->unexpected;
}

static void *want(void *arg)
{
	struct busy *b = arg;
	struct storvsc_io *out[DEPTH_MAX];
	int n;

	for (uint32_t i = 0; i < b->depth && submit(b, &b->io[i]); i++)
		;
	while ((n = storvsc_reap(b->s, 0, out, DEPTH_MAX, 1, UINT64_MAX)) > 0) {
		for (int k = 0; k < n; k++) {
			if (out[k]->result && out[k]->result != -EAGAIN)
				b->unexpected = out[k]->result;
			store_relaxed(&b->done, b->done + 1);
			if (!load_relaxed(&b->stop) && !b->unexpected)
				submit(b, out[k]);
		}
	}
	return NULL;
}

static void start_busy(struct busy *b, uint32_t depth, uint32_t len)
{
	*b = (struct busy){ .s = attach(1), .depth = depth, .len = len };
	b->buf = storvsc_alloc(b->s, len);
	ck_assert_ptr_nonnull(b->buf);
	b->iov = (struct iovec){ b->buf, len };
	ck_assert_int_eq(pthread_create(&b->thread, NULL, want, b), 0);
}

static void end_busy(struct busy *b)
{
	store_relaxed(&b->stop, 1);
	pthread_join(b->thread, NULL);
	ck_assert_msg(!b->unexpected, "%s", strerror(-b->unexpected));
	storvsc_free(b->s, b->buf, b->len);
	storvsc_detach(b->s);
}

/* Requests per second of each over about a second, once the burst is used up. */
static void measure(struct busy *b, int n, double *rate)
{
	uint64_t before[4], from, now;
	int i;

	for (i = 0; i < n; i++)
		while (load_relaxed(&b[i].done) < RATE / 4)
			usleep(1000);
	from = now = clock_ns();
	for (i = 0; i < n; i++)
		before[i] = load_relaxed(&b[i].done);
	while (now - from < SECOND) {
		usleep(20000);
		now = clock_ns();
	}
	for (i = 0; i < n; i++)
		rate[i] =
			(double)(load_relaxed(&b[i].done) - before[i]) * 1e9 / (double)(now - from);
}

/*
 * Two guests, whose requests are of so many units, share the limit in equal parts. A machine that
 * stands still for longer than the burst covers takes from the sum: one good round is enough.
 */
static void expect_shared(struct busy *b, double unit0, double unit1, double limit)
{
	double rate[2], sum;
	bool full, equal;
	int round = 0;

	do {
		measure(b, 2, rate);
		rate[0] *= unit0;
		rate[1] *= unit1;
		sum = rate[0] + rate[1];
		full = sum > 0.85 * limit && sum < 1.15 * limit;
		equal = rate[0] < 1.25 * rate[1] && rate[1] < 1.25 * rate[0];
	} while (!(full && equal) && ++round < 10);
	ck_assert_msg(full, "%.0f + %.0f per second of %.0f", rate[0], rate[1], limit);
	ck_assert_msg(equal, "%.0f and %.0f per second are no equal parts", rate[0], rate[1]);
}

/* One has 64 requests at a time and the other 16: that gives it nothing. */
START_TEST(requests_are_limited_and_shared)
{
	struct busy b[2];
	double rate[2];

	done(ask("{\"do\":\"disk-limit\",\"disk\":\"0:0\",\"iops\":%u}", RATE));
	start_busy(&b[0], 64, 4096);
	start_busy(&b[1], 16, 4096);
	expect_shared(b, 1, 1, RATE);
	/* Changed while they wait; then they are alone with the disk. */
	done(ask("{\"do\":\"disk-limit\",\"disk\":\"0:0\",\"iops\":%u}", 2 * RATE));
	expect_shared(b, 1, 1, 2 * RATE);
	done(ask("{\"do\":\"disk-limit\",\"disk\":\"0:0\",\"iops\":0}"));
	measure(b, 2, rate);
	ck_assert_msg(rate[0] + rate[1] > 3 * RATE, "%.0f + %.0f without a limit", rate[0],
		      rate[1]);
	end_busy(&b[0]);
	end_busy(&b[1]);
}
END_TEST

/* One asks for 64 KiB at a time and the other for 16: they get the same bytes. */
START_TEST(bytes_are_limited_and_shared)
{
	struct busy b[2];
	json_t *d;

	done(ask("{\"do\":\"disk-limit\",\"disk\":\"0:0\",\"bps\":%u}", BYTES));
	start_busy(&b[0], 8, 65536);
	start_busy(&b[1], 32, 16384);
	expect_shared(b, 65536, 16384, BYTES);
	d = listed(LUN_DISK);
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(d, "limits"), "bps")),
			 BYTES);
	ck_assert_int_gt(
		json_integer_value(json_object_get(json_object_get(d, "limits"), "limited")), 0);
	json_decref(d);
	done(ask("{\"do\":\"disk-limit\",\"disk\":\"0:0\",\"bps\":0}"));
	end_busy(&b[0]);
	end_busy(&b[1]);
	d = listed(LUN_DISK);
	ck_assert(json_is_null(json_object_get(d, "limits")));
	json_decref(d);
}
END_TEST

/* ---- faults ---------------------------------------------------------------------------------- */

static void set_fault(const char *spec)
{
	done(ask("{\"do\":\"disk-fault-add\",\"disk\":\"0:0\",\"fault\":\"%s\"}", spec));
}

static void clear_faults(void)
{
	done(ask("{\"do\":\"disk-fault-clear\",\"disk\":\"0:0\"}"));
}

static int read_at(struct storvsc *s, uint64_t lba)
{
	uint8_t block[512];

	return storvsc_read(s, 0, LUN_DISK, block, lba * 512, sizeof(block));
}

START_TEST(errors_by_range)
{
	struct storvsc *s = attach(1);
	json_t *o;

	set_fault("read:100-199:eio");
	ck_assert_int_eq(read_at(s, 99), 0);
	ck_assert_int_eq(read_at(s, 100), -EIO);
	ck_assert_int_eq(read_at(s, 199), -EIO);
	ck_assert_int_eq(read_at(s, 200), 0);
	ck_assert_int_eq(touch(s, LUN_DISK, 200 * 512, 1), 0);
	o = ask("{\"do\":\"disk-fault-add\",\"disk\":\"0:0\",\"fault\":\"read:300:eio+read:301:"
		"eio\"}");
	ck_assert_int_eq(json_array_size(json_object_get(o, "added")), 2);
	json_decref(o);
	done(ask("{\"do\":\"disk-fault-clear\",\"disk\":\"0:0\",\"id\":1}"));
	ck_assert_int_eq(read_at(s, 100), 0);
	ck_assert_int_eq(read_at(s, 301), -EIO);
	fails(ask("{\"do\":\"disk-fault-clear\",\"disk\":\"0:0\",\"id\":1}"), ENOENT, "no fault 1");
	fails(ask("{\"do\":\"disk-fault-add\",\"disk\":\"0:0\",\"fault\":\"reed:eio\"}"), EINVAL,
	      "begins with");
	fails(ask("{\"do\":\"disk-fault-add\",\"disk\":\"0:1\",\"fault\":\"read:eio\"}"), ENOMEDIUM,
	      "the drive is empty");
	clear_faults();
	ck_assert_int_eq(read_at(s, 301), 0);
	storvsc_detach(s);
}
END_TEST

/* Too many: all or none. */
START_TEST(no_room_for_faults)
{
	char spec[256] = "read:1:eio";
	json_t *d;

	for (int i = 0; i < BLK_MAX_FAULTS - 1; i++)
		strcat(spec, "+read:1:eio");
	fails(ask("{\"do\":\"disk-fault-add\",\"disk\":\"0:0\",\"fault\":\"%s+read:1:eio\"}", spec),
	      ENOSPC, "more than");
	set_fault("write:eio");
	fails(ask("{\"do\":\"disk-fault-add\",\"disk\":\"0:0\",\"fault\":\"%s\"}", spec), ENOSPC,
	      "clear some first");
	d = listed(LUN_DISK);
	ck_assert_int_eq(json_array_size(json_object_get(d, "injected")), 1);
	json_decref(d);
	clear_faults();
	set_fault(spec);
	clear_faults();
}
END_TEST

START_TEST(errors_by_probability)
{
	struct storvsc *s = attach(1);
	int failed = 0;

	done(ask("{\"do\":\"disk-fault-add\",\"disk\":\"0:0\",\"fault\":\"read:eio:25%%\","
		 "\"seed\":7}"));
	for (int i = 0; i < 400; i++)
		failed += read_at(s, (uint64_t)i) == -EIO;
	ck_assert_int_gt(failed, 60); /* the seed decides: not a matter of luck */
	ck_assert_int_lt(failed, 140);
	clear_faults();
	storvsc_detach(s);
}
END_TEST

START_TEST(late_requests)
{
	struct storvsc *s = attach(1);
	uint64_t from;

	ck_assert_int_eq(read_at(s, 0), 0);
	set_fault("read:delay=300ms:times=1");
	from = clock_ns();
	ck_assert_int_eq(read_at(s, 0), 0);
	ck_assert_uint_ge(clock_ns() - from, 290 * 1000000ull);
	clear_faults();
	storvsc_detach(s);
}
END_TEST

/* How many requests of the first controller of the first partition are reported as stuck. */
static int reported(const char **where)
{
	static char text[16];
	json_t *o = ask("{\"do\":\"inspect\"}"), *list, *k;
	int n;

	ck_assert_int_eq(
		json_integer_value(json_object_get(json_object_get(o, "root"), "stuck_ms")),
		STUCK_MS);
	list = json_array_get(json_object_get(o, "partitions"), 0);
	list = json_array_get(json_object_get(list, "controllers"), 0);
	list = json_object_get(list, "stuck");
	n = (int)json_array_size(list);
	k = json_array_get(list, 0);
	snprintf(text, sizeof(text), "%s",
		 k ? json_string_value(json_object_get(k, "where")) : "nowhere");
	*where = text;
	json_decref(o);
	return n;
}

static void *read_in_thread(void *s)
{
	return (void *)(intptr_t)read_at(s, 10);
}

/* Reported at the age that was chosen, with its place; and it goes on when the fault goes. */
START_TEST(stuck_requests)
{
	uint64_t until = clock_ns() + 20 * SECOND;
	struct storvsc *s = attach(1);
	const char *where;
	json_t *d, *f;
	pthread_t t;
	void *res;

	ck_assert_int_eq(read_at(s, 0), 0);
	set_fault("read:10:stuck");
	ck_assert_int_eq(pthread_create(&t, NULL, read_in_thread, s), 0);
	while (!reported(&where))
		ck_assert_msg(clock_ns() < until, "nobody reports it");
	ck_assert_str_eq(where, "fault");
	d = listed(LUN_DISK);
	f = json_array_get(json_object_get(d, "injected"), 0);
	ck_assert_int_eq(json_integer_value(json_object_get(f, "held")), 1);
	ck_assert_str_eq(json_string_value(json_object_get(f, "rule")), "read:10-10:stuck");
	json_decref(d);
	clear_faults();
	pthread_join(t, &res);
	ck_assert_int_eq((int)(intptr_t)res, 0);
	while (reported(&where))
		ck_assert_msg(clock_ns() < until, "it is reported for ever");
	storvsc_detach(s);
}
END_TEST

/* As with a real disk: what the failed flush lost is not there because the next one succeeds. */
START_TEST(flush_that_fails)
{
	struct storvsc *s = attach(1);
	json_t *d;

	ck_assert_int_eq(storvsc_flush(s, 0, LUN_DISK), 0);
	set_fault("flush:eio:times=1");
	ck_assert_int_eq(touch(s, LUN_DISK, 0, 1), 0);
	ck_assert_int_ne(storvsc_flush(s, 0, LUN_DISK), 0);
	clear_faults();
	ck_assert_int_ne(storvsc_flush(s, 0, LUN_DISK), 0);
	d = listed(LUN_DISK);
	ck_assert(json_is_true(json_object_get(d, "flush_failed")));
	json_decref(d);
	storvsc_detach(s);
}
END_TEST

/* ---- media ------------------------------------------------------------------------------------
 */

static json_t *swap_within(const char *spec, int wait_ms)
{
	struct blk_image im = { -1, -1 };
	char text[400], arg[256], why[256];
	struct root_disk d;
	json_t *o;

	snprintf(arg, sizeof(arg), "%s", spec);
	ck_assert_msg(!root_parse_medium(&d, arg, why, sizeof(why)), "%s", why);
	if (d.blk.path)
		ck_assert_msg(!blk_image_open(&im, &d.blk, why, sizeof(why)), "%s", why);
	snprintf(text, sizeof(text),
		 "{\"do\":\"disk-medium\",\"disk\":\"0:1\",\"medium\":\"%s\",\"wait_ms\":%d}", spec,
		 wait_ms);
	o = ask_with(text, &im.fd, im.fd >= 0);
	if (d.blk.path)
		blk_image_close(&im);
	return o;
}

static json_t *swap_to(const char *path)
{
	char spec[128];

	snprintf(spec, sizeof(spec), "path=%s", path);
	return swap_within(spec, 30000);
}

static json_t *eject(void)
{
	return ask("{\"do\":\"disk-medium\",\"disk\":\"0:1\",\"wait_ms\":30000}");
}

static void mark(const char *path, uint8_t byte)
{
	int fd = open(path, O_WRONLY);

	ck_assert_int_eq(pwrite(fd, &byte, 1, 4096), 1);
	close(fd);
}

/* The sense of one command without data, 0 when it went well. */
static uint32_t sense_of(struct storvsc *s, const uint8_t cdb[16])
{
	uint8_t sense[18] = { 0 };

	if (!storvsc_scsi(s, 0, LUN_DRIVE, cdb, 2, NULL, 0, NULL, sense))
		return 0;
	return (uint32_t)(sense[2] & 15) << 16 | sense[12] << 8 | sense[13];
}

static uint32_t ready(struct storvsc *s)
{
	static const uint8_t cdb[16] = { 0 };

	return sense_of(s, cdb);
}

/* READ(10) of one block at 4096. */
static int read_mark(struct storvsc *s)
{
	static const uint8_t cdb[16] = { 0x28, [5] = 2, [8] = 1 };
	uint8_t block[2048], sense[18];
	uint32_t n;
	int err = storvsc_scsi(s, 0, LUN_DRIVE, cdb, 1, block, sizeof(block), &n, sense);

	return err ? err : block[0];
}

START_TEST(media_come_and_go)
{
	static const uint8_t prevent[16] = { 0x1e, [4] = 1 };
	struct storvsc *a = attach(1), *b = attach(1);

	mark(first, 0x11);
	mark(second, 0x22);
	ck_assert(guest_sees(a, LUN_DRIVE));
	while (ready(a) != NOT_READY_EMPTY) /* after the attentions of a new disk */
		;
	while (ready(b) != NOT_READY_EMPTY)
		;
	done(swap_to(first));
	ck_assert_uint_eq(ready(a), MEDIUM_CHANGED);
	ck_assert_uint_eq(ready(b), MEDIUM_CHANGED);
	ck_assert_int_eq(read_mark(a), 0x11);
	ck_assert_int_eq(read_mark(b), 0x11);
	ck_assert(root_has(first));
	ck_assert_uint_eq(sense_of(a, prevent), 0); /* the owner's hand is stronger */
	done(swap_to(second));
	image_is_free(first);
	ck_assert_uint_eq(ready(a), MEDIUM_CHANGED);
	ck_assert_int_eq(read_mark(a), 0x22);
	ck_assert_uint_eq(ready(b), MEDIUM_CHANGED);
	ck_assert_int_eq(read_mark(b), 0x22);
	done(eject());
	image_is_free(second);
	ck_assert_uint_eq(ready(a), NOT_READY_EMPTY);
	ck_assert_uint_eq(ready(b), NOT_READY_EMPTY);
	done(eject()); /* and nothing is wrong with that */
	storvsc_detach(b);
	storvsc_detach(a);
}
END_TEST

/* What the guest takes out is the owner's again. */
START_TEST(guest_ejects)
{
	static const uint8_t open_tray[16] = { 0x1b, [4] = 2 };
	struct storvsc *s = attach(1);
	json_t *d;

	done(swap_to(first));
	while (ready(s))
		;
	ck_assert_int_eq(read_mark(s), 0);
	ck_assert_uint_eq(sense_of(s, open_tray), 0);
	ck_assert_uint_eq(ready(s), NOT_READY_OPEN);
	d = listed(LUN_DRIVE);
	ck_assert_str_eq(json_string_value(json_object_get(d, "medium")), "none");
	ck_assert(json_is_null(json_object_get(d, "path")));
	json_decref(d);
	while (root_has(first)) /* closed by the main loop, a moment after the last use */
		ready(s);
	image_is_free(first);
	done(swap_to(second));
	ck_assert_uint_eq(ready(s), MEDIUM_CHANGED);
	ck_assert_uint_eq(ready(s), 0);
	storvsc_detach(s);
}
END_TEST

static void *read_mark_in_thread(void *s)
{
	return (void *)(intptr_t)read_mark(s);
}

/* A read of the old medium is under way: it gets what it wanted, and the owner is told. */
START_TEST(swapped_while_it_is_read)
{
	struct storvsc *s = attach(1);
	char spec[128];
	json_t *d;
	pthread_t t;
	void *res;
	int held = 0;

	mark(first, 0x11);
	mark(second, 0x22);
	snprintf(spec, sizeof(spec), "path=%s,fault=read:delay=1500ms", first);
	done(swap_within(spec, 30000));
	while (ready(s))
		;
	ck_assert_int_eq(pthread_create(&t, NULL, read_mark_in_thread, s), 0);
	while (!held) {
		d = listed(LUN_DRIVE);
		held = (int)json_integer_value(
			json_object_get(json_array_get(json_object_get(d, "injected"), 0), "held"));
		json_decref(d);
	}
	snprintf(spec, sizeof(spec), "path=%s", second);
	fails(swap_within(spec, 10), EINPROGRESS, "not free yet");
	ck_assert(root_has(first));
	d = listed(LUN_DRIVE);
	ck_assert_str_eq(json_string_value(json_object_get(d, "path")), second);
	json_decref(d);
	pthread_join(t, &res);
	ck_assert_int_eq((int)(intptr_t)res, 0x11);
	while (root_has(first))
		ready(s);
	while (ready(s))
		;
	ck_assert_int_eq(read_mark(s), 0x22);
	storvsc_detach(s);
}
END_TEST

START_TEST(drives_and_disks)
{
	struct storvsc *s = attach(1);
	json_t *d;

	fails(ask("{\"do\":\"disk-medium\",\"disk\":\"0:0\"}"), EINVAL, "is no drive");
	fails(ask("{\"do\":\"disk-medium\",\"disk\":\"0:1\",\"medium\":\"path=x\"}"), EBADF,
	      "without a descriptor");
	fails(ask("{\"do\":\"disk-medium\",\"disk\":\"0:1\",\"medium\":\"path=x,lun=3\"}"), EINVAL,
	      "the others are the drive's");
	fails(ask("{\"do\":\"disk-resize\",\"disk\":\"0:1\"}"), ENOTSUP, "is a drive");
	/* Limits stay with the drive. */
	done(ask("{\"do\":\"disk-limit\",\"disk\":\"0:1\",\"iops\":50}"));
	done(swap_to(first));
	done(swap_to(second));
	d = listed(LUN_DRIVE);
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(d, "limits"), "iops")),
			 50);
	json_decref(d);
	while (ready(s))
		;
	ck_assert_int_ge(read_mark(s), 0);
	done(ask("{\"do\":\"disk-remove\",\"disk\":\"0:1\",\"wait_ms\":30000}"));
	image_is_free(second);
	ck_assert(!guest_sees(s, LUN_DRIVE));
	storvsc_detach(s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("a disk's owner");
	TCase *tc = tcase_create("owner");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, requests_are_limited_and_shared);
	tcase_add_test(tc, bytes_are_limited_and_shared);
	tcase_add_test(tc, errors_by_range);
	tcase_add_test(tc, no_room_for_faults);
	tcase_add_test(tc, errors_by_probability);
	tcase_add_test(tc, late_requests);
	tcase_add_test(tc, stuck_requests);
	tcase_add_test(tc, flush_that_fails);
	tcase_add_test(tc, media_come_and_go);
	tcase_add_test(tc, guest_ejects);
	tcase_add_test(tc, swapped_while_it_is_read);
	tcase_add_test(tc, drives_and_disks);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
