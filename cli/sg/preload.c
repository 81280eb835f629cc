/* SPDX-License-Identifier: MIT */
/*
 * The functions of the C library that a program reaches a SCSI generic device with. Each
 * asks whether it is about our path or descriptor and otherwise is the library's own. The
 * names with 64 and with underscores are those that programs really link with: large-file
 * variants (the same thing on 64-bit machines), _FORTIFY_SOURCE, and, before glibc 2.33,
 * __xstat and its like.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/atomic.h"
#include "cli/sg/sg.h"

#define PUBLIC __attribute__((visibility("default")))

/* Where glibc does not declare what it exports, or declares it for its own use only. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags);
int __xstat(int version, const char *path, struct stat *st);
int __xstat64(int version, const char *path, struct stat64 *st);
int __lxstat(int version, const char *path, struct stat *st);
int __lxstat64(int version, const char *path, struct stat64 *st);
int __fxstat(int version, int fd, struct stat *st);
int __fxstat64(int version, int fd, struct stat64 *st);
int __fxstatat(int version, int dir, const char *path, struct stat *st, int flags);
int __fxstatat64(int version, int dir, const char *path, struct stat64 *st, int flags);

/* The next definition of a name behind ours; looked up once, by whoever is first. */
#define NEXT(name)                                                                                 \
	({                                                                                         \
		static void *found;                                                                \
		void *f = load_relaxed(&found);                                                    \
		if (!f)                                                                            \
			store_relaxed(&found, f = dlsym(RTLD_NEXT, #name));                        \
		(__typeof__(&(name)))f;                                                            \
	})

static int or_errno(int result)
{
	if (result >= 0)
		return result;
	errno = -result;
	return -1;
}

/* ---- open ------------------------------------------------------------------------------ */

static mode_t mode_of(int flags, va_list ap)
{
	return flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

#define OPEN(name)                                                                                 \
	PUBLIC int name(const char *path, int flags, ...)                                          \
	{                                                                                          \
		mode_t mode;                                                                       \
		va_list ap;                                                                        \
                                                                                                   \
		va_start(ap, flags);                                                               \
		mode = mode_of(flags, ap);                                                         \
		va_end(ap);                                                                        \
		return sg_is_path(path) ? or_errno(sg_open(flags))                                 \
					: NEXT(name)(path, flags, mode);                           \
	}

#define OPENAT(name)                                                                               \
	PUBLIC int name(int dir, const char *path, int flags, ...)                                 \
	{                                                                                          \
		mode_t mode;                                                                       \
		va_list ap;                                                                        \
                                                                                                   \
		va_start(ap, flags);                                                               \
		mode = mode_of(flags, ap);                                                         \
		va_end(ap);                                                                        \
		return sg_is_path(path) ? or_errno(sg_open(flags))                                 \
					: NEXT(name)(dir, path, flags, mode);                      \
	}

/* clang-format off */
OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
/* clang-format on */

#define OPEN_2(name)                                                                               \
	PUBLIC int name(const char *path, int flags)                                               \
	{                                                                                          \
		return sg_is_path(path) ? or_errno(sg_open(flags)) : NEXT(name)(path, flags);      \
	}

#define OPENAT_2(name)                                                                             \
	PUBLIC int name(int dir, const char *path, int flags)                                      \
	{                                                                                          \
		return sg_is_path(path) ? or_errno(sg_open(flags)) : NEXT(name)(dir, path, flags); \
	}

/* clang-format off */
OPEN_2(__open_2)
OPEN_2(__open64_2)
OPENAT_2(__openat_2)
OPENAT_2(__openat64_2)
/* clang-format on */

/* ---- stat --------------------------------------------------------------------------------- */

_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "stat64");

static int fill(void *st)
{
	sg_stat(st);
	return 0;
}

/* Ours when @is_ours, else the library's; for each name of one kind. */
#define STAT(name, type, is_ours, parameters, ...)                                                 \
	PUBLIC int name parameters                                                                 \
	{                                                                                          \
		return (is_ours) ? fill((type *)st) : NEXT(name)(__VA_ARGS__);                     \
	}
#define BY_PATH(name, type)                                                                        \
	STAT(name, type, sg_is_path(path), (const char *path, type *st), path, st)
#define BY_FD(name, type) STAT(name, type, sg_is_fd(fd), (int fd, type *st), fd, st)
#define AT(name, type)                                                                             \
	STAT(name, type, is_at(dir, path, flags),                                                  \
	     (int dir, const char *path, type *st, int flags), dir, path, st, flags)
#define X_BY_PATH(name, type)                                                                      \
	STAT(name, type, sg_is_path(path), (int version, const char *path, type *st), version,     \
	     path, st)
#define X_BY_FD(name, type)                                                                        \
	STAT(name, type, sg_is_fd(fd), (int version, int fd, type *st), version, fd, st)
#define X_AT(name, type)                                                                           \
	STAT(name, type, is_at(dir, path, flags),                                                  \
	     (int version, int dir, const char *path, type *st, int flags), version, dir, path,    \
	     st, flags)

static bool is_at(int dir, const char *path, int flags)
{
	return sg_is_path(path) || ((flags & AT_EMPTY_PATH) && path && !*path && sg_is_fd(dir));
}

/* clang-format off */
BY_PATH(stat, struct stat)
BY_PATH(stat64, struct stat64)
BY_PATH(lstat, struct stat)
BY_PATH(lstat64, struct stat64)
BY_FD(fstat, struct stat)
BY_FD(fstat64, struct stat64)
AT(fstatat, struct stat)
AT(fstatat64, struct stat64)
X_BY_PATH(__xstat, struct stat)
X_BY_PATH(__xstat64, struct stat64)
X_BY_PATH(__lxstat, struct stat)
X_BY_PATH(__lxstat64, struct stat64)
X_BY_FD(__fxstat, struct stat)
X_BY_FD(__fxstat64, struct stat64)
X_AT(__fxstatat, struct stat)
X_AT(__fxstatat64, struct stat64)
/* clang-format on */

PUBLIC int statx(int dir, const char *path, int flags, unsigned mask, struct statx *stx)
{
	if (!is_at(dir, path, flags))
		return NEXT(statx)(dir, path, flags, mask, stx);
	sg_statx(stx);
	return 0;
}

PUBLIC int access(const char *path, int mode)
{
	if (!sg_is_path(path))
		return NEXT(access)(path, mode);
	return mode & X_OK ? or_errno(-EACCES) : 0;
}

/* ---- use ------------------------------------------------------------------------------------ */

PUBLIC int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	return sg_is_fd(fd) ? or_errno(sg_ioctl(request, arg)) : NEXT(ioctl)(fd, request, arg);
}

/* Commands by write(2) and answers by read(2): the older interface of the driver. */
PUBLIC ssize_t read(int fd, void *buf, size_t len)
{
	return sg_is_fd(fd) ? or_errno(-ENOSYS) : NEXT(read)(fd, buf, len);
}

PUBLIC ssize_t write(int fd, const void *buf, size_t len)
{
	return sg_is_fd(fd) ? or_errno(-ENOSYS) : NEXT(write)(fd, buf, len);
}
