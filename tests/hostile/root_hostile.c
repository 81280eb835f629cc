/* SPDX-License-Identifier: MIT */
/*
 * A root that lies to the client library (hostile cases C01 to C15, C29, C30, and R from the
 * other side), whole stack: the real child, bus client and storvsc over a real socket against a
 * root made by hand. What is asked: every call ends, nothing outside the caller's buffer changes,
 * and the next root is as good as new.
 */
#include "tests/fake/evil_root.h"
#include "tests/ut/vsc/mini_vsp.h"

#include "base/clock.h"
#include "base/log.h"
#include "ringbuf/ring_layout.h"
#include "vmbus/client_priv.h"
#include "vsc/storvsc.h"

#define GUARD	 0x6b
#define MS	 1000000ull
#define SHORT_MS 200   /* where nothing comes .. */
#define LONG_MS	 20000 /* .. and where something does */

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define BOTH_MS 3000 /* .. and where one wait is for something, the next for nothing */
#else
#define BOTH_MS 1000
#endif

static struct evil_root r;
static struct mini_vsp vsp;

/* A way to answer the next READ. True: that was the answer; false: the right one follows. */
struct lie {
	bool (*tell)(const struct lie *l, struct vmbus_chan *c, const struct vmpkt *pkt,
		     const struct vstor_packet *p);
	uint64_t a, b;
	bool works; /* the READ succeeds all the same */
};
static const struct lie *lie;

static bool on_request(struct mini_vsp *v, struct vmbus_chan *c, const struct vmpkt *pkt,
		       const struct vstor_packet *p)
{
	const struct lie *l = lie;

	(void)v;
	if (!l || p->operation != VSTOR_OP_EXECUTE_SRB || (p->srb.cdb[0] & 0x1f) != 0x08)
		return false;
	lie = NULL; /* retries are answered well */
	return l->tell(l, c, pkt, p);
}

static bool on_packet(struct evil_chan *c, const struct vmpkt *pkt)
{
	mini_packet(&vsp, c->chan, pkt);
	return true;
}

/* ---- lies ---------------------------------------------------------------------------- */

static bool foreign_id(const struct lie *l, struct vmbus_chan *c, const struct vmpkt *pkt,
		       const struct vstor_packet *p)
{
	struct vstor_packet done = mini_done(p, 1, 0, 4096);

	mini_reply(c, l->b ? pkt->trans_id ^ l->b : l->a, &done);
	return false;
}

static bool unsolicited(const struct lie *l, struct vmbus_chan *c, const struct vmpkt *pkt,
			const struct vstor_packet *p)
{
	struct vstor_packet done = mini_done(p, 1, 0, 4096);

	(void)pkt;
	done.operation = (uint32_t)l->a;
	ck_assert_int_eq(vmbus_chan_send(c, 0, VSTOR_ID_UNSOLICITED, &done, VSTOR_PACKET), 0);
	return false;
}

static bool moved(const struct lie *l, struct vmbus_chan *c, const struct vmpkt *pkt,
		  const struct vstor_packet *p)
{
	struct vstor_packet done = mini_done(p, 1, 0, (uint32_t)l->a);

	mini_reply(c, pkt->trans_id, &done);
	return true;
}

static bool sense_length(const struct lie *l, struct vmbus_chan *c, const struct vmpkt *pkt,
			 const struct vstor_packet *p)
{
	struct vstor_packet done = mini_sense(p, 3, 0x11, 0);

	done.srb.sense_info_length = (uint8_t)l->a;
	mini_reply(c, pkt->trans_id, &done);
	return true;
}

static bool status(const struct lie *l, struct vmbus_chan *c, const struct vmpkt *pkt,
		   const struct vstor_packet *p)
{
	struct vstor_packet done = mini_done(p, (uint8_t)l->a, (uint8_t)l->b, 4096);

	mini_reply(c, pkt->trans_id, &done);
	return true;
}

static bool short_answer(const struct lie *l, struct vmbus_chan *c, const struct vmpkt *pkt,
			 const struct vstor_packet *p)
{
	ck_assert_int_eq(vmbus_chan_send_completion(c, pkt->trans_id, p, (uint32_t)l->a), 0);
	return true;
}

/* The control page of the ring to the client: @a which word, @b what is stored there. */
static bool ring_word(const struct lie *l, struct vmbus_chan *c, const struct vmpkt *pkt,
		      const struct vstor_packet *p)
{
	struct evil_chan *ch = &r.chan[1];

	(void)c;
	(void)pkt;
	(void)p;
	store_release((uint32_t *)ch->out.ctrl + l->a, (uint32_t)l->b);
	evil_event(&r, ch->opened.target_vp, 1);
	return true;
}

#define DESC(type, off8, len8, flags)                                                              \
	((type) | (uint64_t)(off8) << 16 | (uint64_t)(len8) << 32 | (uint64_t)(flags) << 48)

/*
 * A descriptor as the next packet to the client: @a its words, @b how much is published. If it
 * can be stepped over, a refusal follows, which ends the request at once.
 */
static bool descriptor(const struct lie *l, struct vmbus_chan *c, const struct vmpkt *pkt,
		       const struct vstor_packet *p)
{
	struct evil_chan *ch = &r.chan[1];
	struct vmring_ctrl *ctrl = ch->out.ctrl;
	uint32_t at = load_relaxed(&ctrl->write_index);
	uint64_t words[2] = { l->a, pkt->trans_id },
		 next[2] = { DESC(11, 2, 10, 0), pkt->trans_id };
	struct vstor_packet no = mini_sense(p, 5, 0x24, 0);
	uint64_t end = at + l->b;

	(void)c;
	memcpy(ch->out.data + at, words, sizeof(words));
	memcpy(ch->out.data + at + 64, next, sizeof(next));
	memcpy(ch->out.data + at + 80, &no, VSTOR_PACKET);
	if (l->b == 64)
		end += 16 + VSTOR_PACKET + 8;
	store_release(&ctrl->write_index, (uint32_t)(end % ch->out.size));
	evil_event(&r, ch->opened.target_vp, 1);
	return true;
}

/* The index that says how far the root has read of what the client wrote. */
static bool read_index(const struct lie *l, struct vmbus_chan *c, const struct vmpkt *pkt,
		       const struct vstor_packet *p)
{
	struct vmring_ctrl *ctrl = r.chan[1].in.ctrl;
	uint32_t at = l->a ? load_relaxed(&ctrl->write_index) : 0;

	(void)c;
	(void)pkt;
	(void)p;
	store_release(&ctrl->read_index, at + (uint32_t)l->b);
	return false;
}

#define LIES(X)                                                                                    \
	X(c07_write_index_past_the_end, ring_word, 0, 1u << 30, false)                             \
	X(c07_write_index_all_ones, ring_word, 0, UINT32_MAX, false)                               \
	X(c07_write_index_unaligned, ring_word, 0, 12, false)                                      \
	X(c07_less_than_a_descriptor, descriptor, DESC(11, 2, 4, 0), 8, false)                     \
	X(c07_length_zero, descriptor, DESC(11, 2, 0, 0), 64, false)                               \
	X(c07_length_one, descriptor, DESC(11, 2, 1, 0), 64, false)                                \
	X(c07_length_of_the_maximum, descriptor, DESC(11, 2, 0xffff, 0), 64, false)                \
	X(c07_longer_than_published, descriptor, DESC(11, 2, 12, 0), 64, false)                    \
	X(c07_payload_at_zero, descriptor, DESC(11, 0, 7, 0), 64, false)                           \
	X(c07_payload_behind_the_end, descriptor, DESC(11, 8, 7, 0), 64, false)                    \
	X(c07_type_zero, descriptor, DESC(0, 2, 7, 0), 64, false)                                  \
	X(c07_all_flags, descriptor, DESC(11, 2, 7, 0xffff), 64, false)                            \
	X(c07_read_index_all_ones, read_index, 0, UINT32_MAX, false)                               \
	X(c07_read_index_past_the_end, read_index, 0, 1u << 30, false)                             \
	X(c07_read_index_ahead, read_index, 1, 4096, false)                                        \
	X(c07_read_index_behind, read_index, 1, (uint32_t)-8, false)                               \
	X(c08_id_all_ones, foreign_id, UINT64_MAX, 0, true)                                        \
	X(c08_id_like_a_pointer, foreign_id, 0x7fff12345678, 0, true)                              \
	X(c08_id_of_another_generation, foreign_id, 0, 1ull << 32, true)                           \
	X(c08_id_of_another_slot, foreign_id, 0, 1, true)                                          \
	X(c09_unsolicited_complete_io, unsolicited, VSTOR_OP_COMPLETE_IO, 0, true)                 \
	X(c09_unsolicited_fchba_data, unsolicited, VSTOR_OP_FCHBA_DATA, 0, true)                   \
	X(c09_unsolicited_nonsense, unsolicited, UINT32_MAX, 0, true)                              \
	X(c10_more_than_was_asked_for, moved, UINT32_MAX, 0, true)                                 \
	X(c10_a_byte_more, moved, 4097, 0, true)                                                   \
	X(c11_sense_of_255_bytes, sense_length, 255, 0, false)                                     \
	X(c11_sense_of_no_bytes, sense_length, 0, 0, false)                                        \
	X(c12_srb_status_without_meaning, status, 0x3f, 0, false)                                  \
	X(c12_scsi_status_without_meaning, status, 4, 0xee, false)                                 \
	X(p16_completion_of_no_bytes, short_answer, 0, 0, false)                                   \
	X(p16_completion_cut, short_answer, 16, 0, false)

/* ---- the case ------------------------------------------------------------------------------- */

static struct storvsc *attach(void)
{
	struct storvsc_config cfg = { .queues = 1, .depth = 8, .timeout_ms = 5000 };
	struct storvsc *s;
	char why[256] = "";

	ck_assert_msg(!storvsc_attach(&s, evil_root_path(&r), 0, 8u << 20, &cfg, why, sizeof(why)),
		      "%s", why);
	return s;
}

static void start(void)
{
	static const struct guid scsi = VMBUS_CLASS_SCSI;

	log_set_level(LOG_ERROR);
	memset(&vsp, 0, sizeof(vsp));
	vsp.version = VSTOR_V6_2;
	vsp.max_transfer = 256 << 10;
	vsp.block = MINI_BLOCK;
	vsp.last = MINI_SIZE / MINI_BLOCK - 1;
	vsp.disk = calloc(1, MINI_SIZE);
	vsp.hook = on_request;
	for (uint32_t i = 0; i < 65536; i++) /* more than is ever read */
		vsp.disk[i] = (uint8_t)(i * 7 + i / 512);
	memset(&r, 0, sizeof(r));
	r.on_packet = on_packet;
	evil_root_start(&r);
	evil_lock(&r);
	evil_add(&r, 1, 0, 0)->offer.type = scsi;
	evil_unlock(&r);
}

static void run(const struct lie *l)
{
	uint8_t buf[3 * 4096];
	struct storvsc *s;
	uint64_t from;
	int err;

	start();
	for (int again = 0; again < 2; again++) { /* U9: the second time nobody lies */
		s = attach();
		memset(buf, GUARD, sizeof(buf));
		evil_lock(&r);
		lie = again ? NULL : l;
		evil_unlock(&r);
		from = clock_ns();
		if (!again && !l->works) /* the answer may never come */
			s->timeout_ns = SHORT_MS * MS;
		err = storvsc_read(s, 0, 0, buf + 4096, 8192, 4096);
		ck_assert_uint_lt(clock_ns() - from, 20000000000ull);
		if (again || l->works)
			ck_assert_int_eq(err, 0);
		if (again || (l->works && l->tell != moved))
			ck_assert_mem_eq(buf + 4096, vsp.disk + 8192, 4096);
		for (uint32_t i = 0; i < 4096; i++)
			if (buf[i] != GUARD || buf[8192 + i] != GUARD)
				ck_abort_msg("written outside the buffer, at %u", (unsigned)i);
		storvsc_detach(s);
	}
	evil_root_stop(&r);
	free(vsp.disk);
}

/* ---- lies of the bus ----------------------------------------------------------------------- */

struct bus_lie {
	/* False: told, and the root behaves besides. True: instead of what it ought to do. */
	bool (*tell)(const struct bus_lie *l, const union vmbus_msg *m);
	uint32_t on; /* the client's message that it answers */
	uint32_t a, b, c;
	bool opens; /* a disk can be used all the same */
};
static const struct bus_lie *bus_lie;

static int on_message(struct evil_root *root, uint32_t connection, const union vmbus_msg *m,
		      uint32_t len)
{
	const struct bus_lie *l = bus_lie;

	(void)root;
	(void)connection;
	(void)len;
	return l && m->hdr.type == l->on && l->tell(l, m) ? HV_STATUS_SUCCESS : EVIL_PASS;
}

/* C01: @a supported, @b connection state, @c version or connection. */
static bool version(const struct bus_lie *l, const union vmbus_msg *m)
{
	struct vmbus_msg_version_response v = {
		.hdr.type = VMBUS_MSG_VERSION_RESPONSE,
		.supported = (uint8_t)l->a,
		.connection_state = (uint8_t)l->b,
		.version_or_connection = l->c,
	};

	r.version = m->contact.version;
	evil_send(&r, &v, sizeof(v));
	return true;
}

/* C02: an offer besides, of relid @a, sub-channel @b, of the device of relid @c. */
static bool offer(const struct bus_lie *l, const union vmbus_msg *m)
{
	struct vmbus_msg_offer o = evil_offer(l->a, (uint16_t)l->b, l->c);

	(void)m;
	evil_behave(&r, &(union vmbus_msg){ .hdr.type = VMBUS_MSG_REQUESTOFFERS }, 8);
	evil_send(&r, &o, sizeof(o));
	return true;
}

/* C03: far more than there are relids, behind the right one. */
static bool offers(const struct bus_lie *l, const union vmbus_msg *m)
{
	struct vmbus_msg_offer o;

	(void)m;
	evil_send(&r, &r.chan[1].offer, sizeof(r.chan[1].offer));
	for (uint32_t i = 2; i < l->a; i++) {
		o = evil_offer(i, 0, i);
		evil_send(&r, &o, sizeof(o));
	}
	evil_say(&r, VMBUS_MSG_ALLOFFERS_DELIVERED, 0, 0, 0);
	return true;
}

/* C04, C05: @b says something about relid @a twice; @c: instead of an answer. */
static bool stray(const struct bus_lie *l, const union vmbus_msg *m)
{
	(void)m;
	for (int i = 0; i < 2; i++)
		evil_say(&r, l->b, l->a, l->c ? 0 : 0xe1e10, 0);
	return l->c;
}

/* C05: the answer, with a status that says no in whatever way. */
static bool refusal(const struct bus_lie *l, const union vmbus_msg *m)
{
	bool gpadl = l->on == VMBUS_MSG_GPADL_HEADER;

	evil_say(&r, gpadl ? VMBUS_MSG_GPADL_CREATED : VMBUS_MSG_OPENCHANNEL_RESULT,
		 gpadl ? m->gpadl_header.relid : m->open.relid,
		 gpadl ? m->gpadl_header.gpadl : m->open.open_id, l->a);
	return true;
}

static bool silence(const struct bus_lie *l, const union vmbus_msg *m)
{
	(void)l;
	(void)m;
	return true;
}

/* C29: a message of type @a in a slot that says @b bytes. */
static bool odd(const struct bus_lie *l, const union vmbus_msg *m)
{
	uint32_t words[60] = { l->a, 0, 1, 1 };

	(void)m;
	for (int i = 0; i < 20; i++)
		evil_send_raw(&r, l->c ? l->c : HV_MESSAGE_VMBUS, words, sizeof(words),
			      (uint8_t)l->b);
	return false;
}

/* C30: every flag there is, on every VP. */
static bool flags(const struct bus_lie *l, const union vmbus_msg *m)
{
	(void)l;
	(void)m;
	for (uint32_t vp = 0; vp < r.nr_vps; vp++)
		for (uint32_t flag = 0; flag < HV_FLAG_COUNT; flag++)
			evil_event(&r, vp, flag);
	return false;
}

#define ON(type) VMBUS_MSG_##type
#define BUS_LIES(X)                                                                                \
	X(c01_version_never_offered, version, ON(INITIATE_CONTACT), 1, 0, 0x1000000, false)        \
	X(c01_connection_id_zero, version, ON(INITIATE_CONTACT), 1, 0, 0, false)                   \
	X(c01_state_nobody_knows, version, ON(INITIATE_CONTACT), 1, 0xee, 4, false)                \
	X(c01_no_version_at_all, version, ON(INITIATE_CONTACT), 0, 0, 0, false)                    \
	X(c02_offer_of_relid_zero, offer, ON(REQUESTOFFERS), 0, 0, 9, true)                        \
	X(c02_offer_of_relid_2048, offer, ON(REQUESTOFFERS), 2048, 0, 9, true)                     \
	X(c02_offer_of_relid_all_ones, offer, ON(REQUESTOFFERS), UINT32_MAX, 0, 9, true)           \
	X(c02_offer_of_a_relid_in_use, offer, ON(REQUESTOFFERS), 1, 0, 9, true)                    \
	X(c02_offer_of_a_device_again, offer, ON(REQUESTOFFERS), 9, 0, 0, true)                    \
	X(c02_sub_channel_of_nothing, offer, ON(REQUESTOFFERS), 9, 1, 77, true)                    \
	X(c02_sub_channel_65535, offer, ON(REQUESTOFFERS), 9, 65535, 0, true)                      \
	X(c03_more_offers_than_relids, offers, ON(REQUESTOFFERS), 4000, 0, 0, true)                \
	X(c04_rescind_of_an_unknown_relid, stray, ON(GPADL_HEADER), 7, ON(RESCIND_CHANNELOFFER),   \
	  0, true)                                                                                 \
	X(c04_rescind_before_the_offers, stray, ON(REQUESTOFFERS), 1, ON(RESCIND_CHANNELOFFER), 0, \
	  true)                                                                                    \
	X(c04_rescind_for_a_gpadl, stray, ON(GPADL_HEADER), 1, ON(RESCIND_CHANNELOFFER), 1, false) \
	X(c04_rescind_for_an_open, stray, ON(OPENCHANNEL), 1, ON(RESCIND_CHANNELOFFER), 1, false)  \
	X(c04_rescind_for_a_close, stray, ON(CLOSECHANNEL), 1, ON(RESCIND_CHANNELOFFER), 1, true)  \
	X(c05_open_result_unasked, stray, ON(GPADL_HEADER), 1, ON(OPENCHANNEL_RESULT), 0, true)    \
	X(c05_gpadl_created_unasked, stray, ON(OPENCHANNEL), 1, ON(GPADL_CREATED), 0, true)        \
	X(c05_torndown_unasked, stray, ON(OPENCHANNEL), 0xe1e10, ON(GPADL_TORNDOWN), 0, true)      \
	X(c05_all_offers_again, stray, ON(OPENCHANNEL), 0, ON(ALLOFFERS_DELIVERED), 0, true)       \
	X(c05_version_again, stray, ON(OPENCHANNEL), 1, ON(VERSION_RESPONSE), 0, true)             \
	X(c05_gpadl_status_of_garbage, refusal, ON(GPADL_HEADER), 0xdeadbeef, 0, 0, false)         \
	X(c05_open_status_of_garbage, refusal, ON(OPENCHANNEL), 1, 0, 0, false)                    \
	X(c06_silence_to_contact, silence, ON(INITIATE_CONTACT), 0, 0, 0, false)                   \
	X(c06_silence_about_offers, silence, ON(REQUESTOFFERS), 0, 0, 0, false)                    \
	X(c06_silence_to_a_gpadl, silence, ON(GPADL_HEADER), 0, 0, 0, false)                       \
	X(c06_silence_to_an_open, silence, ON(OPENCHANNEL), 0, 0, 0, false)                        \
	X(c06_silence_to_a_teardown, silence, ON(GPADL_TEARDOWN), 0, 0, 0, true)                   \
	X(c06_silence_to_unload, silence, ON(UNLOAD), 0, 0, 0, true)                               \
	X(c29_slot_of_255_bytes, odd, ON(REQUESTOFFERS), ON(RESCIND_CHANNELOFFER) + 5, 255, 0,     \
	  true)                                                                                    \
	X(c29_type_all_ones, odd, ON(REQUESTOFFERS), UINT32_MAX, 240, 0, true)                     \
	X(c29_message_of_no_bytes, odd, ON(REQUESTOFFERS), ON(OFFERCHANNEL), 0, 0, true)           \
	X(c29_offer_cut, odd, ON(REQUESTOFFERS), ON(OFFERCHANNEL), 195, 0, true)                   \
	X(c29_message_of_a_timer, odd, ON(REQUESTOFFERS), 2, 24, HV_MESSAGE_TIMER, true)           \
	X(c30_every_flag, flags, ON(OPENCHANNEL), 0, 0, 0, true)

/* ---- lies of the controller's beginning -------------------------------------------------------
 */

/* What QUERY_PROPERTIES is answered with; 0: the truth. */
static struct vstor_properties props;

/* C14, C15: @a the longest transfer, @b how many channels, @c flags. */
static bool properties(const struct bus_lie *l, const union vmbus_msg *m)
{
	(void)m;
	props = (struct vstor_properties){ .max_channel_count = (uint16_t)l->b,
					   .flags = l->c,
					   .max_transfer_bytes = l->a };
	return false;
}

static bool lie_about_properties(struct mini_vsp *v, struct vmbus_chan *c, const struct vmpkt *pkt,
				 const struct vstor_packet *p)
{
	struct vstor_packet a = { .operation = VSTOR_OP_COMPLETE_IO };

	(void)v;
	if (!bus_lie || bus_lie->tell != properties || p->operation != VSTOR_OP_QUERY_PROPERTIES)
		return false;
	a.properties = props;
	mini_reply(c, pkt->trans_id, &a);
	return true;
}

#define PROP_LIES(X)                                                                               \
	X(c14_transfers_of_no_bytes, properties, ON(OPENCHANNEL), 0, 0, 0, false)                  \
	X(c14_transfers_of_one_byte, properties, ON(OPENCHANNEL), 1, 0, 0, false)                  \
	X(c14_transfers_of_4_gib, properties, ON(OPENCHANNEL), UINT32_MAX, 0, 0, true)             \
	X(c15_channels_65535, properties, ON(OPENCHANNEL), 65536, 65535, VSTOR_PROP_MULTI_CHANNEL, \
	  true)                                                                                    \
	X(c15_channels_without_the_flag, properties, ON(OPENCHANNEL), 65536, 65535, 0, true)

/* ---- the case of a bus lie ----------------------------------------------------------------------
 */

/*
 * Child, bus and controller one by one, since only so they take deadlines: for each answer until
 * a disk works, and at the end. 0: a disk works.
 */
static int use_a_disk(uint32_t timeout_ms, uint32_t end_ms)
{
	struct hv_child_config hc = { .memory = 8u << 20, .nr_vps = 4, .timeout_ms = LONG_MS };
	struct vmbus_client_config bc = { .timeout_ms = timeout_ms };
	struct storvsc_config sc = { .queues = 4, .depth = 8, .timeout_ms = LONG_MS };
	struct vmbus_client *bus;
	struct hv_child *child;
	uint8_t buf[4096] = { 0 };
	struct storvsc *s;
	char why[256];
	int err;

	ck_assert_int_eq(hv_child_connect(&child, evil_root_path(&r), &hc, why, sizeof(why)), 0);
	err = vmbus_client_connect(&bus, child, &bc);
	if (err)
		goto no_bus;
	err = storvsc_open(&s, bus, 0, &sc);
	if (err)
		goto no_disk;
	err = storvsc_read(s, 0, 0, buf, 8192, sizeof(buf));
	if (!err)
		ck_assert_mem_eq(buf, vsp.disk + 8192, sizeof(buf));
	bus->cfg.timeout_ms = end_ms; /* one thread, nothing under way */
	storvsc_close(s);
no_disk:
	vmbus_client_destroy(bus);
no_bus:
	hv_child_destroy(child);
	return err;
}

static void run_bus(const struct bus_lie *l)
{
	uint32_t ms = l->b == 65535			? BOTH_MS
		      : l->tell == silence && !l->opens ? SHORT_MS
							: LONG_MS;
	uint64_t from;
	int err;

	start();
	vsp.hook = lie_about_properties;
	evil_lock(&r);
	r.on_message = on_message;
	bus_lie = l;
	evil_unlock(&r);
	from = clock_ns();
	err = use_a_disk(ms, l->tell == silence ? SHORT_MS : LONG_MS);
	ck_assert_msg(!err == l->opens, "%s", strerror(-err));
	ck_assert_uint_lt(clock_ns() - from, LONG_MS * MS);
	evil_lock(&r);
	bus_lie = NULL; /* U9: the second time nobody lies */
	evil_unlock(&r);
	ck_assert_int_eq(use_a_disk(LONG_MS, LONG_MS), 0);
	evil_root_stop(&r);
	free(vsp.disk);
}

#define BUS_TEST(name, ...)                                                                        \
	START_TEST(name)                                                                           \
	{                                                                                          \
		run_bus(&(const struct bus_lie){ __VA_ARGS__ });                                   \
	}                                                                                          \
	END_TEST
#define LIE_TEST(name, ...)                                                                        \
	START_TEST(name)                                                                           \
	{                                                                                          \
		run(&(const struct lie){ __VA_ARGS__ });                                           \
	}                                                                                          \
	END_TEST
#define LIE_ADD(name, ...) tcase_add_test(tc, name);

LIES(LIE_TEST)
BUS_LIES(BUS_TEST)
PROP_LIES(BUS_TEST)

int main(void)
{
	Suite *s = suite_create("hostile root");
	TCase *tc = tcase_create("storage client");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	LIES(LIE_ADD)
	BUS_LIES(LIE_ADD)
	PROP_LIES(LIE_ADD)
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
