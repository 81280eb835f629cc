/* SPDX-License-Identifier: MIT */
/* The block engine of fake_blk.h. Include it in the test program. */
#include "tests/fake/fake_blk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/atomic.h"
#include "base/iov.h"
#include "vsp/storvsp/blk/blk_policy.h"

#define FAKE_SIZE (64u << 20)

/*
 * Mapped, and kept for the next device: sanitizers touch their shadow of all that malloc()
 * returns or that is unmapped. One thread makes and frees devices.
 */
static void *spare;

static void *take_ram(void)
{
	void *p = spare;

	spare = NULL;
	if (!p)
		p = mmap(NULL, FAKE_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		abort();
	return p;
}

static void give_ram(void *p)
{
	if (!p)
		return;
	madvise(p, FAKE_SIZE, MADV_DONTNEED); /* zeroes again */
	spare = p;
}

struct blk_dev *fake_blk_new(void)
{
	struct blk_dev *d = calloc(1, sizeof(*d));

	d->info = (struct blk_info){
		.size = FAKE_SIZE,
		.block_size = 512,
		.physical_block = 4096,
		.discard_granularity = 2 << 20,
		.volatile_cache = true,
		.fua = true,
		.engine = "fake",
	};
	for (int i = 0; i < 16; i++)
		d->info.id[i] = (uint8_t)(0x10 + i);
	d->ram = take_ram();
	return d;
}

void fake_blk_free(struct blk_dev *d)
{
	give_ram(d->ram);
	free(d);
}

void fake_blk_resize(struct blk_dev *d, uint64_t size, uint32_t block_size)
{
	if (size)
		d->info.size = size;
	if (d->info.size > FAKE_SIZE) {
		give_ram(d->ram);
		d->ram = NULL;
	}
	d->info.block_size = block_size;
}

struct blk_queue *fake_blk_queue(struct blk_dev *d)
{
	struct blk_queue *q = calloc(1, sizeof(*q));

	q->dev = d;
	pthread_mutex_init(&q->lock, NULL);
	return q;
}

/* ---- what the operations do ---------------------------------------------------------- */

static int transfer_ram(struct blk_dev *d, const struct blk_req *r)
{
	/* Stricter than a real engine: the list must hold the transfer and nothing more. */
	if (iov_length(r->iov, r->niov) != r->len)
		return -EINVAL;
	if (r->op == BLK_READ && !d->ram)
		iov_fill(r->iov, r->niov, 0, 0, r->len);
	else if (r->op == BLK_READ)
		iov_from_buf(r->iov, r->niov, 0, d->ram + r->offset, r->len);
	else if (d->ram)
		iov_to_buf(r->iov, r->niov, 0, d->ram + r->offset, r->len);
	return 0;
}

/*
 * A unit that holds zeroes is a hole. Whole words, and out of the sanitizers' sight: they would
 * spend seconds on the megabytes that are looked through.
 */
__attribute__((no_sanitize("thread", "address", "undefined"))) static bool hole_at(
	const struct blk_dev *d, uint64_t at)
{
	const uint64_t *p = (const uint64_t *)(d->ram + at);
	const uint64_t *end = p + d->info.physical_block / sizeof(*p);

	while (p < end && !*p)
		p++;
	return p == end;
}

static int run_at(const struct blk_dev *d, struct blk_req *r)
{
	uint64_t unit = d->info.physical_block, at = r->offset & ~(unit - 1);
	uint64_t end = r->offset + r->len;
	bool hole = !d->ram || hole_at(d, at);

	r->flags = hole ? BLK_REQ_HOLE : 0;
	if (!d->ram)
		return 0;
	if (d->status_max && d->status_max < r->len)
		end = r->offset + d->status_max;
	do
		at += unit;
	while (at < end && hole_at(d, at) == hole);
	r->len = (at < end ? at : end) - r->offset;
	return 0;
}

static int perform(struct blk_dev *d, struct blk_req *r)
{
	uint64_t mask = d->info.block_size - 1;

	if (r->op == BLK_FLUSH)
		return 0;
	if (((r->offset | r->len) & mask) || !r->len || r->len > d->info.size ||
	    r->offset > d->info.size - r->len)
		return -EINVAL;
	if (r->op == BLK_READ || r->op == BLK_WRITE)
		return transfer_ram(d, r);
	if (r->op == BLK_STATUS)
		return run_at(d, r);
	/* Stricter again: a partial unit would not be deallocated. */
	if (r->op == BLK_DISCARD &&
	    (r->offset % d->info.discard_granularity || r->len % d->info.discard_granularity))
		return -EINVAL;
	if (d->ram)
		memset(d->ram + r->offset, 0, r->len);
	return 0;
}

static int outcome(struct blk_dev *d, struct blk_req *r)
{
	if (d->error[r->op] && !d->error_after)
		return d->error[r->op];
	if (d->error_after)
		d->error_after--;
	return perform(d, r);
}

/* ---- blk.h ------------------------------------------------------------------------------ */

int blk_submit(struct blk_queue *q, struct blk_req *r)
{
	struct blk_dev *d = q->dev;

	if (!d->no_log && d->n_log < FAKE_BLK_LOG)
		d->log[d->n_log] =
			(struct fake_blk_op){ r->op, r->flags, r->niov, r->offset, r->len };
	if (!d->no_log)
		d->n_log++;
	if (!d->delayed)
		return outcome(d, r);
	r->priv[0] = 0;
	if (q->head)
		q->tail->priv[0] = (uintptr_t)r;
	else
		q->head = r;
	q->tail = r;
	q->waiting++;
	return -EINPROGRESS;
}

bool fake_blk_run_one(struct blk_queue *q)
{
	struct blk_req *r = q->head;

	if (!r)
		return false;
	q->head = (struct blk_req *)(uintptr_t)r->priv[0];
	q->waiting--;
	r->done(r, outcome(q->dev, r));
	return true;
}

void blk_queue_post(struct blk_queue *q, struct loop_call *call)
{
	struct loop_call **p = &q->calls;

	pthread_mutex_lock(&q->lock);
	while (*p)
		p = &(*p)->next;
	call->next = NULL;
	*p = call;
	pthread_mutex_unlock(&q->lock);
}

bool fake_blk_call_one(struct blk_queue *q)
{
	struct loop_call *call;

	pthread_mutex_lock(&q->lock);
	call = q->calls;
	if (call)
		q->calls = call->next;
	pthread_mutex_unlock(&q->lock);
	if (call)
		call->fn(call);
	return call != NULL;
}

void fake_blk_run(struct blk_queue *q)
{
	while (fake_blk_run_one(q) || fake_blk_call_one(q))
		;
}

int blk_dev_open(struct blk_dev **out, const struct blk_config *cfg, char *why, size_t whylen)
{
	(void)cfg;
	if (whylen)
		why[0] = '\0';
	*out = fake_blk_new();
	return 0;
}

void blk_dev_close(struct blk_dev *d)
{
	fake_blk_free(d);
}

void blk_dev_info(const struct blk_dev *d, struct blk_info *out)
{
	*out = d->info;
}

bool blk_dev_flush_failed(const struct blk_dev *d)
{
	return load_relaxed(&d->flush_failed);
}

int blk_queue_create(struct blk_queue **out, struct blk_dev *d, struct loop *loop)
{
	(void)loop;
	*out = fake_blk_queue(d);
	return 0;
}

void blk_queue_destroy(struct blk_queue *q)
{
	pthread_mutex_destroy(&q->lock);
	free(q);
}

void blk_dev_stats(const struct blk_dev *d, struct blk_stats *out)
{
	*out = (struct blk_stats){ .ops[BLK_READ] = d->n_log };
}

const char *blk_engine_name(enum blk_engine e)
{
	(void)e;
	return "fake";
}

enum blk_where blk_req_where(const struct blk_queue *q, const struct blk_req *r)
{
	(void)q;
	(void)r;
	return BLK_AT_KERNEL;
}

bool blk_cancel(struct blk_queue *q, struct blk_req *r)
{
	(void)q;
	(void)r;
	return false;
}
