/* SPDX-License-Identifier: MIT */
/*
 * Two engines without a file.
 *
 *   memory  one anonymous mapping, zero until written; every request is a copy and is
 *           finished when blk_submit() returns. Gone when the device is closed.
 *   null    does nothing and says yes; for measuring everything else. A read leaves the
 *           caller's buffer as it is: the guest sees its own memory, nothing of the host's.
 *
 * Neither has a volatile cache: a write is as durable as it will ever be when it completes.
 */
#include "vsp/storvsp/blk/blk_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/guid.h"

#define MEM_DEFAULT_SIZE (1ull << 30)
#define MEM_PAGE	 4096u
/* Giving back more memory than this at once would stop the loop for milliseconds. */
#define MEM_DROP_PIECE	 (64ull << 20)
/* Zeroing less than this keeps the memory; more is cheaper to give back. */
#define MEM_ZERO_KEEP	 (256u << 10)

struct mem_dev {
	struct blk_dev dev;
	char *base; /* NULL: the null engine */
	uint64_t mapped;
	int pagemap; /* tells which pages exist; -1: nobody does */
};

static struct mem_dev *mem_dev(struct blk_dev *d)
{
	return container_of(d, struct mem_dev, dev);
}

/* ---- requests --------------------------------------------------------- */

static int null_submit(struct blk_queue *q, struct blk_req *req)
{
	(void)q;
	if (req->op == BLK_STATUS)
		req->flags = 0;
	return 0;
}

static int copy_out(const struct blk_req *req, const char *from)
{
	uint64_t left = req->len;

	for (uint32_t i = 0; i < req->niov; i++) {
		uint64_t n = req->iov[i].iov_len < left ? req->iov[i].iov_len : left;

		memcpy(req->iov[i].iov_base, from, n);
		from += n;
		left -= n;
	}
	return left ? -EINVAL : 0;
}

static int copy_in(const struct blk_req *req, char *to)
{
	uint64_t left = req->len;

	for (uint32_t i = 0; i < req->niov; i++) {
		uint64_t n = req->iov[i].iov_len < left ? req->iov[i].iov_len : left;

		memcpy(to, req->iov[i].iov_base, n);
		to += n;
		left -= n;
	}
	return left ? -EINVAL : 0;
}

/* Makes [@p, @p + @n) zero; whole pages go back to the system when there are enough. */
static int drop(char *p, uint64_t n, uint64_t keep)
{
	uint64_t head = -(uintptr_t)p & (MEM_PAGE - 1);
	uint64_t body;

	if (n < keep || n < head + MEM_PAGE) {
		memset(p, 0, n);
		return 0;
	}
	body = (n - head) & ~(uint64_t)(MEM_PAGE - 1);
	memset(p, 0, head);
	memset(p + head + body, 0, n - head - body);
	return madvise(p + head, body, MADV_DONTNEED) ? -errno : 0;
}

/* One piece of a discard or zero request; -EINPROGRESS while there is more to do. */
static int drop_piece(struct blk_queue *q, struct blk_req *req)
{
	struct blk_priv *p = blk_priv(req);
	uint64_t n = req->len - p->pos < MEM_DROP_PIECE ? req->len - p->pos : MEM_DROP_PIECE;
	char *at = mem_dev(q->dev)->base + req->offset + p->pos;
	int err = drop(at, n, req->op == BLK_ZERO ? MEM_ZERO_KEEP : 0);

	if (err)
		return err;
	p->pos += n;
	if (p->pos == req->len)
		return 0;
	pthread_mutex_lock(&q->dev->lock);
	blk_queue_mail(q, req);
	pthread_mutex_unlock(&q->dev->lock);
	return -EINPROGRESS;
}

/* Entries of /proc/self/pagemap. mincore() would call a page in swap a hole. */
#define PM_PAGES  512u
#define PM_EXISTS (3ull << 62) /* in memory or in swap */

/* At most PM_PAGES pages at once: the run may go on in the next. */
static int status(struct mem_dev *m, struct blk_req *req)
{
	const char *at = m->base + req->offset;
	uint64_t first = (uintptr_t)at / MEM_PAGE, skipped = (uintptr_t)at % MEM_PAGE;
	uint64_t pages = (skipped + req->len + MEM_PAGE - 1) / MEM_PAGE, e[PM_PAGES];
	uint64_t n = pages < PM_PAGES ? pages : PM_PAGES, same = 1;
	ssize_t got = -1;

	req->flags = 0;
	if (m->pagemap >= 0)
		got = pread(m->pagemap, e, n * sizeof(e[0]), (off_t)(first * sizeof(e[0])));
	if (got < (ssize_t)sizeof(e[0]))
		return 0;
	n = (uint64_t)got / sizeof(e[0]);
	while (same < n && !(e[same] & PM_EXISTS) == !(e[0] & PM_EXISTS))
		same++;
	req->flags = e[0] & PM_EXISTS ? 0 : BLK_REQ_HOLE;
	if (same * MEM_PAGE - skipped < req->len)
		req->len = same * MEM_PAGE - skipped;
	return 0;
}

static void mem_resume(struct blk_queue *q, struct blk_req *req)
{
	int r = drop_piece(q, req);

	if (r != -EINPROGRESS)
		blk_req_finish(q, req, r);
}

static int mem_submit(struct blk_queue *q, struct blk_req *req)
{
	char *base = mem_dev(q->dev)->base;

	switch (req->op) {
	case BLK_READ:
		return copy_out(req, base + req->offset);
	case BLK_WRITE:
		return copy_in(req, base + req->offset);
	case BLK_STATUS:
		return status(mem_dev(q->dev), req);
	case BLK_DISCARD:
	case BLK_ZERO:
		blk_priv(req)->pos = 0;
		return drop_piece(q, req);
	default: /* BLK_FLUSH: there is nowhere to flush to */
		return 0;
	}
}

/* ---- device and queues ------------------------------------------------ */

static int mem_queue_create(struct blk_queue **out, struct blk_dev *d, struct loop *loop)
{
	(void)d;
	(void)loop;
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : -ENOMEM;
}

static void mem_queue_destroy(struct blk_queue *q)
{
	free(q);
}

static void mem_close(struct blk_dev *d)
{
	struct mem_dev *m = mem_dev(d);

	if (m->base)
		munmap(m->base, m->mapped);
	if (m->pagemap >= 0)
		close(m->pagemap);
	blk_dev_fini(d);
	free(m);
}

static int null_resize(struct blk_dev *d, uint64_t size, bool shrink, char *why, size_t whylen)
{
	uint64_t old = d->info.size;

	if (!size)
		size = old;
	if (size < old && !shrink)
		return blk_fail_shrink(d, size, why, whylen);
	blk_dev_publish_size(d, size);
	return 0;
}

static const struct blk_ops mem_ops = {
	.queue_create = mem_queue_create,
	.queue_destroy = mem_queue_destroy,
	.submit = mem_submit,
	.resume = mem_resume,
	.close = mem_close,
};

static const struct blk_ops null_ops = {
	.queue_create = mem_queue_create,
	.queue_destroy = mem_queue_destroy,
	.submit = null_submit,
	.resize = null_resize,
	.close = mem_close,
};

static int mem_map(struct mem_dev *m, uint64_t size)
{
	uint64_t rounded = (size + MEM_PAGE - 1) & ~(uint64_t)(MEM_PAGE - 1);
	void *p;

	if (rounded > SIZE_MAX / 2)
		return -ENOMEM;
	p = mmap(NULL, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		 -1, 0);
	if (p == MAP_FAILED)
		return -errno;
	/*
	 * 0.69 instead of 0.84 us per random 4 KiB copy (1 GiB, nested paging). The first touch
	 * of 2 MiB takes 0.8 ms, but 512 single ones take 1.3. Refused where there are none.
	 */
	madvise(p, rounded, MADV_HUGEPAGE);
	/* A core dump of a disk helps nobody, and may hold secrets. */
	madvise(p, rounded, MADV_DONTDUMP);
	m->base = p;
	m->mapped = rounded;
	return 0;
}

/* The configured name, or the how-manieth of its kind: the same after a restart. */
static void mem_identity(struct blk_info *info, const struct blk_config *cfg)
{
	static uint32_t opened;
	uint32_t nth = __atomic_fetch_add(&opened, 1, __ATOMIC_RELAXED); /* only a number */
	struct guid g;
	char name[32];
	int n;

	if (cfg->path && cfg->path[0]) {
		guid_from_name(&g, cfg->path, (uint32_t)strlen(cfg->path));
	} else {
		n = snprintf(name, sizeof(name), "%s:%u", blk_engine_name(cfg->engine), nth);
		guid_from_name(&g, name, (uint32_t)n);
	}
	memcpy(info->id, g.b, sizeof(info->id));
}

int blk_mem_open(struct blk_dev **out, const struct blk_config *cfg, char *why, size_t whylen)
{
	bool null = cfg->engine == BLK_ENGINE_NULL;
	uint64_t size = cfg->size ? cfg->size : MEM_DEFAULT_SIZE;
	struct mem_dev *m = calloc(1, sizeof(*m));
	int err = m ? blk_dev_init(&m->dev, null ? &null_ops : &mem_ops, NULL) : -ENOMEM;

	if (err)
		goto free_dev;
	m->pagemap = -1;
	if (!null) {
		err = mem_map(m, size);
		if (err)
			goto fini;
		m->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	}
	m->dev.info.size = size;
	m->dev.info.block_size = cfg->block_size;
	m->dev.info.physical_block = MEM_PAGE;
	m->dev.info.discard_granularity = cfg->readonly ? 0 : MEM_PAGE;
	m->dev.info.readonly = cfg->readonly;
	m->dev.info.fua = true;
	m->dev.info.engine = blk_engine_name(cfg->engine);
	mem_identity(&m->dev.info, cfg);
	*out = &m->dev;
	return 0;

fini:
	blk_dev_fini(&m->dev);
free_dev:
	free(m);
	return blk_fail(why, whylen, err, "memory disk of %llu bytes: %s; choose a smaller size",
			(unsigned long long)size, strerror(-err));
}
