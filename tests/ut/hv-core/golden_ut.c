/* SPDX-License-Identifier: MIT */
/* The worked byte examples H1 to H7 of spec: hypervisor, decoded and encoded again. */
#include "tests/ut/hv-core/hv_rig.h"

#include <sys/eventfd.h>

/* ---- H1: HvPostMessage, REQUESTOFFERS on connection 1 --------------------------- */

static const uint8_t h1[256] = { [0] = 1, [8] = 1, [12] = 8, [16] = 3 };

struct heard {
	uint32_t calls, connection_id, len;
	uint8_t payload[HV_MSG_PAYLOAD];
};

static enum hv_status hear(void *ctx, uint32_t connection_id, const void *payload, uint32_t len)
{
	struct heard *h = ctx;

	h->calls++;
	h->connection_id = connection_id;
	h->len = len;
	memcpy(h->payload, payload, len);
	return HV_STATUS_SUCCESS;
}

START_TEST(h1_post_message)
{
	static const uint8_t request_offers[8] = { 3 };
	struct heard heard = { 0 };
	struct hv_post_message_input in = { .connection_id = HV_CONN_VMBUS_MESSAGE,
					    .message_type = HV_MESSAGE_VMBUS,
					    .payload_size = 8,
					    .payload = { 3 } };
	uint64_t gpa;

	ck_assert_mem_eq(&in, h1, sizeof(h1));
	rig_up(1);
	ck_assert_int_eq(hv_port_create_message(fake_partition(rig), 1, hear, &heard), 0);
	gpa = fake_guest_alloc(rig, 1);
	memcpy(fake_guest_ptr(rig, gpa), h1, sizeof(h1));
	ck_assert_uint_eq(fake_guest_hypercall(rig, 0x5c, gpa, 0), HV_STATUS_SUCCESS);
	ck_assert_uint_eq(heard.calls, 1);
	ck_assert_uint_eq(heard.connection_id, 1);
	ck_assert_uint_eq(heard.len, 8);
	ck_assert_mem_eq(heard.payload, request_offers, 8);
	rig_down();
}
END_TEST

/* ---- H2: HvSignalEvent, connection 0x2025, both forms ------------------------------ */

START_TEST(h2_signal_event)
{
	static const uint8_t h2[8] = { 0x25, 0x20 };
	struct hv_signal_event_input in = { .connection_id = 0x2025 };
	int fd = eventfd(0, EFD_NONBLOCK);
	eventfd_t rings;
	uint64_t gpa;

	ck_assert_mem_eq(&in, h2, sizeof(h2));
	rig_up(1);
	ck_assert_int_eq(hv_port_create_event(fake_partition(rig), 0x2025, fd), 0);
	gpa = fake_guest_alloc(rig, 1);
	memcpy(fake_guest_ptr(rig, gpa), h2, sizeof(h2));
	ck_assert_uint_eq(fake_guest_hypercall(rig, 0x5d, gpa, 0), 0);
	ck_assert_uint_eq(fake_guest_hypercall(rig, 0x1005d, 0x2025, 0), 0);
	ck_assert_int_eq(eventfd_read(fd, &rings), 0);
	ck_assert_uint_eq(rings, 2);
	rig_down();
	close(fd);
}
END_TEST

/* ---- H3, H4: message slots ------------------------------------------------------------- */

START_TEST(h3_slot_with_version_response)
{
	static const uint8_t h3[256] = { [0] = 1, [4] = 0x10, [16] = 0x0f, [24] = 1, [28] = 4 };
	static const uint8_t payload[16] = { 0x0f, [8] = 1, [12] = 4 };
	struct hv_message m;

	rig_up(1);
	fake_guest_enable(rig, 0);
	ck_assert_int_eq(hv_synic_post_message(fake_partition(rig), 0, 2, HV_MESSAGE_VMBUS, payload,
					       sizeof(payload)),
			 0);
	ck_assert_mem_eq((uint8_t *)fake_guest_messages(rig, 0) + 0x200, h3, sizeof(h3));
	ck_assert(fake_guest_take_message(rig, 0, &m, NULL));
	ck_assert_uint_eq(m.type, HV_MESSAGE_VMBUS);
	ck_assert_uint_eq(m.payload_size, 16);
	ck_assert_mem_eq(m.payload, payload, 16);
	rig_down();
}
END_TEST

START_TEST(h4_timer_message_with_one_queued_behind)
{
	static const uint8_t h4[256] = {
		[0] = 0x10,  [3] = 0x80,  [4] = 0x18,  [5] = 0x01,  [24] = 0x78, [25] = 0x56,
		[26] = 0x34, [27] = 0x12, [32] = 0x90, [33] = 0x56, [34] = 0x34, [35] = 0x12,
	};
	uint64_t timer[3] = { 0, 0x12345678, 0x12345690 };
	struct hv_message m;

	rig_up(1);
	fake_guest_enable(rig, 0);
	ck_assert_int_eq(hv_synic_post_message(fake_partition(rig), 0, 2, HV_MESSAGE_TIMER, timer,
					       sizeof(timer)),
			 0);
	ck_assert_int_eq(hv_synic_post_message(fake_partition(rig), 0, 2, HV_MESSAGE_VMBUS, "x", 1),
			 -EAGAIN);
	ck_assert_mem_eq((uint8_t *)fake_guest_messages(rig, 0) + 0x200, h4, sizeof(h4));
	ck_assert(fake_guest_take_message(rig, 0, &m, NULL));
	ck_assert_uint_eq(m.type, HV_MESSAGE_TIMER);
	ck_assert_mem_eq(m.payload, timer, sizeof(timer));
	rig_down();
}
END_TEST

/* ---- H5: event flag of relid 37 ----------------------------------------------------------- */

START_TEST(h5_event_flag)
{
	const uint8_t *page;

	rig_up(1);
	fake_guest_enable(rig, 0);
	ck_assert_int_eq(hv_synic_signal_event(fake_partition(rig), 0, HV_VMBUS_SINT, 37), 0);
	page = (uint8_t *)fake_guest_events(rig, 0);
	for (uint32_t i = 0; i < HV_PAGE_SIZE; i++)
		ck_assert_uint_eq(page[i], i == 0x204 ? 0x20 : 0);
	ck_assert(fake_guest_take_event(rig, 0, 37));
	rig_down();
}
END_TEST

/* ---- H6: register values --------------------------------------------------------------------- */

START_TEST(h6_register_values)
{
	const uint64_t reps = 0x0002000500000003;
	uint64_t value;

	rig_up(1);
	static const uint64_t sint[] = { 0xf3, 0x200f3, 0x10000 };

	for (size_t i = 0; i < ARRAY_SIZE(sint); i++) {
		ck_assert_int_eq(fake_guest_wrmsr(rig, 0, HV_MSR_SINT0 + 2, sint[i]), 0);
		ck_assert_int_eq(fake_guest_rdmsr(rig, 0, HV_MSR_SINT0 + 2, &value), 0);
		ck_assert_uint_eq(value, sint[i]);
	}
	ck_assert_int_eq(fake_guest_wrmsr(rig, 0, HV_MSR_SIMP, 0x00234001), 0);
	ck_assert_int_eq(fake_guest_rdmsr(rig, 0, HV_MSR_SIMP, &value), 0);
	ck_assert_uint_eq(value, 0x00234001);
	/* The page of the example lies outside this guest's RAM. */
	ck_assert_int_eq(fake_guest_wrmsr(rig, 0, HV_MSR_SIMP, 0x01234001), -EINVAL);

	ck_assert_uint_eq(reps & HV_CALL_CODE_MASK, 3);
	ck_assert_uint_eq((reps & HV_CALL_REPS_MASK) >> HV_CALL_REPS_SHIFT, 5);
	ck_assert_uint_eq((reps & HV_CALL_START_MASK) >> HV_CALL_START_SHIFT, 2);
	ck_assert_uint_eq(reps & HV_CALL_RESERVED_MASK, 0);
	ck_assert_uint_eq(3ull | 5ull << HV_CALL_REPS_SHIFT | 2ull << HV_CALL_START_SHIFT, reps);
	rig_down();
}
END_TEST

/* ---- H7: reference TSC page ---------------------------------------------------------------------
 */

START_TEST(h7_reference_tsc_page)
{
	static const uint8_t h7[24] = { 1,    0,    0,	  0,	0,    0,    0,	  0,
					0xae, 0x47, 0xe1, 0x7a, 0x14, 0xae, 0x47, 0x01 };
	struct hv_tsc_page page = { 0 }, got = { 0 };
	unsigned __int128 product;

	page.sequence = 1;
	page.scale = (uint64_t)(((unsigned __int128)10000000 << 64) / 2000000000u);
	ck_assert_mem_eq(&page, h7, sizeof(h7));
	memcpy(&got, h7, sizeof(h7));
	ck_assert_uint_eq(got.scale, 0x0147AE147AE147AE);
	product = (unsigned __int128)4000000000u * got.scale;
	ck_assert_int_eq((int64_t)(product >> 64) + got.offset, 19999999);
}
END_TEST

RIG_MAIN("hv-core/golden", h1_post_message, h2_signal_event, h3_slot_with_version_response,
	 h4_timer_message_with_one_queued_behind, h5_event_flag, h6_register_values,
	 h7_reference_tsc_page)
