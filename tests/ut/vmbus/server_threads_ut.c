/* SPDX-License-Identifier: MIT */
/*
 * Channels on loops of their own threads, the bus and the guest on this one: traffic,
 * interrupts that move, closing, dying and removal while all of that runs.
 */
#include <pthread.h>
#include <semaphore.h>

#include "tests/ut/vmbus/server_rig.h"

#define IO	 2u
#define CHANNELS 4u
#define WINDOW	 16u

struct io_thread {
	sem_t up; /* the loop exists */
	pthread_t thread;
	struct loop *loop;
};

static struct io_thread io[IO];
static struct guest guest[CHANNELS];

static void *io_main(void *arg)
{
	struct io_thread *t = arg;

	if (loop_create(&t->loop, NULL))
		abort();
	sem_post(&t->up);
	loop_run(t->loop);
	loop_destroy(t->loop);
	return NULL;
}

static void threads_up(void)
{
	struct vmbus_server_config cfg = { .nr_io_loops = IO };
	struct loop *loops[IO];

	for (uint32_t i = 0; i < IO; i++) {
		sem_init(&io[i].up, 0, 0);
		pthread_create(&io[i].thread, NULL, io_main, &io[i]);
	}
	for (uint32_t i = 0; i < IO; i++)
		sem_wait(&io[i].up);
	for (uint32_t i = 0; i < IO; i++)
		loops[i] = io[i].loop;
	cfg.io_loops = loops;
	rig_up_with(&cfg);
}

/* The bus's loop last: who posts to a loop must have ended before it. */
static void threads_down(void)
{
	rig_end_bus();
	for (uint32_t i = 0; i < IO; i++) {
		loop_stop(io[i].loop);
		pthread_join(io[i].thread, NULL);
	}
	loop_destroy(rig.loop);
}

static void open_all(void)
{
	connect_guest();
	guest_open(&guest[0], 1, 0);
	ck_assert_int_eq(vmbus_device_offer_subchannels(rig.toy.dev, CHANNELS - 1), 0);
	for (uint32_t i = 1; i < CHANNELS; i++)
		expect(VMBUS_MSG_OFFERCHANNEL);
	for (uint32_t i = 1; i < CHANNELS; i++)
		guest_open(&guest[i], i + 1, i);
}

static void detach_all(void)
{
	for (uint32_t i = 0; i < CHANNELS; i++)
		guest_detach(&guest[i]);
}

/* @total echoes on every channel, up to WINDOW under way on each. */
static void traffic(uint64_t total)
{
	uint64_t sent[CHANNELS] = { 0 }, got[CHANNELS] = { 0 }, done = 0, id;
	uint64_t end = clock_ns() + DEADLINE;

	while (done < CHANNELS) {
		for (uint32_t i = 0; i < CHANNELS; i++) {
			if (got[i] == total)
				continue;
			while (sent[i] < total && sent[i] - got[i] < WINDOW)
				guest_send(&guest[i], sent[i]++);
			while (got[i] < sent[i] && guest_take(&guest[i], &id)) {
				if (id != got[i]++)
					ck_abort_msg("out of order");
				done += got[i] == total;
			}
		}
		ck_assert_int_ge(loop_turn(rig.loop, 0), 0);
		ck_assert_uint_lt(clock_ns(), end);
	}
}

/* Some that nobody waits for. */
static void flood(void)
{
	for (uint64_t n = 0; n < WINDOW; n++)
		for (uint32_t i = 0; i < CHANNELS; i++)
			guest_send(&guest[i], n);
}

START_TEST(traffic_on_all)
{
	threads_up();
	open_all();
	traffic(TIMES(5000));
	detach_all();
	threads_down();
}
END_TEST

/* A provider that has one loop for all that it owns gets its channels there. */
START_TEST(device_chooses_its_loop)
{
	struct vmbus_device_desc desc = { .type = VMBUS_CLASS_SCSI, .name = "tied" };
	struct guest g[2];
	struct toy tied;

	memset(&tied, 0, sizeof(tied));
	threads_up();
	desc.loop = io[1].loop;
	desc.instance.b[0] = 9;
	ck_assert_int_eq(vmbus_device_offer(&tied.dev, rig.bus, &desc, &toy_ops, &tied), 0);
	contact(VMBUS_V5_3);
	expect(VMBUS_MSG_VERSION_RESPONSE);
	say(VMBUS_MSG_REQUESTOFFERS);
	expect(VMBUS_MSG_OFFERCHANNEL);
	ck_assert_uint_eq(expect(VMBUS_MSG_OFFERCHANNEL).offer.relid, 2);
	expect(VMBUS_MSG_ALLOFFERS_DELIVERED);
	guest_open(&g[0], 2, 0);
	ck_assert_int_eq(vmbus_device_offer_subchannels(tied.dev, 1), 0);
	expect(VMBUS_MSG_OFFERCHANNEL);
	guest_open(&g[1], 3, 0);
	for (uint32_t i = 0; i < 2; i++) {
		ck_assert_ptr_eq(vmbus_chan_loop(tied.c[i].chan), io[1].loop);
		guest_echo(&g[i], 5);
		guest_detach(&g[i]);
	}
	vmbus_device_revoke(tied.dev, toy_gone);
	UNTIL(tied.gone == 1);
	threads_down();
}
END_TEST

START_TEST(interrupts_move_under_traffic)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_MODIFYCHANNEL), other;

	threads_up();
	open_all();
	for (uint32_t round = 0; round < 50; round++) {
		flood();
		m.modify.relid = 1;
		m.modify.target_vp = round % VPS;
		post(&m, len);
		ck_assert_uint_eq(expect(VMBUS_MSG_MODIFYCHANNEL_RESPONSE).modify_response.status,
				  VMBUS_STATUS_SUCCESS);
		/* Section 6.5: from here on not one interrupt on any other VP. */
		for (other = 0; other < VPS; other++)
			fake_guest_take_event(rig.f, other, 1);
		for (uint64_t id = 0; id < WINDOW; id++) {
			for (uint32_t i = 0; i < CHANNELS; i++) {
				uint64_t got;

				UNTIL(guest_take(&guest[i], &got));
				ck_assert_uint_eq(got, id);
			}
		}
		for (other = 0; other < VPS; other++)
			if (other != round % VPS)
				ck_assert(!fake_guest_take_event(rig.f, other, 1));
	}
	detach_all();
	threads_down();
}
END_TEST

START_TEST(close_under_traffic)
{
	threads_up();
	connect_guest();
	for (uint32_t round = 0; round < 40; round++) {
		guest_open(&guest[0], 1, round % VPS);
		for (uint64_t n = 0; n < WINDOW; n++)
			guest_send(&guest[0], n);
		guest_close(&guest[0]);
	}
	threads_down();
}
END_TEST

START_TEST(death_under_traffic)
{
	for (uint32_t round = 0; round < 10; round++) {
		threads_up();
		open_all();
		traffic(20);
		flood();
		detach_all();
		threads_down(); /* which shuts the bus down first of all */
	}
}
END_TEST

START_TEST(reconnect_under_traffic)
{
	threads_up();
	for (uint32_t round = 0; round < 10; round++) {
		open_all();
		traffic(20);
		flood();
		detach_all();
	}
	threads_down();
}
END_TEST

/* The device ends its channels from a thread that is not theirs. */
START_TEST(removal_under_traffic)
{
	threads_up();
	open_all();
	rig.toy.own_close = true;
	flood();
	vmbus_device_revoke(rig.toy.dev, toy_gone);
	for (uint32_t i = CHANNELS; i-- > 0;)
		UNTIL(load_acquire(&rig.toy.c[i].closes));
	settle();
	ck_assert_uint_eq(rig.toy.gone, 0);
	for (uint16_t i = 0; i < CHANNELS; i++)
		toy_end(&rig.toy, i);
	UNTIL(rig.toy.gone == 1);
	for (uint32_t i = 2; i <= CHANNELS; i++)
		ck_assert_uint_eq(expect(VMBUS_MSG_RESCIND_CHANNELOFFER).relid.relid, i);
	ck_assert_uint_eq(expect(VMBUS_MSG_RESCIND_CHANNELOFFER).relid.relid, 1);
	detach_all();
	threads_down();
}
END_TEST

VMBUS_MAIN("vmbus/server_threads", traffic_on_all, device_chooses_its_loop,
	   interrupts_move_under_traffic, close_under_traffic, death_under_traffic,
	   reconnect_under_traffic, removal_under_traffic)
