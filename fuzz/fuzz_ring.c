/* SPDX-License-Identifier: MIT */
/*
 * A ring whose other side does what the input says: honest packets, and stores of any
 * value to any shared word or byte between our steps. Our reader must only ever hand out
 * bytes inside the data area, never step twice over the same ones, and stay faulted once
 * it faulted; our writer must never claim room that was not consumed.
 *
 * The data area is two copies kept equal by hand, so that no mapping is needed.
 */
#include "fuzz/input.h"
#include "ringbuf/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define N 4096u

static struct vmring_ctrl ctrl;
static _Alignas(8) uint8_t area[2 * N];

static void mirror(void)
{
	memcpy(area + N, area, N);
}

/* A packet was written at @at, perhaps over the end: make the two copies equal again. */
static void mirror_packet(uint32_t at, uint32_t next)
{
	uint32_t end = next > at ? next : next + N;

	memcpy(area + N + at, area + at, (end < N ? end : N) - at);
	if (end > N)
		memcpy(area, area + N, end - N);
}

static void poke(struct input *in)
{
	uint32_t where = input_u16(in), value = input_u32(in);

	switch (where & 7) {
	case 0:
		ctrl.write_index = value;
		break;
	case 1:
		ctrl.read_index = value;
		break;
	case 2:
		ctrl.interrupt_mask = value;
		break;
	case 3:
		ctrl.pending_send_sz = value;
		break;
	case 4:
		ctrl.write_index = (value % (N / 8)) * 8;
		break;
	case 5:
		ctrl.read_index = (value % (N / 8)) * 8;
		break;
	default:
		memcpy(area + (where >> 3) % (N - 4), &value, sizeof(value));
		mirror();
	}
}

/* Any kind of packet; @how chooses, in-band data when it is 0. */
static int put(struct vmring_out *out, struct input *in, uint8_t how, uint64_t id,
	       const uint8_t *payload, uint32_t len)
{
	static const uint64_t pfn[24] = { 1, 2, 3, 5, 8, 13 };
	uint32_t count = how & 0xc0 ? input_u16(in) : 512;
	struct vmpkt_range_in gpa[3] = { { count, 8, pfn },
					 { 4096, 0, pfn },
					 { count / 2, 4095, pfn } };
	struct vmpkt_xfer_range xfer[2] = { { count, 0 }, { 8, 16 } };
	switch (how >> 1 & 7) {
	case 1:
		return vmpkt_put_completion(out, id, payload, len);
	case 2:
		return vmpkt_put_gpa_direct(out, how & 1, id, count, how & 0x10 ? 4000 : 0, pfn,
					    (uint32_t)vmpkt_pages(count, how & 0x10 ? 4000 : 0),
					    payload, len);
	case 3:
		return vmpkt_put_gpa_direct_multi(out, how & 1, id, gpa, how >> 4 & 3, payload,
						  len);
	case 4:
		return vmpkt_put_xfer_pages(out, how & 1, id, 7, xfer, how >> 4 & 1, payload, len);
	default:
		return vmpkt_put_inband(out, how & 1, id, payload, len);
	}
}

static void write_honest(struct vmring_out *out, struct input *in)
{
	uint32_t len = input_u8(in), at = out->next;
	uint8_t payload[256], how;
	int err;

	input_take(in, payload, len);
	how = input_u8(in);
	vmring_out_fetch(out, len);
	err = put(out, in, how, input_u64(in), payload, len);

	INVARIANT(err == 0 || err == -EAGAIN || err == -EPROTO || err == -EINVAL);
	if (!err)
		mirror_packet(at, out->next);
	vmring_out_commit(out);
	INVARIANT(out->next < N && out->next % 8 == 0 && out->peer_read < N);
}

static void read_some(struct vmring_in *r, struct input *in)
{
	uint32_t budget = input_u8(in) & 15, before = r->next;
	struct vmpkt_desc d;
	const uint8_t *p;
	uint64_t sum = 0;
	int err = 0;

	while (budget--) {
		err = vmring_in_peek(r, &d, &p);
		INVARIANT(err == 0 || err == -EAGAIN || err == -EPROTO);
		if (err)
			break;
		INVARIANT(p >= area && p + d.len8 * 8 + VMPKT_TRAILER <= area + 2 * N);
		INVARIANT(d.len8 >= 2 && d.offset8 >= 2 && d.offset8 <= d.len8);
		INVARIANT(1u << d.type & r->accept);
		for (uint32_t i = 0; i < d.len8 * 8u; i++)
			sum += p[i];
		vmring_in_pop(r, &d);
	}
	if (err == -EPROTO)
		INVARIANT(r->why != VMRING_OK && vmring_in_peek(r, &d, &p) == -EPROTO);
	vmring_in_commit(r);
	INVARIANT(r->next < N && r->next % 8 == 0);
	__asm__ volatile("" ::"r"(sum), "r"(before));
}

/* What @how says is in the ring before we come; both sides agree on whether one can begin. */
static int begin(struct vmring_out *out, struct vmring_in *r, struct input *in, uint8_t how)
{
	uint32_t bytes = how == 0xfd ? input_u32(in) : N;
	int err;

	if (how == 0xfe) {
		ctrl.write_index = input_u32(in);
		ctrl.read_index = input_u32(in);
	} else if (how & 1) {
		ctrl.write_index = ctrl.read_index = (input_u16(in) % (N / 8)) * 8;
	}
	if (bytes > N && bytes % VMRING_PAGE == 0)
		bytes += 8; /* there is no memory for more */
	err = vmring_out_init(out, &ctrl, area, bytes);
	INVARIANT(err ==
		  vmring_in_init(r, &ctrl, area, bytes, VMRING_ACCEPT_HOST | VMRING_ACCEPT_GUEST));
	INVARIANT(err == 0 || err == -EINVAL || err == -EPROTO);
	return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct vmring_out out;
	struct vmring_in r;

	memset(&ctrl, 0, sizeof(ctrl));
	memset(area, 0, sizeof(area));
	if (begin(&out, &r, &in, input_u8(&in)))
		return 0;
	while (in.left) {
		switch (input_u8(&in) & 7) {
		case 0:
		case 1:
			write_honest(&out, &in);
			break;
		case 2:
		case 3:
			read_some(&r, &in);
			break;
		case 4:
			vmring_in_mask(&r);
			break;
		case 5:
			vmring_in_unmask(&r);
			break;
		case 6:
			if (!vmring_out_want_space(&out, (input_u8(&in) & 0x7f) * 8 + 16))
				vmring_out_forget_space(&out);
			INVARIANT(vmring_out_free(&out) < N);
			break;
		default:
			poke(&in);
		}
	}
	return 0;
}
