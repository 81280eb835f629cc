/* SPDX-License-Identifier: MIT */
/* What a port may send: source addresses, VLANs, guards, storms, bandwidth; every reason to drop.
 */
#include "base/net/gso.h"
#include "tests/ut/vsp/vsw_rig.h"
#include "vsp/netvsp/meter.h"

static struct rig_port a, b, up;
static struct packet k;
static const uint8_t unknown[NET_MAC_LEN] = { 2, 0, 0, 0, 9, 9 };
static const uint8_t far_away[NET_MAC_LEN] = { 2, 0, 0, 0, 7, 7 };

static void setup(void)
{
	rig_switch(false);
	rig_guest(&a, "a", 1);
	rig_guest(&b, "b", 2);
	rig_uplink(&up);
}

static void teardown(void)
{
	if (a.p)
		rig_disconnect(&a);
	if (b.p)
		rig_disconnect(&b);
	if (up.p)
		rig_disconnect(&up);
	rig_end();
}

static void set_trunk(struct rig_port *r, uint16_t native, uint16_t one, uint16_t two)
{
	struct vsw_policy policy = { .vlan_mode = VSW_TRUNK, .vlan = native };

	policy.allowed[one / 8] |= (uint8_t)(1 << one % 8);
	policy.allowed[two / 8] |= (uint8_t)(1 << two % 8);
	rig_set(r, &policy);
}

static void set_access(struct rig_port *r, uint16_t id)
{
	rig_set(r, &(struct vsw_policy){ .vlan_mode = VSW_ACCESS, .vlan = id });
}

/* ---- source address, ARP, ND ---------------------------------------------------------------- */

START_TEST(n40_only_the_own_source_address)
{
	const uint8_t zero[NET_MAC_LEN] = { 0 }, multicast[NET_MAC_LEN] = { 3 };

	ck_assert_int_eq(rig_send_plain(&a, b.mac, unknown), VSW_DROP_SOURCE_MAC);
	ck_assert_int_eq(rig_send_plain(&a, b.mac, b.mac), VSW_DROP_SOURCE_MAC);
	ck_assert_int_eq(rig_send_plain(&a, b.mac, zero), VSW_DROP_SOURCE_MAC);
	ck_assert_int_eq(rig_send_plain(&a, b.mac, multicast), VSW_DROP_SOURCE_MAC);
	ck_assert_int_eq(rig_send_plain(&up, b.mac, zero), VSW_DROP_SOURCE_MAC);
	ck_assert_int_eq(rig_send_plain(&up, b.mac, rig_broadcast), VSW_DROP_SOURCE_MAC);
	ck_assert_int_eq(rig_send_plain(&a, b.mac, a.mac), VSW_FORWARDED);
	ck_assert_uint_eq(b.got, 1);
}
END_TEST

static void put_arp(const uint8_t *sender, uint16_t ethertype)
{
	static const uint8_t fixed[8] = { 0, 1, 8, 0, 6, 4, 0, 2 };
	uint8_t rest[14] = { 10, 0, 0, 1 };

	pkt_begin(&k, rig_broadcast, a.mac, ethertype);
	pkt_put(&k, fixed, sizeof(fixed));
	pkt_put(&k, sender, NET_MAC_LEN);
	pkt_put(&k, rest, sizeof(rest));
}

START_TEST(arp_speaks_of_the_own_address)
{
	struct vsw_policy spoof = { .mac_spoofing = true };

	put_arp(a.mac, NET_ETHERTYPE_ARP);
	ck_assert_int_eq(rig_send(&a, &k), VSW_FORWARDED);
	put_arp(b.mac, NET_ETHERTYPE_ARP);
	ck_assert_int_eq(rig_send(&a, &k), VSW_DROP_SOURCE_MAC);
	put_arp(b.mac, 0x8035);
	ck_assert_int_eq(rig_send(&a, &k), VSW_DROP_SOURCE_MAC);
	put_arp(a.mac, NET_ETHERTYPE_ARP);
	k.len--; /* too short to be one */
	ck_assert_int_eq(rig_send(&a, &k), VSW_DROP_SOURCE_MAC);
	put_arp(a.mac, NET_ETHERTYPE_ARP);
	k.b[18] = 8; /* length of a hardware address */
	ck_assert_int_eq(rig_send(&a, &k), VSW_DROP_SOURCE_MAC);
	rig_set(&a, &spoof);
	put_arp(b.mac, NET_ETHERTYPE_ARP);
	ck_assert_int_eq(rig_send(&a, &k), VSW_FORWARDED);
}
END_TEST

START_TEST(arp_behind_a_second_tag)
{
	set_trunk(&a, 0, 10, 20);
	put_arp(b.mac, NET_ETHERTYPE_ARP);
	pkt_tag_inside(&k, NET_ETHERTYPE_VLAN, 20);
	pkt_tag(&k, 10);
	ck_assert_int_eq(rig_send(&a, &k), VSW_DROP_SOURCE_MAC);
	put_arp(a.mac, NET_ETHERTYPE_ARP);
	pkt_tag_inside(&k, NET_ETHERTYPE_VLAN, 20);
	pkt_tag(&k, 10);
	ck_assert_int_eq(rig_send(&a, &k), VSW_FORWARDED);
}
END_TEST

/* An IPv6 header for what follows it; its length is set by ip6_end(). */
static void ip6_begin(uint8_t next)
{
	uint8_t ip[40] = { 0x60, 0, 0, 0, 0, 0, next, 255 };

	ip[8] = ip[24] = 0xfe;
	pkt_begin(&k, rig_broadcast, a.mac, NET_ETHERTYPE_IP6);
	pkt_put(&k, ip, sizeof(ip));
}

static void ip6_end(void)
{
	be16_put(k.b + 18, (uint16_t)(k.len - 54));
}

static void put_fill(uint32_t len)
{
	static const uint8_t zeroes[1024];

	pkt_put(&k, zeroes, len);
}

static void put_extension(uint8_t next, uint8_t units)
{
	const uint8_t ext[2] = { next, units };

	pkt_put(&k, ext, sizeof(ext));
	put_fill(6 + units * 8u);
}

static void put_fragment(uint8_t next, uint16_t offset, bool more)
{
	uint8_t ext[8] = { next };

	be16_put(ext + 2, (uint16_t)(offset | more));
	pkt_put(&k, ext, sizeof(ext));
}

static void put_icmp6(uint8_t type, uint32_t len)
{
	const uint8_t head[4] = { type };

	pkt_put(&k, head, sizeof(head));
	put_fill(len - 4);
}

static void put_nd_option(uint8_t type, uint8_t units, const uint8_t *mac)
{
	const uint8_t head[2] = { type, units };

	pkt_put(&k, head, sizeof(head));
	pkt_put(&k, mac, NET_MAC_LEN);
}

static enum vsw_drop nd(uint8_t type, uint32_t fixed, uint8_t option, const uint8_t *mac)
{
	ip6_begin(58);
	put_icmp6(type, fixed);
	put_nd_option(option, 1, mac);
	ip6_end();
	return rig_send(&a, &k);
}

START_TEST(nd_speaks_of_the_own_address)
{
	static const struct {
		uint8_t type;
		uint8_t fixed;
	} nds[] = { { 133, 8 }, { 134, 16 }, { 135, 24 }, { 136, 24 }, { 137, 40 } };

	for (size_t i = 0; i < ARRAY_SIZE(nds); i++) {
		for (uint8_t option = 1; option <= 2; option++) {
			ck_assert_int_eq(nd(nds[i].type, nds[i].fixed, option, a.mac),
					 VSW_FORWARDED);
			ck_assert_int_eq(nd(nds[i].type, nds[i].fixed, option, b.mac),
					 VSW_DROP_SOURCE_MAC);
		}
		ck_assert_int_eq(nd(nds[i].type, nds[i].fixed, 14, b.mac), VSW_FORWARDED);
	}
	ck_assert_int_eq(nd(128, 24, 1, b.mac), VSW_FORWARDED); /* an echo */
}
END_TEST

START_TEST(nd_that_hides_its_options)
{
	ip6_begin(58); /* behind another option */
	put_icmp6(136, 24);
	put_nd_option(14, 1, b.mac);
	put_nd_option(2, 1, b.mac);
	ip6_end();
	ck_assert_int_eq(rig_send(&a, &k), VSW_DROP_SOURCE_MAC);
	ip6_begin(58); /* without a length */
	put_icmp6(136, 24);
	put_nd_option(14, 0, b.mac);
	ip6_end();
	ck_assert_int_eq(rig_send(&a, &k), VSW_DROP_SOURCE_MAC);
	ip6_begin(0); /* behind extension headers */
	put_extension(60, 0);
	put_extension(58, 1);
	put_icmp6(136, 24);
	put_nd_option(2, 1, b.mac);
	ip6_end();
	ck_assert_int_eq(rig_send(&a, &k), VSW_DROP_SOURCE_MAC);
	ip6_begin(44); /* in a fragment */
	put_fragment(58, 0, true);
	put_icmp6(136, 24);
	ip6_end();
	ck_assert_int_eq(rig_send(&a, &k), VSW_DROP_SOURCE_MAC);
	ip6_begin(58); /* cut off */
	put_icmp6(136, 20);
	ip6_end();
	ck_assert_int_eq(rig_send(&a, &k), VSW_DROP_SOURCE_MAC);
	ip6_begin(44); /* a long echo is nothing of that */
	put_fragment(58, 0, true);
	put_icmp6(128, 24);
	ip6_end();
	ck_assert_int_eq(rig_send(&a, &k), VSW_FORWARDED);
	ip6_begin(44);
	put_fragment(58, 1024, false);
	put_fill(64);
	ip6_end();
	ck_assert_int_eq(rig_send(&a, &k), VSW_FORWARDED);
}
END_TEST

/* The private copy is 128 bytes at first: what lies further on is fetched. */
START_TEST(nd_that_is_long)
{
	for (int own = 0; own < 2; own++) {
		ip6_begin(58);
		put_icmp6(134, 16);
		for (int i = 0; i < 10; i++)
			put_nd_option(14, 1, b.mac);
		put_nd_option(1, 1, own ? a.mac : b.mac);
		ip6_end();
		ck_assert_uint_gt(k.len, NET_HEAD_FIRST);
		ck_assert_int_eq(rig_send(&a, &k), own ? VSW_FORWARDED : VSW_DROP_SOURCE_MAC);
	}
	ck_assert_uint_eq(b.len, k.len);
	ck_assert_mem_eq(b.frame, k.b, k.len);
	ip6_begin(58);
	put_icmp6(134, 16);
	for (int i = 0; i < 30; i++)
		put_nd_option(14, 1, b.mac);
	ip6_end();
	ck_assert_uint_gt(k.len, NET_HEAD_MAX); /* cannot be looked through */
	ck_assert_int_eq(rig_send(&a, &k), VSW_DROP_SOURCE_MAC);
}
END_TEST

/* ---- VLANs ------------------------------------------------------------------------------------
 */

static enum vsw_drop send_tagged(struct rig_port *r, int tci)
{
	pkt_plain(&k, rig_broadcast, r == &up ? far_away : r->mac);
	if (tci >= 0)
		pkt_tag(&k, (uint16_t)tci);
	return rig_send(r, &k);
}

START_TEST(tags_by_mode)
{
	ck_assert_int_eq(send_tagged(&a, 5), VSW_DROP_VLAN);
	ck_assert_int_eq(send_tagged(&a, 0), VSW_FORWARDED); /* a priority only */
	ck_assert(!b.meta.tagged);
	ck_assert(!up.meta.tagged);
	set_access(&a, 7);
	ck_assert_int_eq(send_tagged(&a, 7), VSW_DROP_VLAN);
	ck_assert_int_eq(send_tagged(&a, 0), VSW_FORWARDED);
	ck_assert_uint_eq(up.meta.vlan_tci, 7);
	ck_assert_uint_eq(b.got, 1);
	set_trunk(&a, 3, 8, 4000);
	ck_assert_int_eq(send_tagged(&a, -1), VSW_FORWARDED);
	ck_assert_uint_eq(up.meta.vlan_tci, 3);
	ck_assert_int_eq(send_tagged(&a, 0x0000), VSW_FORWARDED);
	ck_assert_uint_eq(up.meta.vlan_tci, 3);
	ck_assert_int_eq(send_tagged(&a, 4000), VSW_FORWARDED);
	ck_assert_uint_eq(up.meta.vlan_tci, 4000);
	ck_assert_int_eq(send_tagged(&a, 3), VSW_DROP_VLAN); /* the native one, tagged */
	ck_assert_int_eq(send_tagged(&a, 9), VSW_DROP_VLAN);
	ck_assert_int_eq(send_tagged(&up, 8), VSW_FORWARDED);
	ck_assert_uint_eq(a.meta.vlan_tci, 8);
	ck_assert_int_eq(send_tagged(&up, 3), VSW_FORWARDED);
	ck_assert(!a.meta.tagged);
	ck_assert_int_eq(send_tagged(&up, 9), VSW_DROP_NO_PORT);
	ck_assert_int_eq(send_tagged(&up, 4095), VSW_DROP_VLAN);
}
END_TEST

START_TEST(all_ids_may_be_said_with_all_bits)
{
	struct vsw_policy policy = { .vlan_mode = VSW_TRUNK };

	memset(policy.allowed, 0xff, sizeof(policy.allowed));
	rig_set(&a, &policy);
	ck_assert_int_eq(send_tagged(&a, 4094), VSW_FORWARDED);
	ck_assert_int_eq(send_tagged(&a, 4095), VSW_DROP_VLAN);
}
END_TEST

START_TEST(priorities_are_kept_only_if_allowed)
{
	struct vsw_policy policy = { .priority_tag = true };

	ck_assert_int_eq(send_tagged(&a, 0xb000), VSW_FORWARDED);
	ck_assert(!up.meta.tagged);
	rig_set(&a, &policy);
	ck_assert_int_eq(send_tagged(&a, 0xb000), VSW_FORWARDED);
	ck_assert(up.meta.tagged);
	ck_assert_uint_eq(up.meta.vlan_tci, 0xb000);
	ck_assert(!b.meta.tagged);
	policy.vlan_mode = VSW_ACCESS;
	policy.vlan = 7;
	rig_set(&a, &policy);
	ck_assert_int_eq(send_tagged(&a, 0xb000), VSW_FORWARDED);
	ck_assert_uint_eq(up.meta.vlan_tci, 0xb007);
	set_trunk(&b, 0, 7, 8);
	ck_assert_int_eq(send_tagged(&up, 0x6008), VSW_FORWARDED); /* the world's are the world's */
	ck_assert_uint_eq(b.meta.vlan_tci, 0x6008);
}
END_TEST

START_TEST(a_tag_in_the_frame_counts_as_one)
{
	pkt_plain(&k, rig_broadcast, a.mac);
	pkt_tag_inside(&k, NET_ETHERTYPE_VLAN, 10);
	ck_assert_int_eq(rig_send(&a, &k), VSW_DROP_VLAN);
	set_trunk(&a, 0, 10, 11);
	ck_assert_int_eq(rig_send(&a, &k), VSW_FORWARDED);
	ck_assert_uint_eq(up.meta.vlan_tci, 10);
	ck_assert_uint_eq(up.len, 60);
	pkt_plain(&k, rig_broadcast, a.mac);
	ck_assert_mem_eq(up.frame, k.b, 60);
}
END_TEST

/* A second tag must never become the first somewhere. */
START_TEST(second_tags)
{
	const uint16_t kinds[] = { NET_ETHERTYPE_VLAN, NET_ETHERTYPE_QINQ };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		uint32_t got = up.got;

		rig_set(&a, &(struct vsw_policy){ 0 });
		rig_set(&b, &(struct vsw_policy){ 0 });
		pkt_plain(&k, rig_broadcast, a.mac);
		pkt_tag_inside(&k, kinds[i], 20);
		pkt_tag(&k, 0); /* a priority tag around it */
		ck_assert_int_eq(rig_send(&a, &k), VSW_DROP_VLAN);
		set_access(&a, 10);
		ck_assert_int_eq(rig_send(&a, &k), VSW_DROP_VLAN);
		set_trunk(&a, 0, 10, 11);
		set_trunk(&b, 10, 11, 12); /* VLAN 10 leaves it untagged */
		pkt_tag(&k, 10);
		ck_assert_int_eq(rig_send(&a, &k), VSW_FORWARDED);
		ck_assert_uint_eq(up.got, got + 1);
		ck_assert_uint_eq(up.len, 64);
		ck_assert_uint_eq(b.got, 0);
		ck_assert_uint_eq(rig_drop_out(&b, VSW_DROP_VLAN), i + 1);
	}
}
END_TEST

/* ---- guards ------------------------------------------------------------------------------------
 */

static void guard(bool dhcp, bool router)
{
	struct vsw_policy policy = {
		.mac_spoofing = true, /* not the sender check is meant here */
		.dhcp_guard = dhcp,
		.router_guard = router,
	};

	rig_set(&a, &policy);
}

static void ip4(uint8_t protocol, uint16_t fragment, uint32_t options)
{
	uint8_t ip[20] = { 0, 0, 0, 0, 0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2 };

	ip[0] = (uint8_t)(0x40 | (20 + options) / 4);
	be16_put(ip + 6, fragment);
	pkt_begin(&k, rig_broadcast, a.mac, NET_ETHERTYPE_IP4);
	pkt_put(&k, ip, sizeof(ip));
	put_fill(options);
}

static void put_udp(uint16_t from, uint16_t to)
{
	uint8_t udp[8] = { 0 };

	be16_put(udp, from);
	be16_put(udp + 2, to);
	be16_put(udp + 4, 24);
	pkt_put(&k, udp, sizeof(udp));
	put_fill(16);
	be16_put(k.b + 16, (uint16_t)(k.len - 14));
}

static enum vsw_drop udp4(uint16_t from, uint16_t to)
{
	ip4(17, 0, 0);
	put_udp(from, to);
	return rig_send(&a, &k);
}

static enum vsw_drop udp6(uint16_t from, uint16_t to, uint32_t extensions)
{
	ip6_begin(extensions ? 60 : 17);
	for (uint32_t i = 0; i < extensions; i++)
		put_extension(i + 1 < extensions ? 60 : 17, 1);
	put_udp(from, to);
	ip6_end();
	return rig_send(&a, &k);
}

START_TEST(dhcp_guard)
{
	ck_assert_int_eq(udp4(67, 68), VSW_FORWARDED);
	guard(true, false);
	ck_assert_int_eq(udp4(67, 68), VSW_DROP_DHCP_GUARD);
	ck_assert_int_eq(udp4(67, 67), VSW_DROP_DHCP_GUARD);
	ck_assert_int_eq(udp4(1067, 68), VSW_DROP_DHCP_GUARD);
	ck_assert_int_eq(udp4(68, 67), VSW_FORWARDED); /* a client */
	ck_assert_int_eq(udp6(547, 546, 0), VSW_DROP_DHCP_GUARD);
	ck_assert_int_eq(udp6(547, 1, 0), VSW_DROP_DHCP_GUARD);
	ck_assert_int_eq(udp6(546, 547, 0), VSW_FORWARDED);
	ck_assert_int_eq(udp6(67, 68, 0), VSW_FORWARDED);
	ck_assert_int_eq(udp6(547, 546, 3), VSW_DROP_DHCP_GUARD);
	ck_assert_int_eq(udp6(546, 547, 3), VSW_FORWARDED);
	ck_assert_int_eq(udp6(547, 546, 8), VSW_DROP_DHCP_GUARD); /* beyond the first copy */
	ck_assert_int_eq(udp6(546, 547, 8), VSW_FORWARDED);
	ck_assert_int_eq(udp6(546, 547, 14), VSW_DROP_DHCP_GUARD); /* beyond all that is seen */
	ip4(17, 0, 40);
	put_udp(67, 68);
	ck_assert_int_eq(rig_send(&a, &k), VSW_DROP_DHCP_GUARD);
	ip4(17, 0x2000, 0); /* first fragment */
	put_udp(67, 68);
	ck_assert_int_eq(rig_send(&a, &k), VSW_DROP_DHCP_GUARD);
	ip4(17, 0x0003, 0); /* a later one */
	put_udp(67, 68);
	ck_assert_int_eq(rig_send(&a, &k), VSW_FORWARDED);
	ip6_begin(44);
	put_fragment(17, 0, true);
	put_udp(547, 546);
	ip6_end();
	ck_assert_int_eq(rig_send(&a, &k), VSW_DROP_DHCP_GUARD);
	ip6_begin(44);
	put_fragment(17, 64, true);
	put_udp(547, 546);
	ip6_end();
	ck_assert_int_eq(rig_send(&a, &k), VSW_FORWARDED);
	ck_assert_int_eq(rig_drop_in(&a, VSW_DROP_ROUTER_GUARD), 0);
}
END_TEST

START_TEST(guards_look_behind_tags_and_snap)
{
	static const uint8_t snap[8] = { 0xaa, 0xaa, 3, 0, 0, 0, 0x86, 0xdd };
	struct vsw_policy policy = { .vlan_mode = VSW_TRUNK,
				     .mac_spoofing = true,
				     .dhcp_guard = true };

	memset(policy.allowed, 0xff, sizeof(policy.allowed));
	rig_set(&a, &policy);
	ip4(17, 0, 0);
	put_udp(67, 68);
	pkt_tag_inside(&k, NET_ETHERTYPE_VLAN, 5);
	ck_assert_int_eq(rig_send(&a, &k), VSW_DROP_DHCP_GUARD);
	for (uint16_t id = 6; id < 40; id++) {
		pkt_tag_inside(&k, NET_ETHERTYPE_VLAN, id);
		ck_assert_int_eq(rig_send(&a, &k), VSW_DROP_DHCP_GUARD);
	}
	policy.mac_spoofing = policy.dhcp_guard = false;
	rig_set(&a, &policy);
	ck_assert_int_eq(rig_send(&a, &k), VSW_DROP_SOURCE_MAC); /* could be ARP or ND as well */
	for (int router = 0; router < 2; router++) {
		guard(!router, router);
		pkt_begin(&k, rig_broadcast, a.mac, 48);
		pkt_put(&k, snap, sizeof(snap));
		put_fill(40);
		ck_assert_int_eq(rig_send(&a, &k),
				 router ? VSW_DROP_ROUTER_GUARD : VSW_DROP_DHCP_GUARD);
	}
	k.b[20] = 0x80; /* AppleTalk, say */
	ck_assert_int_eq(rig_send(&a, &k), VSW_FORWARDED);
	rig_set(&a, &(struct vsw_policy){ 0 });
	k.b[20] = 0x08;
	k.b[21] = 0x06; /* ARP that the sender check would not see */
	ck_assert_int_eq(rig_send(&a, &k), VSW_DROP_SOURCE_MAC);
}
END_TEST

static enum vsw_drop icmp6(uint8_t type, uint32_t extensions)
{
	ip6_begin(extensions ? 0 : 58);
	for (uint32_t i = 0; i < extensions; i++)
		put_extension(i + 1 < extensions ? (i % 2 ? 43 : 60) : 58, 0);
	put_icmp6(type, 16);
	ip6_end();
	return rig_send(&a, &k);
}

static enum vsw_drop icmp4(uint8_t type)
{
	const uint8_t icmp[8] = { type };

	ip4(1, 0, 0);
	pkt_put(&k, icmp, sizeof(icmp));
	be16_put(k.b + 16, 28);
	return rig_send(&a, &k);
}

START_TEST(router_guard)
{
	guard(false, false);
	ck_assert_int_eq(icmp6(134, 0), VSW_FORWARDED);
	guard(false, true);
	ck_assert_int_eq(icmp6(134, 0), VSW_DROP_ROUTER_GUARD);
	ck_assert_int_eq(icmp6(137, 0), VSW_DROP_ROUTER_GUARD);
	ck_assert_int_eq(icmp6(133, 0), VSW_FORWARDED);
	ck_assert_int_eq(icmp6(135, 0), VSW_FORWARDED);
	ck_assert_int_eq(icmp6(134, 3), VSW_DROP_ROUTER_GUARD);
	ck_assert_int_eq(icmp6(128, 3), VSW_FORWARDED);
	ck_assert_int_eq(icmp6(134, 12), VSW_DROP_ROUTER_GUARD);
	ck_assert_int_eq(icmp6(128, 12), VSW_FORWARDED);
	ck_assert_int_eq(icmp6(128, 30), VSW_DROP_ROUTER_GUARD); /* not to be seen through */
	ck_assert_int_eq(icmp4(9), VSW_DROP_ROUTER_GUARD);
	ck_assert_int_eq(icmp4(5), VSW_DROP_ROUTER_GUARD);
	ck_assert_int_eq(icmp4(8), VSW_FORWARDED);
	ck_assert_int_eq(udp4(67, 68), VSW_FORWARDED);
	ip6_begin(44); /* fragments of ICMPv6, whichever */
	put_fragment(58, 0, true);
	put_icmp6(128, 16);
	ip6_end();
	ck_assert_int_eq(rig_send(&a, &k), VSW_DROP_ROUTER_GUARD);
	ip6_begin(44);
	put_fragment(58, 64, false);
	put_fill(16);
	ip6_end();
	ck_assert_int_eq(rig_send(&a, &k), VSW_DROP_ROUTER_GUARD);
	ip6_begin(44); /* a first one that ends before it says what it is */
	put_fragment(60, 0, true);
	put_extension(58, 0);
	ip6_end();
	ck_assert_int_eq(rig_send(&a, &k), VSW_DROP_ROUTER_GUARD);
	ip6_begin(44);
	put_fragment(17, 64, false);
	put_fill(16);
	ip6_end();
	ck_assert_int_eq(rig_send(&a, &k), VSW_FORWARDED);
}
END_TEST

/* ---- limits -------------------------------------------------------------------------------------
 */

START_TEST(n39_a_storm_ends_with_its_second)
{
	rig_set(&a, &(struct vsw_policy){ .storm = 3 });
	for (int second = 0; second < 2; second++) {
		for (int i = 0; i < 10; i++)
			ck_assert_int_eq(rig_send_plain(&a, i % 2 ? rig_broadcast : unknown, a.mac),
					 i < 3 ? VSW_FORWARDED : VSW_DROP_STORM);
		/* Known unicast is no storm. */
		ck_assert_int_eq(rig_send_plain(&a, b.mac, a.mac), VSW_FORWARDED);
		rig_now += SECOND;
	}
	ck_assert_uint_eq(rig_drop_in(&a, VSW_DROP_STORM), 14);
	ck_assert_int_eq(rig_send_plain(&up, rig_broadcast, far_away), VSW_FORWARDED);
}
END_TEST

START_TEST(n39_bandwidth_pushes_back_and_then_drops)
{
	uint64_t sent = 0, start = rig_now;

	/* 8 Mbit/s: a byte a microsecond. */
	rig_set(&a, &(struct vsw_policy){ .bps = 8000000, .burst = 6000 });
	ck_assert_uint_eq(vsw_port_wait_ns(a.p), 0);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(rig_send_plain(&a, b.mac, a.mac), VSW_FORWARDED);
	ck_assert_uint_eq(vsw_port_wait_ns(a.p), 1);
	ck_assert_int_eq(rig_send_plain(&a, b.mac, a.mac), VSW_DROP_BANDWIDTH);
	rig_now += 60000;
	ck_assert_uint_eq(vsw_port_wait_ns(a.p), 0);
	ck_assert_int_eq(rig_send_plain(&a, b.mac, a.mac), VSW_FORWARDED);
	/* Who waits as told gets what was promised, neither more nor less. */
	while (rig_now - start < SECOND) {
		rig_now += vsw_port_wait_ns(a.p);
		ck_assert_int_eq(rig_send_plain(&a, b.mac, a.mac), VSW_FORWARDED);
		sent += 60;
	}
	ck_assert_uint_ge(sent, 990000);
	ck_assert_uint_le(sent, 1007000);
	ck_assert_uint_eq(vsw_port_wait_ns(b.p), 0);
	rig_set(&a, &(struct vsw_policy){ 0 });
	ck_assert_uint_eq(vsw_port_wait_ns(a.p), 0);
}
END_TEST

START_TEST(a_large_frame_costs_its_segments)
{
	struct net_frame f = {
		.len = 4434,
		.meta = { .gso = NET_GSO_TCP4, .gso_size = 1460, .header_len = 54 },
	};
	struct meter m;

	ck_assert_uint_eq(meter_bytes(&f), 4542);
	f.meta = (struct net_meta){ 0 };
	ck_assert_uint_eq(meter_bytes(&f), 4434);
	/* Nothing is lost by rounding: 64 bytes at 7 Gbit/s are 73.14 ns. */
	meter_set(&m, 7000000000ull, 64);
	for (int i = 0; i < 7000; i++)
		meter_charge(&m, 0, 64);
	ck_assert_uint_eq(m.full_at, 512000);
	/* By default 128 KiB, or 4 ms. */
	meter_set(&m, 8000000000ull, 0);
	ck_assert_uint_eq(m.burst_ns, 4000000);
	meter_set(&m, 8000000, 0);
	ck_assert_uint_eq(m.burst_ns, 131072000);
	/* The slowest, with the largest burst, does not wrap. */
	meter_set(&m, 1, UINT32_MAX);
	ck_assert_uint_eq(meter_wait_ns(&m, UINT64_MAX / 8), 0);
}
END_TEST

/* ---- every reason -------------------------------------------------------------------------------
 */

static enum vsw_drop refused_by_b(enum vsw_drop why)
{
	b.take = 0;
	b.refuse = why;
	return rig_send_plain(&a, b.mac, a.mac);
}

static enum vsw_drop provoke(enum vsw_drop why)
{
	const uint8_t pause_mac[NET_MAC_LEN] = { 0x01, 0x80, 0xc2, 0, 0, 1 };
	struct vsw_policy isolated = { .isolated = true };
	struct net_frame runt = { .head = k.b, .head_len = 13, .len = 13 };

	switch (why) {
	case VSW_DROP_MALFORMED:
		return vsw_input(a.p, &runt);
	case VSW_DROP_SOURCE_MAC:
		return rig_send_plain(&a, b.mac, unknown);
	case VSW_DROP_VLAN:
		return send_tagged(&a, 5);
	case VSW_DROP_STORM:
		rig_set(&a, &(struct vsw_policy){ .storm = 1 });
		send_tagged(&a, -1);
		return send_tagged(&a, -1);
	case VSW_DROP_DHCP_GUARD:
		guard(true, false);
		return udp4(67, 68);
	case VSW_DROP_ROUTER_GUARD:
		guard(false, true);
		return icmp4(9);
	case VSW_DROP_RESERVED:
		return rig_send_plain(&a, pause_mac, a.mac);
	case VSW_DROP_NO_PORT:
		return rig_send_plain(&up, unknown, far_away);
	case VSW_DROP_HAIRPIN:
		return rig_send_plain(&a, a.mac, a.mac);
	case VSW_DROP_ISOLATED:
		rig_set(&a, &isolated);
		rig_set(&b, &isolated);
		return rig_send_plain(&a, b.mac, a.mac);
	case VSW_DROP_LINK_DOWN:
		vsw_port_set_link(b.p, false);
		return rig_send_plain(&a, b.mac, a.mac);
	case VSW_DROP_FILTER:
		b.picky = true;
		return rig_send_plain(&a, b.mac, a.mac);
	case VSW_DROP_MTU:
		vsw_port_set_caps(b.p, RIG_ALL, NET_MIN_MTU);
		pkt_plain(&k, b.mac, a.mac);
		k.len = NET_MIN_MTU + NET_ETH_LEN + 1;
		return rig_send(&a, &k);
	case VSW_DROP_BANDWIDTH:
		rig_set(&a, &(struct vsw_policy){ .bps = 8, .burst = 1 });
		rig_send_plain(&a, b.mac, a.mac);
		return rig_send_plain(&a, b.mac, a.mac);
	default: /* a receiver's own */
		return refused_by_b(why);
	}
}

START_TEST(every_reason_is_produced_and_counted)
{
	enum vsw_drop why = (enum vsw_drop)_i;
	struct rig_port *from = why == VSW_DROP_NO_PORT ? &up : &a;
	struct vsw_port_stats s;
	uint64_t drops = 0;

	ck_assert_int_eq(provoke(why), why);
	s = rig_stats(from);
	for (int i = 0; i < VSW_DROP_COUNT; i++)
		drops += s.drop_in[i];
	ck_assert_uint_eq(s.drop_in[why], 1);
	ck_assert_uint_eq(drops, 1);
	ck_assert_str_ne(vsw_drop_name(why), "unknown");
}
END_TEST

START_TEST(isolated_ports_still_reach_the_others)
{
	struct vsw_policy isolated = { .isolated = true };

	rig_set(&a, &isolated);
	rig_set(&b, &isolated);
	ck_assert_int_eq(rig_send_plain(&a, rig_broadcast, a.mac), VSW_FORWARDED);
	ck_assert_uint_eq(b.got, 0);
	ck_assert_uint_eq(up.got, 1);
	ck_assert_int_eq(rig_send_plain(&up, b.mac, far_away), VSW_FORWARDED);
	rig_set(&a, &(struct vsw_policy){ 0 });
	ck_assert_int_eq(rig_send_plain(&a, b.mac, a.mac), VSW_FORWARDED);
	ck_assert_uint_eq(b.got, 2);
}
END_TEST

START_TEST(a_policy_that_cannot_be_changes_nothing)
{
	struct vsw_policy bad = { .vlan_mode = VSW_ACCESS, .dhcp_guard = true };

	ck_assert_int_eq(vsw_port_set_policy(a.p, &bad, rig_why, sizeof(rig_why)), -EINVAL);
	ck_assert_uint_gt(strlen(rig_why), 10);
	ck_assert(!vsw_port_policy(a.p)->dhcp_guard);
	ck_assert_uint_eq(a.changed, 0);
	bad.vlan = 10;
	rig_set(&a, &bad);
	ck_assert(vsw_port_policy(a.p)->dhcp_guard);
	ck_assert_uint_eq(a.changed, 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vsp/vswitch_policy");
	TCase *tc = tcase_create("policy");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, n40_only_the_own_source_address);
	tcase_add_test(tc, arp_speaks_of_the_own_address);
	tcase_add_test(tc, arp_behind_a_second_tag);
	tcase_add_test(tc, nd_speaks_of_the_own_address);
	tcase_add_test(tc, nd_that_hides_its_options);
	tcase_add_test(tc, nd_that_is_long);
	tcase_add_test(tc, tags_by_mode);
	tcase_add_test(tc, all_ids_may_be_said_with_all_bits);
	tcase_add_test(tc, priorities_are_kept_only_if_allowed);
	tcase_add_test(tc, a_tag_in_the_frame_counts_as_one);
	tcase_add_test(tc, second_tags);
	tcase_add_test(tc, dhcp_guard);
	tcase_add_test(tc, guards_look_behind_tags_and_snap);
	tcase_add_test(tc, router_guard);
	tcase_add_test(tc, n39_a_storm_ends_with_its_second);
	tcase_add_test(tc, n39_bandwidth_pushes_back_and_then_drops);
	tcase_add_test(tc, a_large_frame_costs_its_segments);
	tcase_add_loop_test(tc, every_reason_is_produced_and_counted, 1, VSW_DROP_COUNT);
	tcase_add_test(tc, isolated_ports_still_reach_the_others);
	tcase_add_test(tc, a_policy_that_cannot_be_changes_nothing);
	suite_add_tcase(s, tc);
	return rig_main(s);
}
