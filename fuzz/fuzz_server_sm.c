/* SPDX-License-Identifier: MIT */
/*
 * The root's VMBus state machine against a guest that says anything at any time, while
 * devices come and go and answer in any order. Invariants after every step:
 *   - a GPADL that an open or closing device uses is never reported torn down
 *   - messages for the guest are well-formed and go to a VP that exists
 *   - the number of messages and GPADLs is bounded; relids are unique
 *   - once everything is answered after a reset, nothing is left
 */
#include <string.h>

#include "fuzz/input.h"
#include "vmbus/server_sm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define VPS	4u
#define DEVICES 3
#define PENDING 64

struct world {
	struct vmbus_sm *sm;
	struct vmbus_sm_chan *primary[DEVICES];
	struct vmbus_sm_action pending[PENDING]; /* taken, not answered */
	int nr_pending;
	bool reset_done;
};

static void forget_detached(struct world *w, const struct vmbus_sm_chan *ch)
{
	for (int i = 0; i < DEVICES; i++) {
		if (w->primary[i] == ch)
			w->primary[i] = NULL;
	}
}

static void take_actions(struct world *w)
{
	struct vmbus_sm_action a;

	while (w->nr_pending < PENDING && vmbus_sm_next_action(w->sm, &a)) {
		switch (a.type) {
		case VMBUS_SM_DETACHED:
			forget_detached(w, a.chan);
			break;
		case VMBUS_SM_RESET_DONE:
			w->reset_done = true;
			break;
		case VMBUS_SM_OPEN:
			INVARIANT(a.open->relid >= 1 && a.open->relid < 2048);
			INVARIANT(a.open->target_vp < VPS || a.open->target_vp == 0xffffffffu);
			/* fall through */
		default:
			w->pending[w->nr_pending++] = a;
		}
	}
}

static void answer(struct world *w, int i, int err)
{
	struct vmbus_sm_action a = w->pending[i];

	w->pending[i] = w->pending[--w->nr_pending];
	switch (a.type) {
	case VMBUS_SM_OPEN:
		vmbus_sm_opened(w->sm, a.chan, err);
		break;
	case VMBUS_SM_MODIFY:
		INVARIANT(a.target_vp < VPS);
		vmbus_sm_modified(w->sm, a.chan);
		break;
	case VMBUS_SM_CLOSE:
		vmbus_sm_closed(w->sm, a.chan);
		break;
	case VMBUS_SM_MAP:
		vmbus_sm_mapped(w->sm, a.gpadl, err);
		break;
	case VMBUS_SM_UNMAP:
		vmbus_sm_unmapped(w->sm, a.gpadl);
		break;
	default:
		INVARIANT(false);
	}
}

static void check_sends(struct world *w, int max)
{
	const struct vmbus_sm_send *s;

	while (max-- && (s = vmbus_sm_next_send(w->sm))) {
		uint32_t type;

		INVARIANT(s->vp < VPS && s->len >= 8 && s->len <= 240);
		memcpy(&type, &s->msg, sizeof(type));
		INVARIANT(type >= 1 && type <= 24);
		vmbus_sm_sent(w->sm);
	}
}

static void check_state(struct world *w)
{
	const struct vmbus_sm_chan *ch = NULL;
	uint8_t seen[2048 / 8] = { 0 };
	struct vmbus_sm_stats st;
	struct vmbus_sm_info in;

	vmbus_sm_stats(w->sm, &st);
	INVARIANT(vmbus_msg_name(st.last_drop_type));
	INVARIANT(st.gpadls <= VMBUS_SM_MAX_GPADLS && st.queued <= VMBUS_SM_MAX_QUEUE);
	while ((ch = vmbus_sm_next_chan(w->sm, ch))) {
		vmbus_sm_chan_info(ch, &in);
		INVARIANT(in.relid < 2048);
		if (!in.relid)
			continue;
		INVARIANT(!(seen[in.relid / 8] & 1u << in.relid % 8));
		seen[in.relid / 8] |= (uint8_t)(1u << in.relid % 8);
	}
}

static void guest_message(struct world *w, struct input *in)
{
	/* Most messages are of a real type with small numbers, so that they mean something. */
	uint8_t msg[240] = { 0 }, len = input_u8(in), how = input_u8(in);
	uint32_t type = how & 0x80 ? input_u32(in) : how & 31;

	len = len > sizeof(msg) ? (uint8_t)sizeof(msg) : len;
	memcpy(msg, &type, sizeof(type));
	if (len > 8)
		input_take(in, msg + 8, len - 8u);
	INVARIANT(vmbus_msg_fault_text(vmbus_msg_check(VMBUS_FROM_GUEST, VMBUS_V5_3, msg, len)));
	vmbus_sm_message(w->sm, how & 0x40 ? 1 : 4, msg, len);
}

static void add_device(struct world *w, uint8_t i)
{
	struct vmbus_sm_offer o = { .name = "fuzz" };

	i %= DEVICES;
	if (w->primary[i])
		return;
	o.type.b[0] = 1;
	o.instance.b[0] = i;
	if (vmbus_sm_offer(w->sm, &o, w, &w->primary[i]))
		w->primary[i] = NULL;
}

static void add_sub(struct world *w, struct vmbus_sm_chan *primary, uint8_t arg)
{
	struct vmbus_sm_chan *ch;

	vmbus_sm_offer_sub(w->sm, primary, (uint16_t)(1 + (arg >> 4)), w, &ch);
	if (arg & 8)
		vmbus_sm_offer_late(w->sm, primary);
}

static void step(struct world *w, struct input *in)
{
	uint8_t op = input_u8(in), arg = input_u8(in);
	struct vmbus_sm_chan *ch;

	switch (op & 15) {
	case 0:
		add_device(w, arg);
		break;
	case 1:
		if (w->primary[arg % DEVICES]) {
			ch = w->primary[arg % DEVICES];
			w->primary[arg % DEVICES] = NULL;
			vmbus_sm_revoke(w->sm, ch);
		}
		break;
	case 2:
		if (w->primary[arg % DEVICES])
			add_sub(w, w->primary[arg % DEVICES], arg);
		break;
	case 3:
		vmbus_sm_reset(w->sm);
		break;
	case 4:
	case 5:
	case 6:
		if (w->nr_pending)
			answer(w, arg % w->nr_pending, arg & 0x80 ? -5 : 0);
		break;
	case 7:
		check_sends(w, arg & 7);
		break;
	default:
		guest_message(w, in);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vmbus_sm_config cfg = { .nr_vps = VPS };
	struct input in = { data, size };
	struct world w = { 0 };
	struct vmbus_sm_stats st;
	int rounds;

	if (vmbus_sm_create(&w.sm, &cfg))
		return 0;
	add_device(&w, 0);
	while (in.left) {
		step(&w, &in);
		take_actions(&w);
		check_state(&w);
	}
	/* The guest is gone: with every answer given, everything must come back. */
	w.reset_done = false;
	vmbus_sm_reset(w.sm);
	for (rounds = 0; rounds < 100000; rounds++) {
		take_actions(&w);
		if (!w.nr_pending)
			break;
		answer(&w, 0, 0);
	}
	INVARIANT(w.reset_done);
	vmbus_sm_stats(w.sm, &st);
	INVARIANT(st.gpadls == 0 && st.gpadl_pages == 0 && st.queued == 0);
	vmbus_sm_destroy(w.sm);
	return 0;
}
