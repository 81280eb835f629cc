/* SPDX-License-Identifier: MIT */
/*
 * A storage controller with a hostile guest on real rings: well-formed SRBs with any CDB,
 * raw packets, pokes into ring memory, opens and closes at any time. Invariants:
 *   - a canary next to the disk's memory and the guest's other pages stay as they were
 *   - every completion has an id that was asked for and is not longer than its request
 *   - closing always comes to an end
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/log.h"
#include "fuzz/input.h"
#include "fuzz/vtime.h"
#include "tests/fake/fake_bus.h"
#include "vmbus/wire/vstor.h"
#include "vsp/storvsp/storvsp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMORY	   (512u << 10)
#define RING_PAGES 4u
#define DATA_PAGES 16u
#define DISK	   (256u << 10)
#define PLACES	   3 /* LUNs: a disk, one that comes and goes, a drive */

enum { FIXED, LOOSE, DRIVE };

struct world {
	struct loop *loop;
	struct vmbus_bus *bus;
	struct blk_dev *dev[PLACES];
	struct scsi_lun *lun[PLACES];
	struct scsi_target *target;
	struct storvsp *vsp;
	struct vmbus_chan *chan[2];
	uint64_t data, canary;
	uint64_t asked; /* requests sent with an honest packet */
	bool gone;
};

static void on_gone(void *ctx)
{
	((struct world *)ctx)->gone = true;
}

static void make_lun(struct world *w, uint8_t i)
{
	struct blk_config bc = { .engine = BLK_ENGINE_MEMORY, .size = DISK, .direct = -1 };
	struct scsi_lun_config uc = { .serial = "FUZZ", .max_transfer = 262144 };
	char why[128];

	bc.readonly = i == DRIVE;
	INVARIANT(!blk_dev_open(&w->dev[i], &bc, why, sizeof(why)));
	uc.dev = w->dev[i];
	uc.type = i == DRIVE ? SCSI_DVD : SCSI_DISK;
	INVARIANT(!scsi_lun_create(&w->lun[i], &uc));
	INVARIANT(!scsi_target_attach(w->target, i, w->lun[i]));
}

static void world_up(struct world *w)
{
	struct loop_config lc = { .engine = LOOP_EPOLL, .name = "fuzz" };
	struct storvsp_config cfg = {
		.max_subchannels = 1, .queue_depth = 32, .name = "fuzz", .stuck_ms = 2000
	};
	static int silence;

	if (!silence) { /* failures are what we ask for */
		silence = open("/dev/null", O_WRONLY | O_CLOEXEC);
		log_set_fd(silence);
	}
	INVARIANT(!loop_create(&w->loop, &lc));
	w->bus = fake_bus_create(w->loop, MEMORY);
	w->data = fake_bus_alloc(w->bus, DATA_PAGES);
	w->canary = fake_bus_alloc(w->bus, 1);
	memset(fake_bus_ptr(w->bus, w->canary), 0xa5, 4096);
	INVARIANT(!scsi_target_create(&w->target));
	for (uint8_t i = 0; i < PLACES; i++)
		make_lun(w, i);
	INVARIANT(!storvsp_create(&w->vsp, w->bus, w->target, &cfg));
}

static void no_faults(struct world *w)
{
	for (int i = 0; i < PLACES; i++)
		blk_dev_fault_remove(w->dev[i], 0);
}

static void close_chan(struct world *w, uint16_t sub)
{
	if (!w->chan[sub])
		return;
	no_faults(w); /* what is held for ever keeps a channel from closing */
	fake_bus_close(w->bus, 0, sub);
	for (int i = 0; i < 10000 && !fake_bus_closed(w->bus, 0, sub); i++) {
		vtime_pass(1000000);
		fake_bus_turn(w->bus);
	}
	INVARIANT(fake_bus_closed(w->bus, 0, sub));
	w->chan[sub] = NULL;
}

static void world_down(struct world *w)
{
	const uint8_t *c = fake_bus_ptr(w->bus, w->canary);

	no_faults(w);
	close_chan(w, 1);
	close_chan(w, 0);
	for (int i = 0; i < 4096; i++)
		INVARIANT(c[i] == 0xa5);
	storvsp_destroy(w->vsp, on_gone, w);
	for (int i = 0; i < 10000 && !w->gone; i++) {
		vtime_pass(1000000);
		fake_bus_turn(w->bus);
	}
	INVARIANT(w->gone);
	scsi_target_destroy(w->target);
	for (int i = 0; i < PLACES; i++) {
		scsi_lun_destroy(w->lun[i]);
		blk_dev_close(w->dev[i]);
	}
	fake_bus_destroy(w->bus);
	loop_destroy(w->loop);
}

static void open_chan(struct world *w, uint16_t sub)
{
	if (!w->chan[sub] && fake_bus_open(w->bus, 0, sub, RING_PAGES, &w->chan[sub]))
		w->chan[sub] = NULL;
}

static void drain(struct world *w, struct vmbus_chan *c)
{
	struct vmpkt p;

	while (c && vmbus_chan_recv(c, &p) > 0) {
		INVARIANT(p.type == VMPKT_COMPLETION ||
			  (p.type == VMPKT_INBAND && p.trans_id == 0));
		INVARIANT(p.payload_len <= 64);
	}
	if (c)
		vmbus_chan_recv_done(c);
	(void)w;
}

static void send_control(struct vmbus_chan *c, struct input *in)
{
	static const uint8_t usual[] = { 7, 9, 10, 8, 13, 3, 4, 5, 6, 11 };
	uint8_t p[64] = { 0 }, how = input_u8(in);

	p[0] = how & 0x80 ? how : usual[how % sizeof(usual)];
	p[4] = 1;
	if (p[0] == 9)
		p[12] = 2, p[13] = 6; /* version 6.2 unless the input says otherwise */
	if (how & 0x40)
		input_take(in, p + 12, 8);
	vmbus_chan_send(c, how & 0x20 ? 0 : 1, 0x100u + how, p, how & 0x10 ? 48 : 64);
}

static void init_all(struct world *w)
{
	static const uint8_t ops[] = { 7, 9, 10, 8 };

	for (size_t i = 0; i < sizeof(ops); i++) {
		uint8_t p[64] = { ops[i], 0, 0, 0, 1 };

		if (ops[i] == 9)
			p[12] = 2, p[13] = 6;
		vmbus_chan_send(w->chan[0], 1, 1 + i, p, 64);
	}
}

/* An SRB that is right in form; CDB, buffer and claims are the input's. */
static void send_srb(struct world *w, struct vmbus_chan *c, struct input *in)
{
	static const uint8_t opcodes[] = { 0x00, 0x03, 0x08, 0x0a, 0x12, 0x1a, 0x1b, 0x25,
					   0x28, 0x2a, 0x35, 0x41, 0x42, 0x5a, 0x88, 0x8a,
					   0x91, 0x93, 0x9e, 0xa0, 0xa8, 0xaa };
	uint8_t p[64] = { 3, 0, 0, 0, 1 }, how = input_u8(in), pages;
	uint32_t len = input_u16(in), offset = input_u16(in) & 0xfff;
	uint64_t pfn[DATA_PAGES + 1];

	p[12] = 52;
	p[18] = how & 8 ? input_u8(in) : 0;
	p[19] = how & 16 ? input_u8(in) : 0;
	p[20] = how & 32 ? input_u8(in) : 16;
	p[21] = 20;
	p[22] = how & 3;
	input_take(in, p + 28, 16);
	if (!(how & 0x80))
		p[28] = opcodes[p[28] % sizeof(opcodes)];
	len &= 0x7fff;
	memcpy(p + 24, &len, 4);
	if (how & 64)
		input_take(in, p + 24, 4);
	pages = (uint8_t)((offset + len + 4095) / 4096);
	if (!len || pages > DATA_PAGES) {
		vmbus_chan_send(c, 1, 0x1000u + how, p, 64);
		return;
	}
	for (uint8_t i = 0; i < pages; i++)
		pfn[i] = w->data / 4096 + i;
	if (how & 4) { /* a wild page, but never the canary */
		pfn[pages - 1] = input_u64(in);
		if (pfn[pages - 1] == w->canary / 4096)
			pfn[pages - 1]++;
	}
	vmbus_chan_send_gpa_direct(c, 1, 0x2000u + how, len, offset, pfn, pages, p, 64);
}

static void send_raw(struct vmbus_chan *c, struct input *in)
{
	uint8_t bytes[256], len = input_u8(in), flags;

	input_take(in, bytes, len);
	flags = input_u8(in) & 1;
	vmbus_chan_send(c, flags, input_u64(in), bytes, len);
}

static void poke(struct world *w, uint16_t sub, struct input *in)
{
	const struct hv_gpa_view *v = fake_bus_guest_out(w->bus, 0, sub);
	uint32_t where = input_u16(in), value = input_u32(in);

	if (!v || !v->ctrl || !w->chan[sub])
		return;
	if (where & 1)
		memcpy((uint8_t *)v->ctrl + (where >> 1) % 64, &value, sizeof(value));
	else
		memcpy(v->data + (where >> 1) % (v->size - 4), &value, sizeof(value));
}

static void inject(struct world *w, struct input *in)
{
	static const int errors[] = { -EIO, -ENOSPC, -EILSEQ, 0 };
	uint8_t how = input_u8(in);
	struct blk_fault f = { .ops = 1u << how % BLK_OP_COUNT,
			       .error = errors[how >> 6],
			       .stuck = how & 0x20,
			       .delay_us = how & 0x10 ? 5000000 : 1,
			       .times = 2 };

	blk_dev_fault_add(w->dev[how & 8 ? LOOSE : FIXED], &f, NULL);
}

/* A disk is taken away under the guest, and comes back when nobody uses it any more. */
static void take_and_return(struct world *w)
{
	scsi_target_detach(w->target, LOOSE);
	storvsp_release_lun(w->vsp, LOOSE);
	storvsp_bus_changed(w->vsp);
	no_faults(w);
	for (int i = 0; i < 10000 && storvsp_releasing(w->vsp, LOOSE); i++) {
		vtime_pass(1000000);
		fake_bus_turn(w->bus);
	}
	INVARIANT(!storvsp_releasing(w->vsp, LOOSE));
	INVARIANT(!scsi_target_attach(w->target, LOOSE, w->lun[LOOSE]));
}

static void host_event(struct world *w, uint8_t what, struct input *in)
{
	struct storvsp_stuck stuck[4];
	struct storvsp_stats st;

	switch (what) {
	case 1:
		vtime_pass(input_u8(in) * 100000000ull);
		break;
	case 2:
		inject(w, in);
		break;
	case 3:
		no_faults(w);
		break;
	case 4:
		take_and_return(w);
		break;
	case 5:
		scsi_lun_set_medium(w->lun[DRIVE], input_u8(in) & 1 ? w->dev[DRIVE] : NULL, NULL,
				    NULL);
		storvsp_medium_changed(w->vsp);
		break;
	case 6:
		scsi_lun_resized(w->lun[FIXED]);
		storvsp_bus_changed(w->vsp);
		break;
	case 7:
		storvsp_stats(w->vsp, &st);
		INVARIANT(storvsp_stuck(w->vsp, stuck, 4) <= 4);
		storvsp_oldest_ns(w->vsp, LOOSE);
		break;
	}
	fake_bus_turn(w->bus);
}

static void step(struct world *w, struct input *in)
{
	uint8_t op = input_u8(in);
	uint16_t sub = op >> 7;
	struct vmbus_chan *c = w->chan[sub];

	switch (op & 15) {
	case 0:
		open_chan(w, sub);
		return;
	case 1:
		close_chan(w, sub);
		return;
	case 2:
		host_event(w, op >> 4 & 7, in);
		return;
	case 3:
		drain(w, c);
		return;
	case 4:
		poke(w, sub, in);
		return;
	default:
		break;
	}
	if (!c)
		return;
	if ((op & 15) == 5)
		send_raw(c, in);
	else if ((op & 15) < 8)
		send_control(c, in);
	else
		send_srb(w, c, in);
	vmbus_chan_flush(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct world w = { 0 };
	uint8_t flags = input_u8(&in);

	vtime_enter();
	world_up(&w);
	open_chan(&w, 0);
	if (flags & 1 && w.chan[0]) {
		init_all(&w);
		vmbus_chan_flush(w.chan[0]);
		fake_bus_settle(w.bus, 100);
		drain(&w, w.chan[0]);
	}
	while (in.left) {
		step(&w, &in);
		fake_bus_turn(w.bus);
	}
	world_down(&w);
	vtime_leave();
	return 0;
}
