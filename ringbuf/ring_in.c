/* SPDX-License-Identifier: MIT */
/*
 * The reading side of a ring: attaching, refreshing the peer's write index,
 * judging what looks wrong, giving space back, masking. What happens per good
 * packet is inline in ring.h.
 */
#include "ringbuf/ring.h"

const char *vmring_fault_name(enum vmring_fault f)
{
	static const char *const names[] = {
		[VMRING_OK] = "ok",
		[VMRING_BAD_WRITE_INDEX] = "write index out of range",
		[VMRING_BAD_READ_INDEX] = "read index out of range",
		[VMRING_SHORT_DATA] = "less than a packet descriptor published",
		[VMRING_BAD_TYPE] = "packet type not allowed",
		[VMRING_BAD_FLAGS] = "unknown packet flags",
		[VMRING_BAD_OFFSET] = "payload offset outside the packet",
		[VMRING_BAD_LENGTH] = "packet length out of bounds",
		[VMRING_BAD_RANGES] = "ranges do not fit the packet header",
	};

	return (unsigned int)f < ARRAY_SIZE(names) ? names[f] : "unknown";
}

static int fault(struct vmring_in *r, enum vmring_fault why)
{
	if (r->why == VMRING_OK)
		r->why = why;
	r->avail = 0; /* every peek ends up in the slow path, which refuses */
	return -EPROTO;
}

/* How far @to is ahead of @from on the ring. */
static uint32_t distance(const struct vmring_in *r, uint32_t from, uint32_t to)
{
	return to >= from ? to - from : to + r->size - from;
}

/*
 * The writer's lines all at once instead of one miss after the other. Never beyond what
 * is published: that would take lines away from a writer that is filling them.
 */
static void fetch(const struct vmring_in *r)
{
	for (uint32_t at = 0; at < r->avail && at < VMRING_AHEAD; at += CACHE_LINE)
		__builtin_prefetch(r->data + r->next + at);
}

/* Loads the peer's index once and checks it; updates avail. 0 or -EPROTO. */
static int refresh(struct vmring_in *r)
{
	/* Acquire: pairs with W2 in vmring_out_commit(), index before packets. */
	uint32_t write = load_acquire(&r->ctrl->write_index), avail;

	if (write >= r->size || write % 8)
		return fault(r, VMRING_BAD_WRITE_INDEX);
	/*
	 * Our published read index bounds the writer: from there it can only have
	 * moved on. Anything nearer than what it showed before is a step back.
	 */
	if (distance(r, r->published, write) < distance(r, r->published, r->peer_write))
		return fault(r, VMRING_BAD_WRITE_INDEX);
	r->peer_write = write;
	avail = distance(r, r->next, write);
	r->lazy_mark += (int32_t)(avail - r->avail);
	r->avail = avail;
	fetch(r);
	return 0;
}

int vmring_in_init(struct vmring_in *r, struct vmring_ctrl *ctrl, void *data, uint32_t size,
		   uint32_t accept)
{
	uint32_t write, read;

	if (size == 0 || size % VMRING_PAGE || size > 1u << 30)
		return -EINVAL;
	read = load_relaxed(&ctrl->read_index);
	write = load_acquire(&ctrl->write_index);
	if (write >= size || write % 8 || read >= size || read % 8)
		return -EPROTO;
	*r = (struct vmring_in){
		.ctrl = ctrl,
		.data = data,
		.size = size,
		.next = read,
		.published = read,
		.peer_write = write,
		.accept = accept,
		.step = UINT32_MAX,
	};
	r->avail = distance(r, read, write);
	r->lazy_mark = (int32_t)r->avail - (int32_t)(size / 4);
	store_relaxed(&ctrl->interrupt_mask, 0);
	return 0;
}

/* What is wrong with @d, given the bytes published; VMRING_OK if nothing is. */
static enum vmring_fault judge(const struct vmring_in *r, const struct vmpkt_desc *d)
{
	if (r->avail < sizeof(*d))
		return VMRING_SHORT_DATA;
	if (d->len8 < sizeof(*d) / 8 || d->len8 * 8u + VMPKT_TRAILER > r->avail)
		return VMRING_BAD_LENGTH;
	if (d->offset8 < sizeof(*d) / 8 || d->offset8 > d->len8)
		return VMRING_BAD_OFFSET;
	if (d->type >= 31 || !(r->accept >> d->type & 1))
		return VMRING_BAD_TYPE;
	if (d->flags & ~VMPKT_FLAG_COMPLETION_REQUESTED)
		return VMRING_BAD_FLAGS;
	return VMRING_OK;
}

NOINLINE int vmring_in_peek_slow(struct vmring_in *r, struct vmpkt_desc *desc)
{
	enum vmring_fault why;

	if (r->why != VMRING_OK)
		return -EPROTO;
	if (r->avail == 0 && refresh(r))
		return -EPROTO;
	/* Bounded: only what is already known to be there is stepped over. */
	while (r->avail) {
		const vmring_word *p = (const vmring_word *)(r->data + r->next);
		uint64_t words[2] = { load_relaxed(p), load_relaxed(p + 1) };

		memcpy(desc, words, sizeof(words));
		why = judge(r, desc);
		r->last = *desc;
		r->step = desc->len8 * 8u + VMPKT_TRAILER;
		if (why == VMRING_OK)
			return 0;
		if ((why != VMRING_BAD_TYPE && why != VMRING_BAD_FLAGS) ||
		    !(r->accept & VMRING_DROP_UNKNOWN))
			return fault(r, why);
		vmring_in_pop(r, desc);
		r->step = UINT32_MAX; /* the next one like it is not to be handed out */
		r->dropped++;
	}
	return -EAGAIN;
}

/* Whether a writer blocked below @free_new bytes could have been blocked at @free_old. */
static bool wants_signal(struct vmring_in *r, uint32_t pending, uint32_t step)
{
	/* C4: acquire after C3, or the index could be older than the wish (spec: ring, 10.4). */
	uint32_t write = load_acquire(&r->ctrl->write_index);
	uint32_t free_new, free_old;

	if (write >= r->size)
		return false; /* the next peek calls it corrupt */
	free_new = r->size - distance(r, r->next, write);
	free_old = free_new > step ? free_new - step : 0;
	if (pending)
		return free_old <= pending && free_new > pending;
	/* A writer that cannot say what it waits for: assume it did if much was used. */
	return free_old <= r->size / 2;
}

/* Stores our index, C1: release, pairs with the acquire of read_index in ring_out.c. */
static void publish(struct vmring_in *r)
{
	uint32_t step = distance(r, r->published, r->next);

	if (step == 0)
		return;
	r->unchecked += step;
	if (r->unchecked > r->size)
		r->unchecked = r->size;
	store_release(&r->ctrl->read_index, r->next);
	r->published = r->next;
	r->lazy_mark = (int32_t)r->avail - (int32_t)(r->size / 4);
	r->publications++;
}

bool vmring_in_commit(struct vmring_in *r)
{
	uint32_t pending, step;
	bool sig;

	if (r->next == r->published && r->unchecked == 0)
		return false;
	publish(r);
	step = r->unchecked;
	r->unchecked = 0;
	/*
	 * Fence C2 pairs with B2 in vmring_out_want_space(): our index must be
	 * visible before we look whether the writer waits for room.
	 */
	full_fence();
	pending = load_acquire(&r->ctrl->pending_send_sz); /* C3 */
	if (pending == 0 && (load_relaxed(&r->ctrl->feature_bits) & VMRING_FEATURE_PENDING_SEND_SZ))
		return false;
	sig = wants_signal(r, pending, step);
	r->signals += sig;
	return sig;
}

/*
 * Without fence C2: a wish that this look is too early to see is seen by the commit
 * that ends the drain, which judges everything since the last fenced look as one step.
 */
bool vmring_in_commit_unfenced(struct vmring_in *r)
{
	publish(r);
	return unlikely(load_relaxed(&r->ctrl->pending_send_sz)) && vmring_in_commit(r);
}

void vmring_in_mask(struct vmring_in *r)
{
	if (r->masked)
		return;
	r->masked = true;
	/* Relaxed: a writer that misses it sends one signal too many. */
	store_relaxed(&r->ctrl->interrupt_mask, 1);
}

bool vmring_in_unmask(struct vmring_in *r)
{
	r->masked = false;
	/* R2: stored even when we never masked, in case the peer wrote into our word. */
	store_relaxed(&r->ctrl->interrupt_mask, 0);
	/*
	 * Fence R3 pairs with W3 in vmring_out_commit(): read index (R1, stored by
	 * the commit before) and mask must be visible before the last look.
	 */
	full_fence();
	return vmring_in_pending(r);
}
