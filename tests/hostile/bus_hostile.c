/* SPDX-License-Identifier: MIT */
/*
 * A guest that breaks the control protocol (hostile cases V, H16 to H19), whole stack: one row
 * per message that must be dropped or refused, and sequences that take the bus apart.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "tests/hostile/fixture.h"

#define TIMES(n) ((n) / SLOWER)

static struct evil_guest g;

/* ---- one message -------------------------------------------------------------------------- */

struct msg_case {
	enum evil_stage stage;
	uint32_t reply; /* message type; 0 = dropped without an answer */
	uint32_t at;	/* byte of the reply that tells */
	bool zero;	/* it must be zero, else it must not */
	uint32_t len;	/* bytes posted; words behind those given are zero */
	uint32_t words[16];
};

#define ALONE		EVIL_CONNECTED
#define HDR(type)	VMBUS_MSG_##type, 0
#define ONE		EVIL_RELID
#define RANGES(n, pfns) ((8u + 8u * (pfns)) | (n) << 16)
#define VERSION		VMBUS_MSG_VERSION_RESPONSE, 8
#define RESULT		VMBUS_MSG_OPENCHANNEL_RESULT, 16
#define CREATED		VMBUS_MSG_GPADL_CREATED, 16
#define MODIFIED	VMBUS_MSG_MODIFYCHANNEL_RESPONSE, 12
#define DROPPED		0, 0
#define BAD		false
#define NO		true /* supported = 0 */

#define MSG_CASES(X)                                                                               \
	X(v01_offers_before_contact, ALONE, DROPPED, 0, 8, { HDR(REQUESTOFFERS) })                 \
	X(v01_unload_before_contact, ALONE, DROPPED, 0, 8, { HDR(UNLOAD) })                        \
	X(v02_no_bytes, EVIL_OPEN, DROPPED, 0, 0, { 0 })                                           \
	X(v02_half_a_header, EVIL_OPEN, DROPPED, 0, 4, { HDR(UNLOAD) })                            \
	X(v02_open_too_short, EVIL_OPEN, DROPPED, 0, 147, { HDR(OPENCHANNEL), ONE })               \
	X(v02_contact_too_short, EVIL_OPEN, DROPPED, 0, 39, { HDR(INITIATE_CONTACT) })             \
	X(v03_contact_with_a_tail, ALONE, VERSION, BAD, 240,                                       \
	  { HDR(INITIATE_CONTACT), VMBUS_V5_3, 0, 2 })                                             \
	X(v04_type_zero, EVIL_OPEN, DROPPED, 0, 240, { 0 })                                        \
	X(v04_type_all_ones, EVIL_OPEN, DROPPED, 0, 240, { UINT32_MAX })                           \
	X(v04_reserved_channel, EVIL_OPEN, DROPPED, 0, 240, { HDR(OPEN_RESERVED_CHANNEL) })        \
	X(v04_modify_connection, EVIL_OPEN, DROPPED, 0, 240, { HDR(MODIFY_CONNECTION) })           \
	X(v04_offer_from_the_guest, EVIL_OPEN, DROPPED, 0, 240, { HDR(OFFERCHANNEL) })             \
	X(v04_rescind_from_the_guest, EVIL_OPEN, DROPPED, 0, 12,                                   \
	  { HDR(RESCIND_CHANNELOFFER), ONE })                                                      \
	X(v05_version_zero, ALONE, VERSION, NO, 40, { HDR(INITIATE_CONTACT), 0, 0, 2 })            \
	X(v05_version_all_ones, ALONE, VERSION, NO, 40,                                            \
	  { HDR(INITIATE_CONTACT), UINT32_MAX, 0, 2 })                                             \
	X(v05_unknown_minor, ALONE, VERSION, NO, 40, { HDR(INITIATE_CONTACT), 0x500ff, 0, 2 })     \
	X(v07_unknown_feature_flags, ALONE, VERSION, BAD, 40,                                      \
	  { HDR(INITIATE_CONTACT), VMBUS_V5_3, 0, 2, UINT32_MAX })                                 \
	X(v08_monitor_pages_nowhere, ALONE, VERSION, BAD, 40,                                      \
	  { HDR(INITIATE_CONTACT), VMBUS_V5_3, 0, 2, 0, 0xfffff000, 0xffffffff, 0xfffff000,        \
	    0xffffffff })                                                                          \
	X(v09_unknown_sint, ALONE, VERSION, NO, 40, { HDR(INITIATE_CONTACT), VMBUS_V5_3, 0, 255 }) \
	X(v09_unknown_vtl, ALONE, VERSION, NO, 40,                                                 \
	  { HDR(INITIATE_CONTACT), VMBUS_V5_3, 0, 2 | 9 << 8 })                                    \
	X(h19_contact_for_a_vp_too_far, ALONE, VERSION, NO, 40,                                    \
	  { HDR(INITIATE_CONTACT), VMBUS_V5_3, EVIL_VPS, 2 })                                      \
	X(h19_contact_for_vp_2_to_the_31, ALONE, VERSION, NO, 40,                                  \
	  { HDR(INITIATE_CONTACT), VMBUS_V5_3, 1u << 31, 2 })                                      \
	X(v10_offers_twice, EVIL_OFFERED, DROPPED, 0, 8, { HDR(REQUESTOFFERS) })                   \
	X(v11_offers_before_version, ALONE, DROPPED, 0, 8, { HDR(REQUESTOFFERS) })                 \
	X(v12_open_of_relid_zero, EVIL_GPADLED, RESULT, BAD, 148,                                  \
	  { HDR(OPENCHANNEL), 0, 5, EVIL_GPADL, 0, EVIL_RING_PAGES })                              \
	X(v12_open_of_relid_all_ones, EVIL_GPADLED, RESULT, BAD, 148,                              \
	  { HDR(OPENCHANNEL), UINT32_MAX, 5, EVIL_GPADL, 0, EVIL_RING_PAGES })                     \
	X(v12_open_of_an_unknown_relid, EVIL_GPADLED, RESULT, BAD, 148,                            \
	  { HDR(OPENCHANNEL), 2, 5, EVIL_GPADL, 0, EVIL_RING_PAGES })                              \
	X(v13_open_of_an_open_channel, EVIL_READY, RESULT, BAD, 148,                               \
	  { HDR(OPENCHANNEL), ONE, 6, EVIL_GPADL, 0, EVIL_RING_PAGES })                            \
	X(v14_open_with_no_gpadl, EVIL_GPADLED, RESULT, BAD, 148,                                  \
	  { HDR(OPENCHANNEL), ONE, 6, 4711, 0, EVIL_RING_PAGES })                                  \
	X(v15_downstream_at_zero, EVIL_GPADLED, RESULT, BAD, 148,                                  \
	  { HDR(OPENCHANNEL), ONE, 6, EVIL_GPADL, 0, 0 })                                          \
	X(v15_downstream_at_the_end, EVIL_GPADLED, RESULT, BAD, 148,                               \
	  { HDR(OPENCHANNEL), ONE, 6, EVIL_GPADL, 0, 2 * EVIL_RING_PAGES })                        \
	X(v15_downstream_all_ones, EVIL_GPADLED, RESULT, BAD, 148,                                 \
	  { HDR(OPENCHANNEL), ONE, 6, EVIL_GPADL, 0, UINT32_MAX })                                 \
	X(v15_ring_of_a_control_page, EVIL_GPADLED, RESULT, BAD, 148,                              \
	  { HDR(OPENCHANNEL), ONE, 6, EVIL_GPADL, 0, 2 * EVIL_RING_PAGES - 1 })                    \
	X(v15_other_ring_of_a_control_page, EVIL_GPADLED, RESULT, BAD, 148,                        \
	  { HDR(OPENCHANNEL), ONE, 6, EVIL_GPADL, 0, 1 })                                          \
	X(h19_open_for_a_vp_too_far, EVIL_GPADLED, RESULT, BAD, 148,                               \
	  { HDR(OPENCHANNEL), ONE, 6, EVIL_GPADL, EVIL_VPS, EVIL_RING_PAGES })                     \
	X(v21_close_of_an_unknown_relid, EVIL_READY, DROPPED, 0, 12, { HDR(CLOSECHANNEL), 99 })    \
	X(v21_close_of_a_closed_channel, EVIL_GPADLED, DROPPED, 0, 12, { HDR(CLOSECHANNEL), ONE }) \
	X(v24_release_of_a_live_relid, EVIL_READY, DROPPED, 0, 12, { HDR(RELID_RELEASED), ONE })   \
	X(v24_release_of_an_unknown_relid, EVIL_READY, DROPPED, 0, 12, { HDR(RELID_RELEASED), 7 }) \
	X(v27_no_range, EVIL_OFFERED, CREATED, BAD, 36,                                            \
	  { HDR(GPADL_HEADER), ONE, 9, RANGES(0u, 1), 4096, 0, EVIL_BUF })                         \
	X(v27_two_ranges_data_of_one, EVIL_OFFERED, CREATED, BAD, 36,                              \
	  { HDR(GPADL_HEADER), ONE, 9, RANGES(2u, 1), 4096, 0, EVIL_BUF })                         \
	X(v27_ranges_all_ones, EVIL_OFFERED, CREATED, BAD, 36,                                     \
	  { HDR(GPADL_HEADER), ONE, 9, RANGES(0xffffu, 1), 4096, 0, EVIL_BUF })                    \
	X(v27_length_zero, EVIL_OFFERED, CREATED, BAD, 36,                                         \
	  { HDR(GPADL_HEADER), ONE, 9, 1u << 16, 4096, 0, EVIL_BUF })                              \
	X(v27_length_of_no_qwords, EVIL_OFFERED, CREATED, BAD, 36,                                 \
	  { HDR(GPADL_HEADER), ONE, 9, 15u | 1u << 16, 4096, 0, EVIL_BUF })                        \
	X(v28_no_bytes, EVIL_OFFERED, CREATED, BAD, 36,                                            \
	  { HDR(GPADL_HEADER), ONE, 9, RANGES(1u, 1), 0, 0, EVIL_BUF })                            \
	X(v19_v28_4_gib_in_one_page, EVIL_OFFERED, CREATED, BAD, 36,                               \
	  { HDR(GPADL_HEADER), ONE, 9, RANGES(1u, 1), UINT32_MAX, 0, EVIL_BUF })                   \
	X(v29_offset_of_a_page, EVIL_OFFERED, CREATED, BAD, 36,                                    \
	  { HDR(GPADL_HEADER), ONE, 9, RANGES(1u, 1), 4096, 4096, EVIL_BUF })                      \
	X(v29_offset_all_ones, EVIL_OFFERED, CREATED, BAD, 36,                                     \
	  { HDR(GPADL_HEADER), ONE, 9, RANGES(1u, 1), 4096, UINT32_MAX, EVIL_BUF })                \
	X(v30_id_in_use, EVIL_GPADLED, CREATED, BAD, 36,                                           \
	  { HDR(GPADL_HEADER), ONE, EVIL_GPADL, RANGES(1u, 1), 4096, 0, EVIL_BUF })                \
	X(v30_gpadl_of_an_unknown_relid, EVIL_OFFERED, CREATED, BAD, 36,                           \
	  { HDR(GPADL_HEADER), 77, 9, RANGES(1u, 1), 4096, 0, EVIL_BUF })                          \
	X(v31_body_without_header, EVIL_OFFERED, DROPPED, 0, 24,                                   \
	  { HDR(GPADL_BODY), 1, 4711, EVIL_BUF })                                                  \
	X(v31_body_for_a_finished_gpadl, EVIL_GPADLED, DROPPED, 0, 24,                             \
	  { HDR(GPADL_BODY), 1, EVIL_GPADL, EVIL_BUF })                                            \
	X(v33_page_2_to_the_52, EVIL_OFFERED, CREATED, BAD, 36,                                    \
	  { HDR(GPADL_HEADER), ONE, 9, RANGES(1u, 1), 4096, 0, 0, 1u << 20 })                      \
	X(v33_page_behind_ram, EVIL_OFFERED, CREATED, BAD, 36,                                     \
	  { HDR(GPADL_HEADER), ONE, 9, RANGES(1u, 1), 4096, 0, EVIL_PAGES })                       \
	X(v34_teardown_of_an_unknown_gpadl, EVIL_READY, DROPPED, 0, 16,                            \
	  { HDR(GPADL_TEARDOWN), ONE, 4711 })                                                      \
	X(v37_modify_to_a_vp_too_far, EVIL_READY, MODIFIED, BAD, 16,                               \
	  { HDR(MODIFYCHANNEL), ONE, EVIL_VPS })                                                   \
	X(v37_modify_of_a_closed_channel, EVIL_GPADLED, MODIFIED, BAD, 16,                         \
	  { HDR(MODIFYCHANNEL), ONE, 1 })

static void run_msg(const struct msg_case *c)
{
	uint32_t conn = c->words[0] == VMBUS_MSG_INITIATE_CONTACT ? HV_CONN_VMBUS_CONTACT
								  : HV_CONN_VMBUS_MESSAGE;
	uint8_t bytes[240] = { 0 };
	union vmbus_msg m;
	bool zero;

	memcpy(bytes, c->words, sizeof(c->words));
	hostile_begin(&g, c->stage);
	evil_post(&g, conn, HV_MESSAGE_VMBUS, bytes, c->len, c->len);
	if (!c->reply) {
		ck_assert(!evil_take(&g, &m, 20));
	} else {
		m = evil_expect(&g, c->reply);
		zero = c->reply == VMBUS_MSG_VERSION_RESPONSE
			       ? !m.version.supported
			       : !memcmp(m.bytes + c->at, "\0\0\0", 4);
		ck_assert_int_eq(zero, c->zero);
	}
	if (c->stage == EVIL_READY) /* what was open goes on undisturbed */
		evil_verified_io(&g);
	hostile_end(&g, &(struct proof){ .drop = c->reply ? NULL : "" });
}

/* ---- sequences ------------------------------------------------------------------------------ */

static void reads_in_flight(void)
{
	struct vstor_packet p = evil_rw(LUN_FILE, false, 0, 8);

	for (uint32_t i = 0; i < 64; i++)
		evil_srb_send(&g, i, &p, EVIL_BUF + i % 16, 4096, 0);
}

START_TEST(v06_contact_with_io_in_flight)
{
	hostile_begin(&g, EVIL_READY);
	for (int i = 0; i < 10; i++) {
		reads_in_flight();
		evil_restart(&g, EVIL_READY);
	}
	hostile_end(&g, NULL);
}
END_TEST

START_TEST(v16_rings_of_odd_gpadls)
{
	hostile_begin(&g, EVIL_OFFERED);
	for (uint32_t pages = 1; pages < 4; pages++) {
		ck_assert_uint_eq(evil_gpadl(&g, 50 + pages, NULL, EVIL_RINGS, pages), 0);
		ck_assert_uint_ne(evil_open(&g, EVIL_RELID, 50 + pages, 0, pages / 2), 0);
	}
	hostile_end(&g, NULL);
}
END_TEST

/* V17, V18: both rings in the same pages, over the SynIC page, in the buffer of a request. */
START_TEST(v17_v18_pages_used_twice)
{
	static const uint64_t twice[] = { 40, 41, 40, 41 };
	static const uint64_t synic[] = { 40, EVIL_SYNIC + 2, 42, EVIL_SYNIC + 3 };

	hostile_begin(&g, EVIL_OFFERED);
	ck_assert_uint_eq(evil_gpadl(&g, 60, twice, 0, 4), 0);
	if (!evil_open(&g, EVIL_RELID, 60, 0, 2))
		for (uint32_t i = 0; i < 100; i++)
			store_release((uint32_t *)evil_page(&g, 40), i * 8);
	evil_restart(&g, EVIL_OFFERED);
	ck_assert_uint_eq(evil_gpadl(&g, 61, synic, 0, 4), 0);
	evil_open(&g, EVIL_RELID, 61, 1, 2);
	usleep(1000);
	hostile_end(&g, &(struct proof){ .lost = true });
}
END_TEST

/* What the guest says beside its OPENCHANNEL is bytes for the device; storage has no use for it. */
START_TEST(v20_open_with_garbage)
{
	uint32_t w[37] = { HDR(OPENCHANNEL), ONE, 6, EVIL_GPADL, 0, EVIL_RING_PAGES };

	hostile_begin(&g, EVIL_READY);
	for (uint32_t fill = 0; fill < 4; fill++) {
		evil_close(&g);
		for (uint32_t i = 7; i < ARRAY_SIZE(w); i++)
			w[i] = fill * 0x55555555u + (fill == 2 ? i : 0);
		memset(evil_page(&g, EVIL_RINGS), 0, 2 * EVIL_RING_PAGES * 4096);
		evil_say(&g, w, ARRAY_SIZE(w));
		ck_assert_uint_eq(evil_expect(&g, VMBUS_MSG_OPENCHANNEL_RESULT).open_result.status,
				  0);
	}
	evil_reopen(&g);
	evil_verified_io(&g);
	hostile_end(&g, NULL);
}
END_TEST

START_TEST(v22_close_with_io_in_flight)
{
	hostile_begin(&g, EVIL_READY);
	for (int i = 0; i < 10; i++) {
		reads_in_flight();
		evil_close(&g);
		ck_assert_uint_eq(evil_open(&g, EVIL_RELID, EVIL_GPADL, 0, EVIL_RING_PAGES), 0);
	}
	hostile_end(&g, NULL);
}
END_TEST

START_TEST(v23_close_and_open_for_ever)
{
	hostile_begin(&g, EVIL_GPADLED);
	for (int i = 0; i < TIMES(1000); i++) {
		ck_assert_uint_eq(evil_open(&g, EVIL_RELID, EVIL_GPADL, 0, EVIL_RING_PAGES), 0);
		evil_close(&g);
	}
	hostile_end(&g, NULL);
}
END_TEST

START_TEST(v25_v26_unload_with_a_channel_open)
{
	union vmbus_msg m;

	hostile_begin(&g, EVIL_READY);
	reads_in_flight();
	EVIL_SAY(&g, HDR(UNLOAD));
	EVIL_SAY(&g, HDR(UNLOAD));
	evil_expect(&g, VMBUS_MSG_UNLOAD_RESPONSE);
	ck_assert(!evil_take(&g, &m, 20));
	EVIL_SAY(&g, HDR(REQUESTOFFERS));
	ck_assert(!evil_take(&g, &m, 20));
	hostile_end(&g, &(struct proof){ .drop = "" });
}
END_TEST

/* The open is under way, or has just been answered: one response, nothing after it. */
START_TEST(v26_unload_while_opening)
{
	union vmbus_msg m;

	hostile_begin(&g, EVIL_GPADLED);
	for (int i = 0; i < 20; i++) {
		EVIL_SAY(&g, HDR(OPENCHANNEL), ONE, 6, EVIL_GPADL, 0, EVIL_RING_PAGES, [36] = 0);
		EVIL_SAY(&g, HDR(UNLOAD));
		EVIL_SAY(&g, HDR(UNLOAD));
		evil_expect(&g, VMBUS_MSG_UNLOAD_RESPONSE);
		ck_assert(!evil_take(&g, &m, 2));
		evil_restart(&g, EVIL_GPADLED);
	}
	hostile_end(&g, NULL);
}
END_TEST

/* Interrupts move to and fro under traffic, as fast as the root answers. */
START_TEST(v37_flood_of_modify)
{
	struct vstor_packet p = evil_tur();
	struct evil_packet a;

	hostile_begin(&g, EVIL_READY);
	for (uint32_t i = 0; i < TIMES(1000); i++) {
		evil_vstor(&g, i, &p);
		EVIL_SAY(&g, HDR(MODIFYCHANNEL), ONE, i % (EVIL_VPS + 1));
		ck_assert_int_eq(
			evil_expect(&g, VMBUS_MSG_MODIFYCHANNEL_RESPONSE).modify_response.status ==
				0,
			i % (EVIL_VPS + 1) < EVIL_VPS);
		ck_assert(evil_recv(&g, &a, 10000));
		ck_assert_uint_eq(a.desc.trans_id, i);
	}
	hostile_end(&g, &(struct proof){ .drop = "" });
}
END_TEST

/* Headers that promise much, bodies never: a quota, then refusals; all is free after a restart. */
START_TEST(v32_half_finished_gpadls)
{
	hostile_begin(&g, EVIL_OFFERED);
	for (uint32_t i = 0; i < 1000; i++)
		EVIL_SAY(&g, HDR(GPADL_HEADER), EVIL_RELID, 100 + i, RANGES(1u, 8000), 8000 * 4096,
			 0, EVIL_BUF, 0);
	ck_assert_uint_ne(evil_expect(&g, VMBUS_MSG_GPADL_CREATED).gpadl_created.status, 0);
	hostile_end(&g, &(struct proof){ .drop = "" });
}
END_TEST

START_TEST(v34_v35_teardown_of_a_ring_in_use)
{
	union vmbus_msg m;

	hostile_begin(&g, EVIL_READY);
	reads_in_flight();
	EVIL_SAY(&g, HDR(GPADL_TEARDOWN), EVIL_RELID, EVIL_GPADL);
	ck_assert(!evil_take(&g, &m, 20));
	evil_close(&g);
	ck_assert_uint_eq(evil_expect(&g, VMBUS_MSG_GPADL_TORNDOWN).gpadl_torndown.gpadl,
			  EVIL_GPADL);
	hostile_end(&g, NULL);
}
END_TEST

START_TEST(v38_flood_of_hvsock_requests)
{
	uint32_t w[10] = { HDR(TL_CONNECT_REQUEST) };

	hostile_begin(&g, EVIL_READY);
	for (uint32_t i = 0; i < 200; i++) {
		w[2] = i;
		evil_say(&g, w, 10);
		evil_expect(&g, VMBUS_MSG_TL_CONNECT_RESULT);
	}
	hostile_end(&g, &(struct proof){ .drop = "hvsock" });
}
END_TEST

START_TEST(v43_flood_of_contact_and_unload)
{
	hostile_begin(&g, EVIL_CONNECTED);
	for (int i = 0; i < TIMES(2000); i++) {
		evil_restart(&g, EVIL_CONTACT);
		EVIL_SAY(&g, HDR(UNLOAD));
		evil_expect(&g, VMBUS_MSG_UNLOAD_RESPONSE);
	}
	hostile_canary_moves();
	hostile_end(&g, NULL);
}
END_TEST

/* H16, V44: nothing is ever read; the bus says no instead of queueing, and goes on afterwards. */
START_TEST(v44_h16_guest_takes_no_messages)
{
	uint32_t refused = 0;
	union vmbus_msg m;

	hostile_begin(&g, EVIL_GPADLED);
	for (uint32_t i = 0; i < 5000; i++)
		refused += EVIL_SAY(&g, HDR(OPENCHANNEL), 99, i, 0, 0, 0, [36] = 0) ==
			   HV_STATUS_INSUFFICIENT_BUFFERS;
	ck_assert_uint_gt(refused, 0);
	hostile_canary_moves();
	while (evil_take(&g, &m, 100))
		;
	hostile_end(&g, &(struct proof){ .drop = "" });
}
END_TEST

/* H17: EOM without clearing, clearing without EOM; H18: flags that are not ours to set. */
START_TEST(h17_h18_scribbling_over_the_synic_pages)
{
	struct hv_proc_call eom = { .op = HV_PROC_EOM };
	uint32_t *flags;

	hostile_begin(&g, EVIL_READY);
	flags = evil_page(&g, EVIL_SYNIC + 1);
	for (uint32_t i = 0; i < 1024; i++)
		store_relaxed(&flags[i], 0x33333333);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(write(g.sock, &eom, sizeof(eom)), sizeof(eom));
	evil_verified_io(&g);
	for (uint32_t i = 0; i < 1024; i++)
		ck_assert_uint_eq(load_relaxed(&flags[i]) & 0x33333333, 0x33333333);
	memset(flags, 0, 4096);
	hostile_end(&g, NULL);
}
END_TEST

/* V45 in small, V47: nonsense of the right types in any order, and somebody who looks. */
START_TEST(v45_v47_any_order_inspected)
{
	uint32_t seed = 7, w[10];
	union vmbus_msg m;

	hostile_begin(&g, EVIL_CONNECTED);
	for (int i = 0; i < TIMES(2000); i++) {
		for (uint32_t k = 0; k < ARRAY_SIZE(w); k++) {
			seed = seed * 1664525u + 1013904223u;
			w[k] = seed >> 29 ? seed >> 28 : seed;
		}
		w[0] = (seed >> 8) % VMBUS_MSG_TYPES;
		evil_say(&g, w, ARRAY_SIZE(w));
		if (i % 50 == 0)
			free(hostile_inspect());
		while (evil_take(&g, &m, 0))
			;
	}
	while (evil_take(&g, &m, 50))
		;
	hostile_end(&g, &(struct proof){ .drop = "" });
}
END_TEST

#define MSG_TEST(name, ...) HOSTILE_ROW(name, run_msg, struct msg_case, __VA_ARGS__)
#define NAME(name, ...)	    name,

MSG_CASES(MSG_TEST)

HOSTILE_MAIN("hostile guest: bus", MSG_CASES(NAME) v06_contact_with_io_in_flight,
	     v16_rings_of_odd_gpadls, v17_v18_pages_used_twice, v20_open_with_garbage,
	     v22_close_with_io_in_flight, v23_close_and_open_for_ever,
	     v25_v26_unload_with_a_channel_open, v26_unload_while_opening, v37_flood_of_modify,
	     v32_half_finished_gpadls, v34_v35_teardown_of_a_ring_in_use,
	     v38_flood_of_hvsock_requests, v43_flood_of_contact_and_unload,
	     v44_h16_guest_takes_no_messages, h17_h18_scribbling_over_the_synic_pages,
	     v45_v47_any_order_inspected)
