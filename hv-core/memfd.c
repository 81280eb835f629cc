/* SPDX-License-Identifier: MIT */
/*
 * RAM files: memfds whose size nobody can change any more, so that no access
 * to a mapping of them can fault because the other side truncated the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hv-core/gpa.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

int hv_memfd_create(const char *name, uint64_t len)
{
	int fd, err;

	if (!len || len % HV_PAGE_SIZE || len > INT64_MAX)
		return -EINVAL;
	fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)len) < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

int hv_memfd_check(int fd, uint64_t len)
{
	struct stat st;
	int seals;

	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || fstat(fd, &st) < 0)
		return -EINVAL; /* not a memfd at all */
	if (st.st_size < 0 || (uint64_t)st.st_size != len)
		return -EINVAL;
	/* A write seal would make the mapping fail or the memory useless. */
	if ((seals & SEALS) != SEALS || seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		return -EPERM;
	return 0;
}
