/* SPDX-License-Identifier: MIT */
/* Who gets a frame: the table of forwarding decisions, floods, learning, links. */
#include "tests/ut/vsp/vsw_rig.h"

/* ---- the table: A, B access 10, C access 20, T trunk 10 and 20, native 1, U uplink -------- */

enum { A, B, C, T, U, PORTS };

static struct rig_port port[PORTS];
static struct packet k;
static const uint8_t unknown[NET_MAC_LEN] = { 2, 0, 0, 0, 9, 9 };
static const uint8_t pause_mac[NET_MAC_LEN] = { 0x01, 0x80, 0xc2, 0, 0, 1 };
static const uint8_t lldp_mac[NET_MAC_LEN] = { 0x01, 0x80, 0xc2, 0, 0, 0x0e };
static const uint8_t group[NET_MAC_LEN] = { 0x01, 0x00, 0x5e, 1, 2, 3 };

static void access_port(struct rig_port *r, const char *name, uint8_t mac, uint16_t vlan)
{
	struct vsw_port_config cfg = rig_config(r, name, mac);

	cfg.policy.vlan_mode = VSW_ACCESS;
	cfg.policy.vlan = vlan;
	rig_connect(r, &cfg);
}

static void setup_table(void)
{
	struct vsw_port_config cfg;

	rig_switch(false);
	access_port(&port[A], "a", 0xa, 10);
	access_port(&port[B], "b", 0xb, 10);
	access_port(&port[C], "c", 0xc, 20);
	cfg = rig_config(&port[T], "t", 0xd);
	cfg.policy.vlan_mode = VSW_TRUNK;
	cfg.policy.vlan = 1;
	cfg.policy.allowed[10 / 8] |= 1 << 10 % 8;
	cfg.policy.allowed[20 / 8] |= 1 << 20 % 8;
	cfg.policy.mac_spoofing = true;
	rig_connect(&port[T], &cfg);
	rig_uplink(&port[U]);
}

static void teardown_table(void)
{
	for (int i = 0; i < PORTS; i++)
		if (port[i].p)
			rig_disconnect(&port[i]);
	rig_end();
}

/* What a port is to get: nothing, untagged, or the tag. */
#define NOT   (-1)
#define PLAIN 0

struct row {
	const char *what;
	int from;
	const uint8_t *dst, *src; /* src NULL: its own */
	int tag;		  /* -1: untagged */
	enum vsw_drop result;
	int gets[PORTS];
};

static void check_row(const struct row *r)
{
	uint32_t before[PORTS];

	for (int i = 0; i < PORTS; i++)
		before[i] = port[i].got;
	pkt_plain(&k, r->dst, r->src ? r->src : port[r->from].mac);
	if (r->tag >= 0)
		pkt_tag(&k, (uint16_t)r->tag);
	ck_assert_msg(rig_send(&port[r->from], &k) == r->result, "%s: result", r->what);
	for (int i = 0; i < PORTS; i++) {
		ck_assert_msg(port[i].got - before[i] == (r->gets[i] != NOT), "%s: port %s got %u",
			      r->what, port[i].name, port[i].got - before[i]);
		if (r->gets[i] == NOT)
			continue;
		ck_assert_msg(port[i].meta.tagged == !!r->gets[i], "%s: port %s, tagged", r->what,
			      port[i].name);
		ck_assert_msg(port[i].meta.vlan_tci == r->gets[i], "%s: port %s, tag", r->what,
			      port[i].name);
		ck_assert_mem_eq(port[i].frame, k.b, k.len);
	}
}

START_TEST(forwarding_table)
{
	const uint8_t *b = port[B].mac, *c = port[C].mac, *all = rig_broadcast;
	const enum vsw_drop ok = VSW_FORWARDED;
	const struct row rows[] = {
		{ "A to B", A, b, NULL, -1, ok, { NOT, PLAIN, NOT, NOT, NOT } },
		{ "A to C", A, c, NULL, -1, ok, { NOT, NOT, NOT, 10, 10 } },
		{ "A to all", A, all, NULL, -1, ok, { NOT, PLAIN, NOT, 10, 10 } },
		{ "A as C", A, b, c, -1, VSW_DROP_SOURCE_MAC, { NOT, NOT, NOT, NOT, NOT } },
		{ "A tagged", A, b, NULL, 10, VSW_DROP_VLAN, { NOT, NOT, NOT, NOT, NOT } },
		{ "T in 30", T, all, NULL, 30, VSW_DROP_VLAN, { NOT, NOT, NOT, NOT, NOT } },
		{ "T untagged", T, all, NULL, -1, ok, { NOT, NOT, NOT, NOT, 1 } },
		{ "T as X in 20", T, c, unknown, 20, ok, { NOT, NOT, PLAIN, NOT, NOT } },
		{ "U as a group",
		  U,
		  unknown,
		  group,
		  20,
		  VSW_DROP_SOURCE_MAC,
		  { NOT, NOT, NOT, NOT, NOT } },
		{ "A to pause",
		  A,
		  pause_mac,
		  NULL,
		  -1,
		  VSW_DROP_RESERVED,
		  { NOT, NOT, NOT, NOT, NOT } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_row(&rows[i]);
}
END_TEST

static const uint8_t far_away[NET_MAC_LEN] = { 2, 0, 0, 0, 7, 7 };

START_TEST(forwarding_table_of_the_uplink)
{
	const enum vsw_drop ok = VSW_FORWARDED;
	const struct row rows[] = {
		{ "T as X in 20", T, far_away, unknown, 20, ok, { NOT, NOT, NOT, NOT, 20 } },
		{ "U to X in 20", U, unknown, far_away, 20, ok, { NOT, NOT, NOT, 20, NOT } },
		{ "U to nobody in 10", U, unknown, far_away, 10, ok, { NOT, NOT, NOT, 10, NOT } },
		{ "U to nobody in 30",
		  U,
		  unknown,
		  far_away,
		  30,
		  VSW_DROP_NO_PORT,
		  { NOT, NOT, NOT, NOT, NOT } },
		{ "U to A in 10", U, port[A].mac, far_away, 10, ok, { PLAIN, NOT, NOT, NOT, NOT } },
		{ "U to A in 20", U, port[A].mac, far_away, 20, ok, { NOT, NOT, NOT, 20, NOT } },
		{ "U in 1", U, port[T].mac, far_away, 1, ok, { NOT, NOT, NOT, PLAIN, NOT } },
		{ "U as A",
		  U,
		  port[B].mac,
		  port[A].mac,
		  10,
		  VSW_DROP_SOURCE_MAC,
		  { NOT, NOT, NOT, NOT, NOT } },
		{ "C to far away", C, far_away, NULL, -1, ok, { NOT, NOT, NOT, NOT, 20 } },
		{ "U to far away in 20",
		  U,
		  far_away,
		  unknown,
		  20,
		  VSW_DROP_HAIRPIN,
		  { NOT, NOT, NOT, NOT, NOT } },
		{ "U to all, untagged",
		  U,
		  rig_broadcast,
		  far_away,
		  -1,
		  VSW_DROP_NO_PORT,
		  { NOT, NOT, NOT, NOT, NOT } },
		{ "U, LLDP in 20", U, lldp_mac, far_away, 20, ok, { NOT, NOT, PLAIN, 20, NOT } },
		{ "U, pause in 20",
		  U,
		  pause_mac,
		  far_away,
		  20,
		  VSW_DROP_RESERVED,
		  { NOT, NOT, NOT, NOT, NOT } },
		{ "U, group in 10", U, group, far_away, 10, ok, { PLAIN, PLAIN, NOT, 10, NOT } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_row(&rows[i]);
}
END_TEST

/* The table's row of the DHCP guard; the guard has tests of its own. */
START_TEST(forwarding_table_dhcp_guard)
{
	static const uint8_t udp67[] = {
		0x45, 0, 0,  28, 0, 0, 0, 0,  64, 17, 0, 0, 10, 0,
		0,    1, 10, 0,	 0, 2, 0, 67, 0,  80, 0, 8, 0,	0,
	};
	struct vsw_policy policy = *vsw_port_policy(port[A].p);

	pkt_begin(&k, port[B].mac, port[A].mac, NET_ETHERTYPE_IP4);
	pkt_put(&k, udp67, sizeof(udp67));
	ck_assert_int_eq(rig_send(&port[A], &k), VSW_FORWARDED);
	policy.dhcp_guard = true;
	rig_set(&port[A], &policy);
	ck_assert_int_eq(rig_send(&port[A], &k), VSW_DROP_DHCP_GUARD);
	ck_assert_uint_eq(port[B].got, 1);
}
END_TEST

/* ---- Hyper-V's rules, without VLANs ------------------------------------------------------- */

static struct rig_port g[3], up;

static void setup_flat(void)
{
	rig_switch(false);
	rig_guest(&g[0], "g0", 1);
	rig_guest(&g[1], "g1", 2);
	rig_guest(&g[2], "g2", 3);
	rig_uplink(&up);
}

static void teardown_flat(void)
{
	for (int i = 0; i < 3; i++)
		if (g[i].p)
			rig_disconnect(&g[i]);
	if (up.p)
		rig_disconnect(&up);
	rig_end();
}

START_TEST(n46_a_guest_never_sees_others_unicast)
{
	ck_assert_int_eq(rig_send_plain(&g[0], unknown, g[0].mac), VSW_FORWARDED);
	ck_assert_int_eq(rig_send_plain(&up, unknown, far_away), VSW_DROP_NO_PORT);
	ck_assert_int_eq(rig_send_plain(&g[0], g[1].mac, g[0].mac), VSW_FORWARDED);
	ck_assert_uint_eq(g[2].got, 0);
	ck_assert_uint_eq(g[1].got, 1);
	ck_assert_uint_eq(up.got, 1);
	ck_assert_uint_eq(g[1].from, vsw_port_id(g[0].p));
}
END_TEST

START_TEST(nobody_to_flood_to)
{
	rig_disconnect(&up);
	ck_assert_int_eq(rig_send_plain(&g[0], unknown, g[0].mac), VSW_DROP_NO_PORT);
	ck_assert_uint_eq(rig_drop_in(&g[0], VSW_DROP_NO_PORT), 1);
}
END_TEST

START_TEST(nothing_goes_back_to_where_it_came_from)
{
	ck_assert_int_eq(rig_send_plain(&g[0], g[0].mac, g[0].mac), VSW_DROP_HAIRPIN);
	ck_assert_uint_eq(g[0].got, 0);
	ck_assert_uint_eq(rig_drop_in(&g[0], VSW_DROP_HAIRPIN), 1);
}
END_TEST

START_TEST(one_taker_is_enough)
{
	g[1].take = 0;
	g[1].refuse = VSW_DROP_RING_FULL;
	ck_assert_int_eq(rig_send_plain(&g[0], rig_broadcast, g[0].mac), VSW_FORWARDED);
	ck_assert_uint_eq(rig_drop_out(&g[1], VSW_DROP_RING_FULL), 1);
	ck_assert_uint_eq(rig_drop_in(&g[0], VSW_DROP_RING_FULL), 0);
	g[2].take = up.take = 0;
	ck_assert_int_eq(rig_send_plain(&g[0], rig_broadcast, g[0].mac), VSW_DROP_RING_FULL);
	ck_assert_uint_eq(rig_drop_in(&g[0], VSW_DROP_RING_FULL), 1);
	ck_assert_uint_eq(rig_drop_out(&g[2], VSW_DROP_NO_BUFFER), 1);
}
END_TEST

START_TEST(flush_tells_those_who_got_something_once)
{
	for (int i = 0; i < 5; i++)
		rig_send_plain(&g[0], g[1].mac, g[0].mac);
	vsw_flush(sw);
	vsw_flush(sw);
	ck_assert_uint_eq(g[1].flushed, 1);
	ck_assert_uint_eq(g[0].flushed + g[2].flushed + up.flushed, 0);
	g[2].take = 0;
	rig_send_plain(&g[0], g[2].mac, g[0].mac);
	vsw_flush(sw);
	ck_assert_uint_eq(g[2].flushed, 0);
}
END_TEST

START_TEST(n44_who_is_gone_gets_no_flush_and_no_frames)
{
	uint8_t mac[NET_MAC_LEN];

	memcpy(mac, g[1].mac, NET_MAC_LEN);
	rig_send_plain(&g[0], g[1].mac, g[0].mac);
	rig_disconnect(&g[1]);
	vsw_flush(sw);
	ck_assert_uint_eq(g[1].flushed, 0);
	ck_assert_int_eq(rig_send_plain(&g[0], mac, g[0].mac), VSW_FORWARDED);
	ck_assert_uint_eq(up.got, 1);
	/* Its number and its address can be had again. */
	rig_guest(&g[1], "again", 2);
	ck_assert_int_eq(rig_send_plain(&g[0], mac, g[0].mac), VSW_FORWARDED);
	ck_assert_uint_eq(g[1].got, 1);
}
END_TEST

START_TEST(a_filter_is_asked_for_unicast_and_floods)
{
	g[1].picky = true;
	ck_assert_int_eq(rig_send_plain(&g[0], g[1].mac, g[0].mac), VSW_DROP_FILTER);
	ck_assert_int_eq(rig_send_plain(&g[0], group, g[0].mac), VSW_FORWARDED);
	ck_assert_int_eq(rig_send_plain(&g[0], rig_broadcast, g[0].mac), VSW_FORWARDED);
	ck_assert_uint_eq(g[1].got, 1);
	ck_assert_uint_eq(rig_drop_out(&g[1], VSW_DROP_FILTER), 2);
	ck_assert_uint_eq(g[2].got, 2);
}
END_TEST

START_TEST(a_cable_that_is_out)
{
	vsw_port_set_link(g[1].p, false);
	ck_assert_uint_eq(g[1].changed, 1);
	vsw_port_set_link(g[1].p, false);
	ck_assert_uint_eq(g[1].changed, 1);
	ck_assert_int_eq(rig_send_plain(&g[0], g[1].mac, g[0].mac), VSW_DROP_LINK_DOWN);
	ck_assert_uint_eq(rig_drop_out(&g[1], VSW_DROP_LINK_DOWN), 1);
	ck_assert_int_eq(rig_send_plain(&g[1], g[0].mac, g[1].mac), VSW_DROP_LINK_DOWN);
	ck_assert_int_eq(rig_send_plain(&g[0], rig_broadcast, g[0].mac), VSW_FORWARDED);
	ck_assert_uint_eq(g[1].got, 0);
	vsw_port_set_link(g[1].p, true);
	ck_assert_int_eq(rig_send_plain(&g[0], g[1].mac, g[0].mac), VSW_FORWARDED);
	ck_assert(vsw_port_link(g[1].p));
}
END_TEST

START_TEST(counters_by_kind)
{
	struct vsw_port_stats in, out;

	rig_send_plain(&g[0], g[1].mac, g[0].mac);
	rig_send_plain(&g[0], group, g[0].mac);
	rig_send_plain(&g[0], rig_broadcast, g[0].mac);
	rig_send_plain(&g[0], rig_broadcast, g[1].mac); /* dropped */
	in = rig_stats(&g[0]);
	out = rig_stats(&g[1]);
	ck_assert_uint_eq(in.in.frames, 4);
	ck_assert_uint_eq(in.in.bytes, 240);
	ck_assert_uint_eq(in.in.unicast, 1);
	ck_assert_uint_eq(in.in.multicast, 1);
	ck_assert_uint_eq(in.in.broadcast, 2);
	ck_assert_uint_eq(in.drop_in[VSW_DROP_SOURCE_MAC], 1);
	ck_assert_uint_eq(out.out.frames, 3);
	ck_assert_uint_eq(out.out.bytes, 180);
	ck_assert_uint_eq(out.out.unicast, 1);
	ck_assert_uint_eq(out.out.multicast, 1);
	ck_assert_uint_eq(out.out.broadcast, 1);
}
END_TEST

/* ---- learning ------------------------------------------------------------------------------- */

static void let_spoof(struct rig_port *r)
{
	struct vsw_policy policy = *vsw_port_policy(r->p);

	policy.mac_spoofing = true;
	rig_set(r, &policy);
}

struct seen {
	uint32_t fixed, learned;
	struct vsw_mac_info last;
};

static void see(void *ctx, const struct vsw_mac_info *m)
{
	struct seen *s = ctx;

	if (m->fixed) {
		s->fixed++;
	} else {
		s->learned++;
		s->last = *m;
	}
}

static struct seen macs(void)
{
	struct seen s = { 0 };

	vsw_each_mac(sw, see, &s);
	return s;
}

START_TEST(learned_where_others_may_be)
{
	struct seen s;

	let_spoof(&g[1]);
	ck_assert_int_eq(rig_send_plain(&g[1], g[0].mac, unknown), VSW_FORWARDED);
	s = macs();
	ck_assert_uint_eq(s.fixed, 3);
	ck_assert_uint_eq(s.learned, 1);
	ck_assert_ptr_eq(s.last.port, g[1].p);
	ck_assert_mem_eq(s.last.mac, unknown, NET_MAC_LEN);
	ck_assert_uint_eq(rig_stats(&g[1]).learned, 1);
	/* Now it is unicast to it alone. */
	rig_send_plain(&g[0], unknown, g[0].mac);
	ck_assert_uint_eq(g[1].got, 1);
	ck_assert_uint_eq(up.got, 0);
	/* Its own address is not learned, it is known. */
	rig_send_plain(&g[1], g[0].mac, g[1].mac);
	ck_assert_uint_eq(macs().learned, 1);
}
END_TEST

START_TEST(spoofing_ports_get_what_is_for_unknown_ones)
{
	let_spoof(&g[1]);
	rig_send_plain(&g[0], unknown, g[0].mac);
	rig_send_plain(&up, unknown, far_away);
	ck_assert_uint_eq(g[1].got, 2);
	ck_assert_uint_eq(g[2].got, 0);
	ck_assert_uint_eq(up.got, 1);
}
END_TEST

START_TEST(n40_a_fixed_address_is_never_taken_over)
{
	let_spoof(&g[1]);
	ck_assert_int_eq(rig_send_plain(&g[1], g[2].mac, g[0].mac), VSW_DROP_SOURCE_MAC);
	ck_assert_int_eq(rig_send_plain(&up, g[2].mac, g[0].mac), VSW_DROP_SOURCE_MAC);
	ck_assert_int_eq(rig_send_plain(&g[2], g[0].mac, g[2].mac), VSW_FORWARDED);
	ck_assert_uint_eq(g[0].got, 1);
	ck_assert_uint_eq(macs().learned, 0);
}
END_TEST

START_TEST(who_was_silent_is_forgotten)
{
	let_spoof(&g[1]);
	rig_send_plain(&g[1], g[0].mac, unknown);
	rig_now += 200 * SECOND;
	rig_send_plain(&g[1], g[0].mac, unknown); /* refreshed */
	rig_now += 299 * SECOND;
	ck_assert_uint_eq(macs().learned, 1);
	rig_send_plain(&g[0], unknown, g[0].mac);
	ck_assert_uint_eq(up.got, 0);
	rig_now += SECOND;
	ck_assert_uint_eq(macs().learned, 0);
	rig_send_plain(&g[0], unknown, g[0].mac);
	ck_assert_uint_eq(up.got, 1);
	ck_assert_uint_eq(rig_stats(&g[1]).learned, 0);
}
END_TEST

START_TEST(bursts_sweep_out_the_old)
{
	let_spoof(&g[1]);
	rig_send_plain(&g[1], g[0].mac, unknown);
	rig_now += 301 * SECOND;
	for (int i = 0; i < 8192 / 64; i++) {
		vsw_flush(sw);
		rig_now += SECOND;
	}
	ck_assert_uint_eq(rig_stats(&g[1]).learned, 0);
}
END_TEST

START_TEST(what_was_learned_goes_with_port_policy_and_link)
{
	struct vsw_policy policy;

	let_spoof(&g[1]);
	rig_send_plain(&g[1], g[0].mac, unknown);
	vsw_port_set_link(g[1].p, false);
	ck_assert_uint_eq(macs().learned, 0);
	vsw_port_set_link(g[1].p, true);
	rig_send_plain(&g[1], g[0].mac, unknown);
	policy = *vsw_port_policy(g[1].p);
	policy.mac_spoofing = false;
	rig_set(&g[1], &policy);
	ck_assert_uint_eq(macs().learned, 0);
	let_spoof(&g[1]);
	rig_send_plain(&g[1], g[0].mac, unknown);
	rig_send_plain(&up, g[0].mac, far_away);
	ck_assert_uint_eq(macs().learned, 2);
	vsw_port_set_link(up.p, false); /* the world may look different afterwards */
	ck_assert_uint_eq(macs().learned, 0);
	rig_send_plain(&g[1], g[0].mac, unknown);
	rig_disconnect(&g[1]);
	ck_assert_uint_eq(macs().learned, 0);
}
END_TEST

START_TEST(n41_random_sources_fill_a_share_of_the_table_only)
{
	uint8_t mac[NET_MAC_LEN] = { 2, 1 };

	let_spoof(&g[1]);
	for (uint32_t i = 0; i < 5000; i++) {
		be32_put(mac + 2, i);
		ck_assert_int_eq(rig_send_plain(&g[1], g[0].mac, mac), VSW_FORWARDED);
	}
	ck_assert_uint_eq(rig_stats(&g[1]).learned, VSW_MACS_PER_PORT);
	/* Others are learned as before. */
	rig_send_plain(&up, g[0].mac, far_away);
	ck_assert_uint_eq(rig_stats(&up).learned, 1);
	/* Those not learned are reached by a flood. */
	rig_send_plain(&g[0], mac, g[0].mac);
	ck_assert_uint_eq(g[1].got, 1);
	ck_assert_uint_eq(up.got, 1);
}
END_TEST

START_TEST(n40_an_address_that_flaps_is_where_it_was_last)
{
	let_spoof(&g[1]);
	for (uint32_t i = 0; i < 1000; i++) {
		rig_send_plain(&g[1], g[0].mac, unknown);
		rig_send_plain(&up, g[0].mac, unknown);
	}
	ck_assert_uint_eq(macs().learned, 1);
	ck_assert_ptr_eq(macs().last.port, up.p);
}
END_TEST

/* One that takes every address there is harms nobody who has one of his own. */
START_TEST(n40_no_black_hole_for_the_victim)
{
	const uint32_t rounds = 10000;

	let_spoof(&g[1]);
	for (uint32_t i = 0; i < rounds; i++) {
		ck_assert_int_eq(rig_send_plain(&g[1], g[0].mac, g[2].mac), VSW_DROP_SOURCE_MAC);
		rig_send_plain(i % 2 ? &g[1] : &up, g[0].mac, unknown);
		ck_assert_int_eq(rig_send_plain(&g[0], g[2].mac, g[0].mac), VSW_FORWARDED);
	}
	ck_assert_uint_eq(g[2].got, rounds);
	ck_assert_uint_eq(rig_drop_in(&g[1], VSW_DROP_SOURCE_MAC), rounds);
	ck_assert_uint_eq(macs().learned, 1);
}
END_TEST

START_TEST(n41_two_full_ports_leave_room_for_others)
{
	uint8_t mac[NET_MAC_LEN] = { 2, 1 };
	uint32_t before;

	let_spoof(&g[1]);
	let_spoof(&g[2]);
	for (uint32_t i = 0; i < 4 * VSW_MACS_PER_PORT; i++) {
		be32_put(mac + 2, i);
		rig_send_plain(&g[1 + i % 2], g[0].mac, mac);
	}
	ck_assert_uint_eq(rig_stats(&g[1]).learned, VSW_MACS_PER_PORT);
	ck_assert_uint_eq(rig_stats(&g[2]).learned, VSW_MACS_PER_PORT);
	ck_assert_int_eq(rig_send_plain(&up, g[0].mac, far_away), VSW_FORWARDED);
	ck_assert_uint_eq(macs().learned, 2 * VSW_MACS_PER_PORT + 1);
	before = up.got;
	ck_assert_int_eq(rig_send_plain(&g[0], far_away, g[0].mac), VSW_FORWARDED);
	ck_assert_uint_eq(up.got, before + 1);
	ck_assert_uint_eq(g[1].got + g[2].got, 0);
}
END_TEST

START_TEST(addresses_of_a_driver)
{
	const uint8_t zero[NET_MAC_LEN] = { 0 };

	ck_assert_int_eq(vsw_port_set_mac(g[1].p, unknown), -EPERM);
	let_spoof(&g[1]);
	rig_send_plain(&up, g[0].mac, unknown);
	ck_assert_int_eq(vsw_port_set_mac(g[1].p, unknown), 0);
	ck_assert_uint_eq(macs().learned, 0);
	ck_assert_mem_eq(vsw_port_mac(g[1].p), unknown, NET_MAC_LEN);
	rig_send_plain(&g[0], unknown, g[0].mac);
	ck_assert_uint_eq(g[1].got, 1);
	ck_assert_int_eq(vsw_port_set_mac(g[1].p, g[0].mac), -EADDRINUSE);
	ck_assert_int_eq(vsw_port_set_mac(g[1].p, group), -EINVAL);
	ck_assert_int_eq(vsw_port_set_mac(g[1].p, zero), -EINVAL);
	ck_assert_int_eq(vsw_port_set_mac(g[1].p, unknown), 0);
	ck_assert_int_eq(vsw_port_set_mac(up.p, far_away), -EPERM);
}
END_TEST

START_TEST(addresses_that_are_taken_back)
{
	struct vsw_policy policy = *vsw_port_policy(g[1].p);
	struct rig_port host;
	struct vsw_port_config cfg = rig_config(&host, "host", 0);
	char why[160];

	cfg.role = VSW_HOST;
	rig_connect(&host, &cfg);
	let_spoof(&host);
	ck_assert_int_eq(vsw_port_set_mac(host.p, unknown), 0);
	ck_assert_int_eq(vsw_port_set_policy(host.p, &policy, why, sizeof(why)), 0);
	ck_assert(net_mac_zero(vsw_port_mac(host.p))); /* it had none */
	ck_assert_uint_eq(macs().fixed, 3);
	rig_disconnect(&host);
	let_spoof(&g[0]);
	let_spoof(&g[1]);
	ck_assert_int_eq(vsw_port_set_mac(g[1].p, unknown), 0);
	ck_assert_int_eq(vsw_port_set_mac(g[0].p, g[1].mac), 0);
	ck_assert_int_eq(vsw_port_set_policy(g[1].p, &policy, why, sizeof(why)), -EADDRINUSE);
	ck_assert_mem_eq(vsw_port_mac(g[1].p), unknown, NET_MAC_LEN);
	ck_assert_int_eq(vsw_port_set_mac(g[0].p, g[0].mac), 0);
	ck_assert_int_eq(vsw_port_set_policy(g[1].p, &policy, why, sizeof(why)), 0);
	rig_send_plain(&g[1], g[0].mac, unknown);
	ck_assert_uint_eq(g[0].got, 0);
	rig_send_plain(&g[1], g[0].mac, g[1].mac);
	ck_assert_uint_eq(g[0].got, 1);
	ck_assert_int_eq(vsw_port_set_mac(g[2].p, unknown), -EPERM);
	let_spoof(&g[2]);
	ck_assert_int_eq(vsw_port_set_mac(g[2].p, unknown), 0); /* nobody's any more */
}
END_TEST

/* ---- a host's port, and a plain bridge --------------------------------------------------------
 */

START_TEST(a_host_port_without_an_address_is_for_many)
{
	struct rig_port nat;
	struct vsw_port_config cfg = rig_config(&nat, "nat", 0);

	cfg.role = VSW_HOST;
	rig_disconnect(&up);
	rig_connect(&nat, &cfg);
	rig_send_plain(&g[0], unknown, g[0].mac);
	ck_assert_uint_eq(nat.got, 1);
	ck_assert_int_eq(rig_send_plain(&nat, g[0].mac, unknown), VSW_FORWARDED);
	ck_assert_int_eq(rig_send_plain(&nat, g[0].mac, far_away), VSW_FORWARDED);
	ck_assert_uint_eq(rig_stats(&nat).learned, 2);
	ck_assert_int_eq(rig_send_plain(&nat, lldp_mac, unknown), VSW_DROP_RESERVED);
	rig_disconnect(&nat);
}
END_TEST

static void setup_bridge(void)
{
	rig_switch(true);
	rig_guest(&g[0], "g0", 1);
	rig_guest(&g[1], "g1", 2);
	rig_guest(&g[2], "g2", 3);
	rig_uplink(&up);
}

START_TEST(a_bridge_learns_everybody_and_floods_the_unknown)
{
	ck_assert_int_eq(rig_send_plain(&g[0], unknown, far_away), VSW_FORWARDED);
	ck_assert_uint_eq(g[1].got + g[2].got + up.got, 3);
	ck_assert_uint_eq(rig_stats(&g[0]).learned, 1);
	rig_send_plain(&g[1], far_away, g[1].mac);
	ck_assert_uint_eq(g[0].got, 1);
	ck_assert_uint_eq(up.got, 1);
	ck_assert_int_eq(rig_send_plain(&g[1], far_away, g[0].mac), VSW_DROP_SOURCE_MAC);
	ck_assert_int_eq(rig_send_plain(&up, lldp_mac, unknown), VSW_DROP_RESERVED);
}
END_TEST

/* ---- ports --------------------------------------------------------------------------------- */

START_TEST(ports_that_cannot_be)
{
	struct rig_port r;
	struct vsw_port_config cfg = rig_config(&r, "x", 9), bad;
	struct vsw_port *p;
	char name[VSW_NAME + 1];

#define REFUSED(err, change)                                                                       \
	do {                                                                                       \
		bad = cfg;                                                                         \
		change;                                                                            \
		rig_why[0] = 0;                                                                    \
		ck_assert_int_eq(vsw_port_add(&p, sw, &bad, rig_why, sizeof(rig_why)), err);       \
		ck_assert_uint_gt(strlen(rig_why), 10);                                            \
		ck_assert_int_eq(vsw_port_add(&p, sw, &bad, NULL, 0), err);                        \
	} while (0)
	memset(name, 'n', VSW_NAME);
	name[VSW_NAME] = 0;
	REFUSED(-EINVAL, bad.name = NULL);
	REFUSED(-EINVAL, bad.name = "");
	REFUSED(-EINVAL, bad.name = name);
	REFUSED(-EINVAL, bad.ops = NULL);
	REFUSED(-EINVAL, bad.mac[0] = 1);
	REFUSED(-EINVAL, memset(bad.mac, 0, NET_MAC_LEN));
	REFUSED(-EINVAL, bad.mtu = 67);
	REFUSED(-EINVAL, bad.mtu = 65536);
	REFUSED(-EINVAL, bad.policy.vlan_mode = 3);
	REFUSED(-EINVAL, bad.policy.vlan_mode = VSW_ACCESS);
	REFUSED(-EINVAL, bad.policy.vlan_mode = VSW_TRUNK);
	REFUSED(-EINVAL, bad.policy.vlan = 1);
	REFUSED(-EINVAL, (bad.policy.vlan_mode = VSW_ACCESS, bad.policy.vlan = 4095));
	REFUSED(-EINVAL, bad.policy.burst = 1);
	REFUSED(-EEXIST, bad.name = "g1");
	REFUSED(-EEXIST, bad.role = VSW_UPLINK);
	REFUSED(-EADDRINUSE, memcpy(bad.mac, g[2].mac, NET_MAC_LEN));
	ck_assert_ptr_nonnull(strstr(rig_why, "g2"));
	free(r.frame);
}
END_TEST

START_TEST(ports_are_found)
{
	struct vsw_port *p = NULL;
	uint32_t n = 0;

	while ((p = vsw_port_next(sw, p)))
		n++;
	ck_assert_uint_eq(n, 4);
	ck_assert_ptr_eq(vsw_port_find(sw, "g2"), g[2].p);
	ck_assert_ptr_null(vsw_port_find(sw, "g3"));
	ck_assert_ptr_eq(vsw_port_switch(g[0].p), sw);
	ck_assert_str_eq(vsw_port_name(g[0].p), "g0");
	ck_assert_str_eq(vsw_name(sw), "lan");
	ck_assert_str_eq(vsw_type_name(vsw_type_of(sw)), "external");
}
END_TEST

START_TEST(a_full_switch_floods_to_all)
{
	static struct rig_port many[VSW_MAX_PORTS];
	struct vsw_port_config cfg;
	struct vsw_port *p;
	uint32_t got = 0;
	char name[16];

	for (uint32_t i = 4; i < VSW_MAX_PORTS; i++) {
		snprintf(name, sizeof(name), "m%u", i);
		rig_guest(&many[i], name, (uint8_t)i);
	}
	cfg = rig_config(&many[0], "too-many", 0xff);
	cfg.mac[4] = 1;
	ck_assert_int_eq(vsw_port_add(&p, sw, &cfg, rig_why, sizeof(rig_why)), -ENOSPC);
	ck_assert_int_eq(rig_send_plain(&g[0], rig_broadcast, g[0].mac), VSW_FORWARDED);
	for (uint32_t i = 4; i < VSW_MAX_PORTS; i++)
		got += many[i].got;
	ck_assert_uint_eq(got + g[1].got + g[2].got + up.got, 255);
	vsw_flush(sw);
	for (uint32_t i = 4; i < VSW_MAX_PORTS; i++)
		ck_assert_uint_eq(many[i].flushed, 1);
	for (uint32_t i = 4; i < VSW_MAX_PORTS; i++)
		rig_disconnect(&many[i]);
	free(many[0].frame);
}
END_TEST

START_TEST(switches_that_cannot_be)
{
	struct vsw_config cfg = { .name = NULL };
	char name[VSW_NAME + 1];
	struct vsw *s;

	memset(name, 'n', VSW_NAME);
	name[VSW_NAME] = 0;
	ck_assert_int_eq(vsw_create(&s, &cfg), -EINVAL);
	cfg.name = "";
	ck_assert_int_eq(vsw_create(&s, &cfg), -EINVAL);
	cfg.name = name;
	ck_assert_int_eq(vsw_create(&s, &cfg), -EINVAL);
	vsw_destroy(NULL);
	vsw_port_del(NULL);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vsp/vswitch_forward");
	TCase *table = tcase_create("table"), *flat = tcase_create("flat");
	TCase *bridge = tcase_create("bridge");

	tcase_add_checked_fixture(table, setup_table, teardown_table);
	tcase_add_test(table, forwarding_table);
	tcase_add_test(table, forwarding_table_of_the_uplink);
	tcase_add_test(table, forwarding_table_dhcp_guard);
	suite_add_tcase(s, table);
	tcase_add_checked_fixture(flat, setup_flat, teardown_flat);
	tcase_add_test(flat, n46_a_guest_never_sees_others_unicast);
	tcase_add_test(flat, nobody_to_flood_to);
	tcase_add_test(flat, nothing_goes_back_to_where_it_came_from);
	tcase_add_test(flat, one_taker_is_enough);
	tcase_add_test(flat, flush_tells_those_who_got_something_once);
	tcase_add_test(flat, n44_who_is_gone_gets_no_flush_and_no_frames);
	tcase_add_test(flat, a_filter_is_asked_for_unicast_and_floods);
	tcase_add_test(flat, a_cable_that_is_out);
	tcase_add_test(flat, counters_by_kind);
	tcase_add_test(flat, learned_where_others_may_be);
	tcase_add_test(flat, spoofing_ports_get_what_is_for_unknown_ones);
	tcase_add_test(flat, n40_a_fixed_address_is_never_taken_over);
	tcase_add_test(flat, who_was_silent_is_forgotten);
	tcase_add_test(flat, bursts_sweep_out_the_old);
	tcase_add_test(flat, what_was_learned_goes_with_port_policy_and_link);
	tcase_add_test(flat, n41_random_sources_fill_a_share_of_the_table_only);
	tcase_add_test(flat, n40_an_address_that_flaps_is_where_it_was_last);
	tcase_add_test(flat, n40_no_black_hole_for_the_victim);
	tcase_add_test(flat, n41_two_full_ports_leave_room_for_others);
	tcase_add_test(flat, addresses_of_a_driver);
	tcase_add_test(flat, addresses_that_are_taken_back);
	tcase_add_test(flat, a_host_port_without_an_address_is_for_many);
	tcase_add_test(flat, ports_that_cannot_be);
	tcase_add_test(flat, ports_are_found);
	tcase_add_test(flat, a_full_switch_floods_to_all);
	tcase_add_test(flat, switches_that_cannot_be);
	suite_add_tcase(s, flat);
	tcase_add_checked_fixture(bridge, setup_bridge, teardown_flat);
	tcase_add_test(bridge, a_bridge_learns_everybody_and_floods_the_unknown);
	suite_add_tcase(s, bridge);
	return rig_main(s);
}
