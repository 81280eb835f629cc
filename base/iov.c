/* SPDX-License-Identifier: MIT */
/* Scatter lists: copy, fill and slice, all through one walk over the entries. */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"
#include "base/iov.h"

/* A position in a list; next_piece() hands out contiguous runs from there on. */
struct walk {
	const struct iovec *iov;
	int n;
	size_t skip; /* bytes of iov[0] already behind us */
};

static struct walk walk_from(const struct iovec *iov, int n, size_t offset)
{
	while (n > 0 && offset >= iov->iov_len) {
		offset -= iov->iov_len;
		iov++;
		n--;
	}
	return (struct walk){ iov, n, offset };
}

/* The next run of at most @want bytes; false at the end of the list. */
static bool next_piece(struct walk *w, size_t want, struct iovec *piece)
{
	while (w->n > 0 && w->skip == w->iov->iov_len) {
		w->iov++;
		w->n--;
		w->skip = 0;
	}
	if (w->n <= 0 || !want)
		return false;
	piece->iov_base = (char *)w->iov->iov_base + w->skip;
	piece->iov_len = w->iov->iov_len - w->skip;
	if (piece->iov_len > want)
		piece->iov_len = want;
	w->skip += piece->iov_len;
	return true;
}

size_t iov_length(const struct iovec *iov, int n)
{
	size_t sum = 0;

	for (int i = 0; i < n; i++)
		sum += iov[i].iov_len;
	return sum;
}

size_t iov_from_buf(const struct iovec *iov, int n, size_t offset, const void *buf, size_t len)
{
	struct walk w = walk_from(iov, n, offset);
	struct iovec piece;
	size_t done = 0;

	while (next_piece(&w, len - done, &piece)) {
		memcpy(piece.iov_base, (const char *)buf + done, piece.iov_len);
		done += piece.iov_len;
	}
	return done;
}

size_t iov_to_buf(const struct iovec *iov, int n, size_t offset, void *buf, size_t len)
{
	struct walk w = walk_from(iov, n, offset);
	struct iovec piece;
	size_t done = 0;

	while (next_piece(&w, len - done, &piece)) {
		memcpy((char *)buf + done, piece.iov_base, piece.iov_len);
		done += piece.iov_len;
	}
	return done;
}

size_t iov_fill(const struct iovec *iov, int n, size_t offset, int byte, size_t len)
{
	struct walk w = walk_from(iov, n, offset);
	struct iovec piece;
	size_t done = 0;

	while (next_piece(&w, len - done, &piece)) {
		memset(piece.iov_base, byte, piece.iov_len);
		done += piece.iov_len;
	}
	return done;
}

int iov_slice(struct iovec *out, int max, const struct iovec *iov, int n, size_t offset, size_t len)
{
	struct walk w = walk_from(iov, n, offset);
	struct iovec piece;
	size_t done = 0;
	int used = 0;

	while (next_piece(&w, len - done, &piece)) {
		if (used == max)
			return -EINVAL;
		out[used++] = piece;
		done += piece.iov_len;
	}
	return done == len ? used : -EINVAL;
}
