/* SPDX-License-Identifier: MIT */
/*
 * Calls through the loop's io_uring: one entry each, submitted with everything else at the
 * end of the turn.
 */
#include "vsp/storvsp/blk/blk_file.h"

#include <liburing.h>

static void uring_done(struct loop_op *op, int32_t res, uint32_t cqe_flags)
{
	struct blk_priv *p = container_of(op, struct blk_priv, op);
	struct blk_req *req = (struct blk_req *)((char *)p - offsetof(struct blk_req, priv));
	struct file_queue *fq = file_queue(p->q);

	(void)cqe_flags;
	if (unlikely(fq->starved.head)) /* there is room for another now */
		file_ready(fq, blk_list_pop(&fq->starved));
	file_complete(fq, req, res);
}

static void prep_transfer(struct io_uring_sqe *sqe, int fd, const struct file_call *c)
{
	if (c->op == CALL_READ) {
		if (c->niov == 1)
			io_uring_prep_read(sqe, fd, c->iov->iov_base, (unsigned)c->len, c->off);
		else
			io_uring_prep_readv(sqe, fd, c->iov, (unsigned)c->niov, c->off);
		return;
	}
	if (c->niov == 1)
		io_uring_prep_write(sqe, fd, c->iov->iov_base, (unsigned)c->len, c->off);
	else
		io_uring_prep_writev(sqe, fd, c->iov, (unsigned)c->niov, c->off);
	if (c->dsync)
		sqe->rw_flags = RWF_DSYNC;
}

static int32_t uring_issue(struct file_queue *fq, struct blk_req *req, struct file_call *c)
{
	const struct file_dev *f = file_queue_dev(fq);
	struct blk_priv *p = blk_priv(req);
	int fd = fq->fixed >= 0 ? fq->fixed : f->fd;
	struct io_uring_sqe *sqe;

	if (unlikely(c->op == CALL_SEEK))
		return file_pool_issue(fq, req, c);
	p->op.done = uring_done;
	sqe = loop_sqe(fq->q.loop, &p->op);
	if (unlikely(!sqe))
		return FILE_STARVED;
	file_call_spoil(f, c);
	if (unlikely(c->op == CALL_SYNC)) {
		io_uring_prep_fsync(sqe, f->flush_fd, IORING_FSYNC_DATASYNC);
		return FILE_PENDING;
	}
	if (unlikely(c->op == CALL_FALLOC))
		io_uring_prep_fallocate(sqe, fd, c->mode, (off_t)c->off, (off_t)c->len);
	else
		prep_transfer(sqe, fd, c);
	if (fq->fixed >= 0)
		sqe->flags |= IOSQE_FIXED_FILE;
	if (unlikely(p->flags & FILE_F_ASYNC))
		sqe->flags |= IOSQE_ASYNC;
	return FILE_PENDING;
}

static int uring_init(struct file_queue *fq)
{
	fq->fixed = loop_file_register(fq->q.loop, file_queue_dev(fq)->fd);
	return 0;
}

static void uring_fini(struct file_queue *fq)
{
	if (fq->has_pool)
		file_pool_put();
	if (fq->fixed >= 0)
		loop_file_unregister(fq->q.loop, fq->fixed);
}

const struct file_transport file_uring = {
	.name = "io_uring",
	.init = uring_init,
	.fini = uring_fini,
	.issue = uring_issue,
};
