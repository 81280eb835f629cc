/* SPDX-License-Identifier: MIT */
/*
 * What a guest receives: frames of other ports of a real switch, as they lie in its receive buffer.
 * Names carry the ids of the hostile cases (N).
 */
#include "base/net/toeplitz.h"
#include "tests/ut/vsp/net_data_rig.h"

static uint8_t frame[70000];
static struct mock_net_packet pkt;

static enum vsw_drop input(uint32_t len)
{
	return peer_input(&peer, frame, len, NULL);
}

static enum vsw_drop eth_in(uint32_t len, uint32_t seed)
{
	return input(make_eth(frame, GUEST_MAC, PEER_MAC, len, seed));
}

static uint64_t dropped(enum vsw_drop why)
{
	struct vsw_port_stats st;

	vsw_port_stats(netvsp_port(nic), &st);
	return st.drop_out[why];
}

static void is_frame(uint32_t i, const uint8_t *f, uint32_t len)
{
	uint32_t n;
	const uint8_t *got = mock_net_frame_at(&g, &pkt, i, &n);

	ck_assert_uint_eq(n, len);
	ck_assert_mem_eq(got, f, len);
}

static void next_packet(uint16_t sub)
{
	ck_assert(mock_net_recv_data(&g, sub, &pkt));
}

static void nothing_more(uint16_t sub)
{
	ck_assert(!mock_net_recv_data(&g, sub, &pkt));
}

static void header_is(uint32_t i, const char *vector)
{
	uint8_t want[108];
	uint32_t n = vector_bytes(vector, want, sizeof(want));

	ck_assert_mem_eq(mock_net_range(&g, &pkt, i), want, n);
}

/* Done with the packet: everything in it is free again. */
static void done(uint16_t sub, uint32_t status)
{
	uint32_t before = stats().rx_free;

	mock_net_complete(&g, sub, pkt.id, status);
	mock_net_run(&g);
	ck_assert_uint_eq(stats().rx_free, before + pkt.nr_ranges);
}

/* ---- frames --------------------------------------------------------------------------------- */

START_TEST(one_frame_of_any_length)
{
	static const uint32_t lens[] = { 14, 60, 255, 256, 257, 1000, 1513, 1514 };
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		ck_assert_int_eq(eth_in(lens[i], i), VSW_FORWARDED);
		vsw_flush(sw);
		next_packet(0);
		ck_assert_uint_eq(pkt.nr_ranges, 1);
		ck_assert_uint_eq(pkt.range[0].byte_count, 256 + lens[i]);
		is_frame(0, frame, lens[i]);
		done(0, NVSP_STATUS_SUCCESS);
	}
	ck_assert_uint_eq(stats().rx_frames, ARRAY_SIZE(lens));
	ck_assert_uint_eq(stats().rx_packets, ARRAY_SIZE(lens));
	ck_assert_int_eq(eth_in(1515, 0), VSW_DROP_MTU);
	ck_assert_uint_eq(dropped(VSW_DROP_MTU), 1);
}
END_TEST

START_TEST(o7_one_frame_and_its_header)
{
	uint8_t got[128], want[128];
	uint32_t n = vector_bytes(O7_DELIVERY, want, sizeof(want));

	eth_in(60, 0);
	vsw_flush(sw);
	next_packet(0);
	ck_assert_uint_eq(mock_net_bytes(&pkt, got, sizeof(got)), n);
	ck_assert_mem_eq(got, want, n);
	header_is(0, R82_RX_PLAIN);
}
END_TEST

START_TEST(e15_two_frames_and_e16_their_completion)
{
	uint8_t got[128], want[128];
	uint32_t n = vector_bytes(E15_RECEIVE, want, sizeof(want)), len = 256 + 60;

	eth_in(60, 0);
	eth_in(60, 1);
	vsw_flush(sw);
	next_packet(0);
	/* Ours say where the frames end, not where the sub-allocations do. */
	memcpy(want + 24, &len, 4);
	memcpy(want + 32, &len, 4);
	ck_assert_uint_eq(mock_net_bytes(&pkt, got, sizeof(got)), n);
	ck_assert_mem_eq(got, want, n);
	ck_assert_uint_eq(vector_bytes(E16_RECEIVE_COMPLETE, want, sizeof(want)), 24);
	ck_assert_int_eq(vmbus_chan_send_completion(g.chan[0], 0x10, want + 16, 8), 0);
	n = stats().rx_free;
	mock_net_run(&g);
	ck_assert_uint_eq(stats().rx_free, n + 2);
	ck_assert_uint_eq(stats().ignored, 0);
}
END_TEST

START_TEST(a_burst_is_one_packet_in_order)
{
	uint32_t i;

	for (i = 0; i < 100; i++)
		eth_in(60 + i, i);
	ck_assert(!mock_net_poll(&g, 0, &pkt)); /* nothing before the flush */
	vsw_flush(sw);
	next_packet(0);
	ck_assert_uint_eq(pkt.nr_ranges, 100);
	for (i = 0; i < 100; i++)
		is_frame(i, frame, make_eth(frame, GUEST_MAC, PEER_MAC, 60 + i, i));
	done(0, NVSP_STATUS_FAIL); /* as good as success */
	nothing_more(0);
}
END_TEST

/* @limit frames fill a packet, the rest is in the next one. */
static void split_at(uint32_t limit)
{
	uint32_t i;

	for (i = 0; i < limit + 10; i++)
		ck_assert_int_eq(eth_in(60, i), VSW_FORWARDED);
	vsw_flush(sw);
	next_packet(0);
	ck_assert_uint_eq(pkt.nr_ranges, limit);
	is_frame(limit - 1, frame, make_eth(frame, GUEST_MAC, PEER_MAC, 60, limit - 1));
	done(0, NVSP_STATUS_SUCCESS);
	next_packet(0);
	ck_assert_uint_eq(pkt.nr_ranges, 10);
	is_frame(0, frame, make_eth(frame, GUEST_MAC, PEER_MAC, 60, limit));
	done(0, NVSP_STATUS_SUCCESS);
}

START_TEST(no_more_ranges_than_guests_have_room_for)
{
	split_at(562);
	rig_down();
	rig_up(NULL);
	mock_net_open(&g, bus, 0);
	mock_net_negotiate(&g, NVSP_V5, 1500, 0x2c);
	mock_net_initialize(&g);
	mock_net_filter(&g, 0xd);
	split_at(375);
}
END_TEST

/* Not at once: it is in the guest's own cache. */
START_TEST(returned_sub_allocations_are_used_in_turn)
{
	uint32_t first, at, rounds = 0;

	eth_in(60, 0);
	vsw_flush(sw);
	next_packet(0);
	first = at = pkt.range[0].byte_offset;
	do {
		uint32_t before = at;

		done(0, NVSP_STATUS_SUCCESS);
		eth_in(60, 1);
		vsw_flush(sw);
		next_packet(0);
		at = pkt.range[0].byte_offset;
		ck_assert_uint_ne(at, before);
		ck_assert_uint_lt(++rounds, 10000);
	} while (at != first);
	ck_assert_uint_gt(rounds, 10);
}
END_TEST

START_TEST(from_one_guest_to_another_port_and_back)
{
	uint8_t one[60];

	make_eth(one, PEER_MAC, GUEST_MAC, 60, 3);
	ck_assert_uint_eq(mock_net_frame(&g, 0, one, 60), NVSP_STATUS_SUCCESS);
	ck_assert_uint_eq(peer.n, 1);
	nothing_more(0); /* nobody hears itself */
}
END_TEST

/* ---- filter
 * --------------------------------------------------------------------------------------
 */

static bool arrives(const char *dst)
{
	enum vsw_drop why;
	bool got;

	make_eth(frame, dst, PEER_MAC, 60, 0);
	why = input(60);
	vsw_flush(sw);
	got = mock_net_recv_data(&g, 0, &pkt);
	if (got)
		done(0, NVSP_STATUS_SUCCESS);
	else
		ck_assert_int_ne(why, VSW_FORWARDED - (int)(other.n > 0));
	peer_forget(&other);
	return got;
}

START_TEST(packet_filter)
{
	static const struct {
		uint32_t filter;
		bool own, broadcast, listed, multicast, foreign;
	} t[] = {
		{ 0x01, true, false, false, false, false },
		{ 0x02, false, false, true, false, false },
		{ 0x04, false, false, true, true, false },
		{ 0x08, false, true, false, false, false },
		{ 0x0d, true, true, true, true, false },
		{ 0x0b, true, true, true, false, false },
		{ 0x20, true, true, true, true, false }, /* a switch does not send it what is not
							    its */
		{ 0x00, false, false, false, false, false },
	};
	uint32_t i;

	ck_assert_uint_eq(mock_net_set(&g, OID_802_3_MULTICAST_LIST, "\x01\x00\x5e\x00\x00\x05", 6),
			  RNDIS_STATUS_SUCCESS);
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		ck_assert_uint_eq(mock_net_filter(&g, t[i].filter), RNDIS_STATUS_SUCCESS);
		ck_assert_int_eq(arrives(GUEST_MAC), t[i].own);
		ck_assert_int_eq(arrives("\xff\xff\xff\xff\xff\xff"), t[i].broadcast);
		ck_assert_int_eq(arrives("\x01\x00\x5e\x00\x00\x05"), t[i].listed);
		ck_assert_int_eq(arrives("\x01\x00\x5e\x00\x00\x06"), t[i].multicast);
		ck_assert_int_eq(arrives(OTHER_MAC), t[i].foreign);
	}
}
END_TEST

/* What the filter asks for is one thing, what the port's policy lets it have another. */
START_TEST(n46_promiscuous_needs_the_ports_permission)
{
	struct vsw_policy policy = *vsw_port_policy(netvsp_port(nic));
	const char nobody[] = "\x02\x00\x00\x00\x00\x77";
	char why[200] = "";

	ck_assert_uint_eq(mock_net_filter(&g, RNDIS_FILTER_PROMISCUOUS), RNDIS_STATUS_SUCCESS);
	ck_assert(!arrives(nobody));
	policy.mac_spoofing = true;
	ck_assert_int_eq(vsw_port_set_policy(netvsp_port(nic), &policy, why, sizeof(why)), 0);
	ck_assert(arrives(nobody));
	ck_assert_uint_eq(mock_net_filter(&g, 0x0d), RNDIS_STATUS_SUCCESS);
	ck_assert(!arrives(nobody));
}
END_TEST

START_TEST(not_ready_before_rndis_and_after_halt)
{
	struct rndis_request halt = { RNDIS_HALT, sizeof(halt), 99 };
	uint8_t answer[RNDIS_CONTROL_MAX];
	uint32_t len;

	mock_net_control(&g, &halt, sizeof(halt), answer, &len);
	ck_assert_int_eq(eth_in(60, 0), VSW_DROP_NOT_READY);
	vsw_flush(sw);
	nothing_more(0);
}
END_TEST

/* ---- elements -----------------------------------------------------------------------------------
 */

static uint32_t info(uint32_t i, uint32_t type)
{
	uint32_t value;

	return mock_net_info_at(&g, &pkt, i, type, &value) ? value : UINT32_MAX;
}

static void csum_in(uint8_t protocol, uint8_t csum)
{
	struct net_meta m = { .csum = csum,
			      .csum_start = 34,
			      .csum_offset = protocol == 6 ? 16 : 6 };
	uint32_t len =
		make_ip4(frame, GUEST_MAC, PEER_MAC, protocol, 101, csum == NET_CSUM_PARTIAL);

	ck_assert_int_eq(peer_input(&peer, frame, len, &m), VSW_FORWARDED);
	vsw_flush(sw);
	next_packet(0);
}

START_TEST(checksums_of_a_stock_guest)
{
	uint32_t len;
	const uint8_t *f;

	csum_in(6, NET_CSUM_UNKNOWN);
	ck_assert_uint_eq(info(0, RNDIS_INFO_CSUM), UINT32_MAX);
	csum_in(6, NET_CSUM_GOOD);
	ck_assert_uint_eq(info(0, RNDIS_INFO_CSUM), 0x28);
	csum_in(17, NET_CSUM_GOOD);
	ck_assert_uint_eq(info(0, RNDIS_INFO_CSUM), 0x30);
	csum_in(6, NET_CSUM_PARTIAL);
	ck_assert_uint_eq(info(0, RNDIS_INFO_CSUM), 0x28);
	f = mock_net_frame_at(&g, &pkt, 0, &len);
	ck_assert(l4_is_right(f, len));
	csum_in(17, NET_CSUM_PARTIAL);
	ck_assert_uint_eq(info(0, RNDIS_INFO_CSUM), 0x30);
	f = mock_net_frame_at(&g, &pkt, 0, &len);
	ck_assert(l4_is_right(f, len));
}
END_TEST

static void start_with_pages(uint64_t caps, uint32_t rx_pages)
{
	struct netvsp_config cfg = rig_trunk();

	rig_up(&cfg);
	mock_net_open(&g, bus, 0);
	ck_assert(mock_net_init(&g, NVSP_V6_1));
	mock_net_config(&g, 1500, caps);
	ck_assert_uint_eq(mock_net_rx_buffer(&g, rx_pages), NVSP_STATUS_SUCCESS);
	ck_assert_uint_eq(mock_net_tx_buffer(&g, MOCK_NET_TX_PAGES), NVSP_STATUS_SUCCESS);
	mock_net_initialize(&g);
	mock_net_filter(&g, 0xd);
}

static void start_with(uint64_t caps)
{
	start_with_pages(caps, MOCK_NET_RX_PAGES);
}

START_TEST(checksums_of_a_guest_that_takes_partial_ones)
{
	start_with(MOCK_NET_CAPS | NVSP_CAP_PARTIAL_CSUM);
	csum_in(6, NET_CSUM_PARTIAL);
	ck_assert_uint_eq(info(0, RNDIS_INFO_CSUM), 0xa8);
	is_frame(0, frame, 14 + 20 + 20 + 101);
	csum_in(17, NET_CSUM_PARTIAL);
	ck_assert_uint_eq(info(0, RNDIS_INFO_CSUM), 0xb0);
	is_frame(0, frame, 14 + 20 + 8 + 101);
	csum_in(6, NET_CSUM_GOOD);
	ck_assert_uint_eq(info(0, RNDIS_INFO_CSUM), 0x28);
	rig_down();
}
END_TEST

START_TEST(r15_header_of_a_good_frame)
{
	uint32_t len = make_ip4(frame, GUEST_MAC, PEER_MAC, 6, 6, false);
	struct net_meta m = { .csum = NET_CSUM_GOOD };
	uint8_t want[64];

	ck_assert_uint_eq(len, 60);
	peer_input(&peer, frame, len, &m);
	vsw_flush(sw);
	next_packet(0);
	ck_assert_uint_eq(vector_bytes(R15_RECEIVE, want, sizeof(want)), 60);
	len = 256 + 60; /* where the frame ends */
	memcpy(want + 4, &len, 4);
	ck_assert_mem_eq(mock_net_range(&g, &pkt, 0), want, 60);
}
END_TEST

START_TEST(tags_beside_the_frame)
{
	struct net_meta m = { .tagged = true, .vlan_tci = 3u << 13 | 100 };

	make_eth(frame, GUEST_MAC, PEER_MAC, 60, 0);
	peer_input(&peer, frame, 60, &m);
	vsw_flush(sw);
	next_packet(0);
	ck_assert_uint_eq(info(0, RNDIS_INFO_8021Q) >> 4, 100);
	is_frame(0, frame, 60);
}
END_TEST

START_TEST(tags_in_the_frame_of_a_guest_that_wants_them_there)
{
	struct net_meta m = { .tagged = true, .vlan_tci = 100 };
	const uint8_t *f;
	uint32_t len;

	start_with(MOCK_NET_CAPS & ~NVSP_CAP_8021Q);
	make_eth(frame, GUEST_MAC, PEER_MAC, 1514, 0); /* a full one */
	ck_assert_int_eq(peer_input(&peer, frame, 1514, &m), VSW_FORWARDED);
	vsw_flush(sw);
	next_packet(0);
	f = mock_net_frame_at(&g, &pkt, 0, &len);
	ck_assert_uint_eq(len, 1518);
	ck_assert_uint_eq(be16_at(f + 12), NET_ETHERTYPE_VLAN);
	ck_assert_uint_eq(be16_at(f + 14) & 0xfff, 100);
	ck_assert_mem_eq(f + 16, frame + 12, 1502);
	rig_down();
}
END_TEST

/* ---- large frames
 * -------------------------------------------------------------------------------- */

static void enable_rsc(void)
{
	uint8_t set[64];

	ck_assert_uint_eq(vector_bytes(R7_OFFLOAD, set, sizeof(set)), 56);
	ck_assert_uint_eq(mock_net_set(&g, OID_TCP_OFFLOAD_PARAMETERS, set + 28, 28),
			  RNDIS_STATUS_SUCCESS);
}

static enum vsw_drop large_in(uint32_t payload)
{
	struct net_meta m = { .csum = NET_CSUM_PARTIAL,
			      .csum_start = 34,
			      .csum_offset = 16,
			      .gso = NET_GSO_TCP4,
			      .gso_size = 1460,
			      .header_len = 54 };
	enum vsw_drop why;

	make_ip4(frame, GUEST_MAC, PEER_MAC, 6, payload, true);
	why = peer_input(&peer, frame, 54 + payload, &m);
	vsw_flush(sw);
	return why;
}

/* The fragments put together: the length. */
static uint32_t gather(uint8_t *out)
{
	uint32_t i, at = 0, len, first = info(0, (uint32_t)RNDIS_INFO_FRAGMENT), v;

	ck_assert_uint_eq(first & 0xffff, 0x0301);
	for (i = 0; i < pkt.nr_ranges; i++) {
		const uint8_t *f = mock_net_frame_at(&g, &pkt, i, &len);

		v = info(i, (uint32_t)RNDIS_INFO_FRAGMENT);
		ck_assert_uint_eq(v >> 16, first >> 16);
		if (i)
			ck_assert_uint_eq(v & 0xffff, i + 1 == pkt.nr_ranges ? 0x0501 : 0x0101);
		memcpy(out + at, f, len);
		at += len;
	}
	return at;
}

START_TEST(large_frame_as_fragments_with_a_whole_checksum)
{
	static const uint32_t payloads[] = { 1461, 2920, 20001, 62780 - 54, 65495 };
	uint8_t *out = malloc(70000), want[108];
	uint32_t i, len, n;

	enable_rsc();
	for (i = 0; i < ARRAY_SIZE(payloads); i++) {
		ck_assert_int_eq(large_in(payloads[i]), VSW_FORWARDED);
		next_packet(0);
		ck_assert_uint_eq(pkt.nr_ranges, (54 + payloads[i] + 1513) / 1514);
		len = gather(out);
		ck_assert_uint_eq(len, 54 + payloads[i]);
		ck_assert(l4_is_right(out, len));
		memcpy(frame + 50, out + 50, 2);
		ck_assert_mem_eq(out, frame, len);
		ck_assert_uint_eq(info(0, RNDIS_INFO_CSUM), 0x08); /* of IP it wants none */
		ck_assert_uint_eq(info(1, RNDIS_INFO_CSUM), UINT32_MAX);
		if (i == 2) { /* the golden headers, but for the checksum: ours of IP is right */
			n = vector_bytes(R82_RX_FIRST, want, sizeof(want));
			want[58] = (uint8_t)(i + 1);
			want[n - 4] = 0x08;
			want[n - 3] = 0;
			ck_assert_mem_eq(mock_net_range(&g, &pkt, 0), want, n);
			n = vector_bytes(R82_RX_MIDDLE, want, sizeof(want));
			want[n - 2] = (uint8_t)(i + 1);
			ck_assert_mem_eq(mock_net_range(&g, &pkt, 1), want, n);
		}
		done(0, NVSP_STATUS_SUCCESS);
	}
	free(out);
}
END_TEST

START_TEST(large_frame_with_a_partial_checksum)
{
	uint8_t *out = malloc(70000);

	start_with(MOCK_NET_CAPS | NVSP_CAP_PARTIAL_CSUM);
	enable_rsc();
	ck_assert_int_eq(large_in(30000), VSW_FORWARDED);
	next_packet(0);
	ck_assert_uint_eq(gather(out), 30054);
	ck_assert_mem_eq(out, frame, 30054);
	ck_assert_uint_eq(info(0, RNDIS_INFO_CSUM), 0x88);
	free(out);
	rig_down();
}
END_TEST

/* Ours, with a buffer that has plenty of long pieces: a frame of little more than the MTU is whole.
 */
START_TEST(longer_fragments_for_a_guest_of_our_own)
{
	static const uint32_t payloads[] = { 1460, 1461, 3868 - 54, 3868 - 53, 65495 };
	uint8_t *out = malloc(70000);
	uint32_t i, len, k;

	start_with_pages(MOCK_NET_CAPS | NVSP_CAP_PARTIAL_CSUM, 2048 * 4160 / 4096);
	ck_assert_uint_eq(g.rx_size, 4160);
	ck_assert_uint_eq(g.rx_count, 2048);
	enable_rsc();
	for (i = 0; i < ARRAY_SIZE(payloads); i++) {
		k = (54 + payloads[i] + 3867) / 3868;
		ck_assert_int_eq(large_in(payloads[i]), VSW_FORWARDED);
		next_packet(0);
		ck_assert_uint_eq(pkt.nr_ranges, k);
		if (k > 1) {
			len = gather(out);
		} else {
			ck_assert_uint_eq(info(0, (uint32_t)RNDIS_INFO_FRAGMENT), UINT32_MAX);
			memcpy(out, mock_net_frame_at(&g, &pkt, 0, &len), 54 + payloads[i]);
		}
		ck_assert_uint_eq(len, 54 + payloads[i]);
		ck_assert_mem_eq(out, frame, len);
		done(0, NVSP_STATUS_SUCCESS);
	}
	free(out);
	rig_down();
}
END_TEST

/* What is longer than the MTU and no large frame does not come in, however much room there is. */
START_TEST(long_fragments_are_for_large_frames)
{
	struct net_meta plain = { 0 };

	start_with_pages(MOCK_NET_CAPS | NVSP_CAP_PARTIAL_CSUM, 2048 * 4160 / 4096);
	enable_rsc();
	make_ip4(frame, GUEST_MAC, PEER_MAC, 6, 1461, false);
	ck_assert_int_eq(peer_input(&peer, frame, 54 + 1461, &plain), VSW_DROP_MTU);
	make_ip4(frame, GUEST_MAC, PEER_MAC, 6, 1460, false);
	ck_assert_int_eq(peer_input(&peer, frame, 54 + 1460, &plain), VSW_FORWARDED);
	rig_down();
}
END_TEST

/* Neither another's guest, nor one without coalescing, nor one whose buffer has too few. */
START_TEST(short_fragments_for_all_others)
{
	static const struct {
		uint64_t caps;
		uint32_t pages;
	} t[] = { { MOCK_NET_CAPS, 2080 },
		  { (MOCK_NET_CAPS & ~NVSP_CAP_RSC) | NVSP_CAP_PARTIAL_CSUM, 2080 },
		  { MOCK_NET_CAPS | NVSP_CAP_PARTIAL_CSUM, 2079 } };

	start_with_pages(t[_i].caps, t[_i].pages);
	ck_assert_uint_eq(g.rx_size, 1806);
	rig_down();
}
END_TEST

START_TEST(large_frame_in_segments_without_rsc)
{
	uint32_t i, len;

	ck_assert_int_eq(large_in(14600), VSW_FORWARDED);
	next_packet(0);
	ck_assert_uint_eq(pkt.nr_ranges, 10);
	for (i = 0; i < 10; i++) {
		const uint8_t *f = mock_net_frame_at(&g, &pkt, i, &len);

		ck_assert_uint_eq(len, 1514);
		ck_assert(l4_is_right(f, len));
		ck_assert_uint_eq(info(i, (uint32_t)RNDIS_INFO_FRAGMENT), UINT32_MAX);
		ck_assert_uint_eq(info(i, RNDIS_INFO_CSUM), 0x28);
	}
}
END_TEST

START_TEST(fragments_of_a_frame_stay_in_one_packet)
{
	uint32_t i, frames = 0;
	uint8_t *out = malloc(70000);

	enable_rsc();
	for (i = 0; i < 520; i++)
		ck_assert_int_eq(eth_in(60, i), VSW_FORWARDED);
	ck_assert_int_eq(large_in(65495), VSW_FORWARDED); /* 44 fragments: 564 are too many */
	next_packet(0);
	ck_assert_uint_eq(pkt.nr_ranges, 520);
	frames += pkt.nr_ranges;
	next_packet(0);
	ck_assert_uint_eq(pkt.nr_ranges, 44);
	ck_assert_uint_eq(gather(out), 65549);
	free(out);
}
END_TEST

/* ---- channels
 * ------------------------------------------------------------------------------------- */

START_TEST(one_packet_for_each_channel_with_its_hash)
{
	uint8_t set[640] = { 0 }, key[40];
	struct ndis_rss_parameters p = {
		.header = { NDIS_OBJECT_RSS_PARAMETERS, 2, sizeof(p) },
		.hash_info = 0x1701,
		.table_size = 128 * 4,
		.table_offset = sizeof(p),
		.key_size = 40,
		.key_offset = sizeof(p) + 512,
	};
	uint32_t i, n, total = 0, hash, from[4] = { 0 };
	struct net_toeplitz t;

	ck_assert_uint_eq(mock_net_subchannels(&g, 3), 3);
	vector_bytes(R10_RSS_END, set, 48);
	memcpy(key, set + 8, 40);
	memset(set, 0, sizeof(set));
	memcpy(set, &p, sizeof(p));
	for (i = 0; i < 128; i++)
		set[sizeof(p) + 4 * i] = i % 4;
	memcpy(set + p.key_offset, key, 40);
	ck_assert_uint_eq(
		mock_net_set(&g, OID_GEN_RECEIVE_SCALE_PARAMETERS, set, p.key_offset + 40),
		RNDIS_STATUS_SUCCESS);
	net_toeplitz_init(&t, key);
	for (i = 0; i < 64; i++) {
		n = make_ip4(frame, GUEST_MAC, PEER_MAC, 6, 10, false);
		be16_put(frame + 34, (uint16_t)(1000 + i));
		ck_assert_int_eq(peer_input(&peer, frame, n, NULL), VSW_FORWARDED);
	}
	vsw_flush(sw);
	for (i = 0; i < 4; i++) {
		if (!mock_net_recv_data(&g, (uint16_t)i, &pkt))
			continue;
		from[i] = pkt.nr_ranges;
		total += pkt.nr_ranges;
		for (n = 0; n < pkt.nr_ranges; n++) {
			uint32_t len;
			const uint8_t *f = mock_net_frame_at(&g, &pkt, n, &len);

			hash = net_toeplitz(&t, f + 26, 12);
			ck_assert_uint_eq(info(n, RNDIS_INFO_HASH), hash);
			ck_assert_uint_eq((hash & 127) % 4, i);
		}
		done((uint16_t)i, NVSP_STATUS_SUCCESS);
		nothing_more((uint16_t)i);
	}
	ck_assert_uint_eq(total, 64);
	for (i = 0; i < 4; i++)
		ck_assert_uint_gt(from[i], 0);
	ck_assert_uint_eq(stats().rx_packets, 4);
}
END_TEST

/* ---- hostile
 * --------------------------------------------------------------------------------------
 */

START_TEST(n35_nothing_ever_comes_back)
{
	uint32_t usable = stats().rx_free, i, taken = 0, share = 0;
	enum vsw_drop why;

	for (i = 0; i < 2 * usable; i++) {
		why = eth_in(60, i);
		vsw_flush(sw);
		taken += why == VSW_FORWARDED;
		share += why == VSW_DROP_SHARE;
		while (mock_net_poll(&g, 0, &pkt))
			; /* read, and never completed */
	}
	ck_assert_uint_ge(taken, usable / 2);
	ck_assert_uint_le(taken, usable / 2 + 1);
	ck_assert_uint_eq(share, 2 * usable - taken);
	/* Others still get something, then nobody does. */
	for (i = 0; i < 2 * usable; i++) {
		make_eth(frame, GUEST_MAC, OTHER_MAC, 60, i);
		why = peer_input(&other, frame, 60, NULL);
		vsw_flush(sw);
		while (mock_net_poll(&g, 0, &pkt))
			;
	}
	ck_assert_uint_ge(dropped(VSW_DROP_SHARE), share);
	/* Control messages have their own. */
	ck_assert_uint_eq(mock_net_query_u32(&g, OID_GEN_MAXIMUM_FRAME_SIZE), 1500);
	ck_assert_uint_eq(mock_net_frame(&g, 0, frame, make_eth(frame, PEER_MAC, GUEST_MAC, 60, 0)),
			  NVSP_STATUS_SUCCESS);
}
END_TEST

START_TEST(n35_no_buffer_for_a_frame_of_many)
{
	rig_up(NULL);
	mock_net_open(&g, bus, 0);
	ck_assert(mock_net_init(&g, NVSP_V6_1));
	mock_net_config(&g, 1500, MOCK_NET_CAPS);
	ck_assert_uint_eq(mock_net_rx_buffer(&g, 10), NVSP_STATUS_SUCCESS); /* 22 of them */
	mock_net_initialize(&g);
	mock_net_filter(&g, 0xd);
	enable_rsc();
	ck_assert_int_eq(large_in(20000), VSW_DROP_NO_BUFFER);
	ck_assert_uint_eq(stats().rx_free, 22 - NVSP_RX_CONTROL);
	ck_assert_int_eq(eth_in(60, 0), VSW_FORWARDED);
	rig_down();
}
END_TEST

START_TEST(n36_completions_that_make_no_sense)
{
	uint32_t before;

	ck_assert_uint_eq(mock_net_subchannels(&g, 1), 1);
	eth_in(60, 0);
	eth_in(60, 1);
	vsw_flush(sw);
	next_packet(0);
	before = stats().rx_free;
	mock_net_complete(&g, 0, 0x100000000ull | pkt.id, 1);
	mock_net_complete(&g, 0, UINT64_MAX, 1);
	mock_net_complete(&g, 0, pkt.id + 1, 1); /* in the middle of the transaction */
	mock_net_complete(&g, 0, pkt.id + 2, 1); /* not out */
	mock_net_complete(&g, 0, 3, 1);		 /* a control one that is free */
	mock_net_complete(&g, 1, pkt.id, 1);	 /* another channel */
	mock_net_complete(&g, 1, 0, 1);
	vmbus_chan_flush(g.chan[1]);
	mock_net_run(&g);
	ck_assert_uint_eq(stats().rx_free, before);
	ck_assert_uint_eq(stats().ignored, 7);
	done(0, NVSP_STATUS_SUCCESS);
	mock_net_complete(&g, 0, pkt.id, 1); /* twice */
	mock_net_run(&g);
	ck_assert_uint_eq(stats().rx_free, before + 2);
	ck_assert_uint_eq(stats().ignored, 8);
	eth_in(60, 2);
	vsw_flush(sw);
	next_packet(0);
}
END_TEST

START_TEST(n37_guest_writes_into_what_it_was_given)
{
	uint8_t *rx = fake_bus_ptr(bus, g.rx_gpa);
	uint32_t i;

	for (i = 0; i < 200; i++) {
		memset(rx, (int)(i * 31), g.rx_pages * 4096);
		ck_assert_int_eq(eth_in(60 + i, i), VSW_FORWARDED);
		memset(rx, 0xff, g.rx_size * NVSP_RX_CONTROL);
		vsw_flush(sw);
		next_packet(0);
		is_frame(0, frame, 60 + i);
		done(0, NVSP_STATUS_SUCCESS);
	}
	ck_assert_uint_eq(stats().ignored, 0);
}
END_TEST

START_TEST(nothing_outside_of_what_was_taken_is_written)
{
	uint8_t *rx = fake_bus_ptr(bus, g.rx_gpa);
	uint32_t total = g.rx_pages * 4096, i, at, len;

	memset(rx, 0x77, total);
	for (i = 0; i < 20; i++)
		eth_in(60 + 77 * i > 1514 ? 1514 : 60 + 77 * i, i);
	enable_rsc();
	large_in(6001);
	for (at = 0, len = 0; mock_net_recv_data(&g, 0, &pkt);) {
		for (i = 0; i < pkt.nr_ranges; i++) {
			memset(rx + pkt.range[i].byte_offset, 0x77, 108);
			memset(rx + pkt.range[i].byte_offset + 256, 0x77,
			       pkt.range[i].byte_count - 256);
			len++;
		}
	}
	ck_assert_uint_eq(len, 20 + 4);
	for (at = g.rx_size * NVSP_RX_CONTROL; at < total; at++)
		if (rx[at] != 0x77)
			ck_abort_msg("byte %u was written", at);
}
END_TEST

static void revoke(void)
{
	struct nvsp_message m = { .type = NVSP_REVOKE_RECEIVE_BUFFER };

	m.revoke_buffer.id = NVSP_RX_BUFFER_ID;
	mock_net_send(&g, 0, false, &m);
	mock_net_run(&g);
}

START_TEST(n07_a_revoked_buffer_is_never_written)
{
	uint8_t *rx = fake_bus_ptr(bus, g.rx_gpa);
	uint32_t i, total = g.rx_pages * 4096;

	eth_in(60, 0);
	vsw_flush(sw);
	eth_in(60, 1); /* in a batch that is not out yet */
	revoke();
	memset(rx, 0x77, total);
	vsw_flush(sw);
	ck_assert_int_eq(eth_in(60, 2), VSW_DROP_NOT_READY);
	vsw_flush(sw);
	mock_net_complete(&g, 0, NVSP_RX_CONTROL, 1);
	mock_net_run(&g);
	for (i = 0; i < total; i++)
		if (rx[i] != 0x77)
			ck_abort_msg("byte %u was written", i);
}
END_TEST

START_TEST(a_full_ring_keeps_the_batch_then_drops)
{
	uint32_t taken = 0, full = 0, got = 0, i, seed = 0;

	rig_up(NULL);
	mock_net_open(&g, bus, 0);
	ck_assert(mock_net_init(&g, NVSP_V6_1));
	mock_net_config(&g, 1500, MOCK_NET_CAPS);
	ck_assert_uint_eq(mock_net_rx_buffer(&g, 3000), NVSP_STATUS_SUCCESS);
	mock_net_initialize(&g);
	mock_net_filter(&g, 0xd);
	for (i = 0; i < 3200; i++) { /* one packet each, none is read */
		enum vsw_drop why = eth_in(60, taken & 0xff);

		vsw_flush(sw);
		taken += why == VSW_FORWARDED;
		full += why == VSW_DROP_RING_FULL;
	}
	ck_assert_uint_gt(full, 0);
	ck_assert_uint_eq(taken + full, 3200);
	ck_assert_uint_eq(dropped(VSW_DROP_RING_FULL), full);
	while (mock_net_recv_data(&g, 0, &pkt)) {
		for (i = 0; i < pkt.nr_ranges; i++, got++)
			is_frame(i, frame, make_eth(frame, GUEST_MAC, PEER_MAC, 60, seed++ & 0xff));
		mock_net_complete(&g, 0, pkt.id, NVSP_STATUS_SUCCESS);
	}
	mock_net_run(&g);
	ck_assert_uint_eq(got, taken);
	ck_assert_uint_eq(stats().rx_free, stats().rx_sections - NVSP_RX_CONTROL);
	rig_down();
}
END_TEST

START_TEST(a_closed_sub_channel_gives_back_what_is_out)
{
	uint32_t before = stats().rx_free;

	ck_assert_uint_eq(mock_net_subchannels(&g, 1), 1);
	/* Everything goes to channel 1. */
	{
		uint8_t set[640] = { 0 };
		struct ndis_rss_parameters p = {
			.header = { NDIS_OBJECT_RSS_PARAMETERS, 2, sizeof(p) },
			.hash_info = 0x1701,
			.table_size = 4,
			.table_offset = sizeof(p),
			.key_size = 40,
			.key_offset = sizeof(p) + 4,
		};

		memcpy(set, &p, sizeof(p));
		set[sizeof(p)] = 1;
		memset(set + p.key_offset, 0x6d, 40);
		ck_assert_uint_eq(
			mock_net_set(&g, OID_GEN_RECEIVE_SCALE_PARAMETERS, set, p.key_offset + 40),
			RNDIS_STATUS_SUCCESS);
	}
	ck_assert_int_eq(input(make_ip4(frame, GUEST_MAC, PEER_MAC, 6, 10, false)), VSW_FORWARDED);
	vsw_flush(sw);
	next_packet(1);
	ck_assert_uint_eq(stats().rx_free, before - 1);
	input(make_ip4(frame, GUEST_MAC, PEER_MAC, 6, 10, false)); /* not flushed */
	fake_bus_close(bus, 0, 1);
	g.chan[1] = NULL;
	fake_bus_settle(bus, 10);
	ck_assert_uint_eq(stats().rx_free, before);
	vsw_flush(sw);
	ck_assert_int_eq(input(make_ip4(frame, GUEST_MAC, PEER_MAC, 6, 10, false)), VSW_FORWARDED);
	vsw_flush(sw);
	next_packet(0);
}
END_TEST

START_TEST(n39_a_broadcast_flood_is_bounded)
{
	struct netvsp_config cfg = rig_trunk();
	uint32_t n, i;
	uint8_t *msg = malloc(8192);

	cfg.policy.storm = 100;
	rig_up(&cfg);
	mock_net_start(&g, bus);
	make_eth(frame, "\xff\xff\xff\xff\xff\xff", GUEST_MAC, 60, 0);
	for (i = 0, n = 0; i < 50; i++)
		n += mock_net_packet(msg + n, frame, 60, NULL, 0, true);
	for (i = 0; i < 20; i++) {
		ck_assert_uint_eq(completion_of(0, mock_net_send_section(&g, 0, 0, msg, n)),
				  NVSP_STATUS_SUCCESS);
	}
	ck_assert_uint_eq(stats().tx_frames, 1000);
	ck_assert_uint_le(peer.n, 100);
	ck_assert_uint_ge(peer.n, 90);
	free(msg);
	rig_down();
}
END_TEST

static void frames(Suite *s)
{
	TCase *t = tcase_create("frames");

	tcase_add_checked_fixture(t, setup, rig_down);
	tcase_add_test(t, one_frame_of_any_length);
	tcase_add_test(t, o7_one_frame_and_its_header);
	tcase_add_test(t, e15_two_frames_and_e16_their_completion);
	tcase_add_test(t, a_burst_is_one_packet_in_order);
	tcase_add_test(t, no_more_ranges_than_guests_have_room_for);
	tcase_add_test(t, returned_sub_allocations_are_used_in_turn);
	tcase_add_test(t, from_one_guest_to_another_port_and_back);
	tcase_add_test(t, packet_filter);
	tcase_add_test(t, n46_promiscuous_needs_the_ports_permission);
	tcase_add_test(t, not_ready_before_rndis_and_after_halt);
	tcase_add_test(t, checksums_of_a_stock_guest);
	tcase_add_test(t, r15_header_of_a_good_frame);
	tcase_add_test(t, tags_beside_the_frame);
	tcase_add_test(t, large_frame_as_fragments_with_a_whole_checksum);
	tcase_add_test(t, large_frame_in_segments_without_rsc);
	tcase_add_test(t, fragments_of_a_frame_stay_in_one_packet);
	tcase_add_test(t, one_packet_for_each_channel_with_its_hash);
	tcase_add_test(t, a_closed_sub_channel_gives_back_what_is_out);
	suite_add_tcase(s, t);
}

static void hostile(Suite *s)
{
	TCase *t = tcase_create("hostile");

	tcase_add_checked_fixture(t, setup, rig_down);
	tcase_add_test(t, n07_a_revoked_buffer_is_never_written);
	tcase_add_test(t, n35_nothing_ever_comes_back);
	tcase_add_test(t, n36_completions_that_make_no_sense);
	tcase_add_test(t, n37_guest_writes_into_what_it_was_given);
	tcase_add_test(t, nothing_outside_of_what_was_taken_is_written);
	suite_add_tcase(s, t);

	t = tcase_create("other guests");
	tcase_add_test(t, n35_no_buffer_for_a_frame_of_many);
	tcase_add_test(t, n39_a_broadcast_flood_is_bounded);
	tcase_add_test(t, checksums_of_a_guest_that_takes_partial_ones);
	tcase_add_test(t, tags_in_the_frame_of_a_guest_that_wants_them_there);
	tcase_add_test(t, large_frame_with_a_partial_checksum);
	tcase_add_test(t, longer_fragments_for_a_guest_of_our_own);
	tcase_add_test(t, long_fragments_are_for_large_frames);
	tcase_add_loop_test(t, short_fragments_for_all_others, 0, 3);
	tcase_add_test(t, a_full_ring_keeps_the_batch_then_drops);
	suite_add_tcase(s, t);
}

int main(void)
{
	Suite *s = suite_create("netvsp_rx");
	SRunner *run;
	int failed;

	frames(s);
	hostile(s);
	run = srunner_create(s);
	srunner_run_all(run, CK_ENV);
	failed = srunner_ntests_failed(run);
	srunner_free(run);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
