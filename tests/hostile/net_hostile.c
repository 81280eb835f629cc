/* SPDX-License-Identifier: MIT */
/*
 * A guest that lies to its network adapter and to its switch (hostile cases N01 to N46), whole
 * stack: two other guests exchange numbered frames on the same switch all the while and lose none.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "tests/hostile/fixture.h"

#define HDR(type)   VMBUS_MSG_##type, 0
#define COMPLETION  VMPKT_FLAG_COMPLETION_REQUESTED
#define PACKET_HEAD ((uint32_t)sizeof(struct rndis_packet))
#define PLAIN	    0x88b7u /* an ethertype that nobody has */
#define PATTERN	    0x6e
#define SOON_MS	    100

static struct evil_guest g;
static struct evil_nic n;
static const uint8_t all_of_them[NET_MAC_LEN] = { 255, 255, 255, 255, 255, 255 };

static void begin(enum evil_nic_stage stage)
{
	hostile_begin(&g, EVIL_READY);
	evil_nic_reach(&n, &g, stage);
}

static void end(const struct proof *proof)
{
	evil_nic_end(&n);
	hostile_end(&g, proof);
}

static uint8_t *data(void)
{
	return evil_page(&g, EVIL_NIC_DATA);
}

static uint64_t random_of(void)
{
	static uint64_t x = 0x9e3779b97f4a7c15ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

/* The root has read what there is in the ring, and its answers are taken. */
static void let_it_talk(void)
{
	uint64_t limit = clock_ns() + EVIL_PATIENCE_MS * 1000000ull;

	while (load_acquire(&n.chan[0].out.ctrl->read_index) != n.chan[0].out.next) {
		evil_nic_drain(&n, 0);
		ck_assert_msg(clock_ns() < limit, "the root takes nothing from the ring");
		usleep(20);
	}
	evil_nic_drain(&n, 0);
}

/* ---- negotiation ----------------------------------------------------------------------- */

/* Every number there may be, each with a body of nonsense, before and after INIT. */
START_TEST(n01_n03_every_message_in_every_length)
{
	uint32_t w[NVSP_SIZE / 4];

	begin(EVIL_NIC_INIT);
	for (uint32_t type = 90; type < 140; type++)
		for (uint32_t len = 8; len <= NVSP_SIZE; len += 8) {
			for (uint32_t i = 0; i < ARRAY_SIZE(w); i++)
				w[i] = (uint32_t)random_of();
			w[0] = type;
			evil_nic_room(&n, 0);
			evil_send(&n.chan[0], VMPKT_INBAND, 2, COMPLETION, type, w, len);
		}
	let_it_talk();
	end(&(struct proof){ .nic = "ignored", .nic_failed = "out of order" });
}
END_TEST

START_TEST(n01_data_before_init)
{
	begin(EVIL_NIC_OPEN);
	evil_nic_flood(&n, 0, 100, 10, true);
	end(&(struct proof){ .nic_failed = "before INIT" });
}
END_TEST

static void try_buffers(uint32_t gpadl)
{
	ck_assert_uint_ne(evil_nic_rx_buffer(&n, gpadl), NVSP_STATUS_SUCCESS);
	ck_assert_uint_ne(evil_nic_tx_buffer(&n, gpadl), NVSP_STATUS_SUCCESS);
}

START_TEST(n04_n05_buffers_that_are_none)
{
	begin(EVIL_NIC_CONFIG);
	try_buffers(0);
	try_buffers(0xffffffff);
	try_buffers(EVIL_GPADL); /* of another channel */
	ck_assert_uint_eq(evil_nic_gpadl(&n, 5, EVIL_NIC_RX, 1), 0);
	try_buffers(5);
	ck_assert_uint_eq(evil_nic_gpadl(&n, 6, EVIL_NIC_RX, 7), 0); /* control messages only */
	ck_assert_uint_ne(evil_nic_rx_buffer(&n, 6), NVSP_STATUS_SUCCESS);
	end(NULL);
}
END_TEST

/* Frames and answers land in the guest's own rings, SynIC pages and send buffer. */
START_TEST(n04_receive_buffer_over_everything)
{
	uint64_t pfn[26];
	struct evil_guest *c;

	begin(EVIL_NIC_CONFIG);
	c = &n.chan[0];
	for (uint32_t i = 0; i < ARRAY_SIZE(pfn); i++)
		pfn[i] = i < 18 ? EVIL_NIC_RINGS + i : i < 22 ? EVIL_SYNIC + i - 18 : EVIL_NIC_TX;
	ck_assert_uint_eq(evil_gpadl(c, 7, pfn, 0, ARRAY_SIZE(pfn)), 0);
	evil_nic_rx_buffer(&n, 7);
	for (uint32_t i = 0; i < 50; i++) {
		const uint32_t m[] = { RNDIS_QUERY, 28, i, OID_GEN_SUPPORTED_LIST, 0, 20, 0 };

		if (evil_out_free(c) < 512)
			break;
		evil_rndis_send(&n, i, m, sizeof(m));
		usleep(100);
	}
	end(&(struct proof){ .lost = true });
}
END_TEST

/* ---- buffers that go ---------------------------------------------------------------------- */

static void ping_frame(uint32_t to)
{
	evil_frame(&n, data() + PACKET_HEAD, to, NET_PING_ETHERTYPE, 200);
	evil_packet(data(), 200, NULL, 0);
}

#define PING_BYTES (PACKET_HEAD + 200)

/* @what takes the receive buffer away; afterwards it is the guest's again, whatever comes. */
static void gone_under_traffic(void (*what)(void), bool revoked)
{
	uint8_t *rx;

	begin(EVIL_NIC_UP);
	rx = evil_page(&g, EVIL_NIC_RX);
	for (int round = 0; round < 3; round++) {
		ping_frame((uint32_t)round % 2);
		evil_nic_flood(&n, 0, PING_BYTES, 3, round % 2);
		what();
		EVIL_SAY(&n.chan[0], HDR(GPADL_TEARDOWN), EVIL_NIC_RELID, EVIL_NIC_RX_GPADL);
		evil_expect(&n.chan[0], VMBUS_MSG_GPADL_TORNDOWN);
		memset(rx, PATTERN, EVIL_NIC_RX_PAGES * 4096);
		evil_nic_flood(&n, 0, PING_BYTES, 5, true);
		ck_assert_msg(rx[0] == PATTERN && !memcmp(rx, rx + 1, EVIL_NIC_RX_PAGES * 4096 - 1),
			      "written after it was gone");
		if (revoked) /* another one is refused until the channel was opened again */
			ck_assert_uint_ne(evil_nic_rx_buffer(&n, EVIL_NIC_TX_GPADL),
					  NVSP_STATUS_SUCCESS);
		evil_nic_end(&n);
		evil_restart(&g, EVIL_READY);
		evil_nic_reach(&n, &g, EVIL_NIC_UP);
	}
	end(NULL);
}

static void revoke_it(void)
{
	evil_nic_room(&n, 0);
	EVIL_NVSP(&n, 1, NVSP_REVOKE_RECEIVE_BUFFER, NVSP_RX_BUFFER_ID);
}

static void nothing(void) {}

static void revoke_twice_and_replace(void)
{
	revoke_it();
	revoke_it();
	EVIL_NVSP(&n, 2, NVSP_SEND_RECEIVE_BUFFER, EVIL_NIC_TX_GPADL, NVSP_RX_BUFFER_ID);
}

static void teardown_first(void)
{
	EVIL_SAY(&n.chan[0], HDR(GPADL_TEARDOWN), EVIL_NIC_RELID, EVIL_NIC_TX_GPADL);
	revoke_it();
}

START_TEST(n07_revoked_under_traffic)
{
	gone_under_traffic(revoke_it, true);
}
END_TEST

START_TEST(n08_replaced_under_traffic)
{
	gone_under_traffic(revoke_twice_and_replace, true);
}
END_TEST

START_TEST(n09_torn_down_under_traffic)
{
	gone_under_traffic(nothing, false);
}
END_TEST

START_TEST(n09_send_buffer_torn_down_first)
{
	gone_under_traffic(teardown_first, false);
}
END_TEST

/* ---- requests ----------------------------------------------------------------------------------
 */

/* Like a good one, with a few words of it something else. */
static uint32_t spoilt_packet(void)
{
	struct rndis_info_u32 info[3] = { { { 16, RNDIS_INFO_CSUM, 12 }, 0x6 },
					  { { 16, RNDIS_INFO_8021Q, 12 }, 0 },
					  { { 16, RNDIS_INFO_LSO, 12 }, RNDIS_LSO_V2 | 1400 } };
	uint32_t infos = (uint32_t)(random_of() % 4) * 16, len, head, k;

	len = 14 + (uint32_t)(random_of() % 3000);
	evil_frame(&n, data() + PACKET_HEAD + infos, (uint32_t)(random_of() % 2), 0x800, len);
	data()[PACKET_HEAD + infos + 14] = 0x45;
	data()[PACKET_HEAD + infos + 23] = 6;
	len = evil_packet(data(), len, info, infos);
	head = (PACKET_HEAD + infos + 60) / 4;
	for (k = (uint32_t)(random_of() % 3); k; k--) {
		uint32_t at = (uint32_t)(random_of() % head) * 4, v = (uint32_t)random_of();

		v = random_of() % 2 ? v : v % 128;
		memcpy(data() + at, &v, 4);
	}
	return random_of() % 4 ? len : (uint32_t)(random_of() % (len + 9));
}

START_TEST(n12_n16_packets_of_garbage)
{
	begin(EVIL_NIC_UP);
	for (uint32_t i = 0; i < 4000 / SLOWER; i++) {
		uint32_t len = spoilt_packet();

		evil_nic_room(&n, 0);
		evil_nic_data(&n, 0, i % 8 ? 0 : COMPLETION, i, len ? len : 1);
		if (i % 8)
			continue;
		let_it_talk(); /* the bytes change only when they were read, now and then */
	}
	end(&(struct proof){ .nic = "tx_rejected" });
}
END_TEST

START_TEST(n10_n11_sections_and_ranges_from_nowhere)
{
	static const uint32_t section[] = {
		0, 31, 32, 33, 0x7fffffff, 0xfffffffe, NVSP_NO_SECTION
	};
	static const uint32_t size[] = { 0, 1, 44, 6144, 6145, 0x7fffffff, 0xffffffff };
	struct nvsp_message m;

	begin(EVIL_NIC_UP);
	for (uint32_t i = 0; i < ARRAY_SIZE(section); i++)
		for (uint32_t k = 0; k < ARRAY_SIZE(size); k++) {
			EVIL_NVSP(&n, 9, NVSP_SEND_RNDIS_PACKET, (i + k) % 2, section[i], size[k]);
			ck_assert(evil_nic_answer(&n, 0, 9, &m, EVIL_PATIENCE_MS));
			ck_assert_uint_ne(m.rndis_complete.status, NVSP_STATUS_SUCCESS);
		}
	end(&(struct proof){ .nic = "tx_rejected" });
}
END_TEST

/* The smallest messages there are, as many as fit into a request of all the pages. */
START_TEST(n13_thousands_of_messages_in_one)
{
	const uint32_t bytes = 60 * 4096, one = PACKET_HEAD + 14;
	struct nvsp_message m;

	begin(EVIL_NIC_UP);
	for (uint32_t at = 0; at + one <= bytes; at += one) {
		evil_frame(&n, data() + at + PACKET_HEAD, 0, PLAIN, 14);
		evil_packet(data() + at, 14, NULL, 0);
	}
	for (uint32_t i = 0; i < 20; i++) {
		evil_nic_data(&n, 0, COMPLETION, 9, i % 2 ? bytes : 20 * 4096);
		ck_assert(evil_nic_answer(&n, 0, 9, &m, EVIL_PATIENCE_MS));
		ck_assert_uint_ne(m.rndis_complete.status, NVSP_STATUS_SUCCESS);
	}
	end(&(struct proof){ .nic = "tx_rejected" });
}
END_TEST

/* A word of a good request that is two things at once, while it is read. */
struct racing {
	uint32_t word, a, b; /* byte of the message */
};

static void race_it(const struct racing *r)
{
	struct rndis_info_u32 info = { { 16, RNDIS_INFO_LSO, 12 }, RNDIS_LSO_V2 | 1400 };
	struct evil_racer racer;
	uint32_t len = 6000;
	uint8_t *frame;

	begin(EVIL_NIC_UP);
	frame = data() + PACKET_HEAD + sizeof(info);
	evil_frame(&n, frame, 0, 0x800, len);
	memcpy(frame + 14, "\x45\0\x17\x62\0\0\0\0\x40\x06", 10);
	frame[14 + 32] = 0x50;
	len = evil_packet(data(), len, &info, sizeof(info));
	evil_race(&racer, data() + r->word, r->a, r->b);
	evil_nic_flood(&n, 0, len, 60, true);
	evil_race_end(&racer);
	end(NULL);
}

HOSTILE_ROW(n12_message_length_races, race_it, struct racing, 4, 6060, 0xffffffff)
HOSTILE_ROW(n14_data_length_races, race_it, struct racing, 12, 6000, 0xfffffff0)
HOSTILE_ROW(n15_element_size_races, race_it, struct racing, 44, 16, 0)
HOSTILE_ROW(n21_segment_size_races, race_it, struct racing, 56, RNDIS_LSO_V2 | 1400, RNDIS_LSO_V2)
HOSTILE_ROW(n22_header_length_races, race_it, struct racing, 74, 0x00000045, 0x0000004f)

/* Frames of 60 KB with every segment size, offset and header there should not be. */
START_TEST(n21_large_sends_of_nonsense)
{
	static const uint32_t lso[] = {
		0,
		RNDIS_LSO_V2,
		RNDIS_LSO_V2 | 1,
		RNDIS_LSO_V2 | 8,
		RNDIS_LSO_V2 | 1460,
		RNDIS_LSO_V2 | 0xfffff,
		RNDIS_LSO_V2 | RNDIS_LSO_IP6 | 1460,
		RNDIS_LSO_V2 | 0x3ff00000 | 1460,
		1460,
		0xffffffff,
	};
	struct rndis_info_u32 info = { { 16, RNDIS_INFO_LSO, 12 }, 0 };
	struct nvsp_message m;
	uint8_t *frame;

	begin(EVIL_NIC_UP);
	frame = data() + PACKET_HEAD + sizeof(info);
	for (uint32_t i = 0; i < ARRAY_SIZE(lso) * 16; i++) {
		uint32_t len = i % 3 ? 60000 : 60;

		evil_frame(&n, frame, i % 2, i & 4 ? 0x86dd : 0x800, len);
		if (i % 5 == 0)
			memcpy(frame, all_of_them, NET_MAC_LEN);
		frame[14] = i & 4 ? 0x60 : (uint8_t)(0x45 + i % 11);
		frame[i & 4 ? 20 : 23] = 6;
		frame[i & 4 ? 66 : 46] = (uint8_t)(i * 16);
		info.value = lso[i / 16];
		evil_nic_data(&n, 0, COMPLETION, i, evil_packet(data(), len, &info, sizeof(info)));
		ck_assert(evil_nic_answer(&n, 0, i, &m, EVIL_PATIENCE_MS));
	}
	end(&(struct proof){ .nic = "tx_rejected" });
}
END_TEST

/* ---- control messages
 * ---------------------------------------------------------------------------- */

START_TEST(n24_n30_control_messages_of_garbage)
{
	static const uint32_t oid[] = {
		OID_GEN_CURRENT_PACKET_FILTER,	    OID_802_3_MULTICAST_LIST,
		OID_802_3_CURRENT_ADDRESS,	    OID_GEN_RECEIVE_SCALE_PARAMETERS,
		OID_TCP_OFFLOAD_PARAMETERS,	    OID_OFFLOAD_ENCAPSULATION,
		OID_GEN_RNDIS_CONFIG_PARAMETER,	    OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES,
		OID_GEN_RECEIVE_SCALE_CAPABILITIES, 0xffffffff
	};
	uint32_t w[64];

	begin(EVIL_NIC_UP);
	for (uint32_t i = 0; i < 1500 / SLOWER; i++) {
		uint32_t len = 8 + (uint32_t)(random_of() % (sizeof(w) - 8));

		for (uint32_t k = 0; k < ARRAY_SIZE(w); k++)
			w[k] = (uint32_t)(random_of() % 3 ? random_of() % 200 : random_of());
		w[0] = (uint32_t)(random_of() % 11);
		w[1] = i % 4 ? len : w[1];
		w[3] = oid[random_of() % ARRAY_SIZE(oid)];
		w[5] = i % 2 ? 20 : w[5];
		if (w[0] == RNDIS_HALT)
			continue;
		evil_nic_room(&n, 0);
		evil_rndis_send(&n, i, w, len);
		if (i % 4 == 0)
			let_it_talk();
	}
	end(&(struct proof){ .nic = "control_rejected" });
}
END_TEST

/* All is taken and given back, at once: whatever number comes. */
START_TEST(n31_floods_of_reset_halt_and_keepalive)
{
	static const uint32_t m[][6] = { { RNDIS_KEEPALIVE, 12, 1 },
					 { RNDIS_RESET, 12, 0 },
					 { RNDIS_HALT, 12, 2 },
					 { RNDIS_INITIALIZE, 24, 3, 1, 0, 0x4000 },
					 { 0x77, 12, 4 } };

	begin(EVIL_NIC_UP);
	for (uint32_t i = 0; i < 5000 / SLOWER; i++) {
		const uint32_t *w = m[random_of() % ARRAY_SIZE(m)];

		evil_nic_room(&n, 0);
		evil_rndis_send(&n, i, w, w[1]);
	}
	let_it_talk();
	end(&(struct proof){ .nic = "control" });
}
END_TEST

START_TEST(n32_answers_are_never_given_back)
{
	const uint32_t m[] = { RNDIS_QUERY, 28, 1, OID_GEN_SUPPORTED_LIST, 0, 20, 0 };
	struct evil_nic_packet p;

	begin(EVIL_NIC_UP);
	for (uint32_t i = 0; i < 2000; i++) {
		/* The root is slow, or has given up reading. */
		for (int waits = 0; evil_out_free(&n.chan[0]) <= 512 && waits < 200; waits++)
			usleep(1000);
		if (evil_out_free(&n.chan[0]) <= 512)
			break;
		evil_rndis_send(&n, i, m, sizeof(m));
		while (evil_nic_recv(&n, 0, &p, 0))
			;
	}
	end(&(struct proof){ .nic_failed = "too many control" });
}
END_TEST

/* Nothing at all is read from the ring: the root does not read either, and does not spin. */
START_TEST(n32_ring_is_never_read)
{
	const uint32_t m[] = { RNDIS_KEEPALIVE, 12, 1 };

	begin(EVIL_NIC_UP);
	ping_frame(0);
	for (int i = 0; i < 2000; i++) {
		if (evil_out_free(&n.chan[0]) < 512) {
			usleep(50);
			continue;
		}
		if (i % 2)
			evil_rndis_send(&n, 1, m, sizeof(m));
		else
			evil_nic_data(&n, 0, COMPLETION, 2, PING_BYTES);
	}
	end(NULL);
}
END_TEST

/* ---- sub-channels
 * ----------------------------------------------------------------------------------- */

START_TEST(n33_numbers_of_sub_channels)
{
	static const uint32_t wrong[] = { 0, EVIL_NIC_QUEUES, EVIL_NIC_QUEUES + 1, 65536,
					  0xffffffff };

	begin(EVIL_NIC_BUFFERS);
	ck_assert_uint_eq(evil_nic_subs(&n, 1), 0); /* before RNDIS */
	evil_nic_end(&n);
	evil_restart(&g, EVIL_READY);
	evil_nic_reach(&n, &g, EVIL_NIC_UP);
	for (uint32_t i = 0; i < ARRAY_SIZE(wrong); i++)
		ck_assert_uint_eq(evil_nic_subs(&n, wrong[i]), 0);
	ck_assert_uint_eq(evil_nic_subs(&n, EVIL_NIC_QUEUES - 1), EVIL_NIC_QUEUES - 1);
	ck_assert_uint_eq(evil_nic_subs(&n, 1), 0);
	end(NULL);
}
END_TEST

/* All channels send; the primary closes in the middle, and the others go on as if nothing was. */
START_TEST(n34_primary_closes_under_its_sub_channels)
{
	begin(EVIL_NIC_UP);
	for (int round = 0; round < 3; round++) {
		ck_assert_uint_eq(evil_nic_subs(&n, 3), 3);
		ping_frame(0);
		for (uint32_t ch = 0; ch < n.channels; ch++)
			evil_nic_flood(&n, ch, PING_BYTES, 5, round % 2);
		evil_close(&n.chan[0]);
		for (uint32_t ch = 1; ch < n.channels; ch++)
			evil_nic_flood(&n, ch, PING_BYTES, 5, true);
		evil_nic_end(&n);
		evil_restart(&g, EVIL_READY);
		evil_nic_reach(&n, &g, EVIL_NIC_UP);
	}
	end(NULL);
}
END_TEST

START_TEST(n34_nvsp_on_a_sub_channel)
{
	begin(EVIL_NIC_UP);
	ck_assert_uint_eq(evil_nic_subs(&n, 1), 1);
	for (uint32_t type = NVSP_SEND_RNDIS_PACKET; type < 140; type++) {
		const uint32_t w[] = { type, type & 1, NVSP_NO_SECTION, 0, 0, 0 };

		if (type == NVSP_SEND_NDIS_CONFIG) /* ends the negotiation on any channel */
			continue;
		if (evil_out_free(&n.chan[1]) < 512)
			usleep(1000);
		evil_nvsp(&n, 1, type, w, ARRAY_SIZE(w));
		evil_nic_drain(&n, 1);
	}
	ping_frame(1);
	evil_nic_flood(&n, 1, PING_BYTES, 10, true);
	evil_nic_ping(&n, 0); /* it still lives */
	end(&(struct proof){ .nic = "ignored" });
}
END_TEST

/* ---- the receive buffer
 * --------------------------------------------------------------------------------- */

START_TEST(n35_nothing_is_given_back)
{
	const struct proof full = { .drop_out = "share" };
	uint64_t limit = clock_ns() + EVIL_PATIENCE_MS * 1000000ull;

	begin(EVIL_NIC_UP);
	do { /* each peer answers one at a time */
		for (uint32_t i = 0; i < 30; i++) {
			ping_frame(i % 2);
			evil_nic_flood(&n, 0, PING_BYTES, 1, false);
		}
	} while (!hostile_shows(&g, &full) && clock_ns() < limit);
	hostile_canary_moves();
	end(&full);
}
END_TEST

START_TEST(n36_given_back_twice_and_never_had)
{
	begin(EVIL_NIC_UP);
	ping_frame(0);
	for (uint32_t i = 0; i < 50; i++) {
		evil_nic_flood(&n, 0, PING_BYTES, 1, i % 2);
		for (uint32_t k = 0; k < 64; k++) {
			evil_nic_room(&n, 0);
			evil_nic_done(&n, 0, k % 2 ? random_of() % 80 : random_of());
		}
	}
	evil_nic_ping(&n, 1);
	end(&(struct proof){ .nic = "ignored" });
}
END_TEST

START_TEST(n37_receive_buffer_written_all_the_time)
{
	struct evil_racer racer;

	begin(EVIL_NIC_UP);
	ping_frame(0);
	evil_race(&racer, (uint8_t *)evil_page(&g, EVIL_NIC_RX) + 16 * n.rx_size + 4, 0,
		  0xffffffff);
	evil_nic_flood(&n, 0, PING_BYTES, 60, true);
	evil_race_end(&racer);
	evil_nic_ping(&n, 0);
	end(NULL);
}
END_TEST

/* ---- the switch
 * -------------------------------------------------------------------------------------------- */

/* On all channels in turn, and to everybody. */
static void flood_all(int rounds)
{
	for (int i = 0; i < rounds; i++)
		for (uint32_t ch = 0; ch < n.channels; ch++)
			evil_nic_flood(&n, ch, PACKET_HEAD + 60, 10, true);
	hostile_canary_moves();
}

START_TEST(n39_flood_of_broadcasts)
{
	begin(EVIL_NIC_UP);
	ck_assert_uint_eq(evil_nic_subs(&n, 3), 3);
	evil_frame(&n, data() + PACKET_HEAD, 0, PLAIN, 60);
	memcpy(data() + PACKET_HEAD, all_of_them, NET_MAC_LEN);
	evil_packet(data(), 60, NULL, 0);
	flood_all(8);
	end(NULL);
}
END_TEST

/* Several in a request, to one peer only: it is asked for more than it can take. */
START_TEST(n39_flood_of_one_receiver)
{
	const uint32_t one = PACKET_HEAD + 60;
	uint32_t at = 0;

	begin(EVIL_NIC_UP);
	for (int i = 0; i < 39; i++, at += one) {
		evil_frame(&n, data() + at + PACKET_HEAD, 0, PLAIN, 60);
		evil_packet(data() + at, 60, NULL, 0);
	}
	evil_nic_flood(&n, 0, at, 300, true);
	hostile_canary_moves();
	end(NULL);
}
END_TEST

static void send_from(const uint8_t *mac, uint32_t times)
{
	evil_frame(&n, data() + PACKET_HEAD, 0, PLAIN, 60);
	memcpy(data() + PACKET_HEAD + NET_MAC_LEN, mac, NET_MAC_LEN);
	evil_packet(data(), 60, NULL, 0);
	while (times--) {
		evil_nic_room(&n, 0);
		evil_nic_data(&n, 0, 0, 0, PACKET_HEAD + 60);
	}
}

/* Those of the peers, of groups, of nobody; the peers' frames still find them. */
START_TEST(n40_n41_addresses_of_others)
{
	uint8_t mac[NET_MAC_LEN];

	begin(EVIL_NIC_UP);
	for (uint32_t i = 0; i < 2000 / SLOWER; i++) {
		net_peer_mac(i % 2, mac);
		send_from(mac, 1);
		send_from(i % 2 ? all_of_them : (const uint8_t *)"\1\0\x5e\0\0\1", 1);
		memcpy(mac + 2, &i, 4);
		send_from(mac, 1);
	}
	hostile_canary_moves();
	end(&(struct proof){ .drop_in = "source-mac" });
}
END_TEST

/* U2 looks for the peers' frames in all of its memory. */
START_TEST(n46_promiscuous)
{
	begin(EVIL_NIC_UP);
	ck_assert_uint_eq(evil_rndis_set(&n, OID_GEN_CURRENT_PACKET_FILTER, 0x2f),
			  RNDIS_STATUS_SUCCESS);
	n.frames = 0;
	for (int i = 0; i < 3; i++) {
		hostile_canary_moves();
		evil_nic_drain(&n, 0);
	}
	ck_assert_uint_eq(n.frames, 0);
	end(NULL);
}
END_TEST

/* ---- the end of it
 * ------------------------------------------------------------------------------------------ */

static void __attribute__((noreturn)) until_killed(uint32_t i)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	evil_reach(&g, hostile_path(), EVIL_READY);
	evil_nic_reach(&n, &g, EVIL_NIC_UP);
	evil_nic_subs(&n, i % EVIL_NIC_QUEUES);
	ping_frame(i % 2);
	if (i % 3 == 0)
		memcpy(data() + PACKET_HEAD, all_of_them, NET_MAC_LEN);
	for (;;)
		for (uint32_t ch = 0; ch < n.channels; ch++)
			evil_nic_flood(&n, ch, PING_BYTES, 2, i % 2);
}

START_TEST(n44_f01_killed_under_traffic)
{
	hostile_begin(&g, EVIL_ALONE);
	for (uint32_t i = 0; i < 12; i++) {
		pid_t pid = fork();

		if (!pid)
			until_killed(i);
		usleep((useconds_t)((10000 + random_of() % 20000) * (SLOWER > 1 ? 4 : 1)));
		ck_assert_int_eq(kill(pid, SIGKILL), 0);
		ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	}
	hostile_canary_moves();
	hostile_end(&g, NULL);
}
END_TEST

/* Its ring is broken: the adapter's channel is, and nothing else of the guest. */
START_TEST(r02_n44_broken_ring_under_traffic)
{
	begin(EVIL_NIC_UP);
	ping_frame(0);
	evil_nic_flood(&n, 0, PING_BYTES, 5, true);
	evil_publish(&n.chan[0], 0xffffffff);
	evil_verified_io(&g);
	end(&(struct proof){ .fault = "index" });
}
END_TEST

int main(void)
{
	const TTest *const cases[] = {
		n01_n03_every_message_in_every_length,
		n01_data_before_init,
		n04_n05_buffers_that_are_none,
		n04_receive_buffer_over_everything,
		n07_revoked_under_traffic,
		n08_replaced_under_traffic,
		n09_torn_down_under_traffic,
		n09_send_buffer_torn_down_first,
		n12_n16_packets_of_garbage,
		n10_n11_sections_and_ranges_from_nowhere,
		n13_thousands_of_messages_in_one,
		n12_message_length_races,
		n14_data_length_races,
		n15_element_size_races,
		n21_segment_size_races,
		n22_header_length_races,
		n21_large_sends_of_nonsense,
		n24_n30_control_messages_of_garbage,
		n31_floods_of_reset_halt_and_keepalive,
		n32_answers_are_never_given_back,
		n32_ring_is_never_read,
		n33_numbers_of_sub_channels,
		n34_primary_closes_under_its_sub_channels,
		n34_nvsp_on_a_sub_channel,
		n35_nothing_is_given_back,
		n36_given_back_twice_and_never_had,
		n37_receive_buffer_written_all_the_time,
		n39_flood_of_broadcasts,
		n39_flood_of_one_receiver,
		n40_n41_addresses_of_others,
		n46_promiscuous,
		n44_f01_killed_under_traffic,
		r02_n44_broken_ring_under_traffic,
	};

	hostile_switch = "name=lan,type=private,guest-mac=on";
	evil_wishes = "nic switch=lan,queues=4";
	return hostile_run("hostile guest: network", cases, ARRAY_SIZE(cases));
}
