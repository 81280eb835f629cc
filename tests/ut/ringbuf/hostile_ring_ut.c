/* SPDX-License-Identifier: MIT */
/*
 * A peer that breaks the ring: cases R01 to R28 of the hostile-peer list, each once per
 * role where the two differ or could. R24 and R27 also run at full speed in stress_ut.c.
 */
#include "tests/ut/ringbuf/ring_rig.h"

/* One published packet, then the writer's index as the case wants it. */
static void bad_write_index(int role, uint32_t size, uint32_t first, uint32_t then)
{
	struct vmpkt_desc d;
	struct rig r;

	rig_init(&r, size, 0, roles[role].accept);
	rig_send(&r, 7, "first", 5);
	rig_take(&r, 7);
	ck_assert_uint_eq(r.in.next, first);
	vmring_in_commit(&r.in);
	rig_write_index(&r, then);
	ck_assert_int_eq(rig_peek(&r, &d), -EPROTO);
	rig_reader_faults(&r, VMRING_BAD_WRITE_INDEX);
	rig_write_index(&r, 0x40); /* and no way back */
	rig_reader_faults(&r, VMRING_BAD_WRITE_INDEX);
	rig_fini(&r);
}

START_TEST(test_R01_write_index_one_past_the_end)
{
	bad_write_index(_i, SMALL, 0x20, SMALL);
	bad_write_index(_i, 3 * SMALL, 0x20, 3 * SMALL);
	bad_write_index(_i, 3 * SMALL, 0x20, 4 * SMALL); /* would be masked if it were 2^n */
}
END_TEST

START_TEST(test_R02_write_index_all_ones)
{
	bad_write_index(_i, SMALL, 0x20, 0xffffffff);
	bad_write_index(_i, SMALL, 0x20, 0xfffffff8);
}
END_TEST

START_TEST(test_R03_write_index_not_a_multiple_of_8)
{
	for (uint32_t i = 1; i < 8; i++)
		bad_write_index(_i, SMALL, 0x20, 0x40 + i);
}
END_TEST

START_TEST(test_R04_our_read_index_overwritten)
{
	struct vmpkt_desc d;
	struct rig r;

	rig_init(&r, SMALL, 0, roles[_i].accept);
	vmpkt_put_inband(&r.out, 0, 1, "one", 3);
	vmpkt_put_inband(&r.out, 0, 2, "two", 3);
	vmring_out_commit(&r.out);
	rig_take(&r, 1);
	rig_read_index(&r, 0xdeadbee8);
	rig_take(&r, 2); /* goes on where it was, reads nothing twice */
	ck_assert_int_eq(rig_peek(&r, &d), -EAGAIN);
	vmring_in_commit(&r.in);
	ck_assert_uint_eq(load_relaxed(&r.ctrl->read_index), 0x40); /* and is put right */
	rig_fini(&r);
}
END_TEST

/* The writer has 0x100 bytes outstanding from 0x200 on when the index moves to @read. */
static void bad_read_index(uint32_t read)
{
	struct rig r;

	rig_init(&r, SMALL, 0x200, ACCEPT_ALL);
	for (int i = 0; i < 8; i++)
		rig_send(&r, 1, "packet", 6);
	rig_read_index(&r, read);
	ck_assert_uint_eq(vmring_out_free(&r.out), 0);
	rig_writer_faults(&r, VMRING_BAD_READ_INDEX);
	rig_read_index(&r, 0x200);
	rig_writer_faults(&r, VMRING_BAD_READ_INDEX);
	rig_fini(&r);
}

START_TEST(test_R05_read_index_out_of_range)
{
	static const uint32_t bad[] = { SMALL, SMALL + 8, 0xffffffff, 0xfffffff8, 0x204, 0x201 };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		bad_read_index(bad[i]);
}
END_TEST

START_TEST(test_R06_read_index_ahead_of_write_index)
{
	bad_read_index(0x308);
	bad_read_index(SMALL - 8);
}
END_TEST

/* Pushed but not yet published bytes cannot have been read either. */
START_TEST(test_R06_read_index_in_unpublished_bytes)
{
	struct rig r;

	rig_init(&r, SMALL, 0x200, ACCEPT_ALL);
	vmpkt_put_inband(&r.out, 0, 1, "packet", 6);
	rig_read_index(&r, 0x220);
	ck_assert_uint_eq(vmring_out_free(&r.out), 0);
	rig_writer_faults(&r, VMRING_BAD_READ_INDEX);
	rig_fini(&r);
}
END_TEST

START_TEST(test_R07_read_index_moves_backwards)
{
	struct rig r;

	bad_read_index(0x1f8);
	rig_init(&r, SMALL, 0x200, ACCEPT_ALL);
	for (int i = 0; i < 8; i++)
		rig_send(&r, 1, "packet", 6);
	rig_read_index(&r, 0x280);
	ck_assert_uint_eq(vmring_out_free(&r.out), SMALL - 0x80 - 8);
	rig_read_index(&r, 0x260);
	ck_assert_uint_eq(vmring_out_free(&r.out), 0);
	rig_writer_faults(&r, VMRING_BAD_READ_INDEX);
	rig_fini(&r);
}
END_TEST

/* Taken for progress, a step back would make unread bytes writable: not one is touched. */
START_TEST(test_R07_no_unread_byte_is_overwritten)
{
	uint8_t before[SMALL];
	struct rig r;

	rig_init(&r, SMALL, 0x100, ACCEPT_ALL);
	for (int i = 0; i < 24; i++)
		rig_send(&r, 1, "packet", 6);
	memcpy(before, r.data, SMALL);
	rig_read_index(&r, 0x80);
	/* What the last good index allowed may still be used up; then it has to look. */
	while (!vmpkt_put_inband(&r.out, 0, 2, "PACKET", 6))
		;
	rig_writer_faults(&r, VMRING_BAD_READ_INDEX);
	ck_assert_mem_eq(before + 0x100, r.data + 0x100, 0x300);
	rig_fini(&r);
}
END_TEST

START_TEST(test_R08_write_index_moves_backwards)
{
	struct rig r;

	rig_init(&r, SMALL, 0x100, roles[_i].accept);
	rig_send(&r, 1, "one", 3);
	rig_send(&r, 2, "two", 3);
	rig_take(&r, 1);
	rig_take(&r, 2);
	/* Not committed: from 0x100 the writer was at 0x140 and can only go on. */
	rig_write_index(&r, 0x120);
	rig_reader_faults(&r, VMRING_BAD_WRITE_INDEX);
	rig_fini(&r);
}
END_TEST

START_TEST(test_R09_less_than_a_descriptor)
{
	struct rig r;

	rig_init(&r, SMALL, 0x100, roles[_i].accept);
	rig_desc(&r, 0x100, VMPKT_INBAND, 2, 2, 0, 0);
	rig_write_index(&r, 0x108);
	rig_reader_faults(&r, VMRING_SHORT_DATA);
	rig_fini(&r);
}
END_TEST

/* The same as what is left behind a good packet. */
START_TEST(test_R09_less_than_a_descriptor_behind_a_packet)
{
	struct rig r;

	rig_init(&r, SMALL, 0, roles[_i].accept);
	rig_desc(&r, 0, VMPKT_INBAND, 2, 2, 0, 5);
	rig_desc(&r, 0x18, VMPKT_INBAND, 2, 2, 0, 6);
	rig_write_index(&r, 0x20);
	rig_take(&r, 5);
	rig_reader_faults(&r, VMRING_SHORT_DATA);
	rig_fini(&r);
}
END_TEST

static void bad_desc(int role, uint32_t published, uint16_t type, uint16_t offset8, uint16_t len8,
		     uint16_t flags, enum vmring_fault why)
{
	struct rig r;

	rig_init(&r, SMALL, 0xff0, roles[role].accept);
	rig_desc(&r, 0xff0, type, offset8, len8, flags, 9);
	rig_write_index(&r, (0xff0 + published) % SMALL);
	rig_reader_faults(&r, why);
	vmring_in_commit(&r.in);
	ck_assert_uint_eq(load_relaxed(&r.ctrl->read_index), 0xff0); /* nothing was consumed */
	rig_fini(&r);
}

START_TEST(test_R10_packet_longer_than_published)
{
	bad_desc(_i, 0x18, VMPKT_INBAND, 2, 3, 0, VMRING_BAD_LENGTH);
	bad_desc(_i, 0x10, VMPKT_INBAND, 2, 2, 0, VMRING_BAD_LENGTH); /* no room for the trailer */
	bad_desc(_i, 0x20, VMPKT_INBAND, 2, 4, 0, VMRING_BAD_LENGTH);
	bad_desc(_i, 0xff8, VMPKT_INBAND, 2, 0x1ff, 0, VMRING_BAD_LENGTH);
}
END_TEST

START_TEST(test_R11_length_zero)
{
	bad_desc(_i, 0x20, VMPKT_INBAND, 2, 0, 0, VMRING_BAD_LENGTH);
	bad_desc(_i, 0x20, VMPKT_INBAND, 0, 0, 0, VMRING_BAD_LENGTH);
}
END_TEST

START_TEST(test_R12_length_below_the_descriptor)
{
	bad_desc(_i, 0x20, VMPKT_INBAND, 2, 1, 0, VMRING_BAD_LENGTH);
	bad_desc(_i, 0x20, VMPKT_INBAND, 1, 1, 0, VMRING_BAD_LENGTH);
}
END_TEST

START_TEST(test_R13_payload_inside_the_descriptor)
{
	bad_desc(_i, 0x20, VMPKT_INBAND, 0, 3, 0, VMRING_BAD_OFFSET);
	bad_desc(_i, 0x20, VMPKT_COMPLETION, 1, 3, 0, VMRING_BAD_OFFSET);
}
END_TEST

START_TEST(test_R14_payload_behind_the_packet)
{
	bad_desc(_i, 0x20, VMPKT_INBAND, 4, 3, 0, VMRING_BAD_OFFSET);
	bad_desc(_i, 0x20, VMPKT_INBAND, 0xffff, 3, 0, VMRING_BAD_OFFSET);
}
END_TEST

START_TEST(test_R15_largest_length_in_a_small_ring)
{
	bad_desc(_i, 0x20, VMPKT_INBAND, 2, 0xffff, 0, VMRING_BAD_LENGTH);
	bad_desc(_i, 0xff8, VMPKT_INBAND, 0xffff, 0xffff, 0, VMRING_BAD_LENGTH);
}
END_TEST

START_TEST(test_R16_descriptor_changed_after_the_check)
{
	uint64_t copy[4] = { 0 };
	const uint8_t *pkt;
	struct vmpkt_desc d;
	struct vmpkt p;
	struct rig r;

	rig_init(&r, SMALL, 0, roles[_i].accept);
	rig_send(&r, 3, "sixteen bytes!!!", 16);
	ck_assert_int_eq(vmring_in_peek(&r.in, &d, &pkt), 0);
	rig_desc(&r, 0, 0xffff, 0xffff, 0xffff, 0xffff, ~0ull);
	memcpy(copy, pkt, d.len8 * 8u);
	ck_assert_int_eq(vmpkt_decode(&p, copy, &d, NULL), 0);
	ck_assert_uint_eq(p.type, VMPKT_INBAND);
	ck_assert_uint_eq(p.trans_id, 3);
	ck_assert_uint_eq(p.payload_len, 16);
	ck_assert_ptr_eq(p.payload, (uint8_t *)copy + 16);
	vmring_in_pop(&r.in, &d);
	ck_assert_uint_eq(r.in.next, 40); /* by the checked length */
	ck_assert_int_eq(rig_peek(&r, &d), -EAGAIN);
	rig_fini(&r);
}
END_TEST

START_TEST(test_R17_payload_changed_during_the_parse)
{
	static const uint64_t pfn[2] = { 11, 12 };
	uint64_t copy[8];
	uint32_t cursor = 0, count, offset, n;
	const uint64_t *got;
	const uint8_t *pkt;
	struct vmpkt_desc d;
	struct vmpkt p;
	struct rig r;

	rig_init(&r, SMALL, 0, ACCEPT_ALL);
	ck_assert_int_eq(vmpkt_put_gpa_direct(&r.out, 1, 3, 0x1800, 0, pfn, 2, "payload", 8), 0);
	vmring_out_commit(&r.out);
	ck_assert_int_eq(vmring_in_peek(&r.in, &d, &pkt), 0);
	memcpy(copy, pkt, d.len8 * 8u);
	ck_assert_int_eq(vmpkt_decode(&p, copy, &d, NULL), 0);
	memset(r.data, 0xff, 0x100); /* everything the peer can reach */
	ck_assert(vmpkt_next_range(&p, &cursor, &count, &offset, &got, &n));
	ck_assert_uint_eq(count, 0x1800);
	ck_assert_uint_eq(n, 2);
	ck_assert_uint_eq(got[1], 12);
	ck_assert_mem_eq(p.payload, "payload", 8);
	rig_fini(&r);
}
END_TEST

/* R18 has a program of its own: wrap_ut.c. */

START_TEST(test_R19_trailer_is_garbage)
{
	struct rig r;

	rig_init(&r, SMALL, 0, roles[_i].accept);
	rig_send(&r, 3, "eight by", 8);
	rig_send(&r, 4, "eight by", 8);
	memset(r.data + 24, 0xff, 8);
	memset(r.data + 56, 0xa5, 8);
	rig_take(&r, 3);
	rig_take(&r, 4);
	rig_fini(&r);
}
END_TEST

static const uint16_t no_types[] = { 0, 1, 2, 5, 8, 0xa, 0xc, 0xd, 15, 16, 22, 31, 0x106, 0xffff };

START_TEST(test_R20_unknown_type_faults_a_host)
{
	for (size_t i = 0; i < ARRAY_SIZE(no_types); i++)
		bad_desc(0, 0x20, no_types[i], 2, 3, 0, VMRING_BAD_TYPE);
	bad_desc(0, 0x20, VMPKT_XFER_PAGES, 2, 3, 0, VMRING_BAD_TYPE); /* only hosts send it */
}
END_TEST

/* Steps over the odd packet, delivers the next; the space comes back. */
static void dropped(uint16_t type, uint16_t flags)
{
	struct vmpkt_desc d;
	struct rig r;

	rig_init(&r, SMALL, 0, VMRING_ACCEPT_GUEST);
	rig_desc(&r, 0x00, type, 2, 3, flags, 1);
	rig_desc(&r, 0x20, VMPKT_INBAND, 2, 2, 0, 2);
	rig_desc(&r, 0x38, type, 3, 4, flags, 3);
	rig_write_index(&r, 0x60);
	rig_take(&r, 2);
	ck_assert_int_eq(rig_peek(&r, &d), -EAGAIN);
	ck_assert_uint_eq(r.in.dropped, 2);
	vmring_in_commit(&r.in);
	ck_assert_uint_eq(load_relaxed(&r.ctrl->read_index), 0x60);
	rig_fini(&r);
}

START_TEST(test_R20_unknown_type_is_dropped_by_a_guest)
{
	for (size_t i = 0; i < ARRAY_SIZE(no_types); i++)
		dropped(no_types[i], 0);
	dropped(VMPKT_GPA_DIRECT, 0); /* only guests send it */
}
END_TEST

START_TEST(test_R20_dropping_still_checks_lengths)
{
	bad_desc(1, 0x20, 0xffff, 2, 0, 0, VMRING_BAD_LENGTH);
	bad_desc(1, 0x20, 0xffff, 2, 0xffff, 0, VMRING_BAD_LENGTH);
	bad_desc(1, 0x20, 0xffff, 9, 3, 0, VMRING_BAD_OFFSET);
}
END_TEST

START_TEST(test_R21_undefined_flags)
{
	for (unsigned bit = 1; bit < 16; bit++) {
		bad_desc(0, 0x20, VMPKT_INBAND, 2, 3, (uint16_t)(1u << bit), VMRING_BAD_FLAGS);
		bad_desc(0, 0x20, VMPKT_INBAND, 2, 3, (uint16_t)(1u << bit | 1), VMRING_BAD_FLAGS);
		dropped(VMPKT_COMPLETION, (uint16_t)(1u << bit));
	}
}
END_TEST

START_TEST(test_R22_full_never_looks_like_empty)
{
	struct rig r;
	void *pkt;
	int err, n = 0;

	rig_init(&r, SMALL, 0x7f8, ACCEPT_ALL);
	while (!(err = vmring_out_reserve(&r.out, 16, &pkt))) {
		memset(pkt, 0, 16);
		vmring_out_push(&r.out, 16);
		vmring_out_commit(&r.out);
		must(r.ctrl->write_index != r.ctrl->read_index);
		n++;
	}
	must(err == -EAGAIN);
	must(n == (SMALL - 8) / 24);
	/* Exactly the packet and its trailer left: still full. */
	must(vmring_out_reserve(&r.out, (SMALL - 8) % 24 + 8, &pkt) == -EAGAIN);
	rig_fini(&r);

	rig_init(&r, SMALL, 0, ACCEPT_ALL);
	must(vmring_out_reserve(&r.out, SMALL - 8, &pkt) == -EMSGSIZE);
	ck_assert_int_eq(vmring_out_reserve(&r.out, SMALL - 16, &pkt),
			 0); /* the largest there is */
	vmring_out_push(&r.out, SMALL - 16);
	vmring_out_commit(&r.out);
	must(r.ctrl->write_index == SMALL - 8);
	must(vmring_out_reserve(&r.out, 16, &pkt) == -EAGAIN);
	rig_fini(&r);
}
END_TEST

START_TEST(test_R23_pending_send_size_all_ones)
{
	static const uint32_t huge[] = { 0xffffffff, 0xfffffff8, 0x80000000, SMALL, SMALL + 8 };
	struct rig r;

	for (size_t i = 0; i < ARRAY_SIZE(huge); i++) {
		rig_init(&r, SMALL, 0, roles[_i].accept);
		store_relaxed(&r.ctrl->pending_send_sz, huge[i]);
		for (int n = 0; n < 300; n++) {
			rig_send(&r, 1, "packet", 6);
			rig_take(&r, 1);
			must(!vmring_in_commit(&r.in)); /* never enough: never a signal */
		}
		must(r.in.signals == 0);
		rig_fini(&r);
	}
}
END_TEST

START_TEST(test_R24_pending_send_size_on_and_off)
{
	struct rig r;
	uint64_t n;

	rig_init(&r, SMALL, 0, roles[_i].accept);
	for (n = 0; n < 3000; n++) {
		rig_send(&r, n, "packet", 6);
		store_relaxed(&r.ctrl->pending_send_sz, n % 2 ? (uint32_t)n * 8 % SMALL : 0);
		rig_take(&r, n);
		vmring_in_commit(&r.in); /* one answer per batch, so at most one signal */
	}
	must(r.in.signals <= r.in.publications);
	must(r.in.why == VMRING_OK);
	rig_fini(&r);
}
END_TEST

/* Claims that it asks for room, never does: no signals it did not ask for, no harm. */
START_TEST(test_R25_claims_pending_send_and_never_sets_it)
{
	struct rig r;

	rig_init(&r, SMALL, 0, roles[_i].accept);
	for (uint64_t n = 0; n < 1000; n++) {
		while (!vmpkt_put_inband(&r.out, 0, n, "packet", 6))
			;
		vmring_out_commit(&r.out);
		while (vmring_in_pending(&r.in))
			rig_take(&r, n);
		must(!vmring_in_commit(&r.in));
		must(!vmring_in_unmask(&r.in));
		must(vmring_out_free(&r.out) == SMALL - 8); /* room, when it looks */
	}
	rig_fini(&r);
}
END_TEST

START_TEST(test_R26_no_pending_send_support)
{
	struct rig r;

	rig_init(&r, SMALL, 0, roles[_i].accept);
	store_relaxed(&r.ctrl->feature_bits, 0);
	rig_send(&r, 1, "packet", 6); /* a light load: no reason to wake anybody */
	rig_take(&r, 1);
	ck_assert(!vmring_in_commit(&r.in));

	while (!vmpkt_put_inband(&r.out, 0, 2, "packet", 6))
		;
	vmring_out_commit(&r.out);
	rig_take(&r, 2);
	ck_assert(vmring_in_commit(&r.in)); /* it was full: the writer may be waiting */
	rig_fini(&r);
}
END_TEST

/* The mask belongs to the reader: whatever it holds, unmask ends with zero and a look. */
START_TEST(test_R27_mask_flipped_by_the_peer)
{
	struct rig r;

	rig_init(&r, SMALL, 0, roles[_i].accept);
	vmring_in_mask(&r.in);
	for (uint64_t n = 0; n < 1000; n++) {
		store_relaxed(&r.ctrl->interrupt_mask, (uint32_t)n * 0x9e3779b1u);
		rig_send(&r, n, "packet", 6);
		must(vmring_in_unmask(&r.in)); /* what came in the meantime is seen */
		rig_take(&r, n);
		vmring_in_commit(&r.in);
		must(!vmring_in_unmask(&r.in));
		must(load_relaxed(&r.ctrl->interrupt_mask) == 0);
		must(rig_send(&r, n, "packet", 6)); /* a sleeping reader is signalled */
		rig_take(&r, n);
		vmring_in_commit(&r.in);
		vmring_in_mask(&r.in);
	}
	rig_fini(&r);
}
END_TEST

START_TEST(test_R28_mask_set_in_our_direction)
{
	struct rig r;

	rig_init(&r, SMALL, 0, roles[_i].accept);
	store_relaxed(&r.ctrl->interrupt_mask, 0xffffffff);
	ck_assert(!vmring_in_unmask(&r.in)); /* we never masked: put right all the same */
	ck_assert_uint_eq(load_relaxed(&r.ctrl->interrupt_mask), 0);
	rig_fini(&r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ring: hostile peer");
	TCase *tc = tcase_create("R cases, as reader");

	tcase_add_loop_test(tc, test_R01_write_index_one_past_the_end, 0, ROLES);
	tcase_add_loop_test(tc, test_R02_write_index_all_ones, 0, ROLES);
	tcase_add_loop_test(tc, test_R03_write_index_not_a_multiple_of_8, 0, ROLES);
	tcase_add_loop_test(tc, test_R04_our_read_index_overwritten, 0, ROLES);
	tcase_add_loop_test(tc, test_R08_write_index_moves_backwards, 0, ROLES);
	tcase_add_loop_test(tc, test_R09_less_than_a_descriptor, 0, ROLES);
	tcase_add_loop_test(tc, test_R09_less_than_a_descriptor_behind_a_packet, 0, ROLES);
	tcase_add_loop_test(tc, test_R10_packet_longer_than_published, 0, ROLES);
	tcase_add_loop_test(tc, test_R11_length_zero, 0, ROLES);
	tcase_add_loop_test(tc, test_R12_length_below_the_descriptor, 0, ROLES);
	tcase_add_loop_test(tc, test_R13_payload_inside_the_descriptor, 0, ROLES);
	tcase_add_loop_test(tc, test_R14_payload_behind_the_packet, 0, ROLES);
	tcase_add_loop_test(tc, test_R15_largest_length_in_a_small_ring, 0, ROLES);
	tcase_add_loop_test(tc, test_R16_descriptor_changed_after_the_check, 0, ROLES);
	tcase_add_loop_test(tc, test_R19_trailer_is_garbage, 0, ROLES);
	tcase_add_loop_test(tc, test_R23_pending_send_size_all_ones, 0, ROLES);
	tcase_add_loop_test(tc, test_R24_pending_send_size_on_and_off, 0, ROLES);
	tcase_add_loop_test(tc, test_R25_claims_pending_send_and_never_sets_it, 0, ROLES);
	tcase_add_loop_test(tc, test_R26_no_pending_send_support, 0, ROLES);
	tcase_add_loop_test(tc, test_R27_mask_flipped_by_the_peer, 0, ROLES);
	tcase_add_loop_test(tc, test_R28_mask_set_in_our_direction, 0, ROLES);
	suite_add_tcase(s, tc);
	tc = tcase_create("R cases, one role");
	tcase_add_test(tc, test_R05_read_index_out_of_range);
	tcase_add_test(tc, test_R06_read_index_ahead_of_write_index);
	tcase_add_test(tc, test_R06_read_index_in_unpublished_bytes);
	tcase_add_test(tc, test_R07_read_index_moves_backwards);
	tcase_add_test(tc, test_R07_no_unread_byte_is_overwritten);
	tcase_add_test(tc, test_R17_payload_changed_during_the_parse);
	tcase_add_test(tc, test_R20_unknown_type_faults_a_host);
	tcase_add_test(tc, test_R20_unknown_type_is_dropped_by_a_guest);
	tcase_add_test(tc, test_R20_dropping_still_checks_lengths);
	tcase_add_test(tc, test_R21_undefined_flags);
	tcase_add_test(tc, test_R22_full_never_looks_like_empty);
	suite_add_tcase(s, tc);
	return rig_run(s);
}
