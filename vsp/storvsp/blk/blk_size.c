/* SPDX-License-Identifier: MIT */
/*
 * A disk that becomes larger or smaller while it is in use. Nothing waits for requests: each
 * is checked against the size that is published when it starts.
 */
#include "vsp/storvsp/blk/blk_file.h"

#include <errno.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *disk_name(const struct blk_dev *d)
{
	return d->path ? d->path : d->info.engine;
}

void blk_dev_publish_size(struct blk_dev *d, uint64_t size)
{
	pthread_mutex_lock(&d->lock);
	d->info.size = size;
	/* Relaxed, pairs with out_of_range(): a request sees the old size or the new. */
	for (struct blk_queue *q = d->queues; q; q = q->next)
		store_relaxed(&q->size, size);
	pthread_mutex_unlock(&d->lock);
}

int blk_fail_shrink(const struct blk_dev *d, uint64_t size, char *why, size_t whylen)
{
	return blk_fail(why, whylen, -EINVAL,
			"%s: would shrink from %llu to %llu bytes, and what lies behind is lost; "
			"say --shrink if that is meant",
			disk_name(d), (unsigned long long)d->info.size, (unsigned long long)size);
}

int blk_dev_resize(struct blk_dev *d, uint64_t size, bool shrink, char *why, size_t whylen)
{
	if (!d->ops->resize)
		return blk_fail(why, whylen, -ENOTSUP, "%s: a disk in memory keeps its size",
				disk_name(d));
	if (size % d->info.block_size)
		return blk_fail(why, whylen, -EINVAL,
				"%s: %llu bytes are not a multiple of the %u-byte block",
				disk_name(d), (unsigned long long)size, d->info.block_size);
	return d->ops->resize(d, size, shrink, why, whylen);
}

/* ---- files and block devices ------------------------------------------- */

static int present_size(const struct file_dev *f, uint64_t *out)
{
	struct stat st;

	if (f->is_block)
		return ioctl(f->fd, BLKGETSIZE64, out) ? -errno : 0;
	if (fstat(f->fd, &st))
		return -errno;
	*out = (uint64_t)st.st_size;
	return 0;
}

/* Whether the disk can have @size bytes when its file has @have. */
static int check_size(const struct file_dev *f, uint64_t size, uint64_t have, char *why, size_t n)
{
	const struct blk_dev *d = &f->dev;

	if (!size || size % d->info.block_size)
		return blk_fail(why, n, -EINVAL,
				"%s: its size, %llu bytes, is not a multiple of the %u-byte block",
				d->path, (unsigned long long)size, d->info.block_size);
	if (size & f->off_mask)
		return blk_fail(why, n, -EINVAL,
				"%s: with direct=on its size must be a multiple of %u bytes",
				d->path, f->off_mask + 1);
	if (f->is_block && size > have)
		return blk_fail(why, n, -EINVAL, "%s: the device has only %llu bytes", d->path,
				(unsigned long long)have);
	if (size > have && d->info.readonly)
		return blk_fail(why, n, -EROFS, "%s: is read-only; its file cannot be made longer",
				d->path);
	return 0;
}

static int set_length(struct file_dev *f, uint64_t size, char *why, size_t n)
{
	if (!ftruncate(f->fd, (off_t)size))
		return 0;
	return blk_fail(why, n, -errno, "%s: cannot be made %llu bytes long: %s", f->dev.path,
			(unsigned long long)size, strerror(errno));
}

/* The guests' view shrinks first, so that nothing new goes where the file ends. */
static int cut(struct file_dev *f, uint64_t size, uint64_t have, char *why, size_t n)
{
	uint64_t old = f->dev.info.size;
	int err = 0;

	blk_dev_publish_size(&f->dev, size);
	store_relaxed(&f->end, have);
	if (f->is_block || f->dev.info.readonly || have <= size || have > old)
		return 0; /* there is nothing to cut, or more than the disk's */
	store_relaxed(&f->end, size);
	err = set_length(f, size, why, n);
	if (err) {
		store_relaxed(&f->end, have);
		blk_dev_publish_size(&f->dev, old);
	}
	return err;
}

static int grow(struct file_dev *f, uint64_t size, uint64_t have, char *why, size_t n)
{
	int err = size > have ? set_length(f, size, why, n) : 0;

	if (err)
		return err;
	store_relaxed(&f->end, size > have ? size : have);
	blk_dev_publish_size(&f->dev, size);
	return 0;
}

int file_resize(struct blk_dev *d, uint64_t size, bool shrink, char *why, size_t whylen)
{
	struct file_dev *f = file_dev(d);
	uint64_t have = 0;
	int err = present_size(f, &have);

	if (err)
		return blk_fail(why, whylen, err, "%s: does not tell its size: %s", d->path,
				strerror(-err));
	if (!size)
		size = have;
	err = check_size(f, size, have, why, whylen);
	if (err)
		return err;
	if (size >= d->info.size)
		return grow(f, size, have, why, whylen);
	return shrink ? cut(f, size, have, why, whylen) : blk_fail_shrink(d, size, why, whylen);
}
