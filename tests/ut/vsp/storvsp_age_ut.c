/* SPDX-License-Identifier: MIT */
/*
 * Ages of requests, and resets while a disk hangs: the real target and engine, a disk made
 * to hang by an injected fault, thresholds of milliseconds.
 */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "tests/fake/mock_stor_guest.h"
#include "vsp/storvsp/stor_priv.h"

#define MEMORY	 (24u << 20)
#define STUCK_MS 40u
#define RESET_MS 60u
#define MS	 1000000ull

static struct loop *loop;
static struct vmbus_bus *bus;
static struct blk_dev *dev;
static struct scsi_lun *lun;
static struct scsi_target *target;
static struct storvsp *ctl;
static struct mock_guest g;
static uint64_t buf;
static int gone, log_pipe[2];

static void setup(void)
{
	struct blk_config bc = { .engine = BLK_ENGINE_MEMORY, .size = 8u << 20 };
	struct storvsp_config cfg = { .max_subchannels = 1,
				      .queue_depth = 64,
				      .name = "scsi0",
				      .stuck_ms = STUCK_MS,
				      .reset_ms = RESET_MS };
	struct scsi_lun_config lc = { .serial = "hangs" };
	char why[200];

	ck_assert_int_eq(pipe2(log_pipe, O_NONBLOCK | O_CLOEXEC), 0);
	log_set_fd(log_pipe[1]);
	ck_assert_int_eq(loop_create(&loop, NULL), 0);
	bus = fake_bus_create(loop, MEMORY);
	ck_assert_int_eq(scsi_target_create(&target), 0);
	ck_assert_int_eq(blk_dev_open(&dev, &bc, why, sizeof(why)), 0);
	lc.dev = dev;
	ck_assert_int_eq(scsi_lun_create(&lun, &lc), 0);
	ck_assert_int_eq(scsi_target_attach(target, 0, lun), 0);
	ck_assert_int_eq(storvsp_create(&ctl, bus, target, &cfg), 0);
	buf = fake_bus_alloc(bus, 256);
	mock_guest_start(&g, bus);
}

static void on_gone(void *ctx)
{
	(void)ctx;
	gone = 1;
}

static void teardown(void)
{
	gone = 0;
	storvsp_destroy(ctl, on_gone, NULL);
	for (int i = 0; i < 1000 && !gone; i++)
		fake_bus_turn(bus);
	ck_assert_int_eq(gone, 1);
	fake_bus_destroy(bus);
	scsi_target_destroy(target);
	scsi_lun_destroy(lun);
	blk_dev_close(dev);
	loop_destroy(loop);
	log_set_fd(2);
	close(log_pipe[0]);
	close(log_pipe[1]);
}

static void turns_for(uint64_t ms)
{
	for (uint64_t end = clock_ns() + ms * MS; clock_ns() < end;) {
		fake_bus_turn(bus);
		usleep(500);
	}
}

/* However slow the machine is. */
#define turns_until(condition)                                                                     \
	do {                                                                                       \
		for (uint64_t end__ = clock_ns() + 20000 * MS; !(condition);) {                    \
			ck_assert_msg(clock_ns() < end__, "never: " #condition);                   \
			turns_for(1);                                                              \
		}                                                                                  \
	} while (0)

/* What was logged since the last call. */
static const char *logged(void)
{
	static char text[8192];
	ssize_t n = read(log_pipe[0], text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static uint32_t count(const char *text, const char *what)
{
	uint32_t n = 0;

	while ((text = strstr(text, what))) {
		text++;
		n++;
	}
	return n;
}

static void hang(uint32_t ops)
{
	struct blk_fault f = { .ops = ops, .stuck = true };

	ck_assert_int_eq(blk_dev_fault_add(dev, &f, NULL), 0);
}

static void send_writes(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct mock_srb srb = mock_rw(0, true, 123 + i * 8, 8, buf);

		ck_assert_uint_ne(mock_guest_send_srb(&g, &srb), 0);
	}
	mock_guest_flush(&g);
	fake_bus_settle(bus, 50);
}

static struct storvsp_stats stats(void)
{
	struct storvsp_stats st;

	storvsp_stats(ctl, &st);
	return st;
}

static void expect_answers(uint32_t n, uint8_t srb_status)
{
	struct mock_answer a;

	while (n--) {
		ck_assert(mock_guest_recv(&g, &a));
		ck_assert_uint_eq(a.p.srb.srb_status, srb_status);
	}
	ck_assert(!mock_guest_poll(&g, &a));
}

START_TEST(stuck_requests_are_reported_once)
{
	struct storvsp_stuck s[4];

	hang(1u << BLK_WRITE);
	send_writes(2);
	ck_assert_uint_eq(storvsp_stuck(ctl, s, 4), 0);
	turns_until(storvsp_stuck(ctl, s, 4) == 2);
	ck_assert_uint_eq(s[0].lun, 0);
	ck_assert_uint_eq(s[0].opcode, 0x2a);
	ck_assert_uint_eq(s[0].lba + s[1].lba, 123 + 131);
	ck_assert_uint_eq(s[0].blocks, 8);
	ck_assert_str_eq(s[0].name, "WRITE(10)");
	ck_assert_str_eq(s[0].where, "fault");
	ck_assert_uint_ge(s[0].age_ns, STUCK_MS * MS);
	ck_assert_uint_eq(storvsp_stuck(ctl, s, 1), 1);
	ck_assert_uint_eq(stats().stuck, 2);
	ck_assert_uint_eq(count(logged(), "LUN 0: WRITE(10) LBA 1"), 2);
	turns_for(STUCK_MS * 2);
	ck_assert_uint_eq(count(logged(), "LUN"), 0); /* once */
	ck_assert_int_eq(blk_dev_fault_remove(dev, 0), 0);
	turns_until(!stats().in_flight);
	expect_answers(2, VSTOR_SRB_SUCCESS);
	ck_assert_uint_eq(storvsp_stuck(ctl, s, 4), 0);
	ck_assert_uint_eq(stats().stuck, 2);
}
END_TEST

START_TEST(more_than_can_be_told_apart)
{
	struct storvsp_stuck s[64];
	const char *text;

	hang(1u << BLK_WRITE);
	send_writes(20);
	turns_for(5); /* the next ones are younger */
	send_writes(10);
	turns_until(stats().stuck == 30);
	ck_assert_uint_eq(storvsp_stuck(ctl, s, 64), STOR_STUCK);
	for (uint32_t i = 0; i < STOR_STUCK; i++)
		ck_assert_uint_lt(s[i].lba, 123 + 20 * 8);
	text = logged();
	ck_assert_uint_gt(count(text, "WRITE(10)"), 5);
	ck_assert_uint_gt(count(text, "more that are as old"), 0);
}
END_TEST

START_TEST(waiting_for_a_limit_is_said_so)
{
	struct blk_limits l = { .iops = 1, .burst_ms = 1 };
	struct storvsp_stuck s[8];

	ck_assert_int_eq(blk_dev_set_limits(dev, &l), 0);
	send_writes(4);
	turns_until(storvsp_stuck(ctl, s, 8) >= 2);
	ck_assert_str_eq(s[0].where, "limit");
	ck_assert_uint_ge(count(logged(), "waits for its limit"), 2);
}
END_TEST

static uint32_t in_ring(const struct storvsp_stuck *s, uint32_t n)
{
	uint32_t found = 0;

	while (n--)
		found += !strcmp(s[n].where, "ring");
	return found;
}

/* Every slot is taken: what comes now is not read. */
START_TEST(packets_that_nobody_reads_are_reported)
{
	struct storvsp_stuck s[STOR_STUCK + 1];

	hang(1u << BLK_WRITE);
	send_writes(64);
	send_writes(3);
	turns_until(in_ring(s, storvsp_stuck(ctl, s, STOR_STUCK + 1)));
	ck_assert_uint_eq(count(logged(), "packets wait unread"), 1);
	turns_for(STUCK_MS);
	ck_assert_uint_eq(count(logged(), "packets wait unread"), 0);
	ck_assert_int_eq(blk_dev_fault_remove(dev, 0), 0);
	turns_until(stats().requests >= 64 + 3 && !stats().in_flight);
	expect_answers(67, VSTOR_SRB_SUCCESS);
	turns_until(!storvsp_stuck(ctl, s, STOR_STUCK));
}
END_TEST

START_TEST(an_idle_channel_has_no_timer)
{
	struct stor_chan *c = ctl->chan[0];

	send_writes(1);
	expect_answers(1, VSTOR_SRB_SUCCESS);
	ck_assert(c->watching);
	turns_until(!c->watching);
	ck_assert_uint_eq(c->watch.due_ns, 0);
}
END_TEST

/* ---- resets while the disk hangs -------------------------------------------------------- */

static uint8_t on_disk(uint32_t lba)
{
	struct mock_srb srb = mock_rw(0, false, lba, 8, buf + 4096);
	struct mock_answer a;

	mock_guest_srb(&g, &srb, &a);
	ck_assert_uint_eq(a.p.srb.srb_status, VSTOR_SRB_SUCCESS);
	return *(uint8_t *)fake_bus_ptr(bus, buf + 4096);
}

/* S25 S26: held writes end as aborted, at once, and never happen. */
START_TEST(s25_reset_with_requests_that_are_held)
{
	static const uint32_t ops[] = { VSTOR_OP_RESET_LUN, VSTOR_OP_RESET_BUS,
					VSTOR_OP_RESET_ADAPTER };
	uint64_t start = clock_ns();
	struct mock_answer a;

	memset(fake_bus_ptr(bus, buf), 0x99, 4096);
	hang(1u << BLK_WRITE);
	send_writes(32);
	mock_guest_send_op(&g, MOCK_RESET_ID, ops[_i], NULL);
	mock_guest_flush(&g);
	fake_bus_settle(bus, 50);
	for (int i = 0; i < 32; i++) {
		ck_assert(mock_guest_recv(&g, &a));
		ck_assert_uint_eq(a.p.srb.srb_status, VSTOR_SRB_ABORTED);
		ck_assert_uint_eq(a.p.status, VSTOR_STATUS_CANCELLED);
	}
	ck_assert(mock_guest_recv(&g, &a));
	ck_assert_uint_eq(a.id, MOCK_RESET_ID);
	ck_assert_uint_eq(a.p.status, VSTOR_STATUS_SUCCESS);
	ck_assert_uint_lt(clock_ns() - start, 5000 * MS);
	ck_assert_int_eq(blk_dev_fault_remove(dev, 0), 0);
	turns_for(120);
	for (uint32_t i = 0; i < 32; i++)
		ck_assert_uint_eq(on_disk(123 + i * 8), 0);
	send_writes(1);
	expect_answers(1, VSTOR_SRB_SUCCESS);
	ck_assert_uint_eq(on_disk(123), 0x99);
}
END_TEST

/* The disk is the same for all channels: what another one holds comes back, too. */
START_TEST(s25_reset_ends_requests_of_other_channels)
{
	struct mock_guest second;
	struct mock_srb srb = mock_rw(0, true, 0, 8, buf);
	struct mock_answer a;

	hang(1u << BLK_WRITE);
	mock_guest_open(&second, bus, 0, 1, 4);
	second.packet_len = sizeof(struct vstor_packet);
	for (uint32_t i = 0; i < 8; i++)
		ck_assert_uint_ne(mock_guest_send_srb(&second, &srb), 0);
	mock_guest_flush(&second);
	send_writes(8);
	turns_until(stats().in_flight == 16);
	mock_guest_send_op(&g, MOCK_RESET_ID, VSTOR_OP_RESET_BUS, NULL);
	mock_guest_flush(&g);
	turns_until(!stats().in_flight);
	for (uint32_t i = 0; i < 8; i++) {
		ck_assert(mock_guest_recv(&second, &a));
		ck_assert_uint_eq(a.p.srb.srb_status, VSTOR_SRB_ABORTED);
	}
}
END_TEST

/* A guest that goes while its disk hangs. */
START_TEST(close_with_requests_that_are_held)
{
	hang(BLK_ANY_OP);
	send_writes(16);
	fake_bus_close(bus, 0, 0);
	fake_bus_settle(bus, 50);
	ck_assert(fake_bus_closed(bus, 0, 0));
}
END_TEST

/* Its owner takes the disk away: all that was held ends inside of the request to let go. */
START_TEST(removal_with_requests_that_are_held)
{
	hang(1u << BLK_WRITE);
	send_writes(4);
	turns_until(stats().in_flight == 4);
	scsi_target_detach(target, 0);
	storvsp_release_lun(ctl, 0);
	ck_assert_uint_eq(storvsp_releasing(ctl, 0), 1);
	turns_until(!storvsp_releasing(ctl, 0));
	expect_answers(4, VSTOR_SRB_ERROR | VSTOR_SRB_AUTOSENSE);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("storvsp ages");
	TCase *tc = tcase_create("ages");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, stuck_requests_are_reported_once);
	tcase_add_test(tc, more_than_can_be_told_apart);
	tcase_add_test(tc, waiting_for_a_limit_is_said_so);
	tcase_add_test(tc, packets_that_nobody_reads_are_reported);
	tcase_add_test(tc, an_idle_channel_has_no_timer);
	tcase_add_loop_test(tc, s25_reset_with_requests_that_are_held, 0, 3);
	tcase_add_test(tc, s25_reset_ends_requests_of_other_channels);
	tcase_add_test(tc, close_with_requests_that_are_held);
	tcase_add_test(tc, removal_with_requests_that_are_held);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
