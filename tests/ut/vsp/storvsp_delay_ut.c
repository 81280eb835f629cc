/* SPDX-License-Identifier: MIT */
/*
 * The controller with a SCSI target under the test's thumb: tasks finish when the test
 * says so, with the status it says. What is looked at: exactly one completion per
 * request, back-pressure, fairness between LUNs, resets, and closing with I/O in flight.
 *
 * The functions of scsi.h and blk.h that the controller calls are defined here, so the
 * real ones are not linked.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/fake/mock_stor_guest.h"
#include "vsp/storvsp/stor_priv.h"

#define MEMORY (24u << 20)

/* ---- the fake target: LUNs 0 and 1 ------------------------------------------------- */

struct scsi_lun {
	int dummy;
};
struct blk_dev {
	int dummy;
};
struct blk_queue {
	int alive;
};

static struct scsi_lun luns[2];
static struct blk_dev devs[2];
static struct scsi_task *waiting[8192];
static uint32_t n_waiting, n_executed, n_aborted, queues, queue_error;
static bool instant;   /* tasks finish inside scsi_task_execute() */
static uint8_t answer; /* SAM status they finish with */
static uint8_t answer_key;
static uint32_t nr_luns = 2;

struct scsi_lun *scsi_target_lun(const struct scsi_target *t, uint8_t number)
{
	(void)t;
	return number < nr_luns ? &luns[number] : NULL;
}

struct scsi_nexus *scsi_target_nexus(struct scsi_target *t, uint8_t number)
{
	return (struct scsi_nexus *)scsi_target_lun(t, number); /* never looked into */
}

struct blk_dev *scsi_lun_dev(struct scsi_lun *l)
{
	return &devs[l - luns];
}

static struct vmbus_bus *bus;
static uint64_t noted;

void scsi_lun_note_latency(struct scsi_lun *l, uint64_t ns)
{
	(void)l;
	noted += ns > 0;
}

bool scsi_lun_is_drive(const struct scsi_lun *l)
{
	(void)l;
	return false;
}

struct scsi_medium *scsi_lun_medium_get(struct scsi_lun *l)
{
	(void)l;
	return NULL;
}

void scsi_medium_put(struct scsi_medium *m)
{
	(void)m;
}

struct blk_dev *scsi_medium_dev(const struct scsi_medium *m)
{
	(void)m;
	return NULL;
}

void scsi_target_lost(struct scsi_target *t)
{
	(void)t;
}

/* What PREEMPT AND ABORT of another initiator would call. */
static void (*abort_hook)(void *ctx, uint8_t number, struct scsi_fence *f);
static void *abort_ctx;

void scsi_target_set_abort(struct scsi_target *t,
			   void (*abort)(void *ctx, uint8_t number, struct scsi_fence *f),
			   void *ctx)
{
	(void)t;
	abort_hook = abort;
	abort_ctx = ctx;
}

void scsi_target_reset(struct scsi_target *t, uint8_t number)
{
	(void)t;
	(void)number;
}

int blk_queue_create(struct blk_queue **out, struct blk_dev *d, struct loop *l)
{
	(void)d;
	(void)l;
	if (queue_error)
		return -(int)queue_error;
	*out = calloc(1, sizeof(**out));
	(*out)->alive = 1;
	queues++;
	return 0;
}

void blk_queue_destroy(struct blk_queue *q)
{
	q->alive = 0;
	queues--;
	free(q);
}

int blk_queue_set_owner(struct blk_queue *q, uint64_t owner)
{
	ck_assert(q->alive);
	ck_assert_uint_eq(owner, vmbus_bus_partition_id(bus));
	return 0;
}

/* What the test holds counts as in the kernel, unless it says otherwise. */
static bool abortable;

bool scsi_task_abort(struct scsi_task *t)
{
	uint32_t i = 0;

	n_aborted++;
	if (!abortable)
		return false;
	while (waiting[i] != t)
		i++;
	memmove(&waiting[i], &waiting[i + 1], (--n_waiting - i) * sizeof(*waiting));
	t->status = SCSI_CHECK_CONDITION;
	t->done(t);
	return true;
}

const char *blk_where_name(enum blk_where w)
{
	return w == BLK_AT_KERNEL ? "kernel" : "?";
}

void scsi_task_position(const struct scsi_task *t, struct scsi_position *out)
{
	*out = (struct scsi_position){ .name = "READ(10)",
				       .opcode = t->cdb[0],
				       .lba = t->cdb[5],
				       .blocks = 8,
				       .where = BLK_AT_KERNEL };
}

static void fill(struct scsi_task *t)
{
	t->status = answer;
	t->sense_len = 0;
	t->absent = false;
	t->transferred = answer ? 0 : t->data_len;
	if (answer == SCSI_CHECK_CONDITION && answer_key != 0xff) {
		memset(t->sense, 0, sizeof(t->sense));
		t->sense[0] = 0x70;
		t->sense[2] = answer_key;
		t->sense[7] = 10;
		t->sense_len = SCSI_SENSE_LEN;
	}
}

void scsi_target_unit_attention(struct scsi_target *t, enum scsi_ua ua)
{
	ck_abort_msg("attention %d of %p", (int)ua, (void *)t); /* no LUN comes or goes here */
}

bool scsi_execute_nowhere(struct scsi_task *t)
{
	n_executed++;
	t->status = SCSI_CHECK_CONDITION;
	t->sense_len = 0;
	t->absent = true;
	return true;
}

void scsi_execute_absent(struct scsi_target *target, uint8_t number, struct scsi_task *t)
{
	(void)target;
	ck_assert_uint_ge(number, nr_luns);
	scsi_execute_nowhere(t);
}

bool scsi_task_execute(struct scsi_task *t, struct scsi_nexus *nexus)
{
	ck_assert_ptr_nonnull(nexus);
	n_executed++;
	ck_assert_ptr_nonnull(t->queue);
	if (instant) {
		fill(t);
		return true;
	}
	waiting[n_waiting++] = t;
	return false;
}

/* Finishes task @i of those that wait; what it writes into the guest's pages comes first. */
static void finish(uint32_t i)
{
	struct scsi_task *t = waiting[i];
	int k;

	memmove(&waiting[i], &waiting[i + 1], (--n_waiting - i) * sizeof(*waiting));
	for (k = 0; k < t->niov && t->data_dir == SCSI_DIR_IN; k++)
		memset(t->iov[k].iov_base, 0xd1, t->iov[k].iov_len);
	fill(t);
	t->done(t);
}

static void finish_all(void)
{
	while (n_waiting)
		finish(n_waiting / 2);
}

/* ---- fixture ---------------------------------------------------------------------------- */

static struct loop *loop;
static struct storvsp *ctl;
static struct mock_guest g;
static uint64_t buf;
static int gone_calls;

static void on_gone(void *ctx)
{
	(void)ctx;
	gone_calls++;
}

static void setup_depth(uint32_t depth)
{
	struct storvsp_config cfg = { .max_subchannels = 2, .queue_depth = depth, .name = "d" };

	n_waiting = n_executed = n_aborted = queues = queue_error = 0;
	instant = abortable = false;
	answer = SCSI_GOOD;
	answer_key = 0;
	gone_calls = 0;
	ck_assert_int_eq(loop_create(&loop, NULL), 0);
	bus = fake_bus_create(loop, MEMORY);
	ck_assert_int_eq(storvsp_create(&ctl, bus, NULL, &cfg), 0);
	buf = fake_bus_alloc(bus, 1024);
}

static void setup(void)
{
	nr_luns = 2;
	setup_depth(64);
	mock_guest_start(&g, bus);
}

static void destroy_all(void)
{
	int i;

	storvsp_destroy(ctl, on_gone, NULL);
	finish_all();
	for (i = 0; i < 100 && !gone_calls; i++)
		fake_bus_turn(bus);
	ck_assert_int_eq(gone_calls, 1);
	ck_assert_uint_eq(queues, 0);
	fake_bus_destroy(bus);
	loop_destroy(loop);
}

static struct mock_srb read_at(uint8_t lun, uint32_t i)
{
	return mock_rw(lun, false, i, 8, buf + (i % 512) * 4096ull);
}

/* Sends up to @n reads; returns how many fitted into the ring. */
static uint32_t send_reads(uint8_t lun, uint32_t n)
{
	struct mock_srb srb;
	uint32_t i;

	for (i = 0; i < n; i++) {
		srb = read_at(lun, i);
		if (!mock_guest_send_srb(&g, &srb))
			break;
	}
	mock_guest_flush(&g);
	return i;
}

static uint32_t in_flight(void)
{
	struct storvsp_stats st;

	storvsp_stats(ctl, &st);
	return st.in_flight;
}

/* Takes every completion that is there; each id once. */
static uint32_t take_all(uint8_t *seen, uint32_t max)
{
	struct mock_answer a;
	uint32_t n = 0;

	while (mock_guest_poll(&g, &a)) {
		ck_assert_uint_eq(a.type, VMPKT_COMPLETION);
		ck_assert_uint_lt(a.id, max);
		ck_assert_uint_eq(seen[a.id], 0);
		seen[a.id] = 1;
		n++;
	}
	return n;
}

/* ---- status on the wire (section 8) -------------------------------------------------- */

START_TEST(status_table)
{
	static const struct {
		uint8_t status, key;
		uint8_t srb;
		uint32_t nt;
	} t[] = {
		{ SCSI_GOOD, 0, 0x01, VSTOR_STATUS_SUCCESS },
		{ SCSI_CONDITION_MET, 0, 0x01, VSTOR_STATUS_SUCCESS },
		{ SCSI_BUSY, 0, 0x01, VSTOR_STATUS_SUCCESS },
		{ SCSI_RESERVATION_CONFLICT, 0, 0x01, VSTOR_STATUS_SUCCESS },
		{ SCSI_TASK_SET_FULL, 0, 0x01, VSTOR_STATUS_SUCCESS },
		{ SCSI_TASK_ABORTED, 0, 0x02, VSTOR_STATUS_CANCELLED },
		{ SCSI_CHECK_CONDITION, 2, 0x84, VSTOR_STATUS_IO_DEVICE_ERROR },
		{ SCSI_CHECK_CONDITION, 3, 0x84, VSTOR_STATUS_IO_DEVICE_ERROR },
		{ SCSI_CHECK_CONDITION, 4, 0x84, VSTOR_STATUS_IO_DEVICE_ERROR },
		{ SCSI_CHECK_CONDITION, 5, 0x86, VSTOR_STATUS_IO_DEVICE_ERROR },
		{ SCSI_CHECK_CONDITION, 6, 0x84, VSTOR_STATUS_IO_DEVICE_ERROR },
		{ SCSI_CHECK_CONDITION, 7, 0x84, VSTOR_STATUS_IO_DEVICE_ERROR },
		{ SCSI_CHECK_CONDITION, 0x0b, 0x84, VSTOR_STATUS_IO_DEVICE_ERROR },
		{ SCSI_CHECK_CONDITION, 0x0e, 0x84, VSTOR_STATUS_IO_DEVICE_ERROR },
		{ SCSI_CHECK_CONDITION, 0xff, 0x04, VSTOR_STATUS_IO_DEVICE_ERROR },
		{ 0x30, 0, 0x04, VSTOR_STATUS_IO_DEVICE_ERROR },
	};
	struct mock_srb srb = read_at(0, 0);
	struct mock_answer a;
	unsigned int i;

	for (i = 0; i < 2 * ARRAY_SIZE(t); i++) {
		answer = t[i / 2].status;
		answer_key = t[i / 2].key;
		instant = i & 1;
		ck_assert_uint_ne(mock_guest_send_srb(&g, &srb), 0);
		mock_guest_flush(&g);
		fake_bus_settle(bus, 10);
		finish_all();
		ck_assert(mock_guest_recv(&g, &a));
		ck_assert_uint_eq(a.p.srb.scsi_status, t[i / 2].status);
		ck_assert_uint_eq(a.p.srb.srb_status, t[i / 2].srb);
		ck_assert_uint_eq(a.p.status, t[i / 2].nt);
		ck_assert_uint_eq(a.p.srb.data_transfer_length, answer ? 0 : 4096);
		ck_assert_uint_eq(a.p.srb.sense[0], t[i / 2].srb & 0x80 ? 0x70 : 0);
		ck_assert_uint_eq(a.p.srb.sense_info_length, VSTOR_SENSE_ROOM);
	}
}
END_TEST

START_TEST(no_queue_for_a_lun)
{
	struct mock_srb srb = read_at(1, 0);
	struct mock_answer a;

	instant = true;
	queue_error = EMFILE;
	mock_guest_srb(&g, &srb, &a);
	ck_assert_uint_eq(a.p.srb.srb_status, 0x84);
	ck_assert_uint_eq(a.p.srb.sense[2], 4);
	ck_assert_uint_eq(a.p.srb.sense[12], 0x44);
	queue_error = 0;
	mock_guest_srb(&g, &srb, &a);
	ck_assert_uint_eq(a.p.srb.srb_status, 0x01);
}
END_TEST

/* ---- back-pressure ------------------------------------------------------------------------ */

/* S27: a guest that ignores every limit. */
START_TEST(s27_depth_is_a_limit_and_nothing_is_lost)
{
	static uint8_t seen[5000];
	uint32_t sent = 0, got = 0;
	struct storvsp_stats st;

	nr_luns = 1; /* alone, a disk may use every slot */
	destroy_all();
	setup_depth(64);
	mock_guest_start(&g, bus);
	memset(seen, 0, sizeof(seen));
	while (got < 4000) {
		sent += send_reads(0, 4000 - sent);
		fake_bus_settle(bus, 50);
		ck_assert_uint_le(n_waiting, 64);
		ck_assert_uint_eq(in_flight(), n_waiting);
		if (sent < 4000)
			ck_assert_uint_eq(n_waiting, 64);
		while (n_waiting > 20)
			finish(n_waiting * 7 / 13);
		if (sent == 4000)
			finish_all();
		fake_bus_settle(bus, 50);
		got += take_all(seen, sizeof(seen));
	}
	ck_assert_uint_eq(n_executed, 4000);
	storvsp_stats(ctl, &st);
	ck_assert_uint_eq(st.max_in_flight, 64);
	ck_assert_uint_eq(st.oldest_ns, 0);
}
END_TEST

/* P17: the guest never reads. Requests stay in its ring, completions are never dropped. */
START_TEST(p17_full_outgoing_ring_stops_the_intake)
{
	static uint8_t seen[2000];
	uint32_t sent = 0, executed, got = 0;

	memset(seen, 0, sizeof(seen));
	fake_bus_close(bus, 0, 0);
	mock_guest_open(&g, bus, 0, 0, 2); /* 46 completions fill the ring */
	mock_guest_init(&g, VSTOR_V6_2, NULL);
	n_executed = 0;
	instant = true;
	do {
		executed = n_executed;
		sent += send_reads(0, 100);
		ck_assert(fake_bus_settle(bus, 50));
	} while (n_executed != executed);
	ck_assert_uint_le(n_executed, 46);
	ck_assert_uint_gt(sent, n_executed);
	while (got < sent) { /* it reads at last: everything is answered */
		got += take_all(seen, sizeof(seen));
		ck_assert(fake_bus_settle(bus, 50));
	}
	ck_assert_uint_eq(n_executed, sent);
}
END_TEST

START_TEST(p17_room_is_promised_to_what_is_in_flight)
{
	static uint8_t seen[2000];
	uint32_t sent, got = 0, more;

	memset(seen, 0, sizeof(seen));
	fake_bus_close(bus, 0, 0);
	mock_guest_open(&g, bus, 0, 0, 2);
	mock_guest_init(&g, VSTOR_V6_2, NULL);
	sent = send_reads(0, 100);
	fake_bus_settle(bus, 50);
	do {
		more = send_reads(1, 20);
		sent += more;
		fake_bus_settle(bus, 50);
	} while (more);
	ck_assert_uint_le(n_waiting, 46);
	finish_all(); /* each of these has its place */
	fake_bus_settle(bus, 50);
	while (got < sent) {
		got += take_all(seen, sizeof(seen));
		fake_bus_settle(bus, 50);
		finish_all();
		fake_bus_settle(bus, 50);
	}
	ck_assert(!vmbus_chan_faulted(fake_bus_host_chan(bus, 0, 0)));
}
END_TEST

/* S28: one disk hangs; the other one goes on. */
START_TEST(s28_a_slow_lun_leaves_slots_to_the_others)
{
	struct mock_answer a;
	uint32_t full = 0, i;

	send_reads(0, 200);
	fake_bus_settle(bus, 50);
	ck_assert_uint_eq(n_waiting, 48); /* three quarters of 64 */
	while (mock_guest_poll(&g, &a)) {
		ck_assert_uint_eq(a.p.srb.scsi_status, SCSI_TASK_SET_FULL);
		ck_assert_uint_eq(a.p.srb.srb_status, VSTOR_SRB_SUCCESS);
		full++;
	}
	ck_assert_uint_eq(full, 152);
	for (i = 0; i < 100; i++) {
		uint32_t before = n_waiting;

		send_reads(1, 1);
		fake_bus_settle(bus, 50);
		ck_assert_uint_eq(n_waiting, before + 1);
		finish(n_waiting - 1);
		ck_assert(mock_guest_recv(&g, &a));
		ck_assert_uint_eq(a.p.srb.lun, 1);
		ck_assert_uint_eq(a.p.srb.srb_status, VSTOR_SRB_SUCCESS);
	}
}
END_TEST

/* F02: nothing moves for a long time, then everything finishes once. */
START_TEST(f02_stopped_guest_costs_no_turns)
{
	struct fake_bus_counts before;

	send_reads(0, 30);
	fake_bus_settle(bus, 50);
	before = *fake_bus_counts(bus);
	ck_assert(!fake_bus_turn(bus));
	ck_assert(!fake_bus_turn(bus));
	ck_assert_mem_eq(&before, fake_bus_counts(bus), sizeof(before));
	finish_all();
	fake_bus_settle(bus, 50);
}
END_TEST

START_TEST(oldest_request_is_known)
{
	struct storvsp_stats st;

	send_reads(0, 3);
	fake_bus_settle(bus, 50);
	storvsp_stats(ctl, &st);
	ck_assert_uint_eq(st.in_flight, 3);
	ck_assert_uint_gt(st.oldest_ns, 0);
	finish_all();
	storvsp_stats(ctl, &st);
	ck_assert_uint_eq(st.oldest_ns, 0);
}
END_TEST

/* ---- resets ------------------------------------------------------------------------------------
 */

static void send_reset(uint32_t op)
{
	mock_guest_send_op(&g, MOCK_RESET_ID, op, NULL);
	mock_guest_flush(&g);
	fake_bus_settle(bus, 50);
}

/* S25 S26: every request once, the reset's answer behind the last of them. */
START_TEST(s25_s26_reset_waits_for_what_is_in_flight)
{
	static const uint32_t ops[] = { VSTOR_OP_RESET_LUN, VSTOR_OP_RESET_ADAPTER,
					VSTOR_OP_RESET_BUS };
	struct mock_answer a;
	uint32_t i, n = send_reads(0, 40);

	fake_bus_settle(bus, 50);
	send_reset(ops[_i]);
	ck_assert_uint_eq(n_aborted, n);
	send_reads(1, 5); /* behind the reset: not before its answer */
	fake_bus_settle(bus, 50);
	ck_assert_uint_eq(n_executed, n);
	ck_assert(!mock_guest_poll(&g, &a));
	for (i = 0; i < n; i++) {
		finish(0);
		ck_assert(mock_guest_recv(&g, &a));
		ck_assert_uint_eq(a.id < 1000, 1);
	}
	ck_assert(mock_guest_recv(&g, &a));
	ck_assert_uint_eq(a.id, MOCK_RESET_ID);
	ck_assert_uint_eq(a.p.status, 0);
	fake_bus_settle(bus, 50);
	ck_assert_uint_eq(n_waiting, 5);
}
END_TEST

/* A disk that hangs: the guest gets its answer before it gives up, and its data later. */
START_TEST(reset_is_answered_in_bounded_time)
{
	struct stor_chan *c = ctl->chan[0];
	struct mock_answer a;
	uint32_t i;

	send_reads(0, 10);
	fake_bus_settle(bus, 50);
	send_reset(VSTOR_OP_RESET_BUS);
	ck_assert(!mock_guest_poll(&g, &a));
	ck_assert_uint_ne(c->reset_timer.due_ns, 0);
	ck_assert_uint_le(c->reset_timer.due_ns, loop_now(loop) + 5000000000ull);
	c->reset_timer.fire(&c->reset_timer); /* as the loop would by then */
	ck_assert(mock_guest_recv(&g, &a));
	ck_assert_uint_eq(a.id, MOCK_RESET_ID);
	ck_assert_uint_eq(a.p.status, VSTOR_STATUS_IO_TIMEOUT); /* it promises nothing */
	ck_assert_uint_eq(c->reset_timer.due_ns, 0);
	for (i = 0; i < 10; i++) {
		finish(0);
		ck_assert(mock_guest_recv(&g, &a));
		ck_assert_uint_lt(a.id, 1000);
	}
	ck_assert(!mock_guest_recv(&g, &a)); /* the reset is not answered twice */
}
END_TEST

/* What the kernel does not have is answered as aborted, and the reset behind it at once. */
START_TEST(reset_takes_back_what_is_not_in_the_kernel)
{
	struct mock_answer a;
	uint32_t i;

	send_reads(0, 10);
	fake_bus_settle(bus, 50);
	abortable = true;
	send_reset(VSTOR_OP_RESET_LUN);
	for (i = 0; i < 10; i++) {
		ck_assert(mock_guest_recv(&g, &a));
		ck_assert_uint_eq(a.p.srb.srb_status, VSTOR_SRB_ABORTED);
		ck_assert_uint_eq(a.p.srb.scsi_status, SCSI_TASK_ABORTED);
		ck_assert_uint_eq(a.p.status, VSTOR_STATUS_CANCELLED);
		ck_assert_uint_eq(a.p.srb.data_transfer_length, 0);
	}
	ck_assert(mock_guest_recv(&g, &a));
	ck_assert_uint_eq(a.id, MOCK_RESET_ID);
	ck_assert_uint_eq(a.p.status, 0);
	ck_assert_uint_eq(ctl->chan[0]->reset_timer.due_ns, 0);
	ck_assert_uint_eq(in_flight(), 0);
	send_reads(0, 5);
	fake_bus_settle(bus, 50);
	ck_assert_uint_eq(n_waiting, 5);
}
END_TEST

START_TEST(close_takes_back_what_is_not_in_the_kernel)
{
	send_reads(0, 10);
	fake_bus_settle(bus, 50);
	abortable = true;
	fake_bus_close(bus, 0, 0);
	ck_assert(fake_bus_settle(bus, 50));
	ck_assert(fake_bus_closed(bus, 0, 0));
}
END_TEST

/* Two sub-channels beside the primary. */
static void open_subs(struct mock_guest *sub)
{
	struct vstor_packet p = { .sub_channel_count = 2 };
	struct mock_answer a;

	mock_guest_call(&g, VSTOR_OP_CREATE_SUB_CHANNELS, &p, &a);
	for (int i = 0; i < 2; i++)
		mock_guest_open(&sub[i], bus, 0, (uint16_t)(i + 1), 8);
}

static void send_on(struct mock_guest *from, uint8_t lun, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct mock_srb srb = read_at(lun, i);

		mock_guest_send_srb(from, &srb);
	}
	mock_guest_flush(from);
	fake_bus_settle(bus, 50);
}

/* S26: what other channels of the controller have in the kernel could write as well. */
START_TEST(s25_s26_reset_waits_for_the_other_channels)
{
	struct mock_guest sub[2];
	struct mock_answer a;

	open_subs(sub);
	send_on(&sub[0], 0, 2);
	send_on(&sub[1], 1, 1);
	send_reset(VSTOR_OP_RESET_BUS);
	ck_assert_uint_eq(n_aborted, 3);
	send_on(&sub[1], 1, 1); /* behind the reset: no part of it, and not kept waiting */
	ck_assert_uint_eq(n_executed, 4);
	finish(2);
	finish(0);
	fake_bus_settle(bus, 50);
	ck_assert(!mock_guest_poll(&g, &a));
	if (_i) { /* S39: also one that is being closed */
		fake_bus_close(bus, 0, 1);
		fake_bus_settle(bus, 50);
		ck_assert(!mock_guest_poll(&g, &a));
	}
	finish(0);
	ck_assert(mock_guest_recv(&g, &a));
	ck_assert_uint_eq(a.id, MOCK_RESET_ID);
	ck_assert_uint_eq(a.p.status, 0);
	ck_assert_uint_eq(n_waiting, 1);
}
END_TEST

/* A LUN's reset is that LUN's: another one that hangs neither suffers nor delays it. */
START_TEST(reset_of_a_lun_leaves_the_others)
{
	struct mock_answer a;

	send_on(&g, 1, 3);
	send_on(&g, 0, 1);
	send_reset(VSTOR_OP_RESET_LUN); /* of 0 */
	ck_assert_uint_eq(n_aborted, 1);
	ck_assert(!mock_guest_poll(&g, &a));
	finish(3);
	ck_assert(mock_guest_recv(&g, &a));
	ck_assert(mock_guest_recv(&g, &a));
	ck_assert_uint_eq(a.id, MOCK_RESET_ID);
	ck_assert_uint_eq(a.p.status, 0);
	ck_assert_uint_eq(n_waiting, 3);
}
END_TEST

/* ---- PREEMPT AND ABORT of another initiator ------------------------------------------------- */

static uint32_t passed;

static void on_passed(struct scsi_fence *f)
{
	(void)f;
	passed++;
}

static void preempt(struct scsi_fence *f)
{
	passed = 0;
	scsi_fence_init(f, on_passed);
	abort_hook(abort_ctx, 0, f);
	scsi_fence_pass(f);
	fake_bus_settle(bus, 50);
}

START_TEST(preempt_waits_for_what_the_kernel_has)
{
	struct mock_guest sub[2];
	struct mock_srb reserve = { .cdb = { 0x5f, 5 }, .cdb_len = 10 };
	struct scsi_fence f, again;

	open_subs(sub);
	preempt(&f);
	ck_assert_uint_eq(passed, 1); /* nothing was in flight */
	send_on(&g, 0, 2);
	send_on(&sub[0], 0, 1);
	send_on(&sub[1], 1, 1);
	mock_guest_send_srb(&sub[1], &reserve); /* may itself wait: two of them would for ever */
	mock_guest_flush(&sub[1]);
	fake_bus_settle(bus, 50);
	preempt(&f);
	ck_assert_uint_eq(n_aborted, 3);
	send_on(&g, 0, 1); /* later: not part of it */
	finish(2);
	finish(1);
	ck_assert_uint_eq(passed, 0);
	preempt(&again); /* this one waits for both */
	ck_assert_uint_eq(n_aborted, 4);
	finish(0);
	finish(2);
	ck_assert_uint_eq(passed, 2);
	ck_assert(!f.failed && !again.failed);
	ck_assert_uint_eq(n_waiting, 2);
}
END_TEST

/* What the engine still has is answered as aborted, and there is nothing to wait for. */
START_TEST(preempt_takes_back_what_the_kernel_has_not)
{
	struct mock_answer a;
	struct scsi_fence f;

	send_on(&g, 0, 3);
	abortable = true;
	preempt(&f);
	ck_assert_uint_eq(passed, 1);
	for (int i = 0; i < 3; i++) {
		ck_assert(mock_guest_recv(&g, &a));
		ck_assert_uint_eq(a.p.srb.srb_status, VSTOR_SRB_ABORTED);
		ck_assert_uint_eq(a.p.srb.scsi_status, SCSI_TASK_ABORTED);
	}
}
END_TEST

/* A disk that hangs: who preempts is told in time that it did not work. */
START_TEST(preempt_gives_up_in_bounded_time)
{
	struct stor_chan *c = ctl->chan[0];
	struct scsi_fence f;
	uint64_t due;

	send_on(&g, 0, 3);
	preempt(&f);
	due = c->fence_timer.due_ns;
	ck_assert_uint_ne(due, 0);
	ck_assert_uint_le(due, loop_now(loop) + 5000000000ull);
	c->ctl->cfg.reset_ms = 1; /* for the next one */
	finish(0);
	finish(0);
	ck_assert_uint_eq(passed, 0);
	finish(0);
	ck_assert_uint_eq(passed, 1);
	loop_timer_cancel(loop, &c->fence_timer);
	send_on(&g, 0, 1);
	preempt(&f);
	while (!passed)
		fake_bus_turn(bus);
	ck_assert(f.failed);
	finish(0); /* answered all the same, once */
	ck_assert_uint_eq(passed, 1);
}
END_TEST

/* The guest that is to be kept out is being killed: its last write counts too. */
START_TEST(preempt_of_a_guest_that_goes)
{
	struct scsi_fence f;

	send_on(&g, 0, 2);
	fake_bus_close(bus, 0, 0);
	preempt(&f);
	finish(0);
	fake_bus_settle(bus, 50);
	ck_assert_uint_eq(passed, 0);
	finish(0);
	ck_assert(fake_bus_settle(bus, 50));
	ck_assert_uint_eq(passed, 1);
	ck_assert(fake_bus_closed(bus, 0, 0));
	preempt(&f);
	ck_assert_uint_eq(passed, 1); /* nobody is there */
}
END_TEST

START_TEST(reset_when_idle_is_answered_at_once)
{
	struct mock_answer a;

	mock_guest_call(&g, VSTOR_OP_RESET_BUS, NULL, &a);
	ck_assert_uint_eq(a.p.status, 0);
}
END_TEST

START_TEST(close_during_a_reset)
{
	send_reads(0, 3);
	fake_bus_settle(bus, 50);
	send_reset(VSTOR_OP_RESET_BUS);
	fake_bus_close(bus, 0, 0);
	finish_all();
	ck_assert(fake_bus_settle(bus, 50));
	ck_assert(fake_bus_closed(bus, 0, 0));
}
END_TEST

/* ---- closing
 * ------------------------------------------------------------------------------------- */

START_TEST(close_waits_for_the_last_request)
{
	send_reads(0, 20);
	fake_bus_settle(bus, 50);
	fake_bus_close(bus, 0, 0);
	ck_assert_uint_eq(n_aborted, 20);
	while (n_waiting > 1) {
		finish(0);
		fake_bus_turn(bus);
		ck_assert(!fake_bus_closed(bus, 0, 0));
	}
	finish(0);
	ck_assert(!fake_bus_closed(bus, 0, 0)); /* not from inside the engine's callback */
	ck_assert_uint_eq(queues, 1);
	fake_bus_turn(bus);
	ck_assert(fake_bus_closed(bus, 0, 0));
	ck_assert_uint_eq(queues, 0);
}
END_TEST

/* S39: what the old life left behind does not reach the new one. */
START_TEST(s39_reopened_channel_hears_nothing_of_the_old_one)
{
	struct mock_answer a;

	send_reads(0, 20);
	fake_bus_settle(bus, 50);
	fake_bus_close(bus, 0, 0);
	finish_all();
	fake_bus_settle(bus, 50);
	mock_guest_start(&g, bus); /* the same ring pages */
	ck_assert(!mock_guest_recv(&g, &a));
	send_reads(0, 1);
	fake_bus_settle(bus, 50);
	finish_all();
	ck_assert(mock_guest_recv(&g, &a));
	ck_assert_uint_eq(a.id, 1);
	ck_assert(!mock_guest_recv(&g, &a));
}
END_TEST

/* F01: the guest is gone with its memory map; late I/O still has pages to write to. */
START_TEST(f01_guest_dies_with_io_in_flight)
{
	uint32_t n = send_reads(0, 40);

	fake_bus_settle(bus, 50);
	ck_assert_uint_eq(n_waiting, n);
	fake_bus_close(bus, 0, 0);
	fake_bus_kill_memory(bus);
	finish_all(); /* writes 0xd1 into every page */
	ck_assert(fake_bus_settle(bus, 50));
	ck_assert(fake_bus_closed(bus, 0, 0));
}
END_TEST

START_TEST(fault_with_io_in_flight)
{
	struct vmbus_chan *c;
	uint8_t junk[8] = { 0 };

	fake_bus_close_on_fault(bus, true);
	send_reads(0, 10);
	mock_guest_send_raw(&g, 77, junk, sizeof(junk));
	mock_guest_flush(&g);
	fake_bus_settle(bus, 50);
	ck_assert_uint_eq(fake_bus_counts(bus)->faults, 1);
	ck_assert_uint_eq(n_waiting, 10);
	ck_assert(!fake_bus_closed(bus, 0, 0));
	finish_all();
	fake_bus_settle(bus, 50);
	ck_assert(fake_bus_closed(bus, 0, 0));
	ck_assert_int_eq(fake_bus_open(bus, 0, 0, 8, &c), 0);
}
END_TEST

START_TEST(revoke_with_io_in_flight_on_every_channel)
{
	struct vstor_packet p = { .sub_channel_count = 2 };
	struct mock_guest sub[2];
	struct mock_srb srb = read_at(0, 1);
	struct mock_answer a;
	int i;

	mock_guest_call(&g, VSTOR_OP_CREATE_SUB_CHANNELS, &p, &a);
	for (i = 0; i < 2; i++) {
		mock_guest_open(&sub[i], bus, 0, (uint16_t)(i + 1), 8);
		mock_guest_send_srb(&sub[i], &srb);
		mock_guest_flush(&sub[i]);
	}
	send_reads(1, 5);
	fake_bus_settle(bus, 50);
	ck_assert_uint_eq(n_waiting, 7);
	ck_assert_uint_eq(queues, 3);
	/* teardown: destroy first, finish later */
}
END_TEST

START_TEST(destroy_without_a_guest)
{
	destroy_all();
	setup_depth(8);
}
END_TEST

static long resident_pages(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long size, resident = 0;

	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fscanf(f, "%ld %ld", &size, &resident), 2);
	fclose(f);
	return resident;
}

/* Slots are reused most recent first: a pool that was never busy is untouched memory. */
START_TEST(deep_queues_cost_no_memory_until_they_are_used)
{
	long before;
	uint32_t i;

	destroy_all();
	setup_depth(STORVSP_MAX_DEPTH);
	mock_guest_start(&g, bus);
	fake_bus_close(bus, 0, 0);
	before = resident_pages();
	mock_guest_open(&g, bus, 0, 0, 2);
	mock_guest_init(&g, VSTOR_V6_2, NULL);
	for (i = 0; i < 1000; i++) {
		send_reads(0, 1);
		fake_bus_settle(bus, 50);
		finish_all();
		while (mock_guest_poll(&g, &(struct mock_answer){ 0 }))
			;
	}
	/* 6 MiB of slots and scatter lists; a sanitizer's own memory comes on top. */
#ifdef __SANITIZE_THREAD__
	ck_assert_int_lt(resident_pages() - before, 1000);
#else
	ck_assert_int_lt(resident_pages() - before, 200);
#endif
}
END_TEST

START_TEST(random_walk)
{
	static uint8_t seen[20000];
	uint32_t seed = 1, sent = 0, got = 0, i;

	memset(seen, 0, sizeof(seen));
	for (i = 0; i < 6000; i++) {
		seed = seed * 1664525u + 1013904223u;
		switch (seed >> 29) {
		case 0:
		case 1:
		case 2:
			sent += send_reads((uint8_t)(seed >> 28 & 1), 1 + (seed >> 20 & 7));
			break;
		case 3:
		case 4:
			if (n_waiting)
				finish((seed >> 8) % n_waiting);
			break;
		case 5:
			instant = !instant;
			break;
		case 6:
			fake_bus_turn(bus);
			break;
		default:
			got += take_all(seen, sizeof(seen));
		}
		ck_assert_uint_le(n_waiting, 64);
	}
	while (got < sent) {
		finish_all();
		fake_bus_settle(bus, 100);
		got += take_all(seen, sizeof(seen));
	}
	ck_assert_uint_eq(in_flight(), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("storvsp delayed");
	TCase *tc = tcase_create("delayed");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, destroy_all);
	tcase_add_test(tc, status_table);
	tcase_add_test(tc, no_queue_for_a_lun);
	tcase_add_test(tc, s27_depth_is_a_limit_and_nothing_is_lost);
	tcase_add_test(tc, p17_full_outgoing_ring_stops_the_intake);
	tcase_add_test(tc, p17_room_is_promised_to_what_is_in_flight);
	tcase_add_test(tc, s28_a_slow_lun_leaves_slots_to_the_others);
	tcase_add_test(tc, f02_stopped_guest_costs_no_turns);
	tcase_add_test(tc, oldest_request_is_known);
	tcase_add_loop_test(tc, s25_s26_reset_waits_for_what_is_in_flight, 0, 3);
	tcase_add_test(tc, reset_is_answered_in_bounded_time);
	tcase_add_test(tc, reset_takes_back_what_is_not_in_the_kernel);
	tcase_add_test(tc, close_takes_back_what_is_not_in_the_kernel);
	tcase_add_loop_test(tc, s25_s26_reset_waits_for_the_other_channels, 0, 2);
	tcase_add_test(tc, reset_of_a_lun_leaves_the_others);
	tcase_add_test(tc, preempt_waits_for_what_the_kernel_has);
	tcase_add_test(tc, preempt_takes_back_what_the_kernel_has_not);
	tcase_add_test(tc, preempt_gives_up_in_bounded_time);
	tcase_add_test(tc, preempt_of_a_guest_that_goes);
	tcase_add_test(tc, reset_when_idle_is_answered_at_once);
	tcase_add_test(tc, close_during_a_reset);
	tcase_add_test(tc, close_waits_for_the_last_request);
	tcase_add_test(tc, s39_reopened_channel_hears_nothing_of_the_old_one);
	tcase_add_test(tc, f01_guest_dies_with_io_in_flight);
	tcase_add_test(tc, fault_with_io_in_flight);
	tcase_add_test(tc, revoke_with_io_in_flight_on_every_channel);
	tcase_add_test(tc, destroy_without_a_guest);
	tcase_add_test(tc, deep_queues_cost_no_memory_until_they_are_used);
	tcase_add_test(tc, random_walk);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
