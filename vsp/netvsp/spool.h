/* SPDX-License-Identifier: MIT */
/*
 * Bytes on their way to a file that may be slow: a bounded ring between one loop, which never
 * waits, and a thread of its own that writes. What is put in is whole or not there at all.
 *
 * Threads: everything here on the loop; the writer is inside.
 */
#ifndef HVBUS_VSP_NETVSP_SPOOL_H
#define HVBUS_VSP_NETVSP_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spool;

#define SPOOL_MIN 4096u
#define SPOOL_MAX (1u << 30)

/*
 * @fd is taken over on success. @bytes: rounded up to a power of two. -EINVAL (more than
 * SPOOL_MAX), -ENOMEM, or of the thread's creation.
 */
int spool_open(struct spool **out, int fd, uint32_t bytes);

/* Room for a record of @len bytes? Then spool_put() all of them, and spool_commit(). */
bool spool_begin(struct spool *s, uint32_t len);
void spool_put(struct spool *s, const void *data, size_t len);
void spool_commit(struct spool *s);

/* Why nothing is written any more (errno), or 0. */
int spool_error(const struct spool *s);

/*
 * Writes what is there and @last behind it, closes the file, frees. A reader that has stopped
 * reading (of a pipe) is waited for a second, not longer. Returns the error, 0 or errno.
 */
int spool_close(struct spool *s, const void *last, size_t len);

#endif
