/* SPDX-License-Identifier: MIT */
/*
 * The child's side of the bus against a root that does not answer, corrupts rings, raises
 * flags at random or babbles (spec: hostile cases C06, C07, C30): every call ends, and
 * no memory that the root still holds is given away.
 */
#include <sys/socket.h>

#include "tests/ut/vmbus/client_rig.h"

/* ---- C06: answers never come -------------------------------------------------------------------
 */

START_TEST(c06_no_answer_while_connecting)
{
	static const uint32_t on[] = { VMBUS_MSG_INITIATE_CONTACT, VMBUS_MSG_REQUESTOFFERS };
	struct vmbus_client_config cfg = { .timeout_ms = SHORT_MS };

	rig_root();
	rig_type = on[_i];
	root.on_message = rig_swallow;
	ck_assert_int_eq(rig_try_connect(&cfg), -ETIMEDOUT);
	ck_assert_uint_eq(rig_count(VMBUS_MSG_INITIATE_CONTACT), 1); /* silence is no refusal */
	/* U9: the same child, once the root has come to its senses. */
	evil_lock(&root);
	root.on_message = NULL;
	evil_unlock(&root);
	rig_connect();
	rig_fini();
}
END_TEST

START_TEST(c06_no_answer_for_a_channel)
{
	static const struct {
		uint32_t on;
		int open, modify;
		uint32_t abandoned, open_ms; /* to open waits for the ring and its end, too */
	} t[] = {
		{ VMBUS_MSG_GPADL_HEADER, -ETIMEDOUT, 0, 8, SHORT_MS },
		{ VMBUS_MSG_OPENCHANNEL, -ETIMEDOUT, 0, 0, STALL_MS },
		{ VMBUS_MSG_MODIFYCHANNEL, 0, -ETIMEDOUT, 0, LONG_MS },
		{ VMBUS_MSG_GPADL_TEARDOWN, 0, 0, 8, LONG_MS },
		{ VMBUS_MSG_UNLOAD, 0, 0, 0, LONG_MS },
	};
	struct vmbus_chan *c;
	struct vmbus_offer o;
	uint32_t before;
	uint64_t start;

	rig_root();
	evil_add(&root, 5, 0, 5);
	rig_type = t[_i].on;
	root.on_message = rig_swallow;
	rig_connect();
	before = rig_free_pages();
	o = rig_offer(0);
	start = clock_ns();
	rig_patience(t[_i].open_ms);
	ck_assert_int_eq(vmbus_client_open(bus, &o, RING, 0, 0, NULL, NULL, &c), t[_i].open);
	rig_patience(t[_i].modify ? SHORT_MS : LONG_MS);
	if (!t[_i].open) {
		ck_assert_int_eq(vmbus_client_modify(bus, c, 1), t[_i].modify);
		rig_patience(t[_i].abandoned ? SHORT_MS : LONG_MS);
		vmbus_client_close(bus, c);
	}
	ck_assert_uint_eq(rig_stats().pages_abandoned, t[_i].abandoned);
	ck_assert_uint_eq(rig_free_pages(), before - t[_i].abandoned);
	rig_patience(SHORT_MS);
	vmbus_client_destroy(bus);
	bus = NULL;
	ck_assert_uint_lt(clock_ns() - start, LIMIT_NS);
	rig_fini();
}
END_TEST

START_TEST(c06_root_that_never_has_room)
{
	static const uint32_t on[] = { VMBUS_MSG_OPENCHANNEL, VMBUS_MSG_GPADL_BODY,
				       VMBUS_MSG_RELID_RELEASED };
	uint64_t start = clock_ns();
	struct vmbus_chan *c;
	struct vmbus_offer o;

	rig_root();
	evil_add(&root, 5, 0, 5);
	evil_add(&root, 6, 0, 6);
	rig_type = on[_i];
	root.on_message = rig_refuse;
	rig_connect();
	o = rig_offer(0);
	if (_i == 2) { /* nobody is held up by a release that cannot be posted */
		evil_lock(&root);
		evil_say(&root, VMBUS_MSG_RESCIND_CHANNELOFFER, 6, 0, 0);
		evil_unlock(&root);
		rig_until(rig_stats().offers == 1);
		c = rig_open(&o, 0);
		rig_echo(c, 0, 1);
		/* It is tried again, but not all the time. */
		rig_until(rig_count(VMBUS_MSG_RELID_RELEASED) > 3);
		ck_assert_uint_le(rig_count(VMBUS_MSG_RELID_RELEASED) - 1,
				  (clock_ns() - start) / MS);
	} else {
		rig_patience(SHORT_MS);
		ck_assert_int_eq(vmbus_client_open(bus, &o, 32 * 4096, 0, 0, NULL, NULL, &c),
				 -ETIMEDOUT);
	}
	rig_fini();
	ck_assert_uint_lt(clock_ns() - start, LIMIT_NS);
}
END_TEST

static bool no_hypercall(struct evil_root *r, const struct hv_proc_call *call)
{
	return call->op != HV_PROC_HYPERCALL || r->count[VMBUS_MSG_REQUESTOFFERS] == 0;
}

/* Not even the hypercall returns: as good as dead. */
START_TEST(c06_root_that_stops_answering_calls)
{
	struct vmbus_chan *c;
	struct vmbus_offer o;

	rig_root();
	evil_add(&root, 5, 0, 5);
	root.on_call = no_hypercall;
	rig_child(500); /* for each call */
	rig_connect();
	o = rig_offer(0);
	ck_assert_int_eq(vmbus_client_open(bus, &o, RING, 0, 0, NULL, NULL, &c), -ECONNRESET);
	ck_assert_int_eq(vmbus_client_wait(bus, 0, UINT64_MAX), -ECONNRESET);
	rig_fini();
}
END_TEST

static bool no_doorbell(struct evil_root *r, const struct hv_proc_call *call)
{
	struct hv_proc_result res = { .op = HV_PROC_RESULT, .value = *(uint64_t *)r->ctx };

	if (call->op != HV_PROC_HYPERCALL || (call->arg[0] & 0xffff) != HV_CALL_SIGNAL_EVENT)
		return true;
	ck_assert_int_eq(send(r->sock, &res, sizeof(res), 0), (int)sizeof(res));
	return false;
}

/* A channel that cannot be signalled is not left open. */
START_TEST(c06_channel_without_a_doorbell)
{
	uint64_t status = _i ? HV_STATUS_INVALID_CONNECTION_ID : HV_STATUS_SUCCESS;
	struct vmbus_chan *c;
	struct vmbus_offer o;
	uint32_t before;

	rig_root();
	evil_add(&root, 5, 0, 5);
	root.ctx = &status;
	root.on_call = no_doorbell;
	rig_connect();
	before = rig_free_pages();
	o = rig_offer(0);
	ck_assert_int_eq(vmbus_client_open(bus, &o, RING, 0, 0, NULL, NULL, &c),
			 _i ? -EIO : -EMFILE);
	ck_assert_uint_eq(rig_count(VMBUS_MSG_CLOSECHANNEL), 1);
	ck_assert_uint_eq(rig_free_pages(), before);
	rig_fini();
}
END_TEST

struct opener {
	struct vmbus_offer offer;
	struct vmbus_chan *chan;
	bool done;
	int result;
};

static void *open_one(void *arg)
{
	struct opener *op = arg;

	op->result = vmbus_client_open(bus, &op->offer, RING, 1, 0, NULL, NULL, &op->chan);
	store_release(&op->done, true);
	return NULL;
}

START_TEST(c06_no_lock_is_held_while_waiting)
{
	struct opener op = { .done = false };
	struct vmbus_offer o;
	struct vmbus_chan *c;
	pthread_t thread;

	rig_root();
	evil_add(&root, 5, 0, 5);
	evil_add(&root, 6, 0, 6);
	rig_connect();
	op.offer = rig_offer(0);
	o = rig_offer(1);
	c = rig_open(&o, 0);
	evil_lock(&root);
	rig_type = VMBUS_MSG_OPENCHANNEL;
	root.on_message = rig_swallow;
	evil_unlock(&root);
	ck_assert_int_eq(pthread_create(&thread, NULL, open_one, &op), 0);
	evil_await(&root, VMBUS_MSG_OPENCHANNEL, 2);
	rig_echo(c, 0, 1); /* data, statistics, other channels' calls: all go on */
	ck_assert_uint_eq(rig_stats().channels, 1);
	ck_assert_int_eq(vmbus_client_modify(bus, c, 2), 0);
	rig_echo(c, 2, 2);
	vmbus_client_close(bus, c);
	ck_assert(!load_acquire(&op.done));
	vmbus_client_cancel(bus);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(op.result, -ECANCELED);
	rig_fini();
}
END_TEST

/* ---- C07: rings --------------------------------------------------------------------------------
 */

static const char *fault_why;

static void on_fault(void *ctx, const char *why)
{
	ck_assert_ptr_null(fault_why); /* once */
	ck_assert_ptr_eq(ctx, &fault_why);
	fault_why = why;
}

START_TEST(c07_corrupt_ring_faults_one_channel)
{
	struct vmbus_chan *a, *b;
	struct vmring_ctrl *ctrl;
	struct vmbus_offer o[2];
	struct vmpkt p;

	rig_root();
	evil_add(&root, 5, 0, 5);
	evil_add(&root, 6, 0, 6);
	rig_connect();
	o[0] = rig_offer(0);
	o[1] = rig_offer(1);
	ck_assert_int_eq(vmbus_client_open(bus, &o[0], RING, 1, 0, on_fault, &fault_why, &a), 0);
	b = rig_open(&o[1], 1);
	evil_lock(&root);
	ctrl = root.chan[5].out.ctrl;
	store_release(&ctrl->write_index, 0xfffffff0);
	evil_event(&root, 1, 5);
	evil_unlock(&root);
	while (!vmbus_chan_pending(a))
		ck_assert_int_eq(vmbus_client_wait(bus, 1, LIMIT_NS), 1);
	ck_assert_int_eq(vmbus_chan_recv(a, &p), -EPROTO);
	ck_assert_str_eq(fault_why, "write index out of range");
	ck_assert_int_eq(vmbus_chan_send(a, 0, 0, NULL, 0), -EPROTO);
	rig_echo(b, 1, 1);
	/* U9: closed and opened anew it works. */
	vmbus_client_close(bus, a);
	a = rig_open(&o[0], 1);
	rig_echo(a, 1, 2);
	rig_fini();
}
END_TEST

START_TEST(c07_packet_longer_than_agreed)
{
	struct vmbus_chan *c;
	struct vmbus_offer o;
	uint8_t big[512] = { 0 };
	struct vmpkt p;
	int n;

	rig_root();
	evil_add(&root, 5, 0, 5);
	rig_connect();
	o = rig_offer(0);
	ck_assert_int_eq(vmbus_client_open(bus, &o, RING, 0, 256, on_fault, &fault_why, &c), 0);
	evil_lock(&root);
	vmbus_chan_send(root.chan[5].chan, 0, 0, big, sizeof(big));
	vmbus_chan_flush(root.chan[5].chan);
	evil_unlock(&root);
	while ((n = vmbus_chan_recv(c, &p)) == 0)
		if (!vmbus_chan_unmask(c))
			ck_assert_int_eq(vmbus_client_wait(bus, 0, LIMIT_NS), 1);
	ck_assert_int_eq(n, -EPROTO);
	ck_assert_str_eq(fault_why, "packet longer than the channel accepts");
	rig_fini();
}
END_TEST

/* ---- C30: event flags
 * ------------------------------------------------------------------------------ */

START_TEST(c30_flags_of_channels_that_are_not_there)
{
	struct vmbus_chan *c;
	struct vmbus_offer o;

	rig_root();
	evil_add(&root, 5, 0, 5);
	rig_connect();
	o = rig_offer(0);
	c = rig_open(&o, 1);
	for (int round = 0; round < 20; round++) {
		evil_lock(&root);
		for (uint32_t flag = 0; flag < HV_FLAG_COUNT; flag++)
			evil_event(&root, 1, flag);
		evil_unlock(&root);
		while (vmbus_client_wait(bus, 1, 0) == 1)
			;
		rig_echo(c, 1, (uint64_t)round);
	}
	ck_assert_uint_eq(rig_stats().messages_ignored, 0);
	rig_fini();
}
END_TEST

/* ---- everything at once
 * ------------------------------------------------------------------------------- */

/*
 * A root that answers, and beside each answer says something from a fixed random
 * sequence. Whatever comes of it, calls end and memory is accounted for.
 */
static uint32_t seed;

static int babble(struct evil_root *r, uint32_t connection, const union vmbus_msg *m, uint32_t len)
{
	union vmbus_msg junk;

	(void)connection;
	for (int i = 0; i < 3; i++) {
		seed = seed * 1664525 + 1013904223;
		memset(&junk, (int)(seed >> 28), sizeof(junk));
		junk.hdr.type = (seed >> 8) % 31;
		junk.relid.relid = (seed >> 14) % 8; /* the answers' first id, too */
		junk.open_result.open_id = (seed >> 17) % 3;
		junk.open_result.status = (seed >> 20) % 2;
		evil_send_raw(r, HV_MESSAGE_VMBUS, &junk, sizeof(junk), (uint8_t)(seed >> 24));
	}
	if ((seed >> 9) % 16 == 0)
		return HV_STATUS_SUCCESS; /* and this one gets no answer */
	if (m->hdr.type == VMBUS_MSG_OPENCHANNEL && r->chan[m->open.relid % EVIL_CHANS].open)
		return HV_STATUS_SUCCESS; /* the close got lost */
	return evil_behave(r, m, len);
}

START_TEST(random_messages_beside_the_answers)
{
	struct vmbus_client_config cfg = { .timeout_ms = 4 };
	struct vmbus_offer o;
	struct vmbus_chan *c;
	int opened = 0;

	rig_root();
	for (uint32_t i = 1; i < 5; i++)
		evil_add(&root, i, 0, i);
	seed = (uint32_t)_i * 7919 + 1;
	root.on_message = babble;
	rig_child(0);
	for (int round = 0; round < 12; round++) {
		if (vmbus_client_connect(&bus, hv, &cfg))
			continue;
		for (uint32_t i = 0; i < 4; i++) {
			if (vmbus_client_find(bus, &evil_type, i, &o))
				continue;
			if (vmbus_client_open(bus, &o, 8192, i % 3, 0, NULL, NULL, &c))
				continue;
			opened++;
			vmbus_client_modify(bus, c, 2);
			if (i % 2)
				vmbus_client_close(bus, c);
		}
		vmbus_client_poll(bus);
		ck_assert_uint_eq(rig_stats().channels + rig_stats().pages_abandoned > 10000, 0);
		vmbus_client_destroy(bus);
		bus = NULL;
		evil_lock(&root);
		for (int i = 0; i < EVIL_GPADLS; i++) /* as a contact does */
			if (root.gpadl[i].used && !root.chan[root.gpadl[i].relid % 64].open) {
				free(root.gpadl[i].pfn);
				memset(&root.gpadl[i], 0, sizeof(root.gpadl[i]));
			}
		evil_unlock(&root);
	}
	ck_assert(!hv_child_dead(hv));
	ck_assert_int_ge(opened, 0);
	rig_fini();
}
END_TEST

static void add_silence(TCase *tc)
{
	tcase_add_loop_test(tc, c06_no_answer_while_connecting, 0, 2);
	tcase_add_loop_test(tc, c06_no_answer_for_a_channel, 0, 5);
	tcase_add_loop_test(tc, c06_root_that_never_has_room, 0, 3);
	tcase_add_test(tc, c06_root_that_stops_answering_calls);
	tcase_add_loop_test(tc, c06_channel_without_a_doorbell, 0, 2);
	tcase_add_test(tc, c06_no_lock_is_held_while_waiting);
}

static void add_data(TCase *tc)
{
	tcase_add_test(tc, c07_corrupt_ring_faults_one_channel);
	tcase_add_test(tc, c07_packet_longer_than_agreed);
	tcase_add_test(tc, c30_flags_of_channels_that_are_not_there);
	tcase_add_loop_test(tc, random_messages_beside_the_answers, 0, 6);
}

int main(void)
{
	static void (*const parts[])(TCase *) = { add_silence, add_data };

	return rig_main("vmbus/client with a silent root", parts, ARRAY_SIZE(parts));
}
