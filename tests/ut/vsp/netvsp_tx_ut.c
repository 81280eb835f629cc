/* SPDX-License-Identifier: MIT */
/*
 * What a guest sends, in every form a request can have, on its way to a recording port of a real
 * switch. Names carry the ids of the hostile cases (N).
 */
#include <time.h>

#include "tests/ut/vsp/net_data_rig.h"

static uint8_t frame[70000], msg[80000];

static uint32_t message(const void *data, uint32_t len, uint32_t type, uint32_t value)
{
	uint8_t ppi[16];

	return mock_net_packet(msg, data, len, ppi, put_info(ppi, type, value), false);
}

/* Sends @msg through a section: the request's status. */
static uint32_t send_msg(uint32_t len)
{
	return completion_of(0, mock_net_send_section(&g, 0, 3, msg, len));
}

static void sent_as_it_is(uint32_t i, const uint8_t *f, uint32_t len)
{
	ck_assert_uint_gt(peer.n, i);
	ck_assert_uint_eq(peer.frame[i].len, len);
	ck_assert_mem_eq(peer.frame[i].bytes, f, len);
}

/* A refusal costs one request and no more. */
static void refused(uint32_t len, uint32_t status)
{
	uint64_t before = stats().tx_rejected;

	ck_assert_uint_eq(send_msg(len), status);
	ck_assert_uint_eq(peer.n + other.n, 0);
	ck_assert_uint_eq(stats().tx_rejected, before + 1);
	len = mock_net_packet(msg, frame, make_eth(frame, PEER_MAC, GUEST_MAC, 60, 0), NULL, 0, 0);
	ck_assert_uint_eq(send_msg(len), NVSP_STATUS_SUCCESS);
	ck_assert_uint_eq(peer.n, 1);
	peer_forget(&peer);
}

/* ---- forms -------------------------------------------------------------------------------- */

START_TEST(buffered)
{
	static const uint32_t lens[] = { 14, 60, 127, 128, 129, 256, 257, 1514 };
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(lens); i++) {
		make_eth(frame, PEER_MAC, GUEST_MAC, lens[i], i);
		ck_assert_uint_eq(mock_net_frame(&g, 0, frame, lens[i]), NVSP_STATUS_SUCCESS);
		sent_as_it_is(i, frame, lens[i]);
	}
	ck_assert_uint_eq(stats().tx_frames, ARRAY_SIZE(lens));
	ck_assert_uint_eq(stats().tx_requests, ARRAY_SIZE(lens));
	ck_assert_uint_ge(peer.flushes, 1);
}
END_TEST

START_TEST(direct_in_any_number_of_pieces)
{
	uint32_t n, len = make_eth(frame, PEER_MAC, GUEST_MAC, 1514, 3), pieces;

	for (pieces = 1; pieces <= 32; pieces++) {
		n = mock_net_packet(msg, frame, len, NULL, 0, false);
		ck_assert_uint_eq(completion_of(0, mock_net_send_direct(&g, 0, msg, n, pieces,
									NVSP_NO_SECTION, 0)),
				  NVSP_STATUS_SUCCESS);
		sent_as_it_is(pieces - 1, frame, len);
	}
}
END_TEST

START_TEST(mixed)
{
	uint32_t len = make_eth(frame, PEER_MAC, GUEST_MAC, 1400, 9), n, cut;

	n = mock_net_packet(msg, frame, len, NULL, 0, false);
	for (cut = 1; cut < n; cut += 97) { /* header, information and data in two places */
		memcpy(fake_bus_ptr(bus, g.tx_gpa + 5 * g.tx_size), msg, cut);
		ck_assert_uint_eq(completion_of(0, mock_net_send_direct(&g, 0, msg + cut, n - cut,
									2, 5, cut)),
				  NVSP_STATUS_SUCCESS);
		sent_as_it_is(peer.n - 1, frame, len);
	}
	ck_assert_uint_eq(peer.n, (n + 95) / 97);
}
END_TEST

START_TEST(n11_empty)
{
	struct nvsp_message m = { .type = NVSP_SEND_RNDIS_PACKET };

	m.rndis.section = NVSP_NO_SECTION;
	ck_assert_uint_eq(completion_of(0, mock_net_send(&g, 0, true, &m)),
			  NVSP_STATUS_INVALID_RNDIS_PACKET);
	m.rndis.section = 0; /* nothing used of it */
	ck_assert_uint_eq(completion_of(0, mock_net_send(&g, 0, true, &m)),
			  NVSP_STATUS_INVALID_RNDIS_PACKET);
	ck_assert_uint_eq(stats().tx_rejected, 2);
}
END_TEST

START_TEST(no_completion_when_none_is_asked_for)
{
	struct nvsp_message m = { .type = NVSP_SEND_RNDIS_PACKET };
	struct mock_net_packet p;

	m.rndis.section_size = mock_net_packet(
		msg, frame, make_eth(frame, PEER_MAC, GUEST_MAC, 60, 1), NULL, 0, false);
	memcpy(fake_bus_ptr(bus, g.tx_gpa), msg, m.rndis.section_size);
	mock_net_send(&g, 0, false, &m);
	mock_net_run(&g);
	ck_assert(!mock_net_poll(&g, 0, &p));
	sent_as_it_is(0, frame, 60);
}
END_TEST

START_TEST(several_frames_of_one_request)
{
	uint32_t len = 0, i;

	for (i = 0; i < 20; i++) {
		make_eth(frame, PEER_MAC, GUEST_MAC, 61 + i, i);
		len += mock_net_packet(msg + len, frame, 61 + i, NULL, 0, i < 19);
	}
	ck_assert_uint_eq(send_msg(len), NVSP_STATUS_SUCCESS);
	ck_assert_uint_eq(peer.n, 20);
	for (i = 0; i < 20; i++) {
		make_eth(frame, PEER_MAC, GUEST_MAC, 61 + i, i);
		sent_as_it_is(i, frame, 61 + i);
	}
	ck_assert_uint_eq(peer.flushes, 1);
}
END_TEST

/* ---- golden requests ------------------------------------------------------------------------ */

/*
 * Sends a golden packet with its page numbers replaced by pages of ours, filled with @bytes; equal
 * numbers stay equal. Returns the status.
 */
static uint32_t golden(uint16_t sub, const char *text, const uint8_t *bytes, uint32_t len)
{
	uint64_t copy[32], known[32], mapped[32], pfn[64];
	struct vmpkt_range_in r[8];
	uint32_t n = 0, pages = 0, cursor = 0, count, off, npfn, i, j, k, size;
	const uint64_t *list;
	struct vmpkt_desc d;
	struct vmpkt p;

	size = vector_bytes(text, (uint8_t *)copy, sizeof(copy));
	memcpy(&d, copy, sizeof(d));
	ck_assert_uint_eq(d.len8 * 8u, size);
	ck_assert_int_eq(vmpkt_decode(&p, copy, &d, NULL), 0);
	for (k = 0; vmpkt_next_range(&p, &cursor, &count, &off, &list, &npfn); n++) {
		r[n] = (struct vmpkt_range_in){ count, off, pfn + k };
		for (i = 0; i < npfn; i++, k++) {
			for (j = 0; j < pages && known[j] != list[i]; j++)
				;
			if (j == pages) {
				known[pages] = list[i];
				mapped[pages++] = fake_bus_alloc(bus, 1) / 4096;
			}
			pfn[k] = mapped[j];
		}
		for (i = 0; i < count && len; i++, len--)
			*(uint8_t *)fake_bus_ptr(bus, r[n].pfn[(off + i) / 4096] * 4096 +
							      (off + i) % 4096) = *bytes++;
	}
	ck_assert_uint_eq(len, 0);
	if (p.type == VMPKT_GPA_DIRECT)
		ck_assert_int_eq(vmbus_chan_send_gpa_direct_multi(g.chan[sub], p.flags, p.trans_id,
								  r, n, p.payload, p.payload_len),
				 0);
	else
		ck_assert_int_eq(
			vmbus_chan_send(g.chan[sub], p.flags, p.trans_id, p.payload, p.payload_len),
			0);
	return completion_of(sub, p.trans_id);
}

/* Like an LSO frame of Linux: lengths and sums without the length, @header bytes of RNDIS. */
static uint32_t golden_lso(uint32_t header, uint32_t payload)
{
	struct net_frame f;
	struct iovec v, rest;
	uint8_t head[NET_HEAD_MAX + 4], ppi[32] = { 0 };
	uint32_t len = make_ip4(frame, PEER_MAC, GUEST_MAC, 6, payload, true), n = 0;
	uint16_t sum;

	frame[16] = frame[17] = frame[24] = frame[25] = 0;
	v = (struct iovec){ frame, 54 };
	net_frame_init(&f, head, 54, &v, 1, &rest);
	net_frame_parse(&f);
	sum = net_csum_fold(net_csum_pseudo(&f, 0));
	memcpy(frame + 50, &sum, 2);
	if (header == 76)
		n = put_info(ppi, RNDIS_INFO_HASH, 0x7b3dc739);
	n += put_info(ppi + n, RNDIS_INFO_LSO, RNDIS_LSO_V2 | 34u << 20 | 1448);
	return mock_net_packet(msg, frame, len, ppi, n, false);
}

static void lso_went_through(uint32_t payload)
{
	const struct recorded *r = &peer.frame[0];

	ck_assert_uint_eq(peer.n, 1);
	ck_assert_uint_eq(r->len, 54 + payload);
	ck_assert_uint_eq(r->meta.gso, NET_GSO_TCP4);
	ck_assert_uint_eq(r->meta.gso_size, 1448);
	ck_assert_uint_eq(r->meta.csum, NET_CSUM_PARTIAL);
	ck_assert_uint_eq(r->meta.csum_start, 34);
	ck_assert_uint_eq(r->meta.csum_offset, 16);
	ck_assert_uint_eq(r->meta.header_len, 54);
	make_ip4(frame, PEER_MAC, GUEST_MAC, 6, payload, true); /* as virtio means it */
	ck_assert_mem_eq(r->bytes, frame, r->len);
}

START_TEST(o4_direct_with_a_range_of_several_pages)
{
	uint32_t n = golden_lso(60, 66 + 7240 - 54);

	ck_assert_uint_eq(n, 60 + 66 + 7240);
	ck_assert_uint_eq(golden(0, O4_DIRECT, msg, n), NVSP_STATUS_SUCCESS);
	lso_went_through(66 + 7240 - 54);
}
END_TEST

START_TEST(o5_direct_on_a_sub_channel)
{
	uint32_t n = golden_lso(76, 66 + 752 + 6488 - 54);

	ck_assert_uint_eq(mock_net_subchannels(&g, 1), 1);
	ck_assert_uint_eq(golden(1, O5_DIRECT_SUB, msg, n), NVSP_STATUS_SUCCESS);
	lso_went_through(66 + 752 + 6488 - 54);
}
END_TEST

START_TEST(o3_and_e11_buffered)
{
	uint32_t n = mock_net_packet(msg, frame, make_eth(frame, PEER_MAC, GUEST_MAC, 90, 5), NULL,
				     0, false);

	ck_assert_uint_eq(n, 0x86);
	memcpy(fake_bus_ptr(bus, g.tx_gpa), msg, n);
	ck_assert_uint_eq(golden(0, O3_BUFFERED, NULL, 0), NVSP_STATUS_SUCCESS);
	sent_as_it_is(0, frame, 90);
	n = mock_net_packet(msg, frame, make_eth(frame, PEER_MAC, GUEST_MAC, 0x98 - 44, 6), NULL, 0,
			    false);
	memcpy(fake_bus_ptr(bus, g.tx_gpa + 5 * NVSP_TX_SECTION), msg, n);
	ck_assert_uint_eq(golden(0, E11_TRANSMIT, NULL, 0), NVSP_STATUS_SUCCESS);
	sent_as_it_is(1, frame, 0x98 - 44);
}
END_TEST

START_TEST(o6_mixed_with_three_frames_before)
{
	uint32_t i, n = 0, used;
	uint8_t ppi[32], *section = fake_bus_ptr(bus, g.tx_gpa + 5 * NVSP_TX_SECTION);

	for (i = 0; i < 4; i++) {
		make_ip4(frame, PEER_MAC, GUEST_MAC, 6, 1460, true);
		used = put_info(ppi, RNDIS_INFO_HASH, 0xcafbebc3);
		used += put_info(ppi + used, RNDIS_INFO_CSUM, 0x00220005);
		n += mock_net_packet(msg + n, frame, 1514, ppi, used, i < 3);
	}
	ck_assert_uint_eq(n, 3 * 1592 + 1590);
	memcpy(section, msg, 0x12f4);
	ck_assert_uint_eq(golden(0, O6_MIXED, msg + 0x12f4, n - 0x12f4), NVSP_STATUS_SUCCESS);
	ck_assert_uint_eq(peer.n, 4);
	for (i = 0; i < 4; i++) {
		sent_as_it_is(i, frame, 1514);
		ck_assert_uint_eq(peer.frame[i].meta.csum, NET_CSUM_PARTIAL);
	}
}
END_TEST

START_TEST(e12_direct_and_e14_its_completion)
{
	uint8_t got[128], want[128];
	struct mock_net_packet p;
	uint32_t n, used;
	uint64_t id;

	/* 36 bytes of information that nobody knows, 5000 of frame. */
	memset(msg, 0, 80);
	n = golden_lso(60, 5000 - 54);
	memmove(msg + 80, msg + 60, 5000);
	used = 20; /* an element of another type fills the header up */
	memcpy(msg + 60, &used, 4);
	used = 5;
	memcpy(msg + 64, &used, 4);
	used = 12;
	memcpy(msg + 68, &used, 4);
	used = 36;
	memcpy(msg + 32, &used, 4);
	used = 80 - 8;
	memcpy(msg + 8, &used, 4);
	used = n + 20;
	memcpy(msg + 4, &used, 4);
	ck_assert_uint_eq(golden(0, E12_TRANSMIT_DIRECT, msg, 5080), NVSP_STATUS_SUCCESS);
	lso_went_through(5000 - 54);

	n = mock_net_packet(msg, frame, make_eth(frame, PEER_MAC, GUEST_MAC, 60, 0), NULL, 0, 0);
	g.next_id = 0x11;
	id = mock_net_send_section(&g, 0, 5, msg, n);
	mock_net_run(&g);
	ck_assert(mock_net_poll(&g, 0, &p));
	ck_assert_uint_eq(p.id, id);
	n = vector_bytes(E14_TRANSMIT_COMPLETE, want, sizeof(want));
	ck_assert_uint_eq(mock_net_bytes(&p, got, sizeof(got)), n);
	ck_assert_mem_eq(got, want, n);
}
END_TEST

/* ---- golden messages ------------------------------------------------------------------------- */

/* The peer's address into the golden frame, whose guest has the address of ours. */
static void readdress(uint8_t *f)
{
	memcpy(f, PEER_MAC, 6);
	memcpy(f + 6, GUEST_MAC, 6);
}

START_TEST(r11_arp_and_r12_two_in_one)
{
	uint8_t arp[42];
	uint32_t n = vector_bytes(R11_ARP, msg, sizeof(msg)), i;

	memcpy(arp, msg + 44, sizeof(arp));
	ck_assert_uint_eq(send_msg(n), NVSP_STATUS_SUCCESS);
	n = vector_bytes(R12_TWO, msg, sizeof(msg));
	ck_assert_uint_eq(n, 0xae);
	ck_assert_uint_eq(send_msg(n), NVSP_STATUS_SUCCESS);
	ck_assert_uint_eq(peer.n, 3);
	ck_assert_uint_eq(other.n, 3); /* broadcast */
	for (i = 0; i < 3; i++)
		sent_as_it_is(i, arp, sizeof(arp));
}
END_TEST

START_TEST(r82_udp_checksum)
{
	uint32_t n = vector_bytes(R82_UDP_CSUM, msg, sizeof(msg));
	uint8_t f[47];

	readdress(msg + 60);
	memcpy(f, msg + 60, sizeof(f));
	ck_assert_uint_eq(send_msg(n), NVSP_STATUS_SUCCESS);
	sent_as_it_is(0, f, sizeof(f)); /* its partial sum was right */
	ck_assert_uint_eq(peer.frame[0].meta.csum, NET_CSUM_PARTIAL);
	ck_assert_uint_eq(peer.frame[0].meta.csum_start, 34);
	ck_assert_uint_eq(peer.frame[0].meta.csum_offset, 6);
	/* To the port that wants whole ones. */
	memcpy(msg + 60, OTHER_MAC, 6);
	ck_assert_uint_eq(send_msg(n), NVSP_STATUS_SUCCESS);
	ck_assert_uint_eq(other.n, 1);
	ck_assert(l4_is_right(other.frame[0].bytes, other.frame[0].len));
}
END_TEST

START_TEST(r82_lso)
{
	uint32_t n = vector_bytes(R82_LSO, msg, sizeof(msg)), len = 2962, i;
	const struct recorded *r = &peer.frame[0];

	memset(msg + n, 0x42, 3038 - n);
	readdress(msg + 76);
	ck_assert_uint_eq(send_msg(3038), NVSP_STATUS_SUCCESS);
	ck_assert_uint_eq(peer.n, 1);
	ck_assert_uint_eq(r->len, len);
	ck_assert_uint_eq(r->meta.gso_size, 1448);
	ck_assert_uint_eq(r->meta.header_len, 66);
	ck_assert_uint_eq(be16_at(r->bytes + 16), len - 14);
	/* To the port that takes none of this: two segments, right ones. */
	memcpy(msg + 76, OTHER_MAC, 6);
	ck_assert_uint_eq(send_msg(3038), NVSP_STATUS_SUCCESS);
	ck_assert_uint_eq(other.n, 2);
	for (i = 0; i < 2; i++) {
		ck_assert_uint_eq(other.frame[i].len, 1514);
		ck_assert(l4_is_right(other.frame[i].bytes, 1514));
	}
}
END_TEST

START_TEST(r82_vlan_and_checksum)
{
	uint32_t len = make_ip4(frame, PEER_MAC, GUEST_MAC, 17, 500, true), n;

	n = vector_bytes(R82_VLAN, msg, sizeof(msg));
	ck_assert_uint_eq(n, 76);
	ck_assert_uint_eq(len, 0x21e);
	memcpy(msg + n, frame, len);
	ck_assert_uint_eq(send_msg(n + len), NVSP_STATUS_SUCCESS);
	sent_as_it_is(0, frame, len);
	ck_assert(peer.frame[0].meta.tagged);
	ck_assert_uint_eq(peer.frame[0].meta.vlan_tci, 100);
	msg[76 - 16 - 4] = 0x43; /* the tag with priority 3 */
	ck_assert_uint_eq(send_msg(n + len), NVSP_STATUS_SUCCESS);
	ck_assert_uint_eq(peer.frame[1].meta.vlan_tci, 3u << 13 | 100);
}
END_TEST

START_TEST(r82_aggregated_and_r14_all_elements)
{
	uint32_t n = vector_bytes(R82_AGGREGATED, msg, sizeof(msg)), i, at = 0;
	uint8_t header[92];

	ck_assert_uint_eq(n, 76);
	memcpy(header, msg, n);
	make_ip4(frame, PEER_MAC, GUEST_MAC, 6, 1460, true);
	for (i = 0; i < 3; i++, at += 1592) {
		memcpy(msg + at, header, 76);
		memcpy(msg + at + 76, frame, 1514);
		memset(msg + at + 1590, 0, 2);
	}
	msg[at - 1592 + 4] = 0x36;
	ck_assert_uint_eq(send_msg(at - 2), NVSP_STATUS_SUCCESS);
	ck_assert_uint_eq(peer.n, 3);
	sent_as_it_is(2, frame, 1514);
	peer_forget(&peer);

	ck_assert_uint_eq(vector_bytes(R14_LSO_VLAN, msg, sizeof(msg)), 92);
	make_ip4(frame, PEER_MAC, GUEST_MAC, 6, 4380, true);
	memcpy(msg + 92, frame, 4434);
	ck_assert_uint_eq(send_msg(4526), NVSP_STATUS_SUCCESS);
	sent_as_it_is(0, frame, 4434);
	ck_assert_uint_eq(peer.frame[0].meta.vlan_tci, 3u << 13 | 100);
	ck_assert_uint_eq(peer.frame[0].meta.gso_size, 1460);
}
END_TEST

START_TEST(largest_lso_frame)
{
	uint32_t n, len = 65549, payload = len - 54;
	uint8_t ppi[16];

	make_ip4(frame, PEER_MAC, GUEST_MAC, 6, payload, true);
	n = mock_net_packet(msg, frame, len, ppi,
			    put_info(ppi, RNDIS_INFO_LSO, RNDIS_LSO_V2 | 34u << 20 | 1460), false);
	ck_assert_uint_eq(
		completion_of(0, mock_net_send_direct(&g, 0, msg, n, 2, NVSP_NO_SECTION, 0)),
		NVSP_STATUS_SUCCESS);
	sent_as_it_is(0, frame, len);
}
END_TEST

START_TEST(lso_of_one_segment_is_a_checksum)
{
	uint32_t len = make_ip4(frame, PEER_MAC, GUEST_MAC, 6, 1000, true);

	ck_assert_uint_eq(send_msg(message(frame, len, RNDIS_INFO_LSO, RNDIS_LSO_V2 | 1460)),
			  NVSP_STATUS_SUCCESS);
	sent_as_it_is(0, frame, len);
	ck_assert_uint_eq(peer.frame[0].meta.gso, NET_GSO_NONE);
	ck_assert_uint_eq(peer.frame[0].meta.csum, NET_CSUM_PARTIAL);
}
END_TEST

START_TEST(tag_in_the_frame_is_taken_out)
{
	uint8_t tagged[200];
	uint32_t len = make_eth(frame, PEER_MAC, GUEST_MAC, 100, 1);

	memcpy(tagged, frame, 12);
	be16_put(tagged + 12, NET_ETHERTYPE_VLAN);
	be16_put(tagged + 14, 7u << 13 | 5);
	memcpy(tagged + 16, frame + 12, len - 12);
	ck_assert_uint_eq(mock_net_frame(&g, 0, tagged, len + 4), NVSP_STATUS_SUCCESS);
	sent_as_it_is(0, frame, len);
	ck_assert(peer.frame[0].meta.tagged);
	ck_assert_uint_eq(peer.frame[0].meta.vlan_tci, 7u << 13 | 5);
	/* A full one is four bytes longer than the MTU allows without. */
	memset(tagged + 16, 0, sizeof(tagged) - 16);
	memcpy(msg, tagged, 16);
	memset(msg + 16, 1, 1502);
	ck_assert_uint_eq(mock_net_frame(&g, 0, memcpy(frame, msg, 1518), 1518),
			  NVSP_STATUS_SUCCESS);
	ck_assert_uint_eq(peer.frame[1].len, 1514);
}
END_TEST

/* ---- hostile -----------------------------------------------------------------------------------
 */

static uint64_t send_rndis(uint32_t type, uint32_t section, uint32_t size)
{
	struct nvsp_message m = { .type = NVSP_SEND_RNDIS_PACKET };

	m.rndis.channel_type = type;
	m.rndis.section = section;
	m.rndis.section_size = size;
	return mock_net_send(&g, 0, true, &m);
}

START_TEST(n10_section_out_of_range)
{
	uint32_t sections = g.tx_pages * 4096 / g.tx_size;

	ck_assert_uint_eq(completion_of(0, send_rndis(0, sections, 100)), NVSP_STATUS_FAIL);
	ck_assert_uint_eq(completion_of(0, send_rndis(0, UINT32_MAX - 1, 100)), NVSP_STATUS_FAIL);
	ck_assert_uint_eq(completion_of(0, send_rndis(0, 0, g.tx_size + 1)), NVSP_STATUS_FAIL);
	ck_assert_uint_eq(completion_of(0, send_rndis(0, 0, UINT32_MAX)), NVSP_STATUS_FAIL);
	ck_assert_uint_eq(completion_of(0, send_rndis(7, 0, 100)), NVSP_STATUS_FAIL);
	ck_assert_uint_eq(stats().tx_rejected, 5);
	ck_assert_uint_eq(mock_net_frame(&g, 0, frame, make_eth(frame, PEER_MAC, GUEST_MAC, 60, 0)),
			  NVSP_STATUS_SUCCESS);
}
END_TEST

START_TEST(n10_pages_outside_of_memory)
{
	struct nvsp_message m = { .type = NVSP_SEND_RNDIS_PACKET };
	uint64_t pfn[2] = { 0x123456789ull, g.data_gpa / 4096 };
	struct vmpkt_range_in r = { 5000, 16, pfn };

	m.rndis.section = NVSP_NO_SECTION;
	ck_assert_int_eq(
		vmbus_chan_send_gpa_direct_multi(g.chan[0], 1, 77, &r, 1, &m, g.request_len), 0);
	ck_assert_uint_eq(completion_of(0, 77), NVSP_STATUS_FAIL);
}
END_TEST

/* One word of the message's header is something else. */
START_TEST(n12_message_length)
{
	static const uint32_t lengths[] = { 0, 7, 43, 105, 0x7fffffff, UINT32_MAX };
	uint32_t n = mock_net_packet(msg, frame, make_eth(frame, PEER_MAC, GUEST_MAC, 60, 0), NULL,
				     0, false);

	memcpy(msg + 4, &lengths[_i], 4);
	refused(n, NVSP_STATUS_INVALID_RNDIS_PACKET);
}
END_TEST

START_TEST(n12_shorter_than_a_header)
{
	refused((uint32_t)_i + 1, NVSP_STATUS_INVALID_RNDIS_PACKET);
}
END_TEST

START_TEST(n13_good_frames_before_a_bad_one_are_sent_once)
{
	uint32_t len = make_eth(frame, PEER_MAC, GUEST_MAC, 60, 0), n, i;

	for (i = 0, n = 0; i < 4; i++)
		n += mock_net_packet(msg + n, frame, len, NULL, 0, true);
	i = 0x1000; /* the third leads past the end */
	memcpy(msg + 2 * 104 + 4, &i, 4);
	ck_assert_uint_eq(send_msg(n), NVSP_STATUS_INVALID_RNDIS_PACKET);
	ck_assert_uint_eq(peer.n, 2);
	ck_assert_uint_eq(stats().tx_rejected, 1);
}
END_TEST

START_TEST(n13_junk_behind_the_last)
{
	uint32_t n = mock_net_packet(msg, frame, make_eth(frame, PEER_MAC, GUEST_MAC, 60, 0), NULL,
				     0, true);

	memset(msg + n, 0, 40);
	ck_assert_uint_eq(send_msg(n + 40), NVSP_STATUS_INVALID_RNDIS_PACKET);
	ck_assert_uint_eq(peer.n, 1);
}
END_TEST

START_TEST(n13_more_messages_than_are_read)
{
	uint32_t i, n = 0;

	make_eth(frame, PEER_MAC, GUEST_MAC, 14, 0);
	for (i = 0; i < 1200; i++)
		n += mock_net_packet(msg + n, frame, 14, NULL, 0, true);
	ck_assert_uint_eq(
		completion_of(0, mock_net_send_direct(&g, 0, msg, n, 1, NVSP_NO_SECTION, 0)),
		NVSP_STATUS_FAIL);
	ck_assert_uint_eq(peer.n, 128);
}
END_TEST

/* Words 2, 3 (data offset and length) and 7, 8 (information). */
static const struct {
	uint32_t word, value;
} wild[] = {
	{ 2, 0 },	   { 2, 35 },	      { 2, UINT32_MAX }, { 2, 0xfffffff8 }, { 2, 97 },
	{ 3, UINT32_MAX }, { 3, 61 },	      { 3, 0xffffffd4 }, { 7, 0 },	    { 7, 35 },
	{ 7, UINT32_MAX }, { 7, 0xfffffff8 }, { 8, UINT32_MAX }, { 8, 4 },	    { 8, 1000 },
};

START_TEST(n14_n15_offsets_and_lengths)
{
	uint32_t n =
		message(frame, make_eth(frame, PEER_MAC, GUEST_MAC, 60, 0), RNDIS_INFO_HASH, 1);

	memcpy(msg + 4 * wild[_i].word, &wild[_i].value, 4);
	refused(n, NVSP_STATUS_INVALID_RNDIS_PACKET);
}
END_TEST

/* Size and data offset of the element. */
static const struct {
	uint32_t size, offset;
} elements[] = {
	{ 0, 12 },	    { 4, 12 },	{ 11, 12 },	    { 13, 12 }, { 64, 12 },
	{ UINT32_MAX, 12 }, { 16, 17 }, { 16, UINT32_MAX }, { 20, 12 }, { 0x80000010, 12 },
};

START_TEST(n15_broken_elements)
{
	uint32_t n =
		message(frame, make_eth(frame, PEER_MAC, GUEST_MAC, 60, 0), RNDIS_INFO_CSUM, 0);

	memcpy(msg + 44, &elements[_i].size, 4);
	memcpy(msg + 52, &elements[_i].offset, 4);
	refused(n, NVSP_STATUS_INVALID_RNDIS_PACKET);
}
END_TEST

START_TEST(n16_first_of_many_elements_counts)
{
	uint8_t ppi[16 * 1000];
	uint32_t i, n = 0;

	for (i = 0; i < 12; i++)
		n += put_info(ppi + n, RNDIS_INFO_8021Q, (100 + i) << 4);
	n = mock_net_packet(msg, frame, make_eth(frame, PEER_MAC, GUEST_MAC, 60, 0), ppi, n, 0);
	ck_assert_uint_eq(send_msg(n), NVSP_STATUS_SUCCESS);
	ck_assert_uint_eq(peer.frame[0].meta.vlan_tci, 100);
	peer_forget(&peer);
	for (i = 0, n = 0; i < 1000; i++)
		n += put_info(ppi + n, RNDIS_INFO_8021Q, 100 << 4);
	n = mock_net_packet(msg, frame, 60, ppi, n, 0);
	ck_assert_uint_eq(
		completion_of(0, mock_net_send_direct(&g, 0, msg, n, 1, NVSP_NO_SECTION, 0)),
		NVSP_STATUS_INVALID_RNDIS_PACKET);
	ck_assert_uint_eq(peer.n, 0);
}
END_TEST

START_TEST(n17_fields_nobody_uses_are_ignored)
{
	uint32_t n = mock_net_packet(msg, frame, make_eth(frame, PEER_MAC, GUEST_MAC, 60, 0), NULL,
				     0, false);

	memset(msg + 16, 0xff, 12);
	memset(msg + 36, 0xff, 8);
	ck_assert_uint_eq(send_msg(n), NVSP_STATUS_SUCCESS);
	sent_as_it_is(0, frame, 60);
}
END_TEST

START_TEST(n18_headers_across_pages_and_ranges)
{
	uint32_t n = message(frame, make_eth(frame, PEER_MAC, GUEST_MAC, 300, 0), RNDIS_INFO_8021Q,
			     100 << 4),
		 cut;
	uint64_t pfn[2] = { g.data_gpa / 4096, g.data_gpa / 4096 + 5 };
	struct nvsp_message m = { .type = NVSP_SEND_RNDIS_PACKET };
	uint8_t *a = fake_bus_ptr(bus, pfn[0] * 4096), *b = fake_bus_ptr(bus, pfn[1] * 4096);
	struct vmpkt_range_in r = { n, 0, pfn };

	m.rndis.section = NVSP_NO_SECTION;
	for (cut = 1; cut < 130; cut += 3) {
		memcpy(a + 4096 - cut, msg, cut);
		memcpy(b, msg + cut, n - cut);
		r.byte_offset = 4096 - cut;
		ck_assert_int_eq(vmbus_chan_send_gpa_direct_multi(g.chan[0], 1, 1000 + cut, &r, 1,
								  &m, g.request_len),
				 0);
		ck_assert_uint_eq(completion_of(0, 1000 + cut), NVSP_STATUS_SUCCESS);
		sent_as_it_is(peer.n - 1, frame, 300);
		ck_assert_uint_eq(peer.frame[peer.n - 1].meta.vlan_tci, 100);
	}
}
END_TEST

START_TEST(n19_runts_and_giants)
{
	static const uint32_t lens[] = { 0, 1, 13, 1515, 1518, 5000 };

	make_eth(frame, PEER_MAC, GUEST_MAC, 5000, 0);
	refused(mock_net_packet(msg, frame, lens[_i], NULL, 0, false), NVSP_STATUS_FAIL);
}
END_TEST

START_TEST(n19_a_frame_longer_than_ip_allows)
{
	uint32_t n;
	uint8_t ppi[16];

	make_ip4(frame, PEER_MAC, GUEST_MAC, 6, 1000, true);
	n = mock_net_packet(msg, frame, 65550, ppi,
			    put_info(ppi, RNDIS_INFO_LSO, RNDIS_LSO_V2 | 1460), false);
	ck_assert_uint_eq(
		completion_of(0, mock_net_send_direct(&g, 0, msg, n, 2, NVSP_NO_SECTION, 0)),
		NVSP_STATUS_FAIL);
	ck_assert_uint_eq(peer.n, 0);
}
END_TEST

START_TEST(n20_checksum_of_any_shape)
{
	uint32_t len = make_ip4(frame, PEER_MAC, GUEST_MAC, 6, 100, true);

	/* No offset, both versions, both protocols: the headers decide. */
	ck_assert_uint_eq(send_msg(message(frame, len, RNDIS_INFO_CSUM, 0x0000000f)),
			  NVSP_STATUS_SUCCESS);
	ck_assert_uint_eq(peer.frame[0].meta.csum_start, 34);
	ck_assert_uint_eq(peer.frame[0].meta.csum_offset, 16);
	/* IPv4 header only. */
	frame[24] ^= 0x55;
	ck_assert_uint_eq(send_msg(message(frame, len, RNDIS_INFO_CSUM, 0x11)),
			  NVSP_STATUS_SUCCESS);
	frame[24] ^= 0x55;
	sent_as_it_is(1, frame, len);
	ck_assert_uint_eq(peer.frame[1].meta.csum, NET_CSUM_UNKNOWN);
	peer_forget(&peer);
	/* Beyond the frame. */
	refused(message(frame, len, RNDIS_INFO_CSUM, 0x03ff0005), NVSP_STATUS_FAIL);
	/* Not IP. */
	refused(message(frame, make_eth(frame, PEER_MAC, GUEST_MAC, 60, 0), RNDIS_INFO_CSUM,
			0x00220005),
		NVSP_STATUS_FAIL);
}
END_TEST

static const uint32_t bad_lso[] = {
	RNDIS_LSO_V2,			     /* MSS 0 */
	1460,				     /* version 1 */
	RNDIS_LSO_V2 | RNDIS_LSO_IP6 | 1440, /* the other IP */
	RNDIS_LSO_V2 | 0xfffff,		     /* no MSS of any TCP */
	RNDIS_LSO_V2 | 2000,		     /* segments beyond the MTU */
	RNDIS_LSO_V2 | 2,		     /* more segments than anybody wants */
};

START_TEST(n21_lso_nonsense)
{
	uint32_t len = make_ip4(frame, PEER_MAC, GUEST_MAC, 6, 5000, true);

	refused(message(frame, len, RNDIS_INFO_LSO, bad_lso[_i]), NVSP_STATUS_FAIL);
}
END_TEST

START_TEST(n21_lso_headers_that_do_not_fit)
{
	uint32_t len = make_ip4(frame, PEER_MAC, GUEST_MAC, 6, 0, true);

	refused(message(frame, len, RNDIS_INFO_LSO, RNDIS_LSO_V2 | 1460), NVSP_STATUS_FAIL);
	make_ip4(frame, PEER_MAC, GUEST_MAC, 6, 10, true);
	frame[46] = 0xf0; /* TCP options beyond the end */
	refused(message(frame, 64, RNDIS_INFO_LSO, RNDIS_LSO_V2 | 4), NVSP_STATUS_FAIL);
	make_ip4(frame, PEER_MAC, GUEST_MAC, 17, 3000, true);
	refused(message(frame, 3042, RNDIS_INFO_LSO, RNDIS_LSO_V2 | 1460), NVSP_STATUS_FAIL);
	make_ip4(frame, PEER_MAC, GUEST_MAC, 6, 1000, true);
	refused(message(frame, 60, RNDIS_INFO_LSO, RNDIS_LSO_V2 | 200u << 20 | 4),
		NVSP_STATUS_FAIL);
}
END_TEST

START_TEST(n22_ip_length_comes_from_the_frame)
{
	static const uint16_t lies[] = { 0, 20, 40, 0xffff };
	uint32_t len = make_ip4(frame, PEER_MAC, GUEST_MAC, 6, 3000, true);

	be16_put(frame + 16, lies[_i]);
	ck_assert_uint_eq(send_msg(message(frame, len, RNDIS_INFO_LSO, RNDIS_LSO_V2 | 1460)),
			  NVSP_STATUS_SUCCESS);
	make_ip4(frame, PEER_MAC, GUEST_MAC, 6, 3000, true);
	sent_as_it_is(0, frame, len);
}
END_TEST

START_TEST(n23_tags_out_of_the_ordinary)
{
	uint32_t len = make_eth(frame, PEER_MAC, GUEST_MAC, 100, 1);

	/* 4095 is no VLAN: the switch drops it, which is not the sender's failure. */
	ck_assert_uint_eq(send_msg(message(frame, len, RNDIS_INFO_8021Q, 0xfff0)),
			  NVSP_STATUS_SUCCESS);
	ck_assert_uint_eq(peer.n, 0);
	/* DEI, and "no tag". */
	ck_assert_uint_eq(send_msg(message(frame, len, RNDIS_INFO_8021Q, 100 << 4 | 8)),
			  NVSP_STATUS_SUCCESS);
	ck_assert_uint_eq(peer.frame[0].meta.vlan_tci & 0xfff, 100);
	ck_assert_uint_eq(send_msg(message(frame, len, RNDIS_INFO_8021Q, UINT32_MAX)),
			  NVSP_STATUS_SUCCESS);
	sent_as_it_is(1, frame, len);
	/* One in the frame behind one beside it: only the outer one is looked at. */
	be16_put(frame + 12, NET_ETHERTYPE_VLAN);
	be16_put(frame + 14, 200);
	ck_assert_uint_eq(send_msg(message(frame, len, RNDIS_INFO_8021Q, 100 << 4)),
			  NVSP_STATUS_SUCCESS);
	sent_as_it_is(2, frame, len);
	ck_assert_uint_eq(peer.frame[2].meta.vlan_tci, 100);
}
END_TEST

START_TEST(packet_type_on_the_wrong_channel)
{
	uint32_t n = mock_net_packet(msg, frame, make_eth(frame, PEER_MAC, GUEST_MAC, 60, 0), NULL,
				     0, false);
	struct rndis_request keepalive = { RNDIS_KEEPALIVE, sizeof(keepalive), 1 };
	uint8_t *section = fake_bus_ptr(bus, g.tx_gpa);

	memcpy(section, msg, n);
	ck_assert_uint_eq(completion_of(0, send_rndis(NVSP_CONTROL, 0, n)),
			  NVSP_STATUS_INVALID_RNDIS_PACKET);
	memset(section, 0, 64);
	memcpy(section, &keepalive, sizeof(keepalive));
	ck_assert_uint_eq(completion_of(0, send_rndis(NVSP_DATA, 0, 64)),
			  NVSP_STATUS_INVALID_RNDIS_PACKET);
	ck_assert_uint_eq(peer.n, 0);
}
END_TEST

START_TEST(control_on_a_sub_channel)
{
	struct rndis_request keepalive = { RNDIS_KEEPALIVE, sizeof(keepalive), 1 };

	ck_assert_uint_eq(mock_net_subchannels(&g, 1), 1);
	ck_assert_uint_eq(
		completion_of(1, mock_net_control_send(&g, 1, &keepalive, sizeof(keepalive))),
		NVSP_STATUS_FAIL);
}
END_TEST

/* ---- states
 * ----------------------------------------------------------------------------------------
 */

START_TEST(before_the_filter_is_set)
{
	rig_up(NULL);
	mock_net_open(&g, bus, 0);
	mock_net_negotiate(&g, NVSP_V6_1, 1500, MOCK_NET_CAPS);
	make_eth(frame, PEER_MAC, GUEST_MAC, 60, 0);
	ck_assert_uint_eq(mock_net_frame(&g, 0, frame, 60), NVSP_STATUS_FAIL);
	mock_net_initialize(&g);
	ck_assert_uint_eq(mock_net_frame(&g, 0, frame, 60), NVSP_STATUS_SUCCESS);
	ck_assert_uint_eq(peer.n, 0);
	ck_assert_uint_eq(stats().tx_dropped, 1);
	ck_assert_uint_eq(mock_net_filter(&g, 0xd), RNDIS_STATUS_SUCCESS);
	ck_assert_uint_eq(mock_net_frame(&g, 0, frame, 60), NVSP_STATUS_SUCCESS);
	sent_as_it_is(0, frame, 60);
	netvsp_set_link(nic, false);
	ck_assert_uint_eq(mock_net_frame(&g, 0, frame, 60), NVSP_STATUS_SUCCESS);
	ck_assert_uint_eq(peer.n, 1);
	rig_down();
}
END_TEST

/* What Linux sends behind a HALT, for its interface is still up, is as what it sends before a
 * filter. */
START_TEST(behind_a_halt)
{
	struct rndis_request halt = { RNDIS_HALT, sizeof(halt), 1 };
	uint32_t n = mock_net_packet(msg, frame, make_eth(frame, PEER_MAC, GUEST_MAC, 60, 0), NULL,
				     0, false);
	uint64_t id[2];

	id[0] = mock_net_control_send(&g, 0, &halt, sizeof(halt));
	id[1] = mock_net_send_section(&g, 0, 0, msg, n);
	ck_assert_uint_eq(completion_of(0, id[1]), NVSP_STATUS_SUCCESS);
	ck_assert_uint_gt(id[1], id[0]);
	ck_assert_str_eq(stats().state, "halted");
	ck_assert_uint_eq(peer.n, 0);
	ck_assert_uint_eq(stats().tx_dropped, 1);
	ck_assert_uint_eq(stats().tx_rejected, 0);
}
END_TEST

START_TEST(without_a_send_buffer)
{
	uint32_t n = mock_net_packet(msg, frame, make_eth(frame, PEER_MAC, GUEST_MAC, 60, 0), NULL,
				     0, false);

	rig_up(NULL);
	mock_net_open(&g, bus, 0);
	ck_assert(mock_net_init(&g, NVSP_V5));
	mock_net_config(&g, 1500, 0);
	ck_assert_uint_eq(mock_net_rx_buffer(&g, 256), NVSP_STATUS_SUCCESS);
	mock_net_initialize(&g);
	mock_net_filter(&g, 0xd);
	ck_assert_uint_eq(completion_of(0, send_rndis(NVSP_DATA, 0, n)), NVSP_STATUS_FAIL);
	ck_assert_uint_eq(
		completion_of(0, mock_net_send_direct(&g, 0, msg, n, 2, NVSP_NO_SECTION, 0)),
		NVSP_STATUS_SUCCESS);
	sent_as_it_is(0, frame, 60);
	rig_down();
}
END_TEST

/* ---- back-pressure
 * ------------------------------------------------------------------------------------
 */

/* Time passes for the switch, and the timer fires. */
static void pass(uint64_t ns)
{
	struct timespec ts = { 0, 3000000 };

	now_ns += ns;
	nanosleep(&ts, NULL);
	fake_bus_settle(bus, 100);
}

START_TEST(a_limited_port_leaves_requests_in_the_ring)
{
	struct netvsp_config cfg = rig_trunk();
	struct mock_net_packet p;
	uint32_t i, n = 0, rounds, done = 0;
	uint64_t id[8];

	cfg.policy.bps = 1000000000; /* a frame of 1514 bytes in 12 us */
	cfg.policy.burst = 1514;
	rig_up(&cfg);
	mock_net_start(&g, bus);
	for (i = 0; i < 3; i++) {
		make_eth(frame, PEER_MAC, GUEST_MAC, 1514, i);
		n += mock_net_packet(msg + n, frame, 1514, NULL, 0, true);
	}
	for (i = 0; i < 8; i++)
		id[i] = mock_net_send_section(&g, 0, i, msg, n);
	mock_net_run(&g);
	ck_assert_uint_lt(peer.n, 4); /* in the middle of a request */
	for (rounds = 0; peer.n < 24 && rounds < 200; rounds++) {
		i = peer.n;
		pass(13000);
		ck_assert_uint_le(peer.n - i, 2);
	}
	pass(0);
	ck_assert_uint_eq(peer.n, 24);
	while (mock_net_poll(&g, 0, &p)) {
		ck_assert_uint_eq(p.id, id[done++]);
		ck_assert_uint_eq(p.payload[4], NVSP_STATUS_SUCCESS);
	}
	ck_assert_uint_eq(done, 8);
	for (i = 0; i < 24; i++) {
		make_eth(frame, PEER_MAC, GUEST_MAC, 1514, i % 3);
		sent_as_it_is(i, frame, 1514);
	}
	rig_down();
}
END_TEST

/* Cut into the smallest pieces for who cannot do that itself: the loop is everybody's. */
START_TEST(a_drain_sends_no_more_pieces_than_frames)
{
	uint32_t len = make_ip4(frame, OTHER_MAC, GUEST_MAC, 6, 1000, true), n = 0, i, done = 0;
	uint8_t ppi[16];
	uint32_t info = put_info(ppi, RNDIS_INFO_LSO, RNDIS_LSO_V2 | 34u << 20 | 1);
	struct mock_net_packet p;
	struct vsw_port_stats st;
	uint64_t id[8];

	other.forgetful = true;
	for (i = 0; i < 5; i++)
		n += mock_net_packet(msg + n, frame, len, ppi, info, true);
	for (i = 0; i < 8; i++)
		id[i] = mock_net_send_section(&g, 0, i, msg, n);
	vmbus_chan_flush(g.chan[0]);
	ck_assert(fake_bus_drain(bus, 0, 0));
	vsw_port_stats(other.port, &st);
	ck_assert_uint_gt(st.out.frames, 0);
	ck_assert_uint_le(st.out.bytes, (256u << 10) + 1000 * 55);
	mock_net_run(&g);
	vsw_port_stats(other.port, &st);
	ck_assert_uint_eq(st.out.frames, 8 * 5 * 1000);
	while (mock_net_poll(&g, 0, &p)) {
		ck_assert_uint_eq(p.id, id[done++]);
		ck_assert_uint_eq(p.payload[4], NVSP_STATUS_SUCCESS);
	}
	ck_assert_uint_eq(done, 8);
	ck_assert_uint_eq(stats().tx_frames, 8 * 5);
}
END_TEST

START_TEST(a_channel_closes_while_a_request_is_held)
{
	struct netvsp_config cfg = rig_trunk();
	uint32_t i, n = mock_net_packet(msg, frame, make_eth(frame, PEER_MAC, GUEST_MAC, 1514, 0),
					NULL, 0, 0);

	cfg.policy.bps = 1000000;
	cfg.policy.burst = 1514;
	rig_up(&cfg);
	mock_net_start(&g, bus);
	for (i = 0; i < 4; i++)
		mock_net_send_section(&g, 0, i, msg, n);
	mock_net_run(&g);
	ck_assert_uint_lt(peer.n, 4);
	fake_bus_close(bus, 0, 0);
	fake_bus_settle(bus, 10);
	pass(1000000000);
	ck_assert_uint_lt(peer.n, 4);
	rig_down();
}
END_TEST

START_TEST(completions_wait_for_room_and_none_is_lost)
{
	uint32_t n = mock_net_packet(msg, frame, make_eth(frame, PEER_MAC, GUEST_MAC, 60, 0), NULL,
				     0, false),
		 sent = 0, got = 0, idle = 0;
	uint64_t expect = g.next_id;
	struct mock_net_packet p;

	peer.forgetful = true;
	/* The guest does not read its ring: no more is taken than can be answered. */
	while (sent < 6000 && idle < 3) {
		if (mock_net_send_section(&g, 0, 0, msg, n)) {
			sent++;
			idle = 0;
		} else {
			g.next_id--; /* it was not used */
			idle++;
		}
		vmbus_chan_flush(g.chan[0]);
		if (sent % 32 == 0 || idle)
			fake_bus_settle(bus, 50);
	}
	ck_assert_uint_lt(sent, 6000);
	ck_assert_uint_gt(sent, stats().tx_requests);
	for (idle = 0; idle < 3; idle++)
		while (mock_net_recv(&g, 0, &p)) {
			ck_assert_uint_eq(p.type, VMPKT_COMPLETION);
			ck_assert_uint_eq(p.id, expect++);
			got++;
			idle = 0;
		}
	ck_assert_uint_eq(got, sent);
	ck_assert_uint_eq(stats().tx_frames, sent);
}
END_TEST

/* ---- sub-channels
 * ------------------------------------------------------------------------------------
 */

START_TEST(completed_on_the_channel_it_came_from)
{
	uint32_t n = mock_net_packet(msg, frame, make_eth(frame, PEER_MAC, GUEST_MAC, 60, 0), NULL,
				     0, false);
	struct mock_net_packet p;
	uint64_t id;

	ck_assert_uint_eq(mock_net_subchannels(&g, 3), 3);
	id = mock_net_send_section(&g, 2, 1, msg, n);
	ck_assert_uint_eq(completion_of(2, id), NVSP_STATUS_SUCCESS);
	while (mock_net_poll(&g, 0, &p)) /* the send table may be there */
		ck_assert_uint_ne(p.type, VMPKT_COMPLETION);
	sent_as_it_is(0, frame, 60);
}
END_TEST

START_TEST(n34_sub_channel_before_the_table_and_after_the_primary)
{
	uint32_t n = mock_net_packet(msg, frame, make_eth(frame, PEER_MAC, GUEST_MAC, 60, 0), NULL,
				     0, false);
	uint64_t id;

	ck_assert_uint_eq(mock_net_subchannels(&g, 2), 2);
	fake_bus_close(bus, 0, 2);
	g.chan[2] = NULL;
	fake_bus_settle(bus, 10);
	id = mock_net_send_section(&g, 1, 1, msg, n); /* a table with one that is closed */
	ck_assert_uint_eq(completion_of(1, id), NVSP_STATUS_SUCCESS);
	fake_bus_close(bus, 0, 0);
	g.chan[0] = NULL;
	fake_bus_settle(bus, 10);
	mock_net_send_section(&g, 1, 1, msg, n);
	vmbus_chan_flush(g.chan[1]);
	fake_bus_settle(bus, 10);
	ck_assert_uint_eq(peer.n, 1);
	ck_assert_str_eq(stats().state, "closed");
}
END_TEST

static Suite *tx_suite(void)
{
	Suite *s = suite_create("netvsp_tx");
	TCase *t = tcase_create("forms");

	tcase_add_checked_fixture(t, setup, rig_down);
	tcase_add_test(t, buffered);
	tcase_add_test(t, direct_in_any_number_of_pieces);
	tcase_add_test(t, mixed);
	tcase_add_test(t, n11_empty);
	tcase_add_test(t, no_completion_when_none_is_asked_for);
	tcase_add_test(t, several_frames_of_one_request);
	tcase_add_test(t, o3_and_e11_buffered);
	tcase_add_test(t, o4_direct_with_a_range_of_several_pages);
	tcase_add_test(t, o5_direct_on_a_sub_channel);
	tcase_add_test(t, o6_mixed_with_three_frames_before);
	tcase_add_test(t, e12_direct_and_e14_its_completion);
	tcase_add_test(t, r11_arp_and_r12_two_in_one);
	tcase_add_test(t, r82_udp_checksum);
	tcase_add_test(t, r82_lso);
	tcase_add_test(t, r82_vlan_and_checksum);
	tcase_add_test(t, r82_aggregated_and_r14_all_elements);
	tcase_add_test(t, largest_lso_frame);
	tcase_add_test(t, lso_of_one_segment_is_a_checksum);
	tcase_add_test(t, tag_in_the_frame_is_taken_out);
	suite_add_tcase(s, t);

	t = tcase_create("hostile");
	tcase_add_checked_fixture(t, setup, rig_down);
	tcase_add_test(t, n10_section_out_of_range);
	tcase_add_test(t, n10_pages_outside_of_memory);
	tcase_add_loop_test(t, n12_message_length, 0, 6);
	tcase_add_loop_test(t, n12_shorter_than_a_header, 0, 43);
	tcase_add_test(t, n13_good_frames_before_a_bad_one_are_sent_once);
	tcase_add_test(t, n13_junk_behind_the_last);
	tcase_add_test(t, n13_more_messages_than_are_read);
	tcase_add_loop_test(t, n14_n15_offsets_and_lengths, 0, ARRAY_SIZE(wild));
	tcase_add_loop_test(t, n15_broken_elements, 0, ARRAY_SIZE(elements));
	tcase_add_test(t, n16_first_of_many_elements_counts);
	tcase_add_test(t, n17_fields_nobody_uses_are_ignored);
	tcase_add_test(t, n18_headers_across_pages_and_ranges);
	tcase_add_loop_test(t, n19_runts_and_giants, 0, 6);
	tcase_add_test(t, n19_a_frame_longer_than_ip_allows);
	tcase_add_test(t, n20_checksum_of_any_shape);
	tcase_add_loop_test(t, n21_lso_nonsense, 0, ARRAY_SIZE(bad_lso));
	tcase_add_test(t, n21_lso_headers_that_do_not_fit);
	tcase_add_loop_test(t, n22_ip_length_comes_from_the_frame, 0, 4);
	tcase_add_test(t, n23_tags_out_of_the_ordinary);
	tcase_add_test(t, packet_type_on_the_wrong_channel);
	tcase_add_test(t, control_on_a_sub_channel);
	tcase_add_test(t, behind_a_halt);
	tcase_add_test(t, n34_sub_channel_before_the_table_and_after_the_primary);
	tcase_add_test(t, completed_on_the_channel_it_came_from);
	tcase_add_test(t, completions_wait_for_room_and_none_is_lost);
	tcase_add_test(t, a_drain_sends_no_more_pieces_than_frames);
	suite_add_tcase(s, t);

	t = tcase_create("states");
	tcase_add_test(t, before_the_filter_is_set);
	tcase_add_test(t, without_a_send_buffer);
	tcase_add_test(t, a_limited_port_leaves_requests_in_the_ring);
	tcase_add_test(t, a_channel_closes_while_a_request_is_held);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	SRunner *run = srunner_create(tx_suite());
	int failed;

	srunner_run_all(run, CK_ENV);
	failed = srunner_ntests_failed(run);
	srunner_free(run);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
