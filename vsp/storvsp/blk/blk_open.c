/* SPDX-License-Identifier: MIT */
/*
 * Opening an image: is it one, may we have it, and what can its file system or device
 * do? All of it once, so that the engine decides by flags.
 *
 * Page cache or O_DIRECT, when the configuration leaves it open: O_DIRECT for block
 * devices, the page cache for files. An image file is sparse mostly, and allocating
 * under O_DIRECT is slow; guests re-read what the host may as well keep; and a file
 * must not change its ways because it became full (spec: disk-backends, section 9).
 */
#include "vsp/storvsp/blk/blk_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/guid.h"
#include "base/log.h"

#define PAGE 4096u

struct opening {
	struct file_dev *f;
	const struct blk_config *cfg;
	const char *path;
	struct stat st;
	uint64_t file_size;
	uint32_t sector; /* block device: its logical block */
	char *why;
	size_t whylen;
};

#define fail(o, err, fmt, ...)                                                                     \
	blk_fail((o)->why, (o)->whylen, err, "%s: " fmt, (o)->path, ##__VA_ARGS__)

/* ---- is it an image, and may we have it? ------------------------------ */

static int fail_open(struct opening *o, int err)
{
	switch (err) {
	case ENOENT:
	case ENOTDIR:
		return fail(o, -ENOENT,
			    "there is no such file; check the path, or make an empty disk: "
			    "truncate -s 10G '%s'",
			    o->path);
	case EACCES:
	case EPERM:
		return fail(o, -EACCES,
			    "permission denied; give this user the right to read%s it%s",
			    o->cfg->readonly ? "" : " and write",
			    o->cfg->readonly ? "" : ", or open it read-only");
	case EROFS:
		return fail(o, -EROFS, "its file system is mounted read-only; open it read-only");
	case EBUSY:
		return fail(o, -EBUSY,
			    "the device is mounted or used by another program; release it "
			    "there, or open it read-only");
	default:
		return fail(o, -err, "cannot be opened: %s", strerror(err));
	}
}

static int check_type(struct opening *o)
{
	if (S_ISDIR(o->st.st_mode))
		return fail(o, -EISDIR, "is a directory; name the image file inside");
	if (!S_ISREG(o->st.st_mode) && !S_ISBLK(o->st.st_mode))
		return fail(o, -ENOTSUP,
			    "is neither a file nor a block device; it cannot be a disk");
	o->f->is_block = S_ISBLK(o->st.st_mode);
	return 0;
}

static int open_flags(const struct opening *o)
{
	/* O_NONBLOCK: should it have turned into a FIFO meanwhile, do not hang. */
	int flags = O_CLOEXEC | O_NONBLOCK | (o->cfg->readonly ? O_RDONLY : O_RDWR);

	/* Mounted here means its content changes under the guest, or the guest's under us. */
	if (o->f->is_block && !o->cfg->readonly)
		flags |= O_EXCL;
	return flags;
}

/*
 * A device that was closed a moment ago, or whose user was killed, can still be claimed:
 * io_uring lets go of its files later.
 */
static int open_patiently(const struct opening *o)
{
	const struct timespec pause = { 0, 10000000 };
	int fd = open(o->path, open_flags(o));

	for (int i = 0; i < 100 && fd < 0 && errno == EBUSY; i++) {
		nanosleep(&pause, NULL);
		fd = open(o->path, open_flags(o));
	}
	return fd;
}

/* io_uring would hand EAGAIN to us instead of blocking a worker. */
static int make_blocking(struct opening *o)
{
	int fl = fcntl(o->f->fd, F_GETFL);

	return fl < 0 || fcntl(o->f->fd, F_SETFL, fl & ~O_NONBLOCK) ? fail_open(o, errno) : 0;
}

static int open_image(struct opening *o)
{
	struct stat now;
	int err;

	/* Before opening it: to open a FIFO, a tape or a watchdog already does something. */
	if (stat(o->path, &o->st))
		return fail_open(o, errno);
	err = check_type(o);
	if (err)
		return err;
	o->f->fd = open_patiently(o);
	if (o->f->fd < 0)
		return fail_open(o, errno);
	if (fstat(o->f->fd, &now) || now.st_ino != o->st.st_ino || now.st_dev != o->st.st_dev)
		return fail(o, -EBUSY, "was replaced while it was opened; try again");
	o->st = now;
	err = make_blocking(o);
	return err ? err : file_image_lock(o->f->fd, o->path, o->cfg->readonly, o->why, o->whylen);
}

/* ---- one that was opened elsewhere -------------------------------------- */

/* Whether @fd is for the reading or writing that the disk is for. */
static bool usable(int fd, bool readonly)
{
	int fl = fcntl(fd, F_GETFL);

	if (fl < 0 || fl & (O_PATH | O_APPEND))
		return false;
	return (fl & O_ACCMODE) == O_RDWR || (readonly && (fl & O_ACCMODE) == O_RDONLY);
}

static bool same_image(int fd, const struct stat *image)
{
	struct stat st;

	return !fstat(fd, &st) && st.st_dev == image->st_dev && st.st_ino == image->st_ino;
}

/* A stranger's descriptors: believed is only what they say themselves. */
static int adopt_image(struct opening *o)
{
	const struct blk_image *image = o->cfg->image;
	int err;

	if (fstat(image->fd, &o->st))
		return fail_open(o, errno);
	err = check_type(o);
	if (err)
		return err;
	o->f->fd = image->fd;
	if (!usable(image->fd, o->cfg->readonly) ||
	    (image->flush_fd >= 0 &&
	     (!usable(image->flush_fd, false) || !same_image(image->flush_fd, &o->st))))
		return fail(o, -EBADF, "its descriptors are not open for %s",
			    o->cfg->readonly ? "reading" : "reading and writing");
	err = make_blocking(o);
	return err ? err
		   : file_image_lock_now(image->fd, o->path, o->cfg->readonly, o->why, o->whylen);
}

/* ---- sizes ------------------------------------------------------------ */

static int device_size(struct opening *o)
{
	int sector;

	if (ioctl(o->f->fd, BLKGETSIZE64, &o->file_size) || ioctl(o->f->fd, BLKSSZGET, &sector))
		return fail(o, -errno, "does not tell its size: %s", strerror(errno));
	o->sector = (uint32_t)sector;
	if (o->cfg->size > o->file_size)
		return fail(o, -EINVAL, "the device has %llu bytes, fewer than the %llu asked for",
			    (unsigned long long)o->file_size, (unsigned long long)o->cfg->size);
	return 0;
}

static int find_size(struct opening *o)
{
	struct blk_info *info = &o->f->dev.info;
	uint32_t block = o->cfg->block_size;
	int err = 0;

	o->file_size = (uint64_t)o->st.st_size;
	if (o->f->is_block)
		err = device_size(o);
	if (err)
		return err;
	info->size = o->cfg->size ? o->cfg->size : o->file_size;
	info->block_size = block;
	o->f->end = o->file_size;
	if (!info->size)
		return fail(o, -EINVAL, "is empty; give it a size: truncate -s 10G '%s'", o->path);
	if (info->size % block)
		return fail(o, -EINVAL,
			    "its size, %llu bytes, is not a multiple of the %u-byte block; "
			    "is it a raw image, and complete?%s",
			    (unsigned long long)info->size, block,
			    info->size % 512 ? "" : " Or use 512-byte blocks");
	return 0;
}

/* ---- O_DIRECT --------------------------------------------------------- */

static void find_alignment(struct opening *o)
{
	uint32_t guess = o->f->is_block ? o->sector : PAGE;
	uint32_t mem = guess, off = guess;
	struct statx sx;

	if (!statx(o->f->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) &&
	    (sx.stx_mask & STATX_DIOALIGN) && sx.stx_dio_mem_align && sx.stx_dio_offset_align) {
		mem = sx.stx_dio_mem_align;
		off = sx.stx_dio_offset_align;
	}
	o->f->mem_mask = mem - 1;
	o->f->off_mask = off - 1;
}

static const char *why_not_direct(struct opening *o)
{
	int fl = fcntl(o->f->fd, F_GETFL);

	if (o->f->in_memory)
		return "it is in memory";
	if (fl < 0 || fcntl(o->f->fd, F_SETFL, fl | O_DIRECT))
		return "its file system has no O_DIRECT";
	find_alignment(o);
	/* The last block could only be written by making the file longer. */
	if (((o->f->dev.info.size | o->file_size) & o->f->off_mask) ||
	    o->f->off_mask >= FILE_SLOT_BYTES) {
		fcntl(o->f->fd, F_SETFL, fl);
		o->f->off_mask = o->f->mem_mask = 0;
		return "its size is not a multiple of the device's block";
	}
	return NULL;
}

static void choose_direct(struct opening *o)
{
	bool want = o->cfg->direct > 0 || (o->cfg->direct < 0 && o->f->is_block);
	const char *no;

	if (!want)
		return;
	no = why_not_direct(o);
	o->f->direct = !no;
	if (no)
		log_info("%s: %s, using the page cache", o->path, no);
	o->f->share_blocks = o->f->direct && o->f->off_mask >= o->cfg->block_size;
	if (o->f->share_blocks && !o->cfg->readonly)
		log_info("%s: its blocks have %u bytes, the disk's %u: small writes read first",
			 o->path, o->f->off_mask + 1, o->cfg->block_size);
}

/* ---- what it can do --------------------------------------------------- */

/* tmpfs: O_NONBLOCK-style reads are not supported there, so io_uring takes a worker for each. */
static void probe_memory(struct opening *o)
{
	char byte[512];
	struct iovec iov = { byte, sizeof(byte) };
	struct statfs fs;

	if (o->f->is_block || fstatfs(o->f->fd, &fs))
		return;
	o->f->in_memory = fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC;
	o->f->inline_read = o->f->in_memory && preadv2(o->f->fd, &iov, 1, 0, RWF_NOWAIT) < 0 &&
			    errno == EOPNOTSUPP;
}

static uint64_t sysfs_queue(const struct opening *o, const char *name)
{
	static const char *const at[] = { "queue", "../queue" }; /* disk, partition */
	unsigned long long value = 0;
	char path[96];

	for (unsigned i = 0; i < ARRAY_SIZE(at); i++) {
		FILE *in;

		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s/%s", major(o->st.st_rdev),
			 minor(o->st.st_rdev), at[i], name);
		in = fopen(path, "re");
		if (!in)
			continue;
		if (fscanf(in, "%llu", &value) != 1)
			value = 0;
		fclose(in);
		return value;
	}
	return 0;
}

static bool power_of_two(uint64_t n)
{
	return n && !(n & (n - 1));
}

/* Nothing is there to lose beyond the end, and KEEP_SIZE leaves it there. */
static bool punch_works(const struct opening *o)
{
	uint64_t beyond = (o->file_size + (1u << 20)) & ~(uint64_t)((1u << 20) - 1);

	return !fallocate(o->f->fd, file_falloc_modes[FILE_MODE_PUNCH], (off_t)beyond, PAGE);
}

static void probe_clearing(struct opening *o)
{
	struct file_dev *f = o->f;
	uint64_t unit = (uint64_t)o->st.st_blksize;

	if (o->cfg->readonly)
		return;
	/* To try would allocate something; the first use tells as well, and nobody asks before. */
	f->falloc_ok[FILE_MODE_ZERO] = true;
	f->seek_ok = !f->is_block;
	if (f->is_block) {
		f->falloc_mask = o->sector - 1;
		f->falloc_ok[FILE_MODE_PUNCH] = sysfs_queue(o, "write_zeroes_max_bytes") > 0;
		unit = sysfs_queue(o, "discard_granularity");
	} else {
		f->falloc_ok[FILE_MODE_PUNCH] = punch_works(o);
	}
	if (!f->falloc_ok[FILE_MODE_PUNCH])
		return;
	if (!power_of_two(unit) || unit < o->cfg->block_size || unit > (1u << 30))
		unit = PAGE;
	f->dev.info.discard_granularity = (uint32_t)unit;
}

static uint32_t physical_block(const struct opening *o)
{
	unsigned int device = 0;
	uint32_t n = PAGE; /* the page cache's, and that of nearly every file system */

	if (o->f->is_block && !ioctl(o->f->fd, BLKPBSZGET, &device) && power_of_two(device))
		n = device;
	if (o->f->direct && o->f->off_mask + 1 > n)
		n = o->f->off_mask + 1;
	return n > o->cfg->block_size ? n : o->cfg->block_size;
}

static void open_flush_fd(struct opening *o)
{
	char path[32];

	o->f->flush_fd = o->f->fd;
	if (o->cfg->image && o->cfg->image->flush_fd >= 0)
		o->f->flush_fd = o->cfg->image->flush_fd;
	if (o->cfg->readonly || o->cfg->image)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", o->f->fd);
	o->f->flush_fd = open(path, O_RDWR | O_CLOEXEC);
	if (o->f->flush_fd < 0)
		o->f->flush_fd = o->f->fd; /* no /proc: flushes and FUA writes share their errors */
}

static void make_identity(const struct opening *o)
{
	uint64_t name[2] = { o->st.st_dev, o->st.st_ino };
	struct guid g;

	if (o->f->is_block)
		guid_from_name(&g, o->path, (uint32_t)strlen(o->path));
	else
		guid_from_name(&g, name, sizeof(name));
	memcpy(o->f->dev.info.id, g.b, sizeof(g.b));
}

static void fill_info(struct opening *o)
{
	struct blk_info *info = &o->f->dev.info;
	enum blk_engine first = o->cfg->engine == BLK_ENGINE_AUTO ? BLK_ENGINE_URING
								  : o->cfg->engine;

	info->readonly = o->cfg->readonly;
	info->direct = o->f->direct;
	info->fua = true;
	info->volatile_cache = o->cfg->cache == BLK_CACHE_WRITEBACK && !o->cfg->readonly;
	info->physical_block = physical_block(o);
	info->engine = blk_engine_name(first); /* until a queue knows better */
	o->f->engine = o->cfg->engine;
	o->f->writethrough = o->cfg->cache == BLK_CACHE_WRITETHROUGH;
	o->f->dsync = true;
}

/* ---- all of it -------------------------------------------------------- */

static int open_and_probe(struct opening *o)
{
	int err = o->cfg->image ? adopt_image(o) : open_image(o);

	if (!err)
		err = find_size(o);
	if (err)
		return err;
	probe_memory(o);
	choose_direct(o);
	probe_clearing(o);
	open_flush_fd(o);
	make_identity(o);
	fill_info(o);
	return 0;
}

int blk_file_open(struct blk_dev **out, const struct blk_config *cfg, char *why, size_t whylen)
{
	struct opening o = { .cfg = cfg, .path = cfg->path, .why = why, .whylen = whylen };
	int err;

	o.f = calloc(1, sizeof(*o.f));
	if (!o.f)
		return fail(&o, -ENOMEM, "out of memory");
	o.f->fd = o.f->flush_fd = -1;
	err = blk_dev_init(&o.f->dev, &file_ops, cfg->path);
	if (err) {
		free(o.f);
		return fail(&o, err, "out of memory");
	}
	err = open_and_probe(&o);
	if (err) {
		if (o.f->fd >= 0 && !cfg->image)
			close(o.f->fd);
		blk_dev_fini(&o.f->dev);
		free(o.f);
		return err;
	}
	*out = &o.f->dev;
	return 0;
}

int blk_image_open(struct blk_image *out, const struct blk_config *cfg, char *why, size_t whylen)
{
	struct file_dev f = { .fd = -1 };
	struct opening o = { .f = &f, .cfg = cfg, .path = cfg->path, .why = why, .whylen = whylen };
	int err = open_image(&o);

	if (err) {
		if (f.fd >= 0)
			close(f.fd);
		return err;
	}
	open_flush_fd(&o);
	*out = (struct blk_image){ f.fd, f.flush_fd == f.fd ? -1 : f.flush_fd };
	return 0;
}

void blk_image_close(struct blk_image *image)
{
	if (image->flush_fd >= 0)
		close(image->flush_fd);
	close(image->fd);
}
