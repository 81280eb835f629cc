/* SPDX-License-Identifier: MIT */
/*
 * The network client against a root that lies, forgets, or dies. Names carry the ids of the hostile
 * cases (C). Whatever happens: no hang beyond the time limit, nothing outside the receive buffer
 * is handed out, every page given back at the end that the root has let go of.
 */
#include "base/clock.h"
#include "tests/ut/vsc/mini_netvsp.h"

static struct nmini vsp;
static struct netvsc *n;
static struct netvsc_rx rx[64];
static uint8_t frame[2000];

static const struct netvsc_config config = { .queues = 2,
					     .rx_bytes = 256u << 10,
					     .timeout_ms = 40 };

static void setup(void)
{
	nmini_init(&vsp, 2);
	for (uint32_t i = 0; i < sizeof(frame); i++)
		frame[i] = (uint8_t)(i * 3);
	ck_assert_int_eq(netvsc_open(&n, vsp.bus, 0, &config, NULL, 0), 0);
	nmini_work(&vsp);
	vsp.n_back = 0;
}

static void teardown(void)
{
	netvsc_close(n);
	nmini_fini(&vsp);
}

static struct netvsc_stats stats(void)
{
	struct netvsc_stats s;

	netvsc_stats(n, 0, &s);
	return s;
}

/* A good frame comes through. */
static void check_alive(void)
{
	nmini_deliver(&vsp, 0, frame, 60, NULL);
	ck_assert_int_eq(netvsc_rx(n, 0, rx, 64), 1);
	ck_assert_uint_eq(rx[0].len, 60);
	netvsc_rx_done(n, 0);
	ck_assert_int_eq(netvsc_failed(n), 0);
}

/* Nothing comes of what was sent, and it was given back with @status. */
static void check_dropped(uint32_t status)
{
	uint64_t bad = stats().rx_bad;

	ck_assert_int_eq(netvsc_rx(n, 0, rx, 64), 0);
	ck_assert_uint_eq(stats().rx_bad, bad + 1);
	nmini_work(&vsp);
	ck_assert_uint_eq(vsp.n_back, 1);
	ck_assert_uint_eq(vsp.back[0].status, status);
	vsp.n_back = 0;
	check_alive();
}

/* ---- receive buffer: C16 to C20 ---------------------------------------------------------- */

static uint32_t how;

static bool bad_receive_buffer(struct nmini *v, const struct vmpkt *pkt,
			       const struct nvsp_message *m)
{
	struct nvsp_message a = { .type = NVSP_SEND_RECEIVE_BUFFER_COMPLETE };
	struct nvsp_receive_buffer_complete *c = &a.receive_buffer_complete;

	if (m->type != NVSP_SEND_RECEIVE_BUFFER)
		return false;
	*c = (struct nvsp_receive_buffer_complete){ 1, 1, 0, 1806, 100, 180600 };
	switch (how) {
	case 0:
		c->status = NVSP_STATUS_FAIL;
		break;
	case 1:
		c->sections = 0;
		break;
	case 2:
		c->sections = 2;
		break;
	case 3:
		c->offset = 4096;
		break;
	case 4:
		c->size = 0;
		break;
	case 5:
		c->size = 67;
		break;
	case 6:
		c->count = 0;
		break;
	case 7:
		c->count = 146; /* one too many */
		break;
	case 8:
		c->size = c->count = 0x10001; /* their product is small in 32 bits */
		break;
	default:
		a.type = NVSP_SEND_SEND_BUFFER_COMPLETE;
	}
	nmini_complete(v, 0, pkt->trans_id, &a);
	return true;
}

START_TEST(c16_receive_buffer_that_makes_no_sense)
{
	char why[160] = "";

	nmini_init(&vsp, 1);
	vsp.nvsp = bad_receive_buffer;
	how = (uint32_t)_i;
	ck_assert_int_eq(netvsc_open(&n, vsp.bus, 0, &config, why, sizeof(why)),
			 how ? -EPROTO : -EIO);
	ck_assert_ptr_nonnull(strstr(why, "receive buffer"));
	nmini_fini(&vsp);
}
END_TEST

START_TEST(c17_send_buffer_that_makes_no_sense)
{
	static const uint32_t size[] = { 0, 1, 411, 414, (1u << 20) + 4, 0xfffffffc };
	char why[160] = "";

	nmini_init(&vsp, 1);
	vsp.section = size[_i];
	ck_assert_int_eq(netvsc_open(&n, vsp.bus, 0, &config, why, sizeof(why)), -EPROTO);
	ck_assert_ptr_nonnull(strstr(why, "send buffer"));
	nmini_fini(&vsp);
}
END_TEST

START_TEST(c18_ranges_outside_the_buffer)
{
	uint32_t all = n->rx_len;
	const struct vmpkt_xfer_range bad[] = {
		{ 1806, all },
		{ 1806, all - 1805 },
		{ 100, 0xfffffff0 },
		{ 0xfffffff0, 100 },
		{ 1807, 0 },
		{ 7, 0 },
		{ 0, 0 },
		{ 0xffffffff, 0xffffffff },
		{ 0x80000000, 0x80000000 },
	};

	nmini_put(&vsp, 0, frame, 60, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		nmini_ranges(&vsp, 0, 5, NVSP_DATA, &bad[i], 1);
		check_dropped(NVSP_STATUS_FAIL);
		vsp.n_back = 0;
		nmini_work(&vsp);
		vsp.n_back = 0;
	}
}
END_TEST

/* One bad range costs its frame, not those beside it. */
START_TEST(c18_a_bad_range_among_good_ones)
{
	struct vmpkt_xfer_range r[3];

	r[0] = nmini_put(&vsp, 20, frame, 60, NULL);
	r[1] = (struct vmpkt_xfer_range){ 1806, n->rx_len };
	r[2] = nmini_put(&vsp, 21, frame, 61, NULL);
	nmini_ranges(&vsp, 0, 20, NVSP_DATA, r, 3);
	ck_assert_int_eq(netvsc_rx(n, 0, rx, 64), 2);
	ck_assert_uint_eq(rx[1].len, 61);
	netvsc_rx_done(n, 0);
	nmini_work(&vsp);
	ck_assert_uint_eq(vsp.back[0].status, NVSP_STATUS_FAIL);
}
END_TEST

START_TEST(c18_another_page_set)
{
	struct nvsp_message m = { .type = _i ? NVSP_SEND_RNDIS_PACKET : NVSP_INIT };
	struct vmpkt_xfer_range r = nmini_put(&vsp, 20, frame, 60, NULL);

	vmbus_chan_send_xfer_pages(nmini_chan(&vsp, 0), VMPKT_FLAG_COMPLETION_REQUESTED, 20,
				   _i ? 0x1234 : NVSP_RX_BUFFER_ID, &r, 1, &m, NVSP_SIZE);
	vmbus_chan_flush(nmini_chan(&vsp, 0));
	check_dropped(NVSP_STATUS_FAIL);
}
END_TEST

/* Fields of the RNDIS header, and what is put into them. */
START_TEST(c19_rndis_headers_that_lie)
{
	static const struct {
		uint32_t field, value;
	} bad[] = {
		{ 4, 0 },	    { 4, 4 },		{ 4, 43 },  { 4, 0xffffffff },	{ 4, 400 },
		{ 8, 0xffffffff },  { 8, 35 },		{ 8, 309 }, { 8, 0xfffffff8 },	{ 12, 61 },
		{ 12, 0xffffffff }, { 12, 13 },		{ 12, 0 },  { 28, 0xffffffff }, { 28, 35 },
		{ 28, 300 },	    { 32, 0xffffffff }, { 32, 4 },  { 32, 300 },	{ 44, 0 },
		{ 44, 8 },	    { 44, 13 },		{ 44, 64 }, { 44, 0xfffffffc }, { 52, 17 },
		{ 52, 0xffffffff }, { 52, 4 },
	};
	struct nmini_info info = { .csum = true };
	struct vmpkt_xfer_range r;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		r = nmini_put(&vsp, 20, frame, 60, &info);
		memcpy(nmini_sub(&vsp, 20) + bad[i].field, &bad[i].value, 4);
		nmini_ranges(&vsp, 0, 20, NVSP_DATA, &r, 1);
		nmini_work(&vsp);
		vsp.n_back = 0;
		check_dropped(NVSP_STATUS_FAIL);
	}
}
END_TEST

/* As many elements as a message has room for: one pass, the first counts. */
START_TEST(c19_row_of_elements)
{
	struct rndis_info_u32 e = { { 16, RNDIS_INFO_8021Q, 12 }, 100 << 4 };
	struct rndis_info empty = { 12, 77, 12 };
	struct vmpkt_xfer_range r = nmini_put(&vsp, 20, frame, 60, NULL);
	uint8_t *msg = nmini_sub(&vsp, 20);
	uint32_t at = 44, length, offset = 36;

	for (; at + 16 <= 240; at += 16, e.value += 16)
		memcpy(msg + at, &e, sizeof(e));
	memcpy(msg + at, &empty, sizeof(empty));
	length = at + 12 - 44;
	memcpy(msg + 28, &offset, 4);
	memcpy(msg + 32, &length, 4);
	nmini_ranges(&vsp, 0, 20, NVSP_DATA, &r, 1);
	ck_assert_int_eq(netvsc_rx(n, 0, rx, 64), 1);
	ck_assert(rx[0].meta.tagged);
	ck_assert_uint_eq(rx[0].meta.vlan_tci, 100);
	netvsc_rx_done(n, 0);
}
END_TEST

static struct nmini_info piece(uint8_t flags)
{
	return (struct nmini_info){ .fragment = true, .fragment_v = 0x70001u | flags << 8 };
}

START_TEST(c19_fragments_in_disorder)
{
	static const struct {
		const char *flags; /* of each piece; '0' is a whole frame */
		int frames, bad;
	} c[] = {
		{ "5", 0, 1 },	 { "1", 0, 1 },	  { "3", 0, 1 },    { "31", 0, 1 },
		{ "335", 1, 1 }, { "305", 1, 2 }, { "3155", 1, 1 }, { "35355", 2, 1 },
		{ "115", 0, 3 }, { "7", 1, 0 },	  { "035", 2, 0 },  { "3510", 2, 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		struct vmpkt_xfer_range r[8];
		uint64_t bad = stats().rx_bad;
		uint32_t k, len = (uint32_t)strlen(c[i].flags);

		for (k = 0; k < len; k++) {
			struct nmini_info info = piece((uint8_t)(c[i].flags[k] - '0'));

			r[k] = nmini_put(&vsp, 20 + k, frame, 100,
					 c[i].flags[k] == '0' ? NULL : &info);
		}
		nmini_ranges(&vsp, 0, 20, NVSP_DATA, r, len);
		ck_assert_msg(netvsc_rx(n, 0, rx, 64) == c[i].frames, "%s", c[i].flags);
		ck_assert_msg(stats().rx_bad == bad + (uint64_t)c[i].bad, "%s", c[i].flags);
		netvsc_rx_done(n, 0);
	}
	check_alive();
}
END_TEST

/* More pieces than there is room for, more bytes than a frame has, a version from the future. */
START_TEST(c19_fragments_without_end)
{
	static struct vmpkt_xfer_range r[562];
	struct nmini_info info = piece(3);

	r[0] = nmini_put(&vsp, 20, frame, 1514, &info);
	info = piece(1);
	r[1] = nmini_put(&vsp, 21, frame, _i == 1 ? 1514 : 1, &info);
	for (uint32_t i = 2; i < 561; i++)
		r[i] = r[1];
	info = piece(5);
	r[561] = nmini_put(&vsp, 22, frame, 100, &info);
	if (_i == 2) { /* in the middle */
		info = piece(1);
		info.fragment_v++;
		r[1] = nmini_put(&vsp, 23, frame, 10, &info);
		r[2] = r[561];
	}
	nmini_ranges(&vsp, 0, 20, NVSP_DATA, r, _i == 2 ? 3 : 562);
	check_dropped(NVSP_STATUS_FAIL);
}
END_TEST

/* What is decided on is the copy: the frame stays inside whatever the header says later. */
START_TEST(c20_header_changes_afterwards)
{
	uint32_t lie = 0x10000;

	nmini_deliver(&vsp, 0, frame, 60, NULL);
	ck_assert_int_eq(netvsc_rx(n, 0, rx, 64), 1);
	memcpy(nmini_sub(&vsp, 16) + 12, &lie, 4);
	ck_assert_uint_eq(rx[0].iov[0].iov_len, 60);
	ck_assert_ptr_eq(rx[0].iov[0].iov_base, n->rx + 16 * vsp.suballoc + NVSP_RX_HEADROOM);
	netvsc_rx_done(n, 0);
}
END_TEST

/* ---- answers: C08, C21 to C24 --------------------------------------------------------------- */

START_TEST(c08_completions_of_nothing)
{
	struct nvsp_message ok = { .type = NVSP_SEND_RNDIS_PACKET_COMPLETE,
				   .rndis_complete = { NVSP_STATUS_SUCCESS } };
	struct netvsc_tx tx;
	uint64_t id, bad[] = { 0,
			       1,
			       2,
			       0x100000000ull,
			       0x100000002ull,
			       0x200000001ull,
			       UINT64_MAX,
			       0xfffffffffffffffdull,
			       0x7fff12345678ull,
			       1ull << 32 | 85,
			       1ull << 32 | 86 };

	vsp.mute = true;
	ck_assert_int_eq(netvsc_tx_begin(n, 0, &tx), 0);
	memcpy(tx.iov[0].iov_base, frame, 60);
	ck_assert_int_eq(netvsc_tx_commit(n, 0, &tx, 60, NULL), 0);
	netvsc_tx_flush(n, 0);
	nmini_work(&vsp);
	id = vsp.data[0].id;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (bad[i] != id)
			nmini_complete(&vsp, 0, bad[i], &ok);
	vmbus_chan_flush(nmini_chan(&vsp, 0));
	ck_assert_int_eq(netvsc_rx(n, 0, rx, 64), 0);
	ck_assert_uint_eq(netvsc_tx_pending(n, 0), 1);
	ck_assert_uint_eq(stats().ignored, ARRAY_SIZE(bad));
	nmini_complete(&vsp, 0, id, &ok);
	nmini_complete(&vsp, 0, id, &ok); /* twice: the second is not ours any more */
	vmbus_chan_flush(nmini_chan(&vsp, 0));
	ck_assert_int_eq(netvsc_rx(n, 0, rx, 64), 0);
	ck_assert_uint_eq(netvsc_tx_pending(n, 0), 0);
	ck_assert_uint_eq(stats().ignored, ARRAY_SIZE(bad) + 1);
	vsp.mute = false;
	check_alive();
}
END_TEST

/* Answers to nobody, of the wrong kind, too short, too long; the right one still counts. */
static bool lie_first(struct nmini *v, const uint8_t *msg, uint32_t len)
{
	struct vmpkt_xfer_range r = { 1700, 0 };
	struct rndis_set_complete a = { RNDIS_SET | RNDIS_COMPLETION, 16, 0, 0 };
	uint32_t i;

	(void)len;
	memcpy(&a.request, msg + 8, 4);
	for (i = 0; i < 5; i++) {
		struct rndis_set_complete lie = a;

		if (i == 0)
			lie.request++;
		else if (i == 1)
			lie.type = RNDIS_QUERY | RNDIS_COMPLETION;
		else if (i == 2)
			lie.length = 15;
		else if (i == 3)
			lie.length = 0xffffffff;
		else
			lie.type = 77;
		memcpy(nmini_sub(v, i), &lie, sizeof(lie));
		r.byte_count = 16;
		r.byte_offset = i * v->suballoc;
		nmini_ranges(v, 0, i, NVSP_CONTROL, &r, 1);
	}
	memcpy(nmini_sub(v, 5), &a, sizeof(a));
	r.byte_offset = 5 * v->suballoc;
	nmini_ranges(v, 0, 5, NVSP_CONTROL, &r, 1);
	nmini_ranges(v, 0, 5, NVSP_CONTROL, &r, 1); /* and once more */
	return true;
}

START_TEST(c21_control_answers_to_nothing)
{
	uint64_t ignored = stats().ignored;

	vsp.rndis = lie_first;
	ck_assert_int_eq(netvsc_up(n, true), 0);
	vsp.rndis = NULL;
	ck_assert_uint_ge(stats().ignored, ignored + 5);
	ck_assert_int_eq(netvsc_up(n, false), 0);
	check_alive();
}
END_TEST

static bool no_rndis_answer(struct nmini *v, const uint8_t *msg, uint32_t len)
{
	(void)v;
	(void)len;
	return msg[0] != RNDIS_HALT;
}

static bool bad_query(struct nmini *v, const uint8_t *msg, uint32_t len)
{
	struct rndis_query_complete a = { RNDIS_QUERY | RNDIS_COMPLETION, 28, 0, 0, 4, 16 };
	uint8_t out[32] = { 0 };

	(void)len;
	if (msg[0] != RNDIS_QUERY || memcmp(msg + 12, "\6\1\1", 3))
		return false;
	memcpy(&a.request, msg + 8, 4);
	switch (how) {
	case 0:
		a.info_offset = 0xfffffff8;
		break;
	case 1:
		a.info_offset = 21;
		break;
	case 2:
		a.info_length = 5;
		break;
	case 3:
		a.info_length = 0xffffffff;
		break;
	case 4:
		a.info_length = 0;
		break;
	case 5:
		a.length = 20;
		break;
	default:
		a.status = RNDIS_STATUS_NOT_SUPPORTED;
	}
	memcpy(out, &a, sizeof(a));
	memcpy(out + sizeof(a), "\xdc\5", 2);
	nmini_say(v, out, 28);
	return true;
}

START_TEST(c21_answers_whose_data_is_elsewhere)
{
	char why[160] = "";
	int err;

	nmini_init(&vsp, 1);
	vsp.rndis = bad_query;
	how = (uint32_t)_i;
	err = netvsc_open(&n, vsp.bus, 0, &config, why, sizeof(why));
	ck_assert_int_eq(err, _i == 6 ? -EIO : -EPROTO);
	ck_assert_ptr_nonnull(strstr(why, "how long frames"));
	nmini_fini(&vsp);
}
END_TEST

START_TEST(c22_send_tables_that_make_no_sense)
{
	static const struct {
		uint32_t count, offset, len;
	} bad[] = { { 15, 12, 76 },	    { 128, 12, 76 }, { 16, 11, 76 }, { 16, 13, 76 },
		    { 16, 0xfffffff0, 76 }, { 16, 12, 72 },  { 0, 12, 76 },  { 16, 77, 76 } };
	uint8_t msg[128] = { 0 };
	uint64_t ignored = stats().ignored;

	memset(msg + 12, 1, 64);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		uint32_t h[3] = { NVSP_SEND_INDIRECTION_TABLE, bad[i].count, bad[i].offset };

		memcpy(msg, h, sizeof(h));
		vmbus_chan_send(nmini_chan(&vsp, 0), 0, 0, msg, bad[i].len);
	}
	vmbus_chan_flush(nmini_chan(&vsp, 0));
	ck_assert_int_eq(netvsc_rx(n, 0, rx, 64), 0);
	/* 13 + 64 fits into the 80 bytes that 76 are on the ring. */
	ck_assert_uint_eq(stats().ignored, ignored + ARRAY_SIZE(bad) - 1);
	for (uint32_t i = 0; i < 64; i++)
		ck_assert_uint_lt(netvsc_tx_queue(n, i), 2);
}
END_TEST

START_TEST(c23_messages_nobody_asked_for)
{
	static const uint32_t types[] = { NVSP_SEND_VF_ASSOCIATION,
					  NVSP_SWITCH_DATA_PATH,
					  NVSP_UPLINK_CONNECT_STATE,
					  NVSP_PD_POST_BATCH,
					  200,
					  0 };
	uint64_t ignored = stats().ignored;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct nvsp_message m = { .type = types[i], .vf_association = { 1, 2 } };

		vmbus_chan_send(nmini_chan(&vsp, 0), VMPKT_FLAG_COMPLETION_REQUESTED, 0, &m,
				i % 2 ? NVSP_SIZE : 4);
	}
	vmbus_chan_flush(nmini_chan(&vsp, 0));
	ck_assert_int_eq(netvsc_rx(n, 0, rx, 64), 0);
	ck_assert_uint_eq(stats().ignored, ignored + ARRAY_SIZE(types));
	check_alive();
}
END_TEST

/* A root that takes nothing back gets a bounded row of completions, and no more is received. */
START_TEST(c24_root_that_reads_nothing)
{
	struct vmpkt_xfer_range r = nmini_put(&vsp, 20, frame, 60, NULL);
	int got, frames = 0, idle = 0;

	while (idle < 3) {
		for (int i = 0; i < 50; i++)
			if (vmbus_chan_send_room(nmini_chan(&vsp, 0)) > 200)
				nmini_ranges(&vsp, 0, 20, NVSP_DATA, &r, 1);
		got = netvsc_rx(n, 0, rx, 64);
		ck_assert_int_ge(got, 0);
		netvsc_rx_done(n, 0);
		frames += got;
		idle = got ? 0 : idle + 1;
		ck_assert_int_lt(frames, 100000);
	}
	ck_assert_uint_eq(n->queue[0].nr_done, NV_DONE);
	ck_assert_int_gt(frames, 1000);
	nmini_work(&vsp); /* now it does */
	ck_assert_int_gt(netvsc_rx(n, 0, rx, 64), 0);
	netvsc_rx_done(n, 0);
	ck_assert_uint_lt(n->queue[0].nr_done, NV_DONE);
}
END_TEST

/* ---- silence and death: C06, C07 ---------------------------------------------------------------
 */

static uint32_t silent_from;

static bool fall_silent(struct nmini *v, const struct vmpkt *pkt, const struct nvsp_message *m)
{
	(void)v;
	(void)pkt;
	(void)m;
	return silent_from ? silent_from--, false : true;
}

START_TEST(c06_every_wait_ends)
{
	uint64_t start = clock_ns();
	int err;

	nmini_init(&vsp, 2);
	vsp.nvsp = fall_silent;
	silent_from = (uint32_t)_i;
	err = netvsc_open(&n, vsp.bus, 0, &config, NULL, 0);
	ck_assert_int_eq(err, -ETIMEDOUT);
	ck_assert_uint_lt(clock_ns() - start, 5000000000ull);
	nmini_fini(&vsp);
}
END_TEST

START_TEST(c06_no_answer_to_a_setting)
{
	vsp.rndis = no_rndis_answer;
	ck_assert_int_eq(netvsc_up(n, true), -ETIMEDOUT);
	vsp.rndis = NULL;
	ck_assert_int_eq(netvsc_up(n, true), 0);
	check_alive();
}
END_TEST

START_TEST(c07_corrupt_ring)
{
	const struct hv_gpa_view *v = fake_client_host_out(vsp.bus, 0);
	uint32_t nonsense = 0x7ffffff9;

	memcpy(v->ctrl, &nonsense, sizeof(nonsense)); /* the write index */
	ck_assert_int_eq(netvsc_rx(n, 0, rx, 64), -EIO);
	ck_assert_int_eq(netvsc_failed(n), -EIO);
	ck_assert_str_ne(netvsc_why(n), "");
	ck_assert(!netvsc_link(n));
	ck_assert_int_eq(netvsc_up(n, true), -EIO);
	ck_assert_int_eq(netvsc_wait(n, 1, UINT64_MAX), -EIO);
}
END_TEST

START_TEST(root_dies)
{
	struct netvsc_tx tx;

	fake_client_kill_root(vsp.bus);
	ck_assert_int_eq(netvsc_wait(n, 1, UINT64_MAX), -ECONNRESET);
	ck_assert_int_eq(netvsc_rx(n, 0, rx, 64), -ECONNRESET);
	ck_assert_int_eq(netvsc_tx_begin(n, 0, &tx), -ECONNRESET);
	ck_assert_int_eq(netvsc_up(n, false), -ECONNRESET);
	ck_assert_str_eq(netvsc_why(n), "the root is gone");
	ck_assert(!netvsc_arm(n, 0));
}
END_TEST

START_TEST(adapter_is_taken_away)
{
	fake_client_rescind(vsp.bus);
	ck_assert_int_eq(netvsc_wait(n, 0, UINT64_MAX), -ENOENT);
	ck_assert_int_eq(netvsc_failed(n), -ENOENT);
}
END_TEST

/* Busy as it is, a queue notices. */
START_TEST(root_dies_while_nobody_sleeps)
{
	int err = 0;

	fake_client_kill_root(vsp.bus);
	for (uint32_t i = 0; i <= NV_ALIVE && !err; i++)
		err = netvsc_rx(n, 0, rx, 64);
	ck_assert_int_eq(err, -ECONNRESET);
}
END_TEST

/* Pages that the root has not let go of are left alone. */
START_TEST(buffers_that_the_root_keeps)
{
	uint32_t pages = (config.rx_bytes + (1u << 20)) / 4096;

	setup();
	fake_client_keep_gpadls(vsp.bus);
	netvsc_close(n);
	ck_assert_uint_eq(fake_client_counts(vsp.bus)->pages_used, pages);
	fake_client_destroy(vsp.bus);
}
END_TEST

START_TEST(buffers_that_the_root_refuses)
{
	static const int errs[] = { -EIO, -ETIMEDOUT };

	nmini_init(&vsp, 1);
	fake_client_fail_gpadl(vsp.bus, errs[_i]);
	ck_assert_int_eq(netvsc_open(&n, vsp.bus, 0, &config, NULL, 0), errs[_i]);
	ck_assert_uint_eq(fake_client_counts(vsp.bus)->pages_used, _i ? config.rx_bytes / 4096 : 0);
	fake_client_destroy(vsp.bus);
}
END_TEST

START_TEST(sub_channels_that_never_come)
{
	struct netvsc_info i;

	nmini_init(&vsp, 2);
	fake_client_offer_subs(vsp.bus, 0);
	ck_assert_int_eq(netvsc_open(&n, vsp.bus, 0, &config, NULL, 0), 0);
	netvsc_info(n, &i);
	ck_assert_uint_eq(i.queues, 1);
	teardown();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("netvsc, hostile root");
	TCase *alone = tcase_create("alone"), *tc = tcase_create("adapter");
	SRunner *sr;
	int failed;

	tcase_set_timeout(alone, 60);
	tcase_add_loop_test(alone, c16_receive_buffer_that_makes_no_sense, 0, 10);
	tcase_add_loop_test(alone, c17_send_buffer_that_makes_no_sense, 0, 6);
	tcase_add_loop_test(alone, c21_answers_whose_data_is_elsewhere, 0, 7);
	tcase_add_loop_test(alone, c06_every_wait_ends, 0, 6);
	tcase_add_loop_test(alone, buffers_that_the_root_refuses, 0, 2);
	tcase_add_test(alone, sub_channels_that_never_come);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, c18_ranges_outside_the_buffer);
	tcase_add_test(tc, c18_a_bad_range_among_good_ones);
	tcase_add_loop_test(tc, c18_another_page_set, 0, 2);
	tcase_add_test(tc, c19_rndis_headers_that_lie);
	tcase_add_test(tc, c19_row_of_elements);
	tcase_add_test(tc, c19_fragments_in_disorder);
	tcase_add_loop_test(tc, c19_fragments_without_end, 0, 3);
	tcase_add_test(tc, c20_header_changes_afterwards);
	tcase_add_test(tc, c08_completions_of_nothing);
	tcase_add_test(tc, c21_control_answers_to_nothing);
	tcase_add_test(tc, c22_send_tables_that_make_no_sense);
	tcase_add_test(tc, c23_messages_nobody_asked_for);
	tcase_add_test(tc, c24_root_that_reads_nothing);
	tcase_add_test(tc, c06_no_answer_to_a_setting);
	tcase_add_test(tc, c07_corrupt_ring);
	tcase_add_test(tc, root_dies);
	tcase_add_test(tc, adapter_is_taken_away);
	tcase_add_test(tc, root_dies_while_nobody_sleeps);
	tcase_add_test(alone, buffers_that_the_root_keeps);
	suite_add_tcase(suite, alone);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
