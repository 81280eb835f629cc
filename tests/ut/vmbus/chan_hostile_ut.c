/* SPDX-License-Identifier: MIT */
/*
 * Channels whose peer breaks the ring protocol (spec: hostile cases, groups R and P, as
 * far as a channel can see them). Every fault happens once, names its reason, ends this
 * channel and no other.
 */
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>

#include "base/clock.h"
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

static struct vmring_ctrl *ctrl_to_host(void)
{
	return r.raw_to_host.ctrl;
}

static void put_desc(struct hv_gpa_view *ring, uint32_t at, uint16_t type, uint16_t offset8,
		     uint16_t len8, uint16_t flags)
{
	struct vmpkt_desc d = { type, offset8, len8, flags, 0x1234 };

	memcpy(ring->data + at, &d, sizeof(d));
}

static void publish(struct hv_gpa_view *ring, uint32_t index)
{
	store_release(&((struct vmring_ctrl *)ring->ctrl)->write_index, index);
}

/* The channel is dead for @why, once, and stays so; the other direction is dead too. */
static void check_fault(struct rig_end *e, const char *why)
{
	struct vmbus_chan_stats st;
	struct vmpkt p;

	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(vmbus_chan_recv(e->chan, &p), -EPROTO);
		ck_assert_int_eq(vmbus_chan_send(e->chan, 0, 0, NULL, 0), -EPROTO);
		ck_assert_int_eq(vmbus_chan_send_completion(e->chan, 0, NULL, 0), -EPROTO);
		vmbus_chan_flush(e->chan);
		vmbus_chan_recv_done(e->chan);
		ck_assert(!vmbus_chan_unmask(e->chan));
		ck_assert(!vmbus_chan_pending(e->chan));
		ck_assert(!vmbus_chan_want_space(e->chan, 64));
		ck_assert_uint_eq(vmbus_chan_send_room(e->chan), 0);
	}
	ck_assert(vmbus_chan_faulted(e->chan));
	ck_assert_uint_eq(e->faults, 1);
	ck_assert_str_eq(e->why, why);
	vmbus_chan_stats(e->chan, &st);
	ck_assert_str_eq(st.fault, why);
}

/* ---- indices ---------------------------------------------------------------------- */

static const struct {
	const char *id;
	uint32_t write_index;
	const char *why;
} bad_write[] = {
	{ "R01 one past the end", 4096, "write index out of range" },
	{ "R02 all ones", UINT32_MAX, "write index out of range" },
	{ "R03 not a multiple of 8", 12, "write index out of range" },
	{ "R09 less than a descriptor", 8, "less than a packet descriptor published" },
};

START_TEST(bad_write_index_faults)
{
	struct vmpkt p;

	publish(&r.raw_to_host, bad_write[_i].write_index);
	ck_assert(vmbus_chan_pending(r.host.chan)); /* somebody has to look */
	ck_assert_int_eq(vmbus_chan_recv(r.host.chan, &p), -EPROTO);
	check_fault(&r.host, bad_write[_i].why);
	ck_assert(!vmbus_chan_faulted(r.guest.chan));
}
END_TEST

START_TEST(r08_write_index_moving_backwards_faults)
{
	struct vmpkt p;

	vmbus_chan_send(r.guest.chan, 0, 1, NULL, 0);
	vmbus_chan_send(r.guest.chan, 0, 2, NULL, 0);
	vmbus_chan_flush(r.guest.chan);
	rig_recv(&r.host, &p);
	rig_recv(&r.host, &p);
	publish(&r.raw_to_host, 24);
	ck_assert_int_eq(vmbus_chan_recv(r.host.chan, &p), -EPROTO);
	check_fault(&r.host, "write index out of range");
}
END_TEST

START_TEST(r04_our_read_index_overwritten_changes_nothing)
{
	struct vmpkt p;

	for (int i = 0; i < 10; i++) {
		vmbus_chan_send(r.guest.chan, 0, (uint64_t)i, NULL, 0);
		vmbus_chan_flush(r.guest.chan);
		rig_recv(&r.host, &p);
		ck_assert_uint_eq(p.trans_id, i);
		vmbus_chan_recv_done(r.host.chan);
		rig_empty(&r.host);
		ck_assert_uint_eq(load_relaxed(&ctrl_to_host()->read_index), (i + 1) * 24);
		if (i == 8)
			break;
		store_relaxed(&ctrl_to_host()->read_index, 0x7ffffff8);
		rig_empty(&r.host);
		store_relaxed(&ctrl_to_host()->read_index, (uint32_t)(i + 1) * 24);
	}
}
END_TEST

static const struct {
	const char *id;
	uint32_t read_index;
} bad_read[] = {
	{ "R05 past the end", 4096 },	   { "R05 all ones", UINT32_MAX },
	{ "R05 not a multiple of 8", 4 },  { "R06 ahead of what was written", 160 },
	{ "R07 behind where it was", 40 },
};

START_TEST(bad_read_index_faults_the_writer)
{
	uint8_t payload[1000] = { 0 };
	struct vmpkt p;
	int err = 0;

	/* The host wrote 120 bytes of which the guest read 80. */
	for (int i = 0; i < 3; i++)
		vmbus_chan_send(r.host.chan, 0, 0, payload, 16);
	vmbus_chan_flush(r.host.chan);
	rig_recv(&r.guest, &p);
	rig_recv(&r.guest, &p);
	vmbus_chan_recv_done(r.guest.chan);
	vmbus_chan_send_room(r.host.chan); /* the host has seen that */
	store_relaxed(&((struct vmring_ctrl *)r.raw_to_guest.ctrl)->read_index,
		      bad_read[_i].read_index);
	for (int i = 0; i < 8 && !err; i++)
		err = vmbus_chan_send(r.host.chan, 0, 0, payload, sizeof(payload));
	ck_assert_int_eq(err, -EPROTO);
	check_fault(&r.host, "read index out of range");
}
END_TEST

/* ---- descriptors ---------------------------------------------------------------------- */

static const struct {
	const char *id;
	uint16_t type, offset8, len8, flags;
	uint32_t published;
	const char *why;
} bad_desc[] = {
	{ "R10 longer than what was published", 6, 2, 8, 0, 64, "packet length out of bounds" },
	{ "R10 trailer not published", 6, 2, 4, 0, 32, "packet length out of bounds" },
	{ "R11 length 0", 6, 2, 0, 0, 64, "packet length out of bounds" },
	{ "R12 length 1", 6, 2, 1, 0, 64, "packet length out of bounds" },
	{ "R13 payload at 0", 6, 0, 3, 0, 64, "payload offset outside the packet" },
	{ "R13 payload at 1", 6, 1, 3, 0, 64, "payload offset outside the packet" },
	{ "R14 payload behind the end", 6, 4, 3, 0, 64, "payload offset outside the packet" },
	{ "R15 length far beyond the ring", 6, 2, 0xffff, 0, 64, "packet length out of bounds" },
	{ "R15 offset too", 6, 0xffff, 0xffff, 0, 4088, "packet length out of bounds" },
	{ "R20 type 0", 0, 2, 3, 0, 64, "packet type not allowed" },
	{ "R20 type 1", 1, 2, 3, 0, 64, "packet type not allowed" },
	{ "R20 type 12", 12, 2, 3, 0, 64, "packet type not allowed" },
	{ "R20 type 31", 31, 2, 3, 0, 64, "packet type not allowed" },
	{ "R20 type 0xffff", 0xffff, 2, 3, 0, 64, "packet type not allowed" },
	{ "R20 transfer pages from a guest", 7, 3, 3, 0, 64, "packet type not allowed" },
	{ "R21 flag bit 1", 6, 2, 3, 2, 64, "unknown packet flags" },
	{ "R21 all flags", 6, 2, 3, 0xffff, 64, "unknown packet flags" },
	{ "P01 GPA-direct without its header", 9, 2, 7, 1, 64,
	  "payload offset outside the packet" },
};

START_TEST(bad_descriptor_faults_the_host)
{
	struct vmpkt p;

	put_desc(&r.raw_to_host, 0, bad_desc[_i].type, bad_desc[_i].offset8, bad_desc[_i].len8,
		 bad_desc[_i].flags);
	publish(&r.raw_to_host, bad_desc[_i].published);
	ck_assert_int_eq(vmbus_chan_recv(r.host.chan, &p), -EPROTO);
	check_fault(&r.host, bad_desc[_i].why);
}
END_TEST

/* C07: the same from the root; what a client does not know yet it steps over (R20, R21). */
START_TEST(bad_descriptor_faults_or_is_dropped_by_the_guest)
{
	bool dropped = (bad_desc[_i].type != 6 && bad_desc[_i].type != 7) || bad_desc[_i].flags;
	struct vmbus_chan_stats st;
	struct vmpkt p;

	put_desc(&r.raw_to_guest, 0, bad_desc[_i].type, bad_desc[_i].offset8, bad_desc[_i].len8,
		 bad_desc[_i].flags);
	if (dropped) {
		/* A good one follows. */
		uint32_t at = bad_desc[_i].len8 * 8u + 8;

		put_desc(&r.raw_to_guest, at, VMPKT_COMPLETION, 2, 2, 0);
		publish(&r.raw_to_guest, at + 24);
		rig_recv(&r.guest, &p);
		ck_assert_uint_eq(p.type, VMPKT_COMPLETION);
		rig_empty(&r.guest);
		vmbus_chan_stats(r.guest.chan, &st);
		ck_assert_uint_eq(st.dropped_in, 1);
		ck_assert_uint_eq(st.packets_in, 1);
		return;
	}
	publish(&r.raw_to_guest, bad_desc[_i].published);
	ck_assert_int_eq(vmbus_chan_recv(r.guest.chan, &p), -EPROTO);
	if (bad_desc[_i].type == 6)
		check_fault(&r.guest, bad_desc[_i].why);
}
END_TEST

START_TEST(p02_transfer_pages_without_their_header_fault_the_guest)
{
	struct vmpkt p;

	put_desc(&r.raw_to_guest, 0, VMPKT_XFER_PAGES, 2, 4, 1);
	publish(&r.raw_to_guest, 64);
	ck_assert_int_eq(vmbus_chan_recv(r.guest.chan, &p), -EPROTO);
	check_fault(&r.guest, "payload offset outside the packet");
}
END_TEST

START_TEST(packet_longer_than_the_channel_accepts_faults)
{
	struct rig small;
	uint8_t payload[256] = { 0 };
	struct vmpkt p;

	rig_init(&small, 1, 128);
	vmbus_chan_send(small.guest.chan, 0, 1, payload, 128 - 16);
	vmbus_chan_send(small.guest.chan, 0, 1, payload, 128 - 8);
	vmbus_chan_flush(small.guest.chan);
	rig_recv(&small.host, &p);
	ck_assert_int_eq(vmbus_chan_recv(small.host.chan, &p), -EPROTO);
	check_fault(&small.host, "packet longer than the channel accepts");
	/* U9: a new channel over the same rings, zeroed as a guest does, works. */
	vmbus_chan_destroy(small.host.chan);
	vmbus_chan_destroy(small.guest.chan);
	memset(small.host.in.ctrl, 0, 4096);
	memset(small.host.out.ctrl, 0, 4096);
	hv_gpa_unmap_view(&small.host.in);
	hv_gpa_unmap_view(&small.host.out);
	hv_gpa_unmap_view(&small.guest.in);
	hv_gpa_unmap_view(&small.guest.out);
	rig_end_init(&small, &small.host, true, 128);
	rig_end_init(&small, &small.guest, false, 128);
	vmbus_chan_send(small.guest.chan, 0, 3, NULL, 0);
	vmbus_chan_flush(small.guest.chan);
	rig_recv(&small.host, &p);
	rig_fini(&small);
}
END_TEST

START_TEST(r19_trailer_is_not_looked_at)
{
	struct vmpkt p;

	vmbus_chan_send(r.guest.chan, 0, 5, "12345678", 8);
	memset(r.raw_to_host.data + 24, 0xee, 8);
	vmbus_chan_flush(r.guest.chan);
	rig_recv(&r.host, &p);
	ck_assert_mem_eq(p.payload, "12345678", 8);
	rig_empty(&r.host);
}
END_TEST

/* ---- ranges -------------------------------------------------------------------------------- */

/* A GPA-direct packet of @len8 * 8 bytes at 0 with @words behind the descriptor. */
static void put_request(uint16_t offset8, uint16_t len8, const uint64_t *words, size_t n)
{
	put_desc(&r.raw_to_host, 0, VMPKT_GPA_DIRECT, offset8, len8, 1);
	memcpy(r.raw_to_host.data + 16, words, n * 8);
	publish(&r.raw_to_host, len8 * 8u + 8);
}

#define COUNT(n)	     ((uint64_t)(n) << 32)
#define RANGE(bytes, offset) ((uint64_t)(bytes) | (uint64_t)(offset) << 32)

static const struct {
	const char *id;
	uint64_t words[4];
} bad_ranges[] = {
	{ "P04 more ranges than fit", { COUNT(4), RANGE(4096, 0), 1 } },
	{ "P05 2^32 - 1 ranges", { COUNT(UINT32_MAX), RANGE(4096, 0), 1 } },
	{ "P07 offset of a page", { COUNT(1), RANGE(1, 4096), 1 } },
	{ "P07 offset of all ones", { COUNT(1), RANGE(1, UINT32_MAX), 1 } },
	{ "P08 offset + count wraps", { COUNT(1), RANGE(UINT32_MAX, 4095), 1 } },
	{ "P09 page list too short", { COUNT(1), RANGE(8193, 0), 1 } },
	{ "P09 by the offset", { COUNT(1), RANGE(8192, 1), 1, 2 } },
	{ "P09 second range has none", { COUNT(2), RANGE(4096, 0), 1, RANGE(1, 0) } },
};

START_TEST(bad_ranges_fault)
{
	struct vmpkt p;

	put_request(6, 8, bad_ranges[_i].words, 4);
	ck_assert_int_eq(vmbus_chan_recv(r.host.chan, &p), -EPROTO);
	check_fault(&r.host, "ranges do not fit the packet header");
}
END_TEST

START_TEST(p03_request_without_ranges_is_the_devices_business)
{
	uint64_t words[] = { COUNT(0) };
	struct iovec iov[1];
	struct vmpkt p;

	put_request(3, 4, words, 1);
	rig_recv(&r.host, &p);
	ck_assert_uint_eq(p.range_count, 0);
	ck_assert_int_eq(vmbus_chan_iov(r.host.chan, &p, 0, 0, iov, 1), -EINVAL);
}
END_TEST

START_TEST(p06_empty_range_has_no_bytes)
{
	uint64_t with_page[] = { COUNT(1), RANGE(0, 5), 1 }, without[] = { COUNT(1), RANGE(0, 5) };
	struct iovec iov[1];
	struct vmpkt p;

	if (_i)
		put_request(5, 6, with_page, 3);
	else
		put_request(4, 5, without, 2);
	rig_recv(&r.host, &p);
	ck_assert_uint_eq(p.range_count, 1);
	ck_assert_int_eq(vmbus_chan_iov(r.host.chan, &p, 0, 1, iov, 1), -EINVAL);
	ck_assert_int_le(vmbus_chan_iov(r.host.chan, &p, 0, 0, iov, 1), 0);
}
END_TEST

/* P10: fails that request alone. */
START_TEST(p10_page_outside_ram)
{
	uint64_t pfn[] = { r.ram_pfn, r.ram_pfn + RIG_RAM_PAGES, 1ull << 52, UINT64_MAX };
	struct iovec iov[2];
	struct vmpkt p;

	for (int i = 0; i < 4; i++) {
		vmbus_chan_send_gpa_direct(r.guest.chan, 1, 9, 4096, 0, &pfn[i], 1, NULL, 0);
		vmbus_chan_flush(r.guest.chan);
		rig_recv(&r.host, &p);
		ck_assert_int_eq(vmbus_chan_iov(r.host.chan, &p, 0, 4096, iov, 2),
				 i == 0 ? 1 : -EFAULT);
	}
	ck_assert(!vmbus_chan_faulted(r.host.chan));
}
END_TEST

START_TEST(p11_same_page_again_and_a_page_of_the_ring)
{
	uint64_t pfn[] = { r.ram_pfn, r.ram_pfn, 1 };
	struct iovec iov[3];
	struct vmpkt p;

	vmbus_chan_send_gpa_direct(r.guest.chan, 1, 9, 3 * 4096, 0, pfn, 3, NULL, 0);
	vmbus_chan_flush(r.guest.chan);
	rig_recv(&r.host, &p);
	ck_assert_int_eq(vmbus_chan_iov(r.host.chan, &p, 0, 3 * 4096, iov, 3), 3);
	/* The guest has its own packet overwritten: ours is a copy, and the ring only bytes. */
	memset(iov[2].iov_base, 0xff, 4096);
	ck_assert_uint_eq(p.trans_id, 9);
	ck_assert_uint_eq(p.range_count, 1);
	vmbus_chan_send(r.guest.chan, 0, 10, NULL, 0);
	vmbus_chan_flush(r.guest.chan);
	rig_recv(&r.host, &p);
	ck_assert_uint_eq(p.trans_id, 10);
}
END_TEST

START_TEST(p12_thousands_of_ranges)
{
	enum { N = 8192 };
	static struct vmpkt_range_in ranges[N];
	uint64_t pfn[] = { 0 };
	struct vmring_out raw;
	struct iovec iov[1];
	struct rig big;
	struct vmpkt p;

	rig_init(&big, 64, 200000);
	pfn[0] = big.ram_pfn;
	for (int i = 0; i < N; i++)
		ranges[i] = (struct vmpkt_range_in){ 1, (uint32_t)i % 4096, pfn };
	ck_assert_int_eq(vmring_out_init(&raw, big.raw_to_host.ctrl, big.raw_to_host.data,
					 big.raw_to_host.size),
			 0);
	ck_assert_int_eq(vmpkt_put_gpa_direct_multi(&raw, 1, 3, ranges, N, "12345678", 8), 0);
	vmring_out_commit(&raw);
	rig_recv(&big.host, &p);
	ck_assert_uint_eq(p.range_count, N);
	ck_assert_int_eq(vmbus_chan_iov(big.host.chan, &p, N - 1, 1, iov, 1), 1);
	ck_assert_ptr_eq(iov[0].iov_base, hv_gpa_ptr(big.gpa, pfn[0] * 4096 + 4095, 1));
	ck_assert_int_eq(vmbus_chan_iov(big.host.chan, &p, N, 1, iov, 1), -EINVAL);
	rig_fini(&big);
}
END_TEST

/* ---- masks and wishes
 * ---------------------------------------------------------------------------- */

/* R23 */
START_TEST(wish_for_more_room_than_there_is_never_signals)
{
	struct vmpkt p;

	store_relaxed(&ctrl_to_host()->pending_send_sz, UINT32_MAX);
	for (uint64_t i = 0; i < 1000; i++) {
		vmbus_chan_send(r.guest.chan, 0, i, NULL, 0);
		vmbus_chan_flush(r.guest.chan);
		rig_recv(&r.host, &p);
		vmbus_chan_recv_done(r.host.chan);
	}
	ck_assert_uint_eq(r.host.signals, 0);
	ck_assert(!vmbus_chan_faulted(r.host.chan));
}
END_TEST

/* R24: at most one signal per batch given back, whatever the word does. */
START_TEST(wish_that_flickers_costs_one_signal_per_batch)
{
	struct vmpkt p;

	for (uint64_t i = 0; i < 500; i++) {
		vmbus_chan_send(r.guest.chan, 0, i, NULL, 0);
		vmbus_chan_send(r.guest.chan, 0, i, NULL, 0);
		vmbus_chan_flush(r.guest.chan);
		store_relaxed(&ctrl_to_host()->pending_send_sz, i % 2 ? 4096 - 48 : 0);
		rig_recv(&r.host, &p);
		rig_recv(&r.host, &p);
		vmbus_chan_recv_done(r.host.chan);
		rig_empty(&r.host);
		vmbus_chan_recv_done(r.host.chan);
	}
	ck_assert_uint_le(r.host.signals, 500);
}
END_TEST

/* R28 */
START_TEST(mask_written_by_the_wrong_side_is_not_believed)
{
	struct vmpkt p;

	store_relaxed(&ctrl_to_host()->interrupt_mask, 0xdead);
	vmbus_chan_send(r.guest.chan, 0, 1, NULL, 0);
	vmbus_chan_flush(r.guest.chan); /* suppressed: the guest harms itself */
	ck_assert_uint_eq(r.guest.signals, 0);
	ck_assert(vmbus_chan_unmask(r.host.chan));
	ck_assert_uint_eq(load_relaxed(&ctrl_to_host()->interrupt_mask), 0);
	rig_recv(&r.host, &p);
}
END_TEST

/* ---- a peer that rewrites bytes while we read
 * ------------------------------------------------------ */

/*
 * Another process, so that it is hostile memory and not a race of ours. It writes
 * packets and goes on changing their bytes, descriptors and ranges included.
 */
static void flip_for_ever(void)
{
	uint64_t *d = (uint64_t *)(void *)r.raw_to_host.data;
	uint32_t seed = 1, at = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		seed = seed * 1664525 + 1013904223;
		store_relaxed(&d[(seed >> 8) % 512],
			      seed & 64 ? 0x0000000900050009ull : (uint64_t)seed << 24);
		if (seed % 7 == 0) {
			store_relaxed(&d[at / 8], (seed >> 9) % 2 ? 0x0001000d00050009ull
								  : 0x0001000300020006ull);
			at = (at + ((seed >> 9) % 2 ? 112 : 32)) % 4096;
			publish(&r.raw_to_host, at);
		}
	}
}

/* U6, R16, R17: what was decoded stays as it was, whatever becomes of the ring. */
static void check_private(const struct vmpkt *p)
{
	uint32_t sum = 0, again = 0, cursor = 0, count, offset, npfn;
	const uint64_t *pfn;
	struct iovec iov[16];

	for (uint32_t i = 0; i < p->payload_len; i++)
		sum += p->payload[i];
	ck_assert_uint_le(p->payload_len, 4096);
	if (p->type == VMPKT_GPA_DIRECT)
		for (uint32_t n = 0; n < p->range_count; n++) {
			ck_assert(vmpkt_next_range(p, &cursor, &count, &offset, &pfn, &npfn));
			ck_assert_uint_lt(offset, 4096);
			vmbus_chan_iov(r.host.chan, p, n, count, iov, 16);
		}
	for (uint32_t i = 0; i < p->payload_len; i++)
		again += p->payload[i];
	ck_assert_uint_eq(sum, again);
}

START_TEST(r16_bytes_that_change_while_they_are_read)
{
	uint64_t until = clock_ns() + 300000000u, packets = 0, faults = 0;
	struct vmpkt p;
	pid_t pid = fork();
	int n;

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		flip_for_ever();
	while (clock_ns() < until || !packets || !faults) {
		n = vmbus_chan_recv(r.host.chan, &p);
		if (n > 0) {
			packets++;
			check_private(&p);
		}
		vmbus_chan_recv_done(r.host.chan);
		if (n >= 0)
			continue;
		faults++;
		ck_assert(vmbus_chan_faulted(r.host.chan));
		vmbus_chan_destroy(r.host.chan);
		hv_gpa_unmap_view(&r.host.in);
		hv_gpa_unmap_view(&r.host.out);
		rig_end_init(&r, &r.host, true, 0);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ck_assert_uint_eq(r.host.faults, faults);
}
END_TEST

/* ---- faults by the owner
 * ------------------------------------------------------------------------------ */

START_TEST(owner_may_fault_its_channel_once)
{
	vmbus_chan_fault(r.host.chan, "reads from the wrong end");
	vmbus_chan_fault(r.host.chan, "and something else");
	check_fault(&r.host, "reads from the wrong end");
}
END_TEST

START_TEST(faulted_channel_publishes_nothing_more)
{
	struct vmpkt p;

	vmbus_chan_send(r.host.chan, 0, 1, NULL, 0);
	vmbus_chan_fault(r.host.chan, "before the flush");
	vmbus_chan_flush(r.host.chan);
	ck_assert_int_eq(vmbus_chan_recv(r.guest.chan, &p), 0);
	ck_assert_uint_eq(r.host.signals, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vmbus/chan with a hostile peer");
	TCase *tc = tcase_create("hostile");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 20);
	tcase_add_loop_test(tc, bad_write_index_faults, 0, ARRAY_SIZE(bad_write));
	tcase_add_test(tc, r08_write_index_moving_backwards_faults);
	tcase_add_test(tc, r04_our_read_index_overwritten_changes_nothing);
	tcase_add_loop_test(tc, bad_read_index_faults_the_writer, 0, ARRAY_SIZE(bad_read));
	tcase_add_loop_test(tc, bad_descriptor_faults_the_host, 0, ARRAY_SIZE(bad_desc));
	tcase_add_loop_test(tc, bad_descriptor_faults_or_is_dropped_by_the_guest, 0,
			    ARRAY_SIZE(bad_desc));
	tcase_add_test(tc, p02_transfer_pages_without_their_header_fault_the_guest);
	tcase_add_test(tc, packet_longer_than_the_channel_accepts_faults);
	tcase_add_test(tc, r19_trailer_is_not_looked_at);
	tcase_add_loop_test(tc, bad_ranges_fault, 0, ARRAY_SIZE(bad_ranges));
	tcase_add_test(tc, p03_request_without_ranges_is_the_devices_business);
	tcase_add_loop_test(tc, p06_empty_range_has_no_bytes, 0, 2);
	tcase_add_test(tc, p10_page_outside_ram);
	tcase_add_test(tc, p11_same_page_again_and_a_page_of_the_ring);
	tcase_add_test(tc, p12_thousands_of_ranges);
	tcase_add_test(tc, wish_for_more_room_than_there_is_never_signals);
	tcase_add_test(tc, wish_that_flickers_costs_one_signal_per_batch);
	tcase_add_test(tc, mask_written_by_the_wrong_side_is_not_believed);
	tcase_add_test(tc, r16_bytes_that_change_while_they_are_read);
	tcase_add_test(tc, owner_may_fault_its_channel_once);
	tcase_add_test(tc, faulted_channel_publishes_nothing_more);
	suite_add_tcase(s, tc);
	return rig_main(s);
}
