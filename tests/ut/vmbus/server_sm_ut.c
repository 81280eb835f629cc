/* SPDX-License-Identifier: MIT */
/*
 * Every cell of the three tables of spec: vmbus, section 12: what comes out, where it
 * goes, whether it counts as illegal. One GPADL called 10 exists on relid 1 where the state
 * allows it.
 */
#include "tests/ut/vmbus/sm_world.h"

/* ---- 12.2: channel x event ------------------------------------------------------------- */

enum state { R, F, O, P, C, CR, V, VR, OR, CRL, VO, VC, NR_STATES }; /* VO, VC: V, device busy */
static const char *const state_name[] = { "R", "F",  "O",  "P",	  "C",	"CR",
					  "V", "VR", "OR", "CRL", "VO", "VC" };

static struct vmbus_sm_chan *chan; /* the channel of relid 1 */
static struct vmbus_sm_chan *twin; /* VR: the one that waits */

static void chan_release(void)
{
	g_relid(VMBUS_MSG_RELID_RELEASED, 1);
}

static void chan_open(void)
{
	g_open(1, 10);
	w_answer(VMBUS_SM_OPEN, 0);
}

static void chan_close(void)
{
	chan_open();
	g_relid(VMBUS_MSG_CLOSECHANNEL, 1);
}

static void chan_revoke(void)
{
	w_revoke(chan);
}

static void chan_up(enum state st)
{
	w_up();
	w.hold_device = true;
	chan = w_offer(0);
	twin = NULL;
	w_connect(VMBUS_V5_3);
	g_gpadl(1, 10);
	switch (st) {
	case R:
		chan_release();
		break;
	case F:
	case NR_STATES:
		break;
	case O:
		g_open(1, 10);
		break;
	case P:
		chan_open();
		break;
	case C:
		chan_close();
		break;
	case CR:
		chan_close();
		g_open(1, 10);
		break;
	case V:
		chan_revoke();
		break;
	case VR:
		chan_revoke();
		twin = w_offer(0);
		break;
	case OR:
		g_open(1, 10);
		g_header_only(VMBUS_MSG_UNLOAD);
		break;
	case CRL:
		chan_close();
		chan_release();
		break;
	case VO:
		g_open(1, 10);
		chan_revoke();
		break;
	case VC:
		chan_close();
		chan_revoke();
		break;
	}
	w_forget();
}

enum event { OPEN, OPENED, FAILED, CLOSE, CLOSED, MODIFY, RELEASE, REVOKE, OFFER };

static void fire(enum event ev)
{
	struct vmbus_sm_chan *again;

	switch (ev) {
	case OPEN:
		g_open_full(1, 7, 10, 0, 4);
		break;
	case OPENED:
		ck_assert(w_answer(VMBUS_SM_OPEN, 0));
		break;
	case FAILED:
		ck_assert(w_answer(VMBUS_SM_OPEN, -EIO));
		break;
	case CLOSE:
		g_relid(VMBUS_MSG_CLOSECHANNEL, 1);
		break;
	case CLOSED:
		ck_assert(w_answer(VMBUS_SM_CLOSE, 0));
		break;
	case MODIFY:
		g_modify(1, 3);
		w_answer(VMBUS_SM_MODIFY, 0);
		break;
	case RELEASE:
		chan_release();
		break;
	case REVOKE:
		w_revoke(twin ? twin : chan);
		break;
	case OFFER:
		if (w_try_offer(0, &again))
			w_log("refused");
		break;
	}
}

#define GONE CH_STATES

/* The state of the channel that was relid 1, or GONE. */
static enum vmsm_chan_state now(void)
{
	const struct vmbus_sm_chan *ch;

	TAILQ_FOREACH(ch, &w.sm->chans, link)
	{
		if (ch == chan)
			return ch->state;
	}
	return GONE;
}

static const struct {
	enum event ev;
	enum state from;
	const char *said;
	enum vmsm_chan_state to;
	uint32_t dropped;
} chan_cells[] = {
	{ OPEN, R, "result 1 7 fail", CH_RELEASED, 1 },
	{ OPEN, F, "open!", CH_OPENING, 0 },
	{ OPEN, O, "", CH_OPENING, 1 },
	{ OPEN, P, "result 1 7 fail", CH_OPEN, 1 },
	{ OPEN, C, "", CH_REOPEN, 0 },
	{ OPEN, CR, "", CH_REOPEN, 1 },
	{ OPEN, V, "", CH_REVOKED, 0 },
	{ OPEN, VR, "", CH_REVOKED, 0 },
	{ OPEN, OR, "", CH_RELEASED, 1 },
	{ OPEN, CRL, "result 1 7 fail", CH_RELEASED, 1 },
	{ OPEN, VO, "", CH_REVOKED, 0 },
	{ OPEN, VC, "", CH_REVOKED, 0 },

	{ OPENED, O, "result 1 1 ok", CH_OPEN, 0 },
	{ OPENED, OR, "close!", CH_RELEASED, 0 },
	{ OPENED, VO, "close!", CH_REVOKED, 0 },

	{ FAILED, O, "result 1 1 fail", CH_OFFERED, 0 },
	{ FAILED, OR, "unmap!, unloaded", CH_RELEASED, 0 },
	{ FAILED, VO, "detached!", CH_REVOKED, 0 },

	{ CLOSE, R, "", CH_RELEASED, 1 },
	{ CLOSE, F, "", CH_OFFERED, 1 },
	{ CLOSE, O, "", CH_OPENING, 1 },
	{ CLOSE, P, "close!", CH_CLOSING, 0 },
	{ CLOSE, C, "", CH_CLOSING, 1 },
	{ CLOSE, CR, "", CH_REOPEN, 1 },
	{ CLOSE, V, "", CH_REVOKED, 0 },
	{ CLOSE, VR, "", CH_REVOKED, 0 },
	{ CLOSE, OR, "", CH_RELEASED, 1 },
	{ CLOSE, CRL, "", CH_RELEASED, 1 },
	{ CLOSE, VO, "", CH_REVOKED, 0 },
	{ CLOSE, VC, "", CH_REVOKED, 0 },

	{ CLOSED, C, "", CH_OFFERED, 0 },
	{ CLOSED, CR, "open!", CH_OPENING, 0 },
	{ CLOSED, CRL, "unmap!", CH_RELEASED, 0 },
	{ CLOSED, VC, "detached!", CH_REVOKED, 0 },

	{ MODIFY, R, "modified 1 fail", CH_RELEASED, 1 },
	{ MODIFY, F, "modified 1 fail", CH_OFFERED, 1 },
	{ MODIFY, O, "modified 1 fail", CH_OPENING, 1 },
	{ MODIFY, P, "modify!, modified 1 ok", CH_OPEN, 0 },
	{ MODIFY, C, "modified 1 fail", CH_CLOSING, 1 },
	{ MODIFY, CR, "modified 1 fail", CH_REOPEN, 1 },
	{ MODIFY, V, "modified 1 fail", CH_REVOKED, 1 },
	{ MODIFY, VR, "modified 1 fail", CH_REVOKED, 1 },
	{ MODIFY, OR, "", CH_RELEASED, 1 },
	{ MODIFY, CRL, "modified 1 fail", CH_RELEASED, 1 },
	{ MODIFY, VO, "modified 1 fail", CH_REVOKED, 1 },
	{ MODIFY, VC, "modified 1 fail", CH_REVOKED, 1 },

	{ RELEASE, R, "", CH_RELEASED, 1 },
	{ RELEASE, F, "unmap!", CH_RELEASED, 0 },
	{ RELEASE, O, "", CH_OPENING, 1 },
	{ RELEASE, P, "", CH_OPEN, 1 },
	{ RELEASE, C, "", CH_RELEASED, 0 },
	{ RELEASE, CR, "", CH_REOPEN, 1 },
	{ RELEASE, V, "unmap!", GONE, 0 },
	{ RELEASE, VR, "unmap!, offer 1", GONE, 0 },
	{ RELEASE, OR, "", CH_RELEASED, 1 },
	{ RELEASE, CRL, "", CH_RELEASED, 1 },
	{ RELEASE, VO, "", CH_RELEASED, 0 },
	{ RELEASE, VC, "", CH_RELEASED, 0 },

	{ REVOKE, R, "detached!", GONE, 0 },
	{ REVOKE, F, "detached!, rescind 1", CH_REVOKED, 0 },
	{ REVOKE, O, "rescind 1", CH_REVOKED, 0 },
	{ REVOKE, P, "close!, rescind 1", CH_REVOKED, 0 },
	{ REVOKE, C, "rescind 1", CH_REVOKED, 0 },
	{ REVOKE, CR, "rescind 1", CH_REVOKED, 0 },
	{ REVOKE, V, "", CH_REVOKED, 0 },
	{ REVOKE, VR, "detached!", CH_REVOKED, 0 }, /* the twin's */
	{ REVOKE, OR, "", CH_RELEASED, 0 },
	{ REVOKE, CRL, "", CH_RELEASED, 0 },
	{ REVOKE, VO, "", CH_REVOKED, 0 },
	{ REVOKE, VC, "", CH_REVOKED, 0 },

	{ OFFER, R, "refused", CH_RELEASED, 0 },
	{ OFFER, F, "refused", CH_OFFERED, 0 },
	{ OFFER, O, "refused", CH_OPENING, 0 },
	{ OFFER, P, "refused", CH_OPEN, 0 },
	{ OFFER, C, "refused", CH_CLOSING, 0 },
	{ OFFER, CR, "refused", CH_REOPEN, 0 },
	{ OFFER, V, "", CH_REVOKED, 0 },
	{ OFFER, VR, "refused", CH_REVOKED, 0 },
	{ OFFER, OR, "refused", CH_RELEASED, 0 },
	{ OFFER, CRL, "refused", CH_RELEASED, 0 },
	{ OFFER, VO, "", CH_REVOKED, 0 },
	{ OFFER, VC, "", CH_REVOKED, 0 },
};

START_TEST(channel_table)
{
	static const char *const ev_name[] = { "OPEN",	 "opened",  "failed", "CLOSE", "closed",
					       "MODIFY", "RELEASE", "revoke", "offer" };

	for (size_t i = 0; i < ARRAY_SIZE(chan_cells); i++) {
		enum state from = chan_cells[i].from;
		enum event ev = chan_cells[i].ev;
		uint64_t before;
		const char *said;

		chan_up(from);
		before = w.sm->dropped;
		fire(ev);
		said = w_said();
		ck_assert_msg(!strcmp(said, chan_cells[i].said), "%s in %s: \"%s\", not \"%s\"",
			      ev_name[ev], state_name[from], said, chan_cells[i].said);
		ck_assert_msg(now() == chan_cells[i].to, "%s in %s: to %d, not %d", ev_name[ev],
			      state_name[from], now(), chan_cells[i].to);
		ck_assert_msg(w.sm->dropped - before == chan_cells[i].dropped, "%s in %s: count",
			      ev_name[ev], state_name[from]);
		w_down();
	}
}
END_TEST

/* ---- 12.1: connection x message ----------------------------------------------------------- */

enum conn { D, CN, CO, X, XR, XC }; /* CN: offers not asked for; XR: reset; XC: reconnecting */

static void conn_up(enum conn c)
{
	w_up();
	w.hold_device = true;
	chan = w_offer(0);
	if (c == CN)
		g_contact(VMBUS_V5_3);
	if (c >= CO)
		w_connect(VMBUS_V5_3);
	if (c >= X) {
		g_gpadl(1, 10);
		chan_open();
	}
	if (c == X)
		g_header_only(VMBUS_MSG_UNLOAD);
	if (c == XR)
		w_reset();
	if (c == XC)
		g_contact(VMBUS_V4_0);
	w_forget();
}

#define CONTACT VMBUS_MSG_INITIATE_CONTACT
#define RESET	1000u

static const struct {
	enum conn from;
	uint32_t msg;
	const char *said;
	const char *then; /* once the device has closed */
	uint32_t dropped;
} conn_cells[] = {
	{ D, CONTACT, "version 1.0", "", 0 },
	{ D, VMBUS_MSG_UNLOAD, "", "", 1 },
	{ D, VMBUS_MSG_REQUESTOFFERS, "", "", 1 },
	{ D, VMBUS_MSG_TL_CONNECT_REQUEST, "", "", 1 },
	{ D, RESET, "reset!", "", 0 },

	{ CN, CONTACT, "version 1.0", "", 0 },
	{ CN, VMBUS_MSG_UNLOAD, "unloaded", "", 0 },
	{ CN, VMBUS_MSG_REQUESTOFFERS, "offer 1, all", "", 0 },
	{ CN, VMBUS_MSG_TL_CONNECT_REQUEST, "tl c0000236", "", 1 },
	{ CN, RESET, "reset!", "", 0 },

	{ CO, CONTACT, "version 1.0", "", 0 },
	{ CO, VMBUS_MSG_UNLOAD, "unloaded", "", 0 },
	{ CO, VMBUS_MSG_REQUESTOFFERS, "", "", 1 },
	{ CO, VMBUS_MSG_TL_CONNECT_REQUEST, "tl c0000236", "", 1 },
	{ CO, RESET, "reset!", "", 0 },

	/* Section 3.4, rule 1: the latest of INITIATE_CONTACT and UNLOAD wins. */
	{ X, CONTACT, "", "unmap!, version 1.0", 0 },
	{ X, VMBUS_MSG_UNLOAD, "", "unmap!, unloaded", 0 },
	{ X, VMBUS_MSG_REQUESTOFFERS, "", "unmap!, unloaded", 1 },
	{ X, VMBUS_MSG_TL_CONNECT_REQUEST, "", "unmap!, unloaded", 1 },
	{ X, RESET, "", "unmap!, reset!", 0 },

	{ XR, CONTACT, "", "unmap!, reset!, version 1.0", 0 },
	{ XR, VMBUS_MSG_UNLOAD, "", "unmap!, reset!", 1 },
	{ XR, VMBUS_MSG_REQUESTOFFERS, "", "unmap!, reset!", 1 },
	{ XR, VMBUS_MSG_TL_CONNECT_REQUEST, "", "unmap!, reset!", 1 },
	{ XR, RESET, "", "unmap!, reset!", 0 },

	{ XC, CONTACT, "", "unmap!, version 1.0", 0 },
	{ XC, VMBUS_MSG_UNLOAD, "", "unmap!, unloaded", 0 },
	{ XC, VMBUS_MSG_REQUESTOFFERS, "", "unmap!, version 1.0", 1 },
	{ XC, VMBUS_MSG_TL_CONNECT_REQUEST, "", "unmap!, version 1.0", 1 },
	{ XC, RESET, "", "unmap!, reset!", 0 },
};

static void say(uint32_t msg)
{
	if (msg == RESET)
		w_reset();
	else if (msg == CONTACT)
		g_contact(VMBUS_V5_3);
	else
		g_header_only((enum vmbus_msg_type)msg);
}

START_TEST(connection_table)
{
	for (size_t i = 0; i < ARRAY_SIZE(conn_cells); i++) {
		const char *name = vmbus_msg_name(conn_cells[i].msg), *said;
		uint64_t before;

		conn_up(conn_cells[i].from);
		before = w.sm->dropped;
		if (conn_cells[i].msg == VMBUS_MSG_TL_CONNECT_REQUEST) {
			union vmbus_msg m;

			w_post(&m, vmbus_msg_init(&m, VMBUS_MSG_TL_CONNECT_REQUEST));
		} else {
			say(conn_cells[i].msg);
		}
		said = w_said();
		ck_assert_msg(!strcmp(said, conn_cells[i].said), "%s in %d: \"%s\"", name,
			      conn_cells[i].from, said);
		w_answer(VMBUS_SM_CLOSE, 0);
		said = w_said();
		ck_assert_msg(!strcmp(said, conn_cells[i].then), "%s in %d, then: \"%s\"", name,
			      conn_cells[i].from, said);
		W_DROPPED(before, conn_cells[i].dropped);
		w_down();
	}
}
END_TEST

/* Channel messages, wrong direction, unknown: dropped without a word but in C. */
START_TEST(connection_table_everything_else)
{
	static const enum conn silent[] = { D, X, XR, XC };

	for (uint32_t type = 0; type < 40; type++) {
		for (size_t i = 0; i < ARRAY_SIZE(silent); i++) {
			union vmbus_msg m = { .hdr.type = type };
			uint64_t before;

			if (type == CONTACT || type == VMBUS_MSG_UNLOAD)
				continue;
			conn_up(silent[i]);
			before = w.sm->dropped;
			ck_assert_int_eq(w_post(&m, sizeof(m)), 0);
			ck_assert_str_eq(w_said(), "");
			W_DROPPED(before, 1);
			w_down();
		}
	}
}
END_TEST

START_TEST(connected_drops_what_only_the_host_says)
{
	for (uint32_t type = 0; type < 300; type++) {
		union vmbus_msg m = { .hdr.type = type };
		enum vmbus_msg_fault f;
		uint64_t before;

		conn_up(CO);
		before = w.sm->dropped;
		f = vmbus_msg_check(VMBUS_FROM_GUEST, VMBUS_V5_3, &m, sizeof(m));
		if (f) {
			ck_assert_int_eq(w_post(&m, sizeof(m)), 0);
			ck_assert_str_eq(w_said(), "");
			W_DROPPED(before, 1);
			ck_assert_str_eq(w.sm->last_drop, vmbus_msg_fault_text(f));
			ck_assert_uint_eq(w.sm->last_drop_type, type);
		}
		w_down();
	}
}
END_TEST

/* ---- 12.3: GPADL x event ----------------------------------------------------------------------
 */

enum gstate { NONE, PARTIAL, ASKED, ACCEPTED, TEARING, UNMAPPING }; /* TEARING: its ring is open */
enum gevent { HEADER, BODY, ACCEPT, REJECT, TEARDOWN, DONE, G_REVOKE, G_RELEASE, G_GONE };

static void gpadl_up(enum gstate st)
{
	w_up();
	w.hold_device = true;
	chan = w_offer(0);
	w_connect(VMBUS_V5_3);
	w.hold_map = st == ASKED;
	if (st == PARTIAL)
		g_gpadl_header(1, 10, 40, 26);
	else if (st != NONE)
		g_gpadl(1, 10);
	if (st == TEARING) {
		chan_open();
		g_teardown(1, 10);
	}
	if (st == UNMAPPING) {
		w.hold_map = true;
		g_teardown(1, 10);
	}
	w_forget();
}

static void gpadl_fire(enum gevent ev)
{
	switch (ev) {
	case HEADER:
		g_gpadl(1, 10);
		break;
	case BODY:
		g_gpadl_body(10, 28);
		break;
	case ACCEPT:
		ck_assert(w_answer(VMBUS_SM_MAP, 0));
		break;
	case REJECT:
		ck_assert(w_answer(VMBUS_SM_MAP, -EFAULT));
		break;
	case TEARDOWN:
		g_teardown(1, 10);
		break;
	case DONE:
		ck_assert(w_answer(VMBUS_SM_UNMAP, 0));
		break;
	case G_REVOKE:
		w_revoke(chan);
		break;
	case G_RELEASE:
		chan_release();
		break;
	case G_GONE:
		g_header_only(VMBUS_MSG_UNLOAD);
		break;
	}
}

static const struct {
	enum gevent ev;
	enum gstate from;
	const char *said;
	uint32_t gpadls, dropped;
} gpadl_cells[] = {
	{ HEADER, NONE, "map!, created 1 10 ok", 1, 0 },
	{ HEADER, PARTIAL, "created 1 10 fail", 1, 1 },
	{ HEADER, ASKED, "created 1 10 fail", 1, 1 },
	{ HEADER, ACCEPTED, "created 1 10 fail", 1, 1 },
	{ HEADER, TEARING, "created 1 10 fail", 1, 1 },
	{ HEADER, UNMAPPING, "created 1 10 fail", 1, 1 },

	{ BODY, NONE, "", 0, 1 },
	{ BODY, PARTIAL, "map!, created 1 10 ok", 1, 0 },
	{ BODY, ASKED, "", 1, 1 },
	{ BODY, ACCEPTED, "", 1, 1 },
	{ BODY, TEARING, "", 1, 1 },
	{ BODY, UNMAPPING, "", 1, 1 },

	{ ACCEPT, ASKED, "created 1 10 ok", 1, 0 },
	{ REJECT, ASKED, "created 1 10 fail", 0, 1 },

	{ TEARDOWN, NONE, "", 0, 1 },
	{ TEARDOWN, PARTIAL, "", 1, 1 },
	{ TEARDOWN, ASKED, "", 1, 1 },
	{ TEARDOWN, ACCEPTED, "unmap!, torndown 10", 0, 0 },
	{ TEARDOWN, TEARING, "", 1, 1 },
	{ TEARDOWN, UNMAPPING, "", 1, 1 },

	{ DONE, UNMAPPING, "torndown 10", 0, 0 },

	{ G_REVOKE, PARTIAL, "detached!, rescind 1", 1, 0 },
	{ G_REVOKE, ASKED, "detached!, rescind 1, created 1 10 fail", 1, 0 },
	{ G_REVOKE, ACCEPTED, "detached!, rescind 1", 1, 0 },
	{ G_REVOKE, TEARING, "close!, rescind 1", 1, 0 },
	{ G_REVOKE, UNMAPPING, "detached!, rescind 1", 1, 0 },

	{ G_RELEASE, PARTIAL, "", 0, 0 },
	{ G_RELEASE, ASKED, "", 1, 0 },
	{ G_RELEASE, ACCEPTED, "unmap!", 0, 0 },
	{ G_RELEASE, TEARING, "", 1, 1 }, /* the channel is open */
	{ G_RELEASE, UNMAPPING, "", 1, 0 },

	{ G_GONE, NONE, "unloaded", 0, 0 },
	{ G_GONE, PARTIAL, "unloaded", 0, 0 },
	{ G_GONE, ASKED, "", 1, 0 },
	{ G_GONE, ACCEPTED, "unmap!, unloaded", 0, 0 },
	{ G_GONE, TEARING, "close!", 1, 0 },
	{ G_GONE, UNMAPPING, "", 1, 0 },
};

START_TEST(gpadl_table)
{
	for (size_t i = 0; i < ARRAY_SIZE(gpadl_cells); i++) {
		const char *said;
		uint64_t before;

		gpadl_up(gpadl_cells[i].from);
		before = w.sm->dropped;
		gpadl_fire(gpadl_cells[i].ev);
		said = w_said();
		ck_assert_msg(!strcmp(said, gpadl_cells[i].said), "cell %zu: \"%s\", not \"%s\"", i,
			      said, gpadl_cells[i].said);
		ck_assert_msg(w.sm->nr_gpadls == gpadl_cells[i].gpadls, "cell %zu", i);
		ck_assert_msg(w.sm->dropped - before == gpadl_cells[i].dropped, "cell %zu", i);
		w_down();
	}
}
END_TEST

/* The answers that come when the guest is not there for them any more. */
START_TEST(gpadl_answers_come_late)
{
	gpadl_up(ASKED);
	g_header_only(VMBUS_MSG_UNLOAD);
	ck_assert(w_answer(VMBUS_SM_MAP, 0)); /* yes: then it has to be undone */
	ck_assert_str_eq(w_said(), "unmap!");
	ck_assert(w_answer(VMBUS_SM_UNMAP, 0));
	ck_assert_str_eq(w_said(), "unloaded");
	w_down();

	gpadl_up(ASKED);
	w_revoke(chan);
	w_forget();
	ck_assert(w_answer(VMBUS_SM_MAP, -EFAULT));
	ck_assert_str_eq(w_said(), "");
	ck_assert_uint_eq(w.sm->nr_gpadls, 0);
	w_down();

	gpadl_up(UNMAPPING);
	g_header_only(VMBUS_MSG_UNLOAD);
	ck_assert(w_answer(VMBUS_SM_UNMAP, 0));
	ck_assert_str_eq(w_said(), "unloaded"); /* and no TORNDOWN */
	w_down();

	gpadl_up(UNMAPPING); /* released, but the connection lives: it was asked for */
	chan_release();
	ck_assert(w_answer(VMBUS_SM_UNMAP, 0));
	ck_assert_str_eq(w_said(), "torndown 10");
	w_down();
}
END_TEST

/* ---- the rule
 * ------------------------------------------------------------------------------------ */

START_TEST(no_torndown_before_closed)
{
	w_up();
	w.hold_device = true;
	w_offer(0);
	w_connect(VMBUS_V5_3);
	g_gpadl(1, 10);
	g_open(1, 10);
	w_answer(VMBUS_SM_OPEN, 0);
	w_forget();
	g_relid(VMBUS_MSG_CLOSECHANNEL, 1);
	g_teardown(1, 10);
	ck_assert_str_eq(w_said(), "close!");
	ck_assert(w_answer(VMBUS_SM_CLOSE, 0));
	ck_assert_str_eq(w_said(), "unmap!, torndown 10");
	w_down();
}
END_TEST

VMBUS_MAIN("vmbus/server_sm", channel_table, connection_table, connection_table_everything_else,
	   connected_drops_what_only_the_host_says, gpadl_table, gpadl_answers_come_late,
	   no_torndown_before_closed)
