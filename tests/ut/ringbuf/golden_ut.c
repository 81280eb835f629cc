/* SPDX-License-Identifier: MIT */
/*
 * Bytes and decisions fixed by the specification: the packets R1 to R8, the free-space
 * table, the two signal tables (spec: ring, sections 3, 9, worked examples).
 */
#include "tests/ut/ringbuf/ring_rig.h"

#define BIG 0x4000u

static const struct golden {
	const char *name;
	uint32_t ring, at, next;
	uint32_t len;
	uint8_t bytes[96];
} golden[] = {
	{ "R2 in-band HELLO", BIG, 0x0, 0x20, 32, { 0x06, 0x00, 0x02, 0x00, 0x03, 0x00, 0x01,
						    0x00, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33,
						    0x22, 0x11, 0x48, 0x45, 0x4c, 0x4c, 0x4f } },
	{ "R3 in-band, no completion",
	  BIG,
	  0x20,
	  0x48,
	  40,
	  { 0x06, 0x00, 0x02, 0x00, 0x04, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	    0x00, 0x00, 0x00, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19,
	    0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, 0x00, 0x00, 0x00, 0x00, 0x20 } },
	{ "R4 GPA-direct, one range of three pages",
	  BIG,
	  0x48,
	  0x90,
	  72,
	  { 0x09, 0x00, 0x07, 0x00, 0x08, 0x00, 0x01, 0x00, 0x42, 0x00, 0x00, 0x00, 0x00, 0x00,
	    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x20, 0x00, 0x00,
	    0x00, 0x02, 0x00, 0x00, 0x34, 0x12, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x35, 0x12,
	    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	    0x01, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x48 } },
	{ "R5 GPA-direct, page-buffer array",
	  BIG,
	  0xa0,
	  0xf0,
	  80,
	  { 0x09, 0x00, 0x07, 0x00, 0x09, 0x00, 0x01, 0x00, 0x43, 0x00, 0x00, 0x00, 0x00,
	    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01,
	    0x00, 0x00, 0x00, 0x0f, 0x00, 0x00, 0xf0, 0x07, 0x00, 0x00, 0x00, 0x00, 0x00,
	    0x00, 0x00, 0x06, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xf1, 0x07, 0x00, 0x00,
	    0x00, 0x00, 0x00, 0x00, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa,
	    0xaa, 0xaa, 0xaa, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xa0 } },
	{ "R6 transfer pages",
	  BIG,
	  0x100,
	  0x158,
	  88,
	  { 0x07, 0x00, 0x05, 0x00, 0x0a, 0x00, 0x01, 0x00, 0x55, 0x00, 0x00, 0x00, 0x00,
	    0x00, 0x00, 0x00, 0xfe, 0xca, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x40, 0x00,
	    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xdc, 0x05, 0x00, 0x00, 0x00, 0x07, 0x00,
	    0x00, 0x6b, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
	    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01 } },
	{ "R7 completion of R2",
	  BIG,
	  0x0,
	  0x28,
	  40,
	  { 0x0b, 0x00, 0x02, 0x00, 0x04, 0x00, 0x00, 0x00, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33,
	    0x22, 0x11, 0x01 } },
	{ "R8 wrapping", SMALL, 0xff8, 0x20, 40, { 0x06, 0x00, 0x02, 0x00, 0x04, 0x00, 0x00, 0x00,
						   0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
						   0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,
						   0x49, 0x4a, 0x4b, 0x4c, 0x4d, 0x4e, 0x4f, 0x50,
						   0x00, 0x00, 0x00, 0x00, 0xf8, 0x0f } },
};

/* The ring's bytes from @at on, read without the double mapping. */
static void bytes_at(const struct rig *r, uint32_t at, uint8_t *to, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		to[i] = r->data[(at + i) % r->size];
}

static void expect_bytes(const struct rig *r, const struct golden *g)
{
	uint8_t got[sizeof(g->bytes)];

	bytes_at(r, g->at, got, g->len);
	for (uint32_t i = 0; i < g->len; i++)
		ck_assert_msg(got[i] == g->bytes[i], "%s: byte %u is %02x, not %02x", g->name, i,
			      got[i], g->bytes[i]);
	ck_assert_msg(r->ctrl->write_index == g->next, "%s: write index %x", g->name,
		      r->ctrl->write_index);
}

/* What the specification says in words, through the encoders; payloads not padded by us. */
static int encode(struct vmring_out *o, unsigned which)
{
	static const uint64_t three[] = { 0x1234, 0x1235, 0x2000 }, f0 = 0x7f0, f1 = 0x7f1;
	static const uint32_t words[] = { 1, 2 };
	static const struct vmpkt_range_in two[] = { { 0x100, 0xf00, &f0 }, { 0x600, 0, &f1 } };
	static const struct vmpkt_xfer_range sections[] = { { 0x40, 0 }, { 0x5dc, 0x700 } };
	static const uint8_t aa[16] = { 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa,
					0xaa, 0xaa, 0xaa, 0xaa, 0xee, 0xee, 0xee, 0xee };
	static const uint8_t nvsp[40] = { 0x6b }, one[16] = { 1 };
	static const uint8_t count[16] = { 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17,
					   0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f };

	switch (which) {
	case 0:
		return vmpkt_put_inband(o, 1, 0x1122334455667788, "HELLO, not this", 5);
	case 1:
		return vmpkt_put_inband(o, 0, 0, count, 16);
	case 2:
		return vmpkt_put_gpa_direct(o, 1, 0x42, 0x2000, 0x200, three, 3, words, 8);
	case 3:
		return vmpkt_put_gpa_direct_multi(o, 1, 0x43, two, 2, aa, 12);
	case 4:
		return vmpkt_put_xfer_pages(o, 1, 0x55, 0xcafe, sections, 2, nvsp, 40);
	case 5:
		return vmpkt_put_completion(o, 0x1122334455667788, one, 16);
	default:
		return vmpkt_put_inband(o, 0, 0, "ABCDEFGHIJKLMNOP", 16);
	}
}

START_TEST(packets_are_encoded_to_the_byte)
{
	const struct golden *g = &golden[_i];
	struct rig r;

	rig_map(&r, g->ring);
	memset(r.data, 0xee, r.size); /* leftovers of earlier packets must not show */
	rig_attach(&r, g->at, g->at, ACCEPT_ALL);
	ck_assert_int_eq(encode(&r.out, (unsigned)_i), 0);
	ck_assert_uint_eq(r.ctrl->write_index, g->at); /* nothing visible before commit */
	ck_assert(vmring_out_commit(&r.out));
	expect_bytes(&r, g);
	rig_fini(&r);
}
END_TEST

/* Encodes again what a decoder made of a packet. */
static int reencode(struct vmring_out *o, const struct vmpkt *p)
{
	struct vmpkt_range_in ranges[8];
	uint32_t cursor = 0, n = 0, npfn;

	switch (p->type) {
	case VMPKT_INBAND:
		return vmpkt_put_inband(o, p->flags, p->trans_id, p->payload, p->payload_len);
	case VMPKT_COMPLETION:
		return vmpkt_put_completion(o, p->trans_id, p->payload, p->payload_len);
	case VMPKT_XFER_PAGES:
		return vmpkt_put_xfer_pages(o, p->flags, p->trans_id, p->xfer_set_id,
					    (const void *)p->ranges, p->range_count, p->payload,
					    p->payload_len);
	default:
		while (vmpkt_next_range(p, &cursor, &ranges[n].byte_count, &ranges[n].byte_offset,
					&ranges[n].pfn, &npfn))
			n++;
		ck_assert_uint_eq(n, p->range_count);
		return vmpkt_put_gpa_direct_multi(o, p->flags, p->trans_id, ranges, n, p->payload,
						  p->payload_len);
	}
}

START_TEST(packets_survive_decoding_and_encoding)
{
	const struct golden *g = &golden[_i];
	uint64_t copy[12];
	struct rig from, to;
	struct vmpkt_desc d;
	struct vmpkt p;
	const uint8_t *pkt;

	rig_map(&from, g->ring);
	for (uint32_t i = 0; i < g->len; i++)
		from.data[(g->at + i) % g->ring] = g->bytes[i];
	rig_attach(&from, g->next, g->at, ACCEPT_ALL);
	ck_assert_int_eq(vmring_in_peek(&from.in, &d, &pkt), 0);
	ck_assert_uint_eq(d.len8 * 8u + VMPKT_TRAILER, g->len);
	memcpy(copy, pkt, d.len8 * 8u);
	ck_assert_int_eq(vmpkt_decode(&p, copy, &d, NULL), 0);

	rig_init(&to, g->ring, g->at, ACCEPT_ALL);
	ck_assert_int_eq(reencode(&to.out, &p), 0);
	vmring_out_commit(&to.out);
	expect_bytes(&to, g);

	vmring_in_pop(&from.in, &d);
	ck_assert_int_eq(rig_peek(&from, &d), -EAGAIN);
	vmring_in_commit(&from.in);
	ck_assert_uint_eq(from.ctrl->read_index, g->next);
	rig_fini(&from);
	rig_fini(&to);
}
END_TEST

START_TEST(fields_are_decoded)
{
	uint64_t copy[12];
	uint32_t cursor = 0, count, offset, npfn;
	const uint64_t *pfn;
	struct vmpkt_desc d;
	struct vmpkt p;

	memcpy(copy, golden[2].bytes, sizeof(copy)); /* R4 */
	memcpy(&d, copy, sizeof(d));
	ck_assert_int_eq(vmpkt_decode(&p, copy, &d, NULL), 0);
	ck_assert_uint_eq(p.type, VMPKT_GPA_DIRECT);
	ck_assert_uint_eq(p.flags, VMPKT_FLAG_COMPLETION_REQUESTED);
	ck_assert_uint_eq(p.trans_id, 0x42);
	ck_assert_uint_eq(p.payload_len, 8);
	ck_assert_uint_eq(p.payload[4], 2);
	ck_assert_uint_eq(p.range_count, 1);
	ck_assert(vmpkt_next_range(&p, &cursor, &count, &offset, &pfn, &npfn));
	ck_assert_uint_eq(count, 0x2000);
	ck_assert_uint_eq(offset, 0x200);
	ck_assert_uint_eq(npfn, 3);
	ck_assert_uint_eq(pfn[0], 0x1234);
	ck_assert_uint_eq(pfn[2], 0x2000);
	ck_assert(!vmpkt_next_range(&p, &cursor, &count, &offset, &pfn, &npfn));
	count = offset = npfn = 0;
	pfn = NULL;
	vmpkt_first_range(&p, &count, &offset, &pfn, &npfn);
	ck_assert_uint_eq(count, 0x2000);
	ck_assert_uint_eq(offset, 0x200);
	ck_assert_uint_eq(npfn, 3);
	ck_assert_uint_eq(pfn[1], 0x1235);

	memcpy(copy, golden[4].bytes, sizeof(copy)); /* R6 */
	memcpy(&d, copy, sizeof(d));
	ck_assert_int_eq(vmpkt_decode(&p, copy, &d, NULL), 0);
	ck_assert_uint_eq(p.xfer_set_id, 0xcafe);
	ck_assert_uint_eq(p.range_count, 2);
	ck_assert_uint_eq(p.ranges_len, 16);
	ck_assert_uint_eq(p.payload[0], 0x6b);
	cursor = 0;
	ck_assert(!vmpkt_next_range(&p, &cursor, &count, &offset, &pfn, &npfn));
}
END_TEST

/* R1: the whole control page after one 32-byte packet on a fresh ring. */
START_TEST(control_page_after_one_packet)
{
	uint8_t want[VMRING_PAGE] = { 0 };
	struct rig r;

	rig_init(&r, BIG, 0, ACCEPT_ALL);
	ck_assert(rig_send(&r, 1, "HELLO", 5));
	want[0] = 0x20;
	want[0x40] = 1;
	ck_assert_mem_eq(r.ctrl, want, sizeof(want));
	rig_fini(&r);
}
END_TEST

START_TEST(free_space_table)
{
	static const struct {
		uint32_t size, write, read, used, raw_free, usable;
	} rows[] = {
		{ 0x1000, 0x0, 0x0, 0, 4096, 4088 },
		{ 0x1000, 0x20, 0x0, 32, 4064, 4056 },
		{ 0x1000, 0xff8, 0x0, 4088, 8, 0 },
		{ 0x1000, 0x10, 0x18, 4088, 8, 0 },
		{ 0x1000, 0x18, 0x10, 8, 4088, 4080 },
		{ 0x1000, 0x800, 0xc00, 3072, 1024, 1016 },
		{ 0x4000, 0x3ff8, 0x3ff8, 0, 16384, 16376 },
		{ 0x4000, 0x100, 0x3f00, 512, 15872, 15864 },
	};
	struct rig r;
	void *pkt;

	rig_map(&r, rows[_i].size);
	rig_attach(&r, rows[_i].write, rows[_i].read, ACCEPT_ALL);
	ck_assert_uint_eq(r.in.avail, rows[_i].used);
	ck_assert_uint_eq(vmring_out_free(&r.out), rows[_i].usable);
	ck_assert_uint_eq(vmring_out_free(&r.out) + 8, rows[_i].raw_free);
	if (rows[_i].usable >= 24) { /* a packet may use exactly that, and not 8 bytes more */
		ck_assert_int_eq(vmring_out_reserve(&r.out, rows[_i].usable - 8, &pkt), 0);
		ck_assert_int_eq(vmring_out_reserve(&r.out, rows[_i].usable, &pkt),
				 rows[_i].used ? -EAGAIN : -EMSGSIZE);
	} else {
		ck_assert_int_eq(vmring_out_reserve(&r.out, 16, &pkt), -EAGAIN);
	}
	rig_fini(&r);
}
END_TEST

START_TEST(data_signal_table)
{
	static const struct {
		uint32_t read, mask;
		int packets;
		bool signal;
	} rows[] = {
		{ 0x48, 0, 1, true },  { 0x20, 0, 1, false }, { 0x48, 1, 1, false },
		{ 0x48, 0, 2, true },  { 0x48, 2, 1, false }, { 0x48, 0x80000000, 1, false },
		{ 0x20, 0, 2, false },
	};
	struct rig r;
	int i;

	rig_map(&r, BIG);
	rig_attach(&r, 0x48, rows[_i].read, ACCEPT_ALL);
	store_relaxed(&r.ctrl->interrupt_mask, rows[_i].mask);
	for (i = 0; i < rows[_i].packets; i++)
		ck_assert_int_eq(vmpkt_put_inband(&r.out, 0, 1, golden, 48), 0);
	ck_assert_int_eq(vmring_out_commit(&r.out), rows[_i].signal);
	ck_assert_uint_eq(r.ctrl->write_index, 0x48u + 0x48u * (unsigned)rows[_i].packets);
	ck_assert_uint_eq(r.out.signals, rows[_i].signal);
	ck_assert(!vmring_out_commit(&r.out)); /* nothing new: nothing to say */
	rig_fini(&r);
}
END_TEST

/* A reader "at 0x90" before 0x90 was published has consumed what nobody wrote. */
START_TEST(data_signal_table_impossible_reader)
{
	struct rig r;

	rig_init(&r, BIG, 0x48, ACCEPT_ALL);
	rig_read_index(&r, 0x90);
	ck_assert_int_eq(vmpkt_put_inband(&r.out, 0, 1, golden, 48), 0);
	ck_assert_uint_eq(vmring_out_free(&r.out), 0);
	rig_writer_faults(&r, VMRING_BAD_READ_INDEX);
	rig_fini(&r);
}
END_TEST

START_TEST(space_signal_table)
{
	static const struct {
		uint32_t old_read, new_read, pending;
		bool signal;
	} rows[] = {
		{ 0x108, 0x208, 0x80, true },  { 0x108, 0x128, 0x80, false },
		{ 0x108, 0x180, 0x80, false }, { 0x108, 0x188, 0x80, true },
		{ 0x188, 0x208, 0x80, false }, { 0x108, 0x100, 0xfff, true },
		{ 0x108, 0x208, 0x0, false },  { 0x108, 0x100, 0x1000, false },
		{ 0x108, 0x188, 0x87, true },  { 0x108, 0x188, 0x88, false },
	};
	uint32_t step = (rows[_i].new_read - rows[_i].old_read) & (SMALL - 1);
	struct vmpkt_desc d;
	struct rig r;

	rig_map(&r, SMALL);
	rig_desc(&r, rows[_i].old_read, VMPKT_INBAND, 2, (uint16_t)(step / 8 - 1), 0, 1);
	rig_attach(&r, 0x100, rows[_i].old_read, ACCEPT_ALL);
	store_relaxed(&r.ctrl->pending_send_sz, rows[_i].pending);
	ck_assert_int_eq(rig_peek(&r, &d), 0);
	vmring_in_pop(&r.in, &d);
	ck_assert_int_eq(vmring_in_commit(&r.in), rows[_i].signal);
	ck_assert_uint_eq(r.ctrl->read_index, rows[_i].new_read);
	ck_assert_uint_eq(r.in.signals, rows[_i].signal);
	ck_assert(!vmring_in_commit(&r.in));
	rig_fini(&r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ring: golden vectors");
	TCase *tc = tcase_create("golden");

	tcase_add_loop_test(tc, packets_are_encoded_to_the_byte, 0, (int)ARRAY_SIZE(golden));
	tcase_add_loop_test(tc, packets_survive_decoding_and_encoding, 0, (int)ARRAY_SIZE(golden));
	tcase_add_test(tc, fields_are_decoded);
	tcase_add_test(tc, control_page_after_one_packet);
	tcase_add_loop_test(tc, free_space_table, 0, 8);
	tcase_add_loop_test(tc, data_signal_table, 0, 7);
	tcase_add_test(tc, data_signal_table_impossible_reader);
	tcase_add_loop_test(tc, space_signal_table, 0, 10);
	suite_add_tcase(s, tc);
	return rig_run(s);
}
