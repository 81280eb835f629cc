/* SPDX-License-Identifier: MIT */
/*
 * What the device looks like as a file. Every descriptor of it is a duplicate of one
 * anonymous file, and is recognised by that file's inode. So there is no table of
 * descriptors to keep, and close, dup, dup2, fcntl(F_DUPFD) and close_range do the right thing
 * without our knowing.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/atomic.h"
#include "cli/sg/sg.h"

#define MODE (S_IFCHR | 0660)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int original = -1; /* under lock */
/* The file that stands for the device; 0 until it is first opened. Written before any fd of it. */
static uint64_t inode, inode_dev;

bool sg_is_path(const char *path)
{
	const char *ours = getenv(SG_ENV_PATH);

	return path && !strcmp(path, ours ? ours : SG_DEFAULT_PATH);
}

/* Not fstat(): that one is ours. */
static bool identify(int fd, uint64_t *dev, uint64_t *ino)
{
	struct statx stx;

	if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_INO, &stx))
		return false;
	*dev = makedev(stx.stx_dev_major, stx.stx_dev_minor);
	*ino = stx.stx_ino;
	return true;
}

bool sg_is_fd(int fd)
{
	uint64_t want = load_acquire(&inode), dev, ino; /* pairs with make_original() */
	int saved = errno;
	bool ours;

	if (!want || fd < 0)
		return false;
	ours = identify(fd, &dev, &ino) && ino == want && dev == load_relaxed(&inode_dev);
	errno = saved;
	return ours;
}

static int make_original(void)
{
	uint64_t dev, ino;
	int fd = memfd_create("hvbus-sg", MFD_CLOEXEC);

	if (fd < 0 || !identify(fd, &dev, &ino))
		return -errno;
	original = fd;
	store_relaxed(&inode_dev, dev);
	store_release(&inode, ino); /* pairs with sg_is_fd() */
	return 0;
}

static int duplicate(int flags)
{
	/* A program that closes what it does not know may have closed it. */
	int err = sg_is_fd(original) ? 0 : make_original(), fd;

	if (err)
		return err;
	fd = fcntl(original, flags & O_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
	return fd < 0 ? -errno : fd;
}

int sg_open(int flags)
{
	int saved = errno, fd = sg_device_attach();

	if (!fd) {
		pthread_mutex_lock(&lock);
		fd = duplicate(flags);
		pthread_mutex_unlock(&lock);
	}
	errno = saved;
	return fd;
}

void sg_stat(struct stat *st)
{
	*st = (struct stat){
		.st_mode = MODE,
		.st_nlink = 1,
		.st_ino = 1,
		.st_uid = geteuid(),
		.st_gid = getegid(),
		.st_rdev = makedev(SG_MAJOR, 0),
		.st_blksize = 4096,
	};
}

void sg_statx(struct statx *stx)
{
	*stx = (struct statx){
		.stx_mask = STATX_TYPE | STATX_MODE | STATX_NLINK | STATX_UID | STATX_GID |
			    STATX_INO | STATX_SIZE | STATX_BLOCKS,
		.stx_mode = MODE,
		.stx_nlink = 1,
		.stx_ino = 1,
		.stx_uid = geteuid(),
		.stx_gid = getegid(),
		.stx_rdev_major = SG_MAJOR,
		.stx_blksize = 4096,
	};
}
