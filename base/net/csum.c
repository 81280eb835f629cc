/* SPDX-License-Identifier: MIT */
/* One's complement sums of bytes, eight at a time. */
#include "base/net/csum.h"

/* What is carried out at the top comes in at the bottom. */
ALWAYS_INLINE uint64_t add64(uint64_t a, uint64_t b)
{
	a += b;
	return a + (a < b);
}

/* The next @n bytes as a number; @dst gets the same bytes, whatever becomes of the source. */
ALWAYS_INLINE uint64_t take(uint8_t *dst, const uint8_t *src, size_t n)
{
	uint64_t v = 0;

	memcpy(&v, src, n);
	if (dst)
		memcpy(dst, &v, n);
	return v;
}

#define AT(dst, i) ((dst) ? (dst) + (i) : NULL)

/* Less than eight bytes. */
ALWAYS_INLINE uint64_t sum_tail(uint64_t sum, uint8_t *dst, const uint8_t *src, size_t len)
{
	size_t at = 0;

	if (len & 4) {
		sum = add64(sum, take(dst, src, 4));
		at = 4;
	}
	if (len & 2) {
		sum = add64(sum, take(AT(dst, at), src + at, 2));
		at += 2;
	}
	if (len & 1)
		sum = add64(sum, take(AT(dst, at), src + at, 1));
	return sum;
}

/* Four sums side by side, because each addition waits for its own carry. */
ALWAYS_INLINE uint32_t sum_bytes(uint32_t sum, uint8_t *dst, const uint8_t *src, size_t len)
{
	uint64_t a = sum, b = 0, c = 0, d = 0;
	size_t at = 0;

	for (; len - at >= 32; at += 32) {
		a = add64(a, take(AT(dst, at), src + at, 8));
		b = add64(b, take(AT(dst, at + 8), src + at + 8, 8));
		c = add64(c, take(AT(dst, at + 16), src + at + 16, 8));
		d = add64(d, take(AT(dst, at + 24), src + at + 24, 8));
	}
	a = add64(add64(a, b), add64(c, d));
	for (; len - at >= 8; at += 8)
		a = add64(a, take(AT(dst, at), src + at, 8));
	a = sum_tail(a, AT(dst, at), src + at, len - at);
	a = (a & UINT32_MAX) + (a >> 32);
	return (uint32_t)((a & UINT32_MAX) + (a >> 32));
}

uint32_t net_csum_add(uint32_t sum, const void *data, size_t len)
{
	return sum_bytes(sum, NULL, data, len);
}

uint32_t net_csum_copy(uint32_t sum, void *dst, const void *src, size_t len)
{
	return sum_bytes(sum, dst, src, len);
}

uint32_t net_csum_iov(uint32_t sum, const struct iovec *iov, int n, size_t offset, size_t len)
{
	size_t done = 0;

	for (; n > 0 && done < len; iov++, n--) {
		size_t piece = iov->iov_len;

		if (offset >= piece) {
			offset -= piece;
			continue;
		}
		piece -= offset;
		if (piece > len - done)
			piece = len - done;
		sum = net_csum_join(
			sum, net_csum_add(0, (const char *)iov->iov_base + offset, piece), done);
		done += piece;
		offset = 0;
	}
	return sum;
}

uint16_t net_csum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)(sum + (sum >> 16));
}
