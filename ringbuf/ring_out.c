/* SPDX-License-Identifier: MIT */
/*
 * The writing side of a ring: attaching, refreshing the peer's read index, and
 * asking for space. What happens per packet is inline in ring.h.
 */
#include "ringbuf/ring.h"

static int fault(struct vmring_out *r, enum vmring_fault why)
{
	if (r->why == VMRING_OK)
		r->why = why;
	r->room = 0;		/* every reserve ends up in the slow path, which refuses */
	r->next = r->published; /* and nothing more is published */
	return -EPROTO;
}

/* Bytes a reader at @read leaves the writer at @next, keeping one unit so that full != empty. */
static uint32_t usable(const struct vmring_out *r, uint32_t read, uint32_t next)
{
	uint32_t used = next >= read ? next - read : next + r->size - read;

	return r->size - used - 8;
}

/* Loads the peer's index once and checks it. 0 or -EPROTO. */
static int refresh(struct vmring_out *r)
{
	/* Acquire: pairs with the release in vmring_in_commit(), no store into bytes still read. */
	uint32_t read = load_acquire(&r->ctrl->read_index);
	uint32_t moved, outstanding;

	if (r->why != VMRING_OK)
		return -EPROTO;
	if (read >= r->size || read % 8)
		return fault(r, VMRING_BAD_READ_INDEX);
	/*
	 * The reader can have moved at most over what was published: not further,
	 * which would free bytes nobody read, and not back, which looks the same.
	 */
	moved = read >= r->peer_read ? read - r->peer_read : read + r->size - r->peer_read;
	outstanding = r->published >= r->peer_read ? r->published - r->peer_read
						   : r->published + r->size - r->peer_read;
	if (moved > outstanding)
		return fault(r, VMRING_BAD_READ_INDEX);
	r->peer_read = read;
	r->room = usable(r, read, r->next);
	return 0;
}

int vmring_out_init(struct vmring_out *r, struct vmring_ctrl *ctrl, void *data, uint32_t size)
{
	uint32_t write, read;

	if (size == 0 || size % VMRING_PAGE || size > 1u << 30)
		return -EINVAL;
	write = load_relaxed(&ctrl->write_index);
	read = load_acquire(&ctrl->read_index);
	if (write >= size || write % 8 || read >= size || read % 8)
		return -EPROTO;
	*r = (struct vmring_out){
		.ctrl = ctrl,
		.data = data,
		.size = size,
		.next = write,
		.published = write,
		.peer_read = read,
	};
	r->room = usable(r, read, write);
	store_relaxed(&ctrl->pending_send_sz, 0);
	store_relaxed(&ctrl->feature_bits,
		      load_relaxed(&ctrl->feature_bits) | VMRING_FEATURE_PENDING_SEND_SZ);
	return 0;
}

NOINLINE int vmring_out_reserve_slow(struct vmring_out *r, uint32_t len)
{
	if (r->why != VMRING_OK)
		return -EPROTO;
	if (len > VMPKT_MAX_LEN || len + VMPKT_TRAILER > r->size - 8)
		return -EMSGSIZE;
	if (refresh(r))
		return -EPROTO;
	if (len + VMPKT_TRAILER > r->room)
		return -EAGAIN;
	vmring_out_forget_space(r);
	return 0;
}

void vmring_out_fetch(const struct vmring_out *r, uint32_t len)
{
	uint8_t *pkt = r->data + r->next;

	/* Never lines that still hold what the reader reads; all within the double mapping. */
	if (r->room >= len)
		for (uint32_t at = 0; at < len; at += CACHE_LINE)
			prefetch_for_store(pkt + at);
}

bool vmring_out_want_space(struct vmring_out *r, uint32_t len)
{
	uint32_t need = len + VMPKT_TRAILER;

	if (r->why != VMRING_OK || len > VMPKT_MAX_LEN || need > r->size - 8)
		return false;
	r->pending = need > r->size / 4 ? need : r->size / 4;
	store_relaxed(&r->ctrl->pending_send_sz, r->pending); /* B1 */
	/*
	 * Fence B2 pairs with C2 in vmring_in_commit(): the wish must be visible
	 * before we look at the reader's index a last time (spec: ring, 10.4).
	 */
	full_fence();
	if (refresh(r) == 0 && need > r->room) /* B3 */
		return true;
	vmring_out_forget_space(r);
	return false;
}

void vmring_out_forget_space(struct vmring_out *r)
{
	if (r->pending == 0)
		return;
	r->pending = 0;
	/* No fence: the worst a late zero can cause is one signal too many. */
	store_relaxed(&r->ctrl->pending_send_sz, 0);
}

uint32_t vmring_out_free(struct vmring_out *r)
{
	return refresh(r) ? 0 : r->room;
}
