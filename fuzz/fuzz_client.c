/* SPDX-License-Identifier: MIT */
/*
 * The child's side of the bus against a root that says anything at any time (spec: hostile
 * cases, group C). The input drives both: which call the program makes next, and what the
 * root answers while that call waits; answers can be right, wrong or missing. Time is
 * virtual, so a wait that times out takes none. What must hold after every step:
 *   - what the client posts is legal for its side and version
 *   - no page is given back that the root was told of and has not let go
 *   - RELID_RELEASED once per rescinded offer at most
 *   - when the client is gone, so is everything but the pages it reported as abandoned
 *
 * hv-core/child.h is implemented here, in place of the process backend.
 */
#include "base/log.h"
#include "fuzz/input.h"
#include "fuzz/vtime.h"
#include "vmbus/client.h"
#include "vmbus/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define VPS	   3u
#define PAGES	   64u
#define RELIDS	   10u /* 0 to 9 are spoken of: small numbers meet often */
#define GPADLS	   32
#define MAX_CHANS  4
#define MAX_STEPS  400 /* of the root, while calls wait */
#define TIMEOUT_MS 10u

struct gpadl {
	uint32_t id, pages;
	uint64_t pfn;
	bool live;     /* the root was told of it and has not let go */
	bool teardown; /* the client asked for that */
};

static struct world {
	struct input in;
	uint32_t steps;
	bool root_gone;

	bool used[PAGES];
	uint32_t maps;
	struct gpadl gpadl[GPADLS];
	uint32_t nr_gpadls;
	uint32_t offered[RELIDS], released[RELIDS];

	uint32_t version;		       /* last asked for */
	union vmbus_msg last[VMBUS_MSG_TYPES]; /* what the client posted, by type */
	struct hv_message slot;
	bool slot_full, flags;

	struct vmbus_client *bus;
	struct vmbus_chan *chan[MAX_CHANS];
	uint32_t extra[MAX_CHANS]; /* a GPADL of each channel, or 0 */
} w;

static uint8_t ram[PAGES * 4096] __attribute__((aligned(4096)));

/* ---- the root: what it was told ----------------------------------------------------- */

static struct gpadl *find_gpadl(uint32_t id)
{
	for (uint32_t i = 0; i < w.nr_gpadls; i++)
		if (w.gpadl[i].id == id)
			return &w.gpadl[i];
	return NULL;
}

static void told_of_gpadl(const union vmbus_msg *m)
{
	struct gpadl *g = &w.gpadl[w.nr_gpadls % GPADLS];

	INVARIANT(!find_gpadl(m->gpadl_header.gpadl)); /* ids are not used twice */
	INVARIANT(m->gpadl_header.rangecount == 1);
	if (w.nr_gpadls == GPADLS) {
		w.root_gone = true; /* enough for one run */
		return;
	}
	w.nr_gpadls++;
	g->id = m->gpadl_header.gpadl;
	g->pages = m->gpadl_header.range_buflen / 8 - 1;
	memcpy(&g->pfn, m->bytes + sizeof(m->gpadl_header) + 8, sizeof(g->pfn));
	g->live = true;
	g->teardown = false;
	INVARIANT(g->pfn >= 1 && g->pfn + g->pages <= PAGES);
}

static void told(const union vmbus_msg *m)
{
	struct gpadl *g;

	switch (m->hdr.type) {
	case VMBUS_MSG_GPADL_HEADER:
		told_of_gpadl(m);
		break;
	case VMBUS_MSG_GPADL_TEARDOWN:
		g = find_gpadl(m->gpadl_teardown.gpadl);
		INVARIANT(g);
		g->teardown = true;
		break;
	case VMBUS_MSG_RELID_RELEASED:
		INVARIANT(m->relid.relid >= 1 && m->relid.relid < RELIDS);
		w.released[m->relid.relid]++;
		INVARIANT(w.released[m->relid.relid] <= w.offered[m->relid.relid]);
		break;
	case VMBUS_MSG_INITIATE_CONTACT:
		w.version = m->contact.version;
		break;
	}
	w.last[m->hdr.type] = *m;
}

/* ---- the root: what it says ------------------------------------------------------------ */

static void say(const void *msg, uint32_t len)
{
	if (w.slot_full)
		return;
	memset(&w.slot, 0, sizeof(w.slot));
	w.slot.type = HV_MESSAGE_VMBUS;
	w.slot.payload_size = (uint8_t)len;
	memcpy(w.slot.payload, msg, len);
	w.slot_full = true;
}

/* The right answer to what the client posted last; @spoil changes one byte of it. */
static void say_answer(uint8_t what, uint16_t spoil)
{
	static const uint8_t types[] = {
		VMBUS_MSG_VERSION_RESPONSE,   VMBUS_MSG_ALLOFFERS_DELIVERED,
		VMBUS_MSG_OPENCHANNEL_RESULT, VMBUS_MSG_GPADL_CREATED,
		VMBUS_MSG_GPADL_TORNDOWN,     VMBUS_MSG_MODIFYCHANNEL_RESPONSE,
		VMBUS_MSG_UNLOAD_RESPONSE,    VMBUS_MSG_GPADL_TORNDOWN,
	};
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, types[what % ARRAY_SIZE(types)]);

	switch (m.hdr.type) {
	case VMBUS_MSG_VERSION_RESPONSE:
		m.version.supported = 1;
		m.version.version_or_connection = w.version >= VMBUS_V5_0 ? 4 : w.version;
		break;
	case VMBUS_MSG_OPENCHANNEL_RESULT:
		m.open_result.relid = w.last[VMBUS_MSG_OPENCHANNEL].open.relid;
		m.open_result.open_id = w.last[VMBUS_MSG_OPENCHANNEL].open.open_id;
		break;
	case VMBUS_MSG_GPADL_CREATED:
		m.gpadl_created.relid = w.last[VMBUS_MSG_GPADL_HEADER].gpadl_header.relid;
		m.gpadl_created.gpadl = w.last[VMBUS_MSG_GPADL_HEADER].gpadl_header.gpadl;
		break;
	case VMBUS_MSG_GPADL_TORNDOWN:
		m.gpadl_torndown.gpadl = w.last[VMBUS_MSG_GPADL_TEARDOWN].gpadl_teardown.gpadl;
		break;
	case VMBUS_MSG_MODIFYCHANNEL_RESPONSE:
		m.modify_response.relid = w.last[VMBUS_MSG_MODIFYCHANNEL].modify.relid;
		break;
	}
	if (spoil)
		m.bytes[8 + spoil % 240 % (len > 8 ? len - 8 : 1)] ^= (uint8_t)(spoil >> 8);
	say(&m, len);
}

static void say_offer(uint8_t relid, uint8_t what)
{
	struct vmbus_msg_offer o = {
		.hdr.type = VMBUS_MSG_OFFERCHANNEL,
		.type = VMBUS_CLASS_SCSI,
		.relid = relid % RELIDS,
		.sub_index = what % 3,
		.connection_id = HV_CONN_CHANNEL_BASE + relid,
	};

	memset(&o.instance, 1 + what / 64, sizeof(o.instance));
	say(&o, sizeof(o));
}

static void say_anything(struct input *in)
{
	uint8_t payload[VMBUS_MSG_MAX] = { 0 };
	uint8_t size = input_u8(in);

	payload[0] = input_u8(in) % 32;
	input_take(in, payload + 4, 20);
	say(payload, size <= VMBUS_MSG_MAX ? size : VMBUS_MSG_MAX);
	w.slot.payload_size = size <= VMBUS_MSG_MAX ? size : VMBUS_MSG_MAX;
}

/* One step of the root. False: silence, the wait times out. */
static bool root_step(void)
{
	struct input *in = &w.in;
	uint32_t relid[4] = { VMBUS_MSG_RESCIND_CHANNELOFFER, 0, 0, 0 };

	if (!in->left || w.steps++ >= MAX_STEPS) {
		w.root_gone = true;
		return true;
	}
	switch (input_u8(in) % 8) {
	case 0:
		return false;
	case 1:
	case 2:
		say_answer(input_u8(in), 0);
		return true;
	case 3: {
		uint8_t what = input_u8(in);

		say_answer(what, input_u16(in));
		return true;
	}
	case 4: {
		uint8_t number = input_u8(in);

		say_offer(number, input_u8(in));
		return true;
	}
	case 5:
		relid[2] = input_u8(in) % RELIDS;
		say(relid, 12);
		return true;
	case 6:
		say_anything(in);
		return true;
	default:
		w.flags = true;
		return true;
	}
}

/* The client takes a message: what it lets the root do from now on. */
static void heard(const union vmbus_msg *m, uint32_t len)
{
	struct gpadl *g;

	if (len < vmbus_msg_size(m->hdr.type))
		return;
	switch (m->hdr.type) {
	case VMBUS_MSG_OFFERCHANNEL:
		if (m->offer.relid < RELIDS)
			w.offered[m->offer.relid]++;
		break;
	case VMBUS_MSG_GPADL_CREATED:
		g = find_gpadl(m->gpadl_created.gpadl);
		if (g && m->gpadl_created.status)
			g->live = false; /* its own word that it has not got them */
		break;
	case VMBUS_MSG_GPADL_TORNDOWN:
		g = find_gpadl(m->gpadl_torndown.gpadl);
		if (g && g->teardown)
			g->live = false;
		break;
	}
}

/* ---- hv-core/child.h --------------------------------------------------------------------- */

bool hv_child_dead(struct hv_child *c)
{
	(void)c;
	return w.root_gone;
}

uint32_t hv_child_nr_vps(const struct hv_child *c)
{
	(void)c;
	return VPS;
}

void *hv_child_ptr(struct hv_child *c, uint64_t gpa)
{
	(void)c;
	return gpa < sizeof(ram) ? ram + gpa : NULL;
}

int hv_child_alloc_pages(struct hv_child *c, uint32_t n, uint64_t *gpa)
{
	uint32_t run = 0;

	(void)c;
	for (uint32_t i = 1; i < PAGES; i++) {
		run = w.used[i] ? 0 : run + 1;
		if (run < n)
			continue;
		for (uint32_t k = i + 1 - n; k <= i; k++)
			w.used[k] = true;
		*gpa = (i + 1 - n) * 4096ull;
		memset(ram + *gpa, 0, n * 4096ull);
		return 0;
	}
	return -ENOMEM;
}

void hv_child_free_pages(struct hv_child *c, uint64_t gpa, uint32_t n)
{
	uint64_t pfn = gpa / 4096;

	(void)c;
	for (uint32_t i = 0; i < w.nr_gpadls; i++) {
		struct gpadl *g = &w.gpadl[i];

		INVARIANT(w.root_gone || !g->live || pfn >= g->pfn + g->pages || pfn + n <= g->pfn);
	}
	for (; n; n--, pfn++) {
		INVARIANT(pfn < PAGES && w.used[pfn]);
		w.used[pfn] = false;
	}
}

/* Rings carry no packets here (see fuzz_ring, fuzz_packet): mapped once is enough. */
int hv_child_map_wrapped(struct hv_child *c, uint64_t gpa, uint32_t npages, void **ctrl,
			 uint8_t **data, uint32_t *size, size_t *maplen)
{
	(void)c;
	w.maps++;
	*ctrl = ram + gpa;
	*data = ram + gpa + 4096;
	*size = (npages - 1) * 4096;
	*maplen = npages;
	return 0;
}

void hv_child_unmap_wrapped(void *ctrl, size_t maplen)
{
	(void)ctrl;
	(void)maplen;
	INVARIANT(w.maps);
	w.maps--;
}

enum hv_status hv_child_post_message(struct hv_child *c, uint32_t connection_id, uint32_t type,
				     const void *payload, uint32_t len)
{
	static const enum hv_status bad[] = { HV_STATUS_INSUFFICIENT_BUFFERS,
					      HV_STATUS_INSUFFICIENT_MEMORY,
					      HV_STATUS_INVALID_CONNECTION_ID,
					      HV_STATUS_INVALID_PARAMETER };
	union vmbus_msg m = { .hdr.type = 0 };
	uint8_t how;

	(void)c;
	INVARIANT(type == HV_MESSAGE_VMBUS && connection_id && len <= sizeof(m));
	memcpy(&m, payload, len);
	INVARIANT(!vmbus_msg_check(VMBUS_FROM_GUEST, w.version ? w.version : VMBUS_V5_3, &m, len));
	if (w.root_gone)
		return HV_STATUS_INVALID_PARTITION_STATE;
	how = w.in.left ? input_u8(&w.in) : 0;
	if (how >= 0xf0)
		return bad[how % ARRAY_SIZE(bad)];
	told(&m);
	return w.root_gone ? HV_STATUS_INVALID_PARTITION_STATE : HV_STATUS_SUCCESS;
}

enum hv_status hv_child_signal_event(struct hv_child *c, uint32_t connection_id)
{
	(void)c;
	(void)connection_id;
	if (w.in.left && input_u8(&w.in) >= 0xf0)
		return HV_STATUS_NO_RESOURCES;
	return HV_STATUS_SUCCESS;
}

void hv_child_forget_connection(struct hv_child *c, uint32_t connection_id)
{
	(void)c;
	(void)connection_id;
}

void hv_child_kick_vp(struct hv_child *c, uint32_t vp)
{
	(void)c;
	INVARIANT(vp < VPS);
}

int hv_child_vp_wait(struct hv_child *c, uint32_t vp, uint64_t timeout_ns)
{
	(void)c;
	if (w.root_gone)
		return -ECONNRESET;
	if (vp || !root_step()) {
		vtime_pass(timeout_ns < 1000000000u ? timeout_ns : 1000000000u);
		return 0;
	}
	return w.root_gone ? -ECONNRESET : 1;
}

int hv_child_vp_fd(struct hv_child *c, uint32_t vp)
{
	(void)c;
	return vp < VPS ? 0 : -EINVAL;
}

bool hv_child_vp_arm(struct hv_child *c, uint32_t vp)
{
	(void)c;
	(void)vp;
	return !w.root_gone;
}

int hv_child_vp_disarm(struct hv_child *c, uint32_t vp)
{
	return hv_child_vp_wait(c, vp, 0);
}

void hv_child_vp_poke(struct hv_child *c, uint32_t vp)
{
	(void)c;
	INVARIANT(vp < VPS);
}

void hv_child_vp_empty(struct hv_child *c, uint32_t vp)
{
	(void)c;
	INVARIANT(vp < VPS);
}

bool hv_child_take_message(struct hv_child *c, uint32_t vp, struct hv_message *out)
{
	union vmbus_msg m;

	(void)c;
	INVARIANT(vp == 0);
	if (!w.slot_full)
		return false;
	w.slot_full = false;
	*out = w.slot;
	memcpy(&m, out->payload, sizeof(m));
	heard(&m, out->payload_size);
	return true;
}

void hv_child_take_events(struct hv_child *c, uint32_t vp, void (*fn)(void *ctx, uint32_t flag),
			  void *ctx)
{
	(void)c;
	(void)vp;
	if (w.flags)
		fn(ctx, 3);
	w.flags = false;
}

/* ---- the program ----------------------------------------------------------------------------- */

static void open_one(uint8_t what)
{
	struct guid type = VMBUS_CLASS_SCSI;
	struct vmbus_offer o;
	uint32_t i = what % MAX_CHANS;

	if (w.chan[i] || vmbus_client_find(w.bus, &type, what / 64, &o))
		return;
	if (what & 16 && vmbus_client_wait_sub(w.bus, &o, 1, &o))
		return;
	if (vmbus_client_open(w.bus, &o, 8192u << (what / 32 % 2), what % VPS, 0, NULL, NULL,
			      &w.chan[i]))
		w.chan[i] = NULL;
}

static void gpadl_step(uint32_t i)
{
	uint64_t gpa;

	if (!w.extra[i]) {
		/* 30 pages: a header and a body. Freed only if the root never heard of them. */
		if (hv_child_alloc_pages(NULL, 30, &gpa))
			return;
		switch (vmbus_client_gpadl_create(w.bus, w.chan[i], gpa, 30, &w.extra[i])) {
		case -EIO:
			w.extra[i] = 0;
			hv_child_free_pages(NULL, gpa, 30);
			break;
		case 0:
			break;
		default:
			w.extra[i] = 0;
		}
		return;
	}
	if (!vmbus_client_gpadl_teardown(w.bus, w.chan[i], w.extra[i])) {
		struct gpadl *g = find_gpadl(w.extra[i]);

		hv_child_free_pages(NULL, g->pfn * 4096, g->pages);
	}
	w.extra[i] = 0;
}

static void close_one(uint32_t i)
{
	vmbus_client_close(w.bus, w.chan[i]);
	w.chan[i] = NULL;
	w.extra[i] = 0; /* its pages stay taken: nobody tore it down */
}

static void program_step(void)
{
	uint8_t op = input_u8(&w.in), what = input_u8(&w.in);
	uint32_t i = what % MAX_CHANS;

	switch (op % 8) {
	case 0:
	case 1:
		open_one(what);
		return;
	case 2:
		vmbus_client_wait(w.bus, 0, what * 1000u);
		return;
	case 3:
		if (what & 1) {
			vmbus_client_arm(w.bus, what / 2 % VPS);
			vmbus_client_disarm(w.bus, what / 2 % VPS);
		} else {
			vmbus_client_poll(w.bus);
		}
		return;
	case 7:
		if (what == 0xff)
			vmbus_client_cancel(w.bus);
		return;
	}
	if (!w.chan[i])
		return;
	if (op % 8 == 4)
		close_one(i);
	else if (op % 8 == 5)
		vmbus_client_modify(w.bus, w.chan[i], what / 4 % VPS);
	else
		gpadl_step(i);
}

static uint32_t pages_taken(void)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < PAGES; i++)
		n += w.used[i];
	return n;
}

static void run(void)
{
	struct vmbus_client_config cfg = { .timeout_ms = TIMEOUT_MS };
	struct vmbus_client_stats st;
	uint8_t how = input_u8(&w.in);

	cfg.max_version = how & 1 ? VMBUS_V4_1 : 0;
	cfg.max_offers = how & 2 ? 3 : 0;
	if (vmbus_client_connect(&w.bus, NULL, &cfg))
		return;
	while (w.in.left && !w.root_gone)
		program_step();
	for (uint32_t i = 0; i < MAX_CHANS; i++)
		if (w.chan[i] && how & 4)
			close_one(i);
	vmbus_client_stats(w.bus, &st);
	INVARIANT(st.offers <= (cfg.max_offers ? cfg.max_offers : 2047));
	INVARIANT(st.pages_abandoned <= pages_taken());
	vmbus_client_destroy(w.bus);
	INVARIANT(w.maps == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	log_set_level(LOG_ERROR);
	memset(&w, 0, sizeof(w));
	w.in = (struct input){ data, size };
	vtime_enter();
	run();
	vtime_leave();
	return 0;
}
