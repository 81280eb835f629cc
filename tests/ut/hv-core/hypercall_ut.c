/* SPDX-License-Identifier: MIT */
/* Hypercall checks and their status codes (spec: hypervisor, sections 3.3 to 3.7; cases H01 to
 * H11). */
#include "tests/ut/hv-core/hv_rig.h"

#include <sys/eventfd.h>

#define FAST 0x10000ull

static uint32_t heard, heard_len;
static uint8_t heard_byte;
static enum hv_status answer;

static enum hv_status hear(void *ctx, uint32_t connection_id, const void *payload, uint32_t len)
{
	(void)ctx;
	(void)connection_id;
	heard++;
	heard_len = len;
	heard_byte = len ? *(const uint8_t *)payload : 0;
	return answer;
}

static int bell;

static void up(void)
{
	rig_up(1);
	bell = eventfd(0, EFD_NONBLOCK);
	ck_assert_int_eq(hv_port_create_message(fake_partition(rig), 1, hear, NULL), 0);
	ck_assert_int_eq(hv_port_create_event(fake_partition(rig), 0x2001, bell), 0);
}

static void down(void)
{
	rig_down();
	close(bell);
}

static uint64_t rings(void)
{
	eventfd_t n;

	return eventfd_read(bell, &n) ? 0 : n;
}

static uint64_t refused(void)
{
	struct hv_partition_stats stats;

	hv_partition_stats(fake_partition(rig), &stats);
	return stats.hypercalls_refused;
}

START_TEST(every_code_but_ours_is_refused)
{
	static const uint16_t denied[] = { 0x46, 0x58, 0x5b, 0x95, 0x96, 0xc0, 0xc1, 0x8001 };

	up();
	for (uint32_t code = 0; code <= 0xffff; code++) {
		enum hv_status want = HV_STATUS_INVALID_HYPERCALL_CODE;

		if (code == 0x5c || code == 0x5d)
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(denied); i++)
			if (denied[i] == code)
				want = HV_STATUS_ACCESS_DENIED;
		if (fake_guest_hypercall(rig, code, 0, 0) != want ||
		    fake_guest_hypercall(rig, code | FAST, 0, 0) != want)
			ck_abort_msg("code 0x%x", code);
	}
	ck_assert_uint_eq(heard + rings(), 0);
	ck_assert_uint_eq(refused(), 2 * (0x10000 - 2));
	down();
}
END_TEST

/* Each bit of the input value above the code, on an otherwise good signal. */
START_TEST(control_bits)
{
	up();
	for (int bit = 17; bit < 64; bit++) {
		uint64_t want = bit == 31 ? HV_STATUS_SUCCESS : HV_STATUS_INVALID_HYPERCALL_INPUT;

		ck_assert_uint_eq(fake_guest_hypercall(rig, 0x5d | FAST | 1ull << bit, 0x2001, 0),
				  want);
		ck_assert_uint_eq(rings(), want == HV_STATUS_SUCCESS);
	}
	/* The denied and the unknown come first, whatever else is wrong. */
	ck_assert_uint_eq(fake_guest_hypercall(rig, ~0ull, ~0ull, ~0ull),
			  HV_STATUS_INVALID_HYPERCALL_CODE);
	ck_assert_uint_eq(fake_guest_hypercall(rig, ~0ull << 16 | 0x95, ~0ull, ~0ull),
			  HV_STATUS_ACCESS_DENIED);
	/* HvPostMessage's input does not fit into registers. */
	ck_assert_uint_eq(fake_guest_hypercall(rig, 0x5c | FAST, 1, 0),
			  HV_STATUS_INVALID_HYPERCALL_INPUT);
	down();
}
END_TEST

START_TEST(input_addresses)
{
	static const struct {
		const char *why;
		uint64_t control, in, want;
	} c[] = {
		{ "not 8-byte aligned", 0x5d, 0x2004, HV_STATUS_INVALID_ALIGNMENT },
		{ "odd", 0x5c, 0x2001, HV_STATUS_INVALID_ALIGNMENT },
		{ "alignment is checked before presence", 0x5d, ~0ull,
		  HV_STATUS_INVALID_ALIGNMENT },
		{ "crosses a page", 0x5c, 0x2f08, HV_STATUS_INVALID_ALIGNMENT },
		{ "end of the address space", 0x5d, ~7ull, HV_STATUS_INVALID_PARAMETER },
		{ "end of the address space, crossing", 0x5c, ~7ull, HV_STATUS_INVALID_ALIGNMENT },
		{ "last block of the address space", 0x5c, ~255ull, HV_STATUS_INVALID_PARAMETER },
		{ "first byte behind RAM", 0x5d, RIG_MEMORY, HV_STATUS_INVALID_PARAMETER },
		{ "far away", 0x5c, 1ull << 40, HV_STATUS_INVALID_PARAMETER },
		{ "last block of RAM, zeroes", 0x5c, RIG_MEMORY - 256,
		  HV_STATUS_INVALID_PARAMETER },
		{ "last qword of RAM, zeroes", 0x5d, RIG_MEMORY - 8,
		  HV_STATUS_INVALID_CONNECTION_ID },
		{ "last block of a page, zeroes", 0x5c, 0x2f00, HV_STATUS_INVALID_PARAMETER },
	};

	up();
	for (size_t i = 0; i < ARRAY_SIZE(c); i++)
		ck_assert_msg(fake_guest_hypercall(rig, c[i].control, c[i].in, 0) == c[i].want,
			      "%s", c[i].why);
	ck_assert_uint_eq(heard + rings(), 0);
	down();
}
END_TEST

START_TEST(post_message_fields)
{
	static const struct {
		const char *why;
		uint32_t connection, reserved, type, size;
		enum hv_status want;
		uint32_t heard;
	} c[] = {
		{ "good", 1, 0, 1, 8, 0, 1 },
		{ "longest", 1, 0, 1, 240, 0, 1 },
		{ "empty is well-formed", 1, 0, 1, 0, 0, 1 },
		{ "one too long", 1, 0, 1, 241, HV_STATUS_INVALID_PARAMETER, 0 },
		{ "4 GiB too long", 1, 0, 1, 0xffffffff, HV_STATUS_INVALID_PARAMETER, 0 },
		{ "reserved field", 1, 1, 1, 8, HV_STATUS_INVALID_PARAMETER, 0 },
		{ "no type", 1, 0, 0, 8, HV_STATUS_INVALID_PARAMETER, 0 },
		{ "the hypervisor's types", 1, 0, 0x80000000, 8, HV_STATUS_INVALID_PARAMETER, 0 },
		{ "timer", 1, 0, 0x80000010, 8, HV_STATUS_INVALID_PARAMETER, 0 },
		{ "a type nobody listens for", 1, 0, 2, 8, 0, 0 },
		{ "unknown connection", 2, 0, 1, 8, HV_STATUS_INVALID_CONNECTION_ID, 0 },
		{ "VTL2 redirect", 0x800074, 0, 1, 8, HV_STATUS_INVALID_CONNECTION_ID, 0 },
		{ "upper byte", 0x01000001, 0, 1, 8, HV_STATUS_INVALID_CONNECTION_ID, 0 },
		{ "all ones", 0xffffffff, 0, 1, 8, HV_STATUS_INVALID_CONNECTION_ID, 0 },
		{ "same bucket as 1", 257, 0, 1, 8, HV_STATUS_INVALID_CONNECTION_ID, 0 },
		{ "an event port", 0x2001, 0, 1, 8, HV_STATUS_INVALID_PORT_ID, 0 },
	};
	struct hv_partition_stats stats;
	uint64_t gpa;

	up();
	gpa = fake_guest_alloc(rig, 1);
	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		struct hv_post_message_input in = {
			c[i].connection, c[i].reserved, c[i].type, c[i].size, { 0xab }
		};
		uint32_t before = heard;

		memcpy(fake_guest_ptr(rig, gpa), &in, sizeof(in));
		ck_assert_msg(fake_guest_hypercall(rig, 0x5c, gpa, 0) == (uint64_t)c[i].want, "%s",
			      c[i].why);
		ck_assert_msg(heard - before == c[i].heard, "%s", c[i].why);
		if (c[i].heard)
			ck_assert_uint_eq(heard_len, c[i].size);
		if (c[i].heard && c[i].size)
			ck_assert_uint_eq(heard_byte, 0xab);
	}
	ck_assert_uint_eq(rings(), 0);
	hv_partition_stats(fake_partition(rig), &stats);
	ck_assert_uint_eq(stats.messages_in, 3);
	ck_assert_uint_eq(stats.messages_dropped, 1);
	down();
}
END_TEST

/* H08: the receiver's back-pressure reaches the guest unchanged, and is not its fault. */
START_TEST(back_pressure)
{
	up();
	answer = HV_STATUS_INSUFFICIENT_BUFFERS;
	ck_assert_uint_eq(fake_guest_post_message(rig, 1, 1, "x", 1), 0x13);
	ck_assert_uint_eq(refused(), 0);
	answer = HV_STATUS_SUCCESS;
	ck_assert_uint_eq(fake_guest_post_message(rig, 1, 1, "x", 1), 0);
	down();
}
END_TEST

START_TEST(signal_event_fields)
{
	static const struct {
		const char *why;
		uint64_t in;
		enum hv_status want;
	} c[] = {
		{ "good", 0x2001, 0 },
		{ "flag 1", 0x2001 | 1ull << 32, HV_STATUS_INVALID_PARAMETER },
		{ "flag 65535", 0x2001 | 0xffffull << 32, HV_STATUS_INVALID_PARAMETER },
		{ "reserved", 0x2001 | 1ull << 48, HV_STATUS_INVALID_PARAMETER },
		{ "reserved", 0x2001 | 1ull << 63, HV_STATUS_INVALID_PARAMETER },
		{ "unknown", 0x2002, HV_STATUS_INVALID_CONNECTION_ID },
		{ "zero", 0, HV_STATUS_INVALID_CONNECTION_ID },
		{ "upper byte", 0x80002001, HV_STATUS_INVALID_CONNECTION_ID },
		{ "a message port", 1, HV_STATUS_INVALID_PORT_ID },
	};
	uint64_t gpa;

	up();
	gpa = fake_guest_alloc(rig, 1);
	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		uint64_t want_rings = c[i].want == HV_STATUS_SUCCESS;

		/* H11: the second register means nothing in the fast form. */
		ck_assert_msg(fake_guest_hypercall(rig, 0x5d | FAST, c[i].in, 0xdeadbeefcafef00d) ==
				      (uint64_t)c[i].want,
			      "%s", c[i].why);
		ck_assert_uint_eq(rings(), want_rings);
		memcpy(fake_guest_ptr(rig, gpa), &c[i].in, 8);
		ck_assert_msg(fake_guest_hypercall(rig, 0x5d, gpa, 0) == (uint64_t)c[i].want, "%s",
			      c[i].why);
		ck_assert_uint_eq(rings(), want_rings);
	}
	down();
}
END_TEST

/* H10: a connection id means something only in the table of its own partition. */
START_TEST(ids_of_another_partition)
{
	struct fake_partition *other;
	int fd = eventfd(0, EFD_NONBLOCK);
	eventfd_t n;

	up();
	ck_assert_int_eq(fake_partition_create(&other, rig_loop, 1, RIG_MEMORY), 0);
	ck_assert_uint_ne(hv_partition_id(fake_partition(other)),
			  hv_partition_id(fake_partition(rig)));
	ck_assert_int_eq(hv_port_create_event(fake_partition(other), 0x2005, fd), 0);
	ck_assert_uint_eq(fake_guest_signal(rig, 0x2005), HV_STATUS_INVALID_CONNECTION_ID);
	ck_assert_uint_eq(fake_guest_signal(other, 0x2001), HV_STATUS_INVALID_CONNECTION_ID);
	ck_assert_int_ne(eventfd_read(fd, &n), 0);
	ck_assert_uint_eq(fake_guest_signal(other, 0x2005), HV_STATUS_SUCCESS);
	ck_assert_int_eq(eventfd_read(fd, &n), 0);
	fake_partition_destroy(other);
	close(fd);
	down();
}
END_TEST

/* Input by value, as process partitions pass it: no GPA is followed, the doorbell is not rung. */
START_TEST(input_by_value)
{
	struct hv_signal_event_input ev = { .connection_id = 0x2001 };
	struct hv_post_message_input in = { 1, 0, 1, 1, { 7 } };
	struct hv_partition *p;
	int fd = 99;

	up();
	p = fake_partition(rig);
	ck_assert_uint_eq(hv_hypercall_by_value(p, 0x5c, ~0ull, &in, sizeof(in), &fd), 0);
	ck_assert_int_eq(fd, -1);
	ck_assert_uint_eq(heard, 1);
	ck_assert_uint_eq(hv_hypercall_by_value(p, 0x5d, ~0ull, &ev, sizeof(ev), &fd), 0);
	ck_assert_int_eq(fd, bell);
	ck_assert_uint_eq(hv_hypercall_by_value(p, 0x5d | FAST, 0x2001, &in, sizeof(in), &fd), 0);
	ck_assert_int_eq(fd, bell);
	ck_assert_uint_eq(hv_hypercall_by_value(p, 0x5d | FAST, 0x2002, &in, sizeof(in), &fd),
			  HV_STATUS_INVALID_CONNECTION_ID);
	ck_assert_int_eq(fd, -1);
	ck_assert_uint_eq(hv_hypercall_by_value(p, 0x5c, 0, &in, sizeof(in) - 1, &fd),
			  HV_STATUS_INVALID_PARAMETER);
	ck_assert_uint_eq(heard, 1);
	ck_assert_uint_eq(rings(), 0);
	down();
}
END_TEST

/* A guest thread rewrites the input all the time: what arrives passed the checks. */
static void *scribble(void *arg)
{
	uint32_t *in = arg, *stop = in + 128;

#ifdef HVBUS_TSAN
	return NULL; /* the race is the point of the test, which a race detector cannot know */
#endif
	while (!load_relaxed(stop)) {
		store_relaxed(&in[3], 0xffffffff); /* payload size */
		store_relaxed(&in[3], 200);
		store_relaxed(&in[0], 0x2001); /* connection id */
		store_relaxed(&in[0], 1);
	}
	return NULL;
}

static enum hv_status hear_bounded(void *ctx, uint32_t connection_id, const void *payload,
				   uint32_t len)
{
	(void)ctx;
	(void)payload;
	ck_assert_uint_eq(connection_id, 1);
	ck_assert_uint_eq(len, 200);
	heard++;
	return HV_STATUS_SUCCESS;
}

START_TEST(input_is_read_once)
{
	struct hv_post_message_input *in;
	uint64_t gpa;
	pthread_t t;

	up();
	hv_port_delete(fake_partition(rig), 1);
	ck_assert_int_eq(hv_port_create_message(fake_partition(rig), 1, hear_bounded, NULL), 0);
	gpa = fake_guest_alloc(rig, 1);
	in = fake_guest_ptr(rig, gpa);
	*in = (struct hv_post_message_input){ 1, 0, 1, 200, { 0 } };
	ck_assert_int_eq(pthread_create(&t, NULL, scribble, in), 0);
	while (heard < 2000 * RIG_EFFORT) {
		uint64_t status = fake_guest_hypercall(rig, 0x5c, gpa, 0);

		ck_assert(status == 0 || status == HV_STATUS_INVALID_PARAMETER ||
			  status == HV_STATUS_INVALID_PORT_ID);
	}
	store_relaxed((uint32_t *)fake_guest_ptr(rig, gpa + 512), 1);
	pthread_join(t, NULL);
	down();
}
END_TEST

RIG_MAIN("hv-core/hypercall", input_is_read_once, every_code_but_ours_is_refused, control_bits,
	 input_addresses, post_message_fields, back_pressure, signal_event_fields,
	 ids_of_another_partition, input_by_value)
