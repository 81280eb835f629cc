/* SPDX-License-Identifier: MIT */
/*
 * What a guest can query and set: every row of the table, lengths, offload settings, names (spec:
 * rndis, sections 3 and 4). Names carry the ids of the hostile cases where one is covered.
 */
#include "tests/ut/vsp/net_rig.h"

static uint8_t out[RNDIS_CONTROL_MAX];
static uint32_t len;

static uint32_t query(uint32_t oid)
{
	return mock_net_query(&g, oid, NULL, 0, out, &len);
}

static void start(uint32_t version, uint64_t caps)
{
	mock_net_open(&g, bus, 0);
	mock_net_negotiate(&g, version, 1500, caps);
	mock_net_initialize(&g);
	ck_assert_uint_eq(mock_net_filter(&g, 0x0d), 0);
}

/* ---- numbers ---------------------------------------------------------------------------- */

START_TEST(numbers)
{
	static const struct {
		uint32_t oid, value;
	} t[] = {
		{ OID_GEN_HARDWARE_STATUS, 0 },
		{ OID_GEN_MEDIA_SUPPORTED, 0 },
		{ OID_GEN_MEDIA_IN_USE, 0 },
		{ OID_GEN_MAXIMUM_LOOKAHEAD, 1500 },
		{ OID_GEN_MAXIMUM_FRAME_SIZE, 1500 },
		{ OID_GEN_LINK_SPEED, 100000000 },
		{ OID_GEN_TRANSMIT_BUFFER_SPACE, 262144 },
		{ OID_GEN_RECEIVE_BUFFER_SPACE, 262144 },
		{ OID_GEN_TRANSMIT_BLOCK_SIZE, 1514 },
		{ OID_GEN_RECEIVE_BLOCK_SIZE, 1514 },
		{ OID_GEN_VENDOR_ID, 0x155d },
		{ OID_GEN_CURRENT_PACKET_FILTER, 0x0d },
		{ OID_GEN_CURRENT_LOOKAHEAD, 1500 },
		{ OID_GEN_MAXIMUM_TOTAL_SIZE, 1514 },
		{ OID_GEN_MAC_OPTIONS, 0x24d },
		{ OID_GEN_MEDIA_CONNECT_STATUS, 0 },
		{ OID_GEN_MAXIMUM_SEND_PACKETS, 0xffffffff },
		{ OID_802_3_MAXIMUM_LIST_SIZE, 32 },
		{ OID_802_3_MAC_OPTIONS, 0 },
		{ OID_802_3_RCV_ERROR_ALIGNMENT, 0 },
		{ OID_802_3_XMIT_ONE_COLLISION, 0 },
		{ OID_802_3_XMIT_MORE_COLLISIONS, 0 },
	};
	uint16_t half;
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(t); i++)
		ck_assert_msg(mock_net_query_u32(&g, t[i].oid) == t[i].value, "%#x", t[i].oid);
	for (i = 0; i < 2; i++) {
		ck_assert_uint_eq(query(i ? OID_GEN_VENDOR_DRIVER_VERSION : OID_GEN_DRIVER_VERSION),
				  0);
		memcpy(&half, out, 2);
		ck_assert(len == 2 && half == 0x100);
	}
	ck_assert_uint_eq(query(OID_GEN_VENDOR_DESCRIPTION), 0);
	ck_assert(len == 21 && !memcmp(out, "hvbus network adapter", 21));
}
END_TEST

START_TEST(link)
{
	uint64_t speed[2];
	uint8_t want[40];

	ck_assert_uint_eq(query(OID_GEN_LINK_STATE), 0);
	ck_assert_uint_eq(len, vector_bytes(R19_LINK_STATE, want, sizeof(want)));
	ck_assert_mem_eq(out, want, sizeof(want));
	ck_assert_uint_eq(query(OID_GEN_MAX_LINK_SPEED), 0);
	memcpy(speed, out, sizeof(speed));
	ck_assert(len == 16 && speed[0] == 10000000000 && speed[1] == speed[0]);
	netvsp_set_link(nic, false);
	ck_assert_uint_eq(mock_net_query_u32(&g, OID_GEN_MEDIA_CONNECT_STATUS), 1);
	ck_assert_uint_eq(query(OID_GEN_LINK_STATE), 0);
	ck_assert_uint_eq(out[4], 2); /* not the numbers of the other one */
}
END_TEST

START_TEST(names)
{
	static const char *const given[] = { NULL, "Lan of the house", "na\xc3\xafve" };
	static const char *const shown[] = { "Network Adapter", "Lan of the house", "na??ve" };
	struct netvsp_config cfg = { .friendly = given[_i] };
	uint32_t i;

	rig_setup_with(&cfg);
	start(NVSP_V5, 0x2c);
	ck_assert_uint_eq(query(OID_GEN_FRIENDLY_NAME), 0);
	ck_assert_uint_eq(len, 512);
	for (i = 0; i < 256; i++)
		ck_assert(out[2 * i] == (i < strlen(shown[_i]) ? (uint8_t)shown[_i][i] : 0) &&
			  !out[2 * i + 1]);
	rig_teardown();
}
END_TEST

static bool listed(uint32_t oid)
{
	uint32_t i, v;

	for (i = 0; i < len; i += 4) {
		memcpy(&v, out + i, 4);
		if (v == oid)
			return true;
	}
	return false;
}

/* What is in the list for the NDIS version is known, and nothing else of the later ones is there.
 */
START_TEST(supported_list)
{
	static const struct {
		uint32_t major, minor, status;
		bool six, rss;
	} t[] = { { 5, 1, 0, false, false },
		  { 6, 0, 0, true, false },
		  { 6, 1, 0, true, false },
		  { 6, 30, 0, true, true },
		  { 6, 85, 0, true, true },
		  { 4, 0, RNDIS_STATUS_BAD_VERSION, false, false },
		  { 7, 0, RNDIS_STATUS_BAD_VERSION, false, false } };
	struct nvsp_message m = { .type = NVSP_SEND_NDIS_CONFIG };
	uint8_t list[RNDIS_CONTROL_MAX];
	uint32_t i, oid, n;

	rig_setup();
	mock_net_open(&g, bus, 0);
	ck_assert(mock_net_init(&g, NVSP_V5));
	m.ndis_config.mtu = 1514;
	mock_net_send(&g, 0, false, &m);
	m = (struct nvsp_message){ .type = NVSP_SEND_NDIS_VERSION };
	m.ndis_version.major = t[_i].major;
	m.ndis_version.minor = t[_i].minor;
	mock_net_send(&g, 0, false, &m);
	ck_assert_uint_eq(mock_net_rx_buffer(&g, 64), NVSP_STATUS_SUCCESS);
	mock_net_initialize(&g);
	ck_assert_uint_eq(query(OID_GEN_SUPPORTED_LIST), t[_i].status);
	ck_assert(listed(OID_802_3_PERMANENT_ADDRESS) == !t[_i].status);
	ck_assert(listed(OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES) == t[_i].six);
	ck_assert(listed(OID_GEN_LINK_STATE) == t[_i].six);
	ck_assert(listed(OID_GEN_RECEIVE_SCALE_PARAMETERS) == t[_i].rss);
	ck_assert(!listed(OID_PNP_SET_POWER));
	n = len;
	memcpy(list, out, n);
	for (i = 0; i < n; i += 4) {
		memcpy(&oid, list + i, 4);
		ck_assert(query(oid) != RNDIS_STATUS_NOT_SUPPORTED ||
			  mock_net_set(&g, oid, NULL, 0) != RNDIS_STATUS_NOT_SUPPORTED);
	}
	rig_teardown();
}
END_TEST

START_TEST(counters)
{
	struct mock_net_packet p;
	uint64_t v;
	uint32_t i;

	for (i = 0; i < 5; i++)
		ck_assert_uint_eq(rig_send(0), NVSP_STATUS_SUCCESS);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(rig_deliver(100), VSW_FORWARDED);
	ck_assert(mock_net_recv_data(&g, 0, &p));
#define COUNT(oid, want)                                                                           \
	do {                                                                                       \
		ck_assert(!query(oid) && len == 8);                                                \
		memcpy(&v, out, 8);                                                                \
		ck_assert_uint_eq(v, want);                                                        \
	} while (0)
	COUNT(OID_GEN_XMIT_OK, 5);
	COUNT(OID_GEN_RCV_OK, 3);
	COUNT(OID_GEN_BYTES_XMIT, 300);
	COUNT(OID_GEN_BYTES_RCV, 300);
	COUNT(OID_GEN_XMIT_ERROR, 0);
	COUNT(OID_GEN_RCV_ERROR, 0);
	COUNT(OID_GEN_RCV_NO_BUFFER, 0);
#undef COUNT
	ck_assert(!mock_net_query(&g, OID_GEN_XMIT_OK, "\0\0\0\0", 4, out, &len));
	ck_assert(len == 4 && out[0] == 5); /* an old driver has room for four bytes */
}
END_TEST

/* ---- lengths of what is set ------------------------------------------------------------------ */

START_TEST(n26_short_and_odd_sets)
{
	static const uint8_t zero[4000];
	static const struct {
		uint32_t oid, len, status;
	} t[] = {
		{ OID_GEN_CURRENT_PACKET_FILTER, 0, RNDIS_STATUS_INVALID_LENGTH },
		{ OID_GEN_CURRENT_PACKET_FILTER, 3, RNDIS_STATUS_INVALID_LENGTH },
		{ OID_802_3_CURRENT_ADDRESS, 5, RNDIS_STATUS_INVALID_LENGTH },
		{ OID_802_3_CURRENT_ADDRESS, 6, RNDIS_STATUS_INVALID_DATA }, /* all zero */
		{ OID_802_3_MULTICAST_LIST, 7, RNDIS_STATUS_INVALID_LENGTH },
		{ OID_802_3_MULTICAST_LIST, 33 * 6, RNDIS_STATUS_MULTICAST_FULL },
		{ OID_802_3_MULTICAST_LIST, 660 * 6, RNDIS_STATUS_MULTICAST_FULL },
		{ OID_GEN_CURRENT_LOOKAHEAD, 3, RNDIS_STATUS_INVALID_LENGTH },
		{ OID_GEN_CURRENT_LOOKAHEAD, 4, 0 },
		{ OID_GEN_PROTOCOL_OPTIONS, 0, RNDIS_STATUS_INVALID_LENGTH },
		{ OID_GEN_PROTOCOL_OPTIONS, 4, 0 },
		{ OID_GEN_NETWORK_LAYER_ADDRESSES, 20, 0 },
		{ OID_GEN_LINK_PARAMETERS, 20, 0 },
		{ OID_GEN_MACHINE_NAME, 20, 0 },
		{ OID_GEN_RNDIS_CONFIG_PARAMETER, 19, RNDIS_STATUS_INVALID_LENGTH },
		{ OID_GEN_RECEIVE_SCALE_PARAMETERS, 39, RNDIS_STATUS_INVALID_LENGTH },
		{ OID_TCP_OFFLOAD_PARAMETERS, 19, RNDIS_STATUS_INVALID_LENGTH },
		{ OID_OFFLOAD_ENCAPSULATION, 27, RNDIS_STATUS_INVALID_LENGTH },
		{ OID_PNP_SET_POWER, 4, 0 },
		{ OID_GEN_MAXIMUM_FRAME_SIZE, 4, RNDIS_STATUS_NOT_SUPPORTED },
		{ OID_802_3_PERMANENT_ADDRESS, 6, RNDIS_STATUS_NOT_SUPPORTED },
	};
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(t); i++)
		ck_assert_msg(mock_net_set(&g, t[i].oid, zero, t[i].len) == t[i].status, "row %u",
			      i);
	ck_assert_uint_eq(mock_net_query_u32(&g, OID_GEN_CURRENT_PACKET_FILTER), 0x0d);
	ck_assert_uint_eq(query(OID_PNP_QUERY_POWER), 0);
}
END_TEST

START_TEST(multicast_list)
{
	uint8_t list[32 * 6];
	uint32_t i;

	ck_assert(!query(OID_802_3_MULTICAST_LIST) && !len);
	for (i = 0; i < sizeof(list); i++)
		list[i] = (uint8_t)(i % 6 ? i : 1);
	ck_assert_uint_eq(mock_net_set(&g, OID_802_3_MULTICAST_LIST, list, sizeof(list)), 0);
	ck_assert(!query(OID_802_3_MULTICAST_LIST) && len == sizeof(list));
	ck_assert_mem_eq(out, list, sizeof(list));
	ck_assert_uint_eq(mock_net_set(&g, OID_802_3_MULTICAST_LIST, NULL, 0), 0);
	ck_assert(!query(OID_802_3_MULTICAST_LIST) && !len);
}
END_TEST

/* Of the switch's management, and pointers: nobody home. */
START_TEST(n29_oids_of_the_host)
{
	static const uint32_t oids[] = { 0x00010224, 0x00010237, 0x0001023c, 0x0001026b,
					 0x00010250, 0x00010240, 0xff010201, 0x0d010110 };
	uint8_t bytes[256];
	uint32_t i;

	memset(bytes, 0x41, sizeof(bytes));
	for (i = 0; i < ARRAY_SIZE(oids); i++) {
		ck_assert_uint_eq(mock_net_set(&g, oids[i], bytes, sizeof(bytes)),
				  RNDIS_STATUS_NOT_SUPPORTED);
		ck_assert_uint_eq(mock_net_query(&g, oids[i], bytes, sizeof(bytes), out, &len),
				  RNDIS_STATUS_NOT_SUPPORTED);
	}
	assert_state("operational");
}
END_TEST

/* ---- offloads
 * -------------------------------------------------------------------------------------- */

/* What Linux announces with each version, and what it gets. */
START_TEST(capabilities_in_the_size_that_is_asked_for)
{
	static const struct {
		uint32_t version;
		uint16_t size, got;
		uint8_t revision;
	} t[] = { { NVSP_V6_1, 156, 156, 3 }, { NVSP_V4, 144, 144, 2 }, { NVSP_V2, 112, 112, 1 },
		  { NVSP_V5, 200, 156, 3 },   { NVSP_V5, 155, 144, 2 }, { NVSP_V5, 0, 156, 3 },
		  { NVSP_V4, 0, 144, 2 },     { NVSP_V1, 0, 112, 1 },	{ NVSP_V5, 111, 0, 0 } };
	struct ndis_object in[40] = { { NDIS_OBJECT_OFFLOAD, t[_i].revision, t[_i].size } };
	struct ndis_offload o = { 0 };
	uint32_t status;

	rig_setup();
	start(t[_i].version, 0);
	status = mock_net_query(&g, OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES, in,
				t[_i].size ? sizeof(in) : 0, out, &len);
	ck_assert_uint_eq(status, t[_i].got ? 0 : RNDIS_STATUS_BUFFER_TOO_SHORT);
	ck_assert_uint_eq(len, t[_i].got);
	memcpy(&o, out, len);
	ck_assert_uint_eq(o.header.size, t[_i].got);
	ck_assert_uint_eq(o.header.revision, t[_i].revision);
	if (t[_i].got)
		ck_assert(o.csum4.tx_flags == 0x155 && o.lso4.max_size == 0xf53c);
	rig_teardown();
}
END_TEST

/* Linux switches RSC on from these bytes alone: only with capability bit 7, of version 6.1. */
START_TEST(rsc_is_masked_by_its_capability)
{
	static const struct {
		uint32_t version;
		uint64_t caps;
		bool rsc;
	} t[] = { { NVSP_V6_1, 0xac, true },
		  { NVSP_V6_1, 0x2c, false },
		  { NVSP_V6, 0xac, false },
		  { NVSP_V5, 0xac, false } };
	struct ndis_offload_parameters on = { .header = { NDIS_OBJECT_DEFAULT, 3, 28 },
					      .rsc4 = 2,
					      .rsc6 = 2 };
	struct ndis_offload o;

	rig_setup();
	start(t[_i].version, t[_i].caps);
	ck_assert(!query(OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES) && len == sizeof(o));
	memcpy(&o, out, len);
	ck_assert(o.rsc4 == t[_i].rsc && o.rsc6 == t[_i].rsc);
	ck_assert(!rig_stats().rsc); /* not before it is asked for */
	ck_assert_uint_eq(mock_net_set(&g, OID_TCP_OFFLOAD_PARAMETERS, &on, sizeof(on)), 0);
	ck_assert(rig_stats().rsc == t[_i].rsc);
	ck_assert(!query(OID_TCP_OFFLOAD_CURRENT_CONFIG) && len == sizeof(o));
	memcpy(&o, out, len);
	ck_assert(o.rsc4 == t[_i].rsc && o.rsc6 == t[_i].rsc);
	ck_assert_uint_eq(g.status, RNDIS_STATUS_OFFLOAD_CONFIG);
	ck_assert_mem_eq(g.info, &o, sizeof(o)); /* the indication says the same */
	on.rsc4 = on.rsc6 = 1;			 /* as `ethtool -K lro off` */
	ck_assert_uint_eq(mock_net_set(&g, OID_TCP_OFFLOAD_PARAMETERS, &on, sizeof(on)), 0);
	ck_assert(!rig_stats().rsc);
	rig_teardown();
}
END_TEST

START_TEST(n30_more_than_was_offered)
{
	struct ndis_offload_parameters all = { .header = { NDIS_OBJECT_DEFAULT, 3, 28 },
					       .ip4 = 4,
					       .tcp4 = 4,
					       .udp4 = 4,
					       .tcp6 = 4,
					       .udp6 = 4,
					       .lso4 = 2,
					       .lso6 = 2,
					       .rsc4 = 2,
					       .rsc6 = 2 };
	struct netvsp_config cfg = { .no_offloads = true };
	struct ndis_offload o, none = { .header = { NDIS_OBJECT_OFFLOAD, 3, 156 } };
	uint32_t i;

	rig_setup_with(&cfg);
	start(NVSP_V6_1, 0xac | NVSP_CAP_PARTIAL_CSUM);
	ck_assert_uint_eq(mock_net_set(&g, OID_TCP_OFFLOAD_PARAMETERS, &all, sizeof(all)), 0);
	for (i = 0; i < 2; i++) {
		ck_assert(!query(i ? OID_TCP_OFFLOAD_CURRENT_CONFIG
				   : OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES));
		memcpy(&o, out, sizeof(o));
		ck_assert_mem_eq(&o, &none, sizeof(o));
	}
	rig_teardown();
}
END_TEST

/* 20, 22 and 28 bytes; revision 3 with 22 is what Linux sends on version 4. */
START_TEST(offload_settings)
{
	struct ndis_offload_parameters p = { .header = { NDIS_OBJECT_DEFAULT, 3, 22 },
					     .ip4 = 1,
					     .tcp4 = 2,
					     .udp4 = 3,
					     .lso4 = 1,
					     .rsc4 = 2,
					     .rsc6 = 2 };
	struct ndis_offload o;

	ck_assert_uint_eq(mock_net_set(&g, OID_TCP_OFFLOAD_PARAMETERS, &p, 22), 0);
	ck_assert(!rig_stats().rsc); /* beyond what it says it has */
	ck_assert(!query(OID_TCP_OFFLOAD_CURRENT_CONFIG));
	memcpy(&o, out, sizeof(o));
	ck_assert_uint_eq(o.csum4.tx_flags, 0x14);
	ck_assert_uint_eq(o.csum4.rx_flags, 0x40);
	ck_assert_uint_eq(o.csum6.tx_flags, 0x55); /* no change */
	ck_assert(!o.lso4.encapsulation && o.lso6.encapsulation == 2 && o.lso6_flags == 5);
	p.header.revision = 1;
	p.header.size = 20;
	p.udp4 = 4;
	ck_assert_uint_eq(mock_net_set(&g, OID_TCP_OFFLOAD_PARAMETERS, &p, 20), 0);
	ck_assert(nic->offload.tx_udp4 && nic->offload.rx_udp4);
	p.header.size = 60; /* a later revision */
	ck_assert_uint_eq(mock_net_set(&g, OID_TCP_OFFLOAD_PARAMETERS, &p, 28),
			  RNDIS_STATUS_INVALID_DATA);
}
END_TEST

START_TEST(offload_settings_that_are_refused_change_nothing)
{
	struct ndis_offload_parameters good = { .header = { NDIS_OBJECT_DEFAULT, 3, 28 },
						.tcp4 = 1 },
				       p;
	struct net_offload before = nic->offload;
	uint32_t i, want, indications = g.indications;

	for (i = 0; i < 9; i++) {
		p = good;
		want = RNDIS_STATUS_INVALID_DATA;
		switch (i) {
		case 0:
			p.header.type = 0xa7;
			break;
		case 1:
			p.header.revision = 0;
			break;
		case 2:
			p.header.size = 19;
			break;
		case 3:
			p.header.size = 29;
			break;
		case 4:
			p.udp6 = 5;
			break;
		case 5:
			p.lso6 = 3;
			break;
		case 6:
			p.rsc6 = 255;
			break;
		case 7:
			p.lso1 = 2;
			want = RNDIS_STATUS_NOT_SUPPORTED;
			break;
		case 8:
			p.header.size = 0;
			break;
		}
		ck_assert_msg(mock_net_set(&g, OID_TCP_OFFLOAD_PARAMETERS, &p, 28) == want, "%u",
			      i);
	}
	ck_assert_mem_eq(&nic->offload, &before, sizeof(before));
	ck_assert_uint_eq(g.indications, indications);
}
END_TEST

START_TEST(encapsulation)
{
	static const uint8_t want[28] = { 0xa8, 1, 28, 0, 1, 0, 0, 0, 2, 0, 0,	0, 14, 0,
					  0,	0, 1,  0, 0, 0, 2, 0, 0, 0, 14, 0, 0,  0 };
	struct ndis_encapsulation e;

	ck_assert(!query(OID_OFFLOAD_ENCAPSULATION) && len == sizeof(want));
	ck_assert_mem_eq(out, want, sizeof(want));
	memcpy(&e, want, sizeof(e));
	ck_assert_uint_eq(mock_net_set(&g, OID_OFFLOAD_ENCAPSULATION, &e, sizeof(e)), 0);
	e.ip6_header = 18;
	ck_assert_uint_eq(mock_net_set(&g, OID_OFFLOAD_ENCAPSULATION, &e, sizeof(e)),
			  RNDIS_STATUS_NOT_SUPPORTED);
	e.ip6_enabled = 2; /* off: whatever the rest says */
	ck_assert_uint_eq(mock_net_set(&g, OID_OFFLOAD_ENCAPSULATION, &e, sizeof(e)), 0);
}
END_TEST

/* ---- configuration by name
 * ----------------------------------------------------------------------------- */

static uint32_t put_text(uint8_t *to, const char *text)
{
	uint32_t i;

	for (i = 0; text[i]; i++) {
		to[2 * i] = (uint8_t)text[i];
		to[2 * i + 1] = 0;
	}
	return 2 * i;
}

static uint32_t config(const char *name, const char *value)
{
	struct rndis_config_parameter p = { .name_offset = sizeof(p), .type = 2 };
	uint8_t in[2048];

	p.name_length = put_text(in + sizeof(p), name);
	p.value_offset = (uint32_t)sizeof(p) + p.name_length;
	p.value_length = put_text(in + p.value_offset, value);
	memcpy(in, &p, sizeof(p));
	return mock_net_set(&g, OID_GEN_RNDIS_CONFIG_PARAMETER, in,
			    p.value_offset + p.value_length);
}

static void allow_spoofing(void)
{
	struct vsw_policy policy = *vsw_port_policy(netvsp_port(nic));

	policy.mac_spoofing = true;
	ck_assert_int_eq(vsw_port_set_policy(netvsp_port(nic), &policy, NULL, 0), 0);
}

START_TEST(configuration_by_name)
{
	static const struct {
		const char *name, *value;
		uint32_t status;
	} t[] = {
		{ "NetworkAddress", "00155D0102a1", 0 },
		{ "NetworkAddress", "00155d0102a", RNDIS_STATUS_INVALID_DATA },
		{ "NetworkAddress", "00155d0102a11", RNDIS_STATUS_INVALID_DATA },
		{ "NetworkAddress", "00155d0102g1", RNDIS_STATUS_INVALID_DATA },
		{ "NetworkAddress", "00155d0102/1", RNDIS_STATUS_INVALID_DATA },
		{ "NetworkAddress", "01155d0102a1", RNDIS_STATUS_INVALID_DATA },
		{ "NetworkAddress", "000000000000", RNDIS_STATUS_INVALID_DATA },
		{ "NetworkAddress", "00155d010201", RNDIS_STATUS_INVALID_DATA }, /* the peer's */
		{ "NetworkAddress", "", RNDIS_STATUS_INVALID_DATA },
		{ "*TCPChecksumOffloadIPv4", "1", 0 },
		{ "*TCPChecksumOffloadIPv4", "4", RNDIS_STATUS_INVALID_DATA },
		{ "*UDPChecksumOffloadIPv6", "0", 0 },
		{ "*LsoV2IPv6", "0", 0 },
		{ "*LsoV2IPv4", "2", RNDIS_STATUS_INVALID_DATA },
		{ "*LsoV2IPv4", "99999999999999999999", RNDIS_STATUS_INVALID_DATA },
		{ "*LsoV2IPv4", "/", RNDIS_STATUS_INVALID_DATA },
		{ "*LsoV2IPv4", "", RNDIS_STATUS_INVALID_DATA },
		{ "*SomethingElse", "whatever", 0 },
		{ "", "1", RNDIS_STATUS_INVALID_DATA },
	};
	uint32_t i;

	allow_spoofing();
	for (i = 0; i < ARRAY_SIZE(t); i++)
		ck_assert_msg(config(t[i].name, t[i].value) == t[i].status, "row %u", i);
	ck_assert(nic->offload.tx_tcp4 && !nic->offload.rx_tcp4);
	ck_assert(!nic->offload.tx_udp6 && !nic->offload.rx_udp6);
	ck_assert(nic->offload.lso4 && !nic->offload.lso6);
	ck_assert_uint_eq(nic->mac[5], 0xa1);
}
END_TEST

START_TEST(n28_configuration_with_strings_elsewhere)
{
	static const struct {
		uint32_t name_at, name_len, value_at, value_len, status;
	} t[] = {
		{ 20, 28, 48, 24, 0 }, /* as it should be */
		{ 21, 28, 48, 24, RNDIS_STATUS_INVALID_DATA },
		{ 0, 28, 48, 24, RNDIS_STATUS_INVALID_DATA },
		{ 20, 28, 0, 24, RNDIS_STATUS_INVALID_DATA },
		{ 20, 27, 48, 24, RNDIS_STATUS_INVALID_DATA },
		{ 20, 0, 48, 24, RNDIS_STATUS_INVALID_DATA },
		{ 20, 256, 48, 24, RNDIS_STATUS_INVALID_DATA },
		{ 20, 28, 48, 26, RNDIS_STATUS_INVALID_DATA },
		{ 20, 28, 48, 23, RNDIS_STATUS_INVALID_DATA },
		{ 20, 28, 49, 24, RNDIS_STATUS_INVALID_DATA },
		{ 20, 28, 72, 24, RNDIS_STATUS_INVALID_DATA },
		{ 20, 28, 0xffffffff, 24, RNDIS_STATUS_INVALID_DATA },
		{ 20, 28, 48, 0xffffffff, RNDIS_STATUS_INVALID_DATA },
		{ 0xfffffff0, 28, 48, 24, RNDIS_STATUS_INVALID_DATA },
		{ 20, 0xfffffff0, 48, 24, RNDIS_STATUS_INVALID_DATA },
	};
	uint8_t msg[128], in[72];
	struct rndis_config_parameter p = { .type = 2 };
	uint32_t i;

	vector_bytes(R17_NETWORK_ADDRESS, msg, sizeof(msg));
	memcpy(in, msg + 28, sizeof(in));
	allow_spoofing();
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		p.name_offset = t[i].name_at;
		p.name_length = t[i].name_len;
		p.value_offset = t[i].value_at;
		p.value_length = t[i].value_len;
		memcpy(in, &p, sizeof(p));
		ck_assert_msg(mock_net_set(&g, OID_GEN_RNDIS_CONFIG_PARAMETER, in, sizeof(in)) ==
				      t[i].status,
			      "row %u", i);
	}
	in[50] = 0xff; /* a character that is none */
	in[51] = 0xff;
	p = (struct rndis_config_parameter){ 20, 28, 2, 48, 24 };
	memcpy(in, &p, sizeof(p));
	ck_assert_uint_eq(mock_net_set(&g, OID_GEN_RNDIS_CONFIG_PARAMETER, in, sizeof(in)),
			  RNDIS_STATUS_INVALID_DATA);
}
END_TEST

START_TEST(current_address)
{
	uint8_t mac[6] = { 2, 0, 0, 0, 0, 7 };

	ck_assert_uint_eq(mock_net_set(&g, OID_802_3_CURRENT_ADDRESS, guest_mac, 6), 0);
	ck_assert_uint_eq(mock_net_set(&g, OID_802_3_CURRENT_ADDRESS, mac, 6),
			  RNDIS_STATUS_INVALID_DATA);
	allow_spoofing();
	ck_assert_uint_eq(mock_net_set(&g, OID_802_3_CURRENT_ADDRESS, mac, 6), 0);
	ck_assert_mem_eq(vsw_port_mac(netvsp_port(nic)), mac, 6);
}
END_TEST

/* A guest that is not trusted any more is what it was connected as, to the switch and to itself. */
START_TEST(address_that_is_taken_back)
{
	uint8_t mac[6] = { 2, 0, 0, 0, 0, 7 }, got[RNDIS_CONTROL_MAX];
	struct vsw_policy policy;

	allow_spoofing();
	ck_assert_uint_eq(mock_net_set(&g, OID_802_3_CURRENT_ADDRESS, mac, 6), 0);
	policy = *vsw_port_policy(netvsp_port(nic));
	policy.mac_spoofing = false;
	ck_assert_int_eq(vsw_port_set_policy(netvsp_port(nic), &policy, NULL, 0), 0);
	ck_assert_mem_eq(vsw_port_mac(netvsp_port(nic)), guest_mac, 6);
	ck_assert_uint_eq(mock_net_query(&g, OID_802_3_CURRENT_ADDRESS, NULL, 0, got, &len), 0);
	ck_assert_uint_eq(len, 6);
	ck_assert_mem_eq(got, guest_mac, 6);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("netvsp_oid");
	TCase *t = tcase_create("operational"), *own = tcase_create("own rig");

	tcase_add_checked_fixture(t, rig_setup_started, rig_teardown);
	tcase_add_test(t, numbers);
	tcase_add_test(t, link);
	tcase_add_test(t, counters);
	tcase_add_test(t, n26_short_and_odd_sets);
	tcase_add_test(t, multicast_list);
	tcase_add_test(t, n29_oids_of_the_host);
	tcase_add_test(t, offload_settings);
	tcase_add_test(t, offload_settings_that_are_refused_change_nothing);
	tcase_add_test(t, encapsulation);
	tcase_add_test(t, configuration_by_name);
	tcase_add_test(t, n28_configuration_with_strings_elsewhere);
	tcase_add_test(t, current_address);
	tcase_add_test(t, address_that_is_taken_back);
	tcase_add_loop_test(own, names, 0, 3);
	tcase_add_loop_test(own, supported_list, 0, 7);
	tcase_add_loop_test(own, capabilities_in_the_size_that_is_asked_for, 0, 9);
	tcase_add_loop_test(own, rsc_is_masked_by_its_capability, 0, 4);
	tcase_add_test(own, n30_more_than_was_offered);
	suite_add_tcase(s, t);
	suite_add_tcase(s, own);
	return rig_run(s);
}
