/* SPDX-License-Identifier: MIT */
/*
 * The network client against a provider that behaves: what it sends byte for byte, frames both
 * ways with what goes with them, back-pressure, life and end.
 */
#include "base/clock.h"
#include "base/net/toeplitz.h"
#include "tests/ut/vsc/mini_netvsp.h"

static struct nmini vsp;
static struct netvsc *n;
static struct netvsc_rx rx[64];

static const struct netvsc_config config = { .queues = 4, .rx_bytes = 256u << 10 };

static void open_with(const struct netvsc_config *cfg)
{
	char why[160] = "";

	vsp.rx_bytes = cfg->rx_bytes;
	ck_assert_msg(!netvsc_open(&n, vsp.bus, 0, cfg, why, sizeof(why)), "%s", why);
}

static void setup(void)
{
	nmini_init(&vsp, 4);
	open_with(&config);
	ck_assert_int_eq(netvsc_up(n, true), 0);
}

static void teardown(void)
{
	netvsc_close(n);
	nmini_fini(&vsp);
}

static struct netvsc_stats stats(uint32_t q)
{
	struct netvsc_stats s;

	netvsc_stats(n, q, &s);
	return s;
}

/* ---- bring-up ----------------------------------------------------------------------- */

/* A message of 40 bytes that begins like this; the rest is zero. */
static void check_message(uint32_t type, const void *begin, size_t len)
{
	uint8_t want[NVSP_SIZE] = { 0 };

	memcpy(want, begin, len);
	ck_assert_mem_eq(nmini_find(&vsp, type), want, NVSP_SIZE);
}

START_TEST(golden_messages)
{
	static const uint8_t init[] = "\1\0\0\0\1\0\6\0\1\0\6";
	static const uint8_t ndis_version[] = "\x64\0\0\0\6\0\0\0\x1e\0\0";
	uint8_t ndis_config[] = "\x7d\0\0\0\xea\5\0\0\0\0\0\0\xac\0\0\0\0\0\0\0";
	uint8_t receive[] = "\x65\0\0\0\1\0\0\0\xfe\xca\0";
	uint8_t send[] = "\x68\0\0\0\2\0\0\0\0\0\0";

	check_message(NVSP_INIT, init, sizeof(init));
	check_message(NVSP_SEND_NDIS_VERSION, ndis_version, sizeof(ndis_version));
	ndis_config[12] = 0x88 | 0x20; /* no virtual functions, teaming, */
	ndis_config[19] = 0x80;	       /* and our own bit */
	check_message(NVSP_SEND_NDIS_CONFIG, ndis_config, sizeof(ndis_config));
	check_message(NVSP_SEND_RECEIVE_BUFFER, receive, sizeof(receive));
	check_message(NVSP_SEND_SEND_BUFFER, send, sizeof(send));
	for (uint32_t i = 0; i < vsp.n_log; i++) {
		bool quiet = vsp.log[i].type == NVSP_SEND_NDIS_CONFIG ||
			     vsp.log[i].type == NVSP_SEND_NDIS_VERSION;

		ck_assert_uint_eq(vsp.log_flags[i], quiet ? 0 : VMPKT_FLAG_COMPLETION_REQUESTED);
		if (quiet)
			ck_assert_uint_eq(vsp.log_id[i], 0xfffffffffffffffdull);
	}
}
END_TEST

START_TEST(golden_control)
{
	static const uint8_t initialize[] = { 2, 0, 0, 0, 24, 0, 0, 0, 1, 0,	0, 0,
					      1, 0, 0, 0, 0,  0, 0, 0, 0, 0x40, 0, 0 };
	static const uint8_t offload[] = { 5,	 0, 0, 0,    0x38, 0, 0,    0, 6,    0, 0, 0,
					   0x0c, 2, 1, 0xfc, 0x1c, 0, 0,    0, 0x14, 0, 0, 0,
					   0,	 0, 0, 0,    0x80, 3, 0x1c, 0, 1,    4, 4, 4,
					   4,	 0, 0, 2,    2,	   0, 0,    0, 0,    0, 0, 0,
					   0,	 0, 2, 2,    0,	   0, 0,    0 };
	uint8_t rss_query[46] = { 4,	0, 0, 0, 0x2e, 0, 0, 0, 9, 0, 0, 0, 3,	  2, 1,	   0,
				  0x12, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0, 0, 0x88, 2, 0x12, 0 };
	static const uint8_t filter[] = { 5, 0, 0, 0, 0x20, 0, 0, 0, 12, 0, 0, 0, 0x0e, 1, 1, 0,
					  4, 0, 0, 0, 0x14, 0, 0, 0, 0,	 0, 0, 0, 0x0d, 0, 0, 0 };
	static const uint8_t rss[] = { 5,    0, 0,    0, 0x6c, 2, 0,	0, 11, 0,    0,	   0, 4, 2,
				       1,    0, 0x50, 2, 0,    0, 0x14, 0, 0,  0,    0,	   0, 0, 0,
				       0x89, 2, 0x28, 0, 0,    0, 0,	0, 1,  0x17, 0,	   0, 0, 2,
				       0,    0, 0x28, 0, 0,    0, 0x28, 0, 0,  0,    0x28, 2, 0, 0,
				       0,    0, 0,    0, 0,    0, 0,	0, 0,  0,    0,	   0, 0, 0,
				       0,    0, 1,    0, 0,    0, 2,	0, 0,  0,    3 };
	const uint8_t *m;

	ck_assert_uint_eq(vsp.control_len[0], sizeof(initialize));
	ck_assert_mem_eq(vsp.control[0], initialize, sizeof(initialize));
	ck_assert_mem_eq(nmini_find_oid(&vsp, OID_TCP_OFFLOAD_PARAMETERS, 0), offload,
			 sizeof(offload));
	ck_assert_mem_eq(nmini_find_oid(&vsp, OID_GEN_RECEIVE_SCALE_CAPABILITIES, 0), rss_query,
			 sizeof(rss_query));
	ck_assert_mem_eq(nmini_find_oid(&vsp, OID_GEN_CURRENT_PACKET_FILTER, 0), filter,
			 sizeof(filter));
	m = nmini_find_oid(&vsp, OID_GEN_RECEIVE_SCALE_PARAMETERS, 0);
	ck_assert_uint_eq(m[32], 0x10); /* first it is switched off */
	m = nmini_find_oid(&vsp, OID_GEN_RECEIVE_SCALE_PARAMETERS, 1);
	ck_assert_mem_eq(m, rss, sizeof(rss));
	ck_assert_mem_eq(m + 620 - NET_RSS_KEY, net_rss_default_key, NET_RSS_KEY);
}
END_TEST

START_TEST(what_the_adapter_says)
{
	struct netvsc_info i;

	netvsc_info(n, &i);
	ck_assert_mem_eq(i.mac, vsp.mac, 6);
	ck_assert_uint_eq(i.mtu, 1500);
	ck_assert_uint_eq(i.version, NVSP_V6_1);
	ck_assert_uint_eq(i.queues, 4);
	ck_assert_uint_eq(i.speed, 10000000000ull);
	ck_assert(i.csum && i.tso && i.rsc && i.trusted_csum);
	ck_assert_uint_eq(i.tso_max, NDIS_LSO_MAX);
	ck_assert_str_eq(i.name, "lan");
	ck_assert(netvsc_link(n));
	ck_assert_int_eq(netvsc_failed(n), 0);
	ck_assert_str_eq(netvsc_why(n), "");
}
END_TEST

START_TEST(versions)
{
	static const struct {
		uint32_t version, ndis_minor, caps, offload_in, offload_set, queues;
	} v[] = {
		{ NVSP_V6_1, 30, 0xa8, 156, 28, 4 }, { NVSP_V6, 30, 0x28, 156, 28, 4 },
		{ NVSP_V5, 30, 0x28, 156, 28, 4 },   { NVSP_V4, 1, 0x08, 144, 22, 1 },
		{ NVSP_V2, 1, 0x08, 112, 22, 1 },    { NVSP_V1, 1, 0, 112, 22, 1 },
	};
	struct netvsc_info i;
	struct rndis_query q;
	uint32_t inits = 0;

	nmini_init(&vsp, 4);
	vsp.version = v[_i].version;
	open_with(&config);
	netvsc_info(n, &i);
	ck_assert_uint_eq(i.version, v[_i].version);
	ck_assert_uint_eq(i.queues, v[_i].queues);
	ck_assert(i.rsc == (v[_i].version == NVSP_V6_1));
	for (uint32_t k = 0; k < vsp.n_log; k++)
		inits += vsp.log[k].type == NVSP_INIT;
	ck_assert_uint_eq(inits, (uint32_t)_i + 1);
	ck_assert_uint_eq(nmini_find(&vsp, NVSP_SEND_NDIS_VERSION)->ndis_version.minor,
			  v[_i].ndis_minor);
	if (v[_i].caps)
		ck_assert_uint_eq(
			(uint32_t)nmini_find(&vsp, NVSP_SEND_NDIS_CONFIG)->ndis_config.capabilities,
			v[_i].caps);
	memcpy(&q, nmini_find_oid(&vsp, OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES, 0), sizeof(q));
	ck_assert_uint_eq(q.info_length, v[_i].offload_in);
	memcpy(&q, nmini_find_oid(&vsp, OID_TCP_OFFLOAD_PARAMETERS, 0), sizeof(q));
	ck_assert_uint_eq(q.info_length, v[_i].offload_set);
	teardown();
}
END_TEST

START_TEST(no_common_version)
{
	char why[160];

	nmini_init(&vsp, 1);
	vsp.version = 1;
	ck_assert_int_eq(netvsc_open(&n, vsp.bus, 0, &config, why, sizeof(why)), -EPROTONOSUPPORT);
	ck_assert_ptr_nonnull(strstr(why, "version"));
	ck_assert_int_eq(netvsc_open(&n, vsp.bus, 1, &config, why, sizeof(why)), -ENODEV);
	ck_assert_str_eq(why, "no such network adapter");
	nmini_fini(&vsp);
}
END_TEST

START_TEST(wishes_that_are_not_granted)
{
	struct netvsc_config c = config;
	struct netvsc_info i;

	nmini_init(&vsp, 2);
	vsp.subs = 1;
	vsp.mtu = 1400;
	vsp.no_csum = true;
	vsp.no_rsc = true;
	vsp.cable_out = true;
	vsp.table_entries = 100;
	c.mtu = 9000;
	open_with(&c);
	netvsc_info(n, &i);
	ck_assert_uint_eq(i.queues, 2);
	ck_assert_uint_eq(i.mtu, 1400);
	ck_assert(!i.csum && !i.tso && !i.rsc);
	ck_assert(!netvsc_link(n));
	ck_assert_uint_eq(nmini_find(&vsp, NVSP_SEND_NDIS_CONFIG)->ndis_config.mtu, 9014);
	teardown();
}
END_TEST

START_TEST(modest_wishes)
{
	struct netvsc_config c = { .rx_bytes = 64u << 10, .no_offloads = true };
	const struct nvsp_message *m;
	struct netvsc_info i;

	nmini_init(&vsp, 1);
	open_with(&c);
	netvsc_info(n, &i);
	m = nmini_find(&vsp, NVSP_SEND_NDIS_CONFIG);
	ck_assert_uint_eq(m->ndis_config.capabilities, NVSP_CAP_8021Q | NVSP_CAP_TEAMING);
	ck_assert(!i.csum && !i.tso && !i.rsc && !i.trusted_csum);
	ck_assert_uint_eq(nmini_find_oid(&vsp, OID_TCP_OFFLOAD_PARAMETERS, 0)[33], 1);
	teardown();
}
END_TEST

START_TEST(open_survives_every_failed_allocation)
{
	int err = -ENOMEM;

	for (uint32_t k = 0; err; k++) {
		ck_assert_uint_lt(k, 20);
		nmini_init(&vsp, 4);
		vsp.rx_bytes = config.rx_bytes;
		fake_client_fail_alloc(vsp.bus, k);
		err = netvsc_open(&n, vsp.bus, 0, &config, NULL, 0);
		/* A queue that cannot be opened is done without. */
		ck_assert(!err || err == -ENOMEM);
		if (!err)
			netvsc_close(n);
		nmini_fini(&vsp);
	}
}
END_TEST

START_TEST(settings)
{
	static const uint8_t mac[] = { 0x00, 0x15, 0x5d, 0x01, 0x02, 0xa1 };
	static const uint8_t multicast[6] = { 1 };
	static const uint8_t golden[] = "\x48\0\0\0\x14\0\0\0\0\0\0\0\x14\0\0\0\x1c\0\0\0\2\0\0\0"
					"\x30\0\0\0\x18\0\0\0N\0e\0t\0w\0"
					"o\0r\0k\0A\0d\0d\0r\0e\0s\0s\0000\0000\0001\0005\0005\0d"
					"\0000\0001\0000\0002\0a\0001";
	struct netvsc_info i;

	ck_assert_int_eq(netvsc_set_mac(n, mac), 0);
	ck_assert_mem_eq(nmini_find_oid(&vsp, OID_GEN_RNDIS_CONFIG_PARAMETER, 0) + 16, golden,
			 sizeof(golden));
	netvsc_info(n, &i);
	ck_assert_mem_eq(i.mac, mac, 6);
	ck_assert_int_eq(netvsc_set_mac(n, multicast), -EINVAL);
	ck_assert_int_eq(netvsc_promiscuous(n, true), 0);
	ck_assert_uint_eq(nmini_find_oid(&vsp, OID_GEN_CURRENT_PACKET_FILTER, 1)[28], 0x20);
	ck_assert_int_eq(netvsc_promiscuous(n, false), 0);
	ck_assert_int_eq(netvsc_up(n, false), 0);
	ck_assert_uint_eq(nmini_find_oid(&vsp, OID_GEN_CURRENT_PACKET_FILTER, 3)[28], 0);
}
END_TEST

static bool refuse_set(struct nmini *v, const uint8_t *msg, uint32_t len)
{
	struct rndis_set_complete a = { RNDIS_SET | RNDIS_COMPLETION, 16, 0,
					RNDIS_STATUS_INVALID_DATA };

	(void)len;
	if (msg[0] != RNDIS_SET)
		return false;
	memcpy(&a.request, msg + 8, 4);
	nmini_say(v, &a, sizeof(a));
	return true;
}

START_TEST(an_address_that_is_not_allowed)
{
	static const uint8_t mac[] = { 0x00, 0x15, 0x5d, 0x01, 0x02, 0xa1 };
	struct netvsc_info i;

	vsp.rndis = refuse_set;
	ck_assert_int_eq(netvsc_set_mac(n, mac), -EPERM);
	netvsc_info(n, &i);
	ck_assert_mem_eq(i.mac, vsp.mac, 6);
	ck_assert_int_eq(netvsc_up(n, true), -EIO);
}
END_TEST

START_TEST(farewell)
{
	static const uint8_t halt[] = { 3, 0, 0, 0, 12, 0, 0, 0, 13, 0, 0, 0 };
	static const uint8_t rx_revoke[] = "\x67\0\0\0\xfe\xca\0";
	static const uint8_t tx_revoke[] = "\x6a\0\0\0\0\0\0";

	netvsc_close(n);
	ck_assert_mem_eq(vsp.control[vsp.n_control - 1], halt, sizeof(halt));
	check_message(NVSP_REVOKE_RECEIVE_BUFFER, rx_revoke, sizeof(rx_revoke));
	check_message(NVSP_REVOKE_SEND_BUFFER, tx_revoke, sizeof(tx_revoke));
	ck_assert_uint_eq(vsp.log_id[vsp.n_log - 1], 0xfffffffffffffffdull);
	ck_assert_uint_eq(vsp.log_flags[vsp.n_log - 1], 0);
	ck_assert_uint_eq(fake_client_counts(vsp.bus)->gpadls, 0);
	n = NULL;
	netvsc_close(n);
}
END_TEST

/* ---- sending ---------------------------------------------------------------------------- */

static struct netvsc_tx tx;

/* An Ethernet frame of @len bytes with a pattern; its type is one that nobody has. */
static void pattern(uint8_t *frame, uint32_t len, uint8_t seed)
{
	for (uint32_t i = 0; i < len; i++)
		frame[i] = (uint8_t)(i * 7 + seed + (i >> 8));
	frame[0] = 0;
	frame[12] = 0x88;
	frame[13] = 0xb5;
}

static void send_frame(uint32_t q, const uint8_t *frame, uint32_t len, const struct net_meta *meta)
{
	ck_assert_int_eq(netvsc_tx_begin(n, q, &tx), 0);
	ck_assert_uint_ge(tx.iov[0].iov_len, 320);
	ck_assert_uint_ge(tx.iov[0].iov_len + tx.iov[1].iov_len, NET_FRAME_MAX);
	ck_assert_uint_eq(iov_from_buf(tx.iov, 2, 0, frame, len), len);
	ck_assert_int_eq(netvsc_tx_commit(n, q, &tx, len, meta), 0);
}

/* What is in request @i: the frame that starts at *@at there; moves on to the next. */
static struct rndis_data parse(uint32_t i, uint32_t *at, const uint8_t **frame)
{
	const struct nmini_request *r = &vsp.data[i];
	struct rndis_data d;

	ck_assert_uint_lt(*at, r->len);
	ck_assert_ptr_null(rndis_data_parse(&d, r->bytes + *at, MIN(r->len - *at, RNDIS_DATA_HEAD),
					    r->len - *at));
	*frame = r->bytes + *at + d.data_offset;
	*at += d.length;
	return d;
}

static void collect(void)
{
	netvsc_tx_flush(n, 0);
	nmini_work(&vsp);
}

START_TEST(one_frame)
{
	uint8_t frame[60];
	const uint8_t *got;
	struct rndis_data d;
	uint32_t at = 0;

	pattern(frame, 60, 3);
	send_frame(0, frame, 60, NULL);
	collect();
	ck_assert_uint_eq(vsp.n_data, 1);
	/* In-band, the section that was free first, and what is used of it. */
	ck_assert_uint_eq(vsp.data[0].type, VMPKT_INBAND);
	ck_assert_uint_eq(vsp.data[0].section, 0);
	ck_assert_uint_eq(vsp.data[0].used, NV_HEADER + 60);
	ck_assert_uint_eq((uint32_t)vsp.data[0].id, 1);
	d = parse(0, &at, &got);
	ck_assert_uint_eq(d.data_length, 60);
	ck_assert_uint_eq(at, vsp.data[0].len);
	ck_assert_mem_eq(got, frame, 60);
	ck_assert(!d.has_csum && !d.has_lso && !d.has_vlan && !d.has_hash);
	ck_assert_uint_eq(netvsc_tx_pending(n, 0), 1);
	ck_assert_int_eq(netvsc_rx(n, 0, rx, 64), 0);
	ck_assert_uint_eq(netvsc_tx_pending(n, 0), 0);
	ck_assert_uint_eq(stats(0).tx_frames, 1);
	ck_assert_uint_eq(stats(0).tx_bytes, 60);
}
END_TEST

/* Eight small ones share a request, each but the last padded to eight bytes. */
START_TEST(frames_share_a_request)
{
	uint8_t frame[64];
	const uint8_t *got;
	struct rndis_data d;
	uint32_t at;

	for (uint32_t i = 0; i < 20; i++) {
		pattern(frame, 61, (uint8_t)i);
		send_frame(0, frame, 61, NULL);
	}
	collect();
	ck_assert_uint_eq(vsp.n_data, 3);
	for (uint32_t r = 0, i = 0; r < 3; r++) {
		for (at = 0; at < vsp.data[r].len; i++) {
			d = parse(r, &at, &got);
			pattern(frame, 61, (uint8_t)i);
			ck_assert_uint_eq(d.data_length, 61);
			ck_assert_mem_eq(got, frame, 61);
			ck_assert_uint_eq(d.length, at == vsp.data[r].len ? 153 : 160);
		}
		ck_assert_uint_eq(i, MIN(8 * (r + 1), 20));
	}
	ck_assert_uint_eq(stats(0).tx_requests, 3);
}
END_TEST

START_TEST(as_many_as_the_root_takes)
{
	uint8_t frame[60];

	nmini_init(&vsp, 1);
	vsp.max_packets = (uint32_t)_i;
	vsp.max_transfer = _i == 3 ? 1000 : RNDIS_MAX_TRANSFER;
	open_with(&config);
	pattern(frame, 60, 0);
	for (int i = 0; i < 8; i++)
		send_frame(0, frame, 60, NULL);
	collect();
	ck_assert_uint_eq(vsp.n_data, _i == 2 ? 4 : 8);
	teardown();
}
END_TEST

/* What a section does not hold of its last frame travels by page numbers. */
START_TEST(mixed_form)
{
	static const uint32_t size[] = { 1514, 1514, 1300, 1514 };
	static uint8_t frame[1514];
	const uint8_t *got;
	struct rndis_data d;
	uint32_t at = 0;

	for (uint32_t i = 0; i < 4; i++) {
		pattern(frame, size[i], (uint8_t)i);
		send_frame(0, frame, size[i], NULL);
	}
	collect();
	ck_assert_uint_eq(vsp.n_data, 1);
	ck_assert_uint_eq(vsp.data[0].type, VMPKT_GPA_DIRECT);
	ck_assert_uint_eq(vsp.data[0].ranges, 1);
	ck_assert_uint_eq(vsp.data[0].used, NMINI_SECTION);
	for (uint32_t i = 0; i < 4; i++) {
		d = parse(0, &at, &got);
		pattern(frame, size[i], (uint8_t)i);
		ck_assert_uint_eq(d.data_length, size[i]);
		ck_assert_mem_eq(got, frame, size[i]);
	}
	ck_assert_uint_eq(at, vsp.data[0].len);
	ck_assert_int_eq(netvsc_rx(n, 0, rx, 64), 0);
	ck_assert_uint_eq(n->queue[0].nr_spill, NV_OVERFLOWS);
}
END_TEST

/* A frame as long as the one before is not begun where it would not end. */
START_TEST(full_frames_are_not_cut)
{
	static uint8_t frame[1514];

	for (uint32_t i = 0; i < 9; i++)
		send_frame(0, frame, 1514, NULL);
	collect();
	ck_assert_uint_eq(vsp.n_data, 3);
	for (uint32_t i = 0; i < 3; i++)
		ck_assert_uint_eq(vsp.data[i].type, VMPKT_INBAND);
	ck_assert_uint_eq(stats(0).tx_requests, 3);
}
END_TEST

static void ip4_tcp(uint8_t *f, uint32_t len)
{
	memset(f, 0x55, len);
	be16_put(f + 12, NET_ETHERTYPE_IP4);
	memcpy(f + 14, "\x45\0\0\0\xac\x83\x40\0\x40\6\x12\x34\x0a\0\0\1\x0a\0\0\3", 20);
	be16_put(f + 16, (uint16_t)(len - 14));
	f[46] = 0x80;
}

/* Largest frames; lengths and sums left out as NDIS has it. */
START_TEST(large_frames)
{
	struct net_meta m = { .csum = NET_CSUM_PARTIAL,
			      .csum_start = 34,
			      .csum_offset = 16,
			      .gso = NET_GSO_TCP4,
			      .gso_size = 1448,
			      .header_len = 66 };
	static uint8_t frame[NDIS_LSO_MAX];
	uint32_t at = 0, l4 = NDIS_LSO_MAX - 34, sum = 0x0a00 + 1 + 0x0a00 + 3 + 6 + l4;
	const uint8_t *got;
	struct rndis_data d;

	ip4_tcp(frame, sizeof(frame));
	be16_put(frame + 50, (uint16_t)((sum & 0xffff) + (sum >> 16)));
	send_frame(0, frame, sizeof(frame), &m);
	nmini_work(&vsp); /* published without being asked */
	ck_assert_uint_eq(vsp.n_data, 1);
	d = parse(0, &at, &got);
	ck_assert_uint_eq(d.data_length, sizeof(frame));
	ck_assert(d.has_lso && !d.has_csum);
	ck_assert_uint_eq(d.lso, 0x422005a8);
	ck_assert_uint_eq(be16_at(got + 16), 0);
	ck_assert_uint_eq(be16_at(got + 24), 0);
	ck_assert_uint_eq(be16_at(got + 50), 0x140a);
	ck_assert_mem_eq(got + 52, frame + 52, sizeof(frame) - 52);
	ck_assert_uint_eq(stats(0).tx_large, 1);
}
END_TEST

START_TEST(large_frames_of_ip6)
{
	struct net_meta m = { .csum = NET_CSUM_PARTIAL,
			      .csum_start = 54,
			      .csum_offset = 16,
			      .gso = NET_GSO_TCP6,
			      .gso_size = 1428,
			      .header_len = 86 };
	static uint8_t frame[8000];
	const uint8_t *got;
	struct rndis_data d;
	uint32_t at = 0;

	memset(frame, 0, sizeof(frame));
	be16_put(frame + 12, NET_ETHERTYPE_IP6);
	be16_put(frame + 18, sizeof(frame) - 54);
	be16_put(frame + 70, 0x1234);
	send_frame(1, frame, sizeof(frame), &m);
	nmini_work(&vsp);
	d = parse(0, &at, &got);
	ck_assert_uint_eq(vsp.data[0].channel, 1);
	ck_assert_uint_eq(d.lso, 0xc3600594);
	ck_assert_uint_eq(be16_at(got + 18), 0);
	/* 0x1234 - 7946, in ones' complement */
	ck_assert_uint_eq(be16_at(got + 70), 0x1234 + (0xffff - (8000 - 54)));
}
END_TEST

START_TEST(elements)
{
	static const struct {
		uint16_t type, start, offset;
		uint32_t value;
	} c[] = { { NET_ETHERTYPE_IP4, 34, 16, 0x00220005 },
		  { NET_ETHERTYPE_IP4, 34, 6, 0x00220009 },
		  { NET_ETHERTYPE_IP6, 54, 16, 0x00360006 },
		  { NET_ETHERTYPE_IP6, 54, 6, 0x0036000a } };
	struct net_meta m = { .csum = NET_CSUM_PARTIAL,
			      .csum_start = c[_i].start,
			      .csum_offset = c[_i].offset,
			      .tagged = true,
			      .vlan_tci = 3 << 13 | 100,
			      .hash = 0x51ccc178,
			      .hash_valid = true };
	static const uint32_t order[] = { RNDIS_INFO_HASH, RNDIS_INFO_8021Q, RNDIS_INFO_CSUM };
	struct rndis_info_u32 e[3];
	uint8_t frame[100];
	const uint8_t *got;
	struct rndis_data d;
	uint32_t at = 0;

	pattern(frame, 100, 9);
	be16_put(frame + 12, c[_i].type);
	send_frame(0, frame, 100, &m);
	collect();
	d = parse(0, &at, &got);
	ck_assert(d.has_csum && d.has_vlan && d.has_hash && !d.has_lso);
	ck_assert_uint_eq(d.csum, c[_i].value);
	ck_assert_uint_eq(d.vlan, 0x643);
	ck_assert_uint_eq(d.hash, 0x51ccc178);
	ck_assert_mem_eq(got, frame, 100);
	memcpy(e, vsp.data[0].bytes + 44, sizeof(e));
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(e[i].info.type, order[i]);
}
END_TEST

/* The caller took something out of the frame's front. */
START_TEST(frames_that_start_later)
{
	uint8_t frame[64];
	const uint8_t *got;
	struct rndis_data d;
	uint32_t at = 0;

	pattern(frame, 64, 1);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(netvsc_tx_begin(n, 0, &tx), 0);
		tx.iov[0].iov_base = (uint8_t *)tx.iov[0].iov_base + 4;
		memcpy(tx.iov[0].iov_base, frame, 64);
		ck_assert_int_eq(netvsc_tx_commit(n, 0, &tx, 64, NULL), 0);
	}
	collect();
	for (int i = 0; i < 2; i++) {
		d = parse(0, &at, &got);
		ck_assert_uint_eq(d.data_length, 64);
		ck_assert_mem_eq(got, frame, 64);
	}
}
END_TEST

START_TEST(frames_that_cannot_be_sent)
{
	static const struct net_meta bad[] = {
		{ .gso = NET_GSO_TCP4, .gso_size = 1000 },
		{ .csum = NET_CSUM_PARTIAL, .csum_start = 10, .csum_offset = 16 },
		{ .csum = NET_CSUM_PARTIAL, .csum_start = 34, .csum_offset = 4 },
		{ .csum = NET_CSUM_PARTIAL, .csum_start = 95, .csum_offset = 16 },
		{ .csum = NET_CSUM_PARTIAL, .csum_start = 1100, .csum_offset = 16 },
		{ .csum = NET_CSUM_PARTIAL, .csum_start = 34, .csum_offset = 16, .gso = 1 },
		{ .csum = NET_CSUM_PARTIAL,
		  .csum_start = 54,
		  .csum_offset = 16,
		  .gso = NET_GSO_TCP6,
		  .gso_size = 100 },
	};

	ck_assert_int_eq(netvsc_tx_begin(n, 0, &tx), 0);
	ip4_tcp(tx.iov[0].iov_base, 100);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_int_eq(netvsc_tx_commit(n, 0, &tx, 100, &bad[i]), -EINVAL);
	ck_assert_int_eq(netvsc_tx_commit(n, 0, &tx, 13, NULL), -EINVAL);
	ck_assert_int_eq(netvsc_tx_commit(n, 0, &tx, 1600, NULL), -EINVAL);
	ck_assert_int_eq(netvsc_tx_commit(n, 0, &tx, NET_FRAME_MAX + 1, NULL), -EINVAL);
	ck_assert_int_eq(netvsc_tx_commit(n, 0, &tx, 0, NULL), 0);
	tx.iov[0].iov_base = (uint8_t *)tx.iov[0].iov_base + 20;
	ck_assert_int_eq(netvsc_tx_commit(n, 0, &tx, 100, NULL), -EINVAL);
	collect();
	ck_assert_uint_eq(vsp.n_data, 0);
	ck_assert_uint_eq(stats(0).tx_frames, 0);
}
END_TEST

/* A root that completes nothing stops the sender, and nothing else. */
START_TEST(back_pressure)
{
	struct nvsp_message ok = { .type = NVSP_SEND_RNDIS_PACKET_COMPLETE,
				   .rndis_complete = { NVSP_STATUS_FAIL } };
	static uint8_t frame[1514];
	uint32_t sent = 0;

	vsp.mute = true;
	pattern(frame, 1514, 0);
	while (!netvsc_tx_begin(n, 2, &tx)) {
		iov_from_buf(tx.iov, 2, 0, frame, _i ? 1514 : 60);
		ck_assert_int_eq(netvsc_tx_commit(n, 2, &tx, _i ? 1514 : 60, NULL), 0);
		ck_assert_uint_lt(++sent, 10000);
		netvsc_tx_flush(n, 2); /* each by itself */
	}
	ck_assert_int_eq(netvsc_tx_begin(n, 2, &tx), -EAGAIN);
	ck_assert_uint_eq(sent, n->queue[2].nr_sections);
	ck_assert_uint_eq(netvsc_tx_pending(n, 2), sent);
	ck_assert_uint_ge(stats(2).tx_full, 2);
	nmini_work(&vsp);
	nmini_complete(&vsp, 2, vsp.data[(vsp.n_data - 1) % NMINI_LOG].id, &ok);
	vmbus_chan_flush(nmini_chan(&vsp, 2));
	ck_assert_int_eq(netvsc_rx(n, 2, rx, 64), 0);
	ck_assert_uint_eq(stats(2).tx_failed, 1);
	ck_assert_int_eq(netvsc_tx_begin(n, 2, &tx), 0);
	ck_assert_int_eq(netvsc_tx_begin(n, 1, &tx), 0);
}
END_TEST

START_TEST(large_frames_are_limited_too)
{
	static uint8_t frame[NDIS_LSO_MAX];
	struct net_meta m = { .csum = NET_CSUM_PARTIAL,
			      .csum_start = 34,
			      .csum_offset = 16,
			      .gso = NET_GSO_TCP4,
			      .gso_size = 1448 };
	uint32_t sent = 0;

	vsp.mute = true;
	ip4_tcp(frame, sizeof(frame));
	while (!netvsc_tx_begin(n, 0, &tx)) {
		iov_from_buf(tx.iov, 2, 0, frame, sizeof(frame));
		ck_assert_int_eq(netvsc_tx_commit(n, 0, &tx, sizeof(frame), &m), 0);
		ck_assert_uint_lt(++sent, 100);
	}
	ck_assert_uint_eq(sent, NV_OVERFLOWS);
}
END_TEST

START_TEST(the_root_prefers_a_queue)
{
	struct nvsp_message m = { .type = NVSP_SEND_INDIRECTION_TABLE,
				  .indirection_table = { 16, 40 } };
	uint8_t msg[104] = { 0 };

	ck_assert_uint_eq(netvsc_tx_queue(n, 5), 1);
	memcpy(msg, &m, sizeof(m));
	msg[40 + 5 * 4] = 3;
	msg[40 + 6 * 4] = 9; /* beyond the channels */
	vmbus_chan_send(nmini_chan(&vsp, 0), 0, 0, msg, sizeof(msg));
	vmbus_chan_flush(nmini_chan(&vsp, 0));
	ck_assert_int_eq(netvsc_rx(n, 0, rx, 64), 0);
	ck_assert_uint_eq(netvsc_tx_queue(n, 5), 3);
	ck_assert_uint_eq(netvsc_tx_queue(n, 22), 1);
	ck_assert_uint_eq(netvsc_tx_queue(n, 1), 0);
}
END_TEST

/* ---- receiving ------------------------------------------------------------------------------ */

START_TEST(frames_in)
{
	struct nmini_info info = { .csum = true,
				   .vlan = true,
				   .hash = true,
				   .csum_v = 0x28,
				   .vlan_v = 0x643,
				   .hash_v = 0xaabbccdd };
	uint8_t frame[300];

	pattern(frame, 300, 5);
	nmini_deliver(&vsp, 3, frame, 300, &info);
	ck_assert_int_eq(netvsc_rx(n, 0, rx, 64), 0);
	ck_assert_int_eq(netvsc_rx(n, 3, rx, 64), 1);
	ck_assert_int_eq(rx[0].iovcnt, 1);
	ck_assert_uint_eq(rx[0].len, 300);
	ck_assert_mem_eq(rx[0].iov[0].iov_base, frame, 300);
	ck_assert_uint_eq(rx[0].meta.csum, NET_CSUM_GOOD);
	ck_assert(rx[0].meta.tagged && rx[0].meta.hash_valid && !rx[0].large && !rx[0].ip4_stale);
	ck_assert_uint_eq(rx[0].meta.vlan_tci, 3 << 13 | 100);
	ck_assert_uint_eq(rx[0].meta.hash, 0xaabbccdd);
	nmini_work(&vsp);
	vsp.n_back = 0; /* those of the bring-up */
	netvsc_rx_done(n, 3);
	nmini_work(&vsp);
	/* Eight bytes of payload, the packet's id, the same channel. */
	ck_assert_uint_eq(vsp.n_back, 1);
	ck_assert_uint_eq(vsp.back[0].id, 16);
	ck_assert_uint_eq(vsp.back[0].status, NVSP_STATUS_SUCCESS);
	ck_assert_uint_eq(vsp.back[0].len, 8);
	ck_assert_uint_eq(vsp.back[0].channel, 3);
}
END_TEST

START_TEST(checksums_in)
{
	static const struct {
		uint32_t value;
		uint8_t csum;
		bool stale;
	} c[] = { { 0, NET_CSUM_UNKNOWN, false },    { 0x08, NET_CSUM_GOOD, false },
		  { 0x10, NET_CSUM_GOOD, false },    { 0x20, NET_CSUM_UNKNOWN, false },
		  { 0x01, NET_CSUM_UNKNOWN, false }, { 0xa8, NET_CSUM_PARTIAL, false },
		  { 0xb0, NET_CSUM_PARTIAL, false }, { 0x128, NET_CSUM_GOOD, true } };
	struct nmini_info info = { .csum = true, .csum_v = c[_i].value };
	uint8_t frame[60];

	pattern(frame, 60, 5);
	nmini_deliver(&vsp, 0, frame, 60, &info);
	ck_assert_int_eq(netvsc_rx(n, 0, rx, 64), 1);
	ck_assert_uint_eq(rx[0].meta.csum, c[_i].csum);
	ck_assert(rx[0].ip4_stale == c[_i].stale);
	netvsc_rx_done(n, 0);
}
END_TEST

/* Without the agreement, a value that is not what it should be is still a good one. */
START_TEST(checksums_of_another_root)
{
	struct netvsc_config cfg = { .rx_bytes = 256u << 10, .no_trusted_csum = true };
	struct nmini_info info = { .csum = true, .csum_v = 0x1a8 };
	uint8_t frame[60];

	nmini_init(&vsp, 1);
	open_with(&cfg);
	pattern(frame, 60, 5);
	nmini_deliver(&vsp, 0, frame, 60, &info);
	ck_assert_int_eq(netvsc_rx(n, 0, rx, 64), 1);
	ck_assert_uint_eq(rx[0].meta.csum, NET_CSUM_GOOD);
	netvsc_rx_done(n, 0);
	teardown();
}
END_TEST

/* A packet may have more frames than are wanted now. It is given back after the last. */
START_TEST(bursts)
{
	struct vmpkt_xfer_range r[5];
	uint8_t frame[100];

	for (uint32_t i = 0; i < 5; i++) {
		pattern(frame, 100, (uint8_t)i);
		r[i] = nmini_put(&vsp, 20 + i, frame, 60 + i, NULL);
	}
	nmini_work(&vsp);
	vsp.n_back = 0;
	nmini_ranges(&vsp, 0, 20, NVSP_DATA, r, 5);
	nmini_deliver(&vsp, 0, frame, 70, NULL);
	ck_assert_int_eq(netvsc_rx(n, 0, rx, 2), 2);
	netvsc_rx_done(n, 0);
	nmini_work(&vsp);
	ck_assert_uint_eq(vsp.n_back, 0);
	ck_assert(!netvsc_arm(n, 0)); /* there is something at hand */
	netvsc_disarm(n, 0);
	ck_assert_int_eq(netvsc_rx(n, 0, rx, 64), 4);
	for (uint32_t i = 0; i < 3; i++)
		ck_assert_uint_eq(rx[i].len, 62 + i);
	ck_assert_uint_eq(rx[3].len, 70);
	netvsc_rx_done(n, 0);
	nmini_work(&vsp);
	ck_assert_uint_eq(vsp.n_back, 2);
	ck_assert_uint_eq(vsp.back[0].id, 20);
	ck_assert_uint_eq(stats(0).rx_frames, 6);
	ck_assert_uint_eq(stats(0).rx_bytes, 60 + 61 + 62 + 63 + 64 + 70);
}
END_TEST

/* A large frame as a row of pieces: elements count in the first only. */
START_TEST(fragments)
{
	struct nmini_info info = { .fragment = true, .csum = true, .csum_v = 0x128 };
	struct vmpkt_xfer_range r[6];
	static uint8_t frame[5000];

	pattern(frame, sizeof(frame), 7);
	r[0] = nmini_put(&vsp, 30, frame, 60, NULL);
	info.fragment_v = 0x00010301;
	r[1] = nmini_put(&vsp, 31, frame, 1514, &info);
	info.csum_v = 0x28;
	info.fragment_v = 0x00010101;
	r[2] = nmini_put(&vsp, 32, frame + 1514, 1514, &info);
	r[3] = nmini_put(&vsp, 33, frame + 3028, 1514, &info);
	info.fragment_v = 0x00010501;
	r[4] = nmini_put(&vsp, 34, frame + 4542, 458, &info);
	info.fragment_v = 1; /* the element alone is no fragment */
	r[5] = nmini_put(&vsp, 35, frame, 61, &info);
	nmini_ranges(&vsp, 0, 30, NVSP_DATA, r, 6);
	ck_assert_int_eq(netvsc_rx(n, 0, rx, 64), 3);
	ck_assert_uint_eq(rx[0].len, 60);
	ck_assert_uint_eq(rx[1].len, 5000);
	ck_assert_int_eq(rx[1].iovcnt, 4);
	ck_assert(rx[1].large && rx[1].ip4_stale);
	for (uint32_t at = 0, i = 0; i < 4; at += (uint32_t)rx[1].iov[i++].iov_len)
		ck_assert_mem_eq(rx[1].iov[i].iov_base, frame + at, rx[1].iov[i].iov_len);
	ck_assert_uint_eq(rx[2].len, 61);
	netvsc_rx_done(n, 0);
	ck_assert_uint_eq(stats(0).rx_fragments, 4);
	ck_assert_uint_eq(stats(0).rx_bad, 0);
}
END_TEST

START_TEST(the_cable)
{
	static const uint8_t out[] = "\7\0\0\0\x14\0\0\0\x0c\0\1\x40\0\0\0\0\0\0\0";
	static const uint8_t in[] = "\7\0\0\0\x14\0\0\0\x0b\0\1\x40\0\0\0\0\0\0\0";
	static const uint8_t speed[] =
		"\7\0\0\0\x18\0\0\0\x13\0\1\x40\4\0\0\0\x0c\0\0\0\x40\x78\x7d\1";
	struct netvsc_info i;

	ck_assert(netvsc_link(n));
	nmini_say(&vsp, out, 20);
	ck_assert_int_eq(netvsc_rx(n, 0, rx, 64), 0);
	ck_assert(!netvsc_link(n));
	nmini_say(&vsp, in, 20);
	ck_assert_int_eq(netvsc_rx(n, 0, rx, 64), 0);
	nmini_say(&vsp, speed, 24);
	ck_assert_int_eq(netvsc_rx(n, 0, rx, 64), 0);
	ck_assert(netvsc_link(n));
	netvsc_info(n, &i);
	ck_assert_uint_eq(i.speed, 2500000000u);
	ck_assert_uint_eq(stats(0).ignored, 0);
}
END_TEST

/* ---- waiting ------------------------------------------------------------------------------------
 */

static void deliver_one(void *ctx)
{
	uint8_t frame[60];

	pattern(frame, 60, 0);
	nmini_deliver(ctx, 1, frame, 60, NULL);
}

START_TEST(waits)
{
	fake_client_on_wait(vsp.bus, deliver_one, &vsp);
	ck_assert_int_eq(netvsc_wait(n, 1, 1000), 1);
	ck_assert_int_eq(netvsc_rx(n, 1, rx, 64), 1);
	netvsc_rx_done(n, 1);
	fake_client_on_wait(vsp.bus, NULL, NULL);
	ck_assert_int_eq(netvsc_wait(n, 1, 1000), 0);
	ck_assert_uint_eq(stats(1).sleeps, 2);
	/* What is there already needs no sleep. */
	deliver_one(&vsp);
	ck_assert_int_eq(netvsc_wait(n, 1, 1000), 1);
	ck_assert_uint_eq(stats(1).sleeps, 2);
	ck_assert(!netvsc_arm(n, 1));
	netvsc_disarm(n, 1);
	ck_assert_int_eq(netvsc_rx(n, 1, rx, 64), 1);
	netvsc_rx_done(n, 1);
	ck_assert(netvsc_arm(n, 1));
	netvsc_disarm(n, 1);
	fake_client_on_wait(vsp.bus, nmini_work, &vsp);
}
END_TEST

/* A masked channel gets no signals; between arm and disarm it does. */
START_TEST(signals_only_when_asked_for)
{
	uint32_t before = fake_client_counts(vsp.bus)->signals_to_guest;

	deliver_one(&vsp);
	ck_assert_uint_eq(fake_client_counts(vsp.bus)->signals_to_guest, before);
	ck_assert_int_eq(netvsc_rx(n, 1, rx, 64), 1);
	netvsc_rx_done(n, 1);
	ck_assert(netvsc_arm(n, 1));
	deliver_one(&vsp);
	ck_assert_uint_eq(fake_client_counts(vsp.bus)->signals_to_guest, before + 1);
	netvsc_disarm(n, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("netvsc");
	TCase *alone = tcase_create("alone"), *tc = tcase_create("adapter");
	SRunner *sr;
	int failed;

	tcase_set_timeout(alone, 60);
	tcase_add_loop_test(alone, versions, 0, 6);
	tcase_add_test(alone, no_common_version);
	tcase_add_test(alone, wishes_that_are_not_granted);
	tcase_add_test(alone, modest_wishes);
	tcase_add_test(alone, open_survives_every_failed_allocation);
	tcase_add_loop_test(alone, as_many_as_the_root_takes, 1, 4);
	tcase_add_test(alone, checksums_of_another_root);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, golden_messages);
	tcase_add_test(tc, golden_control);
	tcase_add_test(tc, what_the_adapter_says);
	tcase_add_test(tc, settings);
	tcase_add_test(tc, an_address_that_is_not_allowed);
	tcase_add_test(tc, farewell);
	tcase_add_test(tc, one_frame);
	tcase_add_test(tc, frames_share_a_request);
	tcase_add_test(tc, mixed_form);
	tcase_add_test(tc, full_frames_are_not_cut);
	tcase_add_test(tc, large_frames);
	tcase_add_test(tc, large_frames_of_ip6);
	tcase_add_loop_test(tc, elements, 0, 4);
	tcase_add_test(tc, frames_that_start_later);
	tcase_add_test(tc, frames_that_cannot_be_sent);
	tcase_add_loop_test(tc, back_pressure, 0, 2);
	tcase_add_test(tc, large_frames_are_limited_too);
	tcase_add_test(tc, the_root_prefers_a_queue);
	tcase_add_test(tc, frames_in);
	tcase_add_loop_test(tc, checksums_in, 0, 8);
	tcase_add_test(tc, bursts);
	tcase_add_test(tc, fragments);
	tcase_add_test(tc, the_cable);
	tcase_add_test(tc, waits);
	tcase_add_test(tc, signals_only_when_asked_for);
	suite_add_tcase(suite, alone);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
