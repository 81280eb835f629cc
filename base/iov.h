/* SPDX-License-Identifier: MIT */
/*
 * Scatter lists. Arrays belong to the caller; nothing here allocates.
 */
#ifndef HVBUS_BASE_IOV_H
#define HVBUS_BASE_IOV_H

#include <stddef.h>
#include <sys/uio.h>

/* Sum of the lengths. */
size_t iov_length(const struct iovec *iov, int n);

/*
 * Copies up to @len bytes between a flat buffer and the scatter list, starting
 * @offset bytes into the list. Returns the bytes copied (less than @len when the
 * list ends first).
 */
size_t iov_from_buf(const struct iovec *iov, int n, size_t offset, const void *buf, size_t len);
size_t iov_to_buf(const struct iovec *iov, int n, size_t offset, void *buf, size_t len);

/* Stores @byte into @len bytes of the list from @offset on; returns bytes stored. */
size_t iov_fill(const struct iovec *iov, int n, size_t offset, int byte, size_t len);

/*
 * Writes into @out (room for @max entries) the part of the list that covers
 * [offset, offset + len). Returns the number of entries, or -EINVAL when the
 * list is shorter or @max is too small.
 */
int iov_slice(struct iovec *out, int max, const struct iovec *iov, int n, size_t offset,
	      size_t len);

#endif
