/* SPDX-License-Identifier: MIT */
/*
 * The call that belongs to a step of a request, and making it on the spot.
 */
#include "vsp/storvsp/blk/blk_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

const int file_falloc_modes[2] = {
	[FILE_MODE_PUNCH] = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	[FILE_MODE_ZERO] = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
};

static char zeroes[FILE_ZERO_BYTES] __attribute__((aligned(4096)));
/* clang-format off */
#define Z  { .iov_base = zeroes, .iov_len = FILE_ZERO_BYTES }
#define Z4 Z, Z, Z, Z
static const struct iovec zero_iov[FILE_ZERO_IOV] = { Z4, Z4, Z4, Z4 };
/* clang-format on */

static void build_slot_call(const struct blk_priv *p, struct file_call *c)
{
	struct file_slot *s = p->slot;

	s->one.iov_base = s->buf + s->filled;
	c->iov = &s->one;
	c->niov = 1;
	c->off = s->base + s->filled;
	c->len = s->total - s->filled;
}

enum file_op file_call_op(struct blk_req *req)
{
	switch (blk_priv(req)->step) {
	case FILE_FALLOC:
		return CALL_FALLOC;
	case FILE_SYNC:
		return CALL_SYNC;
	case FILE_SEEK:
		return CALL_SEEK;
	case FILE_RMW_READ:
		return CALL_READ;
	default:
		return req->op == BLK_READ ? CALL_READ : CALL_WRITE;
	}
}

void file_call_build(struct blk_req *req, struct file_call *c)
{
	struct blk_priv *p = blk_priv(req);

	c->op = file_call_op(req);
	c->dsync = p->flags & FILE_F_DSYNC;
	c->mode = 0;
	c->off = req->offset + p->pos;
	c->len = p->piece;
	switch (p->step) {
	case FILE_IO:
		c->iov = req->iov;
		c->niov = req->niov;
		break;
	case FILE_PIECE:
		c->iov = p->slot->iov;
		c->niov = p->slot->niov;
		break;
	case FILE_RMW_READ:
	case FILE_BOUNCE:
		build_slot_call(p, c);
		break;
	case FILE_ZERO:
		c->iov = zero_iov;
		c->niov = p->piece > FILE_ZERO_BYTES ? (int)(p->piece / FILE_ZERO_BYTES) : 1;
		break;
	case FILE_FALLOC:
		c->mode = file_falloc_modes[p->mode];
		break;
	case FILE_SEEK:
		c->off = req->offset;
		c->len = req->len;
		c->run = &p->pos;
		break;
	default: /* FILE_SYNC */
		break;
	}
}

static ssize_t transfer(const struct file_dev *f, const struct file_call *c)
{
	struct iovec one = { c->iov[0].iov_base, c->len };
	const struct iovec *iov = c->niov == 1 ? &one : c->iov;

	if (c->op == CALL_READ)
		return c->niov == 1 ? pread(f->fd, one.iov_base, one.iov_len, (off_t)c->off)
				    : preadv(f->fd, iov, c->niov, (off_t)c->off);
	return pwritev2(f->fd, iov, c->niov, (off_t)c->off, c->dsync ? RWF_DSYNC : 0);
}

/* 1: a hole, 0: data; *@c->run bytes of it, whole blocks of the disk. */
static int seek(const struct file_dev *f, const struct file_call *c)
{
	uint64_t mask = f->dev.info.block_size - 1;
	off_t data = lseek(f->fd, (off_t)c->off, SEEK_DATA), end;
	uint64_t hole;

	if (data < 0 && errno != ENXIO)
		return -1;
	hole = data < 0 ? c->len : ((uint64_t)data & ~mask) - c->off;
	if (data < 0 || hole >= f->dev.info.block_size) {
		*c->run = hole < c->len ? hole : c->len;
		return 1;
	}
	end = lseek(f->fd, data, SEEK_HOLE);
	hole = end < 0 ? c->len : (((uint64_t)end + mask) & ~mask) - c->off;
	*c->run = hole < c->len ? hole : c->len;
	return 0;
}

int32_t file_call_run(const struct file_dev *f, struct file_call *c)
{
	ssize_t n;

	file_call_spoil(f, c);
	if (c->op == CALL_SYNC)
		n = fdatasync(f->flush_fd);
	else if (c->op == CALL_SEEK)
		n = seek(f, c);
	else if (c->op == CALL_FALLOC)
		n = fallocate(f->fd, c->mode, (off_t)c->off, (off_t)c->len);
	else
		n = transfer(f, c);
	return n < 0 ? -errno : (int32_t)n;
}
