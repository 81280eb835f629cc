/* SPDX-License-Identifier: MIT */
/*
 * What the generator can be pointed at.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/load.h"

/* ---- a synthetic disk ------------------------------------------------------- */

struct disk_target {
	struct load_target t;
	struct storvsc *s;
	uint32_t queue;
	size_t bytes;
};

static int disk_submit(struct load_target *t, struct load_io *io)
{
	struct disk_target *d = container_of(t, struct disk_target, t);

	return storvsc_submit(d->s, d->queue, &io->io);
}

static int disk_reap(struct load_target *t, struct load_io **out, int max, int min)
{
	struct disk_target *d = container_of(t, struct disk_target, t);
	int n;

	storvsc_kick(d->s, d->queue);
	n = storvsc_reap(d->s, d->queue, (struct storvsc_io **)out, max, min, 60000000000ull);
	if (n == 0 && min)
		return -ETIMEDOUT;
	return n; /* struct load_io starts with its struct storvsc_io */
}

_Static_assert(offsetof(struct load_io, io) == 0, "disk_reap() relies on it");

static void disk_close(struct load_target *t)
{
	struct disk_target *d = container_of(t, struct disk_target, t);

	storvsc_free(d->s, t->buffers, d->bytes);
	free(d);
}

int load_target_disk(struct load_target **out, struct storvsc *s, uint32_t queue,
		     const struct load_config *cfg)
{
	struct disk_target *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	*d = (struct disk_target){
		.t = { disk_submit, disk_reap, disk_close, NULL },
		.s = s,
		.queue = queue,
		.bytes = (size_t)cfg->depth * cfg->bs,
	};
	d->t.buffers = storvsc_alloc(s, d->bytes);
	if (!d->t.buffers) {
		free(d);
		return -ENOMEM;
	}
	*out = &d->t;
	return 0;
}

/* ---- raw io_uring: fixed buffers, fixed file, one enter per batch --------------- */

struct raw_target {
	struct load_target t;
	struct io_uring ring;
	size_t bytes;
	bool fixed;
	int fd;
};

static int raw_submit(struct load_target *t, struct load_io *io)
{
	struct raw_target *r = container_of(t, struct raw_target, t);
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->ring);
	uint32_t len = (uint32_t)io->iov.iov_len;

	if (!sqe)
		return -EAGAIN;
	if (r->fixed && io->io.op == STORVSC_WRITE)
		io_uring_prep_write_fixed(sqe, 0, io->iov.iov_base, len, io->io.offset, 0);
	else if (r->fixed)
		io_uring_prep_read_fixed(sqe, 0, io->iov.iov_base, len, io->io.offset, 0);
	else if (io->io.op == STORVSC_WRITE)
		io_uring_prep_write(sqe, 0, io->iov.iov_base, len, io->io.offset);
	else
		io_uring_prep_read(sqe, 0, io->iov.iov_base, len, io->io.offset);
	sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_sqe_set_data(sqe, io);
	return 0;
}

static int raw_reap(struct load_target *t, struct load_io **out, int max, int min)
{
	struct raw_target *r = container_of(t, struct raw_target, t);
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;
	int err = io_uring_submit_and_wait(&r->ring, (unsigned)min);

	if (err < 0 && err != -EINTR)
		return err;
	io_uring_for_each_cqe(&r->ring, head, cqe)
	{
		struct load_io *io = io_uring_cqe_get_data(cqe);

		if (n == (unsigned)max)
			break;
		io->io.result = cqe->res < 0			      ? cqe->res
				: (size_t)cqe->res != io->iov.iov_len ? -EIO
								      : 0;
		out[n++] = io;
	}
	io_uring_cq_advance(&r->ring, n);
	return (int)n;
}

static void raw_close(struct load_target *t)
{
	struct raw_target *r = container_of(t, struct raw_target, t);

	io_uring_queue_exit(&r->ring);
	munmap(t->buffers, r->bytes);
	close(r->fd);
	free(r);
}

static int raw_setup(struct raw_target *r, uint32_t depth)
{
	struct io_uring_params p = { .flags = IORING_SETUP_SINGLE_ISSUER |
					      IORING_SETUP_DEFER_TASKRUN };
	struct iovec iov = { r->t.buffers, r->bytes };
	int err = io_uring_queue_init_params(depth < 4 ? 4 : depth, &r->ring, &p);

	if (err == -EINVAL) {
		p = (struct io_uring_params){ 0 };
		err = io_uring_queue_init_params(depth < 4 ? 4 : depth, &r->ring, &p);
	}
	if (err)
		return err;
	io_uring_register_ring_fd(&r->ring);
	err = io_uring_register_files(&r->ring, &r->fd, 1);
	if (err)
		return err;
	r->fixed = !io_uring_register_buffers(&r->ring, &iov, 1); /* memlock limits may forbid it */
	return 0;
}

int load_target_raw(struct load_target **out, const char *path, bool direct, bool readonly,
		    const struct load_config *cfg)
{
	struct raw_target *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	r->t = (struct load_target){ raw_submit, raw_reap, raw_close, NULL };
	r->bytes = (size_t)cfg->depth * cfg->bs;
	r->fd = open(path, (readonly ? O_RDONLY : O_RDWR) | (direct ? O_DIRECT : 0) | O_CLOEXEC);
	if (r->fd < 0) {
		err = -errno;
		goto free_target;
	}
	r->t.buffers = mmap(NULL, r->bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (r->t.buffers == MAP_FAILED) {
		err = -ENOMEM;
		goto close_fd;
	}
	err = raw_setup(r, cfg->depth);
	if (err)
		goto unmap;
	*out = &r->t;
	return 0;

unmap:
	munmap(r->t.buffers, r->bytes);
close_fd:
	close(r->fd);
free_target:
	free(r);
	return err;
}

/* ---- nothing: what the generator itself costs --------------------------------------- */

struct none_target {
	struct load_target t;
	struct load_io **queued;
	uint32_t depth, head, tail;
};

static int none_submit(struct load_target *t, struct load_io *io)
{
	struct none_target *n = container_of(t, struct none_target, t);

	n->queued[n->tail++ % n->depth] = io;
	return 0;
}

static int none_reap(struct load_target *t, struct load_io **out, int max, int min)
{
	struct none_target *n = container_of(t, struct none_target, t);
	int k = 0;

	(void)min;
	while (k < max && n->head != n->tail)
		out[k++] = n->queued[n->head++ % n->depth];
	return k;
}

static void none_close(struct load_target *t)
{
	struct none_target *n = container_of(t, struct none_target, t);

	free(t->buffers);
	free(n->queued);
	free(n);
}

int load_target_none(struct load_target **out, const struct load_config *cfg)
{
	struct none_target *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	n->t = (struct load_target){ none_submit, none_reap, none_close, NULL };
	n->depth = cfg->depth;
	n->queued = calloc(cfg->depth, sizeof(struct load_io *));
	n->t.buffers = calloc(cfg->depth, cfg->bs);
	if (!n->queued || !n->t.buffers) {
		none_close(&n->t);
		return -ENOMEM;
	}
	*out = &n->t;
	return 0;
}
