/* SPDX-License-Identifier: MIT */
/*
 * GPADLs from a hostile guest: headers, bodies, teardowns and opens in any order and of any
 * size, the real look-up and mapping of their pages behind them. What must hold:
 *   - a range buffer is legal exactly when a second reading of it says so
 *   - a GPADL is accepted only if every page of it is RAM, and its views show those pages
 *   - qwords and pages are accounted once each, and the quotas are never passed
 *   - range buffers stay as long as a ring lies in them; after a reset nothing is left
 */
#include <errno.h>
#include <unistd.h>

#include "fuzz/input.h"
#include "hv-core/gpa.h"
#include "vmbus/server_sm_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define VPS	   2u
#define DEVICES	   2
#define PENDING	   64
#define RINGS	   8
#define FLOODS	   2   /* per run: they are slow */
#define MAP_MAX	   48u /* pages of both rings of a channel that is really mapped */

/* RAM: two pieces, a hole between them. */
#define LOW_PFN	   4u
#define LOW_PAGES  24u
#define HIGH_PFN   40u
#define HIGH_PAGES 8u

struct ring {
	struct vmbus_sm_chan *chan;
	struct vmbus_gpadl_rings r;
	struct hv_gpa_view in, out;
};

static struct world {
	struct vmbus_sm *sm;
	struct vmbus_sm_chan *dev[DEVICES];
	struct vmbus_sm_action pending[PENDING];
	uint32_t nr_pending, nr_rings, floods;
	struct ring ring[RINGS];
	bool reset_done;
} w;

static struct hv_gpa *ram; /* the same for all runs */

static bool is_ram(uint64_t pfn)
{
	return (pfn >= LOW_PFN && pfn < LOW_PFN + LOW_PAGES) ||
	       (pfn >= HIGH_PFN && pfn < HIGH_PFN + HIGH_PAGES);
}

static void make_ram(void)
{
	int fd = hv_memfd_create("fuzz", (LOW_PAGES + HIGH_PAGES) * 4096ull);

	INVARIANT(fd >= 0 && !hv_gpa_create(&ram));
	INVARIANT(!hv_gpa_add_ram(ram, LOW_PFN * 4096, LOW_PAGES * 4096, fd, 0));
	INVARIANT(!hv_gpa_add_ram(ram, HIGH_PFN * 4096, HIGH_PAGES * 4096, fd, LOW_PAGES * 4096));
	close(fd);
}

/* ---- a second reading of range buffers -------------------------------------------------- */

static bool legal(const uint64_t *q, uint32_t n, uint32_t rangecount)
{
	uint32_t i = 0;

	for (; rangecount; rangecount--) {
		uint32_t count = i < n ? (uint32_t)q[i] : 0, offset = i < n ? q[i] >> 32 : 0;
		uint64_t pages = ((uint64_t)count + offset + 4095) / 4096;

		if (!count || offset > 4095 || pages >= n - i)
			return false;
		i += 1 + (uint32_t)pages;
	}
	return i == n;
}

static bool all_ram(const struct vmbus_gpadl *g)
{
	struct vmbus_gpadl_range r;
	uint32_t cursor = 0;

	while (vmbus_gpadl_next(g, &cursor, &r))
		for (uint32_t i = 0; i < r.npfn; i++)
			if (!is_ram(r.pfn[i]))
				return false;
	return true;
}

static void check_split(const struct vmbus_gpadl *g, uint32_t at)
{
	uint32_t pages = g->want - 1, count = (uint32_t)g->qword[0], offset = g->qword[0] >> 32;
	bool good = g->rangecount == 1 && !offset && !(count % 4096) && at >= 2 &&
		    (uint64_t)at + 2 <= pages;
	struct vmbus_gpadl_rings r;

	INVARIANT(vmbus_gpadl_split(g, at, &r) == (good ? 0 : -EINVAL));
	if (!good)
		return;
	INVARIANT(r.in_pfn == g->qword + 1 && r.in_pages == at);
	INVARIANT(r.out_pfn == r.in_pfn + at && r.out_pages == pages - at);
}

/* A range buffer without a bus, filled in pieces of any length. */
static void alone(struct input *in)
{
	uint32_t len = input_u8(in) * 8u, ranges = input_u8(in) % 8;
	struct vmbus_gpadl g;
	uint8_t piece[64];
	uint32_t before;
	bool whole = false;

	if (ranges == 7)
		ranges = input_u16(in);
	if (len == 255 * 8)
		len = input_u16(in);
	if (vmbus_gpadl_init(&g, len, ranges)) {
		INVARIANT(!ranges || len % 8 || len / 8 > VMBUS_GPADL_MAX_QWORDS ||
			  len / 16 < ranges);
		return;
	}
	while (in->left && !whole) {
		uint32_t n = input_u8(in) % (sizeof(piece) + 1);

		input_take(in, piece, n);
		before = g.have;
		whole = vmbus_gpadl_add(&g, piece, n);
		INVARIANT(g.have <= g.want && g.have - before <= n / 8);
	}
	INVARIANT(whole == (g.have == g.want));
	INVARIANT(!vmbus_gpadl_check(&g) == (whole && legal(g.qword, g.want, ranges)));
	if (!vmbus_gpadl_check(&g))
		check_split(&g, input_u8(in) & 0x80 ? input_u32(in) : input_u8(in) % 32);
	vmbus_gpadl_fini(&g);
}

/* ---- the bus ------------------------------------------------------------------------------ */

/* What vmbus/server.c does, checked on the way. */
static int map_pages(const struct vmbus_gpadl *g)
{
	struct vmbus_gpadl_range r;
	uint32_t cursor = 0;
	struct iovec iov[64];
	bool good = true;
	int n;

	INVARIANT(legal(g->qword, g->want, g->rangecount) && !vmbus_gpadl_check(g));
	while (vmbus_gpadl_next(g, &cursor, &r)) {
		uint64_t sum = 0;

		n = hv_gpa_iov(ram, iov, 64, r.pfn, r.npfn, r.byte_offset, r.byte_count);
		good = good && n != -EFAULT;
		for (int i = 0; i < n; i++)
			sum += iov[i].iov_len;
		INVARIANT(n == -EFAULT || n == -ENOSPC || sum == r.byte_count);
	}
	INVARIANT(good || !all_ram(g));
	return all_ram(g) ? 0 : -EFAULT;
}

static void check_view(const struct hv_gpa_view *v, const uint64_t *pfn, uint32_t pages)
{
	uint8_t *guest;

	INVARIANT(v->size == (pages - 1) * 4096);
	for (uint32_t i = 0; i < pages; i++) {
		uint8_t *here = i ? v->data + (i - 1) * 4096ull : v->ctrl;

		guest = hv_gpa_ptr(ram, pfn[i] * 4096, 4096);
		INVARIANT(guest);
		guest[i] = (uint8_t)(guest[i] + 1);
		INVARIANT(here[i] == guest[i]);
		if (i)
			INVARIANT(here[v->size + i] == guest[i]);
	}
}

static int open_rings(const struct vmbus_sm_action *a)
{
	const struct vmbus_gpadl_rings *r = &a->open->rings;
	struct ring *ring = &w.ring[w.nr_rings];

	INVARIANT(r->in_pages >= 2 && r->out_pages >= 2);
	if (w.nr_rings == RINGS || r->in_pages > MAP_MAX || r->out_pages > MAP_MAX - r->in_pages)
		return -ENOMEM;
	*ring = (struct ring){ .chan = a->chan, .r = *r };
	INVARIANT(!hv_gpa_map_wrapped(ram, &ring->in, r->in_pfn, r->in_pages));
	INVARIANT(!hv_gpa_map_wrapped(ram, &ring->out, r->out_pfn, r->out_pages));
	check_view(&ring->in, r->in_pfn, r->in_pages);
	check_view(&ring->out, r->out_pfn, r->out_pages);
	w.nr_rings++;
	return 0;
}

static void close_rings(const struct vmbus_sm_chan *ch)
{
	for (uint32_t i = 0; i < w.nr_rings; i++) {
		if (w.ring[i].chan != ch)
			continue;
		/* Nobody let go of the list while the ring was open: a sanitizer would see it. */
		check_view(&w.ring[i].in, w.ring[i].r.in_pfn, w.ring[i].r.in_pages);
		check_view(&w.ring[i].out, w.ring[i].r.out_pfn, w.ring[i].r.out_pages);
		hv_gpa_unmap_view(&w.ring[i].in);
		hv_gpa_unmap_view(&w.ring[i].out);
		w.ring[i] = w.ring[--w.nr_rings];
		return;
	}
	INVARIANT(false);
}

static void take_actions(void)
{
	struct vmbus_sm_action a;

	while (w.nr_pending < PENDING && vmbus_sm_next_action(w.sm, &a)) {
		if (a.type == VMBUS_SM_RESET_DONE)
			w.reset_done = true;
		if (a.type != VMBUS_SM_RESET_DONE && a.type != VMBUS_SM_DETACHED)
			w.pending[w.nr_pending++] = a;
	}
}

static void answer(uint32_t i, bool fail)
{
	struct vmbus_sm_action a = w.pending[i];
	int err;

	w.pending[i] = w.pending[--w.nr_pending];
	switch (a.type) {
	case VMBUS_SM_OPEN:
		err = fail ? -EIO : open_rings(&a);
		vmbus_sm_opened(w.sm, a.chan, err);
		break;
	case VMBUS_SM_CLOSE:
		close_rings(a.chan);
		vmbus_sm_closed(w.sm, a.chan);
		break;
	case VMBUS_SM_MAP:
		err = map_pages(a.ranges);
		vmbus_sm_mapped(w.sm, a.gpadl, fail ? -EIO : err);
		break;
	case VMBUS_SM_UNMAP:
		vmbus_sm_unmapped(w.sm, a.gpadl);
		break;
	default:
		vmbus_sm_modified(w.sm, a.chan);
	}
}

/* ---- the guest ------------------------------------------------------------------------------ */

static void post(const void *msg, uint32_t len)
{
	vmbus_sm_message(w.sm, HV_CONN_VMBUS_CONTACT, msg, len);
}

static void connect_guest(void)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_INITIATE_CONTACT);

	m.contact.version = VMBUS_V5_3;
	m.contact.target_sint = 2;
	post(&m, len);
	post(&m, vmbus_msg_init(&m, VMBUS_MSG_REQUESTOFFERS));
}

/* Page numbers behind the @at bytes that @m has; returns its length. */
static uint32_t put_pfns(struct input *in, union vmbus_msg *m, uint32_t at)
{
	uint8_t how = input_u8(in), n = how & 31;
	uint64_t pfn = how & 0x40 ? HIGH_PFN : LOW_PFN;

	for (; n && at + 8 <= sizeof(*m); n--, at += 8, pfn++) {
		if (how & 0x80)
			pfn = input_u8(in) & 0x80 ? input_u64(in) : input_u8(in) % 64;
		memcpy(m->bytes + at, &pfn, 8);
	}
	return at + (how & 0x20 ? input_u8(in) % 8 : 0);
}

static void header(struct input *in)
{
	uint8_t how = input_u8(in);
	uint32_t pages = how & 0x10 ? input_u16(in) % 8192 : input_u8(in) % 40;
	struct vmbus_gpa_range range = { .byte_count = pages * 4096 };
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_GPADL_HEADER);

	m.gpadl_header.relid = how & 3;
	m.gpadl_header.gpadl = input_u8(in) % 8;
	m.gpadl_header.range_buflen = (uint16_t)(8 + 8 * pages);
	m.gpadl_header.rangecount = how & 0x20 ? input_u16(in) : 1;
	if (how & 0x40)
		m.gpadl_header.range_buflen = input_u16(in);
	if (how & 0x80)
		input_take(in, &range, sizeof(range));
	memcpy(m.bytes + len, &range, sizeof(range));
	len = put_pfns(in, &m, len + sizeof(range));
	post(&m, len < sizeof(m) ? len : sizeof(m));
}

static void body(struct input *in)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_GPADL_BODY);

	m.gpadl_body.gpadl = input_u8(in) % 8;
	len = put_pfns(in, &m, len);
	post(&m, len < sizeof(m) ? len : sizeof(m));
}

/* Beginnings that are never finished, until a quota says no. */
static void flood(struct input *in)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_GPADL_HEADER), n = input_u8(in);
	bool large = n & 1;

	if (w.floods++ == FLOODS)
		return;
	n = large ? n % 40 : n + 8;
	m.gpadl_header.relid = 1;
	m.gpadl_header.range_buflen = large ? 65528 : 16;
	m.gpadl_header.rangecount = 1;
	for (uint32_t i = 0; i < n; i++) {
		m.gpadl_header.gpadl = 0x1000 + i;
		post(&m, len);
	}
}

static void open_chan(struct input *in)
{
	uint8_t how = input_u8(in);
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, VMBUS_MSG_OPENCHANNEL);

	m.open.relid = how & 3;
	m.open.gpadl = how >> 2 & 7;
	m.open.downstream_page = how & 0x80 ? input_u32(in) : input_u8(in) % 16;
	post(&m, len);
}

static void about_relid(uint8_t type, uint8_t what)
{
	union vmbus_msg m;
	uint32_t len = vmbus_msg_init(&m, type);

	if (type == VMBUS_MSG_GPADL_TEARDOWN) {
		m.gpadl_teardown.relid = what & 3;
		m.gpadl_teardown.gpadl = what >> 2 & 7;
	} else {
		m.relid.relid = what & 3;
	}
	post(&m, len);
}

/* ---- invariants ------------------------------------------------------------------------------ */

static void check_accounts(void)
{
	uint32_t n = 0, partial = 0, qwords = 0, pages = 0, users = 0;
	const struct vmbus_sm_gpadl *g;
	const struct vmbus_sm_chan *ch;
	struct vmbus_sm_stats st;

	TAILQ_FOREACH(ch, &w.sm->chans, link)
	TAILQ_FOREACH(g, &ch->gpadls, link)
	{
		n++;
		partial += g->state == GP_PARTIAL;
		qwords += g->buf.want;
		pages += g->buf.want - g->buf.rangecount;
		users += g->users;
		INVARIANT(g->buf.have <= g->buf.want);
		INVARIANT(g->state == GP_PARTIAL || g->buf.have == g->buf.want);
	}
	vmbus_sm_stats(w.sm, &st);
	INVARIANT(st.gpadls == n && st.gpadl_pages == pages);
	INVARIANT(w.sm->gpadl_qwords == qwords && w.sm->nr_partial == partial);
	INVARIANT(n <= VMBUS_SM_MAX_GPADLS && partial <= VMBUS_SM_MAX_PARTIAL);
	INVARIANT(qwords <= VMBUS_SM_MAX_GPADL_QWORDS);
	INVARIANT(users >= w.nr_rings);
}

static void offer(uint8_t i)
{
	struct vmbus_sm_offer o = { .name = "fuzz", .instance.b[0] = i };

	if (!w.dev[i] && vmbus_sm_offer(w.sm, &o, &w, &w.dev[i]))
		w.dev[i] = NULL;
}

static void take_away(uint8_t i)
{
	struct vmbus_sm_chan *ch = w.dev[i];

	w.dev[i] = NULL;
	if (ch)
		vmbus_sm_revoke(w.sm, ch);
}

static void send(uint8_t n)
{
	const struct vmbus_sm_send *s;

	while (n-- && (s = vmbus_sm_next_send(w.sm))) {
		INVARIANT(!vmbus_msg_check(VMBUS_FROM_HOST, VMBUS_V5_3, &s->msg, s->len));
		vmbus_sm_sent(w.sm);
	}
}

static void step(struct input *in)
{
	static const uint8_t relid_msgs[] = { VMBUS_MSG_GPADL_TEARDOWN, VMBUS_MSG_GPADL_TEARDOWN,
					      VMBUS_MSG_CLOSECHANNEL, VMBUS_MSG_RELID_RELEASED };
	uint8_t op = input_u8(in), what;

	switch (op % 16) {
	case 0:
	case 1:
	case 2:
		header(in);
		return;
	case 3:
	case 4:
		body(in);
		return;
	case 5:
	case 6:
		open_chan(in);
		return;
	case 7:
		alone(in);
		return;
	case 8:
		flood(in);
		return;
	}
	what = input_u8(in);
	switch (op % 16) {
	case 9:
	case 10:
		about_relid(relid_msgs[op / 16 % 4], what);
		break;
	case 11:
	case 12:
		if (w.nr_pending)
			answer(what % w.nr_pending, what >= 0xc0);
		break;
	case 13:
		(what & 1 ? take_away : offer)((what >> 1) % DEVICES);
		break;
	case 14:
		send(what & 15);
		break;
	default:
		if (what == 0xff)
			vmbus_sm_reset(w.sm);
		else
			connect_guest();
	}
}

static void end(void)
{
	struct vmbus_sm_stats st;

	w.reset_done = false;
	vmbus_sm_reset(w.sm);
	for (take_actions(); w.nr_pending; take_actions())
		answer(0, false);
	vmbus_sm_stats(w.sm, &st);
	INVARIANT(w.reset_done && !w.nr_rings);
	INVARIANT(!st.gpadls && !st.gpadl_pages && !w.sm->gpadl_qwords && !w.sm->nr_partial);
	vmbus_sm_destroy(w.sm);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vmbus_sm_config cfg = { .nr_vps = VPS };
	struct input in = { data, size };

	if (!ram)
		make_ram();
	memset(&w, 0, sizeof(w));
	INVARIANT(!vmbus_sm_create(&w.sm, &cfg));
	offer(0);
	offer(1);
	connect_guest();
	while (in.left) {
		step(&in);
		take_actions();
		check_accounts();
	}
	end();
	return 0;
}
