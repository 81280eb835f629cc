/* SPDX-License-Identifier: MIT */
/*
 * Integration services with a hostile guest on real rings: answers right, spoiled, late, twice and
 * unasked, rings written over, channels opened and closed at any time, while the root asks and its
 * clock runs. Invariants:
 *   - every request is answered to its owner exactly once, and in its time
 *   - what the root sends is well-formed, one thing at a time; nothing comes after it was closed
 *   - whoever was told of contact was told when it was lost; counters agree
 *   - a guest that keeps to the protocol from some moment on is served then
 *   - taking all away always comes to an end
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/log.h"
#include "base/loop.h"
#include "fuzz/input.h"
#include "fuzz/vtime.h"
#include "tests/fake/fake_bus.h"
#include "vsp/ic/ic_services.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMORY	   (512u << 10)
#define RING_PAGES 4u
#define DEVICES	   2u /* by order of their offer: heartbeat, shutdown */
#define MAX_STEPS  2000
#define S_NS	   1000000000ull

struct message {
	uint32_t len; /* 0: none */
	union {
		struct ic_frame frame;
		uint8_t bytes[4096];
	};
};

struct world {
	struct loop *loop;
	struct vmbus_bus *bus;
	struct ic_services *s;
	struct vmbus_chan *chan[DEVICES];
	struct message last[DEVICES]; /* of the root: what a guest changes into an answer */
	struct ic_heartbeat_status told;
	uint32_t asked, answered;
	uint64_t deadline; /* of the shutdown under way; 0 = none */
	bool gone;
};

static void on_gone(void *ctx)
{
	((struct world *)ctx)->gone = true;
}

static void on_heartbeat(void *ctx, const struct ic_heartbeat_status *now)
{
	struct world *w = ctx;

	INVARIANT(now->contact != w->told.contact || now->application != w->told.application);
	INVARIANT(now->contact == IC_CONTACT_OK || now->application == IC_APP_UNKNOWN);
	INVARIANT(now->contact != IC_CONTACT_LOST || w->told.contact == IC_CONTACT_OK);
	INVARIANT(now->answered <= now->sent && now->application <= IC_APP_STOPPED);
	INVARIANT(ic_contact_name(now->contact) && ic_application_name(now->application));
	w->told = *now;
}

static void on_shutdown(void *ctx, int err, uint32_t status)
{
	struct world *w = ctx;

	INVARIANT(w->deadline && vtime.now_ns < w->deadline + S_NS);
	INVARIANT(!err || err == -EPERM || err == -ETIMEDOUT || err == -ECONNRESET);
	INVARIANT((err == -EPERM) == (status != IC_OK));
	INVARIANT(ic_shutdown_explain(err, status));
	w->deadline = 0;
	w->answered++;
}

static void world_up(struct world *w)
{
	struct loop_config lc = { .engine = LOOP_EPOLL, .name = "fuzz" };
	struct ic_services_config cfg = { .heartbeat = { .changed = on_heartbeat, .ctx = w } };
	static int silence;

	if (!silence) { /* failures are what we ask for */
		silence = open("/dev/null", O_WRONLY | O_CLOEXEC);
		log_set_fd(silence);
	}
	INVARIANT(!loop_create(&w->loop, &lc));
	w->bus = fake_bus_create(w->loop, MEMORY);
	cfg.loop = w->loop;
	INVARIANT(!ic_services_create(&w->s, w->bus, &cfg));
}

/* ---- the guest ------------------------------------------------------------------------- */

static void run(struct world *w)
{
	for (uint32_t i = 0; i < DEVICES; i++)
		if (w->chan[i])
			vmbus_chan_flush(w->chan[i]);
	INVARIANT(fake_bus_settle(w->bus, 200));
}

static void check_message(uint32_t dev, const struct vmpkt *p)
{
	static const uint32_t bodies[] = { sizeof(struct ic_heartbeat_body),
					   sizeof(struct ic_shutdown_body) };
	struct ic_frame f;

	INVARIANT(p->type == VMPKT_INBAND && !p->flags && p->payload_len >= sizeof(f));
	memcpy(&f, p->payload, sizeof(f));
	INVARIANT(f.pipe.type == IC_PIPE_MESSAGE && f.pipe.length == 20u + f.header.size);
	INVARIANT(p->payload_len == ((f.pipe.length + 8 + 7) & ~7u));
	INVARIANT(f.header.flags == 3 && !f.header.status && !f.header.reserved);
	INVARIANT(f.header.message == IC_NEGOTIATE
			  ? !f.header.framework.major && !f.header.version.major
			  : f.header.framework.major && f.header.version.major);
	if (f.header.message == IC_NEGOTIATE)
		return;
	INVARIANT(f.header.message == (dev ? IC_SHUTDOWN : IC_HEARTBEAT));
	INVARIANT(f.header.size == bodies[dev]);
}

/* Takes what the root has said; the newest is what may be answered. */
static void take(struct world *w, uint32_t dev)
{
	struct vmpkt p;

	while (vmbus_chan_recv(w->chan[dev], &p) > 0) {
		check_message(dev, &p);
		w->last[dev].len = p.payload_len;
		memcpy(w->last[dev].bytes, p.payload, p.payload_len);
	}
	vmbus_chan_recv_done(w->chan[dev]);
}

static void open_chan(struct world *w, uint32_t dev)
{
	if (w->chan[dev])
		return;
	INVARIANT(!fake_bus_open(w->bus, dev, 0, RING_PAGES, &w->chan[dev]));
	w->last[dev].len = 0;
}

static void close_chan(struct world *w, uint32_t dev)
{
	if (!w->chan[dev])
		return;
	fake_bus_close(w->bus, dev, 0);
	INVARIANT(fake_bus_closed(w->bus, dev, 0));
	INVARIANT(!dev || !w->deadline);
	w->chan[dev] = NULL;
}

/* What a guest of good manners says to the last message. */
static struct message answer(struct world *w, uint32_t dev, struct ic_version framework,
			     struct ic_version version, uint32_t status)
{
	struct message m = w->last[dev];
	struct ic_negotiated n = { { 1, 1, 0 }, framework, version };

	if (!m.len)
		return m;
	m.frame.header.flags = IC_TRANSACTION | IC_RESPONSE;
	m.frame.header.status = status;
	if (m.frame.header.message == IC_NEGOTIATE) {
		m.frame.header.size = sizeof(n);
		memcpy(m.bytes + sizeof(m.frame), &n, sizeof(n));
	}
	return m;
}

static void say(struct world *w, uint32_t dev, const struct message *m)
{
	if (m->len)
		vmbus_chan_send(w->chan[dev], 0, 0, m->bytes, m->len);
}

static void say_well(struct world *w, uint32_t dev, struct input *in)
{
	static const struct ic_version v[] = { { 3, 0 }, { 1, 0 }, { 3, 1 }, { 3, 2 } };
	uint8_t how = input_u8(in);
	struct message m;

	m = answer(w, dev, v[how & 1], v[how >> 1 & 3], how & 8 ? IC_FAIL : IC_OK);
	if (m.len && !dev && m.frame.header.message == IC_HEARTBEAT)
		m.bytes[sizeof(m.frame) + 8] = how >> 4;
	say(w, dev, &m);
	if (!(how & 0x80)) /* else it may come twice */
		w->last[dev].len = 0;
}

static void say_spoiled(struct world *w, uint32_t dev, struct input *in)
{
	struct message m =
		answer(w, dev, (struct ic_version){ 3, 0 }, (struct ic_version){ 3, 0 }, IC_OK);
	uint8_t n = input_u8(in);

	if (!m.len) {
		m.len = 64;
		m.frame.pipe = (struct ic_pipe){ IC_PIPE_MESSAGE, 56 };
		m.frame.header.message = n & 0x80 ? IC_NEGOTIATE : dev ? IC_SHUTDOWN : IC_HEARTBEAT;
		m.frame.header.flags = IC_TRANSACTION | IC_RESPONSE;
	}
	for (uint32_t i = 0; i < (n & 3) + 1u; i++)
		input_spoil(in, m.bytes, m.len < 64 ? m.len : 64);
	if (n & 4)
		m.len = input_u16(in) % sizeof(m.bytes);
	say(w, dev, &m);
}

static void say_raw(struct world *w, uint32_t dev, struct input *in)
{
	uint8_t bytes[128], n = input_u8(in), flags = input_u8(in);
	uint64_t id = input_u8(in);

	input_take(in, bytes, sizeof(bytes) > n ? n : sizeof(bytes));
	if (n > sizeof(bytes))
		n = sizeof(bytes);
	if (flags & 0x80)
		vmbus_chan_send_completion(w->chan[dev], id, bytes, n);
	else
		vmbus_chan_send(w->chan[dev], flags & 1, id, bytes, n);
}

static void flood(struct world *w, uint32_t dev, struct input *in)
{
	struct message m = answer(w, dev, (struct ic_version){ 3, 0 }, (struct ic_version){ 3, 0 },
				  input_u8(in));

	for (int i = 0; i < 64; i++)
		say(w, dev, &m);
}

static void poke(struct world *w, uint32_t dev, struct input *in)
{
	const struct hv_gpa_view *v = fake_bus_guest_out(w->bus, dev, 0);
	uint32_t where = input_u16(in), value = input_u32(in);

	if (where & 1)
		memcpy((uint8_t *)v->ctrl + (where >> 1) % 64, &value, sizeof(value));
	else
		memcpy(v->data + (where >> 1) % (v->size - 4), &value, sizeof(value));
}

/* ---- the root ----------------------------------------------------------------------------- */

static void ask_shutdown(struct world *w, struct input *in)
{
	uint8_t how = input_u8(in), limit = input_u8(in);
	struct ic_shutdown_request r = { .kind = how & 3,
					 .force = how & 4,
					 .timeout_s = how,
					 .text = how & 8    ? "\xc3\xa9"
						 : how & 16 ? "\xc3"
							    : NULL,
					 .answer_ms = limit * 100u };
	uint64_t limit_ns = limit ? limit * 100000000ull : IC_SHUTDOWN_ANSWER_MS * 1000000ull;
	uint64_t before = w->deadline;
	int err;

	w->deadline = vtime.now_ns + limit_ns;
	err = ic_shutdown_request(ic_services_shutdown(w->s), &r, on_shutdown, w);
	INVARIANT(err <= 0 && (err || !before) && ic_shutdown_explain(err, 0));
	INVARIANT(err || w->chan[1]);
	if (err)
		w->deadline = before;
	else
		w->asked++;
}

static void pass(struct world *w, struct input *in)
{
	uint8_t how = input_u8(in);

	/* In steps that no deadline is far behind. */
	for (uint32_t i = 0; i < (how & 31) + 1u; i++) {
		vtime_pass(how & 0x80 ? S_NS / 2 : S_NS / 50);
		run(w);
	}
	INVARIANT(!w->deadline || vtime.now_ns < w->deadline + S_NS || !w->chan[1]);
}

static void step(struct world *w, struct input *in)
{
	uint8_t op = input_u8(in);
	uint32_t dev = op >> 7;

	switch (op & 15) {
	case 0:
		open_chan(w, dev);
		return;
	case 1:
		close_chan(w, dev);
		return;
	case 2:
		pass(w, in);
		return;
	case 3:
		ask_shutdown(w, in);
		return;
	case 4:
		ic_heartbeat_pause(ic_services_heartbeat(w->s), op & 16);
		return;
	case 5:
		run(w);
		return;
	}
	if (!w->chan[dev])
		return;
	if ((op & 15) == 6)
		poke(w, dev, in);
	else if ((op & 15) == 7)
		say_raw(w, dev, in);
	else if ((op & 15) == 8)
		flood(w, dev, in);
	else if ((op & 15) <= 10)
		say_spoiled(w, dev, in);
	else if ((op & 15) <= 12)
		take(w, dev);
	else
		say_well(w, dev, in);
	if (op & 16)
		vmbus_chan_flush(w->chan[dev]);
}

/* ---- the end -------------------------------------------------------------------------------- */

static const char *state_of(struct ic *ic)
{
	struct ic_stats st;

	ic_stats(ic, &st);
	INVARIANT(!st.dropped == !st.last_drop && st.answers + st.timeouts <= st.requests + 1);
	return st.state;
}

/* From now on it behaves: whatever was before, it is served. */
static void behave(struct world *w)
{
	static const struct ic_version three = { 3, 0 };
	struct message m;

	ic_heartbeat_pause(ic_services_heartbeat(w->s), false);
	for (uint32_t dev = 0; dev < DEVICES; dev++) {
		close_chan(w, dev);
		open_chan(w, dev);
		run(w);
		take(w, dev);
		m = answer(w, dev, three, three, IC_OK);
		INVARIANT(m.len && m.frame.header.message == IC_NEGOTIATE);
		say(w, dev, &m);
		run(w);
	}
	take(w, 0);
	m = answer(w, 0, three, three, IC_OK);
	INVARIANT(m.len && m.frame.header.message == IC_HEARTBEAT);
	say(w, 0, &m);
	run(w);
	INVARIANT(w->told.contact == IC_CONTACT_OK);
	INVARIANT(!strcmp(state_of(ic_shutdown_ic(ic_services_shutdown(w->s))), "ready"));
	INVARIANT(!strcmp(state_of(ic_heartbeat_ic(ic_services_heartbeat(w->s))), "ready"));
}

static void world_down(struct world *w, bool open)
{
	if (!open)
		for (uint32_t dev = 0; dev < DEVICES; dev++)
			close_chan(w, dev);
	ic_services_destroy(w->s, on_gone, w);
	for (int i = 0; i < 100 && !w->gone; i++)
		fake_bus_turn(w->bus);
	INVARIANT(w->gone && w->asked == w->answered && !w->deadline);
	fake_bus_destroy(w->bus);
	loop_destroy(w->loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	static struct world w;
	uint8_t flags = input_u8(&in);

	memset(&w, 0, sizeof(w));
	vtime_enter();
	world_up(&w);
	for (int i = 0; in.left && i < MAX_STEPS; i++) {
		step(&w, &in);
		fake_bus_turn(w.bus);
	}
	if (flags & 1)
		behave(&w);
	world_down(&w, flags & 2);
	vtime_leave();
	return 0;
}
