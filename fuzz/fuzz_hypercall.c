/* SPDX-License-Identifier: MIT */
/*
 * Hypercalls and SynIC registers of a hostile guest that also writes its own memory, between
 * ports that come and go and a root that posts messages and signals events. A second reading
 * of the rules says what each call has to answer. What must hold besides:
 *   - nothing of guest memory changes but the pages that are message or event pages now
 *   - no interrupt of a masked SINT, of a SINT or VP that is not there
 *   - a message port is called with what was in the input block, a doorbell rings as often as
 *     it was signalled; refused calls do neither
 *   - registers read back what was accepted
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fuzz/input.h"
#include "fuzz/vtime.h"
#include "hv-core/guest.h"
#include "hv-core/hypercall.h"
#include "hv-core/port.h"
#include "hv-core/synic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define VPS	  3u
#define PAGES	  8u
#define RAM_BYTES (PAGES * 4096u)
#define RAM_GPA	  0x4000u /* not 0: there is no RAM below */
#define PORTS	  8u
#define MAX_PORTS 6u

enum kind { NO_PORT, MESSAGE_PORT, EVENT_PORT };

struct vp {
	uint64_t scontrol, simp, siefp, sint[HV_SINT_COUNT];
};

static struct world {
	struct loop *loop;
	struct hv_partition *p;
	enum kind port[PORTS];
	uint32_t nr_ports;
	struct vp vp[VPS];
	uint64_t raised, messages; /* calls of the core */
	uint32_t last_len;
	uint8_t last[HV_MSG_PAYLOAD];
	enum hv_status verdict; /* of the message port */
	bool stopped;
} w;

static struct hv_gpa *gpa; /* the same for all runs, like the doorbell */
static uint8_t *ram, before[RAM_BYTES];
static int bell;

/* ---- the backend and the ports -------------------------------------------------------- */

static void on_raise(void *backend, uint32_t vp, uint32_t sint)
{
	(void)backend;
	INVARIANT(vp < VPS && sint < HV_SINT_COUNT && !w.stopped);
	w.raised++;
}

static void on_stop(void *backend)
{
	(void)backend;
	w.stopped = true;
}

static void on_retry(void *ctx)
{
	(void)ctx;
}

static enum hv_status on_message(void *ctx, uint32_t connection_id, const void *payload,
				 uint32_t len)
{
	(void)ctx;
	INVARIANT(connection_id < PORTS && w.port[connection_id] == MESSAGE_PORT);
	INVARIANT(len <= HV_MSG_PAYLOAD);
	memcpy(w.last, payload, len);
	w.last_len = len;
	w.messages++;
	return w.verdict;
}

static uint64_t bell_rings(void)
{
	eventfd_t n = 0;

	return eventfd_read(bell, &n) ? 0 : n;
}

/* ---- what a call has to answer ---------------------------------------------------------- */

struct call {
	uint64_t control, in;
	const void *block;
	uint32_t block_len;
};

struct expected {
	enum hv_status status;
	bool rings, delivers;
	struct hv_post_message_input msg;
};

static bool in_ram(uint64_t at, uint32_t len)
{
	return at >= RAM_GPA && at - RAM_GPA <= RAM_BYTES && len <= RAM_BYTES - (at - RAM_GPA);
}

/* The input block as it is now. */
static enum hv_status fetch(const struct call *c, void *out, uint32_t len)
{
	if (c->control & HV_CALL_FAST) {
		if (len > 8)
			return HV_STATUS_INVALID_HYPERCALL_INPUT;
		memcpy(out, &c->in, len);
		return HV_STATUS_SUCCESS;
	}
	if (c->block) {
		if (c->block_len < len)
			return HV_STATUS_INVALID_PARAMETER;
		memcpy(out, c->block, len);
		return HV_STATUS_SUCCESS;
	}
	if (c->in % 8 || c->in / 4096 != (c->in + len - 1) / 4096)
		return HV_STATUS_INVALID_ALIGNMENT;
	if (!in_ram(c->in, len))
		return HV_STATUS_INVALID_PARAMETER;
	memcpy(out, ram + (c->in - RAM_GPA), len);
	return HV_STATUS_SUCCESS;
}

static void expect_post(struct expected *e)
{
	uint32_t id = e->msg.connection_id;

	if (e->msg.payload_size > HV_MSG_PAYLOAD || e->msg.reserved || !e->msg.message_type ||
	    e->msg.message_type >= 0x80000000u)
		e->status = HV_STATUS_INVALID_PARAMETER;
	else if (id >= PORTS || w.port[id] == NO_PORT)
		e->status = HV_STATUS_INVALID_CONNECTION_ID;
	else if (w.port[id] == EVENT_PORT)
		e->status = HV_STATUS_INVALID_PORT_ID;
	else
		e->delivers = e->msg.message_type == HV_MESSAGE_VMBUS;
	if (e->delivers)
		e->status = w.verdict;
}

static void expect_signal(struct expected *e, const struct hv_signal_event_input *in)
{
	uint32_t id = in->connection_id;

	if (in->reserved)
		e->status = HV_STATUS_INVALID_PARAMETER;
	else if (id >= PORTS || w.port[id] == NO_PORT)
		e->status = HV_STATUS_INVALID_CONNECTION_ID;
	else if (w.port[id] == MESSAGE_PORT)
		e->status = HV_STATUS_INVALID_PORT_ID;
	else if (in->flag_number)
		e->status = HV_STATUS_INVALID_PARAMETER;
	else
		e->rings = true;
}

static struct expected expect(const struct call *c)
{
	static const uint16_t denied[] = { 0x46, 0x58, 0x5b, 0x95, 0x96, 0xc0, 0xc1, 0x8001 };
	struct expected e = { .status = HV_STATUS_SUCCESS };
	struct hv_signal_event_input signal;
	uint16_t code = (uint16_t)c->control;

	for (size_t i = 0; i < ARRAY_SIZE(denied); i++)
		if (code == denied[i])
			e.status = HV_STATUS_ACCESS_DENIED;
	if (e.status)
		return e;
	if (code != HV_CALL_POST_MESSAGE && code != HV_CALL_SIGNAL_EVENT)
		e.status = HV_STATUS_INVALID_HYPERCALL_CODE;
	else if (c->control >> 17 & ~(1ull << 14)) /* all but bit 31, which is ignored */
		e.status = HV_STATUS_INVALID_HYPERCALL_INPUT;
	else if (code == HV_CALL_POST_MESSAGE)
		e.status = fetch(c, &e.msg, sizeof(e.msg));
	else
		e.status = fetch(c, &signal, sizeof(signal));
	if (!e.status && code == HV_CALL_POST_MESSAGE)
		expect_post(&e);
	else if (!e.status)
		expect_signal(&e, &signal);
	return e;
}

/* ---- the guest -------------------------------------------------------------------------- */

static uint64_t some_address(struct input *in)
{
	uint8_t how = input_u8(in);
	uint16_t at = input_u16(in);

	if (how == 0xff)
		return input_u64(in);
	if (how & 1)
		return RAM_GPA + (at & ~7ull) % RAM_BYTES;
	return RAM_GPA + (how >> 1) % PAGES * 4096ull + (at & 1 ? at % 4096u : 0);
}

static void poke(struct input *in)
{
	uint32_t at = (uint32_t)((some_address(in) - RAM_GPA) % (RAM_BYTES - 256));
	uint8_t n = input_u8(in);

	input_take(in, ram + at, n % 64);
}

/* A message input block, right unless the input says otherwise. */
static void fill_post(struct input *in, struct hv_post_message_input *m)
{
	uint8_t how = input_u8(in);

	memset(m, 0, sizeof(*m));
	m->connection_id = how % 16;
	m->message_type = how & 0x10 ? input_u32(in) : HV_MESSAGE_VMBUS;
	m->payload_size = how & 0x20 ? input_u32(in) : input_u8(in) % 241;
	if (how & 0x40)
		m->reserved = input_u8(in);
	if (how & 0x80)
		m->connection_id = input_u32(in);
	input_take(in, m->payload, 16);
}

static uint64_t some_control(struct input *in)
{
	static const uint16_t codes[] = { HV_CALL_POST_MESSAGE, HV_CALL_SIGNAL_EVENT };
	uint8_t how = input_u8(in);
	uint64_t control = how & 0x40 ? input_u16(in) : codes[how & 1];

	if (how & 2)
		control |= HV_CALL_FAST;
	if (how & 0x80)
		control ^= 1ull << input_u8(in) % 64;
	return control;
}

static void check_call(const struct expected *e, uint64_t result, uint64_t messages)
{
	INVARIANT(result == (uint64_t)e->status);
	INVARIANT(w.messages == messages + e->delivers);
	if (!e->delivers)
		return;
	INVARIANT(w.last_len == e->msg.payload_size);
	INVARIANT(!memcmp(w.last, e->msg.payload, w.last_len));
}

static void call_by_address(struct input *in)
{
	struct call c = { .control = some_control(in) };
	struct hv_post_message_input m;
	uint64_t messages = w.messages, result;
	struct expected e;
	uint8_t how = input_u8(in);

	c.in = how & 1 ? input_u8(in) % 16 : some_address(in);
	if (how & 2)
		c.in = input_u64(in);
	if (how & 4 && in_ram(c.in, sizeof(m))) {
		fill_post(in, &m);
		memcpy(ram + (c.in - RAM_GPA), &m, sizeof(m));
		memcpy(before + (c.in - RAM_GPA), &m, sizeof(m));
	}
	e = expect(&c);
	result = hv_hypercall(w.p, c.control, c.in, input_u8(in));
	check_call(&e, result, messages);
	INVARIANT(bell_rings() == e.rings);
}

static void call_by_value(struct input *in)
{
	struct hv_post_message_input m;
	struct call c = { .control = some_control(in), .block = &m, .block_len = sizeof(m) };
	uint64_t messages = w.messages, result;
	uint8_t how = input_u8(in);
	struct expected e;
	int fd = -2;

	c.in = how & 1 ? input_u64(in) : how >> 4;
	fill_post(in, &m);
	if (how & 2)
		c.block_len = input_u8(in);
	e = expect(&c);
	result = hv_hypercall_by_value(w.p, c.control, c.in, c.block, c.block_len, &fd);
	check_call(&e, result, messages);
	INVARIANT(fd == (e.rings ? bell : -1)); /* and is not rung for the guest */
	INVARIANT(!bell_rings());
}

static uint32_t some_register(struct input *in)
{
	uint8_t how = input_u8(in);

	return how == 0xff ? input_u32(in) : HV_MSR_SCONTROL + how % 40;
}

/* Which word of @v is @reg; NULL: none of its own. */
static uint64_t *model_of(struct vp *v, uint32_t reg)
{
	if (reg >= HV_MSR_SINT0 && reg < HV_MSR_SINT0 + HV_SINT_COUNT)
		return &v->sint[reg - HV_MSR_SINT0];
	return reg == HV_MSR_SCONTROL ? &v->scontrol
	       : reg == HV_MSR_SIMP   ? &v->simp
	       : reg == HV_MSR_SIEFP  ? &v->siefp
				      : NULL;
}

static bool acceptable(uint32_t reg, uint64_t value)
{
	if (reg >= HV_MSR_SINT0 && reg < HV_MSR_SINT0 + HV_SINT_COUNT)
		return value & HV_SINT_MASKED || (value & 0xff) >= 16;
	if (reg == HV_MSR_SIMP || reg == HV_MSR_SIEFP)
		return !(value & 1) || in_ram(value & ~0xfffull, 4096);
	return reg == HV_MSR_SCONTROL || reg == HV_MSR_EOM || reg == HV_MSR_SIRBP;
}

static void write_register(struct input *in)
{
	uint8_t how = input_u8(in);
	uint32_t vp = how % (VPS + 1), reg = some_register(in);
	uint64_t value = how & 0x10 ? input_u64(in) : some_address(in) & ~0xfffull, *model;
	bool good = vp < VPS && acceptable(reg, value | (how >> 7));

	value |= how >> 7; /* ENABLE */
	if (how & 0x20)
		value = (value & ~0x100ffull) | 0xf3;
	if (how & 0x20)
		good = vp < VPS && acceptable(reg, value);
	INVARIANT(hv_synic_write(w.p, vp, reg, value) == (good ? 0 : -EINVAL));
	model = good ? model_of(&w.vp[vp], reg) : NULL;
	if (model)
		*model = value;
}

static void read_register(struct input *in)
{
	uint32_t vp = input_u8(in) % (VPS + 1), reg = some_register(in);
	const uint64_t *model = vp < VPS ? model_of(&w.vp[vp], reg) : NULL;
	uint64_t value = 0xa5a5;
	bool there = model || (vp < VPS && (reg == HV_MSR_SVERSION || reg == HV_MSR_EOM ||
					    reg == HV_MSR_SIRBP));

	INVARIANT(hv_synic_read(w.p, vp, reg, &value) == (there ? 0 : -EINVAL));
	if (model)
		INVARIANT(value == *model);
	else
		INVARIANT(!there || value == (reg == HV_MSR_SVERSION));
}

static void *page_of(uint32_t vp, uint64_t reg)
{
	bool on = w.vp[vp].scontrol & reg & 1;

	return on ? ram + ((reg & ~0xfffull) - RAM_GPA) : NULL;
}

static void forget_flag(void *ctx, uint32_t flag)
{
	(void)ctx;
	INVARIANT(flag < HV_FLAG_COUNT);
}

static void guest_takes(struct input *in)
{
	uint8_t how = input_u8(in), vp = how % VPS, sint = how >> 4;
	struct hv_message_page *messages = page_of(vp, w.vp[vp].simp);
	struct hv_event_flags_page *events = page_of(vp, w.vp[vp].siefp);
	struct hv_message m;
	bool eom = false;

	if (messages && hv_guest_take_message(&messages->slot[sint], &m, &eom))
		INVARIANT(m.payload_size <= HV_MSG_PAYLOAD);
	if (events)
		hv_guest_take_events(events->flags[sint], forget_flag, NULL);
	if (eom)
		INVARIANT(!hv_synic_write(w.p, vp, HV_MSR_EOM, 0));
}

/* ---- the root ----------------------------------------------------------------------------- */

static void make_port(struct input *in)
{
	uint8_t how = input_u8(in);
	uint32_t id = how & 0x80 ? input_u32(in) | 0x01000000u : how % PORTS;
	bool event = how & 0x10;
	int err = event ? hv_port_create_event(w.p, id, bell)
			: hv_port_create_message(w.p, id, on_message, NULL);

	INVARIANT(err == (how & 0x80		    ? -EINVAL
			  : w.port[id] != NO_PORT   ? -EEXIST
			  : w.nr_ports >= MAX_PORTS ? -ENOSPC
						    : 0));
	if (err)
		return;
	w.port[id] = event ? EVENT_PORT : MESSAGE_PORT;
	w.nr_ports++;
}

static void drop_port(uint8_t id)
{
	hv_port_delete(w.p, id);
	if (id >= PORTS || w.port[id] == NO_PORT)
		return;
	w.port[id] = NO_PORT;
	w.nr_ports--;
}

static bool open_sint(uint32_t vp, uint32_t sint)
{
	return !(w.vp[vp].sint[sint] & HV_SINT_MASKED);
}

static void post_to_guest(struct input *in)
{
	uint8_t how = input_u8(in), len = input_u8(in), payload[255] = { 0 };
	uint32_t vp = how % (VPS + 1), sint = how >> 2 & 31;
	struct hv_message_page *page = vp < VPS ? page_of(vp, w.vp[vp].simp) : NULL;
	uint64_t raised = w.raised;
	bool busy = page && sint < 16 && page->slot[sint].type;
	int err;

	input_take(in, payload, 8);
	err = hv_synic_post_message(w.p, vp, sint, 1 + (how >> 7), payload, len);
	if (vp >= VPS || sint >= 16 || len > HV_MSG_PAYLOAD) {
		INVARIANT(err == -EINVAL);
		return;
	}
	INVARIANT(err == (page && !busy ? 0 : -EAGAIN));
	INVARIANT(w.raised == raised || (!err && open_sint(vp, sint)));
	if (err)
		return;
	INVARIANT(page->slot[sint].type == 1u + (how >> 7) && page->slot[sint].payload_size == len);
	INVARIANT(!memcmp(page->slot[sint].payload, payload, len));
}

static void signal_guest(struct input *in)
{
	uint8_t how = input_u8(in);
	uint32_t vp = how % (VPS + 1), sint = how >> 2 & 31, flag = input_u16(in) % 2304;
	struct hv_event_flags_page *page = vp < VPS ? page_of(vp, w.vp[vp].siefp) : NULL;
	uint64_t raised = w.raised;
	int err = hv_synic_signal_event(w.p, vp, sint, flag);

	if (vp >= VPS || sint >= 16 || flag >= HV_FLAG_COUNT) {
		INVARIANT(err == -EINVAL);
		return;
	}
	INVARIANT(err == (page && open_sint(vp, sint) ? 0 : -ENXIO));
	INVARIANT(w.raised == raised || !err);
	if (!err)
		INVARIANT(page->flags[sint][flag / 32] & 1u << flag % 32);
}

static void let_time_pass(uint8_t ms)
{
	vtime_pass(ms * 10000000ull);
	INVARIANT(loop_turn(w.loop, 0) >= 0);
}

/* ---- a run ---------------------------------------------------------------------------------- */

/* Every page that is no message or event page is as the guest left it. */
static void check_memory(void)
{
	bool may_change[PAGES] = { false };

	for (uint32_t i = 0; i < VPS; i++) {
		const uint64_t reg[2] = { w.vp[i].simp, w.vp[i].siefp };

		for (int k = 0; k < 2; k++)
			if (reg[k] & 1)
				may_change[(reg[k] - RAM_GPA) / 4096] = true;
	}
	for (uint32_t i = 0; i < PAGES; i++) {
		if (may_change[i])
			memcpy(before + i * 4096, ram + i * 4096, 4096);
		else
			INVARIANT(!memcmp(ram + i * 4096, before + i * 4096, 4096));
	}
}

static void step(struct input *in)
{
	uint8_t op = input_u8(in) % 16;

	switch (op) {
	case 0:
		poke(in);
		memcpy(before, ram, RAM_BYTES);
		return;
	case 1:
	case 2:
	case 3:
		write_register(in);
		break;
	case 4:
		read_register(in);
		break;
	case 5:
	case 6:
		call_by_address(in);
		break;
	case 7:
	case 8:
		call_by_value(in);
		break;
	case 9:
		make_port(in);
		break;
	case 10:
		drop_port(input_u8(in) % (PORTS + 2));
		break;
	case 11:
		post_to_guest(in);
		break;
	case 12:
		signal_guest(in);
		break;
	case 13:
		let_time_pass(input_u8(in));
		break;
	case 14:
		guest_takes(in);
		memcpy(before, ram, RAM_BYTES); /* the guest wrote */
		return;
	default:
		w.verdict = input_u8(in) & 1 ? HV_STATUS_INSUFFICIENT_BUFFERS : HV_STATUS_SUCCESS;
	}
	check_memory();
}

static void make_ram(void)
{
	int fd = hv_memfd_create("fuzz", RAM_BYTES);

	bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	INVARIANT(fd >= 0 && bell >= 0 && !hv_gpa_create(&gpa));
	INVARIANT(!hv_gpa_add_ram(gpa, RAM_GPA, RAM_BYTES, fd, 0));
	close(fd);
	ram = hv_gpa_ptr(gpa, RAM_GPA, RAM_BYTES);
}

static void up(void)
{
	static const struct hv_backend_ops ops = { .kind = "fuzz",
						   .raise = on_raise,
						   .stop = on_stop };
	struct hv_partition_config cfg = { .name = "fuzz", .nr_vps = VPS, .max_ports = MAX_PORTS };
	struct loop_config lc = { .engine = LOOP_EPOLL };

	if (!gpa)
		make_ram();
	memset(ram, 0, RAM_BYTES);
	memset(before, 0, RAM_BYTES);
	memset(&w, 0, sizeof(w));
	bell_rings();
	INVARIANT(!loop_create(&w.loop, &lc));
	cfg.gpa = gpa;
	hv_gpa_get(gpa); /* the partition takes one */
	INVARIANT(!hv_partition_create(&w.p, w.loop, &cfg, &ops, NULL));
	hv_synic_on_retry(w.p, on_retry, NULL);
	for (uint32_t i = 0; i < VPS; i++) {
		w.vp[i].scontrol = HV_SCONTROL_ENABLE;
		for (int s = 0; s < HV_SINT_COUNT; s++)
			w.vp[i].sint[s] = HV_SINT_MASKED;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct hv_partition_stats st;

	vtime_enter();
	up();
	while (in.left)
		step(&in);
	hv_partition_stats(w.p, &st);
	INVARIANT(st.ports == w.nr_ports);
	hv_partition_destroy(w.p);
	INVARIANT(w.stopped);
	loop_destroy(w.loop);
	vtime_leave();
	return 0;
}
