/* SPDX-License-Identifier: MIT */
/*
 * Calls through libaio, for O_DIRECT files where there is no io_uring (spec:
 * disk-backends, section 10). Entries are gathered and handed over with one io_submit at
 * the end of the turn; completions ring an eventfd. Flushes and fallocate, which libaio
 * does badly or not at all, go to the helper threads.
 */
#include "vsp/storvsp/blk/blk_file.h"

#include <errno.h>
#include <libaio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define AIO_DEPTH  512 /* calls in the kernel per queue */
#define AIO_BATCH  128 /* of them waiting for the end of the turn */
#define AIO_EVENTS 64

struct aio {
	struct file_queue *fq;
	io_context_t ctx;
	struct loop_bell bell;
	uint32_t in_kernel;
	uint32_t first, count; /* of the gathered, in the ring of entries */
	struct iocb cb[AIO_BATCH];
};

static void reap(struct loop_bell *bell)
{
	struct aio *a = container_of(bell, struct aio, bell);
	struct timespec now = { 0, 0 };
	struct io_event ev[AIO_EVENTS];
	int n;

	do {
		n = io_getevents(a->ctx, 0, AIO_EVENTS, ev, &now);
		for (int i = 0; i < n; i++) {
			a->in_kernel--;
			file_complete(a->fq, ev[i].data, (int32_t)(long)ev[i].res);
		}
	} while (n == AIO_EVENTS || n == -EINTR);
	if (a->count)
		loop_hook_queue(a->fq->q.loop, &a->fq->hook);
	if (a->fq->starved.head)
		file_ready(a->fq, blk_list_pop(&a->fq->starved));
}

static void drop_first(struct aio *a)
{
	a->first = (a->first + 1) % AIO_BATCH;
	a->count--;
}

/* The kernel refuses the first entry for what it is: that request failed. */
static void fail_first(struct aio *a, int err)
{
	struct blk_req *req = a->cb[a->first].data;

	drop_first(a);
	file_complete(a->fq, req, err);
}

static void aio_flush(struct file_queue *fq)
{
	struct aio *a = fq->tr_data;
	struct iocb *list[AIO_BATCH];
	int n;

	while (a->count) {
		uint32_t want = a->count;

		for (uint32_t i = 0; i < want; i++)
			list[i] = &a->cb[(a->first + i) % AIO_BATCH];
		n = io_submit(a->ctx, want, list);
		if (n == -EAGAIN && a->in_kernel)
			return; /* reap() comes back here */
		if (n == -EAGAIN) {
			loop_timer_arm(fq->q.loop, &fq->retry, FILE_RETRY_NS);
			return;
		}
		if (n == -EINTR)
			continue;
		if (n <= 0)
			fail_first(a, n ? n : -EIO);
		for (int i = 0; i < n; i++)
			drop_first(a);
		a->in_kernel += n > 0 ? (uint32_t)n : 0;
	}
}

static void prep(struct iocb *cb, int fd, const struct file_call *c)
{
	off_t off = (off_t)c->off;

	if (c->op == CALL_READ) {
		if (c->niov == 1)
			io_prep_pread(cb, fd, c->iov->iov_base, c->len, off);
		else
			io_prep_preadv(cb, fd, c->iov, c->niov, off);
		return;
	}
	if (c->niov == 1)
		io_prep_pwrite(cb, fd, c->iov->iov_base, c->len, off);
	else
		io_prep_pwritev(cb, fd, c->iov, c->niov, off);
	if (c->dsync)
		cb->aio_rw_flags = RWF_DSYNC;
}

static int32_t aio_issue(struct file_queue *fq, struct blk_req *req, struct file_call *c)
{
	struct aio *a = fq->tr_data;
	struct iocb *cb;

	if (c->op != CALL_READ && c->op != CALL_WRITE)
		return file_pool_issue(fq, req, c);
	if (a->count == AIO_BATCH || a->in_kernel + a->count == AIO_DEPTH)
		return FILE_STARVED;
	cb = &a->cb[(a->first + a->count++) % AIO_BATCH];
	file_call_spoil(file_queue_dev(fq), c);
	prep(cb, file_queue_dev(fq)->fd, c);
	io_set_eventfd(cb, a->bell.fd);
	cb->data = req;
	loop_hook_queue(fq->q.loop, &fq->hook);
	return FILE_PENDING;
}

static int aio_init(struct file_queue *fq)
{
	struct aio *a = calloc(1, sizeof(*a));
	int err;

	if (!a)
		return -ENOMEM;
	a->fq = fq;
	a->bell.rung = reap;
	a->bell.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	err = a->bell.fd < 0 ? -errno : 0;
	if (err)
		goto free_aio;
	err = io_setup(AIO_DEPTH, &a->ctx);
	if (err)
		goto close_bell;
	err = file_pool_get();
	if (err)
		goto destroy_ctx;
	err = loop_bell_add(fq->q.loop, &a->bell);
	if (err)
		goto put_pool;
	fq->tr_data = a;
	return 0;

put_pool:
	file_pool_put();
destroy_ctx:
	io_destroy(a->ctx);
close_bell:
	close(a->bell.fd);
free_aio:
	free(a);
	return err;
}

static void aio_fini(struct file_queue *fq)
{
	struct aio *a = fq->tr_data;

	loop_bell_del(fq->q.loop, &a->bell);
	file_pool_put();
	io_destroy(a->ctx);
	close(a->bell.fd);
	free(a);
}

const struct file_transport file_aio = {
	.name = "libaio",
	.init = aio_init,
	.fini = aio_fini,
	.issue = aio_issue,
	.flush = aio_flush,
};
