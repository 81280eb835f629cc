/* SPDX-License-Identifier: MIT */
/* What the switch does in software for a receiver: tags, checksums, segments; and refuses. */
#include "tests/ut/vsp/vsw_rig.h"

#include "base/net/csum.h"

#define PEERS 4

static struct rig_port a, peer[PEERS], up;
static struct packet k;

static void set_caps(struct rig_port *r, uint32_t caps)
{
	vsw_port_set_caps(r->p, caps, 0);
}

static void setup(void)
{
	char name[8];

	rig_switch(false);
	rig_guest(&a, "a", 1);
	for (uint8_t i = 0; i < PEERS; i++) {
		snprintf(name, sizeof(name), "p%u", i);
		rig_guest(&peer[i], name, (uint8_t)(2 + i));
	}
	rig_uplink(&up);
	set_caps(&up, 0);
}

static void teardown(void)
{
	rig_disconnect(&a);
	for (int i = 0; i < PEERS; i++)
		rig_disconnect(&peer[i]);
	rig_disconnect(&up);
	rig_end();
}

/* ---- frames: TCP over IPv4 or IPv6, and UDP, with partial checksums ------------------------- */

static uint16_t folded_pseudo(uint32_t l4, bool ip6, uint8_t protocol)
{
	const uint8_t *addresses = k.b + 14 + (ip6 ? 8 : 12);
	uint32_t sum = net_csum_add(0, addresses, ip6 ? 32 : 8);
	uint8_t tail[8] = { 0 };

	be32_put(tail, k.len - l4);
	tail[7] = protocol;
	return net_csum_fold(net_csum_add(sum, tail, sizeof(tail)));
}

/* The header in front of a transport packet of @len bytes; where that begins. */
static uint32_t put_ip(bool ip6, uint8_t protocol, uint32_t len, const uint8_t *dst)
{
	uint8_t ip4[20] = { 0x45, 0, 0,	 0, 0, 7, 0x40, 0, 64, protocol,
			    0,	  0, 10, 0, 0, 1, 10,	0, 0,  2 };
	uint8_t ip[40] = { 0x60, 0, 0, 0, 0, 0, protocol, 64, 0xfd };
	uint16_t sum;

	pkt_begin(&k, dst, a.mac, ip6 ? NET_ETHERTYPE_IP6 : NET_ETHERTYPE_IP4);
	if (ip6) {
		be16_put(ip + 4, (uint16_t)len);
		pkt_put(&k, ip, sizeof(ip));
	} else {
		be16_put(ip4 + 2, (uint16_t)(20 + len));
		sum = net_csum_ip4(ip4, 20);
		memcpy(ip4 + 10, &sum, 2);
		pkt_put(&k, ip4, sizeof(ip4));
	}
	return k.len;
}

static void put_payload(uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		k.b[k.len++] = (uint8_t)(i * 7 + i / 251);
}

static void finish(uint32_t l4, bool ip6, uint8_t protocol, uint16_t field)
{
	uint16_t sum = folded_pseudo(l4, ip6, protocol);

	memcpy(k.b + l4 + field, &sum, 2);
	k.meta.csum = NET_CSUM_PARTIAL;
	k.meta.csum_start = (uint16_t)l4;
	k.meta.csum_offset = field;
}

static void make_udp(const uint8_t *dst, uint32_t payload)
{
	uint32_t l4 = put_ip(false, 17, 8 + payload, dst);
	uint8_t udp[8] = { 0, 53, 0, 99 };

	be16_put(udp + 4, (uint16_t)(8 + payload));
	pkt_put(&k, udp, sizeof(udp));
	put_payload(payload);
	finish(l4, false, 17, 6);
}

static void make_tcp(const uint8_t *dst, bool ip6, uint32_t payload, uint16_t mss)
{
	const uint8_t tcp[20] = {
		4, 0xd2, 0x13, 0x89, 0, 0, 3, 0xe8, 0, 0, 0, 1, 0x50, 0x18, 0xff
	};
	uint32_t l4 = put_ip(ip6, 6, 20 + payload, dst);

	pkt_put(&k, tcp, sizeof(tcp));
	put_payload(payload);
	finish(l4, ip6, 6, 16);
	if (!mss)
		return;
	k.meta.gso = ip6 ? NET_GSO_TCP6 : NET_GSO_TCP4;
	k.meta.gso_size = mss;
	k.meta.header_len = (uint16_t)(l4 + 20);
}

/* Is what @r got last a whole packet with right sums? Read without any of the code under test. */
static bool is_complete(const struct rig_port *r, uint32_t eth)
{
	const uint8_t *ip = r->frame + eth, *l4;
	bool ip6 = ip[0] >> 4 == 6;
	uint32_t len = r->len - eth - (ip6 ? 40 : 20), sum = 0, i;

	l4 = ip + (ip6 ? 40 : 20);
	if (be16_at(ip + (ip6 ? 4 : 2)) != (ip6 ? len : len + 20))
		return false;
	for (i = 0; !ip6 && i < 20; i += 2)
		sum += be16_at(ip + i);
	if (!ip6 && sum % 65535)
		return false;
	sum = len + ip[ip6 ? 6 : 9];
	for (i = 0; i < (ip6 ? 32 : 8); i += 2)
		sum += be16_at(ip + (ip6 ? 8 : 12) + i);
	for (i = 0; i < len; i++)
		sum += (uint32_t)l4[i] << (i % 2 ? 0 : 8);
	return sum % 65535 == 0;
}

/* ---- tags and checksums -----------------------------------------------------------------------
 */

START_TEST(as_it_is_for_those_who_can)
{
	make_udp(peer[0].mac, 500);
	ck_assert_int_eq(rig_send(&a, &k), VSW_FORWARDED);
	ck_assert_int_eq(peer[0].meta.csum, NET_CSUM_PARTIAL);
	ck_assert_mem_eq(peer[0].frame, k.b, k.len);
	ck_assert_uint_eq(rig_stats(&peer[0]).checksummed, 0);
}
END_TEST

START_TEST(checksums_are_completed_for_the_others)
{
	for (uint32_t payload = 0; payload < 600; payload += 37) {
		make_udp(peer[0].mac, payload);
		set_caps(&peer[0], VSW_CAN_VLAN);
		ck_assert_int_eq(rig_send(&a, &k), VSW_FORWARDED);
		ck_assert_int_eq(peer[0].meta.csum, NET_CSUM_GOOD);
		ck_assert_uint_eq(peer[0].len, k.len);
		ck_assert(is_complete(&peer[0], 14));
		make_tcp(peer[0].mac, payload % 2, payload, 0);
		ck_assert_int_eq(rig_send(&a, &k), VSW_FORWARDED);
		ck_assert(is_complete(&peer[0], 14));
	}
	ck_assert_uint_eq(rig_stats(&peer[0]).checksummed, 34);
}
END_TEST

/* A flood to all kinds at once: nobody sees what was done for another. */
START_TEST(each_receiver_gets_its_own_kind)
{
	struct vsw_policy access = { .vlan_mode = VSW_ACCESS, .vlan = 100 };
	struct vsw_policy trunk = { .vlan_mode = VSW_TRUNK };
	const uint32_t caps[PEERS] = { VSW_CAN_CSUM | VSW_CAN_VLAN, VSW_CAN_CSUM, VSW_CAN_VLAN, 0 };

	memset(trunk.allowed, 0xff, sizeof(trunk.allowed));
	rig_set(&a, &access);
	for (int i = 0; i < PEERS; i++) {
		rig_set(&peer[i], &trunk);
		set_caps(&peer[i], caps[i]);
	}
	make_udp(rig_broadcast, 333);
	ck_assert_int_eq(rig_send(&a, &k), VSW_FORWARDED);
	for (int i = 0; i < PEERS; i++) {
		bool inside = !(caps[i] & VSW_CAN_VLAN);
		uint32_t eth = inside ? 18 : 14;

		ck_assert_uint_eq(peer[i].got, 1);
		ck_assert_uint_eq(peer[i].len, k.len + (inside ? 4 : 0));
		ck_assert_int_eq(peer[i].meta.tagged, !inside);
		if (inside)
			ck_assert_mem_eq(peer[i].frame + 12, "\x81\x00\x00\x64\x08\x00", 6);
		else
			ck_assert_uint_eq(peer[i].meta.vlan_tci, 100);
		ck_assert_int_eq(is_complete(&peer[i], eth), !(caps[i] & VSW_CAN_CSUM));
		if (caps[i] & VSW_CAN_CSUM) {
			ck_assert_int_eq(peer[i].meta.csum, NET_CSUM_PARTIAL);
			ck_assert_uint_eq(peer[i].meta.csum_start, eth + 20);
		} else {
			ck_assert_int_eq(peer[i].meta.csum, NET_CSUM_GOOD);
		}
	}
}
END_TEST

/* The worked example: VLAN 100 with priority 3 in front of an ARP frame. */
START_TEST(a_tag_in_the_frame)
{
	struct vsw_policy access = { .vlan_mode = VSW_ACCESS, .vlan = 100, .priority_tag = true };
	const uint8_t want[6] = { 0x81, 0x00, 0x60, 0x64, 0x88, 0xb5 };

	rig_set(&a, &access);
	pkt_plain(&k, rig_broadcast, a.mac);
	pkt_tag(&k, 0x6000);
	ck_assert_int_eq(rig_send(&a, &k), VSW_FORWARDED);
	ck_assert_uint_eq(up.len, 64);
	ck_assert_mem_eq(up.frame, k.b, 12);
	ck_assert_mem_eq(up.frame + 12, want, sizeof(want));
	ck_assert_mem_eq(up.frame + 18, k.b + 14, 46);
	ck_assert(!up.meta.tagged);
}
END_TEST

/* ---- segments -----------------------------------------------------------------------------------
 */

START_TEST(large_frames_stay_large_for_those_who_can)
{
	make_tcp(peer[0].mac, false, 60000, 1460);
	ck_assert_int_eq(rig_send(&a, &k), VSW_FORWARDED);
	ck_assert_uint_eq(peer[0].got, 1);
	ck_assert_uint_eq(peer[0].len, k.len);
	ck_assert_int_eq(peer[0].meta.gso, NET_GSO_TCP4);
	ck_assert_mem_eq(peer[0].frame, k.b, k.len);
	set_caps(&peer[0], VSW_CAN_TSO4); /* nobody segments who cannot sum */
	ck_assert_int_eq(rig_send(&a, &k), VSW_FORWARDED);
	ck_assert_uint_eq(peer[0].got, 1 + 42);
}
END_TEST

START_TEST(segments_for_the_others)
{
	for (int ip6 = 0; ip6 < 2; ip6++) {
		uint32_t got = peer[0].got, header = ip6 ? 74 : 54;

		set_caps(&peer[0], VSW_CAN_CSUM | (ip6 ? VSW_CAN_TSO4 : VSW_CAN_TSO6));
		make_tcp(peer[0].mac, ip6, 4381, 1400);
		ck_assert_int_eq(rig_send(&a, &k), VSW_FORWARDED);
		ck_assert_uint_eq(peer[0].got - got, 4);
		ck_assert_uint_eq(peer[0].len, header + 181);
		ck_assert(is_complete(&peer[0], 14));
		ck_assert_int_eq(peer[0].meta.gso, NET_GSO_NONE);
		ck_assert_uint_eq(be32_at(peer[0].frame + header - 16), 1000 + 4200);
		ck_assert_mem_eq(peer[0].frame + header, k.b + header + 4200, 181);
	}
	ck_assert_uint_eq(rig_stats(&peer[0]).segmented, 2);
	ck_assert_uint_eq(rig_stats(&peer[0]).out.frames, 8);
	ck_assert_uint_eq(rig_stats(&a).in.frames, 2);
}
END_TEST

START_TEST(segments_and_whole_ones_in_one_flood)
{
	struct vsw_policy access = { .vlan_mode = VSW_ACCESS, .vlan = 100 };
	const uint8_t group[NET_MAC_LEN] = { 3, 0, 0, 0, 0, 1 };

	rig_set(&a, &access);
	for (int i = 0; i < PEERS; i++)
		rig_set(&peer[i], &access);
	set_caps(&peer[1], VSW_CAN_VLAN);
	set_caps(&peer[2], 0);
	peer[2].take = 2;
	make_tcp(group, false, 5000, 1000);
	ck_assert_int_eq(rig_send(&a, &k), VSW_FORWARDED);
	ck_assert_uint_eq(peer[0].got, 1);
	ck_assert_uint_eq(peer[1].got, 5);
	ck_assert(is_complete(&peer[1], 14));
	ck_assert_uint_eq(peer[2].got, 2); /* and the rest not even tried */
	ck_assert_uint_eq(rig_drop_out(&peer[2], VSW_DROP_NO_BUFFER), 3);
	ck_assert_uint_eq(peer[3].got, 1);
	ck_assert_uint_eq(up.got, 5);
	ck_assert_uint_eq(up.len, 54 + 1000 + 4);
	ck_assert(is_complete(&up, 18));
	vsw_flush(sw);
	ck_assert_uint_eq(peer[2].flushed, 1);
}
END_TEST

START_TEST(nobody_takes_a_segment)
{
	set_caps(&peer[0], 0);
	peer[0].take = 0;
	make_tcp(peer[0].mac, false, 5000, 1000);
	ck_assert_int_eq(rig_send(&a, &k), VSW_DROP_NO_BUFFER);
	ck_assert_uint_eq(rig_drop_out(&peer[0], VSW_DROP_NO_BUFFER), 5);
	ck_assert_uint_eq(rig_drop_in(&a, VSW_DROP_NO_BUFFER), 1);
}
END_TEST

/* ---- what is too long, or makes no sense -------------------------------------------------------
 */

START_TEST(lengths)
{
	const uint32_t most = 1514;

	pkt_plain(&k, peer[0].mac, a.mac);
	k.len = most;
	ck_assert_int_eq(rig_send(&a, &k), VSW_FORWARDED);
	k.len = most + 1;
	ck_assert_int_eq(rig_send(&a, &k), VSW_DROP_MALFORMED);
	k.len = NET_ETH_LEN;
	ck_assert_int_eq(rig_send(&a, &k), VSW_FORWARDED);
	vsw_port_set_caps(a.p, RIG_ALL, 9000);
	k.len = 9014;
	ck_assert_int_eq(rig_send(&a, &k), VSW_DROP_MTU);
	ck_assert_uint_eq(rig_drop_out(&peer[0], VSW_DROP_MTU), 1);
	vsw_port_set_caps(peer[0].p, RIG_ALL, 9000);
	ck_assert_int_eq(rig_send(&a, &k), VSW_FORWARDED);
	ck_assert_uint_eq(peer[0].len, 9014);
	/* Of a large frame the segments must fit. */
	make_tcp(peer[1].mac, false, 9000, 1461);
	ck_assert_int_eq(rig_send(&a, &k), VSW_DROP_MTU);
	make_tcp(peer[1].mac, false, 9000, 1460);
	ck_assert_int_eq(rig_send(&a, &k), VSW_FORWARDED);
	make_tcp(peer[1].mac, false, 65535 - 40, 1460);
	ck_assert_int_eq(rig_send(&a, &k), VSW_FORWARDED);
}
END_TEST

START_TEST(a_tag_on_the_wire_is_not_part_of_the_mtu)
{
	struct vsw_policy trunk = { .vlan_mode = VSW_TRUNK };

	memset(trunk.allowed, 0xff, sizeof(trunk.allowed));
	rig_set(&a, &trunk);
	pkt_plain(&k, rig_broadcast, a.mac);
	k.len = 1514;
	pkt_tag(&k, 10);
	ck_assert_int_eq(rig_send(&a, &k), VSW_FORWARDED);
	ck_assert_uint_eq(up.len, 1518);
	pkt_plain(&k, rig_broadcast, a.mac);
	k.len = 1514;
	pkt_tag_inside(&k, NET_ETHERTYPE_VLAN, 11);
	pkt_tag_inside(&k, NET_ETHERTYPE_VLAN, 10);
	ck_assert_int_eq(rig_send(&a, &k), VSW_FORWARDED);
	ck_assert_uint_eq(up.len, 1522);
}
END_TEST

static void make_any(void)
{
	make_tcp(peer[0].mac, false, 4000, 1000);
}

START_TEST(offloads_that_make_no_sense)
{
#define SENSELESS(change)                                                                          \
	do {                                                                                       \
		make_any();                                                                        \
		change;                                                                            \
		ck_assert_int_eq(rig_send(&a, &k), VSW_DROP_MALFORMED);                            \
	} while (0)
	make_any();
	ck_assert_int_eq(rig_send(&a, &k), VSW_FORWARDED);
	SENSELESS(k.meta.gso_size = 0);
	SENSELESS(k.meta.gso_size = 1); /* 4,000 segments */
	SENSELESS(k.meta.gso = NET_GSO_TCP6);
	SENSELESS(k.meta.gso = 3);
	SENSELESS(k.meta.csum = NET_CSUM_GOOD);
	SENSELESS(k.meta.csum = 3);
	SENSELESS(k.meta.header_len = 53);
	SENSELESS(k.meta.header_len = 0xffff);
	SENSELESS(k.meta.csum_start = 35);
	SENSELESS(k.meta.csum_start = 0);
	SENSELESS(k.meta.csum_start = 0xffff);
	SENSELESS(k.meta.csum_offset = 6);
	SENSELESS(k.meta.csum_offset = 0xffff);
	SENSELESS(k.b[23] = 17);			    /* UDP */
	SENSELESS(k.b[23] = 1);				    /* no checksum of this kind */
	SENSELESS(k.b[20] |= 0x20);			    /* a fragment */
	SENSELESS(k.b[14] = 0x44);			    /* no IP header */
	SENSELESS(k.b[46] = 0x40);			    /* no TCP header */
	SENSELESS(k.b[46] = 0xf0);			    /* as long as never said */
	SENSELESS(k.len = 54);				    /* no payload */
	SENSELESS(be16_put(k.b + 16, 30));		    /* ends before the field */
	SENSELESS((k.meta.gso = 0, k.meta.header_len = 0)); /* longer than the MTU */
	SENSELESS(k.copy = 40);				    /* headers not in the private copy */
	ck_assert_uint_eq(peer[0].got, 1);
}
END_TEST

START_TEST(runts)
{
	struct net_frame f = { .head = k.b, .len = 1000, .head_len = 13 };

	make_any();
	ck_assert_int_eq(vsw_input(a.p, &f), VSW_DROP_MALFORMED);
	f.len = f.head_len = 0;
	ck_assert_int_eq(vsw_input(a.p, &f), VSW_DROP_MALFORMED);
	f.len = 20;
	f.head_len = 30;
	ck_assert_int_eq(vsw_input(a.p, &f), VSW_DROP_MALFORMED);
	/* Nothing is left of it when its tag is taken out. */
	pkt_begin(&k, rig_broadcast, a.mac, NET_ETHERTYPE_VLAN);
	f = (struct net_frame){ .head = k.b, .len = 14, .head_len = 14 };
	ck_assert_int_ne(vsw_input(a.p, &f), VSW_FORWARDED);
	ck_assert_uint_eq(rig_stats(&a).in.frames, 4);
	ck_assert_uint_eq(rig_drop_in(&a, VSW_DROP_MALFORMED), 3);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vsp/vswitch_offload");
	TCase *tc = tcase_create("offload");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, as_it_is_for_those_who_can);
	tcase_add_test(tc, checksums_are_completed_for_the_others);
	tcase_add_test(tc, each_receiver_gets_its_own_kind);
	tcase_add_test(tc, a_tag_in_the_frame);
	tcase_add_test(tc, large_frames_stay_large_for_those_who_can);
	tcase_add_test(tc, segments_for_the_others);
	tcase_add_test(tc, segments_and_whole_ones_in_one_flood);
	tcase_add_test(tc, nobody_takes_a_segment);
	tcase_add_test(tc, lengths);
	tcase_add_test(tc, a_tag_on_the_wire_is_not_part_of_the_mtu);
	tcase_add_test(tc, offloads_that_make_no_sense);
	tcase_add_test(tc, runts);
	suite_add_tcase(s, tc);
	return rig_main(s);
}
