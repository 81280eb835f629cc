/* SPDX-License-Identifier: MIT */
/* Channels between two ends that keep to the rules. */
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>

#include "tests/ut/vmbus/chan_rig.h"

static struct rig r;

static void setup(void)
{
	rig_init(&r, 1, 0);
}

static void teardown(void)
{
	rig_fini(&r);
}

/* ---- packets ------------------------------------------------------------------ */

START_TEST(inband_packet_and_its_completion_arrive)
{
	const char text[5] = { 'H', 'E', 'L', 'L', 'O' };
	struct vmpkt p;

	ck_assert_int_eq(vmbus_chan_send(r.guest.chan, VMPKT_FLAG_COMPLETION_REQUESTED, 77, text,
					 sizeof(text)),
			 0);
	rig_empty(&r.host); /* not before the flush */
	vmbus_chan_flush(r.guest.chan);
	rig_recv(&r.host, &p);
	ck_assert_uint_eq(p.type, VMPKT_INBAND);
	ck_assert_uint_eq(p.flags, VMPKT_FLAG_COMPLETION_REQUESTED);
	ck_assert_uint_eq(p.trans_id, 77);
	ck_assert_uint_eq(p.payload_len, 8);
	ck_assert_mem_eq(p.payload, "HELLO\0\0\0", 8); /* X01: padding is zero */
	rig_empty(&r.host);

	ck_assert_int_eq(vmbus_chan_send_completion(r.host.chan, 77, NULL, 0), 0);
	vmbus_chan_flush(r.host.chan);
	rig_recv(&r.guest, &p);
	ck_assert_uint_eq(p.type, VMPKT_COMPLETION);
	ck_assert_uint_eq(p.trans_id, 77);
	ck_assert_uint_eq(p.payload_len, 0);
}
END_TEST

START_TEST(request_names_guest_pages)
{
	uint64_t pfn[3] = { r.ram_pfn + 2, r.ram_pfn + 3, r.ram_pfn + 9 };
	uint8_t srb[64] = { 1, 2, 3 };
	struct iovec iov[4];
	struct vmpkt p;

	ck_assert_int_eq(vmbus_chan_send_gpa_direct(r.guest.chan, VMPKT_FLAG_COMPLETION_REQUESTED,
						    5, 8192, 512, pfn, 3, srb, sizeof(srb)),
			 0);
	vmbus_chan_flush(r.guest.chan);
	rig_recv(&r.host, &p);
	ck_assert_uint_eq(p.range_count, 1);
	ck_assert_mem_eq(p.payload, srb, sizeof(srb));
	/* Pages 2 and 3 are neighbours. */
	ck_assert_int_eq(vmbus_chan_iov(r.host.chan, &p, 0, 8192, iov, 4), 2);
	ck_assert_uint_eq(iov[0].iov_len, 8192 - 512);
	ck_assert_ptr_eq(iov[0].iov_base, hv_gpa_ptr(r.gpa, pfn[0] * HV_PAGE_SIZE + 512, 1));
	ck_assert_uint_eq(iov[1].iov_len, 512);
	ck_assert_ptr_eq(iov[1].iov_base, hv_gpa_ptr(r.gpa, pfn[2] * HV_PAGE_SIZE, 1));
	/* A part of the range, then what is no part of it. */
	ck_assert_int_eq(vmbus_chan_iov(r.host.chan, &p, 0, 100, iov, 1), 1);
	ck_assert_uint_eq(iov[0].iov_len, 100);
	ck_assert_int_eq(vmbus_chan_iov(r.host.chan, &p, 0, 8193, iov, 4), -EINVAL);
	ck_assert_int_eq(vmbus_chan_iov(r.host.chan, &p, 1, 1, iov, 4), -EINVAL);
	ck_assert_int_eq(vmbus_chan_iov(r.host.chan, &p, 0, 8192, iov, 1), -ENOSPC);
}
END_TEST

/* The same built in place, until the ring is full; each packet says which one it is. */
START_TEST(requests_are_built_in_place)
{
	uint64_t id = 0, got, *to;
	struct vmpkt p;
	int err;

	while (!(err = vmbus_chan_send_gpa_blank(r.guest.chan, VMPKT_FLAG_COMPLETION_REQUESTED, id,
						 4096, 1, 8, &to))) {
		to[0] = 2 * id;
		to[1] = 2 * id + 1;
		to[2] = id++;
	}
	ck_assert_int_eq(err, -EAGAIN);
	vmbus_chan_flush(r.guest.chan);
	for (got = 0; got < id; got++) {
		uint32_t count, offset, npfn;
		const uint64_t *pfn;

		rig_recv(&r.host, &p);
		vmpkt_first_range(&p, &count, &offset, &pfn, &npfn);
		ck_assert(p.trans_id == got && p.range_count == 1 && p.payload_len == 8);
		ck_assert(count == 4096 && offset == 1 && npfn == 2);
		ck_assert(pfn[0] == 2 * got && pfn[1] == 2 * got + 1 && pfn[2] == got);
		ck_assert((const void *)(pfn + 2) == p.payload);
	}
	rig_empty(&r.host);
}
END_TEST

/* A frame in pieces: what a NIC sends. */
START_TEST(all_ranges_make_one_scatter_list)
{
	uint64_t head = r.ram_pfn, body[2] = { r.ram_pfn + 4, r.ram_pfn + 6 };
	const struct vmpkt_range_in ranges[2] = { { 80, 64, &head }, { 5000, 240, body } };
	uint8_t payload[40] = { 7 };
	uint32_t bytes = 0;
	struct iovec iov[3];
	struct vmpkt p;

	ck_assert_int_eq(vmbus_chan_send_gpa_direct_multi(r.guest.chan, 0, 9, ranges, 2, payload,
							  sizeof(payload)),
			 0);
	vmbus_chan_flush(r.guest.chan);
	rig_recv(&r.host, &p);
	ck_assert_uint_eq(p.range_count, 2);
	ck_assert_mem_eq(p.payload, payload, sizeof(payload));
	ck_assert_int_eq(vmbus_chan_iov_all(r.host.chan, &p, iov, 3, &bytes), 3);
	ck_assert_uint_eq(bytes, 5080);
	ck_assert_ptr_eq(iov[0].iov_base, hv_gpa_ptr(r.gpa, head * HV_PAGE_SIZE + 64, 1));
	ck_assert_uint_eq(iov[0].iov_len, 80);
	ck_assert_ptr_eq(iov[1].iov_base, hv_gpa_ptr(r.gpa, body[0] * HV_PAGE_SIZE + 240, 1));
	ck_assert_uint_eq(iov[1].iov_len, 4096 - 240);
	ck_assert_ptr_eq(iov[2].iov_base, hv_gpa_ptr(r.gpa, body[1] * HV_PAGE_SIZE, 1));
	ck_assert_uint_eq(iov[2].iov_len, 5000 - (4096 - 240));
	ck_assert_int_eq(vmbus_chan_iov_all(r.host.chan, &p, iov, 2, &bytes), -ENOSPC);
	ck_assert_int_eq(vmbus_chan_iov_all(r.host.chan, &p, iov, 0, &bytes), -ENOSPC);
	ck_assert_int_eq(vmbus_chan_iov_all(r.guest.chan, &p, iov, 3, &bytes), -EINVAL);
	ck_assert_int_eq(vmbus_chan_send_gpa_direct_multi(r.guest.chan, 0, 9, ranges, 0, NULL, 0),
			 -EINVAL);
}
END_TEST

START_TEST(scatter_list_of_pages_that_are_not_ram)
{
	uint64_t good = r.ram_pfn, bad = 1ull << 40;
	const struct vmpkt_range_in ranges[2] = { { 8, 0, &good }, { 8, 0, &bad } };
	struct iovec iov[3];
	uint32_t bytes;
	struct vmpkt p;

	vmbus_chan_send_gpa_direct_multi(r.guest.chan, 0, 9, ranges, 2, NULL, 0);
	vmbus_chan_send(r.guest.chan, 0, 9, NULL, 0);
	vmbus_chan_flush(r.guest.chan);
	rig_recv(&r.host, &p);
	ck_assert_int_eq(vmbus_chan_iov_all(r.host.chan, &p, iov, 3, &bytes), -EFAULT);
	rig_recv(&r.host, &p);
	ck_assert_int_eq(vmbus_chan_iov_all(r.host.chan, &p, iov, 3, &bytes), -EINVAL);
}
END_TEST

/* As many ranges as receive coalescing allows, on rings and buffers as long as they need. */
START_TEST(sections_of_a_shared_buffer)
{
	struct vmpkt_xfer_range ranges[562];
	const uint32_t message[10] = { 107, 0, UINT32_MAX };
	struct rig big;
	struct vmpkt p;

	rig_init(&big, 4, 16384);
	for (uint32_t i = 0; i < ARRAY_SIZE(ranges); i++)
		ranges[i] = (struct vmpkt_xfer_range){ 1500 + i, i * 1728 };
	ck_assert_int_eq(vmbus_chan_send_xfer_pages(big.host.chan, VMPKT_FLAG_COMPLETION_REQUESTED,
						    3, 0xcafe, ranges, ARRAY_SIZE(ranges), message,
						    sizeof(message)),
			 0);
	ck_assert_int_eq(vmbus_chan_send_xfer_pages(big.host.chan, 0, 3, 0xcafe, ranges, 0, message,
						    sizeof(message)),
			 -EINVAL);
	vmbus_chan_flush(big.host.chan);
	rig_recv(&big.guest, &p);
	ck_assert_uint_eq(p.type, VMPKT_XFER_PAGES);
	ck_assert_uint_eq(p.flags, VMPKT_FLAG_COMPLETION_REQUESTED);
	ck_assert_uint_eq(p.trans_id, 3);
	ck_assert_uint_eq(p.xfer_set_id, 0xcafe);
	ck_assert_uint_eq(p.range_count, ARRAY_SIZE(ranges));
	ck_assert_uint_eq(p.ranges_len, sizeof(ranges));
	ck_assert_mem_eq(p.ranges, ranges, sizeof(ranges));
	ck_assert_uint_eq(p.payload_len, sizeof(message));
	ck_assert_mem_eq(p.payload, message, sizeof(message));
	rig_empty(&big.guest);
	rig_fini(&big);
}
END_TEST

/* Only hosts have such buffers. */
START_TEST(sections_from_a_guest_fault_the_channel)
{
	const struct vmpkt_xfer_range range = { 8, 0 };
	struct vmpkt p;

	ck_assert_int_eq(vmbus_chan_send_xfer_pages(r.guest.chan, 0, 1, 1, &range, 1, NULL, 0), 0);
	vmbus_chan_flush(r.guest.chan);
	ck_assert_int_eq(vmbus_chan_recv(r.host.chan, &p), -EPROTO);
	ck_assert_int_eq(vmbus_chan_send_xfer_pages(r.host.chan, 0, 1, 1, &range, 1, NULL, 0),
			 -EPROTO);
}
END_TEST

START_TEST(packets_without_ranges_have_no_scatter_list)
{
	struct iovec iov[1];
	struct vmpkt p;

	vmbus_chan_send(r.guest.chan, 0, 1, "abcdefgh", 8);
	vmbus_chan_flush(r.guest.chan);
	rig_recv(&r.host, &p);
	ck_assert_int_eq(vmbus_chan_iov(r.host.chan, &p, 0, 0, iov, 1), -EINVAL);
	ck_assert_ptr_eq(vmbus_chan_gpa(r.host.chan), r.gpa);
	ck_assert_ptr_null(vmbus_chan_gpa(r.guest.chan));
	ck_assert_str_eq(vmbus_chan_name(r.host.chan), "host end");
}
END_TEST

/* R18: every start within the data area, so every place where a packet can wrap. */
START_TEST(packets_wrap_at_every_position)
{
	uint8_t payload[104];
	struct vmpkt p;

	for (uint32_t i = 0; i < 3 * 4096 / 8; i++) {
		uint32_t len = (i % 13 + 1) * 8 - i % 3;

		memset(payload, (int)i, sizeof(payload));
		ck_assert_int_eq(vmbus_chan_send(r.guest.chan, 0, i, payload, len), 0);
		vmbus_chan_flush(r.guest.chan);
		rig_recv(&r.host, &p);
		ck_assert_uint_eq(p.trans_id, i);
		ck_assert_uint_eq(p.payload_len, (len + 7) & ~7u);
		ck_assert_mem_eq(p.payload, payload, len);
		vmbus_chan_recv_done(r.host.chan);
	}
	ck_assert(!vmbus_chan_faulted(r.host.chan));
}
END_TEST

START_TEST(packets_stay_valid_until_the_next_one)
{
	uint8_t a[200], b[200];
	struct vmpkt p;

	memset(a, 'a', sizeof(a));
	memset(b, 'b', sizeof(b));
	vmbus_chan_send(r.guest.chan, 0, 1, a, sizeof(a));
	vmbus_chan_flush(r.guest.chan);
	rig_recv(&r.host, &p);
	vmbus_chan_recv_done(r.host.chan); /* the ring's bytes are the guest's again */
	for (int i = 0; i < 40; i++) {
		vmbus_chan_send(r.guest.chan, 0, 2, b, sizeof(b));
		vmbus_chan_flush(r.guest.chan);
	}
	ck_assert_mem_eq(p.payload, a, sizeof(a));
}
END_TEST

/* ---- signals -------------------------------------------------------------------- */

START_TEST(only_the_first_packet_of_an_empty_ring_signals)
{
	struct vmbus_chan_stats st;
	struct vmpkt p;

	ck_assert(!vmbus_chan_unmask(r.host.chan));
	for (int i = 0; i < 3; i++) {
		vmbus_chan_send(r.guest.chan, 0, 1, NULL, 0);
		vmbus_chan_flush(r.guest.chan);
	}
	vmbus_chan_flush(r.guest.chan); /* nothing to publish */
	ck_assert_uint_eq(r.guest.signals, 1);
	for (int i = 0; i < 3; i++)
		rig_recv(&r.host, &p);
	ck_assert(!vmbus_chan_unmask(r.host.chan));
	vmbus_chan_send(r.guest.chan, 0, 1, NULL, 0);
	vmbus_chan_flush(r.guest.chan);
	ck_assert_uint_eq(r.guest.signals, 2);

	vmbus_chan_stats(r.guest.chan, &st);
	ck_assert_uint_eq(st.packets_out, 4);
	ck_assert_uint_eq(st.publications, 4);
	ck_assert_uint_eq(st.signals_sent, 2);
	ck_assert_uint_eq(st.signals_suppressed, 2);
	ck_assert_uint_eq(st.out_size, 4096);
	ck_assert_uint_eq(st.out_used, 24);
	ck_assert_ptr_null(st.fault);
	vmbus_chan_stats(r.host.chan, &st);
	ck_assert_uint_eq(st.packets_in, 3);
	ck_assert_uint_eq(st.in_used, 24);
}
END_TEST

START_TEST(masked_reader_is_not_signalled_but_told_at_unmask)
{
	struct vmpkt p;

	vmbus_chan_mask(r.host.chan);
	vmbus_chan_send(r.guest.chan, 0, 1, NULL, 0);
	vmbus_chan_flush(r.guest.chan);
	ck_assert_uint_eq(r.guest.signals, 0);
	ck_assert(vmbus_chan_pending(r.host.chan));
	ck_assert(vmbus_chan_unmask(r.host.chan)); /* do not sleep */
	rig_recv(&r.host, &p);
	ck_assert(!vmbus_chan_pending(r.host.chan));
	ck_assert(!vmbus_chan_unmask(r.host.chan)); /* sleep */
	vmbus_chan_send(r.guest.chan, 0, 2, NULL, 0);
	vmbus_chan_flush(r.guest.chan);
	ck_assert_uint_eq(r.guest.signals, 1);
}
END_TEST

/* ---- room -------------------------------------------------------------------------- */

/* Fills the guest's outgoing ring with packets of 256 bytes each; returns how many fit. */
static uint32_t fill(void)
{
	uint8_t payload[256 - 24] = { 0 };
	uint32_t n = 0;

	while (vmbus_chan_send(r.guest.chan, 0, n, payload, sizeof(payload)) == 0)
		n++;
	vmbus_chan_flush(r.guest.chan);
	return n;
}

/* R22 */
START_TEST(ring_is_never_filled_completely)
{
	uint8_t payload[256] = { 0 };

	ck_assert_uint_eq(fill(), 15); /* 16 would make it look empty */
	ck_assert_uint_eq(vmbus_chan_send_room(r.guest.chan), 256 - 8);
	ck_assert_int_eq(vmbus_chan_send(r.guest.chan, 0, 0, payload, 256 - 24), -EAGAIN);
	ck_assert_int_eq(vmbus_chan_send(r.guest.chan, 0, 0, payload, 256 - 32), 0);
	ck_assert_uint_eq(vmbus_chan_send_room(r.guest.chan), 0);
	vmbus_chan_flush(r.guest.chan);
	for (uint32_t i = 0; i < 16; i++) {
		struct vmpkt p;

		rig_recv(&r.host, &p);
	}
	rig_empty(&r.host);
}
END_TEST

START_TEST(writer_without_room_is_signalled_when_there_is_some)
{
	struct vmpkt p;

	fill();
	ck_assert(vmbus_chan_want_space(r.guest.chan, 256));
	rig_recv(&r.host, &p);
	vmbus_chan_recv_done(r.host.chan);
	ck_assert_uint_eq(r.host.signals, 0); /* a quarter of the ring or nothing */
	for (int i = 0; i < 4; i++)
		rig_recv(&r.host, &p);
	vmbus_chan_recv_done(r.host.chan);
	ck_assert_uint_eq(r.host.signals, 1);
	ck_assert_int_eq(vmbus_chan_send(r.guest.chan, 0, 9, NULL, 0), 0);
	vmbus_chan_flush(r.guest.chan);
	/* The wish is over: no more signals for room. */
	for (int i = 0; i < 11; i++)
		rig_recv(&r.host, &p);
	vmbus_chan_recv_done(r.host.chan);
	ck_assert_uint_eq(r.host.signals, 1);
}
END_TEST

START_TEST(want_space_publishes_first_and_says_no_when_it_fits)
{
	struct vmpkt p;

	vmbus_chan_send(r.guest.chan, 0, 4, NULL, 0);
	ck_assert(!vmbus_chan_want_space(r.guest.chan, 1000));
	rig_recv(&r.host, &p);
	ck_assert_uint_eq(p.trans_id, 4);
	ck_assert(!vmbus_chan_want_space(r.guest.chan, 5000)); /* never */
	ck_assert_uint_eq(((struct vmring_ctrl *)r.raw_to_host.ctrl)->pending_send_sz, 0);
}
END_TEST

START_TEST(packets_larger_than_the_ring_are_refused)
{
	uint8_t payload[4096] = { 0 };

	/* The largest one: data area less trailer less the 8 bytes never used. */
	ck_assert_int_eq(vmbus_chan_send(r.guest.chan, 0, 0, payload, 4096 - 16 - 16), 0);
	ck_assert_int_eq(vmbus_chan_send(r.guest.chan, 0, 0, payload, 4096 - 16 - 8), -EMSGSIZE);
	ck_assert_int_eq(vmbus_chan_send(r.guest.chan, 0, 0, payload, UINT32_MAX), -EMSGSIZE);
	ck_assert(!vmbus_chan_faulted(r.guest.chan));
}
END_TEST

/* ---- reading lazily while masked ------------------------------------------------------- */

static uint32_t read_index(void)
{
	return load_acquire(&((struct vmring_ctrl *)r.raw_to_host.ctrl)->read_index);
}

static void pass_one(uint32_t len)
{
	uint8_t payload[1024] = { 0 };
	struct vmpkt p;

	ck_assert_int_eq(vmbus_chan_send(r.guest.chan, 0, 0, payload, len), 0);
	vmbus_chan_flush(r.guest.chan);
	rig_recv(&r.host, &p);
	vmbus_chan_recv_done(r.host.chan);
}

START_TEST(polling_reader_gives_space_back_a_quarter_at_a_time)
{
	pass_one(200);
	ck_assert_uint_eq(read_index(), 224); /* unmasked: at once */
	vmbus_chan_mask(r.host.chan);
	for (int i = 0; i < 4; i++) {
		pass_one(200);
		ck_assert_uint_eq(read_index(), 224);
	}
	pass_one(200);
	ck_assert_uint_eq(read_index(), 6 * 224);
	pass_one(200);
	ck_assert_uint_eq(read_index(), 6 * 224);
	ck_assert(!vmbus_chan_unmask(r.host.chan));
	ck_assert_uint_eq(read_index(), 7 * 224);
}
END_TEST

START_TEST(polling_reader_gives_space_back_to_a_writer_that_waits)
{
	vmbus_chan_mask(r.host.chan);
	for (int i = 0; i < 4; i++)
		pass_one(200);
	ck_assert_uint_eq(read_index(), 0);
	/* More than is left although the ring is empty. */
	ck_assert(vmbus_chan_want_space(r.guest.chan, 3300));
	if (_i)
		ck_assert(!vmbus_chan_pending(r.host.chan));
	else
		rig_empty(&r.host);
	ck_assert_uint_eq(r.host.signals, 1);
	ck_assert_uint_ge(vmbus_chan_send_room(r.guest.chan), 3300);
}
END_TEST

/* The wish came when the index was on its way: neither side saw the other (spec: ring, 10.4). */
START_TEST(polling_reader_sees_a_wish_that_came_late)
{
	struct vmring_ctrl *ctrl = r.raw_to_host.ctrl;

	vmbus_chan_mask(r.host.chan);
	for (int i = 0; i < 5; i++)
		pass_one(200);
	ck_assert_uint_eq(read_index(), 5 * 224); /* a quarter: stored without looking */
	rig_empty(&r.host);
	ck_assert_uint_eq(r.host.signals, 0);
	store_relaxed(&ctrl->pending_send_sz, 4096 - 300);
	if (_i)
		ck_assert(!vmbus_chan_pending(r.host.chan));
	else
		rig_empty(&r.host);
	ck_assert_uint_eq(r.host.signals, 1);
}
END_TEST

START_TEST(polling_reader_gives_space_back_in_the_end)
{
	int looks = 0;

	vmbus_chan_mask(r.host.chan);
	pass_one(8);
	while (read_index() == 0) {
		ck_assert_int_lt(looks++, 100000);
		if (_i)
			ck_assert(!vmbus_chan_pending(r.host.chan));
		else
			rig_empty(&r.host);
	}
	ck_assert_uint_eq(read_index(), 32);
}
END_TEST

/* ---- two threads --------------------------------------------------------------------------- */

#define STREAM 4000u

struct end_thread {
	struct vmbus_chan *chan;
	int bell, peer_bell;
	uint32_t seed;
	bool lazy; /* never masks, sleeps at once */
};

static void ring_peer(void *ctx)
{
	struct end_thread *t = ctx;

	eventfd_write(t->peer_bell, 1);
}

static void sleep_on(struct end_thread *t)
{
	eventfd_t v;

	ck_assert_int_eq(eventfd_read(t->bell, &v), 0);
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* The payload of packet @i: its length and every byte follow from @i. */
static uint32_t make_payload(uint32_t i, uint8_t *buf)
{
	uint32_t seed = i, len = next_random(&seed) % 600;

	for (uint32_t k = 0; k < len; k++)
		buf[k] = (uint8_t)(i + k);
	return len;
}

static void *stream_out(void *arg)
{
	struct end_thread *t = arg;
	uint8_t buf[600];

	for (uint32_t i = 0; i < STREAM; i++) {
		uint32_t len = make_payload(i, buf);
		int err;

		while ((err = vmbus_chan_send(t->chan, 0, i, buf, len)) == -EAGAIN)
			if (vmbus_chan_want_space(t->chan, len + 24))
				sleep_on(t);
		ck_assert_int_eq(err, 0);
		if (next_random(&t->seed) % 4 == 0)
			vmbus_chan_flush(t->chan);
	}
	vmbus_chan_flush(t->chan);
	return NULL;
}

static void *stream_in(void *arg)
{
	struct end_thread *t = arg;
	uint8_t buf[608];
	struct vmpkt p;
	int n;

	for (uint32_t i = 0; i < STREAM;) {
		if (!t->lazy)
			vmbus_chan_mask(t->chan);
		while ((n = vmbus_chan_recv(t->chan, &p)) > 0) {
			uint32_t len = make_payload(i, buf);

			memset(buf + len, 0, sizeof(buf) - len);
			ck_assert_uint_eq(p.trans_id, i);
			ck_assert_uint_eq(p.payload_len, (len + 7) & ~7u);
			ck_assert_mem_eq(p.payload, buf, p.payload_len);
			i++;
		}
		ck_assert_int_eq(n, 0);
		vmbus_chan_recv_done(t->chan);
		if (i < STREAM && !vmbus_chan_unmask(t->chan))
			sleep_on(t);
	}
	vmbus_chan_unmask(t->chan);
	return NULL;
}

static struct vmbus_chan *rebuild(struct rig_end *e, struct end_thread *t, uint32_t accept)
{
	struct vmbus_chan_config cfg = {
		.in = e->in,
		.out = e->out,
		.accept = accept,
		.signal = ring_peer,
		.ctx = t,
	};

	vmbus_chan_destroy(e->chan);
	ck_assert_int_eq(vmbus_chan_create(&e->chan, &cfg), 0);
	return e->chan;
}

/* R33 in small: sleeping on both sides, no packet lost, changed, or twice. */
START_TEST(stream_between_threads_that_sleep)
{
	struct end_thread out = { .seed = 1 }, in = { .lazy = _i };
	struct vmbus_chan_stats st, last = { 0 };
	pthread_t a, b;

	out.bell = in.peer_bell = eventfd(0, EFD_CLOEXEC);
	in.bell = out.peer_bell = eventfd(0, EFD_CLOEXEC);
	out.chan = rebuild(&r.guest, &out, VMRING_ACCEPT_GUEST);
	in.chan = rebuild(&r.host, &in, VMRING_ACCEPT_HOST);
	ck_assert_int_eq(pthread_create(&a, NULL, stream_out, &out), 0);
	ck_assert_int_eq(pthread_create(&b, NULL, stream_in, &in), 0);
	do { /* statistics are anybody's to read */
		vmbus_chan_stats(in.chan, &st);
		ck_assert_uint_ge(st.packets_in, last.packets_in);
		last = st;
		sched_yield();
	} while (st.packets_in < STREAM);
	ck_assert_int_eq(pthread_join(a, NULL), 0);
	ck_assert_int_eq(pthread_join(b, NULL), 0);
	vmbus_chan_stats(out.chan, &st);
	ck_assert_uint_eq(st.packets_out, STREAM);
	ck_assert_uint_le(st.signals_sent, st.publications);
	ck_assert_uint_eq(st.out_used, 0);
	close(out.bell);
	close(in.bell);
}
END_TEST

/* ---- creation
 * ------------------------------------------------------------------------------------ */

START_TEST(bad_configurations_are_refused)
{
	struct vmbus_chan_config good = {
		.in = r.host.in,
		.out = r.host.out,
		.accept = VMRING_ACCEPT_HOST,
		.signal = rig_signal,
	};
	struct vmring_ctrl *ctrl = r.host.in.ctrl;
	struct vmbus_chan_config cfg = good;
	struct vmbus_chan *c;

	cfg.signal = NULL;
	ck_assert_int_eq(vmbus_chan_create(&c, &cfg), -EINVAL);
	cfg = good;
	cfg.max_packet = 8;
	ck_assert_int_eq(vmbus_chan_create(&c, &cfg), -EINVAL);
	cfg.max_packet = 1 << 20;
	ck_assert_int_eq(vmbus_chan_create(&c, &cfg), -EINVAL);
	cfg = good;
	cfg.in.size = 100;
	ck_assert_int_eq(vmbus_chan_create(&c, &cfg), -EINVAL);
	ctrl->write_index = 3;
	ck_assert_int_eq(vmbus_chan_create(&c, &good), -EPROTO);
	ctrl->write_index = 0;
	ck_assert_int_eq(vmbus_chan_create(&c, &good), 0);
	vmbus_chan_destroy(c);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vmbus/chan");
	TCase *tc = tcase_create("chan");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 20);
	tcase_add_test(tc, inband_packet_and_its_completion_arrive);
	tcase_add_test(tc, request_names_guest_pages);
	tcase_add_test(tc, requests_are_built_in_place);
	tcase_add_test(tc, all_ranges_make_one_scatter_list);
	tcase_add_test(tc, scatter_list_of_pages_that_are_not_ram);
	tcase_add_test(tc, sections_of_a_shared_buffer);
	tcase_add_test(tc, sections_from_a_guest_fault_the_channel);
	tcase_add_test(tc, packets_without_ranges_have_no_scatter_list);
	tcase_add_test(tc, packets_wrap_at_every_position);
	tcase_add_test(tc, packets_stay_valid_until_the_next_one);
	tcase_add_test(tc, only_the_first_packet_of_an_empty_ring_signals);
	tcase_add_test(tc, masked_reader_is_not_signalled_but_told_at_unmask);
	tcase_add_test(tc, ring_is_never_filled_completely);
	tcase_add_test(tc, writer_without_room_is_signalled_when_there_is_some);
	tcase_add_test(tc, want_space_publishes_first_and_says_no_when_it_fits);
	tcase_add_test(tc, packets_larger_than_the_ring_are_refused);
	tcase_add_test(tc, polling_reader_gives_space_back_a_quarter_at_a_time);
	tcase_add_loop_test(tc, polling_reader_gives_space_back_to_a_writer_that_waits, 0, 2);
	tcase_add_loop_test(tc, polling_reader_sees_a_wish_that_came_late, 0, 2);
	tcase_add_loop_test(tc, polling_reader_gives_space_back_in_the_end, 0, 2);
	tcase_add_loop_test(tc, stream_between_threads_that_sleep, 0, 2);
	tcase_add_test(tc, bad_configurations_are_refused);
	suite_add_tcase(s, tc);
	return rig_main(s);
}
