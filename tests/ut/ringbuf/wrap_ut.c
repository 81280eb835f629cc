/* SPDX-License-Identifier: MIT */
/*
 * Wrapping: packets that start at every 8-byte position of a ring, read through the
 * double mapping and by a reader without one (case R18), and batches around the end.
 */
#include "tests/ut/ringbuf/ring_rig.h"

/* What the ring holds from @at on, for a reader that has the data mapped only once. */
static uint64_t word_at(const struct rig *r, uint32_t at)
{
	uint64_t w;

	memcpy(&w, r->data + at % r->size, sizeof(w));
	return w;
}

static const uint32_t lengths[] = { 0, 1, 8, 15, 16, 40, 64, 100, 256, 520 };

START_TEST(test_R18_every_split_position)
{
	uint32_t len = lengths[_i], total = (16 + len + 7) & ~7u;
	uint8_t payload[528], copy[528 + 16];
	const uint8_t *pkt;
	struct vmpkt_desc d;
	struct vmpkt p;
	struct rig r;

	for (uint32_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i + len);
	rig_map(&r, SMALL);
	for (uint32_t at = 0; at < SMALL; at += 8) {
		memset(r.data, 0xee, SMALL);
		rig_attach(&r, at, at, ACCEPT_ALL);
		must(rig_send(&r, at, payload, len));
		must(r.ctrl->write_index == (at + total + 8) % SMALL);

		/* without the double mapping, word by word, modulo the size */
		must(word_at(&r, at) == (6 | 2 << 16 | (uint64_t)(total / 8) << 32));
		must(word_at(&r, at + 8) == at);
		for (uint32_t i = 0; i < len; i++)
			must(r.data[(at + 16 + i) % SMALL] == payload[i]);
		for (uint32_t i = len; i < total - 16; i++)
			must(r.data[(at + 16 + i) % SMALL] == 0);
		must(word_at(&r, at + total) == (uint64_t)at << 32);
		must(word_at(&r, at + total + 8) == 0xeeeeeeeeeeeeeeee); /* no further */

		/* through it */
		must(vmring_in_peek(&r.in, &d, &pkt) == 0);
		vmring_copy(copy, pkt, d.len8 * 8u);
		must(vmpkt_decode(&p, copy, &d, NULL) == 0);
		must(p.payload_len == total - 16);
		must(!memcmp(p.payload, payload, len));
		vmring_in_pop(&r.in, &d);
		must(rig_peek(&r, &d) == -EAGAIN);
		vmring_in_commit(&r.in);
		must(r.ctrl->read_index == r.ctrl->write_index);
	}
	rig_fini(&r);
}
END_TEST

START_TEST(test_R18_gpa_direct_at_every_position)
{
	static const uint64_t pfn[5] = { 100, 101, 102, 103, 104 };
	uint32_t cursor, count, offset, n;
	const uint64_t *got;
	const uint8_t *pkt;
	struct vmpkt_desc d;
	uint64_t copy[16];
	struct vmpkt p;
	struct rig r;

	rig_map(&r, SMALL);
	for (uint32_t at = 0; at < SMALL; at += 8) {
		rig_attach(&r, at, at, VMRING_ACCEPT_HOST);
		ck_assert_int_eq(
			vmpkt_put_gpa_direct(&r.out, 1, at, 0x4001, 0xfff, pfn, 5, "abc", 3), 0);
		vmring_out_commit(&r.out);
		must(vmring_in_peek(&r.in, &d, &pkt) == 0);
		memcpy(copy, pkt, d.len8 * 8u);
		must(vmpkt_decode(&p, copy, &d, NULL) == 0);
		cursor = 0;
		must(vmpkt_next_range(&p, &cursor, &count, &offset, &got, &n));
		must(n == 5);
		must(!memcmp(got, pfn, sizeof(pfn)));
		must(!memcmp(p.payload, "abc\0\0\0\0", 8));
	}
	rig_fini(&r);
}
END_TEST

/* Batches of mixed sizes for many laps on rings of several sizes, powers of two or not. */
START_TEST(batches_around_the_end)
{
	static const uint32_t pages[] = { 1, 2, 3, 7, 31 };
	uint64_t sent = 0, got = 0;
	uint32_t laps = 0, last = 0;
	uint8_t payload[1024];
	struct rig r;

	memset(payload, 0x3c, sizeof(payload));
	rig_init(&r, pages[_i] * VMRING_PAGE, 0, ACCEPT_ALL);
	while (laps < 50) {
		uint32_t batch = 1 + (uint32_t)(sent * 7 % 13), i;

		for (i = 0; i < batch; i++) {
			uint32_t len = (uint32_t)(sent * 0x9e3779b1u >> 20) % 900;

			if (vmpkt_put_inband(&r.out, 0, sent, payload, len))
				break;
			sent++;
		}
		vmring_out_commit(&r.out);
		while (vmring_in_pending(&r.in) && got + 2 < sent) {
			struct vmpkt_desc d = rig_take(&r, got);
			uint32_t len = (uint32_t)(got * 0x9e3779b1u >> 20) % 900;

			must((d.len8 - 2u) * 8 == ((len + 7) & ~7u));
			got++;
			vmring_in_commit_lazy(&r.in);
		}
		if (i == 0) { /* full, because the lazy reader holds space back: no longer */
			vmring_in_commit(&r.in);
			must(vmring_out_free(&r.out) > r.size / 4);
		}
		laps += r.out.next < last;
		last = r.out.next;
	}
	while (got < sent)
		rig_take(&r, got++);
	vmring_in_commit(&r.in);
	must(vmring_out_free(&r.out) == r.size - 8);
	must(r.in.why == VMRING_OK);
	must(r.out.why == VMRING_OK);
	rig_fini(&r);
}
END_TEST

/* The lazy commit waits for a quarter of the ring, whatever was known of it meanwhile. */
START_TEST(lazy_commit_waits_for_a_quarter)
{
	static const uint8_t payload[200];
	uint32_t held = 0, commits = 0;
	struct rig r;

	rig_init(&r, SMALL, 0xf00, ACCEPT_ALL);
	for (uint64_t n = 0; n < 2000; n++) {
		uint32_t before = r.ctrl->read_index;

		rig_send(&r, n, payload, (uint32_t)(n * 37 % 200));
		held += rig_take(&r, n).len8 * 8u + VMPKT_TRAILER;
		vmring_in_commit_lazy(&r.in);
		if (held < SMALL / 4) {
			must(r.ctrl->read_index == before);
			continue;
		}
		must(r.ctrl->read_index == r.in.next);
		held = 0;
		commits++;
	}
	must(commits > 100);
	rig_fini(&r);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ring: wrapping");
	TCase *tc = tcase_create("wrap");

	tcase_set_timeout(tc, 20);
	tcase_add_loop_test(tc, test_R18_every_split_position, 0, (int)ARRAY_SIZE(lengths));
	tcase_add_test(tc, test_R18_gpa_direct_at_every_position);
	tcase_add_loop_test(tc, batches_around_the_end, 0, 5);
	tcase_add_test(tc, lazy_commit_waits_for_a_quarter);
	suite_add_tcase(s, tc);
	return rig_run(s);
}
