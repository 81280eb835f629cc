/* SPDX-License-Identifier: MIT */
/*
 * The child's side of the bus against a root that lies, repeats itself, or says nothing
 * (spec: hostile cases, group C, as far as the bus sees it). Nothing a root does may
 * crash the client, keep a call from ending, or give away memory the root still holds.
 */
#include "tests/ut/vmbus/client_rig.h"

#define FLOOD 2200

/* ---- C01: versions ------------------------------------------------------------------ */

static const struct {
	const char *what;
	uint32_t max_version;
	uint8_t supported, state;
	uint32_t word;
	int want;
} bad_version[] = {
	{ "connection id 0", VMBUS_V5_3, 1, 0, 0, -EPROTO },
	{ "connection id of 25 bits", VMBUS_V5_3, 1, 0, 0x1000000, -EPROTO },
	{ "another version than asked for", VMBUS_V4_1, 1, 0, VMBUS_V3_0, -EPROTO },
	{ "a version of the future", VMBUS_V4_1, 1, 0, VMBUS_V6_0, -EPROTO },
	{ "a version of the past", VMBUS_V4_1, 1, 0, VMBUS_V2_4, -EPROTO },
	{ "low on resources", VMBUS_V5_3, 1, 1, 4, -EIO },
	{ "failed", VMBUS_V4_0, 1, 2, VMBUS_V4_0, -EIO },
	{ "a state nobody knows", VMBUS_V5_3, 1, 0xee, 4, -EIO },
	{ "old servers echo nothing", VMBUS_V4_1, 1, 0, 0, 0 },
	{ "any supported but 0 is a yes", VMBUS_V5_3, 0xff, 0, 4, 0 },
};

static int answer_version(struct evil_root *r, uint32_t connection, const union vmbus_msg *m,
			  uint32_t len)
{
	int i = *(int *)r->ctx;
	struct vmbus_msg_version_response v = {
		.hdr.type = VMBUS_MSG_VERSION_RESPONSE,
		.supported = bad_version[i].supported,
		.connection_state = bad_version[i].state,
		.version_or_connection = bad_version[i].word,
	};

	(void)connection;
	(void)len;
	if (m->hdr.type != VMBUS_MSG_INITIATE_CONTACT)
		return EVIL_PASS;
	r->version = m->contact.version;
	evil_send(r, &v, sizeof(v));
	return HV_STATUS_SUCCESS;
}

START_TEST(c01_version_response_that_makes_no_sense)
{
	struct vmbus_client_config cfg = { .max_version = bad_version[_i].max_version };

	rig_root();
	root.ctx = &_i;
	root.on_message = answer_version;
	ck_assert_int_eq(rig_try_connect(&cfg), bad_version[_i].want);
	if (bad_version[_i].want)
		ck_assert_uint_eq(rig_count(VMBUS_MSG_REQUESTOFFERS), 0);
	rig_fini();
}
END_TEST

/* ---- messages that are ignored -------------------------------------------------------- */

/* What the client says about the last message, once it has seen @n more of them. */
static const char *ignored_after(uint64_t seen, uint64_t n)
{
	rig_until(rig_stats().messages_in >= seen + n);
	return rig_stats().last_ignored;
}

/* C02: the offers of the root, relative to a good one of relid 9 for a device of its own. */
static const struct {
	const char *what, *why;
	uint32_t relid, device, connection;
	uint16_t sub;
	bool no_type, no_instance;
} bad_offer[] = {
	{ "relid in use", "offer of a relid in use", 5, 9, 0x2009, 0, false, false },
	{ "relid 0", "offer of a relid out of range", 0, 9, 0x2009, 0, false, false },
	{ "relid 2048", "offer of a relid out of range", 2048, 9, 0x2009, 0, false, false },
	{ "relid 2^32-1", "offer of a relid out of range", UINT32_MAX, 9, 9, 0, false, false },
	{ "device again", "device or sub-channel offered twice", 9, 5, 0x2009, 0, false, false },
	{ "sub again", "device or sub-channel offered twice", 9, 5, 0x2009, 1, false, false },
	{ "no primary", "offer of a sub-channel without its primary", 9, 9, 9, 1, false, false },
	{ "connection 0", "offer of an illegal connection id", 9, 9, 0, 0, false, false },
	{ "connection of 25 bits", "offer of an illegal connection id", 9, 9, 1 << 24, 0, false,
	  false },
	{ "no type", "offer without type or instance", 9, 9, 0x2009, 0, true, false },
	{ "no instance", "offer without type or instance", 9, 9, 0x2009, 0, false, true },
	{ "more than allowed", "more offers than allowed", 9, 9, 0x2009, 0, false, false },
};

START_TEST(c02_offer_that_is_none)
{
	struct vmbus_client_config cfg = { .max_offers = 3 };
	struct vmbus_msg_offer o;
	uint64_t seen;

	rig_root();
	evil_add(&root, 5, 0, 5);
	evil_add(&root, 6, 1, 5);
	if (!strcmp(bad_offer[_i].what, "more than allowed"))
		evil_add(&root, 7, 0, 7);
	ck_assert_int_eq(rig_try_connect(&cfg), 0);
	seen = rig_stats().messages_in;
	o = evil_offer(bad_offer[_i].relid, bad_offer[_i].sub, bad_offer[_i].device);
	o.connection_id = bad_offer[_i].connection;
	if (bad_offer[_i].no_type)
		memset(&o.type, 0, sizeof(o.type));
	if (bad_offer[_i].no_instance)
		memset(&o.instance, 0, sizeof(o.instance));
	evil_lock(&root);
	evil_send(&root, &o, sizeof(o));
	evil_unlock(&root);
	ck_assert_str_eq(ignored_after(seen, 1), bad_offer[_i].why);
	ck_assert_uint_eq(rig_stats().messages_ignored, 1);
	ck_assert_uint_eq(rig_stats().offers, _i == 11 ? 3 : 2);
	rig_fini();
	ck_assert_uint_eq(root.count[VMBUS_MSG_RELID_RELEASED], 0);
}
END_TEST

static int flood(struct evil_root *r, uint32_t connection, const union vmbus_msg *m, uint32_t len)
{
	struct vmbus_msg_offer o;

	(void)connection;
	(void)len;
	if (m->hdr.type != VMBUS_MSG_REQUESTOFFERS)
		return EVIL_PASS;
	for (uint32_t i = 1; i < FLOOD; i++) {
		o = evil_offer(i, 0, i);
		evil_send(r, &o, sizeof(o));
	}
	evil_say(r, VMBUS_MSG_ALLOFFERS_DELIVERED, 0, 0, 0);
	return HV_STATUS_SUCCESS;
}

START_TEST(c03_flood_of_offers)
{
	struct vmbus_client_config cfg = { .max_offers = _i };

	rig_root();
	root.on_message = flood;
	ck_assert_int_eq(rig_try_connect(&cfg), 0);
	ck_assert_uint_eq(rig_stats().offers, _i ? (uint32_t)_i : 2047);
	ck_assert_uint_eq(rig_stats().messages_ignored, FLOOD - 1 - (_i ? (uint32_t)_i : 2047));
	rig_fini();
}
END_TEST

static const struct {
	const char *what, *why;
	uint32_t type, relid, a, b;
} stray[] = {
	{ "C01 version response", "answer that nobody waits for", 15, 1, 4, 0 },
	{ "C04 rescind of relid 0", "rescind of an unknown relid", 2, 0, 0, 0 },
	{ "C04 rescind of relid 7", "rescind of an unknown relid", 2, 7, 0, 0 },
	{ "C04 rescind of relid 2048", "rescind of an unknown relid", 2, 2048, 0, 0 },
	{ "C04 rescind of relid 2^32-1", "rescind of an unknown relid", 2, UINT32_MAX, 0, 0 },
	{ "C05 open result", "answer that nobody waits for", 6, 5, 1, 0 },
	{ "C05 open result for relid 0", "answer for relid 0", 6, 0, 1, 0 },
	{ "C05 gpadl created", "answer that nobody waits for", 10, 5, 0xe1e10, 0 },
	{ "C05 gpadl created for relid 0", "answer for relid 0", 10, 0, 0xe1e10, 0 },
	{ "C05 gpadl torn down", "answer that nobody waits for", 12, 0xe1e10, 0, 0 },
	{ "C05 all offers again", "answer that nobody waits for", 4, 0, 0, 0 },
	{ "C05 unload response", "answer that nobody waits for", 17, 0, 0, 0 },
	{ "C05 modify response", "answer that nobody waits for", 24, 5, 0, 0 },
	{ "C05 modify response for 0", "modify response for an unknown relid", 24, 0, 0, 0 },
	{ "C05 modify response for 4711", "modify response for an unknown relid", 24, 4711, 0, 0 },
	{ "C29 a guest's message", "message of the other direction", 7, 5, 0, 0 },
	{ "C29 reserved channel", "message not part of the agreed version", 20, 5, 0, 0 },
};

START_TEST(c05_message_that_nobody_asked_for)
{
	struct vmbus_chan *c;
	struct vmbus_offer o;
	uint64_t seen;

	rig_root();
	evil_add(&root, 5, 0, 5);
	rig_connect();
	o = rig_offer(0);
	c = rig_open(&o, 0);
	seen = rig_stats().messages_in;
	evil_lock(&root);
	evil_say(&root, stray[_i].type, stray[_i].relid, stray[_i].a, stray[_i].b);
	evil_unlock(&root);
	ck_assert_str_eq(ignored_after(seen, 1), stray[_i].why);
	ck_assert_uint_eq(rig_stats().messages_ignored, 1);
	rig_echo(c, 0, 7);
	vmbus_client_close(bus, c);
	rig_fini();
}
END_TEST

/* C29: any type, any length, and foreign occupants of the slot. */
static const struct {
	const char *what, *why;
	uint32_t hv_type, type;
	uint8_t size;
} odd[] = {
	{ "empty", "message shorter than its structure", 1, 6, 0 },
	{ "half a header", "message shorter than its structure", 1, 6, 7 },
	{ "offer one byte short", "message shorter than its structure", 1, 1, 195 },
	{ "rescind one byte short", "message shorter than its structure", 1, 2, 11 },
	{ "open result one byte short", "message shorter than its structure", 1, 6, 19 },
	{ "created one byte short", "message shorter than its structure", 1, 10, 19 },
	{ "torn down one byte short", "message shorter than its structure", 1, 12, 11 },
	{ "version one byte short", "message shorter than its structure", 1, 15, 15 },
	{ "modify one byte short", "message shorter than its structure", 1, 24, 15 },
	{ "type 0", "unknown message type", 1, 0, 240 },
	{ "type 30", "unknown message type", 1, 30, 240 },
	{ "type 2^32-1", "unknown message type", 1, UINT32_MAX, 240 },
	{ "hvsock result", "message that this client has no use for", 1, 23, 240 },
	{ "a timer", "not a bus message", HV_MESSAGE_TIMER, 2, 24 },
	{ "another type of the hypervisor", "not a bus message", 2, 2, 12 },
};

START_TEST(c29_message_of_no_known_shape)
{
	uint32_t words[60] = { odd[_i].type, 0, 5, 1 };
	uint64_t seen;

	rig_root();
	evil_add(&root, 5, 0, 5);
	rig_connect();
	seen = rig_stats().messages_in;
	evil_lock(&root);
	evil_send_raw(&root, odd[_i].hv_type, words, sizeof(words), odd[_i].size);
	evil_unlock(&root);
	ck_assert_str_eq(ignored_after(seen, 1), odd[_i].why);
	ck_assert_uint_eq(rig_stats().offers, 1);
	rig_fini();
}
END_TEST

START_TEST(c29_size_beyond_the_slot_reads_no_further_than_the_slot)
{
	uint32_t words[60] = { VMBUS_MSG_RESCIND_CHANNELOFFER, 0, 9 };
	uint64_t seen;

	rig_root();
	rig_connect();
	seen = rig_stats().messages_in;
	evil_lock(&root);
	evil_send_raw(&root, HV_MESSAGE_VMBUS, words, sizeof(words), 255);
	evil_say(&root, VMBUS_MSG_RESCIND_CHANNELOFFER, 8, 0, 0);
	evil_unlock(&root);
	ignored_after(seen, 1);
	rig_until(rig_stats().messages_ignored >= 1);
	rig_fini();
}
END_TEST

/* ---- C04: rescinds at any time ------------------------------------------------------------- */

/* On the message that the test names, the root takes the channel away instead of answering. */
static uint32_t rescind_on;

static int rescind_instead(struct evil_root *r, uint32_t connection, const union vmbus_msg *m,
			   uint32_t len)
{
	(void)connection;
	(void)len;
	if (m->hdr.type != rescind_on)
		return EVIL_PASS;
	for (int i = 0; i < 2; i++) /* and once more */
		evil_say(r, VMBUS_MSG_RESCIND_CHANNELOFFER, 5, 0, 0);
	if (m->hdr.type == VMBUS_MSG_GPADL_TEARDOWN)
		return EVIL_PASS; /* a pending teardown is answered (spec: vmbus, 4.5) */
	return HV_STATUS_SUCCESS;
}

START_TEST(c04_rescind_instead_of_an_answer)
{
	static const uint32_t on[] = { VMBUS_MSG_GPADL_HEADER, VMBUS_MSG_OPENCHANNEL,
				       VMBUS_MSG_MODIFYCHANNEL, VMBUS_MSG_CLOSECHANNEL,
				       VMBUS_MSG_GPADL_TEARDOWN };
	struct vmbus_chan *c = NULL;
	struct vmbus_offer o;
	int err;

	rig_root();
	evil_add(&root, 5, 0, 5);
	rescind_on = on[_i];
	root.on_message = rescind_instead;
	rig_connect(); /* 10 s: whoever waits for the answer fails the test */
	o = rig_offer(0);
	err = vmbus_client_open(bus, &o, RING, 0, 0, NULL, NULL, &c);
	ck_assert_int_eq(err, _i < 2 ? -ENOENT : 0);
	if (_i == 2)
		ck_assert_int_eq(vmbus_client_modify(bus, c, 1), -ENOENT);
	if (!err)
		vmbus_client_close(bus, c);
	rig_until(rig_count(VMBUS_MSG_RELID_RELEASED) == 1);
	rig_until(rig_stats().messages_ignored >= 1); /* the second one */
	ck_assert_uint_eq(rig_stats().offers, 0);
	/* Only where nobody knows whether the root has the pages. */
	ck_assert_uint_eq(rig_stats().pages_abandoned, _i == 0 ? 8 : 0);
	ck_assert_int_eq(vmbus_client_open(bus, &o, RING, 0, 0, NULL, NULL, &c), -ENOENT);
	rig_fini();
	ck_assert_uint_eq(root.count[VMBUS_MSG_RELID_RELEASED], 1);
}
END_TEST

static int rescind_before_offer(struct evil_root *r, uint32_t connection, const union vmbus_msg *m,
				uint32_t len)
{
	struct vmbus_msg_offer o = evil_offer(5, 0, 5);

	(void)connection;
	(void)len;
	if (m->hdr.type != VMBUS_MSG_REQUESTOFFERS)
		return EVIL_PASS;
	evil_say(r, VMBUS_MSG_RESCIND_CHANNELOFFER, 5, 0, 0);
	evil_send(r, &o, sizeof(o));
	evil_say(r, VMBUS_MSG_RESCIND_CHANNELOFFER, 5, 0, 0);
	evil_say(r, VMBUS_MSG_RESCIND_CHANNELOFFER, 5, 0, 0);
	evil_send(r, &o, sizeof(o)); /* before RELID_RELEASED: not yet free */
	evil_say(r, VMBUS_MSG_ALLOFFERS_DELIVERED, 0, 0, 0);
	return HV_STATUS_SUCCESS;
}

START_TEST(c04_rescind_before_and_after_the_offer)
{
	rig_root();
	root.on_message = rescind_before_offer;
	rig_connect();
	evil_await(&root, VMBUS_MSG_RELID_RELEASED, 1);
	/* The second offer was refused, or came after the release: then it is a new one. */
	ck_assert_uint_le(rig_stats().offers, 1);
	ck_assert_uint_ge(rig_stats().messages_ignored, 2);
	rig_fini();
	ck_assert_uint_eq(root.count[VMBUS_MSG_RELID_RELEASED], 1);
}
END_TEST

/* A relid is not free before the root has heard so. */
START_TEST(c04_offer_of_a_relid_whose_release_is_still_to_be_posted)
{
	struct vmbus_msg_offer o = evil_offer(5, 0, 5);

	rig_root();
	evil_add(&root, 5, 0, 5);
	rig_type = VMBUS_MSG_RELID_RELEASED;
	root.on_message = rig_refuse;
	rig_connect();
	evil_lock(&root);
	evil_say(&root, VMBUS_MSG_RESCIND_CHANNELOFFER, 5, 0, 0);
	evil_unlock(&root);
	rig_until(rig_count(VMBUS_MSG_RELID_RELEASED) > 1);
	evil_lock(&root);
	evil_send(&root, &o, sizeof(o));
	evil_unlock(&root);
	rig_until(rig_stats().messages_ignored == 1);
	ck_assert_str_eq(rig_stats().last_ignored, "offer of a relid in use");
	evil_lock(&root);
	root.on_message = NULL;
	root.count[VMBUS_MSG_RELID_RELEASED] = 0;
	evil_unlock(&root);
	rig_until(rig_count(VMBUS_MSG_RELID_RELEASED) == 1);
	evil_lock(&root);
	evil_send(&root, &o, sizeof(o));
	evil_unlock(&root);
	rig_until(rig_stats().offers == 1);
	rig_fini();
	ck_assert_uint_eq(root.count[VMBUS_MSG_RELID_RELEASED], 1);
}
END_TEST

/* ---- C05: answers with wrong ids, wrong status, twice ---------------------------------------- */

struct wrong {
	const char *what;
	uint32_t on, relid_xor, id_xor, status;
	int times, want;
	uint32_t abandoned;
};

static const struct wrong wrong[] = {
	{ "open: other relid", VMBUS_MSG_OPENCHANNEL, 3, 0, 0, 1, -ETIMEDOUT, 0 },
	{ "open: other open id", VMBUS_MSG_OPENCHANNEL, 0, 1, 0, 1, -ETIMEDOUT, 0 },
	{ "open: refused", VMBUS_MSG_OPENCHANNEL, 0, 0, 0x80000000, 1, -EIO, 0 },
	{ "open: any status is a refusal", VMBUS_MSG_OPENCHANNEL, 0, 0, 1, 1, -EIO, 0 },
	{ "gpadl: other relid", VMBUS_MSG_GPADL_HEADER, 3, 0, 0, 1, -ETIMEDOUT, 8 },
	{ "gpadl: other id", VMBUS_MSG_GPADL_HEADER, 0, 1, 0, 1, -ETIMEDOUT, 8 },
	{ "gpadl: refused", VMBUS_MSG_GPADL_HEADER, 0, 0, 0xffffffff, 1, -EIO, 0 },
	{ "gpadl: refused twice", VMBUS_MSG_GPADL_HEADER, 0, 0, 1, 2, -EIO, 0 },
};

static const struct wrong *now_wrong;

static int answer_wrongly(struct evil_root *r, uint32_t connection, const union vmbus_msg *m,
			  uint32_t len)
{
	const struct wrong *w = now_wrong;

	(void)connection;
	(void)len;
	if (!w || m->hdr.type != w->on)
		return EVIL_PASS;
	for (int i = 0; i < w->times; i++)
		if (w->on == VMBUS_MSG_OPENCHANNEL)
			evil_say(r, VMBUS_MSG_OPENCHANNEL_RESULT, m->open.relid ^ w->relid_xor,
				 m->open.open_id ^ w->id_xor, w->status);
		else
			evil_say(r, VMBUS_MSG_GPADL_CREATED, m->gpadl_header.relid ^ w->relid_xor,
				 m->gpadl_header.gpadl ^ w->id_xor, w->status);
	return HV_STATUS_SUCCESS;
}

START_TEST(c05_wrong_answer)
{
	struct vmbus_chan *c;
	struct vmbus_offer o;
	uint32_t before;

	rig_root();
	evil_add(&root, 5, 0, 5);
	root.on_message = answer_wrongly;
	rig_connect();
	before = rig_free_pages();
	o = rig_offer(0);
	now_wrong = &wrong[_i];
	if (wrong[_i].want == -ETIMEDOUT)
		rig_patience(SHORT_MS);
	ck_assert_int_eq(vmbus_client_open(bus, &o, RING, 0, 0, NULL, NULL, &c), wrong[_i].want);
	ck_assert_uint_eq(rig_stats().pages_abandoned, wrong[_i].abandoned);
	ck_assert_uint_eq(rig_free_pages(), before - wrong[_i].abandoned);
	rig_fini();
}
END_TEST

/* A result that comes after its time must not be taken for that of the next attempt. */
static uint32_t late_type, late[2];

static int answer_late(struct evil_root *r, uint32_t connection, const union vmbus_msg *m,
		       uint32_t len)
{
	(void)connection;
	(void)len;
	if (m->hdr.type != VMBUS_MSG_OPENCHANNEL)
		return EVIL_PASS;
	if (!late_type) {
		late_type = VMBUS_MSG_OPENCHANNEL_RESULT;
		late[0] = m->open.relid;
		late[1] = m->open.open_id;
		return HV_STATUS_SUCCESS;
	}
	evil_say(r, late_type, late[0], late[1], 1); /* to the first: no */
	return EVIL_PASS;			     /* to this one: yes */
}

START_TEST(c05_late_open_result)
{
	struct vmbus_chan *c;
	struct vmbus_offer o;

	rig_root();
	evil_add(&root, 5, 0, 5);
	root.on_message = answer_late;
	rig_connect();
	o = rig_offer(0);
	rig_patience(SHORT_MS);
	ck_assert_int_eq(vmbus_client_open(bus, &o, RING, 0, 0, NULL, NULL, &c), -ETIMEDOUT);
	rig_patience(LONG_MS);
	c = rig_open(&o, 0);
	rig_echo(c, 0, 1);
	rig_fini();
}
END_TEST

static int modifies;

static int modify_late(struct evil_root *r, uint32_t connection, const union vmbus_msg *m,
		       uint32_t len)
{
	(void)connection;
	(void)len;
	if (m->hdr.type != VMBUS_MSG_MODIFYCHANNEL || modifies++ == 0)
		return m->hdr.type == VMBUS_MSG_MODIFYCHANNEL ? HV_STATUS_SUCCESS : EVIL_PASS;
	evil_say(r, VMBUS_MSG_MODIFYCHANNEL_RESPONSE, 5, 0, 0); /* to the first */
	evil_say(r, VMBUS_MSG_MODIFYCHANNEL_RESPONSE, 5, 1, 0); /* to the second: no */
	return HV_STATUS_SUCCESS;
}

START_TEST(c05_late_modify_response)
{
	struct vmbus_chan *c;
	struct vmbus_offer o;

	rig_root();
	evil_add(&root, 5, 0, 5);
	root.on_message = modify_late;
	rig_connect();
	o = rig_offer(0);
	c = rig_open(&o, 0);
	rig_patience(SHORT_MS);
	ck_assert_int_eq(vmbus_client_modify(bus, c, 1), -ETIMEDOUT);
	rig_patience(LONG_MS);
	ck_assert_int_eq(vmbus_client_modify(bus, c, 1), -EIO);
	rig_fini();
}
END_TEST

static void add_messages(TCase *tc)
{
	tcase_add_loop_test(tc, c01_version_response_that_makes_no_sense, 0,
			    ARRAY_SIZE(bad_version));
	tcase_add_loop_test(tc, c02_offer_that_is_none, 0, ARRAY_SIZE(bad_offer));
	tcase_add_loop_test(tc, c03_flood_of_offers, 0, 2);
	tcase_add_loop_test(tc, c05_message_that_nobody_asked_for, 0, ARRAY_SIZE(stray));
	tcase_add_loop_test(tc, c29_message_of_no_known_shape, 0, ARRAY_SIZE(odd));
	tcase_add_test(tc, c29_size_beyond_the_slot_reads_no_further_than_the_slot);
	tcase_add_loop_test(tc, c04_rescind_instead_of_an_answer, 0, 5);
	tcase_add_test(tc, c04_rescind_before_and_after_the_offer);
	tcase_add_test(tc, c04_offer_of_a_relid_whose_release_is_still_to_be_posted);
	tcase_add_loop_test(tc, c05_wrong_answer, 0, ARRAY_SIZE(wrong));
	tcase_add_test(tc, c05_late_open_result);
	tcase_add_test(tc, c05_late_modify_response);
}

int main(void)
{
	static void (*const parts[])(TCase *) = { add_messages };

	return rig_main("vmbus/client with a hostile root", parts, ARRAY_SIZE(parts));
}
