/* SPDX-License-Identifier: MIT */
/*
 * What the ring promises to an honest user: attaching, judging a run of packets once,
 * asking for room and being told.
 */
#include "tests/ut/ringbuf/ring_rig.h"

/* A first word is trusted when it equals the last good one: not before there is one. */
START_TEST(first_words_are_judged_unless_just_seen)
{
	struct vmpkt_desc d;
	struct rig r;

	for (uint16_t len8 = 0; len8 < 2; len8++) { /* all zero; and the smallest of lies */
		rig_init(&r, SMALL, 0, roles[_i].accept);
		rig_desc(&r, 0, 0, 0, len8, 0, 0);
		rig_write_index(&r, 0x800);
		rig_reader_faults(&r, VMRING_BAD_LENGTH);
		rig_fini(&r);
	}

	/* The same good word again, but not all of the packet is there. */
	rig_init(&r, SMALL, 0, roles[_i].accept);
	rig_send(&r, 1, "0123456789abcdef", 16);
	rig_take(&r, 1);
	rig_desc(&r, 40, VMPKT_INBAND, 2, 4, 0, 2);
	rig_write_index(&r, 40 + 32);
	rig_reader_faults(&r, VMRING_BAD_LENGTH);
	rig_fini(&r);

	/* Seen good, peeked at again, meanwhile turned bad. */
	rig_init(&r, SMALL, 0, roles[_i].accept);
	rig_send(&r, 1, "0123456789abcdef", 16);
	ck_assert_int_eq(rig_peek(&r, &d), 0);
	rig_desc(&r, 0, VMPKT_INBAND, 2, 0x200, 0, 2);
	rig_reader_faults(&r, VMRING_BAD_LENGTH);
	rig_fini(&r);
}
END_TEST

/* A dropped packet's first word is no good one either. */
START_TEST(runs_of_dropped_packets)
{
	struct vmpkt_desc d;
	struct rig r;

	rig_init(&r, SMALL, 0, VMRING_ACCEPT_GUEST);
	for (uint32_t at = 0; at < 0x60; at += 0x20)
		rig_desc(&r, at, 0x77, 2, 3, 0, at);
	rig_desc(&r, 0x60, VMPKT_INBAND, 2, 3, 0, 9);
	rig_desc(&r, 0x80, 0x77, 2, 3, 0, 1);
	rig_write_index(&r, 0x60); /* seen in two goes */
	ck_assert_int_eq(rig_peek(&r, &d), -EAGAIN);
	rig_write_index(&r, 0xa0);
	rig_take(&r, 9);
	ck_assert_int_eq(rig_peek(&r, &d), -EAGAIN);
	ck_assert_uint_eq(r.in.dropped, 4);
	rig_fini(&r);
}
END_TEST

/* ---- attaching --------------------------------------------------------------------- */

START_TEST(attaching_refuses_bad_sizes_and_indices)
{
	static const uint32_t sizes[] = { 0, 8, 4095, 4097, 6144, 0x40001000, 0xfffff000 };
	static const uint32_t bad[] = { SMALL, 4, 0xfff, 0xffffffff };
	struct vmring_out out;
	struct vmring_in in;
	struct rig r;

	rig_map(&r, SMALL);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		ck_assert_int_eq(vmring_out_init(&out, r.ctrl, r.data, sizes[i]), -EINVAL);
		ck_assert_int_eq(vmring_in_init(&in, r.ctrl, r.data, sizes[i], 0), -EINVAL);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		rig_write_index(&r, bad[i]);
		rig_read_index(&r, 0);
		ck_assert_int_eq(vmring_out_init(&out, r.ctrl, r.data, SMALL), -EPROTO);
		ck_assert_int_eq(vmring_in_init(&in, r.ctrl, r.data, SMALL, 0), -EPROTO);
		rig_write_index(&r, 0);
		rig_read_index(&r, bad[i]);
		ck_assert_int_eq(vmring_out_init(&out, r.ctrl, r.data, SMALL), -EPROTO);
		ck_assert_int_eq(vmring_in_init(&in, r.ctrl, r.data, SMALL, 0), -EPROTO);
	}
	rig_fini(&r);
}
END_TEST

START_TEST(attaching_sets_our_words_and_no_others)
{
	struct vmring_out out;
	struct vmring_in in;
	struct rig r;

	rig_map(&r, SMALL);
	r.ctrl->interrupt_mask = 5;
	r.ctrl->pending_send_sz = 6;
	r.ctrl->feature_bits = 0x10;
	ck_assert_int_eq(vmring_out_init(&out, r.ctrl, r.data, SMALL), 0);
	ck_assert_uint_eq(r.ctrl->interrupt_mask, 5);
	ck_assert_uint_eq(r.ctrl->pending_send_sz, 0);
	ck_assert_uint_eq(r.ctrl->feature_bits, 0x11);
	r.ctrl->pending_send_sz = 6;
	ck_assert_int_eq(vmring_in_init(&in, r.ctrl, r.data, SMALL, ACCEPT_ALL), 0);
	ck_assert_uint_eq(r.ctrl->interrupt_mask, 0);
	ck_assert_uint_eq(r.ctrl->pending_send_sz, 6);
	rig_fini(&r);
}
END_TEST

START_TEST(every_fault_has_a_name)
{
	for (int f = VMRING_OK; f <= VMRING_BAD_RANGES; f++) {
		for (int g = f + 1; g <= VMRING_BAD_RANGES; g++)
			ck_assert_str_ne(vmring_fault_name((enum vmring_fault)f),
					 vmring_fault_name((enum vmring_fault)g));
	}
	ck_assert_str_eq(vmring_fault_name((enum vmring_fault)99), "unknown");
	ck_assert_str_eq(vmring_fault_name((enum vmring_fault) - 1), "unknown");
}
END_TEST

/* ---- asking for room ---------------------------------------------------------------- */

START_TEST(want_space_asks_checks_and_withdraws)
{
	struct rig r;

	rig_init(&r, SMALL, 0, ACCEPT_ALL);
	ck_assert(!vmring_out_want_space(&r.out, 64)); /* fits already */
	ck_assert_uint_eq(r.ctrl->pending_send_sz, 0);
	ck_assert(!vmring_out_want_space(&r.out, SMALL)); /* never will */
	ck_assert_uint_eq(r.ctrl->pending_send_sz, 0);
	while (!vmpkt_put_inband(&r.out, 0, 1, "packet", 6))
		;
	vmring_out_commit(&r.out);

	ck_assert(vmring_out_want_space(&r.out, 64));
	ck_assert_uint_eq(r.ctrl->pending_send_sz, SMALL / 4); /* not for every small packet */
	ck_assert(vmring_out_want_space(&r.out, 0x800));
	ck_assert_uint_eq(r.ctrl->pending_send_sz, 0x808);
	vmring_out_forget_space(&r.out);
	ck_assert_uint_eq(r.ctrl->pending_send_sz, 0);

	ck_assert(vmring_out_want_space(&r.out, 24));
	rig_take(&r, 1);
	ck_assert(!vmring_in_commit(&r.in));	       /* a little room: not yet */
	ck_assert(!vmring_out_want_space(&r.out, 24)); /* though it would fit */
	ck_assert_uint_eq(r.ctrl->pending_send_sz, 0);
	ck_assert_int_eq(vmpkt_put_inband(&r.out, 0, 1, NULL, 0), 0);
	ck_assert(vmring_out_want_space(&r.out, 0x800));
	while (vmring_in_pending(&r.in))
		rig_take(&r, 1);
	ck_assert(vmring_in_commit(&r.in)); /* now */
	ck_assert_int_eq(vmpkt_put_inband(&r.out, 0, 1, r.ctrl, 0x7f0), 0);
	ck_assert_uint_eq(r.ctrl->pending_send_sz, 0); /* success withdraws the wish */
	rig_fini(&r);
}
END_TEST

/* A wish that unfenced commits did not see is answered by the fenced one, over all of them. */
START_TEST(unfenced_commits_are_judged_as_one)
{
	struct rig r;
	int n = 0;

	rig_init(&r, SMALL, 0, ACCEPT_ALL);
	while (!vmpkt_put_inband(&r.out, 0, 1, "packet", 6))
		n++;
	vmring_out_commit(&r.out);
	for (int i = 0; i < n; i++) {
		rig_take(&r, 1);
		must(!vmring_in_commit_lazy(&r.in)); /* nobody waits yet */
	}
	ck_assert_uint_gt(r.in.publications, 2);
	ck_assert_uint_gt(r.in.unchecked, SMALL / 2);

	/* The writer's wish, as if it had been stored before all this, and seen late. */
	store_relaxed(&r.ctrl->pending_send_sz, 0x40);
	ck_assert(vmring_in_commit(&r.in));
	ck_assert_uint_eq(r.in.unchecked, 0);
	ck_assert(!vmring_in_commit(&r.in)); /* said once */

	/* Seen in time, it is answered at once. */
	store_relaxed(&r.ctrl->pending_send_sz, 0);
	while (!vmpkt_put_inband(&r.out, 0, 1, "packet", 6))
		;
	vmring_out_commit(&r.out);
	ck_assert(vmring_out_want_space(&r.out, 64));
	for (n = 0; !vmring_in_commit_lazy(&r.in); n++)
		rig_take(&r, 1);
	ck_assert_int_le(n, SMALL / 4 / 32 + 1);
	rig_fini(&r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ring: rules");
	TCase *tc = tcase_create("rules");

	tcase_add_loop_test(tc, first_words_are_judged_unless_just_seen, 0, ROLES);
	tcase_add_test(tc, runs_of_dropped_packets);
	tcase_add_test(tc, attaching_refuses_bad_sizes_and_indices);
	tcase_add_test(tc, attaching_sets_our_words_and_no_others);
	tcase_add_test(tc, every_fault_has_a_name);
	tcase_add_test(tc, want_space_asks_checks_and_withdraws);
	tcase_add_test(tc, unfenced_commits_are_judged_as_one);
	suite_add_tcase(s, tc);
	return rig_run(s);
}
